//! The real daemon, on recordings, with a real mosquitto: what a household would see.
//!
//! Needs the files that `make assets` fetches and the program `mosquitto`; says aloud what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::float_cmp,
    clippy::cast_possible_wrap,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::process::{Command, Stdio};
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::config::KEYS;
use deepid_edge::store::{
    Administrative, AuditRecord, Body, ConfigurationRefusal, Store, StoreSettings,
};
use support::certificates::Authority;
use support::daemon::{Daemon, Home, until};
use support::ended::{Ended, EndedByFile};
use support::fault_rows::shown;
use support::models::assets;
use support::mosquitto::{Broker, Mosquitto, ServerTls};
use support::scene::Recording;
use support::subscriber::{Received, Subscriber};

const ACCESS: &str = "deepid-edge/front/access";
const AUDIT: &str = "deepid-edge/front/audit";
const STATUS: &str = "deepid-edge/front/status";
const PRESENCE: &str = "deepid-edge/front/presence";

fn decisions(records: &[AuditRecord]) -> Vec<String> {
    records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Decision(decision) => Some(format!("{:?} {}", decision.outcome, decision.reason)),
            Body::Administrative(_) => None,
        })
        .collect()
}

#[test]
fn the_enrolled_are_granted_and_strangers_are_unknown() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "#");
    let home =
        Home::new().broker(broker.port()).enrol_obama().set("camera.replay.pace", "real-time");
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    let first = subscriber.on(ACCESS);
    assert_eq!((first.retained, first.qos), (false, 1));
    let first = first.json();
    assert_eq!((&first["outcome"], &first["reason"]), (&"granted".into(), &"matched".into()));
    assert!(first["subject"].as_str().unwrap().starts_with("s-"));
    assert!(!first.to_string().contains("obama"), "no name on the wire");
    let second = subscriber.on(ACCESS).json();
    assert_eq!((&second["outcome"], &second["reason"]), (&"unknown".into(), &"no_match".into()));
    assert!(second.get("subject").is_none());
    assert!(second["seq"].as_u64() > first["seq"].as_u64());
    assert_eq!(
        subscriber.next("offline", |m| m.topic == STATUS && m.text() == "offline").text(),
        "offline"
    );
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert!(!daemon.log().contains("obama"), "no name in the log");
}

/// The decisions of a run as they are recorded, but for whose id they name, which is random.
fn bodies(records: &[AuditRecord]) -> Vec<String> {
    records
        .iter()
        .filter_map(|record| match &record.body {
            Body::Decision(decision) => {
                let mut decision = decision.clone();
                decision.subject = None;
                Some(serde_json::to_string(&decision).unwrap())
            }
            Body::Administrative(_) => None,
        })
        .collect()
}

#[test]
fn the_same_recording_gives_the_same_decisions() {
    if !assets() {
        return;
    }
    let mut runs = Vec::new();
    for _ in 0..2 {
        let home = Home::new().enrol_obama();
        let recording = home.path("visit.mjpeg");
        Recording::visits().write(&recording, 1);
        assert!(home.run(&recording).until_ended().success());
        let records = home.records();
        assert_eq!(decisions(&records), ["Granted matched", "Unknown no_match"]);
        runs.push(bodies(&records));
    }
    assert_eq!(runs[0], runs[1]);
}

#[test]
fn folders_and_uncompressed_video_give_the_same_decisions_as_well() {
    if !assets() {
        return;
    }
    let visit = || Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25);
    let write: [fn(Recording, &std::path::Path); 2] =
        [Recording::write_folder, Recording::write_y4m];
    for write in write {
        let mut runs = Vec::new();
        for _ in 0..2 {
            let home = Home::new().enrol_obama();
            let recording = home.path("visit");
            write(visit(), &recording);
            let mut daemon = home.run(&recording);
            assert!(daemon.until_ended().success(), "{}", daemon.log());
            let records = home.records();
            assert_eq!(decisions(&records), ["Granted matched"], "{}", daemon.log());
            runs.push(bodies(&records));
        }
        assert_eq!(runs[0], runs[1]);
    }
}

#[test]
fn a_killed_daemon_leaves_its_will() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), STATUS);
    let home = Home::new()
        .broker(broker.port())
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(15).write(&recording, 2);
    let daemon = home.run(&recording);
    assert_eq!(subscriber.on(STATUS).text(), "online");
    daemon.signal("-KILL");
    assert_eq!(subscriber.on(STATUS).text(), "offline");
    let late = Subscriber::connect(broker.port(), STATUS);
    let kept = late.on(STATUS);
    assert_eq!(
        (kept.text(), kept.retained),
        ("offline", true),
        "whoever comes later is told as well"
    );
}

#[test]
fn a_recording_that_cannot_be_read_on_ends_the_daemon_in_order_and_not_as_a_success() {
    if !assets() {
        return;
    }
    let recording = |home: &Home| {
        let path = home.path("visit.mjpeg");
        Recording::new().nobody(15).write(&path, 1);
        path
    };
    let home = Home::new().set("camera.replay.pace", "real-time").set("camera.replay.repeat", true);
    let gone = recording(&home);
    let mut daemon = home.run(&gone);
    daemon.until_notified("READY=1");
    std::fs::remove_file(&gone).unwrap();
    assert_eq!(daemon.until_ended().code(), Some(4), "{}", daemon.log());
    assert!(daemon.log().contains("No such file or directory"), "{}", daemon.log());
    let last = home.records().pop().unwrap();
    assert!(matches!(last.body, Body::Administrative(Administrative::Stopped)), "{last:?}");

    let home = Home::new();
    let spoiled = recording(&home);
    let mut bytes = std::fs::read(&spoiled).unwrap();
    bytes.extend_from_slice(&[b'x'; 5000]);
    std::fs::write(&spoiled, bytes).unwrap();
    let mut daemon = home.run(&spoiled);
    assert_eq!(daemon.until_ended().code(), Some(4), "{}", daemon.log());
}

#[test]
fn the_service_manager_is_told_and_a_signal_ends_it_in_order() {
    if !assets() {
        return;
    }
    let home = Home::new().set("camera.replay.pace", "real-time").set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(15).write(&recording, 2);
    let mut daemon = home.run(&recording);
    daemon.until_notified("READY=1");
    daemon.until_notified("WATCHDOG=1");
    daemon.signal("-TERM");
    daemon.until_notified("STOPPING=1");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    let last = home.records().pop().unwrap();
    assert!(matches!(last.body, Body::Administrative(Administrative::Stopped)), "{last:?}");
}

/// What administrators did and the daemon said of itself, with its place.
fn administration(records: &[AuditRecord]) -> Vec<(u64, Administrative)> {
    let event = |record: &AuditRecord| match &record.body {
        Body::Administrative(event) => Some((record.seq, event.clone())),
        Body::Decision(_) => None,
    };
    records.iter().filter_map(event).collect()
}

/// Reads the configuration again and waits for the record of that.
fn reload(home: &Home, daemon: &Daemon) -> (u64, Administrative) {
    let before = home.records().last().map_or(0, |record| record.seq);
    daemon.signal("-HUP");
    until("the record of the reload", || {
        administration(&home.records()).into_iter().find(|(seq, event)| {
            let is_reload = matches!(
                event,
                Administrative::ConfigurationReloaded { .. }
                    | Administrative::ConfigurationRefused { .. }
            );
            is_reload && *seq > before
        })
    })
}

/// The decisions after record `seq`, when there are `count` of them.
fn until_decided(home: &Home, seq: u64, count: usize) -> Vec<String> {
    until("decisions", || {
        let records: Vec<_> = home.records().into_iter().filter(|r| r.seq > seq).collect();
        Some(decisions(&records)).filter(|decided| decided.len() >= count)
    })
}

fn reloaded(changed: &[&str], restart: &[&str]) -> Administrative {
    let named = |keys: &[&str]| keys.iter().map(|&key| key.to_owned()).collect();
    Administrative::ConfigurationReloaded { changed: named(changed), restart: named(restart) }
}

/// A daemon that sees one enrolled person come and go again and again.
fn visited(home: &Home) -> Daemon {
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25).write(&recording, 1);
    let daemon = home.run(&recording);
    assert!(until_decided(home, 0, 1).contains(&"Granted matched".to_owned()), "{}", daemon.log());
    daemon
}

#[test]
fn a_reload_takes_over_what_can_change_names_the_rest_and_refuses_what_is_wrong() {
    if !assets() {
        return;
    }
    // Whom a stricter threshold makes a stranger is let in again after it.
    let mut home =
        Home::new().enrol_obama().set("camera.replay.repeat", true).set("policy.lockout_visits", 0);
    home.write("[visit]\ncooldown_ms = 0\n");
    let mut daemon = visited(&home);

    // A stricter threshold is in force before the reload is said to be done.
    home.write(
        "[visit]\ncooldown_ms = 0\n[recognise]\nthreshold = 0.999\n[camera]\nwidth = 1280\n",
    );
    let (seq, event) = reload(&home, &daemon);
    assert_eq!(event, reloaded(&["recognise.threshold"], &["camera.width"]));
    let after = until_decided(&home, seq, 3);
    assert!(after.iter().all(|decision| decision == "Unknown no_match"), "{after:?}");
    let said = daemon.notified();
    let order =
        ["READY=1", "RELOADING=1", "MONOTONIC_USEC=", "READY=1", "restart needed for camera.width"];
    let mut rest = said.as_str();
    for wanted in order {
        rest = rest.split_once(wanted).unwrap_or_else(|| panic!("{wanted} in {said}")).1;
    }
    assert!(daemon.log().contains("camera.width"), "{}", daemon.log());

    // A wrong file changes nothing, and is reported as 'config check' does.
    home.write("[visit]\nagreeing = 'many'\n");
    let (seq, event) = reload(&home, &daemon);
    let (reason, keys) = (ConfigurationRefusal::Wrong, vec!["visit.agreeing".to_owned()]);
    assert_eq!(event, Administrative::ConfigurationRefused { reason, keys });
    let check = home.command(&["config", "check"]).output().unwrap();
    let report = String::from_utf8(check.stderr).unwrap();
    let report = report.trim().trim_start_matches("error: ");
    assert!(report.contains("visit.agreeing") && daemon.log().contains(report), "{report}");
    let after = until_decided(&home, seq, 2);
    assert!(after.iter().all(|decision| decision == "Unknown no_match"), "{after:?}");

    // No file at all, and no TOML.
    std::fs::remove_file(home.path("config.toml")).unwrap();
    let event = reload(&home, &daemon).1;
    let (reason, keys) = (ConfigurationRefusal::Unreadable, vec![]);
    assert_eq!(event, Administrative::ConfigurationRefused { reason, keys });
    home.write("[visit\n");
    let event = reload(&home, &daemon).1;
    let (reason, keys) = (ConfigurationRefusal::NotToml, vec![]);
    assert_eq!(event, Administrative::ConfigurationRefused { reason, keys });

    // What it was before is so again, and the same daemon grants.
    home.write("[visit]\ncooldown_ms = 0\n");
    let (seq, event) = reload(&home, &daemon);
    assert!(matches!(event, Administrative::ConfigurationReloaded { .. }), "{event:?}");
    assert!(until_decided(&home, seq, 2).contains(&"Granted matched".to_owned()));
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
}

#[test]
fn live_keys_of_each_section_take_effect_in_the_running_daemon() {
    if !assets() {
        return;
    }
    // Whom a stricter threshold makes a stranger is let in again after it.
    let mut home =
        Home::new().enrol_obama().set("camera.replay.repeat", true).set("policy.lockout_visits", 0);
    let base = "[visit]\ncooldown_ms = 0\n";
    home.write(base);
    let daemon = visited(&home);
    let granted = "Granted matched";
    let cases = [
        ("quality.sharpness_min", "sharpness_min = 10000.0", "Ambiguous poor_quality"),
        ("detect.strategy", "strategy = 'find'", granted),
        // By this one the photograph and the visit are too far from each other.
        ("recognise.metric", "metric = 'euclidean-l2'", "Unknown no_match"),
        ("recognise.threshold", "threshold = 0.999", "Unknown no_match"),
        ("policy.required_fpir", "required_fpir = 1e-6", "Denied second_factor_missing"),
        ("policy.untrusted_clock", "untrusted_clock = 'timeless'", granted),
        ("store.records_max", "records_max = 100", granted),
    ];
    let mut before: Option<&str> = None;
    for (key, line, decided) in cases {
        home.write(&format!("{base}[{}]\n{line}\n", key.split('.').next().unwrap()));
        let (seq, event) = reload(&home, &daemon);
        let mut changed: Vec<&str> = before.into_iter().chain([key]).collect();
        changed.sort_by_key(|name| KEYS.iter().position(|key| key.name == *name));
        assert_eq!(event, reloaded(&changed, &[]), "what the case before changed is undone");
        let after = until_decided(&home, seq, 3);
        assert!(after.iter().all(|found| found == decided), "{key}: {after:?}");
        before = Some(key);
    }
    until("the oldest records to be erased", || (home.records().len() <= 100).then_some(()));
    home.write(&format!("{base}[log]\nlevel = 'error'\n"));
    let (seq, _) = reload(&home, &daemon);
    // What was decided before the reload may still be logged after its record.
    until_decided(&home, seq, 1);
    let quiet = daemon.log();
    until_decided(&home, seq, 4);
    assert_eq!(daemon.log(), quiet, "nothing but errors is logged");
}

#[test]
fn the_broker_can_be_changed_without_a_restart() {
    if !assets() {
        return;
    }
    let brokers = [0, 1].map(|_| Mosquitto::start(&Broker::default()));
    let [Some(old), Some(new)] = brokers else { return };
    let mut home = Home::new()
        .enrol_obama()
        .set("mqtt.enabled", true)
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true);
    let file = |port, rest: &str| {
        format!("[mqtt]\nhost = '127.0.0.1'\nport = {port}\n{rest}[visit]\ncooldown_ms = 0\n")
    };
    home.write(&file(old.port(), ""));
    let (at_old, at_new) =
        (Subscriber::connect(old.port(), "#"), Subscriber::connect(new.port(), "#"));
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25).write(&recording, 1);
    let mut daemon = home.run(&recording);
    at_old.on(ACCESS);
    home.write(&file(new.port(), "[mqtt.home_assistant]\ndiscovery = true\n"));
    daemon.signal("-HUP");
    at_old.next("goodbye", |m| m.topic == STATUS && m.text() == "offline");
    assert_eq!(at_new.on(STATUS).text(), "online");
    at_new.next("discovery", |m| m.topic.starts_with("homeassistant/device/"));
    for topic in ["deepid-edge/front/info", "deepid-edge/front/camera"] {
        let late = Subscriber::connect(new.port(), topic);
        assert!(late.on(topic).retained, "{topic} is known to whoever comes later");
    }
    let audit = at_new.next("the reload", |m| m.topic == AUDIT && m.text().contains("mqtt.port"));
    assert_eq!(audit.json()["administrative"]["event"], "configuration_reloaded");
    assert_eq!(at_new.on(ACCESS).json()["outcome"], "granted");
    daemon.signal("-KILL");
    at_new.next("the will", |m| m.topic == STATUS && m.text() == "offline");
    daemon.until_ended();
}

#[test]
fn signals_without_a_meaning_are_logged_and_end_nothing() {
    if !assets() {
        return;
    }
    let home = Home::new().enrol_obama().set("camera.replay.repeat", true);
    let mut daemon = visited(&home);
    for name in ["USR1", "USR2", "ALRM", "VTALRM", "PROF", "IO", "PWR", "XFSZ"] {
        daemon.signal(&format!("-{name}"));
        until(name, || daemon.log().contains(&format!("SIG{name}")).then_some(()));
    }
    daemon.signal("-PIPE");
    let seq = home.records().last().unwrap().seq;
    until_decided(&home, seq, 2);
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert!(daemon.log().contains("SIGTERM"), "why it ended is said: {}", daemon.log());
}

#[test]
fn a_log_that_nobody_reads_any_more_stops_nothing() {
    if !assets() {
        return;
    }
    let home = Home::new().enrol_obama().set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).person("obama3.jpg", 0.16, 20).nobody(25).write(&recording, 1);
    let mut command = home.command(&["run", "--replay", recording.to_str().unwrap()]);
    let daemon = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let mut daemon = Ended::with(daemon);
    drop(daemon.stderr.take());
    let first = until_decided(&home, 0, 3);
    assert!(!first.is_empty());
    support::signal(daemon.id(), "-TERM");
    assert!(until("the end", || daemon.try_wait().unwrap()).success());
    shown("log-closed", 1);
}

#[test]
fn a_daemon_whose_terminal_is_closed_ends_in_order() {
    if !assets() {
        return;
    }
    if Command::new("script").arg("--version").output().is_err() {
        support::skip("the program 'script' (bsdutils) is missing");
        return;
    }
    let home = Home::new().set("camera.replay.pace", "real-time").set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(15).write(&recording, 2);
    let daemon = home.command(&["run", "--replay", recording.to_str().unwrap()]);
    let words = [daemon.get_program()].into_iter().chain(daemon.get_args());
    let quoted: Vec<String> = words.map(|word| format!("'{}'", word.to_str().unwrap())).collect();
    let log = home.path("typescript");
    let number = home.path("pid");
    let _daemon = EndedByFile(number.clone());
    let command = format!("echo $$ >'{}'; exec {}", number.display(), quoted.join(" "));
    let terminal = Command::new("script")
        .current_dir(support::models::root())
        .args(["--quiet", "--flush", "--command", &command])
        .arg(&log)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let terminal = Ended::with(terminal);
    let told = || std::fs::read_to_string(&log).unwrap_or_default();
    until("the daemon in its terminal", || told().contains("ready").then_some(()));
    drop(terminal);
    until("the last record", || {
        let last = administration(&home.records()).pop().map(|(_, event)| event);
        matches!(last, Some(Administrative::Stopped)).then_some(())
    });
}

#[test]
fn a_broker_that_restarts_within_a_visit_gets_the_record_late_and_no_old_access() {
    if !assets() {
        return;
    }
    let Some(mut broker) = Mosquitto::start(&Broker::default()) else { return };
    let left = [2, 6, 20].into_iter().find_map(|seconds| left_within_a_visit(&mut broker, seconds));
    let (home, _daemon) = left.expect("a test that is slower than a visit of 20 s");
    let decided = until("the decision", || {
        let is_decision = |record: &AuditRecord| matches!(record.body, Body::Decision(_));
        home.records().into_iter().find(is_decision)
    });
    broker.start_again();
    let subscriber = Subscriber::connect(broker.port(), "#");
    // All that is said until a later visit is announced.
    let mut said = Vec::new();
    subscriber.next("a new decision", |message| {
        said.push(message.clone());
        message.topic == ACCESS && message.json()["seq"].as_u64() > Some(decided.seq)
    });
    let of_it = |topic: &str| {
        said.iter()
            .filter(|m| m.topic == topic && m.json()["seq"] == decided.seq)
            .map(Received::json)
            .collect::<Vec<_>>()
    };
    let [audit] = &of_it(AUDIT)[..] else { panic!("it is heard once: {said:?}") };
    assert_eq!(audit["late"], true, "{audit}");
    assert!(of_it(ACCESS).is_empty(), "an old decision came out on access: {said:?}");
    shown("broker-restarts", 1);
}

/// A door whose broker has gone after somebody came and before anything was decided; nothing where this
/// test was slower than the visit, which is decided `seconds` after it began.
fn left_within_a_visit(broker: &mut Mosquitto, seconds: usize) -> Option<(Home, Daemon)> {
    let home = Home::new()
        .broker(broker.port())
        .enrol_obama()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true)
        .set("visit.timeout_ms", seconds * 1000);
    let recording = home.path("visit.mjpeg");
    let frames = 15 * (seconds + 2);
    Recording::new().nobody(5).person("biden.jpg", 0.19, frames).nobody(60).write(&recording, 1);
    let subscriber = Subscriber::connect(broker.port(), "#");
    let daemon = home.run(&recording);
    subscriber.next("somebody", |m| m.topic == PRESENCE && m.text().contains("true"));
    broker.stop();
    if decisions(&home.records()).is_empty() {
        return Some((home, daemon));
    }
    drop(daemon);
    broker.start_again();
    None
}

#[test]
fn a_door_as_which_another_client_speaks_grants_nobody_and_says_so() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let home =
        Home::new().broker(broker.port()).enrol_obama().set("camera.replay.pace", "real-time");
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(30).person("obama.jpg", 0.19, 60).nobody(200).write(&recording, 1);
    let subscriber = Subscriber::connect(broker.port(), "#");
    let daemon = home.run(&recording);
    let info = subscriber.next("info", |m| m.topic.ends_with("/info"));
    let other = format!(r#"{{"boot":"{}"}}"#, uuid::Uuid::from_u128(0x0bad));
    subscriber.publish(&info.topic, true, &other);
    let record =
        subscriber.next("its record", |m| m.topic == AUDIT && m.text().contains("door_contested"));
    assert_eq!(record.json()["administrative"]["by"], "heard", "{record:?}");
    let access = subscriber.next("the decision", |m| m.topic == ACCESS);
    assert_eq!(access.json()["outcome"], "denied");
    assert_eq!(access.json()["reason"], "door_contested");
    assert!(daemon.log().contains("another client speaks to the broker as this door"));
    let examined = home.command(&["doctor", "--json"]).output().unwrap();
    let examined: serde_json::Value = serde_json::from_slice(&examined.stdout).unwrap();
    let checks = examined["checks"].as_array().unwrap();
    let check = checks.iter().find(|check| check["check"] == "door id").unwrap();
    assert_eq!(check["verdict"], "warn", "{check}");
}

#[test]
fn a_wrong_password_is_named_and_the_door_goes_on_deciding() {
    if !assets() {
        return;
    }
    let settings = Broker { passwords: vec![("door", "right")], ..Broker::default() };
    let Some(broker) = Mosquitto::start(&settings) else { return };
    let home = Home::new().broker(broker.port()).enrol_obama().set("mqtt.username", "door");
    let file = home.path("password");
    std::fs::write(&file, "wrong\n").unwrap();
    let home = home.set("mqtt.password_file", file.display());
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    until("the diagnosis", || daemon.log().contains("password").then_some(()));
    assert!(daemon.until_ended().success());
    assert_eq!(decisions(&home.records()), ["Granted matched", "Unknown no_match"]);
}

#[test]
fn a_wrong_certificate_is_named_and_the_door_goes_on_deciding() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let ours = Authority::make(folder.path(), "ours");
    let stranger = Authority::make(folder.path(), "stranger");
    let valid = ours.issue_valid("server", "DNS:localhost");
    let expired = ours.issue("expired", "DNS:localhost", "20200101000000Z", "20210101000000Z");
    for (name, certificate, authority, said) in [
        ("an authority that did not sign it", &valid, &stranger, "ca"),
        ("a certificate that has ended", &expired, &ours, "expired"),
    ] {
        let tls = ServerTls {
            ca: ours.ca_file(),
            certificate: certificate.certificate.clone(),
            key: certificate.key.clone(),
            require_client: false,
        };
        let Some(broker) = Mosquitto::start(&Broker { tls: Some(tls), ..Broker::default() }) else {
            return;
        };
        let home = Home::new()
            .broker(broker.port())
            .set("mqtt.host", "localhost")
            .set("mqtt.tls.enabled", true)
            .set("mqtt.tls.ca", authority.ca_file().display())
            .enrol_obama();
        let recording = home.path("visit.mjpeg");
        Recording::visits().write(&recording, 1);
        let mut daemon = home.run(&recording);
        until(name, || {
            let log = daemon.log().to_lowercase();
            (log.contains("certificate") && log.contains(said)).then_some(())
        });
        assert!(daemon.until_ended().success(), "{name}");
        assert_eq!(decisions(&home.records()), ["Granted matched", "Unknown no_match"], "{name}");
        let doctor = home.command(&["doctor", "--json"]).output().unwrap();
        let report = String::from_utf8_lossy(&doctor.stdout).to_lowercase();
        assert!(report.contains("certificate"), "{name}: {report}");
    }
    shown("broker-certificate", 1);
}

#[test]
fn a_clock_that_once_stood_ahead_is_named_and_settled_without_a_restart() {
    if !assets() {
        return;
    }
    let home = Home::new()
        .enrol_obama()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true);
    let ahead =
        WallClock { unix_ms: 2_085_978_495_000, trust: ClockTrust::Trusted, synchronised: true };
    let mut store = Store::open(&home.path("door.db"), StoreSettings::default()).unwrap();
    let event =
        Administrative::Started { version: "0.1.0".to_owned(), recording: false, grant_key: None };
    let boot = uuid::Uuid::nil();
    let seq = store.record_admin(event, "front", boot, Monotonic::default(), ahead).unwrap().seq;
    drop(store);
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(5).person("obama3.jpg", 0.16, 30).nobody(40).write(&recording, 1);
    let mut daemon = home.run(&recording);
    let decided = |wanted: &str| decisions(&home.records()).iter().any(|one| one == wanted);
    until("a denial", || decided("Denied clock_untrusted").then_some(()));
    let named = format!("record {seq} of 2036-02-07T06:28:15Z");
    until("the record's name", || daemon.log().contains(&named).then_some(()));
    assert!(daemon.log().contains("deepid-edge clock settle"), "{}", daemon.log());
    assert!(!decided("Granted matched"));

    let settled = home.command(&["clock", "settle", "--yes"]).output().unwrap();
    assert!(settled.status.success(), "{}", String::from_utf8_lossy(&settled.stderr));
    until("a grant", || decided("Granted matched").then_some(()));
    assert!(daemon.log().contains("the clock is trusted again"), "{}", daemon.log());
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success());
}

#[test]
fn a_record_that_cannot_be_read_is_counted_and_neither_the_audit_nor_the_door_stops() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    let home =
        Home::new().broker(broker.port()).enrol_obama().set("camera.replay.pace", "real-time");
    let database = rusqlite::Connection::open(home.path("door.db")).unwrap();
    let body = r#"{"administrative":{"event":"of_a_later_version"}}"#;
    assert_eq!(database.execute("UPDATE audit SET body = ?1 WHERE seq = 1", [body]).unwrap(), 1);
    drop(database);
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    let granted = subscriber.next("the audit of the grant", |message| {
        message.topic == AUDIT && message.json()["decision"]["outcome"] == "granted"
    });
    assert!(granted.json()["seq"].as_u64() > Some(1));
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert_eq!(decisions_after(&home, 1), ["Granted matched", "Unknown no_match"]);
    assert_eq!(daemon.log().matches("an audit record cannot be read").count(), 1);
    assert!(!daemon.log().contains("the database failed"), "{}", daemon.log());
    let health = subscriber.until_now("deepid-edge/marker");
    let counted = |message: &Received| {
        message.topic.ends_with("/health") && message.json()["unreadable_records"] == 1
    };
    assert!(health.iter().any(counted), "no health has counted it");
    shown("record-unreadable", 1);
}

/// The decisions recorded after record `seq`.
fn decisions_after(home: &Home, seq: u64) -> Vec<String> {
    let store = Store::open_read_only(&home.path("door.db"), StoreSettings::default()).unwrap();
    decisions(&store.audit(seq, 1000).unwrap())
}

#[test]
#[ignore = "takes minutes: make test-nightly"]
fn half_an_hour_of_visits_does_not_grow() {
    if !assets() {
        return;
    }
    let home =
        Home::new().enrol_obama().set("camera.replay.repeat", true).set("detect.min_face_px", 20);
    let recording = home.path("visit.mjpeg");
    // Two visits in twenty seconds, and in between an empty room, which is quickly looked at.
    Recording::visits().nobody(150).write(&recording, 2);
    let mut daemon = home.run(&recording);
    // Time of a recording that is played fast is the recording's own.
    let minutes = |home: &Home| {
        let records = home.records();
        let at = |record: Option<&AuditRecord>| record.map_or(0, |record| record.monotonic_ms);
        at(records.last()).saturating_sub(at(records.first())) / 60_000
    };
    let reach = |wanted| until_patiently(|| minutes(&home) >= wanted);
    reach(5);
    let early = daemon.resident();
    reach(30);
    let late = daemon.resident();
    eprintln!("resident: {} KiB after 5 minutes, {} KiB after 30", early / 1024, late / 1024);
    assert!(late < early + (1 << 20), "{early} bytes became {late}");
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success());
}

fn until_patiently(mut reached: impl FnMut() -> bool) {
    use deepid_edge::clock::Clock as _;
    let clock = support::daemon::clock();
    for _ in 0..2400 {
        if reached() {
            return;
        }
        clock.sleep(Duration::from_millis(250));
    }
    unreachable!("ten minutes were not enough");
}

#[test]
fn a_damaged_database_is_refused_and_left_as_it_is() {
    if !assets() {
        return;
    }
    let home = Home::new();
    let recording = home.path("visit.mjpeg");
    Recording::new().nobody(3).write(&recording, 2);
    let garbage = b"this is not a database, but it may be dear to somebody".repeat(40);
    std::fs::write(home.path("door.db"), &garbage).unwrap();
    let mut daemon = home.run(&recording);
    assert!(!daemon.until_ended().success());
    assert!(daemon.log().contains("door.db"), "{}", daemon.log());
    assert_eq!(std::fs::read(home.path("door.db")).unwrap(), garbage);
    shown("damage-daemon", 1);
}

#[test]
fn beyond_the_calibration_the_door_denies_and_says_what_helps() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/front/info");
    let home = || Home::new().broker(broker.port()).enrol_obama().set("recognise.threshold", 0.1);
    let recording = |home: &Home| {
        let path = home.path("visit.mjpeg");
        Recording::new().person("obama3.jpg", 0.16, 30).write(&path, 1);
        path
    };
    let doubtful = home();
    let mut daemon = doubtful.run(&recording(&doubtful));
    let info = subscriber.on("deepid-edge/front/info").json();
    assert_eq!(info["beyond_calibration"], true, "{info:#}");
    assert!(daemon.until_ended().success());
    assert_eq!(decisions(&doubtful.records()), ["Denied beyond_calibration"]);
    for way in ["fewer references", "models.confirm", "recognise.accept_fpir = "] {
        assert!(daemon.log().contains(way), "{way}: {}", daemon.log());
    }
    let photograph = "assets/photographs/obama3.jpg";
    let output = doubtful.command(&["identify", "--json", photograph]).output().unwrap();
    let told: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(told["reason"], "beyond_calibration", "{told:#}");
    assert!(told["remedy"].as_str().unwrap().contains("recognise.accept_fpir"), "{told:#}");
    let output = doubtful.command(&["doctor", "--json", "--patience", "1"]).output().unwrap();
    assert!(String::from_utf8_lossy(&output.stdout).contains("nobody is granted"));

    // Whoever accepts it needs a second factor beside the face, unless that is said as well.
    let accepted = home().set("recognise.accept_fpir", 1.0);
    let mut daemon = accepted.run(&recording(&accepted));
    let doubted =
        |m: &Received| m.json()["face_alone"]["doubts"] == serde_json::json!(["no_claim"]);
    let info = subscriber.next("that nothing is claimed", doubted).json();
    assert_eq!(
        (&info["beyond_calibration"], &info["face_alone"]["enough"]),
        (&false.into(), &false.into())
    );
    assert!(daemon.until_ended().success());
    assert_eq!(decisions(&accepted.records()), ["Denied second_factor_missing"]);
    assert!(daemon.log().contains("a face alone opens nothing"), "{}", daemon.log());
    let stated = home().set("recognise.accept_fpir", 1.0).set("policy.required_fpir", 1.0);
    assert!(stated.run(&recording(&stated)).until_ended().success());
    assert_eq!(decisions(&stated.records()), ["Granted matched"]);
}

#[test]
fn a_lamp_that_strobes_keeps_nobody_out_and_is_named() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/front/camera");
    let home = Home::new().broker(broker.port()).enrol_obama();
    let home = home.set("camera.replay.pace", "real-time");
    let recording = home.path("visit.mjpeg");
    Recording::new().person("obama3.jpg", 0.16, 60).strobing().write(&recording, 1);
    let mut daemon = home.run(&recording);
    let named = subscriber.next("a remedy", |m| m.text().contains("steady light")).json();
    assert_eq!(named["state"], "streaming", "{named:#}");
    // A recording in place of the camera is named as what it is.
    assert!(named["remedy"].as_str().unwrap().contains("camera.replay.path"), "{named:#}");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    assert_eq!(decisions(&home.records()), ["Granted matched"]);
    assert_eq!(daemon.log().matches("the light strobes").count(), 1, "{}", daemon.log());
    assert!(daemon.log().contains("a recording stands in for the camera"), "{}", daemon.log());
    let began = |record: &AuditRecord| {
        matches!(record.body, Body::Administrative(Administrative::Started { recording: true, .. }))
    };
    assert!(home.records().iter().any(began), "the record of the start says so too");
}

#[test]
fn a_stranger_before_a_lamp_that_strobes_stays_one() {
    if !assets() {
        return;
    }
    let home = Home::new().enrol_obama();
    let recording = home.path("visit.mjpeg");
    Recording::new().person("biden.jpg", 0.19, 60).strobing().nobody(30).write(&recording, 1);
    assert!(home.run(&recording).until_ended().success());
    assert_eq!(decisions(&home.records()), ["Unknown no_match"]);
}

/// Empties the Huffman tables of each frame of an MJPEG file whose number `spoilt` chooses: such a
/// frame cannot be decoded.
fn spoil(recording: &std::path::Path, spoilt: impl Fn(usize) -> bool) {
    let mut bytes = std::fs::read(recording).unwrap();
    let mut number = 0;
    for at in 0..bytes.len() - 4 {
        match bytes[at..at + 2] {
            [0xFF, 0xD8] => number += 1,
            [0xFF, 0xC4] if spoilt(number - 1) => {
                let length = usize::from(u16::from_be_bytes([bytes[at + 2], bytes[at + 3]]));
                bytes[at + 4..at + 2 + length].fill(0);
            }
            _ => {}
        }
    }
    std::fs::write(recording, bytes).unwrap();
}

#[test]
fn frames_of_an_empty_room_that_are_passed_over_are_not_decoded() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let health = "deepid-edge/front/health";
    let subscriber = Subscriber::connect(broker.port(), health);
    let home = Home::new().broker(broker.port());
    let recording = home.path("nobody.mjpeg");
    Recording::new().nobody(91).write(&recording, 4);
    // After 31 frames without a face two are passed over, one is looked at, and so on.
    spoil(&recording, |frame| frame > 30 && frame % 3 != 0);
    assert!(home.run(&recording).until_ended().success());
    let last = subscriber
        .next("the last word", |m| m.topic == health && m.json()["frames"]["captured"] == 91)
        .json();
    assert_eq!(last["frames"]["dropped"], 0, "{last:#}");
    assert_eq!(last["frames"]["processed"], 91, "{last:#}");

    spoil(&recording, |frame| frame == 33);
    let again = home.run(&recording).until_ended();
    assert!(again.success());
    let last = subscriber
        .next("the last word", |m| m.topic == health && m.json()["frames"]["dropped"] != 0)
        .json();
    assert!(last["frames"]["dropped"].as_u64() >= Some(1), "one that is looked at: {last:#}");
}
