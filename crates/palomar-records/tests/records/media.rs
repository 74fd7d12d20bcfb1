//! Media of messages: what is known of them stays the same in whatever order it is told, and what nothing needs is let go.

use palomar_model::{MediaNews, MediaProgress, MessageId};
use palomar_records::{MediaState, MediaView, Records, What};

use crate::facts::{LOG, START, at, id, log, written};
use crate::house::{House, on_both, sound};

on_both!(
    media_are_shown_with_their_message,
    what_is_stored_stays_so_in_whatever_order_it_is_told,
    what_no_message_needs_is_let_go_once,
);

const PLACE: &str = "files:here";

fn news(n: u128, message: u128, progress: MediaProgress) -> (Option<MessageId>, What) {
    let filename = Some("factura.pdf\0".to_owned());
    (None, What::Media(Box::new(MediaNews { id: id(n), message: id(message), part: 0, filename, progress })))
}

fn stored(sha256: &str, size: u64) -> MediaProgress {
    let (r#type, place) = ("image/jpeg".to_owned(), PLACE.to_owned());
    MediaProgress::Stored { sha256: sha256.to_owned(), size, r#type, place }
}

fn failed() -> MediaProgress {
    MediaProgress::Failed { error: "gone".to_owned() }
}

async fn apply(records: &Records, after: u64, facts: Vec<(Option<MessageId>, What)>) -> u64 {
    let through = after + facts.len() as u64;
    records.apply(LOG, after, log(after + 1, facts), through, START).await.expect("applied");
    through
}

async fn shown(records: &Records, message: u128) -> Vec<MediaView> {
    records.message(id(message)).await.expect("read").expect("a message").media
}

async fn media_are_shown_with_their_message(house: House) {
    let records = house.open().await;
    let second =
        MediaNews { id: id(11), message: id(1), part: 1, filename: None, progress: MediaProgress::Pending };
    let facts = vec![
        (None, written(1)),
        (None, written(2)),
        (None, What::Media(Box::new(second))),
        news(10, 1, MediaProgress::Pending),
    ];
    let end = apply(&records, 0, facts).await;
    let states = |media: &[MediaView]| media.iter().map(|one| (one.id, one.state)).collect::<Vec<_>>();
    let pending = [(id(10), MediaState::Pending), (id(11), MediaState::Pending)];
    assert_eq!(states(&shown(&records, 1).await), pending);
    assert_eq!(shown(&records, 2).await, Vec::new());
    apply(&records, end, vec![news(10, 1, stored("ab12", 7))]).await;
    let expected = MediaView {
        id: id(10),
        state: MediaState::Stored,
        r#type: Some("image/jpeg".to_owned()),
        size: Some(7),
        sha256: Some("ab12".to_owned()),
        filename: Some("factura.pdf\u{fffd}".to_owned()),
        error: None,
    };
    assert_eq!(shown(&records, 1).await.first(), Some(&expected));
    let listed = records.messages(palomar_records::MessageFilter::default(), None, 10).await.expect("read");
    let of_first = listed.items.iter().find(|message| message.id == id(1)).expect("listed");
    assert_eq!(of_first.media.first(), Some(&expected));
    let record = records.media(id(10)).await.expect("read").expect("known");
    assert_eq!((record.message, record.place.as_deref(), record.view), (id(1), Some(PLACE), expected));
    assert_eq!(records.media(id(99)).await.expect("read"), None);
    let kinds = records.timeline(id(1)).await.expect("read").into_iter().map(|entry| entry.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), ["received", "media_stored"]);
    sound(&records).await;
}

async fn what_is_stored_stays_so_in_whatever_order_it_is_told(house: House) {
    use MediaState::{Failed, Pending, Stored};
    let records = house.open().await;
    let wanted = || MediaProgress::Pending;
    let kept = || stored("ab12", 7);
    let cases = [
        (vec![wanted()], Pending),
        (vec![wanted(), kept()], Stored),
        (vec![kept(), wanted()], Stored),
        (vec![kept(), failed()], Stored),
        (vec![failed(), kept()], Stored),
        (vec![wanted(), failed(), wanted()], Failed),
        (vec![wanted(), failed(), wanted(), kept(), wanted(), failed()], Stored),
    ];
    let mut end = 0;
    for (n, (told, expected)) in (100..).zip(cases) {
        // All at once, and each by itself.
        end = apply(&records, end, told.iter().map(|progress| news(n, 1, progress.clone())).collect()).await;
        for progress in &told {
            end = apply(&records, end, vec![news(n + 100, 1, progress.clone())]).await;
        }
        for media in [n, n + 100] {
            let found = records.media(id(media)).await.expect("read").expect("known").view;
            assert_eq!(found.state, expected, "{told:?}");
            assert_eq!(found.error.is_some(), expected == Failed);
        }
    }
}

async fn what_no_message_needs_is_let_go_once(house: House) {
    let records = house.open().await;
    let unneeded = async |after: &str| records.unneeded_media(PLACE, after, 10).await.expect("read");
    let none = Vec::<String>::new();
    // The same content came with two messages, 10 s apart; another with the first.
    let end = apply(&records, 0, vec![news(1, 1, stored("aa", 5)), news(2, 1, stored("bb", 7))]).await;
    let mut later = log(end + 1, vec![news(3, 2, stored("aa", 5))]);
    later[0].at = at(12);
    records.apply(LOG, end, later, end + 1, START).await.expect("applied");
    assert_eq!(records.media_bytes(PLACE).await.expect("read"), 12);
    assert_eq!(records.media_bytes("s3:media").await.expect("read"), 0);

    assert_eq!(records.expire_media(at(10), at(20)).await.expect("written"), 2);
    assert_eq!(records.expire_media(at(10), at(20)).await.expect("written"), 0);
    assert_eq!(records.media(id(1)).await.expect("read").expect("known").view.state, MediaState::Deleted);
    assert_eq!(unneeded("").await, ["bb"]);
    assert_eq!(unneeded("bb").await, none);
    records.media_removed(PLACE, "bb").await.expect("written");
    assert_eq!(unneeded("").await, none);
    assert_eq!(records.media_bytes(PLACE).await.expect("read"), 5);

    // What is told again of what is over changes nothing.
    apply(&records, end + 1, vec![news(1, 1, stored("aa", 5)), news(1, 1, failed())]).await;
    assert_eq!(records.media(id(1)).await.expect("read").expect("known").view.state, MediaState::Deleted);
    assert_eq!(records.expire_media(at(13), at(20)).await.expect("written"), 1);
    assert_eq!(unneeded("").await, ["aa"]);
    records.media_removed(PLACE, "aa").await.expect("written");
    assert_eq!(records.media_bytes(PLACE).await.expect("read"), 0);
}
