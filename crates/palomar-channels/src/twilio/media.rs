//! Media at Twilio: an address of the account, which asks for its credentials and sends on to where the bytes are.

use data_encoding::BASE64;
use reqwest::Url;
use reqwest::header::{AUTHORIZATION, HeaderName, HeaderValue};

use super::Twilio;
use crate::media::{Call, FetchFailure, FetchProblem, MediaSource, Step, Wanted};

impl MediaSource for Twilio {
    fn own(&self) -> Option<Url> {
        Url::parse(&self.config.base_url).ok()
    }

    fn credentials(&self) -> Option<(HeaderName, HeaderValue)> {
        let config = &self.config;
        let (user, word) = match &config.api_key_sid {
            Some(sid) => (sid, &config.api_key_secret),
            None => (&config.account_sid, &config.auth_token),
        };
        let both = BASE64.encode(format!("{user}:{}", word.expose()).as_bytes());
        let mut value = HeaderValue::from_str(&format!("Basic {both}")).ok()?;
        value.set_sensitive(true);
        Some((AUTHORIZATION, value))
    }

    /// `api.twilio.com` and its regions, `api.dublin.ie1.twilio.com`.
    fn may_know(&self, host: &str) -> bool {
        host.starts_with("api.") && host.ends_with(".twilio.com")
    }

    /// The bytes are with whoever stores for Twilio.
    fn may_have(&self, host: &str, redirected: bool) -> bool {
        redirected || host.ends_with(".twilio.com")
    }

    fn first(&self, wanted: &Wanted) -> Result<Step, FetchFailure> {
        let nowhere = || FetchFailure::new(FetchProblem::Nowhere, "the message says nothing of where it is");
        let url = wanted.media.url.clone().ok_or_else(nowhere)?;
        Ok(Step::Bytes { call: Call::get(url), sha256: None })
    }
}
