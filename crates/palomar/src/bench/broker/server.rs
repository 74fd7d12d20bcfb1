//! The Redis that is measured: what it must be, what it says of itself, and how it is left as it was found.
//!
//! What always holds: only keys under [`PREFIX`] are touched; a database with other keys is refused unless that is meant.

use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use palomar_broker::{Confirm, RedisConfig};
use redis::aio::MultiplexedConnection;

use crate::bench::measure::Elsewhere;

/// What the keys of the measurements begin with.
const PREFIX: &str = "palomar-bench";
/// Keys that are looked at, and removed, at a time.
const AT_A_TIME: usize = 1_000;
/// How long removed keys may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(60);

/// When the server flushes its append-only file: what an answer of it survives.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Flushes {
    EachWrite,
    EachSecond,
    Never,
}

/// A Redis to measure on.
pub(super) struct Server {
    url: String,
    flushes: Flushes,
    connection: MultiplexedConnection,
}

/// What a server says of itself.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Figures {
    cpu: Duration,
    commands: u64,
    appended: u64,
    /// Bytes that it has allocated.
    pub(super) memory: u64,
    /// Connections to it.
    pub(super) clients: u64,
    /// Removed keys whose memory is not free yet.
    pending: u64,
}

impl Server {
    /// Connects, and removes what an earlier run may have left.
    pub(super) async fn connect(url: &str, beside_others: bool) -> anyhow::Result<Server> {
        let client = redis::Client::open(url).context("--redis is not the address of a Redis")?;
        let mut connection = client
            .get_multiplexed_async_connection()
            .await
            .context("the Redis of --redis can't be reached")?;
        let flushes = flushes(&mut connection).await?;
        let server = Server { url: url.to_owned(), flushes, connection };
        server.clear().await?;
        let others: usize = server.ask(&redis::cmd("DBSIZE")).await?;
        ensure!(
            others == 0 || beside_others,
            "the database of --redis holds {others} other keys: give an empty one, or --beside-others (keys of others are \
             left alone, but what they cost is in the figures)"
        );
        Ok(server)
    }

    /// Who is measured, as the lines name it.
    pub(super) fn engine(&self) -> &'static str {
        match self.flushes {
            Flushes::EachWrite => "palomar redis, appendfsync always",
            Flushes::EachSecond => "palomar redis, appendfsync everysec",
            Flushes::Never => "palomar redis, nothing flushed",
        }
    }

    /// How a broker on it is set up: what it confirms is what the server does.
    pub(super) fn config(&self, process: u64) -> RedisConfig {
        RedisConfig {
            prefix: PREFIX.into(),
            confirm: match self.flushes {
                Flushes::EachWrite => Confirm::Synced,
                Flushes::EachSecond | Flushes::Never => Confirm::Written,
            },
            allow_data_loss: self.flushes == Flushes::Never,
            ..RedisConfig::new(&*self.url, process)
        }
    }

    async fn ask<T: redis::FromRedisValue>(&self, command: &redis::Cmd) -> anyhow::Result<T> {
        Ok(command.query_async(&mut self.connection.clone()).await?)
    }

    /// What it says of itself now.
    pub(super) async fn figures(&self) -> anyhow::Result<Figures> {
        let mut command = redis::cmd("INFO");
        command.arg("all");
        Ok(figures_of(&self.ask::<String>(&command).await?))
    }

    /// Removes the keys of the measurements, and waits until their memory is free.
    pub(super) async fn clear(&self) -> anyhow::Result<()> {
        let mut cursor = 0_u64;
        loop {
            let mut scan = redis::cmd("SCAN");
            scan.arg(cursor).arg("MATCH").arg(format!("{{{PREFIX}:p*")).arg("COUNT").arg(AT_A_TIME);
            let (next, keys): (u64, Vec<Vec<u8>>) = self.ask(&scan).await?;
            if !keys.is_empty() {
                let mut unlink = redis::cmd("UNLINK");
                unlink.arg(keys);
                let _: usize = self.ask(&unlink).await?;
            }
            cursor = next;
            if cursor == 0 {
                break;
            }
        }
        let gone = async {
            while self.figures().await?.pending > 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(GONE_WITHIN, gone).await.context("Redis does not free what was removed")?
    }
}

async fn flushes(connection: &mut MultiplexedConnection) -> anyhow::Result<Flushes> {
    let mut setting = async |name: &str| -> anyhow::Result<String> {
        let mut command = redis::cmd("CONFIG");
        command.arg("GET").arg(name);
        let (_, value): (String, String) = command.query_async(connection).await?;
        Ok(value)
    };
    if setting("appendonly").await? != "yes" {
        return Ok(Flushes::Never);
    }
    Ok(match setting("appendfsync").await?.as_str() {
        "always" => Flushes::EachWrite,
        "everysec" => Flushes::EachSecond,
        "no" => Flushes::Never,
        other => bail!("appendfsync {other} is not known"),
    })
}

fn figures_of(info: &str) -> Figures {
    let field = |name: &str| {
        info.lines()
            .find_map(|line| line.trim_end().strip_prefix(name)?.strip_prefix(':'))
            .unwrap_or_default()
    };
    let number = |name: &str| field(name).parse::<u64>().unwrap_or(0);
    let seconds = |name: &str| field(name).parse::<f64>().unwrap_or(0.0);
    Figures {
        cpu: Duration::from_secs_f64(seconds("used_cpu_user") + seconds("used_cpu_sys")),
        commands: number("total_commands_processed"),
        appended: number("aof_current_size"),
        memory: number("used_memory"),
        clients: number("connected_clients"),
        pending: number("lazyfree_pending_objects"),
    }
}

impl Figures {
    /// What was spent since then.
    pub(super) fn since(self, before: Figures) -> Elsewhere {
        Elsewhere {
            cpu: self.cpu.saturating_sub(before.cpu),
            commands: self.commands.saturating_sub(before.commands),
            appended: self.appended.checked_sub(before.appended).filter(|bytes| *bytes > 0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_is_read() {
        let before = figures_of(
            "# Memory\r\nused_memory:1000\r\nused_memory_rss:9\r\nused_cpu_sys:0.5\r\nused_cpu_user:1.25\r\n\
             used_cpu_sys_children:7\r\ntotal_commands_processed:10\r\naof_current_size:50\r\nconnected_clients:2\r\n",
        );
        assert_eq!((before.memory, before.clients, before.cpu), (1000, 2, Duration::from_millis(1750)));
        let after = Figures { commands: 25, appended: 80, cpu: Duration::from_secs(2), ..before };
        let spent = after.since(before);
        assert_eq!((spent.commands, spent.appended, spent.cpu), (15, Some(30), Duration::from_millis(250)));
        assert_eq!(before.since(after).appended, None, "it was written anew");
    }
}
