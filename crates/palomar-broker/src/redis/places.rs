//! In which partition jobs were leased: remembered for those of late, in bounded memory.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use crate::types::JobId;

/// Jobs of one generation; two are remembered.
const GENERATION: usize = 65_536;

#[derive(Debug, Default)]
struct Generations {
    young: HashMap<JobId, u16>,
    old: HashMap<JobId, u16>,
}

/// Where jobs are, as far as it is remembered.
#[derive(Debug, Default)]
pub(super) struct Places(Mutex<Generations>);

impl Places {
    fn generations(&self) -> std::sync::MutexGuard<'_, Generations> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// These jobs are in a partition.
    pub(super) fn note(&self, jobs: impl Iterator<Item = JobId>, partition: u16) {
        let mut generations = self.generations();
        for job in jobs {
            if generations.young.len() >= GENERATION {
                generations.old = std::mem::take(&mut generations.young);
            }
            generations.young.insert(job, partition);
        }
    }

    /// Where a job is, if it is remembered.
    pub(super) fn of(&self, job: JobId) -> Option<u16> {
        let generations = self.generations();
        generations.young.get(&job).or_else(|| generations.old.get(&job)).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use palomar_model::MessageId;

    #[test]
    fn the_latest_are_remembered_in_bounded_memory() {
        let places = Places::default();
        let job = |n: usize| MessageId(uuid::Uuid::from_u128(n as u128));
        places.note((0..5 * GENERATION).map(job), 3);
        assert_eq!(places.of(job(4 * GENERATION)), Some(3));
        assert_eq!(places.of(job(GENERATION)), None);
        let generations = places.generations();
        assert!(generations.young.len() + generations.old.len() <= 2 * GENERATION);
    }
}
