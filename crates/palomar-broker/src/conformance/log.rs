//! The event log: what happened, in order, for readers that go on where they were.

use std::time::Duration;

use super::bench::{Bench, id, job, line, payload, seconds, settle, soon};
use crate::types::{Control, Cursor, Fact, JobState, LogEntry, NewJob, Outcome, Partition, Settle, Signal};

pub(super) async fn the_log_tells_a_job_s_whole_life(bench: Bench) {
    let due = bench.now().after(seconds(5));
    bench.accept([NewJob { run_at: Some(due), ..job(1) }, job(2)]).await;
    bench.pass(seconds(5)).await;
    let retry = bench.now().after(seconds(5));
    let second = bench.take(9).await;
    for taken in &second {
        bench.settle(taken, Outcome::Retry { at: retry, counts: true }).await;
    }
    bench.pass(seconds(5)).await;
    for taken in bench.take(9).await {
        let reason = "no".into();
        let last = if taken.lease.id == id(1) { Outcome::Done } else { Outcome::Dead { reason } };
        bench.settle(&taken, last).await;
    }
    bench.control(Control::RetryDead { id: id(2) }).await;
    bench.control(Control::Cancel { id: id(2) }).await;
    let tried = |attempt| [Fact::Started { attempt }, Fact::Requeued { at: retry }];
    let mut expected = vec![Fact::Enqueued { scheduled: true, payload: payload(1) }, Fact::Due];
    expected.extend(tried(1));
    expected.extend([Fact::Started { attempt: 2 }, Fact::Done]);
    assert_eq!(bench.life(1).await, expected);
    let mut expected = vec![Fact::Enqueued { scheduled: false, payload: payload(2) }];
    expected.extend(tried(1));
    expected.extend([
        Fact::Started { attempt: 2 },
        Fact::Dead { reason: "no".into() },
        Fact::Retried,
        Fact::Cancelled,
    ]);
    assert_eq!(bench.life(2).await, expected);
    let all = bench.facts(Cursor(0), 1_000).await;
    assert!(all.is_sorted_by(|a, b| a.cursor < b.cursor && a.at <= b.at), "numbers rise, times do not fall");
    assert!(all.iter().all(|fact| fact.queue == Some(line())));
}

pub(super) async fn reading_goes_on_after_any_cursor(bench: Bench) {
    for n in 1..=6_u128 {
        bench.accept((10 * n..10 * n + n).map(job)).await;
        let taken = bench.take(2).await;
        bench.done(&taken).await;
        bench.broker.log(vec!["a".into(), "b".into()]).await.expect("log");
    }
    let all = bench.facts(Cursor(0), 10_000).await;
    let end = bench.broker.stats().await.expect("stats").log_ends[bench.home().0 as usize];
    assert!(all.last().is_some_and(|last| last.cursor <= end));
    for (place, entry) in all.iter().enumerate() {
        let rest = &all[place + 1..];
        for limit in [1, 3, 10_000] {
            let read = bench.facts(entry.cursor, limit).await;
            assert_eq!(read, rest[..limit.min(rest.len())], "after {:?}, at most {limit}", entry.cursor);
        }
    }
    assert!(bench.facts(end, 10).await.is_empty());
}

pub(super) async fn outcome_and_events_are_one_step(bench: Bench) {
    bench.accept([job(1), job(2)]).await;
    let taken = bench.take(2).await;
    let events = vec!["sent".into(), "billed".into()];
    let settles = taken
        .iter()
        .map(|job| Settle { events: events.clone(), ..settle(job.lease, Outcome::Done) })
        .collect();
    bench.broker.settle(settles).await.expect("settle");
    for n in [1, 2] {
        let life = bench.life(n).await;
        let last = &life[life.len() - 3..];
        for expected in [Fact::Event("sent".into()), Fact::Event("billed".into()), Fact::Done] {
            assert!(last.contains(&expected), "{life:?}");
        }
    }
    // A stale settle logs nothing: its events travel with evidence.
    let stale = Settle { events: vec!["late".into()], ..settle(taken[0].lease, Outcome::Done) };
    assert!(bench.settle_with(stale).await.is_err());
    assert_eq!(bench.state(1).await, JobState::Done);
    assert!(!bench.life(1).await.contains(&Fact::Event("late".into())));
}

pub(super) async fn the_log_tells_of_queues(bench: Bench) {
    bench.accept([job(1)]).await;
    bench.control(Control::Pause { queue: line(), reason: "lunch".into() }).await;
    bench.control(Control::Resume { queue: line() }).await;
    for _ in 0..10 {
        let taken = bench.take_one().await;
        bench.signal(&taken, Outcome::Retry { at: bench.now(), counts: true }, Signal::Failure).await;
    }
    let until = bench.now().after(seconds(60));
    bench.pass(seconds(60)).await;
    let probe = bench.take_one().await;
    bench.signal(&probe, Outcome::Done, Signal::Success).await;
    let of_queue = |entry: &LogEntry| entry.job.is_none() && entry.queue == Some(line());
    let facts = bench.facts(Cursor(0), 1_000).await;
    let told: Vec<Fact> = facts.into_iter().filter(of_queue).map(|entry| entry.fact).collect();
    let paused = Fact::Paused { reason: "lunch".into() };
    assert_eq!(told, [paused, Fact::Resumed, Fact::BreakerOpened { until }, Fact::BreakerClosed]);
}

pub(super) async fn the_log_takes_events_of_no_job(bench: Bench) {
    let cursor = bench.broker.log(vec!["one".into(), "two".into()]).await.expect("log");
    let all = bench.facts_in(Partition::WHOLE, Cursor(0), 10).await;
    let expected = [Fact::Event("one".into()), Fact::Event("two".into())];
    assert_eq!(all.iter().map(|entry| entry.fact.clone()).collect::<Vec<_>>(), expected);
    assert!(all.iter().all(|entry| entry.cursor <= cursor && entry.job.is_none() && entry.queue.is_none()));
    let later = bench.broker.log(vec!["three".into()]).await.expect("log");
    assert!(later > cursor);
    let read = bench.facts_in(Partition::WHOLE, cursor, 10).await;
    assert_eq!(
        read.iter().map(|entry| entry.fact.clone()).collect::<Vec<_>>(),
        [Fact::Event("three".into())]
    );
}

pub(super) async fn a_reader_waits_for_a_fact(bench: Bench) {
    bench.accept([job(1)]).await;
    let end = bench.broker.stats().await.expect("stats").log_ends[bench.home().0 as usize];
    assert!(bench.facts(end, 10).await.is_empty(), "no wait, no fact");
    let mut waiting = bench.broker.events(bench.home(), end, 10, Duration::from_secs(3600));
    Bench::waits(&mut waiting);
    bench.accept([job(2)]).await;
    let facts = soon("a fact", waiting).await.expect("events");
    assert_eq!(facts.first().map(|entry| entry.job), Some(Some(id(2))));
}

pub(super) async fn what_was_acknowledged_is_not_needed_again(bench: Bench) {
    for n in 1..=20 {
        bench.accept([job(n)]).await;
        let taken = bench.take(1).await;
        bench.done(&taken).await;
    }
    let all = bench.facts(Cursor(0), 1_000).await;
    let half = all[all.len() / 2].cursor;
    bench.broker.acknowledge("reader", bench.home(), half).await.expect("acknowledge");
    let rest: Vec<_> = all.into_iter().filter(|entry| entry.cursor > half).collect();
    assert_eq!(bench.facts(half, 1_000).await, rest, "what it has not acknowledged stays");
}
