//! `media`: what came with messages, and where its bytes are. What is stored stays so until its retention ends, whatever is
//! told of it later; that a thing is wanted says nothing new where more is known.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use palomar_model::{ChannelName, MediaNews, MediaProgress, MessageId, Timestamp};
use serde::{Deserialize, Serialize};

use super::parsed;
use crate::error::Result;
use crate::message::MessageView;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const MEDIA: Table = Table {
    name: "media",
    columns: &[
        text("id"),
        text("message_id"),
        int("part"),
        text("channel"),
        text("state"),
        text("filename"),
        text("sha256"),
        int("size"),
        text("type"),
        text("place"),
        text("error"),
        int("kept"),
        int("created_at"),
        int("updated_at"),
    ],
    key: 1,
};

/// How far a medium is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MediaState {
    /// It is to be fetched.
    Pending,
    /// It can be had.
    Stored,
    /// It could not be fetched.
    Failed,
    /// Its retention is over.
    Deleted,
}

/// A medium of a message.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct MediaView {
    /// Its id.
    pub id: MessageId,
    /// How far it is.
    pub state: MediaState,
    /// Its type, by its bytes.
    pub r#type: Option<String>,
    /// Its length in bytes.
    pub size: Option<u64>,
    /// The SHA-256 of its bytes, in hexadecimal.
    pub sha256: Option<String>,
    /// The sender's name for it.
    pub filename: Option<String>,
    /// Why it could not be fetched.
    pub error: Option<String>,
}

/// A medium, with what it belongs to and where it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MediaRecord {
    /// The medium.
    pub view: MediaView,
    /// The message that it came with.
    pub message: MessageId,
    /// The channel that it came by.
    pub channel: ChannelName,
    /// The store that has it.
    pub place: Option<String>,
}

impl MediaState {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            MediaState::Pending => "pending",
            MediaState::Stored => "stored",
            MediaState::Failed => "failed",
            MediaState::Deleted => "deleted",
        }
    }
}

impl std::str::FromStr for MediaState {
    type Err = UnknownMediaState;

    fn from_str(text: &str) -> Result<MediaState, UnknownMediaState> {
        [MediaState::Pending, MediaState::Stored, MediaState::Failed, MediaState::Deleted]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(UnknownMediaState)
    }
}

/// A word that is no [`MediaState`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected pending, stored, failed or deleted")]
pub struct UnknownMediaState;

/// News, with the channel and when they came.
pub(crate) type Told<'a> = (&'a MediaNews, &'a ChannelName, Timestamp);

/// Of some news the one of each medium that says most, with when the first came.
pub(crate) fn newest<'a>(told: &[Told<'a>]) -> BTreeMap<MessageId, (Told<'a>, Timestamp)> {
    let mut newest: BTreeMap<MessageId, (Told<'a>, Timestamp)> = BTreeMap::new();
    for news in told {
        newest
            .entry(news.0.id)
            .and_modify(|(known, _)| {
                let open = !matches!(known.0.progress, MediaProgress::Stored { .. });
                if open && news.0.progress != MediaProgress::Pending {
                    *known = *news;
                }
            })
            .or_insert((*news, news.2));
    }
    newest
}

/// Writes news.
pub(crate) fn tell(told: &[Told<'_>]) -> Write {
    let mut rows = Rows::of(MEDIA.columns);
    for ((news, channel, at), since) in newest(told).into_values() {
        let (sha256, size, kind, place, error) = match &news.progress {
            MediaProgress::Pending => (None, None, None, None, None),
            MediaProgress::Stored { sha256, size, r#type, place } => {
                (Some(sha256.as_str()), Some(*size), Some(r#type.as_str()), Some(place.as_str()), None)
            }
            MediaProgress::Failed { error } => (None, None, None, None, Some(error.as_str())),
        };
        rows.push(values![
            news.id,
            news.message,
            news.part,
            channel,
            news.progress.as_str(),
            news.filename.as_deref(),
            sha256,
            Value::Int(size.map(|size| i64::try_from(size).unwrap_or(i64::MAX))),
            kind,
            place,
            error,
            i64::from(sha256.is_some()),
            since,
            at,
        ]);
    }
    let open = "ON CONFLICT (id) DO UPDATE SET state = excluded.state, sha256 = excluded.sha256, size = excluded.size,
             type = excluded.type, place = excluded.place, error = excluded.error, kept = excluded.kept,
             updated_at = excluded.updated_at
         WHERE media.state IN ('pending', 'failed') AND excluded.state <> 'pending'";
    Write::insert(&MEDIA, open, rows)
}

/// One medium.
pub(crate) fn get(db: Db<'_>, id: MessageId) -> Result<Option<MediaRecord>> {
    db.row("SELECT * FROM media WHERE id = $1", &[Value::from(id)], record)
}

/// Adds to messages the media that came with them.
pub(crate) fn add_to(db: Db<'_>, messages: &mut [MessageView]) -> Result<()> {
    let mut wanted = Rows::of(&MEDIA.columns[1..2]);
    let different: BTreeSet<_> = messages.iter().map(|message| message.id).collect();
    different.into_iter().for_each(|id| wanted.push(values![id]));
    let text = "SELECT media.* FROM {wanted} JOIN media USING (message_id) ORDER BY part";
    let mut by_message: HashMap<MessageId, Vec<(u64, MediaView)>> = HashMap::new();
    for (part, found) in db.find(text, &wanted, |row| Ok((row.count("part")?, record(row)?)))? {
        by_message.entry(found.message).or_default().push((part, found.view));
    }
    for message in messages {
        let mut media = by_message.remove(&message.id).unwrap_or_default();
        media.sort_by_key(|(part, _)| *part);
        message.media = media.into_iter().map(|(_, view)| view).collect();
    }
    Ok(())
}

/// Lets go of what was stored before `before`, of `limit` at most; of how many.
pub(crate) fn expire(db: Db<'_>, before: Timestamp, limit: usize, now: Timestamp) -> Result<u64> {
    let text = "UPDATE media SET state = 'deleted', updated_at = $2 WHERE id IN
             (SELECT id FROM media WHERE state = 'stored' AND updated_at < $1 ORDER BY updated_at LIMIT $3)";
    db.execute(text, &values![before, now, limit as u64])
}

/// Contents of a store after `after` that no row needs any more.
pub(crate) fn unneeded(db: Db<'_>, place: &str, after: &str, limit: usize) -> Result<Vec<String>> {
    let text = "SELECT DISTINCT sha256 FROM media WHERE state = 'deleted' AND kept = 1 AND place = $1 AND sha256 > $2
             AND NOT EXISTS (SELECT 1 FROM media AS needed
                 WHERE needed.sha256 = media.sha256 AND needed.place = media.place AND needed.state = 'stored')
         ORDER BY sha256 LIMIT $3";
    db.rows(text, &values![place, after, limit as u64], |row| row.get("sha256"))
}

/// Which of these contents a store has for some row.
pub(crate) fn kept(db: Db<'_>, place: &str, contents: &[String]) -> Result<Vec<String>> {
    let mut wanted = Rows::of(const { &[text("sha256"), text("at_place")] });
    contents.iter().for_each(|content| wanted.push(values![content.as_str(), place]));
    let text = "SELECT DISTINCT media.sha256 AS sha256 FROM {wanted} JOIN media
             ON media.sha256 = wanted.sha256 AND media.place = wanted.at_place AND media.kept = 1";
    db.find(text, &wanted, |row| row.get("sha256"))
}

/// Notes that a content is not in a store any more.
pub(crate) fn removed(db: Db<'_>, place: &str, sha256: &str) -> Result<()> {
    let text = "UPDATE media SET kept = 0 WHERE sha256 = $1 AND place = $2 AND state = 'deleted'";
    db.execute(text, &values![sha256, place])?;
    Ok(())
}

/// How much a store has, each content once.
pub(crate) fn bytes(db: Db<'_>, place: &str) -> Result<u64> {
    let text = "SELECT CAST(COALESCE(SUM(size), 0) AS BIGINT) AS bytes
         FROM (SELECT DISTINCT sha256, size FROM media WHERE kept = 1 AND place = $1) AS contents";
    Ok(db.row(text, &values![place], |row| row.count("bytes"))?.unwrap_or(0))
}

fn record(row: &Row<'_>) -> Result<MediaRecord> {
    let size: Option<i64> = row.get("size")?;
    Ok(MediaRecord {
        view: MediaView {
            id: parsed(row, MEDIA.name, "id")?,
            state: parsed(row, MEDIA.name, "state")?,
            r#type: row.get("type")?,
            size: size.and_then(|size| u64::try_from(size).ok()),
            sha256: row.get("sha256")?,
            filename: row.get("filename")?,
            error: row.get("error")?,
        },
        message: parsed(row, MEDIA.name, "message_id")?,
        channel: parsed(row, MEDIA.name, "channel")?,
        place: row.get("place")?,
    })
}
