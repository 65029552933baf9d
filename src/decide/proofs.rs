//! Who was here shortly before, or whose second factor has come: it counts for a while.
//!
//! In: a subject and the time. Out: those who count still. Pure. What is held is bounded: the oldest is
//! forgotten first.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::compare::SubjectId;
use crate::policy::Proof;

/// How many are remembered.
const REMEMBERED: usize = 16;

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Proofs(Vec<Proof>);

impl Proofs {
    /// Keeps that of `subject`, in place of what was kept of it before.
    pub(super) fn remember(&mut self, subject: SubjectId, life: Duration, now: Monotonic) {
        self.forget_old(life, now);
        self.forget(&subject);
        if self.0.len() >= REMEMBERED {
            self.0.remove(0);
        }
        self.0.push(Proof { subject, at: now });
    }

    /// Forgets what is `life` old.
    pub(super) fn forget_old(&mut self, life: Duration, now: Monotonic) {
        self.0.retain(|proof| now.since(proof.at) < life);
    }

    /// Forgets that of `subject`.
    pub(super) fn forget(&mut self, subject: &SubjectId) {
        self.0.retain(|proof| proof.subject != *subject);
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }

    /// Whether there is one of `subject`.
    pub(super) fn has(&self, subject: &SubjectId) -> bool {
        self.0.iter().any(|proof| proof.subject == *subject)
    }

    /// Whether there is one of `subject` that is younger than `life`.
    pub(super) fn has_within(&self, subject: &SubjectId, life: Duration, now: Monotonic) -> bool {
        let counts = |proof: &Proof| proof.subject == *subject && now.since(proof.at) < life;
        self.0.iter().any(counts)
    }

    /// Those that are kept, oldest first.
    pub(super) fn as_slice(&self) -> &[Proof] {
        &self.0
    }
}
