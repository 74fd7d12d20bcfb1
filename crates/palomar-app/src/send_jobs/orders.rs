//! What people order send jobs to do; and what they ask of them.

use std::sync::Arc;

use palomar_broker::{Control, ControlError, JobFilter};
use palomar_model::{SendJobOrder, SendJobState, Timestamp};
use palomar_records::{Page, SendJobFilter, SendJobRecord};
use serde::Serialize;

use super::view::SendJobView;
use crate::messages::MAX_PAGE;
use crate::queues::outbound_queue;
use crate::{App, AppError, Caller};

/// So often an order is tried again where somebody else changed the job meanwhile.
const TRIES: usize = 8;

/// What is answered to an order.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SendJobAnswer {
    /// Attempts that had started and are under way.
    pub in_flight: u64,
    /// The job.
    #[serde(flatten)]
    pub job: SendJobView,
}

const fn gone() -> AppError {
    AppError::NotFound("send job")
}

impl App {
    async fn send_job_of(&self, id: &str, caller: &Caller) -> Result<SendJobRecord, AppError> {
        let found = self.records.send_job(id).await?.ok_or(gone())?;
        // A pool is used by whoever may use all of it.
        let lines = self.lines_of(&found.channel);
        let may = caller.may_use(&found.channel)
            || (!lines.is_empty() && lines.iter().all(|line| caller.may_use(&line.name)));
        if may { Ok(found) } else { Err(gone()) }
    }

    /// A send job and how far it is.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use its channel.
    pub async fn send_job(&self, id: &str, caller: &Caller) -> Result<SendJobView, AppError> {
        let job = self.send_job_of(id, caller).await?;
        self.send_job_view(job).await
    }

    /// A page of send jobs, the newest first.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for a cursor of another list.
    pub async fn send_jobs(
        &self,
        mut filter: SendJobFilter,
        cursor: Option<&str>,
        limit: usize,
        caller: &Caller,
    ) -> Result<Page<SendJobView>, AppError> {
        if !caller.narrow(&mut filter.channels) {
            return Ok(Page { items: Vec::new(), next_cursor: None });
        }
        let page = self.records.send_jobs(filter, cursor, limit.clamp(1, MAX_PAGE)).await?;
        let mut items = Vec::with_capacity(page.items.len());
        for job in page.items {
            items.push(self.send_job_view(job).await?);
        }
        Ok(Page { items, next_cursor: page.next_cursor })
    }

    /// Pauses a send job: when this has answered, none of its messages starts.
    ///
    /// # Errors
    /// One that has ended.
    pub async fn pause_send_job(&self, id: &str, caller: &Caller) -> Result<SendJobAnswer, AppError> {
        self.order_send_job(id, SendJobOrder::Pause, caller).await
    }

    /// Lets a send job go on.
    ///
    /// # Errors
    /// One that has ended.
    pub async fn resume_send_job(&self, id: &str, caller: &Caller) -> Result<SendJobAnswer, AppError> {
        self.order_send_job(id, SendJobOrder::Resume, caller).await
    }

    /// Ends a send job: when this has answered, none of its messages starts, and what waits is called off.
    ///
    /// # Errors
    /// One that has ended by itself.
    pub async fn cancel_send_job(&self, id: &str, caller: &Caller) -> Result<SendJobAnswer, AppError> {
        self.order_send_job(id, SendJobOrder::Cancel, caller).await
    }

    /// Forgets send jobs that ended before a time; how many. Their messages stay.
    ///
    /// # Errors
    /// Where the records can't be written.
    pub async fn clean_send_jobs(&self, before: Timestamp) -> Result<u64, AppError> {
        Ok(self.records.clean_send_jobs(before).await?)
    }

    async fn order_send_job(
        &self,
        id: &str,
        order: SendJobOrder,
        caller: &Caller,
    ) -> Result<SendJobAnswer, AppError> {
        // The keeper lets groups go, too: one at a time says what holds.
        let _control = self.send_jobs.control.lock().await;
        for _ in 0..TRIES {
            let job = self.send_job_of(id, caller).await?;
            let state = job.state.after(order).map_err(|error| AppError::wrong_state(error.to_string()))?;
            let same = state == job.state;
            let job = if same { Some(job) } else { self.move_send_job(job, state).await? };
            let Some(job) = job else { continue };
            let in_flight = if same && job.state.has_ended() { 0 } else { self.hold(&job).await? };
            if job.state == SendJobState::Cancelled && job.live {
                self.call_off(&job).await?;
            }
            self.send_jobs.wake.notify_one();
            return Ok(SendJobAnswer { in_flight, job: self.send_job_view(job).await? });
        }
        Err(AppError::Unavailable("the send job is being changed by others; try again".to_owned()))
    }

    /// Writes down where a job stands from now on; nothing where somebody else changed it meanwhile.
    pub(super) async fn move_send_job(
        &self,
        job: SendJobRecord,
        state: SendJobState,
    ) -> Result<Option<SendJobRecord>, AppError> {
        let now = self.now();
        let ended_at = if state.has_ended() { Some(now) } else { None };
        let started_at = job.started_at.or((state == SendJobState::Running).then_some(now));
        // One that is called off is looked after until nothing of it moves any more.
        let live = !state.has_ended() || state == SendJobState::Cancelled;
        let next = SendJobRecord { state, live, started_at, ended_at, updated_at: now, ..job };
        Ok(self.records.change_send_job(next, Vec::new()).await?)
    }

    /// Makes the queues do what a job's state says: its group is held, or not. How many attempts are under way.
    pub(super) async fn hold(&self, job: &SendJobRecord) -> Result<u64, AppError> {
        let held = matches!(job.state, SendJobState::Paused | SendJobState::Cancelled);
        let mut in_flight = 0;
        for line in self.lines_of(&job.channel) {
            let (queue, group): (_, Arc<str>) = (outbound_queue(&line.name)?, job.id.as_str().into());
            let control = if held {
                Control::PauseGroup { queue, group }
            } else {
                Control::ResumeGroup { queue, group }
            };
            match self.broker.control(control).await? {
                Ok(done) => in_flight += done.in_flight,
                Err(ControlError::NoQueue(_)) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(in_flight)
    }

    /// Calls off all that waits of a job; how much that was, and how much is under way.
    pub(super) async fn call_off(&self, job: &SendJobRecord) -> Result<u64, AppError> {
        let filter = JobFilter { group: Some(job.id.as_str().into()), ..JobFilter::default() };
        let done = self.broker.control(Control::CancelAll(filter)).await??;
        Ok(done.changed + done.in_flight)
    }
}
