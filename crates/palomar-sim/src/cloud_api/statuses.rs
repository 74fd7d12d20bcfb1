//! The statuses that follow an accepted message: which, when, and as what JSON.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;
use serde::Serialize;

use super::errors;
use crate::behaviour::Statuses;
use crate::fate::{Fate, Step};
use crate::rng::Rng;

const DAY: Duration = Duration::from_secs(24 * 3600);

/// An accepted message, as far as its statuses need it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) wamid: String,
    /// The phone number id.
    pub(super) sender: Arc<str>,
    pub(super) recipient: Reached,
    pub(super) tag: Option<Box<str>>,
    pub(super) category: &'static str,
    /// Graph versions before 24 tell of conversations.
    pub(super) conversation: bool,
    /// A voice note that is `played` too.
    pub(super) voice: bool,
    pub(super) at: Timestamp,
}

/// Who a message reaches.
#[derive(Debug)]
pub(super) enum Reached {
    WaId(String),
    User(String),
    Group(String),
}

/// A status that is to be posted.
#[derive(Debug, Clone)]
pub struct Status {
    pub(super) message: Arc<Sent>,
    step: Step,
    at: Timestamp,
    priced: bool,
}

/// The statuses of `message` with the time to wait for each, counted from acceptance, in the order to post them.
pub(super) fn plan(
    settings: &Statuses,
    rng: &mut Rng,
    message: &Arc<Sent>,
    fate: Fate,
) -> Vec<(Duration, Status)> {
    let mut steps = fate.steps(settings, rng);
    if message.voice && steps.contains(&Step::Read) {
        steps.push(Step::Played);
    }
    let mut priced_arrival = false;
    let planned = settings.timed(rng, steps).into_iter().map(|(after, step)| {
        let arrival = matches!(step, Step::Delivered | Step::Read) && !priced_arrival;
        priced_arrival |= arrival;
        let priced = arrival || step == Step::Sent;
        (after, Status { message: Arc::clone(message), step, at: message.at.after(after), priced })
    });
    let planned = planned.collect();
    settings.make_unreliable(rng, planned)
}

impl Status {
    /// The JSON of `statuses[]`.
    pub(super) fn to_json(&self) -> StatusJson<'_> {
        let message = &*self.message;
        let (wa_id, user_id, group) = match &message.recipient {
            Reached::WaId(id) => (Some(id.as_str()), None, false),
            Reached::Group(id) => (Some(id.as_str()), None, true),
            Reached::User(id) => (None, Some(id.as_str()), false),
        };
        StatusJson {
            id: &message.wamid,
            status: self.step.name(),
            timestamp: self.at.seconds().to_string(),
            recipient_id: wa_id,
            recipient_user_id: user_id,
            recipient_type: group.then_some("group"),
            biz_opaque_callback_data: message.tag.as_deref(),
            conversation: (self.priced && message.conversation).then(|| self.conversation()),
            pricing: self.priced.then(|| pricing(message.category)),
            errors: self.errors(),
        }
    }

    fn conversation(&self) -> Conversation<'_> {
        let expires = self.message.at.after(DAY).seconds().to_string();
        Conversation {
            id: self.message.wamid.trim_start_matches("wamid.").chars().take(32).collect(),
            expiration_timestamp: (self.step == Step::Sent).then_some(expires),
            origin: Origin { kind: self.message.category },
        }
    }

    fn errors(&self) -> Option<[Failure; 1]> {
        let Step::Failed(code) = self.step else {
            return None;
        };
        let known = errors::describe(code);
        Some([Failure {
            code,
            title: known.title,
            message: known.title,
            error_data: Details {
                details: if known.details.is_empty() { known.title } else { known.details },
            },
            href: "/documentation/business-messaging/whatsapp/support/error-codes",
        }])
    }
}

fn pricing(category: &'static str) -> Pricing {
    let free = category == "service";
    let kind = if free { "free_customer_service" } else { "regular" };
    Pricing { billable: !free, pricing_model: "PMP", kind, category }
}

/// One item of `statuses[]`.
#[derive(Debug, Serialize)]
pub(super) struct StatusJson<'a> {
    id: &'a str,
    status: &'static str,
    timestamp: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_user_id: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    recipient_type: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    biz_opaque_callback_data: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    conversation: Option<Conversation<'a>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pricing: Option<Pricing>,
    #[serde(skip_serializing_if = "Option::is_none")]
    errors: Option<[Failure; 1]>,
}

#[derive(Debug, Serialize)]
struct Conversation<'a> {
    id: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expiration_timestamp: Option<String>,
    origin: Origin<'a>,
}

#[derive(Debug, Serialize)]
struct Origin<'a> {
    #[serde(rename = "type")]
    kind: &'a str,
}

#[derive(Debug, Serialize)]
struct Pricing {
    billable: bool,
    pricing_model: &'static str,
    #[serde(rename = "type")]
    kind: &'static str,
    category: &'static str,
}

#[derive(Debug, Serialize)]
struct Failure {
    code: u32,
    title: &'static str,
    message: &'static str,
    error_data: Details,
    href: &'static str,
}

#[derive(Debug, Serialize)]
struct Details {
    details: &'static str,
}
