//! Whom a campaign goes to, as it is written: numbers, ids of contacts, objects with `phone` and what is known of them; or
//! those contacts whom a filter or a segment means.

use std::collections::HashMap;

use palomar_model::attribute::{AttributeName, ConsentState};
use palomar_model::filter::Filter;
use palomar_model::{Recipient, Timestamp};
use palomar_records::{AudienceContact, CampaignRecipient, ContactIds, NewRecipient, Records, Whom};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::definition::Definition;
use super::zones;
use crate::{AppError, Caller};

/// Contacts that are read in one go.
pub(super) const PAGE: usize = 500;
/// What is known of one recipient, as JSON.
const MOST_FIELDS: usize = 8 * 1024;
/// What a recipient's own fields may call their time zone.
const ZONE_FIELDS: [&str; 3] = ["timezone", "time_zone", "zone"];
/// What they may call their number or id.
const ADDRESS_FIELDS: [&str; 5] = ["phone", "to", "recipient", "number", "bsuid"];

/// Contacts that are meant by what is known of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub enum AudienceInput {
    /// Those whom a filter means.
    Filter(String),
    /// Those of a segment, by its id or its name.
    Segment(String),
    /// All.
    All(bool),
}

impl AudienceInput {
    /// Which contacts these are.
    ///
    /// # Errors
    /// A filter that is none; a segment that there is not.
    pub(super) async fn whom(&self, records: &Records) -> Result<Whom, AppError> {
        match self {
            AudienceInput::Filter(text) => match Filter::parse(text) {
                Ok(filter) => Ok(Whom::Filter(filter)),
                Err(error) => Err(AppError::invalid("/audience/filter", error.to_string())),
            },
            AudienceInput::Segment(named) => match records.segment(named).await? {
                Some(segment) => Ok(Whom::Filter(segment.filter)),
                None => Err(AppError::invalid("/audience/segment", "there is no such segment")),
            },
            AudienceInput::All(true) => Ok(Whom::All),
            AudienceInput::All(false) => Err(AppError::invalid("/audience/all", "must be true")),
        }
    }

    /// How many they are now.
    ///
    /// # Errors
    /// As [`AudienceInput::whom`].
    pub(super) async fn count(&self, records: &Records, now: Timestamp) -> Result<u64, AppError> {
        let filter = match self.whom(records).await? {
            Whom::Filter(filter) => Some(filter),
            _ => None,
        };
        Ok(records.audience_count(filter, now).await?)
    }
}

/// Refuses those who may not see everybody.
pub(super) fn may_see_all(caller: &Caller) -> Result<(), AppError> {
    if caller.channels.is_none() {
        return Ok(());
    }
    Err(AppError::Forbidden(
        "this key is bound to channels, and contacts are everybody's: give numbers instead",
    ))
}

/// Reads contacts. One that can't be reached is kept, with the reason: nobody is dropped silently.
///
/// # Errors
/// [`AppError::Invalid`] for what is no contact at all; where records don't answer.
pub(super) async fn read(
    contacts: Vec<Value>,
    definition: &Definition,
    default_region: Option<&str>,
    records: &Records,
    caller: &Caller,
    now: Timestamp,
) -> Result<Vec<NewRecipient>, AppError> {
    let entries = contacts.into_iter().zip(0..).map(|(contact, n)| entry(contact, n));
    let entries = entries.collect::<Result<Vec<_>, _>>()?;
    if entries.iter().any(|entry| matches!(entry, Entry::Contact(_))) {
        may_see_all(caller)?;
    }
    let known = known(&entries, records, now).await?;
    let mut read = Vec::with_capacity(entries.len());
    for (entry, n) in entries.into_iter().zip(0_usize..) {
        let recipient = match entry {
            Entry::Address(address, fields) => {
                if serde_json::to_string(&fields).map_or(true, |text| text.len() > MOST_FIELDS) {
                    let detail = format!("what is known of a contact may have {MOST_FIELDS} bytes");
                    return Err(AppError::invalid(format!("/contacts/{n}"), detail));
                }
                match Recipient::parse(&address, default_region) {
                    Ok(recipient) => reachable(&recipient, fields, definition),
                    Err(_) => unreachable(address, fields, "invalid_number"),
                }
            }
            Entry::Contact(id) => match known.get(&id) {
                Some(contact) => of_audience(contact.clone(), definition),
                None => unreachable(id, Map::new(), "unknown_contact"),
            },
        };
        read.push(recipient);
    }
    Ok(read)
}

/// The contacts that are named by their ids.
async fn known(
    entries: &[Entry],
    records: &Records,
    now: Timestamp,
) -> Result<HashMap<String, AudienceContact>, AppError> {
    let ids: ContactIds = entries
        .iter()
        .filter_map(|entry| match entry {
            Entry::Contact(id) => Some(id.clone()),
            Entry::Address(..) => None,
        })
        .collect();
    let (mut known, mut after) = (HashMap::new(), None);
    if ids.is_empty() {
        return Ok(known);
    }
    loop {
        let page = records.audience(Whom::Ids(ids.clone()), after, PAGE, now).await?;
        known.extend(page.contacts.into_iter().map(|contact| (contact.id.clone(), contact)));
        after = page.next;
        if after.is_none() {
            return Ok(known);
        }
    }
}

fn reachable(recipient: &Recipient, mut fields: Map<String, Value>, definition: &Definition) -> NewRecipient {
    let zones = if definition.has_lanes() { zones_of(recipient, &fields, definition) } else { String::new() };
    fields.entry("phone").or_insert_with(|| recipient.expose().into());
    NewRecipient {
        recipient: recipient.expose().to_owned(),
        match_key: recipient.key(),
        fields,
        zones,
        left_out: None,
    }
}

enum Entry {
    Address(String, Map<String, Value>),
    Contact(String),
}

fn entry(contact: Value, n: usize) -> Result<Entry, AppError> {
    let wrong = |detail: &str| AppError::invalid(format!("/contacts/{n}"), detail);
    match contact {
        Value::String(text) if looks_like_an_address(&text) => Ok(Entry::Address(text, Map::new())),
        Value::String(id) => Ok(Entry::Contact(id)),
        Value::Number(number) if number.is_u64() => Ok(Entry::Address(number.to_string(), Map::new())),
        Value::Object(mut fields) => {
            let attributes = fields.remove("attributes");
            let address = ADDRESS_FIELDS.iter().find_map(|name| match fields.get(*name) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            });
            if let Some(Value::Object(more)) = attributes {
                fields.extend(more);
            }
            match (address, fields.get("id")) {
                (Some(address), _) => Ok(Entry::Address(address, by_name(fields))),
                (None, Some(Value::String(id))) => Ok(Entry::Contact(id.clone())),
                _ => Err(wrong("needs `phone`, or the `id` of a contact")),
            }
        }
        _ => Err(wrong("must be a number, the id of a contact, or an object with `phone`")),
    }
}

/// What is known, under the names that a text asks for it by.
fn by_name(fields: Map<String, Value>) -> Map<String, Value> {
    let named = fields.into_iter().map(|(name, value)| match AttributeName::variable(&name) {
        Ok(known) => (known.as_str().to_owned(), value),
        Err(_) => (name, value),
    });
    named.collect()
}

/// A number begins as one; what does not is an id of ours, or a business-scoped user id.
fn looks_like_an_address(text: &str) -> bool {
    let begins = text.trim_start().chars().next();
    begins.is_some_and(|c| c == '+' || c == '(')
        || palomar_model::Bsuid::parse(text.trim()).is_some()
        || (begins.is_some_and(|c| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || " ()-./".contains(c)))
}

/// A contact, with what is known of them.
pub(super) fn of_audience(contact: AudienceContact, definition: &Definition) -> NewRecipient {
    let recipient = contact.recipient();
    let mut fields = Map::new();
    for (name, value) in contact.attributes.iter() {
        fields.insert(name.as_str().to_owned(), serde_json::to_value(value).unwrap_or_default());
    }
    fields.extend(contact.name.map(|name| ("name".to_owned(), name.into())));
    fields.insert("id".to_owned(), contact.id.as_str().into());
    match recipient {
        None => unreachable(contact.id, fields, "invalid_number"),
        Some(recipient) => {
            let left_out = (contact.consent.state == ConsentState::Denied).then_some("no_consent");
            NewRecipient { left_out, ..reachable(&recipient, fields, definition) }
        }
    }
}

fn zones_of(recipient: &Recipient, fields: &Map<String, Value>, definition: &Definition) -> String {
    let own = ZONE_FIELDS.iter().find_map(|name| fields.get(*name)?.as_str()?.parse().ok());
    match own {
        Some(zone) => palomar_model::ZoneName::to_string(&zone),
        None => match zones::of(recipient) {
            [] => definition.zone.to_string(),
            zones => zones.join(" "),
        },
    }
}

/// Somebody who was in another campaign.
pub(super) fn again(one: CampaignRecipient, definition: &Definition) -> NewRecipient {
    match Recipient::parse(&one.recipient, None) {
        Ok(recipient) => reachable(&recipient, one.fields, definition),
        Err(_) => unreachable(one.recipient, one.fields, "invalid_number"),
    }
}

/// Somebody who can't be written to: still one of the snapshot.
fn unreachable(address: String, fields: Map<String, Value>, reason: &'static str) -> NewRecipient {
    NewRecipient {
        match_key: format!("!{address}"),
        recipient: address,
        fields,
        zones: String::new(),
        left_out: Some(reason),
    }
}

/// Somebody who would be in a campaign.
pub(super) fn as_recipient(new: NewRecipient) -> CampaignRecipient {
    CampaignRecipient {
        lane: 0,
        place: 0,
        recipient: new.recipient,
        fields: new.fields,
        left_out: new.left_out.map(str::to_owned),
    }
}
