//! How contacts are kept: those that are new with their number, and what the business says of those that are known.
//!
//! What always holds: of one number there is one contact, however often and in whatever spelling it comes; keeping the
//! same again changes nothing.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::attribute::{AttributeName, AttributeValue, BadAttribute, ConsentState, MOST_TAGS, Tag};
use palomar_model::{Recipient, Timestamp};

use crate::error::{RecordsError, Result};
use crate::store::table::text;
use crate::store::{Db, Rows, values};
use crate::tables::contacts::{self, Identity, KnownBy};
use crate::tables::profiles::{self, ContactConsent, Profile};

/// What the business says of somebody; what is not said stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ContactChange {
    /// What it calls them; by their own name, where the text is empty.
    pub name: Option<String>,
    /// Attributes; one of none is taken away.
    pub attributes: Vec<(AttributeName, Option<AttributeValue>)>,
    /// Tags that they get.
    pub tags: Vec<Tag>,
    /// Tags that are taken from them.
    pub untag: Vec<Tag>,
    /// Whether they agreed.
    pub consent: Option<ConsentChange>,
}

/// Whether somebody agreed to be written to, and who says so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConsentChange {
    /// Whether they did.
    pub state: ConsentState,
    /// Where they did, or who says so.
    pub source: Option<String>,
    /// When; now, where not said.
    pub at: Option<Timestamp>,
}

/// Somebody who may be new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewContact {
    /// The id that they get, where they are new.
    pub id: String,
    /// Their number or business-scoped id.
    pub to: Recipient,
    /// What is said of them.
    pub says: ContactChange,
}

/// What became of a contact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Put {
    /// It is new.
    Added {
        /// Its id.
        id: String,
    },
    /// It was known, and is another now. One that changed before at this same time, by an earlier row of the same
    /// file, is a repeated one.
    Changed {
        /// Its id.
        id: String,
        /// Whether it changed before at this same time.
        repeated: bool,
    },
    /// It was known just so.
    Unchanged {
        /// Its id.
        id: String,
        /// Whether it changed before at this same time.
        repeated: bool,
    },
    /// There would be too much of it: it stays as it was.
    Refused(BadAttribute),
}

impl Put {
    /// The contact's id.
    #[must_use]
    pub fn id(&self) -> Option<&str> {
        match self {
            Put::Added { id } | Put::Changed { id, .. } | Put::Unchanged { id, .. } => Some(id),
            Put::Refused(_) => None,
        }
    }
}

impl ContactChange {
    /// A profile with this said.
    fn over(&self, profile: &Profile, now: Timestamp) -> Result<Profile, BadAttribute> {
        let given_name = match self.name.as_deref().map(str::trim) {
            None => profile.given_name.clone(),
            Some("") => None,
            Some(name) => match AttributeValue::text(name)? {
                AttributeValue::Text(name) => Some(name),
                AttributeValue::Number(_) | AttributeValue::Flag(_) => None,
            },
        };
        let attributes = profile.attributes.with(self.attributes.iter().cloned())?;
        let mut tags: BTreeSet<Tag> = profile.tags.clone();
        tags.retain(|tag| !self.untag.contains(tag));
        tags.extend(self.tags.iter().cloned());
        if tags.len() > MOST_TAGS {
            return Err(BadAttribute::TooManyTags);
        }
        let consent = match &self.consent {
            None => profile.consent.clone(),
            Some(said) => {
                // Who said the same before said it then.
                let same = said.state == profile.consent.state && said.source == profile.consent.source;
                let before = profile.consent.at.filter(|_| same);
                ContactConsent {
                    state: said.state,
                    source: said.source.clone(),
                    at: said.at.or(before).or_else(|| (said.state != ConsentState::Unknown).then_some(now)),
                }
            }
        };
        Ok(Profile { given_name, attributes, tags, consent })
    }
}

/// A contact in the making.
struct Slot {
    profile: Profile,
    state: State,
    repeated: bool,
}

/// Contacts by their ids, and to which of them a number or an account leads: several may lead to one.
#[derive(Default)]
struct Slots {
    ids: BTreeMap<String, String>,
    slots: BTreeMap<String, Slot>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    New,
    Known,
    Changed,
}

pub(super) fn put(db: Db<'_>, new: &[NewContact], now: Timestamp) -> Result<Vec<Put>> {
    let identities: Vec<Identity> = new.iter().map(|one| contacts::of_recipient(&one.to)).collect();
    let mut known = known(db, &identities, now)?;
    let became = new.iter().zip(&identities).map(|(one, identity)| known.put(one, identity, now)).collect();
    write(db, &known, &identities, now)?;
    Ok(became)
}

impl Slots {
    fn put(&mut self, one: &NewContact, identity: &Identity, now: Timestamp) -> Put {
        let id = self.ids.get(&identity.match_key).cloned();
        let slot = id.and_then(|id| Some((self.slots.get_mut(&id)?, id)));
        let before = slot.as_ref().map_or_else(Profile::default, |(slot, _)| slot.profile.clone());
        match (one.says.over(&before, now), slot) {
            (Err(why), _) => Put::Refused(why),
            (Ok(profile), Some((slot, id))) => slot.say(id, profile),
            (Ok(profile), None) => {
                let slot = Slot { profile, state: State::New, repeated: true };
                self.ids.insert(identity.match_key.clone(), one.id.clone());
                self.slots.insert(one.id.clone(), slot);
                Put::Added { id: one.id.clone() }
            }
        }
    }
}

impl Slot {
    /// Gives it another profile; what became of it.
    fn say(&mut self, id: String, profile: Profile) -> Put {
        let repeated = self.repeated;
        if profile == self.profile {
            return Put::Unchanged { id, repeated };
        }
        self.profile = profile;
        self.repeated = true;
        if self.state == State::Known {
            self.state = State::Changed;
        }
        Put::Changed { id, repeated }
    }
}

/// The contacts that are known by these identities, whatever the identity's type: a number and the provider's spelling of
/// an account are found by the same key.
fn known(db: Db<'_>, identities: &[Identity], now: Timestamp) -> Result<Slots> {
    let mut wanted = Rows::of(const { &[text("match_key")] });
    let keys: BTreeSet<_> = identities.iter().map(|identity| identity.match_key.as_str()).collect();
    keys.into_iter().for_each(|key| wanted.push(values![key]));
    let text = format!(
        "SELECT i.match_key AS match_key, i.type AS type, c.id AS id, c.updated_at AS updated_at, {}
         FROM {{wanted}} JOIN contact_identities AS i
             ON i.type IN ('phone', 'bsuid', 'wa_id') AND i.match_key = wanted.match_key
         JOIN contacts AS c ON c.id = i.contact_id
         ORDER BY CASE i.type WHEN 'wa_id' THEN 1 ELSE 2 END",
        profiles::COLUMNS
    );
    let found = db.find(&text, &wanted, |row| {
        let repeated = row.time("updated_at")? == now;
        let slot = Slot { profile: profiles::of(row)?, state: State::Known, repeated };
        Ok((row.get::<String>("match_key")?, row.get::<String>("id")?, slot))
    })?;
    let mut known = Slots::default();
    for (match_key, id, slot) in found {
        // The last one of a key stays: the number itself, where both are known.
        known.ids.insert(match_key, id.clone());
        known.slots.insert(id, slot);
    }
    Ok(known)
}

fn write(db: Db<'_>, known: &Slots, identities: &[Identity], now: Timestamp) -> Result<()> {
    let slots = || known.slots.iter();
    let new = slots().filter(|(_, slot)| slot.state == State::New);
    let new: BTreeMap<&String, &Timestamp> = new.map(|(id, _)| (id, &now)).collect();
    let changed = slots().filter(|(_, slot)| slot.state != State::Known);
    let changed: BTreeMap<&str, &Profile> = changed.map(|(id, slot)| (id.as_str(), &slot.profile)).collect();
    let owned: BTreeMap<(KnownBy, &str), (&Identity, &String)> = identities
        .iter()
        .filter_map(|identity| {
            let id = known.ids.get(&identity.match_key)?;
            Some(((identity.known_by, identity.match_key.as_str()), (identity, id)))
        })
        .collect();
    db.write(vec![
        contacts::add(new.into_iter()),
        contacts::identify(owned.into_values()),
        profiles::put(changed.into_iter(), now)?,
    ])
}

pub(super) fn change(db: Db<'_>, id: &str, change: &ContactChange, now: Timestamp) -> Result<Put> {
    let found = by_ids(db, &[id.to_owned()])?.into_iter().next();
    let (id, before) = found.ok_or(RecordsError::NotFound("contact"))?;
    let profile = match change.over(&before, now) {
        Ok(profile) => profile,
        Err(why) => return Ok(Put::Refused(why)),
    };
    if profile == before {
        return Ok(Put::Unchanged { id, repeated: false });
    }
    db.write(vec![profiles::put(std::iter::once((id.as_str(), &profile)), now)?])?;
    Ok(Put::Changed { id, repeated: false })
}

pub(super) fn tag(db: Db<'_>, ids: &[String], add: &[Tag], remove: &[Tag], now: Timestamp) -> Result<u64> {
    let says = ContactChange { tags: add.to_vec(), untag: remove.to_vec(), ..ContactChange::default() };
    let mut changed = BTreeMap::new();
    for (id, before) in by_ids(db, ids)? {
        // Who has as many as there may be keeps those.
        if let Ok(profile) = says.over(&before, now)
            && profile != before
        {
            changed.insert(id, profile);
        }
    }
    db.write(vec![profiles::put(changed.iter().map(|(id, profile)| (id.as_str(), profile)), now)?])?;
    Ok(changed.len() as u64)
}

/// Contacts by their ids, also by those of contacts that turned out to be them.
fn by_ids(db: Db<'_>, ids: &[String]) -> Result<BTreeMap<String, Profile>> {
    let mut wanted = Rows::of(const { &[text("asked")] });
    let different: BTreeSet<_> = ids.iter().collect();
    different.into_iter().for_each(|id| wanted.push(values![id.as_str()]));
    let text = format!(
        "SELECT c.id AS id, {} FROM {{wanted}} JOIN contacts AS named ON named.id = wanted.asked
         JOIN contacts AS c ON c.id = COALESCE(named.merged_into, named.id)",
        profiles::COLUMNS
    );
    let found = db.find(&text, &wanted, |row| Ok((row.get("id")?, profiles::of(row)?)))?;
    Ok(found.into_iter().collect())
}
