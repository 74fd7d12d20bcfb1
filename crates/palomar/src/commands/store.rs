//! `palomar store`: what is kept on disk.
//!
//! `info` only reads and may be asked at any time. `check` reads everything and needs the directory for itself: it asks
//! for a server on it to be stopped.

use std::path::Path;

use clap::Subcommand;
use palomar_broker::{CheckReport, StoreInfo};
use palomar_records::{FILE, Partition, RecordsCheck};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::clock::SystemClock;
use crate::config::Size;
use crate::failure::Failure;
use crate::serve::records;

/// What can be done with what is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what is kept where, and how much of it.
    Info,
    /// Check that what is kept is whole and adds up. No server may be running on it.
    Check,
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    let loaded = context.load(Vec::new())?;
    let dir = &loaded.settings.data_dir;
    if !dir.is_dir() {
        return Err(Failure::new(format!("nothing is kept in {}", dir.display()))
            .help("Name the data directory with --data, or start with `palomar serve`."));
    }
    match verb {
        Verb::Info => info(context, dir),
        Verb::Check => check(context, dir).await,
    }
}

/// The files of the directory, with their sizes.
fn files(dir: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let failed = |error| Failure::new(format!("can't read {}: {error}", dir.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(dir).map_err(failed)? {
        let entry = entry.map_err(failed)?;
        let about = entry.metadata().map_err(failed)?;
        if about.is_file() {
            files.push((entry.file_name().to_string_lossy().into_owned(), about.len()));
        }
    }
    files.sort();
    Ok(files)
}

fn info(context: &Context, dir: &Path) -> Result<(), Failure> {
    let out = context.out;
    let files = files(dir)?;
    let StoreInfo { schema, job_rows, log_rows, log_end, free_bytes, .. } =
        palomar_broker::store_info(dir).map_err(|error| Failure::new(error.to_string()))?;
    if out.json {
        let files: Vec<Value> =
            files.iter().map(|(name, bytes)| json!({"file": name, "bytes": bytes})).collect();
        let queue = json!({"schema": schema, "jobs": job_rows, "logRows": log_rows, "logEnd": log_end});
        return out.document(&json!({"dir": dir, "files": files, "queue": queue, "freeBytes": free_bytes}));
    }
    out.pairs(&[
        ("directory", dir.display().to_string()),
        ("free on its disk", rounded(free_bytes)),
        ("schema of the queue", schema.to_string()),
        ("jobs", job_rows.to_string()),
        ("end of the event log", log_end.to_string()),
    ]);
    out.line("");
    let rows: Vec<_> = files.iter().map(|(name, bytes)| vec![name.clone(), rounded(*bytes)]).collect();
    out.table(&["file", "size"], &rows, "no files");
    Ok(())
}

/// A size to be read, not to be computed with.
fn rounded(bytes: u64) -> String {
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= 10 * unit).unwrap_or(1);
    Size(bytes / unit * unit).to_string()
}

async fn check(context: &Context, dir: &Path) -> Result<(), Failure> {
    let out = context.out;
    let queue = palomar_broker::check(dir).map_err(|error| Failure::new(error.to_string()))?;
    let (found, cursor) = check_records(dir).await?;
    let log_end = palomar_broker::store_info(dir).map_err(|error| Failure::new(error.to_string()))?.log_end;
    let problems = problems(&queue, found.as_ref(), cursor, log_end);
    let counters = found.map_or(0, |found| found.counters_compared);
    let (jobs, queues) = (queue.job_rows, queue.queues.len());
    if out.json {
        out.document(
            &json!({"problems": problems, "jobs": jobs, "queues": queues, "countersCompared": counters}),
        )?;
    } else {
        problems.iter().for_each(|problem| out.line(problem));
    }
    match problems.len() {
        0 => {
            out.talk(format_args!(
                "{jobs} jobs in {queues} queues and {counters} counters: everything is whole and adds up"
            ));
            Ok(())
        }
        many => Err(Failure::new(format!("{many} problems in {}", dir.display()))
            .help("Keep a copy of the directory before anything else; then restore a backup.")),
    }
}

/// What the records are found to be, and how far they reach in the event log; nothing where there are none yet.
async fn check_records(dir: &Path) -> Result<(Option<RecordsCheck>, u64), Failure> {
    if !dir.join(FILE).exists() {
        return Ok((None, 0));
    }
    let records = records(dir, &SystemClock)?;
    let failed = |error| Failure::new(format!("the records can't be read: {error}"));
    Ok((
        Some(records.check().await.map_err(failed)?),
        records.cursor(Partition::WHOLE).await.map_err(failed)?,
    ))
}

/// Everything that is wrong, each in a line.
fn problems(queue: &CheckReport, records: Option<&RecordsCheck>, cursor: u64, log_end: u64) -> Vec<String> {
    let mut problems: Vec<String> = queue.structure.iter().chain(&queue.damaged).cloned().collect();
    problems.extend(queue.queues.iter().filter(|queue| !queue.adds_up()).map(|queue| {
        format!(
            "{}: {} were accepted, but {} are live and {} have ended",
            queue.queue, queue.accepted, queue.live, queue.finished
        )
    }));
    problems.extend(records.into_iter().flat_map(|records| records.problems.iter().cloned()));
    if cursor > log_end {
        problems.push(format!("the records stand at {cursor}, the event log ends at {log_end}"));
    }
    problems
}

#[cfg(test)]
mod tests {
    use palomar_broker::{QueueCheck, QueueName};

    use super::*;

    #[test]
    fn sizes_are_rounded_for_people() {
        for (bytes, said) in [(0, "0 B"), (4096, "4 KiB"), (1_234_567, "1205 KiB"), (123_456_789, "117 MiB")]
        {
            assert_eq!(rounded(bytes), said);
        }
    }

    #[test]
    fn what_does_not_add_up_is_told() {
        let queue = QueueName::new("outbound", "demo").expect("a name");
        let report = CheckReport {
            queues: vec![QueueCheck { queue, accepted: 3, live: 1, finished: 1 }],
            ..CheckReport::default()
        };
        let found = problems(&report, None, 9, 8);
        assert_eq!(
            found,
            [
                "outbound/demo: 3 were accepted, but 1 are live and 1 have ended",
                "the records stand at 9, the event log ends at 8"
            ]
        );
    }
}
