//! A campaign that is ordered about at random by a process that dies at any step, again and again: each contact has one message
//! or a reason, nobody is skipped, what is counted is what is there, and it is finished at its end and not before.
//!
//! `SEED` and `WALKS` in the environment say which walks, and how many; a walk that fails names its seed.

use std::path::Path;
use std::sync::Arc;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use palomar_app::{App, AppConfig, AppError, Caller, CampaignConfig, CampaignPatch, QueueStatus};
use palomar_broker::{Broker, EmbeddedBroker, EmbeddedConfig};
use palomar_model::{Clock, Recipient};
use palomar_records::Records;
use serde_json::json;

use crate::house::{self, SystemClock};
use crate::mortal::{Death, Mortal, Step};

const CONTACTS: usize = 83;
/// Of these, how many get nothing: a number that is none, one who is suppressed, one without a name.
const LEFT_OUT: u64 = 3;
const LIVES: u32 = 8;
/// A life that reaches no step of its death ends like this: at any moment.
const LONGEST: Duration = Duration::from_millis(1_200);
const PATIENCE: Duration = Duration::from_secs(60);

/// A small generator with a seed, so that a walk can be repeated.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % sides
    }

    fn death(&mut self) -> Death {
        let at = Step::ALL[self.roll(Step::ALL.len() as u64) as usize];
        let most = match at {
            Step::QueueBatch | Step::QueueMessages | Step::Control => 4,
            Step::Lease | Step::Settle | Step::Acknowledge => 25,
        };
        let nth = 1 + u32::try_from(self.roll(most)).expect("small");
        Death { at, nth, before: self.roll(2) == 0 }
    }
}

#[expect(clippy::disallowed_methods, reason = "how long the test waits at most")]
fn instant() -> Instant {
    Instant::now()
}

/// Opens what the last life left, when it has let go of it.
fn stores(dir: &Path) -> (Arc<EmbeddedBroker>, Records) {
    let begun = instant();
    loop {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let readers = vec![palomar_records::PROJECTION.to_owned()];
        let queues = EmbeddedConfig { readers, ..EmbeddedConfig::in_dir(dir) };
        match EmbeddedBroker::open(queues, Arc::clone(&clock)) {
            Ok(broker) => {
                return (Arc::new(broker), Records::open(dir, clock.now()).expect("records"));
            }
            Err(error) => assert!(begun.elapsed() < PATIENCE, "not free in time: {error}"),
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

async fn open(broker: Arc<dyn Broker>, records: Records) -> Arc<App> {
    let campaigns = CampaignConfig {
        batch_size: 7,
        concurrent_batches: 3,
        retry_delay: Duration::from_millis(10),
        look_ahead: 28,
        ..CampaignConfig::default()
    };
    let config = AppConfig { campaigns, ..AppConfig::default() };
    let providers = palomar_app::Providers::new(Arc::new(SystemClock)).expect("providers");
    house::node(config, broker, records, Arc::new(providers)).await
}

/// Makes the campaign that is walked.
async fn make(app: &App) -> String {
    let mut demo = house::demo();
    demo.limits =
        serde_json::from_value(json!({"windows": [{"max": 400, "perSeconds": 1}]})).expect("limits");
    app.create_channel(demo).await.expect("a channel");
    let stopped = palomar_app::NewSuppression {
        to: Recipient::parse("+34600000990", None).expect("a number"),
        channel: None,
        reason: palomar_app::SuppressionReason::Manual,
        detail: None,
    };
    app.suppress(stopped).await.expect("kept");
    let mut contacts: Vec<_> = (0..CONTACTS as u64 - LEFT_OUT)
        .map(|n| json!({"phone": format!("+346100{n:05}"), "name": format!("Persona {n}")}))
        .collect();
    contacts.push(json!({"phone": "12", "name": "x"}));
    contacts.push(json!({"phone": "+34600000990", "name": "x"}));
    contacts.push(json!({"phone": "+34600000991"}));
    // Whose report of being read was lost with a process gets another.
    let body = json!({"name": "Verano", "message": "Hola {{name}}", "contacts": contacts,
        "followUps": [{"afterSeconds": 1, "when": "notRead", "message": "¿Lo viste?"}]});
    let new = serde_json::from_value(body).expect("a campaign");
    app.create_campaign(new, None, &Caller::system()).await.expect("made").campaign.id
}

async fn status(app: &App, id: &str) -> Result<QueueStatus, AppError> {
    app.campaign_status(id, &Caller::system()).await
}

/// Finished is said when everybody is accounted for, and not before.
fn is_honest(status: &QueueStatus) {
    let progress = &status.progress;
    assert_eq!(progress.total, CONTACTS as u64, "{status:?}");
    assert!(progress.processed <= progress.total, "{status:?}");
    assert!(status.status != "finished" || progress.processed == progress.total, "{status:?}");
}

/// Orders at random, until the process dies.
async fn order_about(app: Arc<App>, id: String, mut dice: Dice) {
    let caller = Caller::system();
    loop {
        // What does not follow from where it stands is refused; what an order does is what is looked at.
        match dice.roll(6) {
            0 => drop(app.pause_campaign(&id, &caller).await),
            1 | 2 => drop(app.resume_campaign(&id, &caller).await),
            3 => drop(app.start_campaign(&id, &caller).await),
            4 => {
                let patch = json!({"autoPause": {"failureRate": 1.0, "sample": 1 + dice.roll(50)}});
                let patch: CampaignPatch = serde_json::from_value(patch).expect("a patch");
                drop(app.update_campaign(&id, patch, &caller).await);
            }
            _ => {
                if let Ok(status) = status(&app, &id).await {
                    is_honest(&status);
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(dice.roll(60))).await;
    }
}

fn runtime() -> tokio::runtime::Runtime {
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2).enable_all().build().expect("a runtime")
}

/// A process on what the last one left, which dies where it is said; whether it came so far.
fn live(dir: &Path, id: &str, death: Death, dice: Dice) -> bool {
    let (tell, died) = mpsc::channel();
    let (whole, records) = stores(dir);
    let broker = Arc::new(Mortal::new(whole, Some(death), tell));
    let life = runtime();
    let id = id.to_owned();
    let ordering = life.spawn(async move {
        let app = open(broker, records).await;
        order_about(app, id, dice).await;
    });
    // Wherever it is then, it goes no further.
    let reached = died.recv_timeout(LONGEST).is_ok();
    let failed = ordering.is_finished();
    life.shutdown_background();
    assert!(!failed, "an assertion did not hold while it was ordered about");
    reached
}

/// Lets it come to its end, and looks at everybody.
async fn end(app: &App, id: &str, stop: bool) {
    let caller = Caller::system();
    let begun = instant();
    if stop {
        drop(app.start_campaign(id, &caller).await);
        app.stop_campaign(id, &caller).await.map(drop).unwrap_or_else(|error| {
            assert!(matches!(error, AppError::Conflict { .. }), "{error}");
        });
    }
    let last = loop {
        if !stop {
            drop(app.start_campaign(id, &caller).await);
            drop(app.resume_campaign(id, &caller).await);
        }
        let status = status(app, id).await.expect("a status");
        is_honest(&status);
        let kept = app.records().campaign(id).await.expect("read").expect("a campaign");
        // One that was stopped is at its end when nothing of it moves any more.
        if kept.state.has_ended() && !kept.live {
            break status;
        }
        assert!(begun.elapsed() < PATIENCE, "it does not end: {status:?}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    app.caught_up(PATIENCE).await.expect("caught up");
    let page = app.campaign_results(id, None, 200, &caller).await.expect("results");
    let results = page.items;
    assert_eq!(results.len(), CONTACTS);
    let with = |word: &str| results.iter().filter(|result| result.status == word).count() as u64;
    if last.status == "finished" {
        assert_eq!((with("left_out"), with("not_queued")), (LEFT_OUT, 0), "{last:?}");
    }
    let messages: std::collections::HashSet<_> = results.iter().filter_map(|one| one.message_id).collect();
    assert_eq!(messages.len() as u64 + with("left_out") + with("not_queued"), CONTACTS as u64);
    // Nor is there any message of it that is nobody's.
    let all = last.metrics.messages.values().sum::<u64>();
    assert_eq!(all, messages.len() as u64, "{last:?}");
    let report = app.campaign_report(id, &caller).await.expect("a report");
    let follow = &report.follow_ups[0];
    let (decided, went) = (follow.decided.values().sum::<u64>(), follow.messages.values().sum::<u64>());
    let send = follow.decided.get("send").copied().unwrap_or(0);
    if last.status == "finished" {
        assert_eq!((decided, went), (CONTACTS as u64 - LEFT_OUT, send), "{follow:?}");
    } else {
        assert!(went <= send && decided <= CONTACTS as u64 - LEFT_OUT, "{follow:?}");
    }
    let check = app.records().check().await.expect("checked");
    assert_eq!(check.problems, Vec::<String>::new());
}

/// One campaign, from its making to its end; in how many of its lives the process died at the step that was said.
fn walk(seed: u64) -> usize {
    let mut dice = Dice(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1);
    let dir = tempfile::tempdir().expect("a directory");
    let (tell, _died) = mpsc::channel();
    let id = {
        let (whole, records) = stores(dir.path());
        let life = runtime();
        let broker = Arc::new(Mortal::new(whole, None, tell.clone()));
        let id = life.block_on(async { make(&*open(broker, records).await).await });
        life.shutdown_background();
        id
    };
    let lives = (0..LIVES).map(|_| {
        let (death, own) = (dice.death(), Dice(dice.0 ^ 0x5eed));
        live(dir.path(), &id, death, own)
    });
    let died = lives.filter(|died| *died).count();
    let (whole, records) = stores(dir.path());
    let broker = Arc::new(Mortal::new(Arc::clone(&whole), None, tell));
    let life = runtime();
    life.block_on(async {
        let app = open(broker, records).await;
        end(&app, &id, dice.roll(3) == 0).await;
        app.shutdown(Duration::from_secs(5)).await;
        whole.close().await.expect("closed");
    });
    died
}

#[test]
#[expect(clippy::print_stderr, reason = "a walk that fails is repeated by its seed")]
fn a_campaign_of_a_process_that_dies_at_any_step_is_exact() {
    let read = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let first = read("SEED").unwrap_or(1);
    for seed in first..first + read("WALKS").unwrap_or(2) {
        eprintln!("walk {seed}");
        let died = walk(seed);
        eprintln!("walk {seed}: died at its step in {died} of {LIVES} lives");
    }
}
