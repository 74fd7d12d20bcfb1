//! `inbound_seen`: identities of inbound events that took effect.

use std::collections::HashSet;

use palomar_model::{ChannelName, Timestamp};

use super::parsed;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Value, Write, key, values};

pub(crate) const INBOUND_SEEN: Table =
    Table { name: "inbound_seen", columns: &[text("channel"), text("identity"), int("at")], key: 2 };

/// An event's identity, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Seen {
    pub(crate) channel: ChannelName,
    identity: String,
}

impl Seen {
    pub(crate) fn of(channel: &ChannelName, identity: &str) -> Seen {
        Seen { channel: channel.clone(), identity: key(identity) }
    }
}

/// Those of these identities that took effect.
pub(crate) fn find<'a>(db: Db<'_>, identities: impl Iterator<Item = &'a Seen>) -> Result<HashSet<Seen>> {
    let mut wanted = Rows::of(&INBOUND_SEEN.columns[..2]);
    identities.for_each(|seen| wanted.push(values![&seen.channel, seen.identity.as_str()]));
    let text = "SELECT channel, identity FROM {wanted} JOIN inbound_seen USING (channel, identity)";
    let found = db.find(text, &wanted, |row| {
        Ok(Seen { channel: parsed(row, INBOUND_SEEN.name, "channel")?, identity: row.get("identity")? })
    })?;
    Ok(found.into_iter().collect())
}

/// Notes identities, each with its time.
pub(crate) fn add<'a>(identities: impl Iterator<Item = (&'a Seen, &'a Timestamp)>) -> Write {
    let mut rows = Rows::of(INBOUND_SEEN.columns);
    identities.for_each(|(seen, at)| rows.push(values![&seen.channel, seen.identity.as_str(), *at]));
    Write::insert(&INBOUND_SEEN, "ON CONFLICT DO NOTHING", rows)
}

/// Forgets what is older.
pub(crate) fn forget_before(db: Db<'_>, before: Timestamp) -> Result<u64> {
    db.execute("DELETE FROM inbound_seen WHERE at < $1", &[Value::from(before)])
}
