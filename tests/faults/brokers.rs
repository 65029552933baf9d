//! Brokers that are gone, slow, half open, lying, or say what no broker should.
//!
//! In: the daemon's own session and desk, and a broker of the test's own that misbehaves. Out: what was
//! announced, how often, and what is said of the connection. Always: a decision is recorded, an `access`
//! goes out once or never, and when the broker is well again all that was recorded goes out on `audit`.

use std::sync::Arc;
use std::time::Duration;

use deepid_edge::clock::Clock as _;
use deepid_edge::publish::{BrokerError, SessionEvent};
use deepid_edge::store::{AuditRecord, Body};
use serde_json::Value;

use super::own_broker::{Behaviour, OwnBroker, publish};
use crate::support::daemon::until;
use crate::support::door::{Door, grant, settings};
use crate::support::fault_rows::shown;

fn json(payload: &[u8]) -> Value {
    serde_json::from_slice(payload).unwrap()
}

/// Decides, whatever the broker does.
fn decide(door: &mut Door) -> AuditRecord {
    let clock = Arc::clone(&door.clock);
    clock.advance(Duration::from_millis(10));
    door.decide(&grant(&clock))
}

/// Waits until the connection is lost, and says why.
fn lost(door: &mut Door) -> BrokerError {
    let disconnected = |event: &SessionEvent| matches!(event, SessionEvent::Disconnected { .. });
    match door.until("a lost connection", disconnected) {
        SessionEvent::Disconnected { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

/// The broker is well again: all that was recorded goes out on `audit`, nothing went out on `access` but
/// `announced`, each once.
fn recovers(broker: &OwnBroker, mut door: Door, announced: &[u64]) {
    let before = door.connections;
    broker.becomes(Behaviour::Right);
    while door.connections == before {
        door.until_connected();
    }
    door.until_delivered();
    let recorded: Vec<u64> =
        door.desk.store().audit(0, 10_000).unwrap().iter().map(|record| record.seq).collect();
    let mut audited: Vec<u64> =
        broker.on("/audit").iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect();
    audited.sort_unstable();
    audited.dedup();
    assert_eq!(audited, recorded, "every record has gone out");
    let accessed: Vec<u64> =
        broker.on("/access").iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect();
    assert_eq!(accessed, announced, "once, in time, or never");
    assert!(broker.on("/access").iter().all(|message| !message.retained));
    door.close();
}

#[test]
fn decisions_without_a_broker_go_to_audit_alone_late_and_in_order() {
    let mut broker = OwnBroker::start(Behaviour::Right);
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    door.until_delivered();
    broker.stop();
    lost(&mut door);
    let mut decided = Vec::new();
    for _ in 0..20 {
        let record = decide(&mut door);
        door.until("held", |event| *event == SessionEvent::NotAnnounced { seq: record.seq });
        decided.push(record.seq);
    }
    let tried = door.until("a try", |event| matches!(event, SessionEvent::Disconnected { .. }));
    let SessionEvent::Disconnected { why, retry_in_ms } = tried else { panic!("{tried:?}") };
    assert!(matches!(why, BrokerError::Refused { .. }), "{why:?}");
    assert!(retry_in_ms > 0, "it is said when it is tried again");
    // It is back while every decision is younger than its expiry: none is announced all the same.
    broker.start_again();
    door.until_connected();
    door.until_delivered();
    let now = decide(&mut door).seq;
    door.until_delivered();
    let told = |topic: &str| -> Vec<(u64, Value)> {
        let messages = broker.on(topic);
        let of = |json: Value| (json["seq"].as_u64().unwrap(), json["late"].clone());
        messages.iter().map(|message| of(json(&message.payload))).collect()
    };
    let late = decided.iter().map(|seq| (*seq, Value::Bool(true)));
    let expected: Vec<_> = late.chain([(now, Value::Bool(false))]).collect();
    assert_eq!(told("/audit"), expected);
    let accessed: Vec<u64> = told("/access").into_iter().map(|(seq, _)| seq).collect();
    assert_eq!(accessed, [now], "only what is decided now is announced");
    shown("broker-gone", decided.len() as u64);
    door.close();
}

#[test]
fn a_broker_that_accepts_and_never_speaks_gets_nothing_late() {
    let broker = OwnBroker::start(Behaviour::Mute);
    let mut door = Door::open(settings(broker.port()));
    for _ in 0..20 {
        let record = decide(&mut door);
        door.until("held", |event| *event == SessionEvent::NotAnnounced { seq: record.seq });
    }
    let why = lost(&mut door);
    assert!(matches!(why, BrokerError::TimedOut { .. }), "{why:?}");
    recovers(&broker, door, &[]);
    shown("broker-half-open", 20);
}

#[test]
fn a_broker_that_acknowledges_nothing_is_given_up_and_hears_no_access_twice() {
    let broker = OwnBroker::start(Behaviour::NeverAcknowledges);
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    door.until_outbox_asked(1);
    let first = decide(&mut door);
    door.until_outbox_asked(2);
    door.clock.advance(Duration::from_secs(6));
    let second = decide(&mut door);
    door.until("held back", |event| *event == SessionEvent::NotAnnounced { seq: second.seq });
    door.clock.advance(Duration::from_secs(5));
    let why = lost(&mut door);
    assert!(matches!(why, BrokerError::Silent { .. }), "{why:?}");
    recovers(&broker, door, &[first.seq]);
    shown("broker-no-acknowledgement", 2);
}

#[test]
fn a_slow_broker_gets_each_decision_once() {
    let broker = OwnBroker::start(Behaviour::Slow(Duration::from_millis(40)));
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let decided: Vec<u64> = (0..25).map(|_| decide(&mut door).seq).collect();
    door.until_delivered();
    let accessed: Vec<u64> =
        broker.on("/access").iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect();
    assert!(accessed.is_sorted() && accessed.iter().all(|seq| decided.contains(seq)));
    recovers_without_loss(&broker, door, &accessed);
    shown("broker-slow", 25);
}

/// As [`recovers`] for a broker that is well and has acknowledged all.
fn recovers_without_loss(broker: &OwnBroker, door: Door, announced: &[u64]) {
    let told = |topic: &str| -> Vec<u64> {
        broker.on(topic).iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect()
    };
    let mut audited = told("/audit");
    audited.dedup();
    let kept = door.desk.store().audit(0, 10_000).unwrap();
    let recorded: Vec<u64> = kept.iter().map(|record| record.seq).collect();
    assert_eq!(audited, recorded, "every record has gone out, in order");
    assert_eq!(told("/access"), announced, "once, in time, or never");
    assert!(announced.windows(2).all(|two| two[0] < two[1]), "{announced:?}");
    door.close();
}

#[test]
fn a_broker_that_takes_all_and_passes_nothing_on_hears_nothing_twice_and_the_record_stays() {
    let broker = OwnBroker::start(Behaviour::Right);
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    let mut decided = Vec::new();
    for _ in 0..5 {
        for _ in 0..10 {
            decided.push(decide(&mut door).seq);
            door.until_delivered();
        }
        // Another connection, as after a restart of the broker.
        broker.becomes(Behaviour::HangsUpOnPublish);
        let record = decide(&mut door);
        decided.push(record.seq);
        lost(&mut door);
        broker.becomes(Behaviour::Right);
        door.until_connected();
        door.until_delivered();
        // Connections that end without a word are a sign of a second board, for a minute.
        door.clock.advance(Duration::from_secs(61));
    }
    let kept: Vec<u64> =
        door.desk.store().audit(0, 1000).unwrap().iter().map(|record| record.seq).collect();
    assert_eq!(kept, decided, "what nobody has heard is still on the board");
    let mut accessed: Vec<u64> =
        broker.on("/access").iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect();
    let heard = accessed.len();
    accessed.dedup();
    assert_eq!(accessed.len(), heard, "never a second time");
    shown("broker-lying", decided.len() as u64);
    door.close();
}

#[test]
fn what_is_no_broker_is_named_and_hears_no_decision() {
    let mut random = fastrand::Rng::with_seed(5);
    let mut greetings: Vec<Vec<u8>> = vec![
        b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n".to_vec(),
        b"220 mail.example ESMTP\r\n".to_vec(),
        vec![0x20, 3, 0, 0x87, 0],
        vec![0x20, 2, 0, 5],
        vec![0x20, 0xFF, 0xFF, 0xFF, 0x7F],
        vec![0x20, 0xFF, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x30, 0x80],
        vec![0; 5000],
        publish("deepid-edge/front/request/ping", b"", false, Some("answers")),
    ];
    greetings.extend((0..31).map(|_| {
        let mut bytes = vec![0; random.usize(1..2000)];
        random.fill(&mut bytes);
        bytes
    }));
    let count = greetings.len() as u64;
    for greeting in greetings {
        let told = format!("{:?}", greeting.get(..40).unwrap_or(&greeting));
        // It hangs up after its words, as a server that does not understand does.
        let broker = OwnBroker::start(Behaviour::Says(greeting));
        let mut door = Door::open(settings(broker.port()));
        let record = decide(&mut door);
        door.until("held", |event| *event == SessionEvent::NotAnnounced { seq: record.seq });
        let why = lost(&mut door);
        assert!(!why.to_string().is_empty(), "{told}");
        recovers(&broker, door, &[]);
    }
    shown("broker-garbage", count);
}

#[test]
fn a_broker_that_hangs_up_at_once_is_met_again_and_again_and_announced_nothing() {
    let broker = OwnBroker::start(Behaviour::HangsUp);
    let mut door = Door::open(settings(broker.port()));
    let (mut losses, mut doubted) = (0, None);
    while broker.connections() < 60 {
        let record = decide(&mut door);
        let (mut held, before) = (false, losses);
        while !held || losses == before {
            door.until("held, or lost", |event| {
                held |= *event == SessionEvent::NotAnnounced { seq: record.seq };
                let lost = matches!(event, SessionEvent::Disconnected { .. });
                losses += usize::from(lost);
                if let SessionEvent::Contested(contest) = event {
                    doubted = Some(contest.until);
                }
                lost || *event == SessionEvent::NotAnnounced { seq: record.seq }
            });
        }
    }
    // Connections that end without a word are a sign of a second board: it passes after a minute.
    let until = doubted.expect("a second board is suspected");
    let left = until.since(door.clock.now());
    assert!(left <= Duration::from_secs(60), "{left:?}");
    broker.becomes(Behaviour::Right);
    door.until_connected();
    door.until_delivered();
    let doubtful = decide(&mut door).seq;
    door.until("held", |event| *event == SessionEvent::NotAnnounced { seq: doubtful });
    door.clock.advance(left);
    let sure = decide(&mut door).seq;
    door.until_delivered();
    recovers_without_loss(&broker, door, &[sure]);
    shown("broker-reconnects", 60);
}

#[test]
fn floods_of_requests_and_challenges_leave_few_records_and_decisions_go_on() {
    let mut packets = Vec::new();
    for number in 0..10_000 {
        let name = ["ping", "snapshot_health", "open", "../front/access"][number % 4];
        let topic = format!("deepid-edge/front/request/{name}");
        packets.extend(publish(&topic, b"{}", number % 5 == 0, Some("answers/me")));
        let nonce = format!(
            r#"{{"schema":"deepid-edge/challenge/1","listener":"lock-{number}","nonce":"{number:022}"}}"#
        );
        packets.extend(publish("deepid-edge/front/challenge", nonce.as_bytes(), false, None));
    }
    let broker = OwnBroker::start(Behaviour::Sends(Arc::new(packets)));
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    until("the record of haste", || {
        door.work();
        let records = door.desk.store().audit(0, 10_000).unwrap();
        format!("{records:?}").contains("RefusedTooMany").then_some(())
    });
    let record = decide(&mut door);
    door.until_delivered();
    door.work();
    let records = door.desk.store().audit(0, 10_000).unwrap();
    let requests =
        records.iter().filter(|record| matches!(record.body, Body::Administrative(_))).count();
    assert!(requests <= 12, "{requests} records of 20,000 messages");
    assert!(records.contains(&record));
    let answers = broker.published().iter().filter(|m| m.topic == "answers/me").count();
    assert!(answers <= 20, "{answers} answers");
    let accessed = broker.on("/access");
    assert!(accessed.len() <= 1, "{accessed:?}");
    shown("broker-flood", 20_000);
    door.close();
}

#[test]
fn ten_megabytes_are_not_read_and_what_is_lost_is_only_the_connection() {
    let topic = "deepid-edge/front/request/ping";
    let large = publish(topic, &vec![b'x'; 10 << 20], false, Some("answers/me"));
    let broker = OwnBroker::start(Behaviour::Sends(Arc::new(large)));
    let mut door = Door::open(settings(broker.port()));
    let why = lost(&mut door);
    assert!(!why.to_string().is_empty(), "{why:?}");
    let records = door.desk.store().audit(0, 10).unwrap();
    assert!(records.is_empty(), "{records:?}");
    assert!(broker.published().iter().all(|m| m.topic != "answers/me"));
    recovers(&broker, door, &[]);
    shown("broker-ten-megabytes", 1);
}

#[test]
fn a_broker_that_sends_all_back_makes_no_second_board_and_no_second_grant() {
    let broker = OwnBroker::start(Behaviour::Echoes(3));
    let mut door = Door::open(settings(broker.port()));
    door.until_connected();
    door.until_outbox_asked(1);
    let mut decided = Vec::new();
    for _ in 0..20 {
        decided.push(decide(&mut door).seq);
        door.until_delivered();
    }
    let accessed: Vec<u64> =
        broker.on("/access").iter().map(|m| json(&m.payload)["seq"].as_u64().unwrap()).collect();
    assert_eq!(accessed, decided, "nothing is held back, nothing said twice");
    shown("broker-echo", 20);
    door.close();
}

#[test]
fn a_challenge_that_is_played_again_goes_into_one_grant() {
    let challenge = br#"{"schema":"deepid-edge/challenge/1","listener":"lock","nonce":"AAAAAAAAAAAAAAAAAAAAAA"}"#;
    let one = publish("deepid-edge/front/challenge", challenge, false, None);
    let broker = OwnBroker::start(Behaviour::Sends(Arc::new(one.repeat(10))));
    let mut door = Door::open_signing(settings(broker.port()));
    door.until_connected();
    let with_nonces =
        || broker.on("/grant").iter().filter(|message| nonces(&message.payload)).count();
    let mut decided = 0;
    until("a grant with the nonce", || {
        door.work();
        decide(&mut door);
        door.until_delivered();
        decided += 1;
        (with_nonces() > 0).then_some(())
    });
    // Again now that it has been used; the answer to what follows it says that it was heard.
    let ping = publish("deepid-edge/front/request/ping", b"", false, Some("answers/me"));
    for round in 1..=3 {
        broker.says(&[&one[..], &ping].concat());
        until("an answer", || {
            door.work();
            let answers = broker.published().iter().filter(|m| m.topic == "answers/me").count();
            (answers == round).then_some(())
        });
        decide(&mut door);
        door.until_delivered();
        decided += 1;
    }
    let with_nonce = with_nonces();
    assert_eq!(broker.on("/grant").len(), decided);
    assert_eq!(with_nonce, 1, "in one grant, however often it was sent");
    shown("broker-replay", 13);
    door.close();
}

/// Whether a signed grant carries a nonce.
fn nonces(grant: &[u8]) -> bool {
    use base64ct::Encoding as _;
    let text = std::str::from_utf8(grant).unwrap();
    let payload = text.split('.').nth(1).unwrap();
    let claims = json(&base64ct::Base64UrlUnpadded::decode_vec(payload).unwrap());
    claims.get("nonce").is_some()
}
