//! What is asked and said of media, beside what the projection writes.

use palomar_model::{MessageId, Timestamp};

use crate::error::Result;
use crate::store::Db;
use crate::tables::media::MediaRecord;
use crate::tables::{cursors, media, media_places};
use crate::{PROJECTION, Records, TRIM_BATCH};

impl Records {
    /// One medium.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn media(&self, id: MessageId) -> Result<Option<MediaRecord>> {
        self.read(move |db| media::get(db, id)).await
    }

    /// Lets go of media that were stored before `before`; of how many. Their messages stay.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn expire_media(&self, before: Timestamp, now: Timestamp) -> Result<u64> {
        let mut expired = 0;
        loop {
            let work = move |db: Db<'_>| {
                cursors::take_turn(db, PROJECTION, now)?;
                media::expire(db, before, TRIM_BATCH, now)
            };
            let some = self.write(work).await?;
            expired += some;
            if some < TRIM_BATCH as u64 {
                return Ok(expired);
            }
        }
    }

    /// Contents of a store that nothing needs any more, by their SHA-256, after the one called `after`.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn unneeded_media(&self, place: &str, after: &str, limit: usize) -> Result<Vec<String>> {
        let (place, after) = (place.to_owned(), after.to_owned());
        self.read(move |db| media::unneeded(db, &place, &after, limit)).await
    }

    /// Which of these contents a store has for some message, by their SHA-256.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn kept_media(&self, place: &str, contents: Vec<String>) -> Result<Vec<String>> {
        let place = place.to_owned();
        self.read(move |db| media::kept(db, &place, &contents)).await
    }

    /// Whether these records know all that is in a store of files: they knew it when nothing was in it, and were moved with
    /// what they know since. Others would take what is in it for nobody's.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn knows_media_place(&self, place: &str) -> Result<bool> {
        let place = place.to_owned();
        self.read(move |db| media_places::is_known(db, &place)).await
    }

    /// Notes a store of files that nothing is in.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn new_media_place(&self, place: &str) -> Result<()> {
        let place = place.to_owned();
        self.write(move |db| media_places::add(db, &place)).await
    }

    /// Notes that a store does not have a content any more.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn media_removed(&self, place: &str, sha256: &str) -> Result<()> {
        let (place, sha256) = (place.to_owned(), sha256.to_owned());
        self.write(move |db| media::removed(db, &place, &sha256)).await
    }

    /// How many bytes a store has, each content once.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn media_bytes(&self, place: &str) -> Result<u64> {
        let place = place.to_owned();
        self.read(move |db| media::bytes(db, &place)).await
    }
}
