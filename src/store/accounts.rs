//! Accounts of the page: who may use it, as what, and the tokens of machines.
//!
//! In: names, roles, hashes of passwords and tokens. Out: the same, for whoever judges a login.
//! Invariants: a change is one transaction with its record; neither a password nor a token is ever
//! here, only what was made of it; removing an account removes its tokens. A backup has accounts and
//! tokens, as it has everything else of the database. Deliberately absent: how hashes are made and
//! compared, and sessions, which no disk holds.

use std::borrow::Cow;

use rusqlite::{Connection, OptionalExtension as _, Row, params};

use super::people::Undone;
use super::{Administrative, AuditRecord, Body, Error, Signature, Store, ledger};
use crate::policy::RuleName;
use crate::remedy::Remedied;

/// Tokens that an account may have at once.
pub const TOKENS_MAX: u64 = 16;
/// Accounts that there may be.
const ACCOUNTS_MAX: i64 = 100;

/// What an account may do.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Everything.
    Administrator,
    /// Read everything but the camera's pictures.
    Viewer,
    /// See what a visitor at the door may see.
    Kiosk,
}

impl Role {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Administrator, Self::Viewer, Self::Kiosk];

    /// Its word.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Administrator => "administrator",
            Self::Viewer => "viewer",
            Self::Kiosk => "kiosk",
        }
    }

    fn of(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|role| role.name() == word)
    }
}

/// An account.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Account {
    /// Its name, by which records name it.
    pub name: RuleName,
    /// What it may do.
    pub role: Role,
    /// What argon2id made of the password, as a PHC string.
    pub password: String,
    /// When it was made, milliseconds since 1970.
    pub created_ms: i64,
    /// How many tokens it has.
    pub tokens: u64,
}

/// Why an account cannot be made, changed or found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AccountProblem {
    /// There is such an account.
    #[error("account '{0}': it is there already; {advice}", advice = self.advice())]
    There(RuleName),
    /// There is no such account.
    #[error("account '{0}': there is none; {advice}", advice = self.advice())]
    None(String),
    /// There are too many.
    #[error("there are {ACCOUNTS_MAX} accounts already; {advice}", advice = self.advice())]
    TooMany,
    /// It has too many tokens.
    #[error("account '{0}' has {TOKENS_MAX} tokens already; {advice}", advice = self.advice())]
    TooManyTokens(RuleName),
}

impl Remedied for AccountProblem {
    fn remedy(&self) -> Option<Cow<'_, str>> {
        Some(Cow::Borrowed(match self {
            Self::There(_) => "choose another name, or remove that one first",
            Self::None(_) => "'deepid-edge accounts list' shows all",
            Self::TooMany => "remove one with 'deepid-edge accounts remove'",
            Self::TooManyTokens(_) => {
                "remove all of them with 'deepid-edge accounts token --remove'"
            }
        }))
    }
}

impl From<AccountProblem> for Undone {
    fn from(problem: AccountProblem) -> Self {
        Self::Refused(problem.into())
    }
}

const ACCOUNT: &str = "SELECT name, role, password, created_ms,
    (SELECT count(*) FROM account_tokens t WHERE t.account = a.name) FROM accounts a";

impl Store {
    /// What is done from now on is done by this account of the page; its records say so.
    pub fn acting_for(&mut self, account: Option<RuleName>) {
        self.acting = account;
    }

    /// All accounts, by name.
    ///
    /// # Errors
    /// What the database says.
    pub fn accounts(&self) -> Result<Vec<Account>, Error> {
        let read = || {
            let mut statement = self.connection.prepare(&format!("{ACCOUNT} ORDER BY name"))?;
            statement.query_map([], account)?.collect::<rusqlite::Result<_>>()
        };
        read().map_err(|source| self.error(source))
    }

    /// The account called `name`, if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub fn account(&self, name: &str) -> Result<Option<Account>, Error> {
        let sql = format!("{ACCOUNT} WHERE a.name = ?1");
        self.connection
            .query_row(&sql, [name], account)
            .optional()
            .map_err(|source| self.error(source))
    }

    /// The account whose token has this SHA-256 (64 hexadecimal digits), if there is one.
    ///
    /// # Errors
    /// What the database says.
    pub fn account_of_token(&self, hash: &str) -> Result<Option<Account>, Error> {
        let sql = format!(
            "{ACCOUNT} WHERE a.name = (SELECT account FROM account_tokens WHERE hash = ?1)"
        );
        self.connection
            .query_row(&sql, [hash], account)
            .optional()
            .map_err(|source| self.error(source))
    }

    /// Makes an account. `password` is what argon2id made of it, a PHC string.
    ///
    /// # Errors
    /// [`AccountProblem::There`], [`AccountProblem::TooMany`], or what the database says; nothing was
    /// changed then, and nothing recorded.
    pub fn add_account(
        &mut self,
        name: &RuleName,
        role: Role,
        password: &str,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        self.change_account(by, |connection| {
            let count: i64 =
                connection.query_row("SELECT count(*) FROM accounts", [], |row| row.get(0))?;
            if count >= ACCOUNTS_MAX {
                return Err(AccountProblem::TooMany.into());
            }
            let added = connection.execute(
                "INSERT INTO accounts (name, role, password, created_ms) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (name) DO NOTHING",
                params![name.as_str(), role.name(), password, by.wall.unix_ms],
            )?;
            if added == 0 {
                return Err(AccountProblem::There(name.clone()).into());
            }
            Ok(Administrative::AccountAdded { account: name.clone(), role })
        })
    }

    /// Gives an account another password, as [`Store::add_account`] takes it. A kiosk's tokens go with the
    /// old one: they are what its screens stay logged in by.
    ///
    /// # Errors
    /// [`AccountProblem::None`], or what the database says; nothing was changed then.
    pub fn set_password(
        &mut self,
        name: &RuleName,
        password: &str,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        self.change_account(by, |connection| {
            let sql = "UPDATE accounts SET password = ?2 WHERE name = ?1";
            found(connection.execute(sql, params![name.as_str(), password])?, name)?;
            connection.execute(
                "DELETE FROM account_tokens WHERE account = ?1
                 AND EXISTS (SELECT 1 FROM accounts WHERE name = ?1 AND role = ?2)",
                [name.as_str(), Role::Kiosk.name()],
            )?;
            Ok(Administrative::AccountPasswordSet { account: name.clone() })
        })
    }

    /// Removes an account with its tokens.
    ///
    /// # Errors
    /// [`AccountProblem::None`], or what the database says; nothing was changed then.
    pub fn remove_account(
        &mut self,
        name: &RuleName,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        self.change_account(by, |connection| {
            let sql = "DELETE FROM accounts WHERE name = ?1";
            found(connection.execute(sql, [name.as_str()])?, name)?;
            Ok(Administrative::AccountRemoved { account: name.clone() })
        })
    }

    /// Gives an account a token, of which `hash` is the SHA-256 in 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`AccountProblem::None`], [`AccountProblem::TooManyTokens`], or what the database says; nothing
    /// was changed then.
    pub fn add_token(
        &mut self,
        name: &RuleName,
        hash: &str,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        self.change_account(by, |connection| {
            let sql = format!("{ACCOUNT} WHERE a.name = ?1");
            let known = connection.query_row(&sql, [name.as_str()], account).optional()?;
            let known = known.ok_or_else(|| AccountProblem::None(name.to_string()))?;
            if known.tokens >= TOKENS_MAX {
                return Err(AccountProblem::TooManyTokens(name.clone()).into());
            }
            insert_token(connection, name, hash, by)?;
            Ok(Administrative::AccountTokenMade { account: name.clone() })
        })
    }

    /// Gives the kiosk `name` a token for a screen that has logged in, as [`Store::add_token`] does. Where
    /// the account has as many as it may, one makes room: `spare` is given the SHA-256 of each, that which
    /// was made first first, and names the one to take away, or none.
    ///
    /// # Errors
    /// As [`Store::add_token`]; [`AccountProblem::TooManyTokens`] where none makes room.
    pub fn add_screen(
        &mut self,
        name: &RuleName,
        hash: &str,
        spare: impl FnOnce(&[String]) -> Option<String>,
        by: Signature<'_>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let held = {
                let sql = "SELECT hash FROM account_tokens WHERE account = ?1
                           ORDER BY created_ms, rowid";
                let mut statement = connection.prepare(sql)?;
                let rows = statement.query_map([name.as_str()], |row| row.get(0))?;
                rows.collect::<rusqlite::Result<Vec<String>>>()?
            };
            if held.len() as u64 >= TOKENS_MAX {
                let gone = spare(&held).ok_or(AccountProblem::TooManyTokens(name.clone()))?;
                let sql = "DELETE FROM account_tokens WHERE hash = ?1 AND account = ?2
                           AND EXISTS (SELECT 1 FROM accounts WHERE name = ?2 AND role = ?3)";
                let kiosk = Role::Kiosk.name();
                if connection.execute(sql, [gone.as_str(), name.as_str(), kiosk])? == 0 {
                    return Err(AccountProblem::TooManyTokens(name.clone()).into());
                }
                let event = Administrative::AccountTokenRemoved { account: name.clone() };
                ledger::append(connection, &keeping, Body::Administrative(event), by)?;
            }
            insert_token(connection, name, hash, by)?;
            let event = Administrative::AccountTokenMade { account: name.clone() };
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }

    /// Takes all tokens of an account away; how many that were.
    ///
    /// # Errors
    /// [`AccountProblem::None`], or what the database says; nothing was changed then.
    pub fn remove_tokens(&mut self, name: &RuleName, by: Signature<'_>) -> Result<u64, Error> {
        let mut removed = 0;
        self.change_account(by, |connection| {
            let sql = "SELECT count(*) FROM accounts WHERE name = ?1";
            let there: i64 = connection.query_row(sql, [name.as_str()], |row| row.get(0))?;
            found(usize::from(there > 0), name)?;
            let sql = "DELETE FROM account_tokens WHERE account = ?1";
            removed = connection.execute(sql, [name.as_str()])? as u64;
            Ok(Administrative::AccountTokensRemoved { account: name.clone() })
        })?;
        Ok(removed)
    }

    /// Takes away the token of this SHA-256 where it is one of the kiosk `name`: a screen at the door
    /// logs out. `None` where it is not; nothing was changed then, and nothing recorded.
    ///
    /// # Errors
    /// What the database says; nothing was changed then.
    pub fn forget_token(
        &mut self,
        name: &RuleName,
        hash: &str,
        by: Signature<'_>,
    ) -> Result<Option<AuditRecord>, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let removed = connection.execute(
                "DELETE FROM account_tokens WHERE hash = ?1 AND account = ?2
                 AND EXISTS (SELECT 1 FROM accounts WHERE name = ?2 AND role = ?3)",
                [hash, name.as_str(), Role::Kiosk.name()],
            )?;
            if removed == 0 {
                return Ok(None);
            }
            let event = Administrative::AccountTokenRemoved { account: name.clone() };
            ledger::append(connection, &keeping, Body::Administrative(event), by).map(Some)
        })
    }

    fn change_account(
        &mut self,
        by: Signature<'_>,
        change: impl FnOnce(&Connection) -> Result<Administrative, Undone>,
    ) -> Result<AuditRecord, Error> {
        let keeping = self.keeping();
        self.write(|connection| {
            let event = change(connection)?;
            ledger::append(connection, &keeping, Body::Administrative(event), by)
        })
    }
}

fn insert_token(
    connection: &Connection,
    name: &RuleName,
    hash: &str,
    by: Signature<'_>,
) -> rusqlite::Result<()> {
    connection.execute(
        "INSERT INTO account_tokens (hash, account, created_ms) VALUES (?1, ?2, ?3)",
        params![hash, name.as_str(), by.wall.unix_ms],
    )?;
    Ok(())
}

fn found(rows: usize, name: &RuleName) -> Result<(), Undone> {
    if rows > 0 { Ok(()) } else { Err(AccountProblem::None(name.to_string()).into()) }
}

fn account(row: &Row<'_>) -> rusqlite::Result<Account> {
    let wrong = |column, what: String| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, what.into())
    };
    let (name, role): (String, String) = (row.get(0)?, row.get(1)?);
    Ok(Account {
        name: RuleName::new(&name).map_err(|error| wrong(0, error.to_string()))?,
        role: Role::of(&role).ok_or_else(|| wrong(1, format!("role '{role}'")))?,
        password: row.get(2)?,
        created_ms: row.get(3)?,
        tokens: super::people::unsigned(row, 4)?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{ClockTrust, Monotonic, WallClock};
    use crate::store::StoreSettings;

    const HASH: &str = "$argon2id$v=19$m=7168,t=5,p=1$c29tZXNhbHQ$aGFzaA";

    fn by() -> Signature<'static> {
        let wall = WallClock { unix_ms: 7, trust: ClockTrust::Trusted, synchronised: false };
        Signature { door: "front", boot: uuid::Uuid::nil(), now: Monotonic::default(), wall }
    }

    fn store() -> (tempfile::TempDir, Store) {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
        (folder, store)
    }

    #[test]
    fn an_account_is_made_once_and_goes_with_its_tokens() {
        let (_folder, mut store) = store();
        let anna = RuleName::new("anna").unwrap();
        store.add_account(&anna, Role::Viewer, HASH, by()).unwrap();
        let again = store.add_account(&anna, Role::Administrator, HASH, by()).unwrap_err();
        assert!(matches!(again, Error::Accounts(AccountProblem::There(_))), "{again}");
        let token = "a".repeat(64);
        store.add_token(&anna, &token, by()).unwrap();
        let found = store.account_of_token(&token).unwrap().unwrap();
        assert_eq!((found.name.as_str(), found.role, found.tokens), ("anna", Role::Viewer, 1));
        store.remove_account(&anna, by()).unwrap();
        assert_eq!(store.account("anna").unwrap(), None);
        assert_eq!(store.account_of_token(&token).unwrap(), None);
        let gone = store.remove_account(&anna, by()).unwrap_err();
        assert!(gone.to_string().contains("accounts list"), "{gone}");
    }

    #[test]
    fn tokens_have_a_bound() {
        let (_folder, mut store) = store();
        let machine = RuleName::new("machine").unwrap();
        store.add_account(&machine, Role::Viewer, HASH, by()).unwrap();
        for number in 0..TOKENS_MAX {
            store.add_token(&machine, &format!("{number:064x}"), by()).unwrap();
        }
        let beyond = store.add_token(&machine, &"f".repeat(64), by()).unwrap_err();
        assert!(matches!(beyond, Error::Accounts(AccountProblem::TooManyTokens(_))), "{beyond}");
        assert_eq!(store.remove_tokens(&machine, by()).unwrap(), TOKENS_MAX);
        store.add_token(&machine, &"f".repeat(64), by()).unwrap();
    }

    #[test]
    fn a_screen_gets_the_room_of_one_that_is_named_and_of_no_other_account() {
        let (_folder, mut store) = store();
        let [hall, other, machine] =
            ["hall", "other", "machine"].map(|name| RuleName::new(name).unwrap());
        for (name, role) in [(&hall, Role::Kiosk), (&other, Role::Kiosk), (&machine, Role::Viewer)]
        {
            store.add_account(name, role, HASH, by()).unwrap();
        }
        let token = |number: u64| format!("{number:064x}");
        store.add_token(&other, &token(100), by()).unwrap();
        for number in 0..TOKENS_MAX {
            let unasked = |_: &[String]| panic!("there is room");
            store.add_screen(&hall, &token(number), unasked, by()).unwrap();
            store.add_token(&machine, &token(200 + number), by()).unwrap();
        }
        let before = store.newest_record().unwrap();
        for named in [None, Some(token(100)), Some(token(99))] {
            let refused = store.add_screen(&hall, &token(50), |_| named, by()).unwrap_err();
            let full = matches!(refused, Error::Accounts(AccountProblem::TooManyTokens(_)));
            assert!(full, "{refused}");
        }
        let machines = |held: &[String]| held.first().cloned();
        assert!(store.add_screen(&machine, &token(300), machines, by()).is_err(), "no kiosk's");
        assert_eq!(store.newest_record().unwrap(), before, "nothing was done");
        let third = |held: &[String]| {
            assert_eq!(held.first(), Some(&token(0)), "the one that was made first");
            held.get(2).cloned()
        };
        store.add_screen(&hall, &token(50), third, by()).unwrap();
        let there = |number| store.account_of_token(&token(number)).unwrap().is_some();
        assert!(!there(2) && there(50) && there(0) && there(100) && there(200));
        let told: Vec<_> = store.audit(before, 10).unwrap().into_iter().map(|r| r.body).collect();
        let [removed, made] = [
            Administrative::AccountTokenRemoved { account: hall.clone() },
            Administrative::AccountTokenMade { account: hall.clone() },
        ];
        assert_eq!(told, [Body::Administrative(removed), Body::Administrative(made)]);
        assert_eq!(store.account("hall").unwrap().unwrap().tokens, TOKENS_MAX);
    }

    #[test]
    fn another_password_ends_a_kiosks_tokens_and_no_machines() {
        let (_folder, mut store) = store();
        let [hall, machine] = ["hall", "machine"].map(|name| RuleName::new(name).unwrap());
        store.add_account(&hall, Role::Kiosk, HASH, by()).unwrap();
        store.add_account(&machine, Role::Viewer, HASH, by()).unwrap();
        let [screen, script] = ["a", "b"].map(|digit| digit.repeat(64));
        store.add_token(&hall, &screen, by()).unwrap();
        store.add_token(&machine, &script, by()).unwrap();
        store.set_password(&hall, HASH, by()).unwrap();
        store.set_password(&machine, HASH, by()).unwrap();
        assert_eq!(store.account_of_token(&screen).unwrap(), None);
        assert!(store.account_of_token(&script).unwrap().is_some());
    }

    #[test]
    fn a_kiosk_logs_out_of_its_own_token_alone_and_that_is_recorded() {
        let (_folder, mut store) = store();
        let [hall, other, machine] =
            ["hall", "other", "machine"].map(|name| RuleName::new(name).unwrap());
        for (name, role, digit) in
            [(&hall, Role::Kiosk, "a"), (&other, Role::Kiosk, "b"), (&machine, Role::Viewer, "c")]
        {
            store.add_account(name, role, HASH, by()).unwrap();
            store.add_token(name, &digit.repeat(64), by()).unwrap();
        }
        let before = store.newest_record().unwrap();
        for (name, digit) in [(&hall, "b"), (&machine, "c"), (&hall, "d")] {
            assert_eq!(store.forget_token(name, &digit.repeat(64), by()).unwrap(), None);
        }
        assert_eq!(store.newest_record().unwrap(), before, "nothing was done");
        let record = store.forget_token(&hall, &"a".repeat(64), by()).unwrap().unwrap();
        let event = Administrative::AccountTokenRemoved { account: hall };
        assert_eq!(record.body, Body::Administrative(event));
        let there = |digit: &str| store.account_of_token(&digit.repeat(64)).unwrap().is_some();
        assert!(!there("a") && there("b") && there("c"));
    }

    #[test]
    fn a_record_says_which_account_did_it_and_the_chain_holds() {
        let (_folder, mut store) = store();
        let anna = RuleName::new("anna").unwrap();
        store.acting_for(Some(anna.clone()));
        let kitchen = RuleName::new("kitchen").unwrap();
        store.add_account(&kitchen, Role::Kiosk, HASH, by()).unwrap();
        store.acting_for(None);
        store.remove_account(&kitchen, by()).unwrap();
        let told: Vec<_> = store.audit(0, 10).unwrap().into_iter().map(|r| r.by).collect();
        assert_eq!(told, [Some(anna), None]);
        assert!(store.verify_records().unwrap().broken.is_empty());
    }
}
