//! Events for front ends by Socket.IO: the same as by SSE, for clients of socket.io (protocol 5, over WebSocket or polling).
//!
//! ```text
//! handshake: key, rooms, types, since ─> subscription ─> pump ─> client
//!                                             ↑
//!                subscribe, unsubscribe ──────┘
//! ```
//!
//! What always holds: a client is taken in before it is told that it is connected, so that nothing which happens after that is
//! missing; every room is checked against its key; no more waits for it than [`BUFFER`] packets of 16 KiB at most.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{HeaderMap, header};
use palomar_app::{Caller, Dropped, EventFilter, Next, Room, Subscriber, Subscription, Transport};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use serde_json::{Value, json};
use socketioxide::extract::{AckSender, Data, SocketRef, TryData};
use socketioxide::handler::ConnectHandler as _;
use socketioxide::layer::SocketIoLayer;
use socketioxide::{SendError, SocketError, SocketIo};
use tokio::sync::{Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::layers::prove;
use crate::problem::{Code, Problem};
use crate::state::Api;

/// Packets that wait for a client, beside what its connection holds (128 KiB).
const BUFFER: usize = 6;
/// Bytes of what a client sends at once: handshakes and names of rooms.
const MOST_SENT: usize = 16 * 1024;
/// Rooms of a client.
const MOST_ROOMS: usize = 100;
/// Orders of a client that are carried out or wait.
const MOST_ORDERS: usize = 32;
/// A client that has no room for another packet is asked again after so long.
const FULL: Duration = Duration::from_millis(1);
/// One that is dropped has so long to take what says so.
const FAREWELL: Duration = Duration::from_secs(2);
/// A connection that does not say who it is ends after so long.
const CONNECT: Duration = Duration::from_secs(10);

/// The layer that answers below `/socket.io/`.
pub(crate) fn layer(api: &Arc<Api>) -> SocketIoLayer {
    let (layer, io) = SocketIo::builder()
        .req_path("/socket.io")
        .max_buffer_size(BUFFER)
        .max_payload(MOST_SENT as u64)
        .ws_max_message_size(MOST_SENT)
        .ws_max_frame_size(MOST_SENT)
        .ws_read_buffer_size(4 * 1024)
        .connect_timeout(CONNECT)
        .build_layer();
    let api = Arc::clone(api);
    let enter = move |socket: SocketRef, TryData(auth): TryData<Handshake>| {
        let api = Arc::clone(&api);
        async move {
            let auth = auth.map_err(|_| {
                refused("auth", &"must be {token, rooms, types, since}, texts and lists of texts")
            })?;
            enter(&api, &socket, auth).await
        }
    };
    io.ns("/", connected.with(enter));
    layer
}

/// What a client says of itself when it connects.
#[derive(Clone, Default, Deserialize)]
#[serde(default)]
struct Handshake {
    /// Its key; `Authorization: Bearer` does as well.
    token: Option<String>,
    /// The rooms that it joins; all that its key may see, where it does not say.
    rooms: Option<Vec<String>>,
    /// The types of events that it wants, or families of them.
    types: Option<Vec<String>>,
    /// The last event that it has.
    since: Option<String>,
}

/// Why a client is not let in: the problem's code, and what to do.
struct Refused(Problem);

impl std::fmt::Display for Refused {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.0.code().parts().1, self.0.detail())
    }
}

/// A client that was taken in, on its way to [`connected`].
#[derive(Clone)]
struct Entered(Arc<Mutex<Option<Guest>>>);

/// What it gets, and what it orders.
struct Guest {
    subscription: Subscription,
    orders: mpsc::Receiver<Order>,
}

/// The rooms of a client from now on, and who waits until that is so.
struct Order(BTreeSet<Room>, oneshot::Sender<()>);

/// Proves who it is, and takes it in. Runs before the client is told that it is connected.
async fn enter(api: &Arc<Api>, socket: &SocketRef, auth: Handshake) -> Result<(), Refused> {
    let caller = caller(api, &auth, &socket.req_parts().headers)?;
    let mut filter = EventFilter::default();
    for pattern in auth.types.iter().flatten() {
        filter.add_types(pattern).map_err(|error| refused("types", &error))?;
    }
    if let Some(rooms) = &auth.rooms {
        let read = rooms.iter().map(|room| room.parse::<Room>().map_err(|error| refused("rooms", &error)));
        let rooms = read.collect::<Result<BTreeSet<_>, _>>()?;
        if rooms.len() > MOST_ROOMS {
            return Err(refused("rooms", &format!("has more than {MOST_ROOMS}")));
        }
        filter.rooms = Some(rooms);
    }
    let since = auth.since.as_deref().filter(|since| !since.is_empty()).map(str::parse).transpose();
    let since = since.map_err(|error| refused("since", &error))?;
    let who = Subscriber {
        caller: caller.clone(),
        filter,
        since,
        transport: Transport::SocketIo,
        // Its connection gives up by itself where nothing is taken.
        cut: CancellationToken::new(),
    };
    let subscription = api.app.follow(who).await.map_err(|error| Refused(error.into()))?;
    let (orders, ordered) = mpsc::channel(1);
    let members = Arc::new(Members {
        api: Arc::clone(api),
        caller,
        rooms: tokio::sync::Mutex::new(subscription.rooms().cloned().unwrap_or_default()),
        orders,
        waiting: Semaphore::new(MOST_ORDERS),
    });
    let joining = Arc::clone(&members);
    socket.on("subscribe", async move |Data(asked): Data<Value>, ack: AckSender| {
        let _ = ack.send(&joining.change(&asked, true).await);
    });
    socket.on("unsubscribe", async move |Data(asked): Data<Value>, ack: AckSender| {
        let _ = ack.send(&members.change(&asked, false).await);
    });
    let guest = Guest { subscription, orders: ordered };
    socket.extensions.insert(Entered(Arc::new(Mutex::new(Some(guest)))));
    Ok(())
}

fn refused(name: &str, why: &dyn std::fmt::Display) -> Refused {
    Refused(Problem::new(Code::BadRequest, format!("`{name}`: {why}")))
}

/// Whose key it is.
fn caller(api: &Api, auth: &Handshake, headers: &HeaderMap) -> Result<Caller, Refused> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' ')).map(|(_, secret)| secret.trim().to_owned());
    let secret = auth.token.clone().or(bearer);
    let caller = prove(api, secret.as_deref(), "Send the key as `auth: {token}`.").map_err(Refused)?;
    if let Some(limiter) = &api.limiter
        && let Err(seconds) = limiter.take(&caller.key_id, Instant::now()).passes
    {
        let problem = Problem::new(Code::RateLimited, "This key has used up its allowance.");
        return Err(Refused(problem.retry_after(seconds)));
    }
    Ok(caller)
}

/// The rooms of a client.
struct Members {
    api: Arc<Api>,
    caller: Caller,
    rooms: tokio::sync::Mutex<BTreeSet<Room>>,
    orders: mpsc::Sender<Order>,
    waiting: Semaphore,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Changed {
    Done { ok: bool, rooms: Vec<String> },
    Refused { ok: bool, code: &'static str, error: String },
}

impl Members {
    /// Joins or leaves a room: what is answered is so from the answer on.
    async fn change(&self, asked: &Value, join: bool) -> Changed {
        match self.changed(asked, join).await {
            Ok(rooms) => Changed::Done { ok: true, rooms },
            Err(problem) => Changed::Refused {
                ok: false,
                code: problem.code().parts().1,
                error: problem.detail().to_owned(),
            },
        }
    }

    async fn changed(&self, asked: &Value, join: bool) -> Result<Vec<String>, Problem> {
        let name = asked.as_str().or_else(|| asked["room"].as_str()).unwrap_or_default();
        let room: Room = name.parse().map_err(|error| refused("room", &error).0)?;
        let busy = || Problem::new(Code::RateLimited, "Wait for the answers to what was asked before.");
        let _turn = self.waiting.try_acquire().map_err(|_| busy())?;
        let mut rooms = self.rooms.lock().await;
        if join {
            let room = self.api.app.room(room, &self.caller).await?;
            if rooms.len() >= MOST_ROOMS && !rooms.contains(&room) {
                return Err(refused(
                    "room",
                    &format!("{MOST_ROOMS} are joined already, which is as many as may"),
                )
                .0);
            }
            rooms.insert(room);
        } else {
            rooms.remove(&room);
        }
        let (done, so) = oneshot::channel();
        let gone = || Problem::new(Code::Draining, "This client is being dropped.");
        self.orders.send(Order(rooms.clone(), done)).await.map_err(|_| gone())?;
        so.await.map_err(|_| gone())?;
        Ok(rooms.iter().map(Room::to_string).collect())
    }
}

/// The client knows that it is connected: from here on it is told what happens.
async fn connected(socket: SocketRef) {
    let entered = socket.extensions.remove::<Entered>();
    let entered =
        entered.and_then(|Entered(entered)| entered.lock().unwrap_or_else(PoisonError::into_inner).take());
    let Some(Guest { subscription, orders }) = entered else { return };
    let gone = CancellationToken::new();
    let guard = gone.clone();
    socket.on_disconnect(async move || guard.cancel());
    // It may have gone before anybody listened for that.
    if !socket.connected() {
        return;
    }
    gone.run_until_cancelled(pump(&socket, subscription, orders)).await;
}

/// Tells a client what happens, until it is dropped. Whatever it joins meanwhile counts from the answer on.
async fn pump(socket: &SocketRef, mut subscription: Subscription, mut orders: mpsc::Receiver<Order>) {
    loop {
        let next = tokio::select! {
            order = orders.recv() => {
                if let Some(Order(rooms, done)) = order {
                    subscription.set_rooms(rooms);
                    let _ = done.send(());
                }
                continue;
            }
            next = subscription.next() => next,
        };
        let told = match next {
            Next::Events(events) => {
                let mut told = Ok(());
                for event in events {
                    let Ok(json) = serde_json::from_str::<&RawValue>(&event.json) else { continue };
                    told = tell(socket, event.kind.as_str(), json, || subscription.dropped()).await;
                    if told.is_err() {
                        break;
                    }
                }
                told
            }
            Next::Gap(gap) => tell(socket, "gap", &gap, || subscription.dropped()).await,
            Next::Quiet if socket.connected() => Ok(()),
            Next::Quiet => Err(None),
            Next::Ended(why) => Err(Some(why)),
        };
        match told {
            Ok(()) => {}
            Err(why) => return farewell(socket, why).await,
        }
    }
}

/// Sends an event as soon as there is room for it; `Err` where the client is gone, or dropped for a reason.
async fn tell<T: Serialize + ?Sized>(
    socket: &SocketRef,
    name: &str,
    data: &T,
    dropped: impl Fn() -> Option<Dropped>,
) -> Result<(), Option<Dropped>> {
    loop {
        match socket.emit(name, data) {
            Ok(()) => return Ok(()),
            Err(SendError::Socket(SocketError::InternalChannelFull)) => {}
            Err(_) => return Err(None),
        }
        if let Some(why) = dropped() {
            return Err(Some(why));
        }
        tokio::time::sleep(FULL).await;
    }
}

/// Says why, where that can still be said, and ends it.
async fn farewell(socket: &SocketRef, why: Option<Dropped>) {
    let Some(why) = why else { return };
    let until = Instant::now() + FAREWELL;
    let late = || (Instant::now() >= until).then_some(why);
    if tell(socket, "dropped", &json!({ "reason": why.as_str() }), late).await.is_err() {
        tracing::debug!(
            reason = why.as_str(),
            "a client takes nothing any more, its connection will end by itself"
        );
    }
    while let Err(SocketError::InternalChannelFull) = socket.clone().disconnect() {
        if late().is_some() {
            return;
        }
        tokio::time::sleep(FULL).await;
    }
}
