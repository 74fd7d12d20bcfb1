//! The queries behind conversations and contacts.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, Timestamp};

use super::view::{
    ContactFilter, ContactView, ConversationFilter, ConversationId, ConversationPatch, ConversationView,
    IdentityView, LastMessage,
};
use crate::audience;
use crate::error::{RecordsError, Result};
use crate::list::{Conditions, containing};
use crate::store::table::text;
use crate::store::{Db, Row, Rows, Value, values};
use crate::tables::page::{Page, Place, page};
use crate::tables::{json, optional, parsed, profiles, suppressions};

const CONVERSATION: &str = "SELECT c.channel AS channel, c.contact_id AS contact_id, c.created_at AS created_at,
     c.last_inbound_at AS last_inbound_at, c.window_until AS window_until, c.last_message_id AS last_message_id,
     c.last_message_at AS last_message_at, c.last_direction AS last_direction, c.unread AS unread,
     c.assignee AS assignee, c.labels AS labels, p.name AS name, p.created_at AS known_since,
     p.updated_at AS known_as_of, p.given_name AS given_name, COALESCE(p.attributes, '{}') AS attributes,
     COALESCE(p.tags, '[]') AS tags, COALESCE(p.consent, 'unknown') AS consent,
     p.consent_source AS consent_source, p.consent_at AS consent_at, m.type AS last_type, m.summary AS last_text, m.status AS last_status
 FROM conversations AS c LEFT JOIN contacts AS p ON p.id = c.contact_id
     LEFT JOIN messages AS m ON m.id = c.last_message_id";

pub(super) fn conversations(
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
            " AND (LOWER(COALESCE(p.given_name, p.name)) LIKE {words} ESCAPE '!'
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

pub(super) fn conversation(db: Db<'_>, id: &ConversationId) -> Result<Option<ConversationView>> {
    let id = resolved(db, id)?;
    let text = format!("{CONVERSATION} WHERE c.channel = $1 AND c.contact_id = $2");
    let mut found = db.rows(&text, &values![&id.channel, id.contact], view)?;
    complete(db, &mut found)?;
    Ok(found.pop())
}

/// The contact that one is part of now.
pub(super) fn owner(db: Db<'_>, contact: &str) -> Result<String> {
    let text = "SELECT merged_into FROM contacts WHERE id = $1";
    let merged: Option<Option<String>> = db.row(text, &values![contact], |row| row.get("merged_into"))?;
    Ok(merged.flatten().unwrap_or_else(|| contact.to_owned()))
}

pub(super) fn resolved(db: Db<'_>, id: &ConversationId) -> Result<ConversationId> {
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

pub(super) fn update(db: Db<'_>, id: &ConversationId, patch: &ConversationPatch) -> Result<()> {
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

pub(super) fn contacts(
    db: Db<'_>,
    filter: &ContactFilter,
    cursor: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<Page<ContactView>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("c.updated_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted.sql.push_str(&format!(" AND (c.updated_at < {at} OR c.id < {id}) AND c.merged_into IS NULL"));
    if let Some(words) = &filter.text {
        let words = wanted.bind(containing(words));
        wanted.sql.push_str(&format!(
            " AND (LOWER(COALESCE(c.given_name, c.name)) LIKE {words} ESCAPE '!'
                 OR EXISTS (SELECT 1 FROM contact_identities AS i
                     WHERE i.contact_id = c.id AND LOWER(i.value) LIKE {words} ESCAPE '!'))"
        ));
    }
    if let Some(filter) = &filter.filter {
        let meant = audience::sql(db, filter, now, &mut wanted);
        wanted.sql.push_str(&format!(" AND {meant}"));
    }
    let most = wanted.bind(limit as u64 + 1);
    let text = format!("{CONTACT}{} ORDER BY c.updated_at DESC, c.id DESC LIMIT {most}", wanted.sql);
    let found = db.rows(&text, &wanted.values, contact)?;
    let mut found = page(found, limit, |one| Place { at: one.updated_at, id: one.id.clone() });
    add_identities(db, found.items.iter_mut())?;
    Ok(found)
}

/// One contact, by the id that it has now.
pub(super) fn one_contact(db: Db<'_>, id: &str) -> Result<Option<ContactView>> {
    let mut found = db.rows(&format!("{CONTACT} WHERE c.id = $1"), &values![id], contact)?;
    add_identities(db, found.iter_mut())?;
    Ok(found.pop())
}

const CONTACT: &str =
    "SELECT c.id AS id, c.name AS name, c.created_at AS created_at, c.updated_at AS updated_at,
     c.given_name AS given_name, c.attributes AS attributes, c.tags AS tags, c.consent AS consent,
     c.consent_source AS consent_source, c.consent_at AS consent_at FROM contacts AS c";

fn contact(row: &Row<'_>) -> Result<ContactView> {
    let profile = profiles::of(row)?;
    Ok(ContactView {
        id: row.get("id")?,
        name: profile.given_name.or(row.get("name")?),
        identities: Vec::new(),
        attributes: profile.attributes,
        tags: profile.tags,
        consent: profile.consent,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}

/// Adds to contacts what they are known by.
pub(super) fn add_identities<'a>(
    db: Db<'_>,
    contacts: impl Iterator<Item = &'a mut ContactView>,
) -> Result<()> {
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
    let profile = profiles::of(row)?;
    Ok(ConversationView {
        id: ConversationId { channel: channel.clone(), contact: contact.clone() },
        channel,
        contact: ContactView {
            id: contact,
            name: profile.given_name.or(row.get("name")?),
            identities: Vec::new(),
            attributes: profile.attributes,
            tags: profile.tags,
            consent: profile.consent,
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
