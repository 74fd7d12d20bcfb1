//! Forms: how Twilio's requests are written, both ways.
//!
//! Always: a form has one reading. Of a parameter that is given twice the values are a set, as in the signature, so that
//! whoever verifies and whoever reads see the same.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

/// The type of a form.
pub const CONTENT_TYPE: &str = "application/x-www-form-urlencoded";
/// Twilio sends some fifty.
const MOST_PARAMS: usize = 1000;
/// The parameter of an address that signs a body which is no form.
const BODY_HASH: &str = "bodySHA256";

/// Pairs as a form.
#[must_use]
pub fn encode(pairs: &[(&str, String)]) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// An address without the channel's prefix: a number with its plus, or a user id.
#[must_use]
pub fn plain(address: &str) -> &str {
    address.strip_prefix("whatsapp:").unwrap_or(address).trim()
}

/// The value of a parameter of a query.
#[must_use]
pub fn of_query(query: &str, name: &str) -> Option<String> {
    let mut pairs = form_urlencoded::parse(query.as_bytes());
    pairs.find(|(key, _)| key == name).map(|(_, value)| value.into_owned())
}

/// Decoded parameters.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(BTreeMap<String, BTreeSet<String>>);

impl Params {
    /// Reads a form; `None` for one that has more parameters than Twilio would send.
    #[must_use]
    pub fn read(form: &[u8]) -> Option<Params> {
        let mut params = Params::default();
        for (count, (name, value)) in form_urlencoded::parse(form).enumerate() {
            if count >= MOST_PARAMS {
                return None;
            }
            params.0.entry(name.into_owned()).or_default().insert(value.into_owned());
        }
        Some(params)
    }

    /// Names and values in the order of the signature: by their bytes, no pair twice.
    pub fn sorted(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().flat_map(|(name, values)| values.iter().map(|value| (name.as_str(), value.as_str())))
    }

    /// A value that is not empty.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name)?.iter().map(String::as_str).find(|value| !value.is_empty())
    }

    /// The same without NULs: no store takes one in a text. What is signed has them.
    #[must_use]
    pub fn without_nul(self) -> Params {
        let clean = |text: String| if text.contains('\0') { text.replace('\0', "") } else { text };
        let mut params = Params::default();
        for (name, values) in self.0 {
            params.0.entry(clean(name)).or_default().extend(values.into_iter().map(clean));
        }
        params
    }

    /// All of them as an object; the values of one that was given twice as a list.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let value = |values: &BTreeSet<String>| match values.first() {
            Some(only) if values.len() == 1 => Value::from(only.as_str()),
            _ => values.iter().map(String::as_str).collect(),
        };
        let pairs = self.0.iter().map(|(name, values)| (name.clone(), value(values)));
        Value::Object(pairs.collect::<Map<_, _>>())
    }

    /// Reads what [`Params::to_json`] wrote.
    #[must_use]
    pub fn from_json(document: &Value) -> Params {
        let texts = |value: &Value| match value {
            Value::String(one) => BTreeSet::from([one.clone()]),
            Value::Array(many) => many.iter().filter_map(Value::as_str).map(str::to_owned).collect(),
            _ => BTreeSet::new(),
        };
        let pairs = document.as_object().into_iter().flatten();
        Params(pairs.map(|(name, value)| (name.clone(), texts(value))).collect())
    }
}

/// What a request says, by what of it is signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said<'a> {
    /// A form in the body.
    Form(Params),
    /// A form in the address.
    Query(Params),
    /// A body of another type, whose hash, in the address, is signed with it.
    Hashed {
        /// In hexadecimal.
        hash: String,
        /// What it is the hash of.
        body: &'a [u8],
    },
}

impl<'a> Said<'a> {
    /// Reads a request; `None` where its body would be covered by no signature, or is none that Twilio sends.
    #[must_use]
    pub fn read(query: &str, content_type: Option<&str>, body: &'a [u8]) -> Option<Said<'a>> {
        if body.is_empty() {
            return Params::read(query.as_bytes()).map(Said::Query);
        }
        if let Some(hash) = of_query(query, BODY_HASH) {
            return Some(Said::Hashed { hash, body });
        }
        let kind = content_type?.split(';').next().unwrap_or_default().trim();
        if kind.eq_ignore_ascii_case(CONTENT_TYPE) { Params::read(body).map(Said::Form) } else { None }
    }
}
