//! The documents that people type from: every command line and every quoted message is real, and what
//! they name on a board is packed.
//!
//! In: README.md, docs/ and deploy/ as they are, and the command line's own definition. Out: one
//! failure with every line that the program would not understand, or would never say.
//! Deliberately absent: commands of other programs, and whether what is typed also succeeds.
#![allow(
    clippy::unwrap_used,
    clippy::indexing_slicing,
    reason = "a test may panic, also in what its cases share"
)]

use std::path::{Path, PathBuf};

const PROGRAM: &str = "deepid-edge";

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// Every file below `folder` whose name ends in `extension`.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|e| e == extension) {
            found.push(path);
        }
    }
    found.sort();
    found
}

fn documents() -> Vec<PathBuf> {
    let mut all = ["README.md", "models/README.md", "models/RESULTS.md"]
        .map(|name| root().join(name))
        .to_vec();
    for folder in ["docs", "deploy"] {
        all.extend(files(&root().join(folder), "md"));
    }
    all
}

/// What a person would type: lines of shell blocks, and what stands between backticks in a sentence.
fn typed(document: &str) -> Vec<String> {
    let (mut found, mut fence) = (Vec::new(), None);
    for line in document.lines() {
        match (line.trim_start().strip_prefix("```"), fence) {
            (Some(language), None) => fence = Some(language),
            (Some(_), Some(_)) => fence = None,
            (None, Some("sh")) => found.push(line.to_owned()),
            (None, Some(_)) => {}
            (None, None) => found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned)),
        }
    }
    found
}

#[test]
fn every_variable_that_sets_a_key_is_one_that_the_program_reads() {
    let known: Vec<String> = deepid_edge::config::KEYS
        .iter()
        .map(|key| format!("DEEPID_EDGE__{}", key.name.to_uppercase().replace('.', "__")))
        .collect();
    let (mut unknown, mut seen) = (Vec::new(), 0);
    for document in documents() {
        let text = std::fs::read_to_string(&document).unwrap();
        let part = |c: char| !(c.is_ascii_uppercase() || c.is_ascii_digit() || c == '_');
        for name in text.split(part).filter(|name| name.starts_with("DEEPID_EDGE_")) {
            // One underscore is a variable of the program's own, such as DEEPID_EDGE_CONFIG.
            let sets_a_key = name.trim_start_matches("DEEPID_EDGE_").contains("__")
                || name.starts_with("DEEPID_EDGE__");
            if sets_a_key && name != "DEEPID_EDGE__SECTION__KEY" {
                seen += 1;
                if !known.iter().any(|known| known == name) {
                    unknown.push(format!("{}: {name}", document.display()));
                }
            }
        }
    }
    assert!(seen > 0, "README.md has one");
    assert!(unknown.is_empty(), "the program reads none of these: {unknown:#?}");
}

/// Words as a shell would part them: quotes, a comment at the end, the first command of a pipe.
fn words(line: &str) -> Vec<String> {
    let (mut words, mut word, mut quote) = (Vec::new(), None::<String>, None);
    for character in line.chars() {
        match (character, quote) {
            (c, Some(open)) if c == open => quote = None,
            (c, None) if c == '"' || c == '\'' => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            ('#', None) if word.is_none() => break,
            ('|' | ';' | '>' | '&', None) => break,
            (c, None) if c.is_whitespace() => words.extend(word.take()),
            (c, _) => word.get_or_insert_default().push(c),
        }
    }
    words.extend(word);
    words
}

/// The program's own arguments, if `line` runs it: also behind `sudo` and another user.
fn arguments(line: &str) -> Option<Vec<String>> {
    let words = words(line);
    let mut rest = words.as_slice();
    if let [sudo, after @ ..] = rest
        && sudo == "sudo"
    {
        rest = match after {
            [flag, _user, after @ ..] if flag == "-u" => after,
            after => after,
        };
    }
    (rest.first()? == PROGRAM && rest.len() > 1).then(|| rest.to_vec())
}

/// `verb|verb` and `…` stand for several, and are no command line.
fn is_a_pattern(line: &str) -> bool {
    let between_letters = |(before, after): (&str, &str)| {
        before.ends_with(char::is_alphabetic) && after.starts_with(char::is_alphabetic)
    };
    line.contains('…') || line.split_once('|').is_some_and(between_letters)
}

#[test]
fn every_command_line_is_understood() {
    let (mut wrong, mut count) = (Vec::new(), 0);
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        for line in typed(&text).iter().filter(|line| !is_a_pattern(line)) {
            let Some(arguments) = arguments(line) else { continue };
            count += 1;
            if cfg!(not(feature = "lab")) && arguments.iter().any(|word| word == "evaluate") {
                continue;
            }
            let parsed = deepid_edge::cli::command().try_get_matches_from(&arguments);
            // Asking for help or the version is an answer, not a mistake.
            if let Err(error) = parsed
                && error.exit_code() != 0
            {
                let why = error.to_string();
                let first = why.lines().next().unwrap_or_default();
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                wrong.push(format!("{name}: {line}\n      {first}"));
            }
        }
    }
    assert!(count > 20, "only {count} command lines were found: the search is broken");
    assert!(wrong.is_empty(), "not understood by the program:\n  {}", wrong.join("\n  "));
}

/// What the Debian package puts where: from which file of this repository, to which path of a board.
/// What is made while it is packed (`target/`) is left out.
fn packed() -> Vec<(PathBuf, PathBuf)> {
    let manifest = std::fs::read_to_string(root().join("Cargo.toml")).unwrap();
    let manifest: toml::Table = toml::from_str(&manifest).unwrap();
    let assets = manifest["package"]["metadata"]["deb"]["assets"].as_array().unwrap();
    let mut found = Vec::new();
    for asset in assets {
        let [from, to] = [0, 1].map(|at| asset[at].as_str().unwrap());
        let (folder, name) = from.rsplit_once('/').unwrap_or(("", from));
        let Ok(entries) = std::fs::read_dir(root().join(folder)) else { continue };
        let (head, tail) = name.split_once('*').unwrap_or((name, ""));
        for entry in entries {
            let file = entry.unwrap().file_name().into_string().unwrap();
            let fits = file == name
                || (name.contains('*') && file.starts_with(head) && file.ends_with(tail));
            if fits && root().join(folder).join(&file).is_file() {
                let to = if to.ends_with('/') { format!("/{to}{file}") } else { format!("/{to}") };
                found.push((root().join(folder).join(&file), to.into()));
            }
        }
    }
    found
}

/// `path` without `.` and `..`.
fn even(path: &Path) -> PathBuf {
    let mut even = PathBuf::new();
    for part in path.components() {
        match part {
            std::path::Component::ParentDir => drop(even.pop()),
            std::path::Component::CurDir => {}
            part => even.push(part),
        }
    }
    even
}

/// Where the links of `document` lead that lead to a file beside it.
fn links(document: &str) -> Vec<&str> {
    let targets = document.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let paths = targets.map(|target| target.split('#').next().unwrap_or_default());
    paths.filter(|path| !path.is_empty() && !path.contains("://")).collect()
}

/// Paths below the package's documents that `document` names.
fn named_paths(document: &str) -> Vec<String> {
    const DOC: &str = "/usr/share/doc/deepid-";
    let ends = |c: char| c.is_whitespace() || "`)],;\"'".contains(c);
    let rest = document.match_indices(DOC).map(|(at, _)| &document[at..]);
    rest.map(|rest| rest.split(ends).next().unwrap().trim_end_matches(['.', '/', ':']).to_owned())
        .collect()
}

/// dpkg's tools may add `.gz` to a document that is packed: who reads it on a board knows.
#[test]
fn what_a_document_names_on_a_board_is_there() {
    let packed = packed();
    assert!(packed.len() > 30, "only {} files were found: the search is broken", packed.len());
    let there = |path: &Path| {
        let made = ["licences", "changelog.gz"].iter().any(|name| path.ends_with(name));
        made || packed.iter().any(|(_, to)| to.starts_with(path))
    };
    let (mut wrong, mut count) = (Vec::new(), 0);
    for (from, to) in packed.iter().filter(|(from, _)| from.extension().is_some_and(|e| e == "md"))
    {
        let text = std::fs::read_to_string(from).unwrap();
        for link in links(&text) {
            count += 1;
            let target = even(&to.parent().unwrap().join(link));
            if !there(&target) {
                wrong.push(format!("{}: {link} would be {}", from.display(), target.display()));
            }
        }
    }
    for path in documents() {
        let text = std::fs::read_to_string(&path).unwrap();
        let own = named_paths(&text).into_iter().filter(|name| !name.contains("deepid-opener"));
        for name in own.filter(|name| !there(Path::new(name))) {
            wrong.push(format!("{}: {name} is not packed", path.display()));
        }
    }
    assert!(count > 30, "only {count} links were found: the search is broken");
    assert!(wrong.is_empty(), "not there on a board:\n  {}", wrong.join("\n  "));
}

#[test]
fn what_the_installation_guide_quotes_is_said_by_the_program() {
    let guide = std::fs::read_to_string(root().join("docs/install.md")).unwrap();
    let sources: String = files(&root().join("src"), "rs")
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let table = guide.split("| it says |").nth(1).unwrap().split("\n\n").next().unwrap();
    let quoted: Vec<&str> =
        table.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next()).collect();
    assert!(quoted.len() > 10, "only {} messages were found: the search is broken", quoted.len());
    // What happened and what helps stand in two places of the sources.
    let said = |text: &str| text.split("; ").all(|half| sources.contains(half));
    let never: Vec<_> = quoted.iter().filter(|text| !said(text)).collect();
    assert!(never.is_empty(), "docs/install.md quotes what the program never says: {never:#?}");
}

#[test]
fn a_shells_words_are_parted_as_a_shell_does() {
    assert_eq!(words("a 'b c' d\"e f\"g # h"), ["a", "b c", "de fg"]);
    assert_eq!(words("a '' | b"), ["a", ""]);
    let run = |line: &str| arguments(line).map(|words| words.join(" "));
    assert_eq!(run("sudo -u deepid-edge deepid-edge run").as_deref(), Some("deepid-edge run"));
    assert_eq!(run("sudo deepid-edge backup x").as_deref(), Some("deepid-edge backup x"));
    assert_eq!(run("systemctl start deepid-edge"), None);
    assert_eq!(run("deepid-edge"), None);
    assert_eq!(links("[a](b.md#c) [d](https://e) [f](#g) ![h](i/j.png)"), ["b.md", "i/j.png"]);
    assert_eq!(even(Path::new("/a/b/../c/./d")), Path::new("/a/c/d"));
    assert_eq!(
        named_paths("in `/usr/share/doc/deepid-edge/x.md`, or /usr/share/doc/deepid-edge/."),
        ["/usr/share/doc/deepid-edge/x.md", "/usr/share/doc/deepid-edge"]
    );
    assert!(is_a_pattern("deepid-edge backup|restore"));
    assert!(!is_a_pattern("deepid-edge man | less"));
}
