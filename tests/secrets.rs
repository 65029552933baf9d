//! A secret that somebody wrote into a key of the configuration never leaves the program.
//!
//! A canary goes into every key of the table, in every shape in which people write secrets, by
//! file, environment and flag; then every way out is read: results, errors, the log, MQTT. A new
//! key is covered without a word here. Needs the files that `make assets` fetches and the program
//! `mosquitto` for what the daemon says; says aloud what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::fmt::Write as _;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::Duration;

use deepid_edge::config::{Config, Flag, KEYS, KeyKind, Sources};
use support::answer::Answer;
use support::daemon::Home;
use support::models::{assets, library, root};
use support::mosquitto::{Broker, Mosquitto};
use support::scene::Recording;
use support::subscriber::Subscriber;

const CANARY: &str = "Zq7canary7qZ";

/// The shapes in which people write secrets where none belongs.
fn shapes() -> [String; 8] {
    [
        format!("rtsp://user:{CANARY}@cam.lan/stream"),
        format!("rtsp://user:p@ss/{CANARY}@cam.lan/stream"),
        format!("rtsp://user:{CANARY}%40x@cam.lan:554/stream"),
        format!("rtsp://{CANARY}@cam.lan/stream"),
        format!("user:{CANARY}@cam.lan/stream"),
        format!("http://cam.lan/snapshot.cgi?user=a&pwd={CANARY}"),
        format!("/dev/video0?token={CANARY}"),
        format!("-----BEGIN PRIVATE KEY-----\n{CANARY}\n-----END PRIVATE KEY-----\n"),
    ]
}

fn hidden(what: &str, shown: &str) {
    assert!(!shown.contains(CANARY), "{what} shows the secret:\n{shown}");
}

struct Bench(tempfile::TempDir);

impl Bench {
    fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepid-edge"));
        let folder = self.0.path();
        command.args(arguments).env_clear().current_dir(folder).stdin(Stdio::null());
        command
    }
}

/// Runs `command`, and sees to it that neither of its outputs shows the secret.
fn run(what: &str, command: &mut Command) -> Answer {
    let answer = Answer::of(command.output().unwrap());
    hidden(what, &answer.out);
    hidden(what, &answer.err);
    answer
}

/// Every key set to `value`, as a file.
fn file_of_all_keys(value: &str) -> String {
    let mut text = String::new();
    for key in KEYS {
        let value = toml::Value::from(value);
        let _infallible = writeln!(text, "{} = {value}", key.name);
    }
    text
}

#[test]
fn no_wrong_value_is_shown_with_its_secret() {
    let bench = Bench::new();
    let file = bench.path("config.toml");
    let file_flag = ["--config", file.to_str().unwrap()];
    for shape in shapes() {
        std::fs::write(&file, file_of_all_keys(&shape)).unwrap();
        for verb in [&["config", "check"][..], &["config", "show"], &["doctor"], &["run"]] {
            for json in [&[][..], &["--json"]] {
                let what = format!("{verb:?} {json:?} by {shape:?}");
                let arguments = [&file_flag[..], verb, json].concat();
                let answer = run(&what, &mut bench.command(&arguments));
                assert_ne!(answer.code, 0, "{what}: {}{}", answer.out, answer.err);
                assert!(answer.err.contains("camera.width") || verb == ["doctor"], "{what}");
                if verb == ["doctor"] {
                    continue;
                }
                let mut command = bench.command(&[verb, json].concat());
                for key in KEYS {
                    let name = key.name.to_uppercase().replace('.', "__");
                    command.env(format!("DEEPID_EDGE__{name}"), &shape);
                }
                assert_ne!(run(&what, &mut command).code, 0, "{what}, environment");
                let mut command = bench.command(&[verb, json].concat());
                for key in KEYS {
                    command.arg("--set").arg(format!("{}={shape}", key.name));
                }
                assert_ne!(run(&what, &mut command).code, 0, "{what}, flags");
            }
        }
    }
}

#[test]
fn no_address_with_a_secret_is_a_device_and_the_error_says_what_is() {
    let bench = Bench::new();
    for shape in shapes().iter().filter(|shape| !shape.starts_with('/')) {
        let flag = format!("camera.device={shape}");
        let mut command = bench.command(&["config", "check", "--set", &flag]);
        let answer = run("config check", &mut command);
        assert_eq!(answer.code, 3, "{shape}: {}", answer.err);
        assert!(answer.err.contains("/dev/v4l/by-id"), "{}", answer.err);
        if shape.contains("://") {
            for key in ["camera.username", "camera.password_file"] {
                assert!(answer.err.contains(key), "{}", answer.err);
            }
        }
    }
}

#[test]
fn neither_a_broken_file_nor_a_wrong_command_line_shows_the_secret() {
    let bench = Bench::new();
    for text in [
        format!("[camera]\ndevice = rtsp://user:{CANARY}@cam\n"),
        format!("[camera]\ndevice = \"rtsp://user:{CANARY}@cam\n"),
        format!("[mqtt]\npassword = {CANARY}\n"),
        format!("[mqtt]\npassword = '{CANARY}'\n"),
        format!("[mqtt]\n\"rtsp://user:{CANARY}@cam\" = 1\n"),
        format!("[camera]\ncontrols = {{ \"rtsp://user:{CANARY}@cam\" = 'x' }}\n"),
    ] {
        let file = bench.path("config.toml");
        std::fs::write(&file, &text).unwrap();
        for json in [&[][..], &["--json"]] {
            let flags = ["--config", file.to_str().unwrap(), "config", "check"];
            let answer = run(&text, &mut bench.command(&[&flags, json].concat()));
            assert_ne!(answer.code, 0, "{text}");
        }
    }
    let url = format!("rtsp://user:{CANARY}@cam.lan/1?token={CANARY}");
    for arguments in [
        &["--set", &url, "config", "show"][..],
        &["--config", &url, "config", "show"],
        &["--log-level", &url, "config", "show"],
        &["--database", &url, "subjects", "list"],
        &["--models", &url, "models", "list"],
        &["run", "--device", &url],
        &["run", "--replay", &url],
        &["run", "--door", &url],
        &["detect", &url],
        &["enroll", "somebody", "--image", &url],
        &["backup", &url],
        &["restore", &url, "--passphrase-file", &url],
        &[&url],
    ] {
        for json in [&[][..], &["--json"]] {
            let all = [arguments, json].concat();
            let answer = run(&format!("{all:?}"), &mut bench.command(&all));
            assert_ne!(answer.code, 0, "{all:?}");
        }
    }
}

/// A home in which what `key` names is there, under a name that holds the secret.
fn furnished(key: &'static str) -> (Home, String) {
    let home = Home::new();
    let path = home.path(&format!("{key}?token={CANARY}"));
    let value = path.to_str().unwrap().to_owned();
    match key {
        "models.directory" => {
            std::fs::create_dir(&path).unwrap();
            for from in ["models", "assets/models"] {
                for file in std::fs::read_dir(root().join(from)).unwrap() {
                    let file = file.unwrap().path();
                    symlink(&file, path.join(file.file_name().unwrap())).unwrap();
                }
            }
        }
        "models.library" => symlink(library(), &path).unwrap(),
        "camera.replay.path" => Recording::new().nobody(8).write(&path, 2),
        "mqtt.password_file" | "camera.password_file" => {
            std::fs::write(&path, "door\n").unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        }
        _ => {}
    }
    let home = if is_of_an_address(key) { home.set("camera.device", NOBODY) } else { home };
    let home = match key {
        "mqtt.password_file" => home.set("mqtt.username", "door"),
        "camera.password_file" => home.set("camera.username", "door"),
        _ => home,
    };
    (home, value)
}

/// A network camera that is not there.
const NOBODY: &str = "rtsp://127.0.0.1:9/1";

fn is_of_an_address(key: &str) -> bool {
    matches!(key, "camera.username" | "camera.password_file")
}

fn is_right(key: &str, value: &str) -> bool {
    let mut flags = vec![Flag::set("mqtt.username", "door")];
    if is_of_an_address(key) {
        flags.push(Flag::set("camera.device", NOBODY));
        flags.push(Flag::set("camera.username", "door"));
    }
    flags.push(Flag::set(key, value));
    Config::load(&Sources { flags, ..Sources::default() }).is_ok()
}

#[test]
fn no_key_lets_a_secret_out() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let mut taken = Vec::new();
    for key in KEYS.iter().filter(|key| matches!(key.kind, KeyKind::Text(_) | KeyKind::Path)) {
        let (home, value) = furnished(key.name);
        if !is_right(key.name, &value) {
            continue;
        }
        taken.push(key.name);
        let home = home.broker(broker.port()).set(key.name, &value);
        verbs(&home, key.name);
        daemon(&home, key.name, &value, &subscriber);
    }
    for wanted in [
        "camera.device",
        "camera.username",
        "camera.password_file",
        "camera.replay.path",
        "store.path",
        "mqtt.username",
    ] {
        assert!(taken.contains(&wanted), "{wanted} was not tried: {taken:?}");
    }
}

/// What the verbs say of a configuration that is right.
fn verbs(home: &Home, key: &str) {
    let passphrase = home.path("passphrase");
    std::fs::write(&passphrase, "a long enough passphrase\n").unwrap();
    std::fs::set_permissions(&passphrase, PermissionsExt::from_mode(0o600)).unwrap();
    let passphrase = ["--passphrase-file", passphrase.to_str().unwrap()];
    let photograph = root().join("assets/photographs/obama.jpg");
    let enrol = ["enroll", "somebody", "--image", photograph.to_str().unwrap()];
    let file = home.path("door.age");
    let backup = [&["backup", file.to_str().unwrap()][..], &passphrase].concat();
    let restore = [&["restore", "--check", file.to_str().unwrap()][..], &passphrase].concat();
    for verb in [
        &["config", "show"][..],
        &["config", "check"],
        &enrol,
        &["subjects", "list"],
        &["models", "list"],
        &["doctor", "--patience", "1"],
        &backup,
        &restore,
    ] {
        for json in [&[][..], &["--json"]] {
            let output = home.command(&[verb, json].concat()).output().unwrap();
            let what = format!("{verb:?} {json:?} with {key}");
            hidden(&what, &String::from_utf8_lossy(&output.stdout));
            hidden(&what, &String::from_utf8_lossy(&output.stderr));
        }
    }
}

/// What a short run says, in its log and to the broker.
fn daemon(home: &Home, key: &str, value: &str, subscriber: &Subscriber) {
    let recording = home.path("visit.mjpeg");
    let on_camera = key == "camera.device" || is_of_an_address(key);
    let mut daemon = match key {
        _ if on_camera => home.run_on_camera(),
        "camera.replay.path" => home.run(value.as_ref()),
        _ => {
            Recording::new().nobody(8).write(&recording, 2);
            home.run(&recording)
        }
    };
    if on_camera {
        let is_camera = |topic: &str| topic.ends_with("/camera");
        let camera = subscriber.within(Duration::from_secs(30), |m| is_camera(&m.topic));
        hidden("camera", camera.expect("the camera's state").text());
        daemon.signal("-TERM");
    }
    daemon.until_ended();
    let log = daemon.log();
    assert!(!log.is_empty(), "{key}: nothing was logged");
    hidden(&format!("the log with {key}"), &log);
    for message in subscriber.until_now("marker") {
        hidden(&format!("{} with {key}", message.topic), message.text());
    }
}
