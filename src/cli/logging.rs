//! The log: to standard error, as the configuration says.
//!
//! In: `log.level` and `log.format`. Out: `tracing`'s subscriber for this process. Verbs that
//! answer a question log warnings alone unless a level was asked for, so that an answer is not
//! drowned; the daemon logs at the configured level. Deliberately absent: files and rotation, which
//! the journal does better.

use std::io::IsTerminal as _;

use tracing::level_filters::LevelFilter;

use crate::config::{Config, LogFormat, Origin};

/// Starts the log of a verb that answers and ends.
pub(super) fn for_a_verb(config: &Config) {
    let asked = config
        .settings()
        .iter()
        .any(|setting| setting.key == "log.level" && setting.origin != Origin::Default);
    let level = if asked { config.log.level.as_tracing() } else { tracing::Level::WARN };
    start(config, level);
}

/// Starts the log of the daemon.
pub(super) fn for_the_daemon(config: &Config) {
    start(config, config.log.level.as_tracing());
}

fn start(config: &Config, level: tracing::Level) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .with_target(false)
        .with_max_level(LevelFilter::from_level(level));
    // A second log in one process (tests do that) keeps the first.
    let _kept = match config.log.format {
        LogFormat::Text => builder.try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
}
