//! Looks after send jobs: gives them places, feeds their messages one after the other, and ends what is accounted for.
//!
//! Always: whatever it does may be done twice. It keeps nothing that is not in records, but for the pause that is under
//! way: one that a crash cuts off begins again.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::time::Duration;

use palomar_model::{SendJobOrder, SendJobState, Timestamp};
use palomar_records::{Follower, SendJobMessage, SendJobRecord};
use tokio::sync::{Notify, watch as channel};

use super::message_id;
use super::view::SendJobCounts;
use crate::{App, AppError, Caller, NewMessage, RowInput};

/// How often jobs are looked at that run.
const LOOK: Duration = Duration::from_millis(100);
/// How often it is looked whether there are any.
const IDLE: Duration = Duration::from_secs(1);
/// Messages of a job without a pause that are queued ahead.
const AHEAD: u64 = 50;
/// Records are waited for so long, to know that nothing moves.
const CAUGHT_UP: Duration = Duration::from_secs(5);

/// Jobs of a kind that run at once, over all sessions.
pub(super) fn at_once(kind: &str) -> usize {
    if kind == "bulk" { 5 } else { 10 }
}

/// What the keeper is woken by, and what it remembers to keep pauses.
#[derive(Debug, Default)]
pub(crate) struct Keeper {
    /// Told when something has changed that it acts on.
    pub(crate) wake: Arc<Notify>,
    /// Who has it says what holds in the queues.
    pub(super) control: tokio::sync::Mutex<()>,
    /// Since when nothing of a job is under way, where it pauses.
    rests: Mutex<HashMap<String, Timestamp>>,
}

/// Looks after send jobs as long as there is an application, wherever this node follows the log.
pub(crate) async fn watch(app: Weak<App>, right: channel::Receiver<Follower>) {
    let Some(wake) = app.upgrade().map(|app| Arc::clone(&app.send_jobs.wake)) else { return };
    let mut failing = false;
    loop {
        let pause = {
            let Some(app) = app.upgrade() else { return };
            let looked = if *right.borrow() == Follower::Another {
                Ok(false)
            } else {
                app.look_after_send_jobs().await
            };
            match &looked {
                Err(error) if !failing => {
                    tracing::warn!(%error, "send jobs can't be looked after now, trying again");
                }
                _ => {}
            }
            failing = looked.is_err();
            if looked.unwrap_or(false) { LOOK } else { IDLE }
        };
        // Whoever wakes it has changed something; else it is time to look.
        let _ = tokio::time::timeout(pause, wake.notified()).await;
    }
}

impl App {
    /// Looks at every job that may move; whether one does.
    async fn look_after_send_jobs(&self) -> Result<bool, AppError> {
        let live = self.records.live_send_jobs().await?;
        let some = live.iter().any(|job| job.state != SendJobState::Paused);
        let running = |kind: &str| {
            live.iter().filter(|job| job.kind == kind && job.state == SendJobState::Running).count()
        };
        let mut places = HashMap::from(["single", "bulk"].map(|kind| {
            let free = at_once(kind).saturating_sub(running(kind));
            (kind.to_owned(), free)
        }));
        for job in live {
            let id = job.id.clone();
            let place = places.entry(job.kind.clone()).or_default();
            if let Err(error) = self.look_after_send_job(job, place).await {
                // One that can't be looked after holds no other.
                tracing::warn!(job = id, %error, "a send job can't be looked after now");
            }
        }
        Ok(some)
    }

    async fn look_after_send_job(&self, job: SendJobRecord, places: &mut usize) -> Result<(), AppError> {
        match job.state {
            SendJobState::Pending if *places > 0 => {
                *places -= 1;
                self.begin_send_job(job).await
            }
            SendJobState::Running => self.feed_send_job(job).await,
            SendJobState::Paused => {
                // Whoever ordered it may have died before the queues knew.
                let _control = self.send_jobs.control.lock().await;
                match self.records.send_job(&job.id).await? {
                    Some(now) if now.version == job.version => self.hold(&now).await.map(drop),
                    _ => Ok(()),
                }
            }
            SendJobState::Cancelled => self.settle_cancelled(job).await,
            SendJobState::Pending | SendJobState::Completed | SendJobState::Failed => Ok(()),
        }
    }

    async fn begin_send_job(&self, job: SendJobRecord) -> Result<(), AppError> {
        let _control = self.send_jobs.control.lock().await;
        let begun = self.move_send_job(job, SendJobState::Running).await?;
        let Some(job) = begun else { return Ok(()) };
        // It may have been paused before.
        self.hold(&job).await?;
        self.send_jobs.wake.notify_one();
        Ok(())
    }

    async fn feed_send_job(&self, job: SendJobRecord) -> Result<(), AppError> {
        let counts = self.records.send_job_counts(&job.id).await?;
        let tally = SendJobCounts::of(&job, &counts);
        let under_way = job.fed.saturating_sub(tally.processed());
        if job.fed == job.total {
            return if under_way == 0 { self.end_send_job(job, &tally).await } else { Ok(()) };
        }
        let room = if job.delay_ms == 0 {
            AHEAD.saturating_sub(under_way)
        } else {
            u64::from(under_way == 0 && self.has_rested(&job))
        };
        if room == 0 {
            return Ok(());
        }
        if self.lines_of(&job.channel).is_empty() {
            self.setup.take_in().await?;
        }
        if self.lines_of(&job.channel).is_empty() {
            // What is wrong is not its messages: it goes on when its channel works again, here or on another node.
            tracing::debug!(job = job.id, channel = %job.channel, "a send job waits: its channel does not work here");
            return Ok(());
        }
        let messages = self.records.send_job_messages(&job.id, job.fed, room as usize).await?;
        self.queue_of_send_job(job, messages).await
    }

    /// Whether the pause since a job's last message is over.
    fn has_rested(&self, job: &SendJobRecord) -> bool {
        let now = self.now();
        let mut rests = self.send_jobs.rests.lock().unwrap_or_else(PoisonError::into_inner);
        if job.fed == 0 {
            return true;
        }
        let since = *rests.entry(job.id.clone()).or_insert(now);
        let over = now.since(since) >= Duration::from_millis(job.delay_ms);
        if over {
            rests.remove(&job.id);
        }
        over
    }

    /// Queues some messages, then says how far the job is fed. Whoever dies in between queues the same again, which
    /// changes nothing.
    async fn queue_of_send_job(
        &self,
        job: SendJobRecord,
        messages: Vec<SendJobMessage>,
    ) -> Result<(), AppError> {
        let rows = messages.iter().map(|message| self.row_of_send_job(&job, message)).collect();
        let results = self.submit_batch(rows, &Caller::system(), None).await?;
        let mut refused = Vec::new();
        let mut fed = job.fed;
        for result in results {
            match result.result {
                Ok(_) => {}
                // It is there, with what the job said then.
                Err(AppError::IdempotencyMismatch { of }) if of == message_id(&job.id, result.row) => {}
                Err(error @ (AppError::Invalid(_) | AppError::Suppressed(_) | AppError::TooLarge(_))) => {
                    refused.push((result.row, error.to_string()));
                }
                // So it is where another line of the pool was to send it.
                Err(AppError::Conflict { .. }) if self.is_of_send_job(&job, result.row).await? => {}
                Err(error) => {
                    tracing::warn!(job = job.id, %error, "a send job waits: its messages can't be queued now");
                    break;
                }
            }
            fed += 1;
        }
        if fed == job.fed {
            return Ok(());
        }
        let refusals = job.refused + refused.len() as u64;
        let next = SendJobRecord { fed, refused: refusals, updated_at: self.now(), ..job };
        // Somebody may have paused or cancelled it meanwhile: then the same is queued again, or called off.
        self.records.change_send_job(next, refused).await?;
        Ok(())
    }

    /// Whether the message at a position is known, as a part of the job.
    async fn is_of_send_job(&self, job: &SendJobRecord, position: u64) -> Result<bool, AppError> {
        let known = self.records.stored(vec![message_id(&job.id, position)]).await?.pop();
        let campaign = known.and_then(|(_, stored)| stored?.message.campaign_id);
        Ok(campaign.as_deref() == Some(job.id.as_str()))
    }

    fn row_of_send_job(&self, job: &SendJobRecord, message: &SendJobMessage) -> RowInput {
        let read = NewMessage::from_json(&message.body, self.default_region());
        let message_of = |new: NewMessage| NewMessage {
            id: Some(message_id(&job.id, message.position)),
            channel: Some(job.channel.clone()),
            campaign_id: Some(job.id.clone()),
            ..new
        };
        RowInput { row: message.position, body_hash: 0, message: read.map(message_of) }
    }

    async fn end_send_job(&self, job: SendJobRecord, tally: &SendJobCounts) -> Result<(), AppError> {
        let order = if tally.went() > 0 { SendJobOrder::Complete } else { SendJobOrder::Fail };
        let Ok(state) = job.state.after(order) else { return Ok(()) };
        if let Some(job) = self.move_send_job(job, state).await? {
            tracing::info!(job = job.id, status = %job.state, "a send job has ended");
            self.forget_rest(&job.id);
        }
        Ok(())
    }

    fn forget_rest(&self, id: &str) {
        self.send_jobs.rests.lock().unwrap_or_else(PoisonError::into_inner).remove(id);
    }

    /// Calls off all that waits of a job that was cancelled, until nothing of it moves any more.
    async fn settle_cancelled(&self, job: SendJobRecord) -> Result<(), AppError> {
        let _control = self.send_jobs.control.lock().await;
        self.hold(&job).await?;
        if self.call_off(&job).await? > 0 {
            return Ok(());
        }
        self.caught_up(CAUGHT_UP).await?;
        let counts = self.records.send_job_counts(&job.id).await?;
        let known: u64 = counts.iter().map(|(_, count)| count).sum();
        let moves = |word: &str| matches!(word, "queued" | "scheduled" | "sending");
        let open: u64 = counts.iter().filter(|(word, _)| moves(word)).map(|(_, count)| count).sum();
        // What is queued and not seen yet is in the spool of a node.
        if open > 0 || known + job.refused < job.fed {
            return Ok(());
        }
        let settled = SendJobRecord { live: false, updated_at: self.now(), ..job };
        let Some(job) = self.records.change_send_job(settled, Vec::new()).await? else { return Ok(()) };
        self.forget_rest(&job.id);
        // Its group is nothing special any more.
        let released = SendJobRecord { state: SendJobState::Completed, ..job };
        self.hold(&released).await.map(drop)
    }
}
