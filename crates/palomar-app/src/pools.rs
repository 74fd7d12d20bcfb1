//! Pools: several browser sessions that send for one business under one name. Whoever has been written to by one of them
//! is written to by that one from then on.
//!
//! Always: a pool is a name in the settings of its channels, and of no channel; which of them writes to whom is durable
//! before the first message to them is queued; what is queued is one channel's, with its own queue and limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use palomar_model::{ChannelName, Recipient, Timestamp};
use palomar_records::{CampaignRecipient, Records};
use palomar_web::Status;

use crate::channels::{Line, Registry};
use crate::{App, AppError, RowInput};

impl App {
    /// The channels that a name means: the one of that name, or all of the pool.
    pub(crate) fn lines_of(&self, name: &ChannelName) -> Vec<Arc<Line>> {
        match self.registry.get(name) {
            Some(line) => vec![line],
            None => self.registry.of_pool(name),
        }
    }

    /// Gives each row that names a pool the channel that writes to its recipient.
    ///
    /// # Errors
    /// Where the records can't say: nothing was accepted.
    pub(crate) async fn choose_lines(&self, rows: &mut [RowInput]) -> Result<(), AppError> {
        let mut pools: BTreeMap<ChannelName, Vec<usize>> = BTreeMap::new();
        for (place, row) in rows.iter().enumerate() {
            let named = row.message.as_ref().ok().and_then(|message| message.channel.as_ref());
            if let Some(name) = named.filter(|name| self.registry.get(name).is_none()) {
                pools.entry(name.clone()).or_default().push(place);
            }
        }
        for (pool, places) in pools {
            let keys = places.iter().filter_map(|place| Some(rows[*place].message.as_ref().ok()?.to.key()));
            let chosen = lines_to(&self.registry, &self.records, &pool, keys.collect(), self.now()).await?;
            for (place, line) in places.into_iter().zip(chosen) {
                if let (Ok(message), Some(line)) = (&mut rows[place].message, line) {
                    message.channel = Some(line);
                }
            }
        }
        Ok(())
    }
}

/// Where a pool sends a campaign: who of it writes to whom, by the recipient's key. Nothing where one channel sends alone.
///
/// # Errors
/// Where the records can't say.
pub(crate) async fn lines_for(
    registry: &Registry,
    records: &Records,
    pool: &ChannelName,
    recipients: &[CampaignRecipient],
    now: Timestamp,
) -> Result<HashMap<String, Arc<Line>>, AppError> {
    if registry.get(pool).is_some() {
        return Ok(HashMap::new());
    }
    let reached = recipients.iter().filter(|one| one.left_out.is_none());
    let keys: Vec<String> =
        reached.filter_map(|one| Some(Recipient::parse(&one.recipient, None).ok()?.key())).collect();
    let chosen = lines_to(registry, records, pool, keys.clone(), now).await?;
    let line = |name: Option<ChannelName>| registry.get(&name?);
    Ok(keys.into_iter().zip(chosen).filter_map(|(key, name)| Some((key, line(name)?))).collect())
}

/// The channel of a pool that writes to each of these recipients; none where there is no such pool.
pub(crate) async fn lines_to(
    registry: &Registry,
    records: &Records,
    pool: &ChannelName,
    keys: Vec<String>,
    now: Timestamp,
) -> Result<Vec<Option<ChannelName>>, AppError> {
    let lines: Vec<ChannelName> = registry.of_pool(pool).iter().map(|line| line.name.clone()).collect();
    if lines.is_empty() {
        return Ok(vec![None; keys.len()]);
    }
    let sessions = registry.sessions();
    let is_ready = |line: &&ChannelName| {
        let status = sessions.as_ref().map(|sessions| sessions.session(line).view().status);
        matches!(status, Some(Status::Available | Status::Busy))
    };
    // Whoever is new goes to a session that can send now, where there is one.
    let mut ready: Vec<ChannelName> = lines.iter().filter(is_ready).cloned().collect();
    if ready.is_empty() {
        ready.clone_from(&lines);
    }
    Ok(records.pool_lines(pool.clone(), lines, ready, keys, now).await?)
}
