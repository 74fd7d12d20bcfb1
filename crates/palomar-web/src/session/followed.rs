//! How far messages of ours are: in the open chat for each, in the list of chats for the last one.
//!
//! What always holds: a tick is told when it rises, and never falls; it counts as told when it is kept; a title that two
//! chats have says nothing, from then on; what is remembered is bounded.

use std::collections::{HashMap, HashSet, VecDeque};

use crate::notes::Became;
use crate::sink::Tick;
use crate::tab::Seen;

/// Messages of ours that are followed, and titles.
const FOLLOWED: usize = 5_000;

/// Messages of ours whose ticks are followed.
#[derive(Default)]
pub(crate) struct Followed {
    ticks: HashMap<String, Tick>,
    order: VecDeque<String>,
    chats: HashMap<String, Chat>,
    titles: VecDeque<String>,
    /// Titles of several chats.
    shared: HashSet<String>,
}

/// A chat of ours, by its title.
struct Chat {
    /// The last message of ours in it.
    last: String,
    /// The digits of who it is with.
    phone: Option<String>,
}

impl Followed {
    /// Follows what an earlier run sent.
    pub(crate) fn recall<'a>(&mut self, sent: impl Iterator<Item = Became<'a>>) {
        for Became { id, title, to } in sent {
            self.follow(id, title, to);
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
        let known = self.chats.get(title);
        let another = known.is_some_and(|chat| chat.phone.as_deref() != phone);
        if another {
            self.share(title);
        }
        if self.says_nothing(title) {
            return;
        }
        let chat = Chat { last: id.to_owned(), phone: phone.map(str::to_owned) };
        if self.chats.insert(title.to_owned(), chat).is_none() {
            self.titles.push_back(title.to_owned());
        }
        while self.titles.len() > FOLLOWED
            && let Some(oldest) = self.titles.pop_front()
        {
            self.chats.remove(&oldest);
        }
    }

    /// Several chats have this title.
    fn share(&mut self, title: &str) {
        self.chats.remove(title);
        // Beyond that, no title is believed: nobody knows thousands of people of one name.
        if self.shared.len() < FOLLOWED {
            self.shared.insert(title.to_owned());
        }
    }

    fn says_nothing(&self, title: &str) -> bool {
        self.shared.len() >= FOLLOWED || self.shared.contains(title)
    }

    /// The digits of whoever a chat of ours is with, where its title is one chat's alone.
    pub(super) fn phone(&self, title: &str) -> Option<String> {
        if self.says_nothing(title) { None } else { self.chats.get(title)?.phone.clone() }
    }

    /// How far a message is, where that is news.
    fn came(&self, id: &str, tick: Option<&str>) -> Option<Tick> {
        let tick = Tick::read(tick?)?;
        self.ticks.get(id).filter(|known| tick > **known).map(|_| tick)
    }

    /// All news of ticks that is to be seen.
    pub(super) fn news(&mut self, seen: &Seen) -> Vec<(String, Tick)> {
        let mut titles = HashSet::new();
        for row in &seen.rows {
            if !titles.insert(row.title.as_str()) {
                self.share(&row.title);
            }
        }
        let in_chat = seen.ticks.iter().filter_map(|(id, tick)| {
            let tick = self.came(id, tick.as_deref())?;
            Some((id.clone(), tick))
        });
        let mut news: Vec<(String, Tick)> = in_chat.collect();
        for row in seen.rows.iter().filter(|row| !self.says_nothing(&row.title)) {
            if let Some(Chat { last, .. }) = self.chats.get(&row.title)
                && let Some(tick) = self.came(last, row.tick.as_deref())
                && !news.iter().any(|(id, known)| id == last && *known >= tick)
            {
                news.push((last.clone(), tick));
            }
        }
        news
    }

    /// A tick is kept.
    pub(super) fn kept(&mut self, id: &str, tick: Tick) {
        if let Some(known) = self.ticks.get_mut(id) {
            *known = tick.max(*known);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tab::Row;

    fn row(tick: &str) -> Row {
        Row { title: "A".to_owned(), unread: 0, tick: Some(tick.to_owned()) }
    }

    fn rows(rows: Vec<Row>) -> Seen {
        Seen { rows, ..Seen::default() }
    }

    /// The news, kept.
    fn kept(followed: &mut Followed, seen: &Seen) -> Vec<(String, Tick)> {
        let news = followed.news(seen);
        for (id, tick) in &news {
            followed.kept(id, *tick);
        }
        news
    }

    #[test]
    fn ticks_only_rise_and_an_ambiguous_title_says_nothing() {
        let mut followed = Followed::default();
        followed.follow("X", "A", Some("34600111222"));
        let delivered = rows(vec![row("delivered")]);
        // What is not kept is told again.
        for _ in 0..2 {
            assert_eq!(followed.news(&delivered), [("X".to_owned(), Tick::Delivered)]);
        }
        assert_eq!(kept(&mut followed, &delivered).len(), 1);
        assert!(followed.news(&delivered).is_empty() && followed.news(&rows(vec![row("sent")])).is_empty());
        assert_eq!(followed.phone("A").as_deref(), Some("34600111222"));
        followed.follow("Y", "A", Some("34600333444"));
        // For good.
        followed.follow("Z", "A", Some("34600333444"));
        assert_eq!((followed.news(&rows(vec![row("read")])), followed.phone("A")), (Vec::new(), None));
        let in_chat = Seen { ticks: vec![("Y".to_owned(), Some("read".to_owned()))], ..Seen::default() };
        assert_eq!(kept(&mut followed, &in_chat), [("Y".to_owned(), Tick::Read)]);
    }

    #[test]
    fn two_rows_of_one_title_say_nothing() {
        let mut followed = Followed::default();
        followed.follow("X", "A", Some("34600111222"));
        assert!(followed.news(&rows(vec![row("sent"), row("read")])).is_empty());
        assert!(followed.news(&rows(vec![row("read")])).is_empty());
        assert_eq!(followed.phone("A"), None);
    }

    #[test]
    fn memory_is_bounded() {
        let mut followed = Followed::default();
        for number in 0..FOLLOWED + 10 {
            followed.follow(&number.to_string(), &format!("chat {number}"), None);
        }
        assert_eq!([followed.ticks.len(), followed.chats.len()], [FOLLOWED; 2]);
    }
}
