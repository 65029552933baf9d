//! What can go wrong between a model on disk and its numbers, each with its remedy.
//!
//! In: a path or a model's name and what was found there. Out: a sentence that says what, where and
//! what to do. Every way to fail is a variant of its own, so that tests can tell them apart.

use std::borrow::Cow;
use std::path::PathBuf;

use super::card::{CardError, ElementType, ModelId, ModelKind};
use crate::remedy::Remedied;

/// A library, a model or a run that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum InferenceError {
    /// No library at the path.
    #[error("TFLite library {path}: no such file; {advice}", advice = self.advice())]
    LibraryMissing {
        /// Where it was looked for.
        path: PathBuf,
    },
    /// The library was built for another processor.
    #[error(
        "TFLite library {path}: built for {found}, this machine is {wanted}; {advice}",
        advice = self.advice()
    )]
    LibraryArchitecture {
        /// The file.
        path: PathBuf,
        /// The architecture in its ELF header.
        found: String,
        /// This machine's.
        wanted: &'static str,
    },
    /// The dynamic linker refused it, or it is no TFLite library.
    #[error("TFLite library {path}: cannot be used ({problem}); {advice}", advice = self.advice())]
    LibraryUnusable {
        /// The file.
        path: PathBuf,
        /// What the linker or the runtime said.
        problem: String,
    },
    /// No folder has a card of that name.
    #[error("model {model}: there is no card of this name; {advice}", advice = self.advice())]
    UnknownModel {
        /// What was asked for.
        model: ModelId,
        /// The cards there are, with their kinds.
        known: Vec<String>,
    },
    /// The card cannot be read.
    #[error("model card {path}: {problem}; {advice}", advice = self.advice())]
    CardUnreadable {
        /// The card.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The card is wrong.
    #[error("model card {path}: {source}; {advice}", advice = self.advice())]
    CardInvalid {
        /// The card.
        path: PathBuf,
        /// What is wrong with it.
        source: CardError,
    },
    /// The model file cannot be read.
    #[error("model {model}: {path}: {problem}; {advice}", advice = self.advice())]
    ModelUnreadable {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// What the system said.
        problem: String,
    },
    /// The file is not the one the card describes.
    #[error(
        "model {model}: {path} has SHA-256 {found} ({length} bytes), its card says {wanted}: the file is damaged, cut short or another one; {advice}",
        advice = self.advice()
    )]
    ModelHash {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// Hash of the file.
        found: String,
        /// Hash in the card.
        wanted: String,
        /// Bytes in the file.
        length: usize,
    },
    /// The file is of another kind, whatever its name.
    #[error(
        "model {model}: {path} is no TFLite file (bytes 4 to 7 are {found}, not TFL3); {advice}",
        advice = self.advice()
    )]
    NoModel {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// What stands where a TFLite file says that it is one.
        found: String,
    },
    /// It begins as a TFLite file, and what it says of itself leads beyond its end.
    #[error(
        "model {model}: {path} begins as a TFLite file, but is damaged or cut short after {length} bytes, and was so when its card was written; {advice}",
        advice = self.advice()
    )]
    ModelDamaged {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// Bytes in the file.
        length: usize,
    },
    /// The network asks for an operator that the library does not have.
    #[error(
        "model {model}: {path} needs an operator that the TFLite library lacks ({problem}); {advice}",
        advice = self.advice()
    )]
    OperatorMissing {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// The library's words, which name the operator.
        problem: String,
    },
    /// A tensor is for more pictures than one, or for a number that is not fixed.
    #[error(
        "model {model}: {direction} '{name}' has shape {found:?}, a batch of {batch}; {advice}",
        batch = .found.first().copied().unwrap_or_default(),
        advice = self.advice()
    )]
    Batch {
        /// The model.
        model: ModelId,
        /// `input` or `output`.
        direction: &'static str,
        /// The tensor's name in the card.
        name: String,
        /// Shape in the file; −1 is a side that is not fixed.
        found: Vec<i32>,
    },
    /// The runtime cannot load or compile it, for a reason that has no variant of its own.
    #[error("model {model}: {path} cannot be loaded ({problem}); {advice}", advice = self.advice())]
    ModelUnusable {
        /// The model.
        model: ModelId,
        /// The file.
        path: PathBuf,
        /// What the runtime said.
        problem: String,
    },
    /// The network has another number of inputs or outputs than the card.
    #[error(
        "model {model}: has {found} {direction} tensors, the card says {wanted}; {advice}",
        advice = self.advice()
    )]
    TensorCount {
        /// The model.
        model: ModelId,
        /// `input` or `output`.
        direction: &'static str,
        /// In the file.
        found: usize,
        /// In the card.
        wanted: usize,
    },
    /// A tensor has another shape or type than the card.
    #[error(
        "model {model}: {direction} '{name}' is {found}, the card says {wanted_shape:?} {wanted_type:?}; {advice}",
        advice = self.advice()
    )]
    TensorMismatch {
        /// The model.
        model: ModelId,
        /// `input` or `output`.
        direction: &'static str,
        /// The tensor's name in the card.
        name: String,
        /// Shape and type in the file.
        found: String,
        /// Shape in the card.
        wanted_shape: Vec<usize>,
        /// Type in the card.
        wanted_type: ElementType,
    },
    /// The model is of the wrong kind for its place.
    #[error("model {model}: is no {wanted}; {advice}", advice = self.advice())]
    Kind {
        /// The model.
        model: ModelId,
        /// What was needed.
        wanted: ModelKind,
    },
    /// A run failed.
    #[error("model {model}: a run failed ({problem}); {advice}", advice = self.advice())]
    Run {
        /// The model.
        model: ModelId,
        /// What the runtime said.
        problem: String,
    },
    /// A run gave numbers that are not finite, or places far outside of any picture.
    #[error(
        "model {model}: output {index} of a run is not a finite number, or far outside of any picture; {advice}",
        advice = self.advice()
    )]
    NotFinite {
        /// The model.
        model: ModelId,
        /// Which output number.
        index: usize,
    },
}

impl Remedied for InferenceError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::LibraryMissing { .. } => {
                "run 'make assets', install the package, or set models.library to where libLiteRt.so is".into()
            }
            Self::LibraryArchitecture { wanted, .. } => {
                format!("take the file for {wanted}").into()
            }
            Self::LibraryUnusable { .. } => {
                "take libLiteRt.so of the version that assets.toml names".into()
            }
            Self::CardUnreadable { .. } => {
                "run 'make assets', or set models.directory to the folder with the cards".into()
            }
            Self::CardInvalid { .. } => "correct the card (models/README.md describes it)".into(),
            Self::ModelUnreadable { .. } => {
                "run 'make assets', or put the file beside its card".into()
            }
            Self::ModelHash { .. } => {
                "fetch it again with 'make assets', or take the card that belongs to it".into()
            }
            Self::NoModel { .. } => {
                "convert the network to TFLite, and put the new file's SHA-256 into its card".into()
            }
            Self::ModelDamaged { .. } => {
                "take the whole file, and put its SHA-256 into the card".into()
            }
            Self::OperatorMissing { .. } => {
                "convert it again with built-in operators of an older version, or take the library that assets.toml names".into()
            }
            Self::Batch { .. } => "convert the model again with a fixed batch of 1".into(),
            Self::ModelUnusable { .. } => {
                "convert it again, with a fixed batch of 1 and built-in operators".into()
            }
            Self::TensorCount { .. } | Self::TensorMismatch { .. } => {
                "correct the card, or convert the model again".into()
            }
            Self::Run { .. } | Self::NotFinite { .. } => {
                "'deepid-edge doctor' checks library and model".into()
            }
            Self::UnknownModel { known, .. } => format!("there are: {}", listed(known)).into(),
            Self::Kind { wanted, .. } => {
                let settings = wanted.settings();
                format!("set {settings} to the id of a card with kind = \"{wanted}\"").into()
            }
        })
    }
}

fn listed(known: &[String]) -> String {
    if known.is_empty() {
        "none; run 'make assets', or set models.directory to the folder with the cards".to_owned()
    } else {
        known.join(", ")
    }
}
