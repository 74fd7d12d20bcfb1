//! The tables of numbers, and numbers that are mutated.

use super::*;

const NORMALIZE: &str = include_str!("../../../../tests/fixtures/numbers/normalize.csv");
const SAME_PERSON: &str = include_str!("../../../../tests/fixtures/numbers/same_person.csv");

/// `input, default region, digits, E.164`; the note behind them may hold commas.
fn rows(table: &str) -> impl Iterator<Item = Vec<&str>> {
    table.lines().skip(1).map(|line| line.split(',').collect())
}

#[test]
fn every_row_of_the_table() {
    for row in rows(NORMALIZE) {
        let (input, region, digits, e164) = (row[0], row[1], row[2], row[3]);
        let region = (!region.is_empty()).then_some(region);
        let phone = Phone::parse(input, region);
        if e164.is_empty() {
            assert!(phone.is_err(), "{input:?} was taken for {:?}", phone.map(|p| p.e164().to_owned()));
        } else {
            let phone = phone.unwrap_or_else(|error| panic!("{input:?} {error}"));
            assert_eq!((phone.e164(), phone.digits()), (e164, digits), "{input:?}");
        }
    }
}

#[test]
fn the_match_key_finds_the_same_person() {
    for row in rows(SAME_PERSON) {
        let key = |digits: &str| Phone::from_wa_id(digits).expect("a number").match_key();
        assert_eq!(key(row[0]) == key(row[1]), row[2] != "false", "{row:?}");
    }
}

#[test]
fn shown_only_masked() {
    for (number, shown) in [("+34600111222", "+34•••••1222"), ("+15550100200", "+15•••••0200")]
    {
        let phone = Phone::parse(number, None).expect("a number");
        assert_eq!((phone.to_string().as_str(), format!("{phone:?}").as_str()), (shown, shown));
        assert_eq!(serde_json::to_value(&phone).expect("json"), number);
    }
}

#[test]
fn a_country_is_never_guessed() {
    for (text, region, error) in [
        ("600111222", None, PhoneError::NoCountry),
        ("0600 11 12 22", None, PhoneError::NoCountry),
        ("600111222", Some("XX1"), PhoneError::Region),
        ("12345@g.us", None, PhoneError::NotAPhone),
        ("+34 600 11x 222", None, PhoneError::Characters),
        ("34+600111222", None, PhoneError::Characters),
        ("\u{200e}", None, PhoneError::Empty),
    ] {
        assert_eq!(Phone::parse(text, region), Err(error), "{text:?}");
    }
    let marked = "\u{202a}+34\u{a0}600\u{2011}111\u{200b}222\u{202c}";
    assert_eq!(Phone::parse(marked, None).expect("a number").e164(), "+34600111222");
}

#[test]
fn what_was_stored_is_read_back_as_it_is() {
    for good in ["\"+34600111222\"", "\"+22501020304\""] {
        let phone: Phone = serde_json::from_str(good).expect(good);
        assert_eq!(serde_json::to_string(&phone).expect("json"), good, "also under a plan that has changed");
    }
    for bad in ["\"34600111222\"", "\"+0600111222\"", "\"+34 600111222\"", "\"+123456\"", "\"+\"", "7"] {
        assert!(serde_json::from_str::<Phone>(bad).is_err(), "{bad}");
    }
}

/// Whatever is accepted is accepted again, and is the same.
#[test]
fn canonical_is_a_fixed_point() {
    for row in rows(NORMALIZE).filter(|row| !row[3].is_empty()) {
        let phone = Phone::parse(row[3], None).expect("canonical");
        assert_eq!(phone.e164(), row[3]);
        assert_eq!(Phone::from_wa_id(phone.digits()), Ok(phone));
    }
}

/// Whatever is typed: no panic; what is accepted is canonical, stays what it is, and is shown masked.
#[test]
fn mutated_numbers_are_read_or_refused() {
    const SPICE: [&str; 22] = [
        "+",
        "++",
        "0",
        "00",
        "(0)",
        " ",
        "-",
        ".",
        "/",
        "521",
        "549",
        "55",
        "ext. 5",
        "@s.whatsapp.net",
        "@g.us",
        ":12",
        "\u{200b}",
        "\u{202a}",
        "\u{666}",
        "\u{ff10}",
        "\0",
        "123456789012345",
    ];
    const REGIONS: [Option<&str>; 7] =
        [None, Some("ES"), Some("MX"), Some("BR"), Some("AR"), Some("us"), Some("\u{df}")];
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(0x5eed);
    let mut state: u64 = seed;
    let mut below = |n: usize| {
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        usize::try_from((z ^ (z >> 27)) % n as u64).expect("below n")
    };
    let inputs: Vec<&str> = rows(NORMALIZE).map(|row| row[0]).collect();
    let mut accepted = 0;
    for round in 0..50_000 {
        let mut typed: Vec<char> = inputs[below(inputs.len())].chars().collect();
        for _ in 0..below(4) {
            let at = below(typed.len() + 1);
            let end = (at + below(3)).min(typed.len());
            drop(typed.splice(at..end, SPICE[below(SPICE.len())].chars().filter(|_| below(8) > 0)));
        }
        let text: String = typed.into_iter().collect();
        let region = REGIONS[below(REGIONS.len())];
        for phone in [Phone::parse(&text, region), Phone::from_wa_id(&text)].into_iter().flatten() {
            let told = format!("seed {seed}, round {round}: {text:?} {region:?}");
            assert!(is_e164(phone.e164()), "{told}");
            assert_eq!(Phone::parse(phone.e164(), None).as_ref(), Ok(&phone), "{told}");
            assert_eq!(Phone::from_wa_id(phone.digits()).as_ref(), Ok(&phone), "{told}");
            assert!(phone.to_string().matches('•').count() >= 3, "{told}");
            accepted += 1;
        }
    }
    assert!(accepted > 5_000, "{accepted} were numbers");
}

#[test]
fn a_number_has_a_country() {
    for (number, country) in [
        ("+34600111222", Some("ES")),
        ("+5511987654321", Some("BR")),
        ("+12125550123", Some("US")),
        ("+14165550123", Some("CA")),
        ("+18095550123", Some("DO")),
        ("+77011234567", Some("KZ")),
        ("+442079460018", Some("GB")),
    ] {
        assert_eq!(Phone::parse(number, None).expect("a number").country().as_deref(), country, "{number}");
    }
}
