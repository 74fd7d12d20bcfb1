//! How the Redis broker is set up.

use std::fmt;
use std::time::Duration;

use crate::machine::MachineConfig;

/// Where Redis is. Addresses are URLs: `redis://[user:password@]host[:port][/database]`, or `rediss://` for TLS,
/// for which the process must have installed a provider of rustls.
#[derive(Clone, PartialEq, Eq)]
pub enum RedisServers {
    /// One server, or one address that always leads to the primary.
    One(String),
    /// Some of the nodes of a cluster; the others are learned from them.
    Cluster(Vec<String>),
    /// Sentinels, which know the primary by a name. User, password and database in their URLs are the primary's.
    Sentinels {
        /// The sentinels.
        urls: Vec<String>,
        /// What they call the primary.
        primary: String,
    },
}

impl fmt::Debug for RedisServers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.shown())
    }
}

impl RedisServers {
    fn urls(&self) -> &[String] {
        match self {
            RedisServers::One(url) => std::slice::from_ref(url),
            RedisServers::Cluster(urls) | RedisServers::Sentinels { urls, .. } => urls,
        }
    }

    /// Hosts and ports, without users and passwords.
    pub(super) fn shown(&self) -> String {
        let addresses: Vec<&str> = self.urls().iter().map(|url| address_of(url)).collect();
        addresses.join(", ")
    }
}

/// Host and port of a URL.
fn address_of(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let rest = rest.rsplit_once('@').map_or(rest, |(_, rest)| rest);
    rest.split(['/', '?']).next().unwrap_or_default()
}

/// What must have happened before an answer is given (GUARANTEES §9).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Confirm {
    /// Redis has answered: survives kill -9 of Redis.
    Written,
    /// Redis has flushed it to its append-only file: survives the crash of its host.
    #[default]
    Synced,
    /// So many replicas have it: survives the loss of the primary.
    Replicated(u32),
}

/// How the Redis broker is set up.
#[derive(Clone, Debug)]
pub struct RedisConfig {
    /// Where Redis is.
    pub servers: RedisServers,
    /// What all keys begin with. Installations that share a Redis have one each.
    pub prefix: String,
    /// How many partitions the queues are spread over, fixed when they are made: one, or some for each node of a
    /// cluster. A queue belongs to one by its name; budgets and remembered requests are those of a partition.
    pub partitions: u16,
    /// What must have happened before an answer is given.
    pub confirm: Confirm,
    /// Whether a Redis is taken that loses what was confirmed.
    pub allow_data_loss: bool,
    /// Readers of the event log: it is trimmed behind the slowest of them. The same for all processes.
    pub readers: Vec<String>,
    /// What is kept of final jobs.
    pub machine: MachineConfig,
    /// Facts are kept for so long at least, read or not.
    pub keep_log: Duration,
    /// PEM certificates that are trusted for TLS; the system's where there are none.
    pub ca: Option<Vec<u8>>,
    /// How long one answer may take before the connection is given up as broken.
    pub response_timeout: Duration,
    /// How long a connection may take to be made.
    pub connection_timeout: Duration,
    /// How long a call is repeated before its caller is told that Redis can't be reached.
    pub patience: Duration,
    /// What this process is known by: a random number that no other process has.
    pub process: u64,
}

impl RedisConfig {
    /// The defaults, for one server. `process` must come from the system's randomness.
    #[must_use]
    pub fn new(url: impl Into<String>, process: u64) -> RedisConfig {
        RedisConfig {
            servers: RedisServers::One(url.into()),
            prefix: "palomar".into(),
            partitions: 1,
            confirm: Confirm::default(),
            allow_data_loss: false,
            readers: Vec::new(),
            machine: MachineConfig::default(),
            keep_log: Duration::from_secs(3600),
            ca: None,
            response_timeout: Duration::from_secs(5),
            connection_timeout: Duration::from_secs(3),
            patience: Duration::from_secs(20),
            process,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_not_shown() {
        let servers = RedisServers::Cluster(vec![
            "redis://user:secret@a.example:7000/0".into(),
            "rediss://:p@ss@b.example:7001?protocol=resp3".into(),
            "c.example".into(),
        ]);
        assert_eq!(format!("{servers:?}"), "a.example:7000, b.example:7001, c.example");
        let config = RedisConfig { servers, ..RedisConfig::new("redis://x", 1) };
        assert!(!format!("{config:?}").contains("s@"), "{config:?}");
    }
}
