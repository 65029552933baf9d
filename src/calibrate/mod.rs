//! What one door may claim for the people who are enrolled at it.
//!
//! In: a gallery, and the [`Cohort`] of strangers that comes with a model. Out: rates with the counts
//! and intervals behind them ([`Tally`], [`Interval`]), and the claim that they support
//! ([`door_claim`]).
//!
//! Invariant: nothing here is a second implementation of the path: scores are those of
//! [`crate::compare`]. Deliberately absent: pictures, and figures over folders of photographs, which
//! no board needs; a build with the feature `lab` has them.

mod cohort;
mod door;
mod rate;

pub use cohort::{Cohort, CohortError, Stranger};
pub use door::{
    Attracting, ClaimVerdict, DoorClaim, GroupClaim, Near, Scores, ThresholdFor, door_claim,
};
pub use rate::{Interval, Method, Tally};
