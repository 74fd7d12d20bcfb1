//! What is sent, at what pace, and what became of it: the words between a session and whoever sends through it.

use std::path::PathBuf;
use std::time::Duration;

/// A message as it is written into a chat.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whom it goes to: digits.
    pub to: String,
    /// The words, or those below the file.
    pub text: String,
    /// The file.
    pub file: Option<Attachment>,
    /// How it is paced.
    pub pace: Pace,
    /// How long the server's tick is waited for.
    pub tick_within: Duration,
}

/// A file that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is, under the name that it is shown by.
    pub path: PathBuf,
    /// Whether it goes as a file, and not as the picture or film that it is.
    pub as_document: bool,
}

/// How a person would do it. Nothing of it makes sending look like what it is not: it keeps a line slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The pause before this message, since the one before.
    pub pause: Duration,
    /// Whether writing takes the time that it takes a person.
    pub typing: bool,
}

/// The message is at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: String,
}

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is at the server.
    Taken(Taken),
    /// It was never pressed.
    NotPressed,
    /// It was pressed, and the chat does not show it: that proves nothing.
    Unknown,
}
