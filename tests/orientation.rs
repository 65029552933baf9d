//! Cameras that hang turned or mirror their pictures: `camera.rotate`, `camera.mirror`; and faces that do
//! not stand upright, of which none is ever compared.
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

use std::time::Duration;

use deepid_edge::capture::{CapturedFrame, Decoder};
use deepid_edge::clock::{Clock, ManualClock, Monotonic};
use deepid_edge::decide::Seen;
use deepid_edge::detect::{Detection, FollowerSettings, Orientation, Zones};
use deepid_edge::embed::{FeatureVector, QualityFault};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::geometry::{Turn, View};
use deepid_edge::recognise::Recogniser;
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
fn seen(recogniser: &mut Recogniser, frame: &Frame<'_>) -> (Detection, FeatureVector) {
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    recogniser.forget();
    let Seen::Faces { count: 1, principal } = recogniser.observe(frame, &clock).seen else {
        panic!("one face is there")
    };
    assert_eq!(principal.quality.fault, None);
    (recogniser.detections().as_slice()[0], recogniser.features().clone())
}

/// What is seen of `frame` by itself: the fault of its face, `None` where there is none, and whether
/// it was compared.
fn judged(recogniser: &mut Recogniser, frame: &Frame<'_>) -> Option<(Option<QualityFault>, bool)> {
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    recogniser.forget();
    match recogniser.observe(frame, &clock).seen {
        Seen::Faces { principal, .. } => Some((principal.quality.fault, principal.found.is_some())),
        Seen::NoFace => None,
        Seen::Fault(fault) => panic!("{fault:?}"),
    }
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
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
    let upright = scene::one_face();
    let size = upright.dimensions();
    let (face, vector) = seen(&mut recogniser, &rgb_frame(&upright, size));
    for (view, picture) in given(&upright) {
        let frame = rgb_frame(&picture, picture.dimensions()).seen_by(view);
        assert_eq!((frame.width(), frame.height()), size, "{view:?}");
        let (found, same) = seen(&mut recogniser, &frame);
        assert!(apart(&found, &face) < 0.5, "{view:?}: {found:?} {face:?}");
        assert!(cosine(&same, &vector) > 0.98, "{view:?}: {}", cosine(&same, &vector));

        let (bytes, stride) = (scene::yuyv(&picture), picture.width() as usize * 2);
        let (at, packed) = (Monotonic::default(), PixelFormat::Yuyv);
        let frame = Frame::new(&bytes, packed, picture.dimensions(), stride, 0, at).unwrap();
        let (found, same) = seen(&mut recogniser, &frame.seen_by(view));
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
    decisions(&home)
}

fn decisions(home: &Home) -> Vec<String> {
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

#[test]
fn a_face_is_compared_only_where_it_stands_upright() {
    let Some(runtime) = runtime() else { return };
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
    let mut told = 0;
    for (photograph, scale) in
        [("obama.jpg", 0.26), ("obama3.jpg", 0.16), ("biden.jpg", 0.19), ("astronaut.png", 0.8)]
    {
        let picture = scene::rgb(photograph, scale, (200, 60));
        let frame = rgb_frame(&picture, picture.dimensions());
        let upright = judged(&mut recogniser, &frame);
        assert_eq!(upright, Some((None, true)), "{photograph}");
        for turn in [Turn::Quarter, Turn::Half, Turn::ThreeQuarters] {
            for mirrored in [false, true] {
                let view = View { turn, mirrored };
                // A detector of upright faces may overlook it, or find something else.
                let Some((fault, compared)) = judged(&mut recogniser, &frame.seen_by(view)) else {
                    continue;
                };
                assert!(!compared && fault.is_some(), "{photograph} {view:?}");
                if let Some(QualityFault::NotUpright(found)) = fault {
                    let right = if mirrored { turn } else { turn.inverse() };
                    assert_eq!(found, right, "{photograph} {view:?}");
                    told += 1;
                }
            }
        }
    }
    // The rest was overlooked, or is no face by another fault.
    assert!(told >= 12, "{told} of 24 were told of");
}

#[test]
fn another_picture_is_another_face_though_it_lies_in_the_same_place() {
    let Some(runtime) = runtime() else { return };
    let settings = FollowerSettings::default();
    let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(vec![]));
    let scene = scene::one_face();
    let (face, _) = seen(&mut recogniser, &rgb_frame(&scene, scene.dimensions()));
    // Cut so that the face lies in the middle, where it stays when the picture is turned.
    let (centre, half) = (face.bounds().centre(), 100.0);
    let (x, y) = ((centre.x - half) as u32, (centre.y - half) as u32);
    let picture = imageops::crop_imm(&scene, x, y, 200, 200).to_image();
    let frame = rgb_frame(&picture, picture.dimensions());
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    let forgets: [fn(&mut Recogniser); 2] =
        [Recogniser::forget, |recogniser| recogniser.set_zones(&Zones::default())];
    for forget in forgets {
        for (turn, compared) in [(Turn::None, true), (Turn::Half, false)] {
            forget(&mut recogniser);
            let Seen::Faces { principal, .. } =
                recogniser.observe(&frame.turned(turn), &clock).seen
            else {
                panic!("a face is there")
            };
            assert_eq!(principal.found.is_some(), compared, "{turn:?}: {principal:?}");
        }
    }
}

#[test]
fn a_followed_face_is_looked_at_now_and_then_and_an_accepted_one_each_time() {
    let Some(runtime) = runtime() else { return };
    let settings = FollowerSettings::default();
    let picture = scene::one_face();
    let clock = ManualClock::new(Monotonic::from_millis(1000), 1_790_000_000_000);
    let looks = |enrolled: Vec<FeatureVector>| {
        let mut recogniser = path::recogniser(&runtime, settings, true, path::gallery(enrolled));
        let looked = (0..20_u64).filter(|number| {
            clock.advance(Duration::from_millis(66));
            let stride = picture.width() as usize * 3;
            let (size, now) = (picture.dimensions(), clock.now());
            let frame = Frame::new(&picture, PixelFormat::Rgb, size, stride, *number, now).unwrap();
            recogniser.observe(&frame, &clock);
            let seen = recogniser.orientation();
            assert!(seen.is_none_or(|seen| seen == Orientation::Upright), "{seen:?}");
            seen.is_some()
        });
        (looked.count(), recogniser.features().clone())
    };
    let (of_a_stranger, vector) = looks(vec![]);
    assert_eq!(of_a_stranger, 3);
    assert_eq!(looks(vec![vector]).0, 20);
}

#[test]
fn a_photograph_on_its_side_is_told_so_and_an_upside_down_one_too() {
    if runtime().is_none() {
        return;
    }
    let home = Home::new().enrol_obama();
    let photograph = image::open(root().join("assets/photographs/obama2.jpg")).unwrap().to_rgb8();
    for (name, picture, finding, remedy) in [
        (
            "lying.png",
            imageops::rotate270(&photograph),
            "lies on its side",
            "90 degrees, clockwise",
        ),
        (
            "other.png",
            imageops::rotate90(&photograph),
            "lies on its side",
            "90 degrees, counter-clockwise",
        ),
        ("over.png", imageops::rotate180(&photograph), "is upside down", "by 180 degrees"),
    ] {
        let path = home.path(name);
        picture.save(&path).unwrap();
        let path = path.display().to_string();
        for arguments in [
            &["enroll", "Ada", "--image", &path][..],
            &["identify", &path],
            &["verify", &path, &path],
        ] {
            let output = home.command(arguments).output().unwrap();
            let said = String::from_utf8_lossy(&output.stderr);
            assert!(!output.status.success(), "{arguments:?}");
            assert!(said.contains(finding) && said.contains(remedy), "{arguments:?}: {said}");
        }
        let output = home.command(&["detect", &path, "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(told["faces"][0]["quality"]["fault"], "not_upright", "{name}: {told:#}");
    }
}

#[test]
fn nobody_is_enrolled_through_a_camera_that_hangs_otherwise_and_it_says_what_to_set() {
    if runtime().is_none() {
        return;
    }
    for (given, rotate, wanted) in [(Turn::Half, 0, 180), (Turn::Quarter, 180, 90)] {
        let home = Home::new().set("camera.rotate", rotate);
        let recording = home.path("visit.mjpeg");
        let visit = Recording::new().person("obama3.jpg", 0.16, 15);
        visit.by_a_camera_to_turn(given).write(&recording, 1);
        let replay = recording.display().to_string();
        let output = home.command(&["enroll", "Ada", "--replay", &replay]).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{said}");
        assert!(said.contains(&format!("set camera.rotate = {wanted}")), "{said}");
        let home = home.set("camera.replay.path", &replay);
        let output = home.command(&["doctor", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = told["checks"].as_array().unwrap();
        let camera = checks.iter().find(|check| check["check"] == "camera").unwrap();
        assert_eq!(camera["verdict"], "fail", "{camera:#}");
        assert_eq!(camera["remedy"], format!("set camera.rotate = {wanted}"), "{camera:#}");
    }
}

#[test]
fn a_door_whose_camera_hangs_upside_down_grants_nobody_and_says_what_to_set() {
    if runtime().is_none() {
        return;
    }
    let home = Home::new().enrol_obama();
    let recording = home.path("visit.mjpeg");
    let visit = Recording::new().nobody(3).person("obama3.jpg", 0.16, 40).nobody(25);
    visit.by_a_camera_to_turn(Turn::Half).write(&recording, 1);
    let mut daemon = home.run(&recording);
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    let decisions = decisions(&home);
    assert!(decisions.iter().all(|decision| decision == "Ambiguous poor_quality"), "{decisions:?}");
    let log = daemon.log();
    assert!(log.contains("misoriented") && log.contains("set camera.rotate = 180"), "{log}");
}
