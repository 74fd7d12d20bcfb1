//! A report on one of our messages.

use palomar_model::{ChannelEvent, Status, StatusReport, Timestamp};
use serde_json::Value;

use super::Item;
use super::fields::{error, field, id, list, time};
use crate::cloud_api::errors;

/// Reads one of `statuses`.
pub(super) fn status(value: &Value, received_at: Timestamp) -> Result<Item, &'static str> {
    if !value.is_object() {
        return Err("is not an object");
    }
    let id = id(value, "/id").ok_or("has no id")?;
    let word = field(value, "/status").ok_or("has no status")?;
    let mut doubts = Vec::new();
    let mut errors: Vec<_> = list(value, "/errors").iter().map(error).collect();
    for error in &mut errors {
        // A failure in no table is final all the same.
        error.class = Some(errors::class_of_status(error.code.as_deref()));
    }
    let status = Status::from(word.as_str());
    let participant = field(value, "/recipient_participant_id");
    let report = StatusReport {
        tag: field(value, "/biz_opaque_callback_data").and_then(|tag| tag.parse().ok()),
        recipient: field(value, "/recipient_id").or_else(|| field(value, "/recipient_user_id")),
        participant: participant.or_else(|| field(value, "/recipient_participant_user_id")),
        errors,
        pricing: value.get("pricing").cloned(),
        conversation: value.get("conversation").cloned(),
        raw: matches!(status, Status::Other(_)).then(|| value.clone()),
        ..StatusReport::new(id, status, time(value, received_at, &mut doubts))
    };
    Ok(Item { events: vec![ChannelEvent::Status(Box::new(report))], doubts })
}
