//! Attempts at a message of which nobody knows whether the provider took them. No SQL.
//!
//! Always: an attempt that ended without an answer stays in doubt until something is known of it, whatever becomes of the
//! attempts after it.

/// Those attempts: a bit each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Doubts(i64);

/// This attempt and all after it share a bit, which only a person clears.
const SHARED: u32 = 62;

impl Doubts {
    /// As they are kept.
    pub(crate) const fn from_bits(bits: i64) -> Doubts {
        Doubts(bits)
    }

    /// To be kept.
    pub(crate) const fn bits(self) -> i64 {
        self.0
    }

    /// An attempt ended without an answer.
    pub(super) fn add(&mut self, attempt: u32) {
        self.0 |= bit(attempt);
    }

    /// What became of this attempt is known.
    pub(super) fn clear(&mut self, attempt: u32) {
        if attempt < SHARED {
            self.0 &= !bit(attempt);
        }
    }

    /// What became of an attempt is known that was in doubt: of which one, where there was only one.
    pub(super) fn clear_single(&mut self) {
        if self.0.count_ones() == 1 && self.0 != bit(SHARED) {
            self.0 = 0;
        }
    }

    /// Somebody knows what became of all of them.
    pub(super) fn clear_all(&mut self) {
        self.0 = 0;
    }
}

fn bit(attempt: u32) -> i64 {
    1 << attempt.min(SHARED)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_attempt_is_in_doubt_for_itself() {
        let mut doubts = Doubts::default();
        for attempt in [1, 3, 70, 80] {
            doubts.add(attempt);
        }
        doubts.clear_single();
        doubts.clear(2);
        doubts.clear(3);
        doubts.clear(80);
        assert_eq!(doubts.bits(), bit(1) | bit(SHARED));
        doubts.clear(1);
        doubts.clear_single();
        assert_eq!(doubts.bits(), bit(SHARED), "it may be several");
        doubts.clear_all();
        doubts.add(5);
        doubts.clear_single();
        assert_eq!(doubts, Doubts::default());
    }
}
