//! `restore`: a backup becomes this board's gallery and configuration.
//!
//! In: a file, its passphrase, and what is on this board. Out: what is restored, what was put aside,
//! and what is still missing here. Invariants: everything that can be known to fail is found before
//! anything is replaced; what is replaced is kept under another name; nothing is replaced without
//! `--replace`, nor while the daemon has the database open.
//!
//! What was taken back here since the backup is back with it, and is named (`undone`). A record in the
//! backup that holds this board's clock is settled where a time service keeps that clock, and named
//! where none does: an unset clock must not become the right one by a restore.

use std::fmt::Write as _;
use std::path::{Path, PathBuf};

use clap::Args;
use serde_json::json;

use super::backup::{contents, named_files};
use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::undone::Undone;
use super::{passphrase, progress, subjects};
use crate::clock::{ClockDoubt, WallClock, utc};
use crate::config::{Config, default_file, read_file};
use crate::equip::Cards;
use crate::inference::ProcedureHash;
use crate::store::backup::{Held, Manifest, NewConfig, Placed, Received};
use crate::store::{Administrative, BackupProblem, Error};

/// Arguments of `restore`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// A file that `backup` has made
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    passphrase: passphrase::From,
    /// Replace the gallery and the configuration that are here; both are kept under other names
    #[arg(long)]
    replace: bool,
    /// Leave the configuration as it is on this board
    #[arg(long)]
    keep_config: bool,
    /// Decrypt and check everything, and change nothing
    #[arg(long, conflicts_with = "replace")]
    check: bool,
}

/// Where things go, as soon as the backup has said what is in it.
struct Plan {
    config: Config,
    gallery: PathBuf,
    /// The configuration file to write, if any.
    file: Option<NewConfig>,
    /// What it undoes on this board.
    undone: Undone,
    /// What this board's clock is worth to the records in the backup.
    clock: Option<ClockDoubt>,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let passphrase = self.passphrase.known_one(context)?;
        context.mention("decrypting, then checking the database …");
        let bar = progress::bytes(context);
        let mut plan = None;
        let settings = crate::store::StoreSettings::default();
        let received = Received::read(
            &self.file,
            &passphrase,
            settings,
            |manifest, text| {
                let plan = plan.insert(self.plan(context, manifest, text)?);
                Ok::<_, Failure>(if self.check {
                    scratch(&plan.gallery)
                } else {
                    plan.gallery.clone()
                })
            },
            &mut |done, all| {
                bar.set_length(all);
                bar.set_position(done);
            },
        );
        bar.finish_and_clear();
        let mut received = received?;
        let mut plan = plan.ok_or_else(|| {
            Failure::new(
                Kind::Fault,
                "a backup was read without a place for it",
                "please report it",
            )
        })?;
        // What the daemon does at its start: a reference that cannot be read is found now.
        received.store().check_references(&plan.config.models.embedder)?;
        received.seal_by(plan.config.store_key_place());
        plan.undone = Undone::between(&plan.gallery, received.store(), &plan.config)?;
        let (wall, doubt) = subjects::clock(received.store(), &plan.config)?.wall_with_doubt();
        plan.clock = doubt;
        let manifest = received.manifest.clone();
        let placed = if self.check { None } else { Some(self.place(received, &plan, wall)?) };
        self.tell(context, &manifest, &plan, wall, placed.as_ref())
    }

    /// Decides where things go, and refuses what can be refused before anything was read.
    fn plan(
        &self,
        context: &Context,
        manifest: &Manifest,
        text: Option<&str>,
    ) -> Result<Plan, Failure> {
        let place = context.config_place();
        let (config, file) = match text.filter(|_| !self.keep_config) {
            None => (context.config()?, None),
            Some(text) => {
                let config = context.config_as_if(place.clone(), text).map_err(|failure| {
                    failure.within(&format!(
                        "the configuration in the backup (of deepid-edge {}) is not right here; --keep-config leaves it out",
                        manifest.software
                    ))
                })?;
                super::logging::for_a_verb(&config);
                (config, self.new_file(place, text)?)
            }
        };
        let gallery = config.store.path.clone();
        if !self.check && Held::take(&gallery)?.is_something() && !self.replace {
            return Err(
                Error::Backup { path: gallery, problem: BackupProblem::GalleryThere }.into()
            );
        }
        Ok(Plan { config, gallery, file, undone: Undone::default(), clock: None })
    }

    /// The file to write at `path`; `None` when it says the same already.
    fn new_file(&self, path: PathBuf, text: &str) -> Result<Option<NewConfig>, Failure> {
        let text = text.to_owned();
        if path.symlink_metadata().is_err() {
            return Ok(Some(NewConfig { path, text, keeps_old: false }));
        }
        if !path.is_file() {
            return Err(Failure::new(
                Kind::Usage,
                "it is no file, so the backup's configuration cannot replace it",
                "name the file with --config, or leave the configuration out with --keep-config",
            )
            .at(path.display().to_string()));
        }
        let found = read_file(&path)?;
        if found == text {
            return Ok(None);
        }
        // What the package has put there is no loss.
        let keeps_old = found != default_file();
        if keeps_old && !self.replace && !self.check {
            return Err(Failure::new(
                Kind::Declined,
                "the configuration here is another one than the backup's; nothing was changed",
                "--replace takes the backup's and keeps this one beside, --keep-config leaves this one as it is",
            )
            .at(path.display().to_string()));
        }
        Ok(Some(NewConfig { path, text, keeps_old }))
    }

    /// Puts gallery and configuration in their places.
    fn place(
        &self,
        mut received: Received,
        plan: &Plan,
        wall: WallClock,
    ) -> Result<Placed, Failure> {
        if may_settle(wall.synchronised, plan.clock) {
            subjects::settle_clock(received.store_mut(), &plan.config)?;
        }
        let now = utc(wall.unix_ms);
        let event = Administrative::GalleryRestored {
            made: received.manifest.made.clone(),
            subjects: received.manifest.database.subjects,
            references: received.manifest.database.references.iter().map(|m| m.references).sum(),
        };
        subjects::record(received.store_mut(), &plan.config, event)?;
        let aside = format!(".before-restore-{}", now.replace(['-', ':'], ""));
        Ok(received.place(&plan.gallery, plan.file.as_ref(), &aside, self.replace)?)
    }

    fn tell(
        &self,
        context: &Context,
        manifest: &Manifest,
        plan: &Plan,
        wall: WallClock,
        placed: Option<&Placed>,
    ) -> Result<Kind, Failure> {
        let models = models(&plan.config, manifest);
        let missing: Vec<_> =
            named_files(&plan.config).into_iter().filter(|(_, path)| !path.exists()).collect();
        let kept: Vec<&PathBuf> = placed
            .into_iter()
            .flat_map(|placed| [&placed.kept_gallery, &placed.kept_config])
            .flatten()
            .collect();
        let mut value = json!({
            "restored": placed.is_some(),
            "manifest": manifest,
            "gallery": plan.gallery,
            "config": plan.file.as_ref().map(|file| &file.path),
            "kept": kept,
            "models": models,
            "clock": plan.clock.map(|doubt| json!({ "doubt": doubt.name(), "what": doubt.to_string(), "remedy": doubt.remedy(), "settled": placed.is_some() && may_settle(wall.synchronised, plan.clock) })),
            "missing": missing.iter().map(|(key, path)| json!({ "key": key, "path": path })).collect::<Vec<_>>(),
        });
        let undone = serde_json::to_value(&plan.undone).unwrap_or_default();
        if let (Some(value), serde_json::Value::Object(undone)) = (value.as_object_mut(), undone) {
            value.extend(undone);
        }
        let mut text = format!("{} is whole, and the passphrase is right\n", self.file.display());
        text.push_str(&contents(manifest));
        for model in &models {
            if let Some(why) = model.why_idle() {
                let _infallible = writeln!(
                    text,
                    "warning: {} references of {} are never compared: {why}",
                    model.references, model.model
                );
            }
        }
        plan.undone.describe(&mut text);
        if let Some(doubt) = plan.clock {
            text.push_str(&clock_line(doubt, may_settle(wall.synchronised, plan.clock)));
        }
        match placed {
            None => text.push_str("nothing was changed\n"),
            Some(placed) => said_of(&mut text, plan, placed, &manifest.door),
        }
        for (key, path) in &missing {
            let _infallible = writeln!(
                text,
                "missing here: {} ({key}); no backup carries it, make a new one",
                path.display()
            );
        }
        if placed.is_some() {
            if plan.config.sign.grants {
                text.push_str("no backup carries the grant key: bring this door's, or make another with 'deepid-edge keys rotate' and tell every listener\n");
            }
            text.push_str("next: 'deepid-edge doctor', then 'systemctl start deepid-edge'\n");
        }
        context.tell(text, &value)?;
        Ok(Kind::Done)
    }
}

/// Whether a restore may settle the clock: its records are another board's, or of another time, and
/// a time service vouches for the clock here.
const fn may_settle(synchronised: bool, doubt: Option<ClockDoubt>) -> bool {
    synchronised && matches!(doubt, Some(ClockDoubt::BehindRecord { .. }))
}

fn clock_line(doubt: ClockDoubt, settles: bool) -> String {
    if settles {
        return format!(
            "{doubt}; a time service keeps the clock of this board, so that a restore settles it\n"
        );
    }
    format!("warning: nothing will be granted: {doubt}; {}\n", doubt.remedy())
}

/// What happened to the files.
fn said_of(text: &mut String, plan: &Plan, placed: &Placed, door: &str) {
    let _infallible = writeln!(text, "gallery restored: {}", plan.gallery.display());
    match &plan.file {
        Some(file) => {
            let _infallible = writeln!(text, "configuration restored: {}", file.path.display());
        }
        None => text.push_str("configuration: as it was\n"),
    }
    for kept in [&placed.kept_gallery, &placed.kept_config].into_iter().flatten() {
        let _infallible = writeln!(text, "what was there before: {}", kept.display());
    }
    if placed.kept_gallery.is_some() {
        text.push_str("  it still holds people's data: delete it when the door works\n");
    }
    let _infallible = writeln!(
        text,
        "no other board may go on as door '{door}': the two would push each other off the broker"
    );
}

/// References in the backup that one procedure has made.
#[derive(serde::Serialize)]
struct ReferencesOf<'a> {
    model: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    procedure: Option<ProcedureHash>,
    references: u64,
    /// Whether there is a card of that id here.
    installed: bool,
    /// Whether the embedder or the confirming network is of that id.
    named: bool,
    /// Whether they are compared: by id, file, card and averaging.
    in_use: bool,
}

impl ReferencesOf<'_> {
    /// Why they are never compared, with what to do; `None` where they are.
    fn why_idle(&self) -> Option<String> {
        let model = self.model;
        if self.in_use {
            return None;
        }
        Some(if !self.installed {
            "this model is not installed here; install it, or enrol those people again".to_owned()
        } else if self.procedure.is_none() {
            format!(
                "their file is unknown; 'deepid-edge subjects adopt --model {model}' if the one installed here made them, else enrol those people again"
            )
        } else if self.named {
            format!(
                "another file, card or setting of recognise.mirrored made them than is here under the id {model}; bring that back, or enrol those people again"
            )
        } else {
            "neither models.embedder nor the network that confirms is this model".to_owned()
        })
    }
}

fn models<'a>(config: &Config, manifest: &'a Manifest) -> Vec<ReferencesOf<'a>> {
    let cards = Cards::open(config).ok();
    let all = cards.as_ref().map(Cards::all).unwrap_or_default();
    let installed: Vec<String> =
        all.into_iter().flatten().map(|card| card.id.to_string()).collect();
    let fusion = cards.as_ref().and_then(|cards| cards.fusion(config).ok()?);
    let confirming = fusion.as_ref().map(|fusion| &fusion.second.id);
    let named: Vec<_> = std::iter::once(&config.models.embedder).chain(confirming).collect();
    // A model that cannot be read is told as not installed, or by 'doctor'.
    let key = |id| cards.as_ref()?.key(config, id).ok();
    let keys: Vec<_> = named.iter().filter_map(|id| key(*id)).collect();
    manifest
        .database
        .references
        .iter()
        .map(|entry| ReferencesOf {
            model: &entry.model,
            procedure: entry.procedure,
            references: entry.references,
            installed: installed.contains(&entry.model),
            named: named.iter().any(|id| id.as_str() == entry.model),
            in_use: keys.iter().any(|key| {
                key.id.as_str() == entry.model && Some(key.procedure) == entry.procedure
            }),
        })
        .collect()
}

/// Where a backup is decrypted to that is only looked at: beside the gallery where there is one,
/// else where this machine keeps what is temporary. It bears the gallery's name in either.
fn scratch(gallery: &Path) -> PathBuf {
    match gallery.parent() {
        Some(folder) if folder.is_dir() => gallery.to_owned(),
        _ => std::env::temp_dir().join("deepid-edge.db"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mark;

    #[test]
    fn a_restore_settles_the_clock_only_where_a_time_service_vouches_for_it() {
        let record = Mark { seq: 41, unix_ms: 2_085_978_495_000 };
        let behind = |vouched| Some(ClockDoubt::BehindRecord { record, vouched });
        assert!(may_settle(true, behind(true)));
        assert!(!may_settle(false, behind(false)));
        assert!(!may_settle(true, None));
        assert!(!may_settle(true, Some(ClockDoubt::BeforeBuild)));
        let line = clock_line(ClockDoubt::BehindRecord { record, vouched: false }, false);
        assert!(line.contains("record 41 of 2036-02-07T06:28:15Z"), "{line}");
        assert!(line.contains("clock settle"), "{line}");
    }
}
