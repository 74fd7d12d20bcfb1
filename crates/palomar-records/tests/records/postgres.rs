//! A throw-away PostgreSQL for tests: one a process, ended with it; each test has a database of its own in it.
//!
//! Where `PALOMAR_TEST_POSTGRES` says the port of one that is served already (`./test` does so), that one is used.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::{Mutex, OnceLock, PoisonError};

/// What must be in no message.
pub(crate) const PASSWORD: &str = "never-to-be-seen";

/// A server of one's own, to be killed and started again.
#[derive(Debug)]
pub(crate) struct Postgres {
    port: u16,
    certificate: String,
    inside: Mutex<Inside>,
}

#[derive(Debug)]
struct Inside {
    _script: Child,
    commands: ChildStdin,
    answers: BufReader<ChildStdout>,
}

impl Postgres {
    /// Serves one.
    pub(crate) fn start() -> Postgres {
        let script =
            Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../palomar-records/tests/records/postgres.sh"));
        let mut child = Command::new("sh")
            .arg(script)
            .current_dir("/tmp")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            // Nobody may wait for it to let go of ours.
            .stderr(Stdio::null())
            .spawn()
            .expect("a shell");
        let commands = child.stdin.take().expect("piped");
        let mut answers = BufReader::new(child.stdout.take().expect("piped"));
        let mut said = String::new();
        answers.read_line(&mut said).expect("an answer");
        let words: Vec<_> = said.split_whitespace().collect();
        let ["ready", port, certificate] = words[..] else {
            let mut more = String::new();
            let _ = std::io::Read::read_to_string(&mut answers, &mut more);
            panic!("PostgreSQL does not start: {said}{more}");
        };
        let inside = Mutex::new(Inside { _script: child, commands, answers });
        Postgres { port: port.parse().expect("a port"), certificate: certificate.to_owned(), inside }
    }

    /// Gives a command of `postgres.sh`, and waits until it is done.
    pub(crate) fn command(&self, command: &str) {
        let mut inside = self.inside.lock().unwrap_or_else(PoisonError::into_inner);
        writeln!(inside.commands, "{command}").expect("told");
        let mut said = String::new();
        inside.answers.read_line(&mut said).expect("an answer");
        assert_eq!(said.trim(), "done", "{command}");
    }

    /// The file of its certificate.
    pub(crate) fn certificate(&self) -> &str {
        &self.certificate
    }

    /// Its port.
    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Makes a database; its address.
    pub(crate) async fn database(&self) -> String {
        database(self.port).await
    }
}

/// The address of a database.
pub(crate) fn address(port: u16, database: &str) -> String {
    format!("postgres://palomar:{PASSWORD}@127.0.0.1:{port}/{database}")
}

/// Makes a database on a server; its address.
pub(crate) async fn database(port: u16) -> String {
    let random: [u8; 8] = palomar_records::random_bytes().expect("random bytes");
    let name = format!("t{:016x}", u64::from_ne_bytes(random));
    run(&address(port, "postgres"), &format!("CREATE DATABASE {name} TEMPLATE template0")).await;
    address(port, &name)
}

/// Runs SQL in a database.
pub(crate) async fn run(address: &str, sql: &str) {
    connect(address).await.batch_execute(sql).await.expect("run");
}

/// A connection of one's own.
pub(crate) async fn connect(address: &str) -> tokio_postgres::Client {
    let connected = tokio_postgres::connect(address, tokio_postgres::NoTls).await;
    let (client, connection) = connected.expect("connected");
    tokio::spawn(connection);
    client
}

/// The port of the server that this process's tests share.
pub(crate) fn shared_port() -> u16 {
    static SHARED: OnceLock<Postgres> = OnceLock::new();
    let served = std::env::var("PALOMAR_TEST_POSTGRES").ok();
    served.map_or_else(|| SHARED.get_or_init(Postgres::start).port(), |port| port.parse().expect("a port"))
}
