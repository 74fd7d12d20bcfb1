//! Content in files and in a bucket: whole, once, found again, and gone when it is not needed.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::TryStreamExt as _;
use palomar_media::{Files, Hash, Part, Received, Removed, S3, S3Config, Store, StoreError};
use palomar_model::{Clock, ManualClock, Timestamp};
use palomar_sim::s3::{self, RunningBucket};

const START: Timestamp = Timestamp::from_seconds(1_767_225_600);

/// A store, and what it needs to go on.
struct House {
    store: Store,
    clock: Arc<ManualClock>,
    dir: tempfile::TempDir,
    bucket: Option<RunningBucket>,
}

impl House {
    fn files() -> House {
        let dir = tempfile::tempdir().expect("a directory");
        let store = Store::new(Files::open(dir.path(), "here").expect("files"), None);
        House { store, clock: Arc::new(ManualClock::at(START)), dir, bucket: None }
    }

    async fn s3() -> House {
        House::s3_with("secret-1").await
    }

    async fn s3_with(secret: &str) -> House {
        let clock = Arc::new(ManualClock::at(START));
        let config = s3::Config {
            bucket: "media".to_owned(),
            access_key: "key-1".to_owned(),
            secret_key: "secret-1".to_owned(),
            region: "eu-south-2".to_owned(),
        };
        let bucket = s3::start(config, Arc::clone(&clock) as _).await.expect("a bucket");
        let config = S3Config {
            endpoint: bucket.url(),
            bucket: "media".to_owned(),
            region: "eu-south-2".to_owned(),
            access_key: "key-1".to_owned(),
            secret_key: secret.into(),
        };
        let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
        #[expect(clippy::disallowed_methods, reason = "a test's client, to this machine only")]
        let client = reqwest::Client::builder().no_proxy().build().expect("a client");
        let dir = tempfile::tempdir().expect("a directory");
        let files = Files::open(dir.path(), "here").expect("files");
        let store = Store::new(files, Some(S3::new(config, client).expect("a place")));
        House { store, clock, dir, bucket: Some(bucket) }
    }

    async fn bring(&self, content: &[u8]) -> Received {
        let mut incoming = self.store.begin().await.expect("begun");
        for part in content.chunks(100_000) {
            incoming.write(part).await.expect("written");
        }
        incoming.finish().await.expect("whole")
    }

    async fn keep(&self, content: &[u8]) -> Hash {
        let received = self.bring(content).await;
        self.store.keep(&received, self.clock.now()).await.expect("kept");
        received.hash
    }

    async fn read(&self, hash: &Hash, first: u64, length: u64) -> Option<Vec<u8>> {
        let found = self.store.read(hash, Part { first, length }, self.clock.now()).await.expect("read");
        let chunks: Vec<bytes::Bytes> = found?.try_collect().await.expect("whole");
        Some(chunks.concat())
    }

    async fn remove(&self, hash: &Hash, unless_after: Timestamp) -> Removed {
        self.store.remove(hash, unless_after, self.clock.now()).await.expect("removed")
    }
}

fn files_below(dir: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(dir).expect("a directory") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            found.extend(files_below(&path));
        } else {
            found.push(path.display().to_string());
        }
    }
    found
}

async fn content_is_kept_once_and_comes_back(house: &House) {
    let content: Vec<u8> = (0..1_000_003_u32).map(|n| (n % 251) as u8).collect();
    let hash = house.keep(&content).await;
    assert_eq!(hash, Hash::of(&content));
    assert_eq!(house.keep(&content).await, hash);
    let size = content.len() as u64;
    assert_eq!(house.read(&hash, 0, size).await.as_deref(), Some(&*content));
    assert_eq!(house.read(&hash, 70_000, 100_001).await.as_deref(), Some(&content[70_000..170_001]));
    assert_eq!(house.read(&hash, size - 1, 1).await.as_deref(), Some(&content[content.len() - 1..]));
    let empty = house.keep(b"").await;
    assert_eq!(house.read(&empty, 0, 0).await.as_deref(), Some(&b""[..]));
    assert_eq!(house.read(&Hash::of(b"another"), 0, 7).await, None);
    let left = files_below(&house.dir.path().join("incoming"));
    assert_eq!(left, Vec::<String>::new(), "what came in is where it belongs, or gone");
}

async fn what_was_kept_a_moment_ago_is_not_removed(house: &House) {
    let hash = house.keep(b"content").await;
    house.clock.advance(Duration::from_secs(7200));
    let hour = |house: &House| house.clock.now().before(Duration::from_secs(3600));
    // It comes again: whoever brought it has not said so to anybody yet.
    house.keep(b"content").await;
    assert_eq!(house.remove(&hash, hour(house)).await, Removed::NotYet);
    assert!(house.read(&hash, 0, 7).await.is_some());
    house.clock.advance(Duration::from_secs(7200));
    assert_eq!(house.remove(&hash, hour(house)).await, Removed::Gone);
    assert_eq!(house.read(&hash, 0, 7).await, None);
    assert_eq!(house.remove(&hash, hour(house)).await, Removed::Gone, "a second time as well");
}

#[tokio::test]
async fn in_files() {
    let house = House::files();
    content_is_kept_once_and_comes_back(&house).await;
    what_was_kept_a_moment_ago_is_not_removed(&house).await;
    let hash = house.keep(b"x").await;
    let path = house.dir.path().join(hash.key());
    assert_eq!(std::fs::read(path).expect("a file"), b"x");
}

#[tokio::test]
async fn in_s3() {
    let house = House::s3().await;
    content_is_kept_once_and_comes_back(&house).await;
    what_was_kept_a_moment_ago_is_not_removed(&house).await;
    let hash = house.keep(b"x").await;
    let bucket = house.bucket.as_ref().expect("a bucket");
    assert_eq!(bucket.object(&hash.key()).as_deref(), Some(&b"x"[..]));
    assert!(
        bucket.calls().iter().all(|(_, status)| matches!(status, 200 | 204 | 206 | 404)),
        "{:?}",
        bucket.calls()
    );
}

#[tokio::test]
async fn a_refusal_of_s3_is_told_and_nothing_is_kept() {
    let house = House::s3_with("another-secret").await;
    let received = house.bring(b"x").await;
    let refused = house.store.keep(&received, START).await.expect_err("a refusal");
    assert_eq!(refused.to_string(), "S3 answers 403 SignatureDoesNotMatch");

    let house = House::s3().await;
    let bucket = house.bucket.as_ref().expect("a bucket");
    bucket.be_away(1);
    let received = house.bring(b"x").await;
    let refused = house.store.keep(&received, START).await.expect_err("a refusal");
    assert!(matches!(refused, StoreError::Refused { status: 503, .. }), "{refused}");
    assert_eq!(bucket.keys(), Vec::<String>::new());
    // What came in is still there to be kept.
    house.store.keep(&received, START).await.expect("kept");
    assert_eq!(bucket.keys(), [received.hash.key()]);
}

#[tokio::test]
async fn what_was_not_brought_to_an_end_leaves_nothing() {
    let house = House::files();
    let incoming = house.dir.path().join("incoming");
    let mut begun = house.store.begin().await.expect("begun");
    begun.write(&[7; 600_000]).await.expect("written");
    assert_eq!(files_below(&incoming).len(), 1);
    drop(begun);
    assert_eq!(files_below(&incoming), Vec::<String>::new());
    // A process that was killed drops nothing: the next one sweeps.
    std::fs::write(incoming.join("1-1"), b"half").expect("written");
    let again = Files::open(house.dir.path(), "elsewhere").expect("files");
    assert_eq!(files_below(&incoming), Vec::<String>::new());
    assert_eq!(again.place(), "files:here", "a directory keeps its name");
}
