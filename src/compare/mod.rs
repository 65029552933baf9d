//! Feature vectors against references: comparison scores, thresholds, search.
mod found;
mod metric;
mod subject;

pub use found::{Candidate, Match};
pub use metric::Metric;
pub use subject::{InvalidSubjectId, SubjectId};
