//! `campaign_counts`: how many stand where. Messages by their status, written by the projection with the messages
//! themselves; recipients left out by reason, written with the batch that left them out.

use std::collections::BTreeMap;

use palomar_model::CampaignPlace;

use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Rows, Table, Write, values};

pub(crate) const COUNTS: Table = Table {
    name: "campaign_counts",
    columns: &[int("campaign"), int("step"), int("variant"), text("kind"), int("count")],
    key: 4,
};

/// What the kinds of recipients that were left out begin with.
const LEFT_OUT: &str = "left_out.";

/// Where messages stand that wait or are under way.
const MOVING: [&str; 3] = ["scheduled", "queued", "sending"];

/// A count.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Counted {
    campaign: u64,
    step: u32,
    variant: u32,
    kind: String,
}

impl Counted {
    /// Messages of a place in a campaign.
    pub(crate) fn of(place: CampaignPlace, kind: &str) -> Counted {
        let CampaignPlace { campaign, step, variant } = place;
        Counted { campaign, step, variant, kind: kind.to_owned() }
    }

    /// Recipients that get nothing.
    pub(crate) fn left_out(campaign: u64, reason: &str) -> Counted {
        Counted { campaign, step: 0, variant: 0, kind: format!("{LEFT_OUT}{reason}") }
    }
}

/// How many of a campaign stand where.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CampaignCounts {
    /// Messages by step, variant and status.
    pub messages: BTreeMap<(u32, u32, String), u64>,
    /// Recipients that get nothing, by reason.
    pub left_out: BTreeMap<String, u64>,
}

impl CampaignCounts {
    /// First messages with this status, of all variants.
    #[must_use]
    pub fn with(&self, status: &str) -> u64 {
        self.of_step(0).filter(|(kind, _)| *kind == status).map(|(_, count)| count).sum()
    }

    /// Messages with this status, of all steps and variants.
    #[must_use]
    pub fn of_all_steps(&self, status: &str) -> u64 {
        self.messages.iter().filter(|((_, _, kind), _)| kind == status).map(|(_, count)| count).sum()
    }

    /// Messages of a step, by status; a variant after another.
    pub fn of_step(&self, step: u32) -> impl Iterator<Item = (&str, u64)> {
        let own = self.messages.iter().filter(move |((of, _, _), _)| *of == step);
        own.map(|((_, _, kind), count)| (kind.as_str(), *count))
    }

    /// All messages of a step.
    #[must_use]
    pub fn all_of_step(&self, step: u32) -> u64 {
        self.of_step(step).map(|(_, count)| count).sum()
    }

    /// All first messages.
    #[must_use]
    pub fn all_messages(&self) -> u64 {
        self.all_of_step(0)
    }

    /// Messages of all steps that wait or are under way.
    #[must_use]
    pub fn moving(&self) -> u64 {
        MOVING.iter().map(|status| self.of_all_steps(status)).sum()
    }

    /// All who get nothing.
    #[must_use]
    pub fn all_left_out(&self) -> u64 {
        self.left_out.values().sum()
    }
}

/// Changes counts, each once.
pub(crate) fn add(changes: impl Iterator<Item = (Counted, i64)>) -> Write {
    let mut rows = Rows::of(COUNTS.columns);
    for (Counted { campaign, step, variant, kind }, by) in changes {
        rows.push(values![campaign, step, variant, kind, by]);
    }
    let sum = "ON CONFLICT (campaign, step, variant, kind)
             DO UPDATE SET count = campaign_counts.count + excluded.count";
    Write::insert(&COUNTS, sum, rows)
}

/// Counts for a campaign whom another leaves out from the beginning.
pub(crate) fn copy_left_out(db: Db<'_>, from: u64, to: u64) -> Result<()> {
    let text = "INSERT INTO campaign_counts (campaign, step, variant, kind, count)
         SELECT CAST($2 AS BIGINT), step, variant, kind, count FROM campaign_counts
         WHERE campaign = $1 AND kind LIKE 'left_out.%'";
    db.execute(text, &values![from, to])?;
    Ok(())
}

/// How many of a campaign stand where.
pub(crate) fn of(db: Db<'_>, campaign: u64) -> Result<CampaignCounts> {
    let text = "SELECT step, variant, kind, count FROM campaign_counts WHERE campaign = $1 AND count <> 0";
    let mut counts = CampaignCounts::default();
    let rows = db.rows(text, &values![campaign], |row| {
        Ok((row.small("step")?, row.small("variant")?, row.get::<String>("kind")?, row.count("count")?))
    })?;
    for (step, variant, kind, count) in rows {
        match kind.strip_prefix(LEFT_OUT) {
            Some(reason) => *counts.left_out.entry(reason.to_owned()).or_default() += count,
            None => *counts.messages.entry((step, variant, kind)).or_default() += count,
        }
    }
    Ok(counts)
}

/// Forgets what late reports counted for campaigns that are no more; how many counts it were.
pub(crate) fn forget_orphans(db: Db<'_>) -> Result<u64> {
    let text = "DELETE FROM campaign_counts
         WHERE NOT EXISTS (SELECT 1 FROM campaigns WHERE campaigns.number = campaign_counts.campaign)";
    db.execute(text, &[])
}

/// What is wrong with the sums of campaigns (I8), each in a line: counts that are not what the messages are, and campaigns
/// that ended with somebody unaccounted for, or with more messages than contacts.
pub(crate) fn check(db: Db<'_>) -> Result<Vec<String>> {
    let counted = "SELECT campaigns.id AS id, campaigns.state AS state, campaigns.recipients AS recipients,
             CAST(COALESCE(SUM(CASE WHEN c.kind LIKE 'left_out.%' THEN c.count ELSE 0 END), 0) AS BIGINT) AS left_out,
             CAST(COALESCE(SUM(CASE WHEN c.kind LIKE 'left_out.%' THEN 0 ELSE c.count END), 0) AS BIGINT) AS messages
         FROM campaigns LEFT JOIN campaign_counts AS c ON c.campaign = campaigns.number AND c.step = 0
         GROUP BY campaigns.id, campaigns.state, campaigns.recipients";
    let mut problems = db.rows(counted, &[], |row| {
        let (id, state): (String, String) = (row.get("id")?, row.get("state")?);
        let (all, sum) = (row.count("recipients")?, row.count("left_out")? + row.count("messages")?);
        let wrong = sum > all || (state == "finished" && sum != all);
        Ok(wrong.then(|| format!("{id} is {state} with {all} contacts, of whom {sum} are accounted for")))
    })?;
    let drifted =
        "SELECT campaigns.id AS id, m.status AS status, m.found AS found, COALESCE(c.counted, 0) AS counted
         FROM (SELECT campaign_number, status, COUNT(*) AS found FROM messages
               WHERE campaign_number IS NOT NULL GROUP BY campaign_number, status) AS m
         JOIN campaigns ON campaigns.number = m.campaign_number
         LEFT JOIN (SELECT campaign, kind, CAST(SUM(count) AS BIGINT) AS counted FROM campaign_counts
                    GROUP BY campaign, kind) AS c ON c.campaign = m.campaign_number AND c.kind = m.status
         WHERE m.found <> COALESCE(c.counted, 0)";
    problems.extend(db.rows(drifted, &[], |row| {
        let (id, status): (String, String) = (row.get("id")?, row.get("status")?);
        let (found, counted) = (row.count("found")?, row.count("counted")?);
        Ok(Some(format!("{id} counts {counted} messages as {status}, and has {found}")))
    })?);
    Ok(problems.into_iter().flatten().collect())
}

/// Messages of all campaigns that providers took, and that failed.
pub(crate) fn sent_and_failed(db: Db<'_>) -> Result<(u64, u64)> {
    let text =
        "SELECT CAST(COALESCE(SUM(CASE WHEN kind = 'failed' THEN 0 ELSE count END), 0) AS BIGINT) AS sent,
             CAST(COALESCE(SUM(CASE WHEN kind = 'failed' THEN count ELSE 0 END), 0) AS BIGINT) AS failed
         FROM campaign_counts WHERE kind IN ('sent', 'delivered', 'read', 'failed')";
    let found = db.row(text, &[], |row| Ok((row.count("sent")?, row.count("failed")?)))?;
    Ok(found.unwrap_or_default())
}

/// Forgets a campaign's.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_counts WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
