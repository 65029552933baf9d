//! Comparing and searching through the public API: who is nearest, by how much, and what never
//! gets a score.
//!
//! In: made-up vectors. Out: matches, against a naive search in double precision for every metric.
//! Thresholds are tried for each metric in its own sense, because a sense turned round would accept
//! everybody.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in what its cases share")]

use std::sync::Arc;

use deepid_edge::compare::{
    CompareError, Comparer, Gallery, GalleryEntry, Match, Metric, Operating, SearchScratch,
    SubjectId, ThresholdError, ThresholdPolicy,
};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::{ModelId, ModelKey, ProcedureHash};
use deepid_nearest::{Builder, Graph};
use proptest::prelude::*;

const METRICS: [Metric; 3] = [Metric::Cosine, Metric::Euclidean, Metric::EuclideanL2];

fn model() -> ModelId {
    ModelId::new("deepid2-test").unwrap()
}

/// The model by its procedure number `number`; number 1 is the one in use.
fn key(number: u8) -> ModelKey {
    ModelKey { id: model(), procedure: ProcedureHash::of_bytes([number; 32]) }
}

fn vector(values: &[f32]) -> FeatureVector {
    FeatureVector::new(key(1), values.to_vec()).unwrap()
}

fn subject(number: usize) -> SubjectId {
    SubjectId::new(&format!("s-{number:06x}")).unwrap()
}

fn entry(number: usize, values: &[f32]) -> GalleryEntry {
    GalleryEntry { subject: subject(number), enabled: true, feature: vector(values) }
}

fn operating(threshold: f32) -> Operating {
    Operating {
        threshold,
        claimed_fmr: None,
        claimed_fpir: None,
        falls_short: false,
        other_averaging: false,
        beyond_accepted: false,
    }
}

fn gallery(metric: Metric, threshold: f32, entries: Vec<GalleryEntry>) -> Gallery {
    let length = entries.first().map_or(3, |entry| entry.feature.values().len());
    let comparer = Comparer::new(key(1), length, &[], metric);
    Gallery::build(comparer, entries, |_| operating(threshold)).unwrap()
}

fn search(gallery: &Gallery, probe: &[f32]) -> Match {
    gallery.search(&vector(probe), &mut SearchScratch::default()).unwrap()
}

#[test]
fn the_best_of_several_references_counts_and_the_margin_is_to_another_subject() {
    let entries = || {
        vec![
            entry(1, &[1.0, 0.0, 0.0]),
            entry(2, &[0.0, 1.0, 0.0]),
            entry(1, &[0.9, 0.1, 0.0]),
            entry(1, &[0.0, 0.0, 1.0]),
        ]
    };
    for metric in METRICS {
        let gallery = gallery(metric, 0.5, entries());
        assert_eq!((gallery.subjects(), gallery.references()), (2, 4));
        let found = search(&gallery, &[1.0, 0.0, 0.0]);
        let best = found.best.unwrap();
        assert_eq!(best.subject, subject(1), "{metric}");
        let (score, margin) = match metric {
            Metric::Cosine => (1.0, 1.0),
            Metric::Euclidean | Metric::EuclideanL2 => (0.0, std::f32::consts::SQRT_2),
        };
        assert!((best.score - score).abs() < 1e-6, "{metric}: {}", best.score);
        // To the second reference of the same subject it would be about 0.1.
        assert!((found.margin.unwrap() - margin).abs() < 1e-6, "{metric}: {:?}", found.margin);
    }
}

#[test]
fn nobody_enrolled_is_nobody_found() {
    for metric in METRICS {
        let gallery = gallery(metric, 0.5, vec![]);
        assert_eq!((gallery.subjects(), gallery.references()), (0, 0));
        let found = search(&gallery, &[1.0, 0.0, 0.0]);
        assert_eq!((found.best.as_ref(), found.margin, found.accepted()), (None, None, None));
        assert_eq!((found.model.clone(), found.metric, found.threshold), (model(), metric, 0.5));
    }
}

#[test]
fn one_subject_has_no_margin_however_many_references() {
    for metric in METRICS {
        let entries = vec![entry(1, &[1.0, 0.0, 0.0]), entry(1, &[0.0, 1.0, 0.0])];
        let found = search(&gallery(metric, 0.5, entries), &[1.0, 0.1, 0.0]);
        assert_eq!(found.margin, None);
        assert_eq!(found.best.unwrap().subject, subject(1));
    }
}

#[test]
fn two_subjects_equally_near_have_no_margin_worth_the_name() {
    for metric in METRICS {
        let entries = vec![entry(1, &[1.0, 1.0, 0.0]), entry(2, &[1.0, 1.0, 0.0])];
        assert_eq!(search(&gallery(metric, 0.5, entries), &[1.0, 0.5, 0.0]).margin, Some(0.0));
    }
}

#[test]
fn one_disabled_reference_disables_its_subject_alone() {
    let mut entries =
        vec![entry(1, &[1.0, 0.0, 0.0]), entry(1, &[0.9, 0.1, 0.0]), entry(2, &[0.0, 1.0, 0.0])];
    entries.get_mut(1).unwrap().enabled = false;
    let gallery = gallery(Metric::Cosine, 0.5, entries);
    assert!(!search(&gallery, &[1.0, 0.0, 0.0]).best.unwrap().enabled);
    assert!(search(&gallery, &[0.0, 1.0, 0.0]).best.unwrap().enabled);
}

#[test]
fn every_reference_counts_for_the_claim() {
    let entries =
        vec![entry(1, &[1.0, 0.0, 0.0]), entry(1, &[0.9, 0.1, 0.0]), entry(2, &[0.0, 1.0, 0.0])];
    let comparer = Comparer::new(key(1), 3, &[], Metric::Cosine);
    let mut counted = None;
    let gallery = Gallery::build(comparer, entries, |references| {
        counted = Some(references);
        operating(0.5)
    });
    assert_eq!((counted, gallery.unwrap().operating()), (Some(3), operating(0.5)));
}

#[test]
fn vectors_of_another_model_or_length_get_no_score() {
    let other = ModelKey { id: ModelId::new("other").unwrap(), ..key(1) };
    let made_by = |key: &ModelKey| FeatureVector::new(key.clone(), vec![1.0, 0.0, 0.0]).unwrap();
    // Another model, and the model in use with another file, template or averaging.
    let (foreign, replaced) = (made_by(&other), made_by(&key(2)));
    let short = vector(&[1.0, 0.0]);
    let right = vector(&[1.0, 0.0, 0.0]);
    for metric in METRICS {
        let comparer = || Comparer::new(key(1), 3, &[], metric);
        let filled = gallery(metric, 0.5, vec![entry(1, &[1.0, 0.0, 0.0])]);
        for wrong in [&foreign, &replaced, &short] {
            let expected = if wrong == &short {
                CompareError::Length { model: model(), found: 2, wanted: 3 }
            } else {
                CompareError::Model { found: wrong.key().clone(), wanted: key(1) }
            };
            let wrong_entry =
                GalleryEntry { subject: subject(1), enabled: true, feature: wrong.clone() };
            let built = Gallery::build(comparer(), vec![wrong_entry], |_| operating(0.5));
            let searched = filled.search(wrong, &mut SearchScratch::default());
            assert_eq!(built.unwrap_err(), expected);
            assert_eq!(searched.unwrap_err(), expected);
            assert_eq!(comparer().score(&right, wrong).unwrap_err(), expected);
            assert_eq!(comparer().score(wrong, &right).unwrap_err(), expected);
        }
    }
}

#[test]
fn a_mean_of_another_length_is_not_left_out_silently() {
    let comparer = Comparer::new(key(1), 3, &[0.5, 0.5], Metric::Cosine);
    let right = vector(&[1.0, 0.0, 0.0]);
    let expected = CompareError::Mean { model: model(), found: 2, wanted: 3 };
    assert_eq!(comparer.score(&right, &right).unwrap_err(), expected);
    assert!(expected.to_string().contains("features.mean"));
}

#[test]
fn a_vector_that_points_nowhere_matches_nobody() {
    // A dead network gives zeros for everybody: under both distances they would all be one person.
    let nowhere = [[0.0_f32; 3], [f32::MIN_POSITIVE; 3], [1e30; 3]];
    let right = vector(&[1.0, 0.0, 0.0]);
    for metric in METRICS {
        let comparer = || Comparer::new(key(1), 3, &[], metric);
        let filled = gallery(metric, 1.9, vec![entry(1, &[1.0, 0.0, 0.0])]);
        for values in nowhere {
            let probe = vector(&values);
            let refused = |error: CompareError| matches!(error, CompareError::NoDirection { .. });
            assert!(refused(filled.search(&probe, &mut SearchScratch::default()).unwrap_err()));
            assert!(refused(comparer().score(&probe, &probe).unwrap_err()));
            assert!(refused(comparer().score(&right, &probe).unwrap_err()));
            let built = Gallery::build(comparer(), vec![entry(1, &values)], |_| operating(1.9));
            assert!(refused(built.unwrap_err()));
        }
    }
    // The mean itself is nobody once it is subtracted.
    let comparer = Comparer::new(key(1), 3, &[0.5, 0.25, 1.0], Metric::Cosine);
    assert!(comparer.score(&vector(&[0.5, 0.25, 1.0]), &right).is_err());
    assert!(comparer.score(&vector(&[0.5, 0.25, 1.5]), &right).is_ok());
    // Centred, zeros have a direction, and the same one every time.
    assert!(comparer.score(&vector(&[0.0; 3]), &right).is_err());
}

#[test]
fn a_search_that_failed_leaves_nothing_for_the_next() {
    let gallery = gallery(Metric::Cosine, 0.5, vec![entry(1, &[1.0, 0.0, 0.0])]);
    let mut scratch = SearchScratch::default();
    let fresh = gallery.search(&vector(&[0.6, 0.8, 0.0]), &mut scratch).unwrap();
    assert!(gallery.search(&vector(&[0.0, 0.0, 0.0]), &mut scratch).is_err());
    assert_eq!(gallery.search(&vector(&[0.6, 0.8, 0.0]), &mut scratch).unwrap(), fresh);
}

#[test]
fn centring_changes_the_cosine_and_nothing_else() {
    let mean = [1.0, 1.0, 0.0];
    let (a, b) = (vector(&[2.0, 1.0, 0.0]), vector(&[1.0, 2.0, 0.0]));
    let score =
        |mean: &[f32], metric| Comparer::new(key(1), 3, mean, metric).score(&a, &b).unwrap();
    assert!((score(&mean, Metric::Cosine) - 0.0).abs() < 1e-6);
    assert!((score(&[], Metric::Cosine) - 0.8).abs() < 1e-6);
    for metric in [Metric::Euclidean, Metric::EuclideanL2] {
        assert!((score(&mean, metric) - score(&[], metric)).abs() < 1e-9);
    }
}

#[test]
fn an_explicit_threshold_has_the_sense_of_its_metric() {
    // At 60° from the reference and of the same length: cosine 0.5, distance 1.
    let probe = [0.5, 0.75_f32.sqrt(), 0.0];
    for (metric, accepting, refusing) in [
        (Metric::Cosine, [0.499, -1.0], [0.501, 1.0]),
        (Metric::Euclidean, [1.001, 1000.0], [0.999, 0.0]),
        (Metric::EuclideanL2, [1.001, 2.0], [0.999, 0.0]),
    ] {
        let accepts = |threshold: f32| {
            let comparer = Comparer::new(key(1), 3, &[], metric);
            let uncalibrated = ThresholdError::Uncalibrated { metric, available: vec![] };
            let policy = ThresholdPolicy::Explicit(threshold);
            let operating = policy.operate(Err(uncalibrated), 1).unwrap();
            assert_eq!((operating.claimed_fmr, operating.claimed_fpir), (None, None));
            let entries = vec![entry(1, &[1.0, 0.0, 0.0])];
            let gallery = Gallery::build(comparer, entries, |_| operating).unwrap();
            search(&gallery, &probe).accepted().is_some()
        };
        assert!(accepting.into_iter().all(accepts), "{metric}");
        assert!(!refusing.into_iter().any(accepts), "{metric}");
    }
}

#[test]
fn no_score_that_is_no_number_is_accepted() {
    let odd = [f32::NAN, f32::INFINITY, f32::NEG_INFINITY];
    for metric in METRICS {
        for number in odd {
            assert!(odd.into_iter().chain([0.0]).all(|score| !metric.accepts(score, number)));
            assert!(
                odd.into_iter().chain([0.0]).all(|threshold| !metric.accepts(number, threshold))
            );
        }
        assert!(metric.accepts(0.5, 0.5), "what reaches the threshold is accepted");
    }
}

/// The same in the plainest way and in double precision; a subject's best score each.
fn naive(
    metric: Metric,
    mean: &[f32],
    entries: &[GalleryEntry],
    probe: &[f32],
) -> Vec<(SubjectId, f64)> {
    let prepare = |values: &[f32]| -> Vec<f64> {
        let centred = (0_usize..).zip(values).map(|(index, value)| match metric {
            Metric::Cosine => f64::from(*value) - mean.get(index).copied().map_or(0.0, f64::from),
            _ => f64::from(*value),
        });
        let centred: Vec<f64> = centred.collect();
        let norm = centred.iter().map(|v| v * v).sum::<f64>().sqrt();
        let norm = if metric == Metric::Euclidean { 1.0 } else { norm };
        centred.into_iter().map(|v| v / norm).collect()
    };
    let probe = prepare(probe);
    let score = |values: &[f32]| {
        let values = prepare(values);
        let pairs = || probe.iter().zip(&values);
        match metric {
            Metric::Cosine => pairs().map(|(a, b)| a * b).sum::<f64>(),
            _ => pairs().map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt(),
        }
    };
    let mut best: Vec<(SubjectId, f64)> = Vec::new();
    for entry in entries {
        let score = score(entry.feature.values());
        match best.iter_mut().find(|(subject, _)| *subject == entry.subject) {
            Some((_, old)) if metric == Metric::Cosine => *old = old.max(score),
            Some((_, old)) => *old = old.min(score),
            None => best.push((entry.subject.clone(), score)),
        }
    }
    best.sort_by(|a, b| a.1.total_cmp(&b.1));
    if metric == Metric::Cosine {
        best.reverse();
    }
    best
}

/// What ranges of whole numbers are turned into numbers by: proptest 1.12 panics once in some ten
/// million draws from a range of floats.
fn thousandths(value: i16) -> f32 {
    f32::from(value) / 1000.0
}

fn values(length: usize) -> impl Strategy<Value = Vec<f32>> {
    prop::collection::vec((-4000_i16..4000).prop_map(thousandths), length)
        .prop_filter("not nearly zero", |v| v.iter().map(|x| x * x).sum::<f32>() > 0.1)
}

proptest! {
    #[test]
    fn search_is_brute_force(
        people in (1_usize..40).prop_flat_map(|length| (
            prop::collection::vec((0_usize..8, values(length)), 1..30),
            values(length),
            prop::option::of(prop::collection::vec((5000_i16..6000).prop_map(thousandths), length)),
        )),
        index in 0_usize..3,
    ) {
        let (people, probe, mean) = people;
        let mean = mean.unwrap_or_default();
        let metric = METRICS.into_iter().nth(index).unwrap();
        let entries: Vec<_> = people.iter().map(|(number, values)| entry(*number, values)).collect();
        let expected = naive(metric, &mean, &entries, &probe);
        let comparer = Comparer::new(key(1), probe.len(), &mean, metric);
        let gallery = Gallery::build(comparer.clone(), entries.clone(), |_| operating(0.5)).unwrap();
        let found = search(&gallery, &probe);

        let best = found.best.clone().unwrap();
        let first = expected.first().unwrap();
        prop_assert!((f64::from(best.score) - first.1).abs() < 1e-4, "{:?} {:?}", best, expected);
        let own = expected.iter().find(|(subject, _)| *subject == best.subject).unwrap();
        prop_assert!((own.1 - first.1).abs() < 1e-4, "somebody else was nearer");
        match (found.margin, expected.get(1)) {
            (None, None) => {}
            (Some(margin), Some(second)) => {
                let apart = (first.1 - second.1).abs();
                prop_assert!(margin >= 0.0 && (f64::from(margin) - apart).abs() < 2e-4);
            }
            other => prop_assert!(false, "{:?}", other),
        }

        // The order of enrolment means nothing, and 1:1 gives the same score as 1:N.
        let reversed = entries.iter().rev().cloned().collect();
        let again = Gallery::build(comparer.clone(), reversed, |_| operating(0.5)).unwrap();
        let other = search(&again, &probe);
        prop_assert_eq!(other.best.as_ref().map(|b| (&b.subject, b.score)), Some((&best.subject, best.score)));
        prop_assert_eq!(other.margin, found.margin);
        let pairwise = entries
            .iter()
            .filter(|entry| entry.subject == best.subject)
            .map(|entry| comparer.score(&vector(&probe), &entry.feature).unwrap())
            .reduce(|a, b| if metric == Metric::Cosine { a.max(b) } else { a.min(b) });
        prop_assert_eq!(pairwise, Some(best.score));
    }

    #[test]
    fn a_score_is_the_same_both_ways_and_within_its_range(a in values(24), b in values(24), index in 0_usize..3) {
        let metric = METRICS.into_iter().nth(index).unwrap();
        let comparer = Comparer::new(key(1), 24, &[], metric);
        let score = comparer.score(&vector(&a), &vector(&b)).unwrap();
        let back = comparer.score(&vector(&b), &vector(&a)).unwrap();
        prop_assert_eq!(score.to_bits(), back.to_bits());
        let range = match metric {
            Metric::Cosine => -1.0..=1.0,
            Metric::Euclidean => 0.0..=f32::MAX,
            Metric::EuclideanL2 => 0.0..=2.000_01,
        };
        prop_assert!(range.contains(&score), "{}", score);
        // Rounding must not make anything more alike than itself.
        let own = comparer.score(&vector(&a), &vector(&a)).unwrap();
        prop_assert!(range.contains(&own), "{}", own);
    }
}

/// Numbers that look random (xorshift64, Marsaglia 2003).
struct Random(u64);

impl Random {
    fn number(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    fn direction(&mut self) -> Vec<f32> {
        (0..24).map(|_| self.number()).collect()
    }

    fn near(&mut self, to: &[f32], apart: f32) -> Vec<f32> {
        to.iter().map(|value| value + apart * self.number()).collect()
    }
}

/// So many people, of whom a third has a second reference, and every fiftieth somebody very like.
fn crowd(random: &mut Random, people: usize) -> Vec<GalleryEntry> {
    let mut entries = Vec::new();
    for number in 0..people {
        let direction = random.direction();
        entries.push(entry(number, &direction));
        if number % 3 == 0 {
            entries.push(entry(number, &random.near(&direction, 0.3)));
        }
        if number % 50 == 0 {
            entries.push(entry(people + number, &random.near(&direction, 0.02)));
        }
    }
    entries
}

fn grown(of: &Gallery) -> Graph {
    let rows = of.rows().unwrap();
    let new = (0..).zip(rows.fingerprints.iter().copied()).collect();
    let mut builder = Builder::new(Graph::default(), &rows.codes, Vec::new(), new);
    while builder.step() {}
    builder.finish()
}

fn with(gallery: &Gallery, graph: Graph) -> Gallery {
    let rows = gallery.rows().unwrap();
    gallery.clone().indexed(rows, Arc::new(graph))
}

/// Probes of people of the crowd, some hard to tell from others, and of strangers.
fn probes(random: &mut Random, entries: &[GalleryEntry]) -> Vec<Vec<f32>> {
    let mut probes: Vec<Vec<f32>> = (0..300).map(|_| random.direction()).collect();
    let apart = [0.01, 0.2, 0.5, 0.8].into_iter().cycle();
    for (entry, apart) in entries.iter().step_by(7).zip(apart) {
        probes.push(random.near(entry.feature.values(), apart));
    }
    probes
}

#[test]
fn an_index_accepts_exactly_whom_the_exact_search_accepts() {
    let mut random = Random(7);
    let entries = crowd(&mut random, 2_000);
    let probes = probes(&mut random, &entries);
    for (metric, threshold) in [(Metric::Cosine, 0.75), (Metric::EuclideanL2, 0.7)] {
        let exact = gallery(metric, threshold, entries.clone());
        // An index of everybody, of those who were enrolled a while ago with some who have gone since,
        // one of others, one without anybody, and a damaged one.
        let before: Vec<_> =
            entries.iter().skip(200).cloned().chain(crowd(&mut random, 100)).collect();
        let [whole, before, others] = [entries.clone(), before, crowd(&mut random, 300)]
            .map(|entries| grown(&gallery(metric, threshold, entries)));
        let mut bytes = whole.to_bytes();
        let middle = bytes.len() / 8 * 4;
        bytes[middle..middle + 4_000].fill(0);
        let damaged = Graph::from_bytes(&bytes).unwrap();
        for (kind, graph) in [
            ("whole", whole),
            ("before", before),
            ("others", others),
            ("none", Graph::default()),
            ("damaged", damaged),
        ] {
            let indexed = with(&exact, graph);
            let (mut accepted, mut overlooked, mut close) = (0, 0, 0);
            for probe in &probes {
                let (right, found) = (search(&exact, probe), search(&indexed, probe));
                let score = |found: &Match| found.best.as_ref().map_or(f32::NAN, |best| best.score);
                assert!(metric.advantage(score(&found), score(&right)) <= 0.0, "{kind}: nearer");
                if found.accepted().is_some() {
                    assert_eq!(found, right, "{metric}, {kind}");
                    accepted += 1;
                    close += u32::from(found.margin.unwrap() < 0.05);
                } else if right.accepted().is_some() {
                    overlooked += 1;
                }
            }
            assert!(accepted > 100 && close > 5, "{metric}, {kind}: {accepted}, {close} close");
            assert!(overlooked * 100 <= accepted || kind == "damaged", "{kind}: {overlooked}");
        }
    }
}

#[test]
fn an_index_knows_which_references_are_new_and_which_are_gone() {
    let mut random = Random(8);
    let (old, new) = (crowd(&mut random, 300), crowd(&mut random, 40));
    let graph = grown(&gallery(Metric::Cosine, 0.5, old.clone()));
    let kept: Vec<_> = old.iter().skip(25).cloned().chain(new.iter().cloned()).collect();
    let now = with(&gallery(Metric::Cosine, 0.5, kept), graph);
    let index = now.index().unwrap();
    assert_eq!((index.gone(), index.unknown().len()), (25, new.len()));
    // The same reference twice is two rows.
    let twice: Vec<_> = old.iter().cloned().chain(old.iter().take(3).cloned()).collect();
    let twice =
        with(&gallery(Metric::Cosine, 0.5, twice), grown(&gallery(Metric::Cosine, 0.5, old)));
    assert_eq!((twice.index().unwrap().gone(), twice.index().unwrap().unknown().len()), (0, 3));
    assert!(gallery(Metric::Euclidean, 0.5, new).rows().is_none(), "vectors of any length");
}
