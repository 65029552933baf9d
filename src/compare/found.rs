//! The result of searching a gallery with one probe.

use super::{Metric, SubjectId};
use crate::inference::ModelId;

/// The subject nearest to a probe.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Who.
    pub subject: SubjectId,
    /// Whether the subject is enabled; a disabled one is recognised and denied.
    pub enabled: bool,
    /// Comparison score in the sense of the match's metric.
    pub score: f32,
}

/// One probe against the whole gallery.
#[derive(Debug, Clone, PartialEq)]
pub struct Match {
    /// The model that made probe and references.
    pub model: ModelId,
    /// How they were compared.
    pub metric: Metric,
    /// What a score has to reach.
    pub threshold: f32,
    /// The false match rate that the calibration supports at this threshold, for one comparison;
    /// `None` when the threshold was set by hand and the card has no calibration that covers it.
    pub claimed_fmr: Option<f64>,
    /// The nearest subject; `None` when the gallery is empty.
    pub best: Option<Candidate>,
    /// How much nearer the best is than the second *subject*, ≥ 0; `None` with fewer than two.
    pub margin: Option<f32>,
    /// Whether the claim behind this threshold is worse than what is accepted: nobody may be granted.
    pub beyond_accepted: bool,
}

impl Match {
    /// The nearest subject, if it reaches the threshold.
    #[must_use]
    pub fn accepted(&self) -> Option<&Candidate> {
        self.best.as_ref().filter(|best| self.metric.accepts(best.score, self.threshold))
    }
}
