//! The queues: numbers, and the hand on the valve.

use std::time::Duration;

use axum::Extension;
use axum::extract::State;
use axum::http::Uri;
use palomar_app::{Caller, ControlView};
use palomar_broker::JobState;
use serde::Deserialize;
use serde_json::json;
use utoipa::ToSchema;

use crate::access::unbound;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, Shared, ok};

/// Show the queues in numbers
#[utoipa::path(
    get, path = "/api/queue-monitor/stats", tag = "queues", operation_id = "queueStats",
    responses((status = 200, description = "Totals, and each queue", body = schema::QueueStats), schema::Errors),
)]
pub(crate) async fn stats(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    Params::none(&uri)?;
    ok(&api.app.queue_stats(&caller).await?)
}

/// What a command did to queues; how many jobs under a word of its own.
fn done(word: &str, view: &ControlView) -> Answer {
    ok(&json!({"queues": view.queues, word: view.changed, "inFlight": view.in_flight}))
}

/// The queue that is meant: `?queue=outbound/demo`, or `?queue=demo` for a channel's. Without one all are meant, which
/// a key that is bound to channels may not.
fn chosen(params: &mut Params, caller: &Caller) -> Result<Option<String>, Problem> {
    let Some(text) = params.text("queue")? else {
        unbound(caller)?;
        return Ok(None);
    };
    named(text, caller).map(Some)
}

/// A queue that the caller may see. Every queue is named after its channel.
fn named(text: String, caller: &Caller) -> Result<String, Problem> {
    let channel = text.rsplit('/').next().unwrap_or_default().parse();
    if channel.is_ok_and(|channel| caller.may_use(&channel)) {
        Ok(text)
    } else {
        Err(Problem::not_found("queue"))
    }
}

/// Why a queue is paused.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct PauseReason {
    /// For people; shown wherever the pause is.
    pub(crate) reason: Option<String>,
}

impl PauseReason {
    /// The reason, or who paused.
    pub(crate) fn text(self, caller: &Caller) -> Result<String, Problem> {
        match self.reason {
            Some(reason) if reason.chars().count() > 200 => {
                Err(Problem::invalid_at("/reason", "must have at most 200 characters"))
            }
            Some(reason) if !reason.trim().is_empty() => Ok(reason),
            _ => Ok(format!("paused by {}", caller.name)),
        }
    }
}

/// Pause queues
///
/// When this has answered, no further attempt starts. The answer says how many are in flight.
#[utoipa::path(
    post, path = "/api/queue-monitor/pause", tag = "queues", operation_id = "pauseQueues",
    params(("queue" = Option<String>, Query, description = "This queue only, or this channel's")),
    request_body(content = Option<PauseReason>),
    responses((status = 200, description = "Paused", body = schema::Paused), schema::Errors),
)]
pub(crate) async fn pause(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    uri: Uri,
    body: JsonBytes,
) -> Answer {
    let mut params = Params::of(&uri)?;
    let queue = chosen(&mut params, &caller)?;
    params.finish()?;
    let reason = body.typed_or_default::<PauseReason>()?.text(&caller)?;
    done("paused", &api.app.pause(queue.as_deref(), &reason).await?)
}

/// Resume queues
#[utoipa::path(
    post, path = "/api/queue-monitor/resume", tag = "queues", operation_id = "resumeQueues",
    params(("queue" = Option<String>, Query, description = "This queue only, or this channel's")),
    responses((status = 200, description = "Resumed", body = schema::Resumed), schema::Errors),
)]
pub(crate) async fn resume(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let queue = chosen(&mut params, &caller)?;
    params.finish()?;
    done("resumed", &api.app.resume(queue.as_deref()).await?)
}

/// Clear queues
///
/// Cancels all that waits. Needs `confirm=true`.
#[utoipa::path(
    delete, path = "/api/queue-monitor/clear", tag = "queues", operation_id = "clearQueues",
    params(
        ("queue" = Option<String>, Query, description = "This queue only, or this channel's"),
        ("confirm" = bool, Query, description = "Must be `true`"),
    ),
    responses((status = 200, description = "Cleared", body = schema::Cleared), schema::Errors),
)]
pub(crate) async fn clear(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let queue = chosen(&mut params, &caller)?;
    confirmed(&mut params)?;
    params.finish()?;
    done("cleared", &api.app.clear(queue.as_deref()).await?)
}

/// Refuses what can't be taken back unless `?confirm=true` is given.
pub(crate) fn confirmed(params: &mut Params) -> Result<(), Problem> {
    if params.flag("confirm")? {
        Ok(())
    } else {
        Err(Problem::new(Code::ConfirmRequired, "This can't be taken back: add `confirm=true` to the query."))
    }
}

/// Which finished jobs are forgotten.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Cleaning {
    /// Of this queue only, or of this channel's.
    queue: Option<String>,
    /// Only those that ended longer ago, for example `5s`, `1h 30m`, `7d`.
    older_than: Option<String>,
    /// `completed`, `failed`, `cancelled`, `expired`; all but `failed` where none is named.
    #[serde(default)]
    #[schema(value_type = Vec<String>)]
    states: Vec<Finished>,
    /// So many of each queue and state are kept.
    #[serde(default)]
    keep: usize,
}

#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Finished {
    Completed,
    Failed,
    Cancelled,
    Expired,
}

impl From<Finished> for JobState {
    fn from(state: Finished) -> JobState {
        match state {
            Finished::Completed => JobState::Done,
            Finished::Failed => JobState::Dead,
            Finished::Cancelled => JobState::Cancelled,
            Finished::Expired => JobState::Expired,
        }
    }
}

/// Clean queues
///
/// Forgets finished jobs. Their messages stay in the records.
#[utoipa::path(
    post, path = "/api/queue-monitor/clean", tag = "queues", operation_id = "cleanQueues",
    request_body(content = Option<Cleaning>),
    responses((status = 200, description = "Cleaned", body = schema::Cleaned), schema::Errors),
)]
pub(crate) async fn clean(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    body: JsonBytes,
) -> Answer {
    let Cleaning { queue, older_than, states, keep } = body.typed_or_default()?;
    let queue = queue.map(|queue| named(queue, &caller)).transpose()?;
    let age = older_than.as_deref().map_or(Ok(Duration::ZERO), span)?;
    let states: Vec<JobState> = match states.as_slice() {
        [] => vec![JobState::Done, JobState::Cancelled, JobState::Expired],
        states => states.iter().copied().map(JobState::from).collect(),
    };
    done("cleaned", &api.app.clean(queue.as_deref(), &states, age, keep).await?)
}

/// A span of time as people write it; a day has 24 hours.
fn span(text: &str) -> Result<Duration, Problem> {
    let read = || -> Result<Duration, jiff::Error> {
        let span: jiff::Span = text.parse()?;
        Duration::try_from(span.to_duration(jiff::SpanRelativeTo::days_are_24_hours())?)
    };
    read().map_err(|_| Problem::invalid_at("/olderThan", "must be a span of time such as 5s, 1h 30m or 7d"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_read() {
        for (text, seconds) in [("0s", 0), ("5s", 5), ("1h 30m", 5400), ("7d", 604_800), ("1500ms", 1)] {
            assert_eq!(span(text).map(|span| span.as_secs()), Ok(seconds), "{text}");
        }
        for bad in ["", "5", "soon", "-5s", "1 month"] {
            assert!(span(bad).is_err(), "{bad}");
        }
    }
}
