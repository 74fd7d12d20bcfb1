//! Reports that are told by themselves: of each day, week or month that has ended, to a hook, a WhatsApp number, a file.
//!
//! Always: a report goes each way once, after what it counts is in the records; of those that were missed the newest goes.
//! How far each way has come is kept. The node that follows the log tells, for all.

mod schedule;
mod words;

use std::collections::HashMap;
use std::fmt::Debug;
use std::sync::{Arc, Weak};
use std::time::Duration;

use palomar_model::{DayTime, Timestamp, ZoneName};
use palomar_records::Follower;
use serde_json::json;
use tokio::sync::watch as channel;

use crate::analytics::{Filter, Range, Report};
use crate::hooks::{Hook, NoticeNumber, Topic, news_id};
use crate::request::NewMessage;
use crate::{App, AppError, Caller};

pub use schedule::{NoReportKind, ReportKind};

/// How often it is looked whether one is due.
const LOOK: Duration = Duration::from_secs(5);
/// How long a way that failed is left alone.
const AGAIN: Duration = Duration::from_secs(300);
/// How long records may take to catch up before a report is made.
const CAUGHT_UP: Duration = Duration::from_secs(30);
/// A hook is told of so many campaigns at most.
const MOST_CAMPAIGNS: usize = 1_000;

/// Which reports are told, and how.
#[derive(Clone, Debug)]
pub struct ReportConfig {
    /// What they are about.
    pub kinds: Vec<ReportKind>,
    /// When, on the day after.
    pub at: DayTime,
    /// Whose days.
    pub zone: ZoneName,
    /// The hook that is told.
    pub hook: Option<Hook>,
    /// The number that is told.
    pub number: Option<NoticeNumber>,
    /// Where they are written.
    pub file: Option<Arc<dyn ReportWriter>>,
}

impl Default for ReportConfig {
    fn default() -> ReportConfig {
        ReportConfig {
            kinds: Vec::new(),
            at: DayTime::MIDNIGHT,
            zone: ZoneName::utc(),
            hook: None,
            number: None,
            file: None,
        }
    }
}

/// Writes reports down.
pub trait ReportWriter: Debug + Send + Sync {
    /// Writes one under a name without an ending, such as `week-2026-11-16`; again where it is there. It may block.
    ///
    /// # Errors
    /// Why it can't, for people.
    fn write(&self, name: &str, report: &Report) -> Result<(), String>;
}

/// How a report goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Way {
    Hook,
    Number,
    File,
}

impl Way {
    const fn as_str(self) -> &'static str {
        match self {
            Way::Hook => "hook",
            Way::Number => "number",
            Way::File => "file",
        }
    }
}

impl ReportConfig {
    fn ways(&self) -> impl Iterator<Item = Way> {
        let hook = self.hook.as_ref().map(|_| Way::Hook);
        let number = self.number.as_ref().map(|_| Way::Number);
        let file = self.file.as_ref().map(|_| Way::File);
        [hook, number, file].into_iter().flatten()
    }
}

/// Tells what is due as long as there is an application, wherever this node follows the log.
pub(crate) async fn watch(app: Weak<App>, right: channel::Receiver<Follower>) {
    let mut failed: HashMap<(ReportKind, Way), Timestamp> = HashMap::new();
    loop {
        tokio::time::sleep(LOOK).await;
        let Some(app) = app.upgrade() else { return };
        if *right.borrow() == Follower::Another {
            continue;
        }
        let config = &app.config.reports;
        for (kind, way) in config.kinds.iter().flat_map(|kind| config.ways().map(move |way| (*kind, way))) {
            let again = failed.get(&(kind, way)).map(|at| at.after(AGAIN));
            if again.is_some_and(|again| app.now() < again) {
                continue;
            }
            failed.remove(&(kind, way));
            if let Err(error) = app.tell_report(kind, way).await {
                let (kind_name, way_name) = (kind.as_str(), way.as_str());
                tracing::warn!(kind = kind_name, way = way_name, %error, "a report can't be told, trying again");
                failed.insert((kind, way), app.now());
            }
        }
    }
}

impl App {
    /// Tells the newest report of a kind where it was not told.
    async fn tell_report(&self, kind: ReportKind, way: Way) -> Result<(), AppError> {
        let config = &self.config.reports;
        let (from, to) = kind.newest(config.at, &config.zone, self.now());
        match self.records.report_told_until(kind.as_str(), way.as_str()).await? {
            Some(until) if until >= to => return Ok(()),
            Some(_) => {
                self.caught_up(CAUGHT_UP).await?;
                let range = Range::ended(kind.as_str(), from, to, config.zone.clone());
                let report = self.report_of(range, &Filter::default(), true, &Caller::system()).await?;
                self.send_report(kind, way, report).await?;
            }
            // It was not asked for when this one was due.
            None => {}
        }
        Ok(self.records.report_told(kind.as_str(), way.as_str(), to).await?)
    }

    async fn send_report(&self, kind: ReportKind, way: Way, report: Report) -> Result<(), AppError> {
        let config = &self.config.reports;
        let begin = report.range.from.to_string();
        let id = news_id(&["report", way.as_str(), kind.as_str(), &begin, config.zone.as_str()]);
        match (way, &config.number, &config.file) {
            (Way::Hook, ..) => {
                let mut report = report;
                report.campaigns.truncate(MOST_CAMPAIGNS);
                let body = json!({"type": "report.ready", "timestamp": report.range.to, "data": report});
                self.broker.enqueue(vec![Topic::Reports.job(id, body.to_string())?]).await?;
            }
            (Way::Number, Some(number), _) => {
                let words = words::of(&report);
                let mut message = NewMessage::text(number.channel.clone(), number.to.clone(), &words);
                message.id = Some(id);
                match self.submit(message, 0, &Caller::system(), None).await {
                    Ok(_) => {}
                    Err(error @ (AppError::Full | AppError::Unavailable(_) | AppError::SpoolFull)) => {
                        return Err(error);
                    }
                    // It would be the same the next time.
                    Err(error) => tracing::warn!(%error, "a report can't be told by WhatsApp"),
                }
            }
            (Way::File, _, Some(file)) => {
                let (file, name) = (Arc::clone(file), words::name(&report));
                let written = tokio::task::spawn_blocking(move || file.write(&name, &report)).await;
                written.unwrap_or_else(|error| Err(error.to_string())).map_err(AppError::Unavailable)?;
            }
            (Way::Number | Way::File, ..) => {}
        }
        Ok(())
    }
}
