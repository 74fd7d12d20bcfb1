//! What the log says of a message's way: the webhook that brought it, the reply, the report on that; in lines that a
//! machine reads, put together by the trace, with nobody's number, name or words in them.

use palomar_channels::cloud_api::sign;
use palomar_model::Secret;
use serde_json::{Value, json};

use crate::harness::{APP_SECRET, Server, quick, simulator, until};

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";

impl Server {
    /// The lines that it logged, by what they say.
    fn lines(&self, says: &str) -> Vec<Value> {
        let printed = self.printed();
        let lines = printed.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
        lines.filter(|line| line["message"] == says).collect()
    }
}

/// Waits for a line; the first that says so and has these members.
async fn line(server: &Server, says: &str, with: &[(&str, &str)]) -> Value {
    until(&format!("a line says: {says}"), || {
        let lines = server.lines(says);
        let found = lines.iter().find(|line| with.iter().all(|(name, value)| line[*name] == *value));
        std::future::ready(found.cloned().ok_or_else(|| json!(lines).to_string()))
    })
    .await
}

fn text<'v>(line: &'v Value, name: &str) -> &'v str {
    line[name].as_str().unwrap_or_else(|| panic!("no {name} in {line}"))
}

/// Posts a webhook as the provider does; the answer's headers.
async fn webhook(server: &Server, request: &str, body: String) -> reqwest::header::HeaderMap {
    let signature = sign::sign(&Secret::from(APP_SECRET), body.as_bytes());
    let answer = server
        .http
        .post(format!("http://{}/webhooks/line", server.address))
        .header("x-hub-signature-256", signature)
        .header("x-request-id", request)
        .header("traceparent", format!("00-{TRACE}-00f067aa0ba902b7-01"))
        .body(body);
    let answer = answer.send().await.expect("an answer");
    assert_eq!(answer.status().as_u16(), 200);
    answer.headers().clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_message_its_reply_and_the_report_are_one_trace() {
    let sim = simulator(quick()).await;
    let level = ("PALOMAR__LOG__LEVEL", "info,palomar_app=debug,palomar_api=debug".to_owned());
    let server = Server::with(vec![level, ("PALOMAR__LOG__FORMAT", "json".to_owned())]).await;
    server.channel("line", &sim, json!({ "profile": "unlimited" })).await;
    let number = format!("{}", 100_200_300_400_500 + u64::from(sim.addr.port()));
    let body = json!({"object": "whatsapp_business_account", "entry": [{"id": "1", "changes": [{
        "field": "messages", "value": {
            "messaging_product": "whatsapp",
            "metadata": {"display_phone_number": "15550100200", "phone_number_id": number},
            "contacts": [{"profile": {"name": "Lucía Prueba"}, "wa_id": "34600777888"}],
            "messages": [{"from": "34600777888", "id": "wamid.HBgLMzQ2MDAxMTEyMjIVAgASGBQzQTA=", "type": "text",
                "timestamp": "1767225600", "text": {"body": "Hola, palabras privadas"}}],
    }}]}]});
    let headers = webhook(&server, "request-7", body.to_string()).await;
    let answered = headers["traceparent"].to_str().expect("text");
    assert!(answered.starts_with(&format!("00-{TRACE}-")) && answered.len() == 55, "{answered}");

    let came = line(&server, "a webhook came", &[("request", "request-7")]).await;
    assert_eq!((text(&came, "result"), text(&came, "channel")), ("accepted", "line"));
    let read = line(&server, "a webhook was read", &[("request", "request-7"), ("trace", TRACE)]).await;
    for time in ["micros", "waited"] {
        assert!(read[time].is_u64(), "{time}: {read}");
    }
    let event = line(&server, "an event came", &[("trace", TRACE)]).await;
    let path = format!("/api/messages/{}", text(&event, "inbound"));
    let received = until("the message is a record", || async {
        let (status, message) = server.try_get(&path).await.expect("an answer");
        if status == 200 { Ok(message) } else { Err(message.to_string()) }
    })
    .await;
    assert_eq!(
        (&received["from"], &received["timeline"][0]["detail"]["trace"]),
        (&json!("+34600777888"), &json!(TRACE))
    );

    // Whoever replies goes on with the trace, without knowing of it.
    let conversation = until("there is a conversation", || async {
        let page = server.get("/api/conversations").await;
        page["items"][0]["id"].as_str().map(str::to_owned).ok_or_else(|| page.to_string())
    })
    .await;
    let path = format!("/api/conversations/{conversation}/messages");
    let (status, reply) = server.post(&path, json!({"type": "text", "content": {"text": "Buenas"}})).await;
    assert_eq!(status, 202, "{reply}");
    let reply = reply["id"].as_str().expect("an id").to_owned();
    let taken = line(&server, "an attempt was taken", &[("outbound", &reply), ("trace", TRACE)]).await;
    assert!(taken["micros"].is_u64(), "{taken}");
    let with = [("reference", text(&taken, "reference")), ("status", "read")];
    let report = line(&server, "a report came", &with).await;
    assert_eq!(text(&report, "of"), reply, "its tag names the message: {report}");
    let timeline = server.until_status(&reply, "read").await["timeline"].clone();
    assert_eq!(timeline[0]["detail"]["trace"], TRACE, "{timeline}");

    // What can't be read is said with its request and why.
    webhook(&server, "request-8", "no JSON at all".to_owned()).await;
    let failed = line(&server, "a webhook failed, and is kept", &[("request", "request-8")]).await;
    assert!(text(&failed, "error").contains("is not JSON"), "{failed}");
    assert_eq!((text(&failed, "level"), text(&failed, "trace")), ("WARN", TRACE));

    let printed = server.printed();
    for personal in ["600777888", "Lucía", "palabras", "Buenas", "HBgL", APP_SECRET, "token-1"] {
        assert!(!printed.contains(personal), "the log has {personal}");
    }
}
