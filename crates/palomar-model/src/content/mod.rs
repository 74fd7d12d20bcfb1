//! What a message says.
//!
//! In JSON a content is `{"type": "text", "content": {"text": "Hola!"}}`, both keys beside those of the message. The
//! shape is ours, in camelCase; what each provider makes of it is in `palomar-channels`. [`Content::validate_common`]
//! holds what is true at every provider, the tighter limits of one are its own.

mod contacts;
mod interactive;
mod media;
mod template;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::field::Checks;
use crate::{FieldError, ProviderMessageId};

pub use contacts::{
    ContactAddress, ContactCard, ContactEmail, ContactName, ContactOrg, ContactPhone, ContactUrl, Contacts,
};
pub use interactive::{
    Button, ButtonAction, CtaUrlAction, FlowAction, FlowMode, Header, Interactive, InteractiveAction,
    ListAction, Row, Section, Words,
};
pub use media::{Media, MediaSource};
pub use template::{Component, ComponentKind, Currency, DateTime, Parameter, Template};

/// What a message says, of one type.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "content", rename_all = "snake_case")]
pub enum Content {
    /// Words.
    Text(Text),
    /// A picture.
    Image(Media),
    /// A film.
    Video(Media),
    /// Sound; a voice note where `voice` is set.
    Audio(Media),
    /// A file.
    Document(Media),
    /// A sticker.
    Sticker(Media),
    /// A place.
    Location(Location),
    /// Address cards.
    Contacts(Contacts),
    /// Buttons, lists, links, flows.
    Interactive(Box<Interactive>),
    /// A message that the provider approved beforehand.
    Template(Box<Template>),
    /// An emoji put to an earlier message.
    Reaction(Reaction),
    /// A question with answers to choose from.
    Poll(Poll),
}

/// The types of content, without what they hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
#[expect(missing_docs, reason = "named as the variants of `Content`, which say it")]
pub enum ContentKind {
    Text,
    Image,
    Video,
    Audio,
    Document,
    Sticker,
    Location,
    Contacts,
    Interactive,
    Template,
    Reaction,
    Poll,
}

/// Words.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Text {
    /// The words; `body` is read too.
    #[serde(alias = "body")]
    pub text: String,
    /// Whether the receiving phone shows a preview of the first link.
    #[serde(default, alias = "preview_url", skip_serializing_if = "std::ops::Not::not")]
    pub preview_url: bool,
}

/// A place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Location {
    /// Degrees north, -90 to 90.
    pub latitude: f64,
    /// Degrees east, -180 to 180.
    pub longitude: f64,
    /// What the place is called.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its address in one line.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub address: Option<String>,
}

/// An emoji put to an earlier message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Reaction {
    /// The message that is reacted to, by the provider's id.
    #[serde(alias = "message_id")]
    pub message_id: ProviderMessageId,
    /// The emoji; empty takes an earlier reaction back.
    #[serde(default)]
    pub emoji: String,
}

/// A question with answers to choose from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct Poll {
    /// The question; `name` is read too.
    #[serde(alias = "name")]
    pub question: String,
    /// The answers, 2 to 12, no two alike.
    pub options: Vec<String>,
    /// How many may be chosen; 0 for any number.
    #[serde(default = "one")]
    pub selectable_count: u8,
}

const fn one() -> u8 {
    1
}

impl ContentKind {
    /// All types.
    pub const ALL: [ContentKind; 12] = [
        ContentKind::Text,
        ContentKind::Image,
        ContentKind::Video,
        ContentKind::Audio,
        ContentKind::Document,
        ContentKind::Sticker,
        ContentKind::Location,
        ContentKind::Contacts,
        ContentKind::Interactive,
        ContentKind::Template,
        ContentKind::Reaction,
        ContentKind::Poll,
    ];

    /// The word for it, as in the JSON key `type`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            ContentKind::Text => "text",
            ContentKind::Image => "image",
            ContentKind::Video => "video",
            ContentKind::Audio => "audio",
            ContentKind::Document => "document",
            ContentKind::Sticker => "sticker",
            ContentKind::Location => "location",
            ContentKind::Contacts => "contacts",
            ContentKind::Interactive => "interactive",
            ContentKind::Template => "template",
            ContentKind::Reaction => "reaction",
            ContentKind::Poll => "poll",
        }
    }
}

impl fmt::Display for ContentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Content {
    /// Plain words without a link preview.
    pub fn text(text: impl Into<String>) -> Content {
        Content::Text(Text { text: text.into(), preview_url: false })
    }

    /// Reads the two keys of a message that make its content, with errors that say where.
    ///
    /// # Errors
    /// An error at `/type` for an unknown type, at `/content` for a content that does not have the type's shape.
    pub fn from_parts(kind: &str, content: Value) -> Result<Content, FieldError> {
        if !ContentKind::ALL.iter().any(|known| known.as_str() == kind) {
            let known: Vec<_> = ContentKind::ALL.iter().map(|kind| kind.as_str()).collect();
            return Err(FieldError::new(
                "/type",
                format!("unknown type (expected one of {})", known.join(", ")),
            ));
        }
        let whole = Value::from_iter([("type", Value::from(kind)), ("content", content)]);
        serde_json::from_value(whole)
            .map_err(|error| FieldError::new("/content", without_values(&error.to_string())))
    }

    /// Its type.
    #[must_use]
    pub const fn kind(&self) -> ContentKind {
        match self {
            Content::Text(_) => ContentKind::Text,
            Content::Image(_) => ContentKind::Image,
            Content::Video(_) => ContentKind::Video,
            Content::Audio(_) => ContentKind::Audio,
            Content::Document(_) => ContentKind::Document,
            Content::Sticker(_) => ContentKind::Sticker,
            Content::Location(_) => ContentKind::Location,
            Content::Contacts(_) => ContentKind::Contacts,
            Content::Interactive(_) => ContentKind::Interactive,
            Content::Template(_) => ContentKind::Template,
            Content::Reaction(_) => ContentKind::Reaction,
            Content::Poll(_) => ContentKind::Poll,
        }
    }

    /// The media it carries as its whole, with image, video, audio, document and sticker.
    #[must_use]
    pub const fn media(&self) -> Option<&Media> {
        match self {
            Content::Image(media)
            | Content::Video(media)
            | Content::Audio(media)
            | Content::Document(media)
            | Content::Sticker(media) => Some(media),
            _ => None,
        }
    }

    /// The words of it that a person would read first: body, caption, question.
    #[must_use]
    pub fn summary(&self) -> Option<&str> {
        match self {
            Content::Text(text) => Some(&text.text),
            Content::Interactive(interactive) => interactive.body.as_ref().map(|body| body.text.as_str()),
            Content::Template(template) => Some(&template.name),
            Content::Reaction(reaction) => Some(&reaction.emoji),
            Content::Poll(poll) => Some(&poll.question),
            Content::Location(location) => location.name.as_deref(),
            Content::Contacts(contacts) => {
                contacts.contacts.first().map(|card| card.name.formatted_name.as_str())
            }
            _ => self.media().and_then(|media| media.caption.as_deref()),
        }
    }

    /// What is wrong with it whatever the provider. Pointers are those of the message (`/content/…`).
    #[must_use]
    pub fn validate_common(&self) -> Vec<FieldError> {
        let mut checks = Checks::new();
        match self {
            Content::Text(text) => {
                checks.require(!text.text.trim().is_empty(), "/content/text", "must not be empty");
                checks.require(
                    !text.text.contains('\0'),
                    "/content/text",
                    "must not contain the character NUL",
                );
            }
            Content::Location(location) => location.check(&mut checks, "/content"),
            Content::Contacts(contacts) => contacts.check(&mut checks),
            Content::Interactive(interactive) => interactive.check(&mut checks),
            Content::Template(template) => template.check(&mut checks, "/content"),
            Content::Reaction(reaction) => {
                checks.require(!reaction.message_id.0.is_empty(), "/content/messageId", "must not be empty");
            }
            Content::Poll(poll) => poll.check(&mut checks),
            Content::Image(media)
            | Content::Video(media)
            | Content::Audio(media)
            | Content::Document(media)
            | Content::Sticker(media) => media.check(self.kind(), &mut checks, "/content"),
        }
        checks.into_errors()
    }
}

/// A parser's message with the values cut out that it quotes; names of fields, in backticks, stay.
fn without_values(message: &str) -> String {
    match (message.find('"'), message.rfind('"')) {
        (Some(first), Some(last)) if first < last => {
            let (before, after) = (message.get(..first), message.get(last + 1..));
            format!("{}…{}", before.unwrap_or_default(), after.unwrap_or_default())
        }
        _ => message.to_owned(),
    }
}

impl Location {
    pub(crate) fn check(&self, checks: &mut Checks, at: &str) {
        checks.require(self.latitude.abs() <= 90.0, format!("{at}/latitude"), "must be between -90 and 90");
        checks.require(
            self.longitude.abs() <= 180.0,
            format!("{at}/longitude"),
            "must be between -180 and 180",
        );
    }
}

impl Poll {
    fn check(&self, checks: &mut Checks) {
        let at = "/content/options";
        checks.text(&self.question, 255, "/content/question");
        checks.require((2..=12).contains(&self.options.len()), at, "must be 2 to 12");
        for (n, option) in self.options.iter().enumerate() {
            checks.text(option, 100, format!("{at}/{n}"));
            let repeated = self.options.iter().take(n).any(|earlier| earlier == option);
            checks.require(!repeated, format!("{at}/{n}"), "must differ from the others");
        }
        let selectable = usize::from(self.selectable_count) <= self.options.len();
        checks.require(selectable, "/content/selectableCount", "must not be more than there are options");
    }
}

/// Shows the type only: contents are personal.
impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Content({})", self.kind())
    }
}

#[cfg(test)]
mod tests;
