//! `contacts` and `contact_identities`: people, and what they are known by. What the business says of them is in
//! `profiles.rs`.
//!
//! A person may be known by a phone number, a business-scoped id, a provider's spelling of their account, or several
//! of these. Of two contacts that turn out to be one the older is kept, and the other says into which it went.

use palomar_model::{Recipient, Sender, Timestamp};

use super::profiles;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const CONTACTS: Table = Table {
    name: "contacts",
    columns: &[
        text("id"),
        text("name"),
        int("created_at"),
        int("updated_at"),
        text("merged_into"),
        text("username"),
        text("given_name"),
        text("attributes"),
        text("tags"),
        text("consent"),
        text("consent_source"),
        int("consent_at"),
    ],
    key: 1,
};

pub(crate) const CONTACT_IDENTITIES: Table = Table {
    name: "contact_identities",
    columns: &[text("type"), text("match_key"), text("value"), text("contact_id")],
    key: 2,
};

/// What somebody can be known by; the words are those of the column.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum KnownBy {
    Phone,
    Bsuid,
    /// A provider's spelling of their account.
    WaId,
    /// The id under which a provider hides their number.
    Lid,
}

impl KnownBy {
    pub(crate) const ALL: [KnownBy; 4] = [KnownBy::Phone, KnownBy::Bsuid, KnownBy::WaId, KnownBy::Lid];

    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            KnownBy::Phone => "phone",
            KnownBy::Bsuid => "bsuid",
            KnownBy::WaId => "wa_id",
            KnownBy::Lid => "lid",
        }
    }
}

/// What an identity is found by.
pub(crate) type MatchKey = (KnownBy, String);

/// One thing that a person is known by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Identity {
    pub(crate) known_by: KnownBy,
    pub(crate) match_key: String,
    pub(crate) value: String,
}

impl Identity {
    fn of(known_by: KnownBy, value: &str) -> Identity {
        Identity { known_by, match_key: key(value), value: value.to_owned() }
    }

    pub(crate) fn key(&self) -> MatchKey {
        (self.known_by, self.match_key.clone())
    }
}

/// What a recipient is known by.
pub(crate) fn of_recipient(to: &Recipient) -> Identity {
    let known_by = if to.phone().is_some() { KnownBy::Phone } else { KnownBy::Bsuid };
    Identity { known_by, match_key: key(&to.key()), value: to.expose().to_owned() }
}

/// What whoever a message is for is known by: numbers are digits, business-scoped ids are not.
pub(crate) fn of_match_key(match_key: &str) -> MatchKey {
    let digits = match_key.bytes().all(|c| c.is_ascii_digit());
    (if digits { KnownBy::Phone } else { KnownBy::Bsuid }, match_key.to_owned())
}

/// All that a sender is known by, the most telling first.
pub(crate) fn of_sender(from: &Sender) -> Vec<Identity> {
    let phone = from.phone.as_ref().map(|phone| of_recipient(&Recipient::Phone(phone.clone())));
    let bsuid = from.bsuid.as_ref().map(|bsuid| Identity::of(KnownBy::Bsuid, bsuid.expose()));
    let parent = from.parent_bsuid.as_ref().map(|bsuid| Identity::of(KnownBy::Bsuid, bsuid.expose()));
    let spelling = from.wa_id.as_ref().map(|wa_id| Identity::of(KnownBy::WaId, wa_id));
    let hidden = from.lid.as_ref().map(|lid| Identity::of(KnownBy::Lid, lid));
    [phone, bsuid, parent, spelling, hidden].into_iter().flatten().collect()
}

/// The provider's own spelling of somebody's account.
pub(crate) fn of_alias(alias: &str) -> Identity {
    Identity::of(KnownBy::WaId, alias)
}

/// A contact as an identity leads to it.
#[derive(Clone, Debug)]
pub(crate) struct Found {
    pub(crate) key: MatchKey,
    pub(crate) contact: String,
    pub(crate) name: Option<String>,
    pub(crate) since: Timestamp,
}

/// The contacts that have these identities.
pub(crate) fn find<'a>(db: Db<'_>, identities: impl Iterator<Item = &'a MatchKey>) -> Result<Vec<Found>> {
    let mut wanted = Rows::of(&CONTACT_IDENTITIES.columns[..2]);
    identities.for_each(|(known_by, match_key)| wanted.push(values![known_by.as_str(), match_key.as_str()]));
    let text = "SELECT type, match_key, contact_id, name, COALESCE(created_at, 0) AS created_at FROM {wanted}
         JOIN contact_identities USING (type, match_key) LEFT JOIN contacts ON contacts.id = contact_id";
    let found = db.find(text, &wanted, |row| {
        let word: String = row.get("type")?;
        let Some(known_by) = KnownBy::ALL.into_iter().find(|known_by| known_by.as_str() == word) else {
            return Ok(None);
        };
        Ok(Some(Found {
            key: (known_by, row.get("match_key")?),
            contact: row.get("contact_id")?,
            name: row.get("name")?,
            since: row.time("created_at")?,
        }))
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// The business-scoped ids of these contacts.
pub(crate) fn bsuids<'a>(
    db: Db<'_>,
    contacts: impl Iterator<Item = &'a String>,
) -> Result<Vec<(String, String)>> {
    let mut wanted = Rows::of(&CONTACT_IDENTITIES.columns[3..]);
    contacts.for_each(|id| wanted.push(values![id.as_str()]));
    let text = "SELECT contact_id, match_key FROM {wanted} JOIN contact_identities USING (contact_id)
         WHERE type = 'bsuid'";
    db.find(text, &wanted, |row| Ok((row.get("contact_id")?, row.get("match_key")?)))
}

/// Makes one contact of two; the row of the other stays, so that what names it is found.
pub(crate) fn merge(db: Db<'_>, loser: &str, winner: &str, at: Timestamp) -> Result<()> {
    profiles::merge(db, loser, winner)?;
    let both = values![loser, winner];
    db.execute("UPDATE contact_identities SET contact_id = $2 WHERE contact_id = $1", &both)?;
    db.execute("UPDATE contacts SET merged_into = $2 WHERE merged_into = $1", &both)?;
    let text = "UPDATE contacts SET merged_into = $2, updated_at = $3 WHERE id = $1";
    db.execute(text, &values![loser, winner, at])?;
    Ok(())
}

/// Writes new contacts, each with the time at which it was introduced.
pub(crate) fn add<'a>(contacts: impl Iterator<Item = (&'a String, &'a Timestamp)>) -> Write {
    let mut rows = Rows::of(&CONTACTS.columns[..4]);
    contacts.for_each(|(id, at)| rows.push(values![id.as_str(), None::<String>, *at, *at]));
    Write::insert(&CONTACTS, "ON CONFLICT DO NOTHING", rows)
}

/// Adds identities to contacts. One that is known stays with the contact that has it.
pub(crate) fn identify<'a>(identities: impl Iterator<Item = (&'a Identity, &'a String)>) -> Write {
    let mut rows = Rows::of(CONTACT_IDENTITIES.columns);
    identities.for_each(|(identity, contact)| {
        let Identity { known_by, match_key, value } = identity;
        rows.push(values![known_by.as_str(), match_key.as_str(), value.as_str(), contact.as_str()]);
    });
    Write::insert(&CONTACT_IDENTITIES, "ON CONFLICT DO NOTHING", rows)
}

/// Gives identities to other contacts: a number that has another owner now.
pub(crate) fn reassign<'a>(identities: impl Iterator<Item = (&'a Identity, &'a String)>) -> Write {
    let write = identify(identities);
    let anew = "ON CONFLICT (type, match_key) DO UPDATE SET value = excluded.value, contact_id = excluded.contact_id";
    Write::insert(&CONTACT_IDENTITIES, anew, write.rows)
}

/// Gives contacts the names in their profiles.
pub(crate) fn rename<'a>(names: impl Iterator<Item = (&'a String, &'a (String, Timestamp))>) -> Write {
    let mut rows = Rows::of(const { &[text("id"), text("name"), int("updated_at")] });
    names.for_each(|(id, (name, at))| rows.push(values![id.as_str(), name.as_str(), *at]));
    Write::update(&CONTACTS, rows)
}
