//! What an administrator changes: each change and its audit record in one transaction.
//!
//! A [`Change`] and a [`Signature`] → the change and its record are on the disk, or neither is.
//! Invariants: there is no way to change a subject or a reference but this one, so nothing changes
//! without a record; a power cut leaves all of a change or nothing; removing a subject, or replacing
//! its references, erases the numbers from the file, and from the WAL as soon as nobody reads it.

use rusqlite::{Connection, params};
use uuid::Uuid;

use super::people::{Undone, free_id};
use super::references::stored_length;
use super::{Administrative, AuditRecord, Body, Error, ReferenceSource, Store, ledger, names};
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
}

impl Store {
    /// Makes a change and records it, in one transaction.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NameTaken`], [`Error::NoSuchSubject`], [`Error::WrongLength`],
    /// [`Error::WrongQuality`], or what the database says: nothing was changed then, and nothing
    /// recorded.
    pub fn administer(&mut self, change: Change<'_>, by: Signature<'_>) -> Result<Done, Error> {
        let keeping = self.keeping();
        let (applied, record) = self.write(|connection| {
            let applied = apply(connection, change, by.wall.unix_ms)?;
            let body = Body::Administrative(applied.event.clone());
            let record = ledger::append(connection, &keeping, body, by)?;
            Ok((applied, record))
        })?;
        let Applied { subject, references, erased, .. } = applied;
        let left_in_log = if erased { self.cut_log().err() } else { None };
        Ok(Done { subject, references, record, left_in_log })
    }

    /// Pours the WAL into the file and cuts it to nothing.
    fn cut_log(&self) -> Result<(), Error> {
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

fn apply(connection: &Connection, change: Change<'_>, now_ms: i64) -> Result<Applied, Undone> {
    let of = |subject: &SubjectId, event: Administrative| Applied {
        subject: Some(subject.clone()),
        references: 0,
        event,
        erased: false,
    };
    match change {
        Change::Enrol { who, references, source, model } => {
            enrol(connection, who, references, source, model, now_ms)
        }
        Change::Rename { subject, name } => {
            let name = names::check(name)?;
            match names::holder(connection, &name)? {
                Some(by) if by != *subject => return Err(Error::NameTaken { by }.into()),
                _ => {}
            }
            let sql = "UPDATE subjects SET name = ?2 WHERE id = ?1";
            touched(connection.execute(sql, params![subject.as_str(), name])?, subject)?;
            Ok(of(subject, Administrative::SubjectRenamed { subject: subject.clone() }))
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
            let references = erase_references(connection, subject)?;
            let sql = "DELETE FROM subjects WHERE id = ?1";
            touched(connection.execute(sql, [subject.as_str()])?, subject)?;
            let sql = "INSERT INTO retired_subjects (id) VALUES (?1)";
            connection.execute(sql, [subject.as_str()])?;
            let event = Administrative::SubjectRemoved { subject: subject.clone() };
            Ok(Applied { references, erased: true, ..of(subject, event) })
        }
        Change::Adopt { key, length } => adopt(connection, key, length),
    }
}

fn enrol(
    connection: &Connection,
    who: Enrolee<'_>,
    references: &[NewReference<'_>],
    source: ReferenceSource,
    model: &ModelId,
    now_ms: i64,
) -> Result<Applied, Undone> {
    let (subject, replaced) = match who {
        Enrolee::New(name) => (add_subject(connection, name, now_ms)?, None),
        Enrolee::Also(subject) => (subject.clone(), None),
        Enrolee::Instead(subject) => {
            (subject.clone(), Some(erase_references(connection, subject)?))
        }
    };
    known(connection, &subject)?;
    for reference in references {
        add_reference(connection, &subject, reference, source, now_ms)?;
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
    })
}

fn add_subject(connection: &Connection, name: &str, now_ms: i64) -> Result<SubjectId, Undone> {
    let name = names::check(name)?;
    if let Some(by) = names::holder(connection, &name)? {
        return Err(Error::NameTaken { by }.into());
    }
    let id = free_id(connection)?;
    connection.execute(
        "INSERT INTO subjects (id, name, enabled, created_ms) VALUES (?1, ?2, 1, ?3)",
        params![id.as_str(), name, now_ms],
    )?;
    Ok(id)
}

fn add_reference(
    connection: &Connection,
    subject: &SubjectId,
    reference: &NewReference<'_>,
    source: ReferenceSource,
    now_ms: i64,
) -> Result<(), Undone> {
    let NewReference { vector, quality } = *reference;
    if !(0.0..=1.0).contains(&quality) {
        return Err(Error::WrongQuality { subject: subject.clone(), found: quality }.into());
    }
    let key = vector.key();
    let found = vector.values().len();
    let wanted = stored_length(connection, key)?.unwrap_or(found.max(1));
    if wanted != found {
        let (subject, model) = (subject.clone(), key.id.clone());
        return Err(Error::WrongLength { subject, model, found, wanted }.into());
    }
    let blob: Vec<u8> = vector.values().iter().flat_map(|v| v.to_le_bytes()).collect();
    connection
        .prepare_cached(
            "INSERT INTO subject_references
                 (subject, model, vector, quality, source, created_ms, procedure)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        )?
        .execute(params![
            subject.as_str(),
            key.id.as_str(),
            blob,
            f64::from(quality),
            source.as_str(),
            now_ms,
            key.procedure.to_string()
        ])?;
    Ok(())
}

fn erase_references(connection: &Connection, subject: &SubjectId) -> rusqlite::Result<u64> {
    let sql = "DELETE FROM subject_references WHERE subject = ?1";
    Ok(connection.execute(sql, [subject.as_str()])? as u64)
}

/// Gives every reference of an unknown file of this model the procedure.
fn adopt(connection: &Connection, key: &ModelKey, length: usize) -> Result<Applied, Undone> {
    let mut statement = connection.prepare(
        "SELECT subject, length(vector) / 4 FROM subject_references
         WHERE model = ?1 AND procedure IS NULL AND length(vector) <> 4 * ?2 LIMIT 1",
    )?;
    let wanted = i64::try_from(length).unwrap_or(i64::MAX);
    let mut rows = statement.query(params![key.id.as_str(), wanted])?;
    if let Some(row) = rows.next()? {
        let subject = super::references::subject_id(row, 0)?;
        let found: i64 = row.get(1)?;
        return Err(Error::WrongLength {
            subject,
            model: key.id.clone(),
            found: usize::try_from(found).unwrap_or(0),
            wanted: length,
        }
        .into());
    }
    let references = connection.execute(
        "UPDATE subject_references SET procedure = ?2 WHERE model = ?1 AND procedure IS NULL",
        params![key.id.as_str(), key.procedure.to_string()],
    )?;
    let event = Administrative::ReferencesAdopted {
        model: key.id.clone(),
        procedure: key.procedure,
        references: references as u64,
    };
    Ok(Applied { subject: None, references: references as u64, event, erased: false })
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
