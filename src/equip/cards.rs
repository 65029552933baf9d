//! What can be said of networks without running one: the cards, and what follows from them.
//!
//! In: the folders of cards, a [`Config`]. Out: cards, keys of procedures, thresholds; or what is
//! wrong with a card or with its files.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use super::{EquipError, unfit_keypoints};
use crate::compare::{CalibrationTable, Metric, Operating, ThresholdPolicy};
use crate::config::Config;
use crate::inference::{
    FusionCard, InferenceError, LivenessHead, ModelCard, ModelDirectory, ModelId, ModelKey,
    ModelKind, Procedure,
};

/// The folders of model cards and models: what can be said of networks without running one. Each card
/// is the one that was read first.
#[derive(Debug)]
pub struct Cards {
    pub(super) directory: ModelDirectory,
    models: Once<ModelCard>,
    fusions: Once<FusionCard>,
}

/// What was read under a name, and is not read again.
#[derive(Debug)]
struct Once<Card>(Mutex<BTreeMap<ModelId, Arc<Card>>>);

impl<Card> Default for Once<Card> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<Card> Once<Card> {
    /// What was read under `id`; `read` is asked the first time, and again while it fails.
    fn get(
        &self,
        id: &ModelId,
        read: impl FnOnce() -> Result<Card, InferenceError>,
    ) -> Result<Arc<Card>, InferenceError> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(card) = known.get(id) {
            return Ok(Arc::clone(card));
        }
        let card = Arc::new(read()?);
        known.insert(id.clone(), Arc::clone(&card));
        Ok(card)
    }
}

/// The networks that tell a face from a picture of it.
#[derive(Debug, Clone)]
pub struct LivenessCards {
    /// Looks at face and surroundings.
    pub around: Arc<ModelCard>,
    /// Looks closer, where the first card names one.
    pub closer: Option<Arc<ModelCard>>,
}

impl LivenessCards {
    /// Both, in the order in which they look.
    pub fn all(&self) -> impl Iterator<Item = &Arc<ModelCard>> {
        std::iter::once(&self.around).chain(&self.closer)
    }
}

/// How a liveness network looks; an error where `card` is of another kind.
fn liveness_head(card: &ModelCard) -> Result<&LivenessHead, InferenceError> {
    let wanted = ModelKind::Liveness;
    card.liveness.as_ref().ok_or_else(|| InferenceError::Kind { model: card.id.clone(), wanted })
}

impl Cards {
    /// Looks for the folders of cards.
    ///
    /// # Errors
    /// [`EquipError::Config`] when there is none.
    pub fn open(config: &Config) -> Result<Self, EquipError> {
        Ok(Self {
            directory: ModelDirectory::new(config.model_folders()?),
            models: Once::default(),
            fusions: Once::default(),
        })
    }

    /// The card of `model`.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when it cannot be read or is wrong.
    pub fn card(&self, model: &ModelId) -> Result<Arc<ModelCard>, EquipError> {
        Ok(self.models.get(model, || self.directory.card(model))?)
    }

    /// The embedder `model` with its procedure, as the configuration averages: vectors of any other
    /// key are not compared with its own.
    ///
    /// # Errors
    /// [`EquipError`] when a card cannot be read, or is none of an embedder or of its landmarker.
    pub fn key(&self, config: &Config, model: &ModelId) -> Result<ModelKey, EquipError> {
        self.key_if(model, config.recognise.mirrored)
    }

    /// The same as it would be with another setting of `recognise.mirrored`.
    ///
    /// # Errors
    /// As [`Self::key`].
    pub fn key_if(&self, model: &ModelId, mirrored: bool) -> Result<ModelKey, EquipError> {
        let embedder = self.card(model)?;
        if embedder.kind != ModelKind::Embedder {
            let wanted = ModelKind::Embedder;
            return Err(InferenceError::Kind { model: model.clone(), wanted }.into());
        }
        let landmarker = self.landmarker_of(&embedder)?;
        let landmarker = landmarker.as_deref();
        Ok(Procedure { embedder: &embedder, landmarker, mirrored }.key())
    }

    /// The keys of the embedders that are in use: the one that looks at every face, and behind it the
    /// confirming one, where there is one.
    ///
    /// # Errors
    /// As [`Self::key`] and [`Self::fusion`].
    pub fn keys_in_use(&self, config: &Config) -> Result<Vec<ModelKey>, EquipError> {
        let confirming = self.fusion(config)?;
        std::iter::once(&config.models.embedder)
            .chain(confirming.as_ref().map(|fusion| &fusion.second.id))
            .map(|model| self.key(config, model))
            .collect()
    }

    /// The card of `model`, whose file is there and the one that the card was written for; the same
    /// holds of the landmarker that places its keypoints, where it has one.
    ///
    /// # Errors
    /// [`EquipError`] when a card or a file cannot be read or they do not belong together.
    pub fn with_its_files(&self, model: &ModelId) -> Result<Arc<ModelCard>, EquipError> {
        let card = self.card(model)?;
        self.check_files(&card)?;
        Ok(card)
    }

    fn check_files(&self, card: &ModelCard) -> Result<(), EquipError> {
        self.directory.model_bytes(card)?;
        self.check_landmarker_of(card)
    }

    /// Every card there is, or why it cannot be read.
    #[must_use]
    pub fn all(&self) -> Vec<Result<ModelCard, InferenceError>> {
        self.directory.cards()
    }

    /// Where a file called `name` lies among the cards, or would.
    #[must_use]
    pub fn beside(&self, name: &str) -> PathBuf {
        self.directory.find(name)
    }

    /// What is wrong with the files of `card`: absent, or others than the cards were written for.
    #[must_use]
    pub fn fault_of_files(&self, card: &ModelCard) -> Option<EquipError> {
        self.check_files(card).err()
    }

    /// Whether the landmarker of the embedder `card`, where it has one, is there with its file.
    ///
    /// # Errors
    /// [`EquipError::Keypoints`] when it is not.
    pub fn check_landmarker_of(&self, card: &ModelCard) -> Result<(), EquipError> {
        let Some(landmarker) = self.landmarker_of(card)? else { return Ok(()) };
        self.directory.model_bytes(&landmarker).map_err(|error| unfit_keypoints(card, error))?;
        Ok(())
    }

    /// The card of the landmarker that places the keypoints of the embedder `card`; `None` where the
    /// detector does.
    ///
    /// # Errors
    /// [`EquipError::Keypoints`] when it is absent, or no landmarker.
    pub fn landmarker_of(&self, card: &ModelCard) -> Result<Option<Arc<ModelCard>>, EquipError> {
        let Some(id) = &card.keypoints_by else { return Ok(None) };
        let found = self.models.get(id, || self.directory.card(id));
        let found = found.map_err(|error| unfit_keypoints(card, error))?;
        match found.kind {
            ModelKind::Landmarker => Ok(Some(found)),
            ModelKind::Detector
            | ModelKind::Embedder
            | ModelKind::Liveness
            | ModelKind::Quality => {
                let (model, wanted) = (id.clone(), ModelKind::Landmarker);
                Err(unfit_keypoints(card, InferenceError::Kind { model, wanted }))
            }
        }
    }

    /// The networks that tell a face from a picture.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when one cannot be read or is of another kind.
    pub fn liveness(&self, config: &Config) -> Result<LivenessCards, EquipError> {
        let around = self.card(&config.models.liveness)?;
        let closer = liveness_head(&around)?.closer.as_ref().map(|id| self.card(id)).transpose()?;
        closer.as_deref().map(liveness_head).transpose()?;
        Ok(LivenessCards { around, closer })
    }

    /// What the median of those networks must reach over a visit, 0 to 1.
    ///
    /// # Errors
    /// As [`Self::liveness`], and [`EquipError::LivenessThreshold`] when neither the configuration nor the
    /// card says.
    pub fn liveness_median(&self, config: &Config) -> Result<f32, EquipError> {
        let LivenessCards { around, .. } = self.liveness(config)?;
        let of_card = liveness_head(&around)?.threshold(config.live.bpcer);
        let median = config.live.median.or(of_card.map(|threshold| threshold.median));
        median.ok_or_else(|| EquipError::LivenessThreshold { model: around.id.clone() })
    }

    /// The network that judges covered faces; `None` where none does.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when it cannot be read or is of another kind.
    pub fn quality(&self, config: &Config) -> Result<Option<Arc<ModelCard>>, EquipError> {
        let Some(id) = config.models.quality.named() else { return Ok(None) };
        let (card, wanted) = (self.card(id)?, ModelKind::Quality);
        if card.kind != wanted {
            return Err(InferenceError::Kind { model: id.clone(), wanted }.into());
        }
        Ok(Some(card))
    }

    /// Every fusion card there is, or why it cannot be read.
    #[must_use]
    pub fn fusions(&self) -> Vec<Result<FusionCard, InferenceError>> {
        self.directory.fusions()
    }

    /// What is wrong with `fusion`: a network of it is absent, or another one than it was learnt
    /// with.
    #[must_use]
    pub fn fault_of_fusion(&self, fusion: &FusionCard) -> Option<EquipError> {
        self.check_parts(fusion).err()
    }

    fn check_parts(&self, fusion: &FusionCard) -> Result<(), EquipError> {
        for (part, key) in [(&fusion.first, "first"), (&fusion.second, "second")] {
            let card = self.card(&part.id)?;
            FusionCard::belongs(part, key, &card).map_err(|error| EquipError::Confirm {
                fusion: fusion.id.clone(),
                problem: error.to_string(),
            })?;
            self.landmarker_of(&card)?;
        }
        Ok(())
    }

    /// The fusion card by which grants are confirmed; `None` where nothing is to confirm them.
    ///
    /// # Errors
    /// [`EquipError`] when it cannot be read, or does not fit embedder and metric.
    pub fn fusion(&self, config: &Config) -> Result<Option<Arc<FusionCard>>, EquipError> {
        let Some(id) = &config.models.confirm else { return Ok(None) };
        let fusion = self.fusions.get(id, || self.directory.fusion(id))?;
        let unfit = |problem| EquipError::Confirm { fusion: id.clone(), problem };
        let embedder = &config.models.embedder;
        if fusion.first.id != *embedder {
            return Err(unfit(format!(
                "it confirms '{0}', and models.embedder is '{embedder}': set that to '{0}', or take another fusion",
                fusion.first.id
            )));
        }
        if config.recognise.metric != Metric::Cosine {
            return Err(unfit(format!(
                "it fuses cosines, and recognise.metric is '{}': set that to 'cosine'",
                config.recognise.metric
            )));
        }
        self.check_parts(&fusion)?;
        Ok(Some(fusion))
    }

    /// Threshold and claim of the fused score for a gallery of `references`: by the target alone,
    /// because an explicit threshold is of the first embedder's scores. A visit has as many tries as
    /// a grant needs frames, so that each one gets its share of the target.
    ///
    /// # Errors
    /// [`EquipError::Threshold`] when the fusion's calibration does not cover what is asked.
    pub fn operating_fused(
        &self,
        config: &Config,
        fusion: &FusionCard,
        references: usize,
    ) -> Result<Operating, EquipError> {
        let recognise = &config.recognise;
        let table =
            CalibrationTable::find(&fusion.calibrations, Metric::Cosine, recognise.mirrored);
        let share = recognise.target_fpir / f64::from(config.visit.agreeing.max(1));
        let policy = ThresholdPolicy::TargetFpir(share);
        let operating = policy.operate(table.as_ref().map_err(Clone::clone), references)?;
        Ok(operating.accepting(recognise.accept_fpir, config.deciding_tries()))
    }

    /// Threshold and claim by `metric` for a gallery of `references`. The explicit threshold of the
    /// configuration counts for the configured metric alone.
    ///
    /// # Errors
    /// [`EquipError::Threshold`] when the card's calibration does not cover what is asked.
    pub fn operating(
        &self,
        config: &Config,
        metric: Metric,
        references: usize,
    ) -> Result<Operating, EquipError> {
        let card = self.card(&config.models.embedder)?;
        let table = CalibrationTable::find(&card.calibrations, metric, config.recognise.mirrored);
        let policy = match config.recognise.threshold {
            Some(score) if metric == config.recognise.metric => ThresholdPolicy::Explicit(score),
            _ => ThresholdPolicy::TargetFpir(config.recognise.target_fpir),
        };
        let operating = policy.operate(table.as_ref().map_err(Clone::clone), references)?;
        Ok(operating.accepting(config.recognise.accept_fpir, 1.0))
    }
}
