//! Files, environment and flags become one checked configuration.
//!
//! In: [`Sources`]: defaults < file < environment < flags. Out: [`Config`], whose values are within
//! their limits and fit each other, with the origin of each; or [`ConfigError`] with every problem
//! that was found. Invariant: this is the one place that reads the environment, and a `Config` is
//! made here only. Keys stand in [`KEYS`], from which default file and manual page are made.
//! Deliberately absent: a key for any secret; the rooms' own settings, which [`crate::equip`] makes of
//! it. What of a changed file takes effect in a running daemon is said here ([`diff`]) and done by it.

mod address;
mod changes;
mod fitting;
mod host;
mod key;
mod keys;
mod kind;
mod layers;
mod lookup;
mod problem;
mod sample;
mod sections;

use std::path::{Path, PathBuf};

use crate::policy::PassbackMode;

pub use address::DeviceKind;
pub use changes::{Changes, diff};
pub use key::{Change, Key, Section, nearest};
pub use keys::{
    Camera, ClockSection, Detect, Door, HomeAssistant, KEYS, Log, Models, Mqtt, Quality, Recognise,
    Replay, SECTIONS, Serve, Sign, Store, Tls, Visit,
};
pub use kind::{KeyKind, Rule};
pub use layers::{Setting, environment_name, read as read_file};
pub use lookup::checkout;
pub use problem::{ConfigError, Origin, Problem};
pub use sample::{default_file, manual_section};
pub use sections::{
    CameraFormat, Encryption, Language, LogFormat, LogLevel, ModelOrNone, Pace, Sections,
};

/// Read when no other file is named; it may be absent.
pub const STANDARD_FILE: &str = "/etc/deepid-edge/config.toml";

/// The variable by which systemd names the folder of a service's credentials.
const CREDENTIALS: &str = "CREDENTIALS_DIRECTORY";

/// One key set on the command line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// The flag as a person knows it, such as `--set`.
    pub given_as: String,
    /// The key.
    pub key: String,
    /// Its value as text.
    pub value: String,
}

impl Flag {
    /// `--set key=value`. It is known without its value, which may be a secret, and is shown where it
    /// is wrong.
    #[must_use]
    pub fn set(key: &str, value: &str) -> Self {
        let given_as = format!("--set {key}");
        Self { given_as, key: key.to_owned(), value: value.to_owned() }
    }
}

/// Everything that a configuration is made from.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    /// The file; `None`: no file.
    pub file: Option<PathBuf>,
    /// Variables of the environment; those that do not begin with `DEEPID_EDGE__` are ignored,
    /// unless they name a section after a single underscore, which is refused.
    pub environment: Vec<(String, String)>,
    /// Keys set on the command line, later ones win.
    pub flags: Vec<Flag>,
}

impl Sources {
    /// The process's own; what is not UTF-8 carries the replacement character, which no key takes:
    /// `file` or else the standard file if it exists, the environment, `flags`.
    #[must_use]
    pub fn of_process(file: Option<PathBuf>, flags: Vec<Flag>) -> Self {
        let environment = std::env::vars_os()
            .filter_map(|(name, value)| {
                Some((name.into_string().ok()?, value.to_string_lossy().into_owned()))
            })
            .collect();
        Self { file: file.or_else(layers::standard_file), environment, flags }
    }

    fn file_saying<'a>(&'a self, text: &'a str) -> Option<(&'a Path, &'a str)> {
        Some((self.file.as_deref()?, text))
    }
}

/// The checked configuration. Its sections are read as `config.mqtt.host`.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    sections: Sections,
    settings: Vec<Setting>,
    file: Option<PathBuf>,
    credentials: Option<PathBuf>,
}

impl std::ops::Deref for Config {
    type Target = Sections;
    fn deref(&self) -> &Sections {
        &self.sections
    }
}

impl Config {
    /// Reads, merges and checks all layers.
    ///
    /// # Errors
    /// [`ConfigError`]: an unreadable file, or every problem of every layer.
    pub fn load(sources: &Sources) -> Result<Self, ConfigError> {
        let text = sources.file.as_deref().map(layers::read).transpose()?;
        Self::judge(sources, text.as_deref().unwrap_or_default())
    }

    /// As [`Config::load`], as if the file said `text`: what is about to become the file is judged
    /// before it is one.
    ///
    /// # Errors
    /// As [`Config::load`].
    pub fn judge(sources: &Sources, text: &str) -> Result<Self, ConfigError> {
        let settings =
            layers::merge(sources.file_saying(text), &sources.environment, &sources.flags)?;
        Self::of_settings(settings, sources.file.clone()).map(|config| config.given(sources))
    }

    /// What can be read of `sources`, where [`Config::load`] refuses them: wrong entries are left
    /// out, and where the rest does not fit together, all of it. For a diagnosis alone: nothing
    /// that guards a door may run with it.
    #[must_use]
    pub fn salvage(sources: &Sources) -> Option<Self> {
        let Sources { file, environment, flags } = sources;
        let text = file.as_deref().and_then(|path| layers::read(path).ok()).unwrap_or_default();
        let merged = layers::merge_right(sources.file_saying(&text), environment, flags)
            .or_else(|_| layers::merge_right(None, environment, flags))
            .and_then(|settings| Self::of_settings(settings, file.clone()));
        merged
            .ok()
            .map(|config| config.given(sources))
            .or_else(|| Self::load(&Sources::default()).ok())
    }

    fn of_settings(settings: Vec<Setting>, file: Option<PathBuf>) -> Result<Self, ConfigError> {
        let settings = fitting::resolve(settings);
        let sections: Sections = serde_json::from_value(layers::tree(&settings))
            .map_err(|error| layers::internal(&error.to_string()))?;
        let problems = fitting::contradictions(&sections, &settings);
        if problems.is_empty() {
            Ok(Self { sections, settings, file, credentials: None })
        } else {
            Err(ConfigError::Problems(problems))
        }
    }

    /// With what the service manager has given this process beside the configuration.
    fn given(self, sources: &Sources) -> Self {
        let folder = sources.environment.iter().find(|(name, _)| name == CREDENTIALS);
        Self { credentials: folder.map(|(_, folder)| folder.into()), ..self }
    }

    /// The folder of the service manager's credentials, where there is one.
    #[must_use]
    pub fn credentials(&self) -> Option<&Path> {
        self.credentials.as_deref()
    }

    /// Every key with its value and where that came from, in the order of the file.
    #[must_use]
    pub fn settings(&self) -> &[Setting] {
        &self.settings
    }

    /// The file that was read, if one was.
    #[must_use]
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// The same where the other door of `passback` is not heard: whoever goes the same way twice is told and
    /// not refused, because nobody would be known to have come out.
    #[must_use]
    pub fn hearing_nobody(mut self) -> Self {
        if self.sections.passback.mode == PassbackMode::Hard {
            self.sections.passback.mode = PassbackMode::Soft;
        }
        self
    }

    fn origin(&self, key: &str) -> Origin {
        fitting::origin(&self.settings, key)
    }
}

#[cfg(test)]
mod tests;
