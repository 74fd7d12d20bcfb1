//! Names are canonical, numbers exact, maps bounded.

use serde_json::json;

use super::*;

#[test]
fn names_are_canonical() {
    for (text, expected) in [
        ("city", Ok("city")),
        (" First name ", Ok("first_name")),
        ("código-postal", Ok("código_postal")),
        ("co\u{301}digo", Ok("código")),
        ("AÑO", Ok("año")),
        ("x1", Ok("x1")),
        ("1", Err(BadAttribute::Characters)),
        ("", Err(BadAttribute::Characters)),
        ("a\"b", Err(BadAttribute::Characters)),
        ("a\\b", Err(BadAttribute::Characters)),
        ("Phone", Err(BadAttribute::Taken)),
    ] {
        let name = text.parse::<AttributeName>();
        assert_eq!(name.as_ref().map(AttributeName::as_str).map_err(|why| *why), expected, "{text}");
    }
    assert_eq!("x".repeat(65).parse::<AttributeName>(), Err(BadAttribute::LongName));
    assert_eq!(AttributeName::variable("Phone").expect("a variable").as_str(), "phone");
}

#[test]
fn numbers_have_fifteen_digits() {
    for (given, expected) in [
        (0.1 + 0.2, "0.3"),
        (-0.0, "0"),
        (1e-300, "0"),
        (34_600_111_222.0, "34600111222"),
        (12.5, "12.5"),
        (999_999_999_999_999.0, "999999999999999"),
    ] {
        let number = Number::new(given).expect("a number");
        assert_eq!(number.to_string(), expected);
        assert_eq!(serde_json::to_string(&number).expect("JSON"), expected);
        assert_eq!(expected.parse::<Number>().expect("a number"), number);
    }
    for bad in [f64::NAN, f64::INFINITY, 1e15, -1e300] {
        assert_eq!(Number::new(bad), Err(BadAttribute::Number));
    }
    for bad in ["inf", "NaN", "", "1,5", "0x10"] {
        assert_eq!(bad.parse::<Number>(), Err(BadAttribute::Number), "{bad}");
    }
}

#[test]
fn a_map_is_read_typed_and_bounded() {
    let map: AttributeMap =
        serde_json::from_value(json!({ "City": "Madrid", "age": 30, "vip": true, "rate": 1.5 }))
            .expect("a map");
    assert_eq!(
        serde_json::to_string(&map).expect("JSON"),
        r#"{"age":30,"city":"Madrid","rate":1.5,"vip":true}"#
    );
    for bad in
        [json!({ "a": null }), json!({ "a": [1] }), json!({ "a": "x".repeat(1_025) }), json!({ "a b\"": 1 })]
    {
        assert!(serde_json::from_value::<AttributeMap>(bad).is_err());
    }
    let many: serde_json::Map<_, _> = (0..65).map(|n| (format!("a{n}"), json!(n))).collect();
    assert!(serde_json::from_value::<AttributeMap>(many.into()).is_err());
    let name: AttributeName = "city".parse().expect("a name");
    let without = map.with([(name.clone(), None)]).expect("fewer");
    assert_eq!(without.get(&name), None);
    let large = (0..20)
        .map(|n| (format!("a{n}").parse().expect("a name"), AttributeValue::text("x".repeat(1_000)).ok()));
    assert_eq!(map.with(large), Err(BadAttribute::TooMany));
}

#[test]
fn tags_are_words() {
    assert_eq!(" vip ".parse::<Tag>().expect("a tag").as_str(), "vip");
    assert_eq!(Tag::list(" vip ;gold|,").expect("tags").len(), 2);
    for bad in ["", " ", "a,b", "a\"b", "a\\b", "a\nb", &"x".repeat(101)] {
        assert_eq!(bad.parse::<Tag>(), Err(BadTag), "{bad}");
    }
}
