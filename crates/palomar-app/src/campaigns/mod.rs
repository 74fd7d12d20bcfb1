//! Campaigns: one text to many, exact under crashes, held in the hand while it runs.
//!
//! ```text
//! create ─> recipients, fixed at the start ─> batches ─┐
//!                                                       │  keeper: whose turn is it? (look-ahead, hours, pace)
//! outbound/<channel> <─ messages <─ feeder <─ campaigns/_batches
//!        └─> event log ─> records: counts by status ─> keeper: finished? too many failures?
//! ```
//!
//! Always:
//! - each (campaign, step, recipient) becomes one message, whose id follows from the three (`lots`); a batch that is fed
//!   again, after whatever crash, adds what is missing and nothing else (`feeder`);
//! - a campaign's word in records decides whether it runs; pausing its group in the queue makes that so, and the keeper
//!   makes it so again where the one who ordered it died in between;
//! - it is finished when everybody is accounted for: messages at their end or uncertain, and recipients left out, are the
//!   snapshot.

mod checks;
mod cleanup;
mod contacts;
mod definition;
mod export;
mod feeder;
mod follow_up;
mod following;
mod foresight;
mod input;
mod judge;
mod keeper;
mod lots;
mod messages;
mod orders;
mod pace;
mod repeat;
mod resend;
mod results;
mod snapshot;
mod sources;
mod supply;
mod view;
mod words;
mod writing;
mod zones;

use std::time::Duration;

use palomar_broker::{BreakerConfig, Limits, QueueName};

use crate::AppError;

pub use checks::{CampaignPreview, DryRun, DryRunRecipient, TestSend};
pub use contacts::AudienceInput;
pub use definition::{Definition, OutsideWindow, Variant};
pub use follow_up::{FollowUp, FollowUpInput, FollowWhen};
pub use input::{CampaignPatch, MOST_CONTACTS, NewCampaign, PlanInput, VariantInput};
pub use judge::{AutoPause, WorstQuality};
pub use orders::{CampaignAnswer, StartAnswer};
pub use repeat::RunOf;
pub use resend::NewResend;
pub use results::{CampaignReport, FollowUpReport, RecipientResult, VariantReport};
pub use sources::Resend;
pub use view::{CampaignMetrics, CampaignView, QueueMetrics, QueueProgress, QueueStatus, SystemMetrics};
pub use writing::{ContactsAdded, MadeCampaign};

pub(crate) use feeder::Feeder;
pub(crate) use keeper::{Keeper, watch};

/// The pool of batches.
pub(crate) const CAMPAIGNS: &str = "campaigns";

/// How campaigns are fed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CampaignConfig {
    /// Recipients of a batch.
    pub batch_size: u32,
    /// Batches that are fed at once.
    pub concurrent_batches: u32,
    /// Attempts at a batch.
    pub retry_attempts: u32,
    /// The wait after the first of them; doubled with each.
    pub retry_delay: Duration,
    /// Messages of one campaign that are queued ahead at most.
    pub look_ahead: u64,
    /// So many that finished are kept, whatever their age.
    pub keep_finished: u32,
    /// So many that were stopped are.
    pub keep_stopped: u32,
    /// The others are kept for so long after their end.
    pub keep_for: Duration,
}

impl Default for CampaignConfig {
    fn default() -> CampaignConfig {
        CampaignConfig {
            batch_size: 500,
            concurrent_batches: 10,
            retry_attempts: 3,
            retry_delay: Duration::from_secs(1),
            look_ahead: 20_000,
            keep_finished: 100,
            keep_stopped: 50,
            keep_for: Duration::from_secs(30 * 24 * 3600),
        }
    }
}

/// The queue of batches. No channel has a name that begins so.
pub(crate) fn batches_queue() -> Result<QueueName, AppError> {
    QueueName::new(CAMPAIGNS, "_batches").map_err(|error| AppError::Unavailable(error.to_string()))
}

/// A batch that was killed is fed again at once; one that fails holds no other.
pub(crate) fn batches_limits(config: &CampaignConfig) -> Limits {
    let defaults = Limits::default();
    Limits {
        concurrency: config.concurrent_batches.max(1),
        breaker: BreakerConfig { failures: 0, ..defaults.breaker },
        order_wait: Duration::ZERO,
        uncertain_wait: Duration::ZERO,
        ..defaults
    }
}
