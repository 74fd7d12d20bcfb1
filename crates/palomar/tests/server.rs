//! A server and the command line together: what a person types, and what they see.

mod common;

use std::os::unix::fs::PermissionsExt as _;

use common::{Place, err, exits, out};
use serde_json::Value;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn a_first_start_needs_nothing_and_a_message_travels() {
    let place = Place::new();
    let server = place.serve();
    let data = place.path().join("palomar-data");
    let mode = |name: &str| std::fs::metadata(data.join(name)).expect(name).permissions().mode() & 0o077;
    for file in ["admin.key", "secret.key", "queue.db", "records.db", ""] {
        assert_eq!(mode(file), 0, "others can read {file:?}");
    }
    assert!(server.greeting.contains("/login?token="), "{}", server.greeting);

    // The line is typed as it was printed.
    let line = server.greeting.lines().find(|line| line.starts_with("curl ")).expect("a line");
    let typed = std::process::Command::new("sh")
        .args(["-c", &format!("{line} -s -o /dev/null -w '%{{http_code}}'")])
        .current_dir(place.path())
        .output()
        .expect("a shell");
    assert_eq!(out(&typed), "202", "{line}\n{}", err(&typed));

    let sent = place.ask(&server, &["send", "--to", "+34600111222", "--text", "Hola", "--wait"]);
    exits(&sent, 0);
    let steps: Vec<String> =
        out(&sent).lines().filter_map(|line| Some(line.split_once(" s ")?.1.to_owned())).collect();
    for step in ["queued", "sent", "delivered", "read"] {
        assert!(steps.iter().any(|said| said == step), "{step} in {steps:?}");
    }
    let doctor = place.ask(&server, &["doctor"]);
    exits(&doctor, 0);
    assert_eq!(server.stop(), Some(0));
    exits(&place.run(&["store", "check"]), 0);
}

#[test]
fn what_was_accepted_survives_a_kill() {
    let place = Place::new();
    let server = place.serve();
    let rows: String = (0..500).map(|n| format!("+34600{n:06};Hola {n}\n")).collect();
    place.file("contacts.csv", &format!("to;text\n{rows}"));
    let sent = place.ask(&server, &["send", "--file", "contacts.csv", "--json"]);
    exits(&sent, 0);
    let accepted: Vec<Value> = out(&sent).lines().map(json).collect();
    assert_eq!(accepted.len(), 500);
    // In the middle of sending them, most likely.
    server.kill();
    exits(&place.run(&["store", "check"]), 0);

    let server = place.serve();
    for row in [0, 250, 499] {
        let id = accepted[row]["id"].as_str().expect("an id");
        let shown = place.ask(&server, &["message", "show", id, "--json"]);
        exits(&shown, 0);
        let status = json(&out(&shown))["status"].as_str().expect("a status").to_owned();
        let states = ["queued", "sending", "uncertain", "sent", "delivered", "read"];
        assert!(states.contains(&status.as_str()), "{status}");
    }
    let metrics = json(&out(&place.ask(&server, &["queue", "metrics", "--json"])));
    let queue =
        metrics["queues"].as_array().expect("queues").iter().find(|queue| queue["queue"] == "outbound/demo");
    let queue = queue.expect("the demo's");
    assert_eq!((&queue["accepted"], &queue["duplicateSends"]), (&Value::from(500), &Value::from(0)));
    assert_eq!(server.stop(), Some(0));
    exits(&place.run(&["store", "check"]), 0);
}

#[test]
fn a_file_is_answered_for_row_by_row() {
    let place = Place::new();
    let server = place.serve();
    place.file("contacts.csv", "to;text\n+34600111222;Hola\n600;Hola\n+34600111333;\"a;b\"\n");
    let sent = place.ask(&server, &["send", "--file", "contacts.csv"]);
    exits(&sent, 0);
    assert!(out(&sent).contains("line 3: /to: "), "{}", out(&sent));
    assert!(out(&sent).ends_with("2 accepted, 1 refused\n"), "{}", out(&sent));

    place.file("messages.ndjson", "{\"to\":\"+34600111222\",\"text\":\"x\"}\nnot json\n");
    let words = ["send", "--file", "messages.ndjson", "--json", "--idempotency-key", "k1"];
    let first = place.ask(&server, &words);
    let again = place.ask(&server, &words);
    exits(&again, 0);
    let ids = |text: &str| json(text.lines().next().expect("a row"))["id"].clone();
    assert_eq!(ids(&out(&first)), ids(&out(&again)), "the same request, the same message");

    place.file("wrong.csv", "phone;text\n+34600111222;Hola\n");
    let refused = place.ask(&server, &["send", "--file", "wrong.csv"]);
    exits(&refused, 1);
}

#[test]
fn a_message_that_waits_can_be_looked_at_and_cancelled() {
    let place = Place::new();
    let server = place.serve();
    let later = ["send", "--to", "+34600111222", "--text", "x", "--at", "2090-01-01T00:00:00Z", "--json"];
    let id = json(&out(&place.ask(&server, &later)))["id"].as_str().expect("an id").to_owned();
    let explained = place.ask(&server, &["message", "explain", &id]);
    assert!(out(&explained).contains("2090-01-01T00:00:00Z"), "{}", out(&explained));
    assert!(out(&place.ask(&server, &["queue", "jobs", "--plain"])).contains(&id));
    exits(&place.ask(&server, &["message", "cancel", &id]), 0);
    exits(&place.ask(&server, &["message", "cancel", &id]), 1);
    exits(&place.ask(&server, &["queue", "drain"]), 2);
    exits(&place.ask(&server, &["queue", "drain", "--yes"]), 0);
    exits(&place.ask(&server, &["queue", "dlq"]), 0);
    exits(&place.ask(&server, &["channel", "pause", "demo", "--reason", "lunch"]), 0);
    assert!(out(&place.ask(&server, &["channel", "list"])).contains("lunch"));
    exits(&place.ask(&server, &["channel", "resume", "demo"]), 0);
}

#[test]
fn who_may_not_is_told_so() {
    let place = Place::new();
    let server = place.serve();
    let made = place.ask(&server, &["key", "create", "ci", "--role", "viewer", "--json"]);
    exits(&made, 0);
    let made = json(&out(&made));
    let key = made["secret"].as_str().expect("a secret");
    let with = |key: &str, words: &[&str]| {
        place
            .command(words)
            .env("PALOMAR_SERVER", &server.url)
            .env("PALOMAR_KEY", key)
            .output()
            .expect("it runs")
    };
    exits(&with(key, &["message", "list"]), 0);
    exits(&with(key, &["send", "--to", "+34600111222", "--text", "x"]), 4);
    exits(&with("plk_wrong", &["message", "list"]), 4);
    exits(&place.ask(&server, &["key", "revoke", made["id"].as_str().expect("an id"), "--yes"]), 0);
    exits(&with(key, &["message", "list"]), 4);
}

#[test]
fn a_start_that_can_not_be_says_why_in_one_line() {
    let place = Place::new();
    let server = place.serve();
    let taken = server.url.trim_start_matches("http://");
    for (words, said) in [
        (&["serve", "--listen", "127.0.0.1:0"][..], "in use by another process"),
        (&["serve", "--data", "other", "--listen", taken], "can't listen on"),
        (&["serve", "--data", "/proc/none", "--listen", "127.0.0.1:0"], "can't write to the data directory"),
    ] {
        let refused = place.run(words);
        exits(&refused, 1);
        let lines = err(&refused);
        let line = lines.lines().find(|line| line.starts_with("palomar: ")).unwrap_or_default();
        assert!(line.contains(said), "{words:?}: {lines}");
    }
}

#[test]
fn a_simulated_provider_takes_messages_and_writes_back() {
    let place = Place::new();
    let server = place.serve();
    let webhooks = format!("{}/webhooks/shop", server.url);
    let words = ["simulate", "cloud-api", "--port", "0", "--webhook-url", &webhooks, "--secret", "s3cr3t"];
    let simulator = place.start(place.command(&words), "Cloud API");
    place.file("token", "t0k3n\n");
    place.file("secret", "s3cr3t\n");
    let added = place.ask(
        &server,
        &[
            "channel",
            "add",
            "shop",
            "--provider",
            "cloud-api",
            "--phone-number-id",
            "106540352242922",
            "--api-url",
            &simulator.url,
            "--token-file",
            "token",
            "--app-secret-file",
            "secret",
        ],
    );
    exits(&added, 0);
    exits(&place.ask(&server, &["channel", "test", "shop"]), 0);
    let sent = place
        .ask(&server, &["send", "--channel", "shop", "--to", "+34600111222", "--text", "Hola", "--wait"]);
    exits(&sent, 0);
    assert!(out(&sent).trim_end().ends_with("read"), "{}", out(&sent));
    a_person_writes_and_is_answered(&place, &server, &simulator.url);
    // Neither shown nor logged.
    let shown = out(&place.ask(&server, &["channel", "show", "shop", "--json"])) + &out(&added);
    let log = std::fs::read_to_string(place.path().join("log")).expect("a log");
    for secret in ["t0k3n", "s3cr3t"] {
        assert!(!shown.contains(secret) && !log.contains(secret), "{secret} is told");
    }
    assert!(!log.contains("34600111222"), "a person's number is in the log");
    assert_eq!(simulator.stop(), Some(0));
}

/// What a person sees of conversations and of webhooks that could not be read, and what they do about them.
fn a_person_writes_and_is_answered(place: &Place, server: &common::Server, simulator: &str) {
    let inbound = |body: &str| {
        let url = format!("{simulator}/_sim/inbound");
        let posted = std::process::Command::new("curl")
            .args(["-sf", "-d", body, "-H", "content-type: application/json", &url])
            .output()
            .expect("curl");
        assert!(posted.status.success(), "{body}");
    };
    let until = |words: &[&str], found: &dyn Fn(&str) -> bool| {
        for _ in 0..400 {
            let text = out(&place.ask(server, words));
            if found(&text) {
                return text;
            }
            std::thread::sleep(std::time::Duration::from_millis(25));
        }
        panic!("{words:?}: {}", out(&place.ask(server, words)));
    };
    inbound(r#"{"text": "¿Sigue libre?", "from": "34600111333", "name": "Marta"}"#);
    let list = ["conversation", "list", "--channel", "shop", "--unread", "--json"];
    let listed = json(&until(&list, &|text| json(text).as_array().is_some_and(|items| items.len() == 1)));
    let id = listed[0]["id"].as_str().expect("an id").to_owned();
    let table = out(&place.ask(server, &["conversation", "list", "--text", "Marta"]));
    assert!(table.contains("Marta") && table.contains("← ¿Sigue libre?"), "{table}");
    exits(&place.ask(server, &["conversation", "reply", &id, "Sí, claro"]), 0);
    exits(&place.ask(server, &["conversation", "update", &id]), 2);
    let update = ["conversation", "update", &id, "--assignee", "ana", "--label", "lead", "--read", "--json"];
    let updated = json(&out(&place.ask(server, &update)));
    assert_eq!(
        (&updated["assignee"], &updated["labels"], &updated["unread"]),
        (&"ana".into(), &vec!["lead"].into(), &0.into())
    );
    let shown = until(&["conversation", "show", &id], &|text| text.contains("Sí, claro"));
    assert!(shown.contains("¿Sigue libre?") && shown.contains("phone +34600111333"), "{shown}");
    exits(&place.ask(server, &["conversation", "show", "shop.nobody"]), 1);

    exits(&place.ask(server, &["webhook", "failed"]), 0);
    inbound(r#"{"payload": {"object": "something else", "entry": []}}"#);
    let failed = ["webhook", "failed", "--json"];
    let failed = json(&until(&failed, &|text| json(text).as_array().is_some_and(|items| items.len() == 1)));
    let id = failed[0]["id"].as_str().expect("an id");
    let shown = out(&place.ask(server, &["webhook", "show", id]));
    assert!(
        shown.contains("/object: is not whatsapp_business_account") && shown.contains("something else"),
        "{shown}"
    );
    exits(&place.ask(server, &["webhook", "replay", id]), 0);
    until(&["webhook", "failed", "--plain"], &|text| text.lines().count() == 1 && !text.contains("\t\t"));
    exits(&place.ask(server, &["webhook", "replay"]), 2);
    exits(&place.ask(server, &["webhook", "replay", "--all"]), 2);
    exits(&place.ask(server, &["webhook", "replay", "--all", "--yes"]), 0);
    exits(&place.ask(server, &["webhook", "show", "none"]), 1);
    let queued = json(&out(&place.ask(server, &["store", "reparse", "--json"])));
    assert_eq!((&queued["messages"], &queued["events"]), (&0.into(), &0.into()));
}
