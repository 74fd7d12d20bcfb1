//! Writing into the open chat, pressing the button, and waiting for the server's tick.
//!
//! What always holds: what stands in the box is compared with what was to be written before anything is pressed, and whose
//! chat it is in the same step; from the button on, whatever goes wrong means that it may have gone.

use std::time::Duration;

use palomar_model::{ErrorClass, SendFailure};
use serde_json::json;

use super::send::{BUTTON_WITHIN, Turn, failure, transient, unknown};
use super::{Attachment, Draft, Taken};
use crate::cdp::CallError;
use crate::page::When;
use crate::tab::{Key, OwnBubble, Pressed, Standing};

/// A person types so fast.
const LETTERS_A_SECOND: u64 = 15;
const LONGEST_TYPING: Duration = Duration::from_secs(8);

impl Turn<'_> {
    /// Writes the text and attaches the file. Nothing is sent by it.
    pub(super) async fn write(&self, draft: &Draft) -> Result<(), SendFailure> {
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

    pub(super) async fn focus(&self) -> Result<(), SendFailure> {
        let focused: bool = self.ask("focus()", Duration::ZERO).await?;
        if focused {
            Ok(())
        } else {
            Err(SendFailure::new(ErrorClass::Transient, "the box can't be written in"))
        }
    }

    /// Takes away a draft of an earlier time.
    pub(super) async fn clear_box(&self) -> Result<(), SendFailure> {
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

    pub(super) async fn type_in(&self, text: &str) -> Result<(), SendFailure> {
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

    pub(super) async fn attach(&self, file: &Attachment) -> Result<(), SendFailure> {
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

    /// Presses the button, where the chat still is the one that was gone to, and waits for the server's tick.
    pub(super) async fn press(
        &mut self,
        draft: &Draft,
        chat: &Standing,
        before: &[String],
    ) -> Result<Taken, SendFailure> {
        let lost = |error: CallError| unknown(&format!("it was pressed, then: {error}"));
        let press = format!("press({}, {})", json!(draft.to), json!(chat.jid));
        match self.tab.ask(&press, Duration::ZERO).await.map_err(lost)? {
            Pressed::Done => self.ticked(draft, before, draft.tick_within).await,
            Pressed::Elsewhere => {
                self.desk.adrift = true;
                let title = "another chat came in between: nothing was pressed";
                Err(failure(ErrorClass::Transient, "another_chat", title))
            }
            Pressed::NoButton => {
                let title = "the button went away: nothing was pressed";
                Err(failure(ErrorClass::Transient, "no_button", title))
            }
        }
    }

    pub(super) async fn ticked(
        &self,
        draft: &Draft,
        before: &[String],
        within: Duration,
    ) -> Result<Taken, SendFailure> {
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
