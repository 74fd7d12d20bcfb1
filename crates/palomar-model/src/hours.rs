//! The hours in which people may be written to, in their own time zone. A function of values: the zones' rules come with
//! the program.
//!
//! Always: [`SendingHours::next`] answers a time that is allowed in every zone that was asked for, not before the one it
//! was given; it answers the same time where that is allowed.

use std::fmt;
use std::str::FromStr;

use jiff::Zoned;
use jiff::civil::{Date, Weekday};
use jiff::tz::TimeZone;
use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// A time zone by its name in the IANA's database.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ZoneName(String);

/// A text that names no time zone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a time zone; write it as Europe/Madrid or America/Mexico_City")]
pub struct UnknownZone;

impl ZoneName {
    /// The coordinated universal time.
    #[must_use]
    pub fn utc() -> ZoneName {
        ZoneName("UTC".to_owned())
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    pub(crate) fn rules(&self) -> TimeZone {
        TimeZone::get(&self.0).unwrap_or(TimeZone::UTC)
    }

    /// The day that it is there, as days since 1970.
    #[must_use]
    pub fn day(&self, at: Timestamp) -> i64 {
        let midnight = moment(local(at, &self.rules()).date(), 0, &TimeZone::UTC);
        midnight.micros().div_euclid(86_400_000_000)
    }

    /// The day that it is there, as `2026-11-23`.
    #[must_use]
    pub fn date(&self, at: Timestamp) -> String {
        local(at, &self.rules()).date().to_string()
    }

    /// When the day that `at` is in began there.
    #[must_use]
    pub fn midnight(&self, at: Timestamp) -> Timestamp {
        let rules = self.rules();
        moment(local(at, &rules).date(), 0, &rules)
    }

    /// A time of the day that `at` is in, by the clocks there.
    #[must_use]
    pub fn time_of(&self, at: Timestamp, time: DayTime) -> Timestamp {
        let rules = self.rules();
        moment(local(at, &rules).date(), time.0, &rules)
    }

    /// When the day after the one that `at` is in begins there.
    #[must_use]
    pub fn next_midnight(&self, at: Timestamp) -> Timestamp {
        let rules = self.rules();
        let day = local(at, &rules).date();
        moment(day.tomorrow().unwrap_or(day), 0, &rules)
    }
}

impl FromStr for ZoneName {
    type Err = UnknownZone;

    fn from_str(text: &str) -> Result<ZoneName, UnknownZone> {
        // As the database spells it: names are found without regard to case.
        let known = (text.len() <= 64).then(|| TimeZone::get(text).ok()).flatten().ok_or(UnknownZone)?;
        known.iana_name().map(|name| ZoneName(name.to_owned())).ok_or(UnknownZone)
    }
}

impl TryFrom<String> for ZoneName {
    type Error = UnknownZone;

    fn try_from(text: String) -> Result<ZoneName, UnknownZone> {
        text.parse()
    }
}

impl From<ZoneName> for String {
    fn from(zone: ZoneName) -> String {
        zone.0
    }
}

impl fmt::Display for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for ZoneName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A time of the day: minutes since midnight, up to 24:00.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct DayTime(u16);

impl DayTime {
    /// The beginning of the day.
    pub const MIDNIGHT: DayTime = DayTime(0);
}

/// A text that is no time of the day.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not a time of the day; write it as 09:30, up to 24:00")]
pub struct NoDayTime;

impl DayTime {
    /// Hour and minute as clocks show them; none for 24:00, which is the next day's.
    #[must_use]
    pub(crate) const fn clock(self) -> Option<(u16, u16)> {
        if self.0 < 24 * 60 { Some((self.0 / 60, self.0 % 60)) } else { None }
    }
}

impl FromStr for DayTime {
    type Err = NoDayTime;

    fn from_str(text: &str) -> Result<DayTime, NoDayTime> {
        let (hours, minutes) = text.split_once(':').ok_or(NoDayTime)?;
        let number = |part: &str| -> Option<u16> {
            let digits = part.len() == 2 && part.bytes().all(|c| c.is_ascii_digit());
            if digits { part.parse().ok() } else { None }
        };
        let (hours, minutes) = number(hours).zip(number(minutes)).ok_or(NoDayTime)?;
        let time = DayTime(hours * 60 + minutes);
        if minutes < 60 && time.0 <= 24 * 60 { Ok(time) } else { Err(NoDayTime) }
    }
}

impl TryFrom<String> for DayTime {
    type Error = NoDayTime;

    fn try_from(text: String) -> Result<DayTime, NoDayTime> {
        text.parse()
    }
}

impl From<DayTime> for String {
    fn from(time: DayTime) -> String {
        format!("{:02}:{:02}", time.0 / 60, time.0 % 60)
    }
}

/// A day of the week.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Day {
    /// Monday.
    Mon,
    /// Tuesday.
    Tue,
    /// Wednesday.
    Wed,
    /// Thursday.
    Thu,
    /// Friday.
    Fri,
    /// Saturday.
    Sat,
    /// Sunday.
    Sun,
}

impl Day {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Day::Mon => "mon",
            Day::Tue => "tue",
            Day::Wed => "wed",
            Day::Thu => "thu",
            Day::Fri => "fri",
            Day::Sat => "sat",
            Day::Sun => "sun",
        }
    }
}

impl From<Weekday> for Day {
    fn from(day: Weekday) -> Day {
        match day {
            Weekday::Monday => Day::Mon,
            Weekday::Tuesday => Day::Tue,
            Weekday::Wednesday => Day::Wed,
            Weekday::Thursday => Day::Thu,
            Weekday::Friday => Day::Fri,
            Weekday::Saturday => Day::Sat,
            Weekday::Sunday => Day::Sun,
        }
    }
}

/// The hours in which people may be written to.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "Written", into = "Written")]
pub struct SendingHours {
    from: DayTime,
    until: DayTime,
    days: Vec<Day>,
}

/// Hours as they are written.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    from: DayTime,
    until: DayTime,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    days: Vec<Day>,
}

/// Hours in which nobody could ever be written to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`from` must be before `until`, on one day")]
pub struct NoHours;

impl TryFrom<Written> for SendingHours {
    type Error = NoHours;

    fn try_from(Written { from, until, days }: Written) -> Result<SendingHours, NoHours> {
        SendingHours::new(from, until, days)
    }
}

impl From<SendingHours> for Written {
    fn from(SendingHours { from, until, days }: SendingHours) -> Written {
        Written { from, until, days }
    }
}

/// No schedule of a week has more openings in a row that miss each other than this.
const MOST_ROUNDS: usize = 64;

impl SendingHours {
    /// From a time of the day until another, on some days of the week; on all where none is named.
    ///
    /// # Errors
    /// Where the one is not before the other.
    pub fn new(from: DayTime, until: DayTime, days: Vec<Day>) -> Result<SendingHours, NoHours> {
        if from < until { Ok(SendingHours { from, until, days }) } else { Err(NoHours) }
    }

    /// The first time from `at` on that is allowed in all of these zones; `at` itself where it is. None where there is no
    /// such time: the zones are too far apart for these hours.
    #[must_use]
    pub fn next(&self, at: Timestamp, zones: &[ZoneName]) -> Option<Timestamp> {
        let rules: Vec<TimeZone> = zones.iter().map(ZoneName::rules).collect();
        let mut time = at;
        for _ in 0..MOST_ROUNDS {
            let latest = rules.iter().map(|rules| self.next_in(time, rules)).max().unwrap_or(time);
            if latest == time {
                return Some(time);
            }
            time = latest;
        }
        None
    }

    fn next_in(&self, at: Timestamp, rules: &TimeZone) -> Timestamp {
        let mut day = local(at, rules).date();
        // A clock that is put forward can take a whole opening away: two weeks have one for certain.
        for _ in 0..15 {
            if self.days.is_empty() || self.days.contains(&day.weekday().into()) {
                let (begins, ends) = (moment(day, self.from.0, rules), moment(day, self.until.0, rules));
                if at < ends && begins < ends {
                    return at.max(begins);
                }
            }
            day = day.tomorrow().unwrap_or(day);
        }
        at
    }
}

fn local(at: Timestamp, rules: &TimeZone) -> Zoned {
    let instant = jiff::Timestamp::from_microsecond(at.micros()).unwrap_or(jiff::Timestamp::UNIX_EPOCH);
    instant.to_zoned(rules.clone())
}

/// A time of a day, by the clocks there.
fn moment(day: Date, minutes: u16, rules: &TimeZone) -> Timestamp {
    let (day, minutes) = if minutes >= 24 * 60 { (day.tomorrow().unwrap_or(day), 0) } else { (day, minutes) };
    let (hour, minute) = (i8::try_from(minutes / 60).unwrap_or(0), i8::try_from(minutes % 60).unwrap_or(0));
    let zoned = day.at(hour, minute, 0, 0).to_zoned(rules.clone());
    zoned.map_or(Timestamp::MAX, |zoned| Timestamp::from_micros(zoned.timestamp().as_microsecond()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hours(from: &str, until: &str, days: Vec<Day>) -> SendingHours {
        SendingHours::new(from.parse().expect("a time"), until.parse().expect("a time"), days).expect("hours")
    }

    fn zones(names: &[&str]) -> Vec<ZoneName> {
        names.iter().map(|name| name.parse().expect(name)).collect()
    }

    #[test]
    fn the_next_time_that_is_allowed() {
        let day = || hours("09:00", "20:00", vec![]);
        let work = || hours("09:00", "18:00", vec![Day::Mon, Day::Tue, Day::Wed, Day::Thu, Day::Fri]);
        for (hours, names, at, expected) in [
            (day(), vec!["Europe/Madrid"], "2026-07-01T09:30:00Z", "2026-07-01T09:30:00Z"),
            (day(), vec!["Europe/Madrid"], "2026-07-01T06:59:59Z", "2026-07-01T07:00:00Z"),
            (day(), vec!["Europe/Madrid"], "2026-07-01T18:00:00Z", "2026-07-02T07:00:00Z"),
            (day(), vec!["America/Mexico_City"], "2026-07-01T09:30:00Z", "2026-07-01T15:00:00Z"),
            // Friday evening to Monday morning.
            (work(), vec!["UTC"], "2026-07-03T18:00:00Z", "2026-07-06T09:00:00Z"),
            // Both coasts: when it is nine in the west, and not yet eight in the evening in the east.
            (
                day(),
                vec!["America/New_York", "America/Los_Angeles"],
                "2026-07-01T13:00:00Z",
                "2026-07-01T16:00:00Z",
            ),
            (
                day(),
                vec!["America/New_York", "America/Los_Angeles"],
                "2026-07-02T00:30:00Z",
                "2026-07-02T16:00:00Z",
            ),
            // The night in which clocks are put forward: 02:30 does not exist.
            (
                hours("02:30", "04:00", vec![]),
                vec!["Europe/Madrid"],
                "2026-03-29T00:00:00Z",
                "2026-03-29T01:30:00Z",
            ),
            (
                hours("00:00", "24:00", vec![]),
                vec!["Europe/Madrid"],
                "2026-03-29T00:00:00Z",
                "2026-03-29T00:00:00Z",
            ),
        ] {
            let at: Timestamp = at.parse().expect("a time");
            let next = hours.next(at, &zones(&names));
            assert_eq!(
                next.map(|next| next.to_string()).as_deref(),
                Some(expected),
                "{hours:?} {names:?} {at}"
            );
        }
        let apart = hours("09:00", "10:00", vec![]).next(Timestamp::EPOCH, &zones(&["UTC", "Asia/Tokyo"]));
        assert_eq!(apart, None, "never at once");
    }

    #[test]
    fn what_is_answered_is_allowed_and_answered_again() {
        let names = ["UTC", "Europe/Madrid", "America/Sao_Paulo", "Pacific/Apia", "Asia/Kathmandu"];
        let mut at = Timestamp::from_seconds(1_767_225_600);
        for step in 0..5_000_u64 {
            at = at.after(std::time::Duration::from_secs(step % 7_919 * 13));
            let hours =
                hours("08:15", "21:40", if step % 2 == 0 { vec![] } else { vec![Day::Sun, Day::Wed] });
            let zone = zones(&[names[step as usize % names.len()]]);
            let next = hours.next(at, &zone).expect("a time");
            assert!(next >= at);
            assert_eq!(hours.next(next, &zone), Some(next), "{at} {zone:?}");
        }
    }

    #[test]
    fn words_are_read_or_refused() {
        for bad in ["9:00", "24:01", "12:60", "noon", "", "1200", "+1:00"] {
            assert!(bad.parse::<DayTime>().is_err(), "{bad}");
        }
        for bad in ["", "Madrid", "Europe/Nowhere", "+02:00:x"] {
            assert!(bad.parse::<ZoneName>().is_err(), "{bad}");
        }
        let read = |text: &str| serde_json::from_str::<SendingHours>(text);
        assert_eq!(
            read(r#"{"from":"09:00","until":"20:00","days":["mon"]}"#).expect("read"),
            hours("09:00", "20:00", vec![Day::Mon])
        );
        assert!(read(r#"{"from":"20:00","until":"09:00"}"#).is_err());
        assert!(read(r#"{"from":"09:00","until":"20:00","day":[]}"#).is_err());
    }

    #[test]
    fn days_begin_at_midnight_there() {
        let zone: ZoneName = "Europe/Madrid".parse().expect("a zone");
        let at: Timestamp = "2026-03-28T12:00:00Z".parse().expect("a time");
        let next = zone.next_midnight(at);
        assert_eq!(next.to_string(), "2026-03-28T23:00:00Z");
        assert_eq!(zone.next_midnight(next).to_string(), "2026-03-29T22:00:00Z", "a day of 23 hours");
        let days = |text: &str| zone.day(text.parse().expect("a time"));
        assert_eq!(days("1970-01-01T00:00:00Z"), 0);
        assert_eq!(days("1969-12-31T22:59:59Z"), -1);
        assert_eq!((days("2026-03-28T22:59:59Z"), days("2026-03-28T23:00:00Z")), (20_540, 20_541));
    }

    #[test]
    fn zones_are_spelt_in_one_way() {
        for text in ["europe/madrid", "EUROPE/Madrid", "Europe/Madrid"] {
            assert_eq!(text.parse::<ZoneName>().map(String::from), Ok("Europe/Madrid".to_owned()));
        }
        assert_eq!("utc".parse::<ZoneName>().map(String::from), Ok("UTC".to_owned()));
    }
}
