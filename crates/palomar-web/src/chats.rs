//! Which chats were opened and not yet heard to their end, and how far each chat was heard.
//!
//! Whoever opens a chat makes its messages read on the phone: a crash before they were kept would lose them. So a chat is
//! written down before it is opened, and struck out when it is open no more and all that it showed is kept.
//!
//! What always holds: the line of an opening is on the disk before the chat is opened; a chat that is written down when a
//! page is loaded is opened and read again; reading again only ever tells more, and ids make that harmless.

use std::collections::{HashMap, HashSet, VecDeque};
use std::io;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::lines::{Lines, Sure};

/// Chats that are remembered.
const KEPT: usize = 5_000;

/// How often a chat is opened again in a run that does not open.
const TRIES: u32 = 3;

/// By what a chat is found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Place {
    /// By what it is called in the list.
    Title(String),
    /// By its number.
    Phone(String),
}

/// A chat that was opened and may show what is not kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Due {
    pub(crate) place: Place,
    /// Messages that were unread before it was opened.
    pub(crate) unread: u32,
    /// What it is called, once that is seen.
    title: Option<String>,
    /// Which opening of the page it was.
    opening: Option<u64>,
    /// The page that it was open in is no more: it is to be read again.
    pub(crate) again: bool,
    /// How often that was tried in vain, in this run.
    tries: u32,
}

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase", tag = "what")]
enum Line {
    /// About to be opened.
    Opening { place: Place, unread: u32 },
    /// Heard to its end, and open no more.
    Read { place: Place },
    /// A chat's last message that is kept, or none.
    Last { chat: String, id: String },
}

/// The book of a session's chats.
pub(crate) struct Chats {
    lines: Lines,
    dues: Vec<Due>,
    /// The last message that is kept, by chat; empty where it had none.
    last: HashMap<String, String>,
    /// All of these.
    ids: HashSet<String>,
    order: VecDeque<String>,
}

impl Chats {
    /// Reads the book of an earlier run, where there is one: what it left open is to be read again.
    pub(crate) fn open(path: &Path) -> io::Result<Chats> {
        let (lines, written) = Lines::open(path)?;
        let mut chats = Chats {
            lines,
            dues: Vec::new(),
            last: HashMap::new(),
            ids: HashSet::new(),
            order: VecDeque::new(),
        };
        for line in written.lines {
            chats.take(line);
        }
        chats.again();
        chats.rewrite()?;
        Ok(chats)
    }

    fn take(&mut self, line: Line) {
        match line {
            Line::Opening { place, unread } => match self.dues.iter_mut().find(|due| due.place == place) {
                Some(due) => (due.unread, due.opening) = (due.unread.max(unread), None),
                None => {
                    self.dues.push(Due { place, unread, title: None, opening: None, again: false, tries: 0 });
                }
            },
            Line::Read { place } => self.dues.retain(|due| due.place != place),
            Line::Last { chat, id } => {
                if let Some(earlier) = self.last.insert(chat.clone(), id.clone()) {
                    self.ids.remove(&earlier);
                } else {
                    self.order.push_back(chat);
                }
                self.ids.insert(id);
                while self.order.len() > KEPT
                    && let Some(oldest) = self.order.pop_front()
                    && let Some(id) = self.last.remove(&oldest)
                {
                    self.ids.remove(&id);
                }
            }
        }
    }

    fn write(&mut self, line: Line, sure: Sure) -> io::Result<()> {
        self.lines.write(&line, sure)?;
        self.take(line);
        if self.lines.count() > 4 * KEPT {
            self.rewrite()?;
        }
        Ok(())
    }

    fn rewrite(&mut self) -> io::Result<()> {
        let dues = self.dues.iter().map(|due| Line::Opening { place: due.place.clone(), unread: due.unread });
        let last = &self.last;
        let heard = self.order.iter().filter_map(|chat| {
            let id = last.get(chat)?.clone();
            Some(Line::Last { chat: chat.clone(), id })
        });
        self.lines.rewrite(dues.chain(heard))
    }

    /// Notes that a chat is about to be opened. On the disk when this returns.
    pub(crate) fn opening(&mut self, place: &Place, unread: u32) -> io::Result<()> {
        match self.dues.iter_mut().find(|due| due.place == *place) {
            Some(due) if unread <= due.unread => {
                // It may be an opening of its own: until it is seen, nothing strikes it out.
                due.opening = None;
                Ok(())
            }
            _ => self.write(Line::Opening { place: place.clone(), unread }, Sure::Flushed),
        }
    }

    /// A chat is open now: what it is called, and which opening of the page it was.
    pub(crate) fn opened(&mut self, place: &Place, title: &str, opening: u64) {
        if let Some(due) = self.dues.iter_mut().find(|due| due.place == *place) {
            due.title = Some(title.to_owned());
            due.opening = Some(opening);
            (due.again, due.tries) = (false, 0);
        }
    }

    /// A chat can't be opened, and so was not.
    pub(crate) fn not_opened(&mut self, place: &Place) -> io::Result<()> {
        self.write(Line::Read { place: place.clone() }, Sure::Soon)
    }

    /// The page was loaded: whatever was open is to be read again.
    pub(crate) fn again(&mut self) {
        for due in &mut self.dues {
            (due.again, due.opening) = (true, None);
        }
    }

    /// A chat to be read again, of those that can be found now.
    pub(crate) fn next_again(&self, is_listed: impl Fn(&str) -> bool) -> Option<Due> {
        let found = |due: &&Due| match &due.place {
            Place::Title(title) => is_listed(title),
            Place::Phone(_) => true,
        };
        self.dues.iter().filter(|due| due.again && due.tries < TRIES).find(found).cloned()
    }

    /// A chat that was to be read again did not open. What never opens stands in nobody's way, and is tried by the next
    /// run.
    pub(crate) fn tried(&mut self, place: &Place) {
        if let Some(due) = self.dues.iter_mut().find(|due| due.place == *place) {
            due.tries += 1;
        }
    }

    /// All that was seen up to the page's `opening` is kept, and `chat` is open now: the others have been read.
    pub(crate) fn kept(&mut self, opening: u64, chat: Option<&str>) -> io::Result<()> {
        let over = |due: &&Due| {
            due.opening.is_some_and(|its| its < opening) && due.title.as_deref() != chat && !due.again
        };
        let read: Vec<Place> = self.dues.iter().filter(over).map(|due| due.place.clone()).collect();
        read.into_iter().try_for_each(|place| self.write(Line::Read { place }, Sure::Soon))
    }

    /// What is owed to a chat that is seen for the first time: it was opened before, and what it showed then may not be
    /// kept. A chat that is not called anything yet may be this one.
    pub(crate) fn due_of(&self, title: &str, phone: Option<&str>) -> Option<&Due> {
        let is_it = |due: &&Due| match (&due.place, &due.title) {
            (_, Some(called)) => called == title,
            (Place::Title(called), None) => called == title,
            (Place::Phone(number), None) => due.again && phone.is_none_or(|phone| phone == number),
        };
        self.dues.iter().find(is_it)
    }

    /// Whether a chat was heard before.
    pub(crate) fn knows(&self, chat: &str) -> bool {
        self.last.contains_key(chat)
    }

    /// Whether this message is the last one of some chat that is kept.
    pub(crate) fn is_last(&self, id: &str) -> bool {
        self.ids.contains(id)
    }

    /// A chat was heard as far as this message; empty where it had none.
    pub(crate) fn heard(&mut self, chat: &str, id: &str) -> io::Result<()> {
        if self.last.get(chat).is_some_and(|last| last == id) {
            return Ok(());
        }
        self.write(Line::Last { chat: chat.to_owned(), id: id.to_owned() }, Sure::Soon)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn title(title: &str) -> Place {
        Place::Title(title.to_owned())
    }

    #[test]
    fn what_was_open_is_due_after_a_crash_and_what_was_read_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chats.log");
        let mut chats = Chats::open(&path).expect("opened");
        let phone = Place::Phone("34600111222".to_owned());
        chats.opening(&title("A"), 2).expect("written");
        chats.opened(&title("A"), "A", 1);
        chats.heard("A", "X").expect("written");
        chats.opening(&phone, 0).expect("written");
        // Not before another opening was seen, and the chat is gone.
        for (opening, chat) in [(1, Some("A")), (1, None), (2, Some("A"))] {
            chats.kept(opening, chat).expect("written");
            assert_eq!(chats.dues.len(), 2, "{opening} {chat:?}");
        }
        chats.kept(2, Some("B")).expect("written");
        assert_eq!(chats.dues.len(), 1);
        // What was opened and not seen yet stays.
        drop(chats);
        let mut chats = Chats::open(&path).expect("opened");
        assert!(chats.knows("A") && chats.is_last("X") && !chats.is_last("Y"));
        let due = chats.next_again(|_| false).expect("one is due");
        assert_eq!((&due.place, due.again), (&phone, true));
        assert_eq!(chats.due_of("B", None), Some(&due));
        assert_eq!(chats.due_of("B", Some("34600999888")), None);
        chats.opened(&phone, "B", 1);
        assert!(chats.next_again(|_| true).is_none());
        chats.not_opened(&phone).expect("written");
        assert!(Chats::open(&path).expect("opened").dues.is_empty());
    }

    #[test]
    fn a_chat_that_never_opens_is_given_up_and_one_that_opens_is_not() {
        let dir = tempfile::tempdir().expect("a directory");
        let mut chats = Chats::open(&dir.path().join("chats.log")).expect("opened");
        chats.opening(&title("A"), 1).expect("written");
        for _ in 0..2 * TRIES {
            chats.again();
            assert!(chats.next_again(|_| true).is_some());
            chats.tried(&title("A"));
            chats.opened(&title("A"), "A", 1);
        }
        chats.again();
        for _ in 0..TRIES {
            assert!(chats.next_again(|_| true).is_some());
            chats.tried(&title("A"));
        }
        assert!(chats.next_again(|_| true).is_none());
    }

    #[test]
    fn a_line_that_was_cut_off_is_none() {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chats.log");
        let mut chats = Chats::open(&path).expect("opened");
        chats.opening(&title("A"), 1).expect("written");
        chats.opening(&title("B"), 1).expect("written");
        drop(chats);
        let whole = std::fs::read_to_string(&path).expect("read");
        std::fs::write(&path, &whole[..whole.len() - 3]).expect("written");
        let chats = Chats::open(&path).expect("opened");
        assert_eq!(chats.dues.iter().map(|due| &due.place).collect::<Vec<_>>(), [&title("A")]);
    }
}
