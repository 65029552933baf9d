//! Verification of photographs in pairs: is this the same person?
//!
//! In: a [`PairList`], the folder of its photographs, the configuration. Out: a [`Pairs`] report
//! with the figures of each metric. Each photograph goes once through the path of the daemon, by
//! itself; its principal face is embedded whatever its quality, because the published protocols
//! leave none out, and how many the door would have refused is told. Whom a photograph is of, the
//! protocols say by its middle, not by who is largest.
//!
//! Invariant: nothing is tuned to the data; the threshold of a fold is chosen on the others.

use std::path::Path;

use serde::Serialize;

use super::Stage;
use super::attempt::Vectors;
use super::end_to_end::EvaluateError;
use super::pair_list::PairList;
use super::stills::{Stills, meant_central};
use super::verification::{Trial, Verification};
use crate::calibrate::Tally;
use crate::compare::Metric;
use crate::config::Config;
use crate::decide::Seen;
use crate::embed::QualityLimits;
use crate::equip::{EquipError, Networks};
use crate::inference::ModelId;
use crate::recognise::Fusion;

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
    /// Of the width and height of a photograph, the middle part in which its person is looked for
    /// first.
    pub central: f32,
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
    /// By the fused score of the confirming stage, where there is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fused: Option<Fused>,
}

/// What the confirming stage adds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Fused {
    /// The fusion card.
    pub fusion: ModelId,
    /// Mated pairs that reach the gate, so that the second embedder is asked.
    pub mated_at_gate: Tally,
    /// The same of non-mated pairs.
    pub non_mated_at_gate: Tally,
    /// By the fused score, −1 to 1. A pair below the gate counts as −2 plus the first's score: below
    /// every fused one, whatever the threshold.
    #[serde(flatten)]
    pub verification: Verification,
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
    let mut stills = Stills::of_whom_is_meant(config, networks)?;
    let mut below_quality = Tally::default();
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
                let compared = a.zip(b).map(|(a, b)| comparer.score(&a.first, &b.first));
                let score = compared.transpose()?;
                Ok(Trial { mated: pair.mated, fold: pair.fold, score })
            })
            .collect::<Result<_, EvaluateError>>()?;
        // Of one reference, as 'verify' has it.
        let card = networks.cards().operating(config, metric, 1).ok();
        Ok(Verification::of(metric, list.folds, &trials, card.map(|card| card.threshold)))
    };
    let mated = list.pairs.iter().filter(|pair| pair.mated).count();
    Ok(Pairs {
        schema: "deepid-edge/evaluate-pairs/1",
        find: config.models.find.clone(),
        embedder: config.models.embedder.clone(),
        mirrored: config.recognise.mirrored,
        central: meant_central(config),
        mated,
        non_mated: list.pairs.len() - mated,
        folds: list.folds,
        failures_to_acquire: vectors.iter().map(Option::is_none).collect(),
        below_quality,
        cosine: verified(Metric::Cosine)?,
        euclidean: verified(Metric::Euclidean)?,
        euclidean_l2: verified(Metric::EuclideanL2)?,
        fused: fused(config, networks, list, &vectors)?,
    })
}

/// The pairs by the fused score; `None` where nothing is to confirm.
fn fused(
    config: &Config,
    networks: &Networks,
    list: &PairList,
    vectors: &[Option<Vectors>],
) -> Result<Option<Fused>, EvaluateError> {
    let Some(card) = networks.cards().fusion(config)? else { return Ok(None) };
    let first = networks.comparer(config, Metric::Cosine)?;
    let second = networks.comparer_for(config, &card.second.id, Metric::Cosine)?;
    let fusion = Fusion::of(&card);
    let (mut mated_at_gate, mut non_mated_at_gate) = (Tally::default(), Tally::default());
    let trials: Vec<_> = list
        .pairs
        .iter()
        .map(|pair| {
            let [a, b] = pair.photographs.map(|index| vectors.get(index)?.as_ref());
            let Some((a, b)) = a.zip(b) else {
                return Ok(Trial { mated: pair.mated, fold: pair.fold, score: None });
            };
            let one = first.score(&a.first, &b.first)?;
            let two = a.confirming.as_ref().zip(b.confirming.as_ref());
            let two = two.map(|(a, b)| second.score(a, b)).transpose()?;
            let both = two.and_then(|two| fusion.score(one, two));
            let at_gate = if pair.mated { &mut mated_at_gate } else { &mut non_mated_at_gate };
            at_gate.add(both.is_some());
            let score = Some(both.unwrap_or(one - 2.0));
            Ok(Trial { mated: pair.mated, fold: pair.fold, score })
        })
        .collect::<Result<_, EvaluateError>>()?;
    Ok(Some(Fused {
        fusion: fusion.id,
        mated_at_gate,
        non_mated_at_gate,
        verification: Verification::of(
            Metric::Cosine,
            list.folds,
            &trials,
            networks.cards().operating_fused(config, &card, 1).ok().map(|one| one.threshold),
        ),
    }))
}

/// The vectors of the principal face; `None` when no face was found.
fn vector(
    stills: &mut Stills,
    path: &Path,
    limits: &QualityLimits,
    below_quality: &mut Tally,
) -> Result<Option<Vectors>, EvaluateError> {
    match stills.observe(path)?.seen {
        Seen::NoFace => Ok(None),
        Seen::Fault(_) => Err(EvaluateError::Judged(path.to_owned())),
        Seen::Faces { principal, .. } => {
            below_quality.add(limits.fault(&principal.quality).is_some());
            let confirming = stills.recogniser.confirming_features().map_err(EquipError::from)?;
            let first = || stills.recogniser.features().clone();
            Ok(principal.found.map(|_| Vectors { first: first(), confirming }))
        }
    }
}

impl Pairs {
    /// Which face a photograph was taken to be of, in words.
    pub(super) fn meant(&self) -> String {
        let middle = (100.0 * self.central).round();
        format!("each photograph is of the face in its middle {middle} %, if one is there")
    }
}

impl std::fmt::Display for Pairs {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mirrored = if self.mirrored { ", averaged with the mirror image" } else { "" };
        writeln!(f, "{} finds, {}{mirrored}", self.find, self.embedder)?;
        writeln!(f, "{}", self.meant())?;
        writeln!(
            f,
            "{} mated and {} non-mated pairs in {} fold(s); intervals are 95 %\n",
            self.mated, self.non_mated, self.folds
        )?;
        writeln!(f, "photographs")?;
        writeln!(f, "  without a face  {}", self.failures_to_acquire)?;
        writeln!(f, "  below quality   {}\n", self.below_quality)?;
        write!(f, "{}\n{}\n{}", self.cosine, self.euclidean, self.euclidean_l2)?;
        let Some(fused) = &self.fused else { return Ok(()) };
        writeln!(f, "\n{}: fused where the first reaches the gate", fused.fusion)?;
        writeln!(f, "  mated there      {}", fused.mated_at_gate)?;
        writeln!(f, "  non-mated there  {}", fused.non_mated_at_gate)?;
        write!(f, "{}", fused.verification)
    }
}
