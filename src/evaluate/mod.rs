//! Figures over the very code that the daemon runs.
mod rate;
pub mod scene;

pub use rate::{Interval, Method, Tally};
