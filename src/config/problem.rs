//! What can be wrong with a configuration, each said with place, key, value and what would be right.
//!
//! In: what the loader found. Out: [`ConfigError`], whose text a person can act on without the
//! manual. Invariant: every problem of all layers is reported at once, not the first alone.
//! Deliberately absent: the value of anything secret; what [`crate::mask`] knows as one is not shown.

use std::borrow::Cow;
use std::fmt;
use std::path::PathBuf;

use crate::remedy::Remedied;

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "layer", content = "at")]
pub enum Origin {
    /// The table of keys.
    Default,
    /// A file.
    File(PathBuf),
    /// The named environment variable.
    Environment(String),
    /// A flag of the command line, as it was given.
    Flag(String),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::Environment(name) => write!(f, "environment variable {name}"),
            Self::Flag(flag) => write!(f, "flag {flag}"),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, serde::Serialize)]
#[serde(rename_all = "snake_case", tag = "problem")]
pub enum Problem {
    /// No such key.
    #[error("{origin}: unknown key '{key}' (value {found}): {advice}", advice = self.advice())]
    UnknownKey {
        /// Where it stands.
        origin: Origin,
        /// What was written.
        key: String,
        /// Its value.
        found: String,
        /// What was probably meant.
        nearest: Option<&'static str>,
    },
    /// A variable of the environment that is meant for a key and sets nothing.
    #[error("{origin}: sets nothing: {advice}", advice = self.advice())]
    MisspeltVariable {
        /// The variable.
        origin: Origin,
        /// The variable that was probably meant.
        nearest: Option<String>,
    },
    /// The key holds something that it cannot hold.
    #[error("{origin}: {key} = {found}: {advice}", advice = self.advice())]
    Impossible {
        /// Where it stands.
        origin: Origin,
        /// The key.
        key: String,
        /// What it holds.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// Two keys that are right alone do not fit together.
    #[error("{origin}: {key} = {found} does not fit {other}: {remedy}")]
    Contradiction {
        /// Where the first key was set.
        origin: Origin,
        /// The first key.
        key: &'static str,
        /// What it holds.
        found: String,
        /// The other key and what it holds.
        other: String,
        /// What would be right.
        remedy: &'static str,
    },
}

impl Problem {
    /// The key that is wrong, where there is such a key: what somebody has written for one may be
    /// anything, a secret too.
    #[must_use]
    pub fn key(&self) -> Option<&'static str> {
        match self {
            Self::UnknownKey { .. } | Self::MisspeltVariable { .. } => None,
            Self::Impossible { key, .. } => super::key::find(key).map(|key| key.name),
            Self::Contradiction { key, .. } => Some(key),
        }
    }
}

impl Remedied for Problem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::UnknownKey { nearest, .. } => suggestion(*nearest).into(),
            Self::MisspeltVariable { nearest, .. } => variable(nearest.as_deref()).into(),
            Self::Impossible { expected, .. } => format!("must be {expected}").into(),
            Self::Contradiction { remedy, .. } => (*remedy).into(),
        })
    }
}

impl ConfigError {
    /// The keys that are wrong, each once, as far as they are keys.
    #[must_use]
    pub fn keys(&self) -> Vec<&'static str> {
        let keys: std::collections::BTreeSet<_> = match self {
            Self::Problems(problems) => problems.iter().filter_map(Problem::key).collect(),
            Self::NamedFile { key, .. } => [*key].into(),
            Self::Unreadable { .. }
            | Self::TooLarge { .. }
            | Self::Syntax { .. }
            | Self::Nowhere { .. } => std::collections::BTreeSet::new(),
        };
        keys.into_iter().collect()
    }
}

fn variable(nearest: Option<&str>) -> String {
    match nearest {
        Some(near) => format!("did you mean '{near}'?"),
        None => "variables of keys are called DEEPID_EDGE__SECTION__KEY, with two underscores each; unset it".to_owned(),
    }
}

fn suggestion(nearest: Option<&str>) -> String {
    match nearest {
        Some(near) => format!("did you mean '{near}'?"),
        None => "'deepid-edge config show --default' lists every key".to_owned(),
    }
}

/// Why there is no configuration.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// The file cannot be read.
    #[error(
        "configuration file {path}: {source}: {advice}",
        path = .path.display(),
        advice = self.advice()
    )]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system says.
        source: std::io::Error,
    },
    /// The file is too large to be one.
    #[error(
        "configuration file {path}: {found} bytes, at most {max} are read: {advice}",
        path = .path.display(),
        advice = self.advice()
    )]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        found: u64,
        /// The limit.
        max: u64,
    },
    /// The file is no TOML.
    #[error("configuration file {path} is not valid TOML: {message}\ncorrect it there; 'deepid-edge config show --default' prints a valid file", path = .path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and why, by the TOML reader.
        message: String,
    },
    /// Keys or values are wrong.
    #[error("{}", listed(.0))]
    Problems(Vec<Problem>),
    /// A file that a key names cannot be used.
    #[error("{origin}: {key} = {path}: {why}", path = crate::mask::value(&.path.to_string_lossy()))]
    NamedFile {
        /// Where the key was set.
        origin: Origin,
        /// The key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What is wrong and what would be right.
        why: String,
    },
    /// Something that the configuration asks for lies nowhere.
    #[error("{what}: not found; looked for {}: {remedy}", .looked.iter().map(|p| p.display().to_string()).collect::<Vec<_>>().join(", "))]
    Nowhere {
        /// What was wanted.
        what: String,
        /// Where it was looked for, in order.
        looked: Vec<PathBuf>,
        /// What to do.
        remedy: &'static str,
    },
}

impl Remedied for ConfigError {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Unreadable { .. } => {
                "check the path and who may read it, or leave --config out to use the defaults"
                    .into()
            }
            Self::TooLarge { .. } => "this is probably another file".into(),
            Self::Nowhere { remedy, .. } => (*remedy).into(),
            Self::Problems(problems) => match problems.as_slice() {
                [one] => return one.remedy(),
                // Each of several says its own.
                _ => return None,
            },
            Self::Syntax { .. } | Self::NamedFile { .. } => return None,
        })
    }
}

fn listed(problems: &[Problem]) -> String {
    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
}
