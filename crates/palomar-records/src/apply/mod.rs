//! Facts become rows: the projection `records`.
//!
//! Always: the rows and the cursor that says how far they reach change in one transaction. A fact that the rows hold
//! already is passed over, so that a replay changes nothing; a gap is refused, so that nothing is lost.

mod fold;
mod inbound;
mod report;

use std::collections::HashMap;
use std::time::Duration;

use palomar_model::{ChannelName, Fact, MessageId, MessageState, Outbound, ProviderMessageId, Timestamp};
use rusqlite::Connection;

use crate::error::{RecordsError, Result};
use crate::fact::{RecordFact, What};
use crate::tables::contacts;
use crate::tables::conversations::{self, Turn};
use crate::tables::journal::{self, Entry};
use crate::tables::messages::{self, Direction, Head};
use crate::tables::{counters, cursors, early_statuses, failed_webhooks, provider_ids, stored};
use fold::advance;

/// What a batch of facts changed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Applied {
    /// Facts that were new.
    pub applied: u64,
    /// Where the rows stand now.
    pub cursor: u64,
    /// How far messages came by it.
    pub steps: Vec<Step>,
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

/// Applies the facts after `after`, which is where the caller believes the rows to stand, up to `through`.
pub(crate) fn apply(
    connection: &Connection,
    projection: &'static str,
    after: u64,
    facts: &[RecordFact],
    through: u64,
    now: Timestamp,
) -> Result<Applied> {
    let stored = cursors::get(connection, projection)?;
    if stored < after {
        return Err(RecordsError::CursorMoved { projection, stored, expected: after });
    }
    let mut batch = Batch::new(connection);
    let mut applied = 0;
    for fact in facts.iter().filter(|fact| fact.cursor > stored) {
        batch.fact(fact)?;
        applied += 1;
    }
    let steps = std::mem::take(&mut batch.steps);
    batch.finish()?;
    let cursor = stored.max(through);
    cursors::set(connection, projection, cursor, now)?;
    Ok(Applied { applied, cursor, steps })
}

/// What a fact leaves behind beside its row.
struct Trace {
    message: Option<MessageId>,
    counted: Vec<&'static str>,
}

impl Trace {
    fn of(message: Option<MessageId>, counted: Vec<&'static str>) -> Option<Trace> {
        Some(Trace { message, counted })
    }
}

/// The messages and counters that a batch touches; each is read once and written once, however many facts it gets.
struct Batch<'c> {
    connection: &'c Connection,
    heads: HashMap<MessageId, Option<Slot>>,
    counters: HashMap<(ChannelName, i64, &'static str), u64>,
    steps: Vec<Step>,
}

struct Slot {
    head: Head,
    changed: bool,
}

impl<'c> Batch<'c> {
    fn new(connection: &'c Connection) -> Batch<'c> {
        Batch { connection, heads: HashMap::new(), counters: HashMap::new(), steps: Vec::new() }
    }

    fn fact(&mut self, fact: &RecordFact) -> Result<()> {
        let trace = match &fact.what {
            What::Accepted { message, scheduled } => self.accepted(message, *scheduled, fact.at)?,
            What::Reported(report) => self.reported(fact, report)?,
            What::Inbound { id, message } => self.inbound(fact, *id, message)?,
            What::WebhookFailed(webhook) => {
                if let Some(channel) = &fact.channel {
                    failed_webhooks::add(self.connection, webhook, channel, fact.at)?;
                }
                Trace::of(None, Vec::new())
            }
            What::Other { .. } => Trace::of(fact.message, Vec::new()),
            _ => self.progress(fact)?,
        };
        // An event that came before leaves no trace at all.
        trace.map_or(Ok(()), |trace| self.leave(fact, &trace))
    }

    fn accepted(&mut self, message: &Outbound, scheduled: bool, at: Timestamp) -> Result<Option<Trace>> {
        let state = MessageState::accepted(scheduled);
        let view = messages::accepted_view(message, state, at);
        if !messages::insert(
            self.connection,
            &view,
            &message.to.key(),
            message.content.summary(),
            stored::extras(message)?.as_deref(),
        )? {
            return Ok(Trace::of(Some(message.id), Vec::new()));
        }
        let identity = contacts::of_recipient(&message.to);
        let contact = contacts::ensure(self.connection, &[identity], None, message.id, at)?;
        conversations::note(
            self.connection,
            &Turn {
                channel: &message.channel,
                contact: &contact,
                message: message.id,
                direction: Direction::Outbound,
                at,
            },
        )?;
        let head = Head::accepted(message.channel.clone(), state, at);
        self.heads.insert(message.id, Some(Slot { head, changed: false }));
        Ok(Trace::of(Some(message.id), vec!["accepted"]))
    }

    /// What moves a message that is known already.
    fn progress(&mut self, fact: &RecordFact) -> Result<Option<Trace>> {
        let mut counted = Vec::new();
        let Some(id) = fact.message else {
            return Ok(Trace::of(None, counted));
        };
        if let What::Sent { provider_id, alias } = &fact.what {
            self.sent(id, fact.at, provider_id, &mut counted)?;
            if let Some(alias) = alias {
                contacts::add_alias(self.connection, id, alias)?;
            }
        } else if let Some(slot) = self.slot(id)? {
            fold::progress(&mut slot.head, &fact.what, fact.at, &mut counted);
            slot.changed = true;
        }
        Ok(Trace::of(Some(id), counted))
    }

    /// The provider took it: its id becomes known, and with it the reports that came early.
    fn sent(
        &mut self,
        id: MessageId,
        at: Timestamp,
        provider_id: &ProviderMessageId,
        counted: &mut Vec<&'static str>,
    ) -> Result<()> {
        let connection = self.connection;
        let Some(slot) = self.slot(id)? else { return Ok(()) };
        slot.changed = true;
        advance(&mut slot.head, &Fact::Sent, at, counted);
        slot.head.provider_id = Some(provider_id.to_string());
        provider_ids::add(connection, &slot.head.channel, provider_id, id)?;
        for (cursor, report) in early_statuses::take(connection, &slot.head.channel, provider_id)? {
            journal::name_message(connection, cursor, id)?;
            report::fold(&mut slot.head, &report, at, counted);
        }
        Ok(())
    }

    /// The message as it stands after the facts of this batch so far.
    fn slot(&mut self, id: MessageId) -> Result<Option<&mut Slot>> {
        use std::collections::hash_map::Entry;
        let slot = match self.heads.entry(id) {
            Entry::Occupied(known) => known.into_mut(),
            Entry::Vacant(place) => {
                let head = messages::head(self.connection, id)?;
                place.insert(head.map(|head| Slot { head, changed: false }))
            }
        };
        Ok(slot.as_mut())
    }

    fn leave(&mut self, fact: &RecordFact, trace: &Trace) -> Result<()> {
        let head = trace.message.and_then(|id| self.heads.get(&id)?.as_ref());
        let channel = match head {
            Some(slot) => Some(slot.head.channel.clone()),
            None => fact.channel.clone(),
        };
        let detail = match (&fact.what, head) {
            // The message's own count, over all of its jobs.
            (What::Started { .. }, Some(slot)) => serde_json::json!({ "attempt": slot.head.attempts }),
            (what, _) => what.detail(),
        };
        journal::add(
            self.connection,
            &Entry {
                cursor: fact.cursor,
                at: fact.at,
                kind: fact.what.kind(),
                channel: channel.as_ref(),
                message: trace.message,
                detail: &detail,
                counted: &trace.counted,
            },
        )?;
        if let Some(channel) = channel {
            for kind in &trace.counted {
                *self.counters.entry((channel.clone(), counters::day(fact.at), kind)).or_default() += 1;
            }
        }
        Ok(())
    }

    fn finish(self) -> Result<()> {
        for (id, slot) in &self.heads {
            if let Some(Slot { head, changed: true }) = slot {
                messages::update(self.connection, *id, head)?;
            }
        }
        for ((channel, day, kind), by) in &self.counters {
            counters::add(self.connection, channel.as_str(), *day, kind, *by)?;
        }
        Ok(())
    }
}
