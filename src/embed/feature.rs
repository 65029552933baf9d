//! The feature vector: what an embedder says of one face.

use crate::inference::ModelId;

/// The numbers that one embedder gives for one aligned face (DeepID2: 160, each ≥ 0), with the
/// name of the model that made them, because vectors of different models must never be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureVector {
    model: ModelId,
    values: Vec<f32>,
}

impl FeatureVector {
    /// Takes the output of `model`. Only `embed` (from inference) and `store` (from disk) have
    /// reason to call this.
    ///
    /// # Errors
    /// [`NotFinite`] when a value is NaN or infinite.
    pub fn new(model: ModelId, values: Vec<f32>) -> Result<Self, NotFinite> {
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(Self { model, values }),
            Some(index) => Err(NotFinite { model, index }),
        }
    }

    /// The model that made it.
    #[must_use]
    pub const fn model(&self) -> &ModelId {
        &self.model
    }

    /// The numbers, all finite.
    #[must_use]
    pub fn values(&self) -> &[f32] {
        &self.values
    }
}

/// A model gave NaN or infinity.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "model {model}: output {index} is not a finite number; check the model file with 'deepid-edge doctor'"
)]
pub struct NotFinite {
    /// The model.
    pub model: ModelId,
    /// Which of its outputs.
    pub index: usize,
}
