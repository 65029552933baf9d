//! What a restore undoes: what was changed on this board since the backup was made.
//!
//! In: the database in the backup and the one that is here. Out: people, keys, accounts and rules that
//! are otherwise here than they will be. What gives somebody more than they have now is a warning with
//! its remedy: a stranger to the house may be among those who come back.
//! Invariant: a database that cannot be read has nothing to say, and stops no restore.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use serde::Serialize;

use crate::compare::SubjectId;
use crate::config::Config;
use crate::policy::{RuleBook, RuleName};
use crate::store::{Account, Administrator, Error, PinHolder, Store, Subject};

/// See the module. Every list is of the backup's side.
#[derive(Debug, Default, Serialize)]
pub(super) struct Undone {
    /// Removed here, and back again.
    pub removed_here: Vec<SubjectId>,
    /// Disabled here, and enabled again.
    pub disabled_here: Vec<SubjectId>,
    /// Enrolled here, and not in the backup: how many.
    pub not_in_backup: usize,
    /// Keys that may ask over MQTT: removed here, exchanged here, or limited here; back again.
    pub administrators_back: Vec<RuleName>,
    /// Accounts of the page that are not here, or have another role or password here.
    pub accounts_back: Vec<RuleName>,
    /// People whose PINs were removed here, or set anew.
    pub pins_back: Vec<SubjectId>,
    /// Rules that are written otherwise here, by what they are.
    pub rules_back: Vec<String>,
}

impl Undone {
    /// What placing `received` in place of the database at `gallery` would undo.
    pub(super) fn between(
        gallery: &Path,
        received: &Store,
        config: &Config,
    ) -> Result<Self, Error> {
        let then = State::of(received)?;
        let undone = Store::open_read_only(gallery, config.store_settings())
            .and_then(|here| Self::since(then, &here));
        Ok(undone.unwrap_or_default())
    }

    fn since(then: State, here: &Store) -> Result<Self, Error> {
        let now = State::of(here)?;
        let mut undone = Self {
            not_in_backup: count_absent(&now.subjects, &then.subjects),
            administrators_back: administrators_back(then.administrators, &now.administrators),
            accounts_back: accounts_back(then.accounts, &now.accounts),
            pins_back: pins_back(then.pins, &now.pins),
            rules_back: rules_back(&then.rules, &now.rules),
            ..Self::default()
        };
        for subject in then.subjects {
            if here.has_retired(&subject.id)? {
                undone.removed_here.push(subject.id);
            } else if subject.enabled
                && now.subjects.iter().any(|other| other.id == subject.id && !other.enabled)
            {
                undone.disabled_here.push(subject.id);
            }
        }
        Ok(undone)
    }

    /// Writes what of it somebody must know, one line for each kind.
    pub(super) fn describe(&self, text: &mut String) {
        let lines = [
            (
                listed(&self.removed_here),
                "removed here since, and enrolled in the backup",
                "'deepid-edge subjects remove' once more",
            ),
            (
                listed(&self.disabled_here),
                "disabled here since, and enabled in the backup",
                "'deepid-edge subjects disable' once more",
            ),
            (
                listed(&self.administrators_back),
                "keys for requests that are not here, or are others or may do less here",
                "'deepid-edge admins list', and 'admins remove' where they must not ask",
            ),
            (
                listed(&self.accounts_back),
                "accounts of the page that are not here, or have another password or role here",
                "'deepid-edge accounts list', and 'accounts remove' or 'accounts password'",
            ),
            (
                listed(&self.pins_back),
                "PINs that are not here, or were set anew here",
                "'deepid-edge pins list', and 'pins remove' or 'pins set'",
            ),
            (
                self.rules_back.join(", "),
                "rules that are written otherwise here",
                "'deepid-edge groups list', 'schedules show', 'arm show' and 'inside list' show those of the backup",
            ),
        ];
        for (which, what, remedy) in lines {
            if !which.is_empty() {
                let _infallible = writeln!(text, "warning: {what}: {which}; {remedy}");
            }
        }
        if self.not_in_backup > 0 {
            let _infallible = writeln!(
                text,
                "warning: {} subjects were enrolled here since, and are not in the backup",
                self.not_in_backup
            );
        }
    }
}

/// What a database holds that a restore changes.
struct State {
    subjects: Vec<Subject>,
    administrators: Vec<Administrator>,
    accounts: Vec<Account>,
    pins: Vec<PinHolder>,
    rules: RuleBook,
}

impl State {
    fn of(store: &Store) -> Result<Self, Error> {
        Ok(Self {
            subjects: store.subjects()?,
            administrators: store.administrators()?,
            accounts: store.accounts()?,
            pins: store.pin_holders()?,
            rules: store.rule_book()?,
        })
    }
}

fn count_absent(of: &[Subject], others: &[Subject]) -> usize {
    of.iter().filter(|subject| others.iter().all(|other| other.id != subject.id)).count()
}

/// Those whom nobody here equals: by name, key and what they may.
fn administrators_back(then: Vec<Administrator>, now: &[Administrator]) -> Vec<RuleName> {
    let same = |one: &Administrator, other: &Administrator| {
        one.name == other.name && one.key == other.key && one.may == other.may
    };
    let back = then.into_iter().filter(|one| !now.iter().any(|other| same(one, other)));
    back.map(|administrator| administrator.name).collect()
}

/// Those whom nobody here equals: by name, role and password. Tokens are the account's: one that has
/// more in the backup comes back with those that were taken from it here.
fn accounts_back(then: Vec<Account>, now: &[Account]) -> Vec<RuleName> {
    let same = |one: &Account, other: &Account| {
        (&one.name, one.role, &one.password) == (&other.name, other.role, &other.password)
            && one.tokens <= other.tokens
    };
    let back = then.into_iter().filter(|one| !now.iter().any(|other| same(one, other)));
    back.map(|account| account.name).collect()
}

/// Those whom nobody here equals: by subject, and when one of its PINs was set last.
fn pins_back(then: Vec<PinHolder>, now: &[PinHolder]) -> Vec<SubjectId> {
    then.into_iter().filter(|one| !now.contains(one)).map(|one| one.subject).collect()
}

fn rules_back(then: &RuleBook, now: &RuleBook) -> Vec<String> {
    let mut back = Vec::new();
    if (then.arming, &then.arming_follows) != (now.arming, &now.arming_follows) {
        back.push("the arming".to_owned());
    }
    if then.holidays != now.holidays {
        back.push("holidays".to_owned());
    }
    differing(&then.schedules, &now.schedules, "schedule", &mut back);
    differing(&then.groups, &now.groups, "group", &mut back);
    differing(&then.demands, &now.demands, "what is needed by group", &mut back);
    if then.whereabouts != now.whereabouts {
        back.push("who is inside".to_owned());
    }
    differing(&then.subjects, &now.subjects, "group, validity or mark of", &mut back);
    back
}

/// The names under which both maps do not have the same.
fn differing<K: Ord + std::fmt::Display, V: PartialEq>(
    then: &BTreeMap<K, V>,
    now: &BTreeMap<K, V>,
    what: &str,
    back: &mut Vec<String>,
) {
    let mut names: Vec<&K> = then.keys().chain(now.keys()).collect();
    names.sort_unstable();
    names.dedup();
    let names = names.into_iter().filter(|name| then.get(name) != now.get(name));
    back.extend(names.map(|name| format!("{what} {name}")));
}

fn listed<T: std::fmt::Display>(names: &[T]) -> String {
    names.iter().map(T::to_string).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rules_are_named_where_either_side_has_them_alone_or_otherwise() {
        let name = |text: &str| RuleName::new(text).unwrap();
        let mut then = RuleBook::default();
        then.groups.insert(name("cleaners"), None);
        then.groups.insert(name("staff"), None);
        let mut now = then.clone();
        assert!(rules_back(&then, &now).is_empty());
        now.groups.insert(name("cleaners"), Some(name("mornings")));
        now.groups.remove(&name("staff"));
        now.groups.insert(name("guests"), None);
        now.holidays.insert(jiff::civil::date(2026, 12, 24));
        assert_eq!(
            rules_back(&then, &now),
            ["holidays", "group cleaners", "group guests", "group staff"]
        );
    }
}
