//! Pictures that are sent: to enrol somebody, or to be told who they show, or whether they show somebody.
//!
//! In: `multipart/form-data`. Out: what became of each picture, by `enrol`, as `enroll` and `identify` do
//! it. Invariants: a picture is in memory alone, one at a time, and is forgotten when it was judged; no
//! more than one request has networks at once, until its work has ended, also where the client has gone
//! ([`Bench`]); each picture has a bound of bytes, as has the whole request, and of time for each piece of it.
//! The networks are opened for the request and closed with it, and hold the database up for nobody.

use std::sync::Arc;
use std::time::Duration;

use axum::Json as Answer;
use axum::extract::multipart::{Field, Multipart, MultipartError};
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::Serialize;
use tokio::sync::OwnedSemaphorePermit;
use utoipa::ToSchema;

use super::app::{App, blocking};
use super::feed::SubjectShown;
use super::guard::Identity;
use super::people::{self, Person};
use super::problem::Problem;
use crate::capture::picture::Picture;
use crate::clock::Clock as _;
use crate::compare::SubjectId;
use crate::decide::{Outcome, Verdict};
use crate::detect::Detection;
use crate::embed::Quality;
use crate::enrol::{Draft, EnrolError, Gathered, Judge, Unusable, UsableFace, Warning, Whom, Wish};
use crate::equip::Networks;
use crate::store::ReferenceSource;

/// Bytes of a picture.
const PICTURE_MAX: usize = 32 << 20;
/// Pixels of a picture: the service has a bound of memory, within which the door must go on.
const PIXELS_MAX: u64 = 50_000_000;
/// Bytes of all pictures of a request.
const ALL_MAX: usize = 128 << 20;
/// Bytes of a request: its pictures, the name, and what stands between them.
pub(super) const REQUEST_MAX: usize = ALL_MAX + (1 << 20);
pub(super) const PICTURES_MAX: usize = 32;
const NAME_MAX: usize = 1024;
/// For how long a piece of a picture may take.
const PATIENCE: Duration = Duration::from_secs(20);

/// What a face is judged for.
pub(super) enum Purpose {
    /// To be enrolled, which needs the confirming embedder too.
    Enrol,
    /// To be compared with everybody who is enrolled.
    Identify,
    /// To be compared with this subject alone.
    Verify(SubjectId),
}

/// Networks that judge, and what they compare with. One at a time: its turn goes with it, wherever it is
/// worked with.
pub(super) struct Bench {
    pub networks: Networks,
    pub judge: Judge,
    _turn: OwnedSemaphorePermit,
}

impl Bench {
    /// The one turn, if nobody has it.
    ///
    /// # Errors
    /// Somebody has it.
    pub(super) fn turn(app: &App) -> Result<OwnedSemaphorePermit, Problem> {
        Arc::clone(&app.bench).try_acquire_owned().map_err(|_| {
            if app.feed.is_enrolling(app.clock.now()) {
                return Problem::conflict("somebody is being enrolled at this camera already");
            }
            Problem::conflict("somebody else's pictures are being judged")
                .helped("try again in a moment")
        })
    }

    /// Opens them, on a thread that may block.
    ///
    /// # Errors
    /// A network cannot be used, or what the database says.
    pub(super) fn open(
        app: &App,
        turn: OwnedSemaphorePermit,
        purpose: &Purpose,
    ) -> Result<Self, Problem> {
        let config = &app.feed.config();
        let networks = Networks::open(config)?;
        let key = networks.cards().key(config, &config.models.embedder)?;
        let mut known = app.database().references(&key)?;
        let judge = match purpose {
            Purpose::Enrol => Judge::for_enrolment(config, &networks, known)?,
            Purpose::Identify => Judge::new(config, &networks, known)?,
            Purpose::Verify(subject) => {
                known.retain(|reference| reference.subject == *subject);
                Judge::new(config, &networks, known)?
            }
        };
        Ok(Self { networks, judge, _turn: turn })
    }

    /// The face in a picture, and where it lies: `[x, y, width, height]` in pixels.
    fn see(&mut self, bytes: &[u8]) -> Result<(UsableFace, [f32; 4]), Unusable> {
        if let Some(pixels) = pixels(bytes).filter(|pixels| *pixels > PIXELS_MAX) {
            return Err(Unusable::Unreadable(format!(
                "it has {pixels} pixels, {PIXELS_MAX} are read here; make it smaller"
            )));
        }
        let picture =
            Picture::decode(bytes).map_err(|error| Unusable::Unreadable(error.to_string()))?;
        let face = self.judge.picture(&picture)?;
        let bounds = self.judge.principal((picture.width(), picture.height()));
        let bounds = bounds.as_ref().map(Detection::bounds).ok_or(Unusable::NoFace)?;
        Ok((face, [bounds.x, bounds.y, bounds.width, bounds.height]))
    }
}

/// How many pixels a picture says that it has, where its head can be read.
fn pixels(bytes: &[u8]) -> Option<u64> {
    let reader = image::ImageReader::new(std::io::Cursor::new(bytes)).with_guessed_format().ok()?;
    let (width, height) = reader.into_dimensions().ok()?;
    Some(u64::from(width) * u64::from(height))
}

/// Who a request that enrols is about.
enum About {
    /// Somebody new, whose name comes with the pictures.
    New,
    /// Somebody who is enrolled.
    Known(String),
}

/// `POST /api/v1/subjects/pictures`
pub(super) async fn enrol(
    State(app): State<Arc<App>>,
    who: Identity,
    parts: Multipart,
) -> Result<Answer<Judged>, Problem> {
    Box::pin(gather(app, who, parts, About::New)).await
}

/// `POST /api/v1/subjects/ID/pictures`
pub(super) async fn add(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
    parts: Multipart,
) -> Result<Answer<Judged>, Problem> {
    people::id_of(&id)?;
    Box::pin(gather(app, who, parts, About::Known(id))).await
}

/// What is read of a request with pictures.
struct Reading {
    parts: Multipart,
    bytes: usize,
    pictures: usize,
}

/// A part of a request.
enum Part {
    Name(String),
    Picture { file: String, bytes: Vec<u8> },
}

impl Reading {
    const fn new(parts: Multipart) -> Self {
        Self { parts, bytes: 0, pictures: 0 }
    }

    async fn next(&mut self) -> Result<Option<Part>, Problem> {
        let broken = "the request is no multipart/form-data, or is cut off";
        let field = timely(self.parts.next_field()).await?;
        let Some(field) = field.map_err(|error| unread(&error, broken))? else {
            return Ok(None);
        };
        match field.name() {
            Some("name") => {
                let (bytes, _) = read(field, NAME_MAX, NAME_MAX).await?;
                let name = String::from_utf8(bytes);
                Ok(Some(Part::Name(name.map_err(|_| Problem::wrong("the name is not UTF-8"))?)))
            }
            Some("picture") => {
                self.pictures += 1;
                if self.pictures > PICTURES_MAX {
                    let detail = format!("more than {PICTURES_MAX} pictures");
                    return Err(Problem::too_large(detail).helped("send fewer at once"));
                }
                let number = self.pictures;
                let file = field.file_name().map(|name| name.chars().take(100).collect());
                let file = file.unwrap_or_else(|| format!("picture {number}"));
                let (bytes, read) = read(field, PICTURE_MAX, ALL_MAX - self.bytes).await?;
                self.bytes += read;
                Ok(Some(Part::Picture { file, bytes }))
            }
            other => {
                let other = other.unwrap_or("without a name").chars().take(40).collect::<String>();
                Err(Problem::wrong(format!("a part is '{other}': 'name' and 'picture' are read")))
            }
        }
    }
}

async fn timely<T>(work: impl Future<Output = T>) -> Result<T, Problem> {
    tokio::time::timeout(PATIENCE, work)
        .await
        .map_err(|_| Problem::new(StatusCode::REQUEST_TIMEOUT, "the request came too slowly"))
}

/// Why a part cannot be read: the whole is too large, or it is `broken`.
fn unread(error: &MultipartError, broken: &str) -> Problem {
    if error.status() == StatusCode::PAYLOAD_TOO_LARGE { beyond() } else { Problem::wrong(broken) }
}

fn beyond() -> Problem {
    Problem::too_large(format!("the pictures have more than {ALL_MAX} bytes together"))
        .helped("send fewer at once")
}

/// The bytes of a part, at most `max` of them and at most `left`; how many there are.
async fn read(mut field: Field<'_>, max: usize, left: usize) -> Result<(Vec<u8>, usize), Problem> {
    let mut bytes = Vec::new();
    let broken = "the request is cut off";
    while let Some(chunk) = timely(field.chunk()).await?.map_err(|error| unread(&error, broken))? {
        let length = bytes.len() + chunk.len();
        if length > max {
            return Err(Problem::too_large(format!("a part has more than {max} bytes")));
        }
        if length > left {
            return Err(beyond());
        }
        bytes.extend_from_slice(&chunk);
    }
    let length = bytes.len();
    Ok((bytes, length))
}

/// Judges `bytes` on a thread that may block; they are gone afterwards.
async fn see(
    mut bench: Bench,
    bytes: Vec<u8>,
) -> Result<(Bench, Result<(UsableFace, [f32; 4]), Unusable>), Problem> {
    blocking(move || {
        let seen = bench.see(&bytes);
        drop(bytes);
        Ok((bench, seen))
    })
    .await
}

async fn open(
    app: &Arc<App>,
    turn: OwnedSemaphorePermit,
    purpose: Purpose,
) -> Result<Bench, Problem> {
    let app = Arc::clone(app);
    blocking(move || Bench::open(&app, turn, &purpose)).await
}

/// What became of pictures that were sent to enrol somebody.
#[derive(Serialize, ToSchema)]
pub(super) struct Judged {
    subject: Person,
    accepted: Vec<Accepted>,
    refused: Vec<Refused>,
    /// What somebody should look at again.
    warnings: Vec<String>,
}

/// A picture whose face was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Accepted {
    file: String,
}

/// A picture of which no face was taken.
#[derive(Serialize, ToSchema)]
pub(super) struct Refused {
    file: String,
    #[serde(flatten)]
    why: Why,
}

/// Why no face of a picture can be used.
#[derive(Serialize, ToSchema)]
pub(super) struct Why {
    /// A word.
    reason: &'static str,
    /// A sentence.
    text: String,
    remedy: &'static str,
}

impl Why {
    fn of(why: &Unusable) -> Self {
        let reason = why.fault().map_or(why.reason(), crate::embed::QualityFault::name);
        Self { reason, text: why.finding(), remedy: why.remedy() }
    }
}

async fn gather(
    app: Arc<App>,
    who: Identity,
    parts: Multipart,
    about: About,
) -> Result<Answer<Judged>, Problem> {
    let turn = Bench::turn(&app)?;
    let mut reading = Reading::new(parts);
    let mut whom = match about {
        About::New => None,
        About::Known(id) => Some(find(&app, id, Wish::Add).await?),
    };
    let mut bench = open(&app, turn, Purpose::Enrol).await?;
    let mut faces = Vec::new();
    let mut refused = Vec::new();
    while let Some(part) = reading.next().await? {
        match part {
            Part::Name(name) if whom.is_none() => whom = Some(find(&app, name, Wish::New).await?),
            Part::Name(_) => return Err(Problem::wrong("whom it is about was said already")),
            Part::Picture { file, bytes } => {
                let (back, seen) = see(bench, bytes).await?;
                bench = back;
                match seen {
                    Ok((face, _)) if face.faces > 1 => {
                        refused.push((file, Unusable::Several(face.faces)));
                    }
                    Ok((face, _)) => faces.push((file, face)),
                    Err(why) => refused.push((file, why)),
                }
            }
        }
    }
    let Some(whom) = whom else { return Err(Problem::wrong("there is no name")) };
    if faces.is_empty() && refused.is_empty() {
        return Err(Problem::wrong("there is no picture").helped("JPEG, PNG or WebP"));
    }
    let gathered = Gathered { source: ReferenceSource::Image, faces, refused, tally: None };
    let accepted = gathered.faces.iter().map(|(file, _)| Accepted { file: file.clone() }).collect();
    let refused =
        |(file, why): &(String, Unusable)| Refused { file: file.clone(), why: Why::of(why) };
    let refused: Vec<Refused> = gathered.refused.iter().map(refused).collect();
    let config = app.feed.config();
    let written = app.change(&who, move |store, by| {
        let draft = Draft::new(whom, gathered, true, &config, &bench.networks, Some(&*store));
        let draft = match draft {
            Ok(draft) => draft,
            Err(EnrolError::Refused(_)) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let warnings: Vec<String> = draft.warnings().iter().map(in_words).collect();
        let (subject, _) = draft.write(store, &config.models.embedder, by)?;
        Ok(Some((people::tell(store, &subject.id)?, warnings)))
    });
    match written.await? {
        Some((subject, warnings)) => Ok(Answer(Judged { subject, accepted, refused, warnings })),
        None => Err(Problem::wrong("no picture could be used").with("refused", &refused)),
    }
}

async fn find(app: &Arc<App>, name: String, wish: Wish) -> Result<Whom, Problem> {
    app.read(move |store| Ok(Whom::find(Some(store), &name, wish)?)).await
}

/// A warning as a sentence.
pub(super) fn in_words(warning: &Warning) -> String {
    match warning {
        Warning::Alike { subject, name, score } => format!(
            "looks like {name} ({subject}), score {score:.3}: the same person twice, or two who will be confused?"
        ),
        Warning::OutOfLine { picture, score } => format!(
            "{picture} resembles none of the other pictures (nearest score {score:.3}): is it the same person?"
        ),
        Warning::Name(alike) => format!(
            "the name looks like that of {} ({}) and differs only in {}",
            alike.name, alike.subject, alike.by
        ),
    }
}

/// Whom a picture shows.
#[derive(Serialize, ToSchema)]
pub(super) struct Identified {
    /// The face that was judged; empty where none can be used.
    faces: Vec<FaceIdentified>,
    /// How many faces there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u32>,
    /// Why none can be used: a word, a sentence, and what helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// A face, and whom it resembles.
#[derive(Serialize, ToSchema)]
pub(super) struct FaceIdentified {
    /// `[x, y, width, height]` in pixels.
    #[serde(rename = "box")]
    bounds: [f32; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    best: Option<Best>,
    /// What a score has to reach.
    threshold: f32,
    /// By how much the best one is ahead of the next.
    #[serde(skip_serializing_if = "Option::is_none")]
    margin: Option<f32>,
    /// Whether it is taken for the best one.
    accepted: bool,
    #[schema(value_type = String)]
    reason: &'static str,
    #[schema(value_type = Object)]
    quality: Quality,
}

/// Whom a face resembles most.
#[derive(Serialize, ToSchema)]
pub(super) struct Best {
    subject: SubjectShown,
    score: f32,
}

/// The face in the one picture of a request, and where it lies.
async fn one(
    app: &Arc<App>,
    parts: Multipart,
    purpose: Purpose,
) -> Result<Result<(UsableFace, [f32; 4]), Unusable>, Problem> {
    let turn = Bench::turn(app)?;
    let mut reading = Reading::new(parts);
    let Some(Part::Picture { bytes, .. }) = reading.next().await? else {
        return Err(Problem::wrong("the first part is to be 'picture'"));
    };
    let bench = open(app, turn, purpose).await?;
    Ok(see(bench, bytes).await?.1)
}

/// Whether a picture shows somebody who is enrolled.
#[derive(Serialize, ToSchema)]
pub(super) struct Verified {
    subject: SubjectShown,
    /// Whether the face is taken for the subject's: its score reaches the threshold. It grants nothing.
    same: bool,
    /// The score of the nearest reference; absent where no face, or no reference, can be used.
    #[serde(skip_serializing_if = "Option::is_none")]
    score: Option<f32>,
    /// What a score has to reach, with as many references as the subject has.
    #[serde(skip_serializing_if = "Option::is_none")]
    threshold: Option<f32>,
    /// How many faces there are.
    #[serde(skip_serializing_if = "Option::is_none")]
    seen: Option<u32>,
    /// Why no face can be used: a word, a sentence, and what helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'static str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<&'static str>,
}

/// `POST /api/v1/subjects/ID/verify`
pub(super) async fn verify(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    parts: Multipart,
) -> Result<Answer<Verified>, Problem> {
    let id = people::id_of(&id)?;
    let asked = id.clone();
    let subject = app.read(move |store| Ok(people::tell(store, &asked)?.shown())).await?;
    let (same, score, threshold, seen) = (false, None, None, None);
    let (reason, text, remedy) = (None, None, None);
    let told = Verified { subject, same, score, threshold, seen, reason, text, remedy };
    Ok(Answer(match one(&app, parts, Purpose::Verify(id)).await? {
        Ok((UsableFace { found, faces, .. }, _)) => Verified {
            same: found.accepted().is_some(),
            score: found.best.as_ref().map(|best| best.score),
            threshold: Some(found.threshold),
            seen: Some(faces),
            ..told
        },
        Err(why) => {
            let Why { reason, text, remedy } = Why::of(&why);
            Verified { reason: Some(reason), text: Some(text), remedy: Some(remedy), ..told }
        }
    }))
}

/// `POST /api/v1/identify`
pub(super) async fn identify(
    State(app): State<Arc<App>>,
    parts: Multipart,
) -> Result<Answer<Identified>, Problem> {
    let seen = one(&app, parts, Purpose::Identify).await?;
    let margin = app.feed.config().recognise.margin;
    let (face, bounds) = match seen {
        Ok(seen) => seen,
        Err(why) => {
            let Why { reason, text, remedy } = Why::of(&why);
            let (reason, text, remedy) = (Some(reason), Some(text), Some(remedy));
            return Ok(Answer(Identified { faces: Vec::new(), seen: None, reason, text, remedy }));
        }
    };
    let UsableFace { found, quality, .. } = &face;
    let verdict = Verdict::of_one(found, margin, found.beyond_accepted);
    let names = app.read(|store| Ok(store.names()?)).await?;
    let best = found.best.as_ref().map(|best| {
        let (id, name) = (best.subject.clone(), names.get(&best.subject).cloned());
        Best { subject: SubjectShown { id, name }, score: best.score }
    });
    let faces = vec![FaceIdentified {
        bounds,
        best,
        threshold: found.threshold,
        margin: found.margin,
        accepted: verdict.outcome() == Outcome::Granted,
        reason: verdict.reason(),
        quality: *quality,
    }];
    let seen = Some(face.faces);
    Ok(Answer(Identified { faces, seen, reason: None, text: None, remedy: None }))
}
