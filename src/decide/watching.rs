//! What is known of a visit while it is watched, and what one frame adds to it.
//!
//! In: a frame's face, the policy. Out: a [`Vote`] for the tally, the comparison that came nearest,
//! when the visit is named at the latest. The state machine that it belongs to is `visit`. Pure;
//! nothing allocates but the first of everything.

use super::gate::Passage;
use super::tally::{Accepted, Agreement, Tally, Vote};
use super::{FaceSeen, SeveralFaces, VisitPolicy};
use crate::clock::Monotonic;
use crate::compare::{Likeness, Match, SubjectId};

/// See the module.
#[derive(Debug)]
pub(super) struct Watching {
    /// Capture of the first and the last fresh frame with a face.
    pub(super) first_captured: Option<Monotonic>,
    pub(super) last_captured: Option<Monotonic>,
    pub(super) first_face: Monotonic,
    pub(super) last_face: Monotonic,
    pub(super) tally: Tally,
    pub(super) nearest: Option<Match>,
    pub(super) most_faces: u32,
    /// Capture and luminance of the last fresh frame whose face was judged.
    pub(super) lit: Option<(Monotonic, f32)>,
    /// The subject and the score of the frame at hand, where it is accepted.
    pub(super) at_hand: Option<(SubjectId, f32)>,
    pub(super) passage: Passage,
    /// On whom the visit agreed whose second factor is waited for.
    pub(super) awaited: Option<Agreement>,
    /// Whether the PIN for duress was typed.
    pub(super) duress: bool,
}

impl Watching {
    /// When the visit is named, where nothing is decided before: later where a second factor is
    /// waited for.
    pub(super) fn times_out_at(&self, policy: &VisitPolicy) -> Monotonic {
        let timeout =
            if self.awaited.is_some() { policy.timeout.max(policy.second) } else { policy.timeout };
        self.first_face.plus(timeout)
    }

    /// Nothing has been seen yet of somebody who is there since `now`.
    pub(super) fn begin(policy: &VisitPolicy, now: Monotonic) -> Self {
        Self {
            first_captured: None,
            first_face: now,
            last_face: now,
            last_captured: None,
            tally: Tally::new(policy.window, policy.spacing),
            nearest: None,
            most_faces: 0,
            lit: None,
            at_hand: None,
            passage: Passage::default(),
            awaited: None,
            duress: false,
        }
    }

    /// Keeps the comparison that came nearest to acceptance.
    pub(super) fn compare(&mut self, face: &FaceSeen) {
        let Some(found) = face.found.as_ref().filter(|_| face.quality.fault.is_none()) else {
            return;
        };
        let score = |found: &Match| found.best.as_ref().map(|best| best.score);
        let nearer = match (self.nearest.as_ref().and_then(score), score(found)) {
            (None, _) => true,
            (Some(_), None) => false,
            (Some(old), Some(new)) => {
                !old.is_finite() || (new.is_finite() && found.metric.advantage(new, old) > 0.0)
            }
        };
        if nearer {
            self.nearest = Some(found.clone());
        }
    }
}

/// What one frame with a face says; `captured` is `None` when it is not fresh.
pub(super) fn vote(
    policy: &VisitPolicy,
    captured: Option<Monotonic>,
    count: u32,
    principal: &FaceSeen,
) -> Vote {
    let several = count > 1 && policy.several_faces == SeveralFaces::Refuse;
    let Some(captured) = captured else { return Vote::Stale { several } };
    if several {
        return Vote::Several;
    }
    let Some(found) = principal.found.as_ref().filter(|_| principal.quality.fault.is_none()) else {
        return Vote::Poor;
    };
    let accepted = match found.likeness(policy.margin_min) {
        Likeness::Nobody => return Vote::Nobody,
        Likeness::Stranger => return Vote::Stranger,
        Likeness::Close => return Vote::Close,
        Likeness::Accepted(accepted) => accepted,
    };
    let weight = principal.quality.weight;
    Vote::Accept(Accepted {
        subject: accepted.subject.clone(),
        enabled: accepted.enabled,
        beyond: found.beyond_accepted,
        weight: if weight.is_finite() { weight.clamp(0.0, 1.0) } else { 0.0 },
        found: found.clone(),
        captured,
    })
}
