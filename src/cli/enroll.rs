//! `enroll`: a person's pictures become references.
//!
//! In: a name, and pictures, a recording, the camera, or a stranger's visit that the running daemon
//! remembers. Out: what [`crate::enrol`] made of it, or why nobody was enrolled: a refused picture refuses
//! the enrolment, unless told otherwise.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use clap::Args;
use serde_json::{Value as Json, json};

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use super::{progress, subjects, usable};
use crate::clock::{Floor, SystemClock};
use crate::config::Config;
use crate::daemon::local::{self, LocalError, Question, Reply, VisitName};
use crate::enrol::{Draft, Gathered, Judge, Pictures, Step, Tally, Warning, Whom, Wish, gather};
use crate::equip::Networks;
use crate::store::{Error, Store, Subject};

/// Arguments of `enroll`.
#[derive(Debug, Args)]
pub struct Arguments {
    /// The person's name, for this terminal only: messages and logs carry a pseudonym
    name: String,
    #[command(flatten)]
    from: From,
    /// How many references to take from the camera or a recording
    #[arg(long, default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=50))]
    count: u32,
    /// Give up on the camera after this many seconds
    #[arg(long, default_value_t = 30, value_parser = clap::value_parser!(u32).range(1..=600))]
    seconds: u32,
    /// Add to the subject of this name (or id) instead of making a new one
    #[arg(long)]
    add: bool,
    /// Take these references in place of all that the subject of this name (or id) has
    #[arg(long, conflicts_with = "add")]
    replace: bool,
    /// Take the usable pictures and leave out those that are refused or cannot be read
    #[arg(long)]
    skip_poor: bool,
}

/// Where the pictures come from.
#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
struct From {
    /// JPEG, PNG or WebP files
    #[arg(long, value_name = "FILE", num_args = 1..)]
    image: Vec<PathBuf>,
    /// The configured camera
    #[arg(long)]
    camera: bool,
    /// A folder of pictures, an MJPEG file or a Y4M file
    #[arg(long, value_name = "PATH")]
    replay: Option<PathBuf>,
    /// A stranger's visit of the last minutes, by the number of its record ('records list') or its id
    #[arg(long = "from-visit", value_name = "ID")]
    visit: Option<VisitName>,
}

impl Arguments {
    pub(super) fn run(self, context: &Context) -> Result<Kind, Failure> {
        let config = context.config()?;
        if let Some(visit) = self.from.visit {
            return self.recall(context, &config, visit);
        }
        // Brought up to date, because this verb is going to write to it.
        let open = || Store::open(&config.store.path, config.store_settings());
        let store = usable::is_there(&config)?.then(open).transpose()?;
        let whom = self.whom(store.as_ref())?;
        let networks = Networks::open(&config)?;
        let key = networks.cards().key(&config, &config.models.embedder)?;
        let known = store.as_ref().map(|store| store.references(&key)).transpose()?;
        let mut judge = Judge::for_enrolment(&config, &networks, known.unwrap_or_default())?;
        let gathered = self.gather(context, &config, &mut judge)?;
        let skip = self.skip_poor;
        let draft = Draft::new(whom, gathered, skip, &config, &networks, store.as_ref())?;
        let mut store = store.map_or_else(open, Ok)?;
        let by = subjects::signature(&store, &config)?;
        let (subject, done) = draft.write(&mut store, &config.models.embedder, by)?;
        subjects::mention_left_in_log(context, &done);
        tell(context, &subject, &draft)
    }

    /// Has the running daemon enrol what it remembers of a visit.
    fn recall(
        &self,
        context: &Context,
        config: &Config,
        visit: VisitName,
    ) -> Result<Kind, Failure> {
        let (name, wish) = (self.name.clone(), self.wish());
        let reply = local::ask(&config.store.path, &Question::Enroll { visit, name, wish });
        let reply = reply.map_err(|error| {
            let (kind, remedy) = match error {
                LocalError::NotRunning(_) => (
                    Kind::Absent,
                    "visits are in the memory of the running daemon alone: start it ('systemctl start deepid-edge'), or enrol by --camera or --image",
                ),
                LocalError::Denied(_) => (Kind::StoreUnavailable, usable::AS_THE_SERVICE),
                LocalError::Silent(_) => {
                    (Kind::Fault, "'deepid-edge subjects list' says whether it was done")
                }
            };
            let at = local::socket_of(&config.store.path).display().to_string();
            Failure::new(kind, error.to_string(), remedy).at(at)
        })?;
        match reply {
            Reply::Enrolled { subject, name, references, warnings } => {
                for warning in &warnings {
                    mention(context, warning);
                }
                let plural = if references == 1 { "" } else { "s" };
                context.tell(
                    format!("{subject} ({name}): {references} reference{plural} enrolled from visit {visit}"),
                    &json!({
                        "subject": { "id": subject, "name": name },
                        "references": references,
                        "visit": visit.to_string(),
                        "warnings": warnings.iter().map(as_json).collect::<Vec<_>>(),
                    }),
                )?;
                Ok(Kind::Done)
            }
            Reply::Refused { reason, what } => {
                let kind = if reason == "fault" { Kind::Fault } else { Kind::Negative };
                Err(Failure::new(kind, what, "'deepid-edge records list' shows the visits"))
            }
        }
    }

    const fn wish(&self) -> Wish {
        match (self.add, self.replace) {
            (true, _) => Wish::Add,
            (_, true) => Wish::Replace,
            _ => Wish::New,
        }
    }

    /// Whom to add to; and a name that is taken is told before anybody poses.
    fn whom(&self, store: Option<&Store>) -> Result<Whom, Failure> {
        Whom::find(store, &self.name, self.wish()).map_err(|error| match error {
            Error::NameTaken { .. } => Failure::from(error).with_remedy(
                "say --add to add these pictures to that subject, --replace to take them in place of those it has, or choose another name",
            ),
            error => error.into(),
        })
    }

    fn gather(
        &self,
        context: &Context,
        config: &Config,
        judge: &mut Judge,
    ) -> Result<Gathered, Failure> {
        let (count, seconds) = (self.count, self.seconds);
        let (pictures, unit) = if self.from.camera {
            (Pictures::Camera { count, seconds }, "references")
        } else if let Some(path) = &self.from.replay {
            (Pictures::Recording { path, count }, "references")
        } else {
            let (files, skip_unreadable) = (&self.from.image, self.skip_poor);
            (Pictures::Files { files, skip_unreadable }, "pictures")
        };
        let clock = Arc::new(SystemClock::new(config.clock.require, Floor::default()));
        let bar = progress::counting(context, pictures.steps() as u64, unit);
        let gathered = gather(pictures, config, judge, clock, &mut |step| match step {
            Step::Looking(camera) => context.mention(format!(
                "look at the camera ({}), alone, and turn the head a little",
                camera.name
            )),
            Step::Done => bar.inc(1),
            Step::Refused(why) => bar.set_message(why.to_string()),
        });
        bar.finish_and_clear();
        Ok(gathered?)
    }
}

/// What was refused, for machines.
pub(super) fn refusals(gathered: &Gathered) -> Json {
    gathered
        .refused
        .iter()
        .map(|(picture, why)| {
            json!({ "picture": picture, "reason": why.reason(), "fault": why.fault(), "text": why.to_string() })
        })
        .collect()
}

/// Says it where fewer references came than were asked for, or where a folder has more to give.
fn mention_tally(context: &Context, tally: &Tally) {
    if tally.is_short() {
        context.mention(format!("fewer than asked for: {tally}"));
    } else if tally.left > 0 {
        let (left, all) = (tally.left, tally.left + tally.looked_at);
        context.mention(format!(
            "{left} of the folder's {all} pictures were not looked at: say '--count {all}' to take them too"
        ));
    }
}

fn tally_json(tally: &Tally) -> Json {
    let mut refused: BTreeMap<&str, u32> = BTreeMap::new();
    for (why, count) in tally.reasons() {
        *refused.entry(why.reason()).or_default() += count;
    }
    json!({
        "wanted": tally.wanted,
        "looked_at": tally.looked_at,
        "taken": tally.taken,
        "too_soon": tally.too_soon,
        "not_looked_at": tally.left,
        "refused": refused,
    })
}

/// Says what somebody should look at again.
fn mention(context: &Context, warning: &Warning) {
    context.mention(match warning {
        Warning::Alike { subject, name, score } => format!(
            "warning: looks like {subject} ({name}), score {score:.3}: the same person twice, or two who will be confused? 'deepid-edge subjects remove' undoes an enrolment"
        ),
        Warning::OutOfLine { picture, score } => format!(
            "warning: {picture} resembles none of the other pictures (nearest score {score:.3}): is it the same person?"
        ),
        Warning::Name(alike) => subjects::alike_in_words(alike),
    });
}

/// The same for a machine.
fn as_json(warning: &Warning) -> Json {
    match warning {
        Warning::Alike { subject, name, score } => {
            json!({ "warning": "near_duplicate", "subject": subject, "name": name, "score": score })
        }
        Warning::OutOfLine { picture, score } => {
            json!({ "warning": "out_of_line", "picture": picture, "score": score })
        }
        Warning::Name(alike) => subjects::alike_json(alike),
    }
}

fn tell(context: &Context, subject: &Subject, draft: &Draft) -> Result<Kind, Failure> {
    let gathered = draft.gathered();
    for warning in draft.warnings() {
        mention(context, warning);
    }
    for (picture, why) in &gathered.refused {
        context.mention(format!("left out: {picture}: {why}"));
    }
    if let Some(tally) = &gathered.tally {
        mention_tally(context, tally);
    }
    let count = gathered.faces.len();
    let plural = if count == 1 { "" } else { "s" };
    let pictures: Vec<Json> = gathered
        .faces
        .iter()
        .map(|(picture, face)| json!({ "picture": picture, "quality": face.quality }))
        .collect();
    let warnings: Vec<Json> = draft.warnings().iter().map(as_json).collect();
    context.tell(
        format!("{} ({}): {count} reference{plural} enrolled", subject.id, subject.name),
        &json!({
            "subject": { "id": subject.id, "name": subject.name },
            "references": count,
            "pictures": pictures,
            "refused": refusals(gathered),
            "tally": gathered.tally.as_ref().map(tally_json),
            "warnings": warnings,
        }),
    )?;
    Ok(Kind::Done)
}
