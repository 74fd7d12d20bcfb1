//! How a simulated Evolution behaves.

use std::time::Duration;

use super::misbehaviour::Faults;
use crate::behaviour::Statuses;
use crate::courier::Webhooks;
use crate::span::Latency;

/// All settings of the simulator. [`Config::default`] is an installation in which every instance is connected and every
/// message delivered and read.
#[derive(Debug, Clone)]
pub struct Config {
    /// The key that is accepted; none: any that is not empty.
    pub api_key: Option<String>,
    /// The instances that exist, all connected; none: every name exists.
    pub instances: Vec<String>,
    /// The number of every instance.
    pub number: String,
    /// Where webhooks go; none: nowhere, until set while running.
    pub webhook_url: Option<String>,
    /// The headers of webhooks; as at Evolution, `jwt_key` is none: it makes a token in `Authorization`.
    pub webhook_headers: Vec<(String, String)>,
    /// How long each answer takes. A message is accepted first, then the answer waits.
    pub latency: Latency,
    /// The faults it starts with.
    pub faults: Faults,
    /// The statuses that follow an accepted message; each goes in a webhook of its own.
    pub statuses: Statuses,
    /// How webhooks are posted.
    pub webhooks: Webhooks,
    /// Magic recipients are honoured (see the crate's page).
    pub magic: bool,
    /// Keep the bodies in the ledger.
    pub keep_bodies: bool,
    /// The seed of all chance.
    pub seed: u64,
}

impl Default for Config {
    fn default() -> Config {
        Config {
            api_key: None,
            instances: Vec::new(),
            number: "15550100200".to_owned(),
            webhook_url: None,
            webhook_headers: vec![("x-palomar-secret".to_owned(), "webhook-secret-1".to_owned())],
            latency: Latency::NONE,
            faults: Faults::default(),
            statuses: Statuses::default(),
            // Evolution gives up after ten tries; its pauses add up to less than half an hour.
            webhooks: Webhooks { retry_for: Duration::from_secs(30 * 60), ..Webhooks::default() },
            magic: true,
            keep_bodies: true,
            seed: 1,
        }
    }
}
