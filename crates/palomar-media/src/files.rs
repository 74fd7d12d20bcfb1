//! Content as files: `ab/cd/<sha256>` below a directory.
//!
//! A file appears whole, by a rename after its flush. One that is kept again is touched, and one that was touched a moment
//! ago is not removed: who keeps it may not have been able to say so yet.

use std::fs::{self, File, FileTimes};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, SystemTime};

use futures_util::{StreamExt as _, stream};
use palomar_model::Timestamp;

use crate::blocking::blocking;
use crate::hash::Hash;
use crate::incoming::{Incoming, Received};
use crate::store::{Bytes, Part, Removed};

/// What comes in, until it is whole.
const INCOMING: &str = "incoming";
/// The file that says which directory this is.
const NAME: &str = "place";
/// So much is read at once.
const CHUNK: usize = 64 << 10;

/// A directory of content.
#[derive(Clone, Debug)]
pub struct Files {
    dir: Arc<Path>,
    place: Arc<str>,
    /// Held to write while something is removed, so that nothing is kept between the look at it and its end.
    removing: Arc<RwLock<()>>,
}

impl Files {
    /// The content in `dir`, which is made where it is not there and called `name` then. What an earlier process did not
    /// bring to its end is removed.
    ///
    /// # Errors
    /// Where it can't be written.
    pub fn open(dir: &Path, name: &str) -> io::Result<Files> {
        let incoming = dir.join(INCOMING);
        fs::create_dir_all(&incoming)?;
        for left in fs::read_dir(&incoming)? {
            fs::remove_file(left?.path())?;
        }
        let file = dir.join(NAME);
        let known = match fs::read_to_string(&file) {
            Ok(known) if !known.trim().is_empty() => known.trim().to_owned(),
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {
                let mut made = File::create(&file)?;
                writeln!(made, "{name}")?;
                made.sync_all()?;
                name.to_owned()
            }
        };
        sync(dir)?;
        Ok(Files { dir: dir.into(), place: format!("files:{known}").into(), removing: Arc::default() })
    }

    /// What this directory is called, wherever it is moved.
    #[must_use]
    pub fn place(&self) -> &str {
        &self.place
    }

    pub(crate) async fn begin(&self) -> io::Result<Incoming> {
        Incoming::begin(&self.dir.join(INCOMING)).await
    }

    pub(crate) async fn keep(&self, received: &Received, now: Timestamp) -> io::Result<()> {
        let (from, to) = (received.path.path().to_owned(), self.path(&received.hash));
        let (size, removing, root) = (received.size, Arc::clone(&self.removing), Arc::clone(&self.dir));
        blocking(move || {
            let _kept = removing.read().unwrap_or_else(PoisonError::into_inner);
            touch(&from, now)?;
            if fs::metadata(&to).is_ok_and(|known| known.len() == size) {
                return touch(&to, now);
            }
            let (dir, above) = parents(&to);
            fs::create_dir_all(dir)?;
            fs::rename(&from, &to)?;
            [dir, above, &root].into_iter().try_for_each(sync)
        })
        .await
    }

    pub(crate) async fn read(&self, hash: &Hash, part: Part) -> io::Result<Option<Bytes>> {
        let path = self.path(hash);
        let opened = blocking(move || {
            let mut file = match File::open(path) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(error) => return Err(error),
            };
            file.seek(SeekFrom::Start(part.first))?;
            Ok(Some(file.take(part.length)))
        });
        let Some(file) = opened.await? else { return Ok(None) };
        let chunks = stream::try_unfold(file, |mut file| async {
            let (chunk, file) = blocking(move || {
                let mut chunk = Vec::with_capacity(CHUNK);
                file.by_ref().take(CHUNK as u64).read_to_end(&mut chunk)?;
                Ok((chunk, file))
            })
            .await?;
            Ok((!chunk.is_empty()).then_some((chunk.into(), file)))
        });
        Ok(Some(chunks.boxed()))
    }

    pub(crate) async fn remove(&self, hash: &Hash, unless_after: Timestamp) -> io::Result<Removed> {
        let (path, removing) = (self.path(hash), Arc::clone(&self.removing));
        blocking(move || {
            let _alone = removing.write().unwrap_or_else(PoisonError::into_inner);
            match fs::metadata(&path).and_then(|known| known.modified()) {
                Ok(touched) if touched > system_time(unless_after) => return Ok(Removed::NotYet),
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Removed::Gone),
                Err(error) => return Err(error),
            }
            fs::remove_file(&path)?;
            Ok(Removed::Gone)
        })
        .await
    }

    /// Content that was kept last before `before`, of those whose hash begins with this byte.
    pub(crate) async fn kept_before(&self, first: u8, before: Timestamp) -> io::Result<Vec<Hash>> {
        let (dir, before) = (self.dir.join(format!("{first:02x}")), system_time(before));
        blocking(move || {
            let mut found = Vec::new();
            for below in entries(&dir)? {
                for file in entries(&below?.path())? {
                    let file = file?;
                    let Some(hash) = file.file_name().to_str().and_then(|name| name.parse().ok()) else {
                        continue;
                    };
                    match file.metadata().and_then(|known| known.modified()) {
                        Ok(touched) if touched < before => found.push(hash),
                        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                        // It was kept again, or is gone already.
                        _ => {}
                    }
                }
            }
            Ok(found)
        })
        .await
    }

    fn path(&self, hash: &Hash) -> PathBuf {
        self.dir.join(hash.key())
    }
}

/// What is in a directory; nothing where it is not there.
fn entries(dir: &Path) -> io::Result<impl Iterator<Item = io::Result<fs::DirEntry>>> {
    match fs::read_dir(dir) {
        Ok(found) => Ok(Some(found).into_iter().flatten()),
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {
            Ok(None.into_iter().flatten())
        }
        Err(error) => Err(error),
    }
}

/// The directory of a file, and the one above it.
fn parents(path: &Path) -> (&Path, &Path) {
    let dir = path.parent().unwrap_or(path);
    (dir, dir.parent().unwrap_or(dir))
}

/// Flushes the names in a directory.
fn sync(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

fn touch(path: &Path, now: Timestamp) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_times(FileTimes::new().set_modified(system_time(now)))
}

fn system_time(at: Timestamp) -> SystemTime {
    let micros = u64::try_from(at.micros()).unwrap_or(0);
    SystemTime::UNIX_EPOCH + Duration::from_micros(micros)
}
