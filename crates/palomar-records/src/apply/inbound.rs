//! Messages that people wrote. The provider's id is the identity: however often it comes, it takes effect once.

use palomar_model::{InboundMessage, MessageId};

use super::{Batch, Trace};
use crate::error::Result;
use crate::fact::RecordFact;
use crate::tables::conversations::{self, Turn};
use crate::tables::messages::{self, Direction};
use crate::tables::{contacts, provider_ids};

impl Batch<'_> {
    /// Keeps a message, its sender and its place in the conversation. `None` where it came before.
    pub(super) fn inbound(
        &mut self,
        fact: &RecordFact,
        id: MessageId,
        message: &InboundMessage,
    ) -> Result<Option<Trace>> {
        let Some(channel) = &fact.channel else {
            return Ok(Trace::of(None, Vec::new()));
        };
        if !provider_ids::add(self.connection, channel, &message.provider_id, id)? {
            return Ok(None);
        }
        let identities = contacts::of_sender(&message.from);
        let (contact, key) = identities
            .first()
            .map(|known| (known.value.clone(), known.match_key.clone()))
            .unwrap_or_default();
        let view = messages::received_view(id, channel, contact, message, fact.at);
        messages::insert(self.connection, &view, &key, message.text.as_deref(), None)?;
        if !identities.is_empty() {
            let name = message.from.name.as_deref();
            let contact = contacts::ensure(self.connection, &identities, name, id, fact.at)?;
            // A group's messages open nobody's window.
            if message.group_id.is_none() {
                let turn = Turn {
                    channel,
                    contact: &contact,
                    message: id,
                    direction: Direction::Inbound,
                    at: message.at,
                };
                conversations::note(self.connection, &turn)?;
            }
        }
        Ok(Trace::of(Some(id), vec!["received"]))
    }
}
