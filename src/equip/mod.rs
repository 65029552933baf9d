//! What a configuration names, opened: the library, the networks, the gallery, the whole path; and the
//! other rooms' settings, made from it.
//!
//! In: a [`Config`](crate::config::Config), and references from the store. Out: rooms' own values,
//! ready to run. The daemon, the evaluation and the verbs all build the path here, so that they run
//! the same one.
//! Invariants: a detector that is not named is not loaded; what a card says is wrong is an error
//! here, before the first frame; a card is read once in the life of a [`Cards`], so that a card that
//! is replaced on the disk never meets the network of the old one in memory.

mod cards;
mod live;
mod networks;
mod settings;

pub use cards::{Cards, LivenessCards};
pub use live::{LiveSettings, Operation};
pub use networks::Networks;

use std::borrow::Cow;

use crate::compare::{CompareError, ThresholdError};
use crate::config::ConfigError;
use crate::inference::{InferenceError, ModelCard, ModelId, ModelKind};
use crate::remedy::Remedied;

/// Why what a configuration names cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum EquipError {
    /// It lies nowhere.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// Library, card or model.
    #[error(transparent)]
    Inference(#[from] InferenceError),
    /// No threshold follows from the settings and the card.
    #[error(transparent)]
    Threshold(#[from] ThresholdError),
    /// The confirming stage does not fit the other settings.
    #[error("models.confirm is '{fusion}': {problem}")]
    Confirm {
        /// The fusion card.
        fusion: ModelId,
        /// What was found and what to do.
        problem: String,
    },
    /// The landmarker that an embedder's card names cannot be used.
    #[error(
        "model {embedder} takes its keypoints from a landmarker that cannot be used ({source}); {advice}",
        advice = self.advice()
    )]
    Keypoints {
        /// The embedder.
        embedder: ModelId,
        /// What is wrong.
        source: Box<InferenceError>,
    },
    /// Nothing says what the median of a liveness network must reach.
    #[error(
        "model {model} tells faces from pictures, and its card has no threshold: {advice}",
        advice = self.advice()
    )]
    LivenessThreshold {
        /// The network.
        model: ModelId,
    },
    /// A reference that cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

impl Remedied for EquipError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Config(inner) => return inner.remedy(),
            Self::Inference(inner) => return inner.remedy(),
            Self::Threshold(inner) => return inner.remedy(),
            Self::Keypoints { .. } => {
                "bring that one first, by 'deepid-edge models add FILE --card CARD'".into()
            }
            Self::LivenessThreshold { .. } => {
                "measure one by 'deepid-edge evaluate liveness DIR' and set live.median, or set models.liveness = \"liveness\"".into()
            }
            Self::Compare(inner) => return inner.remedy(),
            Self::Confirm { .. } => return None,
        })
    }
}

fn none_of_an_embedder(model: &ModelId) -> InferenceError {
    InferenceError::Kind { model: model.clone(), wanted: ModelKind::Embedder }
}

fn unfit_keypoints(embedder: &ModelCard, source: InferenceError) -> EquipError {
    EquipError::Keypoints { embedder: embedder.id.clone(), source: Box::new(source) }
}
