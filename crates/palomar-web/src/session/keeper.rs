//! Keeps a session's browser: does what the state machine says, and tells it what happens.
//!
//! What always holds: one browser at a time, ended before the next one starts; the view is published after every step;
//! when the keeper ends, for whatever reason, its browser ends.

use std::sync::Arc;
use std::time::Duration;

use palomar_model::Timestamp;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;

use super::{Order, Qr, Shared, View, snapshot};
use crate::browser::{Browser, LaunchError};
use crate::page::{PageFile, When};
use crate::process::Usage;
use crate::profile::ProfileError;
use crate::state::{Action, Fault, Input, Patience, Phase, Screen, State, Status, Trouble, next};
use crate::tab::{Seen, Tab, host};

/// While something is waited for, the time is looked at so often.
const TICK: Duration = Duration::from_millis(200);
/// How often a browser is asked whether it lives, and what it takes.
const PULSE: Duration = Duration::from_secs(5);
/// The page answers within so long, or it hangs.
const ANSWERS: Duration = Duration::from_secs(10);
/// How long a browser may take to end by itself, so that it writes down what it has.
const GRACE: Duration = Duration::from_secs(3);
/// A code is shown for about so long.
const QR_LASTS: Duration = Duration::from_secs(20);

/// What a running browser tells its keeper.
enum Step {
    /// The browser runs and its page was asked for.
    Up(Tab, i32),
    /// The page shows something.
    Seen(Box<Seen>),
    /// What it takes.
    Usage(Usage),
    /// It ended, or has to end.
    Input(Input),
}

/// A browser under way.
struct Life {
    stop: oneshot::Sender<Duration>,
    task: JoinHandle<()>,
    steps: mpsc::Receiver<Step>,
    tab: Option<Tab>,
}

/// What of a session changes with its browser, beside its state.
#[derive(Default)]
struct Facts {
    usage: Option<Usage>,
    pid: Option<i32>,
}

/// How a state is shown.
pub(super) fn view(state: &State, patience: &Patience, page: &PageFile) -> View {
    let qr = match &state.phase {
        Phase::Qr { code, shown } => {
            Some(Qr { code: code.clone(), shown: *shown, expires: shown.after(QR_LASTS) })
        }
        _ => None,
    };
    View {
        status: state.status(patience),
        reason: state.reason(),
        detail: state.detail(),
        since: state.since,
        qr,
        restarts: state.restarts,
        helps_itself: state.helps_itself(),
        usage: None,
        pid: None,
        page: page.version.as_str().into(),
    }
}

/// Keeps a session until it is stopped, or nobody can order anything any more.
pub(super) async fn run(shared: Arc<Shared>, state: State, mut orders: mpsc::UnboundedReceiver<Order>) {
    let mut keeper =
        Keeper { page: Arc::clone(&shared.page), shared, state, life: None, facts: Facts::default() };
    loop {
        tokio::select! {
            order = orders.recv() => match order {
                None => return keeper.end(Duration::ZERO).await,
                Some(Order::Stop(done)) => {
                    keeper.end(GRACE).await;
                    let _ = done.send(());
                    return;
                }
                Some(order) => keeper.ordered(order).await,
            },
            step = step(&mut keeper.life) => keeper.stepped(step).await,
            () = tokio::time::sleep(TICK), if keeper.waits() => keeper.input(Input::Tick).await,
        }
    }
}

async fn step(life: &mut Option<Life>) -> Step {
    match life {
        Some(life) => life.steps.recv().await.unwrap_or(Step::Input(Input::Fault(Fault::Crashed))),
        None => std::future::pending().await,
    }
}

struct Keeper {
    shared: Arc<Shared>,
    page: Arc<PageFile>,
    state: State,
    life: Option<Life>,
    facts: Facts,
}

impl Keeper {
    fn now(&self) -> Timestamp {
        self.shared.clock.now()
    }

    /// Whether time alone can change something.
    fn waits(&self) -> bool {
        self.state.loading_since.is_some() || matches!(self.state.phase, Phase::Waiting { .. })
    }

    async fn ordered(&mut self, order: Order) {
        match order {
            Order::Command(command, done) => {
                self.input(Input::Command(command)).await;
                // Whoever ordered may have gone.
                let _ = done.send(());
            }
            Order::Work(busy) => self.input(Input::Work(busy)).await,
            Order::Missing(names) => self.input(Input::Trouble(Trouble::PageChanged(names))).await,
            Order::Stop(_) => {}
        }
    }

    async fn stepped(&mut self, step: Step) {
        match step {
            Step::Up(tab, pid) => {
                if let Some(life) = &mut self.life {
                    life.tab = Some(tab);
                }
                self.facts.pid = Some(pid);
                self.input(Input::Started).await;
            }
            Step::Seen(seen) => {
                let was_ready = matches!(self.state.phase, Phase::Ready { .. });
                self.input(Input::Seen(screen(*seen))).await;
                if !was_ready && matches!(self.state.phase, Phase::Ready { .. }) {
                    self.test().await;
                }
            }
            Step::Usage(usage) => {
                self.facts.usage = Some(usage);
                self.publish();
            }
            Step::Input(input) => self.input(input).await,
        }
    }

    /// Whether the page still is as it is described, as far as the list of chats shows.
    async fn test(&mut self) {
        let Some(tab) = self.life.as_ref().and_then(|life| life.tab.clone()) else { return };
        match tab.missing(When::Ready).await {
            Ok(missing) if !missing.is_empty() => {
                self.input(Input::Trouble(Trouble::PageChanged(missing))).await;
            }
            // A page that goes on loading is asked again when it is there.
            Ok(_) | Err(_) => {}
        }
    }

    async fn input(&mut self, input: Input) {
        let before = (self.state.status(&self.shared.settings.patience), self.state.reason());
        let (state, actions) =
            next(self.state.clone(), input, &self.shared.settings.patience, self.shared.clock.now());
        self.state = state;
        for action in actions {
            match action {
                Action::Start => self.start(),
                Action::End => self.end(self.grace()).await,
                Action::AskForCode => self.ask_for_code(),
                Action::Snapshot => self.snapshot().await,
            }
        }
        let after = (self.state.status(&self.shared.settings.patience), self.state.reason());
        // A session that goes from one message to the next is no news.
        let works = |status| matches!(status, Status::Available | Status::Busy);
        if before != after && !(works(before.0) && works(after.0)) {
            let (status, reason) = after;
            tracing::info!(session = %self.shared.name, %status, reason, detail = self.state.detail(), "a session");
        }
        self.publish();
    }

    /// A browser that works may write down what it has; one that does not is not asked.
    fn grace(&self) -> Duration {
        let broken = matches!(self.state.phase, Phase::Waiting { fault: Fault::Crashed | Fault::Hung, .. });
        if broken { Duration::ZERO } else { GRACE }
    }

    fn publish(&self) {
        let ready = matches!(self.state.phase, Phase::Ready { .. });
        let tab = self.life.as_ref().and_then(|life| life.tab.clone()).filter(|_| ready);
        self.shared.tab.send_if_modified(|now| {
            let changed = now.is_some() != tab.is_some();
            if changed {
                *now = tab;
            }
            changed
        });
        let view = View {
            usage: self.facts.usage,
            pid: self.facts.pid,
            ..view(&self.state, &self.shared.settings.patience, &self.page)
        };
        self.shared.view.send_if_modified(|now| {
            let changed = *now != view;
            *now = view;
            changed
        });
    }

    fn start(&mut self) {
        let (stop, stopped) = oneshot::channel();
        let (tell, steps) = mpsc::channel(64);
        match self.shared.settings.page_file() {
            Ok(page) => self.page = page.unwrap_or_else(|| Arc::clone(&self.shared.page)),
            Err(words) => tracing::error!(error = words, "the description of the page is not used"),
        }
        let task = tokio::spawn(live(Arc::clone(&self.shared), Arc::clone(&self.page), tell, stopped));
        self.facts = Facts::default();
        self.life = Some(Life { stop, task, steps, tab: None });
    }

    async fn end(&mut self, patience: Duration) {
        self.shared.tab.send_replace(None);
        let Some(life) = self.life.take() else { return };
        let _ = life.stop.send(patience);
        // What it would still tell is not heard.
        drop(life.steps);
        if life.task.await.is_err() {
            tracing::error!(session = %self.shared.name, "a browser's task ended in a panic");
        }
        self.facts = Facts::default();
    }

    fn ask_for_code(&self) {
        if let Some(tab) = self.life.as_ref().and_then(|life| life.tab.clone()) {
            tokio::spawn(async move {
                let _ = tab.ask::<bool>("reload()", Duration::ZERO).await;
            });
        }
    }

    async fn snapshot(&self) {
        let Some(tab) = self.life.as_ref().and_then(|life| life.tab.clone()) else { return };
        if let Err(error) = snapshot::keep(&tab, &self.shared.dir, self.now()).await {
            tracing::warn!(session = %self.shared.name, error, "no picture of the page was kept");
        }
    }
}

fn screen(seen: Seen) -> Screen {
    match seen.screen.as_str() {
        "loading" => Screen::Loading,
        "qr" => Screen::Qr(seen.words),
        "qr_expired" => Screen::QrExpired,
        "syncing" => Screen::Syncing,
        "ready" => Screen::Ready,
        "offline" => Screen::Offline,
        "conflict" => Screen::Conflict,
        "refused" => Screen::Refused(seen.words),
        _ => Screen::Unknown,
    }
}

/// A browser's life, from its start to its end.
async fn live(
    shared: Arc<Shared>,
    page: Arc<PageFile>,
    tell: mpsc::Sender<Step>,
    stopped: oneshot::Receiver<Duration>,
) {
    let launched = launch(&shared, &page).await;
    let mut browser = match launched {
        Ok(browser) => browser,
        Err(input) => {
            let _ = tell.send(Step::Input(input)).await;
            // Its keeper ends it when it has heard.
            let _ = stopped.await;
            return;
        }
    };
    let patience = tokio::select! {
        patience = stopped => patience.unwrap_or(Duration::ZERO),
        never = lived(&shared, &page, &mut browser, &tell) => match never {},
    };
    browser.end(patience).await;
}

async fn launch(shared: &Arc<Shared>, page: &Arc<PageFile>) -> Result<Browser, Input> {
    let (shared, page) = (Arc::clone(shared), Arc::clone(page));
    let launched = tokio::task::spawn_blocking(move || {
        let mut hosts = vec![host(&shared.settings.url).to_owned()];
        hosts.extend(page.hosts.iter().cloned());
        shared.open_files()?;
        Browser::launch(&shared.settings.browser, &shared.dir, &hosts)
    });
    match launched.await {
        Ok(Ok(browser)) => Ok(browser),
        Ok(Err(error @ (LaunchError::Missing | LaunchError::SandboxAsRoot))) => {
            Err(Input::Trouble(Trouble::NoBrowser(error.to_string())))
        }
        Ok(Err(LaunchError::Profile(error @ ProfileError::InUse(_)))) => {
            Err(Input::Trouble(Trouble::ProfileInUse(error.to_string())))
        }
        Ok(Err(error)) => Err(Input::Fault(Fault::NotStarted(error.to_string()))),
        Err(_) => Err(Input::Fault(Fault::NotStarted("the start of the browser panicked".to_owned()))),
    }
}

/// Watches a browser and its page, and tells. Ends only with its keeper's word.
async fn lived(
    shared: &Arc<Shared>,
    page: &PageFile,
    browser: &mut Browser,
    tell: &mpsc::Sender<Step>,
) -> std::convert::Infallible {
    let link = browser.link.clone();
    let (url, language) = (&shared.settings.url, &shared.settings.browser.language);
    let over = match Tab::open(&link, url, page, language).await {
        Ok((tab, watch)) => {
            let pid = browser.pid();
            let _ = tell.send(Step::Up(tab.clone(), pid)).await;
            tokio::select! {
                _ = watch.run(&mut browser.events) => Input::Fault(Fault::Crashed),
                () = link.ended() => Input::Fault(Fault::Crashed),
                input = looked(shared, &tab, tell) => input,
                input = pulse(shared, pid, &tab, tell) => input,
            }
        }
        Err(error) => Input::Fault(Fault::NotStarted(error.to_string())),
    };
    let _ = tell.send(Step::Input(over)).await;
    std::future::pending().await
}

/// Goes to the page, and tells what is seen of it.
async fn looked(shared: &Shared, tab: &Tab, tell: &mpsc::Sender<Step>) -> Input {
    let mut seen = tab.seen();
    if let Err(error) = tab.navigate(&shared.settings.url, shared.settings.navigation).await {
        return Input::Fault(Fault::NotStarted(error.to_string()));
    }
    loop {
        if seen.changed().await.is_err() {
            return Input::Fault(Fault::Crashed);
        }
        let now = seen.borrow_and_update().clone();
        if let Some(now) = now
            && tell.send(Step::Seen(Box::new(now))).await.is_err()
        {
            std::future::pending::<()>().await;
        }
    }
}

/// Asks the page whether it lives, and looks at what its browser takes.
async fn pulse(shared: &Shared, pid: i32, tab: &Tab, tell: &mpsc::Sender<Step>) -> Input {
    loop {
        let usage = tokio::task::spawn_blocking(move || crate::process::usage(pid)).await.unwrap_or_default();
        if usage.memory > shared.settings.browser.memory {
            return Input::Fault(Fault::OutOfMemory);
        }
        let _ = tell.send(Step::Usage(usage)).await;
        tokio::time::sleep(PULSE).await;
        let alive = tab.call("Runtime.evaluate", serde_json::json!({ "expression": "1" }), ANSWERS).await;
        if let Err(crate::cdp::CallError::TimedOut(_)) = alive {
            return Input::Fault(Fault::Hung);
        }
    }
}
