//! What is past its retention is forgotten, some rows at a time, by one node at a time; what is told of that time later
//! is no drift.

use std::time::Duration;

use palomar_model::MessageId;
use palomar_model::analytics::{Dimension, Metric, Series, Tier};
use palomar_records::{AnalyticsQuery, Counts, Records, TrackedEvent, What};

use crate::facts::{LOG, START, at, log, sent};
use crate::house::{House, on_both, sound};

on_both!(
    old_minutes_are_forgotten,
    what_is_told_of_forgotten_minutes_is_no_drift,
    series_that_nothing_speaks_of_go,
    any_number_is_forgotten,
    one_node_forgets_at_a_time,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn all(records: &Records, query: AnalyticsQuery, tier: Tier) -> Counts {
    let edges = vec![START, START.after(DAY)];
    let counted = records.analytics_counts(query, tier, edges).await.expect("counted");
    let mut sum = Counts::default();
    counted.into_values().flatten().for_each(|counts| sum.merge(&counts));
    sum
}

async fn applied(records: &Records, facts: Vec<(Option<MessageId>, What)>) {
    let through = facts.len() as u64;
    records.apply(LOG, 0, log(1, facts), through, START).await.expect("applied");
}

/// Something that a message of others did.
pub(crate) fn told(id: &str, channel: &str) -> TrackedEvent {
    TrackedEvent {
        id: id.to_owned(),
        at: at(7),
        metric: Metric::Sent,
        series: Series::full([channel, "", "", "text", "ES", ""]),
        reason: None,
        took: None,
    }
}

async fn old_minutes_are_forgotten(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    let later = START.after(DAY * 3);
    assert!(records.analytics_forget("a", DAY * 2, DAY * 400, later).await.expect("forgotten") > Some(0));
    assert_eq!(all(&records, AnalyticsQuery::default(), Tier::Minute).await.of(Metric::Sent), 0);
    assert_eq!(all(&records, AnalyticsQuery::default(), Tier::Quarter).await.of(Metric::Sent), 1);
    sound(&records).await;
    assert!(records.analytics_forget("a", DAY, DAY * 2, later).await.expect("forgotten") > Some(0));
    assert_eq!(all(&records, AnalyticsQuery::default(), Tier::Quarter).await.of(Metric::Sent), 0);
    assert_eq!(records.analytics_forget("a", DAY, DAY * 2, later).await.expect("forgotten"), Some(0));
}

async fn what_is_told_of_forgotten_minutes_is_no_drift(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    let later = START.after(DAY * 3);
    records.analytics_forget("a", DAY * 2, DAY * 400, later).await.expect("forgotten");
    records.track(vec![told("late", "demo")], later).await.expect("counted");
    assert_eq!(all(&records, AnalyticsQuery::default(), Tier::Quarter).await.of(Metric::Sent), 2);
    assert_eq!(all(&records, AnalyticsQuery::default(), Tier::Minute).await.of(Metric::Sent), 0);
    sound(&records).await;
}

async fn series_that_nothing_speaks_of_go(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    records.track(vec![told("a", "crm"), told("b", "demo")], at(8)).await.expect("counted");
    let later = START.after(DAY * 3);
    records.analytics_forget("a", DAY, DAY * 2, later).await.expect("forgotten");
    assert_eq!(house.count("analytics_series WHERE channel = 'crm'").await, 0);
    // Those that messages are in stay, with their sums: what happens to the messages later is counted in them.
    assert!(house.count("analytics_series WHERE channel = 'demo'").await >= 3);
    records.track(vec![told("c", "crm")], later).await.expect("counted");
    let crm =
        AnalyticsQuery { only: vec![(Dimension::Channel, "crm".to_owned())], ..AnalyticsQuery::default() };
    assert_eq!(all(&records, crm, Tier::Quarter).await.of(Metric::Sent), 1, "it comes back");
}

async fn any_number_is_forgotten(house: House) {
    let records = house.open().await;
    house
        .tamper(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9000)
             INSERT INTO analytics_talks (day, channel, contact_id, received, sent, early, late)
             SELECT x % 3, 'demo', 'c' || x, 1, 0, 1, 0 FROM n",
        )
        .await;
    let forgotten = records.analytics_forget("a", DAY, DAY * 2, START).await.expect("forgotten");
    assert_eq!(forgotten, Some(9_000));
    assert_eq!(house.count("analytics_talks").await, 0);
}

async fn one_node_forgets_at_a_time(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    let later = START.after(DAY * 3);
    house.tamper("INSERT INTO followers (projection, node, until) VALUES ('analytics_forget', 'b', 9000000000000000)").await;
    assert_eq!(records.analytics_forget("a", DAY, DAY * 2, later).await.expect("asked"), None);
    assert!(records.analytics_forget("b", DAY, DAY * 2, later).await.expect("forgotten") > Some(0));
    assert!(records.analytics_forget("a", DAY, DAY * 2, later).await.expect("forgotten").is_some());
}
