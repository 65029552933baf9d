//! A door whose sight is a script: a frame is what it shows, a gate says what it is told to.
//!
//! In: [`Observation`]s, an [`Answer`] for each gate. Out: the door that daemon and evaluation run, without
//! pictures and networks. Deliberately absent: anything that decides.
#![allow(dead_code, reason = "each test file uses a part")]

use deepid_edge::clock::{Clock, Monotonic};
use deepid_edge::decide::{Answer, Gate, Observation, Question, Seen};
use deepid_edge::detect::{FollowerSettings, Zones};
use deepid_edge::door::{Door, Sight};
use deepid_edge::embed::QualityLimits;
use deepid_edge::liveness::{Lacking, LivenessEvidence};
use deepid_edge::recognise::{Galleries, Recalled, Tuning};

/// What a scripted sight is told, and what it was asked.
#[derive(Debug, Default)]
pub struct Script {
    /// What each gate says from now on; one that is told nothing cannot be asked.
    pub answers: Vec<(Gate, Answer)>,
    /// What was asked.
    pub asked: Vec<Question>,
    /// What was seen of the visit's liveness.
    pub evidence: Option<LivenessEvidence>,
    /// How many visits are over.
    pub ended: u32,
    /// What is remembered of the visit so far.
    pub recalled: Option<Recalled>,
}

pub type ScriptedDoor = Door<Script>;

impl Script {
    /// From now on `gate` says `answer`.
    pub fn tell(&mut self, gate: Gate, answer: Answer) {
        self.answers.retain(|(other, _)| *other != gate);
        self.answers.push((gate, answer));
    }
}

impl Sight for Script {
    type Frame<'a> = Observation;

    fn rests(&self) -> bool {
        false
    }

    fn pass_over(
        &mut self,
        sequence: u64,
        captured_at: Monotonic,
        clock: &dyn Clock,
    ) -> Observation {
        let (wall, seen) = (clock.wall(), Seen::NoFace);
        Observation { sequence, captured_at, wall, luminance: None, seen }
    }

    fn observe(&mut self, frame: &Observation, _: &dyn Clock) -> Observation {
        frame.clone()
    }

    fn answer(&mut self, question: &Question) -> Answer {
        self.asked.push(question.clone());
        let told = self.answers.iter().find(|(gate, _)| *gate == question.gate);
        told.map_or(Answer::Fault, |(_, answer)| answer.clone())
    }

    fn liveness(&self) -> Option<LivenessEvidence> {
        self.evidence
    }

    fn lacking(&self) -> Option<Lacking> {
        None
    }

    fn take_recalled(&mut self) -> Option<Recalled> {
        self.recalled.take()
    }

    fn end_visit(&mut self) {
        self.recalled = None;
        self.ended += 1;
    }

    fn enrol(&mut self, _: Galleries) {}

    fn withdraw(&mut self) {}

    fn tune(&mut self, _: &Tuning) {}
}

/// A tuning for a sight that looks at none.
pub fn tuning() -> Tuning {
    Tuning {
        limits: QualityLimits::default(),
        central: 1.0,
        follower: FollowerSettings::default(),
        min_score: 0.5,
        zones: Zones::default(),
        recall: true,
    }
}
