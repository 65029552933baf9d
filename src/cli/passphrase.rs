//! The passphrase of a backup, the password of an account and the PIN of a person: typed unseen, or from a
//! file.
//!
//! In: the terminal, or `--passphrase-file`, `--password-file`, `--pin-file`. Out: a [`Passphrase`], a text or a
//! [`Pin`]. Invariants: it is never echoed,
//! logged or part of an error; a new one is typed twice and is long enough to resist guessing.
//! Deliberately absent: a flag or a variable that holds it. Other users see a command line in 'ps',
//! and an environment is inherited and logged.

use std::io::IsTerminal as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use clap::Args;
use zeroize::Zeroizing;

use super::context::Context;
use super::exit::Kind;
use super::failure::Failure;
use crate::policy::{Pin, PinProblem, RuleName};
use crate::secret::{Secret, SecretError};
use crate::store::backup::Passphrase;

/// The least length of a new one. At a second a guess on one core, twelve letters at random last
/// longer than whoever guesses; it is no help against a word from a dictionary.
const CHARACTERS_MIN: usize = 12;
const ATTEMPTS: usize = 3;

/// Where the passphrase comes from.
#[derive(Debug, Args)]
pub(super) struct From {
    /// Read the passphrase from the first line of this file instead of asking; /dev/stdin is one
    #[arg(long, value_name = "FILE")]
    passphrase_file: Option<PathBuf>,
}

/// Where the password of an account comes from.
#[derive(Debug, Args)]
pub(super) struct PasswordFrom {
    /// Read the password from the first line of this file instead of asking; /dev/stdin is one
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
}

impl PasswordFrom {
    /// A new password for `account`. Its length is judged by whoever hashes it.
    pub(super) fn new_one(&self, context: &Context, account: &RuleName) -> Result<String, Failure> {
        if let Some(path) = &self.password_file {
            return secret(context, path, &PASSWORD);
        }
        typed_twice(context, &format!("Password for {account}: "), &PASSWORD)
    }
}

/// Where the PIN of a person comes from.
#[derive(Debug, Args)]
pub(super) struct PinFrom {
    /// Read the PIN from the first line of this file instead of asking; /dev/stdin is one
    #[arg(long, value_name = "FILE")]
    pin_file: Option<PathBuf>,
}

impl PinFrom {
    /// A new PIN for `whom`.
    pub(super) fn new_one(&self, context: &Context, whom: &str) -> Result<Pin, Failure> {
        let text = match &self.pin_file {
            Some(path) => secret(context, path, &PIN)?,
            None => typed_twice(context, &format!("PIN for {whom}: "), &PIN)?,
        };
        Pin::chosen(text).map_err(|problem| {
            let remedy = match problem {
                PinProblem::Form => "six digits are easy to remember and hard to guess",
                PinProblem::Trivial => {
                    "take no run, no repeated digits or pairs, no year and no row of the keypad"
                }
            };
            Failure::new(Kind::Usage, problem.to_string(), remedy)
        })
    }
}

/// What somebody types twice alike.
fn typed_twice(context: &Context, prompt: &str, asked: &Asked) -> Result<String, Failure> {
    for _ in 0..ATTEMPTS {
        let first = Zeroizing::new(typed(context, prompt, asked)?);
        if Zeroizing::new(typed(context, "The same again: ", asked)?) == first {
            return Ok(first.as_str().to_owned());
        }
        context.mention("These were two different ones.");
    }
    let Asked { what, flag } = asked;
    Err(Failure::new(
        Kind::Declined,
        format!("no {what} was set; nothing was changed"),
        format!("type it twice, or name a file with {flag}"),
    ))
}

/// What is asked for, in words.
struct Asked {
    what: &'static str,
    flag: &'static str,
}

const PASSPHRASE: Asked = Asked { what: "passphrase", flag: "--passphrase-file" };
const PASSWORD: Asked = Asked { what: "password", flag: "--password-file" };
const PIN: Asked = Asked { what: "PIN", flag: "--pin-file" };

impl From {
    /// A new passphrase.
    pub(super) fn new_one(&self, context: &Context) -> Result<Passphrase, Failure> {
        if let Some(path) = &self.passphrase_file {
            let passphrase = from_file(context, path)?;
            return long_enough(passphrase)
                .map_err(|failure| failure.at(path.display().to_string()));
        }
        for _ in 0..ATTEMPTS {
            let first = match long_enough(ask(context, "Passphrase for the new backup: ")?) {
                Ok(passphrase) => passphrase,
                Err(failure) => {
                    context.mention(failure);
                    continue;
                }
            };
            if ask(context, "The same again: ")? == first {
                return Ok(first);
            }
            context.mention("These were two different ones.");
        }
        Err(Failure::new(
            Kind::Declined,
            "no passphrase was set; nothing was written",
            "write it down first, then type it twice; or name a file with --passphrase-file",
        ))
    }

    /// The passphrase that was set.
    pub(super) fn known_one(&self, context: &Context) -> Result<Passphrase, Failure> {
        match &self.passphrase_file {
            Some(path) => from_file(context, path),
            None => ask(context, "Passphrase of the backup: "),
        }
    }
}

fn long_enough(passphrase: Passphrase) -> Result<Passphrase, Failure> {
    if passphrase.length() >= CHARACTERS_MIN {
        return Ok(passphrase);
    }
    Err(Failure::new(
        Kind::Usage,
        format!(
            "a passphrase of {} characters, {CHARACTERS_MIN} are the least",
            passphrase.length()
        ),
        "five or six words picked at random are easy to write down: whoever finds the file may guess as long as they like",
    ))
}

fn ask(context: &Context, prompt: &str) -> Result<Passphrase, Failure> {
    typed(context, prompt, &PASSPHRASE).map(Passphrase::new)
}

fn typed(context: &Context, prompt: &str, asked: &Asked) -> Result<String, Failure> {
    let Asked { what, flag } = asked;
    let cannot = |why: &str| {
        Failure::new(
            Kind::Declined,
            format!("the {what} cannot be asked for: {why}"),
            format!("put it into a file that only you can read, and name it with {flag}"),
        )
    };
    if context.json() || !std::io::stdin().is_terminal() {
        return Err(cannot("there is no terminal"));
    }
    rpassword::prompt_password(prompt).map_err(|error| cannot(&error.to_string()))
}

fn from_file(context: &Context, path: &Path) -> Result<Passphrase, Failure> {
    secret(context, path, &PASSPHRASE).map(Passphrase::new)
}

fn secret(context: &Context, path: &Path, asked: &Asked) -> Result<String, Failure> {
    let Asked { what: called, flag } = asked;
    let failed = |what: String, remedy: &str| {
        Failure::new(Kind::Input, what, remedy).at(path.display().to_string())
    };
    let unreadable =
        |error: std::io::Error| failed(error.to_string(), &format!("correct the path of {flag}"));
    let about = std::fs::metadata(path).map_err(unreadable)?;
    if about.is_file() && about.permissions().mode() & 0o007 != 0 {
        let path = path.display();
        context.mention(format_args!(
            "warning: every user of this machine can read {path}; 'chmod o= {path}'"
        ));
    }
    Secret::read(path).map(Secret::into_text).map_err(|error| match error {
        SecretError::Unreadable(error) => unreadable(error),
        error => failed(
            format!("no {called}: {error}"),
            &format!("write the {called} there, as one line of at most 4 KiB"),
        ),
    })
}
