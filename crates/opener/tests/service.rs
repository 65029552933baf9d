//! The whole opener as a process, against a real mosquitto: what opens, what never does, and how it ends.
//!
//! In: grants of a door that the test plays. Out: what two scripts, in place of a relay, have written.
//! Deliberately absent: GPIO lines, for which a kernel with gpio-sim is needed: `make system-test`.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use deepid_grant::Signer;
use serde_json::Value;
use support::{Door, Mosquitto, PATIENCE, free_port};

const GRANT: &str = "deepid-edge/front/grant";
const CHALLENGE: &str = "deepid-edge/front/challenge";
const STATE: &str = "deepid-edge/front/opener/garage/state";

struct Opener {
    folder: tempfile::TempDir,
    child: Child,
}

fn signer() -> Signer {
    Signer::from_seed(&[1; 32]).unwrap()
}

fn script(folder: &Path, name: &str, text: &str) -> PathBuf {
    let path = folder.join(name);
    std::fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
    path
}

impl Opener {
    /// Starts one whose scripts write to a file; `unlocking` is what its unlocking does besides.
    fn start(port: u16, grant: &str, unlocking: &str) -> Self {
        Self::start_at(&format!("host = \"127.0.0.1\"\nport = {port}"), grant, unlocking)
    }

    fn start_at(broker: &str, grant: &str, unlocking: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log");
        let unlock = format!("echo unlock >>{}; {unlocking}", log.display());
        let unlock = script(folder.path(), "unlock", &unlock);
        let lock = script(folder.path(), "lock", &format!("echo lock >>{}", log.display()));
        let config = format!(
            "listener = \"garage\"\nstate_directory = \"{}\"\n[door]\nid = \"front\"\n[[door.keys]]\nx = \"{}\"\n[grant]\n{grant}\n[broker]\n{broker}\n[output]\npulse_ms = 300\n[output.command]\nunlock = [\"{}\"]\nlock = [\"{}\"]\n",
            folder.path().display(),
            x(),
            unlock.display(),
            lock.display(),
        );
        std::fs::write(folder.path().join("opener.toml"), config).unwrap();
        let child = Self::run(folder.path());
        Self { folder, child }
    }

    fn run(folder: &Path) -> Child {
        let program = env!("CARGO_BIN_EXE_deepid-opener");
        Command::new(program).arg("run").arg(folder.join("opener.toml")).spawn().unwrap()
    }

    /// Ends it as systemd would, and starts it again.
    fn restart(&mut self) {
        self.end();
        self.child = Self::run(self.folder.path());
    }

    fn end(&mut self) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").arg(&id).status().unwrap().success());
        assert!(self.child.wait().unwrap().success(), "ended by SIGTERM, it has done its work");
    }

    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// Waits until the scripts have written this.
    fn until_log(&self, expected: &[&str]) {
        for _ in 0..PATIENCE.as_millis() / 20 {
            if self.log() == expected {
                return;
            }
            std::thread::park_timeout(Duration::from_millis(20));
        }
        panic!("{:?}, not {expected:?}", self.log());
    }
}

impl Drop for Opener {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// The `x` of the door's key.
fn x() -> String {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let signer = signer();
    let bits =
        signer.public().bytes().iter().flat_map(|byte| (0..8).rev().map(move |b| byte >> b & 1));
    let bits: Vec<u8> = bits.collect();
    let letter = |six: &[u8]| six.iter().fold(0, |all, bit| all * 2 + bit) << (6 - six.len());
    bits.chunks(6).map(|six| char::from(*ALPHABET.get(usize::from(letter(six))).unwrap())).collect()
}

#[expect(clippy::disallowed_methods, reason = "the opener of these tests goes by the real time")]
fn now_s() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

fn grant(seq: u64, issued: u64, nonce: Option<&Value>) -> String {
    let nonce = nonce.map(|nonce| format!(",\"nonce\":[{nonce}]")).unwrap_or_default();
    signer().grant(&format!(
        r#"{{"iss":"front","sub":"s-4f9a1c","jti":"0196f3c2-0a0b-7c0d-8e0f-{seq:012x}","iat":{issued},"exp":{},"seq":{seq},"boot":"7c0d2f6a-1111-4222-8333-000000000001"{nonce}}}"#,
        issued + 5
    ))
}

fn hold_to_schema(name: &str, message: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/wire").join(name);
    let schema: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    assert!(validator.is_valid(message), "{name}: {message}");
}

fn until_state(door: &Door, state: &str) -> Value {
    loop {
        let said = door.on(STATE);
        hold_to_schema("opener.schema.json", &said);
        if said["state"] == state {
            return said;
        }
    }
}

#[test]
fn a_grant_with_our_nonce_opens_once_and_nothing_else_does() {
    let Some(broker) = Mosquitto::start() else { return };
    let door = Door::connect(broker.port);
    // Left on the broker by whoever: never a grant.
    door.publish(GRANT, true, &grant(1, now_s(), None));
    let mut opener = Opener::start(broker.port, "clock = \"never\"", "");
    until_state(&door, "ready");
    let challenge = door.on(CHALLENGE);
    hold_to_schema("challenge.schema.json", &challenge);
    assert_eq!(challenge["listener"], "garage");

    let message = grant(2, 0, Some(&challenge["nonce"]));
    door.publish(GRANT, false, &message);
    until_state(&door, "open");
    until_state(&door, "ready");
    door.publish(GRANT, false, &message);
    let said = door.on(STATE);
    assert_eq!((&said["state"], &said["last_refusal"]), (&"ready".into(), &"other_nonce".into()));
    assert!(door.on(CHALLENGE)["nonce"] != challenge["nonce"], "renewed after the grant");
    opener.until_log(&["lock", "unlock", "lock"]);
    opener.end();
    opener.until_log(&["lock", "unlock", "lock", "lock"]);
    until_state(&door, "stopped");
}

#[test]
fn by_the_clock_a_grant_that_was_taken_stays_taken_over_a_restart() {
    let Some(broker) = Mosquitto::start() else { return };
    let door = Door::connect(broker.port);
    let mut opener = Opener::start(broker.port, "nonce = false\nclock = \"trusted\"", "");
    until_state(&door, "ready");
    let message = grant(7, now_s(), None);
    door.publish(GRANT, false, &message);
    until_state(&door, "open");
    opener.restart();
    until_state(&door, "stopped");
    until_state(&door, "ready");
    door.publish(GRANT, false, &message);
    assert_eq!(door.on(STATE)["last_refusal"], "replayed");
    door.publish(GRANT, false, &grant(8, now_s(), None));
    until_state(&door, "open");
    let count = opener.log().iter().filter(|line| *line == "unlock").count();
    assert!(count <= 2, "one pulse for each grant: {:?}", opener.log());
}

#[test]
fn a_command_that_hangs_is_ended_with_the_pulse() {
    let Some(broker) = Mosquitto::start() else { return };
    let door = Door::connect(broker.port);
    let opener = Opener::start(broker.port, "nonce = false\nclock = \"trusted\"", "sleep 1000");
    until_state(&door, "ready");
    door.publish(GRANT, false, &grant(1, now_s(), None));
    opener.until_log(&["lock", "unlock", "lock"]);
}

#[test]
fn a_broker_that_goes_away_locks_and_is_found_again() {
    let Some(mut broker) = Mosquitto::start() else { return };
    let door = Door::connect(broker.port);
    let opener = Opener::start(broker.port, "", "");
    until_state(&door, "ready");
    let before = door.on(CHALLENGE);
    broker.stop();
    assert!(broker.start_again());
    let door = Door::connect(broker.port);
    until_state(&door, "ready");
    let after = door.on(CHALLENGE);
    door.publish(GRANT, false, &grant(1, now_s(), Some(&before["nonce"])));
    assert_eq!(door.on(STATE)["last_refusal"], "other_nonce");
    let renewed = door.on(CHALLENGE);
    assert!(renewed["nonce"] != after["nonce"]);
    door.publish(GRANT, false, &grant(2, now_s(), Some(&renewed["nonce"])));
    until_state(&door, "open");
    opener.until_log(&["lock", "unlock", "lock"]);
}

/// An authority, and a certificate for 127.0.0.1 that it has signed.
fn make_certificates(folder: &Path) {
    let openssl = |words: &str| {
        let words = words.split(' ');
        let made = Command::new("openssl").args(words).current_dir(folder).output().unwrap();
        assert!(made.status.success(), "{made:?}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2";
    openssl(&format!("req -x509 {key} -subj /CN=authority -keyout ca.key -out ca.pem"));
    openssl(&format!(
        "req -x509 {key} -subj /CN=broker -addext subjectAltName=IP:127.0.0.1 -addext basicConstraints=critical,CA:FALSE -CA ca.pem -CAkey ca.key -keyout broker.key -out broker.pem"
    ));
}

#[test]
fn over_tls_with_a_password_it_listens_and_without_the_authority_it_does_not() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path().display().to_string();
    make_certificates(folder.path());
    let passwords = folder.path().join("passwords");
    std::fs::write(&passwords, "").unwrap();
    std::fs::write(folder.path().join("password"), "pass word\nthe first line counts\n").unwrap();
    let made = Command::new("mosquitto_passwd")
        .args(["-b".as_ref(), passwords.as_os_str(), "opener".as_ref(), "pass word".as_ref()])
        .status();
    let port = free_port();
    let more = format!(
        "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {place}/passwords\ncertfile {place}/broker.pem\nkeyfile {place}/broker.key\n"
    );
    let Some(broker) = Mosquitto::start_with(more) else { return };
    assert!(made.unwrap().success());
    let door = Door::connect(broker.port);
    let at = |ca: &str| {
        format!(
            "host = \"127.0.0.1\"\nport = {port}\nusername = \"opener\"\npassword_file = \"{place}/password\"\ntls = {{ ca = \"{place}/{ca}\" }}"
        )
    };
    // The broker's own certificate is no authority's.
    let stranger = Opener::start_at(&at("broker.pem"), "", "");
    stranger.until_log(&["lock"]);
    let opener = Opener::start_at(&at("ca.pem"), "", "");
    until_state(&door, "ready");
    door.publish(GRANT, false, &grant(1, now_s(), Some(&door.on(CHALLENGE)["nonce"])));
    until_state(&door, "open");
    opener.until_log(&["lock", "unlock", "lock"]);
    assert_eq!(stranger.log(), ["lock"]);
}

fn check(text: &str) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("opener.toml");
    std::fs::write(&file, text).unwrap();
    let program = env!("CARGO_BIN_EXE_deepid-opener");
    Command::new(program).arg("check").arg(&file).output().unwrap()
}

#[test]
fn check_says_what_is_wrong_and_opens_nothing() {
    let sample = include_str!("../../../deploy/opener/opener.toml");
    let untouched = check(sample);
    assert_eq!(untouched.status.code(), Some(3), "the sample's key is everybody's: {untouched:?}");
    let sample = sample.replace("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", &x());
    let kid = "kid = \"kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k\"\n";
    let sample = sample.replace(kid, "");
    let right = check(&sample);
    assert_eq!(right.status.code(), Some(0), "{right:?}");
    let wrong = check(&sample.replace("#nonce = true", "nonce = \"yes\""));
    assert_eq!(wrong.status.code(), Some(3));
    let said = String::from_utf8(wrong.stderr).unwrap();
    assert!(said.contains("nonce = \"yes\"") && said.contains("expected a boolean"), "{said}");
    let missing = check(&sample.replace("#[broker.tls]\n#ca", "[broker.tls]\nca"));
    assert_eq!(missing.status.code(), Some(4));
    assert!(String::from_utf8(missing.stderr).unwrap().contains("/etc/deepid-opener/ca.pem"));
}

#[test]
fn help_and_a_wrong_command_line_are_told() {
    let program = env!("CARGO_BIN_EXE_deepid-opener");
    let help = Command::new(program).arg("--help").output().unwrap();
    assert!(help.status.success() && String::from_utf8(help.stdout).unwrap().contains("check"));
    assert_eq!(Command::new(program).arg("open").output().unwrap().status.code(), Some(2));
}
