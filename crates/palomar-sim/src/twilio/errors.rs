//! Twilio's errors: the codes the simulator knows, and the documents that carry them.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::Serialize;

/// An error as Twilio answers it. Nothing was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ApiError {
    pub(super) status: u16,
    pub(super) code: u32,
    pub(super) message: Cow<'static, str>,
    /// Seconds for the `Retry-After` header.
    pub(super) retry_after: Option<u64>,
}

/// What a code means.
#[derive(Debug, Clone, Copy)]
struct Known {
    code: u32,
    status: u16,
    message: &'static str,
}

const fn known(code: u32, status: u16, message: &'static str) -> Known {
    Known { code, status, message }
}

/// Every code with its usual HTTP status and words, in ascending order.
#[rustfmt::skip]
const KNOWN: &[Known] = &[
    known(14107, 429, "SMS send rate limit exceeded"),
    known(20003, 401, "Authenticate"),
    known(20404, 404, "The requested resource was not found"),
    known(20429, 429, "Too Many Requests"),
    known(20500, 500, "Internal Server Error"),
    known(20503, 503, "Service unavailable"),
    known(21211, 400, "The 'To' number is not a valid phone number."),
    known(21212, 400, "Invalid 'From' number"),
    known(21214, 400, "'To' number cannot be reached"),
    known(21217, 400, "Number does not look valid"),
    known(21408, 400, "Permission not enabled for the destination region"),
    known(21602, 400, "Body required"),
    known(21603, 400, "From or MessagingServiceSid required"),
    known(21604, 400, "To required"),
    known(21606, 400, "From is not a valid sender for this destination"),
    known(21608, 400, "Trial account: To not verified"),
    known(21610, 400, "Attempt to send to unsubscribed recipient"),
    known(21611, 429, "Sender queue full"),
    known(21612, 400, "'To' not reachable from this sender"),
    known(21614, 400, "Not a mobile number"),
    known(21617, 400, "The concatenated message body exceeds the 1600 character limit"),
    known(21619, 400, "A text message body or media urls must be specified."),
    known(21620, 400, "Invalid media URL(s)"),
    known(21623, 400, "Too many media"),
    known(21654, 400, "ContentSid required"),
    known(21655, 400, "The ContentSid is Invalid"),
    known(21656, 400, "The ContentVariables Parameter is invalid"),
    known(21703, 400, "Messaging Service has no usable sender"),
    known(21704, 400, "Messaging Service contains no senders"),
    known(21705, 400, "Messaging Service SID invalid"),
    known(21910, 400, "Invalid 'From' and 'To' pair. 'From' and 'To' should be of the same channel"),
    known(30001, 400, "Queue overflow (10 h queue; 4 h for WhatsApp per an older page)"),
    known(30002, 403, "Account suspended"),
    known(30003, 400, "Unreachable handset"),
    known(30005, 400, "Unknown destination"),
    known(30007, 400, "Message filtered"),
    known(30008, 400, "Unknown error"),
    known(30410, 400, "Provider timeout"),
    known(35111, 400, "SendAt missing for ScheduleType=fixed"),
    known(35114, 400, "SendAt out of range"),
    known(35115, 400, "SendAt must be more than 300 s and at most 35 days ahead, UTC ISO-8601"),
    known(35117, 400, "SendAt out of range"),
    known(35118, 400, "Scheduling needs MessagingServiceSid"),
    known(35126, 400, "ScheduleType must be fixed"),
    known(63001, 400, "Channel could not authenticate the request"),
    known(63002, 400, "Channel could not find the From address"),
    known(63003, 400, "Channel could not find the To address (not on WhatsApp)"),
    known(63005, 400, "Channel did not accept the content"),
    known(63006, 400, "Could not format the content for the channel"),
    known(63007, 400, "Twilio could not find a Channel with the specified From address"),
    known(63008, 400, "Channel misconfigured"),
    known(63009, 400, "Channel provider returned 5xx"),
    known(63010, 400, "Twilio internal error"),
    known(63011, 400, "Invalid request"),
    known(63012, 400, "Channel provider internal service error"),
    known(63013, 400, "Channel policy violation"),
    known(63014, 400, "Blocked by a user action"),
    known(63015, 400, "Sandbox: recipient has not joined"),
    known(63016, 400, "Outside the 24 h window: use a template (ContentSid)"),
    known(63017, 429, "Account rate limit: combined 2000 messages/s"),
    known(63018, 400, "Channel rate limit (Meta 429 / 131056 / 130429 / 131048 family)"),
    known(63019, 400, "Media failed to download"),
    known(63020, 400, "Business Manager account error (also billing)"),
    known(63021, 400, "Channel invalid content"),
    known(63022, 400, "Invalid display-name certificate"),
    known(63023, 400, "Channel generic error"),
    known(63024, 400, "Invalid recipient (not on WhatsApp, old client, terms not accepted)"),
    known(63025, 400, "Media already exists (harmless)"),
    known(63026, 400, "Sender content flagged as spam"),
    known(63027, 400, "Template missing for that language"),
    known(63028, 400, "Template parameter count mismatch"),
    known(63029, 400, "Receiver failed to download the template"),
    known(63030, 400, "Unsupported parameter for the type of message"),
    known(63031, 400, "Same From and To"),
    known(63032, 400, "WhatsApp limitation for this user (experiment, per-user limits)"),
    known(63033, 400, "Recipient blocked receiving the message"),
    known(63034, 400, "Media exceeds the size limit"),
    known(63037, 400, "Channel media upload error"),
    known(63038, 429, "Account exceeded its daily message limit"),
    known(63040, 400, "Template rejected / submission failure"),
    known(63041, 400, "Template paused"),
    known(63042, 400, "Template disabled"),
    known(63049, 400, "Meta chose not to deliver this marketing message (131049)"),
    known(63051, 400, "WhatsApp Business Account locked"),
    known(63062, 400, "Marketing Messages API terms not accepted"),
    known(63112, 400, "Meta disabled the WABA or the number"),
];

fn find(code: u32) -> Option<&'static Known> {
    KNOWN.binary_search_by_key(&code, |known| known.code).ok().and_then(|place| KNOWN.get(place))
}

/// True for a code of the table.
pub(super) fn is_known(code: u32) -> bool {
    find(code).is_some()
}

/// The words of a code.
pub(super) fn words(code: u32) -> &'static str {
    find(code).map_or("Unknown failure", |known| known.message)
}

/// True for a code that Twilio itself answers with; the others it hears from the channel, and reports.
pub(super) fn is_answered_at_once(code: u32) -> bool {
    is_known(code) && (code < 30_000 || matches!(code, 30_002 | 35_111..=35_126 | 63_007 | 63_017 | 63_038))
}

impl ApiError {
    /// The error of `code` with its usual words.
    pub(super) fn of(code: u32) -> ApiError {
        let status = find(code).map_or(400, |known| known.status);
        ApiError { status, code, message: words(code).into(), retry_after: None }
    }

    /// 21211: the recipient is nobody who could be written to.
    pub(super) fn no_number(to: &str) -> ApiError {
        let to: String = to.chars().take(64).collect();
        let message = format!("The 'To' number {to} is not a valid phone number.").into();
        ApiError { message, ..ApiError::of(21_211) }
    }

    /// The answer.
    pub(super) fn answer(&self) -> Response {
        let mut response = Response::new(Body::from(self.document()));
        *response.status_mut() = StatusCode::from_u16(self.status).unwrap_or(StatusCode::BAD_REQUEST);
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }

    fn document(&self) -> Vec<u8> {
        let more_info = format!("https://www.twilio.com/docs/errors/{}", self.code);
        let document = Document { code: self.code, message: &self.message, more_info, status: self.status };
        // Texts and numbers only: this can't fail.
        serde_json::to_vec(&document).unwrap_or_default()
    }
}

#[derive(Serialize)]
struct Document<'a> {
    code: u32,
    message: &'a str,
    more_info: String,
    status: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_in_order_and_whole() {
        assert!(KNOWN.windows(2).all(|pair| pair[0].code < pair[1].code));
        let source = include_str!("../../../../tests/fixtures/error-codes/twilio.csv");
        let codes: Vec<u32> = source
            .lines()
            .filter(|line| line.split(',').nth(1) != Some("n/a"))
            .filter_map(|line| line.split(',').next()?.parse().ok())
            .collect();
        assert!(codes.len() > 80 && codes.iter().all(|code| is_known(*code)));
        assert_eq!(codes.len(), KNOWN.len());
    }

    #[test]
    fn documents_equal_the_recorded_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/twilio/response");
        let mut seen = 0;
        for file in std::fs::read_dir(folder).unwrap() {
            let file = file.unwrap();
            let recorded: serde_json::Value =
                serde_json::from_slice(&std::fs::read(file.path()).unwrap()).unwrap_or_default();
            let Some(code) = recorded["code"].as_u64() else { continue };
            let error = match code {
                21_211 => ApiError::no_number("whatsapp:+3460"),
                code => ApiError::of(u32::try_from(code).unwrap()),
            };
            let made: serde_json::Value = serde_json::from_slice(&error.document()).unwrap();
            assert_eq!(made, recorded, "{:?}", file.file_name());
            seen += 1;
        }
        assert_eq!(seen, 16);
    }
}
