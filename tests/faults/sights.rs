//! Cameras whose time jumps and whose pictures change size, and networks that always say the same.
//!
//! In: the whole path with real networks, and a door with a scripted sight, to which frames come late, from
//! the future, or in sizes that no two frames share. Out: no grant that fresh frames do not bear, and an
//! end. Time is the test's own.

use std::time::Duration;

use deepid_edge::clock::{Clock as _, ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use deepid_edge::decide::{Effect, Observation, Seen, Verdict, VisitPolicy};
use deepid_edge::detect::{Follower, FollowerSettings, Strategy};
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::{Embedder, FeatureVector, QualityLimits};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::inference::{ElementType, Engine, InferenceError, Procedure, Runtime, Tensor};
use deepid_edge::recognise::Recogniser;
use image::imageops::{FilterType, resize};

use crate::sight::{Script, ScriptedDoor};
use crate::support::fault_rows::shown;
use crate::support::models::{card, runtime};
use crate::support::{path, scene};
use crate::visitor;

fn granted(effects: &[Effect]) -> usize {
    let is_grant = |effect: &&Effect| match effect {
        Effect::Decided { decision, .. } => matches!(decision.verdict, Verdict::Granted { .. }),
        Effect::Presence { .. } => false,
    };
    effects.iter().filter(is_grant).count()
}

#[test]
fn frames_whose_time_jumps_bear_no_grant() {
    const VISITS: u64 = 1000;
    let mut random = fastrand::Rng::with_seed(7);
    let clock = ManualClock::new(Monotonic::from_millis(100_000_000), PLAUSIBLE_FROM_UNIX_MS);
    let mut door = ScriptedDoor::new(Script::default(), visitor::policy());
    let (mut effects, mut sequence) = (Vec::new(), 0);
    for _ in 0..VISITS {
        for _ in 0..20 {
            clock.advance(Duration::from_millis(100));
            sequence += 1;
            let now = clock.now().as_millis();
            let reach = [1_000, 60_000, 3_600_000][random.usize(0..3)];
            // Older than what counts as fresh, or not yet captured.
            let captured = if random.bool() {
                now - 501 - random.u64(0..reach)
            } else {
                now + 1 + random.u64(0..reach)
            };
            let observation = Observation {
                sequence,
                captured_at: Monotonic::from_millis(captured),
                wall: clock.wall(),
                luminance: None,
                seen: visitor::good(1),
            };
            door.step(Event::Frame(&observation), Time::of(&clock), &mut effects);
        }
        clock.advance(Duration::from_secs(10));
        door.step(Event::Tick, Time::of(&clock), &mut effects);
    }
    assert_eq!(granted(&effects), 0, "{effects:?}");
    // The same person, in frames of now, is granted: the door has not got stuck.
    for _ in 0..10 {
        clock.advance(Duration::from_millis(150));
        sequence += 1;
        let captured_at = clock.now();
        let (wall, seen) = (clock.wall(), visitor::good(1));
        let observation = Observation { sequence, captured_at, wall, luminance: None, seen };
        door.step(Event::Frame(&observation), Time::of(&clock), &mut effects);
    }
    assert_eq!(granted(&effects), 1, "{effects:?}");
    shown("camera-time-jumps", VISITS);
}

/// The enrolled person's vector, by the shipped network.
fn enrolled(runtime: &Runtime) -> FeatureVector {
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(runtime, settings, true, path::gallery(vec![]));
    let pixels = scene::yuyv(&scene::one_face());
    let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
    let frame =
        Frame::new(&pixels, PixelFormat::Yuyv, size, stride, 1, Monotonic::default()).unwrap();
    let clock = ManualClock::new(Monotonic::from_millis(1), PLAUSIBLE_FROM_UNIX_MS);
    let seen = recogniser.observe(&frame, &clock).seen;
    assert!(matches!(seen, Seen::Faces { .. }), "{seen:?}");
    recogniser.features().clone()
}

#[test]
fn pictures_that_change_their_size_grant_no_stranger_and_the_door_goes_on() {
    const FRAMES: u64 = 120;
    let Some(runtime) = runtime() else { return };
    let gallery = path::gallery(vec![enrolled(&runtime)]);
    let recogniser = path::recogniser(&runtime, FollowerSettings::default(), true, gallery);
    let mut door = Door::new(recogniser, VisitPolicy::default());
    let clock = ManualClock::new(Monotonic::from_millis(1000), PLAUSIBLE_FROM_UNIX_MS);
    let (mut random, mut effects) = (fastrand::Rng::with_seed(8), Vec::new());
    let stranger = scene::rgb("biden.jpg", 0.16, (150, 40));
    let mut seen_in = 0;
    for sequence in 1..=FRAMES {
        clock.advance(Duration::from_millis(100));
        let (width, height) = match random.u8(0..8) {
            0 => (2, 2),
            1 => (random.u32(1..=20) * 2, random.u32(400..800)),
            2 => (1280, 960),
            _ => (random.u32(80..=400) * 2, random.u32(120..=600)),
        };
        let picture = resize(&stranger, width, height, FilterType::Nearest);
        let (pixels, format, stride) = if random.bool() {
            (scene::yuyv(&picture), PixelFormat::Yuyv, width as usize * 2)
        } else {
            (picture.into_raw(), PixelFormat::Rgb, width as usize * 3)
        };
        let frame =
            Frame::new(&pixels, format, (width, height), stride, sequence, clock.now()).unwrap();
        door.step(Event::Frame(&frame), Time::of(&clock), &mut effects);
        let seen = &door.observed().unwrap().seen;
        assert!(!matches!(seen, Seen::Fault(_)), "{width}×{height}: {seen:?}");
        seen_in += u64::from(matches!(seen, Seen::Faces { .. }));
    }
    assert_eq!(granted(&effects), 0, "{effects:?}");
    assert!(seen_in > FRAMES / 4, "the stranger is seen in {seen_in} of {FRAMES}");
    // Who is enrolled is granted afterwards: the door has not got stuck.
    let pixels = scene::yuyv(&scene::one_face());
    let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
    clock.advance(Duration::from_secs(10));
    door.step(Event::Tick, Time::of(&clock), &mut effects);
    for sequence in FRAMES + 1..=FRAMES + 20 {
        clock.advance(Duration::from_millis(150));
        let frame =
            Frame::new(&pixels, PixelFormat::Yuyv, size, stride, sequence, clock.now()).unwrap();
        door.step(Event::Frame(&frame), Time::of(&clock), &mut effects);
    }
    assert_eq!(granted(&effects), 1, "{effects:?}");
    shown("camera-sizes", FRAMES);
}

/// A network whose outputs are always the same.
struct Constant(f32);

impl Engine for Constant {
    fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
        for output in outputs {
            match output {
                Tensor::Float32(values) => values.fill(self.0),
                Tensor::Int8(values) => values.fill(self.0 as i8),
            }
        }
        Ok(())
    }
}

#[test]
fn a_network_that_always_says_the_same_grants_nobody() {
    let Some(runtime) = runtime() else { return };
    let somebody = enrolled(&runtime);
    // Before a network that is right, so that it is the constant that grants nobody.
    let sound = path::embedder(&runtime, true);
    assert_eq!(grants(&runtime, sound, somebody.clone()), 1, "the sound network grants");
    let constants = [-1e30, -3.0, -1e-30, 1e-30, 0.5, 1.0, 7.0, 255.0, 1e30, f32::MAX];
    for constant in constants {
        let mut card = card(path::EMBEDDER);
        card.outputs[0].tensor.element_type = ElementType::Float32;
        card.outputs[0].tensor.quantisation = None;
        let procedure = Procedure { embedder: &card, landmarker: None, mirrored: true };
        let embedder = Embedder::new(&procedure, Box::new(Constant(constant))).unwrap();
        // Who was enrolled with a sound network, as if this one had made the vector.
        let values = somebody.values().to_vec();
        let reference = FeatureVector::new(procedure.key(), values).unwrap();
        assert_eq!(grants(&runtime, embedder, reference), 0, "{constant}");
    }
    shown("model-constant", constants.len() as u64);
}

/// How often a door with `embedder` grants while the person of `reference` stands before it.
fn grants(runtime: &Runtime, embedder: Embedder, reference: FeatureVector) -> usize {
    let follower = Follower::new(
        path::detector(runtime, "blazeface-full-range"),
        path::detector(runtime, "blazeface-short-range"),
        FollowerSettings { strategy: Strategy::Find, ..FollowerSettings::default() },
    );
    let gallery = path::gallery(vec![reference]);
    let limits = QualityLimits::default();
    let recogniser = Recogniser::new(follower, path::aligner(), embedder, gallery, limits, 0.6);
    let clock = ManualClock::new(Monotonic::from_millis(1000), PLAUSIBLE_FROM_UNIX_MS);
    let mut door = Door::new(recogniser, VisitPolicy::default());
    let pixels = scene::yuyv(&scene::one_face());
    let (size, stride) = ((scene::WIDTH, scene::HEIGHT), scene::WIDTH as usize * 2);
    let mut effects = Vec::new();
    for sequence in 1..=30 {
        clock.advance(Duration::from_millis(100));
        let frame =
            Frame::new(&pixels, PixelFormat::Yuyv, size, stride, sequence, clock.now()).unwrap();
        door.step(Event::Frame(&frame), Time::of(&clock), &mut effects);
    }
    granted(&effects)
}
