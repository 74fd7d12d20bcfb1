//! Lots that are drawn once and for all: ids of messages, variants, who gets nothing so that the others can be compared
//! with them. They follow from the campaign, the step and the recipient alone, so that whoever draws again draws the same.

use palomar_model::MessageId;
use sha2::{Digest as _, Sha256};

/// A campaign's first message to a recipient.
pub(super) const FIRST_STEP: u32 = 0;

/// The id of a message: by campaign, step and recipient ([`palomar_model::Recipient::key`]). It begins with the
/// campaign's number, so that its messages stand together in every index.
pub(super) fn message_id(campaign: u64, step: u32, recipient: &str) -> MessageId {
    let hash = hash(campaign, "message", step, recipient);
    let mut bytes = [0_u8; 16];
    bytes.iter_mut().zip(hash).for_each(|(byte, from)| *byte = from);
    bytes[..6].copy_from_slice(&(campaign / 1000).to_be_bytes()[2..]);
    MessageId(uuid::Builder::from_custom_bytes(bytes).into_uuid())
}

/// The id of the job that makes messages of a batch.
pub(super) fn batch_id(campaign: u64, batch: u32, generation: u32) -> MessageId {
    message_id(campaign, batch, &format!("batch {generation}"))
}

/// Which of several weights a recipient falls on.
pub(super) fn variant(campaign: u64, weights: &[u32], recipient: &str) -> usize {
    let all: u64 = weights.iter().map(|weight| u64::from(*weight)).sum();
    let mut lot = draw(campaign, "variant", recipient) % all.max(1);
    for (n, weight) in weights.iter().enumerate() {
        match lot.checked_sub(u64::from(*weight)) {
            Some(rest) => lot = rest,
            None => return n,
        }
    }
    0
}

/// Whether a recipient is among the share that gets nothing.
pub(super) fn held_out(campaign: u64, share: f64, recipient: &str) -> bool {
    // The first 53 bits are a fraction that a float has exactly.
    let lot = (draw(campaign, "hold out", recipient) >> 11) as f64 / (1_u64 << 53) as f64;
    lot < share
}

fn draw(campaign: u64, what: &str, recipient: &str) -> u64 {
    let hash = hash(campaign, what, 0, recipient);
    hash.iter().take(8).fold(0, |sum, byte| sum << 8 | u64::from(*byte))
}

fn hash(campaign: u64, what: &str, step: u32, recipient: &str) -> [u8; 32] {
    let mut hash = Sha256::new();
    for part in
        [&campaign.to_be_bytes()[..], what.as_bytes(), &[0], &step.to_be_bytes(), recipient.as_bytes()]
    {
        hash.update(part);
    }
    hash.finalize().into()
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn ids_are_the_same_again_and_different_from_all_others() {
        let campaign = 1_767_225_600_000_000;
        let ids: HashSet<_> = (0..10_000).map(|n| message_id(campaign, 0, &format!("34600{n:06}"))).collect();
        assert_eq!(ids.len(), 10_000);
        assert_eq!(message_id(campaign, 0, "x"), message_id(campaign, 0, "x"));
        for other in
            [message_id(campaign + 1, 0, "x"), message_id(campaign, 1, "x"), message_id(campaign, 0, "y")]
        {
            assert_ne!(other, message_id(campaign, 0, "x"));
        }
        assert_ne!(batch_id(campaign, 0, 0), batch_id(campaign, 0, 1));
    }

    #[test]
    fn shares_are_as_they_were_wished() {
        let draws = 50_000;
        let mut found = [0_f64; 3];
        let mut held = 0_f64;
        for n in 0..draws {
            let who = format!("34600{n:06}");
            found[variant(7, &[70, 20, 10], &who)] += 1.0;
            held += f64::from(u8::from(held_out(7, 0.05, &who)));
        }
        for (share, expected) in found.iter().chain([&held]).zip([0.7, 0.2, 0.1, 0.05]) {
            let share = share / f64::from(draws);
            assert!((share - expected).abs() < 0.01, "{share} of {expected}");
        }
        assert!((0..1000).all(|n| variant(7, &[0, 1, 0], &n.to_string()) == 1));
        assert!((0..1000).all(|n| !held_out(7, 0.0, &n.to_string()) && held_out(7, 1.0, &n.to_string())));
    }
}
