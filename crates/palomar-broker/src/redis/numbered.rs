//! Numbered calls: what brings jobs in from a spool (`crate::spool`), and what became of it.
//!
//! They go beside the desk, each by itself, under a caller's id of their own. The library remembers the last answer to
//! each caller, a spool's however long ago that was, so a call that comes again is answered and not done again; and an empty
//! call under a number takes that number's place, so that what was not done under it never will be.

use std::time::Duration;

use bytes::Bytes;
use futures_util::future::BoxFuture;
use redis::Value;
use tokio::time::Instant;

use super::RedisBroker;
use super::answer::{self, Answer};
use super::call::{self, Call};
use super::link::slot_of;
use super::request::{self, Operation};
use super::shard::{Shard, refused_always, unreadable};
use super::wire::Malformed;
use crate::broker::BrokerError;
use crate::spool::{CallId, Remote};
use crate::types::{Enqueued, NewJob};

/// Which of a process' callers this is: the desk has those before.
const CALLER: u64 = 2;

impl Shard {
    /// Makes a call; what is answered to its operation. None where the number was taken by a call without one.
    async fn numbered(
        &self,
        call: CallId,
        operation: Option<Operation>,
        within: Duration,
    ) -> Result<Option<Answer>, BrokerError> {
        let at = Instant::now();
        let brings = operation.is_some();
        let call = Call {
            terms: &self.terms,
            caller: call.caller.to_be_bytes(),
            number: call.number,
            is_remembered: true,
        };
        let operations: Vec<&Operation> = operation.iter().collect();
        let command = call.command(&self.link.library, &self.limits, &operations, &[]);
        let answer = self.link.call_within(&command, Some(slot_of(&self.base)), within).await?;
        let Value::Array(values) = answer else { return Err(unreadable(Malformed)) };
        let mut values = values.into_iter().filter_map(|value| match value {
            Value::BulkString(bytes) => Some(Bytes::from(bytes)),
            _ => None,
        });
        let head = values.next().ok_or_else(|| unreadable(Malformed))?;
        self.line.heard(head, at.elapsed(), brings);
        Ok(values.next().map(|said| Answer { said, records: Vec::new() }))
    }
}

impl RedisBroker {
    fn shard(&self, partition: u32) -> Result<&Shard, BrokerError> {
        let shard = self.partitions.get(partition as usize);
        shard.map(|shard| &**shard).ok_or_else(|| BrokerError::Failed("there is no such partition".into()))
    }
}

impl Remote for RedisBroker {
    fn caller(&self) -> u64 {
        call::caller(self.link.process, CALLER)
    }

    fn fits(&self, jobs: &[NewJob]) -> Result<(), BrokerError> {
        refused_always(jobs)
    }

    fn hand_in<'a>(
        &'a self,
        partition: u32,
        call: CallId,
        jobs: &'a [NewJob],
        within: Duration,
    ) -> BoxFuture<'a, Result<Vec<Enqueued>, BrokerError>> {
        Box::pin(async move {
            let operation = (!jobs.is_empty()).then(|| request::enqueue(jobs));
            match self.shard(partition)?.numbered(call, operation, within).await? {
                Some(said) => answer::enqueued(&said, jobs.len()).map_err(unreadable),
                None if jobs.is_empty() => Ok(Vec::new()),
                None => Err(BrokerError::Failed("its number is taken".into())),
            }
        })
    }

    fn outcome(
        &self,
        partition: u32,
        call: CallId,
        jobs: usize,
        within: Duration,
    ) -> BoxFuture<'_, Result<Option<Vec<Enqueued>>, BrokerError>> {
        Box::pin(async move {
            let said = self.shard(partition)?.numbered(call, None, within).await?;
            said.map(|said| answer::enqueued(&said, jobs).map_err(unreadable)).transpose()
        })
    }

    fn forget(&self, partition: u32, caller: u64, within: Duration) -> BoxFuture<'_, ()> {
        Box::pin(async move {
            if let Ok(shard) = self.shard(partition) {
                let mut command = redis::cmd("HDEL");
                command.arg(&shard.base).arg(&caller.to_be_bytes()[..]);
                // What is not forgotten is a few bytes.
                let _ = self.link.call_within(&command, None, within).await;
            }
        })
    }
}
