//! `journal`: every fact, for its retention.

use palomar_model::{ChannelName, MessageId, Timestamp};
use serde::Serialize;
use serde_json::Value as Json;

use super::counters::{Counter, MICROS_PER_DAY, day_start};
use super::{json, optional, to_json};
use crate::Partition;
use crate::error::Result;
use crate::feed::FeedEntry;
use crate::kept::KeptEvent;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const JOURNAL: Table = Table {
    name: "journal",
    columns: &[
        int("seq"),
        int("partition"),
        int("cursor"),
        int("at"),
        text("kind"),
        text("channel"),
        text("message_id"),
        text("detail"),
        text("counted"),
        int("measured"),
    ],
    key: 1,
};

/// One fact of a message, as its timeline shows it.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct TimelineEntry {
    /// Its number in the journal.
    pub cursor: u64,
    /// When.
    pub at: Timestamp,
    /// What: the word of [`crate::What::kind`].
    pub kind: String,
    /// More about it.
    pub detail: Json,
}

/// A row to be written.
#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) seq: u64,
    pub(crate) cursor: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: String,
    pub(crate) channel: Option<ChannelName>,
    pub(crate) message: Option<MessageId>,
    pub(crate) detail: Json,
    pub(crate) counted: Vec<&'static str>,
    /// Whether it was counted by analytics: 1, or the code of the reason that its message failed for.
    pub(crate) measured: u64,
}

/// Writes entries of a partition.
pub(crate) fn add(partition: Partition, entries: &[Entry]) -> Result<Write> {
    let mut rows = Rows::of(JOURNAL.columns);
    for entry in entries {
        rows.push(values![
            entry.seq,
            partition.0,
            entry.cursor,
            entry.at,
            entry.kind.as_str(),
            entry.channel.as_ref(),
            entry.message,
            to_json(&entry.detail, JOURNAL.name)?,
            entry.counted.join(" "),
            entry.measured,
        ]);
    }
    Ok(Write::insert(&JOURNAL, "", rows))
}

/// Says which messages entries are about, now that they are known.
pub(crate) fn name_messages<'a>(named: impl Iterator<Item = (&'a u64, &'a MessageId)>) -> Write {
    let mut rows = Rows::of(const { &[int("seq"), text("message_id")] });
    named.for_each(|(seq, message)| rows.push(values![*seq, *message]));
    Write::update(&JOURNAL, rows)
}

/// A message's facts, in order. That the queue is done with it says nothing that `sent` does not.
pub(crate) fn timeline(db: Db<'_>, message: MessageId) -> Result<Vec<TimelineEntry>> {
    let text = "SELECT seq, at, kind, detail FROM journal WHERE message_id = $1 AND kind <> 'done'
         ORDER BY at, seq";
    db.rows(text, &[Value::from(message)], entry)
}

/// All facts after a number of the journal, in the order in which they were written.
pub(crate) fn after(db: Db<'_>, seq: u64, limit: usize) -> Result<Vec<TimelineEntry>> {
    let text = "SELECT seq, at, kind, detail FROM journal WHERE seq > $1 ORDER BY seq LIMIT $2";
    db.rows(text, &values![seq, limit as u64], entry)
}

fn entry(row: &Row<'_>) -> Result<TimelineEntry> {
    Ok(TimelineEntry {
        cursor: row.count("seq")?,
        at: row.time("at")?,
        kind: row.get("kind")?,
        detail: json(row, JOURNAL.name, "detail")?,
    })
}

/// Entries after a number, as they are followed: without what is in other tables.
pub(crate) fn feed(db: Db<'_>, seq: u64, limit: usize) -> Result<Vec<FeedEntry>> {
    let text = "SELECT seq, at, kind, channel, message_id, detail, counted FROM journal
         WHERE seq > $1 ORDER BY seq LIMIT $2";
    db.rows(text, &values![seq, limit as u64], |row| {
        let counted: String = row.get("counted")?;
        Ok(FeedEntry {
            seq: row.count("seq")?,
            at: row.time("at")?,
            kind: row.get("kind")?,
            channel: optional(row, JOURNAL.name, "channel")?,
            message_id: optional(row, JOURNAL.name, "message_id")?,
            detail: json(row, JOURNAL.name, "detail")?,
            counted: counted.split(' ').filter(|kind| !kind.is_empty()).map(str::to_owned).collect(),
            message: None,
            conversation: None,
        })
    })
}

/// What was kept of webhooks after a number.
pub(crate) fn kept(db: Db<'_>, seq: u64, limit: usize) -> Result<Vec<KeptEvent>> {
    let text = "SELECT seq, at, channel, detail FROM journal
         WHERE seq > $1 AND kind = 'channel_event' AND channel IS NOT NULL ORDER BY seq LIMIT $2";
    db.rows(text, &values![seq, limit as u64], |row| {
        let mut detail: Json = json(row, JOURNAL.name, "detail")?;
        Ok(KeptEvent {
            place: row.count("seq")?,
            channel: super::parsed(row, JOURNAL.name, "channel")?,
            at: row.time("at")?,
            field: detail["field"].as_str().unwrap_or_default().to_owned(),
            raw: detail["raw"].take(),
        })
    })
}

/// How many there are of those.
pub(crate) fn kept_count(db: Db<'_>, seq: u64) -> Result<u64> {
    let text = "SELECT COUNT(*) AS kept FROM journal
         WHERE seq > $1 AND kind = 'channel_event' AND channel IS NOT NULL";
    Ok(db.row(text, &values![seq], |row| row.count("kept"))?.unwrap_or(0))
}

/// What entries raised counters, from a day on: each kind of theirs, which may come several times.
pub(crate) fn counted(db: Db<'_>, from_day: i64) -> Result<Vec<Counter>> {
    let text = "SELECT channel, at / $2 AS day, counted, COUNT(*) AS count FROM journal
         WHERE at >= $1 AND counted <> '' AND channel IS NOT NULL
         GROUP BY channel, at / $2, counted";
    let found = db.rows(text, &values![day_start(from_day), MICROS_PER_DAY], |row| {
        let (kinds, channel): (String, String) = (row.get("counted")?, row.get("channel")?);
        let (day, count) = (row.get("day")?, row.count("count")?);
        let each = kinds.split(' ').map(|kind| Counter {
            channel: channel.clone(),
            day,
            kind: kind.to_owned(),
            count,
        });
        Ok(each.collect::<Vec<_>>())
    })?;
    Ok(found.into_iter().flatten().collect())
}

/// What an entry says of its message, for whoever counts again.
#[derive(Debug)]
pub(crate) struct Told {
    pub(crate) message: String,
    pub(crate) seq: u64,
    pub(crate) at: Timestamp,
    pub(crate) kind: String,
    pub(crate) detail: Json,
    pub(crate) counted: String,
    pub(crate) channel: String,
    pub(crate) campaign: Option<String>,
    pub(crate) series: Option<i64>,
    pub(crate) due: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
    /// As in [`Entry::measured`].
    pub(crate) measured: u64,
}

/// Entries that were measured, with their messages: message by message, after one of them.
pub(crate) fn told(db: Db<'_>, after: (&str, Timestamp, u64), limit: usize) -> Result<Vec<Told>> {
    let text =
        "SELECT j.message_id AS message_id, j.seq AS seq, j.at AS at, j.kind AS kind, j.detail AS detail,
             j.counted AS counted, m.channel AS channel, m.campaign AS campaign, m.series AS series,
             m.created_at AS created_at, m.scheduled_at AS scheduled_at, m.sent_at AS sent_at,
             m.delivered_at AS delivered_at, j.measured AS measured
         FROM journal AS j JOIN messages AS m ON m.id = j.message_id
         WHERE j.message_id IS NOT NULL AND j.measured > 0 AND (j.message_id, j.at, j.seq) > ($1, $2, $3)
         ORDER BY j.message_id, j.at, j.seq LIMIT $4";
    db.rows(text, &values![after.0, after.1, after.2, limit as u64], |row| {
        Ok(Told {
            message: row.get("message_id")?,
            seq: row.count("seq")?,
            at: row.time("at")?,
            kind: row.get("kind")?,
            detail: json(row, JOURNAL.name, "detail")?,
            counted: row.get("counted")?,
            channel: row.get("channel")?,
            campaign: row.get("campaign")?,
            series: row.get("series")?,
            due: super::messages::due(row.time("created_at")?, row.optional_time("scheduled_at")?),
            sent_at: row.optional_time("sent_at")?,
            delivered_at: row.optional_time("delivered_at")?,
            measured: row.count("measured")?,
        })
    })
}

/// The oldest entry: its number and its time.
pub(crate) fn oldest(db: Db<'_>) -> Result<Option<(u64, Timestamp)>> {
    let text = "SELECT seq, at FROM journal ORDER BY seq LIMIT 1";
    db.row(text, &[], |row| Ok((row.count("seq")?, row.time("at")?)))
}

/// Forgets up to `limit` of the oldest entries, as far as they are older; how many it were.
///
/// Numbers follow time, so the oldest are at the beginning and no index on the time is needed.
pub(crate) fn forget_before(db: Db<'_>, before: Timestamp, limit: usize) -> Result<u64> {
    let text = "DELETE FROM journal WHERE seq IN (
             SELECT seq FROM (SELECT seq, at FROM journal ORDER BY seq LIMIT $2) AS oldest WHERE at < $1)";
    db.execute(text, &values![before, limit as u64])
}
