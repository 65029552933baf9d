//! One face from one picture: what verifying, identifying and enrolling have in common.
//!
//! In: a frame, and the path that the daemon runs. Out: the face that is judged with its feature
//! vector and match, or why it cannot be used. Invariant: a vector leaves this file only for a face
//! that passed the quality limits; how many faces there were is always told along.

use crate::capture::picture::Picture;
use crate::capture::{CameraState, Undecodable};
use crate::clock::{Clock, Floor, Monotonic, SystemClock};
use crate::compare::Match;
use crate::config::Config;
use crate::decide::Seen;
use crate::detect::{Detection, Zones};
use crate::embed::{FeatureVector, Quality, QualityFault};
use crate::equip::{EquipError, Networks};
use crate::frame::Frame;
use crate::geometry::{Turn, View};
use crate::recognise::{Galleries, Recogniser};
use crate::store::Reference;

/// A face that can be compared.
#[derive(Debug, Clone)]
pub struct UsableFace {
    /// How many faces the picture shows.
    pub faces: u32,
    /// How good this one is.
    pub quality: Quality,
    /// What the embedder says of it.
    pub vector: FeatureVector,
    /// What the confirming embedder says of it, where one confirms and the face is to be enrolled.
    pub confirming: Option<FeatureVector>,
    /// Who it is nearest to.
    pub found: Match,
}

/// Why no face of a frame can be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Unusable {
    /// A file that is no picture, or a broken one, with what is wrong and what to do.
    Unreadable(String),
    /// A frame that cannot be decoded.
    Undecodable(Undecodable),
    /// No face is found.
    NoFace,
    /// So many are, where one is wanted.
    Several(u32),
    /// The face is beyond a limit of quality.
    Poor(QualityFault),
    /// The same of the camera's pictures: how the face stands, and the right `camera.rotate`.
    CameraTurned {
        /// How it stands.
        fault: QualityFault,
        /// The setting that would have it upright.
        rotate: Turn,
    },
    /// A network failed.
    Fault,
}

impl std::fmt::Display for Unusable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            // Its text ends in what to do.
            Self::Unreadable(text) => f.write_str(text),
            _ => write!(f, "{}: {}", self.finding(), self.remedy()),
        }
    }
}

impl Unusable {
    /// What is wrong, without what to do.
    #[must_use]
    pub fn finding(&self) -> String {
        match self {
            Self::Unreadable(text) => text.clone(),
            Self::Undecodable(cause) => format!("it cannot be decoded ({})", cause.text()),
            Self::NoFace => "no face was found".to_owned(),
            Self::Several(faces) => format!("{faces} faces are in the picture, one is wanted"),
            Self::Poor(fault) => fault.finding().to_owned(),
            Self::CameraTurned { fault, .. } => {
                format!("{} in the camera's pictures", fault.finding())
            }
            Self::Fault => "a network failed on it".to_owned(),
        }
    }

    /// What to do.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "give JPEG, PNG or WebP pictures that are whole",
            Self::Undecodable(_) => CameraState::Undecodable.remedy(),
            Self::NoFace => "show one larger than detect.min_face_px, upright and well lit",
            Self::Several(_) => "crop it, or ask the others to step aside",
            Self::Poor(fault) => fault.remedy(),
            Self::CameraTurned { rotate, .. } => match rotate {
                Turn::None => "set camera.rotate = 0",
                Turn::Quarter => "set camera.rotate = 90",
                Turn::Half => "set camera.rotate = 180",
                Turn::ThreeQuarters => "set camera.rotate = 270",
            },
            Self::Fault => "'deepid-edge doctor' checks library and models",
        }
    }

    /// What is wrong with the face, where it is its quality.
    #[must_use]
    pub const fn fault(&self) -> Option<QualityFault> {
        match self {
            Self::Poor(fault) | Self::CameraTurned { fault, .. } => Some(*fault),
            Self::Unreadable(_)
            | Self::Undecodable(_)
            | Self::NoFace
            | Self::Several(_)
            | Self::Fault => None,
        }
    }

    /// The same of a camera whose pictures are looked at through `view`: it is the camera that is to
    /// be turned.
    #[must_use]
    pub fn through(self, view: View) -> Self {
        match self {
            Self::Poor(fault @ QualityFault::NotUpright(turn)) => {
                Self::CameraTurned { fault, rotate: view.turned(turn).turn }
            }
            other => other,
        }
    }

    /// A word for machines.
    #[must_use]
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "unreadable",
            Self::Undecodable(_) => "undecodable",
            Self::NoFace => "no_face",
            Self::Several(_) => "several_faces",
            Self::Poor(QualityFault::Covered(_)) => "covered",
            Self::Poor(_) | Self::CameraTurned { .. } => "poor_quality",
            Self::Fault => "fault",
        }
    }
}

/// How a camera hangs, by the face in one of its frames.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bearing {
    /// The face stands upright.
    Upright,
    /// It does not.
    Turned(Unusable),
    /// No face, or none that tells.
    Unknown,
}

/// The path that the daemon runs, for single pictures.
#[derive(Debug)]
pub struct Judge {
    recogniser: Recogniser,
    /// Where in the camera's picture faces are seen.
    zones: Zones,
    clock: SystemClock,
}

impl Judge {
    /// The configured path with a gallery of `references`.
    ///
    /// # Errors
    /// [`EquipError`]: a network cannot be used, or a reference cannot be compared.
    pub fn new(
        config: &Config,
        networks: &Networks,
        references: Vec<Reference>,
    ) -> Result<Self, EquipError> {
        let gallery = networks.gallery(config, references)?;
        Ok(Self::by(config, networks.recogniser(config, gallery)?))
    }

    /// The same for an enrolment, which needs each face's vector of the confirming embedder too.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn for_enrolment(
        config: &Config,
        networks: &Networks,
        references: Vec<Reference>,
    ) -> Result<Self, EquipError> {
        let gallery = networks.gallery(config, references)?;
        let confirming = networks.confirming(config, |_| Ok::<_, EquipError>(Vec::new()))?;
        let recogniser = networks.recogniser(config, Galleries { gallery, confirming })?;
        Ok(Self::by(config, recogniser.confirming_every_face().looking_at_every_face()))
    }

    fn by(config: &Config, recogniser: Recogniser) -> Self {
        let clock = SystemClock::new(config.clock.require, Floor::default());
        let mut judge = Self { recogniser, zones: config.zones(), clock };
        judge.recogniser.set_zones(&judge.zones);
        judge
    }

    /// Judges a picture that has nothing to do with the one before. Where no face is found, one that
    /// is found in another orientation is told of.
    ///
    /// # Errors
    /// Why no face of it can be used.
    pub fn picture(&mut self, picture: &Picture) -> Result<UsableFace, Unusable> {
        let frame = picture.frame(0, Monotonic::default());
        match self.still(&frame) {
            Err(Unusable::NoFace) => Err(self.not_found(&frame)),
            judged => judged,
        }
    }

    /// Why no face is found in `frame`: it stands otherwise than upright, or it is not there.
    fn not_found(&mut self, frame: &Frame<'_>) -> Unusable {
        let turned = Turn::ALL.into_iter().filter(|turn| *turn != Turn::None);
        let mut found = turned.filter(|turn| self.still(&frame.turned(*turn)).is_ok());
        let turn = found.next();
        turn.map_or(Unusable::NoFace, |turn| Unusable::Poor(QualityFault::NotUpright(turn)))
    }

    /// How the camera hangs that gave `frame`.
    pub fn bearing(&mut self, frame: &Frame<'_>) -> Bearing {
        let judged = match self.frame(frame) {
            Err(Unusable::NoFace) => Err(self.not_found(frame)),
            judged => judged,
        };
        match judged.map_err(|why| why.through(frame.view())) {
            Ok(_) => Bearing::Upright,
            Err(why @ Unusable::CameraTurned { .. }) => Bearing::Turned(why),
            Err(_) => Bearing::Unknown,
        }
    }

    /// Judges a frame that has nothing to do with the one before, nor with the camera's picture: the
    /// rectangles of `detect.ignore` and `detect.only` do not count for it.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn still(&mut self, frame: &Frame<'_>) -> Result<UsableFace, Unusable> {
        self.recogniser.set_zones(&Zones::default());
        let judged = self.frame(frame);
        self.recogniser.set_zones(&self.zones);
        judged
    }

    /// The face of the last frame, of `size` as it is seen, that was judged; `None` where none was found.
    #[must_use]
    pub fn principal(&self, size: (u32, u32)) -> Option<Detection> {
        self.recogniser.principal(size).copied()
    }

    /// Judges the next frame of a camera or recording.
    ///
    /// # Errors
    /// As [`Self::picture`].
    pub fn frame(&mut self, frame: &Frame<'_>) -> Result<UsableFace, Unusable> {
        match self.recogniser.observe(frame, &self.clock as &dyn Clock).seen {
            Seen::NoFace => Err(Unusable::NoFace),
            Seen::Fault(_) => Err(Unusable::Fault),
            Seen::Faces { count, principal } => match (principal.quality.fault, principal.found) {
                (Some(fault), _) => Err(Unusable::Poor(fault)),
                (None, None) => Err(Unusable::Fault),
                (None, Some(found)) => Ok(UsableFace {
                    faces: count,
                    quality: principal.quality,
                    vector: self.recogniser.features().clone(),
                    confirming: self.confirming()?,
                    found,
                }),
            },
        }
    }

    /// Without this vector nobody would ever be confirmed: where one is due, its lack is no face.
    fn confirming(&mut self) -> Result<Option<FeatureVector>, Unusable> {
        match self.recogniser.confirming_features() {
            Ok(None) if self.recogniser.confirms() => Err(Unusable::NoFace),
            Ok(vector) => Ok(vector),
            Err(error) => {
                tracing::warn!(%error, "the confirming embedder failed");
                Err(Unusable::Fault)
            }
        }
    }
}
