//! How much of a campaign is queued, and when each message is due. Functions of values.
//!
//! Always: the queue stays short, however large the campaign is; nobody is due before the ones who were queued before.

use std::time::Duration;

use palomar_broker::Limits;
use palomar_model::{Timestamp, ZoneName};

/// A queue is kept filled for so long ahead, in seconds.
const AHEAD_SECONDS: f64 = 10.0;
/// What is due within so long is queued already.
pub(super) const HORIZON: Duration = Duration::from_secs(60);
/// Attempts that one place makes in a second, where nothing else says how fast a channel is: calls that take 100 ms.
const ATTEMPTS_A_PLACE: f64 = 10.0;

/// How fast a campaign may go beside its channel's limits.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pace {
    /// When it began.
    pub(super) started_at: Timestamp,
    /// All recipients.
    pub(super) recipients: u64,
    /// Evenly over so long.
    pub(super) spread: Option<Duration>,
    /// So many a day at most.
    pub(super) daily_cap: Option<u32>,
    /// Whose days.
    pub(super) zone: ZoneName,
}

impl Pace {
    /// When the recipient is due before whom so many others were queued; none where at once.
    pub(super) fn due(&self, place: u64) -> Option<Timestamp> {
        let spread = self.spread.map(|over| {
            let share = place as f64 / self.recipients.max(1) as f64;
            self.started_at.after(over.mul_f64(share.clamp(0.0, 1.0)))
        });
        let capped = self.daily_cap.map(|cap| {
            let day = u32::try_from(place / u64::from(cap.max(1))).unwrap_or(u32::MAX).min(36_500);
            if day == 0 { self.started_at } else { self.zone.midnight(self.started_at, day) }
        });
        spread.max(capped)
    }
}

/// What a campaign has in the queues, and what it may have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Room {
    /// Messages that may wait or be under way.
    pub(super) look_ahead: u64,
    /// Messages that do, those of batches that are being queued included.
    pub(super) outstanding: u64,
    /// Batches that may be queued at once.
    pub(super) most_batches: u64,
    /// Batches that are.
    pub(super) batches: u64,
}

impl Room {
    /// Whether a batch of this size may be queued now; then there is less room for the next.
    pub(super) fn take(&mut self, size: u64) -> bool {
        // A batch that is larger than all the room goes alone.
        let fits = self.outstanding == 0 || self.outstanding + size <= self.look_ahead;
        let takes = fits && self.batches < self.most_batches;
        if takes {
            self.outstanding += size;
            self.batches += 1;
        }
        takes
    }
}

/// Starts a second that a channel's limits allow in the long run.
pub(super) fn rate(limits: &Limits) -> f64 {
    let of = |window: &palomar_broker::Window| f64::from(window.max) / window.window.as_secs_f64().max(1e-6);
    let slowest = limits.windows.iter().map(of).min_by(f64::total_cmp);
    slowest.unwrap_or(f64::from(limits.concurrency) * ATTEMPTS_A_PLACE)
}

/// How many messages of a campaign may be queued ahead on a channel with these limits.
pub(super) fn look_ahead(limits: &Limits, batch: u32, most: u64) -> u64 {
    let least = u64::from(batch) * 2;
    let wanted = if limits.windows.is_empty() { most as f64 } else { rate(limits) * AHEAD_SECONDS };
    // A rate of a window is a small number: the conversion stays far below the end.
    (wanted.ceil() as u64).clamp(least.min(most), most.max(1))
}

#[cfg(test)]
mod tests {
    use palomar_broker::Window;

    use super::*;

    fn pace(spread: Option<u64>, daily_cap: Option<u32>) -> Pace {
        Pace {
            started_at: "2026-03-27T10:00:00Z".parse().expect("a time"),
            recipients: 1_000,
            spread: spread.map(Duration::from_secs),
            daily_cap,
            zone: "Europe/Madrid".parse().expect("a zone"),
        }
    }

    #[test]
    fn everybody_is_due_in_order() {
        for (pace, place, expected) in [
            (pace(None, None), 999, None),
            (pace(Some(1_000), None), 0, Some("2026-03-27T10:00:00Z")),
            (pace(Some(1_000), None), 500, Some("2026-03-27T10:08:20Z")),
            (pace(None, Some(100)), 99, Some("2026-03-27T10:00:00Z")),
            (pace(None, Some(100)), 100, Some("2026-03-27T23:00:00Z")),
            // After the night in which clocks are put forward.
            (pace(None, Some(100)), 399, Some("2026-03-29T22:00:00Z")),
            (pace(Some(1_000), Some(100)), 500, Some("2026-03-31T22:00:00Z")),
        ] {
            let due = pace.due(place).map(|due| due.to_string());
            assert_eq!(due.as_deref(), expected, "{place} of {pace:?}");
            assert!((0..999).all(|place| pace.due(place) <= pace.due(place + 1)));
        }
    }

    #[test]
    fn the_queue_stays_short() {
        let windows = |windows| Limits { windows, ..Limits::default() };
        let window = |max, seconds| Window { max, window: Duration::from_secs(seconds) };
        for (limits, expected) in [
            (windows(vec![window(10, 1), window(600, 60)]), 1_000),
            (windows(vec![window(80, 60)]), 1_000),
            (windows(vec![window(1_000, 1)]), 10_000),
            (windows(vec![window(5_000, 1)]), 20_000),
            (windows(vec![]), 20_000),
        ] {
            assert_eq!(look_ahead(&limits, 500, 20_000), expected, "{limits:?}");
        }
        assert_eq!(look_ahead(&windows(vec![]), 500, 100), 100);
        let mut room = Room { look_ahead: 1_000, outstanding: 0, most_batches: 10, batches: 0 };
        assert_eq!((0..5).map(|_| room.take(500)).collect::<Vec<_>>(), [true, true, false, false, false]);
        let mut room = Room { look_ahead: 100, outstanding: 0, most_batches: 10, batches: 0 };
        assert_eq!([room.take(500), room.take(1)], [true, false], "never stuck, never more than one");
        let mut room = Room { look_ahead: 9_999, outstanding: 0, most_batches: 2, batches: 1 };
        assert_eq!([room.take(1), room.take(1)], [true, false]);
    }
}
