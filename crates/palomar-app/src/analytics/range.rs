//! From when to when: a period that has a name, or two moments, in somebody's zone. A function of values.

use std::time::Duration;

use palomar_model::analytics::{Bucket, Tier, edges, floor};
use palomar_model::{Timestamp, ZoneName};
use serde::Serialize;

use crate::AppError;

/// What was asked for, as far as it was said.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// `today`, `day`, `week`, `month`, `year` or a number of days such as `90d`.
    pub period: Option<String>,
    /// From this moment on.
    pub from: Option<Timestamp>,
    /// Up to this moment.
    pub to: Option<Timestamp>,
    /// In this zone; UTC where not said.
    pub zone: Option<ZoneName>,
}

/// From when to when.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Range {
    /// The period, or `range`.
    pub period: String,
    /// From this moment on.
    pub from: Timestamp,
    /// Up to this one.
    pub to: Timestamp,
    /// The zone that days are counted in.
    pub zone: ZoneName,
    /// The days that it has begun on and those before, where it was asked for as a number of days.
    #[serde(skip)]
    days: Option<u32>,
}

/// No range is longer: nothing is kept for so long.
const MOST_DAYS: u32 = 1_100;

impl Asked {
    /// The range that is meant, cut at quarters of an hour.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a period that is none, and a range that is reversed, empty, or in the future.
    pub fn range(self, now: Timestamp) -> Result<Range, AppError> {
        self.cut(now, Bucket::Quarter)
    }

    /// The same, cut at this.
    pub(super) fn cut(self, now: Timestamp, cut: Bucket) -> Result<Range, AppError> {
        let zone = self.zone.unwrap_or_else(ZoneName::utc);
        let range = match (self.period, self.from) {
            (Some(_), Some(_)) => {
                return Err(AppError::invalid("/period", "is said beside from: say one of them"));
            }
            (period, None) => {
                if self.to.is_some() {
                    return Err(AppError::invalid("/to", "is said without from"));
                }
                let period = period.unwrap_or_else(|| "week".to_owned());
                let days = days_of(&period)?;
                Range { period, from: begun(now, days, &zone), to: now, zone, days: Some(days) }
            }
            (None, Some(from)) => {
                let period = "range".to_owned();
                Range { period, from, to: self.to.unwrap_or(now), zone, days: None }
            }
        };
        if range.from >= range.to {
            let detail = if range.from > now { "is in the future" } else { "is not before to" };
            return Err(AppError::invalid("/from", detail));
        }
        if range.from > now {
            return Err(AppError::invalid("/from", "is in the future"));
        }
        let length = Duration::from_secs(u64::from(MOST_DAYS) * 86_400);
        if range.to.since(range.from) > length {
            return Err(AppError::invalid("/from", format!("is more than {MOST_DAYS} days before to")));
        }
        let from = floor(range.from, cut, &range.zone);
        // What has begun counts: a range that ends now has the quarter of an hour that is under way.
        let to =
            floor(Timestamp::from_micros(range.to.micros() - 1), cut, &range.zone).after(cut_length(cut));
        Ok(Range { from, to, ..range })
    }
}

const fn cut_length(cut: Bucket) -> Duration {
    if matches!(cut, Bucket::Minute) { Tier::Minute.slot() } else { Tier::Quarter.slot() }
}

impl Range {
    /// Whole days that have ended.
    pub(crate) fn ended(period: &str, from: Timestamp, to: Timestamp, zone: ZoneName) -> Range {
        let days = u32::try_from(zone.day(to) - zone.day(from)).ok();
        Range { period: period.to_owned(), from, to, zone, days }
    }

    /// The range of the same length before it: as many days earlier, or the time just before.
    #[must_use]
    pub fn before(&self) -> Range {
        let period = "previous".to_owned();
        if let Some(days) = self.days {
            let from = begun(self.from, days + 1, &self.zone);
            // Whole days are as many whole days, however many hours they have.
            let is_whole = floor(self.to, Bucket::Day, &self.zone) == self.to;
            let length = self.to.since(self.from);
            let to = if is_whole { self.from } else { from.after(length).min(self.from) };
            return Range { period, from, to, ..self.clone() };
        }
        let from = self.from.before(self.to.since(self.from));
        Range { period, from, to: self.from, ..self.clone() }
    }

    /// Its stretches.
    pub(super) fn edges(&self, bucket: Bucket, most: usize) -> Result<Vec<Timestamp>, AppError> {
        let found = edges(self.from, self.to, bucket, &self.zone, most);
        found.map_err(|error| AppError::invalid("/bucket", format!("{error}: ask for a coarser one")))
    }
}

/// How many days a period has, the one under way included.
fn days_of(period: &str) -> Result<u32, AppError> {
    let named = match period {
        "today" | "day" => Some(1),
        "week" => Some(7),
        "month" => Some(30),
        "year" => Some(365),
        other => other.strip_suffix('d').and_then(|days| days.parse().ok()),
    };
    named.filter(|days| (1..=MOST_DAYS).contains(days)).ok_or_else(|| {
        AppError::invalid("/period", "must be day, week, month, year or a number of days such as 90d")
    })
}

/// Midnight of the first of so many days, of which the last is under way.
fn begun(now: Timestamp, days: u32, zone: &ZoneName) -> Timestamp {
    (1..days).fold(floor(now, Bucket::Day, zone), |day, _| {
        floor(Timestamp::from_micros(day.micros() - 1), Bucket::Day, zone)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn asked(period: &str, zone: &str) -> Asked {
        Asked {
            period: Some(period.to_owned()),
            zone: Some(zone.parse().expect("a zone")),
            ..Asked::default()
        }
    }

    #[test]
    fn periods_are_days_of_the_zone() {
        let now = at("2026-03-30T10:07:00Z");
        for (period, zone, from, to, before) in [
            ("day", "UTC", "2026-03-30T00:00:00Z", "2026-03-30T10:15:00Z", "2026-03-29T00:00:00Z"),
            ("week", "Europe/Madrid", "2026-03-23T23:00:00Z", "2026-03-30T10:15:00Z", "2026-03-16T23:00:00Z"),
            ("2d", "Asia/Kolkata", "2026-03-28T18:30:00Z", "2026-03-30T10:15:00Z", "2026-03-26T18:30:00Z"),
        ] {
            let range = asked(period, zone).range(now).expect("a range");
            assert_eq!((range.from, range.to), (at(from), at(to)), "{period} {zone}");
            assert_eq!(range.before().from, at(before), "{period} {zone}");
            assert_eq!(range.before().to.since(range.before().from), range.to.since(range.from));
        }
    }

    #[test]
    fn what_is_no_range_is_refused() {
        let now = at("2026-03-30T10:07:00Z");
        let between =
            |from: &str, to: Option<&str>| Asked { from: Some(at(from)), to: to.map(at), ..Asked::default() };
        for (asked, detail) in [
            (asked("fortnight", "UTC"), "must be day, week, month, year or a number of days such as 90d"),
            (asked("0d", "UTC"), "must be day, week, month, year or a number of days such as 90d"),
            (between("2026-03-02T00:00:00Z", Some("2026-03-01T00:00:00Z")), "is not before to"),
            (between("2027-01-01T00:00:00Z", None), "is in the future"),
            (between("2027-01-01T00:00:00Z", Some("2027-02-01T00:00:00Z")), "is in the future"),
            (between("2000-01-01T00:00:00Z", None), "is more than 1100 days before to"),
            (Asked { to: Some(now), ..Asked::default() }, "is said without from"),
        ] {
            let error = asked.clone().range(now).expect_err("refused");
            assert!(error.to_string().contains(detail), "{asked:?}: {error}");
        }
    }

    #[test]
    fn whole_days_are_compared_with_whole_days() {
        let zone: ZoneName = "Europe/Madrid".parse().expect("a zone");
        // The week after the one that lost an hour.
        let (from, to) = (at("2026-03-29T22:00:00Z"), at("2026-04-05T22:00:00Z"));
        let before = Range::ended("week", from, to, zone).before();
        assert_eq!((before.from, before.to), (at("2026-03-22T23:00:00Z"), from));
    }
}
