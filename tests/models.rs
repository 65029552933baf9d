//! `models` from outside: a network and its card become one that the daemon can be told to run, or
//! the folder stays as it was.
//!
//! It needs the TFLite library that `make assets` fetches; without it these tests say so and skip.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::path::Path;

use support::command::{deepid_edge, json};
use support::models::assets;

const CARD: &str = include_str!("../models/deepid2.toml");

/// A folder with the shipped model under another name, and what `change` makes of its card.
fn offered(change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(checkout.join("models/deepid2.tflite"), folder.path().join("any.tflite"))
        .expect("a model");
    let card = change(CARD.replace("deepid2", "door-two"));
    std::fs::write(folder.path().join("any.toml"), card).expect("a card");
    folder
}

fn add(from: &Path, into: &Path, more: &[&str]) -> std::process::Output {
    let [file, card] = ["any.tflite", "any.toml"].map(|name| from.join(name));
    let [file, card, into] = [&file, &card, into].map(|path| path.to_str().expect("UTF-8"));
    deepid_edge(
        &[&["models", "add", file, "--card", card, "--into", into, "--json"], more].concat(),
    )
}

fn names(folder: &Path) -> Vec<String> {
    let entries = std::fs::read_dir(folder).into_iter().flatten().filter_map(Result::ok);
    let mut names: Vec<_> = entries.filter_map(|e| e.file_name().into_string().ok()).collect();
    names.sort();
    names
}

#[test]
fn a_model_is_tried_and_put_where_the_daemon_looks() {
    if !assets() {
        return;
    }
    let (from, into) = (offered(|card| card), tempfile::tempdir().expect("a temporary folder"));
    let into = into.path().join("models");
    let told = json(&add(from.path(), &into, &[]));
    assert_eq!(told["model"], "door-two", "{told:#}");
    assert_eq!(names(&into), ["door-two.tflite", "door-two.toml"], "under the card's own names");
    // Once more changes nothing, and is no error.
    assert!(add(from.path(), &into, &[]).status.success());

    let listed = json(&deepid_edge(&[
        "models",
        "list",
        "--json",
        "--models",
        into.to_str().expect("UTF-8"),
        "--set",
        "models.embedder=door-two",
    ]));
    let row = &listed["models"][0];
    assert_eq!((&row["model"], &row["in_use"][0]), (&"door-two".into(), &"embedder".into()));
    assert!(row["fault"].is_null(), "{listed:#}");
}

#[test]
fn what_does_not_belong_together_leaves_the_folder_as_it_was() {
    if !assets() {
        return;
    }
    let hash = CARD.split('"').find(|text| text.len() == 64).expect("a hash");
    let zeros = "0".repeat(64);
    let cases = [
        ("another file", (hash, &*zeros), "SHA-256"),
        ("another shape", ("[1, 55, 47, 3]", "[1, 56, 47, 3]"), "[1, 55, 47, 3]"),
        ("an unknown key", ("kind =", "colour = 1\nkind ="), "colour"),
        ("another length", ("length = 160", "length = 161"), "161"),
        (
            "a landmarker that is not there",
            ("kind =", "keypoints_by = \"no-such-one\"\nkind ="),
            "no-such-one",
        ),
        (
            "a landmarker that is none",
            ("kind =", "keypoints_by = \"blazeface-short-range\"\nkind ="),
            "blazeface-short-range: is no landmarker",
        ),
    ];
    for (what, (right, wrong), said) in cases {
        assert!(CARD.contains(right), "{what}");
        let from = offered(|card| card.replacen(right, wrong, 1));
        let into = tempfile::tempdir().expect("a temporary folder");
        let output = add(from.path(), into.path(), &[]);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(6), "{what}: {error}");
        assert!(error.contains(said), "{what}: {error}");
        assert!(names(into.path()).is_empty(), "{what}: {:?}", names(into.path()));
    }
}

#[test]
fn a_model_of_the_same_name_is_replaced_only_when_asked() {
    if !assets() {
        return;
    }
    let into = tempfile::tempdir().expect("a temporary folder");
    assert!(add(offered(|card| card).path(), into.path(), &[]).status.success());
    let before = std::fs::read(into.path().join("door-two.toml")).expect("a card");

    let other = offered(|card| card.replace("title = \"", "title = \"another "));
    let refused = add(other.path(), into.path(), &[]);
    let error = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(4), "{error}");
    assert!(error.contains("--replace"), "{error}");
    assert_eq!(std::fs::read(into.path().join("door-two.toml")).expect("a card"), before);

    assert!(add(other.path(), into.path(), &["--replace"]).status.success());
    assert_ne!(std::fs::read(into.path().join("door-two.toml")).expect("a card"), before);
    assert_eq!(names(into.path()), ["door-two.tflite", "door-two.toml"]);
}
