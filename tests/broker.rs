//! The broker session against a real mosquitto: what is sent, what is never sent, and what is said
//! when there is no connection.
//!
//! Needs the programs `mosquitto` and `openssl`; says aloud that it skips without mosquitto.
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::Path;
use std::time::Duration;

use deepid_edge::decide::{UnknownReason, Verdict};
use deepid_edge::door::Guidance;
use deepid_edge::publish::tls::ClientCertificate;
use deepid_edge::publish::twin::{HOLD, TwinSign};
use deepid_edge::publish::{
    BrokerError, Contest, Credentials, DeskRequest, GuidanceMessage, HomeAssistantSettings,
    Outgoing, Presence, SessionEvent, SessionSettings, TlsSettings, forget, probe,
};
use deepid_edge::store::AuditRecord;
use support::certificates::Authority;
use support::door::{BOOT, Door, camera, decision, grant, health, settings};
use support::fault_rows::shown;
use support::mosquitto::{Broker, Mosquitto, ServerTls, free_port};
use support::subscriber::Subscriber;
use uuid::Uuid;

const MARKER: &str = "test/marker";
const ACCESS: &str = "deepid-edge/front/access";
const AUDIT: &str = "deepid-edge/front/audit";
const INFO: &str = "deepid-edge/front/info";
/// Another board's run.
const OTHER_BOOT: Uuid = Uuid::from_u128(0x0bad);
const STATUS: &str = "deepid-edge/front/status";
const GUIDANCE: &str = "deepid-edge/front/guidance";

fn start() -> Option<Mosquitto> {
    Mosquitto::start(&Broker::default())
}

fn ask<T>(question: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(question)
}

fn refusal(settings: &SessionSettings) -> BrokerError {
    ask(probe(settings)).unwrap_err()
}

#[test]
fn a_decision_arrives_once_on_access_and_on_audit_as_agreed() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let status = subscriber.on(STATUS);
    assert_eq!((status.text(), status.qos), ("online", 1));

    let record = door.decide(&grant(&door.clock.clone()));
    let access = subscriber.on(ACCESS);
    assert_eq!((access.retained, access.qos), (false, 1));
    assert!(matches!(access.expiry_s, Some(4 | 5)), "{:?}", access.expiry_s);
    let said = access.json();
    assert_eq!(said["outcome"], "granted");
    assert_eq!(said["seq"], record.seq);
    assert_eq!(said["id"], record.id.to_string());
    door.until_delivered();
    let audit = subscriber.on(AUDIT);
    assert_eq!((audit.retained, audit.qos, audit.expiry_s), (false, 1, None));
    assert_eq!(audit.json()["late"], false);
    let again = subscriber.until_now(MARKER);
    assert!(again.iter().all(|m| m.topic != ACCESS && m.topic != AUDIT), "{again:?}");
    door.close();
    assert_eq!(subscriber.on(STATUS).text(), "offline");
}

#[test]
fn nothing_that_could_open_a_door_is_left_for_those_who_come_later() {
    let Some(broker) = start() else { return };
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let clock = door.clock.clone();
    door.send(Outgoing::Camera(camera(&clock)));
    door.send(Outgoing::Presence(Presence::new(true, 1)));
    door.send(Outgoing::Health(health()));
    door.decide(&grant(&clock));
    door.decide(&decision(&clock, Verdict::Unknown(UnknownReason::NoMatch)));
    door.until_delivered();

    let late = Subscriber::connect(broker.port(), "#");
    let mut retained: Vec<String> = late
        .until_now(MARKER)
        .iter()
        .filter(|m| m.retained)
        .map(|m| m.topic.rsplit('/').next().unwrap().to_owned())
        .collect();
    retained.sort();
    assert_eq!(retained, ["camera", "info", "status"]);
    door.close();
    let later = Subscriber::connect(broker.port(), STATUS);
    assert_eq!(later.on(STATUS).text(), "offline", "a clean stop says so, too");
}

#[test]
fn other_settings_are_a_goodbye_here_and_a_clean_start_there() {
    let brokers = [start(), start()];
    let [Some(one), Some(other)] = brokers else { return };
    let (at_one, at_other) =
        (Subscriber::connect(one.port(), "#"), Subscriber::connect(other.port(), "#"));
    let mut door = Door::open(settings(one.port()));
    door.until_connected();
    let clock = door.clock.clone();
    door.send(Outgoing::Camera(camera(&clock)));
    door.decide(&grant(&clock));
    door.until_delivered();
    at_one.on(ACCESS);

    door.send(Outgoing::Settings(Some(Box::new(settings(other.port())))));
    door.until_connected();
    at_one.next("goodbye", |m| m.topic == STATUS && m.text() == "offline");
    assert_eq!(at_other.on(STATUS).text(), "online");
    assert!(at_other.on("deepid-edge/front/camera").json()["state"].is_string());
    // Decided and announced at one broker: the other one does not hear it again.
    let record = door.decide(&grant(&clock));
    assert_eq!(at_other.on(ACCESS).json()["seq"], record.seq);
    door.until_delivered();

    door.send(Outgoing::Settings(None));
    at_other.next("goodbye", |m| m.topic == STATUS && m.text() == "offline");
    let missed = door.decide(&grant(&clock));
    door.until("not announced", |e| *e == SessionEvent::NotAnnounced { seq: missed.seq });

    clock.advance(Duration::from_millis(10));
    // Also while it waits for a broker that is not there.
    door.send(Outgoing::Settings(Some(Box::new(settings(free_port())))));
    door.until("no broker", |e| matches!(e, SessionEvent::Disconnected { .. }));
    door.send(Outgoing::Settings(Some(Box::new(settings(one.port())))));
    door.until_connected();
    door.until_delivered();
    let late = at_one.next("the record", |m| m.topic == AUDIT && m.json()["seq"] == missed.seq);
    assert_eq!(late.json()["late"], true);
    door.close();
    let again = at_one.until_now(MARKER);
    assert!(again.iter().all(|m| m.topic != ACCESS), "{again:?}");
}

#[test]
fn the_will_speaks_when_we_cannot() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), STATUS);
    // The thief is not to be pushed out before it has asked for anything.
    let backoff_first = Duration::from_secs(6);
    let mut door = Door::open(SessionSettings { backoff_first, ..settings(broker.port()) });
    door.until_connected();
    assert_eq!(subscriber.on(STATUS).text(), "online");
    // The broker hangs up on the first of two clients with one id, as if its cable were cut: no
    // DISCONNECT is ever sent by it.
    let thief = Subscriber::connect_with(broker.port(), "nothing", |options| {
        options.set_client_id("deepid-edge-front".to_owned());
    });
    assert_eq!(subscriber.on(STATUS).text(), "offline");
    let why = door.until("taken over", |e| matches!(e, SessionEvent::Disconnected { .. }));
    let SessionEvent::Disconnected { why, .. } = why else { panic!() };
    assert!(matches!(why, BrokerError::TakenOver { .. } | BrokerError::Closed { .. }), "{why}");
    drop(thief);
    door.until_connected();
    assert_eq!(subscriber.next("online", |m| m.text() == "online").topic, STATUS);
}

/// What a door notices next of another that has its id.
fn contest(door: &mut Door) -> Contest {
    let event = door.until("contested", |e| matches!(e, SessionEvent::Contested(_)));
    let SessionEvent::Contested(contest) = event else { panic!() };
    contest
}

/// Decides a grant, and waits until it was not announced.
fn withheld(door: &mut Door) {
    let clock = door.clock.clone();
    let record = door.decide(&grant(&clock));
    door.until("withheld", |e| *e == SessionEvent::NotAnnounced { seq: record.seq });
}

#[test]
fn two_boards_of_one_id_notice_each_other_and_neither_announces_a_grant() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), ACCESS);
    let mut ours = Door::open(settings(broker.port()));
    ours.until_connected();
    let clock = ours.clock.clone();
    ours.decide(&grant(&clock));
    ours.until_delivered();
    subscriber.on(ACCESS);
    let mut other = Door::open_as(settings(broker.port()), OTHER_BOOT);
    for door in [&mut ours, &mut other] {
        let contest = contest(door);
        // Which sign comes first hangs on the broker's version and on who connects when.
        assert_ne!(contest.by, TwinSign::Heard, "never are both connected");
        assert!(contest.record, "the first sign is recorded");
    }
    withheld(&mut ours);
    withheld(&mut other);
    let heard = subscriber.until_now(ACCESS);
    assert!(heard.is_empty(), "{heard:?}");

    // The doubt ends by itself when the other board is gone.
    other.close();
    let announced = (0..10).any(|_| {
        clock.advance(HOLD);
        ours.work();
        let record = ours.decide(&grant(&clock));
        let is_it = |m: &support::subscriber::Received| m.json()["seq"] == record.seq;
        subscriber.within(Duration::from_secs(2), is_it).is_some()
    });
    assert!(announced, "the door is ours again");
    shown("broker-two-boards", 1);
}

#[test]
fn two_boards_that_may_not_read_their_topics_are_noticed_by_their_losses() {
    let acl = Some("topic write deepid-edge/#\ntopic read deepid-edge/front/request/+\n");
    let Some(broker) = Mosquitto::start(&Broker { acl, ..Broker::default() }) else { return };
    let mut ours = Door::open(settings(broker.port()));
    ours.until_connected();
    let mut other = Door::open_as(settings(broker.port()), OTHER_BOOT);
    for door in [&mut ours, &mut other] {
        let by = contest(door).by;
        assert!(matches!(by, TwinSign::TakenOver | TwinSign::Losses), "{by:?}");
        withheld(door);
    }
}

#[test]
fn what_another_board_left_as_our_info_is_noticed_before_ours_replaces_it() {
    let Some(broker) = start() else { return };
    let backoff_first = Duration::from_secs(4);
    let mut ours = Door::open(SessionSettings { backoff_first, ..settings(broker.port()) });
    ours.until_connected();
    Subscriber::connect(broker.port(), INFO).on(INFO);
    let thief = Subscriber::connect_with(broker.port(), "nothing", |options| {
        options.set_client_id("deepid-edge-front".to_owned());
    });
    ours.until("taken over", |e| matches!(e, SessionEvent::Disconnected { .. }));
    thief.publish(INFO, true, &format!(r#"{{"boot":"{OTHER_BOOT}"}}"#));
    // A sign that prolongs the doubt by nothing is not told.
    ours.clock.advance(Duration::from_secs(5));
    ours.until(
        "its info",
        |e| matches!(e, SessionEvent::Contested(contest) if contest.by == TwinSign::InfoReplaced),
    );
}

#[test]
fn a_run_after_another_and_a_broker_that_restarts_are_no_second_board() {
    let Some(mut broker) = start() else { return };
    let mut before = Door::open_as(settings(broker.port()), OTHER_BOOT);
    before.until_connected();
    let clock = before.clock.clone();
    before.decide(&grant(&clock));
    before.until_delivered();
    before.close();
    let mut ours = Door::open(settings(broker.port()));
    ours.until_connected();
    broker.stop();
    broker.start_again();
    let subscriber = Subscriber::connect(broker.port(), ACCESS);
    ours.until_connected();
    let record = ours.decide(&grant(&clock));
    assert_eq!(subscriber.on(ACCESS).json()["seq"], record.seq);
}

#[test]
fn who_speaks_as_the_door_while_it_is_connected_holds_grants_back_and_nothing_else() {
    let Some(broker) = start() else { return };
    let client = Subscriber::connect(broker.port(), "deepid-edge/front/+");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let clock = door.clock.clone();
    for (topic, retain) in [(INFO, true), (ACCESS, false)] {
        client.publish(topic, retain, &format!(r#"{{"boot":"{OTHER_BOOT}"}}"#));
        assert_eq!(contest(&mut door).by, TwinSign::Heard, "{topic}");
        withheld(&mut door);
        let record = door.decide(&decision(&clock, Verdict::Unknown(UnknownReason::NoMatch)));
        client.next("the stranger", |m| m.topic == ACCESS && m.text().contains("no_match"));
        assert!(record.seq > 0);
        clock.advance(HOLD);
    }
    // What lies there for those who come later is ours again.
    let ours = |m: &support::subscriber::Received| m.json()["boot"] == BOOT.to_string();
    let late = Subscriber::connect(broker.port(), INFO);
    assert!(ours(&late.on(INFO)));
    let record = door.decide(&grant(&clock));
    client.next("the grant", |m| m.topic == ACCESS && m.json()["seq"] == record.seq);
    assert_eq!(ask(probe(&settings(broker.port()))).unwrap().speaks, Some(BOOT));
}

#[test]
fn decisions_made_while_the_broker_is_away_go_to_audit_only_late_and_in_order() {
    let Some(mut broker) = start() else { return };
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let clock = door.clock.clone();
    broker.stop();
    door.until("lost", |e| matches!(e, SessionEvent::Disconnected { .. }));
    let missed: Vec<u64> = (0..20)
        .map(|_| {
            clock.advance(Duration::from_millis(10));
            let record = door.decide(&grant(&clock));
            door.until("not announced", |e| *e == SessionEvent::NotAnnounced { seq: record.seq });
            record.seq
        })
        .collect();
    // The broker is back at once, while every one of the decisions is younger than its expiry:
    // even then none of them is announced, because nobody knows what has happened meanwhile.
    broker.start_again();
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    door.until_connected();
    door.until_delivered();
    let now = door.decide(&grant(&clock));
    door.until_delivered();

    let heard = subscriber.until_now("deepid-edge/marker");
    let seqs = |topic: &str, late: Option<bool>| -> Vec<u64> {
        let on_topic =
            heard.iter().filter(|m| m.topic == topic).map(support::subscriber::Received::json);
        on_topic
            .filter(|m| late.is_none_or(|late| m["late"] == late))
            .map(|m| m["seq"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(seqs(ACCESS, None), [now.seq], "only what is decided now is announced");
    assert_eq!(seqs(AUDIT, Some(false)), [now.seq]);
    let mut late = seqs(AUDIT, Some(true));
    // The subscriber may have come after the first of them.
    assert!(late.is_sorted() && late.iter().all(|seq| missed.contains(seq)), "{late:?}");
    late.dedup();
    assert_eq!(door.desk.store().outbox_depth().unwrap(), 0);
}

#[test]
fn what_the_broker_never_acknowledged_is_sent_again_as_audit_and_never_as_access() {
    let Some(mut broker) = start() else { return };
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    door.until_outbox_asked(1);
    let clock = door.clock.clone();
    // The broker takes the bytes and never reads them: rumqttc would keep this and send it again.
    broker.freeze();
    let record = door.decide(&grant(&clock));
    door.until_outbox_asked(2);
    // While nothing is acknowledged, nothing more is announced; then the connection is given up.
    clock.advance(Duration::from_secs(6));
    let second = door.decide(&grant(&clock));
    door.until("held back", |e| *e == SessionEvent::NotAnnounced { seq: second.seq });
    clock.advance(Duration::from_secs(5));
    let silent = |e: &SessionEvent| {
        matches!(e, SessionEvent::Disconnected { why: BrokerError::Silent { .. }, .. })
    };
    door.until("silent", silent);
    broker.stop();
    broker.start_again();
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    door.until_connected();
    door.until_delivered();
    let heard = subscriber.until_now("deepid-edge/marker");
    assert!(heard.iter().all(|m| m.topic != ACCESS), "{heard:?}");
    let kept: Vec<u64> = door.desk.store().audit(0, 9).unwrap().iter().map(|r| r.seq).collect();
    assert_eq!(kept, [record.seq, second.seq]);
    shown("broker-frozen", kept.len() as u64);
}

#[test]
fn what_was_made_while_the_broker_was_silent_is_late() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    door.until_outbox_asked(1);
    let clock = door.clock.clone();
    broker.freeze();
    let first = door.decide(&grant(&clock));
    door.until_outbox_asked(2);
    // The session takes one thing after the other: when it has refused what another run decided, it
    // has handed the first record over.
    let foreign = AuditRecord { boot: OTHER_BOOT, seq: 99, ..first.clone() };
    door.send(Outgoing::Access { record: foreign, grant: None, name: None });
    door.until("handed over", |e| *e == SessionEvent::NotAnnounced { seq: 99 });
    clock.advance(Duration::from_secs(6));
    let second = door.decide(&grant(&clock));
    door.until("held back", |e| *e == SessionEvent::NotAnnounced { seq: second.seq });
    broker.thaw();
    door.until_delivered();
    let late: Vec<(u64, bool)> = subscriber
        .until_now("deepid-edge/marker")
        .iter()
        .filter(|message| message.topic == AUDIT)
        .map(support::subscriber::Received::json)
        .map(|json| (json["seq"].as_u64().unwrap(), json["late"].as_bool().unwrap()))
        .collect();
    assert_eq!(late, [(first.seq, false), (second.seq, true)]);
}

#[test]
fn a_decision_older_than_its_expiry_is_not_announced() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let clock = door.clock.clone();
    let stale = grant(&clock);
    clock.advance(Duration::from_secs(5));
    let record = door.decide(&stale);
    door.until("refused", |e| *e == SessionEvent::NotAnnounced { seq: record.seq });
    let young = grant(&clock);
    clock.advance(Duration::from_millis(4_500));
    let fresh = door.decide(&young);
    let access = subscriber.on(ACCESS);
    assert_eq!(access.json()["seq"], fresh.seq);
    assert_eq!(access.expiry_s, Some(1), "only what is left of its life");
    door.until_delivered();
}

#[test]
fn requests_are_answered_refused_and_audited() {
    let Some(broker) = start() else { return };
    let client = Subscriber::connect(broker.port(), "#");
    let auditor = Subscriber::connect(broker.port(), AUDIT);
    client.ask("deepid-edge/front/request/ping", true, "{}", "answers/old", b"0");
    client.until_now(MARKER);
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();

    client.ask("deepid-edge/front/request/ping", false, "", "answers/me", b"\x00\x01");
    let answer = client.on("answers/me");
    assert_eq!(answer.json()["schema"], "deepid-edge/info/1");
    assert_eq!(answer.correlation.as_deref(), Some(&b"\x00\x01"[..]));
    assert!(!answer.retained);
    client.ask("deepid-edge/front/request/snapshot_health", false, "{}", "answers/me", b"2");
    door.until("health", |e| matches!(e, SessionEvent::HealthWanted { .. }));
    assert_eq!(client.on("answers/me").json()["schema"], "deepid-edge/health/1");
    client.ask("deepid-edge/front/request/ping", false, "", "deepid-edge/front/access", b"3");
    door.until_asked("refused", |r| format!("{r:?}").contains("RefusedResponseTopic"));
    door.until_delivered();

    let verdicts: Vec<String> = auditor
        .until_now(AUDIT)
        .iter()
        .map(|m| m.json()["administrative"]["verdict"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(verdicts, ["refused_retained", "answered", "answered", "refused_response_topic"]);
    let heard = client.until_now(MARKER);
    assert!(heard.iter().all(|m| m.topic != "answers/old" && m.topic != ACCESS), "{heard:?}");
}

#[test]
fn a_request_published_live_as_retained_is_refused() {
    let Some(broker) = start() else { return };
    let client = Subscriber::connect(broker.port(), "answers/#");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    client.ask("deepid-edge/front/request/ping", true, "", "answers/me", b"1");
    let event = door.until_asked("requested", |r| matches!(r, DeskRequest::Requested { .. }));
    assert!(format!("{event:?}").contains("RefusedRetained"), "{event:?}");
}

#[test]
fn too_many_requests_leave_one_record() {
    let Some(broker) = start() else { return };
    let client = Subscriber::connect(broker.port(), "nothing");
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    for _ in 0..200 {
        client.publish("deepid-edge/front/request/open", false, "{}");
    }
    door.until_asked("haste", |r| format!("{r:?}").contains("RefusedTooMany"));
    door.until_delivered();
    door.clock.advance(Duration::from_secs(601));
    door.until_asked("the rest", |r| format!("{r:?}").contains("RefusedTooMany"));
    let records = door.desk.store().audit(0, 1000).unwrap();
    assert!(records.len() <= 4, "{} records for 200 requests", records.len());
}

#[test]
fn home_assistant_is_told_at_start_and_at_its_birth_and_can_be_made_to_forget() {
    let Some(broker) = start() else { return };
    let config = "homeassistant/device/deepid-edge-front/config";
    let subscriber = Subscriber::connect(broker.port(), "#");
    let home_assistant =
        Some(HomeAssistantSettings { prefix: "homeassistant".to_owned(), retain: false });
    let settings = SessionSettings { home_assistant, ..settings(broker.port()) };
    let mut door = Door::open(settings.clone());
    door.until_connected();
    let first = subscriber.on(config);
    assert!(!first.retained && first.json()["components"]["access"].is_object());
    door.send(Outgoing::Guidance(GuidanceMessage::new(Some(Guidance::ComeCloser))));
    let guided = subscriber.next("the guidance", |m| m.text().contains("come_closer"));
    subscriber.publish("homeassistant/status", false, "online");
    subscriber.on("homeassistant/status");
    // The answer comes after up to three seconds of the door's clock, which moves only here.
    let again = (0..20).find_map(|_| {
        door.clock.advance(Duration::from_secs(4));
        subscriber.within(Duration::from_secs(2), |m| m.topic == config)
    });
    assert_eq!(again.expect("discovery after the birth").payload, first.payload);
    // Whoever listens only now is told who is there and what they should do, once more.
    let moment = (0..20).find_map(|_| {
        door.clock.advance(Duration::from_secs(1));
        subscriber.within(Duration::from_secs(2), |m| m.topic == GUIDANCE)
    });
    assert_eq!(moment.expect("guidance after the discovery").payload, guided.payload);
    ask(forget(&settings, "homeassistant")).unwrap();
    let whole = subscriber.on(config);
    assert!(!whole.retained && whole.json()["components"]["arming"]["command_topic"].is_string());
    assert!(subscriber.on(config).payload.is_empty());
    let later = Subscriber::connect(broker.port(), "#");
    assert!(later.until_now(MARKER).iter().all(|m| m.topic != config));
}

#[test]
fn a_publish_that_the_broker_forbids_is_said_and_stays_in_the_outbox() {
    let broker = Broker {
        acl: Some(
            "topic read #\ntopic write deepid-edge/front/status\ntopic write deepid-edge/front/info\n",
        ),
        ..Broker::default()
    };
    let Some(broker) = Mosquitto::start(&broker) else { return };
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let clock = door.clock.clone();
    door.decide(&grant(&clock));
    let event = door.until(
        "forbidden",
        |e| matches!(e, SessionEvent::NotAllowed { topic, .. } if topic == AUDIT),
    );
    assert!(format!("{event:?}").contains("NotAuthorized"), "{event:?}");
    assert_eq!(door.desk.store().outbox_depth().unwrap(), 1);

    // Its owner corrects the rules: the record goes out on the same connection.
    let subscriber = Subscriber::connect(broker.port(), AUDIT);
    broker.replace_acl("topic readwrite #\n");
    door.clock.advance(Duration::from_secs(31));
    door.until_asked("taken", |r| matches!(r, DeskRequest::Acknowledged { seq: 1 }));
    assert_eq!(door.connections, 1);
    assert_eq!(door.desk.store().outbox_depth().unwrap(), 0);
    assert_eq!(subscriber.on(AUDIT).json()["late"], true);
}

#[test]
fn the_example_of_access_control_lets_the_door_work_and_nobody_speak_for_it() {
    let users =
        vec![("door-front", "d"), ("opener-garage", "o"), ("homeassistant", "h"), ("admin", "a")];
    let acl = Some(include_str!("../deploy/mosquitto-acl.example"));
    let broker = Broker { passwords: users, acl, ..Broker::default() };
    let Some(broker) = Mosquitto::start(&broker) else { return };
    let client = |user: &str, password: &str, filter: &str| {
        Subscriber::connect_with(broker.port(), filter, |options| {
            options.set_credentials(user, password.to_owned());
        })
    };
    let home = client("homeassistant", "h", "#");
    let admin = client("admin", "a", "#");
    let opener = client("opener-garage", "o", "deepid-edge/front/grant");
    // What is forbidden is acknowledged with a refusal, and reaches nobody.
    for forger in [&home, &admin, &opener] {
        forger.publish("deepid-edge/front/grant", false, "forged");
        forger.publish(ACCESS, false, "forged");
        forger.publish(AUDIT, false, "forged");
        forger.publish(STATUS, true, "forged");
    }
    let file = broker.directory().join("our-password");
    std::fs::write(&file, "d").unwrap();
    let settings = SessionSettings {
        credentials: Some(Credentials { user: "door-front".to_owned(), password_file: Some(file) }),
        home_assistant: Some(HomeAssistantSettings {
            prefix: "homeassistant".to_owned(),
            retain: true,
        }),
        ..settings(broker.port())
    };
    let mut door = Door::open(settings);
    door.until_connected();
    admin.ask("deepid-edge/front/request/ping", false, "", "deepid-edge-answers/admin", b"1");
    door.until_asked("asked", |r| matches!(r, DeskRequest::Requested { .. }));
    assert!(admin.on("deepid-edge-answers/admin").json()["models"].is_array());
    let clock = door.clock.clone();
    door.decide(&grant(&clock));
    door.until_delivered();
    opener.publish("deepid-edge/front/opener/garage/state", false, "ready");
    let state = admin.on("deepid-edge/front/opener/garage/state");
    assert_eq!(state.payload, b"ready", "an opener says how it stands");
    let heard = home.until_now("homeassistant/marker");
    assert!(heard.iter().all(|m| m.payload != b"forged"), "{heard:?}");
    assert_eq!(heard.iter().filter(|m| m.topic == ACCESS).count(), 1);
    assert!(heard.iter().any(|m| m.topic == "homeassistant/device/deepid-edge-front/config"));
    assert!(door.forbidden.is_empty(), "{:?}", door.forbidden);
}

#[test]
fn nobody_there_and_unknown_names_are_told_apart() {
    let nobody = settings(free_port());
    assert!(matches!(refusal(&nobody), BrokerError::Refused { .. }));
    let unknown = SessionSettings { host: "no-such-host.invalid".to_owned(), ..nobody };
    let said = refusal(&unknown);
    assert!(matches!(said, BrokerError::HostUnknown { .. }), "{said:?}");
    assert!(said.to_string().contains("no-such-host.invalid"), "{said}");
}

#[test]
fn a_wrong_password_is_said_and_a_right_one_is_taken_without_a_restart() {
    let with_password = Broker { passwords: vec![("door", "correct")], ..Broker::default() };
    let Some(broker) = Mosquitto::start(&with_password) else { return };
    let anonymous = settings(broker.port());
    assert!(matches!(refusal(&anonymous), BrokerError::WrongPassword { user: None, .. }));

    let file = broker.directory().join("our-password");
    let credentials = Credentials { user: "door".to_owned(), password_file: Some(file.clone()) };
    let settings = SessionSettings { credentials: Some(credentials), ..anonymous };
    assert!(matches!(refusal(&settings), BrokerError::PasswordFile { .. }));
    std::fs::write(&file, "wrong\n").unwrap();
    let said = refusal(&settings);
    assert!(matches!(&said, BrokerError::WrongPassword { user: Some(u), .. } if u == "door"));
    assert!(!said.to_string().contains("wrong\n") && !format!("{settings:?}").contains("wrong"));

    let mut door = Door::open(settings);
    let lost = |e: &SessionEvent| {
        matches!(e, SessionEvent::Disconnected { why: BrokerError::WrongPassword { .. }, .. })
    };
    door.until("refused", lost);
    std::fs::write(&file, "correct\n").unwrap();
    door.until_connected();
}

#[test]
fn a_password_is_read_from_a_file_as_editors_write_it() {
    let with_password = Broker { passwords: vec![("door", "correct")], ..Broker::default() };
    let Some(broker) = Mosquitto::start(&with_password) else { return };
    let file = broker.directory().join("our-password");
    let credentials = Credentials { user: "door".to_owned(), password_file: Some(file.clone()) };
    let settings = SessionSettings { credentials: Some(credentials), ..settings(broker.port()) };
    for content in ["correct", "correct\r\n", "\u{feff}correct\r\n", "correct\nof the broker\n"] {
        std::fs::write(&file, content).unwrap();
        ask(probe(&settings)).unwrap();
    }
    let utf16: Vec<u8> = "\u{feff}correct".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for (content, word) in [(&utf16[..], "UTF-16"), (b"", "empty"), (b"\ncorrect\n", "line 2")] {
        std::fs::write(&file, content).unwrap();
        let said = refusal(&settings);
        assert!(matches!(said, BrokerError::PasswordFile { .. }), "{said:?}");
        assert!(said.to_string().contains(word), "{said}");
    }
}

/// A broker with TLS whose certificate is for `names`, and its authority.
fn with_tls(
    directory: &Path,
    names: &str,
    valid: bool,
    require_client: bool,
) -> Option<(Mosquitto, Authority)> {
    let authority = Authority::make(directory, "ours");
    let certificate = if valid {
        authority.issue_valid("server", names)
    } else {
        authority.issue("server", names, "20200101000000Z", "20210101000000Z")
    };
    let tls = ServerTls {
        ca: authority.ca_file(),
        certificate: certificate.certificate,
        key: certificate.key,
        require_client,
    };
    let broker = Mosquitto::start(&Broker { tls: Some(tls), ..Broker::default() })?;
    Some((broker, authority))
}

fn tls(port: u16, ca: &Path, client: Option<ClientCertificate>) -> SessionSettings {
    let tls = TlsSettings { ca_file: Some(ca.to_owned()), client };
    SessionSettings { host: "localhost".to_owned(), tls: Some(tls), ..settings(port) }
}

#[test]
fn a_decision_arrives_over_tls_and_wrong_ways_in_are_diagnosed() {
    let directory = tempfile::tempdir().unwrap();
    let Some((broker, authority)) = with_tls(directory.path(), "DNS:localhost", true, false) else {
        return;
    };
    let right = tls(broker.port(), &authority.ca_file(), None);
    assert!(ask(probe(&right)).unwrap().tls);
    let mut door = Door::open(right.clone());
    door.until_connected();
    let clock = door.clock.clone();
    door.decide(&grant(&clock));
    door.until_delivered();
    door.close();

    let stranger = Authority::make(directory.path(), "stranger");
    let unknown = tls(broker.port(), &stranger.ca_file(), None);
    assert!(refusal(&unknown).to_string().contains("authority that is not known here"));
    let wrong_name = SessionSettings { host: "127.0.0.1".to_owned(), ..right.clone() };
    let said = refusal(&wrong_name);
    assert!(said.to_string().contains("is for another name than '127.0.0.1'"), "{said:?}");
    let plain = settings(broker.port());
    let said = refusal(&plain);
    assert!(matches!(said, BrokerError::PlainRefused { .. }), "{said:?}");
    assert!(said.to_string().contains("TLS"), "{said}");
    let missing = tls(broker.port(), &directory.path().join("nothing.pem"), None);
    assert!(matches!(refusal(&missing), BrokerError::TlsFile { .. }));
    let no_pem = tls(broker.port(), Path::new("/etc/hostname"), None);
    assert!(matches!(refusal(&no_pem), BrokerError::TlsFile { .. }));
}

#[test]
fn an_expired_certificate_is_diagnosed() {
    let directory = tempfile::tempdir().unwrap();
    let Some((broker, authority)) = with_tls(directory.path(), "DNS:localhost", false, false)
    else {
        return;
    };
    let said = refusal(&tls(broker.port(), &authority.ca_file(), None));
    assert!(matches!(said, BrokerError::Certificate { .. }), "{said:?}");
    assert!(said.to_string().contains("has expired on 2021"), "{said}");
    assert!(said.to_string().contains("clock"), "{said}");
}

#[test]
fn a_broker_that_wants_our_certificate_is_understood() {
    let directory = tempfile::tempdir().unwrap();
    let Some((broker, authority)) = with_tls(directory.path(), "DNS:localhost", true, true) else {
        return;
    };
    let without = tls(broker.port(), &authority.ca_file(), None);
    let said = refusal(&without);
    assert!(matches!(said, BrokerError::ClientCertificate { .. }), "{said:?}");
    let ours = authority.issue_valid("door", "DNS:door");
    let client =
        ClientCertificate { certificate_file: ours.certificate.clone(), key_file: ours.key };
    ask(probe(&tls(broker.port(), &authority.ca_file(), Some(client)))).unwrap();
    let no_key = ClientCertificate {
        certificate_file: ours.certificate.clone(),
        key_file: ours.certificate,
    };
    let said = refusal(&tls(broker.port(), &authority.ca_file(), Some(no_key)));
    assert!(matches!(said, BrokerError::TlsFile { .. }), "{said:?}");
}

#[test]
fn tls_on_a_plain_port_is_diagnosed() {
    let directory = tempfile::tempdir().unwrap();
    let Some(broker) = start() else { return };
    let authority = Authority::make(directory.path(), "ours");
    let said = refusal(&tls(broker.port(), &authority.ca_file(), None));
    assert!(matches!(said, BrokerError::NotTls { .. }), "{said:?}");
}
