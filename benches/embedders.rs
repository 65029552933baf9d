//! What each embedder costs beside the bare DeepID2, and each network that places keypoints for one, on
//! one core.
//!
//! In: the cards of the checkout, and of the folder that `DEEPID_EDGE_MODELS` names, if it does.
//! Out: medians and ratios, measured in turns within one run. One run of a network is one crop; a
//! door averages two by default.
//! Run: `cargo bench --bench embedders`
#![allow(
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    reason = "a benchmark may panic, and uses a part of what is shared"
)]

#[path = "kinds/turns.rs"]
mod turns;

#[path = "../tests/support/mod.rs"]
mod support;

use deepid_edge::inference::{Engine as _, ModelCard, ModelDirectory, ModelKind, Runtime, Tensor};
use support::models::{root, runtime};
use turns::{Turn, medians, ratio, timed};

const ROUNDS: usize = 400;
const BESIDE: &str = "deepid2";

fn main() {
    let Some(runtime) = runtime() else { return };
    let mut folders = vec![root().join("models"), root().join("assets/models")];
    folders.extend(std::env::var_os("DEEPID_EDGE_MODELS").map(Into::into));
    let directory = ModelDirectory::new(folders);
    let cards: Vec<ModelCard> = directory
        .cards()
        .into_iter()
        .flatten()
        .filter(|card| card.kind != ModelKind::Detector)
        .collect();
    let mut turns: Vec<Turn<'_>> =
        cards.iter().map(|card| one_run(&runtime, card, &directory)).collect();
    let times = medians(&mut turns, ROUNDS);
    let beside = cards.iter().zip(&times).find(|(card, _)| card.id.as_str() == BESIDE);
    let (_, &beside) = beside.unwrap();
    println!("medians of {ROUNDS} turns, one crop, beside the bare {BESIDE}, within this run");
    for (card, &time) in cards.iter().zip(&times) {
        println!("{}", ratio(card.id.as_str(), time, beside));
    }
}

fn one_run<'a>(runtime: &Runtime, card: &'a ModelCard, directory: &ModelDirectory) -> Turn<'a> {
    let mut engine = runtime.load(card, directory).unwrap();
    let input = Tensor::zeros(&card.input);
    let mut outputs: Vec<_> = card.outputs.iter().map(|o| Tensor::zeros(&o.tensor)).collect();
    timed(move || engine.run(&input, &mut outputs).unwrap())
}
