//! The sign-in link of the first start: good once.

use std::sync::Mutex;
use std::sync::PoisonError;

use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use crate::config::LoginLink;

/// A link whose token is good once. Only the token's hash is kept.
#[derive(Debug)]
pub struct OneTimeLink(Mutex<Option<[u8; 32]>>);

impl OneTimeLink {
    /// A link for `token`, which must be long and random.
    #[must_use]
    pub fn new(token: &str) -> OneTimeLink {
        OneTimeLink(Mutex::new(Some(hash(token))))
    }
}

impl LoginLink for OneTimeLink {
    fn redeem(&self, token: &str) -> bool {
        let given = hash(token);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        kept.take_if(|kept| bool::from(kept.ct_eq(&given))).is_some()
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_good_once() {
        let link = OneTimeLink::new("right");
        assert!(!link.redeem("wrong"));
        assert!(link.redeem("right"));
        assert!(!link.redeem("right"));
    }
}
