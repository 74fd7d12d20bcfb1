//! A page printed to PDF by Chromium, where there is one.
//!
//! What always holds: the page reaches no network, no name resolves; the browser has a profile of its own that is gone with
//! the directory; it is ended when it takes too long. Scripts can't be switched off, Chromium prints by one of its own:
//! whoever hands in a page sees to it that it runs none.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use crate::browser::{self, BrowserConfig};
use crate::profile::end_group;

/// How often it is asked whether it is done.
const LOOK: Duration = Duration::from_millis(50);

/// Why there is no PDF.
#[derive(Debug, thiserror::Error)]
pub enum PrintError {
    /// There is no Chromium.
    #[error(
        "no Chromium was found: install it (Debian: apt-get install chromium), or name it with [web] chromium"
    )]
    Missing,
    /// The sandbox can't work.
    #[error(
        "Chromium's sandbox does not work as root: run as another user, or switch it off with [web] sandbox = false"
    )]
    SandboxAsRoot,
    /// It takes too long.
    #[error("Chromium did not print the page within {0:?}")]
    TooSlow(Duration),
    /// It ended without a document.
    #[error("Chromium printed nothing that is a PDF")]
    NoDocument,
    /// Files or processes fail.
    #[error("the page can't be printed: {0}")]
    Io(#[from] io::Error),
}

/// Prints a page, in a directory that is empty and nobody else's. Blocks until it is done.
///
/// # Errors
/// Where there is no Chromium, or it does not do it in time.
pub fn print(
    config: &BrowserConfig,
    html: &str,
    dir: &Path,
    within: Duration,
) -> Result<Vec<u8>, PrintError> {
    let program = browser::find(config).ok_or(PrintError::Missing)?;
    if config.sandbox && rustix::process::geteuid().is_root() {
        return Err(PrintError::SandboxAsRoot);
    }
    let (page, document) = (dir.join("page.html"), dir.join("page.pdf"));
    std::fs::write(&page, html)?;
    let mut command = Command::new(program);
    command.args([
        "--headless=new",
        "--no-first-run",
        "--disable-extensions",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-dev-shm-usage",
        "--disable-gpu",
        "--host-resolver-rules=MAP * ~NOTFOUND",
        "--no-pdf-header-footer",
    ]);
    if !config.sandbox {
        command.arg("--no-sandbox");
    }
    command.arg(format!("--user-data-dir={}", dir.join("profile").display()));
    command.arg(format!("--print-to-pdf={}", document.display()));
    command.arg(format!("file://{}", page.display()));
    command.env_clear().envs(browser::environment(dir));
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let ended = wait(command.spawn()?, within)?;
    if !ended {
        return Err(PrintError::TooSlow(within));
    }
    match std::fs::read(&document) {
        Ok(bytes) if bytes.starts_with(b"%PDF-") => Ok(bytes),
        Ok(_) => Err(PrintError::NoDocument),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(PrintError::NoDocument),
        Err(error) => Err(error.into()),
    }
}

/// Waits for a process, and ends it and its kin where it takes longer. Whether it ended by itself.
fn wait(mut child: Child, within: Duration) -> io::Result<bool> {
    let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
    let mut left = within;
    let ended = loop {
        if child.try_wait()?.is_some() {
            break true;
        }
        if left.is_zero() {
            break false;
        }
        std::thread::sleep(LOOK.min(left));
        left = left.saturating_sub(LOOK);
    };
    end_group(pid);
    child.wait()?;
    Ok(ended)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(program: Option<std::path::PathBuf>) -> BrowserConfig {
        let sandbox = !rustix::process::geteuid().is_root();
        BrowserConfig { program, headless: true, sandbox, language: "en-US".into(), memory: 512 << 20 }
    }

    #[test]
    fn what_is_no_browser_is_told_and_ended() {
        let dir = tempfile::tempdir().expect("a directory");
        let missing = print(&config(Some(dir.path().join("none"))), "", dir.path(), LOOK);
        assert!(matches!(missing, Err(PrintError::Missing)), "{missing:?}");
        let silent = print(&config(Some("/bin/true".into())), "", dir.path(), Duration::from_secs(60));
        assert!(matches!(silent, Err(PrintError::NoDocument)), "{silent:?}");
        let slow = dir.path().join("slow");
        std::fs::write(&slow, "#!/bin/sh\nexec sleep 600\n").expect("written");
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o700);
        std::fs::set_permissions(&slow, mode).expect("a program");
        let slow = print(&config(Some(slow)), "", dir.path(), LOOK * 2);
        assert!(matches!(slow, Err(PrintError::TooSlow(_))), "{slow:?}");
    }
}
