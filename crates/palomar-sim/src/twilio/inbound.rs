//! `POST /_sim/inbound`: people who write to a number of the account, and the media that they send.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::json;

use super::errors::ApiError;
use super::messages::{check_access, refuse};
use super::state::Simulator;
use super::webhook::encode;
use crate::lock;
use crate::span::InvalidSetting;

/// Held at most; the oldest make room.
const MOST_MEDIA: usize = 1000;

/// A person writes. Give `text`, `media` or `params`, or a whole form as `form`.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Inbound {
    /// The person's phone number; `34600111222` if neither this nor `user_id` is given.
    pub from: Option<String>,
    /// The person's business-scoped user id.
    pub user_id: Option<String>,
    /// The person's profile name.
    pub name: Option<String>,
    /// The number that is written to; the first configured one if not given.
    pub to: Option<String>,
    /// The account that is written to.
    pub account_sid: Option<String>,
    /// Words.
    pub text: Option<String>,
    /// What is sent with them.
    pub media: Vec<Media>,
    /// Where this simulator is reached, so that media have an address: `http://127.0.0.1:9200`.
    pub base_url: Option<String>,
    /// Other parameters, in place of those that would be written: `ButtonPayload`, `Latitude`, …
    pub params: BTreeMap<String, String>,
    /// A whole form, signed and posted as it is.
    pub form: Option<String>,
}

/// Something that a person sends.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Media {
    /// Its type, such as `image/jpeg`.
    pub content_type: String,
    /// Its bytes, in Base64.
    pub base64: String,
}

/// Media that can be fetched.
#[derive(Debug, Clone)]
pub(super) struct Held {
    content_type: String,
    bytes: Bytes,
}

/// Posts what a person wrote; answers the message's SID (none for a whole form).
pub(super) fn receive(simulator: &Simulator, inbound: Inbound) -> Result<Option<String>, InvalidSetting> {
    if !simulator.courier.has_target() {
        return Err(InvalidSetting("no webhook URL is set".to_owned()));
    }
    if let Some(form) = inbound.form {
        simulator.courier.post(form.into_bytes());
        return Ok(None);
    }
    if inbound.text.is_none() && inbound.media.is_empty() && inbound.params.is_empty() {
        return Err(InvalidSetting("give one of text, media, params and form".to_owned()));
    }
    let prefix = if inbound.media.is_empty() { "SM" } else { "MM" };
    let sid = simulator.sid(prefix, simulator.fresh_number());
    let pairs = pairs(simulator, &inbound, &sid)?;
    let of = |name: &str| {
        let value = pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str());
        value.unwrap_or_default().trim_start_matches("whatsapp:").to_owned()
    };
    simulator.note_inbound(&of("To"), &of("From"));
    let pairs: Vec<(&str, String)> =
        pairs.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
    simulator.courier.post(encode(&pairs));
    Ok(Some(sid))
}

fn pairs(
    simulator: &Simulator,
    inbound: &Inbound,
    sid: &str,
) -> Result<Vec<(String, String)>, InvalidSetting> {
    let wa_id = match (&inbound.from, &inbound.user_id) {
        (Some(from), _) => from.chars().filter(char::is_ascii_digit).collect(),
        (None, Some(_)) => String::new(),
        (None, None) => "34600111222".to_owned(),
    };
    let address = |plain: &str| format!("whatsapp:{plain}");
    let from = match &inbound.user_id {
        Some(user) if wa_id.is_empty() => address(user),
        _ => address(&format!("+{wa_id}")),
    };
    let configured = simulator.config.senders.first().map_or("+15550100200", String::as_str);
    let account = inbound.account_sid.as_deref().or(simulator.config.account_sid.as_deref());
    let account = account.unwrap_or("AC00000000000000000000000000000001");
    let name = inbound.name.as_deref().unwrap_or("Lucía Prueba");
    let kind = inbound.media.first().map_or("text", |media| kind_of(&media.content_type));
    let context = json!({"ProfileName": name, "WaId": wa_id});
    let metadata = json!({"type": "whatsapp", "data": {"context": context}}).to_string();
    let mut pairs: Vec<(String, String)> = [
        ("SmsMessageSid", sid.to_owned()),
        ("NumMedia", inbound.media.len().to_string()),
        ("ProfileName", name.to_owned()),
        ("MessageType", kind.to_owned()),
        ("SmsSid", sid.to_owned()),
        ("WaId", wa_id),
        ("SmsStatus", "received".to_owned()),
        ("Body", inbound.text.clone().unwrap_or_default()),
        ("To", address(inbound.to.as_deref().unwrap_or(configured))),
        ("NumSegments", "1".to_owned()),
        ("ReferralNumMedia", "0".to_owned()),
        ("MessageSid", sid.to_owned()),
        ("AccountSid", account.to_owned()),
        ("ChannelMetadata", metadata),
        ("From", from),
        ("ApiVersion", "2010-04-01".to_owned()),
    ]
    .map(|(name, value)| (name.to_owned(), value))
    .into();
    pairs.extend(inbound.user_id.iter().map(|user| ("ExternalUserId".to_owned(), address(user))));
    for (n, media) in inbound.media.iter().enumerate() {
        let id = hold(simulator, media)?;
        let base = inbound.base_url.as_deref().unwrap_or("https://api.twilio.com");
        let url = format!("{base}/2010-04-01/Accounts/{account}/Messages/{sid}/Media/{id}");
        pairs.push((format!("MediaContentType{n}"), media.content_type.clone()));
        pairs.push((format!("MediaUrl{n}"), url));
    }
    pairs.retain(|(name, _)| !inbound.params.contains_key(name));
    pairs.extend(inbound.params.clone());
    Ok(pairs)
}

fn kind_of(content_type: &str) -> &'static str {
    match content_type.split('/').next().unwrap_or_default() {
        "image" => "image",
        "audio" => "audio",
        "video" => "video",
        "text" => "contacts",
        _ => "document",
    }
}

fn hold(simulator: &Simulator, media: &Media) -> Result<String, InvalidSetting> {
    let bytes = STANDARD.decode(&media.base64).map_err(|error| InvalidSetting(format!("base64: {error}")))?;
    let id = simulator.sid("ME", simulator.fresh_number());
    let mut shelf = lock(&simulator.media);
    shelf.insert(id.clone(), Held { content_type: media.content_type.clone(), bytes: bytes.into() });
    while shelf.len() > MOST_MEDIA {
        shelf.pop_first();
    }
    Ok(id)
}

/// The address of media: asks for the account's token, and sends on to where the bytes are.
pub(super) async fn look_up(
    State(simulator): State<Arc<Simulator>>,
    Path((account, _, id)): Path<(String, String, String)>,
    headers: HeaderMap,
) -> Response {
    if let Err(error) = check_access(&simulator, &account, &headers) {
        return refuse(&simulator, &error);
    }
    if !lock(&simulator.media).contains_key(&id) {
        return refuse(&simulator, &ApiError::of(20_404));
    }
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::TEMPORARY_REDIRECT;
    let to = HeaderValue::from_str(&format!("/_cdn/{id}"));
    response.headers_mut().insert(header::LOCATION, to.unwrap_or(HeaderValue::from_static("/")));
    response
}

/// The bytes, for whoever knows the address.
pub(super) async fn download(State(simulator): State<Arc<Simulator>>, Path(id): Path<String>) -> Response {
    let Some(held) = lock(&simulator.media).get(&id).cloned() else {
        return refuse(&simulator, &ApiError::of(20_404));
    };
    let mut response = Response::new(Body::from(held.bytes));
    if let Ok(kind) = HeaderValue::from_str(&held.content_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}
