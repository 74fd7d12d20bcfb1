//! How a server is told to stop: the first SIGTERM or SIGINT asks, the second one ends the process at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

use crate::failure::Failure;

/// The exit status after a second signal, as a shell would say it for SIGINT.
const KILLED: i32 = 130;

/// Listens for signals from the moment it is made.
#[derive(Clone, Debug)]
pub(crate) struct Stop {
    asked: CancellationToken,
}

impl Stop {
    /// Begins to listen.
    pub(crate) fn listen() -> Result<Stop, Failure> {
        let failed = |error| Failure::new(format!("can't listen for signals: {error}"));
        let mut terminate = signal(SignalKind::terminate()).map_err(failed)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(failed)?;
        let asked = CancellationToken::new();
        let stop = Stop { asked: asked.clone() };
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_cancelled() {
                    tracing::warn!("told to stop twice: ending at once");
                    std::process::exit(KILLED);
                }
                asked.cancel();
            }
        });
        Ok(stop)
    }

    /// Waits until it is asked for.
    pub(crate) async fn asked(&self) {
        self.asked.cancelled().await;
    }
}
