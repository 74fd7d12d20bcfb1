//! Message → the form that creates it at Twilio, and the answer → what became of it. No I/O.

use palomar_model::{
    Content, ErrorClass, Location, Media, Outbound, Parameter, ProviderMessageId, Recipient, SendFailure,
    Tag, Template,
};
use serde_json::{Map, Value};

use super::errors;
use crate::Sent;
use crate::http::Answer;

/// The parameter of the callback's address that carries the tag.
pub const TAG: &str = "tag";

/// What asks Twilio to call again, five times, where we do not answer: by itself it tries once. It is not signed.
const TRY_AGAIN: &str = "rc=5&rp=all";

/// Who sends: a number, a Messaging Service, or one of its numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct From {
    /// With its plus.
    pub number: Option<String>,
    /// `MG…`.
    pub service: Option<String>,
}

/// The pairs that create `message`; reports on it go to `callback`.
///
/// # Errors
/// A `Content` failure for what Twilio can't carry: what [`super::validate::validate`] refuses.
pub fn form(
    message: &Outbound,
    from: &From,
    callback: Option<String>,
) -> Result<Vec<(&'static str, String)>, SendFailure> {
    let mut pairs = vec![("To", address(&message.to))];
    pairs.extend(from.number.as_ref().map(|number| ("From", format!("whatsapp:{number}"))));
    pairs.extend(from.service.clone().map(|service| ("MessagingServiceSid", service)));
    pairs.extend(content(&message.content).ok_or_else(|| {
        let kind = message.content.kind().as_str();
        SendFailure::new(ErrorClass::Content, format!("Twilio cannot send this {kind}"))
    })?);
    pairs.extend(callback.map(|url| ("StatusCallback", url)));
    Ok(pairs)
}

/// What Twilio calls somebody.
pub(super) fn address(to: &Recipient) -> String {
    format!("whatsapp:{}", to.expose())
}

/// Where Twilio reports on the attempt `tag`: it calls the address as it is given, and so brings the tag back.
#[must_use]
pub fn callback(webhook: &reqwest::Url, tag: Tag) -> String {
    let mut url = webhook.clone();
    if url.fragment().is_none() {
        url.set_fragment(Some(TRY_AGAIN));
    }
    url.query_pairs_mut().append_pair(TAG, &tag.to_string());
    url.into()
}

/// What the content adds, where Twilio can carry it.
fn content(content: &Content) -> Option<Vec<(&'static str, String)>> {
    match content {
        Content::Text(text) => Some(vec![("Body", text.text.clone())]),
        Content::Image(m)
        | Content::Video(m)
        | Content::Audio(m)
        | Content::Document(m)
        | Content::Sticker(m) => media(m),
        Content::Location(place) => location(place),
        Content::Template(template) => approved(template),
        Content::Contacts(_) | Content::Interactive(_) | Content::Reaction(_) | Content::Poll(_) => None,
    }
}

fn media(media: &Media) -> Option<Vec<(&'static str, String)>> {
    let mut pairs = vec![("MediaUrl", media.link.clone()?)];
    pairs.extend(media.caption.clone().map(|caption| ("Body", caption)));
    Some(pairs)
}

/// The place needs words beside it: its name, else its address.
fn location(place: &Location) -> Option<Vec<(&'static str, String)>> {
    let words = place.name.as_ref().or(place.address.as_ref())?;
    let label = place.address.as_ref().or(place.name.as_ref())?;
    let action = format!("geo:{},{}|{label}", place.latitude, place.longitude);
    Some(vec![("Body", words.clone()), ("PersistentAction", action)])
}

fn approved(template: &Template) -> Option<Vec<(&'static str, String)>> {
    let mut pairs = vec![("ContentSid", template.name.clone())];
    let variables = variables(template);
    if variables.iter().any(|variable| variable.value.is_none()) {
        return None;
    }
    if !variables.is_empty() {
        let object: Map<String, Value> =
            variables.into_iter().map(|variable| (variable.name, Value::from(variable.value))).collect();
        pairs.push(("ContentVariables", Value::Object(object).to_string()));
    }
    Some(pairs)
}

/// A variable of a Content template.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Variable<'a> {
    /// Where in the message its value stands.
    pub(super) component: usize,
    pub(super) parameter: usize,
    pub(super) name: String,
    /// `None` for a value that no variable can hold.
    pub(super) value: Option<&'a str>,
}

/// A Content template has one set of variables for all of its parts: those without a name are numbered through, in the
/// order in which they are given.
pub(super) fn variables(template: &Template) -> Vec<Variable<'_>> {
    let mut variables = Vec::new();
    for (n, component) in template.components.iter().enumerate() {
        for (m, parameter) in component.parameters.iter().enumerate() {
            let name = parameter.name().map_or_else(|| (variables.len() + 1).to_string(), str::to_owned);
            variables.push(Variable { component: n, parameter: m, name, value: value(parameter) });
        }
    }
    variables
}

fn value(parameter: &Parameter) -> Option<&str> {
    match parameter {
        Parameter::Text { text, .. } => Some(text),
        Parameter::Currency { currency, .. } => Some(&currency.fallback_value),
        Parameter::DateTime { date_time, .. } => Some(&date_time.fallback_value),
        Parameter::Image { image: media }
        | Parameter::Video { video: media }
        | Parameter::Document { document: media } => media.link.as_deref(),
        Parameter::Payload { payload } => Some(payload),
        Parameter::CouponCode { coupon_code } => Some(coupon_code),
        Parameter::Location { .. } | Parameter::Action { .. } | Parameter::LimitedTimeOffer { .. } => None,
    }
}

/// What the answer to [`form`] means. A success without a readable id proves nothing: the outcome is unknown.
///
/// # Errors
/// The failure, classified.
pub fn outcome(answer: &Answer) -> Result<Sent, SendFailure> {
    if !answer.is_success() || errors::error_document(&answer.body).is_some() {
        return Err(errors::classify(answer.status, &answer.body, answer.retry_after()));
    }
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let Some(sent) = sent(&document) else {
        let title = "the provider's answer names no message: it may have been taken";
        return Err(
            SendFailure::new(ErrorClass::Unknown, title).with_detail(format!("HTTP {}", answer.status))
        );
    };
    match refused(&document) {
        Some(failure) => Err(failure),
        None => Ok(sent),
    }
}

/// The message that a document of Twilio's describes.
pub(super) fn sent(document: &Value) -> Option<Sent> {
    let text = |name: &str| document.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(Sent {
        provider_id: ProviderMessageId(text("sid")?.into()),
        alias: None,
        status: text("status").map(str::to_owned),
    })
}

/// A message that was made and failed at once: nobody reports the state that it was made in.
fn refused(document: &Value) -> Option<SendFailure> {
    let has_failed = matches!(document.get("status")?.as_str()?, "failed" | "undelivered");
    let code = document.get("error_code").and_then(Value::as_u64).filter(|_| has_failed)?;
    Some(errors::failed(&code.to_string(), document.get("error_message").and_then(Value::as_str)))
}

#[cfg(test)]
pub(super) mod tests;
