//! A picture of a face opens nothing: the daemon and the evaluation with liveness in force.
//!
//! In: recordings in which a photograph is carried past the camera, through the networks that ship. Out:
//! decisions. What living people get is measured on real clips by `evaluate liveness`
//! (`docs/liveness.md`); no photograph is a living person.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use deepid_edge::decide::Outcome;
use deepid_edge::liveness::Cue;
use deepid_edge::store::{Body, DecisionRecord};
use support::command::{deepid_edge, json};
use support::daemon::Home;
use support::models::assets;
use support::scene::Recording;

/// The decisions of a door in `mode` before which the enrolled person's photograph is carried past.
fn decisions(mode: &str) -> Vec<DecisionRecord> {
    let home = Home::new().enrol_obama().set("live.mode", mode);
    decided(&home, Recording::new().nobody(5).person("obama3.jpg", 0.16, 60).nobody(40))
}

/// What a door decides before which this happens.
fn decided(home: &Home, film: Recording) -> Vec<DecisionRecord> {
    let recording = home.path("visit.mjpeg");
    film.write(&recording, 1);
    assert!(home.run(&recording).until_ended().success());
    let records = home.records().into_iter();
    records
        .filter_map(|record| match record.body {
            Body::Decision(decision) => Some(decision),
            Body::Administrative(_) => None,
        })
        .collect()
}

#[test]
fn a_photograph_is_refused_with_what_told_it_and_nobody_is_named() {
    if !assets() {
        return;
    }
    let without = decisions("off");
    assert_eq!(without[0].outcome, Outcome::Granted, "the very film that is granted without");
    assert!(without[0].liveness.is_none());
    for mode in ["deny", "confirm", "challenge"] {
        let decisions = decisions(mode);
        assert!(!decisions.is_empty(), "{mode}");
        for decision in decisions {
            assert_eq!(decision.reason, "not_live", "{mode}: {decision:?}");
            assert!(decision.subject.is_none(), "{mode}: {decision:?}");
            let told = decision.liveness.unwrap();
            assert!(told.looks > 0 && told.median.is_some(), "{mode}: {told:?}");
            assert!(matches!(told.cue, Some(Cue::Network | Cue::Surroundings)), "{told:?}");
        }
    }
}

/// Of `obama3.jpg`: the middle of the head with its hair and half of its size; half of the
/// shoulders' width and where they begin.
const OBAMA3: ([f32; 4], [f32; 2]) = ([755.0, 430.0, 190.0, 230.0], [460.0, 700.0]);

#[test]
fn a_picture_that_fills_the_view_and_is_swayed_is_told_by_its_surroundings() {
    if !assets() {
        return;
    }
    // The network is to say nothing: what is left is how face and surroundings move.
    let home = || Home::new().enrol_obama().set("live.mode", "deny").set("live.median", 0);
    let film = Recording::new().nobody(5).held_close("obama3.jpg", 0.47, 60).nobody(40);
    let decisions = decided(&home(), film);
    assert!(!decisions.is_empty());
    for decision in decisions {
        assert_eq!(decision.reason, "not_live", "{decision:?}");
        assert_eq!(decision.liveness.unwrap().cue, Some(Cue::Surroundings), "{decision:?}");
    }
    // The same face by the same motion, before the same surroundings that stand still.
    let film = Recording::new().nobody(5).standing("obama3.jpg", 0.47, OBAMA3, 60).nobody(40);
    let decisions = decided(&home(), film);
    let reasons: Vec<_> = decisions.iter().map(|decision| decision.reason.as_str()).collect();
    assert_eq!(reasons, ["matched"], "{decisions:?}");
}

#[test]
fn without_liveness_a_face_alone_opens_nothing_and_everybody_is_told_why() {
    if !assets() {
        return;
    }
    let film = || Recording::new().nobody(5).person("obama3.jpg", 0.16, 60).nobody(40);
    let home = || Home::new().enrol_obama().set("live.mode", "off");
    let safe = home().set("policy.required_liveness", true);
    let reasons = |home: &Home| -> Vec<String> {
        decided(home, film()).into_iter().map(|decision| decision.reason).collect()
    };
    assert_eq!(reasons(&safe), ["second_factor_missing"]);
    let explained = safe.ask(&["policy", "explain", "obama", "--json"]);
    assert_eq!((explained.code, &explained.json()["reason"]), (1, &"second_factor_missing".into()));
    let because = explained.json()["because"].to_string();
    assert!(
        because.contains("a face alone opens nothing") && because.contains("live.mode"),
        "{because}"
    );
    assert_eq!(safe.ask(&["policy", "explain", "obama", "--with-factor"]).code, 0);
    let check = |home: &Home, wanted: &str| -> (String, String) {
        let answer = home.ask(&["doctor", "--json", "--patience", "1"]).json();
        let checks = answer["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["check"] == wanted).unwrap();
        (found["verdict"].as_str().unwrap().to_owned(), found.to_string())
    };
    let (verdict, said) = check(&safe, "face alone");
    assert!(verdict == "warn" && said.contains("policy.required_liveness = false"), "{said}");
    let (verdict, said) = check(&safe, "second factor");
    assert!(verdict == "warn" && said.contains("nothing can bring"), "{said}");

    // Whoever knows what it means may say so, and the doctor says it back.
    let stated = home();
    assert_eq!(reasons(&stated), ["matched"]);
    let (verdict, said) = check(&stated, "face alone");
    assert!(verdict == "warn" && said.contains("a photograph"), "{said}");
    let (verdict, said) = check(&stated.set("live.mode", "deny"), "face alone");
    assert!(verdict == "ok" && said.contains("1.0e-2"), "{said}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "it needs the verb evaluate")]
fn a_film_of_a_photograph_counts_as_an_attack_and_its_kind_is_told() {
    if !assets() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let (live, sheet) = (folder.path().join("live"), folder.path().join("attack/sheet"));
    std::fs::create_dir_all(&live).unwrap();
    std::fs::create_dir_all(&sheet).unwrap();
    let film = Recording::new().nobody(5).person("obama3.jpg", 0.16, 60).nobody(40);
    film.write(&sheet.join("a.mjpeg"), 1);
    let photograph = format!("{}/assets/photographs/obama.jpg", env!("CARGO_MANIFEST_DIR"));
    std::fs::copy(photograph, live.join("b.jpg")).unwrap();
    let visits = folder.path().join("visits.jsonl");
    let det = folder.path().join("det.svg");
    let output = deepid_edge(&[
        "--json",
        "evaluate",
        "liveness",
        folder.path().to_str().unwrap(),
        "--visits",
        visits.to_str().unwrap(),
        "--plot",
        det.to_str().unwrap(),
    ]);
    let report = json(&output);
    assert_eq!(report["schema"], "deepid-edge/evaluate-liveness/1");
    let sheet = &report["attacks"]["sheet"];
    assert_eq!((&sheet["granted"]["of"], &sheet["granted"]["count"]), (&1.into(), &0.into()));
    assert_eq!(sheet["not_live"]["count"], 1);
    let line = std::fs::read_to_string(&visits).unwrap();
    assert!(line.contains("a.mjpeg") && line.lines().count() == 2, "{line}");
    assert_eq!(report["live"]["granted"]["of"], 1, "a photograph counts by its one look");
    assert!(std::fs::read_to_string(&det).unwrap().contains("APCER"));

    let output = deepid_edge(&[
        "evaluate",
        "liveness",
        folder.path().to_str().unwrap(),
        "--set",
        "live.mode=off",
    ]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && said.contains("live.mode"), "{said}");
}

#[test]
fn the_doctor_says_what_tells_faces_from_pictures_and_warns_where_nothing_does() {
    if !assets() {
        return;
    }
    let check = |setting: &str| {
        let output = deepid_edge(&["--json", "doctor", "--set", setting]);
        let said = json(&output);
        let checks = said["checks"].as_array().unwrap();
        let found = checks.iter().find(|check| check["check"] == "liveness").unwrap();
        (found["verdict"].as_str().unwrap().to_owned(), found.to_string())
    };
    let (verdict, said) = check("live.mode=deny");
    assert!(verdict == "ok" && said.contains("0.292"), "{said}");
    let (verdict, said) = check("live.median=0.75");
    assert!(verdict == "ok" && said.contains("0.750"), "{said}");
    let (verdict, said) = check("live.mode=off");
    assert!(verdict == "warn" && said.contains("a photograph"), "{said}");
    assert!(said.contains("only the second factor keeps it out"), "{said}");
    for wrong in ["models.liveness=deepid2", "models.liveness=nothing"] {
        let (verdict, said) = check(wrong);
        assert_eq!(verdict, "fail", "{said}");
    }
}

#[test]
fn a_picture_is_told_how_live_it_looks() {
    if !assets() {
        return;
    }
    let live = |setting: &str| {
        let picture = "assets/photographs/obama.jpg";
        json(&deepid_edge(&["--json", "detect", picture, "--set", setting]))["faces"][0].clone()
    };
    let face = live("live.mode=deny");
    assert!(face["live"].as_f64().is_some_and(|live| (0.0..=1.0).contains(&live)), "{face}");
    assert!(live("live.mode=off")["live"].is_null());
}
