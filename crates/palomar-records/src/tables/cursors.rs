//! `cursors` and `turns`: how far each projection's rows reach, and whose turn it is to write them.

use palomar_model::Timestamp;

use crate::Partition;
use crate::error::{RecordsError, Result};
use crate::store::table::{int, text};
use crate::store::{Db, Table, values};

pub(crate) const CURSORS: Table = Table {
    name: "cursors",
    columns: &[text("projection"), int("partition"), int("cursor"), int("at")],
    key: 2,
};

pub(crate) const TURNS: Table =
    Table { name: "turns", columns: &[text("projection"), int("seq"), int("at")], key: 1 };

/// Where a projection stands in a partition of the log; 0 before its first fact.
pub(crate) fn get(db: Db<'_>, projection: &str, partition: Partition) -> Result<u64> {
    let text = "SELECT cursor FROM cursors WHERE projection = $1 AND partition = $2";
    let found = db.row(text, &values![projection, partition.0], |row| row.count("cursor"))?;
    Ok(found.unwrap_or(0))
}

/// Where a projection stands in all partitions of the log that it has read.
pub(crate) fn all(db: Db<'_>, projection: &str) -> Result<Vec<(Partition, u64)>> {
    let text = "SELECT partition, cursor FROM cursors WHERE projection = $1 ORDER BY partition";
    db.rows(text, &values![projection], |row| Ok((Partition(row.small("partition")?), row.count("cursor")?)))
}

/// Moves a projection's cursor from where it was found.
pub(crate) fn advance(
    db: Db<'_>,
    projection: &'static str,
    partition: Partition,
    from: u64,
    to: u64,
    now: Timestamp,
) -> Result<()> {
    let first = "INSERT INTO cursors (projection, partition, cursor, at) VALUES ($1, $2, 0, $3)
         ON CONFLICT DO NOTHING";
    if from == 0 {
        db.execute(first, &values![projection, partition.0, now])?;
    }
    let text =
        "UPDATE cursors SET cursor = $4, at = $5 WHERE projection = $1 AND partition = $2 AND cursor = $3";
    if db.execute(text, &values![projection, partition.0, from, to, now])? == 1 {
        return Ok(());
    }
    let stored = get(db, projection, partition)?;
    Err(RecordsError::CursorMoved { projection, stored, expected: from })
}

/// Writes where a projection stands once more, so that there is something to flush.
pub(crate) fn touch(db: Db<'_>, projection: &str) -> Result<()> {
    db.execute("UPDATE cursors SET cursor = cursor WHERE projection = $1", &values![projection])?;
    Ok(())
}

/// Waits for a projection's turn, which ends with the transaction: nobody else writes its rows meanwhile. The number of
/// the journal's last entry.
pub(crate) fn take_turn(db: Db<'_>, projection: &str, now: Timestamp) -> Result<u64> {
    let text = "INSERT INTO turns (projection, seq, at) VALUES ($1, 0, $2)
         ON CONFLICT (projection) DO UPDATE SET at = excluded.at RETURNING seq";
    Ok(db.row(text, &values![projection, now], |row| row.count("seq"))?.unwrap_or(0))
}

/// The number of the journal's last entry.
pub(crate) fn end(db: Db<'_>, projection: &str) -> Result<u64> {
    let text = "SELECT seq FROM turns WHERE projection = $1";
    Ok(db.row(text, &values![projection], |row| row.count("seq"))?.unwrap_or(0))
}

/// Says which entry of the journal is now the last. Only in one's turn.
pub(crate) fn end_at(db: Db<'_>, projection: &str, seq: u64) -> Result<()> {
    db.execute("UPDATE turns SET seq = $2 WHERE projection = $1", &values![projection, seq])?;
    Ok(())
}
