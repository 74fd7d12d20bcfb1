//! `contacts` and `contact_identities`: people, and what they are known by.
//!
//! A person may be known by a phone number, a business-scoped id, a provider's spelling of their account, or several
//! of these. Which of two contacts that turn out to be one is kept, is not decided here: the older identity wins.

use palomar_model::{Recipient, Sender, Timestamp};

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const CONTACTS: Table = Table {
    name: "contacts",
    columns: &[text("id"), text("name"), int("created_at"), int("updated_at")],
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
}

impl KnownBy {
    pub(crate) const ALL: [KnownBy; 3] = [KnownBy::Phone, KnownBy::Bsuid, KnownBy::WaId];

    const fn as_str(self) -> &'static str {
        match self {
            KnownBy::Phone => "phone",
            KnownBy::Bsuid => "bsuid",
            KnownBy::WaId => "wa_id",
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

/// All that a sender is known by, the most telling first.
pub(crate) fn of_sender(from: &Sender) -> Vec<Identity> {
    let phone = from.phone.as_ref().map(|phone| of_recipient(&Recipient::Phone(phone.clone())));
    let bsuid = from.bsuid.as_ref().map(|bsuid| Identity::of(KnownBy::Bsuid, bsuid.expose()));
    let parent = from.parent_bsuid.as_ref().map(|bsuid| Identity::of(KnownBy::Bsuid, bsuid.expose()));
    let spelling = from.wa_id.as_ref().map(|wa_id| Identity::of(KnownBy::WaId, wa_id));
    [phone, bsuid, parent, spelling].into_iter().flatten().collect()
}

/// The provider's own spelling of somebody's account.
pub(crate) fn of_alias(alias: &str) -> Identity {
    Identity::of(KnownBy::WaId, alias)
}

/// The contacts that have these identities, each with its name.
pub(crate) fn find<'a>(
    db: Db<'_>,
    identities: impl Iterator<Item = &'a MatchKey>,
) -> Result<Vec<(MatchKey, String, Option<String>)>> {
    let mut wanted = Rows::of(&CONTACT_IDENTITIES.columns[..2]);
    identities.for_each(|(known_by, match_key)| wanted.push(values![known_by.as_str(), match_key.as_str()]));
    let text = "SELECT type, match_key, contact_id, name FROM {wanted}
         JOIN contact_identities USING (type, match_key) LEFT JOIN contacts ON contacts.id = contact_id";
    let found = db.find(text, &wanted, |row| {
        let word: String = row.get("type")?;
        let known_by = KnownBy::ALL.into_iter().find(|known_by| known_by.as_str() == word);
        Ok((known_by, row.get("match_key")?, row.get("contact_id")?, row.get("name")?))
    })?;
    let known = found.into_iter().filter_map(|(known_by, key, id, name)| Some(((known_by?, key), id, name)));
    Ok(known.collect())
}

/// Writes new contacts, each with the time at which it was introduced.
pub(crate) fn add<'a>(contacts: impl Iterator<Item = (&'a String, &'a Timestamp)>) -> Write {
    let mut rows = Rows::of(CONTACTS.columns);
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

/// Gives contacts the names in their profiles.
pub(crate) fn rename<'a>(names: impl Iterator<Item = (&'a String, &'a (String, Timestamp))>) -> Write {
    let mut rows = Rows::of(const { &[text("id"), text("name"), int("updated_at")] });
    names.for_each(|(id, (name, at))| rows.push(values![id.as_str(), name.as_str(), *at]));
    Write::update(&CONTACTS, rows)
}
