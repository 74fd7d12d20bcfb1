//! When something is to happen again and again: by a cron expression, or at a time of some days of the week, by the clocks of
//! a time zone. A function of values.
//!
//! Always: what somebody wrote has an occurrence; an occurrence is a whole minute by those clocks.

use std::time::Duration;

use cronexpr::Crontab;
use serde::{Deserialize, Serialize};

use crate::hours::{Day, DayTime, ZoneName};
use crate::{FieldError, Timestamp};

/// Characters of a cron expression.
const LONGEST: usize = 200;
/// The least time between two occurrences.
const LEAST: Duration = Duration::from_secs(3600);
/// Occurrences that are looked at to know how near they are.
const LOOKED_AT: usize = 100;
/// How far it is looked back for the newest occurrence, step by step, in seconds: an hour, a day, a week, a month, a leap year
/// after another.
const BACK: [u64; 6] = [3_600, 86_400, 7 * 86_400, 31 * 86_400, 366 * 86_400, 9 * 366 * 86_400];

/// When something is to happen again and again.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(try_from = "RecurrenceInput", into = "RecurrenceInput")]
pub struct Recurrence {
    said: RecurrenceInput,
    zone: ZoneName,
    crontab: Crontab,
}

/// The same as it is written: `cron`, or `days` and `at`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RecurrenceInput {
    /// Minute, hour, day of the month, month, day of the week: `0 9 * * MON-FRI`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cron: Option<String>,
    /// The days of the week; all where none is named.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub days: Vec<Day>,
    /// The time of those days: `09:00`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub at: Option<DayTime>,
    /// By whose clocks; UTC where left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time_zone: Option<String>,
    /// Not after this.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

impl PartialEq for Recurrence {
    fn eq(&self, other: &Recurrence) -> bool {
        self.said == other.said
    }
}

impl TryFrom<RecurrenceInput> for Recurrence {
    type Error = FieldError;

    fn try_from(said: RecurrenceInput) -> Result<Recurrence, FieldError> {
        let zone = match said.time_zone.as_deref().map(str::parse::<ZoneName>) {
            None => ZoneName::utc(),
            Some(Ok(zone)) => zone,
            Some(Err(error)) => return Err(FieldError::new("/timeZone", error.to_string())),
        };
        let expression = expression(&said)?;
        let crontab = cronexpr::parse_crontab(&format!("{expression} {zone}")).map_err(|_| {
            FieldError::new("/cron", "is no cron expression: write minute, hour, day, month and day of the week, as 0 9 * * MON-FRI")
        })?;
        Ok(Recurrence { said, zone, crontab })
    }
}

impl From<Recurrence> for RecurrenceInput {
    fn from(recurrence: Recurrence) -> RecurrenceInput {
        recurrence.said
    }
}

/// What is written, as a cron expression without its zone.
fn expression(said: &RecurrenceInput) -> Result<String, FieldError> {
    match (&said.cron, said.at) {
        (Some(cron), None) if said.days.is_empty() => {
            let parts = cron.split_whitespace().count();
            if cron.len() > LONGEST || parts != 5 {
                return Err(FieldError::new(
                    "/cron",
                    "needs five parts: minute, hour, day, month, day of the week",
                ));
            }
            Ok(cron.trim().to_owned())
        }
        (None, Some(at)) => {
            let (hour, minute) =
                at.clock().ok_or_else(|| FieldError::new("/at", "is 23:59 at the latest"))?;
            let days: Vec<_> = said.days.iter().map(|day| day.as_str().to_uppercase()).collect();
            let days = if days.is_empty() { "*".to_owned() } else { days.join(",") };
            Ok(format!("{minute} {hour} * * {days}"))
        }
        (Some(_), _) => Err(FieldError::new("/cron", "stands in place of days and at")),
        (None, None) => Err(FieldError::new("/at", "is missing, and so is cron")),
    }
}

impl Recurrence {
    /// Reads what somebody wrote.
    ///
    /// # Errors
    /// What is wrong with it; what never occurs, and what occurs too often to be meant.
    pub fn read(said: RecurrenceInput) -> Result<Recurrence, FieldError> {
        let found = Recurrence::try_from(said)?;
        found.check()?;
        Ok(found)
    }

    /// By whose clocks.
    #[must_use]
    pub const fn zone(&self) -> &ZoneName {
        &self.zone
    }

    /// The first occurrence after a time.
    #[must_use]
    pub fn next(&self, after: Timestamp) -> Option<Timestamp> {
        let mut instant = jiff::Timestamp::from_microsecond(after.micros()).ok()?;
        loop {
            let found = self.crontab.find_next(instant).ok()?;
            let at = Timestamp::from_micros(found.timestamp().as_microsecond());
            if at <= after || self.said.until.is_some_and(|until| at > until) {
                return None;
            }
            // Of a time that clocks show twice, the first is meant.
            let first = found.datetime().to_zoned(found.time_zone().clone()).ok()?;
            if first.timestamp() == found.timestamp() {
                return Some(at);
            }
            instant = found.timestamp();
        }
    }

    /// The newest occurrence from one time up to another, both included.
    #[must_use]
    pub fn last(&self, from: Timestamp, to: Timestamp) -> Option<Timestamp> {
        let just_before = |at: Timestamp| at.before(Duration::from_micros(1));
        let from = just_before(from);
        let steps = BACK.iter().map(|seconds| to.before(Duration::from_secs(*seconds)).max(from));
        let mut at = steps.chain([from]).find_map(|start| self.next(start).filter(|at| *at <= to))?;
        while let Some(next) = self.next(at).filter(|next| *next <= to) {
            at = next;
        }
        Some(at)
    }

    /// Refuses what never occurs, and what occurs too often to be meant.
    fn check(&self) -> Result<(), FieldError> {
        let place = if self.said.cron.is_some() { "/cron" } else { "/at" };
        // From a leap year on: whatever occurs, occurs within the next.
        let since = Timestamp::from_seconds(946_684_800);
        let forever =
            Recurrence { said: RecurrenceInput { until: None, ..self.said.clone() }, ..self.clone() };
        let mut at = forever.next(since).ok_or_else(|| FieldError::new(place, "never occurs"))?;
        for _ in 0..LOOKED_AT {
            let Some(next) = forever.next(at) else { break };
            if next.since(at) < LEAST {
                return Err(FieldError::new(place, "occurs more than once an hour"));
            }
            at = next;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(said: Value) -> Result<Recurrence, String> {
        let said = serde_json::from_value(said).map_err(|error| error.to_string())?;
        Recurrence::read(said).map_err(|error| error.to_string())
    }

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    #[test]
    fn occurrences_are_by_the_clocks_of_the_zone() {
        let weekly = json!({"days": ["mon", "thu"], "at": "09:30", "timeZone": "Europe/Madrid"});
        let monthly = json!({"cron": "0 9 1 * *", "timeZone": "America/Mexico_City"});
        let night = json!({"at": "02:30", "timeZone": "Europe/Madrid"});
        for (said, after, expected) in [
            (&weekly, "2026-07-01T00:00:00Z", "2026-07-02T07:30:00Z"),
            (&weekly, "2026-07-02T07:30:00Z", "2026-07-06T07:30:00Z"),
            // Clocks were put back.
            (&weekly, "2026-10-23T00:00:00Z", "2026-10-26T08:30:00Z"),
            (&monthly, "2026-07-01T14:59:59Z", "2026-07-01T15:00:00Z"),
            (&monthly, "2026-07-01T15:00:00Z", "2026-08-01T15:00:00Z"),
            (&night, "2026-03-27T12:00:00Z", "2026-03-28T01:30:00Z"),
            // The night in which they are put back has 02:30 twice: it occurs once.
            (&night, "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"),
        ] {
            let recurrence = read(said.clone()).expect("read");
            let next = recurrence.next(at(after)).map(|next| next.to_string());
            assert_eq!(next.as_deref(), Some(expected), "{said} after {after}");
        }
    }

    #[test]
    fn the_newest_is_found_however_long_ago() {
        let daily = read(json!({"at": "09:00"})).expect("read");
        let leap = read(json!({"cron": "0 9 29 2 *"})).expect("read");
        for (recurrence, from, to, expected) in [
            (&daily, "2026-01-01T00:00:00Z", "2026-07-01T08:59:59Z", Some("2026-06-30T09:00:00Z")),
            (&daily, "2026-01-01T00:00:00Z", "2026-07-01T09:00:00Z", Some("2026-07-01T09:00:00Z")),
            (&daily, "2026-07-01T09:00:00Z", "2026-07-01T09:00:00Z", Some("2026-07-01T09:00:00Z")),
            (&daily, "2026-07-01T09:00:01Z", "2026-07-01T09:30:00Z", None),
            (&leap, "2000-01-01T00:00:00Z", "2027-01-01T00:00:00Z", Some("2024-02-29T09:00:00Z")),
            (&leap, "2025-01-01T00:00:00Z", "2027-01-01T00:00:00Z", None),
        ] {
            let last = recurrence.last(at(from), at(to)).map(|last| last.to_string());
            assert_eq!(last.as_deref(), expected, "{from} to {to}");
        }
        let ended = read(json!({"at": "09:00", "until": "2026-07-02T08:00:00Z"})).expect("read");
        assert_eq!(ended.next(at("2026-07-01T09:00:00Z")), None);
    }

    #[test]
    fn what_is_kept_comes_back_and_what_is_wrong_is_refused() {
        for said in [
            json!({"cron": "0 9 * * MON-FRI", "timeZone": "Europe/Madrid"}),
            json!({"at": "09:00", "days": ["sun"], "until": "2027-01-01T00:00:00Z"}),
        ] {
            let kept = serde_json::to_value(read(said.clone()).expect("read")).expect("json");
            assert_eq!(kept, said);
        }
        for (said, why) in [
            (json!({}), "/at"),
            (json!({"cron": "0 9 * *"}), "five parts"),
            (json!({"cron": "0 99 * * *"}), "no cron expression"),
            (json!({"cron": "0 9 * * * UTC"}), "five parts"),
            (json!({"cron": "*/30 * * * *"}), "more than once an hour"),
            (json!({"cron": "0 9 30 2 *"}), "never occurs"),
            (json!({"cron": "0 9 * * *", "at": "09:00"}), "in place of"),
            (json!({"at": "24:00"}), "23:59"),
            (json!({"at": "09:00", "timeZone": "Mars"}), "/timeZone"),
        ] {
            let error = read(said.clone()).expect_err("refused");
            assert!(error.contains(why), "{said}: {error}");
        }
    }
}
