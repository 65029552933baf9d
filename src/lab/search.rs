//! How surely and how quickly a large gallery is searched by its index, and what such a gallery can claim.
//!
//! In: the bundled cohort, a number of references. Out: recall, times and memory, beside the exact search.
//! The references are drawn: each is a mixture of people of the cohort, so that they spread as faces do and
//! nobody is in it twice. Probes of somebody enrolled are drawn at a given cosine to that one's reference.
//!
//! Deliberately absent: false matches. Drawn faces have no lookalikes and no twins; what strangers do is
//! measured on photographs (`models/RESULTS.md`), and what may be claimed follows from the card.

use std::sync::Arc;

use deepid_nearest::{Builder, Graph};
use serde::Serialize;

use super::Stage;
use super::end_to_end::EvaluateError;
use super::report::Spread;
use crate::calibrate::{Cohort, Interval, Tally};
use crate::clock::{Clock as _, ClockRequirement, Floor, SystemClock};
use crate::compare::{Gallery, GalleryEntry, Match, Metric, SearchScratch, SubjectId};
use crate::config::Config;
use crate::embed::FeatureVector;
use crate::equip::{EquipError, Networks};
use crate::inference::{ModelId, ModelKey};

/// Searches of each kind.
const PROBES: usize = 1_000;
/// Cosines of probes to the reference of whoever stands there; none for a stranger.
const KINDS: [Option<f32>; 3] = [Some(0.8), Some(0.6), None];
/// People of the cohort in one drawn reference.
const MIXED: usize = 4;
/// So many references between two reports of progress.
const TURN: usize = 10_000;

/// What was found with one number of references.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchTable {
    /// Names this format.
    pub schema: &'static str,
    /// The embedder.
    pub model: ModelId,
    /// References in the gallery, of one subject each.
    pub references: usize,
    /// The score that the card's calibration asks for.
    pub threshold: f32,
    /// The share of strangers that may be taken for somebody, by that calibration.
    pub claimed_fpir: Option<f64>,
    /// Whether such a door grants nobody, because of `recognise.accept_fpir`.
    pub beyond_accepted: bool,
    /// Seconds that the index grew, in one thread.
    pub growth_s: f64,
    /// Megabytes of the references, four bytes a number.
    pub references_mb: f64,
    /// Megabytes of their codes, one byte a number.
    pub codes_mb: f64,
    /// Megabytes of the index, in memory and in its file.
    pub index_mb: f64,
    /// By kinds of probes.
    pub rows: Vec<SearchRow>,
}

/// One kind of probes.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SearchRow {
    /// Their cosine to a reference of whoever stands there; `None` for strangers.
    pub cosine: Option<f32>,
    /// Searches in which the index found the subject that the exact search found.
    pub recall: Tally,
    /// Where the true rate lies.
    pub interval_95: Option<Interval>,
    /// Searches that accepted another subject than the exact one, or another score: none may.
    pub otherwise_accepted: u64,
    /// Searches that accepted somebody.
    pub accepted: u64,
    /// Milliseconds of an exact search.
    pub exact_ms: Option<Spread>,
    /// Milliseconds of a search by the index that accepts nobody.
    pub index_ms: Option<Spread>,
    /// Milliseconds of one that accepts somebody, and so is made certain.
    pub certain_ms: Option<Spread>,
}

/// Draws `references` and searches them both ways; `progress` hears how far it is.
///
/// # Errors
/// [`EvaluateError`]: there is no cohort, or no card.
pub fn search(
    config: &Config,
    networks: &Networks,
    references: usize,
    progress: &mut dyn FnMut(Stage),
) -> Result<SearchTable, EvaluateError> {
    let comparer = networks.comparer(config, Metric::Cosine)?;
    let operating = networks.cards().operating(config, Metric::Cosine, references)?;
    let card = networks.card(&config.models.embedder)?;
    let mean = card.features.as_ref().map_or(&[][..], |facts| &facts.mean);
    let cohort = Cohort::of(config, networks.cards(), None)?;
    let mut mixer = Mixer::new(&cohort, comparer.key().clone(), mean);

    let mut entries = Vec::with_capacity(references);
    for number in 0..references {
        if number % TURN == 0 {
            progress(Stage { name: "references", done: number, of: references });
        }
        let Ok(subject) = SubjectId::new(&format!("s-{number:08x}")) else { continue };
        let centred = mixer.person();
        entries.extend(mixer.vector(&centred).map(|feature| GalleryEntry {
            subject,
            enabled: true,
            feature,
        }));
    }
    let probes = KINDS.map(|cosine| mixer.probes(cosine, &entries));
    let length = entries.first().map_or(0, |entry| entry.feature.values().len());
    let exact = Gallery::build(comparer, entries, |_| operating).map_err(EquipError::from)?;
    let Some(rows) = exact.rows() else { return Ok(SearchTable::empty(config, references)) };

    let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
    let began = clock.now();
    let new = (0_u32..).zip(rows.fingerprints.iter().copied()).collect();
    let mut builder = Builder::new(Graph::default(), &rows.codes, Vec::new(), new);
    while builder.step() {
        if builder.remaining().is_multiple_of(TURN) {
            let done = references - builder.remaining();
            progress(Stage { name: "index", done, of: references });
        }
    }
    let graph = builder.finish();
    let growth_s = clock.now().since(began).as_secs_f64();
    let index_mb = megabytes(graph.to_bytes().len());
    let indexed = exact.clone().indexed(rows, Arc::new(graph));

    let mut table = SearchTable {
        threshold: operating.threshold,
        claimed_fpir: operating.claimed_fpir,
        beyond_accepted: operating.beyond_accepted,
        growth_s,
        references_mb: megabytes(references * length * size_of::<f32>()),
        codes_mb: megabytes(references * (length + size_of::<f32>())),
        index_mb,
        ..SearchTable::empty(config, references)
    };
    for (done, (cosine, probes)) in KINDS.into_iter().zip(probes).enumerate() {
        progress(Stage { name: "searches", done, of: KINDS.len() });
        table.rows.push(SearchRow::of(cosine, &probes, (&exact, &indexed), &clock)?);
    }
    Ok(table)
}

fn megabytes(bytes: usize) -> f64 {
    bytes as f64 / 1e6
}

/// Draws people who are mixtures of others.
struct Mixer {
    key: ModelKey,
    mean: Vec<f32>,
    /// Unit vectors from the mean, one of each person of the cohort.
    people: Vec<Vec<f32>>,
    random: fastrand::Rng,
}

impl Mixer {
    fn new(cohort: &Cohort, key: ModelKey, mean: &[f32]) -> Self {
        let people =
            cohort.strangers.iter().map(|stranger| direction(&stranger.vector, mean)).collect();
        Self { key, mean: mean.to_vec(), people, random: fastrand::Rng::with_seed(7) }
    }

    /// Normally distributed (Box and Muller 1958).
    fn normal(&mut self) -> f32 {
        let (radius, angle) = (self.random.f32().max(f32::MIN_POSITIVE), self.random.f32());
        (-2.0 * radius.ln()).sqrt() * (std::f32::consts::TAU * angle).cos()
    }

    /// A unit vector from the mean: normally weighted sums of people spread as the people do.
    fn person(&mut self) -> Vec<f32> {
        let mut sum = Vec::new();
        for _ in 0..MIXED {
            let weight = self.normal();
            let Some(person) = self.random.choice(&self.people) else { continue };
            sum.resize(person.len(), 0.0);
            for (sum, value) in sum.iter_mut().zip(person) {
                *sum += weight * value;
            }
        }
        unit(sum)
    }

    /// The feature vector that lies in that direction from the mean.
    fn vector(&self, centred: &[f32]) -> Option<FeatureVector> {
        let values = centred.iter().zip(padded(&self.mean)).map(|(value, mean)| value + mean);
        let values = values.collect();
        FeatureVector::new(self.key.clone(), values).ok()
    }

    /// Probes at `cosine` to a reference, or of strangers.
    fn probes(&mut self, cosine: Option<f32>, entries: &[GalleryEntry]) -> Vec<FeatureVector> {
        let mut probes = Vec::with_capacity(PROBES);
        for _ in 0..PROBES {
            let other = self.person();
            let known = cosine.and_then(|cosine| {
                let entry = self.random.choice(entries)?;
                let reference = direction(&entry.feature, &self.mean);
                // What is at right angles to the reference turns it away by the angle.
                let along: f32 = other.iter().zip(&reference).map(|(a, b)| a * b).sum();
                let across = other.iter().zip(&reference).map(|(a, b)| a - along * b).collect();
                let sine = (1.0 - cosine * cosine).sqrt();
                let across = unit(across);
                let mixed = reference.iter().zip(&across);
                Some(mixed.map(|(a, b)| cosine * a + sine * b).collect::<Vec<f32>>())
            });
            probes.extend(self.vector(known.as_ref().unwrap_or(&other)));
        }
        probes
    }
}

/// A card's mean, or zeros where it has none.
fn padded(mean: &[f32]) -> impl Iterator<Item = f32> + '_ {
    mean.iter().copied().chain(std::iter::repeat(0.0))
}

/// In which direction `vector` lies from the mean.
fn direction(vector: &FeatureVector, mean: &[f32]) -> Vec<f32> {
    unit(vector.values().iter().zip(padded(mean)).map(|(value, mean)| value - mean).collect())
}

fn unit(mut values: Vec<f32>) -> Vec<f32> {
    let length = values.iter().map(|value| value * value).sum::<f32>().sqrt();
    for value in &mut values {
        *value /= length.max(f32::MIN_POSITIVE);
    }
    values
}

impl SearchTable {
    fn empty(config: &Config, references: usize) -> Self {
        Self {
            schema: "deepid-edge/evaluate-search/1",
            model: config.models.embedder.clone(),
            references,
            threshold: 0.0,
            claimed_fpir: None,
            beyond_accepted: false,
            growth_s: 0.0,
            references_mb: 0.0,
            codes_mb: 0.0,
            index_mb: 0.0,
            rows: Vec::new(),
        }
    }
}

impl SearchRow {
    fn of(
        cosine: Option<f32>,
        probes: &[FeatureVector],
        (exact, indexed): (&Gallery, &Gallery),
        clock: &SystemClock,
    ) -> Result<Self, EvaluateError> {
        let mut scratch = SearchScratch::default();
        let mut timed = |gallery: &Gallery, probe| -> Result<(Match, f64), EvaluateError> {
            let began = clock.now();
            let found = gallery.search(probe, &mut scratch)?;
            Ok((found, clock.now().since(began).as_secs_f64() * 1e3))
        };
        let (mut recall, mut otherwise_accepted, mut accepted) = (Tally::default(), 0, 0);
        let (mut exact_ms, mut index_ms, mut certain_ms) = (Vec::new(), Vec::new(), Vec::new());
        for probe in probes {
            let (right, ms) = timed(exact, probe)?;
            exact_ms.push(ms);
            let (found, ms) = timed(indexed, probe)?;
            let subject = |found: &Match| found.best.as_ref().map(|best| best.subject.clone());
            recall.add(subject(&found) == subject(&right));
            if found.accepted().is_some() {
                accepted += 1;
                otherwise_accepted += u64::from(found != right);
                certain_ms.push(ms);
            } else {
                index_ms.push(ms);
            }
        }
        Ok(Self {
            cosine,
            recall,
            interval_95: recall.interval(),
            otherwise_accepted,
            accepted,
            exact_ms: Spread::of(exact_ms),
            index_ms: Spread::of(index_ms),
            certain_ms: Spread::of(certain_ms),
        })
    }
}

impl std::fmt::Display for SearchTable {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        writeln!(f, "{} references of {}", self.references, self.model)?;
        writeln!(
            f,
            "  references {:.1} MB, codes {:.1} MB, index {:.1} MB, grown in {:.1} s",
            self.references_mb, self.codes_mb, self.index_mb, self.growth_s
        )?;
        write!(f, "  threshold {:.3}", self.threshold)?;
        match self.claimed_fpir {
            Some(fpir) => write!(f, ", FPIR that is claimed {fpir:.1e}")?,
            None => write!(f, ", no FPIR can be claimed")?,
        }
        if self.beyond_accepted {
            write!(f, ": beyond recognise.accept_fpir, such a door grants nobody")?;
        }
        write!(
            f,
            "\n\n  {:<14} {:>10} {:>10} {:>10} {:>9} {:>10}  recall",
            "probes", "exact ms", "index ms", "certain ms", "accepted", "otherwise"
        )?;
        for row in &self.rows {
            let kind =
                row.cosine.map_or("strangers".to_owned(), |cosine| format!("at {cosine:.2}"));
            let ms = |spread: Option<Spread>| {
                spread.map_or("–".to_owned(), |spread| format!("{:.3}", spread.median))
            };
            write!(
                f,
                "\n  {kind:<14} {:>10} {:>10} {:>10} {:>9} {:>10}  {}",
                ms(row.exact_ms),
                ms(row.index_ms),
                ms(row.certain_ms),
                row.accepted,
                row.otherwise_accepted,
                row.recall
            )?;
        }
        Ok(())
    }
}
