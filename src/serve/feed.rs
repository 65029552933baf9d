//! What the daemon's threads hand to the page: news, and the frame that was just judged.
//!
//! In: frames, states and news of the door, the desk and the main thread. Out: the same, to the page's
//! thread. Invariants: nobody who hands something in ever waits: a full channel or a lock that is held
//! loses what is of the moment; while nobody looks, a frame costs two atomic reads and allocates
//! nothing; a picture has one place, in memory, which is emptied when the last one looks away; the door
//! judges nobody while somebody is enrolled at its camera, but for no longer than that was begun for.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{Notify, mpsc};
use utoipa::ToSchema;

use super::pin::Waiting;
use crate::clock::Monotonic;
use crate::compare::SubjectId;
use crate::config::Config;
use crate::decide::{Observation, Seen};
use crate::door::Guidance;
use crate::frame::{Frame, FrameError, PixelFormat};
use crate::geometry::View;
use crate::liveness::{Lacking, LivenessEvidence, Side};
use crate::publish::{Armed, Camera, Health, Info};
use crate::recognise::Recogniser;

/// Least time between two observations, and between two pictures.
const SPACING: Duration = Duration::from_millis(100);
/// News that may wait for the page's thread.
const NEWS_LENGTH: usize = 64;

/// What has happened.
#[derive(Debug)]
pub(super) enum News {
    /// There is a new record.
    Recorded,
    /// Somebody is there, or nobody any more.
    Presence(bool),
    /// What the visitor should do has changed.
    Guidance(Option<Guidance>),
    /// What a frame showed.
    Seen(Box<Sighting>),
    /// What is told of the door's state has changed.
    State,
}

/// What is told of a frame. Coordinates are pixels of the picture as it is seen.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Sighting {
    pub sequence: u64,
    pub captured_at_ms: u64,
    pub width: u32,
    pub height: u32,
    pub faces: Vec<FaceShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub liveness: Option<LivenessShown>,
}

/// A face of a frame.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct FaceShown {
    pub x: f32,
    pub y: f32,
    pub w: f32,
    pub h: f32,
    pub keypoints: [[f32; 2]; 4],
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subject: Option<SubjectShown>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<&'static str>,
    pub primary: bool,
}

/// Somebody who is enrolled, or was; of a face that the door has seen the page's thread adds the name.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub(super) struct SubjectShown {
    #[schema(value_type = String)]
    pub id: SubjectId,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
}

/// What was seen of liveness.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct LivenessShown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub median: Option<f32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub lacking: Option<&'static str>,
}

/// What is known of the door, each the newest.
#[derive(Debug, Clone, Default)]
pub(super) struct Told {
    pub health: Option<Health>,
    pub info: Option<Info>,
    pub camera: Option<Camera>,
    pub armed: Option<Armed>,
    pub guidance: Option<Guidance>,
    pub present: bool,
    /// What a score has to reach.
    pub threshold: Option<f32>,
    /// Whether the broker is there; `None` before that is known, and where there is none.
    pub broker: Option<bool>,
}

/// A copy of a frame.
#[derive(Default)]
pub(super) struct Snapshot {
    pixels: Vec<u8>,
    facts: Option<Facts>,
    /// What was seen in it; `None` where the door did not judge it.
    pub sighting: Option<Sighting>,
}

#[derive(Clone, Copy)]
struct Facts {
    format: PixelFormat,
    size: (u32, u32),
    stride: usize,
    view: View,
    sequence: u64,
    captured_at: Monotonic,
}

impl Snapshot {
    fn copy(&mut self, frame: &Frame<'_>, sighting: Option<Sighting>) {
        self.pixels.clear();
        self.pixels.extend_from_slice(frame.pixels());
        self.facts = Some(Facts {
            format: frame.format(),
            size: frame.stored_size(),
            stride: frame.stride(),
            view: frame.view(),
            sequence: frame.sequence(),
            captured_at: frame.captured_at(),
        });
        self.sighting = sighting;
    }

    /// The frame, if there is one.
    ///
    /// # Errors
    /// [`FrameError`], which a copy of a frame never gives.
    pub(super) fn frame(&self) -> Option<Result<Frame<'_>, FrameError>> {
        let Facts { format, size, stride, view, sequence, captured_at } = self.facts?;
        let frame = Frame::new(&self.pixels, format, size, stride, sequence, captured_at);
        Some(frame.map(|frame| frame.seen_by(view)))
    }
}

#[derive(Default)]
struct Slot {
    snapshot: Snapshot,
    fresh: bool,
}

/// Between the daemon's threads and the page's.
pub struct Feed {
    /// Pages that hear of news.
    watchers: AtomicUsize,
    /// Those of them that hear of observations.
    observers: AtomicUsize,
    /// Pages that see pictures.
    viewers: AtomicUsize,
    /// Until when somebody is enrolled at this camera at most, in microseconds: the door then judges
    /// nobody. Set once for each enrolment, so that a page that is busy cannot let it lapse, and one that
    /// hangs cannot keep the door shut.
    enrolling_until: AtomicU64,
    /// When the last observation, and the last picture, were handed in: microseconds.
    seen_at: AtomicU64,
    shown_at: AtomicU64,
    news: mpsc::Sender<News>,
    told: Mutex<Arc<Told>>,
    slot: Mutex<Slot>,
    pub(super) fresh: Notify,
    config: Mutex<Arc<Config>>,
    /// Whose second factor is waited for, and what was typed for them.
    pub waiting: Waiting,
}

/// One who looks, for as long as this lives.
pub(super) struct Looking {
    feed: Arc<Feed>,
    sees: Sees,
}

/// What somebody who looks is told of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Sees {
    /// News, as a screen at the door.
    News,
    /// News and observations.
    Observations,
    /// Pictures.
    Pictures,
}

impl Drop for Looking {
    fn drop(&mut self) {
        let feed = &self.feed;
        match self.sees {
            Sees::News => {}
            Sees::Observations => {
                feed.observers.fetch_sub(1, Ordering::Relaxed);
            }
            Sees::Pictures => {
                feed.viewers.fetch_sub(1, Ordering::Relaxed);
                return feed.forget_picture();
            }
        }
        feed.watchers.fetch_sub(1, Ordering::Relaxed);
    }
}

/// While this lives the door judges nobody, and for no longer than it was made for.
pub(super) struct Pause(Arc<Feed>);

impl Drop for Pause {
    fn drop(&mut self) {
        self.0.enrolling_until.store(0, Ordering::Relaxed);
        self.0.forget_picture();
    }
}

impl Feed {
    /// One to which nobody looks, and the news' other end.
    pub(super) fn new(config: Config) -> (Arc<Self>, mpsc::Receiver<News>) {
        let (news, received) = mpsc::channel(NEWS_LENGTH);
        let feed = Self {
            watchers: AtomicUsize::new(0),
            observers: AtomicUsize::new(0),
            viewers: AtomicUsize::new(0),
            enrolling_until: AtomicU64::new(0),
            seen_at: AtomicU64::new(0),
            shown_at: AtomicU64::new(0),
            news,
            told: Mutex::default(),
            slot: Mutex::default(),
            fresh: Notify::new(),
            config: Mutex::new(Arc::new(config)),
            waiting: Waiting::default(),
        };
        (Arc::new(feed), received)
    }

    /// One that nobody hears: for whoever measures what handing in costs.
    #[must_use]
    pub fn unheard(config: Config) -> Arc<Self> {
        Self::new(config).0
    }

    /// The configuration that is in force.
    pub(super) fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Another configuration is in force.
    pub fn set_config(&self, config: Config) {
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(config);
        self.tell(News::State);
    }

    /// What is known of the door.
    pub(super) fn told(&self) -> Arc<Told> {
        Arc::clone(&self.lock_told())
    }

    fn lock_told(&self) -> MutexGuard<'_, Arc<Told>> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what is known of the door now.
    fn note(&self, change: impl FnOnce(&mut Told)) {
        change(Arc::make_mut(&mut self.lock_told()));
    }

    fn tell(&self, news: News) {
        // Full: the page's thread is behind, and looks for itself once a second.
        drop(self.news.try_send(news));
    }

    /// There is a new record.
    pub fn recorded(&self) {
        if self.is_watched() {
            self.tell(News::Recorded);
        }
    }

    /// Somebody is there, or nobody any more.
    pub fn presence(&self, present: bool) {
        self.note(|told| told.present = present);
        if self.is_watched() {
            self.tell(News::Presence(present));
        }
    }

    /// What the visitor should do has changed.
    pub fn guidance(&self, guidance: Option<Guidance>) {
        self.note(|told| told.guidance = guidance);
        if self.is_watched() {
            self.tell(News::Guidance(guidance));
        }
    }

    /// How the door does.
    pub fn health(&self, health: Health) {
        self.note(|told| told.health = Some(health));
        self.tell(News::State);
    }

    /// What the door is, and what a score has to reach at it.
    pub fn info(&self, info: Info, threshold: f32) {
        self.note(|told| (told.info, told.threshold) = (Some(info), Some(threshold)));
        self.tell(News::State);
    }

    /// How the camera is.
    pub fn camera(&self, camera: Camera) {
        self.note(|told| told.camera = Some(camera));
        self.tell(News::State);
    }

    /// Whether the door is armed.
    pub fn armed(&self, armed: Armed) {
        self.note(|told| told.armed = Some(armed));
        self.tell(News::State);
    }

    /// Whether the broker is there.
    pub fn broker(&self, connected: bool) {
        self.note(|told| told.broker = Some(connected));
        self.tell(News::State);
    }

    fn is_watched(&self) -> bool {
        self.watchers.load(Ordering::Relaxed) > 0
    }

    /// How many pages see pictures.
    #[must_use]
    pub fn viewers(&self) -> usize {
        self.viewers.load(Ordering::Relaxed)
    }

    /// Hears of news from now on, and of observations where it `observes`.
    pub(super) fn watch(self: &Arc<Self>, observes: bool) -> Looking {
        self.watchers.fetch_add(1, Ordering::Relaxed);
        if observes {
            self.observers.fetch_add(1, Ordering::Relaxed);
        }
        let sees = if observes { Sees::Observations } else { Sees::News };
        Looking { feed: Arc::clone(self), sees }
    }

    /// Sees pictures from now on, as one of at most `most`; `None` where so many do.
    pub(super) fn view(self: &Arc<Self>, most: usize) -> Option<Looking> {
        let another = |viewers| (viewers < most).then_some(viewers + 1);
        self.viewers.fetch_update(Ordering::Relaxed, Ordering::Relaxed, another).ok()?;
        Some(Looking { feed: Arc::clone(self), sees: Sees::Pictures })
    }

    /// Whether anybody wants pictures at `now`.
    pub(super) fn wants_pictures(&self, now: Monotonic) -> bool {
        self.viewers() > 0 || self.is_enrolling(now)
    }

    /// Whether somebody is enrolled at this camera at `now`, so that the door is to judge nobody.
    #[must_use]
    pub fn is_enrolling(&self, now: Monotonic) -> bool {
        self.enrolling_until.load(Ordering::Relaxed) > now.as_micros()
    }

    /// Somebody is enrolled at this camera, until `until` at most; one at a time.
    pub(super) fn pause(self: &Arc<Self>, until: Monotonic) -> Pause {
        self.enrolling_until.store(until.as_micros(), Ordering::Relaxed);
        Pause(Arc::clone(self))
    }

    /// Empties the picture's place where nobody looks any more, and has the page's thread forget the one
    /// that it took.
    fn forget_picture(&self) {
        if self.viewers() == 0 && self.enrolling_until.load(Ordering::Relaxed) == 0 {
            self.empty();
            self.fresh.notify_one();
        }
    }

    /// Empties the picture's place.
    pub(super) fn empty(&self) {
        *self.slot.lock().unwrap_or_else(PoisonError::into_inner) = Slot::default();
    }

    /// A frame that the door has judged, and what it saw in it.
    pub fn judged(
        &self,
        frame: &Frame<'_>,
        sight: &Recogniser,
        observation: &Observation,
        lacking: Option<Lacking>,
        now: Monotonic,
    ) {
        let observed = self.observers.load(Ordering::Relaxed) > 0;
        let observed = observed && matches!(observation.seen, Seen::Faces { .. });
        let tells = observed && is_due(&self.seen_at, now);
        let shows = self.viewers() > 0 && is_due(&self.shown_at, now);
        if !tells && !shows {
            return;
        }
        let size = (frame.width(), frame.height());
        let sighting = Sighting::of(size, sight, observation, lacking);
        if shows {
            self.put(frame, Some(sighting.clone()));
        }
        if tells {
            self.tell(News::Seen(Box::new(sighting)));
        }
    }

    /// A frame that is for an enrolment at this camera and that the door has not judged.
    pub fn unjudged(&self, frame: &Frame<'_>, now: Monotonic) {
        if is_due(&self.shown_at, now) {
            self.put(frame, None);
        }
    }

    fn put(&self, frame: &Frame<'_>, sighting: Option<Sighting>) {
        // Held only while the page's thread takes the last one over.
        let Ok(mut slot) = self.slot.try_lock() else { return };
        slot.snapshot.copy(frame, sighting);
        slot.fresh = true;
        drop(slot);
        self.fresh.notify_one();
    }

    /// Takes the newest frame, in exchange for memory for the next; whether there was a new one.
    pub(super) fn take(&self, into: &mut Snapshot) -> bool {
        let mut slot = self.slot.lock().unwrap_or_else(PoisonError::into_inner);
        let fresh = std::mem::take(&mut slot.fresh);
        if fresh {
            std::mem::swap(&mut slot.snapshot, into);
        }
        fresh
    }
}

/// Whether enough time has passed since `last`, which then becomes `now`.
fn is_due(last: &AtomicU64, now: Monotonic) -> bool {
    let before = Monotonic::from_micros(last.load(Ordering::Relaxed));
    let due = before == Monotonic::default() || now.since(before) >= SPACING;
    if due {
        last.store(now.as_micros(), Ordering::Relaxed);
    }
    due
}

impl Sighting {
    fn of(
        (width, height): (u32, u32),
        sight: &Recogniser,
        observation: &Observation,
        lacking: Option<Lacking>,
    ) -> Self {
        let principal = sight.principal((width, height)).copied();
        let seen = match &observation.seen {
            Seen::Faces { principal, .. } => Some(principal),
            Seen::NoFace | Seen::Fault(_) => None,
        };
        let found = seen.and_then(|seen| seen.found.as_ref());
        let faces = sight.detections().as_slice().iter().map(|face| {
            let primary = seen.is_some() && Some(*face) == principal;
            let bounds = face.bounds();
            let own = found.filter(|_| primary);
            FaceShown {
                x: bounds.x,
                y: bounds.y,
                w: bounds.width,
                h: bounds.height,
                keypoints: face.keypoints().map(|point| [point.x, point.y]),
                score: own.and_then(|found| Some(found.best.as_ref()?.score)),
                subject: own
                    .and_then(|found| found.accepted())
                    .map(|best| SubjectShown { id: best.subject.clone(), name: None }),
                quality: seen
                    .filter(|_| primary)
                    .and_then(|seen| seen.quality.fault)
                    .map(crate::embed::QualityFault::name),
                primary,
            }
        });
        let evidence = sight.liveness_evidence();
        Self {
            sequence: observation.sequence,
            captured_at_ms: observation.captured_at.as_millis(),
            width,
            height,
            faces: faces.collect(),
            score: found.and_then(|found| Some(found.best.as_ref()?.score)),
            threshold: found.map(|found| found.threshold),
            liveness: evidence.map(|LivenessEvidence { median, .. }| LivenessShown {
                median: median.filter(|median| median.is_finite()),
                lacking: lacking.map(word),
            }),
        }
    }
}

const fn word(lacking: Lacking) -> &'static str {
    match lacking {
        Lacking::Looks => "looks",
        Lacking::Surroundings => "surroundings",
        Lacking::Median => "median",
        Lacking::Confirmation => "confirmation",
        Lacking::Ahead => "ahead",
        Lacking::Turn(Side::Left) => "turn_left",
        Lacking::Turn(Side::Right) => "turn_right",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Sources;

    fn feed() -> Arc<Feed> {
        Feed::new(Config::load(&Sources::default()).unwrap()).0
    }

    fn frame(pixels: &[u8], sequence: u64) -> Frame<'_> {
        Frame::new(pixels, PixelFormat::Grey, (4, 4), 4, sequence, Monotonic::default()).unwrap()
    }

    #[test]
    fn the_newest_frame_wins_and_its_place_is_emptied_when_nobody_looks() {
        let feed = feed();
        let looking = feed.view(1).unwrap();
        assert!(feed.view(1).is_none(), "there is a bound");
        let (dark, lit) = ([1; 16], [9; 16]);
        feed.unjudged(&frame(&dark, 1), Monotonic::from_millis(1000));
        feed.unjudged(&frame(&lit, 2), Monotonic::from_millis(1050));
        feed.unjudged(&frame(&lit, 3), Monotonic::from_millis(1100));
        let mut taken = Snapshot::default();
        assert!(feed.take(&mut taken));
        let newest = taken.frame().unwrap().unwrap();
        assert_eq!((newest.sequence(), newest.pixels()), (3, &lit[..]), "at most ten a second");
        assert!(!feed.take(&mut taken), "it is taken once");
        feed.unjudged(&frame(&dark, 4), Monotonic::from_millis(1300));
        drop(looking);
        assert!(feed.slot.lock().unwrap().snapshot.pixels.is_empty(), "nothing is left of it");
    }

    #[test]
    fn a_screen_at_the_door_has_no_observation_made() {
        let feed = feed();
        let screen = feed.watch(false);
        let counts = || [&feed.watchers, &feed.observers].map(|n| n.load(Ordering::Relaxed));
        assert_eq!(counts(), [1, 0]);
        let reader = feed.watch(true);
        assert_eq!(counts(), [2, 1]);
        drop((screen, reader));
        assert_eq!(counts(), [0, 0]);
    }

    #[test]
    fn the_door_judges_nobody_until_the_enrolment_ends_and_no_longer_than_it_may_take() {
        let feed = feed();
        let at = Monotonic::from_millis;
        let pause = feed.pause(at(5000));
        // However long nobody says it again.
        assert!(feed.is_enrolling(at(0)) && feed.is_enrolling(at(4999)));
        assert!(!feed.is_enrolling(at(5000)), "a page that hangs keeps no door shut");
        drop(pause);
        assert!(!feed.is_enrolling(at(0)));
    }

    #[test]
    fn who_hands_in_never_waits() {
        let (feed, mut news) = Feed::new(Config::load(&Sources::default()).unwrap());
        feed.recorded();
        assert!(news.try_recv().is_err(), "nobody watches");
        let looking = feed.watch(true);
        for _ in 0..10 * NEWS_LENGTH {
            feed.recorded();
        }
        assert!(std::iter::from_fn(|| news.try_recv().ok()).count() <= NEWS_LENGTH);
        let held = feed.slot.lock().unwrap();
        feed.unjudged(&frame(&[1; 16], 1), Monotonic::from_millis(1));
        drop((held, looking));
        assert!(!feed.take(&mut Snapshot::default()), "it was lost rather than waited for");
    }
}
