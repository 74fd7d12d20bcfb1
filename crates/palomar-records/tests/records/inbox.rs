//! Conversations, contacts, what is done to messages after they were written, and whom nothing is sent to.

use palomar_model::{
    Author, Bsuid, Change, Echo, InboundContent, InboundMessage, InboundWords, MessageChange, MessageId,
    PersonNews, Phone, ProviderMessageId, Recipient, Sender, SystemKind, SystemMessage, Wish,
};
use palomar_records::{
    Consent, ContactFilter, ConversationFilter, ConversationId, ConversationPatch, ConversationView,
    Direction, MessageView, RecordFact, Records, RecordsError, Suppression, SuppressionReason, What,
};

use crate::facts::{LOG, START, at, channel, id, log, outbound, provider_id};
use crate::house::{House, on_both, sound};

on_both!(
    a_conversation_has_its_state,
    ids_that_come_together_are_one_person,
    a_number_with_another_owner_is_another_person,
    what_was_done_to_a_message_is_shown_with_it,
    whoever_opts_out_is_left_alone,
    who_is_blocked_need_not_be_read,
    what_the_business_wrote_elsewhere_is_kept_once,
    conversations_are_found,
    what_comes_without_an_id_is_kept_and_marked,
);

fn phone() -> Sender {
    let phone = Phone::parse("+34600111222", None).expect("a number");
    Sender { phone: Some(phone), wa_id: Some("34600111222".to_owned()), ..Sender::default() }
}

fn bsuid(digits: &str) -> Sender {
    Sender { bsuid: Bsuid::parse(&format!("ES.{digits}")), ..Sender::default() }
}

fn both() -> Sender {
    Sender { bsuid: bsuid("1").bsuid, name: Some("Lucía".to_owned()), ..phone() }
}

fn said(n: u128, from: Sender, text: &str) -> InboundMessage {
    let content = InboundContent::Text(InboundWords { text: text.to_owned() });
    let second = u64::try_from(n).expect("small");
    InboundMessage::new(provider_id(n), from, at(second), "text", content, serde_json::json!({}))
}

fn wrote(n: u128, from: Sender, text: &str) -> (Option<MessageId>, What) {
    (None, What::Inbound { id: id(n), message: Box::new(said(n, from, text)) })
}

fn wishes(n: u128, who: Sender, wish: Wish) -> (Option<MessageId>, What) {
    let identity = format!("consent:{n}");
    (
        None,
        What::Consent(Box::new(Consent {
            who,
            wish,
            detail: Some("BAJA".to_owned()),
            message: Some(id(n)),
            identity,
        })),
    )
}

async fn told(records: &Records, facts: Vec<RecordFact>) {
    let cursor = records.cursor(LOG).await.expect("a cursor");
    let through = facts.last().expect("some").cursor;
    records.apply(LOG, cursor, facts, through, at(900)).await.expect("applied");
}

async fn conversations(records: &Records) -> Vec<ConversationView> {
    records.conversations(ConversationFilter::default(), None, 50).await.expect("read").items
}

async fn messages(records: &Records, conversation: &ConversationView) -> Vec<MessageView> {
    records.conversation_messages(conversation, None, 50).await.expect("read").items
}

async fn a_conversation_has_its_state(house: House) {
    let records = house.open().await;
    let mut group = said(3, phone(), "en el grupo");
    group.group_id = Some("g".to_owned());
    let told_by_system = InboundMessage {
        content: InboundContent::System(SystemMessage {
            kind: SystemKind::IdentityChanged,
            body: None,
            new_wa_id: None,
            new_bsuid: None,
        }),
        ..said(4, phone(), "")
    };
    let sent = palomar_model::Outbound {
        to: Recipient::parse("+34600111222", None).expect("a number"),
        ..outbound(9)
    };
    told(
        &records,
        log(
            1,
            vec![
                wrote(1, both(), "hola"),
                wrote(2, phone(), "¿hay alguien?"),
                (None, What::Inbound { id: id(3), message: Box::new(group) }),
                (None, What::Inbound { id: id(4), message: Box::new(told_by_system) }),
                (Some(id(9)), What::Accepted { message: Box::new(sent), scheduled: false }),
            ],
        ),
    )
    .await;
    let [one] = &conversations(&records).await[..] else { panic!("one conversation") };
    assert_eq!((one.unread, one.last_inbound_at), (3, Some(at(2))), "news of an account opens no window");
    assert_eq!(one.window_until, Some(at(2 + 24 * 3600)));
    assert_eq!((one.last_message.id, one.last_message.direction), (id(9), Direction::Outbound));
    assert_eq!(one.contact.name.as_deref(), Some("Lucía"));
    let known: Vec<_> = one.contact.identities.iter().map(|identity| identity.r#type.as_str()).collect();
    assert_eq!(known, ["phone", "bsuid", "wa_id"]);
    let ids: Vec<_> = messages(&records, one).await.iter().map(|message| message.id).collect();
    assert_eq!(ids.len(), 4, "not the group's: {ids:?}");

    let patch = ConversationPatch {
        assignee: Some(Some("ana".to_owned())),
        labels: Some(vec!["lead".to_owned(), "50%".to_owned()]),
        read: true,
    };
    records.update_conversation(one.id.clone(), patch, at(901)).await.expect("updated");
    told(&records, log(6, vec![wrote(10, phone(), "gracias")])).await;
    let found = records.conversation(one.id.clone()).await.expect("read").expect("there");
    assert_eq!((found.unread, found.assignee.as_deref()), (1, Some("ana")), "what people said stays");
    assert_eq!(found.labels, ["lead", "50%"]);
    let nobody: ConversationId = "demo.x".parse().expect("an id");
    assert_eq!(records.conversation(nobody.clone()).await.expect("read"), None);
    let none = records.update_conversation(nobody, ConversationPatch::default(), at(902)).await;
    assert!(matches!(none, Err(RecordsError::NotFound("conversation"))));
    sound(&records).await;
}

async fn ids_that_come_together_are_one_person(house: House) {
    let records = house.open().await;
    told(&records, log(1, vec![wrote(1, bsuid("1"), "uno"), wrote(2, phone(), "dos")])).await;
    let apart = conversations(&records).await;
    assert_eq!(apart.len(), 2);
    let patch = ConversationPatch { labels: Some(vec!["vip".to_owned()]), ..ConversationPatch::default() };
    let later = apart.iter().find(|one| one.last_message.id == id(2)).expect("there");
    records.update_conversation(later.id.clone(), patch, at(901)).await.expect("updated");
    told(&records, log(3, vec![wrote(3, both(), "tres")])).await;
    let [one] = &conversations(&records).await[..] else { panic!("one conversation") };
    assert_eq!((one.unread, one.labels.as_slice()), (3, &["vip".to_owned()][..]));
    assert_eq!(messages(&records, one).await.len(), 3);
    for old in apart {
        let found = records.conversation(old.id.clone()).await.expect("read").expect("there");
        assert_eq!(found.id, one.id, "an old id leads to it");
        let contact = records.contact(&old.id.contact).await.expect("read").expect("there");
        assert_eq!(contact.id, one.contact.id);
    }
    assert_eq!(
        records.contacts(ContactFilter::default(), None, 50, START).await.expect("read").items.len(),
        1
    );

    // Another number: what they had before leads to them still.
    let now = Sender { wa_id: Some("34600999888".to_owned()), ..Sender::default() };
    let news = PersonNews { who: now.clone(), formerly: Some(phone()), at: at(50) };
    told(
        &records,
        log(4, vec![(None, What::Person { id: id(70), news: Box::new(news) }), wrote(5, now, "cuatro")]),
    )
    .await;
    let [one] = &conversations(&records).await[..] else { panic!("one conversation") };
    assert_eq!(messages(&records, one).await.len(), 4);
    sound(&records).await;
}

async fn a_number_with_another_owner_is_another_person(house: House) {
    let records = house.open().await;
    let stranger = Sender { bsuid: bsuid("2").bsuid, name: Some("Otro".to_owned()), ..phone() };
    told(
        &records,
        log(1, vec![wrote(1, both(), "uno"), wrote(2, stranger, "dos"), wrote(3, phone(), "tres")]),
    )
    .await;
    let mut names: Vec<_> =
        conversations(&records).await.into_iter().map(|one| (one.contact.name, one.unread)).collect();
    names.sort();
    assert_eq!(names, [(Some("Lucía".to_owned()), 1), (Some("Otro".to_owned()), 2)]);
    sound(&records).await;
}

async fn what_was_done_to_a_message_is_shown_with_it(house: House) {
    let records = house.open().await;
    let change = |n: u128, by: Author, at_second: u64, change: Change| {
        let change = MessageChange {
            provider_id: Some(provider_id(n)),
            of: provider_id(1),
            by,
            chat: None,
            at: at(at_second),
            change,
            raw: serde_json::Value::Null,
        };
        (None, What::Changed(Box::new(change)))
    };
    let emoji = |emoji: Option<&str>| Change::Reaction { emoji: emoji.map(str::to_owned) };
    let edited = |text: &str| Change::Edit {
        content: Box::new(InboundContent::Text(InboundWords { text: text.to_owned() })),
    };
    let facts = vec![
        change(20, Author::Person(phone()), 30, emoji(Some("👍"))),
        wrote(1, phone(), "hola"),
        change(21, Author::Business, 31, emoji(Some("🎉"))),
        change(22, Author::Business, 32, emoji(None)),
        // Older than what stands, and a copy.
        change(23, Author::Person(phone()), 29, emoji(Some("👎"))),
        change(20, Author::Person(phone()), 40, emoji(Some("👎"))),
        change(24, Author::Person(phone()), 35, edited("hola!")),
        change(25, Author::Person(phone()), 34, edited("ho")),
        change(26, Author::Person(phone()), 36, Change::Deletion),
    ];
    told(&records, log(1, facts)).await;
    let message = records.message(id(1)).await.expect("read").expect("there");
    let reactions: Vec<_> = message.changes.reactions.iter().map(|one| one.emoji.as_str()).collect();
    assert_eq!(reactions, ["👍"]);
    assert_eq!(message.changes.edited.and_then(|edit| edit.text).as_deref(), Some("hola!"));
    assert_eq!(message.changes.deleted_at, Some(at(36)));
    let [one] = &conversations(&records).await[..] else { panic!("one conversation") };
    assert_eq!((one.unread, messages(&records, one).await.len()), (1, 1), "a change is no message");
    sound(&records).await;
}

async fn whoever_opts_out_is_left_alone(house: House) {
    let records = house.open().await;
    let to = Recipient::parse("+34600111222", None).expect("a number");
    let whom = |to: &Recipient| vec![(channel(), to.key()), ("other".parse().expect("a name"), to.key())];
    let known_otherwise = Recipient::Bsuid(bsuid("1").bsuid.expect("an id"));
    told(&records, log(1, vec![wrote(1, both(), "BAJA"), wishes(1, both(), Wish::Stop)])).await;
    for to in [&to, &known_otherwise] {
        let found = records.suppressed(whom(to)).await.expect("read");
        let [Some(here), None] = &found[..] else { panic!("{found:?}") };
        assert_eq!((here.reason, here.detail.as_deref()), (SuppressionReason::OptOut, Some("BAJA")));
    }
    assert!(conversations(&records).await[0].suppressed.is_some());
    // The same again, after they came back: it came before.
    told(&records, log(3, vec![wishes(2, bsuid("1"), Wish::Resume), wishes(1, both(), Wish::Stop)])).await;
    assert_eq!(records.suppressed(whom(&to)).await.expect("read"), [None, None]);
    assert_eq!(records.suppressions(None, 50).await.expect("read").items, []);

    // What the business says, the person does not take back.
    let blocked = Suppression::of(&to, None, SuppressionReason::Blocked, at(10));
    records.suppress(blocked.clone()).await.expect("kept");
    told(&records, log(5, vec![wishes(3, both(), Wish::Stop), wishes(4, both(), Wish::Resume)])).await;
    let found = records.suppressed(whom(&to)).await.expect("read");
    assert_eq!(found, [Some(blocked.clone()), Some(blocked)]);
    let first = records.suppressions(None, 1).await.expect("read");
    assert_eq!((first.items.len(), first.next_cursor), (1, None));
    records.unsuppress(to.key(), None, at(11)).await.expect("taken back");
    let again = records.unsuppress(to.key(), None, at(11)).await;
    assert!(matches!(again, Err(RecordsError::NotFound("suppression"))));
    assert_eq!(records.suppressed(whom(&to)).await.expect("read"), [None, None]);
    sound(&records).await;
}

async fn who_is_blocked_need_not_be_read(house: House) {
    let records = house.open().await;
    told(&records, log(1, vec![wrote(1, both(), "hola")])).await;
    let to = Recipient::parse("+34600111222", None).expect("a number");
    let elsewhere = Suppression::of(&to, "other".parse().ok(), SuppressionReason::Blocked, at(2));
    records.suppress(elsewhere).await.expect("kept");
    records.suppress(Suppression::of(&to, None, SuppressionReason::Manual, at(2))).await.expect("kept");
    told(&records, log(2, vec![wrote(2, both(), "¿hola?")])).await;
    assert_eq!(
        conversations(&records).await[0].unread,
        2,
        "blocked on another channel, and to be left alone on all"
    );
    // By a number; they write under their other id.
    records
        .suppress(Suppression::of(&to, Some(channel()), SuppressionReason::Blocked, at(3)))
        .await
        .expect("kept");
    told(&records, log(3, vec![wrote(3, bsuid("1"), "¡eh!")])).await;
    let found = conversations(&records).await;
    assert_eq!((found.len(), found[0].unread, found[0].last_message.id), (1, 2, id(3)));
    assert_eq!(found[0].window_until, Some(at(3 + 24 * 3600)), "they may be unblocked in time");
    records.unsuppress(to.key(), Some(channel()), at(4)).await.expect("taken back");
    told(&records, log(4, vec![wrote(4, both(), "gracias")])).await;
    assert_eq!(conversations(&records).await[0].unread, 3);
    sound(&records).await;
}

async fn what_the_business_wrote_elsewhere_is_kept_once(house: House) {
    let records = house.open().await;
    let echo = |n: u128| {
        let message = said(n, Sender::default(), "desde el móvil");
        (None, What::Echoed { id: id(500 + n), echo: Box::new(Echo { to: phone(), message }) })
    };
    let facts = vec![
        wrote(1, phone(), "hola"),
        echo(2),
        echo(2),
        (Some(id(7)), What::Accepted { message: Box::new(outbound(7)), scheduled: false }),
        (Some(id(7)), What::Sent { provider_id: provider_id(7), alias: None }),
        // One of ours is no news.
        echo(7),
    ];
    told(&records, log(1, facts)).await;
    let found = conversations(&records).await;
    let one = found.iter().find(|one| one.last_message.id == id(502)).expect("there");
    assert_eq!((one.unread, one.last_message.direction), (0, Direction::Outbound), "answered elsewhere");
    assert_eq!(messages(&records, one).await.len(), 2);
    assert_eq!(records.message(id(507)).await.expect("read"), None);
    sound(&records).await;
}

async fn conversations_are_found(house: House) {
    let records = house.open().await;
    let other = Sender {
        phone: Phone::parse("+34600333444", None).ok(),
        name: Some("Marta".to_owned()),
        ..Sender::default()
    };
    told(&records, log(1, vec![wrote(1, both(), "busco un piso"), wrote(2, other, "100% seguro")])).await;
    let all = conversations(&records).await;
    let patch = ConversationPatch {
        labels: Some(vec!["lead".to_owned()]),
        read: true,
        ..ConversationPatch::default()
    };
    let first = all.iter().find(|one| one.last_message.id == id(1)).expect("there");
    records.update_conversation(first.id.clone(), patch, at(901)).await.expect("updated");
    for (words, expected) in
        [("piso", 1_u128), ("luc", 1), ("600333", 2), ("100%", 2), ("ES.1", 1), ("wamid.2", 2)]
    {
        let filter = ConversationFilter { text: Some(words.to_owned()), ..ConversationFilter::default() };
        let found = records.conversations(filter, None, 50).await.expect("read").items;
        let ids: Vec<_> = found.iter().map(|one| one.last_message.id).collect();
        assert_eq!(ids, [id(expected)], "{words}");
    }
    let labelled = ConversationFilter { label: Some("lead".to_owned()), ..ConversationFilter::default() };
    let unread = ConversationFilter { unread: true, ..ConversationFilter::default() };
    let nobodys = ConversationFilter { assignee: Some(String::new()), ..ConversationFilter::default() };
    let elsewhere =
        ConversationFilter { channels: vec!["x".parse().expect("a name")], ..ConversationFilter::default() };
    for (filter, expected) in [(labelled, 1), (unread, 1), (nobodys, 2), (elsewhere, 0)] {
        let found = records.conversations(filter.clone(), None, 50).await.expect("read").items;
        assert_eq!(found.len(), expected, "{filter:?}");
    }
    let page = records.conversations(ConversationFilter::default(), None, 1).await.expect("read");
    let next = records
        .conversations(ConversationFilter::default(), page.next_cursor.as_deref(), 1)
        .await
        .expect("read");
    assert_eq!((page.items[0].last_message.id, next.items[0].last_message.id), (id(2), id(1)));
    assert_eq!(next.next_cursor, None);
    let filter = ContactFilter { text: Some("mart".to_owned()), ..ContactFilter::default() };
    let contacts = records.contacts(filter, None, 50, START).await.expect("read").items;
    assert_eq!(contacts.len(), 1);
}

async fn what_comes_without_an_id_is_kept_and_marked(house: House) {
    let records = house.open().await;
    let nameless = |n: u128, second: u64, text: &str| {
        let mut message = said(n, phone(), text);
        message.provider_id = ProviderMessageId::made_up(id(n), 0);
        message.at = at(second);
        (None, What::Inbound { id: id(n), message: Box::new(message) })
    };
    let facts = vec![
        nameless(1, 10, "ok"),
        nameless(2, 15, "ok"),
        nameless(3, 21, "ok"),
        nameless(4, 15, "no"),
        nameless(2, 15, "ok"),
        // Two honest ones that have ids of their own.
        wrote(15, phone(), "ok"),
        wrote(16, phone(), "ok"),
    ];
    for fact in log(1, facts) {
        told(&records, vec![fact]).await;
    }
    for (n, marked) in [(1, false), (2, true), (3, false), (4, false), (15, false), (16, false)] {
        let message = records.message(id(n)).await.expect("read").expect("kept");
        assert_eq!(message.possible_duplicate, marked, "{n}");
    }
    assert_eq!(conversations(&records).await[0].unread, 6);
    sound(&records).await;
}
