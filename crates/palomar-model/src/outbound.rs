//! An outbound message as it is queued and sent.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::{
    CampaignPlace, ChannelName, Content, MessageId, Priority, ProviderMessageId, Recipient, SendingHours,
    Template, Timestamp, ZoneName,
};

/// The version of what [`Outbound::encode`] writes.
const VERSION: u8 = 1;

/// A message on its way out: what the job in a channel's queue holds.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Outbound {
    /// Its id, and that of its job.
    pub id: MessageId,
    /// The channel that sends it.
    pub channel: ChannelName,
    /// Whom it goes to.
    pub to: Recipient,
    /// What it says: the keys `type` and `content`.
    #[serde(flatten)]
    pub content: Content,
    /// How urgent it is.
    #[serde(default, skip_serializing_if = "is_default")]
    pub priority: Priority,
    /// When it becomes due, if not at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scheduled_at: Option<Timestamp>,
    /// When it is no longer worth sending.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Timestamp>,
    /// The campaign it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_id: Option<String>,
    /// Its place there, where the campaign itself made it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub campaign_place: Option<CampaignPlace>,
    /// When its recipient may be written to; at all times where not said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hours: Option<Box<HoursThere>>,
    /// The message it answers, which is shown quoted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reply_to: Option<ProviderMessageId>,
    /// What is sent instead where only a template may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Box<Template>>,
    /// What becomes of it when its outcome stays unknown; the channel's setting where `None`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on_uncertain: Option<OnUncertain>,
    /// The sender's own data, handed back with every event.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// When it was accepted.
    pub accepted_at: Timestamp,
}

/// When a recipient may be written to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct HoursThere {
    /// The hours.
    pub hours: SendingHours,
    /// The zones that the recipient may be in: the hours hold in all of them.
    pub zones: Vec<ZoneName>,
}

fn is_default(priority: &Priority) -> bool {
    *priority == Priority::default()
}

/// Bytes that are no stored message.
#[derive(Debug, thiserror::Error)]
pub enum DecodeError {
    /// Written by a newer Palomar.
    #[error("a stored message has version {0}, this program reads up to {VERSION}")]
    Version(u64),
    /// Not the JSON of a message.
    #[error("a stored message cannot be read: {0}")]
    Malformed(#[from] serde_json::Error),
}

impl Outbound {
    /// The bytes under which it is stored: JSON with a version `v`.
    ///
    /// # Errors
    /// None in practice: every field has a JSON form.
    pub fn encode(&self) -> Result<Vec<u8>, serde_json::Error> {
        #[derive(Serialize)]
        struct Stored<'a> {
            v: u8,
            #[serde(flatten)]
            message: &'a Outbound,
        }
        serde_json::to_vec(&Stored { v: VERSION, message: self })
    }

    /// Reads what [`Outbound::encode`] wrote.
    ///
    /// # Errors
    /// [`DecodeError`] for a newer version and for anything else.
    pub fn decode(bytes: &[u8]) -> Result<Outbound, DecodeError> {
        #[derive(Deserialize)]
        struct Versioned {
            v: u64,
        }
        let Versioned { v } = serde_json::from_slice(bytes)?;
        if v > u64::from(VERSION) {
            return Err(DecodeError::Version(v));
        }
        Ok(serde_json::from_slice(bytes)?)
    }
}

/// Shows what is needed to find it again, nothing personal.
impl fmt::Debug for Outbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Outbound")
            .field("id", &self.id)
            .field("channel", &self.channel)
            .field("to", &self.to)
            .field("content", &self.content)
            .field("priority", &self.priority)
            .finish_non_exhaustive()
    }
}

/// What becomes of a message whose outcome stays unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OnUncertain {
    /// It waits, visibly, for a person.
    #[default]
    Hold,
    /// It is sent again, perhaps twice: at least once.
    Retry,
    /// It fails, perhaps sent: at most once.
    Drop,
}

/// Who carries a channel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Provider {
    /// Meta's WhatsApp Cloud API.
    CloudApi,
    /// Twilio.
    Twilio,
    /// Evolution API.
    Evolution,
    /// WhatsApp Web in a browser.
    Web,
    /// Built in and simulated: nothing leaves the machine.
    Sandbox,
}

/// A word that is none of its type's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("unknown word (expected one of {0})")]
pub struct UnknownWord(&'static str);

impl Provider {
    /// All of them.
    pub const ALL: [Provider; 5] =
        [Provider::CloudApi, Provider::Twilio, Provider::Evolution, Provider::Web, Provider::Sandbox];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Provider::CloudApi => "cloud_api",
            Provider::Twilio => "twilio",
            Provider::Evolution => "evolution",
            Provider::Web => "web",
            Provider::Sandbox => "sandbox",
        }
    }

    /// Whether it takes free text only for people who wrote in the last 24 hours.
    #[must_use]
    pub const fn has_windows(self) -> bool {
        matches!(self, Provider::CloudApi | Provider::Twilio)
    }
}

impl OnUncertain {
    /// All of them.
    pub const ALL: [OnUncertain; 3] = [OnUncertain::Hold, OnUncertain::Retry, OnUncertain::Drop];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            OnUncertain::Hold => "hold",
            OnUncertain::Retry => "retry",
            OnUncertain::Drop => "drop",
        }
    }
}

impl fmt::Display for Provider {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Display for OnUncertain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Provider {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<Provider, UnknownWord> {
        let expected = UnknownWord("cloud_api, twilio, evolution, web, sandbox");
        Provider::ALL.into_iter().find(|provider| provider.as_str() == text).ok_or(expected)
    }
}

impl FromStr for OnUncertain {
    type Err = UnknownWord;

    fn from_str(text: &str) -> Result<OnUncertain, UnknownWord> {
        let expected = UnknownWord("hold, retry, drop");
        OnUncertain::ALL.into_iter().find(|policy| policy.as_str() == text).ok_or(expected)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::IdGenerator;

    fn message() -> Outbound {
        Outbound {
            id: IdGenerator::new(1).message_id(Timestamp::from_seconds(1_767_225_600)),
            channel: "demo".parse().expect("a name"),
            to: Recipient::parse("+34600111222", None).expect("a number"),
            content: Content::text("Hola Lucía"),
            priority: Priority::Normal,
            scheduled_at: None,
            expires_at: None,
            campaign_id: None,
            campaign_place: None,
            hours: None,
            reply_to: None,
            fallback: None,
            on_uncertain: None,
            metadata: Map::new(),
            accepted_at: Timestamp::from_seconds(1_767_225_600),
        }
    }

    #[test]
    fn stored_small_and_read_back() {
        let message = message();
        let bytes = message.encode().expect("json");
        let json: Value = serde_json::from_slice(&bytes).expect("json");
        let mut keys: Vec<_> = json.as_object().expect("an object").keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["acceptedAt", "channel", "content", "id", "to", "type", "v"]);
        assert_eq!(
            (&json["v"], &json["type"], &json["content"]["text"]),
            (&1.into(), &"text".into(), &"Hola Lucía".into())
        );
        assert!(Outbound::decode(&bytes).expect("decoded") == message);
    }

    #[test]
    fn every_field_comes_back() {
        let mut message = message();
        message.priority = Priority::Critical;
        message.scheduled_at = Some(Timestamp::from_micros(1_767_225_600_123_456));
        message.expires_at = Some(Timestamp::MAX);
        message.campaign_id = Some("verano".to_owned());
        message.reply_to = Some(ProviderMessageId("wamid.X".into()));
        message.fallback =
            Some(Box::new(Template { name: "t".into(), language: "es".into(), components: vec![] }));
        message.on_uncertain = Some(OnUncertain::Drop);
        message.metadata.insert("lead".to_owned(), 42.into());
        assert!(Outbound::decode(&message.encode().expect("json")).expect("decoded") == message);
    }

    #[test]
    fn a_newer_version_is_refused() {
        assert!(matches!(Outbound::decode(br#"{"v":2,"text":"?"}"#), Err(DecodeError::Version(2))));
        assert!(matches!(Outbound::decode(br#"{"v":1}"#), Err(DecodeError::Malformed(_))));
        assert!(matches!(Outbound::decode(b"\xff"), Err(DecodeError::Malformed(_))));
    }

    #[test]
    fn debug_output_names_nobody() {
        let shown = format!("{:?}", message());
        assert!(!shown.contains("600111222") && !shown.contains("Lucía"), "{shown}");
    }

    #[test]
    fn words() {
        for provider in Provider::ALL {
            assert_eq!(provider.as_str().parse(), Ok(provider));
            assert_eq!(serde_json::to_value(provider).expect("json"), provider.as_str());
        }
        for policy in OnUncertain::ALL {
            assert_eq!(policy.as_str().parse(), Ok(policy));
            assert_eq!(serde_json::to_value(policy).expect("json"), policy.as_str());
        }
        assert!("telegram".parse::<Provider>().is_err());
    }
}
