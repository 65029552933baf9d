//! `evaluate` from outside: the real binary, its exit code, its JSON, its pictures.
//!
//! It needs what `make assets` fetches, and for figures of people a folder of photographs and clips:
//! `DEEPID_EDGE_FACES`, or `../shared/faces` beside the checkout. Without them these tests say so and
//! skip.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

mod support;

use std::path::{Path, PathBuf};

use support::command::{deepid_edge, json};
use support::models::assets;

fn faces() -> Option<PathBuf> {
    let beside = Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/faces");
    let folder = std::env::var_os("DEEPID_EDGE_FACES").map_or(beside, PathBuf::from).join("e2e");
    if !folder.is_dir() {
        support::skip_here(format_args!(
            "{} is absent; DEEPID_EDGE_FACES names its folder",
            folder.display()
        ));
        return None;
    }
    Some(folder)
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
    assert!(rate("visits", "fpir") < 0.02, "{report:#}");
    let decisions = report["visits"]["decisions"].as_array().expect("decisions");
    assert!(decisions.iter().all(|decision| decision["time_to_decision_ms"].is_number()));
    // Both visits of the stranger are there, and neither is let in.
    let granted = decisions.iter().filter(|decision| decision["outcome"] == "granted");
    assert!(granted.clone().all(|decision| decision["right_subject"] == true), "{report:#}");
    assert_eq!((granted.count(), decisions.len()), (9, 11), "{report:#}");
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

/// A folder as LFW's: two people, and a grey picture of nobody.
fn photographs(pairs: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photographs");
    for (person, number, file) in
        [("One", 1, "obama.jpg"), ("One", 2, "obama2.jpg"), ("Two", 1, "biden.jpg")]
    {
        let place = folder.path().join(person);
        std::fs::create_dir_all(&place).expect("a folder");
        std::fs::copy(fetched.join(file), place.join(format!("{person}_{number:04}.jpg")))
            .expect("a photograph");
    }
    std::fs::create_dir(folder.path().join("Nobody")).expect("a folder");
    image::RgbImage::from_pixel(250, 250, image::Rgb([128; 3]))
        .save(folder.path().join("Nobody/Nobody_0001.jpg"))
        .expect("a grey picture");
    std::fs::write(folder.path().join("pairs.txt"), pairs).expect("a list");
    folder
}

fn verify(folder: &Path, more: &[&str]) -> std::process::Output {
    let list = folder.join("pairs.txt");
    let (list, images) = (list.to_str().expect("UTF-8"), folder.to_str().expect("UTF-8"));
    let arguments = ["evaluate", "pairs", "--json", "--pairs", list, "--images", images];
    deepid_edge(&[&arguments, more].concat())
}

#[test]
fn pairs_are_verified_and_drawn() {
    if !assets() {
        return;
    }
    let folder = photographs("2 1\nOne 1 2\nOne 1 Two 1\nOne 2 1\nTwo 1 Nobody 1\n");
    let kept = folder.path().join("report");
    let output = verify(folder.path(), &["--report", kept.to_str().expect("UTF-8")]);
    let report = json(&output);
    assert!(output.status.success(), "{report:#}");
    assert_eq!(report["schema"], "deepid-edge/evaluate-pairs/1");
    assert_eq!((&report["mated"], &report["non_mated"]), (&2.into(), &2.into()));
    assert_eq!(report["failures_to_acquire"]["count"], 1, "{report:#}");
    assert_eq!(report["failures_to_acquire"]["of"], 4, "{report:#}");
    for metric in ["cosine", "euclidean", "euclidean_l2"] {
        let figures = &report[metric];
        assert_eq!(figures["auc"], 1.0, "two people who look little alike: {report:#}");
        // The pair with nobody in it is an error, whatever the threshold.
        assert!(figures["accuracy_mean"].as_f64().is_some_and(|mean| mean <= 0.75), "{report:#}");
        assert!(figures["fnmr_at_fmr_1e-3"].is_null(), "one pair shows no such rate: {report:#}");
    }
    for picture in ["det.svg", "roc.svg", "scores.svg"] {
        let svg = std::fs::read_to_string(kept.join(picture)).expect(picture);
        assert!(svg.starts_with("<svg") && svg.contains("osine"), "{picture}: {svg}");
    }
    let page = std::fs::read_to_string(kept.join("report.md")).expect("a page");
    for told in [
        "2 mated and 2 non-mated pairs",
        "the face in its middle 30 %",
        "1 of 4",
        "| cosine |",
        "(det.svg)",
        "--model",
    ] {
        assert!(page.contains(told), "'{told}' is missing: {page}");
    }
    let table: Vec<_> = page.lines().filter(|line| line.starts_with('|')).collect();
    assert!(table.len() == 5 && table.iter().all(|row| row.matches('|').count() == 8), "{page}");
}

/// The square of a photograph around its face, `side` pixels large.
fn face_of(file: &str, (left, top, width): (u32, u32, u32), side: u32) -> image::RgbImage {
    let fetched = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photographs").join(file);
    let photograph = image::open(fetched).expect("a photograph").to_rgb8();
    let face = image::imageops::crop_imm(&photograph, left, top, width, width).to_image();
    image::imageops::resize(&face, side, side, image::imageops::FilterType::Triangle)
}

#[test]
fn a_photograph_is_of_the_person_in_its_middle_though_another_is_larger() {
    if !assets() {
        return;
    }
    let folder = photographs("1\nTwo 1 2\nOne 2 Two 2\n");
    let mut both = image::RgbImage::from_pixel(1000, 500, image::Rgb([128; 3]));
    for (file, square, side, (x, y)) in [
        ("obama.jpg", (262, 49, 468), 430, (0, 35)),
        ("biden.jpg", (308, 156, 508), 260, (435, 120)),
    ] {
        image::imageops::replace(&mut both, &face_of(file, square, side), x, y);
    }
    both.save(folder.path().join("Two/Two_0002.jpg")).expect("a picture of both");
    let report = json(&verify(folder.path(), &[]));
    assert_eq!(report["cosine"]["auc"], 1.0, "{report:#}");
    assert!(report["central"].as_f64().is_some_and(|share| share < 0.31), "{report:#}");
    // Whoever asks for less than that gets less.
    let report = json(&verify(folder.path(), &["--set", "detect.central=0.1"]));
    assert!(report["central"].as_f64().is_some_and(|share| share < 0.11), "{report:#}");
}

#[test]
fn pairs_of_a_table_are_judged_at_the_cards_threshold_and_at_the_best() {
    if !assets() {
        return;
    }
    let table = "file_x,file_y,decision\nOne/One_0001.jpg,One/One_0002.jpg,Yes\nelsewhere/One_0001.jpg,Two/Two_0001.jpg,No\n";
    let folder = photographs(table);
    let moved = folder.path().join("One/One_0001.jpg");
    std::fs::copy(moved, folder.path().join("One_0001.jpg")).expect("a copy");
    let report = json(&verify(folder.path(), &[]));
    assert_eq!(
        (&report["mated"], &report["non_mated"], &report["folds"]),
        (&1.into(), &1.into(), &1.into())
    );
    let cosine = &report["cosine"];
    assert_eq!(cosine["at_best"]["right"]["count"], 2, "{report:#}");
    assert_eq!(cosine["at_card"]["right"]["of"], 2, "{report:#}");
    assert_eq!(cosine["at_card"]["falsely_matched"]["count"], 0, "{report:#}");
    // What the threshold makes of the mated pair is what 'verify' says of the same two.
    let [one, two] =
        ["One_0001", "One_0002"].map(|name| format!("{}/One/{name}.jpg", folder.path().display()));
    let verified = json(&deepid_edge(&["verify", &one, &two, "--json"]));
    let missed = u64::from(verified["same"] == false);
    assert_eq!(cosine["at_card"]["missed"]["count"], missed, "{verified:#}");
}

#[test]
fn groups_are_measured_within_themselves() {
    if !assets() {
        return;
    }
    let folder = photographs("");
    let table = folder.path().join("people.csv");
    let rows = "who,group,sex\nOne,a,m\nTwo,a,m\nNobody,b,m\n";
    std::fs::write(&table, rows).expect("a table");
    let (table, images) = (table.to_str().expect("UTF-8"), folder.path().to_str().expect("UTF-8"));
    let measure = |more: &[&str]| {
        let arguments =
            ["evaluate", "groups", table, "--images", images, "--by", "group", "--json"];
        deepid_edge(&[&arguments, more].concat())
    };
    let first = ["--file", "{who}/{who}_0001.jpg", "--alike", "sex"];
    let lenient = ["--set", "recognise.threshold=-1"];
    let report = json(&measure(&[&first[..], &lenient].concat()));
    assert_eq!(report["schema"], "deepid-edge/evaluate-groups/1", "{report:#}");
    assert_eq!(report["failures_to_acquire"]["count"], 1, "the grey picture: {report:#}");
    assert_eq!(report["groups"][0]["falsely_matched"]["count"], 1, "whatever matches: {report:#}");
    assert_eq!(report["worst"], "a", "{report:#}");

    let one = [&first[..2], &["--file", "{who}/{who}_0002.jpg", "--only", "who=One"]].concat();
    let report = json(&measure(&one));
    let row = &report["groups"][0];
    assert_eq!(
        (&row["missed"]["of"], &row["falsely_matched"]["of"]),
        (&1.into(), &0.into()),
        "{report:#}"
    );

    for (more, said) in [
        (&["--file", "{file}"][..], "no column 'file'"),
        (&["--file", "{who}.jpg"], "One.jpg is absent"),
        (&["--only", "sex=f", "--file", "{who}.jpg"], "no row is left"),
    ] {
        let output = measure(more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(4) && error.contains(said), "{error}");
    }
}

#[test]
fn vectors_are_those_that_the_path_compares() {
    if !assets() {
        return;
    }
    let folder = photographs("");
    let out = folder.path().join("vectors");
    let (images, place) = (folder.path().join("One"), out.to_str().expect("UTF-8"));
    let images = images.to_str().expect("UTF-8");
    let output = deepid_edge(&["evaluate", "vectors", images, "--out", place]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let averaged = std::fs::read(out.join("deepid2.mirrored.safetensors")).expect("a file");
    let (_, header) = safetensors::SafeTensors::read_metadata(&averaged).expect("that format");
    let words = header.metadata().clone().expect("words");
    assert_eq!(words["files"], "[\"One_0001.jpg\",\"One_0002.jpg\"]");
    let numbers = |bytes: &[u8]| -> Vec<f32> {
        let tensors = safetensors::SafeTensors::deserialize(bytes).expect("that format");
        let features = tensors.tensor("features").expect("features");
        assert_eq!(features.shape(), [2, 160]);
        let four = |four: &[u8]| f32::from_le_bytes(four.try_into().expect("four bytes"));
        features.data().chunks_exact(4).map(four).collect()
    };
    let one_crop = std::fs::read(out.join("deepid2.one-crop.safetensors")).expect("a file");
    let (averaged, one_crop) = (numbers(&averaged), numbers(&one_crop));
    assert!(averaged != one_crop && averaged.iter().any(|number| *number != 0.0));
    // The distance of the two is what 'verify' says.
    let distance: f32 =
        (0..160).map(|i| (averaged[i] - averaged[160 + i]).powi(2)).sum::<f32>().sqrt();
    let [one, two] = ["One_0001", "One_0002"].map(|name| format!("{images}/{name}.jpg"));
    let verified = json(&deepid_edge(&["verify", &one, &two, "--json"]));
    let said = verified["comparisons"][1]["score"].as_f64().expect("a score");
    assert!((f64::from(distance) - said).abs() < 1e-4, "{distance} {said}");
}

#[test]
fn what_cannot_be_verified_is_named() {
    if !assets() {
        return;
    }
    for (pairs, more, code, said) in [
        ("1\nOne 1 7\nOne 1 Two 1\n", &[][..], 4, "One_0007.jpg is absent"),
        ("1\nOne 1 2\n", &[][..], 4, "promises 2"),
        ("1\nOne 1 2\nOne 1 Two 1\n", &["--model", "deepid9"][..], 6, "deepid9"),
    ] {
        let folder = photographs(pairs);
        let output = verify(folder.path(), more);
        let error = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(code), "{error}");
        assert!(error.contains(said), "{error}");
    }
}
