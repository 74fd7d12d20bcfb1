//! A counter by labels that begins at 0 where its labels are known beforehand: a rate can only be told of what was
//! there before it grew.

use std::collections::BTreeMap;
use std::fmt::Error;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;
use prometheus_client::registry::Registry;

use super::samples::{Crowd, Labels, Writer, number};

/// A counter by labels. Clones count into the same.
#[derive(Clone, Debug)]
pub(super) struct Counts {
    name: &'static str,
    help: &'static str,
    crowd: Crowd,
    counts: Arc<Mutex<BTreeMap<Labels, u64>>>,
}

impl Counts {
    /// A counter that is shown in a registry, under a name without its `_total`.
    pub(super) fn register(
        registry: &mut Registry,
        crowd: &Crowd,
        name: &'static str,
        help: &'static str,
    ) -> Counts {
        let counts = Counts { name, help, crowd: crowd.clone(), counts: Arc::default() };
        registry.register_collector(Box::new(counts.clone()));
        counts
    }

    pub(super) fn add(&self, labels: Labels) {
        *self.counts().entry(labels).or_default() += 1;
    }

    /// Shows a sample, at 0 where nothing was counted yet.
    pub(super) fn expect(&self, labels: Labels) {
        self.counts().entry(labels).or_default();
    }

    fn counts(&self) -> MutexGuard<'_, BTreeMap<Labels, u64>> {
        self.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Collector for Counts {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), Error> {
        let counts = self.counts().clone();
        let samples = counts.into_iter().map(|(labels, count)| (labels, number(count)));
        Writer::new(&mut encoder, &self.crowd).counter(self.name, self.help, samples)
    }
}
