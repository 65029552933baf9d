//! A judged face in words: what verify, identify, detect and enroll tell of one.

use std::path::Path;

use serde_json::{Value as Json, json};

use super::exit::Kind;
use super::failure::Failure;
use crate::embed::Quality;
use crate::enrol::Unusable;

/// A refused picture as a failure of the whole command.
pub(super) fn refused(path: &Path, why: &Unusable) -> Failure {
    Failure::new(kind(why), why.finding(), why.remedy()).at(path.display().to_string())
}

/// A quality as JSON, with its names from the glossary.
pub(super) fn quality_json(quality: &Quality) -> Json {
    json!({
        "eye_distance_px": quality.eye_distance_px,
        "sharpness": quality.sharpness,
        "exposure": quality.exposure,
        "yaw": quality.yaw,
        "roll_degrees": quality.roll_degrees,
        "outside": quality.outside,
        "weight": quality.weight,
        "fault": quality.fault,
    })
}

/// What kind of failure it is.
pub(super) const fn kind(why: &Unusable) -> Kind {
    match why {
        Unusable::Unreadable(_) | Unusable::Undecodable(_) => Kind::Input,
        Unusable::NoFace
        | Unusable::Several(_)
        | Unusable::Poor(_)
        | Unusable::CameraTurned { .. } => Kind::Face,
        Unusable::Fault => Kind::Model,
    }
}
