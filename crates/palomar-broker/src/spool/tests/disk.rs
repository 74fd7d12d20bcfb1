//! A disk that has no room, and stores that refuse: what was accepted leaves the spool all the same, and once.

use tokio::time::Instant;
use tracing::span::{Attributes, Id, Record};
use tracing::{Event, Level, Metadata, Subscriber};

use super::fickle::Luck;
use super::routing::with_switch;
use super::*;

/// Counts what a person reads in the log.
#[derive(Clone, Default)]
struct Lines(Arc<AtomicU64>);

impl Subscriber for Lines {
    fn enabled(&self, line: &Metadata<'_>) -> bool {
        *line.level() <= Level::INFO
    }
    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }
    fn record(&self, _: &Id, _: &Record<'_>) {}
    fn record_follows_from(&self, _: &Id, _: &Id) {}
    fn event(&self, _: &Event<'_>) {
        self.0.fetch_add(1, Relaxed);
    }
    fn enter(&self, _: &Id) {}
    fn exit(&self, _: &Id) {}
}

#[tokio::test]
async fn queues_without_room_are_there_and_are_not_asked_all_the_time() {
    let lines = Lines::default();
    let _read = tracing::subscriber::set_default(lines.clone());
    let luck = Arc::new(Mutex::new(Luck::LostBefore));
    let seen = Arc::clone(&luck);
    let mut house = House::new(Sea::new(move |_| *seen.lock().expect("no panic")));
    house.pace.pauses = [Duration::from_millis(20), Duration::from_secs(1)];
    let (_node, spooled) = house.start().await;
    assert_eq!(put(&spooled, job(1, 0)).await, Ok(Enqueued::Accepted));
    assert!(matches!(spooled.explain(id_of(1)).await, Err(BrokerError::Lost(_))));
    *luck.lock().expect("no panic") = Luck::NoRoom;
    while spooled.meters().stuck.is_none() {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let (told, called, begun) = (lines.0.load(Relaxed), house.sea.calls(), Instant::now());
    while house.sea.calls() < called + 7 {
        let meters = spooled.meters();
        assert!(meters.away.is_none() && meters.stuck.is_some(), "{meters:?}");
        // What a person asks for goes through, and more is taken in.
        assert_eq!(spooled.explain(id_of(1)).await, Ok(None));
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    // Of two calls one asks what became of the other: each pause is made twice, then doubled.
    let pauses = [20, 20, 40, 40, 80, 80, 160].map(Duration::from_millis);
    let took = begun.elapsed();
    assert!(took >= pauses[2..].iter().sum(), "{took:?}");
    assert_eq!(lines.0.load(Relaxed), told, "it was said once");
    *luck.lock().expect("no panic") = Luck::Good;
    assert_eq!(put(&spooled, job(2, 0)).await, Ok(Enqueued::Accepted));
    handed_over(&spooled).await;
    assert_eq!(house.sea.queued(&queue(0)), [1, 2]);
    assert_eq!(spooled.meters().stuck, None);
}

#[tokio::test]
async fn a_full_disk_drains() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    assert_eq!(put(&spooled, asked_for(job(1, 0), 9, 5)).await, Ok(Enqueued::Accepted));
    away.store(true, Relaxed);
    // It can't be known here that the request came before: something is to stand for this one later.
    assert_eq!(put(&spooled, asked_for(job(2, 0), 9, 6)).await, Ok(Enqueued::Accepted));
    assert_eq!(put(&spooled, job(3, 0)).await, Ok(Enqueued::Accepted));
    spooled.store.fill_disk().await.expect("full");
    assert_eq!(put(&spooled, job(4, 0)).await, Err(BrokerError::SpoolFull));
    away.store(false, Relaxed);
    let drained = tokio::time::timeout(PATIENCE, handed_over(&spooled)).await;
    assert!(drained.is_ok(), "{:?}", spooled.meters());
    assert_eq!(house.sea.queued(&queue(0)), [1, 3, 2 | INSTEAD]);
}

#[tokio::test]
async fn a_call_that_was_done_is_not_made_again_where_the_spool_can_not_be_written() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    assert_eq!(put(&spooled, asked_for(job(1, 0), 9, 5)).await, Ok(Enqueued::Accepted));
    away.store(true, Relaxed);
    assert_eq!(put(&spooled, job(2, 0)).await, Ok(Enqueued::Accepted));
    assert_eq!(put(&spooled, asked_for(job(3, 0), 9, 6)).await, Ok(Enqueued::Accepted));
    house.stumbles.store(true, Relaxed);
    away.store(false, Relaxed);
    handed_over(&spooled).await;
    assert!(!house.stumbles.load(Relaxed), "what stands for a job was refused once");
    assert_eq!(house.sea.queued(&queue(0)), [1, 2, 3 | INSTEAD]);
}
