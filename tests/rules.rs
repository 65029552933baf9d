//! The rules of who may pass, from the command line to the running door: written, shown, explained, taken
//! over, announced.
//!
//! The last test needs the files that `make assets` fetches and the program `mosquitto`; says aloud what
//! it skips.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::clock::{ClockTrust, Monotonic, PLAUSIBLE_FROM_UNIX_MS, WallClock};
use deepid_edge::compare::SubjectId;
use deepid_edge::policy::{Arming, Demand, RuleBook, RuleName, Schedule, Side, Whereabouts};
use deepid_edge::publish::Outgoing;
use deepid_edge::store::{
    Administrative, AuditRecord, Body, Error, RuleChange, RuleProblem, Signature, Store,
    StoreSettings,
};
use jiff::civil::{Date, DateTime};
use serde_json::{Value, json};
use support::daemon::Home;
use support::fault_rows::shown;
use support::models::assets;
use support::mosquitto::{Broker, Mosquitto};
use support::people::People as _;
use support::scene::Recording;
use support::subscriber::Subscriber;
use uuid::Uuid;

const WALL: WallClock =
    WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
const ARMED: &str = "deepid-edge/front/armed";
const ACCESS: &str = "deepid-edge/front/access";

fn by(wall: WallClock) -> Signature<'static> {
    Signature { door: "front", boot: Uuid::nil(), now: Monotonic::default(), wall }
}

fn name(text: &str) -> RuleName {
    RuleName::new(text).unwrap()
}

fn open(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("door.db"), StoreSettings::default()).unwrap()
}

/// A database with one subject.
fn store(folder: &tempfile::TempDir) -> (Store, SubjectId) {
    let mut store = open(folder);
    let ada = store.add_subject("Ada", WALL).unwrap();
    (store, ada)
}

fn event(made: Result<AuditRecord, Error>) -> Administrative {
    match made.unwrap().body {
        Body::Administrative(event) => event,
        Body::Decision(decision) => unreachable!("{decision:?}"),
    }
}

#[test]
fn every_change_of_a_rule_is_one_transaction_with_its_record() {
    use Administrative as A;
    let folder = tempfile::tempdir().unwrap();
    let (mut store, ada) = store(&folder);
    let (staff, office) = (name("staff"), name("office"));
    let hours = Schedule::read("mon-fri 08:00-18:00").unwrap();
    let day = |text: &str| text.parse::<DateTime>().unwrap();
    let (from, until) = (Some(day("2026-01-01T00:00")), Some(day("2026-07-01T00:00")));
    let holidays = [Date::from(day("2026-12-25")), Date::from(day("2026-12-26"))];
    let group = || staff.clone();
    let schedule = || Some(office.clone());
    let at_night = Demand { factor: true, company: None, during: schedule() };
    let changes = [
        (
            RuleChange::SetSchedule { schedule: &office, hours: &hours },
            A::ScheduleSet { schedule: office.clone() },
        ),
        (
            RuleChange::AddGroup { group: &staff, schedule: None },
            A::GroupAdded { group: group(), schedule: None },
        ),
        (
            RuleChange::Follow { group: &staff, schedule: Some(&office) },
            A::GroupScheduled { group: group(), schedule: schedule() },
        ),
        (
            RuleChange::Assign { subject: &ada, group: Some(&staff) },
            A::SubjectAssigned { subject: ada.clone(), group: Some(group()) },
        ),
        (
            RuleChange::Validity { subject: &ada, from, until },
            A::ValiditySet {
                subject: ada.clone(),
                from: Some("2026-01-01T00:00:00".to_owned()),
                until: Some("2026-07-01T00:00:00".to_owned()),
            },
        ),
        (
            RuleChange::Holidays { dates: &holidays, are: true },
            A::HolidaysChanged { added: 2, removed: 0 },
        ),
        (
            RuleChange::Arm(Arming::Until(1_800_000_060_000)),
            A::ArmingChanged { armed: true, until: Some("2027-01-15T08:01:00Z".to_owned()) },
        ),
        (RuleChange::ArmBy(Some(&office)), A::ArmingScheduled { schedule: schedule() }),
        (
            RuleChange::Demand { group: &staff, demand: &at_night },
            A::GroupDemands { group: group(), factor: true, company: None, during: schedule() },
        ),
    ];
    for (change, wanted) in changes {
        assert_eq!(event(store.change_rules(change, by(WALL))), wanted);
    }
    let book = store.rule_book().unwrap();
    assert_eq!(book.arming, Arming::Until(1_800_000_060_000));
    assert_eq!(book.arming_follows, schedule());
    assert_eq!(book.demands, [(group(), at_night)].into());
    assert_eq!(
        store.arming_book().unwrap(),
        hours_of(&book),
        "all that arming hangs on, and nothing else"
    );
    assert_eq!(book.holidays, holidays.into());
    assert_eq!(book.schedules, [(office.clone(), hours)].into());
    assert_eq!(book.groups, [(staff.clone(), Some(office.clone()))].into());
    let terms = &book.subjects[&ada];
    assert_eq!((&terms.group, terms.from, terms.until), (&Some(staff.clone()), from, until));

    refusals_leave_no_record(&mut store, &ada, (&staff, &office), (from, until));
    assert_eq!(store.rule_book().unwrap(), book);
}

/// What would let anybody pass at any time is refused, and leaves no record.
fn refusals_leave_no_record(
    store: &mut Store,
    ada: &SubjectId,
    (staff, office): (&RuleName, &RuleName),
    (from, until): (Option<DateTime>, Option<DateTime>),
) {
    let records = store.audit(0, 99).unwrap().len();
    let nobody = name("nobody");
    let refusals = [
        (
            RuleChange::RemoveSchedule { schedule: office },
            RuleProblem::ScheduleInUse { schedule: office.clone(), groups: 1 },
        ),
        (
            RuleChange::RemoveGroup { group: staff },
            RuleProblem::GroupInUse { group: staff.clone(), members: 1 },
        ),
        (
            RuleChange::AddGroup { group: staff, schedule: None },
            RuleProblem::GroupThere(staff.clone()),
        ),
        (
            RuleChange::Assign { subject: ada, group: Some(&nobody) },
            RuleProblem::NoSuchGroup(nobody.clone()),
        ),
        (
            RuleChange::Follow { group: staff, schedule: Some(&nobody) },
            RuleProblem::NoSuchSchedule(nobody.clone()),
        ),
        (RuleChange::Validity { subject: ada, from: until, until: from }, RuleProblem::NeverValid),
        (RuleChange::ArmBy(Some(&nobody)), RuleProblem::NoSuchSchedule(nobody.clone())),
    ];
    for (change, wanted) in refusals {
        let Err(Error::Rules(problem)) = store.change_rules(change, by(WALL)) else {
            unreachable!("{change:?}")
        };
        assert_eq!(problem, wanted);
    }
    let stranger = SubjectId::new("s-00dead").unwrap();
    let change = RuleChange::Assign { subject: &stranger, group: None };
    assert!(matches!(store.change_rules(change, by(WALL)), Err(Error::NoSuchSubject { .. })));
    assert_eq!(store.audit(0, 99).unwrap().len(), records);
}

/// What of a book arming hangs on.
fn hours_of(book: &RuleBook) -> RuleBook {
    let RuleBook { arming, arming_follows, schedules, holidays, .. } = book.clone();
    RuleBook { arming, arming_follows, schedules, holidays, ..RuleBook::default() }
}

#[test]
fn the_schedule_that_arming_follows_outlives_what_is_said_and_is_not_removed() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = store(&folder);
    let office = name("office");
    let hours = Schedule::read("mon-fri 08:00-18:00").unwrap();
    let mut change = |change: RuleChange<'_>| store.change_rules(change, by(WALL));
    change(RuleChange::SetSchedule { schedule: &office, hours: &hours }).unwrap();
    // Nothing was said of arming before.
    change(RuleChange::ArmBy(Some(&office))).unwrap();
    for said in [Arming::On, Arming::Off, Arming::Until(WALL.unix_ms - 1)] {
        change(RuleChange::Arm(said)).unwrap();
    }
    let removed = change(RuleChange::RemoveSchedule { schedule: &office });
    assert!(
        matches!(removed, Err(Error::Rules(RuleProblem::ScheduleArms(ref of))) if *of == office),
        "{removed:?}"
    );
    store.end_arming(by(WALL)).unwrap().unwrap();
    let book = store.rule_book().unwrap();
    assert_eq!((book.arming, book.arming_follows), (Arming::Off, Some(office.clone())));
    store.change_rules(RuleChange::ArmBy(None), by(WALL)).unwrap();
    assert_eq!(store.arming().unwrap(), Arming::Off, "which arms nothing");
    store.change_rules(RuleChange::RemoveSchedule { schedule: &office }, by(WALL)).unwrap();
    assert_eq!(store.arming_book().unwrap().arming_follows, None);
}

#[test]
fn the_end_of_an_armed_time_is_kept_and_a_clock_that_goes_back_does_not_arm_again() {
    let folder = tempfile::tempdir().unwrap();
    let (mut store, _) = store(&folder);
    let end = WALL.unix_ms + 60_000;
    store.change_rules(RuleChange::Arm(Arming::Until(end)), by(WALL)).unwrap();
    let at = |unix_ms| WallClock { unix_ms, ..WALL };
    let doubted = WallClock { trust: ClockTrust::Untrusted, ..at(end) };
    assert_eq!(store.end_arming(by(at(end - 1))).unwrap(), None);
    assert_eq!(store.end_arming(by(doubted)).unwrap(), None, "such a clock says nothing");
    let ended = store.end_arming(by(at(end))).unwrap().unwrap();
    let event = Administrative::ArmingChanged { armed: false, until: None };
    assert_eq!(ended.body, Body::Administrative(event));
    assert_eq!(store.arming().unwrap(), Arming::Off);
    assert_eq!(store.end_arming(by(at(end))).unwrap(), None, "once");
    shown("clock-arming", 1);
}

#[test]
fn the_desk_says_whether_the_door_is_armed_once_and_on_change() {
    use deepid_edge::daemon::desk::Desk;
    let folder = tempfile::tempdir().unwrap();
    let (mut beside, _) = store(&folder);
    let mut desk = Desk::new(open(&folder), "front".to_owned(), Uuid::nil());
    let look = |desk: &mut Desk, unix_ms| {
        let mut outgoing = Vec::new();
        let wall = WallClock { unix_ms, ..WALL };
        let ended = desk.look_at_arming(Monotonic::default(), wall, &mut outgoing);
        let said: Vec<Value> = outgoing
            .iter()
            .filter_map(|item| match item {
                Outgoing::Armed(armed) => Some(json!([armed.armed, armed.until])),
                _ => None,
            })
            .collect();
        (ended, said)
    };
    let now = WALL.unix_ms;
    assert_eq!(look(&mut desk, now), (false, vec![json!([true, null])]));
    assert_eq!(look(&mut desk, now), (false, vec![]));
    beside.change_rules(RuleChange::Arm(Arming::Until(now + 60_000)), by(WALL)).unwrap();
    let until = "2027-01-15T08:01:00.000Z";
    assert_eq!(look(&mut desk, now), (false, vec![json!([true, until])]));
    assert_eq!(look(&mut desk, now + 60_000), (true, vec![json!([false, null])]));
    assert_eq!(look(&mut desk, now), (false, vec![]), "a clock that goes back arms nothing");
}

#[test]
fn the_desk_says_when_the_schedule_opens_and_closes_that_arming_follows() {
    use deepid_edge::config::{Config, Flag, Sources};
    use deepid_edge::daemon::desk::Desk;
    let folder = tempfile::tempdir().unwrap();
    let (mut beside, _) = store(&folder);
    let flags = vec![Flag::set("policy.time_zone", "Europe/Berlin")];
    let config = Config::load(&Sources { flags, ..Sources::default() }).unwrap();
    let mut desk = Desk::new(open(&folder), "front".to_owned(), Uuid::nil());
    desk.go_by(&config);
    let office = name("office");
    let hours = Schedule::read("mon-fri 08:00-18:00").unwrap();
    for change in [
        RuleChange::SetSchedule { schedule: &office, hours: &hours },
        RuleChange::ArmBy(Some(&office)),
    ] {
        beside.change_rules(change, by(WALL)).unwrap();
    }
    let mut said = |time: &str, trust| {
        let unix_ms = time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
        let mut outgoing = Vec::new();
        let wall = WallClock { unix_ms, trust, ..WALL };
        assert!(!desk.look_at_arming(Monotonic::default(), wall, &mut outgoing));
        let armed = outgoing.iter().filter_map(|item| match item {
            Outgoing::Armed(armed) => Some(armed),
            _ => None,
        });
        armed.map(|armed| (armed.armed, armed.schedule.clone())).collect::<Vec<_>>()
    };
    let (yes, no) = (ClockTrust::Trusted, ClockTrust::Untrusted);
    let by = |armed| vec![(armed, Some(office.clone()))];
    // A Monday; Berlin is an hour ahead.
    assert_eq!(said("2027-01-18T06:59:59Z", yes), by(false));
    assert_eq!(said("2027-01-18T07:00:00Z", yes), by(true));
    assert_eq!(said("2027-01-18T16:59:59Z", yes), vec![], "the same");
    assert_eq!(said("2027-01-18T16:59:59Z", no), by(false), "by no clock");
    assert_eq!(said("2027-01-18T16:59:59Z", yes), by(true));
    assert_eq!(said("2027-01-18T17:00:00Z", yes), by(false));
}

#[test]
fn the_door_is_armed_by_a_schedule_and_says_by_which() {
    let home = Home::with_database();
    let schedule = |hours: &str| home.told(&["schedules", "set", "shop", hours]);
    let refused = home.ask(&["arm", "follow", "shop"]);
    assert!(refused.code == 9 && refused.err.contains("there is none"), "{}", refused.err);
    assert_eq!(home.ask(&["arm", "follow"]).code, 2, "which, or none");
    schedule("daily closed; holiday closed");
    let told = home.told(&["arm", "follow", "shop"]);
    assert_eq!(
        told,
        json!({"armed": false, "reason": "schedule", "until": null, "schedule": "shop"})
    );
    let shown = home.ask(&["arm", "show"]).out;
    for part in ["not armed", "its schedule shop is closed", "arm follow"] {
        assert!(shown.contains(part), "{shown}");
    }
    let early = WallClock { unix_ms: PLAUSIBLE_FROM_UNIX_MS, ..WALL };
    home.store().add_subject("Maria", early).unwrap();
    let explained = home.ask(&["policy", "explain", "Maria"]).out;
    assert!(
        explained.contains("'not_armed'") && explained.contains("schedule shop"),
        "{explained}"
    );
    let refused = home.ask(&["schedules", "remove", "shop"]);
    assert!(refused.code == 2 && refused.err.contains("arming follows it"), "{}", refused.err);
    schedule("daily open; holiday open");
    let told = home.told(&["arm", "show"]);
    assert_eq!(told, json!({"armed": true, "reason": null, "until": null, "schedule": "shop"}));
    let off = home.ask(&["arm", "off"]).out;
    assert!(off.contains("because it was disarmed"), "{off}");
    let told = home.told(&["arm", "follow", "--none"]);
    assert_eq!(
        told,
        json!({"armed": false, "reason": "disarmed", "until": null, "schedule": null})
    );
}

#[test]
fn a_group_needs_a_second_factor_at_times_and_the_schedule_stays() {
    let home = Home::with_database();
    home.told(&["schedules", "set", "nights", "daily 22:00-06:00", "holiday closed"]);
    home.told(&["groups", "add", "flat"]);
    let told = home.told(&["groups", "demand", "flat", "--factor", "--during", "nights"]);
    assert_eq!((&told["factor"], &told["during"]), (&json!(true), &json!("nights")));
    let listed = home.ask(&["groups", "list"]).out;
    assert!(listed.contains("needs a second factor, while schedule nights is open"), "{listed}");
    let refused = home.ask(&["schedules", "remove", "nights"]);
    assert!(
        refused.code == 2 && refused.err.contains("groups follow it, or need"),
        "{}",
        refused.err
    );
    let early = WallClock { unix_ms: PLAUSIBLE_FROM_UNIX_MS, ..WALL };
    home.store().add_subject("Maria", early).unwrap();
    home.told(&["groups", "assign", "Maria", "flat"]);
    let home = home.set("policy.required_fpir", "1.0").set("recognise.accept_fpir", "1.0");
    let reason = |at: &str| {
        home.ask(&["policy", "explain", "Maria", "--at", at, "--json"]).json()["reason"].clone()
    };
    assert_eq!(reason("2026-12-22 21:59"), json!(null));
    assert_eq!(reason("2026-12-22 22:00"), json!("second_factor_missing"));
    let told = home.ask(&["policy", "explain", "Maria", "--without-clock", "--json"]).json();
    assert_eq!(told["reason"], json!("clock_untrusted"));
    home.told(&["groups", "demand", "flat", "--nothing"]);
    home.told(&["schedules", "remove", "nights"]);
}

/// Whether somebody may pass, by `policy explain`, once a record of a later time stands in the way of the
/// clock.
#[test]
fn without_a_trusted_clock_a_door_refuses_all_or_only_what_hangs_on_time() {
    let home = Home::with_database();
    let ahead = WallClock { unix_ms: 2_085_978_495_000, synchronised: true, ..WALL };
    for name in ["Maria", "John"] {
        home.store().add_subject(name, ahead).unwrap();
    }
    home.told(&["subjects", "validity", "John", "--until", "2030-01-01"]);
    let explained = |home: &Home, who: &str| {
        let told = home.ask(&["policy", "explain", who, "--json"]).json();
        (told["allowed"].clone(), told["reason"].clone())
    };
    let untrusted = (json!(false), json!("clock_untrusted"));
    assert_eq!(explained(&home, "Maria"), untrusted);
    let home = home
        .set("policy.untrusted_clock", "timeless")
        .set("policy.required_fpir", "1.0")
        .set("recognise.accept_fpir", "1.0");
    assert_eq!(explained(&home, "Maria"), (json!(true), json!(null)));
    assert_eq!(explained(&home, "John"), untrusted);
}

#[test]
fn pins_are_set_from_a_file_listed_and_never_alike() {
    let home = Home::with_database();
    let id = home.store().add_subject("Maria", WALL).unwrap();
    let file = home.path("pin");
    let set = |pin: &str, more: &[&str]| {
        std::fs::write(&file, format!("{pin}\n")).unwrap();
        let verb = ["pins", "set", "Maria", "--pin-file", file.to_str().unwrap(), "--json"];
        home.ask(&[&verb, more].concat())
    };
    assert_ne!(set("471108", &["--duress"]).code, 0, "there is none beside which it could be");
    for (pin, why) in [("1234", "tries"), ("47", "digits"), ("47110a", "digits")] {
        let refused = set(pin, &[]);
        assert_ne!(refused.code, 0, "{pin}");
        let told = format!("{}{}", refused.err, refused.out);
        assert!(told.contains(why) && !told.contains(pin), "{told}");
    }
    assert_eq!(home.told(&["pins", "list"])["pins"], json!([]));
    assert_eq!(set("471108", &[]).code, 0);
    assert_ne!(set("471108", &["--duress"]).code, 0, "the same");
    assert_eq!(set("805317", &["--duress"]).code, 0);
    assert_ne!(set("805317", &[]).code, 0, "the same as that for duress");
    let listed = home.told(&["pins", "list"]);
    assert_eq!(
        (&listed["pins"][0]["subject"], &listed["pins"][0]["duress"]),
        (&json!(id), &json!(true))
    );
    home.told(&["pins", "remove", "Maria", "--duress"]);
    assert_eq!(home.told(&["pins", "list"])["pins"][0]["duress"], json!(false));
    home.told(&["pins", "remove", "Maria"]);
    assert_eq!(home.told(&["pins", "list"])["pins"], json!([]));

    home.told(&["subjects", "duress", "Maria"]);
    let explain =
        || home.ask(&["policy", "explain", "Maria", "--at", "2026-12-22 09:00", "--json"]).json();
    assert_eq!((&explain()["duress"], &explain()["allowed"]), (&json!(true), &json!(true)));
    home.told(&["subjects", "duress", "Maria", "--off"]);
    assert_eq!(explain()["duress"], json!(false));
    let database = std::fs::read(home.path("door.db")).unwrap_or_default();
    assert!(!database.windows(11).any(|bytes| bytes == b"$argon2id$v"), "sealed");
}

#[test]
fn where_somebody_went_is_explained_listed_and_reset() {
    let home = Home::with_database()
        .broker(1)
        .set("door.direction", "in")
        .set("passback.mode", "hard")
        .set("passback.door", "back")
        .set("passback.keys", "/etc/deepid-edge/back.jwks.json");
    let id = home.store().add_subject("Maria", WALL).unwrap();
    let at = |time: &str| time.parse::<jiff::Timestamp>().unwrap().as_millisecond();
    let went = Whereabouts { side: Some(Side::Inside), since_ms: at("2026-12-22T08:00:00Z") };
    home.store().note_passage(&id, went, "front", went.since_ms).unwrap();
    let explain = || {
        let asked = ["policy", "explain", "Maria", "--at", "2026-12-22T09:00:00Z", "--json"];
        home.ask(&asked).json()
    };
    let told = explain();
    assert_eq!(told["reason"], "anti_passback");
    assert!(told["because"].as_str().unwrap().contains("went in"), "{told}");
    let listed = home.told(&["inside", "list"]);
    assert_eq!(listed["people"][0]["side"], "inside");
    home.told(&["inside", "reset", "Maria"]);
    assert_eq!(explain()["allowed"], true);
    assert_eq!(home.told(&["inside", "list"])["people"], json!([]));
    home.told(&["inside", "reset", "--all"]);
}

#[test]
fn an_office_is_written_shown_and_explained() {
    let home = Home::with_database().set("policy.time_zone", "Europe/Berlin");
    // Before whatever the clock of this machine shows: `arm for` asks for one that is trusted.
    let wall = WallClock { unix_ms: PLAUSIBLE_FROM_UNIX_MS, ..WALL };
    let id = home.store().add_subject("Maria", wall).unwrap();
    let hours = "mon-thu 08:00-12:00,13:00-18:00";
    let set = home.told(&["schedules", "set", "office", hours, "fri 08:00-14:00"]);
    let shown = "mon-thu 08:00-12:00,13:00-18:00; fri 08:00-14:00; sat-sun closed; holiday closed";
    assert_eq!(set["hours"], shown);
    home.told(&["schedules", "holidays", "add", "2026-12-25", "2026-12-26"]);
    home.told(&["schedules", "holidays", "remove", "2026-12-26"]);
    assert_eq!(home.told(&["schedules", "holidays", "list"])["holidays"], json!(["2026-12-25"]));
    assert_eq!(home.told(&["schedules", "show", "office"])["hours"], shown);
    home.told(&["groups", "add", "staff", "--schedule", "office"]);
    home.told(&["groups", "assign", "Maria", "staff"]);
    let listed = home.told(&["groups", "list"]);
    let group = json!({
        "group": "staff",
        "schedule": "office",
        "factor": false,
        "company": null,
        "during": null,
        "members": [id],
    });
    assert_eq!(listed["groups"], json!([group]));

    home.told(&["groups", "demand", "staff", "--factor", "--company", "staff"]);
    let listed = home.told(&["groups", "list"]);
    assert_eq!(
        (&listed["groups"][0]["factor"], &listed["groups"][0]["company"]),
        (&json!(true), &json!("staff"))
    );
    let asked = home.ask(&["policy", "explain", "Maria", "--at", "2026-12-22 09:00", "--json"]);
    assert_eq!((asked.code, &asked.json()["reason"]), (1, &json!("second_factor_missing")));
    home.told(&["groups", "demand", "staff", "--nothing"]);

    let explain = |at: &str| {
        let answer = home.ask(&["policy", "explain", "Maria", "--at", at, "--json"]);
        let said = answer.json();
        assert_eq!(answer.code, i32::from(said["allowed"] == false), "{said}");
        (said["reason"].as_str().unwrap_or("allowed").to_owned(), said["because"].to_string())
    };
    assert_eq!(explain("2026-12-22 09:00").0, "allowed");
    assert_eq!(explain("2026-12-22T08:00:00Z").0, "allowed", "nine o'clock there");
    let (reason, because) = explain("2026-12-22 12:30");
    assert_eq!(reason, "outside_schedule");
    assert!(because.contains("staff") && because.contains("office"), "{because}");
    let (reason, because) = explain("2026-12-25 09:00");
    assert!(reason == "outside_schedule" && because.contains("holiday"), "{because}");

    home.told(&["subjects", "validity", "Maria", "--until", "2026-12-22"]);
    assert_eq!(explain("2026-12-22 17:59").0, "allowed", "the last day counts");
    let (reason, because) = explain("2026-12-23 09:00");
    assert!(reason == "outside_schedule" && because.contains("valid until"), "{because}");
    let limited = home.told(&["subjects", "validity", "Maria", "--from", "2026-12-01 07:30"]);
    let both = (&limited["from"], &limited["until"]);
    assert_eq!(both, (&json!("2026-12-01 07:30"), &json!("2026-12-23 00:00")), "the other stays");
    home.told(&["subjects", "validity", "Maria", "--always"]);
    assert_eq!(explain("2026-12-23 09:00").0, "allowed");

    home.told(&["arm", "off"]);
    assert_eq!(explain("2026-12-23 09:00").0, "not_armed");
    assert_eq!(home.told(&["arm", "show"])["armed"], false);
    let armed = home.told(&["arm", "for", "2h30m"]);
    assert!(armed["armed"] == true && armed["until"].is_string(), "{armed}");
    home.told(&["arm", "on"]);
    home.told(&["subjects", "disable", "Maria"]);
    assert_eq!(explain("2026-12-23 09:00").0, "subject_disabled");
}

#[test]
fn what_is_shown_beside_a_face_is_explained_too() {
    let home = Home::with_database();
    home.store().add_subject("Maria", WALL).unwrap();
    home.store().add_subject("Otto", WALL).unwrap();
    home.told(&["groups", "add", "staff"]);
    home.told(&["groups", "demand", "staff", "--factor", "--company", "staff"]);
    home.told(&["groups", "assign", "Maria", "staff"]);
    let beside = |shown: &[&str]| {
        let ask = ["policy", "explain", "Maria", "--at", "2026-12-22 09:00", "--json"];
        home.ask(&[&ask[..], shown].concat()).json()["reason"].clone()
    };
    let all = ["--with-factor", "--with-company", "Otto"];
    assert_eq!(beside(&all), "second_factor_missing", "Otto is not of the staff");
    home.told(&["groups", "assign", "Otto", "staff"]);
    assert_eq!(beside(&all), json!(null));
    assert_eq!(beside(&all[..1]), "second_factor_missing");
    assert_eq!(beside(&all[1..]), "second_factor_missing");
    home.told(&["subjects", "disable", "Otto"]);
    assert_eq!(beside(&all), "second_factor_missing", "nobody lets Otto in");
}

#[test]
fn a_person_is_told_when_hours_across_midnight_and_a_validity_end() {
    let home = Home::with_database();
    home.store().add_subject("Maria", WALL).unwrap();
    let ends = [
        ("mon 10:00-09:00", "mon 10:00-09:00 (until tue 09:00); tue-sun closed"),
        ("sun 08:00-12:00,22:00-06:00", "sun 08:00-12:00,22:00-06:00 (until mon 06:00)"),
        ("mon-fri 22:00-06:00", "mon-fri 22:00-06:00 (until 06:00 of the next day)"),
        ("holiday 22:00-06:00", "holiday 22:00-06:00 (until 06:00 of the next day)"),
        ("2026-12-31 22:00-06:00", "2026-12-31 22:00-06:00 (until 2027-01-01 06:00)"),
        ("daily 08:00-24:00", "mon-sun 08:00-24:00; holiday closed"),
    ];
    for (hours, shown) in ends {
        let set = home.ask(&["schedules", "set", "office", hours]).out;
        assert!(set.contains(shown), "{set}");
        for arguments in [&["schedules", "show"][..], &["schedules", "show", "office"]] {
            let out = home.ask(arguments).out;
            assert!(out.contains(shown), "{out}");
        }
        let written = home.told(&["schedules", "show", "office"])["hours"].clone();
        let written = written.as_str().unwrap();
        assert_eq!(Schedule::read(written).unwrap(), Schedule::read(hours).unwrap(), "{written}");
    }
    let limits = [
        (&["--until", "2026-09-30"][..], "valid through 2026-09-30"),
        (&["--from", "2026-09-01"], "valid from 2026-09-01 00:00 through 2026-09-30"),
        (&["--until", "2026-09-30 18:30"], "valid from 2026-09-01 00:00 until 2026-09-30 18:30"),
        (&["--always"], "valid without limit"),
    ];
    for (limit, said) in limits {
        let out = home.ask(&[&["subjects", "validity", "Maria"][..], limit].concat()).out;
        assert!(out.trim_end().ends_with(said), "{out}");
    }
}

#[test]
fn no_end_is_reckoned_from_a_clock_that_nobody_trusts() {
    let home = Home::with_database();
    // A time service has vouched for a time in 2036.
    let ahead = WallClock { unix_ms: 2_085_978_495_000, synchronised: true, ..WALL };
    home.store().add_subject("Maria", ahead).unwrap();
    let refused = home.ask(&["arm", "for", "8h", "--json"]);
    assert_eq!(refused.code, 1, "{}", refused.err);
    let said = refused.error().to_string();
    assert!(said.contains("not trusted") && said.contains("clock show"), "{said}");
    assert_eq!(home.store().arming().unwrap(), Arming::On, "nothing was changed");
    let file = home.path("holidays.ics");
    let event = "BEGIN:VEVENT\nDTSTART:20991224\nEND:VEVENT";
    std::fs::write(&file, format!("BEGIN:VCALENDAR\n{event}\nEND:VCALENDAR\n")).unwrap();
    let refused = home.ask(&["schedules", "holidays", "import", file.to_str().unwrap()]);
    assert!(refused.code == 1 && refused.err.contains("clock show"), "{}", refused.err);
    assert_eq!(home.records().len(), 1, "the enrolment");
    assert_eq!(home.told(&["arm", "off"])["armed"], false);
    assert_eq!(home.told(&["arm", "on"])["armed"], true);
}

#[test]
fn what_cannot_be_is_refused_with_what_would_be_right() {
    let home = Home::with_database();
    home.told(&["schedules", "set", "office", "daily open"]);
    home.told(&["groups", "add", "staff", "--schedule", "office"]);
    for (arguments, code, said) in [
        (&["schedules", "set", "a", "mon 8-12"][..], 2, "no span"),
        (&["schedules", "set", "a", "mon 08:00-12:00", "mon-tue open"], 2, "mon is written twice"),
        (&["schedules", "set", "Büro", "daily open"], 2, "a-z"),
        (&["schedules", "set", "a", "2026-02-30 open"], 2, "no day"),
        (&["schedules", "holidays", "add", "25.12.2026"], 2, "2026-12-24"),
        (&["schedules", "remove", "office"], 2, "groups follow it"),
        (&["schedules", "show", "none"], 9, "there is none"),
        (&["groups", "follow", "none", "office"], 9, "there is none"),
        (&["groups", "add", "staff"], 2, "there already"),
        (&["groups", "assign", "Nobody", "staff"], 9, "nobody is enrolled"),
        (&["policy", "explain", "Nobody"], 9, "nobody is enrolled"),
        (&["arm", "for", "30s"], 2, "from a minute"),
        (&["config", "check", "--set", "policy.time_zone=Atlantis"], 3, "time zone"),
    ] {
        let answer = home.ask(arguments);
        assert_eq!(answer.code, code, "{arguments:?}: {}", answer.err);
        assert!(answer.err.contains(said), "{arguments:?}: {}", answer.err);
    }
}

#[test]
fn holidays_come_out_of_a_calendar_file() {
    let home = Home::with_database();
    let file = home.path("holidays.ics");
    let text = "BEGIN:VCALENDAR\r\nVERSION:2.0\r\nBEGIN:VEVENT\r\nSUMMARY:New Year\r\nDTSTART;VALUE=DATE:20200101\r\nRRULE:FREQ=YEARLY\r\nEND:VEVENT\r\nBEGIN:VEVENT\r\nSUMMARY:Party\r\nDTSTART:20991224T180000\r\nEND:VEVENT\r\nEND:VCALENDAR\r\n";
    std::fs::write(&file, text).unwrap();
    let import = |more: &[&str]| {
        let mut arguments = vec!["schedules", "holidays", "import", file.to_str().unwrap()];
        arguments.extend(["--until", "2200-01-01"]);
        arguments.extend(more);
        home.told(&arguments)
    };
    let dry = import(&["--dry-run"]);
    let listed = || home.told(&["schedules", "holidays", "list"])["holidays"].clone();
    assert_eq!((&dry["done"], listed()), (&json!("nothing"), json!([])));
    let done = import(&[]);
    let days = done["new"].as_array().unwrap();
    assert!(days.len() > 150 && days.contains(&json!("2200-01-01")), "{days:?}");
    assert!(!days.contains(&json!("2020-01-01")), "it is over");
    assert_eq!(done["left_out"][0]["event"], "Party");
    assert_eq!(listed(), done["new"]);
    assert_eq!(import(&[])["new"], json!([]), "a second time changes nothing");
    let asked = home.ask(&["schedules", "holidays", "import", "/nowhere.ics"]);
    assert!(asked.code != 0 && asked.err.contains(".ics"), "{}", asked.err);
}

#[test]
fn a_running_daemon_takes_rules_over_and_says_whether_it_is_armed() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let home = Home::new()
        .broker(broker.port())
        .enrol_obama()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true)
        .set("visit.cooldown_ms", 0);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(5).person("obama3.jpg", 0.16, 30).nobody(40).write(&recording, 1);
    let daemon = home.run(&recording);
    let first = subscriber.on(ARMED);
    assert_eq!((first.qos, first.json()["armed"].clone()), (1, json!(true)));
    let decided = |reason: &'static str| {
        let found =
            |m: &support::subscriber::Received| m.topic == ACCESS && m.json()["reason"] == reason;
        subscriber.next(reason, found);
    };
    decided("matched");
    home.told(&["arm", "off"]);
    let off = subscriber.next("not armed", |m| m.topic == ARMED && m.json()["armed"] == false);
    let told = json!({ "schema": "deepid-edge/armed/1", "armed": false, "reason": "disarmed" });
    assert_eq!(off.json(), told);
    decided("not_armed");
    home.told(&["arm", "on"]);
    decided("matched");
    // Nobody may pass by a group whose schedule has no hours at all.
    home.told(&["schedules", "set", "never", "mon closed"]);
    home.told(&["groups", "add", "visitors", "--schedule", "never"]);
    home.told(&["groups", "assign", "obama", "visitors"]);
    decided("outside_schedule");
    let late = Subscriber::connect(broker.port(), ARMED);
    let kept = late.on(ARMED);
    assert!(kept.retained && kept.json()["armed"] == true, "{}", daemon.log());
}
