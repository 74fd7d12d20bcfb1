//! The columns of `contacts` that people of the business write: what they call somebody, attributes, tags, consent.

use std::collections::BTreeSet;

use palomar_model::Timestamp;
use palomar_model::attribute::{AttributeMap, ConsentState, Tag};
use serde::Serialize;

use super::contacts::CONTACTS;
use super::{json, optional, parsed, to_json};
use crate::error::Result;
use crate::store::table::{int, text};
use crate::store::{Db, Row, Rows, Write, values};

/// Whether somebody agreed to be written to, who says so and since when.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ContactConsent {
    /// Whether they did.
    pub state: ConsentState,
    /// Where they did, or who says so: a form, a file, a person.
    pub source: Option<String>,
    /// When.
    pub at: Option<Timestamp>,
}

/// What the business says of somebody.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Profile {
    pub(crate) given_name: Option<String>,
    pub(crate) attributes: AttributeMap,
    pub(crate) tags: BTreeSet<Tag>,
    pub(crate) consent: ContactConsent,
}

/// The columns of a profile, for a query in which `contacts` is `c`.
pub(crate) const COLUMNS: &str = "c.given_name AS given_name, c.attributes AS attributes, c.tags AS tags,
     c.consent AS consent, c.consent_source AS consent_source, c.consent_at AS consent_at";

/// Reads the columns of a profile.
pub(crate) fn of(row: &Row<'_>) -> Result<Profile> {
    let table = CONTACTS.name;
    Ok(Profile {
        given_name: row.get("given_name")?,
        attributes: json(row, table, "attributes")?,
        tags: json(row, table, "tags")?,
        consent: ContactConsent {
            state: parsed(row, table, "consent")?,
            source: optional(row, table, "consent_source")?,
            at: row.optional_time("consent_at")?,
        },
    })
}

/// Writes profiles as they stand, each with the time of the change.
pub(crate) fn put<'a>(
    profiles: impl Iterator<Item = (&'a str, &'a Profile)>,
    at: Timestamp,
) -> Result<Write> {
    let mut rows = Rows::of(
        const {
            &[
                text("id"),
                text("given_name"),
                text("attributes"),
                text("tags"),
                text("consent"),
                text("consent_source"),
                int("consent_at"),
                int("updated_at"),
            ]
        },
    );
    for (id, profile) in profiles {
        rows.push(values![
            id,
            profile.given_name.as_deref(),
            to_json(&profile.attributes, CONTACTS.name)?,
            to_json(&profile.tags, CONTACTS.name)?,
            profile.consent.state.as_str(),
            profile.consent.source.as_deref(),
            profile.consent.at,
            at,
        ]);
    }
    Ok(Write::update(&CONTACTS, rows))
}

/// One person's, with when it changed.
fn find(db: Db<'_>, id: &str) -> Result<Option<(Profile, Timestamp)>> {
    let text = format!("SELECT {COLUMNS}, c.updated_at AS updated_at FROM contacts AS c WHERE c.id = $1");
    db.row(&text, &values![id], |row| Ok((of(row)?, row.time("updated_at")?)))
}

/// Gives what is said of a contact to another, who is the same person: what is said of the other comes first, and of two
/// consents the newer stands.
pub(crate) fn merge(db: Db<'_>, loser: &str, winner: &str) -> Result<()> {
    let (Some((lost, _)), Some((own, at))) = (find(db, loser)?, find(db, winner)?) else { return Ok(()) };
    if lost == Profile::default() {
        return Ok(());
    }
    let over = own.attributes.iter().map(|(name, value)| (name.clone(), Some(value.clone())));
    let joined = Profile {
        given_name: own.given_name.clone().or(lost.given_name),
        // Where both together are too many, those of the one that stays are kept.
        attributes: lost.attributes.with(over).unwrap_or_else(|_| own.attributes.clone()),
        tags: own.tags.iter().chain(&lost.tags).take(palomar_model::attribute::MOST_TAGS).cloned().collect(),
        consent: if lost.consent.at > own.consent.at { lost.consent } else { own.consent.clone() },
    };
    if joined == own {
        return Ok(());
    }
    db.write(vec![put(std::iter::once((winner, &joined)), at)?])
}
