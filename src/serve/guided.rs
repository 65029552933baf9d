//! Enrolling somebody at this door's camera, step by step: straight ahead, to either side, upwards.
//!
//! In: frames that the door has not judged, because nobody is granted meanwhile. Out: events that say
//! what to do, and in the end references, by `enrol`, with their record. One at a time, for at most
//! [`LONGEST`]; whoever cannot turn the head goes on without that step.
//! How a head stands is seen by its keypoints: yaw as `Quality` has it, pitch by where the nose lies on
//! the line from the eyes to the mouth, both against the ones seen straight ahead.
//! Invariants: a face is taken only as `enrol` takes it, with nobody else in the picture, and not twice
//! within [`SPACING`]; a page that dies lets the door go on within seconds (`feed`).

use std::sync::{Arc, PoisonError};
use std::time::Duration;

use axum::Json as Answer;
use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use serde::Deserialize;
use serde_json::{Value as Json, json};

use super::app::{App, blocking};
use super::events::{Heard, send};
use super::feed::{FaceShown, Sighting, SubjectShown};
use super::guard::Identity;
use super::pictures::{Bench, in_words};
use super::problem::Problem;
use super::read::object;
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
/// How far a head must be turned, in eye distances beyond straight ahead.
const TURNED: f32 = 0.12;
/// Within which it counts as straight ahead.
const STRAIGHT: f32 = 0.10;
/// By how much nearer to the eyes the nose must be, as a share of the way to the mouth.
const RAISED: f32 = 0.06;
const BODY_MAX: usize = 8 * 1024;

/// What is to be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Straight,
    Left,
    Right,
    Up,
    /// Nothing more: somebody is to look at the warnings, and to finish.
    Ready,
}

impl Step {
    const POSES: [Self; 4] = [Self::Straight, Self::Left, Self::Right, Self::Up];

    const fn name(self) -> &'static str {
        match self {
            Self::Straight => "straight",
            Self::Left => "left",
            Self::Right => "right",
            Self::Up => "up",
            Self::Ready => "ready",
        }
    }

    const fn wanted(self) -> u32 {
        match self {
            Self::Straight => 3,
            Self::Left | Self::Right => 2,
            Self::Up => 1,
            Self::Ready => 0,
        }
    }

    const fn next(self) -> Self {
        match self {
            Self::Straight => Self::Left,
            Self::Left => Self::Right,
            Self::Right => Self::Up,
            Self::Up | Self::Ready => Self::Ready,
        }
    }
}

/// How a head stands.
#[derive(Debug, Clone, Copy, PartialEq)]
struct Pose {
    yaw: f32,
    pitch: f32,
}

impl Pose {
    fn of(face: &UsableFace, detection: &Detection) -> Self {
        let [right_eye, left_eye, nose, mouth] = detection.keypoints();
        let eyes = (right_eye.x.midpoint(left_eye.x), right_eye.y.midpoint(left_eye.y));
        let (down_x, down_y) = (mouth.x - eyes.0, mouth.y - eyes.1);
        let (nose_x, nose_y) = (nose.x - eyes.0, nose.y - eyes.1);
        let length = down_x * down_x + down_y * down_y;
        let pitch = (nose_x * down_x + nose_y * down_y) / length.max(f32::MIN_POSITIVE);
        Self { yaw: face.quality.yaw, pitch }
    }

    /// Whether this is what `step` asks for, of a head that was seen straight ahead as `ahead`.
    fn shows(self, step: Step, ahead: Option<Self>) -> bool {
        let Some(ahead) = ahead else {
            return step == Step::Straight && self.yaw.abs() <= STRAIGHT;
        };
        let yaw = self.yaw - ahead.yaw;
        match step {
            Step::Straight => yaw.abs() <= STRAIGHT,
            // The visitor's left is the right of a picture that is not mirrored.
            Step::Left => yaw >= TURNED,
            Step::Right => yaw <= -TURNED,
            Step::Up => yaw.abs() <= 2.0 * STRAIGHT && self.pitch <= ahead.pitch - RAISED,
            Step::Ready => false,
        }
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
    began: Monotonic,
    step_began: Monotonic,
    say: Option<&'static str>,
}

impl Guided {
    fn event(&self) -> Json {
        let counts = |count: &dyn Fn(usize, Step) -> u32| -> Json {
            Step::POSES
                .iter()
                .enumerate()
                .map(|(place, step)| (step.name().to_owned(), Json::from(count(place, *step))))
                .collect::<serde_json::Map<_, _>>()
                .into()
        };
        object(json!({
            "id": self.id,
            "step": self.step.name(),
            "taken": counts(&|place, _| self.taken.get(place).copied().unwrap_or_default()),
            "wanted": counts(&|_, step| step.wanted()),
            "say": self.say,
            "warnings": self.warnings(),
        }))
    }

    fn warnings(&self) -> Vec<String> {
        self.draft.iter().flat_map(Draft::warnings).map(in_words).collect()
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

    /// The event that ends it without a subject.
    fn failed(&self, detail: &str, remedy: Option<&str>) -> Json {
        let mut event = self.event();
        if let Json::Object(fields) = &mut event {
            fields.remove("say");
            fields.insert("step".to_owned(), "failed".into());
            fields.insert("detail".to_owned(), detail.into());
            fields.extend(remedy.map(|remedy| ("remedy".to_owned(), remedy.into())));
        }
        event
    }

    /// Judges `frame` and takes its face where it is what is asked for; whether anything changed, and
    /// what was seen.
    fn see(&mut self, frame: &Frame<'_>, now: Monotonic) -> (bool, Option<Sighting>) {
        let before = (self.step, self.taken, self.say);
        let size = (frame.width(), frame.height());
        let seen = self.bench.judge.frame(frame);
        let detection = self.bench.judge.principal(size);
        let sighting = shown(frame, detection.as_ref(), &seen);
        self.say = match (seen, detection) {
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
        (before != (self.step, self.taken, self.say), Some(sighting))
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

fn tell(app: &App, event: &Json) {
    send(app, Heard::new("enrolment", None, Some(event), None));
}

/// Shows `frame` to the enrolment that runs, if one does, on a thread that may block.
pub(super) fn see(app: &App, guided: &mut Option<Guided>, frame: &Frame<'_>) -> Option<Sighting> {
    let running = guided.as_mut().filter(|running| running.draft.is_none())?;
    let (changed, sighting) = running.see(frame, app.clock.now());
    if running.step == Step::Ready
        && let Err(problem) = running.draw_up(&app.database())
    {
        let event = running.failed(problem.detail(), problem.remedy());
        *guided = None;
        app.feed.end_enrolling();
        tell(app, &event);
    } else if changed {
        tell(app, &running.event());
    }
    sighting
}

/// Writes what was taken, as `who`; the subject.
fn write(app: &App, mut running: Guided, who: &Identity) -> Result<Json, Problem> {
    let done = {
        let mut store = app.database();
        let drawn = if running.draft.is_some() { Ok(()) } else { running.draw_up(&store) };
        store.acting_for(Some(who.account.name.clone()));
        let written = drawn.and_then(|()| {
            let draft = running.draft.as_ref().ok_or_else(none)?;
            let model = &running.config.models.embedder;
            let (subject, _) = draft.write(&mut store, model, app.signature())?;
            let short = json!({ "id": subject.id, "name": subject.name });
            Ok((people::tell(&store, &subject.id)?, short))
        });
        store.acting_for(None);
        written
    };
    app.feed.recorded();
    let (event, outcome) = match done {
        Ok((subject, short)) => {
            let mut event = running.event();
            if let Json::Object(fields) = &mut event {
                fields.insert("step".to_owned(), "done".into());
                fields.insert("subject".to_owned(), short);
            }
            (event, Ok(subject))
        }
        Err(problem) => (running.failed(problem.detail(), problem.remedy()), Err(problem)),
    };
    tell(app, &event);
    outcome
}

/// Gives up what has taken too long, and keeps the door from judging while one runs.
pub(super) async fn expire(app: &Arc<App>) {
    let now = app.clock.now();
    if !app.feed.is_enrolling(now) {
        return;
    }
    let for_work = Arc::clone(app);
    let done = blocking(move || {
        let mut guided = for_work.guided.lock().unwrap_or_else(PoisonError::into_inner);
        match guided.as_ref() {
            Some(running) if now.since(running.began) < LONGEST => {
                for_work.feed.enrol_until(now);
            }
            Some(running) => {
                let event = running.failed("it took too long", Some("begin again"));
                *guided = None;
                for_work.feed.end_enrolling();
                tell(&for_work, &event);
            }
            None => for_work.feed.end_enrolling(),
        }
        Ok(())
    });
    drop(done.await);
}

/// The last event of the enrolment that runs; nothing while a frame is being judged for it.
pub(super) fn last_event(app: &App) -> Option<Heard> {
    let guided = app.guided.try_lock().ok()?;
    let event = guided.as_ref()?.event();
    Some(Heard::new("enrolment", None, Some(&event), None))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: Option<String>,
    subject: Option<String>,
}

/// `POST /api/v1/enrolments`
pub(super) async fn begin(
    State(app): State<Arc<App>>,
    who: Identity,
    body: Body,
) -> Result<Response, Problem> {
    let wanted: Wanted = body::json(body, BODY_MAX).await?;
    let (asked, wish) = match (wanted.name, wanted.subject) {
        (Some(name), None) => (name, Wish::New),
        (None, Some(subject)) => (subject, Wish::Add),
        _ => return Err(Problem::wrong("one of 'name' and 'subject' is wanted")),
    };
    let (for_work, by) = (Arc::clone(&app), who.clone());
    let event = blocking(move || {
        let app = for_work;
        let mut guided = app.guided.lock().unwrap_or_else(PoisonError::into_inner);
        if guided.is_some() {
            return Err(Problem::conflict("somebody is being enrolled at this camera already"));
        }
        let config = app.feed.config();
        let mut store = app.database();
        let whom = Whom::find(Some(&store), &asked, wish)?;
        let bench = Bench::open(&config, &store, true)?;
        store.acting_for(Some(by.account.name.clone()));
        let signature = app.signature();
        let recorded = store.record_admin(
            Administrative::EnrolmentBegun,
            signature.door,
            signature.boot,
            signature.now,
            signature.wall,
        );
        store.acting_for(None);
        drop(store);
        recorded?;
        let now = app.clock.now();
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
            began: now,
            step_began: now,
            say: None,
        };
        let event = running.event();
        *guided = Some(running);
        app.feed.enrol_until(now);
        app.feed.recorded();
        tell(&app, &event);
        Ok(event)
    })
    .await?;
    tracing::info!(account = %who.account.name, "an enrolment at the camera begins; nobody is granted meanwhile");
    Ok((StatusCode::CREATED, Answer(json!({ "id": event.get("id") }))).into_response())
}

/// `GET /api/v1/enrolments`
pub(super) async fn show(State(app): State<Arc<App>>) -> Result<Response, Problem> {
    let found = blocking(move || {
        let guided = app.guided.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(guided.as_ref().map(Guided::event))
    });
    Ok(found.await?.map_or_else(
        || StatusCode::NO_CONTENT.into_response(),
        |event| Answer(event).into_response(),
    ))
}

fn none() -> Problem {
    Problem::absent("nobody is being enrolled at this camera")
}

/// Takes the enrolment `id` from where it runs; one that is to be `written` only with a face.
fn taken(app: &App, id: &str, written: bool) -> Result<Guided, Problem> {
    let mut guided = app.guided.lock().unwrap_or_else(PoisonError::into_inner);
    let running = guided.as_ref().filter(|running| running.id == id).ok_or_else(none)?;
    if written && running.faces.is_empty() && running.draft.is_none() {
        return Err(Problem::wrong("no face was taken yet").helped("look at the camera"));
    }
    let running = guided.take().ok_or_else(none)?;
    drop(guided);
    app.feed.end_enrolling();
    Ok(running)
}

/// `DELETE /api/v1/enrolments/ID`
pub(super) async fn cancel(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
) -> Result<StatusCode, Problem> {
    blocking(move || {
        let running = taken(&app, &id, false)?;
        let event = running.failed("cancelled", None);
        tell(&app, &event);
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
) -> Result<Answer<Json>, Problem> {
    let subject = blocking(move || {
        let running = taken(&app, &id, true)?;
        write(&app, running, &who)
    });
    Ok(Answer(subject.await?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pose_is_told_against_the_one_straight_ahead() {
        let pose = |yaw, pitch| Pose { yaw, pitch };
        let ahead = Some(pose(0.05, 0.5));
        for (step, yaw, pitch, shows) in [
            (Step::Straight, 0.10, 0.5, true),
            (Step::Straight, 0.30, 0.5, false),
            (Step::Left, 0.20, 0.5, true),
            (Step::Left, -0.20, 0.5, false),
            (Step::Right, -0.20, 0.5, true),
            (Step::Right, 0.0, 0.5, false),
            (Step::Up, 0.05, 0.42, true),
            (Step::Up, 0.05, 0.5, false),
            (Step::Up, 0.40, 0.4, false),
            (Step::Ready, 0.05, 0.5, false),
            (Step::Left, f32::NAN, 0.5, false),
        ] {
            assert_eq!(pose(yaw, pitch).shows(step, ahead), shows, "{step:?} {yaw} {pitch}");
        }
        assert!(pose(0.0, 0.5).shows(Step::Straight, None));
        assert!(!pose(0.2, 0.5).shows(Step::Left, None), "straight ahead comes first");
    }

    #[test]
    fn every_step_leads_to_the_end() {
        let mut step = Step::Straight;
        for _ in 0..4 {
            step = step.next();
        }
        assert_eq!((step, step.next()), (Step::Ready, Step::Ready));
    }
}
