//! `models`: which networks there are, and one more.
//!
//! In: the folders of cards; for `add` a `.tflite` and its card, or a fusion card alone. Out: a list;
//! or the model in the folder of models, tried as the daemon would load it. Invariant: nothing becomes the running model
//! by being added; the configuration names that one.

use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::exit::Kind;
use super::failure::Failure;
use super::session::Session;
use crate::config::{Cards, Config, Networks};
use crate::inference::{
    FUSION_ENDING, FusionCard, InferenceError, InstallError, ModelCard, ModelId, ModelKind, Staged,
    StagedFusion,
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
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        match self {
            Self::List => list(session),
            Self::Add(add) => add.run(session),
        }
    }
}

impl Add {
    fn run(self, session: &Session) -> Result<Kind, Failure> {
        let config = session.config()?;
        let networks = Networks::open(&config)?;
        let into = self.into.unwrap_or_else(|| config.folder_for_models());
        let Some(card) = &self.card else {
            return add_fusion(session, &networks, &self.file, &into, self.replace);
        };
        let added = || {
            let staged = Staged::new(&self.file, card, &into)?;
            networks.try_out(&staged)?;
            let card = staged.card().clone();
            Ok((card, staged.settle(self.replace)?))
        };
        let (card, places) = added().map_err(|error| refused(&error))?;
        let [file, _] = &places;
        session.tell(
            format!("added: {}, {}: {}\n{}", card.id, card.kind, file.display(), next(&card)),
            &json!({
                "model": card.id,
                "kind": card.kind.to_string(),
                "files": places,
                "calibrated": card.calibrations.iter().map(|c| &c.metric).collect::<Vec<_>>(),
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
    session: &Session,
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
    session.tell(
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
            "calibrated": fusion.calibrations.iter().map(|c| &c.metric).collect::<Vec<_>>(),
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
        ModelKind::Embedder => {
            let threshold = if card.calibrations.is_empty() {
                " and recognise.threshold, because its card has no calibration,"
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

fn list(session: &Session) -> Result<Kind, Failure> {
    let config = session.config()?;
    let cards = Cards::open(&config)?;
    let found: Vec<_> = cards.all().into_iter().map(|card| Listed::new(&cards, card)).collect();
    let fusions: Vec<_> =
        cards.fusions().into_iter().map(|card| fusion_row(&config, &cards, card)).collect();
    let lines = found.iter().map(|listed| listed.line(&config));
    let lines: Vec<String> = lines.chain(fusions.iter().map(|(line, _)| line.clone())).collect();
    let rows = found.iter().map(|listed| listed.row(&config));
    let rows: Vec<Json> = rows.chain(fusions.into_iter().map(|(_, row)| row)).collect();
    session.tell(lines.join("\n"), &json!({ "models": rows }))?;
    Ok(Kind::Done)
}

/// A fusion card as a line and as a row.
fn fusion_row(
    config: &Config,
    cards: &Cards,
    card: Result<FusionCard, InferenceError>,
) -> (String, Json) {
    let card = match card {
        Ok(card) => card,
        Err(fault) => return (format!("    {fault}"), json!({ "fault": fault.to_string() })),
    };
    let fault = cards.fault_of_fusion(&card).map(|fault| fault.to_string());
    let used = config.models.confirm.as_ref() == Some(&card.id);
    let uses = if used { vec!["confirm"] } else { vec![] };
    let mut line = line_of(&card.id, "fusion", &uses, &card.title);
    if let Some(fault) = &fault {
        line.push_str("\n    ");
        line.push_str(fault);
    }
    let row = json!({
        "model": card.id,
        "kind": "fusion",
        "title": card.title,
        "in_use": uses,
        "calibrated": card.calibrations.iter().map(|c| &c.metric).collect::<Vec<_>>(),
        "fault": fault,
    });
    (line, row)
}

fn line_of(id: &ModelId, kind: &str, uses: &[&str], title: &str) -> String {
    let uses = if uses.is_empty() { "-".to_owned() } else { uses.join(", ") };
    format!("{:<24} {kind:<9} {uses:<15} {title}", id.to_string())
}

/// A card, where it can be read, and what is wrong with it or its file.
struct Listed {
    card: Option<ModelCard>,
    fault: Option<InferenceError>,
}

impl Listed {
    fn new(cards: &Cards, card: Result<ModelCard, InferenceError>) -> Self {
        match card {
            Ok(card) => Self { fault: cards.fault_of_file(&card), card: Some(card) },
            Err(fault) => Self { card: None, fault: Some(fault) },
        }
    }

    fn row(&self, config: &Config) -> Json {
        let fault = self.fault.as_ref().map(ToString::to_string);
        match &self.card {
            Some(card) => json!({
                "model": card.id,
                "kind": card.kind.to_string(),
                "title": card.title,
                "in_use": uses(config, card),
                "calibrated": card.calibrations.iter().map(|c| &c.metric).collect::<Vec<_>>(),
                "fault": fault,
            }),
            None => json!({ "fault": fault }),
        }
    }

    fn line(&self, config: &Config) -> String {
        let told = self.card.as_ref().map(|card| {
            line_of(&card.id, &card.kind.to_string(), &uses(config, card), &card.title)
        });
        let fault = self.fault.as_ref().map(|fault| format!("    {fault}"));
        told.into_iter().chain(fault).collect::<Vec<_>>().join("\n")
    }
}

/// What the configuration uses a model for.
fn uses(config: &Config, card: &ModelCard) -> Vec<&'static str> {
    let models = &config.models;
    [("find", &models.find), ("follow", &models.follow), ("embedder", &models.embedder)]
        .into_iter()
        .filter_map(|(role, id)| (*id == card.id).then_some(role))
        .collect()
}
