//! What a fact counts of a message, beside its counters.

use palomar_model::MessageId;
use palomar_model::analytics::{FailureReason, Series};

use super::Batch;
use crate::fact::{RecordFact, What};
use crate::measure::{Happened, in_flight};

/// The class of a failure that the provider reported.
const REPORTED: &str = "reported";

/// The class that the reason of a dead letter begins with, before its colon. What has none is told in words of a provider
/// or a person, of which there are any number.
fn class_of(reason: &str) -> &str {
    let class = reason.split_once(':').map_or(reason, |(class, _)| class);
    let is_word = |c: char| c.is_ascii_lowercase() || c == '_';
    if !class.is_empty() && class.len() <= 32 && class.chars().all(is_word) { class } else { "other" }
}

impl Batch<'_> {
    /// Counts and times what a fact did to an outbound message, which is as it is after it. What its entry of the journal
    /// says of that: see [`Entry::measured`](crate::tables::journal::Entry).
    pub(super) fn measure(&mut self, id: MessageId, fact: &RecordFact, counted: &[&str]) -> u64 {
        // What only mentions a message does nothing to it: whether it is at hand would be chance.
        let mentions = matches!(
            fact.what,
            What::Consent(_) | What::Media(_) | What::Changed(_) | What::Reread { .. } | What::Other { .. }
        );
        if mentions {
            return 0;
        }
        let kind = fact.what.kind();
        let Some(head) = self.known.head(id) else {
            return u64::from(matches!(fact.what, What::Inbound { .. }));
        };
        let mut measured = 1;
        let (channel, campaign) = (head.channel.as_str(), head.campaign.as_deref().unwrap_or_default());
        let series = match head.series {
            Some(series) => {
                self.tally.stored(series, channel, campaign);
                series
            }
            None => self.tally.open(&Series::of_channel(channel)),
        };
        let happened = Happened {
            kind,
            at: fact.at,
            counted,
            due: head.due,
            attempts: head.attempts,
            in_flight: head.started_at,
            sent_at: head.sent_at,
            delivered_at: head.delivered_at,
        };
        for metric in happened.metrics() {
            self.tally.count(series, fact.at, metric);
        }
        for (stage, took) in happened.times() {
            self.tally.time(series, fact.at, stage, took);
        }
        if counted.contains(&"failed") {
            let class = if let What::Dead { reason } = &fact.what { class_of(reason) } else { REPORTED };
            measured = self.tally.failed(series, fact.at, FailureReason::new(class, head.code.as_deref()));
        }
        let flying = in_flight(kind, fact.at, head.started_at);
        if flying != head.started_at
            && let Some(head) = self.known.change(id)
        {
            head.started_at = flying;
        }
        measured
    }
}

#[cfg(test)]
mod tests {
    use super::class_of;

    #[test]
    fn a_class_is_a_word_of_ours() {
        for (reason, class) in [
            ("recipient: Recipient cannot be sender", "recipient"),
            ("attempts_exhausted", "attempts_exhausted"),
            ("Recipient cannot be sender (code 131021)", "other"),
            ("", "other"),
        ] {
            assert_eq!(class_of(reason), class);
        }
    }
}
