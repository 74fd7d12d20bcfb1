//! `messages`: outbound and inbound messages as they stand.

use palomar_model::{ChannelName, InboundMessage, MessageId, MessageState, Outbound, Priority, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, Row, params};
use serde::Serialize;
use serde_json::Value;

use super::{json, optional_json, optional_time, parsed, time, to_json};
use crate::error::{RecordsError, Result};

pub(super) const TABLE: &str = "messages";
/// More of a text is not searched.
const SUMMARY_CHARS: usize = 512;

/// Which way a message went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Direction {
    /// From us.
    #[serde(alias = "out")]
    Outbound,
    /// To us.
    #[serde(alias = "in")]
    Inbound,
}

/// Where a message stands: an outbound one in its state, an inbound one is received.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum MessageStatus {
    /// Of an outbound message.
    Outbound(MessageState),
    /// Of an inbound message.
    Received,
}

/// A message as it stands.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MessageView {
    /// Its id.
    pub id: MessageId,
    /// Which way it went.
    pub direction: Direction,
    /// The channel.
    pub channel: ChannelName,
    /// The other side: a phone number in E.164 or a BSUID, in full.
    pub contact: String,
    /// Its type: ours for outbound, the provider's word for inbound messages.
    pub r#type: String,
    /// What it says. Of an inbound message: `text`, `contextId`, `groupId` and the provider's own object as `raw`.
    pub content: Value,
    /// Where it stands.
    pub status: MessageStatus,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Its campaign.
    pub campaign_id: Option<String>,
    /// The sender's own data.
    pub metadata: Option<Value>,
    /// The provider's id of it.
    pub provider_message_id: Option<String>,
    /// Attempts that started.
    pub attempts: u32,
    /// The newest failure's code.
    pub code: Option<String>,
    /// The newest failure in words.
    pub reason: Option<String>,
    /// It had no id of its own and looks like another.
    pub possible_duplicate: bool,
    /// When it was accepted or received.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
    /// When it is or was due, if not at once.
    pub scheduled_at: Option<Timestamp>,
    /// When it is no longer worth sending.
    pub expires_at: Option<Timestamp>,
    /// When the provider took it.
    pub sent_at: Option<Timestamp>,
    /// When it was on the device.
    pub delivered_at: Option<Timestamp>,
    /// When it was read.
    pub read_at: Option<Timestamp>,
    /// When it failed.
    pub failed_at: Option<Timestamp>,
}

/// What facts change of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) channel: ChannelName,
    pub(crate) state: MessageState,
    pub(crate) provider_id: Option<String>,
    pub(crate) attempts: u32,
    /// Attempts of earlier jobs of the message, which are part of `attempts`.
    pub(crate) earlier_attempts: u32,
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) updated_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) failed_at: Option<Timestamp>,
}

impl Direction {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Direction::Outbound => "outbound",
            Direction::Inbound => "inbound",
        }
    }
}

impl MessageStatus {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MessageStatus::Outbound(state) => state.as_str(),
            MessageStatus::Received => "received",
        }
    }
}

impl std::fmt::Display for MessageStatus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

impl std::str::FromStr for MessageStatus {
    type Err = palomar_model::UnknownState;

    fn from_str(text: &str) -> Result<MessageStatus, Self::Err> {
        if text == "received" {
            Ok(MessageStatus::Received)
        } else {
            text.parse().map(MessageStatus::Outbound)
        }
    }
}

impl Serialize for MessageStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> serde::Deserialize<'de> for MessageStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<MessageStatus, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// An outbound message as it is before anything but its acceptance is known of it.
#[must_use]
pub fn accepted_view(message: &Outbound, state: MessageState, at: Timestamp) -> MessageView {
    let content = serde_json::to_value(&message.content).unwrap_or_default();
    let metadata = (!message.metadata.is_empty()).then(|| Value::Object(message.metadata.clone()));
    MessageView {
        id: message.id,
        direction: Direction::Outbound,
        channel: message.channel.clone(),
        contact: message.to.expose().to_owned(),
        r#type: message.content.kind().as_str().to_owned(),
        content: content.get("content").cloned().unwrap_or_default(),
        status: MessageStatus::Outbound(state),
        priority: Some(message.priority),
        campaign_id: message.campaign_id.clone(),
        metadata,
        provider_message_id: None,
        attempts: 0,
        code: None,
        reason: None,
        possible_duplicate: false,
        created_at: at,
        updated_at: at,
        scheduled_at: message.scheduled_at,
        expires_at: message.expires_at,
        sent_at: None,
        delivered_at: None,
        read_at: None,
        failed_at: None,
    }
}

/// An inbound message; `contact` is whom it is from.
pub(crate) fn received_view(
    id: MessageId,
    channel: &ChannelName,
    contact: String,
    message: &InboundMessage,
    now: Timestamp,
) -> MessageView {
    MessageView {
        id,
        direction: Direction::Inbound,
        channel: channel.clone(),
        contact,
        r#type: message.kind.clone(),
        content: serde_json::json!({
            "text": message.text, "contextId": message.context_id, "groupId": message.group_id, "raw": message.raw,
        }),
        status: MessageStatus::Received,
        priority: None,
        campaign_id: None,
        metadata: None,
        provider_message_id: Some(message.provider_id.to_string()),
        attempts: 0,
        code: None,
        reason: None,
        possible_duplicate: false,
        created_at: now,
        updated_at: now,
        scheduled_at: None,
        expires_at: None,
        sent_at: Some(message.at),
        delivered_at: None,
        read_at: None,
        failed_at: None,
    }
}

/// Writes a message; whether it was new.
pub(crate) fn insert(
    connection: &Connection,
    view: &MessageView,
    match_key: &str,
    summary: Option<&str>,
    extras: Option<&str>,
) -> Result<bool> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO messages (id, direction, channel, contact, match_key, type, content, summary, status, priority,
             campaign, metadata, provider_id, possible_duplicate, created_at, updated_at, scheduled_at, expires_at,
             sent_at, extras)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, ?20)
         ON CONFLICT DO NOTHING",
    )?;
    let written = statement.execute(params![
        view.id.to_string(),
        view.direction.as_str(),
        view.channel.as_str(),
        view.contact,
        match_key,
        view.r#type,
        to_json(&view.content, TABLE)?,
        summary.map(|text| text.chars().take(SUMMARY_CHARS).collect::<String>()),
        view.status.as_str(),
        view.priority.map(Priority::as_str),
        view.campaign_id,
        view.metadata.as_ref().map(|metadata| to_json(metadata, TABLE)).transpose()?,
        view.provider_message_id,
        i64::from(view.possible_duplicate),
        view.created_at.micros(),
        view.updated_at.micros(),
        view.scheduled_at.map(Timestamp::micros),
        view.expires_at.map(Timestamp::micros),
        view.sent_at.map(Timestamp::micros),
        extras,
    ])?;
    Ok(written == 1)
}

/// What facts change of an outbound message, as it stands.
pub(crate) fn head(connection: &Connection, id: MessageId) -> Result<Option<Head>> {
    let mut statement = connection.prepare_cached(
        "SELECT channel, status, provider_id, attempts, code, reason, updated_at, sent_at, delivered_at, read_at,
             failed_at, earlier_attempts
         FROM messages WHERE id = ?1 AND direction = 'outbound'",
    )?;
    let mut rows = statement.query([id.to_string()])?;
    let Some(row) = rows.next()? else { return Ok(None) };
    Ok(Some(Head {
        channel: parsed(row, TABLE, "channel")?,
        state: parsed(row, TABLE, "status")?,
        provider_id: row.get("provider_id")?,
        attempts: row.get("attempts")?,
        earlier_attempts: row.get("earlier_attempts")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        updated_at: time(row, "updated_at")?,
        sent_at: optional_time(row, "sent_at")?,
        delivered_at: optional_time(row, "delivered_at")?,
        read_at: optional_time(row, "read_at")?,
        failed_at: optional_time(row, "failed_at")?,
    }))
}

/// Writes what facts changed.
pub(crate) fn update(connection: &Connection, id: MessageId, head: &Head) -> Result<()> {
    let mut statement = connection.prepare_cached(
        "UPDATE messages SET status = ?2, provider_id = ?3, attempts = ?4, code = ?5, reason = ?6, updated_at = ?7,
             sent_at = ?8, delivered_at = ?9, read_at = ?10, failed_at = ?11, earlier_attempts = ?12
         WHERE id = ?1",
    )?;
    statement.execute(params![
        id.to_string(),
        head.state.as_str(),
        head.provider_id,
        i64::from(head.attempts),
        head.code,
        head.reason,
        head.updated_at.micros(),
        head.sent_at.map(Timestamp::micros),
        head.delivered_at.map(Timestamp::micros),
        head.read_at.map(Timestamp::micros),
        head.failed_at.map(Timestamp::micros),
        i64::from(head.earlier_attempts),
    ])?;
    Ok(())
}

/// One message.
pub(crate) fn get(connection: &Connection, id: MessageId) -> Result<Option<MessageView>> {
    let mut statement = connection.prepare_cached("SELECT * FROM messages WHERE id = ?1")?;
    let found = statement.query_row([id.to_string()], |row| Ok(view(row))).optional()?;
    found.transpose()
}

/// How many messages stand where.
pub(crate) fn by_status(connection: &Connection) -> Result<Vec<(String, u64)>> {
    let mut statement = connection.prepare_cached("SELECT status, COUNT(*) FROM messages GROUP BY status")?;
    let mut rows = statement.query([])?;
    let mut found = Vec::new();
    while let Some(row) = rows.next()? {
        found.push((row.get(0)?, super::count(row, 1)?));
    }
    Ok(found)
}

pub(crate) fn view(row: &Row<'_>) -> Result<MessageView> {
    let direction: String = row.get("direction")?;
    let priority: Option<String> = row.get("priority")?;
    let priority = priority.map(|word| word.parse()).transpose();
    Ok(MessageView {
        id: parsed(row, TABLE, "id")?,
        direction: if direction == Direction::Inbound.as_str() {
            Direction::Inbound
        } else {
            Direction::Outbound
        },
        channel: parsed(row, TABLE, "channel")?,
        contact: row.get("contact")?,
        r#type: row.get("type")?,
        content: json(row, TABLE, "content")?,
        status: parsed(row, TABLE, "status")?,
        priority: priority.map_err(|error| RecordsError::damaged(TABLE, error))?,
        campaign_id: row.get("campaign")?,
        metadata: optional_json(row, TABLE, "metadata")?,
        provider_message_id: row.get("provider_id")?,
        attempts: row.get("attempts")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        possible_duplicate: row.get::<_, i64>("possible_duplicate")? != 0,
        created_at: time(row, "created_at")?,
        updated_at: time(row, "updated_at")?,
        scheduled_at: optional_time(row, "scheduled_at")?,
        expires_at: optional_time(row, "expires_at")?,
        sent_at: optional_time(row, "sent_at")?,
        delivered_at: optional_time(row, "delivered_at")?,
        read_at: optional_time(row, "read_at")?,
        failed_at: optional_time(row, "failed_at")?,
    })
}
