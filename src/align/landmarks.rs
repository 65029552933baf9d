//! Finer keypoints of one face, by a landmark network.
//!
//! In: a frame and a detection. Out: the four keypoints of a template, in pixels of a crop that is
//! kept here, upright and large enough to be cut again. The crop is taken at once, which is cheap;
//! the network runs when somebody asks, because a confirming stage asks about few faces.
//!
//! Invariant: a face whose presence is below the card's is no face, whatever the landmarks say.
//! Source of the network and of its landmarks' numbers: MediaPipe Face Mesh, Kartynnik et al. 2019.

use super::{AlignedFace, Aligner};
use crate::clock::Monotonic;
use crate::detect::Detection;
use crate::frame::{Frame, PixelFormat};
use crate::geometry::Point;
use crate::inference::{
    Engine, InferenceError, KEYPOINTS_OF_TEMPLATE, LandmarksHead, ModelCard, ModelId, ModelKind,
    OutputPlace, OutputRole, PixelValues, Tensor,
};

/// A landmark network with its crop and the scratch memory of its runs.
pub struct Landmarker {
    model: ModelId,
    head: LandmarksHead,
    engine: Box<dyn Engine>,
    aligner: Aligner,
    pixel_values: PixelValues,
    landmarks: OutputPlace,
    presence: OutputPlace,
    input: Tensor,
    outputs: Vec<Tensor>,
}

impl std::fmt::Debug for Landmarker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Landmarker").field("model", &self.model).finish_non_exhaustive()
    }
}

impl Landmarker {
    /// A landmarker that `card` describes and `engine` runs.
    ///
    /// # Errors
    /// [`InferenceError::Kind`] when the card is not a landmarker's.
    pub fn new(card: &ModelCard, engine: Box<dyn Engine>) -> Result<Self, InferenceError> {
        let (Some(head), Some(aligner), Some(landmarks), Some(presence), ModelKind::Landmarker) = (
            card.landmarks.clone(),
            Aligner::new(card),
            OutputPlace::of(card, OutputRole::Landmarks),
            OutputPlace::of(card, OutputRole::Presence),
            card.kind,
        ) else {
            return Err(InferenceError::Kind {
                model: card.id.clone(),
                wanted: ModelKind::Landmarker,
            });
        };
        Ok(Self {
            model: card.id.clone(),
            pixel_values: PixelValues::of(card),
            input: Tensor::zeros(&card.input),
            outputs: card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect(),
            head,
            engine,
            aligner,
            landmarks,
            presence,
        })
    }

    /// Keeps what the network is to look at; `false` when the detection's keypoints coincide.
    pub fn keep(&mut self, frame: &Frame<'_>, detection: &Detection) -> bool {
        self.aligner.align(frame, detection).is_some()
    }

    /// The crop that was kept last.
    #[must_use]
    pub const fn kept(&self) -> &AlignedFace {
        self.aligner.face()
    }

    /// The same as a frame, to be cut again. Who took it, and when, is not told.
    pub(super) fn kept_frame(&self) -> Option<Frame<'_>> {
        let kept = self.kept();
        let (width, height) = (u32::try_from(kept.width()), u32::try_from(kept.height()));
        let size = (width.ok()?, height.ok()?);
        let (bytes, stride) = (kept.pixels().as_flattened(), kept.width() * 3);
        Frame::new(bytes, PixelFormat::Rgb, size, stride, 0, Monotonic::default()).ok()
    }

    /// Right eye, left eye, nose tip and mouth centre in pixels of the crop that was kept; `None`
    /// when the network sees no face there.
    ///
    /// # Errors
    /// [`InferenceError`] when the engine fails or gives numbers that are not finite.
    pub fn keypoints(&mut self) -> Result<Option<[Point; KEYPOINTS_OF_TEMPLATE]>, InferenceError> {
        let face = self.aligner.face();
        self.pixel_values.fill(&mut self.input, face.pixels(), face.width(), false);
        self.engine.run(&self.input, &mut self.outputs)?;
        let not_finite = |index| InferenceError::NotFinite { model: self.model.clone(), index };
        let logit = self.presence.number(&self.outputs, 0);
        if logit.is_nan() {
            return Err(not_finite(0));
        }
        if 1.0 / (1.0 + (-logit).exp()) < self.head.min_presence {
            return Ok(None);
        }
        let mut keypoints = [Point::default(); KEYPOINTS_OF_TEMPLATE];
        for (keypoint, (_, chosen)) in keypoints.iter_mut().zip(self.head.keypoints()) {
            let (mut x, mut y) = (0.0, 0.0);
            for &landmark in chosen {
                let at = landmark * self.head.values;
                x += self.landmarks.number(&self.outputs, at);
                y += self.landmarks.number(&self.outputs, at + 1);
            }
            let count = chosen.len() as f32;
            *keypoint = Point::new(x / count, y / count);
            if !(keypoint.x.is_finite() && keypoint.y.is_finite()) {
                return Err(not_finite(chosen.first().map_or(0, |first| first * self.head.values)));
            }
        }
        Ok(Some(keypoints))
    }
}
