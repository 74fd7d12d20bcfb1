//! The schema: the same on both engines, and brought up to date with all that is there.

use std::collections::BTreeSet;

use palomar_model::ReportedStatus;

use crate::facts::{LOG, START, id, log, report, sent};
use crate::house::{House, sound};
use crate::postgres;

/// A column, or an index, in words that are the same for both engines.
type Part = String;

#[tokio::test]
async fn both_engines_have_the_same_schema() {
    let (lite, server) = (House::on_sqlite(), House::on_postgres().await);
    drop((lite.open().await, server.open().await));
    let (ours, theirs) = (of_sqlite(&lite), of_postgres(&server).await);
    assert_eq!(ours.difference(&theirs).collect::<Vec<_>>(), Vec::<&Part>::new(), "only in SQLite");
    assert_eq!(theirs.difference(&ours).collect::<Vec<_>>(), Vec::<&Part>::new(), "only in PostgreSQL");
    assert!(ours.len() > 100, "{ours:?}");
}

fn of_sqlite(house: &House) -> BTreeSet<Part> {
    let db = house.sqlite();
    let columns = "SELECT m.name, c.name, lower(replace(c.type, 'BLOB', 'bytea')), c.\"notnull\", c.pk
         FROM sqlite_master AS m, pragma_table_info(m.name) AS c WHERE m.type = 'table' AND m.name NOT LIKE 'sqlite_%'";
    let mut statement = db.prepare(columns).expect("a query");
    let read = |row: &rusqlite::Row<'_>| {
        let (table, column, kind): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
        let (required, key): (bool, i64) = (row.get(3)?, row.get(4)?);
        Ok(format!("{table}.{column} {kind} required={required} key={key}"))
    };
    let columns: Vec<_> =
        statement.query_map([], read).expect("rows").collect::<Result<_, _>>().expect("rows");
    let indexes = "SELECT m.name, i.\"unique\", i.partial,
             (SELECT group_concat(name, ',') FROM (SELECT name FROM pragma_index_info(i.name) ORDER BY seqno))
         FROM sqlite_master AS m, pragma_index_list(m.name) AS i WHERE m.type = 'table' AND i.origin <> 'pk'";
    let mut statement = db.prepare(indexes).expect("a query");
    let read = |row: &rusqlite::Row<'_>| {
        let (table, columns): (String, String) = (row.get(0)?, row.get(3)?);
        let (unique, partial): (bool, bool) = (row.get(1)?, row.get(2)?);
        Ok(format!("index on {table} ({columns}) unique={unique} partial={partial}"))
    };
    let indexes: Vec<_> =
        statement.query_map([], read).expect("rows").collect::<Result<_, _>>().expect("rows");
    columns.into_iter().chain(indexes).collect()
}

async fn of_postgres(house: &House) -> BTreeSet<Part> {
    let client = postgres::connect(house.address.as_deref().expect("PostgreSQL")).await;
    let columns = "SELECT c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, -1)
             || ' required=' || a.attnotnull || ' key=' || COALESCE(array_position(i.indkey::int2[], a.attnum), -1) + 1
         FROM pg_class AS c JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
         LEFT JOIN pg_index AS i ON i.indrelid = c.oid AND i.indisprimary
         WHERE c.relkind = 'r' AND c.relnamespace = 'public'::regnamespace";
    let indexes = "SELECT 'index on ' || t.relname || ' ('
             || (SELECT string_agg(a.attname, ',' ORDER BY array_position(i.indkey::int2[], a.attnum))
                 FROM pg_attribute AS a WHERE a.attrelid = t.oid AND a.attnum = ANY (i.indkey))
             || ') unique=' || i.indisunique || ' partial=' || (i.indpred IS NOT NULL)
         FROM pg_index AS i JOIN pg_class AS t ON t.oid = i.indrelid
         WHERE NOT i.indisprimary AND t.relnamespace = 'public'::regnamespace";
    let mut parts = BTreeSet::new();
    for query in [columns, indexes] {
        parts.extend(client.query(query, &[]).await.expect("rows").iter().map(|row| row.get::<_, String>(0)));
    }
    parts
}

/// Records of the version before partitions go on where they stood.
#[tokio::test]
async fn records_of_an_earlier_schema_go_on() {
    let house = House::on_sqlite();
    let steps = [
        include_str!("../../migrations/0001_messages.sql"),
        include_str!("../../migrations/0002_retries.sql"),
    ];
    let rows = "CREATE TABLE schema_steps (step BIGINT NOT NULL PRIMARY KEY, name TEXT NOT NULL,
             applied_at BIGINT NOT NULL);
         INSERT INTO schema_steps VALUES (1, '0001_messages', 0), (2, '0002_retries', 0);
         INSERT INTO cursors VALUES ('records', 7, 0);
         INSERT INTO counters VALUES ('demo', 20454, 'accepted', 1);
         INSERT INTO journal VALUES (5, 1767225600000000, 'accepted', 'demo', NULL, '{}', 'accepted'),
             (7, 1767225601000000, 'delivered', 'demo', NULL, '{}', '');";
    let db = house.sqlite();
    for sql in steps.into_iter().chain([rows]) {
        db.execute_batch(sql).expect("as it was");
    }
    let early = match report(1, ReportedStatus::Delivered, false) {
        palomar_records::What::Reported(report) => serde_json::to_string(&report).expect("JSON"),
        _ => unreachable!("a report"),
    };
    db.execute("INSERT INTO early_statuses VALUES ('demo', 'wamid.1', 7, 1767225601000000, ?1)", [early])
        .expect("as it was");
    let looked = house.place().look().await.expect("looked").expect("a file").schema;
    assert_eq!(
        (looked.found, looked.missing),
        (
            2,
            vec![
                "0003_partitions",
                "0004_nodes",
                "0005_conversations",
                "0006_media",
                "0007_audience",
                "0008_campaigns",
                "0009_campaign_pace",
                "0010_media_places",
                "0011_sessions",
                "0012_alerts",
                "0013_analytics",
                "0014_campaign_places",
                "0015_campaigns",
                "0016_reports",
                "0017_analytics_kept",
                "0018_send_jobs"
            ]
        )
    );

    let records = house.open().await;
    assert_eq!(records.cursor(LOG).await.expect("read"), 7);
    let numbers = async || records.journal(0, 99).await.expect("read").into_iter().map(|entry| entry.cursor);
    assert_eq!(numbers().await.collect::<Vec<_>>(), [5, 7]);
    // The report that waited finds its message, and its entry of the journal.
    records.apply(LOG, 7, log(8, sent(1)), 11, START).await.expect("applied");
    let kinds = records.timeline(id(1)).await.expect("read").into_iter().map(|entry| entry.kind);
    assert_eq!(kinds.collect::<Vec<_>>(), ["delivered", "accepted", "started", "sent"]);
    assert_eq!(numbers().await.collect::<Vec<_>>(), [5, 7, 8, 9, 10, 11]);
    sound(&records).await;
}
