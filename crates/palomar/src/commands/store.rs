//! `palomar store`: what is kept, and whether it is whole.
//!
//! `info` (in `kept`) only reads and may be asked at any time. `check` reads everything and needs the directory for
//! itself: it asks for a server on it to be stopped.

use std::path::PathBuf;

use clap::Subcommand;
use palomar_broker::CheckReport;
use palomar_records::{Partition, RecordsCheck};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::clock::SystemClock;
use crate::commands::{kept, records};
use crate::config::Settings;
use crate::failure::Failure;
use crate::serve::records as open_records;

/// What can be done with what is kept.
#[derive(Debug, Subcommand)]
pub(crate) enum Verb {
    /// Say what is kept where, and how much of it.
    Info,
    /// Check that what is kept is whole and adds up. No server may be running on it.
    Check {
        /// Check the records alone. Servers may be running.
        #[arg(long)]
        records: bool,
    },
    /// Count again every counter from the journal, and name the first that differs. Servers may be running.
    #[command(after_help = "\
Counted again: messages of each day, all counts and times of analytics, what campaigns came to, for the days that the
journal covers. Of conversations (new, asked, answered) it is checked that sums are those of their parts.

Exit status: 0 all agree, 1 one differs.")]
    Verify,
    /// Read again what an earlier version could not: messages and webhooks of types that it did not know, failed webhooks.
    ///
    /// Asks a running server. Doing it twice changes nothing more.
    Reparse,
    /// Bring the schema of the records up to date, as each start does.
    Migrate {
        /// Only say what is missing.
        #[arg(long)]
        plan: bool,
    },
    /// Write all records to a file, one JSON document a line, for another database.
    Export {
        /// The file; - is standard output.
        file: PathBuf,
    },
    /// Take over what was exported, into records that are empty.
    ///
    /// From SQLite to PostgreSQL: export, set records.url, import, start. The queue stays where it is.
    #[command(after_help = "\
Examples:
  palomar store export records.ndjson
  PALOMAR__RECORDS__URL=postgres://palomar@db/palomar palomar store import records.ndjson")]
    Import {
        /// The file.
        file: PathBuf,
        /// The queue begins anew: what was reached in its event log counts no more.
        #[arg(long)]
        new_queue: bool,
    },
}

/// Runs it.
pub(crate) async fn run(context: &Context, verb: Verb) -> Result<(), Failure> {
    if let Verb::Reparse = verb {
        return reparse(context).await;
    }
    let loaded = context.load(Vec::new())?;
    let settings = &loaded.settings;
    match verb {
        Verb::Reparse => Ok(()),
        Verb::Info => kept::info(context, settings).await,
        Verb::Check { records: true } => check_records_alone(context, settings).await,
        Verb::Verify => verify(context, settings).await,
        Verb::Check { records: false } => check(context, settings).await,
        Verb::Migrate { plan } => records::migrate(context, settings, plan).await,
        Verb::Export { file } => records::export(context, settings, &file).await,
        Verb::Import { file, new_queue } => records::import(context, settings, &file, new_queue).await,
    }
}

async fn reparse(context: &Context) -> Result<(), Failure> {
    const COUNTS: [(&str, &str); 4] = [
        ("messages", "messages"),
        ("events", "events"),
        ("failed webhooks", "failedWebhooks"),
        ("of channels that are gone", "skipped"),
    ];
    let client = context.client()?;
    let (mut counts, mut after) = ([0; COUNTS.len()], None::<String>);
    loop {
        let queued = client.post("/api/failed-webhooks/reparse", &[("after", after)], &json!({})).await?;
        for (count, (_, key)) in counts.iter_mut().zip(COUNTS) {
            *count += queued[key].as_u64().unwrap_or(0);
        }
        match queued["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => break,
        }
        context.out.talk(format_args!("{} are left", queued["left"]));
    }
    if context.out.json {
        let counts = COUNTS.iter().zip(counts).map(|((_, key), count)| ((*key).to_owned(), count.into()));
        return context.out.document(&Value::Object(counts.collect()));
    }
    let pairs: Vec<_> =
        COUNTS.iter().zip(counts).map(|((name, _), count)| (*name, count.to_string())).collect();
    context.out.pairs(&pairs);
    context.out.talk("queued to be read again; what is still not known stays as it is");
    Ok(())
}

async fn check(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    if settings.broker.is_redis() {
        out.talk(format_args!(
            "The queues are in Redis, which checks its files itself: these are the records."
        ));
        return check_records_alone(context, settings).await;
    }
    let dir = kept::dir(settings)?;
    let queue = palomar_broker::check(dir).map_err(|error| Failure::new(error.to_string()))?;
    let (found, cursor) = check_records(settings).await?;
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

/// The same of the records alone.
async fn check_records_alone(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    records::current(settings).await?;
    let (found, cursor) = check_records(settings).await?;
    let RecordsCheck { problems, counters_compared } = found.unwrap_or_default();
    if out.json {
        out.document(
            &json!({"problems": problems, "countersCompared": counters_compared, "cursor": cursor}),
        )?;
    } else {
        problems.iter().for_each(|problem| out.line(problem));
    }
    match problems.len() {
        0 => {
            out.talk(format_args!(
                "{counters_compared} counters, up to {cursor} of the event log: all add up"
            ));
            Ok(())
        }
        many => Err(Failure::new(format!("{many} problems in the records"))),
    }
}

/// Whether every counter is what the journal says; the first that is not.
async fn verify(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    records::current(settings).await?;
    let (found, cursor) = check_records(settings).await?;
    let RecordsCheck { problems, counters_compared } = found.unwrap_or_default();
    let first = problems.first();
    if out.json {
        out.document(&json!({
            "countersCompared": counters_compared, "cursor": cursor, "firstDifference": first,
        }))?;
    }
    match first {
        None => {
            out.talk(format_args!(
                "{counters_compared} counters, up to {cursor} of the event log: all agree"
            ));
            Ok(())
        }
        Some(first) => Err(Failure::new(first.clone()).help(
            "`palomar store check --records` names what else differs. Keep a copy before anything else.",
        )),
    }
}

/// What the records are found to be, and how far they reach in the event log; nothing where there are none yet.
async fn check_records(settings: &Settings) -> Result<(Option<RecordsCheck>, u64), Failure> {
    match records::look(settings).await? {
        Some(looked) if looked.schema.found > 0 => {}
        _ => return Ok((None, 0)),
    }
    let records = open_records(settings, &SystemClock).await?;
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
