//! What was pressed, written down before it is: so that after any crash it is known of an attempt whether it can be in
//! the chat at all, and what stood there before.
//!
//! What always holds: a note is flushed before the button is pressed; an attempt without a note was never pressed, as long
//! as no note was lost, and where one was that is remembered; a note of what may be under way outlives those of what went.
//! Texts are not in it, only what of the page tells them apart.

use std::collections::{HashMap, VecDeque};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::lines::{Lines, Sure};

/// Notes that are kept; older attempts are long settled.
const KEPT: usize = 2_000;
/// Beyond these, notes of attempts whose message was never seen.
const OPEN: usize = 2_000;

/// What is known of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    /// Our messages that the chat showed before.
    pub(crate) before: Vec<String>,
    /// The message that it became.
    pub(crate) taken: Option<String>,
    /// Whom it goes to: digits.
    pub(crate) to: Option<String>,
    /// What the chat is called in the list.
    pub(crate) title: Option<String>,
}

/// What is known of a tag.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Noted {
    /// It was about to be pressed.
    Pressed(Note),
    /// It was not.
    Not,
    /// It has no note, and notes were lost.
    Lost,
}

/// A message that an attempt became.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Became<'n> {
    pub(crate) id: &'n str,
    pub(crate) title: &'n str,
    pub(crate) to: Option<&'n str>,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
enum Line {
    /// About to be pressed.
    Pressed {
        tag: String,
        before: Vec<String>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        to: Option<String>,
    },
    /// In the chat, as this message.
    Taken { tag: String, id: String, title: String },
    /// Notes are missing.
    Lost,
}

/// The notes of a session.
pub(crate) struct Notes {
    lines: Lines,
    notes: HashMap<String, Note>,
    order: VecDeque<String>,
    /// Older ones whose message was never seen.
    open: VecDeque<String>,
    is_lossy: bool,
}

impl Notes {
    /// Reads the notes of an earlier run, where there are some. `is_new` says that there was none.
    pub(crate) fn open(path: &Path, is_new: bool) -> io::Result<Notes> {
        let is_missing = !is_new && !path.try_exists()?;
        let (lines, written) = Lines::open(path)?;
        let mut notes = Notes {
            lines,
            notes: HashMap::new(),
            order: VecDeque::new(),
            open: VecDeque::new(),
            is_lossy: is_missing || written.lost > 0,
        };
        if notes.is_lossy {
            tracing::error!("notes of what was sent are missing: what is in doubt stays in doubt");
        }
        // The last line may have been cut by a crash: what it would have said did not happen yet.
        for line in written.lines {
            notes.take(line);
        }
        notes.rewrite()?;
        Ok(notes)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Pressed { tag, before, to } => {
                let note = Note { before, taken: None, to, title: None };
                if self.notes.insert(tag.clone(), note).is_none() {
                    self.order.push_back(tag);
                }
                while self.order.len() > KEPT
                    && let Some(oldest) = self.order.pop_front()
                {
                    self.grow_old(oldest);
                }
            }
            Line::Taken { tag, id, title } => {
                if let Some(note) = self.notes.get_mut(&tag) {
                    note.taken = Some(id);
                    note.title = Some(title);
                }
            }
            Line::Lost => self.is_lossy = true,
        }
    }

    /// One of many: it goes, but not as long as nobody knows what became of it.
    fn grow_old(&mut self, tag: String) {
        if self.notes.get(&tag).is_some_and(|note| note.taken.is_some()) {
            self.notes.remove(&tag);
            return;
        }
        self.open.push_back(tag);
        while self.open.len() > OPEN
            && let Some(oldest) = self.open.pop_front()
        {
            let note = self.notes.remove(&oldest);
            self.is_lossy |= note.is_some_and(|note| note.taken.is_none());
        }
    }

    fn write(&mut self, line: Line) -> io::Result<()> {
        self.lines.write(&line, Sure::Flushed)?;
        let was_lossy = self.is_lossy;
        self.take(line);
        if self.is_lossy != was_lossy || self.lines.count() > 4 * KEPT {
            self.rewrite()?;
        }
        Ok(())
    }

    /// Writes what is kept anew, so that the file stays short.
    fn rewrite(&mut self) -> io::Result<()> {
        let notes = &self.notes;
        let all = self.open.iter().chain(&self.order);
        let kept = all.filter_map(|tag| Some((tag, notes.get(tag)?)));
        let lines = kept.flat_map(|(tag, note)| {
            let (before, to) = (note.before.clone(), note.to.clone());
            let pressed = Line::Pressed { tag: tag.clone(), before, to };
            let title = note.title.clone().unwrap_or_default();
            let taken = note.taken.clone().map(|id| Line::Taken { tag: tag.clone(), id, title });
            [Some(pressed), taken].into_iter().flatten()
        });
        let lost = self.is_lossy.then_some(Line::Lost);
        self.lines.rewrite(lost.into_iter().chain(lines))
    }

    /// Notes that an attempt is about to be pressed. Durable when this returns.
    pub(crate) fn pressed(&mut self, tag: &str, before: Vec<String>, to: &str) -> io::Result<()> {
        self.write(Line::Pressed { tag: tag.to_owned(), before, to: Some(to.to_owned()) })
    }

    /// Notes which message it became.
    pub(crate) fn taken(&mut self, tag: &str, id: &str, title: &str) -> io::Result<()> {
        self.write(Line::Taken { tag: tag.to_owned(), id: id.to_owned(), title: title.to_owned() })
    }

    /// What is known of an attempt.
    pub(crate) fn of(&self, tag: &str) -> Noted {
        match self.notes.get(tag) {
            Some(note) => Noted::Pressed(note.clone()),
            None if self.is_lossy => Noted::Lost,
            None => Noted::Not,
        }
    }

    /// Whether a message is known to be that of an attempt.
    pub(crate) fn is_claimed(&self, id: &str) -> bool {
        self.notes.values().any(|note| note.taken.as_deref() == Some(id))
    }

    /// The messages that attempts became, the oldest first.
    pub(crate) fn all_taken(&self) -> impl Iterator<Item = Became<'_>> {
        let notes = self.order.iter().filter_map(|tag| self.notes.get(tag));
        notes.filter_map(|note| {
            Some(Became { id: note.taken.as_deref()?, title: note.title.as_deref()?, to: note.to.as_deref() })
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn note(notes: &Notes, tag: &str) -> Option<Note> {
        match notes.of(tag) {
            Noted::Pressed(note) => Some(note),
            Noted::Not | Noted::Lost => None,
        }
    }

    #[test]
    fn notes_survive_whatever_cuts_them_off() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sends.log");
        let mut notes = Notes::open(&path, true).expect("opened");
        notes.pressed("a:1", vec!["X".to_owned()], "34600111222").expect("written");
        notes.taken("a:1", "Y", "Lucía").expect("written");
        notes.pressed("b:1", Vec::new(), "34600111222").expect("written");
        drop(notes);
        let whole = fs::read_to_string(&path).expect("read");
        for end in 0..=whole.len() {
            let Some(cut) = whole.get(..end) else { continue };
            fs::write(&path, cut).expect("written");
            let notes = Notes::open(&path, false).expect("opened");
            let lines = cut.matches('\n').count();
            // A line without its end may be whole.
            assert!(notes.order.len() <= lines + 1 && notes.of("c:1") == Noted::Not);
        }
        fs::write(&path, whole).expect("written");
        let notes = Notes::open(&path, false).expect("opened");
        assert_eq!(note(&notes, "a:1").and_then(|note| note.taken).as_deref(), Some("Y"));
        assert_eq!(note(&notes, "b:1").map(|note| note.taken.is_none()), Some(true));
        assert!(notes.is_claimed("Y") && !notes.is_claimed("X"));
        let became = Became { id: "Y", title: "Lucía", to: Some("34600111222") };
        assert_eq!(notes.all_taken().collect::<Vec<_>>(), [became]);
    }

    #[test]
    fn where_notes_were_lost_silence_proves_nothing() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sends.log");
        let mut notes = Notes::open(&path, true).expect("opened");
        notes.pressed("a:1", Vec::new(), "34600111222").expect("written");
        notes.pressed("b:1", Vec::new(), "34600111222").expect("written");
        drop(notes);
        let whole = fs::read_to_string(&path).expect("read");
        // A line in the middle that can't be read; then a file that is gone.
        fs::write(&path, &whole[3..]).expect("written");
        for _ in 0..2 {
            // It is remembered.
            assert_eq!(Notes::open(&path, false).expect("opened").of("a:1"), Noted::Lost);
        }
        fs::remove_file(&path).expect("removed");
        assert_eq!(Notes::open(&path, false).expect("opened").of("c:1"), Noted::Lost);
    }

    #[test]
    fn the_file_stays_short_and_what_is_open_stays_longer() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("sends.log");
        let mut notes = Notes::open(&path, true).expect("opened");
        let pressed = |number: usize| Line::Pressed { tag: number.to_string(), before: Vec::new(), to: None };
        for number in 0..KEPT + 50 {
            notes.take(pressed(number));
            if number != 7 {
                notes.take(Line::Taken { tag: number.to_string(), id: String::new(), title: String::new() });
            }
        }
        notes.rewrite().expect("written");
        drop(notes);
        let mut notes = Notes::open(&path, false).expect("opened");
        let known = |notes: &Notes, number: usize| note(notes, &number.to_string()).is_some();
        assert_eq!(notes.order.len(), KEPT);
        assert_eq!([0, 7, 49, 50].map(|number| known(&notes, number)), [false, true, false, true]);
        assert_eq!(notes.of("0"), Noted::Not);
        for number in 0..=KEPT + OPEN {
            notes.take(pressed(10_000 + number));
        }
        assert_eq!((known(&notes, 7), notes.of("0")), (false, Noted::Lost));
    }
}
