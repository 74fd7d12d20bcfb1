//! What people set up, as it runs here: channels and keys, kept in step with the records whichever node they were
//! changed on.
//!
//! ```text
//! this node: change ──> records (one version further) ──> runs here
//! others:    look at the version, every second ──> it went on: read all, run what differs
//! ```
//!
//! What always holds: changes of this node and looks at those of others take turns, so that what runs is never older
//! than what was seen. Whoever runs another channel than before says its limits to the broker: whatever order that
//! happens in, the last word is the record's.

use std::collections::BTreeSet;
use std::sync::{Arc, Weak};
use std::time::Duration;

use palomar_broker::{Broker, Control, Limits};
use palomar_records::{ChannelRecord, Records, Versions};
use tokio::sync::{Mutex, MutexGuard};
use tokio::time::Instant;

use crate::channels::{Line, Registry};
use crate::intake::Entrance;
use crate::keys::KeyRing;
use crate::queues::{inbound_queue, media_queue, outbound_queue};
use crate::{App, AppError};

/// How often it is looked whether another node changed something; for all together who come from outside, too.
const LOOK: Duration = Duration::from_secs(1);

/// Channels and keys of this node.
pub(crate) struct Setup {
    records: Records,
    broker: Arc<dyn Broker>,
    registry: Arc<Registry>,
    keys: Arc<KeyRing>,
    entrance: Entrance,
    /// Webhooks of a channel that are processed at once.
    inbound_concurrency: u32,
    /// Media of a channel that are fetched at once.
    media_concurrency: u32,
    /// What runs is at least as new as this.
    seen: Mutex<Versions>,
    /// The last look for those who come from outside.
    shared: Mutex<Shared>,
}

/// A look that many share.
#[derive(Default)]
struct Shared {
    began: Option<Instant>,
    /// Whether it found out.
    is_known: bool,
}

/// A change of this node under way: until it is dropped, nothing that others changed is taken in.
pub(crate) struct OwnChange<'s>(#[expect(dead_code, reason = "it is held")] MutexGuard<'s, Versions>);

impl Setup {
    pub(crate) fn new(
        records: Records,
        registry: Arc<Registry>,
        entrance: Entrance,
        inbound_concurrency: usize,
        media_concurrency: usize,
    ) -> Setup {
        Setup {
            records,
            broker: Arc::clone(&entrance.broker),
            registry,
            keys: Arc::default(),
            entrance,
            inbound_concurrency: u32::try_from(inbound_concurrency).unwrap_or(u32::MAX),
            media_concurrency: u32::try_from(media_concurrency).unwrap_or(u32::MAX),
            seen: Mutex::default(),
            shared: Mutex::default(),
        }
    }

    pub(crate) fn keys(&self) -> &Arc<KeyRing> {
        &self.keys
    }

    /// Runs everything that there is.
    pub(crate) async fn begin(&self) -> Result<(), AppError> {
        let mut seen = self.seen.lock().await;
        let versions = self.records.versions().await?;
        self.keys.replace(&self.records.keys().await?);
        self.run_all(self.records.channels().await?).await?;
        *seen = versions;
        Ok(())
    }

    /// Takes in what other nodes changed since the last look.
    pub(crate) async fn take_in(&self) -> Result<(), AppError> {
        let mut seen = self.seen.lock().await;
        // Read before the rows: these are as new, or newer.
        let versions = self.records.versions().await?;
        if versions.keys != seen.keys {
            self.keys.replace(&self.records.keys().await?);
            seen.keys = versions.keys;
        }
        if versions.channels != seen.channels {
            self.run_all(self.records.channels().await?).await?;
            seen.channels = versions.channels;
        }
        Ok(())
    }

    /// The same for who is not proven to be anybody: whether it is known what others changed before this was asked. However
    /// many ask, one look a second is made, which all share who asked before it began.
    pub(crate) async fn take_in_for_all(&self) -> bool {
        let asked = Instant::now();
        let mut last = self.shared.lock().await;
        if let Some(began) = last.began {
            if began >= asked {
                return last.is_known;
            }
            tokio::time::sleep_until(began + LOOK).await;
        }
        // Whoever makes it may go away in the midst of it: then it has found out nothing.
        *last = Shared { began: Some(Instant::now()), is_known: false };
        last.is_known = self.take_in().await.is_ok();
        last.is_known
    }

    /// Begins a change of this node.
    pub(crate) async fn change(&self) -> OwnChange<'_> {
        OwnChange(self.seen.lock().await)
    }

    /// Runs these channels and no others.
    async fn run_all(&self, records: Vec<ChannelRecord>) -> Result<(), AppError> {
        let names: BTreeSet<_> = records.iter().map(|record| record.name.clone()).collect();
        for known in self.registry.known() {
            if !names.contains(&known.name) {
                self.registry.remove(&known.name);
            }
        }
        for record in records {
            if self.registry.runs(&record) {
                continue;
            }
            match self.registry.build(&record, self.entrance.sink(&record.name)) {
                Ok(line) => self.run(&record, line).await?,
                Err(errors) => {
                    self.registry.put_problem(&record, &errors);
                    tracing::error!(channel = %record.name, ?errors, "a channel does not work");
                }
            }
        }
        Ok(())
    }

    /// Makes a channel of its record, without running it.
    pub(crate) fn build(&self, record: &ChannelRecord) -> Result<Line, AppError> {
        let sink = self.entrance.sink(&record.name);
        self.registry.build(record, sink).map_err(AppError::Invalid)
    }

    /// Sets up a channel's queues, and runs it.
    pub(crate) async fn run(&self, record: &ChannelRecord, line: Line) -> Result<(), AppError> {
        let outbound =
            Control::Configure { queue: outbound_queue(&record.name)?, limits: line.limits.clone() };
        let limits = inbound_limits(self.inbound_concurrency);
        let inbound = Control::Configure { queue: inbound_queue(&record.name)?, limits };
        let limits = media_limits(self.media_concurrency);
        let media = Control::Configure { queue: media_queue(&record.name)?, limits };
        for control in [outbound, inbound, media] {
            self.broker.control(control).await??;
        }
        self.registry.put(record, line);
        Ok(())
    }
}

/// Looks at what other nodes change, as long as there is an application.
pub(crate) async fn look(app: Weak<App>) {
    let mut failing = false;
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(app) = app.upgrade() else { return };
        let looked = app.setup.take_in().await;
        if let Err(error) = &looked
            && !failing
        {
            tracing::warn!(%error, "what other nodes change is not known, asking again");
        }
        failing = looked.is_err();
    }
}

/// Media are fetched again at once where a fetch was killed; a provider that is down is left alone for a while.
fn media_limits(concurrency: u32) -> Limits {
    Limits { concurrency, order_wait: Duration::ZERO, uncertain_wait: Duration::ZERO, ..Limits::default() }
}

/// What providers report is never held back, and read again at once where a reader was killed.
fn inbound_limits(concurrency: u32) -> Limits {
    let defaults = Limits::default();
    let breaker = palomar_broker::BreakerConfig { failures: 0, ..defaults.breaker };
    Limits { concurrency, breaker, order_wait: Duration::ZERO, uncertain_wait: Duration::ZERO, ..defaults }
}
