//! The failed of a campaign get another: each once, and those of whom nothing is known only by an explicit word.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use palomar_app::{AppError, MadeCampaign, NewResend, ProviderFactory};
use palomar_channels::{
    BoxFuture, Channel, Delivery, Parsed, RateProfile, SandboxSink, Sent, Verified, WebhookError,
};
use palomar_model::{
    Content, ErrorClass, FieldError, MessageState, Outbound, Provider, ProviderMessageId, Recipient,
    SendFailure, Tag,
};
use palomar_records::ChannelRecord;

use super::*;

/// Calls by the number that they were for.
type Calls = Arc<Mutex<HashMap<String, u32>>>;

/// A provider that refuses whom it refuses the first so many times, and does not answer for others.
struct Fickle(Calls);

impl Channel for Fickle {
    fn provider(&self) -> Provider {
        Provider::Sandbox
    }

    fn profile(&self) -> RateProfile {
        RateProfile { limits: Vec::new(), concurrency: 10 }
    }

    fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
        Vec::new()
    }

    /// A number that ends in 1 is refused once, in 2 twice; in 9 it is not known what became of the first message.
    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        let to = message.to.expose().to_owned();
        let mut calls = self.0.lock().expect("calls");
        let call = calls.entry(to.clone()).and_modify(|n| *n += 1).or_insert(1);
        let refused = to.chars().last().and_then(|last| last.to_digit(10)).unwrap_or(0);
        let answer = match refused {
            9 if *call == 1 => Err(SendFailure::new(ErrorClass::Unknown, "no answer")),
            1 | 2 if *call <= refused => Err(SendFailure::new(ErrorClass::Recipient, "not on WhatsApp")),
            _ => Ok(Sent {
                provider_id: ProviderMessageId(format!("fickle.{tag}").into()),
                alias: None,
                status: None,
            }),
        };
        Box::pin(std::future::ready(answer))
    }

    fn verify(&self, _: &palomar_channels::WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Ok(Verified::Delivery)
    }

    fn parse(&self, _: &Delivery<'_>) -> Parsed {
        Parsed { events: Vec::new(), problems: Vec::new() }
    }
}

impl ProviderFactory for Fickle {
    fn build(&self, _: &ChannelRecord, _: Arc<dyn SandboxSink>) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        Ok(Arc::new(Fickle(Arc::clone(&self.0))))
    }
}

async fn fickle(dir: &std::path::Path) -> (House, Calls) {
    let calls = Calls::default();
    let house = House::open_with(dir, Arc::new(Fickle(Arc::clone(&calls)))).await;
    let mut demo = house::demo();
    // Whoever is sent to again does not wait for what is not known.
    demo.limits = serde_json::from_value(json!({"orderWaitSeconds": 0})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    (house, calls)
}

async fn resend(house: &House, id: &str, uncertain: bool) -> Result<MadeCampaign, AppError> {
    let wanted = NewResend { name: None, uncertain };
    house.app.resend_campaign(id, wanted, None, &caller()).await
}

async fn run(house: &House, id: &str) -> QueueStatus {
    house.app.start_campaign(id, &caller()).await.expect("started");
    wait_until(house, id, |status| status.status == "finished").await
}

/// 100 numbers: those that end in 1, in 2 and in 9 are ten each.
fn numbers() -> Vec<Value> {
    (0..100).map(|n| json!(format!("+346009000{n:02}"))).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_failed_get_another_and_nobody_twice() {
    let dir = tempfile::tempdir().expect("a directory");
    let (house, calls) = fickle(dir.path()).await;
    let body = json!({"name": "Verano", "message": "Hola", "contacts": numbers()});
    let id = create(&house, body).await;
    let refused = resend(&house, &id, false).await;
    assert!(matches!(refused, Err(AppError::Conflict { .. })), "it has not ended: {refused:?}");
    let done = run(&house, &id).await;
    assert_eq!((done.progress.success, done.progress.failed), (70, 20), "{done:?}");
    assert_eq!(done.metrics.messages.get("uncertain"), Some(&10));

    let made = resend(&house, &id, false).await.expect("made");
    let again = resend(&house, &id, false).await.expect("answered");
    assert_eq!((made.replayed, again.replayed), (false, true));
    let second = made.campaign.id;
    assert_eq!(again.campaign.id, second);
    let patch = serde_json::from_value(json!({"contacts": ["+34600111222"]})).expect("a patch");
    let other = house.app.update_campaign(&second, patch, &caller()).await;
    assert!(matches!(other, Err(AppError::Conflict { .. })), "it goes to them alone: {other:?}");
    let patch = serde_json::from_value(json!({"repeat": {"cron": "0 9 * * *"}})).expect("a patch");
    let again = house.app.update_campaign(&second, patch, &caller()).await;
    assert!(
        matches!(&again, Err(AppError::Invalid(errors)) if errors[0].pointer == "/repeat"),
        "each of them gets it once: {again:?}"
    );
    let dry = house.app.dry_run_campaign(&second, 50, &caller()).await.expect("a dry run");
    assert_eq!((dry.contacts, dry.would_send), (20, 20));

    // Whoever is sent to after all before it begins is not among them.
    let failed = results(&house, &id).await.into_iter().find(|one| one.status == "failed").expect("one");
    assert!(failed.recipient.ends_with('1'), "the first of them: {failed:?}");
    house.app.retry(failed.message_id.expect("a message"), &caller()).await.expect("ordered");
    house.wait_for(failed.message_id.expect("a message"), MessageState::Sent).await;
    let done = run(&house, &second).await;
    assert_eq!((done.progress.total, done.progress.success, done.progress.failed), (19, 9, 10));

    // Those who failed once more are of the second; of the first nobody is left.
    let third = resend(&house, &id, false).await.expect("made").campaign.id;
    assert_ne!(third, second);
    let nobody = house.app.start_campaign(&third, &caller()).await;
    assert!(matches!(nobody, Err(AppError::Conflict { .. })), "{nobody:?}");
    let fourth = resend(&house, &second, false).await.expect("made").campaign.id;
    let done = run(&house, &fourth).await;
    assert_eq!((done.progress.total, done.progress.success), (10, 10));

    // An explicit word, and those in doubt get it too, once.
    house.app.delete_campaign(&third, &caller()).await.expect("deleted");
    let fifth = resend(&house, &id, true).await.expect("made").campaign.id;
    let done = run(&house, &fifth).await;
    assert_eq!((done.progress.total, done.progress.success), (10, 10));
    let calls = calls.lock().expect("calls").clone();
    for (number, calls) in &calls {
        let expected = match number.chars().last() {
            Some('1' | '9') => 2,
            Some('2') => 3,
            _ => 1,
        };
        assert_eq!(*calls, expected, "{number}");
    }
    assert_eq!(calls.len(), 100);
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_got_a_message_of_a_campaign_that_is_no_more_is_known() {
    let dir = tempfile::tempdir().expect("a directory");
    let (house, _) = fickle(dir.path()).await;
    let body = json!({"name": "Verano", "message": "Hola", "contacts": numbers()});
    let id = create(&house, body).await;
    run(&house, &id).await;
    let second = resend(&house, &id, false).await.expect("made").campaign.id;
    run(&house, &second).await;
    house.app.delete_campaign(&second, &caller()).await.expect("deleted");
    let third = resend(&house, &id, false).await.expect("made").campaign.id;
    let nobody = house.app.start_campaign(&third, &caller()).await;
    assert!(matches!(nobody, Err(AppError::Conflict { .. })), "{nobody:?}");
    // The one whose failed ones it goes to is no more either.
    house.app.delete_campaign(&id, &caller()).await.expect("deleted");
    let nobody = house.app.start_campaign(&third, &caller()).await;
    assert!(matches!(nobody, Err(AppError::Conflict { .. })), "{nobody:?}");
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nobody_failed() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    let id = create(&house, json!({"name": "Verano", "message": "Hola", "contacts": contacts(3)})).await;
    run(&house, &id).await;
    let refused = resend(&house, &id, true).await;
    assert!(matches!(refused, Err(AppError::Conflict { .. })), "{refused:?}");
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_refused_is_refused_again() {
    let dir = tempfile::tempdir().expect("a directory");
    let (house, _) = fickle(dir.path()).await;
    let body = json!({"name": "Verano", "message": "Hola", "contacts": numbers()});
    let id = create(&house, body).await;
    run(&house, &id).await;
    resend(&house, &id, false).await.expect("made");
    let key = palomar_app::IdempotencyKey { key: "k".to_owned(), path: "/resend".to_owned() };
    for _ in 0..2 {
        let wanted = NewResend { name: None, uncertain: true };
        let other = house.app.resend_campaign(&id, wanted, Some((&key, 1)), &caller()).await;
        assert!(matches!(other, Err(AppError::Conflict { .. })), "{other:?}");
    }
    house.close().await;
}
