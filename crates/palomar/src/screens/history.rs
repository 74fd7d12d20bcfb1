//! What was seen since the screen opened: counts that only grow, and rates out of them.
//!
//! What always holds: a rate is what two looks differ by, over the time between them; where a count fell (another server,
//! a queue made anew) there is a gap and no guess.

use std::collections::VecDeque;
use std::time::Duration;

use palomar_model::Timestamp;

/// An hour at a look every two seconds.
const MOST: usize = 1_800;

/// Looks at one number.
#[derive(Clone, Debug, Default)]
pub(super) struct History {
    looks: VecDeque<(Timestamp, u64)>,
}

impl History {
    pub(super) fn look(&mut self, at: Timestamp, count: u64) {
        if self.looks.back().is_some_and(|(last, _)| *last >= at) {
            return;
        }
        if self.looks.len() == MOST {
            self.looks.pop_front();
        }
        self.looks.push_back((at, count));
    }

    /// What it grew by a second, over as much of `span` as was seen.
    pub(super) fn rate(&self, span: Duration) -> Option<f64> {
        let (end, last) = *self.looks.back()?;
        let mut later = last;
        let mut first = None;
        for (at, count) in self.looks.iter().rev().skip(1) {
            if end.since(*at) > span || *count > later {
                break;
            }
            (first, later) = (Some((*at, *count)), *count);
        }
        let (begin, count) = first?;
        Some(per_second(last - count, end.since(begin)))
    }

    /// For how long it has been looked.
    pub(super) fn reaches(&self, now: Timestamp) -> Duration {
        self.looks.front().map_or(Duration::ZERO, |(first, _)| now.since(*first))
    }

    /// Rates between looks, as seconds before `now` (negative) and a rate a second, over the last `span`.
    pub(super) fn rates(&self, now: Timestamp, span: Duration) -> Vec<(f64, f64)> {
        self.looks
            .iter()
            .zip(self.looks.iter().skip(1))
            .filter(|((_, before), (at, count))| count >= before && now.since(*at) <= span)
            .map(|((begun, before), (at, count))| {
                (-now.since(*at).as_secs_f64(), per_second(count - before, at.since(*begun)))
            })
            .collect()
    }

    /// The numbers themselves, the last `most` of them.
    pub(super) fn numbers(&self, most: usize) -> Vec<u64> {
        let skipped = self.looks.len().saturating_sub(most);
        self.looks.iter().skip(skipped).map(|(_, count)| *count).collect()
    }

    /// What it grew by from look to look, a minute, the last `most` of them.
    pub(super) fn steps(&self, most: usize) -> Vec<u64> {
        let skipped = self.looks.len().saturating_sub(most + 1);
        let pairs = self.looks.iter().zip(self.looks.iter().skip(1)).skip(skipped);
        pairs
            .map(|((begun, before), (at, count))| {
                let minute = per_second(count.saturating_sub(*before), at.since(*begun)) * 60.0;
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a bar's height")]
                let minute = minute.round() as u64;
                minute
            })
            .collect()
    }
}

#[expect(clippy::cast_precision_loss, reason = "rates are shown to a few digits")]
fn per_second(count: u64, time: Duration) -> f64 {
    let seconds = time.as_secs_f64();
    if seconds > 0.0 { count as f64 / seconds } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(looks: &[(i64, u64)]) -> History {
        let mut history = History::default();
        looks.iter().for_each(|(at, count)| history.look(Timestamp::from_seconds(*at), *count));
        history
    }

    #[test]
    fn rates_are_differences_over_time() {
        let minute = Duration::from_secs(60);
        for (name, looks, rate) in [
            ("nothing is known of one look", &[(0, 7)][..], None),
            ("two looks", &[(0, 10), (2, 30)], Some(10.0)),
            ("only the span", &[(0, 0), (100, 500), (110, 600)], Some(10.0)),
            ("what fell begins anew", &[(0, 900), (10, 0), (20, 50)], Some(5.0)),
            ("no time has passed", &[(5, 1), (5, 9)], None),
        ] {
            assert_eq!(seen(looks).rate(minute), rate, "{name}");
        }
        let history = seen(&[(0, 0), (2, 20), (4, 10), (6, 10)]);
        assert_eq!(history.rates(Timestamp::from_seconds(6), minute), [(-4.0, 10.0), (0.0, 0.0)]);
        assert_eq!(history.numbers(2), [10, 10]);
        assert_eq!(history.steps(9), [600, 0, 0]);
    }

    #[test]
    fn what_is_old_is_let_go() {
        let mut history = History::default();
        (0..5_000).for_each(|n| history.look(Timestamp::from_seconds(n), n.unsigned_abs()));
        assert_eq!(history.looks.len(), MOST);
    }
}
