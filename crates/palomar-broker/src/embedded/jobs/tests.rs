//! Jobs on disk against a model: whatever goes in whatever order, the tables hold what is wanted.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::{MessageId, Priority, Timestamp};
use proptest::prelude::*;

use super::*;
use crate::machine::Spec;

fn rows(from: u64, count: u64) -> Vec<NewRow> {
    let row = |seq| NewRow {
        seq,
        spec: Spec {
            id: MessageId(uuid::Uuid::from_u128(u128::from(seq))),
            queue: 0,
            priority: Priority::Normal,
            group: None,
            key: 0,
            run_at: None,
            expires_at: None,
            on_uncertain: crate::OnUncertain::Hold,
            spends_budget: false,
            enqueued_at: Timestamp::EPOCH,
            dedupe: Vec::new(),
        },
        payload: vec![seq as u8; (seq as usize * 37) % 4_000].into(),
    };
    (from..from + count).map(row).collect()
}

fn standing(when: i64) -> Standing {
    Standing {
        phase: crate::machine::PhaseTag::Backoff,
        when: Timestamp::from_micros(when),
        token: 1,
        attempts: 1,
        strikes: 0,
        reason: None,
        vouched: None,
        started: 1,
        expires: true,
        duplicated: false,
    }
}

/// What the tables hold: jobs that are wanted, and the standing of each that has one.
fn held(db: &Connection, index: &Index) -> (BTreeMap<u64, Option<Standing>>, Counted) {
    let (mut jobs, mut counted) = (BTreeMap::new(), Counted::default());
    let mut select = db.prepare("SELECT first, heads FROM batch ORDER BY first").expect("prepares");
    let mut rows = select.query([]).expect("queries");
    while let Some(row) = rows.next().expect("reads") {
        let first = row.get::<_, i64>(0).expect("a number") as u64;
        counted.batches.add(first);
        let body: Vec<u8> = row.get(1).expect("a body");
        let (records, damaged) = batch::read(first, &body);
        assert_eq!(damaged, []);
        for record in records {
            assert_eq!(index.find(record.seq), Some(first), "the index leads to job {}", record.seq);
            jobs.insert(record.seq, None);
        }
    }
    let mut select = db.prepare("SELECT seq, body FROM standing").expect("prepares");
    let mut rows = select.query([]).expect("queries");
    while let Some(row) = rows.next().expect("reads") {
        let seq = row.get::<_, i64>(0).expect("a number") as u64;
        counted.standings.add(seq);
        let body: Vec<u8> = row.get(1).expect("a body");
        match read_standing(&body, seq).expect("is whole") {
            Some(standing) => *jobs.get_mut(&seq).expect("a job for each standing") = Some(standing),
            None => assert!(jobs.remove(&seq).is_some(), "a job for each mark"),
        }
    }
    (jobs, counted)
}

#[derive(Clone, Debug)]
enum Step {
    Insert(u64),
    /// Of every so many jobs one moves and the next goes.
    Fold {
        every: u64,
        at: u64,
    },
    /// All up to here go.
    Drain(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        (1..120_u64).prop_map(Step::Insert),
        (2..9_u64, 0..9_u64).prop_map(|(every, at)| Step::Fold { every, at }),
        (0..400_u64).prop_map(Step::Drain),
    ];
    prop::collection::vec(step, 1..40)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]
    #[test]
    fn the_tables_hold_what_is_wanted(steps in steps()) {
        let db = Connection::open_in_memory().expect("opens");
        db.execute_batch(SCHEMA).expect("creates");
        let mut jobs = Jobs::default();
        let mut model: BTreeMap<u64, Option<Standing>> = BTreeMap::new();
        let mut next = 1;
        for (n, step) in steps.into_iter().enumerate() {
            let (mut standings, mut gone) = (Vec::new(), BTreeSet::new());
            match step {
                Step::Insert(count) => {
                    jobs.insert(&db, &rows(next, count)).expect("inserts");
                    jobs.committed();
                    model.extend((next..next + count).map(|seq| (seq, None)));
                    next += count;
                }
                Step::Fold { every, at } => {
                    gone.extend(model.keys().copied().filter(|seq| seq % every == at % every));
                    let moved = model.keys().filter(|&seq| (seq + 1) % every == at % every);
                    standings.extend(moved.map(|&seq| (seq, standing(n as i64))));
                }
                Step::Drain(to) => gone.extend(model.range(..to).map(|(&seq, _)| seq)),
            }
            standings.retain(|(seq, _)| !gone.contains(seq));
            let gone: Vec<u64> = gone.into_iter().collect();
            let folding = jobs.fold(&db, &standings, &gone).expect("folds");
            jobs.folded(folding);
            for seq in &gone {
                model.remove(seq);
            }
            for (seq, standing) in standings {
                model.insert(seq, Some(standing));
            }
            let (held, counted) = held(&db, &jobs.index);
            prop_assert_eq!(&held, &model);
            prop_assert_eq!(counted, jobs.counted);
            let on_disk: i64 = db.query_row("SELECT count(*) FROM batch", [], |row| row.get(0)).expect("counts");
            prop_assert_eq!(on_disk as usize, jobs.index.batches.len() - jobs.index.gone);
        }
    }
}

#[test]
fn what_is_no_more_takes_little_room() {
    let db = Connection::open_in_memory().expect("opens");
    db.execute_batch(SCHEMA).expect("creates");
    let mut jobs = Jobs::default();
    jobs.insert(&db, &rows(1, 2_000)).expect("inserts");
    jobs.committed();
    let size = || {
        db.query_row("SELECT sum(length(heads) + length(payloads)) FROM batch", [], |row| {
            row.get::<_, i64>(0)
        })
        .expect("sums")
    };
    let whole = size();
    // One in ten stays: a late retry, a dead letter.
    for rest in 1..10 {
        let gone: Vec<u64> = (1..=2_000).filter(|seq| seq % 10 == rest).collect();
        let folding = jobs.fold(&db, &[], &gone).expect("folds");
        jobs.folded(folding);
    }
    assert!(size() * 4 <= whole, "{} of {whole} bytes for a tenth of the jobs", size());
}

#[test]
fn batches_that_get_hollow_at_once_are_written_anew_one_after_the_other() {
    let db = Connection::open_in_memory().expect("opens");
    db.execute_batch(SCHEMA).expect("creates");
    let mut jobs = Jobs::default();
    // Without payloads, many are in a batch.
    let rows: Vec<NewRow> =
        rows(1, 16_000).into_iter().map(|row| NewRow { payload: Bytes::new(), ..row }).collect();
    jobs.insert(&db, &rows).expect("inserts");
    jobs.committed();
    let mut drop_jobs = |of: std::ops::Range<u64>| {
        let gone: Vec<u64> = (1..=16_000).filter(|seq| of.contains(&(seq % 100))).collect();
        let folding = jobs.fold(&db, &[], &gone).expect("folds");
        jobs.folded(folding);
        jobs.hollow.len()
    };
    assert_eq!(drop_jobs(0..73), 0);
    let mut left = drop_jobs(73..77);
    assert!(left > 3, "{left}: these few that have gone do not pay for all");
    for of in [77..80, 80..83, 83..86, 86..89, 89..92, 92..95, 95..98] {
        let before = left;
        left = drop_jobs(of);
        assert!(left < before || before == 0, "{left} after {before}");
    }
    assert_eq!(left, 0);
}
