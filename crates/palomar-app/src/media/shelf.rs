//! Media that are kept: handing them out, and letting go of those whose time is over.
//!
//! Letting go has two steps, each of which may be repeated: rows say that it is over, from when on nobody gets it; contents
//! that no row needs are removed from the store, and only then is that said. What was kept a moment ago stays: a row that
//! needs it may be on its way. Files that no row speaks of after a day are removed too, where these records are the ones that
//! knew the directory from the beginning: others (a database that was set up anew, another's) know nothing of what is in it.

use std::sync::{Arc, Weak};
use std::time::Duration;

use palomar_media::{Hash, Part, Removed, Store, StoreError};
use palomar_model::{MessageId, Timestamp};
use palomar_records::MediaRecord;

use crate::{App, AppError, Caller};

/// How often it is looked how much there is, where there is more.
const LOOK: Duration = Duration::from_secs(60);
/// After so many looks what is over is let go.
const LOOKS: u32 = 60;
/// A content that was kept later than this is not removed.
const GRACE: Duration = Duration::from_secs(3600);
/// So many are removed in one go.
const BATCH: usize = 100;
/// Content that no row speaks of for so long is nobody's: its process was killed before it could say that it kept it, and
/// it was not tried again, or in vain.
const UNSPOKEN: Duration = Duration::from_secs(24 * 3600);
/// Records that are further behind than this are not asked what is nobody's.
const RECORDS_WAIT: Duration = Duration::from_secs(5);

/// What was let go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tidied {
    /// Media that can't be had any more.
    pub expired: u64,
    /// Contents that were removed from the store.
    pub removed: u64,
    /// Files that were nobody's, and are gone.
    pub swept: u64,
}

impl App {
    /// One medium, as far as it is known.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn media(&self, id: MessageId, caller: &Caller) -> Result<MediaRecord, AppError> {
        let found = self.records.media(id).await?;
        found.filter(|found| caller.may_use(&found.channel)).ok_or(AppError::NotFound("media"))
    }

    /// The bytes of a medium that is stored.
    ///
    /// # Errors
    /// A conflict (`media_elsewhere`) where another node has them on its disk; [`AppError::NotFound`] where they are lost.
    pub async fn media_bytes(
        &self,
        media: &MediaRecord,
        part: Part,
    ) -> Result<palomar_media::Bytes, AppError> {
        let config = self.config.media.as_ref().ok_or(AppError::NotFound("media"))?;
        let hash = media.view.sha256.as_deref().and_then(|text| text.parse::<Hash>().ok());
        let hash = hash.ok_or(AppError::NotFound("media"))?;
        let unavailable = |error: StoreError| AppError::Unavailable(error.to_string());
        let found = config.store.read(&hash, part, self.now()).await.map_err(unavailable)?;
        found.ok_or_else(|| {
            if media.place.as_deref() == Some(config.store.place()) {
                tracing::error!(id = %media.view.id, "media are not where they were kept");
                AppError::NotFound("content: it is not where it was kept")
            } else {
                let detail = "another node keeps it on its own disk; several nodes share media in S3 ([media] s3_endpoint)";
                AppError::Conflict { code: "media_elsewhere", detail: detail.to_owned() }
            }
        })
    }

    /// Lets go of media whose time is over.
    ///
    /// # Errors
    /// Where the records don't answer; what was not let go is the next time.
    pub async fn tidy_media(&self) -> Result<Tidied, AppError> {
        let Some(config) = &self.config.media else { return Ok(Tidied::default()) };
        let now = self.now();
        let expired = self.records.expire_media(now.before(config.keep), now).await?;
        let mut tidied = Tidied { expired, ..Tidied::default() };
        let place = config.store.place();
        let mut after = String::new();
        loop {
            let contents = self.records.unneeded_media(place, &after, BATCH).await?;
            for content in &contents {
                let Ok(hash) = content.parse::<Hash>() else { continue };
                match config.store.remove(&hash, now.before(GRACE), now).await {
                    Ok(Removed::Gone) => {
                        self.records.media_removed(place, content).await?;
                        tidied.removed += 1;
                    }
                    Ok(Removed::NotYet) => {}
                    Err(error) => tracing::warn!(%error, "media that nobody needs could not be removed"),
                }
            }
            match contents.into_iter().nth(BATCH - 1) {
                Some(last) => after = last,
                None => break,
            }
        }
        // What was let go is gone, whatever hinders the rest.
        match self.sweep_media(&config.store).await {
            Ok(swept) => tidied.swept = swept,
            Err(error) => {
                tracing::warn!(%error, "files that are nobody's were not looked for: the next time");
            }
        }
        self.look_at_stored_bytes().await?;
        Ok(tidied)
    }

    /// Before anything is kept: a store of files that nothing is in is known to these records from now on.
    pub(crate) async fn begin_media(&self) -> Result<(), AppError> {
        let Some(config) = &self.config.media else { return Ok(()) };
        let place = config.store.place();
        if self.records.knows_media_place(place).await? {
            return Ok(());
        }
        for first in 0..=u8::MAX {
            let unavailable = |error: StoreError| AppError::Unavailable(error.to_string());
            if !config.store.kept_before(first, Timestamp::MAX).await.map_err(unavailable)?.is_empty() {
                return Ok(());
            }
        }
        Ok(self.records.new_media_place(place).await?)
    }

    /// Removes files that nobody refers to. What was settled before is in the records before they are asked.
    async fn sweep_media(&self, store: &Store) -> Result<u64, AppError> {
        let (now, mut swept) = (self.now(), 0);
        if !self.records.knows_media_place(store.place()).await? {
            tracing::warn!(
                place = store.place(),
                "the media directory is not swept: these records did not know it when it was empty. If they are not the \
                 ones that it belongs to, start with those; if those are lost, move it away to begin with an empty one"
            );
            return Ok(0);
        }
        let before = now.before(UNSPOKEN);
        self.caught_up(RECORDS_WAIT).await?;
        for first in 0..=u8::MAX {
            let unavailable = |error: StoreError| AppError::Unavailable(error.to_string());
            let old = store.kept_before(first, before).await.map_err(unavailable)?;
            for some in old.chunks(BATCH) {
                let names = some.iter().map(Hash::to_string).collect();
                let kept = self.records.kept_media(store.place(), names).await?;
                for hash in some.iter().filter(|hash| !kept.contains(&hash.to_string())) {
                    match store.remove(hash, before, now).await {
                        Ok(Removed::Gone) => swept += 1,
                        Ok(Removed::NotYet) => {}
                        Err(error) => tracing::warn!(%error, "a file that is nobody's could not be removed"),
                    }
                }
            }
        }
        Ok(swept)
    }

    async fn look_at_stored_bytes(&self) -> Result<(), AppError> {
        if let Some(config) = &self.config.media {
            self.stored_bytes.set(self.records.media_bytes(config.store.place()).await?);
        }
        Ok(())
    }
}

/// Lets go of media, as long as there is an application.
pub(crate) async fn tidy(app: Weak<App>) {
    for look in (0..LOOKS).cycle() {
        {
            let Some(app): Option<Arc<App>> = app.upgrade() else { return };
            if look == 0 {
                match app.tidy_media().await {
                    Ok(tidied) => tracing::debug!(?tidied, "media: let go of what is over"),
                    Err(error) => tracing::warn!(%error, "media that are over were not let go"),
                }
            } else if app.stored_bytes.has_grown()
                && let Err(error) = app.look_at_stored_bytes().await
            {
                tracing::debug!(%error, "how much media there are is not known");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}
