//! A portrait on the wall: how it is named, and that the door works before it once it is ignored.
//!
//! Needs the files that `make assets` fetches, and for what is said to the broker the program
//! `mosquitto`; says aloud what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::Path;

use deepid_edge::clock::{ManualClock, Monotonic, PLAUSIBLE_FROM_UNIX_MS};
use deepid_edge::config::{Config, Flag, Sources};
use deepid_edge::detect::{FollowerSettings, Zones};
use deepid_edge::frame::{Frame, PixelFormat};
use deepid_edge::geometry::Turn;
use deepid_edge::store::{AuditRecord, Body};
use support::daemon::Home;
use support::models::{assets, runtime};
use support::mosquitto::{Broker, Mosquitto};
use support::path;
use support::scene::{HEIGHT, Recording, WIDTH};
use support::subscriber::Subscriber;

/// Around the portrait, in fractions of the picture.
const PORTRAIT: [f32; 4] = [0.0, 0.0, 0.24, 0.42];
const IGNORE: &str = "[[0.0, 0.0, 0.24, 0.42]]";

fn with_portrait(recording: Recording) -> Recording {
    recording.before_portrait("biden.jpg", 0.14, (5, 5))
}

/// The enrolled person comes, under the portrait of another one.
fn visit() -> Recording {
    with_portrait(Recording::new().nobody(5).person("obama3.jpg", 0.16, 30).nobody(40))
}

fn decisions(records: &[AuditRecord]) -> Vec<String> {
    records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Decision(decision) => {
                Some(format!("{:?} {} {}", decision.outcome, decision.reason, decision.faces))
            }
            Body::Administrative(_) => None,
        })
        .collect()
}

fn decided(home: &Home, recording: &Path) -> Vec<String> {
    let mut daemon = home.run(recording);
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    decisions(&home.records())
}

#[test]
fn who_is_enrolled_is_granted_before_a_portrait_that_is_ignored() {
    if !assets() {
        return;
    }
    let home = Home::new().enrol_obama();
    let recording = home.path("visit.mjpeg");
    visit().write(&recording, 1);
    let first = decided(&home, &recording);
    assert_eq!(first.len(), 1, "{first:?}");
    assert!(first[0].starts_with("Denied several_faces"), "without the rectangle: {first:?}");
    for key in ["detect.ignore", "detect.only"] {
        let home = Home::new().enrol_obama();
        let zones = if key == "detect.ignore" { IGNORE } else { "[[0.24, 0.0, 0.76, 1.0]]" };
        let home = home.set(key, zones);
        assert_eq!(decided(&home, &recording), ["Granted matched 1"], "{key}");
    }
    // The rectangles are in the picture as it is seen, not as the camera stores it.
    let upside_down = home.path("upside-down.mjpeg");
    visit().by_a_camera_to_turn(Turn::Half).write(&upside_down, 1);
    let home = Home::new().enrol_obama().set("camera.rotate", 180).set("detect.ignore", IGNORE);
    assert_eq!(decided(&home, &upside_down), ["Granted matched 1"], "upside down");
}

#[test]
fn a_portrait_that_is_ignored_is_never_looked_at() {
    let Some(runtime) = runtime() else { return };
    let recording = visit();
    let clock = ManualClock::new(Monotonic::default(), PLAUSIBLE_FROM_UNIX_MS);
    let gallery = path::gallery(Vec::new());
    let mut recogniser = path::recogniser(&runtime, FollowerSettings::default(), true, gallery);
    let mut most = |zones: &Zones| {
        recogniser.set_zones(zones);
        let mut most = 0;
        for (number, pixels) in recording.frames().iter().enumerate() {
            let size = (WIDTH, HEIGHT);
            let at = Monotonic::from_millis(67 * number as u64);
            let stride = WIDTH as usize * 3;
            let frame = Frame::new(pixels, PixelFormat::Rgb, size, stride, number as u64, at);
            recogniser.observe(&frame.unwrap(), &clock);
            let faces = recogniser.detections().as_slice();
            for face in faces {
                let hidden = zones.hidden_by(face.bounds(), size);
                assert_eq!(hidden, None, "frame {number}: {face:?}");
            }
            most = most.max(faces.len());
        }
        most
    };
    assert_eq!(most(&Zones::default()), 2, "both are there");
    assert_eq!(most(&Zones::new(&[PORTRAIT], &[])), 1, "with the rectangle one is");
}

#[test]
fn a_portrait_is_named_with_the_line_that_ignores_it() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let home = Home::new().broker(broker.port()).set("camera.replay.repeat", true);
    let recording = home.path("wall.y4m");
    // Time of a recording that is played fast is the recording's own: two frames a second.
    with_portrait(Recording::new().nobody(20)).write_y4m_of(&recording, 2);
    let mut daemon = home.run(&recording);
    let camera = subscriber.next("the portrait's name", |message| {
        message.topic.ends_with("/camera") && message.text().contains("still_faces")
    });
    let health = subscriber.next("health", |message| {
        message.topic.ends_with("/health") && message.json()["still_faces"] == 1
    });
    assert!(!health.retained);
    let told = camera.json();
    assert_eq!(told["state"], "streaming");
    let remedy = told["remedy"].as_str().unwrap();
    let (_, line) = remedy.split_once("detect.ignore = ").expect("the very line");
    assert!(daemon.log().contains(&format!("detect.ignore = {line}")), "{}", daemon.log());
    daemon.signal("-TERM");
    daemon.until_ended();
    let [x, y, width, height] =
        serde_json::from_value::<[f32; 4]>(told["still_faces"][0].clone()).unwrap();
    let [_, _, right, bottom] = PORTRAIT;
    assert!(x + width <= right && y + height <= bottom, "no larger than the portrait: {told}");

    // The line does what it says: nobody is there, and nothing is to be named.
    let flags = vec![Flag::set("detect.ignore", line)];
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    assert_eq!(config.detect.ignore, [[x, y, width, height]]);
    let ignoring = Home::new().set("detect.ignore", line);
    assert_eq!(decided(&ignoring, &recording), [""; 0]);
}

#[test]
fn doctor_names_a_face_that_does_not_move() {
    if !assets() {
        return;
    }
    let wall = |home: &Home| {
        let recording = home.path("wall.mjpeg");
        with_portrait(Recording::new().nobody(75)).write(&recording, 1);
        recording
    };
    let scene = |home: &Home| {
        let output = home.command(&["doctor", "--json"]).output().unwrap();
        let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = told["checks"].as_array().unwrap().clone();
        checks.into_iter().find(|check| check["check"] == "scene")
    };
    let home = Home::new();
    let recording = wall(&home).display().to_string();
    let home = home.set("camera.replay.path", &recording);
    let found = scene(&home).expect("it is named");
    assert_eq!(found["verdict"], "warn");
    let remedy = found["remedy"].as_str().unwrap();
    assert!(remedy.contains("detect.ignore = [["), "{remedy}");
    let ignoring = home.set("detect.ignore", IGNORE);
    assert_eq!(scene(&ignoring), None);
}

#[test]
fn detect_lists_and_draws_what_the_daemon_does_not_see() {
    if !assets() {
        return;
    }
    let home = Home::new();
    let (picture, drawn) = (home.path("wall.png"), home.path("drawn.png"));
    let recording = with_portrait(Recording::new().person("obama3.jpg", 0.16, 1));
    recording.frames()[0].save(&picture).unwrap();
    let home = home.set("detect.ignore", IGNORE).set("detect.only", "[[0.0, 0.0, 0.9, 0.9]]");
    let arguments = ["detect", picture.to_str().unwrap(), "--out", drawn.to_str().unwrap()];
    let output = home.command(&[&arguments[..], &["--json"]].concat()).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    let hidden: Vec<_> = told["faces"]
        .as_array()
        .unwrap()
        .iter()
        .map(|face| (face["box"]["x"].as_f64().unwrap() > 150.0, face["not_seen_for"].clone()))
        .collect();
    assert_eq!(hidden.len(), 2, "{told}");
    assert!(hidden.contains(&(true, serde_json::Value::Null)), "{told}");
    assert!(hidden.contains(&(false, "detect.ignore".into())), "{told}");
    let text = home.command(&arguments).output().unwrap();
    let text = String::from_utf8_lossy(&text.stdout).into_owned();
    assert!(text.contains("not seen, for detect.ignore"), "{text}");
    let drawn = image::open(&drawn).unwrap().to_rgb8();
    let right = (0.24 * WIDTH as f32) as u32;
    assert_eq!(drawn.get_pixel(right, 100).0, [150, 150, 150], "the ignored rectangle's edge");
    let right = (0.9 * WIDTH as f32) as u32;
    assert_eq!(drawn.get_pixel(right, 300).0, [255, 255, 255], "the only rectangle's edge");
}

#[test]
fn photographs_are_enrolled_whatever_the_camera_ignores() {
    if !assets() {
        return;
    }
    let home = Home::new().set("detect.ignore", "[[0, 0, 1, 1]]").enrol_obama();
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25).write(&recording, 1);
    assert_eq!(decided(&home, &recording), [""; 0], "before the camera nobody is seen");
}
