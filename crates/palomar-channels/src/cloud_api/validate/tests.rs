//! The limits, one row each: at the limit it passes, beyond it the pointer says where.

use serde_json::{Value, json};

use super::*;

fn errors(to: &str, kind: &str, content: Value) -> Vec<String> {
    let to = Recipient::parse(to, None).expect("a recipient");
    let content = Content::from_parts(kind, content).unwrap_or_else(|error| panic!("{error}"));
    validate(&to, &content).into_iter().map(|error| error.pointer).collect()
}

fn long(n: usize) -> String {
    "ñ".repeat(n)
}

fn buttons(n: usize) -> Value {
    (0..n).map(|n| json!({"id": n.to_string(), "title": format!("b{n}")})).collect()
}

fn rows(from: usize, n: usize) -> Value {
    (from..from + n).map(|n| json!({"id": n.to_string(), "title": format!("r{n}")})).collect()
}

fn interactive(action: Value, others: Value) -> Value {
    let mut content = json!({"body": "b"});
    for part in [action, others] {
        let Value::Object(part) = part else { panic!("an object") };
        content.as_object_mut().expect("an object").extend(part);
    }
    content
}

fn button(others: Value) -> Value {
    interactive(json!({"type": "button", "action": {"buttons": buttons(1)}}), others)
}

#[expect(clippy::needless_pass_by_value, reason = "the table reads better with literals")]
fn list(button: &str, sections: Value) -> Value {
    interactive(json!({"type": "list", "action": {"button": button, "sections": sections}}), json!({}))
}

fn flow(others: Value) -> Value {
    let mut action = json!({"flowId": "1", "flowCta": "Abrir"});
    let Value::Object(others) = others else { panic!("an object") };
    action.as_object_mut().expect("an object").extend(others);
    interactive(json!({"type": "flow", "action": action}), json!({}))
}

#[expect(clippy::needless_pass_by_value, reason = "the table reads better with literals")]
fn body(parameters: Value) -> Value {
    json!({"name": "t", "language": "es", "components": [{"type": "body", "parameters": parameters}]})
}

#[test]
fn limits() {
    let card = json!({"name": {"formattedName": "A", "firstName": "A"}});
    for (kind, content, pointers) in [
        ("text", json!({"text": long(4096)}), &[][..]),
        ("text", json!({"text": long(4097)}), &["/content/text"]),
        ("text", json!({"text": ""}), &["/content/text"]),
        ("image", json!({"id": "1", "caption": long(1024)}), &[]),
        ("image", json!({"id": "1", "caption": long(1025)}), &["/content/caption"]),
        ("document", json!({"id": "1", "caption": long(1025)}), &["/content/caption"]),
        ("contacts", json!({"contacts": vec![card.clone(); 5]}), &[]),
        ("contacts", json!({"contacts": vec![card; 6]}), &["/content/contacts"]),
        ("poll", json!({"question": "?", "options": ["a", "b"]}), &["/type"]),
        ("interactive", button(json!({"body": long(1024), "footer": long(60)})), &[]),
        ("interactive", button(json!({"body": long(1025)})), &["/content/body"]),
        ("interactive", button(json!({"footer": long(61)})), &["/content/footer"]),
        ("interactive", button(json!({"header": {"type": "text", "text": long(60)}})), &[]),
        (
            "interactive",
            button(json!({"header": {"type": "text", "text": long(61)}})),
            &["/content/header/text"],
        ),
        (
            "interactive",
            button(json!({"header": {"type": "image", "image": {}}})),
            &["/content/header/image"],
        ),
        ("interactive", button(json!({"action": {"buttons": buttons(3)}})), &[]),
        ("interactive", button(json!({"action": {"buttons": buttons(4)}})), &["/content/action/buttons"]),
        ("interactive", button(json!({"action": {"buttons": [{"id": long(256), "title": long(20)}]}})), &[]),
        (
            "interactive",
            button(json!({"action": {"buttons": [{"id": long(257), "title": "a"}]}})),
            &["/content/action/buttons/0/id"],
        ),
        (
            "interactive",
            button(json!({"action": {"buttons": [{"id": "1", "title": long(21)}]}})),
            &["/content/action/buttons/0/title"],
        ),
        (
            "interactive",
            button(json!({"action": {"buttons": [{"id": "1", "title": "a"}, {"id": "2", "title": "a"}]}})),
            &["/content/action/buttons/1/title"],
        ),
        ("interactive", list("b", json!([{"rows": rows(0, 10)}])), &[]),
        ("interactive", list("b", json!([{"rows": rows(0, 11)}])), &["/content/action/sections"]),
        (
            "interactive",
            list("b", json!([{"title": "a", "rows": rows(0, 6)}, {"title": "b", "rows": rows(6, 5)}])),
            &["/content/action/sections"],
        ),
        (
            "interactive",
            list("b", json!([{"rows": rows(0, 1)}, {"title": "b", "rows": rows(1, 1)}])),
            &["/content/action/sections/0/title"],
        ),
        (
            "interactive",
            list("b", json!([{"title": long(25), "rows": rows(0, 1)}])),
            &["/content/action/sections/0/title"],
        ),
        ("interactive", list(&long(21), json!([{"rows": rows(0, 1)}])), &["/content/action/button"]),
        (
            "interactive",
            list("b", json!([{"rows": [{"id": long(201), "title": "t"}]}])),
            &["/content/action/sections/0/rows/0/id"],
        ),
        (
            "interactive",
            list("b", json!([{"rows": [{"id": "1", "title": long(25)}]}])),
            &["/content/action/sections/0/rows/0/title"],
        ),
        (
            "interactive",
            list("b", json!([{"rows": [{"id": "1", "title": "t", "description": long(73)}]}])),
            &["/content/action/sections/0/rows/0/description"],
        ),
        (
            "interactive",
            list("b", json!([{"rows": [{"id": "1", "title": "t"}, {"id": "1", "title": "u"}]}])),
            &["/content/action/sections/0/rows/1/id"],
        ),
        (
            "interactive",
            interactive(
                json!({"type": "list", "action": {"button": "b", "sections": [{"rows": rows(0, 1)}]}}),
                json!({"body": long(4096)}),
            ),
            &[],
        ),
        (
            "interactive",
            interactive(
                json!({"type": "list", "action": {"button": "b", "sections": [{"rows": rows(0, 1)}]}}),
                json!({"header": {"type": "image", "image": {"id": "1"}}}),
            ),
            &["/content/header"],
        ),
        (
            "interactive",
            interactive(
                json!({"type": "cta_url", "action": {"displayText": long(21), "url": "https://a.test"}}),
                json!({}),
            ),
            &["/content/action/displayText"],
        ),
        (
            "interactive",
            interactive(json!({"type": "location_request_message"}), json!({"footer": "f"})),
            &["/content/footer"],
        ),
        (
            "interactive",
            interactive(json!({"type": "product_list", "action": {}}), json!({})),
            &["/content/header"],
        ),
        ("interactive", flow(json!({})), &[]),
        ("interactive", flow(json!({"flowCta": long(31)})), &["/content/action/flowCta"]),
        ("interactive", flow(json!({"flowAction": "dance"})), &["/content/action/flowAction"]),
        (
            "interactive",
            flow(json!({"flowAction": "data_exchange", "flowActionPayload": {"screen": "A"}})),
            &["/content/action/flowActionPayload"],
        ),
        (
            "interactive",
            flow(json!({"flowActionPayload": {"screen": "A", "data": {}}})),
            &["/content/action/flowActionPayload/data"],
        ),
        ("template", body(json!([{"type": "text", "text": "uno"}, {"type": "text", "text": "dos"}])), &[]),
        (
            "template",
            body(json!([{"type": "text", "text": "a\nb"}])),
            &["/content/components/0/parameters/0/text"],
        ),
        ("template", body(json!([{"type": "text", "text": "a    b"}])), &[]),
        (
            "template",
            body(json!([{"type": "text", "text": "a     b"}])),
            &["/content/components/0/parameters/0/text"],
        ),
        (
            "template",
            body(json!([{"type": "text", "text": "a", "parameterName": "n"}, {"type": "text", "text": "b"}])),
            &["/content/components/0/parameters/1/parameterName"],
        ),
    ] {
        assert_eq!(
            errors("+34600111222", kind, content.clone()),
            pointers,
            "{kind} {:.200}",
            content.to_string()
        );
    }
}

#[test]
fn copy_code_needs_a_phone() {
    let template = json!({"name": "t", "language": "es", "components": [
        {"type": "button", "subType": "COPY_CODE", "index": 0, "parameters": [{"type": "coupon_code", "couponCode": "X"}]}]});
    assert_eq!(errors("+34600111222", "template", template.clone()), [""; 0]);
    assert_eq!(errors("ES.918273645546372819", "template", template), ["/to"]);
}
