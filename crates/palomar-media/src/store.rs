//! Where content is kept: one of two places, the same to whoever keeps.

use std::io;

use futures_util::stream::BoxStream;
use palomar_model::Timestamp;

use crate::files::Files;
use crate::hash::Hash;
use crate::incoming::{Incoming, Received};
use crate::s3::S3;

/// Content as it is read.
pub type Bytes = BoxStream<'static, io::Result<bytes::Bytes>>;

/// A part of some content.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Part {
    /// Its first byte.
    pub first: u64,
    /// How many there are.
    pub length: u64,
}

/// What became of content that is not needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Removed {
    /// It is gone, or was.
    Gone,
    /// It was kept again a moment ago.
    NotYet,
}

/// Why content could not be kept or read.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file.
    #[error("the media directory: {0}")]
    File(#[from] io::Error),
    /// S3 could not be asked.
    #[error("S3 can't be reached: {0}")]
    Unreachable(String),
    /// S3 refused.
    #[error("S3 answers {status}{}", .code.as_ref().map(|code| format!(" {code}")).unwrap_or_default())]
    Refused {
        /// The HTTP status.
        status: u16,
        /// Its word for it.
        code: Option<String>,
    },
}

/// A place for content. Files are also where content comes in that goes to S3.
#[derive(Clone, Debug)]
pub struct Store {
    files: Files,
    s3: Option<S3>,
}

impl Store {
    /// Content in files; in S3 where that is given.
    #[must_use]
    pub const fn new(files: Files, s3: Option<S3>) -> Store {
        Store { files, s3 }
    }

    /// What this place is called: content that is kept in another is not here.
    #[must_use]
    pub fn place(&self) -> &str {
        self.s3.as_ref().map_or_else(|| self.files.place(), S3::place)
    }

    /// Begins to take content in.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn begin(&self) -> Result<Incoming, StoreError> {
        Ok(self.files.begin().await?)
    }

    /// Keeps content. The same content is kept once.
    ///
    /// # Errors
    /// Where it can't be written: nothing is kept then.
    pub async fn keep(&self, received: &Received, now: Timestamp) -> Result<(), StoreError> {
        match &self.s3 {
            Some(s3) => s3.put(received, now).await,
            None => Ok(self.files.keep(received, now).await?),
        }
    }

    /// Reads a part of some content; nothing where it is not here.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn read(&self, hash: &Hash, part: Part, now: Timestamp) -> Result<Option<Bytes>, StoreError> {
        match &self.s3 {
            Some(s3) => s3.get(hash, part, now).await,
            None => Ok(self.files.read(hash, part).await?),
        }
    }

    /// Content in files that was kept last before `before`, of those whose hash begins with this byte: perhaps nobody
    /// refers to it. A bucket is not looked through.
    ///
    /// # Errors
    /// Where it can't be read.
    pub async fn kept_before(&self, first: u8, before: Timestamp) -> Result<Vec<Hash>, StoreError> {
        match &self.s3 {
            Some(_) => Ok(Vec::new()),
            None => Ok(self.files.kept_before(first, before).await?),
        }
    }

    /// Removes content, unless it was kept after `unless_after`.
    ///
    /// # Errors
    /// Where it can't be removed.
    pub async fn remove(
        &self,
        hash: &Hash,
        unless_after: Timestamp,
        now: Timestamp,
    ) -> Result<Removed, StoreError> {
        match &self.s3 {
            Some(s3) => s3.remove(hash, unless_after, now).await,
            None => Ok(self.files.remove(hash, unless_after).await?),
        }
    }
}
