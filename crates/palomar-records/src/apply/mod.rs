//! Facts become rows: the projection `records`.
//!
//! ```text
//! facts ─> known (the rows that they touch, read together) ─> fold, in memory ─> changes (written together) ─> cursor
//! ```
//!
//! Always: the rows and the cursor that says how far they reach change in one transaction. A fact that the rows hold
//! already is passed over, so that a replay changes nothing; a gap is refused, so that nothing is lost. Whoever writes
//! has the turn: what was read is still so when it is written, whatever other nodes and partitions bring.

mod changes;
mod doubts;
mod exchanges;
mod fold;
mod inbound;
mod known;
mod measured;
mod outbound;
mod people;
mod report;

use std::time::Duration;

use palomar_model::{ChannelName, MediaNews, MediaProgress, MessageId, Timestamp};

use crate::Partition;
use crate::error::{RecordsError, Result};
use crate::fact::{RecordFact, What};
use crate::store::Db;
use crate::tables::counters::day;
use crate::tables::cursors;
use crate::tables::inbound_seen::Seen;
use crate::tables::journal::Entry;
use crate::tally::Tally;
use changes::Changes;
pub(crate) use doubts::Doubts;
use known::Known;

/// What a batch of facts changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Facts that were new.
    pub applied: u64,
    /// Where the rows stand now.
    pub cursor: u64,
    /// How far messages came by it.
    pub steps: Vec<Step>,
    /// Messages that failed by it.
    pub failed: Vec<Failed>,
}

/// A message that failed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failed {
    /// Its channel.
    pub channel: ChannelName,
    /// Why it became a dead letter; none where the provider reported it.
    pub dead: Option<String>,
}

/// A stage of a message's way that lies behind it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// The message's channel.
    pub channel: ChannelName,
    /// `sent_to_delivered` or `delivered_to_read`.
    pub stage: &'static str,
    /// How long it took, by our clock.
    pub took: Duration,
}

/// Applies the facts of a partition after `after`, which is where the caller believes the rows to stand, up to
/// `through`.
pub(crate) fn apply(
    db: Db<'_>,
    projection: &'static str,
    partition: Partition,
    (after, through): (u64, u64),
    facts: &[RecordFact],
    now: Timestamp,
) -> Result<Applied> {
    let seq = cursors::take_turn(db, projection, now)?;
    let stored = cursors::get(db, projection, partition)?;
    if stored < after {
        return Err(RecordsError::CursorMoved { projection, stored, expected: after });
    }
    let new: Vec<_> = facts.iter().filter(|fact| fact.cursor > stored).collect();
    let mut batch = Batch::of(Known::load(db, &new)?, seq);
    new.iter().try_for_each(|fact| batch.fact(fact))?;
    let Batch { changes, steps, failed, known, tally, seq } = batch;
    changes.write(db, &known, partition, tally)?;
    if through <= stored {
        return Ok(Applied { applied: 0, cursor: stored, steps, failed });
    }
    cursors::end_at(db, projection, seq)?;
    cursors::advance(db, projection, partition, stored, through, now)?;
    Ok(Applied { applied: new.len() as u64, cursor: through, steps, failed })
}

/// What a fact leaves behind beside its row.
struct Trace {
    message: Option<MessageId>,
    counted: Vec<&'static str>,
    /// The message came to where it had been before: after a retry it is sent again.
    again: bool,
}

impl Trace {
    fn of(message: Option<MessageId>, counted: Vec<&'static str>) -> Option<Trace> {
        Some(Trace { message, counted, again: false })
    }
}

/// The fold over a batch of facts: what is known, and what is new of it.
struct Batch<'f> {
    known: Known,
    changes: Changes<'f>,
    steps: Vec<Step>,
    failed: Vec<Failed>,
    /// What is counted and measured.
    tally: Tally,
    /// The number of the journal's last entry.
    seq: u64,
}

impl<'f> Batch<'f> {
    fn of(known: Known, seq: u64) -> Batch<'f> {
        Batch {
            known,
            changes: Changes::default(),
            steps: Vec::new(),
            failed: Vec::new(),
            tally: Tally::default(),
            seq,
        }
    }

    fn fact(&mut self, fact: &'f RecordFact) -> Result<()> {
        if let (Some(once), Some(channel)) = (&fact.once, &fact.channel) {
            let seen = Seen::of(channel, once);
            if !self.known.seen.insert(seen.clone()) {
                return Ok(());
            }
            self.changes.seen.insert(seen, fact.at);
        }
        let trace = match &fact.what {
            What::Accepted { message, scheduled } => self.accepted(message, *scheduled, fact.at)?,
            What::Reported(report) => self.reported(fact, report),
            What::Inbound { id, message } => self.inbound(fact, *id, message),
            What::Reread { id, message } => {
                self.changes.reread.insert(*id, message);
                Trace::of(Some(*id), Vec::new())
            }
            What::Echoed { id, echo } => self.echoed(fact, *id, echo),
            What::Changed(change) => self.changed(fact, change),
            What::Person { id, news } => self.person_news(*id, news, fact.at),
            What::Consent(consent) => self.consent(fact, consent),
            What::Media(news) => self.media(fact, news),
            What::Template { news, .. } => {
                self.changes
                    .templates
                    .extend(fact.channel.as_ref().map(|channel| (&**news, channel, fact.at)));
                Trace::of(None, Vec::new())
            }
            What::WebhookFailed(webhook) => {
                if let Some(channel) = &fact.channel {
                    self.changes.webhooks.push((webhook, channel, fact.at));
                }
                Trace::of(None, Vec::new())
            }
            What::Other { .. } => Trace::of(fact.message, Vec::new()),
            _ => self.progress(fact),
        };
        // An event that came before leaves no trace at all.
        if let Some(trace) = trace {
            self.leave(fact, trace);
        }
        Ok(())
    }

    /// Keeps what became of media. That they are wanted is no entry of its own: the message says so.
    fn media(&mut self, fact: &'f RecordFact, news: &'f MediaNews) -> Option<Trace> {
        let channel = fact.channel.as_ref()?;
        self.changes.media.push((news, channel, fact.at));
        match news.progress {
            MediaProgress::Pending => None,
            MediaProgress::Stored { .. } | MediaProgress::Failed { .. } => {
                Trace::of(Some(news.message), Vec::new())
            }
        }
    }

    /// Writes a fact down, and counts.
    fn leave(&mut self, fact: &RecordFact, trace: Trace) {
        if let Some(id) = trace.message
            && trace.counted.contains(&"sent")
        {
            self.left(id, fact.at);
        }
        let measured = trace.message.map_or(0, |id| self.measure(id, fact, &trace.counted));
        let head = trace.message.and_then(|id| self.known.head(id));
        let channel = head.map(|head| head.channel.clone()).or_else(|| fact.channel.clone());
        let mut detail = match (&fact.what, head) {
            // The message's own count, over all of its jobs.
            (What::Started { .. }, Some(head)) => serde_json::json!({ "attempt": head.attempts }),
            (what, _) => what.detail(),
        };
        if trace.again {
            detail["again"] = true.into();
        }
        if let (Some(trace), Some(detail)) = (fact.trace, detail.as_object_mut()) {
            detail.insert("trace".to_owned(), trace.to_string().into());
        }
        if let Some(channel) = &channel {
            if trace.counted.contains(&"failed") {
                let dead = if let What::Dead { reason } = &fact.what { Some(reason.clone()) } else { None };
                self.failed.push(Failed { channel: channel.clone(), dead });
            }
            for kind in &trace.counted {
                *self.changes.counters.entry((channel.clone(), day(fact.at), kind)).or_default() += 1;
            }
        }
        self.seq += 1;
        self.changes.journal.push(Entry {
            seq: self.seq,
            cursor: fact.cursor,
            at: fact.at,
            kind: fact.what.kind().to_owned(),
            channel,
            message: trace.message,
            detail,
            counted: trace.counted,
            measured,
        });
    }
}
