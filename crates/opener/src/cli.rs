//! The command line: `run`, `check`, and exit codes that never change their meaning.
//!
//! In: arguments. Out: 0 done; 2 the command line is wrong; 3 the configuration is wrong; 4 a line, the
//! kept number or the broker's files cannot be used, or have failed. `docs/opener.md` lists them.
//! Deliberately absent: any verb that opens.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};

use crate::broker::Link;
use crate::config::{Config, Problem};
use crate::service;

/// Where the package puts the configuration.
const CONFIG: &str = "/etc/deepid-opener/opener.toml";

#[derive(Parser)]
#[command(
    name = "deepid-opener",
    version,
    about = "Opens a door for the signed grants of deepid-edge"
)]
struct Arguments {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Listen to the broker, and open for grants and the exit button
    Run {
        /// The configuration
        #[arg(default_value = CONFIG)]
        config: PathBuf,
    },
    /// Say what is wrong with a configuration and the files that it names; nothing is opened
    Check {
        /// The configuration
        #[arg(default_value = CONFIG)]
        config: PathBuf,
    },
}

/// Reads the arguments and does what they say.
#[must_use]
pub fn main() -> ExitCode {
    let Arguments { verb } = Arguments::parse();
    let (Verb::Run { config: file } | Verb::Check { config: file }) = &verb;
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(problems) => {
            for Problem(what) in problems {
                eprintln!("deepid-opener: {what}");
            }
            return ExitCode::from(3);
        }
    };
    let done = match verb {
        Verb::Check { .. } => Link::new(&config).options().map(|_| {
            println!(
                "{}: opens '{}' for grants of '{}'",
                file.display(),
                config.listener,
                config.door
            );
        }),
        Verb::Run { .. } => run(config),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(what) => {
            eprintln!("deepid-opener: {what}");
            ExitCode::from(4)
        }
    }
}

fn run(config: Config) -> Result<(), String> {
    let filter = tracing_subscriber::EnvFilter::try_from_env("DEEPID_OPENER_LOG")
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("deepid_opener=info"));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(false)
        .without_time()
        .with_target(false)
        .init();
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| format!("no runtime: {error}"))?
        .block_on(service::run(config))
}
