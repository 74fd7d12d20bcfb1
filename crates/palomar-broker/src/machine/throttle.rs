//! Adaptive slow-down: how much of its rate a queue uses after the other side has refused an attempt as too fast.
//!
//! Each refusal stops the queue for as long as the other side asks, and cuts the share of the rate that is used from
//! then on. The cut is in proportion to what it answers:
//!
//! | refused | the share is cut to | because |
//! |---|---|---|
//! | after a quiet time | 9/10 | one collision, or a limit that was just found: little is wrong |
//! | again within [`RESTLESS`] of going on | 1/2 | the limit is far below: it must be found quickly |
//! | while the queue stands still, or within its `throttle_wait` | as it is | it started before the cut |
//!
//! and never below 5 %, so that somebody finds out when the other side is well again. The share comes back along a
//! cubic curve, as windows do in TCP CUBIC: quickly at first, then slowly around the middle between where it was
//! refused and where it was cut to, then ever faster. After one refusal 93 % are used after 2 s, 95 % from 5 s on, all
//! after 12 s: two thirds of a second's sending are lost beside the stop. Where the limit is lower for good, most of
//! the time is spent close below it, and it is tried once in 12 s or so; when it rises again, all of it is used within
//! three quarters of a minute, however low the share was. A straight line would be slow to come back or hit the limit often.
//!
//! Invariants: the share is between 5 % and 100 %, changes in whole seconds, and only a refusal lowers it.

use std::time::Duration;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

/// The whole rate, in thousandths.
const WHOLE: i64 = 1000;
/// The slowest that refusals make a queue.
const LEAST: i64 = 50;
/// Seconds from a cut to the middle of its curve; the share is where it was refused after as many again.
const MIDDLE: i64 = 6;
/// The least that the share rises until the middle: it leaves the bottom too, where no cut is made any more.
const LEAST_RISE: i64 = 5;
/// A refusal within this time of going on says that refusals go on.
const RESTLESS: Duration = Duration::from_secs(MIDDLE.unsigned_abs());

/// How far refusals have slowed the queue.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Throttle {
    /// No start before.
    pub(super) until: Timestamp,
    cut: Option<Cut>,
}

/// The last cut of the share.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Cut {
    at: Timestamp,
    /// The share that was refused, and what it was cut to, in thousandths.
    from: u16,
    to: u16,
}

impl Throttle {
    /// As another store has kept it: the last cut is when it was made, and the shares before and after.
    pub(super) fn of(until: Timestamp, cut: Option<(Timestamp, u16, u16)>) -> Throttle {
        Throttle { until, cut: cut.map(|(at, from, to)| Cut { at, from, to }) }
    }

    /// After a refusal that asks for a stop of `wait`. Attempts that were under way together are refused together:
    /// one cut within `grace`, and while the queue stands still, because nothing has started since.
    pub(super) fn refused(self, now: Timestamp, wait: Duration, grace: Duration) -> Throttle {
        let together = self.until > now || self.cut.is_some_and(|cut| now.since(cut.at) < grace);
        let cut = self.cut.filter(|_| together).unwrap_or_else(|| self.cut_at(now));
        Throttle { until: self.until.max(now.after(wait)), cut: Some(cut) }
    }

    fn cut_at(self, now: Timestamp) -> Cut {
        let share = self.rate_permille(now);
        let restless = self.goes_on_at().is_some_and(|at| now.since(at) < RESTLESS);
        let to = if restless { share / 2 } else { share * 9 / 10 };
        // Shares are within 50 and 1000.
        Cut { at: now, from: share as u16, to: to.max(LEAST as u32) as u16 }
    }

    /// A person wants it to go on: at once, at the share that it has.
    pub(super) fn resumed(self) -> Throttle {
        Throttle { until: Timestamp::EPOCH, ..self }
    }

    /// When the queue went on after the last cut, or goes on: the share comes back from then on.
    fn goes_on_at(self) -> Option<Timestamp> {
        self.cut.map(|cut| cut.at.max(self.until))
    }

    /// The share of the configured rate in force, in thousandths.
    pub(super) fn rate_permille(self, now: Timestamp) -> u32 {
        let (Some(cut), Some(from)) = (self.cut, self.goes_on_at()) else {
            return WHOLE as u32;
        };
        // All of it is back long before.
        let seconds = now.since(from).as_secs().min(1000) as i64;
        let rise = ((i64::from(cut.from) - i64::from(cut.to)) / 2).max(LEAST_RISE);
        let risen = rise * (MIDDLE.pow(3) + (seconds - MIDDLE).pow(3)) / MIDDLE.pow(3);
        (i64::from(cut.to) + risen).min(WHOLE) as u32
    }

    /// When the share may rise next, unless it is whole.
    pub(super) fn next_step(self, now: Timestamp) -> Option<Timestamp> {
        let from = self.goes_on_at().filter(|_| self.rate_permille(now) < WHOLE as u32)?;
        Some(from.after(Duration::from_secs(now.since(from).as_secs() + 1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn at(seconds: f64) -> Timestamp {
        Timestamp::from_micros(1_000_000_000 + (seconds * 1e6) as i64)
    }

    /// Refused at these times, for a second each.
    fn refused(times: &[f64]) -> Throttle {
        times.iter().fold(Throttle::default(), |throttle, time| throttle.refused(at(*time), SECOND, SECOND))
    }

    #[test]
    fn one_refusal_costs_little_and_is_soon_forgotten() {
        let once = refused(&[0.0]);
        // It goes on after a second; the curve begins there.
        let shares = [(0.5, 900), (1.0, 900), (2.0, 921), (3.0, 935), (7.0, 950), (11.0, 964), (13.0, 1000)];
        for (time, share) in shares {
            assert_eq!(once.rate_permille(at(time)), share, "after {time} s");
        }
        let again = once.refused(at(20.0), SECOND, SECOND);
        assert_eq!(again.rate_permille(at(20.0)), 900, "a collision now and then stays a small one");
    }

    #[test]
    fn refusals_that_go_on_halve_down_to_a_twentieth() {
        let mut throttle = Throttle::default();
        let mut shares = Vec::new();
        for n in 0..8 {
            throttle = throttle.refused(at(2.0 * f64::from(n)), SECOND, SECOND);
            shares.push(throttle.rate_permille(at(2.0 * f64::from(n))));
        }
        assert_eq!(shares, [900, 460, 278, 168, 101, 61, 50, 50]);
        assert_eq!(throttle.rate_permille(at(1_000.0)), 1000, "and all of it comes back");
    }

    #[test]
    fn what_was_under_way_together_is_cut_once() {
        let once = refused(&[0.0]);
        let heap = refused(&[0.0, 0.3, 0.9, 1.5, 2.4]);
        assert_eq!(heap.rate_permille(at(2.4)), 900, "each came before anything had started");
        assert_eq!(heap.until, at(3.4), "the stop is as long as the last one asked");
        let long = once.refused(at(0.1), Duration::from_secs(30), SECOND).refused(at(29.0), SECOND, SECOND);
        assert_eq!((long.rate_permille(at(30.1)), long.until), (900, at(30.1)));
        let hasty = Throttle::default().refused(at(0.0), Duration::ZERO, SECOND);
        assert_eq!(
            hasty.refused(at(0.9), Duration::ZERO, SECOND).rate_permille(at(0.9)),
            900,
            "within the grace"
        );
    }

    #[test]
    fn a_limit_that_was_found_is_approached_gently() {
        // Halved to 460 and undisturbed until it is past the middle: the next cut is small again.
        let low = refused(&[0.0, 2.0]);
        let found = low.rate_permille(at(14.0));
        let next = low.refused(at(14.0), SECOND, SECOND);
        assert_eq!(next.rate_permille(at(14.0)), found * 9 / 10);
    }

    #[test]
    fn a_person_lets_it_go_on_at_the_share_it_has() {
        let stopped = Throttle::default().refused(at(0.0), Duration::from_secs(3600), SECOND);
        let resumed = stopped.resumed();
        assert!(resumed.until < at(0.0));
        assert_eq!(resumed.rate_permille(at(1.0)), 921);
    }

    #[test]
    fn it_rises_in_steps_whose_times_are_told() {
        for times in [&[0.0][..], &[0.0, 2.0], &[0.0, 2.0, 4.0, 6.0, 8.0, 10.0, 12.0], &[0.0, 20.0]] {
            let throttle = refused(times);
            let mut now = at(times[times.len() - 1]);
            let begun = now;
            let mut share = throttle.rate_permille(now);
            while let Some(step) = throttle.next_step(now) {
                assert!(step > now);
                let before = Timestamp::from_micros(step.micros() - 1);
                assert_eq!(throttle.rate_permille(before), share, "nothing changes before the step");
                now = step;
                assert!(throttle.rate_permille(now) >= share, "it only rises");
                share = throttle.rate_permille(now);
            }
            assert_eq!(share, 1000);
            assert!(now.since(begun) <= Duration::from_secs(43), "whole after {:?}", now.since(begun));
        }
    }
}
