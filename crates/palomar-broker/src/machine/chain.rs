//! The jobs of one key: a chain in the order of arrival, of which only the first may go.
//!
//! An urgent job behind others of its key lends them its priority, so that order does not hold it back for long.
//!
//! Whoever pauses a group (a campaign) holds the group's jobs and nobody else's: a later job of the key passes those
//! before it that wait in a paused group, and from then on goes before them. Not those of which an attempt has
//! started: behind a job that is retried or uncertain the later ones wait, paused or not.

use std::time::Duration;

use palomar_model::Timestamp;

use super::Machine;
use super::slab::{NONE, Phase, Slot, SlotIx};

impl Machine {
    /// The last job of a key's chain.
    pub(super) fn tail_of(&self, queue: u32, key: u64) -> Option<SlotIx> {
        self.slab.tail(queue, key, |slot| self.group(slot.lane / 4).queue)
    }

    fn set_tail(&mut self, queue: u32, key: u64, tail: Option<SlotIx>) {
        let groups = &self.groups;
        let queue_of = |slot: &Slot| groups[slot.lane as usize / 4].as_ref().map_or(u32::MAX, |g| g.queue);
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
                self.let_pass(queue, key);
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
        self.let_pass(queue, key);
    }

    /// Lets the job of a chain pass that may, if the first waits in a paused group.
    ///
    /// What decides must be the same when the log happens again: it may depend on groups, on attempts and on whether
    /// a job waits, but not on what it waits for.
    pub(super) fn let_pass(&mut self, queue: u32, key: u64) {
        if self.queue(queue).paused_groups == 0 {
            return;
        }
        let Some(tail) = self.tail_of(queue, key) else {
            return;
        };
        let first = self.slab[tail].next_in_key;
        let mut before = first;
        while self.lets_others_pass(before) {
            let ix = self.slab[before].next_in_key;
            if ix == first {
                return;
            }
            if !self.lets_others_pass(ix) {
                if !self.group(self.slab[ix].lane / 4).paused {
                    self.pass(ix, before, tail);
                }
                return;
            }
            before = ix;
        }
    }

    /// Whether a job waits in a paused group and was never started.
    pub(super) fn lets_others_pass(&self, ix: SlotIx) -> bool {
        let slot = &self.slab[ix];
        slot.phase.waits() && self.newest_start(ix) == 0 && self.group(slot.lane / 4).paused
    }

    /// Makes `ix`, which stands behind `before`, the first of its chain.
    fn pass(&mut self, ix: SlotIx, before: SlotIx, tail: SlotIx) {
        let (queue, key) = (self.queue_of(ix), self.slab[ix].key);
        let first = self.slab[tail].next_in_key;
        self.slab[before].next_in_key = self.slab[ix].next_in_key;
        let tail = if tail == ix { before } else { tail };
        self.set_tail(queue, key, Some(tail));
        self.slab[ix].next_in_key = first;
        self.slab[tail].next_in_key = ix;
        // The first of a chain is the most urgent.
        let lane = self.slab[ix].lane;
        self.slab[ix].lane = lane / 4 * 4 + (lane % 4).min(self.slab[first].lane % 4);
        self.leave(first);
        let when = self.since_before_next(first, ix);
        self.enter(first, Phase::Blocked, when);
        self.shift(ix, Phase::Ready, self.slab[ix].when);
    }

    /// Since when a job waits that is the first no more: earlier than the next one, because a chain is rebuilt in that
    /// order.
    fn since_before_next(&self, ix: SlotIx, first: SlotIx) -> Timestamp {
        let slot = &self.slab[ix];
        let since = slot.when.min(self.now);
        let next = &self.slab[slot.next_in_key];
        if slot.next_in_key == first || (since, slot.seq) < (next.when, next.seq) {
            return since;
        }
        next.when.before(Duration::from_micros(u64::from(slot.seq > next.seq)))
    }

    /// Lets jobs pass wherever it makes a difference that a group is paused (it is where its jobs are the first of
    /// their chains) or resumed (where they are not), in the order of arrival.
    pub(super) fn let_all_pass(&mut self, group: u32) {
        let (queue, paused) = (self.group(group).queue, self.group(group).paused);
        let concerned = |(ix, slot): &(SlotIx, &Slot)| {
            let others = slot.next_in_key != NONE && slot.next_in_key != *ix;
            slot.lane / 4 == group && others && (slot.phase == Phase::Blocked) != paused
        };
        let mut keys: Vec<(u64, u64)> =
            self.slab.iter().filter(concerned).map(|(_, slot)| (slot.seq, slot.key)).collect();
        keys.sort_unstable();
        for (_, key) in keys {
            self.let_pass(queue, key);
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
