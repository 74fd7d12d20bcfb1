//! Real time over several nodes: whoever follows gets the same events with the same ids from each of them, and goes on
//! from one to the other.

use std::sync::Arc;
use std::time::Duration;

use palomar_app::{
    App, Dropped, Event, EventFilter, EventId, EventType, NewKey, Next, Role, Subscriber, Subscription,
    Transport,
};
use tokio_util::sync::CancellationToken;

use crate::shared::{PATIENCE, Shared, channel, send, until};

async fn follow(app: &Arc<App>, secret: &str, since: Option<EventId>) -> Subscription {
    until("the key is known", async || app.authenticate(secret).is_ok()).await;
    let who = Subscriber {
        caller: app.authenticate(secret).expect("a key"),
        filter: EventFilter::default(),
        since,
        transport: Transport::Sse,
        cut: CancellationToken::new(),
    };
    app.follow(who).await.expect("taken in")
}

/// Takes events until so many messages were read by their recipients.
async fn take(subscription: &mut Subscription, messages: usize) -> Vec<Arc<Event>> {
    let mut all: Vec<Arc<Event>> = Vec::new();
    while all.iter().filter(|event| event.kind == EventType::Read).count() < messages {
        match tokio::time::timeout(PATIENCE, subscription.next()).await.expect("something in time") {
            Next::Events(events) => all.extend(events),
            Next::Quiet => {}
            other => panic!("{other:?}"),
        }
    }
    all
}

fn ids(events: &[Arc<Event>]) -> Vec<EventId> {
    events.iter().map(|event| event.id).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn all_nodes_tell_the_same() {
    let shared = Shared::on_postgres().await;
    let (one, other) = (shared.node().await, shared.node().await);
    for name in ["a", "b", "c"] {
        one.create_channel(channel(name)).await.expect("created");
    }
    let new = NewKey { name: "front".to_owned(), role: Role::Viewer, channels: None, expires_at: None };
    let key = one.create_key(new).await.expect("made");
    let start = "0".parse().expect("a place");
    let mut here = follow(&one, &key.secret, Some(start)).await;
    let mut there = follow(&other, &key.secret, Some(start)).await;
    for n in 0..12 {
        let (node, name) = (if n % 2 == 0 { &one } else { &other }, ["a", "b", "c"][n % 3]);
        send(node, name, &format!("+3460011120{}", n % 7)).await;
    }
    let (told, also) = (take(&mut here, 12).await, take(&mut there, 12).await);
    let known = told.len().min(also.len());
    let words = |events: &[Arc<Event>]| events.iter().map(|event| (event.id, event.kind)).collect::<Vec<_>>();
    assert_eq!(words(&told[..known]), words(&also[..known]));
    assert!(ids(&told).is_sorted() && told.windows(2).all(|two| two[0].id != two[1].id));
    for kind in [EventType::Accepted, EventType::Sent, EventType::Delivered] {
        assert_eq!(told.iter().filter(|event| event.kind == kind).count(), 12, "{kind}");
    }

    // One node ends; its client goes on at the other where it stood.
    let middle = told[told.len() / 2].id;
    one.shutdown(Duration::from_secs(10)).await;
    loop {
        match tokio::time::timeout(PATIENCE, here.next()).await.expect("something in time") {
            Next::Ended(why) => break assert_eq!(why, Dropped::ShuttingDown),
            Next::Events(_) | Next::Quiet => {}
            other @ Next::Gap(_) => panic!("{other:?}"),
        }
    }
    send(&other, "a", "+34600111299").await;
    let mut again = follow(&other, &key.secret, Some(middle)).await;
    let rest = take(
        &mut again,
        12 - told[..=told.len() / 2].iter().filter(|event| event.kind == EventType::Read).count() + 1,
    )
    .await;
    let expected = ids(&told).into_iter().filter(|id| *id > middle).collect::<Vec<_>>();
    assert_eq!(ids(&rest)[..expected.len()], expected, "nothing lost or doubled");
    other.shutdown(Duration::from_secs(10)).await;
}
