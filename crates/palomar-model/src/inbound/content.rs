//! What an inbound message says, of one type.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{
    CallPermission, Choice, FlowReply, InboundLocation, InboundMedia, InboundPoll, InboundWords, Order,
    Product, SharedContacts, SystemMessage, Unsupported,
};

/// What an inbound message says, of one type. In JSON its `type` stands beside its fields.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum InboundContent {
    /// Words.
    Text(InboundWords),
    /// A picture.
    Image(InboundMedia),
    /// A film.
    Video(InboundMedia),
    /// Sound; a voice note where `voice` is set.
    Audio(InboundMedia),
    /// A file.
    Document(InboundMedia),
    /// A sticker.
    Sticker(InboundMedia),
    /// A place.
    Location(InboundLocation),
    /// Address cards.
    Contacts(SharedContacts),
    /// The button tapped of a message with buttons.
    ButtonReply(Choice),
    /// The row chosen of a list.
    ListReply(Choice),
    /// The quick reply tapped of a template; its `id` is the payload.
    TemplateButton(Choice),
    /// A form filled in: a flow, an address.
    FlowReply(FlowReply),
    /// The answer to whether the business may call.
    CallPermission(CallPermission),
    /// Goods ordered from a catalogue.
    Order(Order),
    /// A product shown.
    Product(Product),
    /// A question with answers to choose from.
    Poll(InboundPoll),
    /// News of the person's account, told as a message.
    System(SystemMessage),
    /// The chat was opened for the first time; nothing was written.
    Welcome,
    /// The provider says that there is something, and does not hand it over.
    Unsupported(Unsupported),
    /// Nothing that the version which received it knows: see `raw`.
    #[default]
    #[serde(other)]
    Unknown,
}

impl InboundContent {
    /// The word for its type.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            InboundContent::Text(_) => "text",
            InboundContent::Image(_) => "image",
            InboundContent::Video(_) => "video",
            InboundContent::Audio(_) => "audio",
            InboundContent::Document(_) => "document",
            InboundContent::Sticker(_) => "sticker",
            InboundContent::Location(_) => "location",
            InboundContent::Contacts(_) => "contacts",
            InboundContent::ButtonReply(_) => "button_reply",
            InboundContent::ListReply(_) => "list_reply",
            InboundContent::TemplateButton(_) => "template_button",
            InboundContent::FlowReply(_) => "flow_reply",
            InboundContent::CallPermission(_) => "call_permission",
            InboundContent::Order(_) => "order",
            InboundContent::Product(_) => "product",
            InboundContent::Poll(_) => "poll",
            InboundContent::System(_) => "system",
            InboundContent::Welcome => "welcome",
            InboundContent::Unsupported(_) => "unsupported",
            InboundContent::Unknown => "unknown",
        }
    }

    /// Media of it.
    #[must_use]
    pub const fn media(&self) -> Option<&InboundMedia> {
        match self {
            InboundContent::Image(media)
            | InboundContent::Video(media)
            | InboundContent::Audio(media)
            | InboundContent::Document(media)
            | InboundContent::Sticker(media) => Some(media),
            InboundContent::Contacts(contacts) => contacts.file.as_ref(),
            _ => None,
        }
    }

    /// It in words: what was written, chosen or shared. A picture without a caption has none.
    #[must_use]
    pub fn text(&self) -> Option<String> {
        let text = match self {
            InboundContent::Text(words) => words.text.clone(),
            InboundContent::Location(location) => location.readable(),
            InboundContent::Contacts(contacts) => contacts.readable(),
            InboundContent::ButtonReply(choice)
            | InboundContent::ListReply(choice)
            | InboundContent::TemplateButton(choice) => choice.readable(),
            InboundContent::FlowReply(reply) => reply.body.clone().unwrap_or_default(),
            InboundContent::Order(order) => order.readable(),
            InboundContent::Product(product) => product.title.clone().unwrap_or_default(),
            InboundContent::Poll(poll) => poll.question.clone(),
            InboundContent::System(system) => system.body.clone().unwrap_or_default(),
            InboundContent::Image(media)
            | InboundContent::Video(media)
            | InboundContent::Audio(media)
            | InboundContent::Document(media)
            | InboundContent::Sticker(media) => media.caption.clone().unwrap_or_default(),
            InboundContent::CallPermission(_)
            | InboundContent::Welcome
            | InboundContent::Unsupported(_)
            | InboundContent::Unknown => String::new(),
        };
        (!text.is_empty()).then_some(text)
    }

    /// Whether a person wrote or chose it, so that it opens the window in which free text may be sent back.
    #[must_use]
    pub const fn is_from_a_person(&self) -> bool {
        !matches!(self, InboundContent::System(_) | InboundContent::Welcome)
    }
}

/// Shows the type only: contents are personal.
impl fmt::Debug for InboundContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}
