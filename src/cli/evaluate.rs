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
use crate::lab::{self, EvaluateError, FaceFolder, Grouping, Origin, PairList, Pairs, Stage};
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
    /// False matches and missed matches within each group of people of a table
    Groups(GroupArguments),
    /// How quickly and how surely a large gallery is searched, and what it can claim
    Search(SearchArguments),
    /// Write the feature vectors of a folder of photographs, for what is made of them elsewhere
    Vectors(VectorArguments),
}

/// Arguments of `groups`.
#[derive(Debug, Args)]
pub(super) struct GroupArguments {
    /// Table of photographs: CSV with a header
    #[arg(value_name = "TABLE")]
    table: PathBuf,
    /// Folder of the photographs
    #[arg(long, value_name = "DIR")]
    images: PathBuf,
    /// Where a row's photograph lies, {COLUMN} standing for a column's text; may be repeated, for
    /// several photographs of a person
    #[arg(long, value_name = "PATH", default_value = "{file}")]
    file: Vec<String>,
    /// The column that tells the group
    #[arg(long, value_name = "COLUMN")]
    by: String,
    /// Columns in which two people must agree to be compared, such as sex and age
    #[arg(long, value_name = "COLUMN", value_delimiter = ',')]
    alike: Vec<String>,
    /// The column that tells the person; without it each row is another one
    #[arg(long, value_name = "COLUMN")]
    person: Option<String>,
    /// Only rows whose column has one of these texts; may be repeated
    #[arg(long, value_name = "COLUMN=TEXT,TEXT", value_parser = only)]
    only: Vec<(String, Vec<String>)>,
    /// The embedder, above models.embedder
    #[arg(long, value_name = "ID")]
    model: Option<String>,
}

fn only(text: &str) -> Result<(String, Vec<String>), String> {
    let (column, texts) =
        text.split_once('=').ok_or("must be COLUMN=TEXT,TEXT, such as age=20-29,30-39")?;
    Ok((column.to_owned(), texts.split(',').map(ToOwned::to_owned).collect()))
}

/// Arguments of `search`.
#[derive(Debug, Args)]
pub(super) struct SearchArguments {
    /// References to draw around the embedder's cohort, of one person each
    #[arg(long, value_name = "N", default_value_t = 100_000, value_parser = clap::value_parser!(u32).range(1..=10_000_000))]
    references: u32,
    /// The embedder, above models.embedder
    #[arg(long, value_name = "ID")]
    model: Option<String>,
}

/// Arguments of `vectors`.
#[derive(Debug, Args)]
pub(super) struct VectorArguments {
    /// Folder of photographs, at any depth
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Folder to write to: ID.mirrored.safetensors and ID.one-crop.safetensors for each embedder
    #[arg(long, value_name = "DIR")]
    out: PathBuf,
    /// An embedder, above models.embedder; may be repeated
    #[arg(long, value_name = "ID")]
    model: Vec<String>,
}

/// Arguments of `pairs`.
#[derive(Debug, Args)]
pub(super) struct PairArguments {
    /// List of pairs in the format of LFW's pairs.txt, or a table (CSV with `file_x`, `file_y`, `decision`)
    #[arg(long, value_name = "FILE")]
    pairs: PathBuf,
    /// Folder of the photographs: `NAME/NAME_0001.jpg`, or what the table names
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
    /// Folder with live/* and attack/KIND/*: films, each of one visit, and photographs; a film with a
    /// NAME.json beside it answers what the door asks (docs/liveness.md)
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Frames a second of films that are Motion JPEG, which does not say
    #[arg(long, value_name = "N", default_value_t = 15, value_parser = clap::value_parser!(u32).range(1..=120))]
    rate: u32,
    /// The network, above models.liveness
    #[arg(long, value_name = "ID")]
    model: Option<String>,
    /// What chance begins with: what a challenge asks for, and how visitors react to it
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
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
            Self::Groups(arguments) => arguments.run(context)?,
            Self::Search(arguments) => arguments.run(context)?,
            Self::Vectors(arguments) => arguments.run(context)?,
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

impl GroupArguments {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let Self { table, images, file: files, by, alike, person, only, model } = self;
        let flag = model.map(|id| direct_flag("--model", "models.embedder", &id));
        let config = context.config_with(flag.into_iter().collect())?;
        let networks = Networks::open(&config)?;
        let grouping = Grouping { files, by, alike, person, only };
        let report = with_progress(context, |progress| {
            lab::groups(&config, &networks, (&table, &grouping), &images, progress)
        })?;
        context.tell(&report, &report)
    }
}

impl SearchArguments {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let flag = self.model.map(|id| direct_flag("--model", "models.embedder", &id));
        let config = context.config_with(flag.into_iter().collect())?;
        let networks = Networks::open(&config)?;
        let references = self.references as usize;
        let table = with_progress(context, |progress| {
            lab::search(&config, &networks, references, progress)
        })?;
        context.tell(&table, &table)
    }
}

impl VectorArguments {
    fn run(self, context: &Context) -> Result<(), Failure> {
        let configured = context.config()?;
        let models = match self.model.as_slice() {
            [] => vec![configured.models.embedder.to_string()],
            named => named.to_vec(),
        };
        let mut configs = Vec::new();
        for (id, mirrored) in models.iter().flat_map(|id| [(id, "true"), (id, "false")]) {
            let embedder = direct_flag("--model", "models.embedder", id);
            let averaging = direct_flag("vectors", "recognise.mirrored", mirrored);
            configs.push(context.config_with(vec![embedder, averaging])?);
        }
        let networks = Networks::open(&configured)?;
        let tables = with_progress(context, |progress| {
            lab::vectors(&configs, &networks, &self.folder, progress)
        })?;
        let unwritable = |path: &Path, error: &dyn Display| {
            let what = format!("vectors {}: {error}", path.display());
            Failure::new(Kind::Input, what, "name a folder that this user can write to")
        };
        std::fs::create_dir_all(&self.out).map_err(|error| unwritable(&self.out, &error))?;
        for table in tables {
            let path = self.out.join(table.file_name());
            let bytes = table.bytes().map_err(|error| unwritable(&path, &error))?;
            std::fs::write(&path, bytes).map_err(|error| unwritable(&path, &error))?;
            let (faces, without) = (table.files.len(), table.without_face.len());
            context.mention(format_args!(
                "written: {} ({faces} faces; {without} photographs without one)",
                path.display()
            ));
        }
        Ok(())
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
                "set live.mode to 'deny', 'confirm' or 'challenge'",
            ));
        }
        let networks = Networks::open(&config)?;
        let report = with_progress(context, |progress| {
            lab::liveness(&config, &networks, &self.folder, (self.rate, self.seed), progress)
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
        | EvaluateError::Table(_)
        | EvaluateError::Turns(_)
        | EvaluateError::Cohort(_)
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
