//! The four priorities of a message.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// How urgent a message is. The order is that of urgency: `Critical` is the smallest.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Goes first.
    Critical,
    /// Before ordinary traffic.
    High,
    /// The default.
    #[default]
    Normal,
    /// Campaigns and other bulk; still gets a turn under a flood of the others.
    Low,
}

/// A word that names no priority.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("unknown priority (expected critical, high, normal or low)")]
pub struct UnknownPriority;

impl Priority {
    /// All four, the most urgent first.
    pub const ALL: [Priority; 4] = [Priority::Critical, Priority::High, Priority::Normal, Priority::Low];

    /// 0 for the most urgent, 3 for the least.
    #[must_use]
    pub const fn index(self) -> usize {
        self as usize
    }

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Priority::Critical => "critical",
            Priority::High => "high",
            Priority::Normal => "normal",
            Priority::Low => "low",
        }
    }
}

impl fmt::Display for Priority {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Priority {
    type Err = UnknownPriority;

    fn from_str(text: &str) -> Result<Priority, UnknownPriority> {
        Priority::ALL.into_iter().find(|priority| priority.as_str() == text).ok_or(UnknownPriority)
    }
}
