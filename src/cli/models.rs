//! `models`: which networks there are, and one more.
//!
//! In: the folders of cards; for `add` a `.tflite` and its card. Out: a list; or the model in the
//! folder of models, tried as the daemon would load it. Invariant: nothing becomes the running model
//! by being added; the configuration names that one.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use serde_json::{Value as Json, json};

use super::exit::Kind;
use super::failure::Failure;
use super::session::Session;
use crate::config::{Cards, Config, Networks};
use crate::inference::{InferenceError, InstallError, ModelCard, ModelKind, Staged};

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
    /// The network, a .tflite file
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Its card, as models/README.md describes it
    #[arg(long, value_name = "CARD")]
    card: PathBuf,
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
        let added = || {
            let staged = Staged::new(&self.file, &self.card, &into)?;
            networks.try_out(&staged)?;
            let card = staged.card().clone();
            Ok((card, staged.settle(self.replace)?))
        };
        let (card, places) = added().map_err(|error: InstallError| {
            let kind = match &error {
                InstallError::Exists { .. } | InstallError::Unwritten { .. } => Kind::Input,
                InstallError::Model(_) | InstallError::NotFinite { .. } => Kind::Model,
            };
            Failure::of(kind, &error)
        })?;
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
    let lines: Vec<String> = found.iter().map(|listed| listed.line(&config)).collect();
    let rows: Vec<Json> = found.iter().map(|listed| listed.row(&config)).collect();
    session.tell(lines.join("\n"), &json!({ "models": rows }))?;
    Ok(Kind::Done)
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
            let uses = uses(config, card);
            let uses = if uses.is_empty() { "-".to_owned() } else { uses.join(", ") };
            format!("{:<24} {:<9} {uses:<15} {}", card.id.to_string(), card.kind, card.title)
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
