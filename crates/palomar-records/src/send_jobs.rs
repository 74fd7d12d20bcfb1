//! Send jobs, and who of a pool of lines writes to whom.

use std::collections::{BTreeMap, BTreeSet};

use palomar_model::{ChannelName, SendJobState, Timestamp};
use serde_json::Value as Json;

use crate::error::Result;
use crate::store::Db;
use crate::tables::campaign_requests::{self, CampaignRequest, Created};
use crate::tables::page::Page;
use crate::tables::{cursors, pool_contacts, send_jobs};
use crate::{PROJECTION, Records};

pub use crate::tables::send_jobs::{SendJobFilter, SendJobMessage, SendJobRecord};

/// What became of a request for a new send job.
pub type CreatedSendJob = Created<SendJobRecord>;

impl Records {
    /// Keeps a new send job with all that it sends. Where the request came before, what it made.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn create_send_job(
        &self,
        job: SendJobRecord,
        bodies: Vec<Json>,
        request: Option<CampaignRequest>,
    ) -> Result<CreatedSendJob> {
        let work = move |db: Db<'_>| {
            if let Some(request) = &request {
                // Of two equal requests one comes first.
                cursors::take_turn(db, PROJECTION, job.created_at)?;
                if let Some(found) = campaign_requests::earlier(db, request)? {
                    return Ok(Created::earlier(found));
                }
                campaign_requests::add(db, request, &job.id, job.created_at)?;
            }
            send_jobs::insert(db, &job, &bodies)?;
            Ok(Created::Now(Box::new(job)))
        };
        self.write(work).await
    }

    /// Changes a send job that nobody changed since it was read, and notes which of its messages are refused; as it is
    /// then, or nothing where somebody did.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn change_send_job(
        &self,
        mut job: SendJobRecord,
        refused: Vec<(u64, String)>,
    ) -> Result<Option<SendJobRecord>> {
        let work = move |db: Db<'_>| {
            if !send_jobs::update(db, &mut job)? {
                return Ok(None);
            }
            send_jobs::refuse(db, &job.id, &refused)?;
            Ok(Some(job))
        };
        self.write(work).await
    }

    /// A send job.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn send_job(&self, id: &str) -> Result<Option<SendJobRecord>> {
        let id = id.to_owned();
        self.read(move |db| send_jobs::get(db, &id)).await
    }

    /// Send jobs of which something may still move, in the order in which they were made.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn live_send_jobs(&self) -> Result<Vec<SendJobRecord>> {
        self.read(send_jobs::live).await
    }

    /// Some messages of a send job, in order.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn send_job_messages(&self, id: &str, from: u64, limit: usize) -> Result<Vec<SendJobMessage>> {
        let id = id.to_owned();
        self.read(move |db| send_jobs::messages(db, &id, from, limit)).await
    }

    /// How many messages of a send job stand where, by the words of their states.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn send_job_counts(&self, id: &str) -> Result<Vec<(String, u64)>> {
        let id = id.to_owned();
        self.read(move |db| send_jobs::counts(db, &id)).await
    }

    /// A page of send jobs, the newest first.
    ///
    /// # Errors
    /// [`crate::RecordsError::BadCursor`] for a cursor of another list.
    pub async fn send_jobs(
        &self,
        filter: SendJobFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<Page<SendJobRecord>> {
        let cursor = cursor.map(str::to_owned);
        self.read(move |db| send_jobs::list(db, &filter, cursor.as_deref(), limit)).await
    }

    /// How many send jobs of each kind stand where.
    ///
    /// # Errors
    /// Where the database can't be read.
    pub async fn send_jobs_by_state(&self) -> Result<Vec<(String, SendJobState, u64)>> {
        self.read(send_jobs::by_state).await
    }

    /// Forgets send jobs that ended before; how many. Their messages stay.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn clean_send_jobs(&self, before: Timestamp) -> Result<u64> {
        self.write(move |db| send_jobs::clean(db, before)).await
    }

    /// For each key the line of a pool that writes to whom it means: the one that did before, or one of `ready` that does
    /// from now on. None where there is none.
    ///
    /// # Errors
    /// Where the database can't be written.
    pub async fn pool_lines(
        &self,
        pool: ChannelName,
        lines: Vec<ChannelName>,
        ready: Vec<ChannelName>,
        keys: Vec<String>,
        now: Timestamp,
    ) -> Result<Vec<Option<ChannelName>>> {
        let work = move |db: Db<'_>| {
            let mut counts = pool_contacts::counts(db, &pool)?;
            // In one order, so that no two wait for each other.
            let mut chosen = BTreeMap::new();
            for key in keys.iter().collect::<BTreeSet<_>>() {
                let line = pool_contacts::line_for(db, &pool, &lines, &ready, &mut counts, key, now)?;
                chosen.insert(key, line);
            }
            Ok(keys.iter().map(|key| chosen[key].clone()).collect())
        };
        self.write(work).await
    }
}
