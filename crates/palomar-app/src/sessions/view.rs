//! Sessions as they are shown.

use palomar_model::{ChannelName, Timestamp};
use palomar_records::SessionRecord;
use palomar_web::{Counts, Qr, Session};
use serde::Serialize;

/// A session as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct SessionView {
    /// Its name, which is its channel's.
    pub name: ChannelName,
    /// Its id at its browser's place.
    pub browser_system_id: Option<String>,
    /// `open` or `closed`: what is wanted of it, also after a restart of the program.
    pub wanted: &'static str,
    /// `available`, `busy`, `disconnected`, `error` or `closed`.
    pub status: &'static str,
    /// Why, in a word that stays the same.
    pub reason: &'static str,
    /// Why, in more words.
    pub detail: Option<String>,
    /// Since when.
    pub since: Timestamp,
    /// Whether a code waits to be scanned.
    pub has_qr: bool,
    /// Starts after a fault, since the program was started.
    pub restarts: u32,
    /// Memory of its browser's processes, in bytes.
    pub memory_bytes: Option<u64>,
    /// Processor time of its browser, in milliseconds.
    pub cpu_ms: Option<u64>,
    /// The browser's process.
    pub pid: Option<i32>,
    /// The version of the description of the page that it goes by.
    pub page_version: String,
    /// What it did since the program was started.
    pub counts: Counts,
    /// When it was made.
    pub created_at: Option<Timestamp>,
    /// When it was written down last.
    pub updated_at: Option<Timestamp>,
}

impl SessionView {
    pub(super) fn new(name: &ChannelName, session: &Session, record: Option<&SessionRecord>) -> SessionView {
        let view = session.view();
        SessionView {
            name: name.clone(),
            browser_system_id: record.map(|record| record.system_id.clone()),
            wanted: record.map_or("closed", |record| record.wanted.as_str()),
            status: view.status.as_str(),
            reason: view.reason,
            detail: view.detail,
            since: view.since,
            has_qr: view.qr.is_some(),
            restarts: view.restarts,
            memory_bytes: view.usage.map(|usage| usage.memory),
            cpu_ms: view.usage.map(|usage| usage.cpu_ms),
            pid: view.pid,
            page_version: view.page.as_ref().to_owned(),
            counts: session.counts(),
            created_at: record.map(|record| record.created_at),
            updated_at: record.map(|record| record.updated_at),
        }
    }
}

/// A code to link a phone with. Whoever has it can take the line: it is not logged and not kept.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct QrView {
    /// What the QR says.
    pub qr: String,
    /// Since when the page shows it.
    pub shown_at: Timestamp,
    /// When the page will show another.
    pub expires_at: Timestamp,
}

impl From<Qr> for QrView {
    fn from(qr: Qr) -> QrView {
        QrView { qr: qr.code, shown_at: qr.shown, expires_at: qr.expires }
    }
}

impl std::fmt::Debug for QrView {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("QrView").field("shown_at", &self.shown_at).finish_non_exhaustive()
    }
}
