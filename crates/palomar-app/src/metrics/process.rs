//! What this process, its stores and their disk say at the scrape.

use std::fmt::Error;
use std::sync::{Arc, Mutex, PoisonError};

use palomar_broker::{COMMIT_BUCKETS_MICROS, StoreMeters};
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric as _, NoLabelSet};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;

use super::label;
use super::stores::number;
use crate::disk::Disk;

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
    pub(crate) meters: Option<StoreMeters>,
}

/// The newest reading.
#[derive(Clone, Debug, Default)]
pub(super) struct Process(Arc<Mutex<Reading>>);

impl Process {
    pub(super) fn set(&self, reading: Reading) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = reading;
    }
}

const STORE: &str = "queue";

impl Collector for Process {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let reading = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let mut metric =
            encoder.encode_descriptor("workers", "Workers, by state", None, MetricType::Gauge)?;
        for workers in &reading.workers {
            let idle = workers.all.saturating_sub(workers.busy);
            for (state, count) in [("busy", workers.busy), ("idle", idle)] {
                let labels = vec![label("kind", workers.kind), label("state", state)];
                ConstGauge::new(number(count as u64)).encode(metric.encode_family(&labels)?)?;
            }
        }
        if let Some(disk) = &reading.disk {
            let help = "Bytes that may still be written to the data directory's disk";
            let metric = encoder.encode_descriptor("disk_free_bytes", help, None, MetricType::Gauge)?;
            ConstGauge::new(number(disk.free)).encode(metric)?;
            let help = "Size of a store's files";
            let mut metric = encoder.encode_descriptor("store_size_bytes", help, None, MetricType::Gauge)?;
            for (store, size) in disk.stores {
                ConstGauge::new(number(size)).encode(metric.encode_family(&vec![label("store", store)])?)?;
            }
        }
        if let Some(meters) = &reading.meters {
            commits(&mut encoder, meters)?;
        }
        Ok(())
    }
}

/// Each commit is one flush; its time is that of both.
fn commits(encoder: &mut DescriptorEncoder<'_>, meters: &StoreMeters) -> Result<(), Error> {
    let labels = vec![label("store", STORE)];
    let bounds = COMMIT_BUCKETS_MICROS.iter().map(|micros| number(*micros) / 1e6);
    let buckets: Vec<(f64, u64)> = bounds.chain([f64::INFINITY]).zip(meters.buckets).collect();
    let help = "A commit with its flush";
    let mut metric =
        encoder.encode_descriptor("store_commit_duration_seconds", help, None, MetricType::Histogram)?;
    let seconds = meters.commit_time.as_secs_f64();
    metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(seconds, meters.commits, &buckets, None)?;
    // How they are spread is not counted: sum and count tell the mean.
    let help = "Requests that one commit covers";
    let mut metric =
        encoder.encode_descriptor("store_commit_operations", help, None, MetricType::Histogram)?;
    let all = [(f64::INFINITY, meters.commits)];
    metric.encode_family(&labels)?.encode_histogram::<NoLabelSet>(
        number(meters.operations),
        meters.commits,
        &all,
        None,
    )
}
