//! The stored forms: every variant is read back as it was written, and keeps its number for ever.

use palomar_model::{Priority, Timestamp};

use super::super::change::PhaseTag;
use super::super::throttle::Throttle;
use super::super::{Change, Spec};
use super::{begin, id, name, secs};
use crate::types::{Limits, OnUncertain, Verdict};

fn all_changes() -> Vec<Change> {
    let (seq, queue, until, reason) = (7, 3, begin(), std::sync::Arc::<str>::from("why"));
    let throttle = Throttle::default().refused(begin(), secs(7), secs(1));
    vec![
        Change::Enqueued { from: 1, count: 2 },
        Change::Woke { seq },
        Change::Leased { seq, token: 9 },
        Change::Started { seq, token: 9 },
        Change::Returned { seq, strike: true },
        Change::Requeued { seq, at: until, counts: true, strike: false },
        Change::Done { seq },
        Change::Died { seq, reason: reason.clone() },
        Change::Doubted { seq },
        Change::Vouched { seq, verdict: Verdict::Failed { reason: reason.clone() } },
        Change::Revived { seq, by_person: true },
        Change::Cancelled { seq },
        Change::Expired { seq },
        Change::Forgotten { seq },
        Change::DuplicateSend { seq },
        Change::Configured { queue, name: name("p/q"), limits: Limits::default() },
        Change::Removed { queue },
        Change::Paused { queue, reason: reason.clone() },
        Change::Resumed { queue },
        Change::GroupPaused { queue, group: reason.clone() },
        Change::GroupResumed { queue, group: reason },
        Change::Succeeded { queue },
        Change::Faulted { queue },
        Change::Throttled { queue, throttle },
        Change::BreakerOpened { queue, until },
        Change::Probing { queue, seq },
        Change::BreakerClosed { queue },
        Change::Event { seq: None, body: bytes::Bytes::from_static(b"body") },
        Change::Proved { seq, attempt: 2 },
        Change::StoodAside { seq, until },
    ]
}

#[test]
fn every_change_is_read_back_and_keeps_its_number() {
    for (number, change) in all_changes().into_iter().enumerate() {
        let stored = postcard::to_stdvec(&change).expect("it can be stored");
        assert_eq!(usize::from(stored[0]), number, "{change:?}");
        assert_eq!(postcard::from_bytes::<Change>(&stored).expect("it can be read"), change);
    }
}

#[test]
fn what_a_job_is_is_read_back() {
    for at in [Timestamp::EPOCH, begin(), Timestamp::MAX] {
        let spec = Spec {
            id: id(5),
            queue: 2,
            priority: Priority::High,
            group: Some("g".into()),
            key: u64::MAX,
            run_at: Some(at),
            expires_at: None,
            on_uncertain: OnUncertain::Drop,
            spends_budget: false,
            enqueued_at: at,
            dedupe: vec![(u128::MAX, 1, secs(48 * 3600))],
        };
        let stored = postcard::to_stdvec(&spec).expect("it can be stored");
        assert_eq!(postcard::from_bytes::<Spec>(&stored).expect("it can be read"), spec);
    }
}

#[test]
fn the_numbers_of_the_phases_never_change() {
    let tags = [
        PhaseTag::Scheduled,
        PhaseTag::Queued,
        PhaseTag::Backoff,
        PhaseTag::Leased,
        PhaseTag::Started,
        PhaseTag::Doubted,
        PhaseTag::Aside,
        PhaseTag::Held,
        PhaseTag::Dead,
        PhaseTag::Done,
        PhaseTag::Cancelled,
        PhaseTag::Expired,
        PhaseTag::First,
    ];
    for (number, tag) in tags.into_iter().enumerate() {
        assert_eq!(postcard::to_stdvec(&tag).expect("it can be stored"), [number as u8]);
    }
}
