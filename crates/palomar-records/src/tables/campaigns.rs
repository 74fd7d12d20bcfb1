//! `campaigns`: what people wrote, and where it stands.

use std::time::Duration;

use palomar_model::{CampaignState, ChannelName, Pause, PauseCause, Timestamp};
use serde_json::Value as Json;

use super::page::{Page, Place, page};
use super::{json, optional, parsed, to_json, versions};
use crate::error::{RecordsError, Result};
use crate::list::Conditions;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(crate) const CAMPAIGNS: Table = Table {
    name: "campaigns",
    columns: &[
        text("id"),
        int("number"),
        text("name"),
        text("channel"),
        text("definition"),
        text("state"),
        int("state_at"),
        text("cause"),
        text("reason"),
        int("live"),
        int("recipients"),
        int("duplicates"),
        int("judged"),
        int("judged_bad"),
        int("version"),
        int("created_at"),
        int("updated_at"),
        int("started_at"),
        int("ended_at"),
        int("held"),
        int("judged_unwelcome"),
    ],
    key: 1,
};

const TABLE: &str = CAMPAIGNS.name;

/// The messages of a campaign that came to an end, by a look at them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Judged {
    /// All of them.
    pub ended: u64,
    /// Those that failed.
    pub failed: u64,
    /// Those that failed because they were not wanted.
    pub unwelcome: u64,
}

/// A campaign as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignRecord {
    /// Its id.
    pub id: String,
    /// What its recipients, batches and messages name it by.
    pub number: u64,
    /// What people call it.
    pub name: String,
    /// The channel that sends it.
    pub channel: ChannelName,
    /// What it sends, when, how fast: the application's own.
    pub definition: Json,
    /// Where it stands.
    pub state: CampaignState,
    /// Whether something of it may still move by itself.
    pub live: bool,
    /// All in the snapshot.
    pub recipients: u64,
    /// Given a second time, and passed over.
    pub duplicates: u64,
    /// How far failures were looked at.
    pub judged: Judged,
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
    /// For how long it was paused in all, before it went on.
    pub held: Duration,
}

impl CampaignRecord {
    /// A draft without a name, an id or anything to send.
    #[must_use]
    pub const fn draft(channel: ChannelName, now: Timestamp) -> CampaignRecord {
        CampaignRecord {
            id: String::new(),
            number: 0,
            name: String::new(),
            channel,
            definition: Json::Null,
            state: CampaignState::Draft,
            live: false,
            recipients: 0,
            duplicates: 0,
            judged: Judged { ended: 0, failed: 0, unwelcome: 0 },
            version: 0,
            created_at: now,
            updated_at: now,
            started_at: None,
            ended_at: None,
            held: Duration::ZERO,
        }
    }
}

/// Which campaigns are meant. Empty means all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignFilter {
    /// In one of these states, by their words; all where empty.
    pub states: Vec<String>,
    /// Of one of these channels; all where empty.
    pub channels: Vec<ChannelName>,
    /// Called so.
    pub name: Option<String>,
}

fn row_of(campaign: &CampaignRecord) -> Result<[Value; 21]> {
    let (cause, reason) = match &campaign.state {
        CampaignState::Paused { why, .. } => (Some(why.cause.as_str()), Some(why.detail.as_str())),
        _ => (None, None),
    };
    Ok(values![
        campaign.id.as_str(),
        campaign.number,
        campaign.name.as_str(),
        &campaign.channel,
        to_json(&campaign.definition, TABLE)?,
        campaign.state.as_str(),
        state_at(campaign),
        cause,
        reason,
        i64::from(campaign.live),
        campaign.recipients,
        campaign.duplicates,
        campaign.judged.ended,
        campaign.judged.failed,
        campaign.version,
        campaign.created_at,
        campaign.updated_at,
        campaign.started_at,
        campaign.ended_at,
        u64::try_from(campaign.held.as_micros()).unwrap_or(u64::MAX >> 1),
        campaign.judged.unwelcome,
    ])
}

fn state_at(campaign: &CampaignRecord) -> Timestamp {
    match campaign.state {
        CampaignState::Draft => campaign.created_at,
        CampaignState::Scheduled { at } | CampaignState::Finished { at } | CampaignState::Stopped { at } => {
            at
        }
        CampaignState::Sending { since } | CampaignState::Paused { since, .. } => since,
    }
}

/// Adds a campaign. Its number is the time, in microseconds, or the next one that nobody has had: also of those that
/// were deleted.
pub(crate) fn insert(db: Db<'_>, campaign: &mut CampaignRecord) -> Result<()> {
    let at_least = u64::try_from(campaign.created_at.micros()).unwrap_or(0);
    campaign.number = versions::next(db, &CAMPAIGNS, at_least)?;
    let mut rows = Rows::of(CAMPAIGNS.columns);
    rows.push(row_of(campaign)?);
    db.write(vec![Write::insert(&CAMPAIGNS, "", rows)])
}

/// Changes a campaign that is as `campaign.version` says, and raises that; whether it was.
pub(crate) fn update(db: Db<'_>, campaign: &mut CampaignRecord) -> Result<bool> {
    let text = "UPDATE campaigns SET version = version + 1 WHERE id = $1 AND version = $2";
    if db.execute(text, &values![campaign.id.as_str(), campaign.version])? != 1 {
        return Ok(false);
    }
    campaign.version += 1;
    let mut rows = Rows::of(CAMPAIGNS.columns);
    rows.push(row_of(campaign)?);
    db.write(vec![Write::update(&CAMPAIGNS, rows)])?;
    Ok(true)
}

/// Counts recipients that were added to one that has no batches yet; whether there is such a one.
pub(crate) fn grow(db: Db<'_>, number: u64, added: u64, duplicates: u64, now: Timestamp) -> Result<bool> {
    let text =
        "UPDATE campaigns SET recipients = recipients + $2, duplicates = duplicates + $3, updated_at = $4,
             version = version + 1
         WHERE number = $1 AND state IN ('draft', 'scheduled', 'sending', 'paused')
             AND NOT EXISTS (SELECT 1 FROM campaign_batches WHERE campaign = $1)";
    Ok(db.execute(text, &values![number, added, duplicates, now])? == 1)
}

/// Forgets one that is as `version` says; whether it was.
pub(crate) fn delete(db: Db<'_>, number: u64, version: u64) -> Result<bool> {
    let text = "DELETE FROM campaigns WHERE number = $1 AND version = $2";
    Ok(db.execute(text, &values![number, version])? == 1)
}

/// One, by its id.
pub(crate) fn get(db: Db<'_>, id: &str) -> Result<Option<CampaignRecord>> {
    db.row("SELECT * FROM campaigns WHERE id = $1", &values![id], campaign)
}

/// One, by its number.
pub(crate) fn numbered(db: Db<'_>, number: u64) -> Result<Option<CampaignRecord>> {
    db.row("SELECT * FROM campaigns WHERE number = $1", &values![number], campaign)
}

/// Whether one was stopped.
pub(crate) fn was_stopped(db: Db<'_>, number: u64) -> Result<bool> {
    let text = "SELECT number FROM campaigns WHERE number = $1 AND state = 'stopped'";
    Ok(db.row(text, &values![number], |row| row.count("number"))?.is_some())
}

/// Those of which something may still move by itself, in the order in which they were made.
pub(crate) fn live(db: Db<'_>) -> Result<Vec<CampaignRecord>> {
    db.rows("SELECT * FROM campaigns WHERE live = 1 ORDER BY number", &[], campaign)
}

/// A page, the newest first.
pub(crate) fn list(
    db: Db<'_>,
    filter: &CampaignFilter,
    cursor: Option<&str>,
    limit: usize,
) -> Result<Page<CampaignRecord>> {
    let place = Place::decode(cursor)?;
    let mut wanted = Conditions::new();
    wanted.and("created_at <= ?", place.at.micros());
    let (at, id) = (wanted.bind(place.at.micros()), wanted.bind(place.id));
    wanted.sql.push_str(&format!(" AND (created_at < {at} OR id < {id})"));
    wanted.and_one_of("state", filter.states.clone());
    wanted.and_one_of("channel", filter.channels.iter().map(|name| name.as_str().to_owned()).collect());
    wanted.and_one_of("name", filter.name.iter().cloned().collect());
    let limit_number = wanted.bind(limit as u64 + 1);
    let text = format!(
        "SELECT * FROM campaigns{} ORDER BY created_at DESC, id DESC LIMIT {limit_number}",
        wanted.sql
    );
    let found = db.rows(&text, &wanted.values, campaign)?;
    Ok(page(found, limit, |campaign| Place { at: campaign.created_at, id: campaign.id.clone() }))
}

/// Up to so many that have come to this end for good before a time, without the newest ones of that end; the oldest first.
pub(crate) fn old(
    db: Db<'_>,
    state: &str,
    newest: u64,
    before: Timestamp,
    limit: usize,
) -> Result<Vec<CampaignRecord>> {
    let text = "SELECT * FROM campaigns AS old WHERE state = $1 AND live = 0 AND ended_at < $2
             AND (SELECT COUNT(*) FROM campaigns AS newer WHERE newer.state = $1
                 AND (newer.ended_at > old.ended_at OR (newer.ended_at = old.ended_at AND newer.number > old.number))) >= $3
         ORDER BY ended_at, number LIMIT $4";
    db.rows(text, &values![state, before, newest, limit as u64], campaign)
}

/// How many stand where.
pub(crate) fn by_state(db: Db<'_>) -> Result<Vec<(String, u64)>> {
    let text = "SELECT state, COUNT(*) AS count FROM campaigns GROUP BY state";
    db.rows(text, &[], |row| Ok((row.get("state")?, row.count("count")?)))
}

fn campaign(row: &Row<'_>) -> Result<CampaignRecord> {
    let at = row.time("state_at")?;
    let word: String = row.get("state")?;
    let state = match word.as_str() {
        "draft" => CampaignState::Draft,
        "scheduled" => CampaignState::Scheduled { at },
        "sending" => CampaignState::Sending { since: at },
        "paused" => {
            let cause = optional(row, TABLE, "cause")?.unwrap_or(PauseCause::Person);
            let detail = row.get::<Option<String>>("reason")?.unwrap_or_default();
            CampaignState::Paused { since: at, why: Pause { cause, detail } }
        }
        "finished" => CampaignState::Finished { at },
        "stopped" => CampaignState::Stopped { at },
        other => return Err(RecordsError::damaged(TABLE, format!("state: {other:?}"))),
    };
    Ok(CampaignRecord {
        id: row.get("id")?,
        number: row.count("number")?,
        name: row.get("name")?,
        channel: parsed(row, TABLE, "channel")?,
        definition: json(row, TABLE, "definition")?,
        state,
        live: row.get::<i64>("live")? != 0,
        recipients: row.count("recipients")?,
        duplicates: row.count("duplicates")?,
        judged: Judged {
            ended: row.count("judged")?,
            failed: row.count("judged_bad")?,
            unwelcome: row.count("judged_unwelcome")?,
        },
        version: row.count("version")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        started_at: row.optional_time("started_at")?,
        ended_at: row.optional_time("ended_at")?,
        held: Duration::from_micros(row.count("held")?),
    })
}
