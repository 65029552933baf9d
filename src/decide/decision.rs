//! A decision, the evidence behind it, and what the daemon is asked to do with it.
//!
//! In: what a visit came to. Out: plain values that `store` records and `publish` announces, in that
//! order. Deliberately absent: names and pictures; a subject is an id.

use super::Verdict;
use crate::clock::{Monotonic, WallClock};
use crate::compare::Metric;
use crate::inference::ModelId;
use crate::liveness::LivenessEvidence;
use crate::policy::Side;

/// One visit's decision.
#[derive(Debug, Clone, PartialEq)]
pub struct Decision {
    /// Outcome, reason, subject.
    pub verdict: Verdict,
    /// The scores behind it; `None` when no face was compared.
    pub evidence: Option<Evidence>,
    /// Most faces seen in one frame of the visit.
    pub faces: u32,
    /// Frames that agree, of those considered.
    pub frames: FramesCounted,
    /// When it was made.
    pub decided_at: Monotonic,
    /// Wall clock at the last frame before it or with it; a grant is made with a frame.
    pub wall: WallClock,
    /// How long it took.
    pub latency: DecisionLatency,
    /// Whether whoever it is about acts under duress, by a PIN or a mark, or the PIN for duress was typed in
    /// the visit, also where nobody is told as a subject. It changes nothing of the verdict; the record alone tells it, and who is told by the record.
    pub duress: bool,
    /// Whether whoever is granted goes the same way a second time, where that is told and not refused.
    pub passback: bool,
    /// To which side whoever is granted goes, where that is kept: it is written with the record.
    pub passed: Option<Side>,
    /// What was seen of its liveness; `None` where nobody looks at it.
    pub liveness: Option<LivenessEvidence>,
}

/// The comparison that a decision rests on: its weakest agreeing frame for a grant, its nearest
/// for the other outcomes.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// The model that made the vectors.
    pub model: ModelId,
    /// How they were compared.
    pub metric: Metric,
    /// Comparison score; `None` when nobody is enrolled.
    pub score: Option<f32>,
    /// What it had to reach.
    pub threshold: f32,
    /// Distance to the second subject; `None` with fewer than two.
    pub margin: Option<f32>,
    /// The false match rate supported at the threshold.
    pub claimed_fmr: Option<f64>,
}

/// How many frames a decision rests on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, serde::Serialize, serde::Deserialize)]
pub struct FramesCounted {
    /// Frames that name the same subject (or all say stranger).
    pub agreeing: u32,
    /// Frames of the window (of the whole visit, where nothing was proven), but for those without a
    /// face.
    pub considered: u32,
}

/// How long a decision took, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct DecisionLatency {
    /// From the capture of the visit's first fresh frame with a face.
    pub first_frame_us: u64,
    /// From the capture of the last fresh frame with a face.
    pub last_frame_us: u64,
}

/// What the pure core asks for.
#[derive(Debug, Clone, PartialEq)]
pub enum Effect {
    /// A visit was decided: write it to the audit records, and then, where `announce` is set, say it
    /// on `access`. What could not be made durable is not announced.
    Decided {
        /// What was decided.
        decision: Decision,
        /// Whether consumers hear of it: of a visit that ended before anything was proven they do not.
        announce: bool,
    },
    /// Presence changed: how many faces there are now.
    Presence {
        /// How many; 0 is nobody.
        faces: u32,
    },
}
