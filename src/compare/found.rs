//! The result of searching a gallery with one probe.
//!
//! In: the nearest subject, its score, the threshold and the margin. Out: what that says of who stands
//! there ([`Likeness`]), in one place for the door and for `identify`. Invariant: a score, threshold or
//! margin that is no number accepts nobody.

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

/// What one comparison says of who stands there.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Likeness<'m> {
    /// Nobody is enrolled.
    Nobody,
    /// No subject reaches the threshold.
    Stranger,
    /// One does, and a second subject is nearly as near.
    Close,
    /// This one does, with the margin.
    Accepted(&'m Candidate),
}

impl Match {
    /// What this says where the nearest subject must be nearer than the second by `margin_min`.
    #[must_use]
    pub fn likeness(&self, margin_min: f32) -> Likeness<'_> {
        if self.best.is_none() {
            return Likeness::Nobody;
        }
        let Some(accepted) = self.accepted() else { return Likeness::Stranger };
        // Written so that NaN on either side is too close.
        if self.margin.is_none_or(|margin| margin >= margin_min) {
            Likeness::Accepted(accepted)
        } else {
            Likeness::Close
        }
    }

    /// The nearest subject, if it reaches the threshold.
    #[must_use]
    pub fn accepted(&self) -> Option<&Candidate> {
        self.best.as_ref().filter(|best| self.metric.accepts(best.score, self.threshold))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use Likeness::{Accepted, Close, Nobody, Stranger};

    #[test]
    fn what_is_no_number_finds_nobody() {
        let of = |score: Option<f32>, margin, margin_min| {
            let subject = SubjectId::new("s-00000a").unwrap();
            let best = score.map(|score| Candidate { subject, enabled: true, score });
            let found = Match {
                model: ModelId::new("deepid2").unwrap(),
                metric: Metric::Cosine,
                threshold: 0.5,
                claimed_fmr: None,
                best,
                margin,
                beyond_accepted: false,
            };
            match found.likeness(margin_min) {
                Nobody => "nobody",
                Stranger => "stranger",
                Close => "close",
                Accepted(_) => "accepted",
            }
        };
        for (score, margin, margin_min, says) in [
            (None, None, 0.1, "nobody"),
            (Some(0.4), Some(0.3), 0.1, "stranger"),
            (Some(f32::NAN), Some(0.3), 0.1, "stranger"),
            (Some(0.6), Some(0.05), 0.1, "close"),
            (Some(0.6), Some(f32::NAN), 0.1, "close"),
            (Some(0.6), Some(0.3), f32::NAN, "close"),
            (Some(0.6), Some(0.1), 0.1, "accepted"),
            (Some(0.6), None, 0.1, "accepted"),
        ] {
            assert_eq!(of(score, margin, margin_min), says, "{score:?} {margin:?} {margin_min}");
        }
    }
}
