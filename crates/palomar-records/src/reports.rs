//! Reports that are told by themselves: up to when they were.

use palomar_model::Timestamp;

use crate::Records;
use crate::error::Result;
use crate::tables::reports;

impl Records {
    /// Up to when a kind of report was told this way; nothing where it never was set up.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn report_told_until(&self, kind: &str, way: &str) -> Result<Option<Timestamp>> {
        let (kind, way) = (kind.to_owned(), way.to_owned());
        self.read(move |db| reports::told_until(db, &kind, &way)).await
    }

    /// Notes that a kind of report was told this way up to a moment; an earlier one changes nothing.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn report_told(&self, kind: &str, way: &str, until: Timestamp) -> Result<()> {
        let (kind, way) = (kind.to_owned(), way.to_owned());
        self.write(move |db| reports::tell(db, &kind, &way, until)).await
    }
}
