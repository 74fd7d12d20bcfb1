//! Processes of trials: this binary again, in a role; their clock, ids, lines and seeds.

use std::hash::{BuildHasher, Hasher};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use palomar_broker::{
    EmbeddedBroker, EmbeddedConfig, LeaseRequest, LeasedJob, MachineConfig, NewJob, QueueName,
};
use palomar_model::{Clock, MessageId, Timestamp};

/// The clock of this machine.
pub(crate) struct WallClock;

impl Clock for WallClock {
    #[expect(clippy::disallowed_methods, reason = "the clock of a process under test is the machine's")]
    fn now(&self) -> Timestamp {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).expect("after 1970");
        Timestamp::from_micros(since.as_micros() as i64)
    }
}

/// The role of this process, if a trial started it.
pub(crate) fn role() -> Option<String> {
    std::env::var("PALOMAR_TRIAL").ok()
}

/// The directory of this process's store.
pub(crate) fn dir() -> PathBuf {
    std::env::var_os("PALOMAR_TRIAL_DIR").expect("a process of a trial has a directory").into()
}

/// A number that the trial gave this process.
pub(crate) fn number() -> u128 {
    std::env::var("PALOMAR_TRIAL_NUMBER").ok().and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// This binary in a role, behind `wrapper` (strace and its arguments, or nothing).
pub(crate) fn command(wrapper: &[&str], role: &str, dir: &Path, number: u128) -> Command {
    let exe = std::env::current_exe().expect("the path of this binary");
    let mut command = match wrapper {
        [] => Command::new(exe),
        [program, arguments @ ..] => {
            let mut command = Command::new(program);
            command.args(arguments).arg(exe);
            command
        }
    };
    command.args(["child_process", "--exact", "--nocapture", "--test-threads=1"]);
    command
        .env("PALOMAR_TRIAL", role)
        .env("PALOMAR_TRIAL_DIR", dir)
        .env("PALOMAR_TRIAL_NUMBER", number.to_string());
    command
}

/// Fails where strace can't be used, saying what is needed.
pub(crate) fn need_strace() {
    let works = Command::new("strace").args(["-f", "true"]).output();
    let works = works.is_ok_and(|output| output.status.success());
    assert!(works, "this trial needs strace, and the right to trace processes: install it, allow ptrace");
}

/// Writes one line to the trial, in one call; it marks lines that are ours among those of the test runner.
pub(crate) fn tell(line: &str) {
    let line = format!("@{line}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the trial reads");
}

/// What a line tells the trial, if it does. The test runner's own words may stand before it.
pub(crate) fn told(line: &[u8]) -> Option<String> {
    let at = line.iter().position(|byte| *byte == b'@')?;
    Some(String::from_utf8_lossy(&line[at + 1..]).into_owned())
}

/// The seed of a random trial: `SEED` where it is set.
pub(crate) fn seed(trial: &str) -> Rng {
    let seed = std::env::var("SEED").ok().and_then(|seed| seed.parse().ok());
    let seed = seed.unwrap_or_else(|| std::hash::RandomState::new().build_hasher().finish());
    println!("{trial}: SEED={seed}");
    Rng(seed)
}

/// A generator of numbers (SplitMix64).
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    pub(crate) fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        (z ^ (z >> 31)) % n
    }
}

pub(crate) fn id(n: u128) -> MessageId {
    MessageId(uuid::Uuid::from_u128(n))
}

pub(crate) fn line() -> QueueName {
    QueueName::new("outbound", "line").expect("a queue's name")
}

pub(crate) fn job(n: u128, payload: impl Into<bytes::Bytes>) -> NewJob {
    NewJob::new(id(n), line(), payload)
}

/// A lease with a start.
pub(crate) fn take(max: usize, wait: Duration) -> LeaseRequest {
    LeaseRequest { pool: "outbound".into(), max, lease: Duration::from_secs(60), start: true, wait }
}

pub(crate) fn numbers(jobs: &[LeasedJob]) -> Vec<u128> {
    jobs.iter().map(|job| job.lease.id.0.as_u128()).collect()
}

/// A store that forgets nothing, so that a trial can count.
pub(crate) fn config(dir: &Path) -> EmbeddedConfig {
    let machine = MachineConfig { keep_finished: u32::MAX, keep_dead: u32::MAX };
    EmbeddedConfig { machine, ..EmbeddedConfig::in_dir(dir) }
}

pub(crate) fn open(dir: &Path, clock: Arc<dyn Clock>) -> EmbeddedBroker {
    EmbeddedBroker::open(config(dir), clock).expect("the store opens")
}

/// Runs a future to its end on a runtime of its own.
pub(crate) fn run<T>(future: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    runtime.expect("a runtime").block_on(future)
}
