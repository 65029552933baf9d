//! What the desk makes durable before it hands it out, and what it does where it cannot.
//!
//! In: a desk on a database in memory or in a folder, orders. Out: what was written, and what was handed out.

use super::*;
use crate::clock::ClockTrust;
use crate::decide::{DecisionLatency, FramesCounted};
use crate::inference::ModelId;
use crate::store::{Body, Change, Enrolee, ReferenceSource, StoreSettings};

const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };

fn granted() -> Box<Decision> {
    Box::new(Decision {
        verdict: Verdict::Granted { subject: SubjectId::new("s-000001").unwrap() },
        evidence: None,
        faces: 1,
        frames: FramesCounted { agreeing: 3, considered: 3 },
        decided_at: Monotonic::from_millis(1000),
        wall: WALL,
        latency: DecisionLatency::default(),
        duress: false,
        passback: false,
        passed: None,
        liveness: None,
    })
}

fn desk(folder: &tempfile::TempDir) -> Desk {
    let store = Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap();
    Desk::new(store, "front".to_owned(), Uuid::nil())
}

fn handle(desk: &mut Desk, task: Task) -> Vec<Outgoing> {
    let mut outgoing = Vec::new();
    desk.handle(task, Monotonic::from_millis(1000), WALL, &mut outgoing);
    outgoing
}

/// Takes the table of records away, or brings it back.
fn break_records(folder: &tempfile::TempDir, broken: bool) {
    let database = rusqlite::Connection::open(folder.path().join("door.db")).unwrap();
    let (from, to) = if broken { ("audit", "hidden") } else { ("hidden", "audit") };
    database.execute_batch(&format!("ALTER TABLE {from} RENAME TO {to}")).unwrap();
}

#[test]
fn a_decision_is_durable_before_it_is_handed_out() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let out = handle(&mut desk, Task::Decided { decision: granted(), announce: true });
    let [Outgoing::Access { record, grant: None, name: None }] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!(desk.outbox_depth(), 1);
    let page = desk.store().outbox(0, 8).unwrap();
    assert_eq!(page.as_slice(), std::slice::from_ref(record), "another reader has it, too");
    let quiet = handle(&mut desk, Task::Decided { decision: granted(), announce: false });
    assert_eq!(quiet, [Outgoing::Recorded]);
}

#[test]
fn a_name_goes_out_only_where_the_owner_has_said_so() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let by = Signature { door: "front", boot: Uuid::nil(), now: Monotonic::default(), wall: WALL };
    let enrol = Change::Enrol {
        who: Enrolee::New("Ada"),
        references: &[],
        source: ReferenceSource::Image,
        model: &ModelId::new("none").unwrap(),
    };
    let done = desk.store_mut().administer(enrol, by).unwrap();
    let subject = done.subject.unwrap();
    let told = |desk: &mut Desk| {
        let decision =
            Decision { verdict: Verdict::Granted { subject: subject.clone() }, ..*granted() };
        let task = Task::Decided { decision: Box::new(decision), announce: true };
        match handle(desk, task).pop() {
            Some(Outgoing::Access { name, .. }) => name,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(told(&mut desk), None);
    desk.tell_names(true);
    assert_eq!(told(&mut desk).as_deref(), Some("Ada"));
}

#[test]
fn strangers_are_told_of_after_their_record_and_only_when_there_are_enough() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    desk.watch_strangers(StrangersPolicy { visits: 2, ..StrangersPolicy::default() });
    let mut come = |verdict| {
        let decision = Box::new(Decision { verdict, ..*granted() });
        let out = handle(&mut desk, Task::Decided { decision, announce: true });
        out.into_iter().find_map(|item| match item {
            Outgoing::Strangers(message) => Some((message.visits, message.seq)),
            _ => None,
        })
    };
    let stranger = || Verdict::Unknown(UnknownReason::NoMatch);
    assert_eq!(come(stranger()), None);
    assert_eq!(come(granted().verdict), None);
    assert_eq!(come(Verdict::Unknown(UnknownReason::EmptyGallery)), None);
    assert_eq!(come(stranger()), Some((2, 5)), "its record comes behind the decision's");
    assert_eq!(come(stranger()), None, "counted anew");
    let last = desk.store().outbox(4, 1).unwrap();
    let noticed = Administrative::StrangersNoticed { visits: 2, within_s: 600 };
    assert_eq!(last[0].body, Body::Administrative(noticed));
}

#[test]
fn duress_is_told_right_behind_a_grant_that_looks_like_any_other() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let decision = Box::new(Decision { duress: true, ..*granted() });
    let out = handle(&mut desk, Task::Decided { decision, announce: true });
    let [Outgoing::Access { record, .. }, Outgoing::Duress(message)] = out.as_slice() else {
        panic!("{out:?}")
    };
    assert_eq!((message.id, message.seq), (record.id, record.seq));
    assert_eq!(message.subject.as_ref(), granted().verdict.subject());
    assert!(desk.store().verify_records().unwrap().broken.is_empty());
}

#[test]
fn a_pin_for_duress_is_told_as_soon_as_it_is_typed_and_any_pin_is_recorded() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let subject = SubjectId::new("s-000001").unwrap();
    let by = crate::policy::RuleName::new("hall").unwrap();
    let version = desk.store().data_version().unwrap();
    let mut enter = |result| {
        let entered = Entered { subject: subject.clone(), result, by: by.clone() };
        handle(&mut desk, Task::Pin(entered))
    };
    assert_eq!(enter(PinResult::Wrong), [Outgoing::Recorded]);
    assert_eq!(enter(PinResult::Right), [Outgoing::Recorded]);
    let out = enter(PinResult::Duress);
    let [Outgoing::Recorded, Outgoing::Duress(message)] = out.as_slice() else { panic!("{out:?}") };
    assert_eq!((message.outcome, message.subject.as_ref()), (None, Some(&subject)));
    let told = desk.store().outbox(0, 8).unwrap();
    assert!(told.iter().all(|record| record.by.as_ref() == Some(&by)));
    let said = |record| crate::publish::Audit::of(record, false).duress;
    assert_eq!(told.iter().map(said).collect::<Vec<_>>(), [false, false, true]);
    assert_eq!(told.last().map(|record| (record.id, record.seq)), Some((message.id, message.seq)));
    // Nobody is enrolled anew because of it.
    assert_eq!(desk.store().data_version().unwrap(), version);
    assert!(desk.store().verify_records().unwrap().broken.is_empty());
}

#[test]
fn where_somebody_goes_who_is_granted_is_written_with_the_record() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let change = Change::Enrol {
        who: Enrolee::New("Maria"),
        references: &[],
        source: ReferenceSource::Image,
        model: &ModelId::new("deepid2").unwrap(),
    };
    let by = Signature { door: "front", boot: Uuid::nil(), now: Monotonic::default(), wall: WALL };
    let maria = desk.store_mut().administer(change, by).unwrap().subject.unwrap();
    let verdict = Verdict::Granted { subject: maria.clone() };
    let passed = Some(crate::policy::Side::Inside);
    let decision = Box::new(Decision { verdict, passed, passback: true, ..*granted() });
    let out = handle(&mut desk, Task::Decided { decision, announce: true });
    let [Outgoing::Access { record, .. }] = out.as_slice() else { panic!("{out:?}") };
    assert!(crate::publish::Audit::of(record, false).passback);
    let known = desk.store().rule_book().unwrap().whereabouts;
    let at = Whereabouts { side: passed, since_ms: WALL.unix_ms };
    assert_eq!(known.get(&maria), Some(&at));
    assert_eq!(desk.take_wanted().passages, [(maria, at)], "the door hears of it");
    // Somebody who was removed meanwhile keeps no decision from being recorded.
    let decision = Box::new(Decision { passed, ..*granted() });
    assert_eq!(handle(&mut desk, Task::Decided { decision, announce: true }).len(), 1);
}

#[test]
fn what_cannot_be_recorded_is_not_announced() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    break_records(&folder, true);
    let passed = Some(crate::policy::Side::Inside);
    let decision = Box::new(Decision { passed, ..*granted() });
    let out = handle(&mut desk, Task::Decided { decision, announce: true });
    assert!(out.is_empty(), "{out:?}");
    assert_eq!(desk.take_wanted().passages, [], "and is no passage");
    assert_eq!(desk.condition(), Condition::Failed);
    break_records(&folder, false);
    let out = handle(&mut desk, Task::Decided { decision: granted(), announce: true });
    assert!(matches!(out.as_slice(), [Outgoing::Access { .. }]), "the next one is: {out:?}");
    assert_eq!(desk.condition(), Condition::Usable);
}

#[test]
fn the_outbox_is_handed_out_until_it_is_acknowledged() {
    let folder = tempfile::tempdir().unwrap();
    let mut desk = desk(&folder);
    let stopped = Task::Administrative(Administrative::Stopped);
    assert_eq!(handle(&mut desk, stopped), [Outgoing::Recorded]);
    handle(&mut desk, Task::Decided { decision: granted(), announce: false });
    let outbox = |after| Task::Asked(DeskRequest::Outbox { after, limit: 8 });
    let out = handle(&mut desk, outbox(0));
    let [Outgoing::Audit(records)] = out.as_slice() else { panic!("{out:?}") };
    assert!(matches!(records[0].body, Body::Administrative(Administrative::Stopped)));
    assert_eq!(desk.outbox_depth(), 2);
    let acknowledged = DeskRequest::Acknowledged { seq: records[0].seq };
    assert!(handle(&mut desk, Task::Asked(acknowledged)).is_empty());
    assert_eq!(desk.outbox_depth(), 1);
    let out = handle(&mut desk, outbox(records[1].seq));
    assert_eq!(out, [Outgoing::Audit(Vec::new())], "an answer, also when there is nothing");
}
