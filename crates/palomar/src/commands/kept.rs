//! `palomar store info`: what is kept where, and how much of it. It only reads, and may be asked at any time.

use std::path::Path;

use palomar_broker::{PartitionInfo, RedisInfo, StoreInfo};
use palomar_records::{Looked, RecordsInfo};
use serde_json::{Value, json};

use crate::cli::Context;
use crate::commands::records;
use crate::config::{Settings, Size};
use crate::failure::Failure;
use crate::serve::queues;

/// What is known of the queues, for people and for programs.
struct Queues {
    pairs: Vec<(&'static str, String)>,
    fields: Value,
    /// What is free on the disk that they are on, where that is this machine's.
    free_bytes: Option<u64>,
}

/// The data directory, where there is one.
pub(super) fn dir(settings: &Settings) -> Result<&Path, Failure> {
    let dir = &settings.data_dir;
    if dir.is_dir() {
        return Ok(dir);
    }
    Err(Failure::new(format!("nothing is kept in {}", dir.display()))
        .help("Name the data directory with --data, or start with `palomar serve`."))
}

/// Says what is kept.
pub(super) async fn info(context: &Context, settings: &Settings) -> Result<(), Failure> {
    let out = context.out;
    // With queues in Redis and records in PostgreSQL a machine may have no data of its own yet.
    let dir = if settings.broker.is_redis() { settings.data_dir.as_path() } else { dir(settings)? };
    let Queues { pairs: of_queues, fields, free_bytes } =
        if settings.broker.is_redis() { in_redis(settings).await? } else { in_dir(dir)? };
    let looked = records::look(settings).await?;
    let counted = records::info(settings).await?;
    let files = files(dir)?;
    if out.json {
        let files: Vec<Value> =
            files.iter().map(|(name, bytes)| json!({"file": name, "bytes": bytes})).collect();
        let records = looked.map(|Looked { engine, place, schema }| {
            json!({
                "engine": engine, "place": place, "schema": schema.found, "missing": schema.missing,
                "counted": counted,
            })
        });
        return out.document(&json!({
            "dir": dir, "files": files, "queue": fields, "records": records, "freeBytes": free_bytes,
        }));
    }
    let records = looked.map_or_else(
        || "none yet".to_owned(),
        |Looked { engine, place, schema }| format!("{place} ({engine}), schema {}", schema.found),
    );
    let mut pairs = vec![("directory", dir.display().to_string())];
    pairs.extend(free_bytes.map(|bytes| ("free on its disk", rounded(bytes))));
    pairs.extend(of_queues);
    pairs.push(("records", records));
    if let Some(RecordsInfo { bytes, messages, .. }) = counted {
        pairs.push(("size of the records", rounded(bytes)));
        pairs.push(("messages", messages.values().sum::<u64>().to_string()));
    }
    out.pairs(&pairs);
    out.line("");
    let rows: Vec<_> = files.iter().map(|(name, bytes)| vec![name.clone(), rounded(*bytes)]).collect();
    out.table(&["file", "size"], &rows, "no files");
    Ok(())
}

/// Queues in the data directory.
fn in_dir(dir: &Path) -> Result<Queues, Failure> {
    let StoreInfo { schema, job_rows, log_rows, log_end, free_bytes, .. } =
        palomar_broker::store_info(dir).map_err(|error| Failure::new(error.to_string()))?;
    Ok(Queues {
        pairs: vec![
            ("schema of the queue", schema.to_string()),
            ("jobs", job_rows.to_string()),
            ("end of the event log", log_end.to_string()),
        ],
        fields: json!({"schema": schema, "jobs": job_rows, "logRows": log_rows, "logEnd": log_end}),
        free_bytes: Some(free_bytes),
    })
}

/// Queues in Redis.
async fn in_redis(settings: &Settings) -> Result<Queues, Failure> {
    let told = palomar_broker::redis_info(&queues::redis(settings)?).await;
    told.map(|told| told_of(&told))
        .map_err(|error| Failure::new(format!("can't look at the queues: {}", queues::why(&error))))
}

fn told_of(told: &RedisInfo) -> Queues {
    let RedisInfo { servers, engine, prefix, partitions } = told;
    let jobs: u64 = partitions.iter().map(|partition| partition.jobs).sum();
    let ends: Vec<String> = partitions.iter().map(|partition| partition.log_end.to_string()).collect();
    let of_partition =
        |PartitionInfo { jobs, log_end }: &PartitionInfo| json!({"jobs": jobs, "logEnd": log_end});
    let pairs = vec![
        ("queues", format!("{servers} ({engine}), keys {prefix}")),
        (
            "partitions",
            if partitions.is_empty() { "none yet".to_owned() } else { partitions.len().to_string() },
        ),
        ("jobs", jobs.to_string()),
        ("end of the event log", ends.join(", ")),
    ];
    let fields = json!({
        "engine": engine, "place": servers, "prefix": prefix, "jobs": jobs,
        "partitions": partitions.iter().map(of_partition).collect::<Vec<_>>(),
    });
    Queues { pairs, fields, free_bytes: None }
}

/// The files of the directory, with their sizes; none where there is no directory.
fn files(dir: &Path) -> Result<Vec<(String, u64)>, Failure> {
    let failed = |error| Failure::new(format!("can't read {}: {error}", dir.display()));
    let mut files = Vec::new();
    if !dir.exists() {
        return Ok(files);
    }
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

/// A size to be read, not to be computed with.
fn rounded(bytes: u64) -> String {
    let unit = [1 << 30, 1 << 20, 1 << 10].into_iter().find(|unit| bytes >= 10 * unit).unwrap_or(1);
    Size(bytes / unit * unit).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_rounded_for_people() {
        for (bytes, said) in [(0, "0 B"), (4096, "4 KiB"), (1_234_567, "1205 KiB"), (123_456_789, "117 MiB")]
        {
            assert_eq!(rounded(bytes), said);
        }
    }

    #[test]
    fn queues_in_redis_are_told_by_partition() {
        let partition = |jobs, log_end| PartitionInfo { jobs, log_end };
        let told = RedisInfo {
            servers: "r.example:6379".into(),
            engine: "Redis 7.0.15".into(),
            prefix: "shop".into(),
            partitions: vec![partition(3, 9), partition(1, 2)],
        };
        let Queues { pairs, fields, free_bytes } = told_of(&told);
        assert_eq!(pairs[0].1, "r.example:6379 (Redis 7.0.15), keys shop");
        assert_eq!((&*pairs[2].1, &*pairs[3].1, free_bytes), ("4", "9, 2", None));
        assert_eq!(fields["partitions"], json!([{"jobs": 3, "logEnd": 9}, {"jobs": 1, "logEnd": 2}]));
    }
}
