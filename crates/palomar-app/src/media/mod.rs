//! Media that come with messages: fetched in the background, kept by their content, handed out, let go when their time is
//! over.
//!
//! ```text
//! webhook read ─> job of media/<channel> ─> worker: fetch, look what it is, keep ─> event log ─> records
//! ```
//!
//! What always holds: the job is durable before the message is told, under an id that follows from the message's, so that a
//! webhook that is read again wants nothing twice; a message is there whether its media are to be had or not.

mod shelf;
mod wanted;
mod worker;

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use palomar_channels::{FetchLimits, Fetcher};
use palomar_media::{Files, NotS3, S3, S3Config, Store};

pub use shelf::Tidied;
pub(crate) use shelf::tidy;
pub(crate) use wanted::Wants;
pub(crate) use worker::MediaWorker;

/// How media are fetched and kept.
#[derive(Clone, Debug)]
pub struct MediaConfig {
    /// Where they are kept.
    pub store: Store,
    /// Who fetches them.
    pub fetcher: Fetcher,
    /// So many are fetched at once.
    pub concurrency: usize,
    /// They are let go after so long.
    pub keep: Duration,
    /// Larger ones are not taken, whatever their kind.
    pub most_bytes: u64,
    /// Attempts that count.
    pub attempts: u32,
    /// The wait after the first of them; three times as long after each.
    pub backoff: Duration,
}

impl MediaConfig {
    /// Media in `dir`, which is called `name` where it is new, or in S3, for which it is the place where they come in.
    ///
    /// # Errors
    /// Where the directory can't be written, or S3 can't be meant.
    pub fn open(dir: &Path, name: &str, s3: Option<S3Config>) -> Result<MediaConfig, MediaError> {
        let own = palomar_channels::http::client()?;
        let s3 = s3.map(|config| S3::new(config, own.clone())).transpose()?;
        let store = Store::new(Files::open(dir, name)?, s3);
        let fetcher = Fetcher::new(own, palomar_channels::http::outside()?, FetchLimits::default());
        Ok(MediaConfig::new(store, fetcher))
    }

    /// Media in a store, with all else as usual: what is tried again goes on for two days.
    #[must_use]
    pub const fn new(store: Store, fetcher: Fetcher) -> MediaConfig {
        MediaConfig {
            store,
            fetcher,
            concurrency: 4,
            keep: Duration::from_secs(90 * 24 * 3600),
            most_bytes: 100 << 20,
            attempts: 16,
            backoff: Duration::from_secs(2),
        }
    }
}

/// Why media can't be kept.
#[derive(Debug, thiserror::Error)]
pub enum MediaError {
    /// The directory can't be used.
    #[error("can't use the media directory: {0}")]
    File(#[from] std::io::Error),
    /// S3 can't be meant.
    #[error("[media]: {0}")]
    S3(#[from] NotS3),
    /// There is no client to call with.
    #[error("can't set up calls for media: {0}")]
    Client(#[from] reqwest::Error),
}

/// How many bytes the store has, as of the last look.
#[derive(Clone, Debug, Default)]
pub(crate) struct StoredBytes(Arc<(AtomicU64, AtomicBool)>);

impl StoredBytes {
    pub(crate) fn set(&self, bytes: u64) {
        self.0.0.store(bytes, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.0.load(Ordering::Relaxed)
    }

    /// Notes that there are more now.
    pub(crate) fn grow(&self) {
        self.0.1.store(true, Ordering::Relaxed);
    }

    /// Whether there are more since this was asked last.
    fn has_grown(&self) -> bool {
        self.0.1.swap(false, Ordering::Relaxed)
    }
}
