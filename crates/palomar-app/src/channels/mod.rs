//! Channels as this process has them: built from their records, replaced when these change.

mod admin;
mod limits;
mod registry;

pub use admin::{ChannelPatch, ChannelTest, ChannelView, NewChannel};
pub use limits::{BudgetInput, LimitsInput, PROFILES, PairInput, WindowInput};
pub use registry::{ProviderFactory, Providers};

pub(crate) use admin::channel_state;
pub(crate) use limits::LEASE;
pub(crate) use registry::{Defaults, Line, Registry};
