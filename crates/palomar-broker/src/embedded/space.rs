//! Room on the disk: a reserve that is given up when the disk is full, so that what was accepted can be settled.
//!
//! `queue.reserve` holds [`RESERVE`] bytes that are really written. When the disk is full the file goes, nothing more
//! is accepted, and settling goes on in its room. When there is room again, it is written anew first.
//!
//! The database file does not shrink: where it was the queue itself that filled the disk, the room that drained jobs
//! leave behind is within the file. It counts as room too, as long as some is left beside the file.

use std::io::Write;
use std::path::{Path, PathBuf};

/// Size of the reserve.
pub(super) const RESERVE: u64 = 16 << 20;
/// Free bytes below which nothing more is accepted.
const LOW_WATER: u64 = 4 << 20;
/// What a commit writes beside the jobs that it accepts.
const FRAMES: u64 = 64 << 10;

/// The reserve of a data directory.
pub(super) struct Space {
    file: PathBuf,
    dir: PathBuf,
    full: bool,
    /// Bytes that may be written before it is looked again.
    room: u64,
    /// Bytes of them that the database file takes without growing.
    spare: u64,
}

impl Space {
    /// Makes sure that the reserve stands.
    pub(super) fn open(dir: &Path) -> Space {
        let mut space =
            Space { file: dir.join("queue.reserve"), dir: dir.to_owned(), full: true, room: 0, spare: 0 };
        space.look(0);
        space
    }

    /// Whether there is little room left, so that what can be given back should be.
    pub(super) fn is_tight(&self) -> bool {
        self.full || self.room < LOW_WATER
    }

    /// Bytes that may still be written, as far as is known.
    pub(super) fn room(&self) -> u64 {
        if self.full { 0 } else { self.room }
    }

    /// Whether `bytes` may be accepted. They are written twice, to the log and to the database, where they may find
    /// room within the file: were there none, a commit would fail for good.
    pub(super) fn admits(&mut self, bytes: u64, spare: impl FnOnce() -> u64) -> bool {
        if !self.full && self.cost(bytes) > self.room {
            self.look(spare());
        }
        let cost = self.cost(bytes);
        if self.full || cost > self.room {
            return false;
        }
        self.room -= cost;
        self.spare = self.spare.saturating_sub(bytes);
        true
    }

    fn cost(&self, bytes: u64) -> u64 {
        bytes + bytes.saturating_sub(self.spare) + FRAMES
    }

    /// The disk is full: gives the reserve up.
    pub(super) fn give_up_reserve(&mut self) {
        if !self.full {
            tracing::error!(
                "the disk is full: nothing more is accepted, the reserve is given up for settling"
            );
        }
        self.full = true;
        // It may have been given up before.
        let _ = std::fs::remove_file(&self.file);
    }

    /// Looks whether there is room (again); `spare` bytes are free within the database file. Called now and then,
    /// between batches.
    pub(super) fn look(&mut self, spare: u64) {
        let free = free_bytes(&self.dir);
        self.spare = spare;
        let stands = std::fs::metadata(&self.file).is_ok_and(|file| file.len() == RESERVE);
        if stands {
            let low = if self.full { 2 * LOW_WATER } else { LOW_WATER };
            if free < 2 * LOW_WATER && spare > RESERVE + LOW_WATER && std::fs::remove_file(&self.file).is_ok()
            {
                // The room within the database is a reserve as well, and the log needs some beside it.
                self.note(false, free + RESERVE);
            } else {
                self.note(free < low, free);
            }
        } else if free > RESERVE + 2 * LOW_WATER {
            match self.write() {
                Ok(()) => self.note(false, free.saturating_sub(RESERVE)),
                Err(error) => {
                    tracing::warn!(%error, "the reserve can't be written");
                    let _ = std::fs::remove_file(&self.file);
                }
            }
        } else {
            // Without a reserve, what is left beside the file is one.
            let least = if self.full { 2 * LOW_WATER } else { LOW_WATER };
            self.note(free < least || free + spare < RESERVE + least, free);
        }
    }

    fn note(&mut self, full: bool, free: u64) {
        match (self.full, full) {
            (false, true) => tracing::error!(free, "the disk is nearly full: nothing more is accepted"),
            (true, false) => tracing::info!(free, "there is room on the disk"),
            _ => {}
        }
        self.full = full;
        self.room = free.saturating_sub(LOW_WATER);
    }

    /// The disk is taken for full until it is looked at again.
    #[cfg(test)]
    pub(super) fn fill(&mut self) {
        self.note(true, 0);
    }

    fn write(&self) -> std::io::Result<()> {
        let mut file = std::fs::File::create(&self.file)?;
        // Not zeros: a file system may keep those as a hole, which reserves nothing.
        let block: Vec<u8> = (0..1_u32 << 16).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
        for _ in 0..RESERVE / block.len() as u64 {
            file.write_all(&block)?;
        }
        file.sync_all()
    }
}

/// Bytes that this process may still write to the directory's file system.
pub(super) fn free_bytes(dir: &Path) -> u64 {
    rustix::fs::statvfs(dir).map_or(u64::MAX, |fs| fs.f_bavail.saturating_mul(fs.f_frsize))
}

/// Locks a data directory for this process; the lock ends with the file.
pub(super) fn lock(dir: &Path) -> Result<std::fs::File, super::StoreError> {
    let unusable = |source| super::StoreError::Directory { dir: dir.to_owned(), source };
    std::fs::create_dir_all(dir).map_err(unusable)?;
    let file = std::fs::File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(dir.join("queue.lock"))
        .map_err(unusable)?;
    match rustix::fs::flock(&file, rustix::fs::FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(rustix::io::Errno::WOULDBLOCK) => Err(super::StoreError::Locked(dir.to_owned())),
        Err(error) => Err(unusable(error.into())),
    }
}
