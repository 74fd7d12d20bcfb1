//! What a version did not know, read again by a later one: the same house, opened by a channel that knows more.

mod house;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use house::{House, demo};
use palomar_app::{AppConfig, Caller, ConsentWords, IntakeAnswer, ProviderFactory, WebhookRequest};
use palomar_channels::{
    BoxFuture, Channel, Delivery, Kept, Parsed, RateProfile, SandboxSink, Sent, Verified, WebhookError,
    cloud_api,
};
use palomar_model::{Content, FieldError, Outbound, Provider, Recipient, SendFailure, Tag};
use palomar_records::ChannelRecord;
use serde_json::json;

/// A Cloud API of the future: from some time on it knows holograms, which are texts, and wishes, which are preferences.
#[derive(Clone, Default)]
struct Later(Arc<AtomicBool>);

impl Later {
    fn words(&self, body: &str) -> String {
        if self.0.load(Ordering::SeqCst) {
            let body = body.replace("hologram", "text").replace("wishes_of_people", "user_preferences");
            body.replace("letters_of_people", "messages")
        } else {
            body.to_owned()
        }
    }
}

impl Channel for Later {
    fn provider(&self) -> Provider {
        Provider::CloudApi
    }

    fn profile(&self) -> RateProfile {
        RateProfile { limits: Vec::new(), concurrency: 10 }
    }

    fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
        Vec::new()
    }

    fn send<'a>(&'a self, _: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        unreachable!("nothing is sent here")
    }

    fn verify(&self, _: &palomar_channels::WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Ok(Verified::Delivery)
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        let body = self.words(std::str::from_utf8(delivery.body).expect("text"));
        cloud_api::receive::parse(body.as_bytes(), delivery.received_at)
    }

    fn reread(&self, kept: &Kept<'_>) -> Parsed {
        let raw = serde_json::from_str(&self.words(&kept.raw.to_string())).expect("JSON");
        let field = kept.field.map(|field| self.words(field));
        let kept = Kept { field: field.as_deref(), raw: &raw, ..*kept };
        cloud_api::receive::reread(&kept, "1")
    }
}

impl ProviderFactory for Later {
    fn build(&self, _: &ChannelRecord, _: Arc<dyn SandboxSink>) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        Ok(Arc::new(self.clone()))
    }
}

async fn receive(house: &House, field: &str, value: &serde_json::Value) {
    receive_all(house, vec![json!({"field": field, "value": value})]).await;
}

async fn receive_all(house: &House, changes: Vec<serde_json::Value>) {
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": changes}]});
    let request = WebhookRequest {
        method: "POST".to_owned(),
        url: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: body.to_string().into(),
        request_id: "r".to_owned(),
    };
    let answer = house.app.receive(&"demo".parse().expect("a name"), request).await;
    assert_eq!(answer, IntakeAnswer::Accepted);
}

/// Waits until every webhook is through.
async fn idle(house: &House) {
    for _ in 0..400 {
        let webhooks = house.app.queue_stats(&Caller::system()).await.expect("stats").webhook;
        if webhooks.waiting + webhooks.active + webhooks.delayed == 0 {
            return house.app.caught_up(Duration::from_secs(5)).await.expect("caught up");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("webhooks are still under way");
}

/// What the journal says, but for the orders to read again.
async fn told(house: &House) -> Vec<String> {
    let entries = house.app.records().journal(0, 100).await.expect("read");
    entries.into_iter().map(|entry| entry.kind).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_not_known_is_read_again_once_it_is() {
    let dir = tempfile::tempdir().expect("a directory");
    let later = Later::default();
    let house = House::open_with(dir.path(), Arc::new(later.clone())).await;
    house.app.create_channel(demo()).await.expect("created");
    let metadata = json!({"phone_number_id": "1"});
    let contacts = json!([{"profile": {"name": "Lucía"}, "wa_id": "34600111222"}]);
    let message = json!({"from": "34600111222", "id": "wamid.1", "timestamp": "1767225600", "type": "hologram",
        "hologram": {"body": "Hola, de lejos"}});
    let value = json!({"metadata": metadata, "contacts": contacts, "messages": [message]});
    receive(&house, "messages", &value).await;
    let wish = json!({"metadata": metadata, "contacts": contacts, "user_preferences": [{"wa_id": "34600111222",
        "detail": "no more", "category": "marketing_messages", "value": "stop", "timestamp": "1767225600"}]});
    receive(&house, "wishes_of_people", &wish).await;
    receive(&house, "still_unknown", &json!({"a": 1})).await;
    idle(&house).await;
    let id = house
        .app
        .records()
        .by_provider_id("demo".parse().expect("a name"), palomar_model::ProviderMessageId("wamid.1".into()));
    let id = id.await.expect("read").expect("kept");
    let content = async || house.find(id).await.message.content["content"].clone();
    assert_eq!(content().await["type"], "unknown");

    // Nothing is known yet: nothing changes.
    let before = told(&house).await;
    let queued = house.app.reparse(None).await.expect("queued");
    assert_eq!((queued.messages, queued.events, queued.failed_webhooks), (1, 2, 0));
    idle(&house).await;
    assert_eq!((told(&house).await, content().await["type"].as_str()), (before.clone(), Some("unknown")));

    later.0.store(true, Ordering::SeqCst);
    house.app.reparse(None).await.expect("queued");
    idle(&house).await;
    assert_eq!(content().await, json!({"type": "text", "text": "Hola, de lejos"}));
    let found = house.find(id).await.message;
    assert_eq!((found.content["text"].as_str(), found.r#type.as_str()), (Some("Hola, de lejos"), "text"));
    let mut after = told(&house).await;
    let mut new = after.split_off(before.len());
    new.sort();
    assert_eq!(
        (after, new),
        (before.clone(), ["opted_out", "preference_news", "reread"].map(str::to_owned).to_vec())
    );

    // And once more: what is known is not read again, and takes effect once.
    let before = told(&house).await;
    let queued = house.app.reparse(None).await.expect("queued");
    assert_eq!((queued.messages, queued.events), (0, 2));
    idle(&house).await;
    assert_eq!(told(&house).await, before);
    house.sound().await;
    house.close().await;
}

/// Who said that they want no more gets no more, however late it was understood.
#[tokio::test(flavor = "multi_thread")]
async fn what_is_read_late_does_all_that_it_would_have_done() {
    let dir = tempfile::tempdir().expect("a directory");
    let later = Later::default();
    let config = AppConfig { consent: ConsentWords::new("baja", "alta"), ..AppConfig::default() };
    let house = House::open_as(dir.path(), Arc::new(later.clone()), config).await;
    house.app.create_channel(demo()).await.expect("created");
    let metadata = json!({"phone_number_id": "1"});
    let message = |from: &str, id: &str, kind: &str| json!({"from": from, "id": id, "timestamp": "1767225600", "type": kind, kind: {"body": "Baja"}});
    let hologram = message("34600111222", "wamid.1", "hologram");
    receive(&house, "messages", &json!({"metadata": metadata, "messages": [hologram]})).await;
    let letter = message("34600111333", "wamid.2", "text");
    receive(&house, "letters_of_people", &json!({"metadata": metadata, "messages": [letter]})).await;
    let wish = json!({"metadata": metadata, "user_preferences": [{"wa_id": "34600111444", "detail": "no more",
        "category": "marketing_messages", "value": "stop", "timestamp": "1767225600"}]});
    receive(&house, "wishes_of_people", &wish).await;
    idle(&house).await;
    let people = ["+34600111222", "+34600111333", "+34600111444"];
    let suppressed = async || {
        let whom = people.map(|to| {
            let to = palomar_model::Recipient::parse(to, None).expect("a number");
            ("demo".parse().expect("a name"), to.key())
        });
        let found = house.app.records().suppressed(whom.to_vec()).await.expect("read");
        found.iter().map(Option::is_some).collect::<Vec<_>>()
    };
    assert_eq!(suppressed().await, [false; 3]);

    later.0.store(true, Ordering::SeqCst);
    for _ in 0..2 {
        house.app.reparse(None).await.expect("queued");
        idle(&house).await;
        assert_eq!(suppressed().await, [true; 3]);
        let letters = told(&house).await.into_iter().filter(|kind| kind == "received").count();
        assert_eq!(letters, 2, "the hologram, when it came, and the letter, once");
    }
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_order_is_bounded_and_the_next_one_goes_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open_with(dir.path(), Arc::new(Later::default())).await;
    house.app.create_channel(demo()).await.expect("created");
    for hook in 0..27 {
        let unknown = |n| json!({"field": "still_unknown", "value": {"hook": hook, "n": n}});
        receive_all(&house, (0..200).map(unknown).collect()).await;
    }
    idle(&house).await;
    let first = house.app.reparse(None).await.expect("queued");
    assert_eq!((first.events, first.left, first.next.is_some()), (5_000, 400, true), "{first:?}");
    let rest = house.app.reparse(first.next.as_deref()).await.expect("queued");
    assert_eq!((rest.events, rest.left, rest.next), (400, 0, None));
    house.close().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_channel_had_that_is_gone_is_told_apart() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open_with(dir.path(), Arc::new(Later::default())).await;
    house.app.create_channel(demo()).await.expect("created");
    receive(&house, "still_unknown", &json!({"a": 1})).await;
    idle(&house).await;
    house.app.delete_channel(&"demo".parse().expect("a name")).await.expect("deleted");
    let queued = house.app.reparse(None).await.expect("looked");
    assert_eq!((queued.events, queued.skipped, queued.left), (0, 1, 0));
    house.close().await;
}
