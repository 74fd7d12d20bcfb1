//! The two pipes to a browser, and who waits for what on them.

use std::collections::HashMap;
use std::io;
use std::os::fd::OwnedFd;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::unix::pipe;
use tokio::sync::{mpsc, oneshot, watch};

use super::wire::{self, Event, Incoming};

/// A message is at most so long: a picture of a page is the longest that is asked for.
const LONGEST: usize = 64 << 20;
/// Events that wait to be read; a page that makes more is cut off.
const MOST_EVENTS: usize = 4096;
/// Calls that wait to be written.
const MOST_CALLS: usize = 256;

/// Why a call gave nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// The browser has ended.
    #[error("the browser has ended")]
    Gone,
    /// No answer in time.
    #[error("the browser does not answer {0}")]
    TimedOut(&'static str),
    /// The browser refused.
    #[error("the browser refused {method}: {words}")]
    Refused {
        /// The call.
        method: &'static str,
        /// The browser's words.
        words: String,
    },
}

type Waiting = Mutex<Option<HashMap<u64, oneshot::Sender<Result<Value, String>>>>>;

/// A link to one browser. Clones share it.
#[derive(Clone)]
pub(crate) struct Link {
    calls: mpsc::Sender<Vec<u8>>,
    /// `None` once the browser has ended.
    waiting: Arc<Waiting>,
    next: Arc<AtomicU64>,
    over: watch::Receiver<bool>,
}

impl Link {
    /// Speaks over two pipes; events come out of the receiver.
    pub(crate) fn start(from: OwnedFd, to: OwnedFd) -> io::Result<(Link, mpsc::Receiver<Event>)> {
        let from = pipe::Receiver::from_owned_fd(from)?;
        let mut to = pipe::Sender::from_owned_fd(to)?;
        let (calls, mut written) = mpsc::channel::<Vec<u8>>(MOST_CALLS);
        let (events, heard) = mpsc::channel(MOST_EVENTS);
        let (ended, over) = watch::channel(false);
        let waiting: Arc<Waiting> = Arc::new(Mutex::new(Some(HashMap::new())));
        tokio::spawn(async move {
            while let Some(bytes) = written.recv().await {
                if to.write_all(&bytes).await.is_err() {
                    return;
                }
            }
        });
        let shared = Arc::clone(&waiting);
        tokio::spawn(async move {
            read_all(from, &shared, &events).await;
            // Whoever waits hears of it by their sender's end.
            *shared.lock().unwrap_or_else(PoisonError::into_inner) = None;
            ended.send_replace(true);
        });
        Ok((Link { calls, waiting, next: Arc::default(), over }, heard))
    }

    /// Makes a call to the browser, or to one of its pages.
    pub(crate) async fn call(
        &self,
        session: Option<&str>,
        method: &'static str,
        params: Value,
        deadline: Duration,
    ) -> Result<Value, CallError> {
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        let (answer, answered) = oneshot::channel();
        match &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(waiting) => waiting.insert(id, answer),
            None => return Err(CallError::Gone),
        };
        let called = async {
            self.calls.send(wire::write(id, session, method, &params)).await.map_err(|_| CallError::Gone)?;
            match answered.await {
                Ok(Ok(value)) => Ok(value),
                Ok(Err(words)) => Err(CallError::Refused { method, words }),
                Err(_) => Err(CallError::Gone),
            }
        };
        let outcome = tokio::time::timeout(deadline, called).await;
        if outcome.is_err()
            && let Some(waiting) = &mut *self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
        {
            waiting.remove(&id);
        }
        outcome.unwrap_or(Err(CallError::TimedOut(method)))
    }

    /// Waits until the browser has ended.
    pub(crate) async fn ended(&self) {
        let mut over = self.over.clone();
        // An error means that the reader is gone: then too it is over.
        drop(over.wait_for(|over| *over).await);
    }
}

/// Reads messages until the pipe ends, or something came that no browser says.
async fn read_all(mut from: pipe::Receiver, waiting: &Waiting, events: &mpsc::Sender<Event>) {
    let mut buffer: Vec<u8> = Vec::with_capacity(64 << 10);
    let mut searched = 0;
    loop {
        match from.read_buf(&mut buffer).await {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        while let Some(end) = buffer[searched..].iter().position(|byte| *byte == 0) {
            let end = searched + end;
            if !take(&buffer[..end], waiting, events) {
                return;
            }
            buffer.drain(..=end);
            searched = 0;
        }
        searched = buffer.len();
        if searched > LONGEST {
            tracing::warn!("a browser's message is too long: it is cut off");
            return;
        }
    }
}

/// Hands a message to whom it is for; whether more is to be read.
fn take(bytes: &[u8], waiting: &Waiting, events: &mpsc::Sender<Event>) -> bool {
    match wire::read(bytes) {
        Some(Incoming::Answer(id, answer)) => {
            let mut waiting = waiting.lock().unwrap_or_else(PoisonError::into_inner);
            if let Some(sender) = waiting.as_mut().and_then(|waiting| waiting.remove(&id)) {
                // Whoever asked may have given up.
                let _ = sender.send(answer);
            }
            true
        }
        Some(Incoming::Event(event)) => match events.try_send(event) {
            Ok(()) => true,
            Err(mpsc::error::TrySendError::Closed(_)) => true,
            Err(mpsc::error::TrySendError::Full(_)) => {
                tracing::warn!("a page makes more events than can be read: it is cut off");
                false
            }
        },
        None => true,
    }
}
