//! What each fuzz target does with its bytes: any bytes are answered or refused, never a panic.
//!
//! In: bytes, as a fuzzer makes them (`fuzz/fuzz_targets`) or as they are kept (`fuzz/corpus`, which
//! `tests/corpora.rs` runs with the stable compiler). Out: nothing; each body asserts what must hold of
//! what it was given. Targets and test share these functions, so that both look at the same thing.
//! Deliberately absent: clocks, networks, and anything that depends on the machine.

mod access;
mod frames;
mod names;
mod rows;
mod texts;

/// A target by its name, and what it does.
pub type Target = (&'static str, fn(&[u8]));

/// All targets, in the order of the alphabet.
pub const TARGETS: [Target; 18] = [
    ("backup", rows::backup),
    ("card", texts::card),
    ("challenge", access::challenge),
    ("cohort", texts::cohort),
    ("config", texts::config),
    ("decode", frames::decode),
    ("fusion", texts::fusion),
    ("grant", access::grant),
    ("info", access::info),
    ("mjpeg", frames::mjpeg),
    ("names", names::names),
    ("pem", access::pem),
    ("picture", frames::picture),
    ("raw", frames::raw),
    ("request", access::request),
    ("rows", rows::rows),
    ("ssd", frames::ssd),
    ("y4m", frames::y4m),
];

/// Runs the body of the target `name`.
///
/// # Panics
/// Where there is no such target, or what must hold does not.
#[allow(dead_code, reason = "the fuzzer's side calls it")]
pub fn run(name: &str, bytes: &[u8]) {
    let target = TARGETS.iter().find(|(known, _)| *known == name);
    let (_, body) = target.unwrap_or_else(|| panic!("no target '{name}' in fuzz/bodies/mod.rs"));
    body(bytes);
}

/// The two halves of `bytes` around the first line break; the second is empty where there is none.
fn halves(bytes: &[u8]) -> (&[u8], &[u8]) {
    let end = bytes.iter().position(|&byte| byte == b'\n').unwrap_or(bytes.len());
    let (first, rest) = bytes.split_at(end);
    (first, rest.get(1..).unwrap_or_default())
}
