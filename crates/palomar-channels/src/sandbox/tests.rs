//! The numbers that fail on purpose, the echo, and the wrappers around a channel.

use palomar_model::{IdGenerator, ManualClock, Priority};
use tokio::sync::mpsc;

use super::*;
use crate::{Deadlined, Observed, Observer};

fn sandbox() -> (Sandbox, mpsc::Receiver<Received>) {
    let (sink, events) = mpsc::channel(100);
    let config = SandboxConfig { delivered_after_ms: 1, read_after_ms: 2 };
    (Sandbox::new(config, Arc::new(ManualClock::default()), Arc::new(sink)), events)
}

fn message(to: &str, text: &str) -> Outbound {
    Outbound {
        id: IdGenerator::new(1).message_id(Timestamp::EPOCH),
        channel: "demo".parse().expect("a name"),
        to: Recipient::parse(to, None).expect("a recipient"),
        content: Content::text(text),
        priority: Priority::Normal,
        scheduled_at: None,
        expires_at: None,
        campaign_id: None,
        campaign_place: None,
        hours: None,
        reply_to: None,
        fallback: None,
        on_uncertain: None,
        metadata: serde_json::Map::new(),
        accepted_at: Timestamp::EPOCH,
    }
}

/// The words of all events until `n` came.
async fn words(events: &mut mpsc::Receiver<Received>, n: usize) -> Vec<String> {
    let mut words = Vec::new();
    while words.len() < n {
        let received = events.recv().await.expect("an event");
        words.push(match received.event {
            ChannelEvent::Status(report) => report.status.as_str().to_owned(),
            ChannelEvent::Message(message) => message.text.unwrap_or_default(),
            other => panic!("{other:?}"),
        });
    }
    words
}

#[tokio::test]
async fn numbers_that_fail_on_purpose() {
    for (to, attempt, outcome, reports) in [
        ("+34600111222", 1, "sent", &["sent", "delivered", "read"][..]),
        ("ES.918273645546372819", 1, "sent", &["sent", "delivered", "read"]),
        ("+34600000001", 1, "recipient", &[]),
        ("+34600000002", 1, "transient", &[]),
        ("+34600000002", 2, "transient", &[]),
        ("+34600000002", 3, "sent", &["sent", "delivered", "read"]),
        ("+34600000003", 1, "throttled", &[]),
        ("+34600000003", 2, "sent", &["sent", "delivered", "read"]),
        ("+34600000004", 1, "auth", &[]),
        ("+34600000005", 1, "unknown", &["sent", "delivered", "read"]),
        ("+34600000006", 1, "sent", &["sent", "failed"]),
    ] {
        let (sandbox, mut events) = sandbox();
        let message = message(to, "Hola");
        let tag = Tag { message: message.id, attempt };
        let answer = sandbox.send(&message, tag).await;
        let word = answer.map_or_else(|failure| failure.class.as_str(), |_| "sent");
        assert_eq!(
            (word, words(&mut events, reports.len()).await),
            (outcome, reports.iter().map(ToString::to_string).collect()),
            "{to} {attempt}"
        );
        assert_eq!(sandbox.ledger().len(), usize::from(!reports.is_empty()), "{to}");
    }
}

#[tokio::test]
async fn a_tag_is_taken_once() {
    let (sandbox, mut events) = sandbox();
    let message = message("+34600000005", "Hola");
    let tag = Tag { message: message.id, attempt: 1 };
    assert_eq!(sandbox.lookup(&message, tag).await, Ok(Lookup::NotTaken));
    assert!(sandbox.send(&message, tag).await.is_err(), "the answer is lost");
    let sent = sandbox.send(&message, tag).await.expect("known again");
    assert_eq!(&*sent.provider_id.0, format!("sandbox.{tag}"));
    assert_eq!(sandbox.lookup(&message, tag).await, Ok(Lookup::Taken(sent)));
    assert_eq!(words(&mut events, 3).await, ["sent", "delivered", "read"]);
    assert_eq!(sandbox.ledger().len(), 1);
}

#[tokio::test]
async fn echo_comes_back() {
    let (sandbox, mut events) = sandbox();
    let message = message("+34600111222", "Echo ¿hay alguien?");
    sandbox.send(&message, Tag { message: message.id, attempt: 1 }).await.expect("sent");
    assert_eq!(words(&mut events, 4).await, ["sent", "delivered", "¿hay alguien?", "read"]);
}

#[test]
fn the_ledger_is_bounded() {
    let ids = IdGenerator::new(1);
    let mut ledger = Ledger::default();
    for _ in 0..LEDGER + 10 {
        let tag = Tag { message: ids.message_id(Timestamp::EPOCH), attempt: 1 };
        let to = Recipient::parse("+34600111222", None).expect("a number");
        assert!(ledger.take(Entry { tag, to, at: Timestamp::EPOCH }));
    }
    assert_eq!((ledger.order.len(), ledger.taken.len()), (LEDGER, LEDGER));
}

#[derive(Default)]
struct Notes(Mutex<Vec<&'static str>>);

impl Observer for Notes {
    fn on_attempt(&self, _: Provider, outcome: &'static str, _: Duration) {
        self.0.lock().expect("notes").push(outcome);
    }
}

/// A hanging attempt ends at the deadline, its outcome unknown, and is told to the observer like any other.
#[tokio::test]
async fn deadline_and_observer() {
    let (sandbox, _events) = sandbox();
    let notes = Arc::new(Notes::default());
    let deadlined = Deadlined::new(sandbox, Duration::from_millis(20));
    let observer: Arc<dyn Observer> = Arc::clone(&notes) as _;
    let channel = Observed::new(deadlined, observer, Arc::new(ManualClock::default()));
    for (attempt, to) in (1..).zip(["+34600000007", "+34600111222", "+34600000001"]) {
        let message = message(to, "Hola");
        let _ = channel.send(&message, Tag { message: message.id, attempt }).await;
    }
    assert_eq!(*notes.0.lock().expect("notes"), ["unknown", "sent", "recipient"]);
}
