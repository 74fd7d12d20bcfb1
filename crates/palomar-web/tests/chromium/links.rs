//! A phone is linked: the code, its next ones, the login that stays, and what ends it.

use palomar_sim::web::{Behaviour, Language};
use palomar_web::{Command, Status};

use crate::house::{ACCOUNT, House, processes};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_code_is_shown_scanned_and_not_asked_for_again() {
    let mut house = House::new(Behaviour { qr_ms: 700, qr_refreshes: 2, ..Behaviour::default() }).await;
    house.session.order(Command::Open).await;
    let first = house.until(|view| view.qr.is_some()).await.qr.expect("a code").code;
    // The page shows another, stops after some, and is asked for more.
    let next = house.until(|view| view.qr.as_ref().is_some_and(|qr| qr.code != first)).await;
    assert_eq!((next.status, next.reason), (Status::Disconnected, "scan_qr"));
    assert!(!house.page.simulator().scan(Some(&first), ACCOUNT), "an old code works");
    house.until_reason("qr_expired").await;
    let again = house.until(|view| view.qr.is_some()).await.qr.expect("a code").code;
    let shown = format!("{:?}", house.session.view());
    assert!(!shown.contains(&again), "a code is told in logs");
    let scanned = house.page.simulator().scan(None, ACCOUNT);
    assert!(scanned, "no code is shown");
    let ready = house.until_status(Status::Available).await;
    assert!(ready.qr.is_none() && ready.pid.is_some());
    house.session.order(Command::Close).await;
    assert_eq!(house.session.view().status, Status::Closed);
    assert_eq!(processes(&house.profile()), Vec::<i32>::new());
    // Another process of ours goes on with the same login.
    house.reopen();
    house.session.order(Command::Open).await;
    let ready = house.until(|view| view.status == Status::Available || view.qr.is_some()).await;
    assert!(ready.qr.is_none(), "the login is lost");
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logouts_conflicts_and_phones_that_are_away_are_seen() {
    let house = House::ready(Behaviour { language: Language::Es, ..Behaviour::default() }).await;
    let simulator = house.page.simulator();
    simulator.set_behaviour(Behaviour { offline: true, ..simulator.behaviour() });
    house.until_reason("offline").await;
    simulator.set_behaviour(Behaviour { offline: false, ..simulator.behaviour() });
    house.until_status(Status::Available).await;
    simulator.happen(None, "conflict", None);
    house.until_reason("conflict").await;
    house.session.order(Command::Restart).await;
    house.until_status(Status::Available).await;
    simulator.happen(None, "logout", None);
    let out = house.until_reason("logged_out").await;
    assert!(out.detail.is_some_and(|detail| detail.contains("scan")));
    let code = house.until(|view| view.qr.is_some()).await.qr.expect("a code").code;
    assert!(simulator.scan(Some(&code), ACCOUNT));
    house.until_status(Status::Available).await;
    house.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_that_refuses_the_browser_is_an_error_with_a_picture() {
    let house = House::new(Behaviour { unsupported: true, ..Behaviour::default() }).await;
    house.session.order(Command::Open).await;
    let view = house.until_status(Status::Error).await;
    assert_eq!(view.reason, "refused");
    let kept = std::fs::read_dir(house.dir.path().join("line/snapshots")).expect("snapshots");
    let mut names: Vec<String> =
        kept.map(|entry| entry.expect("an entry").file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    assert!(names.len() == 2 && names[0].ends_with(".png") && names[1].ends_with(".txt"), "{names:?}");
    assert_eq!(processes(&house.profile()), Vec::<i32>::new());
    house.end().await;
}
