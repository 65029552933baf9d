//! What is written stays written: a file takes its place whole, or not at all, also when the power
//! fails meanwhile.
//!
//! In: a file under another name in the same folder, or bytes. Out: that file under its own name.
//! The content is synced before the name changes and the folder after it, because a rename may
//! otherwise reach the medium before what it names (`rename(2)`, `fsync(2)`).
//!
//! Invariant: whatever fails before the rename leaves the place as it was. Deliberately absent: what
//! SQLite keeps durable by itself, and who may write where, which callers judge.

use std::fs::File;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Writes `bytes` to `to`, which is replaced whole.
///
/// # Errors
/// What the system says; `to` is as it was unless only the folder could not be synced.
pub fn write(to: &Path, bytes: &[u8]) -> io::Result<()> {
    let name = to.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_string_lossy();
    let new = to.with_file_name(format!(".{name}.{}.new", std::process::id()));
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        put(&file, &new, to)
    });
    if written.is_err() {
        let _gone = std::fs::remove_file(&new);
    }
    written?;
    sync_folder_of(to)
}

/// Syncs `file`, which lies at `from`, and renames it to `to`, which it replaces. The folder is the
/// caller's to sync, once for all that it puts there.
///
/// # Errors
/// What the system says; `to` is as it was.
pub fn put(file: &File, from: &Path, to: &Path) -> io::Result<()> {
    file.sync_all()?;
    std::fs::rename(from, to)
}

/// Renames `from`, whose content is synced already, to `to` in the same folder, which it replaces.
///
/// # Errors
/// What the system says; `to` is as it was unless only the folder could not be synced.
pub fn settle(from: &Path, to: &Path) -> io::Result<()> {
    std::fs::rename(from, to)?;
    sync_folder_of(to)
}

/// Makes durable what was renamed or made in the folder of `path`.
///
/// # Errors
/// What the system says.
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    File::open(folder_of(path))?.sync_all()
}

/// The folder in which `path` lies.
#[must_use]
pub fn folder_of(path: &Path) -> &Path {
    path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// `path` with `suffix` behind its name; nothing for a path without a name.
#[must_use]
pub fn beside(path: &Path, suffix: &str) -> Option<PathBuf> {
    let mut name = path.file_name()?.to_owned();
    name.push(suffix);
    Some(path.with_file_name(name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> =
            entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_is_replaced_whole_and_nothing_else_is_left() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("card.toml");
        for text in ["old", "new and longer", "short"] {
            write(&place, text.as_bytes()).unwrap();
            assert_eq!(std::fs::read_to_string(&place).unwrap(), text);
            assert_eq!(names(folder.path()), ["card.toml"]);
        }
    }

    #[test]
    fn what_fails_leaves_the_place_as_it_was() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path().join("taken");
        std::fs::create_dir(&place).unwrap();
        std::fs::write(place.join("inside"), b"kept").unwrap();
        assert!(write(&place, b"a file cannot replace a folder").is_err());
        assert_eq!(names(folder.path()), ["taken"], "and nothing lies beside it");
        assert_eq!(names(&place), ["inside"]);
        assert!(write(&folder.path().join("absent/x"), b"").is_err());
        assert!(write(Path::new("/"), b"").is_err());

        let (from, to) = (folder.path().join("from"), folder.path().join("absent/to"));
        let file = File::create(&from).unwrap();
        assert!(put(&file, &from, &to).is_err());
        assert!(from.exists());
    }

    #[test]
    fn a_path_has_a_folder_and_neighbours() {
        assert_eq!(folder_of(Path::new("door.db")), Path::new("."));
        assert_eq!(folder_of(Path::new("/var/door.db")), Path::new("/var"));
        assert_eq!(beside(Path::new("a/door.db"), "-wal"), Some("a/door.db-wal".into()));
        assert_eq!(beside(Path::new("/"), "-wal"), None);
    }
}
