//! Media: upload, look-up, download, deletion. Held in memory, within bounds.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::multipart::MultipartRejection;
use axum::extract::{Multipart, Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::Response;
use data_encoding::HEXLOWER;
use palomar_model::Timestamp;
use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::errors::GraphError;
use super::messages::{check_call, json, refusal, refuse};
use super::state::Simulator;
use crate::lock;

/// The largest upload of all kinds.
pub(super) const MOST_BYTES: usize = 100 << 20;
/// The shelf holds no more than this; the oldest media make room.
const SHELF_BYTES: usize = 512 << 20;
const UPLOADS_LIVE: Duration = Duration::from_secs(30 * 24 * 3600);
const URLS_LIVE: Duration = Duration::from_secs(5 * 60);

/// The media that were uploaded.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    media: BTreeMap<u64, Media>,
    bytes: usize,
}

#[derive(Debug, Clone)]
struct Media {
    mime_type: String,
    bytes: Bytes,
    until: Timestamp,
}

impl Shelf {
    /// True if `id` was uploaded and lives.
    pub(super) fn has(&self, id: &str, now: Timestamp) -> bool {
        self.get(id, now).is_some()
    }

    fn get(&self, id: &str, now: Timestamp) -> Option<Media> {
        self.media.get(&id.parse().ok()?).filter(|media| now < media.until).cloned()
    }

    fn put(&mut self, id: u64, media: Media) {
        self.bytes += media.bytes.len();
        self.media.insert(id, media);
        while self.bytes > SHELF_BYTES {
            let Some((_, oldest)) = self.media.pop_first() else {
                break;
            };
            self.bytes -= oldest.bytes.len();
        }
    }

    fn remove(&mut self, id: &str) -> bool {
        let removed = id.parse().ok().and_then(|id: u64| self.media.remove(&id));
        self.bytes -= removed.as_ref().map_or(0, |media| media.bytes.len());
        removed.is_some()
    }
}

/// `POST /{version}/{phone_number_id}/media`.
pub(super) async fn upload(
    State(simulator): State<Arc<Simulator>>,
    Path((version, phone_number_id)): Path<(String, String)>,
    headers: HeaderMap,
    form: Result<Multipart, MultipartRejection>,
) -> Response {
    let _underway = simulator.counters.begin();
    let outcome = async {
        prepare(&simulator, &version, Some(&phone_number_id), &headers).await?;
        let form = form.map_err(|_| GraphError::parameter("(#100) The request is no multipart form."))?;
        let (mime_type, bytes) = read(form).await?;
        check_size(&mime_type, bytes.len())?;
        let id = 1_037_543_291_000_000 + simulator.fresh_number();
        let until = simulator.clock.now().after(UPLOADS_LIVE);
        lock(&simulator.shelf).put(id, Media { mime_type, bytes, until });
        Ok(serde_json::json!({ "id": id.to_string() }))
    };
    respond(&simulator, outcome.await)
}

/// `GET /{version}/{id}`: of media their address, of a phone number its limits.
pub(super) async fn look_up(
    State(simulator): State<Arc<Simulator>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let _underway = simulator.counters.begin();
    let outcome = async {
        prepare(&simulator, &version, None, &headers).await?;
        let media = lock(&simulator.shelf).get(&id, simulator.clock.now());
        match media {
            Some(media) => Ok(describe(&simulator, &id, &media, &headers)),
            None if is_phone_number(&simulator, &id) => Ok(phone_number(&simulator, &id)),
            None => Err(GraphError::no_such_object("get", &id)),
        }
    };
    respond(&simulator, outcome.await)
}

/// `DELETE /{version}/{media_id}`.
pub(super) async fn delete(
    State(simulator): State<Arc<Simulator>>,
    Path((version, id)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let _underway = simulator.counters.begin();
    let outcome = async {
        prepare(&simulator, &version, None, &headers).await?;
        let removed = lock(&simulator.shelf).remove(&id);
        let success = serde_json::json!({ "success": true });
        if removed { Ok(success) } else { Err(GraphError::no_such_object("delete", &id)) }
    };
    respond(&simulator, outcome.await)
}

/// What an address of media carries.
#[derive(Debug, Deserialize)]
pub(super) struct Address {
    mid: String,
    ext: i64,
    hash: String,
}

/// `GET` of an address that [`look_up`] gave: the bytes, for the token, for five minutes.
pub(super) async fn download(
    State(simulator): State<Arc<Simulator>>,
    Query(address): Query<Address>,
    headers: HeaderMap,
) -> Response {
    let _underway = simulator.counters.begin();
    if let Err(error) = prepare(&simulator, "v1.0", None, &headers).await {
        return refuse(&simulator, &error);
    }
    let now = simulator.clock.now();
    let genuine = address.hash == seal(&simulator, &address.mid, address.ext) && now.seconds() < address.ext;
    let media = lock(&simulator.shelf).get(&address.mid, now).filter(|_| genuine);
    let Some(media) = media else {
        let gone = GraphError { status: 404, ..GraphError::no_such_object("get", &address.mid) };
        return refuse(&simulator, &gone);
    };
    simulator.counters.answered(200, 0);
    let mut response = Response::new(Body::from(media.bytes));
    if let Ok(kind) = HeaderValue::from_str(&media.mime_type) {
        response.headers_mut().insert(header::CONTENT_TYPE, kind);
    }
    response
}

/// Token, path and number; also where the faults that strike everywhere do so.
pub(super) async fn prepare(
    simulator: &Simulator,
    version: &str,
    phone_number_id: Option<&str>,
    headers: &HeaderMap,
) -> Result<(), GraphError> {
    let (fault, delay) = simulator.strike_elsewhere();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    match fault.as_ref().and_then(refusal) {
        Some(error) => Err(error),
        None => check_call(simulator, version, phone_number_id, headers),
    }
}

pub(super) fn respond(simulator: &Simulator, outcome: Result<serde_json::Value, GraphError>) -> Response {
    match outcome {
        Ok(document) => {
            simulator.counters.answered(200, 0);
            json(Body::from(document.to_string()))
        }
        Err(error) => refuse(simulator, &error),
    }
}

/// The file's type and bytes.
async fn read(mut form: Multipart) -> Result<(String, Bytes), GraphError> {
    let broken = |_| GraphError::parameter("The multipart form broke off or is too large.");
    let (mut product, mut kind, mut file) = (false, None, None);
    while let Some(field) = form.next_field().await.map_err(broken)? {
        match field.name() {
            Some("messaging_product") => product = field.text().await.map_err(broken)? == "whatsapp",
            Some("type") => kind = Some(field.text().await.map_err(broken)?),
            Some("file") => {
                let declared = field.content_type().map(str::to_owned);
                file = Some((declared, field.bytes().await.map_err(broken)?));
            }
            _ => {}
        }
    }
    if !product {
        return Err(GraphError::parameter("The parameter messaging_product is required."));
    }
    let (declared, bytes) = file.ok_or_else(|| GraphError::parameter("The parameter file is required."))?;
    let kind = declared.or(kind).unwrap_or_else(|| "application/octet-stream".to_owned());
    Ok((kind.to_ascii_lowercase(), bytes))
}

/// Refuses types that WhatsApp does not carry, empty files, and those too large for their type.
fn check_size(mime_type: &str, size: usize) -> Result<(), GraphError> {
    let bare = mime_type.split(';').next().unwrap_or_default().trim();
    let most = match bare {
        "image/jpeg" | "image/png" => 5 << 20,
        "image/webp" => 500 << 10,
        "video/mp4" | "video/3gpp" => 16 << 20,
        "audio/aac" | "audio/amr" | "audio/mpeg" | "audio/mp4" | "audio/ogg" => 16 << 20,
        "application/octet-stream" => 0,
        other if other.starts_with("application/") || other.starts_with("text/") => MOST_BYTES,
        _ => 0,
    };
    if most == 0 {
        let details =
            format!("Param file must be a file of a supported type. Received file of type '{bare}'.");
        return Err(GraphError::parameter(details));
    }
    if (1..=most).contains(&size) {
        return Ok(());
    }
    Err(GraphError::parameter(format!("Param file must have between 1 and {most} bytes for type '{bare}'.")))
}

fn describe(simulator: &Simulator, id: &str, media: &Media, headers: &HeaderMap) -> serde_json::Value {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or("127.0.0.1");
    let until = simulator.clock.now().after(URLS_LIVE).seconds();
    let hash = seal(simulator, id, until);
    serde_json::json!({
        "messaging_product": "whatsapp",
        "url": format!("http://{host}/whatsapp_business/attachments/?mid={id}&ext={until}&hash={hash}"),
        "mime_type": media.mime_type,
        "sha256": HEXLOWER.encode(&Sha256::digest(&media.bytes)),
        "file_size": media.bytes.len().to_string(),
        "id": id,
    })
}

fn seal(simulator: &Simulator, id: &str, until: i64) -> String {
    simulator.signer.hex(format!("{id}:{until}").as_bytes())
}

/// Where all ids of digits are numbers, those of media are not.
fn is_phone_number(simulator: &Simulator, id: &str) -> bool {
    simulator.has_phone_number(id) && !id.starts_with("1037543291")
}

fn phone_number(simulator: &Simulator, id: &str) -> serde_json::Value {
    serde_json::json!({
        "throughput": { "level": "STANDARD" },
        "quality_rating": "GREEN",
        "whatsapp_business_manager_messaging_limit": "TIER_UNLIMITED",
        "display_phone_number": simulator.display_number(id),
        "verified_name": "Palomar",
        "id": id,
    })
}
