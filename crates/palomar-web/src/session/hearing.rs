//! What of all that a chat shows is news. No I/O.
//!
//! ```text
//! chat was heard before, in this run         all that is not known
//! chat was heard before, by an earlier run   what stands behind the last message that is kept
//! chat was never heard                       as many as were unread; what stood there before is no news
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
    chats: HashSet<String>,
}

/// What a chat shows that was not kept before.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct News {
    pub(super) title: String,
    /// What is to be told, in order.
    pub(super) told: Vec<Bubble>,
    /// What stood there before: it is not told.
    old: Vec<String>,
    /// The last of all; empty where the chat has none.
    last: String,
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
        let mut titles: Vec<&str> = Vec::new();
        let open = seen.chat.as_deref();
        for title in seen.received.iter().map(|bubble| bubble.chat.as_str()).chain(open) {
            if !titles.contains(&title) {
                titles.push(title);
            }
        }
        titles.into_iter().filter_map(|title| self.news_of(title, seen, book)).collect()
    }

    fn news_of(&self, title: &str, seen: &Seen, book: Option<&Chats>) -> Option<News> {
        let shown: Vec<&Bubble> = seen.received.iter().filter(|bubble| bubble.chat == title).collect();
        let is_first = !self.chats.contains(title);
        if shown.is_empty() && !is_first {
            return None;
        }
        let stood = shown.iter().filter(|bubble| bubble.stood).count();
        let old = if is_first { old(title, &shown[..stood], book) } else { 0 };
        let fresh = |bubble: &&&Bubble| !self.known.contains(&bubble.id);
        Some(News {
            title: title.to_owned(),
            told: shown[old..].iter().filter(fresh).map(|bubble| (*bubble).clone()).collect(),
            old: shown[..old].iter().map(|bubble| bubble.id.clone()).collect(),
            last: shown.last().map(|bubble| bubble.id.clone()).unwrap_or_default(),
        })
    }

    /// News were kept; the id of the chat's last message where that is new.
    pub(super) fn kept<'n>(&mut self, news: &'n News) -> Option<&'n str> {
        for id in news.old.iter().chain(news.told.iter().map(|bubble| &bubble.id)) {
            self.remember(id);
        }
        let is_first = self.chats.insert(news.title.clone());
        (is_first || !news.last.is_empty()).then_some(news.last.as_str())
    }
}

/// How many of the messages that stood in a chat are old when it is seen for the first time.
fn old(title: &str, stood: &[&Bubble], book: Option<&Chats>) -> usize {
    match book.and_then(|book| book.last(title)) {
        // One that is no longer shown stands above all that is.
        Some(last) => stood.iter().position(|bubble| bubble.id == last).map_or(0, |at| at + 1),
        None => {
            let phone = stood.iter().find_map(|bubble| bubble.phone.as_deref());
            let due = book.and_then(|book| book.due_of(title, phone));
            stood.len().saturating_sub(unread(stood, due))
        }
    }
}

/// How many were unread. Of a chat that was open when a page ended nobody knows: all behind our last message may be.
fn unread(stood: &[&Bubble], due: Option<&Due>) -> usize {
    let shown = stood.iter().map(|bubble| bubble.unread).max().unwrap_or(0);
    let noted = due.map_or(0, |due| due.unread);
    let behind = stood.iter().rev().take_while(|bubble| bubble.behind).count();
    let behind = due.filter(|due| due.again).map_or(0, |_| behind);
    (shown.max(noted) as usize).max(behind)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::chats::Place;

    fn bubble(id: &str, stood: bool, unread: u32, behind: bool) -> Bubble {
        let (chat, text, kind) = ("A".to_owned(), id.to_owned(), "text".to_owned());
        Bubble { id: id.to_owned(), chat, phone: None, text, kind, stood, unread, behind }
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
            if let (Some(last), Some(book)) = (hearing.kept(news), book.as_deref_mut()) {
                book.heard(&news.title, last).expect("written");
            }
        }
        told
    }

    #[test]
    fn history_is_no_news_and_unread_messages_are() {
        let mut hearing = Hearing::default();
        assert_eq!(hear(&mut hearing, &stood(&["1", "2", "3"], 2), None), ["2", "3"]);
        // In a chat that was heard before, what is not known is new, whatever the badge says.
        assert_eq!(hear(&mut hearing, &stood(&["2", "3", "4"], 0), None), ["4"]);
        assert_eq!(hear(&mut hearing, &stood(&["3", "4", "5", "6"], 1), None), ["5", "6"]);
        assert!(hear(&mut hearing, &stood(&["3", "4", "5", "6"], 0), None).is_empty());
    }

    #[test]
    fn what_comes_into_an_open_chat_is_new() {
        let mut hearing = Hearing::default();
        let live = bubble("2", false, 0, true);
        let first = seen(vec![bubble("1", true, 0, true), live.clone()]);
        assert_eq!(hear(&mut hearing, &first, None), ["2"]);
        // Also into one that had nothing.
        let mut hearing = Hearing::default();
        assert!(hear(&mut hearing, &seen(Vec::new()), None).is_empty());
        assert_eq!(hear(&mut hearing, &seen(vec![bubble("9", true, 0, true)]), None), ["9"]);
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
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chats.log");
        let mut book = Chats::open(&path).expect("opened");
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
        let dir = tempfile::tempdir().expect("a directory");
        let path = dir.path().join("chats.log");
        let mut book = Chats::open(&path).expect("opened");
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
