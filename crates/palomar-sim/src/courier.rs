//! Posts webhooks: keeps what is to be told until its time, has it put into letters, posts them, and tries again.
//!
//! One task does the waiting (a heap by time), at most [`Webhooks::concurrency`] tasks do the posting, so a million
//! statuses cost memory and no tasks. Order is not guaranteed, as with the providers. What a letter looks like, how it is
//! proven and which answers end it is the provider's [`Postman`].

use std::cmp::Ordering as By;
use std::collections::BinaryHeap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::lock;
use crate::stats::WebhookStats;

/// No pause between two tries is longer.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);
/// So many batches are taken from the heap in one go.
const BATCHES_AT_ONCE: usize = 32;

/// How webhooks are posted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Webhooks {
    /// At most so many POSTs at once.
    pub concurrency: usize,
    /// An answer later than this is a failure.
    pub timeout: Duration,
    /// The pause before the second repetition (the first is immediate); doubles each time, up to a minute.
    pub retry_pause: Duration,
    /// Gives up when this much time has passed since the first try. Meta: seven days.
    pub retry_for: Duration,
}

impl Default for Webhooks {
    fn default() -> Webhooks {
        Webhooks {
            concurrency: 32,
            timeout: Duration::from_secs(10),
            retry_pause: Duration::from_millis(200),
            retry_for: Duration::from_secs(7 * 24 * 3600),
        }
    }
}

/// How a provider writes its webhooks, proves them, and takes their answers.
pub trait Postman: Send + Sync + Sized + 'static {
    /// What is told in webhooks.
    type News: Send;
    /// What it calls itself.
    const USER_AGENT: &'static str;
    /// What its webhooks are.
    const CONTENT_TYPE: &'static str = "application/json";

    /// Where this is told, if not where all webhooks go. Such news is told alone: its provider's batch is one.
    fn address<'n>(&self, news: &'n Self::News) -> Option<&'n Arc<str>> {
        let _ = news;
        None
    }

    /// The webhook that tells all of these.
    fn letter(&self, news: &[Self::News]) -> Vec<u8>;

    /// The headers that prove it to who is at `url`.
    fn proof(&self, url: &str, body: &[u8]) -> Vec<(String, String)>;

    /// How often a webhook to `url` is posted at most.
    fn tries(&self, url: &str) -> u32 {
        let _ = url;
        u32::MAX
    }

    /// What an answer means.
    fn verdict(status: u16) -> Verdict;
}

/// What the answer to a webhook means to its provider.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It was taken.
    Taken,
    /// It is posted again, later.
    Again,
    /// It was refused for good.
    Never,
}

/// The webhooks of one simulator.
pub struct Courier<P: Postman> {
    queue: Mutex<Queue<P::News>>,
    wake: Notify,
    target: Mutex<Option<Arc<str>>>,
    client: reqwest::Client,
    postman: P,
    settings: Webhooks,
    counters: PostCounters,
}

struct Queue<N> {
    heap: BinaryHeap<Due<N>>,
    pushed: u64,
    /// Raised by a reset: what is older is not put back.
    epoch: u64,
}

struct Due<N> {
    at: Instant,
    order: u64,
    item: Item<N>,
}

enum Item<N> {
    News(N),
    Post(Post),
}

/// A webhook with its bytes made.
#[derive(Debug)]
struct Post {
    body: Bytes,
    /// Where it goes, if not where all do.
    to: Option<Arc<str>>,
    /// How much news is in it.
    news: usize,
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

impl<N> PartialEq for Due<N> {
    fn eq(&self, other: &Due<N>) -> bool {
        self.cmp(other) == By::Equal
    }
}

impl<N> Eq for Due<N> {}

impl<N> PartialOrd for Due<N> {
    fn partial_cmp(&self, other: &Due<N>) -> Option<By> {
        Some(self.cmp(other))
    }
}

impl<N> Ord for Due<N> {
    /// The earliest is the greatest: the heap gives the greatest first.
    fn cmp(&self, other: &Due<N>) -> By {
        (other.at, other.order).cmp(&(self.at, self.order))
    }
}

impl<P: Postman> Courier<P> {
    pub(crate) fn new(postman: P, settings: Webhooks, target: Option<&str>) -> io::Result<Courier<P>> {
        Ok(Courier {
            queue: Mutex::new(Queue { heap: BinaryHeap::new(), pushed: 0, epoch: 0 }),
            wake: Notify::new(),
            target: Mutex::new(target.map(Arc::from)),
            client: client::<P>(&settings)?,
            postman,
            settings,
            counters: PostCounters::default(),
        })
    }

    /// Who writes the webhooks.
    pub(crate) const fn postman(&self) -> &P {
        &self.postman
    }

    /// Sets where webhooks go from now on.
    pub(crate) fn set_target(&self, url: Option<&str>) {
        *lock(&self.target) = url.map(Arc::from);
    }

    /// True if webhooks go anywhere.
    pub(crate) fn has_target(&self) -> bool {
        lock(&self.target).is_some()
    }

    /// Takes news, each to be told after its time.
    pub(crate) fn schedule(&self, news: Vec<(Duration, P::News)>) {
        let now = Instant::now();
        self.push_all(news.into_iter().map(|(after, news)| (now + after, Item::News(news))));
    }

    /// Takes one whole webhook, to be posted now.
    pub(crate) fn post(&self, body: Vec<u8>) {
        let post = Post::new(body, None, 0, lock(&self.queue).epoch);
        self.push_all([(Instant::now(), Item::Post(post))]);
    }

    /// Forgets all that waits.
    pub(crate) fn reset(&self) {
        let mut queue = lock(&self.queue);
        queue.heap.clear();
        queue.epoch += 1;
        drop(queue);
        let PostCounters { posts, ok, failed, abandoned, statuses, in_flight: _ } = &self.counters;
        for counter in [posts, ok, failed, abandoned, statuses] {
            counter.store(0, Ordering::Relaxed);
        }
    }

    pub(crate) fn stats(&self) -> WebhookStats {
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
    pub(crate) async fn run(
        self: Arc<Courier<P>>,
        batch: impl Fn() -> usize,
        mut stop: watch::Receiver<bool>,
    ) {
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

    fn push_all(&self, items: impl IntoIterator<Item = (Instant, Item<P::News>)>) {
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

    /// The POSTs that are due, news put together by `batch`, and when to look again.
    fn take_due(&self, batch: usize) -> (Vec<Post>, Option<Instant>) {
        let now = Instant::now();
        let (mut posts, mut news) = (Vec::new(), Vec::new());
        let mut queue = lock(&self.queue);
        while posts.len() + news.len() / batch < BATCHES_AT_ONCE
            && queue.heap.peek().is_some_and(|due| due.at <= now)
        {
            match queue.heap.pop().map(|due| due.item) {
                Some(Item::News(one)) => news.push(one),
                Some(Item::Post(post)) => posts.push(post),
                None => break,
            }
        }
        let (next, epoch) = (queue.heap.peek().map(|due| due.at), queue.epoch);
        drop(queue);
        let post = |chunk: &[P::News]| {
            let to = chunk.first().and_then(|news| self.postman.address(news)).map(Arc::clone);
            Post::new(self.postman.letter(chunk), to, chunk.len(), epoch)
        };
        posts.extend(news.chunks(batch).map(post));
        (posts, next)
    }

    async fn deliver(&self, mut post: Post) {
        let Some(url) = post.to.clone().or_else(|| lock(&self.target).clone()) else {
            return;
        };
        post.first_try.get_or_insert_with(Instant::now);
        post.tries = post.tries.saturating_add(1);
        self.counters.posts.fetch_add(1, Ordering::Relaxed);
        self.counters.in_flight.fetch_add(1, Ordering::Relaxed);
        let verdict = self.try_once(&url, &post).await;
        self.counters.in_flight.fetch_sub(1, Ordering::Relaxed);
        if verdict == Verdict::Taken {
            self.counters.ok.fetch_add(1, Ordering::Relaxed);
            self.counters.statuses.fetch_add(post.news as u64, Ordering::Relaxed);
            return;
        }
        self.counters.failed.fetch_add(1, Ordering::Relaxed);
        match verdict {
            Verdict::Again if post.tries < self.postman.tries(&url) => self.try_again(post),
            _ => drop(self.counters.abandoned.fetch_add(1, Ordering::Relaxed)),
        }
    }

    async fn try_once(&self, url: &str, post: &Post) -> Verdict {
        let mut request = self.client.post(url).header("content-type", P::CONTENT_TYPE);
        for (name, value) in self.postman.proof(url, &post.body) {
            request = request.header(name, value);
        }
        match request.body(post.body.clone()).send().await {
            Ok(response) => {
                let verdict = P::verdict(response.status().as_u16());
                // Read to its end, so that the connection can be used again.
                if let Err(error) = response.bytes().await {
                    tracing::debug!(%error, "the webhook's answer broke off");
                }
                verdict
            }
            Err(error) => {
                tracing::debug!(%error, "the webhook was not taken");
                Verdict::Again
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

impl Post {
    fn new(body: Vec<u8>, to: Option<Arc<str>>, news: usize, epoch: u64) -> Post {
        Post { body: body.into(), to, news, tries: 0, first_try: None, epoch }
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
    reason = "the one client of this crate: it plays the providers, with their time-outs"
)]
fn client<P: Postman>(settings: &Webhooks) -> io::Result<reqwest::Client> {
    reqwest::Client::builder()
        .user_agent(P::USER_AGENT)
        .timeout(settings.timeout)
        .redirect(reqwest::redirect::Policy::none())
        .no_proxy()
        .tcp_nodelay(true)
        .build()
        .map_err(io::Error::other)
}
