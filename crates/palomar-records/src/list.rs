//! Lists of messages: any filters together, the newest first, paged by place.

use palomar_model::{ChannelName, Recipient, Timestamp};

use crate::error::Result;
use crate::message::{Direction, MessageStatus, MessageView};
use crate::store::{Db, Value, key};
use crate::tables::messages::view;
use crate::tables::page::{Page, Place, page};
use crate::tables::{media, message_changes};

/// Which messages are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MessageFilter {
    /// Of one of these channels; all where empty.
    pub channels: Vec<ChannelName>,
    /// With this person, whichever way.
    pub to: Option<Recipient>,
    /// In one of these; all where empty.
    pub status: Vec<MessageStatus>,
    /// Of this campaign.
    pub campaign: Option<String>,
    /// Which way.
    pub direction: Option<Direction>,
    /// Created then or later.
    pub from: Option<Timestamp>,
    /// Created before.
    pub until: Option<Timestamp>,
    /// With these words in what a person would read first.
    pub text: Option<String>,
    /// With somebody who has one of these match keys, and in no group; all where empty.
    pub keys: Vec<String>,
}

/// A WHERE clause in the making. Values are only ever bound, never written into the text.
pub(crate) struct Conditions {
    pub(crate) sql: String,
    pub(crate) values: Vec<Value>,
}

impl Conditions {
    pub(crate) fn new() -> Conditions {
        Conditions { sql: String::new(), values: Vec::new() }
    }

    /// Adds a condition in which `?` stands for `value`.
    pub(crate) fn and(&mut self, condition: &str, value: impl Into<Value>) {
        let number = self.bind(value);
        let condition = condition.replace('?', &number);
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(&condition);
    }

    /// Adds: the column is one of these, where there are any.
    pub(crate) fn and_one_of(&mut self, column: &str, words: Vec<String>) {
        if words.is_empty() {
            return;
        }
        let numbers: Vec<String> = words.into_iter().map(|word| self.bind(word)).collect();
        self.sql.push_str(if self.sql.is_empty() { " WHERE " } else { " AND " });
        self.sql.push_str(&format!("{column} IN ({})", numbers.join(", ")));
    }

    pub(crate) fn bind(&mut self, value: impl Into<Value>) -> String {
        self.values.push(value.into());
        format!("${}", self.values.len())
    }
}

/// A page of messages, the newest first.
pub(crate) fn messages(
    db: Db<'_>,
    filter: &MessageFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<MessageView>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("created_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted.sql.push_str(&format!(" AND (created_at < {at} OR id < {id})"));
    wanted.and_one_of("channel", filter.channels.iter().map(|name| name.as_str().to_owned()).collect());
    wanted.and_one_of("status", filter.status.iter().map(|status| status.as_str().to_owned()).collect());
    if let Some(to) = &filter.to {
        wanted.and("match_key = ?", key(&to.key()));
    }
    if !filter.keys.is_empty() {
        wanted.and_one_of("match_key", filter.keys.clone());
        wanted.sql.push_str(" AND group_id IS NULL");
    }
    if let Some(campaign) = &filter.campaign {
        wanted.and("campaign = ?", campaign.clone());
    }
    if let Some(direction) = filter.direction {
        wanted.and("direction = ?", direction.as_str());
    }
    if let Some(from) = filter.from {
        wanted.and("created_at >= ?", from.micros());
    }
    if let Some(until) = filter.until {
        wanted.and("created_at < ?", until.micros());
    }
    if let Some(text) = &filter.text {
        wanted.and("LOWER(summary) LIKE ? ESCAPE '!'", containing(text));
    }
    let limit_number = wanted.bind(limit as u64 + 1);
    let text = format!(
        "SELECT * FROM messages{} ORDER BY created_at DESC, id DESC LIMIT {limit_number}",
        wanted.sql
    );
    let found = db.rows(&text, &wanted.values, view)?;
    let mut found =
        page(found, limit, |message| Place { at: message.created_at, id: message.id.to_string() });
    message_changes::add_to(db, &mut found.items)?;
    media::add_to(db, &mut found.items)?;
    Ok(found)
}

/// The pattern of texts that contain `words`, whatever characters are in it.
pub(crate) fn containing(words: &str) -> String {
    let escaped = words.to_lowercase().replace('!', "!!").replace('%', "!%").replace('_', "!_");
    format!("%{escaped}%")
}
