//! What a session hears: messages that people write, and how far ours are.
//!
//! ```text
//! page ─> seen ─> news (`hearing`) ─> sink: kept ─> the page is told that we have it ─> chat is struck out (`chats`)
//! ```
//!
//! What always holds: a chat is opened to be read only by whoever has the turn, and is written down before; the page's
//! script holds what it saw until it is told that it is kept; whatever was open when a page ended is read again.

use std::collections::HashMap;
use std::io;
use std::sync::{Arc, PoisonError, Weak};
use std::time::Duration;

use serde_json::json;

use super::Shared;
use super::hearing::{Hearing, News};
use super::send::Desk;
use super::visit::{opened, retire};
use crate::cdp::CallError;
use crate::chats::{Due, Place};
use crate::sink::{Heard, Message, Sink};
use crate::tab::{Bubble, Key, Opened, Row, Seen, Standing, Tab, Visit, chat_key};

/// A chat that was clicked shows within so long.
const SHOWS: Duration = Duration::from_secs(10);
/// A chat stays open for so long after the last work: what comes later is unread then, until it is read.
const STAYS_OPEN: Duration = Duration::from_secs(2);

/// A chat that does not show is clicked so often, in a run.
const TRIES: u32 = 3;

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
    /// That whose list was gone through.
    gone_through: String,
    /// How often a chat of the list was clicked in vain.
    in_vain: HashMap<String, u32>,
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
                    if self.looks_further(&session, tab).await {
                        continue;
                    }
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

    /// Goes through the list of chats once a loading, a step at a time: what was unread before may stand below what the page
    /// draws. What comes later stands at its top. Whether there is more.
    async fn looks_further(&mut self, session: &Shared, tab: &Tab) -> bool {
        if self.life.is_empty() || self.gone_through == self.life {
            return false;
        }
        let Ok(_turn) = session.turn.try_lock() else { return true };
        let more = tab.ask::<bool>("scroll()", Duration::ZERO).await.unwrap_or(false);
        if !more {
            self.gone_through.clone_from(&self.life);
        }
        more
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
        let mut before = None;
        while let Some(seen) = now {
            let is_listed = |title: &str| seen.rows.iter().any(|row| row.title == title);
            let due = work.ask_book(|book| book.next_again(is_listed)).flatten();
            now = match (due, self.unread(&seen)) {
                (Some(due), _) => self.read_again(work, &due).await?,
                // One that stays unread though it was opened is looked at again when something changes.
                (None, row) if row == before => None,
                (None, Some(row)) => {
                    before = Some(row.clone());
                    self.read(work, &row).await?
                }
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
            work.sink.take(Heard::Tick { id: id.clone(), tick, at }).await;
            session.followed.lock().unwrap_or_else(PoisonError::into_inner).kept(&id, tick);
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
        if let (true, Some(title)) = (seen.blank, seen.chat.as_deref()) {
            let key = chat_key(seen.jid.as_deref(), title);
            work.book(|book| if book.knows(&key) { Ok(()) } else { book.heard(&key, "") });
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
            let Bubble { id, chat, jid, text, kind, phone, direct, .. } = bubble.clone();
            // Who wrote in a chat of ours that has its title alone; in a group that would be anybody.
            let known = || session.followed.lock().unwrap_or_else(PoisonError::into_inner).phone(&chat);
            let phone = phone.or_else(|| direct.filter(|direct| *direct).and_then(|_| known()));
            let group = direct.is_some_and(|direct| !direct).then(|| jid.clone()).flatten();
            let message = Message { id, phone, title: chat.clone(), group, kind, text, at };
            work.sink.take(Heard::Message(message)).await;
            session.counts(|counts| counts.received += 1);
        }
        self.hearing.kept(news);
        if news.missed > 0 {
            let (session, missed) = (&session.name, news.missed);
            tracing::warn!(%session, missed, "more messages were unread than the page shows: look on the phone");
        }
        session.counts(|counts| counts.missed += news.missed as u64);
        work.book(|book| book.heard(&news.key, &news.last));
    }

    /// A chat that has something to be read, and is not the one that is open.
    fn unread(&self, seen: &Seen) -> Option<Row> {
        let several = |title: &String| seen.rows.iter().filter(|row| row.title == *title).count() > 1;
        let is_another = |row: &Row| seen.chat.as_ref() != Some(&row.title) || several(&row.title);
        let opens = |row: &Row| self.in_vain.get(&row.title).is_none_or(|tries| *tries < TRIES);
        seen.rows.iter().find(|row| row.unread > 0 && is_another(row) && opens(row)).cloned()
    }

    /// Opens a chat that has unread messages, and tells them.
    async fn read(&mut self, work: &Work<'_>, row: &Row) -> Result<Option<Seen>, CallError> {
        let mut desk = work.session.turn.lock().await;
        if work.is_loaded_anew(&mut desk).await? {
            return Ok(None);
        }
        // Whoever had the turn before may have taken long.
        let title = json!(row.title);
        let unread: u32 = work.tab.ask(&format!("unread({title})"), Duration::ZERO).await?;
        let place = Place::Title(row.title.clone());
        if work.note(&place, unread).await {
            self.open_listed(work, &mut desk, &place, &row.title).await
        } else {
            Ok(None)
        }
    }

    /// Reads a chat again that was open when a page ended.
    async fn read_again(&mut self, work: &Work<'_>, due: &Due) -> Result<Option<Seen>, CallError> {
        let mut desk = work.session.turn.lock().await;
        if work.is_loaded_anew(&mut desk).await? || !work.note(&due.place, due.unread).await {
            return Ok(None);
        }
        work.ask_book(|book| book.tried(&due.place));
        match &due.place {
            Place::Title(title) => self.open_listed(work, &mut desk, &due.place, title).await,
            Place::Phone(phone) => self.open_by_number(work, &mut desk, &due.place, phone).await,
        }
    }

    async fn open_listed(
        &mut self,
        work: &Work<'_>,
        desk: &mut Desk,
        place: &Place,
        title: &str,
    ) -> Result<Option<Seen>, CallError> {
        let json = json!(title);
        desk.adrift = true;
        if !work.tab.ask::<bool>(&format!("click({json})"), Duration::ZERO).await? {
            desk.adrift = false;
            return Ok(None);
        }
        let within = SHOWS.as_millis();
        let shown: Option<bool> = work.tab.ask(&format!("shows({json}, {within})"), SHOWS).await?;
        if shown.is_none() {
            let tries = self.in_vain.entry(title.to_owned()).or_default();
            *tries += 1;
            if *tries == TRIES {
                let session = &work.session.name;
                tracing::warn!(%session, "a chat does not open when it is clicked: it is not read any more");
            }
            return Ok(None);
        }
        desk.adrift = false;
        self.in_vain.remove(title);
        self.hear_opened(work, place).await
    }

    async fn open_by_number(
        &mut self,
        work: &Work<'_>,
        desk: &mut Desk,
        place: &Place,
        phone: &str,
    ) -> Result<Option<Seen>, CallError> {
        desk.adrift = true;
        let visit: Visit = work.tab.ask(&format!("visit({})", json!(phone)), Duration::ZERO).await?;
        let came: Option<Opened> = match visit {
            Visit::There => None,
            Visit::Gone => {
                let came: Option<Opened> = work.tab.ask(&opened(phone, SHOWS.as_millis()), SHOWS).await?;
                let Some(came) = came else { return Ok(None) };
                Some(came)
            }
        };
        match came.as_ref().map(|came| came.what.as_str()) {
            None | Some("open") => {
                let standing: Standing = work.tab.ask("standing()", Duration::ZERO).await?;
                if !standing.may_be(phone) {
                    return Ok(None);
                }
                desk.adrift = false;
                self.hear_opened(work, place).await
            }
            Some("invalid") => {
                let _: bool = work.tab.ask("dismiss()", Duration::ZERO).await?;
                desk.adrift = false;
                work.book(|book| book.not_opened(place));
                Ok(None)
            }
            Some(_) => Ok(None),
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
    /// A chat may still open that somebody gave up to wait for: the page is loaded anew, and heard after that.
    async fn is_loaded_anew(&self, desk: &mut Desk) -> Result<bool, CallError> {
        if !desk.adrift {
            return Ok(false);
        }
        let settings = &self.session.settings;
        retire(self.tab, &settings.url, settings.navigation).await?;
        (desk.adrift, desk.proven) = (false, false);
        Ok(true)
    }

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
    fn the_open_chat_is_not_read_again_and_another_of_its_title_is() {
        let row = |title: &str, unread| Row { title: title.to_owned(), unread, tick: None };
        let seen = |rows| Seen { chat: Some("A".to_owned()), rows, ..Seen::default() };
        let mut ears = Ears::default();
        assert_eq!(ears.unread(&seen(vec![row("A", 1), row("B", 0)])), None);
        assert_eq!(ears.unread(&seen(vec![row("A", 1), row("B", 2)])), Some(row("B", 2)));
        assert_eq!(ears.unread(&seen(vec![row("A", 0), row("A", 1)])), Some(row("A", 1)));
        ears.in_vain.insert("B".to_owned(), TRIES);
        assert_eq!(ears.unread(&seen(vec![row("B", 2)])), None);
    }
}
