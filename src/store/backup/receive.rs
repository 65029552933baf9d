//! A backup becomes the gallery.
//!
//! A file and a passphrase → [`Received`]: decrypted beside the gallery, migrated and checked as a
//! whole; then [`Received::place`] puts it there. Invariants: until then nothing is changed; the old
//! gallery is kept under another name, never overwritten; the name of the gallery always leads to
//! one whole database, the old one or the new one, also when the power fails; nothing is replaced
//! while somebody has the old one open.
//!
//! Source: SQLite's documents on WAL (an exclusive connection shares the file with nobody).

use std::fs::{File, Permissions};
use std::io::{BufReader, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::super::seal::NotSealed;
use super::super::{
    Error, SealPlace, SealTrouble, Store, StoreKey, StoreSettings, owner_of, schema,
};
use super::workfile::{COMPANIONS, Workfile};
use super::{BackupProblem, Manifest, Passphrase, Progress, archive, seal};
use crate::durable::{beside, folder_of, sync_folder_of};
use crate::sign::PlaceKind;

/// Another command has finished within this long; the daemon has not.
const PATIENCE: Duration = Duration::from_secs(1);

/// A backup that was read as a whole and found usable.
#[derive(Debug)]
pub struct Received {
    /// What it says of itself.
    pub manifest: Manifest,
    store: Store,
    work: Workfile,
    settings: StoreSettings,
}

/// A configuration file that is to be written with the gallery.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewConfig {
    /// Where.
    pub path: PathBuf,
    /// What it is to say.
    pub text: String,
    /// Whether what is there now has to be kept.
    pub keeps_old: bool,
}

/// What became of what was there before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// Where the old gallery is now, if there was one.
    pub kept_gallery: Option<PathBuf>,
    /// Where the old configuration is now, if it had to be kept.
    pub kept_config: Option<PathBuf>,
}

impl Received {
    /// Decrypts the backup at `path` and checks it. `place` is told what is in it, the text of its
    /// configuration file included, and says where the gallery is; it may refuse.
    ///
    /// # Errors
    /// What `place` said, [`Error::Backup`], or what the database in it says.
    pub fn read<E: From<Error>>(
        path: &Path,
        passphrase: &Passphrase,
        settings: StoreSettings,
        place: impl FnOnce(&Manifest, Option<&str>) -> Result<PathBuf, E>,
        progress: Progress<'_>,
    ) -> Result<Self, E> {
        let failed = |problem: BackupProblem| E::from(problem.at(path));
        let unreadable = |error| failed(BackupProblem::io("cannot be read", &error));
        let file = File::open(path).map_err(unreadable)?;
        if file.metadata().map_err(unreadable)?.is_dir() {
            return Err(unreadable(std::io::ErrorKind::IsADirectory.into()));
        }
        let plain = seal::unseal(BufReader::new(file), passphrase).map_err(failed)?;
        let claim = |manifest: &Manifest, config: Option<&str>| {
            let gallery = place(manifest, config)?;
            let work = Workfile::claim(&gallery, ".restoring").map_err(E::from)?;
            work.give_to_owner_of(&gallery);
            Ok::<_, E>(work)
        };
        let read = archive::read(plain, claim, progress).map_err(failed)?;
        let (manifest, key, work) = read?;
        let store = check(work.path(), settings.clone(), key).map_err(|error| {
            match judged(error, &manifest) {
                Ok(problem) => failed(problem),
                Err(error) => error.into(),
            }
        })?;
        Ok(Self { manifest, store, work, settings })
    }

    /// The restored database, before it is in its place.
    #[must_use]
    pub const fn store(&self) -> &Store {
        &self.store
    }

    /// The same, to be written to.
    #[must_use]
    pub const fn store_mut(&mut self) -> &mut Store {
        &mut self.store
    }

    /// Seals by the key in `place`, or by one that is made there, when it is placed; where this is not
    /// said, by the one beside the gallery.
    pub fn seal_by(&mut self, place: SealPlace) {
        self.settings.key_place = Some(place);
    }

    /// Puts it at `gallery`, sealed by this board's key, and `config` at its path. The gallery that is there is kept beside,
    /// with `aside` behind its name, if `replace`; so is the configuration, if it has to be kept.
    ///
    /// # Errors
    /// [`BackupProblem::GalleryThere`] without `replace`, [`BackupProblem::InUse`], or what the
    /// system says; both are as they were then. [`BackupProblem::HalfDone`] when only the
    /// configuration could not be put in place.
    pub fn place(
        self,
        gallery: &Path,
        config: Option<&NewConfig>,
        aside: &str,
        replace: bool,
    ) -> Result<Placed, Error> {
        let Self { mut store, mut work, settings, .. } = self;
        if Held::take(gallery)?.is_something() && !replace {
            return Err(BackupProblem::GalleryThere.at(gallery));
        }
        let (key, kind) = board_key(gallery, settings)?;
        store.seal_anew(&key, kind)?;
        // Back to one file: what goes over must not leave half of itself in a WAL.
        one_file(&store.connection).map_err(|source| store.error(source))?;
        drop(store);
        // Of the two places, /etc is the one that may turn out not to be permitted.
        let staged = config.map(stage).transpose()?;
        let kept_gallery = put(&mut work, gallery, aside, replace)?;
        let kept_config = match staged.zip(config) {
            None => None,
            Some((staged, config)) => put_config(staged, config, aside).map_err(|error| {
                BackupProblem::HalfDone { what: error.to_string() }.at(&config.path)
            })?,
        };
        Ok(Placed { kept_gallery, kept_config })
    }
}

/// The key of this board: the one that the gallery here is sealed by, one that lies there, or a new one.
fn board_key(gallery: &Path, settings: StoreSettings) -> Result<(StoreKey, PlaceKind), Error> {
    let beside = || SealPlace::beside_database(gallery);
    let place = settings.key_place.clone().unwrap_or_else(beside);
    let here = Store::open_read_only(gallery, settings).and_then(|store| store.store_key());
    match here {
        Ok(Some(key)) => return Ok((StoreKey::clone(&key), place.kind)),
        // The service would find a gallery that is sealed by another key than its own.
        Err(Error::Sealed { path, trouble }) if trouble.is_out_of_sight() => {
            return Err(Error::Sealed { path, trouble });
        }
        // A gallery that cannot be read, or not be opened, has no say: it is put aside.
        _ => {}
    }
    let sealed = |trouble| Error::Sealed { path: gallery.to_owned(), trouble: Box::new(trouble) };
    let owner = owner_of(gallery).or_else(|| owner_of(folder_of(gallery)));
    let key = match place.load(None, owner).map_err(sealed)? {
        Some(found) => found.key,
        None => place.make(owner).map_err(sealed)?,
    };
    Ok((key, place.kind))
}

/// Puts `work` at `gallery`; where the old one is now.
fn put(
    work: &mut Workfile,
    gallery: &Path,
    aside: &str,
    replace: bool,
) -> Result<Option<PathBuf>, Error> {
    let failed =
        |error: std::io::Error| BackupProblem::io("may not be written", &error).at(gallery);
    let held = Held::take(gallery)?;
    if held.is_something() && !replace {
        return Err(BackupProblem::GalleryThere.at(gallery));
    }
    if let Held::Gallery(connection) = &held {
        one_file(connection)
            .map_err(|source| Error::at(gallery, PATIENCE.as_millis() as u32, source))?;
    }
    let kept =
        held.is_something().then(|| link_aside(gallery, aside)).transpose().map_err(failed)?;
    if let Err(error) = work.keep_as(gallery) {
        return Err(undo(gallery, kept.as_deref(), &error).at(gallery));
    }
    sync_folder_of(gallery).map_err(|error| {
        BackupProblem::io("is restored, and may not be on the medium yet", &error).at(gallery)
    })?;
    Ok(kept)
}

/// The configuration under another name, with the rights that it is to have. It holds no secret, and
/// the service's user must be able to read it: a new one is for everybody to read.
fn stage(config: &NewConfig) -> Result<Workfile, Error> {
    let mut work = Workfile::claim(&config.path, ".restoring")?;
    work.give_to_owner_of(&config.path);
    let rights = std::fs::metadata(&config.path)
        .map_or_else(|_| Permissions::from_mode(0o644), |about| about.permissions());
    work.write_all(config.text.as_bytes())
        .and_then(|()| work.set_rights(rights))
        .map_err(|error| BackupProblem::io("may not be written", &error).at(&config.path))?;
    Ok(work)
}

fn put_config(
    mut staged: Workfile,
    config: &NewConfig,
    aside: &str,
) -> std::io::Result<Option<PathBuf>> {
    let kept = config.keeps_old.then(|| link_aside(&config.path, aside)).transpose()?;
    staged.keep_as(&config.path)?;
    sync_folder_of(&config.path)?;
    Ok(kept)
}

/// Takes the old gallery back from where it was put aside.
fn undo(gallery: &Path, kept: Option<&Path>, error: &std::io::Error) -> BackupProblem {
    let Some(kept) = kept else { return BackupProblem::io("may not be written", error) };
    // Over the same file under another name this removes nothing; then that name has to go.
    match std::fs::rename(kept, gallery) {
        Ok(()) => {
            let _same_file = std::fs::remove_file(kept);
            BackupProblem::io("may not be written", error)
        }
        Err(_) => {
            BackupProblem::Unplaced { what: error.to_string(), kept: kept.display().to_string() }
        }
    }
}

/// `key` is what it is sealed by; one from before that is sealed by a key that nobody keeps, until it is
/// sealed by this board's.
fn check(path: &Path, settings: StoreSettings, key: Option<StoreKey>) -> Result<Store, Error> {
    let sealed = |error: NotSealed| {
        let trouble = Box::new(SealTrouble::from(error));
        Error::Sealed { path: path.to_owned(), trouble }
    };
    let key = key.map_or_else(StoreKey::generate, Ok).map_err(sealed)?;
    let store = Store::open_with(path, settings, key)?;
    store.check()?;
    Ok(store)
}

/// What an error of the received database means for the backup; others pass.
fn judged(error: Error, manifest: &Manifest) -> Result<BackupProblem, Error> {
    let unsound = |what: &str| Ok(BackupProblem::Unsound { what: what.to_owned() });
    match error {
        Error::Newer { found, .. } => Ok(archive::newer(found, manifest)),
        Error::NotADatabase { .. } => unsound("it is none"),
        Error::Foreign { .. } => unsound("it belongs to another program"),
        Error::Corrupt { what, .. } | Error::SchemaDiffers { what, .. } => unsound(&what),
        other => Err(other),
    }
}

/// Leaves WAL mode, which folds the WAL into the file and removes it.
fn one_file(connection: &Connection) -> rusqlite::Result<()> {
    connection.query_row("PRAGMA journal_mode = DELETE", [], |_| Ok(()))
}

/// What is at the gallery's place, and that nobody else has it open.
#[derive(Debug)]
pub enum Held {
    /// Nothing.
    Nothing,
    /// A database of this program, open for nobody but the holder of this.
    Gallery(Connection),
    /// Something that SQLite cannot read: whether somebody has it open cannot be told.
    Damaged,
}

impl Held {
    /// Takes hold of the gallery at `path` until the value is dropped.
    ///
    /// # Errors
    /// [`BackupProblem::InUse`] while another process has it open, [`Error::Foreign`] for another
    /// program's database, or what SQLite says.
    pub fn take(path: &Path) -> Result<Self, Error> {
        match std::fs::metadata(path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
                // A WAL without its database would be poured into the next one.
                let remains = beside(path, "-wal").is_some_and(|wal| wal.exists());
                return Ok(if remains { Self::Damaged } else { Self::Nothing });
            }
            Ok(about) if !about.is_file() => {
                let error = std::io::Error::from(std::io::ErrorKind::IsADirectory);
                return Err(BackupProblem::io("may not be written", &error).at(path));
            }
            _ => {}
        }
        // SQLite would throw away the log beside a file that is none of its own.
        if !begins_as_database(path) {
            return Ok(Self::Damaged);
        }
        match exclusive(path) {
            Ok((connection, objects, application)) => {
                if objects > 0 && application != schema::APPLICATION_ID {
                    return Err(Error::Foreign {
                        path: path.to_owned(),
                        found: application,
                        wanted: schema::APPLICATION_ID,
                    });
                }
                Ok(Self::Gallery(connection))
            }
            Err(source) => match Error::at(path, PATIENCE.as_millis() as u32, source) {
                Error::Busy { .. } => Err(BackupProblem::InUse.at(path)),
                Error::NotADatabase { .. } | Error::Corrupt { .. } => Ok(Self::Damaged),
                other => Err(other),
            },
        }
    }

    /// Whether something is there.
    #[must_use]
    pub const fn is_something(&self) -> bool {
        !matches!(self, Self::Nothing)
    }
}

/// Whether the file is empty or has SQLite's mark at its beginning; one that cannot be read is left
/// to SQLite to complain of. Source: "Database File Format", sqlite.org, section 1.3.
fn begins_as_database(path: &Path) -> bool {
    let mut mark = [0; 16];
    let read = File::open(path).and_then(|mut file| {
        let length = file.metadata()?.len();
        if length > 0 {
            std::io::Read::read_exact(&mut file, &mut mark).map(|()| true)
        } else {
            Ok(false)
        }
    });
    match read {
        Ok(true) => mark == *b"SQLite format 3\0",
        Ok(false) => true,
        Err(error) => error.kind() != std::io::ErrorKind::UnexpectedEof,
    }
}

/// Opens for one process alone; how many objects it has, and whose it is.
fn exclusive(path: &Path) -> rusqlite::Result<(Connection, i64, u32)> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(PATIENCE)?;
    connection.query_row("PRAGMA locking_mode = EXCLUSIVE", [], |_| Ok(()))?;
    let objects =
        connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))?;
    let application: i64 =
        connection.pragma_query_value(None, "application_id", |row| row.get(0))?;
    // In WAL mode reading was enough to shut others out; in the others it takes a transaction.
    connection.execute_batch("BEGIN EXCLUSIVE; COMMIT")?;
    Ok((connection, objects, application as u32))
}

/// Gives what lies at `path` a second name beside it, with `aside` behind, and moves its companions.
fn link_aside(path: &Path, aside: &str) -> std::io::Result<PathBuf> {
    let numbered = (1..).map(|n| if n == 1 { aside.to_owned() } else { format!("{aside}-{n}") });
    let free = numbered
        .take(100)
        .filter_map(|suffix| beside(path, &suffix))
        .find(|path| path.symlink_metadata().is_err());
    let kept = free.ok_or(std::io::ErrorKind::AlreadyExists)?;
    for suffix in COMPANIONS {
        let (Some(from), Some(to)) = (beside(path, suffix), beside(&kept, suffix)) else {
            continue;
        };
        if from.exists() {
            std::fs::rename(from, to)?;
        }
    }
    if path.exists() {
        // Not every file system has second names; there the old one is away for a moment.
        std::fs::hard_link(path, &kept).or_else(|_| std::fs::rename(path, &kept))?;
    }
    sync_folder_of(path)?;
    Ok(kept)
}
