//! What of all that a chat shows is news. No I/O.
//!
//! ```text
//! came while the chat was open       news
//! stood there when it was opened:
//!   some of it was heard before      what stands behind that
//!   the chat was heard before        all of it: what was heard is no longer shown
//!   the chat was never heard         as many as were unread; what stood there before is no news
//! ```
//!
//! What always holds: a message is known only when it is kept, so that whoever is stopped in between tells it again; where
//! it can't be known whether something is news, it is told: ids make that harmless, and silence would not be.

use std::collections::{HashSet, VecDeque};

use crate::chats::{Chats, Due};
use crate::tab::{Bubble, Seen};

/// Ids that are remembered.
const REMEMBERED: usize = 20_000;

/// What was heard in this run.
#[derive(Default)]
pub(super) struct Hearing {
    known: HashSet<String>,
    order: VecDeque<String>,
}

/// What a chat shows that was not kept before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    /// What tells the chat from others.
    pub(super) key: String,
    /// What is to be told, in order.
    pub(super) told: Vec<Bubble>,
    /// What stood there before: it is not told.
    old: Vec<String>,
    /// The last of all.
    pub(super) last: String,
    /// Messages that were unread, and are not among those that the page shows.
    pub(super) missed: usize,
}

impl Hearing {
    fn remember(&mut self, id: &str) {
        if !self.known.insert(id.to_owned()) {
            return;
        }
        self.order.push_back(id.to_owned());
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
    }

    /// What is news of what is seen, chat by chat.
    pub(super) fn news(&self, seen: &Seen, book: Option<&Chats>) -> Vec<News> {
        let mut chats: Vec<(String, Vec<&Bubble>)> = Vec::new();
        for bubble in &seen.received {
            let key = bubble.key();
            match chats.iter_mut().find(|(known, _)| *known == key) {
                Some((_, bubbles)) => bubbles.push(bubble),
                None => chats.push((key, vec![bubble])),
            }
        }
        chats.into_iter().filter_map(|(key, shown)| self.news_of(key, &shown, book)).collect()
    }

    fn news_of(&self, key: String, shown: &[&Bubble], book: Option<&Chats>) -> Option<News> {
        let last = shown.last()?.id.clone();
        let stood = shown.iter().filter(|bubble| bubble.stood).count();
        let (old, missed) = self.old(&key, &shown[..stood], book);
        let fresh = |bubble: &&&Bubble| !self.known.contains(&bubble.id);
        Some(News {
            key,
            told: shown[old..].iter().filter(fresh).map(|bubble| (*bubble).clone()).collect(),
            old: shown[..old].iter().map(|bubble| bubble.id.clone()).collect(),
            last,
            missed,
        })
    }

    /// How many of the messages that stood in a chat are old, and how many that were unread are not among them.
    fn old(&self, key: &str, stood: &[&Bubble], book: Option<&Chats>) -> (usize, usize) {
        let was_heard = |bubble: &&Bubble| {
            self.known.contains(&bubble.id) || book.is_some_and(|book| book.is_last(&bubble.id))
        };
        if let Some(last) = stood.iter().rposition(was_heard) {
            return (last + 1, 0);
        }
        // What was heard is no longer shown: it stands above all that is.
        if book.is_some_and(|book| book.knows(key)) {
            return (0, badge(stood).saturating_sub(stood.len()));
        }
        let due = stood.first().and_then(|first| {
            book.and_then(|book| book.due_of(&first.chat, stood.iter().find_map(|one| one.phone.as_deref())))
        });
        let unread = unread(stood, due);
        (stood.len().saturating_sub(unread), badge(stood).saturating_sub(stood.len()))
    }

    /// News were kept.
    pub(super) fn kept(&mut self, news: &News) {
        for id in news.old.iter().chain(news.told.iter().map(|bubble| &bubble.id)) {
            self.remember(id);
        }
    }
}

/// What the list of chats said to be unread when the chat was opened.
fn badge(stood: &[&Bubble]) -> usize {
    stood.iter().map(|bubble| bubble.unread as usize).max().unwrap_or(0)
}

/// How many were unread. Of a chat that was open when a page ended nobody knows: all behind our last message may be.
fn unread(stood: &[&Bubble], due: Option<&Due>) -> usize {
    let noted = due.map_or(0, |due| due.unread as usize);
    let behind = stood.iter().rev().take_while(|bubble| bubble.behind).count();
    let behind = due.filter(|due| due.again).map_or(0, |_| behind);
    badge(stood).max(noted).max(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chats::Place;

    fn bubble(id: &str, stood: bool, unread: u32, behind: bool) -> Bubble {
        let (chat, text, kind) = ("A".to_owned(), id.to_owned(), "text".to_owned());
        let id = id.to_owned();
        Bubble { id, chat, jid: None, phone: None, direct: None, text, kind, stood, unread, behind }
    }

    fn seen(received: Vec<Bubble>) -> Seen {
        Seen { chat: Some("A".to_owned()), received, ..Seen::default() }
    }

    fn stood(ids: &[&str], unread: u32) -> Seen {
        seen(ids.iter().map(|id| bubble(id, true, unread, false)).collect())
    }

    /// Hears, and keeps what is told.
    fn hear(hearing: &mut Hearing, seen: &Seen, book: Option<&mut Chats>) -> Vec<String> {
        let mut told = Vec::new();
        let news = hearing.news(seen, book.as_deref());
        let mut book = book;
        for news in &news {
            told.extend(news.told.iter().map(|bubble| bubble.id.clone()));
            hearing.kept(news);
            if let Some(book) = book.as_deref_mut() {
                book.heard(&news.key, &news.last).expect("written");
            }
        }
        told
    }

    fn book() -> (tempfile::TempDir, std::path::PathBuf, Chats) {
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chats.log");
        let book = Chats::open(&path).expect("opened");
        (dir, path, book)
    }

    #[test]
    fn history_is_no_news_and_unread_messages_are() {
        let mut hearing = Hearing::default();
        assert_eq!(hear(&mut hearing, &stood(&["1", "2", "3"], 2), None), ["2", "3"]);
        // Behind what was heard all is new, whatever the badge says.
        assert_eq!(hear(&mut hearing, &stood(&["2", "3", "4"], 0), None), ["4"]);
        assert_eq!(hear(&mut hearing, &stood(&["3", "4", "5", "6"], 1), None), ["5", "6"]);
        assert!(hear(&mut hearing, &stood(&["3", "4", "5", "6"], 0), None).is_empty());
    }

    #[test]
    fn what_comes_into_an_open_chat_is_new() {
        let mut hearing = Hearing::default();
        let live = bubble("2", false, 0, true);
        let first = seen(vec![bubble("1", true, 0, true), live]);
        assert_eq!(hear(&mut hearing, &first, None), ["2"]);
    }

    #[test]
    fn a_chat_that_showed_nothing_at_first_was_not_heard_by_that() {
        let (_dir, _, mut book) = book();
        let mut hearing = Hearing::default();
        assert!(hear(&mut hearing, &seen(Vec::new()), Some(&mut book)).is_empty());
        assert!(hear(&mut hearing, &stood(&["1", "2"], 0), Some(&mut book)).is_empty());
        // One that is known to have had nothing is another thing: whatever stands in it is new.
        book.heard("titled A", "").expect("written");
        assert_eq!(hear(&mut Hearing::default(), &stood(&["9"], 0), Some(&mut book)), ["9"]);
    }

    #[test]
    fn chats_of_one_title_are_two() {
        let (_dir, _, mut book) = book();
        let of = |id: &str, jid: &str, unread| Bubble {
            jid: Some(jid.to_owned()),
            ..bubble(id, true, unread, false)
        };
        let mut hearing = Hearing::default();
        let first = seen(vec![of("1", "a@c.us", 1)]);
        assert_eq!(hear(&mut hearing, &first, Some(&mut book)), ["1"]);
        let second = seen(vec![of("7", "b@c.us", 1), of("8", "b@c.us", 1)]);
        assert_eq!(hear(&mut hearing, &second, Some(&mut book)), ["8"]);
    }

    #[test]
    fn more_unread_than_is_shown_is_counted() {
        assert_eq!(Hearing::default().news(&stood(&["4", "5"], 5), None)[0].missed, 3);
        assert_eq!(Hearing::default().news(&stood(&["4", "5"], 2), None)[0].missed, 0);
    }

    #[test]
    fn what_was_not_kept_is_told_again() {
        let hearing = Hearing::default();
        let unread = stood(&["1", "2"], 1);
        // Stopped in between: nothing was kept.
        for _ in 0..2 {
            let news = hearing.news(&unread, None);
            assert_eq!(news[0].told.iter().map(|bubble| bubble.id.as_str()).collect::<Vec<_>>(), ["2"]);
        }
    }

    #[test]
    fn the_next_run_goes_on_behind_what_is_kept() {
        let (_dir, path, mut book) = book();
        assert!(hear(&mut Hearing::default(), &stood(&["1", "2"], 0), Some(&mut book)).is_empty());
        drop(book);
        let mut book = Chats::open(&path).expect("opened");
        // Somebody read it on the phone: no badge says so.
        let later = stood(&["1", "2", "3"], 0);
        assert_eq!(hear(&mut Hearing::default(), &later, Some(&mut book)), ["3"]);
        assert_eq!(hear(&mut Hearing::default(), &stood(&["7", "8"], 0), Some(&mut book)), ["7", "8"]);
    }

    #[test]
    fn of_a_chat_that_a_crash_left_open_too_much_is_told_rather_than_too_little() {
        let (_dir, path, mut book) = book();
        book.opening(&Place::Title("A".to_owned()), 1).expect("written");
        drop(book);
        let book = Chats::open(&path).expect("opened");
        // The badge is gone with the opening; our own message stands between "1" and "2".
        let shown =
            seen(vec![bubble("1", true, 0, false), bubble("2", true, 0, true), bubble("3", true, 0, true)]);
        let news = Hearing::default().news(&shown, Some(&book));
        assert_eq!(news[0].told.len(), 2, "{news:?}");
    }
}
