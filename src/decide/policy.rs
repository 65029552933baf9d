//! How a visit is decided: the settings of the state machine.
//!
//! Invariant: a policy out of its stated ranges can make grants rarer, never easier: `agreeing` 0
//! counts as 1, a window shorter than `agreeing` never agrees, NaN is never reached.

use std::time::Duration;

use super::gate::Gates;
use super::tally::MAX_WINDOW;
use crate::policy::LockoutPolicy;

/// What to do when more than one face is seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SeveralFaces {
    /// No grant while several faces are seen.
    Refuse,
    /// Judge the principal face and ignore the others.
    Principal,
}

/// When a visit is decided, and how.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct VisitPolicy {
    /// Frames of the window that must name the same subject, ≥ 1.
    pub agreeing: u32,
    /// Frames that are considered, `agreeing` to [`VisitPolicy::MAX_WINDOW`].
    pub window: u32,
    /// Frames that name the same subject count once in so much time of capture.
    pub spacing: Duration,
    /// Sum of the quality weights that the agreeing frames must reach, ≥ 0.
    pub weight_min: f32,
    /// How much nearer the best subject must be than the second, in comparison score, ≥ 0.
    pub margin_min: f32,
    /// A visit ends when no face was seen for this long.
    pub absence: Duration,
    /// No second grant for the same subject within this time.
    pub cooldown: Duration,
    /// What to do with several faces.
    pub several_faces: SeveralFaces,
    /// A frame older than this proves nothing.
    pub stale: Duration,
    /// A visit that proves nothing is named after this long.
    pub timeout: Duration,
    /// What must let a proven subject pass.
    pub gates: Gates,
    /// After how many failed visits nobody is granted for a while.
    pub lockout: LockoutPolicy,
    /// For how long a second factor, and a first of two persons, counts; and how long after the first
    /// frame with a face a second factor is waited for.
    pub second: Duration,
}

impl VisitPolicy {
    /// The longest window.
    pub const MAX_WINDOW: u32 = MAX_WINDOW as u32;
}

impl Default for VisitPolicy {
    fn default() -> Self {
        Self {
            agreeing: 3,
            window: 5,
            spacing: Duration::from_millis(100),
            weight_min: 2.0,
            margin_min: 0.05,
            absence: Duration::from_millis(1500),
            cooldown: Duration::from_secs(5),
            several_faces: SeveralFaces::Refuse,
            stale: Duration::from_millis(500),
            timeout: Duration::from_secs(2),
            gates: Gates::NONE,
            lockout: LockoutPolicy::default(),
            second: Duration::from_secs(30),
        }
    }
}
