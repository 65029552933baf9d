//! Which key a database is sealed by, and that key in memory.
//!
//! In: a connection, in a transaction where something is to be sealed. Out: the store key, or why there is
//! none. Invariants: the key is the one that the database has recorded, also after another program has
//! rotated it; one is made only for a database that has recorded none.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};

use super::{SealName, SealPlace, SealTrouble, StoreKey};
use crate::sign::PlaceKind;
use crate::store::people::Undone;
use crate::store::{Error, owner_of};

/// Where the key comes from.
#[derive(Debug)]
enum Origin {
    /// A file or a credential.
    Place(SealPlace),
    /// It is in hand: that of a backup.
    Held(StoreKey),
}

/// The key of one database.
#[derive(Debug)]
pub(in crate::store) struct Vault {
    database: PathBuf,
    origin: Origin,
    key: Mutex<Option<Arc<StoreKey>>>,
}

/// What a database says of its key.
#[derive(Debug, Clone)]
pub(in crate::store) struct Recorded {
    pub name: SealName,
    pub place: PlaceKind,
}

impl Vault {
    pub(in crate::store) fn at(database: PathBuf, place: SealPlace) -> Self {
        Self { database, origin: Origin::Place(place), key: Mutex::default() }
    }

    pub(in crate::store) fn holding(database: PathBuf, key: StoreKey) -> Self {
        Self { database, origin: Origin::Held(key), key: Mutex::default() }
    }

    pub(in crate::store) fn database(&self) -> &Path {
        &self.database
    }

    /// The key by which names and references of this database are sealed.
    pub(in crate::store) fn opening(
        &self,
        connection: &Connection,
    ) -> Result<Arc<StoreKey>, Undone> {
        match recorded(connection)? {
            Some(recorded) => self.key_of(&recorded),
            None => Err(self.trouble(SealTrouble::Unrecorded)),
        }
    }

    /// The same, which is made and recorded where there is none yet.
    pub(in crate::store) fn sealing(
        &self,
        connection: &Connection,
    ) -> Result<Arc<StoreKey>, Undone> {
        if let Some(recorded) = recorded(connection)? {
            return self.key_of(&recorded);
        }
        let (key, place) = match &self.origin {
            Origin::Held(key) => (key.clone(), PlaceKind::File),
            Origin::Place(place) => {
                let owner = owner_of(&self.database);
                let found = place.load(None, owner).map_err(|trouble| self.trouble(trouble))?;
                let key = match found {
                    Some(found) => found.key,
                    None => place.make(owner).map_err(|trouble| self.trouble(trouble))?,
                };
                (key, place.kind)
            }
        };
        record(connection, key.name(), place)?;
        Ok(self.keep(key))
    }

    fn key_of(&self, recorded: &Recorded) -> Result<Arc<StoreKey>, Undone> {
        let known = self.key.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(key) = known.filter(|key| *key.name() == recorded.name) {
            return Ok(key);
        }
        let place = match &self.origin {
            Origin::Held(key) if *key.name() == recorded.name => return Ok(self.keep(key.clone())),
            Origin::Held(key) => {
                return Err(self.trouble(SealTrouble::Other {
                    path: self.database.clone(),
                    found: key.name().clone(),
                    recorded: recorded.name.clone(),
                    credential: false,
                }));
            }
            Origin::Place(place) => place,
        };
        let found = place
            .load(Some((&recorded.name, recorded.place)), owner_of(&self.database))
            .map_err(|trouble| self.trouble(trouble))?;
        let missing = || SealTrouble::Missing {
            path: place.path.clone(),
            recorded: recorded.name.clone(),
            credential: false,
        };
        let found = found.ok_or_else(|| self.trouble(missing()))?;
        if found.beside {
            // A rotation was broken off behind its record. Whoever may not finish it can read it.
            drop(place.settle());
        }
        Ok(self.keep(found.key))
    }

    fn keep(&self, key: StoreKey) -> Arc<StoreKey> {
        let key = Arc::new(key);
        *self.key.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&key));
        key
    }

    pub(in crate::store) fn trouble(&self, trouble: SealTrouble) -> Undone {
        Error::Sealed { path: self.database.clone(), trouble: Box::new(trouble) }.into()
    }

    pub(in crate::store) fn not_sealed(&self, error: super::NotSealed) -> Undone {
        self.trouble(error.into())
    }

    /// What `subject` has does not open.
    pub(in crate::store) fn unopened(&self, subject: &str, what: &str) -> Undone {
        let (path, subject, what) = (self.database.clone(), subject.to_owned(), what.to_owned());
        Error::Unopened { path, subject, what }.into()
    }
}

/// By which key the database is sealed, where anything is.
pub(in crate::store) fn recorded(connection: &Connection) -> Result<Option<Recorded>, Undone> {
    let row: Option<(String, String)> = connection
        .prepare_cached("SELECT name, place FROM store_key")?
        .query_row([], |row| Ok((row.get(0)?, row.get(1)?)))
        .optional()?;
    let Some((name, place)) = row else { return Ok(None) };
    let name = SealName::try_from(name).map_err(|what| {
        let error = Box::<dyn std::error::Error + Send + Sync>::from(what);
        rusqlite::Error::FromSqlConversionFailure(0, rusqlite::types::Type::Text, error)
    })?;
    let place = if place == "credential" { PlaceKind::Credential } else { PlaceKind::File };
    Ok(Some(Recorded { name, place }))
}

/// Notes that the database is sealed by the key of this name.
pub(in crate::store) fn record(
    connection: &Connection,
    name: &SealName,
    place: PlaceKind,
) -> rusqlite::Result<()> {
    let place = match place {
        PlaceKind::File => "file",
        PlaceKind::Credential => "credential",
    };
    connection.execute(
        "INSERT INTO store_key (id, name, place, swept) VALUES (1, ?1, ?2, 1)
         ON CONFLICT (id) DO UPDATE SET name = excluded.name, place = excluded.place",
        params![name.as_str(), place],
    )?;
    Ok(())
}
