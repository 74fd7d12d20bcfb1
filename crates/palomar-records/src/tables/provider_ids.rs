//! `provider_ids`: every id that a provider knows a message by. An inbound message's is its identity, for good.

use std::collections::HashMap;

use palomar_model::{ChannelName, MessageId, ProviderMessageId};

use super::parsed;
use crate::error::Result;
use crate::store::table::text;
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const PROVIDER_IDS: Table = Table {
    name: "provider_ids",
    columns: &[text("channel"), text("provider_id"), text("message_id")],
    key: 2,
};

/// What a provider calls a message, on one channel, as it is kept.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Named {
    pub(crate) channel: ChannelName,
    pub(crate) provider_id: String,
}

impl Named {
    pub(crate) fn of(channel: &ChannelName, provider_id: &ProviderMessageId) -> Named {
        Named { channel: channel.clone(), provider_id: key(&provider_id.0) }
    }
}

/// The messages that providers call so.
pub(crate) fn find<'a>(
    db: Db<'_>,
    names: impl Iterator<Item = &'a Named>,
) -> Result<HashMap<Named, MessageId>> {
    let mut wanted = Rows::of(&PROVIDER_IDS.columns[..2]);
    names.for_each(|named| wanted.push(values![&named.channel, named.provider_id.as_str()]));
    let text = "SELECT channel, provider_id, message_id FROM {wanted}
         JOIN provider_ids USING (channel, provider_id)";
    let found = db.find(text, &wanted, |row| {
        let named = Named {
            channel: parsed(row, PROVIDER_IDS.name, "channel")?,
            provider_id: row.get("provider_id")?,
        };
        Ok((named, parsed(row, PROVIDER_IDS.name, "message_id")?))
    })?;
    Ok(found.into_iter().collect())
}

/// Notes ids. The first message that had one keeps it.
pub(crate) fn add<'a>(names: impl Iterator<Item = (&'a Named, &'a MessageId)>) -> Write {
    let mut rows = Rows::of(PROVIDER_IDS.columns);
    names.for_each(|(named, message)| {
        rows.push(values![&named.channel, named.provider_id.as_str(), *message]);
    });
    Write::insert(&PROVIDER_IDS, "ON CONFLICT DO NOTHING", rows)
}
