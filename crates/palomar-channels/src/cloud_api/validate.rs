//! What the Cloud API would refuse, found out before it is queued.
//!
//! Limits are Meta's, in characters. Media sizes and types are not known here: only the provider sees the bytes.

use palomar_model::{
    Checks, Component, Content, FieldError, FlowAction, Header, Interactive, InteractiveAction, ListAction,
    Media, Parameter, Recipient, Template,
};

const CAPTION: usize = 1024;
const BODY: usize = 1024;
const LIST_BODY: usize = 4096;

/// Everything that is wrong with `content` for this provider, what is wrong everywhere included.
#[must_use]
pub fn validate(to: &Recipient, content: &Content) -> Vec<FieldError> {
    let mut checks = Checks::new();
    match content {
        Content::Text(text) => checks.at_most(&text.text, 4096, "/content/text"),
        Content::Image(media) | Content::Video(media) | Content::Document(media) => {
            caption(&mut checks, media, "/content");
        }
        Content::Contacts(cards) => {
            checks.require(cards.contacts.len() <= 5, "/content/contacts", "must be at most 5");
        }
        Content::Interactive(message) => interactive(&mut checks, message),
        Content::Template(approved) => template(&mut checks, to, approved),
        Content::Poll(_) => checks.require(false, "/type", "the Cloud API has no polls"),
        Content::Audio(_) | Content::Sticker(_) | Content::Location(_) | Content::Reaction(_) => {}
    }
    let mut errors = content.validate_common();
    errors.extend(checks.into_errors());
    errors
}

fn caption(checks: &mut Checks, media: &Media, at: &str) {
    if let Some(caption) = &media.caption {
        checks.at_most(caption, CAPTION, format!("{at}/caption"));
    }
}

fn interactive(checks: &mut Checks, message: &Interactive) {
    let is_list = matches!(message.action, InteractiveAction::List(_));
    if let Some(body) = &message.body {
        checks.at_most(&body.text, if is_list { LIST_BODY } else { BODY }, "/content/body");
    }
    if let Some(footer) = &message.footer {
        checks.text(&footer.text, 60, "/content/footer");
    }
    match &message.header {
        Some(Header::Text { text }) => checks.text(text, 60, "/content/header/text"),
        Some(_) => checks.require(!is_list, "/content/header", "must be a text with a list"),
        None => {
            let needed = matches!(message.action, InteractiveAction::ProductList(_));
            checks.require(!needed, "/content/header", "is needed with a product list");
        }
    }
    if matches!(message.action, InteractiveAction::LocationRequestMessage) {
        checks.require(
            message.header.is_none(),
            "/content/header",
            "is not possible with a location request",
        );
        checks.require(
            message.footer.is_none(),
            "/content/footer",
            "is not possible with a location request",
        );
    }
    match &message.action {
        InteractiveAction::Button(action) => {
            let at = "/content/action/buttons";
            checks.require(action.buttons.len() <= 3, at, "must be at most 3");
            for (n, button) in action.buttons.iter().enumerate() {
                checks.text(&button.id, 256, format!("{at}/{n}/id"));
                checks.text(&button.title, 20, format!("{at}/{n}/title"));
                let earlier = action.buttons.iter().take(n);
                let (ids, titles): (Vec<_>, Vec<_>) = earlier.map(|other| (&other.id, &other.title)).unzip();
                checks.require(
                    !ids.contains(&&button.id),
                    format!("{at}/{n}/id"),
                    "must differ from the others",
                );
                let differs = !titles.contains(&&button.title);
                checks.require(differs, format!("{at}/{n}/title"), "must differ from the others");
            }
        }
        InteractiveAction::List(action) => list(checks, action),
        InteractiveAction::CtaUrl(action) => {
            checks.text(&action.display_text, 20, "/content/action/displayText");
        }
        InteractiveAction::Flow(action) => flow(checks, action),
        _ => {}
    }
}

fn list(checks: &mut Checks, action: &ListAction) {
    let at = "/content/action/sections";
    checks.text(&action.button, 20, "/content/action/button");
    checks.require(action.sections.len() <= 10, at, "must be at most 10");
    let rows = action.sections.iter().map(|section| section.rows.len()).sum::<usize>();
    checks.require(rows <= 10, at, "must have at most 10 rows in all sections together");
    let mut ids = Vec::with_capacity(rows);
    for (n, section) in action.sections.iter().enumerate() {
        let at = format!("{at}/{n}");
        match &section.title {
            Some(title) => checks.text(title, 24, format!("{at}/title")),
            None => checks.require(
                action.sections.len() == 1,
                format!("{at}/title"),
                "is needed with several sections",
            ),
        }
        checks.require(!section.rows.is_empty(), format!("{at}/rows"), "must have at least one row");
        for (m, row) in section.rows.iter().enumerate() {
            let at = format!("{at}/rows/{m}");
            checks.text(&row.id, 200, format!("{at}/id"));
            checks.text(&row.title, 24, format!("{at}/title"));
            if let Some(description) = &row.description {
                checks.at_most(description, 72, format!("{at}/description"));
            }
            checks.require(!ids.contains(&&row.id), format!("{at}/id"), "must differ from the others");
            ids.push(&row.id);
        }
    }
}

fn flow(checks: &mut Checks, action: &FlowAction) {
    let at = "/content/action";
    // Meta's own pages say 20 and 30; the wider one lets nothing good be refused.
    checks.text(&action.flow_cta, 30, format!("{at}/flowCta"));
    let kind = action.flow_action.as_deref();
    let known = kind.is_none_or(|kind| matches!(kind, "navigate" | "data_exchange"));
    checks.require(known, format!("{at}/flowAction"), "must be navigate or data_exchange");
    if let Some(payload) = &action.flow_action_payload {
        let at = format!("{at}/flowActionPayload");
        checks.require(
            kind.is_none_or(|kind| kind == "navigate"),
            at.as_str(),
            "is possible with navigate only",
        );
        let empty =
            payload.get("data").is_some_and(|data| data.as_object().is_none_or(serde_json::Map::is_empty));
        checks.require(!empty, format!("{at}/data"), "must not be empty");
    }
}

fn template(checks: &mut Checks, to: &Recipient, template: &Template) {
    let code_button = |component: &Component| {
        let word = component.sub_type.as_deref().unwrap_or_default();
        word.eq_ignore_ascii_case("copy_code")
    };
    let reachable = matches!(to, Recipient::Phone(_)) || !template.components.iter().any(code_button);
    checks.require(reachable, "/to", "must be a phone number with a copy-code template");
    checks.at_most(&template.name, 512, "/content/name");
    let parameters = || template.components.iter().flat_map(|component| &component.parameters);
    let texts = |parameter: &&Parameter| {
        matches!(parameter, Parameter::Text { .. } | Parameter::Currency { .. } | Parameter::DateTime { .. })
    };
    let named = parameters().any(|parameter| parameter.name().is_some());
    for (n, component) in template.components.iter().enumerate() {
        let at = format!("/content/components/{n}");
        let button = component.sub_type.is_some();
        for (m, parameter) in component.parameters.iter().enumerate() {
            let at = format!("{at}/parameters/{m}");
            if named && !button && texts(&parameter) {
                checks.require(
                    parameter.name().is_some(),
                    format!("{at}/parameterName"),
                    "is needed when others have one",
                );
            }
            if let Parameter::Text { text, .. } = parameter {
                let one_line = !text.contains(['\n', '\r', '\t']) && !text.contains("     ");
                let detail = "must not have line breaks, tabs or more than 4 spaces in a row";
                checks.require(one_line, format!("{at}/text"), detail);
            }
        }
    }
}

#[cfg(test)]
mod tests;
