//! The newest events, kept for all clients together. No clock, no I/O.
//!
//! What always holds: the ring has every event after `from` up to `to`, in order. What is asked for after a place before
//! `from` is refused, never answered in part.

use std::collections::VecDeque;
use std::sync::Arc;

use super::{Event, EventId};

/// JSON of the events that are kept, and how many of them, at most.
const MOST_BYTES: usize = 8 << 20;
const MOST_EVENTS: usize = 16_384;

/// What a client takes at once, of JSON; one event more than that at most.
pub(super) const TAKE: usize = 48 << 10;

pub(super) struct Ring {
    events: VecDeque<Arc<Event>>,
    bytes: usize,
    from: EventId,
    to: EventId,
    most_bytes: usize,
}

/// What is after a place.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Taken {
    /// These, and the place behind all that was looked at.
    Events(Vec<Arc<Event>>, EventId),
    /// The ring begins later.
    Behind,
}

impl Ring {
    pub(super) fn new() -> Ring {
        Ring::of(MOST_BYTES)
    }

    pub(super) fn of(most_bytes: usize) -> Ring {
        let start = EventId::end_of(0);
        Ring { events: VecDeque::new(), bytes: 0, from: start, to: start, most_bytes }
    }

    /// Where it ends.
    pub(super) const fn end(&self) -> EventId {
        self.to
    }

    /// Forgets everything, and goes on behind an entry.
    pub(super) fn reset(&mut self, seq: u64) {
        self.events.clear();
        self.bytes = 0;
        self.from = EventId::end_of(seq);
        self.to = self.from;
    }

    /// Adds what was read after `after`, up to the entry `through`; nothing where the ring ends elsewhere by now.
    pub(super) fn append(&mut self, after: EventId, events: Vec<Event>, through: u64) {
        if self.to != after {
            return;
        }
        for event in events {
            self.bytes += event.json.len();
            self.events.push_back(Arc::new(event));
        }
        self.to = EventId::end_of(through);
        while self.bytes > self.most_bytes || self.events.len() > MOST_EVENTS {
            let Some(oldest) = self.events.pop_front() else { break };
            self.bytes -= oldest.json.len();
            self.from = oldest.id;
        }
    }

    /// What `wants` of the events after a place, as much as is taken at once.
    pub(super) fn after(&self, place: EventId, wants: impl Fn(&Event) -> bool) -> Taken {
        if place < self.from {
            return Taken::Behind;
        }
        let first = self.events.partition_point(|event| event.id <= place);
        let (taken, full) = take(self.events.range(first..).cloned(), wants);
        Taken::Events(taken, full.unwrap_or(self.to).max(place))
    }
}

/// Takes what `wants` until it is enough; with it the place to go on from, where that is not the end.
pub(super) fn take(
    events: impl Iterator<Item = Arc<Event>>,
    wants: impl Fn(&Event) -> bool,
) -> (Vec<Arc<Event>>, Option<EventId>) {
    let (mut taken, mut bytes) = (Vec::new(), 0);
    for event in events {
        if wants(&event) {
            bytes += event.json.len();
            let place = event.id;
            taken.push(event);
            if bytes >= TAKE {
                return (taken, Some(place));
            }
        }
    }
    (taken, None)
}

#[cfg(test)]
#[path = "ring_tests.rs"]
mod tests;
