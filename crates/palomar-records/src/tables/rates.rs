//! `rates`: what providers charge, as people wrote it down.

use palomar_model::{ChannelName, Timestamp};

use crate::error::{RecordsError, Result};
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, values};

pub(crate) const RATES: Table = Table {
    name: "rates",
    columns: &[
        text("channel"),
        text("country"),
        text("category"),
        int("valid_from"),
        int("price"),
        text("currency"),
    ],
    key: 4,
};

/// What a message costs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rate {
    /// Of this channel; none: of all whose provider charges.
    pub channel: Option<ChannelName>,
    /// To this country (ISO 3166), or `*`.
    pub country: String,
    /// Of this category, or `*`.
    pub category: String,
    /// From this moment on.
    pub valid_from: Timestamp,
    /// In millionths of the currency.
    pub price: i64,
    /// The currency (ISO 4217).
    pub currency: String,
}

/// Keeps rates; each in place of the one for the same from the same moment on.
pub(crate) fn put(db: Db<'_>, rates: &[Rate]) -> Result<()> {
    let mut rows = Rows::of(RATES.columns);
    for rate in rates {
        rows.push(values![
            rate.channel.as_ref().map_or("", ChannelName::as_str),
            rate.country.as_str(),
            rate.category.as_str(),
            rate.valid_from,
            rate.price,
            rate.currency.as_str(),
        ]);
    }
    let newer = "ON CONFLICT (channel, country, category, valid_from)
         DO UPDATE SET price = excluded.price, currency = excluded.currency";
    db.write(vec![Write::insert(&RATES, newer, rows)])
}

/// Forgets all.
pub(crate) fn clear(db: Db<'_>) -> Result<()> {
    db.execute("DELETE FROM rates", &[])?;
    Ok(())
}

/// All of them.
pub(crate) fn all(db: Db<'_>) -> Result<Vec<Rate>> {
    let text = "SELECT * FROM rates ORDER BY channel, country, category, valid_from";
    db.rows(text, &[], rate)
}

fn rate(row: &Row<'_>) -> Result<Rate> {
    let channel: String = row.get("channel")?;
    let channel = Some(channel).filter(|name| !name.is_empty()).map(|name| name.parse()).transpose();
    Ok(Rate {
        channel: channel.map_err(|error| RecordsError::damaged(RATES.name, format!("channel: {error}")))?,
        country: row.get("country")?,
        category: row.get("category")?,
        valid_from: row.time("valid_from")?,
        price: row.get("price")?,
        currency: row.get("currency")?,
    })
}
