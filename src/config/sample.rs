//! The table of keys as a file and as a section of the manual.
//!
//! In: [`KEYS`]. Out: text. Invariant: the default file sets nothing: every key stands there as a
//! comment with its default, so that a later release may change a default; a test takes the comment
//! signs away and finds the defaults. `deploy/config.toml` is this text, and a test holds that.

use std::fmt::Write as _;

use super::keys::{KEYS, SECTIONS};
use super::layers::environment_name;

const WIDTH: usize = 96;

/// The commented default file, as `deploy/config.toml` and `config show --default` have it.
#[must_use]
pub fn default_file() -> String {
    let mut text = String::new();
    wrap(
        &mut text,
        "Configuration of deepid-edge. Every key stands here with its default, as a comment: remove the '#' and change the value. Above this file stand the environment (DEEPID_EDGE__SECTION__KEY) and flags (--set section.key=value). 'deepid-edge config check' tells what is wrong, 'deepid-edge config show' what is in force and why. Each key says whether a change takes effect at a reload ('systemctl reload deepid-edge') or needs a restart. Relative paths count from the folder that the program is started in. Made from the table in src/config/keys.rs; 'make test' fails when it is not.",
    );
    for section in SECTIONS {
        let rule = "-".repeat(WIDTH.saturating_sub(section.help.len() + 5));
        let _infallible = writeln!(text, "\n# {} {rule}\n[{}]", section.help, section.name);
        for key in KEYS {
            let Some((place, name)) = key.name.rsplit_once('.') else { continue };
            if place != section.name {
                continue;
            }
            text.push('\n');
            wrap(&mut text, &format!("{} {}", key.help, key.change.sentence()));
            if key.default.is_none() {
                let _infallible = writeln!(text, "# Unset by default.");
            }
            let _infallible = writeln!(text, "#{name} = {}", key.default.unwrap_or(key.example));
        }
    }
    text
}

fn wrap(text: &mut String, sentences: &str) {
    let mut line = String::from("#");
    for word in sentences.split(' ') {
        if line.chars().count() + 1 + word.chars().count() > WIDTH {
            text.push_str(&line);
            text.push('\n');
            line = String::from("#");
        }
        line.push(' ');
        line.push_str(word);
    }
    text.push_str(&line);
    text.push('\n');
}

/// The keys as roff, for the manual page.
#[must_use]
pub fn manual_section() -> String {
    let mut text = String::from(".SH CONFIGURATION\n");
    text.push_str(&roff(&format!(
        "Keys are read from {} (or the file that --config names), then from the environment, then from flags; the later one counts. An empty value in the environment or a flag unsets a key that has no default.",
        super::STANDARD_FILE
    )));
    for section in SECTIONS {
        let _infallible = write!(text, ".SS [{}]\n{}", section.name, roff(section.help));
        for key in KEYS
            .iter()
            .filter(|key| key.name.rsplit_once('.').is_some_and(|(place, _)| place == section.name))
        {
            let default =
                key.default.map_or("unset".to_owned(), |value| format!("default {value}"));
            let _infallible = write!(
                text,
                ".TP\n\\fB{}\\fR ({})\n{}.br\n{}",
                roff(key.name).trim_end(),
                roff(&default).trim_end(),
                roff(key.help),
                roff(&format!(
                    "Must be {}. {} {}",
                    key.kind,
                    key.change.sentence(),
                    environment_name(key.name)
                )),
            );
        }
    }
    text
}

/// One line of text as roff takes it: no control characters at its start, no escapes inside.
fn roff(line: &str) -> String {
    let escaped = line.replace('\\', "\\\\").replace('-', "\\-");
    let guard = if escaped.starts_with(['.', '\'']) { "\\&" } else { "" };
    format!("{guard}{escaped}\n")
}
