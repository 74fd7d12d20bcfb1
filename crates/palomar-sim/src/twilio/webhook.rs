//! How Twilio writes its webhooks: one report or one message a form, signed over the address and its parameters.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha1::Sha1;

use super::errors;
use crate::courier::{Postman, Verdict};
use crate::fate::Step;

/// What a form says, in the order in which it is written.
pub(super) type Pairs = Vec<(&'static str, String)>;

/// An accepted message, as far as reports on it need it.
#[derive(Debug)]
pub(super) struct Sent {
    pub(super) sid: String,
    pub(super) account: String,
    pub(super) from: Option<String>,
    pub(super) service: Option<String>,
    pub(super) to: String,
    /// Where reports go, if the message says so.
    pub(super) callback: Option<Arc<str>>,
}

/// A report that is to be posted.
#[derive(Debug, Clone)]
pub struct Report {
    pub(super) message: Arc<Sent>,
    pub(super) stage: Stage,
}

/// How far a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// A Messaging Service has chosen a sender.
    Queued,
    /// WhatsApp's own steps.
    At(Step),
}

/// Twilio, as the sender of webhooks.
#[derive(Debug)]
pub struct Proxy {
    pub(super) auth_token: String,
}

impl Postman for Proxy {
    type News = Report;
    const USER_AGENT: &'static str = "TwilioProxy/1.1";
    const CONTENT_TYPE: &'static str = "application/x-www-form-urlencoded";

    fn address<'n>(&self, report: &'n Report) -> Option<&'n Arc<str>> {
        report.message.callback.as_ref()
    }

    fn letter(&self, reports: &[Report]) -> Vec<u8> {
        reports.first().map(|report| encode(&report.pairs())).unwrap_or_default()
    }

    fn proof(&self, url: &str, body: &[u8]) -> Vec<(String, String)> {
        vec![("x-twilio-signature".to_owned(), signature(&self.auth_token, url, body))]
    }

    fn tries(&self, url: &str) -> u32 {
        1 + retries(url)
    }

    fn verdict(status: u16) -> Verdict {
        if matches!(status, 200..300) { Verdict::Taken } else { Verdict::Again }
    }
}

/// How often an address asks to be tried again: `rc` in its fragment.
fn retries(url: &str) -> u32 {
    let fragment = url.split_once('#').map_or("", |(_, fragment)| fragment);
    let count = form_urlencoded::parse(fragment.as_bytes()).find(|(name, _)| name == "rc");
    count.and_then(|(_, count)| count.parse().ok()).unwrap_or(0).min(5)
}

/// Pairs as a form; spaces as `%20`, as Twilio writes them.
pub(super) fn encode(pairs: &[(&str, String)]) -> Vec<u8> {
    let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
    form.replace('+', "%20").into_bytes()
}

/// The value of `X-Twilio-Signature`: of the address without its fragment, then every distinct pair in order.
fn signature(token: &str, url: &str, form: &[u8]) -> String {
    let Ok(mut mac) = Hmac::<Sha1>::new_from_slice(token.as_bytes()) else {
        return String::new();
    };
    mac.update(url.split('#').next().unwrap_or_default().as_bytes());
    let mut pairs: Vec<_> = form_urlencoded::parse(form).collect();
    pairs.sort();
    pairs.dedup();
    for (name, value) in pairs {
        mac.update(name.as_bytes());
        mac.update(value.as_bytes());
    }
    STANDARD.encode(mac.finalize().into_bytes())
}

impl Report {
    fn pairs(&self) -> Pairs {
        let message = &*self.message;
        let (word, code) = self.word();
        let mut pairs = vec![
            ("ChannelPrefix", "whatsapp".to_owned()),
            ("ApiVersion", "2010-04-01".to_owned()),
            ("MessageStatus", word.to_owned()),
            ("SmsSid", message.sid.clone()),
            ("SmsStatus", word.to_owned()),
            ("ChannelInstallSid", "XE00000000000000000000000000000001".to_owned()),
            ("To", message.to.clone()),
        ];
        pairs.extend(message.from.clone().map(|from| ("From", from)));
        pairs.extend(message.service.clone().map(|service| ("MessagingServiceSid", service)));
        pairs.extend([
            ("MessageSid", message.sid.clone()),
            ("StructuredMessage", "false".to_owned()),
            ("AccountSid", message.account.clone()),
            ("ChannelToAddress", masked(&message.to)),
        ]);
        if let Some(code) = code {
            pairs.push(("ErrorCode", code.to_string()));
            pairs.push(("ErrorMessage", errors::words(code).to_owned()));
        }
        if matches!(word, "delivered" | "read" | "undelivered") {
            pairs.push(("EventType", word.to_uppercase()));
        }
        pairs
    }

    /// Its word, and the code of a failure. What fails on Twilio's side has `failed`, what the channel reports
    /// `undelivered`.
    fn word(&self) -> (&'static str, Option<u32>) {
        match self.stage {
            Stage::Queued => ("queued", None),
            Stage::At(Step::Failed(code)) if code < 60_000 => ("failed", Some(code)),
            Stage::At(Step::Failed(code)) => ("undelivered", Some(code)),
            Stage::At(step) => (step.name(), None),
        }
    }
}

/// The number with its last digits hidden.
fn masked(to: &str) -> String {
    let plain = to.trim_start_matches("whatsapp:");
    let shown = plain.chars().count().saturating_sub(3);
    plain.chars().take(shown).chain("XXX".chars()).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn fixtures(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/../../tests/fixtures/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn signatures_equal_the_published_ones() {
        let vectors: Vec<Value> =
            serde_json::from_slice(&fixtures("signatures/twilio_x_twilio_signature.json")).unwrap();
        let valid: Vec<_> = vectors.iter().filter(|vector| vector["valid"] == true).collect();
        for vector in &valid {
            let text = |value: &Value| value.as_str().unwrap().to_owned();
            let pairs = vector["params"].as_array().unwrap();
            let pairs: Vec<_> = pairs.iter().map(|pair| (text(&pair[0]), text(&pair[1]))).collect();
            let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            let made = signature(&text(&vector["auth_token"]), &text(&vector["url"]), form.as_bytes());
            assert_eq!(made, text(&vector["header_value"]), "{}", vector["name"]);
        }
        assert_eq!(valid.len(), 12);
        let with = signature("t", "https://a.test/w#rc=5", b"");
        assert_eq!(with, signature("t", "https://a.test/w", b""), "a fragment is not signed");
        assert_eq!((retries("https://a.test/w#rc=3&rp=all"), retries("https://a.test/w")), (3, 0));
    }

    #[test]
    fn reports_equal_the_recorded_ones() {
        let message = Arc::new(Sent {
            sid: "SM00000000000000000000000000000032".to_owned(),
            account: "AC00000000000000000000000000000001".to_owned(),
            from: Some("whatsapp:+15550100200".to_owned()),
            service: None,
            to: "whatsapp:+34600111222".to_owned(),
            callback: None,
        });
        let sorted = |form: &[u8]| {
            let mut pairs: Vec<(String, String)> =
                form_urlencoded::parse(form).map(|(name, value)| (name.into(), value.into())).collect();
            pairs.sort();
            pairs
        };
        for (file, stage) in [
            ("queued", Stage::Queued),
            ("sent", Stage::At(Step::Sent)),
            ("delivered", Stage::At(Step::Delivered)),
            ("read", Stage::At(Step::Read)),
        ] {
            let made = encode(&Report { message: Arc::clone(&message), stage }.pairs());
            assert_eq!(sorted(&made), sorted(&fixtures(&format!("twilio/status/{file}.form"))), "{file}");
        }
        let failed = Report { message, stage: Stage::At(Step::Failed(63_024)) }.pairs();
        for pair in [("MessageStatus", "undelivered"), ("ErrorCode", "63024"), ("EventType", "UNDELIVERED")] {
            assert!(failed.contains(&(pair.0, pair.1.to_owned())), "{pair:?}");
        }
    }
}
