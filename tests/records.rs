//! `records` from outside: what is shown and exported of what a door did, to whom, and how much at
//! once.
//!
//! In: a database in which each kind of thing has happened, made by the library. Out: what the
//! program says of it, as a person and as a machine reads it.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::io::{BufRead as _, BufReader};
use std::os::unix::fs::PermissionsExt as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::{Metric, SubjectId};
use deepid_edge::decide::{
    AmbiguousReason, Decision, DecisionLatency, DeniedReason, Evidence, FramesCounted,
    UnknownReason, Verdict,
};
use deepid_edge::inference::ModelId;
use deepid_edge::store::{Administrative, RequestVerdict, Store, StoreSettings};
use serde_json::Value as Json;
use support::answer::Answer;
use support::older;
use support::people::People as _;
use uuid::Uuid;

const BOOT: Uuid = Uuid::from_u128(0x7c0d_2f6a_0000_4000_8000_0000_0000_0001);
/// 2026-11-28T07:15:00Z.
const START_MS: i64 = 1_795_850_100_000;
const HOUR_MS: i64 = 3_600_000;

struct Door {
    folder: tempfile::TempDir,
    store: Store,
    ada: SubjectId,
}

impl Door {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("door.db");
        // Beside the library, so that the first record is the door's.
        let ada = SubjectId::new("s-4f9a1c").unwrap();
        older::write(&path, &[("s-4f9a1c", "Ada, Countess")], &[]);
        let store = Store::open(&path, StoreSettings::default()).unwrap();
        Self { folder, store, ada }
    }

    /// A door on which each kind of thing has happened, an hour apart.
    fn with_a_day() -> Self {
        let mut door = Self::new();
        let ada = door.ada.clone();
        door.administer(
            Administrative::Started {
                version: "0.1.0".to_owned(),
                recording: false,
                grant_key: None,
            },
            0,
        );
        door.decide(Verdict::Granted { subject: ada.clone() }, wall(START_MS + HOUR_MS));
        let reason = DeniedReason::ClockUntrusted;
        let doubted = WallClock { trust: ClockTrust::Untrusted, ..wall(START_MS + 2 * HOUR_MS) };
        door.decide(Verdict::Denied { reason, subject: Some(ada) }, doubted);
        door.decide(Verdict::Unknown(UnknownReason::NoMatch), wall(START_MS + 3 * HOUR_MS));
        let doubt = Verdict::Ambiguous(AmbiguousReason::PoorQuality);
        door.decide(doubt, wall(START_MS + 4 * HOUR_MS));
        let verdict = RequestVerdict::Answered;
        let ping = Administrative::Requested { request: "ping".to_owned(), verdict, count: 600 };
        door.administer(ping, 5);
        door.store.acknowledge(2).unwrap();
        door
    }

    fn administer(&mut self, event: Administrative, hour: i64) {
        let wall = wall(START_MS + hour * HOUR_MS);
        self.store.record_admin(event, "front", BOOT, Monotonic::default(), wall).unwrap();
    }

    fn decide(&mut self, verdict: Verdict, wall: WallClock) {
        let decision = Decision {
            verdict,
            evidence: Some(Evidence {
                model: ModelId::new("deepid2").unwrap(),
                metric: Metric::Cosine,
                score: Some(0.5),
                threshold: 0.25,
                margin: Some(0.125),
                claimed_fmr: Some(1e-4),
            }),
            faces: 1,
            frames: FramesCounted { agreeing: 3, considered: 4 },
            decided_at: Monotonic::from_millis(5000),
            wall,
            latency: DecisionLatency { first_frame_us: 212_437, last_frame_us: 21_680 },
            duress: false,
            passback: false,
            passed: None,
            liveness: None,
        };
        self.store.record_decision(&decision, "front", BOOT).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepid-edge"));
        command
            .args(["--config", "/dev/null", "records"])
            .args(arguments)
            .env_clear()
            .env("DEEPID_EDGE__STORE__PATH", self.path("door.db"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        Answer::of(self.command(arguments).output().unwrap())
    }

    /// The numbers of the records that `list` shows with these flags.
    fn listed(&self, flags: &[&str]) -> Vec<u64> {
        let answer = self.run(&[&["list", "--json"], flags].concat());
        assert_eq!(answer.code, 0, "{flags:?}: {}", answer.err);
        let lines = answer.out.lines().map(|line| serde_json::from_str::<Json>(line).unwrap());
        lines.map(|record| record["seq"].as_u64().unwrap()).collect()
    }
}

fn wall(unix_ms: i64) -> WallClock {
    WallClock { unix_ms, trust: ClockTrust::Trusted, synchronised: false }
}

#[test]
fn a_day_at_the_door_is_listed() {
    let door = Door::with_a_day();
    let said = |flags: &[&str]| {
        let answer = door.run(flags);
        assert_eq!(answer.code, 0, "{}", answer.err);
        answer.out.replace(door.ada.as_str(), "s-ada")
    };
    insta::assert_snapshot!("list", said(&["list"]).replace(" s-ada ", " s-ada"));
    let unnamed = said(&["list", "--no-names"]);
    assert!(!unnamed.contains("Countess") && unnamed.contains("s-ada"), "{unnamed}");
    let shown = said(&["show", "2"]);
    for part in ["granted", "matched", "Ada, Countess", "s-ada", "0.5", "2026-11-28T08:15:00.000Z"]
    {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let shown: Json = serde_json::from_str(&said(&["show", "2", "--json"])).unwrap();
    assert_eq!(shown["decision"]["outcome"], "granted");
    assert_eq!(shown["acknowledged"], true);
    assert!(shown.get("late").is_none() && shown.get("schema").is_none());
    let unnamed: Json =
        serde_json::from_str(&said(&["show", "2", "--json", "--no-names"])).unwrap();
    assert!(unnamed.get("name").is_none(), "{unnamed}");
}

#[test]
fn a_record_that_was_changed_taken_out_or_moved_is_named() {
    for (change, named) in [
        ("SELECT 1", None),
        ("UPDATE audit SET body = replace(body, 'denied', 'granted') WHERE seq = 3", Some(3)),
        ("UPDATE audit SET issued_ms = issued_ms - 60000 WHERE seq = 4", Some(4)),
        ("DELETE FROM audit WHERE seq = 2", Some(3)),
        (
            "UPDATE audit SET seq = 99 WHERE seq = 3; UPDATE audit SET seq = 3 WHERE seq = 4;
             UPDATE audit SET seq = 4 WHERE seq = 99",
            Some(3),
        ),
    ] {
        let door = Door::with_a_day();
        let beside = rusqlite::Connection::open(door.path("door.db")).unwrap();
        beside.execute_batch(&format!("PRAGMA foreign_keys = OFF; {change};")).unwrap();
        let answer = door.run(&["verify", "--json"]);
        let value = answer.json();
        assert_eq!(answer.code, i32::from(named.is_some()), "{change}: {value}");
        assert_eq!(value["whole"], named.is_none(), "{change}: {value}");
        let first = value["broken"].as_array().unwrap().first().map(|broken| &broken["record"]);
        assert_eq!(first.and_then(Json::as_u64), named, "{change}: {value}");
        let said = door.run(&["verify"]).out;
        match named {
            None => {
                assert!(said.contains("none of them changed") && said.contains("head: "), "{said}");
            }
            Some(seq) => assert!(said.contains(&format!("record {seq}: ")), "{said}"),
        }
    }
}

#[test]
fn filters_choose_what_they_say() {
    let mut door = Door::with_a_day();
    let ada = door.ada.to_string();
    for (flags, expected) in [
        (vec![], vec![1, 2, 3, 4, 5, 6]),
        (vec!["--limit", "2"], vec![5, 6]),
        (vec!["--outcome", "granted"], vec![2]),
        (vec!["--outcome", "denied,unknown"], vec![3, 4]),
        (vec!["--outcome", "ambiguous", "--outcome", "administrative"], vec![1, 5, 6]),
        (vec!["--outcome", "administrative", "--limit", "1"], vec![6]),
        (vec!["--subject", "Ada, Countess"], vec![2, 3]),
        (vec!["--subject", &ada, "--outcome", "denied"], vec![3]),
        (vec!["--since", "2026-11-28T10:15:00Z"], vec![4, 5, 6]),
        (vec!["--until", "2026-11-28T10:15:00Z"], vec![1, 2, 3]),
        (vec!["--since", "2026-11-28", "--until", "2026-11-28"], vec![1, 2, 3, 4, 5, 6]),
        (vec!["--since", "2026-11-29"], vec![]),
    ] {
        assert_eq!(door.listed(&flags), expected, "{flags:?}");
    }
    // Somebody who was removed is still found by id.
    let id = door.ada.clone();
    door.store.remove_subject(&id).unwrap();
    assert_eq!(door.listed(&["--subject", &ada]), [2, 3, 7], "the removal too");
}

#[test]
fn an_export_is_for_machines_and_carries_names_only_when_told() {
    let door = Door::with_a_day();
    for format in ["jsonl", "csv"] {
        let plain = door.run(&["export", "--format", format]);
        assert!(!plain.out.contains("Countess"), "{}", plain.out);
        let named = door.run(&["export", "--format", format, "--names"]);
        assert!(named.out.contains("Countess"), "{}", named.out);
    }
    let csv = door.run(&["export", "--format", "csv", "--names"]).out;
    let mut reader = csv::Reader::from_reader(csv.as_bytes());
    let head = reader.headers().unwrap().clone();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let cell = |row: usize, column: &str| {
        rows[row].get(head.iter().position(|name| name == column).unwrap()).unwrap().to_owned()
    };
    assert_eq!(rows.len(), 6);
    for (row, column, value) in [
        (1, "seq", "2"),
        (1, "outcome", "granted"),
        (1, "reason", "matched"),
        (1, "name", "Ada, Countess"),
        (1, "score", "0.5"),
        (1, "frames.agreeing", "3"),
        (1, "latency_ms.first_frame_to_decision", "212.4"),
        (1, "acknowledged", "true"),
        (2, "clock", "untrusted"),
        (2, "acknowledged", "false"),
        (3, "subject", ""),
        (5, "outcome", "administrative"),
        (5, "reason", "requested"),
    ] {
        assert_eq!(cell(row, column), value, "row {row}, {column}");
    }
    let details: Json = serde_json::from_str(&cell(5, "details")).unwrap();
    assert_eq!(details["count"], 600);

    let answer = door.run(&["export", "--out", "out.jsonl", "--json"]);
    assert_eq!(answer.json()["records"], 6);
    let path = door.path("out.jsonl");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let written = std::fs::read_to_string(&path).unwrap();
    assert_eq!(written, door.run(&["export"]).out);
    let again = door.run(&["export", "--out", "out.jsonl", "--json"]);
    assert_eq!(again.error()["exit_code"], 4);
    assert_eq!(std::fs::read_to_string(&path).unwrap(), written, "what is there is not touched");
}

#[test]
fn attendance_is_of_days_on_the_clock_at_the_door_and_of_grants_alone() {
    let mut door = Door::with_a_day();
    let (ada, gone) = (door.ada.clone(), door.store.add_subject("Otto", wall(START_MS)).unwrap());
    // In Berlin the last two are of the next day.
    for (who, hour) in [(&ada, 3), (&gone, 4), (&gone, 16), (&ada, 17)] {
        door.decide(Verdict::Granted { subject: who.clone() }, wall(START_MS + hour * HOUR_MS));
    }
    let berlin = ["--set", "policy.time_zone=Europe/Berlin"];
    let said = |flags: &[&str]| {
        let answer = door.run(&[&["attendance"], &berlin[..], flags].concat());
        assert_eq!(answer.code, 0, "{flags:?}: {}", answer.err);
        assert!(answer.err.is_empty(), "{}", answer.err);
        answer.out
    };
    let lines = |flags: &[&str]| -> Vec<Json> {
        let out = said(&[&["--json"], flags].concat());
        out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let rows = |flags: &[&str]| -> Vec<String> {
        let row = |row: &Json| {
            let text = |key: &str| row[key].as_str().unwrap().to_owned();
            let who = if text("subject") == ada.as_str() { "ada" } else { "otto" };
            format!("{} {who} {} {} {}", text("date"), text("first"), text("last"), row["count"])
        };
        lines(flags).iter().map(row).collect()
    };
    let all = [
        "2026-11-28 ada 09:15:00 11:15:00 2",
        "2026-11-28 otto 12:15:00 12:15:00 1",
        "2026-11-29 ada 01:15:00 01:15:00 1",
        "2026-11-29 otto 00:15:00 00:15:00 1",
    ];
    let sorted = |flags: &[&str]| {
        let mut rows = rows(flags);
        rows.sort();
        rows
    };
    assert_eq!(sorted(&[]), all);
    assert_eq!(sorted(&["--since", "2026-11-29"]), all[2..]);
    assert_eq!(sorted(&["--until", "2026-11-28"]), all[..2]);
    assert_eq!(sorted(&["--since", "2026-11-30"]), [""; 0]);
    assert_eq!(rows(&["--subject", "Ada, Countess"]), [all[0], all[2]]);
    let first = &lines(&["--subject", ada.as_str(), "--names"])[0];
    assert_eq!(first["first_issued"], "2026-11-28T08:15:00.000Z");
    assert_eq!(first["name"], "Ada, Countess");
    for form in ["table", "csv", "jsonl"] {
        assert!(!said(&["--format", form]).contains("Countess"), "{form}: only when told");
        assert!(said(&["--format", form, "--names"]).contains("Countess"), "{form}");
    }

    // Whoever was removed keeps the days, and has no name.
    door.store.remove_subject(&gone).unwrap();
    let answer = door.run(&[&["attendance", "--format", "csv", "--names"], &berlin[..]].concat());
    let mut reader = csv::Reader::from_reader(answer.out.as_bytes());
    let head = reader.headers().unwrap().iter().collect::<Vec<_>>().join(",");
    assert_eq!(head, "date,subject,first,last,count,first_issued,last_issued,name");
    let named: Vec<_> = reader
        .records()
        .map(Result::unwrap)
        .map(|row| (row[1] == *ada.as_str(), row[7].to_owned()))
        .collect();
    assert_eq!(named.len(), 4);
    for (is_ada, name) in named {
        assert_eq!(name, if is_ada { "Ada, Countess" } else { "" });
    }

    let flags = ["attendance", "--format", "csv", "--out", "november.csv", "--json"];
    let told = door.run(&[&flags[..], &berlin].concat()).json();
    assert_eq!(told["rows"], 4);
    let path = door.path("november.csv");
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let again = door.run(&[&flags[..], &berlin].concat());
    assert_eq!(again.code, 4, "what is there is not touched: {}", again.err);
    let other = rusqlite::Connection::open(door.path("door.db")).unwrap();
    let body = r#"{"administrative":{"event":"of_a_later_version"}}"#;
    other.execute("UPDATE audit SET body = ?1 WHERE seq = 1", [body]).unwrap();
    let answer = door.run(&["attendance"]);
    assert!(answer.code == 0 && answer.err.contains("1 records cannot be read"), "{}", answer.err);
}

#[test]
fn pages_lose_nothing_and_repeat_nothing() {
    let mut door = Door::new();
    for at in 0..600 {
        door.decide(Verdict::Unknown(UnknownReason::NoMatch), wall(START_MS + at));
    }
    let numbers = |first: u64| (first..=600).collect::<Vec<u64>>();
    assert_eq!(door.listed(&["--limit", "600"]), numbers(1));
    assert_eq!(door.listed(&["--limit", "512"]), numbers(89));
    assert_eq!(door.listed(&[]), numbers(551), "50 unless told otherwise");
    assert_eq!(door.run(&["export"]).out.lines().count(), 600);
}

#[test]
fn a_record_that_cannot_be_read_is_a_line_of_its_own() {
    let door = Door::with_a_day();
    let other = rusqlite::Connection::open(door.path("door.db")).unwrap();
    let body = r#"{"administrative":{"event":"of_a_later_version"}}"#;
    other.execute("UPDATE audit SET body = ?1 WHERE seq = 3", [body]).unwrap();
    assert_eq!(door.listed(&[]), [1, 2, 3, 4, 5, 6]);
    let table = door.run(&["list"]);
    assert!(table.out.contains("unreadable") && table.out.contains("of_a_later_version"));
    let shown: Json = serde_json::from_str(&door.run(&["show", "3", "--json"]).out).unwrap();
    assert!(shown["unreadable"].as_str().unwrap().contains("of_a_later_version"), "{shown}");
    let csv = door.run(&["export", "--format", "csv"]);
    assert!(csv.out.contains(",unreadable,"), "{}", csv.out);
}

#[test]
fn new_records_are_followed_while_somebody_writes() {
    let mut door = Door::with_a_day();
    let child = door
        .command(&["list", "--json", "--follow", "--outcome", "granted"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut child = support::Ended::with(child);
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut next = || -> Json { serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap() };
    assert_eq!(next()["seq"], 2);
    let ada = door.ada.clone();
    door.decide(Verdict::Unknown(UnknownReason::NoMatch), wall(START_MS));
    door.decide(Verdict::Granted { subject: ada }, wall(START_MS));
    let followed = next();
    assert_eq!((&followed["seq"], &followed["name"]), (&8.into(), &"Ada, Countess".into()));
}

#[test]
fn what_cannot_be_shown_has_a_code_and_a_remedy() {
    let door = Door::with_a_day();
    for (flags, code) in [
        (vec!["list", "--since", "yesterday"], 2),
        (vec!["list", "--limit", "0"], 2),
        (vec!["list", "--outcome", "open"], 2),
        (vec!["list", "--follow", "--until", "2026-11-28"], 2),
        (vec!["list", "--subject", "Nobody"], 9),
        (vec!["show", "99"], 9),
        (vec!["attendance", "--since", "7d"], 2),
        (vec!["attendance", "--format", "csv", "--json"], 2),
        (vec!["attendance", "--subject", "Nobody"], 9),
        (vec!["export", "--format", "csv", "--json"], 2),
        (vec!["export", "--out", "/nonexistent/out.csv"], 4),
    ] {
        let answer = door.run(&flags);
        assert_eq!(answer.code, code, "{flags:?}: {}", answer.err);
        let remedied = answer.err.contains("\n  try: ") || answer.err.contains("\"remedy\"");
        let by_clap = answer.err.contains("For more information, try '--help'");
        let by_room = answer.err.contains("'deepid-edge subjects list' shows who is");
        assert!(remedied || by_clap || by_room, "{flags:?}: {}", answer.err);
    }
    std::fs::remove_file(door.path("door.db")).unwrap();
    assert_eq!(door.run(&["list"]).code, 8);
    assert!(!door.path("door.db").exists(), "nothing is made");
}
