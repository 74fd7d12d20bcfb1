//! Settling: what gathers while one settle is under way goes with the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;

use super::{Handled, TURNS_FOR_OTHERS};
use crate::broker::{Broker, BrokerError};
use crate::types::{Evidence, LeaseError, LeaseRef, Outcome, Settle, Verdict};

const MOST: usize = 512;

/// The first pause before a broker that did not answer is asked again, and the longest.
const FIRST_BACKOFF: Duration = Duration::from_millis(10);
const LONGEST_BACKOFF: Duration = Duration::from_secs(5);

/// A handled job that is to be settled.
pub(super) struct Settling {
    pub(super) lease: LeaseRef,
    pub(super) attempt: u32,
    pub(super) handled: Handled,
}

/// Settles until every sender is gone.
pub(super) async fn run(broker: Arc<dyn Broker>, mut handled: mpsc::UnboundedReceiver<Settling>) {
    let mut batch = Vec::with_capacity(MOST);
    while handled.recv_many(&mut batch, MOST).await > 0 {
        // Handlers that are about to end get their turn first: one settle for all of them.
        for _ in 0..TURNS_FOR_OTHERS {
            let before = batch.len();
            tokio::task::yield_now().await;
            while batch.len() < MOST
                && let Ok(more) = handled.try_recv()
            {
                batch.push(more);
            }
            if batch.len() == before {
                break;
            }
        }
        settle(&*broker, std::mem::take(&mut batch)).await;
    }
}

async fn settle(broker: &dyn Broker, batch: Vec<Settling>) {
    let mut backoff = FIRST_BACKOFF;
    loop {
        let settles = batch
            .iter()
            .map(|Settling { lease, handled, .. }| Settle {
                lease: *lease,
                outcome: handled.outcome.clone(),
                signal: handled.signal.clone(),
                events: handled.events.clone(),
            })
            .collect();
        match broker.settle(settles).await {
            Ok(answers) => return too_late(broker, batch, &answers).await,
            // What is not settled is uncertain after the next start.
            Err(error @ (BrokerError::Stopped | BrokerError::Failed(_))) => {
                tracing::error!(%error, jobs = batch.len(), "jobs could not be settled");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "settling failed, trying again");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}

/// What was settled under a lease that had ended is told as evidence where it proves something.
async fn too_late(broker: &dyn Broker, batch: Vec<Settling>, answers: &[Result<(), LeaseError>]) {
    let evidence: Vec<Evidence> = batch
        .into_iter()
        .zip(answers)
        .filter(|(_, answer)| answer.is_err())
        .filter_map(|(Settling { lease, attempt, handled }, _)| {
            tracing::warn!(job = %lease.id, "settled after its lease had ended: told as evidence");
            let verdict = match handled.outcome {
                Outcome::Done => Verdict::Taken,
                Outcome::Dead { reason } => Verdict::Failed { reason },
                _ => return None,
            };
            Some(Evidence { id: lease.id, attempt, verdict, events: handled.events })
        })
        .collect();
    if evidence.is_empty() {
        return;
    }
    // It may be the only proof that there will ever be.
    let mut backoff = FIRST_BACKOFF;
    loop {
        match broker.evidence(evidence.clone()).await {
            Ok(_) => return,
            Err(error @ (BrokerError::Stopped | BrokerError::Failed(_))) => {
                tracing::error!(%error, jobs = evidence.len(), "evidence was not taken");
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "evidence was not taken, trying again");
                tokio::time::sleep(backoff).await;
                backoff = (backoff * 2).min(LONGEST_BACKOFF);
            }
        }
    }
}
