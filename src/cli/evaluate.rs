//! `evaluate`: figures over photographs and clips of people.
//!
//! In: a folder as [`crate::lab::FaceFolder`] describes it, or a list of photographs in pairs as
//! [`crate::lab::PairList`] does. Out: a report as text, or as JSON
//! with `--json`. Long work shows its progress on a terminal. The figures are whatever they are: a
//! poor one is an answer, not a failure, and the exit code does not depend on it. Only builds with the
//! feature `lab` have this verb.

use std::fmt::Display;
use std::path::{Path, PathBuf};

use clap::{Args, Subcommand};
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use super::context::{Context, direct_flag};
use super::exit::Kind;
use super::failure::Failure;
use crate::clock::{Clock as _, ClockRequirement, Floor, SystemClock, utc};
use crate::config::Config;
use crate::equip::Networks;
use crate::lab::{self, EvaluateError, FaceFolder, Origin, PairList, Pairs, Stage};
use crate::liveness::Mode;

/// The page that `--report` writes.
const PAGE: &str = "report.md";

/// Which evaluation.
#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// Enrol, identify and replay visits: detection rate, rank-1 rate, FPIR, FNIR, decisions
    E2e(Arguments),
    /// How often both detectors find a face, at several sizes and by several strategies
    Detection(Arguments),
    /// How many faces that do not stand upright are compared, and how many upright ones are refused
    Orientation(Arguments),
    /// How many films of pictures of faces end in a grant, and how many of faces do not
    Liveness(LivenessArguments),
    /// Verify photographs in pairs, such as LFW's: accuracy, EER, FNMR at fixed FMR, by each metric
    Pairs(PairArguments),
}

/// Arguments of `pairs`.
#[derive(Debug, Args)]
pub(super) struct PairArguments {
    /// List of pairs in the format of LFW's pairs.txt
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Folder of the photographs, each `NAME/NAME_0001.jpg`
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// The embedder, above models.embedder
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// The fusion card by which a second embedder confirms, above models.confirm
    #[arg(long, value_name = "ID")]
    confirm: Option<String>,
    /// Also write report.md into this folder, with DET and ROC curves and the scores as SVG
    #[arg(long, value_name = "DIR")]
    report: Option<PathBuf>,
}

/// Arguments of `liveness`.
#[derive(Debug, Args)]
pub(super) struct LivenessArguments {
    /// Folder with live/* and attack/KIND/*: films, each of one visit, and photographs
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Frames a second of films that are Motion JPEG, which does not say
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=120))]
    rate: u32,
    /// The network, above models.liveness
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// Also write what each visit showed, one JSON object a line
    #[arg(long, value_name = "FILE")]
    visits: Option<PathBuf>,
    /// Draw how both errors go against each other (DET) into this SVG file
    #[arg(long, value_name = "FILE")]
    plot: Option<PathBuf>,
}

/// Arguments of the others.
#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// Folder with london/ID/{neutral,smiling}.jpg, portraits/*.jpg and visits/PERSON-WORD.mkv
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

impl Verb {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        match self {
            Self::E2e(arguments) => arguments.run(context, lab::end_to_end)?,
            Self::Detection(arguments) => arguments.run(context, lab::detection)?,
            Self::Orientation(arguments) => arguments.run(context, lab::orientation)?,
            Self::Liveness(arguments) => arguments.run(context)?,
            Self::Pairs(arguments) => arguments.run(context)?,
        }
        Ok(Kind::Done)
    }
}

impl PairArguments {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let named = [
            ("--model", "models.embedder", &self.model),
            ("--confirm", "models.confirm", &self.confirm),
        ];
        let flags = named
            .into_iter()
            .filter_map(|(flag, key, id)| Some(direct_flag(flag, key, id.as_ref()?)));
        let config = context.config_with(flags.collect())?;
        let list = PairList::read(&self.pairs).map_err(|error| Failure::of(Kind::Input, &error))?;
        let networks = Networks::open(&config)?;
        let report = with_progress(context, |progress| {
            lab::pairs(&config, &networks, &list, &self.images, progress)
        })?;
        if let Some(folder) = &self.report {
            self.keep(&report, folder)?;
            context.mention(format_args!("written: {}", folder.join(PAGE).display()));
        }
        context.tell(&report, &report)
    }

    /// The page and its pictures.
    fn keep(&self, report: &Pairs, folder: &Path) -> Result<(), Failure> {
        lab::plots(report, folder).map_err(|error| Failure::of(Kind::Input, &error))?;
        let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
        let now = utc(clock.wall().unix_ms);
        let date = now.split('T').next().unwrap_or_default();
        let commit = option_env!("DEEPID_EDGE_COMMIT").unwrap_or("commit not recorded");
        let program = concat!("deepid-edge ", env!("CARGO_PKG_VERSION"));
        let origin = Origin { program, commit, list: &self.pairs, images: &self.images, date };
        let page = lab::page(report, &origin);
        std::fs::write(folder.join(PAGE), page).map_err(|source| {
            let what = format!("report {}: {source}", folder.join(PAGE).display());
            Failure::new(Kind::Input, what, "name a folder that this user can write to")
        })
    }
}

impl LivenessArguments {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let flag = self.model.map(|id| direct_flag("--model", "models.liveness", &id));
        let config = context.config_with(flag.into_iter().collect())?;
        if config.live.mode == Mode::Off {
            let what = "evaluate liveness: live.mode is 'off', so that nothing is looked at";
            return Err(Failure::new(
                Kind::Configuration,
                what,
                "set live.mode to 'deny' or 'confirm'",
            ));
        }
        let networks = Networks::open(&config)?;
        let report = with_progress(context, |progress| {
            lab::liveness(&config, &networks, &self.folder, self.rate, progress)
        })?;
        if let Some(path) = &self.visits {
            let lines = report.visits.iter().filter_map(|visit| serde_json::to_string(visit).ok());
            let text: String = lines.map(|line| line + "\n").collect();
            std::fs::write(path, text).map_err(|source| {
                let what = format!("visits {}: {source}", path.display());
                Failure::new(Kind::Input, what, "name a file that this user can write")
            })?;
        }
        if let Some(path) = &self.plot {
            lab::plot_liveness(&report, path).map_err(|error| Failure::of(Kind::Input, &error))?;
        }
        context.tell(&report, &report)
    }
}

/// An evaluation: configuration, networks, folder, and whom to tell how far it is.
type Evaluation<Report> =
    fn(&Config, &Networks, &FaceFolder, &mut dyn FnMut(Stage)) -> Result<Report, EvaluateError>;

impl Arguments {
    fn run<Report: Serialize + Display>(
        self,
        context: &Context,
        evaluation: Evaluation<Report>,
    ) -> Result<(), Failure> {
        let config = context.config()?;
        let networks = Networks::open(&config)?;
        let folder = FaceFolder::new(self.folder);
        let report =
            with_progress(context, |progress| evaluation(&config, &networks, &folder, progress))?;
        context.tell(&report, &report)
    }
}

/// An evaluation whose progress is shown.
fn with_progress<Report>(
    context: &Context,
    evaluation: impl FnOnce(&mut dyn FnMut(Stage)) -> Result<Report, EvaluateError>,
) -> Result<Report, Failure> {
    let bar = progress_bar(context);
    let outcome = evaluation(&mut |stage| {
        bar.set_length(stage.of as u64);
        bar.set_position(stage.done as u64);
        bar.set_message(stage.name);
    });
    bar.finish_and_clear();
    outcome.map_err(|error| match error {
        EvaluateError::Equip(error) => error.into(),
        EvaluateError::Detect(_) | EvaluateError::Judged(_) | EvaluateError::Compare(_) => {
            Failure::of(Kind::Model, &error)
        }
        EvaluateError::Folder(_)
        | EvaluateError::Transcode(_)
        | EvaluateError::Capture(_)
        | EvaluateError::Frame { .. }
        | EvaluateError::Photograph(_)
        | EvaluateError::People(_) => Failure::of(Kind::Input, &error),
    })
}

/// A bar on standard error where a person is looking, and nothing elsewhere.
pub(super) fn progress_bar(context: &Context) -> ProgressBar {
    if !context.draws_progress() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new(0);
    if let Ok(style) = ProgressStyle::with_template("{msg:>22} {wide_bar} {pos}/{len}") {
        bar.set_style(style);
    }
    bar
}
