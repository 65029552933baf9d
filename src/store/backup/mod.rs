//! A backup: database and configuration file of a door in one encrypted file.
//!
//! ```text
//! age, by passphrase ── tar ─┬ manifest.json    what it is, of which door, what is in it
//!                            ├ config.toml      where the door had a file
//!                            ├ store.key        by which names and references in it are sealed
//!                            └ deepid-edge.db   a compact, consistent copy
//! ```
//!
//! In: an open [`Store`] and a passphrase → a file; a file and a passphrase → [`Received`], which
//! replaces a gallery only by [`Received::place`]. The outer formats are the world's own, so that a
//! backup can be opened without this program: `age -d FILE | tar x`.
//!
//! Invariants: a byte that was changed or cut off is noticed before anything is replaced, because
//! every byte is authenticated; memory does not grow with the file; an unencrypted copy of the
//! gallery lies only beside the gallery, readable by its owner, and only while it is made or
//! checked; its names and references are sealed by a key of the backup's own. Deliberately absent: broker
//! passwords, private keys, and the board's store key. They belong to one board, and are given anew to
//! the next one, so that a lost board can be shut out at the broker.
//!
//! Sources: the age format, version 1 (c2sp.org/age); POSIX ustar.

mod archive;
mod problem;
mod receive;
mod seal;
mod workfile;

use std::fs::File;
use std::io::{BufWriter, Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::OpenFlags;
use serde::{Deserialize, Serialize};

use super::{Error, ModelReferences, Store, StoreKey, schema};
use crate::durable;
use crate::sign::PlaceKind;
pub use problem::BackupProblem;
pub use receive::{Held, NewConfig, Placed, Received};
pub use seal::{Passphrase, WORK_FACTOR};
use workfile::Workfile;

/// The largest database that is taken in or given out, in bytes: a backup fits a file system whose
/// files end at 4 GiB, which is what USB sticks come with.
pub const DATABASE_BYTES_MAX: u64 = 4_000_000_000;
/// The largest configuration file; the same bound under which `config` reads one.
pub const CONFIG_BYTES_MAX: u64 = 256 * 1024;

const FORMAT: &str = "deepid-edge/backup";
/// The version of the content that this program writes, and the newest that it reads. Within a
/// version, fields of the manifest are only ever added.
const FORMAT_VERSION: u32 = 1;

/// What a backup says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// What this is: always the same text.
    format: String,
    /// Of which version.
    version: u32,
    /// The version of deepid-edge that made it.
    pub software: String,
    /// When, by the wall clock, RFC 3339.
    pub made: String,
    /// Which door.
    pub door: String,
    /// The gallery and the audit.
    pub database: DatabaseFacts,
    /// Where the configuration file lay, if the door had one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub config: Option<PathBuf>,
}

/// What a backup says of its database.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DatabaseFacts {
    /// Its schema's version.
    pub schema: i64,
    /// Its length in bytes.
    pub bytes: u64,
    /// How many people are enrolled.
    pub subjects: u64,
    /// How many references each procedure has made.
    pub references: Vec<ModelReferences>,
}

/// The configuration file that goes into a backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigFile {
    /// Where it lay.
    pub path: PathBuf,
    /// What it says.
    pub text: String,
}

/// Which door is backed up, when, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Occasion {
    /// The version of this program.
    pub software: String,
    /// The wall clock, RFC 3339.
    pub made: String,
    /// The door's id.
    pub door: String,
    /// Its configuration file, if it has one.
    pub config: Option<ConfigFile>,
}

/// Bytes done, of how many.
pub type Progress<'a> = &'a mut dyn FnMut(u64, u64);

impl Store {
    /// Writes a backup to the new file `to`, readable by its owner alone. Others may go on writing
    /// to the database; the copy is of one moment. A damaged database is found now, not when the
    /// backup is needed.
    ///
    /// # Errors
    /// [`Error::Backup`], or what the database says. `to` is there whole, or not at all.
    pub fn back_up(
        &self,
        occasion: Occasion,
        passphrase: &Passphrase,
        work_factor: u8,
        to: &Path,
        progress: Progress<'_>,
    ) -> Result<Manifest, Error> {
        let failed = |problem: BackupProblem| problem.at(to);
        if to.symlink_metadata().is_ok() {
            return Err(failed(BackupProblem::Exists));
        }
        // Tried first: nobody wants to hear of a wrong path after the whole gallery was copied.
        let mut work = Workfile::claim(to, ".partial")?;
        self.check_pages()?;
        let key =
            StoreKey::generate().map_err(|error| self.refusal(self.vault.not_sealed(error)))?;
        let (copy, manifest, config) = self.gather(occasion, &key)?;
        let out = BufWriter::new(&mut work);
        let sealed = Sealed { key: &key, database: copy };
        write(&manifest, config.as_deref(), sealed, passphrase, work_factor, out, progress)
            .map_err(|error| failed(BackupProblem::io("could not be written", &error)))?;
        work.keep_as(to)
            .and_then(|()| durable::sync_folder_of(to))
            .map_err(|error| failed(BackupProblem::io("could not be finished", &error)))?;
        Ok(manifest)
    }

    /// The copy, what is to be said of it, and the configuration's text.
    fn gather(
        &self,
        occasion: Occasion,
        key: &StoreKey,
    ) -> Result<(File, Manifest, Option<String>), Error> {
        let copy = self.copy(key)?;
        let bytes = copy.metadata().map_err(|error| self.unreadable_copy(&error))?.len();
        if bytes > DATABASE_BYTES_MAX {
            let problem = BackupProblem::TooLarge {
                what: "the database",
                found: bytes,
                max: DATABASE_BYTES_MAX,
                remedy: "lower store.records_max: the audit is most of it",
            };
            return Err(problem.at(&self.path));
        }
        let (config, text) = occasion.config.map(|config| (config.path, config.text)).unzip();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            software: occasion.software,
            made: occasion.made,
            door: occasion.door,
            database: DatabaseFacts {
                schema: schema::VERSION,
                bytes,
                subjects: self.subjects()?.len() as u64,
                references: self.references_by_model()?,
            },
            config,
        };
        Ok((copy, manifest, text))
    }

    /// A copy of this moment without free pages, sealed by `key`, open and already without a name.
    fn copy(&self, key: &StoreKey) -> Result<File, Error> {
        // Beside the database: its medium and its folder's owner see these numbers anyway.
        let work = Workfile::claim(&self.path, ".copy")?;
        let path = work.path().to_str().ok_or_else(|| Error::CannotOpen {
            path: self.path.clone(),
            what: "its path is not UTF-8".to_owned(),
        })?;
        self.connection.execute("VACUUM INTO ?1", [path]).map_err(|source| self.error(source))?;
        self.seal_copy(work.path(), key)?;
        work.into_nameless().map_err(|error| self.unreadable_copy(&error))
    }

    fn seal_copy(&self, path: &Path, key: &StoreKey) -> Result<(), Error> {
        let mut copy =
            Self::connect(path, self.settings.clone(), OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        copy.vault = Arc::clone(&self.vault);
        // What is lost of it when the power fails is no loss.
        copy.connection
            .execute_batch("PRAGMA synchronous = OFF; PRAGMA secure_delete = ON;")
            .map_err(|source| copy.error(source))?;
        copy.seal_anew(key, PlaceKind::File)
    }

    fn unreadable_copy(&self, error: &std::io::Error) -> Error {
        BackupProblem::io("its copy cannot be read", error).at(&self.path)
    }
}

/// A database and what it is sealed by.
struct Sealed<'a> {
    key: &'a StoreKey,
    database: File,
}

fn write(
    manifest: &Manifest,
    config: Option<&str>,
    copy: Sealed<'_>,
    passphrase: &Passphrase,
    work_factor: u8,
    out: impl Write,
    progress: Progress<'_>,
) -> std::io::Result<()> {
    let sealed = seal::seal(out, passphrase, work_factor)?;
    archive::write(sealed, manifest, config, Some(copy.key), copy.database, progress)?
        .finish()?
        .flush()
}

/// Reads what lies inside the encryption, as `age -d` gives it; its database goes into `out`.
///
/// # Errors
/// What is wrong with it.
pub fn look_into(plain: impl Read, out: impl Write) -> Result<Manifest, BackupProblem> {
    let place = |_: &Manifest, _: Option<&str>| Ok::<_, BackupProblem>(out);
    archive::read(plain, place, &mut |_, _| ())?.map(|(manifest, ..)| manifest)
}
