//! How far messages of ours are: in the open chat for each, in the list of chats for the last one.
//!
//! What always holds: a tick is told when it rises, and never falls; a title that two chats have says nothing.

use std::collections::{HashMap, VecDeque};

use crate::sink::Tick;
use crate::tab::Seen;

/// Messages of ours that are followed.
const FOLLOWED: usize = 5_000;

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

    /// The digits of whoever a chat of ours is with, where its title is known.
    pub(super) fn phone(&self, title: &str) -> Option<String> {
        self.phones.get(title).cloned()
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
    pub(super) fn news(&mut self, seen: &Seen) -> Vec<(String, Tick)> {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tab::Row;

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
}
