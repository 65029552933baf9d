//! The checked configuration, section by section, as the rest of the program sees it.
//!
//! In: values that the table of keys has let through. Out: plain structs with the field names of
//! the file. Invariant: whoever holds a [`super::Config`] holds values within the limits that
//! [`super::KEYS`] states and that fit each other; nothing needs to be checked again.
//! Deliberately absent: the rooms' own settings types; [`crate::equip`] builds each from here, field by
//! field, so that a room never learns of files or keys.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::clock::ClockRequirement;
use crate::compare::Metric;
use crate::decide::SeveralFaces;
use crate::detect::Strategy;
use crate::geometry::Turn;
use crate::inference::ModelId;

/// `[door]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Door {
    /// `[a-z0-9_-]{1,32}`.
    pub id: String,
}

/// A pixel format that may be asked of a camera.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CameraFormat {
    /// Packed 4:2:2, luminance first.
    Yuyv,
    /// Packed 4:2:2, colour first.
    Uyvy,
    /// 4:2:0 in two planes.
    Nv12,
    /// Luminance alone.
    Grey,
    /// Motion JPEG.
    Mjpg,
}

/// `[camera]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Camera {
    /// `auto`, a device node, or a stable name.
    pub device: String,
    /// Pixels across that are wished for.
    pub width: u32,
    /// Pixels down that are wished for.
    pub height: u32,
    /// Frames a second that are wished for.
    pub fps: u32,
    /// Formats that may be used, the most wanted first; at least one, none twice.
    pub formats: Vec<CameraFormat>,
    /// Controls to set, by name.
    pub controls: BTreeMap<String, i64>,
    /// By how much its pictures are turned, clockwise.
    pub rotate: Turn,
    /// Whether they are mirrored after that.
    pub mirror: bool,
    /// A recording in place of the camera.
    pub replay: Replay,
}

/// How fast a recording is played.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pace {
    /// As it was recorded.
    RealTime,
    /// As fast as frames are judged.
    Fast,
}

/// `[camera.replay]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Replay {
    /// Folder, MJPEG or Y4M file; `None` for the camera.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Begin again at the end.
    pub repeat: bool,
    /// How fast.
    pub pace: Pace,
}

/// `[models]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Models {
    /// Where cards and models lie, if said; see [`super::Config::model_folders`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<PathBuf>,
    /// The library, if said; see [`super::Config::library_path`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub library: Option<PathBuf>,
    /// The detector for the whole frame.
    pub find: ModelId,
    /// The detector that follows a face.
    pub follow: ModelId,
    /// The embedder.
    pub embedder: ModelId,
    /// The fusion card by which a second embedder confirms grants, if one does.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confirm: Option<ModelId>,
    /// Threads of a network, 1 to 8.
    pub threads: u8,
}

/// `[detect]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Detect {
    /// Least width of a face in pixels.
    pub min_face_px: u32,
    /// Least score, 0.05 to 0.99.
    pub score: f32,
    /// Which detector looks where.
    pub strategy: Strategy,
    /// Followed frames between two looks at the whole frame, ≥ 1.
    pub refresh_frames: u32,
    /// Side of the followed crop, in widths of the last face.
    pub crop_in_faces: f32,
    /// The middle part of the picture in which the visitor is looked for first, 0.1 to 1.
    pub central: f32,
    /// Rectangles `[x, y, width, height]` in which no face is seen, in fractions of the picture.
    pub ignore: Vec<[f32; 4]>,
    /// Rectangles outside of which no face is seen; none: everywhere.
    pub only: Vec<[f32; 4]>,
}

/// `[quality]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Quality {
    /// Least distance between the eyes, in pixels of the camera.
    pub eye_distance_min_px: f32,
    /// Least variance of the Laplacian.
    pub sharpness_min: f32,
    /// Least mean luminance, 0 to `exposure_max`.
    pub exposure_min: f32,
    /// Greatest mean luminance, to 255.
    pub exposure_max: f32,
    /// Greatest yaw, in eye distances.
    pub yaw_max: f32,
    /// Greatest roll, in degrees.
    pub roll_max_degrees: f32,
    /// Greatest share outside the picture, 0 to 1.
    pub outside_max: f32,
}

/// `[recognise]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Recognise {
    /// How vectors are compared.
    pub metric: Metric,
    /// Average with the mirror image.
    pub mirrored: bool,
    /// Strangers' attempts that may be taken for somebody, as a share; counts unless `threshold`.
    pub target_fpir: f64,
    /// The worst FPIR that may be claimed while anybody is granted, at most 1; ≥ `target_fpir`
    /// unless `threshold`.
    pub accept_fpir: f64,
    /// A score in place of `target_fpir`, within the metric's range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    /// Least distance to the second subject, ≥ 0.
    pub margin: f32,
}

/// `[visit]`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// Frames that must agree, 1 to `window`.
    pub agreeing: u32,
    /// Of how many, at most 64.
    pub window: u32,
    /// Agreeing frames nearer to each other than this count once, in milliseconds.
    pub spacing_ms: u64,
    /// Sum of quality weights that the agreeing frames must reach, ≥ 0.
    pub weight_min: f32,
    /// A visit ends after this long without a face, in milliseconds.
    pub absence_ms: u64,
    /// No second grant for this long, in milliseconds.
    pub cooldown_ms: u64,
    /// What several faces mean.
    pub several_faces: SeveralFaces,
    /// Frames older than this are no evidence, in milliseconds.
    pub stale_ms: u64,
    /// A visit is decided as it stands after this long, in milliseconds.
    pub timeout_ms: u64,
}

/// `[store]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Store {
    /// The database.
    pub path: PathBuf,
    /// Audit records kept, ≥ 100.
    pub records_max: u64,
}

/// `[mqtt]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Mqtt {
    /// Whether anybody is told.
    pub enabled: bool,
    /// Name or address of the broker.
    pub host: String,
    /// Its port, never 0.
    pub port: u16,
    /// First part of every topic.
    pub base: String,
    /// User name; present whenever `password_file` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// File with the password on its first line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Encryption.
    pub tls: Tls,
    /// Home Assistant.
    pub home_assistant: HomeAssistant,
}

/// `[mqtt.tls]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// Whether to encrypt.
    pub enabled: bool,
    /// Certificate authority, PEM; `None` for the system's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca: Option<PathBuf>,
    /// This door's certificate, PEM; present exactly when `key` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cert: Option<PathBuf>,
    /// Its private key, PEM.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<PathBuf>,
}

/// `[mqtt.home_assistant]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HomeAssistant {
    /// Whether this door is announced.
    pub discovery: bool,
    /// First part of the discovery topic.
    pub prefix: String,
    /// Whether the announcement is retained.
    pub retain: bool,
}

/// `[clock]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ClockSection {
    /// What is asked of it.
    pub require: ClockRequirement,
}

/// How much is logged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// Failures alone.
    Error,
    /// And what may become one.
    Warn,
    /// And what happens.
    Info,
    /// And how.
    Debug,
    /// And every frame.
    Trace,
}

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people and the journal.
    Text,
    /// One JSON object a line.
    Json,
}

/// `[log]`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Log {
    /// How much.
    pub level: LogLevel,
    /// How it looks.
    pub format: LogFormat,
}

/// All sections: what the values of all layers become.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Sections {
    /// Which door this is.
    pub door: Door,
    /// Where frames come from.
    pub camera: Camera,
    /// Which networks.
    pub models: Models,
    /// Which faces are looked at.
    pub detect: Detect,
    /// Which faces are good enough.
    pub quality: Quality,
    /// How faces are compared.
    pub recognise: Recognise,
    /// How frames become a decision.
    pub visit: Visit,
    /// The database.
    pub store: Store,
    /// The broker.
    pub mqtt: Mqtt,
    /// The wall clock.
    pub clock: ClockSection,
    /// What is logged.
    pub log: Log,
}

impl LogLevel {
    /// The level as `tracing` knows it.
    #[must_use]
    pub const fn as_tracing(self) -> tracing::Level {
        match self {
            Self::Error => tracing::Level::ERROR,
            Self::Warn => tracing::Level::WARN,
            Self::Info => tracing::Level::INFO,
            Self::Debug => tracing::Level::DEBUG,
            Self::Trace => tracing::Level::TRACE,
        }
    }
}
