//! Random walks: calls are lost, late and refused, processes die anywhere. What was accepted is queued once, in order.

use std::collections::HashMap;

use super::fickle::Luck;
use super::*;

const STEPS: u64 = 400;
const LINES: u64 = 4;

/// The seed of a random test: `SEED` where it is set. It is printed, for the test to be run again with it.
#[expect(clippy::print_stdout, reason = "the runner shows it where the test fails")]
fn seed() -> u64 {
    use std::hash::{BuildHasher, Hasher};
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    println!("SEED={seed}");
    seed
}

/// A number that follows from others.
fn mixed(seed: u64, n: u64) -> u64 {
    let mut x = seed ^ n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

fn luck(seed: u64, call: u64) -> Luck {
    // Weather: fair and foul by turns of a dozen calls.
    let foul = mixed(seed, call / 12).is_multiple_of(2);
    match mixed(seed, call) % 8 {
        0 if foul => Luck::LostAfter,
        1 if foul => Luck::Late,
        2 if foul => Luck::NoRoom,
        3..=5 if foul => Luck::LostBefore,
        _ => Luck::Good,
    }
}

/// What was accepted: each queue's jobs, in order.
type Promised = HashMap<u64, Vec<u128>>;

async fn walk(seed: u64) {
    let house = House::new(Sea::new(move |call| luck(seed, call)));
    let mut promised = Promised::default();
    let (mut node, mut spooled) = house.start().await;
    for step in 0..STEPS {
        let draw = mixed(!seed, step);
        match draw % 16 {
            0 => {
                // It dies; what it sent may still arrive.
                node.cut.store(true, Relaxed);
                drop(spooled);
                (node, spooled) = house.start().await;
            }
            1 => house.sea.settle_down(),
            2..=4 => tokio::time::sleep(Duration::from_micros(draw >> 8 & 0x7ff)).await,
            _ => ask(&spooled, &mut promised, step, draw).await,
        }
    }
    house.sea.settle_down();
    handed_over(&spooled).await;
    house.sea.settle_down();
    let told = house.told.lock().expect("no panic");
    for line in 0..LINES {
        let queued = house.sea.queued(&queue(line));
        let itself: Vec<u128> = queued.iter().copied().filter(|n| n & INSTEAD == 0).collect();
        let promised = promised.remove(&line).unwrap_or_default();
        for n in &promised {
            let times = queued.iter().filter(|known| *known & !INSTEAD == *n).count();
            assert_eq!(times, 1, "job {n} of line {line} was queued {times} times; seed {seed}");
            let instead = !itself.contains(n);
            assert_eq!(instead, told.iter().any(|(of, _)| of == n), "job {n}; seed {seed}");
        }
        // What nobody was promised may be there: its caller was told that it is not known.
        let order: Vec<u128> = itself.into_iter().filter(|n| promised.contains(n)).collect();
        assert!(order.is_sorted(), "line {line} is out of order; seed {seed}: {order:?}");
    }
}

async fn ask(spooled: &Spooled, promised: &mut Promised, step: u64, draw: u64) {
    let line = draw >> 8 & (LINES - 1);
    let first = u128::from(step) * 10;
    let count = u128::from(draw >> 16 & 3) + 1;
    let request = u128::from(draw >> 24 & 0x1f) | 1 << 80;
    let fingerprint = draw >> 32 & 1;
    let mut jobs: Vec<NewJob> = (first..first + count).map(|n| job(n, line)).collect();
    if draw >> 40 & 1 == 1 {
        jobs.truncate(1);
        // A request belongs to one queue.
        jobs = jobs
            .into_iter()
            .map(|job| asked_for(job, request | u128::from(line) << 90, fingerprint))
            .collect();
    }
    let Ok(answers) = spooled.enqueue(jobs.clone()).await else { return };
    for (job, answer) in jobs.iter().zip(answers) {
        let n = job.id.0.as_u128();
        match answer {
            Enqueued::Accepted => promised.entry(line).or_default().push(n),
            Enqueued::Duplicate { of } => assert!(of != job.id && !job.dedupe.is_empty(), "step {step}"),
            Enqueued::Conflict { .. } => assert!(!job.dedupe.is_empty(), "step {step}"),
        }
    }
}

#[tokio::test]
async fn what_was_accepted_is_queued_once_and_in_order() {
    for seed in [1, 2, 3, 5, 8, 13, 21, 34, seed()] {
        walk(seed).await;
    }
}
