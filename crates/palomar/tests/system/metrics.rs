//! What Prometheus sees of a real process: what only the binary wires, and what a limit does to messages that wait.

use crate::harness::{Server, quick, simulator, until};
use serde_json::json;

async fn metrics(server: &Server) -> String {
    let answer = server.http.get(format!("http://{}/metrics", server.address)).send().await;
    answer.expect("an answer").text().await.expect("a text")
}

/// The value of a sample, by its name and labels as they are written.
fn value(text: &str, sample: &str) -> f64 {
    let found = text.lines().find_map(|line| line.strip_prefix(sample)?.strip_prefix(' '));
    found.unwrap_or_else(|| panic!("{sample} in {text}")).parse().expect("a number")
}

#[tokio::test(flavor = "multi_thread")]
async fn the_process_its_log_and_what_a_limit_held() {
    let sim = simulator(quick()).await;
    let server = Server::start().await;
    let text = metrics(&server).await;
    for (sample, least) in [
        ("palomar_log_lines_total{level=\"info\"}", 1.0),
        ("process_resident_memory_bytes", 1e6),
        ("process_virtual_memory_bytes", 1e6),
        ("process_open_fds", 5.0),
        ("process_max_fds", 5.0),
        ("process_start_time_seconds", 1.7e9),
        ("palomar_disk_size_bytes", 1e6),
    ] {
        assert!(value(&text, sample) >= least, "{sample} in {text}");
    }
    server.channel("line", &sim, json!({ "windows": [{ "max": 2, "perSeconds": 1 }] })).await;
    for n in 0..6 {
        server.send("line", &format!("+3460011122{n}"), "Hola").await;
    }
    until("all are sent, and most have waited", || async {
        let text = metrics(&server).await;
        let sent = value(
            &text,
            "palomar_messages_sent_total{provider=\"cloud_api\",channel=\"line\",type=\"text\"}",
        );
        let held = value(&text, "palomar_throttled_seconds_total{provider=\"cloud_api\",window=\"1s\"}");
        let acknowledged =
            text.lines().any(|line| line.starts_with("palomar_webhook_ack_duration_seconds_count"));
        // Two seconds at the least pass between the first and the last of six, at two a second.
        if sent == 6.0 && held > 1.5 && acknowledged { Ok(()) } else { Err(text) }
    })
    .await;
}
