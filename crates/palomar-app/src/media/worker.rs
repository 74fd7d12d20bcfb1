//! What a worker does with a job of `media/<channel>`: one attempt to fetch, and what follows from how it ends.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use palomar_broker::worker::{Handled, Handler};
use palomar_broker::{LeasedJob, Outcome, Signal};
use palomar_channels::{FetchFailure, FetchProblem, MediaSink, Wanted, decode_into};
use palomar_media::{Hash, Incoming, MediaKind, Received, media_type};
use palomar_model::{Clock, MediaNews, MediaProgress};
use palomar_records::{MediaState, Records};

use super::wanted::{Inline, MediaJob};
use super::{MediaConfig, StoredBytes};
use crate::channels::Registry;
use crate::event::{AppEvent, encode_all};
use crate::metrics::{FetchResult, Metrics};

/// What the provider does not let us have now, or what can't be written here, is asked for again after so long.
const LATER: Duration = Duration::from_secs(60);
/// The longest wait between two attempts.
const LONGEST: Duration = Duration::from_secs(6 * 3600);
/// Providers keep what came in for seven days.
const LIVES: Duration = Duration::from_secs(7 * 24 * 3600);

/// Handles jobs of the pool `media`.
pub(crate) struct MediaWorker {
    pub(crate) config: MediaConfig,
    pub(crate) registry: Arc<Registry>,
    pub(crate) records: Records,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) metrics: Metrics,
    pub(crate) stored_bytes: StoredBytes,
}

/// Why media are not here.
enum Trouble {
    /// They could not be fetched.
    Fetch(FetchFailure),
    /// They are of another type than their kind promises.
    WrongType(&'static str),
}

impl From<FetchFailure> for Trouble {
    fn from(failure: FetchFailure) -> Trouble {
        Trouble::Fetch(failure)
    }
}

/// Whoever takes what comes writes it to a file.
struct Sink(Incoming);

impl MediaSink for Sink {
    fn take<'a>(&'a mut self, bytes: &'a [u8]) -> BoxFuture<'a, std::io::Result<()>> {
        Box::pin(self.0.write(bytes))
    }
}

impl Handler for MediaWorker {
    async fn handle(&self, leased: LeasedJob) -> Handled {
        let job = match MediaJob::decode(&leased.payload) {
            Ok(job) => job,
            Err(error) => {
                tracing::error!(job = %leased.lease.id, %error, "what is to be fetched can't be read");
                return Handled::new(Outcome::Dead { reason: "what is to be fetched can't be read".into() });
            }
        };
        // A job that was done and queued again, by a webhook that came again after long.
        let known = self.records.media(leased.lease.id).await.ok().flatten();
        if known.is_some_and(|known| matches!(known.view.state, MediaState::Stored | MediaState::Deleted)) {
            return Handled::new(Outcome::Done);
        }
        match self.fetch(&leased, &job).await {
            Ok(progress) => {
                self.metrics.fetched(FetchResult::Stored);
                self.stored_bytes.grow();
                let events = self.told(&leased, &job, progress);
                Handled { outcome: Outcome::Done, signal: Signal::Success, events }
            }
            Err(trouble) => self.ended(&leased, &job, &trouble),
        }
    }
}

impl MediaWorker {
    /// Fetches, looks what it is, and keeps it.
    async fn fetch(&self, leased: &LeasedJob, job: &MediaJob<'_>) -> Result<MediaProgress, Trouble> {
        let kind = MediaKind::of(&job.kind, job.media.mime_type.as_deref());
        let most = kind.most_bytes().min(self.config.most_bytes);
        let received = self.receive(leased, job, most).await?;
        let found = media_type(kind, &received.head).map_err(Trouble::WrongType)?;
        self.config.store.keep(&received, self.clock.now()).await.map_err(not_written)?;
        Ok(MediaProgress::Stored {
            sha256: received.hash.to_string(),
            size: received.size,
            r#type: found.to_owned(),
            place: self.config.store.place().to_owned(),
        })
    }

    async fn receive(
        &self,
        leased: &LeasedJob,
        job: &MediaJob<'_>,
        most: u64,
    ) -> Result<Received, FetchFailure> {
        let mut sink = Sink(self.config.store.begin().await.map_err(not_written)?);
        let mut promised = None;
        if let Some(Inline(text)) = &job.inline {
            let decoded = decode_into(text, most, &mut sink).await;
            decoded.map_err(|failure| FetchFailure { problem: for_good(failure.problem), ..failure })?;
        } else {
            let passing = |detail: &str| FetchFailure::new(FetchProblem::Refused, detail);
            let line =
                self.registry.of_queue(&leased.queue).ok_or_else(|| passing("the channel does not work"))?;
            let nowhere = || FetchFailure::new(FetchProblem::Nowhere, "this channel has no way to fetch it");
            let source = line.channel.media().ok_or_else(nowhere)?;
            let message = job.provider_message.clone().into_owned();
            let wanted = Wanted { message, media: job.media.clone().into_owned() };
            promised = self.config.fetcher.fetch(source, &wanted, most, &mut sink).await?;
        }
        let received = sink.0.finish().await.map_err(|error| not_written(error.into()))?;
        if promised.is_some_and(|promised| Hash::new(promised) != received.hash) {
            return Err(FetchFailure::new(FetchProblem::Passing, "what came is not what the provider has"));
        }
        if received.size == 0 {
            let problem = if job.inline.is_some() { FetchProblem::Nowhere } else { FetchProblem::Passing };
            return Err(FetchFailure::new(problem, "nothing came"));
        }
        Ok(received)
    }

    /// What follows from an attempt that failed.
    fn ended(&self, leased: &LeasedJob, job: &MediaJob<'_>, trouble: &Trouble) -> Handled {
        let now = self.clock.now();
        let (problem, words, after) = match trouble {
            Trouble::Fetch(failure) => (Some(failure.problem), failure.detail.clone(), failure.after),
            Trouble::WrongType(found) => (None, format!("it is not what its type says, but {found}"), None),
        };
        let signal = match problem {
            Some(FetchProblem::Passing | FetchProblem::Refused) => Signal::Failure,
            Some(FetchProblem::Gone | FetchProblem::TooLarge) | None => Signal::Success,
            Some(FetchProblem::Blocked | FetchProblem::Nowhere | FetchProblem::NotWritten) => Signal::None,
        };
        let lives = now.since(leased.enqueued_at) < LIVES;
        let again = match problem {
            Some(FetchProblem::Passing) if lives && leased.tries < self.config.attempts => {
                Some((self.wait(leased.tries).max(after.unwrap_or_default()), true))
            }
            Some(FetchProblem::Refused | FetchProblem::NotWritten) if lives => {
                Some((LATER.max(after.unwrap_or_default()), false))
            }
            _ => None,
        };
        if let Some((wait, counts)) = again {
            self.metrics.fetched(FetchResult::Retried);
            tracing::debug!(job = %leased.lease.id, queue = %leased.queue, why = words, "media are fetched again later");
            return Handled {
                outcome: Outcome::Retry { at: now.after(wait), counts },
                signal,
                events: Vec::new(),
            };
        }
        self.metrics.fetched(FetchResult::of(problem));
        let events = self.told(leased, job, MediaProgress::Failed { error: words.clone() });
        Handled { outcome: Outcome::Dead { reason: words.into() }, signal, events }
    }

    fn wait(&self, tries: u32) -> Duration {
        self.config.backoff.saturating_mul(3_u32.saturating_pow(tries.saturating_sub(1))).min(LONGEST)
    }

    fn told(
        &self,
        leased: &LeasedJob,
        job: &MediaJob<'_>,
        progress: MediaProgress,
    ) -> Vec<palomar_broker::EventBody> {
        let Ok(channel) = leased.queue.name().parse() else { return Vec::new() };
        let filename = job.media.filename.clone();
        let news =
            MediaNews { id: leased.lease.id, message: job.message, part: job.part, filename, progress };
        encode_all(&[AppEvent::Media { channel, news }])
    }
}

/// What came with the message does not get better.
const fn for_good(problem: FetchProblem) -> FetchProblem {
    match problem {
        FetchProblem::Passing => FetchProblem::Nowhere,
        other => other,
    }
}

#[expect(clippy::needless_pass_by_value, reason = "it is mapped over")]
fn not_written(error: palomar_media::StoreError) -> FetchFailure {
    tracing::warn!(%error, "media can't be kept now, trying again");
    FetchFailure::new(FetchProblem::NotWritten, error.to_string())
}
