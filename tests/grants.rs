//! Signed grants from outside: what a listener verifies with the crate that listeners use, and what an
//! administrator does with the key.
//!
//! The session is tested against a real mosquitto, the verbs with the real binary. What a forged grant
//! may look like is the business of `crates/grant`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::decide::{UnknownReason, Verdict};
use deepid_edge::publish::{DeskRequest, SessionEvent};
use deepid_edge::sign::{GrantKey, KeyPlace, PlaceKind};
use deepid_edge::store::{Administrative, Body, Rotation, Signature, Store, StoreSettings};
use deepid_grant::{Mode, PublicKey, Refusal, Verifier};
use serde_json::{Value, json};
use support::answer::Answer;
use support::daemon::Home;
use support::door::{BOOT, Door, WALL_MS, decision, grant, settings};
use support::models::assets;
use support::mosquitto::{Broker, Mosquitto};
use support::scene::Recording;
use support::subscriber::{Received, Subscriber};

const MARKER: &str = "test/marker";
const GRANT: &str = "deepid-edge/front/grant";
const KEYS: &str = "deepid-edge/front/keys";
const ACCESS: &str = "deepid-edge/front/access";
const CHALLENGE: &str = "deepid-edge/front/challenge";
const NOW_S: u64 = WALL_MS.unsigned_abs() / 1000;

fn start() -> Option<Mosquitto> {
    Mosquitto::start(&Broker::default())
}

/// A listener that trusts this one key.
fn trusting(x: &str, mode: Mode) -> Verifier {
    Verifier::new("front", &[PublicKey::from_x(x).unwrap()], mode).unwrap()
}

/// The `x` of the keys that the door names, the current one first.
fn named(message: &Received) -> Vec<String> {
    let keys = message.json()["keys"].as_array().unwrap().clone();
    keys.iter().map(|key| key["x"].as_str().unwrap().to_owned()).collect()
}

/// Sends a listener's nonce, and waits until the desk has it.
fn challenge(door: &mut Door, subscriber: &Subscriber, listener: &str, nonce: &str) {
    let said = json!({"schema": "deepid-edge/challenge/1", "listener": listener, "nonce": nonce});
    subscriber.publish(CHALLENGE, false, &said.to_string());
    let wanted =
        |request: &DeskRequest| matches!(request, DeskRequest::Challenge(c) if c.nonce == nonce);
    door.until_asked("the challenge", wanted);
}

/// The topics of all that came, in their order.
fn topics(messages: &[Received]) -> Vec<&str> {
    messages.iter().map(|message| message.topic.as_str()).collect()
}

#[test]
fn a_grant_comes_right_behind_its_access_once_and_verifies_by_the_clock() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let mut door = Door::open_signing(settings(broker.port()));
    door.look_at_keys();
    door.until_connected();
    let keys = subscriber.on(KEYS);
    assert_eq!((keys.qos, keys.expiry_s), (1, None));
    let x = named(&keys).remove(0);
    let clock = door.clock.clone();
    let record = door.decide(&grant(&clock));
    let access = subscriber.on(ACCESS);
    let signed = subscriber.on(GRANT);
    assert_eq!((signed.retained, signed.qos), (false, 1));
    assert_eq!(signed.expiry_s, access.expiry_s);
    let mut verifier = trusting(&x, Mode::Clock { tolerance_s: 0 });
    let taken = verifier.verify(&signed.payload, Some(NOW_S)).unwrap();
    assert_eq!((taken.seq, taken.subject), (record.seq, "s-4f9a1c"));
    assert_eq!(taken.id.bytes(), record.id.as_bytes());
    assert_eq!(taken.boot.bytes(), BOOT.as_bytes());
    assert_eq!((taken.issued, taken.expires), (NOW_S, NOW_S + 5));
    assert_eq!(verifier.verify(&signed.payload, Some(NOW_S)).unwrap_err(), Refusal::Replayed);
    let mut stranger =
        trusting("11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo", Mode::Clock { tolerance_s: 5 });
    assert_eq!(stranger.verify(&signed.payload, Some(NOW_S)).unwrap_err(), Refusal::UnknownKey);

    // What is no grant is not signed.
    door.decide(&decision(&clock, Verdict::Unknown(UnknownReason::NoMatch)));
    door.until_delivered();
    let more = subscriber.until_now(MARKER);
    assert!(topics(&more).contains(&ACCESS) && !topics(&more).contains(&GRANT), "{more:?}");

    let late = Subscriber::connect(broker.port(), "#");
    let left = late.until_now(MARKER);
    assert!(topics(&left).contains(&KEYS), "{left:?}");
    assert!(!topics(&left).contains(&GRANT), "nothing is left for those who come later: {left:?}");
    door.close();
}

#[test]
fn a_nonce_comes_back_once_and_a_retained_one_never() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), GRANT);
    let kept = json!({
        "schema": "deepid-edge/challenge/1", "listener": "old", "nonce": "kept-by-the-broker",
    });
    subscriber.publish(CHALLENGE, true, &kept.to_string());
    let mut door = Door::open_signing(settings(broker.port()));
    door.until_connected();
    let x =
        GrantKey::from_pem(&std::fs::read(door.path("grant.key")).unwrap()).unwrap().public().x();
    let (garage, porch) = ("garage-nonce-0001", "porch-nonce-00002");
    subscriber.publish(CHALLENGE, true, &kept.to_string());
    subscriber.publish(CHALLENGE, false, "no challenge");
    challenge(&mut door, &subscriber, "garage", garage);
    challenge(&mut door, &subscriber, "porch", porch);
    let clock = door.clock.clone();
    door.decide(&grant(&clock));
    let first = subscriber.on(GRANT);
    for nonce in [garage, porch] {
        let mut listener = trusting(&x, Mode::Nonce);
        let without = listener.verify(&first.payload, None).unwrap_err();
        assert_eq!(without, Refusal::OtherNonce, "it has sent none");
        listener.set_nonce(nonce).unwrap();
        listener.verify(&first.payload, None).unwrap();
    }
    let mut forged = trusting(&x, Mode::Nonce);
    forged.set_nonce("kept-by-the-broker").unwrap();
    assert_eq!(forged.verify(&first.payload, None).unwrap_err(), Refusal::OtherNonce);

    clock.advance(Duration::from_secs(1));
    door.decide(&grant(&clock));
    let second = subscriber.on(GRANT);
    let mut listener = trusting(&x, Mode::Nonce);
    listener.set_nonce(garage).unwrap();
    assert_eq!(listener.verify(&second.payload, None).unwrap_err(), Refusal::MissingNonce);
    // Where only the nonce is wrong, all else is right.
    let mut by_clock = trusting(&x, Mode::Clock { tolerance_s: 0 });
    by_clock.verify(&second.payload, Some(NOW_S + 1)).unwrap();
    door.until_delivered();
    let recorded = door.desk.store().audit(0, 99).unwrap();
    assert_eq!(recorded.len(), 2, "challenges leave no record: {recorded:?}");
    door.close();
}

#[test]
fn what_is_not_announced_is_not_signed_to_anybody_either() {
    let Some(mut broker) = start() else { return };
    let mut door = Door::open_signing(settings(broker.port()));
    door.until_connected();
    broker.stop();
    door.until("lost", |e| matches!(e, SessionEvent::Disconnected { .. }));
    let clock = door.clock.clone();
    let record = door.decide(&grant(&clock));
    door.until("not announced", |e| *e == SessionEvent::NotAnnounced { seq: record.seq });
    broker.start_again();
    let subscriber = Subscriber::connect(broker.port(), "#");
    clock.advance(Duration::from_millis(10));
    door.until_connected();
    door.until_delivered();
    let heard = subscriber.until_now(MARKER);
    let heard = topics(&heard);
    assert!(heard.contains(&"deepid-edge/front/audit"), "{heard:?}");
    assert!(!heard.contains(&GRANT) && !heard.contains(&ACCESS), "{heard:?}");
    door.close();
}

#[test]
fn another_key_is_named_with_the_one_before_and_a_door_that_signs_nothing_names_none() {
    let Some(broker) = start() else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let mut door = Door::open_signing(settings(broker.port()));
    door.look_at_keys();
    door.until_connected();
    let old = named(&subscriber.on(KEYS)).remove(0);

    let place = KeyPlace::of(door.path("grant.key"), None);
    let new = place.make_beside().unwrap();
    let mut beside = Store::open(&door.path("deepid-edge.db"), StoreSettings::default()).unwrap();
    let wall = WallClock { unix_ms: WALL_MS, trust: ClockTrust::Trusted, synchronised: true };
    let by = Signature { door: "front", boot: BOOT, now: Monotonic::default(), wall };
    let rotation = Rotation { key: new.public(), place: PlaceKind::File, overlap_s: 60 };
    beside.rotate_grant_key(rotation, by).unwrap();
    door.look_at_keys();
    assert_eq!(named(&subscriber.on(KEYS)), [new.public().x(), old]);
    let clock = door.clock.clone();
    door.decide(&grant(&clock));
    let signed = subscriber.on(GRANT);
    let mut verifier = trusting(&new.public().x(), Mode::Clock { tolerance_s: 0 });
    verifier.verify(&signed.payload, Some(NOW_S)).unwrap();
    clock.advance(Duration::from_secs(60));
    door.look_at_keys();
    assert_eq!(named(&subscriber.on(KEYS)), [new.public().x()]);
    door.until_delivered();
    door.close();

    let mut silent = Door::open(settings(broker.port()));
    silent.look_at_keys();
    silent.until_connected();
    let gone = subscriber.next("nothing", |m| m.topic == KEYS && m.payload.is_empty());
    assert!(!gone.retained);
    silent.decide(&grant(&silent.clock.clone()));
    silent.until_delivered();
    let heard = subscriber.until_now(MARKER);
    assert!(topics(&heard).contains(&ACCESS) && !topics(&heard).contains(&GRANT), "{heard:?}");
    let late = Subscriber::connect(broker.port(), KEYS).until_now(KEYS);
    assert!(late.is_empty(), "what was named is taken away: {late:?}");
    silent.close();
}

/// What `doctor` says of the key.
fn doctor(home: &Home) -> Value {
    let checks = home.ask(&["doctor", "--patience", "1", "--json"]).json();
    let checks = checks["checks"].as_array().unwrap().clone();
    checks.into_iter().find(|check| check["check"] == "grants").unwrap()
}

#[test]
fn a_key_is_shown_in_the_forms_that_listeners_take_and_changed_with_a_record() {
    let home = Home::with_database();
    let answer = home.ask(&["keys", "show", "--json"]);
    assert_eq!((answer.code, answer.error()["kind"].as_str()), (9, Some("absent")));
    assert_eq!(home.ask(&["keys", "rotate"]).code, 11, "it asks");
    assert!(!home.path("grant.key").exists());
    assert_eq!(doctor(&home)["verdict"], "ok", "one is made at the first start");

    let first = home.told(&["keys", "rotate", "--yes"]);
    assert_eq!(first["before"], Value::Null);
    let mode = home.path("grant.key").metadata().unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let shown = home.told(&["keys", "show"]);
    assert_eq!((&shown["fingerprint"], &shown["state"]), (&first["after"], &json!("ok")));
    let jwk = home.told(&["keys", "show", "--jwk"]);
    assert_eq!(jwk, shown["jwk"]);
    let plain: Value = serde_json::from_str(&home.ask(&["keys", "show", "--jwk"]).out).unwrap();
    assert_eq!(plain, jwk);
    let x = jwk["x"].as_str().unwrap();
    assert!(home.ask(&["keys", "show"]).out.contains(x), "what listeners are configured with");
    let pem = home.ask(&["keys", "show", "--pem"]).out;
    let of_pem = deepid_edge::sign::PublicKey::from_pem(pem.as_bytes()).unwrap();
    assert_eq!(of_pem.x(), x);
    assert!(doctor(&home)["what"].as_str().unwrap().contains(jwk["kid"].as_str().unwrap()));

    let second = home.told(&["keys", "rotate", "--yes", "--overlap", "2"]);
    assert_eq!((&second["before"], &second["overlap_s"]), (&first["after"], &json!(7200)));
    let folder = home.path("public");
    let exported = home.told(&["keys", "export", folder.to_str().unwrap()]);
    assert_eq!(exported["files"].as_array().unwrap().len(), 3, "{exported}");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).unwrap();
    let set: Value = serde_json::from_str(&read("front.jwks.json")).unwrap();
    assert_eq!(set["keys"].as_array().unwrap().len(), 2, "{set}");
    assert_eq!(
        (&set["keys"][0]["kid"], &set["keys"][1]["kid"]),
        (&second["after"], &first["after"])
    );
    assert_eq!(json!(read("front.fingerprint").trim()), second["after"]);
    assert!(read("front.pem").starts_with("-----BEGIN PUBLIC KEY-----"));
    for name in ["front.jwks.json", "front.pem", "front.fingerprint"] {
        assert!(!read(name).contains("PRIVATE"), "{name}");
    }

    let third = home.told(&["keys", "rotate", "--yes", "--overlap", "0"]);
    let before = home.told(&["keys", "show"])["before"].as_array().unwrap().clone();
    assert_eq!(before.len(), 1, "the one that may be in other hands is not named: {before:?}");
    assert_eq!(before[0]["fingerprint"], first["after"]);
    let events: Vec<_> = home.records().into_iter().map(|record| record.body).collect();
    let changes =
        |body: &&Body| matches!(body, Body::Administrative(Administrative::KeyRotated { .. }));
    assert_eq!(events.iter().filter(changes).count(), 3, "{events:?}");
    let last = serde_json::to_value(&events[2]).unwrap();
    assert_eq!(last["administrative"]["after"], third["after"]);
    assert_eq!(last["administrative"]["before"], second["after"]);
}

#[test]
fn a_key_that_is_gone_spoilt_or_open_to_others_is_named_and_never_made_anew_by_itself() {
    let home = Home::with_database();
    home.told(&["keys", "rotate", "--yes"]);
    let file = home.path("grant.key");
    let good = std::fs::read(&file).unwrap();
    let state = || {
        let answer = home.ask(&["keys", "show", "--json"]);
        (answer.code, answer.json()["state"].as_str().unwrap().to_owned())
    };
    let finding = || {
        let found = doctor(&home);
        assert_eq!(found["verdict"], "fail", "{found}");
        assert!(found["remedy"].is_string(), "{found}");
    };
    std::fs::remove_file(&file).unwrap();
    assert_eq!(state(), (1, "missing".to_owned()));
    finding();
    assert!(!file.exists(), "and none was made");
    std::fs::write(&file, GrantKey::generate().unwrap().to_pem().as_bytes()).unwrap();
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o600)).unwrap();
    assert_eq!(state(), (1, "other".to_owned()));
    finding();
    std::fs::write(&file, "").unwrap();
    assert_eq!(state(), (1, "unusable".to_owned()));
    finding();
    std::fs::write(&file, &good).unwrap();
    assert_eq!(state(), (0, "ok".to_owned()));
    std::fs::set_permissions(&file, PermissionsExt::from_mode(0o644)).unwrap();
    assert_eq!(state(), (1, "unusable".to_owned()));
    finding();
    let said = home.ask(&["keys", "show"]);
    assert!(said.out.contains("cannot sign") && said.out.contains("try: "), "{}", said.out);
    // Another one, by somebody who says so, is the remedy for all of them.
    home.told(&["keys", "rotate", "--yes"]);
    assert_eq!(state(), (0, "ok".to_owned()));
}

#[test]
fn a_key_in_the_service_managers_hands_is_used_and_not_made() {
    let home = Home::with_database();
    let credentials = home.path("credentials");
    std::fs::create_dir(&credentials).unwrap();
    let given = GrantKey::generate().unwrap();
    std::fs::write(credentials.join("grant.key"), given.to_pem().as_bytes()).unwrap();
    let public = home.path("public.pem");
    std::fs::write(&public, given.public().to_pem()).unwrap();
    let with = |arguments: &[&str]| {
        let mut command = home.command(arguments);
        Answer::of(command.env("CREDENTIALS_DIRECTORY", &credentials).output().unwrap())
    };
    let refused = with(&["keys", "rotate", "--yes", "--json"]);
    assert_eq!((refused.code, refused.error()["kind"].as_str()), (2, Some("usage")));
    let name = ["keys", "rotate", "--yes", "--public", public.to_str().unwrap()];
    assert_eq!(with(&name).code, 0);
    assert!(!home.path("grant.key").exists());
    let shown = with(&["keys", "show", "--json"]).json();
    assert_eq!(shown["fingerprint"], given.public().thumbprint().as_str());
    assert_eq!((&shown["state"], &shown["place"]["kind"]), (&json!("ok"), &json!("credential")));
    // Whoever is not the service cannot see it, and says so.
    let outside = home.ask(&["keys", "show"]);
    assert_eq!(outside.code, 0, "{}", outside.out);
    assert!(outside.out.contains("a credential of the service"), "{}", outside.out);
    assert_eq!(home.ask(&["keys", "rotate", "--yes"]).code, 2);
    let again = with(&name);
    assert_eq!(again.code, 2, "{}", again.err);
    assert!(again.err.contains("signs with it already"), "{}", again.err);
    let wrong = home.path("wrong.pem");
    std::fs::write(&wrong, given.to_pem().as_bytes()).unwrap();
    let wrong = with(&["keys", "rotate", "--yes", "--public", wrong.to_str().unwrap()]);
    assert_eq!(wrong.code, 4, "{}", wrong.err);
    assert!(!wrong.err.contains("PRIVATE KEY-----\nM"), "{}", wrong.err);
}

#[test]
fn a_running_daemon_makes_its_key_signs_and_takes_another_key_over() {
    if !assets() {
        return;
    }
    let Some(broker) = start() else { return };
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
    let named_first = named(&subscriber.on(KEYS));
    let shown = home.told(&["keys", "show"]);
    assert_eq!(named_first, [shown["jwk"]["x"].as_str().unwrap()]);
    let signed = subscriber.on(GRANT);
    let mut verifier = trusting(&named_first[0], Mode::Clock { tolerance_s: 5 });
    let now = || {
        let unix_ms = deepid_edge::clock::Clock::wall(&support::daemon::clock()).unix_ms;
        Some(unix_ms.unsigned_abs() / 1000)
    };
    verifier.verify(&signed.payload, now()).unwrap();
    let info = |kid: &Value| {
        let kid = kid.clone();
        subscriber
            .next("info", move |m| m.topic.ends_with("/info") && m.json()["grant_key"] == kid);
    };
    let rotated = home.told(&["keys", "rotate", "--yes"]);
    let both = subscriber.next("both keys", |m| m.topic == KEYS && named(m).len() == 2);
    info(&rotated["after"]);
    let mut verifier = trusting(&named(&both)[0], Mode::Clock { tolerance_s: 5 });
    // One that was under way is of the old key.
    let taken = (0..3).any(|_| verifier.verify(&subscriber.on(GRANT).payload, now()).is_ok());
    assert!(taken, "{}", daemon.log());
    let started = home.records().into_iter().find_map(|record| match record.body {
        Body::Administrative(Administrative::Started { grant_key, .. }) => grant_key,
        _ => None,
    });
    assert_eq!(started.map(|key| json!(key)), Some(shown["fingerprint"].clone()));
}
