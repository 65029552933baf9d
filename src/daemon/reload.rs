//! The configuration is read again while the daemon runs.
//!
//! In: the configuration in force, and what file, environment and flags say now. Out: a [`Plan`], or
//! a [`Refusal`] that changes nothing; the audit event of either.
//!
//! The way of a plan: the desk thread makes the gallery by it, which is the one step that can
//! fail; the recogniser takes gallery, limits, policy and the wall clock's requirement over between
//! two frames, and begins the visit anew; then the main thread takes over the rest (log, broker) and
//! says that it is done. So a stricter setting is in force before anybody is told that it is, and
//! no frame is judged by half of a configuration.
//! Invariant: an audit event names keys and never values.

use tokio::sync::oneshot;

use super::DaemonError;
use crate::clock::ClockRequirement;
use crate::config::{Changes, Config, ConfigError, LogLevel, diff};
use crate::decide::VisitPolicy;
use crate::recognise::Tuning;
use crate::serve::Doctor;
use crate::store::{Administrative, ConfigurationRefusal};

/// What a running daemon needs of whoever started it: to be configured anew, and to look at itself.
pub struct Control<'a> {
    /// Reads file, environment and flags again, as at the start.
    pub read: Box<dyn Fn() -> Result<Config, ConfigError> + 'a>,
    /// Changes how much is logged.
    pub log_level: Box<dyn Fn(LogLevel) + 'a>,
    /// What `doctor` says beside a daemon, for the page.
    pub doctor: Doctor,
}

/// What a reload puts into force, and what has changed.
#[derive(Debug)]
pub(super) struct Plan {
    pub config: Config,
    pub changes: Changes,
}

impl Plan {
    pub(super) fn event(&self) -> Administrative {
        let named = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        Administrative::ConfigurationReloaded {
            changed: named(&self.changes.live),
            restart: named(&self.changes.restart),
        }
    }
}

/// Why nothing is changed.
#[derive(Debug)]
pub(super) enum Refusal {
    /// There is no right configuration.
    Wrong(ConfigError),
    /// It is right, and the running daemon cannot go on by it: it does not fit what keeps its value
    /// until a restart, or no gallery can be made by it.
    Unusable(DaemonError),
}

impl Refusal {
    pub(super) fn event(&self) -> Administrative {
        let (reason, error) = match self {
            Self::Wrong(error) => (reason(error), Some(error)),
            Self::Unusable(DaemonError::Config(error)) => {
                (ConfigurationRefusal::Unusable, Some(error))
            }
            Self::Unusable(_) => (ConfigurationRefusal::Unusable, None),
        };
        let keys = error.map(ConfigError::keys).unwrap_or_default();
        Administrative::ConfigurationRefused {
            reason,
            keys: keys.into_iter().map(str::to_owned).collect(),
        }
    }
}

const fn reason(error: &ConfigError) -> ConfigurationRefusal {
    match error {
        ConfigError::Unreadable { .. } | ConfigError::TooLarge { .. } => {
            ConfigurationRefusal::Unreadable
        }
        ConfigError::Syntax { .. } => ConfigurationRefusal::NotToml,
        ConfigError::Problems(_) | ConfigError::NamedFile { .. } | ConfigError::Nowhere { .. } => {
            ConfigurationRefusal::Wrong
        }
    }
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Wrong(error) => write!(f, "{error}"),
            Self::Unusable(error) => write!(
                f,
                "{error}\nthe configuration is right by itself, and this daemon cannot go on by it; where that is for a key that needs a restart: 'systemctl restart deepid-edge'"
            ),
        }
    }
}

/// What a reload would put into force after `in_force`.
pub(super) fn plan(in_force: &Config, read: Result<Config, ConfigError>) -> Result<Plan, Refusal> {
    let new = read.map_err(Refusal::Wrong)?;
    let changes = diff(in_force, &new);
    let config = in_force.reloaded(&new).map_err(|error| Refusal::Unusable(error.into()))?;
    Ok(Plan { config, changes })
}

/// Told when settings are in force, or why they never will be.
pub(super) type Answer = oneshot::Sender<Result<(), DaemonError>>;

/// A configuration on its way to the desk thread.
#[derive(Debug)]
pub(super) struct Renewal {
    pub config: Config,
    pub answer: Answer,
}

/// What the recogniser takes over between two frames, with the gallery that belongs to it.
#[derive(Debug)]
pub(super) struct Adjustment {
    pub tuning: Tuning,
    pub visit: VisitPolicy,
    pub clock: ClockRequirement,
    pub answer: Answer,
}

impl Adjustment {
    pub(super) fn of(config: &Config, answer: Answer) -> Self {
        let live = config.live_settings();
        Self { tuning: live.tuning, visit: live.visit, clock: live.clock, answer }
    }
}

/// Where a reload stands.
#[derive(Debug, Default)]
pub(super) struct Reload {
    /// It was asked for, and has not begun.
    pub asked: bool,
    pending: Option<(Plan, oneshot::Receiver<Result<(), DaemonError>>)>,
}

impl Reload {
    pub(super) const fn is_under_way(&self) -> bool {
        self.pending.is_some()
    }

    /// Waits for the threads to take `plan` over.
    pub(super) fn wait_for(
        &mut self,
        plan: Plan,
        answer: oneshot::Receiver<Result<(), DaemonError>>,
    ) {
        self.pending = Some((plan, answer));
    }

    /// The plan that the threads have taken over, or why they cannot; never while none is pending.
    pub(super) async fn answered(&mut self) -> Result<Plan, Refusal> {
        let answer = match &mut self.pending {
            Some((_, answer)) => answer.await,
            None => std::future::pending().await,
        };
        // A thread that drops the question has died, which the main loop notices by itself.
        let (Ok(answer), Some((plan, _))) = (answer, self.pending.take()) else {
            return std::future::pending().await;
        };
        answer.map(|()| plan).map_err(Refusal::Unusable)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{Flag, Sources};

    fn config(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flag = |(key, value): &(&str, &str)| Flag {
            given_as: "--set".to_owned(),
            key: (*key).to_owned(),
            value: (*value).to_owned(),
        };
        Config::load(&Sources { flags: flags.iter().map(flag).collect(), ..Sources::default() })
    }

    fn refused(read: Result<Config, ConfigError>) -> (Administrative, String) {
        let refusal = plan(&config(&[]).unwrap(), read).unwrap_err();
        (refusal.event(), refusal.to_string())
    }

    #[test]
    fn a_plan_names_what_changes_and_what_needs_a_restart() {
        let flags = [("visit.agreeing", "4"), ("door.id", "back"), ("log.level", "warn")];
        let plan = plan(&config(&[]).unwrap(), config(&flags)).unwrap();
        let named = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
        let (changed, restart) = (named(&["visit.agreeing", "log.level"]), named(&["door.id"]));
        assert_eq!(plan.event(), Administrative::ConfigurationReloaded { changed, restart });
        assert_eq!((plan.config.visit.agreeing, plan.config.door.id.as_str()), (4, "front"));
    }

    #[test]
    fn a_refusal_names_keys_and_never_what_was_written() {
        let secret = "hunter2";
        let wrong = [
            ("visit.agreeing", secret),
            ("mqtt.password", secret),
            ("mqtt.port", secret),
            ("hunter2.hunter2", secret),
        ];
        let (event, report) = refused(config(&wrong));
        let keys = ["mqtt.port", "visit.agreeing"].map(str::to_owned).to_vec();
        let reason = ConfigurationRefusal::Wrong;
        assert_eq!(event, Administrative::ConfigurationRefused { reason, keys });
        assert!(report.contains("unknown key 'mqtt.password'"), "{report}");
        assert!(!serde_json::to_string(&event).unwrap().contains(secret), "{event:?}");
    }

    #[test]
    fn every_reason_has_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            Config::load(&Sources { file: Some(path), ..Sources::default() })
        };
        let absent = folder.path().join("absent.toml");
        let absent = Config::load(&Sources { file: Some(absent), ..Sources::default() });
        let reason = |read| match refused(read).0 {
            Administrative::ConfigurationRefused { reason, .. } => reason,
            other => unreachable!("{other:?}"),
        };
        assert_eq!(reason(absent), ConfigurationRefusal::Unreadable);
        assert_eq!(reason(file("large", &vec![b'#'; 300_000])), ConfigurationRefusal::Unreadable);
        assert_eq!(reason(file("torn", b"[visit\n")), ConfigurationRefusal::NotToml);
        assert_eq!(reason(file("binary", &[0xff])), ConfigurationRefusal::NotToml);
        assert_eq!(reason(file("wrong", b"[visit]\nwindow = 0\n")), ConfigurationRefusal::Wrong);
        let torn = || config(&[("visit.agreeing", "6")]).unwrap_err();
        let unusable = Refusal::Unusable(torn().into());
        let (reason, keys) = (ConfigurationRefusal::Unusable, vec!["visit.agreeing".to_owned()]);
        assert_eq!(unusable.event(), Administrative::ConfigurationRefused { reason, keys });
    }
}
