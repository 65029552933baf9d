//! A network that is replaced under its id, or used in another way: its references are reported by
//! every verb, and never compared.
//!
//! The real binary with a folder of models of its own, in which another real network takes the name of
//! `deepid2`. Needs the files that `make assets` fetches; says aloud what it skips.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::PathBuf;

use deepid_edge::store::{Administrative, Body};
use serde_json::Value as Json;
use support::daemon::{Home, until};
use support::models::{assets, root};
use support::older;
use support::people::shipped_key;
use support::scene::Recording;

/// A door with obama enrolled, whose models lie in a folder of its own.
fn door() -> Home {
    let home = Home::new();
    let folder = home.path("models");
    std::fs::create_dir(&folder).unwrap();
    for name in ["blazeface-full-range", "blazeface-short-range", "deepid2", "covered"] {
        let card = format!("{name}.toml");
        std::fs::copy(root().join("models").join(&card), folder.join(&card)).unwrap();
    }
    let files = [
        "assets/models/face_detection_full_range_sparse.tflite",
        "assets/models/face_detection_short_range.tflite",
        "models/deepid2.tflite",
        "models/deepid2.cohort.safetensors",
        "models/covered.tflite",
    ];
    for file in files.map(PathBuf::from) {
        std::fs::copy(root().join(&file), folder.join(file.file_name().unwrap())).unwrap();
    }
    home.set("models.directory", folder.display()).enrol_obama()
}

/// Another real network takes the name of deepid2, as an update or `models add --replace` does it.
fn replace_network(home: &Home) {
    let folder = home.path("models");
    let card = std::fs::read_to_string(root().join("models/deepid2-ensemble.toml")).unwrap();
    let card = card.replace("\"deepid2-ensemble", "\"deepid2");
    std::fs::copy(root().join("models/deepid2-ensemble.tflite"), folder.join("deepid2.tflite"))
        .unwrap();
    std::fs::write(folder.join("deepid2.toml"), card).unwrap();
}

fn bring_back(home: &Home) {
    for file in ["deepid2.toml", "deepid2.tflite"] {
        std::fs::copy(root().join("models").join(file), home.path("models").join(file)).unwrap();
    }
}

fn photograph(name: &str) -> String {
    root().join("assets/photographs").join(name).display().to_string()
}

/// Runs a verb; its result where it gives one, else its error.
fn say(home: &Home, arguments: &[&str]) -> (i32, Json) {
    let output = home.command(&[arguments, &["--json"]].concat()).output().unwrap();
    let text = if output.stdout.is_empty() { &output.stderr } else { &output.stdout };
    let last = String::from_utf8_lossy(text);
    let last = last.lines().last().unwrap_or_default().to_owned();
    let json = serde_json::from_str(&last).unwrap_or_else(|error| panic!("{error}: {last}"));
    (output.status.code().unwrap(), json)
}

fn reason(home: &Home) -> String {
    let picture = photograph("obama.jpg");
    let (_, said) = say(home, &["identify", &picture]);
    said["reason"].as_str().unwrap_or_default().to_owned()
}

fn database_check(home: &Home) -> Json {
    let (_, said) = say(home, &["doctor"]);
    let checks = said["checks"].as_array().unwrap();
    checks.iter().find(|check| check["check"] == "database").unwrap().clone()
}

#[test]
fn a_network_replaced_under_its_id_is_reported_and_never_compared() {
    if !assets() {
        return;
    }
    let home = door();
    assert_eq!(reason(&home), "matched");
    assert_eq!(database_check(&home)["verdict"], "ok");
    replace_network(&home);

    assert_eq!(reason(&home), "empty_gallery");
    let check = database_check(&home);
    assert_eq!(check["verdict"], "warn", "{check:#}");
    let what = check["what"].as_str().unwrap();
    assert!(what.contains("1 subjects cannot be recognised"), "{what}");
    assert!(what.contains("another file or card under the same id"), "{what}");
    assert!(check["remedy"].as_str().unwrap().contains("--replace"), "{check:#}");
    let (code, listed) = say(&home, &["subjects", "list"]);
    let subject = &listed["subjects"][0];
    assert_eq!((code, &subject["references"]), (0, &2.into()));
    assert_eq!(subject["references_compared"], 0, "{listed:#}");
    assert!(listed["never_compared"][0]["what"].as_str().unwrap().contains("same id"));
    let (code, refused) = say(&home, &["calibrate"]);
    assert_eq!(code, 4, "{refused:#}");
    assert!(refused["error"]["what"].as_str().unwrap().contains("same id"), "{refused:#}");

    // Nobody is granted by what another network has made.
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    assert!(daemon.until_ended().success(), "{}", daemon.log());
    let log = daemon.log();
    assert!(log.contains("are never compared") && log.contains("references=2"), "{log}");
    let reasons: Vec<_> = home
        .records()
        .into_iter()
        .filter_map(|record| match record.body {
            Body::Decision(decision) => Some(decision.reason),
            Body::Administrative(_) => None,
        })
        .collect();
    assert_eq!(reasons, ["empty_gallery", "empty_gallery"]);

    // Either the network comes back, or the people are enrolled again.
    bring_back(&home);
    assert_eq!(reason(&home), "matched");
    replace_network(&home);
    let picture = photograph("obama.jpg");
    let (code, enrolled) = say(&home, &["enroll", "obama", "--replace", "--image", &picture]);
    assert_eq!((code, &enrolled["references"]), (0, &1.into()), "{enrolled:#}");
    assert_eq!(reason(&home), "matched");
    let (_, listed) = say(&home, &["subjects", "list"]);
    assert_eq!(listed["subjects"][0]["references"], 1, "the old ones are gone: {listed:#}");
    assert_eq!(listed["never_compared"], Json::Array(vec![]));
    let last = home.records().pop().unwrap().body;
    assert!(
        matches!(
            last,
            Body::Administrative(Administrative::SubjectEnrolled { replaced: Some(2), .. })
        ),
        "{last:?}"
    );
}

#[test]
fn the_other_averaging_is_another_procedure_and_says_which() {
    if !assets() {
        return;
    }
    let home = door().set("recognise.mirrored", false);
    assert_eq!(reason(&home), "empty_gallery");
    let check = database_check(&home);
    assert_eq!(check["verdict"], "warn", "{check:#}");
    assert!(check["remedy"].as_str().unwrap().contains("recognise.mirrored = true"), "{check:#}");
    let (code, refused) = say(&home, &["calibrate"]);
    assert_eq!(code, 4, "{refused:#}");
}

#[test]
fn a_card_replaced_while_the_daemon_runs_meets_no_network_of_the_old_one() {
    if !assets() {
        return;
    }
    let home = door().set("camera.replay.pace", "real-time").set("camera.replay.repeat", true);
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    let mut daemon = home.run(&recording);
    daemon.until_notified("READY=1");
    replace_network(&home);
    let picture = photograph("biden.jpg");
    let (code, enrolled) = say(&home, &["enroll", "biden", "--image", &picture]);
    assert_eq!(code, 0, "{enrolled:#}");
    // The gallery is loaded again: what the old network has made, and nothing else.
    until("the reload", || daemon.log().contains("enrolments reloaded").then_some(()));
    let log = daemon.log();
    let reloaded = log.lines().find(|line| line.contains("enrolments reloaded")).unwrap();
    assert!(reloaded.contains("subjects=1") && reloaded.contains("references=2"), "{reloaded}");
    assert!(reloaded.contains("never_compared=1"), "{reloaded}");
    let seen = home.records().last().unwrap().seq;
    until("a grant by the network in memory", || {
        let new = home.records().into_iter().filter(|record| record.seq > seen);
        new.into_iter()
            .any(|record| matches!(record.body, Body::Decision(d) if d.reason == "matched"))
            .then_some(())
    });
    daemon.signal("-TERM");
    assert!(daemon.until_ended().success(), "{}", daemon.log());
}

#[test]
fn references_of_an_unknown_file_are_vouched_for_by_the_administrator() {
    if !assets() {
        return;
    }
    let home = door();
    let database = home.path("door.db");
    // As a database of before the record of procedures is after its migration.
    older::forget_procedures(&database, &shipped_key("deepid2"));
    assert_eq!(reason(&home), "empty_gallery");
    let check = database_check(&home);
    assert_eq!(check["verdict"], "warn");
    assert!(check["remedy"].as_str().unwrap().contains("subjects adopt --model deepid2"));

    let (code, asked) = say(&home, &["subjects", "adopt", "--model", "deepid2"]);
    assert_eq!(code, 11, "it asks first: {asked:#}");
    let (code, nothing) = say(&home, &["subjects", "adopt", "--model", "another", "--yes"]);
    assert_eq!((code, &nothing["references"]), (0, &0.into()), "{nothing:#}");
    let (code, adopted) = say(&home, &["subjects", "adopt", "--model", "deepid2", "--yes"]);
    assert_eq!((code, &adopted["references"]), (0, &2.into()), "{adopted:#}");
    assert_eq!(reason(&home), "matched");
    assert_eq!(database_check(&home)["verdict"], "ok");
    let last = home.records().pop().unwrap().body;
    let Body::Administrative(Administrative::ReferencesAdopted {
        references: 2, procedure, ..
    }) = last
    else {
        panic!("{last:?}")
    };
    assert_eq!(procedure, shipped_key("deepid2").procedure);
}
