//! `analytics_talks`: which conversations had messages on a day, and when in it.

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use palomar_model::analytics::Tier;

use crate::error::Result;
use crate::message::Direction;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, values};
use crate::tables::conversations::Pair;
use crate::tables::counters;

pub(crate) const TALKS: Table = Table {
    name: "analytics_talks",
    columns: &[
        int("day"),
        text("channel"),
        text("contact_id"),
        int("received"),
        int("sent"),
        int("early"),
        int("late"),
    ],
    key: 3,
};

/// No longer ago than that is anything kept.
pub(crate) const MOST_DAYS: i64 = 1_100;

/// Quarters of an hour that a half of a day has, each a bit.
const HALF: u16 = 48;

/// What a conversation had on a day.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Talk {
    received: u64,
    sent: u64,
    early: i64,
    late: i64,
}

/// What conversations had, by day.
#[derive(Debug, Default)]
pub(crate) struct Talks(BTreeMap<(i64, String, String), Talk>);

impl Talks {
    /// Notes a message.
    pub(crate) fn note(&mut self, pair: &Pair, direction: Direction, at: Timestamp) {
        let (day, slot) = Tier::Quarter.place(at);
        let key = (day, pair.channel.as_str().to_owned(), pair.contact.clone());
        let talk = self.0.entry(key).or_default();
        match direction {
            Direction::Inbound => talk.received += 1,
            Direction::Outbound => talk.sent += 1,
        }
        if slot < HALF {
            talk.early |= 1 << slot;
        } else {
            talk.late |= 1 << (slot - HALF);
        }
    }

    /// Writes it beside what is there.
    pub(crate) fn write(&self) -> Write {
        let mut rows = Rows::of(TALKS.columns);
        for ((day, channel, contact), talk) in &self.0 {
            let Talk { received, sent, early, late } = *talk;
            rows.push(values![*day, channel.as_str(), contact.as_str(), received, sent, early, late]);
        }
        Write::insert(&TALKS, ADDED, rows)
    }
}

const ADDED: &str = "ON CONFLICT (day, channel, contact_id) DO UPDATE SET
         received = analytics_talks.received + excluded.received, sent = analytics_talks.sent + excluded.sent,
         early = analytics_talks.early | excluded.early, late = analytics_talks.late | excluded.late";

/// Gives what a conversation had since a moment to another contact's.
pub(crate) fn merge(
    db: Db<'_>,
    channel: &str,
    (loser, winner): (&str, &str),
    (from, to): (Timestamp, Timestamp),
) -> Result<()> {
    let days = counters::day(from).max(counters::day(to) - MOST_DAYS)..=counters::day(to);
    let mut wanted = Rows::of(const { TALKS.columns.split_at(3).0 });
    days.for_each(|day| wanted.push(values![day, channel, loser]));
    let text = "SELECT day, received, sent, early, late FROM {wanted}
         JOIN analytics_talks USING (day, channel, contact_id)";
    let mut gone = Rows::of(const { TALKS.columns.split_at(3).0 });
    let mut moved = Talks::default();
    for (day, talk) in db.find(text, &wanted, |row| {
        let (early, late) = (row.get("early")?, row.get("late")?);
        let talk = Talk { received: row.count("received")?, sent: row.count("sent")?, early, late };
        Ok((row.get::<i64>("day")?, talk))
    })? {
        gone.push(values![day, channel, loser]);
        moved.0.insert((day, channel.to_owned(), winner.to_owned()), talk);
    }
    db.write(vec![Write::delete(&TALKS, gone), moved.write()])
}

/// A stretch of time in whole days and the bits of the days at its ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stretch {
    first: i64,
    last: i64,
    /// Bits of the first day (early, late), and of the last.
    of_first: (i64, i64),
    of_last: (i64, i64),
}

impl Stretch {
    /// From one quarter of an hour up to another.
    pub(crate) fn new(from: Timestamp, to: Timestamp) -> Stretch {
        let (first, begin) = Tier::Quarter.place(from);
        let (last, end) = Tier::Quarter.place(Timestamp::from_micros(to.micros().saturating_sub(1)));
        let bits = |begin: u16, end: u16| {
            let half = |offset: u16| {
                (0..HALF)
                    .filter(|slot| (begin..=end).contains(&(slot + offset)))
                    .map(|slot| 1_i64 << slot)
                    .sum()
            };
            (half(0), half(HALF))
        };
        if first == last {
            let both = bits(begin, end);
            Stretch { first, last, of_first: both, of_last: both }
        } else {
            Stretch { first, last, of_first: bits(begin, 95), of_last: bits(0, end) }
        }
    }

    /// What rows are in it, in SQL: `$1` to `$6` are [`Stretch::values`].
    const WITHIN: &'static str = "day >= $1 AND day <= $2
             AND (day > $1 OR (early & $3) <> 0 OR (late & $4) <> 0)
             AND (day < $2 OR (early & $5) <> 0 OR (late & $6) <> 0)";

    fn values(&self) -> [crate::store::Value; 6] {
        let Stretch { first, last, of_first, of_last } = *self;
        values![first, last, of_first.0, of_first.1, of_last.0, of_last.1]
    }
}

/// How many conversations had messages in a stretch; on one channel, or on all.
pub(crate) fn active(db: Db<'_>, stretch: &Stretch, channel: Option<&str>) -> Result<u64> {
    let (and, values) = on_channel(stretch, channel);
    let text = format!(
        "SELECT COUNT(*) AS count FROM
             (SELECT DISTINCT channel, contact_id FROM analytics_talks WHERE {} {and}) AS talks",
        Stretch::WITHIN
    );
    Ok(db.row(&text, &values, |row| row.count("count"))?.unwrap_or(0))
}

fn on_channel(stretch: &Stretch, channel: Option<&str>) -> (&'static str, Vec<crate::store::Value>) {
    let mut values = stretch.values().to_vec();
    values.extend(channel.map(crate::store::Value::from));
    (if channel.is_some() { "AND channel = $7" } else { "" }, values)
}

/// A conversation with how many messages it had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TopTalk {
    /// Its channel.
    pub channel: String,
    /// The contact.
    pub contact: String,
    /// Messages of theirs.
    pub received: u64,
    /// Messages to them.
    pub sent: u64,
}

/// The conversations with the most messages on the days that a stretch touches.
pub(crate) fn top(
    db: Db<'_>,
    stretch: &Stretch,
    channel: Option<&str>,
    limit: usize,
) -> Result<Vec<TopTalk>> {
    let (and, mut values) = on_channel(stretch, channel);
    values.push(crate::store::Value::from(limit as u64));
    let text = format!(
        "SELECT channel, contact_id, CAST(SUM(received) AS BIGINT) AS received, CAST(SUM(sent) AS BIGINT) AS sent
         FROM analytics_talks WHERE {} {and} GROUP BY channel, contact_id
         ORDER BY SUM(received) + SUM(sent) DESC, channel, contact_id LIMIT ${}",
        Stretch::WITHIN,
        values.len()
    );
    db.rows(&text, &values, |row| {
        Ok(TopTalk {
            channel: row.get("channel")?,
            contact: row.get("contact_id")?,
            received: row.count("received")?,
            sent: row.count("sent")?,
        })
    })
}

/// Forgets up to `limit` rows of days before one, the oldest first; how many it were.
pub(crate) fn forget_before(db: Db<'_>, day: i64, limit: usize) -> Result<u64> {
    let text = "DELETE FROM analytics_talks WHERE (day, channel, contact_id) IN (
             SELECT day, channel, contact_id FROM analytics_talks WHERE day < $1 ORDER BY day LIMIT $2)";
    db.execute(text, &values![day, limit as u64])
}
