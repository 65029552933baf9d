//! Figures over the very code that the daemon runs.
