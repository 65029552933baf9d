//! What stands between agreement and a decision: gates, asked one after another about one frame.
//!
//! In: the subject on whom the window agrees, by a frame that shows that subject itself; an
//! [`Answer`] to each [`Question`]. Out: whether all gates let pass, or what becomes of the frame.
//! The confirming embedder is one gate, liveness another; a further one is an entry in [`Gate::ALL`]
//! and whoever answers for it.
//!
//! Invariants: unanswered, answered late, and answered for somebody else are all no pass; every gate
//! must let the same frame pass; nothing allocates.

use super::tally::{Agreement, Unconfirmed};
use super::{AmbiguousReason, DeniedReason};
use crate::clock::Monotonic;
use crate::compare::{Match, SubjectId};
use std::time::Duration;

/// What may have to let a subject pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Gate {
    /// A second embedder confirms the frame that would grant. It is first: nobody is told as a
    /// subject whom it does not know.
    Confirm,
    /// The visit shows a face and not a picture of one.
    Liveness,
}

impl Gate {
    /// All, in the order in which they are asked.
    pub const ALL: [Self; 2] = [Self::Confirm, Self::Liveness];

    /// The gate's name in logs and tables.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Confirm => "confirm",
            Self::Liveness => "liveness",
        }
    }
}

/// The gates of a door.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Gates(u8);

impl Gates {
    /// None: agreement decides.
    pub const NONE: Self = Self(0);

    /// These and `gate`, where `present`.
    #[must_use]
    pub const fn with(self, gate: Gate, present: bool) -> Self {
        if present { Self(self.0 | (1 << gate as u8)) } else { self }
    }

    /// Whether `gate` is one of them.
    #[must_use]
    pub const fn has(self, gate: Gate) -> bool {
        self.0 & (1 << gate as u8) != 0
    }

    /// The first of them, or the one after `gate`.
    fn after(self, gate: Option<Gate>) -> Option<Gate> {
        Gate::ALL.into_iter().find(|next| self.has(*next) && gate.is_none_or(|gate| *next > gate))
    }
}

/// What a gate is asked: whether it lets this subject pass, by the frame that was just taken in.
#[derive(Debug, Clone, PartialEq)]
pub struct Question {
    /// Which gate.
    pub gate: Gate,
    /// On whom the visit agrees.
    pub subject: SubjectId,
    /// The first embedder's comparison score of that frame.
    pub score: f32,
}

/// What a gate says.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// Nothing stands against it. A match takes the place of the agreement's: its score decides.
    Pass(Option<Match>),
    /// Not by this frame, which counts no longer; as many such answers as a grant needs frames end
    /// the visit.
    No(Option<Match>),
    /// Not enough is known yet. The frame counts on; where the visit ends so, this names it.
    NotYet(AmbiguousReason),
    /// Not in this visit, whatever comes.
    Never(Refusal),
    /// It could not be asked: this frame counts no longer.
    Fault,
}

/// Why a gate ends a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The subject is refused.
    Denied(DeniedReason),
    /// Nothing can be said of a subject.
    Ambiguous(AmbiguousReason),
}

/// What an answer leads to.
#[derive(Debug)]
pub(super) enum Passed {
    /// Another gate is asked, or the same again at a later frame.
    NotYet,
    /// All let it pass.
    All(Agreement),
    /// One ends the visit.
    Never(Refusal, Agreement),
    /// The frame counts no longer.
    Withdrawn(SubjectId, Unconfirmed),
}

/// The way of a visit's subject through the gates.
#[derive(Debug, Default)]
pub(super) struct Passage {
    /// What is asked now, and what hangs on it.
    asking: Option<(Question, Agreement)>,
    /// Capture of the last frame that was asked about.
    asked: Option<Monotonic>,
    /// The match that came nearest, of those that were not enough.
    nearest: Option<Match>,
    /// Answers that were no pass in time, since the last pass. A fault is none.
    refused: u32,
    /// What the last frame that was asked about waits for.
    waits_for: Option<AmbiguousReason>,
}

impl Passage {
    /// What is asked now.
    pub(super) fn question(&self) -> Option<&Question> {
        self.asking.as_ref().map(|(question, _)| question)
    }

    /// The match that came nearest, of those that were not enough.
    pub(super) const fn nearest(&self) -> Option<&Match> {
        self.nearest.as_ref()
    }

    /// Answers that were no pass in time.
    pub(super) const fn refused(&self) -> u32 {
        self.refused
    }

    /// The gates have let the subject pass: refusals before it count no longer.
    pub(super) const fn forgive(&mut self) {
        self.refused = 0;
    }

    /// What names a visit that ends while a gate still waits.
    pub(super) const fn waits_for(&self) -> Option<AmbiguousReason> {
        self.waits_for
    }

    /// Begins to ask `gates` about the frame captured at `captured`, unless the last one that they
    /// were asked about is less than `spacing` ago. Gives `agreement` back where there is no gate.
    pub(super) fn begin(
        &mut self,
        gates: Gates,
        (subject, score): (&SubjectId, f32),
        agreement: Agreement,
        captured: Monotonic,
        spacing: Duration,
    ) -> Option<Agreement> {
        let Some(gate) = gates.after(None) else { return Some(agreement) };
        if self.asked.is_none_or(|asked| captured.since(asked) >= spacing) {
            self.asked = Some(captured);
            self.asking = Some((Question { gate, subject: subject.clone(), score }, agreement));
        }
        None
    }

    /// The next frame comes, and nothing was answered: whose frame counts no longer.
    pub(super) fn abandon(&mut self) -> Option<SubjectId> {
        self.asking.take().map(|(question, _)| question.subject)
    }

    /// Takes in the answer to [`Self::question`], at `now`; a pass counts while the frame is not older
    /// than `stale`. `None` where nothing was asked.
    pub(super) fn answer(
        &mut self,
        gates: Gates,
        answer: Answer,
        now: Monotonic,
        stale: Duration,
    ) -> Option<Passed> {
        let (question, agreement) = self.asking.take()?;
        let fresh = self.asked.is_some_and(|asked| now.since(asked) <= stale);
        self.waits_for = None;
        let shows =
            |fused: &Match| fused.accepted().is_some_and(|best| best.subject == question.subject);
        Some(match answer {
            // The second embedder's pass is nothing without its score.
            Answer::Pass(None) if question.gate == Gate::Confirm => {
                Passed::Withdrawn(question.subject, Unconfirmed::Fault)
            }
            Answer::Pass(fused) if fused.as_ref().is_none_or(shows) => {
                if !fresh {
                    return Some(self.refuse(question, fused, Unconfirmed::Late));
                }
                let agreement = match fused {
                    // The fused score decides, so that its claim counts.
                    Some(fused) => {
                        Agreement { beyond: fused.beyond_accepted, weakest: fused, ..agreement }
                    }
                    None => agreement,
                };
                match gates.after(Some(question.gate)) {
                    Some(gate) => {
                        self.asking = Some((Question { gate, ..question }, agreement));
                        Passed::NotYet
                    }
                    None => Passed::All(agreement),
                }
            }
            Answer::Pass(fused) | Answer::No(fused) => {
                self.refuse(question, fused, Unconfirmed::Refuted)
            }
            Answer::NotYet(reason) => {
                self.waits_for = Some(reason);
                Passed::NotYet
            }
            Answer::Never(refusal) => Passed::Never(refusal, agreement),
            Answer::Fault => Passed::Withdrawn(question.subject, Unconfirmed::Fault),
        })
    }

    fn refuse(&mut self, question: Question, fused: Option<Match>, why: Unconfirmed) -> Passed {
        self.refused = self.refused.saturating_add(1);
        let score = |found: &Match| found.best.as_ref().map(|best| best.score);
        if let Some(fused) = fused
            && self.nearest.as_ref().and_then(score) <= score(&fused)
        {
            self.nearest = Some(fused);
        }
        Passed::Withdrawn(question.subject, why)
    }
}
