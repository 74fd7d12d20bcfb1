//! Which events a client wants, and which it may see.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

use palomar_model::ChannelName;
use palomar_records::ConversationId;

use super::{Event, EventType};
use crate::Caller;

/// A set of events that clients join: those of a channel, or of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Room {
    /// All of a channel.
    Channel(ChannelName),
    /// Those of a conversation.
    Conversation(ConversationId),
}

/// A text that names no [`Room`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected channel:<name> or conversation:<id>")]
pub struct NoRoom;

impl Room {
    /// The channel that it is of.
    #[must_use]
    pub const fn channel(&self) -> &ChannelName {
        match self {
            Room::Channel(channel) => channel,
            Room::Conversation(id) => &id.channel,
        }
    }

    fn holds(&self, event: &Event) -> bool {
        match self {
            Room::Channel(channel) => event.channel.as_ref() == Some(channel),
            Room::Conversation(id) => event.conversation.as_ref() == Some(id),
        }
    }
}

impl fmt::Display for Room {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Room::Channel(channel) => write!(f, "channel:{channel}"),
            Room::Conversation(id) => write!(f, "conversation:{id}"),
        }
    }
}

impl FromStr for Room {
    type Err = NoRoom;

    fn from_str(text: &str) -> Result<Room, NoRoom> {
        let room = match text.split_once(':') {
            Some(("channel", name)) => name.parse().ok().map(Room::Channel),
            Some(("conversation", id)) => id.parse().ok().map(Room::Conversation),
            _ => None,
        };
        room.ok_or(NoRoom)
    }
}

/// The events that a client wants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// In any of these rooms; in all there are where it does not say.
    pub rooms: Option<BTreeSet<Room>>,
    /// Of any of these types; of all where there are none.
    pub types: BTreeSet<EventType>,
}

/// A word that names no type of event.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is no type of event and no family of them, such as message.received or message.*")]
pub struct UnknownPattern;

impl EventFilter {
    /// Adds types: one by its word, or a family such as `message.*`.
    ///
    /// # Errors
    /// [`UnknownPattern`] where there is none of that name.
    pub fn add_types(&mut self, pattern: &str) -> Result<(), UnknownPattern> {
        let named = |kind: &EventType| match pattern.strip_suffix('*') {
            Some(family) => family.ends_with('.') && kind.as_str().starts_with(family),
            None => kind.as_str() == pattern,
        };
        let found: Vec<_> = EventType::ALL.into_iter().filter(named).collect();
        if found.is_empty() {
            return Err(UnknownPattern);
        }
        self.types.extend(found);
        Ok(())
    }

    /// Whether `caller` gets this event.
    pub(crate) fn admits(&self, event: &Event, caller: &Caller) -> bool {
        // What is of no channel concerns the whole installation.
        let may = event.channel.as_ref().map_or(caller.channels.is_none(), |channel| caller.may_use(channel));
        may && (self.types.is_empty() || self.types.contains(&event.kind))
            && self.rooms.as_ref().is_none_or(|rooms| rooms.iter().any(|room| room.holds(event)))
    }
}
