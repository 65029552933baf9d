//! A database from before names and references were sealed, which holds them in plain.
//!
//! In: people and their references. Out: a file of schema version 9, as an older program left it. It is
//! made by the steps of that time, not by this program's code.
#![allow(dead_code, clippy::unwrap_used, reason = "each test takes what it needs")]

use std::path::Path;

use deepid_edge::store::{Store, StoreSettings};
use rusqlite::{Connection, params};

const STEPS: [&str; 9] = [
    include_str!("../../src/store/schema/step-1.sql"),
    include_str!("../../src/store/schema/step-2.sql"),
    include_str!("../../src/store/schema/step-3.sql"),
    include_str!("../../src/store/schema/step-4.sql"),
    include_str!("../../src/store/schema/step-5.sql"),
    include_str!("../../src/store/schema/step-6.sql"),
    include_str!("../../src/store/schema/step-7.sql"),
    include_str!("../../src/store/schema/step-8.sql"),
    include_str!("../../src/store/schema/step-9.sql"),
];

/// A reference in plain.
#[derive(Debug, Clone, PartialEq)]
pub struct Plain {
    pub subject: &'static str,
    pub model: &'static str,
    pub procedure: Option<String>,
    pub values: Vec<f32>,
    pub quality: f64,
}

impl Plain {
    /// Of an unknown file.
    pub fn of(subject: &'static str, model: &'static str, values: &[f32]) -> Self {
        Self { subject, model, procedure: None, values: values.to_vec(), quality: 1.0 }
    }

    pub fn bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|value| value.to_le_bytes()).collect()
    }
}

/// Makes it at `path`, with people as id and name.
pub fn write(path: &Path, people: &[(&str, &str)], references: &[Plain]) {
    let old = empty(path);
    for (at, (id, name)) in (1_i64..).zip(people) {
        let sql = "INSERT INTO subjects (id, name, created_ms) VALUES (?1, ?2, ?3)";
        old.execute(sql, params![id, name, at]).unwrap();
    }
    for reference in references {
        let Plain { subject, model, procedure, quality, .. } = reference;
        insert(&old, subject, model, procedure.as_deref(), &reference.bytes(), *quality);
    }
}

/// Turns the database at `path`, which nobody has open, into one as it is after the migration from a time
/// before the record of procedures: the same people with the same references, of an unknown file. Its
/// records are gone.
pub fn forget_procedures(path: &Path, key: &deepid_edge::inference::ModelKey) {
    let store = Store::open(path, StoreSettings::default()).unwrap();
    let (people, references) = (store.subjects().unwrap(), store.references(key).unwrap());
    drop(store);
    std::fs::remove_file(path).unwrap();
    let old = empty(path);
    for person in people {
        let sql = "INSERT INTO subjects (id, name, enabled, created_ms) VALUES (?1, ?2, ?3, ?4)";
        let id = person.id.as_str();
        old.execute(sql, params![id, person.name, person.enabled, person.created_ms]).unwrap();
    }
    for reference in references {
        let values = reference.vector.values();
        let bytes: Vec<u8> = values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let (subject, model) = (reference.subject.as_str(), key.id.as_str());
        insert(&old, subject, model, None, &bytes, f64::from(reference.quality));
    }
    drop(old);
    drop(Store::open(path, StoreSettings::default()).unwrap());
}

fn empty(path: &Path) -> Connection {
    let old = Connection::open(path).unwrap();
    old.execute_batch("PRAGMA journal_mode = WAL").unwrap();
    for step in STEPS {
        old.execute_batch(step).unwrap();
    }
    old.pragma_update(None, "application_id", 0x4450_4564).unwrap();
    old.pragma_update(None, "user_version", 9).unwrap();
    old
}

fn insert(
    old: &Connection,
    subject: &str,
    model: &str,
    procedure: Option<&str>,
    bytes: &[u8],
    quality: f64,
) {
    let sql = "INSERT INTO subject_references
             (subject, model, vector, quality, source, created_ms, procedure)
         VALUES (?1, ?2, ?3, ?4, 'image', 7, ?5)";
    old.execute(sql, params![subject, model, bytes, quality, procedure]).unwrap();
}

/// Whether `needle` stands in any file of `folder`.
pub fn on_disk(folder: &Path, needle: &[u8]) -> bool {
    std::fs::read_dir(folder).unwrap().any(|entry| {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        content.windows(needle.len()).any(|window| window == needle)
    })
}
