//! What is written by people: channels with their secrets, keys; and how the files are opened.

use std::collections::BTreeMap;

use palomar_model::{OnUncertain, Provider, Secret, Timestamp};
use palomar_records::{ChannelRecord, KeyRecord, RecordsError};

use crate::facts::START;
use crate::house::{House, on_both};

on_both!(
    credentials_come_back_and_are_nowhere_in_the_file,
    keys_are_kept_and_revoked_for_good,
    a_newer_schema_is_refused_with_a_clear_line,
    work_that_fails_undoes_nothing_of_the_others,
);

pub(crate) fn channel() -> ChannelRecord {
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

async fn credentials_come_back_and_are_nowhere_in_the_file(house: House) {
    let records = house.open().await;
    records.create_channel(channel()).await.expect("created");
    assert!(matches!(records.create_channel(channel()).await, Err(RecordsError::Exists(_))));
    let found = records.channel(channel().name).await.expect("read").expect("there");
    assert_eq!(found, channel());
    let changed = ChannelRecord { on_uncertain: None, ..channel() };
    records.update_channel(changed.clone()).await.expect("updated");
    assert_eq!(records.channels().await.expect("read"), [changed]);
    drop(records);
    for file in std::fs::read_dir(house.dir.path()).expect("a directory") {
        let bytes = std::fs::read(file.expect("a file").path()).expect("read");
        assert!(!bytes.windows(11).any(|window| window == b"very-secret"));
    }

    std::fs::remove_file(house.dir.path().join("secret.key")).expect("removed");
    if house.address.is_some() {
        // Who shares records must have their key from the beginning.
        let error = house.try_open().await.expect_err("refused");
        assert!(matches!(error, RecordsError::OtherKey { .. }), "{error}");
        return;
    }
    let records = house.open().await;
    assert!(matches!(records.channels().await, Err(RecordsError::WrongKey { .. })));
    records.delete_channel(channel().name).await.expect("deleted");
    assert!(matches!(records.delete_channel(channel().name).await, Err(RecordsError::NotFound("channel"))));
}

async fn keys_are_kept_and_revoked_for_good(house: House) {
    let records = house.open().await;
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

async fn a_newer_schema_is_refused_with_a_clear_line(house: House) {
    drop(house.open().await);
    house.tamper("INSERT INTO schema_steps VALUES (99, '0099_later', 0)").await;
    let error = house.try_open().await.expect_err("refused").to_string();
    assert!(error.contains("schema 99, this version knows up to"), "{error}");
}

async fn work_that_fails_undoes_nothing_of_the_others(house: House) {
    let records = house.open().await;
    records.create_channel(channel()).await.expect("created");
    let other = ChannelRecord { name: "second".parse().expect("a name"), ..channel() };
    let (refused, made) = tokio::join!(records.create_channel(channel()), records.create_channel(other));
    assert!(refused.is_err() && made.is_ok());
    assert_eq!(records.channels().await.expect("read").len(), 2);
}
