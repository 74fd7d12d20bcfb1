//! The invariants, asserted: the random walks call this after every step.

use std::collections::{BTreeMap, HashMap};

use super::Machine;
use super::slab::{NONE, Phase, SlotIx};
use super::view::PHASES;
use crate::types::{JobId, QueueName};

impl Machine {
    /// Panics where something does not hold that always must.
    pub(crate) fn check(&self) {
        self.sleepers.check(&self.slab);
        let mut phases: HashMap<u32, [u64; 15]> = HashMap::new();
        let mut sleeping = 0;
        let mut chains: HashMap<(u32, u64), Vec<SlotIx>> = HashMap::new();
        for (ix, slot) in self.slab.iter() {
            let queue = self.queue_of(ix);
            phases.entry(queue).or_default()[slot.phase as usize] += 1;
            sleeping += usize::from(slot.phase.sleeps());
            assert_eq!(self.slab.find(slot.job_id()), Some(ix), "a job is found by its id");
            assert_eq!(
                self.reasons.contains_key(&ix),
                slot.phase == Phase::Dead,
                "a dead letter has a reason"
            );
            if slot.has_key() {
                assert_eq!(slot.next_in_key != NONE, slot.phase.chained(), "{:?} in a chain", slot.phase);
                if slot.phase.chained() {
                    chains.entry((queue, slot.key)).or_default().push(ix);
                }
            } else {
                assert_ne!(slot.phase, Phase::Blocked, "a job without a key waits for none");
            }
        }
        assert_eq!(sleeping, self.sleepers.len(), "sleepers");
        for (ix, queue) in self.queues.iter().enumerate() {
            let Some(queue) = queue else { continue };
            let counted = phases.get(&(ix as u32)).copied().unwrap_or_default();
            assert_eq!(counted, queue.phases, "jobs by phase of {}", queue.name);
            let live: u64 = PHASES.iter().zip(counted).filter(|(p, _)| !p.is_final()).map(|(_, n)| n).sum();
            let tally = queue.tally;
            let finished = tally.done + tally.dead + tally.cancelled + tally.expired;
            assert_eq!(tally.accepted, live + finished, "accepted = live + final (I1) in {}", queue.name);
        }
        self.check_lanes();
        for ((queue, key), members) in chains {
            self.check_chain(queue, key, members.len());
        }
    }

    fn check_lanes(&self) {
        for (ix, group) in self.groups.iter().enumerate() {
            let Some(group) = group else { continue };
            for (priority, lane) in group.lanes.iter().enumerate() {
                let (mut at, mut len, mut last) = (lane.head, 0, NONE);
                while at != NONE {
                    let slot = &self.slab[at];
                    assert_eq!(slot.phase, Phase::Ready, "only ready jobs are in a lane");
                    assert_eq!(slot.lane as usize, ix * 4 + priority, "a job is in its lane");
                    assert_eq!(slot.prev, last, "links agree");
                    last = at;
                    at = slot.next;
                    len += 1;
                }
                assert_eq!((len, last), (lane.len, lane.tail), "a lane's length and end");
                let waits = lane.len > 0 && !group.paused;
                assert!(!waits || group.in_ring[priority], "a group that waits is in the ring");
                if waits {
                    let queue = self.queue(group.queue);
                    assert!(queue.rings[priority].contains(&(ix as u32)), "the ring names the group");
                }
            }
        }
    }

    fn check_chain(&self, queue: u32, key: u64, members: usize) {
        let tail = self.slab.tail(queue, key, |slot| self.group(slot.lane / 4).queue);
        let tail = tail.expect("a chain is found by its key");
        let first = self.slab[tail].next_in_key;
        let (mut ix, mut len) = (first, 0);
        loop {
            len += 1;
            let phase = self.slab[ix].phase;
            assert_eq!(
                phase == Phase::Blocked,
                ix != first,
                "only the first of a chain is not blocked, not {phase:?}"
            );
            if ix == tail {
                break;
            }
            let next = self.slab[ix].next_in_key;
            assert!(
                self.slab[ix].lane % 4 <= self.slab[next].lane % 4,
                "the first of a chain is the most urgent"
            );
            ix = next;
            assert!(len <= members, "a chain ends");
        }
        assert_eq!(len, members, "a chain holds all its jobs");
        self.check_passed(first);
    }

    /// Whoever may pass the jobs of a paused group has passed them.
    fn check_passed(&self, first: SlotIx) {
        let mut ix = first;
        while self.lets_others_pass(ix) {
            ix = self.slab[ix].next_in_key;
            if ix == first {
                return;
            }
        }
        let held = ix == first || self.group(self.slab[ix].lane / 4).paused;
        assert!(held, "a job waits behind those of a paused group");
    }

    /// The jobs of each key of each queue, in the order in which they leave.
    pub(crate) fn chains(&self) -> BTreeMap<(QueueName, u64), Vec<JobId>> {
        let mut chains = BTreeMap::new();
        for (ix, slot) in self.slab.iter().filter(|(_, slot)| slot.has_key() && slot.phase.chained()) {
            let first = self.first_of_chain(ix);
            let (mut jobs, mut at) = (vec![self.id_of(first)], self.slab[first].next_in_key);
            while at != first {
                jobs.push(self.id_of(at));
                at = self.slab[at].next_in_key;
            }
            chains.insert((self.queue(self.queue_of(ix)).name.clone(), slot.key), jobs);
        }
        chains
    }
}
