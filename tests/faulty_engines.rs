//! Engines that fail or give nonsense: never a match, never a grant, always a reason.
//!
//! A stand-in for the TFLite engine that fails, or fills its outputs with what a broken model would
//! give, goes in where the real one belongs; errors and faults must come out. The last test runs
//! the whole path with real detectors, needs the files that `make assets` fetches and says aloud
//! when it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::clock::{Clock, ManualClock, Monotonic};
use deepid_edge::decide::{Effect, Fault, Seen, Verdict, VisitPolicy};
use deepid_edge::detect::{Detections, Follower, FollowerSettings, SsdDetector, Strategy};
use deepid_edge::door::{Door, Event, Time};
use deepid_edge::embed::{Embedder, FeatureVector, QualityLimits};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::inference::{Engine, InferenceError, ModelId, Procedure, Tensor};
use deepid_edge::recognise::Recogniser;
use support::fault_rows::shown;
use support::models::{card, rgb_frame, runtime};
use support::{path, scene};

/// What a broken engine does.
#[derive(Clone, Copy)]
enum Trouble {
    /// Fills every output with this.
    Gives(f32),
    /// Fails.
    Fails,
}

impl Engine for Trouble {
    fn run(&mut self, _: &Tensor, outputs: &mut [Tensor]) -> Result<(), InferenceError> {
        match *self {
            Self::Fails => {
                let model = ModelId::new("broken").unwrap();
                Err(InferenceError::Run { model, problem: "of the test's own making".into() })
            }
            Self::Gives(value) => {
                for output in outputs {
                    match output {
                        Tensor::Float32(values) => values.fill(value),
                        Tensor::Int8(values) => values.fill(value as i8),
                    }
                }
                Ok(())
            }
        }
    }
}

fn detector(trouble: Trouble) -> SsdDetector {
    SsdDetector::new(&card("blazeface-full-range"), Box::new(trouble), None).unwrap()
}

/// An embedder whose output is float, so that it can be not a number.
fn embedder(trouble: Trouble) -> Embedder {
    let mut card = card(path::EMBEDDER);
    card.outputs[0].tensor.element_type = deepid_edge::inference::ElementType::Float32;
    card.outputs[0].tensor.quantisation = None;
    let procedure = Procedure { embedder: &card, landmarker: None, mirrored: false };
    Embedder::new(&procedure, Box::new(trouble)).unwrap()
}

#[test]
fn a_detector_that_gives_no_numbers_is_an_error_not_an_empty_room() {
    let pixels = vec![90; 64 * 48 * 3];
    let frame = rgb_frame(&pixels, (64, 48));
    let whole = SsdDetector::whole(&frame);
    let mut faces = Detections::default();
    for trouble in [Trouble::Gives(f32::NAN), Trouble::Gives(f32::INFINITY), Trouble::Fails] {
        let error = detector(trouble).detect(&frame, whole, 1.0, &mut faces).unwrap_err();
        assert!(error.to_string().contains("doctor"), "{error}");
        assert!(faces.as_slice().is_empty());
    }
    detector(Trouble::Gives(-100.0)).detect(&frame, whole, 1.0, &mut faces).unwrap();
    assert!(faces.as_slice().is_empty(), "low scores are an empty room");
}

#[test]
fn every_anchor_at_once_is_one_face_or_none_and_ends() {
    let pixels = vec![90; 64 * 48 * 3];
    let frame = rgb_frame(&pixels, (64, 48));
    let mut faces = Detections::default();
    for value in [1.0, 50.0, 1e6, 1e30, f32::MAX] {
        let outcome = detector(Trouble::Gives(value)).detect(
            &frame,
            SsdDetector::whole(&frame),
            0.0,
            &mut faces,
        );
        assert!(outcome.is_ok() == (value <= 1e6), "{value}: {outcome:?}");
        assert!(
            faces
                .as_slice()
                .iter()
                .all(|face| face.bounds().area().is_finite() && face.bounds().x.is_finite())
        );
    }
}

#[test]
fn an_embedder_that_gives_no_numbers_is_an_error() {
    let mut aligner = path::aligner();
    let pixels = vec![90; 47 * 55 * 3];
    let frame = rgb_frame(&pixels, (47, 55));
    let template = card(path::EMBEDDER).alignment.unwrap();
    let face = aligner.align_points(&frame, &template.points()).unwrap();
    for trouble in [Trouble::Gives(f32::NAN), Trouble::Gives(f32::NEG_INFINITY), Trouble::Fails] {
        let mut embedder = embedder(trouble);
        let mut features = embedder.blank();
        assert!(embedder.embed(face, &mut features).is_err());
        assert!(features.values().iter().all(|v| *v == 0.0), "nothing of it is kept");
    }
}

#[test]
fn a_broken_embedder_never_grants_whoever_stands_there() {
    let Some(runtime) = runtime() else { return };
    let pixels = scene::yuyv(&scene::one_face());
    let size = (scene::WIDTH, scene::HEIGHT);
    let infinity = Trouble::Gives(f32::INFINITY);
    let mut frames = 0;
    for trouble in [Trouble::Gives(f32::NAN), infinity, Trouble::Gives(0.0), Trouble::Fails] {
        let follower = Follower::new(
            path::detector(&runtime, "blazeface-full-range"),
            path::detector(&runtime, "blazeface-short-range"),
            FollowerSettings { strategy: Strategy::Find, ..FollowerSettings::default() },
        );
        let values = (0..160).map(|i| i as f32).collect();
        let somebody = FeatureVector::new(path::key(false), values).unwrap();
        let gallery = path::gallery(vec![somebody]);
        let limits = QualityLimits::default();
        let recogniser =
            Recogniser::new(follower, path::aligner(), embedder(trouble), gallery, limits, 0.6);
        let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
        let mut door = Door::new(recogniser, VisitPolicy::default());
        let mut actions = Vec::new();
        let mut faults = 0;
        for number in 1..=90_u64 {
            clock.advance(std::time::Duration::from_millis(33));
            let stride = scene::WIDTH as usize * 2;
            let frame =
                Frame::new(&pixels, PixelFormat::Yuyv, size, stride, number, clock.now()).unwrap();
            door.step(Event::Frame(&frame), Time::of(&clock), &mut actions);
            let seen = &door.observed().unwrap().seen;
            faults += usize::from(*seen == Seen::Fault(Fault::Engine));
            frames += 1;
        }
        let granted = |effect: &Effect| match effect {
            Effect::Decided { decision, .. } => {
                matches!(decision.verdict, Verdict::Granted { .. })
            }
            Effect::Presence { .. } => false,
        };
        assert!(!actions.iter().any(granted), "{actions:?}");
        assert_eq!(faults, 90, "{actions:?}");
    }
    shown("model-nonsense", frames);
}
