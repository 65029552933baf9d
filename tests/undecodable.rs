//! Cameras and recordings of whose frames none, or few, can be decoded: what the daemon, `doctor` and
//! `enroll` say of them, and that one that recovers is said to stream.
//!
//! The frames are made here: ordinary JPEG, and the same with a header that says arithmetic codes.
//! Needs the files that `make assets` fetches, and for MQTT the program `mosquitto`; says what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::PathBuf;

use image::ExtendedColorType;
use image::codecs::jpeg::JpegEncoder;
use support::answer::Answer;
use support::daemon::Home;
use support::models::assets;
use support::mosquitto::{Broker, Mosquitto};
use support::subscriber::Subscriber;

const CAMERA: &str = "deepid-edge/front/camera";
const HEALTH: &str = "deepid-edge/front/health";

fn good() -> Vec<u8> {
    let grey: Vec<u8> = (0..160 * 120).map(|i| (i * 13 % 251) as u8).collect();
    let mut out = Vec::new();
    JpegEncoder::new(&mut out).encode(&grey, 160, 120, ExtendedColorType::L8).unwrap();
    out
}

/// The picture with another code for its header, which says that its codes are arithmetic.
fn arithmetic() -> Vec<u8> {
    let mut bytes = good();
    let at = bytes.windows(2).position(|pair| pair == [0xFF, 0xC0]).unwrap();
    bytes[at + 1] = 0xC9;
    bytes
}

/// A recording of one frame for each letter: `+` can be decoded, `-` cannot.
fn recording(home: &Home, frames: &str) -> PathBuf {
    let path = home.path("recording.mjpeg");
    let bytes: Vec<u8> =
        frames.chars().flat_map(|one| if one == '+' { good() } else { arithmetic() }).collect();
    std::fs::write(&path, bytes).unwrap();
    path
}

/// One in thirty.
fn rarely() -> String {
    ("+".to_owned() + &"-".repeat(29)).repeat(2)
}

#[test]
fn a_recording_that_cannot_be_decoded_is_a_camera_state_with_counts_and_remedy() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    for frames in ["-".repeat(60), rarely()] {
        let home = Home::new().broker(broker.port()).set("camera.replay.pace", "real-time");
        let mut daemon = home.run(&recording(&home, &frames));
        let told = subscriber
            .next("undecodable", |m| m.topic == CAMERA && m.text().contains("undecodable"))
            .json();
        let remedy = told["remedy"].as_str().expect("a remedy");
        assert!(remedy.contains(" of its last ") && remedy.contains("arithmetic"), "{remedy}");
        assert!(remedy.contains("ffmpeg -i FILE"), "{remedy}");
        let health = subscriber
            .next("frames that could not be decoded", |m| {
                m.topic == HEALTH && m.json()["frames"]["undecodable"].as_u64() > Some(50)
            })
            .json();
        assert_eq!(health["frames"]["captured"], 60);
        assert!(daemon.until_ended().success(), "{}", daemon.log());
        assert!(daemon.log().contains("undecodable"), "{}", daemon.log());
    }
}

#[test]
fn one_that_recovers_streams_again() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let home = Home::new().broker(broker.port()).set("camera.replay.pace", "real-time");
    let frames = "+".repeat(5) + &"-".repeat(20) + &"+".repeat(75);
    let mut daemon = home.run(&recording(&home, &frames));
    for state in ["streaming", "undecodable", "streaming"] {
        let told = subscriber.next(state, |m| m.topic == CAMERA && !m.retained).json();
        assert_eq!(told["state"], state, "{told}");
    }
    assert!(daemon.until_ended().success(), "{}", daemon.log());
}

#[test]
fn the_doctor_counts_the_frames_that_cannot_be_decoded() {
    let table = [
        ("-".repeat(60), "fail", "15 of 15 frames cannot be decoded"),
        (rarely(), "fail", "14 of 15 frames cannot be decoded"),
        ("+++-".repeat(15), "warn", "3 of 15 cannot be decoded"),
        ("+".repeat(60), "warn", "frames come"),
    ];
    for (frames, verdict, words) in table {
        let home = Home::new();
        let path = recording(&home, &frames);
        let set = format!("camera.replay.path={}", path.display());
        let output = home.command(&["doctor", "--json", "--set", &set]).output().unwrap();
        let report = Answer::of(output).json();
        let checks = report["checks"].as_array().expect("checks").clone();
        let camera = checks.iter().find(|check| check["check"] == "camera").expect("the camera");
        assert_eq!(camera["verdict"], verdict, "{camera}");
        assert!(camera["what"].to_string().contains(words), "{camera}");
        assert_eq!(camera["what"].to_string().contains("arithmetic"), frames.contains('-'));
    }
}

#[test]
fn an_enrolment_from_such_a_recording_says_what_is_wrong_with_it() {
    if !assets() {
        return;
    }
    for (frames, undecodable) in [("-".repeat(60), 60), (rarely(), 58)] {
        let home = Home::new();
        let path = recording(&home, &frames);
        let arguments = ["enroll", "Ada", "--replay", path.to_str().unwrap(), "--json"];
        let answer = Answer::of(home.command(&arguments).output().unwrap());
        let error = answer.error();
        assert_eq!(answer.code, 4, "{error}");
        assert_eq!(error["problems"][0]["reason"], "undecodable");
        let what = error["what"].as_str().expect("a text");
        assert!(what.contains(&format!("; {undecodable}: it cannot be decoded")), "{what}");
        assert!(what.contains("0 of 5 references from 60 frames"), "{what}");
    }
}
