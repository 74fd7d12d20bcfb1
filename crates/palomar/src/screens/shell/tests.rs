//! Screens without a terminal, a server or a clock: keys and answers in, pictures and questions out.

use palomar_model::Timestamp;
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use serde_json::{Value, json};

use super::*;
use crate::screens::{Dashboard, DeadLetters, Method, Queues, Top, dlq};

const PLAIN: Palette = Palette { colour: false };

fn at(second: i64) -> Timestamp {
    Timestamp::from_seconds(1_790_000_000 + second)
}

/// A screen that is driven by hand.
struct Driven<S: Screen> {
    shell: Shell<S>,
    second: i64,
}

impl<S: Screen> Driven<S> {
    fn new(screen: S) -> Driven<S> {
        let shell = Shell::new(screen, "http://127.0.0.1:8080", Duration::from_secs(5), PLAIN, at(0));
        Driven { shell, second: 0 }
    }

    /// Asks, and is answered by what `server` says of each path.
    fn answered(&mut self, server: impl Fn(&str) -> Value) {
        let Sent::Round(number, requests) = self.shell.ask() else { panic!("a round") };
        let answers = requests.iter().map(|request| (request.topic, server(&request.path))).collect();
        self.second += 5;
        let next = self.shell.came(Came::Round(number, Ok(answers)), at(self.second)).expect("goes on");
        assert!(next.is_empty());
    }

    fn keys(&mut self, keys: &[Key]) -> Vec<Sent<S::Topic>> {
        keys.iter().filter_map(|key| self.shell.key(*key)).collect()
    }

    fn typed(&mut self, text: &str) -> Vec<Sent<S::Topic>> {
        self.keys(&text.chars().map(Key::Char).collect::<Vec<_>>())
    }

    fn lines(&self, width: u16, height: u16) -> Vec<String> {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
        terminal.draw(|frame| self.shell.draw(frame.buffer_mut())).expect("drawn");
        let buf = terminal.backend().buffer();
        let row = |y| (0..width).map(|x| buf[(x, y)].symbol()).collect::<String>();
        (0..height).map(|y| row(y).trim_end().to_owned()).collect()
    }

    fn shows(&self, words: &str) {
        let lines = self.lines(80, 24);
        assert!(lines.iter().any(|line| line.contains(words)), "no {words:?} in\n{}", lines.join("\n"));
    }

    fn does_not_show(&self, words: &str) {
        let lines = self.lines(80, 24);
        assert!(!lines.iter().any(|line| line.contains(words)), "{words:?} in\n{}", lines.join("\n"));
    }
}

fn queue(name: &str, completed: u64) -> Value {
    json!({"queue": name, "waiting": 12, "scheduled": 1, "active": 3, "uncertain": 1, "dead": 2,
        "completed": completed, "accepted": completed + 20, "starts": completed + 3, "ratePermille": 1000,
        "breaker": "closed", "paused": null, "pausedGroups": [], "byPriority": {"high": 4, "normal": 8},
        "oldestWaitingAt": at(0).to_string()})
}

fn letter(n: usize, state: &str, reason: &str, said: &str) -> Value {
    let id = format!("0199aaaa-0000-7000-8000-{n:012}");
    json!({"id": id, "queue": "outbound/shop", "channel": "shop", "state": state, "reason": reason, "attempts": 3,
        "enqueuedAt": at(-60).to_string(), "priority": "normal", "campaignId": null,
        "message": {"id": id, "channel": "shop", "contact": "+34600111222", "type": "text",
            "content": {"text": said}, "metadata": {"order": 7}}})
}

const HOSTILE: &str = "\u{1b}[2J\u{1b}]0;owned\u{7}\r\nrow two \u{202e}evil\u{0} \u{200d}שלום 日本語 👨\u{200d}👩 e\u{301}\u{301}\u{301}";

/// A server with queues, dead letters, and texts that mean harm.
fn server(path: &str) -> Value {
    match path {
        "/api/queue-monitor/stats" => {
            json!({"queues": [queue("outbound/shop", 100), queue("inbound/shop", 40)],
            "nodes": [], "spool": null, "asOf": null})
        }
        "/api/dead-letters" => json!({"items": [
            letter(1, "dead", "no such number", "Hola"),
            letter(2, "uncertain", "the answer was lost", "Adiós"),
            letter(3, "dead", HOSTILE, HOSTILE),
        ], "nextCursor": null}),
        "/api/messages" => {
            json!({"items": [{"updatedAt": at(0).to_string(), "status": "sent", "channel": "shop",
            "contact": HOSTILE}]})
        }
        "/api/alerts" => {
            json!({"items": [{"rule": "breaker_open", "subject": "outbound/shop", "severity": "critical",
            "detail": HOSTILE, "firedAt": at(-600).to_string()}]})
        }
        "/api/campaigns" => json!({"items": [{"name": HOSTILE, "status": "sending",
            "progress": {"processed": 30, "total": 120, "percentage": 25}}]}),
        "/readyz" => json!({"status": "warn", "durability": "embedded: flushed", "checks": {
            "disk": {"status": "warn", "detail": "1 MiB of 9 MiB are free"},
            "records": {"status": "pass", "detail": "can be written"}}}),
        "/metrics" => json!(
            "process_cpu_seconds_total 1.5\nprocess_resident_memory_bytes 52428800\n\
            palomar_disk_free_bytes 1e9\npalomar_disk_size_bytes 4e9\n\
            palomar_rate_allowed_per_second{channel=\"shop\"} 80\n"
        ),
        "/api/analytics/report" => report(),
        "/api/analytics/timeseries" => json!({"metric": "response", "percentile": 95, "bucket": "hour",
            "from": at(0).to_string(), "to": at(86_400).to_string(),
            "series": [{"group": "", "points": [{"at": at(0).to_string(), "value": 12.5},
                {"at": at(3_600).to_string(), "value": null}, {"at": at(7_200).to_string(), "value": 99.0}]}]}),
        _ => {
            json!({"id": "x", "timeline": [{"at": at(-50).to_string(), "kind": "failed", "detail": {"why": HOSTILE}}],
            "items": [{"contactId": HOSTILE, "channel": "shop", "received": 3, "sent": 4}]})
        }
    }
}

fn report() -> Value {
    let stretch = |n: i64| {
        json!({"at": at(n * 3_600).to_string(), "sent": n * 10, "delivered": n * 9, "read": n * 5,
        "failed": n, "received": 2 * n})
    };
    json!({"period": "day", "from": at(0).to_string(), "to": at(86_400).to_string(), "zone": "UTC", "bucket": "hour",
        "messages": {"accepted": 1300, "sent": 1200, "delivered": 1100, "read": 600, "failed": 30, "received": 70,
            "deliveryRate": 0.9167, "readRate": 0.5455,
            "failures": [{"class": "recipient", "code": "131026", "count": 20}, {"class": HOSTILE, "code": null, "count": 10}]},
        "conversations": {"active": 90, "new": 12, "asked": 40, "answered": 30, "responseRate": 0.75,
            "firstResponse": {"p50Ms": 61_000.0, "p95Ms": 600_000.0}, "response": {}},
        "conversions": [{"kind": "sale", "count": 3, "attributed": 2, "value": 99.5, "currency": "EUR"}],
        "campaigns": [{"campaignId": HOSTILE, "sent": 5, "delivered": 4, "read": 3, "failed": 1}],
        "performance": {"sentPerMinute": 0.83, "receivedPerMinute": 0.05, "attemptFailureRate": 0.02,
            "times": {"queue_wait": {"count": 9, "p50Ms": 2.0, "p95Ms": 40.0, "p99Ms": 900.0}}},
        "series": (0..20).map(stretch).collect::<Vec<_>>(),
        "previous": {"messages": {"sent": 1000}, "conversations": {}, "conversions": []}})
}

/// Draws at every size, in every state that keys lead to: nothing panics and nothing steers the terminal.
fn hold_at_every_size<S: Screen>(mut driven: Driven<S>, keys: &str) {
    let sizes = [(80, 24), (160, 50), (40, 10), (39, 9), (1, 1), (300, 12), (60, 90)];
    let look = |driven: &Driven<S>| {
        for (width, height) in sizes {
            for line in driven.lines(width, height) {
                assert!(!line.contains(|c: char| c.is_control() || c == '\u{202e}'), "{line:?}");
            }
        }
    };
    look(&driven);
    for _ in 0..3 {
        driven.answered(server);
        look(&driven);
    }
    for key in
        keys.chars().map(Key::Char).chain([Key::Down, Key::Down, Key::Enter, Key::Tab, Key::Esc, Key::Tab])
    {
        driven.keys(&[key]);
        driven.answered(server);
        look(&driven);
    }
    driven.answered(|_| Value::Null);
    look(&driven);
    driven.answered(|_| json!({"items": 7, "queues": "no", "messages": [], "series": {}, "timeline": 3}));
    look(&driven);
}

#[test]
fn every_screen_holds_at_every_size_whatever_it_is_told() {
    hold_at_every_size(Driven::new(Queues::new()), "tsst?x/shop");
    hold_at_every_size(Driven::new(DeadLetters::new()), "?xjj");
    hold_at_every_size(Driven::new(DeadLetters::new()), "e");
    hold_at_every_size(Driven::new(DeadLetters::new()), "aX");
    hold_at_every_size(Driven::new(Dashboard::new(&[])), "mmmm?xm");
    hold_at_every_size(Driven::new(Top::new()), "sss?xs");
}

#[test]
fn a_server_that_goes_away_is_waited_for_and_said() {
    let mut driven = Driven::new(Queues::new());
    driven.answered(server);
    driven.shows("every 5 s");
    assert!(driven.shell.tick(at(4)).is_none(), "it was asked 4 s ago");
    let Some(Sent::Round(number, _)) = driven.shell.tick(at(10)) else { panic!("it is time to ask") };
    assert!(driven.shell.tick(at(20)).is_none(), "one question at a time");
    let away = || Err(Failure::new("connection refused").exit(Exit::Unreachable));
    assert!(driven.shell.came(Came::Round(number, away()), at(20)).is_ok());
    driven.shows("no connection since");
    driven.shows("NO CONNECTION");
    driven.shows("as of ");
    driven.shows("outbound/shop");
    // It is asked every second, and what it says then is shown.
    let Some(Sent::Round(number, requests)) = driven.shell.tick(at(21)) else { panic!("it is asked again") };
    let answers = requests.iter().map(|request| (request.topic, server(&request.path))).collect();
    driven.shell.came(Came::Round(number, Ok(answers)), at(27)).expect("goes on");
    driven.does_not_show("no connection");
    driven.shows("the server is back, after 7 s");
    driven.shell.tick(at(60));
    driven.does_not_show("the server is back");
}

#[test]
fn one_that_refuses_us_or_was_never_there_is_the_end() {
    let refused = || Failure::new("no").exit(Exit::Refused);
    let mut driven = Driven::new(Queues::new());
    let Sent::Round(number, _) = driven.shell.ask() else { panic!("a round") };
    assert_eq!(driven.shell.came(Came::Round(number, Err(refused())), at(0)).map(drop), Err(refused()));
    let mut driven = Driven::new(Queues::new());
    driven.answered(server);
    let Sent::Round(number, _) = driven.shell.ask() else { panic!("a round") };
    // What it does not answer for another reason is said, and not taken for an absence.
    driven.shell.came(Came::Round(number, Err(Failure::new("a bad filter"))), at(9)).expect("goes on");
    driven.shows("not answered: a bad filter");
    driven.does_not_show("connection");
}

#[test]
fn answers_to_old_questions_are_dropped() {
    let mut driven = Driven::new(DeadLetters::new());
    driven.answered(server);
    let Sent::Round(old, requests) = driven.shell.ask() else { panic!("a round") };
    let answers = requests.iter().map(|request| (request.topic, json!({"items": []}))).collect();
    driven.answered(server);
    driven.shell.came(Came::Round(old, Ok(answers)), at(30)).expect("goes on");
    driven.shows("no such number");
}

#[test]
fn keys_are_shown_explained_and_held() {
    let mut driven = Driven::new(Queues::new());
    driven.answered(server);
    driven.shows("? help  q quit");
    driven.typed("?");
    driven.shows("hold the picture");
    driven.typed("q");
    assert!(!driven.shell.has_ended(), "the key closed the help");
    driven.typed(" ");
    driven.shows("held");
    assert!(driven.shell.tick(at(500)).is_none());
    assert_eq!(driven.typed(" ").len(), 1, "it asks at once");
    driven.typed("--");
    driven.shows("every 30 s");
    driven.typed("/q");
    assert!(!driven.shell.has_ended(), "it was typed");
    driven.shows("queues whose name has: q");
    driven.keys(&[Key::Esc]);
    driven.shell.pasted("q");
    assert!(!driven.shell.has_ended(), "what is pasted is no command");
    driven.typed("q");
    assert!(driven.shell.has_ended());
}

/// The only order among what is sent.
fn order<T: Copy + std::fmt::Debug>(sent: Vec<Sent<T>>) -> Request<T> {
    match <[Sent<T>; 1]>::try_from(sent) {
        Ok([Sent::Order(request)]) => request,
        other => panic!("no single order: {other:?}"),
    }
}

#[test]
fn dead_letters_are_retried_one_by_one_and_all_by_their_filter() {
    let mut driven = Driven::new(DeadLetters::new());
    driven.answered(server);
    assert!(driven.typed("rn").is_empty(), "n is no yes");
    driven.shows("nothing was done");
    let one = order(driven.typed("ry"));
    assert_eq!(one.path, "/api/messages/0199aaaa-0000-7000-8000-000000000001/retry");
    assert!(driven.typed("jr").is_empty());
    driven.shows("TWICE");
    driven.keys(&[Key::Esc]);
    driven.typed("/channel:shop no such");
    assert_eq!(driven.keys(&[Key::Enter]).len(), 1, "the list is asked for anew");
    driven.answered(server);
    driven.shows("shown: channel:shop no such");
    driven.typed("a");
    driven.shows("\"channel:shop no such\"? y");
    let all = order(driven.typed("y"));
    assert_eq!(all.path, "/api/dead-letters/retry");
    assert_eq!(all.method, Method::Post(json!({"channel": "shop", "reason": "no such"})));
    let sent = driven.shell.came(Came::Order(all.topic, Ok(json!({"retried": 3}))), at(60)).expect("goes on");
    assert!(matches!(sent.as_slice(), [Sent::Round(..)]), "what is left is asked for");
    driven.shows("queued again: 3");
}

#[test]
fn what_is_forgotten_is_typed_and_what_may_have_been_sent_is_not() {
    let mut driven = Driven::new(DeadLetters::new());
    driven.answered(server);
    driven.typed("X");
    driven.shows("Forget EVERY dead letter?");
    driven.typed("purg");
    assert!(driven.keys(&[Key::Enter]).is_empty());
    driven.shows("nothing was forgotten");
    driven.typed("xpurge");
    let one = order(driven.keys(&[Key::Enter]));
    assert_eq!((&one.method, one.path.as_str()), (&Method::Delete, "/api/dead-letters"));
    let id = Some("0199aaaa-0000-7000-8000-000000000001".to_owned());
    assert_eq!(one.query, [("confirm", Some("true".to_owned())), ("id", id)]);
    driven.keys(&[Key::Down]);
    for key in ["x", "e"] {
        assert!(driven.typed(key).is_empty());
        driven.shows("it may have been sent");
    }
    let settled = order(driven.typed("ss"));
    assert_eq!(settled.method, Method::Post(json!({"outcome": "sent"})));
}

#[test]
fn an_edited_message_is_queued_before_its_letter_is_forgotten() {
    let mut driven = Driven::new(DeadLetters::new());
    driven.answered(server);
    driven.typed("e, Ana");
    driven.keys(&[Key::Tab, Key::Backspace]);
    driven.typed("9");
    driven.shows("Hola, Ana");
    let edited = order(driven.keys(&[Key::Enter]));
    let id = "0199aaaa-0000-7000-8000-000000000001";
    let body = json!({"channel": "shop", "to": "+34600111229", "type": "text", "content": {"text": "Hola, Ana"},
        "priority": "normal", "metadata": {"order": 7, "replaces": id}});
    assert_eq!((edited.path.as_str(), &edited.method), ("/api/messages", &Method::Post(body)));
    assert_eq!(edited.idempotency_key.as_deref(), Some(&*format!("replaces-{id}")));
    // One that is refused leaves the letter where it is.
    let refused = Err(Failure::new("/to: is no number"));
    let next = driven.shell.came(Came::Order(edited.topic, refused), at(9)).expect("goes on");
    assert!(matches!(next.as_slice(), [Sent::Round(..)]));
    driven.shows("/to: is no number");
    driven.typed("e");
    let edited = order(driven.keys(&[Key::Enter]));
    let next =
        driven.shell.came(Came::Order(edited.topic, Ok(json!({"id": "new"}))), at(9)).expect("goes on");
    let forgotten = order(next);
    assert_eq!((forgotten.topic, &forgotten.method), (dlq::Topic::Replaced, &Method::Delete));
    assert!(forgotten.query.contains(&("id", Some(id.to_owned()))));
}

#[test]
fn the_dashboard_asks_for_what_it_shows() {
    let mut driven = Driven::new(Dashboard::new(&[
        ("period", Some("day".into())),
        ("zone", Some("Europe/Madrid".into())),
    ]));
    driven.answered(server);
    driven.shows("1,200 +20 %");
    driven.shows("90 ");
    let said = |sent: Vec<Sent<_>>| match sent.into_iter().next() {
        Some(Sent::Round(_, requests)) => {
            requests.into_iter().map(|request| request.query).collect::<Vec<_>>()
        }
        other => panic!("no questions: {other:?}"),
    };
    let asked = said(driven.typed("3"));
    for query in &asked {
        assert!(query.contains(&("period", Some("month".into()))), "{query:?}");
        assert!(query.contains(&("zone", Some("Europe/Madrid".into()))), "{query:?}");
    }
    assert!(driven.typed("/shop").is_empty());
    assert!(driven.keys(&[Key::Enter]).is_empty(), "that is no filter");
    driven.shows("is no filter");
    driven.typed("/channel:shop country:ES");
    let asked = said(driven.keys(&[Key::Enter]));
    assert!(asked.iter().all(|query| query.contains(&("country", Some("ES".into())))), "{asked:?}");
    let asked = said(driven.typed("m"));
    assert!(asked.iter().any(|query| query.contains(&("metric", Some("sent".into())))), "{asked:?}");
}

#[test]
fn rates_are_those_of_the_server_s_own_counts() {
    let mut driven = Driven::new(Queues::new());
    for completed in [100, 150, 200] {
        driven.answered(|path| match path {
            "/api/queue-monitor/stats" => json!({"queues": [queue("outbound/shop", completed)]}),
            path => server(path),
        });
    }
    // 50 in 5 s.
    driven.shows("600");
    driven.shows("done 10");
    // A server that begins anew has no rate, and no guess is made.
    driven.answered(|path| match path {
        "/api/queue-monitor/stats" => json!({"queues": [queue("outbound/shop", 3)]}),
        path => server(path),
    });
    driven.shows("…");
}
