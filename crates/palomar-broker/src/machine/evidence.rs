//! What is learned of attempts later: never refused, and never guessed.

use palomar_model::Timestamp;

use super::Machine;
use super::change::Change;
use super::slab::{Phase, SlotIx};
use crate::types::{Evidence, EvidenceEffect, Resolved, Verdict};

impl Machine {
    /// Takes in what was learned of an attempt. The events are logged whatever it changes.
    pub(crate) fn evidence(&mut self, evidence: Evidence, now: Timestamp) -> EvidenceEffect {
        self.tick(now);
        let Some(ix) = self.slab.find(evidence.id) else {
            self.log_events(None, evidence.events);
            return EvidenceEffect::Nothing;
        };
        let seq = self.slab[ix].seq;
        self.log_events(Some(seq), evidence.events);
        self.weigh(ix, evidence.attempt, evidence.verdict)
    }

    fn weigh(&mut self, ix: SlotIx, attempt: u32, verdict: Verdict) -> EvidenceEffect {
        let (seq, phase) = (self.slab[ix].seq, self.slab[ix].phase);
        let newest_start = self.newest_start(ix);
        let newest = newest_start == attempt;
        if attempt == 0 || attempt > newest_start {
            return EvidenceEffect::Nothing;
        }
        match (phase, verdict) {
            (Phase::Started, verdict) if newest => {
                // Its worker will say so itself, or be found silent when the lease ends.
                self.record_of(ix, Change::Vouched { seq, verdict });
                EvidenceEffect::Nothing
            }
            (Phase::Started | Phase::Done, Verdict::Taken) if !newest => {
                if phase == Phase::Started {
                    // Should the newer attempt turn out not to have been taken, the job is done all the same.
                    self.record_of(ix, Change::Vouched { seq, verdict: Verdict::Taken });
                }
                // A provider tells of one send several times: sent, delivered, read.
                if self.duplicated.contains(&ix) {
                    return EvidenceEffect::Nothing;
                }
                self.record_of(ix, Change::DuplicateSend { seq });
                EvidenceEffect::DuplicateSend
            }
            (Phase::Done | Phase::Cancelled | Phase::Expired, _) => EvidenceEffect::Nothing,
            (Phase::Dead, Verdict::Failed { .. }) => EvidenceEffect::Nothing,
            (_, Verdict::Taken) => {
                self.was_resolved(ix, Resolved::ByEvidence);
                if !newest {
                    self.record_of(ix, Change::Proved { seq, attempt });
                }
                self.conclude_with(ix, Change::Done { seq });
                EvidenceEffect::Resolved
            }
            (Phase::Doubted | Phase::Aside | Phase::Held, Verdict::Failed { reason }) if newest => {
                self.was_resolved(ix, Resolved::ByEvidence);
                self.conclude_with(ix, Change::Died { seq, reason });
                EvidenceEffect::Resolved
            }
            (_, Verdict::Failed { .. }) => EvidenceEffect::Nothing,
        }
    }
}
