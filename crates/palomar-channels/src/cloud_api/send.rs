//! Message → the JSON that the Graph API takes, and its answer → what became of it. No I/O.

use palomar_model::{
    Component, ComponentKind, Contacts, Content, ErrorClass, FlowAction, Header, Interactive,
    InteractiveAction, Location, Media, MediaSource, Outbound, Parameter, ProviderMessageId, Recipient,
    SendFailure, Tag, Template,
};
use serde_json::{Map, Value, json};

use super::errors;
use crate::Sent;
use crate::http::Answer;

/// The body that sends `message`. The tag travels as `biz_opaque_callback_data` and comes back in its statuses.
///
/// # Errors
/// A `Content` failure for what this provider does not have (a poll).
pub fn body(message: &Outbound, tag: Tag) -> Result<Value, SendFailure> {
    let mut body = envelope(&message.to, &message.content)?;
    if let (Some(reply_to), false) = (&message.reply_to, matches!(message.content, Content::Reaction(_))) {
        body.insert("context".to_owned(), json!({"message_id": reply_to}));
    }
    body.insert("biz_opaque_callback_data".to_owned(), tag.to_string().into());
    Ok(Value::Object(body))
}

/// Recipient and content, without what ties them to a message of ours.
fn envelope(to: &Recipient, content: &Content) -> Result<Map<String, Value>, SendFailure> {
    let kind = content.kind().as_str();
    let object = object(content).ok_or_else(|| {
        SendFailure::new(ErrorClass::Content, format!("the Cloud API cannot send a {kind}"))
    })?;
    let mut body = Map::new();
    body.insert("messaging_product".to_owned(), "whatsapp".into());
    body.insert("recipient_type".to_owned(), "individual".into());
    // Without the plus Meta would prepend the country code of the business, and reach a stranger.
    let (key, value) = match to {
        Recipient::Phone(phone) => ("to", phone.e164()),
        Recipient::Bsuid(bsuid) => ("recipient", bsuid.expose()),
    };
    body.insert(key.to_owned(), value.into());
    body.insert("type".to_owned(), kind.into());
    body.insert(kind.to_owned(), object);
    Ok(body)
}

/// The body that marks a message, and all before it, as read; with `typing`, shows that an answer is being written.
#[must_use]
pub fn mark_as_read(message: &ProviderMessageId, typing: bool) -> Value {
    let mut body = json!({"messaging_product": "whatsapp", "status": "read", "message_id": message});
    if let (true, Some(body)) = (typing, body.as_object_mut()) {
        body.insert("typing_indicator".to_owned(), json!({"type": "text"}));
    }
    body
}

fn object(content: &Content) -> Option<Value> {
    Some(match content {
        Content::Text(text) => json!({"body": text.text, "preview_url": text.preview_url}),
        Content::Image(m)
        | Content::Video(m)
        | Content::Audio(m)
        | Content::Document(m)
        | Content::Sticker(m) => media(m),
        Content::Location(place) => location(place),
        Content::Contacts(cards) => contacts(cards),
        Content::Interactive(message) => interactive(message),
        Content::Template(approved) => template(approved),
        Content::Reaction(reaction) => json!({"message_id": reaction.message_id, "emoji": reaction.emoji}),
        Content::Poll(_) => return None,
    })
}

/// An object of those pairs that have a value.
fn present<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Value {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn text(value: Option<&String>) -> Option<Value> {
    value.map(|text| text.as_str().into())
}

fn media(media: &Media) -> Value {
    let (key, source) = match media.source() {
        Some(MediaSource::Id(id)) => ("id", Some(id.into())),
        Some(MediaSource::Link(link)) => ("link", Some(link.into())),
        None => ("id", None),
    };
    present([
        (key, source),
        ("caption", text(media.caption.as_ref())),
        ("filename", text(media.filename.as_ref())),
        ("voice", media.voice.then_some(Value::Bool(true))),
    ])
}

fn location(place: &Location) -> Value {
    present([
        ("latitude", Some(place.latitude.into())),
        ("longitude", Some(place.longitude.into())),
        ("name", text(place.name.as_ref())),
        ("address", text(place.address.as_ref())),
    ])
}

/// Meta's cards are ours in snake_case; all keys in them are ours, so renaming touches no data.
fn contacts(cards: &Contacts) -> Value {
    snake_case(serde_json::to_value(&cards.contacts).unwrap_or_default())
}

fn snake_case(value: Value) -> Value {
    match value {
        Value::Array(items) => items.into_iter().map(snake_case).collect(),
        Value::Object(map) => {
            map.into_iter().map(|(key, value)| (snake_key(&key), snake_case(value))).collect()
        }
        other => other,
    }
}

fn snake_key(key: &str) -> String {
    let mut snake = String::with_capacity(key.len() + 4);
    for c in key.chars() {
        if c.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(c.to_ascii_lowercase());
    }
    snake
}

fn interactive(message: &Interactive) -> Value {
    let words = |words: &palomar_model::Words| json!({"text": words.text});
    present([
        ("type", Some(message.action.as_str().into())),
        ("header", message.header.as_ref().map(header)),
        ("body", message.body.as_ref().map(words)),
        ("footer", message.footer.as_ref().map(words)),
        ("action", Some(action(&message.action))),
    ])
}

fn header(header: &Header) -> Value {
    match header {
        Header::Text { text } => json!({"type": "text", "text": text}),
        Header::Image { image } => json!({"type": "image", "image": media(image)}),
        Header::Video { video } => json!({"type": "video", "video": media(video)}),
        Header::Document { document } => json!({"type": "document", "document": media(document)}),
    }
}

fn action(action: &InteractiveAction) -> Value {
    match action {
        InteractiveAction::Button(action) => {
            let buttons = action.buttons.iter().map(|button| json!({"type": "reply", "reply": button}));
            json!({"buttons": buttons.collect::<Value>()})
        }
        InteractiveAction::List(action) => json!({"button": action.button, "sections": action.sections}),
        InteractiveAction::CtaUrl(action) => {
            json!({"name": "cta_url", "parameters": {"display_text": action.display_text, "url": action.url}})
        }
        InteractiveAction::Flow(action) => json!({"name": "flow", "parameters": flow(action)}),
        InteractiveAction::LocationRequestMessage => json!({"name": "send_location"}),
        InteractiveAction::RequestContactInfo | InteractiveAction::CallPermissionRequest => {
            json!({"name": action.as_str()})
        }
        InteractiveAction::AddressMessage(action)
        | InteractiveAction::Product(action)
        | InteractiveAction::ProductList(action)
        | InteractiveAction::CatalogMessage(action)
        | InteractiveAction::OrderDetails(action)
        | InteractiveAction::OrderStatus(action) => Value::Object(action.clone()),
    }
}

fn flow(action: &FlowAction) -> Value {
    let version = action.flow_message_version.as_deref().unwrap_or("3");
    present([
        ("flow_message_version", Some(version.into())),
        ("flow_id", text(action.flow_id.as_ref())),
        ("flow_name", text(action.flow_name.as_ref())),
        ("flow_cta", Some(action.flow_cta.as_str().into())),
        ("flow_token", text(action.flow_token.as_ref())),
        ("mode", action.mode.map(|mode| json!(mode))),
        ("flow_action", text(action.flow_action.as_ref())),
        ("flow_action_payload", action.flow_action_payload.clone().map(Value::Object)),
    ])
}

fn template(template: &Template) -> Value {
    let components = template.components.iter().map(component).collect::<Vec<_>>();
    present([
        ("name", Some(template.name.as_str().into())),
        ("language", Some(json!({"code": template.language}))),
        ("components", (!components.is_empty()).then(|| components.into())),
    ])
}

fn component(component: &Component) -> Value {
    let kind = match component.kind {
        ComponentKind::Header => "header",
        ComponentKind::Body => "body",
        ComponentKind::Button => "button",
        ComponentKind::LimitedTimeOffer => "limited_time_offer",
    };
    let parameters = component.parameters.iter().map(parameter).collect::<Vec<_>>();
    present([
        ("type", Some(kind.into())),
        ("sub_type", text(component.sub_type.as_ref())),
        ("index", component.index.map(|index| index.to_string().into())),
        ("parameters", (!parameters.is_empty()).then(|| parameters.into())),
    ])
}

fn parameter(parameter: &Parameter) -> Value {
    let (kind, value) = match parameter {
        Parameter::Text { text, .. } => ("text", text.as_str().into()),
        Parameter::Currency { currency, .. } => {
            let (fallback, amount) = (&currency.fallback_value, currency.amount_1000);
            ("currency", json!({"fallback_value": fallback, "code": currency.code, "amount_1000": amount}))
        }
        Parameter::DateTime { date_time, .. } => {
            ("date_time", json!({"fallback_value": date_time.fallback_value}))
        }
        Parameter::Image { image } => ("image", media(image)),
        Parameter::Video { video } => ("video", media(video)),
        Parameter::Document { document } => ("document", media(document)),
        Parameter::Location { location: place } => ("location", location(place)),
        Parameter::Payload { payload } => ("payload", payload.as_str().into()),
        Parameter::Action { action } => ("action", action.clone()),
        Parameter::CouponCode { coupon_code } => ("coupon_code", coupon_code.as_str().into()),
        Parameter::LimitedTimeOffer { limited_time_offer } => {
            ("limited_time_offer", limited_time_offer.clone())
        }
    };
    present([
        ("type", Some(kind.into())),
        ("parameter_name", parameter.name().map(Value::from)),
        (kind, Some(value)),
    ])
}

/// What the answer to [`body`] means. A success without a readable id proves nothing: the outcome is unknown.
///
/// # Errors
/// The failure, classified.
pub fn outcome(answer: &Answer) -> Result<Sent, SendFailure> {
    if !answer.is_success() || errors::error_document(&answer.body).is_some() {
        let wait = answer.retry_after().or_else(|| super::usage_wait(&answer.headers));
        return Err(errors::classify(answer.status, &answer.body, wait));
    }
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    let text =
        |pointer: &str| document.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    let Some(id) = text("/messages/0/id") else {
        let title = "the provider's answer names no message: it may have been taken";
        return Err(
            SendFailure::new(ErrorClass::Unknown, title).with_detail(format!("HTTP {}", answer.status))
        );
    };
    Ok(Sent {
        provider_id: ProviderMessageId(id.into()),
        alias: text("/contacts/0/wa_id").map(str::to_owned),
        status: text("/messages/0/message_status").map(str::to_owned),
    })
}

#[cfg(test)]
mod tests;
