//! Messages that people wrote. The provider's id is the identity: however often it comes, it takes effect once.

use palomar_model::{InboundMessage, MessageId};

use super::{Batch, Trace};
use crate::fact::RecordFact;
use crate::message::{Direction, received_view};
use crate::tables::contacts;
use crate::tables::conversations::{Pair, Turn};
use crate::tables::messages::NewMessage;
use crate::tables::provider_ids::Named;

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
        let (contact, match_key) = identities
            .first()
            .map(|known| (known.value.clone(), known.match_key.clone()))
            .unwrap_or_default();
        let view = received_view(id, channel, contact, message, fact.at);
        let new = NewMessage { view, match_key, summary: message.text.clone(), extras: None };
        self.known.messages.insert(id, None);
        self.changes.received.insert(id, new);
        if !identities.is_empty() {
            let name = message.from.name.as_deref();
            let contact = self.person(&identities, name, id, fact.at);
            // A group's messages open nobody's window.
            if message.group_id.is_none() {
                let pair = Pair { channel: channel.clone(), contact };
                self.changes.turns.push(Turn {
                    pair,
                    message: id,
                    direction: Direction::Inbound,
                    at: message.at,
                });
            }
        }
        Trace::of(Some(id), vec!["received"])
    }
}
