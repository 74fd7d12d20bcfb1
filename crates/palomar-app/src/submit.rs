//! Taking messages in: checked, given an identity, and durable before anybody is told "accepted".

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Dedupe, Enqueued, Key, NewJob};
use palomar_model::{ChannelName, FieldError, MessageId, MessageState, Outbound, Timestamp, TraceId};
use serde::Serialize;

use crate::channels::Line;
use crate::identity::{self, IdempotencyKey, Identities, KEY_TTL};
use crate::payload;
use crate::{App, AppError, Caller, NewMessage};

/// A batch has at most so many rows.
pub const MAX_BATCH: usize = 500;

/// A message that was accepted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Submitted {
    /// Its id.
    pub id: MessageId,
    /// `queued` or `scheduled`; `expired` where a request that carries a key came after the message's end.
    pub status: MessageState,
    /// Whether this request came before: nothing was done again.
    #[serde(skip)]
    pub replayed: bool,
}

/// A row of a batch.
#[derive(Clone, Debug, PartialEq)]
pub struct RowInput {
    /// Its number, unique in the whole request.
    pub row: u64,
    /// The [`crate::fingerprint`] of what it said.
    pub body_hash: u64,
    /// The message, or what is wrong with it.
    pub message: Result<NewMessage, Vec<FieldError>>,
}

/// What became of a row.
#[derive(Clone, Debug)]
pub struct RowResult {
    /// Its number.
    pub row: u64,
    /// What became of it.
    pub result: Result<Submitted, AppError>,
}

/// A message that is ready to be queued.
pub(crate) struct Prepared {
    pub(crate) job: NewJob,
    pub(crate) times: Times,
    /// The client gave the id.
    pub(crate) given_id: bool,
    /// The request's key is its identity.
    pub(crate) by_key: bool,
    /// It came after its `expiresAt`.
    pub(crate) expired: bool,
    /// Channel and recipient.
    pub(crate) whom: (ChannelName, String),
    /// It belongs to a campaign.
    pub(crate) of_campaign: bool,
    /// The channel has a budget of new recipients.
    budgeted: bool,
}

/// The times that decide in which state a message is accepted.
#[derive(Clone, Copy)]
pub(crate) struct Times {
    scheduled_at: Option<Timestamp>,
    expires_at: Option<Timestamp>,
}

impl App {
    /// Takes one message in. When this has answered, the message is durable.
    ///
    /// # Errors
    /// What is wrong with it; whether the same request came before with another body; [`AppError::Full`] and
    /// [`AppError::Unavailable`], after which repeating the same request is safe.
    pub async fn submit(
        &self,
        message: NewMessage,
        body_hash: u64,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Submitted, AppError> {
        let row = RowInput { row: 0, body_hash, message: Ok(message) };
        let identities = Identities { caller, idempotency, rows: false };
        let mut results = self.take_in(vec![row], &identities).await?;
        match results.pop() {
            Some(answer) => answer.result,
            None => Err(AppError::Unavailable("the broker answered nothing".to_owned())),
        }
    }

    /// Takes up to [`MAX_BATCH`] messages in, durable together; answers in their order. With an idempotency key a row
    /// is known by the key and its number.
    ///
    /// # Errors
    /// An error of the whole batch: nothing of it was accepted, or that is not known; repeating it is safe.
    pub async fn submit_batch(
        &self,
        rows: Vec<RowInput>,
        caller: &Caller,
        idempotency: Option<&IdempotencyKey>,
    ) -> Result<Vec<RowResult>, AppError> {
        if rows.len() > MAX_BATCH {
            return Err(AppError::TooLarge("a batch has at most 500 rows"));
        }
        self.take_in(rows, &Identities { caller, idempotency, rows: true }).await
    }

    async fn take_in(
        &self,
        mut rows: Vec<RowInput>,
        identities: &Identities<'_>,
    ) -> Result<Vec<RowResult>, AppError> {
        self.look_for_channels(&rows).await;
        self.choose_lines(&mut rows).await?;
        let now = self.now();
        let mut results = Vec::with_capacity(rows.len());
        let mut prepared = Vec::with_capacity(rows.len());
        for row in rows {
            let number = row.row;
            let by_key = identities.of_row(number, row.body_hash);
            let ready = row
                .message
                .map_err(AppError::Invalid)
                .and_then(|message| self.prepare(message, by_key, identities.caller, now));
            let result = ready.map(|ready| prepared.push((results.len(), ready)));
            results.push(RowResult {
                row: number,
                // What is prepared gets its answer below.
                result: result.and(Err(AppError::Full)),
            });
        }
        // Identity goes before the clock: what was accepted is answered as it was then.
        let mut known = self.known_ids(&prepared, now).await?;
        prepared.retain(|(place, ready)| {
            let answer = known.remove(place).or_else(|| ready.too_late(now).map(Err));
            answer.map(|answer| results[*place].result = answer).is_none()
        });
        for (place, refused) in self.refuse_suppressed(&mut prepared).await {
            results[place].result = Err(refused);
        }
        self.spare_budgets(&mut prepared, now).await;
        if !prepared.is_empty() {
            let jobs = prepared.iter().map(|(_, ready)| ready.job.clone()).collect();
            let answers = self.broker.enqueue(jobs).await.map_err(AppError::from);
            self.note_room(&answers);
            let answers = answers?;
            for ((place, ready), answer) in prepared.iter().zip(answers) {
                results[*place].result = self.answered(answer, ready, now).await;
            }
        }
        Ok(results)
    }

    /// A channel that is not known here may just have been made on another node.
    async fn look_for_channels(&self, rows: &[RowInput]) {
        let mut named = rows.iter().filter_map(|row| row.message.as_ref().ok()?.channel.as_ref());
        if named.any(|name| self.lines_of(name).is_empty())
            && let Err(error) = self.setup.take_in().await
        {
            tracing::debug!(%error, "whether another node made a channel is not known now");
        }
    }

    /// Checks a message and makes a job of it.
    fn prepare(
        &self,
        message: NewMessage,
        by_key: Option<Dedupe>,
        caller: &Caller,
        now: Timestamp,
    ) -> Result<Prepared, AppError> {
        let line = self.line_for(&message, caller)?;
        let mut errors = line.channel.validate(&message.to, &message.content);
        if message.reply_to.is_some() && !line.channel.can_quote() {
            errors.push(FieldError::new("/replyTo", "this provider can't show what a message answers"));
        }
        if !errors.is_empty() {
            return Err(AppError::Invalid(errors));
        }
        let given_id = message.id.is_some();
        let id = message.id.unwrap_or_else(|| self.ids.message_id(now));
        let outbound = message.into_outbound(id, line.name.clone(), now);
        let unwritable = |error: serde_json::Error| AppError::invalid("", error.to_string());
        let by_id = given_id.then(|| identity::of_message(&outbound)).transpose().map_err(unwritable)?;
        let mut job = job_of(&outbound, &line, 0, caller.trace).map_err(unwritable)?;
        job.dedupe = by_key.into_iter().chain(by_id).collect();
        Ok(Prepared {
            job,
            times: Times { scheduled_at: outbound.scheduled_at, expires_at: outbound.expires_at },
            given_id,
            by_key: by_key.is_some(),
            budgeted: line.limits.budget.is_some(),
            of_campaign: outbound.campaign_id.is_some(),
            whom: (line.name.clone(), outbound.to.key()),
            expired: outbound.expires_at.is_some_and(|end| end <= now),
        })
    }

    /// Marks messages to whoever wrote lately: they are no new recipients. What is known at submission decides; a window
    /// that opens or closes before the message goes makes a place more or less in the budget, and a window that records
    /// can't tell of costs one.
    async fn spare_budgets(&self, prepared: &mut [(usize, Prepared)], now: Timestamp) {
        let budgeted = prepared.iter().filter(|(_, ready)| ready.budgeted);
        let whom: Vec<_> = budgeted.map(|(_, ready)| ready.whom.clone()).collect();
        if whom.is_empty() {
            return;
        }
        match self.records.windows_until(whom).await {
            Ok(windows) => {
                let budgeted = prepared.iter_mut().filter(|(_, ready)| ready.budgeted);
                for ((_, ready), until) in budgeted.zip(windows) {
                    let goes = ready.times.scheduled_at.map_or(now, |due| due.max(now));
                    ready.job.spends_budget = until.is_none_or(|until| until <= goes);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "open windows are not known: the messages count as to new recipients");
            }
        }
    }

    fn line_for(&self, message: &NewMessage, caller: &Caller) -> Result<Arc<Line>, AppError> {
        let line = match &message.channel {
            Some(name) => self.registry.get(name).ok_or("there is no such channel, or it does not work"),
            None => self.registry.only().ok_or("is missing, and there is not exactly one channel"),
        };
        // Whoever may not use a channel is not told that it exists.
        line.and_then(
            |line| {
                if caller.may_use(&line.name) { Ok(line) } else { Err("this key may not use it") }
            },
        )
        .map_err(|detail| AppError::invalid("/channel", detail))
    }

    async fn answered(
        &self,
        answer: Enqueued,
        ready: &Prepared,
        now: Timestamp,
    ) -> Result<Submitted, AppError> {
        let id = ready.job.id;
        match answer {
            Enqueued::Accepted => Ok(Submitted { id, status: ready.times.state(now), replayed: false }),
            Enqueued::Duplicate { of } if ready.given_id && of == id => self.known_job(ready, now).await,
            Enqueued::Duplicate { of } => Ok(replayed(of, &ready.times, None, now)),
            Enqueued::Conflict { of } => Err(AppError::IdempotencyMismatch { of }),
        }
    }
}

impl Prepared {
    /// Why it is not taken any more. A request with a key may repeat one that came in time, for as long as that is
    /// remembered: the broker tells. If it does not, the message expires at once, visibly.
    fn too_late(&self, now: Timestamp) -> Option<AppError> {
        let end = self.times.expires_at.filter(|_| self.expired)?;
        let may_repeat = self.by_key && now.since(end) < KEY_TTL;
        (!may_repeat).then(|| AppError::invalid("/expiresAt", "must be in the future"))
    }
}

impl Times {
    /// The state of a message that is accepted at `at`.
    fn state(&self, at: Timestamp) -> MessageState {
        if self.expires_at.is_some_and(|end| end <= at) {
            return MessageState::Expired;
        }
        MessageState::accepted(self.scheduled_at.is_some_and(|due| due > at))
    }
}

/// The job that sends a message, of which earlier jobs made so many attempts, in the trace that was named for it.
pub(crate) fn job_of(
    message: &Outbound,
    line: &Line,
    earlier_attempts: u32,
    trace: Option<TraceId>,
) -> serde_json::Result<NewJob> {
    let payload = payload::encode(message, earlier_attempts, trace)?;
    let mut job = NewJob::new(message.id, line.queue.clone(), payload);
    job.priority = message.priority;
    job.group = message.campaign_id.as_deref().map(Arc::from);
    job.key = Some(Key::of(&message.to.key()));
    job.run_at = message.scheduled_at;
    job.expires_at = message.expires_at;
    job.on_uncertain = crate::outbound::policy(message.on_uncertain.unwrap_or(line.on_uncertain));
    Ok(job)
}

/// The first answer again: the status is that of the time when the message was accepted, which its own id tells where
/// nothing else does.
pub(crate) fn replayed(
    id: MessageId,
    times: &Times,
    accepted_at: Option<Timestamp>,
    now: Timestamp,
) -> Submitted {
    let by_id = || {
        let (seconds, nanos) = id.0.get_timestamp()?.to_unix();
        let seconds = Timestamp::from_seconds(i64::try_from(seconds).ok()?);
        Some(seconds.after(Duration::from_nanos(u64::from(nanos))))
    };
    Submitted { id, status: times.state(accepted_at.or_else(by_id).unwrap_or(now)), replayed: true }
}
