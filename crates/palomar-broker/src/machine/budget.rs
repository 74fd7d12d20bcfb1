//! A budget of distinct keys in a sliding window, shared by queues (a portfolio's new recipients per 24 h).
//!
//! A key counts from its start until a window after its *last* start, so the distinct keys of any span of the
//! window's length never exceed the limit. A key that counts already costs nothing more.

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use palomar_model::Timestamp;
use serde::{Deserialize, Serialize};

use crate::types::Budget;

/// A budget and who has been reached.
#[derive(Clone, Debug)]
pub(super) struct BudgetState {
    pub(super) config: Budget,
    last_start: HashMap<u64, i64>,
    by_age: BTreeSet<(i64, u64)>,
    /// Queues with parked jobs, in the order in which they are let on.
    pub(super) waiting: std::collections::VecDeque<u32>,
    /// Parked jobs that time alone has let go since a lease last looked: they hold the places that are free.
    pub(super) let_go: usize,
    pub(super) dirty: bool,
}

/// The stored form.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct BudgetRow {
    pub(crate) config: Budget,
    pub(crate) starts: Vec<(u64, i64)>,
}

impl BudgetState {
    pub(super) fn new(config: Budget) -> BudgetState {
        BudgetState {
            config,
            last_start: HashMap::new(),
            by_age: BTreeSet::new(),
            waiting: Default::default(),
            let_go: 0,
            dirty: true,
        }
    }

    fn span(&self) -> Duration {
        // The margin that `Windows` keeps as well: the other side's clock starts when our bytes arrive.
        self.config.window + self.config.window / 1000
    }

    fn forget(&mut self, now: Timestamp) {
        let limit = now.before(self.span()).micros();
        while let Some(&(at, key)) = self.by_age.first().filter(|(at, _)| *at <= limit) {
            self.by_age.pop_first();
            self.last_start.remove(&key);
            debug_assert!(at <= limit);
        }
    }

    /// When a start of `key` is within the budget; now, where it is already.
    pub(super) fn free_at(&self, key: u64, now: Timestamp) -> Timestamp {
        let limit = now.before(self.span()).micros();
        let counts = |at: i64| at > limit;
        if self.last_start.get(&key).is_some_and(|&at| counts(at)) {
            return now;
        }
        let live = self.by_age.len() - self.by_age.iter().take_while(|&&(at, _)| !counts(at)).count();
        let max = self.config.max.max(1) as usize;
        if live < max {
            return now;
        }
        match self.by_age.iter().nth(self.by_age.len() - max) {
            Some(&(at, _)) => Timestamp::from_micros(at).after(self.span()),
            None => now,
        }
    }

    /// When a place is free for the one who waits behind `ahead` others, if nobody gives one up or starts again.
    pub(super) fn place_after(&self, ahead: u64, now: Timestamp) -> Timestamp {
        let max = u64::from(self.config.max.max(1));
        // Who is let on takes its place for a whole span.
        let rounds = u32::try_from(ahead / max).unwrap_or(u32::MAX);
        let limit = now.before(self.span()).micros();
        let mut live = self.by_age.iter().skip_while(|(at, _)| *at <= limit);
        let leave_first = (self.used(now) + ahead % max + 1).saturating_sub(max);
        let at = match leave_first.checked_sub(1).and_then(|n| live.nth(usize::try_from(n).ok()?)) {
            Some(&(at, _)) => Timestamp::from_micros(at).after(self.span()),
            None => now,
        };
        at.after(self.span().saturating_mul(rounds))
    }

    /// When a place becomes free; now, where one is.
    pub(super) fn next_place(&self, now: Timestamp) -> Timestamp {
        self.free_at(0, now)
    }

    /// Places that are free and that no job was let go for.
    pub(super) fn open_places(&self, now: Timestamp) -> usize {
        if self.next_place(now) > now {
            return 0;
        }
        let free = u64::from(self.config.max).saturating_sub(self.used(now)).max(1);
        usize::try_from(free).unwrap_or(usize::MAX).saturating_sub(self.let_go)
    }

    pub(super) fn record(&mut self, key: u64, now: Timestamp) {
        self.forget(now);
        if let Some(earlier) = self.last_start.insert(key, now.micros()) {
            self.by_age.remove(&(earlier, key));
        }
        self.by_age.insert((now.micros(), key));
        self.dirty = true;
    }

    pub(super) fn used(&self, now: Timestamp) -> u64 {
        let limit = now.before(self.span()).micros();
        self.by_age.iter().rev().take_while(|(at, _)| *at > limit).count() as u64
    }

    pub(super) fn row(&self) -> BudgetRow {
        BudgetRow {
            config: self.config.clone(),
            starts: self.by_age.iter().map(|&(at, key)| (key, at)).collect(),
        }
    }

    pub(super) fn from_row(row: BudgetRow) -> BudgetState {
        let mut state = BudgetState::new(row.config);
        state.last_start = row.starts.iter().copied().collect();
        state.by_age = row.starts.iter().map(|&(key, at)| (at, key)).collect();
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_distinct_keys_in_any_window_than_allowed() {
        let hour = Duration::from_secs(3600);
        let mut budget = BudgetState::new(Budget { name: "p".into(), max: 3, window: 24 * hour });
        let mut starts: Vec<(Timestamp, u64)> = Vec::new();
        let mut now = Timestamp::from_seconds(1_000_000);
        for step in 0_u64..2_000 {
            let key = 1 + (step * step + step / 7) % 40;
            if budget.free_at(key, now) <= now {
                budget.record(key, now);
                starts.push((now, key));
            }
            now = now.after(hour / 4);
        }
        for &(start, _) in &starts {
            let keys: std::collections::HashSet<u64> = starts
                .iter()
                .filter(|&&(at, _)| at >= start && at.since(start) < 24 * hour)
                .map(|&(_, key)| key)
                .collect();
            assert!(keys.len() <= 3, "{} keys from {start}", keys.len());
        }
        assert!(starts.len() > 50);
    }

    #[test]
    fn tells_when_a_place_is_free() {
        let mut budget =
            BudgetState::new(Budget { name: "p".into(), max: 1, window: Duration::from_secs(1000) });
        let now = Timestamp::from_seconds(5_000);
        budget.record(7, now);
        assert_eq!(budget.free_at(7, now), now);
        let free = budget.free_at(8, now);
        assert_eq!(free, now.after(Duration::from_secs(1001)));
        assert_eq!(budget.free_at(8, free), free);
        assert_eq!(BudgetState::from_row(budget.row()).free_at(8, now), free);
    }
}
