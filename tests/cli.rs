//! The real binary, from outside: help, errors, exit codes, configuration, subjects, pictures.
//!
//! Every test has a folder of its own and an empty environment. What needs the fetched library,
//! models and photographs says aloud that it is skipped where they are absent.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use deepid_edge::clock::{ClockTrust, WallClock};
use deepid_edge::embed::FeatureVector;
use deepid_edge::store::{Administrative, Body, ReferenceSource, Store, StoreSettings};
use serde_json::Value as Json;
use support::answer::Answer;
use support::people::{People as _, key};

const WALL: WallClock =
    WallClock { unix_ms: 1_777_000_000_000, trust: ClockTrust::Trusted, synchronised: false };

struct Bench {
    folder: tempfile::TempDir,
}

impl Bench {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a temporary folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn write(&self, name: &str, bytes: impl AsRef<[u8]>) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, bytes).expect("written");
        path
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_deepid-edge"));
        command
            .args(arguments)
            .env_clear()
            .env("COLUMNS", "100")
            .env("HOME", self.folder.path())
            .env("DEEPID_EDGE__STORE__PATH", self.path("door.db"))
            .current_dir(self.folder.path())
            .stdin(Stdio::null());
        command
    }

    fn run(&self, arguments: &[&str]) -> Answer {
        self.answer(self.command(arguments).output().expect("the binary runs"))
    }

    /// Output with this folder's name taken out.
    fn answer(&self, output: Output) -> Answer {
        let folder = self.folder.path().display().to_string();
        let answer = Answer::of(output);
        let hidden = |text: String| text.replace(&folder, "FOLDER");
        Answer { out: hidden(answer.out), err: hidden(answer.err), ..answer }
    }

    /// The shipped models in a folder of their own, the embedder's card with one calibration alone:
    /// the cosine of one crop.
    fn models_calibrated_on_one_crop(&self) -> PathBuf {
        let folder = self.path("models");
        std::fs::create_dir(&folder).expect("a folder");
        for from in ["models", "assets/models"] {
            let files = std::fs::read_dir(support::models::root().join(from)).expect("a folder");
            for file in files.map(|file| file.expect("readable").path()) {
                if file.extension().is_some_and(|kind| kind == "toml" || kind == "tflite") {
                    let link = folder.join(file.file_name().expect("a name"));
                    std::os::unix::fs::symlink(&file, link).expect("linked");
                }
            }
        }
        let card = folder.join("deepid2.toml");
        let text = std::fs::read_to_string(&card).expect("readable");
        let (calibrations, features) = text.split_once("[features]").expect("features come last");
        let mut parts = calibrations.split("[[calibration]]");
        let above = parts.next().expect("the card begins");
        let wanted = |part: &&str| part.starts_with("\nmetric = \"cosine\"\nmirrored = false\n");
        let kept = parts.find(wanted).expect("a calibration of one crop");
        std::fs::remove_file(&card).expect("removed");
        std::fs::write(&card, format!("{above}[[calibration]]{kept}[features]{features}"))
            .expect("written");
        folder
    }

    fn store(&self) -> Store {
        Store::open(&self.path("door.db"), StoreSettings::default()).expect("the database opens")
    }

    fn events(&self) -> Vec<Administrative> {
        let records = self.store().audit(0, 100).expect("readable");
        records
            .into_iter()
            .filter_map(|record| match record.body {
                Body::Administrative(event) => Some(event),
                Body::Decision(_) => None,
            })
            .collect()
    }
}

/// The fetched photographs, if everything that was to be fetched is there.
fn photographs() -> Option<PathBuf> {
    support::models::assets().then(|| support::models::root().join("assets/photographs"))
}

fn text(path: &Path) -> &str {
    path.to_str().expect("UTF-8")
}

/// Every verb of the command line, with those below it, as clap knows them.
fn verbs_below(above: &str, command: &clap::Command, verbs: &mut Vec<String>) {
    for verb in command.get_subcommands().filter(|verb| verb.get_name() != "help") {
        let name = format!("{above} {}", verb.get_name()).trim().to_owned();
        verbs.push(name.clone());
        verbs_below(&name, verb, verbs);
    }
}

#[test]
#[cfg_attr(not(feature = "lab"), ignore = "the snapshot shows a build with the feature lab")]
fn help_of_every_verb() {
    let bench = Bench::new();
    let mut verbs = vec![String::new()];
    verbs_below("", &deepid_edge::cli::command(), &mut verbs);
    // Only a build that asks for it has the demonstration; tests/demo.rs calls it.
    verbs.retain(|verb| verb != "demo");
    let mut all = String::new();
    for verb in &verbs {
        let mut arguments: Vec<&str> = verb.split_whitespace().collect();
        arguments.push("--help");
        let answer = bench.run(&arguments);
        assert_eq!(answer.code, 0, "{verb}: {}", answer.err);
        all.extend([format!("$ deepid-edge {verb} --help\n"), answer.out, "\n".to_owned()]);
    }
    let all: Vec<&str> = all.lines().filter(|line| !line.starts_with("  demo  ")).collect();
    insta::assert_snapshot!(all.join("\n"));
}

#[test]
fn version_has_details() {
    let bench = Bench::new();
    let short = bench.run(&["-V"]).out;
    assert_eq!(short.trim(), concat!("deepid-edge ", env!("CARGO_PKG_VERSION")));
    let long = bench.run(&["--version"]).out;
    for word in ["target:", "SQLite:", "licence:"] {
        assert!(long.contains(word), "{long}");
    }
}

#[test]
fn every_kind_of_error_says_what_and_where_and_what_to_do() {
    let bench = Bench::new();
    let broken = bench.write("broken.toml", "[camera]\nwidht = 640\nheight = 'tall'\n");
    bench.write("picture.gif", b"GIF89a and so on");
    bench.write("empty.jpg", b"");
    let cases: &[(&[&str], i32)] = &[
        (&["confg", "check"], 2),
        (&["config", "check", "--sett", "a.b=1"], 2),
        (&["config", "check", "--set", "camera"], 2),
        (&["config", "check", "--config", text(&broken)], 3),
        (&["config", "check", "--config", "/nonexistent/config.toml"], 3),
        (&["config", "check", "--set", "mqtt.prot=1883"], 3),
        (&["config", "check", "--log-level", "loud"], 3),
        (&["run", "--door", "Front Door"], 3),
        (&["detect", "picture.gif"], 4),
        (&["detect", "empty.jpg"], 4),
        (&["verify", "absent.jpg", "absent.jpg"], 4),
        (&["detect", "picture.gif", "--models", "/nonexistent/models"], 4),
        (&["completions", "bash", "--json"], 2),
        (&["man", "--json"], 2),
        (&["subjects", "list"], 8),
        (&["enroll", "Ada"], 2),
        (&["enroll", "Ada", "--camera", "--image", "a.jpg"], 2),
    ];
    let mut all = String::new();
    for (arguments, code) in cases {
        let answer = bench.run(arguments);
        assert_eq!(answer.code, *code, "{arguments:?}: {}", answer.err);
        assert_eq!(answer.out, "", "{arguments:?}: results alone go to standard output");
        let shown = arguments.join(" ").replace(text(bench.folder.path()), "FOLDER");
        all.extend([format!("$ deepid-edge {shown}\n"), answer.err, format!("[{code}]\n\n")]);

        let mut as_json = arguments.to_vec();
        as_json.push("--json");
        let error = bench.run(&as_json).error();
        assert!(error["what"].as_str().is_some_and(|what| !what.is_empty()), "{error}");
        assert!(error["kind"].is_string());
    }
    insta::assert_snapshot!(all);
}

#[test]
fn problems_of_the_configuration_are_listed_for_machines() {
    let bench = Bench::new();
    let output = bench
        .command(&["config", "check", "--json", "--set", "mqtt.port=many"])
        .env("DEEPID_EDGE__CAMERA__WIDHT", "640")
        .output()
        .expect("the binary runs");
    let error = bench.answer(output).error();
    assert_eq!(error["kind"], "configuration");
    let problems = error["problems"].as_array().expect("a list");
    assert_eq!(problems.len(), 2);
    assert_eq!(problems[0]["problem"], "unknown_key");
    assert_eq!(problems[0]["nearest"], "camera.width");
    assert_eq!(problems[0]["origin"]["at"], "DEEPID_EDGE__CAMERA__WIDHT");
    assert_eq!(problems[1]["problem"], "impossible");
    assert_eq!(problems[1]["key"], "mqtt.port");
}

#[test]
fn flags_stand_above_environment_above_file_above_defaults() {
    let bench = Bench::new();
    let file = bench.write("door.toml", "[mqtt]\nhost = 'file'\nbase = 'file'\nport = 1\n");
    let output = bench
        .command(&["config", "show", "--json", "--set", "mqtt.host=flag"])
        .env("DEEPID_EDGE_CONFIG", &file)
        .env("DEEPID_EDGE__MQTT__HOST", "environment")
        .env("DEEPID_EDGE__MQTT__BASE", "environment")
        .output()
        .expect("the binary runs");
    let shown = bench.answer(output).json();
    assert_eq!(shown["file"], "FOLDER/door.toml");
    for (key, value, layer) in [
        ("mqtt.host", Json::from("flag"), "flag"),
        ("mqtt.base", Json::from("environment"), "environment"),
        ("mqtt.port", Json::from(1), "file"),
        ("door.id", Json::from("front"), "default"),
    ] {
        let settings = shown["settings"].as_array().expect("a list");
        let setting = settings.iter().find(|s| s["key"] == key).expect("every key is shown");
        assert_eq!(setting["value"], value, "{key}");
        assert_eq!(setting["origin"]["layer"], layer, "{key}");
    }
}

#[test]
fn what_is_shown_is_a_file_that_says_the_same() {
    let bench = Bench::new();
    let first =
        bench.run(&["config", "show", "--set", "door.id=back", "--set", "camera.controls.gain=3"]);
    assert_eq!(first.code, 0, "{}", first.err);
    let shown = first.out.replace("FOLDER", text(bench.folder.path()));
    let file = bench.write("shown.toml", shown);
    let again = bench.run(&["config", "show", "--config", text(&file)]).out;
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| line.split(" # ").next().unwrap_or("").trim_end().to_owned())
            .collect()
    };
    assert_eq!(values(&first.out), values(&again));
}

#[test]
fn a_reader_that_goes_away_is_no_panic() {
    let bench = Bench::new();
    let child = bench
        .command(&["config", "show", "--default"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    let mut child = support::Ended::with(child);
    drop(child.stdout.take());
    let answer = bench.answer(child.output());
    assert_eq!((answer.code, answer.err.as_str()), (0, ""));
}

#[test]
fn manual_and_completions_are_made_for_all_shells() {
    let bench = Bench::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let answer = bench.run(&["completions", shell]);
        assert_eq!(answer.code, 0);
        assert!(answer.out.contains("subjects"), "{shell}");
        let refused = bench.run(&["completions", shell, "--json"]);
        assert_eq!(refused.error()["kind"], "usage", "{shell}");
    }
    let page = bench.run(&["man"]).out;
    for key in deepid_edge::config::KEYS {
        assert!(page.contains(&key.name.replace('-', "\\-")), "{} is not in the manual", key.name);
    }
    assert!(page.contains("EXIT STATUS"));
    let written = bench.run(&["man", "--out", "pages", "--json"]).json();
    let pages = written["written"].as_array().expect("a list");
    assert!(pages.iter().any(|page| page == "deepid-edge-subjects-remove.1"), "{written}");
    for page in pages {
        let page = bench.path("pages").join(page.as_str().expect("a name"));
        assert!(std::fs::read_to_string(page).expect("readable").starts_with(".ie"));
    }
}

#[test]
fn the_life_of_a_subject() {
    let bench = Bench::new();
    let id = bench.store().add_subject("Ada Lovelace", WALL).expect("added").to_string();

    let listed = bench.run(&["subjects", "list"]);
    assert!(listed.out.contains(&id) && listed.out.contains("Ada Lovelace"), "{}", listed.out);

    let answer = bench.run(&["subjects", "rename", &id, "Ada King", "--json"]).json();
    assert_eq!(answer["subject"]["name"], "Ada King");
    assert_eq!(bench.run(&["subjects", "disable", "Ada King"]).code, 0);
    let listed = bench.run(&["subjects", "list", "--json"]).json();
    assert_eq!(listed["subjects"][0]["enabled"], false);
    assert_eq!(listed["subjects"][0]["references"], 0);
    assert_eq!(bench.run(&["subjects", "enable", &id]).code, 0);

    let asked = bench.run(&["subjects", "remove", &id]);
    assert_eq!(asked.code, 11, "without a terminal nobody can say yes");
    assert_eq!(bench.store().subjects().expect("readable").len(), 1);
    assert_eq!(bench.run(&["subjects", "remove", &id, "--yes"]).code, 0);
    assert_eq!(bench.store().subjects().expect("readable").len(), 0);
    assert_eq!(bench.run(&["subjects", "enable", &id, "--json"]).error()["kind"], "absent");

    let events: Vec<String> = bench
        .events()
        .iter()
        .map(|event| serde_json::to_value(event).expect("JSON")["event"].to_string())
        .collect();
    assert_eq!(
        events.join(" ").replace('"', ""),
        "subject_enrolled subject_renamed subject_disabled subject_enabled subject_removed"
    );
}

/// Leaves a record of 2036 that a time service vouched for; its number.
fn record_of_2036(store: &mut Store) -> u64 {
    let wall = WallClock { unix_ms: 2_085_978_495_000, synchronised: true, ..WALL };
    let event =
        Administrative::Started { version: "0.1.0".to_owned(), recording: false, grant_key: None };
    let now = deepid_edge::clock::Monotonic::default();
    store.record_admin(event, "front", uuid::Uuid::nil(), now, wall).expect("recorded").seq
}

#[test]
fn a_clock_that_once_stood_ahead_is_named_and_settled() {
    let bench = Bench::new();
    bench.store().add_subject("Ada", WALL).expect("added");
    let seq = record_of_2036(&mut bench.store());
    let named = format!("record {seq} of 2036-02-07T06:28:15Z");
    let shown = bench.run(&["clock", "show"]);
    assert_eq!(shown.code, 1, "{}", shown.out);
    for part in [named.as_str(), "not trusted", "'deepid-edge clock settle'"] {
        assert!(shown.out.contains(part), "{part}: {}", shown.out);
    }
    let shown = bench.run(&["clock", "show", "--json"]);
    let clock: Json = serde_json::from_str(&shown.out).expect("JSON");
    assert_eq!((&clock["trust"], &clock["doubt"]), (&"untrusted".into(), &"behind_record".into()));
    assert_eq!(clock["held_by"]["vouched"]["record"], seq);
    let doctor = bench.run(&["doctor", "--set", "mqtt.enabled=false"]);
    assert!(doctor.out.contains(&named), "{}", doctor.out);
    assert!(doctor.out.contains("clock settle"), "{}", doctor.out);

    let asked = bench.run(&["clock", "settle"]);
    assert_eq!(asked.code, 11, "without a terminal nobody can say yes");
    assert!(asked.err.contains(&named), "{}", asked.err);
    assert_eq!(bench.run(&["clock", "show"]).code, 1, "nothing was changed");
    let settled = bench.run(&["clock", "settle", "--yes", "--json"]).json();
    assert_eq!(settled["settled"]["record"], seq);
    assert_eq!(settled["clock"]["trust"], "trusted");
    assert_eq!(bench.run(&["clock", "show"]).code, 0);
    let record_issued = "2036-02-07T06:28:15Z".to_owned();
    let event = Administrative::ClockSettled { record: seq, record_issued };
    assert_eq!(bench.events().last(), Some(&event));
    let again = bench.run(&["clock", "settle", "--yes", "--json"]).json();
    assert_eq!(again["settled"], Json::Null, "nothing is left to settle, and nothing is recorded");
    assert_eq!(bench.events().last(), Some(&event));
    assert_eq!(bench.events().len(), 3, "the enrolment, the record of 2036, the settling");
}

#[test]
fn a_name_is_taken_as_it_is_seen_and_look_alikes_are_warned_of() {
    let bench = Bench::new();
    let id = bench.store().add_subject("Jos\u{e9}", WALL).expect("added").to_string();
    let other = bench.store().add_subject("Ada", WALL).expect("added").to_string();
    let renamed = bench.run(&["subjects", "rename", "Jose\u{301}", "\u{410}da", "--json"]);
    assert_eq!(renamed.code, 0, "found in another spelling: {}", renamed.err);
    let told = renamed.json();
    assert_eq!(told["subject"]["id"], id.as_str());
    assert_eq!(told["warnings"][0]["subject"], other.as_str(), "{told}");
    assert_eq!(told["warnings"][0]["differs_in"], "characters", "{told}");
    let said = bench.run(&["subjects", "rename", &id, "ADA"]);
    assert!(said.err.contains("looks like") && said.err.contains(&other), "{}", said.err);
    for hidden in ["Ada\u{200b}", "\u{202e}adA"] {
        let refused = bench.run(&["subjects", "rename", &id, hidden, "--json"]);
        assert_eq!(refused.code, 2, "{}", refused.err);
        assert!(refused.error()["what"].to_string().contains("invisible"), "{}", refused.err);
        let refused = bench.run(&["enroll", hidden, "--image", "absent.jpg", "--json"]);
        assert_eq!(refused.code, 2, "before a picture is read: {}", refused.err);
    }
}

#[test]
fn a_database_that_is_none_is_refused_and_left_alone() {
    let bench = Bench::new();
    let bytes = b"this is a letter, not a database, and somebody may want to keep it".repeat(20);
    let path = bench.write("door.db", &bytes);
    for arguments in [&["subjects", "list"][..], &["subjects", "remove", "Ada", "--yes"]] {
        let answer = bench.run(arguments);
        assert_eq!(answer.code, 8, "{}", answer.err);
        assert!(answer.err.contains("store.path"), "{}", answer.err);
    }
    assert_eq!(std::fs::read(path).expect("readable"), bytes);
}

#[test]
fn bad_pictures_are_refused_by_every_verb() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let whole = std::fs::read(photographs.join("obama.jpg")).expect("readable");
    let png = std::fs::read(photographs.join("astronaut.png")).expect("readable");
    // A whole and valid file, whose pixels nobody would want in memory.
    let mut huge = Vec::new();
    let mut encoder = png::Encoder::new(&mut huge, 60_000, 1_700);
    encoder.set_depth(png::BitDepth::One);
    let rows = vec![0; 60_000 / 8 * 1_700];
    encoder.write_header().and_then(|mut png| png.write_image_data(&rows)).expect("written");
    let good = photographs.join("obama.jpg");
    for (name, bytes) in [
        ("empty.jpg", &b""[..]),
        ("text.jpg", b"hello, I am no picture"),
        ("cut.jpg", &whole[..whole.len() / 2]),
        ("cut.png", &png[..png.len() / 2]),
        ("huge.png", &huge),
        ("head.jpg", &whole[..2]),
    ] {
        let path = bench.write(name, bytes);
        for arguments in [
            &["detect", text(&path)][..],
            &["verify", text(&good), text(&path)],
            &["identify", text(&path)],
            &["enroll", "Ada", "--image", text(&good), text(&path)],
        ] {
            let mut arguments = arguments.to_vec();
            arguments.push("--json");
            let answer = bench.run(&arguments);
            assert_eq!(answer.code, 4, "{arguments:?}: {}", answer.err);
            assert!(answer.error()["where"].to_string().contains(name), "{}", answer.err);
            assert_eq!(answer.err.contains("60000"), name == "huge.png", "{}", answer.err);
        }
    }
    assert!(!bench.path("door.db").exists(), "a refused enrolment leaves nothing behind");
}

#[test]
fn faces_are_found_and_drawn() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let picture = photographs.join("obama.jpg");
    let found = bench.run(&["detect", text(&picture), "--out", "drawn.png", "--json"]);
    assert_eq!(found.code, 0, "{}", found.err);
    let found = found.json();
    assert_eq!(found["faces"].as_array().map(Vec::len), Some(1));
    let quality = &found["faces"][0]["quality"];
    assert!(quality["fault"].is_null());
    assert!(quality["roll_degrees"].as_f64().is_some_and(|roll| roll.abs() < 20.0), "{quality}");
    assert_eq!(quality["outside"], 0.0, "the whole crop lies in the picture");
    assert_eq!(found["faces"][0]["keypoints"].as_object().map(serde_json::Map::len), Some(4));
    let drawn = image::open(bench.path("drawn.png")).expect("a PNG").to_rgb8();
    let plain = image::open(&picture).expect("a JPEG").to_rgb8();
    assert_eq!(drawn.dimensions(), plain.dimensions());
    assert_ne!(drawn, plain, "something was drawn");

    let grey = image::RgbImage::from_pixel(320, 240, image::Rgb([128; 3]));
    grey.save(bench.path("grey.png")).expect("written");
    let none = bench.run(&["detect", "grey.png", "--json"]);
    assert_eq!((none.code, none.json()["faces"].as_array().map(Vec::len)), (1, Some(0)));
    assert_eq!(bench.run(&["detect", text(&picture), "--out", "/nonexistent/x.png"]).code, 4);
}

#[test]
fn two_pictures_are_the_same_person_or_not() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let [a, b, c] = ["obama.jpg", "obama3.jpg", "biden.jpg"].map(|name| photographs.join(name));
    // The thresholds of the group that fares worst are strict: these two photographs miss that of 1e-3
    // by a hair.
    let lenient = ["--set", "recognise.target_fpir=0.01"];
    let same = bench.run(&[&["verify", text(&a), text(&b), "--json"], &lenient[..]].concat());
    assert_eq!(same.code, 0, "{}", same.err);
    let same = same.json();
    assert_eq!(same["same"], true);
    let comparisons = same["comparisons"].as_array().expect("a list");
    assert_eq!(comparisons.len(), 3);
    assert!(comparisons.iter().all(|row| row["other_averaging"] == false), "{same}");
    let told = bench.run(&["verify", text(&a), text(&b)]).out;
    assert!(!told.contains("not calibrated: ") && !told.contains("recognise.mirrored"), "{told}");
    let different = bench.run(&["verify", text(&a), text(&c)]);
    assert_eq!(different.code, 1);
    assert!(different.out.ends_with("different people\n"), "{}", different.out);
    let strict = bench.run(&["verify", text(&a), text(&b), "--set", "recognise.threshold=0.99"]);
    assert_eq!(strict.code, 1, "the threshold decides: {}", strict.out);
}

#[test]
fn what_a_calibration_does_not_cover_is_said() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let models = bench.models_calibrated_on_one_crop();
    let [a, b] = ["obama.jpg", "obama3.jpg"].map(|name| photographs.join(name));
    let verify = |more: &[&str]| {
        bench.run(&[&["verify", text(&a), text(&b), "--models", text(&models)], more].concat())
    };
    let answer = verify(&["--json"]).json();
    let rows = answer["comparisons"].as_array().expect("a list");
    for row in rows {
        // A metric without calibration has no verdict; a claim of the other averaging is marked.
        let other_averaging = if row["metric"] == "cosine" { Json::Bool(true) } else { Json::Null };
        assert_eq!(row["other_averaging"], other_averaging, "{row}");
        assert_eq!(row["threshold"].is_null(), other_averaging.is_null(), "{row}");
        assert_eq!(row["same"].is_null(), other_averaging.is_null(), "{row}");
    }
    let told = verify(&[]).out;
    assert!(told.contains("\nnot calibrated: ") && told.contains("recognise.mirrored"), "{told}");
    let one_crop = verify(&["--set", "recognise.mirrored=false"]).out;
    assert!(!one_crop.contains("recognise.mirrored"), "{one_crop}");
    let uncalibrated = verify(&["--set", "recognise.metric=euclidean", "--json"]);
    assert_eq!(uncalibrated.error()["kind"], "configuration");

    let doctor = |more: &[&str]| {
        let broker_aside = ["doctor", "--json", "--set", "mqtt.enabled=false", "--models"];
        bench.run(&[&broker_aside, &[text(&models)][..], more].concat()).json()
    };
    let averaged = doctor(&[]);
    assert_eq!(check(&averaged, "threshold")["verdict"], "warn", "{averaged}");
    let one_crop = doctor(&["--set", "recognise.mirrored=false"]);
    assert_eq!(check(&one_crop, "threshold")["verdict"], "ok", "{one_crop}");
}

#[test]
fn somebody_enrolled_is_identified_and_a_stranger_is_not() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let [a, b, c, d] = ["obama.jpg", "obama2.jpg", "obama3.jpg", "astronaut.png"]
        .map(|name| photographs.join(name));
    let nobody = bench.run(&["identify", text(&c), "--json"]);
    assert_eq!((nobody.code, nobody.json()["reason"].clone()), (1, "empty_gallery".into()));
    assert!(nobody.json()["remedy"].to_string().contains("deepid-edge enroll"), "{}", nobody.out);
    let hinted = bench.run(&["identify", text(&c)]).err;
    assert!(hinted.contains("try: ") && hinted.contains("deepid-edge enroll"), "{hinted}");

    let enrolled = bench.run(&["enroll", "Barack", "--image", text(&a), text(&b), "--json"]);
    assert_eq!(enrolled.code, 0, "{}", enrolled.err);
    let enrolled = enrolled.json();
    assert_eq!(enrolled["references"], 2);
    let id = enrolled["subject"]["id"].as_str().expect("an id").to_owned();

    // By the thresholds of the group that fares worst, other photographs than the enrolled ones miss
    // the default target.
    let identify = |picture: &Path| {
        bench.run(&["identify", text(picture), "--json", "--set", "recognise.target_fpir=0.01"])
    };
    let known = identify(&c);
    assert_eq!(known.code, 0, "{}", known.out);
    assert_eq!(known.json()["subject"]["id"], id);
    let stranger = identify(&d);
    assert_eq!((stranger.code, stranger.json()["reason"].clone()), (1, "no_match".into()));
    assert!(stranger.json()["subject"].is_null());

    let twice = bench.run(&["enroll", "Barack", "--image", text(&c), "--json"]);
    assert_eq!(twice.error()["kind"], "usage", "the name is taken");
    assert!(twice.error()["remedy"].to_string().contains("--add"), "{}", twice.err);
    let added = bench.run(&["enroll", "Barack", "--add", "--image", text(&c), "--json"]).json();
    assert_eq!(added["subject"]["id"], id);
    assert!(added["warnings"].as_array().is_some_and(Vec::is_empty), "{added}");
    let double = bench.run(&["enroll", "Double", "--image", text(&c), "--json"]).json();
    assert_eq!(double["warnings"][0]["warning"], "near_duplicate");
    assert_eq!(double["warnings"][0]["subject"], id);

    assert_eq!(bench.run(&["subjects", "remove", "Double", "--yes"]).code, 0);
    assert_eq!(bench.run(&["subjects", "disable", &id]).code, 0);
    let denied = identify(&c);
    assert_eq!((denied.code, denied.json()["outcome"].clone()), (1, "denied".into()));
    assert!(matches!(
        bench.events().first(),
        Some(Administrative::SubjectEnrolled { references: 2, .. })
    ));
}

#[test]
fn enrolment_refuses_no_face_several_faces_and_poor_ones() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let good = photographs.join("obama.jpg");
    let open = |name: &str| image::open(photographs.join(name)).expect("readable").to_rgb8();
    let grey = image::RgbImage::from_pixel(320, 240, image::Rgb([128; 3]));
    grey.save(bench.path("nobody.png")).expect("written");
    let (left, right) = (open("obama.jpg"), open("biden.jpg"));
    let size = (left.width() + right.width(), left.height().max(right.height()));
    let mut both = image::RgbImage::new(size.0, size.1);
    image::imageops::replace(&mut both, &left, 0, 0);
    image::imageops::replace(&mut both, &right, i64::from(left.width()), 0);
    both.save(bench.path("both.png")).expect("written");
    let mut dark = left.clone();
    dark.pixels_mut().for_each(|pixel| pixel.0 = pixel.0.map(|value| value / 6));
    dark.save(bench.path("dark.png")).expect("written");

    for (name, reason) in
        [("nobody.png", "no_face"), ("both.png", "several_faces"), ("dark.png", "poor_quality")]
    {
        let answer = bench.run(&["enroll", "Ada", "--image", text(&good), name, "--json"]);
        assert_eq!(answer.code, 5, "{name}: {}", answer.err);
        let error = answer.error();
        assert_eq!(error["problems"][0]["reason"], reason, "{error}");
        assert_eq!(error["problems"][0]["picture"], name);
        let (what, remedy) = (error["what"].to_string(), error["remedy"].to_string());
        assert!(remedy.contains("--skip-poor"), "{error}");
        let advice = remedy.trim_matches('"').split(';').next().expect("a first part");
        assert!(!what.contains(advice), "what to do is said once: {error}");
        let alone = bench.run(&["enroll", "Ada", "--image", name, "--json"]).error();
        assert!(!alone["remedy"].to_string().contains("--skip-poor"), "nothing is left: {alone}");
    }
    assert!(!bench.path("door.db").exists(), "nothing was written");
    let verified = bench.run(&["verify", text(&good), "dark.png", "--json"]).error();
    assert_eq!(verified["what"], "the face is too dark");
    assert_eq!(verified["remedy"], "put light on it");
    let skipped = bench.run(&[
        "enroll",
        "Ada",
        "--image",
        text(&good),
        "nobody.png",
        "--skip-poor",
        "--json",
    ]);
    assert_eq!(skipped.json()["references"], 1, "{}", skipped.err);
    assert_eq!(skipped.json()["refused"][0]["reason"], "no_face");
}

#[test]
fn enrolment_refuses_covered_faces_and_says_what_is_covered() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let mut worn = image::open(photographs.join("obama.jpg")).expect("readable").to_rgb8();
    let found = bench.run(&["detect", text(&photographs.join("obama.jpg")), "--json"]).json();
    let face = &found["faces"][0];
    assert!(face["covered"]["probability"].as_f64().is_some_and(|of| of < 0.5), "{face}");
    let place = |name: &str| {
        let point = &face["keypoints"][name];
        (point[0].as_f64().expect("x") as f32, point[1].as_f64().expect("y") as f32)
    };
    let (right, left) = (place("right_eye"), place("left_eye"));
    let apart = (left.0 - right.0).hypot(left.1 - right.1);
    for (x, y, pixel) in worn.enumerate_pixels_mut() {
        let lens = |(cx, cy): (f32, f32)| {
            ((x as f32 - cx) / (0.45 * apart)).hypot((y as f32 - cy) / (0.34 * apart)) < 1.0
        };
        if lens(right) || lens(left) {
            *pixel = image::Rgb([15, 15, 18]);
        }
    }
    worn.save(bench.path("sunglasses.png")).expect("written");
    let answer = bench.run(&["enroll", "Ada", "--image", "sunglasses.png", "--json"]);
    assert_eq!(answer.code, 5, "{}", answer.err);
    let error = answer.error();
    assert_eq!(error["problems"][0]["reason"], "covered", "{error}");
    assert!(error["what"].to_string().contains("its eyes are not seen"), "{error}");
    assert!(error["remedy"].to_string().contains("sunglasses"), "{error}");
    let off = ["--set", "models.quality="];
    let enrolled = bench.run(&[&["enroll", "Ada", "--image", "sunglasses.png"][..], &off].concat());
    assert_eq!(enrolled.code, 0, "where no network judges it nobody looks: {}", enrolled.err);
}

#[test]
fn pictures_of_two_people_under_one_name_are_remarked() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let [a, b] = ["obama.jpg", "astronaut.png"].map(|name| photographs.join(name));
    let answer = bench.run(&["enroll", "Mixed", "--image", text(&a), text(&b), "--json"]).json();
    let warnings = answer["warnings"].as_array().expect("a list");
    assert_eq!(warnings.len(), 2, "{answer}");
    assert!(warnings.iter().all(|warning| warning["warning"] == "out_of_line"));
}

#[test]
fn a_recording_enrols_frames_that_lie_apart() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    std::fs::create_dir(bench.path("visit")).expect("made");
    for number in 0..12 {
        let to = bench.path("visit").join(format!("{number:02}.jpg"));
        std::fs::copy(photographs.join("obama.jpg"), to).expect("copied");
    }
    let answer = bench.run(&["enroll", "Ada", "--replay", "visit", "--count", "2", "--json"]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(answer.json()["references"], 2);
    let absent = bench.run(&["enroll", "Bob", "--replay", "absent", "--json"]);
    assert_eq!(absent.error()["kind"], "input");
}

#[test]
fn references_of_another_model_are_never_compared() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let mut store = bench.store();
    let subject = store.add_subject("Ada", WALL).expect("added");
    let vector = FeatureVector::new(key("another-model"), vec![1.0; 160]).expect("finite");
    store.add_reference(&subject, &vector, 1.0, ReferenceSource::Image, WALL).expect("added");
    drop(store);
    let picture = photographs.join("obama.jpg");
    let answer = bench.run(&["identify", text(&picture), "--json"]).json();
    assert_eq!(answer["reason"], "empty_gallery");
    let examined = bench.run(&["doctor", "--set", "mqtt.enabled=false", "--json"]).json();
    let database = check(&examined, "database");
    assert_eq!(database["verdict"], "warn");
    assert!(database["what"].to_string().contains("another model"), "{database}");
}

fn check(examined: &Json, name: &str) -> Json {
    let checks = examined["checks"].as_array().expect("a list");
    checks.iter().find(|check| check["check"] == name).cloned().unwrap_or_default()
}

fn every_finding_has_a_remedy(examined: &Json) {
    for finding in examined["checks"].as_array().expect("a list") {
        let remedy = finding["remedy"].as_str().unwrap_or_default();
        assert_eq!(finding["verdict"] == "ok", remedy.is_empty(), "{finding}");
    }
}

#[test]
fn the_doctor_examines_everything_and_fails_where_something_is_missing() {
    let bench = Bench::new();
    let answer = bench.run(&[
        "doctor",
        "--json",
        "--set",
        "models.library=/nonexistent/lib.so",
        "--set",
        "mqtt.port=1",
        "--set",
        "mqtt.host=127.0.0.1",
        "--set",
        "camera.replay.path=/nonexistent/visit",
        "--set",
        "clock.require=plausible",
    ]);
    assert_eq!(answer.code, 1, "{}", answer.err);
    let examined = answer.json();
    assert_eq!(examined["verdict"], "fail");
    every_finding_has_a_remedy(&examined);
    assert!(["ok", "warn"].contains(&check(&examined, "clock")["verdict"].as_str().expect("text")));
    // Cards, files and calibration can be looked at without the library.
    assert!(check(&examined, "model")["what"].is_string(), "{examined}");
    assert_eq!(check(&examined, "threshold")["verdict"], "ok", "{examined}");
    for (name, verdict) in [
        ("configuration", "ok"),
        ("library", "fail"),
        ("database", "warn"),
        ("camera", "fail"),
        ("broker", "fail"),
    ] {
        let check = check(&examined, name);
        assert_eq!(check["verdict"], verdict, "{name}: {check}");
        assert!(check["what"].as_str().is_some_and(|what| !what.is_empty()), "{check}");
    }
    assert!(!bench.path("door.db").exists(), "the doctor makes nothing");
    let distrusted = bench.run(&[
        "doctor",
        "--json",
        "--set",
        "mqtt.enabled=false",
        "--set",
        "clock.require=synchronised",
    ]);
    let clock = check(&distrusted.json(), "clock");
    assert_eq!(clock["verdict"] == "ok", clock["remedy"].is_null(), "{clock}");
    let wrong = bench.run(&["doctor", "--json", "--set", "camera.widht=3"]).json();
    every_finding_has_a_remedy(&wrong);
    assert_eq!(check(&wrong, "configuration")["verdict"], "fail");
    for name in ["library", "model", "database", "camera", "broker", "clock"] {
        assert!(check(&wrong, name)["what"].is_string(), "{name} was not looked at: {wrong}");
    }
    let wrong = bench.run(&["doctor", "--set", "camera.widht=3"]);
    assert_eq!(wrong.code, 1);
    assert!(wrong.out.contains("did you mean 'camera.width'?"), "{}", wrong.out);
}

#[test]
fn the_doctor_sees_secrets_that_everybody_can_read() {
    use std::os::unix::fs::PermissionsExt as _;
    let bench = Bench::new();
    let secret = bench.write("password", "correct horse\n");
    for (mode, verdict) in [(0o644, "warn"), (0o640, "ok")] {
        std::fs::set_permissions(&secret, std::fs::Permissions::from_mode(mode)).expect("changed");
        let file = format!("mqtt.password_file={}", text(&secret));
        let answer = bench.run(&[
            "doctor",
            "--json",
            "--set",
            "mqtt.username=door",
            "--set",
            &file,
            "--set",
            "mqtt.host=127.0.0.1",
            "--set",
            "mqtt.port=1",
            "--set",
            "camera.replay.path=/nonexistent/visit",
        ]);
        assert_eq!(check(&answer.json(), "secrets")["verdict"], verdict, "{}", answer.out);
        assert!(!answer.out.contains("correct horse"));
    }
}

#[test]
fn files_for_the_broker_are_looked_into_and_keep_no_door_from_starting() {
    let bench = Bench::new();
    let key = bench.write("door.key", "-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n");
    let secret = bench.write("password", "\nsecond line\n");
    let file = bench.write(
        "door.toml",
        format!(
            "[mqtt]\nhost = '127.0.0.1'\nport = 1\nusername = 'door'\npassword_file = '{}'\n\
             [mqtt.tls]\nenabled = true\nca = '{}'\ncert = '/nonexistent/door.pem'\nkey = '{}'\n",
            text(&secret),
            text(&secret),
            text(&key)
        ),
    );
    let checked = bench.run(&["config", "check", "--config", text(&file)]);
    assert_eq!(checked.code, 0, "the service asks this before it starts: {}", checked.err);
    for words in [
        "('mqtt.password_file'): its first line is empty, and line 2 is not",
        "('mqtt.tls.ca'): it is no certificate",
        "('mqtt.tls.cert'): No such file",
        "('mqtt.tls.key'): it holds a certificate where the private key should be",
    ] {
        assert!(checked.err.contains(words), "{words}: {}", checked.err);
    }
    assert_eq!(checked.err.matches("warning: ").count(), 4, "{}", checked.err);
    let told = bench.run(&["config", "check", "--json", "--config", text(&file)]).json();
    assert_eq!(told["warnings"].as_array().map(Vec::len), Some(4), "{told}");
    let right = bench.run(&["config", "check", "--json"]).json();
    assert_eq!(right["warnings"], serde_json::json!([]));
    let replay = ["--set", "camera.replay.path=/nonexistent/visit"];
    let doctor = [&["doctor", "--json", "--config", text(&file)][..], &replay].concat();
    let examined = bench.run(&doctor).json();
    let checks = examined["checks"].as_array().expect("checks");
    let files = checks.iter().filter(|check| check["check"] == "broker files");
    assert_eq!(files.filter(|check| check["verdict"] == "fail").count(), 4, "{examined}");
}

#[test]
fn the_doctor_is_content_with_models_that_were_fetched() {
    let Some(_) = photographs() else { return };
    let bench = Bench::new();
    let examined = bench.run(&["doctor", "--json", "--set", "mqtt.enabled=false"]).json();
    for name in ["library", "model", "threshold"] {
        assert_eq!(check(&examined, name)["verdict"], "ok", "{examined}");
    }
    assert_eq!(check(&examined, "broker")["verdict"], "warn");
}

#[test]
fn what_a_model_a_camera_and_a_broker_lack_has_a_code_each() {
    let bench = Bench::new();
    let unknown = bench.run(&["run", "--set", "models.embedder=foo", "--json"]);
    assert_eq!(unknown.code, 6, "{}", unknown.err);
    assert_eq!(unknown.error()["kind"], "model");
    let unheard = ["mqtt", "forget", "--json", "--set", "mqtt.host=127.0.0.1"];
    let unheard = bench.run(&[&unheard[..], &["--set", "mqtt.port=1"]].concat());
    assert_eq!(unheard.code, 10, "{}", unheard.err);
    assert_eq!(unheard.error()["kind"], "broker");
    if photographs().is_none() {
        return;
    }
    let (what, remedy) =
        (unknown.error()["what"].to_string(), unknown.error()["remedy"].to_string());
    assert!(what.contains("foo") && remedy.contains("deepid2 (embedder)"), "{what} {remedy}");
    let bench = Bench::new();
    let blind = ["enroll", "Ada", "--camera", "--set", "camera.device=/dev/no-camera", "--json"];
    let blind = bench.run(&blind);
    assert_eq!(blind.code, 7, "{}", blind.err);
    assert_eq!(blind.error()["kind"], "camera");
    assert!(!bench.path("door.db").exists(), "nobody was enrolled");
}

#[test]
fn a_door_is_forgotten_at_a_real_broker() {
    use support::mosquitto::{Broker, Mosquitto};
    use support::subscriber::Subscriber;
    let Some(broker) = Mosquitto::start(&Broker::default()) else { return };
    let topic = "homeassistant/device/deepid-edge-back/config";
    let listener = Subscriber::connect(broker.port(), "homeassistant/#");
    listener.publish(topic, true, "{}");
    listener.next("the announcement", |message| !message.payload.is_empty());
    let bench = Bench::new();
    let port = format!("mqtt.port={}", broker.port());
    let answer = bench.run(&[
        "mqtt",
        "forget",
        "--json",
        "--set",
        "mqtt.host=127.0.0.1",
        "--set",
        &port,
        "--set",
        "door.id=back",
    ]);
    assert_eq!(answer.code, 0, "{}", answer.err);
    assert_eq!(answer.json()["forgotten"], "back");
    let taken_back = listener.next("its end", |message| message.payload.is_empty());
    assert_eq!(taken_back.topic, topic);
}

#[test]
fn what_is_no_regular_file_is_refused_and_never_waited_for() {
    let bench = Bench::new();
    let pipe = bench.path("pipe.jpg");
    assert!(Command::new("mkfifo").arg(&pipe).status().expect("mkfifo runs").success());
    for (path, found) in
        [(text(&pipe), "a named pipe"), ("/dev/zero", "a device"), (".", "a folder")]
    {
        let answer = bench.run(&["detect", path]);
        assert_eq!(answer.code, 4, "{path}: {}", answer.err);
        assert!(answer.err.contains(&format!("is {found}, no regular file")), "{}", answer.err);
    }
    if photographs().is_none() {
        return;
    }
    let answer = bench.run(&["enroll", "Ada", "--replay", text(&pipe)]);
    assert_eq!(answer.code, 4, "{}", answer.err);
    assert!(answer.err.contains("is a named pipe, no regular file"), "{}", answer.err);
}

#[test]
fn a_variable_that_sets_nothing_is_refused_with_the_one_that_was_meant() {
    let bench = Bench::new();
    for (wrong, meant) in [
        ("DEEPID_EDGE_MQTT__HOST", "DEEPID_EDGE__MQTT__HOST"),
        ("DEEPID_EDGE_MQTT_HOST", "DEEPID_EDGE__MQTT__HOST"),
        ("DEEPID_EDGE_CAMERA__WIDHT", "DEEPID_EDGE__CAMERA__WIDTH"),
    ] {
        let mut command = bench.command(&["config", "check"]);
        let answer = bench.answer(command.env(wrong, "1").output().expect("the binary runs"));
        assert_eq!(answer.code, 3, "{}", answer.err);
        assert!(answer.err.contains(wrong) && answer.err.contains(meant), "{}", answer.err);
    }
    let mut others = bench.command(&["config", "check"]);
    others.env("DEEPID_EDGE_FACES", "1").env("DEEPID_EDGE_MQTTHOST", "1");
    let answer = bench.answer(others.output().expect("the binary runs"));
    assert_eq!(answer.code, 0, "they name no section: {}", answer.err);
}

#[test]
fn an_absent_recording_is_told_as_one_with_what_may_stand_there() {
    let Some(_) = photographs() else { return };
    let bench = Bench::new();
    for arguments in [&["run", "--replay", "nope"][..], &["enroll", "Ada", "--replay", "nope"]] {
        let answer = bench.run(&[arguments, &["--json", "--set", "mqtt.enabled=false"]].concat());
        assert_eq!(answer.code, 4, "{}", answer.err);
        let error = answer.error();
        assert_eq!(error["where"], "recording nope");
        for kind in [".png", "MJPEG", "Y4M"] {
            assert!(error["remedy"].to_string().contains(kind), "{error}");
        }
    }
}

#[test]
fn a_database_that_cannot_be_made_says_how_to_take_another() {
    let Some(photographs) = photographs() else { return };
    let bench = Bench::new();
    let picture = photographs.join("obama.jpg");
    let answer = bench.run(&[
        "enroll",
        "Ada",
        "--image",
        text(&picture),
        "--database",
        "/nonexistent/door.db",
        "--json",
    ]);
    assert_eq!(answer.code, 8, "{}", answer.err);
    let remedy = answer.error()["remedy"].to_string();
    for way in ["--database", "store.path", "install -d"] {
        assert!(remedy.contains(way), "{remedy}");
    }
}
