//! Keeps the largest number taken where it survives a restart and a power cut.
//!
//! In: a folder. Out: a file `seq` in it, one number as text, replaced as a whole: written beside it,
//! synchronised, renamed, and the folder synchronised.
//! Always: a file that cannot be read is an error, never taken for none: it may be all that stands
//! between a copied grant and the door.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};

/// More than the largest number takes.
const BYTES_MAX: u64 = 64;

/// The file.
#[derive(Debug, Clone)]
pub struct Kept {
    folder: PathBuf,
}

impl Kept {
    /// The file in `folder`, which must be there.
    #[must_use]
    pub fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned() }
    }

    fn file(&self) -> PathBuf {
        self.folder.join("seq")
    }

    /// The number; `None` where nothing was ever kept.
    ///
    /// # Errors
    /// What is wrong with the file, and what to do.
    pub fn load(&self) -> Result<Option<u64>, String> {
        let file = self.file();
        let remedy = "remove it only if no copied grant can be about";
        let length = match std::fs::metadata(&file) {
            Ok(about) => about.len(),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(format!("{}: {error}", file.display())),
        };
        let text =
            if length > BYTES_MAX { Ok(String::new()) } else { std::fs::read_to_string(&file) };
        let text = text.map_err(|error| format!("{}: {error}", file.display()))?;
        let number = text.trim_end().parse();
        number.map(Some).map_err(|_| format!("{}: it is no number; {remedy}", file.display()))
    }

    /// Keeps `seq`: when this returns, it is on the disk.
    ///
    /// # Errors
    /// Why it is not.
    pub fn store(&self, seq: u64) -> Result<(), String> {
        let (file, new) = (self.file(), self.folder.join("seq.new"));
        let written = File::create(&new).and_then(|mut made| {
            made.write_all(format!("{seq}\n").as_bytes())?;
            made.sync_all()?;
            std::fs::rename(&new, &file)?;
            File::open(&self.folder)?.sync_all()
        });
        written.map_err(|error| format!("{}: {error}", file.display()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_there_again() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::at(folder.path());
        assert_eq!(kept.load(), Ok(None));
        for seq in [0, 7, u64::MAX] {
            kept.store(seq).unwrap();
            assert_eq!(Kept::at(folder.path()).load(), Ok(Some(seq)));
        }
    }

    #[test]
    fn a_damaged_file_is_not_taken_for_none() {
        let folder = tempfile::tempdir().unwrap();
        let kept = Kept::at(folder.path());
        for damaged in ["", "seven", "-1", "18446744073709551616", &"1".repeat(65)] {
            std::fs::write(folder.path().join("seq"), damaged).unwrap();
            assert!(kept.load().unwrap_err().contains("it is no number"), "{damaged:?}");
        }
        assert!(Kept::at(&folder.path().join("none")).store(1).is_err());
    }
}
