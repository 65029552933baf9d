//! Feature vectors against references: comparison scores, thresholds, search.
//!
//! In: a probe, an enrolled set of the same model. Out: a [`Match`]: the nearest subject, its
//! score, the threshold in force, the margin to the second subject, and the false match rate that
//! the calibration supports. Pure.
//!
//! Invariant: vectors of different models, or of one model used in two ways, never meet in a score.
//! Sources: Sun, Wang, Tang 2014 for the features; ISO/IEC 19795-1 for the rates.

mod found;
mod gallery;
mod indexed;
mod metric;
mod subject;
mod threshold;

pub use found::{Candidate, Likeness, Match};
pub use gallery::{CompareError, Comparer, Gallery, GalleryEntry, SearchScratch};
pub use indexed::{Indexed, Rows};
pub use metric::{Metric, Search};
pub use subject::{InvalidSubjectId, SubjectId};
pub use threshold::{
    CalibrationTable, Operating, ThresholdError, ThresholdPolicy, fmr_for, fpir_of, rate_rounded_up,
};
