//! What is said of one key, and of one section.
//!
//! In: a row of the table in `src/config/keys.rs`. Out: [`Key`]; how a name is looked up, and what
//! was probably meant by one that is not there.

use super::keys::KEYS;
use super::kind::KeyKind;

/// One key: its name, what it may hold, its default and what it is for.
#[derive(Debug, Clone, Copy)]
pub struct Key {
    /// `section.key`, lower case, units last.
    pub name: &'static str,
    /// What it may hold.
    pub kind: KeyKind,
    /// The default, written as TOML; `None` when the key is unset unless somebody sets it.
    pub default: Option<&'static str>,
    /// A value to show where there is no default, written as TOML.
    pub example: &'static str,
    /// What it does, in sentences.
    pub help: &'static str,
    /// When a change of it takes effect in a running daemon.
    pub change: Change,
}

/// When a changed key takes effect in a running daemon.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Change {
    /// As soon as the configuration is read again.
    Live,
    /// When the daemon is started anew; until then the old value stays in force.
    Restart,
}

impl Change {
    /// The same in words, as a sentence.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Live => "Takes effect at a reload.",
            Self::Restart => "Needs a restart.",
        }
    }
}

/// One section: its name and what it is about.
#[derive(Debug, Clone, Copy)]
pub struct Section {
    /// Its name, without brackets.
    pub name: &'static str,
    /// What it is about.
    pub help: &'static str,
}

pub(super) const fn key(
    name: &'static str,
    kind: KeyKind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { name, kind, default: Some(default), example: default, help, change: Change::Restart }
}

pub(super) const fn unset(
    name: &'static str,
    kind: KeyKind,
    example: &'static str,
    help: &'static str,
) -> Key {
    Key { name, kind, default: None, example, help, change: Change::Restart }
}

/// As [`key`], and a change takes effect at a reload.
pub(super) const fn live(
    name: &'static str,
    kind: KeyKind,
    default: &'static str,
    help: &'static str,
) -> Key {
    Key { change: Change::Live, ..key(name, kind, default, help) }
}

/// As [`unset`], and a change takes effect at a reload.
pub(super) const fn live_unset(
    name: &'static str,
    kind: KeyKind,
    example: &'static str,
    help: &'static str,
) -> Key {
    Key { change: Change::Live, ..unset(name, kind, example, help) }
}

pub(super) const fn whole(min: i64, max: i64) -> KeyKind {
    KeyKind::Whole { min, max }
}

pub(super) const fn real(min: f64, max: f64) -> KeyKind {
    KeyKind::Real { min, max }
}

/// The key called `name`; for a table of free names such as `camera.controls.brightness`, the
/// table's key.
#[must_use]
pub fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| {
        key.name == name
            || (matches!(key.kind, KeyKind::Controls)
                && name.strip_prefix(key.name).is_some_and(|rest| {
                    rest.strip_prefix('.')
                        .is_some_and(|free| !free.is_empty() && !free.contains('.'))
                }))
    })
}

/// The key that somebody who wrote `name` probably meant, if one is near enough.
#[must_use]
pub fn nearest(name: &str) -> Option<&'static str> {
    let last = |name: &str| name.rsplit('.').next().unwrap_or_default().to_owned();
    let moved: Vec<_> = KEYS.iter().filter(|key| last(key.name) == last(name)).collect();
    if let [only] = moved.as_slice() {
        return Some(only.name);
    }
    let longer: Vec<_> = KEYS.iter().filter(|key| key.name.starts_with(name)).collect();
    if let [only] = longer.as_slice() {
        return Some(only.name);
    }
    KEYS.iter()
        .map(|key| (strsim::damerau_levenshtein(key.name, name), key.name))
        .min()
        .filter(|(distance, near)| *distance <= 2.max(near.len() / 4))
        .map(|(_, near)| near)
}

#[cfg(test)]
mod tests {
    use super::super::keys::SECTIONS;
    use super::*;

    #[test]
    fn names_are_unique_and_every_key_has_its_section() {
        let mut seen = std::collections::BTreeSet::new();
        for key in KEYS {
            assert!(seen.insert(key.name), "{} stands twice", key.name);
            let (section, _) = key.name.rsplit_once('.').expect("section.key");
            assert!(SECTIONS.iter().any(|s| s.name == section), "no section for {}", key.name);
        }
    }

    #[test]
    fn near_misses_are_understood_and_nonsense_is_not() {
        for (written, meant) in [
            ("camera.widht", Some("camera.width")),
            ("camera.min_face_px", Some("detect.min_face_px")),
            ("recognize.metric", Some("recognise.metric")),
            ("mqtt.hosts", Some("mqtt.host")),
            ("visit.absence", Some("visit.absence_ms")),
            ("mqtt.password", Some("mqtt.password_file")),
            ("colour.of.the.wall", None),
        ] {
            assert_eq!(nearest(written), meant, "{written}");
        }
    }

    #[test]
    fn controls_take_free_names_of_one_part() {
        assert!(find("camera.controls.brightness").is_some());
        assert!(find("camera.controls.a.b").is_none());
        assert!(find("camera.controls.").is_none());
        assert!(find("camera.widths").is_none());
    }
}
