//! Sending through the page, one at a time, each step told from the next.
//!
//! ```text
//! turn ─> ready ─> pace ─> chat (or: no such number) ─> draft away ─> text, file ─> NOTE ─> button ─> tick
//!                                                                            nothing is pressed │ may have gone
//! ```
//!
//! What always holds: it runs in the task of whoever sends, so that giving up stops it where it is; before the button is
//! pressed the attempt is noted, durably, with what the chat showed; an attempt that was noted before, or may have been, is
//! looked for and never pressed again; the button is pressed in the chat that was gone to for this message, or not at all;
//! a message is `sent` when the page shows that the server has it.

use std::io;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure, Timestamp};
use serde_json::json;
use tokio::sync::MutexGuard;

use super::{Draft, Known, NOT_READY, Order, Shared, Taken};
use crate::cdp::CallError;
use crate::notes::{Note, Noted};
use crate::tab::{OwnBubble, Tab};

/// A session that is on its way is waited for so long; then the message waits in its queue.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// What waited for a session comes back after so long.
const BACK_AFTER: Duration = Duration::from_secs(3);
/// The button comes so long after the text.
pub(super) const BUTTON_WITHIN: Duration = Duration::from_secs(3);
/// A longer pause is waited for in the queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// What whoever has the turn knows.
#[derive(Default)]
pub(crate) struct Desk {
    /// Whether an open chat had all that the page's description says, since the page was loaded.
    pub(super) proven: bool,
    /// A chat was gone to, and what came of it is not known: it may open at any time, in place of another one. The page is
    /// loaded anew before the next chat is gone to.
    pub(super) adrift: bool,
    /// When the last message went.
    last: Option<Timestamp>,
}

/// The turn, and the page of a session that is ready. Ends its work when it is dropped.
pub(super) struct Turn<'s> {
    pub(super) shared: &'s Shared,
    pub(super) desk: MutexGuard<'s, Desk>,
    pub(super) tab: Tab,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.shared.orders.send(Order::Work(false));
    }
}

pub(super) fn failure(class: ErrorClass, code: &str, title: &str) -> SendFailure {
    SendFailure::new(class, title).with_code(code)
}

pub(super) fn transient(error: &CallError) -> SendFailure {
    SendFailure::new(ErrorClass::Transient, error.to_string())
}

pub(super) fn unknown(title: &str) -> SendFailure {
    SendFailure::new(ErrorClass::Unknown, title)
}

/// The session can't send, and somebody has to see to it: its channel stops until it is ready.
fn not_ready(shared: &Shared) -> SendFailure {
    let view = shared.view.borrow();
    let failure = failure(ErrorClass::Auth, NOT_READY, "the session is not ready");
    failure.with_detail(format!("{}: {}", view.status, view.detail.as_deref().unwrap_or(view.reason)))
}

/// Waits for the turn, and for a session that is on its way to be ready.
async fn turn(shared: &Shared) -> Result<Turn<'_>, SendFailure> {
    let desk = shared.turn.lock().await;
    let mut views = shared.view.subscribe();
    let mut tabs = shared.tab.subscribe();
    let ready = async {
        loop {
            if let Some(tab) = tabs.borrow_and_update().clone() {
                return Some(tab);
            }
            if !views.borrow_and_update().helps_itself {
                return None;
            }
            tokio::select! {
                changed = tabs.changed() => changed.ok()?,
                changed = views.changed() => changed.ok()?,
            }
        }
    };
    match tokio::time::timeout(READY_WITHIN, ready).await {
        Ok(Some(tab)) => {
            let _ = shared.orders.send(Order::Work(true));
            Ok(Turn { shared, desk, tab })
        }
        Ok(None) => Err(not_ready(shared)),
        Err(_) => {
            // It costs the message nothing: the session is on its way.
            let class = ErrorClass::Throttled { after: Some(BACK_AFTER), scope: Scope::Channel };
            Err(failure(class, NOT_READY, "the session is not ready yet"))
        }
    }
}

/// Sends a message.
pub(super) async fn send(
    shared: &Arc<Shared>,
    draft: &Draft,
    tag: &str,
    pressing: &(dyn Fn() + Sync),
) -> Result<Taken, SendFailure> {
    // What was pressed before is not known not to have gone, whatever goes wrong now.
    if let Noted::Pressed(note) = noted(shared, tag).await {
        return sent_before(shared, draft, tag, note).await;
    }
    let mut turn = turn(shared).await?;
    turn.pause(draft).await?;
    let began = shared.clock.now();
    let chat = turn.open(draft).await?;
    let opened = shared.clock.now();
    turn.write(draft).await?;
    let written = shared.clock.now();
    let before: Vec<String> = turn.ask("sent()", Duration::ZERO).await?;
    turn.note_pressed(tag, before.clone(), &draft.to).await?;
    pressing();
    let outcome = turn.press(draft, &chat, &before).await;
    let ended = shared.clock.now();
    turn.desk.last = Some(ended);
    shared.counts(|counts| {
        counts.opening_ms += millis(opened.since(began));
        counts.writing_ms += millis(written.since(opened));
        counts.ticking_ms += millis(ended.since(written));
    });
    let taken = outcome?;
    turn.note_taken(tag, &taken.id, &chat.title, &draft.to).await;
    Ok(taken)
}

/// Looks for an attempt that was pressed before. It is not pressed again, and nothing but its sight ends the doubt.
async fn sent_before(
    shared: &Arc<Shared>,
    draft: &Draft,
    tag: &str,
    note: Note,
) -> Result<Taken, SendFailure> {
    let looked = async { turn(shared).await?.look(draft, tag, note).await }.await;
    match looked {
        Ok(Known::Taken(taken)) => Ok(taken),
        Ok(Known::NotPressed | Known::Unknown) => {
            Err(unknown("it was pressed before, and its chat does not show it: it is not pressed again"))
        }
        Err(failure) => {
            Err(unknown("it was pressed before, and can't be looked for now")
                .with_detail(failure.to_string()))
        }
    }
}

/// What was noted of an attempt, by this run or an earlier one.
async fn noted(shared: &Arc<Shared>, tag: &str) -> Noted {
    let (session, tag) = (Arc::clone(shared), tag.to_owned());
    let noted = tokio::task::spawn_blocking(move || {
        session.open_files()?;
        let notes = session.notes.lock().unwrap_or_else(PoisonError::into_inner);
        Ok::<_, io::Error>(notes.as_ref().map_or(Noted::Lost, |notes| notes.of(&tag)))
    });
    match noted.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
        Ok(noted) => noted,
        Err(error) => {
            tracing::warn!(session = %shared.name, %error, "notes of what was pressed can't be read");
            Noted::Lost
        }
    }
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Looks for an attempt.
pub(super) async fn look(shared: &Arc<Shared>, draft: &Draft, tag: &str) -> Result<Known, SendFailure> {
    match noted(shared, tag).await {
        Noted::Pressed(note) => turn(shared).await?.look(draft, tag, note).await,
        Noted::Not => Ok(Known::NotPressed),
        Noted::Lost => Ok(Known::Unknown),
    }
}

impl Turn<'_> {
    pub(super) async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        within: Duration,
    ) -> Result<T, SendFailure> {
        self.tab.ask(what, within).await.map_err(|error| transient(&error))
    }

    async fn note_pressed(&self, tag: &str, before: Vec<String>, to: &str) -> Result<(), SendFailure> {
        // Whoever gives up meanwhile leaves a note of what was not pressed: it is looked for, once more.
        let (notes, tag, to) = (Arc::clone(&self.shared.notes), tag.to_owned(), to.to_owned());
        let noted = tokio::task::spawn_blocking(move || {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes
                .as_mut()
                .map_or_else(|| Err(io::ErrorKind::NotFound.into()), |notes| notes.pressed(&tag, before, &to))
        });
        noted.await.unwrap_or_else(|error| Err(io::Error::other(error))).map_err(|error| {
            SendFailure::new(ErrorClass::Transient, format!("the attempt can't be noted: {error}"))
        })
    }

    async fn note_taken(&self, tag: &str, id: &str, title: &str, phone: &str) {
        self.shared.followed.lock().unwrap_or_else(PoisonError::into_inner).follow(id, title, Some(phone));
        let notes = Arc::clone(&self.shared.notes);
        let (tag, id, title) = (tag.to_owned(), id.to_owned(), title.to_owned());
        let noted = tokio::task::spawn_blocking(move || {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes.as_mut().map_or(Ok(()), |notes| notes.taken(&tag, &id, &title))
        });
        if let Err(error) = noted.await.unwrap_or_else(|error| Err(io::Error::other(error))) {
            tracing::warn!(session = %self.shared.name, %error, "which message an attempt became is not noted");
        }
    }

    /// Keeps the pause since the message before.
    async fn pause(&self, draft: &Draft) -> Result<(), SendFailure> {
        let due = self.desk.last.map(|last| last.after(draft.pace.pause));
        let wait = due.map_or(Duration::ZERO, |due| due.since(self.shared.clock.now()));
        if wait > LONGEST_PAUSE {
            let class = ErrorClass::Throttled { after: Some(wait), scope: Scope::Channel };
            return Err(failure(class, "pace", "the session keeps its pace"));
        }
        if !wait.is_zero() {
            tokio::time::sleep(wait).await;
        }
        Ok(())
    }

    /// Looks in the chat for what an attempt became.
    async fn look(&mut self, draft: &Draft, tag: &str, note: Note) -> Result<Known, SendFailure> {
        if let Some(id) = note.taken {
            return Ok(Known::Taken(Taken { id }));
        }
        let chat = self.open(draft).await?;
        // It may be on its way.
        let waited = self.ticked(draft, &note.before, BUTTON_WITHIN).await;
        let question = format!("alike({}, {})", json!(draft.text), json!(note.before));
        let alike: Vec<OwnBubble> = self.ask(&question, Duration::ZERO).await?;
        let alike: Vec<OwnBubble> = {
            let notes = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
            let claimed = |id: &str| notes.as_ref().is_some_and(|notes| notes.is_claimed(id));
            alike.into_iter().filter(|one| !claimed(&one.id)).collect()
        };
        // Of several that say the same and belong to nobody, none proves anything.
        let [one] = &alike[..] else { return Ok(Known::Unknown) };
        if waited.is_err() && one.tick.as_deref().and_then(crate::sink::Tick::read).is_none() {
            return Ok(Known::Unknown);
        }
        let taken = Taken { id: one.id.clone() };
        self.note_taken(tag, &taken.id, &chat.title, &draft.to).await;
        Ok(Known::Taken(taken))
    }
}
