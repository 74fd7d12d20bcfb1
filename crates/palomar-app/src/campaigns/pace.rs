//! How much of a campaign is queued, and when each message is due. Functions of values.
//!
//! Always: the queue stays short, however large the campaign is; nobody is due before the ones who were queued before.

use std::time::Duration;

use palomar_broker::Limits;
use palomar_model::{Daily, Timestamp, ZoneName};

/// A queue is kept filled for so long ahead, in seconds.
const AHEAD_SECONDS: f64 = 10.0;
/// What is due within so long is queued already.
pub(super) const HORIZON: Duration = Duration::from_secs(60);
/// Attempts that one place makes in a second, where nothing else says how fast a channel is: calls that take 100 ms.
const ATTEMPTS_A_PLACE: f64 = 10.0;

/// Over how long a campaign is spread.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Pace {
    /// When it would have begun, had it never been paused since.
    pub(super) started_at: Timestamp,
    /// All recipients, those too who are foreseen and not known yet.
    pub(super) recipients: u64,
    /// Evenly over so long.
    pub(super) spread: Option<Duration>,
}

impl Pace {
    /// When the recipient is due before whom so many others were queued; none where at once.
    pub(super) fn due(&self, place: u64) -> Option<Timestamp> {
        self.spread.map(|over| {
            let all = u128::from(self.recipients.max(1));
            let passed = over.as_micros().saturating_mul(u128::from(place).min(all)) / all;
            // What no clock reaches is as far as one goes.
            self.started_at.after(Duration::from_micros(u64::try_from(passed).unwrap_or(u64::MAX)))
        })
    }
}

/// How days fill up under a daily cap, as time goes on.
#[derive(Clone, Debug)]
pub(super) struct Days {
    pub(super) cap: u64,
    pub(super) zone: ZoneName,
    /// What was given out.
    pub(super) daily: Daily,
}

impl Days {
    /// When so many may go that could at this time, where they are given out now.
    pub(super) fn take(&mut self, many: u64, at: Timestamp) -> Timestamp {
        let today = self.zone.day(at);
        self.daily = self.daily.on(today, 0);
        let at = if self.daily.taken >= self.cap {
            let next = self.zone.next_midnight(at);
            self.daily = Daily { day: self.zone.day(next), taken: 0 };
            next
        } else {
            at
        };
        self.daily.taken = self.daily.taken.saturating_add(many);
        at
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

    #[test]
    fn everybody_is_due_in_order() {
        let pace = |spread: Option<u64>| Pace {
            started_at: "2026-03-27T10:00:00Z".parse().expect("a time"),
            recipients: 1_000,
            spread: spread.map(Duration::from_secs),
        };
        for (spread, place, expected) in [
            (None, 999, None),
            (Some(1_000), 0, Some("2026-03-27T10:00:00Z")),
            (Some(1_000), 500, Some("2026-03-27T10:08:20Z")),
            // More than were foreseen.
            (Some(1_000), u64::MAX, Some("2026-03-27T10:16:40Z")),
            (Some(u64::MAX), 0, Some("2026-03-27T10:00:00Z")),
        ] {
            let due = pace(spread).due(place).map(|due| due.to_string());
            assert_eq!(due.as_deref(), expected, "{place} over {spread:?}");
            assert!((0..999).all(|place| pace(spread).due(place) <= pace(spread).due(place + 1)));
        }
        assert!((0..=1_000).all(|place| pace(Some(u64::MAX)).due(place).is_some()), "nothing breaks");
    }

    #[test]
    fn a_full_day_waits_for_the_next() {
        let zone: ZoneName = "Europe/Madrid".parse().expect("a zone");
        let at: Timestamp = "2026-03-28T10:00:00Z".parse().expect("a time");
        let daily = Daily { day: zone.day(at), taken: 90 };
        let mut days = Days { cap: 100, zone, daily };
        let mut at = at;
        let went: Vec<String> = (0..32)
            .map(|_| {
                at = days.take(10, at);
                at.to_string()
            })
            .collect();
        assert_eq!(went[0], "2026-03-28T10:00:00Z");
        assert!(went[1..11].iter().all(|at| at == "2026-03-28T23:00:00Z"));
        // After the night in which clocks are put forward.
        assert!(went[11..21].iter().all(|at| at == "2026-03-29T22:00:00Z"));
        assert_eq!(went[31], "2026-03-31T22:00:00Z");
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
