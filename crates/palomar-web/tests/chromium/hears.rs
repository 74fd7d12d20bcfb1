//! What people write, and how far ours are, told once each.

use std::sync::Arc;

use palomar_sim::web::{Behaviour, Inbound};
use palomar_web::{Command, Heard, Message, Sink, Tick};

use crate::house::{House, Stuck, eventually};

fn inbound(from: &str, name: Option<&str>, text: &str) -> Inbound {
    Inbound {
        from: from.to_owned(),
        name: name.map(str::to_owned),
        account: None,
        group: None,
        text: text.to_owned(),
        kind: "text".to_owned(),
    }
}

fn messages(heard: &[Heard]) -> Vec<Message> {
    let message = |one: &Heard| match one {
        Heard::Message(message) => Some(message.clone()),
        Heard::Tick { .. } => None,
    };
    heard.iter().filter_map(message).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_write_is_heard_once() {
    let mut house = House::ready(Behaviour::default()).await;
    let simulator = house.page.simulator();
    simulator.inbound(inbound("+34600555666", None, "Hola 👋\nsoy yo")).expect("an account");
    simulator.inbound(inbound("+34600777888", Some("Lucía"), "¿Hay stock?")).expect("an account");
    let heard = messages(&house.heard(|heard| messages(heard).len() >= 2).await);
    let mut said: Vec<_> = heard.iter().map(|one| (one.text.as_str(), one.phone.as_deref())).collect();
    said.sort_unstable();
    assert_eq!(said, [("Hola 👋\nsoy yo", Some("34600555666")), ("¿Hay stock?", Some("34600777888"))]);
    // In an open chat too, and after more of ours.
    house.send("+34600555666", "Buenas", 1).await.expect("sent");
    house.page.simulator().inbound(inbound("+34600555666", None, "otra")).expect("an account");
    house.page.simulator().inbound(inbound("+34600555666", None, "ok")).expect("an account");
    house.page.simulator().inbound(inbound("+34600555666", None, "ok")).expect("an account");
    let heard = messages(&house.heard(|heard| messages(heard).len() >= 5).await);
    assert_eq!(heard.len(), 5, "{heard:?}");
    assert!(!format!("{heard:?}").contains("stock"), "words are told in logs");
    // While it is closed people go on writing; what was heard before is not heard again.
    house.session.order(Command::Close).await;
    house.page.simulator().inbound(inbound("+34600777888", Some("Lucía"), "¿Hola?")).expect("an account");
    house.reopen();
    house.session.order(Command::Open).await;
    let heard = messages(&house.heard(|heard| !messages(heard).is_empty()).await);
    assert_eq!(heard.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["¿Hola?"]);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ticks_are_followed_in_the_open_chat_and_in_the_list() {
    let behaviour = Behaviour { delivered_ms: Some(300), read_ms: Some(300), ..Behaviour::default() };
    let house = House::ready(behaviour).await;
    let first = house.send("+34600111222", "uno", 1).await.expect("sent").id;
    // The first one's chat is no longer open when it is delivered.
    let second = house.send("+34600333444", "dos", 2).await.expect("sent").id;
    for id in [first, second] {
        let read = |heard: &[Heard]| {
            heard.iter().any(|one| matches!(one, Heard::Tick { id: of, tick: Tick::Read, .. } if *of == id))
        };
        let heard = house.heard(read).await;
        let of: Vec<Tick> = heard
            .iter()
            .filter_map(|one| match one {
                Heard::Tick { id: of, tick, .. } if *of == id => Some(*tick),
                _ => None,
            })
            .collect();
        assert!(of.is_sorted_by(|a, b| a < b), "{of:?}");
    }
    house.end().await;
}

/// Waits until a message was told to a sink that never keeps it.
async fn told(stuck: &Stuck) {
    let messages = || messages(&stuck.0.lock().expect("no panic")).len();
    eventually(|| (messages() > 0).then_some(())).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_read_and_not_kept_is_heard_by_the_next_run() {
    let behaviour = Behaviour { delivered_ms: None, bare_ids: true, ..Behaviour::default() };
    let mut house = House::ready(behaviour).await;
    let texts = |heard: &[Heard]| -> Vec<String> {
        messages(heard).into_iter().map(|message| message.text).collect()
    };
    // A chat that was opened to be read, and one that was opened to be written in: each shows what is lost by a crash
    // that comes before it is kept.
    for (number, from) in [(1, "+34600555666"), (2, "+34600777888")] {
        let stuck = Arc::new(Stuck::default());
        house.session.tell(Arc::clone(&stuck) as Arc<dyn Sink>);
        if number == 2 {
            house.send(from, "Buenas", number).await.expect("sent");
        }
        let text = format!("pregunta {number}");
        house.page.simulator().inbound(inbound(from, None, &text)).expect("an account");
        told(&stuck).await;
        eventually(|| (house.page.simulator().unread() == 0).then_some(())).await;
        // The browser ends, and whoever waits for the sink with it: nothing more is written down.
        house.pool.close().await;
        house.reopen();
        house.session.order(Command::Open).await;
        let heard = texts(&house.heard(|heard| !messages(heard).is_empty()).await);
        assert_eq!(heard, [text]);
    }
    // What is kept is not owed: the next run hears what is new, and nothing else.
    house.page.simulator().inbound(inbound("+34600999888", None, "otra")).expect("an account");
    house.heard(|heard| messages(heard).len() == 2).await;
    house.pool.close().await;
    house.reopen();
    house.session.order(Command::Open).await;
    house.page.simulator().inbound(inbound("+34600999888", None, "la última")).expect("an account");
    let heard = house.heard(|heard| texts(heard).iter().any(|text| text == "la última")).await;
    assert_eq!(texts(&heard), ["la última"]);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_told_who_wrote_and_nobody_else_is() {
    for bare_ids in [false, true] {
        let house = House::ready(Behaviour { bare_ids, ..Behaviour::default() }).await;
        let simulator = house.page.simulator();
        // Two people of one name, a group whose title is somebody's number, and one that has the name of the two.
        let in_group = |from: &str, group: &str, name: &str, text: &str| Inbound {
            group: Some(group.to_owned()),
            ..inbound(from, Some(name), text)
        };
        simulator.inbound(inbound("+34600555666", Some("Lucía"), "uno")).expect("an account");
        simulator.inbound(inbound("+34600777888", Some("Lucía"), "dos")).expect("an account");
        simulator
            .inbound(in_group("+34600999000", "120363000000000001", "+34 600 11 12 22", "BAJA"))
            .expect("an account");
        simulator
            .inbound(in_group("+34600999000", "120363000000000002", "Lucía", "cuatro"))
            .expect("an account");
        simulator.inbound(inbound("+34600444333", None, "cinco")).expect("an account");
        let heard = messages(&house.heard(|heard| messages(heard).len() >= 5).await);
        let phone = |text: &str| {
            let one = heard.iter().find(|one| one.text == text).expect("heard");
            (one.phone.as_deref(), one.group.is_some())
        };
        if bare_ids {
            assert_eq!(["uno", "dos", "cuatro"].map(phone), [(None, false); 3]);
            // What is known is who wrote it, as the message itself says.
            assert_eq!(phone("BAJA").0.filter(|phone| *phone != "34600999000"), None);
        } else {
            assert_eq!(phone("uno"), (Some("34600555666"), false));
            assert_eq!(phone("dos"), (Some("34600777888"), false));
            assert_eq!(["BAJA", "cuatro"].map(phone), [(Some("34600999000"), true); 2]);
        }
        assert_eq!(phone("cinco"), (Some("34600444333"), false));
        assert_eq!(heard.len(), 5, "{heard:?}");
        house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_there_before_is_not_told_and_what_the_page_can_not_show_is_counted() {
    let mut house = House::ready(Behaviour { rows: 3, ..Behaviour::default() }).await;
    house.session.order(Command::Close).await;
    for text in ["1", "2", "3", "4", "5"] {
        house.page.simulator().inbound(inbound("+34600555666", Some("Lucía"), text)).expect("an account");
    }
    house.reopen();
    house.session.order(Command::Open).await;
    let heard = messages(&house.heard(|heard| messages(heard).len() >= 3).await);
    assert_eq!(heard.iter().map(|one| one.text.as_str()).collect::<Vec<_>>(), ["3", "4", "5"]);
    assert_eq!(
        eventually(|| Some(house.session.counts()).filter(|counts| counts.missed > 0)).await.missed,
        2
    );
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waits_far_down_the_list_is_heard() {
    let mut house = House::ready(Behaviour { listed: 4, ..Behaviour::default() }).await;
    house.session.order(Command::Close).await;
    // Of twelve chats the four that were written in last are drawn; the unread ones stand below them.
    for number in 0..12 {
        let from = format!("+346005556{number:02}");
        house.page.simulator().inbound(inbound(&from, None, &format!("n {number}"))).expect("an account");
    }
    house.reopen();
    house.session.order(Command::Open).await;
    let heard = messages(&house.heard(|heard| messages(heard).len() >= 12).await);
    let mut said: Vec<_> = heard.iter().map(|one| one.text.clone()).collect();
    said.sort();
    said.dedup();
    assert_eq!((said.len(), heard.len()), (12, 12));
    house.end().await;
}
