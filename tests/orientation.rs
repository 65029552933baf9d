//! Cameras that hang turned or mirror their pictures: `camera.rotate`, `camera.mirror`.
//!
//! Needs the files that `make assets` fetches; says so and skips without them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::{ManualClock, Monotonic};
use deepid_edge::decide::Seen;
use deepid_edge::detect::{Detection, FollowerSettings};
use deepid_edge::embed::FeatureVector;
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::geometry::{Turn, View};
use deepid_edge::recognize::Recognizer;
use deepid_edge::store::Body;
use image::{RgbImage, imageops};
use support::daemon::Home;
use support::models::{rgb_frame, root, runtime};
use support::scene::Recording;
use support::{path, scene};

/// Every view, and `picture` as a camera that needs it gives it.
fn given(picture: &RgbImage) -> Vec<(View, RgbImage)> {
    let views = |turn| [false, true].map(|mirrored| View { turn, mirrored });
    let lie = |view: View| {
        let unmirrored =
            if view.mirrored { imageops::flip_horizontal(picture) } else { picture.clone() };
        match view.turn {
            Turn::None => unmirrored,
            Turn::Quarter => imageops::rotate270(&unmirrored),
            Turn::Half => imageops::rotate180(&unmirrored),
            Turn::ThreeQuarters => imageops::rotate90(&unmirrored),
        }
    };
    Turn::ALL.into_iter().flat_map(views).map(|view| (view, lie(view))).collect()
}

/// The face of `frame` and its vector.
fn seen(recognizer: &mut Recognizer, frame: &Frame<'_>) -> (Detection, FeatureVector) {
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    recognizer.forget();
    let Seen::Faces { count: 1, principal } = recognizer.observe(frame, &clock).seen else {
        panic!("one face is there")
    };
    assert_eq!(principal.quality.fault, None);
    (recognizer.detections().as_slice()[0], recognizer.features().clone())
}

/// How far two faces are from each other, in pixels: the farthest of their points.
fn apart(one: &Detection, other: &Detection) -> f32 {
    let points = one.keypoints().iter().zip(other.keypoints());
    points.map(|(a, b)| a.distance(*b)).fold(0.0, f32::max)
}

fn cosine(one: &FeatureVector, other: &FeatureVector) -> f32 {
    let product = |a: &FeatureVector, b: &FeatureVector| {
        a.values().iter().zip(b.values()).map(|(a, b)| a * b).sum::<f32>()
    };
    product(one, other) / (product(one, one) * product(other, other)).sqrt()
}

#[test]
fn a_turned_or_mirrored_camera_gives_the_boxes_and_the_vector_of_an_upright_one() {
    let Some(runtime) = runtime() else { return };
    let settings = FollowerSettings::default();
    let mut recognizer = path::recognizer(&runtime, settings, true, path::gallery(vec![]));
    let upright = scene::one_face();
    let size = upright.dimensions();
    let (face, vector) = seen(&mut recognizer, &rgb_frame(&upright, size));
    for (view, picture) in given(&upright) {
        let frame = rgb_frame(&picture, picture.dimensions()).seen_by(view);
        assert_eq!((frame.width(), frame.height()), size, "{view:?}");
        let (found, same) = seen(&mut recognizer, &frame);
        assert!(apart(&found, &face) < 0.5, "{view:?}: {found:?} {face:?}");
        assert!(cosine(&same, &vector) > 0.98, "{view:?}: {}", cosine(&same, &vector));

        let (bytes, stride) = (scene::yuyv(&picture), picture.width() as usize * 2);
        let (at, packed) = (Monotonic::default(), PixelFormat::Yuyv);
        let frame = Frame::new(&bytes, packed, picture.dimensions(), stride, 0, at).unwrap();
        let (found, same) = seen(&mut recognizer, &frame.seen_by(view));
        assert!(apart(&found, &face) < 1.0, "YUYV {view:?}: {found:?} {face:?}");
        assert!(cosine(&same, &vector) > 0.95, "YUYV {view:?}: {}", cosine(&same, &vector));
    }
}

#[test]
fn a_compressed_frame_is_looked_at_as_the_camera_hangs() {
    let mut captured = CapturedFrame::new();
    let mut decoder = Decoder::new();
    let picture = RgbImage::new(32, 16);
    let view = View { turn: Turn::Quarter, mirrored: true };
    let mut bytes = Vec::new();
    picture
        .write_with_encoder(image::codecs::jpeg::JpegEncoder::new_with_quality(&mut bytes, 90))
        .unwrap();
    captured.begin_jpeg(1, Monotonic::default()).extend_from_slice(&bytes);
    captured.see_by(view);
    let frame = decoder.decode(&captured).unwrap();
    assert_eq!((frame.view(), frame.width(), frame.height()), (view, 16, 32));
    assert_eq!(frame.stored_size(), (32, 16));
    captured.begin_jpeg(2, Monotonic::default()).extend_from_slice(&bytes);
    assert_eq!(
        decoder.decode(&captured).unwrap().view(),
        View::default(),
        "until it is said again"
    );
}

/// What a door decides before the person enrolled from photographs, at `camera.rotate`.
fn decided(given: Turn, rotate: Turn) -> Vec<String> {
    let home = Home::new().enrol_obama().set("camera.rotate", rotate.degrees());
    let recording = home.path("visit.mjpeg");
    let visit = Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25);
    visit.by_a_camera_to_turn(given).write(&recording, 1);
    let mut daemon = home.run(&recording);
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    let reasons = home.records().into_iter().filter_map(|record| match record.body {
        Body::Decision(decision) => Some(format!("{:?} {}", decision.outcome, decision.reason)),
        Body::Administrative(_) => None,
    });
    reasons.collect()
}

#[test]
fn a_door_whose_camera_hangs_turned_knows_people_as_another_does() {
    if runtime().is_none() {
        return;
    }
    for turn in [Turn::Quarter, Turn::Half] {
        assert_eq!(decided(turn, turn), ["Granted matched"], "{turn:?}");
    }
}

#[test]
fn people_are_enrolled_through_a_turned_camera_and_photographs_stay_as_they_are() {
    if runtime().is_none() {
        return;
    }
    let home = Home::new().set("camera.rotate", 180);
    let recording = home.path("visit.mjpeg");
    let visit = Recording::new().person("obama3.jpg", 0.16, 20);
    visit.by_a_camera_to_turn(Turn::Half).write(&recording, 1);
    let photograph = root().join("assets/photographs/obama.jpg").display().to_string();
    let replay = recording.display().to_string();
    for arguments in [
        &["enroll", "One", "--replay", &replay, "--count", "2"][..],
        &["enroll", "Another", "--image", &photograph],
        &["identify", &photograph],
    ] {
        let output = home.command(arguments).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {said}");
    }
}

#[test]
fn a_still_of_the_camera_is_listed_and_drawn_as_the_camera_is_seen() {
    if runtime().is_none() {
        return;
    }
    let home = Home::new().set("camera.rotate", 90);
    let (still, out) = (home.path("still.png"), home.path("out.png"));
    imageops::rotate270(&scene::one_face()).save(&still).unwrap();
    let (still, out) = (still.display().to_string(), out.display().to_string());
    let output =
        home.command(&["detect", &still, "--as-camera", "--out", &out, "--json"]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((&told["width"], &told["height"]), (&640.into(), &480.into()), "{told:#}");
    assert_eq!(told["faces"][0]["quality"]["fault"], serde_json::Value::Null, "{told:#}");
    assert!(told["faces"][0]["quality"]["roll_degrees"].as_f64().unwrap().abs() < 20.0);
    assert_eq!(image::open(&out).unwrap().to_rgb8().dimensions(), (640, 480));
}
