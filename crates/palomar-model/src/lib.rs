//! The vocabulary of Palomar: ids, times, recipients, content, messages, error classes, events.
//!
//! Everything here is a value or a function of values. No clock, no randomness, no I/O, no async: this crate does
//! not depend on anything that could do it.

pub mod analytics;
pub mod attribute;
mod campaign;
mod content;
mod daily;
mod event;
mod failure;
mod field;
pub mod filter;
mod hours;
mod id;
mod inbound;
mod keyword;
mod news;
mod outbound;
mod phone;
mod priority;
mod recipient;
mod recurrence;
mod retry;
mod secret;
mod send_job;
mod state;
pub mod template;
#[cfg(test)]
mod testing;
mod time;
mod trace;

pub use campaign::{CampaignOrder, CampaignPlace, CampaignState, NotFromHere, Ordered, Pause, PauseCause};
pub use content::{
    Button, ButtonAction, Component, ComponentKind, ContactAddress, ContactCard, ContactEmail, ContactName,
    ContactOrg, ContactPhone, ContactUrl, Contacts, Content, ContentKind, CtaUrlAction, Currency, DateTime,
    FlowAction, FlowMode, Header, Interactive, InteractiveAction, ListAction, Location, Media, MediaSource,
    Parameter, Poll, Reaction, Row, Section, Template, Text, Words,
};
pub use daily::{Daily, portion};
pub use event::{ChannelEvent, Received};
pub use failure::{ErrorClass, Scope, SendFailure};
pub use field::{Checks, FieldError};
pub use hours::{Day, DayTime, NoDayTime, NoHours, SendingHours, UnknownZone, ZoneName};
pub use id::{ChannelName, IdGenerator, InvalidName, InvalidTag, MessageId, ProviderMessageId, Tag};
pub use inbound::{
    Author, CallPermission, Change, Choice, Echo, FlowReply, Forwarded, InboundContent, InboundLocation,
    InboundMedia, InboundMessage, InboundPoll, InboundWords, MediaNews, MediaProgress, MessageChange, Order,
    OrderItem, Product, ProviderError, Referral, Sender, SharedContact, SharedContacts, Status, StatusReport,
    SystemKind, SystemMessage, Tally, Unsupported,
};
pub use keyword::keyword;
pub use news::{
    ChannelNews, ConnectionState, NewRecipients, PersonNews, Preference, QrCode, Standing, TemplateChange,
    TemplateNews, Wish,
};
pub use outbound::{DecodeError, HoursThere, OnUncertain, Outbound, Provider, UnknownWord};
pub use phone::{Phone, PhoneError};
pub use priority::{Priority, UnknownPriority};
pub use recipient::{Bsuid, Recipient};
pub use recurrence::{Recurrence, RecurrenceInput};
pub use retry::{DeadReason, HoldReason, NextStep, RetryPolicy, Tries, after_attempt};
pub use secret::Secret;
pub use send_job::{NotNow, SendJobOrder, SendJobState};
pub use state::{Applied, Fact, MessageState, ReportedStatus, Unchanged, UnknownState};
pub use time::{Clock, InvalidTimestamp, ManualClock, Timestamp};
pub use trace::{InvalidTrace, TraceId};
