//! Jobs that wait for a time: a binary heap of slot numbers whose places are kept in the slots, so that any job can
//! be taken out. Ordered by (time, order of arrival), so that what is due together leaves in order.

use palomar_model::Timestamp;

use super::slab::{NONE, Slab, SlotIx};

/// The sleepers. Invariant: `slab[heap[place]].prev == place` for each place.
#[derive(Debug, Default)]
pub(super) struct Sleepers {
    heap: Vec<SlotIx>,
}

impl Sleepers {
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// The first to wake, and when.
    pub(super) fn first(&self, slab: &Slab) -> Option<(Timestamp, SlotIx)> {
        self.heap.first().map(|&ix| (slab[ix].when, ix))
    }

    /// Adds a slot; its `when` is set.
    pub(super) fn push(&mut self, slab: &mut Slab, ix: SlotIx) {
        self.heap.push(ix);
        let place = self.heap.len() - 1;
        slab[ix].prev = place as u32;
        self.up(slab, place);
    }

    /// Takes a slot out.
    pub(super) fn remove(&mut self, slab: &mut Slab, ix: SlotIx) {
        let place = slab[ix].prev as usize;
        debug_assert_eq!(self.heap.get(place), Some(&ix), "a sleeper is not where it says");
        let Some(last) = self.heap.pop() else { return };
        slab[ix].prev = NONE;
        if last != ix {
            self.heap[place] = last;
            slab[last].prev = place as u32;
            self.up(slab, place);
            self.down(slab, slab[last].prev as usize);
        }
    }

    fn before(slab: &Slab, a: SlotIx, b: SlotIx) -> bool {
        (slab[a].when, slab[a].seq) < (slab[b].when, slab[b].seq)
    }

    fn up(&mut self, slab: &mut Slab, mut place: usize) {
        while place > 0 {
            let parent = (place - 1) / 2;
            if !Self::before(slab, self.heap[place], self.heap[parent]) {
                break;
            }
            self.swap(slab, place, parent);
            place = parent;
        }
    }

    fn down(&mut self, slab: &mut Slab, mut place: usize) {
        loop {
            let left = 2 * place + 1;
            let Some(&left_ix) = self.heap.get(left) else {
                break;
            };
            let least = match self.heap.get(left + 1) {
                Some(&right_ix) if Self::before(slab, right_ix, left_ix) => left + 1,
                _ => left,
            };
            if !Self::before(slab, self.heap[least], self.heap[place]) {
                break;
            }
            self.swap(slab, place, least);
            place = least;
        }
    }

    fn swap(&mut self, slab: &mut Slab, a: usize, b: usize) {
        self.heap.swap(a, b);
        slab[self.heap[a]].prev = a as u32;
        slab[self.heap[b]].prev = b as u32;
    }

    /// Panics where the invariant does not hold.
    #[cfg(test)]
    pub(super) fn check(&self, slab: &Slab) {
        for (place, &ix) in self.heap.iter().enumerate() {
            assert_eq!(slab[ix].prev as usize, place, "a sleeper's place");
            assert!(slab[ix].phase.sleeps(), "a {:?} job sleeps", slab[ix].phase);
            assert!(place == 0 || !Self::before(slab, ix, self.heap[(place - 1) / 2]), "heap order");
        }
    }
}
