//! A further attempt, ordered by a person: of a job that the queue still has, or of a message whose job is over.

use std::time::Duration;

use palomar_broker::{Control, JobFilter, JobState};
use palomar_model::{MessageId, MessageState};
use palomar_records::StoredMessage;

use crate::messages::wrong_state;
use crate::submit::job_of;
use crate::{App, AppError, Caller, StateView, identity};

/// Records get so long to have all that was logged: how many attempts there were must be certain.
const RECORDS_WAIT: Duration = Duration::from_secs(5);

impl App {
    /// Orders a further attempt of a dead letter, of an uncertain message, or of one that the provider took and then
    /// reported as failed.
    ///
    /// # Errors
    /// A conflict (`wrong_state`) for any other.
    pub async fn retry(&self, id: MessageId, caller: &Caller) -> Result<StateView, AppError> {
        match self.broker.job(id).await? {
            Some((job, _)) if matches!(job.state, JobState::Dead | JobState::Uncertain) => {
                self.own_job(id, caller).await?;
                self.order(Control::RetryDead { id }).await?;
            }
            Some((job, _)) if job.state != JobState::Done => {
                self.own_job(id, caller).await?;
                return Err(wrong_state(job.state));
            }
            // What is done or forgotten is for records to tell.
            _ => self.queue_anew(id, caller).await?,
        }
        Ok(StateView { id, status: MessageState::Queued })
    }

    /// Makes a new job of a message that failed after its job was over.
    async fn queue_anew(&self, id: MessageId, caller: &Caller) -> Result<(), AppError> {
        self.caught_up(RECORDS_WAIT).await?;
        let found = self.records.stored(vec![id]).await?.pop();
        let Some((_, Some(StoredMessage { message, state, attempts }))) = found else {
            return Err(AppError::NotFound("message"));
        };
        if !caller.may_use(&message.channel) {
            return Err(AppError::NotFound("message"));
        }
        if state != MessageState::Failed {
            return Err(AppError::wrong_state(format!("it is {state}, which does not allow this")));
        }
        if message.expires_at.is_some_and(|end| end <= self.now()) {
            return Err(AppError::wrong_state("its expiresAt has passed"));
        }
        let line = self
            .registry
            .get(&message.channel)
            .ok_or_else(|| AppError::wrong_state("its channel does not work"))?;
        let unwritable = |error: serde_json::Error| AppError::Unavailable(error.to_string());
        let mut job = job_of(&message, &line, attempts, caller.trace).map_err(unwritable)?;
        job.run_at = None;
        job.dedupe = vec![identity::of_retry(id, attempts)];
        self.forget_done(id).await?;
        // Where the same was ordered at the same time, this changes nothing.
        self.broker.enqueue(vec![job]).await?;
        self.show_order().await;
        Ok(())
    }

    /// Makes the queue forget a finished job: it is kept only to be looked at, and stays in records.
    async fn forget_done(&self, id: MessageId) -> Result<(), AppError> {
        let Some((job, _)) = self.broker.job(id).await? else {
            return Ok(());
        };
        if job.state == JobState::Done {
            let filter = JobFilter { id: Some(job.id), states: vec![JobState::Done], ..JobFilter::default() };
            self.broker.control(Control::Clean { filter, keep: 0 }).await??;
        }
        Ok(())
    }
}
