//! Where a send job stands (several messages that one line sends, one after the other), and the one function that moves it.
//!
//! Always: an order that was carried out already changes nothing; what ended stays so.

use std::fmt;
use std::str::FromStr;

/// Where a send job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SendJobState {
    /// It waits for a place.
    Pending,
    /// Its messages go.
    Running,
    /// All that it had is accounted for, and something of it went.
    Completed,
    /// All that it had is accounted for, and nothing of it went.
    Failed,
    /// It waits for somebody's word.
    Paused,
    /// Somebody ended it.
    Cancelled,
}

/// What is done to send jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SendJobOrder {
    /// It has a place.
    Begin,
    /// It waits.
    Pause,
    /// It goes on, when it has a place.
    Resume,
    /// It ends.
    Cancel,
    /// All is accounted for, and something went.
    Complete,
    /// All is accounted for, and nothing went.
    Fail,
}

/// An order that does not follow from where a send job stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the send job is {0}: {1}")]
pub struct NotNow(pub SendJobState, pub &'static str);

use SendJobState::{Cancelled, Completed, Failed, Paused, Pending, Running};

impl SendJobState {
    /// All of them.
    pub const ALL: [SendJobState; 6] = [Pending, Running, Completed, Failed, Paused, Cancelled];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Pending => "pending",
            Running => "running",
            Completed => "completed",
            Failed => "failed",
            Paused => "paused",
            Cancelled => "cancelled",
        }
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(self) -> bool {
        matches!(self, Completed | Failed | Cancelled)
    }

    /// What an order makes of it; the same where that was so already.
    ///
    /// # Errors
    /// Where it does not follow from here.
    pub fn after(self, order: SendJobOrder) -> Result<SendJobState, NotNow> {
        use SendJobOrder as Order;
        match (self, order) {
            (Pending | Running, Order::Begin) => Ok(Running),
            (Pending | Running | Paused, Order::Pause) => Ok(Paused),
            (Pending | Running, Order::Resume) => Ok(self),
            (Paused, Order::Resume) => Ok(Pending),
            (Pending | Running | Paused | Cancelled, Order::Cancel) => Ok(Cancelled),
            (Pending | Running | Paused | Completed, Order::Complete) => Ok(Completed),
            (Pending | Running | Paused | Failed, Order::Fail) => Ok(Failed),
            (Paused, Order::Begin) => Err(NotNow(self, "resume it")),
            _ => Err(NotNow(self, "it has ended; make a new one")),
        }
    }
}

impl fmt::Display for SendJobState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for SendJobState {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<SendJobState, &'static str> {
        let known = SendJobState::ALL.into_iter().find(|state| state.as_str() == text);
        known.ok_or("is none of pending, running, completed, failed, paused and cancelled")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_order_from_each_state() {
        use SendJobOrder as Order;
        // In the order of `ALL`; "-" is refused.
        for (order, expected) in [
            (Order::Begin, ["running", "running", "-", "-", "-", "-"]),
            (Order::Pause, ["paused", "paused", "-", "-", "paused", "-"]),
            (Order::Resume, ["pending", "running", "-", "-", "pending", "-"]),
            (Order::Cancel, ["cancelled", "cancelled", "-", "-", "cancelled", "cancelled"]),
            (Order::Complete, ["completed", "completed", "completed", "-", "completed", "-"]),
            (Order::Fail, ["failed", "failed", "-", "failed", "failed", "-"]),
        ] {
            for (state, expected) in SendJobState::ALL.into_iter().zip(expected) {
                let found = state.after(order).map_or("-", SendJobState::as_str);
                assert_eq!(found, expected, "{order:?} from {state}");
                if let Ok(after) = state.after(order)
                    && order != Order::Begin
                {
                    assert_eq!(after.after(order), Ok(after), "{order:?} twice from {state}");
                }
            }
        }
        for state in SendJobState::ALL {
            assert_eq!(state.as_str().parse(), Ok(state));
        }
    }
}
