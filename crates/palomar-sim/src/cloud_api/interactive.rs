//! Judges `interactive` messages.

use std::collections::HashSet;

use super::errors::GraphError;
use super::field::Field;
use super::validate::{Checked, Extras, media};

/// The types with their own action; catalog and payment types are taken with any action object.
const TYPES: &[&str] = &[
    "button",
    "list",
    "cta_url",
    "flow",
    "location_request_message",
    "request_contact_info",
    "call_permission_request",
    "address_message",
    "product",
    "product_list",
    "catalog_message",
    "order_details",
    "order_status",
];

pub(super) fn check(root: &Field<'_, '_>) -> Checked<&'static str> {
    let interactive = root.object("interactive")?;
    let kind = interactive.choice("type", TYPES)?;
    header(&interactive, kind)?;
    body(&interactive, kind)?;
    if let Some(footer) = interactive.get("footer") {
        footer.text("text", 60)?;
    }
    let action = interactive.object("action")?;
    match kind {
        "button" => buttons(&action)?,
        "list" => list(&action)?,
        "cta_url" => cta_url(&action)?,
        "flow" => flow(&action)?,
        "location_request_message" => named(&action, "send_location")?,
        "request_contact_info" | "call_permission_request" => named(&action, kind)?,
        "address_message" => {
            named(&action, kind)?;
            action.object("parameters")?.text("country", 2)?;
        }
        _ => {}
    }
    Ok("interactive")
}

fn header(interactive: &Field<'_, '_>, kind: &str) -> Checked<()> {
    let Some(header) = interactive.get("header") else {
        let needed = kind == "product_list";
        return if needed { Err(interactive.missing("header")) } else { Ok(()) };
    };
    if kind == "location_request_message" {
        return interactive.without("header");
    }
    let only_text = ["list", "product_list"].contains(&kind);
    let allowed: &[&str] = if only_text { &["text"] } else { &["text", "image", "video", "document"] };
    match header.choice("type", allowed)? {
        "text" => header.text("text", 60).map(drop),
        "document" => media(&header, "document", Extras::FILENAME).map(drop),
        kind => media(&header, kind, Extras::NONE).map(drop),
    }
}

fn body(interactive: &Field<'_, '_>, kind: &str) -> Checked<()> {
    // A single product shows itself.
    if kind == "product" && !interactive.has("body") {
        return Ok(());
    }
    let most = if kind == "list" { 4096 } else { 1024 };
    interactive.object("body")?.text("text", most).map(drop)
}

fn named(action: &Field<'_, '_>, name: &str) -> Checked<()> {
    action.choice("name", &[name]).map(drop)
}

fn buttons(action: &Field<'_, '_>) -> Checked<()> {
    let (mut ids, mut titles) = (HashSet::new(), HashSet::new());
    for button in action.array("buttons", 1, 3)?.items() {
        button.choice("type", &["reply"])?;
        let reply = button.object("reply")?;
        unique(&mut ids, reply.text("id", 256)?, &reply, "id")?;
        unique(&mut titles, reply.text("title", 20)?, &reply, "title")?;
    }
    Ok(())
}

fn list(action: &Field<'_, '_>) -> Checked<()> {
    action.text("button", 20)?;
    let sections = action.array("sections", 1, 10)?;
    let several = sections.items().count() > 1;
    let (mut ids, mut rows_in_all) = (HashSet::new(), 0);
    for section in sections.items() {
        if several {
            section.text("title", 24)?;
        } else {
            section.text_if_any("title", 24)?;
        }
        for row in section.array("rows", 1, 10)?.items() {
            unique(&mut ids, row.text("id", 200)?, &row, "id")?;
            row.text("title", 24)?;
            row.text_if_any("description", 72)?;
            rows_in_all += 1;
        }
    }
    if rows_in_all > 10 {
        return Err(GraphError::value("Total row count exceed max allowed count: 10"));
    }
    Ok(())
}

fn cta_url(action: &Field<'_, '_>) -> Checked<()> {
    named(action, "cta_url")?;
    let parameters = action.object("parameters")?;
    parameters.text("display_text", 20)?;
    parameters.link("url").map(drop)
}

fn flow(action: &Field<'_, '_>) -> Checked<()> {
    named(action, "flow")?;
    let parameters = action.object("parameters")?;
    parameters.choice("flow_message_version", &["3"])?;
    if !parameters.has("flow_id") && !parameters.has("flow_name") {
        return Err(parameters.missing("flow_id"));
    }
    parameters.text("flow_cta", 30)?;
    if parameters.has("mode") {
        parameters.choice("mode", &["draft", "published"])?;
    }
    let navigates = !parameters.has("flow_action")
        || parameters.choice("flow_action", &["navigate", "data_exchange"])? == "navigate";
    let Some(payload) = parameters.get("flow_action_payload") else {
        return Ok(());
    };
    if !navigates {
        return parameters.without("flow_action_payload");
    }
    payload.text("screen", 256)?;
    match payload.get("data") {
        Some(data) if data.is_empty_object() => Err(data.must("be a non-empty object")),
        _ => Ok(()),
    }
}

fn unique<'v>(seen: &mut HashSet<&'v str>, value: &'v str, at: &Field<'_, '_>, key: &str) -> Checked<()> {
    if seen.insert(value) {
        return Ok(());
    }
    Err(GraphError::value(format!("Duplicated {key} at {}: \"{value}\"", at.path())))
}
