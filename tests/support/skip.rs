//! What a test does that finds something missing: it says so aloud, and passes, or fails.
//!
//! [`skip`] is for what `make setup` and `make assets` bring, such as a program or a network: with
//! `DEEPID_EDGE_REQUIRE_ALL=1`, as `make test` sets it, its absence is a failure, lest a gate pass
//! that has looked at nothing. [`skip_here`] is for what a machine may rightly lack.
#![allow(dead_code, clippy::panic, reason = "each test file uses a part; a missing thing fails it")]

use std::fmt::Display;

/// Says what is missing that setup would bring; the caller returns then.
pub fn skip(reason: impl Display) {
    assert!(
        std::env::var_os("DEEPID_EDGE_REQUIRE_ALL").is_none_or(|value| value != "1"),
        "{reason} (DEEPID_EDGE_REQUIRE_ALL=1 lets no test skip)"
    );
    skip_here(reason);
}

/// Says what this machine lacks that no setup brings: pictures that are not in the repository, the
/// right to mount.
pub fn skip_here(reason: impl Display) {
    eprintln!("SKIPPED: {reason}");
}
