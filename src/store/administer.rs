//! What an administrator changes: each change and its audit record in one transaction.
//!
//! A [`Change`] and a [`Signature`] → the change and its record are on the disk, or neither is.
//! Invariants: there is no way to change a subject or a reference but this one, so nothing changes
//! without a record; a power cut leaves all of a change or nothing; removing a subject, or replacing
//! its references, destroys its data key and erases the numbers from the file, and from the WAL as soon as
//! nobody reads it.

use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::people::{Undone, free_id};
use super::references::{numbers_in, stored_length};
use super::seal::{DataKey, ReferenceRow, Vault};
use super::{
    Administrative, AuditRecord, Body, Error, ReferenceSource, Store, ledger, names, pins,
};
use crate::clock::{Monotonic, WallClock};
use crate::compare::SubjectId;
use crate::embed::FeatureVector;
use crate::inference::{ModelId, ModelKey};

/// Where, by which run of the program and when something is done: what a record says beside the
/// deed.
#[derive(Debug, Clone, Copy)]
pub struct Signature<'a> {
    /// The door's id.
    pub door: &'a str,
    /// The run of the program.
    pub boot: Uuid,
    /// The machine's monotonic clock.
    pub now: Monotonic,
    /// The wall clock.
    pub wall: WallClock,
}

/// A reference that is to be stored.
#[derive(Debug, Clone, Copy)]
pub struct NewReference<'a> {
    /// The numbers, with the model and the procedure that made them.
    pub vector: &'a FeatureVector,
    /// Weight of the picture it came from, 0 to 1.
    pub quality: f32,
}

/// Who gets references.
#[derive(Debug, Clone, Copy)]
pub enum Enrolee<'a> {
    /// A new subject of this name.
    New(&'a str),
    /// A subject that is there, in addition to those it has.
    Also(&'a SubjectId),
    /// A subject that is there, in place of all that it has, of whatever model.
    Instead(&'a SubjectId),
}

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub enum Change<'a> {
    /// Somebody gets references.
    Enrol {
        /// Who.
        who: Enrolee<'a>,
        /// What the faces give, of the embedder and of the confirming network.
        references: &'a [NewReference<'a>],
        /// Where the faces came from.
        source: ReferenceSource,
        /// The embedder: the record counts its references.
        model: &'a ModelId,
    },
    /// A subject gets another name.
    Rename {
        /// Who.
        subject: &'a SubjectId,
        /// The new name.
        name: &'a str,
    },
    /// A subject may be granted again, or is recognised and denied from now on.
    Enable {
        /// Who.
        subject: &'a SubjectId,
        /// Whether it may be granted.
        enabled: bool,
    },
    /// A subject and its references are erased. Its id is never given again, because audit records
    /// may still speak of it.
    Remove {
        /// Who.
        subject: &'a SubjectId,
    },
    /// The administrator vouches that references of an unknown file were made by this procedure.
    Adopt {
        /// The procedure.
        key: &'a ModelKey,
        /// How many numbers its vectors have.
        length: usize,
    },
}

/// What was done, and is durable.
#[derive(Debug)]
pub struct Done {
    /// Whom it was about; `None` where it was about everybody.
    pub subject: Option<SubjectId>,
    /// How many references were added, erased or adopted.
    pub references: u64,
    /// The record.
    pub record: AuditRecord,
    /// Why what was erased is still in the log beside the database. The rows are gone; the next
    /// removal, or the end of the last program that has the file open, cuts the log.
    pub left_in_log: Option<Error>,
}

/// A change that is in the transaction.
struct Applied {
    subject: Option<SubjectId>,
    references: u64,
    event: Administrative,
    erased: bool,
    /// Wrapped data keys of which the rows are gone.
    destroyed: Vec<Vec<u8>>,
}

impl Store {
    /// Makes a change and records it, in one transaction.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NameTaken`], [`Error::NoSuchSubject`], [`Error::WrongLength`],
    /// [`Error::WrongQuality`], or what the database says: nothing was changed then, and nothing
    /// recorded.
    pub fn administer(&mut self, change: Change<'_>, by: Signature<'_>) -> Result<Done, Error> {
        let (keeping, vault) = (self.keeping(), Arc::clone(&self.vault));
        let (applied, record) = self.write(|connection| {
            let applied = apply(connection, &vault, change, by.wall.unix_ms)?;
            let body = Body::Administrative(applied.event.clone());
            let record = ledger::append(connection, &keeping, body, by)?;
            Ok((applied, record))
        })?;
        let Applied { subject, references, erased, destroyed, .. } = applied;
        let swept = || self.cut_log().and_then(|()| self.destroy(&destroyed));
        let left_in_log = if erased { swept().err() } else { None };
        Ok(Done { subject, references, record, left_in_log })
    }

    /// Pours the WAL into the file and cuts it to nothing.
    pub(super) fn cut_log(&self) -> Result<(), Error> {
        let blocked: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|source| self.error(source))?;
        if blocked == 0 {
            return Ok(());
        }
        Err(Error::Busy { path: self.path.clone(), waited_ms: self.settings.busy_timeout_ms })
    }
}

fn apply(
    connection: &Connection,
    vault: &Vault,
    change: Change<'_>,
    now_ms: i64,
) -> Result<Applied, Undone> {
    let of = |subject: &SubjectId, event: Administrative| Applied {
        subject: Some(subject.clone()),
        references: 0,
        event,
        erased: false,
        destroyed: Vec::new(),
    };
    match change {
        Change::Enrol { who, references, source, model } => {
            enrol(connection, vault, who, references, source, model, now_ms)
        }
        Change::Rename { subject, name } => {
            let destroyed = rename(connection, vault, subject, name)?;
            let event = Administrative::SubjectRenamed { subject: subject.clone() };
            Ok(Applied { erased: !destroyed.is_empty(), destroyed, ..of(subject, event) })
        }
        Change::Enable { subject, enabled } => {
            let sql = "UPDATE subjects SET enabled = ?2 WHERE id = ?1";
            touched(connection.execute(sql, params![subject.as_str(), enabled])?, subject)?;
            let id = subject.clone();
            let event = if enabled {
                Administrative::SubjectEnabled { subject: id }
            } else {
                Administrative::SubjectDisabled { subject: id }
            };
            Ok(of(subject, event))
        }
        Change::Remove { subject } => {
            let destroyed = vec![wrapped_key(connection, subject)?];
            let references = erase_references(connection, subject)?;
            let sql = "DELETE FROM subjects WHERE id = ?1";
            touched(connection.execute(sql, [subject.as_str()])?, subject)?;
            let sql = "INSERT INTO retired_subjects (id) VALUES (?1)";
            connection.execute(sql, [subject.as_str()])?;
            let event = Administrative::SubjectRemoved { subject: subject.clone() };
            Ok(Applied { references, erased: true, destroyed, ..of(subject, event) })
        }
        Change::Adopt { key, length } => adopt(connection, vault, key, length),
    }
}

/// Gives `subject` another name. Where its data key does not open it gets a new one: its references are
/// lost then, and were before; so are its PINs. Returns wrapped keys that are no longer in use.
fn rename(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
    name: &str,
) -> Result<Vec<Vec<u8>>, Undone> {
    let name = names::check(name)?;
    match names::holder(connection, vault, &name)? {
        Some(by) if by != *subject => return Err(Error::NameTaken { by }.into()),
        _ => {}
    }
    let wrapped = wrapped_key(connection, subject)?;
    let store_key = vault.sealing(connection)?;
    let not_sealed = |error| vault.not_sealed(error);
    let id = subject.as_str();
    let Ok(key) = store_key.unwrap(id, &wrapped) else {
        let (key, anew) = store_key.new_data_key(subject).map_err(not_sealed)?;
        let sealed = key.seal_name(id, &name).map_err(not_sealed)?;
        set_key(connection, subject, &anew, &sealed)?;
        pins::forget(connection, subject)?;
        return Ok(vec![wrapped]);
    };
    let sealed = key.seal_name(id, &name).map_err(not_sealed)?;
    connection.execute("UPDATE subjects SET name = ?2 WHERE id = ?1", params![id, sealed])?;
    Ok(Vec::new())
}

fn set_key(
    connection: &Connection,
    subject: &SubjectId,
    wrapped: &[u8],
    name: &[u8],
) -> rusqlite::Result<usize> {
    let sql = "UPDATE subjects SET data_key = ?2, name = ?3 WHERE id = ?1";
    connection.execute(sql, params![subject.as_str(), wrapped, name])
}

/// The data key of `subject`, as it lies in its row.
fn wrapped_key(connection: &Connection, subject: &SubjectId) -> Result<Vec<u8>, Undone> {
    let sql = "SELECT data_key FROM subjects WHERE id = ?1";
    let found = connection.query_row(sql, [subject.as_str()], |row| row.get(0)).optional()?;
    found.ok_or_else(|| Error::NoSuchSubject { asked: subject.to_string() }.into())
}

pub(super) fn data_key(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
) -> Result<DataKey, Undone> {
    let wrapped = wrapped_key(connection, subject)?;
    let key = vault.opening(connection)?.unwrap(subject.as_str(), &wrapped);
    key.map_err(|error| vault.unopened(subject.as_str(), &format!("its key: {error}")))
}

/// Erases all that `subject` has but its name and PINs, and gives it another data key: what was sealed under the
/// one before opens nowhere any more. Returns that, how many references there were, and the new key.
fn begin_anew(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
) -> Result<(Vec<u8>, u64, DataKey), Undone> {
    let id = subject.as_str();
    let before = data_key(connection, vault, subject)?;
    let sql = "SELECT data_key, name FROM subjects WHERE id = ?1";
    let (wrapped, sealed): (Vec<u8>, Vec<u8>) =
        connection.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?)))?;
    let name = before.open_name(id, &sealed);
    let name = name.map_err(|error| vault.unopened(id, &format!("its name: {error}")))?;
    let references = erase_references(connection, subject)?;
    let not_sealed = |error| vault.not_sealed(error);
    let (key, anew) = vault.sealing(connection)?.new_data_key(subject).map_err(not_sealed)?;
    let sealed = key.seal_name(id, &name).map_err(not_sealed)?;
    set_key(connection, subject, &anew, &sealed)?;
    pins::seal_anew(connection, vault, subject, (&before, &key))?;
    Ok((wrapped, references, key))
}

fn enrol(
    connection: &Connection,
    vault: &Vault,
    who: Enrolee<'_>,
    references: &[NewReference<'_>],
    source: ReferenceSource,
    model: &ModelId,
    now_ms: i64,
) -> Result<Applied, Undone> {
    let (mut replaced, mut destroyed) = (None, Vec::new());
    let (subject, key) = match who {
        Enrolee::New(name) => add_subject(connection, vault, name, now_ms)?,
        Enrolee::Also(subject) => (subject.clone(), data_key(connection, vault, subject)?),
        Enrolee::Instead(subject) => {
            let (wrapped, count, key) = begin_anew(connection, vault, subject)?;
            (replaced, destroyed) = (Some(count), vec![wrapped]);
            (subject.clone(), key)
        }
    };
    let sealing = Sealing { connection, vault, subject: &subject, key: &key };
    for reference in references {
        sealing.add(reference, source, now_ms)?;
    }
    let added = references.iter().filter(|reference| reference.vector.model() == model).count();
    let event = Administrative::SubjectEnrolled {
        subject: subject.clone(),
        model: model.clone(),
        references: u32::try_from(added).unwrap_or(u32::MAX),
        replaced: replaced.map(|count| u32::try_from(count).unwrap_or(u32::MAX)),
    };
    Ok(Applied {
        subject: Some(subject),
        references: added as u64,
        event,
        erased: replaced.is_some(),
        destroyed,
    })
}

fn add_subject(
    connection: &Connection,
    vault: &Vault,
    name: &str,
    now_ms: i64,
) -> Result<(SubjectId, DataKey), Undone> {
    let name = names::check(name)?;
    if let Some(by) = names::holder(connection, vault, &name)? {
        return Err(Error::NameTaken { by }.into());
    }
    let id = free_id(connection)?;
    let not_sealed = |error| vault.not_sealed(error);
    let (key, wrapped) = vault.sealing(connection)?.new_data_key(&id).map_err(not_sealed)?;
    let sealed = key.seal_name(id.as_str(), &name).map_err(not_sealed)?;
    connection.execute(
        "INSERT INTO subjects (id, data_key, name, enabled, created_ms) VALUES (?1, ?2, ?3, 1, ?4)",
        params![id.as_str(), wrapped, sealed, now_ms],
    )?;
    Ok((id, key))
}

/// Whose references are sealed, and by what.
#[derive(Clone, Copy)]
struct Sealing<'a> {
    connection: &'a Connection,
    vault: &'a Vault,
    subject: &'a SubjectId,
    key: &'a DataKey,
}

impl Sealing<'_> {
    fn add(
        self,
        reference: &NewReference<'_>,
        source: ReferenceSource,
        now_ms: i64,
    ) -> Result<(), Undone> {
        let Self { connection, vault, subject, key } = self;
        let NewReference { vector, quality } = *reference;
        if !(0.0..=1.0).contains(&quality) {
            return Err(Error::WrongQuality { subject: subject.clone(), found: quality }.into());
        }
        let made_by = vector.key();
        let found = vector.values().len();
        let wanted = stored_length(connection, made_by)?.unwrap_or(found.max(1));
        if wanted != found {
            let (subject, model) = (subject.clone(), made_by.id.clone());
            return Err(Error::WrongLength { subject, model, found, wanted }.into());
        }
        let bytes: Zeroizing<Vec<u8>> =
            vector.values().iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>().into();
        let procedure = made_by.procedure.to_string();
        let row = ReferenceRow {
            id: next_reference(connection)?,
            subject: subject.as_str(),
            model: made_by.id.as_str(),
            procedure: Some(&procedure),
            quality: f64::from(quality),
            source: source.as_str(),
            created_ms: now_ms,
        };
        let sealed = key.seal_numbers(&row, &bytes).map_err(|error| vault.not_sealed(error))?;
        let sql = "INSERT INTO subject_references
                 (id, subject, model, vector, quality, source, created_ms, procedure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";
        connection.prepare_cached(sql)?.execute(params![
            row.id,
            row.subject,
            row.model,
            sealed,
            row.quality,
            row.source,
            row.created_ms,
            row.procedure
        ])?;
        Ok(())
    }
}

/// The number that the next reference gets: it is sealed for that. None is given twice.
fn next_reference(connection: &Connection) -> rusqlite::Result<i64> {
    connection
        .prepare_cached(
            "SELECT coalesce(max(seq), 0) + 1 FROM sqlite_sequence
             WHERE name = 'subject_references'",
        )?
        .query_row([], |row| row.get(0))
}

fn erase_references(connection: &Connection, subject: &SubjectId) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM subject_references WHERE subject = ?1";
    Ok(connection.execute(sql, [subject.as_str()])? as u64)
}

/// Gives every reference of an unknown file of this model the procedure, and seals it for that.
fn adopt(
    connection: &Connection,
    vault: &Vault,
    key: &ModelKey,
    length: usize,
) -> Result<Applied, Undone> {
    let unknown = unknown_references(connection, &key.id)?;
    let other = |one: &&Unknown| numbers_in(one.sealed.len()) != length;
    if let Some(one) = unknown.iter().find(other) {
        let (subject, model) = (one.subject.clone(), key.id.clone());
        let (found, wanted) = (numbers_in(one.sealed.len()), length);
        return Err(Error::WrongLength { subject, model, found, wanted }.into());
    }
    let procedure = key.procedure.to_string();
    let mut references: u64 = 0;
    for one in &unknown {
        let before = ReferenceRow {
            id: one.id,
            subject: one.subject.as_str(),
            model: key.id.as_str(),
            procedure: None,
            quality: one.quality,
            source: &one.source,
            created_ms: one.created_ms,
        };
        let wrapped = wrapped_key(connection, &one.subject)?;
        let opened = vault.opening(connection)?.unwrap(before.subject, &wrapped);
        let opened = opened.and_then(|key| Ok((key.open_numbers(&before, &one.sealed)?, key)));
        // Nobody can vouch for one that does not open. It stays as it is, and is reported.
        let Ok((numbers, data_key)) = opened else { continue };
        let after = ReferenceRow { procedure: Some(&procedure), ..before };
        let sealed =
            data_key.seal_numbers(&after, &numbers).map_err(|error| vault.not_sealed(error))?;
        connection
            .prepare_cached(
                "UPDATE subject_references SET procedure = ?2, vector = ?3 WHERE id = ?1",
            )?
            .execute(params![after.id, procedure, sealed])?;
        references += 1;
    }
    let event = Administrative::ReferencesAdopted {
        model: key.id.clone(),
        procedure: key.procedure,
        references,
    };
    Ok(Applied { subject: None, references, event, erased: false, destroyed: Vec::new() })
}

/// A reference that does not say what made it.
struct Unknown {
    id: i64,
    subject: SubjectId,
    sealed: Vec<u8>,
    quality: f64,
    source: String,
    created_ms: i64,
}

fn unknown_references(connection: &Connection, model: &ModelId) -> rusqlite::Result<Vec<Unknown>> {
    let mut statement = connection.prepare(
        "SELECT id, subject, vector, quality, source, created_ms
         FROM subject_references WHERE model = ?1 AND procedure IS NULL ORDER BY id",
    )?;
    let rows = statement.query_map([model.as_str()], |row| {
        Ok(Unknown {
            id: row.get(0)?,
            subject: super::references::subject_id(row, 1)?,
            sealed: row.get(2)?,
            quality: row.get(3)?,
            source: row.get(4)?,
            created_ms: row.get(5)?,
        })
    })?;
    rows.collect()
}

pub(super) fn known(connection: &Connection, subject: &SubjectId) -> Result<(), Undone> {
    let sql = "SELECT count(*) FROM subjects WHERE id = ?1";
    let rows: i64 = connection.query_row(sql, [subject.as_str()], |row| row.get(0))?;
    touched(usize::try_from(rows).unwrap_or(0), subject)
}

fn touched(rows: usize, subject: &SubjectId) -> Result<(), Undone> {
    if rows > 0 {
        return Ok(());
    }
    Err(Error::NoSuchSubject { asked: subject.to_string() }.into())
}
