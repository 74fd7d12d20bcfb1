//! The address of a PostgreSQL database, as people write it: `postgres://user:password@host:port/database?sslmode=…`.
//!
//! What always holds: the password is in the connection's configuration and nowhere else; no message quotes a part of
//! the text in which it could be.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::Config;
use tokio_postgres::config::{Host, SslMode};

/// How long a connection may take to come about.
pub(super) const CONNECT: Duration = Duration::from_secs(5);
/// What was sent and is not acknowledged for so long ends the connection: its other end is gone.
const UNACKNOWLEDGED: Duration = Duration::from_secs(10);
const PORT: u16 = 5432;

/// What the connection's library reads by itself.
const PASSED_ON: [&str; 17] = [
    "user",
    "password",
    "dbname",
    "options",
    "application_name",
    "sslnegotiation",
    "host",
    "hostaddr",
    "port",
    "connect_timeout",
    "tcp_user_timeout",
    "keepalives",
    "keepalives_idle",
    "keepalives_interval",
    "target_session_attrs",
    "channel_binding",
    "load_balance_hosts",
];
/// What other libraries write into the same address to tune themselves.
const PASSED_OVER: [&str; 4] = ["connection_limit", "pool_timeout", "pgbouncer", "statement_cache_size"];

/// The address of a PostgreSQL database. Shows itself without user and password.
#[derive(Clone)]
pub struct PostgresUrl {
    config: Config,
    pub(super) trust: Trust,
    place: Arc<str>,
}

/// Which servers are believed to be who they say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Trust {
    /// Any: the connection is encrypted, as far as it is, against those who only listen.
    Any,
    /// Those whose certificate an authority of this file signed; without one, the authorities of the system.
    Signed {
        /// The file, in PEM.
        by: Option<PathBuf>,
        /// Whether the certificate must name the host.
        names_host: bool,
    },
}

/// Why a text is no address of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct NotPostgres(String);

impl PostgresUrl {
    /// Whether a text means PostgreSQL at all.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with("postgres://") || text.starts_with("postgresql://")
    }

    /// Reads an address.
    ///
    /// # Errors
    /// What is wrong with it, without quoting the password.
    pub fn parse(text: &str) -> Result<PostgresUrl, NotPostgres> {
        let expected = || {
            NotPostgres(
                "not an address of PostgreSQL: expected postgres://user:password@host:port/database, with special \
                 characters of the password as %XX"
                    .to_owned(),
            )
        };
        if !PostgresUrl::is_meant(text) {
            return Err(expected());
        }
        let (address, query) = text.split_once('?').unwrap_or((text, ""));
        let read = Parameters::read(query)?;
        let passed_on =
            if read.passed_on.is_empty() { String::new() } else { format!("?{}", read.passed_on) };
        let mut config: Config = format!("{address}{passed_on}").parse().map_err(|_| expected())?;
        config.ssl_mode(read.encrypted);
        if let Some(schema) = read.schema {
            let options = config.get_options().unwrap_or_default();
            config.options(format!("{options} -csearch_path={schema}").trim());
        }
        if config.get_application_name().is_none() {
            config.application_name("palomar");
        }
        if config.get_hosts().is_empty() && config.get_hostaddrs().is_empty() {
            return Err(expected());
        }
        config.connect_timeout(config.get_connect_timeout().copied().unwrap_or(CONNECT));
        config.tcp_user_timeout(UNACKNOWLEDGED);
        let place = place(&config).into();
        Ok(PostgresUrl { config, trust: read.trust, place })
    }

    /// Host, port and database.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(super) fn shared_place(&self) -> Arc<str> {
        Arc::clone(&self.place)
    }

    pub(super) const fn config(&self) -> &Config {
        &self.config
    }

    /// The user, for whom a log-in is refused.
    pub(super) fn user(&self) -> &str {
        self.config.get_user().unwrap_or("the user of this process")
    }

    /// Each host with its port.
    pub(super) fn hosts(&self) -> Vec<(Host, u16)> {
        let ports = self.config.get_ports();
        let port = |place: usize| ports.get(place).or(ports.first()).copied().unwrap_or(PORT);
        let addresses = self.config.get_hostaddrs();
        if addresses.is_empty() {
            let hosts = self.config.get_hosts().iter().cloned().enumerate();
            hosts.map(|(place, host)| (host, port(place))).collect()
        } else {
            let hosts = addresses.iter().enumerate();
            hosts.map(|(place, address)| (Host::Tcp(address.to_string()), port(place))).collect()
        }
    }
}

impl fmt::Debug for PostgresUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("PostgresUrl").field(&self.place).finish()
    }
}

fn place(config: &Config) -> String {
    let port = |place: usize| config.get_ports().get(place).or(config.get_ports().first()).unwrap_or(&PORT);
    let hosts = config.get_hosts().iter().enumerate().map(|(place, host)| match host {
        Host::Tcp(name) if name.contains(':') => format!("[{name}]:{}", port(place)),
        Host::Tcp(name) => format!("{name}:{}", port(place)),
        Host::Unix(path) => path.display().to_string(),
    });
    let addresses = config.get_hostaddrs().iter().map(|address| format!("{address}:{}", port(0)));
    let hosts: Vec<_> = if config.get_hosts().is_empty() { addresses.collect() } else { hosts.collect() };
    let hosts = hosts.join(",");
    match config.get_dbname() {
        Some(database) => format!("{hosts}/{database}"),
        None => hosts,
    }
}

/// What stands behind the `?`.
struct Parameters<'a> {
    /// For the library, as it was written.
    passed_on: String,
    encrypted: SslMode,
    trust: Trust,
    schema: Option<&'a str>,
}

impl<'a> Parameters<'a> {
    fn read(query: &'a str) -> Result<Parameters<'a>, NotPostgres> {
        let (mut mode, mut authority, mut schema) = ("prefer", None, None);
        let mut passed_on = Vec::new();
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            match name {
                "sslmode" => mode = value,
                "sslrootcert" => {
                    authority = Some(PathBuf::from(value.replace("%2F", "/").replace("%2f", "/")));
                }
                "schema" if value.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_') => {
                    schema = Some(value);
                }
                _ if PASSED_ON.contains(&name) => passed_on.push(pair),
                _ if PASSED_OVER.contains(&name) => {}
                _ => {
                    let shown: String = name.chars().take(40).collect();
                    return Err(NotPostgres(format!(
                        "the address has the parameter {shown:?}, which is not known"
                    )));
                }
            }
        }
        let authority = authority.filter(|file| file.as_os_str() != "system");
        let checked = |names_host| Trust::Signed { by: authority.clone(), names_host };
        // As in PostgreSQL's own clients: `require` asks for encryption, and checks only against a named authority.
        let unchecked = if authority.is_some() { checked(false) } else { Trust::Any };
        let (encrypted, trust) = match mode {
            "disable" => (SslMode::Disable, Trust::Any),
            "prefer" | "allow" => (SslMode::Prefer, Trust::Any),
            "require" | "no-verify" => (SslMode::Require, unchecked),
            "verify-ca" => (SslMode::Require, checked(false)),
            "verify-full" => (SslMode::Require, checked(true)),
            _ => {
                let known = "disable, prefer, require, verify-ca or verify-full";
                return Err(NotPostgres(format!("sslmode in the address is not known: expected {known}")));
            }
        };
        Ok(Parameters { passed_on: passed_on.join("&"), encrypted, trust, schema })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_shown_without_their_secrets() {
        for (text, place) in [
            ("postgres://u:hunter2@db/palomar", "db:5432/palomar"),
            ("postgresql://u:hunter2@db:6432/palomar?sslmode=require", "db:6432/palomar"),
            ("postgres://u:p%40ss%2Fhunter2@[::1]:1/x", "[::1]:1/x"),
            ("postgres://u@a,b:6000/x", "a:5432,b:6000/x"),
            ("postgres:///x?host=/run/postgresql&user=u", "/run/postgresql/x"),
            ("postgres://u:hunter2@db/x?schema=public&connection_limit=5&pgbouncer=true", "db:5432/x"),
        ] {
            let url = PostgresUrl::parse(text).expect(text);
            assert_eq!(url.place(), place, "{text}");
            let shown = format!("{url:?} {:?}", url.config());
            assert!(!shown.contains("hunter2"), "{shown}");
        }
    }

    #[test]
    fn what_is_wrong_is_told_without_quoting_it() {
        for (text, expected) in [
            ("mysql://u:hunter2@db/x", "not an address of PostgreSQL"),
            ("postgres://u:hunter2@db:many/x", "not an address of PostgreSQL"),
            ("postgres://", "not an address of PostgreSQL"),
            ("postgres://u:hunter2@db/x?sslmode=hunter2", "sslmode in the address is not known"),
            ("postgres://u:hunter2@db/x?colour=hunter2", "the parameter \"colour\""),
        ] {
            let why = PostgresUrl::parse(text).expect_err(text).to_string();
            assert!(why.contains(expected) && !why.contains("hunter2"), "{text}: {why}");
        }
    }

    #[test]
    fn modes_mean_what_they_mean_elsewhere() {
        let signed = |by: Option<&str>, names_host| Trust::Signed { by: by.map(PathBuf::from), names_host };
        for (query, encrypted, trust) in [
            ("", SslMode::Prefer, Trust::Any),
            ("?sslmode=disable", SslMode::Disable, Trust::Any),
            ("?sslmode=require", SslMode::Require, Trust::Any),
            (
                "?sslmode=require&sslrootcert=/etc/ca.pem",
                SslMode::Require,
                signed(Some("/etc/ca.pem"), false),
            ),
            ("?sslmode=verify-full", SslMode::Require, signed(None, true)),
            ("?sslmode=verify-full&sslrootcert=system", SslMode::Require, signed(None, true)),
            ("?sslrootcert=%2Fca.pem&sslmode=verify-ca", SslMode::Require, signed(Some("/ca.pem"), false)),
        ] {
            let url = PostgresUrl::parse(&format!("postgres://u@db/x{query}")).expect(query);
            assert_eq!((url.config().get_ssl_mode(), url.trust), (encrypted, trust), "{query}");
        }
    }
}
