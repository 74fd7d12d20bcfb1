//! One Chromium: found, started over pipes in a group of its own, ended with everything that it started.
//!
//! What always holds: it runs with its sandbox, unless that is switched off by a setting; it reaches no host but those of
//! the page; when the value is dropped, its whole group is ended, and somebody waits for the end.

use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use command_fds::{CommandFdExt as _, FdMapping};
use tokio::sync::{mpsc, watch};

use crate::cdp::{Event, Link};
use crate::profile::{ProfileDir, ProfileError, end_group};

/// Where Chromium is looked for, in this order, beside the directories of `PATH`.
const NAMES: [&str; 4] = ["chromium", "chromium-browser", "google-chrome", "google-chrome-stable"];

/// How browsers are started.
#[derive(Clone, Debug)]
pub struct BrowserConfig {
    /// The program; looked for where there is none.
    pub program: Option<PathBuf>,
    /// Whether no window is shown.
    pub headless: bool,
    /// Whether it keeps its sandbox.
    pub sandbox: bool,
    /// The page's language: `en-US`, `es-ES`.
    pub language: String,
    /// Memory that all processes of one browser may take, in bytes.
    pub memory: u64,
}

/// Why no browser runs.
#[derive(Debug, thiserror::Error)]
pub(crate) enum LaunchError {
    /// There is none.
    #[error(
        "no Chromium was found: install it (Debian: apt-get install chromium), or name it with [web] chromium"
    )]
    Missing,
    /// The sandbox can't work.
    #[error(
        "Chromium's sandbox does not work as root: run as another user, or switch it off with [web] sandbox = false"
    )]
    SandboxAsRoot,
    /// Another process has the profile.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The system refuses.
    #[error("Chromium can't be started: {0}")]
    Io(#[from] io::Error),
}

/// A running browser.
pub(crate) struct Browser {
    /// How it is spoken to.
    pub(crate) link: Link,
    /// What it tells.
    pub(crate) events: mpsc::Receiver<Event>,
    dir: ProfileDir,
    pid: i32,
    ended: watch::Receiver<bool>,
}

/// Finds the program.
pub(crate) fn find(config: &BrowserConfig) -> Option<PathBuf> {
    if let Some(program) = &config.program {
        return program.is_file().then(|| program.clone());
    }
    let path = std::env::var_os("PATH")?;
    let dirs: Vec<PathBuf> = std::env::split_paths(&path).collect();
    NAMES.iter().find_map(|name| dirs.iter().map(|dir| dir.join(name)).find(|program| program.is_file()))
}

impl Browser {
    /// Starts one on a profile; whatever used that before is ended first. Blocks for a moment.
    pub(crate) fn launch(
        config: &BrowserConfig,
        dir: &ProfileDir,
        hosts: &[String],
    ) -> Result<Browser, LaunchError> {
        let program = find(config).ok_or(LaunchError::Missing)?;
        if config.sandbox && rustix::process::geteuid().is_root() {
            return Err(LaunchError::SandboxAsRoot);
        }
        dir.free()?;
        dir.prepare()?;
        let (its_in, our_out) = io::pipe()?;
        let (our_in, its_out) = io::pipe()?;
        let mut command = Command::new(program);
        command.args(arguments(config, dir, hosts)).env_clear().envs(environment(&dir.temporary()));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log(dir)?).process_group(0);
        let fds = vec![
            FdMapping { parent_fd: OwnedFd::from(its_in), child_fd: 3 },
            FdMapping { parent_fd: OwnedFd::from(its_out), child_fd: 4 },
        ];
        command.fd_mappings(fds).map_err(io::Error::other)?;
        let mut child = command.spawn()?;
        // What the child has of the pipes, it alone is to have.
        drop(command);
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let (over, ended) = watch::channel(false);
        std::thread::spawn(move || {
            let _ = child.wait();
            over.send_replace(true);
        });
        let (link, events) =
            Link::start(OwnedFd::from(our_in), OwnedFd::from(our_out)).inspect_err(|_| end_group(pid))?;
        let browser = Browser { link, events, dir: dir.clone(), pid, ended };
        browser.dir.write_down(pid)?;
        Ok(browser)
    }

    /// The id of its first process.
    pub(crate) const fn pid(&self) -> i32 {
        self.pid
    }

    /// Ends it and waits for the end. Asked first, so that it writes down what it has; not for long.
    pub(crate) async fn end(mut self, patience: std::time::Duration) {
        if !patience.is_zero() {
            let asked = self.link.call(None, "Browser.close", serde_json::json!({}), patience);
            let gone = async {
                let _ = asked.await;
                drop(self.ended.wait_for(|ended| *ended).await);
            };
            let _ = tokio::time::timeout(patience, gone).await;
        }
        end_group(self.pid);
        drop(self.ended.wait_for(|ended| *ended).await);
        self.dir.strike_out();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Whoever drops it in a panic or with its task leaves no process behind.
        if !*self.ended.borrow() {
            end_group(self.pid);
        }
    }
}

/// What Chromium says goes where a person can find it; it is small, and begun anew each time.
fn log(dir: &ProfileDir) -> io::Result<File> {
    File::create(dir.temporary().join("chromium.log"))
}

pub(crate) fn environment(home: &Path) -> Vec<(&'static str, std::ffi::OsString)> {
    let mut environment = vec![
        ("HOME", home.as_os_str().to_owned()),
        ("TMPDIR", home.as_os_str().to_owned()),
        ("XDG_CONFIG_HOME", home.join("config").into_os_string()),
        ("XDG_CACHE_HOME", home.join("cache").into_os_string()),
    ];
    // What a window needs where one is shown, and where programs and fonts are.
    for name in ["PATH", "LANG", "DISPLAY", "WAYLAND_DISPLAY", "XDG_RUNTIME_DIR", "XAUTHORITY"] {
        environment.extend(std::env::var_os(name).map(|value| (name, value)));
    }
    environment
}

fn arguments(config: &BrowserConfig, dir: &ProfileDir, hosts: &[String]) -> Vec<String> {
    let mut arguments: Vec<String> = [
        "--remote-debugging-pipe",
        "--no-first-run",
        "--no-default-browser-check",
        "--disable-extensions",
        "--disable-component-update",
        "--disable-background-networking",
        "--disable-default-apps",
        "--disable-sync",
        "--disable-breakpad",
        "--disable-crash-reporter",
        "--disable-dev-shm-usage",
        "--disable-domain-reliability",
        "--disable-client-side-phishing-detection",
        // A page in the background is throttled; ours is always meant.
        "--disable-background-timer-throttling",
        "--disable-backgrounding-occluded-windows",
        "--disable-renderer-backgrounding",
        "--disable-features=Translate,MediaRouter,OptimizationHints,AutofillServerCommunication,CertificateTransparencyComponentUpdater",
        "--block-new-web-contents",
        "--deny-permission-prompts",
        "--password-store=basic",
        "--use-mock-keychain",
        "--mute-audio",
        "--hide-scrollbars",
        "--window-size=1280,900",
        "--disk-cache-size=67108864",
    ]
    .map(str::to_owned)
    .to_vec();
    let excluded: String = hosts.iter().map(|host| format!(", EXCLUDE {host}")).collect();
    arguments.push(format!("--host-resolver-rules=MAP * ~NOTFOUND{excluded}"));
    arguments.push(format!("--user-data-dir={}", dir.profile().display()));
    arguments.push(format!("--lang={}", config.language));
    arguments.push(format!("--js-flags=--max-old-space-size={}", (config.memory >> 20).max(64)));
    if config.headless {
        arguments.push("--headless=new".to_owned());
    }
    if !config.sandbox {
        arguments.push("--no-sandbox".to_owned());
    }
    arguments.push("about:blank".to_owned());
    arguments
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config() -> BrowserConfig {
        BrowserConfig {
            program: None,
            headless: true,
            sandbox: true,
            language: "en-US".to_owned(),
            memory: 1 << 30,
        }
    }

    #[test]
    fn the_sandbox_stays_unless_it_is_switched_off() {
        let dir = ProfileDir::new(Path::new("/x"), "line");
        let hosts = ["web.whatsapp.com".to_owned()];
        let with = arguments(&config(), &dir, &hosts);
        assert!(!with.iter().any(|one| one == "--no-sandbox"));
        assert!(with.contains(&"--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE web.whatsapp.com".to_owned()));
        let without = arguments(&BrowserConfig { sandbox: false, ..config() }, &dir, &hosts);
        assert!(without.iter().any(|one| one == "--no-sandbox"));
    }

    #[test]
    fn a_program_that_is_not_there_is_not_started() {
        let root = tempfile::tempdir().expect("a directory");
        let missing = BrowserConfig { program: Some(root.path().join("chromium")), ..config() };
        let dir = ProfileDir::new(root.path(), "line");
        let error = Browser::launch(&missing, &dir, &[]).err().expect("there is none").to_string();
        assert!(error.contains("apt-get install chromium"), "{error}");
    }

    #[test]
    fn root_is_refused_a_sandbox_that_can_not_work() {
        if !rustix::process::geteuid().is_root() {
            return;
        }
        let root = tempfile::tempdir().expect("a directory");
        let program = Some(PathBuf::from("/bin/true"));
        let dir = ProfileDir::new(root.path(), "line");
        let refused = Browser::launch(&BrowserConfig { program, ..config() }, &dir, &[]);
        assert!(matches!(refused, Err(LaunchError::SandboxAsRoot)));
    }
}
