//! The shapes of requests and answers as the OpenAPI document shows them.
//!
//! What is read and written are the application's own types; these describe them to strangers and are never made.
//! The tests compare every answer that they see with its description here.

#![expect(dead_code, reason = "descriptions")]

mod alerts;
mod analytics;
mod campaigns;
mod channels;
mod contacts;
mod conversations;
mod events;
mod messages;
mod queues;
mod rates;
mod send_jobs;
mod sessions;

use std::collections::BTreeMap;

use utoipa::{IntoParams, IntoResponses, ToSchema};

use crate::problem::ProblemDocument;

pub(crate) use alerts::Alert;
pub(crate) use analytics::{
    AnalyticsCampaign, AnalyticsConversations, AnalyticsList, AnalyticsMessages, AnalyticsPerformance,
    AnalyticsReport, Conversion, ConversionCount, Forgotten, NewConversion, RangeParams, TimeSeries,
    TopConversation, Tracked, TrackedEvents,
};
pub(crate) use campaigns::{
    Campaign, CampaignAudience, CampaignDryRun, CampaignOrdered, CampaignPatch, CampaignPreviews,
    CampaignQueueMetricsAnswer, CampaignRecipient, CampaignReport, CampaignResend, CampaignStarted,
    CampaignStatusAnswer, CampaignTest, CampaignTested, ContactsAdded, NewCampaign,
};
pub(crate) use channels::{
    ApiKey, Channel, ChannelPatch, ChannelTest, CreatedKey, FailedWebhook, LimitBudget, LimitPair,
    LimitWindow, NewChannel, NewKey,
};
pub(crate) use contacts::{ContactConsent, Count, ImportLine, Preview, Segment, Templates};
pub(crate) use conversations::{Contact, Conversation, Reparsed, Replayed, Suppression};
pub(crate) use events::Event;
pub(crate) use messages::{Explanation, Message, MessageDetail, MessageState, NewMessage, Submitted};
pub(crate) use queues::{
    Cleaned, Cleared, Control, DeadLetter, EffectiveLimits, Paused, QueueStats, Resumed,
};
pub(crate) use rates::Rates;
pub(crate) use send_jobs::{NewSendJob, SendJob, SendJobOrdered, SendJobStats, SendJobsCleaned};
pub(crate) use sessions::{NewSession, Session, SessionQr};

/// The header that makes a request safe to repeat.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(crate) struct IdempotencyKey {
    /// Makes the request safe to repeat: 1 to 255 visible ASCII characters, quoted or bare.
    #[param(rename = "Idempotency-Key")]
    key: Option<String>,
}

/// The parameters of a list.
#[derive(IntoParams)]
#[into_params(parameter_in = Query)]
pub(crate) struct PageParams {
    /// So many entries at most.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `nextCursor` of the page before.
    cursor: Option<String>,
}

/// What every route may answer.
#[derive(IntoResponses)]
pub(crate) enum Errors {
    /// The request was refused; `code` says why.
    #[response(status = "4XX", content_type = "application/problem+json")]
    Refused(ProblemDocument<'static>),
    /// The server could not do it; `Retry-After` says when to come back.
    #[response(status = "5XX", content_type = "application/problem+json")]
    Failed(ProblemDocument<'static>),
}

/// One thing that is wrong with the input.
#[derive(ToSchema)]
pub(crate) struct FieldError {
    /// JSON pointer into what was sent; empty for the whole.
    pointer: String,
    /// What is wrong, for people.
    detail: String,
}

/// A page of a list.
#[derive(ToSchema)]
#[schema(rename_all = "camelCase")]
pub(crate) struct Page<T> {
    items: Vec<T>,
    /// Pass it as `cursor` for the next page; null on the last one.
    next_cursor: Option<String>,
}

/// The process lives.
#[derive(ToSchema)]
pub(crate) struct Alive {
    /// `pass`.
    status: String,
}

/// Whether the process can do its work.
#[derive(ToSchema)]
pub(crate) struct Readiness {
    /// `pass`, `warn` or `fail`.
    status: String,
    checks: BTreeMap<String, Check>,
    /// The level that answers are durable at (GUARANTEES §9).
    durability: String,
}

/// One thing that was looked at.
#[derive(ToSchema)]
pub(crate) struct Check {
    status: String,
    detail: String,
}
