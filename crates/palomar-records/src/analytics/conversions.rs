//! What conversations led to, and which message and campaign it is put down to: the one that is named, as soon as it is
//! known, else the newest that was sent to the person within the window.
//!
//! Always: where a conversion says its channel, only messages of that channel are looked at.

use std::time::Duration;

use palomar_model::{MessageId, Timestamp};

use crate::error::Result;
use crate::message::Direction;
use crate::store::{Db, Value, values};
use crate::tables::conversions::{self, Conversion, ConversionSum};
use crate::tables::{cursors, parsed};
use crate::{PROJECTION, Records};

/// What became of a conversion that was told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Converted {
    /// It is kept.
    New(Conversion),
    /// Its id came before: nothing changed. As it was kept.
    Known(Conversion),
    /// It is not kept: the message that it names was received, which leads to nothing.
    Received,
}

impl Records {
    /// Keeps a conversion, attributed as far as it can be.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn convert(
        &self,
        conversion: Conversion,
        window: Duration,
        now: Timestamp,
    ) -> Result<Converted> {
        self.write(move |db| convert(db, conversion, window, now)).await
    }

    /// Sums of conversions from one moment up to another.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn conversion_sums(&self, (from, to): (Timestamp, Timestamp)) -> Result<Vec<ConversionSum>> {
        self.read(move |db| conversions::sums(db, from, to)).await
    }
}

fn convert(db: Db<'_>, mut conversion: Conversion, window: Duration, now: Timestamp) -> Result<Converted> {
    if let Some(kept) = conversions::get(db, &conversion.id)? {
        return Ok(Converted::Known(kept));
    }
    let touch = match conversion.message_id.take() {
        Some(message) => {
            let found = named(db, message, &conversion, now)?;
            if found.as_ref().is_some_and(|touch| touch.direction == Direction::Inbound) {
                return Ok(Converted::Received);
            }
            conversion.awaited_message_id = found.is_none().then_some(message);
            found
        }
        None => newest(db, &conversion, window)?,
    };
    if let Some(Touch { message, channel, campaign, match_key, .. }) = touch {
        conversion.message_id = Some(message);
        conversion.channel = Some(channel);
        conversion.match_key = Some(match_key);
        conversion.campaign_id = conversion.campaign_id.or(campaign);
    }
    if conversions::add(db, &conversion, now)? {
        return Ok(Converted::New(conversion));
    }
    // Another node kept it since we looked.
    Ok(conversions::get(db, &conversion.id)?.map_or(Converted::New(conversion), Converted::Known))
}

/// A message that may have led to it.
struct Touch {
    message: MessageId,
    direction: Direction,
    channel: String,
    campaign: Option<String>,
    match_key: String,
}

const COLUMNS: &str = "id, direction, channel, campaign, match_key";

fn touch(row: &crate::store::Row<'_>) -> Result<Touch> {
    Ok(Touch {
        message: parsed(row, "messages", "id")?,
        direction: parsed(row, "messages", "direction")?,
        channel: row.get("channel")?,
        campaign: row.get("campaign")?,
        match_key: row.get("match_key")?,
    })
}

/// The message that is named. Where it is not there, whoever writes messages is waited for: what they write later sees the
/// conversion that waits.
fn named(db: Db<'_>, message: MessageId, conversion: &Conversion, now: Timestamp) -> Result<Option<Touch>> {
    let mut values: Vec<Value> = values![message].to_vec();
    let and = narrowed("channel", conversion.channel.as_deref(), &mut values);
    let text = format!("SELECT {COLUMNS} FROM messages WHERE id = $1{and}");
    if let Some(found) = db.row(&text, &values, touch)? {
        return Ok(Some(found));
    }
    cursors::take_turn(db, PROJECTION, now)?;
    db.row(&text, &values, touch)
}

/// The newest message that was sent to the person within the window; of the campaign, where one is named.
fn newest(db: Db<'_>, conversion: &Conversion, window: Duration) -> Result<Option<Touch>> {
    let Some(match_key) = &conversion.match_key else { return Ok(None) };
    let from = conversion.at.before(window);
    let mut values: Vec<Value> = values![match_key.as_str(), from, conversion.at].to_vec();
    let channel = narrowed("channel", conversion.channel.as_deref(), &mut values);
    let campaign = narrowed("campaign", conversion.campaign_id.as_deref(), &mut values);
    let text = format!(
        "SELECT {COLUMNS} FROM messages
         WHERE match_key = $1 AND sent_at >= $2 AND sent_at <= $3 AND direction = 'outbound'{channel}{campaign}
         ORDER BY sent_at DESC, id DESC LIMIT 1"
    );
    db.row(&text, &values, touch)
}

/// A further condition, where there is one.
fn narrowed(column: &str, to: Option<&str>, values: &mut Vec<Value>) -> String {
    let Some(to) = to else { return String::new() };
    values.push(Value::from(to));
    format!(" AND {column} = ${}", values.len())
}
