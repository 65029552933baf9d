//! Quality measures of an aligned face, by named formulas, as reasons and as weights.
//!
//! In: an [`AlignedFace`] and the [`Detection`] it came from. Out: a [`Quality`]: the measures, the
//! first fault beyond a limit, and the weight that the face has as evidence.
//! A face with a fault is never compared: a blurred or dark crop does not look like *somebody
//! else*, it looks like everybody.
//!
//! Formulas: sharpness is the variance of the 4-neighbour Laplacian of luminance (Pech-Pacheco et
//! al. 2000), measured on the aligned crop so that it does not depend on the camera's resolution;
//! exposure is mean luminance (BT.601 weights); yaw is the nose tip's distance from the line
//! between eye middle and mouth, in eye distances, signed; roll is the angle of the alignment.
//! The names follow ISO/IEC 29794-5 where it has one.

use crate::align::AlignedFace;
use crate::detect::Detection;
use crate::geometry::Point;

/// Why a face is too poor to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityFault {
    /// The eyes are nearer to each other than the minimum: come closer.
    TooSmall,
    /// Blurred: hold still, or clean the lens.
    Blurred,
    /// Under-exposed: more light on the face.
    TooDark,
    /// Over-exposed: less light, or no lamp behind the camera.
    TooBright,
    /// Turned or tilted too far: look at the camera.
    Turned,
    /// Partly outside the frame: step to the middle.
    Cropped,
}

impl QualityFault {
    /// What is wrong, in words.
    #[must_use]
    pub const fn finding(self) -> &'static str {
        match self {
            Self::TooSmall => "the face is too small",
            Self::Blurred => "the face is blurred",
            Self::TooDark => "the face is too dark",
            Self::TooBright => "the face is too bright",
            Self::Turned => "the face is turned or tilted too far",
            Self::Cropped => "the face is partly outside the picture",
        }
    }

    /// What the person or the installer can do about it.
    #[must_use]
    pub const fn remedy(self) -> &'static str {
        match self {
            Self::TooSmall => "come closer, or lower quality.eye_distance_min_px",
            Self::Blurred => "hold still, clean the lens, or give more light",
            Self::TooDark => "put light on it",
            Self::TooBright => "take away direct light",
            Self::Turned => "look straight at the camera",
            Self::Cropped => "step to the middle",
        }
    }
}

/// Limits beyond which a face is not compared.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QualityLimits {
    /// Least distance between the eyes, in pixels of the camera.
    pub eye_distance_min_px: f32,
    /// Least sharpness.
    pub sharpness_min: f32,
    /// Least mean luminance, 0 to 255.
    pub exposure_min: f32,
    /// Greatest mean luminance, 0 to 255.
    pub exposure_max: f32,
    /// Greatest yaw, in eye distances, either side.
    pub yaw_max: f32,
    /// Greatest roll, in degrees, either side.
    pub roll_max_degrees: f32,
    /// Greatest part of the crop outside the frame, 0 to 1.
    pub outside_max: f32,
}

impl Default for QualityLimits {
    fn default() -> Self {
        Self {
            eye_distance_min_px: 16.0,
            sharpness_min: 30.0,
            exposure_min: 35.0,
            exposure_max: 225.0,
            yaw_max: 0.35,
            roll_max_degrees: 35.0,
            outside_max: 0.1,
        }
    }
}

/// Measures of one aligned face and the weight that they give its evidence.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Quality {
    /// Eye distance in camera pixels.
    pub eye_distance_px: f32,
    /// Sharpness: variance of the Laplacian over the crop's luminance, ≥ 0.
    pub sharpness: f32,
    /// Mean luminance, 0 to 255.
    pub exposure: f32,
    /// Yaw from keypoints, in eye distances: 0 is frontal, positive is turned to the picture's right.
    pub yaw: f32,
    /// Roll: the angle of the alignment in degrees; 0 is upright, positive is tilted clockwise in
    /// the picture.
    pub roll_degrees: f32,
    /// Part of the crop that lies outside the frame, 0 to 1.
    pub outside: f32,
    /// Weight of the face as evidence, 0 to 1.
    pub weight: f32,
    /// The first fault found, if any: such a face is never compared.
    pub fault: Option<QualityFault>,
}

impl Quality {
    /// Measures `face`, cut out for `detection`.
    #[must_use]
    pub fn measure(face: &AlignedFace, detection: &Detection, limits: &QualityLimits) -> Self {
        let eye_distance_px = detection.eye_distance();
        let (sharpness, exposure) = sharpness_and_exposure(face);
        let yaw = yaw(detection.keypoints());
        let (roll_degrees, outside) = (face.pose().angle().to_degrees(), face.outside());
        let fault = [
            (eye_distance_px < limits.eye_distance_min_px, QualityFault::TooSmall),
            (outside > limits.outside_max, QualityFault::Cropped),
            (
                yaw.abs() > limits.yaw_max || roll_degrees.abs() > limits.roll_max_degrees,
                QualityFault::Turned,
            ),
            (exposure < limits.exposure_min, QualityFault::TooDark),
            (exposure > limits.exposure_max, QualityFault::TooBright),
            (sharpness < limits.sharpness_min, QualityFault::Blurred),
        ]
        .into_iter()
        .find_map(|(beyond, fault)| beyond.then_some(fault));
        // Full weight from twice the minimum upwards, and from half the maximum downwards; a face
        // at a limit counts half.
        let above = |value: f32, minimum: f32| (value / (2.0 * minimum)).clamp(0.5, 1.0);
        let below = |value: f32, maximum: f32| (1.5 - value.abs() / maximum).clamp(0.5, 1.0);
        let weight = if fault.is_some() {
            0.0
        } else {
            above(eye_distance_px, limits.eye_distance_min_px)
                .min(above(sharpness, limits.sharpness_min))
                .min(above(exposure, limits.exposure_min))
                .min(below(yaw, limits.yaw_max))
        };
        Self { eye_distance_px, sharpness, exposure, yaw, roll_degrees, outside, weight, fault }
    }
}

/// How far the nose tip lies from the line between the eyes' middle and the mouth, in eye distances.
fn yaw([right_eye, left_eye, nose, mouth]: &[Point; 4]) -> f32 {
    let eyes = Point::new(right_eye.x.midpoint(left_eye.x), right_eye.y.midpoint(left_eye.y));
    let (down_x, down_y) = (mouth.x - eyes.x, mouth.y - eyes.y);
    let length = down_x.hypot(down_y);
    let distance = right_eye.distance(*left_eye);
    if length < f32::EPSILON || distance < f32::EPSILON {
        return f32::MAX;
    }
    let (nose_x, nose_y) = (nose.x - eyes.x, nose.y - eyes.y);
    (nose_x * down_y - nose_y * down_x) / length / distance
}

fn sharpness_and_exposure(face: &AlignedFace) -> (f32, f32) {
    let width = face.width();
    let luminance = |[r, g, b]: &[u8; 3]| {
        (77 * i32::from(*r) + 150 * i32::from(*g) + 29 * i32::from(*b)) as f32 / 256.0
    };
    let pixels = face.pixels();
    let exposure = pixels.iter().map(luminance).sum::<f32>() / pixels.len().max(1) as f32;
    let (mut count, mut sum, mut squares) = (0.0_f32, 0.0_f32, 0.0_f32);
    let rows = || pixels.chunks_exact(width);
    for ((above, row), below) in rows().zip(rows().skip(1)).zip(rows().skip(2)) {
        for ((three, up), down) in
            row.windows(3).zip(above.iter().skip(1)).zip(below.iter().skip(1))
        {
            if let [left, centre, right] = three {
                let laplacian =
                    luminance(left) + luminance(right) + luminance(up) + luminance(down)
                        - 4.0 * luminance(centre);
                count += 1.0;
                sum += laplacian;
                squares += laplacian * laplacian;
            }
        }
    }
    let mean = sum / f32::max(count, 1.0);
    ((squares / f32::max(count, 1.0) - mean * mean).max(0.0), exposure)
}
