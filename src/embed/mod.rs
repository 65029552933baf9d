//! An aligned face becomes a feature vector.
//!
//! In: an [`AlignedFace`]. Out: a [`FeatureVector`] that carries the model's key, and the
//! [`Quality`] of the crop; and whether something covers the face ([`CoverJudge`]). With mirrored averaging the network sees the crop and its mirror image
//! and the two vectors are averaged, which halves the effect of a half-turned head.
//!
//! Invariant: a vector has exactly the card's length and only finite numbers.
//! Source of the network: Sun, Wang, Tang 2014 (DeepID2), section 2.

mod covers;
mod feature;
pub mod quality;

pub use covers::{Cover, CoverJudge};
pub use feature::{FeatureVector, NotFinite};
pub use quality::{Quality, QualityFault, QualityLimits};

use crate::align::AlignedFace;
use crate::inference::{
    Engine, InferenceError, ModelId, ModelKey, ModelKind, OutputPlace, OutputRole, PixelValues,
    Procedure, Tensor,
};

/// An embedding model with the scratch memory of its runs.
pub struct Embedder {
    key: ModelKey,
    engine: Box<dyn Engine>,
    width: usize,
    pixel_values: PixelValues,
    output: OutputPlace,
    mirrored: bool,
    input: Tensor,
    outputs: Vec<Tensor>,
    sums: Vec<f32>,
}

impl std::fmt::Debug for Embedder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Embedder").field("key", &self.key).finish_non_exhaustive()
    }
}

impl Embedder {
    /// The embedder of `procedure`, which `engine` runs. The crops that it is given must be cut as
    /// that procedure says.
    ///
    /// # Errors
    /// [`InferenceError::Kind`] when the card is not an embedder's.
    pub fn new(procedure: &Procedure<'_>, engine: Box<dyn Engine>) -> Result<Self, InferenceError> {
        let card = procedure.embedder;
        let (Some(output), Some(facts), ModelKind::Embedder) =
            (OutputPlace::of(card, OutputRole::Features), &card.features, card.kind)
        else {
            return Err(InferenceError::Kind {
                model: card.id.clone(),
                wanted: ModelKind::Embedder,
            });
        };
        let (_, width) = card.input_size();
        Ok(Self {
            key: procedure.key(),
            engine,
            width,
            pixel_values: PixelValues::of(card),
            output,
            mirrored: procedure.mirrored,
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect(),
            sums: vec![0.0; facts.length],
        })
    }

    /// The model's name.
    #[must_use]
    pub const fn model(&self) -> &ModelId {
        &self.key.id
    }

    /// The model and the procedure that its vectors are of.
    #[must_use]
    pub const fn key(&self) -> &ModelKey {
        &self.key
    }

    /// A vector of zeros of this model, to be filled by [`Self::embed`].
    #[must_use]
    pub fn blank(&self) -> FeatureVector {
        FeatureVector::zeros(self.key.clone(), self.sums.len())
    }

    /// Embeds `face` into `into`, without allocating when `into` was made by [`Self::blank`].
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails or gives numbers that are not finite.
    pub fn embed(
        &mut self,
        face: &AlignedFace,
        into: &mut FeatureVector,
    ) -> Result<(), InferenceError> {
        self.sums.fill(0.0);
        self.run(face.pixels(), false)?;
        if self.mirrored {
            self.run(face.pixels(), true)?;
            for value in &mut self.sums {
                *value /= 2.0;
            }
        }
        into.refill(&self.key, &self.sums)
            .map_err(|NotFinite { model, index }| InferenceError::NotFinite { model, index })
    }

    fn run(&mut self, pixels: &[[u8; 3]], mirrored: bool) -> Result<(), InferenceError> {
        self.pixel_values.fill(&mut self.input, pixels, self.width, mirrored);
        self.engine.run(&self.input, &mut self.outputs)?;
        for (index, sum) in self.sums.iter_mut().enumerate() {
            *sum += self.output.number(&self.outputs, index);
        }
        Ok(())
    }

    /// The raw output of the last run, for tests that compare it bit by bit.
    #[must_use]
    pub fn raw_output(&self) -> Option<&Tensor> {
        self.output.tensor(&self.outputs)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::align::Aligner;
    use crate::clock::Monotonic;
    use crate::frame::{Frame, PixelFormat};
    use crate::inference::ModelCard;

    const CARD: &str = r#"
id = "corners"
kind = "embedder"
file = "corners.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Gives the red of the crop's first two pixels and the green of its last"
provenance = { licence = "MIT", source = "made up" }
input = { name = "crop", shape = [1, 55, 47, 3], element_type = "float32" }
normalisation = { scale = 1.0, offset = 0.0 }
alignment = { right_eye = [16.0, 22.5], left_eye = [32.0, 22.5], nose_tip = [24.0, 31.6], mouth_centre = [24.0, 41.0] }
features = { length = 3 }
[[output]]
role = "features"
name = "numbers"
shape = [1, 3]
element_type = "float32"
"#;

    struct Corners;

    impl Engine for Corners {
        fn run(&mut self, input: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            let (Tensor::Float32(input), [Tensor::Float32(output)]) = (input, outputs) else {
                unreachable!("the card says float32")
            };
            output.copy_from_slice(&[input[0], input[3], input[input.len() - 2]]);
            Ok(())
        }
    }

    /// The features of a crop whose red is the column and whose green twice the column.
    fn features(mirrored: bool) -> Vec<f32> {
        let card = ModelCard::parse(CARD).unwrap();
        let pixels: Vec<u8> =
            (0..47 * 55).flat_map(|i| [(i % 47) as u8, 2 * (i % 47) as u8, 9]).collect();
        let frame =
            Frame::new(&pixels, PixelFormat::Rgb, (47, 55), 141, 0, Monotonic::default()).unwrap();
        let mut aligner = Aligner::new(&card).unwrap();
        let template = card.alignment.unwrap().points();
        let face = aligner.align_points(&frame, &template).unwrap();
        let procedure = Procedure { embedder: &card, landmarker: None, mirrored };
        let mut embedder = Embedder::new(&procedure, Box::new(Corners)).unwrap();
        let mut vector = embedder.blank();
        // A second face must not remember the first.
        embedder.embed(face, &mut vector).unwrap();
        embedder.embed(face, &mut vector).unwrap();
        vector.values().to_vec()
    }

    #[test]
    fn mirrored_averaging_is_the_mean_of_the_crop_and_of_its_mirror_image() {
        // First pixels: red 0 and 1, mirrored 46 and 45. Last pixel: green 92, mirrored 0.
        assert_eq!(features(false), [0.0, 1.0, 92.0]);
        assert_eq!(features(true), [23.0, 23.0, 46.0]);
    }

    #[test]
    fn a_detectors_card_makes_no_embedder() {
        let mut card = ModelCard::parse(CARD).unwrap();
        card.kind = ModelKind::Detector;
        let procedure = Procedure { embedder: &card, landmarker: None, mirrored: true };
        let error = Embedder::new(&procedure, Box::new(Corners)).unwrap_err().to_string();
        assert!(error.contains("corners") && error.contains("models.embedder"), "{error}");
    }
}
