//! A provider's reports on our messages: in any order, repeated, and sometimes before we know the message.

use palomar_model::{Fact, MessageId, ReportedStatus, Status, StatusReport, Timestamp};

use super::fold::advance;
use super::{Batch, Step, Trace};
use crate::error::Result;
use crate::fact::RecordFact;
use crate::tables::messages::Head;
use crate::tables::{early_statuses, inbound_seen, provider_ids};

impl Batch<'_> {
    /// Applies a report to its message, or keeps it until the message is known. `None` where it came before.
    pub(super) fn reported(&mut self, fact: &RecordFact, report: &StatusReport) -> Result<Option<Trace>> {
        let connection = self.connection;
        let Some(channel) = &fact.channel else {
            return Ok(Trace::of(None, Vec::new()));
        };
        let identity = format!("status:{}:{}", report.status.as_str(), report.provider_id);
        if !inbound_seen::add(connection, channel, &identity, fact.at)? {
            return Ok(None);
        }
        let Some(id) = self.reported_message(fact, report)? else {
            early_statuses::add(connection, channel, fact.cursor, fact.at, report)?;
            return Ok(Trace::of(None, Vec::new()));
        };
        let mut counted = Vec::new();
        let mut step = None;
        if let Some(slot) = self.slot(id)? {
            let (sent_at, delivered_at) = (slot.head.sent_at, slot.head.delivered_at);
            if slot.head.provider_id.is_none() {
                slot.head.provider_id = Some(report.provider_id.to_string());
            }
            slot.changed = true;
            fold(&mut slot.head, report, fact.at, &mut counted);
            let stage = match counted.last() {
                Some(&"delivered") => sent_at.map(|from| ("sent_to_delivered", from)),
                Some(&"read") => delivered_at.map(|from| ("delivered_to_read", from)),
                _ => None,
            };
            step = stage.map(|(stage, from)| Step {
                channel: slot.head.channel.clone(),
                stage,
                took: fact.at.since(from),
            });
        }
        self.steps.extend(step);
        Ok(Trace::of(Some(id), counted))
    }

    /// The message that a report is about: our tag says so, or an id that the provider gave us before.
    fn reported_message(&mut self, fact: &RecordFact, report: &StatusReport) -> Result<Option<MessageId>> {
        let Some(channel) = &fact.channel else {
            return Ok(None);
        };
        if let Some(tag) = report.tag
            && self.slot(tag.message)?.is_some_and(|slot| slot.head.channel == *channel)
        {
            provider_ids::add(self.connection, channel, &report.provider_id, tag.message)?;
            return Ok(Some(tag.message));
        }
        provider_ids::message(self.connection, channel, &report.provider_id)
    }
}

/// What a report changes of its message.
pub(super) fn fold(head: &mut Head, report: &StatusReport, at: Timestamp, counted: &mut Vec<&'static str>) {
    let Status::Known(status) = report.status else {
        return;
    };
    let of_earlier_attempt = report.tag.is_some_and(|tag| tag.attempt < head.attempts);
    if status == ReportedStatus::Failed && of_earlier_attempt {
        // The newest attempt decides; that an earlier one failed is no news.
        return;
    }
    if advance(head, &Fact::Reported(status), at, counted) && status == ReportedStatus::Failed {
        let error = report.errors.first();
        head.code = error.and_then(|error| error.code.clone());
        head.reason =
            Some(error.map_or_else(|| "reported as failed".to_owned(), |error| error.title.clone()));
    }
}
