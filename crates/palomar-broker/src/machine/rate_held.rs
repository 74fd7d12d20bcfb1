//! How long the limits on its rate have held a queue that had work: counted since the process began, for measures.
//!
//! Always: time counts once, from when a lease found the queue shut by a window or by the other side's wish to when
//! the queue is looked at again. What else shuts it (a pause, the breaker, no free place) does not count.

use std::time::Duration;

use palomar_model::Timestamp;

use super::queue::Queue;
use super::slab::Phase;
use crate::types::{Hold, Window};

/// What holds a queue's rate: a window, or the other side where there is none.
type Cause = Option<Window>;

/// The time that a queue was held, by cause.
#[derive(Debug, Default)]
pub(super) struct RateHeld {
    since: Option<(Timestamp, Cause)>,
    total: Vec<(Cause, Duration)>,
}

impl RateHeld {
    /// From now on the queue is held.
    pub(super) fn begin(&mut self, cause: Option<Cause>, now: Timestamp) {
        self.since = cause.map(|cause| (now, cause));
    }

    /// The queue is looked at again.
    pub(super) fn end(&mut self, now: Timestamp) {
        if let Some((since, cause)) = self.since.take() {
            add(&mut self.total, cause, now.since(since));
        }
    }

    /// What has been counted by now.
    pub(super) fn total(&self, now: Timestamp) -> Vec<(Cause, Duration)> {
        let mut total = self.total.clone();
        if let Some((since, cause)) = self.since {
            add(&mut total, cause, now.since(since));
        }
        total
    }
}

fn add(total: &mut Vec<(Cause, Duration)>, cause: Cause, time: Duration) {
    match total.iter_mut().find(|(known, _)| *known == cause) {
        Some((_, sum)) => *sum += time,
        None => total.push((cause, time)),
    }
}

impl Queue {
    /// What holds the rate of a queue that is shut and has work: the restraint that ends last, where it is one of the
    /// rate's.
    pub(super) fn rate_held_by(&self, now: Timestamp) -> Option<Cause> {
        if self.phases[Phase::Ready as usize] == 0 {
            return None;
        }
        let mut last: Option<(Timestamp, Option<Cause>)> = None;
        self.restraints(now, super::queue::Asks::Lease, |until, hold| {
            let cause = match hold {
                Hold::Window { window, .. } => Some(Some(window)),
                Hold::Throttled { .. } => Some(None),
                _ => None,
            };
            let until = until.unwrap_or(Timestamp::MAX);
            if last.is_none_or(|(latest, _)| until >= latest) {
                last = Some((until, cause));
            }
        });
        last.and_then(|(_, cause)| cause)
    }
}
