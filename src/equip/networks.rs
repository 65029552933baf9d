//! The networks that a configuration names, loaded, and the path that they make.
//!
//! In: a [`Config`], references from the store. Out: detectors, cutter, embedder, galleries, and the
//! whole [`Recogniser`].

use std::sync::Arc;

use super::{Cards, EquipError, LivenessCards, none_of_an_embedder};
use crate::align::{Aligner, Cutter, Landmarker};
use crate::compare::{Comparer, Gallery, GalleryEntry, Metric};
use crate::config::Config;
use crate::detect::{Follower, SsdDetector};
use crate::embed::{CoverJudge, Embedder, QualityLimits};
use crate::inference::{InstallError, ModelCard, ModelId, ModelKey, Procedure, Runtime, Staged};
use crate::liveness::{Liveness, LivenessNetwork, LivenessNetworks, LivenessPolicy, Mode};
use crate::recognise::{Confirmer, Confirming, Fusion, Galleries, Recogniser};
use crate::store::Reference;

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
    pub fn recogniser(
        &self,
        config: &Config,
        galleries: impl Into<Galleries>,
    ) -> Result<Recogniser, EquipError> {
        self.recogniser_within(config, galleries, config.quality_limits())
    }

    /// The whole path, within other limits of quality.
    ///
    /// # Errors
    /// [`EquipError`] when a network cannot be loaded.
    pub fn recogniser_within(
        &self,
        config: &Config,
        galleries: impl Into<Galleries>,
        limits: QualityLimits,
    ) -> Result<Recogniser, EquipError> {
        let Galleries { gallery, confirming } = galleries.into();
        let confirmer = confirming.map(|known| self.confirmer(config, known)).transpose()?;
        let recogniser = Recogniser::new(
            self.follower(config)?,
            self.cutter(config)?,
            self.embedder(config)?,
            gallery,
            limits,
            config.detect.central,
        );
        let covers = self.cover_judge(config)?;
        let recogniser = recogniser.confirmed_by(confirmer).judging_covers(covers);
        Ok(recogniser.telling_liveness(self.liveness(config)?))
    }

    /// The network that judges covered faces; `None` where none does.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when it cannot be loaded, or is of another kind.
    pub fn cover_judge(&self, config: &Config) -> Result<Option<CoverJudge>, EquipError> {
        let Some(card) = self.cards.quality(config)? else { return Ok(None) };
        let engine = Box::new(self.runtime.load(&card, &self.cards.directory)?);
        Ok(Some(CoverJudge::new(&card, engine, config.quality.uncovered_refused)?))
    }

    /// The networks that tell faces from pictures; `None` where nobody asks them.
    ///
    /// # Errors
    /// [`EquipError::Inference`] when one cannot be loaded, or is of another kind.
    pub fn liveness_networks(
        &self,
        config: &Config,
    ) -> Result<Option<LivenessNetworks>, EquipError> {
        if config.live.mode == Mode::Off {
            return Ok(None);
        }
        let load = |card: &ModelCard| -> Result<LivenessNetwork, EquipError> {
            let engine = Box::new(self.runtime.load(card, &self.cards.directory)?);
            Ok(LivenessNetwork::new(card, engine)?)
        };
        let LivenessCards { around, closer } = self.cards.liveness(config)?;
        let (around, closer) = (load(&around)?, closer.as_deref().map(load).transpose()?);
        Ok(Some(LivenessNetworks { around, closer }))
    }

    /// The cues of a live face; `None` where nobody looks at them.
    fn liveness(&self, config: &Config) -> Result<Option<Liveness>, EquipError> {
        let Some(networks) = self.liveness_networks(config)? else { return Ok(None) };
        let (mode, median_min) = (config.live.mode, self.cards.liveness_median(config)?);
        let policy = LivenessPolicy { mode, median_min, ..LivenessPolicy::default() };
        let policy = if networks.closer.is_some() { policy.in_turn() } else { policy };
        Ok(Some(Liveness::new(policy, networks)))
    }
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
