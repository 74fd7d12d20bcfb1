//! The units that settings are written in: spans of time ("30s", "1m 30s"), sizes ("256 MiB") and rates ("80/min").
//!
//! Each type reads and writes the same text: what `config show` prints can be pasted into a file.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use serde::de::{Error, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A text that is not what its setting is written in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("expected {0}")]
pub(crate) struct Expected(&'static str);

const TIME: Expected = Expected("a span of time such as \"30s\", \"1m 30s\" or \"8d\" (ms, s, m, h, d)");
const SIZE: Expected =
    Expected("a size such as \"64 KiB\", \"256 MiB\" or \"4 GiB\" (a bare number counts bytes)");
const RATE: Expected = Expected("a rate such as \"80/min\", \"10/s\" or \"250/24h\"");

/// A span of time, in whole milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Span(pub(crate) Duration);

/// A number of bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Size(pub(crate) u64);

/// So many in any span of so long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    /// So many at most, 1 or more.
    pub(crate) max: u32,
    /// In any span of this length.
    pub(crate) window: Duration,
}

/// The name of a unit and how many milliseconds it is long, the longest first.
const UNITS: [(&str, u64); 5] = [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// A hundred years: what is longer is a mistake, and sums of spans stay within every type.
const LONGEST: u64 = 36_500 * 86_400_000;

/// What other tools call these units.
fn millis_of(unit: &str) -> Option<u64> {
    let short = match unit {
        "day" | "days" => "d",
        "hour" | "hours" | "hr" => "h",
        "min" | "minute" | "minutes" => "m",
        "sec" | "second" | "seconds" => "s",
        other => other,
    };
    UNITS.iter().find(|(name, _)| *name == short).map(|(_, millis)| *millis)
}

impl FromStr for Span {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Span, Expected> {
        let mut rest = text.trim();
        let mut total = 0_u64;
        if rest == "0" {
            return Ok(Span(Duration::ZERO));
        }
        if rest.is_empty() {
            return Err(TIME);
        }
        while !rest.is_empty() {
            let (digits, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit()).ok_or(TIME)?);
            let after = after.trim_start();
            let (unit, after) =
                after.split_at(after.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(after.len()));
            let count: u64 = digits.parse().map_err(|_| TIME)?;
            let millis = millis_of(unit).and_then(|millis| count.checked_mul(millis)).ok_or(TIME)?;
            total = total.checked_add(millis).ok_or(TIME)?;
            rest = after.trim_start();
        }
        if total <= LONGEST { Ok(Span(Duration::from_millis(total))) } else { Err(TIME) }
    }
}

impl fmt::Display for Span {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = u64::try_from(self.0.as_millis()).unwrap_or(u64::MAX);
        if rest == 0 {
            return f.write_str("0s");
        }
        let mut gap = "";
        for (name, millis) in UNITS {
            if rest >= millis {
                write!(f, "{gap}{}{name}", rest / millis)?;
                rest %= millis;
                gap = " ";
            }
        }
        Ok(())
    }
}

const SIZES: [(&str, u64); 4] = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10), ("B", 1)];

impl FromStr for Size {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Size, Expected> {
        let text = text.trim();
        let (digits, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
        let factor = match unit.trim() {
            "" => 1,
            unit => SIZES
                .iter()
                .find(|(name, _)| name.eq_ignore_ascii_case(unit))
                .map(|(_, factor)| *factor)
                .ok_or(SIZE)?,
        };
        let count: u64 = digits.parse().map_err(|_| SIZE)?;
        count.checked_mul(factor).map(Size).ok_or(SIZE)
    }
}

impl fmt::Display for Size {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let unit = SIZES.into_iter().find(|(_, factor)| self.0 >= *factor && self.0.is_multiple_of(*factor));
        let (name, factor) = unit.unwrap_or(("B", 1));
        write!(f, "{} {name}", self.0 / factor)
    }
}

impl FromStr for Rate {
    type Err = Expected;

    fn from_str(text: &str) -> Result<Rate, Expected> {
        let (max, window) = text.split_once('/').ok_or(RATE)?;
        let max: u32 = max.trim().parse().map_err(|_| RATE)?;
        let window = window.trim();
        // "80/min" says one minute; "250/24h" says how many.
        let window = if window.starts_with(|c: char| c.is_ascii_digit()) {
            window.to_owned()
        } else {
            format!("1{window}")
        };
        let window = window.parse::<Span>().map_err(|_| RATE)?.0;
        if max == 0 || window.is_zero() { Err(RATE) } else { Ok(Rate { max, window }) }
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let window = Span(self.window).to_string();
        let window = window.strip_prefix('1').filter(|unit| millis_of(unit).is_some()).unwrap_or(&window);
        write!(f, "{}/{window}", self.max)
    }
}

/// Reads a type that is written as text, or as a bare number where that is not ambiguous.
struct Text<T>(&'static str, std::marker::PhantomData<T>);

impl<T: FromStr<Err = Expected>> Visitor<'_> for Text<T> {
    type Value = T;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }

    fn visit_str<E: Error>(self, text: &str) -> Result<T, E> {
        text.parse()
            .map_err(|expected: Expected| E::custom(format!("{text:?} is not understood: {expected}")))
    }

    fn visit_i64<E: Error>(self, number: i64) -> Result<T, E> {
        number
            .to_string()
            .parse()
            .map_err(|expected: Expected| E::custom(format!("{number} is not understood: {expected}")))
    }
}

macro_rules! written_as_text {
    ($type:ty, $expected:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<$type, D::Error> {
                deserializer.deserialize_any(Text($expected.0, std::marker::PhantomData))
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    };
}

written_as_text!(Span, TIME);
written_as_text!(Size, SIZE);
written_as_text!(Rate, RATE);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_of_time() {
        for (text, millis, shown) in [
            ("30s", 30_000, "30s"),
            ("1m 30s", 90_000, "1m 30s"),
            ("90s", 90_000, "1m 30s"),
            ("8d", 691_200_000, "8d"),
            ("250 ms", 250, "250ms"),
            ("2 hours", 7_200_000, "2h"),
            ("0", 0, "0s"),
        ] {
            let span: Span = text.parse().expect(text);
            assert_eq!((span.0.as_millis(), span.to_string().as_str()), (millis, shown), "{text}");
            assert_eq!(shown.parse(), Ok(span));
        }
        for bad in ["", "30", "s", "-1s", "1.5s", "30 parsecs", "99999999999999999999d", "36501d", "é"] {
            assert_eq!(bad.parse::<Span>(), Err(TIME), "{bad}");
        }
    }

    #[test]
    fn sizes() {
        for (text, bytes, shown) in [
            ("256 MiB", 256 << 20, "256 MiB"),
            ("1024KiB", 1 << 20, "1 MiB"),
            ("1000", 1000, "1000 B"),
            ("0", 0, "0 B"),
            ("4 gib", 4 << 30, "4 GiB"),
        ] {
            let size: Size = text.parse().expect(text);
            assert_eq!((size.0, size.to_string().as_str()), (bytes, shown), "{text}");
        }
        for bad in ["", "MiB", "1 MB", "-1", "99999999999 GiB", "1.5 GiB"] {
            assert_eq!(bad.parse::<Size>(), Err(SIZE), "{bad}");
        }
    }

    #[test]
    fn rates() {
        for (text, max, window, shown) in [
            ("80/min", 80, 60, "80/m"),
            ("10/s", 10, 1, "10/s"),
            ("250 / 24h", 250, 86_400, "250/d"),
            ("36000/hour", 36_000, 3_600, "36000/h"),
            ("5/10s", 5, 10, "5/10s"),
        ] {
            let rate: Rate = text.parse().expect(text);
            assert_eq!(
                (rate.max, rate.window.as_secs(), rate.to_string().as_str()),
                (max, window, shown),
                "{text}"
            );
            assert_eq!(shown.parse(), Ok(rate));
        }
        for bad in ["", "80", "0/s", "80/", "80/0s", "x/s", "80/year"] {
            assert_eq!(bad.parse::<Rate>(), Err(RATE), "{bad}");
        }
    }
}
