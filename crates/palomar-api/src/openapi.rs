//! The OpenAPI document: its frame, to which the handlers add their routes, and the whole as it is published.
//!
//! What always holds: what is published says what the routes are, since a test compares them. A process serves the text and
//! never builds the document, which costs megabytes.

use std::sync::LazyLock;

use axum::body::Bytes;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme};
use utoipa::openapi::{ComponentsBuilder, InfoBuilder, License, OpenApi, OpenApiBuilder};

/// The document as it is published.
pub(crate) const PUBLISHED: &str = include_str!("../openapi.json");

/// A page about it, made when the first asks for it.
pub(crate) fn reference() -> Bytes {
    static PAGE: LazyLock<Bytes> = LazyLock::new(|| {
        let document = serde_json::from_str(PUBLISHED).unwrap_or_default();
        Bytes::from(crate::html::reference(&document))
    });
    PAGE.clone()
}

const DESCRIPTION: &str = "\
Palomar sends, receives and follows up WhatsApp messages. All routes below `/api/` but the documents need \
`Authorization: Bearer <key>`; keys have a role (viewer, operator, admin) and may be bound to channels.

Errors are `application/problem+json` (RFC 9457) with a stable `code` and, for input, `errors: [{pointer, detail}]`. \
Unknown members and parameters are refused. JSON may be nested 64 deep and have 1 MiB; of equal names in \
one object the last counts in messages, in all other bodies they are refused.

A POST that creates may carry an `Idempotency-Key` (1 to 255 visible ASCII characters, quoted or bare): for 48 hours \
the same body gets the first answer again, with `Idempotency-Replayed: true`, another body 422.

Lists take `limit` (1 to 200, 50 by default) and `cursor`, and answer `{items, nextCursor}` and `Link: rel=\"next\"`. \
Every answer has an `X-Request-Id` (yours, where you send one); those below `/api/` say with `RateLimit-Policy` and \
`RateLimit` where the key stands. 429, 503 and 507 say with `Retry-After` when to come back.";

/// A document without routes.
pub(crate) fn info() -> OpenApi {
    let info = InfoBuilder::new()
        .title("Palomar API")
        .version(env!("CARGO_PKG_VERSION"))
        .description(Some(DESCRIPTION))
        .license(Some(License::new("MIT OR Apache-2.0")))
        .build();
    let key = SecurityScheme::Http(HttpBuilder::new().scheme(HttpAuthScheme::Bearer).build());
    OpenApiBuilder::new()
        .info(info)
        .components(Some(ComponentsBuilder::new().security_scheme("key", key).build()))
        .security(Some([SecurityRequirement::new("key", [] as [&str; 0])]))
        .build()
}

#[cfg(test)]
mod tests {
    /// The document as it is published. Where a change is meant: `PALOMAR_BLESS=1 cargo test -p palomar-api`.
    #[test]
    fn the_document_is_as_published() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.json");
        let document =
            serde_json::to_string_pretty(&crate::routes::router().into_openapi()).expect("json") + "\n";
        if std::env::var_os("PALOMAR_BLESS").is_some() {
            // What is compiled in is the text of before.
            return std::fs::write(path, &document).expect("written");
        }
        assert!(
            super::PUBLISHED == document,
            "openapi.json is not what the routes say; see the test's comment"
        );
    }
}
