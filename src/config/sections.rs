//! All sections, and the words that some of their keys take.
//!
//! In: values that the table of keys has let through. Out: typed values, as the rest of the program
//! sees them. Deliberately absent: the rooms' own settings types; [`crate::equip`] builds each from
//! here, field by field, so that a room never learns of files or keys.

use serde::{Deserialize, Serialize};

use super::keys::{
    Camera, ClockSection, Detect, Door, Live, Log, Models, Mqtt, Passback, PolicySection, Quality,
    Recognise, Serve, Sign, Store, Visit,
};
use crate::inference::{InvalidModelId, ModelId};

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

/// The name of a model that may be absent: an empty text is none.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub struct ModelOrNone(Option<ModelId>);

impl ModelOrNone {
    /// The model, where one is named.
    #[must_use]
    pub const fn named(&self) -> Option<&ModelId> {
        self.0.as_ref()
    }
}

impl TryFrom<String> for ModelOrNone {
    type Error = InvalidModelId;
    fn try_from(text: String) -> Result<Self, Self::Error> {
        if text.is_empty() { Ok(Self(None)) } else { ModelId::new(&text).map(|id| Self(Some(id))) }
    }
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

/// How a log line looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// For people and the journal.
    Text,
    /// One JSON object a line.
    Json,
}

/// How the page is encrypted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Encryption {
    /// Not at all: on this machine alone.
    Off,
    /// By a certificate of the door's own.
    SelfSigned,
    /// By one that somebody else made.
    Certificate,
}

/// A language of the kiosk's page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Language {
    /// English.
    En,
    /// German.
    De,
    /// French.
    Fr,
    /// Spanish.
    Es,
    /// Dutch.
    Nl,
}

/// All sections: what the values of all layers become.
#[derive(Debug, Clone, PartialEq, Deserialize)]
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
    /// What a visit must show to be of a live face.
    pub live: Live,
    /// By which clocks, and what failed visits lead to.
    pub policy: PolicySection,
    /// What is made of where people went last.
    pub passback: Passback,
    /// The database.
    pub store: Store,
    /// Whether grants are signed, and by which key.
    pub sign: Sign,
    /// The broker.
    pub mqtt: Mqtt,
    /// The page.
    pub serve: Serve,
    /// The wall clock.
    pub clock: ClockSection,
    /// What is logged.
    pub log: Log,
}
