//! The jobs of one key: a chain in the order of arrival, of which only the first may go.
//!
//! An urgent job behind others of its key lends them its priority, so that order does not hold it back for long.

use std::time::Duration;

use palomar_model::Timestamp;

use super::Machine;
use super::slab::{NONE, Phase, SlotIx};

impl Machine {
    /// The last job of a key's chain.
    pub(super) fn tail_of(&self, queue: u32, key: u64) -> Option<SlotIx> {
        self.slab.tail(queue, key, |slot| self.group(slot.lane / 4).queue)
    }

    fn set_tail(&mut self, queue: u32, key: u64, tail: Option<SlotIx>) {
        let groups = &self.groups;
        let queue_of =
            |slot: &super::slab::Slot| groups[slot.lane as usize / 4].as_ref().map_or(u32::MAX, |g| g.queue);
        self.slab.set_tail(queue, key, tail, queue_of);
    }

    /// Appends a job to its key's chain and lets it wait: ready if it is the first.
    pub(super) fn append(&mut self, ix: SlotIx, when: Timestamp) {
        // What others lent it is over.
        self.slab[ix].lane = self.slab[ix].lane / 4 * 4 + self.slab[ix].priority().index() as u32;
        if !self.slab[ix].has_key() {
            return self.enter(ix, Phase::Ready, when);
        }
        let queue = self.queue_of(ix);
        let key = self.slab[ix].key;
        match self.tail_of(queue, key) {
            None => {
                self.slab[ix].next_in_key = ix;
                self.set_tail(queue, key, Some(ix));
                self.enter(ix, Phase::Ready, when);
            }
            Some(tail) => {
                let first = self.slab[tail].next_in_key;
                let when = self.place_behind(first, tail, ix, when);
                let lends = self.slab[ix].lane % 4 < self.slab[tail].lane % 4;
                self.slab[ix].next_in_key = first;
                self.slab[tail].next_in_key = ix;
                self.set_tail(queue, key, Some(ix));
                self.enter(ix, Phase::Blocked, when);
                if lends {
                    self.lend_priority(first, ix);
                }
            }
        }
    }

    /// Since when a job waits that is appended to a chain: later than the one before it, because a chain is rebuilt
    /// in the order of (since, number). Only the first need not fit into that order: its standing says what it is.
    fn place_behind(&mut self, first: SlotIx, tail: SlotIx, ix: SlotIx, when: Timestamp) -> Timestamp {
        let last = &self.slab[tail];
        if (last.when, last.seq) < (when, self.slab[ix].seq) {
            return when;
        }
        if tail == first {
            self.touch(first);
            return when;
        }
        let same = Duration::from_micros(u64::from(last.seq > self.slab[ix].seq));
        last.when.after(same)
    }

    /// Raises the jobs before `urgent` in its chain to its priority.
    fn lend_priority(&mut self, first: SlotIx, urgent: SlotIx) {
        let priority = self.slab[urgent].lane % 4;
        let mut ix = first;
        while ix != urgent {
            if self.slab[ix].lane % 4 > priority {
                let lane = self.slab[ix].lane / 4 * 4 + priority;
                if self.slab[ix].phase == Phase::Ready {
                    let when = self.slab[ix].when;
                    self.leave(ix);
                    self.slab[ix].lane = lane;
                    self.enter(ix, Phase::Ready, when);
                } else {
                    self.slab[ix].lane = lane;
                }
            }
            ix = self.slab[ix].next_in_key;
        }
    }

    /// Takes a job out of its key's chain; if it was the first, the next one becomes ready.
    pub(super) fn unchain(&mut self, ix: SlotIx) {
        if !self.slab[ix].has_key() || self.slab[ix].next_in_key == NONE {
            return;
        }
        let queue = self.queue_of(ix);
        let key = self.slab[ix].key;
        let Some(tail) = self.tail_of(queue, key) else {
            return;
        };
        let next = self.slab[ix].next_in_key;
        if next == ix {
            self.slab[ix].next_in_key = NONE;
            self.set_tail(queue, key, None);
            return;
        }
        let mut before = tail;
        while self.slab[before].next_in_key != ix {
            before = self.slab[before].next_in_key;
        }
        self.slab[ix].next_in_key = NONE;
        self.slab[before].next_in_key = next;
        if tail == ix {
            self.set_tail(queue, key, Some(before));
        } else if before == tail && self.slab[next].phase == Phase::Blocked {
            let when = self.slab[next].when;
            self.shift(next, Phase::Ready, when);
        }
    }

    /// The first job of a job's chain.
    pub(super) fn first_of_chain(&self, ix: SlotIx) -> SlotIx {
        if !self.slab[ix].has_key() {
            return ix;
        }
        let queue = self.queue_of(ix);
        self.tail_of(queue, self.slab[ix].key).map_or(ix, |tail| self.slab[tail].next_in_key)
    }
}
