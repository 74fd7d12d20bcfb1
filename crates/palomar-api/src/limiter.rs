//! A token bucket per API key, and the three headers that tell a client where it stands.
//!
//! A bucket is one point in time: when it would be full again (GCRA). Keys that have been quiet for a whole period are
//! forgotten, which changes nothing: theirs are full.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use tokio::time::Instant;

use crate::RateLimit;

const POLICY: HeaderName = HeaderName::from_static("ratelimit-policy");
const STATE: HeaderName = HeaderName::from_static("ratelimit");
/// Above so many keys, quiet ones are swept out.
const SWEEP_AT: usize = 10_000;

pub(crate) struct Limiter {
    limit: RateLimit,
    policy: HeaderValue,
    buckets: Mutex<HashMap<Arc<str>, Instant>>,
}

/// Where a key stands after a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Allowance {
    /// Whether the request may pass; where not, in how many seconds the next one may.
    pub(crate) passes: Result<(), u32>,
    remaining: u32,
    full_in: u64,
}

impl Limiter {
    pub(crate) fn new(limit: RateLimit) -> Limiter {
        let policy = format!("\"default\";q={};w={}", limit.requests, limit.per.as_secs().max(1));
        let policy =
            HeaderValue::from_str(&policy).unwrap_or_else(|_| HeaderValue::from_static("\"default\""));
        Limiter { limit, policy, buckets: Mutex::default() }
    }

    /// Takes one token of `key`'s bucket.
    pub(crate) fn take(&self, key: &Arc<str>, now: Instant) -> Allowance {
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= SWEEP_AT {
            buckets.retain(|_, full_at| *full_at > now);
        }
        let bucket = match buckets.get_mut(key) {
            Some(bucket) => bucket,
            None => buckets.entry(key.clone()).or_insert(now),
        };
        let each = self.limit.per / self.limit.requests.max(1);
        let full_at = (*bucket).max(now) + each;
        let used = full_at - now;
        let passes = used <= self.limit.per;
        if passes {
            *bucket = full_at;
        }
        let left = self.limit.per.saturating_sub(used);
        let remaining = if passes { left.as_nanos() / each.as_nanos().max(1) } else { 0 };
        Allowance {
            passes: if passes { Ok(()) } else { Err(seconds(used - self.limit.per)) },
            remaining: u32::try_from(remaining).unwrap_or(u32::MAX),
            full_in: used.min(self.limit.per).as_secs(),
        }
    }

    /// Adds the headers.
    pub(crate) fn tell(&self, allowance: Allowance, headers: &mut HeaderMap) {
        headers.insert(POLICY, self.policy.clone());
        let state = format!("\"default\";r={};t={}", allowance.remaining, allowance.full_in);
        if let Ok(state) = HeaderValue::from_str(&state) {
            headers.insert(STATE, state);
        }
    }
}

/// Whole seconds that are surely enough.
fn seconds(wait: Duration) -> u32 {
    u32::try_from(wait.as_secs()).unwrap_or(u32::MAX).saturating_add(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_bucket_empties_and_fills() {
        let limiter = Limiter::new(RateLimit { requests: 3, per: Duration::from_secs(60) });
        let key: Arc<str> = "k".into();
        let start = Instant::now();
        let at = |seconds| limiter.take(&key, start + Duration::from_secs(seconds)).passes;
        assert_eq!([at(0), at(0), at(0)], [Ok(()); 3]);
        assert_eq!(at(0), Err(21));
        assert_eq!(at(19), Err(2));
        assert_eq!(at(20), Ok(()));
        assert_eq!(at(20), Err(21));
        assert_eq!(limiter.take(&"other".into(), start).remaining, 2, "keys have buckets of their own");
        let mut headers = HeaderMap::new();
        limiter.tell(limiter.take(&key, start + Duration::from_secs(600)), &mut headers);
        assert_eq!(headers[POLICY], "\"default\";q=3;w=60");
        assert_eq!(headers[STATE], "\"default\";r=2;t=20");
    }
}
