//! Enrolling somebody at this door's camera, step by step: straight ahead, to either side, upwards.
//!
//! In: frames that the door has not judged. Out: events that say what to do, and in the end references, by
//! `enrol`, with their record. One at a time; whoever cannot turn the head goes on without that step.
//! It ends when it is finished or given up, after [`LONGEST`], when the page that began it has been closed
//! for [`ABSENT`], and when a network fails; a thread that dies at it ends it, too.
//! Invariants: a face is taken only as `enrol` takes it, with nobody else in the picture, and not twice
//! within [`SPACING`]; the door judges nobody from before the first face is taken until what was taken is
//! written ([`Pause`]), and then not whoever still stands there (`door`); the pause ends with the
//! enrolment, whichever way that ends, and nothing is taken or written after it.

use std::collections::BTreeMap;
use std::sync::{Arc, MutexGuard, PoisonError, TryLockError};
use std::time::Duration;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};
use utoipa::ToSchema;

use super::app::{App, blocking};
use super::events::{Heard, send};
use super::feed::{FaceShown, Pause, Sighting, SubjectShown};
use super::guard::Identity;
use super::openapi::{self, Stated};
use super::pictures::{Bench, Purpose, in_words};
use super::poses::{Pose, Step};
use super::problem::Problem;
use super::{body, people};
use crate::clock::{Clock as _, Monotonic};
use crate::config::Config;
use crate::detect::Detection;
use crate::embed::QualityFault;
use crate::enrol::{Draft, Gathered, SPACING, Unusable, UsableFace, Whom, Wish};
use crate::frame::Frame;
use crate::store::{Administrative, ReferenceSource, Store};

/// No enrolment is longer.
const LONGEST: Duration = Duration::from_secs(120);
/// A step that is not done in so long is passed over, but for the first.
const STEP_LONGEST: Duration = Duration::from_secs(15);
/// For how long the page that began it may be away: one that lost its connection comes back.
const ABSENT: Duration = Duration::from_secs(10);
const BODY_MAX: usize = 8 * 1024;

/// Why an enrolment ended without a subject.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Over {
    detail: String,
    remedy: Option<String>,
}

impl Over {
    fn new(detail: &str, remedy: &str) -> Self {
        Self { detail: detail.to_owned(), remedy: Some(remedy.to_owned()) }
    }

    fn of(problem: &Problem) -> Self {
        let remedy = problem.remedy().map(str::to_owned);
        Self { detail: problem.detail().to_owned(), remedy }
    }
}

/// For how long an enrolment may go on.
struct Terms {
    until: Monotonic,
    /// What the one who began it shows of themselves.
    page: String,
    /// When that one was there last.
    heard_at: Monotonic,
}

impl Terms {
    fn begin(page: String, now: Monotonic) -> Self {
        Self { until: now.plus(LONGEST), page, heard_at: now }
    }

    /// Why it is over at `now`, where it is; `here` says whether its page is.
    fn over(&mut self, here: bool, now: Monotonic) -> Option<Over> {
        if here {
            self.heard_at = now;
        }
        if now >= self.until {
            return Some(Over::new("it took too long", "begin again"));
        }
        let absent = now.since(self.heard_at) >= ABSENT;
        absent.then(|| Over::new("the page that began it was closed", "begin again"))
    }
}

/// An enrolment that runs.
pub(super) struct Guided {
    id: String,
    /// Taken by the draft.
    whom: Option<Whom>,
    bench: Bench,
    config: Arc<Config>,
    step: Step,
    taken: [u32; 4],
    faces: Vec<(String, UsableFace)>,
    /// What is to be written, once everything was taken.
    draft: Option<Draft>,
    ahead: Option<Pose>,
    taken_at: Option<Monotonic>,
    terms: Terms,
    step_began: Monotonic,
    say: Option<&'static str>,
    /// Last, so that the door judges again when all else is gone.
    _pause: Pause,
}

/// How an enrolment at the camera is.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub(super) struct Enrolment {
    id: String,
    /// `straight`, `left`, `right`, `up`, `ready`, and as an event also `done` and `failed`.
    step: &'static str,
    /// How many faces were taken, by step.
    taken: BTreeMap<&'static str, u32>,
    /// How many are wanted, by step.
    wanted: BTreeMap<&'static str, u32>,
    /// What keeps the next face from being taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    say: Option<&'static str>,
    /// What somebody should look at before it is finished.
    warnings: Vec<String>,
    /// Whom it has enrolled, where it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    subject: Option<SubjectShown>,
    /// Why it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    detail: Option<String>,
    /// What helps.
    #[serde(skip_serializing_if = "Option::is_none")]
    remedy: Option<String>,
}

impl Guided {
    fn event(&self) -> Enrolment {
        let counts = |count: &dyn Fn(usize, Step) -> u32| {
            let poses = Step::POSES.iter().enumerate();
            poses.map(|(place, step)| (step.name(), count(place, *step))).collect()
        };
        Enrolment {
            id: self.id.clone(),
            step: self.step.name(),
            taken: counts(&|place, _| self.taken.get(place).copied().unwrap_or_default()),
            wanted: counts(&|_, step| step.wanted()),
            say: self.say,
            warnings: self.draft.iter().flat_map(Draft::warnings).map(in_words).collect(),
            subject: None,
            detail: None,
            remedy: None,
        }
    }

    /// The event that ends it without a subject.
    fn failed(&self, over: Over) -> Enrolment {
        let Over { detail, remedy } = over;
        Enrolment { step: "failed", say: None, detail: Some(detail), remedy, ..self.event() }
    }

    /// Ends it without a subject.
    fn end(self, app: &App, over: Over) {
        let last = self.failed(over);
        self.end_with(app, &last);
    }

    /// Ends it and tells so by `last`: whoever hears of that may begin another at once, for the networks
    /// are closed and the door judges again.
    fn end_with(self, app: &App, last: &Enrolment) {
        drop(self);
        tell(app, last);
    }

    /// Why it is over, where it is.
    fn over(&mut self, app: &App) -> Option<Over> {
        self.terms.over(app.is_listening(&self.terms.page), app.clock.now())
    }

    /// Makes what is to be written of what was taken.
    fn draw_up(&mut self, store: &Store) -> Result<(), Problem> {
        let Some(whom) = self.whom.take().filter(|_| !self.faces.is_empty()) else {
            return Err(Problem::wrong("no face was taken").helped("look at the camera"));
        };
        let (source, faces) = (ReferenceSource::Camera, std::mem::take(&mut self.faces));
        let gathered = Gathered { source, faces, refused: Vec::new(), tally: None };
        let networks = &self.bench.networks;
        self.draft = Some(Draft::new(whom, gathered, true, &self.config, networks, Some(store))?);
        Ok(())
    }

    /// Judges `frame` and takes its face where it is what is asked for; whether anything changed, and
    /// what was seen.
    fn see(&mut self, frame: &Frame<'_>, now: Monotonic) -> Result<(bool, Sighting), Over> {
        let before = (self.step, self.taken, self.say);
        let size = (frame.width(), frame.height());
        let seen = self.bench.judge.frame(frame);
        let detection = self.bench.judge.principal(size);
        let sighting = shown(frame, detection.as_ref(), &seen);
        self.say = match (seen, detection) {
            (Err(why @ Unusable::Fault), _) => return Err(Over::new(&why.finding(), why.remedy())),
            (Ok(face), _) if face.faces > 1 => Some("several_faces"),
            (Ok(face), Some(detection)) => {
                let pose = Pose::of(&face, &detection);
                self.take(face, pose, frame, now)
            }
            (Ok(_), None) => Some("no_face"),
            (Err(why), _) => Some(word(&why)),
        };
        let place = Step::POSES.iter().position(|step| *step == self.step);
        let done = place.and_then(|place| self.taken.get(place)).copied().unwrap_or_default();
        let passed = self.step != Step::Straight && now.since(self.step_began) >= STEP_LONGEST;
        if self.step != Step::Ready && (done >= self.step.wanted() || passed) {
            self.step = self.step.next();
            self.step_began = now;
            self.say = None;
        }
        Ok((before != (self.step, self.taken, self.say), sighting))
    }

    fn take(
        &mut self,
        face: UsableFace,
        pose: Pose,
        frame: &Frame<'_>,
        now: Monotonic,
    ) -> Option<&'static str> {
        if !pose.shows(self.step, self.ahead) {
            return None;
        }
        if self.taken_at.is_some_and(|at| now.since(at) < SPACING) {
            return Some("hold_still");
        }
        self.taken_at = Some(now);
        if self.step == Step::Straight && self.ahead.is_none() {
            self.ahead = Some(pose);
        }
        let place = Step::POSES.iter().position(|step| *step == self.step);
        if let Some(count) = place.and_then(|place| self.taken.get_mut(place)) {
            *count += 1;
        }
        self.faces.push((format!("{}, frame {}", self.step.name(), frame.sequence()), face));
        Some("hold_still")
    }
}

const fn word(why: &Unusable) -> &'static str {
    match why {
        Unusable::Poor(fault) | Unusable::CameraTurned { fault, .. } => fault.name(),
        Unusable::Several(_) => "several_faces",
        _ => "no_face",
    }
}

/// What a page that watches is shown of it.
fn shown(
    frame: &Frame<'_>,
    detection: Option<&Detection>,
    seen: &Result<UsableFace, Unusable>,
) -> Sighting {
    let best = seen.as_ref().ok().and_then(|face| face.found.best.as_ref());
    let accepted = seen.as_ref().ok().and_then(|face| face.found.accepted());
    let fault = seen.as_ref().err().and_then(Unusable::fault).map(QualityFault::name);
    let face = detection.map(|detection| FaceShown {
        x: detection.bounds().x,
        y: detection.bounds().y,
        w: detection.bounds().width,
        h: detection.bounds().height,
        keypoints: detection.keypoints().map(|point| [point.x, point.y]),
        score: best.map(|best| best.score),
        subject: accepted.map(|one| SubjectShown { id: one.subject.clone(), name: None }),
        quality: fault,
        primary: true,
    });
    Sighting {
        sequence: frame.sequence(),
        captured_at_ms: frame.captured_at().as_millis(),
        width: frame.width(),
        height: frame.height(),
        faces: face.into_iter().collect(),
        score: best.map(|best| best.score),
        threshold: seen.as_ref().ok().map(|face| face.found.threshold),
        liveness: None,
    }
}

fn tell(app: &App, event: &Enrolment) {
    send(app, Heard::full("enrolment", event));
}

/// The place of the enrolment that runs. One of which a thread died is given up.
fn place(app: &App) -> MutexGuard<'_, Option<Guided>> {
    app.guided.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Shows `frame` to the enrolment that runs, if one does, on a thread that may block.
pub(super) fn see(app: &App, frame: &Frame<'_>) -> Option<Sighting> {
    let mut place = place(app);
    // Taken out: where this panics, the enrolment is gone, and its pause with it.
    let mut running = place.take()?;
    if running.draft.is_some() {
        *place = Some(running);
        return None;
    }
    let seen = match running.over(app) {
        Some(over) => Err(over),
        None => running.see(frame, app.clock.now()),
    };
    let drawn = seen.and_then(|seen| {
        if running.step == Step::Ready {
            running.draw_up(&app.database()).map_err(|problem| Over::of(&problem))?;
        }
        Ok(seen)
    });
    match drawn {
        Ok((changed, sighting)) => {
            if changed {
                tell(app, &running.event());
            }
            *place = Some(running);
            Some(sighting)
        }
        Err(over) => {
            running.end(app, over);
            None
        }
    }
}

/// Writes what was taken, as `who`; the subject.
fn write(app: &App, mut running: Guided, who: &Identity) -> Result<people::Person, Problem> {
    let written = app.acting(who, |store, by| {
        if running.draft.is_none() {
            running.draw_up(store)?;
        }
        let draft = running.draft.as_ref().ok_or_else(none)?;
        let (subject, _) = draft.write(store, &running.config.models.embedder, by)?;
        people::tell(store, &subject.id)
    });
    let last = match &written {
        Ok(person) => {
            let subject = Some(person.shown());
            Enrolment { step: "done", say: None, subject, ..running.event() }
        }
        Err(problem) => running.failed(Over::of(problem)),
    };
    running.end_with(app, &last);
    written
}

/// Gives up what may not go on. Where a frame is being judged for it, that looks for itself.
pub(super) fn expire(app: &App) {
    let mut place = match app.guided.try_lock() {
        Ok(place) => place,
        Err(TryLockError::Poisoned(poisoned)) => poisoned.into_inner(),
        Err(TryLockError::WouldBlock) => return,
    };
    if let Some(over) = place.as_mut().and_then(|running| running.over(app))
        && let Some(running) = place.take()
    {
        running.end(app, over);
    }
}

/// The last event of the enrolment that runs; nothing while a frame is being judged for it.
pub(super) fn last_event(app: &App) -> Option<Heard> {
    let place = app.guided.try_lock().ok()?;
    Some(Heard::full("enrolment", &place.as_ref()?.event()))
}

/// Who is to be enrolled: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Wanted {
    /// Somebody new, of this name.
    #[serde(default, deserialize_with = "body::there")]
    name: Option<String>,
    /// The id of somebody who is enrolled and gets further references.
    #[serde(default, deserialize_with = "body::there")]
    subject: Option<String>,
}

impl Wanted {
    /// The name, or the id, and what is wished under it.
    ///
    /// # Errors
    /// It is not one of the two.
    pub(super) fn wish(self) -> Result<(String, Wish), Problem> {
        match (self.name, self.subject) {
            (Some(name), None) => Ok((name, Wish::New)),
            (None, Some(subject)) => Ok((subject, Wish::Add)),
            _ => Err(Problem::wrong("one of 'name' and 'subject' is wanted")),
        }
    }
}

impl Stated for Wanted {
    const NAME: &str = "Wanted";

    fn stated() -> Json {
        json!({
            "type": "object",
            "description": "Who is to be enrolled: one of the two.",
            "additionalProperties": false,
            "properties": {
                "name": { "description": "Somebody new, of this name.", "type": "string", "minLength": 1, "maxLength": 64 },
                "subject": {
                    "description": "The id of somebody who is enrolled and gets further references.",
                    "type": "string", "pattern": openapi::SUBJECT,
                },
            },
            "minProperties": 1,
            "maxProperties": 1,
        })
    }
}

/// An enrolment that was begun.
#[derive(Serialize, ToSchema)]
pub(super) struct Begun {
    id: String,
}

/// `POST /api/v1/enrolments`
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    who: Identity,
    body: Body,
) -> Result<Response, Problem> {
    let (asked, wish) = body::json::<Wanted>(body, BODY_MAX).await?.wish()?;
    let whom = app.read(move |store| Ok(Whom::find(Some(store), &asked, wish)?)).await?;
    let turn = Bench::turn(&app)?;
    // From before the networks are opened: no frame is being judged any more when they are.
    let now = app.clock.now();
    let terms = Terms::begin(who.shown.key(), now);
    let pause = app.feed.pause(terms.until);
    let (for_work, by) = (Arc::clone(&app), who.clone());
    let id = blocking(move || {
        let app = for_work;
        let config = app.feed.config();
        let bench = Bench::open(&app, turn, &Purpose::Enrol)?;
        app.acting(&by, |store, by| {
            let event = Administrative::EnrolmentBegun;
            store.record_admin(event, by.door, by.boot, by.now, by.wall)
        })?;
        let running = Guided {
            id: uuid::Uuid::new_v4().to_string(),
            whom: Some(whom),
            bench,
            config,
            step: Step::Straight,
            taken: [0; 4],
            faces: Vec::new(),
            draft: None,
            ahead: None,
            taken_at: None,
            terms,
            step_began: now,
            say: None,
            _pause: pause,
        };
        let id = running.id.clone();
        // Held while it is told: whoever hears of it finds it.
        let mut place = place(&app);
        tell(&app, &running.event());
        *place = Some(running);
        drop(place);
        Ok(id)
    })
    .await?;
    tracing::info!(account = %who.account.name, "an enrolment at the camera begins; nobody is granted meanwhile");
    Ok((StatusCode::CREATED, Answer(Begun { id })).into_response())
}

/// `GET /api/v1/enrolments`
pub(super) async fn show(State(app): State<Arc<App>>, who: Identity) -> Result<Response, Problem> {
    let found = blocking(move || {
        let mut place = place(&app);
        let Some(running) = place.as_mut() else { return Ok(None) };
        // Whoever asks again and again need not listen to events.
        if running.terms.page == who.shown.key() {
            running.terms.heard_at = app.clock.now();
        }
        Ok(Some(running.event()))
    });
    Ok(found.await?.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |event| Answer(event).into_response(),
    ))
}

fn none() -> Problem {
    Problem::absent("nobody is being enrolled at this camera")
}

/// Takes the enrolment `id` from where it runs; one that is to be `written` only with a face, and while
/// it may go on.
fn taken(app: &App, id: &str, written: bool) -> Result<Guided, Problem> {
    let mut place = place(app);
    let running = place.as_mut().filter(|running| running.id == id).ok_or_else(none)?;
    if written && running.over(app).is_some() {
        return Err(none());
    }
    if written && running.faces.is_empty() && running.draft.is_none() {
        return Err(Problem::conflict("no face was taken yet").helped("look at the camera"));
    }
    place.take().ok_or_else(none)
}

/// `DELETE /api/v1/enrolments/ID`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || {
        let running = taken(&app, &id, false)?;
        running.end(&app, Over { detail: "cancelled".to_owned(), remedy: None });
        Ok(())
    })
    .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /api/v1/enrolments/ID/finish`
pub(super) async fn finish(
    State(app): State<Arc<App>>,
    who: Identity,
    Path(id): Path<String>,
) -> Result<Answer<people::Person>, Problem> {
    let subject = blocking(move || {
        let running = taken(&app, &id, true)?;
        write(&app, running, &who)
    });
    Ok(Answer(subject.await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Monotonic {
        Monotonic::from_millis(1000 * seconds)
    }

    #[test]
    fn an_enrolment_ends_by_time_however_often_its_page_is_heard() {
        let mut terms = Terms::begin("page".to_owned(), at(0));
        for second in 0..LONGEST.as_secs() {
            assert_eq!(terms.over(true, at(second)), None, "after {second} s");
        }
        let over = terms.over(true, at(LONGEST.as_secs())).unwrap();
        assert_eq!(over.detail, "it took too long");
        assert_eq!(terms.until, at(LONGEST.as_secs()), "and with it the door's pause");
    }

    #[test]
    fn an_enrolment_ends_when_its_page_is_closed_and_not_when_that_comes_back() {
        let absent = ABSENT.as_secs();
        let mut terms = Terms::begin("page".to_owned(), at(0));
        assert_eq!(terms.over(true, at(20)), None);
        assert_eq!(terms.over(false, at(20 + absent - 1)), None, "it may come back");
        assert_eq!(terms.over(true, at(20 + absent)), None, "it has");
        let over = terms.over(false, at(20 + 2 * absent)).unwrap();
        assert_eq!(over.detail, "the page that began it was closed");
    }
}
