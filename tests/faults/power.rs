//! Kills and power cuts behind any call of SQLite, in thousands, without a process.
//!
//! In: a desk at work over a watched storage. Out: for each cut, the database that would be left,
//! opened again: every record that was handed out is in it, its chain is whole, nothing is given twice.
//! `DEEPID_EDGE_CUTS` sets how many cuts of each kind are tried.

use super::desk::{self, folder};
use super::storage::{Image, Power, Storage};
use crate::support::fault_rows::shown;

const STEPS: u64 = 240;

/// Tries cuts of `power` at points spread evenly over the work, and returns how many.
fn cuts(power: Power, seed: u64, mut judge: impl FnMut(&desk::Work, usize, &Image)) -> u64 {
    let wanted = std::env::var("DEEPID_EDGE_CUTS").map_or(1000, |cuts| cuts.parse().unwrap());
    let home = folder();
    drop(desk::open(home.path()));
    let storage = Storage::watch(home.path());
    let work = desk::work(home.path(), &storage, STEPS);
    let calls = storage.done() as u64;
    assert!(work.announced.len() > 100 && calls > 1000, "{calls} calls of SQLite");
    let mut tried = 0;
    storage.cuts(power, |call, left| {
        // As many before this call as are due by now, each with chances of its own.
        while tried < wanted * call as u64 / calls {
            judge(&work, call, &left(seed.wrapping_add(tried)));
            tried += 1;
        }
    });
    tried
}

/// Every state that is left is opened, and all holds.
fn all_hold(power: Power, row: &str) {
    let left = folder();
    let tried = cuts(power, 1, |work, call, image| {
        image.write(left.path());
        let held = work.holds(left.path(), call);
        assert_eq!(held, Ok(()), "{power:?} behind call {call} of SQLite");
    });
    shown(row, tried);
}

#[test]
fn a_kill_behind_any_call_of_sqlite_loses_no_record() {
    all_hold(Power::Killed, "crash-killed");
}

#[test]
fn a_power_cut_that_loses_what_was_not_synced_loses_no_record() {
    all_hold(Power::Lost, "power-lost");
}

#[test]
fn a_power_cut_after_writes_in_any_order_loses_no_record() {
    all_hold(Power::Reordered, "power-reordered");
}

#[test]
fn a_power_cut_that_tears_and_spoils_sectors_loses_no_record() {
    all_hold(Power::Torn, "power-torn");
}

#[test]
fn a_drive_that_lies_about_syncing_is_refused_by_name_or_sound() {
    let left = folder();
    let (mut refused, mut sound, mut told) = (0_u64, 0_u64, 0_u64);
    let tried = cuts(Power::Lying, 2, |_, _, image| {
        image.write(left.path());
        let path = left.path().join("door.db");
        match deepid_edge::store::Store::open_checked(&path, desk::settings()) {
            Err(error) => {
                assert!(!error.to_string().is_empty());
                refused += 1;
            }
            Ok(store) => {
                let whole = store.verify_records().is_ok_and(|verified| verified.broken.is_empty());
                if whole && store.check().is_ok() {
                    sound += 1;
                } else {
                    told += 1;
                }
            }
        }
    });
    println!("refused {refused}, sound {sound}, told by a check {told}");
    assert_eq!(refused + sound + told, tried);
    shown("power-lying", tried);
}
