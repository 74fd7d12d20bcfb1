//! Files that are taken in and given out: bodies of any length, a piece at a time.
//!
//! What always holds: what is wrong with a file as a whole, before anything of it was told, is the request's error; after
//! that the answer ends with a line that has an `error`. Nothing is held but a piece.

use std::time::Duration;

use axum::body::Body;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use palomar_app::{AppError, FileKind, Import, ImportLine};
use palomar_model::FieldError;
use serde::Serialize;

use crate::body::media_type;
use crate::problem::{Code, Problem, ProblemDocument};
use crate::state::{Answer, bytes};

/// A client that sends nothing for so long is given up.
const IDLE: Duration = Duration::from_secs(60);

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// What a file says it is.
pub(crate) fn kind(headers: &HeaderMap) -> Result<FileKind, Problem> {
    match media_type(headers).as_str() {
        "text/csv" | "text/tab-separated-values" | "text/plain" => Ok(FileKind::Csv),
        XLSX => Ok(FileKind::Xlsx),
        _ => {
            let detail = format!("Send text/csv, or {XLSX}.");
            Err(Problem::new(Code::UnsupportedMediaType, detail))
        }
    }
}

/// A body as the application reads it.
pub(crate) fn body(body: Body) -> palomar_app::Body {
    let broken = |why: &str| AppError::Invalid(vec![FieldError::new("", why)]);
    let pieces = stream::unfold(Some(body.into_data_stream()), move |body| async move {
        let mut body = body?;
        match tokio::time::timeout(IDLE, body.next()).await {
            Ok(None) => None,
            Ok(Some(Ok(piece))) => Some((Ok(piece), Some(body))),
            Ok(Some(Err(_))) => {
                Some((Err(broken("the file broke off: send it again, nothing is taken twice")), None))
            }
            Err(_) => Some((Err(broken("nothing more of the file arrived for 60 seconds")), None)),
        }
    });
    Box::pin(pieces)
}

/// A line of the answer to an upload.
#[derive(Serialize)]
#[serde(rename_all = "camelCase", untagged)]
enum Line<'a> {
    Told(&'a ImportLine),
    Failed { error: ProblemDocument<'a> },
}

fn written(lines: &[Line<'_>]) -> Bytes {
    let mut text = Vec::new();
    for line in lines {
        // Writing plain values into memory does not fail.
        if serde_json::to_writer(&mut text, line).is_ok() {
            text.push(b'\n');
        }
    }
    Bytes::from(text)
}

/// Takes a file in, and tells as NDJSON what becomes of it.
pub(crate) async fn import(mut import: Import) -> Answer {
    let told = |lines: &[ImportLine]| written(&lines.iter().map(Line::Told).collect::<Vec<_>>());
    let first = import.next().await?.unwrap_or_default();
    let rest = stream::unfold(Some(import), move |import| async move {
        let mut import = import?;
        match import.next().await {
            Ok(None) => None,
            Ok(Some(lines)) => Some((told(&lines), Some(import))),
            Err(error) => {
                let problem = Problem::from(error);
                let line = Line::Failed { error: problem.document(None, None) };
                Some((written(&[line]), None))
            }
        }
    });
    let all = stream::iter([told(&first)]).chain(rest).map(Ok::<_, std::convert::Infallible>);
    Ok(bytes(StatusCode::OK, "application/x-ndjson", Body::from_stream(all)))
}

/// Gives a CSV out, a piece at a time. A piece that can't be made breaks the answer off: it must not look whole.
pub(crate) fn export(name: &str, csv: palomar_app::Body) -> Answer {
    let pieces = csv.map(|piece| piece.map_err(|error| std::io::Error::other(error.to_string())));
    let mut response = bytes(StatusCode::OK, "text/csv; charset=utf-8", Body::from_stream(pieces));
    if let Ok(disposition) = HeaderValue::from_str(&format!("attachment; filename=\"{name}\"")) {
        response.headers_mut().insert(header::CONTENT_DISPOSITION, disposition);
    }
    Ok(response)
}
