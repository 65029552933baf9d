//! Verification of photographs in pairs: is this the same person?
//!
//! In: a [`PairList`], the folder of its photographs, the configuration. Out: a [`Pairs`] report
//! with the figures of each metric. Each photograph goes once through the path of the daemon, by
//! itself; its principal face is embedded whatever its quality, because the published protocols
//! leave none out, and how many the door would have refused is told.
//!
//! Invariant: nothing is tuned to the data; the threshold of a fold is chosen on the others.

use std::path::Path;

use serde::Serialize;

use super::end_to_end::EvaluateError;
use super::pair_list::PairList;
use super::verification::{Trial, Verification};
use super::{Stage, Tally};
use crate::capture::picture::Picture;
use crate::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use crate::compare::Metric;
use crate::config::{Config, Networks};
use crate::decide::Seen;
use crate::embed::{FeatureVector, QualityLimits};
use crate::inference::ModelId;
use crate::recognize::Recognizer;

/// What verification of pairs found.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Pairs {
    /// Names this format.
    pub schema: &'static str,
    /// Detector.
    pub find: ModelId,
    /// Embedder.
    pub embedder: ModelId,
    /// Whether each face is averaged with its mirror image.
    pub mirrored: bool,
    /// Mated pairs.
    pub mated: usize,
    /// Non-mated pairs.
    pub non_mated: usize,
    /// Folds.
    pub folds: usize,
    /// Photographs in which no face was found, of all: their pairs count as errors.
    pub failures_to_acquire: Tally,
    /// Photographs that the door would refuse for their quality, of those with a face; here they
    /// are compared.
    pub below_quality: Tally,
    /// By cosine.
    pub cosine: Verification,
    /// By Euclidean distance.
    pub euclidean: Verification,
    /// By Euclidean distance of normalised vectors.
    pub euclidean_l2: Verification,
}

/// Verifies the pairs of `list`, whose photographs lie under `images`; `progress` hears how far it
/// is.
///
/// # Errors
/// [`EvaluateError`]: a photograph or a model cannot be used.
pub fn pairs(
    config: &Config,
    networks: &Networks,
    list: &PairList,
    images: &Path,
    progress: &mut dyn FnMut(Stage),
) -> Result<Pairs, EvaluateError> {
    let paths: Vec<_> = list.photographs.iter().map(|one| one.path(images)).collect();
    // Before minutes of work.
    if let Some(missing) = paths.iter().find(|path| !path.is_file()) {
        return Err(EvaluateError::Photograph(missing.clone()));
    }
    let mut sitting = Sitting::new(config, networks)?;
    let mut vectors = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        progress(Stage { name: "photographs", done: index, of: paths.len() });
        vectors.push(sitting.vector(path)?);
    }
    let verified = |metric| -> Result<Verification, EvaluateError> {
        let comparer = networks.comparer(config, metric)?;
        let trials: Vec<_> = list
            .pairs
            .iter()
            .map(|pair| {
                let [a, b] = pair.photographs.map(|index| vectors.get(index)?.as_ref());
                let score = a.zip(b).and_then(|(a, b)| comparer.score(a, b).ok());
                Trial { mated: pair.mated, fold: pair.fold, score }
            })
            .collect();
        Ok(Verification::of(metric, list.folds, &trials))
    };
    let mated = list.pairs.iter().filter(|pair| pair.mated).count();
    Ok(Pairs {
        schema: "deepid-edge/evaluate-pairs/1",
        find: config.models.find.clone(),
        embedder: config.models.embedder.clone(),
        mirrored: config.recognise.mirrored,
        mated,
        non_mated: list.pairs.len() - mated,
        folds: list.folds,
        failures_to_acquire: vectors.iter().map(Option::is_none).collect(),
        below_quality: sitting.below_quality,
        cosine: verified(Metric::Cosine)?,
        euclidean: verified(Metric::Euclidean)?,
        euclidean_l2: verified(Metric::EuclideanL2)?,
    })
}

/// The path, before which one photograph after the other is held.
struct Sitting {
    recognizer: Recognizer,
    clock: ManualClock,
    limits: QualityLimits,
    below_quality: Tally,
}

impl Sitting {
    fn new(config: &Config, networks: &Networks) -> Result<Self, EvaluateError> {
        let recognizer = Recognizer::new(
            networks.follower(config)?,
            networks.aligner(config)?,
            networks.embedder(config)?,
            networks.gallery(config, vec![])?,
            QualityLimits::NONE,
            config.detect.central,
        );
        Ok(Self {
            recognizer,
            clock: ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS),
            limits: config.quality_limits(),
            below_quality: Tally::default(),
        })
    }

    /// The vector of the principal face; `None` when no face was found.
    fn vector(&mut self, path: &Path) -> Result<Option<FeatureVector>, EvaluateError> {
        let picture = Picture::read(path)?;
        self.recognizer.forget();
        let frame = picture.frame(0, self.clock.now());
        let Seen::Faces { principal, .. } = self.recognizer.observe(&frame, &self.clock).seen
        else {
            return Ok(None);
        };
        self.below_quality.add(self.limits.fault(&principal.quality).is_some());
        Ok(principal.found.map(|_| self.recognizer.features().clone()))
    }
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mirrored = if self.mirrored { ", averaged with the mirror image" } else { "" };
        writeln!(f, "{} finds, {}{mirrored}", self.find, self.embedder)?;
        writeln!(
            f,
            "{} mated and {} non-mated pairs in {} fold(s); intervals are 95 %\n",
            self.mated, self.non_mated, self.folds
        )?;
        writeln!(f, "photographs")?;
        writeln!(f, "  without a face  {}", self.failures_to_acquire)?;
        writeln!(f, "  below quality   {}\n", self.below_quality)?;
        write!(f, "{}\n{}\n{}", self.cosine, self.euclidean, self.euclidean_l2)
    }
}
