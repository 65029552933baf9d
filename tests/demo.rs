//! The demonstration and the evaluation, from outside: the real binary, its exit code, its JSON.
//!
//! The demonstration needs what `make assets` fetches, the evaluation also a folder of photographs
//! and clips: `DEEPID_EDGE_FACES`, or `../shared/faces` beside the checkout. Without them these
//! tests say so and skip.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use support::subscriber::Subscriber;

fn deepid_edge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deepid-edge"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPID_EDGE_CONFIG")
        .output()
        .expect("the binary starts")
}

fn json(output: &Output) -> serde_json::Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

fn assets() -> bool {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photographs/obama.jpg").exists();
    if !there {
        eprintln!("SKIPPED: assets are absent; 'make assets' fetches them");
    }
    there
}

fn faces() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/faces");
    let folder = std::env::var_os("DEEPID_EDGE_FACES").map_or(beside, PathBuf::from).join("e2e");
    if !folder.is_dir() {
        eprintln!("SKIPPED: {} is absent; DEEPID_EDGE_FACES names its folder", folder.display());
        return None;
    }
    Some(folder)
}

#[test]
fn the_demonstration_grants_the_enrolled_person_alone() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let sheet = folder.path().join("sheet.png");
    let output =
        deepid_edge(&["demo", "--fast", "--json", "--picture", sheet.to_str().expect("UTF-8")]);
    let closing = json(&output);
    assert!(output.status.success(), "{closing:#}");
    assert_eq!(closing["as_expected"], true);
    let came: Vec<String> = closing["parts"]
        .as_array()
        .expect("parts")
        .iter()
        .flat_map(|part| part["decisions"].as_array().expect("decisions"))
        .map(|decision| {
            let text = |key: &str| decision[key].as_str().unwrap_or_default().to_owned();
            format!("{} {}", text("outcome"), text("reason"))
        })
        .collect();
    let expected =
        ["unknown no_match", "granted matched", "denied several_faces", "unknown no_match"];
    assert_eq!(came, expected);
    assert_eq!(closing["health"]["frames"]["processed"], closing["frames_recorded"]);
    let sheet = image::open(&sheet).expect("the contact sheet is a picture").to_rgb8();
    assert!(
        sheet.width() > 1000 && sheet.height() > 500,
        "rows of tiles: {:?}",
        sheet.dimensions()
    );
}

#[test]
fn a_demonstration_that_is_kept_asks_for_its_figures_and_ends_when_interrupted() {
    if !assets() {
        return;
    }
    let mut child = Command::new(env!("CARGO_BIN_EXE_deepid-edge"))
        .args(["demo", "--keep"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPID_EDGE_CONFIG")
        .stdout(Stdio::piped())
        .spawn()
        .expect("the binary starts");
    let mut lines = BufReader::new(child.stdout.take().expect("piped")).lines();
    let mut said = Vec::new();
    let mut audit = None;
    for line in lines.by_ref().map_while(Result::ok) {
        if let (None, Some(port)) = (&audit, port_of(&line)) {
            audit = Some(Subscriber::connect(port, "deepid-edge/demo/audit"));
        }
        let over = line.contains("Ctrl-C");
        said.push(line);
        if over {
            break;
        }
    }
    let audit = audit.expect("a line that says how to listen");
    let request = audit.next("the record of the request", |message| {
        message.json().pointer("/administrative/event") == Some(&"requested".into())
    });
    let request = request.json();
    assert_eq!(request["administrative"]["verdict"], "answered", "{request}");
    support::signal(child.id(), "-INT");
    drop(lines);
    let status = child.wait().expect("it ends");
    let said = said.join("\n");
    // On a machine that is too slow for real time a decision may differ; then that is the answer.
    let right = said.contains("every decision came as expected");
    assert_eq!(status.code(), Some(i32::from(!right)), "{said}");
    assert!(said.contains(" captured, "), "health arrived: {said}");
}

/// The port in the line that says how to listen.
fn port_of(line: &str) -> Option<u16> {
    line.strip_prefix("listening ")?.split_once("-p ")?.1.split(' ').next()?.parse().ok()
}

#[test]
fn the_same_visit_with_a_threshold_that_nobody_reaches_is_no_success() {
    if !assets() {
        return;
    }
    let output = deepid_edge(&["demo", "--fast", "--json", "--set", "recognise.threshold=0.99"]);
    let closing = json(&output);
    assert_eq!(output.status.code(), Some(1), "{closing:#}");
    assert_eq!(closing["as_expected"], false);
}

#[test]
fn absent_photographs_are_named_with_their_remedy() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let output =
        deepid_edge(&["demo", "--fast", "--photographs", folder.path().to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && said.contains("obama.jpg"), "{said}");
}

#[test]
fn a_folder_without_faces_is_refused_with_what_was_expected() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    for evaluation in ["e2e", "detection"] {
        let output = deepid_edge(&["evaluate", evaluation, folder.path().to_str().expect("UTF-8")]);
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(4), "{said}");
        assert!(said.contains("london/ID/neutral.jpg"), "{said}");
    }
}

#[test]
fn the_evaluation_finds_the_enrolled_and_says_how_many_strangers_it_let_in() {
    let (true, Some(folder)) = (assets(), faces()) else { return };
    let output = deepid_edge(&["evaluate", "e2e", folder.to_str().expect("UTF-8"), "--json"]);
    let report = json(&output);
    assert!(output.status.success());
    let rate = |part: &str, name: &str| report[part][name].as_f64().expect("a measured rate");
    assert!(rate("london", "detection_rate") > 0.99, "{report:#}");
    assert!(rate("london", "rank1_rate") > 0.95 && rate("london", "fnir") < 0.05, "{report:#}");
    assert!(rate("portraits", "fpir") < 0.02, "{report:#}");
    assert!(rate("visits", "detection_rate") > 0.99 && rate("visits", "fnir") < 0.1, "{report:#}");
    // How often a stranger on a clip is let in is the model's doing, and stands in the report.
    assert!(report["visits"]["fpir"].is_number());
    let decisions = report["visits"]["decisions"].as_array().expect("decisions");
    assert!(decisions.iter().all(|decision| decision["time_to_decision_ms"].is_number()));
}

#[test]
fn the_evaluation_of_detection_counts_faces_by_strategy() {
    let (true, Some(folder)) = (assets(), faces()) else { return };
    let output = deepid_edge(&["evaluate", "detection", folder.to_str().expect("UTF-8"), "--json"]);
    let table = json(&output);
    assert!(output.status.success(), "{table:#}");
    let rows = table["rows"].as_array().expect("rows");
    assert!(rows.len() > 1 && rows.iter().all(|row| row["part"].is_string()), "{table:#}");
}
