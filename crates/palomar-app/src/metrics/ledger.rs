//! Counters that somebody else keeps, followed: they begin at 0 with this process, and only ever grow.
//!
//! A queue's own counts outlive the process and vanish with the queue. Shown as they are, a removed channel would look
//! like a restart, and everything that was ever counted like a burst.

use std::collections::{BTreeMap, HashMap};

use palomar_broker::QueueName;

use super::samples::{Labels, Sample};

/// A counter of a queue.
pub(super) struct Count {
    /// Its metric, without `_total`.
    pub(super) name: &'static str,
    pub(super) labels: Labels,
    pub(super) value: f64,
}

type Key = (&'static str, Labels);

/// What was counted since the process began.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    last: HashMap<QueueName, BTreeMap<Key, f64>>,
    totals: BTreeMap<Key, f64>,
}

impl Ledger {
    /// Takes the counts of all queues from before this process as where it begins.
    pub(super) fn begin(&mut self, queues: impl IntoIterator<Item = (QueueName, Vec<Count>)>) {
        self.last = queues.into_iter().map(|(queue, counts)| (queue, keyed(counts))).collect();
    }

    /// Follows the counts of all queues that there are.
    pub(super) fn follow(&mut self, queues: impl IntoIterator<Item = (QueueName, Vec<Count>)>) {
        let mut newest = HashMap::new();
        for (queue, counts) in queues {
            let counts = keyed(counts);
            let last = self.last.get(&queue);
            for (key, value) in &counts {
                let before = last.and_then(|last| last.get(key)).copied().unwrap_or(0.0);
                // Less than before: another queue has the name now.
                let grown = if *value < before { *value } else { value - before };
                *self.totals.entry(key.clone()).or_default() += grown;
            }
            newest.insert(queue, counts);
        }
        self.last = newest;
    }

    /// The totals of a metric.
    pub(super) fn samples(&self, name: &'static str) -> impl Iterator<Item = Sample> {
        let of_name = self.totals.iter().filter(move |((known, _), _)| *known == name);
        of_name.map(|((_, labels), value)| (labels.clone(), *value))
    }
}

fn keyed(counts: Vec<Count>) -> BTreeMap<Key, f64> {
    let mut keyed = BTreeMap::new();
    for count in counts {
        *keyed.entry((count.name, count.labels)).or_default() += count.value;
    }
    keyed
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn totals_begin_at_zero_and_only_grow() {
        let queues = |counts: &[(&str, f64)]| -> Vec<(QueueName, Vec<Count>)> {
            let queue = |(name, value): &(&str, f64)| {
                (name.parse().expect("a name"), vec![Count { name: "x", labels: Vec::new(), value: *value }])
            };
            counts.iter().map(queue).collect()
        };
        let mut ledger = Ledger::default();
        ledger.begin(queues(&[("p/a", 1000.0)]));
        for (counts, total) in [
            (vec![("p/a", 1000.0)], 0.0),
            (vec![("p/a", 1003.0), ("p/b", 4.0)], 7.0),
            // One queue is no more, later another has its name.
            (vec![("p/b", 4.0)], 7.0),
            (vec![("p/a", 2.0), ("p/b", 5.0)], 10.0),
            (vec![("p/a", 1.0), ("p/b", 5.0)], 11.0),
        ] {
            ledger.follow(queues(&counts));
            let samples: Vec<f64> = ledger.samples("x").map(|(_, value)| value).collect();
            assert_eq!(samples, [total], "{counts:?}");
        }
        assert_eq!(ledger.samples("y").count(), 0);
    }
}
