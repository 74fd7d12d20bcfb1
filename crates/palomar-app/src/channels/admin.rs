//! Channels for people: list, make, change, pause, test, remove. Credentials go in and never come out.

use std::collections::BTreeMap;

use palomar_broker::{BreakerState, Control, Controlled, JobState, QueueStats, Stats};
use palomar_model::{ChannelName, FieldError, OnUncertain, Provider, Secret, Timestamp};
use palomar_records::ChannelRecord;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::LimitsInput;
use crate::queues::{
    ControlView, EffectiveLimits, MEDIA, breaker_word, inbound_queue, media_queue, outbound_queue,
};
use crate::{App, AppError, Caller};

/// A channel to be made.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct NewChannel {
    /// Its name.
    pub name: ChannelName,
    /// Who carries it.
    pub provider: Provider,
    /// What is not secret of its configuration.
    #[serde(default)]
    pub settings: Option<Value>,
    /// What is.
    #[serde(default)]
    pub credentials: BTreeMap<String, Secret>,
    /// What it allows.
    #[serde(default)]
    pub limits: LimitsInput,
    /// What becomes of messages whose outcome stays unknown.
    #[serde(default)]
    pub on_uncertain: Option<OnUncertain>,
}

/// A change of a channel; what is left out stays.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ChannelPatch {
    /// In place of all settings.
    #[serde(default)]
    pub settings: Option<Value>,
    /// Credentials to be replaced, one by one; an empty one is removed.
    #[serde(default)]
    pub credentials: Option<BTreeMap<String, Secret>>,
    /// In place of all limits.
    #[serde(default)]
    pub limits: Option<LimitsInput>,
    /// What becomes of messages whose outcome stays unknown.
    #[serde(default)]
    pub on_uncertain: Option<OnUncertain>,
}

/// A channel as it is shown.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelView {
    /// Its name.
    pub name: ChannelName,
    /// Who carries it.
    pub provider: Provider,
    /// What is not secret of its configuration.
    pub settings: Value,
    /// The names of the credentials that it has.
    pub credentials: Vec<String>,
    /// Its limits as its owner wrote them.
    pub limits: Value,
    /// Its limits as they are.
    pub effective_limits: Option<EffectiveLimits>,
    /// What becomes of messages whose outcome stays unknown.
    pub on_uncertain: OnUncertain,
    /// `active`, `paused`, or `broken` where its configuration does not work.
    pub state: &'static str,
    /// Why it is paused.
    pub paused: Option<String>,
    /// Why it does not work.
    pub problem: Option<String>,
    /// Its circuit breaker: `closed`, `open` or `halfOpen`.
    pub breaker: &'static str,
    /// Messages that wait, those for later included.
    pub waiting: u64,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it was changed last.
    pub updated_at: Timestamp,
}

/// Whether a channel works, as far as can be told without sending.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct ChannelTest {
    /// Whether it does.
    pub ok: bool,
    /// What was found.
    pub detail: String,
}

/// The state of a channel, in a word: see [`ChannelView::state`].
pub(crate) const fn channel_state(works: bool, paused: bool) -> &'static str {
    match (works, paused) {
        (false, _) => "broken",
        (true, true) => "paused",
        (true, false) => "active",
    }
}

impl App {
    /// All channels that the caller may use, by name.
    ///
    /// # Errors
    /// Where a store can't be read.
    pub async fn channels(&self, caller: &Caller) -> Result<Vec<ChannelView>, AppError> {
        let stats = self.broker.stats().await?;
        let records = self.records.channels().await?;
        let own = records.into_iter().filter(|record| caller.may_use(&record.name));
        Ok(own.map(|record| self.channel_view(record, &stats)).collect())
    }

    /// One channel.
    ///
    /// # Errors
    /// [`AppError::NotFound`], also where the caller may not use it.
    pub async fn channel(&self, name: &ChannelName, caller: &Caller) -> Result<ChannelView, AppError> {
        let record = self.channel_record(name).await?;
        if !caller.may_use(name) {
            return Err(AppError::NotFound("channel"));
        }
        Ok(self.channel_view(record, &self.broker.stats().await?))
    }

    /// Makes a channel, and runs it.
    ///
    /// # Errors
    /// [`AppError::Invalid`] for settings that its provider can't work with, a conflict where the name is taken.
    pub async fn create_channel(&self, new: NewChannel) -> Result<ChannelView, AppError> {
        let now = self.now();
        let settings = new.settings.unwrap_or_else(|| Value::Object(serde_json::Map::new()));
        let record = ChannelRecord {
            name: new.name,
            provider: new.provider,
            settings: object("/settings", settings)?,
            credentials: new.credentials,
            limits: to_value(&new.limits)?,
            on_uncertain: new.on_uncertain,
            created_at: now,
            updated_at: now,
        };
        let _change = self.setup.change().await;
        self.check_pool(&record).await?;
        if record.provider == Provider::Web && self.records.channel(record.name.clone()).await?.is_none() {
            // What is left of a channel that had this name is not the new one's.
            self.forget_login(&record.name).await?;
        }
        let line = self.setup.build(&record)?;
        self.records.create_channel(record.clone()).await?;
        self.setup.run(&record, line).await?;
        Ok(self.channel_view(record, &self.broker.stats().await?))
    }

    /// Changes a channel. It loses no place in its queue and needs no restart.
    ///
    /// # Errors
    /// As [`App::create_channel`], and [`AppError::NotFound`].
    pub async fn update_channel(
        &self,
        name: &ChannelName,
        patch: ChannelPatch,
    ) -> Result<ChannelView, AppError> {
        let _change = self.setup.change().await;
        let mut record = self.channel_record(name).await?;
        if let Some(settings) = patch.settings {
            record.settings = object("/settings", settings)?;
        }
        for (name, secret) in patch.credentials.unwrap_or_default() {
            if secret.is_empty() {
                record.credentials.remove(&name);
            } else {
                record.credentials.insert(name, secret);
            }
        }
        if let Some(limits) = patch.limits {
            record.limits = to_value(&limits)?;
        }
        record.on_uncertain = patch.on_uncertain.or(record.on_uncertain);
        record.updated_at = self.now();
        self.check_pool(&record).await?;
        let line = self.setup.build(&record)?;
        self.records.update_channel(record.clone()).await?;
        self.setup.run(&record, line).await?;
        Ok(self.channel_view(record, &self.broker.stats().await?))
    }

    /// Removes a channel that has nothing left to do. Its messages stay.
    ///
    /// # Errors
    /// A conflict (`not_empty`) while its queue holds live messages.
    pub async fn delete_channel(&self, name: &ChannelName) -> Result<(), AppError> {
        let _change = self.setup.change().await;
        let record = self.channel_record(name).await?;
        for queue in [outbound_queue(name)?, inbound_queue(name)?, media_queue(name)?] {
            let of_media = queue.pool() == MEDIA;
            match self.broker.control(Control::Remove { queue }).await? {
                Ok(_) | Err(palomar_broker::ControlError::NoQueue(_)) => {}
                // Media that are still to be fetched keep nobody: they end as not to be had.
                Err(palomar_broker::ControlError::NotEmpty(_)) if of_media => {}
                Err(error) => {
                    // What was removed already comes back: the channel stays whole.
                    if let Ok(line) = self.setup.build(&record) {
                        self.setup.run(&record, line).await?;
                    }
                    return Err(error.into());
                }
            }
        }
        if record.provider == Provider::Web {
            // Before the channel: whoever dies in between leaves a channel without a login, and no login without a channel.
            self.forget_session(name).await?;
        }
        self.records.delete_channel(name.clone()).await?;
        self.registry.remove(name);
        Ok(())
    }

    /// Pauses a channel: when this has answered, no further attempt starts.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn pause_channel(&self, name: &ChannelName, reason: &str) -> Result<ControlView, AppError> {
        self.channel_record(name).await?;
        let queue = outbound_queue(name)?;
        let done =
            self.broker.control(Control::Pause { queue: queue.clone(), reason: reason.into() }).await??;
        Ok(ControlView::of_queue(&queue, done))
    }

    /// Resumes a channel and closes its breaker.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn resume_channel(&self, name: &ChannelName) -> Result<ControlView, AppError> {
        self.channel_record(name).await?;
        let queue = outbound_queue(name)?;
        let done: Controlled = self.broker.control(Control::Resume { queue: queue.clone() }).await??;
        Ok(ControlView::of_queue(&queue, done))
    }

    /// Whether a channel works, as far as can be told without sending.
    ///
    /// # Errors
    /// [`AppError::NotFound`].
    pub async fn test_channel(&self, name: &ChannelName) -> Result<ChannelTest, AppError> {
        let record = self.channel_record(name).await?;
        Ok(match self.setup.build(&record) {
            Ok(_) => ChannelTest { ok: true, detail: "its settings are complete".to_owned() },
            Err(error) => ChannelTest { ok: false, detail: error.to_string() },
        })
    }

    async fn channel_record(&self, name: &ChannelName) -> Result<ChannelRecord, AppError> {
        self.records.channel(name.clone()).await?.ok_or(AppError::NotFound("channel"))
    }

    fn channel_view(&self, record: ChannelRecord, stats: &Stats) -> ChannelView {
        let queue = stats.queues.iter().find(|queue| {
            queue.queue.pool() == crate::queues::OUTBOUND && queue.queue.name() == record.name.as_str()
        });
        let paused = queue.and_then(|queue| queue.paused.as_deref()).map(str::to_owned);
        let problem = self.registry.problem(&record.name);
        let state = channel_state(problem.is_none(), paused.is_some());
        ChannelView {
            state,
            paused,
            problem,
            breaker: breaker_word(queue.map_or(BreakerState::Closed, |queue| queue.breaker)),
            waiting: queue.map_or(0, waiting),
            effective_limits: queue.map(|queue| EffectiveLimits::from(&queue.limits)),
            credentials: record.credentials.into_keys().collect(),
            on_uncertain: record.on_uncertain.unwrap_or(self.config.on_uncertain),
            name: record.name,
            provider: record.provider,
            settings: record.settings,
            limits: record.limits,
            created_at: record.created_at,
            updated_at: record.updated_at,
        }
    }
}

fn waiting(queue: &QueueStats) -> u64 {
    queue.counts[JobState::Scheduled as usize] + queue.counts[JobState::Queued as usize]
}

fn object(pointer: &str, value: Value) -> Result<Value, AppError> {
    if value.is_object() {
        Ok(value)
    } else {
        Err(AppError::Invalid(vec![FieldError::new(pointer, "must be an object")]))
    }
}

fn to_value(limits: &LimitsInput) -> Result<Value, AppError> {
    serde_json::to_value(limits).map_err(|error| AppError::invalid("/limits", error.to_string()))
}
