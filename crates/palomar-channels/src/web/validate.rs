//! What WhatsApp Web can't carry, found out before it is queued.

use palomar_model::{Checks, Content, FieldError, Media, Recipient};

use super::compose;

/// The longest text that WhatsApp shows.
const TEXT: usize = 65_536;
/// The longest caption.
const CAPTION: usize = 1_024;

/// Everything that is wrong with `content` for this provider, what is wrong everywhere included.
pub(super) fn validate(to: &Recipient, content: &Content) -> Vec<FieldError> {
    let mut checks = Checks::new();
    checks.require(
        matches!(to, Recipient::Phone(_)),
        "/to",
        "must be a phone number: WhatsApp Web knows no business-scoped ids",
    );
    let words = compose::text(content);
    checks.require(words.is_some(), "/type", "is not possible through WhatsApp Web");
    if let Content::Text(text) = content {
        checks.at_most(&text.text, TEXT, "/content/text");
        // What a keyboard can't write would not arrive, or as something else.
        let odd = |c: char| c.is_control() && c != '\n' && c != '\r' && c != '\t';
        checks.require(!text.text.contains(odd), "/content/text", "must not contain control characters");
        checks.require(!text.text.trim().is_empty(), "/content/text", "must not be empty");
    }
    if let Some(file) = compose::file(content) {
        media(&mut checks, file);
    }
    let mut errors = content.validate_common();
    errors.extend(checks.into_errors());
    errors
}

fn media(checks: &mut Checks, file: &Media) {
    let detail = "is not possible: WhatsApp Web keeps no uploads; give a link";
    checks.require(file.id.is_none(), "/content/id", detail);
    if let Some(caption) = &file.caption {
        checks.at_most(caption, CAPTION, "/content/caption");
    }
}
