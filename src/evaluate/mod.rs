//! Figures over the very code that the daemon runs.
pub mod scene;
