//! `segments`: groups of contacts, each said by a filter.

use palomar_model::Timestamp;
use palomar_model::filter::Filter;
use serde::Serialize;

use super::page::{Page, Place, page};
use super::parsed;
use crate::error::{RecordsError, Result};
use crate::store::table::{int, text};
use crate::store::{Db, Row, Table, values};

pub(crate) const SEGMENTS: Table = Table {
    name: "segments",
    columns: &[text("id"), text("name"), text("filter"), int("created_at"), int("updated_at")],
    key: 1,
};

/// A group of contacts. Who is in it is seen when it is asked.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Segment {
    /// Its id.
    pub id: String,
    /// Its name, which no other has.
    pub name: String,
    /// Who is in it.
    pub filter: Filter,
    /// Since when there is one.
    pub created_at: Timestamp,
    /// When it changed last.
    pub updated_at: Timestamp,
}

/// Keeps a new one.
pub(crate) fn insert(db: Db<'_>, segment: &Segment) -> Result<()> {
    let text = "INSERT INTO segments (id, name, filter, created_at, updated_at) VALUES ($1, $2, $3, $4, $5)
         ON CONFLICT DO NOTHING";
    let Segment { id, name, filter, created_at, updated_at } = segment;
    let values = values![id.as_str(), name.as_str(), filter.to_string(), *created_at, *updated_at];
    if db.execute(text, &values)? == 1 { Ok(()) } else { Err(RecordsError::Exists("a segment of that name")) }
}

/// Keeps what one is called and says from now on.
pub(crate) fn update(db: Db<'_>, segment: &Segment) -> Result<()> {
    let other = "SELECT id FROM segments WHERE name = $1 AND id <> $2";
    if db.row(other, &values![segment.name.as_str(), segment.id.as_str()], |_| Ok(()))?.is_some() {
        return Err(RecordsError::Exists("a segment of that name"));
    }
    let text = "UPDATE segments SET name = $2, filter = $3, updated_at = $4 WHERE id = $1";
    let values =
        values![segment.id.as_str(), segment.name.as_str(), segment.filter.to_string(), segment.updated_at];
    if db.execute(text, &values)? == 1 { Ok(()) } else { Err(RecordsError::NotFound("segment")) }
}

/// Forgets one.
pub(crate) fn delete(db: Db<'_>, id: &str) -> Result<()> {
    let found = db.execute("DELETE FROM segments WHERE id = $1", &values![id])?;
    if found == 1 { Ok(()) } else { Err(RecordsError::NotFound("segment")) }
}

/// One, by its id or its name.
pub(crate) fn get(db: Db<'_>, id_or_name: &str) -> Result<Option<Segment>> {
    let text = "SELECT * FROM segments WHERE id = $1 OR name = $1 ORDER BY CASE WHEN id = $1 THEN 0 ELSE 1 END LIMIT 1";
    db.row(text, &values![id_or_name], view)
}

/// A page of them, the newest first.
pub(crate) fn list(db: Db<'_>, cursor: Option<&str>, limit: usize) -> Result<Page<Segment>> {
    let place = Place::decode(cursor)?;
    let text = "SELECT * FROM segments WHERE created_at <= $1 AND (created_at < $1 OR id < $2)
         ORDER BY created_at DESC, id DESC LIMIT $3";
    let found = db.rows(text, &values![place.at, place.id, limit as u64 + 1], view)?;
    Ok(page(found, limit, |one| Place { at: one.created_at, id: one.id.clone() }))
}

fn view(row: &Row<'_>) -> Result<Segment> {
    Ok(Segment {
        id: row.get("id")?,
        name: row.get("name")?,
        filter: parsed(row, SEGMENTS.name, "filter")?,
        created_at: row.time("created_at")?,
        updated_at: row.time("updated_at")?,
    })
}
