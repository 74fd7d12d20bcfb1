//! Stretches of an audience: the contacts in the order of their ids, with all that is in other tables.

use std::collections::BTreeMap;

use palomar_model::Timestamp;
use palomar_model::filter::Filter;

use super::{AudienceContact, AudiencePage, ContactIds, ConversationFacts, SuppressedOn, Whom, filter};
use crate::error::Result;
use crate::list::Conditions;
use crate::store::table::text;
use crate::store::{Db, Row, Rows, values};
use crate::tables::{json, parsed, profiles};

/// So many contacts are looked at for one page.
const MOST_LOOKED_AT: u64 = 20_000;

const OWN: &str = "c.id AS id, c.name AS name, c.created_at AS created_at";

pub(super) fn audience(
    db: Db<'_>,
    whom: &Whom,
    after: Option<&str>,
    limit: usize,
    suppressing: bool,
    now: Timestamp,
) -> Result<AudiencePage> {
    let mut page = match whom {
        Whom::All => meant(db, None, after, limit, now)?,
        Whom::Filter(filter) => meant(db, Some(filter), after, limit, now)?,
        Whom::Ids(ids) => named(db, ids, after, limit)?,
    };
    complete(db, &mut page.contacts, suppressing)?;
    Ok(page)
}

/// The condition that all of a filter's contacts, and no others, meet.
fn condition(db: Db<'_>, filter: Option<&Filter>, now: Timestamp) -> Conditions {
    let mut wanted = Conditions::new();
    let filter = filter.map(|filter| filter::sql(db, filter, now, &mut wanted));
    wanted.sql.push_str(" WHERE c.merged_into IS NULL");
    if let Some(filter) = filter {
        wanted.sql.push_str(" AND ");
        wanted.sql.push_str(&filter);
    }
    wanted
}

fn meant(
    db: Db<'_>,
    filter: Option<&Filter>,
    after: Option<&str>,
    limit: usize,
    now: Timestamp,
) -> Result<AudiencePage> {
    let end = end_of_look(db, after)?;
    let mut wanted = condition(db, filter, now);
    if let Some(after) = after {
        wanted.and("c.id > ?", after);
    }
    if let Some(end) = &end {
        wanted.and("c.id <= ?", end.as_str());
    }
    let most = wanted.bind(limit as u64);
    let text = format!(
        "SELECT {OWN}, {} FROM contacts AS c{} ORDER BY c.id LIMIT {most}",
        profiles::COLUMNS,
        wanted.sql
    );
    let contacts = db.rows(&text, &wanted.values, contact)?;
    let full = contacts.last().filter(|_| contacts.len() == limit).map(|last| last.id.clone());
    Ok(AudiencePage { contacts, unknown: Vec::new(), next: full.or(end) })
}

/// The id up to which contacts are looked at for one page, where there are more: a filter that means hardly anybody must
/// not make one page as long as all of them.
fn end_of_look(db: Db<'_>, after: Option<&str>) -> Result<Option<String>> {
    let text = "SELECT id FROM contacts WHERE id > $1 ORDER BY id LIMIT 1 OFFSET $2";
    db.row(text, &values![after.unwrap_or_default(), MOST_LOOKED_AT], |row| row.get("id"))
}

pub(super) fn count(db: Db<'_>, filter: Option<&Filter>, now: Timestamp) -> Result<u64> {
    let wanted = condition(db, filter, now);
    let text = format!("SELECT COUNT(*) AS count FROM contacts AS c{}", wanted.sql);
    Ok(db.row(&text, &wanted.values, |row| row.count("count"))?.unwrap_or(0))
}

fn named(db: Db<'_>, ids: &ContactIds, after: Option<&str>, limit: usize) -> Result<AudiencePage> {
    let asked = ids.after(after, limit);
    let mut wanted = Rows::of(const { &[text("asked")] });
    asked.iter().for_each(|id| wanted.push(values![id.as_str()]));
    let text = format!(
        "SELECT wanted.asked AS asked, {OWN}, {} FROM {{wanted}}
             JOIN contacts AS named ON named.id = wanted.asked
             JOIN contacts AS c ON c.id = COALESCE(named.merged_into, named.id)",
        profiles::COLUMNS
    );
    let found = db.find(&text, &wanted, |row| Ok((row.get::<String>("asked")?, contact(row)?)))?;
    let mut found: BTreeMap<String, AudienceContact> = found.into_iter().collect();
    let mut page = AudiencePage::default();
    for id in asked {
        match found.remove(id) {
            Some(contact) => page.contacts.push(contact),
            None => page.unknown.push(id.clone()),
        }
    }
    page.next = asked.last().filter(|_| asked.len() == limit).cloned();
    Ok(page)
}

/// Adds to contacts what is in other tables.
pub(super) fn complete(db: Db<'_>, contacts: &mut [AudienceContact], suppressing: bool) -> Result<()> {
    let mut places: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, contact) in contacts.iter().enumerate() {
        places.entry(contact.id.clone()).or_default().push(place);
    }
    let mut wanted = Rows::of(const { &[text("contact_id")] });
    places.keys().for_each(|id| wanted.push(values![id.as_str()]));
    let mut add = |id: &str, what: &dyn Fn(&mut AudienceContact)| {
        for place in places.get(id).into_iter().flatten() {
            what(&mut contacts[*place]);
        }
    };
    for (id, kind, value) in identities(db, &wanted)? {
        match kind.as_str() {
            "phone" => add(&id, &|contact| contact.phones.push(value.clone())),
            "bsuid" => add(&id, &|contact| contact.bsuids.push(value.clone())),
            _ => {}
        }
    }
    for (id, conversation) in conversations(db, &wanted)? {
        add(&id, &|contact| contact.conversations.push(conversation.clone()));
    }
    if suppressing {
        for (id, suppressed) in suppressions(db, &wanted)? {
            add(&id, &|contact| contact.suppressed.push(suppressed.clone()));
        }
    }
    Ok(())
}

fn identities(db: Db<'_>, wanted: &Rows) -> Result<Vec<(String, String, String)>> {
    let text = "SELECT contact_id, type, value FROM {wanted} JOIN contact_identities USING (contact_id)
         WHERE type IN ('phone', 'bsuid') ORDER BY contact_id, type, value";
    db.find(text, wanted, |row| Ok((row.get("contact_id")?, row.get("type")?, row.get("value")?)))
}

fn conversations(db: Db<'_>, wanted: &Rows) -> Result<Vec<(String, ConversationFacts)>> {
    let text = "SELECT contact_id, channel, last_inbound_at, window_until, labels
         FROM {wanted} JOIN conversations USING (contact_id) ORDER BY contact_id, channel";
    db.find(text, wanted, |row| {
        let table = "conversations";
        let facts = ConversationFacts {
            channel: parsed(row, table, "channel")?,
            last_inbound_at: row.optional_time("last_inbound_at")?,
            window_until: row.optional_time("window_until")?,
            labels: json(row, table, "labels")?,
        };
        Ok((row.get("contact_id")?, facts))
    })
}

fn suppressions(db: Db<'_>, wanted: &Rows) -> Result<Vec<(String, SuppressedOn)>> {
    let text = "SELECT contact_id, s.channel AS channel, s.reason AS reason
         FROM {wanted} JOIN contact_identities AS i USING (contact_id)
         JOIN suppressions AS s ON s.match_key = i.match_key ORDER BY contact_id, s.created_at, s.channel";
    db.find(text, wanted, |row| {
        let table = "suppressions";
        let channel: String = row.get("channel")?;
        let on = if channel.is_empty() { None } else { Some(parsed(row, table, "channel")?) };
        Ok((row.get("contact_id")?, SuppressedOn { channel: on, reason: parsed(row, table, "reason")? }))
    })
}

fn contact(row: &Row<'_>) -> Result<AudienceContact> {
    let profile = profiles::of(row)?;
    Ok(AudienceContact {
        id: row.get("id")?,
        name: profile.given_name.or(row.get("name")?),
        phones: Vec::new(),
        bsuids: Vec::new(),
        attributes: profile.attributes,
        tags: profile.tags,
        consent: profile.consent,
        suppressed: Vec::new(),
        conversations: Vec::new(),
        created_at: row.time("created_at")?,
    })
}
