//! A vCard → an address card: the lines that people fill in. What else it holds is kept in its text.

use super::SharedContact;
use crate::{ContactCard, ContactEmail, ContactName, ContactOrg, ContactPhone, ContactUrl};

/// More lines than a card has.
const MAX_LINES: usize = 200;

impl SharedContact {
    /// Reads a vCard (2.1 to 4.0). Lines that it does not know are passed over: a card is never refused.
    #[must_use]
    pub fn from_vcard(vcard: &str) -> SharedContact {
        let mut card = ContactCard {
            name: ContactName::default(),
            phones: Vec::new(),
            emails: Vec::new(),
            addresses: Vec::new(),
            urls: Vec::new(),
            org: None,
            birthday: None,
        };
        // A line that begins with white space goes on where the one before ended.
        let unfolded = vcard.replace("\r\n", "\n").replace("\n ", "").replace("\n\t", "");
        for line in unfolded.lines().take(MAX_LINES) {
            if let Some((head, value)) = line.split_once(':') {
                read_line(&mut card, head, value.trim());
            }
        }
        if card.name.formatted_name.is_empty() {
            let parts = [&card.name.first_name, &card.name.last_name];
            let parts: Vec<_> = parts.into_iter().flatten().map(String::as_str).collect();
            card.name.formatted_name = parts.join(" ");
        }
        SharedContact { card, vcard: Some(vcard.to_owned()) }
    }
}

fn read_line(card: &mut ContactCard, head: &str, value: &str) {
    let mut head = head.split(';');
    // `item1.TEL`: a group's name stands before the property's.
    let property = head.next().unwrap_or_default().rsplit('.').next().unwrap_or_default();
    let parameter = |name: &str| {
        let mut parameters = head.clone().filter_map(|parameter| parameter.split_once('='));
        let found = parameters.find(|(known, _)| known.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.to_owned())
    };
    let text = unescaped(value);
    if text.is_empty() {
        return;
    }
    match property.to_ascii_uppercase().as_str() {
        "FN" => card.name.formatted_name = text,
        "N" => {
            let mut parts = value.split(';').map(unescaped).map(|part| (!part.is_empty()).then_some(part));
            card.name.last_name = parts.next().flatten();
            card.name.first_name = parts.next().flatten();
            card.name.middle_name = parts.next().flatten();
        }
        "TEL" => {
            let phone = text.strip_prefix("tel:").map(str::to_owned).unwrap_or(text);
            card.phones.push(ContactPhone { phone, kind: parameter("type"), wa_id: parameter("waid") });
        }
        "EMAIL" => card.emails.push(ContactEmail { email: text, kind: parameter("type") }),
        "URL" => card.urls.push(ContactUrl { url: text, kind: parameter("type") }),
        "ORG" => {
            let company = text.trim_end_matches(';').to_owned();
            card.org = Some(ContactOrg { company: Some(company), ..ContactOrg::default() });
        }
        _ => {}
    }
}

/// Commas, semicolons, backslashes and line ends are escaped in a vCard.
fn unescaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('n' | 'N') => text.push('\n'),
                Some(escaped) => text.push(escaped),
                None => {}
            },
            '\0' => {}
            c => text.push(c),
        }
    }
    text.trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_fill_in() {
        let text = "BEGIN:VCARD\r\nVERSION:3.0\r\nN:Ejemplo;Marta;;;\r\nFN:Marta\r\n  Ejemplo\r\nORG:Ficticia\\, S.L.;\r\n\
                    item1.TEL;type=CELL;waid=34600222333:+34 600 222 333\r\nEMAIL:marta@example.test\r\nPHOTO;x:AAAA\r\nEND:VCARD";
        let SharedContact { card, vcard } = SharedContact::from_vcard(text);
        assert_eq!(card.name.formatted_name, "Marta Ejemplo");
        assert_eq!(
            (card.name.first_name.as_deref(), card.name.last_name.as_deref()),
            (Some("Marta"), Some("Ejemplo"))
        );
        assert_eq!(card.org.and_then(|org| org.company).as_deref(), Some("Ficticia, S.L."));
        let phone = &card.phones[0];
        assert_eq!((phone.phone.as_str(), phone.wa_id.as_deref()), ("+34 600 222 333", Some("34600222333")));
        assert_eq!(
            (phone.kind.as_deref(), card.emails[0].email.as_str()),
            (Some("CELL"), "marta@example.test")
        );
        assert_eq!(vcard.as_deref(), Some(text));
    }

    #[test]
    fn whatever_comes_is_a_card() {
        for text in ["", ":", ";;;:::", "TEL", "TEL:", "FN:\\", "\n \n :", "N:;;;;", "N:Solo"] {
            let card = SharedContact::from_vcard(text).card;
            assert_eq!(card.name.formatted_name, if text == "N:Solo" { "Solo" } else { "" }, "{text}");
            assert!(card.phones.is_empty(), "{text}");
        }
    }
}
