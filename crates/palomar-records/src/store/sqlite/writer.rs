//! The one thread that writes. It takes all work that waits, runs it in one transaction, commits once, then answers.
//! Where any of it is to be flushed, all of it is, and all that was committed before.

use std::sync::mpsc;
use std::thread::JoinHandle;

use rusqlite::Connection;
use tokio::sync::oneshot;

use crate::error::{RecordsError, Result};
use crate::store::{Db, Flush};

/// More in one commit would make the first of them wait for the last.
const MAX_PER_COMMIT: usize = 512;

/// One piece of work and whom to answer, whatever its types.
trait Work: Send {
    /// When it is to be on the disk.
    fn flush(&self) -> Flush;
    /// Does the work; its answer is kept until the commit.
    fn run(&mut self, connection: &Connection);
    /// Answers: what the work answered or, where it did not come to a commit, why.
    fn answer(self: Box<Self>, failed: Option<RecordsError>);
}

struct Asked<T, F> {
    flush: Flush,
    work: Option<F>,
    answer: Option<Result<T>>,
    sender: oneshot::Sender<Result<T>>,
}

impl<T, F> Work for Asked<T, F>
where
    T: Send,
    F: FnOnce(Db<'_>) -> Result<T> + Send,
{
    fn flush(&self) -> Flush {
        self.flush
    }

    fn run(&mut self, connection: &Connection) {
        self.answer = self.work.take().map(|work| in_savepoint(connection, work));
    }

    fn answer(self: Box<Self>, failed: Option<RecordsError>) {
        let answer = match failed {
            Some(error) => Err(error),
            None => self.answer.unwrap_or(Err(RecordsError::Closed)),
        };
        // Nobody listens any more where the asker was dropped; its work is done all the same.
        let _ = self.sender.send(answer);
    }
}

#[derive(Debug)]
pub(super) struct Writer {
    /// Taken when the writer is dropped: the thread ends with its last work done.
    queue: Option<mpsc::Sender<Box<dyn Work>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    pub(super) fn spawn(connection: Connection) -> std::io::Result<Writer> {
        let (queue, works) = mpsc::channel();
        let thread = std::thread::Builder::new()
            .name("records-writer".to_owned())
            .spawn(move || serve(&connection, &works))?;
        Ok(Writer { queue: Some(queue), thread: Some(thread) })
    }

    pub(super) async fn run<T, F>(&self, flush: Flush, work: F) -> Result<T>
    where
        T: Send + 'static,
        F: FnOnce(Db<'_>) -> Result<T> + Send + 'static,
    {
        let (sender, receiver) = oneshot::channel();
        let asked = Box::new(Asked { flush, work: Some(work), answer: None, sender });
        self.queue.as_ref().ok_or(RecordsError::Closed)?.send(asked).map_err(|_| RecordsError::Closed)?;
        receiver.await.map_err(|_| RecordsError::Closed)?
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        drop(self.queue.take());
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn serve(connection: &Connection, works: &mpsc::Receiver<Box<dyn Work>>) {
    // As it was opened.
    let mut flushes = Flush::Now;
    while let Ok(first) = works.recv() {
        let mut batch: Vec<_> =
            std::iter::once(first).chain(works.try_iter().take(MAX_PER_COMMIT - 1)).collect();
        let flush =
            if batch.iter().any(|work| work.flush() == Flush::Now) { Flush::Now } else { Flush::Later };
        let failed =
            switch(connection, &mut flushes, flush).and_then(|()| commit(connection, &mut batch)).err();
        if let Some(error) = &failed {
            tracing::error!(%error, works = batch.len(), "records: nothing was committed");
        }
        for work in batch {
            work.answer(failed.clone());
        }
    }
    // Leaves a small file behind for whoever copies it; fails harmlessly while somebody reads.
    if let Err(error) = connection.execute_batch("PRAGMA optimize; PRAGMA wal_checkpoint(TRUNCATE);") {
        tracing::debug!(%error, "records: no checkpoint at the end");
    }
}

/// From one way of committing to the other. In WAL mode a commit under NORMAL is not flushed by itself, and one under FULL
/// flushes the whole log (<https://www.sqlite.org/pragma.html#pragma_synchronous>).
fn switch(connection: &Connection, now: &mut Flush, to: Flush) -> Result<()> {
    if *now != to {
        connection.execute_batch(match to {
            Flush::Now => "PRAGMA synchronous = FULL",
            Flush::Later => "PRAGMA synchronous = NORMAL",
        })?;
        *now = to;
    }
    Ok(())
}

fn commit(connection: &Connection, batch: &mut [Box<dyn Work>]) -> Result<()> {
    connection.execute_batch("BEGIN IMMEDIATE")?;
    for work in batch {
        work.run(connection);
        // A full disk or a failed read makes SQLite roll the whole transaction back by itself; what follows must
        // not be committed without what went before.
        if connection.is_autocommit() {
            return Err(RecordsError::Full);
        }
    }
    connection.execute_batch("COMMIT").inspect_err(|_| {
        if !connection.is_autocommit() && connection.execute_batch("ROLLBACK").is_err() {
            tracing::error!("records: the transaction can't be rolled back");
        }
    })?;
    Ok(())
}

fn in_savepoint<T>(connection: &Connection, work: impl FnOnce(Db<'_>) -> Result<T>) -> Result<T> {
    connection.prepare_cached("SAVEPOINT work")?.execute([])?;
    let answer = work(Db::Sqlite(connection));
    if answer.is_err() {
        connection.prepare_cached("ROLLBACK TO work")?.execute([])?;
    }
    connection.prepare_cached("RELEASE work")?.execute([])?;
    answer
}
