//! What a card says of a network that tells a face from a picture of one.
//!
//! In: the section `[liveness]` of a card. Out: which part of a frame the network looks at, what its
//! output means, and which median of it over a visit supports which errors.

use serde::{Deserialize, Serialize};

use super::card::{CardError, ModelId, TensorFacts};

/// The order of the colours in the input.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Channels {
    /// Red, green, blue.
    Rgb,
    /// Blue, green, red.
    Bgr,
}

/// What makes the output probabilities.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Activation {
    /// They are some already.
    None,
    /// The logistic function of the one number.
    Sigmoid,
    /// The softmax of all numbers.
    Softmax,
}

/// How a liveness network looks, and what it means.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessHead {
    /// Side of the square that it sees, in longer sides of the detector's box, 1 to 8: the square is
    /// centred on the face, moved into the picture, and shrunk where the picture is smaller.
    pub crop: f32,
    /// The order of the colours in its input.
    pub channels: Channels,
    /// Which number of its output stands for a live face.
    pub live: usize,
    /// What makes the output probabilities.
    pub activation: Activation,
    /// A second network that looks in turn with this one, closer, at paper and ink and the edge of a mask;
    /// both judge together, and the thresholds are of both.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub closer: Option<ModelId>,
    /// Which threshold supports which errors, the lowest BPCER first; none of a network that was not
    /// measured.
    #[serde(default, rename = "threshold", skip_serializing_if = "Vec::is_empty")]
    pub thresholds: Vec<LivenessThreshold>,
}

/// A threshold and the errors that were measured with it, on data that the card names.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LivenessThreshold {
    /// Share of live visits whose median is lower, 0 to 1.
    pub bpcer: f64,
    /// Share of attacks whose median is not lower, 0 to 1.
    pub apcer: f64,
    /// The median of the live probability over a visit, 0 to 1.
    pub median: f32,
}

impl LivenessHead {
    /// The threshold for a share of refused live visits: that of the largest BPCER that is not above
    /// `bpcer`; of the smallest there is, where all are above it.
    #[must_use]
    pub fn threshold(&self, bpcer: f64) -> Option<LivenessThreshold> {
        let within = self.thresholds.iter().rev().find(|threshold| threshold.bpcer <= bpcer);
        within.or(self.thresholds.first()).copied()
    }

    /// The probability of a live face, 0 to 1, that `output` says; NaN where it says none.
    #[must_use]
    pub fn probability(&self, output: impl Fn(usize) -> f32, length: usize) -> f32 {
        let live = output(self.live);
        match self.activation {
            Activation::None => live,
            Activation::Sigmoid => 1.0 / (1.0 + (-live).exp()),
            Activation::Softmax => {
                let sum: f32 = (0..length).map(|index| (output(index) - live).exp()).sum();
                1.0 / sum
            }
        }
    }

    /// Holds the section against the output that it speaks of.
    pub(super) fn check(&self, output: &TensorFacts) -> Result<(), CardError> {
        let wrong = |key, problem| Err(CardError::Inconsistent { key, problem });
        if !(1.0..=8.0).contains(&self.crop) {
            return wrong("liveness.crop", format!("is {}; must be 1 to 8", self.crop));
        }
        if self.live >= output.len() {
            return wrong(
                "liveness.live",
                format!(
                    "is {}, but output '{}' has {} numbers",
                    self.live,
                    output.name,
                    output.len()
                ),
            );
        }
        if self.activation == Activation::Sigmoid && output.len() != 1 {
            return wrong(
                "liveness.activation",
                format!("is 'sigmoid', which is of one number; the output has {}", output.len()),
            );
        }
        let mut before: Option<&LivenessThreshold> = None;
        for threshold in &self.thresholds {
            let LivenessThreshold { bpcer, apcer, median } = threshold;
            let unit = |value: f64| (0.0..=1.0).contains(&value);
            if !(unit(*bpcer) && unit(*apcer) && unit(f64::from(*median))) {
                return wrong(
                    "liveness.threshold",
                    format!("{bpcer}, {apcer}, {median} must each be 0 to 1"),
                );
            }
            if before.is_some_and(|before| before.bpcer >= *bpcer || before.median > *median) {
                return wrong(
                    "liveness.threshold",
                    "must rise: the lowest BPCER and the lowest median first".to_owned(),
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

    fn head(activation: Activation) -> LivenessHead {
        let threshold = |bpcer, apcer, median| LivenessThreshold { bpcer, apcer, median };
        LivenessHead {
            crop: 2.7,
            channels: Channels::Rgb,
            live: 1,
            activation,
            closer: None,
            thresholds: vec![threshold(0.01, 0.1, 0.3), threshold(0.03, 0.05, 0.5)],
        }
    }

    #[test]
    fn the_threshold_is_that_of_the_errors_asked_for() {
        let head = head(Activation::Softmax);
        let median = |bpcer| head.threshold(bpcer).map(|threshold| threshold.median);
        assert_eq!((median(0.01), median(0.02)), (Some(0.3), Some(0.3)));
        assert_eq!((median(0.03), median(0.5)), (Some(0.5), Some(0.5)));
        assert_eq!(median(0.001), Some(0.3), "the one that refuses the fewest");
    }

    #[test]
    fn what_an_output_means_is_a_probability() {
        let of = |activation, output: [f32; 3]| {
            head(activation).probability(|index| output[index], output.len())
        };
        assert!((of(Activation::Softmax, [1.0, 1.0, 1.0]) - 1.0 / 3.0).abs() < 1e-6);
        assert!(of(Activation::Softmax, [-900.0, 900.0, 0.0]) > 0.999);
        assert!(of(Activation::Softmax, [900.0, -900.0, 0.0]) < 1e-6);
        assert!((of(Activation::Sigmoid, [9.0, 0.0, 9.0]) - 0.5).abs() < 1e-6);
        assert!(of(Activation::None, [0.0, f32::NAN, 0.0]).is_nan());
    }
}
