//! The columns of a file of suppressions, and what a row says.

use palomar_model::{ChannelName, Recipient, Timestamp};
use palomar_records::{Suppression, SuppressionReason};

use super::columns::BadCell;
use crate::AppError;
use crate::sheet::Cell;

/// The columns of a file of suppressions.
pub(super) struct SuppressionColumns(Vec<Option<&'static str>>);

impl SuppressionColumns {
    const NAMES: [(&str, &str); 9] = [
        ("recipient", "recipient"),
        ("to", "recipient"),
        ("phone", "recipient"),
        ("telefono", "recipient"),
        ("channel", "channel"),
        ("canal", "channel"),
        ("reason", "reason"),
        ("detail", "detail"),
        ("created_at", "created_at"),
    ];

    pub(super) fn read(header: &[Cell]) -> Result<SuppressionColumns, AppError> {
        let known = |cell: &Cell| {
            let word = palomar_model::keyword(&cell.text());
            Self::NAMES.into_iter().find(|(name, _)| *name == word).map(|(_, target)| target)
        };
        let columns: Vec<_> = header.iter().map(known).collect();
        if columns.contains(&Some("recipient")) {
            return Ok(SuppressionColumns(columns));
        }
        let detail = "no column holds the numbers; the first row must name the columns: recipient, and where wanted \
                      channel, reason, detail, created_at";
        Err(AppError::invalid("", detail))
    }

    pub(super) fn row(
        &self,
        cells: Result<Vec<Cell>, String>,
        region: Option<&str>,
        now: Timestamp,
    ) -> Result<Suppression, BadCell> {
        let cells = cells.map_err(BadCell::whole)?;
        let said = |wanted: &str| {
            let place = self.0.iter().position(|column| *column == Some(wanted))?;
            cells.get(place).filter(|cell| !cell.is_empty()).map(Cell::text)
        };
        let bad = |column: &str, detail: String| BadCell { column: Some(column.to_owned()), detail };
        let to = said("recipient").ok_or_else(|| bad("recipient", "is empty: who is it?".to_owned()))?;
        let to = Recipient::parse(&to, region).map_err(|why| bad("recipient", why.to_string()))?;
        let channel: Option<ChannelName> = said("channel")
            .map(|name| name.parse())
            .transpose()
            .map_err(|why: palomar_model::InvalidName| bad("channel", why.to_string()))?;
        let reason: SuppressionReason = said("reason")
            .map_or(Ok(SuppressionReason::Manual), |reason| reason.parse())
            .map_err(|why: &str| bad("reason", why.to_owned()))?;
        let at = said("created_at").map(|at| at.parse()).transpose();
        let at = at.map_err(|why: palomar_model::InvalidTimestamp| bad("created_at", why.to_string()))?;
        let suppression = Suppression::of(&to, channel, reason, at.unwrap_or(now));
        Ok(Suppression { detail: said("detail"), ..suppression })
    }
}
