//! How fast a campaign goes, as it is shown before anybody is read and as it is held while it runs.

use palomar_app::ContactChange;
use palomar_model::Recipient;
use serde_json::json;

use super::{caller, create};
use crate::house::House;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_spread_is_foreseen_over_those_who_are_not_read_yet() {
    let dir = tempfile::tempdir().expect("a directory");
    let house = House::with_demo(dir.path()).await;
    for n in 0..4 {
        let to = Recipient::parse(&format!("+3460000007{n}"), None).expect("a number");
        house.app.put_contact(to, ContactChange::default()).await.expect("kept");
    }
    let body =
        json!({"name": "Verano", "message": "Hola", "audience": {"all": true}, "spreadSeconds": 4_000});
    let id = create(&house, body).await;
    let now = house.app.now();
    let shown = house.app.preview_campaign(&id, Vec::new(), 10, &caller()).await.expect("a preview");
    let due: Vec<_> =
        shown.iter().map(|one| one.scheduled_at.map_or(0, |at| at.since(now).as_secs() / 1_000)).collect();
    assert_eq!(due, [0, 1, 2, 3], "evenly, one after the other");
    let dry = house.app.dry_run_campaign(&id, 10, &caller()).await.expect("a dry run");
    let due: Vec<_> = dry.recipients.iter().map(|one| one.scheduled_at).collect();
    assert!(due.is_sorted() && due.iter().flatten().collect::<std::collections::BTreeSet<_>>().len() == 3);
    let seconds = dry.estimated_time / 1_000;
    assert!((2_900..3_100).contains(&seconds), "{seconds} s");
    house.close().await;
}
