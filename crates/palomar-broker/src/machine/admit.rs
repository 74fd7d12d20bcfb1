//! How a job comes in, for a new one and for one that is read back.

use super::change::{NewRow, Spec};
use super::slab::{NONE, Phase, Slot, SlotIx};
use super::{Machine, Remembered};

impl Machine {
    /// Takes an accepted job in.
    pub(super) fn admit(&mut self, row: &NewRow) -> SlotIx {
        let spec = &row.spec;
        let group = self.group_named(spec.queue, spec.group.as_ref());
        let mut slot = Slot::new(spec.id, row.seq, spec.priority, spec.on_uncertain, spec.spends_budget);
        slot.key = spec.key;
        slot.next_in_key = NONE;
        slot.lane = group * 4 + spec.priority.index() as u32;
        let ix = self.slab.insert(slot);
        self.group_mut(group).jobs += 1;
        if let Some(expiry) = spec.expires_at {
            self.expires_at.insert(ix, expiry);
            self.expiries.insert((expiry, row.seq, ix));
        }
        for &(id, fingerprint, ttl) in &spec.dedupe {
            let until = spec.enqueued_at.after(ttl);
            self.remember(id, Remembered { job: spec.id.0.as_u128(), fingerprint, until });
        }
        self.next_seq = self.next_seq.max(row.seq + 1);
        ix
    }

    /// Counts an admitted job and lets it wait for its time or its turn.
    pub(super) fn set_out(&mut self, ix: SlotIx, spec: &Spec) {
        self.queue_mut(spec.queue).tally.accepted += 1;
        match spec.due() {
            Some(at) => self.enter(ix, Phase::Scheduled, at),
            None => self.append(ix, spec.enqueued_at),
        }
        // A fresh job stands where its row says: at the end of its key's chain, unless it passed others there.
        let passed = self.slab[ix].phase == Phase::Ready && ![NONE, ix].contains(&self.slab[ix].next_in_key);
        if self.slab[ix].when == spec.since() && !passed {
            self.untouch(ix);
        }
    }

    /// A job's row or standing says all that there is to say.
    pub(super) fn untouch(&mut self, ix: SlotIx) {
        self.slab[ix].set_dirty(false);
        if self.dirty.last() == Some(&ix) {
            self.dirty.pop();
        }
    }

    pub(super) fn remember(&mut self, id: u128, request: Remembered) {
        // Rows are restored in another order than they were written.
        if self.remembered.get(&id).is_some_and(|known| known.until >= request.until) {
            return;
        }
        self.unsaved_requests.push(id);
        self.forget_at.push(std::cmp::Reverse((request.until, id)));
        self.remembered.insert(id, request);
    }
}
