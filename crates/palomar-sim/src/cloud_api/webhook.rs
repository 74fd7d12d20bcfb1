//! Posts webhooks: keeps them until their time, puts statuses together, signs, posts, and tries again.
//!
//! One task does the waiting (a heap by time), at most [`Webhooks::concurrency`] tasks do the posting, so a million
//! statuses cost memory and no tasks. Order is not guaranteed, as with Meta.

use std::cmp::Ordering as By;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use serde::Serialize;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::config::{Config, Webhooks};
use super::payload::{self, Metadata, Signer};
use super::state::display_number;
use super::stats::WebhookStats;
use super::statuses::{Status, StatusJson};
use crate::lock;

/// No pause between two tries is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many batches are taken from the heap in one go.
const BATCHES_AT_ONCE: usize = 32;

/// The webhooks of one simulator.
#[derive(Debug)]
pub(super) struct Courier {
    queue: Mutex<Queue>,
    wake: Notify,
    target: Mutex<Option<Arc<str>>>,
    client: reqwest::Client,
    signer: Signer,
    account: String,
    numbers: Vec<super::config::PhoneNumber>,
    settings: Webhooks,
    counters: PostCounters,
}

#[derive(Debug, Default)]
struct Queue {
    heap: BinaryHeap<Due>,
    pushed: u64,
    /// Raised by a reset: what is older is not put back.
    epoch: u64,
}

#[derive(Debug)]
struct Due {
    at: Instant,
    order: u64,
    item: Item,
}

#[derive(Debug)]
enum Item {
    Status(Status),
    Post(Post),
}

/// A webhook with its bytes made.
#[derive(Debug)]
struct Post {
    body: Bytes,
    signature: String,
    statuses: usize,
    tries: u32,
    first_try: Option<Instant>,
    epoch: u64,
}

#[derive(Debug, Default)]
struct PostCounters {
    posts: AtomicU64,
    ok: AtomicU64,
    failed: AtomicU64,
    abandoned: AtomicU64,
    statuses: AtomicU64,
    in_flight: AtomicU64,
}

impl PartialEq for Due {
    fn eq(&self, other: &Due) -> bool {
        self.cmp(other) == By::Equal
    }
}

impl Eq for Due {}

impl PartialOrd for Due {
    fn partial_cmp(&self, other: &Due) -> Option<By> {
        Some(self.cmp(other))
    }
}

impl Ord for Due {
    /// The earliest is the greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Due) -> By {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

#[derive(Serialize)]
struct StatusValue<'a> {
    messaging_product: &'static str,
    metadata: Metadata<'a>,
    statuses: Vec<StatusJson<'a>>,
}

impl Courier {
    pub(super) fn new(config: &Config, signer: Signer) -> io::Result<Courier> {
        Ok(Courier {
            queue: Mutex::default(),
            wake: Notify::new(),
            target: Mutex::new(config.webhook_url.as_deref().map(Arc::from)),
            client: client(&config.webhooks)?,
            signer,
            account: config.business_account_id.clone(),
            numbers: config.phone_numbers.clone(),
            settings: config.webhooks.clone(),
            counters: PostCounters::default(),
        })
    }

    /// Sets where webhooks go from now on.
    pub(super) fn set_target(&self, url: Option<&str>) {
        *lock(&self.target) = url.map(Arc::from);
    }

    /// True if webhooks go anywhere.
    pub(super) fn has_target(&self) -> bool {
        lock(&self.target).is_some()
    }

    /// Takes statuses, each to be posted after its time.
    pub(super) fn schedule(&self, statuses: Vec<(Duration, Status)>) {
        let now = Instant::now();
        self.push_all(statuses.into_iter().map(|(after, status)| (now + after, Item::Status(status))));
    }

    /// Takes one whole webhook, to be posted now.
    pub(super) fn post(&self, webhook: &impl Serialize) {
        let body = payload::encode(webhook);
        let post = self.signed(body, 0, lock(&self.queue).epoch);
        self.push_all([(Instant::now(), Item::Post(post))]);
    }

    /// Forgets all that waits.
    pub(super) fn reset(&self) {
        let mut queue = lock(&self.queue);
        queue.heap.clear();
        queue.epoch += 1;
        drop(queue);
        let PostCounters { posts, ok, failed, abandoned, statuses, in_flight: _ } = &self.counters;
        for counter in [posts, ok, failed, abandoned, statuses] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(super) fn stats(&self) -> WebhookStats {
        let get = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        WebhookStats {
            posts: get(&self.counters.posts),
            ok: get(&self.counters.ok),
            failed: get(&self.counters.failed),
            abandoned: get(&self.counters.abandoned),
            statuses: get(&self.counters.statuses),
            waiting: lock(&self.queue).heap.len() as u64,
            in_flight: get(&self.counters.in_flight),
        }
    }

    /// Works until `stop` is true.
    pub(super) async fn run(self: Arc<Courier>, batch: impl Fn() -> usize, mut stop: watch::Receiver<bool>) {
        let permits = Arc::new(Semaphore::new(self.settings.concurrency.max(1)));
        let mut posting = JoinSet::new();
        loop {
            let (posts, next) = self.take_due(batch());
            for post in posts {
                let permit = tokio::select! {
                    permit = Arc::clone(&permits).acquire_owned() => permit,
                    _ = stop.wait_for(|stop| *stop) => return,
                };
                let courier = Arc::clone(&self);
                posting.spawn(async move {
                    courier.deliver(post).await;
                    drop(permit);
                });
            }
            while posting.try_join_next().is_some() {}
            tokio::select! {
                () = self.wake.notified() => {}
                () = sleep_until(next) => {}
                _ = stop.wait_for(|stop| *stop) => return,
            }
        }
    }

    fn push_all(&self, items: impl IntoIterator<Item = (Instant, Item)>) {
        let mut queue = lock(&self.queue);
        let earliest = queue.heap.peek().map(|due| due.at);
        for (at, item) in items {
            queue.pushed += 1;
            let order = queue.pushed;
            queue.heap.push(Due { at, order, item });
        }
        let earlier = queue.heap.peek().map(|due| due.at) != earliest;
        drop(queue);
        if earlier {
            self.wake.notify_one();
        }
    }

    /// The POSTs that are due, statuses put together by `batch`, and when to look again.
    fn take_due(&self, batch: usize) -> (Vec<Post>, Option<Instant>) {
        let now = Instant::now();
        let (mut posts, mut statuses) = (Vec::new(), Vec::new());
        let mut queue = lock(&self.queue);
        while posts.len() + statuses.len() / batch < BATCHES_AT_ONCE
            && queue.heap.peek().is_some_and(|due| due.at <= now)
        {
            match queue.heap.pop().map(|due| due.item) {
                Some(Item::Status(status)) => statuses.push(status),
                Some(Item::Post(post)) => posts.push(post),
                None => break,
            }
        }
        let (next, epoch) = (queue.heap.peek().map(|due| due.at), queue.epoch);
        drop(queue);
        posts.extend(statuses.chunks(batch).map(|chunk| self.status_post(chunk, epoch)));
        (posts, next)
    }

    fn status_post(&self, statuses: &[Status], epoch: u64) -> Post {
        let mut values: Vec<StatusValue<'_>> = Vec::new();
        for status in statuses {
            let sender = &*status.message.sender;
            let same = |value: &StatusValue<'_>| value.metadata.phone_number_id == sender;
            let place = values.iter().position(same).unwrap_or_else(|| {
                let display_phone_number = display_number(&self.numbers, sender);
                let metadata = Metadata { display_phone_number, phone_number_id: sender };
                values.push(StatusValue { messaging_product: "whatsapp", metadata, statuses: Vec::new() });
                values.len() - 1
            });
            values[place].statuses.push(status.to_json());
        }
        self.signed(payload::encode(&payload::envelope(&self.account, values)), statuses.len(), epoch)
    }

    fn signed(&self, body: Vec<u8>, statuses: usize, epoch: u64) -> Post {
        let signature = self.signer.header(&body);
        Post { body: body.into(), signature, statuses, tries: 0, first_try: None, epoch }
    }

    async fn deliver(&self, mut post: Post) {
        let Some(url) = lock(&self.target).clone() else {
            return;
        };
        post.first_try.get_or_insert_with(Instant::now);
        post.tries = post.tries.saturating_add(1);
        self.counters.posts.fetch_add(1, Ordering::Relaxed);
        self.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        let taken = self.try_once(&url, &post).await;
        self.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        if taken {
            self.counters.ok.fetch_add(1, Ordering::Relaxed);
            self.counters.statuses.fetch_add(post.statuses as u64, Ordering::Relaxed);
        } else {
            self.counters.failed.fetch_add(1, Ordering::Relaxed);
            self.try_again(post);
        }
    }

    async fn try_once(&self, url: &str, post: &Post) -> bool {
        let request = self
            .client
            .post(url)
            .header("content-type", "application/json")
            .header("x-hub-signature-256", &post.signature)
            .body(post.body.clone());
        match request.send().await {
            Ok(response) => {
                let ok = response.status() == reqwest::StatusCode::OK;
                // Read to its end, so that the connection can be used again.
                if let Err(error) = response.bytes().await {
                    tracing::debug!(%error, "the webhook's answer broke off");
                }
                ok
            }
            Err(error) => {
                tracing::debug!(%error, "the webhook was not taken");
                false
            }
        }
    }

    /// At once the first time, then after pauses that double.
    fn try_again(&self, post: Post) {
        let now = Instant::now();
        if post.first_try.is_some_and(|first| now - first >= self.settings.retry_for) {
            self.counters.abandoned.fetch_add(1, Ordering::Relaxed);
            return;
        }
        if lock(&self.queue).epoch != post.epoch {
            return;
        }
        let pause = match post.tries {
            0 | 1 => Duration::ZERO,
            tries => self.settings.retry_pause.saturating_mul(1 << (tries - 2).min(20)).min(LONGEST_PAUSE),
        };
        self.push_all([(now + pause, Item::Post(post))]);
    }
}

async fn sleep_until(at: Option<Instant>) {
    match at {
        Some(at) => tokio::time::sleep_until(at).await,
        None => std::future::pending().await,
    }
}

#[allow(
    clippy::disallowed_methods,
    reason = "the one client of this crate: it plays Meta, with Meta's time-outs"
)]
fn client(settings: &Webhooks) -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent("facebookexternalua")
        .timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .map_err(io::Error::other)
}
