//! Alerts: kept from their firing on, until they are told, resolved and old.

use palomar_model::Timestamp;
use serde_json::json;

use crate::error::{RecordsError, Result};
use crate::store::Db;
use crate::tables::journal::{self, Entry};
use crate::tables::page::Page;
use crate::tables::{alerts, cursors};
use crate::{PROJECTION, Partition, Records};

pub use crate::tables::alerts::{AlertRecord, ToTell};

/// The kind of an entry of the journal that says that an alert fires.
pub const ALERT_FIRING: &str = "alert_firing";
/// The kind of one that says that it is over.
pub const ALERT_RESOLVED: &str = "alert_resolved";

/// What a look found to have changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AlertChange {
    /// It fires now.
    Fired(AlertRecord),
    /// It fires, with other words or another severity: rule, subject, severity, detail.
    Changed(String, String, String, String),
    /// It has ended: rule and subject.
    Resolved(String, String),
}

/// Writes into the journal what alerts did, in one's turn. Such entries are of no place in the event log.
fn tell(db: Db<'_>, told: Vec<(&'static str, AlertRecord)>, last: u64, now: Timestamp) -> Result<()> {
    if told.is_empty() {
        return Ok(());
    }
    let end = last + told.len() as u64;
    let entries = told.into_iter().zip(last + 1..).map(|((kind, alert), seq)| Entry {
        seq,
        cursor: 0,
        at: now,
        kind: kind.to_owned(),
        channel: None,
        message: None,
        detail: json!({
            "id": alert.id, "rule": alert.rule, "subject": alert.subject, "severity": alert.severity,
            "detail": alert.detail, "firedAt": alert.fired_at, "resolvedAt": alert.resolved_at,
        }),
        counted: Vec::new(),
        measured: 0,
    });
    let entries: Vec<_> = entries.collect();
    db.write(vec![journal::add(Partition::WHOLE, &entries)?])?;
    cursors::end_at(db, PROJECTION, end)
}

impl Records {
    /// Keeps what a look found, all of it or none, and tells the journal of it.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn note_alerts(&self, changes: Vec<AlertChange>, now: Timestamp) -> Result<()> {
        let work = move |db: Db<'_>| {
            let last = cursors::take_turn(db, PROJECTION, now)?;
            let mut told = Vec::new();
            for change in &changes {
                match change {
                    AlertChange::Fired(alert) if alerts::fire(db, alert)? => {
                        told.push((ALERT_FIRING, alert.clone()));
                    }
                    AlertChange::Fired(_) => {}
                    AlertChange::Changed(rule, subject, severity, detail) => {
                        alerts::change(db, rule, subject, severity, detail)?;
                    }
                    AlertChange::Resolved(rule, subject) => {
                        let ends = alerts::of(db, rule, subject)?;
                        alerts::resolve(db, rule, subject, now)?;
                        let over = ends.map(|alert| AlertRecord { resolved_at: Some(now), ..alert });
                        told.extend(over.map(|alert| (ALERT_RESOLVED, alert)));
                    }
                }
            }
            tell(db, told, last, now)
        };
        self.write(work).await
    }

    /// Notes that somebody knows of an alert; the first who says so is kept.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`].
    pub async fn acknowledge_alert(&self, id: &str, who: &str, now: Timestamp) -> Result<AlertRecord> {
        let (id, who) = (id.to_owned(), who.to_owned());
        let work = move |db: Db<'_>| {
            alerts::acknowledge(db, &id, &who, now)?;
            alerts::get(db, &id)?.ok_or(RecordsError::NotFound("alert"))
        };
        self.write(work).await
    }

    /// Notes that what is to be told of an alert is queued.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn alert_told(&self, id: &str, what: ToTell) -> Result<()> {
        let id = id.to_owned();
        self.write(move |db| alerts::told(db, &id, what)).await
    }

    /// Alerts of which something is still to be told.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn untold_alerts(&self, limit: usize) -> Result<Vec<(AlertRecord, ToTell)>> {
        self.read(move |db| alerts::untold(db, limit)).await
    }

    /// Alerts that fire.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn firing_alerts(&self) -> Result<Vec<AlertRecord>> {
        self.read(alerts::firing).await
    }

    /// One alert.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn alert(&self, id: &str) -> Result<Option<AlertRecord>> {
        let id = id.to_owned();
        self.read(move |db| alerts::get(db, &id)).await
    }

    /// A page of alerts, the newest first; those that fire, those that ended, or all.
    ///
    /// # Errors
    /// [`RecordsError::BadCursor`] for a cursor of another list.
    pub async fn alerts(
        &self,
        firing: Option<bool>,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<AlertRecord>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| alerts::list(db, firing, cursor.as_deref(), limit)).await
    }

    /// Forgets alerts that ended before and were told.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn trim_alerts(&self, before: Timestamp) -> Result<u64> {
        self.write(move |db| alerts::trim(db, before)).await
    }
}
