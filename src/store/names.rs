//! Names: which one a subject may have.
//!
//! In: what an administrator typed. Out: the name as it is stored, or why it is none. A name goes no
//! further than `subjects.name`.

use rusqlite::{Connection, OptionalExtension};

use super::Error;
use crate::compare::SubjectId;

/// The longest name, in characters.
const CHARACTERS_MAX: usize = 64;

/// A name that can be shown in one line and never be taken for an id.
pub(super) fn check(name: &str) -> Result<&str, Error> {
    let name = name.trim();
    let what = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > CHARACTERS_MAX {
        "it is longer than 64 characters"
    } else if name.chars().any(char::is_control) {
        "it contains a control character"
    } else if SubjectId::new(name).is_ok() {
        "it looks like a subject id"
    } else {
        return Ok(name);
    };
    Err(Error::BadName { what })
}

/// Who has `name`.
pub(super) fn holder(connection: &Connection, name: &str) -> rusqlite::Result<Option<SubjectId>> {
    let id: Option<String> = connection
        .query_row("SELECT id FROM subjects WHERE name = ?1", [name], |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| SubjectId::new(&id).ok()))
}
