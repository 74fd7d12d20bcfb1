//! Lists: filters, and pages that do not move.

use palomar_records::{MessageFilter, MessageStatus, RecordsError};

use crate::facts::{LOG, START, id, log, outbound, sent};
use crate::house::{House, on_both};

on_both!(lists_are_filtered_and_pages_do_not_move);

async fn lists_are_filtered_and_pages_do_not_move(house: House) {
    let records = house.open().await;
    let facts = log(1, (1..=9).flat_map(sent).collect());
    records.apply(LOG, 0, facts, 36, START).await.expect("applied");
    let mut seen = Vec::new();
    let mut cursor = None;
    loop {
        let page = records.messages(MessageFilter::default(), cursor.as_deref(), 4).await.expect("read");
        seen.extend(page.items.iter().map(|message| message.id));
        // New messages come while somebody reads on.
        let stand = records.cursor(LOG).await.expect("read");
        let n = 100 + u128::from(stand);
        records.apply(LOG, stand, log(stand + 1, sent(n)), stand + 4, START).await.expect("applied");
        cursor = page.next_cursor;
        if cursor.is_none() {
            break;
        }
    }
    assert_eq!(seen, (1..=9).rev().map(id).collect::<Vec<_>>());

    let count = async |filter| records.messages(filter, None, 50).await.expect("read").items.len();
    let by_campaign = MessageFilter { campaign: Some("verano".to_owned()), ..MessageFilter::default() };
    assert_eq!(count(by_campaign).await, 7);
    let by_text = |text: &str| MessageFilter { text: Some(text.to_owned()), ..MessageFilter::default() };
    assert_eq!(count(by_text("hola 3%")).await, 1);
    assert_eq!(count(by_text("H%3")).await, 0);
    let to = outbound(3).to;
    assert_eq!(count(MessageFilter { to: Some(to), ..MessageFilter::default() }).await, 1);
    let status = vec![MessageStatus::Received];
    assert_eq!(count(MessageFilter { status, ..MessageFilter::default() }).await, 0);
    let bad = records.messages(MessageFilter::default(), Some("bad"), 4).await;
    assert!(matches!(bad, Err(RecordsError::BadCursor)));
}
