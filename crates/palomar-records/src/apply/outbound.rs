//! Messages of ours: accepted, attempted, sent.

use palomar_model::analytics::Series;
use palomar_model::{Content, Fact, MessageId, MessageState, Outbound, ProviderMessageId, Timestamp};

use super::fold::{self, advance};
use super::known::{Row, Slot};
use super::{Batch, Trace, report};
use crate::error::Result;
use crate::fact::{RecordFact, What};
use crate::message::{Direction, accepted_view};
use crate::tables::contacts::{self, KnownBy};
use crate::tables::conversations::{Effect, Pair, Turn};
use crate::tables::messages::{self, Head, NewMessage};
use crate::tables::provider_ids::Named;
use crate::tables::stored;

impl Batch<'_> {
    /// Keeps a message, whom it is for and its place in the conversation. One that is known stays as it is.
    pub(super) fn accepted(
        &mut self,
        message: &Outbound,
        scheduled: bool,
        at: Timestamp,
    ) -> Result<Option<Trace>> {
        let id = message.id;
        if self.known.messages.contains_key(&id) {
            return Ok(Trace::of(Some(id), Vec::new()));
        }
        let state = MessageState::accepted(scheduled);
        let series = self.tally.open(&series_of(message));
        let identity = contacts::of_recipient(&message.to);
        let new = NewMessage {
            view: accepted_view(message, state, at),
            match_key: identity.match_key.clone(),
            summary: message.content.summary().map(str::to_owned),
            extras: stored::extras(message)?,
            group: None,
            place: message.campaign_place,
            series,
        };
        let mut head = Head::accepted(message.channel.clone(), identity.match_key.clone(), state, at, series);
        head.place = message.campaign_place;
        head.due = messages::due(at, message.scheduled_at);
        head.campaign.clone_from(&message.campaign_id);
        self.known.messages.insert(id, Some(Slot { head, was: None, row: Row::New(Box::new(new)) }));
        let contact = self.person(&[identity], None, id, at);
        let pair = Pair { channel: message.channel.clone(), contact: contact.clone() };
        self.changes.turns.push(Turn {
            pair,
            contact_then: contact,
            message: id,
            direction: Direction::Outbound,
            at,
            effect: Effect::Accepted,
            noted: at,
        });
        Ok(Trace::of(Some(id), vec!["accepted"]))
    }

    /// What moves a message that is known already.
    pub(super) fn progress(&mut self, fact: &RecordFact) -> Option<Trace> {
        let mut counted = Vec::new();
        let Some(id) = fact.message else {
            return Trace::of(None, counted);
        };
        if let What::Sent { provider_id, alias } = &fact.what {
            let moved = self.sent(id, fact.at, provider_id, &mut counted);
            if let Some(alias) = alias {
                self.also_known_as(id, alias);
            }
            let again = moved && counted.is_empty();
            return Some(Trace { message: Some(id), counted, again });
        }
        if let Some(head) = self.known.change(id) {
            fold::progress(head, &fact.what, fact.at, &mut counted);
        }
        Trace::of(Some(id), counted)
    }

    /// A message left for the first time: whoever waits for an answer there has one, unless a campaign sent it.
    pub(super) fn left(&mut self, id: MessageId, at: Timestamp) {
        let Some(head) = self.known.head(id).filter(|head| head.campaign.is_none()) else { return };
        let Some(contact) = self.known.contacts.get(&contacts::of_match_key(&head.match_key)).cloned() else {
            return;
        };
        self.changes.turns.push(Turn {
            pair: Pair { channel: head.channel.clone(), contact: contact.clone() },
            contact_then: contact,
            message: id,
            direction: Direction::Outbound,
            at,
            effect: Effect::Left,
            noted: at,
        });
    }

    /// The provider took it: its id becomes known, and with it the reports that came early. Whether it was not sent before.
    fn sent(
        &mut self,
        id: MessageId,
        at: Timestamp,
        provider_id: &ProviderMessageId,
        counted: &mut Vec<&'static str>,
    ) -> bool {
        let Some(head) = self.known.change(id) else { return false };
        let before = head.state;
        let moved = advance(head, &Fact::Sent, at, counted);
        if moved && matches!(before, MessageState::Queued | MessageState::Uncertain) {
            // No attempt is under way that it could be of.
            head.doubts.clear_single();
        }
        head.provider_id = Some(provider_id.to_string());
        let named = Named::of(&head.channel, provider_id);
        let waiting = self.known.early.remove(&named).unwrap_or_default();
        if waiting.iter().any(|waiting| waiting.stored) {
            self.changes.taken.insert(named.clone());
        }
        self.name(named, id);
        for waiting in waiting {
            self.changes.name_entry(waiting.early.seq, id);
            if let Some(head) = self.known.change(id) {
                report::fold(head, &waiting.early.report, at, counted);
            }
        }
        moved
    }

    /// Notes what a provider calls a message; whether that is new. The first message that was called so keeps the name.
    pub(super) fn name(&mut self, named: Named, id: MessageId) -> bool {
        if self.known.names.contains_key(&named) {
            return false;
        }
        self.known.names.insert(named.clone(), id);
        self.changes.names.insert(named, id);
        true
    }

    /// Adds the provider's own spelling of an account to the contact that a message went to.
    fn also_known_as(&mut self, id: MessageId, alias: &str) {
        let Some(head) = self.known.head(id) else { return };
        let keys = KnownBy::ALL.map(|known_by| (known_by, head.match_key.clone()));
        let Some(contact) = keys.iter().find_map(|key| self.known.contacts.get(key)).cloned() else { return };
        self.identify(&contacts::of_alias(alias), &contact);
    }
}

/// What a message is counted under.
fn series_of(message: &Outbound) -> Series {
    let template = match &message.content {
        Content::Template(template) => template.name.as_str(),
        _ => "",
    };
    Series::full([
        message.channel.as_str(),
        message.campaign_id.as_deref().unwrap_or_default(),
        template,
        message.content.kind().as_str(),
        message.to.country().as_deref().unwrap_or_default(),
        message.priority.as_str(),
    ])
}
