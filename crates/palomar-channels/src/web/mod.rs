//! WhatsApp Web: a session of a real browser that somebody's phone is linked with.
//!
//! `compose` turns content into what is written, `validate` says what can't be, `hear` turns what the page shows into
//! events, `files` brings a link's file to the disk. Driving the page is `palomar-web`'s; this file holds the settings
//! and makes the attempt.
//!
//! What always holds: before anything is pressed the attempt's progress says so, which is what a time-out means; a tag
//! that was pressed before is looked for in its chat and never pressed again.

mod compose;
mod files;
mod hear;
mod validate;

use std::sync::Arc;
use std::time::Duration;

use palomar_model::{
    ChannelName, Content, ErrorClass, FieldError, Outbound, Provider, ProviderMessageId, Recipient, Scope,
    SendFailure, SendingHours, Tag, Timestamp, ZoneName,
};
use palomar_web::{Attachment, Draft, Known, Pace, Session, Taken};
use serde::{Deserialize, Serialize};

use crate::Progress;
use crate::channel::{
    BoxFuture, Channel, Delivery, Lookup, Parsed, RateLimit, RateProfile, Sent, Verified, WebhookError,
    WebhookRequest,
};
use crate::deadline::is_repeat;
use crate::media::Fetcher;
use crate::sandbox::SandboxSink;

/// The server's tick is waited for so long.
const TICK_WITHIN: Duration = Duration::from_secs(12);
/// The longest pause between two messages.
const LONGEST_PAUSE: u32 = 3_600_000;

/// The settings of a channel that is a browser session.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct WebConfig {
    /// The shortest pause between two messages, in milliseconds.
    pub delay_min_ms: u32,
    /// The longest: each pause is drawn between the two.
    pub delay_max_ms: u32,
    /// Whether writing takes the time that it takes a person.
    pub typing: bool,
    /// The hours in which it sends; always where none are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hours: Option<SendingHours>,
    /// Whose clocks the hours are by; universal time where none are named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<ZoneName>,
    /// The pool that it sends for: several sessions of one business, each with contacts of its own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pool: Option<ChannelName>,
}

impl WebConfig {
    /// How long it does not send from now on, by its hours.
    fn rest(&self, now: Timestamp) -> Option<Duration> {
        let zone = self.time_zone.clone().unwrap_or_else(ZoneName::utc);
        let next = self.hours.as_ref()?.next(now, &[zone])?;
        (next > now).then(|| next.since(now))
    }
}

/// A browser session as a channel.
pub struct Web {
    config: WebConfig,
    session: Session,
    fetcher: Fetcher,
    url: String,
}

impl Web {
    /// A channel that sends by `session`, and hands what it hears to `sink`. `url` is the page's address, `fetcher` gets
    /// files that are given by links.
    ///
    /// # Errors
    /// What is wrong with the settings.
    pub fn new(
        config: WebConfig,
        session: Session,
        url: &str,
        fetcher: Fetcher,
        sink: Arc<dyn SandboxSink>,
    ) -> Result<Web, Vec<FieldError>> {
        let mut wrong = Vec::new();
        if config.delay_max_ms < config.delay_min_ms {
            wrong.push(FieldError::new("/settings/delayMaxMs", "must not be below delayMinMs"));
        }
        if config.delay_max_ms > LONGEST_PAUSE {
            wrong.push(FieldError::new("/settings/delayMaxMs", "must be at most 3600000"));
        }
        if !wrong.is_empty() {
            return Err(wrong);
        }
        session.tell(Arc::new(hear::Events::new(sink)));
        Ok(Web { config, session, fetcher, url: url.to_owned() })
    }

    /// The settings.
    #[must_use]
    pub const fn config(&self) -> &WebConfig {
        &self.config
    }

    /// The pause before a message: drawn by its id, so that it is the same however often that is asked.
    fn pace(&self, tag: Tag) -> Pace {
        let span = u64::from(self.config.delay_max_ms.saturating_sub(self.config.delay_min_ms)) + 1;
        let mixed =
            (tag.message.0.as_u128() as u64 ^ u64::from(tag.attempt)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let millis = u64::from(self.config.delay_min_ms) + (mixed >> 20) % span;
        Pace { pause: Duration::from_millis(millis), typing: self.config.typing }
    }

    fn draft(&self, message: &Outbound, tag: Tag, file: Option<Attachment>) -> Result<Draft, SendFailure> {
        let Recipient::Phone(phone) = &message.to else {
            return Err(SendFailure::new(ErrorClass::Recipient, "WhatsApp Web reaches phone numbers only"));
        };
        let text = compose::text(&message.content).ok_or_else(|| {
            let kind = message.content.kind();
            SendFailure::new(ErrorClass::Content, format!("WhatsApp Web can't send this {kind}"))
        })?;
        let to = phone.digits().to_owned();
        Ok(Draft { to, text, file, pace: self.pace(tag), tick_within: TICK_WITHIN })
    }

    async fn attempt(&self, message: &Outbound, tag: Tag) -> Result<Sent, SendFailure> {
        let progress = Progress::current();
        if is_repeat() {
            // Until it is known not to have been pressed it may have gone, whatever stops the search.
            progress.handed_over();
            let draft = self.draft(message, tag, None)?;
            match self.session.look(&draft, tag).await {
                Ok(Known::Taken(taken)) => return Ok(sent(taken)),
                Ok(Known::NotPressed) => {}
                Ok(Known::Unknown) => {
                    let title = "it may have been pressed before, and its chat does not show it: it is not pressed again";
                    return Err(SendFailure::new(ErrorClass::Unknown, title));
                }
                Err(failure) => {
                    let title = "it may have been pressed before, and can't be looked for now";
                    let failure = failure.to_string();
                    return Err(SendFailure::new(ErrorClass::Unknown, title).with_detail(failure));
                }
            }
        }
        progress.begin();
        if let Some(after) = self.config.rest(self.session.now()) {
            let class = ErrorClass::Throttled { after: Some(after), scope: Scope::Channel };
            return Err(SendFailure::new(class, "the session's hours are over").with_code("hours"));
        }
        let kept = match compose::file(&message.content) {
            Some(media) => Some(files::fetch(&self.fetcher, &self.url, media).await?),
            None => None,
        };
        let as_document = matches!(message.content, Content::Document(_) | Content::Audio(_));
        let file = kept.as_ref().map(|kept| Attachment { path: kept.path().to_owned(), as_document });
        let draft = self.draft(message, tag, file)?;
        let taken = self.session.send(&draft, tag, &|| progress.handed_over()).await?;
        Ok(sent(taken))
    }
}

fn sent(taken: Taken) -> Sent {
    Sent { provider_id: ProviderMessageId(taken.id.into()), alias: None, status: None }
}

impl Channel for Web {
    fn provider(&self) -> Provider {
        Provider::Web
    }

    /// Nothing official: WhatsApp bans who is too fast. One chat at a time, which is what one page can do.
    fn profile(&self) -> RateProfile {
        let limit = |scope, count| RateLimit { scope, count, window: Duration::from_secs(60) };
        RateProfile { limits: vec![limit(Scope::Channel, 80), limit(Scope::Pair, 10)], concurrency: 1 }
    }

    fn validate(&self, to: &Recipient, content: &Content) -> Vec<FieldError> {
        validate::validate(to, content)
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        Box::pin(self.attempt(message, tag))
    }

    /// A tag is pressed once: repeating it looks for it.
    fn unknown_is_repeatable(&self) -> bool {
        true
    }

    fn lookup<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Lookup, SendFailure>> {
        Box::pin(async move {
            let draft = self.draft(message, tag, None)?;
            Ok(match self.session.look(&draft, tag).await? {
                Known::Taken(taken) => Lookup::Taken(sent(taken)),
                Known::NotPressed => Lookup::NotTaken,
                Known::Unknown => Lookup::Unknowable,
            })
        })
    }

    fn verify(&self, _: &WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Err(WebhookError::Forbidden)
    }

    fn parse(&self, _: &Delivery<'_>) -> Parsed {
        Parsed::default()
    }

    /// The page is not told which message is answered.
    fn can_quote(&self) -> bool {
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settings_are_read_as_they_are_written() {
        let said = serde_json::json!({
            "delay_min_ms": 1, "hours": { "from": "09:00", "until": "18:00", "days": ["mon"] }, "time_zone": "Europe/Madrid",
        });
        let config: WebConfig = serde_json::from_value(said.clone()).expect("read");
        let written = serde_json::to_value(&config).expect("written");
        assert_eq!((&written["hours"], &written["time_zone"]), (&said["hours"], &said["time_zone"]));
    }

    #[test]
    fn outside_of_its_hours_a_session_waits_for_them() {
        let config = |hours: Option<(&str, &str)>| WebConfig {
            hours: hours.map(|(from, until)| {
                let time = |text: &str| text.parse().expect("a time");
                SendingHours::new(time(from), time(until), Vec::new()).expect("hours")
            }),
            time_zone: Some("Europe/Madrid".parse().expect("a zone")),
            ..WebConfig::default()
        };
        // 1970-01-01 00:00 in Greenwich is one hour later in Madrid.
        let now = Timestamp::EPOCH;
        for (hours, wait) in [
            (None, None),
            (Some(("00:00", "24:00")), None),
            (Some(("09:00", "18:00")), Some(Duration::from_secs(8 * 3600))),
            (Some(("00:00", "01:00")), Some(Duration::from_secs(23 * 3600))),
        ] {
            assert_eq!(config(hours).rest(now), wait, "{hours:?}");
        }
    }
}
