//! A session's place on the disk, and what a browser that was killed may have left there.
//!
//! ```text
//! <sessions>/<name>/profile/       the browser's profile: the login
//!                   tmp/           its home and temporary files
//!                   snapshots/     pictures and outlines of the page, kept on errors
//!                   browser.json   the process that uses the profile
//!                   sends.log      what was pressed (see `notes`)
//!                   chats.log      which chats were opened, and how far each was heard (see `chats`)
//! ```
//!
//! What always holds: a browser is written down before it is used and struck out after its end; whoever starts ends
//! first what is written down, by its process id *and* its start time, so that a stranger with the same id is left alone.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::{Deserialize, Serialize};

use crate::process;

/// Locks of Chromium in its profile.
const LOCKS: [&str; 3] = ["SingletonLock", "SingletonSocket", "SingletonCookie"];
/// How long a killed process may take to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);
const LOOK: Duration = Duration::from_millis(20);

/// A session's directory.
#[derive(Clone, Debug)]
pub(crate) struct ProfileDir {
    root: PathBuf,
}

/// A browser's process, as it is written down.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Written {
    pid: i32,
    /// Clock ticks since the machine's start: with the id it names one process.
    started: u64,
}

/// Why a profile can't be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ProfileError {
    /// Another process has it.
    #[error("process {0} uses the profile: end it, or choose another data directory")]
    InUse(i32),
    /// The disk says no.
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl ProfileDir {
    /// The directory of `name` below `sessions`. Names are those of channels: no path can hide in one.
    pub(crate) fn new(sessions: &Path, name: &str) -> ProfileDir {
        ProfileDir { root: sessions.join(name) }
    }

    pub(crate) fn profile(&self) -> PathBuf {
        self.root.join("profile")
    }

    pub(crate) fn temporary(&self) -> PathBuf {
        self.root.join("tmp")
    }

    pub(crate) fn snapshots(&self) -> PathBuf {
        self.root.join("snapshots")
    }

    pub(crate) fn sends(&self) -> PathBuf {
        self.root.join("sends.log")
    }

    pub(crate) fn chats(&self) -> PathBuf {
        self.root.join("chats.log")
    }

    fn written(&self) -> PathBuf {
        self.root.join("browser.json")
    }

    /// Makes the session's directory, for its owner only; whether it never had a profile.
    pub(crate) fn begin(&self) -> io::Result<bool> {
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&self.root)?;
        Ok(!self.profile().try_exists()?)
    }

    /// Makes the directories, for their owner only; temporary files of an earlier browser go.
    pub(crate) fn prepare(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.temporary()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for dir in [self.profile(), self.temporary(), self.snapshots()] {
            fs::DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
        }
        Ok(())
    }

    /// Removes everything: the login too.
    pub(crate) fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.root) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }

    /// Writes down the browser that uses the profile now.
    pub(crate) fn write_down(&self, pid: i32) -> io::Result<()> {
        let started = process::started(pid).ok_or(io::ErrorKind::NotFound)?;
        let text = serde_json::to_string(&Written { pid, started }).map_err(io::Error::other)?;
        let mut file = fs::OpenOptions::new()
            .create(true)
            .truncate(true)
            .write(true)
            .mode(0o600)
            .open(self.written())?;
        file.write_all(text.as_bytes())?;
        file.sync_all()
    }

    /// Strikes out the browser, which has ended.
    pub(crate) fn strike_out(&self) {
        // What stays names a process that is no more: it harms nobody.
        let _ = fs::remove_file(self.written());
    }

    /// Ends what an earlier run left, and takes away its locks. Blocks for a moment.
    pub(crate) fn free(&self) -> Result<(), ProfileError> {
        let written = fs::read(self.written()).ok();
        let written = written.and_then(|bytes| serde_json::from_slice::<Written>(&bytes).ok());
        if let Some(Written { pid, started }) = written
            && process::started(pid) == Some(started)
        {
            tracing::warn!(pid, "a browser of an earlier run is ended");
            end_group(pid);
            self.wait_until_gone(pid, started)?;
        }
        self.strike_out();
        self.unlock()
    }

    fn wait_until_gone(&self, pid: i32, started: u64) -> Result<(), ProfileError> {
        let mut waited = Duration::ZERO;
        while process::runs(pid, started) {
            if waited >= GONE_WITHIN {
                return Err(ProfileError::InUse(pid));
            }
            std::thread::sleep(LOOK);
            waited += LOOK;
        }
        Ok(())
    }

    /// Takes away the locks of a browser that is no more. The lock is a link that names its machine and process.
    fn unlock(&self) -> Result<(), ProfileError> {
        let profile = self.profile();
        if let Ok(target) = fs::read_link(profile.join(LOCKS[0])) {
            let holder = target.to_string_lossy().rsplit_once('-').and_then(|(_, pid)| pid.parse().ok());
            if let Some(pid) = holder.filter(|pid| process::uses(*pid, &profile)) {
                return Err(ProfileError::InUse(pid));
            }
        }
        for lock in LOCKS {
            match fs::remove_file(profile.join(lock)) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
                _ => {}
            }
        }
        Ok(())
    }
}

/// Ends a process and all of its group.
pub(crate) fn end_group(pid: i32) {
    if let Some(pid) = Pid::from_raw(pid) {
        // It may have ended by itself.
        let _ = kill_process_group(pid, Signal::KILL);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::process::CommandExt as _;
    use std::process::Command;

    use super::*;

    fn dir() -> (tempfile::TempDir, ProfileDir) {
        let root = tempfile::tempdir().expect("a directory");
        let dir = ProfileDir::new(root.path(), "line");
        dir.prepare().expect("made");
        (root, dir)
    }

    #[test]
    fn what_an_earlier_run_left_is_ended() {
        let (_root, dir) = dir();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep runs");
        let pid = i32::try_from(child.id()).expect("an id");
        dir.write_down(pid).expect("written");
        // Somebody must take the child's end, as init does for an orphan.
        let reaper = std::thread::spawn(move || child.wait());
        symlink(format!("host-{pid}"), dir.profile().join("SingletonLock")).expect("a lock");
        dir.free().expect("freed");
        reaper.join().expect("no panic").expect("ended");
        assert!(fs::symlink_metadata(dir.profile().join("SingletonLock")).is_err());
        assert!(!dir.written().exists());
    }

    #[test]
    fn a_stranger_with_the_same_id_is_left_alone() {
        let (_root, dir) = dir();
        let mut child = Command::new("sleep").arg("600").process_group(0).spawn().expect("sleep runs");
        let pid = i32::try_from(child.id()).expect("an id");
        let other = Written { pid, started: process::started(pid).expect("it runs") + 1 };
        fs::write(dir.written(), serde_json::to_string(&other).expect("json")).expect("written");
        dir.free().expect("freed");
        assert!(child.try_wait().expect("asked").is_none(), "the stranger was ended");
        child.kill().expect("ended");
        child.wait().expect("ended");
    }

    #[test]
    fn a_profile_in_use_is_refused_and_a_stale_lock_taken_away() {
        let (_root, dir) = dir();
        let told = format!("--user-data-dir={}", dir.profile().display());
        let script = "while :; do sleep 1; done";
        let mut child =
            Command::new("sh").args(["-c", script, "sh", &told]).process_group(0).spawn().expect("sh runs");
        let pid = i32::try_from(child.id()).expect("an id");
        let lock = dir.profile().join("SingletonLock");
        symlink(format!("host-{pid}"), &lock).expect("a lock");
        // Until it has become what it was told to be.
        while !process::uses(pid, &dir.profile()) {
            std::thread::yield_now();
        }
        assert!(matches!(dir.free(), Err(ProfileError::InUse(holder)) if holder == pid));
        end_group(pid);
        child.wait().expect("ended");
        dir.free().expect("freed");
        assert!(fs::symlink_metadata(&lock).is_err());
    }
}
