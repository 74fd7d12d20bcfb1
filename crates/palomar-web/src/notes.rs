//! What was pressed, written down before it is: so that after any crash it is known of an attempt whether it can be in
//! the chat at all, and what stood there before.
//!
//! What always holds: a note is flushed before the button is pressed; an attempt without a note was never pressed; a
//! line that was not written whole is none. Texts are not in it, only what of the page tells them apart.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::lines::{Lines, Sure};

/// Notes that are kept; older attempts are long settled.
const KEPT: usize = 2_000;

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Our messages that the chat showed before.
    pub(crate) before: Vec<String>,
    /// The message that it became.
    pub(crate) taken: Option<String>,
    /// What the chat is called in the list.
    pub(crate) title: Option<String>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
enum Line {
    /// About to be pressed.
    Pressed { tag: String, before: Vec<String> },
    /// In the chat, as this message.
    Taken { tag: String, id: String, title: String },
}

/// The notes of a session.
pub(crate) struct Notes {
    lines: Lines,
    notes: HashMap<String, Note>,
    order: VecDeque<String>,
}

impl Notes {
    /// Reads the notes of an earlier run, where there are some.
    pub(crate) fn open(path: &Path) -> io::Result<Notes> {
        let (lines, written) = Lines::open(path)?;
        let mut notes = Notes { lines, notes: HashMap::new(), order: VecDeque::new() };
        // The last line may have been cut by a crash: what it would have said did not happen yet.
        for line in written {
            notes.take(line);
        }
        notes.rewrite()?;
        Ok(notes)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Pressed { tag, before } => {
                if self.notes.insert(tag.clone(), Note { before, taken: None, title: None }).is_none() {
                    self.order.push_back(tag);
                }
                while self.order.len() > KEPT
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.notes.remove(&oldest);
                }
            }
            Line::Taken { tag, id, title } => {
                if let Some(note) = self.notes.get_mut(&tag) {
                    note.taken = Some(id);
                    note.title = Some(title);
                }
            }
        }
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        self.lines.write(&line, Sure::Flushed)?;
        self.take(line);
        if self.lines.count() > 4 * KEPT {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Writes what is kept anew, so that the file stays short.
    fn rewrite(&mut self) -> io::Result<()> {
        let notes = &self.notes;
        let kept = self.order.iter().filter_map(|tag| Some((tag, notes.get(tag)?)));
        let lines = kept.flat_map(|(tag, note)| {
            let pressed = Line::Pressed { tag: tag.clone(), before: note.before.clone() };
            let title = note.title.clone().unwrap_or_default();
            let taken = note.taken.clone().map(|id| Line::Taken { tag: tag.clone(), id, title });
            [Some(pressed), taken].into_iter().flatten()
        });
        self.lines.rewrite(lines)
    }

    /// Notes that an attempt is about to be pressed. Durable when this returns.
    pub(crate) fn pressed(&mut self, tag: &str, before: Vec<String>) -> io::Result<()> {
        self.write(Line::Pressed { tag: tag.to_owned(), before })
    }

    /// Notes which message it became.
    pub(crate) fn taken(&mut self, tag: &str, id: &str, title: &str) -> io::Result<()> {
        self.write(Line::Taken { tag: tag.to_owned(), id: id.to_owned(), title: title.to_owned() })
    }

    /// What is known of an attempt; nothing where it was never pressed.
    pub(crate) fn of(&self, tag: &str) -> Option<&Note> {
        self.notes.get(tag)
    }

    /// Whether a message is known to be that of an attempt.
    pub(crate) fn is_claimed(&self, id: &str) -> bool {
        self.notes.values().any(|note| note.taken.as_deref() == Some(id))
    }

    /// The messages that attempts became, with the titles of their chats, the oldest first.
    pub(crate) fn all_taken(&self) -> impl Iterator<Item = (&str, &str)> {
        let notes = self.order.iter().filter_map(|tag| self.notes.get(tag));
        notes.filter_map(|note| Some((note.taken.as_deref()?, note.title.as_deref()?)))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn notes_survive_whatever_cuts_them_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sends.log");
        let mut notes = Notes::open(&path).expect("opened");
        notes.pressed("a:1", vec!["X".to_owned()]).expect("written");
        notes.taken("a:1", "Y", "Lucía").expect("written");
        notes.pressed("b:1", Vec::new()).expect("written");
        drop(notes);
        let whole = fs::read_to_string(&path).expect("read");
        for end in 0..=whole.len() {
            let Some(cut) = whole.get(..end) else { continue };
            fs::write(&path, cut).expect("written");
            let notes = Notes::open(&path).expect("opened");
            let lines = cut.matches('\n').count();
            // A line without its end may be whole.
            assert!(notes.order.len() <= lines + 1 && notes.of("c:1").is_none());
        }
        fs::write(&path, whole).expect("written");
        let notes = Notes::open(&path).expect("opened");
        assert_eq!(notes.of("a:1").and_then(|note| note.taken.as_deref()), Some("Y"));
        assert_eq!(notes.of("b:1").map(|note| note.taken.is_none()), Some(true));
        assert!(notes.is_claimed("Y") && !notes.is_claimed("X"));
        assert_eq!(notes.all_taken().collect::<Vec<_>>(), [("Y", "Lucía")]);
    }

    #[test]
    fn the_file_stays_short() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sends.log");
        let mut notes = Notes::open(&path).expect("opened");
        for number in 0..KEPT + 50 {
            notes.take(Line::Pressed { tag: number.to_string(), before: Vec::new() });
        }
        notes.rewrite().expect("written");
        drop(notes);
        let notes = Notes::open(&path).expect("opened");
        assert_eq!(
            (notes.order.len(), notes.of("0").is_none(), notes.of("49").is_none()),
            (KEPT, true, true)
        );
        assert!(notes.of("50").is_some());
    }
}
