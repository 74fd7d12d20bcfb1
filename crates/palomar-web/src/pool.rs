//! All sessions of a process, by name.
//!
//! What always holds: a name has one session; no more browsers are started than fit; what an earlier process left
//! running is ended before anything starts.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use palomar_model::{ChannelName, Clock};

use crate::browser::{self, BrowserConfig};
use crate::page::{PageFile, PageFileError};
use crate::process;
use crate::profile::ProfileDir;
use crate::session::{Session, Settings};
use crate::state::{Command, Patience, Status};

/// What a browser takes when it has just logged in: nobody is to be without memory because of one more.
pub(crate) const RECKONED: u64 = 400 << 20;

/// How sessions are kept.
#[derive(Clone, Debug)]
pub struct PoolConfig {
    /// The directory of all sessions.
    pub dir: PathBuf,
    /// The page's address.
    pub url: String,
    /// How browsers are started.
    pub browser: BrowserConfig,
    /// The file of the page's description; the built-in one where there is none.
    pub page: Option<PathBuf>,
    /// Sessions that may be open at once.
    pub most: usize,
    /// What loading the page may take.
    pub navigation: Duration,
    /// What a step on the page may take.
    pub step: Duration,
}

/// Why something can't be done.
#[derive(Debug, thiserror::Error)]
pub enum PoolError {
    /// The page's description does not hold.
    #[error(transparent)]
    Page(#[from] PageFileError),
    /// The disk says no.
    #[error("the sessions' directory: {0}")]
    Io(#[from] io::Error),
    /// There is no room for one more.
    #[error("{0}")]
    Full(String),
    /// There is no such session.
    #[error("there is no such session")]
    NoSession,
}

/// All sessions.
pub struct Pool {
    config: PoolConfig,
    page: Arc<PageFile>,
    clock: Arc<dyn Clock>,
    sessions: Mutex<BTreeMap<ChannelName, Session>>,
}

/// Removes what is kept of a name in the directory of all sessions: its login above all. A browser that an earlier process
/// left running there is ended first.
///
/// # Errors
/// Where it can't be removed.
pub async fn remove_login(sessions: &Path, name: &ChannelName) -> Result<(), PoolError> {
    let dir = ProfileDir::new(sessions, name.as_str());
    let removed = tokio::task::spawn_blocking(move || {
        dir.free().map_err(io::Error::other)?;
        dir.remove()
    });
    Ok(removed.await.map_err(io::Error::other)??)
}

impl Pool {
    /// Reads the page's description, and ends what an earlier process left running. Blocks for a moment.
    ///
    /// # Errors
    /// [`PoolError`].
    pub fn open(config: PoolConfig, clock: Arc<dyn Clock>) -> Result<Arc<Pool>, PoolError> {
        let page = match &config.page {
            Some(path) => PageFile::read(path)?,
            None => PageFile::built_in()?,
        };
        for entry in fs::read_dir(&config.dir).into_iter().flatten().flatten() {
            let Some(name) = entry.file_name().to_str().and_then(|name| name.parse::<ChannelName>().ok())
            else {
                continue;
            };
            if let Err(error) = ProfileDir::new(&config.dir, name.as_str()).free() {
                tracing::warn!(session = %name, %error, "a profile is not free");
            }
        }
        Ok(Arc::new(Pool { config, page: Arc::new(page), clock, sessions: Mutex::default() }))
    }

    fn sessions(&self) -> MutexGuard<'_, BTreeMap<ChannelName, Session>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settings(&self) -> Settings {
        Settings {
            url: self.config.url.clone(),
            browser: self.config.browser.clone(),
            patience: Patience { loading: self.config.navigation, ..Patience::default() },
            navigation: self.config.navigation,
            open: self.config.step,
            page: self.config.page.clone(),
        }
    }

    /// How sessions are kept.
    #[must_use]
    pub const fn config(&self) -> &PoolConfig {
        &self.config
    }

    /// The version of the page's description.
    #[must_use]
    pub fn page_version(&self) -> &str {
        &self.page.version
    }

    /// The program that runs sessions, where there is one.
    #[must_use]
    pub fn program(&self) -> Option<PathBuf> {
        browser::find(&self.config.browser)
    }

    /// The session of a name; made, and closed, where there was none.
    #[must_use]
    pub fn session(&self, name: &ChannelName) -> Session {
        let mut sessions = self.sessions();
        let made = || {
            let dir = ProfileDir::new(&self.config.dir, name.as_str());
            Session::new(name.as_str(), self.settings(), Arc::clone(&self.page), dir, Arc::clone(&self.clock))
        };
        sessions.entry(name.clone()).or_insert_with(made).clone()
    }

    /// All sessions, by name.
    #[must_use]
    pub fn all(&self) -> Vec<(ChannelName, Session)> {
        self.sessions().iter().map(|(name, session)| (name.clone(), session.clone())).collect()
    }

    /// Orders a session to open, close or restart.
    ///
    /// # Errors
    /// [`PoolError::Full`] where one more browser does not fit.
    pub async fn order(&self, name: &ChannelName, command: Command) -> Result<(), PoolError> {
        let session = self.session(name);
        if command != Command::Close && session.view().status == Status::Closed {
            self.room()?;
        }
        session.order(command).await;
        Ok(())
    }

    /// Whether one more browser fits.
    ///
    /// # Errors
    /// [`PoolError::Full`], with the reason.
    pub fn room(&self) -> Result<(), PoolError> {
        let open = self.sessions().values().filter(|session| session.view().status != Status::Closed).count();
        if open >= self.config.most {
            let words = format!("{open} sessions are open, which is as many as [web] sessions allows");
            return Err(PoolError::Full(words));
        }
        match process::free_memory() {
            Some(free) if free < RECKONED => {
                let words = format!(
                    "{} MiB of memory are free, and a session needs about {}: close another, or add memory",
                    free >> 20,
                    RECKONED >> 20
                );
                Err(PoolError::Full(words))
            }
            _ => Ok(()),
        }
    }

    /// Ends a session and forgets it, its login too.
    ///
    /// # Errors
    /// Where its directory can't be removed.
    pub async fn remove(&self, name: &ChannelName) -> Result<(), PoolError> {
        let session = self.sessions().remove(name);
        if let Some(session) = session {
            session.stop().await;
        }
        remove_login(&self.config.dir, name).await
    }

    /// Ends all browsers, together.
    pub async fn close(&self) {
        let all = std::mem::take(&mut *self.sessions());
        let ends: Vec<_> =
            all.into_values().map(|session| tokio::spawn(async move { session.stop().await })).collect();
        for end in ends {
            let _ = end.await;
        }
    }
}
