//! What a server must be: asked when the broker is opened, and refused with one clear line each.

use std::collections::HashMap;
use std::sync::atomic::Ordering;

use redis::{RedisError, Value};

use super::config::{Confirm, RedisConfig};
use super::library::{self, LAYOUT};
use super::link::{Connection, Link, slot_of};
use crate::broker::BrokerError;

/// Functions came with it.
const LEAST_VERSION: (u32, u32) = (7, 0);
/// `WAITAOF` came with it.
const WAITS_FOR_FILE: (u32, u32) = (7, 2);

/// What a server says of itself.
#[derive(Debug, Default, PartialEq, Eq)]
struct Facts {
    address: String,
    version: (u32, u32),
    is_replica: bool,
    replicas: u32,
    eviction: String,
    has_file: bool,
    flushes_always: bool,
}

/// What every primary says of itself, each with its address where there are several.
pub(super) async fn told(link: &Link) -> Result<(Connection, Vec<(Option<String>, String)>), BrokerError> {
    let unreachable = |error: RedisError| match reason_of(&error.to_string()) {
        Some(reason) => BrokerError::Failed(format!("Redis at {} {reason}", link.shown).into()),
        None => BrokerError::Lost(format!("Redis at {}: {error}", link.shown).into()),
    };
    let (_, mut connection) = link.connection().await.map_err(unreachable)?;
    let mut command = redis::cmd("INFO");
    command.arg("everything");
    let info = ask(&mut connection, &command).await.map_err(unreachable)?;
    Ok((connection, info))
}

/// Looks at every primary, and refuses those that can't keep what is promised.
pub(super) async fn check(link: &Link, config: &RedisConfig) -> Result<(), BrokerError> {
    let (mut connection, info) = told(link).await?;
    // What is not allowed to be asked is taken for what is least.
    let mut command = redis::cmd("CONFIG");
    command.arg("GET").arg("appendfsync");
    let flushing = ask(&mut connection, &command).await.unwrap_or_default();
    let mut all_wait = true;
    for (address, text) in info {
        let address = address.unwrap_or_else(|| link.shown.clone());
        let flush = flushing.iter().find(|(of, _)| of.is_none() || of.as_ref() == Some(&address));
        let flushes_always = flush.is_some_and(|(_, policy)| policy == "always");
        let facts = facts_of(address, &text, flushes_always);
        all_wait &= facts.version >= WAITS_FOR_FILE;
        if let Some(problem) = problem_of(&facts, config.confirm, config.allow_data_loss) {
            return Err(BrokerError::Failed(problem.into()));
        }
        if !facts.flushes_always && config.confirm == Confirm::Synced && all_wait {
            link.waits_for_file.store(true, Ordering::Relaxed);
        }
    }
    Ok(())
}

/// What is wrong with an address, in words for whoever wrote it; none where the server may be away.
fn reason_of(error: &str) -> Option<&'static str> {
    [
        ("NOAUTH", "asks for a password; give it in the address"),
        ("WRONGPASS", "refuses the user or the password of the address"),
        ("authentication failed", "refuses the user or the password of the address"),
        (
            "NOPERM",
            "does not permit this user what the broker needs; give it all commands on its keys and channels",
        ),
        ("refused to switch database", "has no such database; see the number at the end of the address"),
        ("cluster support disabled", "is no cluster; give it as a single server"),
    ]
    .into_iter()
    .find(|(part, _)| error.contains(part))
    .map(|(_, reason)| reason)
}

/// Asks all primaries; answers each with its address where there are several.
async fn ask(
    connection: &mut Connection,
    command: &redis::Cmd,
) -> Result<Vec<(Option<String>, String)>, RedisError> {
    Ok(match connection.send(command).await? {
        Value::Map(nodes) => {
            // CONFIG GET of one server is a map too, from names to values.
            let of_node = |(node, answer): (Value, Value)| Some((text_of(node), value_of(answer)?));
            let nodes: Vec<_> = nodes.into_iter().filter_map(of_node).collect();
            match nodes.as_slice() {
                [(Some(name), value)] if !name.contains(':') => vec![(None, value.clone())],
                _ => nodes,
            }
        }
        answer => value_of(answer).map(|answer| (None, answer)).into_iter().collect(),
    })
}

fn text_of(value: Value) -> Option<String> {
    match value {
        Value::BulkString(bytes) => Some(String::from_utf8_lossy(&bytes).into_owned()),
        Value::SimpleString(text) | Value::VerbatimString { text, .. } => Some(text),
        _ => None,
    }
}

/// The text of an answer, or the value of its one setting.
fn value_of(value: Value) -> Option<String> {
    match value {
        Value::Map(settings) => settings.into_iter().next().and_then(|(_, value)| text_of(value)),
        Value::Array(settings) => settings.into_iter().nth(1).and_then(text_of),
        value => text_of(value),
    }
}

/// The fields of what a server says of itself.
pub(super) fn fields_of(info: &str) -> HashMap<&str, &str> {
    info.lines().filter_map(|line| line.trim_end().split_once(':')).collect()
}

fn facts_of(address: String, info: &str, flushes_always: bool) -> Facts {
    let fields = fields_of(info);
    let field = |name: &str| fields.get(name).copied().unwrap_or_default();
    // Valkey says which Redis it stands for.
    let mut version = field("redis_version").split('.').map(|part| part.parse().unwrap_or(0));
    Facts {
        address,
        version: (version.next().unwrap_or(0), version.next().unwrap_or(0)),
        is_replica: field("role") == "slave",
        replicas: field("connected_slaves").parse().unwrap_or(0),
        eviction: field("maxmemory_policy").to_owned(),
        has_file: field("aof_enabled") == "1",
        flushes_always,
    }
}

/// Why a server can't be used, if it can't.
fn problem_of(facts: &Facts, confirm: Confirm, allow_data_loss: bool) -> Option<String> {
    let Facts { address, version, .. } = facts;
    let at = format!("Redis at {address}");
    if *version < LEAST_VERSION {
        let ((major, minor), (least, least_minor)) = (version, LEAST_VERSION);
        return Some(format!("{at} is version {major}.{minor}; {least}.{least_minor} or later is needed"));
    }
    if facts.is_replica {
        return Some(format!("{at} is a read-only replica; give the address of its primary"));
    }
    if allow_data_loss {
        return None;
    }
    if facts.eviction != "noeviction" {
        let policy = &facts.eviction;
        return Some(format!(
            "{at} evicts keys when memory is short (maxmemory-policy {policy}); set noeviction"
        ));
    }
    if !facts.has_file {
        return Some(format!("{at} keeps no append-only file; set appendonly yes"));
    }
    match confirm {
        Confirm::Synced if !facts.flushes_always && *version < WAITS_FOR_FILE => Some(format!(
            "{at} can't confirm what is flushed: set appendfsync always, use version 7.2 or later, or confirm = \"written\""
        )),
        Confirm::Replicated(wanted) if facts.replicas < wanted => {
            Some(format!("{at} has {} replicas, and confirm asks for {wanted}", facts.replicas))
        }
        _ => None,
    }
}

/// Makes the partition where there is none, and refuses one of another layout or number.
pub(super) async fn claim(link: &Link, config: &RedisConfig, base: &str) -> Result<(), BrokerError> {
    let mut command = redis::cmd("FCALL");
    command.arg(&link.library.create).arg(3).arg(&library::keys(base)).arg(LAYOUT).arg(config.partitions);
    let answer = link.call(&command, Some(slot_of(base))).await?;
    let number = |value: Option<Value>| match value {
        Some(Value::BulkString(bytes)) => String::from_utf8_lossy(&bytes).parse::<u32>().ok(),
        _ => None,
    };
    let Value::Array(values) = answer else {
        return Err(BrokerError::Failed(format!("Redis at {} did not answer as it must", link.shown).into()));
    };
    let mut values = values.into_iter();
    let (layout, partitions) = (number(values.next()), number(values.next()));
    let (shown, prefix) = (&link.shown, &config.prefix);
    let problem = match (layout, partitions) {
        (Some(layout), _) if layout > LAYOUT => newer(shown, prefix, layout),
        (_, Some(partitions)) if partitions != u32::from(config.partitions) => format!(
            "the queues {prefix} at {shown} have {partitions} partitions, and {} are configured",
            config.partitions
        ),
        (Some(_), Some(_)) => return Ok(()),
        _ => format!("the keys {prefix} at {shown} belong to something else"),
    };
    Err(BrokerError::Failed(problem.into()))
}

/// That queues are of a layout that this version does not know.
pub(super) fn newer(shown: &str, prefix: &str, layout: u32) -> String {
    format!("the queues {prefix} at {shown} are of layout {layout}, and this version knows {LAYOUT}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "redis_version:7.0.15\r\nrole:master\r\nconnected_slaves:1\r\n\
                        maxmemory_policy:noeviction\r\naof_enabled:1\r\n";

    fn problem(info: &str, confirm: Confirm, always: bool) -> Option<String> {
        problem_of(&facts_of("r.example:6379".into(), info, always), confirm, false)
    }

    #[test]
    fn what_keeps_the_promise_is_taken() {
        assert_eq!(problem(GOOD, Confirm::Written, false), None);
        assert_eq!(problem(GOOD, Confirm::Synced, true), None);
        assert_eq!(problem(GOOD, Confirm::Replicated(1), false), None);
        let newer = GOOD.replace("7.0.15", "7.2.4");
        assert_eq!(problem(&newer, Confirm::Synced, false), None, "it can be asked to flush");
    }

    #[test]
    fn what_does_not_is_refused_with_the_reason() {
        for (change, to, confirm, expected) in [
            ("7.0.15", "6.2.7", Confirm::Written, "version 6.2"),
            ("role:master", "role:slave", Confirm::Written, "replica"),
            ("noeviction", "allkeys-lru", Confirm::Written, "allkeys-lru"),
            ("aof_enabled:1", "aof_enabled:0", Confirm::Written, "appendonly"),
            ("7.0.15", "7.0.15", Confirm::Synced, "appendfsync always"),
            ("connected_slaves:1", "connected_slaves:0", Confirm::Replicated(1), "0 replicas"),
        ] {
            let problem = problem(&GOOD.replace(change, to), confirm, false).expect(expected);
            assert!(problem.contains(expected) && problem.contains("r.example:6379"), "{problem}");
        }
    }

    #[test]
    fn data_loss_can_be_allowed_but_no_old_server() {
        let facts = |info: &str| facts_of("r".into(), info, false);
        let lossy = GOOD.replace("aof_enabled:1", "aof_enabled:0").replace("noeviction", "allkeys-lru");
        assert_eq!(problem_of(&facts(&lossy), Confirm::Synced, true), None);
        assert!(problem_of(&facts(&GOOD.replace("7.0", "5.0")), Confirm::Written, true).is_some());
    }
}
