//! The configuration: one TOML file, read once.
//!
//! In: text. Out: [`Config`], whose values are in their ranges, or every [`Problem`], each with the key
//! and what would be right. Keys that are not known are wrong: a misspelt `pulse_ms` must not pass.
//! Deliberately absent: secrets in the file (a password has a file of its own), and a reload.

use std::path::{Path, PathBuf};

use deepid_grant::{Mode, PublicKey, Verifier};
use serde::Deserialize;

use crate::gpio::{Level, Place, Pull};
use crate::opener::Settings;
use crate::output::PULSE_MS_MAX;
use crate::time::Belief;

/// The shortest pulse, in milliseconds.
pub const PULSE_MS_MIN: u64 = 100;

/// The key of the sample, from RFC 8037: its secret half is in print.
const EXAMPLE_X: &str = "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo";

/// What the file says, checked.
#[derive(Debug, Clone)]
pub struct Config {
    /// Who this is: 1 to 32 of `a-z 0-9 _ -`.
    pub listener: String,
    /// The broker.
    pub broker: Broker,
    /// The first part of every topic.
    pub base: String,
    /// The door's id.
    pub door: String,
    /// Verifies its grants.
    pub verifier: Verifier,
    /// Whether the time of day is believed.
    pub belief: Belief,
    /// What opens.
    pub output: Output,
    /// The door contact, where there is one.
    pub contact: Option<InputLine>,
    /// The exit button, where there is one.
    pub button: Option<InputLine>,
    /// What shapes the core.
    pub settings: Settings,
    /// Where the largest number is kept.
    pub state_directory: PathBuf,
}

/// What opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Output {
    /// A line of a GPIO chip.
    Gpio {
        /// Which.
        place: Place,
        /// The level at which the door is locked.
        locked: Level,
    },
    /// Two commands.
    Command {
        /// Program and arguments that unlock.
        unlock: Vec<String>,
        /// Program and arguments that lock.
        lock: Vec<String>,
    },
}

/// An input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InputLine {
    /// Which.
    pub place: Place,
    /// The level of a pressed button, or of an open door.
    pub active: Level,
    /// The resistor within the chip.
    pub pull: Pull,
}

/// The broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Broker {
    /// Name or address.
    #[serde(default = "localhost")]
    pub host: String,
    /// 1883 is usual without TLS, 8883 with it.
    #[serde(default = "port")]
    pub port: u16,
    /// Who this is to the broker.
    pub username: Option<String>,
    /// A file with the password in its first line.
    pub password_file: Option<PathBuf>,
    /// Encryption, where wanted.
    pub tls: Option<Tls>,
}

/// Encryption towards the broker.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tls {
    /// The authority (PEM) that must have signed the broker's certificate.
    pub ca: PathBuf,
    /// An own certificate (PEM), where the broker asks for one; with `key`.
    pub cert: Option<PathBuf>,
    /// Its private key (PEM).
    pub key: Option<PathBuf>,
}

/// A key and what is wrong with its value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem(pub String);

impl std::fmt::Display for Problem {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    listener: String,
    door: RawDoor,
    #[serde(default)]
    grant: RawGrant,
    broker: Broker,
    output: RawOutput,
    contact: Option<RawContact>,
    button: Option<RawButton>,
    #[serde(default = "debounce_ms")]
    debounce_ms: u64,
    #[serde(default = "state_directory")]
    state_directory: PathBuf,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawDoor {
    id: String,
    #[serde(default = "base")]
    base: String,
    keys: Vec<RawKey>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawKey {
    x: String,
    kid: Option<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RawGrant {
    nonce: bool,
    clock: RawClock,
    tolerance_s: u8,
}

impl Default for RawGrant {
    fn default() -> Self {
        Self { nonce: true, clock: RawClock::IfSynchronised, tolerance_s: 2 }
    }
}

#[derive(Deserialize, Clone, Copy)]
#[serde(rename_all = "kebab-case")]
enum RawClock {
    Never,
    IfSynchronised,
    Trusted,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawOutput {
    #[serde(default = "pulse_ms")]
    pulse_ms: u64,
    gpio: Option<RawRelay>,
    command: Option<RawCommand>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawRelay {
    chip: PathBuf,
    line: u32,
    locked: Level,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCommand {
    unlock: Vec<String>,
    lock: Vec<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawContact {
    chip: PathBuf,
    line: u32,
    open: Level,
    #[serde(default = "pull")]
    pull: Pull,
    held_open_s: Option<u32>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawButton {
    chip: PathBuf,
    line: u32,
    pressed: Level,
    #[serde(default = "pull")]
    pull: Pull,
}

fn localhost() -> String {
    "localhost".to_owned()
}

const fn port() -> u16 {
    1883
}

fn base() -> String {
    "deepid-edge".to_owned()
}

const fn pulse_ms() -> u64 {
    3000
}

const fn debounce_ms() -> u64 {
    50
}

const fn pull() -> Pull {
    Pull::Up
}

fn state_directory() -> PathBuf {
    PathBuf::from("/var/lib/deepid-opener")
}

impl Config {
    /// Reads a file.
    ///
    /// # Errors
    /// All that is wrong with it; with a file that is no TOML, the first of it.
    pub fn load(file: &Path) -> Result<Self, Vec<Problem>> {
        let text = std::fs::read_to_string(file)
            .map_err(|error| vec![Problem(format!("{}: {error}", file.display()))])?;
        Self::parse(&text)
    }

    /// Reads its text.
    ///
    /// # Errors
    /// All that is wrong with it; with text that is no TOML, or has unknown keys, the first of it.
    pub fn parse(text: &str) -> Result<Self, Vec<Problem>> {
        let raw: Raw = toml::from_str(text)
            .map_err(|error| vec![Problem(error.to_string().trim_end().to_owned())])?;
        let mut problems = Problems::default();
        problems.unless(is_name(&raw.listener), "listener: must be 1 to 32 of a-z 0-9 _ -");
        let base = &raw.door.base;
        let plain = !base.is_empty() && !base.starts_with('$') && !base.contains(['+', '#', '\0']);
        problems.unless(plain, "door.base: must be a topic without wildcards, such as deepid-edge");
        problems.unless(
            (PULSE_MS_MIN..=PULSE_MS_MAX).contains(&raw.output.pulse_ms),
            "output.pulse_ms: must be 100 to 10000",
        );
        let pair =
            raw.broker.tls.as_ref().is_none_or(|tls| tls.cert.is_some() == tls.key.is_some());
        problems.unless(pair, "broker.tls: 'cert' and 'key' come together");
        let user = raw.broker.username.is_some() || raw.broker.password_file.is_none();
        problems.unless(user, "broker.password_file: needs broker.username");
        problems.unless(raw.debounce_ms <= 1000, "debounce_ms: must be 0 to 1000");
        let held_open_s = raw.contact.as_ref().and_then(|contact| contact.held_open_s);
        problems
            .unless(held_open_s != Some(0), "contact.held_open_s: must be 1 or more, or left out");
        let settings = Settings {
            pulse_ms: raw.output.pulse_ms,
            held_open_ms: held_open_s.map(|s| u64::from(s) * 1000),
            debounce_ms: raw.debounce_ms,
            nonce: raw.grant.nonce,
            keep: !raw.grant.nonce,
        };
        let output = problems.take(output(raw.output));
        let verifier = problems.take_all(verifier(&raw.door, &raw.grant));
        let (Some(output), Some(verifier), true) = (output, verifier, problems.0.is_empty()) else {
            return Err(problems.0);
        };
        Ok(Self {
            listener: raw.listener,
            broker: raw.broker,
            base: raw.door.base,
            door: raw.door.id,
            verifier,
            belief: match raw.grant.clock {
                RawClock::Never => Belief::Never,
                RawClock::IfSynchronised => Belief::IfSynchronised,
                RawClock::Trusted => Belief::Always,
            },
            output,
            contact: raw.contact.map(|it| InputLine {
                place: Place { chip: it.chip, line: it.line },
                active: it.open,
                pull: it.pull,
            }),
            button: raw.button.map(|it| InputLine {
                place: Place { chip: it.chip, line: it.line },
                active: it.pressed,
                pull: it.pull,
            }),
            settings,
            state_directory: raw.state_directory,
        })
    }

    /// The topic `name` of the door.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}/{}/{name}", self.base, self.door)
    }

    /// The topic of our own state.
    #[must_use]
    pub fn state_topic(&self) -> String {
        self.topic(&format!("opener/{}/state", self.listener))
    }
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn unless(&mut self, right: bool, what: &str) {
        if !right {
            self.0.push(Problem(what.to_owned()));
        }
    }

    fn take<T>(&mut self, found: Result<T, String>) -> Option<T> {
        self.take_all(found.map_err(|what| vec![what]))
    }

    fn take_all<T>(&mut self, found: Result<T, Vec<String>>) -> Option<T> {
        found.map_err(|all| self.0.extend(all.into_iter().map(Problem))).ok()
    }
}

fn is_name(text: &str) -> bool {
    let of_a_name = |letter: u8| matches!(letter, b'a'..=b'z' | b'0'..=b'9' | b'_' | b'-');
    (1..=32).contains(&text.len()) && text.bytes().all(of_a_name)
}

fn output(raw: RawOutput) -> Result<Output, String> {
    match (raw.gpio, raw.command) {
        (Some(gpio), None) => {
            let place = Place { chip: gpio.chip, line: gpio.line };
            Ok(Output::Gpio { place, locked: gpio.locked })
        }
        (None, Some(RawCommand { unlock, lock })) => {
            let absolute = |words: &[String]| words.first().is_some_and(|it| it.starts_with('/'));
            if !absolute(&unlock) || !absolute(&lock) {
                return Err("output.command: 'unlock' and 'lock' are lists of a program, by its whole path, and its arguments".to_owned());
            }
            Ok(Output::Command { unlock, lock })
        }
        _ => Err("output: either [output.gpio] or [output.command] must be there".to_owned()),
    }
}

fn verifier(door: &RawDoor, grant: &RawGrant) -> Result<Verifier, Vec<String>> {
    let mut wrong = Vec::new();
    let mut keys = Vec::new();
    for (number, raw) in (1..).zip(&door.keys) {
        match PublicKey::from_x(&raw.x) {
            Ok(_) if raw.x == EXAMPLE_X => wrong.push(format!(
                "door.keys, the {number}.: x: this is the example, whose secret everybody knows: put the door's own key here"
            )),
            Err(error) => wrong.push(format!("door.keys, the {number}.: x: {error}")),
            Ok(key) if raw.kid.as_deref().is_some_and(|kid| kid != key.id()) => {
                wrong.push(format!(
                    "door.keys, the {number}.: kid: the thumbprint of this x is {}: one of the two is of another key",
                    key.id()
                ));
            }
            Ok(key) => keys.push(key),
        }
    }
    let tolerance_s = grant.tolerance_s;
    let mode = match (grant.nonce, grant.clock) {
        (true, RawClock::Never) => Mode::Nonce,
        (true, RawClock::IfSynchronised) => Mode::NonceAndClockIfKnown { tolerance_s },
        (true, RawClock::Trusted) => Mode::NonceAndClock { tolerance_s },
        (false, RawClock::IfSynchronised | RawClock::Trusted) => Mode::Clock { tolerance_s },
        (false, RawClock::Never) => {
            wrong.push(
                "grant: by nonce = false and clock = \"never\" nothing is known to be fresh"
                    .to_owned(),
            );
            return Err(wrong);
        }
    };
    if !wrong.is_empty() {
        return Err(wrong);
    }
    Verifier::new(&door.id, &keys, mode).map_err(|error| {
        use deepid_grant::SetupError::{Door, Keys};
        let key = match error {
            Door => "door.id",
            Keys => "door.keys",
            _ => "grant.tolerance_s",
        };
        vec![format!("{key}: {error}")]
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A key whose secret is 32 times 1, and its thumbprint.
    const X: &str = "iojj3XQJ8ZX9UtstPLpdcspnCb8dlBIb83SIAbQPb1w";
    const KID: &str = "UDDReOZl1ipXAfp9wYsm13sDBMK5og--QWdBjzuf6o4";

    /// The sample with a key that is no example.
    fn sample() -> String {
        let sample = include_str!("../../../deploy/opener/opener.toml");
        sample.replace(EXAMPLE_X, X).replace("kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k", KID)
    }

    fn problems(text: &str) -> String {
        let all = Config::parse(text).unwrap_err();
        all.iter().map(Problem::to_string).collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn the_sample_is_right_and_says_the_defaults() {
        let config = Config::parse(&sample()).unwrap();
        assert_eq!(config.settings.pulse_ms, pulse_ms());
        assert_eq!(config.state_topic(), "deepid-edge/front/opener/garage/state");
        let uncommented: String = sample()
            .lines()
            .map(|line| line.strip_prefix('#').filter(|l| !l.starts_with(' ')).unwrap_or(line))
            .map(|line| format!("{line}\n"))
            .filter(|line| !line.contains("[output.command]") && !line.contains("lock = ["))
            .collect();
        let full = Config::parse(&uncommented).unwrap();
        assert_eq!(full.settings.pulse_ms, config.settings.pulse_ms);
        assert!(full.contact.is_some() && full.button.is_some() && full.broker.tls.is_some());
    }

    #[test]
    fn all_that_is_wrong_is_said() {
        let wrong = sample()
            .replace("listener = \"garage\"", "listener = \"Garage\"")
            .replace("#pulse_ms = 3000", "pulse_ms = 10001")
            .replace("id = \"front\"", "id = \"\"");
        let said = problems(&wrong);
        for part in ["listener: ", "output.pulse_ms: must be 100 to 10000", "door.id: "] {
            assert!(said.contains(part), "{said}");
        }
    }

    #[test]
    fn an_unknown_key_is_wrong() {
        let said = problems(&sample().replace("#pulse_ms = 3000", "puls_ms = 3000"));
        assert!(said.contains("unknown field `puls_ms`") && said.contains("line "), "{said}");
    }

    #[test]
    fn a_key_that_is_another_than_its_name_is_wrong() {
        let said = problems(&sample().replace(KID, X));
        assert!(said.contains(&format!("the thumbprint of this x is {KID}")), "{said}");
    }

    #[test]
    fn the_key_of_the_sample_is_never_trusted() {
        let said = problems(&sample().replace(X, EXAMPLE_X));
        assert!(said.contains("this is the example"), "{said}");
    }

    #[test]
    fn nothing_by_which_to_know_what_is_fresh_is_wrong() {
        let blind = sample().replace("#nonce = true", "nonce = false");
        let blind = blind.replace("#clock = \"if-synchronised\"", "clock = \"never\"");
        assert!(problems(&blind).contains("nothing is known to be fresh"));
    }

    #[test]
    fn a_program_without_its_path_is_wrong() {
        let text = sample()
            .replace("[output.gpio]", "[output.command]\nunlock = [\"open\"]\nlock = []\n[x]");
        let text: String = text.split("[x]").next().unwrap().to_owned();
        assert!(problems(&text).contains("by its whole path"), "{}", problems(&text));
    }
}
