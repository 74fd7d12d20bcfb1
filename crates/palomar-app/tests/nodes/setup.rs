//! What people set up on one node, seen by the others without a restart.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{
    App, AppError, Caller, ChannelPatch, IntakeAnswer, KeyRefused, NewKey, Role, WebhookRequest,
};
use palomar_model::{ChannelName, MessageState};

use crate::shared::{Shared, channel, send, until};

/// Runs each of these tests on SQLite and on PostgreSQL.
macro_rules! on_both {
    ($($name:ident),+ $(,)?) => {
        mod sqlite {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::shared::Shared::on_sqlite()).await;
            })+
        }
        mod postgres {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $name() {
                super::$name(crate::shared::Shared::on_postgres().await).await;
            })+
        }
    };
}

on_both!(
    a_key_is_known_and_refused_by_every_node,
    a_channel_is_made_changed_and_removed_for_every_node,
    a_message_on_a_channel_of_another_node_goes_out_at_once,
    a_message_to_a_channel_of_another_node_is_accepted_at_once,
    a_webhook_for_a_channel_of_another_node_finds_it_at_once,
    whichever_node_speaks_last_the_limits_are_the_records,
);

async fn end(nodes: [Arc<App>; 2]) {
    for node in nodes {
        node.shutdown(Duration::from_secs(5)).await;
    }
}

async fn a_key_is_known_and_refused_by_every_node(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    let new = NewKey { name: "n8n".to_owned(), role: Role::Viewer, channels: None, expires_at: None };
    let made = one.create_key(new.clone()).await.expect("made");
    let kept = other.create_key(new).await.expect("made");
    until("the other node knows it", async || other.authenticate(&made.secret).is_ok()).await;
    until("and this one the other's", async || one.authenticate(&kept.secret).is_ok()).await;
    other.revoke_key(&made.key.id).await.expect("revoked");
    assert_eq!(other.authenticate(&made.secret), Err(KeyRefused::Revoked), "where it is revoked: at once");
    until("then everywhere", async || one.authenticate(&made.secret) == Err(KeyRefused::Revoked)).await;
    assert!(one.authenticate(&kept.secret).is_ok() && other.authenticate(&kept.secret).is_ok());
    end([one, other]).await;
}

/// What a node answers to the provider's handshake with this token.
async fn handshake(app: &App, token: &str) -> IntakeAnswer {
    let request = WebhookRequest {
        method: "GET".to_owned(),
        url: String::new(),
        query: format!("hub.mode=subscribe&hub.verify_token={token}&hub.challenge=42"),
        headers: Vec::new(),
        body: bytes::Bytes::new(),
        request_id: "r".to_owned(),
    };
    app.receive(&line(), request).await
}

fn line() -> ChannelName {
    "line".parse().expect("a name")
}

async fn a_channel_is_made_changed_and_removed_for_every_node(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    let new = serde_json::from_value(serde_json::json!({
        "name": "line", "provider": "cloud_api", "settings": {"phoneNumberId": "1"},
        "credentials": {"token": "t", "appSecret": "s", "verifyToken": "first"},
    }));
    one.create_channel(new.expect("a channel")).await.expect("made");
    let good = IntakeAnswer::Handshake("42".to_owned());
    until("it is made", async || handshake(&other, "first").await == good).await;
    let patch =
        serde_json::from_value::<ChannelPatch>(serde_json::json!({"credentials": {"verifyToken": "second"}}));
    other.update_channel(&line(), patch.expect("a change")).await.expect("changed");
    until("it is changed", async || handshake(&one, "second").await == good).await;
    assert_ne!(handshake(&one, "first").await, good);
    one.delete_channel(&line()).await.expect("removed");
    until("it is removed", async || handshake(&other, "second").await == IntakeAnswer::NoChannel).await;
    assert!(matches!(other.channel(&line(), &Caller::system()).await, Err(AppError::NotFound(_))));
    end([one, other]).await;
}

/// A worker that gets a message of a channel that it has not seen yet looks, before it says that there is none.
async fn a_message_on_a_channel_of_another_node_goes_out_at_once(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    for n in 0..10 {
        let name = format!("new{n}");
        one.create_channel(channel(&name)).await.expect("made");
        let id = send(&one, &name, "+34611222333").await;
        let read = async || {
            let found = one.message(id, &Caller::system()).await;
            found.is_ok_and(|found| {
                found.message.status == palomar_app::MessageStatus::Outbound(MessageState::Read)
            })
        };
        until("it is read", read).await;
        let shown = other.channel(&name.parse().expect("a name"), &Caller::system()).await.expect("found");
        assert_eq!(shown.paused, None);
    }
    end([one, other]).await;
}

/// Whoever made a channel on one node, and is answered by another one next, is not told that there is none.
async fn a_message_to_a_channel_of_another_node_is_accepted_at_once(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    for n in 0..10 {
        let name = format!("new{n}");
        one.create_channel(channel(&name)).await.expect("made");
        send(&other, &name, "+34611222333").await;
    }
    end([one, other]).await;
}

/// A provider that begins to report at once, to any node, is not told that there is no such channel.
async fn a_webhook_for_a_channel_of_another_node_finds_it_at_once(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    for n in 0..10 {
        let name = format!("new{n}");
        one.create_channel(channel(&name)).await.expect("made");
        let webhook = WebhookRequest {
            method: "POST".to_owned(),
            url: String::new(),
            query: String::new(),
            headers: Vec::new(),
            body: bytes::Bytes::new(),
            request_id: String::new(),
        };
        let answer = other.receive(&name.parse().expect("a name"), webhook).await;
        assert!(!matches!(answer, IntakeAnswer::NoChannel | IntakeAnswer::NotDurable), "{answer:?}");
    }
    end([one, other]).await;
}

/// Both nodes change a channel's limits at once, many times: the broker ends with those of the record.
async fn whichever_node_speaks_last_the_limits_are_the_records(shared: Shared) {
    let (one, other) = (shared.node().await, shared.node().await);
    one.create_channel(channel("line")).await.expect("made");
    let change = async |app: &App, concurrency: u32| {
        let patch = serde_json::from_value(serde_json::json!({"limits": {"concurrency": concurrency}}));
        app.update_channel(&line(), patch.expect("a change")).await.expect("changed");
    };
    for n in 1..=20 {
        tokio::join!(change(&one, n), change(&other, 100 + n));
    }
    let settled = async || {
        let shown = one.channel(&line(), &Caller::system()).await.expect("found");
        let effective = shown.effective_limits.expect("limits").concurrency;
        shown.limits["concurrency"] == effective && [20, 120].contains(&effective)
    };
    until("the limits are the record's", settled).await;
    end([one, other]).await;
}
