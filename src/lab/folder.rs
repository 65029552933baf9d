//! A folder of photographs and clips of people, as the end-to-end evaluation expects it.
//!
//! In: a path. Out: who is in it: `london/ID/{neutral,smiling}.jpg` (two photographs a person),
//! `portraits/*.jpg` (one photograph each, of strangers), `visits/PERSON-WORD.mkv` (clips of
//! people before a fixed camera). Everything is in the order of its name, so that figures repeat.
//!
//! Deliberately absent: names of people. An ID is whatever its folder or file is called.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

/// What the whole folder holds.
const EXPECTED: &str =
    "london/ID/neutral.jpg and smiling.jpg, portraits/*.jpg, visits/PERSON-WORD.mkv";

/// Why a folder cannot be evaluated.
#[derive(Debug, thiserror::Error)]
pub enum FolderError {
    /// A part cannot be listed.
    #[error("evaluation folder {path}: {source}; expected a folder with {expected}")]
    Unreadable {
        /// What was to be listed.
        path: PathBuf,
        /// What the whole folder should hold.
        expected: &'static str,
        /// The system's words.
        source: std::io::Error,
    },
    /// A part is there, and holds nothing of use.
    #[error("evaluation folder {path}: holds no {expected}")]
    Empty {
        /// The part.
        path: PathBuf,
        /// What it should hold.
        expected: &'static str,
    },
    /// A clip's name does not say whom it shows.
    #[error("clip {path}: its name must be PERSON-WORD, such as A-book.mkv")]
    ClipName {
        /// The clip.
        path: PathBuf,
    },
}

/// Two photographs of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sitter {
    /// Who.
    pub id: String,
    /// The photograph to enrol from.
    pub neutral: PathBuf,
    /// The photograph to identify.
    pub smiling: PathBuf,
}

/// A recording of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Clip {
    /// Who.
    pub person: String,
    /// The file's name without its ending.
    pub name: String,
    /// The file.
    pub path: PathBuf,
}

/// The folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FaceFolder {
    root: PathBuf,
}

impl FaceFolder {
    /// The folder at `root`; nothing is read yet.
    #[must_use]
    pub fn new(root: impl Into<PathBuf>) -> Self {
        Self { root: root.into() }
    }

    /// Everybody of `london`.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be listed or is empty.
    pub fn sitters(&self) -> Result<Vec<Sitter>, FolderError> {
        let part = self.root.join("london");
        let sitters: Vec<_> = entries(&part, EXPECTED)?
            .into_iter()
            .filter_map(|path| {
                let (neutral, smiling) = (path.join("neutral.jpg"), path.join("smiling.jpg"));
                let id = path.file_name()?.to_str()?.to_owned();
                (neutral.is_file() && smiling.is_file()).then_some(Sitter { id, neutral, smiling })
            })
            .collect();
        not_empty(sitters, &part, "ID/neutral.jpg with ID/smiling.jpg")
    }

    /// The strangers of `portraits`.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be listed or is empty.
    pub fn portraits(&self) -> Result<Vec<PathBuf>, FolderError> {
        let part = self.root.join("portraits");
        let mut portraits = entries(&part, EXPECTED)?;
        portraits.retain(|path| ["jpg", "jpeg", "png"].contains(&ending(path)));
        not_empty(portraits, &part, "photographs (.jpg, .png)")
    }

    /// The clips of `visits`.
    ///
    /// # Errors
    /// [`FolderError`] when it cannot be listed, is empty, or a clip's name names nobody.
    pub fn clips(&self) -> Result<Vec<Clip>, FolderError> {
        let part = self.root.join("visits");
        let mut paths = entries(&part, EXPECTED)?;
        paths.retain(|path| ["mkv", "mp4", "webm", "mjpeg"].contains(&ending(path)));
        let clips = paths.into_iter().map(|path| {
            let name = path.file_stem().and_then(OsStr::to_str).unwrap_or_default().to_owned();
            match name.split_once('-') {
                Some((person, word)) if !person.is_empty() && !word.is_empty() => {
                    Ok(Clip { person: person.to_owned(), name, path })
                }
                _ => Err(FolderError::ClipName { path }),
            }
        });
        not_empty(clips.collect::<Result<_, _>>()?, &part, "clips (.mkv, .mp4, .webm, .mjpeg)")
    }
}

fn ending(path: &Path) -> &str {
    path.extension().and_then(OsStr::to_str).unwrap_or_default()
}

/// What lies in `part` of a folder that should hold what is `expected`.
pub(super) fn entries(part: &Path, expected: &'static str) -> Result<Vec<PathBuf>, FolderError> {
    let unreadable = |source| FolderError::Unreadable { path: part.to_owned(), expected, source };
    let mut paths = std::fs::read_dir(part)
        .and_then(|entries| entries.map(|entry| Ok(entry?.path())).collect::<Result<Vec<_>, _>>())
        .map_err(unreadable)?;
    paths.sort();
    Ok(paths)
}

fn not_empty<T>(found: Vec<T>, part: &Path, expected: &'static str) -> Result<Vec<T>, FolderError> {
    if found.is_empty() {
        return Err(FolderError::Empty { path: part.to_owned(), expected });
    }
    Ok(found)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(files: &[&str]) -> (FaceFolder, tempfile::TempDir) {
        let root = tempfile::tempdir().expect("a temporary folder");
        for file in files {
            let path = root.path().join(file);
            std::fs::create_dir_all(path.parent().expect("a part")).expect("a folder");
            std::fs::write(path, b"").expect("a file");
        }
        (FaceFolder::new(root.path()), root)
    }

    #[test]
    fn what_is_complete_is_listed_in_order() {
        let (folder, _root) = folder(&[
            "london/002/neutral.jpg",
            "london/002/smiling.jpg",
            "london/001/smiling.jpg",
            "portraits/b.jpg",
            "portraits/a.jpg",
            "portraits/README.md",
            "visits/B-book.mkv",
            "visits/A-book.mkv",
        ]);
        let ids: Vec<_> = folder.sitters().expect("one").into_iter().map(|s| s.id).collect();
        assert_eq!(ids, ["002"], "001 lacks a photograph");
        assert_eq!(folder.portraits().expect("two").len(), 2);
        let people: Vec<_> = folder.clips().expect("two").into_iter().map(|c| c.person).collect();
        assert_eq!(people, ["A", "B"]);
    }

    #[test]
    fn what_is_missing_is_named() {
        let (folder, _root) = folder(&["london/001/neutral.jpg", "visits/nobody.mkv"]);
        let said = |error: FolderError| error.to_string();
        assert!(said(folder.sitters().expect_err("incomplete")).contains("holds no"));
        assert!(said(folder.portraits().expect_err("absent")).contains("portraits"));
        assert!(said(folder.clips().expect_err("wrong name")).contains("A-book.mkv"));
    }
}
