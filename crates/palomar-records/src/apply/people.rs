//! Who somebody is.
//!
//! Ids that come together are one person's, so that contacts that had them apart become one. The exception is a number
//! whose contact is known by another business-scoped id: that id does not change hands, a number does.

use std::collections::BTreeSet;

use palomar_model::{MessageId, PersonNews, Timestamp};

use super::changes::Merged;
use super::{Batch, Trace};
use crate::store::clean;
use crate::tables::contacts::{self, Identity, KnownBy};

impl Batch<'_> {
    /// The contact that has these identities; a new one with the id of the message that introduces it where none has.
    /// Identities that were not known are added to it.
    pub(super) fn person(
        &mut self,
        identities: &[Identity],
        name: Option<&str>,
        introduced_by: MessageId,
        at: Timestamp,
    ) -> String {
        let others = self.others(identities);
        let found = self.found(identities).into_iter().filter(|contact| !others.contains(contact)).collect();
        let contact = self.one_of(found, introduced_by, at);
        for identity in identities {
            let taken = self.known.contacts.get(&identity.key()).is_some_and(|owner| others.contains(owner));
            if taken { self.reassign(identity, &contact) } else { self.identify(identity, &contact) }
        }
        if let Some(name) = name {
            self.rename(&contact, clean(name), at);
        }
        contact
    }

    /// News of a person: what they are called now, and ids that they had before, which lead to them still.
    pub(super) fn person_news(&mut self, id: MessageId, news: &PersonNews, at: Timestamp) -> Option<Trace> {
        let mut identities = contacts::of_sender(&news.who);
        let former = news.formerly.iter().flat_map(contacts::of_sender);
        identities.extend(former.filter(|identity| !identities_have(&news.who, identity)));
        if identities.is_empty() {
            return Trace::of(None, Vec::new());
        }
        // That these ids are one person's is what the news says: nobody is another here.
        let found = self.found(&identities);
        let contact = self.one_of(found, id, at);
        identities.iter().for_each(|identity| self.identify(identity, &contact));
        if let Some(name) = &news.who.name {
            self.rename(&contact, clean(name), at);
        }
        Trace::of(None, Vec::new())
    }

    /// The contacts that these identities lead to.
    fn found(&self, identities: &[Identity]) -> BTreeSet<String> {
        identities.iter().filter_map(|identity| self.known.contacts.get(&identity.key()).cloned()).collect()
    }

    /// Those of them that are somebody else: known by business-scoped ids, and by none of these.
    fn others(&self, identities: &[Identity]) -> BTreeSet<String> {
        let own: Vec<_> = identities.iter().filter(|identity| identity.known_by == KnownBy::Bsuid).collect();
        if own.is_empty() {
            return BTreeSet::new();
        }
        let mut found = self.found(identities);
        found.retain(|contact| {
            let theirs = self.known.bsuids.get(contact);
            theirs.is_some_and(|theirs| !own.iter().any(|identity| theirs.contains(&identity.match_key)))
        });
        found
    }

    /// One contact of those found: the oldest, with all that the others had; a new one where there is none.
    fn one_of(&mut self, found: BTreeSet<String>, introduced_by: MessageId, at: Timestamp) -> String {
        let since = |contact: &String| self.known.since.get(contact).copied().unwrap_or(Timestamp::MAX);
        let oldest = found.iter().min_by_key(|contact| (since(contact), (*contact).clone())).cloned();
        let Some(contact) = oldest else {
            let id = introduced_by.to_string();
            self.known.since.insert(id.clone(), at);
            self.changes.contacts.insert(id.clone(), at);
            return id;
        };
        for other in found.into_iter().filter(|other| *other != contact) {
            self.merge(&other, &contact, at);
        }
        contact
    }

    fn merge(&mut self, loser: &str, winner: &str, at: Timestamp) {
        let give = |owner: &mut String| {
            if owner == loser {
                winner.clone_into(owner);
            }
        };
        self.known.contacts.values_mut().for_each(give);
        if let Some(bsuids) = self.known.bsuids.remove(loser) {
            self.known.bsuids.entry(winner.to_owned()).or_default().extend(bsuids);
        }
        self.changes.identities.values_mut().for_each(|(_, owner)| give(owner));
        self.changes.reassigned.values_mut().for_each(|(_, owner)| give(owner));
        self.changes.turns.iter_mut().for_each(|turn| give(&mut turn.pair.contact));
        if let Some(name) = self.known.called.get(loser).cloned()
            && !self.known.called.contains_key(winner)
        {
            self.rename(winner, name, at);
        }
        let before = self.changes.turns.len();
        let (loser, winner) = (loser.to_owned(), winner.to_owned());
        self.changes.merged.push(Merged { loser, winner, at, before });
    }

    /// The name in their profile stands until somebody changes it there.
    fn rename(&mut self, contact: &str, name: String, at: Timestamp) {
        if self.known.called.get(contact) != Some(&name) {
            self.known.called.insert(contact.to_owned(), name.clone());
            self.changes.renamed.insert(contact.to_owned(), (name, at));
        }
    }

    /// Adds an identity to a contact, unless somebody has it.
    pub(super) fn identify(&mut self, identity: &Identity, contact: &str) {
        let key = identity.key();
        if !self.known.contacts.contains_key(&key) {
            self.own(identity, contact);
            self.changes.identities.insert(key, (identity.clone(), contact.to_owned()));
        }
    }

    /// Takes an identity from the contact that has it.
    fn reassign(&mut self, identity: &Identity, contact: &str) {
        self.own(identity, contact);
        let owned = (identity.clone(), contact.to_owned());
        match self.changes.identities.get_mut(&identity.key()) {
            Some(new) => *new = owned,
            None => drop(self.changes.reassigned.insert(identity.key(), owned)),
        }
    }

    fn own(&mut self, identity: &Identity, contact: &str) {
        self.known.contacts.insert(identity.key(), contact.to_owned());
        if identity.known_by == KnownBy::Bsuid {
            let theirs = self.known.bsuids.entry(contact.to_owned()).or_default();
            theirs.insert(identity.match_key.clone());
        }
    }
}

fn identities_have(who: &palomar_model::Sender, identity: &Identity) -> bool {
    contacts::of_sender(who).contains(identity)
}
