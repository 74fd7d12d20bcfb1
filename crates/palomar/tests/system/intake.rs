//! Trials 21 and 22: webhooks of simulated providers at a rate, and SIGKILL in between. What was answered 200 is not lost,
//! each has one effect, and all of it again, five times in any order, changes nothing.
//!
//! `WEBHOOKS=100000 KILLS=20 RATE=1000 cargo test -p palomar --test system nothing_that_was_answered`

use std::collections::BTreeSet;
use std::time::Duration;

use palomar_sim::cloud_api::{self, Config, Statuses};
use palomar_sim::evolution;
use serde_json::{Value, json};

use crate::callers::{never_taken, try_again};
use crate::harness::{Dice, Server, instant, quick, seed, simulator, size, until};

/// Of ten webhooks these bring messages of one provider and of the other; the rest report on messages of ours, three on
/// each.
const CLOUD: usize = 4;
const EVOLUTION: usize = 3;
/// All write the same words, from so many numbers.
const PEOPLE: usize = 50;

/// Something that a person wrote: through which provider, and its number.
#[derive(Clone, Copy)]
enum Written {
    Cloud(usize),
    Evolution(usize),
}

struct Providers {
    cloud: cloud_api::RunningSim,
    evolution: evolution::RunningSim,
}

impl Providers {
    fn post(&self, written: Written) {
        match written {
            Written::Cloud(n) => {
                let message = json!({"type": "text", "text": {"body": "ok"}, "id": format!("wamid.trial.{n}"),
                    "timestamp": "1767225600"});
                let from = Some(format!("34600{:06}", n % PEOPLE));
                let message = message.as_object().cloned();
                let inbound = cloud_api::Inbound { message, from, ..cloud_api::Inbound::default() };
                self.cloud.inbound(inbound).expect("posted");
            }
            Written::Evolution(n) => {
                let inbound = evolution::Inbound {
                    text: Some("ok".to_owned()),
                    id: Some(format!("3EB0{n:016X}")),
                    from: Some(format!("34611{:06}", n % PEOPLE)),
                    ..evolution::Inbound::default()
                };
                self.evolution.inbound(inbound).expect("posted");
            }
        }
    }

    /// Webhooks that were answered 200.
    fn answered(&self) -> u64 {
        self.cloud.stats().webhooks.ok + self.evolution.stats().webhooks.ok
    }
}

async fn channel(server: &Server, sim: &evolution::RunningSim) {
    let body = json!({
        "name": "main-line", "provider": "evolution", "settings": { "baseUrl": sim.url() },
        "credentials": { "apiKey": "key-1", "webhookSecret": "webhook-secret-1" },
    });
    let (status, answer) = server.post("/api/channels", body).await;
    assert_eq!(status, 201, "{answer}");
    sim.set_webhook_url(Some(&format!("http://{}/webhooks/main-line", server.address)));
}

/// Everything that webhooks had an effect on: what people wrote, their conversations, how far messages of ours are.
#[derive(Debug, PartialEq)]
struct Effects {
    received: [BTreeSet<String>; 2],
    conversations: Vec<Value>,
    read: usize,
    failed: Value,
}

async fn effects(server: &Server) -> Effects {
    let received = async |channel| server.ids(channel, "received").await.into_iter().collect();
    let mut conversations = server.get("/api/conversations?unread=true&limit=200").await["items"].take();
    let conversations = conversations.as_array_mut().map(std::mem::take).unwrap_or_default();
    let mut conversations: Vec<Value> = conversations
        .into_iter()
        .map(|one| json!([one["id"], one["unread"], one["windowUntil"], one["lastMessage"]["id"]]))
        .collect();
    conversations.sort_by_key(Value::to_string);
    Effects {
        received: [received("line").await, received("main-line").await],
        conversations,
        read: server.count("line", "read").await,
        failed: server.get("/api/failed-webhooks").await,
    }
}

/// Waits until no webhook is under way, at the providers or here.
async fn quiet(server: &Server, providers: &Providers) {
    until("all webhooks are through", || async {
        let posts = [providers.cloud.stats().webhooks, providers.evolution.stats().webhooks];
        let stats = server.get("/api/queue-monitor/stats").await;
        let webhook = &stats["webhook"];
        let here = ["waiting", "active", "delayed"].iter().any(|name| webhook[*name] != 0);
        let there = posts.iter().any(|posts| posts.waiting + posts.in_flight > 0);
        if here || there { Err(format!("{posts:?}; {webhook}")) } else { Ok(()) }
    })
    .await;
    // What was read is in the records when a message that was sent after it is.
    let last = server.send("line", "+34699000001", "Hola").await;
    server.until_status(&last, "read").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_that_was_answered_is_lost_and_each_has_one_effect() {
    let (webhooks, kills) = (size("WEBHOOKS", 700), size("KILLS", 3));
    let rate = size("RATE", 1_000);
    let mut dice = Dice(seed());
    let statuses = Statuses { repeat: 0.2, shuffle: true, ..Statuses::default() };
    let cloud = simulator(Config { statuses, ..quick() }).await;
    let token = vec![("jwt_key".to_owned(), "webhook-secret-1".to_owned())];
    let config = evolution::Config { webhook_headers: token, ..evolution::Config::default() };
    let evolution = evolution::start(config, std::sync::Arc::new(crate::harness::SystemClock));
    let providers = Providers { cloud, evolution: evolution.await.expect("a simulator") };
    let mut server = Server::start().await;
    server.channel("line", &providers.cloud, json!({ "profile": "unlimited" })).await;
    channel(&server, &providers.evolution).await;

    let sends = webhooks / 10;
    let rows: Vec<_> = (0..sends)
        .map(|n| json!({ "channel": "line", "to": format!("+34622{n:06}"), "type": "text", "content": { "text": "Hola" } }))
        .collect();
    for rows in rows.chunks(500) {
        let (status, answer) = server.post("/api/messages/bulk", json!(rows)).await;
        assert_eq!(status, 200, "{answer}");
    }
    let of =
        |n: usize| if n % (CLOUD + EVOLUTION) < CLOUD { Written::Cloud(n) } else { Written::Evolution(n) };
    let mut written: Vec<Written> = (0..webhooks * (CLOUD + EVOLUTION) / 10).map(of).collect();
    let ours = written.iter().filter(|one| matches!(one, Written::Cloud(_))).count();
    let mut kill_at: Vec<usize> = (0..kills).map(|_| dice.below(written.len() as u64) as usize).collect();
    kill_at.sort_unstable();
    let begun = instant();
    for (n, one) in written.iter().enumerate() {
        // At the rate, however long what is in between takes: an open loop.
        let due = Duration::from_secs_f64(n as f64 / rate as f64);
        if let Some(early) = due.checked_sub(begun.elapsed()) {
            tokio::time::sleep(early).await;
        }
        providers.post(*one);
        for _ in kill_at.iter().filter(|at| **at == n) {
            server.kill();
            server.spawn();
        }
    }
    server.ready().await;
    // What was started and never sent is for a person to say; they say: again.
    let settled = never_taken(&server, "line", &providers.cloud).await;
    try_again(&server, &settled).await;
    quiet(&server, &providers).await;
    let after_kills = until("every report is in", || async {
        let found = effects(&server).await;
        let uncertain = server.queue("line").await["uncertain"].clone();
        if found.read > sends {
            Ok(found)
        } else {
            Err(format!("{} are read, {uncertain} are uncertain", found.read))
        }
    })
    .await;
    let [cloud, evolution] = &after_kills.received;
    assert_eq!((cloud.len(), evolution.len()), (ours, written.len() - ours), "each arrived once");
    let unread: u64 = after_kills.conversations.iter().map(|one| one[1].as_u64().expect("a number")).sum();
    assert_eq!(unread, written.len() as u64, "each is unread once");
    assert_eq!(after_kills.failed["items"], json!([]));

    for _ in 0..5 {
        for n in (1..written.len()).rev() {
            written.swap(n, dice.below(n as u64 + 1) as usize);
        }
        written.iter().for_each(|one| providers.post(*one));
    }
    quiet(&server, &providers).await;
    let mut again = effects(&server).await;
    // The message that told that all is through.
    again.read -= 1;
    assert_eq!(again, after_kills, "all of it again changes nothing");
    assert!(server.terminate().await.success());
    let checked = server.output(&["store", "check"]).await;
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    eprintln!(
        "{} webhooks at {rate}/s, {kills} kills: 0 lost, 0 twice; again 5 times, shuffled: nothing changed",
        providers.answered()
    );
}
