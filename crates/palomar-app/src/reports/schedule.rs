//! Which report is due. A function of values.

use std::str::FromStr;

use palomar_model::analytics::{Bucket, floor};
use palomar_model::{DayTime, Timestamp, ZoneName};

/// What a report that is told by itself is about: what has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReportKind {
    /// A day.
    Day,
    /// A week, from Monday on.
    Week,
    /// A month.
    Month,
}

/// A word that names no kind of report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("must be day, week or month")]
pub struct NoReportKind;

impl FromStr for ReportKind {
    type Err = NoReportKind;

    fn from_str(text: &str) -> Result<ReportKind, NoReportKind> {
        let all = [ReportKind::Day, ReportKind::Week, ReportKind::Month];
        all.into_iter().find(|kind| kind.as_str() == text).ok_or(NoReportKind)
    }
}

impl ReportKind {
    /// Its name.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ReportKind::Day => "day",
            ReportKind::Week => "week",
            ReportKind::Month => "month",
        }
    }

    const fn bucket(self) -> Bucket {
        match self {
            ReportKind::Day => Bucket::Day,
            ReportKind::Week => Bucket::Week,
            ReportKind::Month => Bucket::Month,
        }
    }

    /// From when to when the newest report is whose time to be told has come: `at`, on the day after its last.
    pub(super) fn newest(self, at: DayTime, zone: &ZoneName, now: Timestamp) -> (Timestamp, Timestamp) {
        let just_before = |end: Timestamp| Timestamp::from_micros(end.micros() - 1);
        let begun = floor(now, self.bucket(), zone);
        let end = if now >= zone.time_of(begun, at) {
            begun
        } else {
            floor(just_before(begun), self.bucket(), zone)
        };
        (floor(just_before(end), self.bucket(), zone), end)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_is_what_has_ended_and_whose_hour_has_come() {
        use ReportKind::{Day, Month, Week};
        for (kind, zone, now, from, to) in [
            (Day, "UTC", "2026-11-23T07:59:59Z", "2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"),
            (Day, "UTC", "2026-11-23T08:00:00Z", "2026-11-22T00:00:00Z", "2026-11-23T00:00:00Z"),
            // Monday the 23rd.
            (Week, "UTC", "2026-11-23T07:00:00Z", "2026-11-09T00:00:00Z", "2026-11-16T00:00:00Z"),
            (Week, "UTC", "2026-11-23T09:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Week, "UTC", "2026-11-29T23:00:00Z", "2026-11-16T00:00:00Z", "2026-11-23T00:00:00Z"),
            (Month, "UTC", "2026-03-01T08:00:00Z", "2026-02-01T00:00:00Z", "2026-03-01T00:00:00Z"),
            (Month, "UTC", "2026-03-01T07:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00Z"),
            // The day of 23 hours in Madrid, told at eight o'clock of the clocks there.
            (Day, "Europe/Madrid", "2026-03-30T06:00:00Z", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z"),
            (Day, "Europe/Madrid", "2026-03-30T05:59:00Z", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"),
            // On it, eight o'clock comes after seven hours.
            (Day, "Europe/Madrid", "2026-03-29T06:00:00Z", "2026-03-27T23:00:00Z", "2026-03-28T23:00:00Z"),
            (
                Day,
                "America/Sao_Paulo",
                "2026-11-23T12:00:00Z",
                "2026-11-22T03:00:00Z",
                "2026-11-23T03:00:00Z",
            ),
        ] {
            let (zone, now) = (zone.parse().expect("a zone"), now.parse().expect("a time"));
            let found = kind.newest("08:00".parse().expect("a time"), &zone, now);
            assert_eq!(
                (found.0.to_string(), found.1.to_string()),
                (from.into(), to.into()),
                "{kind:?} {now}"
            );
        }
    }
}
