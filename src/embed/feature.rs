//! The feature vector: what an embedder says of one face.
//!
//! In: numbers and the model that gave them. Out: a value that can only be compared with its like.
//! Invariant: every number is finite.

use crate::inference::{ModelId, ModelKey};

/// The numbers that one embedder gives for one aligned face (DeepID2: 160, each ≥ 0), with the
/// model and the procedure that made them, because vectors of different ones must never be compared.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureVector {
    key: ModelKey,
    values: Vec<f32>,
}

impl FeatureVector {
    /// Takes the output of `key`. Only `embed` (from inference) and `store` (from disk) have
    /// reason to call this.
    ///
    /// # Errors
    /// [`NotFinite`] when a value is NaN or infinite.
    pub fn new(key: ModelKey, values: Vec<f32>) -> Result<Self, NotFinite> {
        match values.iter().position(|v| !v.is_finite()) {
            None => Ok(Self { key, values }),
            Some(index) => Err(NotFinite { model: key.id, index }),
        }
    }

    /// Zeros, to be filled by an embedder.
    pub(super) fn zeros(key: ModelKey, length: usize) -> Self {
        Self { key, values: vec![0.0; length] }
    }

    /// Replaces the numbers in place; nothing is changed when one of them is not finite.
    pub(super) fn refill(&mut self, key: &ModelKey, values: &[f32]) -> Result<(), NotFinite> {
        if let Some(index) = values.iter().position(|v| !v.is_finite()) {
            return Err(NotFinite { model: key.id.clone(), index });
        }
        self.key.clone_from(key);
        self.values.clear();
        self.values.extend_from_slice(values);
        Ok(())
    }

    /// Becomes the same as `other`, in the memory that it has.
    pub fn copy_from(&mut self, other: &Self) {
        self.key.clone_from(&other.key);
        self.values.clear();
        self.values.extend_from_slice(&other.values);
    }

    /// The model and the procedure that made it.
    #[must_use]
    pub const fn key(&self) -> &ModelKey {
        &self.key
    }

    /// The model that made it.
    #[must_use]
    pub const fn model(&self) -> &ModelId {
        &self.key.id
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
