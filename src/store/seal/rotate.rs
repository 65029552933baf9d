//! Another store key, for the same people.
//!
//! In: the new key. Out: all data keys wrapped by it, in one transaction with the record; names and
//! references stay as they are. Invariant: a data key that does not open stays as it is, and is reported
//! like every one that does not open.

use std::sync::Arc;

use rusqlite::{Connection, params};

use super::{StoreKey, Vault, vault};
use crate::sign::PlaceKind;
use crate::store::people::Undone;
use crate::store::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};

impl Store {
    /// The key by which names and references are sealed; `None` where none is recorded yet.
    ///
    /// # Errors
    /// [`Error::Sealed`] where it is not there.
    pub fn store_key(&self) -> Result<Option<Arc<StoreKey>>, Error> {
        let read = || match vault::recorded(&self.connection)? {
            Some(_) => self.vault.opening(&self.connection).map(Some),
            None => Ok(None),
        };
        read().map_err(|undone| self.refusal(undone))
    }

    /// What the database says of its key: its name, and where it was when it was first used.
    ///
    /// # Errors
    /// What the database says.
    pub fn store_key_recorded(&self) -> Result<Option<(super::SealName, PlaceKind)>, Error> {
        let recorded = vault::recorded(&self.connection).map_err(|undone| self.refusal(undone))?;
        Ok(recorded.map(|recorded| (recorded.name, recorded.place)))
    }

    /// Seals by `key`, which lies in `place`, from now on, and records it, in one transaction.
    ///
    /// # Errors
    /// [`Error::Sealed`] where the key before is not there, or what the database says; nothing was
    /// changed then.
    pub fn rotate_store_key(
        &mut self,
        key: &StoreKey,
        place: PlaceKind,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let (keeping, vault) = (self.keeping(), Arc::clone(&self.vault));
        self.write(|connection| {
            let before = vault.sealing(connection)?;
            rewrap(connection, &before, key, &vault)?;
            vault::record(connection, key.name(), place)?;
            let (before, after) = (before.name().clone(), key.name().clone());
            let event = Administrative::StoreKeyRotated { before, after };
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }

    /// Seals by `key` without a record: a copy of a database, or one that is to take another's place.
    pub(in crate::store) fn seal_anew(
        &mut self,
        key: &StoreKey,
        place: PlaceKind,
    ) -> Result<(), Error> {
        let vault = Arc::clone(&self.vault);
        self.write(|connection| {
            if vault::recorded(connection)?.is_some() {
                rewrap(connection, &*vault.opening(connection)?, key, &vault)?;
            }
            Ok(vault::record(connection, key.name(), place)?)
        })?;
        self.vault = Arc::new(Vault::holding(self.path.clone(), key.clone()));
        Ok(())
    }
}

fn rewrap(
    connection: &Connection,
    before: &StoreKey,
    after: &StoreKey,
    vault: &Vault,
) -> Result<(), Undone> {
    let mut statement = connection.prepare("SELECT id, data_key FROM subjects")?;
    let rows: Vec<(String, Vec<u8>)> = statement
        .query_map([], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<rusqlite::Result<_>>()?;
    for (subject, wrapped) in rows {
        let Ok(key) = before.unwrap(&subject, &wrapped) else { continue };
        let wrapped = after.wrap(&subject, &key).map_err(|error| vault.not_sealed(error))?;
        connection
            .prepare_cached("UPDATE subjects SET data_key = ?2 WHERE id = ?1")?
            .execute(params![subject, wrapped])?;
    }
    Ok(())
}
