//! Whom a message goes to: a phone number, or a business-scoped user id.
//!
//! WhatsApp users may have no visible phone number; the provider then names them by a BSUID. Both are personal data:
//! shown masked, serialised in full.

use std::fmt;
use std::sync::Arc;

use serde::de::IntoDeserializer as _;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use crate::{Phone, PhoneError};

/// A business-scoped user id: country, dot, up to 128 letters and digits (`ES.9182…`, parent form `ES.ENT.1122…`).
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Bsuid(Arc<str>);

impl Bsuid {
    /// Takes a text that has the form of a BSUID.
    #[must_use]
    pub fn parse(text: &str) -> Option<Bsuid> {
        let (country, rest) = text.split_once('.')?;
        let id = rest.strip_prefix("ENT.").unwrap_or(rest);
        let well_formed = country.len() == 2
            && country.bytes().all(|c| c.is_ascii_uppercase())
            && (1..=128).contains(&id.len())
            && id.bytes().all(|c| c.is_ascii_alphanumeric());
        well_formed.then(|| Bsuid(text.into()))
    }

    /// The id itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// The country that it begins with (ISO 3166).
    #[must_use]
    pub fn country(&self) -> &str {
        self.0.get(..2).unwrap_or_default()
    }
}

impl fmt::Display for Bsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let tail = self.0.len().saturating_sub(4).max(3);
        write!(f, "{}•••{}", self.0.get(..3).unwrap_or_default(), self.0.get(tail..).unwrap_or_default())
    }
}

impl fmt::Debug for Bsuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Bsuid {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Bsuid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Bsuid, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        Bsuid::parse(&text).ok_or_else(|| serde::de::Error::custom("not a business-scoped user id"))
    }
}

/// Whom a message goes to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Recipient {
    /// A phone number.
    Phone(Phone),
    /// A user known only by an id that is valid for one business.
    Bsuid(Bsuid),
}

impl Recipient {
    /// Reads a BSUID or, by the rules of [`Phone::parse`], a phone number.
    ///
    /// # Errors
    /// [`PhoneError`] where the text is neither.
    pub fn parse(text: &str, default_region: Option<&str>) -> Result<Recipient, PhoneError> {
        match Bsuid::parse(text.trim()) {
            Some(bsuid) => Ok(Recipient::Bsuid(bsuid)),
            None => Phone::parse(text, default_region).map(Recipient::Phone),
        }
    }

    /// The same for all spellings of one recipient: what keeps messages to one person in order.
    #[must_use]
    pub fn key(&self) -> String {
        match self {
            Recipient::Phone(phone) => phone.match_key(),
            Recipient::Bsuid(bsuid) => bsuid.expose().to_owned(),
        }
    }

    /// The number or id itself.
    #[must_use]
    pub fn expose(&self) -> &str {
        match self {
            Recipient::Phone(phone) => phone.e164(),
            Recipient::Bsuid(bsuid) => bsuid.expose(),
        }
    }

    /// The country of the number or id (ISO 3166).
    #[must_use]
    pub fn country(&self) -> Option<String> {
        match self {
            Recipient::Phone(phone) => phone.country(),
            Recipient::Bsuid(bsuid) => Some(bsuid.country().to_owned()),
        }
    }

    /// The phone number, where it is one.
    #[must_use]
    pub const fn phone(&self) -> Option<&Phone> {
        match self {
            Recipient::Phone(phone) => Some(phone),
            Recipient::Bsuid(_) => None,
        }
    }
}

impl From<Phone> for Recipient {
    fn from(phone: Phone) -> Recipient {
        Recipient::Phone(phone)
    }
}

impl fmt::Display for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Recipient::Phone(phone) => phone.fmt(f),
            Recipient::Bsuid(bsuid) => bsuid.fmt(f),
        }
    }
}

impl fmt::Debug for Recipient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Recipient {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

/// Reads back what was stored; what people send goes through [`Recipient::parse`].
impl<'de> Deserialize<'de> for Recipient {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Recipient, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        match Bsuid::parse(&text) {
            Some(bsuid) => Ok(Recipient::Bsuid(bsuid)),
            None => Phone::deserialize(text.into_deserializer()).map(Recipient::Phone),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn phones_and_bsuids_are_told_apart() {
        for (text, key, shown) in [
            ("+34 600 111 222", "34600111222", "+34•••••1222"),
            ("ES.918273645546372819", "ES.918273645546372819", "ES.•••2819"),
            ("ES.ENT.11223344556677889900", "ES.ENT.11223344556677889900", "ES.•••9900"),
            ("+5491123456789", "541123456789", "+54•••••••6789"),
        ] {
            let recipient = Recipient::parse(text, None).expect(text);
            assert_eq!((recipient.key().as_str(), recipient.to_string().as_str()), (key, shown));
            let json = serde_json::to_string(&recipient).expect("json");
            assert_eq!(serde_json::from_str::<Recipient>(&json).expect("json"), recipient);
        }
        for bad in ["ES.", "es.123", "ESP.123", "ES.12 3", "ES.ENT.", &format!("ES.{}", "9".repeat(129))] {
            assert!(Recipient::parse(bad, None).is_err(), "{bad}");
        }
    }
}
