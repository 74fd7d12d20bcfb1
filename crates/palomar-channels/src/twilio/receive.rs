//! Twilio's callbacks → events. Pure, and never fails as a whole.
//!
//! A form that carries `MessageStatus` reports on a message of ours, any other one is a message to us. Always: nothing is
//! invented, above all no sender; what is doubtful is said, and the whole form is kept.

mod content;

use palomar_model::{
    Bsuid, ChannelEvent, Forwarded, InboundContent, InboundMedia, InboundMessage, Phone, ProviderMessageId,
    Received, ReportedStatus, Sender, Status, StatusReport, Timestamp,
};
use serde_json::Value;

use super::errors;
use super::form::{self, Params, Said, plain};
use super::send::TAG;
use crate::channel::{Delivery, Kept, Parsed, Problem};

/// The names under which a message's id comes.
const IDS: [&str; 3] = ["MessageSid", "SmsMessageSid", "SmsSid"];

/// Reads a delivery that was verified.
#[must_use]
pub fn parse(delivery: &Delivery<'_>) -> Parsed {
    let mut reading = Reading { received_at: delivery.received_at, parsed: Parsed::default() };
    match Said::read(delivery.query, delivery.content_type, delivery.body) {
        Some(Said::Form(params) | Said::Query(params)) => reading.form(&params.without_nul(), delivery.query),
        Some(Said::Hashed { body, .. }) => reading.document(body),
        None => reading.problem("", "is no form, or has too many parameters"),
    }
    reading.parsed
}

/// Reads a message again that was kept as it came: all of its form. What else was kept is of kinds that no channel needs.
#[must_use]
pub fn reread(kept: &Kept<'_>) -> Parsed {
    let mut reading = Reading { received_at: kept.received_at, parsed: Parsed::default() };
    if kept.field.is_none() {
        reading.form(&Params::from_json(kept.raw), "");
    }
    reading.parsed
}

/// One pass over one delivery.
struct Reading {
    received_at: Timestamp,
    parsed: Parsed,
}

impl Reading {
    fn problem(&mut self, pointer: &str, detail: &str) {
        self.note(pointer, detail, false);
    }

    /// Notes what was wrong with something that was kept all the same.
    fn doubt(&mut self, pointer: &str, detail: &str) {
        self.note(pointer, detail, true);
    }

    fn note(&mut self, pointer: &str, detail: &str, kept: bool) {
        let problem = Problem { pointer: pointer.to_owned(), detail: detail.to_owned(), kept };
        self.parsed.problems.push(problem);
    }

    fn event(&mut self, line: Option<&str>, event: ChannelEvent) {
        self.parsed.events.push(Received::on(line.map(plain), event));
    }

    /// A body of JSON: events of kinds that no channel needs, kept as they came.
    fn document(&mut self, body: &[u8]) {
        let Ok(document) = serde_json::from_slice::<Value>(body) else {
            return self.problem("", "is not JSON, or nested too deep");
        };
        let events = match document {
            Value::Array(events) => events,
            event => vec![event],
        };
        for raw in events {
            let field = raw.get("type").and_then(Value::as_str).unwrap_or("json").to_owned();
            self.event(None, ChannelEvent::Other { field, raw });
        }
    }

    fn form(&mut self, params: &Params, query: &str) {
        let Some(id) = IDS.iter().find_map(|name| params.get(name)) else {
            return self.problem("/MessageSid", "is missing");
        };
        let id = ProviderMessageId(id.into());
        match params.get("MessageStatus") {
            Some(word) => {
                let report = report(params, id, word, query, self.received_at);
                self.event(params.get("From"), ChannelEvent::Status(Box::new(report)));
            }
            None => self.message(params, id),
        }
    }

    fn message(&mut self, params: &Params, provider_id: ProviderMessageId) {
        let from = sender(params);
        if !from.is_known() {
            return self.problem("/From", "names no sender");
        }
        let mut media = self.media(params).into_iter();
        let first = media.next();
        let kind = content::kind(params, first.as_ref());
        let content = content::content(params, &kind, first).unwrap_or_else(|| {
            self.doubt("/MessageType", "is of something that did not come");
            InboundContent::Unknown
        });
        let words = || params.get("Body").map(str::to_owned);
        // No callback says when.
        let message =
            InboundMessage::new(provider_id, from, self.received_at, kind, content, params.to_json());
        let message = InboundMessage {
            text: message.text.clone().or_else(words),
            more_media: media.collect(),
            context_id: params.get("OriginalRepliedMessageSid").map(|id| ProviderMessageId(id.into())),
            context_from: params.get("OriginalRepliedMessageSender").map(|from| plain(from).to_owned()),
            forwarded: forwarded(params),
            referral: content::referral(params).map(Box::new),
            ..message
        };
        self.event(params.get("To"), ChannelEvent::Message(Box::new(message)));
    }

    /// The media that came, counted as they came and not as `NumMedia` says.
    fn media(&mut self, params: &Params) -> Vec<InboundMedia> {
        let came: Vec<_> = (0..).map_while(|n| content::media(params, n)).collect();
        let said = params.get("NumMedia").map_or(Some(came.len()), |said| said.parse().ok());
        if said != Some(came.len()) {
            self.doubt("/NumMedia", "is not the number of media that came");
        }
        came
    }
}

/// Every identifier that came. `From` can hold a user id in place of a number.
fn sender(params: &Params) -> Sender {
    let bsuid = |name: &str| params.get(name).and_then(|address| Bsuid::parse(plain(address)));
    let wa_id = params.get("WaId").filter(|id| id.len() <= 20 && id.bytes().all(|c| c.is_ascii_digit()));
    let number = params.get("From").and_then(|from| plain(from).strip_prefix('+'));
    let phone = |digits: &str| Phone::from_wa_id(digits).ok();
    Sender {
        phone: wa_id.and_then(phone).or_else(|| number.and_then(phone)),
        wa_id: wa_id.map(str::to_owned),
        bsuid: bsuid("ExternalUserId").or_else(|| bsuid("From")),
        name: params.get("ProfileName").map(str::to_owned),
        ..Sender::default()
    }
}

fn forwarded(params: &Params) -> Forwarded {
    let said = |name| params.get(name).is_some_and(|word| word.eq_ignore_ascii_case("true"));
    match (said("FrequentlyForwarded"), said("Forwarded")) {
        (true, _) => Forwarded::Often,
        (false, true) => Forwarded::Once,
        (false, false) => Forwarded::No,
    }
}

fn report(
    params: &Params,
    provider_id: ProviderMessageId,
    word: &str,
    query: &str,
    received_at: Timestamp,
) -> StatusReport {
    let status = match word {
        // It failed at Twilio, or behind it.
        "failed" | "undelivered" => Status::Known(ReportedStatus::Failed),
        // What comes before `sent` is a way of waiting at Twilio, and changes nothing.
        word => Status::from(word),
    };
    let code = params.get("ErrorCode").filter(|code| *code != "0").map(str::to_owned);
    let words = params.get("ErrorMessage").map(str::to_owned);
    let failed = status == Status::Known(ReportedStatus::Failed);
    let has_error = code.is_some() || words.is_some() || channel_detail(params).is_some();
    let error = || errors::reported(code.as_deref(), words.as_deref(), channel_detail(params));
    let waits = ["accepted", "scheduled", "queued", "sending"].contains(&word);
    StatusReport {
        tag: form::of_query(query, TAG).and_then(|tag| tag.parse().ok()),
        recipient: params.get("To").map(|to| plain(to).trim_start_matches('+').to_owned()),
        errors: (failed && has_error).then(error).into_iter().collect(),
        raw: (matches!(status, Status::Other(_)) && !waits).then(|| params.to_json()),
        ..StatusReport::new(provider_id, status, received_at)
    }
}

/// What WhatsApp itself said of the failure.
fn channel_detail(params: &Params) -> Option<String> {
    let (words, code) = (params.get("ChannelStatusMessage"), params.get("ChannelStatusCode"));
    Some(match (words, code) {
        (Some(words), Some(code)) => format!("{words} (WhatsApp's code {code})"),
        (Some(words), None) => words.to_owned(),
        (None, code) => format!("WhatsApp's code {}", code?),
    })
}

#[cfg(test)]
mod damage;
#[cfg(test)]
mod tests;
