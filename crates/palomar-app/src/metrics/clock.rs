//! Jumps of the system's clock: where it and a clock that only ever ticks disagree on how much time has passed.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_model::Timestamp;
use prometheus_client::metrics::counter::Counter;
use tokio::time::Instant;

/// Less than that is how clocks are corrected bit by bit, or a thread that had to wait between two looks.
const JUMP: Duration = Duration::from_secs(2);

/// Who watches the clock. Clones watch together.
#[derive(Clone, Debug, Default)]
pub(super) struct ClockWatch {
    last: Arc<Mutex<Option<(Timestamp, Instant)>>>,
    pub(super) jumps: Counter,
}

impl ClockWatch {
    /// Looks at the clock.
    pub(super) fn look(&self, now: Timestamp, steady: Instant) {
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some((then, steady_then)) = last.replace((now, steady))
            && let Some(jump) = jump(then, now, steady.saturating_duration_since(steady_then))
        {
            self.jumps.inc();
            tracing::warn!(seconds = jump, "the system's clock jumped");
        }
    }
}

/// How far the clock jumped, in seconds, while so much time passed; none where it did not.
fn jump(then: Timestamp, now: Timestamp, passed: Duration) -> Option<f64> {
    let expected = then.after(passed);
    let (ahead, behind) = (now.since(expected), expected.since(now));
    if ahead >= JUMP {
        Some(ahead.as_secs_f64())
    } else if behind >= JUMP {
        Some(-behind.as_secs_f64())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_jump_is_a_difference_in_either_direction() {
        let at = Timestamp::from_seconds;
        for (now, passed, expected) in [
            (110, 10, None),
            (111, 10, None),
            (112, 10, Some(2.0)),
            (100, 1, None),
            (40, 10, Some(-70.0)),
            (4000, 3900, None),
        ] {
            assert_eq!(jump(at(100), at(now), Duration::from_secs(passed)), expected, "{now} {passed}");
        }
    }
}
