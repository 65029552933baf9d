//! Names: which one a subject may have, and which look alike.
//!
//! In: what an administrator typed. Out: the name as it is stored, or why it is none; who has a name;
//! whose name looks like it. A name goes no further than `subjects.name`, where it is sealed; so that all
//! names are opened to find one.
//!
//! A name is stored in Unicode's normalisation form C, so that a keyboard that types `é` as one
//! character and one that types an `e` and an accent give the same name. Names from before this rule
//! stay as they are, and are found by any spelling of the same characters: [`same`] compares
//! normalised. They become normalised when they are changed. Two of them that differ only in that are
//! told apart by their ids.
//!
//! Sources: Unicode Standard Annex 15 (normalisation), Technical Standard 39 (look-alikes, characters
//! that are not to be seen).

use std::collections::BTreeMap;
use std::fmt;

use rusqlite::Connection;
use unicode_normalization::UnicodeNormalization as _;
use unicode_security::GeneralSecurityProfile as _;
use unicode_security::general_security_profile::IdentifierType;

use super::people::Undone;
use super::references::subject_id;
use super::seal::Vault;
use super::{Error, NAME_SEALED, Store};
use crate::compare::SubjectId;

/// Names by id, for the administrator's eyes only.
pub type Names = BTreeMap<SubjectId, String>;

/// The longest name, in characters of its stored form.
const CHARACTERS_MAX: usize = 64;

/// Zero-width non-joiner and joiner. Some scripts use them inside words; two names that differ in
/// nothing else look the same.
const JOINERS: [char; 2] = ['\u{200C}', '\u{200D}'];

/// A subject whose name looks like another one.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct LookAlike {
    /// Who.
    pub subject: SubjectId,
    /// The name, for the administrator's eyes only.
    pub name: String,
    /// In what the two differ.
    pub by: Likeness,
}

/// In what two names that look alike differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Likeness {
    /// In capital and small letters.
    Case,
    /// In characters that look the same, such as a Latin and a Cyrillic `a`.
    Characters,
}

impl fmt::Display for Likeness {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Case => "capital and small letters",
            Self::Characters => "characters that look the same, such as a Latin and a Cyrillic a",
        })
    }
}

/// A name as it is stored: normalised, to be shown in one line, never to be taken for an id.
pub(super) fn check(name: &str) -> Result<String, Error> {
    let name: String = name.trim().nfc().collect();
    let what = if name.is_empty() {
        "it is empty".to_owned()
    } else if name.chars().count() > CHARACTERS_MAX {
        format!("it is longer than {CHARACTERS_MAX} characters")
    } else if let Some((at, what)) =
        (1..).zip(name.chars()).find_map(|(at, c)| Some((at, fault(c)?)))
    {
        let code = name.chars().nth(at - 1).map_or(0, u32::from);
        format!("its character {at} (U+{code:04X}) is {what}")
    } else if SubjectId::new(&name).is_ok() {
        "it looks like a subject id".to_owned()
    } else if name == NAME_SEALED {
        "it stands for a name that cannot be opened".to_owned()
    } else {
        return Ok(name);
    };
    Err(Error::BadName { what })
}

/// Why a character may not stand in a name: two names must not differ in what nobody sees.
fn fault(character: char) -> Option<&'static str> {
    if character.is_control() {
        return Some("a control character");
    }
    // Line and paragraph separators end a line as control characters do.
    if matches!(character, '\u{2028}' | '\u{2029}') {
        return Some("an end of line");
    }
    let invisible = "invisible: it has no width, or changes the direction of writing";
    match character.identifier_type() {
        Some(IdentifierType::Default_Ignorable) => Some(invisible),
        _ if JOINERS.contains(&character) => Some(invisible),
        Some(IdentifierType::Not_Character) | None => {
            Some("no character that Unicode has assigned")
        }
        Some(_) => None,
    }
}

/// Whether two spellings are of the same characters.
fn same(a: &str, b: &str) -> bool {
    a.nfc().eq(b.nfc())
}

/// How `a` and `b` look alike; `None` when they do not, or are the same.
fn likeness(a: &str, b: &str) -> Option<Likeness> {
    if same(a, b) {
        return None;
    }
    let small = |name: &str| name.nfc().collect::<String>().to_lowercase();
    let (small_a, small_b) = (small(a), small(b));
    let look = |name: &str| unicode_security::skeleton(name).collect::<String>();
    if same(&small_a, &small_b) {
        Some(Likeness::Case)
    } else if look(a) == look(b) || look(&small_a) == look(&small_b) {
        Some(Likeness::Characters)
    } else {
        None
    }
}

/// Every subject's id and name, without those whose names do not open.
///
/// # Errors
/// [`Error::Sealed`] when none can be opened.
fn all(connection: &Connection, vault: &Vault) -> Result<Vec<(SubjectId, String)>, Undone> {
    let mut statement =
        connection.prepare("SELECT id, data_key, name FROM subjects ORDER BY created_ms, id")?;
    let rows = statement.query_map([], |row| {
        Ok((subject_id(row, 0)?, row.get::<_, Vec<u8>>(1)?, row.get::<_, Vec<u8>>(2)?))
    })?;
    let rows = rows.collect::<rusqlite::Result<Vec<_>>>()?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let store_key = vault.opening(connection)?;
    let open = |(id, data_key, sealed): (SubjectId, Vec<u8>, Vec<u8>)| {
        let key = store_key.unwrap(id.as_str(), &data_key).ok()?;
        let name = key.open_name(id.as_str(), &sealed).ok()?;
        Some((id, name))
    };
    Ok(rows.into_iter().filter_map(open).collect())
}

/// Who has `name`, whichever way it is spelt. A name that is spelt the very same comes first.
///
/// # Errors
/// [`Error::AmbiguousName`] when several have it, all spelt otherwise.
pub(super) fn holder(
    connection: &Connection,
    vault: &Vault,
    name: &str,
) -> Result<Option<SubjectId>, Undone> {
    let mut having = all(connection, vault)?;
    having.retain(|(_, other)| same(other, name));
    if let Some((id, _)) = having.iter().find(|(_, other)| other == name) {
        return Ok(Some(id.clone()));
    }
    match having.as_slice() {
        [] => Ok(None),
        [(id, _)] => Ok(Some(id.clone())),
        [..] => {
            let ids = having.into_iter().map(|(id, _)| id).collect();
            Err(Error::AmbiguousName { ids }.into())
        }
    }
}

impl Store {
    /// A name as it would be stored.
    ///
    /// # Errors
    /// [`Error::BadName`] when nobody may have it.
    pub fn check_name(name: &str) -> Result<String, Error> {
        check(name)
    }

    /// Everybody's name, by id, without those that do not open: records are shown without the store
    /// key, too.
    ///
    /// # Errors
    /// What the database says.
    pub fn names(&self) -> Result<Names, Error> {
        match all(&self.connection, &self.vault).map_err(|undone| self.refusal(undone)) {
            Ok(all) => Ok(all.into_iter().collect()),
            Err(Error::Sealed { .. }) => Ok(Names::default()),
            Err(error) => Err(error),
        }
    }

    /// Whose names look like `name` without being the same: a person who reads a list may take one
    /// for the other.
    ///
    /// # Errors
    /// What the database says.
    pub fn look_alikes(&self, name: &str) -> Result<Vec<LookAlike>, Error> {
        let all = all(&self.connection, &self.vault).map_err(|undone| self.refusal(undone))?;
        let alike = |(subject, other): (SubjectId, String)| {
            likeness(&other, name.trim()).map(|by| LookAlike { subject, name: other, by })
        };
        Ok(all.into_iter().filter_map(alike).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_many_scripts_are_names_and_are_stored_composed() {
        for (typed, stored) in [
            ("Ada Lovelace", "Ada Lovelace"),
            ("  Jose\u{301} ", "Jos\u{e9}"),
            ("A\u{30a}sa", "\u{c5}sa"),
            ("O'Brien-Smith, Jr.", "O'Brien-Smith, Jr."),
            ("Łukasz Żółć", "Łukasz Żółć"),
            ("Иван Йовчев", "Иван Йовчев"),
            ("山田 太郎", "山田 太郎"),
            ("김철수", "김철수"),
            ("\u{1100}\u{1161}", "가"),
            ("محمد", "محمد"),
            ("नरेन्द्र", "नरेन्द्र"),
            ("ສົມ", "ສົມ"),
            ("Flat 3 (2nd floor)", "Flat 3 (2nd floor)"),
            ("Zoë 🏠", "Zoë 🏠"),
        ] {
            assert_eq!(check(typed).unwrap(), stored, "{typed}");
        }
    }

    #[test]
    fn what_nobody_sees_may_not_be_in_a_name() {
        for (bad, says) in [
            ("A\nda", "character 2 (U+000A) is a control character"),
            ("Ada\u{7f}", "control character"),
            ("A\u{85}da", "control character"),
            ("Ada\u{200b}", "character 4 (U+200B) is invisible"),
            ("A\u{200c}da", "invisible"),
            ("A\u{200d}da", "invisible"),
            ("A\u{ad}da", "invisible"),
            ("Ada\u{2060}", "invisible"),
            ("\u{feff}Ada", "invisible"),
            ("A\u{200e}da", "direction"),
            ("A\u{200f}da", "direction"),
            ("A\u{61c}da", "direction"),
            ("\u{202e}adA", "direction"),
            ("\u{2066}Ada\u{2069}", "direction"),
            ("A\u{34f}da", "invisible"),
            ("Ada\u{3164}", "invisible"),
            ("Ada\u{fe0f}", "invisible"),
            ("Ada\u{e0041}", "invisible"),
            ("A\u{2028}da", "end of line"),
            ("Ada\u{e000}", "no character"),
            ("Ada\u{378}", "no character"),
            ("", "it is empty"),
            (" \u{a0} ", "it is empty"),
            (&"x".repeat(65), "longer than 64"),
            ("s-4f9a1c", "subject id"),
            (NAME_SEALED, "cannot be opened"),
        ] {
            let error = check(bad).unwrap_err().to_string();
            assert!(error.contains(says), "{bad:?}: {error}");
        }
    }

    #[test]
    fn names_that_look_alike_are_told_from_those_that_do_not() {
        use Likeness::{Case, Characters};
        for (one, other, wanted) in [
            ("Ada", "ada", Some(Case)),
            ("ÉLODIE", "\u{65}\u{301}lodie", Some(Case)),
            ("Иван", "ИВАН", Some(Case)),
            ("Ada", "Аda", Some(Characters)),
            ("ada", "АDА", Some(Characters)),
            ("Paul", "PauI", Some(Characters)),
            ("Clark", "C1ark", Some(Characters)),
            ("Ada Lovelace", "Ada\u{a0}Lovelace", Some(Characters)),
            ("Jos\u{e9}", "Jose\u{301}", None),
            ("Ada", "Ada", None),
            ("Ada", "Eda", None),
            ("Ada", "Ada B", None),
            ("山田", "山本", None),
        ] {
            assert_eq!(likeness(one, other), wanted, "{one} {other}");
            assert_eq!(likeness(other, one), wanted, "{other} {one}");
        }
    }
}
