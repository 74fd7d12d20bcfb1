//! Lines of the log, by level. Who writes the log counts them here.

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::registry::Registry;
use tracing::Level;

use super::samples::{Labels, label};

const LEVELS: [(Level, &str); 5] = [
    (Level::ERROR, "error"),
    (Level::WARN, "warn"),
    (Level::INFO, "info"),
    (Level::DEBUG, "debug"),
    (Level::TRACE, "trace"),
];

/// Counts lines of the log; clones count into the same.
#[derive(Clone, Debug)]
pub struct LogLines([Counter; 5]);

impl LogLines {
    pub(super) fn register(registry: &mut Registry) -> LogLines {
        let family: Family<Labels, Counter> = Family::default();
        registry.register("log_lines", "Lines written to the log", family.clone());
        LogLines(LEVELS.map(|(_, word)| family.get_or_create_owned(&vec![label("level", word)])))
    }

    /// Counts a line.
    pub fn count(&self, level: Level) {
        let counters = LEVELS.iter().zip(&self.0);
        for (_, counter) in counters.filter(|((known, _), _)| *known == level) {
            counter.inc();
        }
    }
}
