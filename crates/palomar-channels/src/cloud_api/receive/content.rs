//! What a message says: the object that its type names → one content. A type that is not known, or an object that is not
//! what its type promises, is [`InboundContent::Unknown`]: the message keeps it as it came.

use palomar_model::{
    Bsuid, CallPermission, Choice, ContactAddress, ContactCard, ContactEmail, ContactName, ContactOrg,
    ContactPhone, ContactUrl, FlowReply, InboundContent, InboundLocation, InboundMedia, InboundWords, Order,
    OrderItem, SharedContact, SharedContacts, SystemKind, SystemMessage, Unsupported,
};
use serde_json::Value;

use super::fields::{error, field, flag, instant, list, text};

/// Reads the content of a message of this type.
pub(super) fn content(message: &Value, kind: &str, doubts: &mut Vec<&'static str>) -> InboundContent {
    let object = message.get(kind).unwrap_or(&Value::Null);
    let read = match kind {
        "text" => field(object, "/body").map(|text| InboundContent::Text(InboundWords { text })),
        "image" => media(object).map(InboundContent::Image),
        "video" => media(object).map(InboundContent::Video),
        "audio" => media(object).map(InboundContent::Audio),
        "voice" => media(object).map(|media| InboundContent::Audio(InboundMedia { voice: true, ..media })),
        "document" => media(object).map(InboundContent::Document),
        "sticker" => media(object).map(InboundContent::Sticker),
        "location" => location(object).map(InboundContent::Location),
        "contacts" => contacts(object).map(InboundContent::Contacts),
        "button" => button(object).map(InboundContent::TemplateButton),
        "interactive" => return interactive(object),
        "order" => object.is_object().then(|| InboundContent::Order(order(object))),
        "system" => object.is_object().then(|| InboundContent::System(system(object))),
        "request_welcome" => Some(InboundContent::Welcome),
        "unsupported" | "unknown" => return unsupported(message),
        _ => return InboundContent::Unknown,
    };
    read.unwrap_or_else(|| {
        doubts.push(if kind == "text" { "has no text" } else { "does not hold what its type says" });
        InboundContent::Unknown
    })
}

fn media(object: &Value) -> Option<InboundMedia> {
    object.is_object().then(|| InboundMedia {
        id: field(object, "/id"),
        url: field(object, "/url"),
        mime_type: field(object, "/mime_type"),
        sha256: field(object, "/sha256"),
        size: field(object, "/file_size").and_then(|size| size.parse().ok()),
        filename: field(object, "/filename"),
        caption: field(object, "/caption"),
        voice: flag(object, "/voice"),
        animated: flag(object, "/animated"),
        ..InboundMedia::default()
    })
}

/// Degrees come as numbers or as texts; a place needs both.
fn location(object: &Value) -> Option<InboundLocation> {
    let degrees = |pointer, most: f64| {
        let number = field(object, pointer)?.parse::<f64>().ok()?;
        (number.abs() <= most).then_some(number)
    };
    Some(InboundLocation {
        latitude: degrees("/latitude", 90.0)?,
        longitude: degrees("/longitude", 180.0)?,
        name: field(object, "/name"),
        address: field(object, "/address"),
        url: field(object, "/url"),
        live: false,
    })
}

fn contacts(array: &Value) -> Option<SharedContacts> {
    let cards = array.as_array()?.iter().filter(|card| card.is_object());
    Some(SharedContacts { contacts: cards.map(contact).collect(), file: None })
}

fn contact(card: &Value) -> SharedContact {
    let name = |part: &str| field(card, &format!("/name/{part}"));
    let org = card.get("org").filter(|org| org.is_object());
    let items = |key: &str| list(card, &format!("/{key}")).iter();
    SharedContact {
        card: ContactCard {
            name: ContactName {
                formatted_name: name("formatted_name").unwrap_or_default(),
                first_name: name("first_name"),
                last_name: name("last_name"),
                middle_name: name("middle_name"),
                prefix: name("prefix"),
                suffix: name("suffix"),
            },
            phones: items("phones")
                .map(|phone| ContactPhone {
                    phone: field(phone, "/phone").unwrap_or_default(),
                    kind: field(phone, "/type"),
                    wa_id: field(phone, "/wa_id"),
                })
                .collect(),
            emails: items("emails")
                .map(|email| ContactEmail {
                    email: field(email, "/email").unwrap_or_default(),
                    kind: field(email, "/type"),
                })
                .collect(),
            addresses: items("addresses").map(address).collect(),
            urls: items("urls")
                .map(|url| ContactUrl {
                    url: field(url, "/url").unwrap_or_default(),
                    kind: field(url, "/type"),
                })
                .collect(),
            org: org.map(|org| ContactOrg {
                company: field(org, "/company"),
                department: field(org, "/department"),
                title: field(org, "/title"),
            }),
            birthday: field(card, "/birthday"),
        },
        vcard: field(card, "/vcard"),
    }
}

fn address(value: &Value) -> ContactAddress {
    ContactAddress {
        street: field(value, "/street"),
        city: field(value, "/city"),
        state: field(value, "/state"),
        zip: field(value, "/zip"),
        country: field(value, "/country"),
        country_code: field(value, "/country_code"),
        kind: field(value, "/type"),
    }
}

/// The quick reply of a template.
fn button(object: &Value) -> Option<Choice> {
    let (id, title) = (field(object, "/payload"), field(object, "/text"));
    (id.is_some() || title.is_some()).then_some(Choice { id, title, description: None })
}

fn interactive(object: &Value) -> InboundContent {
    let kind = field(object, "/type").unwrap_or_default();
    let Some(reply) = object.get(&kind).filter(|reply| reply.is_object()) else {
        return InboundContent::Unknown;
    };
    let choice = || Choice {
        id: field(reply, "/id"),
        title: field(reply, "/title"),
        description: field(reply, "/description"),
    };
    match kind.as_str() {
        "button_reply" => InboundContent::ButtonReply(choice()),
        "list_reply" => InboundContent::ListReply(choice()),
        "nfm_reply" => InboundContent::FlowReply(FlowReply {
            name: field(reply, "/name"),
            body: field(reply, "/body"),
            response: response(reply.get("response_json").unwrap_or(&Value::Null)),
        }),
        "call_permission_reply" => InboundContent::CallPermission(CallPermission {
            response: field(reply, "/response").unwrap_or_default(),
            until: instant(reply, "/expiration_timestamp"),
            permanent: flag(reply, "/is_permanent"),
        }),
        _ => InboundContent::Unknown,
    }
}

/// A form's fields are JSON in a text; what is none stays the text.
fn response(value: &Value) -> Value {
    let parsed = value.as_str().and_then(|text| serde_json::from_str(text).ok());
    parsed.unwrap_or_else(|| value.clone())
}

fn order(object: &Value) -> Order {
    Order {
        catalog_id: field(object, "/catalog_id"),
        text: field(object, "/text"),
        items: list(object, "/product_items")
            .iter()
            .map(|item| OrderItem {
                product_id: field(item, "/product_retailer_id"),
                quantity: field(item, "/quantity"),
                price: field(item, "/item_price"),
                currency: field(item, "/currency"),
            })
            .collect(),
        ..Order::default()
    }
}

fn system(object: &Value) -> SystemMessage {
    let kind = match field(object, "/type").unwrap_or_default().as_str() {
        "user_changed_number" | "customer_changed_number" => SystemKind::NumberChanged,
        "user_changed_user_id" => SystemKind::UserIdChanged,
        "customer_identity_changed" | "user_identity_changed" => SystemKind::IdentityChanged,
        other => SystemKind::Other(other.to_owned()),
    };
    SystemMessage {
        kind,
        body: field(object, "/body"),
        new_wa_id: field(object, "/wa_id").or_else(|| field(object, "/new_wa_id")),
        new_bsuid: field(object, "/user_id").as_deref().and_then(Bsuid::parse),
    }
}

/// Meta says that there is something, and why it does not hand it over. Its old name is `unknown`.
fn unsupported(message: &Value) -> InboundContent {
    let what = message.get("unsupported");
    let what = what.and_then(|what| field(what, "/type").or_else(|| text(what)));
    let error = list(message, "/errors").first().map(error);
    InboundContent::Unsupported(Unsupported { what, error })
}
