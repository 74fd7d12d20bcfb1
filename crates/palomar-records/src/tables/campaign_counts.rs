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
    /// Messages with this status, of all steps and variants.
    #[must_use]
    pub fn with(&self, status: &str) -> u64 {
        self.messages.iter().filter(|((_, _, kind), _)| kind == status).map(|(_, count)| count).sum()
    }

    /// All messages.
    #[must_use]
    pub fn all_messages(&self) -> u64 {
        self.messages.values().sum()
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

/// Forgets a campaign's.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_counts WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
