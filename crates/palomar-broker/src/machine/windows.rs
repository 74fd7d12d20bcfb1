//! Sliding windows: never more than `max` starts in any span of `window`, exactly.
//!
//! Each window remembers the times of its last starts. A token bucket would let twice its burst through a span that
//! straddles a refill, and a fixed window twice its limit; remembering the times does not. Windows with many starts
//! merge starts that lie within 1/512 of the window into one entry that carries the *latest* of their times: memory
//! stays bounded and the error is on the safe side.
//!
//! Invariant: for every t, the starts recorded in (t − window, t] number at most `max`, if [`Windows::free_at`] was
//! asked before each start.

use std::collections::VecDeque;
use std::time::Duration;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::types::Window;

const ENTRIES: u64 = 512;

/// The starts of one window.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Ring {
    config: Window,
    /// (first start merged in, last one, how many) in microseconds, oldest first.
    entries: VecDeque<(i64, i64, u32)>,
    total: u64,
}

impl Ring {
    /// The span that is kept free of further starts: the window and the margin for jitter on the way.
    fn span(&self, margin_permille: u16) -> i64 {
        let window = i64::try_from(self.config.window.as_micros()).unwrap_or(i64::MAX / 4);
        window + (window / 1000).saturating_mul(i64::from(margin_permille))
    }

    fn quantum(&self) -> i64 {
        if u64::from(self.config.max) <= ENTRIES {
            0
        } else {
            i64::try_from(self.config.window.as_micros() / u128::from(ENTRIES)).unwrap_or(i64::MAX)
        }
    }

    fn forget(&mut self, now: i64, margin_permille: u16) {
        let span = self.span(margin_permille);
        while self.entries.front().is_some_and(|&(_, last, _)| last.saturating_add(span) <= now) {
            if let Some((_, _, count)) = self.entries.pop_front() {
                self.total -= u64::from(count);
            }
        }
    }

    fn record(&mut self, at: i64) {
        let quantum = self.quantum();
        self.total += 1;
        match self.entries.back_mut() {
            Some((first, last, count)) if at == *last || at - *first < quantum => {
                *last = at.max(*last);
                *count += 1;
            }
            _ => self.entries.push_back((at, at, 1)),
        }
    }

    /// The first time at which `reserved + 1` more starts have room.
    fn free_at(&self, reserved: u64, rate_permille: u32, margin_permille: u16, now: i64) -> i64 {
        let max = self.config.allowed(rate_permille);
        let span = self.span(margin_permille);
        let live = |last: i64| last.saturating_add(span) > now;
        let stale: u64 = self
            .entries
            .iter()
            .take_while(|&&(_, last, _)| !live(last))
            .map(|&(_, _, count)| u64::from(count))
            .sum();
        let in_window = self.total - stale;
        let mut surplus = (in_window + reserved + 1).saturating_sub(max);
        if surplus == 0 {
            return now;
        }
        for &(_, last, count) in self.entries.iter().filter(|&&(_, last, _)| live(last)) {
            if u64::from(count) >= surplus {
                return last.saturating_add(span);
            }
            surplus -= u64::from(count);
        }
        // Only what is reserved stands in the way: it must start or be given back first.
        i64::MAX
    }
}

impl Window {
    /// How many starts it allows at a share of its rate: one at least.
    pub(super) fn allowed(self, rate_permille: u32) -> u64 {
        (u64::from(self.max) * u64::from(rate_permille) / 1000).max(1)
    }
}

/// All windows of a queue.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Windows {
    rings: Vec<Ring>,
}

impl Windows {
    /// Windows whose starts another store has kept: of each (first start merged in, last one, how many), oldest first.
    pub(super) fn of(rings: impl IntoIterator<Item = (Window, Vec<(i64, i64, u32)>)>) -> Windows {
        let ring = |(config, entries): (Window, Vec<(i64, i64, u32)>)| {
            let total = entries.iter().map(|&(_, _, count)| u64::from(count)).sum();
            Ring { config, entries: entries.into(), total }
        };
        Windows { rings: rings.into_iter().map(ring).collect() }
    }

    /// Changes what is allowed; starts that were recorded are kept, from the window that remembers the most.
    pub(super) fn configure(&mut self, windows: &[Window]) {
        let longest = self.rings.iter().max_by_key(|ring| ring.config.window).cloned();
        self.rings = windows
            .iter()
            .map(|&config| {
                if let Some(same) = self.rings.iter().find(|ring| ring.config == config) {
                    return same.clone();
                }
                let (entries, total) =
                    longest.as_ref().map_or_else(Default::default, |ring| (ring.entries.clone(), ring.total));
                Ring { config, entries, total }
            })
            .collect();
    }

    /// Records a start.
    pub(super) fn record(&mut self, now: Timestamp, margin_permille: u16) {
        for ring in &mut self.rings {
            ring.forget(now.micros(), margin_permille);
            ring.record(now.micros());
        }
    }

    /// Starts that were recorded since `from` were made durable at `to`: no call could begin before.
    pub(super) fn put_off(&mut self, from: Timestamp, to: Timestamp) {
        for ring in &mut self.rings {
            let since = ring.entries.iter_mut().rev().take_while(|(_, last, _)| *last >= from.micros());
            for (_, last, _) in since {
                *last = to.micros().max(*last);
            }
        }
    }

    /// The first time at which one more start has room in every window beside `reserved` starts that are to come,
    /// and the window that decides; `now` and none where there is room now.
    pub(super) fn free_at(
        &self,
        reserved: u64,
        rate_permille: u32,
        margin_permille: u16,
        now: Timestamp,
    ) -> (Timestamp, Option<Window>) {
        let mut latest = (now.micros(), None);
        for ring in &self.rings {
            let at = ring.free_at(reserved, rate_permille, margin_permille, now.micros());
            if at > latest.0 {
                latest = (at, Some(ring.config));
            }
        }
        (Timestamp::from_micros(latest.0), latest.1)
    }

    /// Drops what no window needs any more.
    pub(super) fn forget(&mut self, now: Timestamp, margin_permille: u16) {
        for ring in &mut self.rings {
            ring.forget(now.micros(), margin_permille);
            if ring.entries.is_empty() {
                ring.entries.shrink_to_fit();
            }
        }
    }
}

/// Pace per key: the generic cell rate algorithm. `tat` is the theoretical arrival time of the key's next start.
pub(super) fn pair_free_at(tat: i64, interval: Duration, burst: u32) -> i64 {
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX / 4);
    tat.saturating_sub(interval.saturating_mul(i64::from(burst.max(1)) - 1))
}

/// The key's next theoretical arrival time after a start at `now`.
pub(super) fn pair_after_start(tat: i64, interval: Duration, now: i64) -> i64 {
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX / 4);
    tat.max(now).saturating_add(interval)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn window(max: u32, seconds: u64) -> Window {
        Window { max, window: Duration::from_secs(seconds) }
    }

    /// Runs a backlog through the windows for `hours` of virtual time and returns the start times.
    fn run(windows: &[Window], hours: i64, margin: u16) -> Vec<i64> {
        let mut state = Windows::default();
        state.configure(windows);
        let mut now = Timestamp::from_seconds(1_000_000);
        let end = now.micros() + hours * 3_600_000_000;
        let mut starts = Vec::new();
        while now.micros() < end {
            let (at, _) = state.free_at(0, 1000, margin, now);
            if at > now {
                now = at;
                continue;
            }
            state.record(now, margin);
            starts.push(now.micros());
        }
        starts
    }

    #[test]
    fn no_sliding_window_ever_holds_more_and_a_backlog_uses_what_is_allowed() {
        for (name, windows, hours) in [
            ("80 a minute", vec![window(80, 60)], 48),
            ("10/s and 600/min and 36,000/h", vec![window(10, 1), window(600, 60), window(36_000, 3600)], 6),
            ("80 a second", vec![window(80, 1)], 1),
            ("1,000 a second", vec![window(1000, 1)], 1),
        ] {
            let starts = run(&windows, hours, 15);
            let mut slowest = f64::MAX;
            for w in &windows {
                let span = w.window.as_micros() as i64;
                let max = w.max as usize;
                for (i, pair) in starts.windows(max + 1).enumerate() {
                    assert!(
                        pair[max] - pair[0] >= span,
                        "{name}: {} starts within {span} µs at {i}",
                        max + 1
                    );
                }
                let seconds = (starts[starts.len() - 1] - starts[0]) as f64 / 1e6;
                slowest = slowest.min(seconds * f64::from(w.max) / w.window.as_secs_f64());
            }
            let used = starts.len() as f64 / slowest;
            assert!(used >= 0.98, "{name}: only {:.1} % of what is allowed is used", used * 100.0);
        }
    }

    #[test]
    fn memory_is_bounded_for_large_windows() {
        let mut state = Windows::default();
        state.configure(&[window(36_000, 3600)]);
        for i in 0..36_000_i64 {
            state.record(Timestamp::from_micros(i * 100_000), 15);
        }
        assert!(state.rings[0].entries.len() <= 520, "{}", state.rings[0].entries.len());
    }

    #[test]
    fn a_start_counts_from_when_it_was_durable() {
        let mut state = Windows::default();
        state.configure(&[window(2, 10)]);
        let at = |millis: i64| Timestamp::from_micros(1_000_000_000 + millis * 1000);
        state.record(at(0), 0);
        state.record(at(50), 0);
        state.put_off(at(50), at(90));
        assert_eq!(state.free_at(0, 1000, 0, at(90)).0, at(10_000), "the first was durable before");
        assert_eq!(state.free_at(1, 1000, 0, at(90)).0, at(10_090));
        state.put_off(at(91), at(95));
        assert_eq!(state.free_at(1, 1000, 0, at(95)).0, at(10_090), "nothing was recorded since");
    }

    #[test]
    fn reserved_starts_take_room() {
        let mut state = Windows::default();
        state.configure(&[window(2, 10)]);
        let now = Timestamp::from_seconds(100);
        assert_eq!(state.free_at(1, 1000, 0, now).0, now);
        assert_eq!(state.free_at(2, 1000, 0, now).0, Timestamp::MAX);
        state.record(now, 0);
        assert_eq!(state.free_at(1, 1000, 0, now).0, now.after(Duration::from_secs(10)));
    }

    #[test]
    fn a_new_configuration_remembers_the_starts() {
        let mut state = Windows::default();
        state.configure(&[window(10, 60)]);
        let now = Timestamp::from_seconds(100);
        for _ in 0..10 {
            state.record(now, 0);
        }
        state.configure(&[window(5, 30)]);
        assert_eq!(state.free_at(0, 1000, 0, now).0, now.after(Duration::from_secs(30)));
    }

    #[test]
    fn a_pair_borrows_its_burst_from_the_time_to_come() {
        let interval = Duration::from_secs(6);
        let mut tat = 0;
        let mut now = 1_000_000_000;
        for n in 0..45 {
            assert!(pair_free_at(tat, interval, 45) <= now, "start {n} of the burst");
            tat = pair_after_start(tat, interval, now);
        }
        let next = pair_free_at(tat, interval, 45);
        assert_eq!(next - now, 6_000_000, "after the burst, one in six seconds");
        now = next + 20 * 6_000_000;
        assert!(pair_free_at(tat, interval, 45) <= now - 20 * 6_000_000);
    }
}
