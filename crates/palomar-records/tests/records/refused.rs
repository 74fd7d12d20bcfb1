//! What a PostgreSQL that can't be used says: one line that a person can act on, without the password.

use palomar_records::{PostgresUrl, RecordsError, RecordsPlace};

use crate::facts::{LOG, START, id, log, sent};
use crate::house::House;
use crate::postgres::{self, PASSWORD, Postgres};

/// Why records are not opened at this address.
async fn why(address: &str) -> String {
    let dir = tempfile::tempdir().expect("a directory");
    let place =
        RecordsPlace::in_dir(dir.path()).in_postgres(PostgresUrl::parse(address).expect("an address"), 4);
    let error = place.open(START).await.expect_err(address);
    let said = format!("{error} {error:?} {place:?}");
    assert!(!said.contains(PASSWORD) && !said.contains("not-that-one"), "{said}");
    assert!(!error.to_string().contains('\n'), "{error}");
    error.to_string()
}

#[tokio::test]
async fn each_has_its_own_line() {
    let port = postgres::shared_port();
    let here = format!("127.0.0.1:{port}");
    // Nobody listens where somebody has just left.
    let left =
        std::net::TcpListener::bind("127.0.0.1:0").expect("a port").local_addr().expect("an address").port();
    for (address, expected) in [
        (
            format!("postgres://palomar:not-that-one@{here}/postgres"),
            format!("PostgreSQL at {here}/postgres refuses: the password of palomar is wrong"),
        ),
        (
            format!("postgres://stranger:{PASSWORD}@{here}/postgres"),
            format!("PostgreSQL at {here}/postgres refuses: the password of stranger is wrong"),
        ),
        (
            format!("postgres://palomar:{PASSWORD}@{here}/nowhere"),
            format!("PostgreSQL at {here}/nowhere refuses: there is no such database"),
        ),
        (
            format!("postgres://palomar:{PASSWORD}@127.0.0.1:{left}/x"),
            format!("PostgreSQL at 127.0.0.1:{left}/x can't be reached: Connection refused"),
        ),
    ] {
        let why = why(&address).await;
        assert!(why.contains(&expected), "{why}\nexpected {expected}");
    }
}

#[tokio::test]
async fn a_database_of_another_encoding_is_refused() {
    let port = postgres::shared_port();
    let admin = postgres::address(port, "postgres");
    let sql = "CREATE DATABASE narrow TEMPLATE template0 ENCODING SQL_ASCII LOCALE_PROVIDER libc LOCALE 'C'";
    // On a server that lasts for several processes it may be there.
    let _ = postgres::connect(&admin).await.batch_execute(sql).await;
    let why = why(&postgres::address(port, "narrow")).await;
    assert!(why.contains("the database keeps texts as SQL_ASCII, and UTF8 is needed"), "{why}");
}

#[tokio::test]
async fn a_database_in_which_nothing_can_be_made_is_refused() {
    let address = House::on_postgres().await.address.expect("PostgreSQL");
    let role = address.rsplit_once('/').expect("a database").1;
    postgres::run(&address, &format!("CREATE ROLE guest_{role} LOGIN PASSWORD '{PASSWORD}'")).await;
    let refused = why(&address.replace("//palomar:", &format!("//guest_{role}:"))).await;
    assert!(refused.contains("can't keep the records: permission denied for schema public"), "{refused}");
    let refused = why(&format!("{address}?schema=absent")).await;
    assert!(refused.contains("can't keep the records: no schema has been selected"), "{refused}");
    // With one, several installations can share a database.
    postgres::run(&address, "CREATE SCHEMA other").await;
    let (one, other) = (House::at(address.clone()), House::at(format!("{address}?schema=other")));
    let (one, other) = (one.open().await, other.open().await);
    one.apply(LOG, 0, log(1, sent(1)), 4, START).await.expect("applied");
    assert!(one.message(id(1)).await.expect("read").is_some());
    assert!(other.message(id(1)).await.expect("read").is_none());
}

#[tokio::test]
async fn a_replica_is_refused() {
    let server = Postgres::start();
    let address = server.database().await;
    server.command("replica");
    let why = why(&address).await;
    assert!(why.contains("it is a replica, which can only be read: name the primary"), "{why}");
}

#[tokio::test]
async fn encryption_is_as_the_address_asks() {
    let server = Postgres::start();
    let address = server.database().await;
    let named = address.replace("127.0.0.1", "localhost");
    let authority = format!("sslrootcert={}", server.certificate());
    let mut house = House::at(address.clone());
    for (name, host, query, encrypted) in [
        ("one", &address, "sslmode=disable", false),
        ("two", &address, "", true),
        ("three", &address, "sslmode=require", true),
        // The certificate names localhost.
        ("four", &address, &format!("sslmode=verify-ca&{authority}"), true),
        ("five", &named, &format!("sslmode=verify-full&{authority}"), true),
    ] {
        house.address = Some(format!("{host}?application_name={name}&{query}"));
        let looked = house.place().look().await.expect(query).expect("a database");
        assert!(looked.engine.starts_with("PostgreSQL "), "{looked:?}");
        let records = house.open().await;
        records.ping().await.expect(query);
        assert_eq!(is_encrypted(&address, name).await, encrypted, "{query}");
    }
    for (address, expected) in [
        (format!("{address}?sslmode=verify-full&{authority}"), "not valid for name"),
        (format!("{named}?sslmode=verify-full"), "invalid peer certificate"),
        (format!("{named}?sslmode=verify-full&sslrootcert=/nowhere.pem"), "/nowhere.pem"),
    ] {
        let why = why(&address).await;
        assert!(why.contains(expected), "{why}\nexpected {expected}");
    }
}

/// Whether the connections of an application are encrypted.
async fn is_encrypted(address: &str, application: &str) -> bool {
    let query = "SELECT COALESCE(bool_and(ssl), false) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid)
         WHERE application_name = $1";
    let client = postgres::connect(address).await;
    client.query_one(query, &[&application]).await.expect("a row").get(0)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reads_never_take_the_connections_that_writes_need() {
    let house = House::on_postgres().await;
    let records = house.open().await;
    records.apply(LOG, 0, log(1, sent(1)), 4, START).await.expect("applied");
    let address = house.address.clone().expect("PostgreSQL");
    let (blocker, watcher) = (postgres::connect(&address).await, postgres::connect(&address).await);
    blocker.batch_execute("BEGIN; LOCK TABLE messages IN ACCESS EXCLUSIVE MODE").await.expect("locked");
    // As many as may read at once; then one more.
    let stuck: Vec<_> = (0..4)
        .map(|_| {
            let records = records.clone();
            tokio::spawn(async move { records.message(id(1)).await })
        })
        .collect();
    let waiting = "SELECT COUNT(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()";
    while watcher.query_one(waiting, &[]).await.expect("a row").get::<_, i64>(0) < 4 {
        tokio::task::yield_now().await;
    }
    let refused = records.keys().await;
    assert!(matches!(refused, Err(RecordsError::Busy)), "{refused:?}");
    records.create_channel(crate::written::channel()).await.expect("created");
    blocker.batch_execute("ROLLBACK").await.expect("unlocked");
    for read in stuck {
        let read = read.await.expect("no panic");
        assert!(matches!(read, Ok(Some(_)) | Err(RecordsError::Late(_))), "{read:?}");
    }
    assert_eq!(records.channels().await.expect("read").len(), 1);
}
