//! How fast a channel may go: a named profile, or the provider's own, and what its owner changes of it.

use std::time::Duration;

use palomar_broker::{BreakerConfig, Budget, Limits, Pair, Window};
use palomar_channels::RateProfile;
use palomar_model::{FieldError, Scope};
use serde::{Deserialize, Serialize};

/// What a channel's owner says of its limits. What is left out is as in the profile.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct LimitsInput {
    /// A named profile in place of the provider's own: one of [`PROFILES`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub profile: Option<String>,
    /// Sliding windows; all hold. An empty list means none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub windows: Option<Vec<WindowInput>>,
    /// Attempts in flight at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub concurrency: Option<u32>,
    /// Pace to one recipient.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pair: Option<PairInput>,
    /// New recipients of a portfolio, over all channels that name it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget: Option<BudgetInput>,
    /// The circuit breaker opens after so many failures in a row; 0 never opens.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_failures: Option<u32>,
    /// It lets one attempt through after so many seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub breaker_seconds: Option<u64>,
    /// What one attempt may take, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deadline_seconds: Option<u64>,
    /// How long later messages to one recipient wait behind an uncertain one, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_wait_seconds: Option<u64>,
    /// How long an uncertain message waits for evidence, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uncertain_wait_seconds: Option<u64>,
}

/// At most `max` attempts in any span of so many seconds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WindowInput {
    /// So many.
    pub max: u32,
    /// In so many seconds.
    pub per_seconds: u64,
}

/// One message to a recipient every so many seconds, with a burst.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PairInput {
    /// One in so many seconds, in the long run.
    pub interval_seconds: f64,
    /// So many at once, 1 or more.
    pub burst: u32,
}

/// At most `max` distinct recipients in any span of so many hours, counted over all channels of one portfolio. Messages
/// to whoever wrote in the last 24 hours cost nothing.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct BudgetInput {
    /// The portfolio's name.
    pub portfolio: String,
    /// So many.
    pub max: u32,
    /// In so many hours.
    #[serde(default = "a_day")]
    pub per_hours: u32,
}

const fn a_day() -> u32 {
    24
}

/// The names of profiles: what users of such lines go by.
pub const PROFILES: [&str; 4] = ["evolution", "twilio", "cloud_api", "unlimited"];

const fn second(n: u64) -> Duration {
    Duration::from_secs(n)
}

/// The windows and the concurrency of a named profile.
fn profile(name: &str) -> Option<(Vec<Window>, u32)> {
    let window = |max, per| Window { max, window: second(per) };
    match name {
        "evolution" | "web" => Some((vec![window(80, 60)], 10)),
        "twilio" => Some((vec![window(10, 1), window(600, 60), window(36_000, 3600)], 50)),
        "cloud_api" => Some((vec![window(80, 1)], 100)),
        "unlimited" => Some((Vec::new(), 256)),
        _ => None,
    }
}

/// The lease of a worker, as far as limits must fit into it.
pub(crate) const LEASE: Duration = second(60);

/// What the queue of a channel allows.
///
/// # Errors
/// What the owner wrote and can't be.
pub(crate) fn limits(
    input: &LimitsInput,
    own: &RateProfile,
    defaults: &Limits,
) -> Result<Limits, Vec<FieldError>> {
    let mut errors = Vec::new();
    let (mut windows, mut concurrency, mut pair) = of_provider(own);
    if let Some(name) = &input.profile {
        match profile(name) {
            Some(named) => (windows, concurrency) = named,
            None => {
                errors.push(FieldError::new(
                    "/limits/profile",
                    format!("must be one of {}", PROFILES.join(", ")),
                ));
            }
        }
    }
    if let Some(own) = &input.windows {
        windows = own.iter().map(|own| Window { max: own.max, window: second(own.per_seconds) }).collect();
        for (n, window) in own.iter().enumerate() {
            if window.max == 0 || !(1..=604_800).contains(&window.per_seconds) {
                let detail = "must allow 1 or more in 1 to 604800 seconds";
                errors.push(FieldError::new(format!("/limits/windows/{n}"), detail));
            }
        }
    }
    if let Some(own) = input.pair {
        match Duration::try_from_secs_f64(own.interval_seconds) {
            Ok(interval) if own.burst > 0 && !interval.is_zero() => {
                pair = Some(Pair { interval, burst: own.burst });
            }
            _ => errors.push(FieldError::new("/limits/pair", "needs an interval and a burst above 0")),
        }
    }
    let budget = input.budget.as_ref().map(|own| Budget {
        name: own.portfolio.as_str().into(),
        max: own.max,
        window: second(u64::from(own.per_hours) * 3600),
    });
    if let Some(own) = &input.budget {
        if own.portfolio.trim().is_empty() || own.portfolio.len() > 63 {
            errors.push(FieldError::new("/limits/budget/portfolio", "must have 1 to 63 bytes"));
        }
        if own.max == 0 || !(1..=168).contains(&own.per_hours) {
            let detail = "must allow 1 or more in 1 to 168 hours";
            errors.push(FieldError::new("/limits/budget", detail));
        }
    }
    let deadline = input.deadline_seconds.map_or(defaults.deadline, second);
    if deadline.is_zero() || deadline + defaults.lease_margin >= LEASE {
        let detail = format!("must be between 1 and {}", (LEASE - defaults.lease_margin).as_secs() - 1);
        errors.push(FieldError::new("/limits/deadlineSeconds", detail));
    }
    let concurrency = input.concurrency.unwrap_or(concurrency);
    if concurrency == 0 {
        errors.push(FieldError::new("/limits/concurrency", "must be 1 or more"));
    }
    if !errors.is_empty() {
        return Err(errors);
    }
    Ok(Limits {
        windows,
        pair,
        concurrency,
        budget,
        breaker: BreakerConfig {
            failures: input.breaker_failures.unwrap_or(defaults.breaker.failures),
            open_for: input.breaker_seconds.map_or(defaults.breaker.open_for, second),
        },
        deadline,
        order_wait: input.order_wait_seconds.map_or(defaults.order_wait, second),
        uncertain_wait: input.uncertain_wait_seconds.map_or(defaults.uncertain_wait, second),
        ..defaults.clone()
    })
}

/// The windows, the concurrency and the pace per recipient that a provider itself asks for.
fn of_provider(own: &RateProfile) -> (Vec<Window>, u32, Option<Pair>) {
    let pairs = own.limits.iter().find(|limit| limit.scope == Scope::Pair && limit.count > 0);
    let pair = pairs.map(|limit| Pair { interval: limit.window / limit.count, burst: limit.count });
    let windows = own
        .limits
        .iter()
        .filter(|limit| limit.scope == Scope::Channel)
        .map(|limit| Window { max: limit.count, window: limit.window })
        .collect();
    (windows, u32::try_from(own.concurrency).unwrap_or(u32::MAX).max(1), pair)
}

#[cfg(test)]
mod tests {
    use palomar_channels::RateLimit;

    use super::*;

    fn own() -> RateProfile {
        let limit = |scope, count, seconds| RateLimit { scope, count, window: second(seconds) };
        RateProfile { limits: vec![limit(Scope::Channel, 80, 1), limit(Scope::Pair, 1, 6)], concurrency: 64 }
    }

    #[test]
    fn the_providers_own_a_named_profile_and_the_owners() {
        let plain = limits(&LimitsInput::default(), &own(), &Limits::default()).expect("limits");
        assert_eq!(plain.windows, [Window { max: 80, window: second(1) }]);
        assert_eq!(plain.pair, Some(Pair { interval: second(6), burst: 1 }));
        assert_eq!(plain.concurrency, 64);

        let named = LimitsInput { profile: Some("twilio".to_owned()), ..LimitsInput::default() };
        let named = limits(&named, &own(), &Limits::default()).expect("limits");
        assert_eq!((named.windows.len(), named.concurrency), (3, 50));

        let windows = Some(vec![WindowInput { max: 5, per_seconds: 2 }]);
        let owners = LimitsInput { windows, profile: Some("evolution".to_owned()), ..LimitsInput::default() };
        let owners = limits(&owners, &own(), &Limits::default()).expect("limits");
        assert_eq!((owners.windows, owners.concurrency), (vec![Window { max: 5, window: second(2) }], 10));
    }

    #[test]
    fn what_cannot_be_is_refused_with_its_place() {
        let input = LimitsInput {
            profile: Some("fast".to_owned()),
            windows: Some(vec![WindowInput { max: 0, per_seconds: 1 }]),
            concurrency: Some(0),
            budget: Some(BudgetInput { portfolio: String::new(), max: 0, per_hours: 24 }),
            deadline_seconds: Some(60),
            pair: Some(PairInput { interval_seconds: f64::NAN, burst: 1 }),
            ..LimitsInput::default()
        };
        let errors = limits(&input, &own(), &Limits::default()).expect_err("refused");
        let places: Vec<_> = errors.iter().map(|error| error.pointer.as_str()).collect();
        let expected = [
            "/limits/profile",
            "/limits/windows/0",
            "/limits/pair",
            "/limits/budget/portfolio",
            "/limits/budget",
            "/limits/deadlineSeconds",
            "/limits/concurrency",
        ];
        assert_eq!(places, expected);
    }
}
