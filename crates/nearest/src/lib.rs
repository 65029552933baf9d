//! The nearest of many unit vectors: a graph over eight-bit codes for a quick answer, and a bound on
//! what the codes leave out for an exact one.
//!
//! In: unit vectors of one length, as rows. Out: [`Codes`] (a quarter of their memory); a [`Graph`] that
//! leads to the nearest rows in about a thousand comparisons, whatever their number; the interval in which
//! an exact product lies.
//!
//! Invariants: all arithmetic of a search is in whole numbers, so that every machine finds the same; a
//! search allocates nothing once its [`Scratch`] has grown; no graph, however damaged, makes it panic or
//! run for ever: a link that leads nowhere is passed over. Deliberately absent: files, threads, clocks,
//! and what a row stands for.
//!
//! Source: Malkov and Yashunin, "Efficient and robust approximate nearest neighbor search using
//! Hierarchical Navigable Small World graphs", 2016 (algorithms 1, 2, 4 and 5).

mod build;
mod codes;
mod graph;
mod stored;

pub use build::Builder;
pub use codes::{Codes, Probe};
pub use graph::{Found, Graph, Reach, Scratch};
pub use stored::NotAGraph;

/// A node that does not exist: an empty place among links, or a row that is gone.
pub const NONE: u32 = u32::MAX;
