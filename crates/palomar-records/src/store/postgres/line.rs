//! Whether the server can be heard. A call that is slow, and one that nobody will ever answer, look alike from here; so
//! while a call takes long the server is asked something that costs it nothing, beside the call. A server that does not
//! answer that is silent: all calls end at once, and later ones are refused at once, until it is heard again.
//!
//! The question is the one with which a client asks for TLS. Every PostgreSQL, and every pooler before one, answers it
//! with one byte, before any log-in.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpStream, UnixStream};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_postgres::config::Host;

/// A call that takes longer lets the server be asked.
const SLOW: Duration = Duration::from_millis(250);
/// So long the server has to answer.
const ANSWER: Duration = Duration::from_millis(500);
/// Length, and the code of a request for TLS.
const QUESTION: [u8; 8] = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x2f];

/// Why a call brought no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Unheard {
    /// It took too long, although the server is there.
    Late,
    /// The server is silent.
    Silent,
}

/// The line to a server.
#[derive(Debug)]
pub(super) struct Line {
    hosts: Vec<(Host, u16)>,
    silent: watch::Sender<bool>,
    slow_calls: AtomicUsize,
    listening: AtomicBool,
}

impl Line {
    pub(super) fn new(hosts: Vec<(Host, u16)>) -> Line {
        Line {
            hosts,
            silent: watch::Sender::new(false),
            slow_calls: AtomicUsize::new(0),
            listening: AtomicBool::new(false),
        }
    }

    /// Waits for the answer of a call, for `limit` at most, and no longer than the server can be heard.
    pub(super) async fn hear<T>(
        self: &Arc<Self>,
        limit: Duration,
        call: impl Future<Output = T>,
    ) -> Result<T, Unheard> {
        let mut silent = self.silent.subscribe();
        if *silent.borrow_and_update() {
            return Err(Unheard::Silent);
        }
        let call = timeout(limit, call);
        tokio::pin!(call);
        // The answer first: where the runtime ends there is one, and no more time.
        tokio::select! {
            biased;
            answer = &mut call => return answer.map_err(|_| Unheard::Late),
            () = sleep(SLOW) => {}
        }
        let _slow = self.slow();
        tokio::select! {
            biased;
            answer = &mut call => answer.map_err(|_| Unheard::Late),
            _ = silent.wait_for(|silent| *silent) => Err(Unheard::Silent),
        }
    }

    /// Counts a slow call, until what this returns is dropped, and sees to it that somebody listens.
    fn slow(self: &Arc<Self>) -> SlowCall {
        self.slow_calls.fetch_add(1, Ordering::SeqCst);
        if !self.listening.swap(true, Ordering::SeqCst) {
            tokio::spawn(listen(Arc::clone(self)));
        }
        SlowCall(Arc::clone(self))
    }

    /// Whether any of the hosts answers.
    async fn answers(&self) -> bool {
        for (host, port) in &self.hosts {
            if matches!(timeout(ANSWER, ask(host, *port)).await, Ok(Ok(()))) {
                return true;
            }
        }
        false
    }
}

struct SlowCall(Arc<Line>);

impl Drop for SlowCall {
    fn drop(&mut self) {
        self.0.slow_calls.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Asks the server as long as there are slow calls or it is silent.
async fn listen(line: Arc<Line>) {
    loop {
        let silent = !line.answers().await;
        let changed = line.silent.send_if_modified(|said| std::mem::replace(said, silent) != silent);
        if changed && silent {
            tracing::error!("PostgreSQL does not answer: what needs it is refused until it does");
        } else if changed {
            tracing::info!("PostgreSQL answers again");
        }
        // Nobody else holds the line: the records are closed.
        if Arc::strong_count(&line) == 1 {
            return;
        }
        if !silent && line.slow_calls.load(Ordering::SeqCst) == 0 {
            line.listening.store(false, Ordering::SeqCst);
            // A call may have become slow meanwhile, and have seen somebody listening.
            let raced = line.slow_calls.load(Ordering::SeqCst) > 0;
            if !raced || line.listening.swap(true, Ordering::SeqCst) {
                return;
            }
        }
        sleep(SLOW).await;
    }
}

async fn ask(host: &Host, port: u16) -> std::io::Result<()> {
    match host {
        Host::Tcp(name) => exchange(TcpStream::connect((name.as_str(), port)).await?).await,
        Host::Unix(dir) => exchange(UnixStream::connect(dir.join(format!(".s.PGSQL.{port}"))).await?).await,
    }
}

async fn exchange(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> std::io::Result<()> {
    stream.write_all(&QUESTION).await?;
    let mut answer = [0];
    stream.read_exact(&mut answer).await?;
    Ok(())
}
