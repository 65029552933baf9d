//! A database of its own for each test, and small values to put into it.

use std::path::{Path, PathBuf};

use deepid_edge::clock::{ClockTrust, WallClock};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::ModelId;
use deepid_edge::store::{Store, StoreSettings};

use super::people::key;

pub fn wall(unix_ms: i64) -> WallClock {
    WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: false }
}

pub fn model(name: &str) -> ModelId {
    ModelId::new(name).unwrap()
}

pub fn vector(model: &str, values: &[f32]) -> FeatureVector {
    FeatureVector::new(key(model), values.to_vec()).unwrap()
}

/// A folder, which goes with the value, and where the database lies in it.
pub fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deepid-edge.db");
    (directory, path)
}

pub fn open(path: &Path) -> Store {
    Store::open(path, StoreSettings::default()).unwrap()
}
