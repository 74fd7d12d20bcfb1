//! The jobs in memory: one slot of 64 bytes each, in chunks that never move, found by number, by id and by key.
//!
//! What is here is all that a waiting job costs beside its payload: a slot, and one entry in each of two hash tables
//! of four-byte numbers. A slot's links serve whichever list its state puts it in: a job is in one list at a time.

use hashbrown::HashTable;
use palomar_model::{Priority, Timestamp};
use uuid::Uuid;

use crate::types::{JobId, OnUncertain};

/// The number of a slot; [`NONE`] is no slot.
pub(super) type SlotIx = u32;

/// No slot.
pub(super) const NONE: SlotIx = u32::MAX;

/// Small in tests, so that they see more than one.
const CHUNK: usize = if cfg!(test) { 64 } else { 4096 };

/// Where a job stands, in more detail than [`crate::JobState`] tells.
///
/// | phase | in the key's chain | links | `when` |
/// |---|---|---|---|
/// | `Scheduled` | no | sleepers | due |
/// | `Ready` | first | lane | queued since |
/// | `Blocked` | not first | none | queued since |
/// | `Backoff` | first | sleepers | next attempt |
/// | `Pacing` | first | sleepers | the key may start again |
/// | `Parked` | first | parked list | queued since |
/// | `Leased`, `Started` | first | sleepers | the lease ends |
/// | `Doubted` | first | sleepers | later jobs wait no longer |
/// | `Aside` | no | sleepers | policy is applied |
/// | `Held` | no | none | uncertain since |
/// | `Dead` … `Expired` | no | kept list | final since |
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub(super) enum Phase {
    Scheduled,
    Ready,
    Blocked,
    Backoff,
    Pacing,
    Parked,
    Leased,
    Started,
    Doubted,
    Aside,
    Held,
    Dead,
    Done,
    Cancelled,
    Expired,
}

impl Phase {
    /// Whether the job is one of its key's chain.
    pub(super) const fn chained(self) -> bool {
        matches!(
            self,
            Phase::Ready
                | Phase::Blocked
                | Phase::Backoff
                | Phase::Pacing
                | Phase::Parked
                | Phase::Leased
                | Phase::Started
                | Phase::Doubted
        )
    }

    /// Whether the job is among the sleepers.
    pub(super) const fn sleeps(self) -> bool {
        matches!(
            self,
            Phase::Scheduled
                | Phase::Backoff
                | Phase::Pacing
                | Phase::Leased
                | Phase::Started
                | Phase::Doubted
                | Phase::Aside
        )
    }

    /// Whether no attempt will start by itself.
    pub(super) const fn is_final(self) -> bool {
        matches!(self, Phase::Dead | Phase::Done | Phase::Cancelled | Phase::Expired)
    }

    /// Whether the job waits for its turn or its time, and may be cancelled.
    pub(super) const fn waits(self) -> bool {
        matches!(
            self,
            Phase::Scheduled | Phase::Ready | Phase::Blocked | Phase::Backoff | Phase::Pacing | Phase::Parked
        )
    }
}

/// A job in memory.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    pub(super) id: u128,
    pub(super) seq: u64,
    pub(super) when: Timestamp,
    /// Bits of the key, 0 for none.
    pub(super) key: u64,
    /// The next job of the key's chain; the last one's is the first.
    pub(super) next_in_key: SlotIx,
    /// The list's previous slot, or the place among the sleepers.
    pub(super) prev: SlotIx,
    pub(super) next: SlotIx,
    /// Group and priority of its turn: see `lanes`.
    pub(super) lane: u32,
    /// The newest lease's fencing token, which is also the number of the attempt that starts under it.
    pub(super) token: u32,
    /// Attempts that count.
    pub(super) attempts: u16,
    pub(super) phase: Phase,
    flags: u8,
}

const PRIORITY_BITS: u8 = 0b0000_0011;
const POLICY_SHIFT: u8 = 2;
const POLICY_BITS: u8 = 0b0000_1100;
const STRIKE_SHIFT: u8 = 4;
const STRIKE_BITS: u8 = 0b0011_0000;
const EXEMPT: u8 = 0b0100_0000;
const DIRTY: u8 = 0b1000_0000;

impl Slot {
    pub(super) fn new(
        id: JobId,
        seq: u64,
        priority: Priority,
        policy: OnUncertain,
        spends_budget: bool,
    ) -> Slot {
        let policy = match policy {
            OnUncertain::Hold => 0,
            OnUncertain::Retry => 1,
            OnUncertain::Drop => 2,
        };
        let exempt = if spends_budget { 0 } else { EXEMPT };
        Slot {
            id: id.0.as_u128(),
            seq,
            when: Timestamp::EPOCH,
            key: 0,
            next_in_key: NONE,
            prev: NONE,
            next: NONE,
            lane: 0,
            token: 0,
            attempts: 0,
            phase: Phase::Blocked,
            flags: priority.index() as u8 | policy << POLICY_SHIFT | exempt,
        }
    }

    pub(super) fn job_id(&self) -> JobId {
        JobId::from(self)
    }

    /// The job's own priority; the lane's may be higher while more urgent jobs wait behind it.
    pub(super) fn priority(&self) -> Priority {
        Priority::ALL[usize::from(self.flags & PRIORITY_BITS)]
    }

    pub(super) fn policy(&self) -> OnUncertain {
        match (self.flags & POLICY_BITS) >> POLICY_SHIFT {
            1 => OnUncertain::Retry,
            2 => OnUncertain::Drop,
            _ => OnUncertain::Hold,
        }
    }

    /// Leases in a row that came to nothing, up to 3.
    pub(super) fn strikes(&self) -> u8 {
        (self.flags & STRIKE_BITS) >> STRIKE_SHIFT
    }

    pub(super) fn set_strikes(&mut self, strikes: u8) {
        self.flags = (self.flags & !STRIKE_BITS) | (strikes.min(3) << STRIKE_SHIFT);
    }

    pub(super) fn spends_budget(&self) -> bool {
        self.flags & EXEMPT == 0
    }

    pub(super) fn dirty(&self) -> bool {
        self.flags & DIRTY != 0
    }

    pub(super) fn set_dirty(&mut self, dirty: bool) {
        self.flags = if dirty { self.flags | DIRTY } else { self.flags & !DIRTY };
    }

    pub(super) fn has_key(&self) -> bool {
        self.key != 0
    }
}

impl From<&Slot> for JobId {
    fn from(slot: &Slot) -> JobId {
        palomar_model::MessageId(Uuid::from_u128(slot.id))
    }
}

/// The slots.
#[derive(Debug, Default)]
pub(super) struct Slab {
    chunks: Vec<Box<[Option<Slot>]>>,
    free: Vec<SlotIx>,
    used: u32,
    by_id: HashTable<SlotIx>,
    by_key: HashTable<SlotIx>,
    /// While a machine is restored: the sequence number of every slot. They rise, because no slot is used twice then.
    restoring: Option<Vec<u64>>,
}

/// The finaliser of MurmurHash3 on both halves: client-given ids need not be random.
const fn hash_id(id: u128) -> u64 {
    let mut z = (id as u64) ^ ((id >> 64) as u64).rotate_left(32);
    z = (z ^ (z >> 33)).wrapping_mul(0xff51_afd7_ed55_8ccd);
    z = (z ^ (z >> 33)).wrapping_mul(0xc4ce_b9fe_1a85_ec53);
    z ^ (z >> 33)
}

const fn hash_key(queue: u32, key: u64) -> u64 {
    hash_id((key as u128) | ((queue as u128) << 64))
}

impl Slab {
    pub(super) fn len(&self) -> usize {
        self.by_id.len()
    }

    pub(super) fn get(&self, ix: SlotIx) -> Option<&Slot> {
        self.chunks.get(ix as usize / CHUNK)?[ix as usize % CHUNK].as_ref()
    }

    pub(super) fn find(&self, id: JobId) -> Option<SlotIx> {
        let id = id.0.as_u128();
        self.by_id.find(hash_id(id), |&ix| self[ix].id == id).copied()
    }

    /// From now on slots are found by sequence number and none is used twice.
    pub(super) fn begin_restoring(&mut self) {
        self.restoring = Some(Vec::new());
    }

    pub(super) fn end_restoring(&mut self) {
        self.restoring = None;
    }

    /// The slot of a job by its sequence number, while restoring.
    pub(super) fn find_seq(&self, seq: u64) -> Option<SlotIx> {
        let ix = self.restoring.as_ref()?.binary_search(&seq).ok()? as SlotIx;
        self.get(ix).map(|_| ix)
    }

    pub(super) fn insert(&mut self, slot: Slot) -> SlotIx {
        let reused = if self.restoring.is_none() { self.free.pop() } else { None };
        let ix = reused.unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        if let Some(seqs) = &mut self.restoring {
            seqs.push(slot.seq);
        }
        let chunk = ix as usize / CHUNK;
        if chunk == self.chunks.len() {
            self.chunks.push(std::iter::repeat_with(|| None).take(CHUNK).collect());
        }
        let hash = hash_id(slot.id);
        self.chunks[chunk][ix as usize % CHUNK] = Some(slot);
        let chunks = &self.chunks;
        self.by_id.insert_unique(hash, ix, |&ix| hash_id(slot_in(chunks, ix).id));
        ix
    }

    pub(super) fn remove(&mut self, ix: SlotIx) -> Slot {
        let hash = hash_id(self[ix].id);
        if let Ok(entry) = self.by_id.find_entry(hash, |&other| other == ix) {
            entry.remove();
        }
        self.free.push(ix);
        match self.chunks[ix as usize / CHUNK][ix as usize % CHUNK].take() {
            Some(slot) => slot,
            None => unreachable!("slot {ix} was removed twice"),
        }
    }

    /// The last job of the chain of (queue, key).
    pub(super) fn tail(&self, queue: u32, key: u64, queue_of: impl Fn(&Slot) -> u32) -> Option<SlotIx> {
        self.by_key
            .find(hash_key(queue, key), |&ix| self[ix].key == key && queue_of(&self[ix]) == queue)
            .copied()
    }

    /// Sets or removes the last job of a chain.
    pub(super) fn set_tail(
        &mut self,
        queue: u32,
        key: u64,
        tail: Option<SlotIx>,
        queue_of: impl Fn(&Slot) -> u32,
    ) {
        let chunks = &self.chunks;
        let hash = hash_key(queue, key);
        let same = |&ix: &SlotIx| slot_in(chunks, ix).key == key && queue_of(slot_in(chunks, ix)) == queue;
        match (self.by_key.find_entry(hash, same), tail) {
            (Ok(mut entry), Some(tail)) => *entry.get_mut() = tail,
            (Ok(entry), None) => {
                entry.remove();
            }
            (Err(_), Some(tail)) => {
                self.by_key.insert_unique(hash, tail, |&ix| {
                    let slot = slot_in(chunks, ix);
                    hash_key(queue_of(slot), slot.key)
                });
            }
            (Err(_), None) => {}
        }
    }

    /// Slots in use, in the order of their numbers.
    pub(super) fn iter(&self) -> impl Iterator<Item = (SlotIx, &Slot)> {
        (0..self.used).filter_map(|ix| self.get(ix).map(|slot| (ix, slot)))
    }
}

fn slot_in(chunks: &[Box<[Option<Slot>]>], ix: SlotIx) -> &Slot {
    match &chunks[ix as usize / CHUNK][ix as usize % CHUNK] {
        Some(slot) => slot,
        None => unreachable!("slot {ix} is not in use"),
    }
}

impl std::ops::Index<SlotIx> for Slab {
    type Output = Slot;

    fn index(&self, ix: SlotIx) -> &Slot {
        slot_in(&self.chunks, ix)
    }
}

impl std::ops::IndexMut<SlotIx> for Slab {
    fn index_mut(&mut self, ix: SlotIx) -> &mut Slot {
        match &mut self.chunks[ix as usize / CHUNK][ix as usize % CHUNK] {
            Some(slot) => slot,
            None => unreachable!("slot {ix} is not in use"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_cache_line() {
        // u128 asks for an alignment of 16: 64 bytes, and the option costs nothing (a niche in `phase`).
        assert_eq!(std::mem::size_of::<Option<Slot>>(), 64);
    }

    #[test]
    fn slots_are_found_by_id_and_used_again() {
        let mut slab = Slab::default();
        let id = |n: u128| palomar_model::MessageId(Uuid::from_u128(n));
        let slots: Vec<_> = (0..10_000)
            .map(|n| slab.insert(Slot::new(id(n), n as u64, Priority::Low, OnUncertain::Drop, false)))
            .collect();
        for (n, &ix) in slots.iter().enumerate() {
            assert_eq!(slab.find(id(n as u128)), Some(ix));
        }
        assert_eq!(slab[slots[3]].priority(), Priority::Low);
        assert_eq!(slab[slots[3]].policy(), OnUncertain::Drop);
        assert!(!slab[slots[3]].spends_budget());
        slab.remove(slots[5]);
        assert_eq!(slab.find(id(5)), None);
        let again = slab.insert(Slot::new(id(77_777), 1, Priority::High, OnUncertain::Hold, true));
        assert_eq!(again, slots[5]);
        assert_eq!(slab.len(), 10_000);
    }
}
