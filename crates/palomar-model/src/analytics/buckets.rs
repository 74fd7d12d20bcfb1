//! The stretches of time that people ask for, in their own zone: a day of Madrid has 23, 24 or 25 hours.
//!
//! Always: stretches follow each other without a gap, and each begins with a quarter of an hour (a minute, of minutes).

use std::fmt;
use std::str::FromStr;

use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;

use crate::{Timestamp, ZoneName};

/// How long a stretch is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Bucket {
    /// A minute.
    Minute,
    /// A quarter of an hour.
    Quarter,
    /// An hour.
    Hour,
    /// From midnight to midnight.
    Day,
    /// From Monday to Monday.
    Week,
    /// A month of the calendar.
    Month,
}

/// A word that names none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be minute, 15m, hour, day, week or month")]
pub struct UnknownBucket;

/// More stretches than are answered at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("has more than {0} stretches")]
pub struct TooMany(pub usize);

impl Bucket {
    /// All of them, the finest first.
    pub const ALL: [Bucket; 6] =
        [Bucket::Minute, Bucket::Quarter, Bucket::Hour, Bucket::Day, Bucket::Week, Bucket::Month];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Bucket::Minute => "minute",
            Bucket::Quarter => "15m",
            Bucket::Hour => "hour",
            Bucket::Day => "day",
            Bucket::Week => "week",
            Bucket::Month => "month",
        }
    }

    /// Its length, where that is always the same.
    const fn fixed(self) -> Option<i64> {
        match self {
            Bucket::Minute => Some(60_000_000),
            Bucket::Quarter => Some(15 * 60_000_000),
            _ => None,
        }
    }
}

impl FromStr for Bucket {
    type Err = UnknownBucket;

    fn from_str(text: &str) -> Result<Bucket, UnknownBucket> {
        Bucket::ALL.into_iter().find(|bucket| bucket.as_str() == text).ok_or(UnknownBucket)
    }
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The beginning of the stretch that a moment is in.
#[must_use]
pub fn floor(at: Timestamp, bucket: Bucket, zone: &ZoneName) -> Timestamp {
    if let Some(length) = bucket.fixed() {
        return Timestamp::from_micros(at.micros().div_euclid(length) * length);
    }
    let rules = zone.rules();
    let day = local_day(at, &rules);
    match bucket {
        Bucket::Hour => hours_of(day, &rules).into_iter().rfind(|hour| *hour <= at).unwrap_or(at),
        _ => midnight(first_day(day, bucket), &rules),
    }
}

/// The beginnings of all stretches that have anything from one moment up to another, and the end of the last.
///
/// # Errors
/// [`TooMany`] where there are more than `most`.
pub fn edges(
    from: Timestamp,
    to: Timestamp,
    bucket: Bucket,
    zone: &ZoneName,
    most: usize,
) -> Result<Vec<Timestamp>, TooMany> {
    let mut edges = vec![floor(from, bucket, zone)];
    let rules = zone.rules();
    while let Some(last) = edges.last().copied().filter(|last| *last < to) {
        if edges.len() > most {
            return Err(TooMany(most));
        }
        match bucket.fixed() {
            Some(length) => edges.push(Timestamp::from_micros(last.micros() + length)),
            None if bucket == Bucket::Hour => {
                let day = local_day(last, &rules);
                let hours = hours_of(day, &rules).into_iter().filter(|hour| *hour > last && *hour < to);
                edges.extend(hours);
                let end = midnight(tomorrow(day), &rules);
                let reached = edges.last().copied().unwrap_or(last);
                // The next hour begins the next day, or is the first that is not needed.
                let next = hours_of(day, &rules).into_iter().find(|hour| *hour > reached).unwrap_or(end);
                edges.push(next);
            }
            None => edges.push(midnight(next_day(local_day(last, &rules), bucket), &rules)),
        }
    }
    if edges.len() > most + 1 { Err(TooMany(most)) } else { Ok(edges) }
}

fn local_day(at: Timestamp, rules: &TimeZone) -> Date {
    jiff::Timestamp::from_microsecond(at.micros())
        .unwrap_or(jiff::Timestamp::UNIX_EPOCH)
        .to_zoned(rules.clone())
        .date()
}

/// The first moment of a day: not every day has a midnight.
fn midnight(day: Date, rules: &TimeZone) -> Timestamp {
    let start = day.to_zoned(rules.clone()).and_then(|zoned| zoned.start_of_day());
    start.map_or(Timestamp::MAX, |start| Timestamp::from_micros(start.timestamp().as_microsecond()))
}

fn tomorrow(day: Date) -> Date {
    day.tomorrow().unwrap_or(day)
}

/// The beginnings of the hours of a day, counted from its first moment.
fn hours_of(day: Date, rules: &TimeZone) -> Vec<Timestamp> {
    let (start, end) = (midnight(day, rules).micros(), midnight(tomorrow(day), rules).micros());
    (start..end).step_by(3_600_000_000).map(Timestamp::from_micros).collect()
}

fn first_day(day: Date, bucket: Bucket) -> Date {
    match bucket {
        Bucket::Week => (0..6).fold(day, |day, _| match day.weekday() {
            Weekday::Monday => day,
            _ => day.yesterday().unwrap_or(day),
        }),
        Bucket::Month => day.first_of_month(),
        _ => day,
    }
}

/// The day that the next stretch begins with.
fn next_day(day: Date, bucket: Bucket) -> Date {
    match bucket {
        Bucket::Week => (0..7).fold(first_day(day, bucket), |day, _| tomorrow(day)),
        Bucket::Month => tomorrow(day.last_of_month()),
        _ => tomorrow(day),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().expect("a time")
    }

    fn zone(name: &str) -> ZoneName {
        name.parse().expect("a zone")
    }

    /// Lengths of the days of a year, in hours, and how many have each.
    fn days(name: &str, from: &str, to: &str) -> Vec<(i64, usize)> {
        let edges = edges(at(from), at(to), Bucket::Day, &zone(name), 400).expect("a year");
        assert_eq!((edges.first(), edges.last()), (Some(&at(from)), Some(&at(to))), "{name}");
        let mut lengths = std::collections::BTreeMap::new();
        for pair in edges.windows(2) {
            assert_eq!(
                pair[0].micros().rem_euclid(900_000_000),
                0,
                "{name}: begins with a quarter of an hour"
            );
            assert_eq!(floor(pair[0], Bucket::Day, &zone(name)), pair[0]);
            assert_eq!(
                floor(Timestamp::from_micros(pair[1].micros() - 1), Bucket::Day, &zone(name)),
                pair[0]
            );
            *lengths.entry((pair[1].micros() - pair[0].micros()) / 3_600_000_000).or_insert(0) += 1;
        }
        lengths.into_iter().collect()
    }

    #[test]
    fn days_are_those_of_the_zone_over_a_year() {
        let madrid = days("Europe/Madrid", "2025-12-31T23:00:00Z", "2026-12-31T23:00:00Z");
        assert_eq!(madrid, [(23, 1), (24, 363), (25, 1)]);
        let kolkata = days("Asia/Kolkata", "2025-12-31T18:30:00Z", "2026-12-31T18:30:00Z");
        assert_eq!(kolkata, [(24, 365)]);
        let sao_paulo = days("America/Sao_Paulo", "2026-01-01T03:00:00Z", "2027-01-01T03:00:00Z");
        assert_eq!(sao_paulo, [(24, 365)]);
        // While it had summer time, a day began at one o'clock: there was no midnight.
        let sao_paulo = days("America/Sao_Paulo", "2018-01-01T02:00:00Z", "2019-01-01T02:00:00Z");
        assert_eq!(sao_paulo, [(23, 1), (24, 363), (25, 1)]);
        let chatham = days("Pacific/Chatham", "2025-12-31T10:15:00Z", "2026-12-31T10:15:00Z");
        assert_eq!(chatham, [(23, 1), (24, 363), (25, 1)]);
    }

    #[test]
    fn hours_weeks_and_months() {
        let madrid = zone("Europe/Madrid");
        let hours = edges(at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z"), Bucket::Hour, &madrid, 99);
        assert_eq!(hours.expect("few").len(), 24, "23 hours and an end");
        let hours = edges(
            at("2026-07-01T10:30:00Z"),
            at("2026-07-01T12:10:00Z"),
            Bucket::Hour,
            &zone("Asia/Kolkata"),
            9,
        );
        let shown: Vec<_> = hours.expect("few").iter().map(ToString::to_string).collect();
        assert_eq!(shown, ["2026-07-01T10:30:00Z", "2026-07-01T11:30:00Z", "2026-07-01T12:30:00Z"]);
        let week = floor(at("2026-11-22T22:59:00Z"), Bucket::Week, &madrid);
        assert_eq!(week, at("2026-11-15T23:00:00Z"));
        let months = edges(at("2026-01-15T00:00:00Z"), at("2026-03-02T00:00:00Z"), Bucket::Month, &madrid, 9);
        let shown: Vec<_> = months.expect("few").iter().map(ToString::to_string).collect();
        assert_eq!(
            shown,
            ["2025-12-31T23:00:00Z", "2026-01-31T23:00:00Z", "2026-02-28T23:00:00Z", "2026-03-31T22:00:00Z"]
        );
        let minutes =
            edges(at("2026-01-01T00:00:30Z"), at("2026-01-01T00:02:00Z"), Bucket::Minute, &madrid, 9);
        assert_eq!(minutes.expect("few").len(), 3);
        let utc = ZoneName::utc();
        assert_eq!(
            edges(Timestamp::EPOCH, at("2026-01-01T00:00:00Z"), Bucket::Day, &utc, 400),
            Err(TooMany(400))
        );
        assert_eq!(
            edges(Timestamp::EPOCH, at("2026-01-01T00:00:00Z"), Bucket::Hour, &utc, 400),
            Err(TooMany(400))
        );
    }
}
