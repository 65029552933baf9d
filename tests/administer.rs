//! What an administrator changes, from outside: whole or not at all, and never without its record.
//!
//! Every database lies in a directory of its own. One test kills a process that enrols, again and
//! again, at whatever moment of an enrolment it happens to be in.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/database.rs"]
mod database;
#[path = "support/ended.rs"]
mod ended;
#[path = "support/fault_rows.rs"]
mod fault_rows;
#[path = "support/older.rs"]
mod older;
#[path = "support/people.rs"]
mod people;

use std::path::Path;

use database::{model, open, place, vector, wall};
use deepid_edge::clock::{Clock as _, ClockRequirement, Floor, SystemClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::store::{
    Administrative, Body, Change, Enrolee, Error, Likeness, LookAlike, NewReference,
    ReferenceSource, Store, StoreSettings, Usable,
};
use ended::Ended;
use fault_rows::shown;
use older::Plain;
use people::{People as _, key};
use rusqlite::Connection;

/// A database whose references are older than the record of procedures.
fn with_references_of_an_unknown_file(path: &Path) -> Store {
    let of = |model, length: usize| Plain::of("s-00000a", model, &vec![1.0; length]);
    older::write(path, &[("s-00000a", "Ada")], &[of("m", 4), of("m", 4), of("n", 2)]);
    open(path)
}

#[test]
fn references_of_an_unknown_file_count_only_when_somebody_has_vouched_for_them() {
    let (_directory, path) = place();
    let mut store = with_references_of_an_unknown_file(&path);
    let m = key("m");
    assert!(store.references(&m).unwrap().is_empty());
    store.check_references(&m.id).unwrap();
    let usable = Usable::of(&store.held().unwrap(), &[&m]);
    assert_eq!((usable.of_unknown_file(), usable.never_compared()), (3, 3));
    assert_eq!(usable.subjects_unreachable, 1);

    let wrong = store.change(Change::Adopt { key: &m, length: 160 });
    assert!(matches!(wrong, Err(Error::WrongLength { found: 4, wanted: 160, .. })), "{wrong:?}");
    assert!(store.references(&m).unwrap().is_empty(), "nothing was adopted");

    let done = store.change(Change::Adopt { key: &m, length: 4 }).unwrap();
    assert_eq!(done.references, 2);
    let event = Administrative::ReferencesAdopted {
        model: m.id.clone(),
        procedure: m.procedure,
        references: 2,
    };
    assert_eq!(done.record.body, Body::Administrative(event));
    assert_eq!(store.audit(0, 100).unwrap().last(), Some(&done.record));
    assert_eq!(store.references(&m).unwrap().len(), 2);
    assert_eq!(Usable::of(&store.held().unwrap(), &[&m]).of_unknown_file(), 1, "those of n stay");
}

#[test]
fn every_change_is_recorded_in_its_own_transaction() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let vectors = [vector("m", &[1.0; 4]), vector("second", &[2.0; 3])];
    let references =
        [&vectors[0], &vectors[0], &vectors[1]].map(|vector| NewReference { vector, quality: 0.5 });
    let (model, source) = (&model("m"), ReferenceSource::Image);
    let enrol = |who| Change::Enrol { who, references: &references, source, model };
    let ada = store.change(enrol(Enrolee::New("Ada"))).unwrap().subject.unwrap();
    store.change(enrol(Enrolee::Also(&ada))).unwrap();
    assert_eq!(store.subject("Ada").unwrap().references, 6);
    let replaced = store.change(enrol(Enrolee::Instead(&ada))).unwrap();
    assert!(replaced.left_in_log.is_none());
    assert_eq!(store.subject("Ada").unwrap().references, 3, "in place of those it had");
    store.rename_subject(&ada, "Ada L.").unwrap();
    store.enable_subject(&ada, false).unwrap();
    store.enable_subject(&ada, true).unwrap();
    store.remove_subject(&ada).unwrap();
    let enrolled = |replaced| Administrative::SubjectEnrolled {
        subject: ada.clone(),
        model: model.clone(),
        references: 2,
        replaced,
    };
    let id = || ada.clone();
    let wanted = [
        enrolled(None),
        enrolled(None),
        enrolled(Some(6)),
        Administrative::SubjectRenamed { subject: id() },
        Administrative::SubjectDisabled { subject: id() },
        Administrative::SubjectEnabled { subject: id() },
        Administrative::SubjectRemoved { subject: id() },
    ];
    let found: Vec<Body> = store.audit(0, 100).unwrap().into_iter().map(|r| r.body).collect();
    assert_eq!(found, wanted.map(Body::Administrative));
    assert_eq!(store.outbox_depth().unwrap(), 7, "and is sent");
}

#[test]
fn a_change_that_cannot_be_made_leaves_nothing_and_no_record() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    store
        .add_reference(&ada, &vector("m", &[1.0; 4]), 1.0, ReferenceSource::Image, wall(0))
        .unwrap();
    let before = (store.subjects().unwrap(), store.audit(0, 100).unwrap());
    let (right, wrong) = (vector("m", &[1.0; 4]), vector("m", &[1.0; 5]));
    let pair = |second| [&right, second].map(|vector| NewReference { vector, quality: 1.0 });
    let (halves, wholes) = (pair(&wrong), pair(&right));
    let too_good = [NewReference { vector: &right, quality: 1.5 }];
    let nobody = SubjectId::new("s-ffffff0").unwrap();
    let (model, source) = (&model("m"), ReferenceSource::Image);
    let enrol = |who, references| Change::Enrol { who, references, source, model };
    let changes = [
        enrol(Enrolee::New("Bob"), &halves),
        enrol(Enrolee::Also(&ada), &halves),
        enrol(Enrolee::Instead(&ada), &halves),
        enrol(Enrolee::Instead(&ada), &too_good),
        enrol(Enrolee::Instead(&nobody), &wholes),
        enrol(Enrolee::New("Ada"), &wholes),
        Change::Rename { subject: &nobody, name: "Bob" },
        Change::Enable { subject: &nobody, enabled: true },
        Change::Remove { subject: &nobody },
    ];
    for change in changes {
        let refused = store.change(change);
        assert!(refused.is_err(), "{change:?}");
        assert_eq!((store.subjects().unwrap(), store.audit(0, 100).unwrap()), before, "{change:?}");
    }
    // The record cannot be written: the change is undone with it.
    let other = Connection::open(&path).unwrap();
    other
        .execute_batch(
            "CREATE TRIGGER no_record BEFORE INSERT ON audit BEGIN SELECT RAISE(ABORT, 'no'); END",
        )
        .unwrap();
    assert!(store.remove_subject(&ada).is_err());
    assert!(store.add_subject("Bob", wall(0)).is_err());
    assert_eq!((store.subjects().unwrap(), store.audit(0, 100).unwrap()), before);
}

const CHILD: &str = "DEEPID_EDGE_TEST_ENROLS_INTO";
const REFERENCES_EACH: usize = 200;

/// What [`a_kill_in_mid_enrolment_leaves_nothing_or_all`] kills: enrols one after another, for ever.
#[test]
fn enrols_until_it_is_killed() {
    let Some(path) = std::env::var_os(CHILD) else { return };
    let mut store = open(Path::new(&path));
    let vector = vector("m", &[1.0; 160]);
    let references = vec![NewReference { vector: &vector, quality: 1.0 }; REFERENCES_EACH];
    for number in 0.. {
        let name = format!("Number {number} of {}", std::process::id());
        let (model, source) = (&model("m"), ReferenceSource::Image);
        let who = Enrolee::New(&name);
        store.change(Change::Enrol { who, references: &references, source, model }).unwrap();
    }
}

#[test]
fn a_kill_in_mid_enrolment_leaves_nothing_or_all() {
    let (_directory, path) = place();
    drop(open(&path));
    let clock = SystemClock::new(ClockRequirement::Plausible, Floor::default());
    for turn in 0..6_u64 {
        let child = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "enrols_until_it_is_killed"])
            .env(CHILD, &path)
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let mut child = Ended::with(child);
        // It is at work once there is something new; then it is killed at some moment of an enrolment.
        let before = open(&path).subjects().unwrap().len();
        while Store::open(&path, StoreSettings::default()).unwrap().subjects().unwrap().len()
            <= before
        {
            assert!(child.try_wait().unwrap().is_none(), "it has ended by itself");
        }
        clock.sleep(std::time::Duration::from_micros(1700 * turn));
        drop(child);
        let store = open(&path);
        store.check().unwrap();
        let subjects = store.subjects().unwrap();
        let whole = REFERENCES_EACH as u64;
        assert!(subjects.iter().all(|subject| subject.references == whole), "half a person");
        assert_eq!(store.audit(0, 100_000).unwrap().len(), subjects.len(), "one record each");
    }
    shown("kill-enrolment", 6);
}

#[test]
fn a_removal_while_somebody_reads_is_done_and_recorded() {
    let (directory, path) = place();
    let settings = StoreSettings { busy_timeout_ms: 20, ..StoreSettings::default() };
    let mut store = Store::open(&path, settings).unwrap();
    let subject = store.add_subject("Erasmus von Unverwechselbar", wall(0)).unwrap();
    let reader = Connection::open(&path).unwrap();
    reader.execute_batch("BEGIN; SELECT count(*) FROM subjects").unwrap();
    let done = store.remove_subject(&subject).unwrap();
    assert!(matches!(done.left_in_log, Some(Error::Busy { .. })), "it is told: {done:?}");
    assert_eq!(
        done.record.body,
        Body::Administrative(Administrative::SubjectRemoved { subject: subject.clone() })
    );
    assert_eq!(store.audit(0, 100).unwrap().last(), Some(&done.record));
    assert!(matches!(store.subject(subject.as_str()), Err(Error::NoSuchSubject { .. })));
    reader.execute_batch("COMMIT").unwrap();
    drop(reader);
    // The next removal cuts what this one had to leave.
    let other = store.add_subject("Bob", wall(0)).unwrap();
    assert!(store.remove_subject(&other).unwrap().left_in_log.is_none());
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let content = std::fs::read(entry.unwrap().path()).unwrap();
        assert!(!content.windows(15).any(|window| window == b"Unverwechselbar"));
    }
}

#[test]
fn a_name_is_found_in_any_spelling_of_its_characters() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let (composed, apart) = ("Jos\u{e9}", "Jose\u{301}");
    let jose = store.add_subject(apart, wall(0)).unwrap();
    assert_eq!(store.subjects().unwrap()[0].name, composed, "stored composed");
    for spelling in [composed, apart] {
        assert_eq!(store.subject(spelling).unwrap().id, jose);
        let taken = store.add_subject(spelling, wall(0));
        assert!(matches!(taken, Err(Error::NameTaken { by }) if by == jose));
    }
    store.rename_subject(&jose, apart).unwrap();

    // Names from before this rule are found as well, and told apart by their ids.
    let of = |people: &[(&str, &str)]| {
        let (directory, path) = place();
        older::write(&path, people, &[]);
        (directory, open(&path))
    };
    let (_first, store) = of(&[("s-00000a", "Zoe\u{308}")]);
    assert_eq!(store.subject("Zo\u{eb}").unwrap().id.as_str(), "s-00000a");
    let (one, two) = ("\u{1e69}", "s\u{323}\u{307}");
    let people = [
        ("s-00000a", "Zoe\u{308}"),
        ("s-00000b", "Zo\u{eb}"),
        ("s-00000c", "\u{1e63}\u{307}"),
        ("s-00000d", two),
    ];
    let (_second, store) = of(&people);
    assert_eq!(store.subject("Zo\u{eb}").unwrap().id.as_str(), "s-00000b", "the same bytes first");
    assert_eq!(store.subject("Zoe\u{308}").unwrap().id.as_str(), "s-00000a");
    let error = store.subject(one).unwrap_err();
    assert!(matches!(&error, Error::AmbiguousName { ids } if ids.len() == 2), "{error}");
    assert!(error.to_string().contains("s-00000c, s-00000d"), "{error}");
}

#[test]
fn names_that_look_like_an_enrolled_one_are_named() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    for (name, by) in [("ADA", Likeness::Case), ("\u{410}da", Likeness::Characters)] {
        let alike = store.look_alikes(name).unwrap();
        let wanted = LookAlike { subject: ada.clone(), name: "Ada".to_owned(), by };
        assert_eq!(alike, [wanted], "{name}");
    }
    assert_eq!(store.look_alikes("Bob").unwrap(), []);
    assert_eq!(store.look_alikes("Ada").unwrap(), [], "the same is no look-alike");
}
