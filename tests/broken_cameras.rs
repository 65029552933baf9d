//! Cameras that break in every way, before the whole path: never a hang, never a grant that the
//! frames do not bear, and the camera's state tells what is wrong.
//!
//! In: a recording of a person, broken on purpose, supervised as a camera is. Out: what the visit
//! decides and which states the camera went through. Real networks; needs the files that
//! `make assets` fetches and says aloud when it skips. Time is the recording's own.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test stops at the first surprise")]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use deepid_edge::capture::fault::{Fault, FaultPlan, FaultySource};
use deepid_edge::capture::replay::{Pace, Replay, ReplaySettings};
use deepid_edge::capture::supervise::{Opener, SuperviseSettings, Supervised};
use deepid_edge::capture::watch::Decoded;
use deepid_edge::capture::{CameraState, CapturedFrame, Decoder, FrameSource, Progress};
use deepid_edge::clock::{Clock, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use deepid_edge::compare::Gallery;
use deepid_edge::decide::{self, Effect, Seen, Verdict, VisitPolicy};
use deepid_edge::detect::FollowerSettings;
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::FeatureVector;
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::inference::Runtime;
use support::fault_rows::shown;
use support::models::runtime;
use support::path;
use support::scene::{self, Recording};

/// Turns of the loop: more than a minute of frames, or of waiting.
const TURNS: usize = 900;
/// Frames that are judged by the networks; what comes after only has to keep moving.
const JUDGED: usize = 120;

/// What came of a camera.
#[derive(Debug, Default)]
struct Told {
    grants: usize,
    decisions: usize,
    judged: usize,
    states: Vec<CameraState>,
}

impl Told {
    fn last_state(&self) -> CameraState {
        *self.states.last().expect("it has a state")
    }
}

/// The enrolled person's vectors.
fn enrolled(runtime: &Runtime) -> Vec<FeatureVector> {
    [("obama.jpg", 0.26, (200, 60)), ("obama2.jpg", 0.26, (180, 40))]
        .into_iter()
        .map(|(photograph, scale, at)| {
            let gallery = path::gallery(vec![]);
            let mut recogniser =
                path::recogniser(runtime, FollowerSettings::default(), true, gallery);
            let pixels = scene::yuyv(&scene::rgb(photograph, scale, at));
            let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
            let frame =
                Frame::new(&pixels, PixelFormat::Yuyv, size, stride, 1, Monotonic::default())
                    .unwrap();
            let clock = ManualClock::new(Monotonic::from_millis(1), PLAUSIBLE_FROM_UNIX_MS);
            let observation = recogniser.observe(&frame, &clock);
            assert!(matches!(observation.seen, Seen::Faces { .. }), "{photograph}");
            recogniser.features().clone()
        })
        .collect()
}

/// One subject with all `references`.
fn gallery_of_one(references: Vec<FeatureVector>) -> Gallery {
    path::gallery_of(vec![references])
}

/// A camera that plays `recording` for ever, broken by `plan` from each opening on.
fn camera(recording: &Path, plan: FaultPlan, seed: u64, clock: &Arc<ManualClock>) -> Supervised {
    let (path, for_opener) = (recording.to_owned(), Arc::clone(clock));
    let opener: Opener = Box::new(move || {
        let clock = Arc::clone(&for_opener) as Arc<dyn Clock>;
        let settings =
            ReplaySettings { path: path.clone(), rate: None, pace: Pace::RealTime, passes: None };
        let replay = Replay::open(settings, Arc::clone(&clock))?;
        let faulty = FaultySource::new(replay, plan.clone(), seed, clock);
        Ok(Box::new(faulty) as Box<dyn FrameSource>)
    });
    let shared = Arc::clone(clock) as Arc<dyn Clock>;
    Supervised::new("/dev/broken", opener, shared, SuperviseSettings::default())
}

/// Watches the camera as the daemon's threads do, in one loop.
fn watch(
    runtime: &Runtime,
    recording: &Path,
    gallery: Gallery,
    plan: FaultPlan,
    seed: u64,
) -> Told {
    let start = Monotonic::from_millis(1000);
    let clock = Arc::new(ManualClock::new(start, PLAUSIBLE_FROM_UNIX_MS + 1_000_000));
    let mut camera = camera(recording, plan, seed, &clock);
    let recogniser = path::recogniser(runtime, FollowerSettings::default(), true, gallery);
    let mut door = Door::new(recogniser, VisitPolicy::default());
    let (mut captured, mut decoder) = (CapturedFrame::new(), Decoder::default());
    let (mut decoded, mut actions) = (Decoded::default(), Vec::new());
    let mut told = Told::default();
    for _ in 0..TURNS {
        if camera.note_readability(decoded.readability()) {
            decoded = Decoded::default();
        }
        let progress = camera.next_frame(&mut captured).expect("a supervised camera never fails");
        let state = camera.status().expect("it has a state").state;
        if told.states.last() != Some(&state) {
            told.states.push(state);
        }
        let (sequence, captured_at) = (captured.sequence(), captured.captured_at());
        let fault = |fault| Event::Fault { sequence, captured_at, fault };
        let frame;
        let event = match progress {
            Progress::Waiting | Progress::End => Event::Tick,
            Progress::Repeat => fault(decide::Fault::Stale),
            Progress::Frame => match decoder.decode(&captured) {
                Err(error) => {
                    decoded = decoded.with(Some(error.cause()));
                    fault(decide::Fault::Unreadable)
                }
                Ok(decodable) => {
                    decoded = decoded.with(None);
                    if told.judged >= JUDGED {
                        continue;
                    }
                    told.judged += 1;
                    frame = decodable;
                    Event::Frame(&frame)
                }
            },
        };
        door.step(event, Time::of(&*clock), &mut actions);
    }
    for action in &actions {
        if let Effect::Decided { decision, announce: true } = action {
            told.decisions += 1;
            told.grants += usize::from(matches!(decision.verdict, Verdict::Granted { .. }));
        }
    }
    told
}

/// The enrolled person, walking; long enough that a second passes before it begins again.
fn visit_of(photograph: &str, folder: &tempfile::TempDir) -> std::path::PathBuf {
    let path = folder.path().join(format!("{photograph}.mjpeg"));
    Recording::new().person(photograph, 0.16, 40).write(&path, 1);
    path
}

#[test]
fn every_fault_has_its_state_and_none_grants() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let recording = visit_of("obama3.jpg", &folder);
    let references = enrolled(&runtime);
    let told = |plan| watch(&runtime, &recording, gallery_of_one(references.clone()), plan, 1);
    let always = |fault| FaultPlan::new().at(0..u64::MAX, fault);

    let whole = told(FaultPlan::new());
    assert!(whole.grants > 0, "unbroken, the person is granted: {whole:?}");
    assert_eq!(whole.last_state(), CameraState::Streaming);

    let late = told(always(Fault::Delay(Duration::from_secs(2))));
    assert_eq!(late.grants, 0, "late frames prove nothing: {late:?}");
    let freeze = FaultPlan::new().at(1..u64::MAX, Fault::Freeze);
    for (name, plan, state) in [
        ("no frame comes", always(Fault::Drop), CameraState::Stalled),
        ("every frame is cut short", always(Fault::Shorten), CameraState::Undecodable),
        ("every frame is spoiled", always(Fault::Corrupt), CameraState::Undecodable),
        ("the driver calls every frame damaged", always(Fault::Damage), CameraState::Stalled),
        ("the picture stands", freeze, CameraState::Stalled),
    ] {
        let told = told(plan);
        assert_eq!(told.grants, 0, "{name}: {told:?}");
        assert!(told.states.contains(&state), "{name}: {told:?}");
    }
    let pulled = told(always(Fault::Unplug));
    assert_eq!((pulled.grants, pulled.last_state()), (0, CameraState::Searching), "{pulled:?}");
    shown("camera-faults", 7);
}

#[test]
fn a_camera_that_comes_back_is_used_again() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let recording = visit_of("obama3.jpg", &folder);
    let plan = FaultPlan::new().at(25..26, Fault::Unplug);
    let told = watch(&runtime, &recording, gallery_of_one(enrolled(&runtime)), plan, 1);
    assert!(told.grants > 0, "{told:?}");
    assert!(told.states.starts_with(&[CameraState::Searching, CameraState::Streaming]));
    assert!(told.states[2..].contains(&CameraState::Streaming), "{told:?}");
}

#[test]
fn no_mixture_of_faults_grants_a_stranger_or_hangs() {
    let Some(runtime) = runtime() else { return };
    let folder = tempfile::tempdir().unwrap();
    let recording = visit_of("biden.jpg", &folder);
    let references = enrolled(&runtime);
    for seed in 1..=4 {
        println!("seed {seed}");
        let plan = [
            Fault::Drop,
            Fault::Delay(Duration::from_millis(300)),
            Fault::Corrupt,
            Fault::Freeze,
            Fault::Shorten,
            Fault::Damage,
        ]
        .into_iter()
        .fold(FaultPlan::new().sometimes(5, Fault::Unplug), |plan, fault| {
            plan.sometimes(60, fault)
        });
        let told = watch(&runtime, &recording, gallery_of_one(references.clone()), plan, seed);
        assert_eq!(told.grants, 0, "{told:?}");
        assert!(told.judged > 0 && told.decisions > 0, "the camera still worked: {told:?}");
    }
    shown("camera-mixture", 4);
}
