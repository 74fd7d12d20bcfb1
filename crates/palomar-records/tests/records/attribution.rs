//! What conversations led to is put down to the message that led to it, whatever is known when it is told.

use std::time::Duration;

use palomar_model::{MessageId, Timestamp};
use palomar_records::{Conversion, Converted, RecordFact, Records, What};

use crate::facts::{LOG, START, at, id, log, outbound, provider_id, sent, written};
use crate::house::{House, on_both};

on_both!(
    conversions_are_put_down_to_messages,
    a_message_counts_from_when_it_was_sent,
    a_channel_is_asked_for_its_own_messages,
    a_message_may_become_known_later,
    what_was_received_leads_to_nothing,
    one_id_is_kept_once,
    sums_hold_any_number,
);

const DAY: Duration = Duration::from_secs(86_400);
const WINDOW: Duration = Duration::from_secs(7 * 86_400);

/// A sale to whom a message is for.
fn sale(n: u128, id: &str, at: Timestamp) -> Conversion {
    Conversion {
        id: id.to_owned(),
        at,
        kind: "sale".to_owned(),
        value: Some(12_500_000),
        currency: Some("EUR".to_owned()),
        channel: None,
        match_key: Some(outbound(n).to.key()),
        message_id: None,
        awaited_message_id: None,
        campaign_id: None,
        metadata: None,
    }
}

async fn applied(records: &Records, facts: Vec<(Option<MessageId>, What)>) {
    apply(records, log(1, facts)).await;
}

async fn apply(records: &Records, facts: Vec<RecordFact>) {
    let through = facts.len() as u64;
    records.apply(LOG, 0, facts, through, START).await.expect("applied");
}

/// Keeps a conversion that is new.
async fn new(records: &Records, conversion: Conversion) -> Conversion {
    match records.convert(conversion, WINDOW, at(100)).await.expect("kept") {
        Converted::New(kept) => kept,
        other => panic!("not new: {other:?}"),
    }
}

async fn conversions_are_put_down_to_messages(house: House) {
    let records = house.open().await;
    applied(&records, sent(2)).await;
    let sale = |id: &str, at| sale(2, id, at);
    let kept = new(&records, sale("a", at(100))).await;
    assert_eq!((kept.message_id, kept.campaign_id.as_deref()), (Some(id(2)), Some("verano")));
    let again = records.convert(sale("a", at(100)), WINDOW, at(200)).await.expect("kept");
    assert_eq!(again, Converted::Known(kept));
    let late = new(&records, sale("b", at(100).after(DAY * 8))).await;
    assert_eq!((late.message_id, late.campaign_id), (None, None), "after the window");
    let unknown =
        Conversion { message_id: Some(id(77)), currency: Some("USD".to_owned()), ..sale("c", at(100)) };
    let kept = new(&records, unknown).await;
    assert_eq!(kept.message_id, None, "a message that nobody knows");
    let sums = records.conversion_sums((START, START.after(DAY * 30))).await.expect("read");
    let told: Vec<_> = sums
        .iter()
        .map(|sum| (sum.currency.as_deref(), sum.campaign.as_deref(), sum.count, sum.attributed, sum.value))
        .collect();
    assert_eq!(told.len(), 3);
    for expected in [
        (Some("EUR"), Some("verano"), 1, 1, 12_500_000),
        (Some("EUR"), None, 1, 0, 12_500_000),
        (Some("USD"), None, 1, 0, 12_500_000),
    ] {
        assert!(told.contains(&expected), "{told:?}");
    }
}

async fn a_message_counts_from_when_it_was_sent(house: House) {
    let records = house.open().await;
    let accepted = |n: u128| {
        let message = palomar_model::Outbound { to: outbound(1).to, campaign_id: None, ..outbound(n) };
        (Some(id(n)), What::Accepted { message: Box::new(message), scheduled: true })
    };
    let left = |n: u128| (Some(id(n)), What::Sent { provider_id: provider_id(n), alias: None });
    // Accepted first and sent last, ten days later.
    let mut facts = log(1, vec![accepted(1), accepted(2), left(2), left(1)]);
    facts[2].at = START.after(DAY * 10);
    facts[3].at = START.after(DAY * 10 + Duration::from_secs(60));
    apply(&records, facts).await;
    let after = |seconds| START.after(DAY * 10 + Duration::from_secs(seconds));
    for (name, at, message) in
        [("a", after(90), Some(id(1))), ("b", after(30), Some(id(2))), ("c", at(9), None)]
    {
        assert_eq!(new(&records, sale(1, name, at)).await.message_id, message, "{name}");
    }
}

async fn a_channel_is_asked_for_its_own_messages(house: House) {
    let records = house.open().await;
    applied(&records, sent(2)).await;
    let elsewhere = |name| Conversion { channel: Some("shop".to_owned()), ..sale(2, name, at(100)) };
    let kept = new(&records, Conversion { message_id: Some(id(2)), ..elsewhere("a") }).await;
    assert_eq!((kept.channel.as_deref(), kept.message_id, kept.campaign_id), (Some("shop"), None, None));
    let kept = new(&records, elsewhere("b")).await;
    assert_eq!((kept.channel.as_deref(), kept.message_id), (Some("shop"), None));
}

async fn a_message_may_become_known_later(house: House) {
    let records = house.open().await;
    let early = Conversion { message_id: Some(id(2)), match_key: None, ..sale(2, "a", at(100)) };
    let kept = new(&records, early.clone()).await;
    assert_eq!((kept.message_id, kept.awaited_message_id), (None, Some(id(2))));
    let own = Conversion { id: "b".to_owned(), campaign_id: Some("own".to_owned()), ..early.clone() };
    new(&records, own.clone()).await;
    let elsewhere = Conversion { id: "c".to_owned(), channel: Some("shop".to_owned()), ..early.clone() };
    new(&records, elsewhere.clone()).await;
    applied(&records, sent(2)).await;
    let known = async |told: Conversion| match records.convert(told, WINDOW, at(200)).await.expect("read") {
        Converted::Known(kept) => (kept.channel, kept.message_id, kept.campaign_id, kept.awaited_message_id),
        other => panic!("not known: {other:?}"),
    };
    let word = |word: &str| Some(word.to_owned());
    assert_eq!(known(early).await, (word("demo"), Some(id(2)), word("verano"), None));
    assert_eq!(known(own).await, (word("demo"), Some(id(2)), word("own"), None));
    assert_eq!(known(elsewhere).await, (word("shop"), None, None, Some(id(2))));
}

async fn what_was_received_leads_to_nothing(house: House) {
    let records = house.open().await;
    applied(&records, vec![(None, written(101))]).await;
    let told = Conversion { message_id: Some(id(101)), ..sale(2, "a", at(100)) };
    assert_eq!(records.convert(told, WINDOW, at(100)).await.expect("read"), Converted::Received);
    assert_eq!(records.conversion_sums((START, at(1_000))).await.expect("read"), []);
}

async fn one_id_is_kept_once(house: House) {
    let nodes = [house.open().await, house.open().await];
    let mut told = tokio::task::JoinSet::new();
    for n in 0..200 {
        let (records, conversion) = (nodes[n % 2].clone(), sale(2, &(n / 8).to_string(), at(100)));
        told.spawn(async move { records.convert(conversion, WINDOW, at(100)).await.expect("kept") });
    }
    let new = told.join_all().await.into_iter().filter(|told| matches!(told, Converted::New(_))).count();
    assert_eq!(new, 25);
}

async fn sums_hold_any_number(house: House) {
    let records = house.open().await;
    let now = at(5).micros();
    house
        .tamper(&format!(
            "WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n WHERE x < 9300)
             INSERT INTO conversions (id, at, kind, value, currency, noted)
             SELECT 'c' || x, {now}, 'sale', 999999999999999, 'EUR', {now} FROM n"
        ))
        .await;
    let sums = records.conversion_sums((START, at(1_000))).await.expect("read");
    assert_eq!(
        sums.iter().map(|sum| (sum.count, sum.value)).collect::<Vec<_>>(),
        [(9_300, 9_300 * 999_999_999_999_999)]
    );
}
