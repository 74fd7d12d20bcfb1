//! What a fact changes of a message, and what is counted for it. No SQL.

use palomar_model::analytics::SeriesId;
use palomar_model::{Applied, ChannelName, Fact, MessageState, Timestamp};

use super::doubts::Doubts;
use crate::fact::What;
use crate::tables::messages::Head;

/// Why a message failed whose outcome stayed unknown for too long.
const GIVEN_UP: &str = "uncertain";
/// Why one failed whose attempt nobody brought to its end begins so.
const BROKE_DOWN: &str = "poison: its handler";

impl Head {
    /// A message that was just accepted.
    pub(super) fn accepted(
        channel: ChannelName,
        match_key: String,
        state: MessageState,
        at: Timestamp,
        series: SeriesId,
    ) -> Head {
        Head {
            channel,
            match_key,
            state,
            place: None,
            provider_id: None,
            attempts: 0,
            earlier_attempts: 0,
            code: None,
            reason: None,
            updated_at: at,
            sent_at: None,
            delivered_at: None,
            read_at: None,
            failed_at: None,
            started_at: None,
            due: at,
            campaign: None,
            series: Some(series),
            doubts: Doubts::default(),
        }
    }
}

/// What the queue says of a message.
pub(super) fn progress(head: &mut Head, what: &What, at: Timestamp, counted: &mut Vec<&'static str>) {
    let fact = match what {
        What::Due => Fact::Due,
        What::Started { attempt } => {
            head.attempts = head.earlier_attempts.saturating_add(*attempt);
            Fact::Started { attempt: head.attempts }
        }
        What::Requeued { .. } => Fact::Released,
        What::Done => Fact::Sent,
        What::Uncertain => {
            if advance(head, &Fact::UncertainOutcome, at, counted) {
                head.doubts.add(head.attempts);
            }
            return;
        }
        What::Retried => Fact::Retried,
        What::QueuedAnew { earlier_attempts } => {
            head.earlier_attempts = *earlier_attempts;
            head.attempts = head.attempts.max(*earlier_attempts);
            Fact::Retried
        }
        What::Cancelled => Fact::Cancelled,
        What::Expired => Fact::Expired,
        What::Dead { reason } => {
            let before = head.state;
            if advance(head, &Fact::Failed, at, counted) {
                head.reason = Some(reason.clone());
                match before {
                    // Not by the policy: a person knows that it was not taken.
                    MessageState::Uncertain if reason != GIVEN_UP => head.doubts.clear_all(),
                    MessageState::Sending if reason.starts_with(BROKE_DOWN) => head.doubts.add(head.attempts),
                    _ => {}
                }
            }
            return;
        }
        What::AttemptFailed { failure, .. } => {
            head.code.clone_from(&failure.code);
            head.reason = Some(failure.to_string());
            head.updated_at = at;
            return;
        }
        What::Accepted { .. }
        | What::Sent { .. }
        | What::DuplicateSend
        | What::Reported(_)
        | What::Inbound { .. }
        | What::Echoed { .. }
        | What::Reread { .. }
        | What::Changed(_)
        | What::Person { .. }
        | What::Consent(_)
        | What::Media(_)
        | What::Template { .. }
        | What::WebhookFailed(_)
        | What::Other { .. } => return,
    };
    advance(head, &fact, at, counted);
}

/// Moves a message; whether it moved. What happens for the first time is counted, with all that it implies: `read`
/// implies `delivered`, both imply `sent`.
pub(super) fn advance(head: &mut Head, fact: &Fact, at: Timestamp, counted: &mut Vec<&'static str>) -> bool {
    let before = head.state;
    let Applied::Moved(to) = before.apply(fact) else {
        return false;
    };
    head.state = to;
    head.updated_at = at;
    if before == MessageState::Failed {
        counted.push("recovered");
    }
    match to {
        MessageState::Scheduled | MessageState::Queued | MessageState::Sending => {}
        MessageState::Uncertain => counted.push("uncertain"),
        MessageState::Sent => first(&mut head.sent_at, at, "sent", counted),
        MessageState::Delivered => {
            first(&mut head.sent_at, at, "sent", counted);
            first(&mut head.delivered_at, at, "delivered", counted);
        }
        MessageState::Read => {
            first(&mut head.sent_at, at, "sent", counted);
            first(&mut head.delivered_at, at, "delivered", counted);
            first(&mut head.read_at, at, "read", counted);
        }
        MessageState::Failed => {
            head.failed_at = Some(at);
            counted.push("failed");
        }
        MessageState::Cancelled => counted.push("cancelled"),
        MessageState::Expired => counted.push("expired"),
    }
    if matches!(to, MessageState::Sent | MessageState::Delivered | MessageState::Read) {
        // What went wrong before is in the timeline; the message itself is well.
        head.code = None;
        head.reason = None;
        head.failed_at = None;
    }
    true
}

fn first(slot: &mut Option<Timestamp>, at: Timestamp, kind: &'static str, counted: &mut Vec<&'static str>) {
    if slot.is_none() {
        *slot = Some(at);
        counted.push(kind);
    }
}
