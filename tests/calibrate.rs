//! `calibrate` from outside: what a door with enrolled people may claim by the model's cohort.
//!
//! It needs what `make assets` fetches; without it these tests say so and skip.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Output;

use support::command::{deepid_edge, json};
use support::models::assets;

/// A database with two photographs of one person and one of another.
fn enrolled(folder: &Path) -> PathBuf {
    let database = folder.join("door.db");
    for (name, pictures) in [("one", &["obama.jpg", "obama2.jpg"][..]), ("two", &["biden.jpg"])] {
        let pictures = pictures.iter().map(|file| format!("assets/photographs/{file}"));
        let images: Vec<String> = pictures.flat_map(|path| ["--image".to_owned(), path]).collect();
        let path = database.to_str().expect("UTF-8");
        let mut line = vec!["enroll", name, "--database", path];
        line.extend(images.iter().map(String::as_str));
        let output = deepid_edge(&line);
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
    database
}

fn calibrate(database: &Path, more: &[&str]) -> Output {
    let path = database.to_str().expect("UTF-8");
    deepid_edge(&[&["calibrate", "--json", "--database", path], more].concat())
}

#[test]
fn a_door_learns_what_it_may_claim() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = enrolled(folder.path());
    let plot = folder.path().join("scores.svg");
    let flags = ["--plot", plot.to_str().expect("UTF-8")];
    let output = calibrate(&database, if cfg!(feature = "lab") { &flags } else { &[] });
    let told = json(&output);
    assert_eq!((&told["subjects"], &told["references"]), (&2.into(), &3.into()), "{told:#}");
    assert!(told["cohort_faces"].as_u64().expect("a number") >= 3000, "{told:#}");
    assert_eq!(told["own_matched"]["of"], 1, "two pictures of one person");
    let claim = told["claim"].as_f64().expect("a rate");
    assert!(claim > 0.0 && claim < 0.05, "{told:#}");
    let groups = told["groups"].as_array().expect("a list");
    let of = |group: &serde_json::Value| group["fpir"]["of"].as_u64().expect("a number");
    assert!(
        groups.len() >= 2 && groups.iter().all(|group| of(group) == of(&groups[0])),
        "equal parts"
    );
    assert_eq!(groups[0]["claim"], told["claim"], "the claim is that of the worst: {told:#}");
    let kept = claim <= told["target_fpir"].as_f64().expect("a rate");
    assert_eq!(told["verdict"] == "kept", kept);
    let missed = told["verdict"] == "missed";
    assert_eq!(output.status.code(), Some(i32::from(missed)), "the exit code says the same");
    if cfg!(feature = "lab") {
        assert!(std::fs::read_to_string(&plot).expect("a picture").contains("threshold"));
    }
    let names = ["one", "two"];
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(names.iter().all(|name| !text.contains(&format!("\"{name}\""))), "{text}");

    let lenient = calibrate(&database, &["--set", "recognise.threshold=0.1"]);
    let told = json(&lenient);
    assert_eq!(lenient.status.code(), Some(1), "{told:#}");
    assert!(!told["attracting"].as_array().expect("a list").is_empty(), "{told:#}");
    assert!(told["fpir"]["count"].as_u64().expect("a number") > 100, "{told:#}");
}

#[test]
fn what_is_missing_is_told_with_the_remedy() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().expect("a temporary folder");
    let nobody = calibrate(&folder.path().join("none.db"), &[]);
    let said = String::from_utf8_lossy(&nobody.stderr).into_owned();
    assert!(!nobody.status.success() && said.contains("deepid-edge enroll"), "{said}");

    let database = enrolled(folder.path());
    let absent = calibrate(&database, &["--cohort", "no/such.safetensors"]);
    let said = String::from_utf8_lossy(&absent.stderr).into_owned();
    assert!(said.contains("no/such.safetensors") && said.contains("balanced.py"), "{said}");
    assert_eq!(absent.status.code(), Some(4), "{said}");

    let other = folder.path().join("other.safetensors");
    std::fs::write(&other, b"nothing of the kind").expect("a file");
    let wrong = calibrate(&database, &["--cohort", other.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("not a safetensors file"), "{said}");

    // As the cohorts of development builds began: a door that kept one must hear so.
    let header = br#"{"__metadata__":{"model":"deepid2","scale":"0.5"}}      "#;
    let old = [&(header.len() as u64).to_le_bytes()[..], header].concat();
    std::fs::write(&other, old).expect("a file");
    let wrong = calibrate(&database, &["--cohort", other.to_str().expect("UTF-8")]);
    let said = String::from_utf8_lossy(&wrong.stderr).into_owned();
    assert!(said.contains("first format") && said.contains("comes with the model"), "{said}");
}
