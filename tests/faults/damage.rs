//! A database that is damaged anywhere: bytes changed, zeroed or cut off at random.
//!
//! In: a sound database with people, references, rules and records, and a seed. Out: for each damage
//! what the program says of it: refused at the start, named while reading, told by the chain of records,
//! or not noticed. Never a panic, and a record that is read as sound says what it said.

use std::collections::BTreeSet;

use deepid_edge::policy::{RuleName, Schedule};
use deepid_edge::sign::GrantKey;
use deepid_edge::store::{May, Role, RuleChange, Store};

use super::desk::{self, WALL, decide, folder, settings};
use crate::support::fault_rows::shown;
use crate::support::people::{People as _, key, signed};

const DAMAGES: u64 = 2000;
const PEOPLE: u32 = 12;

/// What the program would go by.
#[derive(Debug, PartialEq)]
struct Read {
    subjects: Vec<(String, String, bool)>,
    vectors: Vec<(String, bool, Vec<u32>)>,
    rules: String,
    accounts: String,
    records: Vec<deepid_edge::store::AuditRecord>,
    sound: bool,
    /// Names and references that are reported because they do not open.
    unopened: usize,
}

fn read(store: &Store) -> Result<Read, deepid_edge::store::Error> {
    let name = key("deepid2-test");
    let subjects = store.subjects()?;
    let nameless = subjects.iter().filter(|subject| !subject.name_opens).count();
    let subjects = subjects.into_iter();
    let vectors = store.references(&name)?.into_iter();
    let unreadable = store.unreadable_references()?.len();
    let bits = |vector: &[f32]| vector.iter().map(|value| value.to_bits()).collect();
    Ok(Read {
        subjects: subjects.map(|s| (s.id.to_string(), s.name, s.enabled)).collect(),
        vectors: vectors
            .map(|r| (r.subject.to_string(), r.enabled, bits(r.vector.values())))
            .collect(),
        rules: format!("{:?} {:?}", store.rule_book()?, store.arming()?),
        accounts: format!("{:?} {:?}", store.accounts()?, store.administrators()?),
        records: store.audit(0, 10_000)?,
        sound: store.verify_records()?.broken.is_empty(),
        unopened: nameless + unreadable,
    })
}

/// A door's database, in one file, and its key.
fn database() -> (Vec<u8>, Vec<u8>) {
    let home = folder();
    let path = home.path().join("door.db");
    let mut store = Store::open(&path, settings()).unwrap();
    let mut random = fastrand::Rng::with_seed(3);
    let (staff, by) = (RuleName::new("staff").unwrap(), signed(WALL));
    let hours = Schedule::read("mon-fri 08:00-18:00; holiday closed").unwrap();
    for change in [
        RuleChange::SetSchedule { schedule: &staff, hours: &hours },
        RuleChange::AddGroup { group: &staff, schedule: Some(&staff) },
    ] {
        store.change_rules(change, by).unwrap();
    }
    for number in 0..PEOPLE {
        let subject = store.add_subject(&format!("number {number}"), WALL).unwrap();
        let values = (0..160).map(|_| random.f32() * 8.0).collect();
        let vector = deepid_edge::embed::FeatureVector::new(key("deepid2-test"), values).unwrap();
        let source = deepid_edge::store::ReferenceSource::Image;
        store.add_reference(&subject, &vector, 1.0, source, WALL).unwrap();
        if number % 3 == 0 {
            store.enable_subject(&subject, false).unwrap();
        } else {
            let change = RuleChange::Assign { subject: &subject, group: Some(&staff) };
            store.change_rules(change, by).unwrap();
        }
    }
    store
        .add_account(&staff, Role::Viewer, "$argon2id$v=19$m=7168,t=5,p=1$c2FsdA$aGFzaA", by)
        .unwrap();
    let key = GrantKey::of_seed(&[2; 32]);
    store.add_administrator(&staff, key.public(), May::Factor, by).unwrap();
    drop(store);
    let mut desk = desk::open(home.path());
    for number in 0..40 {
        decide(&mut desk, number).unwrap();
    }
    drop(desk);
    (std::fs::read(path).unwrap(), std::fs::read(home.path().join("store.key")).unwrap())
}

#[test]
fn a_database_damaged_anywhere_is_refused_named_or_as_it_was() {
    let (whole, key) = database();
    let (home, mut random) = (folder(), fastrand::Rng::with_seed(4));
    let path = home.path().join("door.db");
    std::fs::write(&path, &whole).unwrap();
    deepid_edge::sign::guarded::write_new(&home.path().join("store.key"), &key).unwrap();
    let good = read(&Store::open_checked(&path, settings()).unwrap()).unwrap();
    assert!(good.sound && good.vectors.len() == PEOPLE as usize);
    let (mut refused, mut named, mut told, mut same, mut unnoticed) = (0, 0, 0, 0, Vec::new());
    let mut unopened = 0;
    for number in 0..DAMAGES {
        let mut damaged = whole.clone();
        let at = random.usize(0..damaged.len());
        let longest = [1, 8, 512, 4096][random.usize(0..4)];
        let length = random.usize(1..=longest);
        let range = at..damaged.len().min(at + length);
        match random.u8(0..4) {
            0 => damaged[range].fill(0),
            1 => damaged.truncate(at),
            2 => damaged[at] ^= 1 << random.u8(0..8),
            _ => random.fill(&mut damaged[range]),
        }
        for beside in ["door.db-wal", "door.db-shm"] {
            drop(std::fs::remove_file(home.path().join(beside)));
        }
        std::fs::write(&path, &damaged).unwrap();
        let store = match Store::open_checked(&path, settings()) {
            Ok(store) => store,
            Err(error) => {
                assert!(!error.to_string().is_empty(), "damage {number}");
                refused += 1;
                continue;
            }
        };
        match read(&store) {
            Err(error) => {
                assert!(!error.to_string().is_empty(), "damage {number}");
                named += 1;
            }
            Ok(read) if read == good => same += 1,
            Ok(read) if read.unopened > 0 => {
                let known = |v: &&(String, bool, Vec<u32>)| {
                    good.vectors.iter().any(|good| (&good.0, &good.2) == (&v.0, &v.2))
                };
                assert!(read.vectors.iter().all(|v| known(&v)), "damage {number}: other numbers");
                unopened += 1;
            }
            Ok(read) if !read.sound => told += 1,
            Ok(read) => {
                assert!(
                    read.records == good.records,
                    "damage {number}: a record is believed that was never made, or missed by nobody"
                );
                let enabled = |read: &Read| {
                    let of = |v: &&(String, bool, Vec<u32>)| v.1;
                    read.vectors.iter().filter(of).map(|v| v.0.clone()).collect::<BTreeSet<_>>()
                };
                assert!(
                    enabled(&read).is_subset(&enabled(&good)),
                    "damage {number}: somebody is enabled who was not"
                );
                let numbers = |read: &Read| -> BTreeSet<(String, Vec<u32>)> {
                    read.vectors.iter().map(|v| (v.0.clone(), v.2.clone())).collect()
                };
                assert!(
                    numbers(&read).is_subset(&numbers(&good)),
                    "damage {number}: a number of a reference is another one"
                );
                let names = |read: &Read| -> BTreeSet<(String, String)> {
                    read.subjects.iter().map(|s| (s.0.clone(), s.1.clone())).collect()
                };
                assert!(names(&read).is_subset(&names(&good)), "damage {number}: another name");
                unnoticed.push((number, read));
            }
        }
    }
    let other = |what: fn(&Read) -> String| {
        unnoticed.iter().filter(|(_, read)| what(read) != what(&good)).count()
    };
    let enabled =
        |read: &Read| format!("{:?}", read.vectors.iter().map(|v| (&v.0, v.1)).collect::<Vec<_>>());
    println!(
        "{refused} refused, {named} named, {unopened} did not open and were reported, {told} told by the chain, {same} as it was, {} unnoticed: {} in a switch, {} in who is enabled, {} in references that are gone, {} in rules, {} in accounts",
        unnoticed.len(),
        other(|read| format!("{:?}", read.subjects)),
        other(enabled),
        other(|read| format!("{:?}", read.vectors)),
        other(|read| read.rules.clone()),
        other(|read| read.accounts.clone()),
    );
    assert_eq!(refused + named + unopened + told + same + unnoticed.len() as u64, DAMAGES);
    assert!(refused > DAMAGES / 4, "{refused} of {DAMAGES}");
    // Keys are drawn anew in each run; what can go unnoticed is a few bytes of the file.
    assert!(unnoticed.len() < 10, "{} of {DAMAGES}", unnoticed.len());
    shown("damage", DAMAGES);
}
