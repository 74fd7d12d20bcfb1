//! Who wrote a message.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::{Bsuid, Phone};

/// Who wrote a message: every identifier that came with it. None of them is invented from another.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Sender {
    /// The phone number, canonical.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<Phone>,
    /// The provider's own spelling of the account: an alias that can differ from the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wa_id: Option<String>,
    /// The business-scoped id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bsuid: Option<Bsuid>,
    /// The business-scoped id at the parent business.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub parent_bsuid: Option<Bsuid>,
    /// The id under which the provider hides a number (`…@lid`): its digits.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The name in their profile.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Their user name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

impl Sender {
    /// Whether anything in it says who it is.
    #[must_use]
    pub fn is_known(&self) -> bool {
        let named = self.wa_id.is_some() || self.lid.is_some();
        self.phone.is_some() || self.bsuid.is_some() || self.parent_bsuid.is_some() || named
    }

    /// Their country (ISO 3166), by their number or id.
    #[must_use]
    pub fn country(&self) -> Option<String> {
        let by_id = || self.bsuid.as_ref().map(|bsuid| bsuid.country().to_owned());
        self.phone.as_ref().and_then(Phone::country).or_else(by_id)
    }

    /// What keeps messages of one person in order: the phone's match key, else the BSUID, else what
    /// else came.
    #[must_use]
    pub fn key(&self) -> Option<String> {
        let phone = self.phone.as_ref().map(Phone::match_key);
        let bsuid = || self.bsuid.as_ref().map(|bsuid| bsuid.expose().to_owned());
        let parent = || self.parent_bsuid.as_ref().map(|bsuid| bsuid.expose().to_owned());
        let named = || self.wa_id.clone().or_else(|| self.lid.clone());
        phone.or_else(bsuid).or_else(named).or_else(parent)
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sender")
            .field("phone", &self.phone)
            .field("bsuid", &self.bsuid)
            .finish_non_exhaustive()
    }
}
