//! Trials of the embedded broker against the machine that it runs on: kills, flushes, failing calls, full disks, rot.
//!
//! A trial that needs a process of its own starts this very binary again: see `process`. The figures that a trial saw
//! are printed; run with `--nocapture` to read them. Random trials print their seed, and take `SEED=…`.
#![expect(clippy::print_stdout, reason = "trials tell what they saw")]

mod backlog;
mod crash;
mod faults;
mod flush;
mod full;
mod points;
mod process;
mod rot;

/// Where a process that a trial started begins; as a test of its own it has nothing to do.
#[test]
fn child_process() {
    match process::role().as_deref() {
        None => {}
        Some("crash") => crash::child(),
        Some("flush") => flush::child(),
        Some("faults") => faults::child(),
        Some("backlog") => backlog::child(),
        Some("points") => points::child(),
        Some(other) => panic!("no trial has the role {other}"),
    }
}
