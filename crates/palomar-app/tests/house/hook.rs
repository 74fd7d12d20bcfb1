//! Somebody's hook: it fails at first, and notes what it is told.

use std::sync::{Arc, Mutex, PoisonError};

use data_encoding::BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use palomar_app::{Hook, HookSecret};
use palomar_model::Secret;
use serde_json::Value;
use sha2::Sha256;
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::TcpListener;

/// What it is told is signed with this.
const KEY: &[u8] = b"0123456789abcdef01234567";

/// A call of the hook.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) id: String,
    pub(crate) body: Value,
}

/// A hook: it answers 500 to the first call and 200 to all others, and notes what is signed as it must be.
pub(crate) async fn start() -> (Hook, Arc<Mutex<Vec<Call>>>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}/hook", listener.local_addr().expect("an address"));
    let calls = Arc::new(Mutex::new(Vec::new()));
    let noted = Arc::clone(&calls);
    tokio::spawn(async move {
        for n in 0.. {
            let (stream, _) = listener.accept().await.expect("a caller");
            let mut stream = BufReader::new(stream);
            let call = read(&mut stream).await;
            noted.lock().unwrap_or_else(PoisonError::into_inner).push(call);
            let status = if n == 0 { "500 Internal Server Error" } else { "200 OK" };
            let answer = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            stream.write_all(answer.as_bytes()).await.expect("answered");
        }
    });
    let secret = format!("whsec_{}", BASE64.encode(KEY));
    let secret = HookSecret::read(Secret::from(secret.as_str())).expect("a secret");
    (Hook { url, secret }, calls)
}

async fn read(stream: &mut BufReader<tokio::net::TcpStream>) -> Call {
    let mut headers = std::collections::HashMap::new();
    loop {
        let mut line = String::new();
        stream.read_line(&mut line).await.expect("a line");
        if line.trim().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(": ") {
            headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
        }
    }
    let mut body = vec![0; headers["content-length"].parse().expect("a length")];
    stream.read_exact(&mut body).await.expect("a body");
    let body = String::from_utf8(body).expect("UTF-8");
    let (id, at) = (&headers["webhook-id"], &headers["webhook-timestamp"]);
    let mac = Hmac::<Sha256>::new_from_slice(KEY).expect("a key");
    let digest = mac.chain_update(format!("{id}.{at}.{body}")).finalize().into_bytes();
    assert_eq!(headers["webhook-signature"], format!("v1,{}", BASE64.encode(&digest)));
    Call { id: id.clone(), body: serde_json::from_str(&body).expect("JSON") }
}
