//! A disk that has no room, and stores that refuse: what was accepted leaves the spool all the same, and once.

use super::routing::with_switch;
use super::*;

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
