//! From rows to answers: one chunk, one durable step.

use palomar_app::{Caller, IdempotencyKey, RowInput};
use palomar_model::{MessageId, MessageState};
use serde::Serialize;
use utoipa::ToSchema;

use super::RawRow;
use crate::message;
use crate::problem::{Problem, ProblemDocument};
use crate::state::Api;

/// What became of one row.
#[derive(Debug, Serialize, ToSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct RowAnswer<'a> {
    /// Which row, counted from 1; not there where the request ended before its last row.
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<u64>,
    /// The line of the upload on which it begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<u64>,
    /// The message, where it was accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<uuid::Uuid>)]
    id: Option<MessageId>,
    /// `queued` or `scheduled`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(value_type = Option<String>)]
    status: Option<MessageState>,
    /// The row was accepted by an earlier request.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    replayed: bool,
    /// Why it was not accepted.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<ProblemDocument<'a>>,
}

/// What became of one row, before it is written.
#[derive(Debug)]
pub(crate) struct Answered {
    row: u64,
    line: u64,
    result: Result<(MessageId, MessageState, bool), Problem>,
}

impl Answered {
    /// As an answer; `lines` says whether the upload has lines.
    pub(crate) fn view(&self, lines: bool) -> RowAnswer<'_> {
        let line = lines.then_some(self.line);
        let row = Some(self.row);
        match &self.result {
            Ok((id, status, replayed)) => RowAnswer {
                row,
                line,
                id: Some(*id),
                status: Some(*status),
                replayed: *replayed,
                error: None,
            },
            Err(problem) => RowAnswer { row, line, ..RowAnswer::failed(problem) },
        }
    }
}

impl<'a> RowAnswer<'a> {
    /// The request ended here.
    pub(crate) fn failed(problem: &'a Problem) -> RowAnswer<'a> {
        let error = Some(problem.document(None, None));
        RowAnswer { row: None, line: None, id: None, status: None, replayed: false, error }
    }
}

/// Submits one chunk, of at most [`palomar_app::MAX_BATCH`] rows.
pub(crate) async fn submit(
    api: &Api,
    caller: &Caller,
    key: Option<&IdempotencyKey>,
    chunk: Vec<RawRow>,
) -> Result<Vec<Answered>, Problem> {
    let region = api.app.default_region();
    let mut answers = Vec::with_capacity(chunk.len());
    let mut good = Vec::with_capacity(chunk.len());
    for RawRow { row, line, hash, value } in chunk {
        let message = value.and_then(|value| message::read(&value, region));
        match message {
            Ok(message) => {
                good.push((line, RowInput { row: row - 1, body_hash: hash, message: Ok(message) }));
            }
            Err(problem) => answers.push(Answered { row, line, result: Err(problem) }),
        }
    }
    if !good.is_empty() {
        let (lines, good): (Vec<_>, Vec<_>) = good.into_iter().unzip();
        let results = api.app.submit_batch(good, caller, key).await?;
        answers.extend(results.into_iter().zip(lines).map(|(result, line)| Answered {
            row: result.row + 1,
            line,
            result: result.result.map(|ok| (ok.id, ok.status, ok.replayed)).map_err(Problem::from),
        }));
        answers.sort_unstable_by_key(|answer| answer.row);
    }
    api.metrics.rows(answers.len());
    Ok(answers)
}
