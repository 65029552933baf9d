//! What the frames of one visit said: the last few exactly, all of them in counts.
//!
//! In: one [`Vote`] a frame. Out: how many of the last frames agree on a subject, and the counts by
//! which a visit without agreement is named. Neighbouring frames of a camera are nearly the same
//! picture, so those that agree count once in every `spacing`. Fixed size; nothing allocates.

use std::time::Duration;

use crate::clock::Monotonic;
use crate::compare::{Match, SubjectId};

/// The longest window of frames that a policy may ask for.
pub(super) const MAX_WINDOW: usize = 32;

/// What one frame of a visit said.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Vote {
    /// An accepted subject with sufficient margin.
    Accept(Accepted),
    /// The same subject in a picture of nearly the same moment: it proves nothing more, and still
    /// speaks against whatever it contradicts.
    Again { subject: SubjectId, enabled: bool, beyond: bool },
    /// Accepted, but a second subject is nearly as near.
    Close,
    /// Compared, and nobody reaches the threshold.
    Stranger,
    /// Compared with nobody: the gallery is empty.
    Nobody,
    /// A face too poor to compare.
    Poor,
    /// Accepted, and then not confirmed.
    Unconfirmed,
    /// More than one face, and the policy refuses that.
    Several,
    /// Stale or repeated; `several` as above.
    Stale {
        /// Whether it showed more than one face, and the policy refuses that.
        several: bool,
    },
    /// Any other fault.
    Fault,
    /// No face.
    Absent,
}

/// An accepted subject in one frame.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Accepted {
    pub subject: SubjectId,
    pub enabled: bool,
    /// Whether nobody may be granted by this match, for want of an accepted claim.
    pub beyond: bool,
    pub weight: f32,
    pub found: Match,
    /// Capture of the frame.
    pub captured: Monotonic,
}

/// Why an accepted frame counts no longer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unconfirmed {
    /// The confirming embedder does not agree.
    Refuted,
    /// It agrees, when the frame has become too old.
    Late,
    /// It could not be asked, or gave no answer.
    Fault,
}

/// Agreement of the window on one subject.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Agreement {
    pub subject: SubjectId,
    pub enabled: bool,
    /// Whether nobody may be granted by one of the frames, for want of an accepted claim.
    pub beyond: bool,
    pub frames: u32,
    pub weight: f32,
    /// The weakest of the agreeing frames: what the decision rests on.
    pub weakest: Match,
}

/// Counts over a whole visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Counts {
    pub accepted: u32,
    pub close: u32,
    pub strangers: u32,
    pub nobody: u32,
    pub poor: u32,
    /// Accepted, and the confirming embedder said no.
    pub refuted: u32,
    /// Accepted, and its yes came too late.
    pub late: u32,
    /// Accepted, and it gave no answer.
    pub unanswered: u32,
    pub several: u32,
    pub stale: u32,
    /// Frames that could not be judged at all.
    pub faults: u32,
}

impl Counts {
    /// All frames of the visit.
    pub(super) fn all(&self) -> u32 {
        let others = [self.poor, self.refuted, self.late, self.several, self.stale, self.faults];
        others.into_iter().fold(self.judged(), u32::saturating_add)
    }

    /// Frames in which the first embedder recognised somebody, and nobody has said no.
    pub(super) fn recognised(&self) -> u32 {
        self.accepted.saturating_add(self.close).saturating_add(self.unanswered)
    }

    /// Frames that were compared, to an end.
    pub(super) fn judged(&self) -> u32 {
        self.recognised().saturating_add(self.strangers).saturating_add(self.nobody)
    }

    /// Whether faults are why nothing was proven: agreement that the confirming embedder could not
    /// be asked about, as often as it could, or more faults than frames of any other kind.
    pub(super) fn faulty(&self) -> bool {
        let refused = self.refuted.saturating_add(self.late);
        (self.unanswered > 0 && self.unanswered >= refused)
            || (self.faults > self.judged() && self.faults >= self.stale.max(self.poor))
    }
}

/// The last `size` votes, and counts of all.
#[derive(Debug, Clone)]
pub(super) struct Tally {
    votes: [Option<Vote>; MAX_WINDOW],
    size: usize,
    spacing: Duration,
    next: usize,
    pub counts: Counts,
}

impl Tally {
    /// A tally over windows of `size` frames, at most [`MAX_WINDOW`], in which frames that name the
    /// same subject count once in every `spacing`.
    pub(super) fn new(size: u32, spacing: Duration) -> Self {
        Self {
            votes: [const { None }; MAX_WINDOW],
            size: (size as usize).clamp(1, MAX_WINDOW),
            spacing,
            next: 0,
            counts: Counts::default(),
        }
    }

    pub(super) fn push(&mut self, vote: Vote) {
        self.count(&vote);
        let Some(vote) = self.told_apart(vote) else { return };
        if let Some(place) = self.votes.get_mut(self.next) {
            *place = Some(vote);
        }
        self.next = (self.next + 1) % self.size;
    }

    /// Counts a vote that takes no place in the window.
    pub(super) fn count(&mut self, vote: &Vote) {
        let counter = match vote {
            Vote::Accept(_) | Vote::Again { .. } => Some(&mut self.counts.accepted),
            Vote::Close => Some(&mut self.counts.close),
            Vote::Stranger => Some(&mut self.counts.strangers),
            Vote::Nobody => Some(&mut self.counts.nobody),
            Vote::Poor => Some(&mut self.counts.poor),
            Vote::Several => Some(&mut self.counts.several),
            Vote::Stale { .. } => Some(&mut self.counts.stale),
            Vote::Fault => Some(&mut self.counts.faults),
            // The unconfirmed one is counted when it is withdrawn.
            Vote::Unconfirmed | Vote::Absent => None,
        };
        if let Some(counter) = counter {
            *counter = counter.saturating_add(1);
        }
    }

    /// The newest frame that named `subject` counts for it no longer: it was counted as accepted,
    /// and was not confirmed for the reason `why`.
    pub(super) fn withdraw(&mut self, subject: &SubjectId, why: Unconfirmed) {
        let newest =
            self.votes.iter_mut().take(self.size).flatten().filter_map(|vote| match vote {
                Vote::Accept(accepted) if accepted.subject == *subject => {
                    Some((accepted.captured, vote))
                }
                _ => None,
            });
        let Some((_, vote)) = newest.max_by_key(|(captured, _)| *captured) else { return };
        *vote = Vote::Unconfirmed;
        self.counts.accepted = self.counts.accepted.saturating_sub(1);
        let counter = match why {
            Unconfirmed::Refuted => &mut self.counts.refuted,
            Unconfirmed::Late => &mut self.counts.late,
            Unconfirmed::Fault => &mut self.counts.unanswered,
        };
        *counter = counter.saturating_add(1);
    }

    /// A vote as it takes its place. One that repeats a frame of nearly the same moment is the same
    /// piece of evidence again: it takes none, unless it contradicts what the window says.
    fn told_apart(&self, vote: Vote) -> Option<Vote> {
        let Vote::Accept(new) = &vote else { return Some(vote) };
        let repeats = self.window().any(|old| match old {
            Vote::Accept(old) => {
                old.subject == new.subject && new.captured.since(old.captured) < self.spacing
            }
            _ => false,
        });
        let contradicts = self.window().any(|old| match old {
            Vote::Accept(old) => {
                old.subject != new.subject
                    || (old.enabled && !new.enabled)
                    || (!old.beyond && new.beyond)
            }
            Vote::Again { subject, .. } => *subject != new.subject,
            _ => false,
        });
        match (repeats, contradicts) {
            (false, _) => Some(vote),
            (true, false) => None,
            (true, true) => {
                let Accepted { subject, enabled, beyond, .. } = new;
                Some(Vote::Again { subject: subject.clone(), enabled: *enabled, beyond: *beyond })
            }
        }
    }

    fn window(&self) -> impl Iterator<Item = &Vote> {
        self.votes.iter().take(self.size).flatten()
    }

    fn named(&self) -> impl Iterator<Item = &SubjectId> {
        self.window().filter_map(|vote| match vote {
            Vote::Accept(Accepted { subject, .. }) | Vote::Again { subject, .. } => Some(subject),
            _ => None,
        })
    }

    /// Whether the window names `subject` no longer, and `frames` of it show somebody else.
    pub(super) fn shows_others_than(&self, subject: &SubjectId, frames: u32) -> bool {
        let mut others = 0u32;
        for vote in self.window() {
            match vote {
                Vote::Accept(Accepted { subject: named, .. })
                | Vote::Again { subject: named, .. }
                    if named == subject =>
                {
                    return false;
                }
                Vote::Accept(_) | Vote::Again { .. } | Vote::Stranger => others += 1,
                _ => {}
            }
        }
        others >= frames.max(1)
    }

    /// Frames in the window, but for those without a face.
    pub(super) fn considered(&self) -> u32 {
        let considered = self.window().filter(|vote| **vote != Vote::Absent).count();
        u32::try_from(considered).unwrap_or(u32::MAX)
    }

    /// What the window agrees on: nothing while it names two subjects, or while any of its frames,
    /// even a stale one, showed several faces where the policy refuses that.
    pub(super) fn agreement(&self) -> Option<Agreement> {
        if self.conflicts() {
            return None;
        }
        let mut agreement: Option<Agreement> = None;
        let (mut enabled, mut beyond) = (true, false);
        for vote in self.window() {
            match vote {
                Vote::Several | Vote::Stale { several: true } => return None,
                Vote::Again { enabled: again, beyond: also, .. } => {
                    enabled &= again;
                    beyond |= also;
                }
                Vote::Accept(accepted) => match &mut agreement {
                    Some(agreement) => agreement.join(accepted),
                    None => {
                        agreement = Some(Agreement {
                            subject: accepted.subject.clone(),
                            enabled: accepted.enabled,
                            beyond: accepted.beyond,
                            frames: 1,
                            weight: accepted.weight,
                            weakest: accepted.found.clone(),
                        });
                    }
                },
                Vote::Close
                | Vote::Stranger
                | Vote::Nobody
                | Vote::Poor
                | Vote::Unconfirmed
                | Vote::Stale { several: false }
                | Vote::Fault
                | Vote::Absent => {}
            }
        }
        agreement.map(|agreement| Agreement {
            enabled: agreement.enabled && enabled,
            beyond: agreement.beyond || beyond,
            ..agreement
        })
    }

    /// Whether the window names more than one subject.
    pub(super) fn conflicts(&self) -> bool {
        let mut named = self.named();
        named.next().is_some_and(|first| named.any(|other| other != first))
    }
}

impl Agreement {
    fn join(&mut self, accepted: &Accepted) {
        self.frames += 1;
        self.weight += accepted.weight;
        self.enabled &= accepted.enabled;
        self.beyond |= accepted.beyond;
        let score = |found: &Match| found.best.as_ref().map(|best| best.score);
        if let (Some(weakest), Some(score)) = (score(&self.weakest), score(&accepted.found))
            && accepted.found.metric.advantage(score, weakest) < 0.0
        {
            self.weakest = accepted.found.clone();
        }
    }
}
