//! The real daemon, killed at any moment; two of them on one database; limits of the system reached.
//!
//! In: a recording of a visit, played again and again, a real mosquitto, and chances from a seed. Out:
//! what the broker has heard, held against what the database keeps: every `access` is of a record, none is
//! heard twice, no grant is taken twice by a verifier, the chain is whole, the numbers have no gap.
//! `DEEPID_EDGE_KILLS` sets how often the daemon is killed (`make torture`), `DEEPID_EDGE_SEED` when.

use std::collections::{BTreeMap, BTreeSet};
use std::process::{Command, Stdio};
use std::time::Duration;

use deepid_edge::clock::Clock as _;
use deepid_edge::decide::{Outcome, VisitPolicy};
use deepid_edge::store::{AuditRecord, Body, Store, StoreSettings};
use deepid_grant::{Mode, PublicKey, Refusal, Verifier};

use crate::support;
use crate::support::daemon::{Daemon, Home, clock, until};
use crate::support::ended::Ended;
use crate::support::fault_rows::shown;
use crate::support::models::assets;
use crate::support::mosquitto::{Broker, Mosquitto};
use crate::support::scene::Recording;
use crate::support::subscriber::{Received, Subscriber};

/// A home at whose door one enrolled person comes and goes again and again, and the recording of that.
fn busy(home: Home) -> (Home, std::path::PathBuf) {
    let home = home
        .enrol_obama()
        .set("camera.replay.pace", "real-time")
        .set("camera.replay.repeat", true)
        .set("visit.cooldown_ms", 0)
        .set("visit.absence_ms", 400)
        .set("store.records_max", 1_000_000);
    let recording = home.path("visit.mjpeg");
    Recording::new().person("obama3.jpg", 0.16, 12).nobody(9).write(&recording, 1);
    (home, recording)
}

/// What a broker has heard of a door.
#[derive(Default)]
struct Heard {
    /// By the record's number: its id, and whether it was granted.
    accessed: BTreeMap<u64, (String, bool)>,
    audited: BTreeSet<u64>,
    granted: u64,
    verifier: Option<Verifier>,
    /// What `status` said last, and how often it said that the door was gone.
    online: bool,
    gone: u64,
}

impl Heard {
    fn listen(&mut self, messages: &[Received]) {
        for message in messages {
            match message.topic.rsplit('/').next().unwrap() {
                "access" => {
                    let told = message.json();
                    let seq = told["seq"].as_u64().unwrap();
                    let access =
                        (told["id"].as_str().unwrap().to_owned(), told["outcome"] == "granted");
                    let before = self.accessed.insert(seq, access);
                    assert_eq!(before, None, "an access of {seq} was heard a second time");
                    assert!(!message.retained);
                }
                "status" => {
                    self.online = message.text() == "online";
                    self.gone += u64::from(!self.online);
                }
                "audit" => drop(self.audited.insert(message.json()["seq"].as_u64().unwrap())),
                "keys" if self.verifier.is_none() && !message.payload.is_empty() => {
                    let x = message.json()["keys"][0]["x"].as_str().unwrap().to_owned();
                    let key = PublicKey::from_x(&x).ok().unwrap();
                    let mode = Mode::Clock { tolerance_s: 5 };
                    self.verifier = Some(Verifier::new("front", &[key], mode).ok().unwrap());
                }
                "grant" => {
                    let verifier = self.verifier.as_mut().expect("keys are named first");
                    let now = clock().wall().unix_ms.unsigned_abs() / 1000;
                    match verifier.verify(&message.payload, Some(now)) {
                        Ok(_) => self.granted += 1,
                        // This test may have been held up.
                        Err(Refusal::Expired) => {}
                        Err(refusal) => panic!("a grant is refused: {}", refusal.word()),
                    }
                }
                _ => {}
            }
        }
    }

    /// Holds it against what the database keeps.
    fn holds(&self, home: &Home) -> Vec<AuditRecord> {
        let store = Store::open_checked(&home.path("door.db"), StoreSettings::default()).unwrap();
        store.check().unwrap();
        assert_eq!(store.verify_records().unwrap().broken, []);
        let records = store.audit(0, 10_000_000).unwrap();
        for (place, record) in (1..).zip(&records) {
            assert_eq!(record.seq, place, "numbered without gaps");
        }
        let by_seq: BTreeMap<u64, &AuditRecord> =
            records.iter().map(|record| (record.seq, record)).collect();
        for (seq, (id, granted)) in &self.accessed {
            let record = by_seq.get(seq).unwrap_or_else(|| panic!("record {seq} is lost"));
            assert_eq!(record.id.to_string(), *id, "record {seq}");
            let Body::Decision(decision) = &record.body else { panic!("record {seq}") };
            assert_eq!(decision.outcome == Outcome::Granted, *granted);
            assert!(!granted || decision.reason == "matched", "{decision:?}");
        }
        records
    }
}

#[test]
fn a_daemon_that_is_killed_at_any_moment_loses_no_record_and_grants_nothing_twice() {
    if !assets() {
        return;
    }
    let number = |name: &str, default| {
        std::env::var(name).map_or(default, |text| text.parse::<u64>().unwrap())
    };
    let (kills, seed) = (number("DEEPID_EDGE_KILLS", 100), number("DEEPID_EDGE_SEED", 1));
    println!("DEEPID_EDGE_KILLS={kills} DEEPID_EDGE_SEED={seed}");
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    let (home, recording) = busy(Home::new().broker(broker.port()));
    let (mut random, mut heard) = (fastrand::Rng::with_seed(seed), Heard::default());
    let clock = clock();
    for kill in 1..=kills {
        let mut daemon = home.run(&recording);
        // Of four one while it starts, the others around what it decides.
        if kill % 4 == 0 {
            clock.sleep(Duration::from_millis(random.u64(0..600)));
        } else {
            let access = subscriber.next("an access", |message| {
                heard.listen(std::slice::from_ref(message));
                message.topic.ends_with("/access")
            });
            assert_eq!(access.qos, 1);
            clock.sleep(Duration::from_micros(random.u64(0..150_000)));
        }
        daemon.signal("-KILL");
        daemon.until_ended();
        heard.listen(&subscriber.until_now("deepid-edge/marker"));
        // The broker says it for the daemon, as soon as it has noticed.
        if heard.online {
            subscriber.next("the will", |message| {
                heard.listen(std::slice::from_ref(message));
                !heard.online
            });
        }
        if kill % 20 == 0 || kill == kills {
            heard.holds(&home);
        }
        if kill % 500 == 0 {
            println!("{kill} kills, {} heard on access", heard.accessed.len());
        }
    }
    // A last run gives away what is still in the outbox, and ends in order.
    let mut daemon = home.run(&recording);
    let outbox = || {
        let path = home.path("door.db");
        Store::open_read_only(&path, StoreSettings::default()).unwrap().outbox_depth().unwrap()
    };
    daemon.until_notified("READY=1");
    until("an outbox that is nearly empty", || (outbox() < 8).then_some(()));
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    heard.listen(&subscriber.until_now("deepid-edge/marker"));
    let records = heard.holds(&home);
    let waiting: BTreeSet<u64> = Store::open(&home.path("door.db"), StoreSettings::default())
        .unwrap()
        .outbox(0, 1000)
        .unwrap()
        .iter()
        .map(|record| record.seq)
        .collect();
    for record in &records {
        let known = heard.audited.contains(&record.seq) || waiting.contains(&record.seq);
        assert!(known, "record {} was neither heard nor waits", record.seq);
    }
    println!(
        "{kills} kills: {} records, {} heard on access, {} grants taken, {} heard on audit",
        records.len(),
        heard.accessed.len(),
        heard.granted,
        heard.audited.len()
    );
    assert!(heard.granted > 0 && heard.accessed.len() as u64 >= kills / 2);
    // Of four kills three are of a daemon that was heard.
    assert!(heard.gone >= kills / 4 * 3, "{} wills of {kills} kills", heard.gone);
    shown("kill", kills);
}

/// Starts the daemon as `home` would, below a limit of the shell's `ulimit`.
fn limited(
    home: &Home,
    recording: &std::path::Path,
    limit: &str,
) -> (std::process::Child, std::path::PathBuf) {
    let whole = home.command(&["run", "--replay", recording.to_str().unwrap()]);
    let log = home.path("log");
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("ulimit {limit} && exec \"$0\" \"$@\"")])
        .arg(whole.get_program())
        .args(whole.get_args())
        .current_dir(whole.get_current_dir().unwrap())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap());
    (command.spawn().unwrap(), log)
}

/// Runs the daemon below each of `limits` until it has decided something new or has ended, with one of
/// the words of `known` in its log. Without any, the exit code or the signal is the word: where there is no
/// memory there may be none for a line of the log.
fn below(row: &str, limits: &[String], known: &[&str]) {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    let (home, recording) = busy(Home::new().broker(broker.port()));
    let mut heard = Heard::default();
    let (mut decided, mut ended) = (0, 0);
    for limit in limits {
        let before = home.records().len();
        let (child, log) = limited(&home, &recording, limit);
        let mut child = Ended::with(child);
        let end = until(limit, || match child.try_wait().unwrap() {
            Some(status) => Some(Some(status)),
            None => (home.records().len() > before + 3).then_some(None),
        });
        child.kill().ok();
        child.wait().unwrap();
        let said = std::fs::read_to_string(log).unwrap();
        match end {
            None => decided += 1,
            Some(status) => {
                ended += 1;
                let named = known.is_empty() || known.iter().any(|word| said.contains(word));
                // A recording that cannot be opened a second time is over.
                let over = said.contains("frame lost");
                assert!(named && (over || !status.success()), "{limit}: {status}: {said}");
            }
        }
        heard.listen(&subscriber.until_now("deepid-edge/marker"));
        heard.holds(&home);
    }
    println!("{decided} decided, {ended} ended");
    assert!(decided > 0 && ended > 0, "{decided} decided, {ended} ended");
    shown(row, limits.len() as u64);
}

#[test]
fn a_limit_on_memory_ends_the_daemon_and_nothing_that_it_said() {
    let limits: Vec<String> = (1..=5)
        .map(|step| format!("-v {}", 10_000 + step * 6_000))
        .chain(["-v 4000000".into()])
        .collect();
    below("limit-memory", &limits, &[]);
}

#[test]
fn a_limit_on_open_files_ends_the_daemon_or_lets_it_work() {
    let limits: Vec<String> =
        (4..=24).step_by(2).map(|files| format!("-n {files}")).chain(["-n 256".into()]).collect();
    below("limit-files", &limits, &["open files", "cannot be", "no such file"]);
}

#[test]
fn two_daemons_on_one_database_keep_one_chain_and_grant_nothing_twice() {
    if !assets() {
        return;
    }
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/#");
    let (home, recording) = busy(Home::new().broker(broker.port()));
    let mut heard = Heard::default();
    let first = home.run(&recording);
    subscriber.next("an access", |message| {
        heard.listen(std::slice::from_ref(message));
        message.topic.ends_with("/access")
    });
    let second = home.run(&recording);
    let decided = |count: usize| {
        until("decisions of both", || {
            let mut boots: BTreeMap<_, usize> = BTreeMap::new();
            for record in home.records() {
                if matches!(record.body, Body::Decision(_)) {
                    *boots.entry(record.boot).or_default() += 1;
                }
            }
            (boots.len() == 2 && boots.values().all(|made| *made >= count)).then_some(())
        });
    };
    decided(8);
    for mut daemon in [first, second] {
        daemon.signal("-KILL");
        daemon.until_ended();
    }
    heard.listen(&subscriber.until_now("deepid-edge/marker"));
    let records = heard.holds(&home);
    let contested = records
        .iter()
        .any(|record| serde_json::to_string(&record.body).unwrap().contains("door_contested"));
    assert!(contested, "each has noticed the other at the broker");
    shown("two-daemons", 1);
}

#[test]
fn randomness_that_comes_late_delays_the_key_and_nothing_else() {
    if !assets() {
        return;
    }
    let (home, recording) = busy(Home::new());
    let whole = home.command(&["run", "--replay", recording.to_str().unwrap()]);
    let (log, calls) = (home.path("log"), home.path("calls"));
    let traced = Command::new("strace")
        .args(["-D", "-f", "-qq", "-o", calls.to_str().unwrap(), "-e", "trace=getrandom"])
        .args(["-e", "inject=getrandom:delay_enter=300000"])
        .arg(whole.get_program())
        .args(whole.get_args())
        .current_dir(whole.get_current_dir().unwrap())
        .stdout(Stdio::null())
        .stderr(std::fs::File::create(&log).unwrap())
        .spawn();
    let Ok(child) = traced else { return support::skip("strace is not installed") };
    let mut child = Ended::with(child);
    let decided = until("three decisions", || {
        if child.try_wait().unwrap().is_some() {
            return Some(false);
        }
        let decisions =
            home.records().iter().filter(|r| matches!(r.body, Body::Decision(_))).count();
        (decisions >= 3).then_some(true)
    });
    let said = std::fs::read_to_string(log).unwrap();
    if !decided && said.contains("ptrace") {
        return support::skip_here(format_args!("no process can be traced here: {said}"));
    }
    assert!(decided, "{said}");
    let calls = std::fs::read_to_string(calls).unwrap();
    assert!(calls.contains("(DELAYED)"), "randomness was late: {calls}");
    let key = home.told(&["keys", "show"]);
    assert_eq!(key["state"], "ok", "{key}");
    child.kill().unwrap();
    child.wait().unwrap();
    Heard::default().holds(&home);
    shown("entropy-late", 1);
}

/// One that has decided something.
fn at_work(home: &Home, recording: &std::path::Path) -> Daemon {
    let daemon = home.run(recording);
    let before = home.records().len();
    until("a decision", || (home.records().len() > before + 1).then_some(()));
    daemon
}

#[test]
fn a_daemon_that_was_held_up_goes_on_and_grants_nothing_old() {
    if !assets() {
        return;
    }
    let (home, recording) = busy(Home::new());
    let mut daemon = at_work(&home, &recording);
    let VisitPolicy { stale, agreeing, .. } = VisitPolicy::default();
    for stop in 0..10 {
        daemon.signal("-STOP");
        // Too short to make a frame old, and long enough.
        clock().sleep(if stop % 2 == 0 { stale / 4 } else { stale * 3 / 2 });
        daemon.signal("-CONT");
        let before = home.records().len();
        until("a decision", || (home.records().len() > before).then_some(()));
    }
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    let records = Heard::default().holds(&home);
    let mut grants = 0;
    let granted = records.iter().filter_map(|record| match &record.body {
        Body::Decision(decision) if decision.outcome == Outcome::Granted => Some(decision),
        _ => None,
    });
    for decision in granted {
        assert!(decision.frames.agreeing >= agreeing, "{decision:?}");
        assert!(
            u128::from(decision.last_frame_us) <= stale.as_micros(),
            "an old frame: {decision:?}"
        );
        grants += 1;
    }
    assert!(grants > 0, "somebody was granted: {records:?}");
    shown("held-up", 10);
}
