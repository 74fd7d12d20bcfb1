//! Who somebody is.

use palomar_model::{MessageId, Timestamp};

use super::Batch;
use crate::store::clean;
use crate::tables::contacts::Identity;

impl Batch<'_> {
    /// The contact that has one of these identities; a new one with the id of the message that introduces it where none
    /// has. Identities that were not known are added to it.
    pub(super) fn person(
        &mut self,
        identities: &[Identity],
        name: Option<&str>,
        introduced_by: MessageId,
        at: Timestamp,
    ) -> String {
        let known = identities.iter().find_map(|identity| self.known.contacts.get(&identity.key()));
        let contact = known.cloned().unwrap_or_else(|| {
            let id = introduced_by.to_string();
            self.changes.contacts.insert(id.clone(), at);
            id
        });
        for identity in identities {
            self.identify(identity, &contact);
        }
        if let Some(name) = name {
            self.rename(&contact, clean(name), at);
        }
        contact
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
            self.known.contacts.insert(key.clone(), contact.to_owned());
            self.changes.identities.insert(key, (identity.clone(), contact.to_owned()));
        }
    }
}
