//! What the HTTP side lets its owner choose.

use std::sync::Arc;
use std::time::Duration;

/// Settings of the HTTP side.
#[derive(Clone)]
pub struct ApiConfig {
    /// Requests that one API key may make; `None` for no limit.
    pub rate_limit: Option<RateLimit>,
    /// Bytes of a JSON body at most. Streams of bulk requests have no limit, arrays ten times this one.
    pub max_body: usize,
    /// Bytes of a webhook's body at most. Meta's largest batches have 3 MB.
    pub max_webhook_body: usize,
    /// How the outside reaches this server, for example `https://wa.example.org`. Twilio signs that address. Where it
    /// is not set, `Host` (and `X-Forwarded-Proto`) of the request are believed.
    pub public_url: Option<String>,
    /// Origins of pages whose scripts may call this server from a browser, such as `https://crm.example.org`; `*` for all.
    pub cors_origins: Vec<String>,
    /// Seeds the ids of requests that bring none. Must come from the system's randomness (in tests: any number).
    pub request_id_seed: u64,
    /// What checks the one-time sign-in link of the first start.
    pub login: Option<Arc<dyn LoginLink>>,
}

/// A token bucket per API key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// So many requests, at once too.
    pub requests: u32,
    /// In so long, in the long run.
    pub per: Duration,
}

/// Redeems one-time sign-in links: the seam to which sessions of people will be tied.
pub trait LoginLink: Send + Sync {
    /// Whether the token is good. A good one is used up by asking.
    fn redeem(&self, token: &str) -> bool;
}

impl ApiConfig {
    /// The defaults; only the seed must be given.
    #[must_use]
    pub fn new(request_id_seed: u64) -> ApiConfig {
        // A guard against programs run wild, not a quota: work at full speed stays below it.
        let rate_limit = Some(RateLimit { requests: 1_000_000, per: Duration::from_secs(60) });
        ApiConfig {
            rate_limit,
            max_body: 1024 * 1024,
            max_webhook_body: 3 * 1024 * 1024,
            public_url: None,
            cors_origins: Vec::new(),
            request_id_seed,
            login: None,
        }
    }
}

impl std::fmt::Debug for ApiConfig {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ApiConfig")
            .field("rate_limit", &self.rate_limit)
            .field("max_body", &self.max_body)
            .field("max_webhook_body", &self.max_webhook_body)
            .field("public_url", &self.public_url)
            .field("cors_origins", &self.cors_origins)
            .field("login", &self.login.is_some())
            .finish_non_exhaustive()
    }
}
