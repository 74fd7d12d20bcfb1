//! The connection to Redis: one for all calls of a process, made again where it breaks.
//!
//! A call whose answer was lost is repeated until `patience` is over. It carries the caller's number, so that the
//! library answers a call that was done with the answer that it gave then (see `lua/call.lua`).

use std::time::Duration;

use futures_util::future::join;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::cluster::ClusterClient;
use redis::cluster_async::ClusterConnection;
use redis::cluster_routing::{Route, SingleNodeRoutingInfo, SlotAddr};
use redis::sentinel::{Sentinel, SentinelNodeConnectionInfo};
use redis::{
    Cmd, ConnectionInfo, ErrorKind, IntoConnectionInfo, ProtocolVersion, RedisError, ServerErrorKind,
    TlsCertificates, TlsMode, Value,
};
use tokio::sync::Mutex;
use tokio::task::AbortHandle;

use super::config::{Confirm, RedisConfig, RedisServers};
use super::ear::{Ear, Pushed};
use super::library::Library;
use crate::broker::BrokerError;

/// The first pause before a call is repeated, and the longest.
const PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The slot of a cluster that holds the keys with a hash tag.
pub(super) fn slot_of(base: &str) -> u16 {
    let tag = base.split_once('{').and_then(|(_, rest)| rest.split_once('}')).map_or(base, |(tag, _)| tag);
    crc16::State::<crc16::XMODEM>::calculate(tag.as_bytes()) % 16_384
}

/// How connections are made.
enum Client {
    One(redis::Client),
    Cluster(ClusterClient),
    Sentinels { sentinel: Mutex<Sentinel>, primary: String, node: SentinelNodeConnectionInfo },
}

#[derive(Clone)]
pub(super) enum Connection {
    One(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends one command and waits for its answer.
    pub(super) async fn send(&mut self, command: &Cmd) -> Result<Value, RedisError> {
        match self {
            Connection::One(connection) => checked(connection.req_packed_command(command).await?),
            Connection::Cluster(connection) => checked(connection.req_packed_command(command).await?),
        }
    }

    /// Sends a command and what waits for its confirmation, the one behind the other to the same server: another server
    /// would confirm what it has never heard of.
    async fn send_confirmed(
        &mut self,
        command: &Cmd,
        confirmation: Cmd,
        slot: u16,
    ) -> Result<(Value, Value), RedisError> {
        let connection = match self {
            Connection::One(connection) => {
                let mut other = connection.clone();
                let both =
                    join(connection.req_packed_command(command), other.req_packed_command(&confirmation));
                let (answer, confirmed) = both.await;
                return Ok((checked(answer?)?, checked(confirmed?)?));
            }
            Connection::Cluster(connection) => connection,
        };
        let mut both = redis::Pipeline::new();
        both.add_command(command.clone()).add_command(confirmation);
        let primary = SingleNodeRoutingInfo::SpecificNode(Route::new(slot, SlotAddr::Master));
        let mut answers = connection.route_pipeline(both, 0, 2, primary).await?.into_iter();
        let (Some(answer), Some(confirmed)) = (answers.next(), answers.next()) else {
            return Err(RedisError::from((ErrorKind::UnexpectedReturnType, "two commands, not two answers")));
        };
        let answer = match checked(answer) {
            Err(error) if cure_of(&error) == Cure::Reconnect => {
                // Only a command by itself is followed to where its slot is now, and lets that be learned. Both go again.
                connection.req_packed_command(command).await?;
                return Err(error);
            }
            answer => answer?,
        };
        Ok((answer, checked(confirmed)?))
    }
}

/// An answer, unless it is an error of the server.
fn checked(answer: Value) -> Result<Value, RedisError> {
    match answer {
        Value::ServerError(error) => Err(error.into()),
        answer => Ok(answer),
    }
}

/// What to do about an error.
#[derive(Debug, PartialEq, Eq)]
enum Cure {
    /// The library is not there.
    Load,
    /// The same connection will do, a little later.
    Wait,
    /// Another connection is needed.
    Reconnect,
    /// There is no memory left.
    Full,
    /// None.
    None,
}

fn cure_of(error: &RedisError) -> Cure {
    match error.kind() {
        ErrorKind::Server(kind) => match kind {
            ServerErrorKind::BusyLoading
            | ServerErrorKind::TryAgain
            | ServerErrorKind::ClusterDown
            | ServerErrorKind::MasterDown => Cure::Wait,
            ServerErrorKind::ReadOnly | ServerErrorKind::Moved | ServerErrorKind::Ask => Cure::Reconnect,
            // A primary that is none any more between a call and its confirmation.
            ServerErrorKind::ResponseError
                if error.detail().is_some_and(|text| text.contains("replica instances")) =>
            {
                Cure::Reconnect
            }
            // It serves as many as it can.
            ServerErrorKind::ResponseError
                if error.detail().is_some_and(|text| text.contains("number of clients")) =>
            {
                Cure::Wait
            }
            ServerErrorKind::ResponseError
                if error.detail().is_some_and(|text| text.contains("Function not found")) =>
            {
                Cure::Load
            }
            _ => Cure::None,
        },
        ErrorKind::Extension => match error.code() {
            Some("OOM") => Cure::Full,
            // A script that takes long, a disk that can't be written, replicas that are gone.
            Some("BUSY" | "MISCONF" | "NOREPLICAS") => Cure::Wait,
            // A primary became a replica while something waited for its replicas.
            Some("UNBLOCKED") => Cure::Reconnect,
            _ => Cure::None,
        },
        ErrorKind::InvalidClientConfig | ErrorKind::RESP3NotSupported | ErrorKind::EmptySentinelList => {
            Cure::None
        }
        ErrorKind::MasterNameNotFoundBySentinel => Cure::Wait,
        _ => Cure::Reconnect,
    }
}

/// The connection to Redis.
pub(super) struct Link {
    client: Client,
    pub(super) library: Library,
    /// The connection in use, and its number.
    connection: Mutex<(u64, Option<Connection>)>,
    ear: Ear,
    /// Who listens to a cluster.
    listening: Option<AbortHandle>,
    confirm: Confirm,
    /// Whether the server can be asked when its append-only file is flushed, instead of flushing always.
    pub(super) waits_for_file: std::sync::atomic::AtomicBool,
    patience: Duration,
    pub(super) shown: String,
    pub(super) process: u64,
}

fn info_of(url: &str, shown: &str) -> Result<ConnectionInfo, BrokerError> {
    let unreadable = |_| BrokerError::Failed(format!("not the address of a Redis: {shown}").into());
    let info = url.into_connection_info().map_err(unreadable)?;
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    Ok(info.set_redis_settings(settings))
}

impl Link {
    /// A link that connects when it is first needed. `channels` are subscribed to on every connection.
    pub(super) fn new(
        config: &RedisConfig,
        channels: Vec<String>,
        pushed: Pushed,
    ) -> Result<Link, BrokerError> {
        let shown = config.servers.shown();
        let client_of = |info: ConnectionInfo| client_of(info, certificates(config));
        let refused = |error: RedisError| BrokerError::Failed(format!("Redis at {shown}: {error}").into());
        let mut listened = None;
        let client = match &config.servers {
            RedisServers::One(url) => Client::One(client_of(info_of(url, &shown)?).map_err(refused)?),
            RedisServers::Cluster(urls) => {
                let infos: Result<Vec<_>, _> = urls.iter().map(|url| info_of(url, &shown)).collect();
                let infos = infos?;
                let opened: Result<Vec<_>, _> = infos.iter().cloned().map(client_of).collect();
                opened.map_err(refused)?;
                listened = Some(infos.clone());
                let mut builder = ClusterClient::builder(infos)
                    .use_protocol(ProtocolVersion::RESP3)
                    .connection_timeout(config.connection_timeout)
                    .response_timeout(config.response_timeout);
                if let Some(certificates) = certificates(config) {
                    builder = builder.certs(certificates);
                }
                Client::Cluster(builder.build().map_err(refused)?)
            }
            RedisServers::Sentinels { urls, primary } => {
                let infos: Result<Vec<_>, _> = urls.iter().map(|url| info_of(url, &shown)).collect();
                let infos = infos?;
                let settings = infos.first().map(|info| info.redis_settings().clone());
                let mut node = SentinelNodeConnectionInfo::default();
                if let Some(settings) = settings {
                    node = node.set_redis_connection_info(settings);
                }
                if urls.iter().any(|url| url.starts_with("rediss:")) {
                    node = node.set_tls_mode(TlsMode::Secure);
                }
                let sentinel = Mutex::new(Sentinel::build(infos).map_err(refused)?);
                Client::Sentinels { sentinel, primary: primary.clone(), node }
            }
        };
        let (response_timeout, connection_timeout) = (config.response_timeout, config.connection_timeout);
        let ear = Ear { channels, pushed, response_timeout, connection_timeout };
        let ca = certificates(config);
        let listening = listened.map(|seeds| tokio::spawn(ear.clone().listen(seeds, ca)).abort_handle());
        Ok(Link {
            client,
            listening,
            library: Library::new(),
            connection: Mutex::new((0, None)),
            ear,
            confirm: config.confirm,
            waits_for_file: false.into(),
            patience: config.patience,
            shown,
            process: config.process,
        })
    }

    async fn connect(&self) -> Result<Connection, RedisError> {
        Ok(match &self.client {
            Client::One(client) => Connection::One(self.ear.connect(client).await?),
            Client::Cluster(client) => Connection::Cluster(client.get_async_connection().await?),
            Client::Sentinels { sentinel, primary, node } => {
                let client = sentinel.lock().await.async_master_for(primary.as_str(), Some(node)).await?;
                Connection::One(self.ear.connect(&client).await?)
            }
        })
    }

    /// The connection in use, made where there is none, and its number.
    pub(super) async fn connection(&self) -> Result<(u64, Connection), RedisError> {
        let mut current = self.connection.lock().await;
        if current.1.is_none() {
            let connection = self.connect().await?;
            *current = (current.0 + 1, Some(connection));
            // What was said meanwhile was not heard.
            self.ear.has_missed();
        }
        match &current.1 {
            Some(connection) => Ok((current.0, connection.clone())),
            None => Err(RedisError::from((ErrorKind::Io, "no connection"))),
        }
    }

    async fn give_up(&self, number: u64) {
        if matches!(self.client, Client::Cluster(_)) {
            // It makes the connections to its nodes again by itself, and the other nodes are there.
            return;
        }
        let mut current = self.connection.lock().await;
        if current.0 == number {
            current.1 = None;
        }
    }

    /// Sends a command until it is answered, and waits until what it did is confirmed as it must be.
    ///
    /// `slot` is the one of the keys that it changes, if it changes any.
    pub(super) async fn call(&self, command: &Cmd, slot: Option<u16>) -> Result<Value, BrokerError> {
        self.call_within(command, slot, self.patience).await
    }

    /// As [`Link::call`], with a patience of its own.
    pub(super) async fn call_within(
        &self,
        command: &Cmd,
        slot: Option<u16>,
        patience: Duration,
    ) -> Result<Value, BrokerError> {
        let mut last = None;
        let mut pause = PAUSE;
        let repeated = async {
            loop {
                match self.once(command, slot).await {
                    Ok(value) => return Ok(value),
                    Err((number, error)) => {
                        match cure_of(&error) {
                            Cure::Load => match self.load().await {
                                Ok(()) => continue,
                                Err(error) if cure_of(&error) == Cure::None => {
                                    return Err(self.failed(&error));
                                }
                                Err(error) => last = Some(error),
                            },
                            Cure::Wait => last = Some(error),
                            Cure::Reconnect => {
                                self.give_up(number).await;
                                last = Some(error);
                            }
                            Cure::Full => return Err(BrokerError::Full),
                            Cure::None => return Err(self.failed(&error)),
                        }
                        tokio::time::sleep(self.jittered(pause)).await;
                        pause = (pause * 2).min(LONGEST_PAUSE);
                    }
                }
            }
        };
        match tokio::time::timeout(patience, repeated).await {
            Ok(answer) => answer,
            Err(_) => {
                let why = last.map_or_else(|| "no answer".to_owned(), |error: RedisError| error.to_string());
                Err(BrokerError::Lost(format!("Redis at {}: {why}", self.shown).into()))
            }
        }
    }

    /// Many processes that lost one server do not come back all at once.
    fn jittered(&self, pause: Duration) -> Duration {
        pause / 2 + pause.mul_f64(f64::from(self.process as u16) / f64::from(u16::MAX) / 2.0)
    }

    fn failed(&self, error: &RedisError) -> BrokerError {
        BrokerError::Failed(format!("Redis at {}: {error}", self.shown).into())
    }

    async fn once(&self, command: &Cmd, slot: Option<u16>) -> Result<Value, (u64, RedisError)> {
        let (number, mut connection) = self.connection().await.map_err(|error| (0, error))?;
        let of_connection = |error| (number, error);
        let (Some(wait), Some(slot)) = (self.confirmation(), slot) else {
            return connection.send(command).await.map_err(of_connection);
        };
        let both = connection.send_confirmed(command, wait, slot).await;
        let (answer, confirmed) = both.map_err(of_connection)?;
        if self.is_confirmed(&confirmed) {
            Ok(answer)
        } else {
            // It is done and remembered: the call that is repeated waits again.
            Err((u64::MAX, RedisError::from((ErrorKind::Io, "not confirmed in time"))))
        }
    }

    /// Whether what a call did is confirmed by more than its answer.
    pub(super) fn confirms(&self) -> bool {
        self.confirmation().is_some()
    }

    /// What waits until a call is confirmed, where its answer is not enough.
    fn confirmation(&self) -> Option<Cmd> {
        let millis = self.ear.response_timeout.as_millis() as u64 / 2;
        match self.confirm {
            Confirm::Written => None,
            Confirm::Synced => self.waits_for_file.load(std::sync::atomic::Ordering::Relaxed).then(|| {
                let mut command = redis::cmd("WAITAOF");
                command.arg(1).arg(0).arg(millis);
                command
            }),
            Confirm::Replicated(replicas) => {
                let mut command = redis::cmd("WAIT");
                command.arg(replicas).arg(millis);
                Some(command)
            }
        }
    }

    fn is_confirmed(&self, answer: &Value) -> bool {
        match (self.confirm, answer) {
            (Confirm::Replicated(replicas), Value::Int(count)) => *count >= i64::from(replicas),
            (Confirm::Synced, Value::Array(counts)) => matches!(counts.first(), Some(Value::Int(1..))),
            _ => false,
        }
    }

    /// Gives the library to every primary.
    pub(super) async fn load(&self) -> Result<(), RedisError> {
        let (_, mut connection) = self.connection().await?;
        let mut command = redis::cmd("FUNCTION");
        command.arg("LOAD").arg(&self.library.text);
        match connection.send(&command).await {
            Err(error) if error.to_string().contains("already exists") => Ok(()),
            answer => answer.map(|_| ()),
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        if let Some(listening) = &self.listening {
            listening.abort();
        }
    }
}

/// Who connects to one server.
pub(super) fn client_of(
    info: ConnectionInfo,
    certificates: Option<TlsCertificates>,
) -> Result<redis::Client, RedisError> {
    match certificates {
        Some(certificates) => redis::Client::build_with_tls(info, certificates),
        None => redis::Client::open(info),
    }
}

fn certificates(config: &RedisConfig) -> Option<TlsCertificates> {
    config.ca.clone().map(|ca| TlsCertificates { client_tls: None, root_cert: Some(ca) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slots_are_those_of_redis() {
        // As CLUSTER KEYSLOT answers.
        for (key, slot) in [("{foo}:job", 12_182), ("foo", 12_182), ("{123456789}", 12_739)] {
            assert_eq!(slot_of(key), slot, "{key}");
        }
    }
}
