//! Send jobs as they are shown.

use palomar_model::{ChannelName, MessageState, SendJobState, Timestamp};
use palomar_records::SendJobRecord;
use serde::Serialize;

use crate::{App, AppError};

/// A send job as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobView {
    /// Its id; its messages name it as their campaign.
    pub id: String,
    /// The channel that sends it, or the pool of channels.
    pub channel: ChannelName,
    /// `single` or `bulk`.
    pub kind: String,
    /// `pending`, `running`, `completed`, `failed`, `paused` or `cancelled`.
    pub status: &'static str,
    /// The pause between two messages.
    pub delay_ms: u64,
    /// How far it is.
    pub progress: SendJobProgress,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// How far a send job is.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobProgress {
    /// All of its messages.
    pub total: u64,
    /// Those that are accounted for.
    pub processed: u64,
    /// Of a hundred.
    pub percentage: f64,
    /// Those that went, by how far they came.
    #[serde(flatten)]
    pub counts: SendJobCounts,
}

/// How the messages of a send job stand.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobCounts {
    /// Not queued yet, or queued.
    pub waiting: u64,
    /// Under way.
    pub sending: u64,
    /// Sent, and no further so far.
    pub sent: u64,
    /// Delivered.
    pub delivered: u64,
    /// Read.
    pub read: u64,
    /// Failed; refused ones too.
    pub failed: u64,
    /// Of these, those that nobody may be sent.
    pub refused: u64,
    /// Their outcome is not known.
    pub uncertain: u64,
    /// Called off, or too late.
    pub cancelled: u64,
}

impl SendJobCounts {
    /// Of a job, by how many of its messages stand where in records.
    pub(super) fn of(job: &SendJobRecord, counts: &[(String, u64)]) -> SendJobCounts {
        let mut tally =
            SendJobCounts { refused: job.refused, failed: job.refused, ..SendJobCounts::default() };
        for (word, count) in counts {
            match word.parse::<MessageState>() {
                Ok(MessageState::Sending) => tally.sending += count,
                Ok(MessageState::Sent) => tally.sent += count,
                Ok(MessageState::Delivered) => tally.delivered += count,
                Ok(MessageState::Read) => tally.read += count,
                Ok(MessageState::Failed) => tally.failed += count,
                Ok(MessageState::Uncertain) => tally.uncertain += count,
                Ok(MessageState::Cancelled | MessageState::Expired) => tally.cancelled += count,
                // What waits is what is left of all.
                Ok(MessageState::Scheduled | MessageState::Queued) | Err(_) => {}
            }
        }
        if job.state == SendJobState::Cancelled && !job.live {
            // What was never queued never will be.
            tally.cancelled = job.total.saturating_sub(tally.processed() - tally.cancelled);
        }
        tally.waiting = job.total.saturating_sub(tally.processed() + tally.sending);
        tally
    }

    /// Those that are accounted for.
    pub(super) const fn processed(&self) -> u64 {
        self.went() + self.failed + self.cancelled
    }

    /// Those of which something went, or may have.
    pub(super) const fn went(&self) -> u64 {
        self.sent + self.delivered + self.read + self.uncertain
    }
}

/// Jobs of one kind, by where they stand: what the seed's queues say.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobQueue {
    /// Wait for a place.
    pub waiting: u64,
    /// Run.
    pub active: u64,
    /// Ended, and something went.
    pub completed: u64,
    /// Ended, and nothing went.
    pub failed: u64,
    /// Wait for somebody's word.
    pub paused: u64,
    /// Were ended by somebody.
    pub cancelled: u64,
    /// May run at once.
    pub concurrency: u64,
}

/// All send jobs in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobStats {
    /// Jobs of one message.
    pub message_queue: SendJobQueue,
    /// Jobs of many.
    pub bulk_message_queue: SendJobQueue,
}

impl App {
    pub(super) async fn send_job_view(&self, job: SendJobRecord) -> Result<SendJobView, AppError> {
        let counts = self.records.send_job_counts(&job.id).await?;
        let counts = SendJobCounts::of(&job, &counts);
        let processed = counts.processed();
        #[expect(clippy::cast_precision_loss, reason = "a job has thousands of messages at most")]
        let percentage = processed as f64 * 100.0 / job.total.max(1) as f64;
        Ok(SendJobView {
            id: job.id,
            channel: job.channel,
            kind: job.kind,
            status: job.state.as_str(),
            delay_ms: job.delay_ms,
            progress: SendJobProgress { total: job.total, processed, percentage, counts },
            created_at: job.created_at,
            started_at: job.started_at,
            ended_at: job.ended_at,
            updated_at: job.updated_at,
        })
    }

    /// All send jobs in numbers.
    ///
    /// # Errors
    /// Where the records can't be read.
    pub async fn send_job_stats(&self) -> Result<SendJobStats, AppError> {
        let concurrency = |kind| super::keeper::at_once(kind) as u64;
        let empty = |kind| SendJobQueue { concurrency: concurrency(kind), ..SendJobQueue::default() };
        let (mut single, mut bulk) = (empty("single"), empty("bulk"));
        for (kind, state, count) in self.records.send_jobs_by_state().await? {
            let queue = if kind == "bulk" { &mut bulk } else { &mut single };
            match state {
                SendJobState::Pending => queue.waiting = count,
                SendJobState::Running => queue.active = count,
                SendJobState::Completed => queue.completed = count,
                SendJobState::Failed => queue.failed = count,
                SendJobState::Paused => queue.paused = count,
                SendJobState::Cancelled => queue.cancelled = count,
            }
        }
        Ok(SendJobStats { message_queue: single, bulk_message_queue: bulk })
    }
}
