//! What a channel may send: as flags, as the API reads it, as a person reads it.

use std::time::Duration;

use clap::Args;
use serde_json::{Map, Value, json};

use super::{number, text};
use crate::config::{Rate, Span};

/// What a channel may send. What is not said stays as it is.
#[derive(Debug, Args)]
pub(crate) struct LimitFlags {
    /// A named profile: evolution, twilio, cloud_api or unlimited.
    #[arg(long)]
    profile: Option<String>,
    /// A window such as "10/s"; may be said several times, all of them hold at once.
    #[arg(long, value_name = "RATE")]
    rate: Vec<Rate>,
    /// Calls in flight at once.
    #[arg(long, value_name = "N")]
    concurrency: Option<u32>,
    /// The pace to one recipient, such as "1/6s".
    #[arg(long, value_name = "RATE")]
    pair: Option<Rate>,
    /// So many to one recipient at once at most; with --pair.
    #[arg(long, value_name = "N", requires = "pair")]
    pair_burst: Option<u32>,
}

impl LimitFlags {
    /// As the API reads them; nothing where nothing was said.
    pub(super) fn to_json(&self) -> Option<Map<String, Value>> {
        let mut limits = Map::new();
        if let Some(profile) = &self.profile {
            limits.insert("profile".to_owned(), json!(profile));
        }
        if !self.rate.is_empty() {
            let windows: Vec<Value> = self
                .rate
                .iter()
                .map(|rate| json!({"max": rate.max, "perSeconds": seconds(rate.window)}))
                .collect();
            limits.insert("windows".to_owned(), json!(windows));
        }
        if let Some(concurrency) = self.concurrency {
            limits.insert("concurrency".to_owned(), json!(concurrency));
        }
        if let Some(pair) = self.pair {
            let interval = seconds(pair.window / pair.max);
            limits.insert(
                "pair".to_owned(),
                json!({"intervalSeconds": interval, "burst": self.pair_burst.unwrap_or(1)}),
            );
        }
        (!limits.is_empty()).then_some(limits)
    }
}

/// Whole seconds as a whole number, parts of one as a fraction.
fn seconds(span: Duration) -> Value {
    if span.subsec_nanos() == 0 { json!(span.as_secs()) } else { json!(span.as_secs_f64()) }
}

/// The limits that a channel runs with.
pub(super) fn in_force(channel: &Value) -> &Value {
    if channel["effectiveLimits"].is_object() { &channel["effectiveLimits"] } else { &channel["limits"] }
}

/// The limits that a channel runs with, as a person reads them.
pub(super) fn limits_text(channel: &Value) -> String {
    let limits = in_force(channel);
    let windows = limits["windows"].as_array().map_or(&[][..], Vec::as_slice);
    let mut said: Vec<String> = windows
        .iter()
        .map(|window| {
            // Whole numbers come with or without a fraction of nothing.
            let per = window["perSeconds"].as_f64().unwrap_or_default();
            let per = Span(Duration::try_from_secs_f64(per).unwrap_or_default());
            let rate = Rate { max: u32::try_from(number(window, "max")).unwrap_or(u32::MAX), window: per.0 };
            rate.to_string()
        })
        .collect();
    if let Some(profile) = limits["profile"].as_str() {
        said.insert(0, profile.to_owned());
    }
    if limits["pair"].is_object() {
        let interval = limits["pair"]["intervalSeconds"].as_f64().unwrap_or_default();
        said.push(format!("1/{interval}s to one person, {} at once", number(&limits["pair"], "burst")));
    }
    if !limits["concurrency"].is_null() {
        said.push(format!("{} in flight", text(limits, "concurrency")));
    }
    if said.is_empty() { "none".to_owned() } else { said.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_are_said_as_they_are_read() {
        let limits = LimitFlags {
            profile: None,
            rate: vec!["10/s".parse().expect("a rate"), "600/m".parse().expect("a rate")],
            concurrency: Some(5),
            pair: Some("1/6s".parse().expect("a rate")),
            pair_burst: None,
        };
        let json = Value::Object(limits.to_json().expect("something was said"));
        assert_eq!(
            json,
            json!({"windows": [{"max": 10, "perSeconds": 1}, {"max": 600, "perSeconds": 60}], "concurrency": 5,
                   "pair": {"intervalSeconds": 6, "burst": 1}})
        );
        assert_eq!(
            limits_text(&json!({"limits": json})),
            "10/s, 600/m, 1/6s to one person, 1 at once, 5 in flight"
        );
        let nothing =
            LimitFlags { profile: None, rate: Vec::new(), concurrency: None, pair: None, pair_burst: None };
        assert_eq!(nothing.to_json(), None);
    }
}
