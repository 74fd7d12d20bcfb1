//! The routes, a file for each noun. Routing and OpenAPI document are one thing: what is registered is documented.

mod alerts;
mod analytics;
mod campaigns;
mod channels;
mod contacts;
mod conversations;
mod dead_letters;
mod events;
mod failed_webhooks;
mod health;
mod keys;
mod media;
mod messages;
mod pages;
mod queue_monitor;
mod rates;
mod segments;
mod send_jobs;
mod sessions;
mod submit;
mod suppressions;
mod templates;
mod webhooks;

use std::sync::Arc;

use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use crate::state::Api;

/// All routes.
pub(crate) fn router() -> OpenApiRouter<Arc<Api>> {
    OpenApiRouter::with_openapi(crate::openapi::info())
        .routes(routes!(submit::submit, messages::list))
        .routes(routes!(submit::bulk))
        .routes(routes!(messages::show, messages::cancel))
        .routes(routes!(messages::explain))
        .routes(routes!(messages::retry))
        .routes(routes!(messages::promote))
        .routes(routes!(messages::settle))
        .routes(routes!(media::show))
        .routes(routes!(queue_monitor::stats))
        .routes(routes!(queue_monitor::pause))
        .routes(routes!(queue_monitor::resume))
        .routes(routes!(queue_monitor::clear))
        .routes(routes!(queue_monitor::clean))
        .routes(routes!(dead_letters::list, dead_letters::purge))
        .routes(routes!(dead_letters::retry))
        .routes(routes!(channels::list, channels::create))
        .routes(routes!(channels::show, channels::update, channels::delete))
        .routes(routes!(channels::pause))
        .routes(routes!(channels::resume))
        .routes(routes!(channels::test))
        .routes(routes!(sessions::list, sessions::create))
        .routes(routes!(sessions::show, sessions::remove))
        .routes(routes!(sessions::qr))
        .routes(routes!(sessions::picture))
        .routes(routes!(sessions::open))
        .routes(routes!(sessions::close))
        .routes(routes!(sessions::restart))
        .routes(routes!(send_jobs::list, send_jobs::create, send_jobs::clean))
        .routes(routes!(send_jobs::stats))
        .routes(routes!(send_jobs::show))
        .routes(routes!(send_jobs::pause))
        .routes(routes!(send_jobs::resume))
        .routes(routes!(send_jobs::cancel))
        .routes(routes!(keys::list, keys::create))
        .routes(routes!(keys::revoke))
        .routes(routes!(conversations::list))
        .routes(routes!(conversations::show, conversations::update))
        .routes(routes!(conversations::messages, conversations::reply))
        .routes(routes!(campaigns::list, campaigns::create))
        .routes(routes!(campaigns::show, campaigns::update, campaigns::delete))
        .routes(routes!(campaigns::contacts))
        .routes(routes!(campaigns::start))
        .routes(routes!(campaigns::status))
        .routes(routes!(campaigns::pause))
        .routes(routes!(campaigns::resume))
        .routes(routes!(campaigns::stop))
        .routes(routes!(campaigns::resend))
        .routes(routes!(campaigns::preview))
        .routes(routes!(campaigns::test))
        .routes(routes!(campaigns::dry_run))
        .routes(routes!(campaigns::report))
        .routes(routes!(campaigns::recipients))
        .routes(routes!(campaigns::export))
        .routes(routes!(campaigns::metrics))
        .routes(routes!(rates::list, rates::add, rates::replace))
        .routes(routes!(analytics::messages))
        .routes(routes!(analytics::conversations))
        .routes(routes!(analytics::conversions, analytics::convert))
        .routes(routes!(analytics::track))
        .routes(routes!(analytics::campaigns))
        .routes(routes!(analytics::performance))
        .routes(routes!(analytics::timeseries))
        .routes(routes!(analytics::top))
        .routes(routes!(analytics::report))
        .routes(routes!(analytics::clean))
        .routes(routes!(events::follow))
        .routes(routes!(contacts::list, contacts::create))
        .routes(routes!(contacts::count))
        .routes(routes!(contacts::tag))
        .routes(routes!(contacts::import))
        .routes(routes!(contacts::export))
        .routes(routes!(contacts::show, contacts::update))
        .routes(routes!(segments::list, segments::create))
        .routes(routes!(segments::show, segments::update, segments::delete))
        .routes(routes!(suppressions::list, suppressions::create, suppressions::delete))
        .routes(routes!(suppressions::import))
        .routes(routes!(suppressions::export))
        .routes(routes!(templates::list))
        .routes(routes!(templates::pull))
        .routes(routes!(templates::preview))
        .routes(routes!(alerts::list))
        .routes(routes!(alerts::show))
        .routes(routes!(alerts::acknowledge))
        .routes(routes!(failed_webhooks::list))
        .routes(routes!(failed_webhooks::show))
        .routes(routes!(failed_webhooks::replay_all))
        .routes(routes!(failed_webhooks::reparse))
        .routes(routes!(failed_webhooks::replay))
        .routes(routes!(webhooks::verify, webhooks::receive))
        .routes(routes!(health::alive))
        .routes(routes!(health::ready))
        .routes(routes!(health::metrics))
        .routes(routes!(pages::openapi))
        .routes(routes!(pages::docs))
        .routes(routes!(pages::home))
        .routes(routes!(pages::login))
}

/// A page as it is answered: the entries, the next cursor, and the same as a `Link`.
pub(crate) fn page<T: serde::Serialize>(
    uri: &axum::http::Uri,
    page: &palomar_app::Page<T>,
) -> crate::state::Answer {
    let mut response = crate::state::ok(page)?;
    if let Some(link) = page.next_cursor.as_deref().and_then(|cursor| next_link(uri, cursor)) {
        response.headers_mut().insert(axum::http::header::LINK, link);
    }
    Ok(response)
}

/// `rel="next"`: the same query, with the next cursor.
fn next_link(uri: &axum::http::Uri, cursor: &str) -> Option<axum::http::HeaderValue> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.~".contains(c);
    let cursor: String = cursor
        .chars()
        .map(|c| {
            if plain(c) {
                c.to_string()
            } else {
                c.to_string().bytes().map(|byte| format!("%{byte:02X}")).collect()
            }
        })
        .collect();
    let rest = uri.query().unwrap_or_default().split('&');
    let rest = rest.filter(|part| !part.is_empty() && !part.starts_with("cursor="));
    let query: Vec<&str> = rest.collect();
    let separator = if query.is_empty() { "" } else { "&" };
    let link = format!("<{}?{}{separator}cursor={cursor}>; rel=\"next\"", uri.path(), query.join("&"));
    axum::http::HeaderValue::from_str(&link).ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn links_keep_the_query() {
        let link = |uri: &str| super::next_link(&uri.parse().expect("a URI"), "a/b=").expect("a header");
        assert_eq!(link("/api/messages"), "</api/messages?cursor=a%2Fb%3D>; rel=\"next\"");
        assert_eq!(link("/x?limit=2&cursor=old&q=a"), "</x?limit=2&q=a&cursor=a%2Fb%3D>; rel=\"next\"");
    }
}
