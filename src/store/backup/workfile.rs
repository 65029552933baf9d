//! A file under work, beside the one that it belongs to.
//!
//! A path and a suffix → a new empty file that its owner alone may read, locked against a second
//! command. Invariant: it is gone when the work ends, however it ends, unless it was renamed to what
//! it was made for; what a killed run has left is removed by the next one.

use std::fs::{File, OpenOptions, Permissions, TryLockError};
use std::io::{ErrorKind as IoKind, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use super::super::Error;
use super::BackupProblem;
use crate::durable::{self, beside, folder_of};

/// What SQLite puts beside a database while it is open.
pub(super) const COMPANIONS: [&str; 3] = ["-wal", "-shm", "-journal"];

/// A file that is removed unless it is kept.
#[derive(Debug)]
pub(super) struct Workfile {
    path: PathBuf,
    file: File,
    kept: bool,
}

impl Workfile {
    /// Makes `of` with `suffix` behind its name.
    pub(super) fn claim(of: &Path, suffix: &str) -> Result<Self, Error> {
        let path = beside(of, suffix).ok_or_else(|| BackupProblem::NoName.at(of))?;
        let failed = |error: std::io::Error| BackupProblem::io("may not be written", &error).at(of);
        let under_way = || BackupProblem::UnderWay { other: path.display().to_string() }.at(of);
        let new =
            || OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path);
        let file = match new() {
            Err(error) if error.kind() == IoKind::AlreadyExists => {
                let left = File::open(&path).map_err(failed)?;
                if matches!(left.try_lock(), Err(TryLockError::WouldBlock)) {
                    return Err(under_way());
                }
                remove(&path);
                new()
            }
            other => other,
        };
        let file = file.map_err(failed)?;
        // A file system without locks has no two commands to be kept apart either: it is a stick.
        if matches!(file.try_lock(), Err(TryLockError::WouldBlock)) {
            return Err(under_way());
        }
        Ok(Self { path, file, kept: false })
    }

    /// Gives the file to the owner of `like` or of the folder that it lies in: what root restores,
    /// the service must be able to open.
    pub(super) fn give_to_owner_of(&self, like: &Path) {
        let owner = std::fs::metadata(like).or_else(|_| std::fs::metadata(folder_of(&self.path)));
        let (Ok(owner), Ok(own)) = (owner, self.file.metadata()) else { return };
        if (owner.uid(), owner.gid()) != (own.uid(), own.gid()) {
            // Only root may, and only root needs it.
            let _refused =
                std::os::unix::fs::fchown(&self.file, Some(owner.uid()), Some(owner.gid()));
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn set_rights(&self, rights: Permissions) -> std::io::Result<()> {
        self.file.set_permissions(rights)
    }

    /// The open file, whose name is taken away now.
    pub(super) fn into_nameless(self) -> std::io::Result<File> {
        self.file.try_clone()
    }

    /// Makes its content durable and renames it to `to`, which it replaces. On an error `to` is as
    /// it was; the folder is the caller's to sync.
    pub(super) fn keep_as(&mut self, to: &Path) -> std::io::Result<()> {
        durable::put(&self.file, &self.path, to)?;
        self.kept = true;
        Ok(())
    }
}

impl Write for Workfile {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.file.write(bytes)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.file.flush()
    }
}

impl Drop for Workfile {
    fn drop(&mut self) {
        if !self.kept {
            remove(&self.path);
        }
    }
}

fn remove(path: &Path) {
    let companions = COMPANIONS.iter().filter_map(|suffix| beside(path, suffix));
    for path in std::iter::once(path.to_owned()).chain(companions) {
        let _absent = std::fs::remove_file(path);
    }
}
