//! `alerts`: what was found to be wrong, since when and until when.
//!
//! Always: of one rule and subject one alert at most has not ended, however many nodes look.

use palomar_model::Timestamp;

use super::page::{Page, Place, page};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Table, values};

pub(crate) const ALERTS: Table = Table {
    name: "alerts",
    columns: &[
        text("id"),
        text("rule"),
        text("subject"),
        text("severity"),
        text("detail"),
        int("fired_at"),
        int("resolved_at"),
        int("acked_at"),
        text("acked_by"),
        int("told"),
    ],
    key: 1,
};

/// An alert as it is kept. What its words mean is the application's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AlertRecord {
    /// Its id.
    pub id: String,
    /// What was found.
    pub rule: String,
    /// What it is about.
    pub subject: String,
    /// How bad it is.
    pub severity: String,
    /// For people.
    pub detail: String,
    /// Since when.
    pub fired_at: Timestamp,
    /// Until when.
    pub resolved_at: Option<Timestamp>,
    /// When somebody said that they know.
    pub acked_at: Option<Timestamp>,
    /// Who.
    pub acked_by: Option<String>,
}

/// What is still to be told of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ToTell {
    /// That it fires.
    Firing,
    /// That it has ended.
    Resolved,
}

impl ToTell {
    const fn number(self) -> u64 {
        match self {
            ToTell::Firing => 1,
            ToTell::Resolved => 2,
        }
    }
}

/// Keeps a new one; whether there was none of its rule and subject that fires.
pub(crate) fn fire(db: Db<'_>, alert: &AlertRecord) -> Result<bool> {
    let firing = "SELECT id FROM alerts WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL";
    if db.row(firing, &values![alert.rule.as_str(), alert.subject.as_str()], |_| Ok(()))?.is_some() {
        return Ok(false);
    }
    let text = "INSERT INTO alerts (id, rule, subject, severity, detail, fired_at, told)
         VALUES ($1, $2, $3, $4, $5, $6, 0)";
    let AlertRecord { id, rule, subject, severity, detail, fired_at, .. } = alert;
    let values =
        values![id.as_str(), rule.as_str(), subject.as_str(), severity.as_str(), detail.as_str(), *fired_at];
    db.execute(text, &values)?;
    Ok(true)
}

/// One that fires got worse, or better, or is said in other words.
pub(crate) fn change(db: Db<'_>, rule: &str, subject: &str, severity: &str, detail: &str) -> Result<()> {
    let text = "UPDATE alerts SET severity = $3, detail = $4
         WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL";
    db.execute(text, &values![rule, subject, severity, detail])?;
    Ok(())
}

/// One that fires has ended.
pub(crate) fn resolve(db: Db<'_>, rule: &str, subject: &str, now: Timestamp) -> Result<()> {
    let text = "UPDATE alerts SET resolved_at = $3 WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL";
    db.execute(text, &values![rule, subject, now])?;
    Ok(())
}

/// Somebody knows of it; the first who says so is kept. Whether there is such a one.
pub(crate) fn acknowledge(db: Db<'_>, id: &str, who: &str, now: Timestamp) -> Result<bool> {
    let text = "UPDATE alerts SET acked_at = COALESCE(acked_at, $3), acked_by = COALESCE(acked_by, $2) WHERE id = $1";
    Ok(db.execute(text, &values![id, who, now])? == 1)
}

/// What is to be told of is queued.
pub(crate) fn told(db: Db<'_>, id: &str, what: ToTell) -> Result<()> {
    let text = "UPDATE alerts SET told = $2 WHERE id = $1 AND told < $2";
    db.execute(text, &values![id, what.number()])?;
    Ok(())
}

/// Those of which something is still to be told, the first first.
pub(crate) fn untold(db: Db<'_>, limit: usize) -> Result<Vec<(AlertRecord, ToTell)>> {
    let text = "SELECT * FROM alerts WHERE told = 0 OR (told = 1 AND resolved_at IS NOT NULL)
         ORDER BY fired_at, id LIMIT $1";
    db.rows(text, &values![limit as u64], |row| {
        let what = if row.count("told")? == 0 { ToTell::Firing } else { ToTell::Resolved };
        Ok((alert(row)?, what))
    })
}

/// Those that fire.
pub(crate) fn firing(db: Db<'_>) -> Result<Vec<AlertRecord>> {
    db.rows("SELECT * FROM alerts WHERE resolved_at IS NULL ORDER BY fired_at, id", &[], alert)
}

/// The one of a rule and subject that fires.
pub(crate) fn of(db: Db<'_>, rule: &str, subject: &str) -> Result<Option<AlertRecord>> {
    let text = "SELECT * FROM alerts WHERE rule = $1 AND subject = $2 AND resolved_at IS NULL";
    db.row(text, &values![rule, subject], alert)
}

/// One.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<AlertRecord>> {
    db.row("SELECT * FROM alerts WHERE id = $1", &values![id], alert)
}

/// A page of them, the newest first; of those that fire only, or that have ended only.
pub(crate) fn list(
    db: Db<'_>,
    firing: Option<bool>,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<AlertRecord>> {
    let place = Place::decode(cursor)?;
    let text = "SELECT * FROM alerts
         WHERE fired_at <= $1 AND (fired_at < $1 OR id < $2)
             AND ($3 < 0 OR (resolved_at IS NULL AND $3 = 1) OR (resolved_at IS NOT NULL AND $3 = 0))
         ORDER BY fired_at DESC, id DESC LIMIT $4";
    let which = firing.map_or(-1_i64, i64::from);
    let found = db.rows(text, &values![place.at, place.id, which, limit as u64 + 1], alert)?;
    Ok(page(found, limit, |one| Place { at: one.fired_at, id: one.id.clone() }))
}

/// Forgets those that ended before.
pub(crate) fn trim(db: Db<'_>, before: Timestamp) -> Result<u64> {
    db.execute("DELETE FROM alerts WHERE resolved_at < $1 AND told = 2", &values![before])
}

fn alert(row: &Row<'_>) -> Result<AlertRecord> {
    Ok(AlertRecord {
        id: row.get("id")?,
        rule: row.get("rule")?,
        subject: row.get("subject")?,
        severity: row.get("severity")?,
        detail: row.get("detail")?,
        fired_at: row.time("fired_at")?,
        resolved_at: row.optional_time("resolved_at")?,
        acked_at: row.optional_time("acked_at")?,
        acked_by: row.get("acked_by")?,
    })
}
