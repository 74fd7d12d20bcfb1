//! A campaign whose messages are not wanted, or whose template is taken badly, pauses by itself and says why.

use std::sync::Arc;

use palomar_app::{AppError, CampaignPatch, ProviderFactory, ProviderTemplate};
use palomar_channels::{
    BoxFuture, Channel, Delivery, Parsed, RateProfile, SandboxSink, Sent, Verified, WebhookError,
};
use palomar_model::{
    Content, ErrorClass, FieldError, Outbound, Provider, ProviderMessageId, Recipient, SendFailure, Tag,
};
use palomar_records::ChannelRecord;

use super::*;

/// A provider for which every third person stopped the business; another third are no numbers.
struct Unwelcome;

impl Channel for Unwelcome {
    fn provider(&self) -> Provider {
        Provider::Sandbox
    }

    fn profile(&self) -> RateProfile {
        RateProfile { limits: Vec::new(), concurrency: 1 }
    }

    fn validate(&self, _: &Recipient, _: &Content) -> Vec<FieldError> {
        Vec::new()
    }

    fn send<'a>(&'a self, message: &'a Outbound, tag: Tag) -> BoxFuture<'a, Result<Sent, SendFailure>> {
        let number: u64 = message.to.key().parse().unwrap_or(0);
        let failure = |code: &str| Err(SendFailure::new(ErrorClass::Recipient, "refused").with_code(code));
        let answer = match number % 3 {
            0 => failure("no_more"),
            1 => failure("no_number"),
            _ => Ok(Sent {
                provider_id: ProviderMessageId(format!("unwelcome.{tag}").into()),
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

    fn unwelcome_codes(&self) -> &'static [&'static str] {
        &["no_more"]
    }
}

impl ProviderFactory for Unwelcome {
    fn build(&self, _: &ChannelRecord, _: Arc<dyn SandboxSink>) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        Ok(Arc::new(Unwelcome))
    }
}

fn patch(body: Value) -> CampaignPatch {
    serde_json::from_value(body).expect("a patch")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_is_not_wanted_stops_and_who_fails_otherwise_does_not() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open_with(dir.path(), Arc::new(Unwelcome)).await;
    house.app.create_channel(house::demo()).await.expect("created");
    let numbers: Vec<Value> = (0..600).map(|n| json!(format!("+346009{n:05}"))).collect();
    // Two thirds fail, which is allowed; one third is not wanted, which is not.
    let rule = json!({"failureRate": 1.0, "blockRate": 0.3, "sample": 60});
    let body = json!({"name": "Verano", "message": "Hola", "contacts": numbers, "autoPause": rule,
        "spreadSeconds": 6});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started");
    wait_until(&house, &id, |status| status.status == "paused").await;
    let view = house.app.campaign(&id, &caller()).await.expect("found");
    assert_eq!(view.pause_cause, Some("block_rate"), "{view:?}");
    assert!(view.pause_reason.is_some_and(|why| why.contains("were not wanted") && why.contains("30 % may")));
    let rule = json!({"autoPause": {"failureRate": 1.0, "blockRate": 0.4, "sample": 60}});
    house.app.update_campaign(&id, patch(rule), &caller()).await.expect("changed");
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!((done.progress.success, done.progress.failed), (200, 400));
    let report = report(&house, &id).await;
    assert_eq!(json!(report.failures), json!({"no_more": 200, "no_number": 200}));
    house.sound().await;
    house.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_template_that_is_taken_badly_pauses_what_sends_it() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::open(dir.path()).await;
    let mut demo = house::demo();
    demo.limits = serde_json::from_value(json!({"windows": [{"max": 50, "perSeconds": 1}]})).expect("limits");
    house.app.create_channel(demo).await.expect("created");
    let told = async |quality: &str| {
        let told = ProviderTemplate {
            channel: "demo".parse().expect("a name"),
            name: "promo".to_owned(),
            language: "es".to_owned(),
            provider_id: "1".to_owned(),
            category: "MARKETING".to_owned(),
            status: "APPROVED".to_owned(),
            quality: Some(quality.to_owned()),
            reason: None,
            components: json!([]),
            pulled_at: house.app.now(),
        };
        house.app.records().replace_templates(told.channel.clone(), vec![told]).await.expect("kept");
    };
    told("YELLOW").await;
    let body =
        json!({"name": "Verano", "template": {"name": "promo", "language": "es"}, "contacts": contacts(200)});
    let id = create(&house, body).await;
    house.app.start_campaign(&id, &caller()).await.expect("started: it may be yellow");
    wait_until(&house, &id, |status| status.progress.success > 0).await;
    told("RED").await;
    wait_until(&house, &id, |status| status.status == "paused").await;
    let view = house.app.campaign(&id, &caller()).await.expect("found");
    assert_eq!(view.pause_cause, Some("quality"));
    assert!(view.pause_reason.is_some_and(|why| why.contains("promo (es) is RED")));
    let refused = house.app.resume_campaign(&id, &caller()).await;
    assert!(
        matches!(&refused, Err(AppError::Conflict { detail, .. }) if detail.contains("autoPause.quality")),
        "{refused:?}"
    );
    // Somebody wants it so.
    let allowed = json!({"autoPause": {"quality": "never"}});
    house.app.update_campaign(&id, patch(allowed), &caller()).await.expect("changed");
    house.app.resume_campaign(&id, &caller()).await.expect("resumed");
    let done = wait_until(&house, &id, |status| status.status == "finished").await;
    assert_eq!(done.progress.success, 200);
    house.sound().await;
    house.close().await;
}
