//! `conversations`: the messages with one person on one channel.

use std::time::Duration;

use palomar_model::{ChannelName, MessageId, Timestamp};

use super::analytics::talks;
use super::parsed;
use crate::error::Result;
use crate::message::Direction;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, key, values};

pub(crate) const CONVERSATIONS: Table = Table {
    name: "conversations",
    columns: &[
        text("channel"),
        text("contact_id"),
        int("created_at"),
        int("last_inbound_at"),
        int("window_until"),
        text("last_message_id"),
        int("last_message_at"),
        text("last_direction"),
        int("unread"),
        text("assignee"),
        text("labels"),
        int("waiting_since"),
        int("answers"),
    ],
    key: 2,
};

/// Those that the projection writes; people write the others.
const OF_PROJECTION: &[crate::store::table::Column] = &[
    text("channel"),
    text("contact_id"),
    int("created_at"),
    int("last_inbound_at"),
    int("window_until"),
    text("last_message_id"),
    int("last_message_at"),
    text("last_direction"),
    int("unread"),
    int("waiting_since"),
    int("answers"),
];

/// Free text may be sent for so long after a person wrote.
const WINDOW: Duration = Duration::from_secs(24 * 3600);

/// With whom, where.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Pair {
    pub(crate) channel: ChannelName,
    pub(crate) contact: String,
}

/// A message that a conversation gets.
#[derive(Clone, Debug)]
pub(crate) struct Turn {
    pub(crate) pair: Pair,
    /// The contact as it was known then, where it has turned out to be another since.
    pub(crate) contact_then: String,
    pub(crate) message: MessageId,
    pub(crate) direction: Direction,
    pub(crate) at: Timestamp,
    pub(crate) effect: Effect,
    /// When we knew of it.
    pub(crate) noted: Timestamp,
}

/// What a message does to a conversation beside being its newest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// A person wrote: it is to be read, and free text may be sent back.
    Written,
    /// News of the person's account: to be read, and no more.
    Told,
    /// A message of ours was accepted.
    Accepted,
    /// A message of ours left, for the first time: it answers a person who waits, and no more. What a campaign sends never
    /// does.
    Left,
    /// Somebody of the business answered elsewhere: what came before was read.
    Answered,
    /// It is from somebody who is blocked: nobody need read it.
    Ignored {
        /// Whether free text may be sent back by the provider's rules: they may be unblocked in time.
        opens: bool,
    },
}

/// A conversation as it stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Conversation {
    created_at: Timestamp,
    last_inbound_at: Option<Timestamp>,
    window_until: Option<Timestamp>,
    last_message: MessageId,
    last_message_at: Timestamp,
    last_direction: Direction,
    unread: u64,
    pub(crate) standing: Standing,
}

/// How people are answered in a conversation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Standing {
    /// Since when a person waits for an answer.
    waiting_since: Option<Timestamp>,
    /// How often they got one.
    answers: u64,
}

/// What a message means for how people are answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exchange {
    /// A person wrote, and waits from now on.
    Asked,
    /// Somebody who waited is answered.
    Answered {
        /// After how long.
        after: Duration,
        /// Whether they never were before.
        first: bool,
    },
}

impl Conversation {
    /// One that begins with a message.
    pub(crate) fn begun(turn: &Turn) -> Conversation {
        let opens = matches!(turn.effect, Effect::Written | Effect::Ignored { opens: true });
        let inbound = opens.then_some(turn.at);
        Conversation {
            created_at: turn.at,
            last_inbound_at: inbound,
            window_until: inbound.map(|at| at.after(WINDOW)),
            last_message: turn.message,
            last_message_at: turn.at,
            last_direction: turn.direction,
            unread: u64::from(matches!(turn.effect, Effect::Written | Effect::Told)),
            standing: Standing::default(),
        }
    }

    /// The conversation that two with one person are.
    fn joined(&self, other: &Conversation) -> Conversation {
        let newer = if self.newest() <= other.newest() { other } else { self };
        Conversation {
            created_at: self.created_at.min(other.created_at),
            last_inbound_at: self.last_inbound_at.max(other.last_inbound_at),
            window_until: self.window_until.max(other.window_until),
            last_message: newer.last_message,
            last_message_at: newer.last_message_at,
            last_direction: newer.last_direction,
            unread: self.unread + other.unread,
            standing: self.standing.joined(&other.standing),
        }
    }

    /// Of two messages of one moment the same is the newest, in whatever order they come.
    const fn newest(&self) -> (Timestamp, MessageId) {
        (self.last_message_at, self.last_message)
    }

    /// Notes a message.
    pub(crate) fn note(&mut self, turn: &Turn) {
        let answered = turn.effect == Effect::Answered;
        *self = self.joined(&Conversation::begun(turn));
        if answered {
            self.unread = 0;
        }
    }
}

impl Standing {
    /// How it stands where two conversations turn out to be one.
    pub(crate) fn joined(&self, other: &Standing) -> Standing {
        let waiting_since = match (self.waiting_since, other.waiting_since) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        Standing { waiting_since, answers: self.answers + other.answers }
    }

    /// Notes whether somebody waits for an answer, or got it.
    pub(crate) fn note(&mut self, turn: &Turn) -> Option<Exchange> {
        match turn.effect {
            Effect::Written if self.waiting_since.is_none() => {
                self.waiting_since = Some(turn.noted);
                Some(Exchange::Asked)
            }
            Effect::Left | Effect::Answered => {
                let after = turn.noted.since(self.waiting_since.take()?);
                self.answers += 1;
                Some(Exchange::Answered { after, first: self.answers == 1 })
            }
            _ => None,
        }
    }
}

/// Those of these conversations that have begun.
pub(crate) fn find<'a>(
    db: Db<'_>,
    pairs: impl Iterator<Item = &'a Pair>,
) -> Result<Vec<(Pair, Conversation)>> {
    let mut wanted = Rows::of(&CONVERSATIONS.columns[..2]);
    pairs.for_each(|pair| wanted.push(values![&pair.channel, pair.contact.as_str()]));
    let text = "SELECT channel, contact_id, created_at, last_inbound_at, window_until, last_message_id,
             last_message_at, last_direction, unread, waiting_since, answers
         FROM {wanted} JOIN conversations USING (channel, contact_id)";
    db.find(text, &wanted, |row| {
        let table = CONVERSATIONS.name;
        let pair = Pair { channel: parsed(row, table, "channel")?, contact: row.get("contact_id")? };
        let conversation = Conversation {
            created_at: row.time("created_at")?,
            last_inbound_at: row.optional_time("last_inbound_at")?,
            window_until: row.optional_time("window_until")?,
            last_message: parsed(row, table, "last_message_id")?,
            last_message_at: row.time("last_message_at")?,
            last_direction: parsed(row, table, "last_direction")?,
            unread: row.count("unread")?,
            standing: Standing {
                waiting_since: row.optional_time("waiting_since")?,
                answers: row.count("answers")?,
            },
        };
        Ok((pair, conversation))
    })
}

/// Gives the conversations of one contact to another, who is the same person.
pub(crate) fn merge(db: Db<'_>, loser: &str, winner: &str, at: Timestamp) -> Result<()> {
    let text = "SELECT channel, labels FROM conversations WHERE contact_id = $1";
    let lost = db.rows(text, &values![loser], |row| {
        let channel: ChannelName = parsed(row, CONVERSATIONS.name, "channel")?;
        Ok((channel, row.get::<String>("labels")?))
    })?;
    for (channel, labels) in lost {
        let pair = |contact: &str| Pair { channel: channel.clone(), contact: contact.to_owned() };
        let both = [pair(loser), pair(winner)];
        let found = find(db, both.iter())?;
        let joined = found.into_iter().map(|(_, one)| one).reduce(|one, other| one.joined(&other));
        let winner = &both[1];
        if let Some(joined) = &joined {
            let span = (joined.created_at.min(at), at);
            talks::merge(db, channel.as_str(), (loser, &winner.contact), span)?;
        }
        if let Some(joined) = joined {
            db.write(vec![put(std::iter::once((winner, &joined)))])?;
        }
        // What people said of the one stands where they said nothing of the other.
        let text =
            "UPDATE conversations SET assignee = COALESCE(assignee, (SELECT lost.assignee FROM conversations
                 AS lost WHERE lost.channel = $1 AND lost.contact_id = $3)),
                 labels = CASE WHEN labels = '[]' THEN $4 ELSE labels END
             WHERE channel = $1 AND contact_id = $2";
        db.execute(text, &values![&channel, winner.contact.as_str(), loser, labels])?;
        let text = "DELETE FROM conversations WHERE channel = $1 AND contact_id = $2";
        db.execute(text, &values![&channel, loser])?;
    }
    Ok(())
}

/// Writes conversations as they stand.
pub(crate) fn put<'a>(conversations: impl Iterator<Item = (&'a Pair, &'a Conversation)>) -> Write {
    let mut rows = Rows::of(OF_PROJECTION);
    conversations.for_each(|(pair, conversation)| {
        rows.push(values![
            &pair.channel,
            pair.contact.as_str(),
            conversation.created_at,
            conversation.last_inbound_at,
            conversation.window_until,
            conversation.last_message,
            conversation.last_message_at,
            conversation.last_direction.as_str(),
            conversation.unread,
            conversation.standing.waiting_since,
            conversation.standing.answers,
        ]);
    });
    let newer = "ON CONFLICT (channel, contact_id) DO UPDATE SET created_at = excluded.created_at,
             last_inbound_at = excluded.last_inbound_at,
             window_until = excluded.window_until, last_message_id = excluded.last_message_id,
             last_message_at = excluded.last_message_at, last_direction = excluded.last_direction,
             unread = excluded.unread, waiting_since = excluded.waiting_since, answers = excluded.answers";
    Write::insert(&CONVERSATIONS, newer, rows)
}

/// Until when free text may be sent to whoever has these match keys, on these channels; in the order of the question.
pub(crate) fn windows_until(db: Db<'_>, whom: &[(ChannelName, String)]) -> Result<Vec<Option<Timestamp>>> {
    newest(db, "window_until", whom)
}

/// When each of these wrote last on a channel.
pub(crate) fn last_wrote(db: Db<'_>, whom: &[(ChannelName, String)]) -> Result<Vec<Option<Timestamp>>> {
    newest(db, "last_inbound_at", whom)
}

/// The newest of a time of the conversations of each of these.
fn newest(
    db: Db<'_>,
    column: &'static str,
    whom: &[(ChannelName, String)],
) -> Result<Vec<Option<Timestamp>>> {
    let asked: Vec<(&str, String)> =
        whom.iter().map(|(channel, match_key)| (channel.as_str(), key(match_key))).collect();
    let mut wanted = Rows::of(const { &[text("channel"), text("match_key")] });
    let different: std::collections::BTreeSet<_> = asked.iter().collect();
    different.into_iter().for_each(|(channel, match_key)| wanted.push(values![*channel, match_key.as_str()]));
    let text = format!(
        "SELECT wanted.channel AS channel, wanted.match_key AS match_key, MAX({column}) AS newest
         FROM {{wanted}}
         JOIN contact_identities AS identities
             ON identities.type IN ('phone', 'bsuid', 'wa_id') AND identities.match_key = wanted.match_key
         JOIN conversations
             ON conversations.channel = wanted.channel AND conversations.contact_id = identities.contact_id
         GROUP BY wanted.channel, wanted.match_key"
    );
    let found = db.find(&text, &wanted, |row| {
        let of: (String, String) = (row.get("channel")?, row.get("match_key")?);
        Ok((of, row.optional_time("newest")?))
    })?;
    let found: std::collections::HashMap<_, _> = found.into_iter().collect();
    let until =
        |(channel, match_key): (&str, String)| found.get(&(channel.to_owned(), match_key)).copied().flatten();
    Ok(asked.into_iter().map(until).collect())
}
