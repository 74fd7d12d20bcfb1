//! `palomar send --file`: streams a file to the server and its answers back, row by row.
//!
//! What always holds: neither the file nor the answers are ever held whole; a refused row is told with its line; an
//! interruption is told with the key under which the same file can be sent again without sending a row twice.

use std::io::Cursor;
use std::path::Path;
use std::time::Duration;

use clap::ValueEnum;
use futures_util::StreamExt as _;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use palomar_model::Clock as _;
use serde_json::Value;
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio_util::io::ReaderStream;

use super::send::Flags;
use crate::cli::Context;
use crate::client::{Client, problem_text};
use crate::clock::SystemClock;
use crate::failure::{Exit, Failure};
use crate::output::{Output, Tone, visible};

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Format {
    /// A head and rows.
    Csv,
    /// One JSON object per line.
    Ndjson,
}

impl Format {
    const fn media_type(self) -> &'static str {
        match self {
            Format::Csv => "text/csv",
            Format::Ndjson => "application/x-ndjson",
        }
    }

    /// By the file's name, else by how it begins.
    fn guess(file: &Path, head: &[u8]) -> Format {
        let extension =
            file.extension().and_then(|extension| extension.to_str()).map(str::to_ascii_lowercase);
        match extension.as_deref() {
            Some("csv" | "tsv" | "txt") => Format::Csv,
            Some("ndjson" | "jsonl" | "json") => Format::Ndjson,
            _ if head.iter().find(|byte| !byte.is_ascii_whitespace()) == Some(&b'{') => Format::Ndjson,
            _ => Format::Csv,
        }
    }
}

/// The longest line of an answer that is read.
const LONGEST_LINE: usize = 1 << 20;

/// How many rows were answered how.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Counts {
    accepted: u64,
    refused: u64,
}

/// What one line of the answer says.
#[derive(Debug, PartialEq, Eq)]
enum Answer {
    Accepted,
    Refused(String),
    /// The server gave up: nothing of what follows was taken.
    Stopped(String),
}

/// Reads one line of the answer.
fn read(line: &Value) -> Answer {
    let error = &line["error"];
    if error.is_null() {
        return Answer::Accepted;
    }
    let what = problem_text(error).unwrap_or_else(|| "refused".to_owned());
    match (&line["line"], &line["row"]) {
        (Value::Null, Value::Null) => Answer::Stopped(what),
        (Value::Null, row) => Answer::Refused(format!("row {row}: {what}")),
        (at, _) => Answer::Refused(format!("line {at}: {what}")),
    }
}

/// Runs it.
pub(super) async fn run(
    context: &Context,
    client: &Client,
    flags: &Flags,
    file: &Path,
) -> Result<(), Failure> {
    let out = context.out;
    let Opened { head, source, size } = open(file).await?;
    let format = flags.format.unwrap_or_else(|| Format::guess(file, &head));
    let source = Cursor::new(head).chain(source);
    if format == Format::Ndjson && (flags.text.is_some() || flags.at.is_some() || flags.expires.is_some()) {
        return Err(Failure::wrong_use(
            "--text, --at and --expires fill the columns of a CSV file, not of NDJSON",
        ));
    }
    let key = flags.idempotency_key.clone().unwrap_or_else(|| {
        // Needs to differ from other runs, not to be secret.
        format!("cli-{}-{}", SystemClock.now().micros(), std::process::id())
    });
    let bar = bar(out, size);
    let progress = bar.clone();
    let body = ReaderStream::with_capacity(source, 64 << 10).inspect(move |chunk| {
        progress.inc(chunk.as_ref().map_or(0, |chunk| chunk.len() as u64));
    });
    let query = [
        ("channel", flags.channel.clone()),
        ("priority", flags.priority.clone()),
        ("text", flags.text.clone()),
        ("scheduledAt", flags.at.clone()),
        ("expiresAt", flags.expires.clone()),
    ];
    let request = client
        .request(reqwest::Method::POST, "/api/messages/bulk", &query)?
        .header("Content-Type", format.media_type())
        .header("Idempotency-Key", &key)
        .body(reqwest::Body::wrap_stream(body));
    let mut counts = Counts::default();
    // A file keeps coming; who types or pipes may take their time.
    let patience = if size.is_some() { client.timeout() } else { Duration::from_secs(24 * 3600) };
    let ended = match client.send(request).await {
        Ok(response) => {
            let each = |line: &[u8]| {
                one(out, &bar, line, &mut counts)?;
                Ok(format!("{} accepted, {} refused", counts.accepted, counts.refused))
            };
            lines(&bar, response, patience, each).await
        }
        Err(failure) => Err(failure),
    };
    bar.finish_and_clear();
    if out.json {
        out.talk(summary(out, counts));
    } else {
        out.line(summary(out, counts));
    }
    ended.map_err(|failure| {
        let again =
            format!("Send the rest with --idempotency-key {key}: rows that were taken are not sent twice.");
        let wrong = matches!(failure.exit, Exit::Refused | Exit::WrongUse)
            || counts == Counts::default() && failure.exit == Exit::Failed;
        if wrong { failure } else { failure.help(again) }
    })
}

fn summary(out: Output, counts: Counts) -> String {
    let refused = format!("{} refused", counts.refused);
    let tone = if counts.refused > 0 { Tone::Bad } else { Tone::Dim };
    format!(
        "{}, {}",
        out.paint(Tone::Good, format_args!("{} accepted", counts.accepted)),
        out.paint(tone, refused)
    )
}

/// A file that is read as it goes out.
pub(super) struct Opened {
    /// How it begins.
    pub(super) head: Vec<u8>,
    /// The rest of it.
    pub(super) source: Box<dyn AsyncRead + Send + Sync + Unpin>,
    /// How long it is, where that is known.
    pub(super) size: Option<u64>,
}

/// Opens a file, or standard input where it is `-`.
pub(super) async fn open(file: &Path) -> Result<Opened, Failure> {
    let failed =
        |error: std::io::Error| Failure::wrong_use(format!("can't read {}: {error}", file.display()));
    let (mut source, size): (Box<dyn AsyncRead + Send + Sync + Unpin>, _) = if file.as_os_str() == "-" {
        (Box::new(tokio::io::stdin()), None)
    } else {
        let opened = tokio::fs::File::open(file).await.map_err(failed)?;
        let about = opened.metadata().await.map_err(failed)?;
        if about.is_dir() {
            return Err(Failure::wrong_use(format!("{} is a directory", file.display())));
        }
        let size = about.is_file().then_some(about.len());
        (Box::new(opened), size)
    };
    let mut head = vec![0; 1024];
    let length = source.read(&mut head).await.map_err(failed)?;
    head.truncate(length);
    Ok(Opened { head, source, size })
}

pub(super) fn bar(out: Output, size: Option<u64>) -> ProgressBar {
    if out.quiet || out.plain {
        return ProgressBar::with_draw_target(size, ProgressDrawTarget::hidden());
    }
    // Draws on standard error, and only where that is a terminal.
    let bar = ProgressBar::new(size.unwrap_or(0));
    let style = if size.is_some() {
        "{bar:30} {percent:>3} %  {msg}  {eta} left"
    } else {
        "{spinner} {bytes}  {msg}"
    };
    if let Ok(style) = ProgressStyle::with_template(style) {
        bar.set_style(style);
    }
    bar
}

/// Reads an answer line by line as it comes; `each` says what stands beside the bar then.
pub(super) async fn lines(
    bar: &ProgressBar,
    mut response: reqwest::Response,
    patience: Duration,
    mut each: impl FnMut(&[u8]) -> Result<String, Failure>,
) -> Result<(), Failure> {
    let broken = |what: &str| Failure::new(format!("the answer broke off: {what}")).exit(Exit::Unreachable);
    let mut rest: Vec<u8> = Vec::new();
    loop {
        let chunk = match tokio::time::timeout(patience, response.chunk()).await {
            Ok(Ok(Some(chunk))) => chunk,
            Ok(Ok(None)) => break,
            Ok(Err(error)) => return Err(broken(&error.to_string())),
            Err(_) => return Err(broken("nothing came for too long")),
        };
        rest.extend_from_slice(&chunk);
        let mut begin = 0;
        let mut said = None;
        while let Some(length) = rest[begin..].iter().position(|byte| *byte == b'\n') {
            let line = &rest[begin..begin + length];
            begin += length + 1;
            if !line.trim_ascii().is_empty() {
                said = Some(each(line)?);
            }
        }
        rest.drain(..begin);
        if rest.len() > LONGEST_LINE {
            return Err(broken("a line of it is too long"));
        }
        said.into_iter().for_each(|said| bar.set_message(said));
    }
    if rest.trim_ascii().is_empty() { Ok(()) } else { each(&rest).map(drop) }
}

/// One line of the answer.
fn one(out: Output, bar: &ProgressBar, line: &[u8], counts: &mut Counts) -> Result<(), Failure> {
    let answer: Value = serde_json::from_slice(line)
        .map_err(|_| Failure::new("an answer is not JSON: this does not talk like a Palomar server"))?;
    if out.json {
        bar.suspend(|| out.line(String::from_utf8_lossy(line)));
    }
    match read(&answer) {
        Answer::Accepted => counts.accepted += 1,
        Answer::Refused(what) => {
            counts.refused += 1;
            if !out.json {
                bar.suspend(|| out.line(visible(&what)));
            }
        }
        Answer::Stopped(what) => return Err(Failure::new(format!("the server stopped taking rows: {what}"))),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_file_is_known_by_its_name_or_its_head() {
        for (file, head, format) in [
            ("a.csv", "{", Format::Csv),
            ("a.NDJSON", "to;text", Format::Ndjson),
            ("-", "\n {\"to\"", Format::Ndjson),
            ("-", "to;text", Format::Csv),
            ("contacts", "", Format::Csv),
        ] {
            assert_eq!(Format::guess(Path::new(file), head.as_bytes()), format, "{file}");
        }
    }

    #[test]
    fn every_row_is_answered_for() {
        for (line, answer) in [
            (json!({"row": 1, "line": 2, "id": "x", "status": "queued"}), Answer::Accepted),
            (
                json!({"row": 2, "line": 3, "error": {"title": "Invalid", "errors": [{"pointer": "/to", "detail": "no number"}]}}),
                Answer::Refused("line 3: /to: no number".to_owned()),
            ),
            (json!({"row": 2, "error": {"detail": "x"}}), Answer::Refused("row 2: x".to_owned())),
            (json!({"error": {"detail": "disk full"}}), Answer::Stopped("disk full".to_owned())),
        ] {
            assert_eq!(read(&line), answer);
        }
    }
}
