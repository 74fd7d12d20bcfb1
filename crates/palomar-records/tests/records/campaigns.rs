//! Campaigns: whom they go to stands fast, each batch is fed once, and counts are what the messages are.

use std::collections::BTreeMap;
use std::time::Duration;

use palomar_model::{CampaignPlace, CampaignState, MessageId, Outbound, ReportedStatus, Timestamp};
use palomar_records::{
    AudiencePlace, BatchState, CampaignBatch, CampaignChange, CampaignFilter, CampaignRecord,
    CampaignRequest, CreatedCampaign, DailyCap, FedBatch, NewRecipient, RecordFact, Records, RecordsError,
    SEND, What,
};
use serde_json::json;

use crate::facts::{LOG, START, at, channel, id, log, outbound, provider_id, report};
use crate::house::{House, exported, on_both, sound};

on_both!(
    nobody_stands_in_a_campaign_twice,
    a_batch_is_fed_once,
    counts_are_what_the_messages_are,
    lists_and_changes,
    a_request_makes_one_campaign,
    a_day_is_given_out_once,
    a_day_holds_whoever_gives_it_out,
    an_audience_is_read_once,
    a_run_is_made_once,
    a_follow_up_is_decided_once,
);

pub(crate) fn campaign(n: u64) -> CampaignRecord {
    CampaignRecord {
        id: format!("campaign_{n}"),
        number: 0,
        name: format!("Verano {n}"),
        channel: channel(),
        definition: json!({"message": "Hola {{name}}"}),
        state: CampaignState::Draft,
        live: false,
        recipients: 0,
        duplicates: 0,
        judged: palomar_records::Judged::default(),
        version: 0,
        created_at: at(n),
        updated_at: at(n),
        started_at: None,
        ended_at: None,
        held: Duration::ZERO,
    }
}

pub(crate) fn recipient(n: u64, zones: &str) -> NewRecipient {
    NewRecipient {
        recipient: format!("+34600{n:06}"),
        match_key: format!("34600{n:06}"),
        fields: serde_json::Map::from_iter([("name".to_owned(), format!("Persona {n}").into())]),
        zones: zones.to_owned(),
        left_out: n.is_multiple_of(10).then_some("invalid_number"),
    }
}

async fn nobody_stands_in_a_campaign_twice(house: House) {
    let records = house.open().await;
    let zones = |n: u64| if n.is_multiple_of(3) { "Europe/Madrid" } else { "America/Lima" };
    let first: Vec<_> = (1..=30).map(|n| recipient(n, zones(n))).collect();
    let made = create(&records, campaign(1), first).await;
    assert_eq!((made.recipients, made.duplicates, made.version), (30, 0, 1));
    let again: Vec<_> = (25..=40).chain(38..=40).map(|n| recipient(n, "America/Lima")).collect();
    let added = records.add_recipients(made.clone(), again, at(9)).await.expect("added");
    assert_eq!((added.added, added.left_out, added.duplicates), (10, 1, 9));
    let lanes = records.campaign_lanes(made.number).await.expect("read");
    let lanes: Vec<_> = lanes.iter().map(|lane| (lane.zones.as_str(), lane.recipients)).collect();
    assert_eq!(lanes, [("America/Lima", 30), ("Europe/Madrid", 10)]);
    // All of them, page by page, each once.
    let (mut seen, mut after) = (Vec::new(), None);
    loop {
        let page = records.campaign_recipients(made.number, after, 7).await.expect("read");
        let Some(last) = page.last() else { break };
        after = Some((last.lane, last.place));
        seen.extend(page);
    }
    let places: Vec<_> = seen.iter().map(|one| (one.lane, one.place)).collect();
    let expected: Vec<_> = (0..30).map(|n| (0, n)).chain((0..10).map(|n| (1, n))).collect();
    assert_eq!(places, expected);
    let different: std::collections::BTreeSet<_> = seen.iter().map(|one| &one.recipient).collect();
    assert_eq!(different.len(), 40);
    let found = records.campaign_progress("campaign_1").await.expect("read").expect("there");
    assert_eq!((found.campaign.recipients, found.campaign.duplicates), (40, 9));
    assert_eq!(found.counts.left_out, BTreeMap::from([("invalid_number".to_owned(), 4)]));

    let stale = found.campaign.clone();
    let others = vec![recipient(99, "UTC"), recipient(100, "UTC")];
    let cleared = records.replace_recipients(found.campaign, others.clone(), None, at(10)).await;
    let cleared = cleared.expect("replaced");
    let found = records.campaign_progress("campaign_1").await.expect("read").expect("there");
    assert_eq!((cleared.recipients, cleared.duplicates, found.counts.all_left_out()), (2, 0, 1));
    let places = records.campaign_recipients(cleared.number, None, 7).await.expect("read");
    assert_eq!(places.iter().map(|one| (one.lane, one.place)).collect::<Vec<_>>(), [(0, 0), (0, 1)]);
    let stale = records.replace_recipients(stale, others, None, at(10)).await;
    assert!(matches!(stale, Err(RecordsError::NotFound(_))), "it was changed since: {stale:?}");
    let started = CampaignRecord { state: CampaignState::Sending { since: at(10) }, ..cleared };
    let planned = CampaignChange { batches_of: Some(10), ..CampaignChange::default() };
    let started = change(&records, started, planned).await.expect("changed");
    let late = records.add_recipients(started, vec![recipient(1, "UTC")], at(11)).await;
    assert!(matches!(late, Err(RecordsError::NotFound(_))), "{late:?}");
}

pub(crate) async fn create(records: &Records, new: CampaignRecord, to: Vec<NewRecipient>) -> CampaignRecord {
    match records.create_campaign(new, to, None).await.expect("created") {
        CreatedCampaign::Now(made) => *made,
        other => panic!("{other:?}"),
    }
}

async fn a_request_makes_one_campaign(house: House) {
    let records = house.open().await;
    let request = |body| CampaignRequest { id: "k".to_owned(), body, forget_before: at(0) };
    let same = || request(u64::MAX - 3);
    assert_eq!(records.created_before(same()).await.expect("read"), None);
    let made = records.create_campaign(campaign(1), Vec::new(), Some(same())).await.expect("created");
    assert!(matches!(made, CreatedCampaign::Now(_)), "{made:?}");
    let before = CreatedCampaign::Before("campaign_1".to_owned());
    let again = records.create_campaign(campaign(2), Vec::new(), Some(same())).await.expect("created");
    assert_eq!(again, before);
    assert_eq!(records.created_before(same()).await.expect("read"), Some(before));
    let other = records.create_campaign(campaign(2), Vec::new(), Some(request(4))).await.expect("created");
    assert_eq!(other, CreatedCampaign::Other);
    let all = records.campaigns(CampaignFilter::default(), None, 9).await.expect("read").items;
    assert_eq!(all.len(), 1);
    // What is over is forgotten, with the next that comes.
    let late = CampaignRequest { forget_before: at(2), ..request(4) };
    let made = records.create_campaign(campaign(3), Vec::new(), Some(late)).await.expect("created");
    assert!(matches!(made, CreatedCampaign::Now(_)), "{made:?}");
    // One that could not make anything is as if it had never come.
    let new = CampaignRequest { id: "other".to_owned(), ..same() };
    let taken = records.create_campaign(campaign(3), Vec::new(), Some(new.clone())).await;
    assert!(matches!(taken, Err(RecordsError::Exists(_))), "{taken:?}");
    assert_eq!(records.created_before(new).await.expect("read"), None);
}

async fn a_day_is_given_out_once(house: House) {
    let records = house.open().await;
    let made = create(&records, campaign(1), (1..=9).map(|n| recipient(n, "UTC")).collect()).await;
    let (number, plan) = (made.number, CampaignChange { batches_of: Some(2), ..CampaignChange::default() });
    change(&records, made.clone(), plan).await.expect("changed");
    let queue = async |today| {
        let waiting = records.campaign_batches(number, BatchState::Waiting, None, 9).await.expect("read");
        let all = waiting.into_iter().map(|batch| (batch, 0)).collect();
        let cap = Some(DailyCap { today, cap: 5 });
        records.batches_queued(number, all, cap, at(9)).await.expect("written").len()
    };
    assert_eq!(queue(20_000).await, 0, "the day has not begun");
    let begin = async |today, midnight| {
        records.begin_campaign_day(&made, today, midnight, at(90)).await.expect("written")
    };
    assert_eq!(begin(20_000, at(0)).await.taken, 0);
    assert_eq!((queue(20_000).await, queue(20_000).await), (2, 0));
    // Of the four that were queued one goes before midnight and one after it, before the day is begun.
    let own = |n| Outbound { campaign_id: Some("campaign_1".to_owned()), ..placed(n, number) };
    let told = (1..=2).flat_map(|n| {
        let accepted = What::Accepted { message: Box::new(own(n)), scheduled: false };
        let rest = [
            What::Started { attempt: 1 },
            What::Sent { provider_id: provider_id(n), alias: None },
            What::Done,
        ];
        [accepted].into_iter().chain(rest).map(move |what| (Some(id(n)), what))
    });
    let facts = log(1, told.collect());
    records.apply(LOG, 0, facts, 8, START).await.expect("applied");
    let daily = begin(20_001, at(5)).await;
    assert_eq!((daily.day, daily.taken), (20_001, 3));
    let again = begin(20_001, at(0)).await;
    assert_eq!(again, daily, "a day begins once");
    assert_eq!(queue(20_001).await, 1);
    let daily = records.campaign_day(number).await.expect("read");
    assert_eq!((daily.day, daily.taken), (20_001, 5));
}

async fn an_audience_is_read_once(house: House) {
    let records = house.open().await;
    let made = create(&records, campaign(1), vec![recipient(1, "UTC")]).await;
    let begun = CampaignRecord { state: CampaignState::Sending { since: at(10) }, ..made };
    let begun = change(&records, begun, CampaignChange::default()).await.expect("changed");
    let begin = records.campaign_place(begun.number).await.expect("read");
    assert_eq!(begin, AudiencePlace::default());
    let page: Vec<_> = (1..=5).map(|n| recipient(n, "UTC")).collect();
    let next = AudiencePlace { source: 0, after: Some("5".to_owned()), read: 5 };
    let both = (begin, next.clone());
    let add = async |both| records.add_from_audience(begun.clone(), page.clone(), both, at(11)).await;
    assert!(add(both.clone()).await.expect("added"));
    // As by a keeper that lost its turn while it read, or one that begins anew.
    assert!(!add(both).await.expect("answered"), "somebody else has read on");
    let found = records.campaign("campaign_1").await.expect("read").expect("there");
    assert_eq!((found.recipients, found.duplicates), (5, 1), "the one who was given, and nobody else");
    // Another node goes on from there.
    assert_eq!(house.open().await.campaign_place(found.number).await.expect("read"), next);
    let plan = CampaignChange { batches_of: Some(10), ..CampaignChange::default() };
    let planned = change(&records, found, plan).await.expect("changed");
    let forgotten = records.campaign_place(planned.number).await.expect("read");
    assert_eq!(forgotten, AudiencePlace::default(), "nobody reads any more");
}

async fn a_day_holds_whoever_gives_it_out(house: House) {
    let records = house.open().await;
    let all = (1..=40).map(|n| NewRecipient { left_out: None, ..recipient(n, "UTC") }).collect();
    let made = create(&records, campaign(1), all).await;
    let (number, plan) = (made.number, CampaignChange { batches_of: Some(1), ..CampaignChange::default() });
    change(&records, made.clone(), plan).await.expect("changed");
    records.begin_campaign_day(&made, 20_000, at(0), at(9)).await.expect("written");
    let waiting = records.campaign_batches(number, BatchState::Waiting, None, 99).await.expect("read");
    let queue = |batches: &[CampaignBatch]| {
        let all = batches.iter().cloned().map(|batch| (batch, 0)).collect();
        let cap = Some(DailyCap { today: 20_000, cap: 20 });
        let records = records.clone();
        tokio::spawn(
            async move { records.batches_queued(number, all, cap, at(9)).await.expect("written").len() },
        )
    };
    // What somebody else queued already uses up nothing.
    assert_eq!(queue(&waiting[..5]).await.expect("queued"), 5);
    assert_eq!(queue(&waiting[..5]).await.expect("queued"), 0);
    assert_eq!(records.campaign_day(number).await.expect("read").taken, 5);
    // Many at once, each with batches of its own and of others.
    let many: Vec<_> = (5..36).map(|n| queue(&waiting[n..n + 4])).collect();
    let mut queued = 5;
    for one in many {
        queued += one.await.expect("queued") as u64;
    }
    let taken = records.campaign_day(number).await.expect("read").taken;
    let found = records.campaign_progress("campaign_1").await.expect("read").expect("there").batches;
    assert_eq!((queued, taken, found.queued), (20, 20, 20));
}

async fn change(records: &Records, to: CampaignRecord, change: CampaignChange) -> Option<CampaignRecord> {
    records.change_campaign(to, change, at(100)).await.expect("written")
}

async fn a_batch_is_fed_once(house: House) {
    let records = house.open().await;
    let all = (1..=25).map(|n| recipient(n, if n > 12 { "UTC" } else { "Europe/Madrid" })).collect();
    let made = create(&records, campaign(1), all).await;
    let plan = CampaignChange { batches_of: Some(10), ..CampaignChange::default() };
    let number = made.number;
    change(&records, made, plan).await.expect("changed");
    let waiting =
        async |lane| records.campaign_batches(number, BatchState::Waiting, lane, 9).await.expect("read");
    let all = waiting(None).await;
    let shape: Vec<_> = all.iter().map(|one| (one.number, one.lane, one.first, one.size)).collect();
    assert_eq!(shape, [(0, 0, 0, 10), (1, 0, 10, 2), (2, 1, 0, 10), (3, 1, 10, 3)]);
    assert_eq!(waiting(Some(1)).await, all[2..]);

    let both = vec![(all[0].clone(), 0), (all[2].clone(), 10)];
    let queued = records.batches_queued(number, both.clone(), None, at(50)).await.expect("written");
    assert_eq!(queued.len(), 2);
    assert_eq!(records.batches_queued(number, both, None, at(51)).await.expect("written"), Vec::new());
    let (_, batch, lane, recipients) =
        records.campaign_batch(number, 2).await.expect("read").expect("a batch");
    assert_eq!(
        (batch.place, batch.queued_at, lane.zones.as_str(), recipients.len()),
        (10, Some(at(50)), "UTC", 10)
    );
    let fed =
        FedBatch { accepted: 7, left_out: 3, newly_left_out: vec![(2, "suppressed"), (4, "suppressed")] };
    assert!(records.batch_fed(number, batch.clone(), fed.clone(), at(55)).await.expect("written"));
    assert!(!records.batch_fed(number, batch.clone(), fed, at(55)).await.expect("written"), "once");
    assert!(!records.batch_lost(number, batch).await.expect("written"), "what is fed is not lost");

    let first = all[0].clone();
    assert!(records.batch_lost(number, first.clone()).await.expect("written"));
    let late = FedBatch { accepted: 10, ..FedBatch::default() };
    assert!(
        !records.batch_fed(number, first.clone(), late, at(55)).await.expect("written"),
        "of another generation"
    );
    let again = waiting(Some(0)).await.remove(0);
    assert_eq!((again.number, again.generation), (0, 1));
    records.batches_queued(number, vec![(again.clone(), 20)], None, at(60)).await.expect("written");
    assert!(records.batch_failed(number, again, "no such channel".to_owned()).await.expect("written"));
    let found = records.campaign_progress("campaign_1").await.expect("read").expect("there");
    let totals = found.batches;
    assert_eq!((totals.waiting, totals.queued, totals.fed, totals.failed, totals.all()), (2, 0, 1, 1, 4));
    assert_eq!((totals.planned, totals.accepted, totals.left_out), (10, 7, 3));
    assert_eq!(found.counts.left_out["suppressed"], 2);
    let renew = CampaignChange { renew_batches: true, ..CampaignChange::default() };
    change(&records, found.campaign, renew).await.expect("changed");
    assert_eq!(waiting(Some(0)).await[0].generation, 2);
}

fn placed(n: u128, campaign: u64) -> Outbound {
    let variant = u32::try_from(n % 2).expect("small");
    Outbound { campaign_place: Some(CampaignPlace { campaign, step: 0, variant }), ..outbound(n) }
}

/// What happens to message `n`: each ends differently.
fn story(n: u128, campaign: u64) -> Vec<(Option<MessageId>, What)> {
    let own = Some(id(n));
    let mut told = vec![(
        own,
        What::Accepted { message: Box::new(placed(n, campaign)), scheduled: n.is_multiple_of(5) },
    )];
    let sent = [
        (own, What::Started { attempt: 1 }),
        (own, What::Sent { provider_id: provider_id(n), alias: None }),
        (own, What::Done),
    ];
    match n % 7 {
        0 => {}
        1 => told.push((own, What::Cancelled)),
        2 => {
            told.extend([(own, What::Started { attempt: 1 }), (own, What::Dead { reason: "no".to_owned() })]);
        }
        3 => told.extend([(own, What::Started { attempt: 1 }), (own, What::Uncertain)]),
        4 => told.extend(sent),
        5 => told.extend(sent.into_iter().chain([(None, report(n, ReportedStatus::Read, true))])),
        _ => told.extend(sent.into_iter().chain([(None, report(n, ReportedStatus::Failed, true))])),
    }
    told
}

async fn counts_are_what_the_messages_are(house: House) {
    let records = house.open().await;
    let all = (1..=140).map(|n| NewRecipient { left_out: None, ..recipient(n, "UTC") }).collect();
    let made = create(&records, campaign(1), all).await;
    let other = create(&records, campaign(2), Vec::new()).await;
    assert!(other.number > made.number);
    let mut told: Vec<_> = (1..=140).flat_map(|n| story(n, made.number)).collect();
    // One that only names a campaign is none of its messages.
    told.push((Some(id(900)), What::Accepted { message: Box::new(outbound(900)), scheduled: false }));
    let facts: Vec<RecordFact> = log(1, told);
    let last = facts.len() as u64;
    let mut stands = 0;
    for (round, part) in facts.chunks(37).enumerate() {
        let through = part.last().expect("some").cursor;
        // Every third part comes twice: a replay changes nothing.
        for _ in 0..if round % 3 == 0 { 2 } else { 1 } {
            records.apply(LOG, stands, part.to_vec(), through, START).await.expect("applied");
        }
        stands = through;
    }
    assert_eq!(stands, last);
    let counts = records.campaign_progress("campaign_1").await.expect("read").expect("there").counts;
    assert_eq!(counts.all_messages(), 140);
    let status = |word| counts.with(word);
    let found = ["cancelled", "failed", "uncertain", "sent", "read"].map(status);
    assert_eq!((found, status("queued") + status("scheduled")), ([20, 40, 20, 20, 20], 20));
    assert_eq!(
        counts.messages[&(0, 0, "failed".to_owned())] + counts.messages[&(0, 1, "failed".to_owned())],
        40
    );

    // A person's retry takes it back.
    let retried = log(last + 1, vec![(Some(id(2)), What::Retried)]);
    records.apply(LOG, last, retried, last + 1, START).await.expect("applied");
    let counts = records.campaign_progress("campaign_1").await.expect("read").expect("there").counts;
    assert_eq!((counts.with("failed"), counts.all_messages()), (39, 140));
    let none = records.campaign_progress("campaign_2").await.expect("read").expect("there").counts;
    assert_eq!(none.all_messages(), 0);
    sound(&records).await;
    house.tamper("UPDATE campaign_counts SET count = count + 1 WHERE kind = 'sent' AND variant = 0").await;
    let problems = records.check().await.expect("checked").problems;
    assert_eq!(problems.len(), 2, "more than its contacts, and not what its messages are: {problems:?}");
    assert!(exported(&records).await.iter().any(|line| line.contains("campaign_counts")));
}

async fn lists_and_changes(house: House) {
    let records = house.open().await;
    for n in 1..=5 {
        create(&records, campaign(n), vec![recipient(n, "UTC")]).await;
    }
    let again = records.create_campaign(campaign(3), Vec::new(), None).await;
    assert!(matches!(again, Err(RecordsError::Exists(_))));
    let (mut seen, mut cursor) = (Vec::new(), None);
    loop {
        let page = records.campaigns(CampaignFilter::default(), cursor.as_deref(), 2).await.expect("read");
        seen.extend(page.items.into_iter().map(|found| found.campaign.id));
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, ["campaign_5", "campaign_4", "campaign_3", "campaign_2", "campaign_1"]);

    let first = records.campaign("campaign_1").await.expect("read").expect("there");
    for state in [
        CampaignState::Scheduled { at: at(50) },
        CampaignState::Sending { since: at(51) },
        paused(at(52)),
        CampaignState::Finished { at: at(53) },
    ] {
        let old = records.campaign("campaign_1").await.expect("read").expect("there");
        let live = !state.has_ended();
        let told = Some(json!({"id": old.id, "status": state.as_str()}));
        let new = CampaignRecord { state: state.clone(), live, ..old };
        let change = CampaignChange { told, ..CampaignChange::default() };
        let changed = records.change_campaign(new, change, at(60)).await.expect("written").expect("as seen");
        assert_eq!(changed.state, state);
        assert_eq!(records.campaign("campaign_1").await.expect("read"), Some(changed));
        let live: Vec<_> = records.live_campaigns().await.expect("read");
        assert_eq!(live.len(), usize::from(!state.has_ended()));
    }
    let stale = records.change_campaign(first.clone(), CampaignChange::default(), at(61)).await;
    assert_eq!(stale.expect("read"), None, "it was changed since");
    let told = records.journal(0, 100).await.expect("read");
    assert_eq!(told.iter().filter(|entry| entry.kind == "campaign_updated").count(), 4);
    let by_state: BTreeMap<_, _> = records.campaigns_by_state().await.expect("read").into_iter().collect();
    assert_eq!(by_state, BTreeMap::from([("draft".to_owned(), 4), ("finished".to_owned(), 1)]));
    let filter =
        CampaignFilter { states: vec!["finished".to_owned()], channels: vec![channel()], name: None };
    assert_eq!(records.campaigns(filter, None, 9).await.expect("read").items.len(), 1);

    let gone = records.campaign("campaign_2").await.expect("read").expect("there");
    records.delete_campaign(gone.clone(), None).await.expect("deleted");
    assert!(matches!(records.delete_campaign(gone.clone(), None).await, Err(RecordsError::NotFound(_))));
    while records.sweep_campaigns(9).await.expect("swept") {}
    assert_eq!(records.campaign_recipients(gone.number, None, 9).await.expect("read"), Vec::new());
    // A number is never used again.
    let next = CampaignRecord { created_at: at(1), ..campaign(6) };
    let next = create(&records, next, Vec::new()).await;
    assert!(next.number > gone.number);
    records.delete_campaign(next.clone(), None).await.expect("deleted");
    let after = create(&records, CampaignRecord { created_at: at(1), ..campaign(7) }, Vec::new()).await;
    assert!(after.number > next.number, "nor that of the newest, which is gone");
}

fn paused(since: Timestamp) -> CampaignState {
    let why = palomar_model::Pause {
        cause: palomar_model::PauseCause::FailureRate,
        detail: "60 of the last 100 failed".to_owned(),
    };
    CampaignState::Paused { since, why }
}

async fn a_run_is_made_once(house: House) {
    let records = house.open().await;
    let zones = |n: u64| if n.is_multiple_of(3) { "Europe/Madrid" } else { "America/Lima" };
    let repeats = create(&records, campaign(1), (1..=20).map(|n| recipient(n, zones(n))).collect()).await;
    let next = |state| CampaignRecord { state, live: true, ..repeats.clone() };
    let later = next(CampaignState::Scheduled { at: at(50) });
    let run =
        |n| CampaignRecord { state: CampaignState::Scheduled { at: at(40) }, live: true, ..campaign(n) };
    assert!(records.create_run(later.clone(), run(7), json!({}), at(41)).await.expect("made"));
    assert!(
        !records.create_run(later, run(7), json!({}), at(42)).await.expect("looked"),
        "its version is old"
    );
    let waits = records.campaign(&repeats.id).await.expect("read").expect("kept");
    // Whoever died after another made it.
    assert!(records.create_run(waits, run(7), json!({}), at(43)).await.expect("answered"));
    let made = records.campaign_progress("campaign_7").await.expect("read").expect("made");
    assert_eq!((made.campaign.recipients, made.counts.left_out["invalid_number"]), (20, 2));
    let of = async |number| records.campaign_recipients(number, None, 99).await.expect("read");
    assert_eq!(of(made.campaign.number).await, of(repeats.number).await);
    let lanes = async |number| records.campaign_lanes(number).await.expect("read");
    assert_eq!(lanes(made.campaign.number).await, lanes(repeats.number).await);
    sound(&records).await;
}

async fn a_follow_up_is_decided_once(house: House) {
    let records = house.open().await;
    let made = create(&records, campaign(1), (1..=9).map(|n| recipient(n, "UTC")).collect()).await;
    let number = made.number;
    let plan = CampaignChange { batches_of: Some(5), ..CampaignChange::default() };
    change(&records, made, plan).await.expect("changed");
    let looks = |after| [(1, after), (2, after + 10)].map(|(step, after)| (step, Duration::from_secs(after)));
    let looks = |after: u64| looks(after).to_vec();
    records.plan_follow_ups(number, looks(5)).await.expect("written");
    assert_eq!(records.follow_up_totals(number).await.expect("read").looks, 0, "nothing is fed yet");
    let batch = records.campaign_batches(number, BatchState::Waiting, None, 1).await.expect("read").remove(0);
    records.batches_queued(number, vec![(batch.clone(), 0)], None, at(50)).await.expect("written");
    records.batch_fed(number, batch.clone(), FedBatch::default(), at(55)).await.expect("written");
    records.plan_follow_ups(number, looks(5)).await.expect("written");
    records.plan_follow_ups(number, looks(44)).await.expect("written");
    let due = async |now| records.follow_ups_due(number, at(now), 9).await.expect("read");
    assert_eq!((due(59).await, due(60).await), (vec![], vec![(1, 0)]), "those that are looked at stay so");
    assert_eq!(due(70).await, [(1, 0), (2, 0)]);

    let decide = async |outcomes| records.decide_follow_ups(number, (1, 0), outcomes).await.expect("written");
    decide(vec![(0, SEND), (1, "read")]).await;
    decide(vec![(0, "answered"), (2, SEND)]).await;
    let known = async || {
        let known = records.follow_ups(number, 1, &batch).await.expect("read");
        known.into_iter().map(|(place, one)| (place, one.outcome, one.queued)).collect::<Vec<_>>()
    };
    let word = |word: &str| word.to_owned();
    assert_eq!(known().await, [(0, word(SEND), false), (1, word("read"), true), (2, word(SEND), false)]);
    let queued = vec![(0, SEND), (2, "missing_variable")];
    records.follow_ups_queued(number, (1, 0), queued).await.expect("written");
    assert_eq!(
        known().await,
        [(0, word(SEND), true), (1, word("read"), true), (2, word("missing_variable"), true)]
    );
    records.follow_up_looked(number, (1, 0), Some(at(90))).await.expect("written");
    assert_eq!(due(89).await, [(2, 0)]);
    records.follow_up_looked(number, (1, 0), None).await.expect("written");
    assert_eq!(due(99).await, [(2, 0)]);
    let totals = records.follow_up_totals(number).await.expect("read");
    assert_eq!((totals.looks, totals.undone), (2, 1));
    // All is decided; it is over when the message that was decided on is there, and at its end.
    records.follow_up_looked(number, (2, 0), None).await.expect("written");
    let is_over = async |looks| records.follow_ups_are_over(number, looks).await.expect("read");
    assert!(!is_over(2).await, "nobody has seen the message");
    let place = CampaignPlace { campaign: number, step: 1, variant: 0 };
    let message =
        Outbound { campaign_id: Some("campaign_1".to_owned()), campaign_place: Some(place), ..outbound(1) };
    let of_message = |what| (Some(id(1)), what);
    let begins = vec![
        of_message(What::Accepted { message: Box::new(message), scheduled: false }),
        of_message(What::Started { attempt: 1 }),
    ];
    records.apply(LOG, 0, log(1, begins), 2, START).await.expect("applied");
    assert!(!is_over(2).await, "it is under way");
    let sent = vec![of_message(What::Sent { provider_id: provider_id(1), alias: None })];
    records.apply(LOG, 2, log(3, sent), 3, START).await.expect("applied");
    assert!(is_over(2).await && !is_over(4).await);
    let decided = records.follow_ups_decided(number).await.expect("read");
    assert_eq!(decided[&(1, word(SEND))], 1);
    let kept = records.campaign("campaign_1").await.expect("read").expect("kept");
    let fallback = async || records.forgotten_fallback("campaign_1").await.expect("read");
    assert_eq!(fallback().await, None);
    let began = CampaignRecord { started_at: Some(at(50)), ..kept };
    records.delete_campaign(began, Some("promo".to_owned())).await.expect("deleted");
    assert_eq!(fallback().await.as_deref(), Some("promo"));
    assert_eq!(records.follow_up_totals(number).await.expect("read").looks, 0);
    // Whom it went to goes by and by, and nobody of another.
    let other = create(&records, campaign(2), (1..=3).map(|n| recipient(n, "UTC")).collect()).await.number;
    let left = async |number| {
        let recipients = records.campaign_recipients(number, None, 99).await.expect("read").len();
        let decided = records.follow_ups_decided(number).await.expect("read").values().sum::<u64>();
        (recipients, decided)
    };
    assert_eq!(left(number).await, (9, 3));
    let sweep = async || records.sweep_campaigns(5).await.expect("swept");
    assert!(sweep().await);
    assert_eq!(left(number).await, (7, 0));
    assert!(sweep().await && sweep().await && !sweep().await);
    assert_eq!((left(number).await, left(other).await), ((0, 0), (3, 0)));
    assert!(records.campaign_lanes(number).await.expect("read").is_empty());
}
