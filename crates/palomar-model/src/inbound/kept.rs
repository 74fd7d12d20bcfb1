//! What became of the media of a message: wanted, kept, or not to be had.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{InboundMedia, InboundMessage};
use crate::MessageId;

/// News of one medium of a message.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaNews {
    /// Its own id: that of the job which fetches it.
    pub id: MessageId,
    /// The message that it came with.
    pub message: MessageId,
    /// Which of the message's it is, from 0 on.
    pub part: u32,
    /// The sender's name for it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// How far it is.
    pub progress: MediaProgress,
}

/// How far media are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum MediaProgress {
    /// They are to be fetched.
    Pending,
    /// They are kept.
    Stored {
        /// The SHA-256 of their bytes, in hexadecimal.
        sha256: String,
        /// Their length.
        size: u64,
        /// Their type, by their bytes.
        r#type: String,
        /// The store that has them.
        place: String,
    },
    /// They are not tried any more, unless a person says so.
    Failed {
        /// Why.
        error: String,
    },
}

impl MediaProgress {
    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            MediaProgress::Pending => "pending",
            MediaProgress::Stored { .. } => "stored",
            MediaProgress::Failed { .. } => "failed",
        }
    }
}

/// A file's name is personal.
impl fmt::Debug for MediaNews {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaNews")
            .field("id", &self.id)
            .field("message", &self.message)
            .field("part", &self.part)
            .field("progress", &self.progress)
            .finish_non_exhaustive()
    }
}

impl InboundMessage {
    /// All media that came with it, in order, each with the word for its kind; no word where the provider says none.
    pub fn media(&self) -> impl Iterator<Item = (&'static str, &InboundMedia)> {
        let first = self.content.media().map(|media| (self.content.kind(), media));
        first.into_iter().chain(self.more_media.iter().map(|media| ("", media)))
    }
}
