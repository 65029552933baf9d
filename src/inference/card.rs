//! The model card: what a `.tflite` file is, as TOML beside it.
//!
//! In: the text of a card. Out: a [`ModelCard`] in which everything that the path relies on is
//! present and consistent; `check.rs` has the rules.
//! Another SSD detector or another embedder is another card, not other code.
//! Format: `models/README.md`.

use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::liveness_head::LivenessHead;
use super::quality_head::QualityHead;
use crate::geometry::Point;

/// Names a model in feature vectors, references, records and messages: `[a-z0-9.-]{1,64}`.
///
/// Cloning shares the text; it never allocates.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ModelId(Arc<str>);

impl ModelId {
    /// Checks and takes a name.
    ///
    /// # Errors
    /// The offending text, when it is empty, too long, or has other characters.
    pub fn new(name: &str) -> Result<Self, InvalidModelId> {
        let fits = (1..=64).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
        if fits { Ok(Self(name.into())) } else { Err(InvalidModelId(name.to_owned())) }
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ModelId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ModelId {
    type Error = InvalidModelId;
    fn try_from(name: String) -> Result<Self, Self::Error> {
        Self::new(&name)
    }
}

impl From<ModelId> for String {
    fn from(id: ModelId) -> Self {
        id.0.as_ref().to_owned()
    }
}

/// A model name that breaks the rule.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("model id '{0}': must be 1 to 64 characters of a-z, 0-9, '-' and '.'")]
pub struct InvalidModelId(pub String);

/// The keypoints that an alignment template places, in the order of [`AlignmentTemplate::points`].
pub const KEYPOINTS_OF_TEMPLATE: usize = 4;

/// Everything the path needs to know of one model file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelCard {
    /// The model's name; also the card's file name without `.toml`.
    pub id: ModelId,
    /// What it is for.
    pub kind: ModelKind,
    /// File name of the `.tflite`, without a path.
    pub file: String,
    /// SHA-256 of that file, 64 lower-case hexadecimal digits.
    pub sha256: String,
    /// One line for people.
    pub title: String,
    /// Where it comes from and under which terms.
    pub provenance: Provenance,
    /// The input tensor, `1 × height × width × 3`, RGB.
    pub input: TensorFacts,
    /// How a pixel value 0 to 255 becomes the number that the network was trained on.
    pub normalisation: Normalisation,
    /// The output tensors, in the order in which the runtime gives them.
    #[serde(rename = "output")]
    pub outputs: Vec<OutputFacts>,
    /// How a detector's outputs become boxes; present exactly for detectors.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ssd: Option<SsdHead>,
    /// How a landmark network's output becomes keypoints; present exactly for landmarkers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub landmarks: Option<LandmarksHead>,
    /// Where the keypoints of an aligned face lie in the input; present exactly for embedders,
    /// landmarkers and judges of covered faces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alignment: Option<AlignmentTemplate>,
    /// The landmarker that places an embedder's keypoints; without it the detector does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keypoints_by: Option<ModelId>,
    /// What is known of the feature vectors; present exactly for embedders.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub features: Option<FeatureFacts>,
    /// How a liveness network looks; present exactly for those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessHead>,
    /// What the outputs of a judge of covered faces mean; present exactly for those.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quality: Option<QualityHead>,
    /// Which threshold supports which false match rate, by metric.
    #[serde(default, rename = "calibration", skip_serializing_if = "Vec::is_empty")]
    pub calibrations: Vec<Calibration>,
}

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ModelKind {
    /// Finds faces in a picture.
    Detector,
    /// Places the keypoints of a face that a detector found.
    Landmarker,
    /// Turns an aligned face into a feature vector.
    Embedder,
    /// Tells a face from a picture of one.
    Liveness,
    /// Judges whether a part of an aligned face is covered.
    Quality,
}

impl ModelKind {
    /// The settings that name a model of this kind.
    #[must_use]
    pub const fn settings(self) -> &'static str {
        match self {
            Self::Detector => "models.find and models.follow",
            Self::Landmarker => "keypoints_by in the card of an embedder",
            Self::Embedder => "models.embedder",
            Self::Liveness => "models.liveness",
            Self::Quality => "models.quality",
        }
    }
}

impl ModelKind {
    /// Several of this kind, in a sentence.
    pub(super) const fn plural(self) -> &'static str {
        match self {
            Self::Detector => "detectors",
            Self::Landmarker => "landmarkers",
            Self::Embedder => "embedders",
            Self::Liveness => "liveness networks",
            Self::Quality => "judges of covered faces",
        }
    }
}

impl std::fmt::Display for ModelKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Detector => "detector",
            Self::Landmarker => "landmarker",
            Self::Embedder => "embedder",
            Self::Liveness => "liveness",
            Self::Quality => "quality",
        })
    }
}

/// Where a model comes from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Provenance {
    /// SPDX expression, or words where none fits.
    pub licence: String,
    /// Who made it, from what, when.
    pub source: String,
    /// What a user must know before relying on it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub limitations: Vec<String>,
}

/// Type of one element.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ElementType {
    /// 32-bit IEEE 754.
    Float32,
    /// Quantised: `real = (q − zero_point) · scale`.
    Int8,
}

/// Name, shape, type and quantisation of a tensor.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TensorFacts {
    /// The tensor's name in the file, for messages.
    pub name: String,
    /// Row-major shape; the first is the batch and always 1.
    pub shape: Vec<usize>,
    /// Type of its elements.
    pub element_type: ElementType,
    /// Present exactly for `int8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quantisation: Option<Quantisation>,
}

impl TensorFacts {
    /// How many elements it has.
    #[must_use]
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether it has no element at all; a checked card has no such tensor.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Affine quantisation of an `int8` tensor (TFLite's 8-bit specification).
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quantisation {
    /// Real difference between two neighbouring integers, > 0.
    pub scale: f64,
    /// The integer that stands for 0.
    pub zero_point: i8,
}

/// `value = pixel · scale + offset` for a pixel value 0 to 255.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// Factor.
    pub scale: f64,
    /// Summand.
    pub offset: f64,
}

/// An output tensor and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OutputFacts {
    /// `boxes` and `scores` for a detector, `landmarks` and `presence` for a landmarker, `features`
    /// for an embedder, `liveness` for a liveness network, `covered` for a judge of covered faces.
    pub role: OutputRole,
    /// The tensor.
    #[serde(flatten)]
    pub tensor: TensorFacts,
}

/// What an output tensor holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum OutputRole {
    /// Offsets of box and keypoints for each anchor.
    Boxes,
    /// One logit for each anchor.
    Scores,
    /// Places of the landmarks, in pixels of the input.
    Landmarks,
    /// One logit: whether there is a face at all.
    Presence,
    /// The feature vector.
    Features,
    /// How live a face is.
    Liveness,
    /// One number for each part of a face: whether it is covered.
    Covered,
}

impl std::fmt::Display for OutputRole {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Boxes => "boxes",
            Self::Scores => "scores",
            Self::Landmarks => "landmarks",
            Self::Presence => "presence",
            Self::Features => "features",
            Self::Liveness => "liveness",
            Self::Covered => "covered",
        })
    }
}

/// Parameters of a single-shot detector's head (Liu et al. 2016), as BlazeFace uses it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SsdHead {
    /// Grids of anchors, in the order of the rows of the box tensor.
    pub anchors: Vec<Anchors>,
    /// Divides offsets and sizes to give fractions of the input's side.
    pub box_scale: f32,
    /// How many keypoints follow the four box numbers, ≥ 4: right eye, left eye, nose tip, mouth
    /// centre come first.
    pub keypoints: usize,
    /// Logits are clipped to ± this before the sigmoid.
    pub score_clip: f32,
    /// Detections below this score are dropped unless the configuration asks otherwise, 0 to 1.
    pub min_score: f32,
    /// Boxes that overlap more than this (intersection over union) are one face, 0 to 1.
    pub suppression_overlap: f32,
}

/// One grid of anchors: `grid × grid` cells, `per_cell` anchors at the centre of each, of size 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Anchors {
    /// Cells along each side.
    pub grid: usize,
    /// Anchors in each cell.
    pub per_cell: usize,
}

/// Which of a network's landmarks are the keypoints of a template: each is the mean of some of them.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LandmarksHead {
    /// Numbers of each landmark in the output, ≥ 2: x and y come first, in pixels of the input.
    pub values: usize,
    /// Below this presence there is no face, 0 to 1.
    pub min_presence: f32,
    /// Landmarks of the subject's right eye (left in the picture).
    pub right_eye: Vec<usize>,
    /// Landmarks of the subject's left eye.
    pub left_eye: Vec<usize>,
    /// Landmarks of the tip of the nose.
    pub nose_tip: Vec<usize>,
    /// Landmarks whose middle is the centre of the mouth.
    pub mouth_centre: Vec<usize>,
}

impl LandmarksHead {
    /// The landmarks of each keypoint, in the order of a detection's keypoints.
    #[must_use]
    pub fn keypoints(&self) -> [(&'static str, &[usize]); KEYPOINTS_OF_TEMPLATE] {
        [
            ("right_eye", &self.right_eye),
            ("left_eye", &self.left_eye),
            ("nose_tip", &self.nose_tip),
            ("mouth_centre", &self.mouth_centre),
        ]
    }
}

/// Where keypoints lie in the aligned crop, in its pixels.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AlignmentTemplate {
    /// The subject's right eye (left in the picture), `[x, y]`.
    pub right_eye: [f32; 2],
    /// The subject's left eye.
    pub left_eye: [f32; 2],
    /// Tip of the nose.
    pub nose_tip: [f32; 2],
    /// Centre of the mouth.
    pub mouth_centre: [f32; 2],
}

impl AlignmentTemplate {
    /// The points in the order of a detection's keypoints.
    #[must_use]
    pub fn points(&self) -> [Point; KEYPOINTS_OF_TEMPLATE] {
        [self.right_eye, self.left_eye, self.nose_tip, self.mouth_centre]
            .map(|[x, y]| Point::new(x, y))
    }
}

/// What is known of an embedder's feature vectors.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FeatureFacts {
    /// How many numbers.
    pub length: usize,
    /// Mean over a training population, subtracted before the cosine; empty for none.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mean: Vec<f32>,
}

/// Thresholds that support false match rates, for one metric; measured on data named in `source`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Calibration {
    /// `cosine`, `euclidean` or `euclidean-l2`.
    pub metric: String,
    /// Whether features of a crop and of its mirror image were averaged.
    pub mirrored: bool,
    /// Data, people, comparisons, date.
    pub source: String,
    /// `[false match rate, threshold]`, the rate falling. Where the data tell groups apart, each
    /// threshold is that of the group whose strangers match most often: the claim holds for all.
    pub points: Vec<[f64; 2]>,
    /// The group whose thresholds these are; `None` where the data do not tell groups apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worst_group: Option<String>,
    /// The same for all groups in equal parts; empty where the data do not tell groups apart.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub average: Vec<[f64; 2]>,
}

/// What is wrong with a card.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CardError {
    /// Not TOML, or keys missing, unknown or of the wrong type.
    #[error("{0}")]
    Syntax(String),
    /// Parsed, but contradicts itself.
    #[error("key '{key}': {problem}")]
    Inconsistent {
        /// The key at fault.
        key: &'static str,
        /// What was found and what would be right.
        problem: String,
    },
}

impl ModelCard {
    /// Parses and checks a card.
    ///
    /// # Errors
    /// [`CardError`] with the key, what was found and what would be right.
    pub fn parse(text: &str) -> Result<Self, CardError> {
        let card: Self = toml::from_str(text).map_err(|e| CardError::Syntax(e.to_string()))?;
        card.check()?;
        Ok(card)
    }

    /// Height and width of the input, in pixels.
    #[must_use]
    pub fn input_size(&self) -> (usize, usize) {
        match self.input.shape.as_slice() {
            [_, height, width, _] => (*height, *width),
            _ => (0, 0),
        }
    }

    /// The position and the facts of the output with `role`.
    #[must_use]
    pub fn output(&self, role: OutputRole) -> Option<(usize, &TensorFacts)> {
        self.outputs
            .iter()
            .position(|o| o.role == role)
            .and_then(|i| self.outputs.get(i).map(|o| (i, &o.tensor)))
    }
}
