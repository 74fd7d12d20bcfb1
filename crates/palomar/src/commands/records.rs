//! `palomar store migrate`, `export` and `import`: the schema of the records, and their way from one engine to another.
//!
//! What always holds: what changes records in SQLite has the data directory for itself; an import is taken over as a
//! whole or not at all; an export that was not written to its end has another name.

use std::fs::{File, OpenOptions};
use std::io::{self, BufReader, BufWriter};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use palomar_broker::StoreError;
use palomar_records::{Looked, RecordsError, RecordsInfo};
use serde_json::json;

use crate::cli::Context;
use crate::clock::SystemClock;
use crate::config::Settings;
use crate::failure::Failure;
use crate::serve::{data_dir, records, records_place};

/// The lock that the process which uses a data directory holds.
const LOCK: &str = "queue.lock";

fn failed(error: &RecordsError) -> Failure {
    Failure::new(format!("can't use the records: {error}"))
}

/// What the database of the records is found to be; nothing where there is none yet.
pub(super) async fn look(settings: &Settings) -> Result<Option<Looked>, Failure> {
    records_place(settings)?.look().await.map_err(|error| failed(&error))
}

/// Makes sure that the records are there and as this version has them, without changing them: a server may use them.
pub(super) async fn current(settings: &Settings) -> Result<(), Failure> {
    match look(settings).await? {
        None => Err(Failure::new(format!("there are no records in {}", settings.data_dir.display()))),
        Some(looked) if !looked.schema.missing.is_empty() => {
            let Looked { place, schema, .. } = looked;
            let what = format!("{place} has schema {}, this version needs {}", schema.found, schema.known);
            Err(Failure::new(what).help("Run `palomar store migrate`, or start this version on it."))
        }
        Some(_) => Ok(()),
    }
}

/// The records in numbers; nothing where they have another schema than this version.
pub(super) async fn info(settings: &Settings) -> Result<Option<RecordsInfo>, Failure> {
    records_place(settings)?.info().await.map_err(|error| failed(&error))
}

/// Brings the schema up to date, or says what that would do.
pub(super) async fn migrate(context: &Context, settings: &Settings, plan: bool) -> Result<(), Failure> {
    let _alone = alone(settings)?;
    let before = look(settings).await?;
    if !plan {
        records(settings, &SystemClock).await?;
    }
    let after = if plan { before.clone() } else { look(settings).await? };
    let missing = before.as_ref().map_or_else(Vec::new, |looked| looked.schema.missing.clone());
    let found = |looked: &Option<Looked>| looked.as_ref().map_or(0, |looked| looked.schema.found);
    let out = context.out;
    if out.json {
        let steps = json!({"from": found(&before), "to": found(&after), "steps": missing, "plan": plan});
        return out.document(&steps);
    }
    match (&before, &after) {
        (None, None) => out.line("there are no records yet: they are made at the first start"),
        (_, Some(Looked { place, engine, schema })) if missing.is_empty() => {
            out.line(format_args!("{place} ({engine}) has schema {}: nothing is missing", schema.found));
        }
        (_, looked) => {
            let place = looked.as_ref().map_or("the records", |looked| looked.place.as_str());
            let verb = if plan { "would be applied to" } else { "applied to" };
            missing.iter().for_each(|step| out.line(format_args!("{step} {verb} {place}")));
        }
    }
    Ok(())
}

/// Writes everything to a file, or to standard output.
pub(super) async fn export(context: &Context, settings: &Settings, file: &Path) -> Result<(), Failure> {
    current(settings).await?;
    let records = records(settings, &SystemClock).await?;
    if file == Path::new("-") {
        return match records.export(BufWriter::new(io::stdout())).await {
            Ok(_) => Ok(()),
            Err(error) => Err(failed(&error)),
        };
    }
    let cant = |error: io::Error| Failure::new(format!("can't write {}: {error}", file.display()));
    if file.exists() {
        return Err(Failure::new(format!("{} exists already", file.display())).help("Name another file."));
    }
    let unfinished = file.with_added_extension("part");
    // It holds everybody's messages: it is its owner's only.
    let to = OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&unfinished);
    let to = to.map_err(cant)?;
    let flushed = to.try_clone().map_err(cant)?;
    let moved =
        records.export(BufWriter::with_capacity(1 << 20, to)).await.map_err(|error| failed(&error))?;
    flushed.sync_all().and_then(|()| std::fs::rename(&unfinished, file)).map_err(cant)?;
    if context.out.json {
        return context.out.document(&json!({"rows": moved.rows, "file": file}));
    }
    context.out.talk(format_args!(
        "{} rows in {}; credentials in it can be read with {} only",
        moved.rows,
        file.display(),
        settings.data_dir.join(palomar_records::KEY_FILE).display()
    ));
    Ok(())
}

/// Takes over what was exported.
pub(super) async fn import(
    context: &Context,
    settings: &Settings,
    file: &Path,
    new_log: bool,
) -> Result<(), Failure> {
    let _alone = alone(settings)?;
    let cant = |error: io::Error| Failure::new(format!("can't read {}: {error}", file.display()));
    let from = File::open(file).map_err(cant)?;
    // A directory opens, and can't be read.
    if from.metadata().map_err(cant)?.is_dir() {
        return Err(Failure::new(format!("{} is a directory", file.display())));
    }
    let records = records(settings, &SystemClock).await?;
    let moved = records.import(BufReader::with_capacity(1 << 20, from), !new_log).await;
    let moved = moved.map_err(|error| {
        let failure = Failure::new(format!("nothing was taken over from {}: {error}", file.display()));
        match error {
            RecordsError::WrongKey { .. } => {
                failure.help("Copy secret.key from the data directory that the records were exported from.")
            }
            _ => failure,
        }
    })?;
    if context.out.json {
        return context.out.document(&json!({"rows": moved.rows}));
    }
    context.out.talk(format_args!("{} rows taken over from {}", moved.rows, file.display()));
    Ok(())
}

/// Makes sure that nobody else uses records that are files: holds the data directory until what this returns is
/// dropped. Nodes that share records in PostgreSQL go on.
fn alone(settings: &Settings) -> Result<Option<File>, Failure> {
    let dir = &settings.data_dir;
    // Whatever is made here is its owner's only.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o077));
    data_dir::prepare(dir)?;
    if !settings.records.url.is_empty() {
        return Ok(None);
    }
    let path: PathBuf = dir.join(LOCK);
    let cant = |error: io::Error| Failure::new(format!("can't use {}: {error}", path.display()));
    let file = File::options().create(true).truncate(false).write(true).open(&path).map_err(cant)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(file)),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(Failure::new(StoreError::Locked(dir.clone()).to_string())),
        Err(error) => Err(cant(error.into())),
    }
}
