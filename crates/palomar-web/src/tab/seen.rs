//! What the page tells: values, as far as a stranger's word is believed. No I/O.
//!
//! What always holds: a chat is somebody's by the page's own ids; a title says nothing of who it is with.

use palomar_model::Phone;
use serde::Deserialize;

/// What is seen of the page.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
pub(crate) struct Seen {
    /// Which screen: see [`crate::state::Screen`].
    pub(crate) screen: String,
    /// Its words: the code, or why it refuses.
    #[serde(default)]
    pub(crate) words: String,
    /// Which loading of the page it is.
    #[serde(default)]
    pub(crate) life: String,
    /// Which opening of a chat it was, in this loading.
    #[serde(default)]
    pub(crate) opening: u64,
    /// The title of the open chat.
    #[serde(default)]
    pub(crate) chat: Option<String>,
    /// What the page itself calls the open chat, where it says so.
    #[serde(default)]
    pub(crate) jid: Option<String>,
    /// Nothing was ever written in the open chat, as far as is to be seen.
    #[serde(default)]
    pub(crate) blank: bool,
    /// The list of chats.
    #[serde(default)]
    pub(crate) rows: Vec<Row>,
    /// Our messages in the open chat, with their ticks.
    #[serde(default)]
    pub(crate) ticks: Vec<(String, Option<String>)>,
    /// Their messages, in whichever chats were open, that the page was not told to be kept.
    #[serde(default)]
    pub(crate) received: Vec<Bubble>,
    /// There are more of them.
    #[serde(default)]
    pub(crate) more: bool,
}

/// A chat in the list.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub(crate) struct Row {
    pub(crate) title: String,
    pub(crate) unread: u32,
    pub(crate) tick: Option<String>,
}

/// A message that somebody wrote.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Bubble {
    pub(crate) id: String,
    /// The title of its chat.
    pub(crate) chat: String,
    /// What the page itself calls its chat, where it says so.
    #[serde(default)]
    pub(crate) jid: Option<String>,
    /// The digits of who wrote it, where the page shows them beyond doubt.
    pub(crate) phone: Option<String>,
    /// Whether it is from the one other person of its chat; nothing where that is not to be seen.
    #[serde(default)]
    pub(crate) direct: Option<bool>,
    pub(crate) text: String,
    pub(crate) kind: String,
    /// It stood there when the chat was opened.
    pub(crate) stood: bool,
    /// Messages of the chat that were unread then.
    pub(crate) unread: u32,
    /// No message of ours stood behind it then.
    pub(crate) behind: bool,
}

impl Bubble {
    /// What tells its chat from others.
    pub(crate) fn key(&self) -> String {
        chat_key(self.jid.as_deref(), &self.chat)
    }
}

/// What tells a chat from others: the page's own name for it, else its title, which several may have.
pub(crate) fn chat_key(jid: Option<&str>, title: &str) -> String {
    jid.map_or_else(|| format!("titled {title}"), str::to_owned)
}

/// One of our messages as the page shows it.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct OwnBubble {
    pub(crate) id: String,
    pub(crate) tick: Option<String>,
}

/// How a chat is gone to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Visit {
    /// It was open already.
    There,
    /// The page was told to open it.
    Gone,
}

/// The open chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Standing {
    pub(crate) title: String,
    /// What the page itself calls it: nothing where it does not say, empty where it says several things.
    #[serde(default)]
    pub(crate) jid: Option<String>,
    /// Which opening of the page it is.
    pub(crate) opening: u64,
}

impl Standing {
    /// Whether nothing of the page says that it is anybody else's than `phone`'s chat.
    pub(crate) fn may_be(&self, phone: &str) -> bool {
        let Some(jid) = &self.jid else { return true };
        match jid.split_once('@') {
            // Such ids hide the number.
            Some((_, "lid")) => true,
            Some((digits, "c.us")) => is_same(digits, phone),
            _ => false,
        }
    }
}

/// Whether two spellings are one number: those of some countries have an old one.
fn is_same(one: &str, other: &str) -> bool {
    let key = |digits: &str| Phone::from_wa_id(digits).ok().map(|phone| phone.match_key());
    one == other || key(one).is_some_and(|one| Some(one) == key(other))
}

/// What came of pressing the button.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) enum Pressed {
    /// It was pressed.
    Done,
    /// Another chat is open than the one that was written into: nothing was pressed.
    Elsewhere,
    /// There is none: nothing was pressed.
    NoButton,
}

/// What came of going to a chat.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub(crate) struct Opened {
    pub(crate) what: String,
    #[serde(default)]
    pub(crate) words: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whose_chat_it_is() {
        for (jid, phone, may_be) in [
            (None, "34600111222", true),
            (Some("34600111222@c.us"), "34600111222", true),
            (Some("34600111223@c.us"), "34600111222", false),
            (Some("5215512345678@c.us"), "525512345678", true),
            (Some("120363000000000001@g.us"), "34600111222", false),
            (Some("99887766554433@lid"), "34600111222", true),
            (Some(""), "34600111222", false),
        ] {
            let standing = Standing { title: String::new(), jid: jid.map(str::to_owned), opening: 1 };
            assert_eq!(standing.may_be(phone), may_be, "{jid:?} {phone}");
        }
    }
}
