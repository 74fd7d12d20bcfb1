//! What a session hears: messages that people write, and how far ours are.
//!
//! The open chat shows its messages; the list shows which chats have unread ones, and how far the last message of each
//! is. What always holds: a chat is opened to be read only by whoever has the turn; an id is told once while the program
//! runs, and whoever takes it knows ids of earlier runs; what stood in a chat before is no news, its unread ones are.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{PoisonError, Weak};
use std::time::Duration;

use super::Shared;
use crate::sink::{Heard, Message, Tick};
use crate::tab::{Bubble, Key, Row, Seen, Tab};

/// Ids that are remembered.
const REMEMBERED: usize = 20_000;
/// Messages of ours that are followed.
const FOLLOWED: usize = 5_000;
/// A chat that was clicked shows within so long.
const SHOWS: Duration = Duration::from_secs(10);
/// A chat stays open for so long after the last work: what comes later is unread then, until it is read.
const STAYS_OPEN: Duration = Duration::from_secs(2);

/// Messages of ours whose ticks are followed.
#[derive(Default)]
pub(crate) struct Followed {
    ticks: HashMap<String, Tick>,
    order: VecDeque<String>,
    /// The last message of ours in each chat, by its title; none where several chats have that title.
    last: HashMap<String, Option<String>>,
    /// Digits by title.
    phones: HashMap<String, String>,
}

impl Followed {
    /// Follows what an earlier run sent.
    pub(super) fn recall<'a>(&mut self, sent: impl Iterator<Item = (&'a str, &'a str)>) {
        for (id, title) in sent {
            self.follow(id, title, None);
        }
    }

    /// Follows a message that reached the server.
    pub(super) fn follow(&mut self, id: &str, title: &str, phone: Option<&str>) {
        if self.ticks.insert(id.to_owned(), Tick::Sent).is_none() {
            self.order.push_back(id.to_owned());
        }
        while self.order.len() > FOLLOWED
            && let Some(oldest) = self.order.pop_front()
        {
            self.ticks.remove(&oldest);
        }
        let another = phone.is_some_and(|phone| self.phones.get(title).is_some_and(|known| known != phone));
        let last = if another { None } else { Some(id.to_owned()) };
        self.last.insert(title.to_owned(), last);
        if let Some(phone) = phone {
            self.phones.insert(title.to_owned(), phone.to_owned());
        }
    }

    /// Notes how far a message is; whether that is news.
    fn came(&mut self, id: &str, tick: Option<&str>) -> Option<Tick> {
        let tick = Tick::read(tick?)?;
        let known = self.ticks.get_mut(id)?;
        if tick <= *known {
            return None;
        }
        *known = tick;
        Some(tick)
    }

    /// All news of ticks that is to be seen.
    fn news(&mut self, seen: &Seen) -> Vec<(String, Tick)> {
        let mut news = Vec::new();
        for (id, tick) in &seen.ticks {
            news.extend(self.came(id, tick.as_deref()).map(|tick| (id.clone(), tick)));
        }
        for row in &seen.rows {
            if let Some(Some(id)) = self.last.get(&row.title).cloned() {
                news.extend(self.came(&id, row.tick.as_deref()).map(|tick| (id, tick)));
            }
        }
        news
    }
}

/// What was heard so far.
#[derive(Default)]
pub(crate) struct Hearing {
    known: HashSet<String>,
    order: VecDeque<String>,
    /// The chat that was open, and the chats that were seen in this run.
    open: Option<String>,
    chats: HashSet<String>,
    unread: HashMap<String, u32>,
}

impl Hearing {
    fn remember(&mut self, id: &str) -> bool {
        if !self.known.insert(id.to_owned()) {
            return false;
        }
        self.order.push_back(id.to_owned());
        while self.order.len() > REMEMBERED
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
        }
        true
    }

    /// The messages of the open chat that are new.
    pub(crate) fn hear(&mut self, seen: &Seen) -> Vec<Bubble> {
        let mut new = Vec::new();
        if let Some(title) = &seen.chat {
            let first = self.open.as_ref() != Some(title) && self.chats.insert(title.clone());
            // What stood there before the chat was ever seen is old, but for those that were unread.
            let unread = self.unread.get(title).copied().unwrap_or(0) as usize;
            let old = if first { seen.received.len().saturating_sub(unread) } else { 0 };
            for (at, bubble) in seen.received.iter().enumerate() {
                if self.remember(&bubble.id) && at >= old {
                    new.push(bubble.clone());
                }
            }
        }
        self.open.clone_from(&seen.chat);
        self.unread = seen.rows.iter().map(|row| (row.title.clone(), row.unread)).collect();
        new
    }
}

/// Listens as long as there is a session.
pub(super) async fn run(shared: Weak<Shared>) {
    let Some(session) = shared.upgrade() else { return };
    let mut tabs = session.tab.subscribe();
    drop(session);
    let mut hearing = Hearing::default();
    loop {
        let tab = tabs.borrow_and_update().clone();
        match tab {
            Some(tab) => {
                tokio::select! {
                    () = listen(&shared, &tab, &mut hearing) => {}
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

async fn listen(shared: &Weak<Shared>, tab: &Tab, hearing: &mut Hearing) {
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
                continue;
            }
        }
        let now = seen.borrow_and_update().clone();
        let Some(now) = now else { continue };
        heard(&session, hearing, &now).await;
        // An unread chat is opened when nobody else needs the page.
        if let Some(row) = unread(&now) {
            read_chat(&session, tab, hearing, &row).await;
        }
    }
}

fn unread(seen: &Seen) -> Option<Row> {
    let another = |row: &&Row| row.unread > 0 && seen.chat.as_ref() != Some(&row.title);
    seen.rows.iter().find(another).cloned()
}

/// Tells what is new of what is seen.
async fn heard(session: &Shared, hearing: &mut Hearing, seen: &Seen) {
    let at = session.clock.now();
    let sink = session.sink.lock().unwrap_or_else(PoisonError::into_inner).clone();
    // Nobody listens yet: nothing is counted as told.
    let Some(sink) = sink else { return };
    let ticks = session.followed.lock().unwrap_or_else(PoisonError::into_inner).news(seen);
    for (id, tick) in ticks {
        sink.take(Heard::Tick { id, tick, at }).await;
    }
    let title = seen.chat.clone().unwrap_or_default();
    for bubble in hearing.hear(seen) {
        let known =
            session.followed.lock().unwrap_or_else(PoisonError::into_inner).phones.get(&title).cloned();
        let phone = bubble.phone.or(known).or_else(|| number(&title));
        let Bubble { id, text, kind, .. } = bubble;
        sink.take(Heard::Message(Message { id, phone, title: title.clone(), kind, text, at })).await;
        session.counts(|counts| counts.received += 1);
    }
}

/// The digits of a title that is a number.
fn number(title: &str) -> Option<String> {
    let plain = title.chars().all(|c| c.is_ascii_digit() || " +-()\u{a0}\u{202a}\u{202c}".contains(c));
    let digits: String = title.chars().filter(char::is_ascii_digit).collect();
    (plain && (7..=15).contains(&digits.len())).then_some(digits)
}

/// Opens a chat that has unread messages, and tells them.
async fn read_chat(session: &Shared, tab: &Tab, hearing: &mut Hearing, row: &Row) {
    let _turn = session.turn.lock().await;
    let title = serde_json::json!(row.title);
    let opened = async {
        if !tab.ask::<bool>(&format!("click({title})"), Duration::ZERO).await? {
            return Ok(false);
        }
        let within = SHOWS.as_millis();
        let shown: Option<bool> = tab.ask(&format!("shows({title}, {within})"), SHOWS).await?;
        Ok::<bool, crate::cdp::CallError>(shown.is_some())
    };
    if let Ok(true) = opened.await {
        let told: Result<String, _> = tab.ask("see()", Duration::ZERO).await;
        if let Ok(seen) =
            told.map(|told| serde_json::from_str::<Seen>(&told)).unwrap_or_else(|_| Ok(Seen::default()))
        {
            heard(session, hearing, &seen).await;
        }
    }
}

/// Closes the open chat, so that what comes next is unread until it was told.
async fn close_chat(session: &Shared, tab: &Tab) {
    let Ok(_turn) = session.turn.try_lock() else { return };
    // Where it does not work the chat stays open, which harms nobody.
    let _ = tab.key(Key::Escape).await;
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bubble(id: &str) -> Bubble {
        Bubble { id: id.to_owned(), phone: None, text: id.to_owned(), kind: "text".to_owned() }
    }

    fn seen(chat: Option<&str>, ids: &[&str], unread: u32) -> Seen {
        let row = Row { title: "A".to_owned(), unread, tick: None };
        let received = ids.iter().map(|id| bubble(id)).collect();
        Seen { chat: chat.map(str::to_owned), rows: vec![row], received, ..Seen::default() }
    }

    fn ids(bubbles: &[Bubble]) -> Vec<&str> {
        bubbles.iter().map(|bubble| bubble.id.as_str()).collect()
    }

    #[test]
    fn history_is_no_news_and_unread_messages_are() {
        let mut hearing = Hearing::default();
        assert!(hearing.hear(&seen(None, &[], 2)).is_empty());
        assert_eq!(ids(&hearing.hear(&seen(Some("A"), &["1", "2", "3"], 0))), ["2", "3"]);
        assert_eq!(ids(&hearing.hear(&seen(Some("A"), &["2", "3", "4"], 0))), ["4"]);
        assert!(hearing.hear(&seen(None, &[], 1)).is_empty());
        // A chat that was seen before: what is not known is new, whatever the badge says.
        assert_eq!(ids(&hearing.hear(&seen(Some("A"), &["3", "4", "5", "6"], 0))), ["5", "6"]);
        assert!(hearing.hear(&seen(Some("A"), &["3", "4", "5", "6"], 0)).is_empty());
    }

    #[test]
    fn ticks_only_rise_and_an_ambiguous_title_says_nothing() {
        let mut followed = Followed::default();
        followed.follow("X", "A", Some("34600111222"));
        let row = |tick: &str| Seen {
            rows: vec![Row { title: "A".to_owned(), unread: 0, tick: Some(tick.to_owned()) }],
            ..Seen::default()
        };
        assert_eq!(followed.news(&row("delivered")), [("X".to_owned(), Tick::Delivered)]);
        assert!(followed.news(&row("delivered")).is_empty() && followed.news(&row("sent")).is_empty());
        followed.follow("Y", "A", Some("34600333444"));
        assert!(followed.news(&row("read")).is_empty());
        let in_chat = Seen { ticks: vec![("Y".to_owned(), Some("read".to_owned()))], ..Seen::default() };
        assert_eq!(followed.news(&in_chat), [("Y".to_owned(), Tick::Read)]);
    }

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
