//! The whole way with the real broker, real records and the sandbox: from submitted to read, and everything that a
//! person can order on the way.

mod house;

use std::time::Duration;

use house::{House, message};
use palomar_app::{
    AppError, Caller, DeadLetterFilter, IdempotencyKey, IntakeAnswer, KeyRefused, MessageDetail,
    MessageFilter, MessageStatus, NewKey, NewMessage, Resolution, Role, RowInput, WebhookRequest,
    fingerprint,
};
use palomar_model::{MessageId, MessageState};

fn kinds(detail: &MessageDetail) -> Vec<&str> {
    detail.timeline.iter().map(|entry| entry.kind.as_str()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn from_submitted_to_read_and_answered() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let id = house.send("+34611222333", "echo Hola").await;
    let detail = house.wait_for(id, MessageState::Read).await;
    assert_eq!(kinds(&detail), ["accepted", "started", "sent", "sent", "delivered", "read"]);
    assert!(detail.message.provider_message_id.is_some() && detail.message.delivered_at.is_some());

    let inbound = MessageFilter { status: vec![MessageStatus::Received], ..MessageFilter::default() };
    house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    let page = house.app.messages(inbound, None, 10, &Caller::system()).await.expect("read");
    assert_eq!(page.items.len(), 1);
    assert_eq!(page.items[0].content["text"], "Hola");
    let metrics = house.app.metrics_text().await.expect("metrics");
    let sent = "palomar_messages_sent_total{provider=\"sandbox\",channel=\"demo\",type=\"text\"} 1";
    for line in [
        sent,
        "palomar_queue_enqueued_total{kind=\"outbound\"} 1",
        "palomar_channel_up{provider=\"sandbox\"",
        "palomar_queue_wait_seconds_count{kind=\"outbound\",priority=\"normal\"} 1",
        "palomar_queue_wait_seconds_count{kind=\"inbound\"",
        "palomar_message_latency_seconds_count{provider=\"sandbox\",stage=\"accept_to_sent\"} 1",
        "palomar_message_latency_seconds_count{provider=\"sandbox\",stage=\"sent_to_delivered\"} 1",
        "palomar_message_latency_seconds_count{provider=\"sandbox\",stage=\"delivered_to_read\"} 1",
        "palomar_workers{kind=\"outbound\",state=\"idle\"} 256",
        "palomar_disk_free_bytes ",
        "palomar_store_size_bytes{store=\"records\"} ",
        "palomar_store_commit_duration_seconds_bucket{le=\"+Inf\",store=\"queue\"} ",
        "palomar_store_commit_operations_sum{store=\"queue\"} ",
        "palomar_build_info{version=",
    ] {
        assert!(metrics.contains(line), "{line} in {metrics}");
    }
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_goes_wrong_is_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let refused = house.send("+34600000001", "x").await;
    let fails_later = house.send("+34600000006", "x").await;
    let lost_answer = house.send("+34600000005", "x").await;

    let detail = house.wait_for(refused, MessageState::Failed).await;
    assert_eq!(detail.message.code.as_deref(), Some("131026"));
    assert!(detail.message.reason.as_deref().is_some_and(|reason| reason.starts_with("recipient: ")));
    house.wait_for(fails_later, MessageState::Failed).await;
    // The answer was lost, the statuses tell; repeated under the same tag, it goes out once.
    let detail = house.wait_for(lost_answer, MessageState::Read).await;
    assert!(kinds(&detail).contains(&"attempt_failed"), "{:?}", kinds(&detail));
    let stats = house.app.queue_stats(&Caller::system()).await.expect("stats");
    assert_eq!(stats.queues.iter().map(|queue| queue.duplicate_sends).sum::<u64>(), 0);

    let all = DeadLetterFilter::default();
    let dead = house.app.dead_letters(&all, None, 10, &Caller::system()).await.expect("read");
    assert_eq!(dead.items.iter().map(|letter| letter.id).collect::<Vec<_>>(), [refused]);
    let again = house.app.retry(refused, &Caller::system()).await.expect("retried");
    assert_eq!(again.status, MessageState::Queued);
    for _ in 0..200 {
        if kinds(&house.find(refused).await).iter().filter(|kind| **kind == "failed").count() == 2 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let purged = house.app.purge_dead_letters(&all, &Caller::system()).await.expect("purged");
    assert_eq!(purged.changed, 1);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_refused_token_pauses_the_channel_and_loses_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let name = "demo".parse().expect("a name");
    let id = house.send("+34600000004", "x").await;
    let mut paused = None;
    for _ in 0..200 {
        paused = house.app.channel(&name, &Caller::system()).await.expect("found").paused;
        if paused.is_some() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    assert!(paused.as_deref().is_some_and(|reason| reason.starts_with("auth: ")), "{paused:?}");
    let waits = house.send("+34611222333", "x").await;
    let why = house.app.explain(waits, &Caller::system()).await.expect("explained");
    assert_eq!(why.holds.first().map(|hold| hold.kind), Some("paused"), "{why:?}");
    house.app.cancel(id, &Caller::system()).await.expect("cancelled");
    house.app.resume_channel(&name).await.expect("resumed");
    house.wait_for(waits, MessageState::Read).await;
    let late = house.app.cancel(waits, &Caller::system()).await;
    assert!(matches!(late, Err(AppError::Conflict { code: "wrong_state", .. })), "{late:?}");
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn repeating_a_request_changes_nothing() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let caller = Caller::system();
    let key = IdempotencyKey { key: "k".to_owned(), path: "/api/messages".to_owned() };
    let body = fingerprint(b"one");
    let submit = || house.app.submit(message("+34611222333", "x"), body, &caller, Some(&key));
    let first = submit().await.expect("accepted");
    let second = submit().await.expect("replayed");
    assert_eq!((second.id, second.status, second.replayed), (first.id, first.status, true));
    let other =
        house.app.submit(message("+34611222333", "y"), fingerprint(b"two"), &caller, Some(&key)).await;
    assert!(matches!(other, Err(AppError::IdempotencyMismatch { of }) if of == first.id), "{other:?}");

    // Rows are known by the key and their number; an id that the client gave is known for ever.
    let rows = || {
        let row = |row| RowInput { row, body_hash: row, message: Ok(message("+34611222334", "x")) };
        let bad =
            RowInput { row: 2, body_hash: 0, message: NewMessage::from_json(&serde_json::json!({}), None) };
        vec![row(0), row(1), bad]
    };
    let first = house.app.submit_batch(rows(), &caller, Some(&key)).await.expect("accepted");
    let again = house.app.submit_batch(rows(), &caller, Some(&key)).await.expect("replayed");
    for (first, again) in first.iter().zip(&again).take(2) {
        let ids = [first, again].map(|row| row.result.as_ref().map(|row| row.id).expect("accepted"));
        assert_eq!(ids[0], ids[1]);
    }
    assert!(matches!(again[2].result, Err(AppError::Invalid(_))));
    let given = NewMessage { id: Some(MessageId(uuid::Uuid::from_u128(7))), ..message("+34611222335", "x") };
    for replayed in [false, true, true] {
        let answer = house.app.submit(given.clone(), 1, &caller, None).await.expect("accepted");
        assert_eq!((Some(answer.id), answer.replayed), (given.id, replayed));
        house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
    }
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_scheduled_survives_a_restart_and_can_be_promoted() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let later = house.app.now().after(Duration::from_secs(3600));
    let new = NewMessage { scheduled_at: Some(later), ..message("+34611222333", "x") };
    let submitted = house.app.submit(new, 0, &Caller::system(), None).await.expect("accepted");
    assert_eq!(submitted.status, MessageState::Scheduled);
    let key = house
        .app
        .create_key(NewKey { name: "n8n".to_owned(), role: Role::Viewer, channels: None, expires_at: None })
        .await
        .expect("made");
    house.close().await;

    let house = House::open(dir.path()).await;
    let caller = house.app.authenticate(&key.secret).expect("known");
    assert!(caller.require(Role::Viewer).is_ok() && caller.require(Role::Operator).is_err());
    house.app.revoke_key(&key.key.id).await.expect("revoked");
    assert_eq!(house.app.authenticate(&key.secret), Err(KeyRefused::Revoked));
    assert_eq!(house.app.authenticate("plk_"), Err(KeyRefused::Unknown));

    let id = submitted.id;
    house.wait_for(id, MessageState::Scheduled).await;
    let settled = house.app.settle(id, Resolution::Sent, &Caller::system()).await;
    assert!(matches!(settled, Err(AppError::Conflict { .. })), "{settled:?}");
    house.app.promote(id, &Caller::system()).await.expect("promoted");
    assert_ne!(house.find(id).await.message.status, MessageStatus::Outbound(MessageState::Scheduled));
    house.wait_for(id, MessageState::Read).await;
    // The disk that tests run on may be nearly full.
    let ready = house.app.readiness().await;
    assert_ne!(ready.status, palomar_app::Health::Fail, "{ready:?}");
    assert!(ready.checks["disk"].detail.ends_with("are free"), "{ready:?}");
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_webhook_is_proven_before_anything_else() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let line = serde_json::from_value(serde_json::json!({
        "name": "line", "provider": "cloud_api", "settings": {"phoneNumberId": "1"},
        "credentials": {"token": "t", "appSecret": "s", "verifyToken": "v"},
    }));
    house.app.create_channel(line.expect("a channel")).await.expect("created");
    let request = |method: &str, query: &str| WebhookRequest {
        method: method.to_owned(),
        url: String::new(),
        query: query.to_owned(),
        headers: Vec::new(),
        body: "{}".into(),
        request_id: "r".to_owned(),
    };
    let line = "line".parse().expect("a name");
    assert_eq!(house.app.receive(&line, request("POST", "")).await, IntakeAnswer::BadSignature);
    let handshake = request("GET", "hub.mode=subscribe&hub.verify_token=v&hub.challenge=42");
    assert_eq!(house.app.receive(&line, handshake).await, IntakeAnswer::Handshake("42".to_owned()));
    let nobody = "nobody".parse().expect("a name");
    assert_eq!(house.app.receive(&nobody, request("POST", "")).await, IntakeAnswer::NoChannel);

    let shown = house.app.channel(&line, &Caller::system()).await.expect("found");
    assert_eq!(shown.credentials, ["appSecret", "token", "verifyToken"]);
    house.app.delete_channel(&line).await.expect("deleted");
    let gone = house.app.channel(&line, &Caller::system()).await;
    assert!(matches!(gone, Err(AppError::NotFound("channel"))));
    house.close().await;
}
