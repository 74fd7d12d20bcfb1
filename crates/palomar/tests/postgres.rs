//! Records in PostgreSQL, as a person sets them up: serve, check, move there from SQLite, and every way to get it wrong.

mod common;
#[path = "../../palomar-records/tests/records/postgres.rs"]
#[allow(dead_code, reason = "it is shared, and each test takes of it what it needs")]
mod server;

use std::process::Command;

use common::{Place, err, exits, out};
use serde_json::Value;
use server::{PASSWORD, Postgres};

const URL: &str = "PALOMAR__RECORDS__URL";

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A runtime, to make databases with.
fn block_on<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

fn database() -> String {
    block_on(server::database(server::shared_port()))
}

/// A command with records there.
fn with(place: &Place, url: &str, words: &[&str]) -> Command {
    let mut command = place.command(words);
    command.env(URL, url);
    command
}

fn serve(place: &Place, url: &str) -> common::Server {
    place.start(with(place, url, &["serve", "--listen", "127.0.0.1:0"]), "  Address")
}

fn send(place: &Place, server: &common::Server, text: &str) -> String {
    let sent = place.ask(server, &["send", "--to", "+34600111222", "--text", text, "--wait", "--json"]);
    exits(&sent, 0);
    let line = out(&sent).lines().next().expect("a line").to_owned();
    json(&line)["id"].as_str().expect("an id").to_owned()
}

#[test]
fn a_message_travels_with_records_in_postgresql() {
    let (place, url) = (Place::new(), database());
    let server = serve(&place, &url);
    let id = send(&place, &server, "Hola");
    assert!(!place.path().join("palomar-data/records.db").exists());
    let shown = place.ask(&server, &["message", "show", &id, "--json"]);
    exits(&shown, 0);
    assert_eq!(json(&out(&shown))["status"], "read", "{}", out(&shown));
    let checked = with(&place, &url, &["store", "check", "--records"]).output().expect("it runs");
    exits(&checked, 0);
    assert_eq!(server.stop(), Some(0));
    exits(&with(&place, &url, &["store", "check"]).output().expect("it runs"), 0);

    // It goes on where it was.
    let server = serve(&place, &url);
    send(&place, &server, "Hola otra vez");
    assert_eq!(server.stop(), Some(0));
    let info = with(&place, &url, &["store", "info", "--json"]).output().expect("it runs");
    exits(&info, 0);
    let info = json(&out(&info));
    assert!(
        info["records"]["engine"].as_str().is_some_and(|engine| engine.starts_with("PostgreSQL ")),
        "{info}"
    );
    assert_eq!(info["records"]["counted"]["messages"]["read"], 2, "{info}");
    let all = format!("{info}{}", std::fs::read_to_string(place.path().join("log")).expect("a log"));
    assert!(!all.contains(PASSWORD), "{all}");
}

#[test]
fn records_move_from_sqlite_to_postgresql() {
    let (place, url) = (Place::new(), database());
    let server = place.serve();
    let id = send(&place, &server, "Hola");
    assert_eq!(server.stop(), Some(0));
    exits(&place.run(&["store", "export", "records.ndjson"]), 0);
    let again = place.run(&["store", "export", "records.ndjson"]);
    exits(&again, 1);
    assert!(err(&again).contains("records.ndjson exists already"), "{}", err(&again));

    let planned = with(&place, &url, &["store", "migrate", "--plan", "--json"]).output().expect("it runs");
    exits(&planned, 0);
    assert_eq!(json(&out(&planned))["from"], 0);
    assert_eq!(json(&out(&planned))["steps"][0], "0001_messages");
    exits(&with(&place, &url, &["store", "migrate"]).output().expect("it runs"), 0);
    exits(&with(&place, &url, &["store", "import", "records.ndjson"]).output().expect("it runs"), 0);
    let again = with(&place, &url, &["store", "import", "records.ndjson"]).output().expect("it runs");
    exits(&again, 1);
    assert!(err(&again).contains("there are records already"), "{}", err(&again));
    // The queue's log goes on, and the records follow it from where they were.
    exits(&with(&place, &url, &["store", "check"]).output().expect("it runs"), 0);
    let server = serve(&place, &url);
    let shown = place.ask(&server, &["message", "show", &id, "--json"]);
    assert_eq!(json(&out(&shown))["status"], "read", "{}", out(&shown));
    send(&place, &server, "Hola otra vez");
    assert_eq!(server.stop(), Some(0));
    exits(&with(&place, &url, &["store", "check"]).output().expect("it runs"), 0);
}

#[test]
fn what_is_wrong_is_one_line_without_the_password() {
    let (place, url) = (Place::new(), database());
    let database = url.rsplit_once('/').expect("a database").1;
    for (url, status, expected) in [
        (url.replace(PASSWORD, "not-that-one"), 1, "the password of palomar is wrong"),
        (url.replace(database, "nowhere"), 1, "there is no such database"),
        (url.replace("127.0.0.1:", "127.0.0.1:1"), 2, "records.url: not an address of PostgreSQL"),
        ("mysql://u:not-that-one@db/x".to_owned(), 2, "records.url: not an address of PostgreSQL"),
    ] {
        for words in [&["serve", "--listen", "127.0.0.1:0"][..], &["store", "migrate"]] {
            let refused = with(&place, &url, words).output().expect("it runs");
            exits(&refused, status);
            let said = format!("{}{}", out(&refused), err(&refused));
            assert!(said.contains(expected), "{said}\nexpected {expected}");
            assert!(!said.contains(PASSWORD) && !said.contains("not-that-one"), "{said}");
        }
    }
}

/// A node whose database is ended and comes back: it says so, keeps what it accepts, and catches up.
#[test]
fn while_the_database_is_away_what_is_accepted_waits() {
    let (place, postgres) = (Place::new(), Postgres::start());
    let url = block_on(postgres.database());
    let server = serve(&place, &url);
    send(&place, &server, "Hola");
    let well = || place.ask(&server, &["doctor"]).status.success();
    assert!(well());
    postgres.command("immediate");
    let rows: String = (111_200..111_260).map(|n| format!("+34600{n};Hola {n}\n")).collect();
    place.file("contacts.csv", &format!("to;text\n{rows}"));
    let sent = place.ask(&server, &["send", "--file", "contacts.csv", "--json"]);
    exits(&sent, 0);
    assert!(!well(), "the database is away");
    postgres.command("start");
    for line in out(&sent).lines() {
        let id = json(line)["id"].as_str().expect("an id").to_owned();
        loop {
            let shown = place.ask(&server, &["message", "show", &id, "--json"]);
            let status = json(&out(&shown))["status"].clone();
            assert!(status != "failed", "{}", out(&shown));
            if status == "read" {
                break;
            }
        }
    }
    assert_eq!(server.stop(), Some(0));
    exits(&with(&place, &url, &["store", "check"]).output().expect("it runs"), 0);
}

/// A database that neither answers nor refuses: callers are told so, what is accepted waits.
#[test]
fn a_database_that_hangs_holds_up_nobody() {
    let (place, postgres) = (Place::new(), Postgres::start());
    let url = block_on(postgres.database());
    let server = serve(&place, &url);
    let before = send(&place, &server, "Hola");
    postgres.command("freeze");
    let accepted = place.ask(&server, &["send", "--to", "+34600111333", "--text", "Hola", "--json"]);
    exits(&accepted, 0);
    let after =
        json(out(&accepted).lines().next().expect("a line"))["id"].as_str().expect("an id").to_owned();
    for words in [&["message", "list"][..], &["message", "show", &before]] {
        let told = place.ask(&server, words);
        exits(&told, 1);
        assert!(err(&told).contains("can't be reached: it does not answer"), "{}", err(&told));
    }
    postgres.command("thaw");
    loop {
        let shown = place.ask(&server, &["message", "show", &after, "--json"]);
        if shown.status.success() && json(&out(&shown))["status"] == "read" {
            break;
        }
    }
    assert_eq!(server.stop(), Some(0));
    exits(&with(&place, &url, &["store", "check"]).output().expect("it runs"), 0);
}
