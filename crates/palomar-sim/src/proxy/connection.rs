//! One connection: two directions, each a loop of read, wait, pass on; and what ends them.

use std::io;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};
use tokio::sync::watch;

use super::faults::Fate;
use super::{Order, Shared};
use crate::lock;
use crate::rng::{Rng, mix};

/// A piece at most.
const PIECE: usize = 16 * 1024;

/// How a connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Both ends are told, in order.
    Close,
    /// Both ends are told, rudely.
    Reset,
    /// Nobody is told.
    HalfOpen,
}

pub(super) struct Connection {
    shared: Arc<Shared>,
    number: u64,
    orders: watch::Receiver<Order>,
}

impl Connection {
    pub(super) fn new(shared: Arc<Shared>, number: u64, orders: watch::Receiver<Order>) -> Connection {
        Connection { shared, number, orders }
    }

    pub(super) async fn run(mut self, mut client: TcpStream) {
        let Ok(mut server) = TcpStream::connect(self.shared.upstream).await else {
            reset(&client);
            return;
        };
        // Small pieces are to arrive as such.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let mut end = self.pass(&mut client, &mut server).await;
        if end == End::HalfOpen {
            end = ordered(&mut self.orders, &[Order::Close, Order::Reset]).await;
        }
        if end == End::Reset {
            reset(&client);
            reset(&server);
        }
    }

    /// Passes on both ways, until something ends it.
    async fn pass(&mut self, client: &mut TcpStream, server: &mut TcpStream) -> End {
        let shared = Arc::clone(&self.shared);
        let rng = |direction: u64| Rng::new(mix(shared.seed ^ mix(2 * self.number + direction)));
        let (mut forth, mut back) = (rng(0), rng(1));
        let ((from_client, to_client), (from_server, to_server)) = (client.split(), server.split());
        let both = async {
            let forth = pump(&shared, &mut forth, from_client, to_server);
            let back = pump(&shared, &mut back, from_server, to_client);
            match tokio::try_join!(forth, back) {
                Ok(_) => End::Close,
                Err(end) => end,
            }
        };
        tokio::select! {
            biased;
            end = ordered(&mut self.orders, &[Order::HalfOpen, Order::Close, Order::Reset]) => end,
            end = both => end,
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.shared.open.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Waits for one of these orders.
async fn ordered(orders: &mut watch::Receiver<Order>, which: &[Order]) -> End {
    loop {
        // The proxy is gone: so are its connections.
        if orders.changed().await.is_err() {
            return End::Close;
        }
        let order = *orders.borrow_and_update();
        match order {
            _ if !which.contains(&order) => {}
            Order::HalfOpen => return End::HalfOpen,
            Order::Close => return End::Close,
            Order::Reset => return End::Reset,
            Order::Run => {}
        }
    }
}

/// One direction, until its sender has said all.
async fn pump(shared: &Shared, rng: &mut Rng, from: ReadHalf<'_>, mut to: WriteHalf<'_>) -> Result<(), End> {
    let mut buffer = vec![0; PIECE];
    loop {
        let read = piece(shared, &from, &mut buffer).await.map_err(|_| End::Reset)?;
        if read == 0 {
            return to.shutdown().await.map_err(|_| End::Reset);
        }
        let (delay, fate) = lock(&shared.faults).fate(rng);
        if !delay.is_zero() {
            tokio::time::sleep(delay).await;
        }
        match fate {
            Fate::Pass => {
                to.write_all(&buffer[..read]).await.map_err(|_| End::Reset)?;
                shared.passed.fetch_add(1, Ordering::SeqCst);
            }
            Fate::Drop => return Err(End::Close),
            Fate::Reset => return Err(End::Reset),
            Fate::HalfOpen => return Err(End::HalfOpen),
        }
    }
}

/// Reads the next piece, as long as the faults of its moment let it be.
async fn piece(shared: &Shared, from: &ReadHalf<'_>, buffer: &mut [u8]) -> io::Result<usize> {
    loop {
        from.readable().await?;
        let most = match lock(&shared.faults).most_bytes {
            0 => PIECE,
            most => most.min(PIECE),
        };
        match from.try_read(&mut buffer[..most]) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
            read => return read,
        }
    }
}

/// Sees to it that the other end gets a reset when the connection is dropped.
fn reset(stream: &TcpStream) {
    // Where the system can't, it is closed in order.
    let _ = stream.set_zero_linger();
}
