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

#[path = "support/database.rs"]
mod database;
#[path = "support/fault_rows.rs"]
mod fault_rows;
#[path = "support/people.rs"]
mod people;

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use database::{model, open, place, vector, wall};
use deepid_edge::clock::{ClockTrust, Floor, Mark, Monotonic, WallClock};
use deepid_edge::compare::{Metric, SubjectId};
use deepid_edge::decide::{
    AmbiguousReason, Decision, DecisionLatency, Evidence, FramesCounted, Verdict,
};
use deepid_edge::embed::FeatureVector;
use deepid_edge::inference::ModelKey;
use deepid_edge::store::{
    Administrative, Body, Error, ErrorKind, ReferenceSource, RequestVerdict, Store, StoreSettings,
    Usable,
};
use fault_rows::shown;
use people::{People as _, key, key_by};
use rusqlite::Connection;
use uuid::Uuid;

const BOOT: Uuid = Uuid::from_u128(0x7c0d_2f6a_0000_4000_8000_0000_0000_0001);

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
        duress: false,
        passback: false,
        passed: None,
        liveness: None,
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
    let references = store.references(&key("deepid2-a")).unwrap();
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
    let sealed: Vec<Vec<u8>> = Connection::open(&path)
        .unwrap()
        .query_row(
            "SELECT s.data_key, s.name, r.vector FROM subjects s, subject_references r",
            [],
            |row| Ok(vec![row.get(0)?, row.get(1)?, row.get(2)?]),
        )
        .unwrap();
    assert!(sealed.iter().all(|one| on_disk(one)), "the search must be able to find");
    store.remove_subject(&subject).unwrap();
    for one in sealed {
        assert!(!on_disk(&one), "key, name or numbers are still on the disk, if sealed");
    }
    assert!(!on_disk(&bytes) && !on_disk(b"Unverwechselbar"));
    assert!(store.references(&key("m")).unwrap().is_empty());
    let again = store.add_subject("Erasmus", wall(0)).unwrap();
    assert_ne!(again, subject);
}

#[test]
fn references_of_another_model_are_reported_and_never_compared() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = store.add_subject("Ada", wall(0)).unwrap();
    let bob = store.add_subject("Bob", wall(0)).unwrap();
    let (old, new, replaced) = (key("old"), key("new"), key_by("new", 8));
    let mut add = |who: &SubjectId, key: &ModelKey, length: usize| {
        let vector = FeatureVector::new(key.clone(), vec![1.0; length]).unwrap();
        store.add_reference(who, &vector, 1.0, ReferenceSource::Image, wall(0))
    };
    add(&ada, &old, 160).unwrap();
    add(&bob, &old, 160).unwrap();
    add(&ada, &new, 8).unwrap();
    add(&bob, &replaced, 16).unwrap();
    assert!(matches!(add(&ada, &new, 9), Err(Error::WrongLength { found: 9, wanted: 8, .. })));
    assert!(matches!(add(&ada, &key("empty"), 0), Err(Error::WrongLength { found: 0, .. })));
    let found = store.references(&new).unwrap();
    assert_eq!(found.len(), 1);
    assert!(found.iter().all(|r| *r.vector.key() == new));
    let usable = Usable::of(&store.held().unwrap(), &[&new]);
    let others: Vec<_> = usable.others.iter().map(|o| (o.model.as_str(), o.references)).collect();
    assert_eq!(others, [("new", 1), ("old", 2)], "another file under the same id, another model");
    assert_eq!((usable.compared, usable.of_unknown_file()), (1, 0));
    assert_eq!(usable.subjects_unreachable, 1, "bob has nothing of the new model in use");
    assert!(store.references(&key("third")).unwrap().is_empty());
}

#[test]
fn records_are_numbered_durable_and_acknowledged_in_order() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let ada = SubjectId::new("s-4f9a1c").unwrap();
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
    let ada = SubjectId::new("s-4f9a1c").unwrap();
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
    store.keep_records(2);
    store.record_decision(&vague(10), "front", BOOT).unwrap();
    let kept: Vec<u64> = store.audit(0, 100).unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(kept, [10, 11], "another bound counts from the next record on");
    drop(store);
    Connection::open(&path)
        .unwrap()
        .execute_batch("DELETE FROM outbox; DELETE FROM audit")
        .unwrap();
    let mut store = open(&path);
    assert_eq!(store.record_decision(&vague(1), "front", BOOT).unwrap().seq, 12);
}

#[test]
fn requests_push_no_decision_out_and_have_a_bound_of_their_own() {
    let (_directory, path) = place();
    let settings = StoreSettings { records_max: 30, ..StoreSettings::default() };
    let mut store = Store::open(&path, settings).unwrap();
    let ask = |store: &mut Store| {
        let event = Administrative::Requested {
            request: "ping".to_owned(),
            verdict: RequestVerdict::Answered,
            count: 1,
        };
        store.record_admin(event, "front", BOOT, Monotonic::default(), wall(5)).unwrap().seq
    };
    let decisions: Vec<u64> = (0..30)
        .map(|at| {
            ask(&mut store);
            store.record_decision(&vague(at), "front", BOOT).unwrap().seq
        })
        .collect();
    for _ in 0..100 {
        ask(&mut store);
    }
    let kept = |store: &Store| store.audit(0, 1000).unwrap();
    let of_decisions = |records: &[deepid_edge::store::AuditRecord]| -> Vec<u64> {
        let decided = records.iter().filter(|record| matches!(record.body, Body::Decision(_)));
        decided.map(|record| record.seq).collect()
    };
    assert_eq!(of_decisions(&kept(&store)), decisions, "every decision is still there");
    assert_eq!(kept(&store).len(), 33, "and a tenth as many requests");
    assert_eq!(store.outbox_depth().unwrap(), 33, "the outbox is bounded with them");

    // Requests that are older than every decision go with the decisions around them.
    let later: Vec<u64> = (0..30)
        .map(|at| store.record_decision(&vague(100 + at), "front", BOOT).unwrap().seq)
        .collect();
    assert_eq!(of_decisions(&kept(&store)), later);
    assert_eq!(kept(&store).len(), 33, "the newest requests stand between the decisions");
    store.record_decision(&vague(200), "front", BOOT).unwrap();
    assert_eq!(kept(&store).len(), 30);
    drop(store);
    let fewer = StoreSettings { records_max: 10, ..StoreSettings::default() };
    let mut store = Store::open(&path, fewer).unwrap();
    store.record_decision(&vague(201), "front", BOOT).unwrap();
    assert_eq!(kept(&store).len(), 10, "a smaller bound holds at once");
}

#[test]
fn a_record_that_cannot_be_read_holds_no_other_up_and_stays() {
    let (_directory, path) = place();
    let mut store = open(&path);
    for at in 0..5 {
        store.record_decision(&vague(at), "front", BOOT).unwrap();
    }
    let other = Connection::open(&path).unwrap();
    for (seq, body) in [(2, r#"{"administrative":{"event":"of_a_later_version"}}"#), (3, "{}")] {
        other.execute("UPDATE audit SET body = ?2 WHERE seq = ?1", (seq, body)).unwrap();
    }
    let seqs = |page: &deepid_edge::store::OutboxPage| -> (Vec<u64>, Vec<u64>) {
        let readable = page.records.iter().map(|record| record.seq).collect();
        (readable, page.unreadable.iter().map(|record| record.seq).collect())
    };
    let page = store.outbox_page(0, 10).unwrap();
    assert_eq!(seqs(&page), (vec![1, 4, 5], vec![2, 3]));
    assert!(page.unreadable[0].what.contains("of_a_later_version"), "{page:?}");
    assert_eq!(seqs(&store.outbox_page(1, 1).unwrap()), (vec![4], vec![2, 3]));
    for record in page.records {
        store.acknowledge(record.seq).unwrap();
    }
    assert_eq!(
        seqs(&store.outbox_page(0, 10).unwrap()),
        (vec![], vec![2, 3]),
        "for a later version"
    );
    assert_eq!(store.outbox_depth().unwrap(), 2);
    let (count, first) = store.unreadable_records().unwrap();
    assert_eq!((count, first.map(|record| record.seq)), (2, Some(2)));
}

#[test]
fn a_record_ahead_holds_the_clock_until_a_vouched_one_or_a_person_settles_it() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let at = |unix_ms, trust, synchronised| WallClock { unix_ms, trust, synchronised };
    let (yes, no) = (ClockTrust::Trusted, ClockTrust::Untrusted);
    let decide = |store: &mut Store, wall| {
        let decision = Decision { wall, ..vague(0) };
        store.record_decision(&decision, "front", BOOT).unwrap().seq
    };
    let mark = |seq, unix_ms| Some(Mark { seq, unix_ms });
    assert_eq!(store.clock_floor().unwrap(), Floor::default());
    decide(&mut store, at(9000, yes, false));
    decide(&mut store, at(99_000, no, true));
    decide(&mut store, at(1000, yes, false));
    let ahead = Floor { vouched: None, unvouched: mark(1, 9000) };
    assert_eq!(store.clock_floor().unwrap(), ahead, "the latest that was trusted");
    decide(&mut store, at(2000, yes, true));
    let vouched = Floor { vouched: mark(4, 2000), unvouched: None };
    assert_eq!(store.clock_floor().unwrap(), vouched);
    decide(&mut store, at(99_000, yes, true));
    drop(store);

    let mut store = open(&path);
    assert_eq!(store.clock_floor().unwrap().vouched, mark(5, 99_000), "durable");
    let now = at(3000, yes, false);
    let settled = store.settle_clock("front", BOOT, Monotonic::default(), now).unwrap().unwrap();
    let Body::Administrative(Administrative::ClockSettled { record, record_issued }) =
        &settled.body
    else {
        panic!("{settled:?}")
    };
    assert_eq!((*record, record_issued.as_str()), (5, "1970-01-01T00:01:39Z"));
    let settled = Floor { vouched: None, unvouched: mark(settled.seq, 3000) };
    assert_eq!(store.clock_floor().unwrap(), settled);
}

#[test]
fn without_a_record_that_holds_the_clock_nothing_is_settled_and_nothing_recorded() {
    let (_directory, path) = place();
    let mut store = open(&path);
    let settled = store.settle_clock("front", BOOT, Monotonic::default(), wall(5)).unwrap();
    assert_eq!(settled, None);
    assert_eq!(store.audit(0, 9).unwrap(), []);
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

/// Opens `path` in every way, expects the same refusal, and that the file is byte for byte what it
/// was.
fn refused(path: &Path) -> Error {
    let error = refused_by(Store::open_checked, path);
    for open in [Store::open, Store::open_read_only] {
        assert_eq!(error.to_string(), refused_by(open, path).to_string());
    }
    error
}

fn refused_by(open: fn(&Path, StoreSettings) -> Result<Store, Error>, path: &Path) -> Error {
    let before = std::fs::read(path).unwrap();
    let error = open(path, StoreSettings::default()).unwrap_err();
    assert_eq!(std::fs::read(path).unwrap(), before, "the refused file was changed: {error}");
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
        assert!(matches!(refused_by(Store::open_checked, &path), Error::Corrupt { .. }));
        // A command reads what it needs; doctor and a backup look at every page.
        let reader = Store::open_read_only(&path, StoreSettings::default());
        assert!(matches!(reader.and_then(|store| store.check()), Err(Error::Corrupt { .. })));
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
    shown("database-busy", 1);
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
