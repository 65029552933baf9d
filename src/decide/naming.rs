//! What a visit is called in which nothing was proven, and what a decision rests on.
//!
//! In: the counts of all its frames, what was seen. Out: a [`Verdict`] that grants nothing; whether a
//! visit counts as failed; a [`Decision`] with the [`Evidence`] of its comparison. Pure.

use super::tally::{Agreement, Counts};
use super::watching::Watching;
use super::{
    AmbiguousReason, Decision, DecisionLatency, DeniedReason, Evidence, FramesCounted,
    UnknownReason, Verdict, VisitPolicy,
};
use crate::clock::{ClockTrust, Monotonic, WallClock};
use crate::compare::Match;
use crate::policy::Awaited;

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
fn evidence(found: &Match) -> Evidence {
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
pub(super) fn missing(proven: &Agreement, awaited: Awaited) -> Verdict {
    let subject = Some(proven.subject.clone());
    Verdict::Denied { reason: DeniedReason::SecondFactorMissing(awaited), subject }
}

/// The decision that ends a visit so, with what it rests on.
pub(super) fn decision(
    verdict: Verdict,
    watching: &Watching,
    proven: Option<&Agreement>,
    wall: Option<WallClock>,
    now: Monotonic,
) -> Decision {
    let unproven = watching.passage.nearest().or(watching.nearest.as_ref());
    let found = proven.map(|agreement| &agreement.weakest).or(unproven);
    let counts = &watching.tally.counts;
    let agreeing = match &verdict {
        Verdict::Granted { .. } => proven.map_or(0, |agreement| agreement.frames),
        Verdict::Denied { reason: DeniedReason::SeveralFaces, .. } => counts.several,
        Verdict::Denied { .. } => proven.map_or(0, |agreement| agreement.frames),
        Verdict::Unknown(_) => counts.strangers.max(counts.nobody).max(counts.refuted),
        Verdict::Ambiguous(_) => 0,
    };
    let since_us = |from: Monotonic| u64::try_from(now.since(from).as_micros()).unwrap_or(u64::MAX);
    let considered = if proven.is_some() { watching.tally.considered() } else { counts.all() };
    Decision {
        evidence: found.map(evidence),
        faces: watching.most_faces,
        frames: FramesCounted { agreeing, considered },
        decided_at: now,
        wall: wall.unwrap_or(WallClock {
            unix_ms: 0,
            trust: ClockTrust::Untrusted,
            synchronised: false,
        }),
        latency: DecisionLatency {
            first_frame_us: since_us(watching.first_captured.unwrap_or(watching.first_face)),
            last_frame_us: since_us(watching.last_captured.unwrap_or(watching.last_face)),
        },
        duress: false,
        passback: false,
        passed: None,
        liveness: None,
        verdict,
    }
}

/// What is made of a proven subject.
pub(super) struct Judged {
    pub(super) judgement: Judgement,
    /// Whether only a second factor or a second person is missing, or nothing at all: the subject
    /// counts as the first of two persons.
    pub(super) company: bool,
    /// Whether it may pass, and goes the same way a second time.
    pub(super) passback: bool,
}

/// What is said of a proven subject.
#[derive(PartialEq)]
pub(super) enum Judgement {
    /// This.
    Said(Verdict),
    /// Nothing yet: its second factor is waited for.
    Waits,
    /// Nothing in this visit: its cooldown runs.
    Silent,
}
