//! A person's retry of what the provider took and then reported as failed: a further attempt under a tag of its own.

mod house;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use house::{House, demo, message};
use palomar_app::{
    AppError, Caller, IntakeAnswer, MessageDetail, NewMessage, ProviderFactory, WebhookRequest,
};
use palomar_channels::{
    BoxFuture, Channel, Delivery, Parsed, RateProfile, SandboxSink, Sent, Verified, WebhookError,
};
use palomar_model::{
    ChannelEvent, Content, ErrorClass, FieldError, MessageId, MessageState, OnUncertain, Outbound, Provider,
    ProviderMessageId, Received, Recipient, ReportedStatus, SendFailure, Status, StatusReport, Tag,
};
use palomar_records::ChannelRecord;

/// Attempts as the provider saw them.
type Calls = Arc<Mutex<Vec<Tag>>>;

/// A provider that takes the first send; what becomes of later ones is not known. Its webhooks are reports as we keep
/// them.
struct Scripted(Calls);

impl Channel for Scripted {
    fn provider(&self) -> Provider {
        Provider::CloudApi
    }

    fn profile(&self) -> RateProfile {
        RateProfile { limits: Vec::new(), concurrency: 10 }
    }

    fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
        Vec::new()
    }

    fn send<'a>(&'a self, _: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        let mut calls = self.0.lock().expect("calls");
        calls.push(tag);
        let answer = if calls.len() == 1 {
            Ok(Sent { provider_id: ProviderMessageId("wamid.1".into()), alias: None, status: None })
        } else {
            Err(SendFailure::new(ErrorClass::Unknown, "no answer"))
        };
        Box::pin(std::future::ready(answer))
    }

    fn verify(&self, _: &palomar_channels::WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Ok(Verified::Delivery)
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        Parsed { events: serde_json::from_slice(delivery.body).expect("events"), problems: Vec::new() }
    }
}

impl ProviderFactory for Scripted {
    fn build(&self, _: &ChannelRecord, _: Arc<dyn SandboxSink>) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        Ok(Arc::new(Scripted(Arc::clone(&self.0))))
    }
}

/// Hands in a report of the attempt with this tag.
async fn report(house: &House, tag: Tag, provider_id: &str, status: ReportedStatus) {
    let id = ProviderMessageId(provider_id.into());
    let report =
        StatusReport { tag: Some(tag), ..StatusReport::new(id, Status::Known(status), house.app.now()) };
    let events = [Received::on(None, ChannelEvent::Status(Box::new(report)))];
    let request = WebhookRequest {
        method: "POST".to_owned(),
        url: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: serde_json::to_vec(&events).expect("json").into(),
        request_id: "r".to_owned(),
    };
    let answer = house.app.receive(&"demo".parse().expect("a name"), request).await;
    assert_eq!(answer, IntakeAnswer::Accepted);
}

fn attempts(detail: &MessageDetail, kind: &str) -> Vec<u64> {
    let entries = detail.timeline.iter().filter(|entry| entry.kind == kind);
    entries.filter_map(|entry| entry.detail["attempt"].as_u64()).collect()
}

async fn retry(house: &House, id: MessageId) -> Result<MessageState, AppError> {
    house.app.retry(id, &Caller::system()).await.map(|state| state.status)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failure_after_sending_is_tried_again_under_a_new_tag() {
    let dir = tempfile::tempdir().expect("a directory");
    let calls = Calls::default();
    let house = House::open_with(dir.path(), Arc::new(Scripted(Arc::clone(&calls)))).await;
    house.app.create_channel(demo()).await.expect("created");
    let new = NewMessage {
        on_uncertain: Some(OnUncertain::Hold),
        reply_to: Some(ProviderMessageId("wamid.0".into())),
        ..message("+34611222333", "x")
    };
    let id = house.app.submit(new, 0, &Caller::system(), None).await.expect("accepted").id;
    let tag = |attempt| Tag { message: id, attempt };
    house.wait_for(id, MessageState::Sent).await;
    let early = retry(&house, id).await;
    assert!(matches!(early, Err(AppError::Conflict { code: "wrong_state", .. })), "{early:?}");

    report(&house, tag(1), "wamid.1", ReportedStatus::Failed).await;
    house.wait_for(id, MessageState::Failed).await;
    assert_eq!(retry(&house, id).await.expect("ordered"), MessageState::Queued);
    let detail = house.wait_for(id, MessageState::Uncertain).await;
    assert_eq!(*calls.lock().expect("calls"), [tag(1), tag(2)]);
    assert_eq!((detail.message.attempts, attempts(&detail, "started")), (2, vec![1, 2]));

    // News of the first send, however late, says nothing of the second; its own report does.
    report(&house, tag(1), "wamid.1", ReportedStatus::Sent).await;
    report(&house, tag(1), "wamid.1b", ReportedStatus::Failed).await;
    tokio::time::sleep(Duration::from_millis(200)).await;
    let explained = house.app.explain(id, &Caller::system()).await.expect("explained");
    assert_eq!(explained.status, MessageState::Uncertain);
    report(&house, tag(2), "wamid.2", ReportedStatus::Delivered).await;
    house.wait_for(id, MessageState::Delivered).await;
    for _ in 0..200 {
        let explained = house.app.explain(id, &Caller::system()).await.expect("explained");
        if explained.holds.is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let stats = house.app.queue_stats(&Caller::system()).await.expect("stats");
    assert!(stats.queues.iter().all(|queue| queue.duplicate_sends == 0));
    assert!(retry(&house, id).await.is_err());
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn numbers_go_on_over_restarts_and_an_order_is_carried_out_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    // Taken, then reported as failed, every time.
    let id = house.send("+34600000006", "x").await;
    for expected in 1..=3_u64 {
        let detail = house.wait_for(id, MessageState::Failed).await;
        let numbers: Vec<u64> = (1..=expected).collect();
        assert_eq!(attempts(&detail, "started"), numbers);
        assert_eq!(attempts(&detail, "failed"), numbers);
        if expected < 3 {
            let (one, other) = tokio::join!(retry(&house, id), retry(&house, id));
            assert!(one.is_ok() || other.is_ok(), "{one:?} {other:?}");
            for _ in 0..400 {
                if attempts(&house.find(id).await, "failed").len() as u64 > expected {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(25)).await;
            }
        }
    }
    house.close().await;
    let house = House::open(dir.path()).await;
    assert_eq!(house.find(id).await.message.attempts, 3);
    house.sound().await;
    house.close().await;
}
