//! From what the configuration asks to a threshold, through the card's calibration.
//!
//! In: a target for false positive identifications in an attempt (FPIR), or a score; the number of
//! references; the card's table of false match rate against threshold. Out: the threshold, and what
//! it may honestly claim.
//!
//! For a stranger compared with `N` references, `FPIR = 1 − (1 − FMR)^N` when the comparisons are
//! independent (ISO/IEC 19795-1 gives the relation and the caveat): the threshold gets stricter as
//! the gallery grows. References of one subject are not independent; each is counted all the same,
//! because the best of them decides and the claim must not be better than the truth. Between the
//! table's points the threshold is interpolated over `log10(FMR)`.
//!
//! Invariant: nothing is extrapolated. A target stricter than the table supports gets the table's
//! strictest threshold and says that it falls short; it is never loosened silently. Where a card tells
//! groups of people apart, the table is that of the group whose strangers match most often: a door
//! cannot ask for a group, so that a claim holds for the worst or not at all. A table that
//! was measured with the other setting of mirrored averaging serves where there is no better, and
//! says so: averaging raises the scores of strangers too.

use std::borrow::Cow;

use serde::Serialize;

use super::Metric;
use crate::inference::Calibration;
use crate::remedy::Remedied;

/// What a configuration may ask for.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum ThresholdPolicy {
    /// At most this many false positive identifications in an attempt by a stranger, above 0 and
    /// below 1.
    TargetFpir(f64),
    /// Exactly this comparison score.
    Explicit(f32),
}

/// The threshold in force and what is claimed for it.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Operating {
    /// What a comparison score has to reach.
    pub threshold: f32,
    /// The false match rate of one comparison that the calibration supports there; `None` when it
    /// says nothing of this threshold.
    pub claimed_fmr: Option<f64>,
    /// The same for an attempt against all references of the gallery.
    pub claimed_fpir: Option<f64>,
    /// Whether the claim is worse than what was asked.
    pub falls_short: bool,
    /// Whether the calibration was measured with the other setting of mirrored averaging, so that
    /// the claim is of another procedure and may be too good.
    pub other_averaging: bool,
    /// Whether the claim is worse than what is accepted, or there is none: nobody may be granted.
    pub beyond_accepted: bool,
}

impl Operating {
    /// Judged by the FPIR that the household accepts of a visit, above 0, at most 1, which has `tries`
    /// such attempts (at least 1). An FPIR that nobody can claim counts as 1.
    #[must_use]
    pub fn accepting(self, fpir: f64, tries: f64) -> Self {
        // Written so that NaN on either side is beyond. Divided, as the threshold's share of its target is.
        let within = fpir >= 1.0 || self.claimed_fpir.is_some_and(|claim| claim <= fpir / tries);
        Self { beyond_accepted: !within, ..self }
    }

    /// The FPIR that is claimed of a visit of `tries` attempts, by the sum of them, at most 1.
    fn of_visit(&self, tries: f64) -> Option<f64> {
        self.claimed_fpir.map(|fpir| f64::min(fpir * tries, 1.0))
    }

    /// What is beyond what, and what helps, for a person: as [`Self::accepting`] is asked.
    #[must_use]
    pub fn beyond_words(&self, accepted: f64, tries: f64) -> (String, String) {
        let claimed = self.of_visit(tries);
        let what = claimed.map_or_else(
            || "the calibration supports no claim for this threshold".to_owned(),
            |fpir| format!("the calibration can claim no better FPIR than {fpir:.1e}"),
        );
        let stated = claimed.map_or(1.0, rate_rounded_up);
        (
            format!("{what}, and recognise.accept_fpir is {accepted:.1e}: nobody is granted"),
            format!(
                "enrol fewer references, let a second network confirm (models.confirm), or state that you accept it (recognise.accept_fpir = {stated})"
            ),
        )
    }
}

/// The rate with two significant digits, not smaller, at most 1.
#[must_use]
pub fn rate_rounded_up(rate: f64) -> f64 {
    let mut rounded = 1.0;
    // The decimal text, so that no digit is left over from the arithmetic.
    for candidate in [rate, rate * 1.01, rate * 1.06] {
        let text = format!("{candidate:.1e}");
        let value = text.parse().unwrap_or(1.0);
        if value >= rate {
            rounded = value;
            break;
        }
    }
    f64::min(rounded, 1.0)
}

/// Why no threshold can be given.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum ThresholdError {
    /// The card has no table for the metric.
    #[error("the model's card has no calibration for {metric}: {advice}", advice = self.advice())]
    Uncalibrated {
        /// The metric in use.
        metric: Metric,
        /// The metrics that have a table.
        available: Vec<String>,
    },
    /// The table does not make sense.
    #[error("the card's calibration for {metric}: {problem}; {advice}", advice = self.advice())]
    Table {
        /// The metric.
        metric: Metric,
        /// What was found and what would be right.
        problem: String,
    },
    /// The explicit score is no number.
    #[error("recognise.threshold is {0}: {advice}", advice = self.advice())]
    Score(f32),
    /// The target is no rate.
    #[error("recognise.target_fpir is {0}: {advice}", advice = self.advice())]
    Target(f64),
}

impl Remedied for ThresholdError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Uncalibrated { available, .. } => format!(
                "set recognise.threshold to a score, or recognise.metric to one of {available:?}"
            )
            .into(),
            Self::Table { .. } => "correct the card".into(),
            Self::Score(_) => "must be a finite comparison score, such as 0.6".into(),
            Self::Target(_) => "must be above 0 and below 1, such as 0.001".into(),
        })
    }
}

/// False match rates and their thresholds for one metric, from the most lenient to the strictest.
#[derive(Debug, Clone, PartialEq)]
pub struct CalibrationTable {
    metric: Metric,
    other_averaging: bool,
    points: Vec<(f64, f64)>,
}

impl CalibrationTable {
    /// The table for `metric` among a card's `calibrations`; one measured with the same `mirrored`
    /// setting is preferred, and another one is marked in every [`Operating`] that rests on it.
    ///
    /// # Errors
    /// [`ThresholdError`] when there is none, or when it is not monotone.
    pub fn find(
        calibrations: &[Calibration],
        metric: Metric,
        mirrored: bool,
    ) -> Result<Self, ThresholdError> {
        let name = metric.to_string();
        let of_metric = || calibrations.iter().filter(|c| c.metric == name);
        let Some(calibration) =
            of_metric().find(|c| c.mirrored == mirrored).or_else(|| of_metric().next())
        else {
            let available = calibrations.iter().map(|c| c.metric.clone()).collect();
            return Err(ThresholdError::Uncalibrated { metric, available });
        };
        let points = calibration.points.iter().map(|&[fmr, threshold]| (fmr, threshold)).collect();
        let other_averaging = calibration.mirrored != mirrored;
        Ok(Self { other_averaging, ..Self::new(metric, points)? })
    }

    /// Checks `(false match rate, threshold)` points: rates falling, thresholds getting stricter.
    ///
    /// # Errors
    /// [`ThresholdError::Table`] with the first point that is out of order.
    pub fn new(metric: Metric, points: Vec<(f64, f64)>) -> Result<Self, ThresholdError> {
        let wrong = |problem: String| Err(ThresholdError::Table { metric, problem });
        if points.is_empty() {
            return wrong("has no points".into());
        }
        for &(fmr, threshold) in &points {
            if !(fmr > 0.0 && fmr < 1.0 && threshold.is_finite()) {
                return wrong(format!(
                    "point [{fmr}, {threshold}] must be a rate above 0 and below 1 and a finite score"
                ));
            }
        }
        for (a, b) in points.iter().zip(points.iter().skip(1)) {
            let stricter = metric.advantage(b.1 as f32, a.1 as f32) > 0.0;
            if !(b.0 < a.0 && stricter) {
                return wrong(format!(
                    "point [{}, {}] must have a lower rate and a stricter score than [{}, {}]",
                    b.0, b.1, a.0, a.1
                ));
            }
        }
        Ok(Self { metric, other_averaging: false, points })
    }

    /// The lowest false match rate that the table supports.
    #[must_use]
    pub fn strictest_fmr(&self) -> f64 {
        self.points.last().map_or(1.0, |p| p.0)
    }

    /// The threshold for at most `fmr`; `None` when the table does not go that far down. Above the
    /// table's most lenient point, that point's threshold.
    #[must_use]
    pub fn threshold_at(&self, fmr: f64) -> Option<f64> {
        let first = self.points.first()?;
        if fmr >= first.0 {
            return Some(first.1);
        }
        let (a, b) =
            self.points.iter().zip(self.points.iter().skip(1)).find(|(_, b)| fmr >= b.0)?;
        let position = (fmr.log10() - a.0.log10()) / (b.0.log10() - a.0.log10());
        Some(position.mul_add(b.1 - a.1, a.1))
    }

    /// The false match rate supported at `threshold`: never better than the strictest point's;
    /// `None` when the threshold is more lenient than the table.
    #[must_use]
    pub fn fmr_at(&self, threshold: f64) -> Option<f64> {
        let stricter_or_same =
            |than: f64| self.metric.advantage(threshold as f32, than as f32) >= 0.0;
        let last = self.points.last()?;
        if stricter_or_same(last.1) {
            return Some(last.0);
        }
        let first = self.points.first()?;
        if !stricter_or_same(first.1) {
            return None;
        }
        let (a, b) = self
            .points
            .iter()
            .zip(self.points.iter().skip(1))
            .find(|(_, b)| !stricter_or_same(b.1))?;
        let position = (threshold - a.1) / (b.1 - a.1);
        Some(10_f64.powf(position.mul_add(b.0.log10() - a.0.log10(), a.0.log10())))
    }
}

/// `1 − (1 − FMR)^N`, without losing the digits of small rates.
#[must_use]
pub fn fpir_of(fmr: f64, references: usize) -> f64 {
    -((references as f64) * (-fmr).ln_1p()).exp_m1()
}

/// The false match rate with which `references` comparisons together reach `fpir`.
#[must_use]
pub fn fmr_for(fpir: f64, references: usize) -> f64 {
    -((-fpir).ln_1p() / (references.max(1) as f64)).exp_m1()
}

impl ThresholdPolicy {
    /// The operating point for a gallery of `references`.
    ///
    /// # Errors
    /// [`ThresholdError`] when score or target is none, or the target needs a table that there is none of.
    pub fn operate(
        self,
        table: Result<&CalibrationTable, ThresholdError>,
        references: usize,
    ) -> Result<Operating, ThresholdError> {
        match self {
            Self::Explicit(threshold) => {
                if !threshold.is_finite() {
                    return Err(ThresholdError::Score(threshold));
                }
                let table = table.ok();
                let claimed_fmr = table.and_then(|t| t.fmr_at(f64::from(threshold)));
                Ok(Operating {
                    threshold,
                    claimed_fmr,
                    claimed_fpir: claimed_fmr.map(|fmr| fpir_of(fmr, references)),
                    falls_short: false,
                    other_averaging: claimed_fmr.is_some()
                        && table.is_some_and(|t| t.other_averaging),
                    beyond_accepted: false,
                })
            }
            Self::TargetFpir(target) => {
                if !(target > 0.0 && target < 1.0) {
                    return Err(ThresholdError::Target(target));
                }
                let table = table?;
                let wanted = fmr_for(target, references);
                let supported = wanted.max(table.strictest_fmr());
                let threshold =
                    table.threshold_at(supported).ok_or(ThresholdError::Target(target))?;
                let claimed_fmr = table.fmr_at(threshold).unwrap_or(supported);
                Ok(Operating {
                    threshold: threshold as f32,
                    claimed_fmr: Some(claimed_fmr),
                    claimed_fpir: Some(fpir_of(claimed_fmr, references)),
                    falls_short: wanted < supported,
                    other_averaging: table.other_averaging,
                    beyond_accepted: false,
                })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn table() -> CalibrationTable {
        let points = vec![(1e-2, 0.244), (1e-3, 0.343), (1e-4, 0.427), (1e-5, 0.499)];
        CalibrationTable::new(Metric::Cosine, points).unwrap()
    }

    #[test]
    fn points_are_hit_and_between_is_between() {
        assert!((table().threshold_at(1e-3).unwrap() - 0.343).abs() < 1e-9);
        let between = table().threshold_at(3e-4).unwrap();
        assert!(0.343 < between && between < 0.427);
        assert_eq!(table().threshold_at(0.5), Some(0.244), "never more lenient than measured");
        assert_eq!(table().threshold_at(1e-6), None, "never stricter than measured");
    }

    #[test]
    fn a_growing_gallery_raises_the_threshold_until_the_table_ends() {
        let at = |n| ThresholdPolicy::TargetFpir(1e-3).operate(Ok(&table()), n).unwrap();
        assert!(at(1).threshold < at(10).threshold && at(10).threshold < at(50).threshold);
        assert!(!at(50).falls_short);
        assert_eq!(
            at(0).threshold.to_bits(),
            at(1).threshold.to_bits(),
            "nor is an empty one looser"
        );
        let many = at(1000);
        assert!(many.falls_short && (many.threshold - 0.499).abs() < 1e-6);
        assert!(many.claimed_fpir.unwrap() > 1e-3, "the claim says what it is");
    }

    #[test]
    fn beyond_what_is_accepted_nobody_may_be_granted() {
        let at = |n| ThresholdPolicy::TargetFpir(1e-3).operate(Ok(&table()), n).unwrap();
        let beyond = |n, accepted| at(n).accepting(accepted, 1.0).beyond_accepted;
        assert!(!beyond(50, 0.01));
        assert!(at(500).falls_short && !beyond(500, 0.01), "short of the target, and accepted");
        assert!(beyond(8000, 0.01) && !beyond(8000, 0.1), "7.7 % of strangers' attempts");
        assert!(beyond(500, f64::NAN));
        assert!(at(500).accepting(0.01, 3.0).beyond_accepted, "of three attempts");
        let set = |score| ThresholdPolicy::Explicit(score).operate(Ok(&table()), 1).unwrap();
        let lenient = set(0.1);
        assert_eq!(lenient.claimed_fpir, None);
        assert!(lenient.accepting(0.5, 1.0).beyond_accepted, "no claim is no acceptable one");
        assert!(!lenient.accepting(1.0, 3.0).beyond_accepted, "unless everything is accepted");
        assert!(!set(0.45).accepting(0.01, 1.0).beyond_accepted);
    }

    #[test]
    fn what_is_beyond_says_what_helps() {
        let many = ThresholdPolicy::TargetFpir(1e-3).operate(Ok(&table()), 8000).unwrap();
        let (what, _) = many.beyond_words(0.01, 1.0);
        assert_eq!(
            what,
            "the calibration can claim no better FPIR than 7.7e-2, and recognise.accept_fpir is 1.0e-2: nobody is granted"
        );
        let (what, remedy) = many.beyond_words(0.03, 3.0);
        assert!(what.contains("than 2.3e-1, and recognise.accept_fpir is 3.0e-2"), "{what}");
        let stated: f64 = 0.24;
        assert!(remedy.contains(&format!("recognise.accept_fpir = {stated}")), "{remedy}");
        assert!(!many.accepting(stated, 3.0).beyond_accepted, "what is advised is enough");
        let (_, remedy) = many.beyond_words(0.01, 1.0);
        for way in ["fewer references", "models.confirm", "recognise.accept_fpir = 0.077"] {
            assert!(remedy.contains(way), "{remedy}");
        }
        let lenient = ThresholdPolicy::Explicit(0.1).operate(Ok(&table()), 1).unwrap();
        let (what, remedy) = lenient.beyond_words(0.01, 1.0);
        assert!(
            what.contains("no claim") && remedy.contains("accept_fpir = 1)"),
            "{what} {remedy}"
        );
        for rate in [1e-5, 0.076_88, 0.15, 0.999, 1.0, 3.333e-3] {
            let stated = rate_rounded_up(rate);
            assert!(stated >= rate && stated <= rate * 1.1, "{rate}: {stated}");
        }
    }

    #[test]
    fn a_calibration_of_the_other_averaging_serves_and_says_so() {
        let calibration = |mirrored, strictest| Calibration {
            metric: "cosine".into(),
            mirrored,
            source: "test".into(),
            points: vec![[1e-2, 0.2], [1e-4, strictest]],
            worst_group: None,
            average: Vec::new(),
        };
        let (plain, averaged) = (calibration(false, 0.4), calibration(true, 0.5));
        let operate = |calibrations: &[Calibration], policy: ThresholdPolicy| {
            let table = CalibrationTable::find(calibrations, Metric::Cosine, true).unwrap();
            let operating = policy.operate(Ok(&table), 1).unwrap();
            (operating.threshold, operating.other_averaging)
        };
        let target = ThresholdPolicy::TargetFpir(1e-4);
        assert_eq!(operate(&[plain.clone(), averaged], target), (0.5, false));
        assert_eq!(operate(std::slice::from_ref(&plain), target), (0.4, true));
        let explicit =
            |score| operate(std::slice::from_ref(&plain), ThresholdPolicy::Explicit(score));
        assert_eq!(explicit(0.3), (0.3, true));
        assert_eq!(explicit(0.1), (0.1, false), "where nothing is claimed, nothing is doubted");
    }

    #[test]
    fn distances_get_stricter_downwards() {
        let table =
            CalibrationTable::new(Metric::EuclideanL2, vec![(1e-2, 1.1), (1e-3, 0.9)]).unwrap();
        assert_eq!(table.fmr_at(1.2), None);
        assert_eq!(table.fmr_at(0.5), Some(1e-3));
        assert!(
            CalibrationTable::new(Metric::EuclideanL2, vec![(1e-2, 0.9), (1e-3, 1.1)]).is_err()
        );
        assert!(CalibrationTable::new(Metric::Cosine, vec![(1e-2, 0.9), (1e-3, 0.8)]).is_err());
    }

    #[test]
    fn nonsense_is_refused() {
        assert!(CalibrationTable::new(Metric::Cosine, vec![]).is_err());
        assert!(CalibrationTable::new(Metric::Cosine, vec![(0.0, 0.3)]).is_err());
        for target in [0.0, 1.0, -1.0, f64::NAN] {
            assert!(ThresholdPolicy::TargetFpir(target).operate(Ok(&table()), 3).is_err());
        }
        for score in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            assert!(ThresholdPolicy::Explicit(score).operate(Ok(&table()), 3).is_err());
        }
        let missing = CalibrationTable::find(&[], Metric::Euclidean, true).unwrap_err();
        assert!(missing.to_string().contains("recognise.threshold"));
    }

    proptest! {
        #[test]
        fn rate_and_threshold_are_inverse(exponent in -5.0f64..-2.0) {
            let fmr = 10_f64.powf(exponent);
            let back = table().fmr_at(table().threshold_at(fmr).unwrap()).unwrap();
            prop_assert!((back / fmr - 1.0).abs() < 1e-4, "{fmr} {back}");
        }

        #[test]
        fn fpir_and_fmr_are_inverse(exponent in -9.0f64..-1.0, subjects in 1usize..10_000) {
            let fpir = 10_f64.powf(exponent);
            prop_assert!((fpir_of(fmr_for(fpir, subjects), subjects) / fpir - 1.0).abs() < 1e-6);
        }
    }
}
