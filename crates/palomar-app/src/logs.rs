//! How log lines are said: what would be said thousands of times, once a second; errors with what led to them; times as
//! numbers.

use std::error::Error;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::time::Duration;

use palomar_model::Timestamp;

const SECOND: i64 = 1_000_000;

/// An error with what led to it, each said once.
pub(crate) fn chain(error: &dyn Error) -> String {
    let mut words = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let text = error.to_string();
        if !words.contains(&text) {
            words.push_str(": ");
            words.push_str(&text);
        }
        cause = error.source();
    }
    words
}

/// A time in microseconds, as a number that every reader of logs takes.
#[must_use]
pub fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

/// One cause of log lines: it is said once a second, with how often it was not in between.
#[derive(Debug)]
pub struct Quiet {
    /// When it was said last.
    said: AtomicI64,
    /// How often it was not said since.
    held: AtomicU64,
}

impl Default for Quiet {
    fn default() -> Quiet {
        Quiet { said: AtomicI64::new(i64::MIN), held: AtomicU64::new(0) }
    }
}

impl Quiet {
    /// Whether it is to be said now: then how often it was not since the last time.
    pub fn says(&self, now: Timestamp) -> Option<u64> {
        let (now, said) = (now.micros(), self.said.load(Ordering::Relaxed));
        // A clock that went back says it, too.
        let due = said == i64::MIN || now < said || now - said >= SECOND;
        let mine = due && self.said.compare_exchange(said, now, Ordering::Relaxed, Ordering::Relaxed).is_ok();
        if mine {
            return Some(self.held.swap(0, Ordering::Relaxed));
        }
        self.held.fetch_add(1, Ordering::Relaxed);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    #[error("{words}")]
    struct Told {
        words: &'static str,
        #[source]
        cause: Option<Box<Told>>,
    }

    #[test]
    fn errors_say_what_led_to_them() {
        let told = |words, cause: Option<Told>| Told { words, cause: cause.map(Box::new) };
        let whole = told("can't write", Some(told("the store", Some(told("disk full", None)))));
        assert_eq!(chain(&whole), "can't write: the store: disk full");
        assert_eq!(
            chain(&told("the store: disk full", Some(told("disk full", None)))),
            "the store: disk full"
        );
        assert_eq!(micros(Duration::MAX), u64::MAX);
    }

    #[test]
    fn once_a_second_with_what_was_left_out() {
        let quiet = Quiet::default();
        let at = |millis: i64| Timestamp::from_micros(millis * 1_000);
        assert_eq!(quiet.says(at(0)), Some(0));
        assert_eq!([10, 500, 999].map(|millis| quiet.says(at(millis))), [None; 3]);
        assert_eq!(quiet.says(at(1_000)), Some(3));
        assert_eq!((quiet.says(at(1_500)), quiet.says(at(400))), (None, Some(1)));
    }
}
