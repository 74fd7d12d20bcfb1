//! `send_jobs` and `send_job_messages`: what they send, and how far they are. How their messages stand is those' own rows.

use palomar_model::{ChannelName, SendJobState, Timestamp};
use serde_json::Value as Json;

use super::page::{Page, Place, page};
use super::{json, parsed, to_json};
use crate::error::Result;
use crate::list::Conditions;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const JOBS: Table = Table {
    name: "send_jobs",
    columns: &[
        text("id"),
        text("channel"),
        text("kind"),
        text("state"),
        int("live"),
        int("delay_ms"),
        int("total"),
        int("fed"),
        int("refused"),
        int("version"),
        int("created_at"),
        int("updated_at"),
        int("started_at"),
        int("ended_at"),
    ],
    key: 1,
};

pub(crate) const MESSAGES: Table = Table {
    name: "send_job_messages",
    columns: &[text("job"), int("position"), text("body"), text("refused")],
    key: 2,
};

/// A send job as it is kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SendJobRecord {
    /// Its id, which its messages name as their campaign.
    pub id: String,
    /// The channel that sends it, or the pool of channels.
    pub channel: ChannelName,
    /// `single` or `bulk`.
    pub kind: String,
    /// Where it stands.
    pub state: SendJobState,
    /// Whether something of it may still move by itself.
    pub live: bool,
    /// Between the end of one message and the next.
    pub delay_ms: u64,
    /// How many messages it has.
    pub total: u64,
    /// Those before this position are queued, or refused.
    pub fed: u64,
    /// Of these, those that were refused.
    pub refused: u64,
    /// How often it was changed.
    pub version: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed.
    pub updated_at: Timestamp,
    /// When it began.
    pub started_at: Option<Timestamp>,
    /// When it ended.
    pub ended_at: Option<Timestamp>,
}

/// A message of a send job.
#[derive(Clone, Debug, PartialEq)]
pub struct SendJobMessage {
    /// Its place, from 0.
    pub position: u64,
    /// The request for it.
    pub body: Json,
    /// Why it is not sent.
    pub refused: Option<String>,
}

/// Which send jobs are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SendJobFilter {
    /// In one of these states; all where empty.
    pub states: Vec<SendJobState>,
    /// Of one of these channels; all where empty.
    pub channels: Vec<ChannelName>,
}

fn row_of(job: &SendJobRecord) -> [Value; 14] {
    values![
        job.id.as_str(),
        &job.channel,
        job.kind.as_str(),
        job.state.as_str(),
        i64::from(job.live),
        job.delay_ms,
        job.total,
        job.fed,
        job.refused,
        job.version,
        job.created_at,
        job.updated_at,
        job.started_at,
        job.ended_at,
    ]
}

/// Adds a send job with all that it sends.
pub(crate) fn insert(db: Db<'_>, job: &SendJobRecord, bodies: &[Json]) -> Result<()> {
    let mut rows = Rows::of(JOBS.columns);
    rows.push(row_of(job));
    let mut messages = Rows::of(MESSAGES.columns);
    for (position, body) in (0_u64..).zip(bodies) {
        let body = to_json(body, MESSAGES.name)?;
        messages.push(values![job.id.as_str(), position, body, None::<&str>]);
    }
    db.write(vec![Write::insert(&JOBS, "", rows), Write::insert(&MESSAGES, "", messages)])
}

/// Changes a send job that is as `job.version` says, and raises that; whether it was.
pub(crate) fn update(db: Db<'_>, job: &mut SendJobRecord) -> Result<bool> {
    let text = "UPDATE send_jobs SET version = version + 1 WHERE id = $1 AND version = $2";
    if db.execute(text, &values![job.id.as_str(), job.version])? != 1 {
        return Ok(false);
    }
    job.version += 1;
    let mut rows = Rows::of(JOBS.columns);
    rows.push(row_of(job));
    db.write(vec![Write::update(&JOBS, rows)])?;
    Ok(true)
}

/// Notes why messages are not sent.
pub(crate) fn refuse(db: Db<'_>, job: &str, refused: &[(u64, String)]) -> Result<()> {
    let text = "UPDATE send_job_messages SET refused = $3 WHERE job = $1 AND position = $2";
    for (position, why) in refused {
        db.execute(text, &values![job, *position, why.as_str()])?;
    }
    Ok(())
}

/// One, by its id.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<SendJobRecord>> {
    db.row("SELECT * FROM send_jobs WHERE id = $1", &values![id], job)
}

/// Those of which something may still move, in the order in which they were made.
pub(crate) fn live(db: Db<'_>) -> Result<Vec<SendJobRecord>> {
    db.rows("SELECT * FROM send_jobs WHERE live = 1 ORDER BY created_at, id", &[], job)
}

/// Some messages of one, in order.
pub(crate) fn messages(db: Db<'_>, id: &str, from: u64, limit: usize) -> Result<Vec<SendJobMessage>> {
    let text = "SELECT position, body, refused FROM send_job_messages
         WHERE job = $1 AND position >= $2 ORDER BY position LIMIT $3";
    db.rows(text, &values![id, from, limit as u64], |row| {
        Ok(SendJobMessage {
            position: row.count("position")?,
            body: json(row, MESSAGES.name, "body")?,
            refused: row.get("refused")?,
        })
    })
}

/// How many messages that name it stand where.
pub(crate) fn counts(db: Db<'_>, id: &str) -> Result<Vec<(String, u64)>> {
    let text = "SELECT status, COUNT(*) AS count FROM messages WHERE campaign = $1 GROUP BY status";
    db.rows(text, &values![id], |row| Ok((row.get("status")?, row.count("count")?)))
}

/// A page, the newest first.
pub(crate) fn list(
    db: Db<'_>,
    filter: &SendJobFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<SendJobRecord>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("created_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted.sql.push_str(&format!(" AND (created_at < {at} OR id < {id})"));
    wanted.and_one_of("state", filter.states.iter().map(|state| state.as_str().to_owned()).collect());
    wanted.and_one_of("channel", filter.channels.iter().map(|name| name.as_str().to_owned()).collect());
    let most = wanted.bind(limit as u64 + 1);
    let text =
        format!("SELECT * FROM send_jobs{} ORDER BY created_at DESC, id DESC LIMIT {most}", wanted.sql);
    let found = db.rows(&text, &wanted.values, job)?;
    Ok(page(found, limit, |job| Place { at: job.created_at, id: job.id.clone() }))
}

/// How many of each kind stand where.
pub(crate) fn by_state(db: Db<'_>) -> Result<Vec<(String, SendJobState, u64)>> {
    let text = "SELECT kind, state, COUNT(*) AS count FROM send_jobs GROUP BY kind, state";
    db.rows(text, &[], |row| Ok((row.get("kind")?, parsed(row, JOBS.name, "state")?, row.count("count")?)))
}

/// Forgets those that ended before; how many.
pub(crate) fn clean(db: Db<'_>, before: Timestamp) -> Result<u64> {
    let ended = "SELECT id FROM send_jobs WHERE live = 0 AND ended_at < $1";
    db.execute(&format!("DELETE FROM send_job_messages WHERE job IN ({ended})"), &values![before])?;
    let forgotten = db.execute("DELETE FROM send_jobs WHERE live = 0 AND ended_at < $1", &values![before])?;
    Ok(forgotten)
}

fn job(row: &Row<'_>) -> Result<SendJobRecord> {
    Ok(SendJobRecord {
        id: row.get("id")?,
        channel: parsed(row, JOBS.name, "channel")?,
        kind: row.get("kind")?,
        state: parsed(row, JOBS.name, "state")?,
        live: row.get::<i64>("live")? != 0,
        delay_ms: row.count("delay_ms")?,
        total: row.count("total")?,
        fed: row.count("fed")?,
        refused: row.count("refused")?,
        version: row.count("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        started_at: row.optional_time("started_at")?,
        ended_at: row.optional_time("ended_at")?,
    })
}
