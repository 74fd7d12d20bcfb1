//! What people write of a campaign, and what is wrong with it.

use palomar_model::{
    ChannelName, FieldError, OnUncertain, Priority, RecurrenceInput, SendingHours, Timestamp,
};
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value, json};

use super::contacts::AudienceInput;
use super::definition::{OutsideWindow, Variant};
use super::follow_up::FollowUpInput;
use super::judge::AutoPause;
use super::words::Form;

/// Contacts that one request may bring.
pub const MOST_CONTACTS: usize = 100_000;
const MOST_NAME: usize = 200;
const MOST_VARIANTS: usize = 10;

/// A campaign to be made.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewCampaign {
    /// What people call it.
    pub name: String,
    /// The channel that sends it; the only one there is where it is left out.
    #[serde(default)]
    pub channel: Option<ChannelName>,
    /// What it sends, when, how fast.
    #[serde(flatten)]
    pub plan: PlanInput,
    /// Whom it goes to: numbers, ids of contacts, or objects with `phone` and what is known of them.
    #[serde(default)]
    pub contacts: Vec<Value>,
    /// Contacts by what is known of them, who are read when it begins.
    #[serde(default)]
    pub audience: Option<AudienceInput>,
    /// The same as an audience that is a segment.
    #[serde(default)]
    pub segment: Option<String>,
    /// When it begins by itself.
    #[serde(default)]
    pub scheduled_at: Option<Timestamp>,
}

/// What is to be changed of a campaign. What is left out stays.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct CampaignPatch {
    /// Its name.
    #[serde(default)]
    pub name: Option<String>,
    /// What it sends, when, how fast.
    #[serde(flatten)]
    pub plan: PlanInput,
    /// Whom it goes to, in place of those that it had.
    #[serde(default)]
    pub contacts: Option<Vec<Value>>,
    /// When it begins by itself; null for not.
    #[serde(default, deserialize_with = "given")]
    pub scheduled_at: Option<Option<Timestamp>>,
}

/// A member that is there, null or not; one that is missing is the default.
fn given<'de, T: Deserialize<'de>, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// What a campaign sends, when, how fast, as it is written.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PlanInput {
    /// A text, with places such as `{{name}}`.
    #[serde(default)]
    pub message: Option<String>,
    /// A template, in place of a text.
    #[serde(default)]
    pub template: Option<Value>,
    /// The type of `content`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Any content, in place of a text.
    #[serde(default)]
    pub content: Option<Value>,
    /// Several contents, each for its share of the recipients.
    #[serde(default)]
    pub variants: Option<Vec<VariantInput>>,
    /// What is sent in place of a text where only a template may be.
    #[serde(default)]
    pub fallback: Option<Value>,
    /// The share of recipients that gets nothing, to be compared with.
    #[serde(default)]
    pub hold_out: Option<f64>,
    /// How urgent its messages are.
    #[serde(default)]
    pub priority: Option<Priority>,
    /// The hours in which people may be written to.
    #[serde(default)]
    pub hours: Option<SendingHours>,
    /// Whose hours and days: `recipient`, or a time zone.
    #[serde(default)]
    pub time_zone: Option<String>,
    /// So many messages a day at most.
    #[serde(default)]
    pub daily_cap: Option<u32>,
    /// Evenly over so many seconds.
    #[serde(default)]
    pub spread_seconds: Option<u64>,
    /// How many seconds after `scheduledAt` it may still begin by itself.
    #[serde(default)]
    pub max_lateness_seconds: Option<u64>,
    /// What is sent to whoever did not read or answer, a step after another.
    #[serde(default)]
    pub follow_ups: Option<Vec<FollowUpInput>>,
    /// When it begins again and again; null for not.
    #[serde(default, deserialize_with = "given")]
    pub repeat: Option<Option<RecurrenceInput>>,
    /// When it pauses by itself.
    #[serde(default)]
    pub auto_pause: Option<AutoPause>,
    /// What becomes of free text to people who did not write in the last 24 hours.
    #[serde(default)]
    pub outside_window: Option<OutsideWindow>,
    /// What becomes of messages whose outcome stays unknown; the channel's setting where left out.
    #[serde(default)]
    pub on_uncertain: Option<OnUncertain>,
    /// The sender's own data, handed back with every event.
    #[serde(default)]
    pub metadata: Option<Map<String, Value>>,
}

/// One of several contents.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct VariantInput {
    /// What people call it.
    pub name: String,
    /// Its share, in proportion to the others'.
    #[serde(default)]
    pub weight: Option<u32>,
    /// A text.
    #[serde(default)]
    pub message: Option<String>,
    /// A template, in place of a text.
    #[serde(default)]
    pub template: Option<Value>,
    /// The type of `content`.
    #[serde(default, rename = "type")]
    pub kind: Option<String>,
    /// Any content, in place of a text.
    #[serde(default)]
    pub content: Option<Value>,
}

impl PlanInput {
    /// Whether nothing is said but what may be changed while it runs.
    pub(super) fn fits_while_running(&self) -> bool {
        let PlanInput { auto_pause: _, metadata, .. } = self;
        let rest = PlanInput { auto_pause: None, ..self.clone() };
        metadata.is_none() && rest == PlanInput::default()
    }

    /// What it says, where it says something; `needed` where nothing was said before.
    pub(super) fn variants(&self, needed: bool, errors: &mut Vec<FieldError>) -> Option<Vec<Variant>> {
        let said = |said: Said<'_>, at: &str, errors: &mut Vec<FieldError>| match said.read(at) {
            Ok(found) => found,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let single = Said {
            message: self.message.as_deref(),
            template: self.template.as_ref(),
            kind: self.kind.as_deref(),
            content: self.content.as_ref(),
        };
        let Some(variants) = &self.variants else {
            let Some((kind, content)) = said(single, "", errors) else {
                if needed && errors.is_empty() {
                    errors.push(FieldError::new(
                        "/message",
                        "is missing, and so are template, content and variants",
                    ));
                }
                return None;
            };
            return Some(vec![Variant { name: "A".to_owned(), weight: 1, kind, content }]);
        };
        if !single.is_empty() {
            errors.push(FieldError::new("/variants", "stand in place of message, template and content"));
        }
        if !(1..=MOST_VARIANTS).contains(&variants.len()) {
            errors.push(FieldError::new("/variants", format!("must be 1 to {MOST_VARIANTS}")));
        }
        let mut read = Vec::new();
        for (variant, n) in variants.iter().zip(0..) {
            let at = format!("/variants/{n}");
            if !is_name(&variant.name) || read.iter().any(|other: &Variant| other.name == variant.name) {
                let detail = "must be a name of 1 to 200 characters that no other variant has";
                errors.push(FieldError::new(format!("{at}/name"), detail));
            }
            let own = Said {
                message: variant.message.as_deref(),
                template: variant.template.as_ref(),
                kind: variant.kind.as_deref(),
                content: variant.content.as_ref(),
            };
            if own.is_empty() {
                errors.push(FieldError::new(&at, "needs a message, a template or a content"));
            }
            let Some((kind, content)) = said(own, &at, errors) else { continue };
            let weight = variant.weight.unwrap_or(1);
            read.push(Variant { name: variant.name.trim().to_owned(), weight, kind, content });
        }
        if read.iter().all(|variant| variant.weight == 0) {
            errors.push(FieldError::new("/variants", "one of them at least needs a weight above 0"));
        }
        Some(read)
    }
}

/// The name of a campaign or variant.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MOST_NAME).contains(&name.trim().chars().count())
}

/// The ways to say what is sent.
pub(super) struct Said<'a> {
    pub(super) message: Option<&'a str>,
    pub(super) template: Option<&'a Value>,
    pub(super) kind: Option<&'a str>,
    pub(super) content: Option<&'a Value>,
}

impl Said<'_> {
    const fn is_empty(&self) -> bool {
        self.message.is_none() && self.template.is_none() && self.content.is_none()
    }

    /// The type and the content, where one is said.
    pub(super) fn read(&self, at: &str) -> Result<Option<(String, Value)>, FieldError> {
        let (kind, content, place) = match (self.message, self.template, self.content) {
            (None, None, None) => return Ok(None),
            (Some(message), None, None) => ("text", json!({ "text": message }), "message"),
            (None, Some(template), None) => ("template", template.clone(), "template"),
            (None, None, Some(content)) => (self.kind.unwrap_or("text"), content.clone(), "content"),
            _ => return Err(FieldError::new(at, "one of message, template and content is enough")),
        };
        let wrong = |error: FieldError| FieldError::new(format!("{at}/{place}"), error.detail);
        let form = Form::read(kind, &content).map_err(wrong)?;
        // Whatever people are called, it must be a content: every place is filled with a word.
        let filled = form.names().into_iter().map(|name| (name, Value::from("x"))).collect();
        form.complete(&filled)
            .map_err(|error| FieldError::new(format!("{at}/{place}"), error.to_string()))?;
        Ok(Some((kind.to_owned(), content)))
    }
}
