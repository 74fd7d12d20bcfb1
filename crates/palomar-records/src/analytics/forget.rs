//! Forgets what is past its retention: pages, the oldest first, of whatever series; then series that nothing speaks of.
//!
//! Always: one node at a time, some rows a transaction, so that whoever writes messages has the turn in between.

use std::time::Duration;

use palomar_model::Timestamp;
use palomar_model::analytics::{SeriesId, Tier};

use crate::error::Result;
use crate::store::Db;
use crate::tables::analytics::{counts, series, talks, times};
use crate::tables::followers::{self, Follower};
use crate::tables::{cursors, retained};
use crate::{PROJECTION, Records};

/// So many rows go in one transaction.
const BATCH: usize = 2_000;
/// Whoever forgets keeps the right to it for so long after a step.
const HOLD: Duration = Duration::from_secs(60);
/// What that right is called.
const RIGHT: &str = "analytics_forget";

/// What is past its retention: everything before these.
#[derive(Clone, Copy)]
enum Old {
    Talks(i64),
    Counts(Tier, i64),
    Times(Tier, i64),
}

impl Old {
    fn forget(self, db: Db<'_>) -> Result<u64> {
        match self {
            Old::Talks(day) => talks::forget_before(db, day, BATCH),
            Old::Counts(tier, page) => counts::forget_before(db, tier, page, BATCH),
            Old::Times(tier, page) => times::forget_before(db, tier, page, BATCH),
        }
    }
}

impl Records {
    /// Forgets minutes and quarters of an hour that are older; how many rows it were, or none where another node is at it.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn analytics_forget(
        &self,
        node: &str,
        minutes: Duration,
        quarters: Duration,
        now: Timestamp,
    ) -> Result<Option<u64>> {
        let (minutes, quarters) = (now.before(minutes), now.before(quarters));
        let first_minutes = Tier::Minute.place(minutes).0;
        let old = [
            Old::Counts(Tier::Minute, first_minutes),
            Old::Counts(Tier::Quarter, Tier::Quarter.place(quarters).0),
            Old::Talks(Tier::Quarter.place(quarters).0),
        ];
        let times = times::TIERS.map(|tier| Old::Times(tier, tier.place(quarters).0));
        // Before the first of them goes: whoever counts again compares what is whole.
        let whole = move |db: Db<'_>| retained::minutes_from(db, first_minutes, now);
        let mut forgotten = 0;
        if self.step(node, now, whole).await?.is_none() {
            return Ok(None);
        }
        for old in old.into_iter().chain(times) {
            loop {
                let Some(some) = self.step(node, now, move |db| old.forget(db)).await? else {
                    return Ok(Some(forgotten));
                };
                forgotten += some;
                if some < BATCH as u64 {
                    break;
                }
            }
        }
        let mut after = Some(SeriesId(i64::MIN));
        while let Some(from) = after {
            let step = self.step(node, now, move |db| series::forget_empty(db, from, BATCH)).await?;
            let Some((some, last)) = step else { break };
            forgotten += some;
            after = last;
        }
        let node = node.to_owned();
        self.write(move |db| followers::let_go(db, RIGHT, &node)).await?;
        Ok(Some(forgotten))
    }

    /// Does one step in the projection's turn, where no other node forgets.
    async fn step<T, F>(&self, node: &str, now: Timestamp, work: F) -> Result<Option<T>>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let node = node.to_owned();
        self.write(move |db| {
            if followers::take(db, RIGHT, &node, HOLD)? == Follower::Another {
                return Ok(None);
            }
            cursors::take_turn(db, PROJECTION, now)?;
            work(db).map(Some)
        })
        .await
    }
}
