//! Spans of time as people write them: `20ms`, `5ms..50ms`, `1.5s`, `2m`, `1h`.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::rng::Rng;

/// A setting that can't be: a text that is no span of time, a rate above 1, … It says what was expected.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidSetting(pub(crate) String);

impl InvalidSetting {
    pub(crate) fn new(what: &str, text: &str) -> InvalidSetting {
        let shown: String = text.chars().take(64).collect();
        InvalidSetting(format!("{shown:?} is not {what}"))
    }
}

/// A waiting time: fixed (`20ms`) or drawn evenly from a range (`5ms..50ms`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Latency {
    least: Duration,
    most: Duration,
}

impl Latency {
    /// No waiting at all.
    pub const NONE: Latency = Latency::fixed(Duration::ZERO);

    /// Always the same.
    #[must_use]
    pub const fn fixed(span: Duration) -> Latency {
        Latency { least: span, most: span }
    }

    /// Drawn evenly between the two, in either order.
    #[must_use]
    pub fn between(one: Duration, other: Duration) -> Latency {
        Latency { least: one.min(other), most: one.max(other) }
    }

    /// True if it never waits.
    #[must_use]
    pub const fn is_none(&self) -> bool {
        self.most.is_zero()
    }

    /// One waiting time.
    pub(crate) fn draw(&self, rng: &mut Rng) -> Duration {
        let width = u64::try_from((self.most - self.least).as_micros()).unwrap_or(u64::MAX);
        if width == 0 {
            return self.least;
        }
        self.least + Duration::from_micros(rng.below(width.saturating_add(1)))
    }
}

impl FromStr for Latency {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Latency, InvalidSetting> {
        match text.split_once("..") {
            None => parse_span(text).map(Latency::fixed),
            Some((least, most)) => {
                let (least, most) = (parse_span(least)?, parse_span(most)?);
                if least > most {
                    return Err(InvalidSetting::new("a range with the smaller span first", text));
                }
                Ok(Latency { least, most })
            }
        }
    }
}

impl fmt::Display for Latency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&span_text(self.least))?;
        if self.most > self.least { write!(f, "..{}", span_text(self.most)) } else { Ok(()) }
    }
}

impl Serialize for Latency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Latency {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Latency, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A number with a unit: `us`, `ms`, `s`, `m`, `h`; a bare `0` needs none. At most a year.
pub(crate) fn parse_span(text: &str) -> Result<Duration, InvalidSetting> {
    const YEAR_SECONDS: f64 = 31_536_000.0;
    let invalid = || InvalidSetting::new("a span of time like 20ms, 1.5s, 2m or 1h", text);
    let text = text.trim();
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).unwrap_or(text.len());
    let (number, unit) = text.split_at(unit_at);
    let number: f64 = number.trim().parse().map_err(|_| invalid())?;
    let seconds = match unit {
        "us" => number / 1e6,
        "ms" => number / 1e3,
        "s" => number,
        "m" => number * 60.0,
        "h" => number * 3600.0,
        "" if number == 0.0 => 0.0,
        _ => return Err(invalid()),
    };
    if (0.0..=YEAR_SECONDS).contains(&seconds) {
        Ok(Duration::from_secs_f64(seconds))
    } else {
        Err(invalid())
    }
}

/// The shortest text that [`parse_span`] reads back as the same span (to the microsecond).
pub(crate) fn span_text(span: Duration) -> String {
    let micros = span.as_micros();
    if micros.is_multiple_of(1_000_000) {
        format!("{}s", micros / 1_000_000)
    } else if micros.is_multiple_of(1_000) {
        format!("{}ms", micros / 1_000)
    } else {
        format!("{micros}us")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts() {
        for (text, least, most) in [
            ("20ms", 20_000, 20_000),
            ("5ms..50ms", 5_000, 50_000),
            ("1.5s", 1_500_000, 1_500_000),
            ("0", 0, 0),
            ("2m..1h", 120_000_000, 3_600_000_000),
        ] {
            let latency: Latency = text.parse().unwrap();
            let expected = Latency::between(Duration::from_micros(least), Duration::from_micros(most));
            assert_eq!(latency, expected, "{text}");
            assert_eq!(latency.to_string().parse(), Ok(latency), "{text}");
        }
        for bad in ["", "20", "ms", "-1s", "5ms..", "50ms..5ms", "1y", "nans", "infs", "99999h"] {
            assert!(bad.parse::<Latency>().is_err(), "{bad}");
        }
    }

    #[test]
    fn draws_stay_in_the_range_and_reach_its_ends() {
        let latency: Latency = "10us..12us".parse().unwrap();
        let mut rng = Rng::new(1);
        let drawn: std::collections::BTreeSet<_> =
            (0..100).map(|_| latency.draw(&mut rng).as_micros()).collect();
        assert!(drawn.into_iter().eq(10..=12));
    }
}
