//! An older database, whose names and references are not sealed, on its way to one in which they are.
//!
//! In: such a database over a watched storage, and a cut behind any call of SQLite while it is opened, or a
//! call that is refused. Out: the database that is left, opened again: everybody and every number is in it,
//! and when it has been opened nothing stands readable in its files.

use std::path::Path;

use deepid_edge::inference::ProcedureHash;
use deepid_edge::store::{Store, StoreSettings};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_WRITE};

use super::desk::folder;
use super::storage::{Call, Failing, Power, Storage};
use crate::support::fault_rows::shown;
use crate::support::older::{self, Plain, on_disk};
use crate::support::people::key;

const PEOPLE: [(&str, &str); 3] = [
    ("s-00000a", "Ada Lovelace"),
    ("s-00000b", "Bob Unverwechselbar"),
    ("s-00000c", "Carol Kennzeichen"),
];

/// So many that they fill pages of their own.
fn references() -> Vec<Plain> {
    let procedure = Some(ProcedureHash::of_bytes([7; 32]).to_string());
    let mut random = fastrand::Rng::with_seed(11);
    (0..24)
        .map(|number| {
            let values: Vec<f32> = (0..160).map(|_| random.f32() + 1.0).collect();
            let (subject, _) = PEOPLE[number % PEOPLE.len()];
            Plain { procedure: procedure.clone(), ..Plain::of(subject, "m", &values) }
        })
        .collect()
}

/// What is wrong with the database in `folder` after it was opened.
fn holds(folder: &Path, wanted: &[Plain]) -> Result<(), String> {
    let path = folder.join("door.db");
    let store = Store::open_checked(&path, StoreSettings::default()).map_err(|e| e.to_string())?;
    let names: Vec<String> =
        store.subjects().map_err(|e| e.to_string())?.into_iter().map(|s| s.name).collect();
    if names != PEOPLE.map(|(_, name)| name) {
        return Err(format!("{names:?} are there"));
    }
    let found = store.references(&key("m")).map_err(|e| e.to_string())?;
    let bytes = |values: &[f32]| values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>();
    let same = found.len() == wanted.len()
        && found.iter().zip(wanted).all(|(found, wanted)| {
            (found.subject.as_str(), bytes(found.vector.values()))
                == (wanted.subject, wanted.bytes())
        });
    if !same {
        return Err(format!("{} of {} references are as they were", found.len(), wanted.len()));
    }
    let remains = store.remains().map_err(|e| e.to_string())?;
    drop(store);
    let names = PEOPLE.iter().map(|(_, name)| name.as_bytes().to_vec());
    let needles = wanted.iter().map(|one| one.bytes()[..32].to_vec()).chain(names);
    match needles.into_iter().find(|needle| on_disk(folder, needle)) {
        Some(needle) => Err(format!("{needle:?} stands readable")),
        None if remains.is_clean() => Ok(()),
        None => Err(format!("{remains:?}")),
    }
}

#[test]
fn a_migration_that_is_cut_anywhere_loses_nobody_and_leaves_nothing_readable() {
    let wanted = references();
    let home = folder();
    let path = home.path().join("door.db");
    older::write(&path, &PEOPLE, &wanted);
    assert!(on_disk(home.path(), b"Unverwechselbar"), "the search must be able to find");
    let storage = Storage::watch(home.path());
    drop(Store::open(&path, StoreSettings::default()).unwrap());
    assert_eq!(holds(home.path(), &wanted), Ok(()));
    let sealed = std::fs::read(home.path().join("store.key")).unwrap();
    let mut tried = 0;
    for power in [Power::Killed, Power::Lost, Power::Reordered, Power::Torn] {
        storage.cuts(power, |call, image| {
            let left = folder();
            image(tried).write(left.path());
            deepid_edge::sign::guarded::write_new(&left.path().join("store.key"), &sealed).unwrap();
            assert_eq!(holds(left.path(), &wanted), Ok(()), "{power:?} behind call {call}");
            tried += 1;
        });
    }
    println!("{tried} cuts");
    shown("migration-cut", tried);
}

#[test]
fn a_migration_that_the_storage_refuses_anywhere_is_made_up_for() {
    let wanted = references();
    let mut cases = 0;
    for (call, code) in [
        (Call::Write, SQLITE_FULL),
        (Call::Write, SQLITE_IOERR_WRITE),
        (Call::Sync, SQLITE_IOERR_FSYNC),
    ] {
        for times in [1, 1000] {
            for after in 0.. {
                let home = folder();
                let path = home.path().join("door.db");
                older::write(&path, &PEOPLE, &wanted);
                let storage = Storage::watch(home.path());
                storage.fail(Failing { call, after, times, code });
                let opened = Store::open(&path, StoreSettings::default());
                if let Err(error) = &opened {
                    assert!(!error.to_string().is_empty());
                }
                drop(opened);
                let failed = storage.heal();
                assert_eq!(holds(home.path(), &wanted), Ok(()), "{call:?} {after} {times}");
                cases += 1;
                // So late that it never came to it: all places were tried.
                if failed == 0 {
                    break;
                }
            }
        }
    }
    println!("{cases} places");
    shown("migration-refused", cases);
}
