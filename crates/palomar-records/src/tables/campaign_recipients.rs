//! `campaign_recipients` and `campaign_lanes`: to whom a campaign goes. Recipients who are in the same time zones stand in
//! one lane, so that a stretch of a lane is asleep or awake as a whole.
//!
//! Always: the places of a lane are numbered from 0 without gaps, and nobody stands in a campaign twice.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value as Json};

use super::{json, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Table, Write, key, values};

pub(crate) const LANES: Table = Table {
    name: "campaign_lanes",
    columns: &[int("campaign"), int("lane"), text("zones"), int("recipients")],
    key: 2,
};

pub(crate) const RECIPIENTS: Table = Table {
    name: "campaign_recipients",
    columns: &[
        int("campaign"),
        int("lane"),
        int("place"),
        text("recipient"),
        text("match_key"),
        text("fields"),
        text("left_out"),
    ],
    key: 3,
};

const TABLE: &str = RECIPIENTS.name;

/// Somebody whom a campaign is to reach.
#[derive(Clone, Debug, PartialEq)]
pub struct NewRecipient {
    /// A number or an id, as it is addressed; as it came, where it is neither.
    pub recipient: String,
    /// The same for all spellings.
    pub match_key: String,
    /// What the text may say of them.
    pub fields: Map<String, Json>,
    /// The time zones that they may be in, a space between two.
    pub zones: String,
    /// Why they get nothing, where that is certain.
    pub left_out: Option<&'static str>,
}

/// Somebody in a campaign.
#[derive(Clone, Debug, PartialEq)]
pub struct CampaignRecipient {
    /// The lane.
    pub lane: u32,
    /// The place in it.
    pub place: u64,
    /// A number or an id.
    pub recipient: String,
    /// What the text may say of them.
    pub fields: Map<String, Json>,
    /// Why they get nothing.
    pub left_out: Option<String>,
}

/// What became of recipients that were to be added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AddedRecipients {
    /// New ones.
    pub added: u64,
    /// Of these, how many get nothing.
    pub left_out: u64,
    /// Those that the campaign had.
    pub duplicates: u64,
}

/// A lane of a campaign.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignLane {
    /// Its number.
    pub lane: u32,
    /// The time zones that its recipients may be in, a space between two.
    pub zones: String,
    /// How many they are.
    pub recipients: u64,
}

/// The lanes of a campaign.
pub(crate) fn lanes(db: Db<'_>, campaign: u64) -> Result<Vec<CampaignLane>> {
    let text = "SELECT lane, zones, recipients FROM campaign_lanes WHERE campaign = $1 ORDER BY lane";
    db.rows(text, &values![campaign], |row| {
        Ok(CampaignLane {
            lane: row.small("lane")?,
            zones: row.get("zones")?,
            recipients: row.count("recipients")?,
        })
    })
}

/// Adds recipients to a campaign, those it has not yet, at the ends of their lanes; and who is left out, by reason.
pub(crate) fn add(
    db: Db<'_>,
    campaign: u64,
    recipients: &[NewRecipient],
) -> Result<(AddedRecipients, BTreeMap<&'static str, u64>)> {
    let mut known = known(db, campaign, recipients)?;
    let mut lanes: BTreeMap<String, (u32, u64)> =
        lanes(db, campaign)?.into_iter().map(|lane| (lane.zones, (lane.lane, lane.recipients))).collect();
    let (mut added, mut reasons) = (AddedRecipients::default(), BTreeMap::new());
    let mut rows = Rows::of(RECIPIENTS.columns);
    for recipient in recipients {
        let match_key = key(&recipient.match_key);
        if !known.insert(match_key.clone()) {
            added.duplicates += 1;
            continue;
        }
        let next = u32::try_from(lanes.len()).unwrap_or(u32::MAX);
        let (lane, end) = lanes.entry(recipient.zones.clone()).or_insert((next, 0));
        rows.push(values![
            campaign,
            *lane,
            *end,
            recipient.recipient.as_str(),
            match_key,
            to_json(&recipient.fields, TABLE)?,
            recipient.left_out,
        ]);
        *end += 1;
        added.added += 1;
        if let Some(reason) = recipient.left_out {
            added.left_out += 1;
            *reasons.entry(reason).or_default() += 1;
        }
    }
    let mut ends = Rows::of(LANES.columns);
    for (zones, (lane, end)) in lanes {
        ends.push(values![campaign, lane, zones, end]);
    }
    let grown = "ON CONFLICT (campaign, lane) DO UPDATE SET recipients = excluded.recipients";
    db.write(vec![Write::insert(&RECIPIENTS, "", rows), Write::insert(&LANES, grown, ends)])?;
    Ok((added, reasons))
}

/// Those whom a campaign does not have, each once.
pub(crate) fn strangers(
    db: Db<'_>,
    campaign: u64,
    mut recipients: Vec<NewRecipient>,
) -> Result<Vec<NewRecipient>> {
    let mut known = known(db, campaign, &recipients)?;
    recipients.retain(|one| known.insert(key(&one.match_key)));
    Ok(recipients)
}

fn known(db: Db<'_>, campaign: u64, recipients: &[NewRecipient]) -> Result<BTreeSet<String>> {
    let mut wanted = Rows::of(const { &[int("of_campaign"), text("asked_key")] });
    let different: BTreeSet<String> = recipients.iter().map(|one| key(&one.match_key)).collect();
    different.into_iter().for_each(|match_key| wanted.push(values![campaign, match_key]));
    let text = "SELECT r.match_key AS match_key FROM {wanted} JOIN campaign_recipients AS r
         ON r.campaign = wanted.of_campaign AND r.match_key = wanted.asked_key";
    Ok(db.find(text, &wanted, |row| row.get("match_key"))?.into_iter().collect())
}

/// Up to so many recipients of a lane, from a place on.
pub(crate) fn stretch(
    db: Db<'_>,
    campaign: u64,
    lane: u32,
    first: u64,
    size: u64,
) -> Result<Vec<CampaignRecipient>> {
    let text = "SELECT lane, place, recipient, fields, left_out FROM campaign_recipients
         WHERE campaign = $1 AND lane = $2 AND place >= $3 AND place < $4 ORDER BY place";
    db.rows(text, &values![campaign, lane, first, first.saturating_add(size)], recipient)
}

/// Up to so many recipients after a place, over all lanes.
pub(crate) fn after(
    db: Db<'_>,
    campaign: u64,
    after: Option<(u32, u64)>,
    limit: usize,
) -> Result<Vec<CampaignRecipient>> {
    let (lane, place) =
        after.map_or((0, -1), |(lane, place)| (lane, i64::try_from(place).unwrap_or(i64::MAX)));
    let text = "SELECT lane, place, recipient, fields, left_out FROM campaign_recipients
         WHERE campaign = $1 AND (lane > $2 OR (lane = $2 AND place > $3)) ORDER BY lane, place LIMIT $4";
    db.rows(text, &values![campaign, lane, place, limit as u64], recipient)
}

fn recipient(row: &Row<'_>) -> Result<CampaignRecipient> {
    Ok(CampaignRecipient {
        lane: row.small("lane")?,
        place: row.count("place")?,
        recipient: row.get("recipient")?,
        fields: json(row, TABLE, "fields")?,
        left_out: row.get("left_out")?,
    })
}

/// Notes why recipients of a lane get nothing.
pub(crate) fn leave_out(
    db: Db<'_>,
    campaign: u64,
    lane: u32,
    left_out: &[(u64, &'static str)],
) -> Result<()> {
    const COLUMNS: &[crate::store::table::Column] =
        &[int("campaign"), int("lane"), int("place"), text("left_out")];
    let mut rows = Rows::of(COLUMNS);
    for (place, reason) in left_out {
        rows.push(values![campaign, lane, *place, *reason]);
    }
    db.write(vec![Write::update(&RECIPIENTS, rows)])
}

/// Gives a campaign that has none the recipients of another.
pub(crate) fn copy(db: Db<'_>, from: u64, to: u64) -> Result<()> {
    let lanes = "INSERT INTO campaign_lanes (campaign, lane, zones, recipients)
         SELECT CAST($2 AS BIGINT), lane, zones, recipients FROM campaign_lanes WHERE campaign = $1";
    let recipients =
        "INSERT INTO campaign_recipients (campaign, lane, place, recipient, match_key, fields, left_out)
         SELECT CAST($2 AS BIGINT), lane, place, recipient, match_key, fields, left_out
         FROM campaign_recipients WHERE campaign = $1";
    db.execute(lanes, &values![from, to])?;
    db.execute(recipients, &values![from, to])?;
    Ok(())
}

/// A campaign that is no more and still has recipients.
pub(crate) fn of_none(db: Db<'_>) -> Result<Option<u64>> {
    let text = "SELECT campaign FROM campaign_lanes
         WHERE NOT EXISTS (SELECT 1 FROM campaigns WHERE campaigns.number = campaign_lanes.campaign) LIMIT 1";
    db.row(text, &[], |row| row.count("campaign"))
}

/// Forgets up to so many recipients of a campaign; how many.
pub(crate) fn forget_some(db: Db<'_>, campaign: u64, most: u64) -> Result<u64> {
    let text = "DELETE FROM campaign_recipients WHERE campaign = $1 AND (lane, place) IN
             (SELECT lane, place FROM campaign_recipients WHERE campaign = $1 ORDER BY lane, place LIMIT $2)";
    db.execute(text, &values![campaign, most])
}

/// Forgets the recipients of a campaign.
pub(crate) fn forget(db: Db<'_>, campaign: u64) -> Result<()> {
    db.execute("DELETE FROM campaign_recipients WHERE campaign = $1", &values![campaign])?;
    db.execute("DELETE FROM campaign_lanes WHERE campaign = $1", &values![campaign])?;
    Ok(())
}
