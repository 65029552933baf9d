//! The values of all live keys, as the threads of a daemon use them.
//!
//! In: a checked [`Config`]. Out: [`LiveSettings`], which differ exactly where a reload changes
//! something.

use crate::clock::ClockRequirement;
use crate::compare::Metric;
use crate::config::{Config, LogLevel};
use crate::decide::VisitPolicy;
use crate::publish::SessionSettings;
use crate::recognize::Tuning;
use crate::store::StoreSettings;

/// What the threads of a daemon make of the live keys. A live key changes something in here; a key
/// that needs a restart changes nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct LiveSettings {
    /// How faces are found, and which are good enough.
    pub tuning: Tuning,
    /// How frames become a decision.
    pub visit: VisitPolicy,
    /// What the wall clock must show.
    pub clock: ClockRequirement,
    /// How references are compared.
    pub recognise: Operation,
    /// How much is kept.
    pub store: StoreSettings,
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
            clock: self.clock.require,
            recognise: Operation {
                metric: self.recognise.metric,
                target_fpir: self.recognise.target_fpir,
                accept_fpir: self.recognise.accept_fpir,
                threshold: self.recognise.threshold,
            },
            store: self.store_settings(),
            session: self.session_settings(),
            log_level: self.log.level,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Change, Changes, ConfigError, Flag, KEYS, Sources, diff};

    /// Another value than the default for every key, that fits the other keys' defaults.
    const OTHER: &[(&str, &str)] = &[
        ("door.id", "back"),
        ("camera.device", "/dev/video7"),
        ("camera.width", "1280"),
        ("camera.height", "720"),
        ("camera.fps", "30"),
        ("camera.formats", "mjpg"),
        ("camera.controls.gain", "3"),
        ("camera.rotate", "180"),
        ("camera.mirror", "true"),
        ("camera.replay.path", "/tmp/visit.mjpeg"),
        ("camera.replay.repeat", "true"),
        ("camera.replay.pace", "fast"),
        ("models.directory", "/tmp"),
        ("models.library", "/tmp/libLiteRt.so"),
        ("models.find", "blazeface-short-range"),
        ("models.follow", "blazeface-full-range"),
        ("models.embedder", "mobilefacenet"),
        ("models.confirm", "deepid2-mobilefacenet"),
        ("models.threads", "2"),
        ("detect.min_face_px", "41"),
        ("detect.score", "0.6"),
        ("detect.strategy", "find"),
        ("detect.refresh_frames", "1"),
        ("detect.crop_in_faces", "3.0"),
        ("detect.central", "0.8"),
        ("detect.ignore", "[[0.0, 0.0, 0.2, 0.3]]"),
        ("detect.only", "[[0.1, 0.0, 0.9, 1.0]]"),
        ("quality.eye_distance_min_px", "17"),
        ("quality.sharpness_min", "31"),
        ("quality.exposure_min", "36"),
        ("quality.exposure_max", "224"),
        ("quality.yaw_max", "0.3"),
        ("quality.roll_max_degrees", "30"),
        ("quality.outside_max", "0.05"),
        ("recognise.metric", "euclidean"),
        ("recognise.mirrored", "false"),
        ("recognise.target_fpir", "0.002"),
        ("recognise.accept_fpir", "0.02"),
        ("recognise.threshold", "0.7"),
        ("recognise.margin", "0.06"),
        ("visit.agreeing", "4"),
        ("visit.window", "6"),
        ("visit.spacing_ms", "110"),
        ("visit.weight_min", "2.5"),
        ("visit.absence_ms", "1600"),
        ("visit.cooldown_ms", "6000"),
        ("visit.several_faces", "principal"),
        ("visit.stale_ms", "400"),
        ("visit.timeout_ms", "2500"),
        ("store.path", "/tmp/other.db"),
        ("store.records_max", "5000"),
        ("mqtt.enabled", "false"),
        ("mqtt.host", "broker.lan"),
        ("mqtt.port", "1884"),
        ("mqtt.base", "doors"),
        ("mqtt.username", "door"),
        ("mqtt.password_file", "/tmp/password"),
        ("mqtt.tls.enabled", "true"),
        ("mqtt.tls.ca", "/tmp/ca.pem"),
        ("mqtt.tls.cert", "/tmp/client.pem"),
        ("mqtt.tls.key", "/tmp/client.key"),
        ("mqtt.home_assistant.discovery", "true"),
        ("mqtt.home_assistant.prefix", "ha"),
        ("mqtt.home_assistant.retain", "true"),
        ("clock.require", "synchronised"),
        ("log.level", "debug"),
        ("log.format", "json"),
    ];

    /// Keys that stand for nothing unless others are set too, and a base where they do.
    const BASE: &[(&str, &str)] = &[
        ("mqtt.tls.enabled", "true"),
        ("mqtt.tls.cert", "/tmp/a.pem"),
        ("mqtt.tls.key", "/tmp/a.key"),
        ("mqtt.username", "front-door"),
        ("mqtt.home_assistant.discovery", "true"),
    ];

    fn config(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flag = |(key, value): &(&str, &str)| Flag {
            given_as: "--set".to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        Config::load(&Sources { flags: flags.iter().map(flag).collect(), ..Sources::default() })
    }

    /// Two configurations that differ in one key, which is set to its other value.
    fn pair(key: &str, value: &str) -> (Config, Config) {
        // A base that already has the other value does not differ.
        let base: Vec<_> = BASE.iter().filter(|pair| **pair != (key, value)).copied().collect();
        let bases = [&[][..], &base[..]];
        let [plain, furnished] = bases.map(|base| {
            let with = base.iter().copied().chain([(key, value)]).collect::<Vec<_>>();
            Some((config(base).ok()?, config(&with).ok()?))
        });
        let tells = |(old, new): &(Config, Config)| old.live_settings() != new.live_settings();
        furnished.filter(tells).or(plain).expect("right alone")
    }

    #[test]
    fn every_key_is_live_or_needs_a_restart_as_the_table_says() {
        assert_eq!(OTHER.len(), KEYS.len(), "a new key belongs into OTHER");
        for (key, (name, value)) in KEYS.iter().zip(OTHER) {
            assert!(name.starts_with(key.name), "{} stands where {name} is", key.name);
            let (old, new) = pair(name, value);
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
