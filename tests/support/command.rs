//! The binary as a command: run to its end, its result read as JSON.
#![allow(clippy::expect_used, clippy::panic, reason = "a test stops at the first surprise")]

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
