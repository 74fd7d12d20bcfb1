//! The account's templates: `GET /{business account}/message_templates`, page by page.

use std::time::Duration;

use palomar_model::{ErrorClass, SendFailure};
use serde_json::Value;

use super::{CloudApi, CloudApiConfig, refused};
use crate::channel::BoxFuture;
use crate::http::{self, Answer};
use crate::templates::{KnownTemplate, TemplateSource};

const FIELDS: &str = "id,name,language,category,status,quality_score,rejected_reason,components";
/// Templates of a page: with all their parts they fit what is read of an answer.
const PAGE: &str = "50";
/// An account may have 6,000 templates; more pages than that are none.
const MOST_PAGES: usize = 200;
const ANSWER_WITHIN: Duration = Duration::from_secs(20);

impl TemplateSource for CloudApi {
    fn pull(&self) -> BoxFuture<'_, Result<Vec<KnownTemplate>, SendFailure>> {
        Box::pin(async move {
            let mut found = Vec::new();
            let mut after = None;
            for _ in 0..MOST_PAGES {
                let page = page(&self.ask(after.as_deref()).await?)?;
                found.extend(page.templates);
                after = page.after;
                if after.is_none() {
                    return Ok(found);
                }
            }
            Err(SendFailure::new(ErrorClass::Transient, "the list of templates does not end"))
        })
    }
}

impl CloudApi {
    async fn ask(&self, after: Option<&str>) -> Result<Answer, SendFailure> {
        let CloudApiConfig { base_url, version, business_account_id, token, .. } = &self.config;
        let account = business_account_id.as_ref().ok_or_else(|| {
            SendFailure::new(
                ErrorClass::Auth,
                "the channel's settings lack businessAccountId, the id of the WhatsApp business account",
            )
        })?;
        let base = base_url.trim_end_matches('/');
        let mut query = vec![("fields", FIELDS), ("limit", PAGE)];
        query.extend(after.map(|after| ("after", after)));
        let url = format!("{base}/{version}/{account}/message_templates");
        let url = reqwest::Url::parse_with_params(&url, &query)
            .map_err(|_| SendFailure::new(ErrorClass::Auth, "the channel's baseUrl is no address"))?;
        let request = self.client.get(url).timeout(ANSWER_WITHIN).bearer_auth(token.expose());
        let sent = request.send().await;
        let answer = http::read(
            sent.map_err(|_| SendFailure::new(ErrorClass::Transient, "the provider does not answer"))?,
        );
        let answer = answer.await;
        if answer.is_success() { Ok(answer) } else { Err(refused(&answer)) }
    }
}

struct Page {
    templates: Vec<KnownTemplate>,
    after: Option<String>,
}

/// Reads a page. An entry without a name or language is passed over: it could not be sent with.
fn page(answer: &Answer) -> Result<Page, SendFailure> {
    let unreadable = || SendFailure::new(ErrorClass::Transient, "the list of templates can't be read");
    if !answer.complete {
        return Err(unreadable());
    }
    let document: Value = serde_json::from_slice(&answer.body).map_err(|_| unreadable())?;
    let data = document.get("data").and_then(Value::as_array).ok_or_else(unreadable)?;
    // A cursor stands on the last page too; only `next` says that there is more.
    let more = document.pointer("/paging/next").is_some_and(|next| !next.is_null());
    let after = document.pointer("/paging/cursors/after").and_then(Value::as_str);
    Ok(Page {
        templates: data.iter().filter_map(template).collect(),
        after: after.filter(|_| more && !data.is_empty()).map(str::to_owned),
    })
}

fn template(entry: &Value) -> Option<KnownTemplate> {
    let text = |key: &str| entry.get(key).and_then(Value::as_str).map(str::to_owned);
    let said = |text: &String| !text.is_empty() && text != "NONE" && text != "UNKNOWN";
    Some(KnownTemplate {
        id: text("id").unwrap_or_default(),
        name: text("name").filter(|name| !name.is_empty())?,
        language: text("language").filter(|language| !language.is_empty())?,
        category: text("category").unwrap_or_default(),
        status: text("status").unwrap_or_default(),
        quality: entry
            .pointer("/quality_score/score")
            .and_then(Value::as_str)
            .map(str::to_owned)
            .filter(said),
        reason: text("rejected_reason").filter(said),
        components: entry.get("components").cloned().unwrap_or(Value::Array(Vec::new())),
    })
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use reqwest::header::HeaderMap;
    use serde_json::json;

    use super::*;

    fn read(body: &Value) -> Result<Page, SendFailure> {
        let body = Bytes::from(body.to_string());
        page(&Answer { status: 200, headers: HeaderMap::new(), body, complete: true })
    }

    #[test]
    fn pages_are_read_and_only_next_means_more() {
        let entry = json!({
            "id": "1", "name": "oferta", "language": "es", "category": "MARKETING", "status": "PAUSED",
            "quality_score": {"score": "RED"}, "rejected_reason": "NONE", "components": [{"type": "BODY", "text": "Hola {{1}}"}]
        });
        let cursors = json!({"before": "a", "after": "b"});
        let last = read(&json!({"data": [entry, {"name": "x"}, 7], "paging": {"cursors": cursors}}))
            .expect("a page");
        assert_eq!(last.after, None);
        let [template] = &last.templates[..] else { panic!("one") };
        assert_eq!((template.status.as_str(), template.quality.as_deref()), ("PAUSED", Some("RED")));
        assert_eq!(template.reason, None);
        let more = json!({"data": [entry], "paging": {"cursors": cursors, "next": "https://elsewhere/"}});
        assert_eq!(read(&more).expect("a page").after.as_deref(), Some("b"));
        let empty = json!({"data": [], "paging": {"cursors": cursors, "next": "x"}});
        assert_eq!(read(&empty).expect("a page").after, None);
        for bad in [json!([]), json!({"data": {}}), json!("x")] {
            assert!(read(&bad).is_err(), "{bad}");
        }
    }
}
