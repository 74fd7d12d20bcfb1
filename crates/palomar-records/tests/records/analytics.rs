//! Analytics: what is counted is what the messages did, in whatever batches it came, and every number can be counted again.

use std::time::Duration;

use palomar_model::analytics::{Dimension, FailureReason, Histogram, Metric, Series, Stage, Tier};
use palomar_model::{ErrorClass, MessageId, ReportedStatus, SendFailure};
use palomar_records::{AnalyticsQuery, Counts, Records, RecordsError, TrackedEvent, What};

use crate::facts::{LOG, START, at, id, log, outbound, provider_id, report, sent, written};
use crate::forgetting::told;
use crate::house::{House, on_both, sound};

on_both!(
    messages_are_counted_at_their_time,
    a_status_counts_once,
    answers_are_measured,
    a_wrong_count_is_named,
    events_of_others_count_once,
    who_tells_at_once_is_counted_once,
    who_is_told_of_with_what_is_damaged_is_counted,
    groups_with_most_are_drawn,
);

const DAY: Duration = Duration::from_secs(86_400);

async fn all(records: &Records, query: AnalyticsQuery, tier: Tier) -> Counts {
    let edges = vec![START, START.after(DAY)];
    let counted = records.analytics_counts(query, tier, edges).await.expect("counted");
    let mut sum = Counts::default();
    counted.into_values().flatten().for_each(|counts| sum.merge(&counts));
    sum
}

fn only(dimension: Dimension, part: &str) -> AnalyticsQuery {
    AnalyticsQuery { only: vec![(dimension, part.to_owned())], ..AnalyticsQuery::default() }
}

async fn applied(records: &Records, facts: Vec<(Option<MessageId>, What)>) {
    let through = facts.len() as u64;
    records.apply(LOG, 0, log(1, facts), through, START).await.expect("applied");
}

async fn messages_are_counted_at_their_time(house: House) {
    let records = house.open().await;
    let mut facts = sent(1);
    facts.extend(sent(2));
    facts.push((None, report(1, ReportedStatus::Delivered, true)));
    facts.push((None, report(1, ReportedStatus::Read, true)));
    facts.push((None, report(2, ReportedStatus::Read, true)));
    applied(&records, facts).await;
    for (query, tier) in [
        (AnalyticsQuery::default(), Tier::Quarter),
        (AnalyticsQuery::default(), Tier::Minute),
        (only(Dimension::Channel, "demo"), Tier::Quarter),
        (only(Dimension::Country, "ES"), Tier::Quarter),
    ] {
        let counts = all(&records, query.clone(), tier).await;
        let counted = [Metric::Accepted, Metric::Sent, Metric::Delivered, Metric::Read, Metric::Attempts]
            .map(|metric| counts.of(metric));
        assert_eq!(counted, [2, 2, 2, 2, 2], "{query:?}");
    }
    let campaign = all(&records, only(Dimension::Campaign, "verano"), Tier::Quarter).await;
    assert_eq!(campaign.of(Metric::Sent), 1);
    let times = async |stage| {
        let edges = vec![START, START.after(DAY)];
        let query = AnalyticsQuery::default();
        let grouped = records.analytics_times(query, stage, edges).await.expect("timed");
        let histogram = grouped.into_values().flatten().next().unwrap_or_default();
        histogram.range().map(|(least, most)| (histogram.count(), least.as_secs(), most.as_secs()))
    };
    assert_eq!(times(Stage::QueueWait).await, Some((2, 1, 1)));
    assert_eq!(times(Stage::ProviderLatency).await, Some((2, 1, 1)));
    assert_eq!(times(Stage::AcceptedToSent).await, Some((2, 2, 2)));
    // Of the second message nobody knows when it was delivered: it was read.
    assert_eq!(times(Stage::SentToDelivered).await, Some((1, 6, 6)));
    assert_eq!(times(Stage::DeliveredToRead).await, Some((1, 1, 1)));
    // Cut where minutes begin: each fact is in its own.
    let edges: Vec<_> = (0..4).map(|minute| at(minute * 60)).collect();
    let by_minute = records.analytics_counts(AnalyticsQuery::default(), Tier::Minute, edges).await;
    let by_minute = by_minute.expect("counted").into_values().next().expect("one group");
    assert_eq!(by_minute.iter().map(|counts| counts.of(Metric::Sent)).collect::<Vec<_>>(), [2, 0, 0]);
    sound(&records).await;
}

async fn a_status_counts_once(house: House) {
    let records = house.open().await;
    let failure = SendFailure::new(ErrorClass::Transient, "later").with_code("131016");
    let mut facts = vec![(None, report(3, ReportedStatus::Delivered, false))];
    facts.extend(sent(3));
    for _ in 0..3 {
        facts.push((None, report(3, ReportedStatus::Delivered, false)));
    }
    facts.push((Some(id(4)), What::Accepted { message: Box::new(outbound(4)), scheduled: false }));
    facts.push((Some(id(4)), What::Started { attempt: 1 }));
    facts.push((Some(id(4)), What::AttemptFailed { attempt: 1, failure }));
    facts.push((Some(id(4)), What::Dead { reason: "attempts_exhausted".to_owned() }));
    applied(&records, facts).await;
    let counts = all(&records, AnalyticsQuery::default(), Tier::Quarter).await;
    let counted = [Metric::Sent, Metric::Delivered, Metric::Failed, Metric::AttemptsFailed];
    assert_eq!(counted.map(|metric| counts.of(metric)), [1, 1, 1, 1]);
    let reasons = records.failure_reasons().await.expect("read");
    let why: Vec<_> = counts.reasons().map(|(code, count)| (reasons[&code].clone(), count)).collect();
    assert_eq!(why, [(FailureReason::new("attempts_exhausted", Some("131016")), 1)]);
    sound(&records).await;
}

async fn answers_are_measured(house: House) {
    let records = house.open().await;
    let answer = |n: u128, campaign: bool| {
        let mut message = outbound(n);
        message.to = palomar_model::Recipient::parse("+34600111222", None).expect("a number");
        message.campaign_id = campaign.then(|| "verano".to_owned());
        (Some(id(n)), What::Accepted { message: Box::new(message), scheduled: false })
    };
    let left = |n: u128| (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None });
    let facts = vec![
        (None, written(101)),
        (None, written(102)),
        // What a campaign sends answers nobody.
        answer(1, true),
        left(1),
        answer(2, false),
        left(2),
        answer(3, false),
        left(3),
        (None, written(103)),
        answer(4, false),
    ];
    let through = facts.len() as u64;
    applied(&records, facts).await;
    let counted = async || {
        let counts = all(&records, AnalyticsQuery::default(), Tier::Quarter).await;
        [Metric::ConversationsNew, Metric::ConversationsAsked, Metric::ConversationsAnswered]
            .map(|metric| counts.of(metric))
    };
    assert_eq!(counted().await, [1, 2, 1], "what was accepted has not left");
    let later = log(through + 1, vec![left(4), left(4)]);
    records.apply(LOG, through, later, through + 2, START).await.expect("applied");
    assert_eq!(counted().await, [1, 2, 2]);
    let edges = vec![START, START.after(DAY)];
    for (stage, expected) in [(Stage::FirstResponse, (1, 5, 5)), (Stage::Response, (2, 2, 5))] {
        let grouped = records.analytics_times(AnalyticsQuery::default(), stage, edges.clone()).await;
        let histogram = grouped.expect("timed").into_values().flatten().next().expect("some");
        let (least, most) = histogram.range().expect("some");
        assert_eq!((histogram.count(), least.as_secs(), most.as_secs()), expected, "{stage}");
    }
    let range = (START, START.after(Duration::from_secs(900)));
    assert_eq!(records.active_conversations(range, None).await.expect("counted"), 1);
    let later = (START.after(Duration::from_secs(900)), START.after(DAY));
    assert_eq!(records.active_conversations(later, None).await.expect("counted"), 0);
    let top = records.top_conversations(range, Some("demo".to_owned()), 5).await.expect("read");
    assert_eq!(top.iter().map(|talk| (talk.received, talk.sent)).collect::<Vec<_>>(), [(3, 4)]);
    sound(&records).await;
}

async fn a_wrong_count_is_named(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    sound(&records).await;
    // The first quarter of an hour with 1 accepted, 2 sent (1 is right) and 1 attempt.
    let wrong = match house.address {
        None => "x'0003000101020a01'",
        Some(_) => "'\\x0003000101020a01'::bytea",
    };
    let channel = "SELECT id FROM analytics_series WHERE depth = 1 AND channel = 'demo'";
    house
        .tamper(&format!(
            "UPDATE analytics_counts SET counts = {wrong} WHERE tier = 1 AND series IN ({channel})"
        ))
        .await;
    let problems = records.check().await.expect("checked").problems;
    assert!(
        problems
            .iter()
            .any(|line| line == "sent of channel demo at 2026-01-01T00:00:00Z is 2, the journal has 1"),
        "{problems:?}"
    );
    house.tamper("DELETE FROM analytics_times WHERE stage = 2 AND tier = 2").await;
    let problems = records.check().await.expect("checked").problems;
    assert!(problems.iter().any(|line| line.starts_with("accepted_to_sent of")), "{problems:?}");
}

async fn events_of_others_count_once(house: House) {
    let records = house.open().await;
    applied(&records, sent(1)).await;
    let event = |id: &str, metric: Metric| TrackedEvent {
        id: id.to_owned(),
        at: at(7),
        metric,
        series: Series::full(["crm", "", "", "text", "ES", ""]),
        reason: (metric == Metric::Failed).then(|| FailureReason::new("told", Some("42"))),
        took: None,
    };
    let told = vec![event("a", Metric::Sent), event("b", Metric::Failed), event("a", Metric::Sent)];
    assert_eq!(records.track(told.clone(), at(8)).await.expect("counted"), [true, true, false]);
    assert_eq!(records.track(told, at(9)).await.expect("counted"), [false, false, false]);
    let counts = all(&records, AnalyticsQuery::default(), Tier::Quarter).await;
    assert_eq!([Metric::Sent, Metric::Failed].map(|metric| counts.of(metric)), [2, 1]);
    assert_eq!(all(&records, only(Dimension::Channel, "crm"), Tier::Minute).await.of(Metric::Sent), 1);
    sound(&records).await;
}

async fn who_tells_at_once_is_counted_once(house: House) {
    let nodes = [house.open().await, house.open().await];
    let mut tellers = tokio::task::JoinSet::new();
    for n in 0..300 {
        let records = nodes[n % 2].clone();
        // Each of three callers has an event of its own, and one that the others tell too.
        let events = vec![told(&format!("own {n}"), "crm"), told(&format!("shared {}", n / 3), "crm")];
        tellers.spawn(async move { records.track(events, at(8)).await.expect("counted") });
    }
    let answers = tellers.join_all().await;
    assert!(answers.iter().all(|new| new.len() == 2 && new[0]), "{answers:?}");
    assert_eq!(answers.iter().filter(|new| new[1]).count(), 100);
    let counted = all(&nodes[0], AnalyticsQuery::default(), Tier::Quarter).await;
    assert_eq!(counted.of(Metric::Sent), 400);
    sound(&nodes[1]).await;
}

async fn who_is_told_of_with_what_is_damaged_is_counted(house: House) {
    let records = house.open().await;
    records.track(vec![told("1", "crm")], at(8)).await.expect("counted");
    let bytes = if house.address.is_some() { "'\\x80'" } else { "x'80'" };
    let of_crm = "series IN (SELECT id FROM analytics_series WHERE channel = 'crm')";
    house.tamper(&format!("UPDATE analytics_counts SET counts = {bytes} WHERE {of_crm}")).await;
    // They wait together: nothing is written before all have told.
    let tell = async |channel, id| records.track(vec![told(id, channel)], at(8)).await;
    let (shop, crm, other) = tokio::join!(tell("shop", "2"), tell("crm", "3"), tell("shop", "4"));
    assert!(matches!(crm, Err(RecordsError::Damaged { .. })), "{crm:?}");
    assert_eq!((shop.expect("counted"), other.expect("counted")), (vec![true], vec![true]));
    assert_eq!(house.count("analytics_tracked WHERE id = '3'").await, 0);
}

async fn groups_with_most_are_drawn(house: House) {
    let records = house.open().await;
    let event = |campaign: u64, n: u64| TrackedEvent {
        id: format!("{campaign}-{n}"),
        at: at(n * 900),
        metric: Metric::Sent,
        series: Series::full(["crm", &format!("c{campaign}"), "", "text", "ES", ""]),
        reason: None,
        took: Some((Stage::ProviderLatency, Duration::from_secs(n + 1))),
    };
    let told = (0..70).flat_map(|campaign| (0..campaign).map(move |n| event(campaign, n % 4)));
    let told: Vec<_> = told.zip(0..).map(|(event, n)| TrackedEvent { id: n.to_string(), ..event }).collect();
    records.track(told, at(8)).await.expect("counted");
    let query = AnalyticsQuery { by: Some(Dimension::Campaign), ..AnalyticsQuery::default() };
    let edges: Vec<_> = (0..=4).map(|n| at(n * 900)).collect();
    let counts = records.drawn_counts(query.clone(), (Metric::Sent, Tier::Quarter), edges.clone(), 3).await;
    let expected =
        |groups: [(&str, [u64; 4]); 3]| groups.map(|(group, points)| (group.to_owned(), points.to_vec()));
    let largest = expected([("c69", [18, 17, 17, 17]), ("c68", [17; 4]), ("c67", [17, 17, 17, 16])]);
    assert_eq!(counts.expect("drawn"), largest);
    let times = records.drawn_times(query, Stage::ProviderLatency, edges, 3, Histogram::count).await;
    assert_eq!(times.expect("drawn"), largest);
}
