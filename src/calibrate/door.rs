//! What one door may claim: its own gallery against a cohort of strangers.
//!
//! In: the gallery's references, the threshold in force, a [`Cohort`]. Out: how many of each group's
//! strangers would be taken for somebody, the rate that this supports, the threshold that what is
//! asked would need, how alike the enrolled people are to themselves and to each other.
//!
//! A model's calibration speaks of any two people; this speaks of these. A door cannot ask who comes:
//! the claim is that of the group that fares worst. It is the upper end of the 95 % interval (by the
//! rule of three where no stranger matched), as if attempts were independent.
//! Sources: ISO/IEC 19795-1 for FPIR and the interval.

use std::collections::BTreeMap;
use std::fmt;

use serde::Serialize;

use super::cohort::{Cohort, Stranger};
use super::rate::{Interval, Tally};
use crate::compare::{
    CompareError, Comparer, Gallery, Metric, Operating, SearchScratch, SubjectId,
};
use crate::inference::ProcedureHash;
use crate::store::Reference;

/// Rates for which a threshold is told, from the most lenient on.
const TOLD: [f64; 4] = [1e-1, 3e-2, 1e-2, 3e-3];
/// So many of the subjects that strangers are taken for, or that are near to each other, are told.
const LISTED: usize = 5;

/// What the door may claim.
#[derive(Debug, Clone, Serialize)]
pub struct DoorClaim {
    /// The embedder.
    pub model: String,
    /// How it makes vectors: those of the enrolled and of the cohort alike.
    pub procedure: ProcedureHash,
    /// How scores are made.
    pub metric: Metric,
    /// How many people are enrolled for the model.
    pub subjects: usize,
    /// How many references they have.
    pub references: usize,
    /// How many faces of strangers were compared.
    pub cohort_faces: usize,
    /// How many strangers they show.
    pub cohort_people: usize,
    /// What is asked: FPIR, above 0 and below 1.
    pub target_fpir: f64,
    /// The threshold in force, and what the model's calibration claims for it.
    pub operating: Operating,
    /// Strangers who are taken for somebody at that threshold.
    pub fpir: Tally,
    /// The 95 % interval of their rate.
    pub fpir_interval_95: Option<Interval>,
    /// The same by groups of people, the one that fares worst first.
    pub groups: Vec<GroupClaim>,
    /// The FPIR that can honestly be claimed: that of the group that fares worst; 1 without
    /// strangers.
    pub claim: f64,
    /// Whether what is asked is shown.
    pub verdict: ClaimVerdict,
    /// The most lenient threshold by which this cohort supports what is asked for each group; `None`
    /// when it is too small to.
    pub threshold_for_target: Option<f32>,
    /// The same for other rates.
    pub thresholds: Vec<ThresholdFor>,
    /// Pairs of references of one subject that match at the threshold.
    pub own_matched: Tally,
    /// Pairs of enrolled subjects with a reference each that match at the threshold, nearest first.
    pub near: Vec<Near>,
    /// Subjects that strangers are taken for, most often first.
    pub attracting: Vec<Attracting>,
    /// The nearest subject's score of each stranger, and that of each pair of one subject's own.
    #[serde(skip)]
    pub scores: Scores,
}

/// Whether a cohort shows what is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ClaimVerdict {
    /// For each group.
    Kept,
    /// For all strangers together; of no group anything else is shown, and the groups are too small to
    /// show as much of each.
    KeptOverall,
    /// Not even for all together, or a group exceeds it.
    Missed,
}

impl ClaimVerdict {
    fn of(target_fpir: f64, all: Option<Interval>, groups: &[GroupClaim]) -> Self {
        if groups.first().is_some_and(|worst| worst.claim <= target_fpir) {
            return Self::Kept;
        }
        let exceeds = |one: &GroupClaim| one.interval_95.is_none_or(|of| of.low > target_fpir);
        let overall = all.is_some_and(|of| of.high <= target_fpir);
        if overall && !groups.iter().any(exceeds) { Self::KeptOverall } else { Self::Missed }
    }
}

/// What may be claimed of one group of people.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupClaim {
    /// The group, as the cohort names it.
    pub group: String,
    /// Its strangers who are taken for somebody.
    pub fpir: Tally,
    /// The 95 % interval of their rate.
    pub interval_95: Option<Interval>,
    /// The FPIR that can be claimed of it.
    pub claim: f64,
}

/// Scores behind a claim.
#[derive(Debug, Clone, Default)]
pub struct Scores {
    /// Of strangers with the nearest subject.
    pub strangers: Vec<f32>,
    /// Of one subject's references with each other.
    pub own: Vec<f32>,
}

/// A threshold that the cohort supports a rate by.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ThresholdFor {
    /// FPIR, above 0 and below 1.
    pub fpir: f64,
    /// What a score has to reach; `None` when the cohort is too small to show the rate.
    pub threshold: Option<f32>,
}

/// Two subjects whom the door may confuse.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Near {
    /// One.
    pub a: SubjectId,
    /// The other.
    pub b: SubjectId,
    /// Their nearest references' score.
    pub score: f32,
}

/// A subject that strangers are taken for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attracting {
    /// Who.
    pub subject: SubjectId,
    /// By how many faces of the cohort.
    pub faces: u64,
}

/// Compares `references`, of which `gallery` was built, with themselves and with `cohort`.
///
/// # Errors
/// [`CompareError`] when a vector of the cohort points nowhere or is not the gallery's kind.
pub fn door_claim(
    gallery: &Gallery,
    references: &[Reference],
    cohort: &Cohort,
    target_fpir: f64,
) -> Result<DoorClaim, CompareError> {
    let (metric, operating) = (gallery.comparer().metric(), gallery.operating());
    let mut scratch = SearchScratch::default();
    let mut scores = Scores::default();
    let mut taken: BTreeMap<SubjectId, u64> = BTreeMap::new();
    let mut of_group = vec![Vec::new(); cohort.groups.len()];
    for Stranger { vector, group } in &cohort.strangers {
        let found = gallery.search(vector, &mut scratch)?;
        if let Some(accepted) = found.accepted() {
            *taken.entry(accepted.subject.clone()).or_default() += 1;
        }
        let score = found.best.map(|best| best.score);
        of_group.get_mut(usize::from(*group)).into_iter().for_each(|of| of.extend(score));
    }
    let strictest_first = |a: &f32, b: &f32| metric.advantage(*b, *a).total_cmp(&0.0);
    for of in &mut of_group {
        of.sort_by(strictest_first);
    }
    scores.strangers.extend(of_group.iter().flatten());
    let matched = |scores: &[f32]| -> Tally {
        scores.iter().map(|score| metric.accepts(*score, operating.threshold)).collect()
    };
    let fpir = matched(&scores.strangers);
    let fpir_interval_95 = fpir.interval();
    let mut groups: Vec<_> = cohort
        .groups
        .iter()
        .zip(&of_group)
        .map(|(group, scores)| GroupClaim::of(group, matched(scores)))
        .collect();
    groups.sort_by(|a, b| b.claim.total_cmp(&a.claim));
    let claim = groups.first().map_or(1.0, |worst| worst.claim);
    let verdict = ClaimVerdict::of(target_fpir, fpir_interval_95, &groups);
    // The strictest of those that the groups need.
    let threshold_for = |rate| {
        let needed = of_group.iter().map(|scores| supported(scores, metric, rate));
        let strictest = |a: f32, b: f32| if metric.advantage(b, a) > 0.0 { b } else { a };
        needed.reduce(|a, b| Some(strictest(a?, b?))).flatten()
    };
    let thresholds =
        TOLD.iter().map(|&fpir| ThresholdFor { fpir, threshold: threshold_for(fpir) }).collect();
    let threshold_for_target = threshold_for(target_fpir);
    let mut near = among_themselves(gallery.comparer(), references, &mut scores.own)?;
    near.retain(|near| metric.accepts(near.score, operating.threshold));
    near.sort_by(|a, b| strictest_first(&a.score, &b.score));
    let mut attracting: Vec<Attracting> =
        taken.into_iter().map(|(subject, faces)| Attracting { subject, faces }).collect();
    attracting.sort_by_key(|attracting| std::cmp::Reverse(attracting.faces));
    Ok(DoorClaim {
        model: gallery.comparer().model().to_string(),
        procedure: gallery.comparer().key().procedure,
        metric,
        subjects: gallery.subjects(),
        references: gallery.references(),
        cohort_faces: cohort.strangers.len(),
        cohort_people: cohort.people,
        target_fpir,
        operating,
        fpir,
        fpir_interval_95,
        groups,
        claim,
        verdict,
        threshold_for_target,
        thresholds,
        own_matched: matched(&scores.own),
        near,
        attracting,
        scores,
    })
}

impl GroupClaim {
    fn of(group: &str, fpir: Tally) -> Self {
        let interval_95 = fpir.interval();
        let claim = interval_95.map_or(1.0, |interval| interval.high);
        Self { group: group.to_owned(), fpir, interval_95, claim }
    }
}

/// The most lenient threshold at which the upper end of the rate's interval is at most `rate`, for
/// scores with the strictest first.
fn supported(scores: &[f32], metric: Metric, rate: f64) -> Option<f32> {
    let of = scores.len() as u64;
    let claim = |count| Tally { count, of }.interval().map_or(1.0, |interval| interval.high);
    // So many strangers may match; the next one must not.
    let allowed = (0..of).take_while(|&count| claim(count) <= rate).last()?;
    let refused = *scores.get(usize::try_from(allowed).ok()?)?;
    Some(match metric {
        Metric::Cosine => refused.next_up(),
        Metric::Euclidean | Metric::EuclideanL2 => refused.next_down(),
    })
}

/// The nearest references of every two subjects; scores within one subject go to `own`.
fn among_themselves(
    comparer: &Comparer,
    references: &[Reference],
    own: &mut Vec<f32>,
) -> Result<Vec<Near>, CompareError> {
    let mut nearest: BTreeMap<(SubjectId, SubjectId), f32> = BTreeMap::new();
    for (index, one) in references.iter().enumerate() {
        for other in references.iter().skip(index + 1) {
            let score = comparer.score(&one.vector, &other.vector)?;
            if one.subject == other.subject {
                own.push(score);
                continue;
            }
            let (a, b) = (&one.subject, &other.subject);
            let pair = if a < b { (a.clone(), b.clone()) } else { (b.clone(), a.clone()) };
            let best = nearest.entry(pair).or_insert(score);
            if comparer.metric().advantage(score, *best) > 0.0 {
                *best = score;
            }
        }
    }
    Ok(nearest.into_iter().map(|((a, b), score)| Near { a, b, score }).collect())
}

impl fmt::Display for DoorClaim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { subjects, references, model, metric, cohort_faces, cohort_people, .. } = self;
        writeln!(f, "{subjects} enrolled with {references} references of {model}, by {metric}")?;
        writeln!(f, "against {cohort_faces} faces of {cohort_people} strangers\n")?;
        let calibrated = self.operating.claimed_fpir;
        let calibrated = calibrated.map_or("nothing".to_owned(), |rate| format!("{rate:.1e}"));
        writeln!(
            f,
            "threshold {:.3}; the model's calibration claims {calibrated}",
            self.operating.threshold
        )?;
        writeln!(f, "  taken for somebody  {}", self.fpir)?;
        let widest = self.groups.iter().map(|one| one.group.chars().count()).max().unwrap_or(0);
        for GroupClaim { group, fpir, .. } in &self.groups {
            writeln!(f, "    {group:<widest$}  {fpir}")?;
        }
        let (claim, asked) = (self.claim, self.target_fpir);
        let verdict = match self.verdict {
            ClaimVerdict::Kept => "no more than the",
            ClaimVerdict::KeptOverall => {
                "a group this small shows no better; all together no more than the"
            }
            ClaimVerdict::Missed => "MORE than the",
        };
        writeln!(
            f,
            "  of the group that fares worst this door may claim FPIR ≤ {claim:.1e}: {verdict} {asked:.1e} asked for"
        )?;
        match self.threshold_for_target {
            _ if self.verdict != ClaimVerdict::Missed => {}
            Some(threshold) => writeln!(
                f,
                "  this cohort supports {asked:.1e} from recognise.threshold = {threshold:.3}"
            )?,
            None => writeln!(
                f,
                "  this cohort is too small to show {asked:.1e}, whatever the threshold"
            )?,
        }
        if self.operating.beyond_accepted {
            writeln!(
                f,
                "  the calibration's claim is beyond recognise.accept_fpir: this door grants nobody"
            )?;
        }
        writeln!(f, "\nthreshold for FPIR ≤")?;
        for ThresholdFor { fpir, threshold } in &self.thresholds {
            let threshold = threshold.map_or("not shown".to_owned(), |score| format!("{score:.3}"));
            writeln!(f, "  {fpir:<8.0e}  {threshold}")?;
        }
        write!(f, "\nenrolled people\n  a subject's own references match  {}", self.own_matched)?;
        for Near { a, b, score } in self.near.iter().take(LISTED) {
            write!(f, "\n  {a} and {b} match each other ({score:.3}): the door may confuse them")?;
        }
        for Attracting { subject, faces } in self.attracting.iter().take(LISTED) {
            write!(
                f,
                "\n  {subject} is what {faces} faces of strangers are taken for: enrol again with better pictures"
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::ClaimVerdict::{Kept, KeptOverall, Missed};
    use super::*;
    use crate::compare::GalleryEntry;
    use crate::embed::FeatureVector;
    use crate::inference::{ModelId, ModelKey};

    fn key() -> ModelKey {
        ModelKey { id: ModelId::new("m").unwrap(), procedure: ProcedureHash::of_bytes([7; 32]) }
    }

    /// A vector of length 1 at `degrees` from the first axis, so that cosines are known.
    fn at(degrees: f32) -> FeatureVector {
        let (sin, cos) = degrees.to_radians().sin_cos();
        FeatureVector::new(key(), vec![cos, sin]).unwrap()
    }

    /// Subjects are told apart by one hexadecimal digit.
    fn reference(id: i64, subject: &str, degrees: f32) -> Reference {
        let subject = SubjectId::new(&format!("s-00000{subject}")).unwrap();
        Reference { id, subject, enabled: true, vector: at(degrees), quality: 1.0 }
    }

    fn claim(
        references: &[Reference],
        strangers: &[f32],
        threshold: f32,
        target: f64,
    ) -> DoorClaim {
        claim_of(1, references, strangers, threshold, target)
    }

    /// Strangers are of one group after the other, in turns.
    fn claim_of(
        groups: usize,
        references: &[Reference],
        strangers: &[f32],
        threshold: f32,
        target: f64,
    ) -> DoorClaim {
        let comparer = Comparer::new(key(), 2, &[], Metric::Cosine);
        let entries = references
            .iter()
            .map(|r| GalleryEntry {
                subject: r.subject.clone(),
                enabled: r.enabled,
                feature: r.vector.clone(),
            })
            .collect();
        let operating = Operating {
            threshold,
            claimed_fmr: None,
            claimed_fpir: None,
            falls_short: false,
            other_averaging: false,
            beyond_accepted: false,
        };
        let gallery = Gallery::build(comparer, entries, |_| operating).unwrap();
        let strangers = strangers
            .iter()
            .enumerate()
            .map(|(i, &degrees)| Stranger { vector: at(degrees), group: (i % groups) as u8 })
            .collect();
        let groups = (0..groups).map(|group| format!("group {group}")).collect();
        let cohort = Cohort { strangers, groups, people: 1, source: String::new() };
        door_claim(&gallery, references, &cohort, target).unwrap()
    }

    #[test]
    fn strangers_are_counted_at_the_threshold() {
        let own = [reference(1, "a", 0.0), reference(2, "a", 10.0), reference(3, "b", 60.0)];
        let strangers: Vec<f32> = (0..100).map(|i| if i < 2 { 20.0 } else { 150.0 }).collect();
        let found = claim(&own, &strangers, 0.9, 0.1);
        assert_eq!(found.fpir, Tally { count: 2, of: 100 });
        assert!(found.verdict == Kept && (0.05..0.1).contains(&found.claim), "{}", found.claim);
        assert_eq!(found.attracting, [Attracting { subject: own[0].subject.clone(), faces: 2 }]);
        assert_eq!(found.own_matched, Tally { count: 1, of: 1 });
        assert!(found.near.is_empty());
        let stricter = claim(&own, &strangers, 0.9, 0.03);
        assert!(stricter.verdict == Missed);
        let threshold = stricter.threshold_for_target.unwrap();
        assert!(claim(&own, &strangers, threshold, 0.03).verdict == Kept, "its own advice is good");
    }

    #[test]
    fn the_claim_is_that_of_the_group_that_fares_worst() {
        let own = [reference(1, "a", 0.0)];
        // Every fourth of the second group stands near the reference, nobody of the first.
        let strangers: Vec<f32> = (0..800).map(|i| if i % 8 == 1 { 10.0 } else { 150.0 }).collect();
        let found = claim_of(2, &own, &strangers, 0.9, 0.2);
        let told: Vec<_> = found.groups.iter().map(|g| (g.group.as_str(), g.fpir.count)).collect();
        assert_eq!(told, [("group 1", 100), ("group 0", 0)]);
        assert_eq!(found.fpir, Tally { count: 100, of: 800 });
        assert!(found.claim > 0.25 && found.verdict == Missed, "{}", found.claim);
        assert!(found.fpir_interval_95.unwrap().high < 0.2, "the average would keep it");
        let threshold = found.threshold_for_target.unwrap();
        assert!(threshold > 0.98 && claim_of(2, &own, &strangers, threshold, 0.2).verdict == Kept);
        let text = found.to_string();
        assert!(text.contains("group 1") && text.contains("fares worst"), "{text}");
    }

    #[test]
    fn a_group_without_strangers_supports_no_claim() {
        let own = [reference(1, "a", 0.0)];
        let found = claim_of(2, &own, &[150.0], 0.9, 0.2);
        assert!((found.claim - 1.0).abs() < 1e-9 && found.threshold_for_target.is_none());
    }

    #[test]
    fn a_small_cohort_supports_no_strict_claim() {
        let own = [reference(1, "a", 0.0)];
        let found = claim(&own, &[150.0; 100], 0.9, 1e-3);
        assert_eq!(
            (found.fpir.count, found.verdict, found.threshold_for_target),
            (0, Missed, None)
        );
        assert!((found.claim - 0.03).abs() < 1e-9, "the rule of three");
        assert!(found.to_string().contains("too small to show 1.0e-3"), "{found}");
    }

    #[test]
    fn groups_too_small_to_show_it_each_are_enough_together_where_none_exceeds_it() {
        let own = [reference(1, "a", 0.0)];
        // 0 of 600 in each of ten groups: 5e-3 for each, 5e-4 for all.
        let found = claim_of(10, &own, &vec![150.0; 6000], 0.9, 1e-3);
        assert!(found.verdict == KeptOverall && (found.claim - 5e-3).abs() < 1e-9, "{found}");
        let text = found.to_string();
        assert!(text.contains("all together no more") && !text.contains("MORE"), "{text}");
        // Four of one group: at most 1.4e-3 of all, at least 2.6e-3 of that group.
        let strangers: Vec<f32> =
            (0..6000).map(|i| if i < 40 && i % 10 == 3 { 10.0 } else { 150.0 }).collect();
        let found = claim_of(10, &own, &strangers, 0.9, 2e-3);
        assert!(found.fpir_interval_95.unwrap().high < 2e-3 && found.verdict == Missed, "{found}");
    }

    #[test]
    fn people_who_match_each_other_are_told() {
        let own = [reference(1, "b", 0.0), reference(2, "a", 5.0), reference(3, "c", 90.0)];
        let found = claim(&own, &[200.0], 0.9, 0.5);
        let pairs: Vec<_> = found.near.iter().map(|n| (n.a.as_str(), n.b.as_str())).collect();
        assert_eq!(pairs, [("s-00000a", "s-00000b")]);
    }

    #[test]
    fn the_threshold_is_the_most_lenient_that_is_supported() {
        let scores: Vec<f32> = (0..1000).map(|i| 1.0 - i as f32 / 1000.0).collect();
        for rate in [0.5, 0.1, 0.01, 0.004] {
            let threshold = supported(&scores, Metric::Cosine, rate).unwrap();
            let count = |t: f32| scores.iter().filter(|s| **s >= t).count() as u64;
            let claim = |count| Tally { count, of: 1000 }.interval().unwrap().high;
            assert!(claim(count(threshold)) <= rate);
            assert!(claim(count(threshold) + 1) > rate);
        }
        assert_eq!(supported(&scores, Metric::Cosine, 0.002), None);
        let distances: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        let threshold = supported(&distances, Metric::Euclidean, 0.1).unwrap();
        assert!(threshold < 100.0 && threshold > 50.0);
    }
}
