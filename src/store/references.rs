//! References: feature vectors of enrolled people, and the procedure that made each.
//!
//! Rows → [`Reference`], and counts of those that cannot be compared. Invariants: this is the one place
//! that opens references; one that does not open never comes out, and keeps no other from it; references
//! come out only for the model file and the procedure that was asked for ([`ModelKey`]); a reference of an
//! unknown file, which is one from before procedures were recorded, is counted and never comes out
//! until an administrator has vouched for it.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use rusqlite::types::Type;
use rusqlite::{Connection, Row};
use serde::{Deserialize, Serialize};

use super::people::unsigned;
use super::seal::{ADDED_BYTES, DataKey, DoesNotOpen, ReferenceRow};
use super::{Error, Store, StoreKey};
use crate::compare::SubjectId;
use crate::embed::FeatureVector;
use crate::inference::{ModelId, ModelKey, ProcedureHash};

/// One stored reference.
#[derive(Debug, Clone, PartialEq)]
pub struct Reference {
    /// Its row.
    pub id: i64,
    /// Whose.
    pub subject: SubjectId,
    /// Whether that subject is enabled.
    pub enabled: bool,
    /// The numbers, with the model and the procedure that made them.
    pub vector: FeatureVector,
    /// Weight of the picture it came from, 0 to 1.
    pub quality: f32,
}

/// A stored reference that is never compared, because it does not open or holds no usable numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnreadableReference {
    /// Its row.
    pub reference: i64,
    /// Whose, as stored.
    pub subject: String,
    /// The model, as stored.
    pub model: String,
    /// What is wrong with it.
    pub what: String,
}

/// What kind of source a reference came from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
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
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Camera => "camera",
            Self::Replay => "replay",
        }
    }
}

/// How many references one subject has of one procedure.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeldReferences {
    /// Whose.
    pub subject: SubjectId,
    /// The model as stored.
    pub model: String,
    /// How they were made; `None` for those of an unknown file.
    pub procedure: Option<ProcedureHash>,
    /// How many.
    pub references: u64,
}

/// How many references one procedure has made.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ModelReferences {
    /// The model, as stored.
    pub model: String,
    /// How they were made; absent for those of an unknown file.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub procedure: Option<ProcedureHash>,
    /// How many.
    pub references: u64,
}

/// What can be compared of all that is stored, and what cannot.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usable {
    /// References of the procedures in use.
    pub compared: u64,
    /// References of other models, or of the same model's other file, card or averaging.
    pub others: Vec<ModelReferences>,
    /// References of an unknown file, by model.
    pub unknown: Vec<ModelReferences>,
    /// Subjects with references, none of which the first procedure in use has made: they cannot be
    /// recognised.
    pub subjects_unreachable: u64,
}

impl Usable {
    /// Sorts `held` by whether a procedure of `in_use` made it. The first of `in_use` is the
    /// embedder's, which looks at every face.
    #[must_use]
    pub fn of(held: &[HeldReferences], in_use: &[&ModelKey]) -> Self {
        let made_by = |entry: &HeldReferences, key: &ModelKey| {
            entry.procedure == Some(key.procedure) && entry.model == key.id.as_str()
        };
        let (used, idle): (Vec<_>, Vec<_>) =
            held.iter().partition(|entry| in_use.iter().any(|key| made_by(entry, key)));
        let (others, unknown): (Vec<_>, Vec<_>) =
            idle.into_iter().partition(|entry| entry.procedure.is_some());
        let reachable: BTreeSet<&SubjectId> = held
            .iter()
            .filter(|entry| in_use.first().is_some_and(|key| made_by(entry, key)))
            .map(|entry| &entry.subject)
            .collect();
        let everybody: BTreeSet<&SubjectId> = held.iter().map(|entry| &entry.subject).collect();
        Self {
            compared: used.iter().map(|entry| entry.references).sum(),
            others: by_model(others),
            unknown: by_model(unknown),
            subjects_unreachable: (everybody.len() - reachable.len()) as u64,
        }
    }

    /// How many references are never compared, those of an unknown file included.
    #[must_use]
    pub fn never_compared(&self) -> u64 {
        self.others.iter().chain(&self.unknown).map(|entry| entry.references).sum()
    }

    /// How many references are of an unknown file.
    #[must_use]
    pub fn of_unknown_file(&self) -> u64 {
        self.unknown.iter().map(|entry| entry.references).sum()
    }
}

/// Adds up over subjects, in the order of model and procedure.
fn by_model<'a>(held: impl IntoIterator<Item = &'a HeldReferences>) -> Vec<ModelReferences> {
    let mut sums = std::collections::BTreeMap::new();
    for entry in held {
        *sums.entry((&entry.model, entry.procedure)).or_insert(0) += entry.references;
    }
    sums.into_iter()
        .map(|((model, procedure), references)| ModelReferences {
            model: model.clone(),
            procedure,
            references,
        })
        .collect()
}

impl Store {
    /// All references of `key` that open, in the order of enrolment. References of other models, of
    /// another file under the same id or of an unknown one never come out of here; [`Usable`] counts
    /// them. One that does not open never does, either; [`Self::unreadable_references`] names them.
    ///
    /// # Errors
    /// [`Error::Sealed`] when there are some and none can be opened. Or what the database says.
    pub fn references(&self, key: &ModelKey) -> Result<Vec<Reference>, Error> {
        let condition = "r.model = ?1 AND r.procedure = ?2";
        let opened = self.opened(condition, &[key.id.as_str(), &key.procedure.to_string()])?;
        Ok(opened.into_iter().filter_map(Opened::reference).collect())
    }

    /// References, of any model, that do not open or hold no numbers that can be compared.
    ///
    /// # Errors
    /// As [`Self::references`].
    pub fn unreadable_references(&self) -> Result<Vec<UnreadableReference>, Error> {
        Ok(self.every_reference()?.into_iter().filter_map(Opened::unreadable).collect())
    }

    /// Checks that every reference of `model`, by whatever procedure, can be read.
    ///
    /// # Errors
    /// As [`Self::references`], and [`Error::BadReference`] for the first that cannot.
    pub fn check_references(&self, model: &ModelId) -> Result<(), Error> {
        let opened = self.opened("r.model = ?1", &[model.as_str()])?;
        let Some(bad) = opened.into_iter().find_map(Opened::unreadable) else { return Ok(()) };
        let UnreadableReference { reference, subject, what, .. } = bad;
        Err(Error::BadReference { path: self.path.clone(), reference, subject, what })
    }

    pub(super) fn every_reference(&self) -> Result<Vec<Opened>, Error> {
        self.opened("true", &[])
    }

    /// Opens the references of a condition; of one procedure those count that have as many numbers as
    /// the first.
    fn opened(&self, condition: &str, values: &[&str]) -> Result<Vec<Opened>, Error> {
        let sql = format!(
            "SELECT r.id, r.subject, s.enabled, r.vector, r.quality, r.model, r.procedure, r.source,
                    r.created_ms, s.data_key
             FROM subject_references r JOIN subjects s ON s.id = r.subject
             WHERE {condition} ORDER BY r.id"
        );
        let mut statement = self.connection.prepare(&sql).map_err(|source| self.error(source))?;
        let rows = statement
            .query_map(rusqlite::params_from_iter(values), StoredReference::of)
            .map_err(|source| self.error(source))?;
        let mut keys: Option<DataKeys> = None;
        let mut lengths = HashMap::new();
        let mut opened = Vec::new();
        for row in rows {
            let stored = row.map_err(|source| self.error(source))?;
            let keys = if let Some(keys) = &mut keys {
                keys
            } else {
                let key = self.vault.opening(&self.connection);
                keys.insert(DataKeys::of(key.map_err(|undone| self.refusal(undone))?))
            };
            let procedure = (stored.model.clone(), stored.procedure.clone());
            let vector = stored.read(keys).and_then(|vector| {
                let found = vector.values().len();
                let wanted = *lengths.entry(procedure).or_insert(found);
                if found == wanted {
                    Ok(vector)
                } else {
                    Err(format!("{found} numbers, others have {wanted}"))
                }
            });
            opened.push(stored.opened(vector));
        }
        Ok(opened)
    }

    /// How many references each subject has of each procedure, in the order of the subjects' ids.
    ///
    /// # Errors
    /// What the database says.
    pub fn held(&self) -> Result<Vec<HeldReferences>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(
                "SELECT subject, model, procedure, count(*) FROM subject_references
                 GROUP BY subject, model, procedure ORDER BY subject, model, procedure",
            )?;
            statement.query_map([], held)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// How many references each procedure has made, in the order of the models' names.
    ///
    /// # Errors
    /// What the database says.
    pub fn references_by_model(&self) -> Result<Vec<ModelReferences>, Error> {
        Ok(by_model(&self.held()?))
    }
}

/// How many numbers the stored references of `key` have; `None` when there is none.
pub(super) fn stored_length(
    connection: &Connection,
    key: &ModelKey,
) -> rusqlite::Result<Option<usize>> {
    use rusqlite::OptionalExtension as _;
    let length: Option<i64> = connection
        .query_row(
            "SELECT length(vector) FROM subject_references
             WHERE model = ?1 AND procedure = ?2 LIMIT 1",
            [key.id.as_str(), &key.procedure.to_string()],
            |row| row.get(0),
        )
        .optional()?;
    Ok(length.map(|length| numbers_in(usize::try_from(length).unwrap_or(0))))
}

/// How many numbers so many sealed bytes are.
pub(super) const fn numbers_in(sealed_bytes: usize) -> usize {
    sealed_bytes.saturating_sub(ADDED_BYTES) / 4
}

fn held(row: &Row<'_>) -> rusqlite::Result<HeldReferences> {
    let procedure: Option<String> = row.get(2)?;
    Ok(HeldReferences {
        subject: subject_id(row, 0)?,
        model: row.get(1)?,
        procedure: procedure
            .map(|text| ProcedureHash::new(&text))
            .transpose()
            .map_err(|error| unreadable(2, error))?,
        references: unsigned(row, 3)?,
    })
}

/// The subject id in `column`.
pub(super) fn subject_id(row: &Row<'_>, column: usize) -> rusqlite::Result<SubjectId> {
    let id: String = row.get(column)?;
    SubjectId::new(&id).map_err(|error| unreadable(column, error))
}

fn unreadable(
    column: usize,
    error: impl std::error::Error + Send + Sync + 'static,
) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

/// A reference as it lies in its row.
struct StoredReference {
    id: i64,
    subject: String,
    enabled: bool,
    sealed: Vec<u8>,
    quality: f64,
    model: String,
    procedure: Option<String>,
    source: String,
    created_ms: i64,
    data_key: Vec<u8>,
}

/// A reference, opened or not.
#[derive(Debug)]
pub(super) struct Opened {
    pub id: i64,
    pub subject: String,
    enabled: bool,
    model: String,
    quality: f64,
    /// Its numbers, or why they cannot be read.
    pub vector: Result<FeatureVector, String>,
}

/// The data keys of subjects, each unwrapped once.
struct DataKeys {
    store_key: Arc<StoreKey>,
    known: HashMap<String, Result<DataKey, DoesNotOpen>>,
}

impl DataKeys {
    fn of(store_key: Arc<StoreKey>) -> Self {
        Self { store_key, known: HashMap::new() }
    }

    fn of_subject(&mut self, subject: &str, wrapped: &[u8]) -> Result<&DataKey, String> {
        let known = &mut self.known;
        let store_key = &self.store_key;
        known
            .entry(subject.to_owned())
            .or_insert_with(|| store_key.unwrap(subject, wrapped))
            .as_ref()
            .map_err(|error| format!("its subject's key: {error}"))
    }
}

impl StoredReference {
    fn of(row: &Row<'_>) -> rusqlite::Result<Self> {
        Ok(Self {
            id: row.get(0)?,
            subject: row.get(1)?,
            enabled: row.get(2)?,
            sealed: row.get(3)?,
            quality: row.get(4)?,
            model: row.get(5)?,
            procedure: row.get(6)?,
            source: row.get(7)?,
            created_ms: row.get(8)?,
            data_key: row.get(9)?,
        })
    }

    /// What its numbers are bound to.
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

    /// Opens it, or says what is wrong.
    fn read(&self, keys: &mut DataKeys) -> Result<FeatureVector, String> {
        let key = keys.of_subject(&self.subject, &self.data_key)?;
        let bytes =
            key.open_numbers(&self.row(), &self.sealed).map_err(|error| error.to_string())?;
        let (numbers, rest) = bytes.as_chunks::<4>();
        if !rest.is_empty() || numbers.is_empty() {
            return Err(format!("{} bytes are not a list of numbers", bytes.len()));
        }
        let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes)).collect();
        let id = ModelId::new(&self.model).map_err(|error| error.to_string())?;
        // An unknown file has no name by which it could be asked for.
        let nameless = || Ok(ProcedureHash::of_bytes([0; 32]));
        let procedure = self.procedure.as_deref().map_or_else(nameless, ProcedureHash::new);
        let procedure = procedure.map_err(|error| error.to_string())?;
        FeatureVector::new(ModelKey { id, procedure }, values).map_err(|error| error.to_string())
    }

    fn opened(self, vector: Result<FeatureVector, String>) -> Opened {
        let Self { id, subject, enabled, model, quality, .. } = self;
        Opened { id, subject, enabled, model, quality, vector }
    }
}

impl Opened {
    fn reference(self) -> Option<Reference> {
        Some(Reference {
            id: self.id,
            subject: SubjectId::new(&self.subject).ok()?,
            enabled: self.enabled,
            vector: self.vector.ok()?,
            quality: self.quality as f32,
        })
    }

    fn unreadable(self) -> Option<UnreadableReference> {
        let Self { id: reference, subject, model, vector, .. } = self;
        vector.err().map(|what| UnreadableReference { reference, subject, model, what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(id: &str, byte: u8) -> ModelKey {
        ModelKey { id: ModelId::new(id).unwrap(), procedure: ProcedureHash::of_bytes([byte; 32]) }
    }

    fn held(subject: &str, model: &str, byte: Option<u8>, references: u64) -> HeldReferences {
        HeldReferences {
            subject: SubjectId::new(subject).unwrap(),
            model: model.to_owned(),
            procedure: byte.map(|byte| ProcedureHash::of_bytes([byte; 32])),
            references,
        }
    }

    #[test]
    fn what_is_compared_and_what_is_not_is_counted_by_its_reason() {
        let held = [
            held("s-00000a", "first", Some(1), 3),
            held("s-00000a", "second", Some(2), 3),
            held("s-00000b", "first", Some(9), 4),
            held("s-00000b", "second", Some(2), 4),
            held("s-00000c", "first", None, 5),
            held("s-00000c", "old", Some(1), 1),
        ];
        let (first, second) = (key("first", 1), key("second", 2));
        let usable = Usable::of(&held, &[&first, &second]);
        assert_eq!(usable.compared, 10);
        let others: Vec<_> =
            usable.others.iter().map(|o| (o.model.as_str(), o.references)).collect();
        assert_eq!(others, [("first", 4), ("old", 1)], "another file, another model");
        assert_eq!((usable.of_unknown_file(), usable.never_compared()), (5, 10));
        assert_eq!(usable.subjects_unreachable, 2, "the confirming network recognises nobody");
        assert_eq!(Usable::of(&held, &[]).compared, 0);
    }
}
