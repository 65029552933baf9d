//! A storage that refuses single calls: full, failing to write, to sync, to read, to cut a file.
//!
//! In: a desk at work, and the call from which its storage refuses. Out: what was announced: only what
//! is on the disk, and the condition that says why nothing was; after the fault it goes on by itself.

use deepid_edge::store::{Condition, Store};
use rusqlite::ffi::{SQLITE_FULL, SQLITE_IOERR_FSYNC, SQLITE_IOERR_READ, SQLITE_IOERR_WRITE};

use super::desk::{self, WALL, Work, decide, folder};
use super::storage::{Call, Failing, Storage};
use crate::support::fault_rows::shown;
use crate::support::people::People as _;

/// Decisions while the storage may fail.
const DECISIONS: u64 = 12;

/// Fails `call` for some times from each place on; how many cases that were, and in how many of them
/// something was not recorded. Before each decision another program changes the database: without that
/// SQLite would have read all that it needs when it was opened.
fn each_place(call: Call, code: i32, wanted: Condition) -> (u64, u64) {
    let (mut cases, mut withheld_in) = (0, 0);
    for times in [1, 3, 1000] {
        for after in 0.. {
            let home = folder();
            drop(desk::open(home.path()));
            let storage = Storage::watch(home.path());
            let mut desk = desk::open(home.path());
            let mut beside = Store::open(&home.path().join("door.db"), desk::settings()).unwrap();
            storage.fail(Failing { call, after, times, code });
            let mut announced = Vec::new();
            let mut withheld = 0;
            for number in 1..=DECISIONS {
                let name = format!("number {number}");
                storage.spared(|| beside.add_subject(&name, WALL).unwrap());
                if let Some(record) = decide(&mut desk, number) {
                    announced.push((0, record));
                } else {
                    assert_eq!(desk.condition(), wanted, "{call:?} {after}");
                    withheld += 1;
                }
            }
            let failed = storage.heal();
            let last = decide(&mut desk, DECISIONS + 1).expect("it goes on when all is well again");
            announced.push((0, last.clone()));
            let recorded = desk.store().audit(0, 1000).unwrap();
            assert!(recorded.len() >= announced.len());
            drop((desk, beside));
            let work = Work { announced, enrolled: Vec::new(), last: last.seq };
            assert_eq!(work.holds(home.path(), 0), Ok(()), "{call:?} {after} {times}");
            cases += 1;
            withheld_in += u64::from(withheld > 0);
            // So late that it never came to it: all places were tried.
            if failed == 0 {
                break;
            }
        }
    }
    (cases, withheld_in)
}

#[test]
fn a_disk_that_is_full_from_any_write_on_grants_nothing_that_it_does_not_keep() {
    let (cases, withheld) = each_place(Call::Write, SQLITE_FULL, Condition::Full);
    assert!(withheld > 20, "{withheld} of {cases}");
    shown("disk-full", cases);
}

#[test]
fn a_write_that_fails_anywhere_grants_nothing_that_is_not_kept() {
    let (cases, withheld) = each_place(Call::Write, SQLITE_IOERR_WRITE, Condition::Failed);
    assert!(withheld > 20, "{withheld} of {cases}");
    shown("write-fails", cases);
}

#[test]
fn a_sync_that_fails_anywhere_grants_nothing_that_is_not_kept() {
    let (cases, withheld) = each_place(Call::Sync, SQLITE_IOERR_FSYNC, Condition::Failed);
    assert!(withheld > 10, "{withheld} of {cases}");
    shown("sync-fails", cases);
}

#[test]
fn a_read_that_fails_anywhere_grants_nothing_that_is_not_kept() {
    let (cases, withheld) = each_place(Call::Read, SQLITE_IOERR_READ, Condition::Failed);
    assert!(withheld > 20, "{withheld} of {cases}");
    shown("read-fails", cases);
}
