//! The words of a session's state: its five statuses, what may go wrong, and which of it a person must see to.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The five statuses.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Ready for a message.
    Available,
    /// At work on one.
    Busy,
    /// Not ready, and on its way or waiting for the phone.
    Disconnected,
    /// Not ready, and somebody has to see to it.
    Error,
    /// Closed by order: no browser runs.
    Closed,
}

impl Status {
    /// All of them.
    pub const ALL: [Status; 5] =
        [Status::Available, Status::Busy, Status::Disconnected, Status::Error, Status::Closed];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Status::Available => "available",
            Status::Busy => "busy",
            Status::Disconnected => "disconnected",
            Status::Error => "error",
            Status::Closed => "closed",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Something that went wrong with a browser or its page, and that a new start may mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The browser's process ended, or its page crashed.
    Crashed,
    /// The page does not answer.
    Hung,
    /// It took more memory than it may.
    OutOfMemory,
    /// The page did not come to any known screen in time.
    NeverLoaded,
    /// The browser can't be started now: why.
    NotStarted(String),
}

/// Something that a new start does not mend.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// What the page's description no longer finds.
    PageChanged(Vec<String>),
    /// The page refuses to work: what it says.
    Refused(String),
    /// There is no browser that could be started, or it may not be: why, and what to do.
    NoBrowser(String),
    /// Another process uses the profile.
    ProfileInUse(String),
}

impl Fault {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Fault::Crashed => "crashed",
            Fault::Hung => "hung",
            Fault::OutOfMemory => "out_of_memory",
            Fault::NeverLoaded => "never_loaded",
            Fault::NotStarted(_) => "not_started",
        }
    }
}

impl Trouble {
    pub(super) const fn as_str(&self) -> &'static str {
        match self {
            Trouble::PageChanged(_) => "page_changed",
            Trouble::Refused(_) => "refused",
            Trouble::NoBrowser(_) => "no_browser",
            Trouble::ProfileInUse(_) => "profile_in_use",
        }
    }
}
