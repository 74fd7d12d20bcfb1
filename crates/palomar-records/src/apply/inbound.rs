//! What came in: messages that people wrote, what the business wrote elsewhere, what was done to earlier messages, and
//! who wants to get no more. The provider's id is the identity: however often it comes, it takes effect once.

use data_encoding::HEXLOWER;
use palomar_model::analytics::{Metric, Series, SeriesId};
use palomar_model::{
    ChannelName, Echo, InboundMessage, MessageChange, MessageId, MessageState, Sender, Timestamp, Wish,
};
use sha2::{Digest as _, Sha256};

use super::known::{Row, Slot};
use super::{Batch, Trace};
use crate::fact::{Consent, RecordFact};
use crate::message::{Direction, MessageView, echoed_view, received_view};
use crate::tables::contacts::{self, Identity, KnownBy};
use crate::tables::conversations::{Effect, Pair, Turn};
use crate::tables::inbound_seen::Seen;
use crate::tables::message_changes;
use crate::tables::messages::{Head, NewMessage};
use crate::tables::provider_ids::Named;
use crate::tables::suppressions::{Suppression, SuppressionReason};

impl Batch<'_> {
    /// Keeps a message, its sender and its place in the conversation. `None` where it came before.
    pub(super) fn inbound(
        &mut self,
        fact: &RecordFact,
        id: MessageId,
        message: &InboundMessage,
    ) -> Option<Trace> {
        let Some(channel) = &fact.channel else {
            return Trace::of(None, Vec::new());
        };
        if !self.name(Named::of(channel, &message.provider_id), id) {
            return None;
        }
        let identities = contacts::of_sender(&message.from);
        let (contact, match_key) = first_of(&identities);
        let mut view = received_view(id, channel, contact, message, fact.at);
        view.possible_duplicate = self.is_like_another(channel, message, fact.at);
        self.known.messages.insert(id, None);
        let series = self.tally.open(&series_of(channel, &message.from, message));
        self.tally.count(series, fact.at, Metric::Received);
        self.changes.received.insert(id, new_message(view, match_key, message, series));
        let effect = if message.content.is_from_a_person() { Effect::Written } else { Effect::Told };
        self.turn(fact, id, &identities, message, effect);
        Trace::of(Some(id), vec!["received"])
    }

    /// Whether it came without an id, and one that says the same was written within five seconds of it. It is kept all the
    /// same: two that say the same may be two.
    fn is_like_another(&mut self, channel: &ChannelName, message: &InboundMessage, at: Timestamp) -> bool {
        let like = likenesses(channel, message);
        let found = like.iter().any(|like| self.known.seen.contains(like));
        // Its own is the first.
        if let Some(own) = like.into_iter().next()
            && self.known.seen.insert(own.clone())
        {
            self.changes.seen.insert(own, at);
        }
        found
    }

    /// Keeps a message that the business wrote elsewhere. `None` where it is one of ours, or came before.
    pub(super) fn echoed(&mut self, fact: &RecordFact, id: MessageId, echo: &Echo) -> Option<Trace> {
        let Some(channel) = &fact.channel else {
            return Trace::of(None, Vec::new());
        };
        let message = &echo.message;
        if !self.name(Named::of(channel, &message.provider_id), id) {
            return None;
        }
        let identities = contacts::of_sender(&echo.to);
        let (contact, match_key) = first_of(&identities);
        let view = echoed_view(id, channel, contact, message, fact.at);
        let series = self.tally.open(&series_of(channel, &echo.to, message));
        let accepted =
            Head::accepted(channel.clone(), match_key.clone(), MessageState::Sent, fact.at, series);
        let head = Head {
            provider_id: Some(message.provider_id.to_string()),
            sent_at: Some(message.at),
            ..accepted
        };
        let row = Row::New(Box::new(new_message(view, match_key, message, series)));
        self.known.messages.insert(id, Some(Slot { head, was: None, row }));
        self.turn(fact, id, &identities, message, Effect::Answered);
        Trace::of(Some(id), vec!["echoed"])
    }

    /// Gives a message its place in the conversation with the other side.
    fn turn(
        &mut self,
        fact: &RecordFact,
        id: MessageId,
        identities: &[Identity],
        message: &InboundMessage,
        effect: Effect,
    ) {
        let Some(channel) = fact.channel.clone().filter(|_| !identities.is_empty()) else { return };
        let (name, direction) = match effect {
            // The name beside an echo is not known to be the other side's.
            Effect::Answered | Effect::Accepted | Effect::Left => (None, Direction::Outbound),
            Effect::Written | Effect::Told | Effect::Ignored { .. } => {
                (message.from.name.as_deref(), Direction::Inbound)
            }
        };
        let contact = self.person(identities, name, id, fact.at);
        // A group's messages open nobody's window.
        if message.group_id.is_none() {
            let (pair, contact_then) = (Pair { channel, contact: contact.clone() }, contact);
            let (at, noted) = (message.at, fact.at);
            self.changes.turns.push(Turn { pair, contact_then, message: id, direction, at, effect, noted });
        }
    }

    /// Keeps what was done to an earlier message, whether that is known or not. `None` where it came before.
    pub(super) fn changed(&mut self, fact: &RecordFact, change: &MessageChange) -> Option<Trace> {
        let Some(channel) = &fact.channel else {
            return Trace::of(None, Vec::new());
        };
        let identity = change.identity().map(|identity| Seen::of(channel, &identity));
        if let Some(identity) = identity {
            if !self.known.seen.insert(identity.clone()) {
                return None;
            }
            self.changes.seen.insert(identity, fact.at);
        }
        let slot = message_changes::slot(channel, change);
        let message = self.known.names.get(&slot.0).copied();
        let newest = self.changes.changed.get(&slot).is_none_or(|(_, at)| *at <= change.at);
        if newest {
            self.changes.changed.insert(slot, (change.change.clone(), change.at));
        }
        Trace::of(message, Vec::new())
    }

    /// Keeps that somebody wants to get no more, or that they want to again. `None` where it came before.
    pub(super) fn consent(&mut self, fact: &RecordFact, consent: &Consent) -> Option<Trace> {
        let Some(channel) = &fact.channel else {
            return Trace::of(None, Vec::new());
        };
        let identity = Seen::of(channel, &consent.identity);
        if !self.known.seen.insert(identity.clone()) {
            return None;
        }
        self.changes.seen.insert(identity, fact.at);
        let identities = contacts::of_sender(&consent.who);
        let Some(known) = identities.first() else {
            return Trace::of(consent.message, Vec::new());
        };
        let wish = match &consent.wish {
            Wish::Stop => Some(Suppression {
                recipient: known.value.clone(),
                channel: Some(channel.clone()),
                reason: SuppressionReason::OptOut,
                detail: consent.detail.clone(),
                message_id: consent.message,
                created_at: fact.at,
                match_key: known.match_key.clone(),
            }),
            Wish::Resume => None,
            Wish::Other(_) => return Trace::of(consent.message, Vec::new()),
        };
        let counted = if wish.is_some() { "opted_out" } else { "opted_in" };
        self.changes.wishes.push((known.match_key.clone(), channel.clone(), wish));
        Trace::of(consent.message, vec![counted])
    }
}

/// What those are known by that say the same as one that came without an id, and were written within five seconds of it;
/// its own first. None where it has an id.
pub(super) fn likenesses(channel: &ChannelName, message: &InboundMessage) -> Vec<Seen> {
    if !message.provider_id.is_made_up() {
        return Vec::new();
    }
    let content = serde_json::to_vec(&message.content).unwrap_or_default();
    let from = message.from.key().unwrap_or_default();
    let hash = Sha256::new()
        .chain_update(from)
        .chain_update([0])
        .chain_update(&message.kind)
        .chain_update([0])
        .chain_update(content)
        .finalize();
    let (hash, second) = (HEXLOWER.encode(&hash), message.at.micros().div_euclid(1_000_000));
    let seconds = std::iter::once(0).chain((1..=5).flat_map(|apart| [apart, -apart]));
    seconds.map(|apart| Seen::of(channel, &format!("like:{hash}:{}", second.saturating_add(apart)))).collect()
}

/// Whom a list shows, and what they are found by: what is most telling. A spelling of the provider is shown where nothing
/// else is known.
fn first_of(identities: &[Identity]) -> (String, String) {
    let telling = identities.iter().find(|identity| identity.known_by != KnownBy::Lid);
    let known = telling.or_else(|| identities.first());
    known.map(|known| (known.value.clone(), known.match_key.clone())).unwrap_or_default()
}

fn new_message(
    view: MessageView,
    match_key: String,
    message: &InboundMessage,
    series: SeriesId,
) -> NewMessage {
    let (summary, group) = (message.text.clone(), message.group_id.clone());
    NewMessage { view, match_key, summary, extras: None, group, place: None, series }
}

/// What a message with this other side is counted under.
fn series_of(channel: &ChannelName, other_side: &Sender, message: &InboundMessage) -> Series {
    let country = other_side.country().unwrap_or_default();
    Series::full([channel.as_str(), "", "", &message.kind, &country, ""])
}
