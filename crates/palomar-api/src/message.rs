//! One message of a request, read by the application's rules; what they refuse as a whole is looked into here, so that
//! the error names the very member.

use palomar_app::NewMessage;
use palomar_model::{
    Contacts, ContentKind, FieldError, Interactive, Location, Media, Poll, Reaction, Template, Text,
};
use serde_json::Value;

use crate::json;
use crate::problem::Problem;

/// Reads a message; national numbers with `region`.
pub(crate) fn read(body: &Value, region: Option<&str>) -> Result<NewMessage, Problem> {
    NewMessage::from_json(body, region).map_err(|errors| {
        let refined = errors.into_iter().map(|error| refined(body, error));
        Problem::invalid(refined.collect())
    })
}

/// The error one level deeper, where it stands for a whole object that its type refused.
fn refined(body: &Value, error: FieldError) -> FieldError {
    let deeper = match error.pointer.as_str() {
        "/content" => body.get("content").and_then(|content| content_fault(body, content)),
        "/fallback" => body.get("fallback").and_then(json::fault_of::<Template>),
        _ => None,
    };
    match deeper {
        Some(fault) => FieldError::new(format!("{}{}", error.pointer, fault.pointer), fault.detail),
        None => error,
    }
}

fn content_fault(body: &Value, content: &Value) -> Option<FieldError> {
    let kind = body.get("type").or_else(|| body.get("messageType")).map_or(Some("text"), Value::as_str)?;
    match ContentKind::ALL.into_iter().find(|known| known.as_str() == kind)? {
        ContentKind::Text => json::fault_of::<Text>(content),
        ContentKind::Image
        | ContentKind::Video
        | ContentKind::Audio
        | ContentKind::Document
        | ContentKind::Sticker => json::fault_of::<Media>(content),
        ContentKind::Location => json::fault_of::<Location>(content),
        ContentKind::Contacts => json::fault_of::<Contacts>(content),
        ContentKind::Interactive => json::fault_of::<Interactive>(content),
        ContentKind::Template => json::fault_of::<Template>(content),
        ContentKind::Reaction => json::fault_of::<Reaction>(content),
        ContentKind::Poll => json::fault_of::<Poll>(content),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn errors_name_the_very_member() {
        for (kind, content, pointer, detail) in [
            ("text", json!({"text": 7}), "/content/text", "must be a string, not a number"),
            ("text", json!({"txet": "a"}), "/content/txet", "is not known here; did you mean `text`?"),
            ("text", json!({}), "/content/text", "is missing"),
            (
                "image",
                json!({"link": "https://a.example", "voice": "yes"}),
                "/content/voice",
                "must be true or false, not a string",
            ),
            (
                "location",
                json!({"latitude": "4", "longitude": 1}),
                "/content/latitude",
                "must be a number, not a string",
            ),
            (
                "poll",
                json!({"question": "?", "options": ["a", 2]}),
                "/content/options/1",
                "must be a string, not a number",
            ),
            (
                "template",
                json!({"name": "a", "language": "es", "components": [{"type": "bod"}]}),
                "/content/components/0/type",
                "must be one of header, body, button, limited_time_offer; did you mean `body`?",
            ),
        ] {
            let body = json!({"channel": "demo", "to": "+34600111222", "type": kind, "content": content});
            let problem = read(&body, None).expect_err("refused");
            assert_eq!(problem, Problem::invalid_at(pointer, detail), "{body}");
        }
    }
}
