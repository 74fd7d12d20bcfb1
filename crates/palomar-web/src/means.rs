//! What of this machine sessions stand on, for whoever asks before the first one is started.

use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use crate::browser::{self, BrowserConfig};
use crate::{pool, process};

/// A program may take so long to say its version.
const SAYS_WITHIN: Duration = Duration::from_secs(10);
const LOOK: Duration = Duration::from_millis(20);

/// What is there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Means {
    /// The program, where there is one.
    pub program: Option<PathBuf>,
    /// What it says of itself, where it says something.
    pub version: Option<String>,
    /// Whether its sandbox can work.
    pub sandbox: Sandbox,
    /// Memory that is free, in bytes, where that is told.
    pub free_memory: Option<u64>,
    /// What a session is reckoned to need.
    pub each: u64,
}

/// Whether Chromium's sandbox can work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sandbox {
    /// Nothing speaks against it.
    On,
    /// It is switched off by a setting.
    Off,
    /// It can't work as root.
    Root,
    /// The kernel refuses what it is made of.
    NoNamespaces,
}

impl Means {
    /// Looks at the machine. Blocks for as long as the program takes to say its version.
    #[must_use]
    pub fn look(config: &BrowserConfig) -> Means {
        let program = browser::find(config);
        Means {
            version: program.as_deref().and_then(version),
            program,
            sandbox: sandbox(config.sandbox),
            free_memory: process::free_memory(),
            each: pool::RECKONED,
        }
    }
}

fn sandbox(is_wanted: bool) -> Sandbox {
    let says = |file: &str, word: &str| std::fs::read_to_string(file).is_ok_and(|text| text.trim() == word);
    if !is_wanted {
        Sandbox::Off
    } else if rustix::process::geteuid().is_root() {
        Sandbox::Root
    } else if says("/proc/sys/kernel/unprivileged_userns_clone", "0")
        || says("/proc/sys/user/max_user_namespaces", "0")
    {
        Sandbox::NoNamespaces
    } else {
        Sandbox::On
    }
}

/// What a program says of itself, in one line.
fn version(program: &Path) -> Option<String> {
    let mut command = Command::new(program);
    command.arg("--version").stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().ok()?;
    let mut waited = Duration::ZERO;
    while child.try_wait().ok()?.is_none() {
        if waited >= SAYS_WITHIN {
            // One that says nothing is not waited for.
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(LOOK);
        waited += LOOK;
    }
    let mut said = String::new();
    child.stdout.take()?.take(1000).read_to_string(&mut said).ok()?;
    let line = said.lines().next()?.trim();
    (!line.is_empty()).then(|| line.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_says_its_version_or_nothing() {
        assert!(version(Path::new("/bin/sh")).is_none_or(|line| !line.is_empty()));
        assert_eq!(version(Path::new("/bin/true")).as_deref().map(|line| line.contains("true")), Some(true));
        assert_eq!(version(Path::new("/no/such/program")), None);
    }

    #[test]
    fn a_sandbox_that_is_switched_off_is_off() {
        assert_eq!(sandbox(false), Sandbox::Off);
    }
}
