//! Events as they happen, as a stream of server-sent events.

use std::fmt::Write as _;
use std::sync::Arc;

use axum::Extension;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri, header};
use axum::response::Response;
use bytes::Bytes;
use futures_util::stream::unfold;
use palomar_app::{
    Caller, ConversationId, Event, EventFilter, EventId, Next, Room, Subscriber, Subscription, Transport,
};
use palomar_model::ChannelName;
use tokio_util::sync::CancellationToken;

use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::schema;
use crate::serve::Connection;
use crate::state::{Answer, Shared};

const LAST_EVENT_ID: HeaderName = HeaderName::from_static("last-event-id");

/// Follow events
///
/// A stream of server-sent events that does not end: what comes after the place that the client names, then what happens.
/// Each has its `id`, its type as `event`, and the event as JSON in `data`. `gap` says that something is missing, `dropped`
/// why the stream ends. The types are in docs/EVENTS.md.
#[utoipa::path(
    get, path = "/api/events", tag = "events", operation_id = "followEvents",
    params(
        ("channel" = Option<String>, Query, description = "Of this channel"),
        ("conversation" = Option<String>, Query, description = "Of this conversation"),
        ("types" = Option<String>, Query, description = "Of these types or families (`message.*`), a comma between two"),
        ("lastEventId" = Option<String>, Query, description = "The last event that the client has; `Last-Event-ID` goes before"),
        ("Last-Event-ID" = Option<String>, Header, description = "The last event that the client has"),
    ),
    responses(
        (status = 200, description = "The stream", body = schema::Event, content_type = "text/event-stream"),
        schema::Errors,
    ),
)]
pub(crate) async fn follow(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    connection: Option<Extension<Connection>>,
    uri: Uri,
    headers: HeaderMap,
) -> Answer {
    let mut params = Params::of(&uri)?;
    let filter = filter(&mut params)?;
    let since = since(&mut params, &headers)?;
    params.finish()?;
    let cut = connection.map_or_else(CancellationToken::new, |Extension(Connection(cut))| cut);
    let who = Subscriber { caller, filter, since, transport: Transport::Sse, cut };
    let subscription = api.app.follow(who).await?;
    let mut response = Response::new(stream(subscription));
    *response.status_mut() = StatusCode::OK;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
    // Proxies that gather what they pass on would hold events back.
    headers.insert(HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));
    Ok(response)
}

fn filter(params: &mut Params) -> Result<EventFilter, Problem> {
    let mut filter = EventFilter::default();
    let channel: Option<ChannelName> = params.read("channel", "a channel's name")?;
    let conversation: Option<ConversationId> = params.read("conversation", "a conversation's id")?;
    let room = match (channel, conversation) {
        (Some(channel), Some(conversation)) if channel != conversation.channel => {
            return Err(Problem::new(Code::BadQuery, "The parameter `conversation` is of another channel."));
        }
        (_, Some(conversation)) => Some(Room::Conversation(conversation)),
        (Some(channel), None) => Some(Room::Channel(channel)),
        (None, None) => None,
    };
    filter.rooms = room.map(|room| [room].into());
    for pattern in params.text("types")?.iter().flat_map(|types| types.split(',')).map(str::trim) {
        let unknown = |_| {
            let detail =
                "The parameter `types` must be types of events or families of them, such as message.*.";
            Problem::new(Code::BadQuery, detail)
        };
        filter.add_types(pattern).map_err(unknown)?;
    }
    Ok(filter)
}

/// The client's place. A browser that comes back says it in the header, and asks for the same address as before.
fn since(params: &mut Params, headers: &HeaderMap) -> Result<Option<EventId>, Problem> {
    let asked = params.read("lastEventId", "the id of an event, such as 1041-0")?;
    let Some(given) = headers.get(LAST_EVENT_ID).filter(|given| !given.is_empty()) else { return Ok(asked) };
    let place = given.to_str().ok().and_then(|text| text.parse().ok());
    let detail = "Last-Event-ID must be the id of an event, such as 1041-0.";
    place.map(Some).ok_or_else(|| Problem::new(Code::BadQuery, detail))
}

/// The stream: it begins with its place and how soon to come back, so that a client that is cut off early knows both.
fn stream(subscription: Subscription) -> Body {
    let opening = format!(": events\nretry: 2000\nid: {}\n\n", subscription.place());
    let state = (Some(Bytes::from(opening)), Some(subscription));
    Body::from_stream(unfold(state, async |(opening, subscription)| {
        let mut subscription = subscription?;
        if let Some(opening) = opening {
            return Some((Ok::<_, std::convert::Infallible>(opening), (None, Some(subscription))));
        }
        let next = subscription.next().await;
        let goes_on = !matches!(next, Next::Ended(_));
        let written = written(&next, subscription.place());
        Some((Ok(written), (None, goes_on.then_some(subscription))))
    }))
}

fn written(next: &Next, place: EventId) -> Bytes {
    let mut text = String::new();
    match next {
        Next::Events(events) => {
            text.reserve(events.iter().map(|event: &Arc<Event>| event.json.len() + 64).sum());
            for event in events {
                let _ = write!(text, "id: {}\nevent: {}\ndata: {}\n\n", event.id, event.kind, event.json);
            }
        }
        Next::Gap(gap) => {
            let json = serde_json::to_string(gap).unwrap_or_default();
            let _ = write!(text, "id: {}\nevent: gap\ndata: {json}\n\n", gap.next);
        }
        // Without data it is no event, but the client's place moves all the same.
        Next::Quiet => {
            let _ = write!(text, ": quiet\nid: {place}\n\n");
        }
        Next::Ended(why) => {
            let _ = write!(text, "event: dropped\ndata: {{\"reason\":\"{}\"}}\n\n", why.as_str());
        }
    }
    text.into()
}
