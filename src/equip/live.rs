//! The values of all live keys, as the threads of a daemon use them.
//!
//! In: a checked [`Config`]. Out: [`LiveSettings`], which differ exactly where a reload changes
//! something.

use std::path::PathBuf;
use std::time::Duration;

use crate::clock::ClockRequirement;
use crate::compare::{Metric, Search};
use crate::config::{Config, LogLevel};
use crate::decide::VisitPolicy;
use crate::policy::{PassbackPolicy, StrangersPolicy, UntrustedClock};
use crate::publish::SessionSettings;
use crate::recognise::Tuning;

/// What the threads of a daemon make of the live keys. A live key changes something in here; a key
/// that needs a restart changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSettings {
    /// How faces are found, and which are good enough.
    pub tuning: Tuning,
    /// How frames become a decision.
    pub visit: VisitPolicy,
    /// When somebody is told of strangers.
    pub strangers: StrangersPolicy,
    /// What is required for a face alone to open: the worst claim, and whether liveness.
    pub face_alone: (f64, bool),
    /// What is made of where people went last.
    pub passback: PassbackPolicy,
    /// By which keys the other door's grants are verified.
    pub passback_keys: Option<PathBuf>,
    /// How long after the end of their validity people are erased; `None`: never.
    pub erase_ended: Option<Duration>,
    /// For how long a stranger's visit is remembered.
    pub recall: Duration,
    /// Whether `access` carries names.
    pub names: bool,
    /// By which clocks the rules are meant, where it is not the system's.
    pub time_zone: Option<String>,
    /// What the wall clock must show.
    pub clock: ClockRequirement,
    /// What comes of one that does not.
    pub untrusted_clock: UntrustedClock,
    /// How references are compared.
    pub recognise: Operation,
    /// Audit records kept.
    pub records_max: u64,
    /// How to reach the broker; `None` when nobody is to be told.
    pub session: Option<SessionSettings>,
    /// How much is logged.
    pub log_level: LogLevel,
}

/// What galleries are built by, beside the networks' cards.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Operation {
    /// How vectors are compared.
    pub metric: Metric,
    /// How they are looked through.
    pub search: Search,
    /// Strangers' attempts that may be taken for somebody, as a share.
    pub target_fpir: f64,
    /// The worst such share that is accepted.
    pub accept_fpir: f64,
    /// A score in place of the target.
    pub threshold: Option<f32>,
}

impl Config {
    /// The values of all live keys as the threads of a daemon use them.
    #[must_use]
    pub fn live_settings(&self) -> LiveSettings {
        LiveSettings {
            tuning: self.tuning(),
            visit: self.visit_policy(),
            strangers: self.strangers_policy(),
            face_alone: (self.required_fpir(), self.policy.required_liveness),
            passback: self.passback_policy(),
            passback_keys: self.passback.keys.clone(),
            erase_ended: self.erase_ended(),
            recall: self.recall(),
            names: self.mqtt.names,
            time_zone: self.policy.time_zone.clone(),
            clock: self.clock.require,
            untrusted_clock: self.policy.untrusted_clock,
            recognise: Operation {
                metric: self.recognise.metric,
                search: self.recognise.search,
                target_fpir: self.recognise.target_fpir,
                accept_fpir: self.recognise.accept_fpir,
                threshold: self.recognise.threshold,
            },
            records_max: self.store.records_max,
            session: self.session_settings(),
            log_level: self.log.level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{
        Change, Changes, ConfigError, Flag, KEYS, Key, KeyKind, Rule, Sources, diff,
    };

    /// Another value than the default of `key`, that fits the other keys' defaults; and where to set
    /// it.
    fn other(key: &Key) -> (String, String) {
        let name = key.name.to_owned();
        let Some(default) = key.default else {
            return (name, key.example.trim_matches('"').to_owned());
        };
        let value = match key.kind {
            // One more would be as many as have to agree.
            _ if name == "detect.refresh_frames" => "1".to_owned(),
            KeyKind::Text(Rule::Device) => "/dev/video7".to_owned(),
            KeyKind::Text(_) | KeyKind::Path => format!("{}-2", default.trim_matches('"')),
            KeyKind::Whole { max, .. } => {
                let default: i64 = default.parse().unwrap();
                (if default < max { default + 1 } else { default - 1 }).to_string()
            }
            KeyKind::Real { .. } => (default.parse::<f64>().unwrap() * 0.9).to_string(),
            KeyKind::OneOf(numbers) => numbers.last().unwrap().to_string(),
            KeyKind::Switch => (default != "true").to_string(),
            KeyKind::Choice(words) | KeyKind::Choices(words) => {
                let other = words.iter().find(|word| !default.starts_with(&format!("\"{word}")));
                (*other.unwrap()).to_owned()
            }
            KeyKind::Controls => return (format!("{name}.gain"), "3".to_owned()),
            KeyKind::Arguments => unreachable!("it has no default"),
            KeyKind::Hosts => r#"["door.lan"]"#.to_owned(),
            KeyKind::Rectangles => "[[0.1, 0.0, 0.2, 0.3]]".to_owned(),
        };
        (name, value)
    }

    /// Keys that stand for nothing unless others are set too, and a base where they do.
    const BASE: &[(&str, &str)] = &[
        ("mqtt.tls.enabled", "true"),
        ("mqtt.tls.cert", "/tmp/a.pem"),
        ("mqtt.tls.key", "/tmp/a.key"),
        ("mqtt.username", "front-door"),
        ("mqtt.home_assistant.discovery", "true"),
        ("camera.device", "rtsp://camera.lan/1"),
        ("camera.username", "front"),
        ("serve.tls", "certificate"),
        ("serve.certificate", "/tmp/page.crt"),
        ("serve.key", "/tmp/page.key"),
        ("door.direction", "in"),
        ("passback.mode", "hard"),
        ("passback.door", "garden"),
        ("passback.keys", "/tmp/garden.json"),
    ];

    /// A base for the key that goes with one value of another alone.
    const COMMAND: &[(&str, &str)] =
        &[("camera.device", "command"), ("camera.command", r#"["program"]"#)];

    fn config(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() })
    }

    /// Two configurations that differ in one key, which is set to its other value.
    fn pair(key: &str, value: &str) -> (Config, Config) {
        // A base that already has the other value does not differ.
        let base: Vec<_> = BASE.iter().filter(|pair| **pair != (key, value)).copied().collect();
        let bases = [&[][..], &base[..], COMMAND];
        let [plain, furnished, commanded] = bases.map(|base| {
            let with = base.iter().copied().chain([(key, value)]).collect::<Vec<_>>();
            Some((config(base).ok()?, config(&with).ok()?))
        });
        let tells = |(old, new): &(Config, Config)| old.live_settings() != new.live_settings();
        let told = furnished.clone().filter(tells);
        told.or(plain).or(furnished).or(commanded).expect("right, alone or with its like")
    }

    #[test]
    fn every_key_is_live_or_needs_a_restart_as_the_table_says() {
        for key in KEYS {
            let (name, value) = other(key);
            let (old, new) = pair(&name, &value);
            let changes = diff(&old, &new);
            let reloaded = old.reloaded(&new).expect("one changed key fits the rest");
            let (live, restart) = match key.change {
                Change::Live => (vec![key.name], vec![]),
                Change::Restart => (vec![], vec![key.name]),
            };
            assert_eq!(changes, Changes { live, restart }, "{name}");
            let taken = old.live_settings() != reloaded.live_settings();
            assert_eq!(taken, key.change == Change::Live, "{name}: does a thread hear of it?");
            if key.change == Change::Live {
                assert_eq!(reloaded.live_settings(), new.live_settings(), "{name}");
            }
            assert_eq!(diff(&reloaded, &new).restart, changes.restart, "{name}: named again");
            assert!(diff(&reloaded, &new).live.is_empty(), "{name}: in force");
        }
    }
}
