//! Where cards and model files lie.
//!
//! In: the folders to look in, in order of precedence. Out: checked cards, and the bytes of the
//! model file that a card describes. A card and its file may lie in different folders of the list,
//! because files made by others are fetched into a folder of their own.

use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::card::{CardError, ModelCard, ModelId};
use super::error::InferenceError;
use super::fusion::FusionCard;

/// What the name of a fusion card ends in.
pub const FUSION_ENDING: &str = ".fusion.toml";
/// The largest model file that is read, in bytes.
const MAX_MODEL_BYTES: u64 = 256 << 20;

/// An ordered list of folders with cards and model files.
#[derive(Debug, Clone)]
pub struct ModelDirectory {
    folders: Vec<PathBuf>,
}

impl ModelDirectory {
    /// Looks in `folders`, first one first.
    #[must_use]
    pub const fn new(folders: Vec<PathBuf>) -> Self {
        Self { folders }
    }

    /// Reads and checks the card of `model`.
    ///
    /// # Errors
    /// [`InferenceError::UnknownModel`], [`InferenceError::CardUnreadable`] and
    /// [`InferenceError::CardInvalid`].
    pub fn card(&self, model: &ModelId) -> Result<ModelCard, InferenceError> {
        self.parsed(model, ".toml", ModelCard::parse, |card| &card.id)
    }

    /// Reads and checks the fusion card called `fusion`.
    ///
    /// # Errors
    /// As [`Self::card`].
    pub fn fusion(&self, fusion: &ModelId) -> Result<FusionCard, InferenceError> {
        self.parsed(fusion, FUSION_ENDING, FusionCard::parse, |card| &card.id)
    }

    fn parsed<Card>(
        &self,
        id: &ModelId,
        ending: &str,
        parse: impl FnOnce(&str) -> Result<Card, CardError>,
        id_of: impl FnOnce(&Card) -> &ModelId,
    ) -> Result<Card, InferenceError> {
        let path = self.find(&format!("{id}{ending}"));
        if !path.exists() {
            return Err(InferenceError::UnknownModel { model: id.clone(), known: self.known() });
        }
        let (_, card) = read_card(&path, parse)?;
        let found = id_of(&card);
        if found != id {
            let problem = format!("is '{found}', the file's name says '{id}'");
            let source = CardError::Inconsistent { key: "id", problem };
            return Err(InferenceError::CardInvalid { path, source });
        }
        Ok(card)
    }

    /// Every card in the folders that can be read, by file name.
    #[must_use]
    pub fn cards(&self) -> Vec<Result<ModelCard, InferenceError>> {
        let ids =
            self.ids(|name| name.strip_suffix(".toml").filter(|_| !name.ends_with(FUSION_ENDING)));
        ids.iter().map(|id| self.card(id)).collect()
    }

    /// Every fusion card in the folders, by file name.
    #[must_use]
    pub fn fusions(&self) -> Vec<Result<FusionCard, InferenceError>> {
        let ids = self.ids(|name| name.strip_suffix(FUSION_ENDING));
        ids.iter().map(|id| self.fusion(id)).collect()
    }

    fn ids(&self, id_of: impl Fn(&str) -> Option<&str>) -> Vec<ModelId> {
        let mut ids: Vec<ModelId> = self
            .folders
            .iter()
            .filter_map(|folder| std::fs::read_dir(folder).ok())
            .flatten()
            .filter_map(|entry| entry.ok()?.file_name().into_string().ok())
            .filter_map(|name| ModelId::new(id_of(&name)?).ok())
            .collect();
        ids.sort();
        ids.dedup();
        ids
    }

    /// The cards there are, each with its kind, for messages.
    fn known(&self) -> Vec<String> {
        let cards = self.cards().into_iter().flatten();
        let cards = cards.map(|card| format!("{} ({})", card.id, card.kind));
        let fusions = self.fusions().into_iter().flatten();
        cards.chain(fusions.map(|card| format!("{} (fusion)", card.id))).collect()
    }

    /// Reads the model file of `card` and checks its SHA-256.
    ///
    /// # Errors
    /// [`InferenceError::ModelUnreadable`] and [`InferenceError::ModelHash`].
    pub fn model_bytes(&self, card: &ModelCard) -> Result<(PathBuf, Vec<u8>), InferenceError> {
        let path = self.find(&card.file);
        let bytes = Self::checked_bytes(card, &path)?;
        Ok((path, bytes))
    }

    /// Reads the model file at `path` and checks that it is the one of `card`.
    ///
    /// # Errors
    /// [`InferenceError::ModelUnreadable`] and [`InferenceError::ModelHash`].
    pub(super) fn checked_bytes(card: &ModelCard, path: &Path) -> Result<Vec<u8>, InferenceError> {
        let unreadable = |problem: String| InferenceError::ModelUnreadable {
            model: card.id.clone(),
            path: path.to_owned(),
            problem,
        };
        let length = std::fs::metadata(path).map_err(|e| unreadable(e.to_string()))?.len();
        if length > MAX_MODEL_BYTES {
            return Err(unreadable(format!(
                "{length} bytes are more than the {MAX_MODEL_BYTES} allowed"
            )));
        }
        let bytes = std::fs::read(path).map_err(|e| unreadable(e.to_string()))?;
        let found = sha256_hex(&bytes);
        if found != card.sha256 {
            return Err(InferenceError::ModelHash {
                model: card.id.clone(),
                path: path.to_owned(),
                found,
                wanted: card.sha256.clone(),
                length: bytes.len(),
            });
        }
        Ok(bytes)
    }

    /// The first folder's file that exists; else where the last folder would have it, for messages.
    #[must_use]
    pub fn find(&self, name: &str) -> PathBuf {
        let candidates = || self.folders.iter().map(|folder| folder.join(name));
        candidates()
            .find(|path| path.is_file())
            .or_else(|| candidates().next())
            .unwrap_or_else(|| Path::new(name).to_owned())
    }
}

/// The text of a card at `path`, and what `parse` makes of it.
pub(super) fn read_card<Card>(
    path: &Path,
    parse: impl FnOnce(&str) -> Result<Card, CardError>,
) -> Result<(String, Card), InferenceError> {
    let path = path.to_owned();
    match std::fs::read_to_string(&path) {
        Err(error) => Err(InferenceError::CardUnreadable { path, problem: error.to_string() }),
        Ok(text) => match parse(&text) {
            Err(source) => Err(InferenceError::CardInvalid { path, source }),
            Ok(card) => Ok((text, card)),
        },
    }
}

/// The SHA-256 of `bytes` as 64 hexadecimal digits.
pub(crate) fn sha256_hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::with_capacity(64), |mut text, byte| {
        let _infallible = write!(text, "{byte:02x}");
        text
    })
}
