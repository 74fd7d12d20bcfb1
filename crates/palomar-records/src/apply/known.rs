//! The rows that a batch of facts touches, as they stand: read together before the fold, kept up to date by it.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use palomar_model::{MessageId, MessageState, Sender, Timestamp};

use crate::error::Result;
use crate::fact::{RecordFact, What};
use crate::store::Db;
use crate::tables::contacts::{self, KnownBy, MatchKey};
use crate::tables::early_statuses::{self, Early};
use crate::tables::inbound_seen::{self, Seen};
use crate::tables::messages::{self, Head, NewMessage};
use crate::tables::provider_ids::{self, Named};

/// What is known.
#[derive(Default)]
pub(super) struct Known {
    /// Messages; nothing beside the id of one that is inbound.
    pub(super) messages: BTreeMap<MessageId, Option<Slot>>,
    /// What providers call them.
    pub(super) names: HashMap<Named, MessageId>,
    /// Reports that wait for their message.
    pub(super) early: HashMap<Named, Vec<Waiting>>,
    /// Events that took effect.
    pub(super) seen: HashSet<Seen>,
    /// Who is known by what.
    pub(super) contacts: HashMap<MatchKey, String>,
    /// What they are called.
    pub(super) called: HashMap<String, String>,
    /// Since when they are known.
    pub(super) since: HashMap<String, Timestamp>,
    /// The business-scoped ids that they have.
    pub(super) bsuids: HashMap<String, BTreeSet<String>>,
}

/// An outbound message.
pub(super) struct Slot {
    pub(super) head: Head,
    /// Where it stood before this batch of facts; none where it is new.
    pub(super) was: Option<MessageState>,
    pub(super) row: Row,
}

/// What becomes of its row.
pub(super) enum Row {
    /// There is none yet.
    New(Box<NewMessage>),
    /// It is as it was read.
    Stored,
    /// It is to be written.
    Changed,
}

/// A report that waits.
pub(super) struct Waiting {
    pub(super) early: Early,
    /// Whether it is in the table: it came in an earlier batch.
    pub(super) stored: bool,
}

impl Known {
    /// Reads all that the fold of these facts may ask for.
    pub(super) fn load(db: Db<'_>, facts: &[&RecordFact]) -> Result<Known> {
        let mut known = Known::default();
        known.load_messages(db, &mentioned(facts))?;
        let wanted = Wanted::of(facts, &known);
        known.names = provider_ids::find(db, wanted.names.iter())?;
        for early in early_statuses::find(db, wanted.sent.iter())? {
            let waiting = Waiting { early, stored: true };
            known.early.entry(waiting.early.of.clone()).or_default().push(waiting);
        }
        known.seen = inbound_seen::find(db, wanted.seen.iter())?;
        known.load_people(db, &wanted.identities)?;
        // Found by their names only.
        let more: BTreeSet<_> = known.names.values().copied().collect();
        known.load_messages(db, &more)?;
        let answered = known.may_answer(facts);
        known.load_people(db, &answered)?;
        Ok(known)
    }

    /// Whom messages are for that may leave by these facts, for the first time, and answer somebody.
    fn may_answer(&self, facts: &[&RecordFact]) -> BTreeSet<MatchKey> {
        let leaving = |fact: &&&RecordFact| match (&fact.what, &fact.channel) {
            (What::Sent { .. } | What::Done, _) => fact.message,
            (What::Reported(report), Some(channel)) => {
                let named = Named::of(channel, &report.provider_id);
                report.tag.map(|tag| tag.message).or_else(|| self.names.get(&named).copied())
            }
            _ => None,
        };
        let heads = facts.iter().filter_map(|fact| self.head(leaving(&fact)?));
        let first = heads.filter(|head| head.sent_at.is_none() && head.campaign.is_none());
        let keys = first.map(|head| contacts::of_match_key(&head.match_key));
        keys.filter(|key| !self.contacts.contains_key(key)).collect()
    }

    /// Whom these identities lead to. What else they are known by matters where a business-scoped id came.
    fn load_people(&mut self, db: Db<'_>, identities: &BTreeSet<MatchKey>) -> Result<()> {
        for contacts::Found { key, contact, name, since } in contacts::find(db, identities.iter())? {
            self.called.extend(name.map(|name| (contact.clone(), name)));
            self.since.insert(contact.clone(), since);
            self.contacts.insert(key, contact);
        }
        if identities.iter().any(|(known_by, _)| *known_by == KnownBy::Bsuid) {
            for (contact, bsuid) in contacts::bsuids(db, self.since.keys())? {
                self.bsuids.entry(contact).or_default().insert(bsuid);
            }
        }
        Ok(())
    }

    fn load_messages(&mut self, db: Db<'_>, ids: &BTreeSet<MessageId>) -> Result<()> {
        let missing = ids.iter().filter(|id| !self.messages.contains_key(id));
        let found = messages::heads(db, missing)?;
        self.messages.extend(
            found.into_iter().map(|(id, head)| {
                (id, head.map(|head| Slot { was: Some(head.state), head, row: Row::Stored }))
            }),
        );
        Ok(())
    }

    /// An outbound message as it stands after the facts of this batch so far.
    pub(super) fn head(&self, id: MessageId) -> Option<&Head> {
        self.messages.get(&id)?.as_ref().map(|slot| &slot.head)
    }

    /// The same, to be changed.
    pub(super) fn change(&mut self, id: MessageId) -> Option<&mut Head> {
        let slot = self.messages.get_mut(&id)?.as_mut()?;
        if matches!(slot.row, Row::Stored) {
            slot.row = Row::Changed;
        }
        Some(&mut slot.head)
    }
}

/// The messages that facts name.
fn mentioned(facts: &[&RecordFact]) -> BTreeSet<MessageId> {
    let tagged = |what: &What| match what {
        What::Reported(report) => report.tag.map(|tag| tag.message),
        What::Accepted { message, .. } => Some(message.id),
        _ => None,
    };
    facts.iter().flat_map(|fact| [fact.message, tagged(&fact.what)]).flatten().collect()
}

/// What is to be read once the messages are known.
#[derive(Default)]
struct Wanted {
    names: BTreeSet<Named>,
    /// Those of messages that are sent now.
    sent: BTreeSet<Named>,
    seen: BTreeSet<Seen>,
    identities: BTreeSet<MatchKey>,
}

impl Wanted {
    fn person(&mut self, who: &Sender) {
        self.identities.extend(contacts::of_sender(who).iter().map(contacts::Identity::key));
    }

    fn of(facts: &[&RecordFact], known: &Known) -> Wanted {
        let mut wanted = Wanted::default();
        // Channel and recipient of messages that this batch brings.
        let mut accepted = HashMap::new();
        for fact in facts {
            if let (Some(once), Some(channel)) = (&fact.once, &fact.channel) {
                wanted.seen.insert(Seen::of(channel, once));
            }
            match (&fact.what, &fact.channel) {
                (What::Accepted { message, .. }, _) => {
                    let identity = contacts::of_recipient(&message.to);
                    accepted.insert(message.id, (&message.channel, identity.match_key.clone()));
                    wanted.identities.insert(identity.key());
                }
                (What::Reported(report), Some(channel)) => {
                    wanted.names.insert(Named::of(channel, &report.provider_id));
                    wanted.seen.insert(super::report::identity(channel, report));
                }
                (What::Inbound { message, .. }, Some(channel)) => {
                    wanted.names.insert(Named::of(channel, &message.provider_id));
                    wanted.person(&message.from);
                    wanted.seen.extend(super::inbound::likenesses(channel, message));
                }
                (What::Echoed { echo, .. }, Some(channel)) => {
                    wanted.names.insert(Named::of(channel, &echo.message.provider_id));
                    wanted.person(&echo.to);
                }
                (What::Changed(change), Some(channel)) => {
                    wanted.names.insert(Named::of(channel, &change.of));
                    wanted.seen.extend(change.identity().map(|identity| Seen::of(channel, &identity)));
                }
                (What::Person { news, .. }, _) => {
                    std::iter::once(&news.who).chain(&news.formerly).for_each(|who| wanted.person(who));
                }
                (What::Consent(consent), Some(channel)) => {
                    wanted.seen.insert(Seen::of(channel, &consent.identity));
                }
                (What::Sent { provider_id, alias }, _) => {
                    let Some(id) = fact.message else { continue };
                    let stored = known.head(id).map(|head| (&head.channel, head.match_key.clone()));
                    let Some((channel, match_key)) = stored.or_else(|| accepted.get(&id).cloned()) else {
                        continue;
                    };
                    let named = Named::of(channel, provider_id);
                    wanted.sent.insert(named.clone());
                    wanted.names.insert(named);
                    if let Some(alias) = alias {
                        wanted.identities.insert(contacts::of_alias(alias).key());
                        wanted.identities.extend(KnownBy::ALL.map(|known_by| (known_by, match_key.clone())));
                    }
                }
                _ => {}
            }
        }
        wanted
    }
}
