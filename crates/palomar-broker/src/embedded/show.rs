//! What the actor shows of a job beside what the machine knows: its payload, and when it was queued.

use bytes::Bytes;

use super::actor::Actor;
use super::payloads::Payload;
use crate::machine::NewRow;
use crate::types::{JobId, JobView};

impl Actor {
    /// A job with its payload; none where its row can't be read, for a payload is never made up.
    pub(super) fn job(&self, id: JobId) -> Option<(JobView, Bytes)> {
        let mut view = self.machine.view(id)?;
        let payload = match self.accepted(view.seq) {
            Some(row) => Payload { bytes: row.payload.clone(), enqueued_at: row.spec.enqueued_at },
            None => match self.payloads.peek(&self.store, view.seq) {
                Ok(payload) => payload,
                Err(why) => {
                    tracing::error!(job = %id, %why, "a damaged job can't be shown");
                    return None;
                }
            },
        };
        view.enqueued_at = payload.enqueued_at;
        Some((view, payload.bytes))
    }

    /// The row of a job that was accepted in this very batch. Rows are in the order of their numbers.
    pub(super) fn accepted(&self, seq: u64) -> Option<&NewRow> {
        let rows = self.machine.accepted();
        rows.binary_search_by_key(&seq, |row| row.seq).ok().map(|at| &rows[at])
    }

    pub(super) fn date(&self, view: &mut JobView) {
        let pending = self.accepted(view.seq).map(|row| row.spec.enqueued_at);
        if let Some(at) = pending.or_else(|| self.payloads.enqueued_at(&self.store, view.seq)) {
            view.enqueued_at = at;
        }
    }
}
