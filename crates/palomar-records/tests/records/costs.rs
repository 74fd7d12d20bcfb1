//! What providers charge, what they charged for, and which campaigns are old.

use palomar_model::analytics::Dimension;
use palomar_model::{CampaignPlace, CampaignState, MessageState, Outbound, ReportedStatus, Timestamp};
use palomar_records::{AnalyticsQuery, CampaignChange, CampaignRecord, Rate, What};

use crate::campaigns::{campaign, create, recipient};
use crate::facts::{LOG, START, at, channel, id, log, outbound, provider_id, report, written};
use crate::house::{House, on_both, sound};

on_both!(
    rates_are_kept_each_once,
    what_was_delivered_is_counted_by_its_time,
    old_campaigns_are_found,
    who_wrote_last_is_known,
);

fn rate(country: &str, valid_from: u64, price: i64) -> Rate {
    Rate {
        channel: None,
        country: country.to_owned(),
        category: "marketing".to_owned(),
        valid_from: at(valid_from),
        price,
        currency: "EUR".to_owned(),
    }
}

async fn rates_are_kept_each_once(house: House) {
    let records = house.open().await;
    let own = Rate { channel: Some(channel()), ..rate("ES", 0, 7) };
    let put = async |rates, replace| records.put_rates(rates, replace).await.expect("written");
    put(vec![rate("ES", 0, 61_500), rate("*", 0, 1), own.clone()], false).await;
    put(vec![rate("ES", 0, 70_000), rate("ES", 9, 80_000)], false).await;
    let kept = records.rates().await.expect("read");
    assert_eq!(kept, [rate("*", 0, 1), rate("ES", 0, 70_000), rate("ES", 9, 80_000), own.clone()]);
    put(vec![own.clone()], true).await;
    assert_eq!(records.rates().await.expect("read"), [own]);
    put(Vec::new(), true).await;
    assert_eq!(records.rates().await.expect("read"), []);
}

fn of_campaign(n: u128, number: u64) -> Outbound {
    let place = CampaignPlace { campaign: number, step: 0, variant: 0 };
    Outbound { campaign_id: Some("campaign_1".to_owned()), campaign_place: Some(place), ..outbound(n) }
}

async fn what_was_delivered_is_counted_by_its_time(house: House) {
    let records = house.open().await;
    let number = create(&records, campaign(1), (1..=3).map(|n| recipient(n, "UTC")).collect()).await.number;
    let mut told = Vec::new();
    for n in 1..=3 {
        let own = Some(id(n));
        told.extend([
            (own, What::Accepted { message: Box::new(of_campaign(n, number)), scheduled: false }),
            (own, What::Started { attempt: 1 }),
            (own, What::Sent { provider_id: provider_id(n), alias: None }),
        ]);
    }
    // One merely names the campaign; one is not delivered; one is read, and so delivered.
    let named = Outbound { campaign_id: Some("campaign_1".to_owned()), ..outbound(9) };
    told.extend([
        (Some(id(9)), What::Accepted { message: Box::new(named), scheduled: false }),
        (Some(id(9)), What::Sent { provider_id: provider_id(9), alias: None }),
        (None, report(9, ReportedStatus::Delivered, false)),
        (None, report(1, ReportedStatus::Delivered, true)),
        (None, report(2, ReportedStatus::Read, true)),
    ]);
    let facts = log(1, told);
    let last = facts.len() as u64;
    records.apply(LOG, 0, facts, last, START).await.expect("applied");

    let of = async |edges| records.campaign_delivered("campaign_1", number, edges).await.expect("read");
    let all = of(vec![START, Timestamp::MAX]).await;
    assert_eq!(all.len(), 1, "{all:?}");
    let (series, counts) = &all[0];
    assert_eq!((series.part(Dimension::Country), series.part(Dimension::Type)), ("ES", "text"));
    assert_eq!(counts, &[2]);
    let parts = of(vec![START, at(20), at(100), Timestamp::MAX]).await;
    assert_eq!(parts[0].1.iter().sum::<u64>(), 2, "each in one stretch: {parts:?}");
    assert_eq!(parts[0].1[2], 0);
    let day = vec![START, at(86_400)];
    let query = AnalyticsQuery {
        only: vec![(Dimension::Campaign, "campaign_1".to_owned())],
        ..AnalyticsQuery::default()
    };
    let counted = records.analytics_delivered(query, day.clone()).await.expect("read");
    assert_eq!(counted.iter().map(|(_, counts)| counts[0]).sum::<u64>(), 3, "whatever names it: {counted:?}");
    let elsewhere = AnalyticsQuery { channels: Some(vec!["other".to_owned()]), ..AnalyticsQuery::default() };
    assert_eq!(records.analytics_delivered(elsewhere, day).await.expect("read"), Vec::new());

    let sendings = records.sendings(vec![id(2), id(3), id(4)]).await.expect("read");
    assert_eq!(sendings.len(), 2);
    assert_eq!((sendings[&id(2)].state, sendings[&id(2)].read_at.is_some()), (MessageState::Read, true));
    assert_eq!((sendings[&id(3)].state, sendings[&id(3)].read_at), (MessageState::Sent, None));
    sound(&records).await;
}

async fn old_campaigns_are_found(house: House) {
    let records = house.open().await;
    let end = async |n: u64, state, live| {
        let made = create(&records, campaign(n), Vec::new()).await;
        let ended = CampaignRecord { state, live, ended_at: Some(at(n)), ..made };
        let changed = records.change_campaign(ended, CampaignChange::default(), at(n)).await;
        assert!(changed.expect("written").is_some());
    };
    for n in 1..=4 {
        end(n, CampaignState::Finished { at: at(n) }, false).await;
    }
    end(5, CampaignState::Stopped { at: at(5) }, false).await;
    end(6, CampaignState::Finished { at: at(6) }, true).await;
    let old = async |state, newest, before| {
        let found = records.old_campaigns(state, newest, at(before), 9).await.expect("read");
        found.into_iter().map(|one| one.id).collect::<Vec<_>>()
    };
    // The newest of them moves still: it is one of those that are kept.
    assert_eq!(old("finished", 2, 99).await, ["campaign_1", "campaign_2", "campaign_3"]);
    assert_eq!(old("finished", 2, 3).await, ["campaign_1", "campaign_2"], "the others are too young");
    assert_eq!(old("finished", 9, 99).await, Vec::<String>::new());
    assert_eq!(old("stopped", 0, 99).await, ["campaign_5"]);
    assert_eq!(records.forget_campaign_orphans(at(9)).await.expect("swept"), 0);
    house
        .tamper(
            "INSERT INTO campaign_counts (campaign, step, variant, kind, count) VALUES (99, 0, 0, 'read', 1)",
        )
        .await;
    assert_eq!(records.forget_campaign_orphans(at(9)).await.expect("swept"), 1);
}

async fn who_wrote_last_is_known(house: House) {
    let records = house.open().await;
    records.apply(LOG, 0, log(1, vec![(None, written(1))]), 1, START).await.expect("applied");
    let whom = ["34600111222", "34600111223"].map(|key| (channel(), key.to_owned()));
    let wrote = records.last_wrote(whom.to_vec()).await.expect("read");
    assert_eq!(wrote, [Some(at(40)), None]);
}
