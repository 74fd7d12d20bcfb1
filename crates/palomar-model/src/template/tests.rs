//! What templates become, what is refused and why, and that nothing that is read or rendered can do harm.

use std::fmt::Write as _;

use super::*;
use crate::testing::Dice;

fn person() -> AttributeMap {
    let json = serde_json::json!({
        "city": "Madrid", "age": 30, "rate": 1.5, "vip": true, "blocked": false, "empty": " ", "sly": "{{city}}",
    });
    let map: AttributeMap = serde_json::from_value(json).expect("a map");
    map
}

#[test]
fn texts_are_rendered() {
    for (template, expected) in [
        ("", ""),
        ("Hola", "Hola"),
        ("Hola {{city}}!", "Hola Madrid!"),
        ("{{ City }}{{age}} {{rate}} {{vip}}", "Madrid30 1.5 true"),
        ("Hola {{name|amigo}}", "Hola amigo"),
        ("Hola {{name | mi amigo }}.", "Hola mi amigo."),
        ("Hola{{name|}}.", "Hola."),
        ("{{empty|nada}}", "nada"),
        ("{{sly}}", "{{city}}"),
        ("{ {city} } \\{{city\\}}", "{ {city} } {{city}}"),
        ("{{#if vip}}VIP{{/if}}{{#if blocked}}no{{else}}sí{{/if}}", "VIPsí"),
        ("{{#if name}}{{name}}{{else}}{{#if city}}de {{city}}{{/if}}{{/if}}", "de Madrid"),
        ("{{#if empty}}a{{else}}b{{/if}}", "b"),
        ("ñ{{city}}\n👋", "ñMadrid\n👋"),
    ] {
        let parsed = Template::parse(template).expect(template);
        assert_eq!(parsed.render(&person()).as_deref(), Ok(expected), "{template}");
        assert_eq!(Template::parse(&parsed.to_string()).as_ref(), Ok(&parsed), "{template}");
    }
}

#[test]
fn what_is_wrong_is_said_with_its_place() {
    for (template, expected) in [
        ("Hola {{name", "line 1, column 6: `{{` without `}}`"),
        ("Hola\nñ {{ a {{b}}", "line 2, column 3: `{{` without `}}`"),
        ("Hola name}}", "line 1, column 10: `}}` without `{{`"),
        ("{{}}", "line 1, column 1: no variable is named"),
        ("{{|x}}", "no variable is named"),
        ("{{1}}", "{{1}} is a place of a provider's template"),
        ("{{a+b}}", "`a+b` is no variable: a name has letters, digits and `_`"),
        ("{{#each x}}{{/each}}", "there is no `#each x`: there are {{#if name}}, {{else}} and {{/if}}"),
        ("{{/for}}", "there is no `/for`"),
        ("{{#if }}x{{/if}}", "there is no `#if`"),
        ("{{#if x}}", "line 1, column 1: {{#if}} without {{/if}}"),
        ("a{{else}}", "line 1, column 2: {{else}} without {{#if name}}"),
        ("{{/if}}", "{{/if}} without {{#if name}}"),
        ("{{#if x}}{{else}}{{else}}{{/if}}", "a second {{else}}"),
        (&"{{#if x}}".repeat(9), "more than 8 conditions within each other"),
        (&"x".repeat(LONGEST_TEMPLATE + 1), "a template has at most 64 KiB"),
    ] {
        let error = Template::parse(template).expect_err(template).to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
}

#[test]
fn what_is_missing_is_named_and_what_is_too_long_ends() {
    let missing = Template::parse("Hola {{name}}").expect("a template").render(&person());
    assert_eq!(missing, Err(RenderError::Missing(AttributeName::variable("name").expect("a name"))));
    let text = missing.expect_err("missing").to_string();
    assert_eq!(text, "no value for {{name}}: give it one, or write a fallback: {{name|…}}");
    let long = Template::parse(&"{{city}}".repeat(8_000)).expect("a template");
    assert_eq!(long.render(&person()).expect("48 KB").len(), 48_000);
    let text = serde_json::json!({ "city": "x".repeat(1_000) });
    let whom: AttributeMap = serde_json::from_value(text).expect("a map");
    assert_eq!(long.render(&whom), Err(RenderError::TooLong));
}

#[test]
fn variables_are_told_with_what_they_need() {
    let template = "{{b|x}} {{a}} {{#if c}}{{c}}{{d}}{{else}}{{e|}}{{/if}} {{b}}";
    let variables = Template::parse(template).expect("a template").variables();
    let told: Vec<_> = variables.iter().map(|one| (one.name.as_str(), one.required)).collect();
    assert_eq!(told, [("a", true), ("b", true), ("c", false), ("d", true), ("e", false)]);
    assert!(Template::parse("}  \\}}").expect("a template").is_plain());
}

#[test]
fn any_bytes_are_read_or_refused_and_what_is_read_comes_back() {
    const PIECES: [&str; 18] = [
        "{{", "}}", "{", "}", "\\", "|", "#if ", "else", "/if", "city", "name", " ", "\n", "ñ", "👋", "1",
        "x", "\0",
    ];
    let (mut dice, mut read) = (Dice(0x5eed_7e47), 0);
    for _ in 0..50_000 {
        let mut text = String::new();
        for _ in 0..dice.roll(14) {
            match dice.roll(8) {
                0 => text
                    .write_char(char::from(u8::try_from(dice.roll(256)).expect("a byte")))
                    .expect("written"),
                1 => text.push_str("{{city}}"),
                2 => text.push_str("{{#if city}}"),
                3 => text.push_str("{{/if}}"),
                _ => text.push_str(PIECES[dice.roll(PIECES.len())]),
            }
        }
        let Ok(template) = Template::parse(&text) else { continue };
        read += 1;
        assert_eq!(Template::parse(&template.to_string()).as_ref(), Ok(&template), "{text:?}");
        let needs = template.variables().into_iter().filter(|one| one.required);
        let lacks = needs.filter(|one| said(&person(), &one.name).is_none()).count();
        match template.render(&person()) {
            Ok(rendered) => assert!(rendered.len() <= LONGEST_OUTPUT, "{text:?}"),
            Err(RenderError::Missing(_)) => assert!(lacks > 0, "{text:?}"),
            Err(RenderError::TooLong) => panic!("{text:?}"),
        }
    }
    assert!(read > 5_000, "only {read} were templates");
}
