//! One reader of the journal for all clients of this node, and who they are.
//!
//! The reader is woken by what this process writes. Where other processes write the same records it also looks at where
//! the journal ends, 40 times a second and only while there are clients: one small read that nobody has to send, that no
//! lost connection can silence, and that needs nothing beside the records.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use palomar_model::Clock;
use palomar_records::Records;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ring::{Ring, Taken};
use super::subscription::{Dropped, Subscription};
use super::vocabulary::events_of;
use super::{EventFilter, EventId};
use crate::keys::KeyRing;
use crate::metrics::Metrics;
use crate::{AppError, Caller};

/// Clients of a node at once, where the configuration does not say.
pub const MOST_CLIENTS: usize = 2_000;

/// Entries of the journal that the reader takes at once.
const PAGE: usize = 512;
/// How often it is looked whether another process wrote; and where no other does, against a wake-up that was missed.
const LOOK: Duration = Duration::from_millis(25);
const LOOK_ALONE: Duration = Duration::from_millis(500);
/// The reader tries again after so long where the records can't be read.
const BACKOFF: Duration = Duration::from_millis(500);
/// How often clients are looked at.
const SWEEP: Duration = Duration::from_millis(500);
/// A client that has not taken what it was given for so long is dropped.
const STALLED: Duration = Duration::from_secs(30);
/// One that was told so and is still there is cut off.
const CUT: Duration = Duration::from_secs(2);
/// Clients that read the journal for themselves at once.
const CATCHING_UP: usize = 4;

/// What brings events to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// `GET /api/events`.
    Sse,
    /// `/socket.io/`.
    SocketIo,
}

impl Transport {
    pub(crate) const ALL: [Transport; 2] = [Transport::Sse, Transport::SocketIo];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Transport::Sse => "sse",
            Transport::SocketIo => "socketio",
        }
    }
}

/// Who wants events.
#[derive(Clone, Debug)]
pub struct Subscriber {
    /// Whose key it is.
    pub caller: Caller,
    /// What they want.
    pub filter: EventFilter,
    /// The last event that they have; what happens from now on where they have none.
    pub since: Option<EventId>,
    /// How it comes to them.
    pub transport: Transport,
    /// Cancelled where the client was dropped and does not go: whoever holds its connection ends it.
    pub cut: CancellationToken,
}

/// A client as others see it.
pub(super) struct Client {
    key: Arc<str>,
    pub(super) transport: Transport,
    cut: CancellationToken,
    /// Since when it holds what it was given; not while it waits for more.
    pub(super) holds: Mutex<Option<Instant>>,
    reason: OnceLock<(Dropped, Instant)>,
    pub(super) ended: CancellationToken,
}

impl Client {
    pub(super) fn dropped(&self) -> Option<Dropped> {
        self.reason.get().map(|(reason, _)| *reason)
    }

    fn holds_since(&self) -> Option<Instant> {
        *self.holds.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Real time on this node.
pub(crate) struct Live {
    pub(super) records: Records,
    keys: Arc<KeyRing>,
    clock: Arc<dyn Clock>,
    metrics: Metrics,
    most: usize,
    ring: Mutex<Ring>,
    /// The journal's number up to which the ring reaches.
    moved: watch::Sender<u64>,
    wake: Notify,
    clients: Mutex<Clients>,
    opening: tokio::sync::Mutex<()>,
    pub(super) catching_up: Semaphore,
    closed: AtomicBool,
}

#[derive(Default)]
struct Clients {
    by_number: HashMap<u64, Arc<Client>>,
    last: u64,
}

impl Live {
    pub(crate) fn new(
        records: Records,
        keys: Arc<KeyRing>,
        clock: Arc<dyn Clock>,
        metrics: Metrics,
        most: usize,
    ) -> Live {
        Live {
            records,
            keys,
            clock,
            metrics,
            most,
            ring: Mutex::new(Ring::new()),
            moved: watch::Sender::new(0),
            wake: Notify::new(),
            clients: Mutex::default(),
            opening: tokio::sync::Mutex::default(),
            catching_up: Semaphore::new(CATCHING_UP),
            closed: AtomicBool::new(false),
        }
    }

    /// Something was written.
    pub(crate) fn wake(&self) {
        self.wake.notify_one();
    }

    /// Takes a client in: what it gets begins right after its place.
    pub(crate) async fn subscribe(self: &Arc<Self>, who: Subscriber) -> Result<Subscription, AppError> {
        // The ring begins when the first comes: from there on the reader keeps up.
        let opening = self.opening.lock().await;
        if self.closed.load(Ordering::Acquire) {
            return Err(AppError::Draining);
        }
        let others = self.clients().by_number.len();
        if others >= self.most {
            return Err(AppError::Crowded { most: self.most });
        }
        if others == 0 {
            let end = self.records.feed_end().await?;
            self.ring().reset(end);
            self.moved.send_replace(end);
        }
        let now = self.ring().end();
        let end = match who.since {
            Some(since) if since > now => EventId::end_of(self.records.feed_end().await?),
            _ => now,
        };
        let client = Arc::new(Client {
            key: Arc::clone(&who.caller.key_id),
            transport: who.transport,
            cut: who.cut.clone(),
            holds: Mutex::default(),
            reason: OnceLock::new(),
            ended: CancellationToken::new(),
        });
        let number = self.enter(&client);
        drop(opening);
        self.wake();
        Ok(Subscription::new(Arc::clone(self), number, client, who, (now, end), self.moved.subscribe()))
    }

    fn enter(&self, client: &Arc<Client>) -> u64 {
        let mut clients = self.clients();
        clients.last += 1;
        let number = clients.last;
        clients.by_number.insert(number, Arc::clone(client));
        self.metrics.realtime().clients(client.transport, 1);
        number
    }

    pub(super) fn leave(&self, number: u64) {
        if let Some(client) = self.clients().by_number.remove(&number) {
            self.metrics.realtime().clients(client.transport, -1);
        }
    }

    /// Drops a client; it is told why when it comes for more.
    pub(super) fn drop_client(&self, client: &Client, why: Dropped) {
        if client.reason.set((why, Instant::now())).is_ok() {
            self.metrics.realtime().dropped(why);
            client.ended.cancel();
        }
    }

    /// Drops all clients: this process ends.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        let all: Vec<_> = self.clients().by_number.values().cloned().collect();
        all.iter().for_each(|client| self.drop_client(client, Dropped::ShuttingDown));
    }

    pub(super) fn told(&self, transport: Transport, events: usize) {
        self.metrics.realtime().told(transport, events);
    }

    /// What is in the ring after a place.
    pub(super) fn after(&self, place: EventId, wants: impl Fn(&super::Event) -> bool) -> Taken {
        self.ring().after(place, wants)
    }

    /// Reads the journal for all clients, and looks after them, until it is told to stop.
    pub(crate) async fn run(self: Arc<Self>) {
        let mut swept = Instant::now();
        let mut failing = false;
        loop {
            if self.clients().by_number.is_empty() {
                self.wake.notified().await;
                continue;
            }
            if swept.elapsed() >= SWEEP {
                self.sweep(Instant::now());
                swept = Instant::now();
            }
            let read = self.read_on().await;
            if let Err(error) = &read
                && !failing
            {
                tracing::warn!(%error, "real time waits for the records");
            }
            failing = read.is_err();
            let pause = match read {
                Ok(true) => continue,
                Ok(false) if self.records.are_shared() => LOOK,
                Ok(false) => LOOK_ALONE,
                Err(_) => BACKOFF,
            };
            tokio::select! {
                () = self.wake.notified() => {}
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Takes the next stretch of the journal into the ring; whether there may be more.
    async fn read_on(&self) -> Result<bool, AppError> {
        let after = self.ring().end();
        let feed = self.records.feed(after.read_after(), PAGE).await?;
        let Some(last) = feed.entries.last() else { return Ok(false) };
        let (through, full) = (last.seq, feed.entries.len() == PAGE);
        let events = feed.entries.iter().flat_map(events_of).collect();
        self.ring().append(after, events, through);
        self.moved.send_replace(through);
        Ok(full)
    }

    /// Looks at all clients: whose key has ended, who does not take what it was given, who was dropped and is still there.
    fn sweep(&self, now: Instant) {
        let all: Vec<_> = self.clients().by_number.values().cloned().collect();
        let mut good: HashMap<Arc<str>, bool> = HashMap::new();
        let present = self.clock.now();
        for client in all {
            if let Some((_, at)) = client.reason.get() {
                if now.duration_since(*at) >= CUT {
                    client.cut.cancel();
                }
                continue;
            }
            let key = Arc::clone(&client.key);
            if !*good.entry(key).or_insert_with_key(|key| self.keys.is_good(key, present)) {
                self.drop_client(&client, Dropped::KeyEnded);
            } else if client.holds_since().is_some_and(|since| now.duration_since(since) >= STALLED) {
                self.drop_client(&client, Dropped::Stalled);
            }
        }
    }

    fn ring(&self) -> MutexGuard<'_, Ring> {
        self.ring.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn clients(&self) -> MutexGuard<'_, Clients> {
        self.clients.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
