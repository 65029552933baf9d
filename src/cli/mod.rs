//! The command line: one file for each verb.
//!
//! In: arguments. Out: results on standard output, errors on standard error, an exit code from the
//! table in [`exit`]. A verb is a struct of arguments with `run(self, &Context)`; this file only
//! dispatches. Invariant: a verb never exits by itself and never prints an error by itself.

pub mod context;
pub mod draw;
pub mod exit;
pub mod failure;

mod absent;
mod accounts;
mod admins;
mod arm;
mod ask;
mod backup;
mod calibrate;
mod clock;
mod completions;
mod config;
#[cfg(feature = "demo")]
mod demo;
mod detect;
mod doctor;
mod enroll;
mod erase;
#[cfg(feature = "lab")]
mod evaluate;
mod groups;
mod identify;
mod inside;
mod keys;
mod logging;
mod man;
mod models;
mod moment;
mod mqtt;
mod passphrase;
mod pins;
mod policy;
mod progress;
mod records;
mod restore;
mod run;
mod schedules;
mod store_key;
mod subjects;
mod undone;
mod usable;
mod verify;

use std::borrow::Cow;
use std::ffi::OsString;
use std::io::Write as _;
use std::process::ExitCode;
use std::sync::LazyLock;

use clap::{CommandFactory as _, Parser, Subcommand};

use context::{Context, Shared};
use exit::Kind;
use failure::Failure;

use crate::mask;

/// Face recognition at a door, on the board itself: camera frames in, access decisions out over MQTT
#[derive(Debug, Parser)]
#[command(
    name = "deepid-edge",
    version,
    long_version = LONG_VERSION.as_str(),
    propagate_version = false,
    max_term_width = 100,
    arg_required_else_help = true,
    subcommand_required = true,
    after_help = "Exit codes stand in deepid-edge(1) and docs/exit-codes.md; every key of the configuration in 'deepid-edge config show --default'."
)]
pub struct CommandLine {
    #[command(flatten)]
    shared: Shared,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Run the daemon: watch the door and publish decisions
    Run(run::Arguments),
    /// Find the faces in a picture, and draw them
    Detect(detect::Arguments),
    /// Say whether two pictures show the same person
    Verify(verify::Arguments),
    /// Say who of those enrolled a picture shows
    Identify(identify::Arguments),
    /// Enrol a person, or add pictures to one
    Enroll(enroll::Arguments),
    /// Check camera, models, library, database, broker and clock
    Doctor(doctor::Arguments),
    /// List, rename, disable, enable, limit, mark or remove enrolled people
    #[command(subcommand)]
    Subjects(subjects::Verb),
    /// Give people PINs, which they type at the door beside showing their face
    #[command(subcommand)]
    Pins(pins::Verb),
    /// Say who went in and has not come out, or forget it
    #[command(subcommand)]
    Inside(inside::Verb),
    /// Say which people pass by the same hours
    #[command(subcommand)]
    Groups(groups::Verb),
    /// Say which hours those are, and which days are holidays
    #[command(subcommand)]
    Schedules(schedules::Verb),
    /// Ask the rules who may pass, and when
    #[command(subcommand)]
    Policy(policy::Verb),
    /// Say whether the door lets anybody in at all
    #[command(subcommand)]
    Arm(arm::Verb),
    /// Say who may change something over MQTT
    #[command(subcommand)]
    Admins(admins::Verb),
    /// Ask a door for something over MQTT
    Ask(ask::Arguments),
    /// Say who may use the door's page
    #[command(subcommand)]
    Accounts(accounts::Verb),
    /// Show or export what the door did
    #[command(subcommand)]
    Records(records::Verb),
    /// Say whether the clock is trusted, or that it is right
    #[command(subcommand)]
    Clock(clock::Verb),
    /// Show, export or change the key by which grants are signed, or change the one that seals the database
    #[command(subcommand)]
    Keys(keys::Verb),
    /// Show that nothing of people can be read without the key, or see to it
    Erase(erase::Arguments),
    /// List models, or add one
    #[command(subcommand)]
    Models(models::Verb),
    /// Write people, references, audit and configuration into one encrypted file
    Backup(backup::Arguments),
    /// Bring a door back from a backup, on this board or another one
    Restore(restore::Arguments),
    /// Speak to the broker
    #[command(subcommand)]
    Mqtt(mqtt::Verb),
    /// Enrol a person, replay a visit and show the decisions as they arrive over MQTT
    #[cfg(feature = "demo")]
    Demo(demo::Arguments),
    /// Tell which FPIR the door may claim for the people enrolled at it, by a cohort of strangers
    Calibrate(calibrate::Arguments),
    /// Measure on photographs and clips of people
    #[cfg(feature = "lab")]
    #[command(subcommand)]
    Evaluate(evaluate::Verb),
    /// Show or check the configuration
    #[command(subcommand)]
    Config(config::Verb),
    /// Print a shell's completion script
    Completions(completions::Arguments),
    /// Print the manual page, or write all of them
    Man(man::Arguments),
}

/// Reads the process's arguments, runs the verb, tells failures.
#[must_use]
pub fn main() -> ExitCode {
    let arguments: Vec<OsString> = std::env::args_os().collect();
    let (outcome, json) = match CommandLine::try_parse_from(&arguments) {
        Ok(line) => (dispatch(line.verb, &Context::new(line.shared.clone())), line.shared.json),
        Err(error) => {
            let json = arguments.iter().any(|argument| argument == "--json");
            (misunderstood(&error, &arguments, json), json)
        }
    };
    let kind = match outcome {
        Ok(kind) => kind,
        Err(failure) => {
            let text = if json {
                mask::json(&failure.to_json().to_string()).into_owned()
            } else {
                mask::text(&failure.to_string()).into_owned()
            };
            let _closed = writeln!(std::io::stderr(), "{text}");
            failure.kind()
        }
    };
    ExitCode::from(kind.code())
}

fn dispatch(verb: Verb, context: &Context) -> Result<Kind, Failure> {
    match verb {
        Verb::Run(verb) => verb.run(context),
        Verb::Detect(verb) => verb.run(context),
        Verb::Verify(verb) => verb.run(context),
        Verb::Identify(verb) => verb.run(context),
        Verb::Enroll(verb) => verb.run(context),
        Verb::Doctor(verb) => verb.run(context),
        Verb::Subjects(verb) => verb.run(context),
        Verb::Pins(verb) => verb.run(context),
        Verb::Inside(verb) => verb.run(context),
        Verb::Groups(verb) => verb.run(context),
        Verb::Schedules(verb) => verb.run(context),
        Verb::Policy(verb) => verb.run(context),
        Verb::Arm(verb) => verb.run(context),
        Verb::Admins(verb) => verb.run(context),
        Verb::Ask(verb) => verb.run(context),
        Verb::Accounts(verb) => verb.run(context),
        Verb::Records(verb) => verb.run(context),
        Verb::Clock(verb) => verb.run(context),
        Verb::Keys(verb) => verb.run(context),
        Verb::Erase(verb) => verb.run(context),
        Verb::Models(verb) => verb.run(context),
        Verb::Backup(verb) => verb.run(context),
        Verb::Restore(verb) => verb.run(context),
        Verb::Mqtt(verb) => verb.run(context),
        #[cfg(feature = "demo")]
        Verb::Demo(verb) => verb.run(context),
        Verb::Calibrate(verb) => verb.run(context),
        #[cfg(feature = "lab")]
        Verb::Evaluate(verb) => verb.run(context),
        Verb::Config(verb) => verb.run(context),
        Verb::Completions(verb) => verb.run(context),
        Verb::Man(verb) => verb.run(context),
    }
}

/// Help and version are answers; anything else is wrong usage, as JSON where that was asked for.
fn misunderstood(error: &clap::Error, arguments: &[OsString], json: bool) -> Result<Kind, Failure> {
    if error.exit_code() == 0 {
        let _closed = error.print();
        return Ok(Kind::Done);
    }
    if let Some(failure) = absent::told(error, arguments) {
        return Err(failure);
    }
    if json {
        let text = error.to_string();
        let what = text.trim().trim_start_matches("error: ").to_owned();
        return Err(Failure::new(Kind::Usage, what, "'deepid-edge help' lists verbs and flags"));
    }
    // What was typed stands in it: an address with its password too.
    let _closed = match mask::text(&error.to_string()) {
        Cow::Borrowed(_) => error.print(),
        Cow::Owned(masked) => write!(std::io::stderr(), "{masked}"),
    };
    Ok(Kind::Usage)
}

/// The whole command line, for manual page and completions.
#[must_use]
pub fn command() -> clap::Command {
    CommandLine::command()
}

static LONG_VERSION: LazyLock<String> = LazyLock::new(|| {
    format!(
        "{} ({})\ntarget:   {}-{}\nSQLite:   {}\nruntime:  LiteRT, opened from models.library or where the package put it\nlicence:  {}",
        env!("CARGO_PKG_VERSION"),
        option_env!("DEEPID_EDGE_COMMIT").unwrap_or("commit not recorded"),
        std::env::consts::ARCH,
        std::env::consts::OS,
        rusqlite::version(),
        env!("CARGO_PKG_LICENSE"),
    )
});
