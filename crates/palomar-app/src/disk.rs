//! The disk under the data directory: how much room there is, and what the stores take.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use palomar_broker::StoreMeters;

use crate::{App, AppError};

/// The queue's database, where the broker is embedded.
const QUEUE_FILE: &str = "queue.db";

/// What the broker's store says of itself.
#[derive(Clone, Debug, Default)]
pub struct StoreReading {
    /// What it counted.
    pub meters: StoreMeters,
    /// Why it failed, if it has: it accepts nothing more.
    pub failure: Option<Arc<str>>,
}

/// Asks the broker's store.
pub type StoreSource = Box<dyn Fn() -> StoreReading + Send + Sync>;

/// A disk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Disk {
    /// Bytes that this process may still write.
    pub(crate) free: u64,
    /// Bytes that it has.
    pub(crate) total: u64,
    /// Bytes that each store takes, its log included.
    pub(crate) stores: [(&'static str, u64); 2],
}

impl Disk {
    /// Looks at the disk of a directory. `None` where the system does not say.
    fn look(dir: &Path) -> Option<Disk> {
        let fs = rustix::fs::statvfs(dir).ok()?;
        Some(Disk {
            free: fs.f_bavail.saturating_mul(fs.f_frsize),
            total: fs.f_blocks.saturating_mul(fs.f_frsize),
            stores: [
                ("queue", size(&dir.join(QUEUE_FILE))),
                ("records", size(&dir.join(palomar_records::FILE))),
            ],
        })
    }

    /// Whether that is much or little.
    pub(crate) fn room(&self) -> DiskRoom {
        DiskRoom::of(self.free, self.total)
    }
}

/// How much room there is. What is little on a small disk is a share of it; of a large one a share may be plenty.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiskRoom {
    /// There is.
    Enough,
    /// Less than a tenth and than 10 GiB: somebody should make some.
    Low,
    /// Less than a fiftieth and than 1 GiB: before long nothing more is accepted.
    Short,
}

impl DiskRoom {
    /// Of bytes that are free, and of all that the disk has.
    #[must_use]
    pub fn of(free: u64, total: u64) -> DiskRoom {
        const GIB: u64 = 1 << 30;
        if free < (total / 50).min(GIB) || free == 0 {
            DiskRoom::Short
        } else if free < (total / 10).min(10 * GIB) {
            DiskRoom::Low
        } else {
            DiskRoom::Enough
        }
    }
}

/// The size of a database and its log; a file that is not there takes nothing.
fn size(file: &Path) -> u64 {
    let mut log = file.as_os_str().to_owned();
    log.push("-wal");
    [file, &PathBuf::from(log)]
        .iter()
        .filter_map(|file| std::fs::metadata(file).ok())
        .map(|file| file.len())
        .sum()
}

impl App {
    /// Says where the numbers of the broker's store come from; the first source counts.
    pub fn observe_store(&self, source: StoreSource) {
        if self.store.set(source).is_err() {
            tracing::debug!("the broker's store is observed already");
        }
    }

    /// What the broker's store says, where somebody asks it.
    pub(crate) fn store_reading(&self) -> Option<StoreReading> {
        self.store.get().map(|source| source())
    }

    /// Notes whether the broker refused something for want of room, for whoever asks how this process is.
    pub(crate) fn note_room<T>(&self, accepted: &Result<T, AppError>) {
        self.full.store(matches!(accepted, Err(AppError::Full)), Ordering::Relaxed);
    }

    /// The disk of the data directory.
    pub(crate) async fn disk(&self) -> Option<Disk> {
        let dir = self.records.dir().to_owned();
        // A disk may be slow to answer.
        let looked = tokio::task::spawn_blocking(move || Disk::look(&dir)).await;
        looked.ok().flatten()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_and_sizes() {
        let dir = tempfile::tempdir().expect("a directory");
        assert_eq!(Disk::look(&dir.path().join("nowhere")), None);
        std::fs::write(dir.path().join("records.db"), [0; 10]).expect("written");
        std::fs::write(dir.path().join("records.db-wal"), [0; 5]).expect("written");
        let disk = Disk::look(dir.path()).expect("a disk");
        assert_eq!(disk.stores, [("queue", 0), ("records", 15)]);
        assert!(disk.total > 0 && disk.free <= disk.total);
    }
    #[test]
    fn much_and_little() {
        const GIB: u64 = 1 << 30;
        let cases = [
            (0, 0, DiskRoom::Short),
            (19, 1_000, DiskRoom::Short),
            (20, 1_000, DiskRoom::Low),
            (99, 1_000, DiskRoom::Low),
            (100, 1_000, DiskRoom::Enough),
            (GIB - 1, 1_000 * GIB, DiskRoom::Short),
            (GIB, 1_000 * GIB, DiskRoom::Low),
            (10 * GIB - 1, 1_000 * GIB, DiskRoom::Low),
            (10 * GIB, 1_000 * GIB, DiskRoom::Enough),
        ];
        for (free, total, room) in cases {
            assert_eq!(DiskRoom::of(free, total), room, "{free} of {total}");
        }
    }
}
