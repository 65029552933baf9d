//! The door: everything that can happen before it goes in, what is to be done about it comes out.
//!
//! ```text
//! Event ─> Door { sight, visit } ─> Effect
//!            sight: a frame becomes an Observation, a Question an Answer (`recognise`)
//!            visit: observations and time become a decision (`decide`)
//! ```
//!
//! In: an [`Event`] for each reason to wake, and the [`Time`]. Out: [`Effect`]s. The daemon, the
//! evaluation and the tests all call this one, so that what is measured is what runs.
//!
//! Invariants: a question is answered by the frame that raised it, before the next one is seen;
//! while the enrolments are withdrawn or the database has failed no frame is judged; nothing
//! allocates after the first frames. Deliberately absent: threads, files, sockets, and any clock but
//! the one that is passed in.

mod guidance;

pub use guidance::Guidance;

use crate::clock::{Clock, Monotonic};
use crate::compare::SubjectId;
use crate::decide::{
    Answer, Effect, Fault, Observation, Question, Seen, SeveralFaces, Verdict, Visit, VisitPolicy,
};
use crate::frame::{Frame, Glimpse};
use crate::liveness::{Lacking, LivenessEvidence};
use crate::policy::{PinResult, Rules, Whereabouts};
use crate::recognise::{Galleries, Recalled, Recogniser, Tuning};
use guidance::Guide;

/// What sees for a door: the networks, or a script in a test.
pub trait Sight {
    /// What a frame is.
    type Frame<'a>;

    /// Whether the next frame need not be looked at, because nobody has been there for a while.
    fn rests(&self) -> bool;

    /// Whether a glimpse of the next frame may be enough.
    fn glances(&self) -> bool {
        false
    }

    /// Whether a frame need not be looked at, because nothing has changed in an empty room.
    fn is_unchanged(&mut self, _glimpse: &Glimpse<'_>) -> bool {
        false
    }

    /// Passes over a frame that need not be looked at: it shows nobody.
    fn pass_over(
        &mut self,
        sequence: u64,
        captured_at: Monotonic,
        clock: &dyn Clock,
    ) -> Observation;

    /// What a frame shows.
    fn observe(&mut self, frame: &Self::Frame<'_>, clock: &dyn Clock) -> Observation;

    /// What a gate says of the last frame.
    fn answer(&mut self, question: &Question) -> Answer;

    /// What was seen of the visit's liveness, where somebody looks at it.
    fn liveness(&self) -> Option<LivenessEvidence>;

    /// What is lacking before the last face counts as live; `None` where nothing is, or it was not
    /// looked at.
    fn lacking(&self) -> Option<Lacking>;

    /// What was kept of the visit's faces, which are nobody's who is enrolled; it is forgotten there.
    fn take_recalled(&mut self) -> Option<Recalled> {
        None
    }

    /// The last visitor is there no longer: what was gathered of that one counts for no other.
    fn end_visit(&mut self);

    /// Compares with these from now on.
    fn enrol(&mut self, galleries: Galleries);

    /// Compares with nobody, until there is another enrolled set.
    fn withdraw(&mut self);

    /// Sees the next frame by other settings.
    fn tune(&mut self, tuning: &Tuning);
}

impl Sight for Recogniser {
    type Frame<'a> = Frame<'a>;

    fn rests(&self) -> bool {
        Self::rests(self)
    }

    fn glances(&self) -> bool {
        Self::glances(self)
    }

    fn is_unchanged(&mut self, glimpse: &Glimpse<'_>) -> bool {
        Self::is_unchanged(self, glimpse)
    }

    fn pass_over(
        &mut self,
        sequence: u64,
        captured_at: Monotonic,
        clock: &dyn Clock,
    ) -> Observation {
        Self::pass_over(self, sequence, captured_at, clock)
    }

    fn observe(&mut self, frame: &Frame<'_>, clock: &dyn Clock) -> Observation {
        Self::observe(self, frame, clock)
    }

    fn answer(&mut self, question: &Question) -> Answer {
        Self::answer(self, question)
    }

    fn liveness(&self) -> Option<LivenessEvidence> {
        self.liveness_evidence()
    }

    fn lacking(&self) -> Option<Lacking> {
        self.lacks()
    }

    fn take_recalled(&mut self) -> Option<Recalled> {
        Self::take_recalled(self)
    }

    fn end_visit(&mut self) {
        Self::end_visit(self);
    }

    fn enrol(&mut self, galleries: Galleries) {
        self.set_galleries(galleries);
    }

    fn withdraw(&mut self) {
        self.forget_everybody();
    }

    fn tune(&mut self, tuning: &Tuning) {
        Self::tune(self, tuning);
    }
}

/// Every reason for a door to wake.
#[derive(Debug)]
pub enum Event<'e, F> {
    /// A frame that can be judged.
    Frame(&'e F),
    /// A frame that was not decoded, because [`Door::needs_frame`] said no or [`Door::is_unchanged`] yes.
    Skipped {
        /// The source's running number of it.
        sequence: u64,
        /// When it was captured.
        captured_at: Monotonic,
    },
    /// A frame that is for an enrolment at this camera: nobody is judged. Whoever is there was not a
    /// visitor, and must have gone before anybody is judged again.
    Enrolling {
        /// The source's running number of it.
        sequence: u64,
        /// When it was captured.
        captured_at: Monotonic,
    },
    /// A frame that cannot be judged.
    Fault {
        /// The source's running number of it.
        sequence: u64,
        /// When it was captured.
        captured_at: Monotonic,
        /// Why.
        fault: Fault,
    },
    /// The camera was opened anew: what it shows now may be another place, or another camera.
    Reopened,
    /// Time has passed.
    Tick,
    /// Compare with these from now on.
    Enrolled(Box<Galleries>),
    /// Compare with nobody: the enrolments cannot be read.
    Withdrawn,
    /// Let pass by these rules from now on.
    Ruled(Box<Rules>),
    /// The database has failed, or works again: a grant could not be recorded.
    Database {
        /// Whether it has failed.
        failed: bool,
    },
    /// Another client speaks as this door, or none does any more.
    Contested(bool),
    /// Forget the failed visits, and end a lockout.
    LockoutReset,
    /// Somebody's second factor has come.
    Factor(SubjectId),
    /// A PIN was typed for whoever is waited for.
    Pin {
        /// Whose it should be.
        subject: SubjectId,
        /// What came of it.
        result: PinResult,
    },
    /// Somebody went in or out, here or elsewhere, and it is recorded.
    Passed {
        /// Who.
        subject: SubjectId,
        /// To which side, and when.
        at: Whereabouts,
    },
    /// Go on by another configuration.
    Tuned(Box<(Tuning, VisitPolicy)>),
}

/// The clocks of a door. They differ only where a recording plays faster than it was made: then
/// frames have its time, while the wall clock stays the machine's.
#[derive(Clone, Copy)]
pub struct Time<'a> {
    /// Measures the stages, and has the wall clock that records bear.
    pub machine: &'a dyn Clock,
    /// The time of the frames, by which visits begin and end.
    pub frames: &'a dyn Clock,
}

impl<'a> Time<'a> {
    /// One clock for both.
    #[must_use]
    pub const fn of(clock: &'a dyn Clock) -> Self {
        Self { machine: clock, frames: clock }
    }
}

/// See the module.
#[derive(Debug)]
pub struct Door<S = Recogniser> {
    sight: S,
    visit: Visit,
    /// The enrolments cannot be read.
    withdrawn: bool,
    /// The database has failed.
    database_failed: bool,
    /// The visit that was under way after the last event.
    visit_before: Option<u64>,
    observed: Option<Observation>,
    several_faces: SeveralFaces,
    guide: Guide,
    /// What was kept of the stranger who was decided upon last, until somebody takes it.
    recalled: Option<Recalled>,
}

impl<S: Sight> Door<S> {
    /// A door before which nobody has been seen yet.
    #[must_use]
    pub fn new(sight: S, policy: VisitPolicy) -> Self {
        Self {
            sight,
            visit: Visit::new(policy),
            withdrawn: false,
            database_failed: false,
            visit_before: None,
            observed: None,
            several_faces: policy.several_faces,
            guide: Guide::default(),
            recalled: None,
        }
    }

    /// Forgets everybody who was here, the frames and the cooldowns: another recording begins.
    pub fn begin_anew(&mut self, policy: VisitPolicy) {
        self.visit.begin_anew(policy);
        self.visit_before = None;
        self.observed = None;
        self.several_faces = policy.several_faces;
        self.guide.fall_silent();
        self.sight.end_visit();
    }

    /// Lets pass by these rules from now on; without any, everybody who is enabled.
    pub fn rule(&mut self, rules: Rules, now_ms: i64) {
        self.visit.rule(rules, now_ms);
    }

    /// Takes in what has happened and appends what is to be done to `effects`.
    pub fn step(
        &mut self,
        event: Event<'_, S::Frame<'_>>,
        time: Time<'_>,
        effects: &mut Vec<Effect>,
    ) {
        let before = effects.len();
        let observation = match event {
            Event::Frame(frame) => {
                let observation = self.sight.observe(frame, time.machine);
                if self.is_blind() {
                    Observation { seen: Seen::Fault(Fault::Store), ..observation }
                } else {
                    observation
                }
            }
            Event::Skipped { sequence, captured_at } if self.is_blind() => {
                faulty(sequence, captured_at, Fault::Store, time)
            }
            Event::Skipped { sequence, captured_at } => {
                self.sight.pass_over(sequence, captured_at, time.machine)
            }
            Event::Enrolling { sequence, captured_at } => {
                self.visit.set_aside(time.frames.now());
                self.sight.pass_over(sequence, captured_at, time.machine)
            }
            Event::Fault { sequence, captured_at, fault } => {
                faulty(sequence, captured_at, fault, time)
            }
            Event::Tick => {
                self.visit.tick(time.frames.now(), effects);
                self.attach(effects, before);
                return self.note_end();
            }
            Event::Reopened => {
                self.sight.end_visit();
                self.guide.fall_silent();
                return self.visit.doubt(time.frames.now());
            }
            Event::Enrolled(galleries) => {
                self.withdrawn = false;
                return self.sight.enrol(*galleries);
            }
            Event::Withdrawn => {
                self.withdrawn = true;
                return self.sight.withdraw();
            }
            Event::Ruled(rules) => return self.rule(*rules, time.machine.wall().unix_ms),
            Event::Database { failed } => return self.database_failed = failed,
            Event::Contested(contested) => return self.visit.contest(contested),
            Event::LockoutReset => return self.visit.forget_failures(),
            Event::Factor(subject) => return self.visit.note_factor(subject, time.frames.now()),
            Event::Passed { subject, at } => {
                return self.visit.note_passage(&subject, at, time.machine.wall().unix_ms);
            }
            Event::Pin { subject, result } => {
                return self.visit.note_pin(subject, result, time.frames.now());
            }
            Event::Tuned(settings) => {
                let (tuning, policy) = *settings;
                self.sight.tune(&tuning);
                self.sight.end_visit();
                self.several_faces = policy.several_faces;
                self.guide.fall_silent();
                return self.visit.restart(policy, time.frames.now());
            }
        };
        self.visit.step(&observation, time.frames.now(), effects);
        while let Some(question) = self.visit.question() {
            let answer = self.sight.answer(question);
            self.visit.answer(answer, time.frames.now(), effects);
        }
        if self.visit.is_decided() {
            self.guide.fall_silent();
        } else {
            let lacking = self.sight.lacking();
            let factor = self.visit.awaited().is_some();
            let now = time.frames.now();
            self.guide.see(&observation, self.several_faces, lacking, factor, now);
        }
        self.observed = Some(observation);
        self.attach(effects, before);
        self.note_end();
    }

    /// Adds to the decisions after the first `before` effects what was seen of the visit's liveness, and
    /// keeps what is remembered of a stranger.
    fn attach(&mut self, effects: &mut [Effect], before: usize) {
        for effect in effects.iter_mut().skip(before) {
            if let Effect::Decided { decision, .. } = effect {
                decision.liveness = self.sight.liveness();
                let recalled = self.sight.take_recalled();
                let stranger = matches!(decision.verdict, Verdict::Unknown(_));
                self.recalled = recalled.filter(|_| stranger);
            }
        }
    }

    /// What is remembered of the stranger who was decided upon last; it is forgotten here.
    pub const fn take_recalled(&mut self) -> Option<Recalled> {
        self.recalled.take()
    }

    fn note_end(&mut self) {
        let visit = self.visit.under_way();
        if self.visit_before.is_some() && self.visit_before != visit {
            self.sight.end_visit();
            self.guide.fall_silent();
        }
        self.visit_before = visit;
    }

    /// When [`Event::Tick`] is due if nothing happens before; `None` while nobody is there.
    #[must_use]
    pub fn poll_at(&self) -> Option<Monotonic> {
        self.visit.poll_at()
    }

    /// Whether the next frame is looked at; otherwise it need not be decoded, which is most of what
    /// an empty room would cost, and is [`Event::Skipped`].
    #[must_use]
    pub fn needs_frame(&self) -> bool {
        !self.is_blind() && !self.sight.rests()
    }

    /// Whether a glimpse of the next frame may be enough: then [`Self::is_unchanged`] is to be asked
    /// before it is decoded. Who does not ask has the frame itself looked at.
    #[must_use]
    pub fn glances(&self) -> bool {
        self.sight.glances()
    }

    /// Whether the frame of `glimpse` shows what was seen to be nobody, and is [`Event::Skipped`].
    pub fn is_unchanged(&mut self, glimpse: &Glimpse<'_>) -> bool {
        self.sight.is_unchanged(glimpse)
    }

    /// Whether no frame is judged.
    const fn is_blind(&self) -> bool {
        self.withdrawn || self.database_failed
    }

    /// What the last frame was seen to show.
    #[must_use]
    pub const fn observed(&self) -> Option<&Observation> {
        self.observed.as_ref()
    }

    /// What the visitor should do to be recognised.
    #[must_use]
    pub const fn guidance(&self) -> Option<Guidance> {
        self.guide.said()
    }

    /// Whose second factor is all that is missing.
    #[must_use]
    pub fn awaited(&self) -> Option<&SubjectId> {
        self.visit.awaited()
    }

    /// Until when nobody is granted, after too many failed visits.
    #[must_use]
    pub fn locked_until(&self, now: Monotonic) -> Option<Monotonic> {
        self.visit.locked_until(now)
    }

    /// What sees.
    #[must_use]
    pub const fn sight(&self) -> &S {
        &self.sight
    }

    /// The same, to be told what is not of the door.
    pub const fn sight_mut(&mut self) -> &mut S {
        &mut self.sight
    }
}

/// What is seen of a frame that cannot be judged.
fn faulty(sequence: u64, captured_at: Monotonic, fault: Fault, time: Time<'_>) -> Observation {
    let (wall, seen) = (time.machine.wall(), Seen::Fault(fault));
    Observation { sequence, captured_at, wall, luminance: None, seen }
}
