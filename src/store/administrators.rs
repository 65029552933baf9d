//! Who may change something over MQTT: a name, which records carry, and a public key.
//!
//! Rows → [`Administrator`]; a name and a key → the row and its record, in one transaction, or neither.
//! Invariants: at most [`ADMINISTRATORS_MAX`]; one key has one name; nobody is added or removed but by
//! these calls, and they leave a record. Deliberately absent: private keys, which never come here, and
//! what may be asked (`publish::ask`).

use std::borrow::Cow;

use rusqlite::{OptionalExtension as _, Row, params};

use super::people::Undone;
use super::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};
use crate::policy::RuleName;
use crate::remedy::Remedied;
use crate::sign::{PublicKey, Thumbprint};

/// Administrators that a door knows at most.
pub const ADMINISTRATORS_MAX: u32 = 32;

/// Somebody who may change something over MQTT.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Administrator {
    /// The name that records carry: no person's.
    pub name: RuleName,
    /// The key that signs the requests.
    pub key: PublicKey,
    /// What it may ask for.
    pub may: May,
    /// Since when, milliseconds since 1970.
    pub since_ms: i64,
}

/// What the holder of a key may ask for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum May {
    /// Everything that can be asked.
    Everything,
    /// To say that somebody's second factor has come, and nothing else: a reader of tags.
    Factor,
}

impl May {
    const fn name(self) -> &'static str {
        match self {
            Self::Everything => "everything",
            Self::Factor => "factor",
        }
    }
}

/// Why the list cannot be changed so.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AdministratorProblem {
    /// There is nobody of this name.
    #[error("administrator '{0}': there is none; {advice}", advice = self.advice())]
    NoSuch(RuleName),
    /// There is somebody of this name.
    #[error("administrator '{0}': there is one already; {advice}", advice = self.advice())]
    There(RuleName),
    /// Records say so of what the broker's word was enough for.
    #[error("administrator '{0}': the name stands for the broker itself; {advice}", advice = self.advice())]
    Reserved(RuleName),
    /// The key has a name already.
    #[error("key {key}: administrator '{name}' has it already; {advice}", advice = self.advice())]
    KeyThere {
        /// The key.
        key: Thumbprint,
        /// Whose it is.
        name: RuleName,
    },
    /// There are as many as there may be.
    #[error("there are {ADMINISTRATORS_MAX} administrators already; {advice}", advice = self.advice())]
    TooMany,
}

impl Remedied for AdministratorProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::NoSuch(_) => "'deepid-edge admins list' shows who there is",
            Self::Reserved(_) => "name another",
            Self::There(_) => "name another, or remove that one with 'deepid-edge admins remove'",
            Self::KeyThere { .. } => "give each a key of its own",
            Self::TooMany => "remove one with 'deepid-edge admins remove'",
        }))
    }
}

impl From<AdministratorProblem> for Undone {
    fn from(problem: AdministratorProblem) -> Self {
        Self::Refused(Error::Administrator(problem))
    }
}

impl Store {
    /// Everybody, by name.
    ///
    /// # Errors
    /// What the database says; a row that cannot be read is an error, never left out.
    pub fn administrators(&self) -> Result<Vec<Administrator>, Error> {
        let read = || {
            let mut statement = self.connection.prepare_cached(
                "SELECT name, x, may, since_ms FROM administrators ORDER BY name",
            )?;
            statement.query_map([], administrator)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// Lets the holder of `key` ask over MQTT for what it `may`, from now on.
    ///
    /// # Errors
    /// [`Error::Administrator`], or what the database says: nothing was changed then.
    pub fn add_administrator(
        &mut self,
        name: &RuleName,
        key: &PublicKey,
        may: May,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let count: u32 =
                connection
                    .query_row("SELECT count(*) FROM administrators", [], |row| row.get(0))?;
            let kid = key.thumbprint();
            let holder: Option<String> = connection
                .query_row(
                    "SELECT name FROM administrators WHERE kid = ?1",
                    [kid.as_str()],
                    |row| row.get(0),
                )
                .optional()?;
            let named: u32 = connection.query_row(
                "SELECT count(*) FROM administrators WHERE name = ?1",
                [name.as_str()],
                |row| row.get(0),
            )?;
            let problem = match holder.map(RuleName::try_from) {
                Some(Ok(holder)) => {
                    Some(AdministratorProblem::KeyThere { key: kid.clone(), name: holder })
                }
                _ if *name == RuleName::broker() => {
                    Some(AdministratorProblem::Reserved(name.clone()))
                }
                _ if named > 0 => Some(AdministratorProblem::There(name.clone())),
                _ if count >= ADMINISTRATORS_MAX => Some(AdministratorProblem::TooMany),
                _ => None,
            };
            if let Some(problem) = problem {
                return Err(problem.into());
            }
            connection.execute(
                "INSERT INTO administrators (name, kid, x, may, since_ms)
                 VALUES (?1, ?2, ?3, ?4, ?5)",
                params![name.as_str(), kid.as_str(), key.x(), may.name(), by.wall.unix_ms],
            )?;
            let event = Administrative::AdministratorAdded {
                administrator: name.clone(),
                key: kid.clone(),
                may,
            };
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }

    /// Lets it change nothing any more.
    ///
    /// # Errors
    /// [`Error::Administrator`], or what the database says: nothing was changed then.
    pub fn remove_administrator(
        &mut self,
        name: &RuleName,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let removed = connection
                .execute("DELETE FROM administrators WHERE name = ?1", [name.as_str()])?;
            if removed == 0 {
                return Err(AdministratorProblem::NoSuch(name.clone()).into());
            }
            let event = Administrative::AdministratorRemoved { administrator: name.clone() };
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }
}

fn administrator(row: &Row<'_>) -> rusqlite::Result<Administrator> {
    let wrong = |place, problem: String| {
        let kind = rusqlite::types::Type::Text;
        rusqlite::Error::FromSqlConversionFailure(place, kind, problem.into())
    };
    let (name, x, may): (String, String, String) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let may = [May::Everything, May::Factor].into_iter().find(|one| one.name() == may);
    Ok(Administrator {
        name: RuleName::try_from(name).map_err(|problem| wrong(0, problem.to_string()))?,
        key: PublicKey::from_x(&x).map_err(|problem| wrong(1, problem.to_string()))?,
        may: may.ok_or_else(|| wrong(2, "what it may is unknown".to_owned()))?,
        since_ms: row.get(3)?,
    })
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::sign::GrantKey;
    use crate::store::StoreSettings;

    const BY: Signature<'_> = Signature {
        door: "front",
        boot: Uuid::nil(),
        now: Monotonic::from_millis(1),
        wall: WallClock {
            unix_ms: 1_800_000_000_000,
            trust: ClockTrust::Trusted,
            synchronised: false,
        },
    };

    fn key(seed: u8) -> PublicKey {
        GrantKey::of_seed(&[seed; 32]).public().clone()
    }

    fn name(text: &str) -> RuleName {
        RuleName::new(text).unwrap()
    }

    fn problem(error: Error) -> AdministratorProblem {
        match error {
            Error::Administrator(problem) => problem,
            other => panic!("{other}"),
        }
    }

    #[test]
    fn a_key_has_one_name_and_a_name_one_key_and_each_change_its_record() {
        use AdministratorProblem as P;
        let folder = tempfile::tempdir().unwrap();
        let mut store =
            Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
        let (hub, key_1) = (name("hub"), key(1));
        store.add_administrator(&hub, &key_1, May::Factor, BY).unwrap();
        let again = store.add_administrator(&hub, &key(2), May::Everything, BY).unwrap_err();
        assert_eq!(problem(again), P::There(hub.clone()));
        let other =
            store.add_administrator(&name("tablet"), &key_1, May::Everything, BY).unwrap_err();
        let kid = key_1.thumbprint().clone();
        assert_eq!(problem(other), P::KeyThere { key: kid.clone(), name: hub.clone() });
        let known = store.administrators().unwrap();
        assert_eq!(known.len(), 1);
        assert_eq!((&known[0].name, &known[0].key, known[0].may), (&hub, &key_1, May::Factor));
        let broker =
            store.add_administrator(&name("broker"), &key(3), May::Everything, BY).unwrap_err();
        assert_eq!(problem(broker), P::Reserved(name("broker")));
        let nobody = store.remove_administrator(&name("tablet"), BY).unwrap_err();
        assert_eq!(problem(nobody), P::NoSuch(name("tablet")));
        store.remove_administrator(&hub, BY).unwrap();
        assert_eq!(store.administrators().unwrap(), []);
        let events: Vec<Body> =
            store.audit(0, 10).unwrap().into_iter().map(|record| record.body).collect();
        assert_eq!(
            events,
            [
                Body::Administrative(Administrative::AdministratorAdded {
                    administrator: hub.clone(),
                    key: kid,
                    may: May::Factor,
                }),
                Body::Administrative(Administrative::AdministratorRemoved { administrator: hub }),
            ]
        );
    }

    #[test]
    fn there_is_an_end_to_how_many_a_door_knows() {
        let folder = tempfile::tempdir().unwrap();
        let mut store =
            Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
        for number in 0..ADMINISTRATORS_MAX {
            let seed = u8::try_from(number).unwrap();
            store
                .add_administrator(&name(&format!("a{number}")), &key(seed), May::Everything, BY)
                .unwrap();
        }
        let more =
            store.add_administrator(&name("more"), &key(99), May::Everything, BY).unwrap_err();
        assert_eq!(problem(more), AdministratorProblem::TooMany);
    }
}
