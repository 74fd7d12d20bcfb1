//! Media at the Cloud API: by their id to an address, which works for five minutes and asks for the token again.

use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};
use serde_json::Value;

use super::CloudApi;
use crate::media::{Call, FetchFailure, FetchProblem, MediaSource, Step, Wanted};

/// Where Meta keeps what people send.
const STORE: &str = "lookaside.fbsbx.com";
const HOSTS: [&str; 4] = ["fbsbx.com", "fbcdn.net", "facebook.com", "whatsapp.net"];

impl MediaSource for CloudApi {
    fn own(&self) -> Option<Url> {
        Url::parse(&self.config.base_url).ok()
    }

    fn credentials(&self) -> Option<(HeaderName, HeaderValue)> {
        let mut value = HeaderValue::from_str(&format!("Bearer {}", self.config.token.expose())).ok()?;
        value.set_sensitive(true);
        Some((AUTHORIZATION, value))
    }

    fn may_know(&self, host: &str) -> bool {
        host == STORE
    }

    fn may_have(&self, host: &str, _: bool) -> bool {
        HOSTS
            .iter()
            .any(|known| host.strip_suffix(known).is_some_and(|rest| rest.is_empty() || rest.ends_with('.')))
    }

    fn first(&self, wanted: &Wanted) -> Result<Step, FetchFailure> {
        if let Some(id) = &wanted.media.id {
            let plain = !id.is_empty() && id.bytes().all(|c| c.is_ascii_alphanumeric() || b"-_".contains(&c));
            if !plain {
                return Err(FetchFailure::new(FetchProblem::Nowhere, "its id is none"));
            }
            let (base, version) = (self.config.base_url.trim_end_matches('/'), &self.config.version);
            let number = &self.config.phone_number_id;
            return Ok(Step::Locate(Call::get(format!("{base}/{version}/{id}?phone_number_id={number}"))));
        }
        let url = wanted.media.url.clone();
        let nowhere = || FetchFailure::new(FetchProblem::Nowhere, "the message says nothing of where it is");
        Ok(Step::Bytes { call: Call::get(url.ok_or_else(nowhere)?), sha256: None })
    }

    fn located(&self, document: &Value) -> Result<Step, FetchFailure> {
        let url = document.get("url").and_then(Value::as_str);
        let nowhere = || FetchFailure::new(FetchProblem::Passing, "the answer does not say where it is");
        let hash = document.get("sha256").and_then(Value::as_str);
        let hash = hash.and_then(|text| data_encoding::HEXLOWER_PERMISSIVE.decode(text.as_bytes()).ok());
        let sha256 = hash.and_then(|bytes| bytes.try_into().ok());
        Ok(Step::Bytes { call: Call::get(url.ok_or_else(nowhere)?), sha256 })
    }

    /// An id that is not known any more is told as a wrong parameter; an address that is over, as one that is not there.
    fn refused(&self, step: &Step, status: u16, body: &[u8]) -> Option<FetchProblem> {
        let code = || super::errors::error_document(body).and_then(|error| error.get("code")?.as_u64());
        match step {
            Step::Locate(_) if status == 400 && code() == Some(100) => Some(FetchProblem::Gone),
            Step::Locate(_) if code() == Some(190) => Some(FetchProblem::Refused),
            Step::Bytes { .. } if matches!(status, 404 | 410) => Some(FetchProblem::Passing),
            _ => None,
        }
    }
}
