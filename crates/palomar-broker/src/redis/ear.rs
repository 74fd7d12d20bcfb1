//! Hearing what Redis says unasked: on the connection of the calls where there is one server, and on one of its own in a
//! cluster, where what is published is heard on every node.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{
    AsyncConnectionConfig, ConnectionAddr, ConnectionInfo, PushInfo, PushKind, RedisError, TlsCertificates,
    Value,
};

use super::link::client_of;

/// How often a connection that only listens is asked whether it is there, and which nodes there are.
const ARE_YOU_THERE: Duration = Duration::from_secs(5);
/// The pause before another node is listened to.
const PAUSE: Duration = Duration::from_millis(200);

/// Is told what Redis says unasked.
pub(super) type Pushed = Arc<dyn Fn(PushInfo) + Send + Sync>;

/// How a connection is made on which something is heard.
#[derive(Clone)]
pub(super) struct Ear {
    pub(super) channels: Vec<String>,
    pub(super) pushed: Pushed,
    pub(super) response_timeout: Duration,
    pub(super) connection_timeout: Duration,
}

impl Ear {
    /// Connects, and listens to the channels.
    pub(super) async fn connect(&self, client: &redis::Client) -> Result<MultiplexedConnection, RedisError> {
        let pushed = Arc::clone(&self.pushed);
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(self.connection_timeout))
            .set_response_timeout(Some(self.response_timeout))
            .set_push_sender(move |push: PushInfo| -> Result<(), redis::aio::SendError> {
                pushed(push);
                Ok(())
            });
        let mut connection = client.get_multiplexed_async_connection_with_config(&config).await?;
        for channel in &self.channels {
            connection.subscribe(channel).await?;
        }
        Ok(connection)
    }

    /// Something may have been said that was not heard.
    pub(super) fn has_missed(&self) {
        (self.pushed)(PushInfo { kind: PushKind::Disconnection, data: Vec::new() });
    }

    /// Listens to one of a cluster's nodes, and to another when that one is gone, for ever: those that are configured,
    /// and those that are learned from whichever is listened to.
    pub(super) async fn listen(self, seeds: Vec<ConnectionInfo>, certificates: Option<TlsCertificates>) {
        let mut nodes = seeds.clone();
        for turn in 0.. {
            let node = nodes[turn % nodes.len()].clone();
            if let Ok(client) = client_of(node.clone(), certificates.clone())
                && let Ok(mut connection) = self.connect(&client).await
            {
                self.has_missed();
                while let Ok(slots) = redis::cmd("CLUSTER").arg("SLOTS").query_async(&mut connection).await {
                    let learned = nodes_of(slots, &node).into_iter();
                    let learned: Vec<_> =
                        learned.filter(|one| seeds.iter().all(|seed| seed.addr() != one.addr())).collect();
                    nodes = seeds.iter().cloned().chain(learned).collect();
                    tokio::time::sleep(ARE_YOU_THERE).await;
                }
                self.has_missed();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// The nodes that one of them knows of, reached as it was.
fn nodes_of(slots: Value, asked: &ConnectionInfo) -> Vec<ConnectionInfo> {
    let Value::Array(ranges) = slots else { return Vec::new() };
    let mut nodes: Vec<ConnectionInfo> = Vec::new();
    // A range is its first slot, its last, and its nodes.
    let of_range = |range| if let Value::Array(parts) = range { parts } else { Vec::new() };
    for node in ranges.into_iter().flat_map(|range| of_range(range).into_iter().skip(2)) {
        if let Some(node) = node_of(node, asked)
            && nodes.iter().all(|known| known.addr() != node.addr())
        {
            nodes.push(node);
        }
    }
    nodes
}

/// A node as `CLUSTER SLOTS` names it: its host, where it is not that of the node that was asked, and its port.
fn node_of(node: Value, asked: &ConnectionInfo) -> Option<ConnectionInfo> {
    let Value::Array(parts) = node else { return None };
    let mut parts = parts.into_iter();
    let named = match parts.next()? {
        Value::BulkString(host) => String::from_utf8(host).ok()?,
        Value::SimpleString(host) => host,
        _ => String::new(),
    };
    let Value::Int(named_port) = parts.next()? else { return None };
    let mut address = asked.addr().clone();
    match &mut address {
        ConnectionAddr::Tcp(host, port) | ConnectionAddr::TcpTls { host, port, .. } => {
            // A node that does not know its own name says nothing, or a question mark.
            if !named.is_empty() && named != "?" {
                *host = named;
            }
            *port = u16::try_from(named_port).ok()?;
        }
        _ => return None,
    }
    Some(asked.clone().set_addr(address))
}

#[cfg(test)]
mod tests {
    use redis::IntoConnectionInfo as _;

    use super::*;

    #[test]
    fn nodes_are_learned_with_how_they_are_reached() {
        let text = |text: &str| Value::BulkString(text.as_bytes().to_vec());
        let node = |host, port| Value::Array(vec![host, Value::Int(port), text("id")]);
        let range = |nodes: Vec<Value>| {
            Value::Array([Value::Int(0), Value::Int(5)].into_iter().chain(nodes).collect())
        };
        let slots = Value::Array(vec![
            range(vec![node(text("10.0.0.1"), 7000), node(text("b.example"), 7001)]),
            range(vec![node(text("b.example"), 7001), node(text(""), 7002), node(Value::Nil, 7003)]),
            range(vec![node(text("far"), 70_000), Value::Nil]),
        ]);
        let asked = "redis://user:secret@a.example:7009".into_connection_info().expect("an address");
        let nodes = nodes_of(slots, &asked);
        let addresses: Vec<_> = nodes.iter().map(|node| node.addr().to_string()).collect();
        assert_eq!(addresses, ["10.0.0.1:7000", "b.example:7001", "a.example:7002", "a.example:7003"]);
        assert!(nodes.iter().all(|node| node.redis_settings().password() == Some("secret")));
        assert!(nodes_of(Value::Nil, &asked).is_empty());
    }
}
