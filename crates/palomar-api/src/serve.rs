//! The listening side: HTTP/1.1 with limits, and a stop that lets requests end.
//!
//! A connection that sends no whole request head in time is closed (slow clients can't hold places); heads are bounded
//! in bytes and headers; connections are bounded in number: more of them wait in the kernel's queue. One whose other side takes
//! nothing of what is written to it is given up.

mod line;

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::{HttpService, Service as _, service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use line::Line;

const HEAD_TIMEOUT: Duration = Duration::from_secs(15);
const MAX_HEADERS: usize = 100;
/// Of a request's head, and of what is read ahead of a body.
const MAX_BUFFER: usize = 128 * 1024;
const MAX_CONNECTIONS: usize = 10_000;
/// Requests that have not ended so long after the stop are dropped.
const GRACE: Duration = Duration::from_secs(30);

/// The connection that a request came on, for handlers whose answer may have to be cut off.
#[derive(Clone, Debug)]
pub(crate) struct Connection(pub(crate) CancellationToken);

/// Serves `router` on `listener` until `shutdown`; then lets running requests end, for at most 30 seconds.
///
/// # Errors
/// None at present: failures of single connections are theirs, those of accepting are retried.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    shutdown: CancellationToken,
) -> std::io::Result<()> {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIMEOUT)
        .max_headers(MAX_HEADERS)
        .max_buf_size(MAX_BUFFER);
    let open = TaskTracker::new();
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    loop {
        let accepted = tokio::select! {
            () = shutdown.cancelled() => break,
            accepted = accept(&listener, &places) => accepted,
        };
        let (stream, place) = match accepted {
            Ok(accepted) => accepted,
            // Out of file descriptors, most likely: others must end first.
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let (router, cut) = (TowerToHyperService::new(router.clone()), CancellationToken::new());
        let connection = Connection(cut.clone());
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(connection.clone());
            router.call(request)
        });
        let line = TokioIo::new(Line::new(stream, place));
        let connection = http.serve_connection(line, service).with_upgrades();
        open.spawn(speak(connection, cut, shutdown.clone()));
    }
    drop(listener);
    open.close();
    if tokio::time::timeout(GRACE, open.wait()).await.is_err() {
        tracing::warn!("requests that did not end in time were dropped");
    }
    Ok(())
}

/// Speaks HTTP on a connection until either side ends it, or what it became (a WebSocket) takes it over. After `shutdown` the
/// request that runs is the last.
async fn speak<S>(
    connection: http1::UpgradeableConnection<TokioIo<Line>, S>,
    cut: CancellationToken,
    shutdown: CancellationToken,
) where
    S: HttpService<Incoming, ResBody = Body> + 'static,
    S::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    let mut connection = std::pin::pin!(connection);
    let mut stopping = false;
    loop {
        tokio::select! {
            ended = &mut connection => {
                if let Err(error) = ended {
                    tracing::debug!(%error, "a connection ended");
                }
                return;
            }
            () = cut.cancelled() => {
                tracing::debug!("a connection was cut");
                return;
            }
            () = shutdown.cancelled(), if !stopping => {
                stopping = true;
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> std::io::Result<(tokio::net::TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.map_err(std::io::Error::other)?;
    let (stream, _) = listener.accept().await?;
    stream.set_nodelay(true)?;
    Ok((stream, place))
}

#[cfg(test)]
mod tests {
    use axum::routing::get;
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;

    async fn started()
    -> (std::net::SocketAddr, CancellationToken, tokio::task::JoinHandle<std::io::Result<()>>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("its address");
        let slow = async || {
            tokio::time::sleep(Duration::from_millis(200)).await;
            "done"
        };
        let shutdown = CancellationToken::new();
        let served = tokio::spawn(serve(listener, Router::new().route("/slow", get(slow)), shutdown.clone()));
        (address, shutdown, served)
    }

    async fn read_all(stream: &mut TcpStream) -> String {
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        String::from_utf8_lossy(&answer).into_owned()
    }

    #[tokio::test]
    async fn a_running_request_ends_before_the_server_does() {
        let (address, shutdown, served) = started().await;
        let mut stream = TcpStream::connect(address).await.expect("connected");
        stream.write_all(b"GET /slow HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("sent");
        tokio::time::sleep(Duration::from_millis(50)).await;
        shutdown.cancel();
        assert!(read_all(&mut stream).await.ends_with("done"));
        served.await.expect("joined").expect("served");
        assert!(TcpStream::connect(address).await.is_err(), "no longer listening");
    }

    #[tokio::test]
    async fn heads_are_bounded() {
        let (address, _shutdown, _served) = started().await;
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
        stream.write_all(format!("GET /slow HTTP/1.1\r\n{many}\r\n").as_bytes()).await.expect("sent");
        assert!(read_all(&mut stream).await.starts_with("HTTP/1.1 431"));
    }
}
