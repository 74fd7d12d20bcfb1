//! Evolution's refusals: `{"status", "error", "response": {"message"}}`, where `message` has four shapes.

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde_json::{Value, json};

use super::payload::json_answer;

/// A refusal.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Refusal {
    pub(super) status: u16,
    error: &'static str,
    message: Value,
    /// A proxy's, without a document, which asks to wait so many seconds.
    retry_after: Option<u64>,
}

impl Refusal {
    fn new(status: u16, error: &'static str, message: Value) -> Refusal {
        Refusal { status, error, message, retry_after: None }
    }

    /// A 400 with words, as nearly every fault inside Evolution is told.
    pub(super) fn words(words: &str) -> Refusal {
        Refusal::new(400, "Bad Request", json!([words]))
    }

    /// A 400 of the check against the schema: a list inside a list.
    pub(super) fn schema(complaints: &[String]) -> Refusal {
        Refusal::new(400, "Bad Request", json!([complaints]))
    }

    /// The number is nobody's.
    pub(super) fn nobody(jid: &str, number: &str) -> Refusal {
        Refusal::new(400, "Bad Request", json!([{"jid": jid, "exists": false, "number": number}]))
    }

    pub(super) fn unauthorized() -> Refusal {
        Refusal::new(401, "Unauthorized", json!("Unauthorized"))
    }

    pub(super) fn name_in_use(name: &str) -> Refusal {
        Refusal::new(403, "Forbidden", json!([format!("This name \"{name}\" is already in use.")]))
    }

    pub(super) fn no_instance(name: &str) -> Refusal {
        Refusal::new(404, "Not Found", json!([format!("The \"{name}\" instance does not exist")]))
    }

    pub(super) fn no_route(method: &str, path: &str) -> Refusal {
        Refusal::new(404, "Not Found", json!([format!("Cannot {method} {path}")]))
    }

    pub(super) fn internal() -> Refusal {
        Refusal::new(500, "Internal Server Error", json!("Internal Server Error"))
    }

    pub(super) fn throttled(seconds: u64) -> Refusal {
        Refusal { retry_after: Some(seconds), ..Refusal::new(429, "", Value::Null) }
    }

    pub(super) fn answer(&self) -> Response {
        let Some(seconds) = self.retry_after else {
            let document =
                json!({"status": self.status, "error": self.error, "response": {"message": self.message}});
            return json_answer(self.status, document.to_string().into_bytes());
        };
        let mut response = Response::new(Body::from("Too Many Requests"));
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refusals_equal_the_recorded_ones() {
        let complaints = ["requires property \"number\"", "requires property \"text\""].map(str::to_owned);
        for (file, refusal) in [
            ("400_connection_closed", Refusal::words("Error: Connection Closed")),
            ("400_timed_out", Refusal::words("Error: Timed Out")),
            ("400_media", Refusal::words("Owned media must be a url or base64")),
            ("400_validation", Refusal::schema(&complaints)),
            ("400_number_not_on_whatsapp", Refusal::nobody("34600999000@s.whatsapp.net", "34600999000")),
            ("401_unauthorized", Refusal::unauthorized()),
            ("403_name_in_use", Refusal::name_in_use("main-line")),
            ("404_instance", Refusal::no_instance("main-line")),
            ("404_route", Refusal::no_route("POST", "/message/sendTextt/main-line")),
            ("500_internal", Refusal::internal()),
        ] {
            let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/evolution/response");
            let recorded = std::fs::read(format!("{folder}/{file}.json")).unwrap();
            let recorded: Value = serde_json::from_slice(&recorded).unwrap();
            let Refusal { status, error, message, .. } = refusal;
            assert_eq!(json!({"status": status, "error": error, "response": {"message": message}}), recorded);
        }
    }
}
