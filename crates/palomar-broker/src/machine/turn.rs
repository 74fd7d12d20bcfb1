//! Lanes and rings: the lists through which a job waits for its turn.
//!
//! A lane holds the ready jobs of one group and priority; a queue's ring of a priority holds the groups whose lane is
//! not empty; a pool's ring holds the queues that may start a job. Each is visited in turn. Of the jobs of one key
//! only the first of their chain is ever in a lane (see `chain`).

use std::sync::Arc;

use palomar_model::Timestamp;

use super::Machine;
use super::queue::{Asks, Gate, Group, List};
use super::slab::{NONE, Phase, Slab, SlotIx};

/// Jobs that one operation may set aside before it answers; it is asked again for the rest.
pub(super) const MOST_ASIDE: usize = 1024;

fn push_back(list: &mut List, slab: &mut Slab, ix: SlotIx) {
    slab[ix].prev = list.tail;
    slab[ix].next = NONE;
    if list.tail == NONE {
        list.head = ix;
    } else {
        slab[list.tail].next = ix;
    }
    list.tail = ix;
    list.len += 1;
}

fn push_front(list: &mut List, slab: &mut Slab, ix: SlotIx) {
    slab[ix].next = list.head;
    slab[ix].prev = NONE;
    if list.head == NONE {
        list.tail = ix;
    } else {
        slab[list.head].prev = ix;
    }
    list.head = ix;
    list.len += 1;
}

fn unlink(list: &mut List, slab: &mut Slab, ix: SlotIx) {
    let (prev, next) = (slab[ix].prev, slab[ix].next);
    if prev == NONE {
        list.head = next;
    } else {
        slab[prev].next = next;
    }
    if next == NONE {
        list.tail = prev;
    } else {
        slab[next].prev = prev;
    }
    slab[ix].prev = NONE;
    slab[ix].next = NONE;
    list.len -= 1;
}

/// Which of a queue's lists of kept jobs a final phase belongs to.
pub(super) fn kept_list(phase: Phase) -> usize {
    match phase {
        Phase::Done => 0,
        Phase::Cancelled => 1,
        Phase::Expired => 2,
        _ => 3,
    }
}

impl Machine {
    /// Takes a job out of the list that its phase puts it in.
    pub(super) fn leave(&mut self, ix: SlotIx) {
        let phase = self.slab[ix].phase;
        let lane = self.slab[ix].lane;
        let queue = self.queue_of(ix);
        if phase.sleeps() {
            self.sleepers.remove(&mut self.slab, ix);
        } else if phase == Phase::Ready {
            let Some(group) = &mut self.groups[lane as usize / 4] else {
                return;
            };
            unlink(&mut group.lanes[lane as usize % 4], &mut self.slab, ix);
        } else if phase == Phase::Parked {
            let Some(queue) = &mut self.queues[queue as usize] else {
                return;
            };
            unlink(&mut queue.parked, &mut self.slab, ix);
        } else if phase.is_final() {
            let Some(queue) = &mut self.queues[queue as usize] else {
                return;
            };
            unlink(&mut queue.kept[kept_list(phase)], &mut self.slab, ix);
        }
        if phase == Phase::Started {
            self.group_mut(lane / 4).started -= 1;
        }
        self.queue_mut(queue).phases[phase as usize] -= 1;
        if matches!(phase, Phase::Leased | Phase::Started) {
            // A place is free, or what was reserved in the windows is used or given back.
            self.wake_queue(queue);
        }
    }

    /// Puts a job, which has left its list, into a phase and its list.
    pub(super) fn enter(&mut self, ix: SlotIx, phase: Phase, when: Timestamp) {
        self.enter_at(ix, phase, when, End::Back);
    }

    /// As [`Machine::enter`], for a job that has had its turn before: it goes first.
    pub(super) fn enter_first(&mut self, ix: SlotIx, phase: Phase, when: Timestamp) {
        self.enter_at(ix, phase, when, End::Front);
    }

    fn enter_at(&mut self, ix: SlotIx, phase: Phase, when: Timestamp, end: End) {
        self.slab[ix].phase = phase;
        self.slab[ix].when = when;
        let queue = self.queue_of(ix);
        let lane = self.slab[ix].lane;
        self.queue_mut(queue).phases[phase as usize] += 1;
        if phase.sleeps() {
            self.sleepers.push(&mut self.slab, ix);
        } else if phase == Phase::Ready {
            let Some(group) = &mut self.groups[lane as usize / 4] else {
                return;
            };
            end.push(&mut group.lanes[lane as usize % 4], &mut self.slab, ix);
            self.join_ring(lane / 4, lane as usize % 4);
            self.wake_queue(queue);
        } else if phase == Phase::Parked {
            let Some(state) = &mut self.queues[queue as usize] else {
                return;
            };
            end.push(&mut state.parked, &mut self.slab, ix);
            if let Some(budget) = state.budget {
                let waiting = &mut self.budgets[budget as usize].waiting;
                if !waiting.contains(&queue) {
                    waiting.push_back(queue);
                }
            }
        } else if phase.is_final() {
            let Some(state) = &mut self.queues[queue as usize] else {
                return;
            };
            push_back(&mut state.kept[kept_list(phase)], &mut self.slab, ix);
        }
        if phase == Phase::Started {
            self.group_mut(lane / 4).started += 1;
        }
        self.touch(ix);
    }

    /// Moves a job from its phase to another.
    pub(super) fn shift(&mut self, ix: SlotIx, phase: Phase, when: Timestamp) {
        self.leave(ix);
        self.enter(ix, phase, when);
    }

    /// Notes that the job's standing differs from its row.
    pub(super) fn touch(&mut self, ix: SlotIx) {
        if !self.slab[ix].dirty() {
            self.slab[ix].set_dirty(true);
            self.dirty.push(ix);
        }
    }

    /// Puts a group into the ring of a priority if it has a turn to take there.
    pub(super) fn join_ring(&mut self, group: u32, priority: usize) {
        let state = self.group_mut(group);
        if state.paused || state.in_ring[priority] || state.lanes[priority].len == 0 {
            return;
        }
        state.in_ring[priority] = true;
        let queue = state.queue;
        self.queue_mut(queue).rings[priority].push_back(group);
    }

    /// Puts a queue into its pool's ring: something changed that may let it start a job.
    pub(super) fn wake_queue(&mut self, queue: u32) {
        let Some(state) = &mut self.queues[queue as usize] else {
            return;
        };
        if let Some(until) = state.gated_until.take() {
            self.gated.remove(&(until, queue));
            state.rate_held.end(self.now);
        }
        if !state.in_ring {
            state.in_ring = true;
            self.pools[state.pool as usize].ring.push_back(queue);
        }
    }

    /// The group that a job of that name belongs to, created where there is none.
    pub(super) fn group_named(&mut self, queue: u32, name: Option<&Arc<str>>) -> u32 {
        let name = name.cloned();
        if let Some(&group) = self.queue(queue).groups.get(&name) {
            return group;
        }
        let group = Group {
            queue,
            name: name.clone(),
            paused: false,
            lanes: [List::default(); 4],
            in_ring: [false; 4],
            jobs: 0,
            started: 0,
        };
        let ix = match self.free_groups.pop() {
            Some(ix) => {
                self.groups[ix as usize] = Some(group);
                ix
            }
            None => {
                self.groups.push(Some(group));
                self.groups.len() as u32 - 1
            }
        };
        self.queue_mut(queue).groups.insert(name, ix);
        ix
    }

    /// Forgets a group that holds nothing.
    pub(super) fn drop_group_if_empty(&mut self, group: u32) {
        let state = self.group(group);
        if state.jobs > 0 || state.paused || state.in_ring.contains(&true) {
            return;
        }
        let (queue, name) = (state.queue, state.name.clone());
        self.queue_mut(queue).groups.remove(&name);
        self.groups[group as usize] = None;
        self.free_groups.push(group);
    }

    /// Which priorities of a queue have a job to start; drops groups from the rings that have none any more.
    fn waiting(&mut self, queue: u32) -> [bool; 4] {
        let mut waiting = [false; 4];
        for (priority, waits) in waiting.iter_mut().enumerate() {
            while let Some(&group) = self.queue(queue).rings[priority].front() {
                let state = self.group_mut(group);
                if state.lanes[priority].len > 0 && !state.paused {
                    *waits = true;
                    break;
                }
                state.in_ring[priority] = false;
                if let Some(queue) = &mut self.queues[queue as usize] {
                    queue.rings[priority].pop_front();
                }
                self.drop_group_if_empty(group);
            }
        }
        waiting
    }

    /// Takes the job whose turn it is out of its lane, or none. Jobs whose key must wait step aside.
    fn pick(&mut self, queue: u32, aside: &mut usize) -> Option<SlotIx> {
        while *aside < MOST_ASIDE {
            let waiting = self.waiting(queue);
            let priority = self.queue(queue).next_priority(waiting)?;
            let group = *self.queue(queue).rings[priority].front()?;
            let ix = self.group(group).lanes[priority].head;
            let restraint = self.key_restraint(ix);
            if restraint == KeyRestraint::None {
                let state = self.queue_mut(queue);
                state.took_turn(priority, waiting);
                state.rings[priority].rotate_left(1);
                return Some(ix);
            }
            *aside += 1;
            match restraint {
                KeyRestraint::Pair(until) => self.shift(ix, Phase::Pacing, until),
                KeyRestraint::Budget => self.shift(ix, Phase::Parked, self.slab[ix].when),
                KeyRestraint::None => {}
            }
        }
        None
    }

    /// What holds the job's key, beside its order.
    pub(super) fn key_restraint(&self, ix: SlotIx) -> KeyRestraint {
        let slot = &self.slab[ix];
        if !slot.has_key() {
            return KeyRestraint::None;
        }
        let queue = self.queue(self.queue_of(ix));
        let free_at = queue.pair_free_at(slot.key);
        if free_at > self.now.micros() {
            return KeyRestraint::Pair(Timestamp::from_micros(free_at));
        }
        if let (Some(budget), true) = (queue.budget, slot.spends_budget())
            && self.budgets[budget as usize].free_at(slot.key, self.now) > self.now
        {
            return KeyRestraint::Budget;
        }
        KeyRestraint::None
    }

    /// Takes the next job of a pool that may start now out of its lane.
    pub(super) fn next_of_pool(&mut self, pool: u32, aside: &mut usize) -> Option<SlotIx> {
        loop {
            let queue = *self.pools[pool as usize].ring.front()?;
            let gate = match &self.queues[queue as usize] {
                Some(state) => state.gate(self.now, Asks::Lease),
                None => Gate::Shut,
            };
            let picked = if gate == Gate::Open { self.pick(queue, aside) } else { None };
            if picked.is_some() {
                self.pools[pool as usize].ring.rotate_left(1);
                return picked;
            }
            if *aside >= MOST_ASIDE {
                return None;
            }
            self.pools[pool as usize].ring.pop_front();
            if let Some(state) = &mut self.queues[queue as usize] {
                state.in_ring = false;
                if let Gate::Until(until) = gate {
                    state.gated_until = Some(until);
                    state.rate_held.begin(state.rate_held_by(self.now), self.now);
                    self.gated.insert((until, queue));
                }
            }
        }
    }

    /// Lets up to `most` parked jobs of a queue try again.
    pub(super) fn unpark(&mut self, queue: u32, most: usize) -> usize {
        let mut moved = 0;
        while moved < most {
            let ix = self.queue(queue).parked.head;
            if ix == NONE {
                break;
            }
            let when = self.slab[ix].when;
            self.leave(ix);
            self.enter(ix, Phase::Ready, when);
            moved += 1;
        }
        moved
    }

    /// Lets the jobs of a queue that wait for the pace of their key try again.
    pub(super) fn unpace(&mut self, queue: u32) {
        if self.queue(queue).phases[Phase::Pacing as usize] == 0 {
            return;
        }
        let pacing =
            self.slab.iter().filter(|(ix, slot)| slot.phase == Phase::Pacing && self.queue_of(*ix) == queue);
        let mut pacing: Vec<(u64, SlotIx)> = pacing.map(|(ix, slot)| (slot.seq, ix)).collect();
        pacing.sort_unstable();
        for (_, ix) in pacing {
            self.shift(ix, Phase::Ready, self.now);
        }
    }

    /// A key counts in a budget now: its jobs that wait for a place there, in other queues, need none.
    pub(super) fn unpark_key(&mut self, budget: u32, key: u64) {
        for at in 0..self.budgets[budget as usize].waiting.len() {
            let queue = self.budgets[budget as usize].waiting[at];
            if self.queues[queue as usize].is_none() {
                continue;
            }
            if let Some(first) = self.tail_of(queue, key).map(|tail| self.slab[tail].next_in_key)
                && self.slab[first].phase == Phase::Parked
            {
                self.leave(first);
                self.enter_first(first, Phase::Ready, self.now);
            }
        }
    }
}

/// What holds the job of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum KeyRestraint {
    None,
    Pair(Timestamp),
    Budget,
}

#[derive(Clone, Copy)]
enum End {
    Front,
    Back,
}

impl End {
    fn push(self, list: &mut List, slab: &mut Slab, ix: SlotIx) {
        match self {
            End::Front => push_front(list, slab, ix),
            End::Back => push_back(list, slab, ix),
        }
    }
}
