//! Judges a request to `/messages`: the envelope and every type but `interactive` and `template`.
//!
//! The limits are those of Meta's pages; where Meta only *says* a limit and the clients don't rely on it, it is still
//! enforced here, so that an engine which passes the simulator passes Meta too.

use serde_json::Value;

use super::errors::GraphError;
use super::field::Field;
use super::{interactive, template};

pub(super) type Checked<T> = Result<T, GraphError>;

/// A valid request.
#[derive(Debug)]
pub(super) enum Request<'v> {
    /// A message to send.
    Send(Outgoing<'v>),
    /// A message is marked as read, perhaps with a typing indicator.
    MarkRead,
}

/// A valid message.
#[derive(Debug)]
pub(super) struct Outgoing<'v> {
    pub(super) to: To<'v>,
    pub(super) kind: &'static str,
    pub(super) tag: Option<&'v str>,
    pub(super) template: Option<template::Named<'v>>,
    /// The id of uploaded media that the message carries.
    pub(super) media: Option<&'v str>,
    /// A voice note: it can be `played`.
    pub(super) voice: bool,
}

/// Who gets the message.
#[derive(Debug)]
pub(super) enum To<'v> {
    /// A phone number: as given, and as digits with the country code.
    Phone { input: &'v str, digits: String },
    /// A business-scoped user id.
    User(&'v str),
    /// A group.
    Group(&'v str),
}

impl To<'_> {
    /// As written in the request.
    pub(super) const fn input(&self) -> &str {
        match self {
            To::Phone { input, .. } => input,
            To::User(id) | To::Group(id) => id,
        }
    }

    /// The identity that is reached: digits, user id or group id.
    pub(super) fn reached(&self) -> &str {
        match self {
            To::Phone { digits, .. } => digits,
            To::User(id) | To::Group(id) => id,
        }
    }
}

/// Judges `body`; a number without a plus gets `country_code` in front, as Meta does.
pub(super) fn request<'v>(body: &'v Value, country_code: &str) -> Checked<Request<'v>> {
    let root = Field::root(body);
    if !body.is_object() || !root.has("messaging_product") {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    root.choice("messaging_product", &["whatsapp"])?;
    if root.has("status") { mark_read(&root) } else { outgoing(&root, country_code).map(Request::Send) }
}

fn mark_read<'v>(root: &Field<'v, '_>) -> Checked<Request<'v>> {
    root.choice("status", &["read"])?;
    wamid(root, "message_id")?;
    if let Some(typing) = root.get("typing_indicator") {
        typing.choice("type", &["text"])?;
    }
    Ok(Request::MarkRead)
}

fn outgoing<'v>(root: &Field<'v, '_>, country_code: &str) -> Checked<Outgoing<'v>> {
    let to = recipient(root, country_code)?;
    let tag = root.text_if_any("biz_opaque_callback_data", 512)?;
    if let Some(context) = root.get("context") {
        wamid(&context, "message_id")?;
    }
    let mut message = Outgoing { to, kind: "text", tag, template: None, media: None, voice: false };
    match root.text_if_any("type", 64)?.unwrap_or("text") {
        "text" => text(root)?,
        "image" => (message.kind, message.media) = ("image", media(root, "image", Extras::CAPTION)?),
        "video" => (message.kind, message.media) = ("video", media(root, "video", Extras::CAPTION)?),
        "document" => (message.kind, message.media) = ("document", media(root, "document", Extras::ALL)?),
        "sticker" => (message.kind, message.media) = ("sticker", media(root, "sticker", Extras::NONE)?),
        "audio" => {
            (message.kind, message.media) = ("audio", media(root, "audio", Extras::NONE)?);
            message.voice = root.object("audio")?.flag("voice")?;
        }
        "location" => message.kind = location(root)?,
        "contacts" => message.kind = contacts(root)?,
        "reaction" => message.kind = reaction(root)?,
        "interactive" => message.kind = interactive::check(root)?,
        "template" => {
            message.kind = "template";
            message.template = Some(template::check(root)?);
        }
        other => {
            return Err(GraphError::with_details(
                131_051,
                format!("Message type \"{other}\" is not supported."),
            ));
        }
    }
    Ok(message)
}

/// `to` (wins) or `recipient`.
fn recipient<'v>(root: &Field<'v, '_>, country_code: &str) -> Checked<To<'v>> {
    let group =
        root.has("recipient_type") && root.choice("recipient_type", &["individual", "group"])? == "group";
    if !root.has("to") && root.has("recipient") {
        return user_id(root.text("recipient", 160)?);
    }
    let input = root.text("to", 160)?;
    if group {
        return Ok(To::Group(input));
    }
    let digits: String = input.chars().filter(char::is_ascii_digit).collect();
    let allowed = |c: char| c.is_ascii_digit() || "+ -()".contains(c);
    if !input.chars().all(allowed) || !(7..=15).contains(&digits.len()) || digits.starts_with('0') {
        return Err(GraphError::value("Phone number is not valid"));
    }
    let digits = if input.trim_start().starts_with('+') { digits } else { format!("{country_code}{digits}") };
    Ok(To::Phone { input, digits })
}

/// A BSUID: a country code, a dot, and up to 128 letters and digits, perhaps with `ENT.` between.
fn user_id(id: &str) -> Checked<To<'_>> {
    let valid = id.split_once('.').is_some_and(|(country, rest)| {
        let rest = rest.strip_prefix("ENT.").unwrap_or(rest);
        country.len() == 2
            && country.bytes().all(|c| c.is_ascii_uppercase())
            && (1..=128).contains(&rest.len())
            && rest.bytes().all(|c| c.is_ascii_alphanumeric())
    });
    if valid { Ok(To::User(id)) } else { Err(GraphError::value("Param recipient is not a valid user ID")) }
}

fn wamid<'v>(field: &Field<'v, '_>, key: &str) -> Checked<&'v str> {
    let id = field.text(key, 512)?;
    if id.starts_with("wamid.") {
        return Ok(id);
    }
    Err(GraphError::parameter("Invalid message ID: it does not begin with 'wamid.'."))
}

fn text(root: &Field<'_, '_>) -> Checked<()> {
    let text = root.object("text")?;
    text.text("body", 4096)?;
    text.flag("preview_url")?;
    Ok(())
}

/// What a kind of media may carry beside itself.
#[derive(Clone, Copy)]
pub(super) struct Extras {
    caption: bool,
    filename: bool,
}

impl Extras {
    pub(super) const NONE: Extras = Extras { caption: false, filename: false };
    pub(super) const CAPTION: Extras = Extras { caption: true, filename: false };
    pub(super) const ALL: Extras = Extras { caption: true, filename: true };
    /// A document in a header has a name and no caption.
    pub(super) const FILENAME: Extras = Extras { caption: false, filename: true };
}

/// A media object, by `id` (answered) or `link`.
pub(super) fn media<'v>(holder: &Field<'v, '_>, key: &str, extras: Extras) -> Checked<Option<&'v str>> {
    let media = holder.object(key)?;
    if extras.caption {
        media.text_if_any("caption", 1024)?;
    } else {
        media.without("caption")?;
    }
    if extras.filename {
        media.text_if_any("filename", 240)?;
    } else {
        media.without("filename")?;
    }
    if media.has("id") && media.has("link") {
        return Err(GraphError::parameter(format!(
            "Param {} must have either an id or a link.",
            media.path()
        )));
    }
    if media.has("link") {
        media.link("link")?;
        return Ok(None);
    }
    if !media.has("id") {
        return Err(GraphError::missing(&format!("{}['id'] or {0}['link']", media.path())));
    }
    let id = media.text("id", 64)?;
    if id.bytes().all(|c| c.is_ascii_digit()) {
        return Ok(Some(id));
    }
    Err(not_media(&media.path()))
}

/// 100: `path` names no uploaded media.
pub(super) fn not_media(path: &str) -> GraphError {
    GraphError::parameter(format!(
        "Param {path}['id'] is not a valid whatsapp business account media attachment ID"
    ))
}

fn location(root: &Field<'_, '_>) -> Checked<&'static str> {
    let location = root.object("location")?;
    location.number("latitude", -90.0, 90.0)?;
    location.number("longitude", -180.0, 180.0)?;
    location.text_if_any("name", 1000)?;
    location.text_if_any("address", 1000)?;
    Ok("location")
}

fn contacts(root: &Field<'_, '_>) -> Checked<&'static str> {
    for contact in root.array("contacts", 1, 5)?.items() {
        let name = contact.object("name")?;
        name.text("formatted_name", 1024)?;
        let parts = ["first_name", "last_name", "middle_name", "prefix", "suffix"];
        if !parts.into_iter().any(|part| name.has(part)) {
            let details =
                format!("Param {} must have formatted_name and at least one more part.", name.path());
            return Err(GraphError::parameter(details));
        }
        for (list, member) in [("phones", "phone"), ("emails", "email"), ("urls", "url")] {
            if contact.has(list) {
                contact.array(list, 0, 20)?.items().try_for_each(|item| item.text(member, 2048).map(drop))?;
            }
        }
        if let Some(birthday) = contact.text_if_any("birthday", 10)? {
            date(birthday).ok_or_else(|| {
                GraphError::value(format!("Param {}['birthday'] must be YYYY-MM-DD", contact.path()))
            })?;
        }
    }
    Ok("contacts")
}

fn date(text: &str) -> Option<()> {
    let mut parts = text.splitn(3, '-');
    let mut number = |length: usize| parts.next().filter(|part| part.len() == length)?.parse::<u16>().ok();
    let (_, month, day) = (number(4)?, number(2)?, number(2)?);
    ((1..=12).contains(&month) && (1..=31).contains(&day)).then_some(())
}

fn reaction(root: &Field<'_, '_>) -> Checked<&'static str> {
    let reaction = root.object("reaction")?;
    wamid(&reaction, "message_id")?;
    reaction.need("emoji")?.as_text(32)?;
    if root.has("context") {
        return Err(GraphError::parameter("Param context is not supported for reaction messages."));
    }
    Ok("reaction")
}
