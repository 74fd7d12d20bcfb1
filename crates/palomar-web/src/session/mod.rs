//! One session: a browser that is supervised, a page that is worked with by one at a time, and what it tells.
//!
//! ```text
//! orders ─> keeper ──starts, watches, ends──> browser, page
//!             │ publishes                        ^    │ what is seen
//!             v                                  │    v
//!           view ──> who sends, has the turn ────┘   ears ──> sink: messages in, ticks
//! ```
//!
//! What always holds: one at a time has the page; who gives up in the middle leaves nothing pressed that was not noted;
//! the keeper alone starts and ends browsers, and takes its browser with it whatever becomes of it.

mod draft;
mod ears;
mod followed;
mod hearing;
mod keeper;
mod send;
mod snapshot;
mod visit;
mod write;

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use palomar_model::{Clock, SendFailure, Tag, Timestamp};
use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};

use crate::browser::BrowserConfig;
use crate::chats::Chats;
use crate::notes::Notes;
use crate::page::PageFile;
use crate::process::Usage;
use crate::profile::ProfileDir;
use crate::sink::Sink;
use crate::state::{Command, Patience, State, Status};
use crate::tab::Tab;

pub use draft::{Attachment, Draft, Known, Pace, Taken};

/// Marks failures of a session that is not ready, so that what they stopped can go on when it is.
pub const NOT_READY: &str = "session_not_ready";

/// How a session is kept.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    /// The page's address.
    pub(crate) url: String,
    pub(crate) browser: BrowserConfig,
    pub(crate) patience: Patience,
    /// What loading an address may take.
    pub(crate) navigation: Duration,
    /// What opening a chat may take.
    pub(crate) open: Duration,
    /// The file of the page's description, where it is not the one that is built in.
    pub(crate) page: Option<PathBuf>,
}

impl Settings {
    /// The description in the file as it is now; none where the built-in one is used.
    fn page_file(&self) -> Result<Option<Arc<PageFile>>, String> {
        let read = self.page.as_deref().map(PageFile::read).transpose();
        read.map(|page| page.map(Arc::new)).map_err(|error| error.to_string())
    }
}

/// A code to link a phone with. Whoever has it can take the line.
#[derive(Clone, PartialEq, Eq)]
pub struct Qr {
    /// What it says.
    pub code: String,
    /// Since when it is shown.
    pub shown: Timestamp,
    /// Until when it works, as far as is known: the page shows the next one then.
    pub expires: Timestamp,
}

impl std::fmt::Debug for Qr {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Qr").field("shown", &self.shown).finish_non_exhaustive()
    }
}

/// Counts of a session since its program was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counts {
    /// Messages that reached the server.
    pub sent: u64,
    /// Messages that failed, or of which nothing is known.
    pub failed: u64,
    /// Messages that came in.
    pub received: u64,
    /// Messages that were unread, and that the page does not show: they are on the phone alone.
    pub missed: u64,
    /// What opening chats took together, in milliseconds.
    pub opening_ms: u64,
    /// What writing took.
    pub writing_ms: u64,
    /// From the button to the server's tick.
    pub ticking_ms: u64,
}

/// A session as it is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct View {
    /// Its status.
    pub status: Status,
    /// Why, in a word.
    pub reason: &'static str,
    /// Why, in more words.
    pub detail: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// The code that the page shows.
    pub qr: Option<Qr>,
    /// Starts after a fault.
    pub restarts: u32,
    /// Whether it becomes ready without anybody's help.
    pub helps_itself: bool,
    /// What its browser takes.
    pub usage: Option<Usage>,
    /// The first process of its browser.
    pub pid: Option<i32>,
    /// The version of the description of the page.
    pub page: Arc<str>,
}

/// What the keeper is told.
pub(crate) enum Order {
    Command(Command, oneshot::Sender<()>),
    /// Work begins, or ends.
    Work(bool),
    /// The page's description does not find these.
    Missing(Vec<String>),
    /// Ends everything; the value is not used any more.
    Stop(oneshot::Sender<()>),
}

/// What those who work with a session share.
pub(crate) struct Shared {
    pub(crate) name: Arc<str>,
    pub(crate) settings: Settings,
    pub(crate) page: Arc<PageFile>,
    pub(crate) dir: ProfileDir,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) notes: Arc<Mutex<Option<Notes>>>,
    pub(crate) chats: Arc<Mutex<Option<Chats>>>,
    pub(crate) counts: Mutex<Counts>,
    /// Who has the page.
    pub(crate) turn: tokio::sync::Mutex<send::Desk>,
    pub(crate) tab: watch::Sender<Option<Tab>>,
    pub(crate) view: watch::Sender<View>,
    pub(crate) orders: mpsc::UnboundedSender<Order>,
    pub(crate) sink: Mutex<Option<Arc<dyn Sink>>>,
    /// Messages of ours whose ticks are followed.
    pub(crate) followed: Mutex<followed::Followed>,
}

impl Shared {
    pub(crate) fn counts(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.counts.lock().unwrap_or_else(PoisonError::into_inner));
    }

    /// Reads what an earlier run wrote down, once. Blocks for a moment.
    pub(crate) fn open_files(&self) -> io::Result<()> {
        // The notes are there before the profile is: a profile without them has lost them.
        let is_new = self.dir.begin()?;
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.is_none() {
            let opened = Notes::open(&self.dir.sends(), is_new)?;
            self.followed.lock().unwrap_or_else(PoisonError::into_inner).recall(opened.all_taken());
            *notes = Some(opened);
        }
        drop(notes);
        let mut chats = self.chats.lock().unwrap_or_else(PoisonError::into_inner);
        if chats.is_none() {
            *chats = Some(Chats::open(&self.dir.chats())?);
        }
        Ok(())
    }
}

/// A session. Clones are the same one.
#[derive(Clone)]
pub struct Session {
    shared: Arc<Shared>,
    /// With the last one the session ends.
    _owner: Arc<Owner>,
}

/// Ends a session that nobody can order any more.
struct Owner(mpsc::UnboundedSender<Order>);

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.send(Order::Stop(oneshot::channel().0));
    }
}

impl Session {
    /// A session that is closed.
    pub(crate) fn new(
        name: &str,
        settings: Settings,
        page: Arc<PageFile>,
        dir: ProfileDir,
        clock: Arc<dyn Clock>,
    ) -> Session {
        let state = State::new(clock.now());
        let (orders, ordered) = mpsc::unbounded_channel();
        let view = keeper::view(&state, &settings.patience, &page);
        let shared = Arc::new(Shared {
            name: name.into(),
            settings,
            page,
            dir,
            clock,
            notes: Arc::default(),
            chats: Arc::default(),
            counts: Mutex::default(),
            turn: tokio::sync::Mutex::default(),
            tab: watch::Sender::new(None),
            view: watch::Sender::new(view),
            orders,
            sink: Mutex::default(),
            followed: Mutex::default(),
        });
        tokio::spawn(keeper::run(Arc::clone(&shared), state, ordered));
        tokio::spawn(ears::run(Arc::downgrade(&shared)));
        let owner = Arc::new(Owner(shared.orders.clone()));
        Session { shared, _owner: owner }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// How it is now, and how it changes.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<View> {
        self.shared.view.subscribe()
    }

    /// How it is now.
    #[must_use]
    pub fn view(&self) -> View {
        self.shared.view.borrow().clone()
    }

    /// What its clock shows.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// What it did since the program was started.
    #[must_use]
    pub fn counts(&self) -> Counts {
        *self.shared.counts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Where what it hears goes from now on.
    pub fn tell(&self, sink: Arc<dyn Sink>) {
        *self.shared.sink.lock().unwrap_or_else(PoisonError::into_inner) = Some(sink);
    }

    /// Orders it to open, close or restart; answers when that has begun, for `Close` when the browser has ended.
    pub async fn order(&self, command: Command) {
        let (done, ended) = oneshot::channel();
        if self.shared.orders.send(Order::Command(command, done)).is_ok() {
            let _ = ended.await;
        }
    }

    /// Ends its browser, and the session.
    pub(crate) async fn stop(&self) {
        let (done, ended) = oneshot::channel();
        if self.shared.orders.send(Order::Stop(done)).is_ok() {
            let _ = ended.await;
        }
    }

    /// Writes a message into its chat and presses the button, once for each tag. `pressing` is called before that.
    ///
    /// # Errors
    /// What became of it: nothing was pressed, unless the class is `Unknown`.
    pub async fn send(
        &self,
        draft: &Draft,
        tag: Tag,
        pressing: &(dyn Fn() + Sync),
    ) -> Result<Taken, SendFailure> {
        let sent = send::send(&self.shared, draft, &tag.to_string(), pressing).await;
        self.shared.counts(|counts| match &sent {
            Ok(_) => counts.sent += 1,
            Err(_) => counts.failed += 1,
        });
        sent
    }

    /// Looks for an attempt whose outcome is not known. Whoever repeats a tag asks this first: where it says `NotPressed`,
    /// nothing of that tag was ever sent.
    ///
    /// # Errors
    /// Where it can't be looked for now.
    pub async fn look(&self, draft: &Draft, tag: Tag) -> Result<Known, SendFailure> {
        send::look(&self.shared, draft, &tag.to_string()).await
    }

    /// A picture of the page as it is now: PNG, people's names and words illegible.
    ///
    /// # Errors
    /// Where there is no page.
    pub async fn picture(&self) -> Result<Vec<u8>, SendFailure> {
        snapshot::blurred(&self.shared).await
    }
}
