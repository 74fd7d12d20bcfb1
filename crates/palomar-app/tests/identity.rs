//! Repeating a request: by its key, by its message's id, and by both.

mod house;

use std::time::Duration;

use house::{House, demo, message};
use palomar_app::{AppError, Caller, IdempotencyKey, NewChannel, NewMessage, Submitted, fingerprint};
use palomar_model::{MessageId, MessageState};

fn key(key: &str) -> IdempotencyKey {
    IdempotencyKey { key: key.to_owned(), path: "/api/messages".to_owned() }
}

fn id(n: u128) -> MessageId {
    MessageId(uuid::Uuid::from_u128(n))
}

fn named(n: u128, words: &str) -> NewMessage {
    NewMessage { id: Some(id(n)), ..message("+34611222333", words) }
}

/// Submits; the body is what the message says.
async fn submit(
    house: &House,
    message: &NewMessage,
    key: Option<&IdempotencyKey>,
) -> Result<Submitted, AppError> {
    let body = fingerprint(format!("{message:?}").as_bytes());
    house.app.submit(message.clone(), body, &Caller::system(), key).await
}

async fn settle(house: &House) {
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
}

#[track_caller]
fn mismatch(answer: &Result<Submitted, AppError>, first: MessageId) {
    assert!(matches!(answer, Err(AppError::IdempotencyMismatch { of }) if *of == first), "{answer:?}");
}

#[track_caller]
fn taken(answer: &Result<Submitted, AppError>) {
    assert!(matches!(answer, Err(AppError::Conflict { code: "id_taken", .. })), "{answer:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_holds_although_the_client_gives_ids() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let key = key("k");
    for replayed in [false, true, true] {
        let answer = submit(&house, &named(1, "x"), Some(&key)).await.expect("accepted");
        assert_eq!((answer.id, answer.replayed), (id(1), replayed));
        settle(&house).await;
    }
    mismatch(&submit(&house, &named(2, "x"), Some(&key)).await, id(1));
    mismatch(&submit(&house, &message("+34611222333", "y"), Some(&key)).await, id(1));
    mismatch(&submit(&house, &named(1, "y"), Some(&key)).await, id(1));
    // The id alone is known too, and under any other key.
    assert!(submit(&house, &named(1, "x"), None).await.expect("known").replayed);
    let other = self::key("other");
    assert!(submit(&house, &named(1, "x"), Some(&other)).await.expect("known").replayed);
    mismatch(&submit(&house, &named(1, "y"), Some(&other)).await, id(1));
    house.wait_for(id(1), MessageState::Read).await;
    assert_eq!(house.find(id(1)).await.message.attempts, 1);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_id_names_one_message_of_one_channel() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let second = NewChannel { name: "second".parse().expect("a name"), ..demo() };
    house.app.create_channel(second).await.expect("created");
    let elsewhere = NewMessage { channel: Some("second".parse().expect("a name")), ..named(1, "x") };
    // Two at once: the broker tells them apart, before records know the first.
    let (x, y, a, b) = (named(1, "x"), named(1, "y"), key("a"), key("b"));
    let (first, other) = tokio::join!(submit(&house, &x, Some(&a)), submit(&house, &y, Some(&b)));
    let accepted = [&first, &other].into_iter().filter(|answer| answer.is_ok()).count();
    assert_eq!(accepted, 1, "{first:?} {other:?}");
    mismatch(if first.is_ok() { &other } else { &first }, id(1));
    taken(&submit(&house, &elsewhere, Some(&key("c"))).await);
    settle(&house).await;
    taken(&submit(&house, &elsewhere, None).await);

    // What somebody wrote has an id as well.
    house.send("+34611222334", "echo Hola").await;
    let mut received = None;
    for _ in 0..200 {
        settle(&house).await;
        let filter = palomar_app::MessageFilter {
            status: vec![palomar_app::MessageStatus::Received],
            ..Default::default()
        };
        let page = house.app.messages(filter, None, 1, &Caller::system()).await;
        received = page.expect("read").items.first().map(|message| message.id);
        if received.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let theirs = NewMessage { id: received, ..message("+34611222333", "x") };
    taken(&submit(&house, &theirs, None).await);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_accepted_is_answered_as_before_after_its_end() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let end = house.app.now().after(Duration::from_millis(300));
    let until = |message: NewMessage| NewMessage { expires_at: Some(end), ..message };
    let by_key = until(message("+34611222333", "x"));
    let by_id = until(named(1, "x"));
    let first = submit(&house, &by_key, Some(&key("k"))).await.expect("accepted");
    submit(&house, &by_id, None).await.expect("accepted");
    tokio::time::sleep(Duration::from_millis(350)).await;

    let again = submit(&house, &by_key, Some(&key("k"))).await.expect("replayed");
    assert_eq!((again.id, again.status, again.replayed), (first.id, first.status, true));
    let again = submit(&house, &by_id, None).await.expect("replayed");
    assert_eq!((again.id, again.status, again.replayed), (id(1), MessageState::Queued, true));

    // New ones are too late. One with a key may be a repetition: where it is none, it expires at once.
    for message in [until(message("+34611222333", "y")), until(named(2, "y"))] {
        let answer = submit(&house, &message, None).await;
        assert!(matches!(answer, Err(AppError::Invalid(_))), "{answer:?}");
    }
    let late = until(message("+34611222333", "z"));
    for replayed in [false, true] {
        let answer = submit(&house, &late, Some(&key("late"))).await.expect("accepted");
        assert_eq!((answer.status, answer.replayed), (MessageState::Expired, replayed));
        let shown = house.wait_for(answer.id, MessageState::Expired).await;
        assert_eq!(shown.message.attempts, 0);
    }
    let past = NewMessage {
        expires_at: Some(house.app.now().before(Duration::from_secs(49 * 3600))),
        ..message("+34611222333", "z")
    };
    let answer = submit(&house, &past, Some(&key("past"))).await;
    assert!(matches!(answer, Err(AppError::Invalid(_))), "{answer:?}");
    house.sound().await;
    house.close().await;
}
