//! Figures of verification: how well a threshold parts mated from non-mated scores.
//!
//! In: scored pairs in folds, and which way the metric points. Out: accuracy by cross-validation
//! over the folds (Huang et al., Labeled Faces in the Wild, 2007: the threshold for each fold is
//! chosen on the others), and over all pairs together the equal error rate, the area under the ROC
//! curve and the FNMR at fixed FMR (ISO/IEC 19795-1).
//!
//! Invariant: a pair that could not be compared is an error at every threshold: a mated one is a
//! false non-match. A non-mated one is an error of the accuracy, and no false match.

use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};

use crate::calibrate::{Interval, Tally};
use crate::compare::Metric;

/// The FMRs at which the FNMR is told, and what their keys are called.
const FMRS: [(f64, &str); 3] = [(1e-2, "1e-2"), (1e-3, "1e-3"), (1e-4, "1e-4")];

/// A pair and its score.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trial {
    /// Whether both show the same person.
    pub mated: bool,
    /// The fold, from 0.
    pub fold: usize,
    /// The comparison score; `None` when there was no face to compare.
    pub score: Option<f32>,
}

/// What a threshold does.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Point {
    /// The threshold, in the metric's own scores.
    pub threshold: f64,
    /// Non-mated pairs that it accepts, of those compared.
    pub fmr: f64,
    /// Mated pairs that it rejects, or that could not be compared, of all.
    pub fnmr: f64,
}

/// FNMR at a fixed FMR.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct AtFmr {
    /// The score that lets through no more than that.
    pub threshold: f64,
    /// Mated pairs rejected, of all.
    #[serde(flatten)]
    pub missed: Tally,
    /// Where the true rate lies.
    pub interval_95: Option<Interval>,
}

/// What one threshold makes of the pairs.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Judged {
    /// The threshold, in the metric's own scores.
    pub threshold: f64,
    /// Pairs judged rightly, of all; a pair that could not be compared is judged wrongly.
    pub right: Tally,
    /// Non-mated pairs accepted, of those compared.
    pub falsely_matched: Tally,
    /// Mated pairs rejected or not compared, of all.
    pub missed: Tally,
}

/// The figures of one metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Verification {
    /// Which metric.
    pub metric: Metric,
    /// Mean over the folds of the share of pairs that are judged rightly; `None` with one fold.
    pub accuracy_mean: Option<f64>,
    /// Its standard error over the folds.
    pub accuracy_standard_error: Option<f64>,
    /// Where FMR and FNMR meet; `None` without pairs of both kinds.
    pub eer: Option<f64>,
    /// Probability that a mated pair scores better than a non-mated one.
    pub auc: Option<f64>,
    /// For each false match rate in `FMRS`; `None` where there are too few non-mated pairs to say.
    pub fnmr_at: [Option<AtFmr>; FMRS.len()],
    /// What the threshold that a door would use makes of the pairs; `None` where nothing says which.
    pub at_card: Option<Judged>,
    /// The same of the threshold that judges most of these very pairs rightly: no door can know it.
    pub at_best: Option<Judged>,
    /// What the figures were made of.
    pub trials: Vec<Trial>,
    /// Every threshold that parts two scores, from the one that accepts least to the one that
    /// accepts all.
    pub curve: Vec<Point>,
}

impl Verification {
    /// The figures of `trials` in `folds` folds, scored by `metric`; `card` is the threshold that a
    /// door would use.
    #[must_use]
    pub fn of(metric: Metric, folds: usize, trials: &[Trial], card: Option<f32>) -> Self {
        let curve = curve(metric, trials);
        let accuracies = accuracies(metric, folds, trials);
        let nearest =
            curve.iter().min_by(|a, b| (a.fmr - a.fnmr).abs().total_cmp(&(b.fmr - b.fnmr).abs()));
        Self {
            metric,
            accuracy_mean: mean(&accuracies),
            accuracy_standard_error: standard_error(&accuracies),
            eer: nearest.map(|point| point.fmr.midpoint(point.fnmr)),
            auc: auc(&curve),
            fnmr_at: FMRS.map(|(fmr, _)| at_fmr(fmr, trials, &curve)),
            at_card: card.map(|threshold| judged(metric, trials, f64::from(threshold))),
            at_best: best_threshold(metric, trials.iter().copied())
                .map(|turned| judged(metric, trials, own_sense(metric, turned))),
            curve,
            trials: trials.to_vec(),
        }
    }

    /// The scores of all pairs of one kind that could be compared.
    pub fn scores(&self, mated: bool) -> impl Iterator<Item = f32> {
        self.trials.iter().filter(move |trial| trial.mated == mated).filter_map(|trial| trial.score)
    }

    fn named(&self) -> impl Iterator<Item = (String, Option<AtFmr>)> {
        FMRS.iter().zip(self.fnmr_at).map(|((_, name), at)| (format!("fnmr_at_fmr_{name}"), at))
    }
}

impl Serialize for Verification {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        map.serialize_entry("accuracy_mean", &self.accuracy_mean)?;
        map.serialize_entry("accuracy_standard_error", &self.accuracy_standard_error)?;
        map.serialize_entry("eer", &self.eer)?;
        map.serialize_entry("auc", &self.auc)?;
        map.serialize_entry("at_card", &self.at_card)?;
        map.serialize_entry("at_best", &self.at_best)?;
        for (name, at) in self.named() {
            map.serialize_entry(&name, &at.and_then(|at| at.missed.rate()))?;
            if let Some(at) = at {
                map.serialize_entry(&format!("{name}_support"), &at)?;
            }
        }
        map.end()
    }
}

impl std::fmt::Display for Verification {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{}", self.metric)?;
        match (self.accuracy_mean, self.accuracy_standard_error) {
            (Some(mean), Some(error)) => {
                writeln!(f, "  accuracy        {:.2} ± {:.2} %", mean * 100.0, error * 100.0)?;
            }
            _ => writeln!(f, "  accuracy        none: it takes two folds at least")?,
        }
        if let (Some(eer), Some(auc)) = (self.eer, self.auc) {
            writeln!(f, "  equal error     {:.2} %", eer * 100.0)?;
            writeln!(f, "  area under ROC  {auc:.4}")?;
        }
        for (name, judged) in [("at card's", self.at_card), ("at the best", self.at_best)] {
            let Some(Judged { threshold, right, falsely_matched, missed }) = judged else {
                continue;
            };
            writeln!(
                f,
                "  {name:<14}  {threshold:.3}: right {right}; falsely matched {falsely_matched}; missed {missed}"
            )?;
        }
        for ((_, name), at) in FMRS.iter().zip(self.fnmr_at) {
            match at {
                Some(at) => {
                    writeln!(f, "  FNMR, FMR {name}  {} from {:.3}", at.missed, at.threshold)?;
                }
                None => writeln!(f, "  FNMR, FMR {name}  not shown: too few non-mated pairs")?,
            }
        }
        Ok(())
    }
}

/// Scores turned so that larger is more alike, with whether they are mated; the most alike first.
fn ranked(metric: Metric, trials: impl Iterator<Item = Trial>) -> Vec<(f64, bool)> {
    let mut ranked: Vec<_> = trials
        .filter_map(|trial| {
            let score = trial.score.filter(|score| score.is_finite())?;
            Some((f64::from(metric.advantage(score, 0.0)), trial.mated))
        })
        .collect();
    ranked.sort_by(|a, b| b.0.total_cmp(&a.0));
    ranked
}

/// After each group of equal scores: the threshold halfway to the next, and how many mated and
/// non-mated pairs it accepts. Begins with the threshold that accepts none.
fn cuts(ranked: &[(f64, bool)]) -> Vec<(f64, usize, usize)> {
    let Some(&(best, _)) = ranked.first() else { return Vec::new() };
    let mut cuts = vec![(best + 1.0, 0, 0)];
    let (mut mated, mut non_mated) = (0, 0);
    let next = ranked.iter().skip(1).map(|(score, _)| Some(*score)).chain([None]);
    for ((score, is_mated), next) in ranked.iter().zip(next) {
        mated += usize::from(*is_mated);
        non_mated += usize::from(!is_mated);
        if next != Some(*score) {
            cuts.push((next.map_or(*score, |next| score.midpoint(next)), mated, non_mated));
        }
    }
    cuts
}

fn curve(metric: Metric, trials: &[Trial]) -> Vec<Point> {
    let mated = trials.iter().filter(|trial| trial.mated).count();
    let ranked = ranked(metric, trials.iter().copied());
    let compared = ranked.iter().filter(|(_, mated)| !mated).count();
    if mated == 0 || compared == 0 {
        return Vec::new();
    }
    cuts(&ranked)
        .into_iter()
        .map(|(threshold, accepted, falsely)| Point {
            threshold: own_sense(metric, threshold),
            fmr: falsely as f64 / compared as f64,
            fnmr: (mated - accepted) as f64 / mated as f64,
        })
        .collect()
}

/// A threshold on turned scores, in the metric's own sense, and the other way.
fn own_sense(metric: Metric, turned: f64) -> f64 {
    match metric {
        Metric::Cosine => turned,
        Metric::Euclidean | Metric::EuclideanL2 => -turned,
    }
}

/// The share judged rightly in each fold, at the threshold that is best on all others.
fn accuracies(metric: Metric, folds: usize, trials: &[Trial]) -> Vec<f64> {
    if folds < 2 {
        return Vec::new();
    }
    let fold_accuracy = |fold| {
        let others = trials.iter().filter(|trial| trial.fold != fold).copied();
        let threshold = best_threshold(metric, others)?;
        let right = |trial: &Trial| {
            trial.score.filter(|score| score.is_finite()).is_some_and(|score| {
                (f64::from(metric.advantage(score, 0.0)) >= threshold) == trial.mated
            })
        };
        trials.iter().filter(|trial| trial.fold == fold).map(right).collect::<Tally>().rate()
    };
    (0..folds).filter_map(fold_accuracy).collect()
}

/// The threshold on turned scores that judges most of `trials` rightly; of equals the strictest.
fn best_threshold(metric: Metric, trials: impl Iterator<Item = Trial>) -> Option<f64> {
    let ranked = ranked(metric, trials);
    let non_mated = ranked.iter().filter(|(_, mated)| !mated).count();
    let best = cuts(&ranked)
        .into_iter()
        .rev()
        .max_by_key(|(_, accepted, falsely)| accepted + non_mated - falsely);
    best.map(|(threshold, ..)| threshold)
}

fn judged(metric: Metric, trials: &[Trial], threshold: f64) -> Judged {
    let mut judged = Judged {
        threshold,
        right: Tally::default(),
        falsely_matched: Tally::default(),
        missed: Tally::default(),
    };
    for trial in trials {
        let score = trial.score.filter(|score| score.is_finite());
        let accepts =
            |score| f64::from(metric.advantage(score, 0.0)) >= own_sense(metric, threshold);
        let accepted = score.map(accepts);
        judged.right.add(accepted == Some(trial.mated));
        match (trial.mated, accepted) {
            (true, accepted) => judged.missed.add(accepted != Some(true)),
            (false, Some(accepted)) => judged.falsely_matched.add(accepted),
            (false, None) => {}
        }
    }
    judged
}

fn mean(values: &[f64]) -> Option<f64> {
    (!values.is_empty()).then(|| values.iter().sum::<f64>() / values.len() as f64)
}

/// Of the mean: the standard deviation over the square root of the count.
fn standard_error(values: &[f64]) -> Option<f64> {
    let (mean, count) = (mean(values)?, values.len() as f64);
    let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
    (values.len() > 1).then(|| (squares / (count - 1.0) / count).sqrt())
}

/// By trapezoids; whatever could not be compared lies beyond the last threshold.
fn auc(curve: &[Point]) -> Option<f64> {
    (!curve.is_empty()).then(|| {
        let steps = curve.iter().zip(curve.iter().skip(1));
        steps.map(|(a, b)| (b.fmr - a.fmr) * (1.0 - a.fnmr.midpoint(b.fnmr))).sum()
    })
}

/// `None` where less than one false match among the compared pairs would be too many.
fn at_fmr(fmr: f64, trials: &[Trial], curve: &[Point]) -> Option<AtFmr> {
    let compared = trials.iter().filter(|trial| !trial.mated && trial.score.is_some()).count();
    if compared as f64 * fmr < 1.0 {
        return None;
    }
    let point = curve.iter().rev().find(|point| point.fmr <= fmr)?;
    let of = trials.iter().filter(|trial| trial.mated).count() as u64;
    let missed = Tally { count: (point.fnmr * of as f64).round() as u64, of };
    Some(AtFmr { threshold: point.threshold, missed, interval_95: missed.interval() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn trial(mated: bool, fold: usize, score: f32) -> Trial {
        Trial { mated, fold, score: Some(score) }
    }

    fn near(found: Option<f64>, expected: f64) -> bool {
        found.is_some_and(|found| (found - expected).abs() < 1e-9)
    }

    #[test]
    fn scores_that_part_have_no_error_in_either_sense() {
        for (metric, like, unlike) in [
            (Metric::Cosine, 0.9, 0.1),
            (Metric::Euclidean, 3.0, 9.0),
            (Metric::EuclideanL2, 0.4, 1.3),
        ] {
            let trials: Vec<_> = (0..10)
                .flat_map(|fold| [trial(true, fold, like), trial(false, fold, unlike)])
                .collect();
            let found = Verification::of(metric, 10, &trials, None);
            assert!(near(found.accuracy_mean, 1.0), "{found}");
            assert!(near(found.accuracy_standard_error, 0.0), "{found}");
            assert!(near(found.eer, 0.0) && near(found.auc, 1.0), "{found}");
            assert!(
                found.fnmr_at.iter().all(Option::is_none),
                "ten non-mated pairs show no FMR of 1 %"
            );
        }
    }

    #[test]
    fn what_overlaps_is_counted_by_hand() {
        // Mated 0.9 0.7 0.5 0.3, non-mated 0.6 0.4 0.2 0.1: of 16 comparisons of the two kinds 13
        // are won; between 0.4 and 0.5 one of four is wrong either way.
        let scores = [(true, [0.9, 0.7, 0.5, 0.3]), (false, [0.6, 0.4, 0.2, 0.1])];
        let trials: Vec<_> = scores
            .iter()
            .flat_map(|(mated, scores)| scores.iter().map(|score| trial(*mated, 0, *score)))
            .collect();
        let found = Verification::of(Metric::Cosine, 1, &trials, None);
        assert!(near(found.auc, 13.0 / 16.0), "{found}");
        assert!(near(found.eer, 0.25), "{found}");
        assert_eq!(found.accuracy_mean, None, "one fold has no other to choose a threshold on");
    }

    #[test]
    fn what_one_threshold_makes_of_the_pairs_is_counted() {
        let scores = [(true, 0.9), (true, 0.4), (false, 0.3), (false, 0.5), (false, 0.1)];
        let mut trials: Vec<_> = scores.map(|(mated, score)| trial(mated, 0, score)).into();
        trials.push(Trial { mated: true, fold: 0, score: None });
        for (metric, turn) in [(Metric::Cosine, 1.0), (Metric::Euclidean, -1.0)] {
            let trials: Vec<_> = trials
                .iter()
                .map(|t| Trial { score: t.score.map(|score| score * turn + 1.0), ..*t })
                .collect();
            let found = Verification::of(metric, 1, &trials, Some(0.5_f32 * turn + 1.0));
            let counts =
                |j: Judged| [j.right, j.falsely_matched, j.missed].map(|t| (t.count, t.of));
            assert_eq!(found.at_card.map(counts), Some([(3, 6), (1, 3), (2, 3)]), "{metric}");
            assert_eq!(found.at_best.map(counts), Some([(4, 6), (0, 3), (2, 3)]), "{metric}");
        }
        assert_eq!(Verification::of(Metric::Cosine, 1, &[], None).at_best, None);
    }

    #[test]
    fn the_threshold_of_a_fold_is_chosen_on_the_others() {
        // On folds 1 and 2 anything from 0.2 to 0.8 parts; fold 0 is the other way round, and must
        // not be asked.
        let trials = [
            trial(true, 0, 0.1),
            trial(false, 0, 0.9),
            trial(true, 1, 0.8),
            trial(false, 1, 0.2),
            trial(true, 2, 0.8),
            trial(false, 2, 0.2),
        ];
        let accuracies = accuracies(Metric::Cosine, 3, &trials);
        assert_eq!(accuracies.first(), Some(&0.0));
    }

    #[test]
    fn what_could_not_be_compared_is_an_error() {
        let mut trials: Vec<_> =
            (0..2).flat_map(|fold| [trial(true, fold, 0.9), trial(false, fold, 0.1)]).collect();
        trials.push(Trial { mated: true, fold: 0, score: None });
        trials.push(Trial { mated: false, fold: 1, score: None });
        let found = Verification::of(Metric::Cosine, 2, &trials, None);
        assert!(near(found.accuracy_mean, 2.0 / 3.0), "{found}");
        let last = found.curve.last().copied().unwrap();
        assert!((last.fnmr - 1.0 / 3.0).abs() < 1e-9, "it is missed at every threshold: {last:?}");
    }

    #[test]
    fn fnmr_is_told_where_the_pairs_allow() {
        // 1,000 non-mated pairs from 0.0 to 0.999; mated ones at 0.9895 and 0.95.
        let mut trials: Vec<_> =
            (0..1000_u16).map(|n| trial(false, 0, f32::from(n) / 1000.0)).collect();
        trials.extend([trial(true, 0, 0.9985), trial(true, 0, 0.9895), trial(true, 0, 0.95)]);
        let found = Verification::of(Metric::Cosine, 1, &trials, None);
        let missed = found.fnmr_at.map(|at| at.map(|at| (at.missed.count, at.missed.of)));
        // 1 %: ten of them lie above 0.9895; one in a thousand: one lies above 0.9985.
        assert_eq!(missed, [Some((1, 3)), Some((2, 3)), None]);
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json.get("fnmr_at_fmr_1e-4"), Some(&serde_json::Value::Null));
        assert!(
            json.get("fnmr_at_fmr_1e-3_support").is_some_and(|at| at.get("interval_95").is_some())
        );
    }

    proptest! {
        #[test]
        fn rates_go_one_way_along_the_curve(
            pairs in prop::collection::vec((any::<bool>(), 0_usize..4, prop::option::weighted(0.9, -100_i16..100)), 0..200)
        ) {
            let trials: Vec<_> = pairs.iter().map(|(mated, fold, score)| Trial {
                mated: *mated, fold: *fold, score: score.map(|score| f32::from(score) / 100.0),
            }).collect();
            for metric in [Metric::Cosine, Metric::Euclidean] {
                let found = Verification::of(metric, 4, &trials, None);
                for (a, b) in found.curve.iter().zip(found.curve.iter().skip(1)) {
                    prop_assert!(a.fmr <= b.fmr && a.fnmr >= b.fnmr);
                    prop_assert!(metric.advantage(a.threshold as f32, b.threshold as f32) > 0.0);
                }
                for rate in [found.accuracy_mean, found.eer, found.auc].into_iter().flatten() {
                    prop_assert!((0.0..=1.0).contains(&rate), "{found}");
                }
            }
        }
    }
}
