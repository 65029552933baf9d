//! A frame becomes face detections; any single-shot detector (SSD) described by its card will do.
//!
//! In: a [`Frame`](crate::frame::Frame) and the region of it to look at. Out: [`Detections`] in the frame's own pixels,
//! best score first: box, keypoints, score 0 to 1; and of a detection, how the face stands
//! ([`Orientation`]). The region is letterboxed, never stretched, and
//! the same value undoes it.
//!
//! Invariants: every number of a detection is finite; a detector that gives NaN is an error, never
//! an empty list. Deliberately absent: memory of earlier frames; [`Follower`] keeps that, and the
//! stages here stay pure but for the engine.
//! Sources: Liu et al. 2016 (SSD); Bazarevsky et al. 2019 (BlazeFace: anchors, keypoints, weighted
//! suppression).

mod belief;
mod changed;
mod follow;
mod orientation;
mod ssd;
mod still;
mod suppress;
mod zones;

pub use belief::Belief;
pub use follow::{Follower, FollowerSettings, Strategy};
pub use orientation::Orientation;
pub use ssd::SsdDetector;
pub use still::{STILL_AFTER, StillFace, StillFaces};
pub use zones::{RECTANGLES_MAX, Zones};

use std::borrow::Cow;

use crate::geometry::{Point, Rect};
use crate::inference::{InferenceError, KEYPOINTS_OF_TEMPLATE};
use crate::remedy::Remedied;

/// One face found in a frame.
///
/// Anybody may read one:
/// ```no_run
/// use deepid_edge::{detect::Detection, geometry::{Point, Rect}};
/// fn read(detection: &Detection) -> (Rect, &[Point; 4], f32) {
///     (detection.bounds(), detection.keypoints(), detection.score())
/// }
/// ```
/// Only this room makes one, so that whatever is aligned was detected:
/// ```compile_fail,E0451
/// use deepid_edge::{detect::Detection, geometry::{Point, Rect}};
/// fn make(bounds: Rect, keypoints: [Point; 4]) -> Detection {
///     Detection { bounds, keypoints, score: 1.0 }
/// }
/// ```
/// And nobody changes one:
/// ```compile_fail,E0616
/// use deepid_edge::detect::Detection;
/// fn change(detection: &mut Detection) {
///     detection.score = 1.0;
/// }
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Detection {
    bounds: Rect,
    keypoints: [Point; KEYPOINTS_OF_TEMPLATE],
    score: f32,
}

impl Detection {
    /// The face's bounding box in pixels of the frame; it may reach beyond it.
    #[must_use]
    pub const fn bounds(&self) -> Rect {
        self.bounds
    }

    /// Right eye, left eye (the subject's own), nose tip, mouth centre, in pixels of the frame.
    #[must_use]
    pub const fn keypoints(&self) -> &[Point; KEYPOINTS_OF_TEMPLATE] {
        &self.keypoints
    }

    /// The detector's confidence, 0 to 1.
    #[must_use]
    pub const fn score(&self) -> f32 {
        self.score
    }

    /// A face that nobody detected, for the tests of other rooms.
    #[cfg(test)]
    pub(crate) const fn made_up(bounds: Rect, keypoints: [Point; KEYPOINTS_OF_TEMPLATE]) -> Self {
        Self { bounds, keypoints, score: 1.0 }
    }

    /// By how much the face is tilted clockwise, in radians, −π to π, as far as its keypoints tell.
    #[must_use]
    pub fn roll(&self) -> f32 {
        let [right_eye, left_eye, _, mouth] = self.keypoints;
        let (across_x, across_y) = (left_eye.x - right_eye.x, left_eye.y - right_eye.y);
        let down_x = mouth.x - right_eye.x.midpoint(left_eye.x);
        let down_y = mouth.y - right_eye.y.midpoint(left_eye.y);
        // Down from the eyes, turned back by a quarter, is across.
        (across_y - down_x).atan2(across_x + down_y)
    }

    /// Distance between the eyes in pixels of the frame.
    #[must_use]
    pub fn eye_distance(&self) -> f32 {
        let [right_eye, left_eye, ..] = self.keypoints;
        right_eye.distance(left_eye)
    }
}

/// The faces of one frame, best score first; the memory is reused from frame to frame.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Detections(Vec<Detection>);

impl Detections {
    /// The faces, best score first.
    #[must_use]
    pub fn as_slice(&self) -> &[Detection] {
        &self.0
    }

    /// Forgets them.
    pub fn clear(&mut self) {
        self.0.clear();
    }

    /// The face to be judged: the largest among those whose centre lies in the middle part of the
    /// frame (`central` of its width and height, 0 to 1); the largest of all when none does. Of
    /// equally large ones the one with the best score.
    #[must_use]
    pub fn principal(&self, (width, height): (u32, u32), central: f32) -> Option<&Detection> {
        let is_central = |d: &Detection| {
            let centre = d.bounds.centre();
            (centre.x / width as f32 - 0.5).abs() <= central / 2.0
                && (centre.y / height as f32 - 0.5).abs() <= central / 2.0
        };
        let largest = |a: &&Detection, b: &&Detection| a.bounds.area().total_cmp(&b.bounds.area());
        // Of equals `max_by` takes the last, and the best score stands first.
        let from_the_last = || self.0.iter().rev();
        from_the_last()
            .filter(|d| is_central(d))
            .max_by(largest)
            .or_else(|| from_the_last().max_by(largest))
    }
}

/// What may make detection fail.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The card does not describe a detector, or the engine failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}

impl Remedied for DetectError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        let Self::Inference(error) = self;
        error.remedy()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Monotonic;
    use crate::frame::{Frame, PixelFormat};
    use crate::inference::{Engine, ModelCard, ModelKind, Tensor};

    /// Which of `faces`, squares of a side around a centre, best score first, is judged in a frame
    /// of 640×480 with the middle half as its central part.
    fn principal(faces: &[(f32, (f32, f32))]) -> Option<usize> {
        let made_up = |(index, &(side, (x, y))): (usize, &(f32, (f32, f32)))| Detection {
            score: 0.9 - index as f32 / 10.0,
            ..Detection::made_up(Rect::square_around(Point::new(x, y), side), [Point::new(x, y); 4])
        };
        let detections = Detections(faces.iter().enumerate().map(made_up).collect());
        let chosen = detections.principal((640, 480), 0.5)?;
        detections.as_slice().iter().position(|face| face == chosen)
    }

    #[test]
    fn the_face_to_be_judged_is_the_largest_central_one_else_the_largest() {
        // The central part is 160 to 480 across and 120 to 360 down.
        let (middle, left, top) = ((320.0, 240.0), (60.0, 240.0), (320.0, 60.0));
        for (faces, wanted, why) in [
            (&[][..], None, "nobody"),
            (&[(40.0, left)], Some(0), "one face is judged wherever it is"),
            (&[(40.0, middle), (60.0, middle)], Some(1), "the largest of the central ones"),
            (&[(60.0, middle), (40.0, middle)], Some(0), "in whatever order"),
            (&[(200.0, left), (40.0, middle)], Some(1), "central comes before large, across"),
            (&[(200.0, top), (40.0, middle)], Some(1), "and down"),
            (&[(40.0, left), (50.0, top)], Some(1), "the largest of all when none is central"),
            (
                &[(50.0, (160.0, 120.0)), (90.0, left)],
                Some(0),
                "the edge of the part belongs to it",
            ),
            (&[(50.0, (159.0, 240.0)), (90.0, left)], Some(1), "a pixel beyond it does not"),
            (&[(50.0, (480.0, 360.0)), (90.0, left)], Some(0), "nor at the other edge"),
            (&[(50.0, (320.0, 361.0)), (90.0, left)], Some(1), "beyond the other edge"),
            (&[(50.0, middle), (50.0, (300.0, 200.0))], Some(0), "of equals the best score"),
            (&[(50.0, left), (50.0, top)], Some(0), "of equals none of which is central, too"),
        ] {
            assert_eq!(principal(faces), wanted, "{why}: {faces:?}");
        }
    }

    #[test]
    fn the_whole_frame_is_central_if_so_asked_and_only_its_middle_at_0() {
        let face = |side, x| {
            Detection::made_up(
                Rect::square_around(Point::new(x, 240.0), side),
                [Point::default(); 4],
            )
        };
        let faces = Detections(vec![face(40.0, 320.0), face(90.0, 0.0)]);
        let side = |central| faces.principal((640, 480), central).map(|d| d.bounds().width);
        assert_eq!(side(1.0), Some(90.0));
        assert_eq!(side(0.0), Some(40.0));
    }

    #[test]
    fn a_tilted_face_says_so_by_its_keypoints() {
        let upright = [(10.0, 20.0), (30.0, 20.0), (20.0, 30.0), (20.0, 40.0)];
        for degrees in [0.0_f32, 20.0, -35.0, 90.0, -90.0, 170.0] {
            let (sin, cos) = degrees.to_radians().sin_cos();
            let turned = |(x, y): (f32, f32)| Point::new(cos * x - sin * y, sin * x + cos * y);
            let face = Detection::made_up(Rect::default(), upright.map(turned));
            let found = face.roll().to_degrees();
            assert!((found - degrees).abs() < 0.01, "{degrees}: {found}");
        }
    }

    const CARD: &str = r#"
id = "three"
kind = "detector"
file = "three.tflite"
sha256 = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
title = "Three faces, 8, 16 and 32 pixels wide in a region of 64"
provenance = { licence = "MIT", source = "made up" }
input = { name = "picture", shape = [1, 4, 4, 3], element_type = "float32" }
normalisation = { scale = 1.0, offset = 0.0 }
ssd = { anchors = [{ grid = 1, per_cell = 3 }], box_scale = 64.0, keypoints = 4, score_clip = 100.0, min_score = 0.5, suppression_overlap = 0.3 }
[[output]]
role = "boxes"
name = "boxes"
shape = [1, 3, 12]
element_type = "float32"
[[output]]
role = "scores"
name = "scores"
shape = [1, 3, 1]
element_type = "float32"
"#;

    struct Three;

    impl Engine for Three {
        fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
            let [Tensor::Float32(boxes), Tensor::Float32(scores)] = outputs else {
                unreachable!("the card says float32")
            };
            for (index, (row, side)) in boxes.chunks_mut(12).zip([8.0, 16.0, 32.0]).enumerate() {
                let x = 40.0 * index as f32 - 40.0;
                row.copy_from_slice(&[x, 0.0, side, side, x, 0.0, x, 0.0, x, 0.0, x, 0.0]);
            }
            scores.copy_from_slice(&[3.0, 2.0, 1.0]);
            Ok(())
        }
    }

    #[test]
    fn faces_below_the_minimum_are_ignored_and_one_at_it_is_not() {
        let card = ModelCard::parse(CARD).unwrap();
        let mut detector = SsdDetector::new(&card, Box::new(Three), None).unwrap();
        let pixels = [0; 64 * 64];
        let frame =
            Frame::new(&pixels, PixelFormat::Grey, (64, 64), 64, 0, Monotonic::default()).unwrap();
        for (minimum, wanted) in [
            (0.0, &[8.0, 16.0, 32.0][..]),
            (8.0, &[8.0, 16.0, 32.0]),
            (8.5, &[16.0, 32.0]),
            (16.0, &[16.0, 32.0]),
            (20.0, &[32.0]),
            (33.0, &[]),
        ] {
            let mut faces = Detections::default();
            detector.detect(&frame, SsdDetector::whole(&frame), minimum, &mut faces).unwrap();
            let found: Vec<f32> =
                faces.as_slice().iter().map(|d| d.bounds().width.round()).collect();
            assert_eq!(found, wanted, "at least {minimum} px");
            // In a region twice as wide the same rows are twice as large.
            let twice = Rect::new(-32.0, -32.0, 128.0, 128.0);
            detector.detect(&frame, twice, minimum * 2.0, &mut faces).unwrap();
            assert_eq!(
                faces.as_slice().len(),
                wanted.len(),
                "the minimum is in the frame's pixels"
            );
        }
    }

    #[test]
    fn an_embedders_card_makes_no_detector() {
        let mut card = ModelCard::parse(CARD).unwrap();
        card.kind = ModelKind::Embedder;
        let error = SsdDetector::new(&card, Box::new(Three), None).unwrap_err().to_string();
        assert!(error.contains("three") && error.contains("models.find"), "{error}");
    }
}
