//! What can be seen: jobs, explanations, numbers.

use super::bench::{Bench, LEASE, grouped, id, job, keyed, line, named, payload, seconds};
use crate::types::{Control, Hold, JobFilter, JobState, JobView, Limits, NewJob, Outcome, Window};

pub(super) async fn a_job_is_shown_while_it_is_known(bench: Bench) {
    bench.accept([grouped(1, "g")]).await;
    let enqueued_at = bench.now();
    bench.pass(seconds(5)).await;
    let taken = bench.take_one().await;
    let (view, shown) = bench.broker.job(id(1)).await.expect("job").expect("a job that is known");
    let expected = JobView {
        id: id(1),
        seq: view.seq,
        queue: line(),
        group: Some("g".into()),
        priority: palomar_model::Priority::Normal,
        state: JobState::Started,
        attempts: 1,
        token: taken.lease.token,
        when: Some(bench.now().after(LEASE)),
        enqueued_at,
        reason: None,
    };
    assert_eq!((view, shown), (expected, payload(1)));
    assert_eq!(bench.broker.job(id(2)).await, Ok(None));
    assert_eq!(bench.broker.explain(id(2)).await, Ok(None));
}

pub(super) async fn explanations_name_what_holds_a_job(bench: Bench) {
    let later = bench.now().after(seconds(100));
    bench
        .accept([NewJob { run_at: Some(later), ..job(1) }, keyed(2, "a"), keyed(3, "a"), grouped(4, "g")])
        .await;
    assert_eq!(bench.explain(1).await.holds, [Hold::Scheduled { at: later }]);
    assert_eq!(bench.explain(3).await.holds, [Hold::Order { behind: id(2) }]);
    bench.control(Control::PauseGroup { queue: line(), group: "g".into() }).await;
    assert_eq!(bench.explain(4).await.holds.first(), Some(&Hold::GroupPaused));
    let leased = bench.lease_one().await;
    let until = bench.now().after(LEASE);
    assert_eq!(bench.explain(2).await.holds, [Hold::Leased { until }]);
    bench.start(leased.lease).await.expect("start");
    bench.settle(&leased, Outcome::Retry { at: later, counts: true }).await;
    assert_eq!(bench.explain(2).await.holds, [Hold::Backoff { at: later }]);
    bench.control(Control::Pause { queue: line(), reason: "lunch".into() }).await;
    assert!(
        bench.explain(2).await.holds.contains(&Hold::Paused { reason: "lunch".into() }),
        "all of them are named"
    );
    bench.control(Control::Resume { queue: line() }).await;
    bench.pass(seconds(100)).await;
    for taken in bench.take(9).await {
        bench.settle(&taken, Outcome::Uncertain).await;
    }
    assert!(matches!(bench.explain(2).await.holds[..], [Hold::Uncertain { until: Some(_) }]));
    bench.pass(seconds(3600)).await;
    assert_eq!(bench.explain(2).await.holds, [Hold::Uncertain { until: None }], "it waits for a person");
}

pub(super) async fn a_time_is_given_where_one_is_known(bench: Bench) {
    let window = Window { max: 2, window: seconds(10) };
    bench.configure(Limits { windows: vec![window], margin_permille: 0, ..Limits::default() }).await;
    bench.accept((1..=7).map(job)).await;
    let begun = bench.now();
    let taken = bench.take(9).await;
    bench.done(&taken).await;
    let explanation = bench.explain(7).await;
    assert_eq!((explanation.ahead, explanation.expected_at), (4, Some(begun.after(seconds(30)))));
    assert!(explanation.holds.iter().any(|hold| matches!(hold, Hold::Window { .. })), "{explanation:?}");
    for _ in 0..3 {
        bench.pass(seconds(10)).await;
        let taken = bench.take(9).await;
        bench.done(&taken).await;
    }
    assert_eq!(bench.state(7).await, JobState::Done, "it went at that time");
    bench.accept([job(8)]).await;
    bench.control(Control::Pause { queue: line(), reason: "lunch".into() }).await;
    assert_eq!(bench.explain(8).await.expected_at, None, "only a person can tell");
}

pub(super) async fn jobs_are_paged_in_the_order_of_arrival(bench: Bench) {
    for batch in [1..=10, 11..=25, 26..=30] {
        bench.accept(batch.map(job)).await;
    }
    let (mut after, mut seen) = (0, Vec::new());
    loop {
        let page = bench.broker.jobs(JobFilter::default(), after, 7).await.expect("jobs");
        assert!(page.len() <= 7 && page.is_sorted_by_key(|job| job.seq));
        let Some(last) = page.last() else { break };
        after = last.seq;
        seen.extend(page.iter().map(|job| job.id.0.as_u128()));
        // What finishes meanwhile moves no page.
        let taken = bench.take(3).await;
        bench.done(&taken).await;
    }
    assert_eq!(seen, (1..=30).collect::<Vec<_>>());
}

pub(super) async fn jobs_are_filtered(bench: Bench) {
    bench.accept([job(1), grouped(2, "g"), NewJob::new(id(3), named("other"), "x")]).await;
    bench.pass(seconds(10)).await;
    bench.accept([job(4)]).await;
    let taken = bench.take_one().await;
    bench.settle(&taken, Outcome::Dead { reason: "131026: not on WhatsApp".into() }).await;
    let dead = taken.lease.id.0.as_u128();
    let all = JobFilter::default;
    assert_eq!(bench.jobs(JobFilter { queue: Some(named("other")), ..all() }).await, [3]);
    assert_eq!(bench.jobs(JobFilter { pool: Some("outbound".into()), ..all() }).await, [1, 2, 3, 4]);
    assert_eq!(bench.jobs(JobFilter { pool: Some("hooks".into()), ..all() }).await, [0; 0]);
    assert_eq!(bench.jobs(JobFilter { group: Some("g".into()), ..all() }).await, [2]);
    assert_eq!(bench.jobs(JobFilter { states: vec![JobState::Dead], ..all() }).await, [dead]);
    assert_eq!(bench.jobs(JobFilter { reason: Some("131026".into()), ..all() }).await, [dead]);
    let queued = JobFilter { states: vec![JobState::Queued, JobState::Dead], ..all() };
    assert_eq!(bench.jobs(queued).await, [1, 2, 3, 4]);
    for n in [2, dead] {
        assert_eq!(bench.jobs(JobFilter { id: Some(id(n)), ..all() }).await, [n]);
    }
    let of_another = JobFilter { id: Some(id(2)), queue: Some(named("other")), ..all() };
    assert_eq!(bench.jobs(of_another).await, [0; 0]);
    assert_eq!(bench.jobs(JobFilter { id: Some(id(77)), ..all() }).await, [0; 0]);
}

pub(super) async fn jobs_are_filtered_by_when_they_were_queued_and_ended(bench: Bench) {
    let begun = bench.now();
    for n in 1..=4 {
        bench.accept([job(n)]).await;
        bench.pass(seconds(10)).await;
    }
    // The third ends first, the first last; the fourth waits.
    let taken = bench.take(3).await;
    for (place, reason) in [(2, "c"), (1, "b"), (0, "a")] {
        bench.settle(&taken[place], Outcome::Dead { reason: reason.into() }).await;
        bench.pass(seconds(10)).await;
    }
    let at = |after| Some(begun.after(seconds(after)));
    let queued = |after| JobFilter { before: at(after), ..JobFilter::default() };
    for (after, expected) in [(0, &[][..]), (1, &[1]), (10, &[1]), (21, &[1, 2, 3]), (100, &[1, 2, 3, 4])] {
        assert_eq!(bench.jobs(queued(after)).await, expected, "queued before {after} s");
    }
    let ended = |after| JobFilter { ended_before: at(after), ..JobFilter::default() };
    for (after, expected) in [(40, &[][..]), (41, &[3]), (51, &[2, 3]), (100, &[1, 2, 3])] {
        assert_eq!(bench.jobs(ended(after)).await, expected, "ended before {after} s");
    }
    assert_eq!(bench.control(Control::RetryAll(queued(10))).await.changed, 1);
    assert_eq!(bench.state(1).await, JobState::Queued);
    assert_eq!(bench.control(Control::Purge(ended(51))).await.changed, 2, "of those that are dead still");
    assert_eq!(bench.control(Control::CancelAll(queued(31))).await.changed, 2);
    assert_eq!(bench.jobs(JobFilter::default()).await, [1, 4]);
}

pub(super) async fn the_oldest_that_is_ready_is_told_by_priority(bench: Bench) {
    use palomar_model::Priority::{Critical, High, Low};
    let begun = bench.now();
    let of = |n, priority| NewJob { priority, ..job(n) };
    let in_group = |n, priority| NewJob { priority, ..grouped(n, "g") };
    let at = |after| Some(begun.after(seconds(after)));
    let ready = async || bench.stats().await.oldest_ready;
    // What is due later waits since then, whenever it was accepted.
    bench.accept([NewJob { run_at: at(50), ..of(1, High) }, in_group(2, High), of(3, Low)]).await;
    assert_eq!(ready().await, [None, at(0), None, at(0)]);
    bench.control(Control::PauseGroup { queue: line(), group: "g".into() }).await;
    assert_eq!(ready().await, [None, None, None, at(0)], "what is held for a while waits for nobody");
    bench.pass(seconds(20)).await;
    bench.accept([of(4, Critical), in_group(5, Critical)]).await;
    bench.pass(seconds(40)).await;
    assert_eq!(ready().await, [at(20), at(50), None, at(0)]);
    // A dead letter that is retried waits since then.
    let taken = bench.take_one().await;
    assert_eq!(taken.lease.id, id(4));
    bench.settle(&taken, Outcome::Dead { reason: "no".into() }).await;
    assert_eq!(ready().await, [None, at(50), None, at(0)]);
    bench.control(Control::RetryDead { id: id(4) }).await;
    assert_eq!(ready().await, [at(60), at(50), None, at(0)]);
    bench.control(Control::ResumeGroup { queue: line(), group: "g".into() }).await;
    assert_eq!(ready().await, [at(20), at(0), None, at(0)]);
}

pub(super) async fn accepted_is_live_and_final(bench: Bench) {
    let now = bench.now();
    bench.accept((1..=6).map(job)).await;
    bench.accept([NewJob { run_at: Some(now.after(seconds(50))), ..job(7) }]).await;
    bench.accept([NewJob { expires_at: Some(now.after(seconds(5))), ..job(8) }]).await;
    let taken = bench.take(4).await;
    bench.settle(&taken[0], Outcome::Done).await;
    bench.settle(&taken[1], Outcome::Dead { reason: "no".into() }).await;
    bench.settle(&taken[2], Outcome::Uncertain).await;
    bench.control(Control::Cancel { id: id(5) }).await;
    bench.pass(seconds(10)).await;
    let stats = bench.stats().await;
    for (state, count) in JobState::ALL.into_iter().zip([1, 1, 1, 1, 1, 1, 1, 1]) {
        assert_eq!(stats.counts[state as usize], count, "{state:?}");
    }
    let live: u64 = stats.counts[..4].iter().sum();
    assert_eq!(stats.accepted, live + stats.finished.iter().sum::<u64>(), "I1");
    assert_eq!((stats.accepted, stats.starts, stats.leased), (8, 4, 0));
    assert_eq!((stats.waiting, stats.oldest_waiting), ([0, 0, 1, 0], Some(now)));
}
