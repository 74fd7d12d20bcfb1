//! The send's answer and the provider's reports, in all orders: the message ends the same. The reports are recorded
//! webhooks, read as any other; each step of an order is through before the next one begins.

mod house;

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use house::{House, demo, message};
use palomar_app::{Caller, IntakeAnswer, ProviderFactory, WebhookRequest};
use palomar_channels::{
    BoxFuture, Channel, Delivery, Parsed, RateProfile, SandboxSink, Sent, Verified, WebhookError, cloud_api,
};
use palomar_model::{
    Content, FieldError, MessageId, MessageState, Outbound, Provider, ProviderMessageId, Recipient,
    SendFailure, Tag,
};
use palomar_records::{ChannelRecord, MessageStatus};
use tokio::sync::oneshot;

/// What may happen to a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// The provider answers the send.
    Answer,
    /// It reports so, in the webhook of this name.
    Report(&'static str),
}

const SENT: Step = Step::Report("sent");
const DELIVERED: Step = Step::Report("delivered");
const READ: Step = Step::Report("read");
const FAILED: Step = Step::Report("failed_131026");

/// All orders of these.
fn orders(steps: &[Step]) -> Vec<Vec<Step>> {
    if steps.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for (n, first) in steps.iter().enumerate() {
        let rest: Vec<_> = steps.iter().enumerate().filter(|(m, _)| *m != n).map(|(_, step)| *step).collect();
        all.extend(orders(&rest).into_iter().map(|order| [&[*first][..], &order].concat()));
    }
    all
}

/// Calls that wait for their answer, by message.
type Waiting = Arc<Mutex<HashMap<MessageId, oneshot::Sender<()>>>>;

/// A Cloud API whose answers come when the test says.
struct Held(Waiting);

impl Channel for Held {
    fn provider(&self) -> Provider {
        Provider::CloudApi
    }

    fn profile(&self) -> RateProfile {
        RateProfile { limits: Vec::new(), concurrency: 1_000 }
    }

    fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
        Vec::new()
    }

    fn send<'a>(&'a self, message: &'a Outbound, _: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        let (answer, asked) = oneshot::channel();
        self.0.lock().expect("calls").insert(message.id, answer);
        Box::pin(async move {
            asked.await.expect("an answer");
            Ok(Sent { provider_id: provider_id(message.id), alias: None, status: None })
        })
    }

    fn verify(&self, _: &palomar_channels::WebhookRequest<'_>) -> Result<Verified, WebhookError> {
        Ok(Verified::Delivery)
    }

    fn parse(&self, delivery: &Delivery<'_>) -> Parsed {
        cloud_api::receive::parse(delivery.body, delivery.received_at)
    }
}

impl ProviderFactory for Held {
    fn build(&self, _: &ChannelRecord, _: Arc<dyn SandboxSink>) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        Ok(Arc::new(Held(Arc::clone(&self.0))))
    }
}

fn provider_id(message: MessageId) -> ProviderMessageId {
    ProviderMessageId(format!("wamid.{message}").into())
}

/// A recorded webhook, about this message; with our tag where the provider hands it back.
fn webhook(name: &str, message: MessageId, tag: bool) -> String {
    let path = format!("{}/../../tests/fixtures/cloud-api/status/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(path).expect("a file");
    let mut body: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let status = &mut body["entry"][0]["changes"][0]["value"]["statuses"][0];
    status["id"] = provider_id(message).to_string().into();
    if tag {
        status["biz_opaque_callback_data"] = Tag { message, attempt: 1 }.to_string().into();
    }
    body.to_string()
}

async fn receive(house: &House, body: String) {
    let request = WebhookRequest {
        method: "POST".to_owned(),
        url: String::new(),
        query: String::new(),
        headers: Vec::new(),
        body: body.into(),
        request_id: "r".to_owned(),
    };
    let answer = house.app.receive(&"demo".parse().expect("a name"), request).await;
    assert_eq!(answer, IntakeAnswer::Accepted);
}

/// Waits until nothing is under way but the calls that wait for their answers.
async fn settled(house: &House, waiting: &Waiting) {
    for _ in 0..2_000 {
        let held = waiting.lock().expect("calls").len() as u64;
        let stats = house.app.queue_stats(&Caller::system()).await.expect("stats");
        let webhooks = &stats.webhook;
        let through = webhooks.waiting + webhooks.active + webhooks.delayed == 0;
        if through && stats.message.active <= held && stats.message.waiting == 0 {
            return house.app.caught_up(Duration::from_secs(10)).await.expect("caught up");
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    panic!("still under way");
}

#[tokio::test(flavor = "multi_thread")]
async fn all_orders_end_the_same() {
    let dir = tempfile::tempdir().expect("a directory");
    let waiting = Waiting::default();
    let house = House::open_with(dir.path(), Arc::new(Held(Arc::clone(&waiting)))).await;
    house.app.create_channel(demo()).await.expect("created");
    let mut messages = Vec::new();
    for (steps, end) in [
        (&[Step::Answer, SENT, DELIVERED, READ, FAILED][..], MessageState::Read),
        (&[Step::Answer, READ], MessageState::Read),
        (&[Step::Answer, SENT, FAILED], MessageState::Failed),
    ] {
        for order in orders(steps) {
            for tag in [false, true] {
                let to = format!("+346{:08}", 10_000_000 + messages.len());
                let id =
                    house.app.submit(message(&to, "x"), 0, &Caller::system(), None).await.expect("taken").id;
                messages.push((id, order.clone(), tag, end));
            }
        }
    }
    for n in 0..1_000 {
        if waiting.lock().expect("calls").len() == messages.len() {
            break;
        }
        assert!(n < 999, "the sends do not begin");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    for step in 0..5 {
        for (id, order, tag, _) in &messages {
            match order.get(step) {
                None => {}
                Some(Step::Report(name)) => receive(&house, webhook(name, *id, *tag)).await,
                Some(Step::Answer) => {
                    let answer = waiting.lock().expect("calls").remove(id);
                    let _ = answer.expect("a call that waits").send(());
                }
            }
        }
        settled(&house, &waiting).await;
    }
    for (id, order, tag, end) in messages {
        let found = house.find(id).await.message;
        assert_eq!(found.status, MessageStatus::Outbound(end), "{order:?}, tag {tag}");
        assert_eq!(found.provider_message_id, Some(provider_id(id).to_string()), "{order:?}, tag {tag}");
    }
    house.sound().await;
    house.close().await;
}
