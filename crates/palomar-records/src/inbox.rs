//! Conversations and contacts, as people look at them and work with them.
//!
//! What is said of a conversation by people (assignee, labels, that it was read) is written here, under the turn of the
//! projection: nobody overwrites the other.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::{ChannelName, MessageId, Timestamp};
use serde::Serialize;

use crate::error::{RecordsError, Result};
use crate::list::{Conditions, containing};
use crate::message::{Direction, MessageStatus};
use crate::store::table::text;
use crate::store::{Db, Row, Rows, Value, values};
use crate::tables::page::{Page, Place, page};
use crate::tables::suppressions::{self, Suppression};
use crate::tables::{cursors, json, optional, parsed};
use crate::{MessageFilter, MessageView, PROJECTION, Records};

/// The name of a conversation: the channel and the contact.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ConversationId {
    /// The channel.
    pub channel: ChannelName,
    /// The contact's id.
    pub contact: String,
}

/// A text that names no conversation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("is not the id of a conversation")]
pub struct NoConversationId;

impl std::str::FromStr for ConversationId {
    type Err = NoConversationId;

    /// Channel, dot, contact: no channel's name has a dot.
    fn from_str(text: &str) -> Result<ConversationId, NoConversationId> {
        let (channel, contact) = text.split_once('.').ok_or(NoConversationId)?;
        let channel = channel.parse().map_err(|_| NoConversationId)?;
        let well_formed = !contact.is_empty() && contact.len() <= 64;
        let contact = well_formed.then(|| contact.to_owned()).ok_or(NoConversationId)?;
        Ok(ConversationId { channel, contact })
    }
}

impl std::fmt::Display for ConversationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}.{}", self.channel, self.contact)
    }
}

impl Serialize for ConversationId {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// One thing that a person is known by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdentityView {
    /// `phone`, `bsuid`, `wa_id` (the provider's spelling of the account) or `lid`.
    pub r#type: String,
    /// The number or id.
    pub value: String,
    /// What it is found by.
    #[serde(skip)]
    pub match_key: String,
}

/// A person.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactView {
    /// Their id here.
    pub id: String,
    /// The name in their profile.
    pub name: Option<String>,
    /// All that they are known by.
    pub identities: Vec<IdentityView>,
    /// When they became known.
    pub created_at: Timestamp,
    /// When their name changed last.
    pub updated_at: Timestamp,
}

/// The newest message of a conversation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct LastMessage {
    /// Its id.
    pub id: MessageId,
    /// Which way it went.
    pub direction: Direction,
    /// When.
    pub at: Timestamp,
    /// Its type.
    pub r#type: Option<String>,
    /// What a person would read of it first.
    pub text: Option<String>,
    /// Where it stands.
    pub status: Option<MessageStatus>,
}

/// The messages with one person on one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ConversationView {
    /// Its id.
    pub id: ConversationId,
    /// The channel.
    pub channel: ChannelName,
    /// The person.
    pub contact: ContactView,
    /// Inbound messages that nobody looked at yet.
    pub unread: u64,
    /// When they wrote last.
    pub last_inbound_at: Option<Timestamp>,
    /// Until when free text may be sent to them.
    pub window_until: Option<Timestamp>,
    /// The newest message.
    pub last_message: LastMessage,
    /// Who cares for it.
    pub assignee: Option<String>,
    /// Words that people sort by.
    pub labels: Vec<String>,
    /// Why nothing is sent to them, where that is so.
    pub suppressed: Option<Suppression>,
    /// When it began.
    pub created_at: Timestamp,
}

/// Which conversations are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationFilter {
    /// On one of these channels; all where empty.
    pub channels: Vec<ChannelName>,
    /// Only those with something unread.
    pub unread: bool,
    /// Somebody cares for it; nobody, where the text is empty.
    pub assignee: Option<String>,
    /// With this label.
    pub label: Option<String>,
    /// With this in the person's name, number or id, or in a message.
    pub text: Option<String>,
}

/// What people say of a conversation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ConversationPatch {
    /// Who cares for it from now on; nobody, where it is none.
    pub assignee: Option<Option<String>>,
    /// Its labels from now on.
    pub labels: Option<Vec<String>>,
    /// That it was read.
    pub read: bool,
}

const CONVERSATION: &str = "SELECT c.channel AS channel, c.contact_id AS contact_id, c.created_at AS created_at,
     c.last_inbound_at AS last_inbound_at, c.window_until AS window_until, c.last_message_id AS last_message_id,
     c.last_message_at AS last_message_at, c.last_direction AS last_direction, c.unread AS unread,
     c.assignee AS assignee, c.labels AS labels, p.name AS name, p.created_at AS known_since,
     p.updated_at AS known_as_of, m.type AS last_type, m.summary AS last_text, m.status AS last_status
 FROM conversations AS c LEFT JOIN contacts AS p ON p.id = c.contact_id
     LEFT JOIN messages AS m ON m.id = c.last_message_id";

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

    /// Keeps what people say of a conversation.
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
            cursors::take_turn(db, PROJECTION, now)?;
            let id = resolved(db, &id)?;
            update(db, &id, &patch)
        };
        self.write(work).await
    }

    /// A page of contacts, the newest first; with these words in their name, numbers or ids.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn contacts(
        &self,
        words: Option<String>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<ContactView>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| contacts(db, words.as_deref(), cursor.as_deref(), limit)).await
    }

    /// One contact, also by the id of one that turned out to be another.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn contact(&self, id: &str) -> Result<Option<ContactView>> {
        let id = id.to_owned();
        self.read(move |db| {
            let id = owner(db, &id)?;
            let text = "SELECT id, name, created_at, updated_at FROM contacts WHERE id = $1";
            let mut found = db.rows(text, &values![id], contact)?;
            add_identities(db, found.iter_mut())?;
            Ok(found.pop())
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
        self.read(move |db| suppressions::find(db, &whom)).await
    }

    /// Keeps that nothing is sent to somebody.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn suppress(&self, suppression: Suppression) -> Result<()> {
        let work = move |db: Db<'_>| {
            cursors::take_turn(db, PROJECTION, suppression.created_at)?;
            db.write(vec![suppressions::add(std::iter::once(&suppression))])
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

fn conversations(
    db: Db<'_>,
    filter: &ConversationFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<ConversationView>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("c.last_message_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted
        .sql
        .push_str(&format!(" AND (c.last_message_at < {at} OR c.channel || '.' || c.contact_id < {id})"));
    wanted.and_one_of("c.channel", filter.channels.iter().map(|name| name.as_str().to_owned()).collect());
    if filter.unread {
        wanted.and("c.unread > ?", 0_i64);
    }
    match filter.assignee.as_deref() {
        None => {}
        Some("") => wanted.sql.push_str(" AND c.assignee IS NULL"),
        Some(assignee) => wanted.and("c.assignee = ?", assignee),
    }
    if let Some(label) = &filter.label {
        // A label in a JSON array stands in quotation marks, and holds none.
        wanted.and("c.labels LIKE ? ESCAPE '!'", format!("%\"{}\"%", escaped(label)));
    }
    if let Some(words) = &filter.text {
        let words = wanted.bind(containing(words));
        wanted.sql.push_str(&format!(
            " AND (LOWER(p.name) LIKE {words} ESCAPE '!'
                 OR EXISTS (SELECT 1 FROM contact_identities AS i WHERE i.contact_id = c.contact_id
                     AND LOWER(i.value) LIKE {words} ESCAPE '!')
                 OR EXISTS (SELECT 1 FROM contact_identities AS i JOIN messages AS said
                     ON said.match_key = i.match_key AND said.channel = c.channel
                     WHERE i.contact_id = c.contact_id AND (LOWER(said.summary) LIKE {words} ESCAPE '!'
                         OR LOWER(said.provider_id) LIKE {words} ESCAPE '!' OR said.id LIKE {words} ESCAPE '!')))"
        ));
    }
    let most = wanted.bind(limit as u64 + 1);
    let text = format!(
        "{CONVERSATION}{} ORDER BY c.last_message_at DESC, c.channel || '.' || c.contact_id DESC LIMIT {most}",
        wanted.sql
    );
    let found = db.rows(&text, &wanted.values, view)?;
    let place = |one: &ConversationView| Place { at: one.last_message.at, id: one.id.to_string() };
    let mut found = page(found, limit, place);
    complete(db, &mut found.items)?;
    Ok(found)
}

fn escaped(words: &str) -> String {
    words.replace('!', "!!").replace('%', "!%").replace('_', "!_")
}

fn conversation(db: Db<'_>, id: &ConversationId) -> Result<Option<ConversationView>> {
    let id = resolved(db, id)?;
    let text = format!("{CONVERSATION} WHERE c.channel = $1 AND c.contact_id = $2");
    let mut found = db.rows(&text, &values![&id.channel, id.contact], view)?;
    complete(db, &mut found)?;
    Ok(found.pop())
}

/// The contact that one is part of now.
fn owner(db: Db<'_>, contact: &str) -> Result<String> {
    let text = "SELECT merged_into FROM contacts WHERE id = $1";
    let merged: Option<Option<String>> = db.row(text, &values![contact], |row| row.get("merged_into"))?;
    Ok(merged.flatten().unwrap_or_else(|| contact.to_owned()))
}

fn resolved(db: Db<'_>, id: &ConversationId) -> Result<ConversationId> {
    Ok(ConversationId { channel: id.channel.clone(), contact: owner(db, &id.contact)? })
}

/// Adds what is in other tables.
fn complete(db: Db<'_>, found: &mut [ConversationView]) -> Result<()> {
    add_identities(db, found.iter_mut().map(|conversation| &mut conversation.contact))?;
    let mut asked = Vec::new();
    for (place, conversation) in found.iter().enumerate() {
        let keys = conversation.contact.identities.iter().map(|identity| identity.match_key.clone());
        asked.extend(keys.take(1).map(|match_key| (place, (conversation.channel.clone(), match_key))));
    }
    let whom: Vec<_> = asked.iter().map(|(_, whom)| whom.clone()).collect();
    for ((place, _), suppressed) in asked.iter().zip(suppressions::find(db, &whom)?) {
        found[*place].suppressed = suppressed;
    }
    Ok(())
}

fn update(db: Db<'_>, id: &ConversationId, patch: &ConversationPatch) -> Result<()> {
    let place = || [Value::from(&id.channel), Value::from(id.contact.as_str())];
    let set = |what: &str, value: Value| {
        let text = format!("UPDATE conversations SET {what} = $3 WHERE channel = $1 AND contact_id = $2");
        let [channel, contact] = place();
        db.execute(&text, &[channel, contact, value])
    };
    let exists = "SELECT channel FROM conversations WHERE channel = $1 AND contact_id = $2";
    if db.row(exists, &place(), |_| Ok(()))?.is_none() {
        return Err(RecordsError::NotFound("conversation"));
    }
    if let Some(assignee) = &patch.assignee {
        set("assignee", assignee.as_deref().into())?;
    }
    if let Some(labels) = &patch.labels {
        set("labels", crate::tables::to_json(labels, "conversations")?.into())?;
    }
    if patch.read {
        set("unread", 0_i64.into())?;
    }
    Ok(())
}

fn contacts(
    db: Db<'_>,
    words: Option<&str>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<ContactView>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("updated_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted.sql.push_str(&format!(" AND (updated_at < {at} OR id < {id}) AND merged_into IS NULL"));
    if let Some(words) = words {
        let words = wanted.bind(containing(words));
        wanted.sql.push_str(&format!(
            " AND (LOWER(name) LIKE {words} ESCAPE '!' OR EXISTS (SELECT 1 FROM contact_identities AS i
                 WHERE i.contact_id = contacts.id AND LOWER(i.value) LIKE {words} ESCAPE '!'))"
        ));
    }
    let most = wanted.bind(limit as u64 + 1);
    let text = format!(
        "SELECT id, name, created_at, updated_at FROM contacts{} ORDER BY updated_at DESC, id DESC LIMIT {most}",
        wanted.sql
    );
    let found = db.rows(&text, &wanted.values, contact)?;
    let mut found = page(found, limit, |one| Place { at: one.updated_at, id: one.id.clone() });
    add_identities(db, found.items.iter_mut())?;
    Ok(found)
}

fn contact(row: &Row<'_>) -> Result<ContactView> {
    Ok(ContactView {
        id: row.get("id")?,
        name: row.get("name")?,
        identities: Vec::new(),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Adds to contacts what they are known by.
fn add_identities<'a>(db: Db<'_>, contacts: impl Iterator<Item = &'a mut ContactView>) -> Result<()> {
    let mut by_id: BTreeMap<String, Vec<&mut ContactView>> = BTreeMap::new();
    contacts.for_each(|contact| by_id.entry(contact.id.clone()).or_default().push(contact));
    let mut wanted = Rows::of(const { &[text("contact_id")] });
    by_id.keys().for_each(|id| wanted.push(values![id.as_str()]));
    let text = "SELECT contact_id, type, value, match_key FROM {wanted} JOIN contact_identities USING (contact_id)
         ORDER BY contact_id, CASE type WHEN 'phone' THEN 1 WHEN 'bsuid' THEN 2 WHEN 'wa_id' THEN 3 ELSE 4 END, value";
    let found = db.find(text, &wanted, |row| {
        let identity = IdentityView {
            r#type: row.get("type")?,
            value: row.get("value")?,
            match_key: row.get("match_key")?,
        };
        Ok((row.get::<String>("contact_id")?, identity))
    })?;
    for (id, identity) in found {
        for contact in by_id.get_mut(&id).into_iter().flatten() {
            contact.identities.push(identity.clone());
        }
    }
    Ok(())
}

fn view(row: &Row<'_>) -> Result<ConversationView> {
    let table = "conversations";
    let channel: ChannelName = parsed(row, table, "channel")?;
    let contact: String = row.get("contact_id")?;
    let created_at = row.time("created_at")?;
    Ok(ConversationView {
        id: ConversationId { channel: channel.clone(), contact: contact.clone() },
        channel,
        contact: ContactView {
            id: contact,
            name: row.get("name")?,
            identities: Vec::new(),
            created_at: row.optional_time("known_since")?.unwrap_or(created_at),
            updated_at: row.optional_time("known_as_of")?.unwrap_or(created_at),
        },
        unread: row.count("unread")?,
        last_inbound_at: row.optional_time("last_inbound_at")?,
        window_until: row.optional_time("window_until")?,
        last_message: LastMessage {
            id: parsed(row, table, "last_message_id")?,
            direction: parsed(row, table, "last_direction")?,
            at: row.time("last_message_at")?,
            r#type: row.get("last_type")?,
            text: row.get("last_text")?,
            status: optional(row, table, "last_status")?,
        },
        assignee: row.get("assignee")?,
        labels: json(row, table, "labels")?,
        suppressed: None,
        created_at,
    })
}
