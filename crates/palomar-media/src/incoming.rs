//! Content on its way in: a file beside the store, hashed as it grows. Dropped before its end, it leaves nothing behind.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use sha2::{Digest as _, Sha256};

use crate::blocking::blocking;
use crate::hash::Hash;

/// So much is gathered before it is written: what one content takes of memory.
const BUFFER: usize = 256 << 10;
/// So much of the beginning is kept to see what it is: the names of the first parts of an office file are in it.
const HEAD: usize = 4 << 10;

/// Content that comes in.
#[derive(Debug)]
pub struct Incoming {
    file: Option<File>,
    path: TempPath,
    buffer: Vec<u8>,
    hasher: Sha256,
    size: u64,
    head: Vec<u8>,
}

/// Content that has come in whole, and is on the disk.
#[derive(Debug)]
pub struct Received {
    /// What it is known by.
    pub hash: Hash,
    /// Its length.
    pub size: u64,
    /// Its beginning.
    pub head: Vec<u8>,
    pub(crate) path: TempPath,
}

/// A file that goes when nobody holds it any more.
#[derive(Debug)]
pub(crate) struct TempPath(PathBuf);

impl TempPath {
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for TempPath {
    fn drop(&mut self) {
        // It may have been moved to where it belongs; what stays is swept at the next start.
        let _ = std::fs::remove_file(&self.0);
    }
}

impl Incoming {
    /// Begins some content in `dir`.
    pub(crate) async fn begin(dir: &Path) -> io::Result<Incoming> {
        static NUMBER: AtomicU64 = AtomicU64::new(0);
        let name = format!("{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let path = dir.join(name);
        let (file, path) = blocking(move || {
            let file = File::options().write(true).create(true).truncate(true).open(&path)?;
            Ok((file, TempPath(path)))
        })
        .await?;
        Ok(Incoming {
            file: Some(file),
            path,
            buffer: Vec::with_capacity(BUFFER),
            hasher: Sha256::new(),
            size: 0,
            head: Vec::new(),
        })
    }

    /// How much has come.
    #[must_use]
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Takes more of it.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.size += bytes.len() as u64;
        self.hasher.update(bytes);
        let wanted = HEAD - self.head.len();
        self.head.extend(bytes.iter().take(wanted));
        for part in bytes.chunks(BUFFER) {
            if self.buffer.len() + part.len() > BUFFER {
                self.flush().await?;
            }
            self.buffer.extend_from_slice(part);
        }
        Ok(())
    }

    /// Ends it: all of it is on the disk then.
    ///
    /// # Errors
    /// Where it can't be written.
    pub async fn finish(mut self) -> io::Result<Received> {
        self.flush().await?;
        if let Some(file) = self.file.take() {
            blocking(move || file.sync_all()).await?;
        }
        let Incoming { path, hasher, size, head, .. } = self;
        Ok(Received { hash: Hash::new(hasher.finalize().into()), size, head, path })
    }

    async fn flush(&mut self) -> io::Result<()> {
        let Some(mut file) = self.file.take() else {
            return Err(io::Error::other("an earlier write has failed"));
        };
        let buffer = std::mem::take(&mut self.buffer);
        let (file, mut buffer) = blocking(move || {
            file.write_all(&buffer)?;
            Ok((file, buffer))
        })
        .await?;
        buffer.clear();
        (self.file, self.buffer) = (Some(file), buffer);
        Ok(())
    }
}
