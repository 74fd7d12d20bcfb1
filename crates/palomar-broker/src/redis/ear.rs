//! Hearing what Redis says unasked: on the connection of the calls where there is one server, and on one of its own in a
//! cluster, where what is published is heard on every node.

use std::sync::Arc;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::{AsyncConnectionConfig, PushInfo, PushKind, RedisError};

/// How often a connection that only listens is asked whether it is there.
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

    /// Listens to one of the nodes, and to another when that one is gone, for ever.
    pub(super) async fn listen(self, nodes: Vec<redis::Client>) {
        for node in nodes.iter().cycle() {
            if let Ok(mut connection) = self.connect(node).await {
                self.has_missed();
                loop {
                    tokio::time::sleep(ARE_YOU_THERE).await;
                    if redis::cmd("PING").exec_async(&mut connection).await.is_err() {
                        break;
                    }
                }
                self.has_missed();
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}
