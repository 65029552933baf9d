//! What `doctor` looks at: whether the other door can be believed, where people must come out before they
//! go in again.
//!
//! In: the configuration and the file of the other door's keys. Out: what is made of a second passage, or why
//! the other door would not be heard. Nothing is changed.

use super::findings::Findings;
use crate::cli::exit::Kind;
use crate::cli::failure::Failure;
use crate::config::Config;
use crate::daemon::neighbour::Neighbour;
use crate::policy::{Direction, PassbackMode};

const CHECK: &str = "passback";

pub(super) fn check(findings: &mut Findings, config: &Config) {
    let mode = match config.passback.mode {
        PassbackMode::Off => return,
        PassbackMode::Soft => "recorded",
        PassbackMode::Hard if config.passback_policy().refuses() => "denied",
        PassbackMode::Hard => "recorded, because nobody is kept from leaving",
    };
    match Neighbour::of(config) {
        Ok(Some(neighbour)) => {
            let way = if config.door.direction == Direction::Out { "out" } else { "in" };
            findings.ok(
                CHECK,
                format!(
                    "this door leads {way}, '{}' the other way; whoever passes twice is {mode}",
                    neighbour.door()
                ),
            );
        }
        Ok(None) => {}
        Err(error) => findings.fail(
            CHECK,
            &Failure::new(
                Kind::Configuration,
                error.to_string(),
                "copy what 'deepid-edge keys export' writes at the other door, and name it in passback.keys",
            ),
        ),
    }
}
