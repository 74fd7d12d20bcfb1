//! The order of each key's jobs in the naive model, and who passes whom.

use std::collections::BTreeMap;

use super::model::{At, Model};
use crate::types::QueueName;

impl Model {
    /// Whether a job waits in a paused group and was never started.
    fn lets_others_pass(&self, ix: usize) -> bool {
        let job = &self.jobs[ix];
        matches!(job.at, At::Waits(_)) && job.starts.is_empty() && self.group_paused(ix)
    }

    pub(super) fn group_paused(&self, ix: usize) -> bool {
        let job = &self.jobs[ix];
        job.group.is_some_and(|group| self.queue(job.queue).paused_groups.contains(&group))
    }

    /// The jobs of each key of each queue, in the order in which they leave.
    pub(super) fn chains(&self) -> BTreeMap<(QueueName, u64), Vec<usize>> {
        let mut chains: BTreeMap<_, Vec<usize>> = BTreeMap::new();
        for (ix, job) in self.jobs.iter().enumerate().filter(|(_, job)| job.key != 0 && job.at.holds_order())
        {
            chains.entry((self.queue(job.queue).name.clone(), job.key)).or_default().push(ix);
        }
        for chain in chains.values_mut() {
            chain.sort_unstable_by_key(|ix| self.jobs[*ix].place);
        }
        chains
    }

    /// Of each key, the first job that may go takes the place of those before it that let it pass.
    pub(super) fn let_pass(&mut self) {
        for chain in self.chains().into_values() {
            let passed = chain.iter().take_while(|ix| self.lets_others_pass(**ix)).count();
            if passed == 0 || passed == chain.len() || self.group_paused(chain[passed]) {
                continue;
            }
            // What it waits for is over when it is the first again.
            self.jobs[chain[0]].at = At::Waits(self.now);
            for at in (0..passed).rev() {
                let (before, behind) = (chain[at], chain[passed]);
                let place = self.jobs[before].place;
                self.jobs[before].place = self.jobs[behind].place;
                self.jobs[behind].place = place;
            }
        }
    }
}
