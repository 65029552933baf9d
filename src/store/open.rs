//! Opening: refuse what is not ours, make what is missing, migrate what is older.
//!
//! Path → [`Store`]. The order matters: a file's identity and version are read, and where pages are
//! checked that is done, before anything is written to it, so a refused file is byte for byte what it
//! was. A new file is made with mode 0600 before SQLite sees it, and SQLite gives its WAL the same
//! mode. Checking pages reads the whole file: the daemon does so at its start, a migration before it
//! writes, and a command only where it is for that.

use std::fs::OpenOptions;
use std::io::ErrorKind as IoKind;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags, TransactionBehavior};

use super::error::is_refusal;
use super::people::Undone;
use super::seal::{SealPlace, StoreKey, Vault};
use super::{Error, Store, StoreSettings, schema};

impl Store {
    /// Opens the database at `path` for reading and writing; makes it when there is none.
    ///
    /// # Errors
    /// [`Error`] says why the file was refused; a refused file is left as it was found.
    pub fn open(path: &Path, settings: StoreSettings) -> Result<Self, Error> {
        Self::open_for_writing(path, settings, false)
    }

    /// As [`Store::open`], after a look at every page of the file and at what its rows point to.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::Corrupt`] for a file that is damaged anywhere.
    pub fn open_checked(path: &Path, settings: StoreSettings) -> Result<Self, Error> {
        Self::open_for_writing(path, settings, true)
    }

    fn open_for_writing(path: &Path, settings: StoreSettings, checks: bool) -> Result<Self, Error> {
        make_file(path)?;
        let store = Self::connect(path, settings, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store.begin(checks)
    }

    /// Opens the database of a backup, which is sealed by `key`, or is to be where it is not yet.
    pub(super) fn open_with(
        path: &Path,
        settings: StoreSettings,
        key: StoreKey,
    ) -> Result<Self, Error> {
        let mut store = Self::connect(path, settings, OpenFlags::SQLITE_OPEN_READ_WRITE)?;
        store.vault = Arc::new(Vault::holding(path.to_owned(), key));
        store.begin(false)
    }

    fn begin(mut self, checks: bool) -> Result<Self, Error> {
        let path = self.path.clone();
        let store = &mut self;
        let version = store.identify()?;
        if checks || version < schema::VERSION {
            store.check_pages()?;
        }
        tighten(&path)?;
        store.prepare()?;
        if version < schema::VERSION {
            store.bring_up(version)?;
        }
        store.check_tables()?;
        if checks {
            store.check_rows()?;
        }
        if let Err(error) = store.sweep() {
            tracing::warn!(%error, "names and references are sealed, and parts of them may still stand readable in the file; it is rewritten as soon as there is room and nobody else is reading");
        }
        Ok(self)
    }

    /// Opens an existing database for reading. Writing through it is refused by SQLite itself.
    ///
    /// # Errors
    /// As [`Store::open`], and [`Error::Older`], because reading may not migrate.
    pub fn open_read_only(path: &Path, settings: StoreSettings) -> Result<Self, Error> {
        let store = Self::connect(path, settings, OpenFlags::SQLITE_OPEN_READ_ONLY)?;
        let found = store.identify()?;
        if found < schema::VERSION {
            return Err(Error::Older { path: path.to_owned(), found, wanted: schema::VERSION });
        }
        store.check_tables()?;
        Ok(store)
    }

    /// Checks the whole file: pages, indices, tables and foreign keys. Slower than what
    /// [`Store::open_checked`] does; `doctor` runs it.
    ///
    /// # Errors
    /// What was found.
    pub fn check(&self) -> Result<(), Error> {
        self.expect_ok("integrity_check(1)")?;
        self.check_tables()?;
        self.check_rows()
    }

    pub(super) fn connect(
        path: &Path,
        settings: StoreSettings,
        access: OpenFlags,
    ) -> Result<Self, Error> {
        let waited_ms = settings.busy_timeout_ms;
        let at = |source| Error::at(path, waited_ms, source);
        let flags = access | OpenFlags::SQLITE_OPEN_NO_MUTEX;
        let connection = Connection::open_with_flags(path, flags).map_err(at)?;
        let patience = Duration::from_millis(settings.busy_timeout_ms.into());
        connection.busy_timeout(patience).map_err(at)?;
        let beside = || SealPlace::beside_database(path);
        let place = settings.key_place.clone().unwrap_or_else(beside);
        let vault = Arc::new(Vault::at(path.to_owned(), place));
        Ok(Self { connection, path: path.to_owned(), settings, vault, key: None, acting: None })
    }

    /// The schema version of the file: 0 for an empty one. Refuses what is not ours, or newer.
    fn identify(&self) -> Result<i64, Error> {
        let number = |pragma: &str| -> Result<i64, Error> {
            self.connection
                .pragma_query_value(None, pragma, |row| row.get(0))
                .map_err(|source| self.error(source))
        };
        let objects: i64 = self
            .connection
            .query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get(0))
            .map_err(|source| self.error(source))?;
        let application = number("application_id")? as u32;
        let version = number("user_version")?;
        if objects == 0 && application == 0 && version == 0 {
            return Ok(0);
        }
        if application != schema::APPLICATION_ID {
            return Err(Error::Foreign {
                path: self.path.clone(),
                found: application,
                wanted: schema::APPLICATION_ID,
            });
        }
        if version > schema::VERSION {
            return Err(Error::Newer {
                path: self.path.clone(),
                found: version,
                known: schema::VERSION,
            });
        }
        Ok(version)
    }

    pub(super) fn check_pages(&self) -> Result<(), Error> {
        self.expect_ok("quick_check(1)")
    }

    fn expect_ok(&self, pragma: &str) -> Result<(), Error> {
        let sql = format!("PRAGMA {pragma}");
        let found: String = self
            .connection
            .query_row(&sql, [], |row| row.get(0))
            .map_err(|source| self.error(source))?;
        if found == "ok" {
            return Ok(());
        }
        Err(Error::Corrupt { path: self.path.clone(), what: found.replace('\n', " ") })
    }

    fn check_tables(&self) -> Result<(), Error> {
        match schema::differences(&self.connection).map_err(|source| self.error(source))? {
            None => Ok(()),
            Some(what) => Err(Error::SchemaDiffers {
                path: self.path.clone(),
                version: schema::VERSION,
                what,
            }),
        }
    }

    fn check_rows(&self) -> Result<(), Error> {
        let orphans: i64 = self
            .connection
            .query_row("SELECT count(*) FROM pragma_foreign_key_check", [], |row| row.get(0))
            .map_err(|source| self.error(source))?;
        if orphans == 0 {
            return Ok(());
        }
        let what = format!("{orphans} rows point to rows that are gone");
        Err(Error::Corrupt { path: self.path.clone(), what })
    }

    fn prepare(&self) -> Result<(), Error> {
        // secure_delete overwrites what is erased with zeros: removing a person must remove the
        // numbers of the face, too. FULL syncs the WAL at every commit; NORMAL would lose the last
        // decisions in a power cut.
        self.connection
            .execute_batch(
                "PRAGMA journal_mode = WAL;
                 PRAGMA synchronous = FULL;
                 PRAGMA foreign_keys = ON;
                 PRAGMA secure_delete = ON;
                 PRAGMA journal_size_limit = 4194304;",
            )
            .map_err(|source| self.error(source))
    }

    fn bring_up(&mut self, version: i64) -> Result<(), Error> {
        let (path, waited_ms) = (self.path.clone(), self.settings.busy_timeout_ms);
        let at = |source| Error::at(&path, waited_ms, source);
        let undone = |undone| match undone {
            Undone::Sqlite(source) => at(source),
            Undone::Refused(error) => error,
        };
        // Within a transaction it would have no effect, and a step may replace a table that others point
        // to.
        let foreign_keys = |connection: &Connection, on: bool| {
            connection.pragma_update(None, "foreign_keys", on).map_err(at)
        };
        foreign_keys(&self.connection, false)?;
        let transaction = self
            .connection
            .transaction_with_behavior(TransactionBehavior::Immediate)
            .map_err(at)?;
        // Another process may have done it while this one waited for the lock.
        let now: i64 =
            transaction.pragma_query_value(None, "user_version", |row| row.get(0)).map_err(at)?;
        match now {
            0 => schema::make(&transaction).map_err(at)?,
            now if now < schema::VERSION => {
                schema::migrate(&transaction, now, &self.vault).map_err(undone)?;
            }
            _ => {}
        }
        transaction.commit().map_err(at)?;
        foreign_keys(&self.connection, true)?;
        if version != now || version == 0 {
            return Ok(());
        }
        tracing::info!(from = version, to = schema::VERSION, "database schema migrated");
        self.tell_of_unknown_files()
    }

    /// References from before procedures were recorded are out of use until somebody vouches for
    /// them: whoever upgrades is told at once.
    fn tell_of_unknown_files(&self) -> Result<(), Error> {
        for entry in self.references_by_model()? {
            if entry.procedure.is_none() {
                tracing::warn!(
                    model = entry.model,
                    references = entry.references,
                    "references do not say which model file made them and are not compared; if it was the one that is installed now, say 'deepid-edge subjects adopt --model {}', else enroll those people again",
                    entry.model
                );
            }
        }
        Ok(())
    }

    pub(super) fn error(&self, source: rusqlite::Error) -> Error {
        Error::at(&self.path, self.settings.busy_timeout_ms, source)
    }
}

/// Makes an empty file that only its owner may read, unless there is one.
fn make_file(path: &Path) -> Result<(), Error> {
    match OpenOptions::new().write(true).create_new(true).mode(0o600).open(path) {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == IoKind::AlreadyExists => Ok(()),
        Err(error) if is_refusal(&error) => {
            Err(Error::ReadOnly { path: path.to_owned(), what: error.to_string() })
        }
        Err(error) if error.kind() == IoKind::StorageFull => {
            Err(Error::DiskFull { path: path.to_owned() })
        }
        Err(error) => Err(Error::CannotOpen { path: path.to_owned(), what: error.to_string() }),
    }
}

/// Takes away what others may do with the file.
fn tighten(path: &Path) -> Result<(), Error> {
    let failed =
        |error: std::io::Error| Error::ReadOnly { path: path.to_owned(), what: error.to_string() };
    let mode = std::fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode | 0o700 == 0o700 {
        return Ok(());
    }
    tracing::warn!(path = %path.display(), mode = format!("{:o}", mode), "the database was readable by others; its mode is now 600");
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o600)).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::store::{Administrative, Change, ModelReferences, Signature};

    const WALL: WallClock =
        WallClock { unix_ms: 0, trust: ClockTrust::Trusted, synchronised: false };

    #[test]
    fn an_old_file_is_migrated_with_its_rows_and_becomes_like_a_new_one() {
        for version in 1..schema::VERSION {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("old.db");
            let mut old = Connection::open(&path).unwrap();
            // Rows are written as they were before they were sealed.
            let plain = version.min(schema::SEALED - 1);
            schema::make_version(&old, plain as usize);
            old.execute_batch(
                "INSERT INTO subjects VALUES ('s-4f9a1c', 'Ada', 1, 7);
                 INSERT INTO subject_references (id, subject, model, vector, quality, source, created_ms)
                    VALUES (5, 's-4f9a1c', 'm', x'0000803f', 1, 'image', 7);
                 INSERT INTO audit (seq, id, door, boot, monotonic_ms, issued_ms, clock, body) VALUES (41, '0196f3c2-0000-7000-8000-000000000000', 'front',
                    '7c0d2f6a-0000-4000-8000-000000000001', 1, 2, 'trusted',
                    '{\"administrative\":{\"event\":\"stopped\"}}');
                 INSERT INTO outbox VALUES (41);",
            )
            .unwrap();
            if version >= 3 {
                let sql = "UPDATE audit_state SET kept = 1, unvouched_seq = 41, unvouched_ms = 2";
                old.execute_batch(sql).unwrap();
            }
            // That version has bound its records itself.
            if version >= schema::CHAINED {
                crate::store::chain::bind_existing(&old).unwrap();
            }
            if version > plain {
                let vault = Vault::at(path.clone(), SealPlace::beside_database(&path));
                schema::bring_to(&mut old, plain, version, &vault);
            }
            drop(old);
            let reader = Store::open_read_only(&path, StoreSettings::default()).unwrap_err();
            assert!(
                matches!(reader, Error::Older { found, wanted: schema::VERSION, .. } if found == version),
                "reading may not migrate, and says so: {reader}"
            );
            let text = reader.to_string();
            assert!(text.contains("systemctl restart") && !text.contains("by hand"), "{text}");

            let mut store = Store::open(&path, StoreSettings::default()).unwrap();
            assert_eq!(schema::differences(&store.connection).unwrap(), None);
            assert_eq!(store.identify().unwrap(), schema::VERSION);
            let ada = store.subject("Ada").unwrap();
            assert_eq!((ada.id.as_str(), ada.references), ("s-4f9a1c", 1));
            assert_eq!(store.outbox(0, 9).unwrap()[0].seq, 41);
            let mark = Some(crate::clock::Mark { seq: 41, unix_ms: 2 });
            let floor = crate::clock::Floor { vouched: None, unvouched: mark };
            assert_eq!(store.clock_floor().unwrap(), floor, "known without reading the audit");
            let now = Monotonic::default();
            let next = store
                .record_admin(Administrative::Stopped, "front", uuid::Uuid::nil(), now, WALL)
                .unwrap();
            assert_eq!(next.seq, 42);
            let verified = store.verify_records().unwrap();
            assert_eq!((verified.records, verified.broken.len()), (2, 0), "{verified:?}");
            let unknown = ModelReferences { model: "m".to_owned(), procedure: None, references: 1 };
            assert_eq!(store.references_by_model().unwrap(), [unknown], "its file is not known");
            let by = Signature { door: "front", boot: uuid::Uuid::nil(), now, wall: WALL };
            store.administer(Change::Remove { subject: &ada.id }, by).unwrap();
        }
    }

    #[test]
    fn a_full_disk_is_said_and_nothing_is_recorded() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("full.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let pages: i64 =
            store.connection.pragma_query_value(None, "page_count", |row| row.get(0)).unwrap();
        store.connection.pragma_update(None, "max_page_count", pages + 1).unwrap();
        let mut recorded = 0;
        let error = loop {
            let event = Administrative::Started {
                version: "x".repeat(2000),
                recording: false,
                grant_key: None,
            };
            match store.record_admin(event, "front", uuid::Uuid::nil(), Monotonic::default(), WALL)
            {
                Ok(_) => recorded += 1,
                Err(error) => break error,
            }
            assert!(recorded < 100, "the bound on pages has no effect");
        };
        assert!(matches!(error, Error::DiskFull { .. }), "{error}");
        assert_eq!(store.audit(0, 1000).unwrap().len(), recorded);
        store.connection.pragma_update(None, "max_page_count", 10_000).unwrap();
        store
            .record_admin(
                Administrative::Stopped,
                "front",
                uuid::Uuid::nil(),
                Monotonic::default(),
                WALL,
            )
            .unwrap();
    }
}
