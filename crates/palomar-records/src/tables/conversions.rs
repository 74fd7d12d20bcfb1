//! `conversions`: what conversations led to, each under its id, once.

use palomar_model::{MessageId, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use super::{optional, optional_json, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const CONVERSIONS: Table = Table {
    name: "conversions",
    columns: &[
        text("id"),
        int("at"),
        text("kind"),
        int("value"),
        text("currency"),
        text("channel"),
        text("match_key"),
        text("message_id"),
        text("campaign"),
        text("metadata"),
        int("noted"),
    ],
    key: 1,
};

/// What a conversation led to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Conversion {
    /// Its id.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// `lead`, `appointment`, `sale`, or a word of the business.
    pub kind: String,
    /// What it is worth, in millionths of the currency.
    #[serde(skip)]
    pub value: Option<i64>,
    /// The currency (ISO 4217).
    pub currency: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The person.
    #[serde(skip)]
    pub match_key: Option<String>,
    /// The message that it is attributed to.
    pub message_id: Option<MessageId>,
    /// The campaign that it is attributed to.
    pub campaign_id: Option<String>,
    /// The business's own data.
    pub metadata: Option<Json>,
}

/// Keeps one.
pub(crate) fn add(conversion: &Conversion, noted: Timestamp) -> Result<Write> {
    let mut rows = Rows::of(CONVERSIONS.columns);
    let metadata = conversion.metadata.as_ref().map(|metadata| to_json(metadata, CONVERSIONS.name));
    rows.push(values![
        conversion.id.as_str(),
        conversion.at,
        conversion.kind.as_str(),
        conversion.value.map_or(Value::Int(None), Value::from),
        conversion.currency.as_deref(),
        conversion.channel.as_deref(),
        conversion.match_key.as_deref(),
        conversion.message_id,
        conversion.campaign_id.as_deref(),
        metadata.transpose()?,
        noted,
    ]);
    Ok(Write::insert(&CONVERSIONS, "", rows))
}

/// One, by its id.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<Conversion>> {
    db.row("SELECT * FROM conversions WHERE id = $1", &values![id], view)
}

fn view(row: &Row<'_>) -> Result<Conversion> {
    Ok(Conversion {
        id: row.get("id")?,
        at: row.time("at")?,
        kind: row.get("kind")?,
        value: row.get("value")?,
        currency: row.get("currency")?,
        channel: row.get("channel")?,
        match_key: row.get("match_key")?,
        message_id: optional(row, CONVERSIONS.name, "message_id")?,
        campaign_id: row.get("campaign")?,
        metadata: optional_json(row, CONVERSIONS.name, "metadata")?,
    })
}

/// Conversions of a kind, currency, channel and campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConversionSum {
    /// The kind.
    pub kind: String,
    /// The currency; none of those without a value.
    pub currency: Option<String>,
    /// The channel.
    pub channel: Option<String>,
    /// The campaign.
    pub campaign: Option<String>,
    /// How many.
    pub count: u64,
    /// How many of them are attributed to a message or a campaign.
    pub attributed: u64,
    /// What they are worth together, in millionths.
    pub value: i64,
}

/// Sums from one moment up to another. Values of different currencies are never added up.
pub(crate) fn sums(db: Db<'_>, from: Timestamp, to: Timestamp) -> Result<Vec<ConversionSum>> {
    let text = "SELECT kind, currency, channel, campaign, COUNT(*) AS count,
             CAST(SUM(CASE WHEN message_id IS NULL AND campaign IS NULL THEN 0 ELSE 1 END) AS BIGINT) AS attributed,
             CAST(COALESCE(SUM(value), 0) AS BIGINT) AS value
         FROM conversions WHERE at >= $1 AND at < $2
         GROUP BY kind, currency, channel, campaign ORDER BY kind, currency, channel, campaign";
    db.rows(text, &values![from, to], |row| {
        Ok(ConversionSum {
            kind: row.get("kind")?,
            currency: row.get("currency")?,
            channel: row.get("channel")?,
            campaign: row.get("campaign")?,
            count: row.count("count")?,
            attributed: row.count("attributed")?,
            value: row.get("value")?,
        })
    })
}
