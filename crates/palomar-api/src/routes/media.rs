//! The bytes that came with messages, as something that is looked at or saved, never as something that acts.

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use palomar_app::{Caller, MediaRecord, MediaState, Part, hand_out};

use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::state::{Answer, PathMedia, Shared};

/// What is being fetched is asked for again after so many seconds.
const ASK_AGAIN: u32 = 5;

/// Get media
///
/// The bytes that came with a message; `media` of the message says their id and how far they are. The type is that of the
/// bytes, pictures, sound and film are `inline`, everything else is an `attachment`. One `Range` is understood. 409
/// `media_pending` with `Retry-After` while they are fetched, 404 where they could not be, 410 `gone` when their time is
/// over, 409 `media_elsewhere` where another node has them on its own disk.
#[utoipa::path(
    get, path = "/api/media/{id}", tag = "messages", operation_id = "getMedia",
    params(("id" = uuid::Uuid, Path, description = "The medium")),
    responses(
        (status = 200, description = "The bytes", body = String, content_type = "application/octet-stream"),
        (status = 206, description = "The range of them", body = String, content_type = "application/octet-stream"),
        (status = 304, description = "As in `If-None-Match`"),
        schema::Errors,
    ),
)]
pub(crate) async fn show(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    PathMedia(id): PathMedia,
    uri: Uri,
    asked: HeaderMap,
) -> Answer {
    Params::none(&uri)?;
    let media = api.app.media(id, &caller).await?;
    let size = stored_size(&media)?;
    let tag = format!("\"{}\"", media.view.sha256.as_deref().unwrap_or_default());
    let said = |name: HeaderName| asked.get(name).and_then(|value| value.to_str().ok());
    let mut response = Response::new(Body::empty());
    describe(response.headers_mut(), &media, &tag);
    if said(header::IF_NONE_MATCH)
        .is_some_and(|known| known == "*" || known.split(',').any(|one| one.trim() == tag))
    {
        *response.status_mut() = StatusCode::NOT_MODIFIED;
        return Ok(response);
    }
    let range = said(header::RANGE).filter(|_| said(header::IF_RANGE).is_none_or(|known| known == tag));
    let part = match range.map_or(Asked::Whole, |range| asked_part(range, size)) {
        Asked::Whole => Part { first: 0, length: size },
        Asked::Part(part) => {
            *response.status_mut() = StatusCode::PARTIAL_CONTENT;
            let last = part.first + part.length - 1;
            set(
                response.headers_mut(),
                header::CONTENT_RANGE,
                &format!("bytes {}-{last}/{size}", part.first),
            );
            part
        }
        Asked::Beyond => {
            let detail = format!("The range begins beyond its {size} bytes.");
            return Err(Problem::new(Code::BadRange, detail));
        }
    };
    let bytes = api.app.media_bytes(&media, part).await?;
    set(response.headers_mut(), header::CONTENT_LENGTH, &part.length.to_string());
    *response.body_mut() = Body::from_stream(bytes);
    Ok(response)
}

/// How large it is, where it can be had.
fn stored_size(media: &MediaRecord) -> Result<u64, Problem> {
    let view = &media.view;
    match view.state {
        MediaState::Stored => Ok(view.size.unwrap_or(0)),
        MediaState::Pending => {
            let detail = "It is being fetched from the provider; ask again in a moment.";
            Err(Problem::new(Code::Conflict("media_pending"), detail).retry_after(ASK_AGAIN))
        }
        MediaState::Failed => {
            let why = view.error.as_deref().unwrap_or("unknown");
            let detail = format!(
                "It could not be fetched: {why}. Its job is a dead letter of the queue media/{}.",
                media.channel
            );
            Err(Problem::new(Code::NotFound, detail))
        }
        MediaState::Deleted => {
            Err(Problem::new(Code::Gone, "It was kept as long as [media] keep says, and is deleted."))
        }
    }
}

/// What is said of the bytes. They do nothing wherever they are opened.
fn describe(headers: &mut HeaderMap, media: &MediaRecord, tag: &str) {
    let out = hand_out(media.view.r#type.as_deref().unwrap_or_default(), media.view.filename.as_deref());
    set(headers, header::CONTENT_TYPE, out.content_type);
    set(headers, header::CONTENT_DISPOSITION, &out.disposition);
    set(headers, header::ETAG, tag);
    set(headers, header::ACCEPT_RANGES, "bytes");
    set(headers, header::CONTENT_SECURITY_POLICY, "sandbox; default-src 'none'");
    set(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    set(headers, header::CACHE_CONTROL, "private, max-age=3600");
}

fn set(headers: &mut HeaderMap, name: HeaderName, value: &str) {
    // What is said here is visible ASCII.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}

/// What of something is asked for.
#[derive(Debug, PartialEq, Eq)]
enum Asked {
    Whole,
    Part(Part),
    Beyond,
}

/// One range of bytes. What is no such, or several, means the whole, as HTTP says.
fn asked_part(range: &str, size: u64) -> Asked {
    let bounds = range.strip_prefix("bytes=").and_then(|range| range.trim().split_once('-'));
    let number = |text: &str| -> Option<u64> {
        (!text.is_empty() && text.bytes().all(|c| c.is_ascii_digit()))
            .then(|| text.parse().unwrap_or(u64::MAX))
    };
    match bounds.map(|(first, last)| (first, number(first), last, number(last))) {
        // The last so many.
        Some(("", _, _, Some(0))) => Asked::Beyond,
        Some(("", _, _, Some(count))) => {
            let length = count.min(size);
            if size == 0 { Asked::Beyond } else { Asked::Part(Part { first: size - length, length }) }
        }
        Some((_, Some(first), last, end)) if last.is_empty() || end.is_some_and(|end| end >= first) => {
            if first >= size {
                return Asked::Beyond;
            }
            let last = end.unwrap_or(u64::MAX).min(size - 1);
            Asked::Part(Part { first, length: last - first + 1 })
        }
        _ => Asked::Whole,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        let part = |first, length| Asked::Part(Part { first, length });
        for (range, size, expected) in [
            ("bytes=0-9", 100, part(0, 10)),
            ("bytes=90-", 100, part(90, 10)),
            ("bytes=90-1000", 100, part(90, 10)),
            ("bytes=0-99999999999999999999", 100, part(0, 100)),
            ("bytes=-10", 100, part(90, 10)),
            ("bytes=-1000", 100, part(0, 100)),
            ("bytes=99-99", 100, part(99, 1)),
            ("bytes=100-", 100, Asked::Beyond),
            ("bytes=99999999999999999999-", 100, Asked::Beyond),
            ("bytes=-0", 100, Asked::Beyond),
            ("bytes=0-", 0, Asked::Beyond),
            ("bytes=-5", 0, Asked::Beyond),
            ("bytes=9-0", 100, Asked::Whole),
            ("bytes=0-1,3-4", 100, Asked::Whole),
            ("bytes=a-b", 100, Asked::Whole),
            ("bytes=-", 100, Asked::Whole),
            ("items=0-1", 100, Asked::Whole),
            ("", 100, Asked::Whole),
        ] {
            assert_eq!(asked_part(range, size), expected, "{range} of {size}");
        }
    }
}
