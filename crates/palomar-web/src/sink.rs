//! Where a session tells what it hears.

use std::future::Future;
use std::pin::Pin;

use palomar_model::Timestamp;

/// Something that a page showed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// Somebody wrote.
    Message(Message),
    /// A message of ours came further.
    Tick {
        /// Its id.
        id: String,
        /// How far.
        tick: Tick,
        /// When that was seen.
        at: Timestamp,
    },
}

/// A message that somebody wrote.
#[derive(Clone, PartialEq, Eq)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// The digits of who wrote it, where they are to be seen.
    pub phone: Option<String>,
    /// What the chat is called.
    pub title: String,
    /// The group that it was written in.
    pub group: Option<String>,
    /// `text`, `image`, `audio`, `video`, `document`.
    pub kind: String,
    /// Its words.
    pub text: String,
    /// When it was seen; the page shows times in its own way.
    pub at: Timestamp,
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Message").field("id", &self.id).field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// How far a message of ours is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Tick {
    /// At the server.
    Sent,
    /// On the phone.
    Delivered,
    /// Read.
    Read,
}

impl Tick {
    /// Reads the page's word.
    #[must_use]
    pub fn read(word: &str) -> Option<Tick> {
        match word {
            "sent" => Some(Tick::Sent),
            "delivered" => Some(Tick::Delivered),
            "read" => Some(Tick::Read),
            _ => None,
        }
    }
}

/// Takes what is heard.
pub trait Sink: Send + Sync {
    /// Takes one thing. When it is done, that is kept.
    fn take(&self, heard: Heard) -> Pin<Box<dyn Future<Output = ()> + Send + '_>>;
}
