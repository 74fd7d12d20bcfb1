//! The fault proxy in front of a server that says everything back.

use std::io::ErrorKind;
use std::time::Duration;

use palomar_sim::Latency;
use palomar_sim::proxy::{Faults, Proxy};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// A server that says everything back, behind a proxy.
async fn echo(seed: u64) -> Proxy {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let upstream = listener.local_addr().expect("an address");
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut from, mut to) = stream.split();
                let _ = tokio::io::copy(&mut from, &mut to).await;
                let _ = to.shutdown().await;
            });
        }
    });
    Proxy::start(upstream, seed).await.expect("a port")
}

async fn connect(proxy: &Proxy) -> TcpStream {
    TcpStream::connect(proxy.address()).await.expect("connected")
}

/// Says something, and hears it back.
async fn exchange(stream: &mut TcpStream, said: &[u8]) -> std::io::Result<()> {
    stream.write_all(said).await?;
    let mut heard = vec![0; said.len()];
    stream.read_exact(&mut heard).await?;
    assert!(heard == said, "another thing came back");
    Ok(())
}

fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|n| u8::try_from(n % 251).expect("small")).collect()
}

/// Sends all, says that it was all, and reads to the end.
async fn whole(proxy: &Proxy, said: Vec<u8>) -> std::io::Result<Vec<u8>> {
    let (mut from, mut to) = connect(proxy).await.into_split();
    let sending = tokio::spawn(async move {
        to.write_all(&said).await?;
        to.shutdown().await
    });
    let mut heard = Vec::new();
    from.read_to_end(&mut heard).await?;
    sending.await.expect("no panic")?;
    Ok(heard)
}

async fn until(what: &str, so: impl Fn() -> bool) {
    let reached = async {
        while !so() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    assert!(tokio::time::timeout(Duration::from_secs(60), reached).await.is_ok(), "{what}");
}

#[tokio::test]
async fn what_passes_arrives_whole_and_in_order() {
    let proxy = echo(1).await;
    let wait = Latency::between(Duration::ZERO, Duration::from_millis(1));
    for (faults, count) in [
        (Faults::default(), 1 << 20),
        (Faults::dribble(3), 3_000),
        (Faults::delay(wait), 1 << 17),
        (Faults { delay: wait, ..Faults::dribble(1) }, 50),
    ] {
        proxy.set(faults);
        let said = bytes(count);
        let heard = whole(&proxy, said.clone()).await.expect("passed");
        assert!(heard == said, "{faults:?}: {} of {count} bytes", heard.len());
    }
    until("all connections have ended", || proxy.open() == 0).await;
}

#[tokio::test]
async fn what_is_dribbled_comes_in_small_pieces() {
    let proxy = echo(1).await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, &bytes(100)).await.expect("passed");
    until("as few pieces as come", || (2..=200).contains(&proxy.passed())).await;
    let before = proxy.passed();
    proxy.set(Faults::dribble(2));
    exchange(&mut stream, &bytes(100)).await.expect("passed");
    until("fifty pieces at the least in either direction", || proxy.passed() - before >= 100).await;
}

#[tokio::test]
async fn connections_are_reset_and_dropped() {
    let proxy = echo(2).await;
    for (faults, ends) in [
        (Faults { reset: 1.0, ..Faults::default() }, ErrorKind::ConnectionReset),
        (Faults { drop: 1.0, ..Faults::default() }, ErrorKind::UnexpectedEof),
    ] {
        proxy.set(Faults::default());
        let mut stream = connect(&proxy).await;
        exchange(&mut stream, b"one").await.expect("passed");
        proxy.set(faults);
        let error = exchange(&mut stream, b"two").await.expect_err("ended");
        assert_eq!(error.kind(), ends, "{faults:?}");
    }
    // By order.
    proxy.set(Faults::default());
    let (mut one, mut other) = (connect(&proxy).await, connect(&proxy).await);
    exchange(&mut one, b"one").await.expect("passed");
    exchange(&mut other, b"one").await.expect("passed");
    proxy.reset();
    assert_eq!(one.read(&mut [0]).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    assert_eq!(other.read(&mut [0]).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);
    let mut next = connect(&proxy).await;
    exchange(&mut next, b"three").await.expect("later ones are not meant");
    proxy.close();
    assert_eq!(next.read(&mut [0]).await.expect("closed in order"), 0);
}

#[tokio::test]
async fn a_half_open_connection_says_nothing_and_does_not_end() {
    let proxy = echo(3).await;
    let mut stream = connect(&proxy).await;
    exchange(&mut stream, b"one").await.expect("passed");
    proxy.half_open();
    // What is written goes nowhere, and nobody says so. A connection that is made later passes: had anything passed here,
    // it would have by then.
    stream.write_all(b"two").await.expect("it seems to");
    for _ in 0..10 {
        exchange(&mut connect(&proxy).await, b"three").await.expect("passed");
    }
    let nothing = stream.try_read(&mut [0; 8]).expect_err("nothing, and no end");
    assert_eq!(nothing.kind(), ErrorKind::WouldBlock);
    // Once half open, for ever half open, until it is cut.
    proxy.set(Faults::default());
    exchange(&mut connect(&proxy).await, b"four").await.expect("passed");
    assert_eq!(stream.try_read(&mut [0; 8]).expect_err("nothing").kind(), ErrorKind::WouldBlock);
    proxy.reset();
    assert_eq!(stream.read(&mut [0]).await.expect_err("reset").kind(), ErrorKind::ConnectionReset);

    // Drawn: from the first piece on.
    proxy.set(Faults { half_open: 1.0, ..Faults::default() });
    let mut stream = connect(&proxy).await;
    stream.write_all(b"five").await.expect("it seems to");
    until("it is open", || proxy.open() >= 1).await;
    proxy.close();
    let ended =
        tokio::time::timeout(Duration::from_secs(60), stream.read(&mut [0; 8])).await.expect("an end");
    assert!(ended.is_err() || ended.is_ok_and(|read| read == 0), "nothing came back");
}

/// The same seed ends the same connections.
#[tokio::test]
async fn a_seed_can_be_repeated() {
    let mut runs = Vec::new();
    for seed in [5, 5, 6] {
        let proxy = echo(seed).await;
        proxy.set(Faults { reset: 0.2, ..Faults::default() });
        let mut lived = Vec::new();
        for _ in 0..30 {
            let mut stream = connect(&proxy).await;
            let mut exchanged = 0;
            // One piece at a time in either direction.
            while exchanged < 20 && exchange(&mut stream, b"x").await.is_ok() {
                exchanged += 1;
            }
            lived.push(exchanged);
        }
        runs.push(lived);
    }
    assert_eq!(runs[0], runs[1]);
    assert_ne!(runs[0], runs[2]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_a_reset() {
    let left = TcpListener::bind("127.0.0.1:0").await.expect("a port").local_addr().expect("an address");
    let proxy = Proxy::start(left, 1).await.expect("a port");
    let mut stream = connect(&proxy).await;
    assert!(stream.read(&mut [0]).await.is_err());
    until("it is over", || proxy.open() == 0).await;
    let address = proxy.address();
    drop(proxy);
    until("a proxy that is dropped listens no more", || std::net::TcpStream::connect(address).is_err()).await;
}
