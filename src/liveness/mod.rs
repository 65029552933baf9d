//! Whether a visit shows a face or a picture of one (presentation attack detection, ISO/IEC 30107-3).
//!
//! In: each face of a visit that was compared, with its frame and its feature vector. Out: a
//! [`LivenessVerdict`] on the visit so far. Cues are small parts of their own: the network looks at face
//! and surroundings, `Surroundings` at whether both move together, [`Evidence`] at whether anything
//! changes at all and whether the head has depth, [`Challenge`] at whether the head turns as it was told.
//!
//! Invariants: no weighted sum: one denying cue is an attack for the rest of the visit, and nothing
//! outvotes it; where too little was seen the verdict is undecided, which grants nothing. Nothing
//! allocates after the first frames.
//! Deliberately absent: who it is, and how long a visit lasts.

mod challenge;
mod evidence;
mod flow;
mod looks;
mod moves;
mod network;
mod surroundings;

pub use challenge::{Ask, Challenge, Chance, Sighting};
pub use evidence::{Evidence, LivenessPolicy, Mode};
pub use moves::Side;
pub use network::{LivenessNetwork, LivenessNetworks, Look};
pub use surroundings::{Motion, Surroundings};

use crate::clock::Monotonic;
use crate::detect::Detection;
use crate::embed::FeatureVector;
use crate::frame::Frame;
use crate::inference::InferenceError;

/// What tells a picture from a face.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Cue {
    /// The network takes face and surroundings for a picture.
    Network,
    /// The face does not change, as no living one can hold still.
    Frozen,
    /// What is around the face moves with it.
    Surroundings,
    /// The head turned to the wrong side, or before anybody could have done as told.
    Challenge,
}

impl Cue {
    /// All.
    pub const ALL: [Self; 4] = [Self::Network, Self::Frozen, Self::Surroundings, Self::Challenge];

    /// Its name in records and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Frozen => "frozen",
            Self::Surroundings => "surroundings",
            Self::Challenge => "challenge",
        }
    }
}

/// Why nothing can be said yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lacking {
    /// Too few looks.
    Looks,
    /// The face fills so much of the picture that its surroundings cannot be seen: step back.
    Surroundings,
    /// The network's median is too low so far.
    Median,
    /// Nothing was seen that only a live face shows.
    Confirmation,
    /// The visitor has to look straight ahead, until the next turn is asked for.
    Ahead,
    /// The visitor has to turn the head to this side.
    Turn(Side),
}

/// What is to be said of a visit so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LivenessVerdict {
    /// Nothing yet.
    Undecided(Lacking),
    /// A live face.
    Live,
    /// A picture, a screen, a mask.
    Attack(Cue),
}

/// What a decision says of it.
#[derive(Debug, Clone, Copy, PartialEq, Default, serde::Serialize, serde::Deserialize)]
pub struct LivenessEvidence {
    /// What told an attack.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub cue: Option<Cue>,
    /// Median of the network's probability of a live face, 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub median: Option<f32>,
    /// How often the network has looked.
    pub looks: u32,
}

/// The cues of one door.
#[derive(Debug)]
pub struct Liveness {
    policy: LivenessPolicy,
    networks: LivenessNetworks,
    surroundings: Surroundings,
    evidence: Evidence,
    /// Once everything else speaks for a live face ([`Mode::Challenge`]).
    challenge: Option<Challenge>,
    chance: fastrand::Rng,
}

impl Liveness {
    /// Cues of which nothing has been seen.
    #[must_use]
    pub fn new(policy: LivenessPolicy, networks: LivenessNetworks) -> Self {
        Self {
            policy,
            networks,
            surroundings: Surroundings::default(),
            evidence: Evidence::default(),
            challenge: None,
            chance: fastrand::Rng::new(),
        }
    }

    /// Sees a face that was compared: `yaw` in eye distances, as `Quality`
    /// has it. One network looks once in [`LivenessPolicy::spacing`]; where there are two, in turn.
    ///
    /// # Errors
    /// [`InferenceError`] when the network fails or gives a number that is none.
    pub fn see(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
        yaw: f32,
        features: &FeatureVector,
    ) -> Result<(), InferenceError> {
        let at = frame.captured_at();
        self.evidence.note_features(features.values(), at);
        self.evidence.note_yaw(yaw);
        if !self.is_due(at) {
            return Ok(());
        }
        if let Some(closer) = &mut self.networks.closer
            && self.evidence.is_turn_of_closer()
        {
            let look = closer.look(frame, face)?;
            self.evidence.note_closer(look, at);
            return Ok(());
        }
        let look = self.networks.around.look(frame, face)?;
        self.evidence.note_look(look, at);
        self.surroundings.see(frame, face);
        let patches_min = self.policy.motion_patches;
        if self.motion().is_some_and(|motion| motion.is_with_the_face(patches_min)) {
            self.evidence.latch(Cue::Surroundings);
        }
        Ok(())
    }

    /// Follows the face of the frame captured `at`, whether it was compared or not: `known` says whether
    /// it is that of whom the cues are, `alone` that no other face is there. To be called after
    /// [`Self::see`], while somebody is recognised or was.
    pub fn follow(
        &mut self,
        at: Monotonic,
        face: &Detection,
        yaw: f32,
        known: Option<bool>,
        alone: bool,
    ) {
        if self.policy.mode != Mode::Challenge {
            return;
        }
        if self.challenge.is_none() && self.evidence.verdict(&self.policy) == LivenessVerdict::Live
        {
            self.challenge = Some(Challenge::new(&mut self.chance));
        }
        let Some(challenge) = &mut self.challenge else { return };
        if alone {
            let bounds = face.bounds();
            let (centre, side) = (bounds.centre(), bounds.width.max(bounds.height));
            challenge.see(Sighting { at, centre, side, yaw, known }, &mut self.chance);
        } else {
            challenge.interrupt(&mut self.chance);
        }
        if challenge.ask() == Ask::Failed {
            self.evidence.latch(Cue::Challenge);
        }
    }

    fn is_due(&self, at: Monotonic) -> bool {
        let live = self.evidence.verdict(&self.policy) == LivenessVerdict::Live;
        let spacing = if live { self.policy.spacing_when_live } else { self.policy.spacing };
        self.evidence.looked_at().is_none_or(|last| at.since(last) >= spacing)
    }

    /// What is to be said of the visit so far.
    #[must_use]
    pub fn verdict(&self) -> LivenessVerdict {
        let verdict = self.evidence.verdict(&self.policy);
        if verdict != LivenessVerdict::Live || self.policy.mode != Mode::Challenge {
            return verdict;
        }
        match self.challenge.as_ref().map(Challenge::ask) {
            Some(Ask::Passed) => LivenessVerdict::Live,
            Some(Ask::Failed) => LivenessVerdict::Attack(Cue::Challenge),
            Some(Ask::Turn(side)) => LivenessVerdict::Undecided(Lacking::Turn(side)),
            Some(Ask::Ahead) | None => LivenessVerdict::Undecided(Lacking::Ahead),
        }
    }

    /// What a decision made now says of it.
    #[must_use]
    pub fn told(&self) -> LivenessEvidence {
        let cue = match self.verdict() {
            LivenessVerdict::Attack(cue) => Some(cue),
            LivenessVerdict::Undecided(Lacking::Median) => Some(Cue::Network),
            LivenessVerdict::Undecided(_) | LivenessVerdict::Live => None,
        };
        LivenessEvidence { cue, median: self.evidence.median(), looks: self.evidence.looks() }
    }

    /// What was seen of this visit.
    #[must_use]
    pub const fn evidence(&self) -> &Evidence {
        &self.evidence
    }

    /// How the surroundings have moved, where the face has.
    #[must_use]
    pub fn motion(&self) -> Option<Motion> {
        self.surroundings.motion()
    }

    /// By which the cues are judged.
    #[must_use]
    pub const fn policy(&self) -> &LivenessPolicy {
        &self.policy
    }

    /// The next face is of another visit, or of somebody else.
    pub fn begin_anew(&mut self) {
        self.evidence.clear();
        self.surroundings.forget();
        self.challenge = None;
    }
}

#[cfg(test)]
mod tests {
    use super::network::tests::{believer, doubter, face, picture};
    use super::*;
    use crate::frame::PixelFormat;
    use crate::inference::ModelKey;

    /// A visit in which the network takes everything for live; frames 100 ms apart.
    struct Visit {
        liveness: Liveness,
        picture: Vec<u8>,
        frames: u64,
    }

    impl Visit {
        fn new(mode: Mode) -> Self {
            let policy = LivenessPolicy { mode, ..LivenessPolicy::default() };
            Self::of(policy, LivenessNetworks { around: believer(), closer: None })
        }

        fn of(policy: LivenessPolicy, networks: LivenessNetworks) -> Self {
            Self { liveness: Liveness::new(policy, networks), picture: picture(), frames: 0 }
        }

        fn shows(&mut self, yaw: f32, alone: bool) -> LivenessVerdict {
            self.frames += 1;
            let at = Monotonic::from_millis(1000 + 100 * self.frames);
            let size = (100, 100);
            let frame = Frame::new(&self.picture, PixelFormat::Rgb, size, 300, self.frames, at);
            let (frame, face) = (frame.unwrap(), face(40.0, 40.0, 20.0));
            let key = ModelKey::made_up();
            let changing = vec![1.0, 0.1 * (self.frames % 2) as f32];
            let features = FeatureVector::new(key, changing).unwrap();
            self.liveness.see(&frame, &face, yaw, &features).unwrap();
            self.liveness.follow(at, &face, yaw, Some(true), alone);
            self.liveness.verdict()
        }

        /// Does for twenty seconds at most what it is asked to; `obeys` is -1 for whoever turns to the other side.
        fn answers(&mut self, obeys: f32, alone: bool) -> LivenessVerdict {
            let (mut yaw, mut verdict) = (0.0_f32, LivenessVerdict::Undecided(Lacking::Looks));
            for _ in 0..200 {
                verdict = self.shows(yaw, alone);
                let wanted = match verdict {
                    LivenessVerdict::Undecided(Lacking::Turn(Side::Left)) => 0.2 * obeys,
                    LivenessVerdict::Undecided(Lacking::Turn(Side::Right)) => -0.2 * obeys,
                    LivenessVerdict::Undecided(_) => 0.0,
                    LivenessVerdict::Live | LivenessVerdict::Attack(_) => break,
                };
                yaw += (wanted - yaw).clamp(-0.05, 0.05);
            }
            verdict
        }
    }

    #[test]
    fn two_networks_look_in_turn_and_judge_together() {
        let seen = |closer: LivenessNetwork| {
            let networks = LivenessNetworks { around: believer(), closer: Some(closer) };
            let mut visit = Visit::of(LivenessPolicy::default().in_turn(), networks);
            let said: Vec<_> = (0..8).map(|_| visit.shows(0.0, true)).collect();
            (said, visit.liveness.told())
        };
        let (said, told) = seen(believer());
        assert_eq!(said[6], LivenessVerdict::Undecided(Lacking::Looks), "the closer one has three");
        assert_eq!(said[7], LivenessVerdict::Live);
        assert_eq!((told.looks, told.cue), (4, None));
        let (said, told) = seen(doubter());
        assert_eq!(said[7], LivenessVerdict::Undecided(Lacking::Median));
        assert_eq!(told.cue, Some(Cue::Network));
    }

    #[test]
    fn who_was_seen_to_be_live_is_looked_at_seldom() {
        let mut visit = Visit::new(Mode::Deny);
        for _ in 0..5 {
            visit.shows(0.0, true);
        }
        assert_eq!(visit.liveness.verdict(), LivenessVerdict::Live);
        for _ in 0..6 {
            visit.shows(0.0, true);
        }
        assert_eq!(visit.liveness.told().looks, 7, "one in 250 ms");
    }

    #[test]
    fn where_a_challenge_is_asked_for_only_who_turns_as_told_is_live() {
        let mut denied = Visit::new(Mode::Deny);
        assert_eq!((0..5).map(|_| denied.shows(0.0, true)).last(), Some(LivenessVerdict::Live));
        let mut challenged = Visit::new(Mode::Challenge);
        let still = (0..9).map(|_| challenged.shows(0.0, true)).last().unwrap();
        assert!(
            matches!(still, LivenessVerdict::Undecided(Lacking::Ahead | Lacking::Turn(_))),
            "{still:?}"
        );
        assert_eq!(challenged.answers(1.0, true), LivenessVerdict::Live);
        challenged.liveness.begin_anew();
        assert_eq!(challenged.shows(0.0, true), LivenessVerdict::Undecided(Lacking::Looks));
        let wrong = Visit::new(Mode::Challenge).answers(-1.0, true);
        assert_eq!(wrong, LivenessVerdict::Attack(Cue::Challenge));
        let accompanied = Visit::new(Mode::Challenge).answers(1.0, false);
        assert_eq!(accompanied, LivenessVerdict::Undecided(Lacking::Ahead));
        let picture = Visit::new(Mode::Challenge).answers(0.0, true);
        assert_eq!(picture, LivenessVerdict::Attack(Cue::Challenge), "three tries");
    }
}
