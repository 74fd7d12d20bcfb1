//! A connection's bytes. It holds its place among the connections for as long as it is open, whatever is spoken on it, and
//! ends by itself where the other side takes nothing of what is written for too long.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, Sleep};

/// Nothing of what is written is taken for so long: the other side is gone, or does not read.
const STUCK: Duration = Duration::from_secs(45);

pub(super) struct Line<S = TcpStream> {
    stream: S,
    /// Runs while a write waits.
    stuck: Option<Pin<Box<Sleep>>>,
    patience: Duration,
    _place: OwnedSemaphorePermit,
}

impl<S> Line<S> {
    pub(super) fn new(stream: S, place: OwnedSemaphorePermit) -> Line<S> {
        Line { stream, stuck: None, patience: STUCK, _place: place }
    }

    /// What a write came to, or that it waits for too long already.
    fn judged<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.stuck = None;
            return written;
        }
        let patience = self.patience;
        let stuck =
            self.stuck.get_or_insert_with(|| Box::pin(tokio::time::sleep_until(Instant::now() + patience)));
        ready!(stuck.as_mut().poll(cx));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the other side takes nothing")))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Line<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(cx, into)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Line<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.judged(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, bytes);
        self.judged(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        self.judged(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.judged(cx, shut)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::sync::Semaphore;

    use super::*;

    async fn write(patience: Duration, read: usize) -> (io::Result<()>, usize) {
        let places = Arc::new(Semaphore::new(1));
        let (ours, mut theirs) = tokio::io::duplex(16);
        let place = places.clone().try_acquire_owned().expect("a place");
        let reading = tokio::spawn(async move {
            let mut some = vec![0; read];
            theirs.read_exact(&mut some).await.map(|_| theirs)
        });
        let mut line = Line { patience, ..Line::new(ours, place) };
        assert_eq!(places.available_permits(), 0);
        let written = line.write_all(&[0; 1_000]).await;
        drop(line);
        drop(reading.await);
        (written, places.available_permits())
    }

    #[tokio::test]
    async fn who_takes_nothing_is_given_up_and_its_place_is_free() {
        let (written, places) = write(Duration::ZERO, 100).await;
        assert_eq!(written.expect_err("given up").kind(), io::ErrorKind::TimedOut);
        assert_eq!(places, 1);
        let (written, places) = write(STUCK, 1_000).await;
        assert_eq!((written.expect("all of it"), places), ((), 1));
    }
}
