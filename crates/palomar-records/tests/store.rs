//! What is written by people: channels with their secrets, keys; and how the files are opened.

use std::collections::BTreeMap;

use palomar_model::{OnUncertain, Provider, Secret, Timestamp};
use palomar_records::{ChannelRecord, KeyRecord, Records, RecordsError};

const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

fn channel() -> ChannelRecord {
    ChannelRecord {
        name: "main-line".parse().expect("a name"),
        provider: Provider::CloudApi,
        settings: serde_json::json!({"phoneNumberId": "1"}),
        credentials: BTreeMap::from([("accessToken".to_owned(), Secret::new("EAAG-very-secret"))]),
        limits: serde_json::json!({}),
        on_uncertain: Some(OnUncertain::Drop),
        created_at: START,
        updated_at: START,
    }
}

#[tokio::test]
async fn credentials_come_back_and_are_nowhere_in_the_file() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = Records::open(dir.path(), START).expect("records");
    records.create_channel(channel()).await.expect("created");
    assert!(matches!(records.create_channel(channel()).await, Err(RecordsError::Exists(_))));
    let found = records.channel(channel().name).await.expect("read").expect("there");
    assert_eq!(found, channel());
    let changed = ChannelRecord { on_uncertain: None, ..channel() };
    records.update_channel(changed.clone()).await.expect("updated");
    assert_eq!(records.channels().await.expect("read"), [changed]);
    drop(records);
    for file in std::fs::read_dir(dir.path()).expect("a directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("read");
        assert!(!bytes.windows(11).any(|window| window == b"very-secret"));
    }

    std::fs::remove_file(dir.path().join("secret.key")).expect("removed");
    let records = Records::open(dir.path(), START).expect("records");
    assert!(matches!(records.channels().await, Err(RecordsError::WrongKey { .. })));
    records.delete_channel(channel().name).await.expect("deleted");
    assert!(matches!(records.delete_channel(channel().name).await, Err(RecordsError::NotFound("channel"))));
}

#[tokio::test]
async fn keys_are_kept_and_revoked_for_good() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = Records::open(dir.path(), START).expect("records");
    let key = KeyRecord {
        id: "k1".to_owned(),
        hash: "00ff".to_owned(),
        name: "n8n".to_owned(),
        role: "operator".to_owned(),
        channels: Some(vec!["demo".parse().expect("a name")]),
        created_at: START,
        expires_at: Some(Timestamp::MAX),
        revoked_at: None,
        last_used_at: None,
    };
    records.create_key(key.clone()).await.expect("created");
    assert!(matches!(records.create_key(key.clone()).await, Err(RecordsError::Exists(_))));
    let later = START.after(std::time::Duration::from_secs(60));
    records.keys_used(vec![("k1".to_owned(), later)]).await.expect("noted");
    assert_eq!(records.revoke_key("k1", START).await.expect("revoked").revoked_at, Some(START));
    assert_eq!(records.revoke_key("k1", later).await.expect("revoked").revoked_at, Some(START));
    assert!(matches!(records.revoke_key("k2", START).await, Err(RecordsError::NotFound("key"))));
    let expected = KeyRecord { revoked_at: Some(START), last_used_at: Some(later), ..key };
    assert_eq!(records.keys().await.expect("read"), [expected]);
}

#[tokio::test]
async fn a_newer_schema_is_refused_with_a_clear_line() {
    let dir = tempfile::tempdir().expect("a directory");
    drop(Records::open(dir.path(), START).expect("records"));
    let db = rusqlite::Connection::open(dir.path().join("records.db")).expect("opened");
    db.execute("INSERT INTO schema_steps VALUES (99, '0099_later', 0)", []).expect("changed");
    let error = Records::open(dir.path(), START).expect_err("refused").to_string();
    assert!(
        error.contains("schema 99, this version knows up to 2: start the newer version again"),
        "{error}"
    );
}

#[tokio::test]
async fn work_that_fails_undoes_nothing_of_the_others() {
    let dir = tempfile::tempdir().expect("a directory");
    let records = Records::open(dir.path(), START).expect("records");
    records.create_channel(channel()).await.expect("created");
    let other = ChannelRecord { name: "second".parse().expect("a name"), ..channel() };
    let (refused, made) = tokio::join!(records.create_channel(channel()), records.create_channel(other));
    assert!(refused.is_err() && made.is_ok());
    assert_eq!(records.channels().await.expect("read").len(), 2);
}
