//! What a lane is asked, gathered: requests that one call or one commit covers, and their answers.

use tokio::sync::oneshot;

use crate::broker::BrokerError;
use crate::types::{Enqueued, NewJob};

/// Jobs and bytes of one call at most, but for a request that is larger by itself.
pub(super) const MOST_JOBS: usize = 1_000;
pub(super) const MOST_BYTES: usize = 16 << 20;
pub(super) type Answer = oneshot::Sender<Result<Vec<Enqueued>, BrokerError>>;

/// What a lane is asked.
pub(super) enum Asked {
    /// To queue jobs, durably.
    Enqueue(Vec<NewJob>, Answer),
    /// Whether the shared broker is there: whoever asks watches the lane.
    Look,
    Close(oneshot::Sender<()>),
}

/// Requests that are answered together.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) jobs: Vec<NewJob>,
    /// Each request has so many of them.
    pub(super) parts: Vec<usize>,
    pub(super) answers: Vec<Answer>,
    bytes: usize,
    pub(super) looks: bool,
    pub(super) closing: Option<oneshot::Sender<()>>,
}

impl Batch {
    pub(super) fn of(first: Asked) -> Batch {
        let mut batch = Batch::default();
        batch.add(first);
        batch
    }

    pub(super) fn has_room_for(&self, asked: &Asked) -> bool {
        match asked {
            Asked::Enqueue(jobs, _) => {
                self.jobs.len() + jobs.len() <= MOST_JOBS && self.bytes + bytes_of(jobs) <= MOST_BYTES
            }
            Asked::Look | Asked::Close(_) => true,
        }
    }

    pub(super) fn add(&mut self, asked: Asked) {
        match asked {
            Asked::Enqueue(mut jobs, answer) => {
                self.bytes += bytes_of(&jobs);
                self.parts.push(jobs.len());
                self.answers.push(answer);
                self.jobs.append(&mut jobs);
            }
            Asked::Look => self.looks = true,
            Asked::Close(answer) => self.closing = Some(answer),
        }
    }

    /// Answers each request with its part; how many there were.
    pub(super) fn answer(&mut self, answers: Vec<Enqueued>) -> usize {
        let mut answers = answers.into_iter();
        for (part, answer) in self.parts.iter().zip(self.answers.drain(..)) {
            let _ = answer.send(Ok(answers.by_ref().take(*part).collect()));
        }
        self.parts.len()
    }

    pub(super) fn refuse(self, error: &BrokerError) -> Option<oneshot::Sender<()>> {
        for answer in self.answers {
            let _ = answer.send(Err(error.clone()));
        }
        self.closing
    }
}

fn bytes_of(jobs: &[NewJob]) -> usize {
    jobs.iter().map(|job| job.payload.len()).sum()
}
