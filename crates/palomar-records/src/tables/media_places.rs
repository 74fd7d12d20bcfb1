//! `media_places`: the stores of files whose content these records know all of.

use crate::error::Result;
use crate::store::table::text;
use crate::store::{Db, Table, Value};

pub(crate) const MEDIA_PLACES: Table = Table { name: "media_places", columns: &[text("place")], key: 1 };

/// Whether these records know all that is in a store.
pub(crate) fn is_known(db: Db<'_>, place: &str) -> Result<bool> {
    let found =
        db.row("SELECT place FROM media_places WHERE place = $1", &[Value::from(place)], |_| Ok(()))?;
    Ok(found.is_some())
}

/// Notes a store that nothing is in.
pub(crate) fn add(db: Db<'_>, place: &str) -> Result<()> {
    db.execute("INSERT INTO media_places (place) VALUES ($1) ON CONFLICT DO NOTHING", &[Value::from(place)])?;
    Ok(())
}
