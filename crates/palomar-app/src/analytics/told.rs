//! What others tell: conversions, and what happened to messages that others sent.

use std::time::Duration;

use palomar_model::analytics::{FailureReason, Metric, Series, Stage};
use palomar_model::{ChannelName, FieldError, MessageId, Recipient, Timestamp};
use palomar_records::{Conversion, Converted, TrackedEvent};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{App, AppError, Caller};

/// Clocks of those who tell may be so far ahead.
const SKEW: Duration = Duration::from_secs(300);
/// More events are not taken at once.
const MOST_EVENTS: usize = 10_000;
const LONGEST_ID: usize = 255;
const LONGEST_WORD: usize = 64;
/// A value is kept in millionths; larger ones are a mistake.
const MOST_VALUE: f64 = 1e9;
/// No provider takes longer.
const MOST_LATENCY: Duration = Duration::from_secs(24 * 3600);

/// What a conversation led to, as it is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewConversion {
    /// What makes it the same as another; one is made where it is left out.
    pub id: Option<String>,
    /// `lead`, `appointment`, `sale`, or a word of your own.
    pub kind: String,
    /// What it is worth.
    pub value: Option<f64>,
    /// In which currency (ISO 4217).
    pub currency: Option<String>,
    /// When; now where left out.
    pub at: Option<Timestamp>,
    /// The message that led to it.
    pub message_id: Option<MessageId>,
    /// The person: a phone number or a business-scoped user id.
    pub to: Option<String>,
    /// The channel.
    pub channel: Option<ChannelName>,
    /// The campaign.
    pub campaign_id: Option<String>,
    /// Your own data.
    pub metadata: Option<Value>,
}

/// A conversion as it was kept.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversionKept {
    /// What was kept.
    #[serde(flatten)]
    pub conversion: Conversion,
    /// What it is worth.
    pub value: Option<f64>,
    /// Whether it is put down to a message or a campaign.
    pub attributed: bool,
    /// Whether it came before: nothing changed.
    pub repeated: bool,
}

/// Something that a message of others did, as it is told.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct EventInput {
    /// What makes it the same as another.
    pub id: String,
    /// `sent`, `delivered`, `read`, `failed` or `received`.
    pub kind: String,
    /// The channel that it is counted under.
    pub channel: String,
    /// When; now where left out.
    pub at: Option<Timestamp>,
    /// The person, who tells the country.
    pub phone: Option<String>,
    /// The type of the message.
    pub r#type: Option<String>,
    /// Its campaign.
    pub campaign_id: Option<String>,
    /// Its template.
    pub template: Option<String>,
    /// Why it failed.
    pub code: Option<String>,
    /// How long the provider took.
    pub latency_ms: Option<u64>,
}

/// What became of one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct EventTold {
    /// Its id.
    pub id: String,
    /// `counted`, or `repeated`: it came before, and counted then.
    pub status: &'static str,
}

/// Millionths of an amount.
fn millionths(value: f64) -> Option<i64> {
    let fits = value.is_finite() && value.abs() <= MOST_VALUE;
    #[expect(clippy::cast_possible_truncation, reason = "at most 1e15")]
    fits.then(|| (value * 1_000_000.0).round() as i64)
}

/// Refuses a text that is no word of up to so many characters.
fn word(pointer: impl FnOnce() -> String, text: &str, longest: usize, errors: &mut Vec<FieldError>) {
    if text.trim().is_empty() || text.chars().count() > longest || text.chars().any(char::is_control) {
        errors.push(FieldError::new(pointer(), format!("must have 1 to {longest} characters")));
    }
}

/// Whether a conversion is on a channel of the caller's.
fn sees(caller: &Caller, kept: &Conversion) -> bool {
    let own =
        |channels: &[ChannelName]| channels.iter().any(|own| Some(own.as_str()) == kept.channel.as_deref());
    caller.channels.as_deref().is_none_or(own)
}

impl App {
    /// Keeps what a conversation led to. One whose id came before changes nothing. A key that is bound to channels tells
    /// those of its channels: messages and conversions of others are to it as if there were none.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for what breaks a rule; a conflict where the id came before with something else.
    pub async fn convert(&self, new: NewConversion, caller: &Caller) -> Result<ConversionKept, AppError> {
        let now = self.clock.now();
        let conversion = self.read_conversion(new, now, caller)?;
        let window = self.config.analytics.conversion_window;
        let (kept, is_new) = match self.records.convert(conversion.clone(), window, now).await? {
            Converted::New(kept) => (kept, true),
            Converted::Known(kept) => (kept, false),
            Converted::Received => {
                let detail = "is a message that was received: name the one that was sent, or say `to`";
                return Err(AppError::invalid("/messageId", detail));
            }
        };
        let same = |kept: &Conversion| {
            (&kept.kind, kept.value, &kept.currency)
                == (&conversion.kind, conversion.value, &conversion.currency)
        };
        let repeats = |kept: &Conversion| sees(caller, kept) && same(kept);
        if !is_new && !repeats(&kept) {
            let detail = format!("conversion {} came before, and said something else", kept.id);
            return Err(AppError::Conflict { code: "conversion_differs", detail });
        }
        #[expect(clippy::cast_precision_loss, reason = "an amount as it is shown")]
        let value = kept.value.map(|value| value as f64 / 1_000_000.0);
        let attributed = kept.message_id.is_some() || kept.campaign_id.is_some();
        Ok(ConversionKept { conversion: kept, value, attributed, repeated: !is_new })
    }

    fn read_conversion(
        &self,
        new: NewConversion,
        now: Timestamp,
        caller: &Caller,
    ) -> Result<Conversion, AppError> {
        let mut errors = Vec::new();
        word(|| "/kind".to_owned(), &new.kind, LONGEST_WORD, &mut errors);
        if let Some(id) = &new.id {
            word(|| "/id".to_owned(), id, LONGEST_ID, &mut errors);
        }
        if let Some(campaign) = &new.campaign_id {
            word(|| "/campaignId".to_owned(), campaign, LONGEST_ID, &mut errors);
        }
        let value = new.value.map(millionths);
        if value == Some(None) {
            errors.push(FieldError::new("/value", "must be a number of at most a thousand million"));
        }
        let currency = new.currency.map(|currency| currency.to_ascii_uppercase());
        match &currency {
            None if value.is_some() => {
                errors.push(FieldError::new("/currency", "is needed beside a value, for example EUR"));
            }
            Some(code) if code.len() != 3 || !code.bytes().all(|c| c.is_ascii_uppercase()) => {
                errors.push(FieldError::new("/currency", "must be three letters, for example EUR"));
            }
            _ => {}
        }
        let at = new.at.unwrap_or(now);
        if at > now.after(SKEW) {
            errors.push(FieldError::new("/at", "is in the future"));
        }
        let to = new.to.as_deref().map(|to| Recipient::parse(to, self.default_region()));
        let match_key = match to {
            Some(Err(error)) => {
                errors.push(FieldError::new("/to", error.to_string()));
                None
            }
            Some(Ok(to)) => Some(to.key()),
            None => None,
        };
        let channel = match (new.channel, caller.channels.as_deref()) {
            (Some(named), _) if !caller.may_use(&named) => return Err(AppError::NotFound("channel")),
            (None, Some([only])) => Some(only.clone()),
            (None, Some(_)) => {
                errors.push(FieldError::new("/channel", "is needed: this key has several"));
                None
            }
            (named, _) => named,
        };
        if !errors.is_empty() {
            return Err(AppError::Invalid(errors));
        }
        Ok(Conversion {
            id: new.id.unwrap_or_else(|| self.ids.message_id(now).to_string()),
            at,
            kind: new.kind,
            value: value.flatten(),
            currency,
            channel: channel.map(|channel| channel.as_str().to_owned()),
            match_key,
            message_id: new.message_id,
            awaited_message_id: None,
            campaign_id: new.campaign_id,
            metadata: new.metadata,
        })
    }

    /// Counts what happened to messages that others sent; of each event whether it is new.
    ///
    /// # Errors
    /// [`AppError::Invalid`] where any breaks a rule: none is counted.
    pub async fn track(&self, events: Vec<EventInput>) -> Result<Vec<EventTold>, AppError> {
        if events.len() > MOST_EVENTS {
            return Err(AppError::TooLarge("at most 10,000 events are taken at once"));
        }
        let now = self.clock.now();
        let mut errors = Vec::new();
        let ids: Vec<_> = events.iter().map(|event| event.id.clone()).collect();
        let events: Vec<_> = events
            .into_iter()
            .enumerate()
            .filter_map(|(place, event)| self.tracked(place, event, now, &mut errors))
            .collect();
        if !errors.is_empty() {
            errors.truncate(100);
            return Err(AppError::Invalid(errors));
        }
        let told = self.records.track(events, now).await?;
        let status = |is_new| if is_new { "counted" } else { "repeated" };
        Ok(ids.into_iter().zip(told).map(|(id, is_new)| EventTold { id, status: status(is_new) }).collect())
    }

    fn tracked(
        &self,
        place: usize,
        event: EventInput,
        now: Timestamp,
        errors: &mut Vec<FieldError>,
    ) -> Option<TrackedEvent> {
        let pointer = |field: &str| format!("/events/{place}/{field}");
        word(|| pointer("id"), &event.id, LONGEST_ID, errors);
        word(|| pointer("channel"), &event.channel, LONGEST_WORD, errors);
        for (field, part, longest) in [
            ("campaignId", &event.campaign_id, LONGEST_ID),
            ("template", &event.template, LONGEST_ID),
            ("type", &event.r#type, LONGEST_WORD),
            ("code", &event.code, LONGEST_ID),
        ] {
            if let Some(part) = part.as_deref().filter(|part| !part.is_empty()) {
                word(|| pointer(field), part, longest, errors);
            }
        }
        let at = event.at.unwrap_or(now);
        if at > now.after(SKEW) {
            errors.push(FieldError::new(pointer("at"), "is in the future"));
        }
        let kinds = [Metric::Sent, Metric::Delivered, Metric::Read, Metric::Failed, Metric::Received];
        let metric = kinds.into_iter().find(|metric| metric.as_str() == event.kind);
        if metric.is_none() {
            let detail = "must be sent, delivered, read, failed or received";
            errors.push(FieldError::new(pointer("kind"), detail));
        }
        let latency = event.latency_ms.map(Duration::from_millis);
        if latency.is_some_and(|latency| latency > MOST_LATENCY) {
            errors.push(FieldError::new(pointer("latencyMs"), "must be at most a day"));
        }
        let phone = event.phone.as_deref().map(|phone| Recipient::parse(phone, self.default_region()));
        if let Some(Err(error)) = &phone {
            errors.push(FieldError::new(pointer("phone"), error.to_string()));
        }
        let (metric, country) = (metric?, phone.and_then(Result::ok).and_then(|to| to.country()));
        let series = Series::full([
            &event.channel,
            event.campaign_id.as_deref().unwrap_or_default(),
            event.template.as_deref().unwrap_or_default(),
            event.r#type.as_deref().unwrap_or_default(),
            country.as_deref().unwrap_or_default(),
            "",
        ]);
        Some(TrackedEvent {
            id: event.id,
            at,
            metric,
            series,
            reason: (metric == Metric::Failed).then(|| FailureReason::new("told", event.code.as_deref())),
            took: latency.map(|latency| (Stage::ProviderLatency, latency)),
        })
    }
}
