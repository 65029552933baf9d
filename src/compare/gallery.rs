//! The enrolled set, prepared for search, and the search itself.
//!
//! In: references of one model and procedure. Out: for a probe of the same, the nearest subject and
//! how far ahead of the second *subject* it is. References are prepared once (centred and normalised
//! for the cosine, normalised for Euclidean-L2) and lie in one block, so that a search is a row of
//! dot products.
//!
//! Invariant: probe and references were made by the same model file in the same way ([`ModelKey`]),
//! have the same length, are finite and not zero; anything else is an error, never a score. A network
//! whose features are all zero has seen nothing, and under both distances it would be near to
//! everybody.

use std::borrow::Cow;
use std::sync::Arc;

use deepid_nearest::Graph;

use super::indexed::{IndexScratch, Indexed, Rows};
use super::metric::Metric;
use super::subject::SubjectId;
use super::threshold::Operating;
use super::{Candidate, Match};
use crate::embed::FeatureVector;
use crate::inference::{ModelId, ModelKey};
use crate::remedy::Remedied;

/// One reference of one subject.
#[derive(Debug, Clone, PartialEq)]
pub struct GalleryEntry {
    /// Whose it is.
    pub subject: SubjectId,
    /// Whether that subject is enabled.
    pub enabled: bool,
    /// The reference.
    pub feature: FeatureVector,
}

/// Why vectors cannot be compared.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum CompareError {
    /// Vectors of two models, or of one that was replaced or is used otherwise.
    #[error(
        "a feature vector of {found} cannot be compared with {wanted}, which is in use: {advice}",
        advice = self.advice()
    )]
    Model {
        /// What made the vector.
        found: ModelKey,
        /// What is in use.
        wanted: ModelKey,
    },
    /// Another length than the model's.
    #[error(
        "a feature vector of model {model} has {found} numbers, {wanted} are right: the store is damaged or the card is wrong; {advice}",
        advice = self.advice()
    )]
    Length {
        /// Who made the vector.
        model: ModelId,
        /// Its length.
        found: usize,
        /// The right length.
        wanted: usize,
    },
    /// A vector that points nowhere: all zero, or too long for its length to be a number.
    #[error(
        "a feature vector of model {model} has the length {norm}, it must be a number above 0: the picture shows nothing, or the model file is damaged; {advice}",
        advice = self.advice()
    )]
    NoDirection {
        /// Who made the vector.
        model: ModelId,
        /// Its Euclidean length; for the cosine also after centring.
        norm: f32,
    },
    /// The mean to subtract has another length than the vectors.
    #[error(
        "the mean of model {model} has {found} numbers, {wanted} are right: {advice}",
        advice = self.advice()
    )]
    Mean {
        /// The model in use.
        model: ModelId,
        /// The mean's length.
        found: usize,
        /// The right length.
        wanted: usize,
    },
}

impl Remedied for CompareError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Model { .. } => {
                "enrol again with what is in use, or bring the earlier model file, card and settings back".into()
            }
            Self::Length { .. } => "enroll again".into(),
            Self::NoDirection { .. } => {
                "enroll again, or check it with 'deepid-edge doctor'".into()
            }
            Self::Mean { .. } => "correct features.mean in its card".into(),
        })
    }
}

/// How vectors are prepared and compared.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparer {
    key: ModelKey,
    length: usize,
    mean: Vec<f32>,
    metric: Metric,
}

impl Comparer {
    /// Compares vectors of `key`, `length` numbers each, by `metric`. `mean` (empty for none) is
    /// subtracted before the cosine; one of another length makes every comparison an error, because
    /// scores without it would be higher than the calibration's.
    #[must_use]
    pub fn new(key: ModelKey, length: usize, mean: &[f32], metric: Metric) -> Self {
        Self { key, length, mean: mean.to_vec(), metric }
    }

    /// The model whose vectors it compares.
    #[must_use]
    pub const fn model(&self) -> &ModelId {
        &self.key.id
    }

    /// The model and the procedure whose vectors it compares.
    #[must_use]
    pub const fn key(&self) -> &ModelKey {
        &self.key
    }

    /// How scores are made.
    #[must_use]
    pub const fn metric(&self) -> Metric {
        self.metric
    }

    /// One to one: the comparison score of two vectors.
    ///
    /// # Errors
    /// [`CompareError`] when one of them is of another model or length, or zero.
    pub fn score(
        &self,
        probe: &FeatureVector,
        reference: &FeatureVector,
    ) -> Result<f32, CompareError> {
        let (mut a, mut b) = (Vec::new(), Vec::new());
        self.prepare(probe, &mut a)?;
        self.prepare(reference, &mut b)?;
        Ok(self.score_of(self.likeness(&a, &b)))
    }

    /// Appends `feature`, centred and normalised as the metric wants it.
    fn prepare(&self, feature: &FeatureVector, into: &mut Vec<f32>) -> Result<(), CompareError> {
        if *feature.key() != self.key {
            return Err(CompareError::Model {
                found: feature.key().clone(),
                wanted: self.key.clone(),
            });
        }
        let values = feature.values();
        if values.len() != self.length {
            return Err(CompareError::Length {
                model: self.key.id.clone(),
                found: values.len(),
                wanted: self.length,
            });
        }
        if !self.mean.is_empty() && self.mean.len() != self.length {
            return Err(CompareError::Mean {
                model: self.key.id.clone(),
                found: self.mean.len(),
                wanted: self.length,
            });
        }
        // Before centring too: a dead network would be the same person every time.
        self.check_length(dot(values, values).sqrt())?;
        let start = into.len();
        match self.metric {
            Metric::Cosine if !self.mean.is_empty() => {
                into.extend(values.iter().zip(&self.mean).map(|(value, mean)| value - mean));
            }
            Metric::Cosine | Metric::Euclidean | Metric::EuclideanL2 => into.extend(values),
        }
        let added = into.get_mut(start..).unwrap_or_default();
        let norm = dot(added, added).sqrt();
        self.check_length(norm)?;
        if self.metric != Metric::Euclidean {
            for value in added {
                *value /= norm;
            }
        }
        Ok(())
    }

    fn check_length(&self, norm: f32) -> Result<(), CompareError> {
        if norm > f32::MIN_POSITIVE && norm.is_finite() {
            return Ok(());
        }
        Err(CompareError::NoDirection { model: self.key.id.clone(), norm })
    }

    /// How alike two prepared vectors are, in the order and sense of the metric's scores.
    fn likeness(&self, a: &[f32], b: &[f32]) -> f32 {
        match self.metric {
            Metric::Cosine => dot(a, b),
            Metric::Euclidean | Metric::EuclideanL2 => squared_distance(a, b),
        }
    }

    /// The comparison score that a likeness stands for.
    fn score_of(&self, likeness: f32) -> f32 {
        match self.metric {
            Metric::Cosine => likeness.clamp(-1.0, 1.0),
            Metric::Euclidean | Metric::EuclideanL2 => likeness.sqrt(),
        }
    }
}

/// Reused memory of [`Gallery::search`].
#[derive(Debug, Clone, Default)]
pub struct SearchScratch {
    probe: Vec<f32>,
    index: IndexScratch,
}

/// The references of all subjects, prepared for one model and metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Gallery {
    comparer: Comparer,
    operating: Operating,
    subjects: Vec<Enrolled>,
    /// `references × length`, grouped by subject.
    block: Vec<f32>,
    /// What makes the search of many references quick, where it is wanted.
    index: Option<Box<Indexed>>,
}

/// The two nearest subjects of those whose references were offered, in whatever order.
#[derive(Debug, Default)]
struct Nearest {
    best: Option<(usize, f32)>,
    second: Option<f32>,
}

impl Nearest {
    fn offer(&mut self, metric: Metric, subject: usize, likeness: f32) {
        let ahead = |of: f32| metric.advantage(likeness, of) > 0.0;
        match &mut self.best {
            Some((leader, leading)) if *leader == subject => {
                if ahead(*leading) {
                    *leading = likeness;
                }
            }
            Some((_, leading)) if !ahead(*leading) => {
                if self.second.is_none_or(ahead) {
                    self.second = Some(likeness);
                }
            }
            best => {
                self.second = best.map(|(_, likeness)| likeness);
                *best = Some((subject, likeness));
            }
        }
    }
}

#[derive(Debug, Clone, PartialEq)]
struct Enrolled {
    id: SubjectId,
    enabled: bool,
    /// References from here on, up to the next subject's.
    first: usize,
    end: usize,
}

impl Gallery {
    /// Prepares `entries` for search by `comparer`; `operating` gives the threshold for the number
    /// of references, each of which is one more chance for a stranger to match.
    ///
    /// # Errors
    /// [`CompareError`] for the first reference of another model or length, or zero.
    pub fn build(
        comparer: Comparer,
        mut entries: Vec<GalleryEntry>,
        operating: impl FnOnce(usize) -> Operating,
    ) -> Result<Self, CompareError> {
        entries.sort_by(|a, b| a.subject.cmp(&b.subject));
        let mut block = Vec::with_capacity(entries.len() * comparer.length);
        let mut subjects: Vec<Enrolled> = Vec::new();
        let references = entries.len();
        for (index, entry) in entries.into_iter().enumerate() {
            comparer.prepare(&entry.feature, &mut block)?;
            match subjects.last_mut() {
                Some(last) if last.id == entry.subject => {
                    last.end = index + 1;
                    // Doubt never grants: one disabled mark is enough.
                    last.enabled &= entry.enabled;
                }
                _ => subjects.push(Enrolled {
                    id: entry.subject,
                    enabled: entry.enabled,
                    first: index,
                    end: index + 1,
                }),
            }
        }
        let operating = operating(references);
        Ok(Self { comparer, operating, subjects, block, index: None })
    }

    /// Forgets all subjects; threshold and claim stay.
    pub fn clear(&mut self) {
        self.subjects.clear();
        self.block.clear();
        self.index = None;
    }

    /// What an index of these references is grown of; `None` for a metric whose vectors have any length.
    #[must_use]
    pub fn rows(&self) -> Option<Rows> {
        match self.comparer.metric {
            Metric::Cosine | Metric::EuclideanL2 => {
                Some(Rows::of(&self.block, self.comparer.length))
            }
            Metric::Euclidean => None,
        }
    }

    /// The same, searched with `graph`, which was grown of `rows`: [`Self::rows`] of this gallery, or of an
    /// earlier one. What it accepts is the same as without.
    #[must_use]
    pub fn indexed(mut self, rows: Rows, graph: Arc<Graph>) -> Self {
        let of = (0_u32..).zip(&self.subjects);
        let subject_of = of
            .flat_map(|(index, subject)| std::iter::repeat_n(index, subject.end - subject.first))
            .collect();
        self.index = Some(Box::new(Indexed::new(rows, graph, subject_of)));
        self
    }

    /// The index, where there is one.
    #[must_use]
    pub fn index(&self) -> Option<&Indexed> {
        self.index.as_deref()
    }

    /// How many subjects are enrolled.
    #[must_use]
    pub const fn subjects(&self) -> usize {
        self.subjects.len()
    }

    /// How many of them `other` does not know.
    #[must_use]
    pub fn subjects_not_in(&self, other: &Self) -> usize {
        let known = |id: &SubjectId| other.subjects.iter().any(|subject| subject.id == *id);
        self.subjects.iter().filter(|subject| !known(&subject.id)).count()
    }

    /// How many references they have together.
    #[must_use]
    pub fn references(&self) -> usize {
        self.block.len() / self.comparer.length.max(1)
    }

    /// How vectors are compared.
    #[must_use]
    pub const fn comparer(&self) -> &Comparer {
        &self.comparer
    }

    /// Threshold and what it claims.
    #[must_use]
    pub const fn operating(&self) -> Operating {
        self.operating
    }

    /// Finds the subject nearest to `probe`; the best of a subject's references counts.
    ///
    /// # Errors
    /// [`CompareError`] when the probe is of another model or length, or zero.
    pub fn search(
        &self,
        probe: &FeatureVector,
        scratch: &mut SearchScratch,
    ) -> Result<Match, CompareError> {
        scratch.probe.clear();
        self.comparer.prepare(probe, &mut scratch.probe)?;
        let metric = self.comparer.metric;
        let Nearest { best, second } = match &self.index {
            None => self.nearest_among(0..self.subjects.len(), &scratch.probe),
            Some(index) => self.nearest_by(index, scratch),
        };
        let score_of = |likeness| self.comparer.score_of(likeness);
        let second = second.map(score_of);
        let best = best.and_then(|(subject, likeness)| {
            Some((self.subjects.get(subject)?, score_of(likeness)))
        });
        Ok(Match {
            model: self.comparer.key.id.clone(),
            metric,
            threshold: self.operating.threshold,
            claimed_fmr: self.operating.claimed_fmr,
            beyond_accepted: self.operating.beyond_accepted,
            margin: best
                .and_then(|(_, score)| second.map(|second| metric.advantage(score, second))),
            best: best.map(|(subject, score)| Candidate {
                subject: subject.id.clone(),
                enabled: subject.enabled,
                score,
            }),
        })
    }

    /// The nearest of `subjects`, by each of their references.
    fn nearest_among(&self, subjects: impl Iterator<Item = usize>, probe: &[f32]) -> Nearest {
        let length = self.comparer.length;
        let mut nearest = Nearest::default();
        for index in subjects {
            let Some(subject) = self.subjects.get(index) else { continue };
            let rows = self.block.get(subject.first * length..subject.end * length);
            for row in rows.unwrap_or_default().chunks_exact(length.max(1)) {
                nearest.offer(self.comparer.metric, index, self.comparer.likeness(probe, row));
            }
        }
        nearest
    }

    /// The nearest of a shortlist; of all, where that one would be accepted.
    fn nearest_by(&self, index: &Indexed, scratch: &mut SearchScratch) -> Nearest {
        let SearchScratch { probe, index: scratch } = scratch;
        let (metric, length) = (self.comparer.metric, self.comparer.length);
        let mut nearest = Nearest::default();
        for (subject, row) in index.shortlist(probe, scratch) {
            let Some(row) = self.block.get(row * length..(row + 1) * length) else { continue };
            nearest.offer(metric, subject, self.comparer.likeness(probe, row));
        }
        let accepted = nearest.best.is_some_and(|(_, likeness)| {
            metric.accepts(self.comparer.score_of(likeness), self.operating.threshold)
        });
        if !accepted {
            return nearest;
        }
        self.nearest_among(index.contenders(self.subjects.len(), scratch), probe)
    }
}

const LANES: usize = 16;

/// Sums in as many lanes as the widest registers hold, so that the compiler vectorises although
/// floating-point addition does not associate.
fn lanes(a: &[f32], b: &[f32], term: impl Fn(f32, f32) -> f32) -> f32 {
    let (a_chunks, a_rest) = a.as_chunks::<LANES>();
    let (b_chunks, b_rest) = b.as_chunks::<LANES>();
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a_chunks.iter().zip(b_chunks) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += term(*a, *b);
        }
    }
    let rest: f32 = a_rest.iter().zip(b_rest).map(|(a, b)| term(*a, *b)).sum();
    sums.iter().sum::<f32>() + rest
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |a, b| a * b)
}

fn squared_distance(a: &[f32], b: &[f32]) -> f32 {
    lanes(a, b, |a, b| (a - b) * (a - b))
}
