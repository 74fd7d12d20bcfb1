//! The channel's own decisions: which address was signed, which tokens count, what a look-up proves.

use palomar_model::ProviderMessageId;
use serde_json::json;

use super::send::tests::message;
use super::*;

const ACCOUNT: &str = "AC00000000000000000000000000000001";

fn config() -> TwilioConfig {
    TwilioConfig::new(ACCOUNT, Secret::from("token-1"), "whatsapp:+15550100200")
}

fn channel(config: TwilioConfig) -> Twilio {
    Twilio::new(config, None, http::client().expect("a client")).expect("a channel")
}

/// Whether a request is accepted that was signed with `token` for `signed`, and called as `called`.
fn accepted(channel: &Twilio, token: &str, signed: &str, called: &str) -> bool {
    let params = form::Params::read(b"Body=x").expect("a form");
    let signature = sign::sign(&Secret::from(token), signed, &params);
    let header = |name: &str| match name {
        "x-twilio-signature" => Some(signature.clone()),
        "content-type" => Some(form::CONTENT_TYPE.to_owned()),
        _ => None,
    };
    let query = called.split_once('?').map_or("", |(_, query)| query);
    let request = WebhookRequest { method: "POST", url: called, query, header: &header, body: b"Body=x" };
    channel.verify(&request) == Ok(Verified::Delivery)
}

#[test]
fn the_address_as_twilio_saw_it() {
    let plain = channel(config());
    let public = "https://wa.example/webhooks/line?tag=1";
    assert!(accepted(&plain, "token-1", public, public));
    assert!(!accepted(&plain, "token-1", public, "http://10.0.0.7:8080/webhooks/line?tag=1"));
    let webhook_url = Some("https://u:p@wa.example/in/line#rc=5".to_owned());
    let behind = channel(TwilioConfig { webhook_url, ..config() });
    let inner = "http://10.0.0.7:8080/webhooks/line?tag=1";
    assert!(accepted(&behind, "token-1", "https://u:p@wa.example/in/line?tag=1", inner));
    assert!(accepted(&behind, "token-1", "https://u:p@wa.example/in/line", "http://10.0.0.7/webhooks/line"));
    assert!(!accepted(&behind, "token-1", "https://u:p@wa.example/in/line?tag=2", inner));
}

#[test]
fn tokens_that_count() {
    let rotating = TwilioConfig { secondary_auth_token: Secret::from("token-2"), ..config() };
    let url = "https://wa.example/webhooks/line";
    for (config, token, expected) in [
        (config(), "token-1", true),
        (config(), "token-2", false),
        (config(), "", false),
        (rotating.clone(), "token-1", true),
        (rotating, "token-2", true),
    ] {
        assert_eq!(accepted(&channel(config), token, url, url), expected, "{token}");
    }
    let none = |_: &str| None;
    let request = |method| WebhookRequest { method, url, query: "", header: &none, body: b"" };
    assert_eq!(channel(config()).verify(&request("POST")), Err(WebhookError::BadSignature));
    assert_eq!(channel(config()).verify(&request("GET")), Err(WebhookError::BadSignature));
    assert_eq!(channel(config()).verify(&request("PUT")).map_err(WebhookError::status), Err(400));
}

#[test]
fn what_looks_like_a_message_in_twilios_list() {
    let from = From { number: Some("+15550100200".to_owned()), service: None };
    let text = message("+34600111222", "text", &json!({"text": "Hola"}));
    let wanted = lookup::Wanted::of(&text, &from).expect("something to look for");
    let query = form::encode(&wanted.query());
    assert!(
        query.contains("To=whatsapp%3A%2B34600111222") && query.contains("DateSent%3E=2025-12-31"),
        "{query}"
    );
    let like = |sid: &str, change: serde_json::Value| {
        let mut message = json!({"sid": sid, "to": "whatsapp:+34600111222", "body": "Hola", "num_media": "0",
            "direction": "outbound-api", "date_created": "Thu, 01 Jan 2026 00:00:07 +0000", "status": "sent"});
        message.as_object_mut().expect("an object").extend(change.as_object().cloned().unwrap_or_default());
        message
    };
    let list = json!({"messages": [
        like("SM1", json!({})),
        like("SM2", json!({"body": "Adiós"})),
        like("SM3", json!({"date_created": "Wed, 31 Dec 2025 23:50:00 +0000"})),
        like("SM4", json!({"direction": "inbound"})),
        like("SM5", json!({"num_media": "1"})),
        like("SM6", json!({"to": "whatsapp:+34600111333"})),
        like("SM7", json!({"date_created": "soon"})),
        like("SM8", json!({})),
        7,
    ]});
    let Lookup::Alike(alike) = wanted.found(list.to_string().as_bytes()) else { panic!("nothing found") };
    let ids: Vec<_> = alike.into_iter().map(|sent| sent.provider_id).collect();
    assert_eq!(ids, [ProviderMessageId("SM1".into()), ProviderMessageId("SM8".into())]);
    for nothing in [&b"{\"messages\":[]}"[..], b"<html>", b"{\"messages\":7}"] {
        assert_eq!(wanted.found(nothing), Lookup::Unknowable);
    }
    let template = json!({"name": "HX00000000000000000000000000000001", "language": "es"});
    assert!(lookup::Wanted::of(&message("+34600111222", "template", &template), &from).is_none());
}

#[test]
fn a_line_is_known_by_its_number() {
    assert_eq!(channel(config()).line().as_deref(), Some("+15550100200"));
    assert!(!channel(config()).can_quote());
}
