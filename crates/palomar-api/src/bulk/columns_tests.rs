//! What headers and rows come to.

use super::*;

#[test]
fn rows_become_messages() {
    for (header, cells, message) in [
        (
            "to,text",
            "+34600111222,Hola",
            json!({"to": "+34600111222", "type": "text", "content": {"text": "Hola"}}),
        ),
        (
            "recipientPhone,content.text,metadata.priority,instanceName,metadata.order",
            "+34600111222, a ,high,demo,7",
            json!({"to": "+34600111222", "channel": "demo", "priority": "high", "type": "text", "content": {"text": " a "}, "metadata": {"order": "7"}}),
        ),
        (
            "template.2,to,template,templateLanguage,template.1",
            "two,1,welcome,es,one",
            json!({"to": "1", "type": "template", "content": {"name": "welcome", "language": "es", "components": [
                {"type": "body", "parameters": [{"type": "text", "text": "one"}, {"type": "text", "text": "two"}]}]}}),
        ),
        (
            "to,type,mediaUrl,caption",
            "1,image,https://example.org/a.png,Mira",
            json!({"to": "1", "type": "image", "content": {"link": "https://example.org/a.png", "caption": "Mira"}}),
        ),
        ("to,text,priority", "1,x,", json!({"to": "1", "type": "text", "content": {"text": "x"}})),
        ("to,text,priority", "1", json!({"to": "1"})),
    ] {
        let columns = Columns::read(&header.split(',').collect::<Vec<_>>()).expect(header);
        assert_eq!(columns.message(&cells.split(',').collect::<Vec<_>>()), Ok(message), "{header}");
    }
}

#[test]
fn headers_are_refused_by_name() {
    for (header, code, detail) in [
        ("text", Code::MissingColumn, "The column `to` (or `recipientPhone`) is missing."),
        ("to,txt", Code::UnknownColumn, "The column `txt` is not known; did you mean `text`?"),
        ("to,recipientPhone", Code::UnknownColumn, "The column `recipientPhone` is there twice."),
        ("to,+34600111222", Code::UnknownColumn, "The column `…` is not known."),
        ("to,", Code::UnknownColumn, "A column has no name."),
        ("to,template,template.2", Code::MissingColumn, "The column `template.1` is missing."),
        (
            "to,template.1,template.name",
            Code::UnknownColumn,
            "The values of a template are numbered or named, not both.",
        ),
    ] {
        let refusal = Columns::read(&header.split(',').collect::<Vec<_>>()).expect_err(header);
        assert_eq!(refusal, Problem::new(code, detail), "{header}");
    }
}

#[test]
fn nothing_in_a_row_is_dropped() {
    let columns = Columns::read(&["to", "type", "text", "template", "mediaUrl"]).expect("a header");
    for (cells, detail) in [
        (["1", "", "a", "b", ""], "the type template has no use for the column `text`"),
        (["1", "text", "a", "b", ""], "the type text has no use for the column `template`"),
        (["1", "", "a", "", "https://x.example"], "the type text has no use for the column `mediaUrl`"),
        (
            ["1", "imge", "a", "", ""],
            "/type: is no type that fits into a CSV row (use NDJSON for the others); did you mean `image`?",
        ),
    ] {
        let refusal = columns.message(&cells).expect_err("refused");
        let document = serde_json::to_value(refusal.document(None, None)).expect("json");
        assert_eq!(document["detail"], detail);
    }
}
