//! Cameras that another program reads: real programs, real pipes, a real RTSP stream.
//!
//! In: recordings, played by ffmpeg and by shell scripts that misbehave; network cameras of this
//! machine (`tests/support/network_camera.rs`). Out: frames, states, what is told, and that no program is
//! left. Time is real, because the pipe's is; nothing is measured more finely than a program's start.
//! Needs ffmpeg, which `make setup` installs, and for the daemon what `make assets` fetches; says aloud
//! what it skips.
//! Deliberately absent: a camera of libcamera. Its program is played by a script.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::io::BufReader;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use deepid_edge::capture::program::{Output, Program, ProgramSettings};
use deepid_edge::capture::replay::mjpeg::MjpegReader;
use deepid_edge::capture::{
    self, CameraKind, CameraState, CaptureError, CapturedFrame, Decoder, Feed, FrameRate,
    FrameSource, Origin, ProgramKind, Progress, SourceSettings,
};
use deepid_edge::clock::Clock;
use deepid_edge::geometry::View;
use support::daemon::{Daemon, Home, clock, until};
use support::fault_rows::shown;
use support::models;
use support::mosquitto::{Broker, Mosquitto};
use support::network_camera::{NetworkCamera, base64};
use support::scene::Recording;
use support::subscriber::Subscriber;

const USER: &str = "front door";
const CANARY: &str = "Zq7:can@ry/7'qZ";
const CAMERA: &str = "deepid-edge/front/camera";
const INFO: &str = "deepid-edge/front/info";
const ACCESS: &str = "deepid-edge/front/access";

fn ffmpeg() -> bool {
    let there = Command::new("ffmpeg").arg("-version").output().is_ok();
    if !there {
        support::skip("ffmpeg is not installed; 'make setup' installs it");
    }
    there
}

/// What a daemon needs besides.
fn assets_and_ffmpeg() -> bool {
    models::assets() && ffmpeg()
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// Thirty frames of nobody, 320×240: as a film, and each as a file of its own.
    fn film(&self) -> PathBuf {
        let path = self.path("film.mjpeg");
        Recording::new().nobody(30).write(&path, 2);
        let mut reader = MjpegReader::new(BufReader::new(std::fs::File::open(&path).unwrap()));
        let mut picture = Vec::new();
        for number in 10.. {
            if !reader.next_picture(&mut picture).unwrap() {
                break;
            }
            std::fs::write(self.path(&format!("picture-{number}")), &picture).unwrap();
        }
        path
    }

    /// A script that is found as the program `name`.
    fn script(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, format!("#!/bin/sh\ncd {}\n{text}\n", self.0.path().display()))
            .unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        path
    }

    /// The number that a script has written into the file `name`.
    fn number(&self, name: &str) -> u32 {
        until(name, || std::fs::read_to_string(self.path(name)).ok()?.trim().parse().ok())
    }
}

fn settings(arguments: &[&str], output: Output) -> ProgramSettings {
    let arguments = arguments.iter().map(|&text| text.into()).collect();
    ProgramSettings {
        program: Program::Command { arguments, output },
        size: (320, 240),
        rate: FrameRate::per_second(15),
        username: None,
        password_file: None,
    }
}

fn open(feed: Feed) -> Result<Box<dyn FrameSource>, CaptureError> {
    capture::open(SourceSettings { feed, view: View::default() }, Arc::new(clock()))
}

fn plain(settings: ProgramSettings) -> Box<dyn FrameSource> {
    open(Feed::Camera(CameraKind::Program(settings))).unwrap()
}

fn supervised(settings: ProgramSettings) -> Box<dyn FrameSource> {
    open(Feed::Supervised(CameraKind::Program(settings))).unwrap()
}

/// Asks until something else than waiting comes.
fn next(source: &mut dyn FrameSource, frame: &mut CapturedFrame) -> Result<Progress, CaptureError> {
    until("a frame or an error", || match source.next_frame(frame) {
        Ok(Progress::Waiting) => None,
        other => Some(other),
    })
}

/// Asks until the camera is in this state.
fn until_state(source: &mut dyn FrameSource, state: CameraState) -> String {
    let mut frame = CapturedFrame::new();
    until(state.name(), || {
        source.next_frame(&mut frame).unwrap();
        let status = source.status().unwrap();
        (status.state == state).then(|| status.detail.clone())
    })
}

/// Whether a process runs, and is no zombie.
fn runs(process: u32) -> bool {
    std::fs::read_to_string(format!("/proc/{process}/stat"))
        .is_ok_and(|stat| !stat.rsplit(')').next().unwrap().trim().starts_with('Z'))
}

#[test]
fn a_recording_that_a_command_plays_is_read_in_every_format() {
    if !ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let film = bench.film();
    for (output, how) in [
        (Output::Mjpeg, &["-c:v", "copy", "-f", "mjpeg"][..]),
        (Output::Y4m, &["-pix_fmt", "yuv420p", "-f", "yuv4mpegpipe"]),
        (Output::Yuv420, &["-pix_fmt", "yuv420p", "-f", "rawvideo"]),
        (Output::Nv12, &["-pix_fmt", "nv12", "-f", "rawvideo"]),
    ] {
        let begin =
            ["ffmpeg", "-nostdin", "-loglevel", "error", "-re", "-r", "15", "-f", "mjpeg", "-i"];
        let arguments = [&begin[..], &[film.to_str().unwrap()], how, &["-flush_packets", "1", "-"]];
        let mut last = clock().now();
        let mut source = plain(settings(&arguments.concat(), output));
        let (mut frame, mut decoder) = (CapturedFrame::new(), Decoder::new());
        let mut brightness = 0;
        for _ in 0..5 {
            assert_eq!(next(&mut *source, &mut frame).unwrap(), Progress::Frame);
            assert!(frame.captured_at() > last && frame.captured_at() <= clock().now());
            last = frame.captured_at();
            let decoded = decoder.decode(&frame).unwrap();
            assert_eq!((decoded.width(), decoded.height()), (320, 240), "{output:?}");
            brightness = decoded.pixels()[0];
        }
        assert!((120..200).contains(&brightness), "{output:?}: a light wall, not {brightness}");
        let description = source.description();
        assert_eq!((description.width, description.height), (320, 240), "{output:?}");
        assert_eq!(description.origin, Origin::Program(ProgramKind::Command));
        // Its end is told, after its last frame.
        let error = loop {
            if let Err(error) = next(&mut *source, &mut frame) {
                break error;
            }
        };
        assert_eq!(error.state(), CameraState::Searching, "{error}");
        assert!(error.to_string().contains("exit status: 0"), "{error}");
    }
}

#[test]
fn garbage_and_pictures_that_were_cut_cost_themselves_alone() {
    let bench = Bench::new();
    bench.film();
    // Half a picture, then in turn pictures, garbage, and a picture of which the rest is missing.
    let script = "head -c 900 picture-10
for picture in picture-*; do
    cat $picture; sleep 0.1
    echo 'camera: exposure changed'; head -c 20000 /dev/zero | tr '\\0' x
    cat $picture; sleep 0.1
    head -c 1500 $picture
done
exec sleep 60";
    let program = bench.script("camera", script);
    let mut source = plain(settings(&[program.to_str().unwrap()], Output::Mjpeg));
    let (mut frame, mut decoder) = (CapturedFrame::new(), Decoder::new());
    let (mut whole, mut damaged) = (0, 0);
    while whole < 10 {
        match next(&mut *source, &mut frame) {
            Ok(Progress::Frame) => match decoder.decode(&frame) {
                Ok(_) => whole += 1,
                Err(_) => damaged += 1,
            },
            Ok(other) => panic!("{other:?}"),
            Err(error) => {
                assert!(!error.needs_reopening(), "{error}");
                damaged += 1;
            }
        }
    }
    assert!(damaged > 0);
    shown("camera-garbage", 1);
}

#[test]
fn a_y4m_stream_that_was_cut_in_a_frame_goes_on() {
    if !ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let film = bench.film();
    let y4m = bench.path("film.y4m");
    let made = Command::new("ffmpeg")
        .args(["-nostdin", "-loglevel", "error", "-f", "mjpeg", "-i"])
        .arg(&film)
        .args(["-pix_fmt", "yuv420p"])
        .arg(&y4m)
        .status();
    assert!(made.unwrap().success());
    let script = "head -c 200000 film.y4m; tail -c 500006 film.y4m; sleep 0.3; echo noise; tail -c 345618 film.y4m; exec sleep 60";
    let program = bench.script("camera", script);
    let mut source = plain(settings(&[program.to_str().unwrap()], Output::Y4m));
    let mut frame = CapturedFrame::new();
    let (mut whole, mut damaged) = (0, 0);
    while whole < 2 || damaged == 0 {
        match next(&mut *source, &mut frame) {
            Ok(_) => whole += 1,
            Err(error) => {
                assert!(!error.needs_reopening(), "{error}");
                damaged += 1;
            }
        }
    }
}

#[test]
fn a_program_that_dies_is_told_with_its_words_and_started_again() {
    let bench = Bench::new();
    let script = "echo started >> starts; echo 'opening /dev/video7' >&2
printf '\\033[31mno sensor\\007 at http://u:secret@cam here\\n' >&2; exit 3";
    let program = bench.script("camera", script);
    let mut source = supervised(settings(&[program.to_str().unwrap()], Output::Mjpeg));
    let mut frame = CapturedFrame::new();
    let starts =
        || std::fs::read_to_string(bench.path("starts")).unwrap_or_default().lines().count();
    until("three starts", || {
        source.next_frame(&mut frame).unwrap();
        (starts() >= 3).then_some(())
    });
    let status = until("what is wrong", || {
        source.next_frame(&mut frame).unwrap();
        source.status().filter(|status| status.detail.contains("exit status: 3")).cloned()
    });
    assert_eq!(status.state, CameraState::Searching);
    for part in ["no sensor", "opening /dev/video7", "by hand", "***@cam"] {
        assert!(status.detail.contains(part), "{}", status.detail);
    }
    assert!(!status.detail.contains("secret") && !status.detail.contains('\u{1b}'));
    assert!(status.advice().unwrap().ends_with("see what it writes"), "{:?}", status.advice());
}

#[test]
fn what_cannot_be_started_and_what_is_no_picture_is_told_with_a_remedy() {
    let bench = Bench::new();
    let wrong = |settings: ProgramSettings| match open(Feed::Camera(CameraKind::Program(settings)))
    {
        Ok(mut source) => next(&mut *source, &mut CapturedFrame::new()).unwrap_err(),
        Err(error) => error,
    };
    let missing = wrong(settings(&["deepid-edge-no-such-program"], Output::Mjpeg));
    assert_eq!(missing.state(), CameraState::Unsupported);
    assert!(missing.to_string().contains("not installed: correct camera.command"), "{missing}");
    let film = bench.film();
    let refused = wrong(settings(&[film.to_str().unwrap()], Output::Mjpeg));
    assert_eq!(refused.state(), CameraState::Denied, "{refused}");
    let other = wrong(settings(&["echo", "YUV4MPEG2 W2 H2 C444p10"], Output::Y4m));
    assert_eq!(other.state(), CameraState::Unsupported);
    assert!(other.to_string().contains("-pix_fmt yuv420p"), "{other}");
    let unreadable = wrong(ProgramSettings {
        program: Program::Address("rtsp://127.0.0.1:1/1".to_owned()),
        username: Some("u".to_owned()),
        password_file: Some(bench.path("none")),
        ..settings(&[], Output::Mjpeg)
    });
    assert_eq!(unreadable.state(), CameraState::Denied);
    assert!(unreadable.to_string().contains("camera.password_file"), "{unreadable}");
    // Text without end is no camera, and no reason to wait for ever.
    let mut endless = supervised(settings(&["yes"], Output::Mjpeg));
    let detail = until_state(&mut *endless, CameraState::Unsupported);
    assert!(detail.contains("no MJPEG") && detail.contains("command_format"), "{detail}");
}

/// A camera that says its number in the file `pid` and shows the pictures again and again.
const SHOWS: &str = "echo $$ > pid
while :; do for picture in picture-*; do cat $picture || exit; sleep 0.05; done; done";

#[test]
fn a_stopped_program_is_a_stall_and_another_takes_its_place() {
    let bench = Bench::new();
    bench.film();
    let program = bench.script("camera", SHOWS);
    let mut source = supervised(settings(&[program.to_str().unwrap()], Output::Mjpeg));
    until_state(&mut *source, CameraState::Streaming);
    let first = bench.number("pid");
    support::signal(first, "-STOP");
    let detail = until_state(&mut *source, CameraState::Stalled);
    assert!(detail.contains("has given no frame for"), "{detail}");
    until_state(&mut *source, CameraState::Streaming);
    assert_ne!(bench.number("pid"), first);
    assert!(!runs(first), "the old one is gone");
}

#[test]
fn who_comes_late_gets_the_newest_frame_and_its_true_age() {
    let bench = Bench::new();
    bench.film();
    let program = bench.script("camera", SHOWS);
    let mut source = plain(settings(&[program.to_str().unwrap()], Output::Mjpeg));
    let mut frame = CapturedFrame::new();
    next(&mut *source, &mut frame).unwrap();
    let first = frame.sequence();
    let pause = Duration::from_secs(2);
    let before = clock().now();
    clock().sleep(pause);
    assert_eq!(source.next_frame(&mut frame).unwrap(), Progress::Frame);
    assert!(frame.sequence() > first + 5, "what came meanwhile was passed over, and counted");
    assert!(frame.captured_at() > before, "it is not the one that waited");
}

#[test]
fn an_orderly_end_leaves_no_process_also_of_those_who_do_not_listen() {
    let bench = Bench::new();
    bench.film();
    let script = format!("trap '' TERM; sleep 1000 & echo $! > child; {SHOWS}");
    let program = bench.script("camera", &script);
    let mut source = supervised(settings(&[program.to_str().unwrap()], Output::Mjpeg));
    until_state(&mut *source, CameraState::Streaming);
    let (program, child) = (bench.number("pid"), bench.number("child"));
    assert!(runs(program) && runs(child));
    drop(source);
    // Not even a zombie: this process has waited for it.
    assert!(!Path::new(&format!("/proc/{program}")).exists());
    until("the end of what it has started", || (!runs(child)).then_some(()));
}

#[test]
fn libcameras_program_is_found_by_its_name_and_asked_for_what_is_configured() {
    let bench = Bench::new();
    bench.film();
    // Its name of old, as before Raspberry Pi OS 12.
    let path = format!("{}:{}", bench.0.path().display(), std::env::var("PATH").unwrap());
    let flags = [
        "--set",
        "camera.device=libcamera",
        "--set",
        "camera.width=320",
        "--set",
        "camera.height=240",
    ];
    let doctor = |path: &str| {
        let home = Home::new();
        let output = home
            .command(&[&flags[..], &["doctor", "--json", "--patience", "1"]].concat())
            .env("PATH", path)
            .output()
            .unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    let said = doctor("/nonexistent");
    assert!(said.contains("rpicam-vid nor libcamera-vid: not installed"), "{said}");
    let told: serde_json::Value = serde_json::from_str(&said).unwrap();
    let checks = told["checks"].as_array().unwrap();
    let camera = checks.iter().find(|check| check["check"] == "camera").unwrap();
    assert!(camera["remedy"].as_str().unwrap().contains("apt install rpicam-apps"), "{camera}");
    bench.script("libcamera-vid", &format!("echo \"$@\" > arguments; {SHOWS}"));
    let said = doctor(&path);
    assert!(
        said.contains("libcamera (libcamera-vid): MJPG 320×240 at 15/s, frames come"),
        "{said}"
    );
    let arguments = std::fs::read_to_string(bench.path("arguments")).unwrap();
    assert!(arguments.contains("--width 320 --height 240 --framerate 15"), "{arguments}");
}

/// A home with a network camera, whose password is the canary.
fn at_network_camera(bench: &Bench, address: &str) -> Home {
    let secret = bench.path("camera-password");
    std::fs::write(&secret, format!("{CANARY}\n")).unwrap();
    std::fs::set_permissions(&secret, PermissionsExt::from_mode(0o600)).unwrap();
    Home::new()
        .set("camera.device", address)
        .set("camera.username", USER)
        .set("camera.password_file", secret.display())
        .set("camera.width", 320)
        .set("camera.height", 240)
}

/// Everything that other users can read of a daemon's programs: arguments and names.
fn what_processes_show(daemon: &Daemon) -> Vec<String> {
    let mut shown = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let path = entry.path();
        let Ok(stat) = std::fs::read_to_string(path.join("stat")) else { continue };
        let behind = stat.rsplit(')').next().unwrap_or_default().to_owned();
        if behind.split(' ').nth(2) != Some(&daemon.id().to_string()) {
            continue;
        }
        for name in ["cmdline", "environ"] {
            let bytes = std::fs::read(path.join(name)).unwrap_or_default();
            shown.push(String::from_utf8_lossy(&bytes).replace('\0', " "));
        }
    }
    shown
}

fn hidden(what: &str, shown: &str) {
    let basic = base64(&format!("{USER}:{CANARY}"));
    for secret in [CANARY, "Zq7", "7'qZ", "can%40ry", basic.as_str()] {
        assert!(!shown.contains(secret), "{what} shows the secret:\n{shown}");
    }
}

#[test]
fn no_secret_of_a_network_camera_is_seen_anywhere() {
    if !assets_and_ffmpeg() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let bench = Bench::new();
    let camera = NetworkCamera::http(&bench.film(), USER, CANARY);
    let address = camera.address("http", "video.mjpg");
    let home = at_network_camera(&bench, &address).broker(broker.port());
    let mut daemon = home.run_on_camera();
    let streams = |text: &str| text.contains("\"streaming\"");
    subscriber.next("a camera that streams", |m| m.topic == CAMERA && streams(m.text()));
    let info =
        subscriber.next("info of it", |m| m.topic == INFO && m.text().contains("\"origin\""));
    let info = info.json();
    assert_eq!(info["camera"]["origin"], "network", "{info}");
    assert_eq!(
        (&info["camera"]["width"], &info["camera"]["name"]),
        (&320.into(), &"ffmpeg".into())
    );
    let shown = what_processes_show(&daemon);
    assert!(shown.iter().any(|line| line.starts_with("ffmpeg ")), "{shown:?}");
    for line in &shown {
        hidden("a program's arguments and environment", line);
        assert!(!line.contains("video.mjpg"), "nor the address: {line}");
    }
    for verb in [&["config", "show"][..], &["config", "check"], &["doctor", "--patience", "1"]] {
        for json in [&[][..], &["--json"]] {
            let output = home.command(&[verb, json].concat()).output().unwrap();
            hidden(&format!("{verb:?}"), &String::from_utf8_lossy(&output.stdout));
            hidden(&format!("{verb:?}"), &String::from_utf8_lossy(&output.stderr));
        }
    }
    // The camera refuses it from now on, and what ffmpeg says of that has the address in it.
    camera.facts().refuses.store(true, Ordering::Relaxed);
    camera.facts().is_silent.store(true, Ordering::Relaxed);
    let denied =
        subscriber.next("the refusal", |m| m.topic == CAMERA && m.text().contains("\"denied\""));
    assert!(denied.text().contains("camera.password_file"), "{}", denied.text());
    hidden("the topic camera", denied.text());
    let doctor = home.command(&["doctor", "--json"]).output().unwrap();
    let said = String::from_utf8_lossy(&doctor.stdout).into_owned();
    assert!(said.contains("401"), "{said}");
    hidden("doctor", &said);
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    hidden("the log", &daemon.log());
    assert!(daemon.log().contains("401"), "{}", daemon.log());
    for message in subscriber.until_now("marker") {
        hidden(&message.topic, message.text());
    }
}

#[test]
fn a_stream_over_rtsp_is_read_and_its_silence_is_a_stall() {
    if !ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let camera = NetworkCamera::rtsp(&bench.film(), USER, CANARY);
    let secret = bench.path("secret");
    std::fs::write(&secret, CANARY).unwrap();
    let mut source = supervised(ProgramSettings {
        program: Program::Address(camera.address("rtsp", "stream1")),
        username: Some(USER.to_owned()),
        password_file: Some(secret),
        ..settings(&[], Output::Y4m)
    });
    until_state(&mut *source, CameraState::Streaming);
    let (mut frame, mut decoder) = (CapturedFrame::new(), Decoder::new());
    for _ in 0..10 {
        assert!(matches!(next(&mut *source, &mut frame), Ok(Progress::Frame | Progress::Repeat)));
        let decoded = decoder.decode(&frame).unwrap();
        assert_eq!((decoded.width(), decoded.height()), (320, 240));
    }
    let requests = camera.facts().requests.lock().unwrap().join("\n");
    assert!(requests.contains("PLAY rtsp://127.0.0.1"), "{requests}");
    camera.facts().is_silent.store(true, Ordering::Relaxed);
    until_state(&mut *source, CameraState::Stalled);
    camera.facts().is_silent.store(false, Ordering::Relaxed);
    until_state(&mut *source, CameraState::Streaming);
}

/// A script that plays the file `visit` as a camera of 15 frames a second, and then shows nothing new.
fn plays(bench: &Bench, visit: Recording) -> PathBuf {
    visit.write(&bench.path("visit.mjpeg"), 1);
    let play = "ffmpeg -nostdin -loglevel error -re -r 15 -f mjpeg -i visit.mjpeg -c:v copy -flush_packets 1 -f mjpeg -";
    bench.script("camera", &format!("echo $$ > pid; echo $$ >> pids; {play}; exec sleep 60"))
}

fn on_command(program: &Path) -> Home {
    let command = format!("[\"{}\"]", program.display());
    Home::new().set("camera.device", "command").set("camera.command", command)
}

#[test]
fn whoever_is_enrolled_is_granted_before_a_command() {
    if !assets_and_ffmpeg() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let bench = Bench::new();
    let program = plays(&bench, Recording::visits());
    let home = on_command(&program).broker(broker.port()).enrol_obama();
    let mut daemon = home.run_on_camera();
    let access = subscriber.on(ACCESS).json();
    assert_eq!((&access["outcome"], &access["reason"]), (&"granted".into(), &"matched".into()));
    let access = subscriber.on(ACCESS).json();
    assert_eq!(access["outcome"], "unknown");
    let pid = bench.number("pid");
    assert!(runs(pid));
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert!(!runs(pid), "an orderly end leaves no program");
    let log = daemon.log();
    assert!(!log.contains("virtual") && !log.contains("camera.identity"), "no doubt: {log}");
}

#[test]
fn a_camera_through_a_program_enrols() {
    if !assets_and_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    let program = plays(&bench, Recording::new().nobody(5).person("obama3.jpg", 0.16, 200));
    let home = on_command(&program);
    let output = home.command(&["enroll", "ada", "--camera", "--count", "2"]).output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    until("its end", || (!runs(bench.number("pid"))).then_some(()));
}

#[test]
fn a_killed_daemon_leaves_no_program_and_one_that_was_held_up_believes_no_old_frame() {
    if !assets_and_ffmpeg() {
        return;
    }
    let bench = Bench::new();
    bench.film();
    let program = bench.script("camera", &format!("echo $$ >> pids; {SHOWS}"));
    let home = on_command(&program);
    let mut daemon = home.run_on_camera();
    until("a streaming camera", || daemon.log().contains("camera is streaming").then_some(()));
    daemon.signal("-STOP");
    clock().sleep(Duration::from_secs(2));
    daemon.signal("-CONT");
    until("the old frames' refusal", || daemon.log().contains("nobody read for").then_some(()));
    let starts = || std::fs::read_to_string(bench.path("pids")).unwrap().lines().count();
    until("another program", || (starts() >= 2).then_some(()));
    until("its frames", || {
        (daemon.log().matches("camera is streaming").count() >= 2).then_some(())
    });
    let pid = bench.number("pid");
    daemon.signal("-KILL");
    daemon.until_ended();
    until("the end of its program", || (!runs(pid)).then_some(()));
}
