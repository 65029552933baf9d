//! The kept inputs of the fuzz targets, run by the stable compiler: what a target found once stays mended.
//!
//! In: `fuzz/corpus`, a folder for each target, and the bodies of the targets, which are shared with the
//! fuzzer. Out: a panic where a body's assertion does not hold. Each input is also run cut short and with
//! bits changed, by chances of a fixed seed. `make corpora` writes the first inputs anew, from what the
//! program and its tests make themselves; what a fuzzer has found is kept beside them.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test stops at the first surprise"
)]

#[path = "../fuzz/bodies/mod.rs"]
mod bodies;
#[path = "support/people.rs"]
mod people;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use deepid_edge::capture::replay::mjpeg::MjpegWriter;
use deepid_edge::clock::{ClockTrust, WallClock};
use deepid_edge::config::KEYS;
use deepid_edge::embed::FeatureVector;
use deepid_edge::sign::GrantKey;
use deepid_edge::store::{ReferenceSource, RuleChange, Store, StoreSettings};
use people::People as _;
use rusqlite::types::Value;
use safetensors::tensor::{Dtype, TensorView};
use serde_json::{Value as Json, json};

/// Bytes of a target's corpus together.
const CORPUS_BYTES_MAX: u64 = 128 << 10;
/// How often each input is run with something changed.
const CHANGES: u64 = 40;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn corpus(target: &str) -> PathBuf {
    root().join("fuzz/corpus").join(target)
}

/// The kept inputs of `target`, in the order of their names.
fn kept(target: &str) -> Vec<(PathBuf, Vec<u8>)> {
    let folder = corpus(target);
    let entries = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}; run 'make corpora'", folder.display()));
    let mut found: Vec<_> = entries
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), std::fs::read(path).unwrap()))
        .collect();
    found.sort();
    found
}

#[test]
fn every_kept_input_is_answered_or_refused() {
    for (target, body) in bodies::TARGETS {
        let inputs = kept(target);
        assert!(!inputs.is_empty(), "{target} has inputs");
        let bytes: u64 = inputs.iter().map(|(_, bytes)| bytes.len() as u64).sum();
        assert!(bytes <= CORPUS_BYTES_MAX, "{target}: {bytes} bytes");
        for (path, bytes) in inputs {
            println!("{}", path.display());
            body(&bytes);
        }
    }
}

#[test]
fn every_kept_input_is_answered_or_refused_when_something_of_it_is_changed() {
    for (target, body) in bodies::TARGETS {
        let mut random = fastrand::Rng::with_seed(9);
        for (path, whole) in kept(target) {
            println!("{}", path.display());
            for _ in 0..CHANGES {
                let mut bytes = whole.clone();
                for _ in 0..random.usize(1..4) {
                    if bytes.is_empty() {
                        break;
                    }
                    let at = random.usize(0..bytes.len());
                    match random.u8(0..5) {
                        0 => bytes.truncate(at),
                        1 => bytes[at] ^= 1 << random.u8(0..8),
                        2 => bytes[at] = random.u8(..),
                        3 => drop(bytes.remove(at)),
                        _ => bytes.insert(at, b"\0\xFF0-9\n"[random.usize(0..6)]),
                    }
                }
                body(&bytes);
            }
        }
    }
}

#[test]
fn the_first_inputs_are_what_the_program_makes() {
    let write = std::env::var_os("DEEPID_EDGE_CORPORA_WRITE").is_some();
    let mut broken = Vec::new();
    for ((target, name), bytes) in first_inputs() {
        let path = corpus(target).join(name);
        if write {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, &bytes).unwrap();
        } else if std::fs::read(&path).ok().as_ref() != Some(&bytes) {
            broken.push(path.display().to_string());
        }
    }
    assert!(broken.is_empty(), "run 'make corpora' for\n  {}", broken.join("\n  "));
}

type Inputs = BTreeMap<(&'static str, String), Vec<u8>>;

/// The inputs that are no finds of a fuzzer.
fn first_inputs() -> Inputs {
    let mut inputs = Inputs::new();
    for add in [pictures, streams, texts, messages, grants, cohorts, names, rows, backups, numbers]
    {
        add(&mut inputs);
    }
    inputs
}

fn add(inputs: &mut Inputs, target: &'static str, name: &str, bytes: impl Into<Vec<u8>>) {
    let before = inputs.insert((target, name.to_owned()), bytes.into());
    assert!(before.is_none(), "{target}/{name} stands there twice");
}

/// A picture of some colours.
fn rgb(width: u32, height: u32) -> image::RgbImage {
    image::RgbImage::from_fn(width, height, |x, y| {
        image::Rgb([(x * 7) as u8, (y * 11) as u8, (x * y) as u8])
    })
}

fn encoded(format: image::ImageFormat) -> Vec<u8> {
    let mut bytes = std::io::Cursor::new(Vec::new());
    rgb(24, 16).write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

fn pictures(inputs: &mut Inputs) {
    for (name, format) in [("jpeg", image::ImageFormat::Jpeg), ("png", image::ImageFormat::Png)] {
        add(inputs, "picture", name, encoded(format));
    }
    for name in ["restarts.jpg", "subsampled.jpg", "grey-progressive.jpg", "lying.webp"] {
        let bytes = std::fs::read(root().join("tests/data/pictures").join(name)).unwrap();
        if bytes.len() < 8 << 10 {
            add(inputs, "picture", name, bytes.clone());
            if Path::new(name).extension().is_some_and(|ending| ending == "jpg") {
                add(inputs, "decode", name, bytes);
            }
        }
    }
    add(inputs, "decode", "jpeg", encoded(image::ImageFormat::Jpeg));
}

fn streams(inputs: &mut Inputs) {
    let mut stream = Vec::new();
    let mut writer = MjpegWriter::new(&mut stream, 60);
    for _ in 0..3 {
        writer.write_rgb(rgb(16, 16).as_raw(), 16, 16).unwrap();
    }
    writer.finish().unwrap();
    let broken = [&stream[..stream.len() / 2], b"--boundary\r\n", &stream].concat();
    add(inputs, "mjpeg", "three", stream);
    add(inputs, "mjpeg", "broken", broken);
    for (name, colours, bytes) in
        [("420", "C420jpeg", 96), ("422", "C422", 128), ("grey", "Cmono", 64)]
    {
        let mut stream = format!("YUV4MPEG2 W8 H8 F15:1 Ip {colours}\n").into_bytes();
        for grey in [90, 160] {
            stream.extend(b"FRAME\n");
            stream.extend(vec![grey; bytes]);
        }
        add(inputs, "y4m", name, stream);
    }
    // Format, width, height, bytes of a line, pixels.
    for (format, name, stride, bytes) in [
        (0, "yuyv", 16, 128),
        (1, "uyvy", 16, 128),
        (2, "nv12", 8, 96),
        (3, "grey", 8, 64),
        (4, "rgb", 24, 192),
    ] {
        let head = [format, 8, 0, 8, 0, stride, 0];
        let pixels: Vec<u8> = (0..bytes).map(|i| (i * 37) as u8).collect();
        add(inputs, "raw", name, [&head[..], &pixels].concat());
    }
}

fn texts(inputs: &mut Inputs) {
    let mut section = String::new();
    let mut file = String::new();
    for key in KEYS {
        let (own, name) = key.name.rsplit_once('.').unwrap();
        if own != section {
            file.extend(["[", own, "]\n"]);
            own.clone_into(&mut section);
        }
        file.extend(["# ", name, "\n"]);
    }
    add(inputs, "config", "sections", file);
    add(inputs, "config", "visit", std::fs::read(root().join("tests/data/visit.toml")).unwrap());
    let few = "[door]\nid = 'front'\n[mqtt]\nhost = 'broker.example'\nport = 8883\nusername = 'door'\npassword_file = '/etc/deepid-edge/password'\n[mqtt.tls]\nenabled = true\n[camera]\ndevice = 'rtsp://camera.example/1'\nrotate = 90\n[policy]\ntime_zone = 'Europe/Berlin'\n[detect]\nignore = [[0.1, 0.2, 0.3, 0.4]]\n";
    add(inputs, "config", "few", few);
    add(inputs, "config", "secret", "[camera]\ndevice = 'http://user:secret@camera.example'\n");
    for name in [
        "blazeface-full-range",
        "blazeface-short-range",
        "face-mesh",
        "liveness",
        "covered",
        "deepid2",
    ] {
        let card = std::fs::read_to_string(root().join(format!("models/{name}.toml"))).unwrap();
        add(inputs, "card", name, card);
    }
    let fusion = FUSION.replace("HASH", &"0".repeat(64));
    add(inputs, "fusion", "two", fusion);
}

const FUSION: &str = r#"id = "both"
title = "Two networks"
gate = 0.3
weights = [0.5, 0.5]
mirrored = true
[first]
id = "deepid2"
sha256 = "HASH"
[second]
id = "deepid2-plus"
sha256 = "HASH"
[provenance]
source = "nobody"
licence = "MIT"
[[calibration]]
metric = "cosine"
mirrored = true
source = "nobody"
points = [[1e-2, 0.4], [1e-6, 0.5]]
"#;

fn messages(inputs: &mut Inputs) {
    let challenge = |listener: &str, nonce: &str| {
        json!({ "schema": "deepid-edge/challenge/1", "listener": listener, "nonce": nonce })
            .to_string()
    };
    add(inputs, "challenge", "good", challenge("lock", "AAAAAAAAAAAAAAAAAAAAAA"));
    add(inputs, "challenge", "listener", challenge("Lock 1", "AAAAAAAAAAAAAAAAAAAAAA"));
    add(inputs, "challenge", "nonce", challenge("lock", "short"));
    add(inputs, "challenge", "schema", r#"{"schema":"x","listener":"lock","nonce":""}"#);
    for (name, topic) in [
        ("ping", "answers/me"),
        ("snapshot_health", "deepid-edge/front/access"),
        ("open", "answers/+"),
        ("../front/access", "homeassistant/lock"),
        ("ping", "$SYS/x"),
    ] {
        let file = format!("{name}-{topic}").replace(['/', '.', '+', '$'], "_");
        add(inputs, "request", &file, format!("{name}\n{topic}"));
    }
    let info = json!({ "schema": "deepid-edge/info/1", "door": "front", "boot": "7c0d2f6a-1111-4222-8333-000000000001" });
    add(inputs, "info", "info", info.to_string());
    add(inputs, "info", "boot", r#"{"boot":""}"#);
    let key = GrantKey::of_seed(&[1; 32]);
    add(inputs, "pem", "private", key.to_pem().as_bytes());
    add(inputs, "pem", "public", key.public().to_pem());
}

/// Of the table of forgeries the first message of each reason, and those that are taken.
fn grants(inputs: &mut Inputs) {
    let table = root().join("crates/grant/tests/forgeries.jsonl");
    let mut reasons: BTreeMap<String, u32> = BTreeMap::new();
    for line in std::fs::read_to_string(table).unwrap().lines() {
        let case: Json = serde_json::from_str(line).unwrap();
        for step in case["steps"].as_array().unwrap() {
            let Some(message) = step["message"].as_str().filter(|m| m.len() < 1000) else {
                continue;
            };
            let reason = step["expect"].as_str().unwrap().to_owned();
            let count = reasons.entry(reason.clone()).or_default();
            if *count < 3 {
                *count += 1;
                add(inputs, "grant", &format!("{reason}-{count}"), message);
            }
        }
    }
    assert!(reasons.len() > 8, "{reasons:?}");
}

fn cohorts(inputs: &mut Inputs) {
    let card: toml::Table =
        toml::from_str(&std::fs::read_to_string(root().join("models/deepid2.toml")).unwrap())
            .unwrap();
    let words = |scale: &str| {
        [
            ("model", card["id"].as_str().unwrap()),
            ("sha256", card["sha256"].as_str().unwrap()),
            ("scale", scale),
            ("zero_point", "-128"),
            ("people", "2"),
            ("mirrored", "true"),
            ("source", "nobody"),
        ]
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
    };
    let data: Vec<u8> = (0..320).map(|i| i as u8).collect();
    for (name, scale) in [("two", "0.5"), ("no-scale", "0"), ("large", "3e38")] {
        // Written by hand: the library's own order of the words differs from run to run.
        let words: serde_json::Map<String, Json> =
            words(scale).into_iter().map(|(key, value)| (key, value.into())).collect();
        let header = json!({
            "__metadata__": words,
            "features": { "dtype": "I8", "shape": [2, 160], "data_offsets": [0, 320] },
        })
        .to_string();
        let length = (header.len() as u64).to_le_bytes();
        add(inputs, "cohort", name, [&length[..], header.as_bytes(), &data].concat());
    }
    drop(TensorView::new(Dtype::I8, vec![2, 160], &data).unwrap());
}

/// Names of two people: alike by case, by characters, by how they are composed, and none.
fn names(inputs: &mut Inputs) {
    for (name, two) in [
        ("plain", "Ada Lovelace\nGrace Hopper"),
        ("case", "Ada\nADA"),
        ("cyrillic", "Ada\nАdа"),
        ("composed", "Zoë\nZoe\u{308}"),
        ("id", "s-000001\nstaff"),
        ("invisible", "A\u{200b}da\nA\u{202e}da"),
        ("ligature", "ﬁn\nfin"),
    ] {
        add(inputs, "names", name, two);
    }
}

/// A row of each table, as the program writes it.
fn rows(inputs: &mut Inputs) {
    const WALL: WallClock =
        WallClock { unix_ms: 1_800_000_000_000, trust: ClockTrust::Trusted, synchronised: false };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("door.db");
    let mut store = Store::open(&path, StoreSettings::default()).unwrap();
    let subject = store.add_subject("Ada", WALL).unwrap();
    let vector = FeatureVector::new(people::key_by("deepid2", 0), vec![1.5, -2.0]).unwrap();
    store.add_reference(&subject, &vector, 0.5, ReferenceSource::Image, WALL).unwrap();
    store
        .note_grant_key(GrantKey::of_seed(&[1; 32]).public(), deepid_edge::sign::PlaceKind::File, 7)
        .unwrap();
    let name = deepid_edge::policy::RuleName::new("work").unwrap();
    let hours = deepid_edge::policy::Schedule::read("mon-fri 08:00-18:00; holiday closed").unwrap();
    let by = people::signed(WALL);
    store.change_rules(RuleChange::SetSchedule { schedule: &name, hours: &hours }, by).unwrap();
    drop(store);
    let database = rusqlite::Connection::open(&path).unwrap();
    let mut random = 0_u8;
    for (place, table) in [
        "audit",
        "subjects",
        "subject_references",
        "schedules",
        "grant_keys",
        "audit_state",
        "store_key",
    ]
    .into_iter()
    .enumerate()
    {
        let number = [0, 1, 2, 3, 8, 9, 10][place];
        let row = database
            .query_row(&format!("SELECT * FROM {table}"), [], |row| {
                let columns = row.as_ref().column_count();
                (0..columns).map(|column| row.get(column)).collect::<Result<Vec<Value>, _>>()
            })
            .unwrap();
        let columns: Vec<String> = row
            .iter()
            .map(|value| match value {
                Value::Null => "-".to_owned(),
                Value::Integer(number) => number.to_string(),
                Value::Real(number) => number.to_string(),
                // Ids are drawn: those of the kept row are always the same.
                Value::Text(text) if uuid::Uuid::try_parse(text).is_ok() => {
                    random += 1;
                    uuid::Uuid::from_bytes([random; 16]).to_string()
                }
                Value::Text(text) => text.replace(subject.as_str(), "s-0a0b0c"),
                // What is sealed is of random bytes, and opens for its own row alone.
                Value::Blob(bytes) => format!("x{}", "a5".repeat(bytes.len())),
            })
            .map(|text| if matches!(text.len(), 32 | 64) { "a".repeat(text.len()) } else { text })
            .collect();
        add(inputs, "rows", table, [&[number], columns.join("\u{1f}").as_bytes()].concat());
    }
    let key = GrantKey::of_seed(&[1; 32]);
    let (kid, x) = (key.public().thumbprint(), key.public().x());
    for (number, name, text) in [
        (4, "group", "staff\u{1f}work\u{1f}1\u{1f}staff\u{1f}work"),
        (5, "terms", "s-0a0b0c\u{1f}staff\u{1f}2026-12-24T18:30:00\u{1f}-\u{1f}1"),
        (6, "holiday", "2026-12-25"),
        (7, "arming", "1\u{1f}1\u{1f}1800000000000\u{1f}work"),
        (10, "account", "hall\u{1f}kiosk\u{1f}$argon2id$v=19$m=7168,t=5,p=1$c2FsdA$aGFzaA\u{1f}7"),
        (11, "token", &format!("{}\u{1f}hall\u{1f}7", "a".repeat(64))),
        (12, "administrator", &format!("caretaker\u{1f}{kid}\u{1f}{x}\u{1f}factor\u{1f}7")),
        (13, "retired", "s-0a0b0c"),
        (15, "pins", &format!("s-0a0b0c\u{1f}x{}\u{1f}7", "5a".repeat(298))),
        (16, "whereabouts", "s-0a0b0c\u{1f}1\u{1f}1800000000000\u{1f}back"),
    ] {
        add(inputs, "rows", name, [&[number], text.as_bytes()].concat());
    }
}

fn backups(inputs: &mut Inputs) {
    let database = b"no database, and as long as is said";
    let manifest = json!({
        "format": "deepid-edge/backup", "version": 1, "software": "0.1.0",
        "made": "2026-05-01T07:15:02Z", "door": "front",
        "database": { "schema": 2, "bytes": database.len(), "subjects": 0, "references": [] },
    })
    .to_string();
    for (name, second) in [("whole", "deepid-edge.db"), ("other", "../../etc/passwd")] {
        let mut archive = tar::Builder::new(Vec::new());
        for (name, bytes) in [("manifest.json", manifest.as_bytes()), (second, database)] {
            let mut header = tar::Header::new_ustar();
            header.as_old_mut().name[..name.len()].copy_from_slice(name.as_bytes());
            header.set_size(bytes.len() as u64);
            header.set_cksum();
            archive.append(&header, bytes).unwrap();
        }
        add(inputs, "backup", name, archive.into_inner().unwrap());
    }
}

/// What a detector may give: a face, nothing, no numbers.
fn numbers(inputs: &mut Inputs) {
    let bytes = |numbers: &[f32]| numbers.iter().flat_map(|n| n.to_le_bytes()).collect::<Vec<_>>();
    add(inputs, "ssd", "faces", bytes(&[5.0, -3.0, 40.0, 40.0, 1.0, 1.5, 2.0, 0.5]));
    add(inputs, "ssd", "none", bytes(&[-100.0]));
    add(inputs, "ssd", "nan", bytes(&[f32::NAN, 1.0]));
    add(inputs, "ssd", "infinity", bytes(&[f32::INFINITY, 1.0, 3e38]));
}
