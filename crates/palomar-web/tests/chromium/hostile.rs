//! A page that means no good: it goes nowhere, gets nothing onto the disk, and takes no more memory than it may.

use palomar_sim::web::Behaviour;
use palomar_web::{PoolConfig, Status};

use crate::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_goes_nowhere_and_gets_nothing() {
    let house = House::ready(Behaviour::default()).await;
    let simulator = house.page.simulator();
    let pid = house.session.view().pid;
    let elsewhere = palomar_sim::web::start(
        Behaviour::default(),
        2,
        std::sync::Arc::new(palomar_model::ManualClock::at(palomar_model::Timestamp::EPOCH)),
    )
    .await
    .expect("another page");
    let files = "file:///etc/passwd";
    for (what, to) in [
        ("navigate", Some(elsewhere.url())),
        ("navigate", Some(files.to_owned())),
        ("open_window", Some(elsewhere.url())),
        ("open_window", Some(files.to_owned())),
        ("download", None),
        ("ask", None),
    ] {
        simulator.happen(None, what, to.as_deref());
    }
    // It still is the page, in the same browser, and works.
    house.send("+34600111222", "sigo aquí", 1).await.expect("sent");
    assert_eq!((house.session.view().status == Status::Closed, house.session.view().pid), (false, pid));
    let mut found = Vec::new();
    let mut dirs = vec![house.dir.path().to_owned()];
    while let Some(dir) = dirs.pop() {
        for entry in std::fs::read_dir(dir).expect("a directory").flatten() {
            if entry.path().is_dir() {
                dirs.push(entry.path());
            } else if entry.file_name().to_string_lossy().starts_with("x.bin") {
                found.push(entry.path());
            }
        }
    }
    assert!(found.is_empty(), "{found:?}");
    elsewhere.stop().await.expect("ended");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_eats_memory_is_started_anew() {
    let small = |config: PoolConfig| {
        let browser = palomar_web::BrowserConfig { memory: 700 << 20, ..config.browser };
        PoolConfig { browser, ..config }
    };
    let house = House::with(Behaviour::default(), small).await;
    house.link().await;
    let old = house.session.view().pid;
    house.page.simulator().happen(None, "eat_memory", None);
    let view = house.until(|view| view.status == Status::Available && view.pid != old).await;
    assert_eq!(view.restarts, 1);
    house.end().await;
}
