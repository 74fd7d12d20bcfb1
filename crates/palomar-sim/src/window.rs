//! Exact sliding windows: "at most N in any T", for any number of windows at once.

use std::collections::VecDeque;
use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use palomar_model::Timestamp;

use crate::span::{InvalidSetting, parse_span, span_text};

/// Limits that hold together, as text `10/1s+600/60s`; none of them is `off`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Windows(Vec<Window>);

/// At most `most` in any span of this length.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Window {
    most: usize,
    span: Duration,
}

impl Windows {
    /// No limit.
    #[must_use]
    pub const fn off() -> Windows {
        Windows(Vec::new())
    }

    /// At most `most` in any `span`; both above zero, or it is no limit.
    #[must_use]
    pub fn per(most: usize, span: Duration) -> Windows {
        Windows::off().and(most, span)
    }

    /// These limits and one more.
    #[must_use]
    pub fn and(mut self, most: usize, span: Duration) -> Windows {
        if most > 0 && !span.is_zero() {
            self.0.push(Window { most, span });
        }
        self
    }

    /// True if there is no limit.
    #[must_use]
    pub const fn is_off(&self) -> bool {
        self.0.is_empty()
    }

    fn longest_memory(&self) -> usize {
        self.0.iter().map(|window| window.most).max().unwrap_or(0)
    }
}

impl FromStr for Windows {
    type Err = InvalidSetting;

    fn from_str(text: &str) -> Result<Windows, InvalidSetting> {
        if text == "off" {
            return Ok(Windows::off());
        }
        let invalid = || InvalidSetting::new("a limit like 80/1s, 10/1s+600/60s or off", text);
        let mut windows = Windows::off();
        for part in text.split('+') {
            let (most, span) = part.split_once('/').ok_or_else(invalid)?;
            let most: usize = most.trim().parse().map_err(|_| invalid())?;
            // `80/s` reads as `80/1s`.
            let span =
                parse_span(span).or_else(|_| parse_span(&format!("1{span}"))).map_err(|_| invalid())?;
            if most == 0 || span.is_zero() {
                return Err(invalid());
            }
            windows = windows.and(most, span);
        }
        Ok(windows)
    }
}

impl fmt::Display for Windows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.0.is_empty() {
            return f.write_str("off");
        }
        for (place, window) in self.0.iter().enumerate() {
            let plus = if place > 0 { "+" } else { "" };
            write!(f, "{plus}{}/{}", window.most, span_text(window.span))?;
        }
        Ok(())
    }
}

/// The times that count for a set of [`Windows`]: as many of the latest as the largest window may hold.
#[derive(Debug, Clone, Default)]
pub(crate) struct SlidingLog(VecDeque<Timestamp>);

impl SlidingLog {
    /// How long to wait until one more fits into every window; zero where it fits now.
    ///
    /// A window of span T is half open: a time exactly T ago counts no more.
    pub(crate) fn wait(&self, windows: &Windows, now: Timestamp) -> Duration {
        let wait_of = |window: &Window| {
            let place = self.0.len().checked_sub(window.most)?;
            let free_at = self.0.get(place)?.after(window.span);
            Some(free_at.since(now))
        };
        windows.0.iter().filter_map(wait_of).max().unwrap_or(Duration::ZERO)
    }

    /// Counts one at `now`. Times never go back: an earlier `now` counts at the latest time seen.
    pub(crate) fn count(&mut self, windows: &Windows, now: Timestamp) {
        let now = self.0.back().map_or(now, |latest| now.max(*latest));
        self.0.push_back(now);
        while self.0.len() > windows.longest_memory() {
            self.0.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn texts() {
        for text in ["80/1s", "80/60s", "10/1s+600/60s+36000/3600s", "off"] {
            assert_eq!(text.parse::<Windows>().unwrap().to_string(), text);
        }
        assert_eq!("80/s".parse::<Windows>(), Ok(Windows::per(80, Duration::from_secs(1))));
        for bad in ["", "80", "80/", "0/1s", "80/0s", "80/1s+", "x/1s"] {
            assert!(bad.parse::<Windows>().is_err(), "{bad}");
        }
    }

    #[test]
    fn no_window_of_any_position_holds_more_and_the_limit_is_reached() {
        let windows: Windows = "10/1s+25/5s".parse().unwrap();
        let (mut log, mut taken) = (SlidingLog::default(), Vec::new());
        for millis in 0..20_000 {
            if log.wait(&windows, at(millis)).is_zero() {
                log.count(&windows, at(millis));
                taken.push(millis);
            }
        }
        for (most, span) in [(10, 1_000), (25, 5_000)] {
            let fullest = taken
                .iter()
                .map(|start| taken.iter().filter(|t| (*start..*start + span).contains(t)).count());
            assert_eq!(fullest.max(), Some(most));
        }
        assert_eq!(taken.len(), 100);
    }

    #[test]
    fn says_how_long_to_wait() {
        let windows = Windows::per(2, Duration::from_secs(1));
        let mut log = SlidingLog::default();
        log.count(&windows, at(0));
        assert_eq!(log.wait(&windows, at(100)), Duration::ZERO);
        log.count(&windows, at(100));
        assert_eq!(log.wait(&windows, at(300)), Duration::from_millis(700));
        assert_eq!(log.wait(&windows, at(999)), Duration::from_millis(1));
        assert_eq!(log.wait(&windows, at(1_000)), Duration::ZERO);
    }
}
