//! What `palomar store info` says of queues in Redis: they are looked at without being opened, and nothing changes.

use std::sync::Arc;

use redis::{Cmd, Value};

use super::base_of;
use super::config::RedisConfig;
use super::library::LAYOUT;
use super::link::Link;
use super::server;
use super::wire::Reader;
use crate::broker::BrokerError;

/// Queues in Redis, in numbers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisInfo {
    /// Hosts and ports, without users and passwords.
    pub servers: String,
    /// What serves there, with its version.
    pub engine: String,
    /// What all keys begin with.
    pub prefix: String,
    /// Each partition; none where no queues were made under the prefix yet.
    pub partitions: Vec<PartitionInfo>,
}

/// A partition in numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartitionInfo {
    /// Jobs that are known in it, final ones that are kept among them.
    pub jobs: u64,
    /// The number of the last fact of its event log.
    pub log_end: u64,
}

/// Looks at the queues that a broker of this configuration would open.
pub async fn redis_info(config: &RedisConfig) -> Result<RedisInfo, BrokerError> {
    let link = Link::new(config, Vec::new(), Arc::new(|_| {}))?;
    let (_, told) = server::told(&link).await?;
    let engine = told.first().map_or_else(String::new, |(_, info)| engine_of(info));
    let (servers, prefix) = (link.shown.clone(), config.prefix.clone());
    let unreadable =
        || BrokerError::Failed(format!("the keys {prefix} at {servers} belong to something else").into());
    let first = asked(&link, "HMGET", &base_of(&prefix, 0), &["layout", "partitions"]).await?;
    let partitions = match numbers_of(&first).as_slice() {
        [None, None] => 0,
        [Some(layout), Some(_)] if *layout > u64::from(LAYOUT) => {
            let layout = u32::try_from(*layout).unwrap_or(u32::MAX);
            return Err(BrokerError::Failed(server::newer(&servers, &prefix, layout).into()));
        }
        [Some(_), Some(partitions)] => u16::try_from(*partitions).map_err(|_| unreadable())?,
        _ => return Err(unreadable()),
    };
    let mut all = Vec::with_capacity(partitions.into());
    for number in 0..partitions {
        let base = base_of(&prefix, number);
        let meta = asked(&link, "HGET", &base, &["m"]).await?;
        let Value::Int(jobs) = asked(&link, "HLEN", &format!("{base}:id"), &[]).await? else {
            return Err(unreadable());
        };
        let log_end = log_end_of(&meta).ok_or_else(unreadable)?;
        all.push(PartitionInfo { jobs: u64::try_from(jobs).unwrap_or_default(), log_end });
    }
    Ok(RedisInfo { servers: servers.clone(), engine, prefix: prefix.clone(), partitions: all })
}

async fn asked(link: &Link, command: &str, key: &str, more: &[&str]) -> Result<Value, BrokerError> {
    let mut asked: Cmd = redis::cmd(command);
    asked.arg(key).arg(more);
    link.call(&asked, None).await
}

/// Valkey says which Redis it stands for, and what it is.
fn engine_of(info: &str) -> String {
    let fields = server::fields_of(info);
    match (fields.get("valkey_version"), fields.get("redis_version")) {
        (Some(version), _) => format!("Valkey {version}"),
        (None, Some(version)) => format!("Redis {version}"),
        (None, None) => "Redis".to_owned(),
    }
}

fn numbers_of(answer: &Value) -> Vec<Option<u64>> {
    let number = |value: &Value| match value {
        Value::BulkString(bytes) => std::str::from_utf8(bytes).ok()?.parse().ok(),
        _ => None,
    };
    match answer {
        Value::Array(values) => values.iter().map(number).collect(),
        _ => Vec::new(),
    }
}

/// The number of the last fact, from a partition's own record: it is before the second number there.
fn log_end_of(meta: &Value) -> Option<u64> {
    let Value::BulkString(bytes) = meta else { return None };
    let mut reader = Reader::new(bytes);
    reader.array().ok()?;
    reader.int().ok()?;
    reader.count::<u64>().ok()?.checked_sub(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_says_what_it_is() {
        for (info, expected) in [
            ("redis_version:7.0.15\r\n", "Redis 7.0.15"),
            ("redis_version:7.2.4\r\nserver_name:valkey\r\nvalkey_version:8.0.1\r\n", "Valkey 8.0.1"),
            ("", "Redis"),
        ] {
            assert_eq!(engine_of(info), expected);
        }
    }

    #[test]
    fn what_is_not_ours_has_no_end() {
        for other in [Value::Nil, Value::BulkString(vec![]), Value::BulkString(b"other".to_vec())] {
            assert_eq!(log_end_of(&other), None);
        }
        assert_eq!(log_end_of(&Value::BulkString(vec![0x93, 5, 9, 0])), Some(8));
    }
}
