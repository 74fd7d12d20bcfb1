//! How late a job starts that was due later, and what it costs: alone, and among many that are due much later.
//!
//! The same number of jobs falls due in each run, at a pace that the worker easily keeps up with; only how many sleep
//! beside them differs. Where the cost goes with what is due, and not with what sleeps, the lines say the same.

use std::sync::Arc;
use std::time::Duration;

use anyhow::ensure;
use palomar_broker::{NewJob, Outcome};
use palomar_model::Timestamp;
use serde_json::json;

use super::stage::{
    Bench, Counter, PAYLOAD_MEMORY, Seen, fill, queue, stamp, stamped, stop, wide_open, worker,
};
use super::store::Store;
use crate::bench::measure::percentiles;

/// Jobs that fall due in a second at most.
const PACE: u64 = 20_000;
/// How long jobs fall due at least.
const SHORTEST: Duration = Duration::from_secs(5);
/// When those are due that are not to fall due.
const MUCH_LATER: Duration = Duration::from_secs(3600);

/// How the times at which jobs are due go with the order in which they were added.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    /// First added, first due: a campaign.
    AsAdded,
    /// Those that are due one after the other were added far apart: appointments.
    Scattered,
}

impl Order {
    const ALL: [Order; 2] = [Order::AsAdded, Order::Scattered];

    fn as_str(self) -> &'static str {
        match self {
            Order::AsAdded => "as_added",
            Order::Scattered => "scattered",
        }
    }
}

/// When each of `n` jobs is due: at even distances, from `first` on.
#[derive(Clone, Copy, Debug)]
struct Schedule {
    first: Timestamp,
    over: Duration,
    n: usize,
    order: Order,
}

impl Schedule {
    /// For `n` jobs that are added from now on: there is as much time to add them as they then take to fall due.
    fn from(now: Timestamp, n: usize, order: Order) -> Schedule {
        let over = Duration::from_micros(n as u64 * 1_000_000 / PACE).max(SHORTEST);
        Schedule { first: now.after(over), over, n, order }
    }

    /// When the `i`th is due.
    fn due(&self, i: usize) -> Timestamp {
        /// A large prime: a step of it takes each turn once where `n` is no multiple of it.
        const STEP: u64 = 7_368_787;
        let (i, n) = (i as u64, self.n as u64);
        let turn = match self.order {
            Order::AsAdded => i,
            Order::Scattered => i * STEP % n,
        };
        self.first.after(Duration::from_micros(self.over.as_micros() as u64 * turn / n))
    }
}

/// Runs each size in both orders.
pub(super) async fn run(bench: &Bench) -> anyhow::Result<()> {
    let sizes = &bench.options.delayed;
    let falling_due = sizes.iter().copied().min().unwrap_or(0);
    for &size in sizes {
        for order in Order::ALL {
            let store = bench.open(PAYLOAD_MEMORY).await?;
            wide_open(&*store.broker, &queue("wa"), 50).await?;
            let name = |step: &str| format!("delayed_{}_{size}_{step}", order.as_str());
            let schedule = added(bench, &store, size, falling_due, order, &name("fill")).await?;
            late(bench, &store, schedule, &name("late")).await?;
            store.remove().await?;
        }
    }
    Ok(())
}

/// Adds jobs that are delayed. What memory each takes, the part `memory` tells: here are payloads and buffers in it.
async fn added(
    bench: &Bench,
    store: &Store,
    size: usize,
    falling_due: usize,
    order: Order,
    what: &str,
) -> anyhow::Result<Schedule> {
    let measurement = bench.begin().await?;
    let much_later = bench.clock.now().after(MUCH_LATER);
    let sleep = |job: &mut NewJob, i: usize| {
        job.run_at = Some(much_later.after(Duration::from_millis(i as u64)));
    };
    fill(bench, &*store.broker, size - falling_due, sleep).await?;
    let schedule = Schedule::from(bench.clock.now(), falling_due, order);
    let fall_due = |job: &mut NewJob, i: usize| {
        let due = schedule.due(i);
        job.run_at = Some(due);
        stamp(job, due.micros() as u64);
    };
    fill(bench, &*store.broker, falling_due, fall_due).await?;
    bench.end(measurement, what, size, json!({})).await?;
    ensure!(
        bench.clock.now() < schedule.first,
        "this disk is too slow: the first of {falling_due} jobs was due before all were added; give smaller sizes with \
         --delayed"
    );
    Ok(schedule)
}

/// From the moment at which a job is due to the start of its handler, and what the processor spends on each.
async fn late(bench: &Bench, store: &Store, schedule: Schedule, what: &str) -> anyhow::Result<()> {
    let laps = Seen::new();
    let counter = Counter::new(schedule.n);
    let (seen, clock) = (laps.clone(), Arc::clone(&bench.clock));
    let worker = worker(&store.broker, 50, &counter, move |job| {
        seen.push(clock.now().since(Timestamp::from_micros(stamped(job) as i64)));
        Outcome::Done
    });
    tokio::time::sleep(schedule.first.since(bench.clock.now())).await;
    let measurement = bench.begin().await?;
    counter.all().await;
    stop(worker).await;
    bench.end(measurement, what, schedule.n, percentiles(&mut laps.take())).await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jobs_fall_due_at_even_distances_in_either_order() {
        let now = Timestamp::from_seconds(1_000_000);
        for (n, over, apart) in [(1, 5, 5_000_000), (1_000, 5, 5_000), (200_000, 10, 50)] {
            for order in Order::ALL {
                let schedule = Schedule::from(now, n, order);
                let mut due: Vec<i64> = (0..n).map(|i| schedule.due(i).micros()).collect();
                assert_eq!(due.is_sorted(), order == Order::AsAdded || n == 1, "{n} {order:?}");
                due.sort_unstable();
                assert_eq!(due[0], now.after(Duration::from_secs(over)).micros(), "{n} {order:?}");
                assert!(due.windows(2).all(|pair| pair[1] - pair[0] == apart), "{n} {order:?}");
            }
        }
    }
}
