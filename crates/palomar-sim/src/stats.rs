//! What the simulator counts about itself.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use serde::Serialize;

use crate::lock;

/// Counters at one moment; `GET /_sim/stats` shows them in camelCase.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Stats {
    /// Requests to the provider's own paths, all together.
    pub requests: u64,
    /// The same by what was answered: `200`, `400/131009` (status and code), `hang`, `reset_after_accept`, …
    pub answers: BTreeMap<String, u64>,
    /// Requests that are being answered now (hanging ones too).
    pub in_flight: u64,
    /// The most there ever were at once.
    pub max_in_flight: u64,
    /// Messages in the ledger.
    pub accepted: u64,
    /// Messages refused because the throughput of the number was reached; those of faults and magic recipients are not counted here.
    pub over_throughput: u64,
    /// Messages refused by the pair limit.
    pub over_pair_limit: u64,
    /// The webhooks.
    pub webhooks: WebhookStats,
}

/// Counters of the webhooks.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WebhookStats {
    /// POSTs made, repeated ones too.
    pub posts: u64,
    /// POSTs answered with 200.
    pub ok: u64,
    /// POSTs answered otherwise, or not at all.
    pub failed: u64,
    /// Webhooks given up.
    pub abandoned: u64,
    /// Statuses inside the POSTs answered with 200.
    pub statuses: u64,
    /// Statuses and POSTs that are waiting for their time.
    pub waiting: u64,
    /// POSTs that are under way.
    pub in_flight: u64,
}

/// The counters of requests.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    answers: Mutex<BTreeMap<(u16, u32), u64>>,
    faults: Mutex<BTreeMap<&'static str, u64>>,
    requests: AtomicU64,
    in_flight: AtomicU64,
    max_in_flight: AtomicU64,
    over_throughput: AtomicU64,
    over_pair_limit: AtomicU64,
}

/// A request under way; it is no longer when this is dropped.
#[derive(Debug)]
pub(crate) struct Underway<'c>(&'c Counters);

impl Drop for Underway<'_> {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Counters {
    pub(crate) fn begin(&self) -> Underway<'_> {
        self.requests.fetch_add(1, Ordering::Relaxed);
        let now = self.in_flight.fetch_add(1, Ordering::Relaxed) + 1;
        self.max_in_flight.fetch_max(now, Ordering::Relaxed);
        Underway(self)
    }

    /// Requests that are being answered now.
    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(Ordering::Relaxed)
    }

    /// Counts an answer with this HTTP status and error code (0 for none).
    pub(crate) fn answered(&self, status: u16, code: u32) {
        *lock(&self.answers).entry((status, code)).or_default() += 1;
    }

    /// Counts an answer that was spoiled.
    pub(crate) fn spoiled(&self, fault: &'static str) {
        *lock(&self.faults).entry(fault).or_default() += 1;
    }

    /// Counts a message that a limit refused.
    pub(crate) fn over_limit(&self, code: u32) {
        let counter = if code == 131_056 { &self.over_pair_limit } else { &self.over_throughput };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Back to zero, but for what is under way.
    pub(crate) fn reset(&self) {
        lock(&self.answers).clear();
        lock(&self.faults).clear();
        for counter in [&self.requests, &self.max_in_flight, &self.over_throughput, &self.over_pair_limit] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn snapshot(&self, accepted: usize, webhooks: WebhookStats) -> Stats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let name = |(status, code): &(u16, u32)| match code {
            0 => status.to_string(),
            code => format!("{status}/{code}"),
        };
        let mut answers: BTreeMap<String, u64> =
            lock(&self.answers).iter().map(|(key, count)| (name(key), *count)).collect();
        answers.extend(lock(&self.faults).iter().map(|(fault, count)| ((*fault).to_owned(), *count)));
        Stats {
            requests: get(&self.requests),
            answers,
            in_flight: get(&self.in_flight),
            max_in_flight: get(&self.max_in_flight),
            accepted: accepted as u64,
            over_throughput: get(&self.over_throughput),
            over_pair_limit: get(&self.over_pair_limit),
            webhooks,
        }
    }
}
