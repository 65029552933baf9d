//! What administrators ask over MQTT: only the holder of a key that the door knows changes anything,
//! once for each nonce, and everything leaves its record.
//!
//! Needs the program `mosquitto` for what goes over a broker; says aloud that it skips without.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::daemon::desk::{Desk, Task, Wanted};
use deepid_edge::policy::{Arming, RuleName, Schedule};
use deepid_edge::publish::ask::{Answer, Ask};
use deepid_edge::publish::{Answered, DeskRequest, Outgoing, Reply, SessionSettings, session};
use deepid_edge::sign::{GrantKey, REQUEST_BYTES_MAX, sign_request};
use deepid_edge::store::{
    Administrative, Body, Condition, May, RequestVerdict, RuleChange, Signature, Store,
    StoreSettings,
};
use support::door::{Door, settings};

use support::mosquitto::{Broker, Mosquitto};
use support::people::People as _;
use support::subscriber::Subscriber;
use uuid::Uuid;

const DOOR: &str = "front";
const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
const DOUBTED: WallClock = WallClock { trust: ClockTrust::Untrusted, ..WALL };
const BY: Signature<'_> =
    Signature { door: DOOR, boot: Uuid::nil(), now: Monotonic::from_millis(1), wall: WALL };

fn key(seed: u8) -> GrantKey {
    GrantKey::of_seed(&[seed; 32])
}

fn hub() -> RuleName {
    RuleName::new("hub").unwrap()
}

/// A desk that knows the administrator `hub`, whose key is the first one.
struct Bench {
    desk: Desk,
    now: u64,
    wall: WallClock,
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.db");
        let mut store = Store::open(&path, StoreSettings::default()).unwrap();
        store.add_administrator(&hub(), key(1).public(), May::Everything, BY).unwrap();
        let desk = Desk::new(store, DOOR.to_owned(), Uuid::nil());
        Self { desk, now: 1000, wall: WALL, folder }
    }

    fn handle(&mut self, task: Task) -> Vec<Outgoing> {
        let mut outgoing = Vec::new();
        self.desk.handle(task, Monotonic::from_millis(self.now), self.wall, &mut outgoing);
        outgoing
    }

    fn nonce(&mut self) -> String {
        match self.handle(Task::Asked(DeskRequest::Nonce { reply: reply() })).as_slice() {
            [Outgoing::Answer { answer: Answered::Nonce(nonce), .. }] => nonce.nonce.clone(),
            other => panic!("{other:?}"),
        }
    }

    fn send(&mut self, message: impl Into<Vec<u8>>) -> Answer {
        let message = message.into();
        match self.handle(Task::Asked(DeskRequest::Signed { reply: reply(), message })).pop() {
            Some(Outgoing::Answer { answer: Answered::Request(answer), .. }) => *answer,
            other => panic!("{other:?}"),
        }
    }

    fn ask(&mut self, ask: &Ask) -> Answer {
        let nonce = self.nonce();
        let message = sign_request(&key(1), DOOR, &nonce, ask).unwrap();
        self.send(message)
    }

    fn events(&self) -> Vec<Administrative> {
        let records = self.desk.store().audit(0, 1000).unwrap().into_iter();
        // The first is of the administrator who was added.
        records
            .skip(1)
            .map(|record| match record.body {
                Body::Administrative(event) => event,
                Body::Decision(_) => panic!("nobody was there"),
            })
            .collect()
    }

    fn armed(&self) -> Arming {
        self.desk.store().arming().unwrap()
    }
}

fn reply() -> Reply {
    Reply { topic: "deepid-edge-answers/x".to_owned(), correlation: None }
}

fn asked(request: &str, done: bool) -> Administrative {
    let request = request.to_owned();
    Administrative::Asked { administrator: hub(), request, subject: None, done }
}

#[test]
fn what_is_asked_is_done_and_recorded_with_who_asked() {
    let mut bench = Bench::new();
    let answer = bench.ask(&Ask::Arm { armed: false, for_s: None });
    assert!(answer.done && answer.request.as_deref() == Some("arm"), "{answer:?}");
    assert_eq!(bench.armed(), Arming::Off);
    assert_eq!(bench.desk.take_wanted(), Wanted { read_again: true, ..Wanted::default() });
    assert!(bench.ask(&Ask::Arm { armed: true, for_s: Some(60) }).done);
    assert_eq!(bench.armed(), Arming::Until(WALL.unix_ms + 60_000));
    assert!(bench.ask(&Ask::ResetLockout {}).done);
    assert!(bench.desk.take_wanted().reset_lockout);
    assert_eq!(bench.desk.take_wanted(), Wanted::default(), "once");
    let nobody = SubjectId::new("s-00000f").unwrap();
    let answer = bench.ask(&Ask::Remove { subject: nobody.clone() });
    assert_eq!((answer.done, answer.reason.as_deref()), (false, Some("not_possible")));
    let off = Administrative::ArmingChanged { armed: false, until: None };
    let until = Some("2027-01-15T08:01:00Z".to_owned());
    let on = Administrative::ArmingChanged { armed: true, until };
    assert_eq!(
        bench.events(),
        [
            off,
            asked("arm", true),
            on,
            asked("arm", true),
            asked("reset_lockout", true),
            Administrative::Asked {
                administrator: hub(),
                request: "remove".to_owned(),
                subject: Some(nobody),
                done: false
            }
        ]
    );
}

#[test]
fn a_door_that_is_armed_as_asked_changes_nothing_however_often_it_is_asked() {
    let mut bench = Bench::new();
    for _ in 0..100 {
        assert!(bench.ask(&Ask::Arm { armed: true, for_s: None }).done);
    }
    let arm = DeskRequest::Arm { armed: true };
    bench.handle(Task::Asked(arm));
    assert_eq!(bench.desk.take_wanted(), Wanted::default());
    let noted: Vec<_> = bench.events();
    let [Administrative::Requested { verdict: RequestVerdict::Answered, .. }] = noted.as_slice()
    else {
        panic!("{noted:?}")
    };
}

#[test]
fn what_only_the_door_remembers_is_not_done_without_its_record() {
    let mut bench = Bench::new();
    let nonces = [bench.nonce(), bench.nonce()];
    let path = bench.folder.path().join("door.db");
    let somebody =
        Store::open(&path, StoreSettings::default()).unwrap().add_subject("Ada", WALL).unwrap();
    let database = rusqlite::Connection::open(&path).unwrap();
    // Records cannot be written, and administrators can be read.
    database
        .execute_batch(
            "CREATE TRIGGER stop BEFORE INSERT ON audit BEGIN SELECT raise(ABORT, 'no'); END",
        )
        .unwrap();
    let asks = [Ask::ResetLockout {}, Ask::Factor { subject: somebody }];
    for (nonce, ask) in nonces.iter().zip(&asks) {
        let answer = bench.send(sign_request(&key(1), DOOR, nonce, ask).unwrap());
        assert_eq!((answer.done, answer.reason.as_deref()), (false, Some("fault")));
        assert_eq!(bench.desk.condition(), Condition::Failed, "it is known");
    }
    assert_eq!(bench.desk.take_wanted(), Wanted::default());
}

#[test]
fn a_record_that_cannot_be_read_hides_none_behind_it() {
    let mut bench = Bench::new();
    for _ in 0..3 {
        bench.ask(&Ask::ResetLockout {});
    }
    let path = bench.folder.path().join("door.db");
    let database = rusqlite::Connection::open(&path).unwrap();
    database.execute("UPDATE audit SET body = '{}' WHERE seq = 3", []).unwrap();
    let content = bench.ask(&Ask::Records { after: 0 }).content;
    let seqs: Vec<u64> = content.records.unwrap().iter().map(|record| record.seq).collect();
    assert_eq!((seqs.as_slice(), content.more), ([1, 2, 4].as_slice(), Some(false)));
}

#[test]
fn a_door_is_armed_for_a_time_only_by_a_clock_that_is_trusted_and_within_limits() {
    let mut bench = Bench::new();
    for (armed, for_s, reason) in [
        (true, Some(59), "not_possible"),
        (true, Some(31_622_401), "not_possible"),
        (false, Some(60), "not_possible"),
    ] {
        let answer = bench.ask(&Ask::Arm { armed, for_s });
        assert_eq!(answer.reason.as_deref(), Some(reason), "{for_s:?}");
    }
    bench.wall = DOUBTED;
    let answer = bench.ask(&Ask::Arm { armed: true, for_s: Some(60) });
    assert_eq!(answer.reason.as_deref(), Some("clock_untrusted"));
    assert_eq!(bench.armed(), Arming::On, "as it was");
    assert!(bench.ask(&Ask::Arm { armed: false, for_s: None }).done, "which needs no clock");
}

#[test]
fn a_door_is_armed_by_one_of_its_schedules_and_by_no_other() {
    let mut bench = Bench::new();
    let shop = RuleName::new("shop").unwrap();
    let follow = |schedule: Option<&RuleName>| Ask::ArmFollow { schedule: schedule.cloned() };
    let answer = bench.ask(&follow(Some(&shop)));
    assert_eq!((answer.done, answer.reason.as_deref()), (false, Some("not_possible")));
    let hours = Schedule::read("daily 08:00-18:00").unwrap();
    let set = RuleChange::SetSchedule { schedule: &shop, hours: &hours };
    // By another connection, as the command line does.
    let path = bench.folder.path().join("door.db");
    let mut beside = Store::open(&path, StoreSettings::default()).unwrap();
    beside.change_rules(set, BY).unwrap();
    drop(bench.desk.take_wanted());
    for schedule in [Some(&shop), None] {
        let answer = bench.ask(&follow(schedule));
        assert!(answer.done && answer.request.as_deref() == Some("arm_follow"), "{answer:?}");
        let book = bench.desk.store().arming_book().unwrap();
        assert_eq!(book.arming_follows.as_ref(), schedule);
        assert!(bench.desk.take_wanted().read_again, "the door goes by it at once");
    }
}

#[test]
fn whoever_is_no_administrator_any_more_may_ask_for_nothing() {
    let mut bench = Bench::new();
    assert!(bench.ask(&Ask::Subjects { after: None }).done);
    // By another connection, as the command line does.
    let path = bench.folder.path().join("door.db");
    let mut store = Store::open(&path, StoreSettings::default()).unwrap();
    store.remove_administrator(&hub(), BY).unwrap();
    let answer = bench.ask(&Ask::Subjects { after: None });
    assert_eq!((answer.done, answer.reason.as_deref()), (false, Some("unknown_key")));
}

#[test]
fn a_reader_of_tags_may_say_that_a_factor_has_come_and_nothing_else() {
    let mut bench = Bench::new();
    let path = bench.folder.path().join("door.db");
    let mut store = Store::open(&path, StoreSettings::default()).unwrap();
    let reader = RuleName::new("reader").unwrap();
    store.add_administrator(&reader, key(2).public(), May::Factor, BY).unwrap();
    let somebody = store.add_subject("Ada", WALL).unwrap();
    let say = |bench: &mut Bench, ask: &Ask| {
        let nonce = bench.nonce();
        bench.send(sign_request(&key(2), DOOR, &nonce, ask).unwrap())
    };
    let factor = Ask::Factor { subject: somebody.clone() };
    assert!(say(&mut bench, &factor).done);
    assert_eq!(bench.desk.take_wanted().factors, [somebody]);
    let nobody = Ask::Factor { subject: SubjectId::new("s-00000f").unwrap() };
    assert_eq!(say(&mut bench, &nobody).reason.as_deref(), Some("not_possible"));
    for ask in [Ask::Arm { armed: false, for_s: None }, Ask::Subjects { after: None }] {
        let answer = say(&mut bench, &ask);
        assert_eq!((answer.done, answer.reason.as_deref()), (false, Some("not_allowed")));
    }
    assert_eq!(bench.armed(), Arming::On);
    assert_eq!(bench.desk.take_wanted(), Wanted::default());
}

#[test]
fn lists_are_given_in_parts_without_names() {
    let mut bench = Bench::new();
    for _ in 0..25 {
        bench.ask(&Ask::ResetLockout {});
    }
    let first = bench.ask(&Ask::Records { after: 0 }).content;
    let records = first.records.unwrap();
    assert_eq!((records.len(), first.more), (20, Some(true)));
    assert!(records.iter().all(|record| record.late), "nothing is opened by history");
    let rest = bench.ask(&Ask::Records { after: records[19].seq }).content;
    let rest_records = rest.records.unwrap();
    assert_eq!(rest_records[0].seq, records[19].seq + 1);
    assert_eq!(rest.more, Some(false));
    let nobody = bench.ask(&Ask::Subjects { after: None }).content;
    assert_eq!((nobody.subjects, nobody.more), (Some(Vec::new()), Some(false)));
}

/// Whatever comes: bytes, halves of true requests, requests by keys that nobody knows, for other
/// doors, with nonces that were never given out or were used, true ones of which a character was
/// changed. In between true ones, which are the only ones that count.
#[test]
fn of_a_hundred_thousand_random_requests_none_that_is_not_authorised_is_carried_out() {
    let mut random = fastrand::Rng::with_seed(22);
    let mut bench = Bench::new();
    let disarm = Ask::Arm { armed: false, for_s: None };
    let mut used = String::from("AAAAAAAAAAAAAAAAAAAAAA");
    let mut carried_out = 0;
    let nonce = bench.nonce();
    let good = sign_request(&key(1), DOOR, &nonce, &disarm).unwrap();
    for round in 0..100_000_u32 {
        // Nonces live for half a minute: the one that is out must stay good for the attacks.
        let message: Vec<u8> = match random.u8(0..100) {
            0..40 => (0..random.usize(0..300)).map(|_| random.u8(..)).collect(),
            40..60 => good.as_bytes()[..random.usize(0..good.len())].to_vec(),
            60..96 => {
                let mut message = good.clone().into_bytes();
                let place = random.usize(0..message.len());
                let other = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.";
                let byte = other[random.usize(0..other.len())];
                if message[place] == byte {
                    continue;
                }
                message[place] = byte;
                message
            }
            96 => sign_request(&key(random.u8(2..)), DOOR, &nonce, &disarm).unwrap().into_bytes(),
            97 => sign_request(&key(1), "back", &nonce, &disarm).unwrap().into_bytes(),
            98 => sign_request(&key(1), DOOR, &used, &disarm).unwrap().into_bytes(),
            _ => vec![b'A'; random.usize(0..2 * REQUEST_BYTES_MAX)],
        };
        let answer = bench.send(message);
        assert!(!answer.done, "{round}: {answer:?}");
        assert_eq!(bench.armed(), Arming::On);
        if round % 20_000 == 10_000 {
            let fresh = bench.nonce();
            let message = sign_request(&key(1), DOOR, &fresh, &Ask::ResetLockout {}).unwrap();
            assert!(bench.send(message).done, "the true one");
            used = fresh;
            carried_out += 1;
        }
    }
    assert!(bench.send(good).done, "none of them has spent its nonce");
    assert_eq!(bench.armed(), Arming::Off);
    let events = bench.events();
    let done = |event: &&Administrative| matches!(event, Administrative::Asked { done: true, .. });
    assert_eq!(events.iter().filter(done).count(), carried_out + 1);
    let refused = |event: &&Administrative| {
        let wrong = RequestVerdict::RefusedUnauthorised;
        matches!(event, Administrative::Requested { verdict, .. } if *verdict == wrong)
    };
    assert_eq!(events.iter().filter(refused).count(), 1, "within ten minutes one stands for all");
}

#[test]
fn a_request_goes_over_the_broker_and_back_and_is_not_repeated() {
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let listener = Subscriber::connect(broker.port(), "deepid-edge/front/request/signed");
    let mut door = Door::open(settings(broker.port()));
    let mut store = Store::open(&door.path("deepid-edge.db"), StoreSettings::default()).unwrap();
    store.add_administrator(&hub(), key(1).public(), May::Everything, BY).unwrap();
    door.until_connected();
    let port = broker.port();
    let client = std::thread::spawn(move || {
        let sign = |nonce: &str| {
            sign_request(&key(1), DOOR, nonce, &Ask::Arm { armed: false, for_s: None })
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(session::ask(&settings(port), sign)).unwrap()
    });
    door.until_asked("signed", |request| format!("{request:?}").contains("Signed"));
    door.until_delivered();
    let answer = client.join().unwrap();
    assert!(answer.done, "{answer:?}");
    assert_eq!(door.desk.store().arming().unwrap(), Arming::Off);
    store.change_rules(RuleChange::Arm(Arming::On), BY).unwrap();
    // What somebody has overheard.
    let overheard = listener.on("deepid-edge/front/request/signed").text().to_owned();
    let spy = Subscriber::connect(broker.port(), "answers/#");
    spy.ask("deepid-edge/front/request/signed", false, &overheard, "answers/spy", b"1");
    door.until_asked("signed", |request| format!("{request:?}").contains("Signed"));
    let answer = spy.on("answers/spy").json();
    assert_eq!((&answer["done"], &answer["reason"]), (&false.into(), &"stale_nonce".into()));
    assert_eq!(door.desk.store().arming().unwrap(), Arming::On);
}

#[test]
fn the_broker_arms_only_where_the_owner_lets_it() {
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let client = Subscriber::connect(broker.port(), "nothing");
    let topic = "deepid-edge/front/armed/set";
    client.publish(topic, true, "off");
    let mut deaf = Door::open(settings(broker.port()));
    deaf.until_connected();
    client.publish(topic, false, "off");
    // Answered after whatever came before it.
    client.ask("deepid-edge/front/request/ping", false, "", "answers/me", b"1");
    deaf.until_asked("ping", |request| format!("{request:?}").contains("ping"));
    assert_eq!(deaf.desk.store().arming().unwrap(), Arming::On);
    deaf.close();

    let mut door = Door::open(SessionSettings { broker_may_arm: true, ..settings(broker.port()) });
    door.until_connected();
    // What was retained comes before what is asked now.
    client.ask("deepid-edge/front/request/ping", false, "", "answers/me", b"2");
    door.until_asked("ping", |request| format!("{request:?}").contains("ping"));
    door.until_delivered();
    let records = door.desk.store().audit(0, 100).unwrap();
    let refused = Administrative::Requested {
        request: "armed/set".to_owned(),
        verdict: RequestVerdict::RefusedRetained,
        count: 1,
    };
    let refused = Body::Administrative(refused);
    assert!(records.iter().any(|record| record.body == refused), "{records:?}");
    assert_eq!(door.desk.store().arming().unwrap(), Arming::On, "not by what was left there");
    client.publish(topic, false, "off");
    door.until_asked("off", |request| format!("{request:?}").contains("Arm {"));
    assert_eq!(door.desk.store().arming().unwrap(), Arming::Off);
    client.publish(topic, false, "ON");
    door.until_asked("ON", |request| format!("{request:?}").contains("RefusedUnknown"));
    assert_eq!(door.desk.store().arming().unwrap(), Arming::Off, "each word in one way");
}
