//! The public parts of the keys by which the door signs its grants.
//!
//! In: a key that is in use, or is to be from now on. Out: the keys that listeners are told of, the
//! current one first. Invariants: one key at most is current; a rotation is one transaction with its
//! record; a key that was in use is named for its overlap and then forgotten; at most
//! [`KNOWN_MAX`] are kept. Deliberately absent: private keys, which lie in files of their own.

use rusqlite::types::Type;
use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::people::Undone;
use super::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};
use crate::sign::{PlaceKind, PublicKey, Thumbprint};

/// Keys that are kept, the current one included.
const KNOWN_MAX: i64 = 4;

/// A key that the database knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KnownKey {
    /// The key.
    pub public: PublicKey,
    /// Where its private part was when it was last used.
    pub place: PlaceKind,
    /// Since when it is known, milliseconds since 1970.
    pub since_ms: i64,
    /// Until when listeners are told of it, milliseconds since 1970; `None` for the current one.
    pub listed_until_ms: Option<i64>,
}

/// A change of keys.
#[derive(Debug, Clone, Copy)]
pub struct Rotation<'a> {
    /// The key that signs from now on.
    pub key: &'a PublicKey,
    /// Where its private part is.
    pub place: PlaceKind,
    /// For how many seconds listeners are still told of the one before.
    pub overlap_s: u64,
}

impl KnownKey {
    /// Whether listeners are told of it at `unix_ms`.
    #[must_use]
    pub fn is_listed(&self, unix_ms: i64) -> bool {
        self.listed_until_ms.is_none_or(|until| unix_ms < until)
    }
}

impl Store {
    /// The keys that are known, the current one first, then the newest.
    ///
    /// # Errors
    /// What the database says.
    pub fn grant_keys(&self) -> Result<Vec<KnownKey>, Error> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT x, place, since_ms, listed_until_ms FROM grant_keys
                 ORDER BY listed_until_ms IS NOT NULL, listed_until_ms DESC",
            )?;
            statement.query_map([], known)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// Notes that the door signs with `key`, which lies in `place`: the first key of a database, or
    /// the current one in another place.
    ///
    /// # Errors
    /// What the database says.
    pub fn note_grant_key(
        &mut self,
        key: &PublicKey,
        place: PlaceKind,
        now_ms: i64,
    ) -> Result<(), Error> {
        self.write(|connection| {
            connection.execute(
                "INSERT INTO grant_keys (kid, x, place, since_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (kid) DO UPDATE SET place = excluded.place",
                params![key.thumbprint().as_str(), key.x(), name(place), now_ms],
            )?;
            Ok(())
        })
    }

    /// Makes another key the current one, and records it, in one transaction.
    ///
    /// # Errors
    /// What the database says; nothing was changed then.
    pub fn rotate_grant_key(
        &mut self,
        rotation: Rotation<'_>,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let event = rotate(connection, rotation, by.wall.unix_ms)?;
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }

    /// The user to whom the database belongs, and everything beside it that has secrets in it.
    #[must_use]
    pub fn owner(&self) -> Option<u32> {
        super::owner_of(&self.path)
    }
}

fn rotate(
    connection: &Connection,
    Rotation { key, place, overlap_s }: Rotation<'_>,
    now_ms: i64,
) -> Result<Administrative, Undone> {
    let overlap_ms = i64::try_from(overlap_s.saturating_mul(1000)).unwrap_or(i64::MAX);
    let before: Option<String> = connection
        .query_row("SELECT kid FROM grant_keys WHERE listed_until_ms IS NULL", [], |row| row.get(0))
        .optional()?;
    let after = key.thumbprint();
    if before.as_deref() == Some(after.as_str()) {
        return Err(Error::SameKey { key: after.clone() }.into());
    }
    connection.execute(
        "UPDATE grant_keys SET listed_until_ms = ?1 WHERE listed_until_ms IS NULL",
        [now_ms.saturating_add(overlap_ms)],
    )?;
    connection.execute(
        "INSERT OR REPLACE INTO grant_keys (kid, x, place, since_ms) VALUES (?1, ?2, ?3, ?4)",
        params![after.as_str(), key.x(), name(place), now_ms],
    )?;
    connection.execute(
        "DELETE FROM grant_keys WHERE listed_until_ms <= ?1 OR kid IN (
             SELECT kid FROM grant_keys
             ORDER BY listed_until_ms IS NOT NULL, listed_until_ms DESC LIMIT -1 OFFSET ?2)",
        params![now_ms, KNOWN_MAX],
    )?;
    Ok(Administrative::KeyRotated {
        before: before.and_then(|kid| Thumbprint::try_from(kid).ok()),
        after: after.clone(),
        overlap_s,
    })
}

const fn name(place: PlaceKind) -> &'static str {
    match place {
        PlaceKind::File => "file",
        PlaceKind::Credential => "credential",
    }
}

fn known(row: &Row<'_>) -> rusqlite::Result<KnownKey> {
    let (x, place): (String, String) = (row.get(0)?, row.get(1)?);
    let public = PublicKey::from_x(&x).map_err(|problem| {
        rusqlite::Error::FromSqlConversionFailure(0, Type::Text, Box::new(problem))
    })?;
    Ok(KnownKey {
        public,
        place: if place == name(PlaceKind::File) { PlaceKind::File } else { PlaceKind::Credential },
        since_ms: row.get(2)?,
        listed_until_ms: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::sign::GrantKey;
    use crate::store::StoreSettings;

    fn by(unix_ms: i64) -> Signature<'static> {
        let wall = WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: true };
        Signature { door: "front", boot: Uuid::nil(), now: Monotonic::default(), wall }
    }

    fn key() -> PublicKey {
        GrantKey::generate().unwrap().public().clone()
    }

    fn store(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap()
    }

    fn listed(store: &Store, at_ms: i64) -> Vec<PublicKey> {
        let keys = store.grant_keys().unwrap();
        keys.into_iter().filter(|key| key.is_listed(at_ms)).map(|key| key.public).collect()
    }

    #[test]
    fn the_key_before_is_listed_for_its_overlap_and_the_change_is_recorded() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(&folder);
        let (first, second, third) = (key(), key(), key());
        store.note_grant_key(&first, PlaceKind::File, 1000).unwrap();
        store.note_grant_key(&first, PlaceKind::Credential, 2000).unwrap();
        assert_eq!(store.grant_keys().unwrap().len(), 1);
        assert_eq!(store.grant_keys().unwrap()[0].place, PlaceKind::Credential);
        assert!(store.note_grant_key(&second, PlaceKind::File, 1000).is_err(), "one is current");

        let place = PlaceKind::File;
        let rotation = Rotation { key: &second, place, overlap_s: 10 };
        let record = store.rotate_grant_key(rotation, by(5_000)).unwrap();
        let event = Administrative::KeyRotated {
            before: Some(first.thumbprint().clone()),
            after: second.thumbprint().clone(),
            overlap_s: 10,
        };
        assert_eq!(record.body, Body::Administrative(event));
        assert_eq!(store.audit(0, 9).unwrap(), [record]);
        assert_eq!(listed(&store, 14_999), [second.clone(), first.clone()]);
        assert_eq!(listed(&store, 15_000), std::slice::from_ref(&second));

        let again = store.rotate_grant_key(rotation, by(6_000)).unwrap_err();
        assert!(matches!(again, Error::SameKey { .. }), "{again}");
        assert_eq!(store.audit(0, 9).unwrap().len(), 1, "nothing happened");

        let rotation = Rotation { key: &third, place, overlap_s: 0 };
        store.rotate_grant_key(rotation, by(7_000)).unwrap();
        assert_eq!(listed(&store, 7_000), [third.clone(), first], "no overlap was wanted");
    }

    #[test]
    fn however_often_keys_change_few_are_kept() {
        let folder = tempfile::tempdir().unwrap();
        let mut store = store(&folder);
        for round in 0..10 {
            let key = key();
            let rotation = Rotation { key: &key, place: PlaceKind::File, overlap_s: 1000 };
            store.rotate_grant_key(rotation, by(round)).unwrap();
            assert_eq!(store.grant_keys().unwrap()[0].public, key);
        }
        assert_eq!(store.grant_keys().unwrap().len(), 4);
    }
}
