//! `palomar store`: what is kept on disk.
//!
//! The data directory has one user at a time: while a server runs, `info` tells what the server says of itself, and
//! `check` asks for it to be stopped.

use std::path::Path;
use std::sync::Arc;

use clap::Subcommand;
use palomar_broker::{Broker as _, EmbeddedBroker, JobState, QueueStats};
use palomar_records::Records;
use serde_json::{Value, json};

use crate::cli::Context;
use crate::clock::SystemClock;
use crate::config::{Settings, Size};
use crate::failure::Failure;
use crate::output::Tone;
use crate::serve::{broker, records};

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
    let settings = &loaded.settings;
    let dir = &settings.data_dir;
    if !dir.is_dir() {
        return Err(Failure::new(format!("nothing is kept in {}", dir.display()))
            .help("Name the data directory with --data, or start with `palomar serve`."));
    }
    match verb {
        Verb::Info => info(context, settings).await,
        Verb::Check => check(context, settings).await,
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

async fn info(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    let dir = &settings.data_dir;
    let files = files(dir)?;
    // Whoever runs on the directory can be asked; where nobody does, the files are opened.
    let (user, said): (&str, Value) = match context.client()?.get("/readyz", &[]).await {
        Ok(ready) => ("a server", ready),
        Err(_) => match open(settings) {
            Ok((broker, records)) => {
                let about = records
                    .info()
                    .await
                    .map_err(|error| Failure::new(error.to_string()))?;
                let stats = broker
                    .stats()
                    .await
                    .map_err(|error| Failure::new(error.to_string()))?;
                let jobs = broker.opened().jobs;
                close(&broker).await?;
                (
                    "nobody",
                    json!({"records": about, "jobs": jobs, "queues": stats.queues.len(), "logEnd": stats.log_end.0}),
                )
            }
            Err(failure) => ("another process", json!({"problem": failure.what})),
        },
    };
    if out.json {
        let files: Vec<Value> = files
            .iter()
            .map(|(name, bytes)| json!({"file": name, "bytes": bytes}))
            .collect();
        return out.document(&json!({"dir": dir, "files": files, "usedBy": user, "about": said}));
    }
    out.pairs(&[
        ("directory", dir.display().to_string()),
        ("used by", user.to_owned()),
    ]);
    out.line("");
    let rows: Vec<_> = files
        .iter()
        .map(|(name, bytes)| vec![name.clone(), rounded(*bytes)])
        .collect();
    out.table(&["file", "size"], &rows, "no files");
    out.line("");
    for (name, value) in said.as_object().into_iter().flatten() {
        out.line(format_args!("{} {value}", out.paint(Tone::Dim, name)));
    }
    Ok(())
}

/// A size to be read, not to be computed with.
fn rounded(bytes: u64) -> String {
    let unit = [1 << 30, 1 << 20, 1 << 10]
        .into_iter()
        .find(|unit| bytes >= 10 * unit)
        .unwrap_or(1);
    Size(bytes / unit * unit).to_string()
}

fn open(settings: &Settings) -> Result<(EmbeddedBroker, Records), Failure> {
    let broker = broker(settings, Arc::new(SystemClock))?;
    let records = records(&settings.data_dir, &SystemClock)?;
    Ok((broker, records))
}

async fn close(broker: &EmbeddedBroker) -> Result<(), Failure> {
    broker
        .close()
        .await
        .map_err(|error| Failure::new(format!("the queue was not closed in order: {error}")))
}

async fn check(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    let (broker, records) = open(settings)?;
    let mut problems = broker.opened().damaged.clone();
    let stats = broker
        .stats()
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    problems.extend(stats.queues.iter().filter_map(sum_problem));
    let found = records
        .check()
        .await
        .map_err(|error| Failure::new(format!("the records can't be read: {error}")))?;
    problems.extend(found.problems);
    let cursor = records
        .cursor()
        .await
        .map_err(|error| Failure::new(error.to_string()))?;
    if cursor > stats.log_end.0 {
        problems.push(format!(
            "the records stand at {cursor}, the event log ends at {}",
            stats.log_end.0
        ));
    }
    let jobs = broker.opened().jobs;
    close(&broker).await?;
    if out.json {
        out.document(&json!({"problems": problems, "jobs": jobs, "queues": stats.queues.len(), "countersCompared": found.counters_compared}))?;
    } else {
        problems.iter().for_each(|problem| out.line(problem));
    }
    match problems.len() {
        0 => {
            out.talk(format_args!(
                "{jobs} jobs in {} queues and {} counters: everything is whole and adds up",
                stats.queues.len(),
                found.counters_compared
            ));
            Ok(())
        }
        many => Err(
            Failure::new(format!("{many} problems in {}", settings.data_dir.display()))
                .help("Keep a copy of the directory before anything else; then restore a backup."),
        ),
    }
}

/// I1: what was accepted is live or final, per queue.
fn sum_problem(queue: &QueueStats) -> Option<String> {
    let live = [
        JobState::Scheduled,
        JobState::Queued,
        JobState::Started,
        JobState::Uncertain,
    ];
    let live: u64 = live.iter().map(|state| queue.counts[*state as usize]).sum();
    let ended: u64 = queue.finished.iter().sum();
    (queue.accepted != live + ended).then(|| {
        format!(
            "{}: {} were accepted, but {live} are live and {ended} have ended",
            queue.queue, queue.accepted
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_for_people() {
        for (bytes, said) in [
            (0, "0 B"),
            (4096, "4 KiB"),
            (1_234_567, "1205 KiB"),
            (123_456_789, "117 MiB"),
        ] {
            assert_eq!(rounded(bytes), said);
        }
    }
}
