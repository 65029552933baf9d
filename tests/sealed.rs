//! Names and references at rest: sealed, each for its own row, by a key that is elsewhere.
//!
//! Every database lies in a folder of its own and is spoilt, or read, as whoever has the card in hand
//! would: by SQLite without our code, or as plain bytes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

#[path = "support/database.rs"]
mod database;
#[path = "support/older.rs"]
mod older;
#[path = "support/people.rs"]
mod people;

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use database::{model, open, place, vector, wall};
use deepid_edge::compare::SubjectId;
use deepid_edge::inference::ProcedureHash;
use deepid_edge::sign::PlaceKind;
use deepid_edge::store::seal::SealPlace;
use deepid_edge::store::{
    Administrative, Body, Change, Enrolee, Error, ErrorKind, NAME_SEALED, NewReference,
    ReferenceSource, SealTrouble, Store, StoreKey, StoreSettings,
};
use older::{Plain, on_disk};
use people::{People as _, key, signed};
use rusqlite::Connection;

const NUMBERS: [f32; 4] = [1.25, -7.5, 3.75e9, 0.125];

struct Bench {
    folder: tempfile::TempDir,
    path: PathBuf,
    store: Store,
    ada: SubjectId,
    bob: SubjectId,
}

impl Bench {
    /// Ada has the references 1 and 2, Bob 3 and 4.
    fn new() -> Self {
        let (folder, path) = place();
        let mut store = open(&path);
        let ada = store.add_subject("Ada Lovelace", wall(1)).unwrap();
        let bob = store.add_subject("Bob Unverwechselbar", wall(2)).unwrap();
        for (subject, first) in [(&ada, 1.0), (&ada, 2.0), (&bob, 3.0), (&bob, 4.0)] {
            let values = [first, NUMBERS[1], NUMBERS[2], NUMBERS[3]];
            let vector = vector("m", &values);
            store.add_reference(subject, &vector, 0.5, ReferenceSource::Image, wall(3)).unwrap();
        }
        Self { folder, path, store, ada, bob }
    }

    fn spoil(&self, sql: &str) {
        Connection::open(&self.path).unwrap().execute_batch(sql).unwrap();
    }

    /// Those that are compared, and those that are reported.
    fn numbers(&self) -> (Vec<i64>, Vec<i64>) {
        let read = self.store.references(&key("m")).unwrap().into_iter().map(|r| r.id).collect();
        let unreadable = self.store.unreadable_references().unwrap();
        (read, unreadable.into_iter().map(|one| one.reference).collect())
    }

    fn key_file(&self) -> PathBuf {
        self.folder.path().join("store.key")
    }

    fn blob(&self, sql: &str) -> Vec<u8> {
        Connection::open(&self.path).unwrap().query_row(sql, [], |row| row.get(0)).unwrap()
    }
}

fn bytes(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn trouble(error: Error) -> SealTrouble {
    match error {
        Error::Sealed { trouble, .. } => *trouble,
        other => panic!("{other}"),
    }
}

#[test]
fn no_name_and_no_number_stands_readable_on_the_disk() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    for needle in [&b"Lovelace"[..], b"Unverwechselbar", &bytes(&NUMBERS[1..])] {
        assert!(!on_disk(folder, needle), "{needle:?}");
    }
    let mode = bench.key_file().metadata().unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    let lengths: Vec<usize> = [&bench.ada, &bench.bob]
        .map(|id| bench.blob(&format!("SELECT name FROM subjects WHERE id = '{id}'")).len())
        .to_vec();
    assert_eq!(lengths[0], lengths[1], "the length of a name says nothing");
    assert!(bench.store.remains().unwrap().is_clean());
}

/// Each way to alter, move or plant a row, and which references are compared and which reported then.
#[test]
fn a_reference_that_was_altered_moved_or_planted_is_reported_and_the_others_go_on() {
    for (sql, compared, reported) in [
        // Somebody else's numbers in Ada's place.
        (
            "UPDATE subject_references SET vector = (SELECT vector FROM subject_references WHERE id = 3) WHERE id = 1",
            &[2, 3, 4][..],
            &[1][..],
        ),
        // Her own other ones.
        (
            "UPDATE subject_references SET vector = (SELECT vector FROM subject_references WHERE id = 2) WHERE id = 1",
            &[2, 3, 4],
            &[1],
        ),
        // Two rows change their places.
        (
            "UPDATE subject_references SET id = 9 WHERE id = 1;
             UPDATE subject_references SET id = 1 WHERE id = 2;
             UPDATE subject_references SET id = 2 WHERE id = 9",
            &[3, 4],
            &[1, 2],
        ),
        // Bob's references become Ada's.
        (
            "UPDATE subject_references SET subject = (SELECT subject FROM subject_references WHERE id = 1) WHERE id > 2",
            &[1, 2],
            &[3, 4],
        ),
        // The same with his key.
        (
            "UPDATE subject_references SET subject = (SELECT subject FROM subject_references WHERE id = 1) WHERE id > 2;
             UPDATE subjects SET data_key = (SELECT data_key FROM subjects WHERE created_ms = 2) WHERE created_ms = 1",
            &[],
            &[1, 2, 3, 4],
        ),
        // A copy of a row.
        (
            "INSERT INTO subject_references (subject, model, vector, quality, source, created_ms, procedure)
             SELECT subject, model, vector, quality, source, created_ms, procedure FROM subject_references WHERE id = 1",
            &[1, 2, 3, 4],
            &[5],
        ),
        // Numbers of somebody's own choice, in plain.
        (
            "UPDATE subject_references SET vector = zeroblob(56) WHERE id = 2",
            &[1, 3, 4],
            &[2],
        ),
        ("UPDATE subject_references SET quality = 1 WHERE id = 2", &[1, 3, 4], &[2]),
        ("UPDATE subject_references SET source = 'camera' WHERE id = 2", &[1, 3, 4], &[2]),
        ("UPDATE subject_references SET created_ms = 4 WHERE id = 2", &[1, 3, 4], &[2]),
        // Of another model, or of a procedure that nobody has vouched for.
        ("UPDATE subject_references SET model = 'other' WHERE id = 2", &[1, 3, 4], &[2]),
        ("UPDATE subject_references SET procedure = NULL WHERE id = 2", &[1, 3, 4], &[2]),
        // Whether somebody is let in at all, and his rules, are not sealed.
        ("UPDATE subjects SET enabled = 0", &[1, 2, 3, 4], &[]),
    ] {
        let bench = Bench::new();
        bench.spoil(sql);
        assert_eq!(bench.numbers(), (compared.to_vec(), reported.to_vec()), "{sql}");
    }
}

#[test]
fn any_byte_that_is_altered_is_noticed() {
    let bench = Bench::new();
    let whole = bench.blob("SELECT vector FROM subject_references WHERE id = 1");
    let other = Connection::open(&bench.path).unwrap();
    for at in 0..whole.len() {
        let mut altered = whole.clone();
        altered[at] ^= 0x10;
        other.execute("UPDATE subject_references SET vector = ?1 WHERE id = 1", [altered]).unwrap();
        assert_eq!(bench.numbers(), (vec![2, 3, 4], vec![1]), "byte {at}");
        let error = bench.store.check_references(&model("m")).unwrap_err();
        assert!(matches!(error, Error::BadReference { reference: 1, .. }), "{error}");
    }
    other.execute("UPDATE subject_references SET vector = ?1 WHERE id = 1", [whole]).unwrap();
    assert_eq!(bench.numbers(), (vec![1, 2, 3, 4], vec![]));
}

#[test]
fn a_name_that_was_altered_or_moved_is_none_and_can_be_given_again() {
    let mut bench = Bench::new();
    let names = "UPDATE subjects SET name = (SELECT name FROM subjects WHERE created_ms = 2) WHERE created_ms = 1";
    bench.spoil(names);
    let ada = bench.store.subject(bench.ada.as_str()).unwrap();
    assert_eq!((ada.name.as_str(), ada.name_opens), (NAME_SEALED, false));
    assert_eq!(bench.store.subject("Bob Unverwechselbar").unwrap().id, bench.bob);
    assert!(bench.store.add_subject(NAME_SEALED, wall(9)).is_err(), "nobody may be called so");
    assert_eq!(bench.numbers().0, [1, 2, 3, 4], "they are recognised all the same");
    bench.store.rename_subject(&bench.ada, "Ada").unwrap();
    assert_eq!(bench.store.subject("Ada").unwrap().id, bench.ada);
    assert_eq!(bench.numbers().0, [1, 2, 3, 4]);

    // A key that does not open: its references are lost, the person is not.
    bench.spoil("UPDATE subjects SET data_key = zeroblob(72) WHERE created_ms = 1");
    assert_eq!(bench.numbers(), (vec![3, 4], vec![1, 2]));
    let vector = vector("m", &NUMBERS);
    let references = [NewReference { vector: &vector, quality: 1.0 }];
    let source = ReferenceSource::Image;
    let model = &model("m");
    let ada = bench.ada.clone();
    for who in [Enrolee::Also(&ada), Enrolee::Instead(&ada)] {
        let change = Change::Enrol { who, references: &references, source, model };
        let error = bench.store.change(change).unwrap_err();
        assert!(matches!(error, Error::Unopened { .. }), "{error}");
        assert!(error.to_string().contains("subjects rename"), "{error}");
    }
    bench.store.rename_subject(&ada, "Ada").unwrap();
    let who = Enrolee::Instead(&ada);
    bench.store.change(Change::Enrol { who, references: &references, source, model }).unwrap();
    assert_eq!(bench.numbers(), (vec![3, 4, 5], vec![]));
}

/// What becomes of the file, who does it, and whether it is told.
type Case<'a> = (&'a str, &'a dyn Fn(), fn(&SealTrouble) -> bool);

#[test]
fn without_its_key_nobody_is_compared_or_enrolled_and_no_key_is_made() {
    let bench = Bench::new();
    let (file, away) = (bench.key_file(), bench.folder.path().join("away"));
    let other = StoreKey::generate().unwrap();
    drop(bench.store);
    std::fs::rename(&file, &away).unwrap();
    let write = |text: &str, mode: u32| {
        drop(std::fs::remove_file(&file));
        std::fs::write(&file, text).unwrap();
        std::fs::set_permissions(&file, std::fs::Permissions::from_mode(mode)).unwrap();
    };
    let right = std::fs::read_to_string(&away).unwrap();
    let cases: [Case<'_>; 5] = [
        ("gone", &|| (), |t| matches!(t, SealTrouble::Missing { credential: false, .. })),
        ("another", &|| write(&other.to_text(), 0o600), |t| matches!(t, SealTrouble::Other { .. })),
        ("none", &|| write("geheim", 0o600), |t| matches!(t, SealTrouble::NoKey { .. })),
        ("open", &|| write(&right, 0o640), |t| matches!(t, SealTrouble::Unguarded { .. })),
        (
            "a link",
            &|| {
                std::fs::remove_file(&file).unwrap();
                std::os::unix::fs::symlink(&away, &file).unwrap();
            },
            |t| matches!(t, SealTrouble::Unguarded { .. }),
        ),
    ];
    for (what, make, is_it) in cases {
        make();
        let before = std::fs::read(&file).ok();
        let mut store = open(&bench.path);
        let error = store.references(&key("m")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Unusable, "{what}");
        let said = error.to_string();
        assert!(said.contains("; ") && !said.contains("geheim"), "it says what helps: {said}");
        assert!(is_it(&trouble(error)), "{what}");
        assert!(store.sealed().is_some());
        for subject in store.subjects().unwrap() {
            assert_eq!((subject.name.as_str(), subject.references), (NAME_SEALED, 2), "{what}");
        }
        let refused = [
            store.subject("Ada Lovelace").map(drop),
            store.add_subject("Carol", wall(5)).map(drop),
            store.rename_subject(&bench.ada, "Eve"),
            store.add_reference(
                &bench.ada,
                &vector("m", &NUMBERS),
                1.0,
                ReferenceSource::Image,
                wall(6),
            ),
        ];
        for refusal in refused {
            trouble(refusal.unwrap_err());
        }
        assert_eq!(std::fs::read(&file).ok(), before, "{what}: it is left as it is");
    }
    std::fs::remove_file(&file).unwrap();
    std::fs::rename(&away, &file).unwrap();
    let mut store = open(&bench.path);
    assert!(store.sealed().is_none());
    assert_eq!(store.subject("Ada Lovelace").unwrap().id, bench.ada);
    // Somebody can be removed without it.
    std::fs::rename(&file, &away).unwrap();
    drop(store);
    store = open(&bench.path);
    store.remove_subject(&bench.bob).unwrap();
    assert_eq!(store.subjects().unwrap().len(), 1);
}

#[test]
fn a_database_that_nobody_is_enrolled_in_needs_no_key_and_takes_one_that_lies_there() {
    let (folder, path) = place();
    let mut store = open(&path);
    assert!(store.subjects().unwrap().is_empty());
    assert!(store.references(&key("m")).unwrap().is_empty());
    assert!(store.sealed().is_none() && store.store_key().unwrap().is_none());
    let file = folder.path().join("store.key");
    assert!(!file.exists(), "none is made to look");
    let given = StoreKey::generate().unwrap();
    let place = SealPlace { path: file.clone(), kind: PlaceKind::File };
    place.put_beside(&given, None).unwrap();
    place.settle().unwrap();
    store.add_subject("Ada", wall(0)).unwrap();
    assert_eq!(store.store_key().unwrap().unwrap().name(), given.name());
}

#[test]
fn the_services_credential_goes_before_the_file_and_is_named_where_it_is_not_seen() {
    let credentials = tempfile::tempdir().unwrap();
    let (_folder, path) = place();
    let given = StoreKey::generate().unwrap();
    std::fs::write(credentials.path().join("store.key"), given.to_text().as_bytes()).unwrap();
    let file = path.with_file_name("store.key");
    let key_place = Some(SealPlace::of(file.clone(), Some(credentials.path())));
    let settings = StoreSettings { key_place, ..StoreSettings::default() };
    let mut service = Store::open(&path, settings).unwrap();
    service.add_subject("Ada", wall(0)).unwrap();
    assert!(!file.exists());
    let mut command = open(&path);
    let error = command.add_subject("Bob", wall(0)).unwrap_err();
    assert!(error.to_string().contains("systemd-run"), "{error}");
    assert!(matches!(trouble(error), SealTrouble::Missing { credential: true, .. }));
    assert!(!file.exists(), "and none is made");
}

#[test]
fn another_key_wraps_the_same_data_keys_and_a_daemon_follows() {
    let mut bench = Bench::new();
    let daemon = open(&bench.path);
    let before = std::fs::read(bench.key_file()).unwrap();
    let sealed = bench.blob("SELECT vector FROM subject_references WHERE id = 1");
    assert_eq!(daemon.references(&key("m")).unwrap().len(), 4);
    let place = SealPlace::beside_database(&bench.path);
    let new = StoreKey::generate().unwrap();
    place.put_beside(&new, None).unwrap();
    let record = bench.store.rotate_store_key(&new, PlaceKind::File, signed(wall(9))).unwrap();
    let Body::Administrative(Administrative::StoreKeyRotated { after, .. }) = &record.body else {
        panic!("{record:?}")
    };
    assert_eq!(after, new.name());
    // Broken off here: the recorded key lies beside its place, and whoever needs it finishes that.
    assert_eq!(std::fs::read(bench.key_file()).unwrap(), before);
    assert_eq!(daemon.references(&key("m")).unwrap().len(), 4);
    assert_eq!(std::fs::read(bench.key_file()).unwrap(), new.to_text().as_bytes());
    assert_eq!(daemon.subject("Ada Lovelace").unwrap().id, bench.ada);
    assert_eq!(bench.blob("SELECT vector FROM subject_references WHERE id = 1"), sealed);
    let file = bench.key_file();
    drop((daemon, bench.store));
    std::fs::write(file, &before).unwrap();
    let error = open(&bench.path).references(&key("m")).unwrap_err();
    assert!(matches!(trouble(error), SealTrouble::Other { .. }), "the key before opens nothing");
}

#[test]
fn whoever_is_removed_or_replaced_leaves_no_key_behind() {
    let mut bench = Bench::new();
    let wrapped = |bench: &Bench, id: &SubjectId| {
        bench.blob(&format!("SELECT data_key FROM subjects WHERE id = '{id}'"))
    };
    let folder = bench.folder.path().to_owned();
    let of_ada = wrapped(&bench, &bench.ada);
    assert!(on_disk(&folder, &of_ada), "the search must be able to find");
    let vector = vector("m", &NUMBERS);
    let references = [NewReference { vector: &vector, quality: 1.0 }];
    let (ada, model) = (bench.ada.clone(), model("m"));
    let kept = bench.blob("SELECT vector FROM subject_references WHERE id = 1");
    let who = Enrolee::Instead(&ada);
    let source = ReferenceSource::Image;
    let change = Change::Enrol { who, references: &references, source, model: &model };
    assert!(bench.store.change(change).unwrap().left_in_log.is_none());
    assert!(!on_disk(&folder, &of_ada) && !on_disk(&folder, &kept));
    assert_eq!(bench.store.subject("Ada Lovelace").unwrap().id, ada, "the name is sealed anew");

    // What somebody has kept of her row before does not open any more.
    let plant = "INSERT INTO subject_references (id, subject, model, vector, quality, source, created_ms, procedure)
         SELECT 1, subject, model, ?1, 0.5, 'image', 3, procedure FROM subject_references WHERE id = 5";
    Connection::open(&bench.path).unwrap().execute(plant, [&kept]).unwrap();
    assert_eq!(bench.numbers(), (vec![3, 4, 5], vec![1]));

    let of_bob = wrapped(&bench, &bench.bob);
    let bob = bench.bob.clone();
    assert!(bench.store.remove_subject(&bob).unwrap().left_in_log.is_none());
    assert!(!on_disk(&folder, &of_bob));
    let remains = bench.store.remains().unwrap();
    assert!(remains.is_clean(), "{remains:?}");
    assert_eq!((remains.names, remains.references, remains.unopened), (1, 1, 1));
}

/// As many people as leave copies of moved rows in the pages of a table.
#[test]
fn of_many_who_come_and_go_no_key_is_left() {
    let (folder, path) = place();
    let mut store = open(&path);
    let mut random = fastrand::Rng::with_seed(5);
    let mut there: Vec<SubjectId> = Vec::new();
    let mut gone: Vec<Vec<u8>> = Vec::new();
    for number in 0..120 {
        if number % 3 == 2 {
            let one = there.swap_remove(random.usize(..there.len()));
            let sql = "SELECT data_key FROM subjects WHERE id = ?1";
            let other = Connection::open(&path).unwrap();
            gone.push(other.query_row(sql, [one.as_str()], |row| row.get(0)).unwrap());
            drop(other);
            assert!(store.remove_subject(&one).unwrap().left_in_log.is_none());
        } else {
            there.push(store.add_subject(&format!("number {number}"), wall(number)).unwrap());
        }
    }
    assert_eq!(gone.len(), 40);
    for wrapped in &gone {
        assert!(!on_disk(folder.path(), wrapped));
    }
    let remains = store.remains().unwrap();
    assert!(remains.is_clean(), "{remains:?}");
}

#[test]
fn what_stands_readable_is_found_and_swept_out() {
    let bench = Bench::new();
    let folder = bench.folder.path();
    let beside = folder.join("deepid-edge.db.before-restore-20260101");
    older::write(&beside, &[("s-00000a", "Carol")], &[]);
    std::fs::write(
        folder.join("deepid-edge.db.old"),
        bytes(&[1.0, NUMBERS[1], NUMBERS[2], NUMBERS[3]]),
    )
    .unwrap();
    // As if something had been left in a page that is not in use.
    bench.spoil(
        "PRAGMA secure_delete = OFF; CREATE TABLE t (b BLOB); INSERT INTO t VALUES (zeroblob(9000));
         UPDATE t SET b = CAST('Bob Unverwechselbar' AS BLOB) || zeroblob(9000); DROP TABLE t",
    );
    let found = bench.store.remains().unwrap();
    let said = found.readable.join("\n");
    for word in [
        "the name of s-",
        "reference 1 of s-",
        "before-restore-20260101 is a database from before",
        "not in use are not empty",
    ] {
        assert!(said.contains(word), "{word}: {said}");
    }
    assert!(!said.contains("Unverwechselbar"), "{said}");
    bench.store.rewrite().unwrap();
    std::fs::remove_file(beside).unwrap();
    std::fs::remove_file(folder.join("deepid-edge.db.old")).unwrap();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        if name.starts_with("deepid-edge.db.") {
            std::fs::remove_file(path).unwrap();
        }
    }
    let swept = bench.store.remains().unwrap();
    assert!(swept.is_clean(), "{swept:?}");
}

fn older_database(path: &Path) -> Vec<Plain> {
    let procedure = Some(ProcedureHash::of_bytes([7; 32]).to_string());
    let references = vec![
        Plain {
            procedure: procedure.clone(),
            quality: 0.25,
            ..Plain::of("s-00000a", "m", &NUMBERS)
        },
        Plain { procedure, ..Plain::of("s-00000b", "m", &[9.5, -9.5, 9.25, 0.5]) },
        Plain::of("s-00000a", "old", &[5.5, 6.5, 7.5, 8.5]),
    ];
    let people =
        [("s-00000a", "Ada Lovelace"), ("s-00000b", "Bob Unverwechselbar"), ("s-00000c", "C")];
    older::write(path, &people, &references);
    references
}

#[test]
fn an_older_database_is_sealed_with_all_that_is_in_it_and_nothing_readable_is_left() {
    let (folder, path) = place();
    let plain = older_database(&path);
    let needles: Vec<Vec<u8>> = plain
        .iter()
        .map(Plain::bytes)
        .chain([b"Lovelace".to_vec(), b"Unverwechselbar".to_vec()])
        .collect();
    assert!(needles.iter().all(|needle| on_disk(folder.path(), needle)), "it can be found");
    let mut store = open(&path);
    for needle in &needles {
        assert!(!on_disk(folder.path(), needle), "{needle:?}");
    }
    let people: Vec<(String, u64)> =
        store.subjects().unwrap().into_iter().map(|s| (s.name, s.references)).collect();
    let wanted = [("Ada Lovelace", 2), ("Bob Unverwechselbar", 1), ("C", 0)];
    assert_eq!(people, wanted.map(|(name, count)| (name.to_owned(), count)));
    let references = store.references(&key("m")).unwrap();
    for (found, wanted) in references.iter().zip(&plain) {
        assert_eq!(found.subject.as_str(), wanted.subject);
        assert_eq!(bytes(found.vector.values()), wanted.bytes(), "bit for bit");
        assert_eq!(f64::from(found.quality).to_bits(), wanted.quality.to_bits());
    }
    assert_eq!((references.len(), store.unreadable_references().unwrap().len()), (2, 0));
    store.check_references(&model("old")).unwrap();
    store.check().unwrap();
    assert!(store.remains().unwrap().is_clean());
    // The next number is new.
    let ada = store.subject("Ada Lovelace").unwrap().id;
    let vector = vector("m", &NUMBERS);
    store.add_reference(&ada, &vector, 1.0, ReferenceSource::Image, wall(9)).unwrap();
    assert_eq!(store.references(&key("m")).unwrap().last().unwrap().id, 4);
}

#[test]
fn what_was_damaged_in_an_older_database_is_reported_and_the_others_go_on() {
    let (_folder, path) = place();
    let procedure = Some(ProcedureHash::of_bytes([7; 32]).to_string());
    let of = |values: &[f32]| Plain {
        procedure: procedure.clone(),
        ..Plain::of("s-00000a", "m", values)
    };
    let references = [of(&NUMBERS), of(&[f32::NAN; 4]), of(&[1.0]), of(&NUMBERS)];
    older::write(&path, &[("s-00000a", "Ada")], &references);
    let store = open(&path);
    let compared: Vec<i64> =
        store.references(&key("m")).unwrap().into_iter().map(|r| r.id).collect();
    assert_eq!(compared, [1, 4]);
    let unreadable = store.unreadable_references().unwrap();
    let said: Vec<&str> = unreadable.iter().map(|one| one.what.as_str()).collect();
    assert!(said[0].contains("not a finite number"), "{said:?}");
    assert!(said[1].contains("1 numbers, others have 4"), "{said:?}");
}

#[test]
fn an_older_database_whose_key_cannot_be_made_is_left_as_it_was() {
    let (folder, path) = place();
    older_database(&path);
    let before = std::fs::read(&path).unwrap();
    std::fs::create_dir(folder.path().join("store.key")).unwrap();
    let error = Store::open(&path, StoreSettings::default()).unwrap_err();
    assert!(matches!(trouble(error), SealTrouble::Unguarded { .. }));
    assert_eq!(std::fs::read(&path).unwrap(), before);
    std::fs::remove_dir(folder.path().join("store.key")).unwrap();
    assert_eq!(open(&path).subjects().unwrap().len(), 3);
}
