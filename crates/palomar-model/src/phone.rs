//! Phone numbers: E.164, canonical, masked wherever they are shown.
//!
//! A [`Phone`] always holds `+`, a country code that exists and a national number of a length that country has. What
//! is ambiguous is refused: a country is never guessed. Showing one (`Display`, `Debug`) masks it; [`Phone::e164`] is
//! the one way to the number, and serialisation the other.

use std::fmt;
use std::sync::Arc;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumberFormat, Region};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use unicode_normalization::UnicodeNormalization as _;

/// Without a plus and without a default region, shorter numbers could be somebody's national form.
const INTERNATIONAL_WITHOUT_PLUS: usize = 11;
const MIN_DIGITS: usize = 7;
const MAX_DIGITS: usize = 15;
/// Longer input is no phone number, whatever it says.
const MAX_INPUT: usize = 128;

/// A phone number in canonical E.164 form: Brazilian mobiles with their ninth digit, Mexican ones without the old `1`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Phone(Arc<str>);

/// Why a text is not taken for a phone number. Never contains the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PhoneError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// Something other than digits and the usual punctuation is in it.
    #[error("has characters that no phone number has")]
    Characters,
    /// It names something else: a group, a broadcast list, a LID.
    #[error("is the id of something that is not a phone")]
    NotAPhone,
    /// More than 15 digits, or a length that its country does not have.
    #[error("has a length that its country does not have")]
    Length,
    /// It begins with no country code that exists.
    #[error("does not begin with an existing country code")]
    Country,
    /// It may be a national number, and no default region says of which country.
    #[error("has no country code (begin it with '+' and the country code)")]
    NoCountry,
    /// The default region is not an ISO 3166 country code.
    #[error("cannot be read: the default region is not a country code")]
    Region,
}

impl Phone {
    /// Reads a number as people, providers and address books write it.
    ///
    /// `default_region` (ISO 3166, for example `ES`) is what national numbers are read with; without it they are
    /// refused.
    ///
    /// # Errors
    /// [`PhoneError`] says which rule the text breaks.
    pub fn parse(text: &str, default_region: Option<&str>) -> Result<Phone, PhoneError> {
        let (cleaned, is_jid) = clean(text)?;
        if let Some(digits) = cleaned.strip_prefix('+') {
            return international(digits, false);
        }
        if is_jid {
            return international(&cleaned, false);
        }
        match default_region {
            Some(region) => national(&cleaned, region),
            None if cleaned.len() < INTERNATIONAL_WITHOUT_PLUS || cleaned.starts_with('0') => {
                Err(PhoneError::NoCountry)
            }
            None => international(&cleaned, true).map_err(|_| PhoneError::NoCountry),
        }
    }

    /// Reads the digits by which WhatsApp names an account: always international, never with a plus.
    ///
    /// # Errors
    /// [`PhoneError`] where the digits are no number, for example because they are a BSUID.
    pub fn from_wa_id(digits: &str) -> Result<Phone, PhoneError> {
        let (cleaned, _) = clean(digits)?;
        international(cleaned.trim_start_matches('+'), false)
    }

    /// The number itself: `+` and digits.
    #[must_use]
    pub fn e164(&self) -> &str {
        &self.0
    }

    /// The digits without the plus.
    #[must_use]
    pub fn digits(&self) -> &str {
        self.0.get(1..).unwrap_or_default()
    }

    /// The country it belongs to (ISO 3166); where several share a calling code, the one whose ranges it lies in.
    #[must_use]
    pub fn country(&self) -> Option<String> {
        let code_of = |length| self.digits().get(..length)?.parse::<i32>().ok();
        let (code, shared) = (1..=3).filter_map(code_of).find_map(|code| {
            let regions = PHONE_NUMBER_UTIL.get_regions_for_country_calling_code(code)?;
            (regions.len() > 0).then_some((code, regions.len() > 1))
        })?;
        let own =
            shared.then(|| PHONE_NUMBER_UTIL.parse(self.e164(), None).ok()?.get_region_code()).flatten();
        let region = own.or_else(|| PHONE_NUMBER_UTIL.get_region_for_country_code(code))?;
        Some(region.as_region_str().to_string()).filter(|country| country.len() == 2)
    }

    /// What two spellings of one WhatsApp account have in common: the digits, Argentine mobiles without their `9`.
    #[must_use]
    pub fn match_key(&self) -> String {
        let digits = self.digits();
        match digits.strip_prefix("549") {
            Some(rest) if rest.len() == 10 => format!("54{rest}"),
            _ => digits.to_owned(),
        }
    }
}

/// Text as typed → digits with at most one leading plus, and whether it was the id of a WhatsApp account.
fn clean(text: &str) -> Result<(String, bool), PhoneError> {
    if text.len() > MAX_INPUT {
        return Err(PhoneError::Length);
    }
    let mut rest = text.trim();
    for scheme in ["whatsapp:", "tel:"] {
        if rest.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)) {
            rest = rest.get(scheme.len()..).unwrap_or_default();
        }
    }
    let mut is_jid = false;
    if let Some((user, server)) = rest.split_once('@') {
        if !matches!(server, "s.whatsapp.net" | "c.us") {
            return Err(PhoneError::NotAPhone);
        }
        is_jid = true;
        rest = user.split(':').next().unwrap_or_default();
    }
    let mut cleaned = String::with_capacity(rest.len());
    for c in rest.nfkc() {
        match c {
            '+' if cleaned.is_empty() => cleaned.push('+'),
            c if is_ignored(c) => {}
            c => cleaned.push(decimal_digit(c).ok_or(PhoneError::Characters)?),
        }
    }
    if cleaned.starts_with("00") {
        cleaned.replace_range(..2, "+");
    }
    match cleaned.trim_start_matches('+').len() {
        0 => Err(PhoneError::Empty),
        n if n > MAX_DIGITS => Err(PhoneError::Length),
        _ => Ok((cleaned, is_jid)),
    }
}

/// Spaces, the punctuation of numbers, and the invisible marks that come along when a number is copied.
fn is_ignored(c: char) -> bool {
    c.is_whitespace()
        || matches!(c, '-' | '.' | '(' | ')' | '/' | '\u{2010}'..='\u{2015}' | '\u{200b}'..='\u{200f}')
        || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2060}' | '\u{2066}'..='\u{2069}' | '\u{feff}')
}

/// The ASCII digit for a decimal digit of any of the scripts that address books hold.
fn decimal_digit(c: char) -> Option<char> {
    const ZEROS: [u32; 12] =
        [0x30, 0x660, 0x6f0, 0x7c0, 0x966, 0x9e6, 0xa66, 0xae6, 0xbe6, 0xe50, 0x1040, 0x17e0];
    let code = u32::from(c);
    let zero = ZEROS.into_iter().find(|zero| (*zero..zero + 10).contains(&code))?;
    char::from_digit(code - zero, 10)
}

/// Digits that begin with a country code. `strictly`: the number must also lie in a range that is in use.
fn international(digits: &str, strictly: bool) -> Result<Phone, PhoneError> {
    if digits.starts_with('0') {
        return Err(PhoneError::Country);
    }
    let text = format!("+{}", whatsapp_form(digits));
    let number = PHONE_NUMBER_UTIL.parse(&text, None).map_err(|_| PhoneError::Country)?;
    let phone = canonical(&number, strictly)?;
    if phone.e164() == text { Ok(phone) } else { settled(phone) }
}

fn national(digits: &str, region: &str) -> Result<Phone, PhoneError> {
    let region: Region = region.to_ascii_uppercase().parse().map_err(|_| PhoneError::Region)?;
    let number = PHONE_NUMBER_UTIL.parse(digits, Some(region)).map_err(|_| PhoneError::Length)?;
    settled(canonical(&number, false)?)
}

/// Of each number only one trunk zero is dropped: where that uncovers another, the next reading would drop it too, and
/// it is nobody's number.
fn settled(phone: Phone) -> Result<Phone, PhoneError> {
    let again = PHONE_NUMBER_UTIL.parse(phone.e164(), None).map_err(|_| PhoneError::Country)?;
    if canonical(&again, false)? == phone { Ok(phone) } else { Err(PhoneError::Length) }
}

fn canonical(number: &rlibphonenumber::PhoneNumber, strictly: bool) -> Result<Phone, PhoneError> {
    let fits = if strictly { number.is_valid() } else { is_dialable(number) };
    if !fits {
        return Err(PhoneError::Length);
    }
    let text = number.format_as(PhoneNumberFormat::E164);
    let digits = text.strip_prefix('+').ok_or(PhoneError::Country)?;
    let text = format!("+{}", whatsapp_form(digits));
    // What is accepted can be stored and read back: a few countries have shorter numbers than anybody can message.
    if is_e164(&text) { Ok(Phone(text.into())) } else { Err(PhoneError::Length) }
}

/// Whether its length is one that numbers of its country have, area code included.
fn is_dialable(number: &rlibphonenumber::PhoneNumber) -> bool {
    matches!(number.is_possible_with_reason(), Ok(NumberLengthType::IsPossible))
}

/// Undoes what WhatsApp ids keep from old numbering plans (Brazil without the ninth digit, Mexico with the `1`).
fn whatsapp_form(digits: &str) -> String {
    if let Some(rest) = digits.strip_prefix("521").filter(|rest| rest.len() == 10) {
        return format!("52{rest}");
    }
    if let Some(rest) = digits.strip_prefix("55").filter(|rest| rest.len() == 10) {
        let (area, subscriber) = rest.split_at(2);
        if subscriber.starts_with(['6', '7', '8', '9']) {
            return format!("55{area}9{subscriber}");
        }
    }
    digits.to_owned()
}

impl fmt::Display for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.digits();
        let shown = if digits.len() >= 10 { 4 } else { 2 };
        let hidden = digits.len().saturating_sub(2 + shown);
        write!(f, "+{}", digits.get(..2).unwrap_or_default())?;
        (0..hidden).try_for_each(|_| f.write_str("•"))?;
        f.write_str(digits.get(2 + hidden..).unwrap_or_default())
    }
}

impl fmt::Debug for Phone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Serialize for Phone {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// Reads back what was stored. Only the form of an E.164 number is checked: one that was accepted stays a number when
/// the numbering plans change. What people send goes through [`Phone::parse`].
impl<'de> Deserialize<'de> for Phone {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Phone, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        if is_e164(&text) {
            Ok(Phone(text.into()))
        } else {
            Err(serde::de::Error::custom(PhoneError::Characters))
        }
    }
}

/// `+`, and 7 to 15 digits that do not begin with a zero.
fn is_e164(text: &str) -> bool {
    text.strip_prefix('+').is_some_and(|digits| {
        (MIN_DIGITS..=MAX_DIGITS).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|c| c.is_ascii_digit())
    })
}

#[cfg(test)]
mod tests;
