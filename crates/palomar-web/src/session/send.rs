//! Sending through the page, one at a time, each step told from the next.
//!
//! ```text
//! turn ─> ready ─> pace ─> chat (or: no such number) ─> draft away ─> text, file ─> NOTE ─> button ─> tick
//!                                                                            nothing is pressed │ may have gone
//! ```
//!
//! What always holds: it runs in the task of whoever sends, so that giving up stops it where it is; before the button is
//! pressed the attempt is noted, durably, with what the chat showed; an attempt that was noted before is looked for and
//! never pressed again; a message is `sent` when the page shows that the server has it.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use palomar_model::{ErrorClass, Scope, SendFailure, Timestamp};
use serde_json::json;
use tokio::sync::MutexGuard;

use super::ears::note_opening;
use super::{NOT_READY, Order, Shared};
use crate::cdp::CallError;
use crate::chats::{Chats, Place};
use crate::page::When;
use crate::tab::{Key, Opened, OwnBubble, Standing, Tab, Visit};

/// A session that is on its way is waited for so long; then the message waits in its queue.
const READY_WITHIN: Duration = Duration::from_secs(15);
/// What waited for a session comes back after so long.
const BACK_AFTER: Duration = Duration::from_secs(3);
/// A chat that shows no box for so long has none.
const BOX_WITHIN: Duration = Duration::from_millis(1500);
/// The button comes so long after the text.
const BUTTON_WITHIN: Duration = Duration::from_secs(3);
/// A longer pause is waited for in the queue.
const LONGEST_PAUSE: Duration = Duration::from_secs(10);
/// A person types so fast.
const LETTERS_A_SECOND: u64 = 15;
const LONGEST_TYPING: Duration = Duration::from_secs(8);

/// A message as it is written into a chat.
#[derive(Clone, PartialEq, Eq)]
pub struct Draft {
    /// Whom it goes to: digits.
    pub to: String,
    /// The words, or those below the file.
    pub text: String,
    /// The file.
    pub file: Option<Attachment>,
    /// How it is paced.
    pub pace: Pace,
    /// How long the server's tick is waited for.
    pub tick_within: Duration,
}

/// A file that is sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Where it is, under the name that it is shown by.
    pub path: PathBuf,
    /// Whether it goes as a file, and not as the picture or film that it is.
    pub as_document: bool,
}

/// How a person would do it. Nothing of it makes sending look like what it is not: it keeps a line slow.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Pace {
    /// The pause before this message, since the one before.
    pub pause: Duration,
    /// Whether writing takes the time that it takes a person.
    pub typing: bool,
}

/// The message is at the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Its id.
    pub id: String,
}

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It is at the server.
    Taken(Taken),
    /// It was never pressed.
    NotPressed,
    /// It was pressed, and the chat does not show it: that proves nothing.
    Unknown,
}

/// What whoever has the turn knows.
#[derive(Default)]
pub(crate) struct Desk {
    /// Whether an open chat had all that the page's description says, since the page was loaded.
    proven: bool,
    /// When the last message went.
    last: Option<Timestamp>,
}

/// The turn, and the page of a session that is ready. Ends its work when it is dropped.
struct Turn<'s> {
    shared: &'s Shared,
    desk: MutexGuard<'s, Desk>,
    tab: Tab,
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let _ = self.shared.orders.send(Order::Work(false));
    }
}

fn failure(class: ErrorClass, code: &str, title: &str) -> SendFailure {
    SendFailure::new(class, title).with_code(code)
}

fn transient(error: &CallError) -> SendFailure {
    SendFailure::new(ErrorClass::Transient, error.to_string())
}

fn unknown(title: &str) -> SendFailure {
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
    let mut turn = turn(shared).await?;
    if turn.note(tag).is_some() {
        return match turn.look(draft, tag).await? {
            Known::Taken(taken) => Ok(taken),
            // Its note is there, so it may have gone: it is not pressed again.
            Known::NotPressed | Known::Unknown => {
                Err(unknown("it was pressed before, and its chat does not show it: it is not pressed again"))
            }
        };
    }
    turn.pause(draft).await?;
    let began = shared.clock.now();
    let title = turn.open(draft).await?;
    let opened = shared.clock.now();
    turn.write(draft).await?;
    let written = shared.clock.now();
    let before: Vec<String> = turn.ask("sent()", Duration::ZERO).await?;
    turn.note_pressed(tag, before.clone()).await?;
    pressing();
    let outcome = turn.press(draft, &before).await;
    let ended = shared.clock.now();
    turn.desk.last = Some(ended);
    shared.counts(|counts| {
        counts.opening_ms += millis(opened.since(began));
        counts.writing_ms += millis(written.since(opened));
        counts.ticking_ms += millis(ended.since(written));
    });
    let taken = outcome?;
    turn.note_taken(tag, &taken.id, &title, &draft.to).await;
    Ok(taken)
}

fn millis(span: Duration) -> u64 {
    u64::try_from(span.as_millis()).unwrap_or(u64::MAX)
}

/// Looks for an attempt.
pub(super) async fn look(shared: &Arc<Shared>, draft: &Draft, tag: &str) -> Result<Known, SendFailure> {
    let mut turn = turn(shared).await?;
    turn.look(draft, tag).await
}

impl Turn<'_> {
    async fn ask<T: serde::de::DeserializeOwned>(
        &self,
        what: &str,
        within: Duration,
    ) -> Result<T, SendFailure> {
        self.tab.ask(what, within).await.map_err(|error| transient(&error))
    }

    /// What was noted of an attempt.
    fn note(&self, tag: &str) -> Option<crate::notes::Note> {
        let notes = self.shared.notes.lock().unwrap_or_else(PoisonError::into_inner);
        notes.as_ref().and_then(|notes| notes.of(tag)).cloned()
    }

    async fn note_pressed(&self, tag: &str, before: Vec<String>) -> Result<(), SendFailure> {
        // Whoever gives up meanwhile leaves a note of what was not pressed: it is looked for, once more.
        let (notes, tag) = (Arc::clone(&self.shared.notes), tag.to_owned());
        let noted = tokio::task::spawn_blocking(move || {
            let mut notes = notes.lock().unwrap_or_else(PoisonError::into_inner);
            notes
                .as_mut()
                .map_or_else(|| Err(io::ErrorKind::NotFound.into()), |notes| notes.pressed(&tag, before))
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

    /// Opens the chat, whichever is open now; its title.
    async fn open(&mut self, draft: &Draft) -> Result<String, SendFailure> {
        self.clear_away().await?;
        // Opening it makes it read on the phone: what it shows is owed from now on.
        let place = Place::Phone(draft.to.clone());
        note_opening(self.shared, &place, 0).await.map_err(|error| {
            SendFailure::new(ErrorClass::Transient, format!("the chat can't be noted: {error}"))
        })?;
        let visit: Visit = self.ask(&format!("visit({})", json!(draft.to)), Duration::ZERO).await?;
        let outcome = match visit {
            Visit::There => None,
            Visit::Gone => match self.arrived(BOX_WITHIN).await? {
                None => Some(self.arrive_late(draft).await?),
                some => some,
            },
        };
        match outcome {
            None => {}
            Some(Opened { what, .. }) if what == "open" => {}
            Some(Opened { what, words }) if what == "invalid" => {
                let _: Result<bool, _> = self.ask("dismiss()", Duration::ZERO).await;
                self.book(|book| book.not_opened(&place));
                let title = "this number is not on WhatsApp";
                return Err(failure(ErrorClass::Recipient, "not_on_whatsapp", title).with_detail(words));
            }
            Some(_) => return Err(SendFailure::new(ErrorClass::Transient, "the page left its chats")),
        }
        let Standing { title, opening } = self.ask("standing()", Duration::ZERO).await?;
        self.book(|book| {
            book.opened(&place, &title, opening);
            Ok(())
        });
        self.prove().await?;
        Ok(title)
    }

    /// Writes into the book of chats what need not be flushed.
    fn book(&self, write: impl FnOnce(&mut Chats) -> io::Result<()>) {
        let mut chats = self.shared.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = chats.as_mut().map(write) {
            // The chat is read again after the next start: that costs work, and nothing else.
            tracing::warn!(session = %self.shared.name, %error, "how far chats were heard is not noted");
        }
    }

    async fn arrived(&self, within: Duration) -> Result<Option<Opened>, SendFailure> {
        self.ask(&format!("opened({})", within.as_millis()), within).await
    }

    /// A chat that does not open at once: there is no box in it, or it takes longer, or the link leads nowhere.
    async fn arrive_late(&mut self, draft: &Draft) -> Result<Opened, SendFailure> {
        if self.is_dumb(draft).await? {
            return Err(self.no_box().await?);
        }
        let patience = self.shared.settings.open;
        if let Some(opened) = self.arrived(patience / 3).await? {
            return Ok(opened);
        }
        if self.is_dumb(draft).await? {
            return Err(self.no_box().await?);
        }
        // The way that loads everything anew.
        let url = format!("{}/send?phone={}", crate::tab::origin(&self.shared.settings.url), draft.to);
        self.desk.proven = false;
        let loaded = self.tab.navigate(&url, self.shared.settings.navigation).await;
        loaded.map_err(|error| transient(&error))?;
        let mut left = patience;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(500));
            // While it loads there is nobody to be asked.
            match self.tab.ask::<Option<Opened>>(&format!("opened({})", step.as_millis()), step).await {
                Ok(Some(opened)) if opened.what != "away" => return Ok(opened),
                Err(CallError::Gone) => return Err(transient(&CallError::Gone)),
                _ => tokio::time::sleep(Duration::from_millis(50)).await,
            }
            left = left.saturating_sub(step);
        }
        Err(failure(ErrorClass::Transient, "chat_does_not_open", "the chat does not open"))
    }

    /// Whether the chat is there, without a box to write in.
    async fn is_dumb(&self, draft: &Draft) -> Result<bool, SendFailure> {
        self.ask(&format!("dumb({})", json!(draft.to)), Duration::ZERO).await
    }

    /// What a chat without a box means: nobody may write to this one, or the page has changed.
    async fn no_box(&mut self) -> Result<SendFailure, SendFailure> {
        if self.desk.proven {
            return Ok(failure(ErrorClass::Recipient, "no_composer", "this chat can't be written to"));
        }
        let missing = self.missing(When::Chat).await?;
        Ok(self.changed(missing))
    }

    async fn missing(&self, when: When) -> Result<Vec<String>, SendFailure> {
        self.tab.missing(when).await.map_err(|error| transient(&error))
    }

    /// The page's description does not hold: the session stops, and says what it lacks.
    fn changed(&self, missing: Vec<String>) -> SendFailure {
        let words = missing.join(", ");
        let _ = self.shared.orders.send(Order::Missing(missing));
        let failure = failure(ErrorClass::Auth, NOT_READY, "the session is not ready");
        failure.with_detail(format!("the page has changed: it has no {words}"))
    }

    /// The rest of the self-test, in the first chat after the page was loaded.
    async fn prove(&mut self) -> Result<(), SendFailure> {
        if self.desk.proven {
            return Ok(());
        }
        let missing = self.missing(When::Chat).await?;
        if missing.is_empty() {
            self.desk.proven = true;
            return Ok(());
        }
        Err(self.changed(missing))
    }

    /// Closes what an earlier message left: dialogs and previews.
    async fn clear_away(&self) -> Result<(), SendFailure> {
        for _ in 0..3 {
            let over: bool = self.ask("covered()", Duration::ZERO).await?;
            if !over {
                return Ok(());
            }
            let closed: bool = self.ask("dismiss()", Duration::ZERO).await?;
            if !closed {
                self.tab.key(Key::Escape).await.map_err(|error| transient(&error))?;
            }
        }
        Ok(())
    }

    /// Writes the text and attaches the file. Nothing is sent by it.
    async fn write(&self, draft: &Draft) -> Result<(), SendFailure> {
        let covered: bool = self.ask("covered()", Duration::ZERO).await?;
        if covered {
            let _: bool = self.ask("dismiss()", Duration::ZERO).await?;
        }
        self.focus().await?;
        self.clear_box().await?;
        if let Some(file) = &draft.file {
            self.attach(file).await?;
        }
        if draft.pace.typing {
            let letters = draft.text.chars().count() as u64;
            let typing = Duration::from_millis(letters * 1000 / LETTERS_A_SECOND).min(LONGEST_TYPING);
            tokio::time::sleep(typing).await;
        }
        if !draft.text.is_empty() {
            self.focus().await?;
            self.type_in(&draft.text).await?;
        }
        let within = BUTTON_WITHIN.as_millis();
        let button: Option<bool> = self.ask(&format!("ready_to_send({within})"), BUTTON_WITHIN).await?;
        if button.is_none() {
            let missing = self.missing(When::Typed).await?;
            return Err(self.changed(missing));
        }
        Ok(())
    }

    async fn focus(&self) -> Result<(), SendFailure> {
        let focused: bool = self.ask("focus()", Duration::ZERO).await?;
        if focused {
            Ok(())
        } else {
            Err(SendFailure::new(ErrorClass::Transient, "the box can't be written in"))
        }
    }

    /// Takes away a draft of an earlier time.
    async fn clear_box(&self) -> Result<(), SendFailure> {
        for _ in 0..2 {
            let there: Option<String> = self.ask("written()", Duration::ZERO).await?;
            if there.is_none_or(|there| there.trim().is_empty()) {
                return Ok(());
            }
            for key in [Key::SelectAll, Key::Backspace] {
                self.tab.key(key).await.map_err(|error| transient(&error))?;
            }
        }
        let title = "an old draft in the chat can't be taken away";
        Err(SendFailure::new(ErrorClass::Transient, title))
    }

    async fn type_in(&self, text: &str) -> Result<(), SendFailure> {
        for (at, line) in text.split('\n').enumerate() {
            if at > 0 {
                self.tab.key(Key::NewLine).await.map_err(|error| transient(&error))?;
            }
            if !line.is_empty() {
                self.tab.insert(line).await.map_err(|error| transient(&error))?;
            }
        }
        let written: Option<String> = self.ask("written()", Duration::ZERO).await?;
        if written.as_deref().is_some_and(|written| is_same(written, text)) {
            return Ok(());
        }
        self.clear_box().await?;
        let title = "the page did not take the text as it is";
        Err(failure(ErrorClass::Transient, "text_changed", title))
    }

    async fn attach(&self, file: &Attachment) -> Result<(), SendFailure> {
        let input = if file.as_document { "file_document" } else { "file_media" };
        let path = file.path.to_string_lossy();
        let attached = self.tab.attach(input, &path).await.map_err(|error| transient(&error))?;
        if !attached {
            return Err(self.changed(vec![input.to_owned()]));
        }
        let within = self.shared.settings.open;
        let shown: Option<bool> = self.ask(&format!("previewed({})", within.as_millis()), within).await?;
        match shown {
            Some(_) => Ok(()),
            None => {
                let title = "the page shows no preview of the file";
                Err(failure(ErrorClass::Transient, "no_preview", title))
            }
        }
    }

    /// Presses the button and waits for the server's tick. From here on it may have gone.
    async fn press(&self, draft: &Draft, before: &[String]) -> Result<Taken, SendFailure> {
        let lost = |error: CallError| unknown(&format!("it was pressed, then: {error}"));
        let pressed: bool = self.tab.ask("press()", Duration::ZERO).await.map_err(lost)?;
        if !pressed {
            self.tab.key(Key::Enter).await.map_err(lost)?;
        }
        self.ticked(draft, before, draft.tick_within).await
    }

    async fn ticked(&self, draft: &Draft, before: &[String], within: Duration) -> Result<Taken, SendFailure> {
        let question = format!("ticked({}, {}, {})", json!(draft.text), json!(before), within.as_millis());
        let lost = |error: CallError| unknown(&format!("it was pressed, then: {error}"));
        let found: Option<OwnBubble> = self.tab.ask(&question, within).await.map_err(lost)?;
        match found {
            Some(OwnBubble { id, tick: Some(tick) }) if crate::sink::Tick::read(&tick).is_some() => {
                Ok(Taken { id })
            }
            Some(OwnBubble { tick: Some(tick), .. }) if tick == "failed" => {
                Err(unknown("the page marks it as failed, and may try it again by itself")
                    .with_code("marked_failed"))
            }
            Some(_) => Err(unknown("the server's tick did not come in time").with_code("no_tick")),
            None => Err(unknown("it was pressed, and the chat does not show it").with_code("not_shown")),
        }
    }

    /// Looks in the chat for what an attempt became.
    async fn look(&mut self, draft: &Draft, tag: &str) -> Result<Known, SendFailure> {
        let Some(note) = self.note(tag) else { return Ok(Known::NotPressed) };
        if let Some(id) = note.taken {
            return Ok(Known::Taken(Taken { id }));
        }
        let title = self.open(draft).await?;
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
        self.note_taken(tag, &taken.id, &title, &draft.to).await;
        Ok(Known::Taken(taken))
    }
}

/// Whether the box holds the text. Editors change spaces and ends of lines, and nothing else.
fn is_same(written: &str, text: &str) -> bool {
    let plain = |text: &str| -> Vec<String> {
        let text = text.replace('\u{a0}', " ").replace("\r\n", "\n");
        text.trim_end().split('\n').map(|line| line.trim_end().to_owned()).collect()
    };
    plain(written) == plain(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn editors_may_change_spaces_and_nothing_else() {
        for (written, text, same) in [
            ("Hola\u{a0}Lucía", "Hola Lucía", true),
            ("a\nb\n", "a\nb", true),
            ("a\r\nb", "a\nb ", true),
            ("a b", "a\nb", false),
            ("Hola", "Hola!", false),
            ("", "x", false),
        ] {
            assert_eq!(is_same(written, text), same, "{written:?} {text:?}");
        }
    }
}
