//! What lies inside the encryption: a tar archive of two to four files, in one order.
//!
//! Manifest, configuration, the key by which the database in it is sealed, and database ↔ bytes. Invariants: no entry's path is ever used as a path
//! of this machine; an entry that is not expected, in another order, too large or too short is
//! refused; nothing but manifest, configuration and key, which are bounded, is held in memory.
//! Deliberately absent: long names, links, extended headers. A backup has none.
//!
//! Source: POSIX.1-2008, pax(1), the ustar interchange format.

use std::io::{Read, Seek, SeekFrom, Write};

use tar::{Archive, Builder, Entry, EntryType, Header};

use zeroize::Zeroizing;

use super::super::{StoreKey, schema};
use super::{
    BackupProblem, CONFIG_BYTES_MAX, DATABASE_BYTES_MAX, FORMAT, FORMAT_VERSION, Manifest,
    Progress, seal,
};

const MANIFEST: &str = "manifest.json";
const CONFIG: &str = "config.toml";
/// As it is called beside a database: what was taken out of a backup opens as it is.
const KEY: &str = "store.key";
const DATABASE: &str = "deepid-edge.db";
const KEY_BYTES_MAX: u64 = 1024;
const MANIFEST_BYTES_MAX: u64 = 64 * 1024;
/// An archive ends in zeros: two blocks, filled up to twenty by most programs.
const ENDING_BYTES_MAX: u64 = 64 * 1024;
const CHUNK_BYTES: usize = 64 * 1024;

/// Writes the archive into `out`, which is given back unfinished.
pub(super) fn write<W: Write>(
    out: W,
    manifest: &Manifest,
    config: Option<&str>,
    key: Option<&StoreKey>,
    mut database: impl Read + Seek,
    progress: Progress<'_>,
) -> std::io::Result<W> {
    let mut archive = Builder::new(out);
    let mut said = serde_json::to_vec_pretty(manifest).map_err(std::io::Error::other)?;
    said.push(b'\n');
    append(&mut archive, MANIFEST, said.len() as u64, &said[..])?;
    if let Some(text) = config {
        append(&mut archive, CONFIG, text.len() as u64, text.as_bytes())?;
    }
    if let Some(key) = key {
        let text = key.to_text();
        append(&mut archive, KEY, text.len() as u64, text.as_bytes())?;
    }
    database.seek(SeekFrom::Start(0))?;
    let bytes = manifest.database.bytes;
    let mut counted = Counted { inner: database.take(bytes), done: 0, all: bytes, progress };
    append(&mut archive, DATABASE, bytes, &mut counted)?;
    if counted.done != bytes {
        return Err(std::io::Error::other(
            "the copy of the database became shorter while it was read",
        ));
    }
    archive.into_inner()
}

fn append<W: Write>(
    archive: &mut Builder<W>,
    name: &str,
    bytes: u64,
    content: impl Read,
) -> std::io::Result<()> {
    let mut header = Header::new_ustar();
    header.set_path(name)?;
    header.set_entry_type(EntryType::Regular);
    header.set_size(bytes);
    header.set_mode(0o600);
    header.set_cksum();
    archive.append(&header, content)
}

/// Tells how far reading has come.
struct Counted<'a, R> {
    inner: R,
    done: u64,
    all: u64,
    progress: Progress<'a>,
}

impl<R: Read> Read for Counted<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> std::io::Result<usize> {
        let count = self.inner.read(into)?;
        self.done += count as u64;
        (self.progress)(self.done, self.all);
        Ok(count)
    }
}

/// What an archive says, the key that its database is sealed by, and where that was written to.
pub(super) type Contents<W> = (Manifest, Option<StoreKey>, W);

/// Reads the archive in `from`. When manifest and configuration are known, `place` says where the
/// database is to be written; its error ends the reading and comes back in the inner result.
pub(super) fn read<R: Read, W: Write, E>(
    from: R,
    place: impl FnOnce(&Manifest, Option<&str>) -> Result<W, E>,
    progress: Progress<'_>,
) -> Result<Result<Contents<W>, E>, BackupProblem> {
    let mut archive = Archive::new(from);
    let mut entries = archive.entries().map_err(|error| misread(&error))?.raw(true);
    let mut next = |name: &str| -> Result<_, BackupProblem> {
        let entry = entries.next().transpose().map_err(|error| misread(&error))?;
        let entry = entry.ok_or(OTHER_CONTENT)?;
        let (found, kind) = (entry.path_bytes().into_owned(), entry.header().entry_type());
        if found == name.as_bytes() && kind == EntryType::Regular {
            Ok(entry)
        } else {
            Err(OTHER_CONTENT)
        }
    };

    let manifest = understand(&bounded(next(MANIFEST)?, "its manifest", MANIFEST_BYTES_MAX)?)?;
    if manifest.database.schema > schema::VERSION {
        return Err(newer(manifest.database.schema, &manifest));
    }
    let config = if manifest.config.is_some() {
        let text = bounded(next(CONFIG)?, "its configuration", CONFIG_BYTES_MAX)?;
        Some(String::from_utf8(text).map_err(|_| OTHER_CONTENT)?)
    } else {
        None
    };
    let key = if manifest.database.schema >= schema::SEALED {
        let text = Zeroizing::new(bounded(next(KEY)?, "its key", KEY_BYTES_MAX)?);
        Some(StoreKey::from_text(&text).ok_or(OTHER_CONTENT)?)
    } else {
        None
    };
    let database = next(DATABASE)?;
    let bytes = manifest.database.bytes;
    if bytes > DATABASE_BYTES_MAX {
        return Err(too_large("its database", bytes, DATABASE_BYTES_MAX));
    }
    if database.size() != bytes {
        return Err(OTHER_CONTENT);
    }
    let mut out = match place(&manifest, config.as_deref()) {
        Ok(out) => out,
        Err(refusal) => return Ok(Err(refusal)),
    };
    copy(Counted { inner: database, done: 0, all: bytes, progress }, bytes, &mut out)?;

    if entries.next().is_some() {
        return Err(OTHER_CONTENT);
    }
    // The encryption proves the file's end only to whoever reads up to it.
    let mut ending = archive.into_inner().take(ENDING_BYTES_MAX + 1);
    let rest = std::io::copy(&mut ending, &mut std::io::sink()).map_err(|error| misread(&error))?;
    if rest > ENDING_BYTES_MAX {
        return Err(OTHER_CONTENT);
    }
    Ok(Ok((manifest, key, out)))
}

const OTHER_CONTENT: BackupProblem =
    BackupProblem::NotABackup { what: "it is encrypted, and holds something else" };

/// That its database is of a later version of this program.
pub(super) fn newer(found: i64, manifest: &Manifest) -> BackupProblem {
    let software = manifest.software.chars().filter(|c| !c.is_control()).take(40).collect();
    BackupProblem::NewerSchema { found, known: schema::VERSION, software }
}

fn too_large(what: &'static str, found: u64, max: u64) -> BackupProblem {
    BackupProblem::TooLarge { what, found, max, remedy: "no door has so much: this is no backup" }
}

/// What an error of the archive's reader means. Broken encryption has kinds of its own; everything
/// else that the reader says is about content that was encrypted so.
fn misread(error: &std::io::Error) -> BackupProblem {
    match error.kind() {
        std::io::ErrorKind::Other => OTHER_CONTENT,
        _ => seal::broken(error),
    }
}

fn bounded<R: Read>(
    mut entry: Entry<'_, R>,
    what: &'static str,
    max: u64,
) -> Result<Vec<u8>, BackupProblem> {
    let size = entry.size();
    if size > max {
        return Err(too_large(what, size, max));
    }
    let mut bytes = Vec::new();
    entry.read_to_end(&mut bytes).map_err(|error| misread(&error))?;
    if bytes.len() as u64 == size { Ok(bytes) } else { Err(OTHER_CONTENT) }
}

/// Format and version first: of a later version nothing else may be assumed.
fn understand(bytes: &[u8]) -> Result<Manifest, BackupProblem> {
    let said: serde_json::Value = serde_json::from_slice(bytes).map_err(|_| OTHER_CONTENT)?;
    let version = said.get("version").and_then(serde_json::Value::as_u64);
    let (Some(FORMAT), Some(version)) = (said.get("format").and_then(|f| f.as_str()), version)
    else {
        return Err(OTHER_CONTENT);
    };
    if version > u64::from(FORMAT_VERSION) {
        let software = said.get("software").and_then(|s| s.as_str()).unwrap_or("(unknown)");
        let software = software.chars().filter(|c| !c.is_control()).take(40).collect();
        return Err(BackupProblem::NewerFormat { found: version, known: FORMAT_VERSION, software });
    }
    serde_json::from_value(said).map_err(|_| OTHER_CONTENT)
}

fn copy(mut from: impl Read, bytes: u64, out: &mut impl Write) -> Result<(), BackupProblem> {
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut done = 0;
    loop {
        let count = match from.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(misread(&error)),
        };
        done += count as u64;
        out.write_all(chunk.get(..count).unwrap_or_default())
            .map_err(|error| BackupProblem::io("its database cannot be written", &error))?;
    }
    if done == bytes { Ok(()) } else { Err(OTHER_CONTENT) }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::super::{DatabaseFacts, look_into};
    use super::*;

    fn sample() -> (Manifest, Vec<u8>) {
        let database: Vec<u8> = (0..3000_u32).map(|i| (i % 251) as u8).collect();
        let manifest = Manifest {
            format: FORMAT.to_owned(),
            version: FORMAT_VERSION,
            software: "0.1.0".to_owned(),
            made: "2026-05-01T07:15:02Z".to_owned(),
            door: "front".to_owned(),
            database: DatabaseFacts {
                schema: schema::SEALED,
                bytes: database.len() as u64,
                subjects: 1,
                references: vec![],
            },
            config: Some("/etc/deepid-edge/config.toml".into()),
        };
        let (mut told, key) = (0, StoreKey::generate().unwrap());
        let config = Some("[door]\nid = 'front'\n");
        let bytes = write(
            Vec::new(),
            &manifest,
            config,
            Some(&key),
            Cursor::new(&database),
            &mut |done, all| {
                assert!(done <= all);
                told = done;
            },
        )
        .unwrap();
        assert_eq!(told, manifest.database.bytes, "progress ends at the end");
        (manifest, bytes)
    }

    #[test]
    fn what_was_written_is_read() {
        let (manifest, bytes) = sample();
        let mut database = Vec::new();
        assert_eq!(look_into(&bytes[..], &mut database).unwrap(), manifest);
        assert_eq!(database.len() as u64, manifest.database.bytes);
        assert!(database.iter().zip(0_u32..).all(|(byte, i)| u32::from(*byte) == i % 251));
    }

    #[test]
    fn a_copy_that_became_shorter_is_no_backup() {
        let (manifest, _) = sample();
        let short = Cursor::new(vec![0; 10]);
        assert!(write(Vec::new(), &manifest, None, None, short, &mut |_, _| ()).is_err());
    }

    #[test]
    fn spoiled_archives_never_panic() {
        let (_, whole) = sample();
        let mut random = fastrand::Rng::with_seed(9);
        for turn in 0..4000 {
            let mut spoiled = whole.clone();
            for _ in 0..random.usize(1..12) {
                // Mostly in the heads, where the numbers stand.
                let at = random.usize(..if turn % 2 == 0 { 2048 } else { spoiled.len() });
                spoiled[at] = random.u8(..);
            }
            spoiled.truncate(random.usize(..=whole.len() * 2));
            let mut database = Vec::new();
            if let Ok(manifest) = look_into(&spoiled[..], &mut database) {
                assert_eq!(database.len() as u64, manifest.database.bytes);
            }
        }
    }
}
