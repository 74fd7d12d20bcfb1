//! `analytics_reasons`: why messages failed.

use std::collections::BTreeMap;

use palomar_model::analytics::FailureReason;

use super::series::sum;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, values};

pub(crate) const REASONS: Table =
    Table { name: "analytics_reasons", columns: &[int("code"), text("class"), text("reason")], key: 1 };

/// What a reason is counted under.
pub(crate) fn code(reason: &FailureReason) -> u64 {
    FailureReason::code_of(sum([reason.class.as_str(), reason.code.as_str()].into_iter()))
}

/// Writes reasons down.
pub(crate) fn add<'a>(reasons: impl Iterator<Item = (&'a u64, &'a FailureReason)>) -> Write {
    let mut rows = Rows::of(REASONS.columns);
    for (code, FailureReason { class, code: reason }) in reasons {
        rows.push(values![*code, class.as_str(), reason.as_str()]);
    }
    Write::insert(&REASONS, "ON CONFLICT DO NOTHING", rows)
}

/// All reasons, by their codes.
pub(crate) fn all(db: Db<'_>) -> Result<BTreeMap<u64, FailureReason>> {
    let rows = db.rows("SELECT code, class, reason FROM analytics_reasons", &[], |row| {
        Ok((row.count("code")?, FailureReason { class: row.get("class")?, code: row.get("reason")? }))
    })?;
    Ok(rows.into_iter().collect())
}
