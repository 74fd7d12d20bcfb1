//! `contacts` and `contact_identities`: people, and what they are known by.
//!
//! A person may be known by a phone number, a business-scoped id, a provider's spelling of their account, or several
//! of these. Which of two contacts that turn out to be one is kept, is not decided here: the older identity wins.

use palomar_model::{MessageId, Recipient, Sender, Timestamp};
use rusqlite::{Connection, OptionalExtension as _, params};

use crate::error::Result;

/// One thing that a person is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) kind: &'static str,
    pub(crate) match_key: String,
    pub(crate) value: String,
}

/// What a recipient is known by.
pub(crate) fn of_recipient(to: &Recipient) -> Identity {
    let kind = if to.phone().is_some() { "phone" } else { "bsuid" };
    Identity { kind, match_key: to.key(), value: to.expose().to_owned() }
}

/// All that a sender is known by, the most telling first.
pub(crate) fn of_sender(from: &Sender) -> Vec<Identity> {
    let plain = |kind, value: &str| Identity { kind, match_key: value.to_owned(), value: value.to_owned() };
    let phone = from.phone.as_ref().map(|phone| of_recipient(&Recipient::Phone(phone.clone())));
    let bsuid = from.bsuid.as_ref().map(|bsuid| plain("bsuid", bsuid.expose()));
    let parent = from.parent_bsuid.as_ref().map(|bsuid| plain("bsuid", bsuid.expose()));
    let spelling = from.wa_id.as_ref().map(|wa_id| plain("wa_id", wa_id));
    [phone, bsuid, parent, spelling].into_iter().flatten().collect()
}

/// The contact that has one of these identities; a new one with the id of the message that introduces it where none
/// has. Identities that were not known are added to it.
pub(crate) fn ensure(
    connection: &Connection,
    identities: &[Identity],
    name: Option<&str>,
    introduced_by: MessageId,
    now: Timestamp,
) -> Result<String> {
    let mut found = None;
    for identity in identities {
        found = find(connection, identity)?;
        if found.is_some() {
            break;
        }
    }
    let id = match found {
        Some(id) => id,
        None => create(connection, introduced_by, now)?,
    };
    for identity in identities {
        add_identity(connection, identity, &id)?;
    }
    if let Some(name) = name {
        rename(connection, &id, name, now)?;
    }
    Ok(id)
}

/// Adds the provider's own spelling of an account to the contact that a message went to.
pub(crate) fn add_alias(connection: &Connection, message: MessageId, alias: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO contact_identities (type, match_key, value, contact_id)
             SELECT 'wa_id', ?2, ?2, contact_id FROM contact_identities JOIN messages USING (match_key)
             WHERE messages.id = ?1 LIMIT 1
             ON CONFLICT DO NOTHING",
        )?
        .execute(params![message.to_string(), alias])?;
    Ok(())
}

fn find(connection: &Connection, identity: &Identity) -> Result<Option<String>> {
    let mut statement = connection
        .prepare_cached("SELECT contact_id FROM contact_identities WHERE type = ?1 AND match_key = ?2")?;
    Ok(statement.query_row([identity.kind, &identity.match_key], |row| row.get(0)).optional()?)
}

fn create(connection: &Connection, introduced_by: MessageId, now: Timestamp) -> Result<String> {
    let id = introduced_by.to_string();
    connection
        .prepare_cached(
            "INSERT INTO contacts (id, created_at, updated_at) VALUES (?1, ?2, ?2) ON CONFLICT DO NOTHING",
        )?
        .execute(params![id, now.micros()])?;
    Ok(id)
}

fn add_identity(connection: &Connection, identity: &Identity, contact: &str) -> Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO contact_identities (type, match_key, value, contact_id) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT DO NOTHING",
        )?
        .execute([identity.kind, &identity.match_key, &identity.value, contact])?;
    Ok(())
}

/// The name in their profile stands until somebody changes it there.
fn rename(connection: &Connection, id: &str, name: &str, now: Timestamp) -> Result<()> {
    connection
        .prepare_cached(
            "UPDATE contacts SET name = ?2, updated_at = ?3 WHERE id = ?1 AND (name IS NULL OR name <> ?2)",
        )?
        .execute(params![id, name, now.micros()])?;
    Ok(())
}
