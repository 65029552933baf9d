//! The crop that an embedder wants, by the keypoints that its card asks for.
//!
//! In: a frame and a detection. Out: an [`AlignedFace`]. Most embedders are content with the
//! detector's keypoints; one whose card says `keypoints_by` gets those of a landmark network.
//! Cutting has two halves, so that a crop can outlive its frame and cost little until it is needed:
//! [`Cutter::keep`] reads the frame, [`Cutter::cut`] does the rest.

use super::landmarks::Landmarker;
use super::{AlignedFace, Aligner};
use crate::detect::Detection;
use crate::frame::Frame;
use crate::inference::InferenceError;

/// Cuts faces for one embedder.
#[derive(Debug)]
pub struct Cutter {
    aligner: Aligner,
    finer: Option<Finer>,
}

/// A landmark network, and the size of the frame that it was given.
#[derive(Debug)]
struct Finer {
    landmarker: Landmarker,
    frame: (u32, u32),
}

impl From<Aligner> for Cutter {
    fn from(aligner: Aligner) -> Self {
        Self { aligner, finer: None }
    }
}

impl Cutter {
    /// Cuts by the keypoints of `landmarker`.
    #[must_use]
    pub const fn by_landmarks(aligner: Aligner, landmarker: Landmarker) -> Self {
        Self { aligner, finer: Some(Finer { landmarker, frame: (0, 0) }) }
    }

    /// Cuts the face of `detection` out of `frame`; `None` when there is no face after all.
    ///
    /// # Errors
    /// [`InferenceError`] when a landmark network fails.
    pub fn align(
        &mut self,
        frame: &Frame<'_>,
        detection: &Detection,
    ) -> Result<Option<&AlignedFace>, InferenceError> {
        if self.keep(frame, detection) { self.cut() } else { Ok(None) }
    }

    /// The face that was cut last.
    #[must_use]
    pub const fn face(&self) -> &AlignedFace {
        self.aligner.face()
    }

    /// Takes from `frame` what [`Self::cut`] needs of the face of `detection`; `false` when its
    /// keypoints coincide.
    pub fn keep(&mut self, frame: &Frame<'_>, detection: &Detection) -> bool {
        match &mut self.finer {
            None => self.aligner.align(frame, detection).is_some(),
            Some(finer) => {
                finer.frame = (frame.width(), frame.height());
                finer.landmarker.keep(frame, detection)
            }
        }
    }

    /// The face that was kept last; `None` when a landmark network sees none there.
    ///
    /// # Errors
    /// [`InferenceError`] when a landmark network fails.
    pub fn cut(&mut self) -> Result<Option<&AlignedFace>, InferenceError> {
        let Some(Finer { landmarker, frame }) = &mut self.finer else {
            return Ok(Some(self.aligner.face()));
        };
        let Some(keypoints) = landmarker.keypoints()? else { return Ok(None) };
        let cut = landmarker
            .kept_frame()
            .is_some_and(|kept| self.aligner.align_points(&kept, &keypoints).is_some());
        if !cut {
            return Ok(None);
        }
        self.aligner.place_in(landmarker.kept().pose(), *frame);
        Ok(Some(self.aligner.face()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::PixelFormat;
    use crate::geometry::{Point, Rect};
    use crate::inference::{Engine, ModelCard, Tensor};

    /// The detector's keypoints stand in the middle of 64 × 64; the landmarks may stand elsewhere.
    const LANDMARKER: &str = r#"
id = "places"
kind = "landmarker"
file = "places.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Says what it was told"
provenance = { licence = "MIT", source = "made up" }
input = { name = "crop", shape = [1, 64, 64, 3], element_type = "float32" }
normalisation = { scale = 1.0, offset = 0.0 }
alignment = { right_eye = [24.0, 24.0], left_eye = [40.0, 24.0], nose_tip = [32.0, 33.0], mouth_centre = [32.0, 42.0] }
landmarks = { values = 2, min_presence = 0.5, right_eye = [0], left_eye = [1], nose_tip = [2], mouth_centre = [3, 4] }
output = [
    { role = "landmarks", name = "places", shape = [1, 10], element_type = "float32" },
    { role = "presence", name = "there", shape = [1, 1], element_type = "float32" },
]
"#;

    const EMBEDDER: &str = r#"
id = "embedder"
kind = "embedder"
file = "embedder.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Is never run"
keypoints_by = "places"
provenance = { licence = "MIT", source = "made up" }
input = { name = "crop", shape = [1, 32, 32, 3], element_type = "float32" }
normalisation = { scale = 1.0, offset = 0.0 }
alignment = { right_eye = [8.0, 8.0], left_eye = [24.0, 8.0], nose_tip = [16.0, 17.0], mouth_centre = [16.0, 26.0] }
features = { length = 3 }
output = [{ role = "features", name = "numbers", shape = [1, 3], element_type = "float32" }]
"#;

    /// Where the landmark network says that the points are, and its logit.
    struct Told([f32; 10], f32);

    impl Engine for Told {
        fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            let [Tensor::Float32(places), Tensor::Float32(there)] = outputs else {
                unreachable!("the card says two of float32")
            };
            places.copy_from_slice(&self.0);
            there.copy_from_slice(&[self.1]);
            Ok(())
        }
    }

    /// The detector's points shifted by `dx` and `dy` in the landmarker's crop.
    fn shifted(dx: f32, dy: f32) -> [f32; 10] {
        let points = [24.0, 24.0, 40.0, 24.0, 32.0, 33.0, 28.0, 42.0, 36.0, 42.0];
        let mut at = 0;
        points.map(|value| {
            at += 1;
            value + if at % 2 == 1 { dx } else { dy }
        })
    }

    fn cutter(told: Told) -> Cutter {
        let landmarker = ModelCard::parse(LANDMARKER).unwrap();
        let aligner = Aligner::new(&ModelCard::parse(EMBEDDER).unwrap()).unwrap();
        Cutter::by_landmarks(aligner, Landmarker::new(&landmarker, Box::new(told)).unwrap())
    }

    /// Red rises to the right, green downwards, 1 each pixel.
    fn ramp() -> Vec<u8> {
        (0..128 * 128).flat_map(|i| [(i % 128) as u8, (i / 128) as u8, 7]).collect()
    }

    fn frame(bytes: &[u8]) -> Frame<'_> {
        Frame::new(bytes, PixelFormat::Rgb, (128, 128), 384, 0, Monotonic::default()).unwrap()
    }

    /// A face whose keypoints are the landmarker's template, `x` and `y` pixels into the frame.
    fn face(x: f32, y: f32) -> Detection {
        let points = [(24.0, 24.0), (40.0, 24.0), (32.0, 33.0), (32.0, 42.0)];
        let points = points.map(|(px, py)| Point::new(px + x, py + y));
        Detection::made_up(Rect::new(x, y, 64.0, 64.0), points)
    }

    #[test]
    fn the_crop_follows_the_landmarks_and_stands_in_the_frame() {
        let bytes = ramp();
        for (dx, dy) in [(0.0, 0.0), (3.0, -2.0)] {
            let mut cutter = cutter(Told(shifted(dx, dy), 9.0));
            let cut = cutter.align(&frame(&bytes), &face(20.0, 30.0)).unwrap().unwrap();
            // The embedder's right eye at (8, 8) is the landmarker's (24, 24), shifted.
            let wanted = [20.0 + 16.0 + dx, 30.0 + 16.0 + dy];
            let [red, green, _] = cut.pixels()[0].map(f32::from);
            assert!(
                (red - wanted[0]).abs() <= 1.0 && (green - wanted[1]).abs() <= 1.0,
                "{red} {green}"
            );
            let eye = cut.pose().apply(Point::new(8.0, 8.0));
            assert!(eye.distance(Point::new(44.0 + dx, 54.0 + dy)) < 0.01, "{eye:?}");
            assert!(cut.outside() <= 0.0);
        }
    }

    #[test]
    fn what_lies_outside_is_told_of_the_frame_and_not_of_the_kept_crop() {
        let bytes = ramp();
        let mut cutter = cutter(Told(shifted(0.0, 0.0), 9.0));
        let cut = cutter.align(&frame(&bytes), &face(-32.0, 0.0)).unwrap().unwrap();
        assert!((cut.outside() - 0.5).abs() < 0.02, "{}", cut.outside());
    }

    #[test]
    fn a_kept_face_can_be_cut_when_its_frame_is_gone() {
        let mut cutter = cutter(Told(shifted(0.0, 0.0), 9.0));
        {
            let bytes = ramp();
            assert!(cutter.keep(&frame(&bytes), &face(20.0, 30.0)));
        }
        assert!(cutter.cut().unwrap().is_some());
    }

    #[test]
    fn a_face_that_the_landmark_network_denies_is_none() {
        let bytes = ramp();
        let mut cutter = cutter(Told(shifted(0.0, 0.0), -0.1));
        assert_eq!(cutter.align(&frame(&bytes), &face(20.0, 30.0)).unwrap(), None);
    }

    #[test]
    fn landmarks_that_coincide_are_no_face_and_numbers_that_are_none_an_error() {
        let bytes = ramp();
        let mut coinciding = cutter(Told([9.0; 10], 9.0));
        assert_eq!(coinciding.align(&frame(&bytes), &face(20.0, 30.0)).unwrap(), None);
        for told in [Told([f32::NAN; 10], 9.0), Told(shifted(0.0, 0.0), f32::NAN)] {
            let error = cutter(told).align(&frame(&bytes), &face(20.0, 30.0)).unwrap_err();
            assert!(error.to_string().contains("places"), "{error}");
        }
    }
}
