//! Subjects: who is enrolled.
//!
//! Rows → [`Subject`]; a name or an id → the subject. A name goes in and comes out for the person who
//! administers; everything else speaks of the [`SubjectId`]. What changes a subject is in
//! `administer`. Invariant: a removed id is never given again.

use rusqlite::{Connection, OptionalExtension, Row, TransactionBehavior};

use super::references::subject_id;
use super::{Error, Store, StoreKey, names};
use crate::compare::SubjectId;

/// An enrolled person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The pseudonym.
    pub id: SubjectId,
    /// The name, for the administrator's eyes only: never logged, never published. [`NAME_SEALED`]
    /// where it does not open.
    pub name: String,
    /// Whether the name could be opened.
    pub name_opens: bool,
    /// Whether the person may be granted anything.
    pub enabled: bool,
    /// When it was enrolled, milliseconds since 1970.
    pub created_ms: i64,
    /// How many references it has, of any model.
    pub references: u64,
}

/// Why a transaction was not carried out: nothing of it is in the database.
#[derive(Debug)]
pub(super) enum Undone {
    /// SQLite refused.
    Sqlite(rusqlite::Error),
    /// What was asked for cannot be.
    Refused(Error),
}

impl From<rusqlite::Error> for Undone {
    fn from(error: rusqlite::Error) -> Self {
        Self::Sqlite(error)
    }
}

impl From<Error> for Undone {
    fn from(error: Error) -> Self {
        Self::Refused(error)
    }
}

/// What stands for a name that does not open. Nobody may have it: see `names`.
pub const NAME_SEALED: &str = "(sealed)";

const SUBJECT: &str = "SELECT id, data_key, name, enabled, created_ms,
    (SELECT count(*) FROM subject_references r WHERE r.subject = s.id) FROM subjects s";

/// Attempts at a random id that nobody has before a longer one is tried.
const ID_ATTEMPTS: u32 = 8;

impl Store {
    /// Everybody, in the order of enrolment. Without the key, too: [`Self::sealed`] says whether it is
    /// there.
    ///
    /// # Errors
    /// What the database says.
    pub fn subjects(&self) -> Result<Vec<Subject>, Error> {
        let read = || {
            let mut statement =
                self.connection.prepare(&format!("{SUBJECT} ORDER BY created_ms, id"))?;
            statement.query_map([], StoredSubject::of)?.collect::<rusqlite::Result<Vec<_>>>()
        };
        let stored = read().map_err(|source| self.error(source))?;
        let key = if stored.is_empty() { None } else { self.vault.opening(&self.connection).ok() };
        Ok(stored.into_iter().map(|subject| subject.open(key.as_deref())).collect())
    }

    /// Why names and references cannot be opened, where somebody is enrolled and they cannot.
    #[must_use]
    pub fn sealed(&self) -> Option<Error> {
        let somebody = "SELECT EXISTS (SELECT 1 FROM subjects)";
        match self.connection.query_row(somebody, [], |row| row.get(0)) {
            Ok(true) => {
                self.vault.opening(&self.connection).err().map(|undone| self.refusal(undone))
            }
            Ok(false) => None,
            Err(source) => Some(self.error(source)),
        }
    }

    /// The one whose id or name is `asked`, whichever way the characters of the name are spelt.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], [`Error::AmbiguousName`], or what the database says.
    pub fn subject(&self, asked: &str) -> Result<Subject, Error> {
        let nobody = || Error::NoSuchSubject { asked: asked.to_owned() };
        let asked = asked.trim();
        let id = match SubjectId::new(asked) {
            Ok(id) => id,
            Err(_) => names::holder(&self.connection, &self.vault, asked)
                .map_err(|undone| self.refusal(undone))?
                .ok_or_else(nobody)?,
        };
        let stored = self
            .connection
            .query_row(&format!("{SUBJECT} WHERE id = ?1"), [id.as_str()], StoredSubject::of)
            .optional()
            .map_err(|source| self.error(source))?
            .ok_or_else(nobody)?;
        Ok(stored.open(self.vault.opening(&self.connection).ok().as_deref()))
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

    /// Why something was not done, as others are told.
    pub(super) fn refusal(&self, undone: Undone) -> Error {
        match undone {
            Undone::Sqlite(source) => self.error(source),
            Undone::Refused(error) => error,
        }
    }

    /// Runs `work` as one transaction: durable when this returns `Ok`, undone otherwise.
    pub(super) fn write<T>(
        &mut self,
        work: impl FnOnce(&Connection) -> Result<T, Undone>,
    ) -> Result<T, Error> {
        let (path, waited_ms) = (self.path.clone(), self.settings.busy_timeout_ms);
        let at = |source| Error::at(&path, waited_ms, source);
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at)?;
        let value = work(&transaction).map_err(|undone| match undone {
            Undone::Sqlite(source) => at(source),
            Undone::Refused(error) => error,
        })?;
        transaction.commit().map_err(at)?;
        Ok(value)
    }
}

/// A subject as it lies in its row.
struct StoredSubject {
    id: SubjectId,
    data_key: Vec<u8>,
    name: Vec<u8>,
    enabled: bool,
    created_ms: i64,
    references: u64,
}

impl StoredSubject {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: subject_id(row, 0)?,
            data_key: row.get(1)?,
            name: row.get(2)?,
            enabled: row.get(3)?,
            created_ms: row.get(4)?,
            references: unsigned(row, 5)?,
        })
    }

    fn open(self, key: Option<&StoreKey>) -> Subject {
        let id = self.id.as_str();
        let data_key = key.and_then(|key| key.unwrap(id, &self.data_key).ok());
        let name = data_key.and_then(|key| key.open_name(id, &self.name).ok());
        Subject {
            name_opens: name.is_some(),
            name: name.unwrap_or_else(|| NAME_SEALED.to_owned()),
            enabled: self.enabled,
            created_ms: self.created_ms,
            references: self.references,
            id: self.id,
        }
    }
}

/// A count of this schema, which is never negative.
pub(super) fn unsigned(row: &Row<'_>, column: usize) -> rusqlite::Result<u64> {
    row.get(column).map(i64::unsigned_abs)
}

/// A random id that neither an enrolled nor a removed subject has. Six digits are easy to read
/// aloud; should eight attempts all be taken, the next are longer.
pub(super) fn free_id(connection: &Connection) -> rusqlite::Result<SubjectId> {
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
