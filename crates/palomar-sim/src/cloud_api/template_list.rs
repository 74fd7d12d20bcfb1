//! `GET /{version}/{business account}/message_templates`: the account's templates, page by page. An account without any shows
//! a few, one of each standing.

use std::sync::Arc;

use axum::extract::{Path, Query, State};
use axum::http::HeaderMap;
use axum::response::Response;
use serde::Deserialize;
use serde_json::{Value, json};

use super::errors::GraphError;
use super::media::{prepare, respond};
use super::state::Simulator;
use super::template::Template;

/// Entries of a page where the request does not say, and at most.
const PAGE: usize = 25;
const MOST: usize = 100;

/// The parameters of the list.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    limit: Option<usize>,
    after: Option<String>,
    name: Option<String>,
}

pub(super) async fn list(
    State(simulator): State<Arc<Simulator>>,
    Path((version, account)): Path<(String, String)>,
    Query(asked): Query<Asked>,
    headers: HeaderMap,
) -> Response {
    let _underway = simulator.counters.begin();
    let outcome = async {
        prepare(&simulator, &version, None, &headers).await?;
        if account != simulator.config.business_account_id {
            return Err(GraphError::no_such_object("get", &account));
        }
        Ok(page(&entries(&simulator.config.templates), &asked))
    };
    respond(&simulator, outcome.await)
}

fn page(entries: &[Value], asked: &Asked) -> Value {
    let fits = |entry: &&Value| asked.name.as_ref().is_none_or(|name| entry["name"] == name.as_str());
    let entries: Vec<_> = entries.iter().filter(fits).collect();
    let from =
        asked.after.as_ref().and_then(|after| after.parse::<usize>().ok()).unwrap_or(0).min(entries.len());
    let to = (from + asked.limit.unwrap_or(PAGE).clamp(1, MOST)).min(entries.len());
    let mut paging = json!({"cursors": {"before": from.to_string(), "after": to.to_string()}});
    if to < entries.len() {
        paging["next"] = "https://graph.facebook.com/next".into();
    }
    json!({"data": &entries[from..to], "paging": paging})
}

/// An entry for each template and language.
fn entries(book: &[Template]) -> Vec<Value> {
    let shown = if book.is_empty() { shelf() } else { book.to_vec() };
    let all =
        shown.iter().flat_map(|template| template.languages.iter().map(move |language| (template, language)));
    (1..).zip(all).map(|(n, (template, language))| entry(n, template, language)).collect()
}

/// What an account without templates of its own shows.
fn shelf() -> Vec<Template> {
    let template = |name: &str, language: &str, body_parameters| Template {
        name: name.to_owned(),
        languages: vec![language.to_owned()],
        body_parameters,
        ..Template::default()
    };
    vec![
        template("hello_world", "en_US", 0),
        template("hola", "es", 1),
        template("promo_verano", "es", 2),
        template("stopped_oferta", "es", 1),
        template("disabled_oferta", "es", 1),
    ]
}

fn entry(n: u64, template: &Template, language: &str) -> Value {
    let magic = |prefix: &str| template.name.starts_with(prefix);
    let status = template.status.as_deref().unwrap_or(match () {
        () if magic("stopped") => "PAUSED",
        () if magic("disabled") => "DISABLED",
        () => "APPROVED",
    });
    let category = template.category.as_deref().unwrap_or(match () {
        () if magic("promo") || magic("marketing") => "MARKETING",
        () if magic("auth") => "AUTHENTICATION",
        () => "UTILITY",
    });
    let places: Vec<_> = (1..=template.body_parameters).map(|place| format!("{{{{{place}}}}}")).collect();
    let mut components = Vec::new();
    if let Some(header) = &template.header {
        components.push(json!({"type": "HEADER", "format": header.to_uppercase()}));
    }
    components.push(json!({"type": "BODY", "text": format!("{}: {}", template.name, places.join(", "))}));
    json!({
        "id": (1_200_000_000_000_000 + n).to_string(),
        "name": template.name,
        "language": language,
        "category": category,
        "status": status,
        "quality_score": {"score": if status == "APPROVED" { "GREEN" } else { "RED" }},
        "rejected_reason": "NONE",
        "components": components,
    })
}
