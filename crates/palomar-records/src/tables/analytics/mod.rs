//! The tables `analytics_*`: what is counted and measured.

pub(crate) mod counts;
pub(crate) mod reasons;
pub(crate) mod series;
pub(crate) mod talks;
pub(crate) mod times;
pub(crate) mod tracked;

use crate::error::RecordsError;

/// A page that can't be read.
fn damaged(table: &'static str) -> impl Fn(palomar_model::analytics::Damaged) -> RecordsError {
    move |error| RecordsError::damaged(table, error)
}
