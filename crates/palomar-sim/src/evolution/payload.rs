//! Jids, and messages as Evolution writes them in answers and webhooks.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use palomar_model::Timestamp;
use serde_json::{Value, json};

use super::validate::Outgoing;

/// An answer with a JSON document.
pub(super) fn json_answer(status: u16, document: Vec<u8>) -> Response {
    let mut response = Response::new(Body::from(document));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let kind = HeaderValue::from_static("application/json; charset=utf-8");
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

/// The jid that Evolution makes of a number; a jid stays as it is.
pub(super) fn jid_of(number: &str) -> String {
    if number.contains('@') {
        return number.to_owned();
    }
    let digits: String = number.chars().filter(char::is_ascii_digit).collect();
    if digits.len() >= 18 {
        return format!("{digits}@g.us");
    }
    format!("{}@s.whatsapp.net", account(&digits))
}

/// The digits by which WhatsApp knows a number.
fn account(digits: &str) -> String {
    match (digits.len(), digits.as_bytes()) {
        (13, [b'5', b'2' | b'4', ..]) => format!("{}{}", &digits[..2], &digits[3..]),
        // Brazil: area codes from 31, and numbers that begin with 7 to 9 behind the extra digit.
        (13, [b'5', b'5', area @ b'3'..=b'9', last, _, first @ b'7'..=b'9', ..])
            if (*area, *last) >= (b'3', b'1') && *first >= b'7' =>
        {
            format!("{}{}", &digits[..4], &digits[5..])
        }
        _ => digits.to_owned(),
    }
}

/// A message that was sent, as the answer, `send.message` and `findMessages` show it.
pub(super) fn sent(message: &Outgoing, id: &str, jid: &str, at: Timestamp, instance: &str) -> Value {
    json!({
        "key": {"remoteJid": jid, "fromMe": true, "id": id},
        "pushName": "Você",
        "status": "PENDING",
        "message": message.content,
        "contextInfo": null,
        "messageType": message.kind,
        "messageTimestamp": at.seconds(),
        "instanceId": instance,
        "source": "unknown",
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn jids() {
        for (number, jid) in [
            ("+34 600 111-222", "34600111222@s.whatsapp.net"),
            ("5215512345678", "525512345678@s.whatsapp.net"),
            ("5491123456789", "541123456789@s.whatsapp.net"),
            ("5531987654321", "553187654321@s.whatsapp.net"),
            ("5511987654321", "5511987654321@s.whatsapp.net"),
            ("5530987654321", "5530987654321@s.whatsapp.net"),
            ("5531967654321", "5531967654321@s.whatsapp.net"),
            ("120363000000000001", "120363000000000001@g.us"),
            ("123@lid", "123@lid"),
        ] {
            assert_eq!(jid_of(number), jid, "{number}");
        }
    }
}
