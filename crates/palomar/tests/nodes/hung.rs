//! Trial 31: stores that hang or are cut off hold up nobody for long, and everything goes on when they are back.

use std::net::SocketAddr;
use std::time::Duration;

use palomar_sim::proxy::{Faults, Proxy};
use serde_json::{Value, json};

use crate::callers::{never_taken, try_again};
use crate::harness::{Server, instant, quick, until};
use crate::installation::{Installation, Line, redis};
use crate::postgres::Postgres;
use crate::server::Server as Redis;

/// Within this anything is answered, whatever hangs: 20 s is how long a call to Redis is repeated, twice that where it
/// waits for the call before it.
const BOUND: Duration = Duration::from_secs(45);

/// Threads that work which blocks may add: fewer than there were requests.
const MORE_THREADS: usize = 16;

fn text(n: usize) -> Value {
    json!({ "channel": "line", "to": format!("+34600{n:06}"), "type": "text", "content": { "text": "Hola" } })
}

/// The threads of a process.
fn threads(server: &Server) -> usize {
    std::fs::read_dir(format!("/proc/{}/task", server.pid())).expect("it runs").count()
}

/// What many requests at once are answered: statuses, and the longest time that one took.
async fn asked(server: &Server, first: usize, count: usize) -> (Vec<u16>, Duration) {
    let begun = instant();
    let posts = (first..first + count).map(|n| server.try_post("/api/messages", text(n), None));
    let answers = futures_util::future::join_all(posts).await;
    let statuses = answers.into_iter().map(|answer| answer.expect("an answer").0).collect();
    (statuses, begun.elapsed())
}

/// Waits until everything that was accepted is read; how many that is. What was started in a call to Redis whose answer
/// never came was never sent: a person says so of it.
async fn all_read(all: &Installation, line: &Line) -> usize {
    let unsent = never_taken(&all.nodes[0], line.name, &line.sim).await;
    try_again(&all.nodes[0], &unsent).await;
    eprintln!("{} were started by nobody", unsent.len());
    until("all is read", || async {
        let statuses = all.statuses().await;
        let read = statuses.get("read").copied().unwrap_or(0) as usize;
        if statuses.len() == 1 && line.sim.accepted() == read {
            Ok(read)
        } else {
            Err(format!("{statuses:?}"))
        }
    })
    .await
}

async fn until_accepted(server: &Server, n: usize) -> Duration {
    let begun = instant();
    until("it accepts again", || async {
        let answer = server.try_post("/api/messages", text(n), Some(&format!("again-{n}"))).await;
        match answer {
            Ok((202, _)) => Ok(()),
            other => Err(format!("{other:?}")),
        }
    })
    .await;
    begun.elapsed()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_or_is_cut_off_is_told_in_time_and_comes_back() {
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let upstream = SocketAddr::from(([127, 0, 0, 1], server.port));
    let proxy = Proxy::start(upstream, 3).await.expect("a port");
    let all = Installation::start(2, redis(&[format!("redis://{}", proxy.address())])).await;
    let line = all.line("line", quick(), json!({ "profile": "unlimited" })).await;
    let node = &all.nodes[0];
    until_accepted(node, 0).await;
    let before = threads(node);

    server.signal("-STOP");
    let (statuses, took) = asked(node, 100, 20).await;
    assert!(took < BOUND, "it took {took:?}");
    eprintln!("Redis hangs: {} of {statuses:?} in {took:.1?}", statuses.len());
    server.signal("-CONT");
    let back = until_accepted(node, 1).await;
    eprintln!("it is back: accepted within {back:.1?}");

    // Slow is not away.
    proxy.set(Faults::delay("500ms".parse().expect("a time")));
    let (statuses, took) = asked(node, 200, 20).await;
    assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
    eprintln!("half a second each way: all accepted in {took:.1?}");
    proxy.set(Faults { half_open: 1.0, ..Faults::default() });
    proxy.half_open();
    let (statuses, took) = asked(node, 300, 20).await;
    assert!(took < BOUND, "it took {took:?}");
    eprintln!("half open: {} answers in {took:.1?}, the last {:?}", statuses.len(), statuses.last());
    proxy.set(Faults::default());
    until_accepted(node, 2).await;
    let read = all_read(&all, &line).await;
    assert!(line.sim.duplicates().is_empty(), "sent twice: {:?}", line.sim.duplicates());
    let now = threads(node);
    assert!(now <= before + MORE_THREADS, "{now} threads, {before} before");
    all.records_add_up().await;
    eprintln!("{read} messages: 0 twice; {} threads, {before} before", threads(node));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_postgresql_that_hangs_or_is_cut_off_keeps_nobody_from_being_accepted() {
    let server = Redis::with(&["--appendfsync", "always"]).await;
    let postgres = Postgres::start();
    let address = postgres.database().await;
    let upstream = SocketAddr::from(([127, 0, 0, 1], postgres.port()));
    let proxy = Proxy::start(upstream, 5).await.expect("a port");
    let through =
        address.replace(&format!(":{}/", postgres.port()), &format!(":{}/", proxy.address().port()));
    let all = Installation::at(2, through, redis(&[server.url()])).await;
    let line = all.line("line", quick(), json!({ "profile": "unlimited" })).await;
    let node = &all.nodes[1];
    until_accepted(node, 0).await;
    let before = threads(node);
    for hangs in [true, false] {
        if hangs {
            postgres.command("freeze");
        } else {
            proxy.set(Faults { half_open: 1.0, ..Faults::default() });
            proxy.half_open();
        }
        let (statuses, took) = asked(node, 100 + usize::from(hangs) * 100, 20).await;
        assert!(statuses.iter().all(|status| *status == 202), "{statuses:?}");
        assert!(took < BOUND, "it took {took:?}");
        let begun = instant();
        let (status, _) = node.try_get("/api/messages").await.expect("an answer");
        assert_eq!(status, 503);
        let listed = begun.elapsed();
        assert!(listed < BOUND, "it took {listed:?}");
        eprintln!("hangs: {hangs}; 20 accepted in {took:.1?}, a list refused in {listed:.1?}");
        if hangs {
            postgres.command("thaw");
        } else {
            proxy.set(Faults::default());
        }
        let begun = instant();
        until("lists are shown again", || async {
            match node.try_get("/api/messages").await {
                Ok((200, _)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        eprintln!("shown again within {:.1?}", begun.elapsed());
    }
    let read = all_read(&all, &line).await;
    assert!(line.sim.duplicates().is_empty(), "sent twice: {:?}", line.sim.duplicates());
    let now = threads(node);
    assert!(now <= before + MORE_THREADS, "{now} threads, {before} before");
    all.records_add_up().await;
    eprintln!("{read} messages: 0 twice");
}
