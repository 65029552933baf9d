//! Whether a visit shows a face or a picture of one (presentation attack detection, ISO/IEC 30107-3).
//!
//! In: each face of a visit that was compared, with its frame and its feature vector. Out: a
//! [`LivenessVerdict`] on the visit so far. Cues are small parts of their own: the network looks at face
//! and surroundings, `Surroundings` at whether both move together, [`Evidence`] at whether anything
//! changes at all and whether the head has depth.
//!
//! Invariants: no weighted sum: one denying cue is an attack for the rest of the visit, and nothing
//! outvotes it; where too little was seen the verdict is undecided, which grants nothing. Nothing
//! allocates after the first frames.
//! Deliberately absent: who it is, and how long a visit lasts.

mod evidence;
mod network;
mod surroundings;

pub use evidence::{Evidence, LivenessPolicy, Mode};
pub use network::{LivenessNetwork, Look};
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
}

impl Cue {
    /// All.
    pub const ALL: [Self; 3] = [Self::Network, Self::Frozen, Self::Surroundings];

    /// Its name in records and messages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Network => "network",
            Self::Frozen => "frozen",
            Self::Surroundings => "surroundings",
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
    network: LivenessNetwork,
    surroundings: Surroundings,
    evidence: Evidence,
}

impl Liveness {
    /// Cues of which nothing has been seen.
    #[must_use]
    pub fn new(policy: LivenessPolicy, network: LivenessNetwork) -> Self {
        Self {
            policy,
            network,
            surroundings: Surroundings::default(),
            evidence: Evidence::default(),
        }
    }

    /// Sees a face that was compared: `yaw` in eye distances, as `Quality`
    /// has it. The network looks once in [`LivenessPolicy::spacing`].
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
        if self.is_due(at) {
            let look = self.network.look(frame, face)?;
            self.evidence.note_look(look, at);
            self.surroundings.see(frame, face);
            if self.motion().is_some_and(|motion| motion.is_with_the_face(self.policy.motion_min)) {
                self.evidence.latch(Cue::Surroundings);
            }
        }
        Ok(())
    }

    fn is_due(&self, at: Monotonic) -> bool {
        self.evidence.looked_at().is_none_or(|last| at.since(last) >= self.policy.spacing)
    }

    /// What is to be said of the visit so far.
    #[must_use]
    pub fn verdict(&self) -> LivenessVerdict {
        self.evidence.verdict(&self.policy)
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

    /// How the surroundings have moved, where that could be told.
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
    }
}
