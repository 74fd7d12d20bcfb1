//! What a request must hold to be accepted, and with which code it is refused otherwise.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;

use super::config::Config;
use super::errors::ApiError;

/// Twilio's, in characters.
const BODY: usize = 1600;
const LONGEST_VALIDITY: u64 = 36_000;

/// A message to be accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Outgoing {
    /// With `whatsapp:` in front.
    pub(super) to: String,
    pub(super) from: Option<String>,
    pub(super) service: Option<String>,
    pub(super) body: String,
    pub(super) media: bool,
    pub(super) kind: &'static str,
    /// Approved: free of the window.
    pub(super) template: bool,
    pub(super) scheduled: bool,
    /// Where reports go; none where Twilio would call nobody.
    pub(super) callback: Option<String>,
    /// The sender's own reference, as the callback carries it.
    pub(super) tag: Option<String>,
    /// How long it may wait at Twilio.
    pub(super) validity: Duration,
}

impl Outgoing {
    /// The recipient without the channel.
    pub(super) fn person(&self) -> &str {
        self.to.trim_start_matches("whatsapp:")
    }

    /// Who sends: the number, else the service.
    pub(super) fn sender(&self) -> &str {
        self.from.as_deref().or(self.service.as_deref()).unwrap_or_default()
    }
}

/// The parameters of a form; of one that is given twice all values.
pub(super) fn read(form: &[u8]) -> BTreeMap<String, Vec<String>> {
    let mut params: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for (name, value) in form_urlencoded::parse(form) {
        params.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    params
}

/// Judges a request.
pub(super) fn request(form: &[u8], config: &Config) -> Result<Outgoing, ApiError> {
    let params = read(form);
    let get =
        |name: &str| params.get(name).and_then(|values| values.first()).filter(|value| !value.is_empty());
    let (from, service) = (get("From").cloned(), get("MessagingServiceSid").cloned());
    let to = get("To").ok_or_else(|| ApiError::of(21_604))?.clone();
    check_sender(from.as_deref(), service.as_deref(), config)?;
    check_recipient(&to, from.as_deref())?;
    let media = params.get("MediaUrl").map_or(&[][..], Vec::as_slice);
    check_media(media)?;
    let content = get("ContentSid").map(String::as_str);
    check_content(content, get("ContentVariables").map(String::as_str))?;
    let body = get("Body").cloned().unwrap_or_default();
    if body.chars().count() > BODY {
        return Err(ApiError::of(21_617));
    }
    let place = get("PersistentAction").is_some_and(|action| action.starts_with("geo:"));
    let kind = match (content, media, place) {
        (Some(_), _, _) => "content",
        (None, [_, ..], _) => "media",
        (None, [], true) if !body.is_empty() => "location",
        (None, [], false) if !body.is_empty() => "text",
        _ => return Err(ApiError::of(21_619)),
    };
    let scheduled = check_schedule(get("ScheduleType"), get("SendAt"), service.is_some())?;
    let validity = get("ValidityPeriod").and_then(|seconds| seconds.parse().ok()).unwrap_or(LONGEST_VALIDITY);
    let callback = get("StatusCallback").filter(|url| is_callable(url)).cloned();
    let tag = callback.as_deref().and_then(tag_of);
    Ok(Outgoing {
        to,
        from,
        service,
        body,
        media: !media.is_empty(),
        kind,
        template: content.is_some(),
        scheduled,
        callback,
        tag,
        validity: Duration::from_secs(validity.min(LONGEST_VALIDITY)),
    })
}

fn check_sender(from: Option<&str>, service: Option<&str>, config: &Config) -> Result<(), ApiError> {
    match (from, service) {
        (None, None) => Err(ApiError::of(21_603)),
        (_, Some(service)) if !is_sid(service, "MG") => Err(ApiError::of(21_705)),
        (Some(from), _) => {
            let number = from.trim_start_matches("whatsapp:");
            let known = config.senders.is_empty() || config.senders.iter().any(|sender| sender == number);
            if is_number(number) && known { Ok(()) } else { Err(ApiError::of(63_007)) }
        }
        (None, Some(_)) => Ok(()),
    }
}

fn check_recipient(to: &str, from: Option<&str>) -> Result<(), ApiError> {
    let on_whatsapp = |address: &str| address.starts_with("whatsapp:");
    if from.is_some_and(|from| on_whatsapp(from) != on_whatsapp(to)) {
        return Err(ApiError::of(21_910));
    }
    if from == Some(to) {
        return Err(ApiError::of(63_031));
    }
    let plain = to.trim_start_matches("whatsapp:");
    let is_user = plain.get(2..3) == Some(".") && plain.len() > 3;
    if is_number(plain) || is_user { Ok(()) } else { Err(ApiError::no_number(to)) }
}

/// WhatsApp takes one.
fn check_media(media: &[String]) -> Result<(), ApiError> {
    if media.len() > 1 {
        return Err(ApiError::of(21_623));
    }
    let fetchable = |url: &String| {
        reqwest::Url::parse(url).is_ok_and(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
    };
    if media.iter().all(fetchable) { Ok(()) } else { Err(ApiError::of(21_620)) }
}

fn check_content(sid: Option<&str>, variables: Option<&str>) -> Result<(), ApiError> {
    match (sid, variables) {
        (None, None) => Ok(()),
        (None, Some(_)) => Err(ApiError::of(21_654)),
        (Some(sid), _) if !is_sid(sid, "HX") => Err(ApiError::of(21_655)),
        (Some(_), variables) => {
            let values = variables.map(serde_json::from_str::<BTreeMap<String, Value>>);
            let flat = |value: &Value| {
                value.as_str().is_some_and(|text| !text.contains('\n') && !text.contains("    "))
            };
            let good = values.is_none_or(|values| values.is_ok_and(|values| values.values().all(flat)));
            if good { Ok(()) } else { Err(ApiError::of(21_656)) }
        }
    }
}

/// Whether it is for later.
fn check_schedule(kind: Option<&String>, at: Option<&String>, service: bool) -> Result<bool, ApiError> {
    match (kind.map(String::as_str), at) {
        (None, None) => Ok(false),
        (Some("fixed"), None) => Err(ApiError::of(35_111)),
        (Some("fixed"), Some(at)) if at.parse::<palomar_model::Timestamp>().is_err() => {
            Err(ApiError::of(35_115))
        }
        (Some("fixed"), Some(_)) if service => Ok(true),
        (Some("fixed"), Some(_)) => Err(ApiError::of(35_118)),
        _ => Err(ApiError::of(35_126)),
    }
}

fn is_sid(text: &str, prefix: &str) -> bool {
    let digits = text.strip_prefix(prefix);
    digits.is_some_and(|digits| digits.len() == 32 && digits.bytes().all(|c| c.is_ascii_hexdigit()))
}

fn is_number(text: &str) -> bool {
    let digits = text.strip_prefix('+');
    digits
        .is_some_and(|digits| (7..=15).contains(&digits.len()) && digits.bytes().all(|c| c.is_ascii_digit()))
}

/// An absolute address without an underscore in its host.
fn is_callable(url: &str) -> bool {
    reqwest::Url::parse(url).is_ok_and(|url| {
        matches!(url.scheme(), "http" | "https") && url.host_str().is_some_and(|host| !host.contains('_'))
    })
}

fn tag_of(callback: &str) -> Option<String> {
    let url = reqwest::Url::parse(callback).ok()?;
    let mut pairs = url.query_pairs();
    pairs.find(|(name, _)| name == "tag").map(|(_, value)| value.into_owned())
}
