//! Which way jobs go, case by case.

use super::fickle::Luck;
use super::*;
use crate::types::{Control, ControlError};

/// A sea that is away while it is told so.
pub(super) fn with_switch() -> (House, Arc<AtomicBool>) {
    let away = Arc::new(AtomicBool::new(false));
    let seen = Arc::clone(&away);
    (House::new(Sea::new(move |_| if seen.load(Relaxed) { Luck::LostBefore } else { Luck::Good })), away)
}

#[tokio::test]
async fn what_comes_while_it_is_away_follows_in_order_and_once() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    for n in 0..40 {
        away.store((10..30).contains(&n), Relaxed);
        assert_eq!(put(&spooled, job(n, (n % 4) as u64)).await, Ok(Enqueued::Accepted));
    }
    handed_over(&spooled).await;
    for line in 0..4 {
        let expected: Vec<u128> = (0..40).filter(|n| n % 4 == u128::from(line)).collect();
        assert_eq!(house.sea.queued(&queue(line)), expected);
    }
    let meters = spooled.meters();
    assert_eq!((meters.items, meters.bytes, meters.oldest, meters.full), (0, 0, None, false));
}

#[tokio::test]
async fn while_it_is_away_nobody_asks_it_for_every_request() {
    let (mut house, away) = with_switch();
    house.pace.pauses = [Duration::from_secs(3600); 2];
    let (_node, spooled) = house.start().await;
    away.store(true, Relaxed);
    for n in 0..1_000 {
        assert_eq!(put(&spooled, job(n, 0)).await, Ok(Enqueued::Accepted));
    }
    assert_eq!(house.sea.calls(), 1);
    assert_eq!(spooled.meters().items, 1_000);
    assert!(spooled.meters().away.is_some());
}

#[tokio::test]
async fn nobody_is_told_that_a_job_of_the_spool_is_not_there() {
    let (mut house, away) = with_switch();
    house.pace.pauses = [Duration::from_secs(3600); 2];
    let (_node, spooled) = house.start().await;
    away.store(true, Relaxed);
    assert_eq!(put(&spooled, job(1, 0)).await, Ok(Enqueued::Accepted));
    for control in [Control::Cancel { id: id_of(1) }, Control::Promote { id: id_of(1) }] {
        assert_eq!(spooled.control(control).await, Ok(Err(ControlError::InSpool)));
    }
    // What the spool does not have is the shared broker's to say.
    assert!(matches!(spooled.control(Control::Cancel { id: id_of(2) }).await, Err(BrokerError::Lost(_))));
}

#[tokio::test]
async fn a_call_that_hangs_is_answered_by_a_look() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    away.store(true, Relaxed);
    // The shared broker never answers these.
    assert!(matches!(spooled.stats().await, Err(BrokerError::Lost(_))));
    let resume = Control::Resume { queue: queue(1) };
    assert!(matches!(spooled.control(resume).await, Err(BrokerError::Lost(_))));
}

#[tokio::test]
async fn beyond_the_bound_nothing_is_taken_until_there_is_room() {
    let (mut house, away) = with_switch();
    house.limit = 1_000;
    let (_node, spooled) = house.start().await;
    away.store(true, Relaxed);
    let mut taken = Vec::new();
    for n in 0..100 {
        match put(&spooled, job(n, 0)).await {
            Ok(answer) => {
                assert_eq!(answer, Enqueued::Accepted);
                taken.push(n);
            }
            Err(error) => assert_eq!(error, BrokerError::SpoolFull),
        }
    }
    let meters = spooled.meters();
    assert!(meters.full && meters.bytes <= 1_000 && (5..50).contains(&taken.len()), "{meters:?}");
    away.store(false, Relaxed);
    handed_over(&spooled).await;
    assert_eq!(house.sea.queued(&queue(0)), taken);
    assert_eq!(put(&spooled, job(200, 0)).await, Ok(Enqueued::Accepted));
    assert!(!spooled.meters().full);
}

#[tokio::test]
async fn a_request_that_is_repeated_gets_its_first_answer() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    away.store(true, Relaxed);
    assert_eq!(put(&spooled, asked_for(job(1, 0), 9, 5)).await, Ok(Enqueued::Accepted));
    // While it is away, and when it is back.
    let again = Ok(Enqueued::Duplicate { of: id_of(1) });
    assert_eq!(put(&spooled, asked_for(job(2, 0), 9, 5)).await, again);
    let other = Ok(Enqueued::Conflict { of: id_of(1) });
    assert_eq!(put(&spooled, asked_for(job(3, 0), 9, 6)).await, other);
    let (view, payload) = spooled.job(id_of(1)).await.expect("an answer").expect("it is known");
    assert_eq!((view.queue, payload), (queue(0), Bytes::from("payload 1")));
    away.store(false, Relaxed);
    handed_over(&spooled).await;
    assert_eq!(put(&spooled, asked_for(job(4, 0), 9, 5)).await, again);
    assert_eq!(put(&spooled, asked_for(job(5, 0), 9, 6)).await, other);
    assert_eq!(house.sea.queued(&queue(0)), [1]);
}

#[tokio::test]
async fn what_is_refused_when_it_is_handed_over_is_told() {
    let (house, away) = with_switch();
    let (_node, spooled) = house.start().await;
    assert_eq!(put(&spooled, asked_for(job(1, 0), 9, 5)).await, Ok(Enqueued::Accepted));
    away.store(true, Relaxed);
    // It can't be known here that the request came before.
    assert_eq!(put(&spooled, asked_for(job(2, 0), 9, 6)).await, Ok(Enqueued::Accepted));
    assert_eq!(put(&spooled, job(3, 0)).await, Ok(Enqueued::Accepted));
    away.store(false, Relaxed);
    handed_over(&spooled).await;
    assert_eq!(house.sea.queued(&queue(0)), [1, 3, 2 | INSTEAD]);
    let told = house.told.lock().expect("no panic").clone();
    assert_eq!(told, [(2, Enqueued::Conflict { of: id_of(1) })]);
}

#[tokio::test]
async fn what_is_found_at_the_start_is_handed_over() {
    let (house, away) = with_switch();
    let (node, spooled) = house.start().await;
    away.store(true, Relaxed);
    for n in 0..50 {
        assert_eq!(put(&spooled, job(n, 1)).await, Ok(Enqueued::Accepted));
    }
    node.cut.store(true, Relaxed);
    spooled.close().await.expect("closes");
    drop(spooled);
    away.store(false, Relaxed);
    let (_node, spooled) = house.start().await;
    assert_eq!(put(&spooled, job(50, 1)).await, Ok(Enqueued::Accepted));
    handed_over(&spooled).await;
    assert_eq!(house.sea.queued(&queue(1)), (0..=50).collect::<Vec<u128>>());
}

#[tokio::test]
async fn a_payload_that_fits_no_envelope_is_refused_at_the_door() {
    let (house, _) = with_switch();
    let (_node, spooled) = house.start().await;
    let large = |bytes: usize| NewJob { payload: vec![7; bytes].into(), ..job(1, 0) };
    assert!(matches!(put(&spooled, large(4 << 20)).await, Err(BrokerError::TooLarge(_))));
    assert_eq!(put(&spooled, large((4 << 20) - 4096)).await, Ok(Enqueued::Accepted));
}
