//! The `Idempotency-Key` header, quoted (as the IETF draft says) or bare (as everybody writes it).

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use palomar_app::IdempotencyKey;
use serde::Serialize;

use crate::problem::{Code, Problem};
use crate::state::{Answer, json};

const KEY: HeaderName = HeaderName::from_static("idempotency-key");

/// The answer to a request that made something, or whose like made it before.
pub(crate) fn created(made: &impl Serialize, replayed: bool) -> Answer {
    let mut answer = json(StatusCode::CREATED, made)?;
    if replayed {
        mark_replayed(answer.headers_mut());
    }
    Ok(answer)
}

/// Says that the answer was given before.
pub(crate) fn mark_replayed(headers: &mut HeaderMap) {
    headers.insert(HeaderName::from_static("idempotency-replayed"), HeaderValue::from_static("true"));
}

/// The key of a request to `path`, where it has one.
pub(crate) fn key(headers: &HeaderMap, path: &str) -> Result<Option<IdempotencyKey>, Problem> {
    let bad = |why: &'static str| Problem::new(Code::BadIdempotencyKey, why);
    let mut given = headers.get_all(KEY).iter();
    let Some(first) = given.next() else {
        return Ok(None);
    };
    if given.next().is_some() {
        return Err(bad("There are two Idempotency-Key headers."));
    }
    let text =
        first.to_str().map_err(|_| bad("An Idempotency-Key has visible ASCII characters only."))?.trim();
    let key = match text.strip_prefix('"') {
        Some(rest) => {
            rest.strip_suffix('"').ok_or_else(|| bad("The quote of the Idempotency-Key is not closed."))?
        }
        None => text,
    };
    if key.is_empty() || key.len() > 255 {
        return Err(bad("An Idempotency-Key has 1 to 255 characters."));
    }
    if !key.bytes().all(|c| (b' '..=b'~').contains(&c) && c != b'"') {
        return Err(bad("An Idempotency-Key has visible ASCII characters only, and no quotes inside."));
    }
    Ok(Some(IdempotencyKey { key: key.to_owned(), path: path.to_owned() }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_and_bare_are_the_same_key() {
        let read = |values: &[&str]| {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(KEY, HeaderValue::from_bytes(value.as_bytes()).expect("a header"));
            }
            key(&headers, "/x").map(|key| key.map(|key| key.key)).map_err(|problem| problem.code())
        };
        let long = "k".repeat(255);
        assert_eq!(read(&[]), Ok(None));
        for (text, expected) in [("abc", "abc"), ("\"abc\"", "abc"), (" a b ", "a b"), (&*long, &*long)] {
            assert_eq!(read(&[text]), Ok(Some(expected.to_owned())), "{text}");
        }
        for bad in ["", "\"\"", "\"abc", "a\"b", "ñ", &format!("{long}k")] {
            assert_eq!(read(&[bad]), Err(Code::BadIdempotencyKey), "{bad}");
        }
        assert_eq!(read(&["a", "b"]), Err(Code::BadIdempotencyKey));
    }
}
