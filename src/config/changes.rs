//! What differs between the configuration in force and the one that was read anew.
//!
//! In: two checked [`Config`]s. Out: the keys that differ, by when they take effect ([`Changes`]);
//! the configuration that is in force after a reload. Pure.
//! Invariant: a key that needs a restart keeps its value at a reload, so that what
//! `config.settings()` says is what runs; and what a reload puts together is checked like any
//! configuration: values that are right in two files may be wrong together.
//! Deliberately absent: values; a list of changes names keys alone, so that it may be published.

use super::key::Change;
use super::keys::KEYS;
use super::layers::Setting;
use super::{Config, ConfigError};

/// Keys whose values differ, in the order of the table.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Changes {
    /// Those that a reload puts into force.
    pub live: Vec<&'static str>,
    /// Those that need a restart.
    pub restart: Vec<&'static str>,
}

/// The keys whose values differ between `old` and `new`. Where a value came from is no difference.
#[must_use]
pub fn diff(old: &Config, new: &Config) -> Changes {
    let mut changes = Changes::default();
    for (key, (before, after)) in KEYS.iter().zip(old.settings().iter().zip(new.settings())) {
        if before.value != after.value {
            match key.change {
                Change::Live => changes.live.push(key.name),
                Change::Restart => changes.restart.push(key.name),
            }
        }
    }
    changes
}

impl Config {
    /// What is in force after a reload: the live keys of `new`, everything else as it is here.
    ///
    /// # Errors
    /// [`ConfigError::Problems`] where the two do not fit together.
    pub fn reloaded(&self, new: &Self) -> Result<Self, ConfigError> {
        let settings: Vec<Setting> = KEYS
            .iter()
            .zip(self.settings().iter().zip(new.settings()))
            .map(|(key, (before, after))| match key.change {
                Change::Live => after.clone(),
                Change::Restart => before.clone(),
            })
            .collect();
        let credentials = self.credentials.clone();
        Ok(Self { credentials, ..Self::of_settings(settings, new.file.clone())? })
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Flag, Sources};
    use super::*;

    fn config(flags: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let flags = flags.iter().map(|(key, value)| Flag::set(key, value)).collect();
        Config::load(&Sources { flags, ..Sources::default() })
    }

    #[test]
    fn where_a_value_comes_from_is_no_change() {
        let (old, new) = (config(&[]).unwrap(), config(&[("visit.agreeing", "3")]).unwrap());
        assert_eq!(diff(&old, &new), Changes::default());
    }

    #[test]
    fn what_does_not_fit_what_stays_is_refused() {
        // Both are right alone; the look at the whole frame follows the lower agreement only where
        // both are taken over.
        let old = config(&[]).unwrap();
        let new = config(&[("visit.agreeing", "2"), ("detect.refresh_frames", "1")]).unwrap();
        assert!(old.reloaded(&new).is_ok());
        let torn = config(&[("visit.agreeing", "2"), ("detect.strategy", "find")]).unwrap();
        let settings: Vec<Setting> = torn
            .settings()
            .iter()
            .zip(old.settings())
            .map(|(new, old)| if new.key == "detect.strategy" { old } else { new }.clone())
            .collect();
        let error = Config::of_settings(settings, None).expect_err("a second person unseen");
        assert!(error.to_string().contains("detect.refresh_frames"), "{error}");
    }
}
