//! The audience of campaigns: contacts as the business knows them, who of them is meant, and how that is written.
//!
//! What always holds: a page is found by the contacts' ids, so that a million of them take the memory of one page, and
//! whoever comes while it is read moves nobody; a filter is run as SQL with bound values and means what
//! [`Filter::matches`] says; what people of the business say of somebody is written under the projection's turn.

mod filter;
mod page;
mod write;

pub(crate) use filter::sql;

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use palomar_model::attribute::{AttributeMap, AttributeName, AttributeValue, Tag};
use palomar_model::filter::{Facts, Filter};
use palomar_model::template::Attributes;
use palomar_model::{Bsuid, ChannelName, Phone, Recipient, Timestamp};
use serde::Serialize;

use crate::error::Result;
use crate::store::Patience;
use crate::tables::cursors;
use crate::tables::page::Page;
use crate::tables::profiles::ContactConsent;
use crate::tables::provider_templates::{self, ProviderTemplate};
use crate::tables::segments::{self, Segment};
use crate::tables::suppressions::SuppressionReason;
use crate::{PROJECTION, Records};

pub use write::{ConsentChange, ContactChange, NewContact, Put};

/// Which contacts are meant.
#[derive(Clone, Debug)]
pub enum Whom {
    /// All.
    All,
    /// Those whom a filter means.
    Filter(Filter),
    /// These.
    Ids(ContactIds),
}

/// Ids of contacts, in their order and each once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ContactIds(Arc<[String]>);

impl FromIterator<String> for ContactIds {
    fn from_iter<I: IntoIterator<Item = String>>(ids: I) -> ContactIds {
        let ids: BTreeSet<String> = ids.into_iter().collect();
        ContactIds(ids.into_iter().collect())
    }
}

impl ContactIds {
    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The next `limit` of them after one.
    fn after(&self, after: Option<&str>, limit: usize) -> &[String] {
        let from = after.map_or(0, |after| self.0.partition_point(|id| id.as_str() <= after));
        &self.0[from..self.0.len().min(from.saturating_add(limit))]
    }
}

/// A stretch of an audience.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct AudiencePage {
    /// The contacts, in the order of the ids that they were asked for by.
    pub contacts: Vec<AudienceContact>,
    /// Ids that were asked for and that no contact has.
    pub unknown: Vec<String>,
    /// What to ask for the next stretch with; none at the end. There may be more where this one has nobody.
    pub next: Option<String>,
}

/// Somebody as a campaign needs them.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AudienceContact {
    /// Their id.
    pub id: String,
    /// What the business calls them, else the name in their profile.
    pub name: Option<String>,
    /// Their phone numbers, in E.164.
    pub phones: Vec<String>,
    /// Their business-scoped user ids.
    pub bsuids: Vec<String>,
    /// What is known of them.
    pub attributes: AttributeMap,
    /// The words that people sort them by.
    pub tags: BTreeSet<Tag>,
    /// Whether they agreed to be written to.
    pub consent: ContactConsent,
    /// Where nothing is sent to them, and why.
    pub suppressed: Vec<SuppressedOn>,
    /// The conversations with them.
    pub conversations: Vec<ConversationFacts>,
    /// When they became known.
    pub created_at: Timestamp,
}

/// Where nothing is sent to somebody, and why.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SuppressedOn {
    /// On which channel; on all where not said.
    pub channel: Option<ChannelName>,
    /// Why.
    pub reason: SuppressionReason,
}

/// What a conversation says of somebody.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationFacts {
    /// The channel.
    pub channel: ChannelName,
    /// When they wrote last.
    pub last_inbound_at: Option<Timestamp>,
    /// Until when free text may be sent.
    pub window_until: Option<Timestamp>,
    /// Words that people sort by.
    pub labels: BTreeSet<String>,
}

impl AudienceContact {
    /// Whom a message goes to: their number, else their business-scoped id.
    #[must_use]
    pub fn recipient(&self) -> Option<Recipient> {
        let phone = self.phones.iter().find_map(|phone| Phone::parse(phone, None).ok());
        let bsuid = || self.bsuids.iter().find_map(|bsuid| Bsuid::parse(bsuid));
        phone.map(Recipient::Phone).or_else(|| bsuid().map(Recipient::Bsuid))
    }

    /// Why nothing is sent to them on a channel, where that is so.
    #[must_use]
    pub fn suppressed_on(&self, channel: &ChannelName) -> Option<SuppressionReason> {
        let here = |one: &&SuppressedOn| one.channel.as_ref().is_none_or(|on| on == channel);
        self.suppressed.iter().find(here).map(|one| one.reason)
    }

    /// Until when free text may be sent to them on a channel.
    #[must_use]
    pub fn window_until(&self, channel: &ChannelName) -> Option<Timestamp> {
        self.conversations.iter().find(|one| one.channel == *channel)?.window_until
    }

    /// When they wrote last, on whatever channel.
    #[must_use]
    pub fn last_seen(&self) -> Option<Timestamp> {
        self.conversations.iter().filter_map(|one| one.last_inbound_at).max()
    }

    /// The time zone that is written down for them: their attribute `timezone` or `time_zone`.
    #[must_use]
    pub fn zone(&self) -> Option<&str> {
        let named =
            self.attributes.iter().find(|(name, _)| matches!(name.as_str(), "timezone" | "time_zone"));
        match named?.1 {
            AttributeValue::Text(zone) => Some(zone.trim()).filter(|zone| !zone.is_empty()),
            AttributeValue::Number(_) | AttributeValue::Flag(_) => None,
        }
    }

    /// Whether a filter means them; the records say the same by SQL.
    #[must_use]
    pub fn is_meant(&self, filter: &Filter, now: Timestamp) -> bool {
        let labels = self.conversations.iter().flat_map(|one| one.labels.iter().cloned()).collect();
        let facts = Facts {
            name: self.name.as_deref(),
            phones: &self.phones,
            attributes: &self.attributes,
            tags: &self.tags,
            labels: &labels,
            consent: self.consent.state,
            last_seen: self.last_seen(),
            created: self.created_at,
            suppressed: !self.suppressed.is_empty(),
        };
        filter.matches(&facts, now)
    }
}

impl Attributes for AudienceContact {
    /// `name` and `phone` are theirs, the others their attributes.
    fn value(&self, name: &AttributeName) -> Option<Cow<'_, AttributeValue>> {
        let own = |text: Option<&String>| text.map(|text| Cow::Owned(AttributeValue::Text(text.clone())));
        match name.as_str() {
            "name" => own(self.name.as_ref()),
            "phone" => own(self.phones.first()),
            _ => self.attributes.get(name).map(Cow::Borrowed),
        }
    }
}

impl Records {
    /// A stretch of an audience, after the place where the last one ended. Who was asked for by two ids that turned out
    /// to be one person comes twice.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn audience(
        &self,
        whom: Whom,
        after: Option<String>,
        limit: usize,
        now: Timestamp,
    ) -> Result<AudiencePage> {
        let suppressing = self.suppressing.load(Ordering::Acquire);
        self.read(move |db| page::audience(db, &whom, after.as_deref(), limit, suppressing, now)).await
    }

    /// How many a filter means.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn audience_count(&self, filter: Option<Filter>, now: Timestamp) -> Result<u64> {
        self.store.read(Patience::Whole, move |db| page::count(db, filter.as_ref(), now)).await
    }

    /// Keeps contacts: those that are new, and what is new of those that are known. What became of each, in their order.
    ///
    /// # Errors
    /// Where the database can't be written: none of them is kept.
    pub async fn put_contacts(&self, contacts: Vec<NewContact>, now: Timestamp) -> Result<Vec<Put>> {
        self.write(move |db| {
            cursors::take_turn(db, PROJECTION, now)?;
            write::put(db, &contacts, now)
        })
        .await
    }

    /// Changes what the business says of a contact.
    ///
    /// # Errors
    /// [`crate::RecordsError::NotFound`].
    pub async fn change_contact(&self, id: &str, change: ContactChange, now: Timestamp) -> Result<Put> {
        let id = id.to_owned();
        self.write(move |db| {
            cursors::take_turn(db, PROJECTION, now)?;
            write::change(db, &id, &change, now)
        })
        .await
    }

    /// Adds tags to those of these contacts that there are, and takes others from them; how many changed.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn tag_contacts(
        &self,
        ids: Vec<String>,
        add: Vec<Tag>,
        remove: Vec<Tag>,
        now: Timestamp,
    ) -> Result<u64> {
        self.write(move |db| {
            cursors::take_turn(db, PROJECTION, now)?;
            write::tag(db, &ids, &add, &remove, now)
        })
        .await
    }

    // --- segments ---

    /// Keeps a new segment.
    ///
    /// # Errors
    /// [`crate::RecordsError::Exists`] where there is one of that name.
    pub async fn create_segment(&self, segment: Segment) -> Result<()> {
        self.write(move |db| segments::insert(db, &segment)).await
    }

    /// Changes a segment.
    ///
    /// # Errors
    /// [`crate::RecordsError::NotFound`], or [`crate::RecordsError::Exists`] where another has that name.
    pub async fn update_segment(&self, segment: Segment) -> Result<()> {
        self.write(move |db| segments::update(db, &segment)).await
    }

    /// Forgets a segment. Contacts stay.
    ///
    /// # Errors
    /// [`crate::RecordsError::NotFound`].
    pub async fn delete_segment(&self, id: &str) -> Result<()> {
        let id = id.to_owned();
        self.write(move |db| segments::delete(db, &id)).await
    }

    /// One segment, by its id or its name.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn segment(&self, id_or_name: &str) -> Result<Option<Segment>> {
        let id = id_or_name.to_owned();
        self.read(move |db| segments::get(db, &id)).await
    }

    /// A page of segments, the newest first.
    ///
    /// # Errors
    /// [`crate::RecordsError::BadCursor`] for a cursor of another list.
    pub async fn segments(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Segment>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| segments::list(db, cursor.as_deref(), limit)).await
    }

    // --- templates of providers ---

    /// Keeps what the provider of a channel tells of its templates; what it does not tell of any more is forgotten.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn replace_templates(
        &self,
        channel: ChannelName,
        templates: Vec<ProviderTemplate>,
    ) -> Result<()> {
        self.write(move |db| provider_templates::replace(db, &channel, &templates)).await
    }

    /// Templates as their providers last told of them: of a channel or of all, of one name or of all.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn templates(
        &self,
        channel: Option<ChannelName>,
        name: Option<String>,
    ) -> Result<Vec<ProviderTemplate>> {
        self.read(move |db| provider_templates::list(db, channel.as_ref(), name.as_deref())).await
    }
}
