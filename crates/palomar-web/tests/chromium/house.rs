//! A page, a pool and a session for a test.

use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use palomar_model::{Clock, MessageId, SendFailure, Tag, Timestamp};
use palomar_sim::web::{self, Behaviour, Running};
use palomar_web::{
    BrowserConfig, Command, Draft, Heard, Pace, Pool, PoolConfig, Session, Sink, Status, Taken, View,
};

/// Nothing takes so long but what never comes.
const PATIENCE: Duration = Duration::from_secs(60);
/// The account that phones scan with.
pub(crate) const ACCOUNT: &str = "+34600000000";

/// The machine's clock.
struct System;

impl Clock for System {
    #[expect(clippy::disallowed_methods, reason = "the edge of the test")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::SystemTime::UNIX_EPOCH);
        Timestamp::from_micros(since.map_or(0, |since| i64::try_from(since.as_micros()).unwrap_or(i64::MAX)))
    }
}

/// Keeps what is heard.
#[derive(Default)]
pub(crate) struct Ear(pub(crate) Mutex<Vec<Heard>>);

impl Sink for Ear {
    fn take(&self, heard: Heard) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().expect("no panic").push(heard);
        Box::pin(std::future::ready(()))
    }
}

/// Is told, and never done: whoever waits for it is as good as killed.
#[derive(Default)]
pub(crate) struct Stuck(pub(crate) Mutex<Vec<Heard>>);

impl Sink for Stuck {
    fn take(&self, heard: Heard) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().expect("no panic").push(heard);
        Box::pin(std::future::pending())
    }
}

/// All that a test needs.
pub(crate) struct House {
    pub(crate) page: Running,
    pub(crate) pool: Arc<Pool>,
    pub(crate) session: Session,
    pub(crate) ear: Arc<Ear>,
    pub(crate) dir: tempfile::TempDir,
}

pub(crate) fn config(dir: &Path, url: &str) -> PoolConfig {
    PoolConfig {
        dir: dir.to_owned(),
        url: url.to_owned(),
        browser: BrowserConfig {
            program: None,
            headless: true,
            sandbox: !rustix::process::geteuid().is_root(),
            language: "en-US".to_owned(),
            memory: 2 << 30,
        },
        page: None,
        most: 4,
        navigation: Duration::from_secs(30),
        step: Duration::from_secs(15),
    }
}

impl House {
    /// With a page that behaves so; the session is closed.
    pub(crate) async fn new(behaviour: Behaviour) -> House {
        House::with(behaviour, |config| config).await
    }

    pub(crate) async fn with(behaviour: Behaviour, change: impl Fn(PoolConfig) -> PoolConfig) -> House {
        let page = web::start(behaviour, 1, Arc::new(System)).await.expect("a page");
        let dir = tempfile::tempdir().expect("a directory");
        let (pool, session, ear) = open(change(config(dir.path(), &page.url())));
        House { page, pool, session, ear, dir }
    }

    /// With a description of the page in a file.
    pub(crate) async fn described(behaviour: Behaviour, file: &Path) -> House {
        let navigation = Duration::from_secs(4);
        House::with(behaviour, |config| PoolConfig { page: Some(file.to_owned()), navigation, ..config })
            .await
    }

    /// With a session that is linked and ready.
    pub(crate) async fn ready(behaviour: Behaviour) -> House {
        let house = House::new(behaviour).await;
        house.link().await;
        house
    }

    /// Opens the session and scans its code.
    pub(crate) async fn link(&self) {
        self.session.order(Command::Open).await;
        let view = self.until(|view| view.qr.is_some()).await;
        let code = view.qr.expect("a code").code;
        assert!(self.page.simulator().scan(Some(&code), ACCOUNT), "the code is not shown any more");
        self.until_status(Status::Available).await;
    }

    /// The same directories in another pool, as after a restart of the program.
    pub(crate) fn reopen(&mut self) {
        let (pool, session, ear) = open(config(self.dir.path(), &self.page.url()));
        (self.pool, self.session, self.ear) = (pool, session, ear);
    }

    pub(crate) async fn until(&self, holds: impl Fn(&View) -> bool) -> View {
        until(&self.session, holds).await
    }

    pub(crate) async fn until_status(&self, status: Status) -> View {
        self.until(|view| view.status == status).await
    }

    pub(crate) async fn until_reason(&self, reason: &str) -> View {
        self.until(|view| view.reason == reason).await
    }

    /// Sends a text; whether the button was about to be pressed goes with it.
    pub(crate) async fn send(&self, to: &str, text: &str, number: u128) -> Result<Taken, SendFailure> {
        self.session.send(&draft(to, text), tag(number), &|| {}).await
    }

    /// Waits until something was heard that `wanted` picks.
    pub(crate) async fn heard(&self, wanted: impl Fn(&[Heard]) -> bool) -> Vec<Heard> {
        eventually(|| {
            let heard = self.ear.0.lock().expect("no panic").clone();
            wanted(&heard).then_some(heard)
        })
        .await
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.dir.path().join("line/profile")
    }

    /// Ends everything; no process of it may be left.
    pub(crate) async fn end(self) {
        let profile = self.profile();
        self.pool.close().await;
        eventually(|| processes(&profile).is_empty().then_some(())).await;
        self.page.stop().await.expect("ended");
    }
}

fn open(config: PoolConfig) -> (Arc<Pool>, Session, Arc<Ear>) {
    let pool = Pool::open(config, Arc::new(System)).expect("a pool");
    let session = pool.session(&"line".parse().expect("a name"));
    let ear = Arc::new(Ear::default());
    session.tell(Arc::clone(&ear) as Arc<dyn Sink>);
    (pool, session, ear)
}

pub(crate) fn draft(to: &str, text: &str) -> Draft {
    Draft {
        to: to.trim_start_matches('+').to_owned(),
        text: text.to_owned(),
        file: None,
        pace: Pace::default(),
        tick_within: Duration::from_secs(10),
    }
}

pub(crate) fn tag(number: u128) -> Tag {
    let text = format!("{number:032x}");
    Tag { message: text.parse::<MessageId>().expect("an id"), attempt: 1 }
}

pub(crate) async fn until(session: &Session, holds: impl Fn(&View) -> bool) -> View {
    let mut views = session.watch();
    let waited = tokio::time::timeout(PATIENCE, async {
        views.wait_for(|view| holds(view)).await.map(|view| view.clone())
    });
    match waited.await {
        Ok(view) => view.expect("a session"),
        Err(_) => panic!("it is {:?}", session.view()),
    }
}

/// Waits for something that is looked at again and again.
pub(crate) async fn eventually<T>(look: impl Fn() -> Option<T>) -> T {
    let looked = async {
        loop {
            if let Some(found) = look() {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(PATIENCE, looked).await.expect("it never came")
}

/// The processes that use a profile.
pub(crate) fn processes(profile: &Path) -> Vec<i32> {
    let told = format!("--user-data-dir={}", profile.display());
    let all = std::fs::read_dir("/proc").expect("processes").flatten();
    let pids = all.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    pids.filter(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.split(|byte| *byte == 0).any(|part| part == told.as_bytes())
    })
    .collect()
}
