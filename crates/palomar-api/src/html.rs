//! Pages without scripts, without anything from elsewhere, and a content policy that allows nothing else.

use std::fmt::Write as _;
use std::sync::LazyLock;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::problem::Code;
use crate::state::bytes;

const STYLE: &str = "\
:root{color-scheme:light dark;--line:#8884;--soft:#8881;--accent:light-dark(#0b6e4f,#5fd3a8)}\
body{font:16px/1.6 system-ui,sans-serif;max-width:60rem;margin:0 auto;padding:1.5rem}\
h1,h2{line-height:1.2}h2{margin-top:2.5rem;border-bottom:1px solid var(--line)}a{color:var(--accent)}\
code,pre{font:14px/1.5 ui-monospace,monospace;background:var(--soft);border-radius:4px}code{padding:.1em .3em}\
pre{padding:.8rem;overflow-x:auto}details{border:1px solid var(--line);border-radius:6px;margin:.5rem 0;padding:.4rem .8rem}\
summary{cursor:pointer}summary b{display:inline-block;min-width:4.5rem;color:var(--accent)}\
.wide{overflow-x:auto}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;vertical-align:top;padding:.25rem .6rem .25rem 0;border-top:1px solid var(--line)}";

/// Of the start page.
pub(crate) const HOME: &str = "\
<p>This is a <strong>Palomar</strong> server: a self-hosted WhatsApp messaging engine. It sends, receives, follows up \
and measures WhatsApp conversations, loses no message and, by itself, sends none twice.</p>\
<ul><li><a href=\"/api/docs\">The API's reference</a> (<a href=\"/api/openapi.json\">as OpenAPI 3.1</a>)</li>\
<li><a href=\"/readyz\">Whether it is ready</a></li><li><a href=\"/metrics\">Its metrics</a></li></ul>\
<p>A first message, where address and data directory are the usual ones; the first start prints the line with its own:</p>\
<pre>curl -H \"Authorization: Bearer $(cat palomar-data/admin.key)\" \\\n     -H 'Content-Type: application/json' \\\n     \
-d '{\"channel\":\"demo\",\"to\":\"+34600111222\",\"type\":\"text\",\"content\":{\"text\":\"Hola\"}}' \\\n     \
http://127.0.0.1:8080/api/messages</pre>";

/// After a good sign-in link.
pub(crate) const LINK_GOOD: &str = "\
<p>It is used up now. This server has no pages to sign in to yet: all it does is in <a href=\"/api/docs\">the API</a> \
and in the command line.</p>\
<p>Both want a key. The first administrator's is in the file <code>admin.key</code> of the data directory; run \
where the server was started, <code>palomar</code> finds it by itself.</p>";

/// After any other link.
pub(crate) const LINK_BAD: &str = "\
<p>A sign-in link works once, and until the server is started again. A start in a terminal prints another.</p>\
<p>The first administrator's key is in the file <code>admin.key</code> of the data directory, on the server.</p>";

static POLICY: LazyLock<HeaderValue> = LazyLock::new(|| {
    let style = STANDARD.encode(Sha256::digest(STYLE.as_bytes()));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{style}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    );
    HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("default-src 'none'"))
});

/// A page; `title` is text, `body` is HTML of ours.
pub(crate) fn page(title: &str, body: &str) -> String {
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width,initial-scale=1\"><title>{title}</title>\
         <style>{STYLE}</style></head><body><h1>{title}</h1>{body}</body></html>\n"
    )
}

/// Answers with a page.
pub(crate) fn respond(status: StatusCode, page: impl Into<Body>) -> Response {
    let mut response = bytes(status, "text/html; charset=utf-8", page);
    response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, POLICY.clone());
    response
}

/// The API's reference, made from its document.
pub(crate) fn reference(document: &Value) -> String {
    let mut body = String::new();
    // Writing into a text does not fail.
    let _ = write_reference(&mut body, document);
    page("Palomar API", &body)
}

fn write_reference(out: &mut String, document: &Value) -> std::fmt::Result {
    write!(out, "{}", paragraphs(text(&document["info"]["description"])))?;
    write!(out, "<p><a href=\"/api/openapi.json\">The same as OpenAPI 3.1</a></p>")?;
    let mut tag = "";
    for (path, method, operation) in operations(document) {
        if text(&operation["tags"][0]) != tag {
            tag = text(&operation["tags"][0]);
            write!(out, "<h2>{}</h2>", escape(tag))?;
        }
        write!(
            out,
            "<details id=\"{}\"><summary><b>{}</b> <code>{}</code> {}</summary>{}",
            escape(text(&operation["operationId"])),
            method.to_uppercase(),
            escape(path),
            escape(text(&operation["summary"])),
            paragraphs(text(&operation["description"])),
        )?;
        write_parameters(out, &operation["parameters"])?;
        write_bodies(out, document, operation)?;
        write!(out, "</details>")?;
    }
    write!(out, "<h2>Errors</h2><div class=\"wide\"><table><tr><th>Status<th>Code<th>Meaning</tr>")?;
    for code in Code::ALL {
        let (status, code, title) = code.parts();
        write!(out, "<tr id=\"{code}\"><td>{}<td><code>{code}</code><td>{title}</tr>", status.as_u16())?;
    }
    write!(out, "</table></div>")
}

fn operations(document: &Value) -> impl Iterator<Item = (&str, &str, &Value)> {
    let paths = document["paths"].as_object().into_iter().flatten();
    paths.flat_map(|(path, item)| {
        let methods = item.as_object().into_iter().flatten();
        methods.map(move |(method, operation)| (path.as_str(), method.as_str(), operation))
    })
}

fn write_parameters(out: &mut String, parameters: &Value) -> std::fmt::Result {
    let Some(parameters) = parameters.as_array().filter(|parameters| !parameters.is_empty()) else {
        return Ok(());
    };
    write!(out, "<div class=\"wide\"><table><tr><th>Parameter<th>In<th>Meaning</tr>")?;
    for parameter in parameters {
        let (name, place) = (escape(text(&parameter["name"])), escape(text(&parameter["in"])));
        write!(
            out,
            "<tr><td><code>{name}</code><td>{place}<td>{}</tr>",
            escape(text(&parameter["description"]))
        )?;
    }
    write!(out, "</table></div>")
}

fn write_bodies(out: &mut String, document: &Value, operation: &Value) -> std::fmt::Result {
    if let Some(content) = operation["requestBody"]["content"].as_object() {
        for (kind, body) in content {
            write_body(out, document, &format!("Request body, {kind}"), &body["schema"])?;
        }
    }
    for (status, response) in operation["responses"].as_object().into_iter().flatten() {
        let of_errors = response["content"].get("application/problem+json").is_some();
        for (kind, body) in response["content"].as_object().into_iter().flatten().filter(|_| !of_errors) {
            let title = format!("{status}, {kind}: {}", text(&response["description"]));
            write_body(out, document, &title, &body["schema"])?;
        }
        if response.get("content").is_none() {
            write!(out, "<p>{status}: {}</p>", escape(text(&response["description"])))?;
        }
    }
    Ok(())
}

fn write_body(out: &mut String, document: &Value, title: &str, schema: &Value) -> std::fmt::Result {
    let schema = resolve(document, schema);
    let (schema, list) = if schema["type"] == "array" {
        (resolve(document, &schema["items"]), " (a list)")
    } else if schema["properties"]["nextCursor"].is_object() {
        (resolve(document, &schema["properties"]["items"]["items"]), " (a page)")
    } else {
        (schema, "")
    };
    write!(out, "<p>{}{list}</p>", escape(title))?;
    let parts = schema["allOf"].as_array().into_iter().flatten().chain([schema]);
    let mut members = parts.filter_map(|part| Some((part, part["properties"].as_object()?))).peekable();
    if members.peek().is_none() {
        return Ok(());
    }
    write!(out, "<div class=\"wide\"><table><tr><th>Member<th>Type<th>Meaning</tr>")?;
    for (part, (name, member)) in
        members.flat_map(|(part, members)| members.iter().map(move |member| (part, member)))
    {
        let required =
            part["required"].as_array().is_some_and(|names| names.iter().any(|required| required == name));
        let (mark, kind) = (if required { "" } else { "?" }, kind(member));
        let meaning = code_spans(&escape(text(&member["description"])));
        write!(out, "<tr><td><code>{}{mark}</code><td>{}<td>{meaning}</tr>", escape(name), escape(&kind))?;
    }
    write!(out, "</table></div>")
}

/// The schema itself where `schema` refers to one, or may be null.
fn resolve<'a>(document: &'a Value, schema: &'a Value) -> &'a Value {
    if let Some(options) = schema["oneOf"].as_array() {
        let real = options.iter().find(|option| option["type"] != "null");
        return real.map_or(schema, |option| resolve(document, option));
    }
    let name = schema["$ref"].as_str().and_then(|reference| reference.rsplit('/').next());
    name.map_or(schema, |name| &document["components"]["schemas"][name])
}

fn kind(schema: &Value) -> String {
    if let Some(reference) = schema["$ref"].as_str() {
        return reference.rsplit('/').next().unwrap_or_default().to_owned();
    }
    let name = match &schema["type"] {
        Value::Array(names) => {
            names.iter().map(text).filter(|name| *name != "null").collect::<Vec<_>>().join(" or ")
        }
        name => text(name).to_owned(),
    };
    match (name.as_str(), schema["items"].is_object()) {
        ("array", true) => format!("{}[]", kind(&schema["items"])),
        ("", _) => schema["oneOf"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|one| one["type"] != "null")
            .map(kind)
            .unwrap_or_default(),
        _ => name,
    }
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn paragraphs(text: &str) -> String {
    let paragraphs = text.split("\n\n").filter(|paragraph| !paragraph.trim().is_empty());
    paragraphs.map(|paragraph| format!("<p>{}</p>", code_spans(&escape(paragraph)))).collect()
}

/// Backticks become code; the text is escaped already.
fn code_spans(escaped: &str) -> String {
    let parts = escaped.split('`').enumerate();
    parts.map(|(n, part)| if n % 2 == 1 { format!("<code>{part}</code>") } else { part.to_owned() }).collect()
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            _ => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reference_names_every_operation_and_nothing_foreign() {
        let document = serde_json::to_value(crate::routes::router().into_openapi()).expect("json");
        let page = reference(&document);
        let operations = document["paths"].as_object().expect("paths").values();
        for operation in operations.flat_map(|item| item.as_object().expect("an item").values()) {
            let id = operation["operationId"].as_str().expect("an id");
            assert!(page.contains(&format!("id=\"{id}\"")), "{id}");
        }
        assert!(
            !page.contains("<script") && !page.contains("src=") && !page.contains("https://"),
            "self-contained"
        );
    }
}
