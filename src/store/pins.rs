//! PINs: what argon2id made of them, sealed for their subject.
//!
//! In: a subject, PHC strings. Out: the same, for whoever compares. Invariants: a change is one
//! transaction with its record; the record and the row say whose PIN it is, never whether it is the one
//! for duress; there is one for duress only beside another; all of a subject's go with the subject.
//! Deliberately absent: digits, and how hashes are made and compared.

use std::fmt;
use std::sync::Arc;

use rusqlite::{Connection, OptionalExtension as _, params};
use zeroize::Zeroizing;

use super::administer::{data_key, known};
use super::people::Undone;
use super::references::subject_id;
use super::seal::{DataKey, Vault};
use super::{Administrative, AuditRecord, Body, Error, RuleProblem, Signature, Store, ledger};
use crate::compare::SubjectId;

/// What argon2id made of a subject's PINs, as PHC strings.
#[derive(Clone, PartialEq, Eq)]
pub struct Pins {
    /// The PIN.
    pub pin: Zeroizing<String>,
    /// The other one, by which the subject says that it is under duress.
    pub duress: Option<Zeroizing<String>>,
}

impl fmt::Debug for Pins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Pins(…)")
    }
}

/// Somebody who has a PIN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PinHolder {
    /// Who.
    pub subject: SubjectId,
    /// When one of its PINs was set last, milliseconds since 1970.
    pub set_ms: i64,
}

/// What is to be changed.
#[derive(Debug, Clone, Copy)]
pub enum PinChange<'a> {
    /// The PIN is this one, a PHC string of argon2id.
    Set(&'a str),
    /// The PIN for duress is this one.
    SetDuress(&'a str),
    /// There is no PIN for duress any more.
    RemoveDuress,
    /// There is no PIN any more.
    Remove,
}

impl Pins {
    fn to_text(&self) -> Zeroizing<String> {
        let duress = self.duress.as_ref().map_or("", |duress| duress.as_str());
        Zeroizing::new([self.pin.as_str(), duress].join("\n"))
    }

    fn of(text: &str) -> Self {
        let (pin, duress) = text.split_once('\n').unwrap_or((text, ""));
        let held = |text: &str| Zeroizing::new(text.to_owned());
        Self { pin: held(pin), duress: (!duress.is_empty()).then(|| held(duress)) }
    }
}

impl Store {
    /// Who has a PIN. It can be told without the key.
    ///
    /// # Errors
    /// What the database says.
    pub fn pin_holders(&self) -> Result<Vec<PinHolder>, Error> {
        let read = || {
            let sql = "SELECT subject, set_ms FROM pins ORDER BY subject";
            let mut statement = self.connection.prepare_cached(sql)?;
            let holder = |row: &rusqlite::Row<'_>| {
                Ok(PinHolder { subject: subject_id(row, 0)?, set_ms: row.get(1)? })
            };
            statement.query_map([], holder)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// What was made of the PINs of `subject`; `None` where it has none, or is nobody.
    ///
    /// # Errors
    /// [`Error::Unopened`], [`Error::Sealed`], or what the database says.
    pub fn pins(&self, subject: &SubjectId) -> Result<Option<Pins>, Error> {
        held(&self.connection, &self.vault, subject).map_err(|undone| self.refusal(undone))
    }

    /// Changes the PINs of `subject`, with the record of it.
    ///
    /// # Errors
    /// [`Error::NoSuchSubject`], [`RuleProblem::NoPin`] where there is none to change, or what the
    /// database says; nothing was changed then, and nothing recorded.
    pub fn change_pins(
        &mut self,
        subject: &SubjectId,
        change: PinChange<'_>,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let (keeping, vault) = (self.keeping(), Arc::clone(&self.vault));
        self.write(|connection| {
            known(connection, subject)?;
            let event = apply(connection, &vault, subject, change, by.wall.unix_ms)?;
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }
}

fn apply(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
    change: PinChange<'_>,
    now_ms: i64,
) -> Result<Administrative, Undone> {
    let none = || RuleProblem::NoPin(subject.clone());
    if let PinChange::Remove = change {
        // Without the key, too: what does not open is removed all the same.
        let sql = "DELETE FROM pins WHERE subject = ?1";
        if connection.execute(sql, [subject.as_str()])? == 0 {
            return Err(none().into());
        }
        return Ok(Administrative::PinRemoved { subject: subject.clone() });
    }
    let key = data_key(connection, vault, subject)?;
    let before = held(connection, vault, subject)?;
    let hash = |phc: &str| Zeroizing::new(phc.to_owned());
    let (pins, set) = match change {
        PinChange::Set(pin) => {
            let duress = before.and_then(|pins| pins.duress);
            (Pins { pin: hash(pin), duress }, true)
        }
        PinChange::SetDuress(duress) => {
            let pins = before.ok_or_else(none)?;
            (Pins { duress: Some(hash(duress)), ..pins }, true)
        }
        PinChange::RemoveDuress | PinChange::Remove => {
            let pins = before.filter(|pins| pins.duress.is_some()).ok_or_else(none)?;
            (Pins { duress: None, ..pins }, false)
        }
    };
    put(connection, vault, subject, &key, &pins, now_ms)?;
    let subject = subject.clone();
    Ok(if set {
        Administrative::PinSet { subject }
    } else {
        Administrative::PinRemoved { subject }
    })
}

fn row(connection: &Connection, subject: &SubjectId) -> rusqlite::Result<Option<(Vec<u8>, i64)>> {
    let sql = "SELECT sealed, set_ms FROM pins WHERE subject = ?1";
    let read = |row: &rusqlite::Row<'_>| Ok((row.get(0)?, row.get(1)?));
    connection.prepare_cached(sql)?.query_row([subject.as_str()], read).optional()
}

fn held(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
) -> Result<Option<Pins>, Undone> {
    let Some((sealed, _)) = row(connection, subject)? else { return Ok(None) };
    let key = data_key(connection, vault, subject)?;
    opened(vault, subject, &key, &sealed).map(Some)
}

fn opened(
    vault: &Vault,
    subject: &SubjectId,
    key: &DataKey,
    sealed: &[u8],
) -> Result<Pins, Undone> {
    let id = subject.as_str();
    let text = key.open_pins(id, sealed);
    text.map(|text| Pins::of(&text))
        .map_err(|error| vault.unopened(id, &format!("its PINs: {error}")))
}

fn put(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
    key: &DataKey,
    pins: &Pins,
    set_ms: i64,
) -> Result<(), Undone> {
    let id = subject.as_str();
    let sealed = key.seal_pins(id, &pins.to_text()).map_err(|error| vault.not_sealed(error))?;
    connection.execute(
        "INSERT INTO pins (subject, sealed, set_ms) VALUES (?1, ?2, ?3)
         ON CONFLICT (subject) DO UPDATE SET sealed = excluded.sealed, set_ms = excluded.set_ms",
        params![id, sealed, set_ms],
    )?;
    Ok(())
}

/// Seals the PINs of `subject` under the key that takes the place of `before`.
pub(super) fn seal_anew(
    connection: &Connection,
    vault: &Vault,
    subject: &SubjectId,
    (before, after): (&DataKey, &DataKey),
) -> Result<(), Undone> {
    let Some((sealed, set_ms)) = row(connection, subject)? else { return Ok(()) };
    let pins = opened(vault, subject, before, &sealed)?;
    put(connection, vault, subject, after, &pins, set_ms)
}

/// Forgets the PINs of `subject`, whose key is lost.
pub(super) fn forget(connection: &Connection, subject: &SubjectId) -> rusqlite::Result<()> {
    connection.execute("DELETE FROM pins WHERE subject = ?1", [subject.as_str()]).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::inference::ModelKey;
    use crate::store::{Change, Enrolee, ReferenceSource, StoreSettings};

    const HASH: &str = "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNoaGFzaGhhc2g";

    fn by() -> Signature<'static> {
        let wall = WallClock {
            unix_ms: 1_800_000_000_000,
            trust: ClockTrust::Trusted,
            synchronised: false,
        };
        Signature { door: "front", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall }
    }

    fn enrolled(store: &mut Store, who: Enrolee<'_>) -> SubjectId {
        let change = Change::Enrol {
            who,
            references: &[],
            source: ReferenceSource::Image,
            model: &ModelKey::made_up().id,
        };
        store.administer(change, by()).unwrap().subject.unwrap()
    }

    fn store() -> (tempfile::TempDir, Store, SubjectId) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        let maria = enrolled(&mut store, Enrolee::New("Maria"));
        (folder, store, maria)
    }

    #[test]
    fn a_pin_for_duress_comes_beside_another_and_goes_with_it() {
        let (_folder, mut store, maria) = store();
        let other = HASH.replace("c29t", "b290");
        assert_eq!(store.pins(&maria).unwrap(), None);
        for change in [PinChange::SetDuress(&other), PinChange::RemoveDuress, PinChange::Remove] {
            let refused = store.change_pins(&maria, change, by()).unwrap_err();
            assert!(matches!(refused, Error::Rules(RuleProblem::NoPin(_))), "{refused}");
        }
        store.change_pins(&maria, PinChange::Set(HASH), by()).unwrap();
        store.change_pins(&maria, PinChange::SetDuress(&other), by()).unwrap();
        let pins = store.pins(&maria).unwrap().unwrap();
        assert_eq!((pins.pin.as_str(), pins.duress.as_ref().unwrap().as_str()), (HASH, &*other));
        assert_eq!(format!("{pins:?}"), "Pins(…)");
        store.change_pins(&maria, PinChange::Set(&other), by()).unwrap();
        assert!(store.pins(&maria).unwrap().unwrap().duress.is_some(), "it stays");
        store.change_pins(&maria, PinChange::RemoveDuress, by()).unwrap();
        assert!(store.pins(&maria).unwrap().unwrap().duress.is_none());
        let holder = PinHolder { subject: maria.clone(), set_ms: by().wall.unix_ms };
        assert_eq!(store.pin_holders().unwrap(), [holder]);
        store.change_pins(&maria, PinChange::Remove, by()).unwrap();
        assert_eq!(store.pins(&maria).unwrap(), None);
        let told: Vec<_> = store.audit(1, 10).unwrap().into_iter().map(|one| one.body).collect();
        let set = || Body::Administrative(Administrative::PinSet { subject: maria.clone() });
        let removed =
            || Body::Administrative(Administrative::PinRemoved { subject: maria.clone() });
        assert_eq!(told, [set(), set(), set(), removed(), removed()], "none says which PIN");
    }

    #[test]
    fn pins_outlive_another_key_and_not_their_subject() {
        let (_folder, mut store, maria) = store();
        store.change_pins(&maria, PinChange::Set(HASH), by()).unwrap();
        enrolled(&mut store, Enrolee::Instead(&maria));
        assert_eq!(store.pins(&maria).unwrap().unwrap().pin.as_str(), HASH);
        store.administer(Change::Remove { subject: &maria }, by()).unwrap();
        assert_eq!(store.pin_holders().unwrap(), []);
        let gone = store.change_pins(&maria, PinChange::Set(HASH), by()).unwrap_err();
        assert!(matches!(gone, Error::NoSuchSubject { .. }), "{gone}");
    }

    #[test]
    fn a_row_of_somebody_else_does_not_open() {
        let (_folder, mut store, maria) = store();
        let john = enrolled(&mut store, Enrolee::New("John"));
        store.change_pins(&maria, PinChange::Set(HASH), by()).unwrap();
        let sql = "UPDATE pins SET subject = ?1";
        store.connection.execute(sql, [john.as_str()]).unwrap();
        let refused = store.pins(&john).unwrap_err();
        assert!(matches!(refused, Error::Unopened { .. }), "{refused}");
        let changed = store.change_pins(&john, PinChange::Set(HASH), by());
        assert!(changed.is_err(), "a PIN for duress that was altered is not dropped unseen");
        store.change_pins(&john, PinChange::Remove, by()).unwrap();
    }
}
