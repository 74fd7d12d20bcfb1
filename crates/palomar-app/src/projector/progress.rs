//! How far records follow the event log, partition by partition; whoever writes them, this node or another.

use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{Broker, Cursor, Partition, Stats};
use palomar_model::Timestamp;
use palomar_records::Records;
use tokio::sync::watch;

use super::of_records;
use crate::AppError;
use crate::metrics::Lag;

/// Who waits for what another node writes asks so often.
const LOOK: Duration = Duration::from_millis(50);

/// Where the rows stand. Clones are the same.
#[derive(Clone)]
pub(crate) struct Progress {
    broker: Arc<dyn Broker>,
    records: Records,
    stands: Arc<[watch::Sender<u64>]>,
}

impl Progress {
    /// Of all partitions of the broker's log.
    pub(crate) async fn load(broker: Arc<dyn Broker>, records: Records) -> Result<Progress, AppError> {
        let mut stands = Vec::new();
        for partition in partitions(&*broker) {
            stands.push(watch::Sender::new(records.cursor(of_records(partition)).await?));
        }
        Ok(Progress { broker, records, stands: stands.into() })
    }

    /// Where the rows stand in a partition, as far as this node knows.
    pub(crate) fn stands(&self, partition: Partition) -> u64 {
        self.of(partition).map_or(0, |stands| *stands.borrow())
    }

    pub(super) fn set(&self, partition: Partition, stands: u64) {
        if let Some(known) = self.of(partition) {
            known.send_replace(stands);
        }
    }

    /// Takes in what was read of the rows, which may be older than what is known.
    pub(super) fn read(&self, partition: Partition, stands: u64) {
        if let Some(known) = self.of(partition) {
            known.send_if_modified(|known| *known < stands && std::mem::replace(known, stands) != stands);
        }
    }

    fn of(&self, partition: Partition) -> Option<&watch::Sender<u64>> {
        self.stands.get(usize::try_from(partition.0).ok()?)
    }

    /// Each partition with where it ends and where the rows stand in it.
    fn ends(&self, stats: &Stats) -> impl Iterator<Item = (Partition, u64, u64)> {
        let ends = stats.log_ends.iter().map(|end| end.0).collect::<Vec<_>>();
        partitions(&*self.broker).zip(ends).map(|(partition, end)| (partition, end, self.stands(partition)))
    }

    /// A partition in which the rows are further than the log: where they stand, and where it ends.
    pub(crate) fn ahead(&self, stats: &Stats) -> Option<(u64, u64)> {
        self.ends(stats).find(|(_, end, stands)| stands > end).map(|(_, end, stands)| (stands, end))
    }

    /// Numbers of the log that the rows have not reached. The log may skip some of them.
    pub(crate) fn behind(&self, stats: &Stats) -> u64 {
        self.ends(stats).map(|(_, end, stands)| end.saturating_sub(stands)).sum()
    }

    /// How far records are behind the log. Numbers of the log may be skipped at its end: where nothing is left to read,
    /// they are not behind.
    pub(crate) async fn lag(&self, stats: &Stats, now: Timestamp) -> Result<Lag, AppError> {
        let mut lag = Lag::default();
        for (partition, end, stands) in self.ends(stats) {
            let unread = self.broker.events(partition, Cursor(stands), 1, Duration::ZERO).await?;
            if let Some(first) = unread.first() {
                lag.facts += end.saturating_sub(stands).max(1);
                lag.age = lag.age.max(now.since(first.at));
            }
        }
        Ok(lag)
    }

    /// Waits until records have all that was logged by now.
    pub(crate) async fn caught_up(&self, within: Duration) -> Result<(), AppError> {
        let stats = self.broker.stats().await?;
        let catch_up = async {
            for (partition, end, _) in self.ends(&stats) {
                self.reach(partition, end).await?;
            }
            Ok(())
        };
        let late = || AppError::Unavailable("records are behind the log".to_owned());
        tokio::time::timeout(within, catch_up).await.map_err(|_| late())?
    }

    /// Waits until the rows have all of a partition up to `end`. What counts is that nothing is left to read.
    async fn reach(&self, partition: Partition, end: u64) -> Result<(), AppError> {
        let Some(known) = self.of(partition) else { return Ok(()) };
        let mut stands = known.subscribe();
        loop {
            let now = *stands.borrow_and_update();
            let left = async || self.broker.events(partition, Cursor(now), 1, Duration::ZERO).await;
            if now >= end || left().await?.is_empty() {
                return Ok(());
            }
            tokio::select! {
                _ = stands.changed() => {}
                () = tokio::time::sleep(LOOK) => {
                    self.read(partition, self.records.cursor(of_records(partition)).await?);
                }
            }
        }
    }
}

/// All partitions of a broker's log.
pub(crate) fn partitions(broker: &dyn Broker) -> impl Iterator<Item = Partition> + use<> {
    (0..broker.partitions()).map(Partition)
}
