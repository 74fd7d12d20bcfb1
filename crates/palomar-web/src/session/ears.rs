//! What a session hears: messages that people write, and how far ours are.
//!
//! ```text
//! page ─> seen ─> news (`hearing`) ─> sink: kept ─> the page is told that we have it ─> chat is struck out (`chats`)
//! ```
//!
//! What always holds: a chat is opened to be read only by whoever has the turn, and is written down before; the page's
//! script holds what it saw until it is told that it is kept; whatever was open when a page ended is read again.

use std::io;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;

use super::Shared;
use super::hearing::{Hearing, News};
use crate::cdp::CallError;
use crate::chats::{Due, Place};
use crate::sink::{Heard, Message, Sink};
use crate::tab::{Bubble, Key, Opened, Row, Seen, Standing, Tab, Visit};

/// A chat that was clicked shows within so long.
const SHOWS: Duration = Duration::from_secs(10);
/// A chat stays open for so long after the last work: what comes later is unread then, until it is read.
const STAYS_OPEN: Duration = Duration::from_secs(2);

/// Listens as long as there is a session.
pub(super) async fn run(shared: Weak<Shared>) {
    let Some(session) = shared.upgrade() else { return };
    let mut tabs = session.tab.subscribe();
    drop(session);
    let mut ears = Ears::default();
    loop {
        let tab = tabs.borrow_and_update().clone();
        match tab {
            Some(tab) => {
                tokio::select! {
                    () = ears.listen(&shared, &tab) => {}
                    changed = tabs.changed() => if changed.is_err() { return },
                }
            }
            None => {
                if tabs.changed().await.is_err() {
                    return;
                }
            }
        }
    }
}

/// Who listens.
#[derive(Default)]
struct Ears {
    hearing: Hearing,
    /// The loading of the page that was heard last.
    life: String,
}

impl Ears {
    async fn listen(&mut self, shared: &Weak<Shared>, tab: &Tab) {
        let mut seen = tab.seen();
        seen.mark_changed();
        loop {
            let idle = tokio::time::timeout(STAYS_OPEN, seen.changed()).await;
            let Some(session) = shared.upgrade() else { return };
            match idle {
                Ok(Err(_)) => return,
                Ok(Ok(())) => {}
                Err(_) => {
                    close_chat(&session, tab).await;
                    drop(session);
                    if seen.changed().await.is_err() {
                        return;
                    }
                    seen.mark_changed();
                    continue;
                }
            }
            let now = seen.borrow_and_update().clone();
            let sink = session.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
            // Nobody listens yet: nothing is opened, and nothing counts as told.
            let (Some(now), Some(sink)) = (now, sink) else { continue };
            let work = Work { session: &session, tab, sink: &*sink };
            if let Err(error) = self.attend(&work, &now).await {
                tracing::debug!(session = %session.name, %error, "the page was not heard to its end");
            }
        }
    }

    /// Hears what is seen, then reads what nobody has open, one chat after the other.
    async fn attend(&mut self, work: &Work<'_>, seen: &Seen) -> Result<(), CallError> {
        if self.life != seen.life {
            // What the script of another loading held is gone with it.
            work.book(|book| {
                book.again();
                Ok(())
            });
            self.life.clone_from(&seen.life);
        }
        self.hear(work, seen).await?;
        let mut now = Some(seen.clone());
        while let Some(seen) = now {
            let is_listed = |title: &str| seen.rows.iter().any(|row| row.title == title);
            let due = work.ask_book(|book| book.next_again(is_listed)).flatten();
            now = match (due, unread(&seen)) {
                (Some(due), _) => self.read_again(work, &due).await?,
                (None, Some(row)) => self.read(work, &row).await?,
                (None, None) => None,
            };
        }
        Ok(())
    }

    /// Tells what is new of what is seen; when it is kept, the page need not hold it any more.
    async fn hear(&mut self, work: &Work<'_>, seen: &Seen) -> Result<(), CallError> {
        let session = work.session;
        let at = session.clock.now();
        let ticks = session.followed.lock().unwrap_or_else(PoisonError::into_inner).news(seen);
        for (id, tick) in ticks {
            work.sink.take(Heard::Tick { id, tick, at }).await;
        }
        let news = {
            let book = session.chats.lock().unwrap_or_else(PoisonError::into_inner);
            self.hearing.news(seen, book.as_ref())
        };
        for news in &news {
            self.tell(work, news).await;
        }
        if !seen.received.is_empty() {
            let ids: Vec<&str> = seen.received.iter().map(|bubble| bubble.id.as_str()).collect();
            let _: bool = work.tab.ask(&format!("heard({})", json!(ids)), Duration::ZERO).await?;
        }
        if !seen.more {
            work.book(|book| book.kept(seen.opening, seen.chat.as_deref()));
        }
        Ok(())
    }

    async fn tell(&mut self, work: &Work<'_>, news: &News) {
        let session = work.session;
        let at = session.clock.now();
        for bubble in &news.told {
            let known = session.followed.lock().unwrap_or_else(PoisonError::into_inner).phone(&news.title);
            let Bubble { id, text, kind, phone, .. } = bubble.clone();
            let phone = phone.or(known).or_else(|| number(&news.title));
            let title = news.title.clone();
            work.sink.take(Heard::Message(Message { id, phone, title, kind, text, at })).await;
            session.counts(|counts| counts.received += 1);
        }
        if let Some(last) = self.hearing.kept(news) {
            work.book(|book| book.heard(&news.title, last));
        }
    }

    /// Opens a chat that has unread messages, and tells them.
    async fn read(&mut self, work: &Work<'_>, row: &Row) -> Result<Option<Seen>, CallError> {
        let _turn = work.session.turn.lock().await;
        let place = Place::Title(row.title.clone());
        if work.note(&place, row.unread).await {
            self.open_listed(work, &place, &row.title).await
        } else {
            Ok(None)
        }
    }

    /// Reads a chat again that was open when a page ended.
    async fn read_again(&mut self, work: &Work<'_>, due: &Due) -> Result<Option<Seen>, CallError> {
        let _turn = work.session.turn.lock().await;
        if !work.note(&due.place, due.unread).await {
            return Ok(None);
        }
        match &due.place {
            Place::Title(title) => self.open_listed(work, &due.place, title).await,
            Place::Phone(phone) => self.open_by_number(work, &due.place, phone).await,
        }
    }

    async fn open_listed(
        &mut self,
        work: &Work<'_>,
        place: &Place,
        title: &str,
    ) -> Result<Option<Seen>, CallError> {
        let title = json!(title);
        if !work.tab.ask::<bool>(&format!("click({title})"), Duration::ZERO).await? {
            return Ok(None);
        }
        let within = SHOWS.as_millis();
        let shown: Option<bool> = work.tab.ask(&format!("shows({title}, {within})"), SHOWS).await?;
        if shown.is_some() { self.hear_opened(work, place).await } else { Ok(None) }
    }

    async fn open_by_number(
        &mut self,
        work: &Work<'_>,
        place: &Place,
        phone: &str,
    ) -> Result<Option<Seen>, CallError> {
        let visit: Visit = work.tab.ask(&format!("visit({})", json!(phone)), Duration::ZERO).await?;
        if visit == Visit::There {
            return self.hear_opened(work, place).await;
        }
        let asked = format!("opened({})", SHOWS.as_millis());
        let opened: Option<Opened> = work.tab.ask(&asked, SHOWS).await?;
        match opened.as_ref().map(|opened| opened.what.as_str()) {
            Some("open") => self.hear_opened(work, place).await,
            Some("invalid") => {
                let _: bool = work.tab.ask("dismiss()", Duration::ZERO).await?;
                work.book(|book| book.not_opened(place));
                Ok(None)
            }
            _ => Ok(None),
        }
    }

    /// Tells what an open chat shows; what was seen of the page then.
    async fn hear_opened(&mut self, work: &Work<'_>, place: &Place) -> Result<Option<Seen>, CallError> {
        let told: String = work.tab.ask("see()", Duration::ZERO).await?;
        // What can't be read is told by the page again when something of it changes.
        let Ok(seen) = serde_json::from_str::<Seen>(&told) else { return Ok(None) };
        self.hear(work, &seen).await?;
        let standing: Standing = work.tab.ask("standing()", Duration::ZERO).await?;
        work.book(|book| {
            book.opened(place, &standing.title, standing.opening);
            Ok(())
        });
        Ok(Some(seen))
    }
}

/// What whoever listens works with.
struct Work<'w> {
    session: &'w Shared,
    tab: &'w Tab,
    sink: &'w dyn Sink,
}

impl Work<'_> {
    fn ask_book<T>(&self, ask: impl FnOnce(&mut crate::chats::Chats) -> T) -> Option<T> {
        self.session.chats.lock().unwrap_or_else(PoisonError::into_inner).as_mut().map(ask)
    }

    /// Writes into the book what need not be flushed.
    fn book(&self, write: impl FnOnce(&mut crate::chats::Chats) -> io::Result<()>) {
        if let Some(Err(error)) = self.ask_book(write) {
            // Whatever it lacks is read again, and known by its id.
            tracing::warn!(session = %self.session.name, %error, "how far chats were heard is not noted");
        }
    }

    /// Notes that a chat is about to be opened; whether that is on the disk.
    async fn note(&self, place: &Place, unread: u32) -> bool {
        match note_opening(self.session, place, unread).await {
            Ok(()) => true,
            Err(error) => {
                tracing::warn!(session = %self.session.name, %error, "a chat is not read: that can't be noted");
                false
            }
        }
    }
}

/// Notes that a chat is about to be opened, on the disk.
pub(super) async fn note_opening(session: &Shared, place: &Place, unread: u32) -> io::Result<()> {
    let (chats, place) = (Arc::clone(&session.chats), place.clone());
    let noted = tokio::task::spawn_blocking(move || {
        let mut chats = chats.lock().unwrap_or_else(PoisonError::into_inner);
        let chats = chats.as_mut().ok_or(io::ErrorKind::NotFound)?;
        chats.opening(&place, unread)
    });
    noted.await.unwrap_or_else(|error| Err(io::Error::other(error)))
}

fn unread(seen: &Seen) -> Option<Row> {
    let another = |row: &&Row| row.unread > 0 && seen.chat.as_ref() != Some(&row.title);
    seen.rows.iter().find(another).cloned()
}

/// The digits of a title that is a number.
fn number(title: &str) -> Option<String> {
    let plain = title.chars().all(|c| c.is_ascii_digit() || " +-()\u{a0}\u{202a}\u{202c}".contains(c));
    let digits: String = title.chars().filter(char::is_ascii_digit).collect();
    (plain && (7..=15).contains(&digits.len())).then_some(digits)
}

/// Closes the open chat, so that what comes next is unread until it was told.
async fn close_chat(session: &Shared, tab: &Tab) {
    let Ok(_turn) = session.turn.try_lock() else { return };
    // Where it does not work the chat stays open, which harms nobody.
    let _: Result<bool, _> = tab.ask("leave()", Duration::ZERO).await;
    let _ = tab.key(Key::Escape).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_in_titles() {
        for (title, digits) in [
            ("+34 600 11 12 22", Some("34600111222")),
            ("Lucía", None),
            ("Lucía 600111222", None),
            ("+1", None),
        ] {
            assert_eq!(number(title).as_deref(), digits, "{title}");
        }
    }
}
