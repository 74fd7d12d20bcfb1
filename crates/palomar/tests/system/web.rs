//! Browser sessions as a whole: the real binary, real Chromium, a page of our own that behaves as WhatsApp Web does.
//!
//! `SESSIONS`, `MESSAGES` and `KILLS` make the trial with kills larger.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use palomar_sim::web::{self, Behaviour, Inbound, Running};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::harness::{Server, Settings, SystemClock, size, until};

const ACCOUNT: &str = "+34600000000";

pub(super) async fn page(behaviour: Behaviour) -> Running {
    web::start(behaviour, 1, Arc::new(SystemClock)).await.expect("a page")
}

/// Tests may run as root, where the sandbox can't work.
pub(super) fn settings(page: &Running) -> Settings {
    let sandbox = !rustix::process::geteuid().is_root();
    vec![
        ("PALOMAR__WEB__ENABLED", "true".to_owned()),
        ("PALOMAR__WEB__SANDBOX", sandbox.to_string()),
        ("PUPPETEER_WHATSAPP_URL", page.url()),
    ]
}

pub(super) fn unlimited() -> Value {
    json!({
        "profile": "unlimited", "concurrency": 1, "breakerFailures": 0, "orderWaitSeconds": 1, "uncertainWaitSeconds": 1,
        "pair": { "intervalSeconds": 0.001, "burst": 1000 },
    })
}

pub(super) async fn session(server: &Server, name: &str) -> Value {
    server.get(&format!("/api/sessions/{name}")).await
}

pub(super) async fn until_session(server: &Server, name: &str, key: &str, wanted: &str) -> Value {
    until(&format!("the session {name} is {wanted}"), || async {
        let session = session(server, name).await;
        if session[key] == wanted { Ok(session) } else { Err(session.to_string()) }
    })
    .await
}

/// Makes a session and scans its code, as it is told by the API.
async fn link(server: &Server, page: &Running, name: &str, account: &str) {
    link_with(server, page, name, account, json!({})).await;
}

/// As [`link`], with settings.
pub(super) async fn link_with(server: &Server, page: &Running, name: &str, account: &str, settings: Value) {
    let body = json!({ "name": name, "limits": unlimited(), "settings": settings });
    let (status, answer) = server.post("/api/sessions", body).await;
    assert_eq!(status, 201, "{answer}");
    scan(server, page, name, account).await;
}

/// Repeating is safe here: what was pressed is looked for by its tag, and never pressed again.
pub(super) async fn repeat_safely(server: &Server, name: &str) {
    let patch = json!({ "onUncertain": "retry" });
    let path = format!("http://{}/api/channels/{name}", server.address);
    let answer = server.http.patch(path).bearer_auth(server.entrance().1).json(&patch).send().await;
    assert!(answer.expect("an answer").status().is_success());
}

/// Ends a session's browser with -9.
pub(super) async fn kill_browser(server: &Server, name: &str) {
    let pid = session(server, name).await["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok());
    if let Some(pid) = pid.and_then(Pid::from_raw) {
        // It may just have ended by itself.
        let _ = kill_process(pid, Signal::KILL);
    }
}

pub(super) async fn scan(server: &Server, page: &Running, name: &str, account: &str) {
    until("a code is scanned", || async {
        let (status, qr) = server.try_get(&format!("/api/sessions/{name}/qr")).await.expect("an answer");
        let code = qr["qr"].as_str().unwrap_or_default();
        if status == 200 && page.simulator().scan(Some(code), account) {
            Ok(())
        } else {
            Err(qr["detail"].to_string())
        }
    })
    .await;
    until_session(server, name, "status", "available").await;
}

pub(super) fn processes(dir: &Path) -> Vec<i32> {
    let told = format!("--user-data-dir={}", dir.join("sessions").display());
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part.starts_with(told.as_bytes()))
    })
    .collect()
}

/// What a person writes.
pub(super) fn from(number: &str, text: &str) -> Inbound {
    Inbound {
        from: number.to_owned(),
        name: None,
        account: None,
        group: None,
        text: text.to_owned(),
        kind: "text".to_owned(),
    }
}

/// A front end on Socket.IO, by polling: the protocol as it is on the wire.
struct Front {
    http: reqwest::Client,
    url: String,
}

impl Front {
    async fn connect(server: &Server) -> Front {
        let http = server.http.clone();
        let url = format!("http://{}/socket.io/?EIO=4&transport=polling", server.address);
        let opened = http.get(&url).send().await.expect("an answer").text().await.expect("a packet");
        let opened: Value = serde_json::from_str(opened.trim_start_matches('0')).expect("JSON");
        let url = format!("{url}&sid={}", opened["sid"].as_str().expect("an id"));
        let hello = format!("40{}", json!({ "token": server.entrance().1 }));
        let sent = http.post(&url).body(hello).send().await.expect("an answer");
        assert!(sent.status().is_success(), "{sent:?}");
        let mut front = Front { http, url };
        front.until("\"sid\"").await;
        front
    }

    /// The packet that has these words in it.
    async fn until(&mut self, words: &str) -> String {
        loop {
            let told =
                self.http.get(&self.url).send().await.expect("an answer").text().await.expect("packets");
            for packet in told.split('\u{1e}') {
                if packet == "2" {
                    let answered = self.http.post(&self.url).body("3").send().await.expect("an answer");
                    assert!(answered.status().is_success(), "{answered:?}");
                } else if packet.contains(words) {
                    return packet.to_owned();
                }
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_linked_sends_and_is_written_to() {
    let page = page(Behaviour::default()).await;
    let mut server = Server::with(settings(&page)).await;
    let created = server.output(&["session", "create", "desk"]).await;
    assert!(created.status.success(), "{}", String::from_utf8_lossy(&created.stderr));
    until("it shows a code", || async {
        let session = session(&server, "desk").await;
        if session["hasQr"] == true { Ok(()) } else { Err(session.to_string()) }
    })
    .await;
    let (drawn, told) = (
        server.output(&["session", "qr", "desk"]).await,
        server.output(&["session", "qr", "desk", "--json"]).await,
    );
    let drawn = String::from_utf8_lossy(&drawn.stdout).into_owned();
    assert!(drawn.contains("██ ▄▄▄▄▄ ") && drawn.lines().count() > 10, "{drawn}");
    let told: Value = serde_json::from_slice(&told.stdout).expect("JSON");
    let code = told["qr"].as_str().expect("a code");
    assert!(page.simulator().scan(Some(code), ACCOUNT), "the page shows another code");
    assert!(!server.printed().contains(code), "a code is in the log");
    let ready = until_session(&server, "desk", "status", "available").await;
    assert_eq!(server.post("/api/sessions/desk/open", json!({})).await.0, 200);
    let (status, refused) = server.try_get("/api/sessions/desk/qr").await.expect("an answer");
    assert_eq!((status, refused["code"].as_str()), (409, Some("no_qr")), "{refused} {ready}");

    let good = server.send("desk", "+34600111222", "Hola *Lucía*\n👋").await;
    let bad = server.send("desk", "+34609000001", "Hola").await;
    let image = json!({
        "channel": "desk", "to": "+34600333444", "type": "image",
        "content": { "link": format!("{}photo.png", page.url()), "caption": "Mira" },
    });
    let (status, image) = server.post("/api/messages", image).await;
    assert_eq!(status, 202, "{image}");
    server.until_status(&good, "read").await;
    server.until_status(image["id"].as_str().expect("an id"), "read").await;
    let failed = server.until_status(&bad, "failed").await;
    assert!(failed.to_string().contains("not_on_whatsapp"), "{failed}");
    let ledger = page.simulator().ledger(0, 10);
    let sent: Vec<_> = ledger
        .iter()
        .map(|entry| (entry.recipient.as_str(), entry.kind.as_str(), entry.text.as_str()))
        .collect();
    assert_eq!(sent.len(), 2, "{sent:?}");
    assert!(sent.contains(&("+34600111222", "text", "Hola *Lucía*\n👋")), "{sent:?}");
    assert!(sent.contains(&("+34600333444", "image", "Mira")), "{sent:?}");

    let inbound = Inbound { name: Some("Lucía".to_owned()), ..from("+34600777888", "¿Hay stock?") };
    let mut front = Front::connect(&server).await;
    page.simulator().inbound(inbound).expect("written");
    let pushed = front.until("message.received").await;
    assert!(pushed.contains("¿Hay stock?") && pushed.contains("\"desk\""), "{pushed}");
    until("it is recorded", || async {
        let messages = server.get("/api/messages?channel=desk&status=received").await;
        let items = messages["items"].as_array().cloned().unwrap_or_default();
        if items.len() == 1 && items[0].to_string().contains("¿Hay stock?") {
            Ok(())
        } else {
            Err(messages.to_string())
        }
    })
    .await;
    let (_, _, metrics) = server.bytes("/metrics").await;
    let metrics = String::from_utf8_lossy(&metrics).into_owned();
    for sample in [
        "session_messages_total{channel=\"desk\",outcome=\"sent\"} 2",
        "session_memory_bytes{channel=\"desk\"}",
    ] {
        assert!(metrics.contains(sample), "{sample} in {metrics}");
    }
    let (status, headers, picture) = server.bytes("/api/sessions/desk/picture").await;
    assert_eq!(
        (status, &headers["content-type"], &picture[1..4]),
        (200, &"image/png".parse().expect("a value"), &b"PNG"[..])
    );
    keep(&picture, "session.png");
    let listed = server.output(&["session", "list", "--plain"]).await;
    assert!(String::from_utf8_lossy(&listed.stdout).starts_with("desk\tavailable\tready"), "{listed:?}");

    // The phone takes the link back: what is sent waits, visibly, and goes when it is linked again.
    page.simulator().happen(None, "logout", None);
    let told = front.until("logged_out").await;
    assert!(told.contains("session.updated") && told.contains("disconnected"), "{told}");
    until_session(&server, "desk", "reason", "logged_out").await;
    let waiting = server.send("desk", "+34600111222", "espera").await;
    until("the queue has stopped", || async {
        let queue = server.queue("desk").await;
        if queue["paused"].as_str().is_some_and(|paused| paused.contains("session_not_ready")) {
            Ok(())
        } else {
            Err(queue.to_string())
        }
    })
    .await;
    // What a person paused meanwhile stays so, however ready the session is.
    let (status, paused) =
        server.post("/api/channels/desk/pause", json!({ "reason": "closed for today" })).await;
    assert_eq!(status, 200, "{paused}");
    scan(&server, &page, "desk", ACCOUNT).await;
    until("the watcher has seen that it is ready", || async {
        let session = session(&server, "desk").await;
        if session["status"] == "available" && session["updatedAt"].as_str() > session["since"].as_str() {
            Ok(())
        } else {
            Err(session.to_string())
        }
    })
    .await;
    let paused = server.queue("desk").await["paused"].to_string();
    assert!(paused.contains("closed for today"), "{paused}");
    assert_eq!(server.post("/api/channels/desk/resume", json!({})).await.0, 200);
    server.until_status(&waiting, "read").await;
    // Who may only restart it does not open it by that.
    assert_eq!(server.post("/api/sessions/desk/close", json!({})).await.0, 200);
    let (status, refused) = server.post("/api/sessions/desk/restart", json!({})).await;
    assert_eq!((status, refused["code"].as_str()), (409, Some("session_closed")), "{refused}");
    assert_eq!(session(&server, "desk").await["wanted"], "closed");
    assert_eq!(server.post("/api/sessions/desk/open", json!({})).await.0, 200);
    until_session(&server, "desk", "status", "available").await;
    assert!(server.terminate().await.success());
    assert_eq!(processes(&server.dir), Vec::<i32>::new());
    server.run().await;
    until_session(&server, "desk", "status", "available").await;
    // What the page showed when it was loaded may still be on its way to the records.
    until("it is removed", || async {
        let removed = server.output(&["session", "remove", "desk", "--yes"]).await;
        if removed.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&removed.stderr).into_owned())
        }
    })
    .await;
    assert!(!server.dir.join("sessions/desk").exists() && processes(&server.dir).is_empty());
    assert_eq!(server.try_get("/api/sessions/desk").await.expect("an answer").0, 404);
    // What is left of somebody's login is nobody's who takes the name, and goes also where sessions are switched off.
    let login = server.dir.join("sessions/next/profile/login");
    for is_on in [true, false] {
        let left = || {
            std::fs::create_dir_all(login.parent().expect("a directory")).expect("made");
            std::fs::write(&login, "x").expect("written");
        };
        if is_on {
            left();
            let made = json!({ "name": "next", "open": false });
            let (status, made) = server.post("/api/sessions", made).await;
            assert_eq!(status, 201, "{made}");
        } else {
            left();
            assert!(server.terminate().await.success());
            server.set("PALOMAR__WEB__ENABLED", "false");
            server.run().await;
            let removed = server.output(&["channel", "remove", "next", "--yes"]).await;
            assert!(removed.status.success(), "{}", String::from_utf8_lossy(&removed.stderr));
        }
        assert!(!login.exists(), "{is_on}");
    }
}

/// Where `PALOMAR_PICTURES` names a directory, what pages look like is kept there.
fn keep(picture: &[u8], name: &str) {
    if let Some(dir) = std::env::var_os("PALOMAR_PICTURES") {
        std::fs::write(PathBuf::from(dir).join(name), picture).expect("written");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn kills_lose_nothing_and_send_nothing_twice() {
    let (sessions, messages, kills) = (size("SESSIONS", 2), size("MESSAGES", 40), size("KILLS", 2));
    let page = page(Behaviour::default()).await;
    let mut server = Server::with(settings(&page)).await;
    let names: Vec<String> = (0..sessions).map(|n| format!("s{n}")).collect();
    for (n, name) in names.iter().enumerate() {
        link(&server, &page, name, &format!("+3460000{n:04}")).await;
        repeat_safely(&server, name).await;
    }
    let row = |n: usize| {
        json!({
            "channel": names[n % sessions], "to": format!("+346001{:05}", n % 20), "type": "text",
            "content": { "text": format!("mensaje {n}") },
        })
    };
    let rows: Vec<Value> = (0..messages).map(row).collect();
    let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
    assert_eq!(status, 200, "{answer}");
    for kill in 0..kills {
        let so_far = messages * (kill + 1) / (kills + 2);
        until("some have gone", || async {
            let accepted = page.simulator().accepted();
            if accepted >= so_far { Ok(()) } else { Err(format!("{accepted} have gone")) }
        })
        .await;
        if kill % 2 == 0 {
            kill_browser(&server, &names[kill / 2 % sessions]).await;
        } else {
            server.kill();
            server.run().await;
        }
    }
    until("all have gone", || async {
        let accepted = page.simulator().accepted();
        if accepted >= messages { Ok(()) } else { Err(format!("{accepted} of {messages} have gone")) }
    })
    .await;
    until("all are known to have gone", || async {
        let mut open = 0;
        for name in &names {
            for status in ["queued", "scheduled", "sending", "uncertain", "failed"] {
                open += server.count(name, status).await;
            }
        }
        if open == 0 { Ok(()) } else { Err(format!("{open} are open or failed")) }
    })
    .await;
    assert_eq!(page.simulator().duplicates(), []);
    assert_eq!(page.simulator().accepted(), messages);
    for name in &names {
        let session = until_session(&server, name, "status", "available").await;
        assert_eq!(session["hasQr"], false, "{session}");
    }
    assert!(server.terminate().await.success());
    assert_eq!(processes(&server.dir), Vec::<i32>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kill_between_reading_and_keeping_loses_nothing() {
    let kills = size("KILLS", 2);
    let page = page(Behaviour::default()).await;
    let mut server = Server::with(settings(&page)).await;
    link(&server, &page, "desk", ACCOUNT).await;
    let simulator = page.simulator();
    for kill in 0..kills {
        simulator.inbound(from(&format!("+346007{kill:05}"), &format!("pregunta {kill}"))).expect("written");
        // The page has shown it: from here on nothing but our own book tells that it came.
        let shown = async {
            while simulator.unread() > 0 {
                tokio::time::sleep(std::time::Duration::from_millis(1)).await;
            }
        };
        tokio::time::timeout(std::time::Duration::from_secs(60), shown).await.expect("the chat is read");
        server.kill();
        server.run().await;
        until("it is recorded", || async {
            let received = server.count("desk", "received").await;
            if received > kill { Ok(()) } else { Err(format!("{received} of {}", kill + 1)) }
        })
        .await;
    }
    let listed = server.get("/api/messages?channel=desk&status=received&limit=200").await;
    let items = listed["items"].as_array().cloned().unwrap_or_default();
    for kill in 0..kills {
        let text = json!(format!("pregunta {kill}"));
        assert_eq!(items.iter().filter(|item| item["content"]["text"] == text).count(), 1, "{text} {listed}");
    }
    assert!(server.terminate().await.success());
    assert_eq!(processes(&server.dir), Vec::<i32>::new());
}
