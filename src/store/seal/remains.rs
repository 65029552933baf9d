//! What of people can still be read on the disk without the key, and how it is swept out.
//!
//! In: an open [`Store`]. Out: [`Remains`]: names and references of those who are enrolled that stand in
//! plain in a file, pages that SQLite has given up and not emptied, older databases beside this one.
//! Invariants: looking changes nothing but the write-ahead log, which is poured into the file; sweeping
//! changes no row. Deliberately absent: what a flash drive keeps of blocks that were written over, and
//! backups; no program on the board can see either.
//!
//! Source: "Database File Format", sqlite.org, sections 1.3 (header) and 1.5 (freelist).

use std::collections::HashMap;
use std::fs::File;
use std::io::{Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use crate::durable::{beside, folder_of};
use crate::store::{Error, Store, schema};

/// Bytes of a name that is searched for by itself; a shorter one is searched for behind its subject's id,
/// as it stood in a row.
pub const SHORTEST_NAME: usize = 8;
/// Numbers of a reference that are searched for.
const NUMBERS: usize = 4;
const CHUNK: usize = 1 << 20;
/// Longer than anything that is searched for.
const OVERLAP: usize = 512;
/// Bytes by which a place is found at which more is compared.
const HEAD: usize = 8;

/// What was looked for, and what was found.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Remains {
    /// Names that were searched for.
    pub names: u64,
    /// Subjects whose PINs, as argon2id made them, were searched for.
    pub pins: u64,
    /// References that were searched for.
    pub references: u64,
    /// References in which no four numbers stand in a row that are not zero: too common to be searched
    /// for.
    pub too_common: u64,
    /// Names and references that do not open: what they held is not known.
    pub unopened: u64,
    /// Pages that are not in use.
    pub free_pages: u64,
    /// Files that were read.
    pub files: Vec<PathBuf>,
    /// What can be read, in words.
    pub readable: Vec<String>,
}

impl Remains {
    /// Whether nothing can be read.
    #[must_use]
    pub const fn is_clean(&self) -> bool {
        self.readable.is_empty()
    }
}

/// Something to be searched for.
struct Needle {
    bytes: Vec<u8>,
    what: String,
}

impl Store {
    /// Writes the database anew, without pages that are not in use and without copies of rows that were
    /// moved, and cuts its log.
    ///
    /// # Errors
    /// What the database says: there must be room for a second copy, and nobody else may be reading.
    pub fn rewrite(&self) -> Result<(), Error> {
        // First what SQLite has emptied: pages that fall away are not written any more.
        self.cut_log()?;
        self.connection.execute_batch("VACUUM").map_err(|source| self.error(source))?;
        self.cut_log()
    }

    /// Does so where the file has held plain values and was not rewritten since.
    pub(in crate::store) fn sweep(&self) -> Result<(), Error> {
        let owed: bool = self
            .connection
            .query_row("SELECT EXISTS (SELECT 1 FROM store_key WHERE swept = 0)", [], |row| {
                row.get(0)
            })
            .map_err(|source| self.error(source))?;
        if !owed {
            return Ok(());
        }
        self.rewrite()?;
        self.connection
            .execute("UPDATE store_key SET swept = 1", [])
            .map(drop)
            .map_err(|source| self.error(source))
    }

    /// Sees to it that wrapped keys of which the rows are gone are nowhere in the file.
    pub(in crate::store) fn destroy(&self, wrapped: &[Vec<u8>]) -> Result<(), Error> {
        let needle = |bytes: &Vec<u8>| Needle { bytes: bytes.clone(), what: String::new() };
        let search = Search::of(wrapped.iter().map(needle).collect());
        let found = self.searched(&search, &self.path)?;
        // SQLite empties what it frees, and may leave a copy of a row that it has moved.
        if found.is_empty() { Ok(()) } else { self.rewrite() }
    }

    /// Looks for what can be read without the key.
    ///
    /// # Errors
    /// [`Error::Sealed`]: without the key it is not known what to look for. Or what the database says,
    /// also where somebody else is reading, so that the log cannot be poured into the file.
    pub fn remains(&self) -> Result<Remains, Error> {
        self.cut_log()?;
        let mut remains = Remains::default();
        let search = Search::of(self.needles(&mut remains)?);
        remains.files = self.files();
        for path in remains.files.clone() {
            let found = self.searched(&search, &path)?;
            let of = |what: String| format!("{what} stands readable in {}", path.display());
            remains.readable.extend(found.into_iter().map(of));
            if path != self.path && self.is_from_before(&path)? {
                remains.readable.push(format!(
                    "{} is a database from before names and references were sealed",
                    path.display()
                ));
            }
        }
        let (free, filled) = self.free_pages()?;
        remains.free_pages = free;
        if filled > 0 {
            remains.readable.push(format!("{filled} pages that are not in use are not empty"));
        }
        Ok(remains)
    }

    fn needles(&self, remains: &mut Remains) -> Result<Vec<Needle>, Error> {
        let mut needles = Vec::new();
        for subject in self.subjects()? {
            if !subject.name_opens {
                remains.unopened += 1;
                continue;
            }
            let id = subject.id.as_str();
            let name = subject.name.as_bytes();
            let bytes = if name.len() < SHORTEST_NAME {
                [id.as_bytes(), name].concat()
            } else {
                name.to_vec()
            };
            needles.push(Needle { bytes, what: format!("the name of {id}") });
            remains.names += 1;
        }
        for holder in self.pin_holders()? {
            let Ok(Some(pins)) = self.pins(&holder.subject) else {
                remains.unopened += 1;
                continue;
            };
            for phc in std::iter::once(&pins.pin).chain(&pins.duress) {
                let what = format!("what was made of a PIN of {}", holder.subject);
                // Everything before its hash is alike in all.
                let hash = phc.rsplit('$').next().unwrap_or_default();
                needles.push(Needle { bytes: hash.as_bytes().to_vec(), what });
            }
            remains.pins += 1;
        }
        for reference in self.every_reference()? {
            let Ok(vector) = &reference.vector else {
                remains.unopened += 1;
                continue;
            };
            let mut windows = vector.values().windows(NUMBERS);
            let Some(numbers) = windows.find(|window| window.iter().all(|value| *value != 0.0))
            else {
                remains.too_common += 1;
                continue;
            };
            let bytes = numbers.iter().flat_map(|value| value.to_le_bytes()).collect();
            let what = format!("reference {} of {}", reference.id, reference.subject);
            needles.push(Needle { bytes, what });
            remains.references += 1;
        }
        Ok(needles)
    }

    /// The database, and what lies beside it under its name: its log, copies, older galleries.
    fn files(&self) -> Vec<PathBuf> {
        let name = self.path.file_name().unwrap_or_default().as_encoded_bytes();
        let entries = std::fs::read_dir(folder_of(&self.path)).into_iter().flatten().flatten();
        let ours = |entry: &std::fs::DirEntry| {
            let file = entry.file_type().is_ok_and(|kind| kind.is_file());
            file && entry.file_name().as_encoded_bytes().starts_with(name)
        };
        let shared = beside(&self.path, "-shm");
        let mut files: Vec<PathBuf> = entries
            .filter(ours)
            .map(|entry| entry.path())
            // It holds numbers of pages alone.
            .filter(|path| Some(path) != shared.as_ref())
            .collect();
        files.sort();
        files
    }

    fn searched(&self, search: &Search, path: &Path) -> Result<Vec<String>, Error> {
        search.in_file(path).map_err(|error| self.unreadable_file(path, &error))
    }

    fn unreadable_file(&self, path: &Path, error: &std::io::Error) -> Error {
        let what = format!("{} cannot be read: {error}", path.display());
        Error::CannotOpen { path: self.path.clone(), what }
    }

    /// Whether the file at `path` is a database of ours whose rows are plain.
    fn is_from_before(&self, path: &Path) -> Result<bool, Error> {
        let mut head = [0; 72];
        let read = File::open(path).and_then(|mut file| file.read_exact(&mut head));
        match read {
            Err(error) if error.kind() == std::io::ErrorKind::UnexpectedEof => return Ok(false),
            Err(error) => return Err(self.unreadable_file(path, &error)),
            Ok(()) => {}
        }
        let ours = head.starts_with(b"SQLite format 3\0")
            && number(&head, 68) == Some(schema::APPLICATION_ID);
        Ok(ours && number(&head, 60).is_some_and(|version| i64::from(version) < schema::SEALED))
    }

    /// How many pages are not in use, and how many of them are not empty.
    fn free_pages(&self) -> Result<(u64, u64), Error> {
        free_pages(&self.path).map_err(|error| self.unreadable_file(&self.path, &error))
    }
}

/// The big-endian number at `at`.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().map(|bytes| u32::from_be_bytes(*bytes))
}

fn free_pages(path: &Path) -> std::io::Result<(u64, u64)> {
    let mut file = File::open(path)?;
    let mut head = [0; 100];
    file.read_exact(&mut head)?;
    let size = match u16::from_be_bytes([head[16], head[17]]) {
        1 => 65_536,
        size => u64::from(size),
    };
    let pages = file.metadata()?.len() / size.max(1);
    let mut page = vec![0; usize::try_from(size).unwrap_or_default()];
    let mut read = |number: u32, page: &mut Vec<u8>| -> std::io::Result<()> {
        file.seek(SeekFrom::Start(u64::from(number.saturating_sub(1)) * size))?;
        file.read_exact(page)
    };
    let (mut free, mut filled) = (0, 0);
    let mut trunk = number(&head, 32).unwrap_or_default();
    let mut leaves = Vec::new();
    // Bounded, whatever a damaged file says.
    while trunk != 0 && free < pages {
        read(trunk, &mut page)?;
        free += 1;
        let count = number(&page, 4).unwrap_or_default() as usize;
        let numbers = || page.as_chunks::<4>().0.iter().map(|bytes| u32::from_be_bytes(*bytes));
        leaves.extend(numbers().skip(2).take(count));
        // Behind the list may stand what was in it before: numbers of pages.
        if numbers().skip(2 + count).any(|number| u64::from(number) > pages) {
            filled += 1;
        }
        trunk = number(&page, 0).unwrap_or_default();
    }
    for leaf in leaves.into_iter().take(usize::try_from(pages).unwrap_or(usize::MAX)) {
        read(leaf, &mut page)?;
        free += 1;
        if page.iter().any(|byte| *byte != 0) {
            filled += 1;
        }
    }
    Ok((free, filled))
}

/// Many needles, searched for at once.
struct Search {
    needles: Vec<Needle>,
    /// By how they begin.
    heads: HashMap<[u8; HEAD], Vec<usize>>,
    /// Whether one begins with these two bytes.
    begins: Vec<bool>,
}

impl Search {
    fn of(needles: Vec<Needle>) -> Self {
        let mut heads: HashMap<[u8; HEAD], Vec<usize>> = HashMap::new();
        let mut begins = vec![false; 1 << 16];
        for (index, needle) in needles.iter().enumerate() {
            let Some(head) = needle.bytes.first_chunk::<HEAD>() else { continue };
            heads.entry(*head).or_default().push(index);
            if let Some(begin) = begins.get_mut(usize::from(u16::from_le_bytes([head[0], head[1]])))
            {
                *begin = true;
            }
        }
        Self { needles, heads, begins }
    }

    /// What of it stands in the file at `path`; nothing where there is none.
    fn in_file(&self, path: &Path) -> std::io::Result<Vec<String>> {
        let mut file = match File::open(path) {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(error),
        };
        let mut found = std::collections::BTreeSet::new();
        let mut window = Vec::with_capacity(CHUNK + OVERLAP);
        loop {
            let kept = window.len();
            std::io::Read::by_ref(&mut file).take(CHUNK as u64).read_to_end(&mut window)?;
            self.in_bytes(&window, &mut found);
            if window.len() == kept {
                break;
            }
            window.drain(..window.len().saturating_sub(OVERLAP));
        }
        Ok(found.into_iter().filter_map(|index| self.what(index)).collect())
    }

    fn what(&self, index: usize) -> Option<String> {
        self.needles.get(index).map(|needle| needle.what.clone())
    }

    fn in_bytes(&self, bytes: &[u8], found: &mut std::collections::BTreeSet<usize>) {
        for (at, head) in bytes.windows(HEAD).enumerate() {
            let Some(head) = head.first_chunk::<HEAD>() else { continue };
            let begin = usize::from(u16::from_le_bytes([head[0], head[1]]));
            if !self.begins.get(begin).copied().unwrap_or_default() {
                continue;
            }
            let rest = bytes.get(at..).unwrap_or_default();
            for index in self.heads.get(head).into_iter().flatten() {
                if self.needles.get(*index).is_some_and(|needle| rest.starts_with(&needle.bytes)) {
                    found.insert(*index);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_needle_is_found_wherever_it_stands_also_across_two_chunks() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("hay");
        let needle = |text: &str| Needle { bytes: text.into(), what: text.to_owned() };
        let search = Search::of(vec![needle("Unverwechselbar"), needle("Unverwechselt")]);
        for at in [0, 1, CHUNK - 20, CHUNK - 7, CHUNK, 2 * CHUNK - 3, 3 * CHUNK - 15] {
            let mut hay = vec![b'U'; 3 * CHUNK];
            hay[at..at + 15].copy_from_slice(b"Unverwechselbar");
            std::fs::write(&path, &hay).unwrap();
            assert_eq!(search.in_file(&path).unwrap(), ["Unverwechselbar"], "{at}");
            hay[at + 14] = b'x';
            std::fs::write(&path, &hay).unwrap();
            assert!(search.in_file(&path).unwrap().is_empty(), "{at}");
        }
        assert!(search.in_file(&folder.path().join("none")).unwrap().is_empty());
    }
}
