//! `/metrics` as Prometheus reads it: every metric is in the document, and says what was done.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use palomar_api::{ApiConfig, OneTimeLink};
use serde_json::json;

use crate::house::House;

const DOCUMENT: &str = include_str!("../../../../docs/METRICS.md");

/// A message, and its HMAC-SHA256 under `app-secret-1`.
const WRITTEN: (&str, &str) = (
    r#"{"object":"whatsapp_business_account","entry":[{"id":"1","changes":[{"field":"messages","value":{"messaging_product":"whatsapp","metadata":{"display_phone_number":"15550783881","phone_number_id":"100200300400500"},"contacts":[{"profile":{"name":"L"},"wa_id":"34600111222"}],"messages":[{"from":"34600111222","id":"wamid.1","timestamp":"1767225600","type":"text","text":{"body":"Hola"}}]}}]}]}"#,
    "6b2d37ab5fdda39b6c4150a7053ce552f7f5a39f24680c99a2783b8b14f2a708",
);
/// What is no webhook of Meta's, signed all the same.
const UNREADABLE: (&str, &str) = ("[]", "d2ee4628c4fafaa7b99a30f4ca0e1d83c89af94180c1029ec2e835955cb91b35");

/// What was done, in samples.
const SAMPLES: &[&str] = &[
    "palomar_http_rejected_total{reason=\"unauthenticated\"} 3",
    "palomar_http_rejected_total{reason=\"forbidden\"} 1",
    "palomar_http_rejected_total{reason=\"bad_signature\"} 1",
    "palomar_http_rejected_total{reason=\"storage_full\"} 0",
    "palomar_auth_failures_total{reason=\"missing\"} 1",
    "palomar_auth_failures_total{reason=\"malformed\"} 1",
    "palomar_auth_failures_total{reason=\"unknown\"} 1",
    "palomar_auth_failures_total{reason=\"forbidden\"} 1",
    "palomar_auth_failures_total{reason=\"revoked\"} 0",
    "palomar_logins_total{result=\"ok\"} 1",
    "palomar_logins_total{result=\"refused\"} 2",
    "palomar_log_lines_total{level=\"warn\"} 1",
    "palomar_log_lines_total{level=\"error\"} 0",
    "palomar_clock_jumps_total 0",
    "palomar_queue_enqueued_total{kind=\"outbound\"} 3",
    "palomar_queue_settled_total{kind=\"outbound\",outcome=\"done\"} 2",
    "palomar_queue_settled_total{kind=\"outbound\",outcome=\"dead\"} 1",
    "palomar_queue_settled_total{kind=\"inbound\",outcome=\"dead\"} 1",
    "palomar_queue_jobs{kind=\"outbound\",state=\"dead\",channel=\"demo\"} 1",
    "palomar_queue_paused{kind=\"outbound\",channel=\"demo\"} 0",
    "palomar_queue_wait_seconds_count{kind=\"outbound\",priority=\"normal\"} 3",
    "palomar_workers{kind=\"inbound\",state=\"idle\"} 10",
    "palomar_attempts_total{provider=\"sandbox\",channel=\"demo\",outcome=\"sent\",class=\"none\"} 2",
    "palomar_attempts_total{provider=\"sandbox\",channel=\"demo\",outcome=\"not_taken\",class=\"recipient\"} 1",
    "palomar_attempts_total{provider=\"cloud_api\",channel=\"meta\",outcome=\"not_taken\",class=\"auth\"} 0",
    "palomar_messages_sent_total{provider=\"sandbox\",channel=\"demo\",type=\"text\"} 2",
    "palomar_messages_sent_total{provider=\"cloud_api\",channel=\"meta\",type=\"template\"} 0",
    "palomar_message_statuses_total{provider=\"sandbox\",channel=\"demo\",status=\"read\"} 1",
    "palomar_message_statuses_total{provider=\"sandbox\",channel=\"demo\",status=\"failed\"} 1",
    "palomar_messages_failed_total{provider=\"sandbox\",reason=\"recipient\"} 1",
    "palomar_messages_failed_total{provider=\"sandbox\",reason=\"reported\"} 1",
    "palomar_messages_failed_total{provider=\"cloud_api\",reason=\"attempts_exhausted\"} 0",
    "palomar_messages_uncertain{provider=\"sandbox\",channel=\"demo\"} 0",
    "palomar_uncertain_resolved_total{how=\"evidence\"} 0",
    "palomar_uncertain_resolved_total{how=\"person\"} 0",
    "palomar_uncertain_resolved_total{how=\"policy\"} 0",
    "palomar_duplicate_sends_total{provider=\"sandbox\"} 0",
    "palomar_provider_request_duration_seconds_bucket{le=\"5.0\",provider=\"sandbox\"} 3",
    "palomar_message_latency_seconds_count{provider=\"sandbox\",stage=\"delivered_to_read\"} 1",
    "palomar_rate_used_per_second{channel=\"meta\"} 0",
    "palomar_rate_allowed_per_second{channel=\"meta\"} 80",
    "palomar_throttled_seconds_total{provider=\"cloud_api\",window=\"1s\"} 0",
    "palomar_throttled_seconds_total{provider=\"sandbox\",window=\"provider\"} 0",
    "palomar_recipients_24h_limit{channel=\"demo\"} 1000",
    "palomar_breaker_state{provider=\"cloud_api\",channel=\"meta\"} 0",
    "palomar_breaker_opens_total{provider=\"cloud_api\"} 0",
    "palomar_channel_up{provider=\"sandbox\",channel=\"demo\"} 1",
    "palomar_channel_up{provider=\"cloud_api\",channel=\"meta\"} 0",
    "palomar_channels{provider=\"sandbox\",state=\"active\"} 1",
    "palomar_channels{provider=\"cloud_api\",state=\"paused\"} 1",
    "palomar_channels{provider=\"cloud_api\",state=\"broken\"} 0",
    "palomar_webhooks_received_total{provider=\"cloud_api\",result=\"accepted\"} 2",
    "palomar_webhooks_received_total{provider=\"cloud_api\",result=\"bad_signature\"} 1",
    "palomar_webhooks_received_total{provider=\"cloud_api\",result=\"not_durable\"} 0",
    "palomar_webhook_ack_duration_seconds_bucket{le=\"0.25\",provider=\"cloud_api\"} ",
    "palomar_webhooks_failed 1",
    "palomar_inbound_messages_total{provider=\"cloud_api\",type=\"text\"} 1",
    "palomar_inbound_messages_total{provider=\"sandbox\",type=\"text\"} 1",
    "palomar_inbound_messages_total{provider=\"sandbox\",type=\"order\"} 0",
    "palomar_store_flush_duration_seconds_bucket{le=\"0.1\",store=\"queue\"} ",
    "palomar_store_commit_duration_seconds_bucket{le=\"+Inf\",store=\"records\"} ",
    "palomar_store_errors_total{store=\"queue\",reason=\"full\"} 0",
    "palomar_store_errors_total{store=\"records\",reason=\"sql\"} 0",
    "palomar_projection_lag_events{projection=\"records\"} 0",
    "palomar_projection_lag_seconds{projection=\"records\"} 0",
];

async fn webhook(house: &House, (body, signature): (&str, &str)) -> u16 {
    let request =
        Request::post("/webhooks/meta").header("x-hub-signature-256", format!("sha256={signature}"));
    house.raw(request.body(Body::from(body.to_owned())).expect("a request")).await.status.as_u16()
}

/// Something of everything that is counted.
async fn script(house: &House) {
    let limits = json!({"limits": {"budget": {"portfolio": "shop", "max": 1000}}});
    let changed = house.send("PATCH", "/api/channels/demo", &house.admin, Some(&limits)).await;
    assert_eq!(changed.status.as_u16(), 200, "{}", changed.text());
    assert_eq!(house.send("POST", "/api/channels/meta/pause", &house.admin, None).await.status.as_u16(), 200);
    // Read and answered; refused by the provider; taken, and then reported as failed.
    for (to, text) in [("+34611222333", "echo Hola"), ("+34600000001", "x"), ("+34600000006", "x")] {
        let body = json!({"channel": "demo", "to": to, "type": "text", "content": {"text": text}});
        assert_eq!(house.post("/api/messages", &body).await.status.as_u16(), 202);
    }
    assert_eq!(webhook(house, WRITTEN).await, 200);
    assert_eq!(webhook(house, UNREADABLE).await, 200);
    assert_eq!(webhook(house, ("[]", "00")).await, 401);
    for (authorization, status) in [(None, 401), (Some("Basic x"), 401), (Some("Bearer plk_no"), 401)] {
        let mut request = Request::get("/api/messages");
        if let Some(authorization) = authorization {
            request = request.header("authorization", authorization);
        }
        let answer = house.raw(request.body(Body::empty()).expect("a request")).await;
        assert_eq!(answer.status.as_u16(), status, "{authorization:?}");
    }
    assert_eq!(
        house.send("POST", "/api/queue-monitor/pause", &house.viewer, None).await.status.as_u16(),
        403
    );
    for (token, status) in [("wrong", 410), ("right", 200), ("right", 410)] {
        assert_eq!(house.get(&format!("/login?token={token}")).await.status.as_u16(), status);
    }
    house.app.metrics().log_lines().count(tracing::Level::WARN);
}

fn missing(text: &str) -> Vec<&'static str> {
    let shown = |sample: &&str| {
        let whole = !sample.ends_with(' ');
        text.lines().any(|line| if whole { line == *sample } else { line.starts_with(*sample) })
    };
    SAMPLES.iter().copied().filter(|sample| !shown(sample)).collect()
}

/// The metrics once all that was done has had its effect, or what they are after a while.
async fn settled(house: &House) -> String {
    let mut text = String::new();
    for _ in 0..400 {
        text = house.get("/metrics").await.text();
        if missing(&text).is_empty() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    text
}

/// Type and labels, by name.
type Catalogue = BTreeMap<String, (String, BTreeSet<String>)>;

fn documented() -> Catalogue {
    let rows = DOCUMENT.lines().filter(|line| line.starts_with("| `"));
    let row = |line: &str| {
        let cells: Vec<&str> = line.trim_matches('|').split('|').map(str::trim).collect();
        assert!(cells.len() == 4 && !cells[3].is_empty(), "{line}");
        let labels = cells[2].split_whitespace().map(|label| label.trim_matches('`').to_owned()).collect();
        (cells[0].trim_matches('`').to_owned(), (cells[1].to_owned(), labels))
    };
    rows.map(row).collect()
}

fn exported(text: &str) -> Catalogue {
    let mut catalogue = Catalogue::new();
    let mut newest = String::new();
    for line in text.lines() {
        if let Some((family, kind)) = line.strip_prefix("# TYPE ").and_then(|rest| rest.split_once(' ')) {
            let suffix = match kind {
                "counter" => "_total",
                "info" => "_info",
                _ => "",
            };
            newest = format!("{family}{suffix}");
            let known = catalogue.insert(newest.clone(), (kind.to_owned(), BTreeSet::new()));
            assert_eq!(known, None, "{newest} is there twice");
        } else if !line.starts_with('#') {
            assert!(line.starts_with(&newest), "{line} under {newest}");
            let labels = line.split_once('{').and_then(|(_, rest)| rest.split_once('}'));
            let names = labels.into_iter().flat_map(|(labels, _)| labels.split("\","));
            let names = names.filter_map(|label| Some(label.split_once('=')?.0.to_owned()));
            let (_, known) = catalogue.get_mut(&newest).expect("its type came before");
            known.extend(names.filter(|name| name != "le"));
        }
    }
    catalogue
}

#[tokio::test]
async fn everything_is_counted_and_documented() {
    let login = Some(Arc::new(OneTimeLink::new("right")) as _);
    let house = House::open_with(ApiConfig { login, ..ApiConfig::new(1) }).await;
    // Before anything was done, what is known to come is there already.
    let fresh = house.get("/metrics").await.text();
    for sample in SAMPLES.iter().filter(|sample| sample.contains("_total") && sample.ends_with(" 0")) {
        assert!(fresh.lines().any(|line| line == *sample), "{sample} in {fresh}");
    }
    script(&house).await;
    let text = settled(&house).await;
    assert_eq!(missing(&text), [""; 0], "in {text}");
    assert!(text.ends_with("# EOF\n"));

    let (documented, exported) = (documented(), exported(&text));
    for (name, exported) in &exported {
        assert_eq!(documented.get(name), Some(exported), "{name} in docs/METRICS.md");
    }
    let gone: Vec<_> = documented.keys().filter(|name| !exported.contains_key(*name)).collect();
    assert!(gone.is_empty(), "in docs/METRICS.md, and not exported: {gone:?}");
    let helped = text.lines().filter_map(|line| line.strip_prefix("# HELP "));
    assert!(helped.clone().all(|help| help.ends_with('.') && !help.ends_with("..")), "{text}");
    assert_eq!(helped.count(), exported.len());

    house.clock.travel(Duration::from_secs(3600));
    let text = house.get("/metrics").await.text();
    assert!(text.lines().any(|line| line == "palomar_clock_jumps_total 1"), "{text}");
    house.close().await;
}

#[tokio::test]
async fn a_channel_that_goes_takes_nothing_back() {
    let house = House::open().await;
    let body = json!({"channel": "demo", "to": "+34611222333", "type": "text", "content": {"text": "x"}});
    assert_eq!(house.post("/api/messages", &body).await.status.as_u16(), 202);
    let sent = "palomar_queue_settled_total{kind=\"outbound\",outcome=\"done\"} 1";
    let read = "palomar_message_statuses_total{provider=\"sandbox\",channel=\"demo\",status=\"read\"} 1";
    for _ in 0..400 {
        let text = house.get("/metrics").await.text();
        if [sent, read].iter().all(|sample| text.lines().any(|line| line == *sample)) {
            break;
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    let gone = house.send("DELETE", "/api/channels/demo", &house.admin, None).await;
    assert_eq!(gone.status.as_u16(), 204, "{}", gone.text());
    let text = house.get("/metrics").await.text();
    for sample in [sent, "palomar_queue_enqueued_total{kind=\"outbound\"} 1"] {
        assert!(text.lines().any(|line| line == sample), "{sample} in {text}");
    }
    assert!(
        !text.contains("palomar_queue_jobs{kind=\"outbound\",state=\"queued\",channel=\"demo\"}"),
        "{text}"
    );
    house.close().await;
}
