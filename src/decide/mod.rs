//! Evidence over a visit becomes one decision.
//!
//! In: an [`Observation`] for each frame, and the time. Out: [`Effect`]s: what is decided, and
//! whether somebody is there. Pure: no clock, no file, no socket; [`Visit::poll_at`]
//! says when it wants to be asked again without a frame.
//!
//! Invariants: a [`Decision`] is recorded before it is published; a visit gives one decision or
//! none; whatever is in doubt ends without a grant. `tests/data/decide/*.txt` has the cases.

mod decision;
mod gate;
mod naming;
mod observation;
mod policy;
mod proofs;
pub mod reason;
mod tally;
mod visit;
mod watching;

pub use decision::{Decision, DecisionLatency, Effect, Evidence, FramesCounted};
pub use gate::{Answer, Gate, Gates, Question, Refusal};
pub use observation::{FaceSeen, Fault, Observation, Seen};
pub use policy::{SeveralFaces, VisitPolicy};
pub use reason::{AmbiguousReason, DeniedReason, Outcome, UnknownReason, Verdict};
pub use visit::Visit;
