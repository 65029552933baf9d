//! The confirming stage: a second embedder judges the frame that would grant.
//!
//! In: the face that the first embedder has just judged, the subject on whom a visit agrees, the
//! first's score for it. Out: an [`Answer`]. The first network looks at every frame and costs
//! little; this one looks only where a grant hangs on it.
//!
//! The second network's own nearest subject must be the one that the visit agrees on, and the fused
//! score `w₁·s₁ + w₂·s₂` of the two cosines must reach the threshold that the fusion card's
//! calibration gives for the gallery's size. Below the gate nothing is confirmed. The first votes
//! with its own threshold as ever: this stage withholds grants, and gives none.
//!
//! Invariants: a failure is an [`Answer::Fault`], which grants nothing; whoever has no reference
//! of the second model cannot be confirmed; nothing allocates after the first faces.

use crate::align::Cutter;
use crate::compare::{
    Candidate, CompareError, Gallery, Match, Metric, Operating, SearchScratch, SubjectId,
};
use crate::decide::Answer;
use crate::detect::Detection;
use crate::embed::{Embedder, FeatureVector};
use crate::frame::Frame;
use crate::inference::{FusionCard, InferenceError, ModelId};

/// How two cosine scores become one.
#[derive(Debug, Clone, PartialEq)]
pub struct Fusion {
    /// The fusion card's name.
    pub id: ModelId,
    /// Score of the first below which nothing is confirmed, −1 to 1.
    pub gate: f32,
    /// What the first's and the second's scores weigh; together 1.
    pub weights: [f32; 2],
}

impl Fusion {
    /// What `card` says.
    #[must_use]
    pub fn of(card: &FusionCard) -> Self {
        Self {
            id: card.id.clone(),
            gate: card.gate as f32,
            weights: card.weights.map(|weight| weight as f32),
        }
    }

    /// The fused score, −1 to 1; `None` below the gate.
    #[must_use]
    pub fn score(&self, first: f32, second: f32) -> Option<f32> {
        let [one, two] = self.weights;
        (first >= self.gate).then(|| one.mul_add(first, two * second).clamp(-1.0, 1.0))
    }
}

/// The enrolled set as the second embedder knows it, and how its scores are weighed.
#[derive(Debug, Clone, PartialEq)]
pub struct Confirming {
    /// The weights.
    pub fusion: Fusion,
    /// References of the second embedder, with the fused score's threshold.
    pub gallery: Gallery,
}

/// What is at hand of the last frame's face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Crop {
    /// Nothing.
    None,
    /// What of the frame it takes to cut the face out.
    Kept,
    /// The aligned face and its vector.
    Embedded,
}

/// Why the second embedder has no answer.
#[derive(Debug, thiserror::Error)]
enum ConfirmError {
    #[error(transparent)]
    Embed(#[from] InferenceError),
    #[error(transparent)]
    Compare(#[from] CompareError),
    #[error("no aligned face is at hand, or the landmark network sees none")]
    NoFace,
}

/// The second embedder with its crop, its gallery and its scratch memory.
#[derive(Debug)]
pub struct Confirmer {
    confirming: Confirming,
    cutter: Cutter,
    embedder: Embedder,
    features: FeatureVector,
    scratch: SearchScratch,
    crop: Crop,
    every_face: bool,
}

impl Confirmer {
    /// A confirming stage; `confirming` has references of `embedder`.
    #[must_use]
    pub fn new(confirming: Confirming, cutter: impl Into<Cutter>, embedder: Embedder) -> Self {
        Self {
            features: embedder.blank(),
            scratch: SearchScratch::default(),
            crop: Crop::None,
            every_face: false,
            confirming,
            cutter: cutter.into(),
            embedder,
        }
    }

    /// Keeps the crop of every face and not only of those that may be asked about: an enrolment
    /// needs each one's vector.
    pub(crate) const fn keep_every_face(&mut self) {
        self.every_face = true;
    }

    /// Zeros, as long as what the second embedder says of a face.
    pub(crate) fn blank(&self) -> FeatureVector {
        self.embedder.blank()
    }

    /// Replaces the enrolled set.
    pub fn replace(&mut self, confirming: Confirming) {
        self.confirming = confirming;
    }

    /// Forgets the enrolled set: nobody is confirmed.
    pub(crate) fn clear(&mut self) {
        self.confirming.gallery.clear();
    }

    /// Forgets the crop: the frame at hand shows no face that counts.
    pub(crate) const fn forget(&mut self) {
        self.crop = Crop::None;
    }

    /// Keeps the crop of `face`, should it be asked about.
    pub(crate) fn keep(&mut self, frame: &Frame<'_>, face: &Detection, accepted: bool) {
        let wanted = accepted || self.every_face;
        let kept = wanted && self.cutter.keep(frame, face);
        self.crop = if kept { Crop::Kept } else { Crop::None };
    }

    /// What the second embedder says of the crop that was kept.
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails; `None` when no crop was kept, or a landmark network
    /// sees no face in it.
    pub(crate) fn features(&mut self) -> Option<Result<&FeatureVector, InferenceError>> {
        match self.crop {
            Crop::None => return None,
            Crop::Kept => {
                let face = match self.cutter.cut() {
                    Ok(face) => face?,
                    Err(error) => return Some(Err(error)),
                };
                if let Err(error) = self.embedder.embed(face, &mut self.features) {
                    return Some(Err(error));
                }
                self.crop = Crop::Embedded;
            }
            Crop::Embedded => {}
        }
        Some(Ok(&self.features))
    }

    /// Whether the crop that was kept shows `subject`, whom the first embedder gives `first`.
    pub(crate) fn judge(&mut self, subject: &SubjectId, first: f32) -> Answer {
        match self.fused(subject, first) {
            Ok(found) if found.accepted().is_some() => Answer::Pass(Some(found)),
            Ok(found) => Answer::No(Some(found)),
            Err(error) => {
                tracing::warn!(%error, "the confirming embedder failed; nothing is granted on this frame");
                Answer::Fault
            }
        }
    }

    /// The fused match: its best is `subject` or nobody.
    fn fused(&mut self, subject: &SubjectId, first: f32) -> Result<Match, ConfirmError> {
        self.features().ok_or(ConfirmError::NoFace)??;
        let Confirming { fusion, gallery } = &self.confirming;
        let found = gallery.search(&self.features, &mut self.scratch)?;
        let Operating { threshold, claimed_fmr, beyond_accepted, .. } = gallery.operating();
        let best = found.best.filter(|best| best.subject == *subject).and_then(|best| {
            let score = fusion.score(first, best.score)?;
            Some(Candidate { score, ..best })
        });
        Ok(Match {
            model: fusion.id.clone(),
            metric: Metric::Cosine,
            threshold,
            claimed_fmr,
            beyond_accepted,
            best,
            margin: found.margin,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_passes_below_the_gate() {
        let fusion = Fusion { id: ModelId::new("f").unwrap(), gate: 0.2, weights: [0.25, 0.75] };
        assert_eq!(fusion.score(0.19, 1.0), None);
        assert_eq!(fusion.score(f32::NAN, 1.0), None);
        assert_eq!(fusion.score(0.2, 0.6), Some(0.5));
        assert_eq!(fusion.score(1.0, 1.0), Some(1.0));
    }
}
