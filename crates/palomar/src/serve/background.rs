//! Threads for work that can wait: what was accepted is worked on behind those who still wait for their answer.
//!
//! What always holds: a thread of this runtime has a lower priority than those that answer requests, so that on a busy
//! machine a webhook is taken, and a request answered, before what is queued goes on. Where there is time for all,
//! nothing is slower for it. Nothing that a request waits for runs here; connections that both sides use are not
//! opened here.

use tokio::runtime::Builder;

/// How far behind, in the kernel's nice levels: under contention such a thread gets about a tenth of what the others do.
const NICE: i32 = 10;

/// A runtime of such threads. It outlives what runs on it, and is dropped outside of any runtime.
pub(crate) fn builder() -> Builder {
    let mut builder = Builder::new_multi_thread();
    builder.thread_name("palomar-work").on_thread_start(step_back);
    builder
}

/// Lowers the calling thread, which Linux takes for a process of its own here.
fn step_back() {
    if let Err(error) = rustix::process::setpriority_process(None, NICE) {
        tracing::debug!(%error, "this thread works at the usual priority");
    }
}
