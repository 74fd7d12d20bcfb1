//! The actor's upkeep of the store: writing on a full disk, folding, giving room back, closing.

use super::actor::Actor;
use super::store::{Store, StoreError};

impl Actor {
    /// Writes; when the disk is full, once more in the room of the reserve and of the write-ahead log.
    pub(super) fn reserved(
        &mut self,
        mut write: impl FnMut(&mut Store) -> Result<(), StoreError>,
    ) -> Result<(), StoreError> {
        match write(&mut self.store) {
            Err(error) if error.is_full() => {
                self.space.give_up_reserve();
                self.store.give_back();
                write(&mut self.store)
            }
            other => other,
        }
    }

    /// Looks whether there is room on the disk; when there is none, what is not needed any more is dropped.
    pub(super) fn look(&mut self) -> Result<(), StoreError> {
        if self.space.is_tight() {
            if self.store.can_fold() {
                self.fold()?;
            }
            self.store.give_back();
        }
        self.space.look(self.store.spare_bytes()?);
        self.store.log_may_grow(self.space.room());
        Ok(())
    }

    /// Folds the log into rows.
    pub(super) fn fold(&mut self) -> Result<(), StoreError> {
        let read = self.read_by_all();
        let folded = self.machine.fold();
        for &seq in &folded.gone {
            self.payloads.forget(seq);
        }
        self.reserved(|store| store.write_fold(&folded, read))
    }

    /// The last fact that every reader has read.
    pub(super) fn read_by_all(&self) -> u64 {
        let end = self.store.log_end();
        self.readers.values().map(|at| at.map_or(0, |at| at.0)).min().unwrap_or(end).min(end)
    }

    pub(super) fn close(&mut self) -> Result<(), StoreError> {
        self.fold()?;
        self.store.checkpoint()
    }
}
