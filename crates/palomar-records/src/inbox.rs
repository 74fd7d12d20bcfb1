//! Conversations and contacts, as people look at them and work with them.
//!
//! What is said of a conversation by people (assignee, labels, that it was read) is written here, under the turn of the
//! projection: nobody overwrites the other. So is whom the business wants nothing sent to.

mod query;
mod view;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::Ordering;

use palomar_model::{ChannelName, Timestamp};

use crate::error::{RecordsError, Result};
use crate::feed::{CONVERSATION_UPDATED, conversation_now};
use crate::store::Db;
use crate::tables::cursors;
use crate::tables::journal::{self, Entry};
use crate::tables::page::Page;
use crate::tables::suppressions::{self, Suppression};
use crate::{MessageFilter, MessageView, PROJECTION, Partition, Records};
use query::{contacts, conversation, conversations, one_contact, owner, resolved, update};

pub use view::{
    ContactFilter, ContactView, ConversationFilter, ConversationId, ConversationPatch, ConversationView,
    IdentityView, LastMessage, NoConversationId,
};

impl Records {
    /// A page of conversations, that with the newest message first.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn conversations(
        &self,
        filter: ConversationFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ConversationView>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| conversations(db, &filter, cursor.as_deref(), limit)).await
    }

    /// One conversation, also by the id of a contact that turned out to be another.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn conversation(&self, id: ConversationId) -> Result<Option<ConversationView>> {
        self.read(move |db| conversation(db, &id)).await
    }

    /// A page of a conversation's messages, the newest first. Those of groups are not part of it.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn conversation_messages(
        &self,
        conversation: &ConversationView,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<MessageView>> {
        let keys = conversation.contact.identities.iter().map(|identity| identity.match_key.clone());
        let keys: BTreeSet<_> = keys.collect();
        let filter = MessageFilter {
            channels: vec![conversation.channel.clone()],
            keys: keys.into_iter().collect(),
            ..MessageFilter::default()
        };
        self.messages(filter, cursor, limit).await
    }

    /// Keeps what people say of a conversation, and writes down in the journal that they did.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`].
    pub async fn update_conversation(
        &self,
        id: ConversationId,
        patch: ConversationPatch,
        now: Timestamp,
    ) -> Result<()> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            let id = resolved(db, &id)?;
            update(db, &id, &patch)?;
            note(db, &id, last, now)
        };
        self.write(work).await
    }

    /// A page of contacts, the newest first.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn contacts(
        &self,
        filter: ContactFilter,
        cursor: Option<&str>,
        limit: usize,
        now: Timestamp,
    ) -> Result<Page<ContactView>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| contacts(db, &filter, cursor.as_deref(), limit, now)).await
    }

    /// One contact, also by the id of one that turned out to be another.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn contact(&self, id: &str) -> Result<Option<ContactView>> {
        let id = id.to_owned();
        self.read(move |db| {
            let id = owner(db, &id)?;
            one_contact(db, &id)
        })
        .await
    }

    /// A page of those to whom nothing is sent, the newest first.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn suppressions(&self, cursor: Option<&str>, limit: usize) -> Result<Page<Suppression>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| suppressions::list(db, cursor.as_deref(), limit)).await
    }

    /// What holds for recipients, by channel and [`palomar_model::Recipient::key`]; in the order of the question.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn suppressed(&self, whom: Vec<(ChannelName, String)>) -> Result<Vec<Option<Suppression>>> {
        // Each message asks twice; nearly always there is nothing to find.
        if !self.suppressing.load(Ordering::Acquire) {
            return Ok(vec![None; whom.len()]);
        }
        self.read(move |db| suppressions::find(db, &whom)).await
    }

    /// Keeps that nothing is sent to somebody.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn suppress(&self, suppression: Suppression) -> Result<()> {
        let now = suppression.created_at;
        self.suppress_all(vec![suppression], now).await
    }

    /// Keeps that nothing is sent to many. Of one person and channel the first counts.
    ///
    /// # Errors
    /// Where the database can't be written: none of them is kept.
    pub async fn suppress_all(&self, suppressions: Vec<Suppression>, now: Timestamp) -> Result<()> {
        self.suppressing.store(true, Ordering::Release);
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            let mut different = BTreeMap::new();
            for one in &suppressions {
                different.entry((&one.match_key, one.channel.as_ref())).or_insert(one);
            }
            db.write(vec![suppressions::add(different.into_values())])
        };
        self.write(work).await
    }

    /// Takes a suppression back, by [`palomar_model::Recipient::key`] and its channel.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`].
    pub async fn unsuppress(
        &self,
        match_key: String,
        channel: Option<ChannelName>,
        now: Timestamp,
    ) -> Result<()> {
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, now)?;
            let found = suppressions::remove(db, &match_key, channel.as_ref())?;
            if found { Ok(()) } else { Err(RecordsError::NotFound("suppression")) }
        };
        self.write(work).await
    }
}

/// Writes into the journal how a conversation stands now. Such an entry is of no place in the event log.
fn note(db: Db<'_>, id: &ConversationId, last: u64, now: Timestamp) -> Result<()> {
    let Some(conversation) = conversation_now(db, id)? else { return Ok(()) };
    let entry = Entry {
        seq: last + 1,
        cursor: 0,
        at: now,
        kind: CONVERSATION_UPDATED.to_owned(),
        channel: Some(id.channel.clone()),
        message: None,
        detail: serde_json::to_value(&conversation).unwrap_or_default(),
        counted: Vec::new(),
        measured: 0,
    };
    db.write(vec![journal::add(Partition::WHOLE, &[entry])?])?;
    cursors::end_at(db, PROJECTION, last + 1)
}
