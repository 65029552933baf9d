//! A database from before names and references were sealed.
//!
//! In: its rows. Out: the same rows, sealed, in the tables of the step that follows. All within the
//! transaction of the migration: whatever breaks it off leaves the rows as they were. Afterwards the file
//! is rewritten, because SQLite leaves copies of moved rows in its pages; a mark in the database has that
//! done by the next program that opens it where this one does not come to it.

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{ReferenceRow, Vault};
use crate::compare::SubjectId;
use crate::store::Error;
use crate::store::people::Undone;

/// What version 9 has in plain.
#[derive(Debug)]
pub(in crate::store) struct Plain {
    subjects: Vec<Subject>,
    references: Vec<Reference>,
    /// The last number that a reference was given.
    sequence: Option<i64>,
}

#[derive(Debug)]
struct Subject {
    id: String,
    name: String,
    enabled: bool,
    created_ms: i64,
}

#[derive(Debug)]
struct Reference {
    id: i64,
    subject: String,
    model: String,
    vector: Vec<u8>,
    quality: f64,
    source: String,
    created_ms: i64,
    procedure: Option<String>,
}

impl Plain {
    /// Reads it all.
    pub(in crate::store) fn take(connection: &Connection) -> rusqlite::Result<Self> {
        let mut statement = connection
            .prepare("SELECT id, name, enabled, created_ms FROM subjects ORDER BY rowid")?;
        let subjects = statement.query_map([], |row| {
            Ok(Subject {
                id: row.get(0)?,
                name: row.get(1)?,
                enabled: row.get(2)?,
                created_ms: row.get(3)?,
            })
        })?;
        let subjects = subjects.collect::<rusqlite::Result<_>>()?;
        let mut statement = connection.prepare(
            "SELECT id, subject, model, vector, quality, source, created_ms, procedure
             FROM subject_references ORDER BY id",
        )?;
        let references = statement.query_map([], |row| {
            Ok(Reference {
                id: row.get(0)?,
                subject: row.get(1)?,
                model: row.get(2)?,
                vector: row.get(3)?,
                quality: row.get(4)?,
                source: row.get(5)?,
                created_ms: row.get(6)?,
                procedure: row.get(7)?,
            })
        })?;
        let references = references.collect::<rusqlite::Result<_>>()?;
        let sequence = connection
            .query_row(
                "SELECT seq FROM sqlite_sequence WHERE name = 'subject_references'",
                [],
                |row| row.get(0),
            )
            .optional()?;
        Ok(Self { subjects, references, sequence })
    }

    /// Writes it all, sealed, into tables that are empty.
    pub(in crate::store) fn seal(
        self,
        connection: &Connection,
        vault: &Vault,
    ) -> Result<(), Undone> {
        let Self { subjects, mut references, sequence } = self;
        if let Some(sequence) = sequence {
            connection.execute(
                "INSERT INTO sqlite_sequence (name, seq) VALUES ('subject_references', ?1)",
                [sequence],
            )?;
        }
        if !subjects.is_empty() {
            let store_key = vault.sealing(connection)?;
            for subject in &subjects {
                let id = SubjectId::new(&subject.id)
                    .map_err(|error| vault.unopened(&subject.id, &error.to_string()))?;
                let not_sealed = |error| vault.not_sealed(error);
                let (key, wrapped) = store_key.new_data_key(&id).map_err(not_sealed)?;
                let name = key.seal_name(&subject.id, &subject.name).map_err(not_sealed)?;
                connection
                    .prepare_cached(
                        "INSERT INTO subjects (id, data_key, name, enabled, created_ms)
                     VALUES (?1, ?2, ?3, ?4, ?5)",
                    )?
                    .execute(params![
                        subject.id,
                        wrapped,
                        name,
                        subject.enabled,
                        subject.created_ms
                    ])?;
                for reference in references.extract_if(.., |one| one.subject == subject.id) {
                    let sealed = key
                        .seal_numbers(&reference.row(), &reference.vector)
                        .map_err(not_sealed)?;
                    reference.insert(connection, &sealed)?;
                }
            }
        }
        if references.is_empty() {
            connection.execute("UPDATE store_key SET swept = 0", [])?;
            return Ok(());
        }
        let what = format!("{} references are of subjects that are gone", references.len());
        Err(Error::Corrupt { path: vault.database().to_owned(), what }.into())
    }
}

impl Reference {
    fn row(&self) -> ReferenceRow<'_> {
        ReferenceRow {
            id: self.id,
            subject: &self.subject,
            model: &self.model,
            procedure: self.procedure.as_deref(),
            quality: self.quality,
            source: &self.source,
            created_ms: self.created_ms,
        }
    }

    fn insert(&self, connection: &Connection, sealed: &[u8]) -> rusqlite::Result<()> {
        connection
            .prepare_cached(
                "INSERT INTO subject_references
                     (id, subject, model, vector, quality, source, created_ms, procedure)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)",
            )?
            .execute(params![
                self.id,
                self.subject,
                self.model,
                sealed,
                self.quality,
                self.source,
                self.created_ms,
                self.procedure
            ])?;
        Ok(())
    }
}
