//! Subjects and their references.
//!
//! Names and feature vectors → rows, and back as [`Subject`] and [`Reference`]. A name goes in and
//! comes out for the person who administers; everything else speaks of the [`SubjectId`].
//! Invariants: references come out only for the model that was asked for; removing a subject
//! erases its numbers from the file and from the WAL; a removed id is never given again.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior, params};

use super::backup::ModelReferences;
use super::{Error, Store};
use crate::clock::WallClock;
use crate::compare::SubjectId;
use crate::embed::FeatureVector;
use crate::inference::ModelId;

/// An enrolled person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The pseudonym.
    pub id: SubjectId,
    /// The name, for the administrator's eyes only: never logged, never published.
    pub name: String,
    /// Whether the person may be granted anything.
    pub enabled: bool,
    /// When it was enrolled, milliseconds since 1970.
    pub created_ms: i64,
    /// How many references it has, of any model.
    pub references: u64,
}

/// One stored reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its row.
    pub id: i64,
    /// Whose.
    pub subject: SubjectId,
    /// Whether that subject is enabled.
    pub enabled: bool,
    /// The numbers and the model that made them.
    pub vector: FeatureVector,
    /// Weight of the picture it came from, 0 to 1.
    pub quality: f32,
}

/// What kind of source a reference came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ReferenceSource {
    /// A picture file.
    Image,
    /// The camera.
    Camera,
    /// A recording.
    Replay,
}

impl ReferenceSource {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Camera => "camera",
            Self::Replay => "replay",
        }
    }
}

/// References that a model other than the running one has made: they are kept, and never compared.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OtherModel {
    /// The model as stored.
    pub model: String,
    /// How many references it made.
    pub references: u64,
    /// How many subjects have no reference of the running model and so cannot be recognised.
    pub subjects_unreachable: u64,
}

/// Attempts at a random id that nobody has before a longer one is tried.
const ID_ATTEMPTS: u32 = 8;

impl Store {
    /// Enrols a person under `name` and gives the pseudonym.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NameTaken`], or what the database says.
    pub fn add_subject(&mut self, name: &str, wall: WallClock) -> Result<SubjectId, Error> {
        let name = check_name(name)?;
        self.write(|connection| {
            if let Some(by) = holder(connection, name)? {
                return Ok(Err(Error::NameTaken { by }));
            }
            let id = free_id(connection)?;
            connection.execute(
                "INSERT INTO subjects (id, name, enabled, created_ms) VALUES (?1, ?2, 1, ?3)",
                params![id.as_str(), name, wall.unix_ms],
            )?;
            Ok(Ok(id))
        })
    }

    /// Everybody, in the order of enrolment.
    ///
    /// # Errors
    /// What the database says.
    pub fn subjects(&self) -> Result<Vec<Subject>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT id, name, enabled, created_ms,
                        (SELECT count(*) FROM subject_references r WHERE r.subject = s.id)
                 FROM subjects s ORDER BY created_ms, id",
            )?;
            statement.query_map([], subject)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// The one whose id or name is `asked`.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], or what the database says.
    pub fn subject(&self, asked: &str) -> Result<Subject, Error> {
        self.connection
            .query_row(
                "SELECT id, name, enabled, created_ms,
                        (SELECT count(*) FROM subject_references r WHERE r.subject = s.id)
                 FROM subjects s WHERE id = ?1 OR name = ?1",
                [asked.trim()],
                subject,
            )
            .optional()
            .map_err(|source| self.error(source))?
            .ok_or_else(|| Error::NoSuchSubject { asked: asked.to_owned() })
    }

    /// Gives a subject another name.
    ///
    /// # Errors
    /// [`Error::BadName`], [`Error::NameTaken`], [`Error::NoSuchSubject`], or what the database
    /// says.
    pub fn rename_subject(&mut self, id: &SubjectId, name: &str) -> Result<(), Error> {
        let name = check_name(name)?;
        self.write(|connection| {
            match holder(connection, name)? {
                Some(by) if by != *id => return Ok(Err(Error::NameTaken { by })),
                _ => {}
            }
            let rows = connection.execute(
                "UPDATE subjects SET name = ?2 WHERE id = ?1",
                params![id.as_str(), name],
            )?;
            Ok(touched(rows, id))
        })
    }

    /// Enables or disables a subject. A disabled one is recognised and denied.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], or what the database says.
    pub fn enable_subject(&mut self, id: &SubjectId, enabled: bool) -> Result<(), Error> {
        self.write(|connection| {
            let rows = connection.execute(
                "UPDATE subjects SET enabled = ?2 WHERE id = ?1",
                params![id.as_str(), enabled],
            )?;
            Ok(touched(rows, id))
        })
    }

    /// Removes a subject; its name and references are overwritten on the disk, and its id is never
    /// given again, because audit records may still speak of it.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], or what the database says. [`Error::Busy`] after the removal means
    /// that a reader kept the WAL from being cut; the rows are gone, and the next removal or
    /// restart cuts it.
    pub fn remove_subject(&mut self, id: &SubjectId) -> Result<(), Error> {
        self.write(|connection| {
            let rows = connection.execute("DELETE FROM subjects WHERE id = ?1", [id.as_str()])?;
            if rows > 0 {
                connection
                    .execute("INSERT INTO retired_subjects (id) VALUES (?1)", [id.as_str()])?;
            }
            Ok(touched(rows, id))
        })?;
        let blocked: i64 = self
            .connection
            .query_row("PRAGMA wal_checkpoint(TRUNCATE)", [], |row| row.get(0))
            .map_err(|source| self.error(source))?;
        if blocked == 0 {
            return Ok(());
        }
        Err(Error::Busy { path: self.path.clone(), waited_ms: self.settings.busy_timeout_ms })
    }

    /// Adds a reference to a subject; `quality` is the weight of its picture, 0 to 1.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], [`Error::WrongLength`] when the model's other references have
    /// another length, [`Error::WrongQuality`], or what the database says.
    pub fn add_reference(
        &mut self,
        subject: &SubjectId,
        vector: &FeatureVector,
        quality: f32,
        source: ReferenceSource,
        wall: WallClock,
    ) -> Result<i64, Error> {
        if !(0.0..=1.0).contains(&quality) {
            return Err(Error::WrongQuality { subject: subject.clone(), found: quality });
        }
        let blob: Vec<u8> = vector.values().iter().flat_map(|v| v.to_le_bytes()).collect();
        let (model, found) = (vector.model().clone(), vector.values().len());
        self.write(|connection| {
            let stored: Option<i64> = connection
                .query_row(
                    "SELECT length(vector) / 4 FROM subject_references WHERE model = ?1 LIMIT 1",
                    [model.as_str()],
                    |row| row.get(0),
                )
                .optional()?;
            let wanted = stored.and_then(|n| usize::try_from(n).ok()).unwrap_or(found.max(1));
            if wanted != found {
                let subject = subject.clone();
                return Ok(Err(Error::WrongLength { subject, model, found, wanted }));
            }
            let known: bool = connection.query_row(
                "SELECT EXISTS (SELECT 1 FROM subjects WHERE id = ?1)",
                [subject.as_str()],
                |row| row.get(0),
            )?;
            if !known {
                return Ok(touched(0, subject).map(|()| 0));
            }
            connection.execute(
                "INSERT INTO subject_references (subject, model, vector, quality, source, created_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                params![
                    subject.as_str(),
                    model.as_str(),
                    blob,
                    f64::from(quality),
                    source.as_str(),
                    wall.unix_ms
                ],
            )?;
            Ok(Ok(connection.last_insert_rowid()))
        })
    }

    /// All references that `model` made, in the order of enrolment. References of other models
    /// never come out of here; [`Store::other_models`] counts them.
    ///
    /// # Errors
    /// [`Error::BadReference`] when a row cannot be a reference: a gallery with a doubt in it is no
    /// gallery. Or what the database says.
    pub fn references(&self, model: &ModelId) -> Result<Vec<Reference>, Error> {
        let mut statement = self
            .connection
            .prepare(
                "SELECT r.id, r.subject, s.enabled, r.vector, r.quality
                 FROM subject_references r JOIN subjects s ON s.id = r.subject
                 WHERE r.model = ?1 ORDER BY r.id",
            )
            .map_err(|source| self.error(source))?;
        let rows = statement
            .query_map([model.as_str()], |row| {
                Ok(StoredReference {
                    id: row.get(0)?,
                    subject: row.get(1)?,
                    enabled: row.get(2)?,
                    blob: row.get(3)?,
                    quality: row.get(4)?,
                })
            })
            .map_err(|source| self.error(source))?;
        let mut references: Vec<Reference> = Vec::new();
        for row in rows {
            let stored = row.map_err(|source| self.error(source))?;
            let length = references.first().map(|first| first.vector.values().len());
            let (reference, subject) = (stored.id, stored.subject.clone());
            let read = stored.read(model, length).map_err(|what| Error::BadReference {
                path: self.path.clone(),
                reference,
                subject,
                what,
            })?;
            references.push(read);
        }
        Ok(references)
    }

    /// References of models other than `model`: which, how many, and how many subjects have only
    /// such.
    ///
    /// # Errors
    /// What the database says.
    pub fn other_models(&self, model: &ModelId) -> Result<Vec<OtherModel>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT model, count(*), count(DISTINCT subject) FILTER (WHERE subject NOT IN
                        (SELECT subject FROM subject_references WHERE model = ?1))
                 FROM subject_references WHERE model <> ?1 GROUP BY model ORDER BY model",
            )?;
            statement
                .query_map([model.as_str()], |row| {
                    Ok(OtherModel {
                        model: row.get(0)?,
                        references: unsigned(row, 1)?,
                        subjects_unreachable: unsigned(row, 2)?,
                    })
                })?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// How many references each model has made, in the order of the models' names.
    ///
    /// # Errors
    /// What the database says.
    pub fn references_by_model(&self) -> Result<Vec<ModelReferences>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT model, count(*) FROM subject_references GROUP BY model ORDER BY model",
            )?;
            statement
                .query_map([], |row| {
                    Ok(ModelReferences { model: row.get(0)?, references: unsigned(row, 1)? })
                })?
                .collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// Whether a subject of this id was here and was removed.
    ///
    /// # Errors
    /// What the database says.
    pub fn has_retired(&self, id: &SubjectId) -> Result<bool, Error> {
        self.connection
            .query_row(
                "SELECT EXISTS (SELECT 1 FROM retired_subjects WHERE id = ?1)",
                [id.as_str()],
                |row| row.get(0),
            )
            .map_err(|source| self.error(source))
    }

    /// A number that changes when another connection (the command line beside the daemon) has
    /// changed the database: time to load the gallery again.
    ///
    /// # Errors
    /// What the database says.
    pub fn data_version(&self) -> Result<i64, Error> {
        self.connection
            .pragma_query_value(None, "data_version", |row| row.get(0))
            .map_err(|source| self.error(source))
    }

    /// Runs `work` as one transaction: durable when this returns `Ok`, undone otherwise.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> rusqlite::Result<Result<T, Error>>,
    ) -> Result<T, Error> {
        let (path, waited_ms) = (self.path.clone(), self.settings.busy_timeout_ms);
        let at = |source| Error::at(&path, waited_ms, source);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at)?;
        let value = work(&transaction).map_err(at)??;
        transaction.commit().map_err(at)?;
        Ok(value)
    }
}

/// A reference as it lies in its row.
struct StoredReference {
    id: i64,
    subject: String,
    enabled: bool,
    blob: Vec<u8>,
    quality: f64,
}

impl StoredReference {
    /// Reads it, or says what is wrong; `length` is how many numbers its predecessors have.
    fn read(self, model: &ModelId, length: Option<usize>) -> Result<Reference, String> {
        let (numbers, rest) = self.blob.as_chunks::<4>();
        if !rest.is_empty() || numbers.is_empty() {
            return Err(format!("{} bytes are not a list of numbers", self.blob.len()));
        }
        if let Some(wanted) = length.filter(|wanted| *wanted != numbers.len()) {
            return Err(format!("{} numbers, others have {wanted}", numbers.len()));
        }
        let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        Ok(Reference {
            id: self.id,
            subject: SubjectId::new(&self.subject).map_err(|error| error.to_string())?,
            enabled: self.enabled,
            vector: FeatureVector::new(model.clone(), values).map_err(|error| error.to_string())?,
            quality: self.quality as f32,
        })
    }
}

fn subject(row: &Row<'_>) -> rusqlite::Result<Subject> {
    let id: String = row.get(0)?;
    Ok(Subject {
        id: SubjectId::new(&id).map_err(|error| {
            rusqlite::Error::FromSqlConversionFailure(
                0,
                rusqlite::types::Type::Text,
                Box::new(error),
            )
        })?,
        name: row.get(1)?,
        enabled: row.get(2)?,
        created_ms: row.get(3)?,
        references: unsigned(row, 4)?,
    })
}

/// A count of this schema, which is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}

fn touched(rows: usize, id: &SubjectId) -> Result<(), Error> {
    if rows > 0 { Ok(()) } else { Err(Error::NoSuchSubject { asked: id.to_string() }) }
}

fn holder(connection: &Connection, name: &str) -> rusqlite::Result<Option<SubjectId>> {
    let id: Option<String> = connection
        .query_row("SELECT id FROM subjects WHERE name = ?1", [name], |row| row.get(0))
        .optional()?;
    Ok(id.and_then(|id| SubjectId::new(&id).ok()))
}

/// A random id that neither an enrolled nor a removed subject has. Six digits are easy to read
/// aloud; should eight attempts all be taken, the next are longer.
fn free_id(connection: &Connection) -> rusqlite::Result<SubjectId> {
    let mut attempt = 0;
    loop {
        let digits = if attempt < ID_ATTEMPTS { 6 } else { 12 };
        // The first twelve digits of a version 4 UUID are all random.
        let random = uuid::Uuid::new_v4().simple().to_string();
        let id = format!("s-{}", random.chars().take(digits).collect::<String>());
        let taken: bool = connection.query_row(
            "SELECT EXISTS (SELECT 1 FROM subjects WHERE id = ?1)
                 OR EXISTS (SELECT 1 FROM retired_subjects WHERE id = ?1)",
            [&id],
            |row| row.get(0),
        )?;
        attempt += 1;
        if let (false, Ok(id)) = (taken, SubjectId::new(&id)) {
            return Ok(id);
        }
    }
}

/// A name that can be shown in one line and never be taken for an id.
fn check_name(name: &str) -> Result<&str, Error> {
    let name = name.trim();
    let what = if name.is_empty() {
        "it is empty"
    } else if name.chars().count() > 64 {
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
