//! Style as a test: what `CONTRIBUTING.md` and `docs/architecture.md` promise of the sources.
//!
//! In: the files of this repository. Out: one failure for each rule that is broken, with every
//! place that breaks it and what to do.
//! Deliberately absent: what rustfmt, clippy and rustdoc already hold.
#![allow(clippy::unwrap_used, reason = "a test may panic, also in what its cases share")]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Each room may use those before it, never those after it.
const ROOMS: [&str; 30] = [
    "geometry",
    "mask",
    "remedy",
    "clock",
    "backoff",
    "secret",
    "durable",
    "sign",
    "frame",
    "inference",
    "capture",
    "detect",
    "align",
    "embed",
    "liveness",
    "compare",
    "policy",
    "decide",
    "config",
    "recognise",
    "door",
    "store",
    "publish",
    "equip",
    "enrol",
    "calibrate",
    "serve",
    "daemon",
    "lab",
    "cli",
];

/// What lies in a checkout and is none of the sources.
const NOT_OURS: [&str; 3] = [".git", "target", "assets"];

const LINES_MAX: usize = 600;
const BLOB_BYTES_MAX: u64 = 1 << 20;
/// Files longer than this say more in their header than one line.
const SHORT_LINES: usize = 60;
const HEADER_LINES_MIN: usize = 3;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file of the repository, as a path from its root with `/`.
fn files() -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).unwrap() {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if NOT_OURS.contains(&name.as_str()) || name == "__pycache__" {
                continue;
            }
            if entry.file_type().unwrap().is_dir() {
                folders.push(entry.path());
            } else {
                let path = entry.path().strip_prefix(root()).unwrap().to_path_buf();
                found.push(path.to_str().unwrap().to_owned());
            }
        }
    }
    found.sort();
    found
}

fn extension(path: &str) -> &str {
    Path::new(path).extension().and_then(|e| e.to_str()).unwrap_or_default()
}

fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_default()
}

fn sources() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|path| path.starts_with("src/") && extension(path) == "rs").map(
        |path| {
            let text = read(&path);
            (path, text)
        },
    )
}

/// Documents that people read: Markdown anywhere, but for the history.
fn documents() -> impl Iterator<Item = (String, String)> {
    files().into_iter().filter(|p| extension(p) == "md" && p != "CHANGELOG.md").map(|path| {
        let text = read(&path);
        (path, text)
    })
}

/// The code of a file: comments are no dependency.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    (1..).zip(text.lines()).filter(|(_, line)| !line.trim_start().starts_with("//"))
}

/// The same lines, those of comments empty.
fn without_comments(text: &str) -> String {
    let line = |line| if str::trim_start(line).starts_with("//") { "" } else { line };
    text.lines().map(line).collect::<Vec<_>>().join("\n")
}

fn none_of(rule: &str, broken: &[String]) {
    assert!(broken.is_empty(), "{rule}\n  {}", broken.join("\n  "));
}

/// The room that a source file belongs to; `lib.rs` and `main.rs` belong to none.
fn room(path: &str) -> Option<usize> {
    let inside = path.strip_prefix("src/")?;
    let name = inside.split(['/', '.']).next()?;
    ROOMS.iter().position(|room| *room == name)
}

/// How many `super` lead from a source file's module to the crate: `src/daemon/front.rs` needs two.
fn depth(path: &str) -> usize {
    let inside = path.trim_start_matches("src/").trim_end_matches(".rs").trim_end_matches("/mod");
    inside.split('/').count()
}

/// The identifier that `text` begins with; empty if it begins with none.
fn identifier(text: &str) -> &str {
    let text = text.trim_start();
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    text.get(..end).unwrap_or_default()
}

/// What stands first in a path, or in each path of a list in braces, over as many lines as it takes.
fn heads(path: &str) -> Vec<&str> {
    let Some(list) = path.trim_start().strip_prefix('{') else { return vec![identifier(path)] };
    let mut heads = vec![identifier(list)];
    let mut nested = 0_usize;
    for (place, letter) in list.char_indices() {
        match letter {
            '{' => nested += 1,
            '}' if nested == 0 => break,
            '}' => nested -= 1,
            ',' if nested == 0 => {
                heads.push(identifier(list.get(place + 1..).unwrap_or_default()));
            }
            _ => {}
        }
    }
    heads
}

/// What a source file takes from the crate's top, by `crate::` or by as many `super::` as lead there,
/// with the line where that stands.
fn taken_from_the_top<'t>(path: &str, text: &'t str) -> Vec<(usize, &'t str)> {
    let mut found = Vec::new();
    let mut supers = 0;
    let mut last_end = 0;
    let starts = text.match_indices("crate::").chain(text.match_indices("super::"));
    let mut starts: Vec<(usize, &str)> = starts.collect();
    starts.sort_unstable();
    for (start, word) in starts {
        let end = start + word.len();
        supers = match word {
            "super::" if start == last_end => supers + 1,
            "super::" => 1,
            _ => 0,
        };
        last_end = end;
        let rest = text.get(end..).unwrap_or_default();
        let goes_on = rest.starts_with("super::");
        if word == "crate::" || (supers >= depth(path) && !goes_on) {
            let line = 1 + text.get(..start).unwrap_or_default().matches('\n').count();
            found.extend(heads(rest).into_iter().map(|head| (line, head)));
        }
    }
    found
}

#[test]
fn rooms_use_only_rooms_before_them() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some(own) = room(&path) else { continue };
        for (number, name) in taken_from_the_top(&path, &without_comments(&text)) {
            if ROOMS.iter().position(|room| *room == name).is_some_and(|used| used > own) {
                broken.push(format!("{path}:{number}: uses {name}, which comes after it"));
            }
        }
    }
    none_of("a room may use only rooms before it; pass a value in, or move the type up:", &broken);
}

#[test]
fn what_a_file_uses_is_seen_however_it_is_written() {
    let of = |path, text| -> Vec<&str> {
        taken_from_the_top(path, text).into_iter().map(|(_, head)| head).collect()
    };
    let nested = "use crate::{\n    clock::{Clock, Monotonic},\n    daemon,\n    store::{\n        Store,\n    },\n};\n";
    assert_eq!(of("src/decide/visit.rs", nested), ["clock", "daemon", "store", ""]);
    assert_eq!(of("src/decide/visit.rs", "crate::cli::run(); $crate::mask!()"), ["cli", "mask"]);
    let above = "use super::super::{\n    cli,\n};\nuse super::reason;";
    assert_eq!(of("src/decide/visit.rs", above), ["cli", ""], "from the room itself takes nothing");
    assert_eq!(of("src/decide/mod.rs", "use super::daemon;"), ["daemon"]);
    assert_eq!(of("src/recognise.rs", "use super::daemon::Slot;"), ["daemon"]);
    assert!(of("src/publish/session/live.rs", "use super::super::cli;").is_empty());
    let lines = taken_from_the_top("src/mask.rs", "\n\nuse crate::{\n  cli};");
    assert_eq!(lines, [(3, "cli")]);
}

#[test]
fn the_library_is_its_rooms_in_order() {
    let text = read("src/lib.rs");
    let declared: Vec<&str> = text
        .lines()
        .filter_map(|line| line.strip_prefix("pub mod ").or_else(|| line.strip_prefix("mod ")))
        .map(|rest| rest.trim_end_matches(';'))
        .collect();
    assert_eq!(declared, ROOMS, "src/lib.rs declares the rooms in their order, and nothing else");
}

#[test]
fn every_file_says_what_it_is() {
    let mut broken = Vec::new();
    for path in files().iter().filter(|p| extension(p) == "rs") {
        let text = read(path);
        let header = text.lines().take_while(|line| line.starts_with("//!")).count();
        let lines = text.lines().count();
        if header == 0 {
            broken.push(format!("{path}: begins without //!"));
        } else if lines > SHORT_LINES && header < HEADER_LINES_MIN {
            broken.push(format!("{path}: {lines} lines, {header} of header"));
        }
    }
    for path in files().iter().filter(|p| matches!(extension(p), "py" | "sh")) {
        let text = read(path);
        let opening: Vec<&str> = text.lines().take(2).collect();
        let says = opening.iter().any(|line| line.starts_with("\"\"\"") || line.starts_with("# "));
        if !says {
            broken.push(format!("{path}: begins without a line that says what it does"));
        }
    }
    none_of("a file begins with what it does, what goes in and out, what never holds:", &broken);
}

#[test]
fn a_test_that_skips_does_so_in_one_way() {
    let marks = ["SKIP", "PED"].concat();
    let broken: Vec<String> = files()
        .into_iter()
        .filter(|path| path.starts_with("tests/") && extension(path) == "rs")
        .filter(|path| path != "tests/support/skip.rs" && read(path).contains(&marks))
        .collect();
    none_of("tests/support/skip.rs says what is skipped, and fails where nothing may be", &broken);
}

#[test]
fn no_source_is_longer_than_a_reader_can_hold() {
    let broken: Vec<String> = sources()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > LINES_MAX)
        .map(|(path, lines)| format!("{path}: {lines} lines"))
        .collect();
    none_of(&format!("a file over {LINES_MAX} lines wants to be two:"), &broken);
}

#[test]
fn no_file_has_a_name_that_says_nothing() {
    let empty_names = ["utils", "util", "helpers", "helper", "common", "types", "manager", "misc"];
    let broken: Vec<String> = files()
        .into_iter()
        .filter(|path| path.split(['/', '.']).any(|part| empty_names.contains(&part)))
        .collect();
    none_of("name a file after what it does:", &broken);
}

#[test]
fn no_blob_lies_about() {
    let mut broken = Vec::new();
    for path in files() {
        let size = std::fs::metadata(root().join(&path)).map_or(0, |m| m.len());
        let model = path.starts_with("models/") && extension(&path) == "tflite";
        if size > BLOB_BYTES_MAX && !model {
            broken.push(format!("{path}: {size} bytes"));
        }
    }
    none_of("large files come through assets.toml, or are made by a script:", &broken);
}

/// Texts between backticks and the targets of links, without what follows `#` or `::`.
fn mentioned(text: &str) -> Vec<String> {
    let mut found: Vec<String> = text
        .lines()
        .flat_map(|line| line.split('`').skip(1).step_by(2))
        .map(str::to_owned)
        .collect();
    for link in text.split("](").skip(1) {
        found.extend(link.split(')').next().map(|target| format!("./{target}")));
    }
    found
}

/// The path of the repository that a mentioned text means, if it means one.
fn as_path(text: &str, from: &str) -> Option<PathBuf> {
    let text = text.split("::").next()?.split('#').next()?.trim_end_matches('/');
    let placeholder = |c: char| "*<>{}$…| =,".contains(c);
    if text.is_empty() || text.contains(placeholder) || text.contains("NNNN") || text.contains(':')
    {
        return None;
    }
    let beside = Path::new(from).parent().unwrap_or(Path::new(""));
    if let Some(link) = text.strip_prefix("./") {
        return Some(beside.join(link));
    }
    let top = text.split('/').next()?;
    let ours = ["src", "tests", "docs", "deploy", "systemd", "benches", "tools", "models", ".ci"];
    let here = text.contains('/') && ours.contains(&top);
    let named = ["Makefile", "Cargo.toml", "assets.toml", "cross.toml", "deny.toml", "clippy.toml"];
    (here || named.contains(&text)).then(|| PathBuf::from(text))
}

#[test]
fn every_path_in_the_documents_exists() {
    let headers = sources().map(|(path, text)| {
        let header: Vec<&str> = text.lines().take_while(|line| line.starts_with("//!")).collect();
        (path, header.join("\n"))
    });
    let mut broken = Vec::new();
    for (file, text) in documents().chain(headers) {
        // In a room's header a link is rustdoc's, which checks it itself.
        let links = extension(&file) == "md";
        for mention in mentioned(&text).iter().filter(|m| links || !m.starts_with("./")) {
            let Some(path) = as_path(mention, &file) else { continue };
            if !root().join(&path).exists() {
                broken.push(format!("{file}: {}", path.display()));
            }
        }
    }
    none_of("a document names a path that is not there:", &broken);
}

#[test]
fn every_invariant_names_a_test_that_exists() {
    let text = read("docs/architecture.md");
    let mut broken = Vec::new();
    let mut count = 0;
    for paragraph in text.split("**Invariant:**").skip(1) {
        count += 1;
        let sentence = paragraph.lines().next().unwrap_or_default();
        let named: Vec<(&str, &str)> =
            sentence.split('`').filter_map(|t| t.split_once(".rs::")).collect();
        if named.is_empty() {
            broken.push(format!("names no `file.rs::test`: {sentence}"));
        }
        for (file, test) in named {
            let function = test.rsplit("::").next().unwrap_or(test);
            if !read(&format!("{file}.rs")).contains(&format!("fn {function}(")) {
                broken.push(format!("no such test: {file}.rs::{test}"));
            }
        }
    }
    assert!(count > 0, "docs/architecture.md states its invariants");
    none_of("an invariant in docs/architecture.md is held by a test, on the same line:", &broken);
}

#[test]
fn every_test_that_a_document_names_exists() {
    let mut broken = Vec::new();
    for (document, text) in documents() {
        for (file, test) in text.split('`').filter_map(|quoted| quoted.split_once(".rs::")) {
            let function = test.rsplit("::").next().unwrap_or(test);
            let named = file.chars().all(|c| c.is_alphanumeric() || "/_-".contains(c));
            if named && !read(&format!("{file}.rs")).contains(&format!("fn {function}(")) {
                broken.push(format!("{document}: {file}.rs::{test}"));
            }
        }
    }
    none_of("a document names a test that is not there:", &broken);
}

#[test]
fn every_threat_names_what_holds_against_it_or_says_that_nothing_does() {
    let text = read("docs/threat-model.md");
    let rows = text.split("## Choose").next().unwrap_or_default().lines();
    let rows: Vec<&str> =
        rows.filter(|row| row.starts_with("| ") && row.matches(" |").count() == 3).collect();
    let claims = rows.iter().filter(|row| !row.contains("| what ") && !row.contains("| where "));
    let assets = text.split("## At the door").next().unwrap_or_default();
    let broken: Vec<String> = claims
        .filter(|row| !assets.contains(*row) && !row.contains(".rs::") && !row.contains("**"))
        .map(|row| (*row).to_owned())
        .collect();
    assert!(rows.len() > 20, "the threats stand in tables of three columns");
    none_of("a claim in docs/threat-model.md is held by a test:", &broken);
}

#[test]
fn unsafe_code_stands_only_where_the_architecture_says() {
    let text = read("docs/architecture.md");
    let listed: BTreeSet<String> = text
        .split("## Unsafe code")
        .nth(1)
        .unwrap_or_default()
        .lines()
        .take_while(|line| !line.starts_with("## "))
        .filter_map(|line| line.strip_prefix("| `")?.split('`').next().map(str::to_owned))
        .collect();
    let crates = files().into_iter().filter(|path| {
        path.starts_with("crates/") && path.contains("/src/") && extension(path) == "rs"
    });
    let says_so = |line: &str| line.contains("unsafe") && !line.contains("(unsafe_code)");
    let found: BTreeSet<String> = sources()
        .chain(crates.map(|path| (read(&path), path)).map(|(text, path)| (path, text)))
        .filter(|(_, text)| code(text).any(|(_, line)| says_so(line)))
        .map(|(path, _)| path)
        .collect();
    assert_eq!(found, listed, "left: where `unsafe` stands; right: docs/architecture.md");
}

#[test]
fn every_make_target_is_in_the_help() {
    let text = read("Makefile");
    let phony = text.lines().find(|line| line.starts_with(".PHONY:")).unwrap_or_default();
    let mut broken = Vec::new();
    for line in text.lines() {
        let Some((target, rest)) = line.split_once(':') else { continue };
        let is_target =
            target.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if !is_target || target.is_empty() || rest.starts_with('=') {
            continue;
        }
        if !line.contains(" ## ") {
            broken.push(format!("{target}: has no ' ## what it does'"));
        }
        if !phony.split(' ').any(|name| name == target) {
            broken.push(format!("{target}: is not in .PHONY"));
        }
    }
    none_of("people find a target through `make help`:", &broken);
}

#[test]
fn cross_is_told_its_configuration() {
    let mut calls = 0;
    let mut broken = Vec::new();
    for path in files() {
        if path.ends_with("Cross.toml") {
            broken.push(format!("{path}: its name is cross.toml here"));
        }
        if path == "tests/tidy.rs" || !matches!(extension(&path), "md" | "sh" | "yml" | "" | "toml")
        {
            continue;
        }
        for (number, line) in (1..).zip(read(&path).lines()) {
            if ["cross build", "cross test", "cross run"].iter().any(|call| line.contains(call)) {
                calls += 1;
                if !line.contains("CROSS_CONFIG=cross.toml") {
                    broken.push(format!("{path}:{number}"));
                }
            }
        }
    }
    assert!(calls > 0, "nothing says how cross.toml is used");
    none_of("cross ignores cross.toml unless CROSS_CONFIG names it:", &broken);
}

#[test]
fn cross_and_make_build_for_the_same_targets() {
    let listed = |path: &str| -> BTreeSet<String> {
        let targets =
            |line: &str| Some(line.strip_prefix("[target.")?.strip_suffix(']')?.to_owned());
        read(path).lines().filter_map(targets).filter(|target| !target.contains('.')).collect()
    };
    let made: BTreeSet<String> = read("Makefile")
        .lines()
        .filter(|line| line.starts_with('\t') && line.contains(" build "))
        .filter_map(|line| Some(line.split_once("--target ")?.1.to_owned()))
        .collect();
    assert!(!made.is_empty(), "the Makefile builds for boards");
    assert_eq!(listed("cross.toml"), made, "left: cross.toml; right: Makefile");
    assert_eq!(listed(".cargo/config.toml"), made, "left: .cargo/config.toml; right: Makefile");
    // The compiler comes with cross's image; bindgen's library comes with neither.
    let (cross, setup) = (read("cross.toml"), read("tools/setup_debian.sh"));
    let needs = cross.lines().filter(|line| line.contains("apt-get install")).map(|line| {
        line.trim_matches([' ', '"', ',']).rsplit(' ').next().unwrap_or_default().to_owned()
    });
    let unknown: Vec<String> =
        needs.filter(|package| !setup.contains(&format!("need {package} "))).collect();
    none_of("cross.toml needs a package that tools/setup_debian.sh lacks:", &unknown);
}

#[test]
fn nothing_depends_on_one_machine_or_one_index() {
    // Written in two parts, so that this file does not find itself.
    let hosts = [
        concat!("pypi", ".org"),
        concat!("pythonhosted", ".org"),
        concat!("index.", "crates.io"),
        concat!("static.", "crates.io"),
        concat!("deb.", "debian.org"),
    ];
    let neighbour = concat!("../", "shared");
    let mut broken = Vec::new();
    for path in files().into_iter().filter(|p| p != "Cargo.lock") {
        let text = read(&path);
        for host in hosts.iter().filter(|host| text.contains(**host)) {
            broken.push(format!("{path}: names {host}; clients know their index themselves"));
        }
        let may_skip = ["tests/", "tools/", "docs/"].iter().any(|place| path.starts_with(place));
        if text.contains(neighbour) && !may_skip {
            broken.push(format!("{path}: names {neighbour}; tests and tools that skip may"));
        }
    }
    none_of("a clean clone works anywhere:", &broken);
}
