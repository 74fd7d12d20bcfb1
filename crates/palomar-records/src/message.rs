//! A message as readers see it, outbound or inbound. No SQL.

use crate::tables::media::MediaView;
use crate::tables::message_changes::ChangesView;
use palomar_model::{ChannelName, InboundMessage, MessageId, MessageState, Outbound, Priority, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

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
    /// What it says. Of an inbound message: `text`, what it says of one type as `content`, what is around it (`contextId`,
    /// `contextFrom`, `forwarded`, `referral`, `product`, `mentions`, `moreMedia`, `groupId`, `errors`), and the provider's
    /// own object as `raw`.
    pub content: Json,
    /// Where it stands.
    pub status: MessageStatus,
    /// How urgent it is.
    pub priority: Option<Priority>,
    /// Its campaign.
    pub campaign_id: Option<String>,
    /// The sender's own data.
    pub metadata: Option<Json>,
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
    /// What was done to it after it was written.
    #[serde(flatten)]
    pub changes: ChangesView,
    /// What came with it: the bytes, each fetched after the message.
    pub media: Vec<MediaView>,
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

impl std::str::FromStr for Direction {
    type Err = UnknownDirection;

    fn from_str(text: &str) -> Result<Direction, UnknownDirection> {
        [Direction::Outbound, Direction::Inbound]
            .into_iter()
            .find(|direction| direction.as_str() == text)
            .ok_or(UnknownDirection)
    }
}

/// A word that is no [`Direction`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected outbound or inbound")]
pub struct UnknownDirection;

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
    let metadata = (!message.metadata.is_empty()).then(|| Json::Object(message.metadata.clone()));
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
        changes: ChangesView::default(),
        media: Vec::new(),
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
        content: said(message),
        status: MessageStatus::Received,
        priority: None,
        campaign_id: None,
        metadata: None,
        provider_message_id: Some(message.provider_id.to_string()),
        attempts: 0,
        code: None,
        reason: None,
        possible_duplicate: false,
        changes: ChangesView::default(),
        media: Vec::new(),
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

/// What an inbound message says, as it is kept.
pub(crate) fn said(message: &InboundMessage) -> Json {
    serde_json::json!({
        "text": message.text, "content": message.content, "contextId": message.context_id,
        "contextFrom": message.context_from, "forwarded": message.forwarded, "referral": message.referral,
        "product": message.product, "mentions": message.mentions, "moreMedia": message.more_media,
        "groupId": message.group_id, "errors": message.errors, "raw": message.raw,
    })
}

/// A message that the business wrote elsewhere; `contact` is whom it is for. The provider has it: it is sent.
pub(crate) fn echoed_view(
    id: MessageId,
    channel: &ChannelName,
    contact: String,
    message: &InboundMessage,
    now: Timestamp,
) -> MessageView {
    MessageView {
        direction: Direction::Outbound,
        status: MessageStatus::Outbound(MessageState::Sent),
        ..received_view(id, channel, contact, message, now)
    }
}
