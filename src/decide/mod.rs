//! Evidence over a visit becomes one decision.
mod decision;
mod observation;
pub mod reason;

pub use decision::{Action, Decision, DecisionLatency, Evidence, FramesCounted};
pub use observation::{FaceSeen, Fault, Observation, Seen};
pub use reason::{AmbiguousReason, DeniedReason, Outcome, UnknownReason, Verdict};
