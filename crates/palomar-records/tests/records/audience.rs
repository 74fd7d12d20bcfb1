//! The audience of campaigns: what is kept of contacts comes back, and a filter means the same as SQL and here.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::attribute::{AttributeName, AttributeValue, BadAttribute, ConsentState, Number, Tag};
use palomar_model::filter::Filter;
use palomar_model::template::Template;
use palomar_model::{
    Bsuid, InboundContent, InboundMessage, InboundWords, Phone, Recipient, Sender, TemplateChange,
    TemplateNews, Timestamp,
};
use palomar_records::{
    AudienceContact, ConsentChange, ContactChange, ContactIds, ConversationId, ConversationPatch, NewContact,
    ProviderTemplate, Put, Records, RecordsError, Segment, Suppression, SuppressionReason, What, Whom,
};

use crate::facts::{LOG, START, at, channel, id, log, provider_id};
use crate::house::{House, on_both, sound};

on_both!(
    contacts_are_kept_once_and_come_back,
    who_turns_out_to_be_one_keeps_what_is_said_of_both,
    filters_mean_the_same_in_sql_and_here,
    segments_and_templates_are_kept,
);

fn phone(n: u64) -> Recipient {
    Recipient::parse(&format!("+346001{:05}", 10_000 + n), None).expect("a number")
}

fn attribute(name: &str, value: Option<AttributeValue>) -> (AttributeName, Option<AttributeValue>) {
    (name.parse().expect("a name"), value)
}

fn text(text: &str) -> Option<AttributeValue> {
    Some(AttributeValue::text(text).expect("a text"))
}

fn number(number: f64) -> Option<AttributeValue> {
    Some(AttributeValue::Number(Number::new(number).expect("a number")))
}

fn tags(words: &[&str]) -> Vec<Tag> {
    words.iter().map(|word| word.parse().expect("a tag")).collect()
}

fn consent(state: ConsentState, source: Option<&str>) -> Option<ConsentChange> {
    Some(ConsentChange { state, source: source.map(str::to_owned), at: None })
}

fn new(n: u64, to: Recipient, says: ContactChange) -> NewContact {
    NewContact { id: format!("c{n:06}"), to, says }
}

fn filter(text: &str) -> Whom {
    Whom::Filter(text.parse().expect(text))
}

/// All of an audience, in stretches of this size.
async fn all(records: &Records, whom: &Whom, size: usize, now: Timestamp) -> Vec<AudienceContact> {
    let (mut found, mut after) = (Vec::new(), None);
    loop {
        let page = records.audience(whom.clone(), after, size, now).await.expect("read");
        assert!(page.contacts.len() <= size);
        found.extend(page.contacts);
        after = page.next;
        if after.is_none() {
            return found;
        }
    }
}

async fn contacts_are_kept_once_and_come_back(house: House) {
    let records = house.open().await;
    let says = ContactChange {
        name: Some(" Lucía ".to_owned()),
        attributes: vec![attribute("city", text("Má\"drid\0")), attribute("age", number(30.0))],
        tags: tags(&["vip", "año nuevo"]),
        consent: consent(ConsentState::Granted, Some("form")),
        ..ContactChange::default()
    };
    let more = ContactChange {
        attributes: vec![attribute("age", None), attribute("rate", number(0.1 + 0.2))],
        untag: tags(&["vip"]),
        ..ContactChange::default()
    };
    let large = (0..20).map(|n| attribute(&format!("a{n}"), text(&"x".repeat(1_000)))).collect();
    let large = ContactChange { attributes: large, ..ContactChange::default() };
    let batch = vec![
        new(2, phone(1), says.clone()),
        new(1, phone(2), ContactChange::default()),
        new(3, phone(1), more.clone()),
        new(4, phone(1), more),
        new(5, phone(3), large),
    ];
    let became = records.put_contacts(batch, START).await.expect("kept");
    let (first, second) = ("c000002".to_owned(), "c000001".to_owned());
    let repeated = true;
    assert_eq!(
        became,
        [
            Put::Added { id: first.clone() },
            Put::Added { id: second.clone() },
            Put::Changed { id: first.clone(), repeated },
            Put::Unchanged { id: first.clone(), repeated },
            Put::Refused(BadAttribute::TooMany),
        ]
    );
    // The same later changes what is new of it, and nothing else.
    let again = records.put_contacts(vec![new(9, phone(1), says)], at(9)).await.expect("kept");
    assert_eq!(again, [Put::Changed { id: first.clone(), repeated: false }]);
    let found = all(&records, &Whom::All, 1, START).await;
    assert_eq!(found.iter().map(|one| &one.id).collect::<Vec<_>>(), [&second, &first]);
    let lucia = &found[1];
    assert_eq!(
        (lucia.name.as_deref(), lucia.phones.as_slice()),
        (Some("Lucía"), &["+34600110001".to_owned()][..])
    );
    let attributes = serde_json::to_string(&lucia.attributes).expect("JSON");
    assert_eq!(attributes, r#"{"age":30,"city":"Má\"drid�","rate":0.3}"#);
    assert_eq!(lucia.tags, tags(&["año nuevo", "vip"]).into_iter().collect());
    assert_eq!((lucia.consent.state, lucia.consent.at), (ConsentState::Granted, Some(START)));
    assert_eq!(lucia.recipient(), Some(phone(1)));
    let template = Template::parse("{{name}}, {{phone}}, {{age}}, {{zip|-}}").expect("a template");
    assert_eq!(template.render(lucia).expect("rendered"), "Lucía, +34600110001, 30, -");

    let ids: ContactIds = ["nobody", &first, &second, &first].map(str::to_owned).into_iter().collect();
    let page = records.audience(Whom::Ids(ids.clone()), None, 2, START).await.expect("read");
    assert_eq!((page.contacts.len(), page.next.as_ref()), (2, Some(&first)));
    let page = records.audience(Whom::Ids(ids), page.next, 2, START).await.expect("read");
    assert_eq!((page.contacts.len(), page.unknown, page.next), (0, vec!["nobody".to_owned()], None));

    let gone = ContactChange { name: Some(String::new()), ..ContactChange::default() };
    records.change_contact(&first, gone, at(10)).await.expect("changed");
    let unknown =
        records.change_contact("nobody", ContactChange::default(), START).await.expect_err("nobody");
    assert!(matches!(unknown, RecordsError::NotFound("contact")), "{unknown}");
    let ids = vec![first.clone(), second, "nobody".to_owned()];
    assert_eq!(records.tag_contacts(ids, tags(&["vip"]), tags(&["old"]), at(11)).await.expect("tagged"), 1);
    let vip = all(&records, &filter("tag = vip and name missing"), 10, START).await;
    assert_eq!(vip.len(), 2);
    assert_eq!(records.audience_count(None, START).await.expect("counted"), 2);
    sound(&records).await;
}

fn inbound(n: u128, sender: Sender, seconds: u64) -> What {
    let words = InboundContent::Text(InboundWords { text: "ok".to_owned() });
    let message =
        InboundMessage::new(provider_id(n), sender, at(seconds), "text", words, serde_json::json!({}));
    What::Inbound { id: id(n), message: Box::new(message) }
}

async fn who_turns_out_to_be_one_keeps_what_is_said_of_both(house: House) {
    let records = house.open().await;
    let bsuid = Bsuid::parse("US.13491208655302741918").expect("an id");
    let says = |city: &str, tag: &str, state| ContactChange {
        attributes: vec![attribute("city", text(city)), attribute(tag, text(tag))],
        tags: tags(&[tag]),
        consent: consent(state, None),
        ..ContactChange::default()
    };
    let known = vec![new(1, phone(1), says("Lugo", "one", ConsentState::Granted))];
    records.put_contacts(known, START).await.expect("kept");
    let other = says("Vigo", "two", ConsentState::Denied);
    let other = ContactChange { name: Some("Ana".to_owned()), ..other };
    records.put_contacts(vec![new(2, Recipient::Bsuid(bsuid.clone()), other)], at(1)).await.expect("kept");
    // One webhook names both.
    let both = phone(1).phone().cloned();
    let from = Sender { phone: both, bsuid: Some(bsuid.clone()), ..Sender::default() };
    records.apply(LOG, 0, log(1, vec![(None, inbound(7, from, 40))]), 1, START).await.expect("applied");
    let ids: ContactIds = ["c000001", "c000002"].map(str::to_owned).into_iter().collect();
    let found = all(&records, &Whom::Ids(ids), 5, START).await;
    assert_eq!(found.len(), 2, "asked for by both ids");
    assert_eq!(found[0], found[1]);
    let attributes = serde_json::to_string(&found[0].attributes).expect("JSON");
    assert_eq!(attributes, r#"{"city":"Lugo","one":"one","two":"two"}"#);
    assert_eq!(found[0].tags, tags(&["one", "two"]).into_iter().collect());
    assert_eq!((found[0].consent.state, found[0].name.as_deref()), (ConsentState::Denied, Some("Ana")));
    assert_eq!(all(&records, &Whom::All, 5, START).await.len(), 1);
    assert_eq!(found[0].window_until(&channel()), Some(at(40 + 24 * 3_600)));
    assert_eq!(found[0].last_seen(), Some(at(40)));
    // One file names the one person in both ways: what both rows say is kept, and the later word counts.
    let by_bsuid = || Recipient::Bsuid(bsuid.clone());
    for (n, [first, second]) in [[by_bsuid(), phone(1)], [phone(1), by_bsuid()]].into_iter().enumerate() {
        let towns = [["Orense", "Lalín"], ["Monforte", "Sarria"]][n];
        let first = new(3, first, says(towns[0], "three", ConsentState::Denied));
        let second = new(4, second, says(towns[1], "four", ConsentState::Granted));
        let became = records.put_contacts(vec![first, second], at(50 + n as u64)).await.expect("kept");
        assert!(became.iter().all(|put| matches!(put, Put::Changed { .. })), "{became:?}");
        let found = all(&records, &Whom::All, 5, START).await;
        let tags: Vec<_> = found[0].tags.iter().map(Tag::as_str).collect();
        assert_eq!((found.len(), tags), (1, vec!["four", "one", "three", "two"]));
        assert_eq!(found[0].consent.state, ConsentState::Granted);
        let attributes = serde_json::to_string(&found[0].attributes).expect("JSON");
        assert!(attributes.contains(&format!(r#""city":"{}""#, towns[1])), "{attributes}");
    }
    sound(&records).await;
}

/// A small generator with a seed, so that a failure can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % sides as u64).expect("small")
    }

    fn one_in(&mut self, sides: usize) -> bool {
        self.roll(sides) == 0
    }

    fn of<'w>(&mut self, words: &[&'w str]) -> &'w str {
        words[self.roll(words.len())]
    }
}

const TEXTS: [&str; 10] =
    ["", "Madrid", "madrid", "Málaga", "Zürich", "100%", "a_b", "'; --", "30", "👋\"\\"];
const NUMBERS: [&str; 8] =
    ["0", "-1.5", "30", "30.5", "0.3", "123456789012345", "0.000000001", "99999999999999.9"];
const TAGS: [&str; 4] = ["vip", "VIP", "año nuevo", "100%"];
const NAMES: [&str; 4] = ["city", "age", "código", "x1"];

fn value(dice: &mut Dice) -> Option<AttributeValue> {
    match dice.roll(4) {
        0 => number(dice.of(&NUMBERS).parse().expect("a number")),
        1 => Some(AttributeValue::Flag(dice.one_in(2))),
        _ => text(dice.of(&TEXTS)),
    }
}

fn random_contact(dice: &mut Dice, n: u64) -> NewContact {
    let attributes: BTreeMap<_, _> =
        (0..dice.roll(4)).map(|_| attribute(dice.of(&NAMES), value(dice))).collect();
    let state = ConsentState::ALL[dice.roll(3)];
    let says = ContactChange {
        name: dice.one_in(2).then(|| dice.of(&TEXTS).to_owned()),
        attributes: attributes.into_iter().collect(),
        tags: (0..dice.roll(3)).flat_map(|_| tags(&[dice.of(&TAGS)])).collect(),
        consent: consent(state, None),
        ..ContactChange::default()
    };
    new(n, phone(n), says)
}

/// What a random filter says of one field.
fn condition(dice: &mut Dice) -> String {
    let quoted = |text: &str| format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""));
    let sign = dice.of(&["=", "!=", "<", "<=", ">", ">="]);
    let word = quoted(dice.of(&TEXTS));
    let name = dice.of(&NAMES);
    let span = dice.of(&["0s", "1h", "2d", "6d"]);
    match dice.roll(14) {
        0 => format!("{name} {sign} {word}"),
        1 => format!("{name} {sign} {}", dice.of(&NUMBERS)),
        2 => format!("{name} = {}", dice.of(&["true", "false"])),
        3 => format!("{name} {} {word}", dice.of(&["contains", "starts"])),
        4 => format!("{name} {}", dice.of(&["exists", "missing"])),
        5 => format!("{name} in ({word}, {}, true)", dice.of(&NUMBERS)),
        6 => format!("tag {} {}", dice.of(&["=", "!="]), quoted(dice.of(&TAGS))),
        7 => format!("label in ({}, \"nobody\")", quoted(dice.of(&TAGS))),
        8 => format!("consent = {}", dice.of(&["granted", "denied", "unknown"])),
        9 => format!("last_seen {} {span} ago", dice.of(&["<", ">=", "="])),
        10 => dice.of(&["last_seen missing", "replied", "suppressed", "created < 4d ago"]).to_owned(),
        11 => format!("phone {} \"+34600110{}\"", dice.of(&["starts", "contains", "<"]), dice.roll(10)),
        _ => format!("name {} {word}", dice.of(&["=", "<", ">=", "contains", "starts"])),
    }
}

fn random_filter(dice: &mut Dice, depth: usize) -> String {
    match dice.roll(if depth == 0 { 1 } else { 4 }) {
        0 => condition(dice),
        1 => format!("not ({})", random_filter(dice, depth - 1)),
        _ => {
            let (one, other) = (random_filter(dice, depth - 1), random_filter(dice, depth - 1));
            format!("({one}) {} ({other})", dice.of(&["and", "or"]))
        }
    }
}

/// People with all that can be asked of them.
async fn furnish(records: &Records, dice: &mut Dice, people: u64) {
    let contacts: Vec<_> = (1..=people).map(|n| random_contact(dice, n)).collect();
    let mut facts = Vec::new();
    for n in (1..=people).filter(|n| n % 3 == 0) {
        let from = Sender { phone: phone(n).phone().cloned(), ..Sender::default() };
        facts.push((None, inbound(u128::from(n), from, dice.roll(6 * 86_400) as u64)));
    }
    let through = facts.len() as u64;
    for batch in contacts.chunks(100) {
        records.put_contacts(batch.to_vec(), at(dice.roll(6 * 86_400) as u64)).await.expect("kept");
    }
    records.apply(LOG, 0, log(1, facts), through, START).await.expect("applied");
    for n in (1..=people).filter(|n| n % 9 == 0) {
        let labels = vec![dice.of(&TAGS).to_owned()];
        let of = ConversationId { channel: channel(), contact: format!("c{n:06}") };
        let patch = ConversationPatch { labels: Some(labels), ..ConversationPatch::default() };
        records.update_conversation(of, patch, START).await.expect("labelled");
        let on = dice.one_in(2).then(channel);
        let suppression = Suppression::of(&phone(n + 1), on, SuppressionReason::Manual, START);
        records.suppress(suppression).await.expect("kept");
    }
}

async fn filters_mean_the_same_in_sql_and_here(house: House) {
    let records = house.open().await;
    let mut dice = Dice(0x5eed_a0d1_e4ce);
    furnish(&records, &mut dice, 300).await;
    let now = at(6 * 86_400);
    let everybody = all(&records, &Whom::All, 300, now).await;
    assert_eq!(everybody.len(), 300);
    let (mut some, mut none) = (0, 0);
    for round in 0..400 {
        let depth = dice.roll(4);
        let text = random_filter(&mut dice, depth);
        let filter: Filter = text.parse().expect(&text);
        let here: BTreeSet<_> =
            everybody.iter().filter(|one| one.is_meant(&filter, now)).map(|one| one.id.clone()).collect();
        let size = [1_000, 1, 7][usize::from(round % 20 == 0) * (1 + dice.roll(2))];
        let whom = Whom::Filter(filter.clone());
        let sql: Vec<_> = all(&records, &whom, size, now).await.into_iter().map(|one| one.id).collect();
        assert_eq!(sql, here.iter().cloned().collect::<Vec<_>>(), "{text}");
        let counted = records.audience_count(Some(filter), now).await.expect("counted");
        assert_eq!(counted, here.len() as u64, "{text}");
        if here.is_empty() { none += 1 } else { some += 1 }
    }
    assert!(some > 150 && none > 10, "{some} filters meant somebody, {none} nobody");
}

async fn segments_and_templates_are_kept(house: House) {
    let records = house.open().await;
    let segment = |id: &str, name: &str| Segment {
        id: id.to_owned(),
        name: name.to_owned(),
        filter: "tag = vip and city != \"Lugo\"".parse().expect("a filter"),
        created_at: START,
        updated_at: START,
    };
    records.create_segment(segment("s1", "Gold")).await.expect("kept");
    records.create_segment(segment("s2", "Silver")).await.expect("kept");
    let taken = records.create_segment(segment("s3", "Gold")).await.expect_err("taken");
    assert!(matches!(taken, RecordsError::Exists(_)), "{taken}");
    let taken = records.update_segment(segment("s1", "Silver")).await.expect_err("taken");
    assert!(matches!(taken, RecordsError::Exists(_)), "{taken}");
    records.update_segment(segment("s1", "Golden")).await.expect("changed");
    assert_eq!(records.segment("Golden").await.expect("read"), Some(segment("s1", "Golden")));
    assert_eq!(records.segment("s2").await.expect("read"), Some(segment("s2", "Silver")));
    let page = records.segments(None, 1).await.expect("read");
    assert_eq!(page.items, [segment("s2", "Silver")]);
    let page = records.segments(page.next_cursor.as_deref(), 1).await.expect("read");
    assert_eq!(page.items, [segment("s1", "Golden")]);
    records.delete_segment("s1").await.expect("forgotten");
    let gone = records.delete_segment("s1").await.expect_err("gone");
    assert!(matches!(gone, RecordsError::NotFound("segment")), "{gone}");

    let template = |name: &str, status: &str| ProviderTemplate {
        channel: channel(),
        name: name.to_owned(),
        language: "es".to_owned(),
        provider_id: "1".to_owned(),
        category: "MARKETING".to_owned(),
        status: status.to_owned(),
        quality: Some("GREEN".to_owned()),
        reason: None,
        components: serde_json::json!([{ "type": "BODY", "text": "Hola {{1}}" }]),
        pulled_at: START,
    };
    let told = vec![template("hola", "APPROVED"), template("oferta", "PAUSED")];
    records.replace_templates(channel(), told.clone()).await.expect("kept");
    assert_eq!(records.templates(None, None).await.expect("read"), told);
    // News change what was told before them, and not what is told later.
    let news = |name: &str, status: &str| {
        let change = TemplateChange::Status {
            status: status.to_owned(),
            usable: None,
            reason: Some("spam".to_owned()),
        };
        let news = TemplateNews { id: None, name: name.to_owned(), language: Some("es".to_owned()), change };
        (None, What::Template { news: Box::new(news), detail: serde_json::json!({}) })
    };
    let facts = log(1, vec![news("hola", "DISABLED"), news("nueva", "APPROVED")]);
    records.apply(LOG, 0, facts, 2, START).await.expect("applied");
    let noted = records.templates(None, Some("hola".to_owned())).await.expect("read");
    assert_eq!((noted[0].status.as_str(), noted[0].reason.as_deref()), ("DISABLED", Some("spam")));
    let later = ProviderTemplate { pulled_at: at(99), ..template("hola", "APPROVED") };
    records.replace_templates(channel(), vec![later]).await.expect("kept");
    records.apply(LOG, 2, log(3, vec![news("hola", "PAUSED")]), 3, START).await.expect("applied");
    assert_eq!(records.templates(None, None).await.expect("read")[0].status, "APPROVED");
    records.replace_templates(channel(), vec![template("hola", "REJECTED")]).await.expect("kept");
    let told = records.templates(Some(channel()), Some("hola".to_owned())).await.expect("read");
    assert_eq!(told, [template("hola", "REJECTED")]);
    assert_eq!(records.templates(None, Some("oferta".to_owned())).await.expect("read"), []);
}

/// What a number is known by in whatever spelling leads to the one contact of it.
#[tokio::test]
async fn spellings_of_a_number_are_one_contact() {
    let house = House::on_sqlite();
    let records = house.open().await;
    let to = |text: &str| Recipient::Phone(Phone::parse(text, Some("AR")).expect("a number"));
    let contacts = vec![
        new(1, to("+54 9 11 2345-6789"), ContactChange::default()),
        new(2, to("+54 11 2345 6789"), ContactChange::default()),
        new(3, to("011 2345 6789"), ContactChange::default()),
    ];
    let became = records.put_contacts(contacts, START).await.expect("kept");
    assert!(became.iter().all(|put| put.id() == Some("c000001")), "{became:?}");
}

/// Whoever means hardly anybody is answered a stretch at a time, some of which have nobody.
#[tokio::test]
async fn a_filter_that_means_one_of_many_finds_them() {
    let house = House::on_sqlite();
    let records = house.open().await;
    for batch in 0..9_u64 {
        let contacts = (1..=2_500).map(|n| 2_500 * batch + n);
        let contacts = contacts.map(|n| new(n, phone(n), ContactChange::default())).collect();
        records.put_contacts(contacts, START).await.expect("kept");
    }
    records
        .tag_contacts(vec!["c022500".to_owned()], tags(&["rare"]), Vec::new(), START)
        .await
        .expect("tagged");
    let first = records.audience(filter("tag = rare"), None, 100, START).await.expect("read");
    assert!(first.contacts.is_empty() && first.next.is_some(), "{first:?}");
    let found = all(&records, &filter("tag = rare"), 100, START).await;
    assert_eq!(found.iter().map(|one| one.id.as_str()).collect::<Vec<_>>(), ["c022500"]);
    assert_eq!(all(&records, &Whom::All, 1_000, START).await.len(), 22_500);
}
