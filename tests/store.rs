//! The database from outside: what survives, what is refused, what is erased.
//!
//! Every file is made in a directory of its own and read again as a stranger would: by SQLite
//! without our code, or as plain bytes.

#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::cast_possible_wrap,
    reason = "a test fails by panicking"
)]

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::{Metric, SubjectId};
use deepid_edge::decide::{
    AmbiguousReason, Decision, DecisionLatency, Evidence, FramesCounted, Verdict,
};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::ModelId;
use deepid_edge::store::{
    Administrative, Body, Error, ErrorKind, ReferenceSource, RequestVerdict, Store, StoreSettings,
};
use rusqlite::Connection;
use uuid::Uuid;

const BOOT: Uuid = Uuid::from_u128(0x7c0d_2f6a_0000_4000_8000_0000_0000_0001);

fn wall(unix_ms: i64) -> WallClock {
    WallClock { unix_ms, trust: ClockTrust::Trusted }
}

fn model(name: &str) -> ModelId {
    ModelId::new(name).unwrap()
}

fn vector(model_name: &str, values: &[f32]) -> FeatureVector {
    FeatureVector::new(model(model_name), values.to_vec()).unwrap()
}

fn place() -> (tempfile::TempDir, PathBuf) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("deepid-edge.db");
    (directory, path)
}

fn open(path: &Path) -> Store {
    Store::open(path, StoreSettings::default()).unwrap()
}

fn granted(subject: &SubjectId, at_ms: u64, score: Option<f32>) -> Decision {
    Decision {
        verdict: Verdict::Granted { subject: subject.clone() },
        evidence: Some(Evidence {
            model: model("deepid2-a"),
            metric: Metric::Cosine,
            score,
            threshold: 0.612,
            margin: Some(0.1841),
            claimed_fmr: Some(1e-5),
        }),
        faces: 1,
        frames: FramesCounted { agreeing: 3, considered: 4 },
        decided_at: Monotonic::from_millis(at_ms),
        wall: wall(1_777_620_000_000 + at_ms as i64),
        latency: DecisionLatency { first_frame_us: 212_400, last_frame_us: 21_700 },
    }
}

fn vague(at_ms: u64) -> Decision {
    Decision {
        verdict: Verdict::Ambiguous(AmbiguousReason::PoorQuality),
        evidence: None,
        ..granted(&SubjectId::new("s-000000").unwrap(), at_ms, None)
    }
}

#[test]
fn subjects_and_references_come_back_as_they_went_in() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("  Ada ", wall(1)).unwrap();
    let bob = store.add_subject("Bob", wall(2)).unwrap();
    let values = [0.0, -0.0, 1.5e-38, f32::MAX, 0.1];
    store
        .add_reference(&ada, &vector("deepid2-a", &values), 0.5, ReferenceSource::Image, wall(3))
        .unwrap();
    store
        .add_reference(&bob, &vector("deepid2-a", &[1.0; 5]), 1.0, ReferenceSource::Camera, wall(4))
        .unwrap();
    store.enable_subject(&bob, false).unwrap();
    store.rename_subject(&bob, "Robert").unwrap();
    drop(store);

    let store = open(&path);
    let subjects = store.subjects().unwrap();
    assert_eq!(
        subjects.iter().map(|s| (s.name.as_str(), s.enabled, s.references)).collect::<Vec<_>>(),
        [("Ada", true, 1), ("Robert", false, 1)]
    );
    let references = store.references(&model("deepid2-a")).unwrap();
    let bits: Vec<u32> = references[0].vector.values().iter().map(|v| v.to_bits()).collect();
    assert_eq!(bits, values.map(f32::to_bits), "bit for bit");
    assert_eq!((references[0].quality, references[0].enabled), (0.5, true));
    assert_eq!((&references[1].subject, references[1].enabled), (&bob, false));
    assert_eq!(store.subject("Ada").unwrap().id, ada);
    assert_eq!(store.subject(bob.as_str()).unwrap().name, "Robert");
    assert!(matches!(store.subject("Bob"), Err(Error::NoSuchSubject { .. })));
}

#[test]
fn names_are_checked_and_unique() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    let bob = store.add_subject("Bob", wall(0)).unwrap();
    assert!(matches!(store.add_subject("Ada", wall(0)), Err(Error::NameTaken { by }) if by == ada));
    assert!(matches!(store.rename_subject(&bob, "Ada"), Err(Error::NameTaken { by }) if by == ada));
    store.rename_subject(&bob, "Bob").unwrap();
    for bad in ["", " \t ", "a\nb", "s-4f9a1c", &"x".repeat(65)] {
        let refused = store.add_subject(bad, wall(0));
        assert!(matches!(refused, Err(Error::BadName { .. })), "{bad:?}");
    }
    store.add_subject(&"ж".repeat(64), wall(0)).unwrap();
    let nobody = SubjectId::new("s-ffffff0").unwrap();
    assert!(matches!(store.enable_subject(&nobody, true), Err(Error::NoSuchSubject { .. })));
    assert!(matches!(store.remove_subject(&nobody), Err(Error::NoSuchSubject { .. })));
}

#[test]
fn removal_erases_name_and_numbers_from_the_disk() {
    let (directory, path) = place();
    let mut store = open(&path);
    let marker = [1.234_567e10_f32; 40];
    let bytes: Vec<u8> = marker.iter().flat_map(|v| v.to_le_bytes()).collect();
    let subject = store.add_subject("Erasmus von Unverwechselbar", wall(0)).unwrap();
    store
        .add_reference(&subject, &vector("m", &marker), 1.0, ReferenceSource::Image, wall(0))
        .unwrap();
    let on_disk = |needle: &[u8]| {
        std::fs::read_dir(directory.path()).unwrap().any(|entry| {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            content.windows(needle.len()).any(|window| window == needle)
        })
    };
    assert!(on_disk(&bytes) && on_disk(b"Unverwechselbar"), "the search must be able to find");
    store.remove_subject(&subject).unwrap();
    assert!(!on_disk(&bytes), "the numbers are still on the disk");
    assert!(!on_disk(b"Unverwechselbar"), "the name is still on the disk");
    assert!(store.references(&model("m")).unwrap().is_empty());
    let again = store.add_subject("Erasmus", wall(0)).unwrap();
    assert_ne!(again, subject);
}

#[test]
fn references_of_another_model_are_reported_and_never_compared() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    let bob = store.add_subject("Bob", wall(0)).unwrap();
    let mut add = |who: &SubjectId, model: &str, length: usize| {
        let vector = vector(model, &vec![1.0; length]);
        store.add_reference(who, &vector, 1.0, ReferenceSource::Image, wall(0))
    };
    add(&ada, "old", 160).unwrap();
    add(&bob, "old", 160).unwrap();
    add(&ada, "new", 8).unwrap();
    assert!(matches!(add(&ada, "new", 9), Err(Error::WrongLength { found: 9, wanted: 8, .. })));
    assert!(matches!(add(&ada, "empty", 0), Err(Error::WrongLength { found: 0, .. })));
    let found = store.references(&model("new")).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found.iter().all(|r| r.vector.model().as_str() == "new"));
    let others = store.other_models(&model("new")).unwrap();
    assert_eq!(others.len(), 1);
    assert_eq!((others[0].model.as_str(), others[0].references), ("old", 2));
    assert_eq!(others[0].subjects_unreachable, 1, "bob has nothing of the new model");
    assert!(store.references(&model("third")).unwrap().is_empty());
}

#[test]
fn a_damaged_reference_is_refused_and_named() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    for _ in 0..2 {
        store
            .add_reference(&ada, &vector("m", &[1.0; 4]), 1.0, ReferenceSource::Image, wall(0))
            .unwrap();
    }
    let other = Connection::open(&path).unwrap();
    let nan: Vec<u8> = [f32::NAN; 4].iter().flat_map(|v| v.to_le_bytes()).collect();
    let short = 1.0_f32.to_le_bytes().to_vec();
    for (blob, said) in [(nan, "not a finite number"), (short, "1 numbers, others have 4")] {
        other.execute("UPDATE subject_references SET vector = ?1 WHERE id = 2", [blob]).unwrap();
        let error = store.references(&model("m")).unwrap_err();
        assert!(matches!(error, Error::BadReference { reference: 2, .. }), "{error}");
        assert!(error.to_string().contains(said), "{error}");
    }
}

#[test]
fn records_are_numbered_durable_and_acknowledged_in_order() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    let first = store.record_decision(&granted(&ada, 10, Some(0.7312)), "front", BOOT).unwrap();
    let second = store.record_decision(&vague(20), "front", BOOT).unwrap();
    let third = store
        .record_admin(
            Administrative::Requested {
                request: "ping".to_owned(),
                verdict: RequestVerdict::RefusedRetained,
                count: 1,
            },
            "front",
            BOOT,
            Monotonic::from_millis(30),
            wall(5),
        )
        .unwrap();
    assert_eq!([first.seq, second.seq, third.seq], [1, 2, 3]);
    assert_eq!(first.id.get_version_num(), 7);
    drop(store);

    let mut store = open(&path);
    assert_eq!(store.outbox(0, 10).unwrap(), [first.clone(), second.clone(), third.clone()]);
    assert_eq!(store.outbox(1, 1).unwrap()[0], second);
    store.acknowledge(2).unwrap();
    store.acknowledge(1).unwrap();
    assert_eq!(store.outbox(0, 10).unwrap(), [third]);
    assert_eq!(store.outbox_depth().unwrap(), 1);
    assert_eq!(store.audit(0, 10).unwrap().len(), 3, "acknowledged is not erased");
    let Body::Decision(decision) = &first.body else { panic!("a decision") };
    assert_eq!(decision.comparison.as_ref().unwrap().score, Some(0.7312));
    assert_eq!(decision.reason, "matched");
}

#[test]
fn a_score_that_is_not_finite_is_recorded_as_none() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    store.record_decision(&granted(&ada, 10, Some(f32::NAN)), "front", BOOT).unwrap();
    let Body::Decision(decision) = &store.outbox(0, 1).unwrap()[0].body else { panic!() };
    assert_eq!(decision.comparison.as_ref().unwrap().score, None);
}

#[test]
fn numbers_are_never_given_twice_and_retention_is_a_bound() {
    let (_directory, path) = place();
    let settings = StoreSettings { records_max: 3, ..StoreSettings::default() };
    let mut store = Store::open(&path, settings).unwrap();
    for at in 0..10 {
        store.record_decision(&vague(at), "front", BOOT).unwrap();
    }
    let kept: Vec<u64> = store.audit(0, 100).unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(kept, [8, 9, 10]);
    assert_eq!(store.outbox_depth().unwrap(), 3, "the outbox is bounded with them");
    drop(store);
    Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM outbox; DELETE FROM audit")
        .unwrap();
    let mut store = open(&path);
    assert_eq!(store.record_decision(&vague(1), "front", BOOT).unwrap().seq, 11);
}

#[test]
fn only_trusted_times_make_the_newest_record() {
    let (_directory, path) = place();
    let mut store = open(&path);
    assert_eq!(store.newest_record_time().unwrap(), None);
    let mut decision = vague(0);
    decision.wall = wall(1000);
    store.record_decision(&decision, "front", BOOT).unwrap();
    decision.wall = WallClock { unix_ms: 9_000_000, trust: ClockTrust::Untrusted };
    store.record_decision(&decision, "front", BOOT).unwrap();
    assert_eq!(store.newest_record_time().unwrap(), Some(1000));
}

#[test]
fn only_the_owner_may_read_the_files() {
    let (directory, path) = place();
    let mut store = open(&path);
    store.add_subject("Ada", wall(0)).unwrap();
    for entry in std::fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{:?}", entry.file_name());
    }
    drop(store);
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o644)).unwrap();
    drop(open(&path));
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
}

/// Opens `path`, expects a refusal, and that the file is byte for byte what it was.
fn refused(path: &Path) -> Error {
    let before = std::fs::read(path).unwrap();
    let error = Store::open(path, StoreSettings::default()).unwrap_err();
    assert_eq!(std::fs::read(path).unwrap(), before, "the refused file was changed: {error}");
    let read_only = Store::open_read_only(path, StoreSettings::default()).unwrap_err();
    assert_eq!(error.to_string(), read_only.to_string());
    assert!(error.to_string().contains(path.to_str().unwrap()), "{error}");
    assert_eq!(error.kind(), ErrorKind::Unusable);
    error
}

#[test]
fn what_is_no_database_of_ours_is_refused_and_left_alone() {
    let (_directory, path) = place();
    std::fs::write(&path, "a letter to nobody, ".repeat(100)).unwrap();
    assert!(matches!(refused(&path), Error::NotADatabase { .. }));
    std::fs::remove_file(&path).unwrap();

    Connection::open(&path).unwrap().execute_batch("CREATE TABLE t (a)").unwrap();
    assert!(matches!(refused(&path), Error::Foreign { found: 0, .. }));
}

#[test]
fn a_newer_schema_is_refused_and_left_alone() {
    let (_directory, path) = place();
    drop(open(&path));
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    assert!(matches!(refused(&path), Error::Newer { found: 99, .. }));
}

#[test]
fn a_changed_table_is_refused_and_named() {
    let (_directory, path) = place();
    drop(open(&path));
    Connection::open(&path).unwrap().execute_batch("DROP TABLE outbox").unwrap();
    let error = refused(&path);
    assert!(matches!(error, Error::SchemaDiffers { .. }), "{error}");
    assert!(error.to_string().contains("table outbox"), "{error}");
}

#[test]
fn damage_is_refused_and_left_alone() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    for at in 0..200 {
        store.record_decision(&granted(&ada, at, Some(0.7)), "front", BOOT).unwrap();
    }
    drop(store);
    let whole = std::fs::read(&path).unwrap();
    // A page in the middle overwritten, and the file cut: what a dying SD card leaves.
    let mut torn = whole.clone();
    torn[8192..12288].fill(0xA5);
    for damaged in [&torn[..], &whole[..whole.len() / 2]] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(refused(&path), Error::Corrupt { .. }));
    }
}

#[test]
fn an_empty_file_is_a_new_database() {
    let (_directory, path) = place();
    std::fs::write(&path, b"").unwrap();
    open(&path).check().unwrap();
}

#[test]
fn a_missing_directory_is_explained() {
    let (directory, _) = place();
    let path = directory.path().join("nowhere/deepid-edge.db");
    let error = Store::open(&path, StoreSettings::default()).unwrap_err();
    assert!(matches!(error, Error::CannotOpen { .. }));
    assert!(error.to_string().contains("must exist"), "{error}");
    let error = Store::open_read_only(&path, StoreSettings::default()).unwrap_err();
    assert!(matches!(error, Error::CannotOpen { .. }), "{error}");
}

#[test]
fn a_reader_cannot_write() {
    let (_directory, path) = place();
    let mut writer = open(&path);
    writer.add_subject("Ada", wall(0)).unwrap();
    let mut reader = Store::open_read_only(&path, StoreSettings::default()).unwrap();
    assert_eq!(reader.subjects().unwrap().len(), 1);
    assert!(matches!(reader.add_subject("Bob", wall(0)), Err(Error::ReadOnly { .. })));
    assert!(matches!(
        reader.record_decision(&vague(0), "front", BOOT),
        Err(Error::ReadOnly { .. })
    ));
}

#[test]
fn a_file_held_by_another_is_busy_and_nothing_is_recorded() {
    let (_directory, path) = place();
    let settings = StoreSettings { busy_timeout_ms: 20, ..StoreSettings::default() };
    let mut store = Store::open(&path, settings).unwrap();
    let other = Connection::open(&path).unwrap();
    other.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = store.record_decision(&vague(0), "front", BOOT).unwrap_err();
    assert!(matches!(error, Error::Busy { waited_ms: 20, .. }), "{error}");
    other.execute_batch("ROLLBACK").unwrap();
    assert_eq!(store.record_decision(&vague(0), "front", BOOT).unwrap().seq, 1);
}

#[test]
fn another_process_change_is_noticed() {
    let (_directory, path) = place();
    let mut daemon = open(&path);
    let mut command_line = open(&path);
    let before = daemon.data_version().unwrap();
    daemon.add_subject("Ada", wall(0)).unwrap();
    assert_eq!(daemon.data_version().unwrap(), before, "its own change is no news");
    command_line.add_subject("Bob", wall(0)).unwrap();
    assert_ne!(daemon.data_version().unwrap(), before);
}
