//! What Palomar does: takes messages in and sends them, takes webhooks in and reads them, keeps records of both, and
//! lets people give orders.
//!
//! ```text
//! campaigns ─> broker: campaigns/_batches ──> their messages, as below
//! submit ──> broker: outbound/<channel> ──> outbound: one attempt ──┐
//!                                                                    ├──> broker: event log ──> projector ──> records
//! receive ─> broker: inbound/<channel> ───> inbound: what it says ──┤
//!              └─> broker: media/<channel> ─> media: its bytes ───────┘
//! ```
//!
//! Always: what must not be lost is a job before anybody is told "accepted"; what became of a job and what was learned
//! from it are one atomic step of the broker; records are written by the projector alone.

mod alerts;
mod analytics;
mod app;
mod attempt;
mod audience;
mod campaigns;
mod channels;
mod consent;
mod conversations;
mod dead_letters;
mod disk;
mod doubt;
mod error;
mod event;
mod events;
mod hooks;
mod identity;
mod inbound;
mod intake;
mod keys;
mod logs;
mod media;
mod messages;
mod metrics;
mod nodes;
mod outbound;
mod payload;
mod pools;
mod projector;
mod queues;
mod rates;
mod readiness;
mod reparse;
mod reports;
mod request;
mod retry;
mod send_jobs;
mod sessions;
mod setup;
mod sheet;
mod spool;
mod submit;

pub use alerts::{AlertConfig, AlertView};
pub use analytics::{
    AnalyticsConfig, Asked, ConversationCounts, ConversionCount, ConversionKept, EventInput, EventTold,
    Filter as AnalyticsFilter, MessageCounts, MessagesView, NewConversion, Performance, Point, Range, Report,
    SeriesView, TimeSeries, Times, TopConversation,
};
pub use app::{App, AppConfig, StartError};
pub use audience::{
    Body, Chosen, FileKind, Import, ImportCounts, ImportLine, ImportOptions, KeptContact, NewSegment,
    Preview, PreviewVariable, RefusedRow, SegmentPatch, TemplateStanding, read_attributes, read_values,
};
pub use campaigns::{
    AudienceInput, AutoPause, CampaignAnswer, CampaignConfig, CampaignMetrics, CampaignPatch,
    CampaignPreview, CampaignReport, CampaignView, ContactsAdded, Definition, DryRun, DryRunRecipient,
    FollowUp, FollowUpInput, FollowUpReport, FollowWhen, MOST_CONTACTS, MadeCampaign, NewCampaign, NewResend,
    OutsideWindow, PlanInput, QueueMetrics, QueueProgress, QueueStatus, RecipientResult, Resend, RunOf,
    StartAnswer, SystemMetrics, TestSend, Variant, VariantInput, VariantReport, WorstQuality,
};
pub use channels::{
    BudgetInput, ChannelPatch, ChannelTest, ChannelView, LimitsInput, NewChannel, PROFILES, PairInput,
    ProviderFactory, Providers, WindowInput,
};
pub use consent::ConsentWords;
pub use conversations::{NewSuppression, ReplyTo};
pub use dead_letters::{DeadLetterFilter, DeadLetterView};
pub use disk::{DiskRoom, StoreReading, StoreSource};
pub use error::AppError;
pub use event::AppEvent;
pub use events::{
    Dropped, Event, EventFilter, EventId, EventType, Gap, MAX_EVENT, MOST_CLIENTS, Next, NoEventId, NoRoom,
    Room, Subscriber, Subscription, Transport, UnknownPattern,
};
pub use hooks::{Hook, HookSecret, NoticeNumber};
pub use identity::{IdempotencyKey, fingerprint};
pub use intake::{IntakeAnswer, MAX_WEBHOOK, WebhookRequest};
pub use keys::{Caller, CreatedKey, KeyRefused, KeyView, NewKey, Role};
pub use logs::{Quiet, micros};
pub use media::{MediaConfig, MediaError, Tidied};
pub use messages::{ExplainView, HoldView, MAX_PAGE, MessageDetail, StateView};
pub use metrics::{LogLines, Metrics};
pub use nodes::{NodeRole, NodeView};
pub use queues::{
    BudgetView, ByPriority, ControlView, Deduplication, EffectiveLimits, JobCounts, PairView, QueueMonitor,
    QueueView, WindowView,
};
pub use rates::{Amount, Cost, CostLine, RateView};
pub use readiness::{Check, Health, Readiness};
pub use reparse::Reparsed;
pub use reports::{NoReportKind, ReportConfig, ReportKind, ReportWriter};
pub use request::NewMessage;
pub use send_jobs::{
    MadeSendJob, NewSendJob, SendJobAnswer, SendJobCounts, SendJobProgress, SendJobQueue, SendJobStats,
    SendJobView,
};
pub use sessions::{NewSession, QrView, SessionView};
pub use sheet::{CsvFault, CsvReader, CsvRow, Encoding};
pub use spool::{SpoolSource, SpoolView, refused_later};
pub use submit::{MAX_BATCH, RowInput, RowResult, Submitted};

pub use palomar_broker::{JobState, Resolution};
pub use palomar_media::{HandOut, Part, S3Config, hand_out};
pub use palomar_records::{
    AudienceContact, CampaignFilter, ChangesView, ConsentChange, ContactChange, ContactConsent,
    ContactFilter, ContactView, ConversationFilter, ConversationId, ConversationPatch, ConversationView,
    Direction, FailedWebhookView, MediaRecord, MediaState, MediaView, MessageFilter, MessageStatus,
    MessageView, Page, ProviderTemplate, Segment, SendJobFilter, Suppression, SuppressionReason,
    TimelineEntry,
};
pub use palomar_web::{
    BrowserConfig, Command as SessionCommand, Means, PageFile, Pool, PoolConfig, PoolError, Sandbox, print,
};
