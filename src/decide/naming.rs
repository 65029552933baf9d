//! What a visit is called in which nothing was proven, and what it rests on.
//!
//! In: the counts of all its frames. Out: a [`Verdict`] that grants nothing; whether a visit counts as
//! failed; the [`Evidence`] of a comparison. Pure.

use super::tally::{Agreement, Counts};
use super::{AmbiguousReason, DeniedReason, Evidence, UnknownReason, Verdict, VisitPolicy};
use crate::compare::Match;

/// Whether a visit ends so in which a face was compared and is nobody's, or was a picture's. One that
/// cannot be judged is no failure.
pub(super) const fn is_failure(verdict: &Verdict) -> bool {
    matches!(
        verdict,
        Verdict::Unknown(UnknownReason::NoMatch) | Verdict::Ambiguous(AmbiguousReason::NotLive)
    )
}

/// Names a visit in which nothing was proven in time.
pub(super) fn unproven(
    counts: &Counts,
    conflicts: bool,
    waits_for: Option<AmbiguousReason>,
    policy: &VisitPolicy,
) -> Verdict {
    let enough = |count: u32| count >= policy.agreeing.max(1);
    let (recognised, judged) = (counts.recognised(), counts.judged());
    let stale = counts.stale.saturating_add(counts.late);
    if enough(counts.several) {
        Verdict::Denied { reason: DeniedReason::SeveralFaces, subject: None }
    } else if let Some(reason) = waits_for {
        Verdict::Ambiguous(reason)
    } else if enough(counts.nobody) {
        Verdict::Unknown(UnknownReason::EmptyGallery)
    } else if enough(counts.refuted) || (enough(counts.strangers) && counts.strangers > recognised)
    {
        Verdict::Unknown(UnknownReason::NoMatch)
    } else if conflicts || (counts.close > 0 && counts.close >= counts.accepted) {
        Verdict::Ambiguous(AmbiguousReason::CloseSecond)
    } else if counts.faulty() {
        Verdict::Ambiguous(AmbiguousReason::Fault)
    } else if stale > judged && stale >= counts.poor {
        Verdict::Ambiguous(AmbiguousReason::StaleFrames)
    } else if counts.poor > judged {
        Verdict::Ambiguous(AmbiguousReason::PoorQuality)
    } else {
        Verdict::Ambiguous(AmbiguousReason::InsufficientEvidence)
    }
}

/// Names a visit that ended before its time.
pub(super) fn too_short(counts: &Counts) -> AmbiguousReason {
    if counts.faulty() { AmbiguousReason::Fault } else { AmbiguousReason::InsufficientEvidence }
}

/// What a comparison says of itself.
pub(super) fn evidence(found: &Match) -> Evidence {
    Evidence {
        model: found.model.clone(),
        metric: found.metric,
        score: found.best.as_ref().map(|best| best.score),
        threshold: found.threshold,
        margin: found.margin,
        claimed_fmr: found.claimed_fmr,
    }
}

/// The second factor or the second person has not come.
pub(super) fn missing(proven: &Agreement) -> Verdict {
    let subject = Some(proven.subject.clone());
    Verdict::Denied { reason: DeniedReason::SecondFactorMissing, subject }
}
