//! Quality measures of a face, by named formulas.

/// Why a face is too poor to be compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum QualityFault {
    /// The face is smaller than the minimum.
    TooSmall,
    /// Blurred.
    Blurred,
    /// Under-exposed.
    TooDark,
    /// Over-exposed.
    TooBright,
    /// Turned or tilted too far.
    Turned,
    /// Partly outside the frame.
    Cropped,
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
    /// Yaw proxy from keypoints: nose offset from the eye midpoint over the eye distance, 0 is frontal.
    pub yaw: f32,
    /// Weight of the face as evidence, 0 to 1.
    pub weight: f32,
    /// The first fault found, if any: such a face is never compared.
    pub fault: Option<QualityFault>,
}
