//! What a campaign sends, when, how fast, as it is kept. What people say of it is read into it once.

use std::time::Duration;

use palomar_model::{
    FieldError, OnUncertain, Priority, Provider, Recurrence, SendingHours, Template, ZoneName,
};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::contacts::AudienceInput;
use super::follow_up::{self, FollowUp};
use super::input::PlanInput;
use super::judge::AutoPause;
use super::repeat::RunOf;
use super::sources::Resend;
use super::words::Form;

/// A campaign that could have begun longer ago waits for a person.
const LATENESS: Duration = Duration::from_secs(6 * 3600);

/// A campaign is spread over a year at most.
const MOST_SPREAD: u64 = 366 * 24 * 3600;

/// What becomes of free text to people who did not write in the last 24 hours, where the provider asks for that.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum OutsideWindow {
    /// It is sent: the provider decides.
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
    /// What becomes of free text to people who did not write in the last 24 hours; they get nothing where nothing is said.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub outside_window: Option<OutsideWindow>,
    /// What becomes of messages whose outcome stays unknown.
    pub on_uncertain: Option<OnUncertain>,
    /// The sender's own data.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub metadata: Map<String, Value>,
    /// Contacts by what is known of them, who are read when it begins.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audiences: Vec<AudienceInput>,
    /// What is sent to whoever did not read or answer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub follow_ups: Vec<FollowUp>,
    /// When it begins again and again, each time as a campaign of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repeat: Option<Recurrence>,
    /// Which occurrence of which campaign it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_of: Option<RunOf>,
    /// Whose failed ones it goes to, in place of other contacts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resend: Option<Resend>,
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
            outside_window: None,
            audiences: Vec::new(),
            follow_ups: Vec::new(),
            repeat: None,
            run_of: None,
            resend: None,
            on_uncertain: None,
            metadata: Map::new(),
        }
    }
}

impl Definition {
    /// Takes over what was written.
    ///
    /// # Errors
    /// All rules that are broken.
    pub(super) fn change(&mut self, input: PlanInput) -> Result<(), Vec<FieldError>> {
        let mut errors = Vec::new();
        if let Some(variants) = input.variants(self.variants.is_empty(), &mut errors) {
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
        if let Some(steps) = &input.follow_ups {
            self.follow_ups = follow_up::read(steps, &mut errors);
        }
        match input.repeat {
            Some(Some(mut said)) => {
                if said.time_zone.is_none() && !self.recipient_zones {
                    said.time_zone = Some(self.zone.as_str().to_owned());
                }
                match Recurrence::read(said) {
                    Ok(repeat) => self.repeat = Some(repeat),
                    Err(FieldError { pointer, detail }) => {
                        errors.push(FieldError::new(format!("/repeat{pointer}"), detail));
                    }
                }
            }
            Some(None) => self.repeat = None,
            None => {}
        }
        if self.repeat.is_some() && self.resend.is_some() {
            let detail = "a campaign that goes to the failed of another goes to them once: it can't repeat";
            errors.push(FieldError::new("/repeat", detail));
        }
        if input.daily_cap == Some(0) {
            errors.push(FieldError::new("/dailyCap", "must be 1 at least"));
        }
        if input.spread_seconds.is_some_and(|seconds| seconds > MOST_SPREAD) {
            errors.push(FieldError::new("/spreadSeconds", format!("must be {MOST_SPREAD} at most, a year")));
        }
        if let Some(rule) = input.auto_pause {
            if !rule.is_sound() {
                let detail = "needs a failureRate and a blockRate from 0 to 1, and a sample of 1 at least";
                errors.push(FieldError::new("/autoPause", detail));
            }
            self.auto_pause = rule;
        }
        self.hours = input.hours.or(self.hours.take());
        self.priority = input.priority.unwrap_or(self.priority);
        self.daily_cap = input.daily_cap.or(self.daily_cap);
        self.spread_seconds = input.spread_seconds.or(self.spread_seconds);
        self.max_lateness_seconds = input.max_lateness_seconds.unwrap_or(self.max_lateness_seconds);
        self.outside_window = input.outside_window.or(self.outside_window);
        self.on_uncertain = input.on_uncertain.or(self.on_uncertain);
        self.metadata = input.metadata.unwrap_or_else(|| std::mem::take(&mut self.metadata));
        if errors.is_empty() { Ok(()) } else { Err(errors) }
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

    /// The name of the fallback.
    pub(super) fn fallback_name(&self) -> Option<String> {
        self.fallback.as_ref().and_then(|fallback| fallback["name"].as_str()).map(str::to_owned)
    }

    /// Whether free text goes only to people who wrote in the last 24 hours.
    pub(super) const fn keeps_to_windows(&self, provider: Provider) -> bool {
        provider.has_windows() && !matches!(self.outside_window, Some(OutsideWindow::Send))
    }

    /// The templates that it sends, by name and language.
    pub(super) fn templates(&self) -> Vec<(String, String)> {
        let of_variants = self.variants.iter().filter(|variant| variant.kind == "template");
        let steps = self.follow_ups.iter().map(|step| &step.says).filter(|says| says.kind == "template");
        let contents = of_variants.chain(steps).map(|variant| &variant.content).chain(&self.fallback);
        contents
            .filter_map(|content| serde_json::from_value::<Template>(content.clone()).ok())
            .map(|template| (template.name, template.language))
            .collect()
    }

    /// Whether its recipients stand in lanes by their time zones.
    pub(super) const fn has_lanes(&self) -> bool {
        self.hours.is_some() && self.recipient_zones
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

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
            (
                json!({"message": "a", "followUps": [{"afterSeconds": 60, "when": "notRead", "message": "b"}]}),
                vec![],
            ),
            (
                json!({"message": "a", "followUps": [{"afterSeconds": 0, "when": "noAnswer"}]}),
                vec!["/followUps/0/afterSeconds", "/followUps/0"],
            ),
            (
                json!({"message": "a", "followUps": [{"afterSeconds": 1, "when": "noAnswer", "message": "{{"}]}),
                vec!["/followUps/0/message"],
            ),
            (json!({"message": "a", "repeat": {"cron": "0 9 * * MON"}}), vec![]),
            (json!({"message": "a", "repeat": {"at": "09:00", "days": ["mon"]}}), vec![]),
            (json!({"message": "a", "repeat": {"cron": "0 9 30 2 *"}}), vec!["/repeat/cron"]),
            (json!({"message": "a", "spreadSeconds": 366 * 86_400}), vec![]),
            (json!({"message": "a", "spreadSeconds": u64::MAX}), vec!["/spreadSeconds"]),
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
