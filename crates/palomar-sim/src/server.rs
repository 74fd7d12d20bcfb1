//! The ways to run a simulator: on a listener until told to stop, or inside a test's process.

use std::fmt;
use std::future::{Future, IntoFuture};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use crate::behaviour::BehaviourChange;
use crate::control::Simulated;
use crate::faults::{Fault, Faults};
use crate::ledger::Duplicate;
use crate::span::InvalidSetting;
use crate::stats::Stats;
use crate::wire::{CuttableListener, Wire};

/// How long connections may take to end at the shutdown.
const GRACE: Duration = Duration::from_millis(500);

/// Runs a simulator on `listener` until `shutdown` is ready.
pub(crate) async fn run<S: Simulated>(
    listener: TcpListener,
    router: Router,
    simulator: Arc<S>,
    shutdown: impl Future<Output = ()> + Send,
) -> io::Result<()> {
    let (stop, stopped) = watch::channel(false);
    let for_batch = Arc::clone(&simulator);
    let courier = Arc::clone(simulator.courier()).run(move || for_batch.batch(), stopped.clone());
    let courier = tokio::spawn(courier);
    let service = router.into_make_service_with_connect_info::<Wire>();
    let server = axum::serve(CuttableListener(listener), service).with_graceful_shutdown(until_true(stopped));
    let mut server = std::pin::pin!(server.into_future());
    let result = tokio::select! {
        result = &mut server => result,
        () = shutdown => {
            stop.send_replace(true);
            simulator.release().notify_waiters();
            // Whoever still holds a connection loses it.
            tokio::time::timeout(GRACE, server).await.unwrap_or(Ok(()))
        }
    };
    courier.abort();
    result
}

async fn until_true(mut flag: watch::Receiver<bool>) {
    // An error means that the other side is gone: then too it is time.
    drop(flag.wait_for(|stop| *stop).await);
}

/// A simulator that runs inside this process; it ends when this is dropped.
pub struct Running<S: Simulated> {
    /// Where it listens.
    pub addr: SocketAddr,
    simulator: Arc<S>,
    stop: watch::Sender<bool>,
    task: JoinHandle<io::Result<()>>,
}

impl<S: Simulated> fmt::Debug for Running<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Running").field("addr", &self.addr).finish_non_exhaustive()
    }
}

impl<S: Simulated> Running<S> {
    /// A simulator on a free port of 127.0.0.1.
    pub(crate) async fn start(router: fn(Arc<S>) -> Router, simulator: S) -> io::Result<Running<S>> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addr = listener.local_addr()?;
        let simulator = Arc::new(simulator);
        let (stop, stopped) = watch::channel(false);
        let served =
            run(listener, router(Arc::clone(&simulator)), Arc::clone(&simulator), until_true(stopped));
        Ok(Running { addr, simulator, stop, task: tokio::spawn(served) })
    }

    /// What runs.
    pub(crate) fn simulator(&self) -> &S {
        &self.simulator
    }

    /// Its address as a URL without a slash at the end: the base URL of a channel.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Sets where webhooks go from now on.
    pub fn set_webhook_url(&self, url: Option<&str>) {
        self.simulator.courier().set_target(url);
    }

    /// Changes how it behaves, as `POST /_sim/faults` does.
    ///
    /// # Errors
    /// Where a setting is out of its range; then nothing changes.
    pub fn change(&self, change: BehaviourChange<S::Kind>) -> Result<(), InvalidSetting> {
        self.simulator.change(change)
    }

    /// Sets all faults.
    ///
    /// # Errors
    /// Where a setting is out of its range; then nothing changes.
    pub fn set_faults(&self, faults: Vec<Fault<S::Kind>>) -> Result<(), InvalidSetting> {
        self.change(BehaviourChange { faults: Some(Faults(faults)), ..BehaviourChange::default() })
    }

    /// A person writes; answers the message's id.
    ///
    /// # Errors
    /// Where no webhook URL is set, or there is nothing to write.
    pub fn inbound(&self, inbound: S::Inbound) -> Result<Option<String>, InvalidSetting> {
        self.simulator.receive(inbound)
    }

    /// How many messages it accepted.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.simulator.ledger_len()
    }

    /// Up to `limit` entries of the ledger behind place `after` (0: from the first).
    #[must_use]
    pub fn ledger(&self, after: u64, limit: usize) -> Vec<S::Entry> {
        self.simulator.ledger(after, limit)
    }

    /// The messages it accepted more than once.
    #[must_use]
    pub fn duplicates(&self) -> Vec<Duplicate> {
        self.simulator.duplicates()
    }

    /// Its counters.
    #[must_use]
    pub fn stats(&self) -> Stats {
        self.simulator.stats()
    }

    /// Forgets everything and behaves as configured.
    pub fn reset(&self) {
        self.simulator.reset();
    }

    /// Ends it, and waits for the end.
    ///
    /// # Errors
    /// Where the listener had failed.
    pub async fn stop(self) -> io::Result<()> {
        self.stop.send_replace(true);
        self.task.await.map_err(io::Error::other)?
    }
}
