//! Out of one engine, into another.

use std::io::Cursor;
use std::time::Duration;

use palomar_model::ReportedStatus;
use palomar_records::{Records, RecordsError};

use crate::facts::{LOG, START, id, log, report, sent, written};
use crate::forgetting::told;
use crate::house::{House, Shared, exported, on_both, sound};
use crate::written::channel;

on_both!(what_goes_out_comes_in_again, what_is_not_an_export_is_refused_as_a_whole);

async fn bytes(records: &Records) -> Vec<u8> {
    let (to, written) = Shared::new();
    records.export(to).await.expect("exported");
    let written = written.lock().expect("whole");
    written.clone()
}

/// Records with a bit of everything, in SQLite.
async fn furnished(messages: u128) -> (House, Records) {
    let house = House::on_sqlite();
    let records = house.open().await;
    let mut facts: Vec<_> = (1..=messages).flat_map(sent).collect();
    facts.push((None, report(9_999_999, ReportedStatus::Delivered, false)));
    facts.push((None, written(5_000_000)));
    let through = facts.len() as u64;
    records.apply(LOG, 0, log(1, facts), through, START).await.expect("applied");
    records.create_channel(channel()).await.expect("created");
    (house, records)
}

async fn what_goes_out_comes_in_again(house: House) {
    // More rows of a table than are read at once.
    let (old, records) = furnished(1_200).await;
    let export = bytes(&records).await;
    std::fs::copy(old.dir.path().join("secret.key"), house.dir.path().join("secret.key")).expect("copied");
    let new = house.open().await;
    let moved = new.import(Cursor::new(export.clone()), true).await.expect("imported");
    assert_eq!(moved.rows, export.iter().filter(|byte| **byte == b'\n').count() as u64 - 2);
    assert_eq!(exported(&new).await, exported(&records).await);
    assert_eq!(new.channels().await.expect("read"), records.channels().await.expect("read"));
    assert_eq!(new.message(id(7)).await.expect("read"), records.message(id(7)).await.expect("read"));
    sound(&new).await;
    // The log goes on where it was.
    let stands = new.cursor(LOG).await.expect("read");
    new.apply(LOG, stands, log(stands + 1, sent(9_000)), stands + 4, START).await.expect("applied");
    sound(&new).await;
    let again = new.import(Cursor::new(export), true).await.expect_err("refused");
    assert!(matches!(again, RecordsError::NotEmpty), "{again}");
}

async fn what_is_not_an_export_is_refused_as_a_whole(house: House) {
    let (old, records) = furnished(3).await;
    let export = String::from_utf8(bytes(&records).await).expect("text");
    let lines: Vec<_> = export.lines().collect();
    let last = lines.len() - 1;
    let new = house.open().await;
    let with = |place: usize, line: &str| {
        let mut lines = lines.clone();
        lines[place] = line;
        lines.join("\n")
    };
    for (text, expected) in [
        (String::new(), "its end is missing"),
        (lines[..last].join("\n"), "its end is missing"),
        (lines[1..].join("\n"), "line 1 of the export: it does not begin as an export does"),
        (
            with(0, "{\"palomar\":\"records\",\"version\":1,\"schema\":2}"),
            "it has schema 2, this version has ",
        ),
        (with(1, "{\"table\":\"mesages\",\"row\":{}}"), "line 2 of the export: an unknown table"),
        (
            with(1, "{\"table\":\"messages\",\"row\":{\"id\":7}}"),
            "line 2 of the export: id is of a wrong kind",
        ),
        (with(2, "nonsense"), "line 3 of the export: not a line of an export"),
        (with(last, "{\"end\":true,\"rows\":1}"), "its end is missing"),
        (format!("{export}{}", lines[1]), "something follows its end"),
    ] {
        let error = new.import(Cursor::new(text), true).await.expect_err(expected).to_string();
        assert!(error.contains(expected), "{error}\nexpected {expected}");
    }
    // Credentials that this node could not read.
    let error = new.import(Cursor::new(export.clone()), true).await.expect_err("another key");
    assert!(matches!(error, RecordsError::WrongKey { .. }), "{error}");
    assert_eq!(exported(&new).await, Vec::<String>::new());
    drop((new, old));
    // With a new log, rows stand before its first fact.
    let other = House::on_sqlite();
    let (_, without) = (other.dir.path(), other.open().await);
    records.delete_channel(channel().name).await.expect("deleted");
    let days = |days: u32| Duration::from_secs(86_400) * days;
    let later = START.after(days(3));
    records.analytics_forget("a", days(2), days(400), later).await.expect("forgotten");
    without.import(Cursor::new(bytes(&records).await), false).await.expect("imported");
    assert_eq!(without.cursor(LOG).await.expect("read"), 0);
    assert!(without.message(id(1)).await.expect("read").is_some());
    // What is told of minutes that were forgotten there is no drift here.
    without.track(vec![told("late", "demo")], later).await.expect("counted");
    sound(&without).await;
}
