//! The desk at work over a watched storage, and what must hold of what is left of it.
//!
//! In: a number of steps. Out: a [`Work`]: which records were handed out, and when, counted in calls of
//! SQLite; [`Work::holds`] opens what a fault has left, and says what is wrong with it.
//! Always: decisions, requests, administration and acknowledgements by turns, a bound on the records
//! that is reached, and checkpoints, so that every path of the database is written.

use std::path::Path;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::daemon::desk::{Desk, Task};
use deepid_edge::decide::{Decision, DecisionLatency, FramesCounted, UnknownReason, Verdict};
use deepid_edge::publish::{DeskRequest, Outgoing};
use deepid_edge::store::{
    Administrative, AuditRecord, Body, Condition, RequestVerdict, Store, StoreSettings,
};
use uuid::Uuid;

use super::storage::Storage;
use crate::support::people::People as _;

/// 2027-01-15.
pub const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
/// So few that the oldest are erased in each run.
const RECORDS_MAX: u64 = 60;

pub fn settings() -> StoreSettings {
    StoreSettings { records_max: RECORDS_MAX, ..StoreSettings::default() }
}

/// A folder in memory, where there is such a place: what is tried there is tried thousands of times.
pub fn folder() -> tempfile::TempDir {
    let memory = Path::new("/dev/shm");
    if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() }.unwrap()
}

/// The decision number `number`: of three, two grants and a stranger.
pub fn decision(number: u64, wall: WallClock) -> Box<Decision> {
    let verdict = if number % 3 == 2 {
        Verdict::Unknown(UnknownReason::NoMatch)
    } else {
        Verdict::Granted { subject: SubjectId::new("s-000001").unwrap() }
    };
    Box::new(Decision {
        verdict,
        evidence: None,
        faces: 1,
        frames: FramesCounted { agreeing: 3, considered: 3 },
        decided_at: Monotonic::from_millis(1000 * number),
        wall,
        latency: DecisionLatency::default(),
        duress: false,
        passback: false,
        passed: None,
        liveness: None,
    })
}

pub fn open(folder: &Path) -> Desk {
    let store = Store::open(&folder.join("door.db"), settings()).unwrap();
    Desk::new(store, "front".to_owned(), Uuid::nil())
}

/// Has `desk` decide; the record that it announces, if it does.
pub fn decide(desk: &mut Desk, number: u64) -> Option<AuditRecord> {
    let (decision, mut outgoing) = (decision(number, WALL), Vec::new());
    let task = Task::Decided { decision, announce: true };
    desk.handle(task, Monotonic::from_millis(1000 * number), WALL, &mut outgoing);
    let announced = outgoing.into_iter().find_map(|item| match item {
        Outgoing::Access { record, .. } => Some(record),
        _ => None,
    });
    assert_eq!(announced.is_some(), desk.condition() == Condition::Usable, "it says how it is");
    announced
}

/// What a desk has done.
pub struct Work {
    /// What was announced, and how many calls of SQLite there were when it was.
    pub announced: Vec<(usize, AuditRecord)>,
    /// Who was enrolled, likewise.
    pub enrolled: Vec<(usize, SubjectId)>,
    /// The last number that was given to a record.
    pub last: u64,
}

/// Works for `steps` over the database in `folder`, which `storage` watches.
pub fn work(folder: &Path, storage: &Storage, steps: u64) -> Work {
    let mut desk = open(folder);
    let mut people = Store::open(&folder.join("door.db"), settings()).unwrap();
    let checkpointer = rusqlite::Connection::open(folder.join("door.db")).unwrap();
    let mut work = Work { announced: Vec::new(), enrolled: Vec::new(), last: 0 };
    for number in 1..=steps {
        let mut outgoing = Vec::new();
        let mut handle = |desk: &mut Desk, task| {
            desk.handle(task, Monotonic::from_millis(1000 * number), WALL, &mut outgoing);
        };
        match number % 8 {
            1 => {
                let (request, verdict) = ("ping".to_owned(), RequestVerdict::Answered);
                let asked = Administrative::Requested { request, verdict, count: 1 };
                handle(&mut desk, Task::Administrative(asked));
            }
            3 => {
                let name = format!("number {number}");
                let subject = people.add_subject(&name, WALL).unwrap();
                work.enrolled.push((storage.done(), subject));
            }
            5 => {
                let waiting = desk.store().outbox(0, 1).unwrap();
                let seq = waiting.first().map_or(0, |record| record.seq);
                handle(&mut desk, Task::Asked(DeskRequest::Acknowledged { seq }));
            }
            _ => {
                let record = decide(&mut desk, number).expect("all is well");
                work.announced.push((storage.done(), record));
            }
        }
        if number % 20 == 0 {
            let mode = if number % 40 == 0 { "TRUNCATE" } else { "PASSIVE" };
            let sql = format!("PRAGMA wal_checkpoint({mode})");
            checkpointer.query_row(&sql, [], |_| Ok(())).unwrap();
        }
    }
    work.last = desk.store().audit(0, 10_000).unwrap().last().unwrap().seq;
    // As a process that is killed: nothing is closed in order.
    std::mem::forget((desk, people, checkpointer));
    work
}

impl Work {
    /// What is wrong with the database in `folder`, which was left when SQLite had done so many calls;
    /// nothing else may have been recorded in it.
    pub fn holds(&self, folder: &Path, calls: usize) -> Result<(), String> {
        let path = folder.join("door.db");
        let store = Store::open_checked(&path, settings()).map_err(|error| error.to_string())?;
        store.check().map_err(|error| error.to_string())?;
        let verified = store.verify_records().map_err(|error| error.to_string())?;
        if !verified.broken.is_empty() {
            return Err(format!("{:?}", verified.broken));
        }
        let records = store.audit(0, 10_000).map_err(|error| error.to_string())?;
        // Requests are erased by a bound of their own.
        let requested = Administrative::Requested {
            request: "ping".to_owned(),
            verdict: RequestVerdict::Answered,
            count: 1,
        };
        let others = |record: &&AuditRecord| record.body != Body::Administrative(requested.clone());
        let first = records.iter().find(others).map_or(0, |record| record.seq);
        let last = records.last().map_or(0, |record| record.seq);
        for (at, record) in &self.announced {
            let kept = records.iter().find(|kept| kept.seq == record.seq);
            match kept {
                Some(kept) if kept == record => {}
                None if *at > calls || record.seq < first => {}
                _ => return Err(format!("record {} was announced and is {kept:?}", record.seq)),
            }
        }
        let subjects = store.subjects().map_err(|error| error.to_string())?;
        for (at, id) in self.enrolled.iter().filter(|(at, _)| *at <= calls) {
            if !subjects.iter().any(|subject| subject.id == *id) {
                return Err(format!("{id} was enrolled at {at} and is gone"));
            }
        }
        if last > self.last {
            return Err(format!("record {last} was never made"));
        }
        // It goes on: the next number was never announced, and nothing old is announced again.
        let mut desk = Desk::new(store, "front".to_owned(), Uuid::max());
        let mut outgoing = Vec::new();
        desk.handle(
            Task::Asked(DeskRequest::Outbox { after: 0, limit: 1000 }),
            Monotonic::default(),
            WALL,
            &mut outgoing,
        );
        let [Outgoing::Audit(_)] = outgoing.as_slice() else {
            return Err(format!("the outbox gives {outgoing:?}"));
        };
        let next = decide(&mut desk, 1_000_000).ok_or("nothing can be recorded any more")?;
        if next.seq <= last || self.announced.iter().any(|(at, r)| *at <= calls && r.id == next.id)
        {
            return Err(format!("number {} is given a second time", next.seq));
        }
        Ok(())
    }
}
