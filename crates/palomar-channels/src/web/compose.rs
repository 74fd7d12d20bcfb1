//! Content → what is written into a chat. No I/O.
//!
//! The page has no way of its own for places and cards that a program could use: they go as text that phones make links
//! of. What can't be said that way is not sent.

use palomar_model::{ContactCard, Content, Location, Media};

/// The words of a content: its text, or what stands below its file. `None` for what can't be sent here.
pub(super) fn text(content: &Content) -> Option<String> {
    match content {
        Content::Text(text) => Some(text.text.clone()),
        Content::Image(file) | Content::Video(file) | Content::Document(file) => {
            Some(file.caption.clone().unwrap_or_default())
        }
        Content::Audio(_) => Some(String::new()),
        Content::Location(place) => Some(location(place)),
        Content::Contacts(cards) => {
            let cards: Vec<String> = cards.contacts.iter().map(card).collect();
            Some(cards.join("\n\n"))
        }
        Content::Sticker(_)
        | Content::Interactive(_)
        | Content::Template(_)
        | Content::Reaction(_)
        | Content::Poll(_) => None,
    }
}

/// The file of a content.
pub(super) const fn file(content: &Content) -> Option<&Media> {
    match content {
        Content::Image(file) | Content::Video(file) | Content::Audio(file) | Content::Document(file) => {
            Some(file)
        }
        _ => None,
    }
}

fn location(place: &Location) -> String {
    let mut lines: Vec<String> = [&place.name, &place.address].into_iter().flatten().cloned().collect();
    lines.push(format!("https://maps.google.com/?q={},{}", place.latitude, place.longitude));
    lines.join("\n")
}

fn card(card: &ContactCard) -> String {
    let mut lines = vec![card.name.formatted_name.clone()];
    lines.extend(card.phones.iter().map(|phone| phone.phone.clone()));
    lines.extend(card.emails.iter().map(|mail| mail.email.clone()));
    lines.extend(card.urls.iter().map(|url| url.url.clone()));
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_written() {
        for (kind, content, written) in [
            ("text", json!({"text": "Hola *Lucía*\n👋"}), Some("Hola *Lucía*\n👋")),
            ("image", json!({"link": "https://x.example/a.png", "caption": "Mira"}), Some("Mira")),
            ("document", json!({"link": "https://x.example/a.pdf"}), Some("")),
            (
                "location",
                json!({"latitude": 40.4, "longitude": -3.7, "name": "Tienda"}),
                Some("Tienda\nhttps://maps.google.com/?q=40.4,-3.7"),
            ),
            (
                "contacts",
                json!({"contacts": [{"name": {"formattedName": "Lucía"}, "phones": [{"phone": "+34600111222"}]}]}),
                Some("Lucía\n+34600111222"),
            ),
            ("reaction", json!({"messageId": "X", "emoji": "👍"}), None),
        ] {
            let content: Content =
                serde_json::from_value(json!({"type": kind, "content": content})).expect(kind);
            assert_eq!(text(&content).as_deref(), written, "{kind}");
        }
    }
}
