//! `messages`, read back as what was accepted: to compare a repeated request with it, and to queue it anew.

use palomar_model::{
    HoursThere, MessageId, MessageState, OnUncertain, Outbound, ProviderMessageId, Template,
};
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::messages::{self, MESSAGES, TABLE};
use super::{json, optional, optional_json, parsed, to_json};
use crate::error::{RecordsError, Result};
use crate::message::Direction;
use crate::store::{Db, Row, Rows, values};

/// An outbound message as it was accepted, and how far it came.
#[derive(Clone, Debug, PartialEq)]
pub struct StoredMessage {
    /// The message.
    pub message: Outbound,
    /// Where it stands.
    pub state: MessageState,
    /// Attempts that started, over all of its jobs.
    pub attempts: u32,
}

/// What is said of a message and has no column of its own.
#[derive(Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Extras {
    #[serde(skip_serializing_if = "Option::is_none")]
    reply_to: Option<ProviderMessageId>,
    #[serde(skip_serializing_if = "Option::is_none")]
    fallback: Option<Box<Template>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    on_uncertain: Option<OnUncertain>,
    #[serde(skip_serializing_if = "Option::is_none")]
    hours: Option<Box<HoursThere>>,
}

/// The column `extras` of a message; none where there is nothing to say.
pub(crate) fn extras(message: &Outbound) -> Result<Option<String>> {
    let extras = Extras {
        reply_to: message.reply_to.clone(),
        fallback: message.fallback.clone(),
        on_uncertain: message.on_uncertain,
        hours: message.hours.clone(),
    };
    (extras != Extras::default()).then(|| to_json(&extras, TABLE)).transpose()
}

/// Those of these ids that are known; without a message where it is an inbound one's.
pub(crate) fn find(db: Db<'_>, ids: &[MessageId]) -> Result<Vec<(MessageId, Option<StoredMessage>)>> {
    let mut wanted = Rows::of(&MESSAGES.columns[..1]);
    let different: std::collections::BTreeSet<_> = ids.iter().collect();
    different.into_iter().for_each(|id| wanted.push(values![*id]));
    db.find("SELECT * FROM {wanted} JOIN messages USING (id)", &wanted, |row| {
        let id = parsed(row, TABLE, "id")?;
        Ok((id, stored(row, id)?))
    })
}

fn stored(row: &Row<'_>, id: MessageId) -> Result<Option<StoredMessage>> {
    if parsed::<Direction>(row, TABLE, "direction")? == Direction::Inbound {
        return Ok(None);
    }
    let damaged = |error: serde_json::Error| RecordsError::damaged(TABLE, error);
    let kind: String = row.get("type")?;
    let content: serde_json::Value = json(row, TABLE, "content")?;
    let contact: String = row.get("contact")?;
    let extras: Extras = optional_json(row, TABLE, "extras")?.unwrap_or_default();
    let message = Outbound {
        id,
        channel: parsed(row, TABLE, "channel")?,
        to: serde_json::from_value(contact.into()).map_err(damaged)?,
        content: serde_json::from_value(json!({ "type": kind, "content": content })).map_err(damaged)?,
        priority: optional(row, TABLE, "priority")?.unwrap_or(palomar_model::Priority::Normal),
        scheduled_at: row.optional_time("scheduled_at")?,
        expires_at: row.optional_time("expires_at")?,
        campaign_id: row.get("campaign")?,
        campaign_place: messages::place(row)?,
        hours: extras.hours,
        reply_to: extras.reply_to,
        fallback: extras.fallback,
        on_uncertain: extras.on_uncertain,
        metadata: optional_json(row, TABLE, "metadata")?.unwrap_or_default(),
        accepted_at: row.time("created_at")?,
    };
    Ok(Some(StoredMessage {
        message,
        state: parsed(row, TABLE, "status")?,
        attempts: row.small("attempts")?,
    }))
}
