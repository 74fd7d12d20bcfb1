//! What filters mean, what is refused and why, and that any bytes are read or refused.

use serde_json::json;

use super::*;
use crate::testing::Dice;

const NOW: Timestamp = Timestamp::from_seconds(1_800_000_000);

fn ana(check: impl FnOnce(&Facts<'_>)) {
    let map =
        json!({ "city": "Madrid", "age": 30, "vip": true, "since": "2024-05-01", "tag": "x", "ratio": 1.5 });
    let attributes: AttributeMap = serde_json::from_value(map).expect("a map");
    let tags = BTreeSet::from(["gold".parse().expect("a tag"), "año nuevo".parse().expect("a tag")]);
    let labels = BTreeSet::from(["sale".to_owned()]);
    check(&Facts {
        name: Some("Ana"),
        phones: &["+34600111222".to_owned()],
        attributes: &attributes,
        tags: &tags,
        labels: &labels,
        consent: ConsentState::Granted,
        last_seen: Some(NOW.before(Duration::from_secs(10 * 86_400))),
        created: NOW.before(Duration::from_secs(100 * 86_400)),
        suppressed: false,
    });
}

#[test]
fn filters_mean_what_they_say() {
    ana(|ana| {
        for (text, expected) in [
            ("city = Madrid", true),
            ("city = \"madrid\"", false),
            ("City != 'Madrid'", false),
            ("nothing != Madrid", true),
            ("city in (Lugo, Madrid)", true),
            ("city contains dri and city starts Mad", true),
            ("age >= 30 and age < 30.5", true),
            ("age = \"30\"", false),
            ("age > 9", true),
            ("vip = true", true),
            ("vip = false or vip = 1", false),
            ("since >= \"2024-01-01\" and since < \"2025\"", true),
            ("attr.tag = x", true),
            ("ratio = 1.50", true),
            ("tag = gold and tag = \"año nuevo\"", true),
            ("tag != gold", false),
            ("tag in (silver, gold)", true),
            ("label = sale", true),
            ("consent = granted", true),
            ("consent != denied", true),
            ("last_seen >= 30d ago", true),
            ("last_seen < 9d ago and created < \"2027-01-01\"", true),
            ("last_seen missing", false),
            ("replied and not suppressed", true),
            ("phone starts \"+34\"", true),
            ("name = Ana and name exists", true),
            ("nothing missing and city exists", true),
            ("not (city = Madrid and not vip = true)", true),
            ("NOT city = Lugo AND (age = 1 OR age = 30)", true),
            ("city = Lugo and city = Lugo or city = Madrid", true),
            ("city = Madrid or city = Madrid and city = Lugo", true),
        ] {
            let filter = Filter::parse(text).expect(text);
            assert_eq!(filter.matches(ana, NOW), expected, "{text}");
            assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter), "{text} as {filter}");
        }
    });
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (text, expected) in [
        ("", "character 1: it is empty"),
        ("city", "character 5: expected `=`, `!=` or `in (…)`"),
        ("city = ", "character 8: expected a text in quotation marks"),
        ("city = \"x", "character 8: the quotation mark is not closed"),
        ("city = x y", "character 10: `y` means nothing here"),
        ("city = x; drop table contacts", "character 9: `;` means nothing here"),
        ("(city = x", "expected `and`, `or` or `)`"),
        ("city in x", "character 9: expected `(`"),
        ("city in (x y)", "expected `,` or `)`"),
        ("consent = maybe", "character 11: consent is granted, denied or unknown"),
        ("last_seen > yesterday", "character 13: not a time"),
        ("last_seen > 30d", "expected `ago`"),
        ("last_seen > 30y ago", "not a time"),
        ("vip > true", "flags have no order"),
        ("age > 1e99", "a number lies between"),
        ("attr.name = x", "`name` and `phone` are the contact's own"),
        ("in = x", "`in` means nothing here"),
        ("tag = \"a\\\"b\"", "a tag has 1 to 100 characters"),
        (&"(".repeat(17), "more than 16 brackets"),
        (&"not ".repeat(17), "more than 16 brackets or `not`"),
        (&["a = 1"; 129].join(" and "), "at most 128 conditions"),
        (&" ".repeat(LONGEST_FILTER + 1), "at most 8 KiB"),
    ] {
        let error = Filter::parse(text).expect_err(text).to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn any_bytes_are_read_or_refused_and_what_is_read_comes_back() {
    const PIECES: [&str; 30] = [
        "city",
        " = ",
        "\"x\"",
        " and ",
        " or ",
        "not ",
        "(",
        ")",
        "in",
        ",",
        "30",
        "d ago",
        "tag",
        "<",
        ">=",
        "'",
        "\\",
        "ñ",
        "👋",
        "\0",
        "true",
        "consent",
        "granted",
        " exists",
        " contains ",
        "last_seen",
        "attr.",
        "-1.5",
        "=",
        "name",
    ];
    let (mut dice, mut read) = (Dice(0x5eed_f117), 0);
    ana(|ana| {
        for _ in 0..50_000 {
            let mut text = String::new();
            for _ in 0..dice.roll(12) {
                match dice.roll(6) {
                    0 => text.push(char::from(u8::try_from(dice.roll(256)).expect("a byte"))),
                    1 => text.push_str("city = x"),
                    2 => text.push_str([" and ", " or "][dice.roll(2)]),
                    _ => text.push_str(PIECES[dice.roll(PIECES.len())]),
                }
            }
            let Ok(filter) = Filter::parse(&text) else { continue };
            read += 1;
            assert_eq!(Filter::parse(&filter.to_string()).as_ref(), Ok(&filter), "{text:?}");
            let opposite = Filter::Not(Box::new(filter.clone()));
            assert_ne!(filter.matches(ana, NOW), opposite.matches(ana, NOW), "{text:?}");
        }
    });
    assert!(read > 1_000, "only {read} were filters");
}
