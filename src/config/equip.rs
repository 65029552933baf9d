//! What a configuration names, opened: the library, the networks, the gallery, the whole path.
//!
//! In: a [`Config`], and references from the store. Out: rooms' own values, ready to run. The
//! daemon, the evaluation and the verbs all build the path here, so that they run the same one.
//! Invariants: a detector that is not named is not loaded; what a card says is wrong is an error
//! here, before the first frame; a card is read once in the life of a [`Cards`], so that a card that
//! is replaced on the disk never meets the network of the old one in memory.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use crate::align::{Aligner, Cutter, Landmarker};
use crate::compare::{
    CalibrationTable, CompareError, Comparer, Gallery, GalleryEntry, Metric, Operating,
    ThresholdError, ThresholdPolicy,
};
use crate::detect::{Follower, SsdDetector};
use crate::embed::{Embedder, QualityLimits};
use crate::inference::{
    FusionCard, InferenceError, InstallError, ModelCard, ModelDirectory, ModelId, ModelKey,
    ModelKind, Procedure, Runtime, Staged,
};
use crate::recognize::{Confirmer, Confirming, Fusion};
use crate::recognize::{Galleries, Recognizer};
use crate::store::Reference;

use super::{Config, ConfigError};

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
        "model {embedder} takes its keypoints from a landmarker that cannot be used ({source}); bring that one first, by 'deepid-edge models add FILE --card CARD'"
    )]
    Keypoints {
        /// The embedder.
        embedder: ModelId,
        /// What is wrong.
        source: Box<InferenceError>,
    },
    /// A reference that cannot be compared.
    #[error(transparent)]
    Compare(#[from] CompareError),
}

/// The folders of model cards and models: what can be said of networks without running one. Each card
/// is the one that was read first.
#[derive(Debug)]
pub struct Cards {
    directory: ModelDirectory,
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
            ModelKind::Detector | ModelKind::Embedder | ModelKind::Liveness => {
                let (model, wanted) = (id.clone(), ModelKind::Landmarker);
                Err(unfit_keypoints(card, InferenceError::Kind { model, wanted }))
            }
        }
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
        Ok(operating.accepting(config.accepted_fpir()))
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
        Ok(operating.accepting(config.recognise.accept_fpir))
    }
}

/// The opened library and the folders of cards.
#[derive(Debug)]
pub struct Networks {
    runtime: Runtime,
    cards: Cards,
}

impl Networks {
    /// Opens the library; looks for the folders of cards.
    ///
    /// # Errors
    /// [`EquipError`] when either lies nowhere or the library cannot be used.
    pub fn open(config: &Config) -> Result<Self, EquipError> {
        let cards = Cards::open(config)?;
        let runtime = Runtime::open(&config.library_path()?)?.with_threads(config.models.threads);
        Ok(Self { runtime, cards })
    }

    /// Loads a model that is to be added, and runs it once.
    ///
    /// # Errors
    /// [`InstallError`] when it cannot be used.
    pub fn try_out(&self, staged: &Staged) -> Result<(), InstallError> {
        staged.try_out(&self.runtime)
    }

    /// What can be said of the networks without running one.
    #[must_use]
    pub const fn cards(&self) -> &Cards {
        &self.cards
    }

    /// The card of `model`.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when it cannot be read or is wrong.
    pub fn card(&self, model: &ModelId) -> Result<Arc<ModelCard>, EquipError> {
        self.cards.card(model)
    }

    /// The detector called `model`.
    ///
    /// # Errors
    /// [`EquipError::Inference`].
    pub fn detector(&self, model: &ModelId, config: &Config) -> Result<SsdDetector, EquipError> {
        let card = self.card(model)?;
        let engine = Box::new(self.runtime.load(&card, &self.cards.directory)?);
        Ok(SsdDetector::new(&card, engine, Some(config.detect.score))?)
    }

    /// Both detectors, following as configured.
    ///
    /// # Errors
    /// [`EquipError::Inference`].
    pub fn follower(&self, config: &Config) -> Result<Follower, EquipError> {
        Ok(Follower::new(
            self.detector(&config.models.find, config)?,
            self.detector(&config.models.follow, config)?,
            config.follower_settings(),
        ))
    }

    /// What cuts faces for the configured embedder.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when its card has no alignment template, or names a landmarker that
    /// cannot be loaded.
    pub fn cutter(&self, config: &Config) -> Result<Cutter, EquipError> {
        self.cutter_for(&config.models.embedder)
    }

    fn cutter_for(&self, model: &ModelId) -> Result<Cutter, EquipError> {
        let card = self.card(model)?;
        let landmarks = self.cards.landmarker_of(&card)?;
        let aligner = Aligner::new(&card).ok_or_else(|| none_of_an_embedder(model))?;
        let Some(landmarks) = landmarks else { return Ok(aligner.into()) };
        let engine = Box::new(self.runtime.load(&landmarks, &self.cards.directory)?);
        Ok(Cutter::by_landmarks(aligner, Landmarker::new(&landmarks, engine)?))
    }

    /// The configured embedder.
    ///
    /// # Errors
    /// [`EquipError::Inference`].
    pub fn embedder(&self, config: &Config) -> Result<Embedder, EquipError> {
        self.embedder_called(&config.models.embedder, config)
    }

    fn embedder_called(&self, model: &ModelId, config: &Config) -> Result<Embedder, EquipError> {
        let card = self.card(model)?;
        let landmarker = self.cards.landmarker_of(&card)?;
        let engine = Box::new(self.runtime.load(&card, &self.cards.directory)?);
        let procedure = Procedure {
            embedder: &card,
            landmarker: landmarker.as_deref(),
            mirrored: config.recognise.mirrored,
        };
        Ok(Embedder::new(&procedure, engine)?)
    }

    /// How vectors of the configured embedder are compared by `metric`.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when the card is none of an embedder.
    pub fn comparer(&self, config: &Config, metric: Metric) -> Result<Comparer, EquipError> {
        self.comparer_for(config, &config.models.embedder, metric)
    }

    /// How vectors of `model` are compared by `metric`.
    ///
    /// # Errors
    /// As [`Self::comparer`].
    pub fn comparer_for(
        &self,
        config: &Config,
        model: &ModelId,
        metric: Metric,
    ) -> Result<Comparer, EquipError> {
        let key = self.cards.key(config, model)?;
        let card = self.card(model)?;
        let facts = card.features.as_ref().ok_or_else(|| none_of_an_embedder(model))?;
        Ok(Comparer::new(key, facts.length, &facts.mean, metric))
    }

    /// The gallery of `references`.
    ///
    /// # Errors
    /// [`EquipError`] when a reference cannot be compared or no threshold follows.
    pub fn gallery(
        &self,
        config: &Config,
        references: Vec<Reference>,
    ) -> Result<Gallery, EquipError> {
        let metric = config.recognise.metric;
        // Each reference is one more chance for a stranger, also a second one of the same subject.
        let operating = self.cards.operating(config, metric, references.len())?;
        Ok(Gallery::build(self.comparer(config, metric)?, entries(references), |_| operating)?)
    }

    /// What the confirming embedder knows by `references`; `None` where nothing is to confirm.
    ///
    /// # Errors
    /// As [`Self::gallery`], [`EquipError::Confirm`], and whatever `references` fails with.
    pub fn confirming<E: From<EquipError>>(
        &self,
        config: &Config,
        references: impl FnOnce(&ModelKey) -> Result<Vec<Reference>, E>,
    ) -> Result<Option<Confirming>, E> {
        let Some(card) = self.cards.fusion(config)? else { return Ok(None) };
        let comparer = self.comparer_for(config, &card.second.id, Metric::Cosine)?;
        let references = references(comparer.key())?;
        let operating = self.cards.operating_fused(config, &card, references.len())?;
        let gallery = Gallery::build(comparer, entries(references), |_| operating);
        let gallery = gallery.map_err(EquipError::from)?;
        Ok(Some(Confirming { fusion: Fusion::of(&card), gallery }))
    }

    /// What a door compares with, of the references that `of` has of a procedure. The first gallery's
    /// threshold is the same whether grants are confirmed or not: confirming only withholds.
    ///
    /// # Errors
    /// As [`Self::confirming`].
    pub fn galleries<E: From<EquipError>>(
        &self,
        config: &Config,
        of: impl Fn(&ModelKey) -> Result<Vec<Reference>, E>,
    ) -> Result<Galleries, E> {
        let key = self.cards.key(config, &config.models.embedder)?;
        let gallery = self.gallery(config, of(&key)?)?;
        Ok(Galleries { gallery, confirming: self.confirming(config, of)? })
    }

    fn confirmer(&self, config: &Config, confirming: Confirming) -> Result<Confirmer, EquipError> {
        let model = confirming.gallery.comparer().model();
        let (cutter, embedder) = (self.cutter_for(model)?, self.embedder_called(model, config)?);
        Ok(Confirmer::new(confirming, cutter, embedder))
    }

    /// The whole path, within the configuration's limits of quality.
    ///
    /// # Errors
    /// [`EquipError`] when a network cannot be loaded.
    pub fn recognizer(
        &self,
        config: &Config,
        galleries: impl Into<Galleries>,
    ) -> Result<Recognizer, EquipError> {
        self.recognizer_within(config, galleries, config.quality_limits())
    }

    /// The whole path, within other limits of quality.
    ///
    /// # Errors
    /// [`EquipError`] when a network cannot be loaded.
    pub fn recognizer_within(
        &self,
        config: &Config,
        galleries: impl Into<Galleries>,
        limits: QualityLimits,
    ) -> Result<Recognizer, EquipError> {
        let Galleries { gallery, confirming } = galleries.into();
        let confirmer = confirming.map(|known| self.confirmer(config, known)).transpose()?;
        let recognizer = Recognizer::new(
            self.follower(config)?,
            self.cutter(config)?,
            self.embedder(config)?,
            gallery,
            limits,
            config.detect.central,
        );
        Ok(recognizer.confirmed_by(confirmer))
    }
}

impl Config {
    /// The FPIR that is accepted of each comparison that decides: of a visit's tries at the
    /// confirming embedder each gets its share, as of the target.
    #[must_use]
    pub fn accepted_fpir(&self) -> f64 {
        let accepted = self.recognise.accept_fpir;
        match self.models.confirm {
            Some(_) => accepted / f64::from(self.visit.agreeing.max(1)),
            None => accepted,
        }
    }
}

fn none_of_an_embedder(model: &ModelId) -> InferenceError {
    InferenceError::Kind { model: model.clone(), wanted: ModelKind::Embedder }
}

fn unfit_keypoints(embedder: &ModelCard, source: InferenceError) -> EquipError {
    EquipError::Keypoints { embedder: embedder.id.clone(), source: Box::new(source) }
}

fn entries(references: Vec<Reference>) -> Vec<GalleryEntry> {
    references
        .into_iter()
        .map(|reference| GalleryEntry {
            subject: reference.subject,
            enabled: reference.enabled,
            feature: reference.vector,
        })
        .collect()
}
