//! `seals`: what shows that a node has the key of the credentials.

use crate::error::Result;
use crate::secret_key::SecretKey;
use crate::store::table::{bytes, text};
use crate::store::{Db, Table, Value, values};

pub(crate) const SEALS: Table = Table { name: "seals", columns: &[text("name"), bytes("sealed")], key: 1 };

/// The one that is there.
const NAME: &str = "credentials";

/// Whether `key` is the one that the records were begun with. The first key to be asked about begins them.
pub(crate) fn fits(db: Db<'_>, key: &SecretKey) -> Result<bool> {
    let text = "INSERT INTO seals (name, sealed) VALUES ($1, $2) ON CONFLICT DO NOTHING";
    db.execute(text, &values![NAME, key.seal(NAME.as_bytes(), NAME)?])?;
    let sealed = db.row("SELECT sealed FROM seals WHERE name = $1", &[Value::from(NAME)], |row| {
        row.get::<Vec<u8>>("sealed")
    })?;
    Ok(sealed.is_some_and(|sealed| key.open(&sealed, NAME).is_ok()))
}
