//! Alerts: kept from their firing on, until they are told, resolved and old.

use palomar_model::Timestamp;

use crate::Records;
use crate::error::{RecordsError, Result};
use crate::tables::alerts;
use crate::tables::page::Page;

pub use crate::tables::alerts::{AlertRecord, ToTell};

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

impl Records {
    /// Keeps what a look found, all of it or none.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn note_alerts(&self, changes: Vec<AlertChange>, now: Timestamp) -> Result<()> {
        let work = move |db: crate::store::Db<'_>| {
            for change in &changes {
                match change {
                    AlertChange::Fired(alert) => {
                        alerts::fire(db, alert)?;
                    }
                    AlertChange::Changed(rule, subject, severity, detail) => {
                        alerts::change(db, rule, subject, severity, detail)?;
                    }
                    AlertChange::Resolved(rule, subject) => alerts::resolve(db, rule, subject, now)?,
                }
            }
            Ok(())
        };
        self.write(work).await
    }

    /// Notes that somebody knows of an alert; the first who says so is kept.
    ///
    /// # Errors
    /// [`RecordsError::NotFound`].
    pub async fn acknowledge_alert(&self, id: &str, who: &str, now: Timestamp) -> Result<AlertRecord> {
        let (id, who) = (id.to_owned(), who.to_owned());
        let work = move |db: crate::store::Db<'_>| {
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
