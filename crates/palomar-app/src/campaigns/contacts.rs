//! Whom a campaign goes to, as it is written: numbers, ids of contacts, or objects with `phone` and what is known of them.

use palomar_model::Recipient;
use palomar_records::{ContactView, IdentityView, NewRecipient, Records};
use serde_json::{Map, Value};

use super::definition::Definition;
use super::zones;
use crate::AppError;

/// What is known of one recipient, as JSON.
const MOST_FIELDS: usize = 8 * 1024;
/// What a recipient's own fields may call their time zone.
const ZONE_FIELDS: [&str; 3] = ["timeZone", "timezone", "zone"];
/// What they may call their number or id.
const ADDRESS_FIELDS: [&str; 5] = ["phone", "to", "recipient", "number", "bsuid"];

/// Reads contacts. One that can't be reached is kept, with the reason: nobody is dropped silently.
///
/// # Errors
/// [`AppError::Invalid`] for what is no contact at all; where records don't answer.
pub(super) async fn read(
    contacts: Vec<Value>,
    definition: &Definition,
    default_region: Option<&str>,
    records: &Records,
) -> Result<Vec<NewRecipient>, AppError> {
    let mut read = Vec::with_capacity(contacts.len());
    for (contact, n) in contacts.into_iter().zip(0_usize..) {
        let entry = entry(contact, n)?;
        let (address, mut fields) = match entry {
            Entry::Address(address, fields) => (address, fields),
            Entry::Contact(id) => match records.contact(&id).await? {
                Some(known) => of_contact(known),
                None => {
                    read.push(unreachable(id, Map::new(), "unknown_contact"));
                    continue;
                }
            },
        };
        if serde_json::to_string(&fields).map_or(true, |text| text.len() > MOST_FIELDS) {
            let detail = format!("what is known of a contact may have {MOST_FIELDS} bytes");
            return Err(AppError::invalid(format!("/contacts/{n}"), detail));
        }
        match Recipient::parse(&address, default_region) {
            Ok(recipient) => {
                let zones = if definition.has_lanes() {
                    zones_of(&recipient, &fields, definition)
                } else {
                    String::new()
                };
                fields.entry("phone").or_insert_with(|| recipient.expose().into());
                read.push(NewRecipient {
                    recipient: recipient.expose().to_owned(),
                    match_key: recipient.key(),
                    fields,
                    zones,
                    left_out: None,
                });
            }
            Err(_) => read.push(unreachable(address, fields, "invalid_number")),
        }
    }
    Ok(read)
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
            let address = ADDRESS_FIELDS.iter().find_map(|name| match fields.get(*name) {
                Some(Value::String(text)) => Some(text.clone()),
                Some(Value::Number(number)) => Some(number.to_string()),
                _ => None,
            });
            if let Some(Value::Object(more)) = fields.remove("attributes") {
                fields.extend(more);
            }
            match (address, fields.get("id")) {
                (Some(address), _) => Ok(Entry::Address(address, fields)),
                (None, Some(Value::String(id))) => Ok(Entry::Contact(id.clone())),
                _ => Err(wrong("needs `phone`, or the `id` of a contact")),
            }
        }
        _ => Err(wrong("must be a number, the id of a contact, or an object with `phone`")),
    }
}

/// A number begins as one; what does not is an id of ours, or a business-scoped user id.
fn looks_like_an_address(text: &str) -> bool {
    let begins = text.trim_start().chars().next();
    begins.is_some_and(|c| c == '+' || c == '(')
        || palomar_model::Bsuid::parse(text.trim()).is_some()
        || (begins.is_some_and(|c| c.is_ascii_digit())
            && text.chars().all(|c| c.is_ascii_digit() || " ()-./".contains(c)))
}

/// A contact's best address, and what is known of them.
fn of_contact(contact: ContactView) -> (String, Map<String, Value>) {
    let rank = |identity: &&IdentityView| match identity.r#type.as_str() {
        "phone" => 0,
        "bsuid" => 1,
        _ => 2,
    };
    let best = contact.identities.iter().min_by_key(rank);
    let address = best.map(|identity| identity.value.clone()).unwrap_or_default();
    let mut fields = Map::new();
    fields.extend(contact.name.map(|name| ("name".to_owned(), name.into())));
    fields.insert("id".to_owned(), contact.id.into());
    (address, fields)
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
