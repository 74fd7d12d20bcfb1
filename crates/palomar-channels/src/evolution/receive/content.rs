//! What a message says, by its type in WhatsApp's own word.

use palomar_model::{
    Choice, FlowReply, InboundContent, InboundLocation, InboundMedia, InboundPoll, InboundWords, Order,
    Product, SharedContact, SharedContacts,
};
use serde_json::Value;

use super::fields::{count, field, flag, list};

/// A message may be wrapped to be shown once, or to vanish; no more often than this.
const WRAPPERS: usize = 4;

/// A message without what it is wrapped in.
pub(super) struct Unwrapped<'v> {
    /// Its type.
    pub(super) kind: &'v str,
    pub(super) message: &'v Value,
    view_once: bool,
}

/// Takes a message out of its wrappers. `kind` is the type of the whole.
pub(super) fn unwrap<'v>(kind: &'v str, message: &'v Value) -> Unwrapped<'v> {
    const NAMES: [&str; 6] = [
        "viewOnceMessage",
        "viewOnceMessageV2",
        "viewOnceMessageV2Extension",
        "ephemeralMessage",
        "documentWithCaptionMessage",
        "associatedChildMessage",
    ];
    let mut found = Unwrapped { kind, message, view_once: false };
    for _ in 0..WRAPPERS {
        let mut wrapped =
            NAMES.iter().filter_map(|name| Some((name, found.message.pointer(&format!("/{name}/message"))?)));
        let Some((name, inner)) = wrapped.next() else { break };
        found.view_once |= name.starts_with("viewOnce");
        found.message = inner;
        found.kind = kind_of(inner);
    }
    found
}

/// The type of a message that does not say it.
pub(super) fn kind_of(message: &Value) -> &str {
    let named =
        |key: &&String| key.ends_with("Message") || *key == "conversation" || key.starts_with("pollCreation");
    message.as_object().and_then(|parts| parts.keys().find(named)).map_or("unknown", String::as_str)
}

/// What it says. A content that does not hold what its type promises is unknown.
pub(super) fn content(it: &Unwrapped<'_>, doubts: &mut Vec<&'static str>) -> InboundContent {
    read(it).unwrap_or_else(|| {
        if it.kind != "unknown" && it.message.get(it.kind).is_some() {
            doubts.push("has a content that is not known");
        }
        InboundContent::Unknown
    })
}

fn read(it: &Unwrapped<'_>) -> Option<InboundContent> {
    let message = it.message;
    let part = message.get(it.kind)?;
    Some(match it.kind {
        "conversation" => words(field(message, "/conversation")?),
        "extendedTextMessage" => words(field(part, "/text")?),
        "imageMessage" => InboundContent::Image(media(it, part)),
        "videoMessage" | "ptvMessage" => InboundContent::Video(media(it, part)),
        "audioMessage" => InboundContent::Audio(media(it, part)),
        "documentMessage" => InboundContent::Document(media(it, part)),
        "stickerMessage" => InboundContent::Sticker(media(it, part)),
        "locationMessage" | "liveLocationMessage" => InboundContent::Location(location(it.kind, part)?),
        "contactMessage" => InboundContent::Contacts(contacts(std::slice::from_ref(part))),
        "contactsArrayMessage" => InboundContent::Contacts(contacts(list(part, "/contacts"))),
        "templateButtonReplyMessage" => {
            InboundContent::TemplateButton(choice(part, "/selectedId", "/selectedDisplayText"))
        }
        "buttonsResponseMessage" => {
            InboundContent::ButtonReply(choice(part, "/selectedButtonId", "/selectedDisplayText"))
        }
        "listResponseMessage" => {
            let chosen = choice(part, "/singleSelectReply/selectedRowId", "/title");
            InboundContent::ListReply(Choice { description: field(part, "/description"), ..chosen })
        }
        "interactiveResponseMessage" => response(part),
        "pollCreationMessage" | "pollCreationMessageV2" | "pollCreationMessageV3" => {
            InboundContent::Poll(InboundPoll {
                question: field(part, "/name")?,
                options: list(part, "/options")
                    .iter()
                    .filter_map(|option| field(option, "/optionName"))
                    .collect(),
                selectable_count: count(part, "/selectableOptionsCount").filter(|count| *count > 0),
            })
        }
        "orderMessage" => InboundContent::Order(Order {
            id: field(part, "/orderId"),
            text: field(part, "/message"),
            currency: field(part, "/totalCurrencyCode"),
            ..Order::default()
        }),
        "productMessage" => InboundContent::Product(Product {
            product_id: field(part, "/product/productId"),
            title: field(part, "/product/title"),
            description: field(part, "/product/description"),
            url: field(part, "/product/url"),
            ..Product::default()
        }),
        _ => return None,
    })
}

fn words(text: String) -> InboundContent {
    InboundContent::Text(InboundWords { text })
}

/// WhatsApp's own address is of encrypted bytes: they come inline, from the installation's store, or by the message's id.
fn media(it: &Unwrapped<'_>, part: &Value) -> InboundMedia {
    InboundMedia {
        url: field(it.message, "/mediaUrl"),
        inline_at: it
            .message
            .get("base64")
            .is_some_and(Value::is_string)
            .then(|| "/message/base64".to_owned()),
        mime_type: field(part, "/mimetype"),
        sha256: field(part, "/fileSha256"),
        size: count(part, "/fileLength"),
        filename: field(part, "/fileName"),
        caption: field(part, "/caption"),
        seconds: count(part, "/seconds"),
        voice: flag(part, "/ptt") || it.kind == "ptvMessage",
        animated: flag(part, "/isAnimated") || flag(part, "/gifPlayback"),
        view_once: it.view_once || flag(part, "/viewOnce"),
        ..InboundMedia::default()
    }
}

fn location(kind: &str, part: &Value) -> Option<InboundLocation> {
    let degrees = |pointer: &str| part.pointer(pointer).and_then(Value::as_f64);
    Some(InboundLocation {
        latitude: degrees("/degreesLatitude")?,
        longitude: degrees("/degreesLongitude")?,
        name: field(part, "/name"),
        address: field(part, "/address"),
        url: field(part, "/url"),
        live: kind == "liveLocationMessage",
    })
}

fn contacts(cards: &[Value]) -> SharedContacts {
    let card = |card: &Value| {
        let mut shared = SharedContact::from_vcard(&field(card, "/vcard").unwrap_or_default());
        if shared.card.name.formatted_name.is_empty() {
            shared.card.name.formatted_name = field(card, "/displayName").unwrap_or_default();
        }
        shared
    };
    SharedContacts { contacts: cards.iter().map(card).collect(), file: None }
}

fn choice(part: &Value, id: &str, title: &str) -> Choice {
    Choice { id: field(part, id), title: field(part, title), description: None }
}

/// A button of a newer kind, or a form: its parameters are JSON in a text.
fn response(part: &Value) -> InboundContent {
    let name = field(part, "/nativeFlowResponseMessage/name");
    let text = field(part, "/nativeFlowResponseMessage/paramsJson").unwrap_or_default();
    let parameters: Value = serde_json::from_str(&text).unwrap_or(Value::String(text));
    let body = field(part, "/body/text");
    match (name.as_deref(), field(&parameters, "/id")) {
        (Some("quick_reply"), id) => {
            let title = field(&parameters, "/display_text").or(body);
            InboundContent::ButtonReply(Choice { id, title, description: None })
        }
        (Some("single_select" | "menu_options"), id) => {
            let title = field(&parameters, "/title").or(body);
            InboundContent::ListReply(Choice { id, title, description: field(&parameters, "/description") })
        }
        _ => InboundContent::FlowReply(FlowReply { name, body, response: parameters }),
    }
}
