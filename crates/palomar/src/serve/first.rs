//! What a start makes where it is missing: the admin's key, the demo channel, the channels of providers' variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use palomar_app::{AppError, Caller, ChannelPatch, LimitsInput, NewChannel, NewKey, Role};
use palomar_model::{ChannelName, Provider, Secret};
use serde_json::{Value, json};

use super::{ADMIN_KEY, Engine, data_dir};
use crate::config::{Loaded, SeedChannel};
use crate::failure::Failure;

/// The channel of the first start.
pub(super) const DEMO: &str = "demo";

/// What was found and made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct First {
    /// Whether nothing was here before.
    pub(super) first_start: bool,
    /// Where the admin's key is, where it is here.
    pub(super) key_file: Option<PathBuf>,
    /// A channel that a first message can go out on.
    pub(super) channel: Option<String>,
}

/// Makes what is missing.
pub(super) async fn prepare(engine: &Engine, loaded: &Loaded, new_admin_key: bool) -> Result<First, Failure> {
    let app = &engine.app;
    let first_start = !app.has_keys();
    let key_file = engine.dir.join(ADMIN_KEY);
    if first_start || new_admin_key {
        let new = NewKey { name: "admin".to_owned(), role: Role::Admin, channels: None, expires_at: None };
        let made = app.create_key(new).await.map_err(|error| failed("make the admin's key", &error))?;
        data_dir::write_secret(&key_file, &made.secret)
            .map_err(|error| Failure::new(format!("can't write {}: {error}", key_file.display())))?;
    }
    if first_start && loaded.settings.demo.enabled {
        make(engine, DEMO, Provider::Sandbox, json!({}), BTreeMap::new())
            .await?
            .map_err(|error| failed("make the demo channel", &error))?;
    }
    for channel in loaded.seeds.channels() {
        seeded(engine, channel).await?;
    }
    let channels =
        app.channels(&Caller::system()).await.map_err(|error| failed("read the channels", &error))?;
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    // A line that is typed as printed must not send to a person by surprise.
    let channel = names.contains(&DEMO).then(|| DEMO.to_owned());
    Ok(First { first_start, key_file: key_file.exists().then_some(key_file), channel })
}

/// Makes a channel that variables describe, or brings it to what they say now.
async fn seeded(engine: &Engine, channel: SeedChannel) -> Result<(), Failure> {
    let SeedChannel { name: channel, provider, settings, credentials, variables } = channel;
    let settings = Value::Object(settings);
    let name = name(channel)?;
    let unmade = |error: AppError| {
        Failure::wrong_use(format!("the channel {channel} can't be made of its variables: {error}"))
            .help(format!("See {}.", variables.join(", ")))
    };
    match engine.app.channel(&name, &Caller::system()).await {
        Ok(known) if known.provider != provider => Err(Failure::wrong_use(format!(
            "variables of {} are set, but the channel {channel} is one of {}",
            provider.as_str(),
            known.provider.as_str()
        ))
        .help(format!("Unset {}, or remove that channel.", variables.join(", ")))),
        Ok(_) => {
            let patch = ChannelPatch {
                settings: Some(settings),
                credentials: Some(credentials),
                ..ChannelPatch::default()
            };
            engine.app.update_channel(&name, patch).await.map(|_| ()).map_err(unmade)
        }
        Err(AppError::NotFound(_)) => {
            make(engine, channel, provider, settings, credentials).await?.map_err(unmade)
        }
        Err(error) => Err(failed("read the channels", &error)),
    }
}

/// Makes a channel; the inner error is what its settings lack.
async fn make(
    engine: &Engine,
    channel: &str,
    provider: Provider,
    settings: Value,
    credentials: BTreeMap<String, Secret>,
) -> Result<Result<(), AppError>, Failure> {
    let new = NewChannel {
        name: name(channel)?,
        provider,
        settings: Some(settings),
        credentials,
        limits: LimitsInput::default(),
        on_uncertain: None,
    };
    match engine.app.create_channel(new).await {
        Ok(_) => tracing::info!(channel, provider = provider.as_str(), "a channel was made"),
        // Another node that starts at the same time was first.
        Err(AppError::Conflict { code: "exists", .. }) => {}
        Err(error) => return Ok(Err(error)),
    }
    Ok(Ok(()))
}

fn name(channel: &str) -> Result<ChannelName, Failure> {
    channel.parse().map_err(|error| Failure::new(format!("{channel}: {error}")))
}

fn failed(what: &str, error: &AppError) -> Failure {
    Failure::new(format!("can't {what}: {error}"))
}
