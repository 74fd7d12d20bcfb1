//! The fold, by table and over all orders.

use super::*;

const FACTS: [Fact; 16] = [
    Fact::Accepted { scheduled: false },
    Fact::Accepted { scheduled: true },
    Fact::Due,
    Fact::Started { attempt: 1 },
    Fact::Released,
    Fact::Sent,
    Fact::UncertainOutcome,
    Fact::Reported(ReportedStatus::Sent),
    Fact::Reported(ReportedStatus::Delivered),
    Fact::Reported(ReportedStatus::Read),
    Fact::Reported(ReportedStatus::Played),
    Fact::Reported(ReportedStatus::Failed),
    Fact::Failed,
    Fact::Cancelled,
    Fact::Expired,
    Fact::Retried,
];

/// Every order of every subset of the reports.
fn arrangements(
    rest: &[ReportedStatus],
    chosen: &mut Vec<ReportedStatus>,
    visit: &mut impl FnMut(&[ReportedStatus]),
) {
    visit(chosen);
    for n in 0..rest.len() {
        let mut others = rest.to_vec();
        chosen.push(others.remove(n));
        arrangements(&others, chosen, visit);
        chosen.pop();
    }
}

#[test]
fn reports_fold_to_one_state_in_any_order() {
    for start in MessageState::ALL {
        let mut ends = std::collections::HashMap::new();
        let mut orders = 0;
        arrangements(&ReportedStatus::ALL, &mut Vec::new(), &mut |reports| {
            let end = reports.iter().fold(start, |state, status| state.after(&Fact::Reported(*status)));
            let mut set: Vec<_> = reports.iter().map(|status| status.as_str()).collect();
            set.sort_unstable();
            assert_eq!(*ends.entry(set).or_insert(end), end, "{start} {reports:?}");
            orders += 1;
        });
        assert_eq!(orders, 326, "5 + 5·4 + … + 5! orders and the empty one");
    }
}

/// The answer to an attempt may come before, between or after the reports of the same attempt.
#[test]
fn the_answer_may_come_at_any_place() {
    for answer in [Fact::Sent, Fact::UncertainOutcome] {
        arrangements(&ReportedStatus::ALL, &mut Vec::new(), &mut |reports| {
            let without = reports.iter().fold(Sending, |state, status| state.after(&Fact::Reported(*status)));
            for place in 0..=reports.len() {
                let mut facts: Vec<_> = reports.iter().map(|status| Fact::Reported(*status)).collect();
                facts.insert(place, answer);
                let end = facts.iter().fold(Sending, MessageState::after);
                let expected = if reports.is_empty() { Sending.after(&answer) } else { without };
                assert_eq!(end, expected, "{facts:?}");
            }
        });
    }
}

/// What may follow each state; everything else must not.
#[test]
fn only_the_documented_ways() {
    for (from, ways) in [
        (Scheduled, &[Queued, Sending, Sent, Delivered, Read, Failed, Cancelled, Expired][..]),
        (Queued, &[Sending, Sent, Delivered, Read, Failed, Cancelled, Expired]),
        (Sending, &[Queued, Uncertain, Sent, Delivered, Read, Failed]),
        (Uncertain, &[Queued, Sent, Delivered, Read, Failed]),
        (Sent, &[Delivered, Read, Failed]),
        (Delivered, &[Read]),
        (Read, &[]),
        (Failed, &[Queued, Delivered, Read]),
        (Cancelled, &[]),
        (Expired, &[]),
    ] {
        for fact in FACTS {
            match from.apply(&fact) {
                Applied::Moved(to) => assert!(ways.contains(&to), "{from} → {to} by {fact:?}"),
                Applied::Unchanged(_) => {}
            }
        }
        for to in ways {
            assert!(
                FACTS.iter().any(|fact| from.apply(fact) == Applied::Moved(*to)),
                "{from} never becomes {to}"
            );
        }
    }
}

#[test]
fn single_steps() {
    use Applied::{Moved, Unchanged as Stays};
    for (from, fact, expected) in [
        (Sending, Fact::Released, Moved(Queued)),
        (Uncertain, Fact::Sent, Moved(Sent)),
        (Queued, Fact::Sent, Moved(Sent)),
        (Uncertain, Fact::Reported(ReportedStatus::Delivered), Moved(Delivered)),
        (Sending, Fact::Reported(ReportedStatus::Delivered), Moved(Delivered)),
        (Sending, Fact::Reported(ReportedStatus::Read), Moved(Read)),
        (Delivered, Fact::Reported(ReportedStatus::Failed), Stays(Unchanged::FailureAfterDelivery)),
        (Read, Fact::Reported(ReportedStatus::Failed), Stays(Unchanged::FailureAfterDelivery)),
        (Read, Fact::Reported(ReportedStatus::Delivered), Stays(Unchanged::Known)),
        (Read, Fact::Reported(ReportedStatus::Played), Stays(Unchanged::Known)),
        (Failed, Fact::Reported(ReportedStatus::Sent), Stays(Unchanged::Known)),
        (Sent, Fact::Cancelled, Stays(Unchanged::NotFromHere)),
        (Sending, Fact::Cancelled, Stays(Unchanged::NotFromHere)),
        (Cancelled, Fact::Started { attempt: 1 }, Stays(Unchanged::Final)),
        (Uncertain, Fact::Started { attempt: 2 }, Stays(Unchanged::NotFromHere)),
        (Failed, Fact::Retried, Moved(Queued)),
        (Delivered, Fact::UncertainOutcome, Stays(Unchanged::Known)),
        (Uncertain, Fact::Released, Stays(Unchanged::NotFromHere)),
    ] {
        assert_eq!(from.apply(&fact), expected, "{from} {fact:?}");
    }
}

#[test]
fn words() {
    for state in MessageState::ALL {
        assert_eq!(state.as_str().parse(), Ok(state));
        assert_eq!(serde_json::to_value(state).expect("json"), state.as_str());
    }
    for status in ReportedStatus::ALL {
        assert_eq!(serde_json::to_value(status).expect("json"), status.as_str());
    }
}
