//! Follows all sessions of this process: writes down how they stand, and lets queues go on that they had stopped.

use std::collections::HashMap;
use std::sync::Weak;
use std::time::Duration;

use palomar_model::{ChannelName, Provider, Timestamp};
use palomar_records::Wanted;
use palomar_web::{Command, NOT_READY, Status};

use crate::queues::OUTBOUND;
use crate::{App, AppError};

/// How often sessions are looked at.
const LOOK: Duration = Duration::from_millis(500);

/// What of a session is written down: a change of it is news.
type Shown = (Status, &'static str, Timestamp, Option<Timestamp>);

/// Opens the sessions that are wanted, then follows all, as long as there is an application.
pub(crate) async fn watch(app: Weak<App>) {
    let mut written = HashMap::new();
    let mut opened = false;
    loop {
        {
            let Some(app) = app.upgrade() else { return };
            if app.web.is_none() {
                return;
            }
            if !opened {
                match open_wanted(&app).await {
                    Ok(()) => opened = true,
                    Err(error) => {
                        tracing::warn!(%error, "which sessions are wanted is not known, asking again");
                    }
                }
            }
            if let Err(error) = look(&app, &mut written).await {
                tracing::debug!(%error, "how sessions stand is not written down now");
            }
        }
        tokio::time::sleep(LOOK).await;
    }
}

async fn open_wanted(app: &App) -> Result<(), AppError> {
    let pool = app.pool()?;
    for record in app.records.sessions().await? {
        let is_web = app.registry.provider(&record.channel) == Some(Provider::Web);
        if record.wanted == Wanted::Open
            && is_web
            && let Err(error) = pool.order(&record.channel, Command::Open).await
        {
            tracing::error!(session = %record.channel, %error, "a session is not opened");
        }
    }
    Ok(())
}

async fn look(app: &App, written: &mut HashMap<ChannelName, Shown>) -> Result<(), AppError> {
    let pool = app.pool()?;
    let mut ready = Vec::new();
    for (name, session) in pool.all() {
        let view = session.view();
        if matches!(view.status, Status::Available | Status::Busy) {
            ready.push(name.clone());
        }
        // Being at work is no news: it would be written down twice a message.
        let status = if view.status == Status::Busy { Status::Available } else { view.status };
        let reason = if view.status == Status::Busy { "ready" } else { view.reason };
        let since = if status == Status::Available { Timestamp::EPOCH } else { view.since };
        // A code that was replaced is news, too: whoever shows it asks for the next one.
        let shown = (status, reason, since, view.qr.as_ref().map(|qr| qr.shown));
        if written.get(&name) != Some(&shown) && app.note_session(&name, &view).await? {
            written.insert(name, shown);
        }
    }
    resume(app, &ready).await
}

/// Lets the queues of sessions that are ready go on, where not being ready was what stopped them.
async fn resume(app: &App, ready: &[ChannelName]) -> Result<(), AppError> {
    if ready.is_empty() {
        return Ok(());
    }
    let stats = app.broker.stats().await?;
    for queue in stats.queues.iter().filter(|queue| queue.queue.pool() == OUTBOUND) {
        let stopped = queue.paused.clone().filter(|reason| reason.contains(NOT_READY));
        let name = ready.iter().find(|name| name.as_str() == queue.queue.name());
        // Somebody may have paused it since: then it stays so.
        if let (Some(reason), Some(name)) = (stopped, name)
            && app.resume_after_session(name, reason).await?
        {
            tracing::info!(session = %name, "the session is ready: its queue goes on");
        }
    }
    Ok(())
}
