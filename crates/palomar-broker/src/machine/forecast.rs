//! When a queue's jobs would start, one after another, if nothing but its windows held them: the windows themselves, on
//! a clock of their own. What is foreseen can't say something else than what then happens.

use palomar_model::Timestamp;

use super::spread::Spread;
use super::windows::Windows;
use crate::types::Limits;

/// The times at which jobs can start.
#[derive(Clone, Debug)]
pub struct Forecast {
    windows: Windows,
    spread: Spread,
    margin_permille: u16,
    now: Timestamp,
}

impl Forecast {
    /// Of a queue with these limits that starts nothing else, from `now` on.
    #[must_use]
    pub fn new(limits: &Limits, now: Timestamp) -> Forecast {
        let (mut windows, mut spread) = (Windows::default(), Spread::default());
        windows.configure(&limits.windows);
        spread.configure(&limits.windows);
        Forecast { windows, spread, margin_permille: limits.margin_permille, now }
    }

    /// The next start, not before a time. Times never go back.
    pub fn start(&mut self, not_before: Timestamp) -> Timestamp {
        let mut at = self.now.max(not_before);
        loop {
            let room = self.windows.free_at(0, 1000, self.margin_permille, at).0;
            let free = room.max(self.spread.free_at(1000, at).0);
            if free <= at {
                break;
            }
            at = free;
        }
        self.spread.take(1000, at);
        self.windows.record(at, self.margin_permille);
        self.now = at;
        at
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::types::Window;

    #[test]
    fn as_fast_as_the_windows_allow_and_no_faster() {
        let second = Duration::from_secs;
        for (windows, n, least, most) in [
            (vec![], 1_000, 0.0, 0.0),
            (vec![Window { max: 10, window: second(1) }], 1_000, 99.0, 103.0),
            (vec![Window { max: 80, window: second(60) }], 400, 240.0, 246.0),
            (
                vec![Window { max: 10, window: second(1) }, Window { max: 600, window: second(60) }],
                2_000,
                199.0,
                206.0,
            ),
        ] {
            let limits = Limits { windows, ..Limits::default() };
            let begun = Timestamp::from_seconds(1_767_225_600);
            let mut forecast = Forecast::new(&limits, begun);
            let last = (0..n).map(|_| forecast.start(begun)).last().expect("some");
            let took = last.since(begun).as_secs_f64();
            assert!((least..=most).contains(&took), "{n} in {took} s under {limits:?}");
        }
    }

    #[test]
    fn nothing_starts_before_it_may() {
        let mut forecast = Forecast::new(&Limits::default(), Timestamp::from_seconds(10));
        assert_eq!(forecast.start(Timestamp::from_seconds(20)), Timestamp::from_seconds(20));
        assert_eq!(forecast.start(Timestamp::from_seconds(15)), Timestamp::from_seconds(20));
    }
}
