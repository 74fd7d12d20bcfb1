//! What a message says: the parameters that its type names → one content.

use palomar_model::{
    Choice, InboundContent, InboundLocation, InboundMedia, InboundWords, Referral, SharedContacts,
};

use crate::twilio::form::Params;

/// Twilio's word for its type, unless it says less than what came with it.
pub(super) fn kind(params: &Params, media: Option<&InboundMedia>) -> String {
    match (params.get("MessageType"), media) {
        (Some(word), None) => word.to_owned(),
        (Some(word), Some(_)) if word != "text" => word.to_owned(),
        (_, Some(media)) => kind_of_media(media.mime_type.as_deref().unwrap_or_default()).to_owned(),
        (None, None) if params.get("Latitude").is_some() => "location".to_owned(),
        (None, None) if params.get("ButtonPayload").is_some() => "button".to_owned(),
        (None, None) if params.get("ListId").is_some() => "interactive".to_owned(),
        (None, None) => "text".to_owned(),
    }
}

fn kind_of_media(mime_type: &str) -> &'static str {
    match mime_type.split_once('/').unwrap_or((mime_type, "")) {
        ("image", _) => "image",
        ("audio", _) => "audio",
        ("video", _) => "video",
        ("text", "vcard" | "x-vcard" | "directory") => "contacts",
        _ => "document",
    }
}

/// The content of a message of this type; `None` where what its type promises did not come.
pub(super) fn content(params: &Params, kind: &str, media: Option<InboundMedia>) -> Option<InboundContent> {
    let body = params.get("Body").map(str::to_owned);
    let captioned = || media.clone().map(|media| InboundMedia { caption: body.clone(), ..media });
    match kind {
        "text" => Some(InboundContent::Text(InboundWords { text: body.unwrap_or_default() })),
        "image" => captioned().map(InboundContent::Image),
        "video" => captioned().map(InboundContent::Video),
        "audio" => captioned().map(InboundContent::Audio),
        "document" => captioned().map(InboundContent::Document),
        "sticker" => captioned().map(InboundContent::Sticker),
        "contacts" => {
            let contacts = |file| SharedContacts { contacts: Vec::new(), file: Some(file) };
            media.map(contacts).map(InboundContent::Contacts)
        }
        "location" => location(params).map(InboundContent::Location),
        "button" => button(params).map(InboundContent::TemplateButton),
        // It may be of a kind that is not known.
        "interactive" => {
            let button = || button(params).map(InboundContent::ButtonReply);
            Some(row(params).map(InboundContent::ListReply).or_else(button).unwrap_or_default())
        }
        _ => Some(InboundContent::Unknown),
    }
}

/// The media of this number, where it came. Its address is as Twilio said it: whoever fetches it looks where it leads.
pub(super) fn media(params: &Params, n: usize) -> Option<InboundMedia> {
    Some(InboundMedia {
        url: Some(params.get(&format!("MediaUrl{n}"))?.to_owned()),
        mime_type: params.get(&format!("MediaContentType{n}")).map(str::to_owned),
        ..InboundMedia::default()
    })
}

/// A place needs both degrees.
fn location(params: &Params) -> Option<InboundLocation> {
    let degrees = |name, most: f64| {
        let number = params.get(name)?.parse::<f64>().ok()?;
        (number.abs() <= most).then_some(number)
    };
    Some(InboundLocation {
        latitude: degrees("Latitude", 90.0)?,
        longitude: degrees("Longitude", 180.0)?,
        name: params.get("Label").map(str::to_owned),
        address: params.get("Address").map(str::to_owned),
        ..InboundLocation::default()
    })
}

/// What was tapped, by the names of its id and its title.
fn choice(params: &Params, [id, title]: [&str; 2]) -> Option<Choice> {
    let id = params.get(id).map(str::to_owned);
    let title = params.get(title).map(str::to_owned);
    (id.is_some() || title.is_some()).then_some(Choice { id, title, description: None })
}

fn button(params: &Params) -> Option<Choice> {
    choice(params, ["ButtonPayload", "ButtonText"])
}

fn row(params: &Params) -> Option<Choice> {
    let description = params.get("ListDescription").map(str::to_owned);
    choice(params, ["ListId", "ListTitle"]).map(|choice| Choice { description, ..choice })
}

/// The advertisement or post that a message came by.
pub(super) fn referral(params: &Params) -> Option<Referral> {
    let said = |name: &str| params.get(&format!("Referral{name}")).map(str::to_owned);
    let referral = Referral {
        source_url: said("SourceUrl"),
        source_id: said("SourceId"),
        source_type: said("SourceType"),
        headline: said("Headline"),
        body: said("Body"),
        media_type: said("MediaContentType"),
        media_url: said("MediaUrl"),
        media_id: said("MediaId"),
        click_id: said("CtwaClid"),
        ..Referral::default()
    };
    (referral != Referral::default()).then_some(referral)
}
