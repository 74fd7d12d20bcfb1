//! Log lines: pretty where a person looks, JSON where a machine does. One line per event, on standard error.
//!
//! Personal data is masked by its types (`Phone`, `Secret`, … show themselves masked), not by a filter afterwards.

use std::io::{self, IsTerminal};

use palomar_app::LogLines;
use tracing::{Event, Subscriber};
use tracing_subscriber::layer::{Context, Layer, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, fmt, registry};

use crate::config::LogFormat;
use crate::failure::Failure;

/// Whether a text is a log level, or a list of them by part.
pub(crate) fn is_filter(text: &str) -> bool {
    !text.trim().is_empty()
        && text.split(',').map(str::trim).all(|directive| {
            let level = directive.rsplit('=').next().unwrap_or_default();
            ["off", "error", "warn", "info", "debug", "trace"].contains(&level.to_ascii_lowercase().as_str())
        })
        && EnvFilter::try_new(text).is_ok()
}

/// Counts the lines that are written.
struct Counted(LogLines);

impl<S: Subscriber> Layer<S> for Counted {
    fn on_event(&self, event: &Event<'_>, _: Context<'_, S>) {
        self.0.count(*event.metadata().level());
    }
}

/// Sets logging up for the life of the process; its lines are counted.
pub(crate) fn start(level: &str, format: LogFormat, counted: LogLines) -> Result<(), Failure> {
    let filter =
        EnvFilter::try_new(level).map_err(|error| Failure::wrong_use(format!("log.level: {error}")))?;
    let terminal = io::stderr().is_terminal();
    let json = match format {
        LogFormat::Auto => !terminal,
        LogFormat::Pretty => false,
        LogFormat::Json => true,
    };
    let lines = fmt::layer().with_writer(io::stderr).with_target(true);
    // The filter stands before both: what it holds back is neither written nor counted.
    let filtered = registry().with(filter).with(Counted(counted));
    let set = if json {
        let lines = lines.json().flatten_event(true).with_current_span(true).with_span_list(false);
        filtered.with(lines).try_init()
    } else {
        filtered.with(lines.with_ansi(terminal && std::env::var_os("NO_COLOR").is_none())).try_init()
    };
    set.map_err(|error| Failure::new(format!("can't set logging up: {error}")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels() {
        for good in ["info", "WARN", "off", "info,palomar_broker=debug", "palomar_api=trace"] {
            assert!(is_filter(good), "{good}");
        }
        for bad in ["", "loud", "info,", "palomar_broker", "info,=,", "a=b=c"] {
            assert!(!is_filter(bad), "{bad}");
        }
    }
}
