//! The tables: the whole schema for a new file, the steps for an older one, and the comparison of
//! the two.
//!
//! Invariants: a step is never changed once released; all steps run in one transaction, so a
//! migration that fails leaves the file at its old version; a migrated file and a new one have the
//! same tables, which [`differences`] tells and a test holds.

use rusqlite::{Connection, Transaction};

use super::people::Undone;
use super::seal::{Plain, Vault};

/// `DPEd`: says that a file is ours (`PRAGMA application_id`).
pub(super) const APPLICATION_ID: u32 = 0x4450_4564;

/// The whole schema.
const WHOLE: &str = include_str!("schema/whole.sql");

/// Step `i` leads from version `i` to `i + 1`.
const STEPS: [&str; 12] = [
    include_str!("schema/step-1.sql"),
    include_str!("schema/step-2.sql"),
    include_str!("schema/step-3.sql"),
    include_str!("schema/step-4.sql"),
    include_str!("schema/step-5.sql"),
    include_str!("schema/step-6.sql"),
    include_str!("schema/step-7.sql"),
    include_str!("schema/step-8.sql"),
    include_str!("schema/step-9.sql"),
    include_str!("schema/step-10.sql"),
    include_str!("schema/step-11.sql"),
    include_str!("schema/step-12.sql"),
];

/// The version that this program writes.
pub(super) const VERSION: i64 = 12;
/// The first version whose records are bound to each other.
pub(super) const CHAINED: i64 = 6;
/// The first version whose names and references are sealed.
pub(super) const SEALED: i64 = 10;
const _: () = assert!(STEPS.len() == 12, "one step leads to each version");

/// Makes all tables in an empty file.
pub(super) fn make(transaction: &Transaction<'_>) -> rusqlite::Result<()> {
    transaction.execute_batch(WHOLE)?;
    stamp(transaction, VERSION)
}

/// Walks from version `from` (at least 1) to [`VERSION`], by the key in `vault`. Foreign keys must be off:
/// a step may replace a table that others point to.
pub(super) fn migrate(
    transaction: &Transaction<'_>,
    from: i64,
    vault: &Vault,
) -> Result<(), Undone> {
    walk(transaction, from, VERSION, vault)?;
    if from < CHAINED {
        super::chain::bind_existing(transaction)?;
    }
    Ok(stamp(transaction, VERSION)?)
}

/// The steps from version `from` to `end`.
fn walk(transaction: &Transaction<'_>, from: i64, end: i64, vault: &Vault) -> Result<(), Undone> {
    for (to, step) in (1..=end).zip(STEPS).filter(|(to, _)| *to > from) {
        let plain = (to == SEALED).then(|| Plain::take(transaction)).transpose()?;
        transaction.execute_batch(step)?;
        if let Some(plain) = plain {
            plain.seal(transaction, vault)?;
        }
    }
    Ok(())
}

fn stamp(connection: &Connection, version: i64) -> rusqlite::Result<()> {
    connection.pragma_update(None, "application_id", APPLICATION_ID)?;
    connection.pragma_update(None, "user_version", version)
}

/// The first way in which the tables differ from those of a new file, if any.
pub(super) fn differences(connection: &Connection) -> rusqlite::Result<Option<String>> {
    let fresh = Connection::open_in_memory()?;
    fresh.execute_batch(WHOLE)?;
    let (wanted, found) = (tables(&fresh)?, tables(connection)?);
    let missing = wanted.iter().find(|object| !found.contains(object));
    let surplus = found.iter().find(|object| !wanted.contains(object));
    Ok(match (missing, surplus) {
        (Some(object), _) => Some(format!("missing or different: {}", object.0)),
        (None, Some(object)) => Some(format!("not ours: {}", object.0)),
        (None, None) => None,
    })
}

/// Name and definition of every table and index, white space and comments evened out.
fn tables(connection: &Connection) -> rusqlite::Result<Vec<(String, String)>> {
    let mut statement = connection.prepare(
        "SELECT type || ' ' || name, sql FROM sqlite_schema
         WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY name",
    )?;
    let rows = statement.query_map([], |row| {
        let definition: String = row.get(1)?;
        Ok((row.get(0)?, even(&definition)))
    })?;
    rows.collect()
}

/// A definition with one space where there is white space, and none beside commas and brackets: SQLite
/// puts a column that is added later behind a comma of its own.
fn even(definition: &str) -> String {
    let words: Vec<&str> = definition.split_whitespace().collect();
    words.join(" ").replace(" ,", ",").replace("( ", "(").replace(" )", ")")
}

/// Walks a file of an older version, which has rows, on to `version`.
#[cfg(test)]
pub(super) fn bring_to(connection: &mut Connection, from: i64, version: i64, vault: &Vault) {
    connection.pragma_update(None, "foreign_keys", false).unwrap();
    let transaction = connection.transaction().unwrap();
    walk(&transaction, from, version, vault).unwrap();
    stamp(&transaction, version).unwrap();
    transaction.commit().unwrap();
}

#[cfg(test)]
pub(super) fn make_version(connection: &Connection, version: usize) {
    for step in STEPS.iter().take(version) {
        connection.execute_batch(step).unwrap();
    }
    stamp(connection, i64::try_from(version).unwrap()).unwrap();
}
