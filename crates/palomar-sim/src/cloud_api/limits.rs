//! The provider's own limits: throughput of a phone number and messages to one person.
//!
//! Exact, not approximate: a sender that keeps within them is never refused, one that does not always is.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;

use super::config::PairLimit;
use crate::window::{SlidingLog, Windows};

/// Below this many pairs none is forgotten.
const PAIRS_KEPT: usize = 65_536;

/// What has been sent lately.
#[derive(Debug, Default)]
pub(super) struct Limits {
    phones: HashMap<Arc<str>, SlidingLog>,
    pairs: HashMap<(Arc<str>, Box<str>), Burst>,
    prune_at: usize,
}

#[derive(Debug, Clone, Copy)]
struct Burst {
    start: Timestamp,
    length: u32,
}

impl Burst {
    /// When its debt is paid.
    fn over(self, limit: PairLimit) -> Timestamp {
        self.start.after(limit.every.saturating_mul(self.length))
    }

    /// The burst with one more message at `now`, if that may be.
    fn with(self, limit: PairLimit, now: Timestamp) -> Option<Burst> {
        if now >= self.over(limit) {
            Some(Burst { start: now, length: 1 })
        } else if now.since(self.start) < limit.every && self.length < limit.burst {
            Some(Burst { length: self.length + 1, ..self })
        } else {
            None
        }
    }
}

impl Limits {
    /// Counts one message, or says with which code it is refused; a refused one counts nowhere.
    pub(super) fn admit(
        &mut self,
        (throughput, pair): (&Windows, PairLimit),
        sender: &Arc<str>,
        recipient: &str,
        now: Timestamp,
    ) -> Result<(), u32> {
        let fits = self.phones.get(sender).is_none_or(|log| log.wait(throughput, now).is_zero());
        if !fits {
            return Err(130_429);
        }
        self.admit_pair(pair, sender, recipient, now)?;
        self.count(throughput, sender, now);
        Ok(())
    }

    /// Counts a message that can't be refused (an inbound one).
    pub(super) fn count(&mut self, throughput: &Windows, sender: &Arc<str>, now: Timestamp) {
        if !throughput.is_off() {
            self.phones.entry(Arc::clone(sender)).or_default().count(throughput, now);
        }
    }

    fn admit_pair(
        &mut self,
        limit: PairLimit,
        sender: &Arc<str>,
        recipient: &str,
        now: Timestamp,
    ) -> Result<(), u32> {
        if limit.every == Duration::ZERO {
            return Ok(());
        }
        let key = (Arc::clone(sender), Box::from(recipient));
        let next = match self.pairs.get(&key) {
            Some(burst) => burst.with(limit, now).ok_or(131_056_u32)?,
            None => Burst { start: now, length: 1 },
        };
        self.pairs.insert(key, next);
        self.forget_settled(limit, now);
        Ok(())
    }

    /// Drops pairs whose debt is paid, each time their number has doubled.
    fn forget_settled(&mut self, limit: PairLimit, now: Timestamp) {
        if self.pairs.len() < self.prune_at.max(PAIRS_KEPT) {
            return;
        }
        self.pairs.retain(|_, burst| burst.over(limit) > now);
        self.prune_at = self.pairs.len().saturating_mul(2);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(limit: PairLimit, seconds: &[i64]) -> Vec<bool> {
        let (mut limits, sender) = (Limits::default(), Arc::from("1"));
        let mut admit = |second: &i64| {
            let now = Timestamp::from_seconds(*second);
            limits.admit((&Windows::off(), limit), &sender, "34600111222", now).is_ok()
        };
        seconds.iter().map(&mut admit).collect()
    }

    #[test]
    fn a_burst_is_borrowed() {
        let limit = PairLimit { every: Duration::from_secs(6), burst: 3 };
        let times = [0, 1, 5, 5, 6, 17, 18, 23, 24, 30];
        let allowed = [true, true, true, false, false, false, true, true, false, true];
        assert_eq!(pair(limit, &times), allowed);
    }

    #[test]
    fn one_every_six_seconds_always_goes() {
        let limit = PairLimit { burst: 1, ..PairLimit::default() };
        assert_eq!(pair(limit, &[0, 5, 6, 12, 17, 18]), [true, false, true, true, false, true]);
        assert!(pair(PairLimit::OFF, &[0; 100]).into_iter().all(|allowed| allowed));
        let burst = pair(PairLimit::default(), &[0; 50]);
        assert_eq!(burst.iter().filter(|allowed| **allowed).count(), 45);
    }

    #[test]
    fn what_is_refused_counts_nowhere() {
        let (mut limits, sender) = (Limits::default(), Arc::from("1"));
        let throughput = Windows::per(2, Duration::from_secs(1));
        let every = PairLimit { every: Duration::from_secs(6), burst: 1 };
        let mut admit = |to: &str| limits.admit((&throughput, every), &sender, to, Timestamp::EPOCH);
        assert_eq!(admit("a"), Ok(()));
        assert_eq!(admit("a"), Err(131_056));
        assert_eq!(admit("b"), Ok(()));
        assert_eq!(admit("c"), Err(130_429));
    }
}
