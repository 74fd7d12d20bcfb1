//! TLS with an authority of one's own.

use std::path::Path;
use std::process::Command;

use super::server::{Server, free_port};
use crate::broker::Broker;
use crate::redis::{RedisBroker, RedisConfig};

fn openssl(dir: &Path, arguments: &str) {
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output().expect("openssl");
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
}

/// An authority, and a certificate of this machine's address.
fn certificates(dir: &Path) {
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(dir, &format!("req -x509 {key} -keyout ca.key -out ca.pem -subj /CN=authority"));
    let made =
        format!("req -x509 {key} -CA ca.pem -CAkey ca.key -keyout own.key -out own.pem -subj /CN=redis");
    openssl(
        dir,
        &format!("{made} -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE"),
    );
}

#[tokio::test]
async fn tls_is_spoken_with_those_who_can_be_trusted() {
    // Where another test was first, it is there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let dir = tempfile::tempdir().expect("a directory");
    certificates(dir.path());
    let file = |name: &str| dir.path().join(name).display().to_string();
    let (port, own, key, ca) = (free_port().to_string(), file("own.pem"), file("own.key"), file("ca.pem"));
    let tls =
        ["--tls-port", &port, "--tls-cert-file", &own, "--tls-key-file", &key, "--tls-ca-cert-file", &ca];
    let all = [&tls[..], &["--tls-auth-clients", "no"]].concat();
    let server = Server::guarded(&all, "secret").await;
    let url = format!("rediss://:secret@127.0.0.1:{port}");
    let trusted = std::fs::read(&ca).expect("the authority");
    let config = RedisConfig { servers: crate::redis::RedisServers::One(url), ..server.config("tls", 1) };
    let broker = RedisBroker::open(RedisConfig { ca: Some(trusted), ..config.clone() }).await.expect("opens");
    assert!(broker.stats().await.is_ok());
    let why = RedisBroker::open(config).await.expect_err("nobody vouches for it").to_string();
    assert!(why.contains(&format!("127.0.0.1:{port}")) && !why.contains("secret"), "{why}");
}
