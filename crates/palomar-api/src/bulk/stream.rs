//! A body of any length: read, submitted and answered chunk by chunk.

use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, BodyDataStream};
use bytes::Bytes;
use futures_util::{FutureExt as _, StreamExt as _, stream};
use palomar_app::{Caller, IdempotencyKey, MAX_BATCH};

use super::answers::submit;
use super::{RawRow, Reader, RowAnswer};
use crate::problem::{Code, Problem};
use crate::state::Api;

/// A client that sends nothing for so long is given up.
const IDLE: Duration = Duration::from_secs(60);

struct Flow {
    api: Arc<Api>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    body: BodyDataStream,
    reader: Box<dyn Reader>,
    rows: Vec<RawRow>,
    ended: bool,
}

/// Submits the rows of `body`; the answers as NDJSON. Errors only before the first row is answered.
pub(crate) async fn submit_stream(
    api: Arc<Api>,
    caller: Caller,
    key: Option<IdempotencyKey>,
    reader: Box<dyn Reader>,
    body: Body,
) -> Result<Body, Problem> {
    let body = body.into_data_stream();
    let mut flow = Flow { api, caller, key, body, reader, rows: Vec::new(), ended: false };
    let first = flow.answer().await?;
    let rest = stream::unfold((flow, false), async |(mut flow, stopped)| {
        if stopped {
            return None;
        }
        match flow.answer().await {
            Ok(answers) => answers.map(|answers| (answers, (flow, false))),
            Err(problem) => {
                let mut line = Vec::new();
                write_line(&mut line, &RowAnswer::failed(&problem));
                Some((Bytes::from(line), (flow, true)))
            }
        }
    });
    let all = stream::iter(first).chain(rest).map(Ok::<_, std::convert::Infallible>);
    Ok(Body::from_stream(all))
}

impl Flow {
    /// The answers of the next chunk; none at the end.
    async fn answer(&mut self) -> Result<Option<Bytes>, Problem> {
        let chunk = self.chunk().await?;
        if chunk.is_empty() {
            return Ok(None);
        }
        let answers = submit(&self.api, &self.caller, self.key.as_ref(), chunk).await?;
        let mut lines = Vec::with_capacity(answers.len() * 96);
        for answer in &answers {
            write_line(&mut lines, &answer.view(true));
        }
        Ok(Some(Bytes::from(lines)))
    }

    /// Rows to submit together: as many as fit, or what is there when the client pauses. Empty at the end only.
    async fn chunk(&mut self) -> Result<Vec<RawRow>, Problem> {
        while self.rows.len() < MAX_BATCH && !self.ended {
            let piece = if self.rows.is_empty() {
                let piece = tokio::time::timeout(IDLE, self.body.next()).await;
                piece
                    .map_err(|_| Problem::new(Code::RequestTimeout, "Nothing more arrived for 60 seconds."))?
            } else {
                match self.body.next().now_or_never() {
                    Some(piece) => piece,
                    None => break,
                }
            };
            match piece {
                Some(Ok(piece)) => self.reader.push(&piece, &mut self.rows)?,
                Some(Err(_)) => return Err(Problem::new(Code::BadRequest, "The body broke off.")),
                None => {
                    self.reader.finish(&mut self.rows)?;
                    self.ended = true;
                }
            }
        }
        let rest = self.rows.split_off(self.rows.len().min(MAX_BATCH));
        Ok(std::mem::replace(&mut self.rows, rest))
    }
}

fn write_line(out: &mut Vec<u8>, answer: &RowAnswer<'_>) {
    // Writing plain values into memory does not fail.
    if serde_json::to_writer(&mut *out, answer).is_ok() {
        out.push(b'\n');
    }
}
