//! `models`: which networks there are, and one more.
//!
//! In: the folders of cards; for `add` a `.tflite` and its card, or a fusion card alone. Out: a list;
//! or the model in the folder of models, tried as the daemon would load it. Invariant: nothing
//! becomes the running model by being added; the configuration names that one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde::Serialize;
use serde_json::json;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use crate::config::Config;
use crate::equip::{Cards, Networks};
use crate::inference::{
    Calibration, FUSION_ENDING, FusionCard, InferenceError, InstallError, ModelCard, ModelId,
    ModelKind, Staged, StagedFusion,
};

/// What to do with models.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// List every model card, whether its file is the right one, and which ones are in use
    List,
    /// Try a model and its card, and put them where the daemon looks
    Add(Add),
}

/// Arguments of `models add`.
#[derive(Debug, Args)]
pub(super) struct Add {
    /// The network, a .tflite file; or a fusion card, a .fusion.toml file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The network's card, as models/README.md describes it; a fusion card has none beside it
    #[arg(long, value_name = "CARD")]
    card: Option<PathBuf>,
    /// Another folder than the one the daemon looks in
    #[arg(long, value_name = "DIR")]
    into: Option<PathBuf>,
    /// Replace a model of the same id
    #[arg(long)]
    replace: bool,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        match self {
            Self::List => list(context),
            Self::Add(add) => add.run(context),
        }
    }
}

impl Add {
    fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        let networks = Networks::open(&config)?;
        let into = self.into.unwrap_or_else(|| config.folder_for_models());
        let Some(card) = &self.card else {
            return add_fusion(context, &networks, &self.file, &into, self.replace);
        };
        let refused = |error: InstallError| refused(&error);
        let staged = Staged::new(&self.file, card, &into).map_err(refused)?;
        networks.cards().check_landmarker_of(staged.card())?;
        networks.try_out(&staged).map_err(refused)?;
        let card = staged.card().clone();
        let places = staged.settle(self.replace).map_err(refused)?;
        let [file, _] = &places;
        context.tell(
            format!("added: {}, {}: {}\n{}", card.id, card.kind, file.display(), next(&card)),
            &json!({
                "model": card.id,
                "kind": card.kind.to_string(),
                "files": places,
                "calibrated": metrics(&card.calibrations),
            }),
        )?;
        Ok(Kind::Done)
    }
}

fn refused(error: &InstallError) -> Failure {
    let kind = match error {
        InstallError::Exists { .. } | InstallError::Unwritten { .. } => Kind::Input,
        InstallError::Model(_) | InstallError::NotFinite { .. } => Kind::Model,
    };
    Failure::of(kind, error)
}

/// A fusion card alone: both its networks must be there already.
fn add_fusion(
    context: &Context,
    networks: &Networks,
    file: &Path,
    into: &Path,
    replace: bool,
) -> Result<Kind, Failure> {
    if !file.to_string_lossy().ends_with(FUSION_ENDING) {
        return Err(Failure::new(
            Kind::Usage,
            format!("'{}' has no card", file.display()),
            "say --card CARD for a network; a fusion card, which needs none, ends in .fusion.toml",
        ));
    }
    let staged = StagedFusion::new(file, into).map_err(|error| refused(&error))?;
    let fusion = staged.card().clone();
    if let Some(fault) = networks.cards().fault_of_fusion(&fusion) {
        return Err(fault.into());
    }
    let place = staged.settle(replace).map_err(|error| refused(&error))?;
    context.tell(
        format!(
            "added: {0}, fusion: {1}\nto let {2} confirm each grant, set models.confirm = \"{0}\" and enrol everybody again: both networks need references",
            fusion.id,
            place.display(),
            fusion.second.id
        ),
        &json!({
            "model": fusion.id,
            "kind": "fusion",
            "files": [place],
            "calibrated": metrics(&fusion.calibrations),
        }),
    )?;
    Ok(Kind::Done)
}

/// What is still to be done before the daemon uses it.
fn next(card: &ModelCard) -> String {
    match card.kind {
        ModelKind::Detector => format!(
            "to find faces with it, set models.find = \"{0}\"; to follow them, models.follow = \"{0}\"",
            card.id
        ),
        ModelKind::Landmarker => {
            format!("embedders whose card says keypoints_by = \"{}\" can now be added", card.id)
        }
        ModelKind::Liveness => {
            format!("to tell faces from pictures with it, set models.liveness = \"{}\"", card.id)
        }
        ModelKind::Quality => {
            format!("to refuse covered faces with it, set models.quality = \"{}\"", card.id)
        }
        ModelKind::Embedder => {
            let threshold = if card.calibrations.is_empty() {
                ", recognise.threshold, because its card has no calibration, recognise.accept_fpir = 1.0, because nothing can be claimed without one, policy.required_fpir = 1.0, if a face alone is to open all the same,"
            } else {
                ""
            };
            format!(
                "to recognise with it, set models.embedder = \"{}\"{threshold} and enrol everybody again: references of another model are kept, and never compared",
                card.id
            )
        }
    }
}

fn list(context: &Context) -> Result<Kind, Failure> {
    let config = context.config()?;
    let cards = Cards::open(&config)?;
    let networks = cards.all().into_iter().map(|card| Listed::network(&config, &cards, card));
    let fusions = cards.fusions().into_iter().map(|card| Listed::fusion(&config, &cards, card));
    let found: Vec<Listed> = networks.chain(fusions).collect();
    let lines: Vec<String> = found.iter().map(Listed::line).collect();
    context.tell(lines.join("\n"), &json!({ "models": found }))?;
    Ok(Kind::Done)
}

/// What a card says, where it can be read, and what is wrong with it or with what it needs.
#[derive(Debug, Serialize)]
struct Listed {
    #[serde(flatten)]
    told: Option<Told>,
    fault: Option<String>,
}

#[derive(Debug, Serialize)]
struct Told {
    model: ModelId,
    kind: String,
    title: String,
    in_use: Vec<&'static str>,
    /// By which metrics.
    calibrated: Vec<String>,
}

impl Listed {
    fn network(config: &Config, cards: &Cards, card: Result<ModelCard, InferenceError>) -> Self {
        let models = &config.models;
        let roles = [
            ("find", &models.find),
            ("follow", &models.follow),
            ("embedder", &models.embedder),
            ("liveness", &models.liveness),
        ];
        Self::of(card, |card| {
            let used = roles.into_iter().filter(|(_, id)| **id == card.id).map(|(role, _)| role);
            let closer = cards.liveness(config).ok().and_then(|found| found.closer);
            let closer = closer.filter(|closer| closer.id == card.id).map(|_| "liveness");
            let judges = models.quality.named() == Some(&card.id);
            let told = Told {
                in_use: used.chain(closer).chain(judges.then_some("quality")).collect(),
                kind: card.kind.to_string(),
                calibrated: metrics(&card.calibrations),
                title: card.title.clone(),
                model: card.id.clone(),
            };
            (told, cards.fault_of_files(&card).map(|fault| fault.to_string()))
        })
    }

    fn fusion(config: &Config, cards: &Cards, card: Result<FusionCard, InferenceError>) -> Self {
        Self::of(card, |card| {
            let used = config.models.confirm.as_ref() == Some(&card.id);
            let told = Told {
                in_use: used.then_some("confirm").into_iter().collect(),
                kind: "fusion".to_owned(),
                calibrated: metrics(&card.calibrations),
                title: card.title.clone(),
                model: card.id.clone(),
            };
            (told, cards.fault_of_fusion(&card).map(|fault| fault.to_string()))
        })
    }

    fn of<Card>(
        card: Result<Card, InferenceError>,
        tell: impl FnOnce(Card) -> (Told, Option<String>),
    ) -> Self {
        match card.map(tell) {
            Ok((told, fault)) => Self { told: Some(told), fault },
            Err(fault) => Self { told: None, fault: Some(fault.to_string()) },
        }
    }

    fn line(&self) -> String {
        let told = self.told.as_ref().map(|Told { model, kind, title, in_use, .. }| {
            let uses = if in_use.is_empty() { "-".to_owned() } else { in_use.join(", ") };
            format!("{:<24} {kind:<10} {uses:<15} {title}", model.to_string())
        });
        let fault = self.fault.as_ref().map(|fault| format!("    {fault}"));
        told.into_iter().chain(fault).collect::<Vec<_>>().join("\n")
    }
}

fn metrics(calibrations: &[Calibration]) -> Vec<String> {
    calibrations.iter().map(|calibration| calibration.metric.clone()).collect()
}
