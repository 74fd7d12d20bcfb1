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
mod live;
mod ring;
mod subscription;
mod vocabulary;

pub use filter::{EventFilter, NoRoom, Room, UnknownPattern};
pub(crate) use live::Live;
pub use live::{MOST_CLIENTS, Subscriber, Transport};
pub use subscription::{Dropped, Gap, Next, Subscription};
pub use vocabulary::{Event, EventId, EventType, NoEventId};

/// JSON of an event at most. Of one that says more, its content is left out.
pub const MAX_EVENT: usize = 16 * 1024;
