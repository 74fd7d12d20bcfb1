//! What browser sessions say at the scrape, where there are any: `docs/SESSIONS.md` has their meaning.

use std::fmt::Error;
use std::time::Duration;

use palomar_web::Counts;

use super::samples::{CHANNEL, Sample, Writer, label, number};

/// The numbers of a session.
#[derive(Debug)]
pub(crate) struct SessionReading {
    pub(crate) channel: String,
    pub(crate) status: &'static str,
    pub(crate) restarts: u32,
    pub(crate) memory: u64,
    pub(crate) cpu: Duration,
    pub(crate) counts: Counts,
}

impl SessionReading {
    fn one(&self, value: f64) -> Sample {
        (vec![label(CHANNEL, &self.channel)], value)
    }

    fn by<const N: usize>(&self, name: &'static str, values: [(&'static str, f64); N]) -> [Sample; N] {
        values.map(|(which, value)| (vec![label(CHANNEL, &self.channel), label(name, which)], value))
    }
}

pub(super) fn write(writer: &mut Writer<'_, '_>, sessions: &[SessionReading]) -> Result<(), Error> {
    if sessions.is_empty() {
        return Ok(());
    }
    let status = sessions.iter().flat_map(|one| one.by("status", [(one.status, 1.0)]));
    writer.gauge("session_status", "1 for the status that a browser session has.", status)?;
    let memory = sessions.iter().map(|one| one.one(number(one.memory)));
    writer.gauge("session_memory_bytes", "Memory of a session's browser.", memory)?;
    let cpu = sessions.iter().map(|one| one.one(one.cpu.as_secs_f64()));
    writer.gauge("session_cpu_seconds", "Processor time of a session's browser since its start.", cpu)?;
    let restarts = sessions.iter().map(|one| one.one(f64::from(one.restarts)));
    writer.counter("session_restarts", "Starts of a session's browser after a fault.", restarts)?;
    let messages = sessions.iter().flat_map(|one| {
        let Counts { sent, failed, received, .. } = one.counts;
        one.by(
            "outcome",
            [("sent", sent), ("failed", failed), ("received", received)].map(|(a, n)| (a, number(n))),
        )
    });
    writer.counter("session_messages", "Messages of a session.", messages)?;
    let steps = sessions.iter().flat_map(|one| {
        let Counts { opening_ms, writing_ms, ticking_ms, .. } = one.counts;
        let steps = [("opening", opening_ms), ("writing", writing_ms), ("ticking", ticking_ms)];
        one.by("step", steps.map(|(step, ms)| (step, number(ms) / 1000.0)))
    });
    writer.counter("session_step_seconds", "Time that a session's messages took, by step.", steps)
}
