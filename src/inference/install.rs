//! One more model: a card and its file, tried where they are to lie, then shown to everybody; or a
//! fusion card, which has no file.
//!
//! In: a `.tflite`, a card, the folder of models. Out: both in that folder, under the names that the
//! card gives them. They are written into a hidden folder beside their place first, tried there as
//! the daemon would load them, and renamed into their place, the card last: a card without its file
//! is never seen.
//!
//! Invariants: what was tried is what is kept; a model of the same name is replaced only when that
//! was asked for; whatever fails leaves the folder as it was.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::card::{ModelCard, ModelId};
use super::error::InferenceError;
use super::files::{FUSION_ENDING, ModelDirectory, read_card};
use super::fusion::FusionCard;
use super::{Engine as _, Runtime, Tensor};
use crate::durable;
use crate::remedy::Remedied;

/// Why a model was not added.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// Card or file is wrong, or they do not belong together.
    #[error(transparent)]
    Model(#[from] InferenceError),
    /// The network gives numbers that are none, on a grey picture.
    #[error(
        "model {model}: gives numbers that are not finite for a grey picture: the file is damaged, or its card names another element type; {advice}",
        advice = self.advice()
    )]
    NotFinite {
        /// Which.
        model: ModelId,
    },
    /// There is one of that name, and it is another one.
    #[error("model {model}: {path} is there already and differs; {advice}", advice = self.advice())]
    Exists {
        /// Which.
        model: ModelId,
        /// The file in the way.
        path: PathBuf,
    },
    /// The folder cannot be written to.
    #[error("{path}: {source}; {advice}", advice = self.advice())]
    Unwritten {
        /// Where.
        path: PathBuf,
        /// The system's words.
        source: std::io::Error,
    },
}

impl Remedied for InstallError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Model(inner) => return inner.remedy(),
            Self::NotFinite { .. } => "convert the network again".into(),
            Self::Exists { .. } => {
                "give the new one another id, or say --replace: references that the old one made are kept and never compared then, so enrol everybody again".into()
            }
            Self::Unwritten { .. } => {
                "run this as a user who may write there, or name another folder by --into".into()
            }
        })
    }
}

/// A fusion card that was read and not yet put in its place.
#[derive(Debug)]
pub struct StagedFusion {
    card: FusionCard,
    text: String,
    into: PathBuf,
}

impl StagedFusion {
    /// Reads the fusion card in `file`, to be put into the folder `into`.
    ///
    /// # Errors
    /// [`InstallError::Model`] when it cannot be read or is wrong.
    pub fn new(file: &Path, into: &Path) -> Result<Self, InstallError> {
        let (text, card) = read_card(file, FusionCard::parse)?;
        Ok(Self { card, text, into: into.to_owned() })
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> &FusionCard {
        &self.card
    }

    /// Writes it into its place, under its own name, which it gives.
    ///
    /// # Errors
    /// As [`Staged::settle`].
    pub fn settle(self, replace: bool) -> Result<PathBuf, InstallError> {
        let place = self.into.join(format!("{}{FUSION_ENDING}", self.card.id));
        if !replace {
            free(&self.card.id, &place, self.text.as_bytes())?;
        }
        std::fs::create_dir_all(&self.into)
            .and_then(|()| durable::write(&place, self.text.as_bytes()))
            .map_err(|source| InstallError::Unwritten { path: self.into.clone(), source })?;
        Ok(place)
    }
}

/// Refuses a place where something else than `bytes` lies.
fn free(model: &ModelId, place: &Path, bytes: &[u8]) -> Result<(), InstallError> {
    let differs = place.exists() && std::fs::read(place).ok().as_deref() != Some(bytes);
    if differs {
        return Err(InstallError::Exists { model: model.clone(), path: place.to_owned() });
    }
    Ok(())
}

/// A card and its file in a hidden folder, which goes when this is dropped.
#[derive(Debug)]
pub struct Staged {
    card: ModelCard,
    folder: PathBuf,
    into: PathBuf,
}

impl Staged {
    /// Reads `card` and the model `file`, and writes both beside their place in `into`, which is made if it
    /// is absent.
    ///
    /// # Errors
    /// [`InstallError`]: a card that is wrong, a file that is another one, no room.
    pub fn new(file: &Path, card: &Path, into: &Path) -> Result<Self, InstallError> {
        let (text, parsed) = read_card(card, ModelCard::parse)?;
        let bytes = ModelDirectory::checked_bytes(&parsed, file)?;
        let folder = into.join(format!(".adding-{}-{}", parsed.id, std::process::id()));
        let staged = Self { card: parsed, folder, into: into.to_owned() };
        staged.write(|staged| {
            std::fs::create_dir_all(&staged.folder)?;
            std::fs::write(staged.folder.join(&staged.card.file), &bytes)?;
            std::fs::write(staged.folder.join(staged.card_name()), &text)
        })?;
        Ok(staged)
    }

    /// The card.
    #[must_use]
    pub const fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Loads the model as the daemon would, and runs it once on a grey picture.
    ///
    /// # Errors
    /// [`InstallError::Model`] as [`Runtime::load`] has it, and [`InstallError::NotFinite`].
    pub fn try_out(&self, runtime: &Runtime) -> Result<(), InstallError> {
        let directory = ModelDirectory::new(vec![self.folder.clone()]);
        let card = directory.card(&self.card.id)?;
        let mut engine = runtime.load(&card, &directory)?;
        let mut outputs: Vec<_> = card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect();
        engine.run(&Tensor::zeros(&card.input), &mut outputs)?;
        let finite = outputs.iter().all(|output| match output {
            Tensor::Float32(values) => values.iter().all(|value| value.is_finite()),
            Tensor::Int8(_) => true,
        });
        finite.then_some(()).ok_or(InstallError::NotFinite { model: card.id })
    }

    /// Moves both into their place; gives where they lie.
    ///
    /// # Errors
    /// [`InstallError::Exists`] without `replace`, [`InstallError::Unwritten`].
    pub fn settle(self, replace: bool) -> Result<[PathBuf; 2], InstallError> {
        let names = [self.card.file.clone(), self.card_name()];
        let [file, card] = names.map(|name| (self.folder.join(&name), self.into.join(&name)));
        if !replace {
            for (from, to) in [&file, &card] {
                let tried = std::fs::read(from).map_err(|source| self.unwritten(source))?;
                free(&self.card.id, to, &tried)?;
            }
        }
        self.write(|_| {
            for (from, to) in [&file, &card] {
                durable::put(&std::fs::File::open(from)?, from, to)?;
            }
            durable::sync_folder_of(&card.1)
        })?;
        Ok([file.1, card.1])
    }

    fn card_name(&self) -> String {
        format!("{}.toml", self.card.id)
    }

    fn write(&self, work: impl FnOnce(&Self) -> std::io::Result<()>) -> Result<(), InstallError> {
        work(self).map_err(|source| self.unwritten(source))
    }

    fn unwritten(&self, source: std::io::Error) -> InstallError {
        InstallError::Unwritten { path: self.into.clone(), source }
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        // What is left there is a copy; a folder that cannot be removed harms nobody.
        let _left_behind = std::fs::remove_dir_all(&self.folder);
    }
}
