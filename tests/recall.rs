//! Strangers who were just at the door are enrolled afterwards: over MQTT while that is permitted, at the board,
//! and at the page.
//!
//! Needs the files that `make assets` fetches; says aloud what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "support/sight.rs"]
mod sight;
mod support;
#[path = "support/visitor.rs"]
mod visitor;

use std::sync::Arc;

use deepid_edge::clock::{ClockTrust, ManualClock, Monotonic, WallClock};
use deepid_edge::config::{Config, Flag, Sources};
use deepid_edge::daemon::desk::{Desk, Task, Wanted};
use deepid_edge::daemon::local::{Local, Question, Reply as LocalReply, VisitName};
use deepid_edge::decide::{
    Decision, DecisionLatency, Effect, FramesCounted, Observation, Seen, UnknownReason, Verdict,
};
use deepid_edge::door::{Event, Time};
use deepid_edge::embed::FeatureVector;
use deepid_edge::enrol::{EnrolError, Judge, Warning, Whom, Wish, recall};
use deepid_edge::equip::Networks;
use deepid_edge::policy::RuleName;
use deepid_edge::publish::ask::{Answer, Ask};
use deepid_edge::publish::{Answered, DeskRequest, Outgoing, Reply};
use deepid_edge::recognise::{Recalled, RecalledFace};
use deepid_edge::serve::visits::{Asked, Enrolled, Refused, Remembered, Wished};
use deepid_edge::sign::{GrantKey, sign_request};
use deepid_edge::store::{Administrative, Body, May, Signature, Store, StoreSettings};
use sight::{Script, ScriptedDoor};
use support::daemon::{Home, until};
use support::models::{assets, root};
use support::scene::Recording;
use tokio::sync::oneshot;
use uuid::Uuid;

const DOOR: &str = "front";
const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
const BY: Signature<'_> =
    Signature { door: DOOR, boot: Uuid::nil(), now: Monotonic::from_millis(1), wall: WALL };

fn key(seed: u8) -> GrantKey {
    GrantKey::of_seed(&[seed; 32])
}

fn rule(name: &str) -> RuleName {
    RuleName::new(name).unwrap()
}

/// A desk whose administrator `hub` has the first key, and the reader of tags the second.
struct Bench {
    desk: Desk,
    config: Config,
    networks: Arc<Networks>,
    now: u64,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Option<Self> {
        if !assets() {
            return None;
        }
        let folder = tempfile::tempdir().unwrap();
        let flags = vec![Flag::set("policy.recall_minutes", "10")];
        let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
        let networks = Arc::new(Networks::open(&config).unwrap());
        let mut store = Self::open(&folder);
        store.add_administrator(&rule("hub"), key(1).public(), May::Everything, BY).unwrap();
        store.add_administrator(&rule("reader"), key(2).public(), May::Factor, BY).unwrap();
        let by = Arc::clone(&networks);
        let desk = Desk::new(store, DOOR.to_owned(), Uuid::nil()).recalling(
            &config,
            Box::new(move |config, store, whom, faces| recall(whom, faces, config, &by, store)),
        );
        Some(Self { desk, config, networks, now: 1000, folder })
    }

    fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap()
    }

    fn store(&self) -> Store {
        Self::open(&self.folder)
    }

    /// What would be remembered of a visit that shows these photographs.
    fn faces(&self, photographs: &[&str]) -> Recalled {
        let mut judge = Judge::for_enrolment(&self.config, &self.networks, Vec::new()).unwrap();
        let face = |name: &&str| {
            let path = root().join("assets/photographs").join(name);
            let picture = deepid_edge::capture::picture::Picture::read(&path).unwrap();
            let face = judge.picture(&picture).unwrap();
            RecalledFace { quality: face.quality, vector: face.vector, confirming: face.confirming }
        };
        Recalled::of(photographs.iter().map(face).collect()).unwrap()
    }

    fn handle(&mut self, task: Task) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        self.desk.handle(task, Monotonic::from_millis(self.now), WALL, &mut outgoing);
        outgoing
    }

    /// A visit of somebody whom nobody knows; the id and the number of its record.
    fn visit(&mut self, photographs: &[&str]) -> (Uuid, u64) {
        let record = self.decide();
        let faces = self.faces(photographs);
        self.handle(Task::Remember { faces, decided_at: Monotonic::from_millis(self.now) });
        record
    }

    /// The same of which nothing is kept.
    fn decide(&mut self) -> (Uuid, u64) {
        let decision = Decision {
            verdict: Verdict::Unknown(UnknownReason::NoMatch),
            evidence: None,
            faces: 1,
            frames: FramesCounted::default(),
            decided_at: Monotonic::from_millis(self.now),
            wall: WALL,
            latency: DecisionLatency::default(),
            duress: false,
            passback: false,
            passed: None,
            liveness: None,
        };
        let task = Task::Decided { decision: Box::new(decision), announce: true };
        let Some(Outgoing::Access { record, .. }) = self.handle(task).pop() else { panic!() };
        (record.id, record.seq)
    }

    fn ask_by(&mut self, key: &GrantKey, ask: &Ask) -> Answer {
        let reply = || Reply { topic: "deepid-edge-answers/x".to_owned(), correlation: None };
        let nonce = match self.handle(Task::Asked(DeskRequest::Nonce { reply: reply() })).as_slice()
        {
            [Outgoing::Answer { answer: Answered::Nonce(nonce), .. }] => nonce.nonce.clone(),
            other => panic!("{other:?}"),
        };
        let message = sign_request(key, DOOR, &nonce, ask).unwrap().into_bytes();
        match self.handle(Task::Asked(DeskRequest::Signed { reply: reply(), message })).pop() {
            Some(Outgoing::Answer { answer: Answered::Request(answer), .. }) => *answer,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, ask: &Ask) -> Answer {
        self.ask_by(&key(1), ask)
    }

    fn reason(&mut self, ask: &Ask) -> String {
        let answer = self.ask(ask);
        assert!(!answer.done, "{answer:?}");
        answer.reason.unwrap().into_owned()
    }

    /// What an administrator at the page is told of visits.
    fn listed(&mut self) -> Vec<Remembered> {
        let (reply, mut replied) = oneshot::channel();
        self.handle(Task::Visits(Asked::List(reply)));
        replied.try_recv().unwrap()
    }

    /// What comes of it when `anna` asks at the page.
    fn ask_at_page(&mut self, visit: Uuid, name: &str, wish: Wish) -> Result<Enrolled, Refused> {
        let (reply, mut replied) = oneshot::channel();
        let wished = Wished { visit, name: name.to_owned(), wish, by: rule("anna") };
        self.handle(Task::Visits(Asked::Enrol(wished, reply)));
        replied.try_recv().unwrap()
    }

    /// Events behind the record `seq`.
    fn events(&self, seq: u64) -> Vec<Administrative> {
        let records = self.desk.store().audit(seq, 1000).unwrap().into_iter();
        records
            .filter_map(|record| match record.body {
                Body::Administrative(event) => Some(event),
                Body::Decision(_) => None,
            })
            .collect()
    }
}

const PERMIT: Ask = Ask::PermitEnroll { for_s: 60 };

fn enroll(visit: Option<Uuid>) -> Ask {
    Ask::Enroll { visit, subject: None, name: None }
}

#[test]
fn a_stranger_is_enrolled_over_mqtt_while_that_is_permitted_and_once() {
    let Some(mut bench) = Bench::new() else { return };
    let (visit, seq) = bench.visit(&["obama.jpg", "obama.jpg"]);
    assert_eq!(bench.reason(&enroll(Some(visit))), "not_permitted");
    assert!(bench.ask(&PERMIT).done);
    assert_eq!(bench.desk.take_wanted(), Wanted::default());
    let answer = bench.ask(&enroll(Some(visit)));
    assert!(answer.done, "{answer:?}");
    let subject = answer.content.subject.clone().unwrap();
    assert_eq!(answer.content.references, Some(2));
    assert!(bench.desk.take_wanted().read_again, "the door learns of it");
    let enrolled = bench.store().subject(subject.as_str()).unwrap();
    assert_eq!((enrolled.name, enrolled.references), (format!("visit {seq}"), 2));
    let asked = |request: &str, subject, done| Administrative::Asked {
        administrator: rule("hub"),
        request: request.to_owned(),
        subject,
        done,
    };
    assert_eq!(
        bench.events(seq),
        [
            asked("enroll", None, false),
            asked("permit_enroll", None, true),
            Administrative::SubjectEnrolled {
                subject: subject.clone(),
                model: bench.config.models.embedder.clone(),
                references: 2,
                replaced: None,
            },
            asked("enroll", Some(subject), true),
        ]
    );
    let database = rusqlite::Connection::open(bench.folder.path().join("door.db")).unwrap();
    let sql = "SELECT count(*) FROM subject_references WHERE source = 'camera'";
    let of_camera: i64 = database.query_row(sql, [], |row| row.get(0)).unwrap();
    assert_eq!(of_camera, 2);
    // The permit was for one, and the visit is not remembered any more.
    let (other, _) = bench.visit(&["biden.jpg"]);
    assert_eq!(bench.reason(&enroll(Some(other))), "not_permitted");
    assert!(bench.ask(&PERMIT).done);
    assert_eq!(bench.reason(&enroll(Some(visit))), "not_possible");
    assert!(bench.ask(&enroll(Some(other))).done, "what was refused used nothing up");
}

#[test]
fn faces_whose_decision_was_lost_are_remembered_by_no_other_visit() {
    let Some(mut bench) = Bench::new() else { return };
    let (before, _) = bench.decide();
    let faces = bench.faces(&["obama.jpg"]);
    let decided_at = Monotonic::from_millis(bench.now + 3000);
    bench.handle(Task::Remember { faces, decided_at });
    assert!(bench.ask(&PERMIT).done);
    assert_eq!(bench.reason(&enroll(Some(before))), "not_possible");
    assert_eq!(bench.reason(&enroll(None)), "not_possible", "nobody is remembered");
}

#[test]
fn a_permit_ends_by_itself_and_is_no_longer_than_a_few_minutes() {
    let Some(mut bench) = Bench::new() else { return };
    let (visit, _) = bench.visit(&["obama.jpg"]);
    for for_s in [0, 29, 301, u32::MAX] {
        assert_eq!(bench.reason(&Ask::PermitEnroll { for_s }), "not_possible", "{for_s}");
    }
    assert!(bench.ask(&PERMIT).done);
    bench.now += 60_000;
    assert_eq!(bench.reason(&enroll(Some(visit))), "not_permitted");
    // Minutes later the visit itself is forgotten.
    bench.now += 600_000;
    assert!(bench.ask(&PERMIT).done);
    assert_eq!(bench.reason(&enroll(Some(visit))), "not_possible");
}

#[test]
fn a_reader_of_tags_permits_and_enrols_nobody() {
    let Some(mut bench) = Bench::new() else { return };
    let (visit, _) = bench.visit(&["obama.jpg"]);
    let factor_only = bench.ask_by(&key(2), &PERMIT);
    assert_eq!((factor_only.done, factor_only.reason.as_deref()), (false, Some("not_allowed")));
    assert!(bench.ask(&PERMIT).done);
    let factor_only = bench.ask_by(&key(2), &enroll(Some(visit)));
    assert_eq!((factor_only.done, factor_only.reason.as_deref()), (false, Some("not_allowed")));
    let unknown = bench.ask_by(&key(3), &enroll(Some(visit)));
    assert_eq!((unknown.done, unknown.reason.as_deref()), (false, Some("unknown_key")));
    assert!(bench.store().subjects().unwrap().is_empty());
}

#[test]
fn without_a_visit_the_only_stranger_since_the_permit_is_meant() {
    let Some(mut bench) = Bench::new() else { return };
    bench.visit(&["obama.jpg"]);
    bench.now += 1000;
    assert!(bench.ask(&PERMIT).done);
    assert_eq!(bench.reason(&enroll(None)), "not_possible", "nobody has come since");
    bench.now += 1000;
    bench.visit(&["biden.jpg"]);
    bench.now += 1000;
    let (later, _) = bench.visit(&["obama2.jpg"]);
    let answer = bench.ask(&enroll(None));
    assert!(answer.what.as_ref().unwrap().contains("several strangers"), "{answer:?}");
    assert!(bench.ask(&enroll(Some(later))).done);
}

#[test]
fn names_go_over_the_broker_only_where_the_owner_lets_them() {
    let Some(mut bench) = Bench::new() else { return };
    let (visit, _) = bench.visit(&["obama.jpg"]);
    let ask = Ask::Enroll { visit: Some(visit), subject: None, name: Some("Ada".to_owned()) };
    assert!(bench.ask(&PERMIT).done);
    let answer = bench.ask(&ask);
    assert!(answer.what.as_ref().unwrap().contains("mqtt.names"), "{answer:?}");
    bench.desk.tell_names(true);
    let answer = bench.ask(&ask);
    assert!(answer.done, "{answer:?}");
    assert_eq!(bench.store().subject("Ada").unwrap().id, answer.content.subject.unwrap());
    let (visit, _) = bench.visit(&["biden.jpg"]);
    assert!(bench.ask(&PERMIT).done);
    let again = Ask::Enroll { visit: Some(visit), subject: None, name: Some("Ada".to_owned()) };
    assert_eq!(bench.reason(&again), "not_possible", "the name is taken");
    let both = Ask::Enroll {
        visit: Some(visit),
        subject: Some(bench.store().subject("Ada").unwrap().id),
        name: Some("Bob".to_owned()),
    };
    assert_eq!(bench.reason(&both), "not_possible");
}

#[test]
fn all_checks_of_an_enrolment_hold() {
    let Some(mut bench) = Bench::new() else { return };
    // Two people within one visit.
    let (mixed, _) = bench.visit(&["obama.jpg", "biden.jpg"]);
    assert!(bench.ask(&PERMIT).done);
    let answer = bench.ask(&enroll(Some(mixed)));
    assert!(answer.what.as_ref().unwrap().contains("not alike"), "{answer:?}");
    let (first, _) = bench.visit(&["obama.jpg", "obama.jpg"]);
    let (again, _) = bench.visit(&["obama.jpg"]);
    let obama = bench.ask(&enroll(Some(first))).content.subject.unwrap();
    // The same person under another name would be taken for the one who is there.
    assert!(bench.ask(&PERMIT).done);
    let answer = bench.ask(&enroll(Some(again)));
    assert!(answer.what.as_ref().unwrap().contains(obama.as_str()), "{answer:?}");
    // To whom the references belong they may be added.
    let add = Ask::Enroll { visit: Some(again), subject: Some(obama.clone()), name: None };
    assert!(bench.ask(&add).done);
    assert_eq!(bench.store().subject(obama.as_str()).unwrap().references, 3);
    let nobody = deepid_edge::compare::SubjectId::new("s-00000f").unwrap();
    assert!(bench.ask(&PERMIT).done);
    let (visit, _) = bench.visit(&["biden.jpg"]);
    let add = Ask::Enroll { visit: Some(visit), subject: Some(nobody), name: None };
    assert_eq!(bench.reason(&add), "not_possible");
}

#[test]
fn a_permit_that_cannot_be_recorded_is_none() {
    let Some(mut bench) = Bench::new() else { return };
    let (visit, _) = bench.visit(&["obama.jpg"]);
    let database = rusqlite::Connection::open(bench.folder.path().join("door.db")).unwrap();
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END";
    database.execute_batch(stop).unwrap();
    assert_eq!(bench.reason(&PERMIT), "fault");
    database.execute_batch("DROP TRIGGER stop").unwrap();
    assert_eq!(bench.reason(&enroll(Some(visit))), "not_permitted");
}

#[test]
fn somebody_at_the_board_needs_no_permit_and_is_warned_instead() {
    let Some(mut bench) = Bench::new() else { return };
    let ask = |bench: &mut Bench, visit, name: &str, wish| {
        let question = Question::Enroll { visit, name: name.to_owned(), wish };
        let (local, replied) = Local::new(question);
        bench.handle(Task::Local(local));
        replied.try_recv().unwrap()
    };
    let (_, seq) = bench.visit(&["obama.jpg"]);
    let reply = ask(&mut bench, VisitName::Seq(seq), "Ada", Wish::New);
    let LocalReply::Enrolled { subject, name, references: 1, warnings } = reply else {
        panic!("{reply:?}")
    };
    assert_eq!((name.as_str(), warnings.as_slice()), ("Ada", &[][..]));
    assert!(bench.desk.take_wanted().read_again);
    let again = ask(&mut bench, VisitName::Seq(seq), "Bob", Wish::New);
    assert!(matches!(again, LocalReply::Refused { .. }), "a visit is enrolled once: {again:?}");
    let (id, _) = bench.visit(&["obama.jpg"]);
    let reply = ask(&mut bench, VisitName::Id(id), "Bob", Wish::New);
    let LocalReply::Enrolled { warnings, .. } = reply else { panic!("{reply:?}") };
    assert!(format!("{warnings:?}").contains(subject.as_str()), "{warnings:?}");
    let taken = Whom::find(Some(&bench.store()), "Ada", Wish::New);
    assert!(taken.is_err(), "as everywhere");
}

#[test]
fn an_administrator_at_the_page_is_told_of_visits_and_enrols_one_in_their_own_name() {
    let Some(mut bench) = Bench::new() else { return };
    assert_eq!(bench.listed(), []);
    let (first, _) = bench.visit(&["biden.jpg"]);
    bench.now += 60_000;
    let (second, seq) = bench.visit(&["obama.jpg", "obama.jpg"]);
    let listed = bench.listed();
    let ids: Vec<_> = listed.iter().map(|visit| (visit.id, visit.faces)).collect();
    assert_eq!(ids, [(second, 2), (first, 1)], "the newest first");
    assert_eq!(listed[1].left.as_secs(), 540);
    assert!(listed.iter().all(|visit| visit.quality > 0.0 && visit.quality <= 1.0), "{listed:?}");
    let enrolled = bench.ask_at_page(second, "Ada", Wish::New).unwrap();
    assert_eq!((enrolled.references, enrolled.warnings.as_slice()), (2, &[][..]));
    assert!(bench.desk.take_wanted().read_again, "the door learns of it");
    let records = bench.desk.store().audit(seq, 10).unwrap();
    let [record] = records.as_slice() else { panic!("{records:?}") };
    assert!(
        matches!(&record.body, Body::Administrative(Administrative::SubjectEnrolled { subject, .. }) if *subject == enrolled.subject)
    );
    assert_eq!(record.by, Some(rule("anna")), "the account that asked");
    let (next, seq) = bench.visit(&["obama2.jpg"]);
    assert!(bench.desk.store().audit(seq - 1, 10).unwrap().iter().all(|next| next.by.is_none()));
    assert!(matches!(bench.ask_at_page(second, "Bob", Wish::New), Err(Refused::Gone(_))), "once");
    let more = bench.ask_at_page(next, enrolled.subject.as_str(), Wish::Add).unwrap();
    assert_eq!((more.subject, more.references), (enrolled.subject, 1));
    bench.now += 600_000;
    assert_eq!(bench.listed(), [], "minutes later");
    let Err(Refused::Gone(what)) = bench.ask_at_page(first, "Bob", Wish::New) else { panic!() };
    assert!(what.contains("10 minutes"), "{what}");
}

#[test]
fn an_enrolment_at_the_page_has_every_check_and_warning_of_the_others() {
    let Some(mut bench) = Bench::new() else { return };
    let (mixed, _) = bench.visit(&["obama.jpg", "biden.jpg"]);
    let refused = |answer: Result<Enrolled, Refused>| match answer {
        Err(Refused::Enrol(error)) => *error,
        other => panic!("{other:?}"),
    };
    let error = refused(bench.ask_at_page(mixed, "Ada", Wish::New));
    assert!(matches!(error, EnrolError::Mixed { .. }), "{error:?}");
    let (first, _) = bench.visit(&["obama.jpg"]);
    let ada = bench.ask_at_page(first, "Ada", Wish::New).unwrap().subject;
    let (again, seq) = bench.visit(&["obama.jpg"]);
    for (name, wish) in [("Ada", Wish::New), ("", Wish::New), ("s-00000f", Wish::Add)] {
        let error = refused(bench.ask_at_page(again, name, wish));
        assert!(matches!(error, EnrolError::Store(_)), "{name:?}: {error:?}");
        assert!(!bench.desk.condition().has_failed(), "who asks for what cannot be harms nothing");
    }
    assert_eq!(bench.events(seq), [], "what is refused changes nothing");
    let database = rusqlite::Connection::open(bench.folder.path().join("door.db")).unwrap();
    let stop = "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END";
    database.execute_batch(stop).unwrap();
    let error = refused(bench.ask_at_page(again, "Bob", Wish::New));
    assert!(matches!(error, EnrolError::Store(_)), "{error:?}");
    assert!(bench.desk.condition().has_failed(), "the door hears of a database that fails");
    database.execute_batch("DROP TRIGGER stop").unwrap();
    // Nobody is enrolled without the record, and the visit is still there.
    let warned = bench.ask_at_page(again, "Bob", Wish::New).unwrap().warnings;
    let [Warning::Alike { subject, .. }] = warned.as_slice() else { panic!("{warned:?}") };
    assert_eq!(*subject, ada, "an administrator is warned, and decides");
}

#[test]
fn whoever_was_just_at_the_door_is_enrolled_by_the_command_line_and_granted_the_next_time() {
    if !assets() {
        return;
    }
    let home = Home::with_database()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).person("obama3.jpg", 0.16, 90).nobody(40).write(&recording, 1);
    let daemon = home.run(&recording);
    daemon.until_notified("READY=1");
    let decided = |wanted: &str| {
        home.records().into_iter().rev().find_map(|record| match &record.body {
            Body::Decision(decision) if decision.reason == wanted => Some(record.seq),
            _ => None,
        })
    };
    let seq = until("a stranger", || decided("empty_gallery").or_else(|| decided("no_match")));
    // The desk hears of the faces right behind the decision.
    let told = until("an enrolment", || {
        let answer = home.ask(&["enroll", "Ada", "--from-visit", &seq.to_string(), "--json"]);
        (answer.code == 0).then(|| answer.json())
    });
    assert_eq!(
        (&told["subject"]["name"], &told["visit"]),
        (&"Ada".into(), &seq.to_string().into())
    );
    assert!(told["references"].as_u64().unwrap() >= 2, "{told}");
    until("a grant", || decided("matched"));
    let again = home.ask(&["enroll", "Bob", "--from-visit", &seq.to_string()]);
    assert_eq!(again.code, 1, "{}", again.err);
    assert!(again.err.contains("no stranger's visit"), "{}", again.err);
    assert!(!daemon.log().contains("Ada"), "no name in the log");
    drop(daemon);
    let nobody = home.ask(&["enroll", "Bob", "--from-visit", "1"]);
    assert_eq!(nobody.code, 9, "{}", nobody.err);
}

/// Shows a door somebody for `frames` frames, 100 ms apart, and then nobody; the verdicts, and how many faces
/// are remembered.
fn shown(seen: &Seen, frames: u64) -> (Vec<Verdict>, Option<usize>) {
    let clock = ManualClock::new(Monotonic::from_millis(1000), WALL.unix_ms);
    let vector = FeatureVector::new(support::people::key("tested"), vec![1.0, 2.0]).unwrap();
    let quality = visitor::quality(1.0, None);
    let face = RecalledFace { quality, vector, confirming: None };
    let script = Script { recalled: Recalled::of(vec![face]), ..Script::default() };
    let mut door = ScriptedDoor::new(script, visitor::policy());
    let mut effects = Vec::new();
    for sequence in 0..frames + 20 {
        clock.advance_to(Monotonic::from_millis(1000 + 100 * sequence));
        let seen = if sequence < frames { seen.clone() } else { Seen::NoFace };
        let captured_at = Monotonic::from_millis(1000 + 100 * sequence);
        let observation = Observation { sequence, captured_at, wall: WALL, luminance: None, seen };
        door.step(Event::Frame(&observation), Time::of(&clock), &mut effects);
    }
    let verdicts = effects.iter().filter_map(|effect| match effect {
        Effect::Decided { decision, .. } => Some(decision.verdict.clone()),
        Effect::Presence { .. } => None,
    });
    (verdicts.collect(), door.take_recalled().map(|recalled| recalled.faces().len()))
}

#[test]
fn a_door_remembers_strangers_alone() {
    let stranger = Seen::Faces { count: 1, principal: visitor::face(1, true, 0.2, None, 1.0) };
    let unknown = Verdict::Unknown(UnknownReason::NoMatch);
    assert_eq!(shown(&stranger, 40), (vec![unknown], Some(1)));
    let (verdicts, remembered) = shown(&visitor::good(1), 40);
    assert!(matches!(verdicts.as_slice(), [Verdict::Granted { .. }]), "{verdicts:?}");
    assert_eq!(remembered, None, "nothing of who is known");
    let (verdicts, remembered) = shown(&stranger, 2);
    assert!(matches!(verdicts.as_slice(), [Verdict::Ambiguous(_)]), "{verdicts:?}");
    assert_eq!(remembered, None, "nor of who has passed by");
}
