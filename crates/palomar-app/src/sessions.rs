//! Browser sessions for people: made, opened, closed, looked at, removed. Each is the browser of a channel of the
//! provider `web`.
//!
//! ```text
//! people ─> App ─> pool (browser, state) ─> watcher ─> records (what is wanted, how it stands)
//!                                              └─────> queue: what a session stopped goes on when it is ready
//! ```
//!
//! What always holds: what is wanted of a session is kept before it is done, so that a restart does it again; a channel
//! that was paused by its session alone is resumed by its session alone; a login goes before its channel does, and a new
//! channel begins without one; a code is in memory, and nowhere else.

mod view;
mod watch;

use palomar_broker::{Control, ControlError};
use palomar_model::{ChannelName, FieldError, Provider};
use palomar_records::{SessionRecord, SessionStanding, Wanted};
use palomar_web::{Command, PoolError, Session, View};
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

use crate::channels::{LimitsInput, NewChannel};
use crate::metrics::SessionReading;
use crate::{App, AppError, Caller};

pub use view::{QrView, SessionView};
pub(crate) use watch::watch;

/// A session to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewSession {
    /// Its name, which is its channel's.
    pub name: ChannelName,
    /// How it is paced: the channel's settings.
    #[serde(default)]
    pub settings: Option<Value>,
    /// What the channel allows.
    #[serde(default)]
    pub limits: LimitsInput,
    /// Whether it is opened at once; it is where nothing is said.
    #[serde(default = "yes")]
    pub open: bool,
}

const fn yes() -> bool {
    true
}

/// What front ends are told of a session, but for what is wanted of it.
fn told(name: &ChannelName, view: &View) -> Value {
    // A code is told by whoever may know it: that there is one is no secret.
    json!({
        "session": name, "status": view.status.as_str(), "reason": view.reason, "detail": view.detail,
        "since": view.since, "hasQr": view.qr.is_some(),
    })
}

fn refused(error: PoolError) -> AppError {
    match error {
        PoolError::Full(words) => AppError::Conflict { code: "sessions_full", detail: words },
        PoolError::NoSession => AppError::NotFound("session"),
        PoolError::Page(error) => AppError::Unavailable(error.to_string()),
        PoolError::Io(error) => AppError::Unavailable(error.to_string()),
    }
}

impl App {
    pub(crate) fn pool(&self) -> Result<&Arc<palomar_web::Pool>, AppError> {
        self.web.as_ref().ok_or_else(|| AppError::Conflict {
            code: "sessions_off",
            detail: "browser sessions are switched off: set [web] enabled = true, and read docs/SESSIONS.md"
                .to_owned(),
        })
    }

    /// The session of a channel that the caller may use.
    fn session_of(&self, name: &ChannelName, caller: &Caller) -> Result<Session, AppError> {
        let pool = self.pool()?;
        let is_web = self.registry.provider(name) == Some(Provider::Web);
        if !is_web || !caller.may_use(name) {
            return Err(AppError::NotFound("session"));
        }
        Ok(pool.session(name))
    }

    /// All sessions that the caller may use, by name.
    ///
    /// # Errors
    /// Where sessions are switched off, or the records can't be read.
    pub async fn sessions(&self, caller: &Caller) -> Result<Vec<SessionView>, AppError> {
        self.pool()?;
        let known = self.records.sessions().await?;
        let mut views = Vec::new();
        for channel in self.registry.known() {
            if channel.provider == Provider::Web && caller.may_use(&channel.name) {
                let session = self.session_of(&channel.name, caller)?;
                let record = known.iter().find(|record| record.channel == channel.name);
                views.push(SessionView::new(&channel.name, &session, record));
            }
        }
        Ok(views)
    }

    /// One session.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use it.
    pub async fn session(&self, name: &ChannelName, caller: &Caller) -> Result<SessionView, AppError> {
        let session = self.session_of(name, caller)?;
        let known = self.records.sessions().await?;
        Ok(SessionView::new(name, &session, known.iter().find(|record| record.channel == *name)))
    }

    /// Makes a session: its channel, and, unless that is not wanted yet, its browser.
    ///
    /// # Errors
    /// As [`App::create_channel`]; a conflict where one more browser does not fit.
    pub async fn create_session(&self, new: NewSession, caller: &Caller) -> Result<SessionView, AppError> {
        let pool = self.pool()?;
        let NewSession { name, settings, limits, open } = new;
        if open {
            // Before anything is made.
            pool.room().map_err(refused)?;
        }
        let channel = NewChannel {
            name: name.clone(),
            provider: Provider::Web,
            settings,
            credentials: std::collections::BTreeMap::new(),
            limits,
            on_uncertain: None,
        };
        self.create_channel(channel).await?;
        let (wanted, command) =
            if open { (Wanted::Open, Command::Open) } else { (Wanted::Closed, Command::Close) };
        self.want(&name, wanted, command).await?;
        self.session(&name, caller).await
    }

    /// Opens, closes or restarts a session; answers when that has begun.
    ///
    /// # Errors
    /// [`AppError::NotFound`]; a conflict where one more browser does not fit.
    pub async fn order_session(
        &self,
        name: &ChannelName,
        command: Command,
        caller: &Caller,
    ) -> Result<SessionView, AppError> {
        self.session_of(name, caller)?;
        // Whether it runs is another person's to say than how it runs.
        if command == Command::Restart && self.wanted_of(name).await? == Wanted::Closed {
            return Err(AppError::Conflict {
                code: "session_closed",
                detail: "the session is closed: open it".to_owned(),
            });
        }
        let wanted = if command == Command::Close { Wanted::Closed } else { Wanted::Open };
        self.want(name, wanted, command).await?;
        self.session(name, caller).await
    }

    async fn wanted_of(&self, name: &ChannelName) -> Result<Wanted, AppError> {
        let known = self.records.sessions().await?;
        let record = known.into_iter().find(|record| record.channel == *name);
        Ok(record.map_or(Wanted::Closed, |record| record.wanted))
    }

    async fn want(&self, name: &ChannelName, wanted: Wanted, command: Command) -> Result<(), AppError> {
        let pool = self.pool()?;
        let known = self.records.sessions().await?;
        let before = known.into_iter().find(|record| record.channel == *name);
        self.keep_session(name, wanted, before.as_ref()).await?;
        match pool.order(name, command).await {
            Ok(()) => Ok(()),
            Err(error) => {
                // It was not done: what was wanted before stands.
                let was = before.as_ref().map_or(Wanted::Closed, |record| record.wanted);
                self.keep_session(name, was, before.as_ref()).await?;
                Err(refused(error))
            }
        }
    }

    /// Writes down how a session stands, where it is one that is kept; whether it is. What is wanted of it stays as it is.
    pub(crate) async fn note_session(&self, name: &ChannelName, view: &View) -> Result<bool, AppError> {
        let standing = SessionStanding {
            channel: name.clone(),
            status: view.status.as_str().to_owned(),
            reason: view.reason.to_owned(),
            detail: view.detail.clone(),
            since: view.since,
            restarts: u64::from(view.restarts),
            at: self.now(),
        };
        let known = self.records.note_session(standing, told(name, view)).await?;
        if known {
            self.live.wake();
        }
        Ok(known)
    }

    /// Writes down what is wanted of a session, and how it stands.
    async fn keep_session(
        &self,
        name: &ChannelName,
        wanted: Wanted,
        before: Option<&SessionRecord>,
    ) -> Result<(), AppError> {
        let now = self.now();
        let view = self.pool()?.session(name).view();
        let system_id =
            before.map_or_else(|| self.ids.uuid(now).to_string(), |record| record.system_id.clone());
        let record = SessionRecord {
            channel: name.clone(),
            system_id,
            wanted,
            status: view.status.as_str().to_owned(),
            reason: view.reason.to_owned(),
            detail: view.detail.clone(),
            since: view.since,
            restarts: u64::from(view.restarts),
            created_at: before.map_or(now, |record| record.created_at),
            updated_at: now,
        };
        self.records.put_session(record, told(name, &view)).await?;
        self.live.wake();
        Ok(())
    }

    /// The code that links a phone.
    ///
    /// # Errors
    /// A conflict where the page shows none now, with the reason.
    pub fn session_qr(&self, name: &ChannelName, caller: &Caller) -> Result<QrView, AppError> {
        let session = self.session_of(name, caller)?;
        let view = session.view();
        view.qr.map(QrView::from).ok_or_else(|| AppError::Conflict {
            code: "no_qr",
            detail: format!("the session shows no code now: it is {} ({})", view.status, view.reason),
        })
    }

    /// A picture of a session's page, PNG, in which nobody's name or words can be read.
    ///
    /// # Errors
    /// A conflict where there is no page to be seen.
    pub async fn session_picture(&self, name: &ChannelName, caller: &Caller) -> Result<Vec<u8>, AppError> {
        let session = self.session_of(name, caller)?;
        session
            .picture()
            .await
            .map_err(|failure| AppError::Conflict { code: "no_page", detail: failure.to_string() })
    }

    /// Removes a session, its login and its channel. Its messages stay.
    ///
    /// # Errors
    /// As [`App::delete_channel`]: while its queue holds live messages nothing is removed.
    pub async fn remove_session(&self, name: &ChannelName, caller: &Caller) -> Result<(), AppError> {
        self.session_of(name, caller)?;
        self.delete_channel(name).await
    }

    /// Forgets the session of a channel that goes, its login first: also where sessions are switched off.
    pub(crate) async fn forget_session(&self, name: &ChannelName) -> Result<(), AppError> {
        self.forget_login(name).await?;
        Ok(self.records.delete_session(name.clone()).await?)
    }

    /// Removes the login of a name, where there is one.
    pub(crate) async fn forget_login(&self, name: &ChannelName) -> Result<(), AppError> {
        match (&self.web, &self.config.sessions_dir) {
            (Some(pool), _) => pool.remove(name).await.map_err(refused),
            (None, Some(dir)) => palomar_web::remove_login(dir, name).await.map_err(refused),
            (None, None) => Ok(()),
        }
    }

    /// What sessions say at the scrape.
    pub(crate) fn session_readings(&self) -> Vec<SessionReading> {
        let all = self.web.as_ref().map(|pool| pool.all()).unwrap_or_default();
        let reading = |(name, session): (ChannelName, Session)| {
            let (view, counts) = (session.view(), session.counts());
            SessionReading {
                channel: name.to_string(),
                status: view.status.as_str(),
                restarts: view.restarts,
                memory: view.usage.map_or(0, |usage| usage.memory),
                cpu: Duration::from_millis(view.usage.map_or(0, |usage| usage.cpu_ms)),
                counts,
            }
        };
        all.into_iter().map(reading).collect()
    }

    /// Lets a channel go on that its session had stopped for this reason, and nobody has paused since; whether it does.
    pub(crate) async fn resume_after_session(
        &self,
        name: &ChannelName,
        reason: Arc<str>,
    ) -> Result<bool, AppError> {
        let queue = crate::queues::outbound_queue(name)?;
        match self.broker.control(Control::Lift { queue, reason }).await? {
            Ok(done) => Ok(done.changed > 0),
            Err(ControlError::NoQueue(_)) => Ok(false),
            Err(error) => Err(error.into()),
        }
    }
}

/// What a channel of the provider `web` is refused with where sessions are switched off.
pub(crate) fn switched_off() -> Vec<FieldError> {
    vec![FieldError::new("/provider", "needs browser sessions, which are switched off ([web] enabled)")]
}
