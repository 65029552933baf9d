//! What people and tools write: configuration, cards of models and of fusions, cohorts of strangers.
//!
//! In: bytes as a file's content. Out: nothing. What must hold: a refusal can be told and holds no
//! secret, and of what is accepted everything can be made that the program makes of it.

use std::path::PathBuf;
use std::sync::LazyLock;

use deepid_edge::align::{Aligner, Landmarker};
use deepid_edge::calibrate::{Cohort, Stranger};
use deepid_edge::config::{Config, Sources};
use deepid_edge::detect::SsdDetector;
use deepid_edge::embed::{CoverJudge, Embedder};
use deepid_edge::inference::{
    Engine, FusionCard, InferenceError, ModelCard, ModelKind, Procedure, Tensor,
};
use deepid_edge::liveness::LivenessNetwork;

/// The shipped embedder's card.
static EMBEDDER: LazyLock<ModelCard> = LazyLock::new(|| {
    ModelCard::parse(include_str!("../../models/deepid2.toml")).expect("the shipped card")
});
/// Numbers of all tensors together up to which a network is made of a card; a card may ask for more.
const NUMBERS_MAX: usize = 1 << 20;

/// An engine that leaves its outputs as they are.
struct Idle;

impl Engine for Idle {
    fn run(&mut self, _: &Tensor, _: &mut [Tensor]) -> Result<(), InferenceError> {
        Ok(())
    }
}

/// Any text as a configuration file.
pub fn config(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let sources = Sources { file: Some(PathBuf::from("config.toml")), ..Sources::default() };
    match Config::judge(&sources, text) {
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
        Ok(config) => {
            for setting in config.settings() {
                drop(setting.shown());
            }
            let _zone = config.time_zone();
            drop(config.model_folders());
        }
    }
}

/// Any text as a model card.
pub fn card(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let card = match ModelCard::parse(text) {
        Err(refusal) => return assert!(!refusal.to_string().is_empty()),
        Ok(card) => card,
    };
    let numbers = card.outputs.iter().map(|output| output.tensor.len()).sum::<usize>();
    if numbers + card.input.len() > NUMBERS_MAX {
        return;
    }
    let idle = || Box::new(Idle);
    match card.kind {
        ModelKind::Detector => drop(SsdDetector::new(&card, idle(), None).expect("a detector")),
        ModelKind::Landmarker => drop(Landmarker::new(&card, idle()).expect("a landmarker")),
        ModelKind::Liveness => drop(LivenessNetwork::new(&card, idle()).expect("a network")),
        ModelKind::Quality => drop(CoverJudge::new(&card, idle(), 0.01).expect("a judge")),
        ModelKind::Embedder => {
            assert!(Aligner::new(&card).is_some());
            let procedure = Procedure { embedder: &card, landmarker: None, mirrored: true };
            drop(Embedder::new(&procedure, idle()).expect("an embedder"));
        }
    }
}

/// Any text as the card of a fusion.
pub fn fusion(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    if let Err(refusal) = FusionCard::parse(text) {
        assert!(!refusal.to_string().is_empty());
    }
}

/// Any bytes as a cohort of the shipped embedder.
pub fn cohort(bytes: &[u8]) {
    let procedure = Procedure { embedder: &EMBEDDER, landmarker: None, mirrored: true };
    if let Ok(cohort) = Cohort::parse(bytes, &procedure) {
        assert!(!cohort.strangers.is_empty());
        for Stranger { vector, .. } in &cohort.strangers {
            assert!(vector.values().iter().all(|value| value.is_finite()), "{:?}", vector.values());
        }
    }
}
