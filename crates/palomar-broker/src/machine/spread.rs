//! Spreading: a short window's starts are taken in slices over its length, not as one heap.
//!
//! A window counts starts here; the other side counts what arrives there. As many starts as a window of a second
//! allows, all at once, arrive as a heap whose end is late by more than the margin, and the next heap would find that
//! end still in the other side's window. So a window of up to [`LONGEST`] that allows more than one start is used in
//! slices: a twentieth of it at once, and the next slice when a tenth less than the slice's share of the window is
//! over. That tenth leaves the exact limit to the window (see `windows`), which so loses nothing. Who comes a little
//! late for a slice, because of a flush or a busy processor, is not late for the next one too: slices keep their
//! schedule while there is work, so that at most two of them go at once. Longer windows are not spread: their margin
//! alone is longer than a heap takes to arrive.
//!
//! The first call after a rest is slow, since a connection is made for it: what follows a window later would come while
//! it still counts there. So the first slice after a rest lasts a fifth of the window longer.
//!
//! A turn in a slice is taken with the lease; what was leased ahead starts when its worker says so. Nothing of this
//! is stored: a process that begins anew begins with a fresh slice.

use std::time::Duration;

use palomar_model::Timestamp;

use crate::types::Window;

/// The longest window that is spread.
const LONGEST: Duration = Duration::from_secs(2);
/// Slices of a window.
const SLICES: u64 = 20;
/// A slice that begins later than this many slices after it was due begins anew; an earlier one keeps the schedule.
const LATE: i64 = 2;
/// After so long, in microseconds, the connection may soon be closed: channels keep idle ones for 15 s.
const REST: i64 = 10_000_000;
/// The share of the window by which the first slice after a rest is longer.
const COLD_SHARE: i64 = 5;

/// The slice of a window that is in use.
#[derive(Clone, Copy, Debug)]
struct Slice {
    window: Window,
    began: i64,
    taken: u64,
}

impl Slice {
    /// How many one slice holds, and after how many microseconds the next one begins; none where the window itself
    /// is all the spreading there can be.
    fn size(self, rate_permille: u32) -> Option<(u64, i64)> {
        let allowed = self.window.allowed(rate_permille);
        if allowed < 2 {
            return None;
        }
        let most = allowed.div_ceil(SLICES);
        // At most 2 s times 2³² / 20 + 1.
        let nine_tenths = self.window.window.as_micros() as u64 * 9 / 10;
        Some((most, i64::try_from(nine_tenths * most / allowed).unwrap_or(i64::MAX)))
    }

    fn free_at(self, rate_permille: u32, now: i64) -> i64 {
        match self.size(rate_permille) {
            Some((most, span)) if self.taken >= most => now.max(self.began.saturating_add(span)),
            _ => now,
        }
    }

    fn take(&mut self, rate_permille: u32, now: i64) {
        let Some((_, span)) = self.size(rate_permille) else { return };
        let due = self.began.saturating_add(span);
        if self.taken == 0 || now - due >= REST {
            let cold = self.window.window.as_micros() as i64 / COLD_SHARE;
            (self.began, self.taken) = (now.saturating_add(cold), 0);
        } else if now >= due {
            let late = now - due >= LATE.saturating_mul(span);
            (self.began, self.taken) = (if late { now } else { due }, 0);
        }
        self.taken += 1;
    }
}

/// The slices of a queue's short windows.
#[derive(Clone, Debug, Default)]
pub(super) struct Spread {
    slices: Vec<Slice>,
}

impl Spread {
    /// As another store has kept it: of each window, when the slice in use began and how many of it are taken.
    pub(super) fn of(slices: impl IntoIterator<Item = (Window, i64, u64)>) -> Spread {
        let short = slices.into_iter().filter(|(window, ..)| window.window <= LONGEST);
        Spread { slices: short.map(|(window, began, taken)| Slice { window, began, taken }).collect() }
    }

    /// Changes what is spread; a window that stays keeps its slice.
    pub(super) fn configure(&mut self, windows: &[Window]) {
        let short = windows.iter().filter(|window| window.window <= LONGEST);
        let slice = |&window| {
            let same = self.slices.iter().find(|slice| slice.window == window).copied();
            same.unwrap_or(Slice { window, began: 0, taken: 0 })
        };
        self.slices = short.map(slice).collect();
    }

    /// When one more may be taken, and the window that decides; `now` and none where one may be taken now.
    pub(super) fn free_at(&self, rate_permille: u32, now: Timestamp) -> (Timestamp, Option<Window>) {
        let mut latest = (now.micros(), None);
        for slice in &self.slices {
            let at = slice.free_at(rate_permille, now.micros());
            if at > latest.0 {
                latest = (at, Some(slice.window));
            }
        }
        (Timestamp::from_micros(latest.0), latest.1)
    }

    /// Takes a turn.
    pub(super) fn take(&mut self, rate_permille: u32, now: Timestamp) {
        for slice in &mut self.slices {
            slice.take(rate_permille, now.micros());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spread(max: u32, millis: u64) -> Spread {
        let mut spread = Spread::default();
        spread.configure(&[Window { max, window: Duration::from_millis(millis) }]);
        spread
    }

    /// When each of `n` turns can be taken, in microseconds from the first; a rest before it is a short one.
    fn turns(mut spread: Spread, rate_permille: u32, n: usize) -> Vec<i64> {
        spread.take(rate_permille, Timestamp::from_seconds(995));
        turns_from(spread, Timestamp::from_seconds(1_000), rate_permille, n)
    }

    fn turns_from(mut spread: Spread, begun: Timestamp, rate_permille: u32, n: usize) -> Vec<i64> {
        let mut now = begun;
        let turns = (0..n).map(|_| {
            now = spread.free_at(rate_permille, now).0;
            spread.take(rate_permille, now);
            now.micros() - begun.micros()
        });
        turns.collect()
    }

    #[test]
    fn a_window_is_used_in_slices_a_tenth_faster_than_it_allows() {
        assert_eq!(turns(spread(80, 1000), 1000, 9), [0, 0, 0, 0, 45_000, 45_000, 45_000, 45_000, 90_000]);
        assert_eq!(turns(spread(10, 1000), 1000, 3), [0, 90_000, 180_000]);
        assert_eq!(turns(spread(5, 2000), 1000, 3), [0, 360_000, 720_000]);
        let thousand = turns(spread(1000, 1000), 1000, 1001);
        assert_eq!((thousand[49], thousand[50], thousand[1000]), (0, 45_000, 900_000));
    }

    #[test]
    fn the_first_slice_after_a_rest_is_longer() {
        let mut spread = spread(80, 1000);
        for seconds in [1_000, 1_011, 1_030] {
            let begun = Timestamp::from_seconds(seconds);
            let turns = turns_from(spread.clone(), begun, 1000, 81);
            assert_eq!(turns[..6], [0, 0, 0, 0, 245_000, 245_000], "at {seconds} s");
            assert_eq!(turns[80], 1_100_000, "the window's first call may be a tenth of it late");
            spread.take(1000, begun);
        }
        assert_eq!(turns_from(spread, Timestamp::from_seconds(1_039), 1000, 5)[4], 45_000, "a short rest");
    }

    #[test]
    fn a_slower_queue_is_spread_as_well() {
        assert_eq!(turns(spread(80, 1000), 500, 5), [0, 0, 45_000, 45_000, 90_000]);
        assert_eq!(turns(spread(10, 1000), 100, 3), [0; 3], "one in a window: the window sees to it");
    }

    #[test]
    fn lateness_does_not_add_up() {
        let mut spread = spread(1000, 1000);
        let begun = Timestamp::from_seconds(1_000);
        let mut now = begun;
        for n in 0..1_000_u64 {
            now = now.max(spread.free_at(1000, now).0);
            if n % 50 == 0 {
                // The first of each slice is up to 40 ms late.
                now = now.after(Duration::from_millis(n * 7 % 41));
            }
            spread.take(1000, now);
        }
        // The first slice is a fifth longer. Were each slice late for itself, it would take 1.5 s.
        assert!(now.since(begun) < Duration::from_millis(1_150), "{:?}", now.since(begun));
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let mut spread = spread(80, 1000);
        for _ in 0..3 {
            spread.take(1000, Timestamp::from_seconds(990));
        }
        assert_eq!(turns(spread, 1000, 5)[4], 45_000, "one slice at once after any rest");
    }

    #[test]
    fn long_windows_and_windows_of_one_are_left_alone() {
        for (max, millis) in [(80, 60_000), (3, 2_001), (1, 1_000)] {
            assert_eq!(turns(spread(max, millis), 1000, 3), [0; 3], "{max} in {millis} ms");
        }
    }

    #[test]
    fn a_window_that_stays_keeps_its_slice() {
        let (now, mut spread) = (Timestamp::from_seconds(1_000), spread(10, 1000));
        spread.take(1000, Timestamp::from_seconds(999));
        spread.take(1000, now);
        let ten = Window { max: 10, window: Duration::from_secs(1) };
        spread.configure(&[ten, Window { max: 600, window: Duration::from_secs(60) }]);
        assert_eq!(spread.free_at(1000, now), (now.after(Duration::from_millis(90)), Some(ten)));
    }
}
