//! Graph API errors: the codes the simulator knows, and the documents that carry them.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

/// An error as the Graph API answers it. Nothing was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct GraphError {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) subcode: Option<u32>,
    pub(super) kind: &'static str,
    pub(super) message: Cow<'static, str>,
    pub(super) details: Option<Cow<'static, str>>,
    pub(super) transient: bool,
    /// Seconds for the `Retry-After` header.
    pub(super) retry_after: Option<u64>,
}

/// What a code means in a failed status or, behind `(#code)`, in an answer.
#[derive(Debug, Clone, Copy)]
pub(super) struct Known {
    pub(super) code: u32,
    pub(super) status: u16,
    pub(super) title: &'static str,
    pub(super) details: &'static str,
}

const fn known(code: u32, status: u16, title: &'static str, details: &'static str) -> Known {
    Known { code, status, title, details }
}

/// Every code with its usual HTTP status, title and details, in ascending order.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(4, 400, "Application request limit reached", ""),
    known(100, 400, "Invalid parameter", ""),
    known(368, 403, "Temporarily blocked for policies violations", "The WhatsApp Business Account has been restricted."),
    known(80007, 400, "Rate limit issues", "The WhatsApp Business Account has reached its rate limit."),
    known(130403, 400, "User blocked by business", "Unable to deliver the message. This business has blocked the end user on WhatsApp"),
    known(130429, 429, "Rate limit hit", "Cloud API message throughput has been reached."),
    known(130472, 400, "User's number is part of an experiment", "Failed to send message because this user's phone number is part of an experiment"),
    known(130497, 400, "Business account is restricted from messaging users in this country", "The WhatsApp Business Account is restricted from messaging to users in certain countries."),
    known(131000, 500, "Something went wrong", "Message failed to send due to an unknown error."),
    known(131005, 403, "Access denied", "Permission is either not granted or has been removed."),
    known(131008, 400, "Required parameter is missing", ""),
    known(131009, 400, "Parameter value is not valid", ""),
    known(131016, 503, "Service unavailable", "A service is temporarily unavailable."),
    known(131021, 400, "Recipient cannot be sender", "Sender and recipient phone number is the same"),
    known(131026, 400, "Message undeliverable", "Message Undeliverable."),
    known(131030, 400, "Recipient phone number not in allowed list", "Recipient phone number not in allowed list: add it to the recipient list and try again"),
    known(131031, 400, "Business Account locked", "Business Account has been locked"),
    known(131037, 400, "Display name approval needed", "The phone number needs an approved display name before it can send."),
    known(131042, 400, "Business eligibility payment issue", "Message failed to send because there were one or more errors related to your payment method."),
    known(131045, 400, "Incorrect certificate", "Message failed to send due to a phone number registration error"),
    known(131047, 400, "Re-engagement message", "Message failed to send because more than 24 hours have passed since the customer last replied to this number."),
    known(131048, 400, "Spam rate limit hit", "Message failed to send because there are restrictions on how many messages can be sent from this phone number."),
    known(131049, 400, "This message was not delivered to maintain healthy ecosystem engagement.", "In order to maintain a healthy ecosystem engagement, the message failed to be delivered."),
    known(131050, 400, "User has stopped marketing messages", "Unable to deliver the message. This recipient has chosen to stop receiving marketing messages on WhatsApp from your business"),
    known(131051, 400, "Unsupported message type", "Message type is not currently supported."),
    known(131053, 400, "Media upload error", "Downloading media from weblink failed with http code 404, status message Not Found"),
    known(131056, 400, "(Business Account, Consumer Account) pair rate limit hit", "Message failed to send because there were too many messages sent from this phone number to the same phone number in a short period of time."),
    known(131057, 400, "Account in maintenance mode", "Business Account is in maintenance mode"),
    known(131062, 400, "Business-scoped User ID recipients are not supported for this message", "Authentication templates can't be sent to a business-scoped user id."),
    known(132000, 400, "Number of parameters does not match the expected number of params", ""),
    known(132001, 404, "Template name does not exist in the translation", ""),
    known(132012, 400, "Parameter format does not match format in the created template", ""),
    known(132015, 400, "Template is Paused", "Template is paused due to low quality"),
    known(132016, 400, "Template is Disabled", "Template has been paused too many times and is now permanently disabled"),
    known(132018, 400, "There's an issue with the parameters in your template", ""),
    known(133010, 400, "Account not registered", "Account does not exist in Cloud API, please use /register API to create an account first"),
];

/// The title of a code that is in no table.
pub(super) const UNKNOWN_TITLE: &str = "Unknown failure";

/// What is known of `code`; a code in no table gets a plain title.
pub(super) fn describe(code: u32) -> Known {
    match KNOWN.binary_search_by_key(&code, |known| known.code) {
        Ok(place) => KNOWN[place],
        Err(_) => known(code, 400, UNKNOWN_TITLE, "The simulator was asked for a code that is in no table."),
    }
}

impl GraphError {
    /// The error of `code` with its usual text.
    pub(super) fn of(code: u32) -> GraphError {
        let known = describe(code);
        GraphError {
            status: known.status,
            code,
            subcode: None,
            kind: "OAuthException",
            message: format!("(#{code}) {}", known.title).into(),
            details: (!known.details.is_empty()).then_some(Cow::Borrowed(known.details)),
            transient: false,
            retry_after: None,
        }
    }

    /// The error of `code` with details of this case.
    pub(super) fn with_details(code: u32, details: impl Into<Cow<'static, str>>) -> GraphError {
        GraphError { details: Some(details.into()), ..GraphError::of(code) }
    }

    /// 100: a parameter is misspelled, of the wrong type or over-long.
    pub(super) fn parameter(details: impl Into<Cow<'static, str>>) -> GraphError {
        GraphError::with_details(100, details)
    }

    /// 131008: a parameter that must be there is not.
    pub(super) fn missing(path: &str) -> GraphError {
        GraphError::with_details(131_008, format!("Parameter {path} is required"))
    }

    /// 131009: a parameter has a value that can't be.
    pub(super) fn value(details: impl Into<Cow<'static, str>>) -> GraphError {
        GraphError::with_details(131_009, details)
    }

    /// 190: no token, or not a valid one.
    pub(super) fn token() -> GraphError {
        GraphError {
            status: 401,
            code: 190,
            subcode: Some(463),
            kind: "OAuthException",
            message:
                "Error validating access token: Session has expired on Thursday, 01-Jan-26 00:00:00 PST."
                    .into(),
            details: None,
            transient: false,
            retry_after: None,
        }
    }

    /// 100 with subcode 33: there is no such object, or not for this token.
    pub(super) fn no_such_object(method: &str, id: &str) -> GraphError {
        let id: String = id.chars().take(64).collect();
        GraphError {
            subcode: Some(33),
            kind: "GraphMethodException",
            message: format!(
                "Unsupported {method} request. Object with ID '{id}' does not exist, cannot be loaded due to \
                 missing permissions, or does not support this operation"
            )
            .into(),
            ..GraphError::of(100)
        }
    }

    /// 2500: the path names nothing.
    pub(super) fn unknown_path() -> GraphError {
        let message = "Unknown path components".into();
        GraphError { code: 2500, message, details: None, ..GraphError::of(100) }
    }

    /// The answer; `trace` is its `fbtrace_id`.
    pub(super) fn answer(&self, trace: &str) -> Response {
        let mut response = Response::new(Body::from(self.document(trace)));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json; charset=UTF-8"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if let Ok(trace) = HeaderValue::from_str(trace) {
            headers.insert("x-fb-trace-id", trace);
        }
        response
    }

    fn document(&self, trace: &str) -> Vec<u8> {
        let details = self.details.as_deref();
        let error = Document {
            message: &self.message,
            kind: self.kind,
            is_transient: self.transient.then_some(true),
            code: self.code,
            error_subcode: self.subcode,
            error_data: details.map(|details| ErrorData { messaging_product: "whatsapp", details }),
            fbtrace_id: trace,
        };
        // Texts and numbers only: this can't fail.
        serde_json::to_vec(&Envelope { error }).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Envelope<'a> {
    error: Document<'a>,
}

#[derive(Serialize)]
struct Document<'a> {
    message: &'a str,
    #[serde(rename = "type")]
    kind: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    is_transient: Option<bool>,
    code: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_subcode: Option<u32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    error_data: Option<ErrorData<'a>>,
    fbtrace_id: &'a str,
}

#[derive(Serialize)]
struct ErrorData<'a> {
    messaging_product: &'a str,
    details: &'a str,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].code < pair[1].code));
    }

    #[test]
    fn documents_equal_the_recorded_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/cloud-api/response");
        let cases = [
            (
                "400_100_invalid_parameter",
                GraphError::parameter("Param text['body'] must be at most 4096 characters long."),
            ),
            ("400_100_subcode_33_phone_deleted", GraphError::no_such_object("post", "100200300400500")),
            ("400_131008", GraphError::missing("to")),
            ("400_131009", GraphError::value("Phone number is not valid")),
            (
                "400_132000",
                GraphError::with_details(
                    132_000,
                    "body: number of localizable_params (1) does not match the expected number of params (2)",
                ),
            ),
            (
                "400_132012",
                GraphError::with_details(
                    132_012,
                    "header: Format mismatch, expected IMAGE, received UNKNOWN",
                ),
            ),
            (
                "404_132001",
                GraphError::with_details(132_001, "template name (promo_enero) does not exist in es"),
            ),
            ("401_190_expired", GraphError::token()),
            ("400_131021", GraphError::of(131_021)),
            ("400_131030_sandbox", GraphError::of(131_030)),
            ("400_131031_locked", GraphError::of(131_031)),
            ("400_131045", GraphError::of(131_045)),
            ("400_131047", GraphError::of(131_047)),
            ("400_131056", GraphError::of(131_056)),
            ("400_131057_maintenance", GraphError::of(131_057)),
            ("400_132015", GraphError::of(132_015)),
            ("400_133010", GraphError::of(133_010)),
            ("400_80007", GraphError::of(80_007)),
            ("429_130429", GraphError::of(130_429)),
            ("500_131000", GraphError::of(131_000)),
            ("503_131016", GraphError::of(131_016)),
        ];
        for (name, error) in cases {
            let recorded = std::fs::read(format!("{folder}/{name}.json")).unwrap();
            let recorded: serde_json::Value = serde_json::from_slice(&recorded).unwrap();
            let trace = recorded["error"]["fbtrace_id"].as_str().unwrap();
            let made: serde_json::Value = serde_json::from_slice(&error.document(trace)).unwrap();
            assert_eq!(made, recorded, "{name}");
            assert!(name.starts_with(&error.status.to_string()), "{name}");
        }
    }
}
