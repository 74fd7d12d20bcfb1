//! The Redis broker: the machine's semantics inside Redis, shared by any number of processes.
//!
//! ```text
//! callers ──> partition ──> desk ──> one call: what gathered, in order ──> library in Redis ──> keys of the partition
//!                             └── leases that wait: asked again when Redis says that there is work, or something is due
//! ```
//!
//! A call is one run of a library of functions (`lua/`): it loads what its operations touch, does to it what the machine
//! would do (`crate::machine` is the specification; the conformance suite compares them answer by answer), and writes
//! back what changed together with the facts of the event log. Nothing else changes the keys. What it has loaded stays in
//! Redis' Lua for the next call, which uses it only where the partition's record names that very call as the last that wrote
//! anything: it can't be out of date (see `lua/left.lua`, and `tests/left.rs` for another library, a server that lost its
//! keys, and one that has older ones again).
//!
//! # Keys
//!
//! All keys of partition `n` begin with `{prefix:pn}`: a partition is in one slot of a cluster, and a queue is in one
//! partition by its name. `job`, `queue` and so on below stand for `{prefix:pn}:job`, ….
//!
//! | key | kind | what |
//! |---|---|---|
//! | `{prefix:pn}` | hash | `m`: numbers that go on, the present, when something is due, who waits, which call wrote it; `layout`, `partitions`; the last answer to each caller |
//! | `job` | hash | number (6 bytes) to record: see `record`; written once |
//! | `at` | hash | number to where the job stands, where that differs from how it was accepted |
//! | `id` | hash | id (16 bytes) to number |
//! | `chunk`, `chunks` | hash, sorted set | how many jobs each 1,024 numbers hold, and which hold any: for pages |
//! | `sought` | sorted set | uncertain, dead, cancelled and expired jobs by number: for those who look for them |
//! | `queue`, `limits`, `name`, `names` | hashes | queue (4 bytes) to record, to what it allows; name to queue, queue to name |
//! | `group` | hash | queue and group to record |
//! | `chain` | hash | queue and key to the first and last job of the key |
//! | `lane:…` | list | ready jobs of a group and priority, in turn; `…:x` names ghosts (see `lua/list.lua`) |
//! | `parked:…`, `kept:…` | lists | jobs that wait for a budget; final jobs that are kept, by kind |
//! | `ring:…` | list | queues of a pool that may start a job, in turn |
//! | `sleep`, `expiry`, `gate`, `forget` | sorted sets | jobs by when they wake, by when they expire; queues by when they may go on; requests by when they are forgotten |
//! | `request` | hash | request to job, fingerprint and time |
//! | `window:…`, `pair`, `pacing:…` | lists, sorted set, sets | starts of a window; when each key may start again; jobs that wait for that |
//! | `budget`, `spent:…` | hash, sorted sets | budgets; keys that count in one, by last start |
//! | `log` | stream | the event log: an entry a call (see `lua/facts.lua`) |
//! | `reader`, `gone` | hash, list | how far readers are; forgotten jobs whose records a reader may still want |
//! | `wake` | channel | told once to those who wait: `p…` work in a pool, `l` facts |
//!
//! # Partitions
//!
//! Each partition is a machine of its own, with its own log: a queue is in one by the checksum of its name, with all of
//! its jobs. How many there are is fixed when they are made. A job's number that the outside
//! sees is that of the partition times how many there are, plus the partition. Leases go to all partitions
//! in turn; a job that is known by its id alone is looked for where it was leased, else in all of them.
//!
//! What is remembered of requests, ids among them, and budgets are of one partition too: a request that is repeated to
//! another queue may be accepted twice, and queues that share a budget must be in one partition. One partition has no such
//! bounds, on a cluster neither.
//!
//! # What always holds
//!
//! - What a call changes, it changes in one step; an error before its end has changed nothing.
//! - A call that is repeated, because its answer was lost, is answered as it was the first time and done once.
//! - A job is in the list or set that its phase says, once; ghosts aside.
//! - Facts are numbered without gaps, in the order in which they happened; an entry's id is its first fact's number.
//! - Time is Redis' own, and never goes back within a partition.
//! - While a cluster moves a partition's slot, nothing of it changes: calls name keys that are never there, and are
//!   refused until the slot has moved.
//! - The record of a job stays until the job is forgotten and every reader of the log is past its acceptance.

mod answer;
mod call;
mod config;
mod desk;
mod ear;
mod info;
mod leasing;
mod library;
mod line;
mod link;
mod log;
mod numbered;
mod places;
mod record;
mod request;
mod routes;
mod server;
mod shard;
mod shown;
#[cfg(test)]
mod tests;
mod together;
mod wire;

use std::sync::atomic::AtomicUsize;
use std::sync::{Arc, OnceLock};

use futures_util::future::try_join_all;
use palomar_model::Clock;
use redis::{PushInfo, PushKind, Value};
use tokio::sync::mpsc;

use crate::broker::BrokerError;
use crate::types::Limits;
pub use config::{Confirm, RedisConfig, RedisServers};
pub use info::{PartitionInfo, RedisInfo, redis_info};
use line::{Line, Present, Terms, Word};
use link::Link;
use places::Places;
use shard::Shard;

/// Partitions at most.
const MOST_PARTITIONS: u16 = 256;

/// What the keys of a partition begin with.
fn base_of(prefix: &str, number: u16) -> String {
    format!("{{{prefix}:p{number}}}")
}

/// A partition's channel, and who is told what is said there.
type Desk = (String, mpsc::UnboundedSender<Word>);

/// A broker in Redis.
pub struct RedisBroker {
    link: Arc<Link>,
    prefix: String,
    partitions: Arc<[Arc<Shard>]>,
    /// Where jobs were leased.
    places: Places,
    /// Which partition a lease asks first.
    turn: AtomicUsize,
}

impl std::fmt::Debug for RedisBroker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisBroker")
            .field("servers", &self.link.shown)
            .field("prefix", &self.prefix)
            .field("partitions", &self.partitions.len())
            .finish()
    }
}

impl RedisBroker {
    /// Opens the broker on the current runtime; its queues are made where there are none.
    pub async fn open(config: RedisConfig) -> Result<RedisBroker, BrokerError> {
        RedisBroker::open_at(config, Present::OfRedis).await
    }

    /// As [`RedisBroker::open`], with a clock in place of Redis' own: for tests that move time by hand.
    pub async fn open_with_clock(
        config: RedisConfig,
        clock: Arc<dyn Clock>,
    ) -> Result<RedisBroker, BrokerError> {
        RedisBroker::open_at(config, Present::Of(clock)).await
    }

    async fn open_at(config: RedisConfig, present: Present) -> Result<RedisBroker, BrokerError> {
        if !(1..=MOST_PARTITIONS).contains(&config.partitions) {
            let why = format!("queues are in 1 to {MOST_PARTITIONS} partitions, not {}", config.partitions);
            return Err(BrokerError::Failed(why.into()));
        }
        let bases: Vec<String> =
            (0..config.partitions).map(|number| base_of(&config.prefix, number)).collect();
        // Who is told what Redis says: known when there are partitions.
        let desks: Arc<OnceLock<Vec<Desk>>> = Arc::default();
        let told = Arc::clone(&desks);
        let pushed = move |push: PushInfo| {
            if let Some((word, channel)) = word_of(&push) {
                for (name, say) in told.get().into_iter().flatten() {
                    if channel.is_none_or(|channel| channel == name.as_bytes()) {
                        // Where nobody serves any more, nobody waits.
                        let _ = say.send(word);
                    }
                }
            }
        };
        let channels: Vec<String> = bases.iter().map(|base| format!("{base}:wake")).collect();
        let link = Arc::new(Link::new(&config, channels.clone(), Arc::new(pushed))?);
        server::check(&link, &config).await?;
        try_join_all(bases.iter().map(|base| server::claim(&link, &config, base))).await?;
        let open = |(number, base): (u16, String)| {
            let terms = Terms {
                number,
                base: base.clone(),
                process: config.process,
                machine: config.machine,
                keep_log: config.keep_log,
                present: present.clone(),
            };
            let line = Line::open(Arc::clone(&link), terms.clone());
            let limits = request::limits_packed(&Limits::default());
            Arc::new(Shard { line, link: Arc::clone(&link), base, terms, limits })
        };
        let partitions: Arc<[Arc<Shard>]> = (0..).zip(bases).map(open).collect();
        desks.get_or_init(|| {
            channels.into_iter().zip(partitions.iter().map(|partition| partition.line.ear())).collect()
        });
        let readers =
            partitions.iter().map(|partition| partition.line.ask(request::readers(&config.readers)));
        try_join_all(readers).await?;
        Ok(RedisBroker { link, prefix: config.prefix, partitions, places: Places::default(), turn: 0.into() })
    }

    /// Ends this process' part: what is under way is answered, leases that wait are not. Later calls answer
    /// [`BrokerError::Stopped`].
    pub async fn close(&self) {
        futures_util::future::join_all(self.partitions.iter().map(|partition| partition.line.close())).await;
    }
}

/// What is said to those who wait, and on which channel; on none it is meant for all.
fn word_of(push: &PushInfo) -> Option<(Word, Option<&[u8]>)> {
    match push.kind {
        PushKind::Disconnection => Some((Word::Anything, None)),
        PushKind::Message => {
            let channel = match push.data.first() {
                Some(Value::BulkString(channel)) => Some(&channel[..]),
                _ => None,
            };
            match push.data.get(1) {
                Some(Value::BulkString(said)) if said.first() == Some(&b'l') => Some((Word::Facts, channel)),
                _ => Some((Word::Work, channel)),
            }
        }
        _ => None,
    }
}
