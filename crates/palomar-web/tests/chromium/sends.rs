//! Messages through the page: what they say arrives as it is, once, and what can't go is told apart.

use std::time::Duration;

use palomar_model::ErrorClass;
use palomar_sim::web::{Behaviour, Icons, Language};
use palomar_web::{Attachment, Draft, Known, Status};

use crate::house::{House, draft, tag};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn texts_arrive_as_they_are() {
    let house = House::ready(Behaviour::default()).await;
    let texts = [
        "Hola Lucía",
        "*negrita* _cursiva_ ~tachado~ ```código```",
        "one\ntwo\n\nfour",
        "👋🏽 ñandú 👨‍👩‍👧 ❤️",
        "مرحبا بالعالم abc שלום",
        "</div><script>alert(1)</script>&amp;\"'`${x}\\n",
        "  spaces   inside\tand tabs",
        "https://example.com/?a=1&b=2#c",
        "- one\n- two\n1. three",
    ];
    for (number, text) in (1..).zip(texts) {
        let taken = house
            .send("+34600111222", text, number)
            .await
            .unwrap_or_else(|error| panic!("{text:?}: {error}"));
        let entry = house.page.simulator().ledger(number as u64 - 1, 1).pop().expect("an entry");
        let plain = |text: &str| text.replace(['\u{a0}', '\t'], " ");
        assert_eq!((plain(&entry.text), entry.id), (plain(text), taken.id));
    }
    assert_eq!(house.page.simulator().accepted(), texts.len());
    assert_eq!(house.page.simulator().duplicates(), []);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_page_may_look_another_way_and_speak_another_language() {
    for behaviour in [
        Behaviour { language: Language::Es, bare_ids: true, ..Behaviour::default() },
        Behaviour { icons: Icons::Ic, popup: true, open_ms: 200, ..Behaviour::default() },
    ] {
        let house = House::ready(behaviour).await;
        for (number, to) in [(1, "+34600111222"), (2, "+34600333444"), (3, "+34600111222")] {
            house.send(to, &format!("Hola {number}"), number).await.expect("sent");
        }
        let failure = house.send("+34609000001", "Hola", 4).await.expect_err("no such number");
        assert_eq!(
            (failure.class, failure.code.as_deref()),
            (ErrorClass::Recipient, Some("not_on_whatsapp"))
        );
        let failure = house.send("+34609000002", "Hola", 5).await.expect_err("blocked");
        assert_eq!((failure.class, failure.code.as_deref()), (ErrorClass::Recipient, Some("no_composer")));
        // What went wrong leaves nothing in the way of the next one.
        house.send("+34600333444", "after", 6).await.expect("sent");
        assert_eq!(house.page.simulator().accepted(), 4);
        house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_go_with_their_names_and_words() {
    let house = House::ready(Behaviour::default()).await;
    let picture = house.dir.path().join("foto ñ.png");
    let bytes: &[u8] = &[137, 80, 78, 71, 13, 10, 26, 10, 0, 0, 0, 13, 73, 72, 68, 82];
    std::fs::write(&picture, bytes).expect("written");
    for (number, as_document, text) in [(1, false, "Mira"), (2, true, ""), (3, false, "")] {
        let file = Some(Attachment { path: picture.clone(), as_document });
        let draft = Draft { file, ..draft("+34600111222", text) };
        house.session.send(&draft, tag(number), &|| {}).await.expect("sent");
        let entry = house.page.simulator().ledger(number as u64 - 1, 1).pop().expect("an entry");
        let kind = if as_document { "document" } else { "image" };
        let said = (entry.kind.as_str(), entry.text.as_str(), entry.file.as_deref(), entry.size);
        assert_eq!(said, (kind, text, Some("foto ñ.png"), Some(bytes.len() as u64)));
    }
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_outcome_that_is_not_known_is_looked_for_and_never_pressed_again() {
    let house = House::ready(Behaviour::default()).await;
    let simulator = house.page.simulator();
    house.send("+34600111222", "first", 1).await.expect("sent");
    // The server takes it, and the page does not hear of that.
    simulator.set_behaviour(Behaviour { loses_answers: true, ..Behaviour::default() });
    let quick = Draft { tick_within: Duration::from_millis(300), ..draft("+34600111222", "second") };
    let failure = house.session.send(&quick, tag(2), &|| {}).await.expect_err("no tick");
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert_eq!(simulator.accepted(), 2);
    // The clock is no proof. When the page is there again, its chat shows the message as sent.
    assert_eq!(house.session.look(&quick, tag(2)).await.expect("looked"), Known::Unknown);
    simulator.set_behaviour(Behaviour::default());
    house.session.order(palomar_web::Command::Restart).await;
    house.until_status(Status::Available).await;
    let taken = house.session.send(&quick, tag(2), &|| panic!("pressed again")).await.expect("found");
    assert_eq!(taken.id, simulator.ledger(1, 1)[0].id);
    // What was never pressed is known not to be there.
    assert_eq!(house.session.look(&quick, tag(3)).await.expect("looked"), Known::NotPressed);
    // What was pressed and did not go can't be told from what may still come: it is not pressed again.
    simulator.set_behaviour(Behaviour { never_ticks: true, ..Behaviour::default() });
    let third = Draft { text: "third".to_owned(), ..quick };
    house.session.send(&third, tag(4), &|| {}).await.expect_err("no tick");
    let failure =
        house.session.send(&third, tag(4), &|| panic!("pressed again")).await.expect_err("not there");
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert_eq!((simulator.accepted(), simulator.duplicates()), (2, Vec::new()));
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_changed_page_is_named_and_mended_by_another_file() {
    for (element, names) in [("composer", "composer"), ("chats", "chats")] {
        let built_in = include_str!("../../page/whatsapp.toml");
        let dir = tempfile::tempdir().expect("a directory");
        let file = dir.path().join("page.toml");
        std::fs::write(&file, built_in).expect("written");
        let house = House::described(behaviour_of(element), &file).await;
        house.session.order(palomar_web::Command::Open).await;
        let view = house.until(|view| view.qr.is_some() || view.status == Status::Error).await;
        let code = view.qr.expect("a code").code;
        assert!(house.page.simulator().scan(Some(&code), crate::house::ACCOUNT));
        if element == "composer" {
            house.until_status(Status::Available).await;
            let failure = house.send("+34600111222", "Hola", 1).await.expect_err("no box");
            assert_eq!(failure.class, ErrorClass::Auth);
        }
        let view = house.until_reason("page_changed").await;
        assert!(view.detail.as_deref().is_some_and(|detail| detail.contains(names)), "{view:?}");
        // Another file, no other program.
        let mended = built_in
            .replace(
                "any = [\n  \"#main footer div[contenteditable=true][data-tab='10']\",",
                "any = [\n  \"[data-writer]\",",
            )
            .replace("any = [\"#pane-side\",", "any = [\"#pane-left\",")
            .replace("#main footer button", "#main button");
        std::fs::write(&file, mended).expect("written");
        house.session.order(palomar_web::Command::Restart).await;
        house.until_status(Status::Available).await;
        house.send("+34600111222", "Hola", 2).await.expect("sent");
        assert_eq!(house.page.simulator().accepted(), 1);
        house.end().await;
    }
}

fn behaviour_of(element: &str) -> Behaviour {
    Behaviour { changed: vec![element.to_owned()], ..Behaviour::default() }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_chat_that_opens_late_gets_nothing_of_another() {
    for bare_ids in [false, true] {
        let slow = Behaviour { bare_ids, open_ms: 1500, ..Behaviour::default() };
        let house = House::ready(slow).await;
        let simulator = house.page.simulator();
        // Whoever sends gives up while the chat is on its way.
        let first = house.send("+34600111222", "para A", 1);
        let given_up = tokio::time::timeout(Duration::from_millis(500), first).await;
        assert!(given_up.is_err(), "it opened too fast: {given_up:?}");
        simulator.set_behaviour(Behaviour { open_ms: 3000, ..simulator.behaviour() });
        house.send("+34600333444", "para B", 2).await.expect("sent");
        let ledger = simulator.ledger(0, 10);
        let sent: Vec<_> = ledger.iter().map(|one| (one.recipient.as_str(), one.text.as_str())).collect();
        assert_eq!(sent, [("+34600333444", "para B")]);
        house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_title_that_names_a_number_is_nobodys_chat() {
    for bare_ids in [false, true] {
        let house = House::ready(Behaviour { bare_ids, ..Behaviour::default() }).await;
        let simulator = house.page.simulator();
        for (group, name) in
            [("120363000000000001", "Oferta 34600111222"), ("120363000000000002", "+34 600 11 12 22")]
        {
            let said = palomar_sim::web::Inbound {
                from: "+34600999000".to_owned(),
                name: Some(name.to_owned()),
                account: None,
                group: Some(group.to_owned()),
                text: "hola".to_owned(),
                kind: "text".to_owned(),
            };
            let before = house.session.counts().received;
            simulator.inbound(said).expect("an account");
            // Its chat is open when it was heard.
            crate::house::eventually(|| (house.session.counts().received > before).then_some(())).await;
            let number = u128::from(before) + 1;
            house.send("+34600111222", &format!("para uno {number}"), number).await.expect("sent");
        }
        let recipients: Vec<String> =
            simulator.ledger(0, 10).into_iter().map(|entry| entry.recipient).collect();
        assert_eq!(recipients, ["+34600111222", "+34600111222"]);
        house.end().await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_was_pressed_stays_in_doubt_whatever_stops_the_search() {
    let mut house = House::ready(Behaviour { loses_answers: true, ..Behaviour::default() }).await;
    let quick = Draft { tick_within: Duration::from_millis(300), ..draft("+34600111222", "uno") };
    house.session.send(&quick, tag(1), &|| {}).await.expect_err("no tick");
    // The same attempt again by the next run, while its session is closed: nothing of that says that it did not go.
    house.session.order(palomar_web::Command::Close).await;
    house.reopen();
    let failure = house.session.send(&quick, tag(1), &|| {}).await.expect_err("closed");
    assert_eq!(failure.class, ErrorClass::Unknown);
    assert_eq!(house.session.look(&quick, tag(2)).await.expect("looked"), Known::NotPressed);
    // Nor where the notes are gone.
    std::fs::remove_file(house.dir.path().join("line/sends.log")).expect("removed");
    house.reopen();
    for tag in [tag(1), tag(2)] {
        assert_eq!(house.session.look(&quick, tag).await.expect("looked"), Known::Unknown);
    }
    house.end().await;
}
