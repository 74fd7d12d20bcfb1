//! What people write, and how far ours are, told once each.

use palomar_sim::web::{Behaviour, Inbound};
use palomar_web::{Heard, Message, Tick};

use crate::house::House;

fn inbound(from: &str, name: Option<&str>, text: &str) -> Inbound {
    Inbound {
        from: from.to_owned(),
        name: name.map(str::to_owned),
        account: None,
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
    house.session.order(palomar_web::Command::Close).await;
    house.page.simulator().inbound(inbound("+34600777888", Some("Lucía"), "¿Hola?")).expect("an account");
    house.reopen();
    house.session.order(palomar_web::Command::Open).await;
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
