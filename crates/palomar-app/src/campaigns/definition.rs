//! What people say of a campaign: what it sends, when, how fast. Read once, kept as it was read.

use std::time::Duration;

use palomar_model::{
    ChannelName, FieldError, OnUncertain, Priority, SendingHours, Template, Timestamp, ZoneName,
};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value, json};

use super::judge::AutoPause;
use super::words::Form;

/// Contacts that one request may bring.
pub const MOST_CONTACTS: usize = 100_000;
const MOST_NAME: usize = 200;
const MOST_VARIANTS: usize = 10;
/// A campaign that could have begun longer ago waits for a person.
const LATENESS: Duration = Duration::from_secs(6 * 3600);

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
fn given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Option<Timestamp>>, D::Error> {
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

/// What becomes of free text to people who did not write in the last 24 hours, where the provider asks for that.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutsideWindow {
    /// It is sent: the provider decides.
    #[default]
    Send,
    /// They get nothing.
    LeaveOut,
}

/// What a campaign sends, when, how fast, as it is kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Definition {
    /// What it says; one at least.
    pub variants: Vec<Variant>,
    /// What is sent in place of a text where only a template may be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fallback: Option<Value>,
    /// The share of recipients that gets nothing.
    pub hold_out: f64,
    /// How urgent its messages are.
    pub priority: Priority,
    /// The hours in which people may be written to; all where there are none.
    pub hours: Option<SendingHours>,
    /// Whose days; whose hours too, where it is not the recipient's.
    pub zone: ZoneName,
    /// The hours are those of the recipient's own zone.
    pub recipient_zones: bool,
    /// So many messages a day at most.
    pub daily_cap: Option<u32>,
    /// Evenly over so many seconds.
    pub spread_seconds: Option<u64>,
    /// How many seconds after its time it may still begin by itself.
    pub max_lateness_seconds: u64,
    /// When it pauses by itself.
    pub auto_pause: AutoPause,
    /// What becomes of free text to people who did not write in the last 24 hours.
    pub outside_window: OutsideWindow,
    /// What becomes of messages whose outcome stays unknown.
    pub on_uncertain: Option<OnUncertain>,
    /// The sender's own data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
}

/// What a campaign says to a share of its recipients.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Variant {
    /// What people call it.
    pub name: String,
    /// Its share, in proportion to the others'.
    pub weight: u32,
    /// The type of its content.
    #[serde(rename = "type")]
    pub kind: String,
    /// The content, with places.
    pub content: Value,
}

impl Default for Definition {
    fn default() -> Definition {
        Definition {
            variants: Vec::new(),
            fallback: None,
            hold_out: 0.0,
            priority: Priority::Low,
            hours: None,
            zone: ZoneName::utc(),
            recipient_zones: true,
            daily_cap: None,
            spread_seconds: None,
            max_lateness_seconds: LATENESS.as_secs(),
            auto_pause: AutoPause::default(),
            outside_window: OutsideWindow::default(),
            on_uncertain: None,
            metadata: Map::new(),
        }
    }
}

/// What may be said of a campaign that has begun.
impl PlanInput {
    /// Whether nothing is said but what may be changed while it runs.
    pub(super) fn fits_while_running(&self) -> bool {
        let PlanInput { auto_pause: _, metadata, .. } = self;
        let rest = PlanInput { auto_pause: None, ..self.clone() };
        metadata.is_none() && rest == PlanInput::default()
    }
}

impl Definition {
    /// Takes over what was written.
    ///
    /// # Errors
    /// All rules that are broken.
    pub(super) fn change(&mut self, input: PlanInput) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        if let Some(variants) = self.read_variants(&input, &mut errors) {
            self.variants = variants;
        }
        if let Some(fallback) = input.fallback {
            match Form::read("template", &fallback) {
                Ok(_) if serde_json::from_value::<Template>(fallback.clone()).is_ok() => {
                    self.fallback = Some(fallback);
                }
                Ok(_) => errors.push(FieldError::new("/fallback", "is not a template")),
                Err(error) => errors.push(FieldError::new("/fallback", error.detail)),
            }
        }
        match input.hold_out {
            Some(share) if (0.0..1.0).contains(&share) => self.hold_out = share,
            Some(_) => errors.push(FieldError::new("/holdOut", "must be a share from 0 up to, but not, 1")),
            None => {}
        }
        match input.time_zone.as_deref().map(|zone| (zone, zone.parse())) {
            Some(("recipient", _)) => self.recipient_zones = true,
            Some((_, Ok(zone))) => (self.zone, self.recipient_zones) = (zone, false),
            Some((_, Err(error))) => {
                errors.push(FieldError::new("/timeZone", format!("{error}, or as recipient")));
            }
            None => {}
        }
        if input.daily_cap == Some(0) {
            errors.push(FieldError::new("/dailyCap", "must be 1 at least"));
        }
        if let Some(rule) = input.auto_pause {
            if !(0.0..=1.0).contains(&rule.failure_rate) || rule.sample == 0 {
                let detail = "needs a failureRate from 0 to 1 and a sample of 1 at least";
                errors.push(FieldError::new("/autoPause", detail));
            }
            self.auto_pause = rule;
        }
        self.hours = input.hours.or(self.hours.take());
        self.priority = input.priority.unwrap_or(self.priority);
        self.daily_cap = input.daily_cap.or(self.daily_cap);
        self.spread_seconds = input.spread_seconds.or(self.spread_seconds);
        self.max_lateness_seconds = input.max_lateness_seconds.unwrap_or(self.max_lateness_seconds);
        self.outside_window = input.outside_window.unwrap_or(self.outside_window);
        self.on_uncertain = input.on_uncertain.or(self.on_uncertain);
        self.metadata = input.metadata.unwrap_or_else(|| std::mem::take(&mut self.metadata));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
    }

    fn read_variants(&self, input: &PlanInput, errors: &mut Vec<FieldError>) -> Option<Vec<Variant>> {
        let said = |said: Said<'_>, at: &str, errors: &mut Vec<FieldError>| match said.read(at) {
            Ok(found) => found,
            Err(error) => {
                errors.push(error);
                None
            }
        };
        let single = Said {
            message: input.message.as_deref(),
            template: input.template.as_ref(),
            kind: input.kind.as_deref(),
            content: input.content.as_ref(),
        };
        let Some(variants) = &input.variants else {
            let Some((kind, content)) = said(single, "", errors) else {
                if self.variants.is_empty() && errors.is_empty() {
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

    /// What it says, ready to be completed; in the order of its variants.
    ///
    /// # Errors
    /// Where what is kept can't be read.
    pub(super) fn forms(&self) -> Result<Vec<Form>, FieldError> {
        self.variants.iter().map(|variant| Form::read(&variant.kind, &variant.content)).collect()
    }

    /// The fallback, ready to be completed.
    ///
    /// # Errors
    /// Where what is kept can't be read.
    pub(super) fn fallback_form(&self) -> Result<Option<Form>, FieldError> {
        self.fallback.as_ref().map(|fallback| Form::read("template", fallback)).transpose()
    }

    /// Whether its recipients stand in lanes by their time zones.
    pub(super) const fn has_lanes(&self) -> bool {
        self.hours.is_some() && self.recipient_zones
    }
}

/// The name of a campaign or variant.
pub(super) fn is_name(name: &str) -> bool {
    (1..=MOST_NAME).contains(&name.trim().chars().count())
}

/// The ways to say what is sent.
struct Said<'a> {
    message: Option<&'a str>,
    template: Option<&'a Value>,
    kind: Option<&'a str>,
    content: Option<&'a Value>,
}

impl Said<'_> {
    const fn is_empty(&self) -> bool {
        self.message.is_none() && self.template.is_none() && self.content.is_none()
    }

    /// The type and the content, where one is said.
    fn read(&self, at: &str) -> Result<Option<(String, Value)>, FieldError> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(plan: Value) -> Result<Definition, Vec<String>> {
        let mut definition = Definition::default();
        let input = serde_json::from_value::<PlanInput>(plan).expect("a plan");
        match definition.change(input) {
            Ok(()) => Ok(definition),
            Err(errors) => Err(errors.iter().map(|error| error.pointer.clone()).collect()),
        }
    }

    #[test]
    fn plans_are_read_or_refused_with_the_place() {
        for (plan, expected) in [
            (json!({"message": "Hola {{name}}"}), vec![]),
            (json!({}), vec!["/message"]),
            (json!({"message": ""}), vec!["/message"]),
            (json!({"message": "Hola {{name"}), vec!["/message"]),
            (json!({"message": "a", "template": {}}), vec![""]),
            (json!({"type": "poem", "content": {}}), vec!["/content"]),
            (json!({"template": {"name": "promo", "language": "es"}}), vec![]),
            (json!({"message": "a", "holdOut": 1.0}), vec!["/holdOut"]),
            (json!({"message": "a", "timeZone": "Mars/Base"}), vec!["/timeZone"]),
            (json!({"message": "a", "timeZone": "Europe/Madrid"}), vec![]),
            (json!({"message": "a", "dailyCap": 0}), vec!["/dailyCap"]),
            (json!({"message": "a", "autoPause": {"failureRate": 2.0}}), vec!["/autoPause"]),
            (json!({"message": "a", "fallback": {"language": "es"}}), vec!["/fallback"]),
            (json!({"variants": []}), vec!["/variants", "/variants"]),
            (
                json!({"variants": [{"name": "a", "message": "x"}, {"name": "a", "message": "y"}, {"name": "c"}]}),
                vec!["/variants/1/name", "/variants/2"],
            ),
            (json!({"variants": [{"name": "a", "weight": 0, "message": "x"}]}), vec!["/variants"]),
        ] {
            let errors = read(plan.clone()).err().unwrap_or_default();
            assert_eq!(errors, expected, "{plan}");
        }
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_left_out_stays() {
        let plan = json!({"message": "Hola", "hours": {"from": "09:00", "until": "20:00"}, "dailyCap": 7,
            "metadata": {"lead": 1}});
        let mut definition = read(plan).expect("a plan");
        let kept = serde_json::to_value(&definition).expect("json");
        assert_eq!(serde_json::from_value::<Definition>(kept).expect("read"), definition);
        let before = definition.clone();
        definition.change(PlanInput::default()).expect("nothing");
        assert_eq!(definition, before);
        assert!(
            PlanInput { auto_pause: Some(AutoPause::default()), ..PlanInput::default() }.fits_while_running()
        );
        assert!(!PlanInput { daily_cap: Some(1), ..PlanInput::default() }.fits_while_running());
    }
}
