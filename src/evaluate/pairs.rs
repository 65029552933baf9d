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
use super::stills::Stills;
use super::verification::{Trial, Verification};
use super::{Stage, Tally};
use crate::compare::Metric;
use crate::config::{Config, Networks};
use crate::decide::Seen;
use crate::embed::{FeatureVector, QualityLimits};
use crate::inference::ModelId;

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
    let gallery = networks.gallery(config, vec![])?;
    let recognizer = networks.recognizer_within(config, gallery, QualityLimits::NONE)?;
    let (mut stills, mut below_quality) = (Stills::new(recognizer), Tally::default());
    let limits = config.quality_limits();
    let mut vectors = Vec::with_capacity(paths.len());
    for (index, path) in paths.iter().enumerate() {
        progress(Stage { name: "photographs", done: index, of: paths.len() });
        vectors.push(vector(&mut stills, path, &limits, &mut below_quality)?);
    }
    let verified = |metric| -> Result<Verification, EvaluateError> {
        let comparer = networks.comparer(config, metric)?;
        let trials: Vec<_> = list
            .pairs
            .iter()
            .map(|pair| {
                let [a, b] = pair.photographs.map(|index| vectors.get(index)?.as_ref());
                let score = a.zip(b).map(|(a, b)| comparer.score(a, b)).transpose()?;
                Ok(Trial { mated: pair.mated, fold: pair.fold, score })
            })
            .collect::<Result<_, EvaluateError>>()?;
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
        below_quality,
        cosine: verified(Metric::Cosine)?,
        euclidean: verified(Metric::Euclidean)?,
        euclidean_l2: verified(Metric::EuclideanL2)?,
    })
}

/// The vector of the principal face; `None` when no face was found.
fn vector(
    stills: &mut Stills,
    path: &Path,
    limits: &QualityLimits,
    below_quality: &mut Tally,
) -> Result<Option<FeatureVector>, EvaluateError> {
    match stills.observe(path)?.seen {
        Seen::NoFace => Ok(None),
        Seen::Fault(_) => Err(EvaluateError::Judged(path.to_owned())),
        Seen::Faces { principal, .. } => {
            below_quality.add(limits.fault(&principal.quality).is_some());
            Ok(principal.found.map(|_| stills.recognizer.features().clone()))
        }
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
