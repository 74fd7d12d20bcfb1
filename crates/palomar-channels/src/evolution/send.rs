//! Message → the call that Evolution takes, and its answer → what became of it. No I/O.

use palomar_model::{
    ContactCard, Contacts, Content, ErrorClass, Header, Interactive, InteractiveAction, Location, Media,
    MediaSource, Outbound, Poll, ProviderMessageId, Recipient, SendFailure,
};
use serde_json::{Map, Value, json};

use super::{EvolutionConfig, Menus, errors, jid};
use crate::Sent;
use crate::http::Answer;

/// One call: `POST /message/<op>/<instance>` with a JSON body.
#[derive(Clone, Debug, PartialEq)]
pub struct Call {
    /// The operation: `sendText`, `sendMedia`, …
    pub op: &'static str,
    /// The body.
    pub body: Value,
}

/// The call that sends `message`. No tag travels: Evolution hands nothing back.
///
/// # Errors
/// A `Content` or `Recipient` failure for what this provider cannot carry.
pub fn call(message: &Outbound, config: &EvolutionConfig) -> Result<Call, SendFailure> {
    let Recipient::Phone(phone) = &message.to else {
        return Err(SendFailure::new(ErrorClass::Recipient, "Evolution reaches phone numbers only"));
    };
    if let Content::Reaction(reaction) = &message.content {
        // Whose message it was is not known: people react to what the other wrote.
        let key = json!({"remoteJid": jid::of_phone(phone), "fromMe": false, "id": reaction.message_id});
        return Ok(Call { op: "sendReaction", body: json!({"key": key, "reaction": reaction.emoji}) });
    }
    let (op, mut body) = content(&message.content, config.interactive).ok_or_else(|| {
        let kind = message.content.kind();
        SendFailure::new(ErrorClass::Content, format!("Evolution cannot send this {kind}"))
    })?;
    body.insert("number".to_owned(), phone.digits().into());
    if config.typing_ms > 0 {
        body.insert("delay".to_owned(), config.typing_ms.into());
    }
    if let Some(reply_to) = &message.reply_to {
        body.insert("quoted".to_owned(), json!({"key": {"id": reply_to}}));
    }
    Ok(Call { op, body: Value::Object(body) })
}

type Body = Map<String, Value>;

fn content(content: &Content, menus: Menus) -> Option<(&'static str, Body)> {
    Some(match content {
        Content::Text(text) => ("sendText", text_body(&text.text, text.preview_url)),
        Content::Image(file) => ("sendMedia", media("image", file)?),
        Content::Video(file) => ("sendMedia", media("video", file)?),
        Content::Document(file) => ("sendMedia", media("document", file)?),
        Content::Audio(file) if file.voice => ("sendWhatsAppAudio", present([("audio", link(file))])),
        Content::Audio(file) => ("sendMedia", media("audio", file)?),
        Content::Sticker(file) => ("sendSticker", present([("sticker", link(file))])),
        Content::Location(place) => ("sendLocation", location(place)),
        Content::Contacts(cards) => ("sendContact", contacts(cards)),
        Content::Poll(poll) => ("sendPoll", poll_body(poll)),
        Content::Interactive(message) if menus == Menus::Text => {
            ("sendText", text_body(&as_text(message)?, false))
        }
        Content::Interactive(message) => interactive(message)?,
        Content::Template(_) | Content::Reaction(_) => return None,
    })
}

/// An object of those pairs that have a value.
fn present<const N: usize>(pairs: [(&str, Option<Value>); N]) -> Body {
    pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?))).collect()
}

fn text(value: Option<&str>) -> Option<Value> {
    value.map(Value::from)
}

fn text_body(words: &str, preview: bool) -> Body {
    present([("text", Some(words.into())), ("linkPreview", Some(preview.into()))])
}

fn link(media: &Media) -> Option<Value> {
    match media.source()? {
        MediaSource::Link(link) => Some(link.into()),
        MediaSource::Id(_) => None,
    }
}

/// Evolution guesses type and name of a file by its address; where the address says them, so do we.
fn media(kind: &str, file: &Media) -> Option<Body> {
    let link = link(file)?;
    let named = file.filename.as_deref().or_else(|| name_in(link.as_str()?));
    let mime = named.and_then(mime_of);
    Some(present([
        ("mediatype", Some(kind.into())),
        ("mimetype", text(mime)),
        ("media", Some(link.clone())),
        ("caption", text(file.caption.as_deref())),
        ("fileName", text(named)),
    ]))
}

/// The last part of an address's path, where it looks like the name of a file.
fn name_in(link: &str) -> Option<&str> {
    let (_, rest) = link.split_once("://")?;
    let (_, path) = rest.split(['?', '#']).next()?.split_once('/')?;
    let name = path.rsplit('/').next()?;
    (name.contains('.') && !name.contains('%')).then_some(name)
}

/// Type by the end of a name.
const TYPES: [(&str, &str); 18] = [
    ("jpg", "image/jpeg"),
    ("jpeg", "image/jpeg"),
    ("png", "image/png"),
    ("webp", "image/webp"),
    ("gif", "image/gif"),
    ("mp4", "video/mp4"),
    ("3gp", "video/3gpp"),
    ("mp3", "audio/mpeg"),
    ("m4a", "audio/mp4"),
    ("aac", "audio/aac"),
    ("ogg", "audio/ogg"),
    ("pdf", "application/pdf"),
    ("txt", "text/plain"),
    ("csv", "text/csv"),
    ("zip", "application/zip"),
    ("docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
    ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ("pptx", "application/vnd.openxmlformats-officedocument.presentationml.presentation"),
];

fn mime_of(name: &str) -> Option<&'static str> {
    let (_, end) = name.rsplit_once('.')?;
    TYPES.iter().find(|(known, _)| known.eq_ignore_ascii_case(end)).map(|(_, mime)| *mime)
}

fn location(place: &Location) -> Body {
    present([
        ("latitude", Some(place.latitude.into())),
        ("longitude", Some(place.longitude.into())),
        ("name", text(place.name.as_deref())),
        ("address", text(place.address.as_deref())),
    ])
}

fn contacts(cards: &Contacts) -> Body {
    present([("contact", Some(cards.contacts.iter().map(card).collect()))])
}

fn card(card: &ContactCard) -> Value {
    let phone = card.phones.first();
    Value::Object(present([
        ("fullName", Some(card.name.formatted_name.as_str().into())),
        ("wuid", text(phone.and_then(|phone| phone.wa_id.as_deref()))),
        ("phoneNumber", text(phone.map(|phone| phone.phone.as_str()))),
        ("organization", text(card.org.as_ref().and_then(|org| org.company.as_deref()))),
        ("email", text(card.emails.first().map(|email| email.email.as_str()))),
        ("url", text(card.urls.first().map(|url| url.url.as_str()))),
    ]))
}

fn poll_body(poll: &Poll) -> Body {
    present([
        ("name", Some(poll.question.as_str().into())),
        ("selectableCount", Some(poll.selectable_count.into())),
        ("values", Some(poll.options.clone().into())),
    ])
}

/// What Evolution shows above and what below it: it cannot do without the former.
fn title_and_description(message: &Interactive) -> (Option<Value>, Option<Value>) {
    let body = message.body.as_ref().map(|body| Value::from(body.text.as_str()));
    match &message.header {
        Some(Header::Text { text }) => (Some(text.as_str().into()), body),
        _ => (body, None),
    }
}

fn interactive(message: &Interactive) -> Option<(&'static str, Body)> {
    let (title, description) = title_and_description(message);
    let footer = text(message.footer.as_ref().map(|footer| footer.text.as_str()));
    let buttons: Vec<Value> = match &message.action {
        InteractiveAction::List(action) => {
            let rows = |rows: &[palomar_model::Row]| -> Value {
                let row = |row: &palomar_model::Row| {
                    Value::Object(present([
                        ("title", Some(row.title.as_str().into())),
                        ("description", text(row.description.as_deref())),
                        ("rowId", Some(row.id.as_str().into())),
                    ]))
                };
                rows.iter().map(row).collect()
            };
            let sections = action.sections.iter();
            let sections =
                sections.map(|section| json!({"title": section.title, "rows": rows(&section.rows)}));
            let body = present([
                ("title", title),
                ("description", description),
                ("footerText", footer),
                ("buttonText", Some(action.button.as_str().into())),
                ("sections", Some(sections.collect())),
            ]);
            return Some(("sendList", body));
        }
        InteractiveAction::Button(action) => {
            let reply = |button: &palomar_model::Button| json!({"type": "reply", "displayText": button.title, "id": button.id});
            action.buttons.iter().map(reply).collect()
        }
        InteractiveAction::CtaUrl(action) => {
            vec![json!({"type": "url", "displayText": action.display_text, "url": action.url})]
        }
        _ => return None,
    };
    let thumbnail = match &message.header {
        Some(Header::Image { image }) => link(image),
        _ => None,
    };
    let body = present([
        ("title", title),
        ("description", description),
        ("footer", footer),
        ("thumbnailUrl", thumbnail),
        ("buttons", Some(buttons.into())),
    ]);
    Some(("sendButtons", body))
}

/// Buttons and lists in words, for phones that do not show them: what can be chosen, numbered.
fn as_text(message: &Interactive) -> Option<String> {
    let mut parts = Vec::new();
    if let Some(Header::Text { text }) = &message.header {
        parts.push(format!("*{text}*"));
    }
    parts.extend(message.body.as_ref().map(|body| body.text.clone()));
    match &message.action {
        InteractiveAction::Button(action) => {
            let choices = action.buttons.iter().zip(1..);
            parts.push(lines(choices.map(|(button, n)| format!("{n}. {}", button.title))));
        }
        InteractiveAction::List(action) => {
            let mut numbers = 1..;
            for section in &action.sections {
                let heading = section.title.iter().map(|title| format!("*{title}*"));
                let rows = section.rows.iter().zip(&mut numbers).map(|(row, n)| match &row.description {
                    Some(more) => format!("{n}. {} ({more})", row.title),
                    None => format!("{n}. {}", row.title),
                });
                parts.push(lines(heading.chain(rows)));
            }
        }
        InteractiveAction::CtaUrl(action) => parts.push(format!("{}: {}", action.display_text, action.url)),
        _ => return None,
    }
    parts.extend(message.footer.as_ref().map(|footer| format!("_{}_", footer.text)));
    Some(parts.join("\n\n"))
}

fn lines(lines: impl Iterator<Item = String>) -> String {
    lines.collect::<Vec<_>>().join("\n")
}

/// What the answer to a [`Call`] means. A success without a readable id proves nothing: the outcome is unknown.
///
/// # Errors
/// The failure, classified.
pub fn outcome(answer: &Answer) -> Result<Sent, SendFailure> {
    if !answer.is_success() {
        return Err(errors::classify(answer.status, &answer.body, answer.retry_after()));
    }
    let document: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    sent(&document).ok_or_else(|| {
        let title = "Evolution's answer names no message: it may have been taken";
        SendFailure::new(ErrorClass::Unknown, title).with_detail(format!("HTTP {}", answer.status))
    })
}

/// A message as Evolution describes one that it sent.
pub(super) fn sent(message: &Value) -> Option<Sent> {
    let text =
        |pointer: &str| message.pointer(pointer).and_then(Value::as_str).filter(|text| !text.is_empty());
    Some(Sent {
        provider_id: ProviderMessageId(text("/key/id")?.into()),
        alias: text("/key/remoteJid").map(|jid| jid::account(jid).to_owned()),
        status: text("/status").map(str::to_owned),
    })
}

#[cfg(test)]
pub(super) mod tests;
