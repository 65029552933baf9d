//! One face by every embedder that the door asks: what is compared, and what is enrolled.
//!
//! In: the path with nobody enrolled, observations. Out: an [`Attempt`] with the [`Vectors`] of its
//! face, [`References`] that become galleries. Where a second embedder confirms, a match counts as
//! what is left of it when that one has been asked.

use crate::compare::{Match, SubjectId};
use crate::config::Config;
use crate::decide::{Answer, Gate, Observation, Question, Seen};
use crate::embed::{FeatureVector, QualityLimits};
use crate::equip::{EquipError, Networks};
use crate::recognise::{Galleries, Recogniser};
use crate::store::Reference;

/// What came of one picture.
pub(super) enum Attempt {
    NoFace,
    Unusable,
    Compared { found: Match, vectors: Box<Vectors> },
}

/// What each embedder says of a face.
#[derive(Debug, Clone)]
pub(super) struct Vectors {
    pub first: FeatureVector,
    /// The confirming one's, where one confirms.
    pub confirming: Option<FeatureVector>,
}

/// The references of one enrolment, by embedder.
#[derive(Debug, Default)]
pub(super) struct References {
    pub first: Vec<Reference>,
    pub confirming: Vec<Reference>,
}

impl References {
    pub fn add(&mut self, index: usize, vectors: Vectors) {
        self.first.push(reference(index, vectors.first));
        self.confirming.extend(vectors.confirming.map(|vector| reference(index, vector)));
    }

    pub fn galleries(self, config: &Config, networks: &Networks) -> Result<Galleries, EquipError> {
        networks.galleries(config, |key| {
            let first = key.id == config.models.embedder;
            Ok(if first { self.first.clone() } else { self.confirming.clone() })
        })
    }
}

/// The path with nobody enrolled, and both vectors of every face at hand.
pub(super) fn empty_path(
    config: &Config,
    networks: &Networks,
    limits: QualityLimits,
) -> Result<Recogniser, EquipError> {
    let galleries = References::default().galleries(config, networks)?;
    Ok(networks.recogniser_within(config, galleries, limits)?.confirming_every_face())
}

/// What came of `observation`, the recogniser's last one.
pub(super) fn attempt(
    recogniser: &mut Recogniser,
    observation: Observation,
) -> Result<Attempt, EquipError> {
    Ok(match observation.seen {
        Seen::NoFace => Attempt::NoFace,
        Seen::Faces { principal, .. } => match principal.found {
            Some(found) => {
                let confirming = recogniser.confirming_features()?;
                let vectors = Vectors { first: recogniser.features().clone(), confirming };
                let found = confirmed(recogniser, found, vectors.confirming.is_some());
                Attempt::Compared { found, vectors: Box::new(vectors) }
            }
            None => Attempt::Unusable,
        },
        Seen::Fault(_) => Attempt::Unusable,
    })
}

/// What is left of a match when the confirming embedder, where there is one, has been asked.
fn confirmed(recogniser: &mut Recogniser, found: Match, asks: bool) -> Match {
    let accepted = found.accepted().filter(|_| asks);
    let question = accepted.map(|best| Question {
        gate: Gate::Confirm,
        subject: best.subject.clone(),
        score: best.score,
    });
    match question.map(|question| recogniser.answer(&question)) {
        None => found,
        Some(Answer::Pass(Some(fused)) | Answer::No(Some(fused))) => fused,
        Some(_) => Match { best: None, ..found },
    }
}

/// The pseudonym of person `index`.
#[expect(clippy::expect_used, reason = "six hexadecimal digits make a subject id")]
pub(super) fn subject(index: usize) -> SubjectId {
    SubjectId::new(&format!("s-{index:06x}")).expect("six hexadecimal digits")
}

fn reference(index: usize, vector: FeatureVector) -> Reference {
    Reference { id: 0, subject: subject(index), enabled: true, vector, quality: 1.0 }
}
