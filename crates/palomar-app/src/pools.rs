//! Pools: several browser sessions that send for one business under one name. Whoever has been written to by one of them
//! is written to by that one from then on.
//!
//! Always: a pool is a name in the settings of its channels, and of no channel; which of them writes to whom is durable
//! before the first message to them is queued; what is queued is one channel's, with its own queue and limits.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use palomar_model::{ChannelName, Recipient, Timestamp};
use palomar_records::{CampaignRecipient, ChannelRecord, Records};
use palomar_web::Status;

use crate::channels::{Line, Registry};
use crate::{App, AppError, RowInput};

impl App {
    /// Refuses a channel whose name is a pool's, or whose pool has a channel's name: a name means one thing.
    pub(crate) async fn check_pool(&self, channel: &ChannelRecord) -> Result<(), AppError> {
        match clash(channel, &self.records.channels().await?) {
            Some((pointer, detail)) => Err(AppError::invalid(pointer, detail)),
            None => Ok(()),
        }
    }

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

/// What of a channel can't be beside those that there are.
fn clash(channel: &ChannelRecord, all: &[ChannelRecord]) -> Option<(&'static str, String)> {
    let pool_of = |channel: &ChannelRecord| channel.settings["pool"].as_str().map(str::to_owned);
    let pool = pool_of(channel);
    let others = || all.iter().filter(|other| other.name != channel.name);
    if pool.as_deref() == Some(channel.name.as_str()) {
        return Some(("/settings/pool", "is the channel's own name".to_owned()));
    }
    if others().any(|other| pool.as_deref() == Some(other.name.as_str())) {
        return Some(("/settings/pool", "is the name of a channel".to_owned()));
    }
    let member = others().find(|other| pool_of(other).as_deref() == Some(channel.name.as_str()))?;
    Some(("/name", format!("is the name of a pool, which {} is in", member.name)))
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use palomar_model::Provider;
    use serde_json::json;

    use super::*;

    fn channel(name: &str, pool: Option<&str>) -> ChannelRecord {
        ChannelRecord {
            name: name.parse().expect("a name"),
            provider: Provider::Web,
            settings: pool.map_or_else(|| json!({}), |pool| json!({ "pool": pool })),
            credentials: BTreeMap::new(),
            limits: json!({}),
            on_uncertain: None,
            created_at: Timestamp::EPOCH,
            updated_at: Timestamp::EPOCH,
        }
    }

    #[test]
    fn a_name_means_one_thing() {
        let all = [channel("desk1", Some("shop")), channel("desk2", Some("shop")), channel("main", None)];
        let wrong = |name, pool| clash(&channel(name, pool), &all).map(|(pointer, _)| pointer);
        assert_eq!(wrong("desk3", Some("shop")), None);
        assert_eq!(wrong("desk1", Some("shop")), None, "it is there itself");
        assert_eq!(wrong("shop", None), Some("/name"));
        assert_eq!(wrong("desk3", Some("main")), Some("/settings/pool"));
        assert_eq!(wrong("desk3", Some("desk3")), Some("/settings/pool"));
    }
}
