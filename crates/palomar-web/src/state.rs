//! Where a session stands: five statuses for people, the phases behind them, and the one function that moves between
//! them.
//!
//! ```text
//! closed ──open──> disconnected (starting, loading, QR, syncing, offline, …) ──ready──> available ⇄ busy
//!   ^                    ^        │ faults: ended and started again, later each time              │
//!   └──close──(any)      └────────┴──────────────────────────── logout, crash, hang, … ───────────┘
//!                                 └──what a person must see to──> error ──restart──> disconnected
//! ```
//!
//! What always holds: no clock, no chance, no I/O; a session that is not open has no browser; whatever goes wrong, the
//! browser is ended before another starts; whoever waits for a code is told when it is no longer shown.

mod words;

use std::time::Duration;

use palomar_model::Timestamp;

pub use words::{Fault, Status, Trouble};

/// What a page that shows no known screen has none of.
const UNKNOWN: [&str; 3] = ["chats", "qr", "loading"];

/// What a session is doing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Phase {
    /// Nothing: no browser runs.
    Closed,
    /// A browser is being started.
    Starting,
    /// The page loads.
    Loading,
    /// The page shows a code for the phone.
    Qr {
        /// What the code says: a credential.
        code: String,
        /// Since when this one is shown.
        shown: Timestamp,
    },
    /// The page has stopped to show codes; another was asked for.
    QrExpired,
    /// The phone is linked, chats are on their way.
    Syncing,
    /// It can send.
    Ready {
        /// Whether it is at work.
        busy: bool,
    },
    /// The page can't reach the phone or the network.
    Offline,
    /// The same account is open elsewhere.
    Conflict,
    /// Ended after a fault; started again at a time.
    Waiting {
        /// What went wrong.
        fault: Fault,
        /// When it is started again.
        until: Timestamp,
    },
    /// Somebody has to see to it.
    Failed(Trouble),
}

/// Where a session stands.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// What it is doing.
    pub phase: Phase,
    /// Since when its status and reason are what they are.
    pub since: Timestamp,
    /// Faults since it last was ready.
    pub faults: u32,
    /// Starts after a fault, since it was made.
    pub restarts: u32,
    /// Whether it has been ready since its phone was linked: a code after that is a logout.
    pub linked: bool,
    /// Whether its phone took the link back.
    pub logged_out: bool,
    /// Since when nothing but loading, or nothing known, is seen.
    pub loading_since: Option<Timestamp>,
    /// Whether the page is there and shows no screen that is known.
    pub unknown: bool,
}

/// What people order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Command {
    /// Start it, where it is closed.
    Open,
    /// End its browser; the login is kept.
    Close,
    /// End its browser, and start it again.
    Restart,
}

/// What is seen of the page.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Screen {
    /// Nothing known.
    Unknown,
    /// It loads.
    Loading,
    /// A code.
    Qr(String),
    /// A code with a button for the next one.
    QrExpired,
    /// Chats are on their way.
    Syncing,
    /// The list of chats.
    Ready,
    /// The list of chats, and a banner that it is offline.
    Offline,
    /// The question where to use it.
    Conflict,
    /// It refuses: what it says.
    Refused(String),
}

/// What moves a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Input {
    /// An order.
    Command(Command),
    /// The browser runs, its page was asked for.
    Started,
    /// The page shows this.
    Seen(Screen),
    /// Something went wrong that a start may mend.
    Fault(Fault),
    /// Something went wrong that it does not.
    Trouble(Trouble),
    /// Work begins, or ends.
    Work(bool),
    /// Time has passed.
    Tick,
}

/// What is to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Start a browser.
    Start,
    /// End the browser, whatever it does.
    End,
    /// Ask the page for a new code.
    AskForCode,
    /// Keep a picture of the page.
    Snapshot,
}

/// How patient a session is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Patience {
    /// The page may load for so long.
    pub loading: Duration,
    /// The first wait before a new start; doubled with each fault.
    pub first_wait: Duration,
    /// The longest wait.
    pub longest_wait: Duration,
    /// From so many faults in a row on it is shown as `error`.
    pub error_after: u32,
}

impl Default for Patience {
    fn default() -> Patience {
        Patience {
            loading: Duration::from_secs(60),
            first_wait: Duration::from_millis(500),
            longest_wait: Duration::from_secs(60),
            error_after: 5,
        }
    }
}

impl Patience {
    fn wait(&self, faults: u32) -> Duration {
        let doubled = 2_u32.checked_pow(faults.saturating_sub(1).min(20)).unwrap_or(u32::MAX);
        self.first_wait.saturating_mul(doubled).min(self.longest_wait)
    }
}

impl State {
    /// A session that was never opened.
    #[must_use]
    pub const fn new(now: Timestamp) -> State {
        State {
            phase: Phase::Closed,
            since: now,
            faults: 0,
            restarts: 0,
            linked: false,
            logged_out: false,
            loading_since: None,
            unknown: false,
        }
    }

    /// Its status, for people.
    #[must_use]
    pub fn status(&self, patience: &Patience) -> Status {
        match &self.phase {
            Phase::Closed => Status::Closed,
            Phase::Ready { busy: false } => Status::Available,
            Phase::Ready { busy: true } => Status::Busy,
            Phase::Failed(_) => Status::Error,
            Phase::Starting | Phase::Loading | Phase::Waiting { .. }
                if self.faults >= patience.error_after =>
            {
                Status::Error
            }
            _ => Status::Disconnected,
        }
    }

    /// Why, in a word that stays the same.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match &self.phase {
            Phase::Closed => "closed",
            Phase::Starting => "starting",
            Phase::Loading => "loading",
            Phase::Qr { .. } | Phase::QrExpired if self.logged_out => "logged_out",
            Phase::Qr { .. } => "scan_qr",
            Phase::QrExpired => "qr_expired",
            Phase::Syncing => "syncing",
            Phase::Ready { busy: false } => "ready",
            Phase::Ready { busy: true } => "sending",
            Phase::Offline => "offline",
            Phase::Conflict => "conflict",
            Phase::Waiting { fault, .. } => fault.as_str(),
            Phase::Failed(trouble) => trouble.as_str(),
        }
    }

    /// More words to the reason. Nothing of a code.
    #[must_use]
    pub fn detail(&self) -> Option<String> {
        match &self.phase {
            Phase::Waiting { fault: Fault::NotStarted(why), .. } => Some(why.clone()),
            Phase::Failed(Trouble::PageChanged(names)) => Some(format!(
                "the page's description (selectors) no longer finds: {}; replace the file that [web] page names",
                names.join(", ")
            )),
            Phase::Failed(Trouble::Refused(why) | Trouble::NoBrowser(why) | Trouble::ProfileInUse(why)) => {
                Some(why.clone())
            }
            Phase::Qr { .. } | Phase::QrExpired if self.logged_out => {
                Some("the phone took the link back: scan the code again".to_owned())
            }
            Phase::Conflict => {
                Some("the account is open in another browser: restart the session to use it here".to_owned())
            }
            _ => None,
        }
    }

    /// Whether a browser belongs to it now.
    #[must_use]
    pub const fn has_browser(&self) -> bool {
        !matches!(self.phase, Phase::Closed | Phase::Waiting { .. } | Phase::Failed(_))
    }

    /// Whether it may become ready without anybody's help.
    #[must_use]
    pub const fn helps_itself(&self) -> bool {
        matches!(
            self.phase,
            Phase::Starting | Phase::Loading | Phase::Syncing | Phase::Ready { .. } | Phase::Waiting { .. }
        )
    }
}

/// The state after an input, and what is to be done, in order.
#[must_use]
pub fn next(state: State, input: Input, patience: &Patience, now: Timestamp) -> (State, Vec<Action>) {
    let before = (state.status(patience), state.reason());
    let (mut after, actions) = moved(state, input, patience, now);
    if (after.status(patience), after.reason()) != before {
        after.since = now;
    }
    (after, actions)
}

fn moved(state: State, input: Input, patience: &Patience, now: Timestamp) -> (State, Vec<Action>) {
    match input {
        Input::Command(command) => commanded(state, command, now),
        Input::Started if state.phase == Phase::Starting => {
            (State { phase: Phase::Loading, loading_since: Some(now), ..state }, Vec::new())
        }
        Input::Seen(screen) if state.has_browser() && state.phase != Phase::Starting => {
            seen(state, screen, patience, now)
        }
        Input::Fault(fault) if state.has_browser() => fallen(&state, fault, patience, now),
        Input::Trouble(trouble) if state.has_browser() => {
            let actions = match trouble {
                Trouble::PageChanged(_) | Trouble::Refused(_) => vec![Action::Snapshot, Action::End],
                Trouble::NoBrowser(_) | Trouble::ProfileInUse(_) => vec![Action::End],
            };
            (State { phase: Phase::Failed(trouble), loading_since: None, ..state }, actions)
        }
        Input::Work(busy) if matches!(state.phase, Phase::Ready { .. }) => {
            (State { phase: Phase::Ready { busy }, ..state }, Vec::new())
        }
        Input::Tick => passed(state, patience, now),
        Input::Started | Input::Seen(_) | Input::Fault(_) | Input::Trouble(_) | Input::Work(_) => {
            (state, Vec::new())
        }
    }
}

fn commanded(state: State, command: Command, now: Timestamp) -> (State, Vec<Action>) {
    let mut actions = Vec::new();
    if state.has_browser() && command != Command::Open {
        actions.push(Action::End);
    }
    let fresh = State { faults: 0, loading_since: None, unknown: false, ..state };
    match command {
        Command::Close => (State { phase: Phase::Closed, ..fresh }, actions),
        Command::Open if fresh.has_browser() => (fresh, actions),
        Command::Open | Command::Restart => {
            actions.push(Action::Start);
            (State { phase: Phase::Starting, loading_since: Some(now), ..fresh }, actions)
        }
    }
}

fn seen(state: State, screen: Screen, patience: &Patience, now: Timestamp) -> (State, Vec<Action>) {
    let was_busy = matches!(state.phase, Phase::Ready { busy: true });
    let state = State { unknown: screen == Screen::Unknown, ..state };
    // While it loads its clock runs on; every known screen stops it.
    let clock = |state: &State| state.loading_since.or(Some(now));
    match screen {
        Screen::Unknown => {
            let loading_since = clock(&state);
            passed(State { loading_since, ..state }, patience, now)
        }
        Screen::Loading => {
            let loading_since = clock(&state);
            passed(State { phase: Phase::Loading, loading_since, ..state }, patience, now)
        }
        Screen::Syncing => (State { phase: Phase::Syncing, loading_since: None, ..state }, Vec::new()),
        Screen::Qr(code) => {
            let same = matches!(&state.phase, Phase::Qr { code: known, .. } if *known == code);
            let phase = if same { state.phase } else { Phase::Qr { code, shown: now } };
            let logged_out = state.logged_out || state.linked;
            let state = State { phase, linked: false, logged_out, loading_since: None, ..state };
            (state, Vec::new())
        }
        Screen::QrExpired => {
            let asked = state.phase == Phase::QrExpired;
            let logged_out = state.logged_out || state.linked;
            let state =
                State { phase: Phase::QrExpired, linked: false, logged_out, loading_since: None, ..state };
            (state, if asked { Vec::new() } else { vec![Action::AskForCode] })
        }
        Screen::Ready => {
            let phase = Phase::Ready { busy: was_busy };
            let state =
                State { phase, linked: true, logged_out: false, faults: 0, loading_since: None, ..state };
            (state, Vec::new())
        }
        Screen::Offline => {
            (State { phase: Phase::Offline, linked: true, loading_since: None, ..state }, Vec::new())
        }
        Screen::Conflict => (State { phase: Phase::Conflict, loading_since: None, ..state }, Vec::new()),
        Screen::Refused(words) => {
            let phase = Phase::Failed(Trouble::Refused(words));
            (State { phase, loading_since: None, ..state }, vec![Action::Snapshot, Action::End])
        }
    }
}

fn fallen(state: &State, fault: Fault, patience: &Patience, now: Timestamp) -> (State, Vec<Action>) {
    let faults = state.faults.saturating_add(1);
    let until = now.after(patience.wait(faults));
    let phase = Phase::Waiting { fault, until };
    (State { phase, faults, loading_since: None, unknown: false, ..state.clone() }, vec![Action::End])
}

fn passed(state: State, patience: &Patience, now: Timestamp) -> (State, Vec<Action>) {
    if let Phase::Waiting { until, .. } = state.phase
        && until <= now
    {
        let restarts = state.restarts.saturating_add(1);
        let state = State { phase: Phase::Starting, restarts, loading_since: Some(now), ..state };
        return (state, vec![Action::Start]);
    }
    match state.loading_since {
        Some(since) if state.has_browser() && now.since(since) > patience.loading && state.unknown => {
            let names = UNKNOWN.map(str::to_owned).to_vec();
            let phase = Phase::Failed(Trouble::PageChanged(names));
            (State { phase, loading_since: None, ..state }, vec![Action::Snapshot, Action::End])
        }
        Some(since) if state.has_browser() && now.since(since) > patience.loading => {
            let (state, mut actions) = fallen(&state, Fault::NeverLoaded, patience, now);
            actions.insert(0, Action::Snapshot);
            (state, actions)
        }
        _ => (state, Vec::new()),
    }
}

#[cfg(test)]
mod tests;
