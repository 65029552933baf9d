//! The whole path with the shipped models, as the daemon puts it together by default.
//!
//! In: the files that `make assets` fetches. Out: rooms ready to take a frame; what they come to is
//! for the tests to say.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

use deepid_edge::align::{Aligner, Landmarker};
use deepid_edge::compare::{Comparer, Gallery, GalleryEntry, Metric, Operating, SubjectId};
use deepid_edge::detect::{Follower, FollowerSettings, SsdDetector};
use deepid_edge::embed::{CoverJudge, Embedder, FeatureVector, QualityLimits};
use deepid_edge::inference::{ModelCard, ModelKey, Procedure, Runtime};
use deepid_edge::liveness::{Liveness, LivenessNetwork, LivenessNetworks, LivenessPolicy};
use deepid_edge::recognise::Recogniser;

use super::models::{card, models};

pub const EMBEDDER: &str = "deepid2";

pub fn detector(runtime: &Runtime, model: &str) -> SsdDetector {
    let card = card(model);
    let engine = runtime.load(&card, &models()).unwrap();
    SsdDetector::new(&card, Box::new(engine), None).unwrap()
}

pub fn embedder(runtime: &Runtime, mirrored: bool) -> Embedder {
    let card = card(EMBEDDER);
    let engine = runtime.load(&card, &models()).unwrap();
    let procedure = Procedure { embedder: &card, landmarker: None, mirrored };
    Embedder::new(&procedure, Box::new(engine)).unwrap()
}

/// The key of the vectors that [`embedder`] makes.
pub fn key(mirrored: bool) -> ModelKey {
    Procedure { embedder: &card(EMBEDDER), landmarker: None, mirrored }.key()
}

pub fn aligner() -> Aligner {
    Aligner::new(&card(EMBEDDER)).unwrap()
}

pub fn landmarker(runtime: &Runtime) -> Landmarker {
    let card = card("face-mesh");
    let engine = runtime.load(&card, &models()).unwrap();
    Landmarker::new(&card, Box::new(engine)).unwrap()
}

/// The judge of covered faces, as a door has it by default.
pub fn cover_judge(runtime: &Runtime) -> CoverJudge {
    let card = card("covered");
    let engine = runtime.load(&card, &models()).unwrap();
    CoverJudge::new(&card, Box::new(engine), 0.02).unwrap()
}

/// The cues of a live face, as a door in the mode `deny` looks at them.
pub fn liveness(runtime: &Runtime) -> Liveness {
    let network = |card: &ModelCard| {
        let engine = runtime.load(card, &models()).unwrap();
        LivenessNetwork::new(card, Box::new(engine)).unwrap()
    };
    let around = card("liveness");
    let closer = around.liveness.as_ref().unwrap().closer.clone();
    let closer = closer.map(|id| network(&card(id.as_str())));
    let policy = LivenessPolicy::default();
    let policy = if closer.is_some() { policy.in_turn() } else { policy };
    Liveness::new(policy, LivenessNetworks { around: network(&around), closer })
}

/// A gallery of `references`, each of a subject of its own.
pub fn gallery(references: Vec<FeatureVector>) -> Gallery {
    gallery_of(references.into_iter().map(|reference| vec![reference]).collect())
}

/// A gallery of subjects with their references; without any, of mirrored ones.
pub fn gallery_of(subjects: Vec<Vec<FeatureVector>>) -> Gallery {
    let card = card(EMBEDDER);
    let facts = card.features.as_ref().unwrap();
    let first = subjects.iter().flatten().next();
    let key = first.map_or_else(|| key(true), |reference| reference.key().clone());
    let comparer = Comparer::new(key, facts.length, &facts.mean, Metric::Cosine);
    let entries = subjects
        .into_iter()
        .enumerate()
        .flat_map(|(index, references)| {
            let subject = SubjectId::new(&format!("s-{index:06x}")).unwrap();
            references.into_iter().map(move |feature| GalleryEntry {
                subject: subject.clone(),
                enabled: true,
                feature,
            })
        })
        .collect();
    let operating = Operating {
        threshold: 0.461,
        claimed_fmr: Some(1e-3),
        claimed_fpir: None,
        falls_short: false,
        other_averaging: false,
        beyond_accepted: false,
    };
    Gallery::build(comparer, entries, |_| operating).unwrap()
}

pub fn recogniser(
    runtime: &Runtime,
    settings: FollowerSettings,
    mirrored: bool,
    gallery: Gallery,
) -> Recogniser {
    let follower = Follower::new(
        detector(runtime, "blazeface-full-range"),
        detector(runtime, "blazeface-short-range"),
        settings,
    );
    Recogniser::new(
        follower,
        aligner(),
        embedder(runtime, mirrored),
        gallery,
        QualityLimits::default(),
        0.6,
    )
}
