//! What conversations led to, and which message and campaign it is put down to: the one that is named, else the newest that
//! was sent to the person within the window.

use std::time::Duration;

use palomar_model::{MessageId, Timestamp};

use crate::Records;
use crate::error::Result;
use crate::store::{Db, Value, values};
use crate::tables::conversions::{self, Conversion, ConversionSum};
use crate::tables::parsed;

impl Records {
    /// Keeps a conversion, attributed as far as it can be. One whose id is known changes nothing: it is answered as it was
    /// kept, with whether it is new.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn convert(
        &self,
        conversion: Conversion,
        window: Duration,
        now: Timestamp,
    ) -> Result<(Conversion, bool)> {
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

fn convert(
    db: Db<'_>,
    mut conversion: Conversion,
    window: Duration,
    now: Timestamp,
) -> Result<(Conversion, bool)> {
    if let Some(kept) = conversions::get(db, &conversion.id)? {
        return Ok((kept, false));
    }
    let touch = match conversion.message_id.take() {
        Some(message) => of_message(db, message)?,
        None => newest(db, &conversion, window)?,
    };
    if let Some(Touch { message, channel, campaign, match_key }) = touch {
        conversion.message_id = Some(message);
        conversion.channel = Some(channel);
        conversion.match_key = Some(match_key);
        conversion.campaign_id = conversion.campaign_id.or(campaign);
    }
    db.write(vec![conversions::add(&conversion, now)?])?;
    Ok((conversion, true))
}

/// A message that may have led to it.
struct Touch {
    message: MessageId,
    channel: String,
    campaign: Option<String>,
    match_key: String,
}

const COLUMNS: &str = "id, channel, campaign, match_key";

fn touch(row: &crate::store::Row<'_>) -> Result<Touch> {
    Ok(Touch {
        message: parsed(row, "messages", "id")?,
        channel: row.get("channel")?,
        campaign: row.get("campaign")?,
        match_key: row.get("match_key")?,
    })
}

fn of_message(db: Db<'_>, message: MessageId) -> Result<Option<Touch>> {
    let text = format!("SELECT {COLUMNS} FROM messages WHERE id = $1");
    db.row(&text, &values![message], touch)
}

/// The newest message that was sent to the person within the window; of the campaign, where one is named.
fn newest(db: Db<'_>, conversion: &Conversion, window: Duration) -> Result<Option<Touch>> {
    let Some(match_key) = &conversion.match_key else { return Ok(None) };
    let from = conversion.at.before(window);
    let mut values: Vec<Value> = values![match_key.as_str(), from, conversion.at].to_vec();
    let mut and = String::new();
    for (column, given) in [("channel", &conversion.channel), ("campaign", &conversion.campaign_id)] {
        if let Some(given) = given {
            values.push(Value::from(given.as_str()));
            and.push_str(&format!(" AND {column} = ${}", values.len()));
        }
    }
    let text = format!(
        "SELECT {COLUMNS} FROM messages
         WHERE match_key = $1 AND created_at >= $2 AND created_at <= $3 AND sent_at <= $3
             AND direction = 'outbound'{and}
         ORDER BY created_at DESC, id DESC LIMIT 1"
    );
    db.row(&text, &values, touch)
}
