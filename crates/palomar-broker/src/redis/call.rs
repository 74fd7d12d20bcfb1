//! How a call is put together: its head, the operations, the records that they bring.

use redis::Cmd;

use super::library::{self, Library};
use super::line::Terms;
use super::request::{Nature, Operation};
use super::wire::{Writer, span};

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
        head.array(operations.len() + leases.len());
        for operation in operations.iter().copied().chain(leases) {
            head.raw(&operation.packed);
        }
        let brings = operations.iter().any(|operation| operation.nature == Nature::Brings);
        let mut command = redis::cmd("FCALL");
        command.arg(if brings { &library.call } else { &library.spare }).arg(3).arg(&library::keys(base));
        command.arg(head.into_bytes());
        for operation in operations {
            for record in &operation.records {
                command.arg(record.as_slice());
            }
        }
        command
    }
}
