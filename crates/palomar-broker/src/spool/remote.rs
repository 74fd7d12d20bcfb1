//! What a spool needs of the broker that it stands before: calls that are known by a number.
//!
//! A numbered call is done once, however often and however late it comes. So of a call whose answer was lost it can be
//! asked what became of it, and the question itself decides: what was not done by then will never be.

use std::time::Duration;

use futures_util::future::BoxFuture;
use serde::{Deserialize, Serialize};

use crate::broker::{Broker, BrokerError};
use crate::types::{Enqueued, NewJob};

/// What a call is known by: who calls, and which of their calls it is. Numbers rise; a caller has one call under way in a
/// partition.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct CallId {
    pub(crate) caller: u64,
    pub(crate) number: u64,
}

/// A shared broker that takes numbered calls.
pub(crate) trait Remote: Broker {
    /// Who calls for this process: nobody else, and nobody at another time.
    fn caller(&self) -> u64;

    /// Why such jobs would be refused whenever they came.
    fn fits(&self, jobs: &[NewJob]) -> Result<(), BrokerError>;

    /// Queues jobs of one partition, tried for `within`. After [`BrokerError::Lost`] it is not known whether they are
    /// queued, and may still come to be.
    fn hand_in<'a>(
        &'a self,
        partition: u32,
        call: CallId,
        jobs: &'a [NewJob],
        within: Duration,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, BrokerError>>;

    /// What was answered to a call that brought so many jobs. None where it was not done: from now on it never will be.
    fn outcome(
        &self,
        partition: u32,
        call: CallId,
        jobs: usize,
        within: Duration,
    ) -> BoxFuture<'_, Result<Option<Vec<Enqueued>>, BrokerError>>;

    /// A caller calls no more, and all of its calls were answered.
    fn forget(&self, partition: u32, caller: u64, within: Duration) -> BoxFuture<'_, ()>;
}
