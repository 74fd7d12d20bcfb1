//! The bytes of a webhook: Meta's envelope, Meta's way to write JSON, Meta's signature.

use std::io;

use data_encoding::HEXLOWER;
use hmac::{Hmac, KeyInit, Mac};
use serde::Serialize;
use serde_json::ser::Formatter;
use sha2::Sha256;

/// Signs with the app secret.
#[derive(Clone)]
pub(super) struct Signer(Hmac<Sha256>);

impl Signer {
    pub(super) fn new(secret: &str) -> io::Result<Signer> {
        let mac = Hmac::new_from_slice(secret.as_bytes()).map_err(io::Error::other)?;
        Ok(Signer(mac))
    }

    /// HMAC-SHA256 of `bytes` in lower-case hex.
    pub(super) fn hex(&self, bytes: &[u8]) -> String {
        let mut mac = self.0.clone();
        mac.update(bytes);
        HEXLOWER.encode(&mac.finalize().into_bytes())
    }

    /// The value of `X-Hub-Signature-256`.
    pub(super) fn header(&self, body: &[u8]) -> String {
        format!("sha256={}", self.hex(body))
    }
}

impl std::fmt::Debug for Signer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Signer")
    }
}

/// The envelope of all webhooks.
#[derive(Debug, Serialize)]
pub(super) struct Envelope<'a, V> {
    pub(super) object: &'static str,
    pub(super) entry: [Entry<'a, V>; 1],
}

/// One entry: a business account.
#[derive(Debug, Serialize)]
pub(super) struct Entry<'a, V> {
    pub(super) id: &'a str,
    pub(super) changes: Vec<Change<V>>,
}

/// One change of it.
#[derive(Debug, Serialize)]
pub(super) struct Change<V> {
    pub(super) value: V,
    pub(super) field: &'static str,
}

/// The number that a change is about.
#[derive(Debug, Serialize)]
pub(super) struct Metadata<'a> {
    pub(super) display_phone_number: &'a str,
    pub(super) phone_number_id: &'a str,
}

/// Puts changes of the field `messages` into an envelope.
pub(super) fn envelope<V>(account: &str, values: Vec<V>) -> Envelope<'_, V> {
    let changes = values.into_iter().map(|value| Change { value, field: "messages" }).collect();
    Envelope { object: "whatsapp_business_account", entry: [Entry { id: account, changes }] }
}

/// JSON as Meta writes it: compact, in ASCII (`\u00ed`, surrogate pairs), slashes as `\/`.
pub(super) fn encode(value: &impl Serialize) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(512);
    let mut serializer = serde_json::Serializer::with_formatter(&mut bytes, AsMeta);
    if let Err(error) = value.serialize(&mut serializer) {
        tracing::error!(%error, "could not write a webhook");
    }
    bytes
}

struct AsMeta;

impl Formatter for AsMeta {
    fn write_string_fragment<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        fragment: &str,
    ) -> io::Result<()> {
        let mut rest = fragment;
        while let Some(at) = rest.find(|c: char| c == '/' || !c.is_ascii()) {
            writer.write_all(&rest.as_bytes()[..at])?;
            let mut chars = rest[at..].chars();
            match chars.next() {
                Some('/') => writer.write_all(b"\\/")?,
                Some(other) => write_escaped(writer, other)?,
                None => {}
            }
            rest = chars.as_str();
        }
        writer.write_all(rest.as_bytes())
    }
}

fn write_escaped<W: ?Sized + io::Write>(writer: &mut W, c: char) -> io::Result<()> {
    c.encode_utf16(&mut [0; 2]).iter().try_for_each(|unit| write!(writer, "\\u{unit:04x}"))
}

#[cfg(test)]
mod tests {
    use base64::Engine;

    use super::*;

    #[test]
    fn json_is_written_as_meta_writes_it() {
        let value = serde_json::json!({"text": "Lucía 🏡", "url": "https://example.test/x", "q": "\"\n"});
        let text = String::from_utf8(encode(&value)).unwrap();
        let expected = r#"{"q":"\"\n","text":"Luc\u00eda \ud83c\udfe1","url":"https:\/\/example.test\/x"}"#;
        let sorted: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(sorted, value);
        assert_eq!(text.len(), expected.len());
        assert!(text.contains(r"Luc\u00eda \ud83c\udfe1") && text.contains(r"https:\/\/example.test\/x"));
    }

    #[test]
    fn signatures_equal_the_recorded_ones() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/fixtures/signatures");
        let vectors = std::fs::read(format!("{folder}/meta_x_hub_signature_256.json")).unwrap();
        let vectors: Vec<serde_json::Value> = serde_json::from_slice(&vectors).unwrap();
        for vector in vectors.iter().filter(|vector| vector["valid"] == true) {
            let body = match (vector["body_base64"].as_str(), vector["body_file"].as_str()) {
                (Some(encoded), _) => base64::engine::general_purpose::STANDARD.decode(encoded).unwrap(),
                (None, file) => std::fs::read(format!("{folder}/{}", file.unwrap())).unwrap(),
            };
            let signer = Signer::new(vector["app_secret"].as_str().unwrap()).unwrap();
            assert_eq!(signer.header(&body), vector["header_value"].as_str().unwrap(), "{}", vector["name"]);
        }
    }
}
