//! `sessions`: browser sessions, what is wanted of each and how it stood. One a channel of the provider `web`; its codes
//! and its browser are in memory only.

use palomar_model::{ChannelName, Timestamp};

use super::parsed;
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Table, Value, values};

pub(crate) const SESSIONS: Table = Table {
    name: TABLE,
    columns: &[
        text("channel"),
        text("system_id"),
        text("wanted"),
        text("status"),
        text("reason"),
        text("detail"),
        int("since"),
        int("restarts"),
        int("created_at"),
        int("updated_at"),
    ],
    key: 1,
};
const TABLE: &str = "sessions";

/// The word in the journal for a session that stands another way.
pub const SESSION_UPDATED: &str = "session_updated";

/// What is wanted of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That it runs, whenever the program does.
    Open,
    /// That it does not.
    Closed,
}

impl Wanted {
    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Wanted::Open => "open",
            Wanted::Closed => "closed",
        }
    }
}

impl std::str::FromStr for Wanted {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Wanted, &'static str> {
        match text {
            "open" => Ok(Wanted::Open),
            "closed" => Ok(Wanted::Closed),
            _ => Err("is neither open nor closed"),
        }
    }
}

/// A session as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionRecord {
    /// The channel that it is.
    pub channel: ChannelName,
    /// Its id at its browser's place.
    pub system_id: String,
    /// What is wanted of it.
    pub wanted: Wanted,
    /// Its status when that was last written down.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in more words.
    pub detail: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Starts after a fault.
    pub restarts: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// How a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SessionStanding {
    /// The channel that it is.
    pub channel: ChannelName,
    /// Its status.
    pub status: String,
    /// Why, in a word.
    pub reason: String,
    /// Why, in more words.
    pub detail: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Starts after a fault.
    pub restarts: u64,
    /// When that was seen.
    pub at: Timestamp,
}

/// Notes how a session stands that is kept; what is wanted of it, or nothing where it is not kept.
pub(crate) fn note(db: Db<'_>, standing: &SessionStanding) -> Result<Option<Wanted>> {
    let text = "UPDATE sessions SET status = $2, reason = $3, detail = $4, since = $5, restarts = $6, updated_at = $7
         WHERE channel = $1";
    let changed = db.execute(
        text,
        &values![
            &standing.channel,
            standing.status.as_str(),
            standing.reason.as_str(),
            standing.detail.as_deref(),
            standing.since,
            i64::try_from(standing.restarts).unwrap_or(i64::MAX),
            standing.at,
        ],
    )?;
    if changed == 0 {
        return Ok(None);
    }
    let text = "SELECT wanted FROM sessions WHERE channel = $1";
    db.row(text, &values![&standing.channel], |row| parsed(row, TABLE, "wanted"))
}

/// Keeps a session as it is now; the id and the time of one that is there stay.
pub(crate) fn put(db: Db<'_>, session: &SessionRecord) -> Result<()> {
    let text = "INSERT INTO sessions (channel, system_id, wanted, status, reason, detail, since, restarts, created_at,
             updated_at)
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
         ON CONFLICT (channel) DO UPDATE SET wanted = excluded.wanted, status = excluded.status,
             reason = excluded.reason, detail = excluded.detail, since = excluded.since,
             restarts = excluded.restarts, updated_at = excluded.updated_at";
    db.execute(
        text,
        &values![
            &session.channel,
            session.system_id.as_str(),
            session.wanted.as_str(),
            session.status.as_str(),
            session.reason.as_str(),
            session.detail.as_deref(),
            session.since,
            i64::try_from(session.restarts).unwrap_or(i64::MAX),
            session.created_at,
            session.updated_at,
        ],
    )?;
    Ok(())
}

/// Forgets a session.
pub(crate) fn delete(db: Db<'_>, channel: &ChannelName) -> Result<()> {
    db.execute("DELETE FROM sessions WHERE channel = $1", &[Value::from(channel)])?;
    Ok(())
}

/// All sessions, by their channel's name.
pub(crate) fn list(db: Db<'_>) -> Result<Vec<SessionRecord>> {
    db.rows("SELECT * FROM sessions ORDER BY channel", &[], read)
}

fn read(row: &Row<'_>) -> Result<SessionRecord> {
    let restarts: i64 = row.get("restarts")?;
    Ok(SessionRecord {
        channel: parsed(row, TABLE, "channel")?,
        system_id: row.get("system_id")?,
        wanted: parsed(row, TABLE, "wanted")?,
        status: row.get("status")?,
        reason: row.get("reason")?,
        detail: row.get("detail")?,
        since: row.time("since")?,
        restarts: u64::try_from(restarts).unwrap_or(0),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
