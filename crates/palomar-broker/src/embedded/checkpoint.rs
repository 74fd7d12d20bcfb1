//! The write-ahead log is brought into the database file beside the thread that commits.
//!
//! Bringing 16 MB home takes as long as a hundred commits, and all who waited for one would wait for it. A thread with a
//! connection of its own does the bulk while commits go on; what was committed meanwhile is little, and the committing
//! thread brings it home itself: then nothing is left, and the next commit begins at the log's start again.
//!
//! Meanwhile the log grows. Where it has grown too much, or the disk has little room, all work is the committing thread's.
//!
//! Nothing is lost where it fails: the log holds what was committed until the database file does, and it is tried again.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::mpsc;

use rusqlite::Connection;

/// Pages that may be left when the committing thread finishes the work.
const LITTLE: i64 = 256;
/// A log so many times as long as it should be waits for no helper.
const TOO_LONG: i32 = 3;
/// Rounds in which the rest gets small, or never does.
const ROUNDS: usize = 4;

/// When the log is brought home, and by whom.
pub(super) struct Checkpoints {
    file: PathBuf,
    /// Pages of the log after which it is brought home.
    at: i32,
    /// Pages in the log, as SQLite tells after each commit.
    pages: Arc<AtomicI32>,
    helper: Option<Helper>,
    is_under_way: bool,
    /// Whether the log may grow while it is brought home.
    may_grow: bool,
}

/// The thread; there is none before there is work for it.
struct Helper {
    begin: Option<mpsc::SyncSender<()>>,
    done: mpsc::Receiver<()>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Checkpoints {
    /// Watches the log of a connection that commits.
    pub(super) fn of(db: &mut Connection, file: &Path, at: i32) -> Result<Checkpoints, rusqlite::Error> {
        let pages = Arc::new(AtomicI32::new(0));
        let told = Arc::clone(&pages);
        // Takes the place of SQLite's own hook, which would do all of the work within a commit.
        db.wal_hook(Some(move |_: &mut rusqlite::hooks::Wal, pages| {
            told.store(pages, Ordering::Relaxed);
            Ok(())
        }))?;
        Ok(Checkpoints {
            file: file.to_owned(),
            at,
            pages,
            helper: None,
            is_under_way: false,
            may_grow: false,
        })
    }

    /// Says whether the disk has room for the log to grow.
    pub(super) fn may_grow(&mut self, may: bool) {
        self.may_grow = may;
    }

    /// After a commit: begins what is due, and finishes what is nearly done.
    pub(super) fn go_on(&mut self, db: &Connection) {
        let pages = self.pages.load(Ordering::Relaxed);
        if self.is_under_way {
            if !self.may_grow || pages >= self.at.saturating_mul(TOO_LONG) {
                self.settle();
            }
            self.finish(db);
        } else if pages >= self.at {
            self.begin(db);
        }
    }

    /// What the helper left, once it has done its part.
    fn finish(&mut self, db: &Connection) {
        let helper = self.helper.as_ref().filter(|_| self.is_under_way);
        if helper.is_none_or(|helper| !matches!(helper.done.try_recv(), Err(mpsc::TryRecvError::Empty))) {
            self.is_under_way = false;
            bring_home(db);
        }
    }

    fn begin(&mut self, db: &Connection) {
        if self.may_grow && self.helper.is_none() {
            self.helper =
                Helper::new(&self.file).inspect_err(|error| tracing::warn!(%error, "no thread")).ok();
        }
        let helper = self.helper.as_ref().filter(|_| self.may_grow);
        let begin = helper.and_then(|helper| helper.begin.as_ref());
        self.is_under_way = begin.is_some_and(|begin| begin.try_send(()).is_ok());
        if !self.is_under_way {
            bring_home(db);
        }
    }

    /// Waits until nobody else works on it: only then can the log be made shorter.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.is_under_way) {
            // One that has ended has finished, too.
            let _ = self.helper.as_ref().map(|helper| helper.done.recv());
        }
    }
}

impl Helper {
    fn new(file: &Path) -> std::io::Result<Helper> {
        let (begin, begun) = mpsc::sync_channel(1);
        let (finished, done) = mpsc::sync_channel(1);
        let file = file.to_owned();
        let thread = std::thread::Builder::new().name("palomar-checkpoint".into()).spawn(move || {
            let db = match Connection::open(&file) {
                Ok(db) => db,
                Err(error) => return tracing::warn!(%error, "the write-ahead log is not brought home"),
            };
            while let Ok(()) = begun.recv() {
                let _ = (0..ROUNDS).find(|_| bring_home(&db) <= LITTLE);
                if finished.send(()).is_err() {
                    return;
                }
            }
        })?;
        Ok(Helper { begin: Some(begin), done, thread: Some(thread) })
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        // The connection is closed before the directory is given to anybody else.
        self.begin = None;
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Brings home what there is, as far as nobody reads in it; answers how many pages have come since.
fn bring_home(db: &Connection) -> i64 {
    let left = db.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        let (log, home): (i64, i64) = (row.get(1)?, row.get(2)?);
        Ok(log - home)
    });
    left.unwrap_or_else(|error| {
        tracing::warn!(%error, "the write-ahead log was not brought home");
        0
    })
}
