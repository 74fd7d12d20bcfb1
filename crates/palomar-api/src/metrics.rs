//! What the HTTP side counts. Labels are routes and statuses, never anything a client chose.

use std::time::Duration;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::Registry;

use crate::problem::Code;

const BUCKETS: [f64; 12] = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0];

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RequestLabels {
    route: &'static str,
    method: &'static str,
    status: u16,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RouteLabels {
    route: &'static str,
    method: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct RejectLabels {
    reason: &'static str,
}

#[derive(Clone, Debug, Hash, PartialEq, Eq, EncodeLabelSet)]
struct LoginLabels {
    result: &'static str,
}

/// Why a caller was not let in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AuthFailure {
    /// There was no `Authorization` header.
    Missing,
    /// It can't be read.
    Malformed,
    /// The key is not known.
    Unknown,
    /// The key is past its end.
    Expired,
    /// The key was revoked.
    Revoked,
    /// The key is good, and does not allow it.
    Forbidden,
}

impl AuthFailure {
    const ALL: [AuthFailure; 6] = [
        AuthFailure::Missing,
        AuthFailure::Malformed,
        AuthFailure::Unknown,
        AuthFailure::Expired,
        AuthFailure::Revoked,
        AuthFailure::Forbidden,
    ];

    const fn as_str(self) -> &'static str {
        match self {
            AuthFailure::Missing => "missing",
            AuthFailure::Malformed => "malformed",
            AuthFailure::Unknown => "unknown",
            AuthFailure::Expired => "expired",
            AuthFailure::Revoked => "revoked",
            AuthFailure::Forbidden => "forbidden",
        }
    }
}

/// The HTTP side's metrics; a clone counts into the same.
#[derive(Clone, Debug)]
pub(crate) struct HttpMetrics {
    requests: Family<RequestLabels, Counter>,
    durations: Family<RouteLabels, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
    rejected: Family<RejectLabels, Counter>,
    auth_failures: Family<RejectLabels, Counter>,
    logins: Family<LoginLabels, Counter>,
    rows: Counter,
}

impl HttpMetrics {
    pub(crate) fn new() -> HttpMetrics {
        let metrics = HttpMetrics {
            requests: Family::default(),
            durations: Family::new_with_constructor(|| Histogram::new(BUCKETS)),
            in_flight: Gauge::default(),
            rejected: Family::default(),
            auth_failures: Family::default(),
            logins: Family::default(),
            rows: Counter::default(),
        };
        // From 0: what was not there before it grew has no rate.
        for (_, reason, _) in Code::ALL.map(Code::parts) {
            drop(metrics.rejected.get_or_create(&RejectLabels { reason }));
        }
        for reason in AuthFailure::ALL.map(AuthFailure::as_str) {
            drop(metrics.auth_failures.get_or_create(&RejectLabels { reason }));
        }
        for result in ["ok", "refused"] {
            drop(metrics.logins.get_or_create(&LoginLabels { result }));
        }
        metrics
    }

    /// Adds them to a registry whose prefix is `palomar`.
    pub(crate) fn register(&self, registry: &mut Registry) {
        registry.register("http_requests", "Requests answered", self.requests.clone());
        let help = "Time from a request's head to its answer's head, in seconds";
        registry.register("http_request_duration_seconds", help, self.durations.clone());
        registry.register("http_requests_in_flight", "Requests being answered", self.in_flight.clone());
        registry.register("http_rejected", "Requests refused, by the problem's code", self.rejected.clone());
        let help = "Requests that their key did not let in, by why";
        registry.register("auth_failures", help, self.auth_failures.clone());
        registry.register(
            "logins",
            "Sign-in links that were opened, by whether they were good",
            self.logins.clone(),
        );
        registry.register("http_bulk_rows", "Rows of bulk requests answered", self.rows.clone());
    }

    pub(crate) fn answered(&self, route: &'static str, method: &'static str, status: u16, took: Duration) {
        self.requests.get_or_create(&RequestLabels { route, method, status }).inc();
        self.durations.get_or_create(&RouteLabels { route, method }).observe(took.as_secs_f64());
    }

    pub(crate) fn rejected(&self, reason: &'static str) {
        self.rejected.get_or_create(&RejectLabels { reason }).inc();
    }

    pub(crate) fn auth_failed(&self, why: AuthFailure) {
        self.auth_failures.get_or_create(&RejectLabels { reason: why.as_str() }).inc();
    }

    pub(crate) fn login(&self, good: bool) {
        let result = if good { "ok" } else { "refused" };
        self.logins.get_or_create(&LoginLabels { result }).inc();
    }

    pub(crate) fn rows(&self, answered: usize) {
        self.rows.inc_by(answered as u64);
    }

    /// Counts a request as in flight until what is returned is dropped.
    pub(crate) fn enter(&self) -> InFlight {
        self.in_flight.inc();
        InFlight(self.in_flight.clone())
    }
}

/// A request in flight; one that its client gives up is dropped, and so is this.
pub(crate) struct InFlight(Gauge);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}
