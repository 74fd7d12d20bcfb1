//! Whatever happens in whatever order, a client gets each event that it wants once, in order, and is told where that
//! can't be.

use palomar_model::Timestamp;
use palomar_records::FeedEntry;

use super::super::ring::Ring;
use super::*;

/// SplitMix64: small, fast, the same everywhere.
struct Lots(u64);

impl Lots {
    fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end
    }
}

/// A journal as the records keep it.
#[derive(Default)]
struct Journal {
    entries: Vec<FeedEntry>,
    end: u64,
}

impl Journal {
    fn write(&mut self, counted: &[&str]) {
        self.end += 1;
        self.entries.push(FeedEntry {
            seq: self.end,
            at: Timestamp::from_seconds(1),
            kind: "read".to_owned(),
            channel: None,
            message_id: None,
            detail: serde_json::json!({"status": "read", "providerMessageId": "x".repeat(100)}),
            counted: counted.iter().map(|word| (*word).to_owned()).collect(),
            message: None,
            conversation: None,
        });
    }

    fn feed(&self, after: u64, limit: usize) -> Feed {
        let entries = self.entries.iter().filter(|entry| entry.seq > after).take(limit).cloned().collect();
        Feed { entries, end: self.end }
    }
}

fn wants(event: &Event) -> bool {
    event.kind != crate::EventType::Delivered
}

/// A client, with all that it was told.
struct Watcher {
    place: EventId,
    got: Vec<EventId>,
    gaps: Vec<Gap>,
}

impl Watcher {
    /// As [`Subscription::advance`], one step.
    fn step(&mut self, ring: &Ring, journal: &Journal, page: usize) {
        let (next, place) = match ring.after(self.place, wants) {
            Taken::Events(events, place) => ((!events.is_empty()).then_some(Next::Events(events)), place),
            Taken::Behind => stretch(&journal.feed(self.place.read_after(), page), self.place, wants),
        };
        assert!(place >= self.place, "never back");
        self.place = place;
        match next {
            Some(Next::Events(events)) => self.got.extend(events.iter().map(|event| event.id)),
            Some(Next::Gap(gap)) => self.gaps.push(gap),
            _ => {}
        }
    }

    /// The connection ends, and what was on its way is lost: it goes on after the last event that it has.
    fn reconnect(&mut self, lose: usize, begun: EventId) {
        self.got.truncate(self.got.len().saturating_sub(lose));
        self.place = self.got.last().copied().unwrap_or(begun);
    }
}

#[test]
fn between_journal_and_ring_nothing_is_lost_or_doubled() {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(1_u64);
    for round in 0..300 {
        let mut lots = Lots(seed.wrapping_add(round));
        let mut journal = Journal::default();
        let mut ring = Ring::of(usize::try_from(300 + lots.below(3_000)).expect("small"));
        for _ in 0..lots.below(20) {
            journal.write(&["sent"]);
        }
        ring.reset(journal.end);
        let begun = EventId::end_of(lots.below(journal.end + 1));
        let mut watcher = Watcher { place: begun, got: Vec::new(), gaps: Vec::new() };
        let read = |ring: &mut Ring, journal: &Journal, limit: usize| {
            let after = ring.end();
            let feed = journal.feed(after.read_after(), limit);
            if let Some(last) = feed.entries.last() {
                ring.append(after, feed.entries.iter().flat_map(events_of).collect(), last.seq);
            }
        };
        let page = |lots: &mut Lots| usize::try_from(1 + lots.below(5)).expect("small");
        for _ in 0..200 {
            match lots.below(8) {
                0 | 1 => journal.write(&["sent", "delivered", "read"]),
                2 => journal.write(&[]),
                3 | 4 => read(&mut ring, &journal, page(&mut lots)),
                5 | 6 => watcher.step(&ring, &journal, page(&mut lots)),
                _ => watcher.reconnect(usize::try_from(lots.below(4)).expect("small"), begun),
            }
        }
        for _ in 0..2_000 {
            read(&mut ring, &journal, 3);
            watcher.step(&ring, &journal, 3);
        }
        let all = journal.entries.iter().flat_map(events_of);
        let expected: Vec<_> =
            all.filter(|event| event.id > begun && wants(event)).map(|event| event.id).collect();
        assert_eq!(watcher.got, expected, "round {round} of seed {seed}");
        assert_eq!(watcher.gaps, [], "round {round} of seed {seed}");
    }
}

#[test]
fn what_was_forgotten_is_said() {
    let mut journal = Journal::default();
    (0..10).for_each(|_| journal.write(&["sent"]));
    let ring = {
        let mut ring = Ring::of(1_000);
        ring.reset(10);
        ring
    };
    let watch = |journal: &Journal, since: u64| {
        let mut watcher = Watcher { place: EventId::end_of(since), got: Vec::new(), gaps: Vec::new() };
        (0..20).for_each(|_| watcher.step(&ring, journal, 3));
        let got: Vec<_> = watcher.got.iter().map(|id| id.seq).collect();
        (got, watcher.gaps.iter().map(|gap| (gap.since.seq, gap.next.seq)).collect::<Vec<_>>())
    };
    journal.entries.drain(..4);
    assert_eq!(watch(&journal, 4), ((5..=10).collect(), vec![]));
    assert_eq!(watch(&journal, 2), ((5..=10).collect(), vec![(2, 4)]));
    // A hole further on is one too.
    journal.entries.remove(2);
    assert_eq!(watch(&journal, 4), (vec![5, 6, 8, 9, 10], vec![(6, 7)]));
    journal.entries.clear();
    assert_eq!(watch(&journal, 2), (vec![], vec![(2, 10)]));
    assert_eq!(watch(&journal, 10), (vec![], vec![]));
}
