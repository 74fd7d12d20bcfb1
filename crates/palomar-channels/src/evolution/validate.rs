//! What Evolution would refuse or could not carry, found out before it is queued.

use palomar_model::{
    Checks, Contacts, Content, FieldError, Header, Interactive, InteractiveAction, ListAction, Media, Poll,
    Reaction, Recipient,
};

use super::Menus;

/// The longest text that WhatsApp shows.
const TEXT: usize = 65_536;
/// An emoji has no more code points, with all that joins it.
const EMOJI: usize = 16;

/// Everything that is wrong with `content` for this provider, what is wrong everywhere included.
#[must_use]
pub fn validate(to: &Recipient, content: &Content, menus: Menus) -> Vec<FieldError> {
    let mut checks = Checks::new();
    checks.require(
        matches!(to, Recipient::Phone(_)),
        "/to",
        "must be a phone number: Evolution knows no business-scoped ids",
    );
    match content {
        Content::Text(text) => checks.at_most(&text.text, TEXT, "/content/text"),
        Content::Image(file)
        | Content::Video(file)
        | Content::Audio(file)
        | Content::Document(file)
        | Content::Sticker(file) => media(&mut checks, file, "/content"),
        Content::Location(place) => {
            for (text, at) in [(&place.name, "/content/name"), (&place.address, "/content/address")] {
                let given = text.as_ref().is_some_and(|text| !text.trim().is_empty());
                checks.require(given, at, "is needed by Evolution");
            }
        }
        Content::Contacts(cards) => contacts(&mut checks, cards),
        Content::Reaction(reaction) => emoji(&mut checks, reaction),
        Content::Poll(poll) => poll_options(&mut checks, poll),
        Content::Interactive(message) => interactive(&mut checks, message, menus),
        Content::Template(_) => checks.require(false, "/type", "Evolution has no templates"),
    }
    let mut errors = content.validate_common();
    errors.extend(checks.into_errors());
    errors
}

fn media(checks: &mut Checks, file: &Media, at: &str) {
    let detail = "is not possible: Evolution keeps no uploads; give a link";
    checks.require(file.id.is_none(), format!("{at}/id"), detail);
}

fn contacts(checks: &mut Checks, cards: &Contacts) {
    for (n, card) in cards.contacts.iter().enumerate() {
        let at = format!("/content/contacts/{n}");
        checks.require(!card.phones.is_empty(), format!("{at}/phones"), "must have a number");
        // A card there is a name, a number, a company, a mail and a web address: more would be lost without a word.
        for (count, key) in
            [(card.phones.len(), "phones"), (card.emails.len(), "emails"), (card.urls.len(), "urls")]
        {
            checks.require(count <= 1, format!("{at}/{key}/1"), "is one too many: Evolution carries one");
        }
        checks.require(
            card.addresses.is_empty(),
            format!("{at}/addresses"),
            "cannot be carried by Evolution",
        );
        checks.require(card.birthday.is_none(), format!("{at}/birthday"), "cannot be carried by Evolution");
        if let Some(org) = &card.org {
            for (text, key) in [(&org.department, "department"), (&org.title, "title")] {
                checks.require(text.is_none(), format!("{at}/org/{key}"), "cannot be carried by Evolution");
            }
        }
    }
}

/// Evolution takes one emoji or none; which code points are one, it decides. What begins with a letter is none.
fn emoji(checks: &mut Checks, reaction: &Reaction) {
    let one = |text: &str| {
        text.chars().count() <= EMOJI && !text.contains(|c: char| c.is_alphabetic() || c.is_whitespace())
    };
    checks.require(one(&reaction.emoji), "/content/emoji", "must be a single emoji, or empty");
}

fn poll_options(checks: &mut Checks, poll: &Poll) {
    checks.require(poll.options.len() <= 10, "/content/options", "must be at most 10");
    checks.require(poll.selectable_count <= 10, "/content/selectableCount", "must be at most 10");
}

fn interactive(checks: &mut Checks, message: &Interactive, menus: Menus) {
    let carried = matches!(
        message.action,
        InteractiveAction::Button(_) | InteractiveAction::List(_) | InteractiveAction::CtaUrl(_)
    );
    if !carried {
        return checks.require(false, "/content/type", "cannot be carried by Evolution");
    }
    let is_list = matches!(message.action, InteractiveAction::List(_));
    match &message.header {
        None => {}
        Some(Header::Text { text }) => {
            checks.require(!text.trim().is_empty(), "/content/header/text", "must not be empty");
        }
        Some(Header::Image { image }) if !is_list && menus == Menus::Native => {
            media(checks, image, "/content/header/image");
        }
        Some(_) => checks.require(false, "/content/header", "cannot be carried by Evolution with this"),
    }
    match &message.action {
        InteractiveAction::Button(action) => {
            let at = "/content/action/buttons";
            checks.require(action.buttons.len() <= 3, at, "must be at most 3");
            for (n, button) in action.buttons.iter().enumerate() {
                for (text, key) in [(&button.id, "id"), (&button.title, "title")] {
                    checks.require(!text.trim().is_empty(), format!("{at}/{n}/{key}"), "must not be empty");
                }
            }
        }
        InteractiveAction::CtaUrl(action) => {
            let named = !action.display_text.trim().is_empty();
            checks.require(named, "/content/action/displayText", "must not be empty");
        }
        InteractiveAction::List(action) if menus == Menus::Native => {
            let footer = message.footer.as_ref().is_some_and(|footer| !footer.text.trim().is_empty());
            checks.require(footer, "/content/footer", "is needed by Evolution with a list");
            list(checks, action);
        }
        _ => {}
    }
}

fn list(checks: &mut Checks, action: &ListAction) {
    checks.require(!action.button.trim().is_empty(), "/content/action/button", "must not be empty");
    for (n, section) in action.sections.iter().enumerate() {
        let at = format!("/content/action/sections/{n}");
        let titled = section.title.as_ref().is_some_and(|title| !title.trim().is_empty());
        checks.require(titled, format!("{at}/title"), "is needed by Evolution");
        checks.require(!section.rows.is_empty(), format!("{at}/rows"), "must have at least one row");
        for (m, row) in section.rows.iter().enumerate() {
            for (text, key) in [(&row.id, "id"), (&row.title, "title")] {
                checks.require(!text.trim().is_empty(), format!("{at}/rows/{m}/{key}"), "must not be empty");
            }
        }
    }
}

#[cfg(test)]
mod tests;
