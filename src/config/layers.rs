//! Defaults, file, environment and flags, one above the other.
//!
//! In: what each layer says. Out: for every key that is set, its checked value and where that came
//! from, or every problem of every layer. Merging is the `config` crate's; what it merges has been
//! checked layer by layer before, so that a wrong value in the file is reported even where a flag
//! hides it.
//! Invariant: an empty text in environment or flags unsets a key that may be unset; elsewhere it is
//! a value like any other.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use config::{File, FileFormat, Map, Source, Value, ValueKind};
use serde_json::Value as Json;

use super::key::{self, Key};
use super::keys::{KEYS, SECTIONS};
use super::kind::KeyKind;
use super::problem::{ConfigError, Origin, Problem};
use crate::mask;

/// A configuration file is a few kilobytes; more than this is something else.
const FILE_BYTES_MAX: u64 = 256 * 1024;
const ENVIRONMENT_PREFIX: &str = "DEEPID_EDGE__";
const OWN_PREFIX: &str = "DEEPID_EDGE_";
/// A key's value and where it came from.
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key.
    pub key: &'static str,
    /// Its checked value; `None` when it is unset.
    pub value: Option<Json>,
    /// Which layer said so.
    pub origin: Origin,
}

impl Setting {
    /// Its value as it may be shown: without the secrets that may stand in a text.
    #[must_use]
    pub fn shown(&self) -> Option<Json> {
        self.value.as_ref().map(masked)
    }
}

fn masked(value: &Json) -> Json {
    match value {
        Json::String(text) => Json::from(mask::value(text)),
        Json::Array(list) => list.iter().map(masked).collect(),
        Json::Object(fields) => {
            Json::Object(fields.iter().map(|(name, value)| (name.clone(), masked(value))).collect())
        }
        other => other.clone(),
    }
}

/// One layer's values by full key, in the shape that `config` merges.
#[derive(Debug, Clone)]
struct Layer(Vec<(String, Value)>);

impl Source for Layer {
    fn clone_into_box(&self) -> Box<dyn Source + Send + Sync> {
        Box::new(self.clone())
    }

    fn collect(&self) -> Result<Map<String, Value>, config::ConfigError> {
        Ok(self.0.iter().cloned().collect())
    }
}

/// The variable of the environment that sets `key`.
#[must_use]
pub fn environment_name(key: &str) -> String {
    format!("{ENVIRONMENT_PREFIX}{}", key.to_uppercase().replace('.', "__"))
}

/// One entry of a layer before it is checked.
struct Entry {
    key: String,
    value: Written,
    origin: Origin,
}

enum Written {
    /// With a type of its own.
    Typed(Value),
    /// As text, to be read by the key's kind.
    Text(String),
}

/// Merges all layers; of the file its name and what it says.
///
/// # Errors
/// [`ConfigError`] for a file that is no TOML, else with all problems of all layers.
pub fn merge(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    flags: &[super::Flag],
) -> Result<Vec<Setting>, ConfigError> {
    let (settings, mut problems) = merge_noting(file, environment, flags)?;
    problems.extend(misspelt_variables(environment));
    if problems.is_empty() { Ok(settings) } else { Err(ConfigError::Problems(problems)) }
}

/// Merges what is right of all layers, and leaves out what is wrong.
///
/// # Errors
/// [`ConfigError`] for a file that cannot be read.
pub(super) fn merge_right(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    flags: &[super::Flag],
) -> Result<Vec<Setting>, ConfigError> {
    merge_noting(file, environment, flags).map(|(settings, _)| settings)
}

fn merge_noting(
    file: Option<(&Path, &str)>,
    environment: &[(String, String)],
    flags: &[super::Flag],
) -> Result<(Vec<Setting>, Vec<Problem>), ConfigError> {
    let mut layers = vec![defaults()];
    if let Some((path, text)) = file {
        layers.push(from_text(path, text)?);
    }
    layers.push(from_environment(environment));
    layers.push(from_flags(flags));

    let mut problems = Vec::new();
    let mut origins: BTreeMap<String, Origin> = BTreeMap::new();
    let mut builder = config::Config::builder();
    for layer in layers {
        let mut values = Vec::new();
        for entry in layer {
            match check(&entry) {
                Ok((key, value)) => {
                    origins.insert(key.name.to_owned(), entry.origin);
                    values.push((entry.key, value));
                }
                Err(problem) => problems.push(problem),
            }
        }
        builder = builder.add_source(Layer(values));
    }
    let merged = builder.build().map_err(|error| internal(&error.to_string()))?;
    let settings = KEYS
        .iter()
        .map(|key| {
            let value = match merged.get::<Value>(key.name) {
                Ok(value) if matches!(value.kind, ValueKind::Nil) => None,
                Ok(value) => key.kind.take(&value),
                Err(_) => None,
            };
            let origin = origins.get(key.name).cloned().unwrap_or(Origin::Default);
            Setting { key: key.name, value, origin }
        })
        .collect();
    Ok((settings, problems))
}

/// Variables that name a section as a key's variable does, but with a single underscore before it:
/// they set nothing, and whoever wrote them thinks that they do.
fn misspelt_variables(environment: &[(String, String)]) -> Vec<Problem> {
    let mut problems: Vec<_> = environment
        .iter()
        .filter(|(name, _)| !name.starts_with(ENVIRONMENT_PREFIX))
        .filter_map(|(name, _)| {
            let rest = name.strip_prefix(OWN_PREFIX)?.to_lowercase();
            let (section, _) = rest.split_once('_')?;
            SECTIONS.iter().find(|known| known.name == section)?;
            let plain = rest.replace("__", "_");
            let key = KEYS
                .iter()
                .map(|key| key.name)
                .find(|key| key.replace('.', "_") == plain)
                .or_else(|| key::nearest(&rest.replace("__", ".")));
            let nearest = key.map(environment_name);
            Some(Problem::MisspeltVariable { origin: Origin::Environment(name.clone()), nearest })
        })
        .collect();
    problems.sort_by_key(ToString::to_string);
    problems
}

/// A fault of the program, not of the configuration; the tests of this room keep it from happening.
pub(super) fn internal(message: &str) -> ConfigError {
    ConfigError::Problems(vec![Problem::Impossible {
        origin: Origin::Default,
        key: "(all)".to_owned(),
        found: message.to_owned(),
        expected: "readable; this is a fault of deepid-edge: please report it".to_owned(),
    }])
}

/// Checks one entry against its key; gives the key and what is to be merged.
fn check(entry: &Entry) -> Result<(&'static Key, Value), Problem> {
    let found = match &entry.value {
        Written::Typed(value) => shown(value),
        Written::Text(text) => format!("{:?}", mask::value(text)),
    };
    let Some(key) = key::find(&entry.key) else {
        if is_section(&entry.key) {
            return Err(Problem::Impossible {
                origin: entry.origin.clone(),
                key: entry.key.clone(),
                found,
                expected: "a section with keys of its own".to_owned(),
            });
        }
        let secret = mask::names_a_secret(&entry.key);
        let found = if secret { "not shown".to_owned() } else { found };
        return Err(Problem::UnknownKey {
            origin: entry.origin.clone(),
            key: mask::value(&entry.key).into_owned(),
            found,
            nearest: key::nearest(&entry.key),
        });
    };
    let one_control = matches!(key.kind, KeyKind::Controls) && entry.key != key.name;
    let kind = if one_control { KeyKind::Whole { min: i64::MIN, max: i64::MAX } } else { key.kind };
    let value = match &entry.value {
        Written::Text(text) if text.is_empty() && key.default.is_none() => {
            return Ok((key, Value::new(Some(&entry.origin.to_string()), ValueKind::Nil)));
        }
        Written::Text(text) if text.contains(char::REPLACEMENT_CHARACTER) => {
            return Err(Problem::Impossible {
                origin: entry.origin.clone(),
                key: entry.key.clone(),
                found,
                expected: "UTF-8 text".to_owned(),
            });
        }
        Written::Text(text) => kind.read(&entry.origin.to_string(), text),
        Written::Typed(value) => value.clone(),
    };
    match kind.take(&value) {
        Some(_) => Ok((key, value)),
        None => Err(Problem::Impossible {
            origin: entry.origin.clone(),
            key: entry.key.clone(),
            found,
            expected: kind.wanted(&value),
        }),
    }
}

fn defaults() -> Vec<Entry> {
    KEYS.iter()
        .filter_map(|key| {
            let document = format!("{} = {}", key.name, key.default?);
            let table = File::from_str(&document, FileFormat::Toml).collect().ok()?;
            let mut entries = flatten(table, &Origin::Default);
            entries.pop()
        })
        .collect()
}

/// What the file at `path` says.
///
/// # Errors
/// [`ConfigError`] when it cannot be read, is too large to be a configuration, or is not UTF-8.
pub fn read(path: &Path) -> Result<String, ConfigError> {
    let unreadable = |source| ConfigError::Unreadable { path: path.to_owned(), source };
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_dir() {
        return Err(unreadable(std::io::Error::from(std::io::ErrorKind::IsADirectory)));
    }
    if about.len() > FILE_BYTES_MAX {
        return Err(ConfigError::TooLarge {
            path: path.to_owned(),
            found: about.len(),
            max: FILE_BYTES_MAX,
        });
    }
    let bytes = std::fs::read(path).map_err(unreadable)?;
    String::from_utf8(bytes).map_err(|error| ConfigError::Syntax {
        path: path.to_owned(),
        message: format!("it is not UTF-8 ({})", error.utf8_error()),
    })
}

fn from_text(path: &Path, text: &str) -> Result<Vec<Entry>, ConfigError> {
    let table =
        File::from_str(text, FileFormat::Toml).collect().map_err(|error| ConfigError::Syntax {
            path: path.to_owned(),
            message: match error {
                config::ConfigError::FileParse { cause, .. } => {
                    without_values(cause.to_string().trim_end())
                }
                other => other.to_string(),
            },
        })?;
    Ok(flatten(table, &Origin::File(path.to_owned())))
}

/// Leaves of a tree of tables, by full key; a table that is itself a key's value is a leaf.
fn flatten(table: Map<String, Value>, origin: &Origin) -> Vec<Entry> {
    let mut entries = Vec::new();
    let mut open: Vec<(String, Value)> = table.into_iter().collect();
    while let Some((key, value)) = open.pop() {
        let is_value = key::find(&key).is_some();
        match value.kind {
            ValueKind::Table(inner) if !is_value && !inner.is_empty() => {
                open.extend(
                    inner.into_iter().map(|(name, value)| (format!("{key}.{name}"), value)),
                );
            }
            ValueKind::Table(_) if !is_value && is_section(&key) => {}
            _ => entries.push(Entry { key, value: Written::Typed(value), origin: origin.clone() }),
        }
    }
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

/// A TOML reader's message without what secret keys hold in the line that it quotes.
fn without_values(message: &str) -> String {
    let line = |line: &str| match line.split_once('=') {
        Some((key, _)) if mask::names_a_secret(key.trim()) => format!("{key}= {}", mask::MASK),
        _ => mask::value(line).into_owned(),
    };
    message.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn is_section(name: &str) -> bool {
    SECTIONS.iter().any(|section| section.name == name)
}

fn from_environment(environment: &[(String, String)]) -> Vec<Entry> {
    let mut entries: Vec<Entry> = environment
        .iter()
        .filter_map(|(name, text)| {
            let key = name.strip_prefix(ENVIRONMENT_PREFIX)?.to_lowercase().replace("__", ".");
            let origin = Origin::Environment(name.clone());
            Some(Entry { key, value: Written::Text(text.clone()), origin })
        })
        .collect();
    entries.sort_by(|a, b| a.key.cmp(&b.key));
    entries
}

fn from_flags(flags: &[super::Flag]) -> Vec<Entry> {
    flags
        .iter()
        .map(|flag| Entry {
            key: flag.key.clone(),
            value: Written::Text(flag.value.clone()),
            origin: Origin::Flag(flag.given_as.clone()),
        })
        .collect()
}

/// A value as TOML would show it, shortened.
fn shown(value: &Value) -> String {
    const LENGTH_MAX: usize = 60;
    let text = match &value.kind {
        ValueKind::String(text) => format!("{:?}", mask::value(text)),
        ValueKind::Array(list) => {
            format!("[{}]", list.iter().map(shown).collect::<Vec<_>>().join(", "))
        }
        ValueKind::Table(table) => {
            let mut pairs: Vec<_> = table
                .iter()
                .map(|(name, value)| format!("{} = {}", mask::value(name), shown(value)))
                .collect();
            pairs.sort();
            format!("{{ {} }}", pairs.join(", "))
        }
        other => other.to_string(),
    };
    if text.chars().count() > LENGTH_MAX {
        text.chars().take(LENGTH_MAX).chain(['…']).collect()
    } else {
        text
    }
}

/// Settings as a tree, ready for the typed sections.
pub(super) fn tree(settings: &[Setting]) -> Json {
    let mut root = Json::Object(serde_json::Map::new());
    for setting in settings {
        let Some(value) = &setting.value else { continue };
        let pointer = setting.key.split('.').collect::<Vec<_>>();
        let mut place = &mut root;
        for part in pointer {
            if !place.is_object() {
                *place = Json::Object(serde_json::Map::new());
            }
            let Json::Object(map) = place else { break };
            place = map.entry(part).or_insert(Json::Null);
        }
        *place = value.clone();
    }
    root
}

/// The standard file, where it exists.
pub(super) fn standard_file() -> Option<PathBuf> {
    let path = PathBuf::from(super::STANDARD_FILE);
    path.exists().then_some(path)
}
