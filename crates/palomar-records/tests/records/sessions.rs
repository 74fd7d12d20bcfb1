//! Browser sessions: kept as they are now, with the id and the time that they were made with.

use palomar_model::Timestamp;
use palomar_records::{SessionRecord, Wanted};
use serde_json::json;

use crate::facts::START;
use crate::house::{House, on_both};

on_both!(a_session_is_kept_as_it_is_now);

async fn a_session_is_kept_as_it_is_now(house: House) {
    let records = house.open().await;
    let made = SessionRecord {
        channel: "desk".parse().expect("a name"),
        system_id: "id-1".to_owned(),
        wanted: Wanted::Open,
        status: "disconnected".to_owned(),
        reason: "scan_qr".to_owned(),
        detail: None,
        since: START,
        restarts: 0,
        created_at: START,
        updated_at: START,
    };
    records.put_session(made.clone(), json!({ "status": "disconnected" })).await.expect("kept");
    let later = Timestamp::from_seconds(START.seconds() + 60);
    let changed = SessionRecord {
        system_id: "id-2".to_owned(),
        wanted: Wanted::Closed,
        status: "closed".to_owned(),
        reason: "closed".to_owned(),
        detail: Some("by order".to_owned()),
        since: later,
        restarts: 3,
        created_at: later,
        updated_at: later,
        ..made.clone()
    };
    records.put_session(changed.clone(), json!({ "status": "closed" })).await.expect("kept");
    let known = SessionRecord { system_id: made.system_id, created_at: START, ..changed };
    assert_eq!(records.sessions().await.expect("read"), [known]);
    records.delete_session("desk".parse().expect("a name")).await.expect("forgotten");
    assert_eq!(records.sessions().await.expect("read"), []);
}
