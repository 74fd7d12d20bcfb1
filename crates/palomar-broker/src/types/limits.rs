//! What a queue allows.

use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

/// One sliding window: never more than `max` starts in any span of `window`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Window {
    /// So many starts at most.
    pub max: u32,
    /// In any span of this length.
    pub window: Duration,
}

/// A pace per key: one start an `interval`, with a `burst` that is borrowed from the time to come (GCRA).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Pair {
    /// One start in so long, in the long run.
    pub interval: Duration,
    /// So many at once at most, 1 or more.
    pub burst: u32,
}

/// A circuit breaker.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct BreakerConfig {
    /// Opens after so many failures in a row; 0 never opens.
    pub failures: u32,
    /// Lets one probe through after so long.
    pub open_for: Duration,
}

/// A budget of distinct keys in any 24 h, shared by the queues that name it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Budget {
    /// Its name (a portfolio).
    pub name: Arc<str>,
    /// So many distinct keys at most.
    pub max: u32,
    /// In any span of this length.
    pub window: Duration,
}

/// What a queue allows.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// All of them hold at once.
    pub windows: Vec<Window>,
    /// Share of each window that is left free for jitter on the way, in thousandths (15 = 1.5 %).
    pub margin_permille: u16,
    /// Pace per key.
    pub pair: Option<Pair>,
    /// Leases and starts at the same time.
    pub concurrency: u32,
    /// Budget of distinct keys.
    pub budget: Option<Budget>,
    /// Circuit breaker.
    pub breaker: BreakerConfig,
    /// How long one call may take; a start is refused where the lease ends sooner.
    pub deadline: Duration,
    /// What must be left of a lease beyond the deadline.
    pub lease_margin: Duration,
    /// How long later jobs of a key wait behind an uncertain one.
    pub order_wait: Duration,
    /// How long an uncertain job waits for evidence before its policy is applied.
    pub uncertain_wait: Duration,
    /// How long the queue stops when it is throttled without a time.
    pub throttle_wait: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            windows: Vec::new(),
            margin_permille: 15,
            pair: None,
            concurrency: 50,
            budget: None,
            breaker: BreakerConfig { failures: 10, open_for: Duration::from_secs(60) },
            deadline: Duration::from_secs(30),
            lease_margin: Duration::from_secs(5),
            order_wait: Duration::from_secs(60),
            uncertain_wait: Duration::from_secs(15 * 60),
            throttle_wait: Duration::from_secs(1),
        }
    }
}
