//! Whether a part of a face is covered: a small network by card, on a crop of its own.
//!
//! In: a frame and a detection. Out: the part that is covered, or nothing. A face in sunglasses looks
//! like everybody in sunglasses; so it is enrolled and compared only when it is free.
//! Clear spectacles, beards and hair that leave the eyes free cover nothing. The network sees the crop
//! and its mirror image, and the two numbers of each part are averaged.
//! Invariant: a number that is none is an error, and an error never grants. Nothing allocates.
//! Deliberately absent: which frames are worth a look; that is the recogniser's.

use crate::align::Aligner;
use crate::detect::Detection;
use crate::frame::Frame;
use crate::inference::{
    Engine, FacePart, InferenceError, ModelCard, ModelId, ModelKind, OutputPlace, OutputRole,
    PixelValues, QualityHead, Tensor,
};

/// A network that judges covered faces, with the scratch memory of its runs.
pub struct CoverJudge {
    model: ModelId,
    head: QualityHead,
    probability_min: f32,
    engine: Box<dyn Engine>,
    aligner: Aligner,
    width: usize,
    pixel_values: PixelValues,
    output: OutputPlace,
    input: Tensor,
    outputs: Vec<Tensor>,
    sums: Vec<f32>,
}

impl std::fmt::Debug for CoverJudge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("CoverJudge").field("model", &self.model).finish_non_exhaustive()
    }
}

/// What such a network says of one face.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Cover {
    /// The first part that is covered, in the card's order; where none is, the one that most probably is.
    /// Large sunglasses hide the brows too, and it is the eyes that tell what to take off.
    pub part: FacePart,
    /// How probably it is, 0 to 1.
    pub probability: f32,
    /// Whether that is enough.
    pub refused: bool,
}

impl CoverJudge {
    /// The network that `card` describes and `engine` runs; of uncovered faces it may refuse the share
    /// `uncovered`, 0 to 1.
    ///
    /// # Errors
    /// [`InferenceError::Kind`] when the card is none of such a network.
    pub fn new(
        card: &ModelCard,
        engine: Box<dyn Engine>,
        uncovered: f64,
    ) -> Result<Self, InferenceError> {
        let (Some(head), Some(output), Some(aligner), ModelKind::Quality) = (
            card.quality.clone(),
            OutputPlace::of(card, OutputRole::Covered),
            Aligner::new(card),
            card.kind,
        ) else {
            let wanted = ModelKind::Quality;
            return Err(InferenceError::Kind { model: card.id.clone(), wanted });
        };
        let threshold = head.threshold(uncovered);
        let (_, width) = card.input_size();
        Ok(Self {
            model: card.id.clone(),
            // A checked card has a threshold; without one every face would be refused.
            probability_min: threshold.map_or(0.0, |threshold| threshold.probability),
            sums: vec![0.0; head.parts.len()],
            head,
            engine,
            aligner,
            width,
            pixel_values: PixelValues::of(card),
            output,
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|output| Tensor::zeros(&output.tensor)).collect(),
        })
    }

    /// Looks at `face` in `frame`; `None` when its keypoints coincide.
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails or gives a number that is none.
    pub fn look(
        &mut self,
        frame: &Frame<'_>,
        face: &Detection,
    ) -> Result<Option<Cover>, InferenceError> {
        let Some(aligned) = self.aligner.align(frame, face) else { return Ok(None) };
        self.sums.fill(0.0);
        for mirrored in [false, true] {
            self.pixel_values.fill(&mut self.input, aligned.pixels(), self.width, mirrored);
            self.engine.run(&self.input, &mut self.outputs)?;
            for (index, sum) in self.sums.iter_mut().enumerate() {
                *sum += self.output.number(&self.outputs, index);
            }
        }
        let mut told: Option<Cover> = None;
        for (index, (part, sum)) in self.head.parts.iter().zip(&self.sums).enumerate() {
            let probability = self.head.probability(sum / 2.0);
            if probability.is_nan() {
                return Err(InferenceError::NotFinite { model: self.model.clone(), index });
            }
            let refused = probability >= self.probability_min;
            let tells_more =
                |told: Cover| !told.refused && (refused || probability > told.probability);
            if told.is_none_or(tells_more) {
                told = Some(Cover { part: *part, probability, refused });
            }
        }
        Ok(told)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use crate::geometry::{Point, Rect};

    const CARD: &str = r#"
id = "covers"
kind = "quality"
file = "covers.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Gives the red and the green of the crop's first pixel"
provenance = { licence = "MIT", source = "made up" }
input = { name = "crop", shape = [1, 32, 32, 3], element_type = "float32" }
normalisation = { scale = 0.00392156862745098, offset = 0.0 }
alignment = { right_eye = [8.0, 8.0], left_eye = [24.0, 8.0], nose_tip = [16.0, 17.0], mouth_centre = [16.0, 26.0] }
output = [{ role = "covered", name = "parts", shape = [1, 2], element_type = "float32" }]
[quality]
parts = ["eyes", "mouth"]
activation = "none"
threshold = [{ uncovered = 0.01, covered = 0.9, probability = 0.8 }, { uncovered = 0.05, covered = 0.95, probability = 0.3 }]
"#;

    struct FirstPixel;

    impl Engine for FirstPixel {
        fn run(&mut self, input: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            let (Tensor::Float32(input), [Tensor::Float32(output)]) = (input, outputs) else {
                unreachable!("the card says float32")
            };
            output.copy_from_slice(&input[..2]);
            Ok(())
        }
    }

    fn judge(uncovered: f64) -> CoverJudge {
        CoverJudge::new(&ModelCard::parse(CARD).unwrap(), Box::new(FirstPixel), uncovered).unwrap()
    }

    /// What is said of a face in a picture of one colour, whose keypoints lie on the template.
    fn said(colour: [u8; 3], uncovered: f64) -> Cover {
        let bytes = colour.repeat(32 * 32);
        let frame = Frame::new(&bytes, PixelFormat::Rgb, (32, 32), 96, 0, Monotonic::default());
        let points = [(8.0, 8.0), (24.0, 8.0), (16.0, 17.0), (16.0, 26.0)];
        let points = points.map(|(x, y)| Point::new(x, y));
        let face = Detection::made_up(Rect::new(0.0, 0.0, 32.0, 32.0), points);
        judge(uncovered).look(&frame.unwrap(), &face).unwrap().unwrap()
    }

    #[test]
    fn the_first_part_that_is_covered_is_told_or_the_most_probable_one() {
        assert_eq!(said([240, 250, 0], 0.01).part, FacePart::Eyes, "both are covered");
        assert_eq!(said([90, 100, 0], 0.01).part, FacePart::Mouth, "none is");
        let Cover { part, probability, refused } = said([0, 230, 0], 0.01);
        assert_eq!((part, refused), (FacePart::Mouth, true));
        assert!((probability - 230.0 / 255.0).abs() < 1e-3);
        assert_eq!(said([230, 10, 0], 0.01).part, FacePart::Eyes);
    }

    #[test]
    fn the_crop_and_its_mirror_image_count_alike() {
        // Green rises to the right: 0 in the first pixel, 248 in the last of the row.
        let bytes: Vec<u8> = (0..32 * 32).flat_map(|i| [0, 8 * (i % 32) as u8, 0]).collect();
        let frame = Frame::new(&bytes, PixelFormat::Rgb, (32, 32), 96, 0, Monotonic::default());
        let points = [(8.0, 8.0), (24.0, 8.0), (16.0, 17.0), (16.0, 26.0)];
        let points = points.map(|(x, y)| Point::new(x, y));
        let face = Detection::made_up(Rect::new(0.0, 0.0, 32.0, 32.0), points);
        let cover = judge(0.01).look(&frame.unwrap(), &face).unwrap().unwrap();
        assert_eq!(cover.part, FacePart::Mouth);
        assert!((cover.probability - 124.0 / 255.0).abs() < 0.01, "{cover:?}");
    }

    #[test]
    fn the_threshold_is_that_of_the_share_that_may_be_refused() {
        let refused = |share| said([0, 128, 0], share).refused;
        assert!(!refused(0.01) && refused(0.05));
    }

    #[test]
    fn keypoints_that_coincide_are_no_face_and_another_kind_of_card_no_judge() {
        let bytes = vec![0; 32 * 32 * 3];
        let frame = Frame::new(&bytes, PixelFormat::Rgb, (32, 32), 96, 0, Monotonic::default());
        let nowhere = Detection::made_up(Rect::default(), [Point::new(9.0, 9.0); 4]);
        assert_eq!(judge(0.01).look(&frame.unwrap(), &nowhere).unwrap(), None);
        let mut card = ModelCard::parse(CARD).unwrap();
        card.kind = ModelKind::Embedder;
        let error = CoverJudge::new(&card, Box::new(FirstPixel), 0.01).unwrap_err().to_string();
        assert!(error.contains("covers") && error.contains("models.quality"), "{error}");
    }
}
