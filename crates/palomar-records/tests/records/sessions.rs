//! Browser sessions: kept as they are now, with the id and the time that they were made with.

use palomar_model::Timestamp;
use palomar_records::{SessionRecord, SessionStanding, Wanted};
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
    // How it stands is noted by another hand than what is wanted of it, and makes no session.
    let standing = |channel: &str| SessionStanding {
        channel: channel.parse().expect("a name"),
        status: "available".to_owned(),
        reason: "ready".to_owned(),
        detail: None,
        since: later,
        restarts: 4,
        at: later,
    };
    for (channel, is_kept) in [("desk", true), ("other", false)] {
        let noted = records.note_session(standing(channel), json!({})).await.expect("noted");
        assert_eq!(noted, is_kept, "{channel}");
    }
    let all = records.sessions().await.expect("read");
    let stands: Vec<_> =
        all.iter().map(|one| (one.channel.as_str(), one.wanted, one.status.as_str(), one.restarts)).collect();
    assert_eq!(stands, [("desk", Wanted::Closed, "available", 4)]);
    records.delete_session("desk".parse().expect("a name")).await.expect("forgotten");
    assert_eq!(records.sessions().await.expect("read"), []);
}
