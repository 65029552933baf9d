//! A frame becomes face detections; any single-shot detector (SSD) described by its card will do.
//!
//! In: a [`Frame`](crate::frame::Frame) and the region of it to look at. Out: [`Detections`] in the frame's own pixels,
//! best score first: box, keypoints, score 0 to 1. The region is letterboxed, never stretched, and
//! the same value undoes it.
//!
//! Invariants: every number of a detection is finite; a detector that gives NaN is an error, never
//! an empty list. Deliberately absent: memory of earlier frames; [`Follower`] keeps that, and the
//! stages here stay pure but for the engine.
//! Sources: Liu et al. 2016 (SSD); Bazarevsky et al. 2019 (BlazeFace: anchors, keypoints, weighted
//! suppression).

mod follow;
mod ssd;
mod suppress;

pub use follow::{Follower, FollowerSettings, Strategy};
pub use ssd::SsdDetector;

use crate::geometry::{Point, Rect};
use crate::inference::{InferenceError, KEYPOINTS_OF_TEMPLATE};

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

    /// The face to be judged: the largest among those whose centre lies in the middle part of the
    /// frame (`central` of its width and height, 0 to 1); the largest of all when none does.
    #[must_use]
    pub fn principal(&self, (width, height): (u32, u32), central: f32) -> Option<&Detection> {
        let is_central = |d: &Detection| {
            let centre = d.bounds.centre();
            (centre.x / width as f32 - 0.5).abs() <= central / 2.0
                && (centre.y / height as f32 - 0.5).abs() <= central / 2.0
        };
        let largest = |a: &&Detection, b: &&Detection| a.bounds.area().total_cmp(&b.bounds.area());
        self.0
            .iter()
            .filter(|d| is_central(d))
            .max_by(largest)
            .or_else(|| self.0.iter().max_by(largest))
    }
}

/// What may make detection fail.
#[derive(Debug, thiserror::Error)]
pub enum DetectError {
    /// The card does not describe a detector, or the engine failed.
    #[error(transparent)]
    Inference(#[from] InferenceError),
}
