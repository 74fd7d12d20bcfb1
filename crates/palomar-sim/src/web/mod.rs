//! WhatsApp Web: a page of our own that behaves towards a browser's driver as the original does, and the servers behind
//! it. Nothing here is WhatsApp's; it is for tests, demos and measurements of browser sessions.
//!
//! The page (`page.html`, `page.js`) is served at `/` and `/send`. Its login lies in the profile's storage. What the
//! server takes is in the ledger, exactly then; the page's own tick comes from that.
//!
//! | call | what |
//! |---|---|
//! | `POST /_sim/scan` | `{"code"?, "account"}`: a phone scans the QR, the one shown last where none is given |
//! | `GET /_sim/ledger?count=true`, `?after=N&limit=M`, `GET /_sim/ledger/duplicates` | as with every simulator |
//! | `GET`, `POST /_sim/faults` | [`Behaviour`]: what is given replaces what was set |
//! | `POST /_sim/inbound` | [`Inbound`]: a person writes; answers `{"id"}` |
//! | `POST /_sim/happen` | `{"account"?, "what", "to"?}`: `logout`, `conflict`, `hang`, `eat_memory`, `navigate`, `open_window`, `fetch`, `download`, `ask` |
//! | `GET /photo.png` | a picture to be sent by its link |
//! | `POST /_sim/reset` | forgets everything, logins too |

mod config;
mod routes;
mod state;

use std::future::{Future, IntoFuture as _};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use palomar_model::Clock;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

pub use config::{Behaviour, Icons, Language};
pub use state::{Inbound, LedgerEntry, Simulator};

/// How long connections may take to end at the shutdown: pages ask for news and wait.
const GRACE: Duration = Duration::from_millis(200);

/// Runs the page and its servers on `listener` until `shutdown` is ready.
///
/// # Errors
/// Where the listener fails.
pub async fn serve(
    listener: TcpListener,
    behaviour: Behaviour,
    seed: u64,
    clock: Arc<dyn Clock>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    run(listener, Arc::new(Simulator::new(behaviour, seed, clock)), shutdown).await
}

async fn run(
    listener: TcpListener,
    simulator: Arc<Simulator>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, routes::router(simulator)).with_graceful_shutdown(async {
        drop(stopped.await);
    });
    let mut server = std::pin::pin!(server.into_future());
    tokio::select! {
        result = &mut server => result,
        () = shutdown => {
            drop(stop);
            tokio::time::timeout(GRACE, server).await.unwrap_or(Ok(()))
        }
    }
}

/// The page and its servers inside this process; they end when this is dropped.
pub struct Running {
    /// Where it listens.
    pub addr: SocketAddr,
    simulator: Arc<Simulator>,
    stop: Option<oneshot::Sender<()>>,
    task: JoinHandle<io::Result<()>>,
}

/// On a free port of 127.0.0.1, inside this process.
///
/// # Errors
/// Where no port can be had.
pub async fn start(behaviour: Behaviour, seed: u64, clock: Arc<dyn Clock>) -> io::Result<Running> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let addr = listener.local_addr()?;
    let simulator = Arc::new(Simulator::new(behaviour, seed, clock));
    let (stop, stopped) = oneshot::channel::<()>();
    let served = run(listener, Arc::clone(&simulator), async { drop(stopped.await) });
    Ok(Running { addr, simulator, stop: Some(stop), task: tokio::spawn(served) })
}

impl Running {
    /// The page's address.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}/", self.addr)
    }

    /// What runs.
    #[must_use]
    pub fn simulator(&self) -> &Simulator {
        &self.simulator
    }

    /// Ends it, and waits for the end.
    ///
    /// # Errors
    /// Where the listener had failed.
    pub async fn stop(mut self) -> io::Result<()> {
        drop(self.stop.take());
        self.task.await.map_err(io::Error::other)?
    }
}
