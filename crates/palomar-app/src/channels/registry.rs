//! The channels that are running, by name. A change replaces a channel whole; attempts under way end on the old one.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, PoisonError, RwLock};

use palomar_broker::{Limits, QueueName};
use palomar_channels::{
    Channel, CloudApi, Deadlined, Evolution, EvolutionConfig, FetchLimits, Fetcher, Observed, Observer,
    Sandbox, SandboxSink, Twilio, Web,
};
use palomar_model::{ChannelName, Clock, FieldError, OnUncertain, Provider};
use palomar_records::ChannelRecord;
use serde_json::{Map, Value};

use super::limits::{LimitsInput, limits};
use crate::metrics::KnownChannel;
use crate::queues::OUTBOUND;

/// Makes channels of their records: the one place that knows all providers.
pub trait ProviderFactory: Send + Sync {
    /// The channel; `sink` is where one hands its events in that gets no webhooks.
    ///
    /// # Errors
    /// What is wrong with its settings or credentials.
    fn build(
        &self,
        channel: &ChannelRecord,
        sink: Arc<dyn SandboxSink>,
    ) -> Result<Arc<dyn Channel>, Vec<FieldError>>;

    /// Where browser sessions are kept; nowhere where they are switched off.
    fn sessions(&self) -> Option<Arc<palomar_web::Pool>> {
        None
    }
}

/// The providers that are built in.
pub struct Providers {
    client: reqwest::Client,
    outside: reqwest::Client,
    public_url: Option<String>,
    clock: Arc<dyn Clock>,
    sessions: Option<Arc<palomar_web::Pool>>,
}

impl Providers {
    /// The providers, which call through one client.
    ///
    /// # Errors
    /// Where the system offers no TLS roots.
    pub fn new(clock: Arc<dyn Clock>) -> Result<Providers, reqwest::Error> {
        Ok(Providers {
            client: palomar_channels::http::client()?,
            outside: palomar_channels::http::outside()?,
            public_url: None,
            clock,
            sessions: None,
        })
    }

    /// With browser sessions, kept in `sessions`.
    #[must_use]
    pub fn with_sessions(self, sessions: Option<Arc<palomar_web::Pool>>) -> Providers {
        Providers { sessions, ..self }
    }

    fn web(&self, channel: &ChannelRecord, sink: Arc<dyn SandboxSink>) -> Result<Web, Vec<FieldError>> {
        let pool = self.sessions.as_ref().ok_or_else(crate::sessions::switched_off)?;
        let fetcher = Fetcher::new(self.client.clone(), self.outside.clone(), FetchLimits::default());
        Web::new(config(channel)?, pool.session(&channel.name), &pool.config().url, fetcher, sink)
    }

    /// The address under which providers reach this server, without a slash at its end.
    #[must_use]
    pub fn reached_at(self, public_url: Option<String>) -> Providers {
        Providers { public_url, ..self }
    }

    /// Where a provider reaches a channel.
    fn webhook(&self, channel: &ChannelName) -> Option<String> {
        self.public_url.as_ref().map(|url| format!("{url}/webhooks/{channel}"))
    }

    fn twilio(&self, channel: &ChannelRecord) -> Result<Twilio, Vec<FieldError>> {
        let webhook = self.webhook(&channel.name);
        let twilio = Twilio::new(config(channel)?, webhook.as_deref(), self.client.clone())?;
        if !twilio.is_told() {
            tracing::warn!(
                channel = %channel.name,
                "Twilio is not told where to report on messages: set server.public_url, or the channel's webhookUrl"
            );
        }
        Ok(twilio)
    }
}

impl ProviderFactory for Providers {
    fn build(
        &self,
        channel: &ChannelRecord,
        sink: Arc<dyn SandboxSink>,
    ) -> Result<Arc<dyn Channel>, Vec<FieldError>> {
        match channel.provider {
            Provider::CloudApi => Ok(Arc::new(CloudApi::new(config(channel)?, self.client.clone()))),
            Provider::Sandbox => Ok(Arc::new(Sandbox::new(config(channel)?, Arc::clone(&self.clock), sink))),
            Provider::Twilio => Ok(Arc::new(self.twilio(channel)?)),
            Provider::Evolution => {
                let config: EvolutionConfig = config(channel)?;
                // Who names a channel after its instance need not say it twice.
                let config = config.or_instance(channel.name.as_str());
                let evolution = Evolution::new(config, self.client.clone(), Arc::clone(&self.clock))?;
                Ok(Arc::new(evolution))
            }
            Provider::Web => Ok(Arc::new(self.web(channel, sink)?)),
        }
    }

    fn sessions(&self) -> Option<Arc<palomar_web::Pool>> {
        self.sessions.clone()
    }
}

/// A provider's configuration: settings and credentials together, its keys in either spelling.
fn config<C: serde::de::DeserializeOwned>(channel: &ChannelRecord) -> Result<C, Vec<FieldError>> {
    let mut whole = Map::new();
    if let Value::Object(settings) = &channel.settings {
        whole.extend(settings.iter().map(|(name, value)| (snake_case(name), value.clone())));
    }
    let secrets = channel.credentials.iter();
    whole.extend(secrets.map(|(name, secret)| (snake_case(name), Value::from(secret.expose()))));
    // serde's words name fields and types; those that quote a value are cut, since the value may be a secret.
    serde_json::from_value(Value::Object(whole)).map_err(|error| {
        let words = error.to_string();
        let safe = words.starts_with("missing field") || words.starts_with("unknown field");
        let detail = if safe { words } else { "do not have the provider's shape".to_owned() };
        vec![FieldError::new("/settings", detail)]
    })
}

fn snake_case(name: &str) -> String {
    let mut snake = String::with_capacity(name.len() + 4);
    for letter in name.chars() {
        if letter.is_ascii_uppercase() {
            snake.push('_');
        }
        snake.push(letter.to_ascii_lowercase());
    }
    snake
}

/// A running channel.
#[derive(Clone)]
pub(crate) struct Line {
    pub(crate) name: ChannelName,
    /// The queue of its messages.
    pub(crate) queue: QueueName,
    pub(crate) provider: Provider,
    pub(crate) channel: Arc<dyn Channel>,
    pub(crate) limits: Limits,
    pub(crate) on_uncertain: OnUncertain,
}

/// What holds for every channel whose record does not say otherwise.
pub(crate) struct Defaults {
    pub(crate) limits: Limits,
    pub(crate) on_uncertain: OnUncertain,
}

/// All channels: those that run, and why others don't.
pub(crate) struct Registry {
    factory: Arc<dyn ProviderFactory>,
    observer: Arc<dyn Observer>,
    clock: Arc<dyn Clock>,
    defaults: Defaults,
    state: RwLock<State>,
}

#[derive(Default)]
struct State {
    lines: BTreeMap<ChannelName, Arc<Line>>,
    /// What the provider calls a line → the channel that it belongs to.
    by_number: HashMap<(Provider, String), ChannelName>,
    problems: BTreeMap<ChannelName, (Provider, String)>,
    /// What each channel was made of, whether it works or not.
    records: BTreeMap<ChannelName, ChannelRecord>,
}

impl Registry {
    pub(crate) fn new(
        factory: Arc<dyn ProviderFactory>,
        observer: Arc<dyn Observer>,
        clock: Arc<dyn Clock>,
        defaults: Defaults,
    ) -> Registry {
        Registry { factory, observer, clock, defaults, state: RwLock::default() }
    }

    /// Makes a channel of its record, without running it.
    pub(crate) fn build(
        &self,
        record: &ChannelRecord,
        sink: Arc<dyn SandboxSink>,
    ) -> Result<Line, Vec<FieldError>> {
        let input: LimitsInput = serde_json::from_value(record.limits.clone())
            .map_err(|error| vec![FieldError::new("/limits", error.to_string())])?;
        let channel = self.factory.build(record, sink)?;
        let limits = limits(&input, &channel.profile(), &self.defaults.limits)?;
        let observed = Observed::new(channel, Arc::clone(&self.observer), Arc::clone(&self.clock));
        let channel = Arc::new(Deadlined::new(observed, limits.deadline));
        let on_uncertain = record.on_uncertain.unwrap_or(self.defaults.on_uncertain);
        let queue = QueueName::new(OUTBOUND, record.name.as_str())
            .map_err(|error| vec![FieldError::new("/name", error.to_string())])?;
        let (name, provider) = (record.name.clone(), record.provider);
        Ok(Line { name, queue, provider, channel, limits, on_uncertain })
    }

    /// Runs a channel, in place of the one of that name.
    pub(crate) fn put(&self, record: &ChannelRecord, line: Line) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.forget(&record.name);
        if let Some(number) = line.channel.line() {
            state.by_number.insert((record.provider, number), record.name.clone());
        }
        state.lines.insert(record.name.clone(), Arc::new(line));
        state.records.insert(record.name.clone(), record.clone());
    }

    /// Notes that a channel does not run, and why.
    pub(crate) fn put_problem(&self, record: &ChannelRecord, errors: &[FieldError]) {
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        state.forget(&record.name);
        let words: Vec<String> = errors.iter().map(ToString::to_string).collect();
        state.problems.insert(record.name.clone(), (record.provider, words.join("; ")));
        state.records.insert(record.name.clone(), record.clone());
    }

    /// Whether what is known of a channel was made of this record.
    pub(crate) fn runs(&self, record: &ChannelRecord) -> bool {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        state.records.get(&record.name) == Some(record)
    }

    pub(crate) fn remove(&self, name: &ChannelName) {
        self.state.write().unwrap_or_else(PoisonError::into_inner).forget(name);
    }

    pub(crate) fn get(&self, name: &ChannelName) -> Option<Arc<Line>> {
        self.state.read().unwrap_or_else(PoisonError::into_inner).lines.get(name).cloned()
    }

    /// The channels of a pool that run, by name.
    pub(crate) fn of_pool(&self, pool: &ChannelName) -> Vec<Arc<Line>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let belongs = |name: &&ChannelName| {
            state.records.get(*name).is_some_and(|record| record.settings["pool"] == pool.as_str())
        };
        let members = state.lines.keys().filter(belongs);
        members.filter_map(|name| state.lines.get(name).cloned()).collect()
    }

    /// The channel of that name, or one of that pool.
    pub(crate) fn first_of(&self, name: &ChannelName) -> Option<Arc<Line>> {
        self.get(name).or_else(|| self.of_pool(name).into_iter().next())
    }

    /// The names of a pool's channels, of those that don't run too; the name itself where it is no pool's.
    pub(crate) fn members(&self, name: &ChannelName) -> Vec<ChannelName> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let all = state.records.values();
        let members: Vec<_> = all
            .filter(|record| record.settings["pool"] == name.as_str())
            .map(|record| record.name.clone())
            .collect();
        if members.is_empty() || state.records.contains_key(name) { vec![name.clone()] } else { members }
    }

    /// Where browser sessions are kept, where they are switched on.
    pub(crate) fn sessions(&self) -> Option<Arc<palomar_web::Pool>> {
        self.factory.sessions()
    }

    /// The channel that a queue of ours is named after.
    pub(crate) fn of_queue(&self, queue: &palomar_broker::QueueName) -> Option<Arc<Line>> {
        self.get(&queue.name().parse().ok()?)
    }

    /// The only channel, where there is exactly one.
    pub(crate) fn only(&self) -> Option<Arc<Line>> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let mut lines = state.lines.values();
        lines.next().filter(|_| lines.len() == 0).cloned()
    }

    /// All channels, those that don't run too.
    pub(crate) fn known(&self) -> Vec<KnownChannel> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let known = |(name, provider, works): (&ChannelName, Provider, bool)| KnownChannel {
            name: name.clone(),
            provider,
            works,
        };
        let lines = state.lines.iter().map(|(name, line)| (name, line.provider, true));
        let problems = state.problems.iter().map(|(name, (provider, _))| (name, *provider, false));
        lines.chain(problems).map(known).collect()
    }

    /// Who carries a channel, whether it runs or not.
    pub(crate) fn provider(&self, name: &ChannelName) -> Option<Provider> {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        let line = state.lines.get(name).map(|line| line.provider);
        line.or_else(|| state.problems.get(name).map(|(provider, _)| *provider))
    }

    /// The channel that an event is for: one webhook address may bring events for several numbers.
    pub(crate) fn receiver(
        &self,
        came_to: &ChannelName,
        provider: Provider,
        number: Option<&str>,
    ) -> ChannelName {
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        number
            .and_then(|number| state.by_number.get(&(provider, number.to_owned())))
            .unwrap_or(came_to)
            .clone()
    }

    pub(crate) fn problem(&self, name: &ChannelName) -> Option<String> {
        self.state
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .problems
            .get(name)
            .map(|(_, why)| why.clone())
    }
}

impl State {
    fn forget(&mut self, name: &ChannelName) {
        self.lines.remove(name);
        self.problems.remove(name);
        self.records.remove(name);
        self.by_number.retain(|_, owner| owner != name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn either_spelling() {
        for (name, snake) in
            [("phoneNumberId", "phone_number_id"), ("app_secret", "app_secret"), ("token", "token")]
        {
            assert_eq!(snake_case(name), snake);
        }
    }
}
