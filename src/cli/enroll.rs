//! `enroll`: a person's pictures become references.
//!
//! In: a name, and pictures, a recording or the camera. Out: a subject with one reference for each
//! usable face, or nothing at all: a refused picture refuses the enrolment, unless told otherwise.
//! Where a second embedder confirms grants, each face gives a reference of that one too.
//! Invariants: the pictures are forgotten, only feature vectors are kept; nothing is written before
//! every picture was judged, and then all at once with its record. Warns of a subject that looks alike and of pictures that do not look
//! alike, because both are how a wrong person gets in.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use clap::Args;
use serde_json::{Value as Json, json};

use super::exit::Kind;
use super::faces::{Judge, UsableFace, quality_json};
use super::failure::Failure;
use super::gather::{self, Gathered, Tally};
use super::session::Session;
use super::subjects;
use crate::compare::SubjectId;
use crate::config::Config;
use crate::equip::{EquipError, Networks};
use crate::store::{Change, Done, Enrolee, Error, LookAlike, NewReference, ReferenceSource, Store};

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
}

/// Something that a person should look at again.
enum Warning {
    Alike { subject: SubjectId, name: String, score: f32 },
    OutOfLine { picture: String, score: f32 },
    Name(LookAlike),
}

impl Arguments {
    pub(super) fn run(self, session: &Session) -> Result<Kind, Failure> {
        let config = session.config()?;
        let mut store = opened(&config)?;
        let own = self.own(store.as_ref())?;
        let networks = Networks::open(&config)?;
        let key = networks.cards().key(&config, &config.models.embedder)?;
        let known = store.as_ref().map(|store| store.references(&key)).transpose()?;
        let mut judge = Judge::for_enrolment(&config, &networks, known.unwrap_or_default())?;

        let (gathered, source) = if self.from.camera {
            let gathered =
                gather::from_camera(session, &config, &mut judge, self.count, self.seconds)?;
            (gathered, ReferenceSource::Camera)
        } else if let Some(path) = &self.from.replay {
            (
                gather::from_recording(session, &config, &mut judge, path, self.count)?,
                ReferenceSource::Replay,
            )
        } else {
            (
                gather::from_pictures(session, &mut judge, &self.from.image, self.skip_poor)?,
                ReferenceSource::Image,
            )
        };
        if gathered.faces.is_empty() || !(gathered.refused.is_empty() || self.skip_poor) {
            return Err(nothing_enrolled(&gathered));
        }
        let mut warnings =
            warnings(&config, &networks, &gathered.faces, store.as_ref(), own.as_ref())?;
        if let (Some(store), None) = (&store, &own) {
            warnings.extend(store.look_alikes(&self.name)?.into_iter().map(Warning::Name));
        }
        let mut store = match store.take() {
            Some(store) => store,
            None => Store::open(&config.store.path, config.store_settings())?,
        };
        let done = self.write(&mut store, &config, own.as_ref(), &gathered.faces, source)?;
        subjects::mention_left_in_log(session, &done);
        let subject = done.subject.ok_or_else(|| {
            Failure::new(Kind::Fault, "an enrolment is of nobody", "please report it")
        })?;
        let name = store.subject(subject.as_str())?.name;
        tell(session, &name, &subject, &gathered, &warnings)
    }

    /// The subject to add to; and a name that is taken is told before anybody poses.
    fn own(&self, store: Option<&Store>) -> Result<Option<SubjectId>, Failure> {
        let known = match store.map(|store| store.subject(&self.name)) {
            Some(Ok(subject)) => Some(subject.id),
            None | Some(Err(Error::NoSuchSubject { .. })) => None,
            Some(Err(error)) => return Err(error.into()),
        };
        match (known, self.add || self.replace) {
            (Some(by), false) => {
                let failure = Failure::from(Error::NameTaken { by });
                Err(failure.with_remedy(
                    "say --add to add these pictures to that subject, --replace to take them in place of those it has, or choose another name",
                ))
            }
            (None, true) => Err(Error::NoSuchSubject { asked: self.name.clone() }.into()),
            (None, false) => {
                Store::check_name(&self.name)?;
                Ok(None)
            }
            (known, true) => Ok(known),
        }
    }

    fn write(
        &self,
        store: &mut Store,
        config: &Config,
        own: Option<&SubjectId>,
        faces: &[(String, UsableFace)],
        source: ReferenceSource,
    ) -> Result<Done, Failure> {
        let references: Vec<NewReference<'_>> = faces
            .iter()
            .flat_map(|(_, face)| {
                let quality = face.quality.weight;
                let vectors = std::iter::once(&face.vector).chain(&face.confirming);
                vectors.map(move |vector| NewReference { vector, quality })
            })
            .collect();
        let who = match own {
            None => Enrolee::New(&self.name),
            Some(subject) if self.replace => Enrolee::Instead(subject),
            Some(subject) => Enrolee::Also(subject),
        };
        let model = &config.models.embedder;
        let change = Change::Enrol { who, references: &references, source, model };
        subjects::administer(store, config, change)
    }
}

/// The database, if it is there: brought up to date, because this verb is going to write to it.
fn opened(config: &Config) -> Result<Option<Store>, Failure> {
    let path = &config.store.path;
    Ok(path.exists().then(|| Store::open(path, config.store_settings())).transpose()?)
}

fn nothing_enrolled(gathered: &Gathered) -> Failure {
    let mut what = "nobody was enrolled".to_owned();
    let mut remedies: Vec<&str> = gathered.refused.iter().map(|(_, why)| why.remedy()).collect();
    remedies.sort_unstable();
    remedies.dedup();
    // One remedy for all stands below; several stand each with its picture.
    let remedy = if let [only] = remedies.as_slice() { *only } else { "give other pictures" };
    for (picture, why) in &gathered.refused {
        let _infallible = match remedies.len() {
            1 => write!(what, "\n{picture}: {}", why.finding()),
            _ => write!(what, "\n{picture}: {why}"),
        };
    }
    if let Some(tally) = &gathered.tally {
        let _infallible = write!(what, "\n{tally}");
    }
    let kind = gathered.refused.first().map_or(Kind::Face, |(_, why)| why.kind());
    let remedy = if gathered.faces.is_empty() {
        remedy.to_owned()
    } else {
        format!("{remedy}; or say --skip-poor to take the usable pictures alone")
    };
    Failure::new(kind, what, remedy).with_problems(refusals(gathered))
}

fn refusals(gathered: &Gathered) -> Json {
    gathered
        .refused
        .iter()
        .map(|(picture, why)| {
            json!({ "picture": picture, "reason": why.reason(), "fault": why.fault(), "text": why.to_string() })
        })
        .collect()
}

fn warnings(
    config: &Config,
    networks: &Networks,
    faces: &[(String, UsableFace)],
    store: Option<&Store>,
    own: Option<&SubjectId>,
) -> Result<Vec<Warning>, Failure> {
    let metric = config.recognise.metric;
    let mut alike: BTreeMap<SubjectId, f32> = BTreeMap::new();
    for (_, face) in faces {
        let Some(best) = face.found.accepted().filter(|best| Some(&best.subject) != own) else {
            continue;
        };
        let nearest = alike.entry(best.subject.clone()).or_insert(best.score);
        if metric.advantage(best.score, *nearest) > 0.0 {
            *nearest = best.score;
        }
    }
    let mut warnings = Vec::new();
    // Whoever is alike is of this very database.
    for (subject, score) in alike {
        let Some(store) = store else { break };
        let name = store.subject(subject.as_str())?.name;
        warnings.push(Warning::Alike { subject, name, score });
    }
    let comparer = networks.comparer(config, metric)?;
    let threshold = networks.cards().operating(config, metric, 1)?.threshold;
    for (index, (picture, face)) in faces.iter().enumerate() {
        let mut nearest: Option<f32> = None;
        for (other, (_, against)) in faces.iter().enumerate() {
            if other != index {
                let score =
                    comparer.score(&face.vector, &against.vector).map_err(EquipError::from)?;
                let nearer = nearest.is_none_or(|best| metric.advantage(score, best) > 0.0);
                nearest = if nearer { Some(score) } else { nearest };
            }
        }
        if let Some(score) = nearest.filter(|score| !metric.accepts(*score, threshold)) {
            warnings.push(Warning::OutOfLine { picture: picture.clone(), score });
        }
    }
    Ok(warnings)
}

/// Says it where fewer references came than were asked for, or where a folder has more to give.
fn mention_tally(session: &Session, tally: &Tally) {
    if tally.is_short() {
        session.mention(format!("fewer than asked for: {tally}"));
    } else if tally.left > 0 {
        let (left, all) = (tally.left, tally.left + tally.looked_at);
        session.mention(format!(
            "{left} of the folder's {all} pictures were not looked at: say '--count {all}' to take them too"
        ));
    }
}

fn tally_json(tally: &Tally) -> Json {
    let reasons: serde_json::Map<String, Json> = tally
        .reasons()
        .into_iter()
        .fold(BTreeMap::new(), |mut sums: BTreeMap<String, u32>, (why, count)| {
            *sums.entry(why.reason().to_owned()).or_default() += count;
            sums
        })
        .into_iter()
        .map(|(reason, count)| (reason, count.into()))
        .collect();
    json!({
        "wanted": tally.wanted,
        "looked_at": tally.looked_at,
        "taken": tally.taken,
        "too_soon": tally.too_soon,
        "not_looked_at": tally.left,
        "refused": reasons,
    })
}

fn tell(
    session: &Session,
    name: &str,
    subject: &SubjectId,
    gathered: &Gathered,
    warnings: &[Warning],
) -> Result<Kind, Failure> {
    for warning in warnings {
        session.mention(match warning {
            Warning::Alike { subject, name, score } => format!(
                "warning: looks like {subject} ({name}), score {score:.3}: the same person twice, or two who will be confused? 'deepid-edge subjects remove' undoes an enrolment"
            ),
            Warning::OutOfLine { picture, score } => format!(
                "warning: {picture} resembles none of the other pictures (nearest score {score:.3}): is it the same person?"
            ),
            Warning::Name(alike) => subjects::alike_in_words(alike),
        });
    }
    for (picture, why) in &gathered.refused {
        session.mention(format!("left out: {picture}: {why}"));
    }
    if let Some(tally) = &gathered.tally {
        mention_tally(session, tally);
    }
    let count = gathered.faces.len();
    let plural = if count == 1 { "" } else { "s" };
    let pictures: Vec<Json> = gathered
        .faces
        .iter()
        .map(
            |(picture, face)| json!({ "picture": picture, "quality": quality_json(&face.quality) }),
        )
        .collect();
    let warnings: Vec<Json> = warnings
        .iter()
        .map(|warning| match warning {
            Warning::Alike { subject, name, score } => {
                json!({ "warning": "near_duplicate", "subject": subject, "name": name, "score": score })
            }
            Warning::OutOfLine { picture, score } => {
                json!({ "warning": "out_of_line", "picture": picture, "score": score })
            }
            Warning::Name(alike) => subjects::alike_json(alike),
        })
        .collect();
    session.tell(
        format!("{subject} ({name}): {count} reference{plural} enrolled"),
        &json!({
            "subject": { "id": subject, "name": name },
            "references": count,
            "pictures": pictures,
            "refused": refusals(gathered),
            "tally": gathered.tally.as_ref().map(tally_json),
            "warnings": warnings,
        }),
    )?;
    Ok(Kind::Done)
}
