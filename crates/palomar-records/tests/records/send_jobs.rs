//! Send jobs and pools, on both engines: changed by compare and set; whoever was written to keeps their line.

use std::collections::BTreeMap;

use palomar_model::{ChannelName, SendJobState, Timestamp};
use palomar_records::{CampaignRequest, Created, SendJobFilter, SendJobRecord};
use serde_json::json;

use crate::facts::START;
use crate::house::{House, on_both};

on_both!(
    a_send_job_is_changed_by_whoever_knows_it_as_it_is,
    a_contact_keeps_its_line,
    who_asks_at_the_same_time_is_told_the_same,
);

fn name(name: &str) -> ChannelName {
    name.parse().expect("a name")
}

async fn a_send_job_is_changed_by_whoever_knows_it_as_it_is(house: House) {
    let records = house.open().await;
    let made = SendJobRecord {
        id: "send_job_1".to_owned(),
        channel: name("desk"),
        kind: "bulk".to_owned(),
        state: SendJobState::Pending,
        live: true,
        delay_ms: 2000,
        total: 3,
        fed: 0,
        refused: 0,
        version: 0,
        created_at: START,
        updated_at: START,
        started_at: None,
        ended_at: None,
    };
    let bodies = (0..3).map(|n| json!({ "to": n })).collect();
    let request = |body| CampaignRequest { id: "key".to_owned(), body, forget_before: START };
    let bodies: Vec<_> = bodies;
    let kept = records.create_send_job(made.clone(), bodies.clone(), Some(request(1))).await.expect("kept");
    assert_eq!(kept, Created::Now(Box::new(made.clone())));
    // The same again, as after an answer that was lost.
    for (body, expected) in [(1, Created::Before(made.id.clone())), (2, Created::Other)] {
        let other = SendJobRecord { id: "send_job_9".to_owned(), ..made.clone() };
        let again = records.create_send_job(other, bodies.clone(), Some(request(body))).await;
        assert_eq!(again.expect("answered"), expected);
    }
    assert_eq!(records.live_send_jobs().await.expect("read"), std::slice::from_ref(&made));
    let fed = SendJobRecord { state: SendJobState::Running, fed: 2, refused: 1, ..made.clone() };
    let refused = vec![(1, "suppressed".to_owned())];
    let changed =
        records.change_send_job(fed.clone(), refused).await.expect("changed").expect("it was as known");
    assert_eq!(changed, SendJobRecord { version: 1, ..fed });
    // Whoever knows it as it was changes nothing.
    let late = SendJobRecord { state: SendJobState::Cancelled, ..made };
    assert_eq!(records.change_send_job(late, Vec::new()).await.expect("asked"), None);
    let messages = records.send_job_messages("send_job_1", 1, 10).await.expect("read");
    let found: Vec<_> = messages.iter().map(|one| (one.position, one.refused.as_deref())).collect();
    assert_eq!(found, [(1, Some("suppressed")), (2, None)]);
    assert_eq!(messages[1].body, json!({ "to": 2 }));
    let filter = SendJobFilter { states: vec![SendJobState::Running], channels: vec![name("desk")] };
    let page = records.send_jobs(filter, None, 10).await.expect("listed");
    assert_eq!(page.items, std::slice::from_ref(&changed));
    let counted = records.send_jobs_by_state().await.expect("counted");
    assert_eq!(counted, [("bulk".to_owned(), SendJobState::Running, 1)]);
    let ended =
        SendJobRecord { state: SendJobState::Completed, live: false, ended_at: Some(START), ..changed };
    records.change_send_job(ended, Vec::new()).await.expect("changed").expect("it was as known");
    assert_eq!(records.clean_send_jobs(START).await.expect("cleaned"), 0);
    let later = Timestamp::from_seconds(START.seconds() + 1);
    assert_eq!(records.clean_send_jobs(later).await.expect("cleaned"), 1);
    assert_eq!(records.send_job_messages("send_job_1", 0, 10).await.expect("read"), []);
}

async fn a_contact_keeps_its_line(house: House) {
    let records = house.open().await;
    let (a, b, c) = (name("a"), name("b"), name("c"));
    let ask = async |lines: &[&ChannelName], ready: &[&ChannelName], keys: &[&str]| -> Vec<Option<String>> {
        let all = |names: &[&ChannelName]| names.iter().map(|name| (*name).clone()).collect();
        let keys = keys.iter().map(|key| (*key).to_owned()).collect();
        let lines = records.pool_lines(name("shop"), all(lines), all(ready), keys, START).await;
        lines.expect("chosen").into_iter().map(|line| line.map(|line| line.to_string())).collect()
    };
    let some = |names: &[&str]| names.iter().map(|name| Some((*name).to_owned())).collect::<Vec<_>>();
    // Evenly among those that can send, also within one call; twice the same is the same.
    assert_eq!(ask(&[&a, &b], &[&a, &b], &["1", "2", "1", "3"]).await, some(&["a", "b", "a", "a"]));
    // Whoever has a line keeps it, also while it can't send.
    assert_eq!(ask(&[&a, &b], &[&b], &["1", "4"]).await, some(&["a", "b"]));
    // A line that is gone hands its people over.
    assert_eq!(ask(&[&b, &c], &[&b, &c], &["1", "2"]).await, some(&["c", "b"]));
    assert_eq!(ask(&[&a, &b, &c], &[&a], &["1"]).await, some(&["c"]));
    assert_eq!(ask(&[], &[], &["9"]).await, [None]);
}

async fn who_asks_at_the_same_time_is_told_the_same(house: House) {
    let records = house.open().await;
    let keys: Vec<String> = (0..40).map(|n| n.to_string()).collect();
    let asks = (0..8).map(|n| {
        let (records, mut lines, mut keys) = (records.clone(), vec![name("a"), name("b")], keys.clone());
        if n % 2 == 1 {
            lines.reverse();
        }
        if n % 3 == 0 {
            keys.reverse();
        }
        tokio::spawn(async move {
            let told = records.pool_lines(name("shop"), lines.clone(), lines, keys.clone(), START).await;
            keys.into_iter().zip(told.expect("chosen")).collect::<BTreeMap<_, _>>()
        })
    });
    let asks: Vec<_> = asks.collect();
    let mut told = Vec::new();
    for ask in asks {
        told.push(ask.await.expect("no panic"));
    }
    assert!(told.iter().all(|one| *one == told[0] && one.values().all(Option::is_some)), "{told:?}");
}
