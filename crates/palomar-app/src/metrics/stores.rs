//! What stores, their disk and the workers say at the scrape.

use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_broker::{COMMIT_BUCKETS_MICROS, SpoolMeters};
use palomar_records::RecordsError;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, NoLabelSet};
use prometheus_client::metrics::MetricType;

use super::samples::{Crowd, Sample, Writer, label, number};
use super::sessions::{self, SessionReading};
use crate::disk::{Disk, StoreReading};

/// The workers of a kind.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Workers {
    pub(crate) kind: &'static str,
    pub(crate) busy: usize,
    pub(crate) all: usize,
}

/// The numbers of a moment.
#[derive(Debug, Default)]
pub(crate) struct Reading {
    pub(crate) workers: Vec<Workers>,
    pub(crate) disk: Option<Disk>,
    /// The broker's store, where it counts.
    pub(crate) queue: Option<StoreReading>,
    /// Webhooks that are kept because they could not be processed; none where the records can't be read.
    pub(crate) failed_webhooks: Option<u64>,
    /// Alerts that fire, warnings and critical ones; none where the records can't be read.
    pub(crate) alerts: Option<[(&'static str, usize); 2]>,
    /// Bytes of media that are kept.
    pub(crate) media: u64,
    /// What waits on this node's disk, where the queues are elsewhere; else nothing.
    pub(crate) spool: SpoolMeters,
    /// For each kind of work how long ago a node that does it gave a sign of life.
    pub(crate) heartbeats: Vec<(&'static str, Duration)>,
    /// Browser sessions of this node.
    pub(crate) sessions: Vec<SessionReading>,
}

/// The newest reading, and what the records' commits were like.
#[derive(Clone, Debug, Default)]
pub(super) struct Stores {
    reading: Arc<Mutex<Reading>>,
    records: Arc<Mutex<RecordsMeters>>,
}

/// Durations in the buckets of commits.
#[derive(Clone, Copy, Debug, Default)]
struct Times {
    count: u64,
    sum: Duration,
    buckets: [u64; 13],
}

impl Times {
    fn add(&mut self, took: Duration) {
        let bucket = COMMIT_BUCKETS_MICROS.iter().position(|bound| took <= Duration::from_micros(*bound));
        self.count += 1;
        self.sum += took;
        self.buckets[bucket.unwrap_or(12)] += 1;
    }
}

#[derive(Debug, Default)]
struct RecordsMeters {
    commits: Times,
    facts: u64,
    errors: [u64; 4],
}

/// Why records could not do their work, in the order in which it is counted.
const RECORDS_ERRORS: [&str; 4] = ["full", "sql", "damaged", "other"];
const QUEUE: &str = "queue";
const RECORDS: &str = palomar_records::PROJECTION;

impl Stores {
    pub(super) fn set(&self, reading: Reading) {
        *self.reading.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }

    /// Records took in so many facts, in one commit.
    pub(super) fn committed(&self, facts: usize, took: Duration) {
        let mut records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        records.commits.add(took);
        records.facts += facts as u64;
    }

    /// Records could not take facts in.
    pub(super) fn failed(&self, error: &RecordsError) {
        let place = match error {
            RecordsError::Full => 0,
            RecordsError::Sql(_) => 1,
            RecordsError::Damaged { .. } => 2,
            _ => 3,
        };
        self.records.lock().unwrap_or_else(PoisonError::into_inner).errors[place] += 1;
    }
}

impl Collector for Stores {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let reading = self.reading.lock().unwrap_or_else(PoisonError::into_inner);
        let records = self.records.lock().unwrap_or_else(PoisonError::into_inner);
        let mut writer = Writer::new(&mut encoder, &Crowd::default());
        writer.gauge("workers", "Workers, by state.", reading.workers.iter().flat_map(by_state))?;
        let kept = reading.failed_webhooks.map(|kept| (Vec::new(), number(kept)));
        let help = "Webhooks that could not be processed and are kept to be replayed.";
        writer.gauge("webhooks_failed", help, kept)?;
        let firing = reading.alerts.iter().flatten();
        let firing =
            firing.map(|(severity, many)| (vec![label("severity", *severity)], number(*many as u64)));
        writer.gauge("alerts_firing", "Alerts that fire.", firing)?;
        let media = Some((Vec::new(), number(reading.media)));
        writer.gauge(
            "media_stored_bytes",
            "Bytes of media in this node's store, each content once.",
            media,
        )?;
        let heartbeats = reading.heartbeats.iter();
        let heartbeats = heartbeats.map(|(kind, age)| (vec![label("kind", *kind)], age.as_secs_f64()));
        let help = "Seconds since the last sign of life of any node that works the queues of a kind.";
        writer.gauge("heartbeat_age_seconds", help, heartbeats)?;
        spool_gauges(&mut writer, &reading.spool)?;
        sessions::write(&mut writer, &reading.sessions)?;
        if let Some(disk) = &reading.disk {
            disk_gauges(&mut writer, disk)?;
        }
        writer.counter(
            "store_errors",
            "What a store refused or could not do.",
            errors(&reading, &records),
        )?;
        commits(&mut encoder, &reading, &records)
    }
}

fn by_state(workers: &Workers) -> [Sample; 2] {
    let idle = workers.all.saturating_sub(workers.busy);
    [("busy", workers.busy), ("idle", idle)].map(|(state, count)| {
        (vec![label("kind", workers.kind), label("state", state)], number(count as u64))
    })
}

fn spool_gauges(writer: &mut Writer<'_, '_>, spool: &SpoolMeters) -> Result<(), Error> {
    let help = "Messages and webhooks that wait on this node's disk for the queues to be back.";
    writer.gauge("spool_items", help, [(Vec::new(), number(spool.items))])?;
    writer.gauge("spool_bytes", "Bytes of them.", [(Vec::new(), number(spool.bytes))])?;
    let help = "Bytes of them at most, as configured.";
    writer.gauge("spool_limit_bytes", help, [(Vec::new(), number(spool.limit))])
}

fn disk_gauges(writer: &mut Writer<'_, '_>, disk: &Disk) -> Result<(), Error> {
    let help = "Bytes that may still be written to the data directory's disk.";
    writer.gauge("disk_free_bytes", help, [(Vec::new(), number(disk.free))])?;
    let help = "Bytes that the data directory's disk has.";
    writer.gauge("disk_size_bytes", help, [(Vec::new(), number(disk.total))])?;
    let sizes = disk.stores.map(|(store, size)| (vec![label("store", store)], number(size)));
    writer.gauge("store_size_bytes", "Bytes that a store's files take.", sizes)
}

fn errors(reading: &Reading, records: &RecordsMeters) -> Vec<Sample> {
    let sample = |store, reason, count| (vec![label("store", store), label("reason", reason)], number(count));
    let of_records = RECORDS_ERRORS.into_iter().zip(records.errors);
    let mut samples: Vec<Sample> = of_records.map(|(reason, count)| sample(RECORDS, reason, count)).collect();
    if let Some(queue) = &reading.queue {
        samples.push(sample(QUEUE, "full", queue.meters.refused));
        samples.push(sample(QUEUE, "failed", u64::from(queue.failure.is_some())));
    }
    samples
}

/// Histograms of commits; of those of records, the flush is not measured apart.
fn commits(
    encoder: &mut DescriptorEncoder<'_>,
    reading: &Reading,
    records: &RecordsMeters,
) -> Result<(), Error> {
    let meters = reading.queue.as_ref().map(|queue| queue.meters);
    let of_queue = |sum, buckets| meters.map(|meters| (QUEUE, Times { count: meters.commits, sum, buckets }));
    let flushes = meters.and_then(|meters| of_queue(meters.flush_time, meters.flush_buckets));
    let of_queue = meters.and_then(|meters| of_queue(meters.commit_time, meters.buckets));
    let of_records = Some((RECORDS, records.commits));
    for (name, help, times) in [
        ("store_commit_duration_seconds", "A commit with its flush, in seconds.", [of_queue, of_records]),
        ("store_flush_duration_seconds", "The flush of a commit, in seconds.", [flushes, None]),
    ] {
        let mut metric = encoder.encode_descriptor(name, help, None, MetricType::Histogram)?;
        for (store, times) in times.into_iter().flatten() {
            let bounds = COMMIT_BUCKETS_MICROS.iter().map(|micros| number(*micros) / 1e6);
            let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(times.buckets).collect();
            let sum = times.sum.as_secs_f64();
            let labels = vec![label("store", store)];
            metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
                sum,
                times.count,
                &buckets,
                None,
            )?;
        }
    }
    // How they are spread is not counted: sum and count tell the mean.
    let help = "What one commit covers: requests to the queue, facts for the records.";
    let mut metric =
        encoder.encode_descriptor("store_commit_operations", help, None, MetricType::Histogram)?;
    let queue = meters.map(|meters| (QUEUE, meters.operations, meters.commits));
    for (store, sum, count) in queue.into_iter().chain([(RECORDS, records.facts, records.commits.count)]) {
        let (labels, all) = (vec![label("store", store)], [(f64::INFINITY, count)]);
        metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(number(sum), count, &all, None)?;
    }
    Ok(())
}
