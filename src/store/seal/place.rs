//! The file that holds the store key, or the service manager's credential in its place.
//!
//! In: a path, the owner of the database, and the name of the key that the database has recorded. Out:
//! the key, or [`SealTrouble`] with its remedy. Invariants: a key is made only where none was recorded
//! and no file is; what is there is never written over but by a rotation, which writes the new key beside,
//! is recorded, and only then takes its place. Deliberately absent: the database.

use std::borrow::Cow;
use std::io;
use std::os::unix::fs::{MetadataExt as _, chown};
use std::path::{Path, PathBuf};

use super::{NotSealed, SealName, StoreKey};
use crate::durable;
use crate::remedy::Remedied;
use crate::sign::PlaceKind;
use crate::sign::guarded::{self, Fault};

/// What the credential is called in the service manager's folder, and the file beside a database.
pub const SEAL_CREDENTIAL: &str = "store.key";

/// Where the store key lies.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealPlace {
    /// The file.
    pub path: PathBuf,
    /// What kind of file.
    pub kind: PlaceKind,
}

/// Why names and references cannot be opened or sealed.
#[derive(Debug, thiserror::Error)]
pub enum SealTrouble {
    /// The file is gone.
    #[error(
        "store key {path}: it is not there, and names and references are sealed by it ({recorded})"
    )]
    Missing {
        /// Where.
        path: PathBuf,
        /// The key that the database has recorded.
        recorded: SealName,
        /// Whether it was a credential of the service when it was last used.
        credential: bool,
    },
    /// There is another key.
    #[error(
        "store key {path}: it holds another key ({found}) than names and references are sealed by ({recorded})"
    )]
    Other {
        /// Where.
        path: PathBuf,
        /// The key in the file.
        found: SealName,
        /// The key that the database has recorded.
        recorded: SealName,
        /// Whether it was a credential of the service when it was last used.
        credential: bool,
    },
    /// The file is no place for a key.
    #[error("store key {path}: {fault}")]
    Unguarded {
        /// Where.
        path: PathBuf,
        /// Why.
        fault: Fault,
    },
    /// What is in it is no key.
    #[error("store key {path}: it does not hold 64 hexadecimal digits")]
    NoKey {
        /// Where.
        path: PathBuf,
    },
    /// It cannot be made.
    #[error("store key {path}: cannot be written ({source})")]
    Unwritable {
        /// Where.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// Something was not sealed.
    #[error("store key: {0}")]
    NotSealed(#[from] NotSealed),
    /// Something is sealed, and the database does not say by which key.
    #[error("names and references are sealed, and the database does not say by which key")]
    Unrecorded,
}

const REMEDY: &str =
    "bring the right one back (docs/board.md), restore a backup, or begin with a new database";
const AS_A_CREDENTIAL: &str = "it is a credential of the service: run the command with it, by 'systemd-run' (docs/board.md), or use the page";

impl Remedied for SealTrouble {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(match self {
            Self::Missing { credential: true, .. } | Self::Other { credential: true, .. } => {
                AS_A_CREDENTIAL.into()
            }
            Self::Missing { .. } | Self::Other { .. } | Self::NoKey { .. } => REMEDY.into(),
            Self::Unrecorded => "restore a backup".into(),
            Self::Unguarded { path, fault } => match fault {
                Fault::Exposed { .. } => format!(
                    "'chmod 600 {}', then seal by another key with 'deepid-edge keys rotate --store'",
                    path.display()
                )
                .into(),
                Fault::Link | Fault::NoFile => {
                    "put the file itself there, or name it in 'store.key_file'".into()
                }
                Fault::Owner { .. } | Fault::Unreadable(_) => {
                    "give the file to the user that runs deepid-edge, and run this as that user".into()
                }
                Fault::TooLarge => REMEDY.into(),
            },
            Self::Unwritable { .. } => {
                "its folder must belong to the user that runs deepid-edge and have room, or name another file in 'store.key_file'".into()
            }
            Self::NotSealed(_) => return None,
        })
    }
}

impl SealTrouble {
    /// Whether the key is a credential of the service, which this process was not given.
    #[must_use]
    pub const fn is_out_of_sight(&self) -> bool {
        matches!(
            self,
            Self::Missing { credential: true, .. } | Self::Other { credential: true, .. }
        )
    }
}

/// A key that was found.
#[derive(Debug)]
pub struct Found {
    /// The key.
    pub key: StoreKey,
    /// Whether it lies beside its place yet, because a rotation was broken off.
    pub beside: bool,
}

impl SealPlace {
    /// The credential, where the service manager's folder has one, or else `file`.
    #[must_use]
    pub fn of(file: PathBuf, credentials: Option<&Path>) -> Self {
        let credential = credentials.map(|folder| folder.join(SEAL_CREDENTIAL));
        match credential.filter(|path| path.exists()) {
            Some(path) => Self { path, kind: PlaceKind::Credential },
            None => Self { path: file, kind: PlaceKind::File },
        }
    }

    /// The file beside `database`.
    #[must_use]
    pub fn beside_database(database: &Path) -> Self {
        Self { path: database.with_file_name(SEAL_CREDENTIAL), kind: PlaceKind::File }
    }

    /// The key of which the database has `recorded` the name, and whether it was a credential then.
    /// `None` where none was recorded and no file is: one may be made.
    ///
    /// # Errors
    /// [`SealTrouble`].
    pub fn load(
        &self,
        recorded: Option<(&SealName, PlaceKind)>,
        owner: Option<u32>,
    ) -> Result<Option<Found>, SealTrouble> {
        let found = self.read(&self.path, owner);
        let Some((recorded, last)) = recorded else {
            return Ok(found?.map(|key| Found { key, beside: false }));
        };
        match found {
            Ok(Some(key)) if key.name() == recorded => {
                return Ok(Some(Found { key, beside: false }));
            }
            _ if self.kind == PlaceKind::Credential => {}
            _ => {
                if let Ok(Some(key)) = self.read(&self.beside(), owner)
                    && key.name() == recorded
                {
                    return Ok(Some(Found { key, beside: true }));
                }
            }
        }
        let (path, recorded) = (self.path.clone(), recorded.clone());
        let credential = last == PlaceKind::Credential && self.kind == PlaceKind::File;
        Err(match found? {
            None => SealTrouble::Missing { path, recorded, credential },
            Some(key) => {
                SealTrouble::Other { path, found: key.name().clone(), recorded, credential }
            }
        })
    }

    /// Makes a key where no file is, for `owner` where this user may give it away.
    ///
    /// # Errors
    /// [`SealTrouble`]: there is one now, or it cannot be written.
    pub fn make(&self, owner: Option<u32>) -> Result<StoreKey, SealTrouble> {
        let key = StoreKey::generate()?;
        self.put_beside(&key, owner)?;
        if self.path.symlink_metadata().is_ok() {
            return Err(self.unwritable(io::ErrorKind::AlreadyExists.into()));
        }
        self.settle()?;
        Ok(key)
    }

    /// Writes `key` beside this place; [`Self::settle`] puts it there.
    ///
    /// # Errors
    /// [`SealTrouble::Unwritable`].
    pub fn put_beside(&self, key: &StoreKey, owner: Option<u32>) -> Result<(), SealTrouble> {
        let beside = self.beside();
        // What a broken rotation has left was recorded nowhere.
        match std::fs::remove_file(&beside) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                return Err(self.unwritable(error));
            }
            _ => {}
        }
        let write = || -> io::Result<()> {
            guarded::write_new(&beside, key.to_text().as_bytes())?;
            let made_by = beside.symlink_metadata()?.uid();
            match owner.filter(|owner| *owner != made_by) {
                Some(owner) => chown(&beside, Some(owner), None),
                None => Ok(()),
            }
        };
        write().map_err(|error| {
            self.forget_beside();
            self.unwritable(error)
        })
    }

    /// Puts the key that lies beside this place there, in place of what is.
    ///
    /// # Errors
    /// [`SealTrouble::Unwritable`].
    pub fn settle(&self) -> Result<(), SealTrouble> {
        durable::settle(&self.beside(), &self.path).map_err(|error| self.unwritable(error))
    }

    /// Takes a key away that was written beside this place and recorded nowhere.
    pub fn forget_beside(&self) {
        // It is written over by the next one where it stays.
        drop(std::fs::remove_file(self.beside()));
    }

    fn beside(&self) -> PathBuf {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        name.into()
    }

    fn unwritable(&self, source: io::Error) -> SealTrouble {
        SealTrouble::Unwritable { path: self.path.clone(), source }
    }

    fn read(&self, path: &Path, owner: Option<u32>) -> Result<Option<StoreKey>, SealTrouble> {
        let at = || path.to_owned();
        let text = guarded::read(path, self.kind, owner)
            .map_err(|fault| SealTrouble::Unguarded { path: at(), fault })?;
        let Some(text) = text else { return Ok(None) };
        StoreKey::from_text(&text).map(Some).ok_or_else(|| SealTrouble::NoKey { path: at() })
    }
}
