//! The vocabulary of Palomar: ids, times, recipients, content, messages, error classes, events.
//!
//! Everything here is a value or a function of values. No clock, no randomness, no I/O, no async: this crate does
//! not depend on anything that could do it.

mod id;
mod priority;
mod time;

pub use id::{ChannelName, IdGenerator, InvalidName, InvalidTag, MessageId, ProviderMessageId, Tag};
pub use priority::{Priority, UnknownPriority};
pub use time::{Clock, InvalidTimestamp, ManualClock, Timestamp};
