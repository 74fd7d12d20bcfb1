//! What messages of others did, told by whoever sent them: counted with ours, each event once.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use palomar_model::Timestamp;
use palomar_model::analytics::{FailureReason, Metric, Series, Stage};

use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::tracked;
use crate::tables::analytics::tracked::Tracked;
use crate::tables::cursors;
use crate::tally::{Origin, Tally};
use crate::{PROJECTION, Records};

/// Something that a message of others did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrackedEvent {
    /// What makes it the same as another.
    pub id: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub metric: Metric,
    /// What it is counted under.
    pub series: Series,
    /// Why it failed.
    pub reason: Option<FailureReason>,
    /// What took how long.
    pub took: Option<(Stage, Duration)>,
}

impl Records {
    /// Counts events; of each whether it is new. Those who tell at the same time share a commit.
    ///
    /// # Errors
    /// Where the database can't be written: nothing was counted.
    pub async fn track(&self, events: Vec<TrackedEvent>, now: Timestamp) -> Result<Vec<bool>> {
        self.tellers.tell(&self.store, events, now).await
    }
}

/// Counts events, those of several callers behind each other; of each whether it is new.
pub(super) fn track<'e>(
    db: Db<'_>,
    events: impl Iterator<Item = &'e TrackedEvent> + Clone,
    now: Timestamp,
) -> Result<Vec<bool>> {
    // Pages are read and written: whoever writes has the turn.
    cursors::take_turn(db, PROJECTION, now)?;
    let ids: BTreeSet<&str> = events.clone().map(|event| event.id.as_str()).collect();
    let known = tracked::known(db, ids.into_iter())?;
    let (mut tally, mut new, mut told) = (Tally::default(), BTreeMap::new(), Vec::new());
    for TrackedEvent { id, at, metric, series, reason, took } in events {
        let is_new = !known.contains(id) && !new.contains_key(id.as_str());
        told.push(is_new);
        if !is_new {
            continue;
        }
        let series = tally.open(series);
        tally.count(series, *at, *metric);
        let reason = reason.clone().map(|reason| tally.failed(series, *at, reason));
        if let Some((stage, took)) = *took {
            tally.time(series, *at, stage, took);
        }
        new.insert(id.as_str(), Tracked { at: *at, metric: *metric, series, reason, took: *took });
    }
    let mut writes = tally.writes(db, Origin::Told)?;
    writes.push(tracked::add(&new, now));
    db.write(writes)?;
    Ok(told)
}
