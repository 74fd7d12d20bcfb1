//! Crashes, hangs and kills: the session comes back by itself, its login stays, and no process is left.

use std::time::Duration;

use palomar_sim::web::Behaviour;
use palomar_web::{Command, Status};
use rustix::process::{Pid, Signal, kill_process};

use crate::house::{House, eventually, processes};

fn kill(pid: i32) {
    kill_process(Pid::from_raw(pid).expect("an id"), Signal::KILL).expect("killed");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_browser_comes_back_with_its_login() {
    let house = House::ready(Behaviour::default()).await;
    house.send("+34600111222", "antes", 1).await.expect("sent");
    let old = house.session.view().pid.expect("a process");
    kill(old);
    let back =
        house.until(|view| view.status == Status::Available && view.pid.is_some_and(|pid| pid != old)).await;
    assert_eq!((back.restarts, back.qr), (1, None));
    house.send("+34600111222", "después", 2).await.expect("sent");
    // A page's own process too.
    let browser = house.session.view().pid.expect("a process");
    let pages = eventually(|| Some(renderers(&house)).filter(|pages| !pages.is_empty())).await;
    for page in pages {
        kill(page);
    }
    house.until(|view| view.status == Status::Available && view.pid.is_some_and(|pid| pid != browser)).await;
    assert_eq!(house.page.simulator().duplicates(), []);
    house.end().await;
}

/// The processes in which pages run; one may be spare.
fn renderers(house: &House) -> Vec<i32> {
    let Some(group) = house.session.view().pid else { return Vec::new() };
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let rest = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let of_group = rest.split_whitespace().nth(2) == Some(group.to_string().as_str());
        of_group && line.contains("--type=renderer") && !line.contains("--extension-process")
    })
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_hangs_is_ended() {
    let house = House::ready(Behaviour::default()).await;
    let old = house.session.view().pid;
    house.page.simulator().happen(None, "hang", None);
    let view = house.until(|view| view.status == Status::Available && view.pid != old).await;
    assert_eq!(view.restarts, 1);
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_killed_program_left_is_ended_by_the_next_one() {
    let mut house = House::ready(Behaviour::default()).await;
    // The file of a program that was killed: the browser is written down, and its lock is there.
    let written = std::fs::read(house.dir.path().join("line/browser.json")).expect("it is written down");
    assert!(!written.is_empty());
    let old = house.session.view().pid.expect("a process");
    assert!(std::fs::symlink_metadata(house.profile().join("SingletonLock")).is_ok());
    house.reopen();
    eventually(|| (!processes(&house.profile()).contains(&old)).then_some(())).await;
    house.session.order(Command::Open).await;
    let ready = house.until(|view| view.status == Status::Available || view.qr.is_some()).await;
    assert!(ready.qr.is_none(), "the login is lost");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_session_that_is_dropped_leaves_no_browser() {
    let house = House::ready(Behaviour::default()).await;
    let (profile, House { pool, session, page, dir, .. }) = (house.profile(), house);
    drop((session, pool));
    // Nobody can order anything any more: the keeper ends what it keeps.
    let gone = async { eventually(|| processes(&profile).is_empty().then_some(())).await };
    tokio::time::timeout(Duration::from_secs(30), gone).await.expect("a browser is left");
    page.stop().await.expect("ended");
    drop(dir);
}
