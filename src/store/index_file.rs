//! The index of a large gallery, beside the database.
//!
//! In: its bytes. Out: the same bytes, or why there are none. Invariants: the file is sealed by the store
//! key, for one model and procedure; one that does not open, or is not there, is as good as none, and is
//! written anew. It holds no reference: which rows are near to each other, and a hash of each.
//! Deliberately absent: what the bytes mean, and whether they still fit the references.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::seal::StoreKey;
use super::{Error, Store};
use crate::durable;
use crate::inference::ModelKey;

/// What the file's name has behind the database's.
const SUFFIX: &str = ".index";

/// Where the index of one procedure's references lies. It needs no database any more.
#[derive(Debug)]
pub struct IndexFile {
    path: PathBuf,
    key: Arc<StoreKey>,
    of: String,
}

/// Why an index is not read, or not written.
#[derive(Debug, thiserror::Error)]
pub enum IndexProblem {
    /// The system refused.
    #[error("index {path}: {source}", path = path.display())]
    Io {
        /// Which file.
        path: PathBuf,
        /// What it said.
        source: std::io::Error,
    },
    /// It was altered, or belongs to other references or another key.
    #[error("index {path} does not open: it is of another model or store key, or was altered", path = path.display())]
    Sealed {
        /// Which file.
        path: PathBuf,
    },
    /// It could not be sealed.
    #[error("the index could not be sealed: {0}")]
    NotSealed(super::seal::NotSealed),
}

impl Store {
    /// Where the index of the references of `key` lies.
    ///
    /// # Errors
    /// The store key is not there.
    pub fn index_file(&self, key: &ModelKey) -> Result<IndexFile, Error> {
        let store_key =
            self.vault.opening(&self.connection).map_err(|undone| self.refusal(undone))?;
        let path = durable::beside(&self.path, SUFFIX).unwrap_or_else(|| self.path.join(SUFFIX));
        Ok(IndexFile { path, key: store_key, of: format!("{}/{}", key.id, key.procedure) })
    }
}

impl IndexFile {
    /// Its path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// What was written; `None` when nothing was.
    ///
    /// # Errors
    /// [`IndexProblem`]; the remedy is always to write it anew.
    pub fn read(&self) -> Result<Option<Vec<u8>>, IndexProblem> {
        let sealed = match std::fs::read(&self.path) {
            Ok(sealed) => sealed,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(IndexProblem::Io { path: self.path.clone(), source }),
        };
        let opened = self.key.open_index(&self.of, &sealed);
        opened.map(Some).map_err(|_| IndexProblem::Sealed { path: self.path.clone() })
    }

    /// Writes `bytes` in place of what was there.
    ///
    /// # Errors
    /// [`IndexProblem`]; what was there still is.
    pub fn write(&self, bytes: &[u8]) -> Result<(), IndexProblem> {
        let sealed = self.key.seal_index(&self.of, bytes).map_err(IndexProblem::NotSealed)?;
        durable::write(&self.path, &sealed)
            .map_err(|source| IndexProblem::Io { path: self.path.clone(), source })
    }
}
