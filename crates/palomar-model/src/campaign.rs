//! Where a campaign stands, and the one function that moves it; the place that a message has in one.
//!
//! Always: an order that was carried out already is answered so and changes nothing; what ended stays so. Nobody but
//! [`CampaignState::after`] says what follows from an order.

use serde::{Deserialize, Serialize};

use crate::Timestamp;

/// Where a campaign stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CampaignState {
    /// It is being written.
    Draft,
    /// It begins by itself.
    Scheduled {
        /// When.
        at: Timestamp,
    },
    /// It sends, or waits for what holds it.
    Sending {
        /// Since when.
        since: Timestamp,
    },
    /// It sends nothing until somebody says so.
    Paused {
        /// Since when.
        since: Timestamp,
        /// Why.
        why: Pause,
    },
    /// Everybody is accounted for.
    Finished {
        /// When.
        at: Timestamp,
    },
    /// Somebody ended it.
    Stopped {
        /// When.
        at: Timestamp,
    },
}

/// Why a campaign is paused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pause {
    /// What kind of reason it is.
    pub cause: PauseCause,
    /// For people.
    pub detail: String,
}

/// What pauses campaigns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PauseCause {
    /// Somebody did.
    Person,
    /// Its time had passed for too long when it could have begun.
    Late,
    /// Too many of its messages failed.
    FailureRate,
    /// Too many people do not want its messages.
    BlockRate,
    /// A batch could not be queued.
    Batch,
    /// The provider would refuse a template that it sends.
    Template,
    /// People take a template that it sends badly.
    Quality,
    /// It can't be read whom it goes to.
    Audience,
}

/// What is done to campaigns.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CampaignOrder {
    /// It shall begin at a time.
    Schedule {
        /// When.
        at: Timestamp,
    },
    /// It shall not begin by itself.
    Unschedule,
    /// It begins.
    Start,
    /// Its time has come.
    Due {
        /// It came so long ago that a person is to say whether it is still worth it; why, for people.
        too_late: Option<String>,
    },
    /// It waits.
    Pause(Pause),
    /// It goes on.
    Resume,
    /// It ends.
    Stop,
    /// Everybody is accounted for.
    Finish,
}

/// What an order did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ordered {
    /// It stands here now.
    Moved(CampaignState),
    /// That was so already.
    Already,
}

/// An order that does not follow from where a campaign stands: what to do instead.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the campaign is {state}: {instead}")]
pub struct NotFromHere {
    /// Where it stands.
    pub state: &'static str,
    /// What to do instead.
    pub instead: &'static str,
}

use CampaignState::{Draft, Finished, Paused, Scheduled, Sending, Stopped};

impl CampaignState {
    /// The words for all of them.
    pub const WORDS: [&'static str; 6] = ["draft", "scheduled", "sending", "paused", "finished", "stopped"];

    /// The word for it.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Draft => "draft",
            Scheduled { .. } => "scheduled",
            Sending { .. } => "sending",
            Paused { .. } => "paused",
            Finished { .. } => "finished",
            Stopped { .. } => "stopped",
        }
    }

    /// Whether nobody was written to yet: all of it may be changed.
    #[must_use]
    pub const fn is_open(&self) -> bool {
        matches!(self, Draft | Scheduled { .. })
    }

    /// Whether it has ended.
    #[must_use]
    pub const fn has_ended(&self) -> bool {
        matches!(self, Finished { .. } | Stopped { .. })
    }

    /// What an order makes of it.
    ///
    /// # Errors
    /// Where it does not follow from here.
    pub fn after(&self, order: CampaignOrder, now: Timestamp) -> Result<Ordered, NotFromHere> {
        use CampaignOrder as Order;
        let refused = |instead| Err(NotFromHere { state: self.as_str(), instead });
        let ended = "it has ended; make a new one";
        let moved = match (self, order) {
            (Draft | Scheduled { .. }, Order::Schedule { at }) => Scheduled { at },
            (Scheduled { .. }, Order::Unschedule) => Draft,
            (Draft, Order::Unschedule) => return Ok(Ordered::Already),
            // It was put off while somebody believed that its time had come.
            (Scheduled { at }, Order::Due { .. }) if *at > now => return Ok(Ordered::Already),
            (Draft | Scheduled { .. }, Order::Start) | (Scheduled { .. }, Order::Due { too_late: None }) => {
                Sending { since: now }
            }
            (Scheduled { .. }, Order::Due { too_late: Some(detail) }) => {
                Paused { since: now, why: Pause { cause: PauseCause::Late, detail } }
            }
            (Sending { .. }, Order::Start | Order::Due { .. } | Order::Resume)
            | (Paused { .. }, Order::Pause(_))
            | (Stopped { .. }, Order::Stop)
            | (Finished { .. }, Order::Finish) => return Ok(Ordered::Already),
            (Sending { .. }, Order::Pause(why)) => Paused { since: now, why },
            (Paused { .. }, Order::Resume) => Sending { since: now },
            (Scheduled { .. } | Sending { .. } | Paused { .. }, Order::Stop) => Stopped { at: now },
            (Sending { .. } | Paused { .. }, Order::Finish) => Finished { at: now },
            (Paused { .. }, Order::Start) => return refused("resume it"),
            (Draft, Order::Pause(_) | Order::Resume | Order::Stop) => {
                return refused("it was not started; start it, or delete it");
            }
            (Scheduled { .. }, Order::Pause(_) | Order::Resume) => {
                return refused("it has not begun; start it, take its schedule away, or stop it");
            }
            (Finished { .. } | Stopped { .. }, _) => return refused(ended),
            (Sending { .. } | Paused { .. }, Order::Schedule { .. } | Order::Unschedule) => {
                return refused("it has begun; it can be paused or stopped");
            }
            (_, Order::Due { .. } | Order::Finish) => return refused("there is nothing to do"),
        };
        Ok(Ordered::Moved(moved))
    }
}

impl PauseCause {
    /// All of them.
    pub const ALL: [PauseCause; 8] = [
        PauseCause::Person,
        PauseCause::Late,
        PauseCause::FailureRate,
        PauseCause::BlockRate,
        PauseCause::Batch,
        PauseCause::Template,
        PauseCause::Quality,
        PauseCause::Audience,
    ];

    /// The word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            PauseCause::Person => "person",
            PauseCause::Late => "late",
            PauseCause::FailureRate => "failure_rate",
            PauseCause::BlockRate => "block_rate",
            PauseCause::Batch => "batch",
            PauseCause::Template => "template",
            PauseCause::Quality => "quality",
            PauseCause::Audience => "audience",
        }
    }
}

impl std::str::FromStr for PauseCause {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<PauseCause, &'static str> {
        let known = PauseCause::ALL.into_iter().find(|cause| cause.as_str() == text);
        known
            .ok_or("is none of person, late, failure_rate, block_rate, batch, template, quality and audience")
    }
}

/// The place that a message has in a campaign. Only the campaign itself gives it: a message that merely names a campaign
/// has none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CampaignPlace {
    /// The campaign's number.
    pub campaign: u64,
    /// Its step: 0 is the first message that a recipient gets.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub step: u32,
    /// Which of its variants it is.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub variant: u32,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's shape")]
const fn is_zero(number: &u32) -> bool {
    *number == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<CampaignState> {
        let t = Timestamp::from_seconds(5);
        let why = Pause { cause: PauseCause::Person, detail: String::new() };
        vec![
            Draft,
            Scheduled { at: t },
            Sending { since: t },
            Paused { since: t, why },
            Finished { at: t },
            Stopped { at: t },
        ]
    }

    #[test]
    fn each_order_from_each_state() {
        use CampaignOrder as Order;
        let pause = || Order::Pause(Pause { cause: PauseCause::Person, detail: "x".to_owned() });
        let late = || Order::Due { too_late: Some("late".to_owned()) };
        // In the order of the words; "-" is refused, "=" was so already.
        for (order, expected) in [
            (
                Order::Schedule { at: Timestamp::from_seconds(9) },
                ["scheduled", "scheduled", "-", "-", "-", "-"],
            ),
            (Order::Unschedule, ["=", "draft", "-", "-", "-", "-"]),
            (Order::Start, ["sending", "sending", "=", "-", "-", "-"]),
            (Order::Due { too_late: None }, ["-", "sending", "=", "-", "-", "-"]),
            (late(), ["-", "paused", "=", "-", "-", "-"]),
            (pause(), ["-", "-", "paused", "=", "-", "-"]),
            (Order::Resume, ["-", "-", "=", "sending", "-", "-"]),
            (Order::Stop, ["-", "stopped", "stopped", "stopped", "-", "="]),
            (Order::Finish, ["-", "-", "finished", "finished", "=", "-"]),
        ] {
            for (state, expected) in states().iter().zip(expected) {
                let found = match state.after(order.clone(), Timestamp::from_seconds(7)) {
                    Ok(Ordered::Moved(state)) => state.as_str(),
                    Ok(Ordered::Already) => "=",
                    Err(error) => {
                        assert_eq!(error.state, state.as_str());
                        "-"
                    }
                };
                assert_eq!(found, expected, "{order:?} from {state:?}");
            }
        }
    }

    #[test]
    fn what_was_put_off_is_not_due() {
        let put_off = Scheduled { at: Timestamp::from_seconds(9) };
        for too_late in [None, Some("late".to_owned())] {
            let order = CampaignOrder::Due { too_late };
            assert_eq!(put_off.after(order.clone(), Timestamp::from_seconds(8)), Ok(Ordered::Already));
            assert!(matches!(put_off.after(order, Timestamp::from_seconds(9)), Ok(Ordered::Moved(_))));
        }
    }

    #[test]
    fn what_was_done_is_not_done_again() {
        use CampaignOrder as Order;
        let orders = [Order::Start, Order::Unschedule, Order::Resume, Order::Stop, Order::Finish];
        for (state, order) in
            states().into_iter().flat_map(|state| orders.clone().map(|o| (state.clone(), o)))
        {
            let now = Timestamp::from_seconds(7);
            if let Ok(Ordered::Moved(moved)) = state.after(order.clone(), now) {
                assert_eq!(moved.after(order, now), Ok(Ordered::Already));
            }
        }
    }

    #[test]
    fn words_come_back() {
        assert_eq!(states().iter().map(CampaignState::as_str).collect::<Vec<_>>(), CampaignState::WORDS);
        for cause in PauseCause::ALL {
            assert_eq!(cause.as_str().parse(), Ok(cause));
        }
    }
}
