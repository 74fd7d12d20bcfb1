//! `messages`: outbound and inbound messages as they stand.

use palomar_model::analytics::SeriesId;
use palomar_model::{
    CampaignPlace, ChannelName, InboundMessage, MessageId, MessageState, Priority, Timestamp,
};
use serde_json::Value as Json;

use super::message_changes::ChangesView;
use super::{json, media, message_changes, optional, optional_json, parsed, to_json};
use crate::apply::Doubts;
use crate::error::Result;
use crate::kept::UnknownMessage;
use crate::message::{Direction, MessageView, said};
use crate::store::table::{Column, int, text};
use crate::store::{Db, Row, Rows, Table, Value, Write, values};

pub(super) const TABLE: &str = "messages";

pub(crate) const MESSAGES: Table = Table {
    name: TABLE,
    columns: &[
        text("id"),
        text("direction"),
        text("channel"),
        text("contact"),
        text("match_key"),
        text("type"),
        text("content"),
        text("summary"),
        text("priority"),
        text("campaign"),
        text("metadata"),
        int("possible_duplicate"),
        int("created_at"),
        int("scheduled_at"),
        int("expires_at"),
        text("extras"),
        text("status"),
        text("provider_id"),
        int("attempts"),
        int("earlier_attempts"),
        text("code"),
        text("reason"),
        int("updated_at"),
        int("sent_at"),
        int("delivered_at"),
        int("read_at"),
        int("failed_at"),
        text("group_id"),
        int("campaign_number"),
        int("campaign_step"),
        int("campaign_variant"),
        int("series"),
        int("started_at"),
        int("doubts"),
    ],
    key: 1,
};
/// What facts change of a message, behind its id.
const OF_HEAD: &[Column] = &[
    text("id"),
    text("status"),
    text("provider_id"),
    int("attempts"),
    int("earlier_attempts"),
    text("code"),
    text("reason"),
    int("updated_at"),
    int("sent_at"),
    int("delivered_at"),
    int("read_at"),
    int("failed_at"),
    int("started_at"),
    int("doubts"),
];
/// More of a text is not searched.
const SUMMARY_CHARS: usize = 512;

/// What facts change of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) channel: ChannelName,
    /// What the other side is found by.
    pub(crate) match_key: String,
    pub(crate) state: MessageState,
    /// Its place in a campaign.
    pub(crate) place: Option<CampaignPlace>,
    pub(crate) provider_id: Option<String>,
    pub(crate) attempts: u32,
    /// Attempts of earlier jobs of the message, which are part of `attempts`.
    pub(crate) earlier_attempts: u32,
    pub(crate) code: Option<String>,
    pub(crate) reason: Option<String>,
    pub(crate) updated_at: Timestamp,
    pub(crate) sent_at: Option<Timestamp>,
    pub(crate) delivered_at: Option<Timestamp>,
    pub(crate) read_at: Option<Timestamp>,
    pub(crate) failed_at: Option<Timestamp>,
    /// Since when an attempt is in flight.
    pub(crate) started_at: Option<Timestamp>,
    /// When it was due: what waits is measured from there.
    pub(crate) due: Timestamp,
    pub(crate) campaign: Option<String>,
    /// In which series it is counted; none of one that an earlier version accepted.
    pub(crate) series: Option<SeriesId>,
    /// Its attempts of which nobody knows whether they were taken.
    pub(crate) doubts: Doubts,
}

/// A message that is not in the table yet.
#[derive(Clone, Debug)]
pub(crate) struct NewMessage {
    pub(crate) view: MessageView,
    /// What the other side is found by.
    pub(crate) match_key: String,
    /// What a person would read first.
    pub(crate) summary: Option<String>,
    /// See [`super::stored`].
    pub(crate) extras: Option<String>,
    /// The group it was written in.
    pub(crate) group: Option<String>,
    /// Its place in a campaign.
    pub(crate) place: Option<CampaignPlace>,
    /// In which series it is counted.
    pub(crate) series: SeriesId,
}

/// Writes new messages; an outbound one as far as its head says that it has come.
pub(crate) fn add<'a>(messages: impl Iterator<Item = (&'a NewMessage, Option<&'a Head>)>) -> Result<Write> {
    let mut rows = Rows::of(MESSAGES.columns);
    for (NewMessage { view, match_key, summary, extras, group, place, series }, head) in messages {
        let summary = summary.as_ref().map(|text| text.chars().take(SUMMARY_CHARS).collect::<String>());
        let told = values![
            view.id,
            view.direction.as_str(),
            &view.channel,
            view.contact.as_str(),
            match_key.as_str(),
            view.r#type.as_str(),
            to_json(&view.content, TABLE)?,
            summary,
            view.priority.map(Priority::as_str),
            view.campaign_id.as_deref(),
            view.metadata.as_ref().map(|metadata| to_json(metadata, TABLE)).transpose()?,
            i64::from(view.possible_duplicate),
            view.created_at,
            view.scheduled_at,
            view.expires_at,
            extras.as_deref(),
        ];
        let reached = match head {
            Some(head) => of_head(head),
            None => values![
                view.status.as_str(),
                view.provider_message_id.as_deref(),
                view.attempts,
                0_u32,
                view.code.as_deref(),
                view.reason.as_deref(),
                view.updated_at,
                view.sent_at,
                view.delivered_at,
                view.read_at,
                view.failed_at,
            ],
        };
        let started = head.and_then(|head| head.started_at);
        let doubts = head.map_or(0, |head| head.doubts.bits());
        rows.push(
            told.into_iter()
                .chain(reached)
                .chain(values![group.as_deref()])
                .chain(of_place(place.as_ref()))
                .chain(values![series.0, started, doubts])
                .collect::<Vec<_>>(),
        );
    }
    Ok(Write::insert(&MESSAGES, "ON CONFLICT DO NOTHING", rows))
}

/// Writes what messages are whose type is known now.
pub(crate) fn reread<'a>(
    messages: impl Iterator<Item = (&'a MessageId, &'a &'a InboundMessage)>,
) -> Result<Write> {
    let mut rows = Rows::of(const { &[text("id"), text("type"), text("content"), text("summary")] });
    for (id, message) in messages {
        let summary =
            message.text.as_deref().map(|text| text.chars().take(SUMMARY_CHARS).collect::<String>());
        rows.push(values![*id, message.kind.as_str(), to_json(&said(message), TABLE)?, summary]);
    }
    Ok(Write::update(&MESSAGES, rows))
}

/// Inbound messages after one of these, whose type was not known.
pub(crate) fn unknown(db: Db<'_>, after: &str, limit: usize) -> Result<Vec<UnknownMessage>> {
    let text = "SELECT id, channel, created_at, content FROM messages
         WHERE direction = 'inbound' AND id > $1 AND content LIKE '%\"content\":{\"type\":\"unknown\"}%' ORDER BY id LIMIT $2";
    let found = db.rows(text, &values![after, limit as u64], |row| {
        let mut content: Json = json(row, TABLE, "content")?;
        let (id, channel) = (parsed(row, TABLE, "id")?, parsed(row, TABLE, "channel")?);
        Ok(UnknownMessage { id, channel, at: row.time("created_at")?, raw: content["raw"].take() })
    })?;
    Ok(found)
}

/// How many there are of those.
pub(crate) fn unknown_count(db: Db<'_>, after: &str) -> Result<u64> {
    let text = "SELECT COUNT(*) AS found FROM messages
         WHERE direction = 'inbound' AND id > $1 AND content LIKE '%\"content\":{\"type\":\"unknown\"}%'";
    Ok(db.row(text, &values![after], |row| row.count("found"))?.unwrap_or(0))
}

/// Writes what facts changed of messages.
pub(crate) fn update<'a>(heads: impl Iterator<Item = (&'a MessageId, &'a Head)>) -> Write {
    let mut rows = Rows::of(OF_HEAD);
    for (id, head) in heads {
        let row =
            values![*id].into_iter().chain(of_head(head)).chain(values![head.started_at, head.doubts.bits()]);
        rows.push(row.collect::<Vec<_>>());
    }
    Write::update(&MESSAGES, rows)
}

fn of_place(place: Option<&CampaignPlace>) -> [Value; 3] {
    let value = |number: Option<u64>| number.map_or(Value::Int(None), Value::from);
    [
        value(place.map(|place| place.campaign)),
        value(place.map(|place| place.step.into())),
        value(place.map(|place| place.variant.into())),
    ]
}

/// The place of a message in a campaign, by its row.
pub(super) fn place(row: &Row<'_>) -> Result<Option<CampaignPlace>> {
    let number = |column: &str| -> Result<Option<u64>> {
        Ok(row.get::<Option<i64>>(column)?.and_then(|number| u64::try_from(number).ok()))
    };
    let small = |column: &str| -> Result<u32> {
        Ok(number(column)?.and_then(|number| u32::try_from(number).ok()).unwrap_or(0))
    };
    let Some(campaign) = number("campaign_number")? else { return Ok(None) };
    Ok(Some(CampaignPlace { campaign, step: small("campaign_step")?, variant: small("campaign_variant")? }))
}

fn of_head(head: &Head) -> [Value; 11] {
    values![
        head.state.as_str(),
        head.provider_id.as_deref(),
        head.attempts,
        head.earlier_attempts,
        head.code.as_deref(),
        head.reason.as_deref(),
        head.updated_at,
        head.sent_at,
        head.delivered_at,
        head.read_at,
        head.failed_at,
    ]
}

/// Those of these messages that are known; what facts change of them, where they are outbound.
pub(crate) fn heads<'a>(
    db: Db<'_>,
    ids: impl Iterator<Item = &'a MessageId>,
) -> Result<Vec<(MessageId, Option<Head>)>> {
    let mut wanted = Rows::of(&MESSAGES.columns[..1]);
    ids.for_each(|id| wanted.push(values![*id]));
    let text = "SELECT id, direction, channel, match_key, status, provider_id, attempts, earlier_attempts, code, reason,
             updated_at, sent_at, delivered_at, read_at, failed_at, campaign_number, campaign_step, campaign_variant,
             started_at, created_at, scheduled_at, campaign, series, doubts
         FROM {wanted} JOIN messages USING (id)";
    db.find(text, &wanted, |row| {
        let id = parsed(row, TABLE, "id")?;
        match parsed(row, TABLE, "direction")? {
            Direction::Inbound => Ok((id, None)),
            Direction::Outbound => Ok((id, Some(head(row)?))),
        }
    })
}

fn head(row: &Row<'_>) -> Result<Head> {
    Ok(Head {
        channel: parsed(row, TABLE, "channel")?,
        match_key: row.get("match_key")?,
        state: parsed(row, TABLE, "status")?,
        place: place(row)?,
        provider_id: row.get("provider_id")?,
        attempts: row.small("attempts")?,
        earlier_attempts: row.small("earlier_attempts")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        updated_at: row.time("updated_at")?,
        sent_at: row.optional_time("sent_at")?,
        delivered_at: row.optional_time("delivered_at")?,
        read_at: row.optional_time("read_at")?,
        failed_at: row.optional_time("failed_at")?,
        started_at: row.optional_time("started_at")?,
        due: due(row.time("created_at")?, row.optional_time("scheduled_at")?),
        campaign: row.get("campaign")?,
        series: row.get::<Option<i64>>("series")?.map(SeriesId),
        doubts: Doubts::from_bits(row.get("doubts")?),
    })
}

/// When a message is due that was accepted then, for later or not.
pub(crate) fn due(accepted: Timestamp, scheduled: Option<Timestamp>) -> Timestamp {
    scheduled.map_or(accepted, |scheduled| scheduled.max(accepted))
}

/// One message.
pub(crate) fn get(db: Db<'_>, id: MessageId) -> Result<Option<MessageView>> {
    let mut found = db.rows("SELECT * FROM messages WHERE id = $1", &[Value::from(id)], view)?;
    message_changes::add_to(db, &mut found)?;
    media::add_to(db, &mut found)?;
    Ok(found.pop())
}

/// Those of these ids that are known.
pub(crate) fn find(db: Db<'_>, ids: &Rows) -> Result<Vec<MessageView>> {
    let mut found = db.find("SELECT * FROM {wanted} JOIN messages USING (id)", ids, view)?;
    message_changes::add_to(db, &mut found)?;
    Ok(found)
}

/// Messages of a campaign that failed, by the provider's code; without one under `none`. An index has all that is asked for.
pub(crate) fn failures(db: Db<'_>, campaign: u64) -> Result<Vec<(String, u64)>> {
    let text = "SELECT COALESCE(code, 'none') AS code, COUNT(*) AS count FROM messages
         WHERE campaign_number = $1 AND status = 'failed' GROUP BY COALESCE(code, 'none')";
    db.rows(text, &values![campaign], |row| Ok((row.get("code")?, row.count("count")?)))
}

/// Messages of a campaign that failed with one of these codes: no others are looked at.
pub(crate) fn failed_with(db: Db<'_>, campaign: u64, codes: &[&str]) -> Result<u64> {
    let text = "SELECT COUNT(*) AS count FROM messages
         WHERE campaign_number = $1 AND status = 'failed' AND code = $2";
    let mut failed = 0;
    for code in codes {
        failed += db.row(text, &values![campaign, *code], |row| row.count("count"))?.unwrap_or(0);
    }
    Ok(failed)
}

/// Messages of a campaign that were delivered from one moment up to another, by what they are counted under.
pub(crate) fn delivered(
    db: Db<'_>,
    campaign: &str,
    number: u64,
    (from, to): (Timestamp, Timestamp),
) -> Result<Vec<(Option<i64>, u64)>> {
    let text = "SELECT series, COUNT(*) AS count FROM messages
         WHERE campaign = $1 AND campaign_number = $2 AND delivered_at >= $3 AND delivered_at < $4 GROUP BY series";
    db.rows(text, &values![campaign, number, from, to], |row| Ok((row.get("series")?, row.count("count")?)))
}

/// How many first messages of a campaign went before a time, or came to another end before it: none of them goes later.
pub(crate) fn went_before(db: Db<'_>, campaign: &str, number: u64, time: Timestamp) -> Result<u64> {
    let text = "SELECT COUNT(*) AS count FROM messages
         WHERE campaign = $1 AND campaign_number = $2 AND COALESCE(campaign_step, 0) = 0
             AND (status IN ('sent', 'delivered', 'read', 'failed') AND COALESCE(sent_at, failed_at, updated_at) < $3
                 OR status IN ('uncertain', 'cancelled', 'expired') AND updated_at < $3)";
    Ok(db.row(text, &values![campaign, number, time], |row| row.count("count"))?.unwrap_or(0))
}

/// How many messages stand where.
pub(crate) fn by_status(db: Db<'_>) -> Result<Vec<(String, u64)>> {
    let text = "SELECT status, COUNT(*) AS count FROM messages GROUP BY status";
    db.rows(text, &[], |row| Ok((row.get("status")?, row.count("count")?)))
}

pub(crate) fn view(row: &Row<'_>) -> Result<MessageView> {
    Ok(MessageView {
        id: parsed(row, TABLE, "id")?,
        direction: parsed(row, TABLE, "direction")?,
        channel: parsed(row, TABLE, "channel")?,
        contact: row.get("contact")?,
        r#type: row.get("type")?,
        content: json(row, TABLE, "content")?,
        status: parsed(row, TABLE, "status")?,
        priority: optional(row, TABLE, "priority")?,
        campaign_id: row.get("campaign")?,
        metadata: optional_json(row, TABLE, "metadata")?,
        provider_message_id: row.get("provider_id")?,
        attempts: row.small("attempts")?,
        code: row.get("code")?,
        reason: row.get("reason")?,
        possible_duplicate: row.get::<i64>("possible_duplicate")? != 0,
        changes: ChangesView::default(),
        media: Vec::new(),
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
        scheduled_at: row.optional_time("scheduled_at")?,
        expires_at: row.optional_time("expires_at")?,
        sent_at: row.optional_time("sent_at")?,
        delivered_at: row.optional_time("delivered_at")?,
        read_at: row.optional_time("read_at")?,
        failed_at: row.optional_time("failed_at")?,
    })
}
