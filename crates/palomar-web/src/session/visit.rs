//! Going to a chat, and what may be there instead: no such number, nobody who may be written to, a page that has changed.
//!
//! ```text
//! adrift? loaded anew ─> noted ─> ADRIFT ─> link ─> box, or dialog, or none ─> whose chat is it? ─> not adrift any more
//! ```
//!
//! What always holds: a chat is noted before it is opened (see `chats`); a box is the chat's that was gone to: none but it is
//! under way, nothing of the page says that it is another's, and no title is believed; the first chat after a loading of
//! the page is tested against the page's description.

use std::io;
use std::sync::PoisonError;
use std::time::Duration;

use palomar_model::{ErrorClass, SendFailure};
use serde_json::json;

use super::ears::note_opening;
use super::send::{Turn, failure, transient};
use super::{Draft, NOT_READY, Order};
use crate::cdp::CallError;
use crate::chats::{Chats, Place};
use crate::page::When;
use crate::tab::{Key, Opened, Standing, Tab, Visit};

/// A chat that shows no box for so long has none.
const BOX_WITHIN: Duration = Duration::from_millis(1500);

impl Turn<'_> {
    /// Opens the chat, whichever is open now.
    pub(super) async fn open(&mut self, draft: &Draft) -> Result<Standing, SendFailure> {
        if self.desk.adrift {
            self.load_anew().await?;
        }
        self.clear_away().await?;
        // Opening it makes it read on the phone: what it shows is owed from now on.
        let place = Place::Phone(draft.to.clone());
        note_opening(self.shared, &place, 0).await.map_err(|error| {
            SendFailure::new(ErrorClass::Transient, format!("the chat can't be noted: {error}"))
        })?;
        self.desk.adrift = true;
        match self.go_to(draft).await? {
            Opened { what, .. } if what == "open" => {}
            Opened { what, words } if what == "invalid" => {
                let _: Result<bool, _> = self.ask("dismiss()", Duration::ZERO).await;
                self.desk.adrift = false;
                self.book(|book| book.not_opened(&place));
                let title = "this number is not on WhatsApp";
                return Err(failure(ErrorClass::Recipient, "not_on_whatsapp", title).with_detail(words));
            }
            Opened { what, .. } if what == "dumb" => {
                let failure = self.no_box().await?;
                self.desk.adrift = false;
                return Err(failure);
            }
            _ => return Err(SendFailure::new(ErrorClass::Transient, "the page left its chats")),
        }
        let standing: Standing = self.ask("standing()", Duration::ZERO).await?;
        if !standing.may_be(&draft.to) {
            let title = "the page opened another chat";
            return Err(failure(ErrorClass::Transient, "another_chat", title));
        }
        self.desk.adrift = false;
        self.book(|book| {
            book.opened(&place, &standing.title, standing.opening);
            Ok(())
        });
        self.prove().await?;
        Ok(standing)
    }

    /// Goes to the chat: by a link within the page, and where that does not do by loading it anew.
    async fn go_to(&mut self, draft: &Draft) -> Result<Opened, SendFailure> {
        let visit: Visit = self.ask(&format!("visit({})", json!(draft.to)), Duration::ZERO).await?;
        if visit == Visit::There {
            return Ok(Opened { what: "open".to_owned(), words: String::new() });
        }
        match self.arrived(&draft.to, BOX_WITHIN).await? {
            Some(opened) => Ok(opened),
            None => self.arrive_late(draft).await,
        }
    }

    /// Loads the page anew, so that nothing is under way in it.
    async fn load_anew(&mut self) -> Result<(), SendFailure> {
        self.load(&self.shared.settings.url.clone()).await?;
        match self.after_loading("ready", |step| format!("ready({step})")).await? {
            Some(opened) if opened.what == "open" => Ok(()),
            _ => Err(SendFailure::new(ErrorClass::Transient, "the page does not come back to its chats")),
        }
    }

    /// Loads an address. What is under way in the page as it is comes to nothing.
    async fn load(&mut self, url: &str) -> Result<(), SendFailure> {
        self.desk.proven = false;
        let loaded = retire(&self.tab, url, self.shared.settings.navigation).await;
        loaded.map_err(|error| transient(&error))?;
        self.desk.adrift = false;
        Ok(())
    }

    /// Asks a page that is being loaded, for as long as opening a chat may take.
    async fn after_loading(
        &self,
        what: &str,
        question: impl Fn(u128) -> String,
    ) -> Result<Option<Opened>, SendFailure> {
        let mut left = self.shared.settings.open;
        while !left.is_zero() {
            let step = left.min(Duration::from_millis(500));
            // While it loads there is nobody to be asked.
            match self.tab.ask::<Option<Opened>>(&question(step.as_millis()), step).await {
                Ok(Some(opened)) if opened.what != "away" => return Ok(Some(opened)),
                Err(CallError::Gone) => return Err(transient(&CallError::Gone)),
                Ok(_) => {}
                Err(error) => {
                    tracing::trace!(%error, what, "not yet");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
            left = left.saturating_sub(step);
        }
        Ok(None)
    }

    /// Writes into the book of chats what need not be flushed.
    pub(super) fn book(&self, write: impl FnOnce(&mut Chats) -> io::Result<()>) {
        let mut chats = self.shared.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = chats.as_mut().map(write) {
            // The chat is read again after the next start: that costs work, and nothing else.
            tracing::warn!(session = %self.shared.name, %error, "how far chats were heard is not noted");
        }
    }

    async fn arrived(&self, phone: &str, within: Duration) -> Result<Option<Opened>, SendFailure> {
        self.ask(&opened(phone, within.as_millis()), within).await
    }

    /// A chat that does not open at once: there is no box in it, or it takes longer, or the link leads nowhere.
    async fn arrive_late(&mut self, draft: &Draft) -> Result<Opened, SendFailure> {
        let dumb = || Opened { what: "dumb".to_owned(), words: String::new() };
        if self.is_dumb().await? {
            return Ok(dumb());
        }
        if let Some(opened) = self.arrived(&draft.to, self.shared.settings.open / 3).await? {
            return Ok(opened);
        }
        if self.is_dumb().await? {
            return Ok(dumb());
        }
        // The way that loads everything anew.
        let url = format!("{}/send?phone={}", crate::tab::origin(&self.shared.settings.url), draft.to);
        self.load(&url).await?;
        self.desk.adrift = true;
        match self.after_loading("a chat", |step| opened(&draft.to, step)).await? {
            Some(opened) => Ok(opened),
            // It had all the time that a chat may take to show its box.
            None if self.is_dumb().await? => Ok(dumb()),
            None => Err(failure(ErrorClass::Transient, "chat_does_not_open", "the chat does not open")),
        }
    }

    /// Whether the chat is there, without a box to write in.
    async fn is_dumb(&self) -> Result<bool, SendFailure> {
        self.ask("dumb()", Duration::ZERO).await
    }

    /// What a chat without a box means: nobody may write to this one, or the page has changed.
    async fn no_box(&mut self) -> Result<SendFailure, SendFailure> {
        if self.desk.proven {
            return Ok(failure(ErrorClass::Recipient, "no_composer", "this chat can't be written to"));
        }
        let missing = self.missing(When::Chat).await?;
        Ok(self.changed(missing))
    }

    pub(super) async fn missing(&self, when: When) -> Result<Vec<String>, SendFailure> {
        self.tab.missing(when).await.map_err(|error| transient(&error))
    }

    /// The page's description does not hold: the session stops, and says what it lacks.
    pub(super) fn changed(&self, missing: Vec<String>) -> SendFailure {
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
}

/// The question what came of going to a chat.
pub(super) fn opened(phone: &str, within: u128) -> String {
    format!("opened({}, {within})", json!(phone))
}

/// Loads an address in place of the page as it is, which says and does nothing any more from now on.
pub(super) async fn retire(tab: &Tab, url: &str, patience: Duration) -> Result<(), CallError> {
    // A page that is loaded just now has nobody to be told.
    let _: Result<bool, _> = tab.ask("retire()", Duration::ZERO).await;
    tab.navigate(url, patience).await
}
