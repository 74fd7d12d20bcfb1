//! `early_statuses`: reports whose message is not known yet.

use palomar_model::{StatusReport, Timestamp};

use super::provider_ids::Named;
use super::{json, parsed, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Value, Write, values};

pub(crate) const EARLY_STATUSES: Table = Table {
    name: "early_statuses",
    columns: &[text("channel"), text("provider_id"), int("seq"), int("at"), text("status")],
    key: 3,
};

/// A report that waits.
#[derive(Clone, Debug)]
pub(crate) struct Early {
    pub(crate) of: Named,
    /// Its entry in the journal.
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) report: StatusReport,
}

/// The reports on messages that providers call so, in the order of arrival.
pub(crate) fn find<'a>(db: Db<'_>, names: impl Iterator<Item = &'a Named>) -> Result<Vec<Early>> {
    let mut wanted = Rows::of(&EARLY_STATUSES.columns[..2]);
    names.for_each(|named| wanted.push(values![&named.channel, named.provider_id.as_str()]));
    let text = "SELECT channel, provider_id, seq, at, status FROM {wanted}
         JOIN early_statuses USING (channel, provider_id)";
    let mut found = db.find(text, &wanted, |row| {
        let of = Named {
            channel: parsed(row, EARLY_STATUSES.name, "channel")?,
            provider_id: row.get("provider_id")?,
        };
        let report = json(row, EARLY_STATUSES.name, "status")?;
        Ok(Early { of, seq: row.count("seq")?, at: row.time("at")?, report })
    })?;
    found.sort_by_key(|early| early.seq);
    Ok(found)
}

/// Keeps reports until their messages are known.
pub(crate) fn add<'a>(reports: impl Iterator<Item = &'a Early>) -> Result<Write> {
    let mut rows = Rows::of(EARLY_STATUSES.columns);
    for Early { of, seq, at, report } in reports {
        let status = to_json(report, EARLY_STATUSES.name)?;
        rows.push(values![&of.channel, of.provider_id.as_str(), *seq, *at, status]);
    }
    Ok(Write::insert(&EARLY_STATUSES, "ON CONFLICT DO NOTHING", rows))
}

/// Forgets the reports on messages that are known now.
pub(crate) fn taken<'a>(names: impl Iterator<Item = &'a Named>) -> Write {
    let mut rows = Rows::of(&EARLY_STATUSES.columns[..2]);
    names.for_each(|named| rows.push(values![&named.channel, named.provider_id.as_str()]));
    Write::delete(&EARLY_STATUSES, rows)
}

/// Forgets what is older.
pub(crate) fn forget_before(db: Db<'_>, before: Timestamp) -> Result<u64> {
    db.execute("DELETE FROM early_statuses WHERE at < $1", &[Value::from(before)])
}
