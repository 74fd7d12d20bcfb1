//! What providers call.

use axum::body::Body;
use axum::http::Request;
use serde_json::json;

use crate::house::House;

const BODY: &str = r#"{"object":"whatsapp_business_account","entry":[]}"#;
/// HMAC-SHA256 of it under `app-secret-1`.
const SIGNATURE: &str = "0ca28c0f1996234eb6829e59ad3c11a18161f6eb043943d601e420c312432cdf";

#[tokio::test]
async fn signatures_are_checked_before_anything_is_kept() {
    let house = House::open().await;
    let signed = format!("sha256={SIGNATURE}");
    let shouted = format!("sha256={}", SIGNATURE.to_uppercase());
    let (right, body) = (signed.as_str(), BODY.to_owned());
    for (path, signatures, body, status, code) in [
        ("/webhooks/meta", &[right][..], body.clone(), 200, ""),
        ("/webhooks/meta", &[], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &["sha256=00"], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &[&shouted], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &[right, "sha256=00"], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &["sha256=00", right], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &[right, right], body.clone(), 401, "bad_signature"),
        ("/webhooks/meta", &[right], format!("{BODY} "), 401, "bad_signature"),
        ("/webhooks/nowhere", &[right], body.clone(), 404, "not_found"),
        ("/webhooks/NO!", &[], body, 404, "not_found"),
        ("/webhooks/meta", &[right], "x".repeat(3 * 1024 * 1024 + 1), 413, "too_large"),
    ] {
        let mut request = Request::post(path).header("content-type", "application/json");
        for signature in signatures {
            request = request.header("x-hub-signature-256", *signature);
        }
        let answer = house.raw(request.body(Body::from(body)).expect("a request")).await;
        assert_eq!(answer.status.as_u16(), status, "{path} {signatures:?}: {}", answer.text());
        assert_eq!(answer.json()["code"].as_str().unwrap_or_default(), code);
    }
    house.close().await;
}

#[tokio::test]
async fn handshakes() {
    let house = House::open().await;
    let get = async |query: &str| {
        let request = Request::get(format!("/webhooks/meta?{query}")).body(Body::empty()).expect("a request");
        let answer = house.raw(request).await;
        (answer.status.as_u16(), answer.text())
    };
    assert_eq!(
        get("hub.mode=subscribe&hub.verify_token=word&hub.challenge=11").await,
        (200, "11".to_owned())
    );
    assert_eq!(get("hub.mode=subscribe&hub.verify_token=other&hub.challenge=11").await.0, 403);
    house.close().await;
}

#[tokio::test]
async fn what_cannot_be_understood_is_kept_and_replayed() {
    let house = House::open().await;
    let page = house.get("/api/failed-webhooks").await;
    assert_eq!(page.json(), json!({"items": [], "nextCursor": null}));
    let missing = house.send("POST", "/api/failed-webhooks/none/replay", &house.operator, None).await;
    assert_eq!(missing.status.as_u16(), 404);
    assert_eq!(house.get("/api/failed-webhooks/none").await.status.as_u16(), 404);
    let all = house.send("POST", "/api/failed-webhooks/replay", &house.operator, None).await;
    assert_eq!((all.status.as_u16(), all.json()), (200, json!({"replayed": 0})));
    let kept = house.send("POST", "/api/failed-webhooks/reparse", &house.admin, None).await;
    let nothing =
        json!({"messages": 0, "events": 0, "failedWebhooks": 0, "skipped": 0, "left": 0, "next": null});
    assert_eq!((kept.status.as_u16(), kept.json()), (200, nothing));
    let nowhere = house.send("POST", "/api/failed-webhooks/reparse?after=nowhere", &house.admin, None).await;
    assert_eq!(nowhere.status.as_u16(), 422, "{}", nowhere.text());
    house.close().await;
}
