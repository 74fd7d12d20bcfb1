//! Files of contacts and suppressions, on their way to the server and back: streamed, told row by row.

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::StreamExt as _;
use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_util::io::ReaderStream;

use super::bulk::{Opened, bar, lines, open};
use super::number;
use crate::cli::Context;
use crate::client::{Client, Query, problem_text};
use crate::failure::Failure;
use crate::output::{Tone, visible};

const XLSX: &str = "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet";

/// What a file is: by how it begins.
fn media_type(head: &[u8]) -> &'static str {
    if head.starts_with(b"PK\x03\x04") { XLSX } else { "text/csv" }
}

/// Sends a file; refused rows are printed, and what became of the others at the end.
pub(super) async fn import(
    context: &Context,
    client: &Client,
    path: &str,
    query: Query<'_>,
    file: &Path,
) -> Result<(), Failure> {
    let out = context.out;
    let Opened { head, source, size } = open(file).await?;
    let kind = media_type(&head);
    let bar = bar(out, size);
    let progress = bar.clone();
    let body = ReaderStream::with_capacity(Cursor::new(head).chain(source), 64 << 10).inspect(move |chunk| {
        progress.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
    });
    let request = client
        .request(reqwest::Method::POST, path, query)?
        .header("Content-Type", kind)
        .body(reqwest::Body::wrap_stream(body));
    // A file keeps coming; who pipes may take their time.
    let patience = if size.is_some() { client.timeout() } else { Duration::from_secs(24 * 3600) };
    let mut done = None;
    let mut said = String::new();
    let response = client.send(request).await?;
    let each = |line: &[u8]| {
        let line: Value = serde_json::from_slice(line)
            .map_err(|_| Failure::new("an answer is not JSON: this does not talk like a Palomar server"))?;
        if out.json {
            bar.suspend(|| out.line(&line));
        }
        if let Some(error) = line.get("error") {
            let what = problem_text(error).unwrap_or_else(|| "it does not say why".to_owned());
            return Err(Failure::new(format!("the server stopped taking rows: {what}"))
                .help("Send the same file again: rows that were taken are not taken twice."));
        }
        if let Some(refused) = line.get("refused").filter(|_| !out.json) {
            bar.suspend(|| out.line(visible(&refusal(refused))));
        }
        if let Some(counts) = line.get("done").or_else(|| line.get("progress")) {
            said = format!("{} rows, {} refused", number(counts, "rows"), number(counts, "refused"));
        }
        done = line.get("done").cloned().or(done.take());
        Ok(said.clone())
    };
    let ended = lines(&bar, response, patience, each).await;
    bar.finish_and_clear();
    ended?;
    let done = done.ok_or_else(|| {
        Failure::new("the answer broke off")
            .help("Send the same file again: rows that were taken are not taken twice.")
    })?;
    if out.json {
        out.talk(summary(context, &done));
    } else {
        out.line(summary(context, &done));
    }
    Ok(())
}

fn refusal(refused: &Value) -> String {
    let (line, detail) = (number(refused, "line"), refused["detail"].as_str().unwrap_or_default());
    match refused["column"].as_str() {
        Some(column) => format!("line {line}, {column}: {detail}"),
        None => format!("line {line}: {detail}"),
    }
}

fn summary(context: &Context, done: &Value) -> String {
    let refused = number(done, "refused");
    let tone = if refused > 0 { Tone::Bad } else { Tone::Dim };
    let kept = ["added", "changed", "unchanged", "duplicates"]
        .into_iter()
        .map(|what| (what, number(done, what)))
        .filter(|(what, count)| *count > 0 || *what == "added")
        .map(|(what, count)| format!("{count} {what}"));
    format!(
        "{} rows: {}, {}",
        number(done, "rows"),
        context.out.paint(Tone::Good, kept.collect::<Vec<_>>().join(", ")),
        context.out.paint(tone, format_args!("{refused} refused"))
    )
}

/// Fetches a CSV into a file, or to standard output.
pub(super) async fn export(
    context: &Context,
    client: &Client,
    path: &str,
    query: Query<'_>,
    file: Option<&PathBuf>,
) -> Result<(), Failure> {
    let mut response = client.send(client.request(reqwest::Method::GET, path, query)?).await?;
    let failed = |error: std::io::Error| Failure::new(format!("can't write it: {error}"));
    let mut to: Box<dyn tokio::io::AsyncWrite + Unpin> =
        match file {
            Some(file) if file.as_os_str() != "-" => {
                let created = tokio::fs::File::create(file).await;
                Box::new(created.map_err(|error| {
                    Failure::wrong_use(format!("can't write {}: {error}", file.display()))
                })?)
            }
            _ => Box::new(tokio::io::stdout()),
        };
    let mut rows = 0_usize;
    loop {
        let broken = |error| Failure::new(format!("the answer broke off, and is not whole: {error}"));
        let Some(piece) = response.chunk().await.map_err(broken)? else { break };
        rows += piece.iter().filter(|byte| **byte == b'\n').count();
        to.write_all(&piece).await.map_err(failed)?;
    }
    to.flush().await.map_err(failed)?;
    if let Some(file) = file {
        context.out.talk(format_args!("{}: {} lines", file.display(), rows.saturating_sub(1)));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn files_and_refusals_are_told_apart() {
        assert_eq!(media_type(b"PK\x03\x04rest"), XLSX);
        assert_eq!(media_type(b"phone;name"), "text/csv");
        let row = json!({"line": 3, "column": "phone", "detail": "has no country code"});
        assert_eq!(refusal(&row), "line 3, phone: has no country code");
        assert_eq!(refusal(&json!({"line": 4, "detail": "x"})), "line 4: x");
    }
}
