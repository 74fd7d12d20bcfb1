//! What a start makes where it is missing: the admin's key, the demo channel, the channel of WhatsApp's variables.

use std::collections::BTreeMap;
use std::path::PathBuf;

use palomar_app::{AppError, Caller, ChannelPatch, LimitsInput, NewChannel, NewKey, Role};
use palomar_model::{ChannelName, Provider, Secret};
use serde_json::{Value, json};

use super::{ADMIN_KEY, Engine, data_dir};
use crate::config::{Loaded, SEED_CHANNEL, WhatsappChannel};
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
        make(engine, DEMO, Provider::Sandbox, json!({}), BTreeMap::new()).await?;
    }
    if let Some(channel) = loaded.seeds.whatsapp() {
        whatsapp(engine, channel).await?;
    }
    let channels =
        app.channels(&Caller::system()).await.map_err(|error| failed("read the channels", &error))?;
    let names: Vec<&str> = channels.iter().map(|channel| channel.name.as_str()).collect();
    // A line that is typed as printed must not send to a person by surprise.
    let channel = names.contains(&DEMO).then(|| DEMO.to_owned());
    Ok(First { first_start, key_file: key_file.exists().then_some(key_file), channel })
}

/// Makes the channel that the variables describe, or brings it to what they say now.
async fn whatsapp(engine: &Engine, channel: WhatsappChannel) -> Result<(), Failure> {
    let mut settings = json!({"phoneNumberId": channel.phone_number_id});
    for (name, value) in [("baseUrl", channel.api_url), ("version", channel.api_version)] {
        if let Some(value) = value {
            settings[name] = json!(value);
        }
    }
    let credentials: BTreeMap<String, Secret> = [
        ("token", Some(channel.token)),
        ("appSecret", channel.app_secret),
        ("verifyToken", channel.verify_token),
    ]
    .into_iter()
    .filter_map(|(name, value)| Some((name.to_owned(), value?)))
    .collect();
    let name = name(SEED_CHANNEL)?;
    match engine.app.channel(&name, &Caller::system()).await {
        Ok(known) if known.provider != Provider::CloudApi => Err(Failure::wrong_use(format!(
            "WhatsApp's variables are set, but the channel {SEED_CHANNEL} is one of {}",
            known.provider.as_str()
        ))
        .help("Unset the variables, or remove that channel.")),
        Ok(_) => {
            let patch = ChannelPatch {
                settings: Some(settings),
                credentials: Some(credentials),
                ..ChannelPatch::default()
            };
            engine.app.update_channel(&name, patch).await.map_err(|error| variables(&error))?;
            Ok(())
        }
        Err(AppError::NotFound(_)) => {
            make(engine, SEED_CHANNEL, Provider::CloudApi, settings, credentials).await
        }
        Err(error) => Err(failed("read the channels", &error)),
    }
}

async fn make(
    engine: &Engine,
    channel: &str,
    provider: Provider,
    settings: Value,
    credentials: BTreeMap<String, Secret>,
) -> Result<(), Failure> {
    let new = NewChannel {
        name: name(channel)?,
        provider,
        settings: Some(settings),
        credentials,
        limits: LimitsInput::default(),
        on_uncertain: None,
    };
    match engine.app.create_channel(new).await {
        // Another node that starts at the same time was first.
        Err(AppError::Conflict { code: "exists", .. }) => return Ok(()),
        Err(error) if channel == SEED_CHANNEL => return Err(variables(&error)),
        Err(error) => return Err(failed("make the demo channel", &error)),
        Ok(_) => {}
    }
    tracing::info!(channel, provider = provider.as_str(), "a channel was made");
    Ok(())
}

fn name(channel: &str) -> Result<ChannelName, Failure> {
    channel.parse().map_err(|error| Failure::new(format!("{channel}: {error}")))
}

fn failed(what: &str, error: &AppError) -> Failure {
    Failure::new(format!("can't {what}: {error}"))
}

fn variables(error: &AppError) -> Failure {
    Failure::wrong_use(format!("the channel {SEED_CHANNEL} can't be made of WhatsApp's variables: {error}"))
        .help(
            "See WHATSAPP_API_TOKEN, WHATSAPP_PHONE_NUMBER_ID, WHATSAPP_APP_SECRET and WEBHOOK_VERIFY_TOKEN.",
        )
}
