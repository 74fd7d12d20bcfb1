//! How a lane stands, as whoever waits sees it, and what a person is told of it.

use std::sync::Arc;

use palomar_model::Timestamp;

/// How a lane stands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Standing {
    /// Why the shared broker can't be reached, where it can't.
    pub(super) away: Option<Arc<str>>,
    /// Why the spool can't be handed over, where the shared broker is there and that failed nevertheless.
    pub(super) stuck: Option<Arc<str>>,
    /// Since when the oldest job waits in the spool.
    pub(super) oldest: Option<Timestamp>,
}

impl Standing {
    /// Says what has changed since, once.
    pub(super) fn tell(&self, now: &Standing) {
        match (&self.away, &now.away) {
            (None, Some(why)) => {
                tracing::warn!(%why, "the queues can't be reached: what comes waits in the spool");
            }
            (Some(_), None) => tracing::info!("the queues can be reached again"),
            (Some(_), Some(why)) => tracing::debug!(%why, "the queues can't be reached yet"),
            (None, None) => {}
        }
        match (&self.stuck, &now.stuck) {
            (None, Some(why)) => {
                tracing::warn!(%why, "the spool can't be handed over: what comes waits behind it");
            }
            (Some(_), None) => tracing::info!("the spool is handed over again"),
            (Some(_), Some(why)) => tracing::debug!(%why, "the spool can't be handed over yet"),
            (None, None) => {}
        }
    }
}
