//! What a card says of a network that judges whether a face is covered.
//!
//! In: the section `[quality]` of a card. Out: which part of a face each number of the output stands
//! for, and which probability supports which errors. One number for each part, so that a message can
//! say what is covered.

use serde::{Deserialize, Serialize};

use super::card::{CardError, TensorFacts};
use super::liveness_head::Activation;

/// A part of a face that something can cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FacePart {
    /// By sunglasses, a hand, hair, a cap that is pulled down.
    Eyes,
    /// By a mask, a scarf, a hand.
    Mouth,
    /// By a cap or a bandage, down to the eyes.
    Brows,
    /// By a hand or a telephone.
    Cheeks,
}

impl FacePart {
    /// All.
    pub const ALL: [Self; 4] = [Self::Eyes, Self::Mouth, Self::Brows, Self::Cheeks];

    /// Its name in cards, and for machines.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Eyes => "eyes",
            Self::Mouth => "mouth",
            Self::Brows => "brows",
            Self::Cheeks => "cheeks",
        }
    }
}

/// What the outputs of such a network mean.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct QualityHead {
    /// Which part each number of the output stands for, in its order.
    pub parts: Vec<FacePart>,
    /// What makes each number a probability: `sigmoid` or `none`.
    pub activation: Activation,
    /// Which threshold supports which errors, the fewest refusals of uncovered faces first.
    #[serde(rename = "threshold")]
    pub thresholds: Vec<CoveredThreshold>,
}

/// A threshold and the errors that were measured with it, on data that the card names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CoveredThreshold {
    /// Share of uncovered faces that are taken for covered, 0 to 1.
    pub uncovered: f64,
    /// Share of covered faces that are, 0 to 1.
    pub covered: f64,
    /// The probability from which on a part is covered, 0 to 1.
    pub probability: f32,
}

impl QualityHead {
    /// The threshold for a share of refused uncovered faces: that of the largest share that is not above
    /// `uncovered`; of the smallest there is, where all are above it.
    #[must_use]
    pub fn threshold(&self, uncovered: f64) -> Option<CoveredThreshold> {
        let within = self.thresholds.iter().rev().find(|one| one.uncovered <= uncovered);
        within.or(self.thresholds.first()).copied()
    }

    /// The probability that `output` says; NaN where it says none.
    #[must_use]
    pub fn probability(&self, output: f32) -> f32 {
        match self.activation {
            Activation::Sigmoid => 1.0 / (1.0 + (-output).exp()),
            Activation::None | Activation::Softmax => output,
        }
    }

    /// Holds the section against the output that it speaks of.
    pub(super) fn check(&self, output: &TensorFacts) -> Result<(), CardError> {
        let wrong = |key, problem| Err(CardError::Inconsistent { key, problem });
        let named_twice = |(index, part): (usize, &FacePart)| {
            self.parts.iter().take(index).any(|earlier| earlier == part)
        };
        if self.parts.len() != output.len() || self.parts.iter().enumerate().any(named_twice) {
            return wrong(
                "quality.parts",
                format!(
                    "has {} names; must name each of the {} numbers of output '{}' once, with 'eyes', 'mouth', 'brows' or 'cheeks'",
                    self.parts.len(),
                    output.len(),
                    output.name
                ),
            );
        }
        if self.activation == Activation::Softmax {
            return wrong(
                "quality.activation",
                "is 'softmax', but several parts can be covered at once: must be 'sigmoid' or 'none'"
                    .to_owned(),
            );
        }
        if self.thresholds.is_empty() {
            return wrong("quality.threshold", "is missing; it needs one or more".to_owned());
        }
        let mut before: Option<&CoveredThreshold> = None;
        for threshold in &self.thresholds {
            let CoveredThreshold { uncovered, covered, probability } = threshold;
            let unit = |value: f64| (0.0..=1.0).contains(&value);
            if !(unit(*uncovered) && unit(*covered) && unit(f64::from(*probability))) {
                return wrong(
                    "quality.threshold",
                    format!("{uncovered}, {covered}, {probability} must each be 0 to 1"),
                );
            }
            if before.is_some_and(|before| {
                before.uncovered >= *uncovered || before.probability < *probability
            }) {
                return wrong(
                    "quality.threshold",
                    "must be in order: the fewest refusals of uncovered faces and the highest probability first"
                        .to_owned(),
                );
            }
            before = Some(threshold);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inference::ElementType;

    fn head() -> QualityHead {
        let of =
            |uncovered, covered, probability| CoveredThreshold { uncovered, covered, probability };
        QualityHead {
            parts: vec![FacePart::Eyes, FacePart::Mouth],
            activation: Activation::Sigmoid,
            thresholds: vec![of(0.005, 0.9, 0.8), of(0.02, 0.97, 0.5)],
        }
    }

    fn output(numbers: usize) -> TensorFacts {
        TensorFacts {
            name: "parts".to_owned(),
            shape: vec![1, numbers],
            element_type: ElementType::Float32,
            quantisation: None,
        }
    }

    #[test]
    fn the_threshold_is_that_of_the_share_asked_for() {
        let of = |share| head().threshold(share).map(|found| found.probability);
        assert_eq!([of(0.005), of(0.01), of(0.02), of(0.5)], [0.8, 0.8, 0.5, 0.5].map(Some));
        assert_eq!(of(0.001), Some(0.8), "the one that refuses the fewest");
    }

    #[test]
    fn a_number_is_a_probability_as_the_card_says() {
        let (logistic, plain) = (head(), QualityHead { activation: Activation::None, ..head() });
        assert!((logistic.probability(0.0) - 0.5).abs() < 1e-6);
        assert!(logistic.probability(9.0) > 0.999 && logistic.probability(-9.0) < 0.001);
        assert!((plain.probability(0.25) - 0.25).abs() < 1e-6);
        assert!(logistic.probability(f32::NAN).is_nan());
    }

    #[test]
    fn what_does_not_fit_is_refused_with_its_key() {
        assert_eq!(head().check(&output(2)), Ok(()));
        let first = head().thresholds[0];
        let with = |thresholds| QualityHead { thresholds, ..head() };
        for (wrong, numbers, key) in [
            (head(), 3, "quality.parts"),
            (QualityHead { parts: vec![FacePart::Eyes; 2], ..head() }, 2, "quality.parts"),
            (QualityHead { activation: Activation::Softmax, ..head() }, 2, "quality.activation"),
            (with(vec![]), 2, "quality.threshold"),
            (with(vec![CoveredThreshold { covered: 1.5, ..first }]), 2, "quality.threshold"),
            (with(vec![first, first]), 2, "quality.threshold"),
            (
                with(vec![first, CoveredThreshold { uncovered: 0.1, probability: 0.9, ..first }]),
                2,
                "quality.threshold",
            ),
        ] {
            let error = wrong.check(&output(numbers)).unwrap_err();
            assert!(
                matches!(error, CardError::Inconsistent { key: found, .. } if found == key),
                "{error:?}"
            );
        }
    }
}
