//! One client's way along the events.
//!
//! What always holds: it has one place, and gets what comes first after it: from the ring where that reaches back so far,
//! else from the journal. It is given no more than it takes; while it takes nothing, nothing is kept for it.

use std::collections::BTreeSet;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use palomar_records::Feed;
use serde::Serialize;
use tokio::sync::watch;
use tokio::time::Instant;

use super::live::{Client, Live, Subscriber};
use super::ring::{self, Taken};
use super::vocabulary::events_of;
use super::{Event, EventFilter, EventId, Room};
use crate::{AppError, Caller};

/// A client that has nothing to get hears so after this long.
const QUIET: Duration = Duration::from_secs(15);
/// Entries of the journal that a client reads at once while it catches up.
const PAGE: usize = 64;
/// A client that was live and has not been where the ring is for so long can't keep up.
const TOO_SLOW: Duration = Duration::from_secs(30);
/// Where the records can't be read, it is tried again after so long.
const BACKOFF: Duration = Duration::from_secs(1);

/// Why a client was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Dropped {
    /// More happens than it takes: it was live, and has been behind for 30 seconds.
    TooSlow,
    /// It took nothing of what it was given for 30 seconds.
    Stalled,
    /// Its key was revoked, or is past its end.
    KeyEnded,
    /// This node stops.
    ShuttingDown,
}

impl Dropped {
    pub(crate) const ALL: [Dropped; 4] =
        [Dropped::TooSlow, Dropped::Stalled, Dropped::KeyEnded, Dropped::ShuttingDown];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Dropped::TooSlow => "too_slow",
            Dropped::Stalled => "stalled",
            Dropped::KeyEnded => "key_ended",
            Dropped::ShuttingDown => "shutting_down",
        }
    }
}

/// Events may have happened that a client can't get any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Gap {
    /// The last event that it has.
    pub since: EventId,
    /// What it gets next comes after this one.
    pub next: EventId,
    /// `forgotten`: they are past the journal's retention; `unknown`: its place is of another installation, or of data
    /// that a restored backup does not have.
    pub reason: &'static str,
}

/// What a client gets next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Events, in order.
    Events(Vec<Arc<Event>>),
    /// Something is missing before what comes next.
    Gap(Gap),
    /// There was nothing for a while.
    Quiet,
    /// No more.
    Ended(Dropped),
}

/// Whether a client keeps up.
#[derive(Clone, Copy, Debug)]
enum Pace {
    /// It has not been where the ring is yet, and takes the time that it takes.
    CatchingUp,
    Live,
    /// It was live, and lost the ring.
    Behind(Instant),
}

/// A client.
pub struct Subscription {
    live: Arc<Live>,
    number: u64,
    client: Arc<Client>,
    caller: Caller,
    filter: EventFilter,
    place: EventId,
    pace: Pace,
    gap: Option<Gap>,
    moved: watch::Receiver<u64>,
}

impl Subscription {
    /// `now` is where the ring ends; `end` where the journal does, as far as it matters to the client's place.
    pub(super) fn new(
        live: Arc<Live>,
        number: u64,
        client: Arc<Client>,
        who: Subscriber,
        (now, end): (EventId, EventId),
        moved: watch::Receiver<u64>,
    ) -> Subscription {
        let Subscriber { caller, filter, since, .. } = who;
        let unknown = since.filter(|since| since.seq > end.seq);
        let gap = unknown.map(|since| Gap { since, next: end, reason: "unknown" });
        let place = if gap.is_some() { end } else { since.unwrap_or(now) };
        Subscription { live, number, client, caller, filter, place, pace: Pace::CatchingUp, gap, moved }
    }

    /// Everything up to here was given to the client, or is not for it.
    #[must_use]
    pub const fn place(&self) -> EventId {
        self.place
    }

    /// Why it was dropped, where it was.
    #[must_use]
    pub fn dropped(&self) -> Option<Dropped> {
        self.client.dropped()
    }

    /// The rooms that it is in.
    #[must_use]
    pub const fn rooms(&self) -> Option<&BTreeSet<Room>> {
        self.filter.rooms.as_ref()
    }

    /// From now on the events of these rooms, whatever it has not been given yet.
    pub fn set_rooms(&mut self, rooms: BTreeSet<Room>) {
        self.filter.rooms = Some(rooms);
    }

    /// Waits for what is next. Nothing is lost where the waiting is given up.
    pub async fn next(&mut self) -> Next {
        self.holds(None);
        let next = self.look().await;
        if let Next::Events(events) = &next {
            self.live.told(self.client.transport, events.len());
        }
        self.holds(Some(Instant::now()));
        next
    }

    fn holds(&self, since: Option<Instant>) {
        *self.client.holds.lock().unwrap_or_else(PoisonError::into_inner) = since;
    }

    async fn look(&mut self) -> Next {
        let quiet = tokio::time::sleep(QUIET);
        tokio::pin!(quiet);
        if let Some(gap) = self.gap.take() {
            return Next::Gap(gap);
        }
        loop {
            self.moved.borrow_and_update();
            if let Some(why) = self.client.dropped() {
                return Next::Ended(why);
            }
            match self.advance().await {
                Ok(Some(next)) => return next,
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, "a client of real time waits for the records");
                    tokio::select! {
                        () = tokio::time::sleep(BACKOFF) => continue,
                        () = self.client.ended.cancelled() => continue,
                    }
                }
            }
            let ended = self.client.ended.clone();
            tokio::select! {
                _ = self.moved.changed() => {}
                () = ended.cancelled() => {}
                () = &mut quiet => return Next::Quiet,
            }
        }
    }

    /// Goes on from the place; `None` where there is nothing more for now.
    async fn advance(&mut self) -> Result<Option<Next>, AppError> {
        loop {
            let taken = {
                let (filter, caller) = (&self.filter, &self.caller);
                self.live.after(self.place, |event| filter.admits(event, caller))
            };
            match taken {
                Taken::Events(events, place) => {
                    self.pace = Pace::Live;
                    self.place = place;
                    return Ok((!events.is_empty()).then_some(Next::Events(events)));
                }
                Taken::Behind => {
                    if self.is_too_slow() {
                        self.live.drop_client(&self.client, Dropped::TooSlow);
                    }
                    if let Some(why) = self.client.dropped() {
                        return Ok(Some(Next::Ended(why)));
                    }
                    if let Some(next) = self.read().await? {
                        return Ok(Some(next));
                    }
                }
            }
        }
    }

    fn is_too_slow(&mut self) -> bool {
        match self.pace {
            Pace::CatchingUp => false,
            Pace::Live => {
                self.pace = Pace::Behind(Instant::now());
                false
            }
            Pace::Behind(since) => since.elapsed() >= TOO_SLOW,
        }
    }

    /// Reads a stretch of the journal.
    async fn read(&mut self) -> Result<Option<Next>, AppError> {
        let feed = {
            let _turn = self.live.catching_up.acquire().await;
            self.live.records.feed(self.place.read_after(), PAGE).await?
        };
        let (next, place) = stretch(&feed, self.place, |event| self.filter.admits(event, &self.caller));
        self.place = place;
        Ok(next)
    }
}

/// What a stretch of the journal, read after a place, is to whoever is at that place; and the place behind it.
fn stretch(feed: &Feed, place: EventId, wants: impl Fn(&Event) -> bool) -> (Option<Next>, EventId) {
    // Numbers have no holes: where one is missing, it was forgotten.
    let expected = place.read_after() + 1;
    let first = feed.entries.first().map_or(feed.end + 1, |entry| entry.seq);
    if first > expected {
        let next = EventId::end_of(first - 1);
        return (Some(Next::Gap(Gap { since: place, next, reason: "forgotten" })), next);
    }
    let whole = feed.entries.iter().zip(first..).take_while(|(entry, number)| entry.seq == *number);
    let (mut events, mut through) = (Vec::new(), place);
    for (entry, _) in whole {
        events.extend(events_of(entry).into_iter().filter(|event| event.id > place).map(Arc::new));
        through = EventId::end_of(entry.seq);
    }
    let (events, full) = ring::take(events.into_iter(), wants);
    ((!events.is_empty()).then_some(Next::Events(events)), full.unwrap_or(through))
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.live.leave(self.number);
    }
}

#[cfg(test)]
#[path = "subscription_tests.rs"]
mod tests;
