//! `evaluate`: figures over photographs and clips of people.
//!
//! In: a folder as [`crate::evaluate::FaceFolder`] describes it. Out: a report as text, or as JSON
//! with `--json`. Long work shows its progress on a terminal. The figures are whatever they are: a
//! poor one is an answer, not a failure, and the exit code does not depend on it.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};

use super::exit::Kind;
use super::failure::Failure;
use super::session::Session;
use crate::config::{Config, Networks};
use crate::evaluate::{self, EvaluateError, FaceFolder, Stage};

/// Which evaluation.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Enrol, identify and replay visits: detection rate, rank-1 rate, FPIR, FNIR, decisions
    E2e(Arguments),
    /// How often both detectors find a face, at several sizes and by several strategies
    Detection(Arguments),
}

/// Arguments of both.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder with london/ID/{neutral,smiling}.jpg, portraits/*.jpg and visits/PERSON-WORD.mkv
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Verb {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let config = session.config()?;
        let networks = Networks::open(&config)?;
        match self {
            Self::E2e(arguments) => {
                let report =
                    arguments.evaluate(session, &config, &networks, evaluate::end_to_end)?;
                session.tell(&report, &report)?;
            }
            Self::Detection(arguments) => {
                let table = arguments.evaluate(session, &config, &networks, evaluate::detection)?;
                session.tell(&table, &table)?;
            }
        }
        Ok(Kind::Done)
    }
}

/// An evaluation: configuration, networks, folder, and whom to tell how far it is.
type Evaluation<Report> =
    fn(&Config, &Networks, &FaceFolder, &mut dyn FnMut(Stage)) -> Result<Report, EvaluateError>;

impl Arguments {
    fn evaluate<Report>(
        self,
        session: &Session,
        config: &Config,
        networks: &Networks,
        evaluation: Evaluation<Report>,
    ) -> Result<Report, Failure> {
        let bar = progress_bar(session);
        let outcome = evaluation(config, networks, &FaceFolder::new(self.folder), &mut |stage| {
            bar.set_length(stage.of as u64);
            bar.set_position(stage.done as u64);
            bar.set_message(stage.name);
        });
        bar.finish_and_clear();
        outcome.map_err(|error| match error {
            EvaluateError::Equip(error) => error.into(),
            EvaluateError::Detect(_) => Failure::of(Kind::Model, &error),
            EvaluateError::Folder(_)
            | EvaluateError::Transcode(_)
            | EvaluateError::Capture(_)
            | EvaluateError::Frame { .. }
            | EvaluateError::People(_) => Failure::of(Kind::Input, &error),
        })
    }
}

/// A bar on standard error where a person is looking, and nothing elsewhere.
pub(super) fn progress_bar(session: &Session) -> ProgressBar {
    if !session.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:>22} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}
