//! Media at Evolution: from where the installation keeps them, or out of the phone by the message's id, in Base64.

use reqwest::Url;
use reqwest::header::{HeaderName, HeaderValue};
use serde_json::json;

use super::{Evolution, errors};
use crate::media::{Call, FetchFailure, FetchProblem, MediaSource, Step, Wanted};

impl Evolution {
    fn out_of_the_phone(&self, wanted: &Wanted) -> Step {
        let url = self.address("chat", "getBase64FromMediaMessage");
        let body = json!({"message": {"key": {"id": wanted.message}}, "convertToMp4": false});
        Step::Base64(Call { url: url.into(), body: Some(body) })
    }
}

impl MediaSource for Evolution {
    fn own(&self) -> Option<Url> {
        Some(self.base.clone())
    }

    fn credentials(&self) -> Option<(HeaderName, HeaderValue)> {
        let mut value = HeaderValue::from_str(self.config.api_key.expose()).ok()?;
        value.set_sensitive(true);
        Some((HeaderName::from_static("apikey"), value))
    }

    fn may_know(&self, _: &str) -> bool {
        false
    }

    /// An installation keeps them where it was told to.
    fn may_have(&self, _: &str, _: bool) -> bool {
        true
    }

    fn first(&self, wanted: &Wanted) -> Result<Step, FetchFailure> {
        Ok(match &wanted.media.url {
            Some(url) => Step::Bytes { call: Call::get(url.as_str()), sha256: None },
            None => self.out_of_the_phone(wanted),
        })
    }

    /// Its store may be in a network where nothing is fetched from: the phone's way is always there.
    fn otherwise(&self, wanted: &Wanted) -> Option<Step> {
        wanted.media.url.as_ref().map(|_| self.out_of_the_phone(wanted))
    }

    /// Whatever is wrong is a 400; only the words tell that a message or its media are not there.
    fn refused(&self, step: &Step, status: u16, body: &[u8]) -> Option<FetchProblem> {
        if !matches!(step, Step::Base64(_)) {
            return None;
        }
        let words = errors::words(body).unwrap_or_default().to_lowercase();
        match status {
            400 if words.contains("not found") || words.contains("not of the media type") => {
                Some(FetchProblem::Gone)
            }
            400 => Some(FetchProblem::Passing),
            // The instance is not there, or not yet again.
            404 => Some(FetchProblem::Passing),
            _ => None,
        }
    }
}
