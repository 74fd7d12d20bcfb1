//! A provider's reports on our messages: in any order, repeated, and sometimes before we know the message.

use palomar_model::{
    ChannelName, Fact, MessageId, MessageState, ReportedStatus, Status, StatusReport, Timestamp,
};

use super::fold::advance;
use super::known::Waiting;
use super::{Batch, Step, Trace};
use crate::fact::RecordFact;
use crate::tables::early_statuses::Early;
use crate::tables::inbound_seen::Seen;
use crate::tables::messages::Head;
use crate::tables::provider_ids::Named;

/// What makes a report the same as another: a second one changes nothing.
pub(super) fn identity(channel: &ChannelName, report: &StatusReport) -> Seen {
    Seen::of(channel, &report.identity())
}

impl Batch<'_> {
    /// Applies a report to its message, or keeps it until the message is known. `None` where it came before.
    pub(super) fn reported(&mut self, fact: &RecordFact, report: &StatusReport) -> Option<Trace> {
        let Some(channel) = &fact.channel else {
            return Trace::of(None, Vec::new());
        };
        let identity = identity(channel, report);
        if !self.known.seen.insert(identity.clone()) {
            return None;
        }
        self.changes.seen.insert(identity, fact.at);
        let named = Named::of(channel, &report.provider_id);
        let Some(id) = self.reported_message(channel, &named, report) else {
            // Its entry in the journal is the next.
            let early = Early { of: named.clone(), seq: self.seq + 1, at: fact.at, report: report.clone() };
            self.known.early.entry(named).or_default().push(Waiting { early, stored: false });
            return Trace::of(None, Vec::new());
        };
        let (mut counted, mut again) = (Vec::new(), false);
        if let Some(head) = self.known.change(id) {
            let before = head.state;
            let (sent_at, delivered_at) = (head.sent_at, head.delivered_at);
            if head.provider_id.is_none() {
                head.provider_id = Some(report.provider_id.to_string());
            }
            fold(head, report, fact.at, &mut counted);
            again = head.state != before && counted.is_empty();
            let stage = match counted.last() {
                Some(&"delivered") => sent_at.map(|from| ("sent_to_delivered", from)),
                Some(&"read") => delivered_at.map(|from| ("delivered_to_read", from)),
                _ => None,
            };
            let channel = &head.channel;
            self.steps.extend(stage.map(|(stage, from)| Step {
                channel: channel.clone(),
                stage,
                took: fact.at.since(from),
            }));
        }
        Some(Trace { message: Some(id), counted, again })
    }

    /// The message that a report is about: our tag says so, or an id that the provider gave us before.
    fn reported_message(
        &mut self,
        channel: &ChannelName,
        named: &Named,
        report: &StatusReport,
    ) -> Option<MessageId> {
        if let Some(tag) = report.tag
            && self.known.head(tag.message).is_some_and(|head| head.channel == *channel)
        {
            self.name(named.clone(), tag.message);
            return Some(tag.message);
        }
        self.known.names.get(named).copied()
    }
}

/// What a report changes of its message.
pub(super) fn fold(head: &mut Head, report: &StatusReport, at: Timestamp, counted: &mut Vec<&'static str>) {
    let Status::Known(status) = report.status else {
        return;
    };
    let of_earlier_attempt = report.tag.is_some_and(|tag| tag.attempt < head.attempts);
    if status == ReportedStatus::Failed {
        match report.tag {
            Some(tag) => head.doubts.clear(tag.attempt),
            None if head.state == MessageState::Uncertain => head.doubts.clear_single(),
            None => {}
        }
    }
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
