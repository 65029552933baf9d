//! The confirming stage: nothing is granted without the second embedder's yes.
//!
//! In: made-up sights for the visit alone, where time is an argument; and, where `make assets` has
//! been run, real photographs through two real networks that a fusion card binds together.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test stops at the first surprise"
)]

mod support;
#[path = "support/visitor.rs"]
mod visitor;

use std::path::Path;
use std::time::Duration;

use deepid_edge::clock::{ClockTrust, Monotonic, WallClock};
use deepid_edge::compare::{Candidate, Match};
use deepid_edge::decide::{
    Answer, Decision, Effect, Gate, Gates, Observation, Question, Seen, Verdict, Visit, VisitPolicy,
};
use deepid_edge::store::Body;
use proptest::prelude::*;
use support::command::{deepid_edge, json};
use support::daemon::Home;
use support::models::assets;
use support::mosquitto::{Broker, Mosquitto};
use support::scene::Recording;
use support::subscriber::Subscriber;

/// A visit before a door that asks a second embedder, on a clock of 100 ms a frame.
struct Door {
    visit: Visit,
    frames: u64,
    actions: Vec<Effect>,
}

impl Door {
    fn new() -> Self {
        let policy =
            VisitPolicy { gates: Gates::NONE.with(Gate::Confirm, true), ..visitor::policy() };
        Self { visit: Visit::new(policy), frames: 0, actions: Vec::new() }
    }

    fn now(&self) -> Monotonic {
        Monotonic::default().plus(Duration::from_millis(1000 + 100 * self.frames))
    }

    /// One more frame; what is asked then.
    fn sees(&mut self, seen: Seen) -> Option<Question> {
        self.frames += 1;
        let now = self.now();
        let wall = WallClock {
            unix_ms: 1_800_000_000_000,
            trust: ClockTrust::Trusted,
            synchronised: false,
        };
        let observation =
            Observation { sequence: self.frames, captured_at: now, wall, luminance: None, seen };
        self.visit.step(&observation, now, &mut self.actions);
        self.visit.question().cloned()
    }

    fn hears(&mut self, answer: Answer) {
        let now = self.now();
        self.visit.answer(answer, now, &mut self.actions);
    }

    fn decisions(&self) -> Vec<&Decision> {
        let mut decisions = Vec::new();
        for action in &self.actions {
            if let Effect::Decided { decision, announce: true } = action {
                decisions.push(decision);
            }
        }
        decisions
    }

    fn reasons(&self) -> Vec<&str> {
        self.decisions().iter().map(|decision| decision.verdict.reason()).collect()
    }
}

/// The second embedder finds person `number`, with a fused score of `score`.
fn fused(number: usize, score: f32) -> Match {
    let best = Candidate { subject: visitor::subject(number), enabled: true, score };
    visitor::found(Some(best), None)
}

#[test]
fn the_frame_that_would_grant_is_asked_about_once() {
    let mut door = Door::new();
    assert_eq!(door.sees(visitor::good(1)), None);
    assert_eq!(door.sees(visitor::good(1)), None);
    let question = door.sees(visitor::good(1)).expect("three frames agree");
    assert_eq!((question.subject, question.score), (visitor::subject(1), 0.8));
    assert!(door.decisions().is_empty(), "it hangs on the answer");
    door.hears(Answer::Pass(Some(fused(1, 0.7))));
    assert_eq!(door.reasons(), ["matched"]);
    let decision = door.decisions()[0];
    assert_eq!(decision.evidence.as_ref().and_then(|evidence| evidence.score), Some(0.7));
    assert_eq!(door.sees(visitor::good(1)), None, "decided");
}

#[test]
fn a_no_costs_the_frame_and_agreement_is_needed_anew() {
    let mut door = Door::new();
    for _ in 0..2 {
        door.sees(visitor::good(1));
    }
    assert!(door.sees(visitor::good(1)).is_some());
    door.hears(Answer::No(Some(fused(1, 0.3))));
    assert!(door.decisions().is_empty());
    assert!(door.sees(visitor::good(1)).is_some(), "two that stand and one more");
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert_eq!(door.reasons(), ["matched"]);
}

#[test]
fn whoever_is_never_confirmed_is_unknown_with_the_fused_score() {
    let mut door = Door::new();
    let mut asked = 0;
    for _ in 0..25 {
        if door.sees(visitor::good(1)).is_some() {
            asked += 1;
            door.hears(Answer::No(Some(fused(1, 0.2 + 0.01 * asked as f32))));
        }
    }
    assert_eq!(asked, 3, "no more tries than a grant needs frames");
    assert_eq!(door.reasons(), ["no_match"]);
    let evidence = door.decisions()[0].evidence.clone().expect("it was compared");
    assert!(evidence.score.is_some_and(|score| score < 0.5), "the fused one: {evidence:?}");
}

#[test]
fn what_is_no_yes_for_that_subject_grants_nothing() {
    let nobody = Match { best: None, ..fused(1, 0.9) };
    let answers = [
        Answer::Fault,
        Answer::Pass(Some(fused(2, 0.9))),
        Answer::Pass(Some(fused(1, 0.59))),
        Answer::Pass(Some(fused(1, f32::NAN))),
        Answer::Pass(Some(nobody.clone())),
        Answer::No(Some(nobody)),
        Answer::No(Some(fused(1, 0.9))),
    ];
    for answer in answers {
        let mut door = Door::new();
        for _ in 0..25 {
            if door.sees(visitor::good(1)).is_some() {
                door.hears(answer.clone());
            }
        }
        assert!(!door.reasons().contains(&"matched"), "{answer:?}");
        assert_eq!(door.decisions().len(), 1, "{answer:?}: it is named in the end");
    }
}

/// What the visit is called when every question gets `answer`, `late_ms` after its frame.
fn named_when_always(answer: Option<&Answer>, late_ms: u64) -> (String, usize) {
    let mut door = Door::new();
    let mut asked = 0;
    for _ in 0..25 {
        if door.sees(visitor::good(1)).is_none() {
            continue;
        }
        asked += 1;
        if let Some(answer) = answer {
            let now = door.now().plus(Duration::from_millis(late_ms));
            door.visit.answer(answer.clone(), now, &mut door.actions);
        }
    }
    let decisions = door.decisions();
    let verdict = &decisions.first().expect("it is named in the end").verdict;
    (format!("{:?} {}", verdict.outcome(), verdict.reason()), asked)
}

#[test]
fn a_confirming_network_that_fails_is_a_fault_and_no_stranger() {
    let (named, asked) = named_when_always(Some(&Answer::Fault), 0);
    assert_eq!(named, "Ambiguous fault");
    assert!(asked > 3, "a fault is no try: {asked}");
    assert_eq!(named_when_always(None, 0).0, "Ambiguous fault", "no answer at all");
    let late = named_when_always(Some(&Answer::Pass(Some(fused(1, 0.9)))), 501);
    assert_eq!(late, ("Ambiguous stale_frames".to_owned(), 3), "a yes that came too late is a try");
    let no = named_when_always(Some(&Answer::No(Some(fused(1, 0.3)))), 0);
    assert_eq!(no, ("Unknown no_match".to_owned(), 3));
}

#[test]
fn a_confirming_network_that_comes_back_within_the_visit_grants() {
    let mut door = Door::new();
    for _ in 0..8 {
        if door.sees(visitor::good(1)).is_some() {
            door.hears(Answer::Fault);
        }
    }
    assert!(door.decisions().is_empty());
    assert!(door.sees(visitor::good(1)).is_some());
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert_eq!(door.reasons(), ["matched"]);
}

#[test]
fn silence_is_no_yes_and_a_late_yes_is_ignored() {
    let mut door = Door::new();
    for _ in 0..2 {
        door.sees(visitor::good(1));
    }
    let question = door.sees(visitor::good(1)).expect("three frames agree");
    assert_eq!(door.sees(Seen::NoFace), None, "that frame is gone");
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert!(door.decisions().is_empty(), "{question:?} was about a frame that is gone");
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert!(door.decisions().is_empty());
}

#[test]
fn a_yes_that_comes_too_late_is_none() {
    let mut door = Door::new();
    for _ in 0..3 {
        door.sees(visitor::good(1));
    }
    let late = door.now().plus(Duration::from_millis(501));
    door.visit.answer(Answer::Pass(Some(fused(1, 0.9))), late, &mut door.actions);
    assert!(door.decisions().is_empty());
}

#[test]
fn a_frame_of_somebody_else_is_never_asked_about() {
    let mut door = Door::new();
    let poor = |number| Seen::Faces {
        count: 1,
        principal: visitor::face(number, true, 0.8, Some(0.3), 0.5),
    };
    // Three frames agree only when their weights reach 2: the frame that shows a stranger completes
    // nothing, whatever stands in the window.
    for _ in 0..3 {
        assert_eq!(door.sees(poor(1)), None);
    }
    let stranger = Seen::Faces { count: 1, principal: visitor::face(1, true, 0.1, Some(0.3), 1.0) };
    assert_eq!(door.sees(stranger), None);
    assert_eq!(door.sees(visitor::good(2)), None, "the window names two");
}

#[test]
fn beyond_the_calibration_the_claim_of_the_score_that_decides_counts() {
    let beyond = |found: Match| Match { beyond_accepted: true, ..found };
    let sees_three = |seen: &dyn Fn() -> Seen| {
        let mut door = Door::new();
        for _ in 0..3 {
            door.sees(seen());
        }
        door
    };
    let mut door = sees_three(&|| visitor::good(1));
    door.hears(Answer::Pass(Some(beyond(fused(1, 0.9)))));
    assert_eq!(door.reasons(), ["beyond_calibration"]);

    let first_beyond = || {
        let mut principal = visitor::face(1, true, 0.8, Some(0.3), 1.0);
        principal.found = principal.found.map(beyond);
        Seen::Faces { count: 1, principal }
    };
    let mut door = sees_three(&first_beyond);
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert_eq!(door.reasons(), ["matched"], "a confirming network is one of the things that help");
}

#[test]
fn a_disabled_subject_is_told_only_when_confirmed() {
    let disabled =
        || Seen::Faces { count: 1, principal: visitor::face(1, false, 0.8, Some(0.3), 1.0) };
    let mut door = Door::new();
    for _ in 0..2 {
        door.sees(disabled());
    }
    assert!(door.sees(disabled()).is_some());
    assert!(door.decisions().is_empty());
    door.hears(Answer::Pass(Some(fused(1, 0.9))));
    assert_eq!(door.reasons(), ["subject_disabled"]);
}

proptest! {
    #[test]
    fn no_grant_without_a_yes(
        frames in prop::collection::vec((0_u8..6, 1_usize..3, 0_u8..4, -1.0_f32..1.0), 0..60),
    ) {
        let mut door = Door::new();
        for (kind, number, answer, score) in frames {
            let seen = match kind {
                0 => Seen::NoFace,
                1 => Seen::Faces { count: 2, principal: visitor::face(number, true, 0.8, Some(0.3), 1.0) },
                _ => visitor::good(number),
            };
            let before = door.decisions().len();
            let asked = door.sees(seen);
            let after = door.decisions();
            let granted = |decision: &&Decision| matches!(decision.verdict, Verdict::Granted { .. });
            prop_assert!(!after.iter().skip(before).any(granted), "a frame alone granted");
            let Some(question) = asked else { continue };
            let match_of = fused(number, score);
            let right = question.subject == visitor::subject(number) && score >= visitor::THRESHOLD;
            let (before, yes) = (door.decisions().len(), answer == 0);
            match answer {
                0 => door.hears(Answer::Pass(Some(match_of))),
                1 => door.hears(Answer::No(Some(match_of))),
                2 => door.hears(Answer::Fault),
                _ => {}
            }
            let granted = door.decisions().iter().skip(before).any(granted);
            prop_assert!(!granted || (yes && right), "{question:?}: {score}");
        }
    }
}

/// A folder of models in which deepid2 is confirmed by a second copy of itself, on crops by
/// landmarks.
fn models(change: impl FnOnce(String) -> String) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let checkout = Path::new(env!("CARGO_MANIFEST_DIR"));
    for (from, entry) in [("models", "toml"), ("models", "tflite"), ("assets/models", "tflite")] {
        for file in std::fs::read_dir(checkout.join(from)).expect("models") {
            let path = file.expect("a file").path();
            if path.extension().is_some_and(|ending| ending == entry) {
                std::fs::copy(&path, folder.path().join(path.file_name().expect("a name")))
                    .expect("a copy");
            }
        }
    }
    let card = std::fs::read_to_string(checkout.join("models/deepid2.toml")).expect("a card");
    let named = "id = \"deepid2-again\"\nkeypoints_by = \"face-mesh\"";
    let again = card.replacen("id = \"deepid2\"", named, 1);
    std::fs::write(folder.path().join("deepid2-again.toml"), again).expect("a card");
    let hash = card.lines().find_map(|line| line.strip_prefix("sha256 = ")).expect("a hash");
    let fusion = format!(
        "id = \"twice\"\ntitle = \"deepid2, confirmed by itself\"\n\
         first = {{ id = \"deepid2\", sha256 = {hash} }}\n\
         second = {{ id = \"deepid2-again\", sha256 = {hash} }}\n\
         gate = 0.3\nweights = [0.5, 0.5]\nmirrored = true\n\
         [provenance]\nlicence = \"MIT\"\nsource = \"a test\"\n\
         [[calibration]]\nmetric = \"cosine\"\nmirrored = true\nsource = \"a test\"\n\
         points = [[1e-2, 0.4], [1e-6, 0.5]]\n"
    );
    std::fs::write(folder.path().join("offered.fusion.toml"), change(fusion)).expect("a card");
    folder
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Runs a verb with those models and the fusion's first embedder.
fn with(models: &Path, arguments: &[&str]) -> std::process::Output {
    let common = ["--json", "--models", text(models), "--set", "models.embedder=deepid2"];
    deepid_edge(&[arguments, &common].concat())
}

fn added(models: &Path) -> std::process::Output {
    let offered = models.join("offered.fusion.toml");
    let output = with(models, &["models", "add", text(&offered), "--into", text(models)]);
    std::fs::remove_file(offered).expect("it was copied");
    output
}

#[test]
fn a_fusion_is_added_and_enrolled_with() {
    if !assets() {
        return;
    }
    let models = models(|card| card);
    let models = models.path();
    let told = json(&added(models));
    assert_eq!((&told["model"], &told["kind"]), (&"twice".into(), &"fusion".into()), "{told:#}");
    let confirm = ["--set", "models.confirm=twice"];
    let listed = json(&with(models, &[&["models", "list"][..], &confirm].concat()));
    let rows = listed["models"].as_array().expect("a list");
    let row = rows.iter().find(|row| row["model"] == "twice").expect("it is listed");
    assert_eq!((&row["in_use"][0], &row["fault"]), (&"confirm".into(), &serde_json::Value::Null));

    let folder = tempfile::tempdir().expect("a temporary folder");
    let database = folder.path().join("door.db");
    let database = ["--database", text(&database)];
    let enrol = ["enroll", "somebody", "--image", "assets/photographs/obama.jpg"];
    let output = with(models, &[&enrol[..], &database, &confirm].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let other = ["enroll", "another", "--image", "assets/photographs/biden.jpg"];
    let output = with(models, &[&other[..], &database].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let checked =
        json(&with(models, &[&["doctor", "--patience", "1"][..], &database, &confirm].concat()));
    let checks = checks_of(&checked, "confirm");
    assert_eq!(checks["verdict"], "warn", "{checks:#}");
    assert!(checks["what"].as_str().expect("words").contains("1 of 2 people"), "{checks:#}");

    // A door that was switched to it before anybody was enrolled anew lets nobody in: it says so.
    let before = folder.path().join("before.db");
    let before = ["--database", text(&before)];
    assert!(with(models, &[&other[..], &before].concat()).status.success());
    let doctor = [&["doctor", "--patience", "1"][..], &before, &confirm].concat();
    let checks = checks_of(&json(&with(models, &doctor)), "confirm");
    assert_eq!(checks["verdict"], "fail", "{checks:#}");
    let what = checks["what"].as_str().expect("words");
    assert!(what.contains("0 of 1 people") && what.contains("nobody can be granted"), "{checks:#}");
    let remedy = checks["remedy"].as_str().expect("what to do");
    assert!(remedy.contains("--replace") && remedy.contains("models.confirm unset"), "{checks:#}");
    assert!(
        with(models, &[&other[..], &["--replace"], &before, &confirm].concat()).status.success()
    );
    let checks = checks_of(&json(&with(models, &doctor)), "confirm");
    assert_eq!(checks["verdict"], "ok", "{checks:#}");
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "it needs the verb evaluate")]
fn pairs_are_measured_with_a_fusion() {
    if !assets() {
        return;
    }
    let models = models(|card| card);
    let models = models.path();
    assert!(added(models).status.success());
    let folder = tempfile::tempdir().expect("a temporary folder");
    let photographs = folder.path().join("photographs");
    for (name, files) in [("Obama", &["obama", "obama2", "obama3"][..]), ("Biden", &["biden"])] {
        std::fs::create_dir_all(photographs.join(name)).expect("a folder");
        for (index, file) in files.iter().enumerate() {
            let to = photographs.join(name).join(format!("{name}_{:04}.jpg", index + 1));
            std::fs::copy(format!("assets/photographs/{file}.jpg"), to).expect("a copy");
        }
    }
    let list = folder.path().join("pairs.txt");
    std::fs::write(&list, "3\nObama\t1\t2\nObama\t1\t3\nObama\t2\t3\nObama\t1\tBiden\t1\nObama\t2\tBiden\t1\nObama\t3\tBiden\t1\n").expect("a list");
    let pairs = [
        "evaluate",
        "pairs",
        "--pairs",
        text(&list),
        "--images",
        text(&photographs),
        "--confirm",
        "twice",
    ];
    let report = json(&with(models, &pairs));
    let fused = &report["fused"];
    assert_eq!(fused["fusion"], "twice", "{report:#}");
    assert_eq!(fused["mated_at_gate"]["count"], 3, "{fused:#}");
    assert_eq!((&fused["auc"], &report["cosine"]["auc"]), (&1.0.into(), &1.0.into()));
}

/// Outcomes of the daemon's decisions on the demo's visits, each with the model that it rests on.
fn decided_by_the_daemon(home: &Home) -> Vec<(String, String)> {
    let recording = home.path("visit.mjpeg");
    Recording::visits().write(&recording, 1);
    assert!(home.run(&recording).until_ended().success());
    let decision = |body| match body {
        Body::Decision(decision) => {
            let model = decision.comparison.map(|comparison| comparison.model.to_string());
            Some((format!("{:?}", decision.outcome), model.unwrap_or_default()))
        }
        Body::Administrative(_) => None,
    };
    home.records().into_iter().filter_map(|record| decision(record.body)).collect()
}

#[test]
fn the_daemon_grants_whom_both_embedders_know_and_nobody_else() {
    if !assets() {
        return;
    }
    let models = models(|card| card);
    assert!(added(models.path()).status.success());
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let subscriber = Subscriber::connect(broker.port(), "deepid-edge/front/info");
    let home =
        || Home::new().broker(broker.port()).set("models.directory", models.path().display());
    let both = home().set("models.confirm", "twice").enrol_obama();
    let decided = decided_by_the_daemon(&both);
    let info = subscriber.on("deepid-edge/front/info").json();
    let ids: Vec<_> = info["models"].as_array().unwrap().iter().map(|m| &m["id"]).collect();
    assert_eq!(ids[2..], ["deepid2", "deepid2-again", "covered", "face-mesh"], "{info:#}");
    assert_eq!(info["references_of_other_models"], 0, "{info:#}");
    assert_eq!(decided[0], ("Granted".to_owned(), "twice".to_owned()), "{decided:?}");
    assert_eq!(decided[1].0, "Unknown", "{decided:?}");

    let first_alone = home().enrol_obama().set("models.confirm", "twice");
    let decided = decided_by_the_daemon(&first_alone);
    assert!(decided.iter().all(|(outcome, _)| outcome == "Unknown"), "{decided:?}");
}

#[test]
fn what_does_not_fit_is_refused_by_name() {
    if !assets() {
        return;
    }
    let unknown = models(|card| card.replace("deepid2-again", "no-such-model"));
    let said = String::from_utf8_lossy(&added(unknown.path()).stderr).into_owned();
    assert!(said.contains("no-such-model"), "{said}");

    let other_file = models(|card| {
        let (before, hash) = card.split_once("sha256 = \"").expect("a hash");
        format!("{before}sha256 = \"{}{}", "0".repeat(12), &hash[12..])
    });
    let said = String::from_utf8_lossy(&added(other_file.path()).stderr).into_owned();
    assert!(said.contains("was learnt with the file 000000000000"), "{said}");

    let good = models(|card| card);
    assert!(added(good.path()).status.success());
    let euclidean = with(
        good.path(),
        &[
            "doctor",
            "--patience",
            "1",
            "--set",
            "models.confirm=twice",
            "--set",
            "recognise.metric=euclidean",
        ],
    );
    let told = checks_of(&json(&euclidean), "confirm");
    assert_eq!(told["verdict"], "fail", "{told:#}");
    assert!(told["what"].as_str().expect("words").contains("fuses cosines"), "{told:#}");
}

fn checks_of(told: &serde_json::Value, check: &str) -> serde_json::Value {
    let checks = told["checks"].as_array().expect("a list");
    checks.iter().find(|found| found["check"] == check).expect("the check").clone()
}
