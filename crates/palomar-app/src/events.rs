//! Real time: what the journal says, as events that front ends follow.
//!
//! ```text
//! journal ──> one reader a node ──> ring (the newest events) ──┬──> a client: takes what is after its place
//!    │                                                         ├──> another
//!    └───────────── who is further behind reads here ──────────┘
//! ```
//!
//! What always holds: an event is a function of an entry of the journal, and its id is its place there. A client is a
//! place: what it gets next is the first event after it, whether that comes from the ring or from the journal. So there
//! is nothing between catching up and live that could be lost or doubled, nothing is kept for a client, and any node can
//! go on where another stopped.

mod filter;
mod id;
mod live;
mod ring;
mod subscription;
mod vocabulary;

use std::collections::BTreeSet;

use crate::{App, AppError, Caller};

pub use filter::{EventFilter, NoRoom, Room, UnknownPattern};
pub use id::{EventId, NoEventId};
pub(crate) use live::Live;
pub use live::{MOST_CLIENTS, Subscriber, Transport};
pub use subscription::{Dropped, Gap, Next, Subscription};
pub use vocabulary::{Event, EventType};

/// JSON of an event at most. Of one that says more, its content is left out.
pub const MAX_EVENT: usize = 16 * 1024;

impl App {
    /// Follows events: what comes after the client's place, then what happens.
    ///
    /// # Errors
    /// [`AppError::Crowded`] and [`AppError::Draining`]; [`AppError::NotFound`] and [`AppError::Unavailable`] where a
    /// room is not the caller's, or the records can't be read.
    pub async fn follow(&self, mut who: Subscriber) -> Result<Subscription, AppError> {
        if let Some(asked) = who.filter.rooms.take() {
            let mut rooms = BTreeSet::new();
            for room in asked {
                rooms.insert(self.room(room, &who.caller).await?);
            }
            who.filter.rooms = Some(rooms);
        }
        self.live.subscribe(who).await
    }

    /// A room as the caller may join it: the conversation that one became part of.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn room(&self, room: Room, caller: &Caller) -> Result<Room, AppError> {
        match room {
            Room::Channel(name) if caller.may_use(&name) && self.registry.provider(&name).is_some() => {
                Ok(Room::Channel(name))
            }
            Room::Channel(_) => Err(AppError::NotFound("channel")),
            Room::Conversation(id) => Ok(Room::Conversation(self.conversation(&id, caller).await?.id)),
        }
    }
}
