//! Each fault as a client sees it on the wire.
#![allow(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod common;

use std::time::Duration;

use common::{Bench, PHONE, tagged, text, unlimited};
use palomar_sim::cloud_api::Config;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// Sends a message over a socket of its own and reads until the connection ends.
async fn raw(bench: &Bench) -> (std::io::Result<usize>, String) {
    let body = text("+34600111222").to_string();
    let request = format!(
        "POST /v25.0/{PHONE}/messages HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer t\r\n\
         Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    let mut socket = TcpStream::connect(bench.sim.addr).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let ended = tokio::time::timeout(Duration::from_millis(400), socket.read_to_end(&mut answer)).await;
    let ended = ended.unwrap_or_else(|_| Err(std::io::ErrorKind::TimedOut.into()));
    (ended, String::from_utf8(answer).unwrap())
}

fn last_fault(bench: &Bench) -> Option<String> {
    bench.sim.ledger(0, 100).pop().and_then(|entry| entry.fault)
}

#[tokio::test]
async fn a_reset_after_acceptance() {
    let bench = Bench::new(unlimited()).await;
    bench.faults(json!([{"kind": "reset_after_accept", "count": 1}])).await;
    let (ended, answer) = raw(&bench).await;
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
    assert_eq!(answer, "");
    assert_eq!(bench.sim.accepted(), 1);
    assert_eq!(last_fault(&bench).as_deref(), Some("reset_after_accept"));
    assert_eq!(bench.send(&text("+34600111222")).await.0, 200);
}

#[tokio::test]
async fn a_hang() {
    let bench = Bench::new(unlimited()).await;
    bench.faults(json!([{"kind": "hang", "count": 1}])).await;
    let (ended, answer) = raw(&bench).await;
    assert_eq!((ended.unwrap_err().kind(), answer.as_str()), (std::io::ErrorKind::TimedOut, ""));
    assert_eq!((bench.sim.accepted(), last_fault(&bench).as_deref()), (1, Some("hang")));
    // The simulator notices that the client went away.
    common::until("nobody hangs", || bench.sim.stats().in_flight == 0).await;
    bench.faults(json!([{"kind": "hang"}])).await;
    let reset = async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        bench.sim.reset();
    };
    let ((ended, _), ()) = tokio::join!(raw(&bench), reset);
    assert_eq!(ended.unwrap_err().kind(), std::io::ErrorKind::ConnectionReset);
}

#[tokio::test]
async fn a_truncated_200() {
    let bench = Bench::new(unlimited()).await;
    bench.faults(json!([{"kind": "truncated_200"}])).await;
    let (_, answer) = raw(&bench).await;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap();
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    let promised = head.lines().find_map(|line| line.strip_prefix("content-length: ")).unwrap();
    assert_eq!(body.len(), promised.parse::<usize>().unwrap() / 2);
    assert!(body.starts_with("{\"messaging_product\""));
    assert_eq!(bench.sim.accepted(), 1);
    let url = format!("{}/v25.0/{PHONE}/messages", bench.sim.url());
    let response = bench.http.post(url).bearer_auth("t").json(&text("+34600111222")).send().await.unwrap();
    assert!(response.bytes().await.is_err());
}

#[tokio::test]
async fn a_gateway_page_with_and_without_acceptance() {
    let bench = Bench::new(unlimited()).await;
    for (accepted, in_ledger) in [(json!(true), 1), (json!(false), 1), (Value::Null, 2)] {
        bench.faults(json!([{"kind": "http_502_html", "accepted": accepted, "count": 1}])).await;
        let (_, answer) = raw(&bench).await;
        assert!(
            answer.starts_with("HTTP/1.1 502") && answer.contains("<h1>502 Bad Gateway</h1>"),
            "{answer}"
        );
        assert_eq!(bench.sim.accepted(), in_ledger);
    }
}

#[tokio::test]
async fn refusals_with_the_providers_own_document() {
    let bench = Bench::new(unlimited()).await;
    for (fault, status, code) in [
        (json!({"kind": "error_131000"}), 500, 131_000),
        (json!({"kind": "down"}), 503, 131_016),
        (json!({"kind": "auth"}), 401, 190),
        (json!({"kind": "throttle", "retry_after": 7}), 429, 130_429),
    ] {
        bench.faults(json!([fault])).await;
        let (answered, answer) = bench.send(&text("+34600111222")).await;
        assert_eq!((answered, &answer["error"]["code"]), (status, &json!(code)));
    }
    let (_, answer) = raw(&bench).await;
    assert!(answer.contains("retry-after: 7\r\n"), "{answer}");
    assert_eq!(bench.sim.accepted(), 0);
}

#[tokio::test]
async fn slowness_and_latency() {
    let bench = Bench::new(unlimited()).await;
    let body = json!({"faults": [{"kind": "slow", "latency": "80ms"}], "latency": "30ms..31ms"});
    assert_eq!(bench.control("/_sim/faults", &body).await.0, 200);
    let start = tokio::time::Instant::now();
    assert_eq!(bench.send(&text("+34600111222")).await.0, 200);
    assert!(start.elapsed() >= Duration::from_millis(110));
    assert_eq!(last_fault(&bench).as_deref(), Some("slow"));
}

#[tokio::test]
async fn faults_strike_at_their_rate_and_only_whom_they_mean() {
    let bench = Bench::new(unlimited()).await;
    bench.faults(json!([{"kind": "down", "rate": 0.2}])).await;
    for n in 0..500 {
        bench.send(&tagged("+34600111222", &n.to_string())).await;
    }
    let refused = bench.sim.stats().answers["503/131016"];
    assert!((70..130).contains(&refused), "{refused}");
    bench.faults(json!([{"kind": "auth", "to": "+34600111333"}])).await;
    assert_eq!(bench.send(&text("+34600111333")).await.0, 401);
    assert_eq!(bench.send(&text("+34600111222")).await.0, 200);
}

#[tokio::test]
async fn wrong_settings_are_refused_and_change_nothing() {
    let bench = Bench::new(unlimited()).await;
    let before = bench.get("/_sim/faults").await;
    for wrong in [
        json!({"fault": []}),
        json!({"faults": [{"kind": "boom"}]}),
        json!({"faults": [{"kind": "hang", "rate": 2}]}),
        json!({"faults": [{"kind": "hang", "rates": 0.5}]}),
        json!({"faults": [{"kind": "down", "accepted": true}]}),
        json!({"statuses": {"loss": -1}, "latency": "1s"}),
        json!({"latency": "soon"}),
        json!("x"),
    ] {
        let (status, answer) = bench.control("/_sim/faults", &wrong).await;
        assert_eq!(status, 400, "{wrong}");
        assert!(answer["error"].is_string());
    }
    assert_eq!(bench.get("/_sim/faults").await, before);
}

#[tokio::test]
async fn faults_can_be_there_from_the_start_and_do_not_hold_up_the_end() {
    let bench = Bench::new(Config { faults: "down=1x,hang".parse().unwrap(), ..unlimited() }).await;
    assert_eq!(bench.send(&text("+34600111222")).await.0, 503);
    let url = format!("{}/v25.0/{PHONE}/messages", bench.sim.url());
    let request = bench.http.post(url).bearer_auth("t").json(&text("+34600111222"));
    let hanging = tokio::spawn(request.send());
    common::until("it hangs", || bench.sim.stats().in_flight == 1).await;
    tokio::time::timeout(Duration::from_secs(2), bench.sim.stop()).await.unwrap().unwrap();
    assert!(hanging.await.unwrap().is_err());
}
