//! Requests that are repeated.

use super::bench::{Bench, id, job, seconds};
use crate::types::{Dedupe, Enqueued, NewJob};

fn request(n: u128, dedupe: u128, fingerprint: u64) -> NewJob {
    NewJob { dedupe: vec![Dedupe { id: dedupe, fingerprint, ttl: seconds(100) }], ..job(n) }
}

pub(super) async fn a_job_is_accepted_once(bench: Bench) {
    bench.accept([job(1)]).await;
    assert_eq!(bench.enqueue(vec![job(1)]).await, [Enqueued::Duplicate { of: id(1) }]);
    let taken = bench.take(9).await;
    assert_eq!(taken.len(), 1);
    assert_eq!(bench.enqueue(vec![job(1)]).await, [Enqueued::Duplicate { of: id(1) }], "while it runs");
    bench.done(&taken).await;
    assert_eq!(bench.enqueue(vec![job(1)]).await, [Enqueued::Duplicate { of: id(1) }], "while it is kept");
    assert!(bench.started().await.is_empty());
    assert_eq!(bench.stats().await.accepted, 1);
}

pub(super) async fn a_request_is_remembered_for_its_time(bench: Bench) {
    bench.accept([request(1, 7, 1)]).await;
    assert_eq!(bench.enqueue(vec![request(2, 7, 1)]).await, [Enqueued::Duplicate { of: id(1) }]);
    assert_eq!(bench.enqueue(vec![request(3, 7, 2)]).await, [Enqueued::Conflict { of: id(1) }]);
    // Longer than the job is kept.
    let taken = bench.take(9).await;
    bench.done(&taken).await;
    bench.control(crate::types::Control::Clean { filter: Default::default(), keep: 0 }).await;
    bench.pass(seconds(99)).await;
    assert_eq!(bench.enqueue(vec![request(4, 7, 1)]).await, [Enqueued::Duplicate { of: id(1) }]);
    let stats = bench.broker.stats().await.expect("stats");
    assert_eq!((stats.dedupe_ids, stats.dedupe_hits), (1, 3));
    bench.pass(seconds(1)).await;
    bench.accept([request(5, 7, 2)]).await;
    assert_eq!(bench.started().await, [5]);
}

pub(super) async fn a_request_is_known_by_each_of_its_identities(bench: Bench) {
    let both = |n, first: NewJob, second: NewJob| {
        let dedupe = first.dedupe.into_iter().chain(second.dedupe).collect();
        NewJob { dedupe, ..job(n) }
    };
    bench.accept([both(1, request(1, 7, 1), request(1, 8, 5))]).await;
    let of = id(1);
    for (repeated, answer) in [
        (request(2, 7, 1), Enqueued::Duplicate { of }),
        (request(2, 8, 5), Enqueued::Duplicate { of }),
        (request(2, 8, 6), Enqueued::Conflict { of }),
        (both(2, request(2, 9, 1), request(2, 8, 5)), Enqueued::Duplicate { of }),
        // The first that came before decides.
        (both(2, request(2, 7, 2), request(2, 8, 5)), Enqueued::Conflict { of }),
        (both(2, request(2, 8, 5), request(2, 7, 2)), Enqueued::Duplicate { of }),
        // What was refused is not remembered.
        (request(3, 9, 9), Enqueued::Accepted),
    ] {
        assert_eq!(bench.enqueue(vec![repeated]).await, [answer]);
    }
    assert_eq!(bench.started().await, [1, 3]);
}

pub(super) async fn a_batch_is_judged_job_by_job(bench: Bench) {
    let batch = vec![request(1, 7, 1), request(2, 7, 1), job(3), job(3), request(4, 8, 1), request(5, 7, 9)];
    let (accepted, of) = (Enqueued::Accepted, id(1));
    assert_eq!(
        bench.enqueue(batch).await,
        [
            accepted,
            Enqueued::Duplicate { of },
            accepted,
            Enqueued::Duplicate { of: id(3) },
            accepted,
            Enqueued::Conflict { of }
        ]
    );
    assert_eq!(bench.started().await, [1, 3, 4]);
    assert!(bench.enqueue(Vec::new()).await.is_empty());
}
