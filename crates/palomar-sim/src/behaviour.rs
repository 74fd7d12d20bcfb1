//! How a simulator behaves, and how that changes while it runs: faults, the time of answers, the statuses that follow.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::fate::Step;
use crate::faults::{Faults, Misbehaviour};
use crate::rng::Rng;
use crate::span::{InvalidSetting, Latency};

/// What can be set while it runs.
#[derive(Debug, Clone, PartialEq)]
pub struct Behaviour<K> {
    pub(crate) faults: Faults<K>,
    pub(crate) latency: Latency,
    pub(crate) statuses: Statuses,
}

/// A change of behaviour; what is missing stays as it is.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BehaviourChange<K> {
    /// All faults: replaces those that were set; `[]` ends them.
    #[serde(default = "unchanged")]
    pub faults: Option<Faults<K>>,
    /// How long each answer takes: `"20ms"`, `"5ms..50ms"`.
    #[serde(default)]
    pub latency: Option<Latency>,
    /// The statuses; members that are not given get their defaults.
    #[serde(default)]
    pub statuses: Option<Statuses>,
}

const fn unchanged<K>() -> Option<Faults<K>> {
    None
}

impl<K> Default for BehaviourChange<K> {
    fn default() -> BehaviourChange<K> {
        BehaviourChange { faults: None, latency: None, statuses: None }
    }
}

impl<K: Misbehaviour> Behaviour<K> {
    /// The behaviour after a change, or what is wrong with it.
    pub(crate) fn after(self, change: BehaviourChange<K>) -> Result<Behaviour<K>, InvalidSetting> {
        let next = Behaviour {
            faults: change.faults.unwrap_or(self.faults),
            latency: change.latency.unwrap_or(self.latency),
            statuses: change.statuses.unwrap_or(self.statuses),
        };
        next.faults.check()?;
        next.statuses.check()?;
        Ok(next)
    }
}

/// Which statuses follow an accepted message, when, and how unreliably. Also the `statuses` of `POST /_sim/faults`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Statuses {
    /// From acceptance to `sent` (or `failed`).
    pub sent: Latency,
    /// From `sent` to `delivered`.
    pub delivered: Latency,
    /// From `delivered` to `read`.
    pub read: Latency,
    /// The part of the messages that is delivered at all, 0 to 1.
    pub delivered_rate: f64,
    /// The part of the delivered messages that is read, 0 to 1.
    pub read_rate: f64,
    /// The part of all statuses that is never posted.
    pub loss: f64,
    /// The part of all statuses that is posted twice.
    pub repeat: f64,
    /// Statuses of a message arrive in any order.
    pub shuffle: bool,
    /// At most so many statuses in one POST; they are put together when due at the same time.
    pub batch: usize,
}

impl Default for Statuses {
    fn default() -> Statuses {
        Statuses {
            sent: Latency::fixed(Duration::from_millis(20)),
            delivered: Latency::fixed(Duration::from_millis(100)),
            read: Latency::fixed(Duration::from_millis(500)),
            delivered_rate: 1.0,
            read_rate: 1.0,
            loss: 0.0,
            repeat: 0.0,
            shuffle: false,
            batch: 50,
        }
    }
}

impl Statuses {
    /// Says which setting is out of its range.
    pub(crate) fn check(&self) -> Result<(), InvalidSetting> {
        let rates = [self.delivered_rate, self.read_rate, self.loss, self.repeat];
        if !rates.iter().all(|rate| (0.0..=1.0).contains(rate)) {
            return Err(InvalidSetting("rates of statuses lie between 0 and 1".to_owned()));
        }
        if (1..=1000).contains(&self.batch) {
            return Ok(());
        }
        Err(InvalidSetting("batch lies between 1 and 1000".to_owned()))
    }

    /// Each step with the time to wait for it, counted from acceptance.
    pub(crate) fn timed(&self, rng: &mut Rng, steps: Vec<Step>) -> Vec<(Duration, Step)> {
        let mut after = Duration::ZERO;
        let timed = steps.into_iter().map(|step| {
            after += match step {
                Step::Sent | Step::Failed(_) => self.sent.draw(rng),
                Step::Delivered => self.delivered.draw(rng),
                Step::Read | Step::Played => self.read.draw(rng),
            };
            (after, step)
        });
        timed.collect()
    }

    /// Loses some, repeats some, and lets them swap their times.
    pub(crate) fn make_unreliable<S: Clone>(
        &self,
        rng: &mut Rng,
        planned: Vec<(Duration, S)>,
    ) -> Vec<(Duration, S)> {
        let mut unreliable = Vec::with_capacity(planned.len());
        for (after, status) in planned {
            if rng.chance(self.repeat) {
                unreliable.push((after + self.delivered.draw(rng), status.clone()));
            }
            if !rng.chance(self.loss) {
                unreliable.push((after, status));
            }
        }
        if self.shuffle {
            rng.shuffle(&mut unreliable);
            let mut times: Vec<Duration> = unreliable.iter().map(|(after, _)| *after).collect();
            times.sort_unstable();
            unreliable.iter_mut().zip(times).for_each(|(item, time)| item.0 = time);
        }
        unreliable
    }
}
