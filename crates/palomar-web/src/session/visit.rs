//! Going to a chat, and what may be there instead: no such number, nobody who may be written to, a page that has changed.
//!
//! What always holds: a chat is noted before it is opened (see `chats`); the first chat after a loading of the page is
//! tested against the page's description.

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
use crate::tab::{Key, Opened, Standing, Visit};

/// A chat that shows no box for so long has none.
const BOX_WITHIN: Duration = Duration::from_millis(1500);

impl Turn<'_> {
    /// Opens the chat, whichever is open now; its title.
    pub(super) async fn open(&mut self, draft: &Draft) -> Result<String, SendFailure> {
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
    pub(super) fn book(&self, write: impl FnOnce(&mut Chats) -> io::Result<()>) {
        let mut chats = self.shared.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(Err(error)) = chats.as_mut().map(write) {
            // The chat is read again after the next start: that costs work, and nothing else.
            tracing::warn!(session = %self.shared.name, %error, "how far chats were heard is not noted");
        }
    }

    pub(super) async fn arrived(&self, within: Duration) -> Result<Option<Opened>, SendFailure> {
        self.ask(&format!("opened({})", within.as_millis()), within).await
    }

    /// A chat that does not open at once: there is no box in it, or it takes longer, or the link leads nowhere.
    pub(super) async fn arrive_late(&mut self, draft: &Draft) -> Result<Opened, SendFailure> {
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
    pub(super) async fn is_dumb(&self, draft: &Draft) -> Result<bool, SendFailure> {
        self.ask(&format!("dumb({})", json!(draft.to)), Duration::ZERO).await
    }

    /// What a chat without a box means: nobody may write to this one, or the page has changed.
    pub(super) async fn no_box(&mut self) -> Result<SendFailure, SendFailure> {
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
    pub(super) async fn prove(&mut self) -> Result<(), SendFailure> {
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
    pub(super) async fn clear_away(&self) -> Result<(), SendFailure> {
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
