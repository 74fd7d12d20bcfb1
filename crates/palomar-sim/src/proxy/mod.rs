//! A TCP proxy that does to connections what networks do: it delays, dribbles, drops, resets, and lets one end believe
//! in a connection whose other end is no more. For tests of whatever speaks over TCP.
//!
//! ```text
//! client ──> proxy: each piece that is read gets its fate ──> server
//!        <──                                              <──
//! ```
//!
//! What always holds: bytes that are passed on are passed on whole and in order; a connection that was half open once
//! stays so until it is cut. The fate of a piece is drawn from the proxy's seed, the connection's number, the direction
//! and the number of the piece; where a piece ends is the network's to say, unless it is dribbled.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! use palomar_sim::proxy::{Faults, Proxy};
//! # let server = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! # let upstream = server.local_addr()?;
//!
//! let proxy = Proxy::start(upstream, 7).await?;
//! let client = tokio::net::TcpStream::connect(proxy.address()).await?;
//! proxy.set(Faults { reset: 0.01, ..Faults::dribble(3) }); // from the next piece on
//! proxy.half_open(); // all connections that there are
//! # drop(client);
//! # Ok(())
//! # }
//! ```

mod connection;
mod faults;

use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};

use crate::lock;
use connection::Connection;
pub use faults::Faults;

/// What all connections are told to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Order {
    Run,
    HalfOpen,
    Close,
    Reset,
}

/// What the proxy and its connections share.
#[derive(Debug)]
struct Shared {
    upstream: SocketAddr,
    seed: u64,
    faults: Mutex<Faults>,
    orders: watch::Sender<Order>,
    open: AtomicUsize,
    passed: AtomicU64,
}

/// A proxy that runs. Dropped, it ends with all of its connections.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: JoinHandle<()>,
}

impl Proxy {
    /// Listens on a free port of 127.0.0.1, and passes on to `upstream`; without faults so far.
    ///
    /// # Errors
    /// Where no port can be had.
    pub async fn start(upstream: SocketAddr, seed: u64) -> io::Result<Proxy> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let shared = Arc::new(Shared {
            upstream,
            seed,
            faults: Mutex::default(),
            orders: watch::Sender::new(Order::Run),
            open: AtomicUsize::new(0),
            passed: AtomicU64::new(0),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&shared)));
        Ok(Proxy { address, shared, accepting })
    }

    /// Where to connect.
    #[must_use]
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// What happens from the next piece on, of all connections.
    pub fn set(&self, faults: Faults) {
        *lock(&self.shared.faults) = faults;
    }

    /// Leaves all present connections half open: nothing passes any more, and neither end is told.
    pub fn half_open(&self) {
        self.order(Order::HalfOpen);
    }

    /// Closes all present connections in order, half-open ones too.
    pub fn close(&self) {
        self.order(Order::Close);
    }

    /// Resets all present connections, half-open ones too.
    pub fn reset(&self) {
        self.order(Order::Reset);
    }

    /// Connections that are open, half-open ones too.
    #[must_use]
    pub fn open(&self) -> usize {
        self.shared.open.load(Ordering::SeqCst)
    }

    /// Pieces that were passed on, in either direction.
    #[must_use]
    pub fn passed(&self) -> u64 {
        self.shared.passed.load(Ordering::SeqCst)
    }

    /// Those that come later look at later orders only.
    fn order(&self, order: Order) {
        self.shared.orders.send_replace(order);
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    let mut connections = JoinSet::new();
    for number in 0.. {
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            Some(_) = connections.join_next() => continue,
        };
        // One that is gone before it is accepted, or a system without a place for it: the next one may do better.
        let Ok((client, _)) = accepted else {
            tokio::task::yield_now().await;
            continue;
        };
        shared.open.fetch_add(1, Ordering::SeqCst);
        // Subscribed here: an order that comes after the connection is for it.
        let connection = Connection::new(Arc::clone(&shared), number, shared.orders.subscribe());
        connections.spawn(connection.run(client));
    }
}
