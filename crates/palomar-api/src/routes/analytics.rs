//! Analytics: what is asked of them, and what is told to them.

use std::time::Duration;

use axum::Extension;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri};
use palomar_app::{AnalyticsFilter, Asked, Caller, EventInput, EventTold, NewConversion, Range};
use palomar_model::analytics::{Bucket, Dimension, UnknownBucket, UnknownDimension};
use palomar_model::{UnknownZone, ZoneName};
use serde::{Deserialize, Serialize};

use super::queue_monitor::confirmed;
use crate::body::JsonBytes;
use crate::params::Params;
use crate::problem::{Code, Problem};
use crate::state::{Answer, Shared, ok};
use crate::{idempotency, schema};

/// A body of events may be so many times as large as others.
const EVENTS: usize = 10;
const CONVERSIONS: &str = "/api/analytics/conversions";

/// Events that are told.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Events {
    events: Vec<EventInput>,
}

/// What became of them.
#[derive(Serialize)]
struct Told {
    items: Vec<EventTold>,
}

/// A list with its range.
#[derive(Serialize)]
struct Listed<T> {
    #[serde(flatten)]
    range: Range,
    items: Vec<T>,
}

/// Something about a range.
#[derive(Serialize)]
struct Ranged<T> {
    #[serde(flatten)]
    range: Range,
    #[serde(flatten)]
    value: T,
}

/// Reads a parameter whose error says what may be there.
fn word<T, E>(params: &mut Params, name: &'static str) -> Result<Option<T>, Problem>
where
    T: std::str::FromStr<Err = E>,
    E: std::fmt::Display,
{
    let text = params.text(name)?;
    let read = |text: String| {
        text.parse()
            .map_err(|error: E| Problem::new(Code::BadQuery, format!("The parameter `{name}` {error}.")))
    };
    text.map(read).transpose()
}

fn asked(params: &mut Params) -> Result<Asked, Problem> {
    let zone = word::<ZoneName, UnknownZone>(params, "zone")?;
    Ok(Asked { period: params.text("period")?, from: params.time("from")?, to: params.time("to")?, zone })
}

fn filter(params: &mut Params) -> Result<AnalyticsFilter, Problem> {
    let mut filter = AnalyticsFilter::default();
    for dimension in Dimension::ALL {
        filter.only.extend(params.text(dimension.as_str())?.map(|part| (dimension, part)));
    }
    Ok(filter)
}

fn group(params: &mut Params) -> Result<Option<Dimension>, Problem> {
    word::<Dimension, UnknownDimension>(params, "groupBy")
}

/// What most questions have: a range and a filter.
fn question(api: &crate::state::Api, uri: &Uri) -> Result<(Range, AnalyticsFilter), Problem> {
    let mut params = Params::of(uri)?;
    let (asked, filter) = (asked(&mut params)?, filter(&mut params)?);
    params.finish()?;
    Ok((asked.range(api.app.now())?, filter))
}

/// Count messages
///
/// How often what happened, by the time at which it happened.
#[utoipa::path(
    get, path = "/api/analytics/messages", tag = "analytics", operation_id = "analyticsMessages",
    params(
        schema::RangeParams,
        ("groupBy" = Option<String>, Query, description = "`channel`, `campaign`, `template`, `type`, `country` or `priority`"),
    ),
    responses((status = 200, description = "Counts", body = schema::AnalyticsMessages), schema::Errors),
)]
pub(crate) async fn messages(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (asked, mut filter) = (asked(&mut params)?, filter(&mut params)?);
    filter.by = group(&mut params)?;
    params.finish()?;
    let range = asked.range(api.app.now())?;
    ok(&api.app.analytics_messages(range, &filter, &caller).await?)
}

/// Measure conversations
///
/// How many there were, and how people were answered. What a campaign sends is no answer.
#[utoipa::path(
    get, path = "/api/analytics/conversations", tag = "analytics", operation_id = "analyticsConversations",
    params(schema::RangeParams),
    responses((status = 200, description = "Counts", body = schema::AnalyticsConversations), schema::Errors),
)]
pub(crate) async fn conversations(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Answer {
    let (range, filter) = question(&api, &uri)?;
    let value = api.app.analytics_conversations(&range, &filter, &caller).await?;
    ok(&Ranged { range, value })
}

/// Count conversions
///
/// By kind and currency. Values of different currencies are never added up.
#[utoipa::path(
    get, path = CONVERSIONS, tag = "analytics", operation_id = "analyticsConversions",
    params(schema::RangeParams),
    responses((status = 200, description = "Counts", body = schema::AnalyticsList<schema::ConversionCount>), schema::Errors),
)]
pub(crate) async fn conversions(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Answer {
    let (range, filter) = question(&api, &uri)?;
    let items = api.app.analytics_conversions(&range, &filter, &caller).await?;
    ok(&Listed { range, items })
}

/// Tell a conversion
///
/// What a conversation led to. It counts once by its `id`, and is put down to the message that is named, else to the newest
/// that was sent to the person within the window; where there is none it is kept all the same.
#[utoipa::path(
    post, path = CONVERSIONS, tag = "analytics", operation_id = "createConversion",
    params(schema::IdempotencyKey),
    request_body = schema::NewConversion,
    responses((status = 201, description = "Kept", body = schema::Conversion), schema::Errors),
)]
pub(crate) async fn convert(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    headers: HeaderMap,
    body: JsonBytes,
) -> Answer {
    let key = idempotency::key(&headers, CONVERSIONS)?;
    let new: NewConversion = body.typed()?;
    let convert = async { Ok(api.app.convert(new, &caller).await?) };
    api.replays.create(&caller, key, &body.0, convert).await
}

/// Tell events of others
///
/// What happened to messages that something else sent: up to 10,000, in a body of up to ten times the usual size. Each counts
/// once, by its `id`.
#[utoipa::path(
    post, path = "/api/analytics/events", tag = "analytics", operation_id = "trackEvents",
    request_body = schema::TrackedEvents,
    responses((status = 200, description = "What became of each", body = schema::Tracked), schema::Errors),
)]
pub(crate) async fn track(State(api): Shared, request: Request) -> Answer {
    let limit = api.config.max_body.saturating_mul(EVENTS);
    let Events { events } = JsonBytes::within(request, limit).await?.typed()?;
    let items = api.app.track(events).await?;
    ok(&Told { items })
}

/// Count campaigns
///
/// Those that something happened to, the ones with the most messages sent first.
#[utoipa::path(
    get, path = "/api/analytics/campaigns", tag = "analytics", operation_id = "analyticsCampaigns",
    params(schema::RangeParams),
    responses((status = 200, description = "Counts", body = schema::AnalyticsList<schema::AnalyticsCampaign>), schema::Errors),
)]
pub(crate) async fn campaigns(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let (range, filter) = question(&api, &uri)?;
    let items = api.app.analytics_campaigns(&range, &filter, &caller).await?;
    ok(&Listed { range, items })
}

/// Measure performance
///
/// Throughput, failed attempts, and how long the ways of messages took.
#[utoipa::path(
    get, path = "/api/analytics/performance", tag = "analytics", operation_id = "analyticsPerformance",
    params(schema::RangeParams),
    responses((status = 200, description = "Measures", body = schema::AnalyticsPerformance), schema::Errors),
)]
pub(crate) async fn performance(
    State(api): Shared,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Answer {
    let (range, filter) = question(&api, &uri)?;
    let value = api.app.analytics_performance(&range, &filter, &caller).await?;
    ok(&Ranged { range, value })
}

/// Draw a time series
///
/// Of any count or time, in stretches of any length that is kept; where one is too fine the answer says the finest.
#[utoipa::path(
    get, path = "/api/analytics/timeseries", tag = "analytics", operation_id = "analyticsTimeSeries",
    params(
        schema::RangeParams,
        ("metric" = Option<String>, Query, description = "A count (`sent`, the default, …) or a time (`sent_to_delivered`, …); an unknown one is answered with all"),
        ("bucket" = Option<String>, Query, description = "`minute`, `15m`, `hour`, `day`, `week` or `month`"),
        ("percentile" = Option<u32>, Query, description = "Of a time: 95 where left out"),
        ("groupBy" = Option<String>, Query, description = "`channel`, `campaign`, `template`, `type`, `country` or `priority`"),
    ),
    responses((status = 200, description = "The series", body = schema::TimeSeries), schema::Errors),
)]
pub(crate) async fn timeseries(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (asked, mut filter) = (asked(&mut params)?, filter(&mut params)?);
    filter.by = group(&mut params)?;
    let metric = params.text("metric")?.unwrap_or_else(|| "sent".to_owned());
    let bucket = word::<Bucket, UnknownBucket>(&mut params, "bucket")?;
    let percentile = params.read("percentile", "a number from 1 to 100")?;
    params.finish()?;
    ok(&api.app.analytics_series(&metric, bucket, percentile, asked, &filter, &caller).await?)
}

/// List the busiest conversations
///
/// Those with the most messages, on the days (UTC) that the range touches.
#[utoipa::path(
    get, path = "/api/analytics/top-conversations", tag = "analytics", operation_id = "analyticsTopConversations",
    params(schema::RangeParams, ("limit" = Option<u32>, Query, description = "So many: 1 to 200, 10 by default")),
    responses((status = 200, description = "The busiest first", body = schema::AnalyticsList<schema::TopConversation>), schema::Errors),
)]
pub(crate) async fn top(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (asked, filter) = (asked(&mut params)?, filter(&mut params)?);
    let limit = params.read::<usize>("limit", "a number from 1 to 200")?.unwrap_or(10).clamp(1, 200);
    params.finish()?;
    let range = asked.range(api.app.now())?;
    let items = api.app.analytics_top(&range, &filter, limit, &caller).await?;
    ok(&Listed { range, items })
}

/// Make a report
///
/// Everything about a range, with the range of the same length before it to compare with.
#[utoipa::path(
    get, path = "/api/analytics/report", tag = "analytics", operation_id = "analyticsReport",
    params(schema::RangeParams, ("compare" = Option<bool>, Query, description = "With the range before")),
    responses((status = 200, description = "The report", body = schema::AnalyticsReport), schema::Errors),
)]
pub(crate) async fn report(State(api): Shared, Extension(caller): Extension<Caller>, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let (asked, filter) = (asked(&mut params)?, filter(&mut params)?);
    let compare = params.flag("compare")?;
    params.finish()?;
    ok(&api.app.analytics_report(asked, &filter, compare, &caller).await?)
}

/// Forget old analytics
///
/// What is past its retention, or older than `olderThan`. Messages stay. Needs `confirm=true`.
#[utoipa::path(
    delete, path = "/api/analytics", tag = "analytics", operation_id = "cleanAnalytics",
    params(
        ("olderThan" = Option<u32>, Query, description = "In days; the configured retention where left out"),
        ("confirm" = bool, Query, description = "Must be `true`"),
    ),
    responses((status = 200, description = "Forgotten", body = schema::Forgotten), schema::Errors),
)]
pub(crate) async fn clean(State(api): Shared, uri: Uri) -> Answer {
    let mut params = Params::of(&uri)?;
    let days: Option<u32> = params.read("olderThan", "a number of days")?;
    confirmed(&mut params)?;
    params.finish()?;
    let age = days.map(|days| Duration::from_secs(u64::from(days) * 86_400));
    let forgotten = api.app.analytics_cleanup(age).await?;
    ok(&serde_json::json!({ "forgotten": forgotten }))
}
