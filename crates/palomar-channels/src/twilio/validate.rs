//! What Twilio would refuse or lose, found out before it is queued, and settings that can't work.
//!
//! Limits are Twilio's, in characters. Media sizes and types are not known here: only the provider sees the bytes.

use std::collections::BTreeSet;

use palomar_model::{Checks, Content, FieldError, Location, Media, Template};

use super::{TwilioConfig, form, send};

/// Meta allows more, Twilio does not.
const BODY: usize = 1600;

/// Everything that is wrong with `content` for this provider, what is wrong everywhere included.
#[must_use]
pub fn validate(content: &Content) -> Vec<FieldError> {
    let mut checks = Checks::new();
    match content {
        Content::Text(text) => checks.at_most(&text.text, BODY, "/content/text"),
        Content::Image(media)
        | Content::Video(media)
        | Content::Audio(media)
        | Content::Document(media)
        | Content::Sticker(media) => by_link(&mut checks, media),
        Content::Location(place) => location(&mut checks, place),
        Content::Template(approved) => template(&mut checks, approved),
        Content::Interactive(_) => {
            let detail = "Twilio sends buttons and lists as Content templates: a template named HX…";
            checks.require(false, "/type", detail);
        }
        Content::Contacts(_) => {
            checks.require(false, "/type", "Twilio sends contacts as a document: the link of a vCard");
        }
        Content::Reaction(_) => checks.require(false, "/type", "Twilio cannot send reactions"),
        Content::Poll(_) => checks.require(false, "/type", "Twilio has no polls"),
    }
    let mut errors = content.validate_common();
    errors.extend(checks.into_errors());
    errors
}

fn by_link(checks: &mut Checks, media: &Media) {
    checks.require(media.id.is_none(), "/content/id", "must be a link: Twilio has no uploads");
    let named = media.filename.is_some();
    checks.require(!named, "/content/filename", "is not possible: Twilio takes the name from the link");
    if let Some(caption) = &media.caption {
        checks.at_most(caption, BODY, "/content/caption");
    }
}

fn location(checks: &mut Checks, place: &Location) {
    let said = |words: &Option<String>| words.as_ref().is_some_and(|words| !words.trim().is_empty());
    let worded = said(&place.name) || said(&place.address);
    checks.require(
        worded,
        "/content/name",
        "is needed where there is no address: Twilio sends no bare places",
    );
    for (words, at) in [(&place.name, "/content/name"), (&place.address, "/content/address")] {
        if let Some(words) = words {
            checks.at_most(words, BODY, at);
            checks.require(!words.contains('|'), at, "must not contain the character |");
        }
    }
}

fn template(checks: &mut Checks, template: &Template) {
    let detail = "must be the SID of a Content template: HX and 32 hexadecimal digits";
    checks.require(is_sid(&template.name, "HX"), "/content/name", detail);
    let mut names = BTreeSet::new();
    for variable in send::variables(template) {
        let at = format!("/content/components/{}/parameters/{}", variable.component, variable.parameter);
        match variable.value {
            None => checks.require(false, at.as_str(), "is nothing that a variable of Twilio's can hold"),
            Some(value) => {
                let one_line = !value.contains(['\n', '\r']) && !value.contains("    ");
                checks.require(
                    one_line,
                    at.as_str(),
                    "must not have line breaks or more than 3 spaces in a row",
                );
            }
        }
        let differs = names.insert(variable.name);
        checks.require(differs, format!("{at}/parameterName"), "must differ from the others");
    }
}

/// What is wrong with the settings of a channel; `webhook` is where Twilio is to reach it.
pub(super) fn settings(config: &TwilioConfig, webhook: Option<&str>) -> Vec<FieldError> {
    let mut checks = Checks::new();
    let sid = |prefix: &str| format!("must be {prefix} and 32 hexadecimal digits");
    checks.require(is_sid(&config.account_sid, "AC"), "/settings/accountSid", sid("AC"));
    checks.require(!config.auth_token.is_empty(), "/credentials/authToken", "must not be empty");
    if let Some(key) = &config.api_key_sid {
        checks.require(is_sid(key, "SK"), "/settings/apiKeySid", sid("SK"));
        let given = !config.api_key_secret.is_empty();
        checks.require(given, "/credentials/apiKeySecret", "is needed with an apiKeySid");
    }
    match &config.number {
        Some(number) => {
            let detail = "must be the number that sends, as +15550100200";
            checks.require(is_number(form::plain(number)), "/settings/number", detail);
        }
        None => {
            let service = config.messaging_service_sid.is_some();
            checks.require(service, "/settings/number", "is needed where there is no messagingServiceSid");
        }
    }
    if let Some(service) = &config.messaging_service_sid {
        checks.require(is_sid(service, "MG"), "/settings/messagingServiceSid", sid("MG"));
    }
    if let Some(webhook) = webhook {
        let detail = "must be an http(s) address whose host has no underscore: Twilio calls no other";
        checks.require(is_callable(webhook), "/settings/webhookUrl", detail);
    }
    checks.into_errors()
}

/// Two letters and 32 hexadecimal digits.
fn is_sid(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    digits
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()))
}

fn is_callable(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.contains('_'))
    })
}

#[cfg(test)]
mod tests;
