//! Send jobs: several messages that one line sends one after the other, with a pause in between; or one message.
//!
//! ```text
//! create ─> rows: what it sends ─> keeper: has it a place? has the last one ended? ─> submit ─> outbound/<channel>
//! ```
//!
//! Always: the id of a message follows from job and position, so that whoever feeds a position again, after whatever
//! crash, adds nothing; a pause or a cancel is written down first and holds in the queue when it is answered; a job is
//! over when everything of it is accounted for.

mod input;
mod keeper;
mod orders;
mod view;

use palomar_model::MessageId;
use sha2::{Digest as _, Sha256};

pub use input::{MadeSendJob, NewSendJob};
pub use orders::SendJobAnswer;
pub use view::{SendJobCounts, SendJobProgress, SendJobQueue, SendJobStats, SendJobView};

pub(crate) use keeper::{Keeper, watch};

/// What the ids of all send jobs begin with: no message of anything else may name such a campaign.
pub(crate) const PREFIX: &str = "send_job_";

/// The id of a job's message.
fn message_id(job: &str, position: u64) -> MessageId {
    let mut hash = Sha256::new();
    hash.update(b"send job");
    hash.update(job.as_bytes());
    hash.update(position.to_be_bytes());
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash.finalize()).for_each(|(byte, from)| *byte = from);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_same_again_and_different_from_all_others() {
        let ids: std::collections::HashSet<_> =
            ["a", "b"].iter().flat_map(|job| (0..1000).map(|n| message_id(job, n))).collect();
        assert_eq!(ids.len(), 2000);
        assert!(ids.contains(&message_id("b", 7)));
    }
}
