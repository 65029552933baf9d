//! The binary as a command: run to its end, its result read as JSON.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

use std::path::Path;
use std::process::{Command, Output};

/// Runs the program in the checkout, without whoever's configuration, to its end.
pub fn deepid_edge(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_deepid-edge"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env_remove("DEEPID_EDGE_CONFIG")
        .output()
        .expect("the binary starts")
}

/// What it said on standard output.
pub fn json(output: &Output) -> serde_json::Value {
    let said = String::from_utf8_lossy(&output.stderr);
    serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {said}"))
}

/// Whether the fetched photographs are there; says so when not.
pub fn assets() -> bool {
    let there = Path::new(env!("CARGO_MANIFEST_DIR")).join("assets/photographs/obama.jpg").exists();
    if !there {
        super::skip("assets are absent; 'make assets' fetches them");
    }
    there
}
