//! How a call is put together: its head, the operations, the records that they bring. Jobs of several who ask one after the
//! other are one operation (see `together`).

use redis::Cmd;

use super::library::{self, Library};
use super::line::Terms;
use super::request::{Body, Nature, Operation};
use super::together;
use super::wire::{Writer, span};

/// The callers of a process: those of the desk, and the spool's, which the library (`upkeep.lua`) tells by its last two bits.
pub(super) const fn caller(process: u64, which: u64) -> u64 {
    process << 2 | which
}

/// Who calls, and how.
pub(super) struct Call<'a> {
    pub(super) terms: &'a Terms,
    pub(super) caller: [u8; 8],
    pub(super) number: u64,
    /// Whether its answer is kept, for it may be repeated.
    pub(super) is_remembered: bool,
}

impl Call<'_> {
    /// The command of operations, and of leases that are packed already; `limits` are those of new queues.
    pub(super) fn command(
        &self,
        library: &Library,
        limits: &[u8],
        operations: &[&Operation],
        leases: &[Operation],
    ) -> Cmd {
        let Terms { base, process, machine, keep_log, present, .. } = self.terms;
        let mut head = Writer::default();
        head.array(10).bytes(self.caller).count(self.number).bytes(process.to_be_bytes());
        head.int(present.said()).int(machine.keep_finished).int(machine.keep_dead).int(span(*keep_log));
        head.bytes(limits).bool(self.is_remembered);
        head.array(together::runs(operations).count() + leases.len());
        let leases: Vec<&Operation> = leases.iter().collect();
        for run in together::runs(operations).chain(together::runs(&leases)) {
            match &run[0].body {
                Body::Packed(packed) => {
                    head.raw(packed);
                }
                Body::Jobs(_) => together::enqueue(&mut head, together::jobs_of(run)),
            }
        }
        let brings = operations.iter().any(|operation| operation.nature == Nature::Brings);
        let mut command = redis::cmd("FCALL");
        command.arg(if brings { &library.call } else { &library.spare }).arg(3).arg(&library::keys(base));
        command.arg(head.into_bytes());
        for job in together::jobs_of(operations) {
            command.arg(job.record());
        }
        command
    }
}
