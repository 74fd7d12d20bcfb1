//! The ring says what it has, and says so where it has it no more.

use super::super::EventType;
use super::*;

fn event(seq: u64, size: usize) -> Event {
    let id = EventId { seq, part: 0 };
    let json = "x".repeat(size).into();
    Event { id, kind: EventType::Sent, channel: None, conversation: None, json }
}

fn numbers(taken: &Taken) -> Vec<u64> {
    match taken {
        Taken::Events(events, _) => events.iter().map(|event| event.id.seq).collect(),
        Taken::Behind => panic!("behind"),
    }
}

#[test]
fn it_forgets_the_oldest_and_says_so() {
    let mut ring = Ring::of(100);
    ring.reset(5);
    ring.append(EventId::end_of(5), (6..=10).map(|seq| event(seq, 30)).collect(), 12);
    assert_eq!(ring.end(), EventId::end_of(12));
    // 8, 9 and 10 have 90 bytes.
    assert_eq!(ring.after(EventId::end_of(5), |_| true), Taken::Behind);
    assert_eq!(ring.after(EventId { seq: 6, part: 0 }, |_| true), Taken::Behind);
    assert_eq!(numbers(&ring.after(EventId { seq: 7, part: 0 }, |_| true)), [8, 9, 10]);
    assert_eq!(numbers(&ring.after(EventId { seq: 8, part: 0 }, |_| true)), [9, 10]);
    assert_eq!(ring.after(EventId::end_of(12), |_| true), Taken::Events(vec![], EventId::end_of(12)));
    // What nobody wants is passed all the same.
    assert_eq!(ring.after(EventId::end_of(7), |_| false), Taken::Events(vec![], EventId::end_of(12)));
    // Somebody else was quicker.
    ring.append(EventId::end_of(5), vec![event(6, 1)], 6);
    assert_eq!(ring.end(), EventId::end_of(12));
}

#[test]
fn what_is_taken_at_once_is_bounded() {
    let mut ring = Ring::new();
    ring.append(EventId::end_of(0), (1..=100).map(|seq| event(seq, 10_000)).collect(), 100);
    let Taken::Events(events, place) = ring.after(EventId::end_of(0), |_| true) else { panic!("there") };
    assert_eq!((events.len(), place), (5, EventId { seq: 5, part: 0 }));
}
