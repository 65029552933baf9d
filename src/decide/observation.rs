//! What one frame showed: the input of the visit.
//!
//! In: nothing; plain values. Out: an [`Observation`] of each frame.
//! Invariant: a fault is a value of its own, which no code can take for a face.

use crate::clock::{Monotonic, WallClock};
use crate::compare::Match;
use crate::embed::Quality;

/// One frame, seen.
#[derive(Debug, Clone, PartialEq)]
pub struct Observation {
    /// The source's running number of the frame.
    pub sequence: u64,
    /// When it was captured.
    pub captured_at: Monotonic,
    /// The wall clock when it was processed.
    pub wall: WallClock,
    /// Mean luminance of the whole frame, 0 to 255; `None` where it was not read.
    pub luminance: Option<f32>,
    /// What it showed.
    pub seen: Seen,
}

/// What a frame can show. No face, several and poor ones are values; a fault is its own and can
/// never contribute to a grant.
#[derive(Debug, Clone, PartialEq)]
pub enum Seen {
    /// No face.
    NoFace,
    /// At least one face; `principal` is the largest sufficiently central one.
    Faces {
        /// How many faces, ≥ 1.
        count: u32,
        /// The face that is judged.
        principal: FaceSeen,
    },
    /// The frame could not be judged.
    Fault(Fault),
}

/// The face that is judged.
#[derive(Debug, Clone, PartialEq)]
pub struct FaceSeen {
    /// Its quality.
    pub quality: Quality,
    /// Its match; `None` exactly when `quality.fault` is set.
    pub found: Option<Match>,
}

/// Why a frame could not be judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Fault {
    /// The frame repeats an earlier one, or is older than allowed.
    Stale,
    /// The frame was short or could not be decoded.
    Unreadable,
    /// An engine failed or gave numbers that are not finite.
    Engine,
    /// The gallery cannot be read.
    Store,
}
